/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a command: RECEIVED -> WAIT_BUFFERS -> FETCHING -> EXECUTING -> RESPONDING, with one owner at each
 * moment.
 */
#include <errno.h>
#include <stdlib.h>

#include "channel.h"
#include "cid.h"
#include "controller.h"
#include "fused.h"
#include "request.h"
#include "sgl.h"

/* Where a request says what its data is. */
#define DATA_BEGIN offsetof(struct request, pub.iov)
#define DATA_END (offsetof(struct request, pub.given.base) + sizeof(void *))
_Static_assert(offsetof(struct request, pub.priv) < DATA_BEGIN, "what stays for the life of the object is in front");

/* Request objects that a group keeps for the next burst, per transport: about 1 MiB. */
#define REQUEST_POOL_MAX 1024u
/* Buffers that a queue may have beyond the limit, for commands that the core answers itself. */
#define PRIVILEGED_MAX (64u * 1024)

/* ---- objects ---- */

/* Only while the number of commands in flight grows beyond what it was. */
static struct request *request_alloc(struct nvmft_queue *queue)
{
	struct request *req = zalloc_aligned(queue->gt->request_size);

	if (!req)
		return NULL;
	req->pub.priv = req->transport_priv;
	req->io.priv = req->io_priv;
	counter_add(&queue->group->counters.requests, 1);
	return req;
}

void nvmft_request_pool_fini(struct group_transport *gt)
{
	struct request *req;

	while ((req = gt->free_requests)) {
		gt->free_requests = req->hash_next;
		free(req);
	}
	gt->nfree = 0;
}

/* Only what a command may find changed by the one before: the object is large, and most of it is written before it is
 * read. */
static inline struct nvmft_request *request_begin_life(struct request *req, struct nvmft_queue *queue)
{
	queue->in_flight++;
	queue->requests++;
	req->pub.queue = queue;
	req->pub.cqe.dw0 = 0;
	req->pub.cqe.dw1 = 0;
	/* No iov, no data, nothing given. */
	memset((unsigned char *)req + DATA_BEGIN, 0, DATA_END - DATA_BEGIN);
	req->state = REQ_RECEIVED;
	req->hashed = false;
	req->aborted = false;
	req->lent = false;
	req->pooled = false;
	req->arrived = false;
	req->lend = false;
	req->want_bounce = false;
	req->late = false;
	req->iov_bounce.base = NULL;
	req->error_loc = NO_LOC;
	req->channel = NULL;
	req->fused = NULL;
	return &req->pub;
}

static rarely struct nvmft_request *request_get_new(struct nvmft_queue *queue, int *error)
{
	struct request *req;

	/* A queue of SQSIZE + 1 entries is full with SQSIZE commands (3.3.1.2.1). */
	if (queue->in_flight >= queue->sqsize) {
		*error = -EOVERFLOW;
		return NULL;
	}
	req = request_alloc(queue);
	if (!req) {
		*error = -ENOMEM;
		return NULL;
	}
	return request_begin_life(req, queue);
}

struct nvmft_request *nvmft_request_get(struct nvmft_queue *queue, int *error)
{
	struct group_transport *gt = queue->gt;
	struct request *req = gt->free_requests;

	if (unlikely(!req || queue->in_flight >= queue->sqsize))
		return request_get_new(queue, error);
	gt->free_requests = req->hash_next;
	gt->nfree--;
	return request_begin_life(req, queue);
}

/* As the queue's share counts it. */
static uint64_t request_pages(const struct request *req)
{
	const uint64_t mask = (1u << POOL_MIN_SHIFT) - 1;

	return (req->pub.data_len + mask) & ~mask;
}

/* @iov_own is from the pool. */
static inline void request_own(struct request *req)
{
	req->pooled = true;
	req->pub.queue->held += request_pages(req);
	req->pub.iov = &req->iov_own;
	req->pub.iovcnt = 1;
}

static void request_put_own(struct request *req)
{
	req->pooled = false;
	req->pub.queue->held -= request_pages(req);
	nvmft_pool_put(req_group(req), &req->iov_own);
}

