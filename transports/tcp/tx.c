/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <liburing.h>

#include <nvme/types.h>

#include "tcp.h"

/*
 * Responses are put into the connection's next message as they come; at the end of a pass it leaves in one sendmsg.
 * While that is in progress more gather for the one after it. R2Ts, and responses that find no room, queue behind it.
 */

/* Room that the pieces of one response outside of its data may take. */
#define PIECES_IOVS 3u
#define PIECES_BYTES (TCP_BUILD_MAX + TCP_DIGEST_LEN + TCP_BUILD_MAX)
/* Of one that is plain, at least: powers of two. */
#define PLAIN_IOVS 4u
#define PLAIN_BYTES 64u

struct tx_batch {
	struct tx_batch *next;
	struct iovec *iov_end;    /* behind the last of @iov */
	uint8_t *scratch_end;     /* behind what is used of @scratch */
	uint64_t data;            /* bytes elsewhere: of response data */
	uint32_t nresps;          /* responses that end here */
	bool scratch_last;        /* the last iov ends at @scratch_end */
	struct tcp_req_list reqs; /* to be released when all is sent */
	size_t left;              /* bytes not yet sent */
	struct msghdr msg;
	struct iovec iov[TCP_TX_IOVS];
	uint8_t scratch[TCP_TX_SCRATCH]; /* headers and digests */
};

static struct tx_batch *batch_get(struct tcp_group *tg)
{
	struct tx_batch *batch = tg->batches;

	if (likely(batch)) {
		tg->batches = batch->next;
		tg->nbatches--;
	} else {
		/* Only when more connections than ever before send at the same time; then it stays in the list. */
		batch = malloc(sizeof(*batch));
		if (!batch)
			return NULL;
		memset(&batch->msg, 0, sizeof(batch->msg));
	}
	tg->batches_out++;
	batch->iov_end = batch->iov;
	batch->scratch_end = batch->scratch;
	batch->data = 0;
	batch->nresps = 0;
	batch->scratch_last = false;
	STAILQ_INIT(&batch->reqs);
	return batch;
}

static void batch_put(struct tcp_group *tg, struct tx_batch *batch)
{
	struct tcp_conn *conn = TAILQ_FIRST(&tg->starved);

	tg->batches_out--;
	if (likely(tg->nbatches < TCP_TX_BATCHES_KEPT)) {
		batch->next = tg->batches;
		tg->batches = batch;
		tg->nbatches++;
	} else {
		free(batch);
	}
	if (unlikely(conn)) {
		TAILQ_REMOVE(&tg->starved, conn, link);
		conn->starved = false;
		nvmft_tcp_conn_dirty(conn);
	}
}

/* All of them are answered, so that releasing them brings no response. */
static void release_list(struct tcp_req_list *list)
{
	struct tcp_req *treq = STAILQ_FIRST(list), *next;

	STAILQ_INIT(list);
	for (; treq; treq = next) {
		next = STAILQ_NEXT(treq, link);
		nvmft_request_release(treq->request);
	}
}

/* Give back what was in it, sent or not. */
static void batch_over(struct tcp_conn *conn, struct tx_batch *batch)
{
	conn->tx_unsent -= batch->nresps;
	conn->tx_bytes -= batch->data;
	release_list(&batch->reqs);
	batch_put(conn->tg, batch);
}

/* @len bytes were written to batch->scratch_end. */
static void batch_add_scratch(struct tx_batch *batch, size_t len)
{
	assert(batch->scratch_end + len <= batch->scratch + sizeof(batch->scratch));
	if (batch->scratch_last)
		batch->iov_end[-1].iov_len += len;
	else
		*batch->iov_end++ = (struct iovec){.iov_base = batch->scratch_end, .iov_len = len};
	batch->scratch_last = true;
	batch->scratch_end += len;
}

static void batch_add_data(struct tx_batch *batch, const struct nvmft_iov *iov)
{
	*batch->iov_end++ = (struct iovec){.iov_base = iov->base, .iov_len = iov->len};
	batch->scratch_last = false;
	batch->data += iov->len;
}

