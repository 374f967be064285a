/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "queue.h"

static size_t sq_bytes(uint32_t entries)
{
	return (entries * sizeof(struct nvmft_sqe) + NVME_PAGE - 1) & ~(size_t)(NVME_PAGE - 1);
}

int nvmft_queue_pair_init(struct queue_pair *q, struct device *dev, volatile uint8_t *bar, uint16_t qid,
			  uint32_t stride, uint32_t entries)
{
	volatile uint8_t *doorbells = bar + REG_DOORBELLS + ((size_t)2 * qid << (2 + stride));
	size_t cq_offset = sq_bytes(entries);
	int err;

	memset(q, 0, sizeof(*q));
	err = nvmft_dma_alloc(dev, cq_offset + entries * sizeof(struct nvmft_cqe), &q->memory);
	if (err)
		return err;
	q->qid = qid;
	q->entries = entries;
	q->sq = q->memory.base;
	q->sq_end = q->sq + entries;
	q->cq = (volatile void *)((uint8_t *)q->memory.base + cq_offset);
	q->cq_end = q->cq + entries;
	q->sq_iova = q->memory.iova;
	q->cq_iova = q->memory.iova + cq_offset;
	q->sq_doorbell.reg = (volatile void *)doorbells;
	q->cq_doorbell.reg = (volatile void *)(doorbells + ((size_t)4 << stride));
	nvmft_queue_pair_reset(q);
	return 0;
}

void nvmft_queue_pair_fini(struct queue_pair *q, struct device *dev)
{
	nvmft_dma_free(dev, &q->memory);
}

void nvmft_queue_pair_reset(struct queue_pair *q)
{
	q->sq_next = q->sq_rung = q->sq;
	q->cq_next = q->cq_rung = q->cq;
	q->sq_doorbell.shadow = q->cq_doorbell.shadow = NULL;
	q->phase = DW3_PHASE;
	memset(q->memory.base, 0, q->memory.len);
}
