/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_VFIO_NVME_QUEUE_H
#define NVMFT_BACKENDS_VFIO_NVME_QUEUE_H

#include <nvmft/provider/request.h>

#include "dma.h"
#include "regs.h"

/*
 * struct doorbell - where the device is told of one end of a queue
 * @reg: the register
 * @shadow: in memory, where the device looks while it is busy; NULL: only the register counts
 * @event: where it says which value of @shadow it has not seen yet, having stopped looking: from there on it needs the
 * register
 * @always: it wants the register in any case
 */
struct doorbell {
	volatile uint32_t *reg;
	volatile uint32_t *shadow;
	volatile uint32_t *event;
	bool always;
};

/*
 * Does a step from @old to @value pass @event? All three are indices of a queue, and the way from @old to @value goes
 * up and may wrap to 0. Indices modulo the size of the queue lie on the circle of 16 bits in the same order as on their
 * own, hence the distances there decide: to @value from behind @event, and from @old.
 */
static inline bool doorbell_wanted(uint32_t event, uint32_t old, uint32_t value)
{
	return (uint16_t)(value - event - 1) < (uint16_t)(value - old);
}

/*
 * Device: writes @event, then looks at @shadow a last time, then stops. Driver: writes @shadow, then looks at @event.
 * With a full barrier between the two on either side one of them sees what the other wrote. A store and a later load
 * from elsewhere are what even x86 reorders.
 */
static inline void doorbell_ring(const struct doorbell *db, uint32_t old, uint32_t value)
{
	if (db->shadow) {
		*db->shadow = htole32(value);
		full_barrier();
		if (!db->always && !doorbell_wanted(le32toh(*db->event), old, value))
			return;
	}
	*db->reg = htole32(value);
}

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
	struct doorbell sq_doorbell, cq_doorbell;
	uint32_t entries;
	uint32_t sq_tail, sq_rung;
	uint32_t cq_head, cq_rung;
	uint16_t phase;
	uint16_t qid;
	uint64_t sq_iova, cq_iova;
	struct dma_memory memory;
};

/* Doorbells are at @bar for @qid and CAP.DSTRD @stride. Return: 0 or -errno. */
int nvmft_queue_pair_init(struct queue_pair *q, struct device *dev, volatile uint8_t *bar, uint16_t qid,
			  uint32_t stride, uint32_t entries);
void nvmft_queue_pair_fini(struct queue_pair *q, struct device *dev);
/* As new; while the device knows nothing of it. */
void nvmft_queue_pair_reset(struct queue_pair *q);

/* What queue_pair_push() will return. */
static inline struct nvmft_sqe *queue_pair_next(const struct queue_pair *q)
{
	return &q->sq[q->sq_tail];
}

/* The next submission entry, to be filled before the doorbell is rung. */
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

/* The next completion, which is there: to be read before the doorbell is rung. */
static inline const volatile struct nvmft_cqe *queue_pair_take(struct queue_pair *q)
{
	const volatile struct nvmft_cqe *cqe = &q->cq[q->cq_head];

	read_barrier();
	if (++q->cq_head == q->entries) {
		q->cq_head = 0;
		q->phase ^= 1;
	}
	return cqe;
}

/* The next completion. False: there is none. */
static inline bool queue_pair_pop(struct queue_pair *q, struct nvmft_cqe *cqe)
{
	const volatile struct nvmft_cqe *from;

	if (!queue_pair_ready(q))
		return false;
	from = queue_pair_take(q);
	cqe->dw0 = le32toh(from->dw0);
	cqe->dw1 = le32toh(from->dw1);
	cqe->sqhd = le16toh(from->sqhd);
	cqe->sqid = le16toh(from->sqid);
	cqe->cid = le16toh(from->cid);
	cqe->status = (uint16_t)(le16toh(from->status) >> 1);
	return true;
}

/* Tell the device of all that was pushed and popped: one write per queue, as each goes over the bus. */
static inline void queue_pair_ring_sq(struct queue_pair *q)
{
	if (q->sq_rung == q->sq_tail)
		return;
	write_barrier();
	doorbell_ring(&q->sq_doorbell, q->sq_rung, q->sq_tail);
	q->sq_rung = q->sq_tail;
}

static inline void queue_pair_ring_cq(struct queue_pair *q)
{
	if (q->cq_rung == q->cq_head)
		return;
	read_barrier(); /* the entries are the device's again */
	doorbell_ring(&q->cq_doorbell, q->cq_rung, q->cq_head);
	q->cq_rung = q->cq_head;
}

#endif