static bool batch_has_iovs(const struct tx_batch *batch)
{
	return batch->iov_end <= batch->iov + TCP_TX_IOVS - PIECES_IOVS;
}

static bool batch_has_room(const struct tx_batch *batch)
{
	return batch_has_iovs(batch) && batch->scratch_end <= batch->scratch + sizeof(batch->scratch) - PIECES_BYTES &&
	       batch->data < TCP_TX_BATCH_BYTES;
}

static bool has_data(const struct nvmft_request *request)
{
	return request->dir == NVMFT_DIR_TO_HOST && request->cqe.status == 0;
}

/*
 * C2HData may stand for the completion entry when that says nothing but success; SQHD is in it, so only on queues
 * without SQ flow control (NVMe TCP Transport 1.0, C2HData).
 */
static bool is_success(const struct tcp_conn *conn, const struct nvmft_request *request)
{
	return conn->success_ok && (request->cqe.dw0 | request->cqe.dw1) == 0;
}

static uint32_t data_digest(const struct nvmft_request *request)
{
	uint32_t crc = TCP_CRC_INIT;

	for (uint32_t i = 0; i < request->iovcnt; i++)
		crc = nvmft_tcp_crc(crc, request->iov[i].base, request->iov[i].len);
	return nvmft_tcp_crc_final(crc);
}

static void add_resp(const struct tcp_conn *conn, struct tx_batch *batch, const struct nvmft_request *request)
{
	batch_add_scratch(batch, nvmft_tcp_build_resp(batch->scratch_end, &conn->params, &request->cqe));
}

static void add_c2h_header(const struct tcp_conn *conn, struct tx_batch *batch, const struct nvmft_request *request,
			   bool success)
{
	batch_add_scratch(batch, nvmft_tcp_build_c2h_data(batch->scratch_end, &conn->params, request->cqe.cid,
							  request->data_len, success));
}

/* Host data that was announced to come is here, or will not come. */
void nvmft_tcp_bulk_done(struct tcp_conn *conn, const struct nvmft_request *request, uint32_t len)
{
	if (request->data_len >= TCP_RX_BULK)
		conn->bulk_bytes -= len;
}

/* False: the batch is full, the rest of the data goes with the next. */
static bool add_data(const struct tcp_conn *conn, struct tx_batch *batch, struct tcp_req *treq)
{
	struct nvmft_request *request = treq->request;
	bool success = is_success(conn, request);

	if (!treq->header_sent) {
		if (conn->params.ddgst)
			treq->ddgst = data_digest(request);
		add_c2h_header(conn, batch, request, success);
		treq->header_sent = true;
	}
	while (treq->next_iov < request->iovcnt) {
		if (!batch_has_iovs(batch))
			return false;
		batch_add_data(batch, &request->iov[treq->next_iov++]);
	}
	if (conn->params.ddgst) {
		memcpy(batch->scratch_end, &treq->ddgst, sizeof(treq->ddgst));
		batch_add_scratch(batch, sizeof(treq->ddgst));
	}
	if (!success)
		add_resp(conn, batch, request);
	return true;
}

/* The response is in the batch as a whole, its data too. */
static inline void response_with_data_added(struct tx_batch *batch, struct tcp_req *treq)
{
	STAILQ_INSERT_TAIL(&batch->reqs, treq, link);
	batch->nresps++;
}

/* The completion entry is in the batch now: the command is not needed any more. */
static inline void response_added(struct tcp_conn *conn, struct tx_batch *batch, struct tcp_req *treq)
{
	STAILQ_INSERT_TAIL(&conn->spent, treq, link);
	batch->nresps++;
}

/* To a batch with room. False: it is full, and @treq goes on with the next. */
static bool add_response(struct tcp_conn *conn, struct tx_batch *batch, struct tcp_req *treq)
{
	if (!has_data(treq->request)) {
		add_resp(conn, batch, treq->request);
		response_added(conn, batch, treq);
		return true;
	}
	if (!add_data(conn, batch, treq))
		return false;
	response_with_data_added(batch, treq);
	return true;
}

