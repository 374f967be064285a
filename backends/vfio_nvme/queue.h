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
 * @sq_end, @cq_end: behind the last entries
 * @sq_next, @cq_next: the next entry to fill and the next to read
 * @sq_rung, @cq_rung: the same, as the doorbells were last told
 * @phase: of the next new completion, as in DW3_PHASE
 *
 * Never more than @entries - 1 commands are outstanding: neither queue can overflow.
 */
struct queue_pair {
	struct nvmft_sqe *sq, *sq_end, *sq_next, *sq_rung;
	const volatile struct nvmft_cqe *cq, *cq_end, *cq_next, *cq_rung;
	struct doorbell sq_doorbell, cq_doorbell;
	uint32_t entries;
	uint32_t phase;
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

/* An entry as it is written fastest: two dwords at once. */
typedef volatile uint64_t __attribute__((may_alias)) sqe_word;

static inline uint64_t dwords(uint32_t first, uint32_t second)
{
	return htole64(first | (uint64_t)second << 32);
}

/* The next submission entry, to be filled before the doorbell is rung. queue_pair_push() makes it part of the queue. */
static inline struct nvmft_sqe *queue_pair_next(const struct queue_pair *q)
{
	return q->sq_next;
}

static inline struct nvmft_sqe *queue_pair_push(struct queue_pair *q)
{
	struct nvmft_sqe *sqe = q->sq_next;

	q->sq_next = sqe + 1 == q->sq_end ? q->sq : sqe + 1;
	return sqe;
}

/* Dword 3 of a completion: status, phase and identifier, which were written at once and are read so. */
#define DW3_PHASE (UINT32_C(1) << 16)
#define DW3_STATUS (~UINT32_C(0) << 17)

static inline uint32_t cqe_dw3(const volatile struct nvmft_cqe *cqe)
{
	typedef const volatile uint32_t __attribute__((may_alias)) dword;

	return le32toh(((dword *)cqe)[3]);
}

static inline bool queue_pair_ready(const struct queue_pair *q)
{
	return !((cqe_dw3(q->cq_next) ^ q->phase) & DW3_PHASE);
}

/* The next completion, which is there: to be read before the doorbell is rung. */
static inline const volatile struct nvmft_cqe *queue_pair_take(struct queue_pair *q)
{
	const volatile struct nvmft_cqe *cqe = q->cq_next++;

	read_barrier();
	if (q->cq_next == q->cq_end) {
		q->cq_next = q->cq;
		q->phase ^= DW3_PHASE;
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
	if (q->sq_rung == q->sq_next)
		return;
	write_barrier();
	doorbell_ring(&q->sq_doorbell, (uint32_t)(q->sq_rung - q->sq), (uint32_t)(q->sq_next - q->sq));
	q->sq_rung = q->sq_next;
}

static inline void queue_pair_ring_cq(struct queue_pair *q)
{
	if (q->cq_rung == q->cq_next)
		return;
	read_barrier(); /* the entries are the device's again */
	doorbell_ring(&q->cq_doorbell, (uint32_t)(q->cq_rung - q->cq), (uint32_t)(q->cq_next - q->cq));
	q->cq_rung = q->cq_next;
}

#endif
