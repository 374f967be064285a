/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "rdma.h"

/*
 * Responses and reads of host data gather on the connection; at the end of a pass all of them are posted at once. Of a
 * command's work requests the last is signalled, which gives back the room of all: those before it are over by then.
 * One that does not fit is posted in parts.
 */

#define CHAIN_SGES 128u

/* Work requests of one connection on their way to the device. */
struct chain {
	struct rdma_conn *conn;
	uint32_t nwr, nsge;
	struct ibv_send_wr wr[RDMA_CHAIN_WRS];
	struct ibv_sge sge[CHAIN_SGES];
};

static bool chain_full(const struct chain *chain)
{
	return chain->nwr == RDMA_CHAIN_WRS || chain->nsge + chain->conn->max_sge > CHAIN_SGES;
}

static bool has_room(const struct chain *chain)
{
	return chain->conn->sq_free > 0 && !chain_full(chain);
}

static struct ibv_send_wr *chain_add(struct chain *chain, struct rdma_req *rreq, enum ibv_wr_opcode opcode,
				     enum rdma_wr kind)
{
	struct ibv_send_wr *wr = &chain->wr[chain->nwr];

	if (chain->nwr)
		wr[-1].next = wr;
	chain->nwr++;
	wr->next = NULL;
	wr->wr_id = (uintptr_t)rreq | kind;
	wr->sg_list = &chain->sge[chain->nsge];
	wr->num_sge = 0;
	wr->opcode = opcode;
	wr->send_flags = 0;
	rreq->wrs++;
	chain->conn->sq_free--;
	return wr;
}

static void chain_add_sge(struct chain *chain, struct ibv_send_wr *wr, const void *base, uint32_t len, uint32_t lkey)
{
	chain->sge[chain->nsge++] = (struct ibv_sge){(uintptr_t)base, len, lkey};
	wr->num_sge++;
}

static void chain_signal_last(struct chain *chain)
{
	chain->wr[chain->nwr - 1].send_flags |= IBV_SEND_SIGNALED;
}

static void chain_post(struct chain *chain)
{
	struct ibv_send_wr *bad;

	if (chain->nwr && ibv_post_send(chain->conn->qp, chain->wr, &bad) != 0)
		nvmft_rdma_conn_dead(chain->conn, "the device takes no work requests");
}

/* The next chain of this pass goes on with a command that this one has no place for. */
static bool goes_on(const struct chain *chain)
{
	return chain->conn->sq_free > 0 && chain_full(chain);
}

/* ---- data ---- */

static void data_rewind(struct rdma_req *rreq, uint32_t len)
{
	rreq->next_piece = 0;
	rreq->piece_off = 0;
	rreq->next_iov = 0;
	rreq->iov_off = 0;
	rreq->left = len;
	rreq->wrs = 0;
	rreq->sent = false;
}

/* One work request moves what is in one piece of the host's memory, and in as many of ours as the device takes. */
static void add_data_wr(struct chain *chain, struct rdma_req *rreq, enum ibv_wr_opcode opcode)
{
	const struct rdma_piece *piece = &rreq->sgl.piece[rreq->next_piece];
	struct ibv_send_wr *wr = chain_add(chain, rreq, opcode, RDMA_WR_DATA);
	uint32_t want = rdma_min(rdma_min(piece->len - rreq->piece_off, rreq->left), RDMA_MAX_MSG);
	int most = (int)(opcode == IBV_WR_RDMA_READ ? chain->conn->max_sge_read : chain->conn->max_sge);

	wr->wr.rdma.remote_addr = piece->addr + rreq->piece_off;
	wr->wr.rdma.rkey = piece->key;
	while (want && wr->num_sge < most) {
		const struct nvmft_iov *iov = &rreq->request->iov[rreq->next_iov];
		uint32_t n = rdma_min(want, iov->len - rreq->iov_off);

		chain_add_sge(chain, wr, (uint8_t *)iov->base + rreq->iov_off, n, rdma_lkey(chain->conn->dev, iov));
		want -= n;
		rreq->left -= n;
		rreq->piece_off += n;
		rreq->iov_off += n;
		if (rreq->iov_off == iov->len) {
			rreq->next_iov++;
			rreq->iov_off = 0;
		}
	}
	if (rreq->piece_off == piece->len) {
		rreq->next_piece++;
		rreq->piece_off = 0;
	}
}

