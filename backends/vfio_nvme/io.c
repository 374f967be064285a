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
	struct slot *slot = pair->free;
	uint16_t cid = slot_cid(pair, slot);
	struct nvmft_sqe *sqe = queue_pair_next(&pair->queue);

	*sqe = (struct nvmft_sqe){.cid = htole16(cid), .nsid = htole32(ch->vn->nsid)};
	if (!cmd_build_one(vio, &ch->vn->format, ch->regions, ch->nregions, blocks, sqe) &&
	    build(pair, vio, cid, blocks, sqe))
		return false;
	(void)queue_pair_push(&pair->queue);
	slot_take(pair, slot);
	slot->vio = vio;
	slot->deadline = 0;
	slot->aborting = false;
	vio->sent += blocks;
	vio->open++;
	return true;
}

bool nvmft_vfio_send(struct vfio_pair *pair, struct vio *vio)
{
	while (!vio_all_sent(vio) && pair->free && !vio_holds(vio))
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
	if (ssd_refused(&ch->vn->doubt)) {
		nvmft_io_done(io, STATUS_NOT_READY);
		return;
	}
	nvmft_cmd_begin(vio, &ch->vn->format);
	/* What came before goes first. Most I/O is one command, which is sent without a further call. */
	if (vio->total - 1 < vio->part && pair_live(pair) && TAILQ_EMPTY(&pair->waiting) && pair->free &&
	    !vio_doubted(vio) && send_part(pair, vio))
		return;
	if (!pair_live(pair) || !TAILQ_EMPTY(&pair->waiting) || vio_doubted(vio) || !nvmft_vfio_send(pair, vio))
		nvmft_vfio_wait(pair, vio);
	else if (!vio->open)
		nvmft_io_done(io, vio->status); /* nothing could be sent */
}

/* ---- the short way ---- */

/* One block of one, all in the device: nobody looks at them any more. */
void nvmft_vfio_lengthen(struct slot *slot)
{
	struct vio *vio = slot->io->priv;

	*vio = (struct vio){.io = slot->io, .total = 1, .sent = 1, .open = 1};
	slot->vio = vio;
	slot->io = NULL;
}

/* Other flags are for other commands. */
#define CDW12_FUA_SHIFT 30
_Static_assert(NVMFT_IO_FUA << CDW12_FUA_SHIFT == CDW12_FUA, "no need to ask");

/* The same as of other commands, word by word, each of which is written once. */
static inline void write_simple(struct nvmft_sqe *sqe, uint64_t dws, uint64_t first, uint64_t second,
				const struct nvmft_io *io)
{
	sqe_word *words = (sqe_word *)sqe;

	words[0] = dws;
	words[1] = 0;
	words[2] = 0;
	words[3] = htole64(first);
	words[4] = htole64(second);
	words[5] = htole64(io->lba);
	words[6] = htole64((io->blocks - 1) | io->flags << CDW12_FUA_SHIFT);
	words[7] = 0;
}

/*
 * What most I/O is: a read or write of one buffer in at most two pages, done with one command that can be sent at once.
 * It goes without what others need: lists, splitting, waiting, and a struct vio that knows how far all that has come.
 */
void nvmft_vfio_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct vfio_channel *ch = channel->priv;
	struct vfio_pair *pair = ch->pair;
	struct slot *slot = pair->free;
	const struct nvmft_iov *iov = io->iov;
	const struct vfio_region *region;
	uint64_t first, end, second = 0;

	if (io->op > NVMFT_IO_WRITE || io->iovcnt != 1 || !slot || ctrl_gen(pair->ctrl) != pair->short_gen ||
	    iov->region >= ch->short_regions || ssd_in_doubt(&ch->vn->doubt))
		goto any;
	region = &ch->regions[iov->region];
	first = region_iova(region, iov->base);
	end = first % NVME_PAGE + iov->len;
	if (!region->base)
		goto any;
	if (end > NVME_PAGE) {
		if (end > SHORT_PAGES * NVME_PAGE)
			goto any;
		second = (first | (NVME_PAGE - 1)) + 1;
	}
	assert(iov->len == io->blocks << ch->vn->format.shift && !(first & 3));
	slot_take(pair, slot);
	slot->io = io;
	slot->deadline = 0;
	write_simple(queue_pair_push(&pair->queue), ch->dws[io->op] | htole64(slot->dw0), first, second, io);
	return;
any:
	submit_any(ch, io);
}
