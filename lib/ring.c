/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The poll group's io_uring: one place to submit to and to wait on for every socket, file and timer of the group.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"
#include "poll_group.h"

#define RING_ENTRIES 512
/* One completion may be pending for each connection at once; beyond this the kernel keeps them for us, at a cost. */
#define RING_CQ_ENTRIES 8192

enum ring_op_state {
	RING_OP_IDLE,
	RING_OP_WAITING, /* for a free submission entry */
	RING_OP_STARTED,
	RING_OP_DOOMED, /* cancelled before the kernel had it: a no-operation goes in its place, and ends it */
};

/* Edge-triggered: eventfds need not be read, and ring_drain_events() makes the descriptor unreadable whatever fired. */
static int ring_watch(struct ring *ring, int fd)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};

	return epoll_ctl(ring->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
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
	ret = ring_watch(ring, ring->event_fd);
	if (!ret)
		ret = io_uring_register_eventfd(&ring->uring, ring->event_fd);
	if (ret)
		close(ring->event_fd);
	else
		io_uring_cq_eventfd_toggle(&ring->uring, false);
	return ret;
}

static int ring_init_sleep(struct ring *ring)
{
	int ret;

	ring->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (ring->epoll_fd < 0)
		return -errno;
	ret = ring_init_eventfd(ring);
	if (ret)
		close(ring->epoll_fd);
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
	ret = ring_init_sleep(ring);
	if (ret)
		io_uring_queue_exit(&ring->uring);
	return ret;
}

void nvmft_ring_fini(struct nvmft_poll_group *group)
{
	free(group->ring.aside);
	io_uring_queue_exit(&group->ring.uring);
	close(group->ring.event_fd);
	close(group->ring.epoll_fd);
}

/* ---- sleeping ---- */

static void ring_drain_events(const struct ring *ring)
{
	struct epoll_event events[16];

	while (epoll_wait(ring->epoll_fd, events, ARRAY_SIZE(events), 0) == (int)ARRAY_SIZE(events))
		;
}

void nvmft_ring_arm(struct ring *ring)
{
	ring->armed = true;
	/* What made it readable before is dealt with, or will be seen when everybody looks once more. */
	ring_drain_events(ring);
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

static void wake_prep(struct nvmft_ring_op *op, struct io_uring_sqe *sqe)
{
	struct nvmft_wake *wake = container_of(op, struct nvmft_wake, op);

	io_uring_prep_read(sqe, wake->fd, &wake->count, sizeof(wake->count), 0);
}

/* That the group is awake is all that matters. */
static void wake_complete(struct nvmft_ring_op *op, int res, unsigned int flags)
{
	(void)op;
	(void)res;
	(void)flags;
}

void nvmft_wake_init(struct nvmft_wake *wake, struct nvmft_poll_group *group, int fd)
{
	*wake = (struct nvmft_wake){
		.op = {.prep = wake_prep, .complete = wake_complete},
		.group = group,
		.fd = fd,
	};
}

/*
 * A host that sleeps on the descriptor is woken by the eventfd itself. The way over the ring would be late, by 12 ms
 * and more: the kernel does not signal one eventfd, the ring's, from inside the signal of another, but leaves that to
 * RCU, and Linux 6.18 does even that only once.
 */
int nvmft_wake_arm(struct nvmft_wake *wake)
{
	struct ring *ring = &wake->group->ring;

	if (!ring->armed) {
		if (!nvmft_ring_started(&wake->op))
			nvmft_ring_start(wake->group, &wake->op);
		return 0;
	}
	if (wake->watched)
		return 0;
	if (ring_watch(ring, wake->fd) != 0)
		return -EAGAIN;
	wake->watched = true;
	return 0;
}

void nvmft_wake_fini(struct nvmft_wake *wake)
{
	nvmft_ring_forget(wake->group, &wake->op);
	if (wake->watched)
		(void)epoll_ctl(wake->group->ring.epoll_fd, EPOLL_CTL_DEL, wake->fd, NULL);
	wake->watched = false;
}

/* ---- operations ---- */

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
	if (unlikely(op->state == RING_OP_DOOMED)) {
		io_uring_prep_nop(sqe);
	} else {
		op->state = RING_OP_STARTED;
		op->prep(op, sqe);
	}
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

	op->state = RING_OP_WAITING;
	if (sqe) {
		ring_prepare(op, sqe);
		return;
	}
	op->next = NULL;
	*ring->wait_tail = op;
	ring->wait_tail = &op->next;
}

/* ---- ending operations early ---- */

/*
 * The kernel's own call for it, which needs no submission entry. Without @wait it does not wait for an operation that
 * it cannot end at once.
 */
static void ring_cancel_sync(struct ring *ring, struct nvmft_ring_op *op, bool wait)
{
	struct io_uring_sync_cancel_reg reg = {.addr = (uint64_t)(uintptr_t)op, .fd = -1};

	if (wait) {
		reg.timeout.tv_sec = -1;
		reg.timeout.tv_nsec = -1;
	}
	(void)io_uring_register_sync_cancel(&ring->uring, &reg);
}

/* The submission entry of @op that the kernel has not taken yet, or NULL. */
static struct io_uring_sqe *ring_find_sqe(struct ring *ring, const struct nvmft_ring_op *op)
{
	struct io_uring_sq *sq = &ring->uring.sq;

	for (unsigned int i = *sq->khead; i != sq->sqe_tail; i++)
		if (sq->sqes[i & sq->ring_mask].user_data == (uint64_t)(uintptr_t)op)
			return &sq->sqes[i & sq->ring_mask];
	return NULL;
}

