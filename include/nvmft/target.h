/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TARGET_H
#define NVMFT_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log.h"
#include "version.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct nvmft_target - one NVMe over Fabrics target
 *
 * Everything hangs from it; two targets in one process never meet. A target owns its
 * subsystems, ports, hosts and poll groups.
 */
struct nvmft_target;

/**
 * struct nvmft_done - completion of an asynchronous control operation
 * @fn: called exactly once with 0 or -errno, never from inside the call that was given
 *      the structure, from the thread of one of the target's poll groups. It may not poll, nor destroy the target: note
 *      that it was called and return.
 *
 * Ownership: the caller's, usually embedded in an object of its own; it must stay valid
 * until @fn is entered and is not touched after that.
 */
struct nvmft_done {
	void (*fn)(struct nvmft_done *done, int result);
};

/**
 * struct nvmft_target_opts - options of a target; a zero field means the default
 * @size: sizeof(struct nvmft_target_opts)
 * @log: where messages go; default nowhere
 * @log_level: least severe level that is written; default NVMFT_LOG_INFO
 * @now_ns: monotonic clock in nanoseconds; default CLOCK_MONOTONIC. Read once per poll
 *          pass. With a clock of its own a test can let hours pass.
 * @random: fills @len bytes, returns 0 or -errno; default getrandom(2). For authentication: nothing in this version needs it.
 * @time_ctx: passed to @now_ns and @random
 * @data_memory_max: most bytes of data buffers that one poll group may hold for I/O
 *          commands in flight; default 256 MiB. Commands beyond wait; small admin commands and
 *          Connect never do.
 *          A queue is given no more of it than it leaves to the others.
 * @connect_timeout_ms: a connection that has not completed Connect in this time is
 *          closed; default 10 000
 * @discovery_nqn: NQN of the discovery subsystem in addition to the well-known one
 *          (unique discovery NQN); default none. Copied.
 */
struct nvmft_target_opts {
	size_t size;
	struct nvmft_log_sink log;
	enum nvmft_log_level log_level;
	uint64_t (*now_ns)(void *ctx);
	int (*random)(void *ctx, void *buf, size_t len);
	void *time_ctx;
	uint64_t data_memory_max;
	uint32_t connect_timeout_ms;
	uint32_t reserved;
	const char *discovery_nqn;
};

/**
 * nvmft_target_create() - create a target
 * @opts: options, copied; NULL means all defaults
 * @target: the new target
 *
 * Context: any thread. Starts no thread and opens no file descriptor.
 * Return: 0; -EINVAL for an option out of range; -ENOMEM.
 */
NVMFT_API int nvmft_target_create(const struct nvmft_target_opts *opts, struct nvmft_target **target);

/**
 * nvmft_target_stop() - end service: close listeners and connections, finish I/O
 * @target: the target
 * @done: called when the last I/O is over and the last connection is closed
 *
 * From now on every call that changes the configuration returns -ESHUTDOWN. The poll groups must be driven until @done
 * is called.
 *
 * Context: any thread.
 * Return: 0; -EALREADY when stopping or stopped; -ENOMEM, and nothing changed. A target without poll groups has
 * nothing to wait for: -ENXIO, and it can be destroyed at once.
 */
NVMFT_API int nvmft_target_stop(struct nvmft_target *target, struct nvmft_done *done);

/**
 * nvmft_target_destroy() - free a stopped target with everything in it
 * @target: the target; NULL is allowed
 *
 * Frees the poll groups too: their threads must have left nvmft_poll() for good.
 *
 * Context: any thread, when no other thread uses the target.
 * Return: 0; -EBUSY when nvmft_target_stop() has not completed, and nothing was freed.
 */
NVMFT_API int nvmft_target_destroy(struct nvmft_target *target);

#ifdef __cplusplus
}
#endif
#endif
