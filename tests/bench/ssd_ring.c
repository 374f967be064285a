/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A kernel behind liburing: one ring of long entries, in memory, on which every command succeeds. Functions of liburing
 * that would call the kernel are those here; they are counted as calls, and what they execute is not counted. What
 * liburing does in its header is as it always is.
 */
#include <errno.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ssd.h"
#include "ssd_ring.h"

#define ENTRIES 1024u

static struct {
	struct io_uring *ring;
	unsigned int sq_head, sq_tail, cq_head, cq_tail, flags, overflow;
	uint64_t given[ENTRIES]; /* commands of which nothing was told yet */
	unsigned int ngiven;
	unsigned int nover; /* of them */
} kernel;

static void enter(void)
{
	ssd_uncounted(true);
	ssd_calls++;
}

static int leave(int ret)
{
	ssd_uncounted(false);
	return ret;
}

int io_uring_queue_init_params(unsigned int entries, struct io_uring *ring, struct io_uring_params *p)
{
	memset(ring, 0, sizeof(*ring));
	memset(&kernel, 0, sizeof(kernel));
	kernel.ring = ring;
	ring->flags = p->flags;
	ring->features = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP;
	ring->sq.khead = &kernel.sq_head;
	ring->sq.ktail = &kernel.sq_tail;
	ring->sq.kflags = &kernel.flags;
	ring->sq.ring_entries = entries;
	ring->sq.ring_mask = entries - 1;
	ring->sq.sqes = calloc(entries, 2 * sizeof(struct io_uring_sqe));
	ring->cq.khead = &kernel.cq_head;
	ring->cq.ktail = &kernel.cq_tail;
	ring->cq.kflags = &kernel.overflow;
	ring->cq.ring_entries = ENTRIES;
	ring->cq.ring_mask = ENTRIES - 1;
	ring->cq.cqes = calloc(ENTRIES, 2 * sizeof(struct io_uring_cqe));
	return ring->sq.sqes && ring->cq.cqes ? 0 : -ENOMEM;
}

void io_uring_queue_exit(struct io_uring *ring)
{
	free(ring->sq.sqes);
	free(ring->cq.cqes);
}

static int take(struct io_uring *ring)
{
	unsigned int n = ring->sq.sqe_tail - ring->sq.sqe_head;

	for (; ring->sq.sqe_head != ring->sq.sqe_tail; ring->sq.sqe_head++) {
		const struct io_uring_sqe *sqe = &ring->sq.sqes[2 * (ring->sq.sqe_head & ring->sq.ring_mask)];

		if (sqe->opcode != IORING_OP_URING_CMD || kernel.ngiven == ENTRIES)
			abort();
		kernel.given[kernel.ngiven++] = sqe->user_data;
	}
	kernel.sq_head = kernel.sq_tail = ring->sq.sqe_tail;
	return (int)n;
}

void ssd_ring_step(void)
{
	kernel.nover = kernel.ngiven;
	if (kernel.nover)
		kernel.flags |= IORING_SQ_TASKRUN;
}

static void tell(struct io_uring *ring)
{
	for (unsigned int i = 0; i < kernel.nover; i++, kernel.cq_tail++) {
		struct io_uring_cqe *cqe = &ring->cq.cqes[2 * (kernel.cq_tail & ring->cq.ring_mask)];

		memset(cqe, 0, 2 * sizeof(*cqe));
		cqe->user_data = kernel.given[i];
	}
	kernel.ngiven -= kernel.nover;
	memmove(kernel.given, kernel.given + kernel.nover, kernel.ngiven * sizeof(kernel.given[0]));
	kernel.nover = 0;
	kernel.flags &= ~IORING_SQ_TASKRUN;
}

int io_uring_submit(struct io_uring *ring)
{
	enter();
	return leave(take(ring));
}

int io_uring_submit_and_get_events(struct io_uring *ring)
{
	int n;

	enter();
	n = take(ring);
	tell(ring);
	return leave(n);
}

int io_uring_submit_and_wait(struct io_uring *ring, unsigned int wait_nr)
{
	int n;

	(void)wait_nr;
	enter();
	n = take(ring);
	ssd_ring_step();
	tell(ring);
	return leave(n);
}

int io_uring_get_events(struct io_uring *ring)
{
	enter();
	tell(ring);
	return leave(0);
}

/* What io_uring_peek_cqe() calls when it finds nothing. It calls the kernel only when that has something. */
int __io_uring_get_cqe(struct io_uring *ring, struct io_uring_cqe **cqe, unsigned int submit, unsigned int wait_nr,
		       sigset_t *sigmask)
{
	bool call = kernel.flags & IORING_SQ_TASKRUN || submit || wait_nr;

	(void)sigmask;
	ssd_uncounted(true);
	ssd_calls += call;
	if (call)
		tell(ring);
	*cqe = kernel.cq_head != kernel.cq_tail ? &ring->cq.cqes[2 * (kernel.cq_head & ring->cq.ring_mask)] : NULL;
	return leave(*cqe ? 0 : -EAGAIN);
}

int io_uring_register_buffers(struct io_uring *ring, const struct iovec *iovecs, unsigned int n)
{
	(void)ring;
	(void)iovecs;
	(void)n;
	return 0;
}

int io_uring_register_buffers_sparse(struct io_uring *ring, unsigned int n)
{
	(void)ring;
	(void)n;
	return 0;
}

int io_uring_register_buffers_update_tag(struct io_uring *ring, unsigned int off, const struct iovec *iovecs,
					 const __u64 *tags, unsigned int n)
{
	(void)ring;
	(void)off;
	(void)iovecs;
	(void)tags;
	return (int)n;
}

int io_uring_register_eventfd(struct io_uring *ring, int fd)
{
	(void)ring;
	(void)fd;
	return 0;
}