/* Nobody looks at it, and the host may take its time to take the response. */
static void request_drop_given(struct request *req)
{
	if (!req->pub.given.base)
		return;
	nvmft_buffer_put(req_group(req), &req->pub.given);
	req->pub.given.base = NULL;
}

static void request_give_back_memory(struct request *req)
{
	struct nvmft_poll_group *group = req_group(req);

	if (req->lent)
		req->channel->ns->ops.lend_end(&req->channel->pub, &req->io);
	if (req->pooled)
		request_put_own(req);
	request_drop_given(req);
	if (req->iov_bounce.base)
		nvmft_pool_put(group, &req->iov_bounce);
	if (req->channel)
		channel_put(req->channel);
}

/* Once. The host may use the CID and the queue entry again as soon as it can see the response. */
static inline void request_leave_queue(struct request *req)
{
	struct nvmft_queue *queue = req->pub.queue;

	nvmft_cid_remove(&queue->cids, req);
	queue->in_flight--;
}

static void request_to_pool(struct group_transport *gt, struct request *req)
{
	req->hash_next = gt->free_requests;
	gt->free_requests = req;
	gt->nfree++;
}

static rarely void request_free_other(struct request *req)
{
	struct nvmft_queue *queue = req->pub.queue;

	request_give_back_memory(req);
	if (queue->gt->nfree < REQUEST_POOL_MAX) {
		request_to_pool(queue->gt, req);
	} else {
		counter_add(&queue->group->counters.requests, (uint64_t)-1);
		free(req);
	}
	queue->requests--;
	if (queue->transport_gone)
		nvmft_queue_maybe_destroy(queue);
}

static inline bool request_free_is_usual(const struct request *req)
{
	const struct nvmft_queue *queue = req->pub.queue;

	return !queue->transport_gone && queue->gt->nfree < REQUEST_POOL_MAX && !req->pub.given.base &&
	       !req->iov_bounce.base;
}

static __attribute__((noinline)) void request_free_lent(struct request *req)
{
	struct nvmft_queue *queue = req->pub.queue;
	struct ns_channel *ch = req->channel;

	ch->ns->ops.lend_end(&ch->pub, &req->io);
	channel_put(ch);
	request_to_pool(queue->gt, req);
	queue->requests--;
}

/* Most commands have a backend's pages, or a buffer of their own, or neither. */
static inline void request_free(struct request *req)
{
	struct nvmft_queue *queue = req->pub.queue;

	req->state = REQ_FREE;
	if (unlikely(!request_free_is_usual(req) || (req->channel && !req->lent))) {
		request_free_other(req);
		return;
	}
	if (req->lent) {
		request_free_lent(req);
		return;
	}
	request_to_pool(queue->gt, req);
	queue->requests--;
	/* Last, so that nothing has to be kept for after it: nobody takes the object meanwhile. */
	if (req->pooled)
		request_put_own(req);
}

static rarely void request_end(struct request *req)
{
	request_leave_queue(req);
	request_free(req);
}

/* ---- buffers ---- */

static bool request_second_half(const struct request *req)
{
	return req->fused && (req->pub.sqe.flags & NVMFT_FUSE_MASK) == NVMFT_FUSE_SECOND;
}

/* Admin commands and Connect. */
static bool request_of_core(const struct request *req)
{
	const struct nvmft_queue *queue = req->pub.queue;

	return queue->qid == 0 || queue->state != QUEUE_LIVE;
}

/*
 * Data in a capsule that waits holds up all that comes behind it on the connection: among it data for which buffers
 * were granted, whose return the capsule may be waiting for.
 */
static bool request_holds_up(const struct request *req)
{
	return req->pub.sgl == NVMFT_SGL_IN_CAPSULE && req->pub.queue->fetching;
}

/*
 * The second half of a fused pair is waited for by a first half that holds buffers. What the core answers does not wait
 * for I/O, as long as it is no more than hosts in good health ask for at a time.
 */
static bool request_privileged(const struct request *req)
{
	return request_second_half(req) || request_holds_up(req) ||
	       (request_of_core(req) && req->pub.queue->held + request_pages(req) <= PRIVILEGED_MAX);
}

/*
 * Hosts may take buffers and then neither send nor read. So what a queue has may never be more than what is left to the
 * others: one such queue gets half of the memory, the next half of the rest, and there always is a rest.
 */
