/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <liburing.h>

#include <nvme/types.h>

#include "tcp.h"

/*
 * Responses and R2Ts gather on the connection; at the end of a pass all of them leave in one sendmsg. While it is in
 * progress more gather for the next.
 */

/* Room that the pieces of one response outside of its data may take. */
#define PIECES_IOVS 3u
#define PIECES_BYTES (TCP_BUILD_MAX + TCP_DIGEST_LEN + TCP_BUILD_MAX)

struct tx_batch {
	struct tx_batch *next;
	struct msghdr msg;
	size_t left; /* bytes not yet sent */
	uint32_t niov;
	uint32_t used;            /* of @scratch */
	uint8_t *end;             /* behind the last byte of the last iov */
	struct tcp_req_list reqs; /* to be released when all is sent */
	uint32_t nreqs;
	uint64_t data; /* bytes in their responses */
	struct iovec iov[TCP_TX_IOVS];
	uint8_t scratch[TCP_TX_SCRATCH]; /* headers and digests */
};

static struct tx_batch *batch_get(struct tcp_group *tg)
{
	struct tx_batch *batch = tg->batches;

	if (batch) {
		tg->batches = batch->next;
		tg->nbatches--;
	} else {
		/* Only when more connections than ever before send at the same time; then it stays in the list. */
		batch = malloc(sizeof(*batch));
		if (!batch)
			return NULL;
	}
	tg->batches_out++;
	memset(&batch->msg, 0, sizeof(batch->msg));
	batch->left = 0;
	batch->niov = 0;
	batch->used = 0;
	batch->end = NULL;
	STAILQ_INIT(&batch->reqs);
	batch->nreqs = 0;
	batch->data = 0;
	return batch;
}

static void batch_put(struct tcp_group *tg, struct tx_batch *batch)
{
	struct tcp_conn *conn = TAILQ_FIRST(&tg->starved);

	tg->batches_out--;
	if (tg->nbatches < TCP_TX_BATCHES_KEPT) {
		batch->next = tg->batches;
		tg->batches = batch;
		tg->nbatches++;
	} else {
		free(batch);
	}
	if (conn) {
		TAILQ_REMOVE(&tg->starved, conn, link);
		conn->starved = false;
		nvmft_tcp_conn_dirty(conn);
	}
}

static void batch_add(struct tx_batch *batch, void *base, size_t len)
{
	batch->left += len;
	if (batch->end == base)
		batch->iov[batch->niov - 1].iov_len += len;
	else
		batch->iov[batch->niov++] = (struct iovec){.iov_base = base, .iov_len = len};
	batch->end = (uint8_t *)base + len;
}

static uint8_t *batch_scratch(struct tx_batch *batch)
{
	return batch->scratch + batch->used;
}

/* @len bytes were written to batch_scratch(). */
static void batch_add_scratch(struct tx_batch *batch, size_t len)
{
	assert(batch->used + len <= sizeof(batch->scratch));
	batch_add(batch, batch_scratch(batch), len);
	batch->used += (uint32_t)len;
}

static bool batch_has_room(const struct tx_batch *batch)
{
	return batch->niov + PIECES_IOVS < TCP_TX_IOVS && batch->used + PIECES_BYTES <= TCP_TX_SCRATCH &&
	       batch->left < TCP_TX_BATCH_BYTES;
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
	return conn->success_ok && request->cqe.dw0 == 0 && request->cqe.dw1 == 0;
}

static uint32_t data_digest(const struct nvmft_request *request)
{
	uint32_t crc = TCP_CRC_INIT;

	for (uint32_t i = 0; i < request->iovcnt; i++)
		crc = nvmft_tcp_crc(crc, request->iov[i].base, request->iov[i].len);
	return nvmft_tcp_crc_final(crc);
}

static void add_resp(struct tcp_conn *conn, struct tx_batch *batch, const struct nvmft_request *request)
{
	batch_add_scratch(batch, nvmft_tcp_build_resp(batch_scratch(batch), &conn->params, &request->cqe));
}

/* Host data that was announced to come is here, or will not come. */
void nvmft_tcp_bulk_done(struct tcp_conn *conn, const struct nvmft_request *request, uint32_t len)
{
	if (request->data_len >= TCP_RX_BULK)
		conn->bulk_bytes -= len;
}

