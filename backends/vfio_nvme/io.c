/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way of an I/O into the device. No lock, no allocation, no copy: the data pointer of a command names the very
 * pages in which the core has the data.
 */
#include <errno.h>

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

void nvmft_vfio_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct vfio_channel *ch = channel->priv;
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
