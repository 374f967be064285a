/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_RDMA_MODEL_H
#define BENCH_RDMA_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "host_pdu.h"

/*
 * An RDMA device and its network in memory: the functions of libibverbs and librdmacm that the library calls, defined
 * by the program, where the dynamic linker finds them first. Everything happens inside the call that causes it, in one
 * thread. What the target writes and sends is there, and completes, when it is posted.
 */

struct model_queue;

/* What was asked of the device since the program began. */
struct model_calls {
	uint64_t doorbells; /* chains of sends that were posted */
	uint64_t receives;  /* chains of receives that were posted */
	uint64_t notifies;  /* times that a completion queue was asked to tell */
	uint64_t wakeups;   /* events of completions */
};
extern struct model_calls model_calls;

/* A connection request; the target's poll group does the rest. */
struct model_queue *model_connect(uint16_t qid, uint32_t depth, void (*response)(void *ctx, const struct host_cqe *cqe),
				  void *ctx);
bool model_established(const struct model_queue *queue);

/* A capsule; false: no receive is posted. */
bool model_send(struct model_queue *queue, const struct host_sqe *sqe, const void *data, uint32_t len);

#endif