static bool request_over_share(const struct request *req)
{
	const struct nvmft_queue *queue = req->pub.queue;
	const struct pool *pool = &queue->group->pool;

	return pool->used + queue->held + 2 * request_pages(req) > pool->limit;
}

/* It exists already, so no limit keeps the command from it. */
static void request_take_given(struct request *req)
{
	if (req->pub.sgl != NVMFT_SGL_IN_CAPSULE) {
		request_drop_given(req);
		return;
	}
	req->iov_own = req->pub.given;
	req->iov_own.len = req->pub.data_len;
	req->pub.given.base = NULL;
	nvmft_pool_adopt(req_group(req), &req->iov_own);
	req->arrived = true;
	request_own(req);
}

static bool request_wants_own(const struct request *req)
{
	return !req->pub.borrowed && !req->lend && !req->arrived;
}

static bool request_wants_buffers(const struct request *req)
{
	return request_wants_own(req) || req->want_bounce;
}

/*
 * The usual cases of request_grant(): none is wanted, or one that nobody else waits for. false: it is another case.
 * Privilege matters only where something is refused.
 */
static inline bool request_grant_at_once(struct request *req)
{
	struct nvmft_queue *queue = req->pub.queue;

	if (unlikely(req->want_bounce || queue->qid == 0))
		return false;
	if (!request_wants_own(req))
		return true;
	/* Twice the pages are more than the buffer, so that a share never is more than the limit leaves. */
	if (unlikely(!TAILQ_EMPTY(&queue->buffer_waiters) || request_over_share(req)) ||
	    nvmft_pool_take(queue->group, req->pub.data_len, &req->iov_own) != 0)
		return false;
	request_own(req);
	return true;
}

/* Both buffers or none, so that requests cannot hold one each and wait for the other's. */
static int request_grant(struct request *req)
{
	struct nvmft_poll_group *group = req_group(req);
	bool privileged = request_privileged(req);
	int ret;

	if (request_wants_own(req)) {
		if (!privileged && request_over_share(req))
			return -EAGAIN;
		ret = nvmft_pool_get(group, req->pub.data_len, privileged, &req->iov_own);
		if (ret)
			return ret;
		request_own(req);
	}
	if (!req->want_bounce)
		return 0;
	/* One that arrived with its command cannot be given back: those that hold one would wait for each other for
	 * ever. */
	ret = nvmft_pool_get(group, req->pub.data_len, privileged || req->arrived, &req->iov_bounce);
	if (!ret)
		return 0;
	req->iov_bounce.base = NULL;
	if (req->pooled && !req->arrived)
		request_put_own(req);
	return ret;
}

/* Maybe it waited, or its data came in later, and the queue is about to be deleted: what has not begun is not begun. */
static void request_run(struct request *req)
{
	struct nvmft_queue *queue = req->pub.queue;

	assert(req->state == REQ_RECEIVED || req->state == REQ_WAIT_BUFFERS || req->state == REQ_FETCHING);
	req->state = REQ_EXECUTING;
	if (unlikely(queue->state >= QUEUE_CLOSING)) {
		nvmft_fused_failed(req);
		nvmft_req_complete(req, SC(ABORT_QUEUE));
		return;
	}
	/* Mostly the world is still the one that it was parsed in. */
	if (likely(req->view_gen == queue->group->view->gen))
		req->late = false;
	req->execute(req);
}

static void request_clear_data(struct request *req)
{
	uint32_t i;

	for (i = 0; i < req->pub.iovcnt; i++)
		memset(req->pub.iov[i].base, 0, req->pub.iov[i].len);
}

static inline bool request_wants_data(const struct request *req)
{
	return !req->pub.borrowed && !req->arrived;
}

static inline void request_fetch(struct request *req)
{
	struct nvmft_queue *queue = req->pub.queue;

	assert(req->state == REQ_RECEIVED || req->state == REQ_WAIT_BUFFERS);
	req->state = REQ_FETCHING;
	req_set_late(req);
	queue->fetching += req->pub.sgl != NVMFT_SGL_IN_CAPSULE;
	queue->gt->ops.fetch(&req->pub);
}