/* False: the batch is full, the rest of the data goes with the next. */
static bool add_data(struct tcp_conn *conn, struct tx_batch *batch, struct tcp_req *treq)
{
	struct nvmft_request *request = treq->request;
	bool success = is_success(conn, request);

	if (!treq->header_sent) {
		if (conn->params.ddgst)
			treq->ddgst = data_digest(request);
		batch_add_scratch(batch, nvmft_tcp_build_c2h_data(batch_scratch(batch), &conn->params, request->cqe.cid,
								  request->data_len, success));
		treq->header_sent = true;
	}
	while (treq->next_iov < request->iovcnt) {
		const struct nvmft_iov *iov = &request->iov[treq->next_iov];

		if (batch->niov + PIECES_IOVS > TCP_TX_IOVS)
			return false;
		batch_add(batch, iov->base, iov->len);
		treq->next_iov++;
	}
	if (conn->params.ddgst) {
		memcpy(batch_scratch(batch), &treq->ddgst, sizeof(treq->ddgst));
		batch_add_scratch(batch, sizeof(treq->ddgst));
	}
	if (!success)
		add_resp(conn, batch, request);
	return true;
}

/* False: the batch is full. */
static bool add_response(struct tcp_conn *conn, struct tx_batch *batch, struct tcp_req *treq)
{
	if (treq->tx_bytes > 0) {
		if (!add_data(conn, batch, treq))
			return false;
		STAILQ_REMOVE_HEAD(&conn->txq, link);
		STAILQ_INSERT_TAIL(&batch->reqs, treq, link);
		batch->nreqs++;
		batch->data += treq->tx_bytes;
		return true;
	}
	/* The completion entry is in the batch now: the command is not needed any more. */
	add_resp(conn, batch, treq->request);
	STAILQ_REMOVE_HEAD(&conn->txq, link);
	conn->tx_unsent--;
	nvmft_request_release(treq->request);
	return true;
}

static void add_r2t(struct tcp_conn *conn, struct tx_batch *batch, struct tcp_req *treq)
{
	struct nvmft_request *request = treq->request;

	STAILQ_REMOVE_HEAD(&conn->txq, link);
	if (nvmft_tcp_ttag_alloc(&conn->ttags, treq, &treq->ttag)) {
		nvmft_tcp_bulk_done(conn, request, request->data_len);
		treq->where = TCP_REQ_CORE;
		nvmft_request_fetch_failed(request, nvmft_status_from_errno(-ENOMEM));
		return;
	}
	treq->where = TCP_REQ_R2T;
	batch_add_scratch(batch, nvmft_tcp_build_r2t(batch_scratch(batch), &conn->params, request->sqe.cid, treq->ttag,
						     request->data_len));
}

static void fill(struct tcp_conn *conn, struct tx_batch *batch)
{
	struct tcp_req *treq;

	if (conn->send_icresp) {
		conn->send_icresp = false;
		batch_add_scratch(batch, nvmft_tcp_build_icresp(batch_scratch(batch), &conn->params));
	}
	if (conn->send_term) {
		conn->send_term = false;
		batch_add_scratch(batch, nvmft_tcp_build_term_req(batch_scratch(batch), &conn->term, conn->rx.stash,
								  conn->term_pdu_len));
	}
	if (!tcp_conn_open(conn))
		return;
	while ((treq = STAILQ_FIRST(&conn->txq)) && batch_has_room(batch)) {
		if (treq->kind == TCP_TX_R2T)
			add_r2t(conn, batch, treq);
		else if (!add_response(conn, batch, treq))
			break;
	}
}

static bool has_work(const struct tcp_conn *conn)
{
	return conn->send_icresp || conn->send_term || (tcp_conn_open(conn) && !STAILQ_EMPTY(&conn->txq));
}