static void add_r2t(struct tcp_conn *conn, struct tx_batch *batch, struct tcp_req *treq)
{
	struct nvmft_request *request = treq->request;

	if (nvmft_tcp_ttag_alloc(&conn->ttags, treq, &treq->ttag)) {
		nvmft_tcp_bulk_done(conn, request, request->data_len);
		treq->where = TCP_REQ_CORE;
		nvmft_request_fetch_failed(request, nvmft_status_from_errno(-ENOMEM));
		return;
	}
	treq->where = TCP_REQ_R2T;
	batch_add_scratch(batch, nvmft_tcp_build_r2t(batch->scratch_end, &conn->params, request->sqe.cid, treq->ttag,
						     request->data_len));
}

static void fill(struct tcp_conn *conn, struct tx_batch *batch)
{
	struct tcp_req *treq;

	if (conn->send_icresp) {
		conn->send_icresp = false;
		batch_add_scratch(batch, nvmft_tcp_build_icresp(batch->scratch_end, &conn->params));
	}
	if (conn->send_term) {
		conn->send_term = false;
		batch_add_scratch(batch, nvmft_tcp_build_term_req(batch->scratch_end, &conn->term, conn->rx.stash,
								  conn->term_pdu_len));
	}
	if (!tcp_conn_open(conn))
		return;
	while ((treq = STAILQ_FIRST(&conn->txq)) && batch_has_room(batch)) {
		STAILQ_REMOVE_HEAD(&conn->txq, link);
		if (treq->kind == TCP_TX_R2T) {
			add_r2t(conn, batch, treq);
		} else if (!add_response(conn, batch, treq)) {
			STAILQ_INSERT_HEAD(&conn->txq, treq, link);
			return;
		}
	}
}

/* Until a batch comes back. What this pass has parsed of it may have made it dirty once more. */
static void starve(struct tcp_conn *conn)
{
	struct tcp_group *tg = conn->tg;

	if (conn->dirty)
		TAILQ_REMOVE(&tg->dirty, conn, link);
	conn->dirty = false;
	conn->starved = true;
	TAILQ_INSERT_TAIL(&tg->starved, conn, link);
}

/* Put what waits into the next message. */
static __attribute__((noinline)) void collect(struct tcp_conn *conn)
{
	struct tcp_group *tg = conn->tg;

	/*
	 * A TermReq is the first thing that is sent after the header at fault was seen, and the last: maybe in the
	 * middle of a PDU, whose rest the host does not get then.
	 */
	if (conn->send_term && conn->next) {
		batch_over(conn, conn->next);
		conn->next = NULL;
	}
	if (!conn->next)
		conn->next = batch_get(tg);
	if (conn->next) {
		fill(conn, conn->next);
	} else if (tg->batches_out == 0) {
		nvmft_tcp_conn_dead(conn, NULL, NULL, 0);
	} else {
		starve(conn);
	}
}

static bool has_waiting(const struct tcp_conn *conn)
{
	return conn->send_icresp || conn->send_term || (!STAILQ_EMPTY(&conn->txq) && tcp_conn_open(conn));
}

static void send_next(struct tcp_conn *conn)
{
	struct tx_batch *batch = conn->next;

	conn->next = NULL;
	if (unlikely(batch->iov_end == batch->iov)) {
		batch_put(conn->tg, batch);
		return;
	}
	batch->msg.msg_iov = batch->iov;
	batch->msg.msg_iovlen = (size_t)(batch->iov_end - batch->iov);
	batch->left = (size_t)(batch->scratch_end - batch->scratch) + batch->data;
	conn->batch = batch;
	nvmft_ring_start(conn->tg->group, &conn->tx_op);
}

void nvmft_tcp_tx_flush(struct tcp_conn *conn)
{
	bool sending = conn->batch;

	if (unlikely(!sending && !conn->starved && has_waiting(conn)))
		collect(conn);
	release_list(&conn->spent);
	if (!sending && conn->next)
		send_next(conn);
	conn->room = 0;
}