static void request_with_buffers(struct request *req)
{
	/* What the core answers itself may be shorter than what was asked for: the rest must not be somebody else's
	 * data. */
	if (req->pub.dir == NVMFT_DIR_TO_HOST && request_of_core(req))
		request_clear_data(req);
	if (req->pub.dir == NVMFT_DIR_FROM_HOST && request_wants_data(req))
		request_fetch(req);
	else
		request_run(req);
}

/* No longer FETCHING. */
static void request_fetch_over(struct request *req)
{
	assert(req->state == REQ_FETCHING);
	req->pub.queue->fetching -= req->pub.sgl != NVMFT_SGL_IN_CAPSULE;
}

/*
 * A second half stands right behind its first half. In front of it or elsewhere it would hold buffers for a pair that
 * cannot run, and enough of those would keep from everybody what the first halves wait for.
 */
static void request_wait(struct request *req)
{
	struct nvmft_queue *queue = req->pub.queue;
	struct nvmft_poll_group *group = queue->group;

	req_set_state(req, REQ_RECEIVED, REQ_WAIT_BUFFERS);
	req_set_late(req);
	if (TAILQ_EMPTY(&queue->buffer_waiters)) {
		TAILQ_INSERT_TAIL(&group->buffer_waiters, queue, wait_link);
		group->nbuffer_waiters++;
	}
	if (request_second_half(req))
		TAILQ_INSERT_AFTER(&queue->buffer_waiters, req->fused, req, link);
	else if (req->pub.sgl == NVMFT_SGL_IN_CAPSULE)
		/* Nothing in front may start to fetch: its data would come behind this capsule. */
		TAILQ_INSERT_HEAD(&queue->buffer_waiters, req, link);
	else
		TAILQ_INSERT_TAIL(&queue->buffer_waiters, req, link);
	counter_add(&group->counters.buffer_waits, 1);
}

static void request_wait_over(struct request *req)
{
	struct nvmft_queue *queue = req->pub.queue;

	TAILQ_REMOVE(&queue->buffer_waiters, req, link);
	if (!TAILQ_EMPTY(&queue->buffer_waiters))
		return;
	TAILQ_REMOVE(&queue->group->buffer_waiters, queue, wait_link);
	queue->group->nbuffer_waiters--;
}

/* Those of the queue that wait already go first; those of others may wait for nothing but their own host. */
static bool request_must_wait(const struct request *req)
{
	if (req->arrived)
		return false;
	if (request_privileged(req))
		return request_second_half(req) && req->pub.sgl != NVMFT_SGL_IN_CAPSULE &&
		       req->fused->state == REQ_WAIT_BUFFERS;
	return !TAILQ_EMPTY(&req->pub.queue->buffer_waiters);
}

static rarely bool request_begin_other(struct request *req)
{
	int ret;

	if (!request_wants_buffers(req))
		ret = 0;
	else
		ret = request_must_wait(req) ? -EAGAIN : request_grant(req);
	if (ret == 0) {
		request_with_buffers(req);
		return true;
	}
	if (ret == -EAGAIN) {
		request_wait(req);
		return true;
	}
	nvmft_req_fail(req, SC(INTERNAL));
	return false;
}

/*
 * Nearly all commands of I/O queues find their buffer here, or bring it along, and go on at once. What waits, and what
 * the core answers, goes the long way.
 */
static inline bool request_begin(struct request *req)
{
	if (req->pub.given.base)
		request_take_given(req);
	if (req->pub.dir != NVMFT_DIR_NONE) {
		if (unlikely(!request_grant_at_once(req)))
			return request_begin_other(req);
		if (req->pub.dir == NVMFT_DIR_FROM_HOST && request_wants_data(req)) {
			request_fetch(req);
			return true;
		}
	}
	req->state = REQ_EXECUTING;
	req->execute(req);
	return true;
}

static int queue_serve_waiters(struct nvmft_queue *queue)
{
	struct request *req;
	int n = 0;

	while ((req = TAILQ_FIRST(&queue->buffer_waiters)) != NULL) {
		int ret = request_grant(req);

		if (ret == -EAGAIN)
			break;
		request_wait_over(req);
		n++;
		if (ret)
			nvmft_req_fail(req, SC(INTERNAL));
		else
			request_with_buffers(req);
	}
	return n;
}

