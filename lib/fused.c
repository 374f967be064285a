/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fused Compare and Write (NVMe Base 2.0, 3.4.2; NVM Command Set 1.0, 2.1.3).
 *
 * The halves arrive one after the other in a queue, but fetch their data in any order. The first to be ready waits for
 * the other in EXECUTING; then the pair runs as a whole:
 *
 *   gate      pairs of a namespace run one at a time, in all poll groups together
 *   drain     commands that change blocks and came before, in this poll group, end; later ones are held back
 *   compare, then write if it matched; both complete, the first half first
 *
 * Thus a pair is atomic towards every other pair, from whatever host and in whatever group, which is what hosts build
 * locks from, and towards the plain writes of its own poll group. A plain write that another poll group does at the
 * same time may fall between compare and write; the engine does not stop other groups for it.
 *
 * While half of a pair is not executing, req->arg has the status with which it is to fail once it does, 0: none, and
 * req->step of a first half the number of commands that the queue had received with it.
 */
#include "io_cmd.h"
#include "poll_group.h"

static bool same_blocks(const struct nvmft_sqe *a, const struct nvmft_sqe *b)
{
	return a->nsid == b->nsid && a->cdw10 == b->cdw10 && a->cdw11 == b->cdw11 &&
	       sqe_lo16(a->cdw12) == sqe_lo16(b->cdw12);
}

/* End one half: now if it is the core's, otherwise when it executes. */
static void fail_half(struct request *req, nvmft_status status)
{
	req->arg = status;
	if (req->state == REQ_EXECUTING)
		nvmft_req_complete(req, status);
}

/* ---- arrival ---- */

static nvmft_status first_arrived(struct request *req)
{
	struct nvmft_queue *queue = req->pub.queue;

	if (req->pub.sqe.opcode != NVMFT_CMD_COMPARE) {
		queue->fused_failed = true;
		return req_error(req, SC_DNR(INVALID_FIELD), SQE_LOC(flags));
	}
	queue->fused_first = req;
	req->step = (uint16_t)counter_get(&queue->commands);
	return 0;
}

static nvmft_status second_arrived(struct request *req, struct request *first, bool first_failed)
{
	if (first_failed)
		return req_error(req, SC(FUSED_FAIL), SQE_LOC(flags));
	if (!first)
		return req_error(req, SC(FUSED_MISSING), SQE_LOC(flags));
	if (req->pub.sqe.opcode != NVMFT_CMD_WRITE) {
		fail_half(first, SC(FUSED_FAIL));
		return req_error(req, SC_DNR(INVALID_FIELD), SQE_LOC(flags));
	}
	/* "the commands should be aborted with status of Invalid Field": both of them */
	if (!same_blocks(&req->pub.sqe, &first->pub.sqe)) {
		fail_half(first, SC_DNR(INVALID_FIELD));
		return req_error(req, SC_DNR(INVALID_FIELD), SQE_LOC(cdw10));
	}
	req->fused = first;
	first->fused = req;
	return 0;
}

nvmft_status nvmft_fused_check(struct request *req)
{
	struct nvmft_queue *queue = req->pub.queue;
	struct request *first = queue->fused_first;
	bool first_failed = queue->fused_failed;
	unsigned int fuse = req->pub.sqe.flags & NVMFT_FUSE_MASK;

	queue->fused_first = NULL;
	queue->fused_failed = false;
	req->fused = NULL;
	req->arg = 0;
	if (fuse == NVMFT_FUSE_SECOND)
		return second_arrived(req, first, first_failed);
	if (first)
		fail_half(first, SC(FUSED_MISSING));
	if (fuse == NVMFT_FUSE_FIRST)
		return first_arrived(req);
	return fuse ? req_error(req, SC_DNR(INVALID_FIELD), SQE_LOC(flags)) : 0;
}

/* ---- what can happen to a half on its way ---- */

/*
 * A command after the first half that was refused before nvmft_fused_check() saw it (a CID in use, a bad PSDT): it was
 * the next one all the same, and the first half waits no longer.
 */
static void next_refused(struct nvmft_queue *queue, struct request *req)
{
	struct request *first = queue->fused_first;
	bool second = (req->pub.sqe.flags & NVMFT_FUSE_MASK) == NVMFT_FUSE_SECOND;

	if (!first || first->step == (uint16_t)counter_get(&queue->commands))
		return;
	queue->fused_first = NULL;
	fail_half(first, second ? SC(FUSED_FAIL) : SC(FUSED_MISSING));
}

void nvmft_fused_failed(struct request *req)
{
	struct nvmft_queue *queue = req->pub.queue;
	struct request *other = req->fused;

	if (queue->fused_first == req) {
		queue->fused_first = NULL;
		queue->fused_failed = true;
		return;
	}
	if (!other) {
		next_refused(queue, req);
		return;
	}
	req->fused = NULL;
	other->fused = NULL;
	fail_half(other, SC(FUSED_FAIL));
}

