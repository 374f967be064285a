/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LIB_FUSED_H
#define NVMFT_LIB_FUSED_H

#include "request.h"

struct ns_channel;

/* A command of an I/O queue is half of a pair, or the last one before it was. */
static inline bool nvmft_fused_concerns(const struct request *req)
{
	const struct nvmft_queue *queue = req->pub.queue;

	return req->pub.sqe.flags & NVMFT_FUSE_MASK || queue->fused_first || queue->fused_failed;
}

/*
 * nvmft_fused_check() - called by dispatch for each command that it concerns, in order of arrival and before parsing
 *
 * Pairs the halves of Compare and Write, and fails a first half whose second did not come next.
 * Return: 0, or the status with which @req is to be failed.
 */
nvmft_status nvmft_fused_check(struct request *req);

/*
 * nvmft_fused_failed() - a request ends without having executed: if it is one half, the other one is failed
 *
 * No effect on requests that are not halves, or not any more.
 */
void nvmft_fused_failed(struct request *req);

/* An Abort found a request that executes without a channel: true when it was a half that waited for the other, and is
 * over. */
bool nvmft_fused_abort(struct request *req);

/* The queue closes: a first half that waits for its second will wait no longer. */
void nvmft_fused_drop(struct nvmft_queue *queue);

/* A half that parsed well executes here, and with it the pair when both have come so far. */
void nvmft_fused_execute(struct request *req);

/* The halves' I/O is over; steps of a pair that is running. */
void nvmft_fused_compared(struct request *first, nvmft_status status);
void nvmft_fused_wrote(struct request *second, nvmft_status status);

/* A change on the channel ended while a pair is there. */
void nvmft_fused_changed(struct ns_channel *channel);

#endif
