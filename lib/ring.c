/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The poll group's io_uring: one place to submit to and to wait on for every socket, file and timer of the group.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"
#include "poll_group.h"

#define RING_ENTRIES 512
/* One completion may be pending for each connection at once; beyond this the kernel keeps them for us, at a cost. */
#define RING_CQ_ENTRIES 8192

enum ring_op_state { RING_OP_IDLE, RING_OP_WAITING, RING_OP_STARTED };

static unsigned int ring_kflags(const struct ring *ring)
{
	return __atomic_load_n(ring->uring.sq.kflags, __ATOMIC_RELAXED);
}

/* Completions that only an io_uring_enter() brings into the completion queue. */
static bool ring_needs_enter(const struct ring *ring)
{
	return (ring_kflags(ring) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

/*
 * The ring's own descriptor does not become readable for completions whose work is deferred until its owner asks; a
 * registered eventfd does. It is signalled only while somebody sleeps on it, for each signal costs.
 */
static int ring_init_eventfd(struct ring *ring)
{
	int ret;

	ring->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ring->event_fd < 0)
		return -errno;
	ret = io_uring_register_eventfd(&ring->uring, ring->event_fd);
	if (ret)
		close(ring->event_fd);
	else
		io_uring_cq_eventfd_toggle(&ring->uring, false);
	return ret;
}

int nvmft_ring_init(struct nvmft_poll_group *group)
{
	struct io_uring_params params = {
		/*
		 * One thread submits, and completion work runs only when that thread asks for it: no interrupt in the middle of
		 * a pass. Disabled at first, because the thread that enables the ring becomes its owner.
		 */
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
			 IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		.cq_entries = RING_CQ_ENTRIES,
	};
	struct ring *ring = &group->ring;
	int ret;

	ring->wait_head = NULL;
	ring->wait_tail = &ring->wait_head;
	ret = io_uring_queue_init_params(RING_ENTRIES, &ring->uring, &params);
	if (ret == -EINVAL)
		nvmft_log(group->target, NVMFT_LOG_ERROR, "io_uring: needs Linux 6.1 or later (DEFER_TASKRUN)");
	else if (ret == -EPERM)
		nvmft_log(group->target, NVMFT_LOG_ERROR, "io_uring: forbidden, see /proc/sys/kernel/io_uring_disabled");
	else if (ret)
		nvmft_log(group->target, NVMFT_LOG_ERROR, "io_uring: %s", strerrordesc_np(-ret));
	if (ret)
		return ret;
	ret = ring_init_eventfd(ring);
	if (ret)
		io_uring_queue_exit(&ring->uring);
	return ret;
}

void nvmft_ring_fini(struct nvmft_poll_group *group)
{
	io_uring_queue_exit(&group->ring.uring);
	close(group->ring.event_fd);
}

void nvmft_ring_arm(struct ring *ring)
{
	uint64_t count;

	ring->armed = true;
	/* What made it readable before is dealt with or will be seen by the caller's look at the ring. */
	(void)!read(ring->event_fd, &count, sizeof(count));
	io_uring_cq_eventfd_toggle(&ring->uring, true);
	/* Either the kernel sees that it is to signal, or the caller sees the completion. */
	atomic_thread_fence(memory_order_seq_cst);
}

void nvmft_ring_disarm(struct ring *ring)
{
	if (ring->armed)
		io_uring_cq_eventfd_toggle(&ring->uring, false);
	ring->armed = false;
}

int nvmft_ring_enable(struct nvmft_poll_group *group)
{
	/* Not io_uring_enable_rings(): liburing 2.3 declares it, but its library does not export it. */
	if (syscall(__NR_io_uring_register, group->ring.uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) != 0)
		return -errno;
	group->ring.enabled = true;
	return 0;
}

struct io_uring *nvmft_ring_raw(struct nvmft_poll_group *group)
{
	return &group->ring.uring;
}

static struct io_uring_sqe *ring_get_sqe(struct ring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

	if (sqe || !ring->enabled)
		return sqe;
	io_uring_submit(&ring->uring);
	return io_uring_get_sqe(&ring->uring);
}

static void ring_prepare(struct nvmft_ring_op *op, struct io_uring_sqe *sqe)
{
	op->state = RING_OP_STARTED;
	op->prep(op, sqe);
	io_uring_sqe_set_data(sqe, op);
}

static void ring_drain_waiting(struct ring *ring)
{
	struct io_uring_sqe *sqe;

	while (ring->wait_head && (sqe = ring_get_sqe(ring))) {
		struct nvmft_ring_op *op = ring->wait_head;

		ring->wait_head = op->next;
		if (!ring->wait_head)
			ring->wait_tail = &ring->wait_head;
		ring_prepare(op, sqe);
	}
}

void nvmft_ring_start(struct nvmft_poll_group *group, struct nvmft_ring_op *op)
{
	struct ring *ring = &group->ring;
	struct io_uring_sqe *sqe = ring->wait_head ? NULL : ring_get_sqe(ring);

	if (sqe) {
		ring_prepare(op, sqe);
		return;
	}
	op->state = RING_OP_WAITING;
	op->next = NULL;
	*ring->wait_tail = op;
	ring->wait_tail = &op->next;
}

/* Cancel by a submission entry of its own, whose completion nobody wants (user_data 0). */
static void ring_cancel_prep(struct nvmft_ring_op *op, struct ring *ring)
{
	struct io_uring_sqe *sqe = ring_get_sqe(ring);

	if (!sqe)
		return;
	io_uring_prep_cancel(sqe, op, 0);
	io_uring_sqe_set_data(sqe, NULL);
}

void nvmft_ring_cancel(struct nvmft_poll_group *group, struct nvmft_ring_op *op)
{
	struct ring *ring = &group->ring;

	/* A waiting operation must reach the kernel first, so that there is one way only in which it can end. */
	if (op->state == RING_OP_WAITING)
		ring_drain_waiting(ring);
	if (op->state == RING_OP_STARTED)
		ring_cancel_prep(op, ring);
}

int nvmft_ring_reap(struct nvmft_poll_group *group)
{
	struct io_uring *uring = &group->ring.uring;
	unsigned int left = io_uring_cq_ready(uring);
	int n = 0;

	/* What completes because of what is done here belongs to the next pass, so that a pass ends. */
	while (left-- > 0) {
		struct io_uring_cqe *cqe;
		struct nvmft_ring_op *op;
		unsigned int flags;
		int res;

		if (io_uring_peek_cqe(uring, &cqe) != 0)
			break;
		op = io_uring_cqe_get_data(cqe);
		res = cqe->res;
		flags = cqe->flags;
		io_uring_cqe_seen(uring, cqe);
		if (!op)
			continue;
		if (!(flags & IORING_CQE_F_MORE))
			op->state = RING_OP_IDLE;
		op->complete(op, res, flags);
		n++;
	}
	return n;
}

void nvmft_ring_submit(struct nvmft_poll_group *group, bool wait)
{
	struct ring *ring = &group->ring;

	if (!ring->enabled)
		return;
	if (ring->wait_head)
		ring_drain_waiting(ring);
	/*
	 * Errors need no handling here: what was not taken stays in the submission queue and is submitted again, -EINTR ends
	 * a wait early, which is harmless.
	 */
	if (wait)
		(void)io_uring_submit_and_wait(&ring->uring, 1);
	else if (io_uring_sq_ready(&ring->uring) || ring_needs_enter(ring))
		(void)io_uring_submit_and_get_events(&ring->uring);
}

bool nvmft_ring_idle(struct nvmft_poll_group *group)
{
	struct ring *ring = &group->ring;

	return !ring->wait_head && !io_uring_sq_ready(&ring->uring) && !io_uring_cq_ready(&ring->uring) &&
	       !ring_needs_enter(ring);
}