/* Each queue in turn, as one that has its share must not hold up the others. */
int nvmft_request_serve_waiters(struct nvmft_poll_group *group)
{
	struct nvmft_queue *queue;
	int n = 0;

	for (uint32_t i = group->nbuffer_waiters; i > 0 && (queue = TAILQ_FIRST(&group->buffer_waiters)); i--) {
		TAILQ_REMOVE(&group->buffer_waiters, queue, wait_link);
		TAILQ_INSERT_TAIL(&group->buffer_waiters, queue, wait_link);
		n += queue_serve_waiters(queue);
	}
	return n;
}

/* ---- the three beats ---- */

static rarely bool request_refuse(struct request *req, nvmft_status status)
{
	nvmft_req_fail(req, status);
	return false;
}

/* Of an I/O queue that is connected, and without anything that is rare in its first two bytes. */
static inline bool request_is_plain_io(const struct request *req)
{
	const struct nvmft_queue *queue = req->pub.queue;

	return queue->state == QUEUE_LIVE && queue->qid && req->pub.sqe.flags == NVMFT_PSDT_SGL &&
	       req->pub.sqe.opcode != NVMFT_OPC_FABRICS && !nvmft_fused_concerns(req);
}

static inline bool request_parse(struct request *req)
{
	nvmft_status status = likely(request_is_plain_io(req)) ? nvmft_parse_io_cmd(req) : nvmft_parse_other_cmd(req);

	return unlikely(status) ? request_refuse(req, status) : request_begin(req);
}

static rarely bool request_start_other(struct request *req)
{
	int ret = nvmft_cid_insert(&req->pub.queue->cids, req);

	if (ret == -EEXIST)
		return request_refuse(req, req_error(req, SC_DNR(CMDID_CONFLICT), SQE_LOC(cid)));
	return ret ? request_refuse(req, SC(INTERNAL)) : request_parse(req);
}

bool nvmft_request_start(struct nvmft_request *pub)
{
	struct request *req = to_req(pub);
	struct nvmft_queue *queue = pub->queue;

	counter_add(&queue->commands, 1);
	queue->sqhd = queue->sqhd == queue->sqsize ? 0 : (uint16_t)(queue->sqhd + 1);
	return likely(nvmft_cid_insert_first(&queue->cids, req)) ? request_parse(req) : request_start_other(req);
}

void nvmft_request_execute(struct nvmft_request *pub)
{
	request_fetch_over(to_req(pub));
	request_run(to_req(pub));
}

void nvmft_request_fetch_failed(struct nvmft_request *pub, nvmft_status status)
{
	request_fetch_over(to_req(pub));
	nvmft_req_fail(to_req(pub), status);
}

void nvmft_req_fail(struct request *req, nvmft_status status)
{
	assert(req->state == REQ_RECEIVED || req->state == REQ_WAIT_BUFFERS || req->state == REQ_FETCHING);
	req->state = REQ_EXECUTING;
	nvmft_fused_failed(req);
	nvmft_req_complete(req, status);
}

static inline void request_respond(struct request *req, nvmft_status status)
{
	struct nvmft_queue *queue = req->pub.queue;
	struct group_counters *counters = &queue->group->counters;

	counter_add(likely(queue->qid) ? &counters->io_cmds : &counters->admin_cmds, 1);
	if (unlikely(queue->transport_gone)) {
		request_end(req);
		return;
	}
	req->pub.cqe.cid = req->pub.sqe.cid;
	req->pub.cqe.sqhd = htole16(queue->sqflow_disabled ? 0xffff : queue->sqhd);
	req->pub.cqe.status = htole16((uint16_t)(status << 1));
	request_leave_queue(req);
	queue->gt->ops.respond(&req->pub);
}

static rarely void request_respond_error(struct request *req, nvmft_status status)
{
	struct nvmft_queue *queue = req->pub.queue;

	/* Aborted by nvmft_queue_drain(): there was no Abort command. */
	if (status == SC(ABORT_REQ) && queue->state >= QUEUE_CLOSING)
		status = SC(ABORT_QUEUE);
	counter_add(&queue->group->counters.errors, 1);
	if (queue->ctrl && (status & 0x7ff) != SC(ABORT_QUEUE))
		nvmft_error_log_record(req, status);
	request_drop_given(req);
	request_respond(req, status);
}