/* Cancel by a submission entry of its own, whose completion nobody wants (user_data 0). */
static void ring_cancel_started(struct ring *ring, struct nvmft_ring_op *op)
{
	struct io_uring_sqe *sqe = ring_find_sqe(ring, op);

	if (sqe) {
		op->state = RING_OP_DOOMED;
		ring_prepare(op, sqe);
		return;
	}
	sqe = ring_get_sqe(ring);
	if (!sqe) {
		ring_cancel_sync(ring, op, false);
		return;
	}
	io_uring_prep_cancel(sqe, op, 0);
	io_uring_sqe_set_data(sqe, NULL);
}

void nvmft_ring_cancel(struct nvmft_poll_group *group, struct nvmft_ring_op *op)
{
	if (op->state == RING_OP_WAITING)
		op->state = RING_OP_DOOMED;
	else if (op->state == RING_OP_STARTED)
		ring_cancel_started(&group->ring, op);
}

static bool ring_unlink_waiting(struct ring *ring, struct nvmft_ring_op *op)
{
	struct nvmft_ring_op **link;

	for (link = &ring->wait_head; *link; link = &(*link)->next) {
		if (*link != op)
			continue;
		*link = op->next;
		if (!*link)
			ring->wait_tail = link;
		return true;
	}
	return false;
}

/* Make a completion nobody's. True when it is the last one of @op. */
static bool ring_void_cqe(struct io_uring_cqe *cqe, const struct nvmft_ring_op *op)
{
	if (io_uring_cqe_get_data(cqe) != op)
		return false;
	cqe->user_data = 0;
	return !(cqe->flags & IORING_CQE_F_MORE);
}

static bool ring_void_cqes(struct ring *ring, const struct nvmft_ring_op *op)
{
	struct io_uring_cqe *cqe;
	bool last = false;
	unsigned int head, i;

	for (i = ring->aside_done; i < ring->naside; i++)
		last |= ring_void_cqe(&ring->aside[i], op);
	io_uring_for_each_cqe(&ring->uring, head, cqe) last |= ring_void_cqe(cqe, op);
	return last;
}

/*
 * The completion queue is full, and the completion that is looked for may be among those that the kernel keeps back: take
 * what is there out, for the next nvmft_ring_reap().
 */
static void ring_set_aside(struct ring *ring)
{
	unsigned int n = io_uring_cq_ready(&ring->uring), head;
	struct io_uring_cqe *cqe, *aside;

	if (n < ring->uring.cq.ring_entries)
		return;
	aside = realloc(ring->aside, (ring->naside + n) * sizeof(*aside));
	if (!aside)
		return;
	ring->aside = aside;
	io_uring_for_each_cqe(&ring->uring, head, cqe) ring->aside[ring->naside++] = *cqe;
	io_uring_cq_advance(&ring->uring, n);
}

/*
 * The kernel has it: make it end now, and take the completion away. A thread that is not the owner can do neither; that is
 * only when the group is being freed and nobody polls it any more, and then nothing can happen to the operation
 * until the ring goes.
 */
static void ring_end_now(struct nvmft_poll_group *group, struct nvmft_ring_op *op)
{
	struct ring *ring = &group->ring;

	if (ring_void_cqes(ring, op) || !pthread_equal(group->owner, pthread_self()))
		return;
	do {
		ring_cancel_sync(ring, op, true);
		ring_set_aside(ring);
		(void)io_uring_get_events(&ring->uring);
	} while (!ring_void_cqes(ring, op));
}

void nvmft_ring_forget(struct nvmft_poll_group *group, struct nvmft_ring_op *op)
{
	struct io_uring_sqe *sqe;

	if (op->state == RING_OP_IDLE)
		return;
	if (!ring_unlink_waiting(&group->ring, op)) {
		sqe = ring_find_sqe(&group->ring, op);
		if (sqe) {
			io_uring_prep_nop(sqe);
			io_uring_sqe_set_data(sqe, NULL);
		} else {
			ring_end_now(group, op);
		}
	}
	op->state = RING_OP_IDLE;
}

/* Returns 1, or 0 when it was nobody's. */
static int ring_complete(const struct io_uring_cqe *cqe)
{
	struct nvmft_ring_op *op = io_uring_cqe_get_data(cqe);
	int res = cqe->res;

	if (!op)
		return 0;
	if (unlikely(op->state == RING_OP_DOOMED))
		res = -ECANCELED;
	if (!(cqe->flags & IORING_CQE_F_MORE))
		op->state = RING_OP_IDLE;
	op->complete(op, res, cqe->flags);
	return 1;
}

/* What nvmft_ring_forget() took out of a full queue. It may come to it again from here. */
static int ring_reap_aside(struct ring *ring)
{
	int n = 0;

	while (ring->aside_done < ring->naside) {
		struct io_uring_cqe cqe = ring->aside[ring->aside_done++];

		n += ring_complete(&cqe);
	}
	free(ring->aside);
	ring->aside = NULL;
	ring->naside = 0;
	ring->aside_done = 0;
	return n;
}

int nvmft_ring_reap(struct nvmft_poll_group *group)
{
	struct io_uring *uring = &group->ring.uring;
	unsigned int left;
	int n = 0;

	if (unlikely(group->ring.naside))
		n = ring_reap_aside(&group->ring);
	left = io_uring_cq_ready(uring);
	/* What completes because of what is done here belongs to the next pass, so that a pass ends. */
	while (left-- > 0) {
		struct io_uring_cqe *next, cqe;

		if (io_uring_peek_cqe(uring, &next) != 0)
			break;
		cqe = *next;
		io_uring_cqe_seen(uring, next);
		n += ring_complete(&cqe);
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

	return !ring->wait_head && !ring->naside && !(ring->armed && io_uring_sq_ready(&ring->uring)) &&
	       !io_uring_cq_ready(&ring->uring) && !ring_needs_enter(ring);
}