void nvmft_tcp_tx_flush(struct tcp_conn *conn)
{
	struct tcp_group *tg = conn->tg;
	struct tx_batch *batch;

	if (conn->batch || conn->starved || !has_work(conn))
		return;
	batch = batch_get(tg);
	if (!batch && tg->batches_out == 0) {
		nvmft_tcp_conn_dead(conn, NULL, NULL, 0);
		return;
	}
	if (!batch) {
		conn->starved = true;
		TAILQ_INSERT_TAIL(&tg->starved, conn, link);
		return;
	}
	fill(conn, batch);
	if (batch->niov == 0) {
		batch_put(tg, batch);
		return;
	}
	batch->msg.msg_iov = batch->iov;
	batch->msg.msg_iovlen = batch->niov;
	conn->batch = batch;
	nvmft_ring_start(tg->group, &conn->tx_op);
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

/* Releasing may add to the list: the other half of a fused pair. */
static void release_list(struct tcp_req_list *list)
{
	struct tcp_req *treq;

	while ((treq = STAILQ_FIRST(list))) {
		STAILQ_REMOVE_HEAD(list, link);
		nvmft_request_release(treq->request);
	}
}

static void batch_sent(struct tcp_conn *conn)
{
	struct tx_batch *batch = conn->batch;

	conn->tx_unsent -= batch->nreqs;
	conn->tx_bytes -= batch->data;
	release_list(&batch->reqs);
	conn->batch = NULL;
	batch_put(conn->tg, batch);
	/* The TermReq is out: nothing follows it. What the peer still sends is dropped until it closes. */
	if (conn->state == TCP_CONN_TERMINATING && !conn->send_term)
		shutdown(conn->fd, SHUT_WR);
	/* There may be more to send, and parsing may have waited for this. */
	nvmft_tcp_conn_dirty(conn);
}

static void tx_complete(struct nvmft_ring_op *op, int res, unsigned int flags)
{
	struct tcp_conn *conn = tcp_container_of(op, struct tcp_conn, tx_op);

	(void)flags;
	if (conn->state == TCP_CONN_CLOSING) {
		nvmft_tcp_conn_op_over(conn);
		return;
	}
	if (res < 0 && res != -EAGAIN && res != -EINTR) {
		nvmft_tcp_conn_dead(conn, NULL, NULL, 0);
		return;
	}
	if (res >= 0 && (size_t)res == conn->batch->left) {
		batch_sent(conn);
		return;
	}
	if (res > 0)
		advance(conn->batch, (size_t)res);
	nvmft_ring_start(conn->tg->group, op);
}

static void tx_prep(struct nvmft_ring_op *op, struct io_uring_sqe *sqe)
{
	struct tcp_conn *conn = tcp_container_of(op, struct tcp_conn, tx_op);

	io_uring_prep_sendmsg(sqe, conn->fd, &conn->batch->msg, MSG_NOSIGNAL | MSG_WAITALL);
}

void nvmft_tcp_tx_init(struct tcp_conn *conn)
{
	STAILQ_INIT(&conn->txq);
	conn->tx_op.prep = tx_prep;
	conn->tx_op.complete = tx_complete;
}

/* The request is the transport's: send its response, or the R2T that asks for its data. */
void nvmft_tcp_tx_queue(struct tcp_conn *conn, struct nvmft_request *request, enum tcp_tx_kind kind)
{
	struct tcp_req *treq = tcp_req_of(request);

	treq->where = TCP_REQ_TX;
	treq->kind = (uint8_t)kind;
	if (kind == TCP_TX_RESPONSE) {
		treq->header_sent = false;
		treq->next_iov = 0;
		treq->tx_bytes = has_data(request) ? request->data_len : 0;
		conn->tx_unsent++;
		conn->tx_bytes += treq->tx_bytes;
	} else if (request->data_len >= TCP_RX_BULK) {
		conn->bulk_bytes += request->data_len;
	}
	STAILQ_INSERT_TAIL(&conn->txq, treq, link);
	nvmft_tcp_conn_dirty(conn);
}

/*
 * The connection is gone, and no operation is on the ring: give back what waits to be sent or received. Queued requests
 * are last and one by one: releasing half of a fused pair brings the response of the other half.
 */
void nvmft_tcp_tx_release_all(struct tcp_conn *conn)
{
	struct tcp_req *treq;

	if (conn->starved)
		TAILQ_REMOVE(&conn->tg->starved, conn, link);
	conn->starved = false;
	if (conn->batch) {
		release_list(&conn->batch->reqs);
		batch_put(conn->tg, conn->batch);
		conn->batch = NULL;
	}
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