/* ---- responses ---- */

static uint32_t response_len(const struct nvmft_request *request)
{
	return request->dir == NVMFT_DIR_TO_HOST && request->cqe.status == 0 ? request->data_len : 0;
}

static void add_send(struct chain *chain, struct rdma_req *rreq)
{
	struct ibv_send_wr *wr = chain_add(chain, rreq, IBV_WR_SEND, RDMA_WR_SEND);

	if (rreq->sgl.invalidate && chain->conn->send_inv) {
		wr->opcode = IBV_WR_SEND_WITH_INV;
		wr->invalidate_rkey = rreq->sgl.inv_key;
	}
	/* Copied by the device with the work request, so it needs no registration. */
	chain_add_sge(chain, wr, &rreq->request->cqe, sizeof(rreq->request->cqe), 0);
	wr->send_flags |= IBV_SEND_INLINE;
	rreq->sent = true;
}

static void post_response(struct chain *chain, struct rdma_req *rreq)
{
	struct rdma_conn *conn = chain->conn;

	while (rreq->left && has_room(chain))
		add_data_wr(chain, rreq, IBV_WR_RDMA_WRITE);
	if (!rreq->left && has_room(chain))
		add_send(chain, rreq);
	if (!rreq->sent && goes_on(chain))
		return;
	chain_signal_last(chain);
	conn->parts += !rreq->sent;
	rreq->where = RDMA_REQ_SENT;
	TAILQ_REMOVE(&conn->txq, rreq, link);
	TAILQ_INSERT_TAIL(&conn->posted, rreq, link);
}

/* ---- reads of host data ---- */

static void post_read(struct chain *chain, struct rdma_req *rreq)
{
	struct rdma_conn *conn = chain->conn;

	while (rreq->left && has_room(chain) && conn->reads < conn->read_depth) {
		add_data_wr(chain, rreq, IBV_WR_RDMA_READ);
		conn->reads++;
	}
	if (rreq->left && conn->reads < conn->read_depth && goes_on(chain))
		return;
	chain_signal_last(chain);
	rreq->where = RDMA_REQ_READ;
	TAILQ_REMOVE(&conn->fetchq, rreq, link);
	TAILQ_INSERT_TAIL(&conn->posted, rreq, link);
}

static bool may_respond(const struct chain *chain)
{
	return !TAILQ_EMPTY(&chain->conn->txq) && has_room(chain);
}

/* More reads at a time than the host's adapter answers would hold up the responses behind them. */
static bool may_read(const struct chain *chain)
{
	const struct rdma_conn *conn = chain->conn;

	return !TAILQ_EMPTY(&conn->fetchq) && conn->reads < conn->read_depth && has_room(chain);
}

/* Without a completion nothing would go on, or much memory stay where it is. */
static bool has_to_wait(const struct rdma_conn *conn)
{
	return conn->reads || conn->parts || !TAILQ_EMPTY(&conn->txq) || !TAILQ_EMPTY(&conn->fetchq) ||
	       conn->held > RDMA_HELD_MAX;
}

void nvmft_rdma_tx_flush(struct rdma_conn *conn)
{
	struct chain chain;
	bool full;

	do {
		if (conn->state == RDMA_CONN_DRAINING)
			return;
		chain.conn = conn;
		chain.nwr = 0;
		chain.nsge = 0;
		while (may_respond(&chain))
			post_response(&chain, TAILQ_FIRST(&conn->txq));
		while (may_read(&chain))
			post_read(&chain, TAILQ_FIRST(&conn->fetchq));
		full = chain_full(&chain);
		chain_post(&chain);
	} while (full);
	if (conn->state != RDMA_CONN_DRAINING)
		nvmft_rdma_conn_await(conn, has_to_wait(conn));
}

/* ---- completions ---- */

static void leave(struct rdma_req_list *list, struct rdma_req *rreq)
{
	TAILQ_REMOVE(list, rreq, link);
	rreq->where = RDMA_REQ_CORE;
}