void nvmft_req_complete(struct request *req, nvmft_status status)
{
	req_set_state(req, REQ_EXECUTING, REQ_RESPONDING);
	if (unlikely(status))
		request_respond_error(req, status);
	else
		request_respond(req, 0);
}

/* The connection is gone before there was a response. */
static rarely void request_abandon(struct request *req)
{
	assert(req->state == REQ_FETCHING || req->state == REQ_RECEIVED);
	if (req->state == REQ_FETCHING) {
		request_fetch_over(req);
		nvmft_fused_failed(req);
	}
	request_end(req);
}

void nvmft_request_release(struct nvmft_request *pub)
{
	struct request *req = to_req(pub);

	if (unlikely(req->state != REQ_RESPONDING))
		request_abandon(req);
	else
		request_free(req);
}

/* ---- helpers of the rooms ---- */

nvmft_status nvmft_req_no_data(struct request *req, void (*execute)(struct request *))
{
	req->execute = execute;
	req->pub.dir = NVMFT_DIR_NONE;
	return 0;
}

nvmft_status nvmft_req_data(struct request *req, void (*execute)(struct request *), enum nvmft_dir dir, uint64_t len)
{
	return len ? req_data(req, execute, dir, len) : nvmft_req_no_data(req, execute);
}

/* Copy between @bytes and the command's data at @offset; returns how much, which is less where the data ends. */
static size_t req_copy(struct request *req, size_t offset, unsigned char *bytes, size_t len, bool out)
{
	size_t done = 0;
	uint32_t i;

	for (i = 0; i < req->pub.iovcnt && done < len; i++) {
		struct nvmft_iov *iov = &req->pub.iov[i];
		unsigned char *data = iov->base;
		size_t n;

		if (offset >= iov->len) {
			offset -= iov->len;
			continue;
		}
		n = iov->len - offset < len - done ? iov->len - offset : len - done;
		memcpy(out ? data + offset : bytes + done, out ? bytes + done : data + offset, n);
		done += n;
		offset = 0;
	}
	return done;
}

void nvmft_req_copy_out(struct request *req, size_t offset, const void *src, size_t len)
{
	/* Only read from, in this direction. */
	req_copy(req, offset, (unsigned char *)(uintptr_t)src, len, true);
}

size_t nvmft_req_copy_in(struct request *req, size_t offset, void *dst, size_t len)
{
	return req_copy(req, offset, dst, len, false);
}

/* ---- Abort ---- */

static bool abort_fetching(struct request *req)
{
	const struct nvmft_transport_ops *ops = &req->pub.queue->gt->ops;

	if (!ops->fetch_abort || ops->fetch_abort(&req->pub) != 0)
		return false;
	request_fetch_over(req);
	nvmft_req_fail(req, SC(ABORT_REQ));
	return true;
}

/* The backend may end the command inside the call, or later, or not early at all: what counts is whether it is over
 * now. */
static bool abort_executing(struct request *req)
{
	struct nvmft_queue *queue = req->pub.queue;
	uint16_t cid = req->pub.sqe.cid;

	if (!req->channel)
		return nvmft_fused_abort(req);
	nvmft_channel_abort(req);
	return nvmft_cid_find(&queue->cids, cid) == NULL;
}

bool nvmft_request_abort(struct request *req)
{
	switch ((enum request_state)req->state) {
	case REQ_WAIT_BUFFERS:
		request_wait_over(req);
		nvmft_req_fail(req, SC(ABORT_REQ));
		return true;
	case REQ_FETCHING:
		return abort_fetching(req);
	case REQ_EXECUTING:
		return abort_executing(req);
	default:
		return false;
	}
}

void nvmft_request_drop_waiters(struct nvmft_queue *queue)
{
	struct request *req;

	while ((req = TAILQ_FIRST(&queue->buffer_waiters))) {
		request_wait_over(req);
		nvmft_req_fail(req, SC(ABORT_QUEUE));
	}
}
