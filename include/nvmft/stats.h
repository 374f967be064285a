/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_STATS_H
#define NVMFT_STATS_H

#include "namespace.h"
#include "target.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct nvmft_target_stats - sums over all poll groups since the target was created
 * @polls: poll passes, @idle_polls: those that found nothing
 * @sleeps: times a group was armed to sleep
 * @connections, @queues: open now: transport connections, and those that completed Connect
 * @admin_cmds, @io_cmds, @errors: commands completed; those with a status other than 0
 * @requests: request objects allocated now (in use or pooled)
 * @data_bytes: bytes of data buffers that commands had at the end of the last pass, and of what RDMA may receive; @pool_bytes: bytes of memory behind them
 * @buffer_waits: commands that had to wait for a data buffer
 * @copied_bytes: data bytes that the library copied between buffers
 * @terminated: connections ended because the peer broke the protocol
 */
struct nvmft_target_stats {
	size_t size;
	uint64_t polls, idle_polls, sleeps;
	uint64_t connections, queues;
	uint64_t admin_cmds, io_cmds, errors;
	uint64_t requests, data_bytes, pool_bytes, buffer_waits, copied_bytes;
	uint64_t terminated;
};

/**
 * nvmft_target_stats() - read the counters
 * @stats: filled; the caller sets stats->size
 *
 * Context: any thread; takes no lock that I/O takes. Values of running groups may be a moment old.
 * Return: 0; -EINVAL.
 */
NVMFT_API int nvmft_target_stats(struct nvmft_target *target, struct nvmft_target_stats *stats);

/**
 * struct nvmft_namespace_stats - sums over all poll groups since the namespace was added
 */
struct nvmft_namespace_stats {
	size_t size;
	uint64_t reads, read_blocks;
	uint64_t writes, written_blocks;
	uint64_t others, errors;
};

/**
 * nvmft_namespace_stats() - read the counters
 * @stats: filled; the caller sets stats->size
 *
 * Context: any thread.
 * Return: 0; -EINVAL.
 */
NVMFT_API int nvmft_namespace_stats(struct nvmft_namespace *ns, struct nvmft_namespace_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
