/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_PROVIDER_RING_H
#define NVMFT_PROVIDER_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "../poll_group.h"

#ifdef __cplusplus
extern "C" {
#endif

struct io_uring_sqe;
struct io_uring;

/**
 * struct nvmft_ring_op - one operation on the poll group's io_uring
 * @prep: fills the submission queue entry, e.g. with io_uring_prep_recv() of liburing. Called from inside
 *        nvmft_ring_start() or, when the ring is full, later in the same or the next poll pass. It must not touch user_data.
 * @complete: called for each completion, with cqe->res and cqe->flags. An operation that posts several completions
 *        (IORING_CQE_F_MORE) stays started until one without that flag.
 * @next, @state: the library's
 *
 * Not for waiting until an eventfd is readable: a group that its host drives by nvmft_poll_group_fd() would be woken
 * late, or not at all. That is what struct nvmft_wake is for.
 *
 * Ownership: the provider's, part of an object of its own; not to be moved or freed while started.
 */
struct nvmft_ring_op {
	void (*prep)(struct nvmft_ring_op *op, struct io_uring_sqe *sqe);
	void (*complete)(struct nvmft_ring_op *op, int res, unsigned int flags);
	struct nvmft_ring_op *next;
	unsigned int state;
};

/**
 * nvmft_ring_start() - start an operation
 *
 * Never fails: a full ring only delays @op->prep. All operations started in a poll pass are submitted together at
 * its end.
 *
 * Context: the group's thread.
 */
NVMFT_API void nvmft_ring_start(struct nvmft_poll_group *group, struct nvmft_ring_op *op);

/**
 * nvmft_ring_cancel() - ask for an early end of a started operation
 *
 * It completes as always, with -ECANCELED when it was still waiting. No effect on an operation that is not started.
 *
 * Context: the group's thread.
 */
NVMFT_API void nvmft_ring_cancel(struct nvmft_poll_group *group, struct nvmft_ring_op *op);

/**
 * nvmft_ring_forget() - end a started operation now, without @op->complete
 *
 * When it returns, @op may be freed and the kernel does not use what @op->prep named. Only for operations that the kernel can
 * always cancel at once (poll, read of an eventfd or socket), as it waits for that. No effect on one that is not started.
 *
 * Context: the group's thread.
 */
NVMFT_API void nvmft_ring_forget(struct nvmft_poll_group *group, struct nvmft_ring_op *op);

/**
 * nvmft_ring_started() - true between nvmft_ring_start() and the last completion
 */
static inline bool nvmft_ring_started(const struct nvmft_ring_op *op)
{
	return op->state != 0;
}

/**
 * nvmft_ring_raw() - the ring itself, for registrations (buffer rings, files) only
 *
 * Context: the group's thread.
 */
NVMFT_API struct io_uring *nvmft_ring_raw(struct nvmft_poll_group *group);

/**
 * struct nvmft_wake - an eventfd that ends the sleep of the group, however its host makes it sleep
 * @op, @group, @count, @fd, @watched: the library's
 *
 * For what is not an operation on the group's ring: interrupts and rings of devices, other threads. The pass that
 * follows has to look at everything that may have written to the eventfd; its count says nothing and is not to be read.
 *
 * Ownership: the provider's, part of an object of its own; not to be moved or freed between nvmft_wake_init() and
 * nvmft_wake_fini().
 */
struct nvmft_wake {
	struct nvmft_ring_op op;
	struct nvmft_poll_group *group;
	uint64_t count;
	int fd;
	bool watched;
};

/**
 * nvmft_wake_init() - prepare a wake; it has no effect until it is armed
 * @fd: an eventfd without EFD_NONBLOCK, of this wake only and read by nobody else; open until nvmft_wake_fini()
 *
 * Context: the group's thread.
 */
NVMFT_API void nvmft_wake_init(struct nvmft_wake *wake, struct nvmft_poll_group *group, int fd);

/**
 * nvmft_wake_arm() - let @wake end the sleep that the group prepares
 *
 * To be called each time from nvmft_transport_ops.group_arm or nvmft_backend_ops.arm, before the last look whether
 * something has come. Costs a system call once at most.
 *
 * Context: the group's thread.
 * Return: 0; -EAGAIN: the kernel has no memory for it: the group must not sleep.
 */
NVMFT_API int nvmft_wake_arm(struct nvmft_wake *wake);

/**
 * nvmft_wake_fini() - the end of a wake; before its eventfd is closed
 *
 * Context: the group's thread.
 */
NVMFT_API void nvmft_wake_fini(struct nvmft_wake *wake);

/**
 * struct nvmft_timer - a timer of a poll group
 * @fn: called once when the time has come; may arm the timer again
 * @heap, @deadline_ns, @armed: the library's
 */
struct nvmft_timer {
	void (*fn)(struct nvmft_timer *timer);
	struct nvmft_timer *heap[3];
	uint64_t deadline_ns;
	bool armed;
};

/**
 * nvmft_timer_arm() - call @timer->fn once, @delay_ns from now
 * @slack_ns: how much later is as good; timers with slack are aligned so that an idle group wakes seldom
 *
 * An armed timer is moved. Time is the target's clock, as read at the start of the poll pass.
 *
 * Context: the group's thread. Never fails.
 */
NVMFT_API void nvmft_timer_arm(struct nvmft_poll_group *group, struct nvmft_timer *timer, uint64_t delay_ns, uint64_t slack_ns);

/**
 * nvmft_timer_cancel() - do not call; no effect when not armed
 *
 * Context: the group's thread.
 */
NVMFT_API void nvmft_timer_cancel(struct nvmft_poll_group *group, struct nvmft_timer *timer);

/**
 * nvmft_group_now() - the target's clock in nanoseconds, as read at the start of the poll pass
 *
 * Context: the group's thread.
 */
NVMFT_API uint64_t nvmft_group_now(const struct nvmft_poll_group *group);

#ifdef __cplusplus
}
#endif
#endif
