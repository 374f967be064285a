/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_VFIO_NVME_QUEUE_H
#define NVMFT_BACKENDS_VFIO_NVME_QUEUE_H

#include <nvmft/provider/request.h>

#include "dma.h"
#include "regs.h"

/*
 * struct queue_pair - a submission queue and its completion queue, of equal size
 * @sq_rung, @cq_rung: what the doorbells were last told
 * @phase: of the next new completion
 *
 * Never more than @entries - 1 commands are outstanding: neither queue can overflow.
 */
struct queue_pair {
	struct nvmft_sqe *sq;
	volatile struct nvmft_cqe *cq;
	volatile uint32_t *sq_doorbell, *cq_doorbell;
	uint32_t entries;
	uint32_t sq_tail, sq_rung;
	uint32_t cq_head, cq_rung;
	uint16_t phase;
	uint16_t qid;
	uint64_t sq_iova, cq_iova;
	struct dma_memory memory;
};

/* Doorbells are at @bar for @qid and CAP.DSTRD @stride. Return: 0 or -errno. */
int nvmft_queue_pair_init(struct queue_pair *q, struct dma *dma, volatile uint8_t *bar, uint16_t qid, uint32_t stride,
			  uint32_t entries);
void nvmft_queue_pair_fini(struct queue_pair *q, struct dma *dma);
/* As new; while the device knows nothing of it. */
void nvmft_queue_pair_reset(struct queue_pair *q);

/* The next submission entry, to be filled before the next call. */
static inline struct nvmft_sqe *queue_pair_push(struct queue_pair *q)
{
	struct nvmft_sqe *sqe = &q->sq[q->sq_tail];

	q->sq_tail = q->sq_tail + 1 == q->entries ? 0 : q->sq_tail + 1;
	return sqe;
}

static inline bool queue_pair_ready(const struct queue_pair *q)
{
	return (le16toh(q->cq[q->cq_head].status) & 1) == q->phase;
}

/* The next completion. False: there is none. */
static inline bool queue_pair_pop(struct queue_pair *q, struct nvmft_cqe *cqe)
{
	const volatile struct nvmft_cqe *from = &q->cq[q->cq_head];

	if (!queue_pair_ready(q))
		return false;
	read_barrier();
	cqe->dw0 = le32toh(from->dw0);
	cqe->sqhd = le16toh(from->sqhd);
	cqe->sqid = le16toh(from->sqid);
	cqe->cid = le16toh(from->cid);
	cqe->status = (uint16_t)(le16toh(from->status) >> 1);
	if (++q->cq_head == q->entries) {
		q->cq_head = 0;
		q->phase ^= 1;
	}
	return true;
}

/* Tell the device of all that was pushed and popped: one write per queue, as each goes over the bus. */
static inline void queue_pair_ring_sq(struct queue_pair *q)
{
	if (q->sq_rung == q->sq_tail)
		return;
	write_barrier();
	*q->sq_doorbell = htole32(q->sq_tail);
	q->sq_rung = q->sq_tail;
}

static inline void queue_pair_ring_cq(struct queue_pair *q)
{
	if (q->cq_rung == q->cq_head)
		return;
	*q->cq_doorbell = htole32(q->cq_head);
	q->cq_rung = q->cq_head;
}

#endif
