/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way of an I/O into the device and back. No lock, no allocation, no copy: the data pointer of a command names the
 * very pages in which the core has the data.
 */
#include <errno.h>
#include <string.h>

#include <nvme/types.h>

#include "vfio_nvme.h"

_Static_assert(sizeof(struct vio) <= 128, "leaves room for wrappers in NVMFT_IO_PRIV_MAX");

#define CDW12_FUA (1u << 30)
#define CDW12_DEAC (1u << 25)
#define DSM_DEALLOCATE 4u

/*
 * More: the error log that it points to is the device's, not that of the controller that hosts see. CRD: an index into
 * a table of Identify Controller that they do not see either. All else is passed on as it is.
 */
#define STATUS_PASSED ((nvmft_status)0x47ff)

static struct vfio_nvme *backend_of(const struct vfio_channel *ch)
{
	return ch->pub->backend->priv;
}

static bool has_data(const struct nvmft_io *io)
{
	return io->op == NVMFT_IO_READ || io->op == NVMFT_IO_WRITE || io->op == NVMFT_IO_COMPARE;
}

/* ---- commands ---- */

/* The pieces of the I/O's buffers that belong to @blocks behind those that were sent. */
static int set_data(struct vfio_channel *ch, const struct vio *vio, struct nvmft_sqe *sqe, uint16_t cid,
		    uint32_t blocks)
{
	uint8_t shift = backend_of(ch)->shift;
	uint64_t skip = (uint64_t)vio->sent << shift, left = (uint64_t)blocks << shift, prps[2];
	size_t list = (size_t)cid * NVME_PAGE;
	struct prp prp;
	int err = 0;

	nvmft_prp_begin(&prp, (void *)((uint8_t *)ch->lists.base + list), ch->lists.iova + list);
	for (uint32_t i = 0; i < vio->io->iovcnt && left && !err; i++) {
		const struct nvmft_iov *iov = &vio->io->iov[i];
		const struct vfio_region *region;
		uint64_t n;

		if (skip >= iov->len) {
			skip -= iov->len;
			continue;
		}
		if (iov->region >= ch->nregions || !ch->regions[iov->region].base)
			return -EFAULT;
		region = &ch->regions[iov->region];
		n = iov->len - skip < left ? iov->len - skip : left;
		err = nvmft_prp_add(&prp, region->iova + (uint64_t)((uint8_t *)iov->base - region->base) + skip, n);
		left -= n;
		skip = 0;
	}
	nvmft_prp_end(&prp);
	prps[0] = htole64(prp.prp1);
	prps[1] = htole64(prp.prp2);
	memcpy(sqe->dptr, prps, sizeof(prps));
	return err || left ? -EFAULT : 0;
}

static void set_range(const struct vfio_channel *ch, const struct nvmft_io *io, struct nvmft_sqe *sqe, uint16_t cid)
{
	size_t list = (size_t)cid * NVME_PAGE;
	struct nvme_dsm_range range = {.nlb = htole32(io->blocks), .slba = htole64(io->lba)};
	uint64_t prp1 = htole64(ch->lists.iova + list);

	memcpy((uint8_t *)ch->lists.base + list, &range, sizeof(range));
	memcpy(sqe->dptr, &prp1, sizeof(prp1));
	sqe->cdw11 = htole32(DSM_DEALLOCATE);
}

static void set_lba(const struct vfio_channel *ch, const struct vio *vio, struct nvmft_sqe *sqe, uint32_t blocks)
{
	uint64_t lba = vio->io->lba + vio->sent;
	uint32_t cdw12 = blocks - 1;

	if (vio->io->flags & NVMFT_IO_FUA)
		cdw12 |= CDW12_FUA;
	if (vio->io->flags & NVMFT_IO_DEALLOC_OK && backend_of(ch)->can_dealloc_zeroes)
		cdw12 |= CDW12_DEAC;
	sqe->cdw10 = htole32((uint32_t)lba);
	sqe->cdw11 = htole32((uint32_t)(lba >> 32));
	sqe->cdw12 = htole32(cdw12);
}

