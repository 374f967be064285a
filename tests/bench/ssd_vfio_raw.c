/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The raw loop of a queue pair. The backend opens the device, makes the queue and maps the memory; from there on the
 * loop has them for itself. Its buffers are of at most two pages, so that it needs no PRP list, as the backend for
 * such.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "ssd_core.h"
#include "ssd_device.h"
#include "vfio_nvme.h"

#include <nvme/types.h>

static struct {
	struct nvmft_sqe *sq;
	const volatile struct nvmft_cqe *cq;
	struct doorbell sq_doorbell, cq_doorbell;
	uint32_t entries;
	uint32_t tail, head;
	uint16_t phase;
	uint32_t nsid;
	uint64_t delta; /* from a buffer to its address for the device */
	uint32_t nfree;
	uint16_t free[SSD_DEPTH_MAX];
	struct nvmft_io *ios[SSD_DEPTH_MAX]; /* by command identifier */
} raw;

static struct vfio_pair *pair_of_core(void)
{
	return ((struct vfio_channel *)core.channel.priv)->pair;
}

static int vfio_raw_open(struct ssd_load *load, const char *device)
{
	int ret = ssd_vfio_open(load, device);
	const struct vfio_channel *ch = core.channel.priv;
	const struct queue_pair *q;

	if (ret)
		return ret;
	q = &ch->pair->queue;
	raw.sq = q->sq;
	raw.cq = q->cq;
	raw.sq_doorbell = q->sq_doorbell;
	raw.cq_doorbell = q->cq_doorbell;
	raw.entries = q->entries;
	raw.tail = (uint32_t)(q->sq_next - q->sq);
	raw.head = (uint32_t)(q->cq_next - q->cq);
	raw.phase = q->phase ? 1 : 0;
	raw.nsid = ch->vn->nsid;
	raw.delta = ch->regions[0].delta;
	while (raw.nfree < SSD_DEPTH_MAX) {
		raw.free[raw.nfree] = (uint16_t)raw.nfree;
		raw.nfree++;
	}
	return 0;
}

static void prepare(const struct ssd_load *load, struct nvmft_io *io)
{
	uint16_t cid = raw.free[--raw.nfree];
	uint64_t iova = raw.delta + (uintptr_t)io->iov->base, second = 0, lba = io->lba;
	uint32_t into = (uint32_t)iova % NVME_PAGE;
	struct nvmft_sqe *sqe = &raw.sq[raw.tail];

	if (into + io->blocks * load->block_size > NVME_PAGE)
		second = iova - into + NVME_PAGE;
	*sqe = (struct nvmft_sqe){
		.opcode = io->op == NVMFT_IO_READ ? nvme_cmd_read : nvme_cmd_write,
		.cid = htole16(cid),
		.nsid = htole32(raw.nsid),
		.cdw10 = htole32((uint32_t)lba),
		.cdw11 = htole32((uint32_t)(lba >> 32)),
		.cdw12 = htole32(io->blocks - 1),
	};
	iova = htole64(iova);
	second = htole64(second);
	memcpy(sqe->dptr, &iova, sizeof(iova));
	memcpy(sqe->dptr + sizeof(iova), &second, sizeof(second));
	raw.ios[cid] = io;
	raw.tail = raw.tail + 1 == raw.entries ? 0 : raw.tail + 1;
}

static void vfio_raw_submit(struct ssd_load *load, uint32_t n)
{
	uint32_t old = raw.tail;

	for (uint32_t i = 0; i < n; i++)
		prepare(load, ssd_begin(load));
	write_barrier();
	doorbell_ring(&raw.sq_doorbell, old, raw.tail);
}

static uint32_t vfio_raw_reap(struct ssd_load *load)
{
	uint32_t n = 0, old = raw.head;

	(void)load;
	for (;; n++) {
		const volatile struct nvmft_cqe *cqe = &raw.cq[raw.head];
		uint16_t status = le16toh(cqe->status), cid;
		struct ssd_io *io;

		if ((status & 1) != raw.phase)
			break;
		read_barrier();
		cid = le16toh(cqe->cid);
		if (cid >= SSD_DEPTH_MAX || !raw.ios[cid])
			abort();
		if (++raw.head == raw.entries) {
			raw.head = 0;
			raw.phase ^= 1;
		}
		io = (struct ssd_io *)(void *)raw.ios[cid];
		raw.ios[cid] = NULL;
		raw.free[raw.nfree++] = cid;
		io->over(&io->io, status >> 1);
	}
	if (n)
		doorbell_ring(&raw.cq_doorbell, old, raw.head);
	return n;
}

/* Where the queue is now, should the backend look at it once more. */
static void vfio_raw_close(struct ssd_load *load)
{
	struct queue_pair *q = &pair_of_core()->queue;

	(void)load;
	q->sq_next = q->sq_rung = raw.sq + raw.tail;
	q->cq_next = q->cq_rung = raw.cq + raw.head;
	q->phase = raw.phase ? DW3_PHASE : 0;
	core_close();
}

const struct ssd_way ssd_vfio_raw = {
	.name = "vfio-raw",
	.open = vfio_raw_open,
	.submit = vfio_raw_submit,
	.reap = vfio_raw_reap,
	.close = vfio_raw_close,
};