bool nvmft_fused_abort(struct request *req)
{
	if (req->channel || req->execute != nvmft_fused_execute)
		return false;
	nvmft_fused_failed(req);
	nvmft_req_complete(req, SC(ABORT_REQ));
	return true;
}

void nvmft_fused_drop(struct nvmft_queue *queue)
{
	struct request *first = queue->fused_first;

	queue->fused_first = NULL;
	if (first)
		fail_half(first, SC(ABORT_QUEUE));
}

/* ---- the gate: a queue of pairs per namespace, in the manner of Mellor-Crummey and Scott's lock ---- */

static void pair_entered(struct request *first);

static void gate_call(struct nvmft_call *call)
{
	pair_entered(container_of(call, struct request, call));
}

/* Pairs are rare and groups few, so two atomic exchanges per pair cost nothing that is seen. */
static void gate_enter(struct request *first)
{
	struct request *before;

	atomic_store_explicit(&first->gate_next, NULL, memory_order_relaxed);
	before = atomic_exchange_explicit(&first->channel->ns->fused_tail, first, memory_order_acq_rel);
	if (!before)
		pair_entered(first);
	else
		atomic_store_explicit(&before->gate_next, first, memory_order_release);
}

/*
 * The next pair runs on the thread of its own group. @first stays until the one behind it has linked itself, for
 * which another thread needs the two instructions between exchange and store of gate_enter(): no more waiting than for
 * a mutex held as long, and nobody waits but who is next to a pair of the same namespace.
 */
static void gate_leave(struct request *first)
{
	struct request *next = atomic_load_explicit(&first->gate_next, memory_order_acquire);
	struct request *expected = first;

	if (!next && atomic_compare_exchange_strong_explicit(&first->channel->ns->fused_tail, &expected, NULL,
							     memory_order_acq_rel, memory_order_acquire))
		return;
	while (!next)
		next = atomic_load_explicit(&first->gate_next, memory_order_acquire);
	next->call.fn = gate_call;
	nvmft_poll_group_call(req_group(next), &next->call);
}

/* ---- a pair runs ---- */

static void pair_release_held(struct ns_channel *ch)
{
	struct request *req;

	while (!ch->fused && (req = TAILQ_FIRST(&ch->held))) {
		TAILQ_REMOVE(&ch->held, req, link);
		req->io.state = IO_IDLE;
		req->io.status = nvmft_io_recheck(req, req->io.lba, req->io.blocks);
		ch->changing++;
		req->next(req);
	}
}

static void pair_end(struct request *first, nvmft_status first_status, nvmft_status second_status)
{
	struct request *second = first->fused;
	struct ns_channel *ch = first->channel;

	first->fused = NULL;
	second->fused = NULL;
	ch->fused = NULL;
	ch->fused_runs = false;
	ch->in_flight++;
	gate_leave(first);
	nvmft_io_end(first, first_status);
	nvmft_io_end(second, second_status);
	pair_release_held(ch);
	channel_put(ch);
}

void nvmft_fused_compared(struct request *first, nvmft_status status)
{
	struct request *second = first->fused;

	if (status) {
		pair_end(first, status, SC(FUSED_FAIL));
		return;
	}
	second->io.status = nvmft_io_recheck(second, second->io.lba, second->io.blocks);
	nvmft_write_start(second);
}

void nvmft_fused_wrote(struct request *second, nvmft_status status)
{
	pair_end(second->fused, 0, status);
}

void nvmft_fused_changed(struct ns_channel *ch)
{
	nvmft_status status;

	if (ch->changing || ch->fused_runs)
		return;
	ch->fused_runs = true;
	status = nvmft_io_recheck(ch->fused, ch->fused->io.lba, ch->fused->io.blocks);
	if (status)
		pair_end(ch->fused, status, SC(FUSED_FAIL));
	else
		nvmft_compare_start(ch->fused);
}

static void pair_entered(struct request *first)
{
	struct ns_channel *ch = first->channel;

	ch->fused = first;
	nvmft_fused_changed(ch);
}

static void pair_start(struct request *first)
{
	struct request *second = first->fused;
	nvmft_status status = nvmft_io_open(first, false);

	if (!status) {
		status = nvmft_io_open(second, true);
		if (!status) {
			second->io.status = 0;
			gate_enter(first);
			return;
		}
		channel_put(first->channel);
		first->channel = NULL;
	}
	first->fused = NULL;
	second->fused = NULL;
	nvmft_req_complete(first, status);
	nvmft_req_complete(second, SC(FUSED_FAIL));
}

void nvmft_fused_execute(struct request *req)
{
	struct request *other = req->fused;

	if (req->arg) {
		nvmft_req_complete(req, (nvmft_status)req->arg);
		return;
	}
	if (!other || other->state != REQ_EXECUTING) {
		req_set_late(req);
		return;
	}
	if ((req->pub.sqe.flags & NVMFT_FUSE_MASK) == NVMFT_FUSE_FIRST)
		pair_start(req);
	else
		pair_start(other);
}
