/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LIB_POLL_GROUP_H
#define NVMFT_LIB_POLL_GROUP_H

#include <liburing.h>

#include "nvmft/provider/ring.h"
#include "nvmft/provider/transport.h"
#include "memory.h"
#include "target.h"

struct ns_channel;
struct request;

/* ring.c: the io_uring and what waits for a free submission entry. */
struct ring {
	struct io_uring uring;
	struct nvmft_ring_op *wait_head, **wait_tail; /* prepared later: the submission queue was full */
	bool enabled;
	bool armed;                 /* the host sleeps, or is about to, on @epoll_fd; @event_fd is signalled */
	int event_fd;               /* of completions */
	int epoll_fd;               /* of @event_fd and of wakes: what hosts know */
	struct io_uring_cqe *aside; /* taken out of a full completion queue by nvmft_ring_forget(); usually NULL */
	unsigned int naside, aside_done;
};

/* Completions that only an io_uring_enter() brings into the completion queue. */
static inline bool ring_needs_enter(const struct ring *ring)
{
	unsigned int flags = __atomic_load_n(ring->uring.sq.kflags, __ATOMIC_RELAXED);

	return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

/* nvmft_ring_reap() or nvmft_ring_submit() would find something to do. */
static inline bool ring_has_completions(const struct ring *ring)
{
	return io_uring_cq_ready(&ring->uring) || ring->naside;
}

static inline bool ring_has_submissions(const struct ring *ring)
{
	return ring->wait_head || io_uring_sq_ready(&ring->uring) || ring_needs_enter(ring);
}

/* timer.c: a pairing heap, so that arming never allocates; and the ring's timeout that wakes a sleeping group. */
struct timers {
	struct nvmft_timer *root;
	struct nvmft_ring_op timeout_op;
	struct __kernel_timespec ts;
	uint64_t armed_deadline; /* of timeout_op, 0: none */
};

static inline bool timers_due(const struct timers *timers, uint64_t now_ns)
{
	return timers->root && timers->root->deadline_ns <= now_ns;
}

/* msg.c: calls from other threads, newest first until the group takes them. */
struct msgs {
	_Atomic(struct nvmft_call *) head;
	atomic_bool sleeping; /* the next caller writes to wake.fd */
	struct nvmft_wake wake;
};

static inline bool msgs_waiting(struct msgs *msgs)
{
	return atomic_load_explicit(&msgs->head, memory_order_relaxed) != NULL;
}

/* A transport's part of the group with its pool of request objects. */
struct group_transport {
	struct nvmft_transport_group pub;
	struct group_transport *next;
	struct nvmft_transport_ops ops; /* zero-padded copy: ports come and go */
	struct request *free_requests;
	uint32_t nfree;
	size_t request_size;
	_Alignas(64) unsigned char priv[];
};

struct group_counters {
	nvmft_counter polls, idle_polls, sleeps;
	nvmft_counter connections, queues; /* gauges */
	nvmft_counter admin_cmds, io_cmds, errors;
	nvmft_counter requests, data_bytes, pool_bytes, buffer_waits, copied_bytes;
	nvmft_counter terminated;
};

/*
 * Everything here belongs to the thread that drives the group, except @msgs and the counters, which may be touched
 * from any, and @link, which target->view_lock protects.
 */
struct nvmft_poll_group {
	struct nvmft_target *target;
	TAILQ_ENTRY(nvmft_poll_group) link;
	pthread_t owner; /* valid when @owned: set by the first poll */
	bool owned;
	uint64_t now_ns; /* of this pass */

	struct ring ring;
	struct timers timers;
	struct msgs msgs;
	struct pool pool;
	struct group_transport *transports;

	struct nvmft_timer notes_retry; /* changed.c */
	struct nvmft_view *view;
	TAILQ_HEAD(, nvmft_queue) queues;
	TAILQ_HEAD(, nvmft_ctrl) ctrls;

	/* channel.c */
	struct ns_channel **channels; /* by nvmft_namespace.slot */
	uint32_t nchannels;
	TAILQ_HEAD(, ns_channel) dirty_channels;  /* flush at the end of the pass */
	TAILQ_HEAD(, ns_channel) polled_channels; /* backends with ops->poll and I/O outstanding */
	TAILQ_HEAD(, request) submits;            /* given to nvmft_channel_submit() from inside a completion */
	bool submitting;                          /* nvmft_channel_submit() is on the stack */

	TAILQ_HEAD(, nvmft_queue) buffer_waiters; /* queues with commands that wait for a buffer */
	uint32_t nbuffer_waiters;                 /* of these */
	struct group_counters counters;
};

/* ring.c */
int nvmft_ring_init(struct nvmft_poll_group *group);
void nvmft_ring_fini(struct nvmft_poll_group *group);
int nvmft_ring_enable(struct nvmft_poll_group *group); /* by the thread that will drive it */
int nvmft_ring_reap(struct nvmft_poll_group *group);   /* completions; returns how many */
void nvmft_ring_submit(struct nvmft_poll_group *group, bool wait);
void nvmft_ring_arm(struct ring *ring); /* from now on completions make epoll_fd readable */
void nvmft_ring_disarm(struct ring *ring);
bool nvmft_ring_idle(struct nvmft_poll_group *group); /* nothing to reap; when armed, nothing to submit */

/* timer.c */
int nvmft_timers_run(struct nvmft_poll_group *group);
bool nvmft_timers_arm_ring(struct nvmft_poll_group *group); /* false: no room in the ring, do not sleep */

/* msg.c */
int nvmft_msgs_init(struct nvmft_poll_group *group);
void nvmft_msgs_fini(struct nvmft_poll_group *group);
int nvmft_msgs_run(struct nvmft_poll_group *group);
bool nvmft_msgs_sleep(struct nvmft_poll_group *group); /* false: messages came in */
void nvmft_msgs_awake(struct nvmft_poll_group *group);
void nvmft_group_wake(struct nvmft_poll_group *group); /* any thread: look again before sleeping on */

/* poll_group.c */
struct group_transport *nvmft_group_transport(struct nvmft_poll_group *group, const struct nvmft_transport_ops *ops);
/* The pool got a region, or gives one up, as nvmft_channels_region_add() tells backends. */
int nvmft_transports_region_add(struct nvmft_poll_group *group, const struct nvmft_region *region);
void nvmft_transports_region_remove(struct nvmft_poll_group *group, const struct nvmft_region *region);
/* The end of a group in two steps: give up namespaces and the view; free the rest. */
void nvmft_poll_group_release(struct nvmft_poll_group *group);
void nvmft_poll_group_free(struct nvmft_poll_group *group);
/* A group that never had a connection, and that no thread polls (any more). */
void nvmft_poll_group_discard(struct nvmft_poll_group *group);

#endif
