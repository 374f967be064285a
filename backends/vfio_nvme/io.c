/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way of an I/O into the device. No lock, no allocation, no copy: the data pointer of a command names the very
 * pages in which the core has the data.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include <nvme/types.h>

#include "vfio_nvme.h"

_Static_assert(sizeof(struct vio) <= 128, "leaves room for wrappers in NVMFT_IO_PRIV_MAX");

/* Out of line, as most commands do without. */
static __attribute__((noinline)) int build(const struct vfio_pair *pair, const struct vio *vio, uint16_t cid,
					   uint32_t blocks, struct nvmft_sqe *sqe)
{
	const struct vfio_channel *ch = vio_channel(vio);
	const struct dptr_place place = {
		.regions = ch->regions,
		.nregions = ch->nregions,
		.sgl = ch->vn->format.sgl,
		.list = (uint8_t *)pair->lists.base + (size_t)cid * NVME_PAGE,
		.list_iova = pair->lists.iova + (size_t)cid * NVME_PAGE,
	};

	return nvmft_cmd_build(vio, &ch->vn->format, &place, blocks, sqe);
}

/* One command for the next part. False: its buffers cannot be described, nothing was sent. */
static inline __attribute__((always_inline)) bool send_part(struct vfio_pair *pair, struct vio *vio)
{
	const struct vfio_channel *ch = vio_channel(vio);
	uint32_t left = vio->total - vio->sent, blocks = left < vio->part ? left : vio->part;
	uint16_t cid = pair->free[pair->nfree - 1];
	struct nvmft_sqe *sqe = queue_pair_next(&pair->queue);

	*sqe = (struct nvmft_sqe){.cid = htole16(cid), .nsid = htole32(ch->vn->nsid)};
	if (!cmd_build_one(vio, &ch->vn->format, ch->regions, ch->nregions, blocks, sqe) &&
	    build(pair, vio, cid, blocks, sqe))
		return false;
	(void)queue_pair_push(&pair->queue);
	pair->slots[cid] = (struct slot){vio, nvmft_group_now(pair->group) + IO_TIMEOUT_NS, false};
	pair->nfree--;
	vio->sent += blocks;
	vio->open++;
	return true;
}

bool nvmft_vfio_send(struct vfio_pair *pair, struct vio *vio)
{
	while (!vio_all_sent(vio) && pair->nfree && !vio_holds(vio))
		if (!send_part(pair, vio))
			nvmft_vfio_fail_rest(vio, nvmft_status_from_errno(-EFAULT));
	return vio_all_sent(vio) || vio_holds(vio);
}

static __attribute__((noinline)) void submit_any(struct vfio_channel *ch, struct nvmft_io *io)
{
	struct vfio_pair *pair = ch->pair;
	struct vio *vio = io->priv;

	*vio = (struct vio){.io = io};
	if (ctrl_state(pair->ctrl) == CTRL_DEAD) {
		nvmft_io_done(io, STATUS_NOT_READY);
		return;
	}
	if (io->op == NVMFT_IO_COMMAND && io->flags & NVMFT_IO_ADMIN) {
		nvmft_pass_submit(ch, vio);
		return;
	}
	nvmft_cmd_begin(vio, &ch->vn->format);
	/* What came before goes first. Most I/O is one command, which is sent without a further call. */
	if (vio->total - 1 < vio->part && pair_live(pair) && TAILQ_EMPTY(&pair->waiting) && pair->nfree &&
	    send_part(pair, vio))
		return;
	if (!pair_live(pair) || !TAILQ_EMPTY(&pair->waiting) || !nvmft_vfio_send(pair, vio))
		nvmft_vfio_wait(pair, vio);
	else if (!vio->open)
		nvmft_io_done(io, vio->status); /* nothing could be sent */
}

/* ---- the short way ---- */

/* All of the I/O is one command, which is in the device: one block of one, as nobody looks at them any more. */
static inline void set_simple(struct vio *vio, struct nvmft_io *io)
{
	vio->io = io;
	vio->pass = NULL;
	vio->total = vio->sent = 1;
	vio->part = 0;
	vio->open = 1;
	vio->status = 0;
	vio->queued = vio->in_order = vio->reserved = false;
	vio->simple = true;
}

static inline void build_simple(struct nvmft_sqe *sqe, const struct nvmft_io *io, uint16_t cid, uint32_t nsid,
				uint64_t first, uint64_t second)
{
	const uint64_t prps[2] = {htole64(first), htole64(second)};

	*sqe = (struct nvmft_sqe){
		.opcode = io->op == NVMFT_IO_READ ? nvme_cmd_read : nvme_cmd_write,
		.cid = htole16(cid),
		.nsid = htole32(nsid),
		.cdw10 = htole32((uint32_t)io->lba),
		.cdw11 = htole32((uint32_t)(io->lba >> 32)),
		.cdw12 = htole32((io->blocks - 1) | (io->flags & NVMFT_IO_FUA ? CDW12_FUA : 0)),
	};
	memcpy(sqe->dptr, prps, sizeof(prps));
}

/*
 * What most I/O is: a read or write of one buffer in at most two pages, done with one command that can be sent at once.
 * It goes without what others need: lists, splitting, waiting.
 */
void nvmft_vfio_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct vfio_channel *ch = channel->priv;
	struct vfio_pair *pair = ch->pair;
	const struct nvmft_iov *iov = io->iov;
	const struct vfio_region *region;
	uint64_t iova;
	uint32_t end;
	uint16_t cid;

	if (io->op > NVMFT_IO_WRITE || io->iovcnt != 1 || io->blocks > ch->simple || !pair->nfree || !pair_live(pair) ||
	    !TAILQ_EMPTY(&pair->waiting) || iov->region >= ch->nregions) {
		submit_any(ch, io);
		return;
	}
	region = &ch->regions[iov->region];
	iova = region->iova + (uint64_t)((uint8_t *)iov->base - region->base);
	end = (uint32_t)iova % NVME_PAGE + iov->len;
	if (!region->base || iova & 3 || end > 2 * NVME_PAGE) {
		submit_any(ch, io);
		return;
	}
	assert(iov->len == io->blocks << ch->vn->format.shift);
	cid = pair->free[--pair->nfree];
	build_simple(queue_pair_push(&pair->queue), io, cid, ch->nsid, iova,
		     end > NVME_PAGE ? (iova | (NVME_PAGE - 1)) + 1 : 0);
	set_simple(io->priv, io);
	pair->slots[cid].vio = io->priv;
	pair->slots[cid].deadline = pair->deadline;
}