static void read_done(struct rdma_conn *conn, struct rdma_req *rreq)
{
	leave(&conn->posted, rreq);
	if (!rreq->left) {
		nvmft_request_execute(rreq->request);
		return;
	}
	rreq->where = RDMA_REQ_FETCH;
	TAILQ_INSERT_HEAD(&conn->fetchq, rreq, link);
}

static void send_done(struct rdma_conn *conn, struct rdma_req *rreq)
{
	leave(&conn->posted, rreq);
	if (rreq->sent) {
		conn->unsent--;
		conn->dev->unsent--;
		conn->held -= rreq->request->data_len;
		nvmft_request_release(rreq->request);
		return;
	}
	conn->parts--;
	rreq->where = RDMA_REQ_TX;
	TAILQ_INSERT_HEAD(&conn->txq, rreq, link);
}

void nvmft_rdma_sent(struct rdma_conn *conn, const struct ibv_wc *wc)
{
	struct rdma_req *rreq = (struct rdma_req *)(uintptr_t)(wc->wr_id & ~(uint64_t)RDMA_WR_MASK);

	if ((wc->wr_id & RDMA_WR_MASK) == RDMA_WR_DRAIN) {
		nvmft_rdma_conn_drained(conn);
		return;
	}
	if (wc->status != IBV_WC_SUCCESS) {
		nvmft_rdma_conn_dead(conn, wc->status == IBV_WC_WR_FLUSH_ERR ? NULL : ibv_wc_status_str(wc->status));
		return;
	}
	/* What is left of a dying connection is released all together. */
	if (conn->state == RDMA_CONN_DRAINING)
		return;
	conn->sq_free += rreq->wrs;
	if (rreq->where == RDMA_REQ_READ)
		conn->reads -= rreq->wrs;
	rreq->wrs = 0;
	if (rreq->where == RDMA_REQ_READ)
		read_done(conn, rreq);
	else
		send_done(conn, rreq);
	if (!TAILQ_EMPTY(&conn->txq) || !TAILQ_EMPTY(&conn->fetchq))
		nvmft_rdma_conn_dirty(conn);
	else if (conn->state != RDMA_CONN_DRAINING)
		nvmft_rdma_conn_await(conn, has_to_wait(conn));
}

/* ---- what the core calls ---- */

void nvmft_rdma_fetch(struct nvmft_request *request)
{
	struct rdma_conn *conn = rdma_conn_of(request->queue);
	struct rdma_req *rreq = rdma_req_of(request);

	assert(request->sgl == NVMFT_SGL_KEYED);
	data_rewind(rreq, request->data_len);
	rreq->where = RDMA_REQ_FETCH;
	TAILQ_INSERT_TAIL(&conn->fetchq, rreq, link);
	nvmft_rdma_conn_dirty(conn);
}

int nvmft_rdma_fetch_abort(struct nvmft_request *request)
{
	struct rdma_conn *conn = rdma_conn_of(request->queue);
	struct rdma_req *rreq = rdma_req_of(request);

	if (rreq->where != RDMA_REQ_FETCH || rreq->left < request->data_len)
		return -EBUSY;
	leave(&conn->fetchq, rreq);
	return 0;
}

void nvmft_rdma_respond(struct nvmft_request *request)
{
	struct rdma_conn *conn = rdma_conn_of(request->queue);
	struct rdma_req *rreq = rdma_req_of(request);

	data_rewind(rreq, response_len(request));
	conn->held += request->data_len;
	conn->dev->unsent++;
	rreq->where = RDMA_REQ_TX;
	TAILQ_INSERT_TAIL(&conn->txq, rreq, link);
	nvmft_rdma_conn_dirty(conn);
	/* To the core these commands are over, so that it does not keep a host from sending more and more. */
	if (++conn->unsent > 2 * conn->depth)
		nvmft_rdma_conn_dead(conn, "the host does not take its responses");
}

/* The QP is gone. Releasing half of a fused pair may bring the response of the other. */
void nvmft_rdma_tx_release_all(struct rdma_conn *conn)
{
	struct rdma_req_list *lists[] = {&conn->posted, &conn->fetchq, &conn->txq};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct rdma_req *rreq;

		while ((rreq = TAILQ_FIRST(lists[i]))) {
			leave(lists[i], rreq);
			nvmft_request_release(rreq->request);
		}
	}
}