/* Some of the batch was sent: point behind it. */
static void advance(struct tx_batch *batch, size_t sent)
{
	struct msghdr *msg = &batch->msg;

	batch->left -= sent;
	while (sent > 0) {
		struct iovec *iov = msg->msg_iov;
		size_t n = sent < iov->iov_len ? sent : iov->iov_len;

		iov->iov_base = (uint8_t *)iov->iov_base + n;
		iov->iov_len -= n;
		sent -= n;
		if (iov->iov_len == 0) {
			msg->msg_iov++;
			msg->msg_iovlen--;
		}
	}
}

static void batch_sent(struct tcp_conn *conn)
{
	struct tx_batch *batch = conn->batch;

	conn->batch = NULL;
	batch_over(conn, batch);
	/* The TermReq is out: nothing follows it. What the peer still sends is dropped until it closes. */
	if (unlikely(conn->state == TCP_CONN_TERMINATING && !conn->send_term))
		shutdown(conn->fd, SHUT_WR);
	/* There may be more to send, and parsing may have waited for this. */
	if (conn->next || has_waiting(conn) || nvmft_tcp_rx_halted(conn))
		nvmft_tcp_conn_dirty(conn);
}

static __attribute__((noinline)) void tx_odd(struct tcp_conn *conn, int res)
{
	if (conn->state == TCP_CONN_CLOSING) {
		nvmft_tcp_conn_op_over(conn);
		return;
	}
	if (res < 0 && res != -EAGAIN && res != -EINTR) {
		nvmft_tcp_conn_dead(conn, NULL, NULL, 0);
		return;
	}
	if (res > 0)
		advance(conn->batch, (size_t)res);
	nvmft_ring_start(conn->tg->group, &conn->tx_op);
}

static void tx_complete(struct nvmft_ring_op *op, int res, unsigned int flags)
{
	struct tcp_conn *conn = tcp_container_of(op, struct tcp_conn, tx_op);

	(void)flags;
	if (likely(res > 0 && (size_t)res == conn->batch->left && conn->state != TCP_CONN_CLOSING))
		batch_sent(conn);
	else
		tx_odd(conn, res);
}

static void tx_prep(struct nvmft_ring_op *op, struct io_uring_sqe *sqe)
{
	struct tcp_conn *conn = tcp_container_of(op, struct tcp_conn, tx_op);

	io_uring_prep_sendmsg(sqe, conn->fd, &conn->batch->msg, MSG_NOSIGNAL | MSG_WAITALL);
}

void nvmft_tcp_tx_init(struct tcp_conn *conn)
{
	STAILQ_INIT(&conn->txq);
	STAILQ_INIT(&conn->spent);
	conn->tx_op.prep = tx_prep;
	conn->tx_op.complete = tx_complete;
}

static void queue(struct tcp_conn *conn, struct tcp_req *treq, enum tcp_tx_kind kind)
{
	conn->room = 0;
	treq->kind = (uint8_t)kind;
	STAILQ_INSERT_TAIL(&conn->txq, treq, link);
}

/* Nothing goes past what waits already, or the ICResp: a host may send commands right behind its ICReq. */
static bool may_add(struct tcp_conn *conn)
{
	if (!STAILQ_EMPTY(&conn->txq) || conn->send_icresp || !tcp_conn_open(conn) || conn->starved)
		return false;
	if (!conn->next)
		conn->next = batch_get(conn->tg);
	return conn->next && batch_has_room(conn->next);
}

/* Plain responses that find room in conn->next, roughly. */
static uint32_t room(const struct tcp_conn *conn)
{
	const struct tx_batch *batch = conn->next;
	size_t iovs = (size_t)(batch->iov + TCP_TX_IOVS - batch->iov_end) / PLAIN_IOVS;
	size_t bytes = (size_t)(batch->scratch + TCP_TX_SCRATCH - batch->scratch_end) / PLAIN_BYTES;

	if (!conn->params.plain)
		return 0;
	return (uint32_t)(iovs < bytes ? iovs : bytes);
}

/* Of a few words, and perhaps one piece of data. */
static inline bool plain(const struct tcp_conn *conn, const struct nvmft_request *request, bool data)
{
	return conn->room > 0 && (!data || (request->iovcnt == 1 && conn->next->data < TCP_TX_BATCH_BYTES));
}