static uint8_t opcode_of(enum nvmft_io_op op)
{
	static const uint8_t opcodes[] = {
		[NVMFT_IO_READ] = nvme_cmd_read,      [NVMFT_IO_WRITE] = nvme_cmd_write,
		[NVMFT_IO_FLUSH] = nvme_cmd_flush,    [NVMFT_IO_WRITE_ZEROES] = nvme_cmd_write_zeroes,
		[NVMFT_IO_DEALLOCATE] = nvme_cmd_dsm, [NVMFT_IO_COMPARE] = nvme_cmd_compare,
	};

	return opcodes[op];
}

/* One command for the next part. False: its buffers cannot be described, nothing was sent. */
static bool send_part(struct vfio_channel *ch, struct vio *vio)
{
	const struct vfio_nvme *vn = backend_of(ch);
	uint32_t left = vio->total - vio->sent, blocks = left;
	uint16_t cid = ch->free[ch->nfree - 1];
	struct nvmft_sqe sqe = {.opcode = opcode_of(vio->io->op), .cid = htole16(cid), .nsid = htole32(vn->nsid)};

	if (vio->io->op == NVMFT_IO_DEALLOCATE) {
		set_range(ch, vio->io, &sqe, cid);
	} else if (vio->io->op != NVMFT_IO_FLUSH) {
		blocks = left < vn->chunk ? left : vn->chunk;
		if (has_data(vio->io) && set_data(ch, vio, &sqe, cid, blocks))
			return false;
		set_lba(ch, vio, &sqe, blocks);
	}
	*queue_pair_push(&ch->queue) = sqe;
	ch->slots[cid] = (struct slot){vio, nvmft_group_now(ch->pub->group) + IO_TIMEOUT_NS, false};
	ch->nfree--;
	vio->sent += blocks;
	vio->open++;
	return true;
}

/* As much as there are command identifiers for. */
static void send(struct vfio_channel *ch, struct vio *vio)
{
	while (vio->sent < vio->total && ch->nfree) {
		if (send_part(ch, vio))
			continue;
		vio->status = nvmft_status_from_errno(-EFAULT);
		vio->total = vio->sent;
	}
}

static void unqueue(struct vfio_channel *ch, struct vio *vio)
{
	if (!vio->queued)
		return;
	TAILQ_REMOVE(&ch->waiting, vio, link);
	vio->queued = false;
}

static void end_if_over(struct vfio_channel *ch, struct vio *vio)
{
	if (vio->open || vio->sent < vio->total)
		return;
	unqueue(ch, vio);
	nvmft_io_done(vio->io, vio->status);
}

/* The rest is not sent any more. */
static void fail_rest(struct vio *vio, nvmft_status status)
{
	if (!vio->status)
		vio->status = status;
	vio->total = vio->sent;
}

void nvmft_vfio_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct vfio_channel *ch = channel->priv;
	struct vio *vio = io->priv;

	*vio = (struct vio){.io = io, .total = io->op == NVMFT_IO_FLUSH ? 1 : io->blocks};
	if (ctrl_state(ch->ctrl) == CTRL_DEAD) {
		nvmft_io_done(io, STATUS_NOT_READY);
		return;
	}
	/* What came before goes first. */
	if (ch->ready && TAILQ_EMPTY(&ch->waiting))
		send(ch, vio);
	if (vio->sent < vio->total) {
		vio->queued = true;
		TAILQ_INSERT_TAIL(&ch->waiting, vio, link);
	} else {
		end_if_over(ch, vio); /* nothing could be sent */
	}
}

/* Send what waits, as far as it goes. */
static void pump(struct vfio_channel *ch)
{
	struct vio *vio;

	while (ch->ready && ch->nfree && (vio = TAILQ_FIRST(&ch->waiting))) {
		send(ch, vio);
		if (vio->sent < vio->total)
			break;
		unqueue(ch, vio);
		end_if_over(ch, vio);
	}
	if (ch->ready)
		queue_pair_ring_sq(&ch->queue);
}

