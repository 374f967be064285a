/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_POLL_GROUP_H
#define NVMFT_POLL_GROUP_H

#include "target.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct nvmft_poll_group - connections and I/O that one thread drives
 *
 * A group belongs to the thread that first calls nvmft_poll() on it; from then on only that thread may poll it.
 * There are three ways to drive one:
 *
 *   while (!stop) nvmft_poll(group, 0);            a dedicated core
 *
 *   while (nvmft_poll(group, 0) > 0) ;             one file descriptor in the host's own loop
 *   if (nvmft_poll_group_arm(group) == 0)
 *           epoll_wait(...nvmft_poll_group_fd(group)...);
 *
 *   nvmft_threads_start(target, &opts);            threads of the library
 */
struct nvmft_poll_group;

/**
 * nvmft_poll_group_create() - add a poll group to a target
 *
 * Context: any thread. The group is freed by nvmft_target_destroy().
 * Return: 0; -ENOSYS or -EPERM when io_uring is missing or forbidden (the log says which); -EMFILE; -ENOMEM; -ESHUTDOWN.
 */
NVMFT_API int nvmft_poll_group_create(struct nvmft_target *target, struct nvmft_poll_group **group);

/* Sleep inside nvmft_poll() when there is nothing to do, until there is; nvmft_poll_group_call() wakes it, too. */
#define NVMFT_POLL_WAIT (1u << 0)

/**
 * nvmft_poll() - do what there is to do, once
 * @group: the group
 * @flags: 0 or NVMFT_POLL_WAIT
 *
 * Without NVMFT_POLL_WAIT it never sleeps.
 *
 * Context: the group's thread. Not from inside a callback of the library.
 * Return: the number of events handled, 0 when idle or woken for nothing; -EOWNERDEAD when called by a second thread; in
 * the first call -errno when the kernel refuses to enable the ring.
 */
NVMFT_API int nvmft_poll(struct nvmft_poll_group *group, unsigned int flags);

/**
 * nvmft_poll_group_fd() - descriptor that becomes readable when the group has work
 *
 * An epoll descriptor, to be put into the host's own epoll, poll(2), select(2) or io_uring; nothing can be read from it,
 * and nothing is to be added to it. Constant for the life of the group.
 *
 * It counts only from when nvmft_poll_group_arm() returned 0 until the next nvmft_poll(): not readable before there is
 * work, and readable from then on, until nvmft_poll_group_arm() is called again. What arrives while the group is not
 * armed may or may not show. A host that waits edge-triggered gets an edge for the first event after each arming, which
 * is enough for one that arms before each sleep, as it has to.
 *
 * Context: any thread.
 */
NVMFT_API int nvmft_poll_group_fd(struct nvmft_poll_group *group);

/**
 * nvmft_poll_group_arm() - ask for the descriptor to become readable at the next event
 *
 * To be called before each sleep, when nvmft_poll() returned 0.
 *
 * Context: the group's thread.
 * Return: 0: it is safe to sleep on the descriptor. -EAGAIN: there is work, poll again.
 */
NVMFT_API int nvmft_poll_group_arm(struct nvmft_poll_group *group);

/**
 * struct nvmft_call - a function to run on a group's thread
 *
 * Ownership: the caller's until @fn is entered.
 */
struct nvmft_call {
	void (*fn)(struct nvmft_call *call);
	struct nvmft_call *next; /* the library's */
};

/**
 * nvmft_poll_group_call() - run @call on the group's thread, in order of the calls
 *
 * Context: any thread; never fails, and never runs @call before it returns.
 */
NVMFT_API void nvmft_poll_group_call(struct nvmft_poll_group *group, struct nvmft_call *call);

/* How library threads wait for work. */
enum nvmft_poll_mode {
	NVMFT_POLL_ADAPTIVE = 0, /* spin for a bounded time after work, then sleep */
	NVMFT_POLL_ALWAYS = 1,   /* never sleep: lowest latency, a whole core per thread */
	NVMFT_POLL_NEVER = 2,    /* sleep at once: least CPU time */
};

/**
 * struct nvmft_threads_opts - options of the library's threads; a zero field means the default
 * @size: sizeof(struct nvmft_threads_opts)
 * @threads: how many, each with a poll group of its own; default 1
 * @cpus: CPU numbers to bind the threads to, in turn; NULL: not bound
 * @ncpus: entries of @cpus
 * @mode: how they wait
 * @spin_us: longest time an idle adaptive thread spins, in microseconds; default 50
 */
struct nvmft_threads_opts {
	size_t size;
	unsigned int threads;
	const int *cpus;
	unsigned int ncpus;
	enum nvmft_poll_mode mode;
	unsigned int spin_us;
};

/**
 * nvmft_threads_start() - create poll groups and threads that drive them
 *
 * Context: any thread, once per target.
 * Return: 0; -EALREADY; -EINVAL; errors of nvmft_poll_group_create() and pthread_create(3). On failure nothing is left running.
 */
NVMFT_API int nvmft_threads_start(struct nvmft_target *target, const struct nvmft_threads_opts *opts);

/**
 * nvmft_threads_stop() - end the library's threads and wait for them
 *
 * To be called after nvmft_target_stop() completed, before nvmft_target_destroy().
 *
 * Context: a thread that is not one of them. Blocks.
 */
NVMFT_API void nvmft_threads_stop(struct nvmft_target *target);

#ifdef __cplusplus
}
#endif
#endif