static inline void add_plain_resp(struct tx_batch *batch, const struct nvmft_request *request)
{
	batch_add_scratch(batch, tcp_put_resp(batch->scratch_end, TCP_HEADER_RESP, &request->cqe));
}

/* As add_response() does it, but without asking for digests and padding. */
static inline void add_plain(struct tcp_conn *conn, struct tcp_req *treq, const struct nvmft_request *request,
			     bool data)
{
	struct tx_batch *batch = conn->next;
	bool success;

	conn->room--;
	if (!data) {
		add_plain_resp(batch, request);
		response_added(conn, batch, treq);
		return;
	}
	success = is_success(conn, request);
	batch_add_scratch(batch, tcp_put_c2h_data(batch->scratch_end, &conn->params, request->cqe.cid,
						  request->data_len, success));
	batch_add_data(batch, request->iov);
	if (!success)
		add_plain_resp(batch, request);
	response_with_data_added(batch, treq);
}

/* The first response of a pass, or one that is not plain. */
static __attribute__((noinline)) void respond_any(struct tcp_conn *conn, struct tcp_req *treq, bool data)
{
	nvmft_tcp_conn_dirty(conn);
	if (!may_add(conn)) {
		queue(conn, treq, TCP_TX_RESPONSE);
		return;
	}
	conn->room = room(conn);
	if (plain(conn, treq->request, data))
		add_plain(conn, treq, treq->request, data);
	else if (add_response(conn, conn->next, treq))
		conn->room = room(conn);
	else
		queue(conn, treq, TCP_TX_RESPONSE);
}

/* The request is the transport's: send its response. */
void nvmft_tcp_tx_respond(struct nvmft_request *request)
{
	struct tcp_req *treq = tcp_req_of(request);
	struct tcp_conn *conn = treq->conn;
	bool data = has_data(request);

	if (unlikely(conn->rx.req == request))
		nvmft_tcp_rx_drop(conn);
	conn->tx_unsent++;
	conn->tx_bytes += data ? request->data_len : 0;
	if (likely(plain(conn, request, data)))
		add_plain(conn, treq, request, data);
	else
		respond_any(conn, treq, data);
}

/* The request is the transport's: ask for its data. It can be taken back until the end of the pass. */
void nvmft_tcp_tx_r2t(struct tcp_conn *conn, struct nvmft_request *request)
{
	struct tcp_req *treq = tcp_req_of(request);

	treq->where = TCP_REQ_TX;
	if (request->data_len >= TCP_RX_BULK)
		conn->bulk_bytes += request->data_len;
	queue(conn, treq, TCP_TX_R2T);
	nvmft_tcp_conn_dirty(conn);
}

/*
 * The connection is gone, and no operation is on the ring: give back what waits to be sent or received. Queued requests
 * are last and one by one: releasing half of a fused pair may add the response of the other half, or take back its R2T.
 */
void nvmft_tcp_tx_release_all(struct tcp_conn *conn)
{
	struct tcp_req *treq;

	if (conn->starved)
		TAILQ_REMOVE(&conn->tg->starved, conn, link);
	conn->starved = false;
	if (conn->batch)
		batch_over(conn, conn->batch);
	if (conn->next)
		batch_over(conn, conn->next);
	conn->batch = NULL;
	conn->next = NULL;
	release_list(&conn->spent);
	for (uint32_t i = 0; i < conn->ttags.nslots; i++) {
		treq = nvmft_tcp_ttag_find(&conn->ttags, (uint16_t)i);
		if (treq)
			nvmft_request_release(treq->request);
	}
	nvmft_tcp_ttags_fini(&conn->ttags);
	while ((treq = STAILQ_FIRST(&conn->txq))) {
		STAILQ_REMOVE_HEAD(&conn->txq, link);
		nvmft_request_release(treq->request);
	}
}

void nvmft_tcp_tx_group_fini(struct tcp_group *tg)
{
	struct tx_batch *batch;

	while ((batch = tg->batches)) {
		tg->batches = batch->next;
		free(batch);
	}
}