void nvmft_vfio_flush(struct nvmft_channel *channel)
{
	struct vfio_channel *ch = channel->priv;

	if (ch->ready)
		queue_pair_ring_sq(&ch->queue);
}

/* ---- completions ---- */

static void slot_done(struct vfio_channel *ch, uint16_t cid, nvmft_status status)
{
	struct vio *vio = ch->slots[cid].vio;

	ch->slots[cid].vio = NULL;
	ch->free[ch->nfree++] = cid;
	vio->open--;
	if (status)
		fail_rest(vio, status);
	end_if_over(ch, vio);
}

static void bad_completion(struct vfio_channel *ch, const struct nvmft_cqe *cqe)
{
	/* Once: the device would fill the log. If it meant another command, that one's timeout comes. */
	if (!ch->complained)
		nvmft_backend_log(ch->pub->backend, NVMFT_LOG_ERROR,
				  "completion for command %u, which is not open; further ones are not logged",
				  cqe->cid);
	ch->complained = true;
}

static int reap(struct vfio_channel *ch)
{
	uint32_t left = ch->queue.entries;
	struct nvmft_cqe cqe;
	int n = 0;

	while (left-- && queue_pair_pop(&ch->queue, &cqe)) {
		n++;
		if (cqe.cid < ch->depth && ch->slots[cqe.cid].vio)
			slot_done(ch, cqe.cid, cqe.status & STATUS_PASSED);
		else
			bad_completion(ch, &cqe);
	}
	queue_pair_ring_cq(&ch->queue);
	return n;
}

/* All commands in the device are over without an answer. */
static int lost(struct vfio_channel *ch)
{
	int n = 0;

	ch->ready = false;
	for (uint16_t cid = 0; cid < ch->depth; cid++) {
		if (!ch->slots[cid].vio)
			continue;
		slot_done(ch, cid, STATUS_LOST);
		n++;
	}
	return n;
}

/* The controller was given up. */
static int fail_waiting(struct vfio_channel *ch)
{
	struct vio *vio;
	int n = 0;

	for (; (vio = TAILQ_FIRST(&ch->waiting)); n++) {
		unqueue(ch, vio);
		fail_rest(vio, STATUS_NOT_READY);
		end_if_over(ch, vio);
	}
	return n;
}

int nvmft_vfio_poll(struct nvmft_channel *channel)
{
	struct vfio_channel *ch = channel->priv;
	int n = 0;

	if (ch->ready && ctrl_gen(ch->ctrl) != ch->gen)
		n += lost(ch);
	if (ch->ready)
		n += reap(ch);
	else if (ctrl_state(ch->ctrl) == CTRL_DEAD)
		n += fail_waiting(ch);
	if (!TAILQ_EMPTY(&ch->waiting))
		pump(ch);
	return n;
}

/* The timer sees to a controller that is not ready, and the first pass after it to what that means here. */
int nvmft_vfio_arm(struct nvmft_channel *channel)
{
	struct vfio_channel *ch = channel->priv;
	bool waiting = !TAILQ_EMPTY(&ch->waiting);

	if (!ch->ready)
		return waiting && ctrl_state(ch->ctrl) == CTRL_DEAD ? -EAGAIN : 0;
	if (queue_pair_ready(&ch->queue) || ctrl_gen(ch->ctrl) != ch->gen || (waiting && ch->nfree) || !ch->wake)
		return -EAGAIN;
	nvmft_wake_arm(ch->wake);
	return 0;
}

void nvmft_vfio_abort(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct vfio_channel *ch = channel->priv;
	struct vio *vio = io->priv;

	if (vio->sent < vio->total)
		fail_rest(vio, STATUS_ABORTED);
	if (vio->open && ch->ready) {
		pthread_mutex_lock(&ch->ctrl->lock);
		for (uint16_t cid = 0; cid < ch->depth; cid++)
			if (ch->slots[cid].vio == vio && ctrl_state(ch->ctrl) == CTRL_LIVE)
				(void)nvmft_admin_abort(ch->ctrl, ch->queue.qid, cid);
		pthread_mutex_unlock(&ch->ctrl->lock);
	}
	end_if_over(ch, vio);
}
