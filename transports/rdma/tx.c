/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "rdma.h"

/*
 * Responses and reads of host data gather on the connection; at the end of a pass all of them are posted at once. What
 * does not fit waits where it is, a command in the middle of its data, too.
 *
 * Work requests of a queue pair are over in the order in which they were posted, so that one completion tells of all
 * before it. Of responses the last one is signalled, so that a pass of many commands costs one completion, and those
 * in between that make much memory free; of reads each, as a command goes on with what was read.
 */

#define CHAIN_WRS 64u
#define CHAIN_SGES 128u

/* A work request, and where its data is if that is one piece. */
struct work {
	struct ibv_send_wr wr;
	struct ibv_sge sge;
};

/* Work requests of one connection on their way to the device. */
struct chain {
	struct rdma_conn *conn;
	struct work *end;
	uint64_t seq;       /* number of the last */
	uint64_t until;     /* number of the last one that there is room for */
	uint64_t signalled; /* number of the last one that is or will be heard of */
	uint64_t data;      /* memory of responses after that */
	uint32_t nsge;
	struct work work[CHAIN_WRS];
	struct ibv_sge sge[CHAIN_SGES]; /* of work requests that have several */
};

static uint32_t sq_free(const struct rdma_conn *conn)
{
	return conn->sq_size - (uint32_t)(conn->posted - conn->done);
}

static void chain_begin(struct chain *chain)
{
	const struct rdma_conn *conn = chain->conn;

	chain->end = chain->work;
	chain->nsge = 0;
	chain->seq = chain->until = conn->posted;
	if (likely(conn->state != RDMA_CONN_DRAINING))
		chain->until += rdma_min(sq_free(conn), CHAIN_WRS);
}

static void chain_post(struct chain *chain)
{
	struct rdma_conn *conn = chain->conn;
	struct ibv_send_wr *bad;

	if (chain->end == chain->work)
		return;
	chain->end[-1].wr.next = NULL;
	conn->posted = chain->seq;
	if (unlikely(ibv_post_send(conn->qp, &chain->work[0].wr, &bad) != 0))
		nvmft_rdma_conn_dead(conn, "the device takes no work requests");
}

/* If this one is full, and not the send queue, the pass goes on with another. */
static __attribute__((noinline)) bool chain_next(struct chain *chain)
{
	if (chain->seq - chain->conn->done == chain->conn->sq_size)
		return false;
	chain_post(chain);
	chain_begin(chain);
	return chain->seq != chain->until;
}

/* For one more work request, which has to be added then. */
static bool has_room(struct chain *chain)
{
	return likely(chain->seq != chain->until) || chain_next(chain);
}

static struct work *chain_add(struct chain *chain, enum ibv_wr_opcode opcode, unsigned int flags)
{
	struct work *work = chain->end++;

	work->wr.wr_id = ++chain->seq;
	work->wr.next = &work[1].wr;
	work->wr.sg_list = &work->sge;
	work->wr.num_sge = 1;
	work->wr.opcode = opcode;
	work->wr.send_flags = flags;
	return work;
}

/* Its completion is that of all responses until now. Nothing to signal: the connection is dead. */
static void chain_signal(struct chain *chain)
{
	struct rdma_conn *conn = chain->conn;

	if (unlikely(chain->end == chain->work))
		return;
	chain->end[-1].wr.send_flags |= IBV_SEND_SIGNALED;
	chain->signalled = chain->seq;
	conn->signals++;
	conn->dev->signals++;
	conn->held += chain->data;
	chain->data = 0;
}

/* ---- data ---- */

static void data_begin(struct rdma_req *rreq, uint32_t len)
{
	rreq->left = len;
	memset(&rreq->at, 0, sizeof(rreq->at));
}

static bool in_one_piece(const struct rdma_req *rreq)
{
	return rreq->sgl.n == 1 && rreq->request->iovcnt == 1 && rreq->request->data_len <= RDMA_MAX_MSG;
}

/* From one piece of the host's memory, or to it, what is in as many of ours as the device takes at a time. */
static __attribute__((noinline)) void add_pieces(struct chain *chain, struct rdma_req *rreq, struct work *work)
{
	const struct rdma_conn *conn = chain->conn;
	uint32_t most = work->wr.opcode == IBV_WR_RDMA_READ ? conn->max_sge_read : conn->max_sge;
	const struct rdma_piece *piece = &rreq->sgl.piece[rreq->at.piece];
	uint32_t want = rdma_min(rdma_min(piece->len - rreq->at.piece_off, rreq->left), RDMA_MAX_MSG);
	struct ibv_sge *sge = &chain->sge[chain->nsge];
	uint32_t n;

	work->wr.wr.rdma.remote_addr = piece->addr + rreq->at.piece_off;
	work->wr.wr.rdma.rkey = piece->key;
	work->wr.sg_list = sge;
	for (n = 0; want && n < most; n++) {
		const struct nvmft_iov *iov = &rreq->request->iov[rreq->at.iov];
		uint32_t len = rdma_min(want, iov->len - rreq->at.iov_off);

		sge[n] = (struct ibv_sge){(uintptr_t)iov->base + rreq->at.iov_off, len, rdma_lkey(conn->dev, iov)};
		want -= len;
		rreq->left -= len;
		rreq->at.piece_off += len;
		rreq->at.iov_off += len;
		if (rreq->at.iov_off == iov->len) {
			rreq->at.iov++;
			rreq->at.iov_off = 0;
		}
	}
	work->wr.num_sge = (int)n;
	if (rreq->at.piece_off == piece->len) {
		rreq->at.piece++;
		rreq->at.piece_off = 0;
	}
	chain->nsge += n;
	if (chain->nsge + conn->max_sge > CHAIN_SGES)
		chain->until = chain->seq;
}

/* One work request: most often that is all of it. */
static void add_data(struct chain *chain, const struct rdma_conn *conn, struct rdma_req *rreq, struct work *work)
{
	const struct rdma_piece *piece = rreq->sgl.piece;
	const struct nvmft_iov *iov = rreq->request->iov;

	if (unlikely(!in_one_piece(rreq))) {
		add_pieces(chain, rreq, work);
		return;
	}
	assert(rreq->left <= piece->len && rreq->left <= iov->len);
	work->wr.wr.rdma.remote_addr = piece->addr;
	work->wr.wr.rdma.rkey = piece->key;
	work->sge.addr = (uintptr_t)iov->base;
	work->sge.length = rreq->left;
	work->sge.lkey = rdma_lkey(conn->dev, iov);
	rreq->left = 0;
}

/* ---- responses ---- */

static uint32_t response_len(const struct nvmft_request *request)
{
	return request->dir == NVMFT_DIR_TO_HOST && request->cqe.status == 0 ? request->data_len : 0;
}

static void add_send(struct chain *chain, const struct rdma_conn *conn, struct rdma_req *rreq)
{
	struct work *work = chain_add(chain, IBV_WR_SEND, IBV_SEND_INLINE);

	/* Copied by the device with the work request, so it needs no registration. */
	work->sge.addr = (uintptr_t)&rreq->request->cqe;
	work->sge.length = sizeof(rreq->request->cqe);
	work->sge.lkey = 0;
	if (rreq->sgl.invalidate && conn->send_inv) {
		work->wr.opcode = IBV_WR_SEND_WITH_INV;
		work->wr.invalidate_rkey = rreq->sgl.inv_key;
	}
}

/* All of it, or what there is room for. */
static bool post_response(struct chain *chain, struct rdma_conn *conn, struct rdma_req *rreq)
{
	while (rreq->left) {
		if (!has_room(chain))
			return false;
		add_data(chain, conn, rreq, chain_add(chain, IBV_WR_RDMA_WRITE, 0));
	}
	if (!has_room(chain))
		return false;
	add_send(chain, conn, rreq);
	rreq->end = chain->seq;
	chain->data += rreq->request->data_len;
	return true;
}

static void post_responses(struct chain *chain)
{
	struct rdma_conn *conn = chain->conn;
	struct rdma_req *rreq = conn->responses.next;

	while (rreq && post_response(chain, conn, rreq)) {
		if (chain->data >= RDMA_SIGNAL_DATA)
			chain_signal(chain);
		rreq = STAILQ_NEXT(rreq, link);
	}
	conn->responses.next = rreq;
	if (chain->seq != chain->signalled)
		chain_signal(chain);
}

/* ---- reads of host data ---- */

/* More at a time than the host's adapter answers would hold up the responses behind them. */
static __attribute__((noinline)) void post_reads(struct chain *chain)
{
	struct rdma_conn *conn = chain->conn;
	struct rdma_req *rreq = conn->fetches.next;

	while (rreq && conn->reads < conn->read_depth && has_room(chain)) {
		struct work *work = chain_add(chain, IBV_WR_RDMA_READ, IBV_SEND_SIGNALED);

		work->wr.wr_id |= RDMA_WR_READ;
		add_data(chain, conn, rreq, work);
		conn->reads++;
		rreq->end = chain->seq;
		if (!rreq->left)
			rreq = STAILQ_NEXT(rreq, link);
	}
	conn->fetches.next = rreq;
}

/* Without a completion nothing would go on, or much memory stay where it is. */
static bool has_to_wait(const struct rdma_conn *conn)
{
	return conn->responses.next || conn->reads || conn->fetches.next || conn->held > RDMA_HELD_MAX;
}

void nvmft_rdma_tx_flush(struct rdma_conn *conn)
{
	struct chain chain;

	if (unlikely(conn->state == RDMA_CONN_DRAINING))
		return;
	chain.conn = conn;
	chain.signalled = conn->posted;
	chain.data = 0;
	chain_begin(&chain);
	post_responses(&chain);
	if (conn->fetches.next)
		post_reads(&chain);
	chain_post(&chain);
	if (likely(conn->state != RDMA_CONN_DRAINING))
		rdma_conn_await(conn, has_to_wait(conn));
}

/* ---- completions ---- */

/* The first of the list, if the device is ready with all of it. */
static struct rdma_req *take_done(struct rdma_fifo *fifo, uint64_t done)
{
	struct rdma_req *rreq = STAILQ_FIRST(&fifo->list);

	if (rreq == fifo->next || rreq->end > done)
		return NULL;
	STAILQ_REMOVE_HEAD(&fifo->list, link);
	return rreq;
}

static void responses_done(struct rdma_conn *conn)
{
	struct rdma_req *rreq;

	conn->signals--;
	conn->dev->signals--;
	while ((rreq = take_done(&conn->responses, conn->done))) {
		conn->unsent--;
		conn->held -= rreq->request->data_len;
		nvmft_request_release(rreq->request);
	}
}

static void read_done(struct rdma_conn *conn)
{
	struct rdma_req *rreq = take_done(&conn->fetches, conn->done);

	conn->reads--;
	if (rreq)
		nvmft_request_execute(rreq->request);
}

static __attribute__((noinline)) void sent_last(struct rdma_conn *conn, const struct ibv_wc *wc)
{
	if (wc->wr_id == RDMA_WR_DRAIN)
		nvmft_rdma_conn_drained(conn);
	else if (wc->status != IBV_WC_SUCCESS)
		nvmft_rdma_conn_dead(conn, wc->status == IBV_WC_WR_FLUSH_ERR ? NULL : ibv_wc_status_str(wc->status));
}

static void sent(struct rdma_conn *conn, const struct ibv_wc *wc)
{
	/* What is left of a dying connection is released all together. */
	if (unlikely(wc->status != IBV_WC_SUCCESS || conn->state == RDMA_CONN_DRAINING)) {
		sent_last(conn, wc);
		return;
	}
	conn->done = wc->wr_id & ~RDMA_WR_READ;
	if (wc->wr_id & RDMA_WR_READ)
		read_done(conn);
	else
		responses_done(conn);
	if (conn->responses.next || conn->fetches.next)
		rdma_conn_dirty(conn);
	else if (conn->awaits && conn->state != RDMA_CONN_DRAINING)
		rdma_conn_await(conn, has_to_wait(conn));
}

void nvmft_rdma_sent(struct rdma_dev *dev, const struct ibv_wc *wc, int n)
{
	for (int i = 0; i < n; i++) {
		struct rdma_conn *conn = rdma_dev_conn(dev, wc[i].qp_num);

		if (likely(conn))
			sent(conn, &wc[i]);
	}
}

/* ---- what the core calls ---- */

void nvmft_rdma_fetch(struct nvmft_request *request)
{
	struct rdma_conn *conn = rdma_conn_of(request->queue);
	struct rdma_req *rreq = rdma_req_of(request);

	assert(request->sgl == NVMFT_SGL_KEYED && request->data_len > 0);
	data_begin(rreq, request->data_len);
	rdma_fifo_add(&conn->fetches, rreq);
	rdma_conn_dirty(conn);
}

int nvmft_rdma_fetch_abort(struct nvmft_request *request)
{
	struct rdma_fifo *fetches = &rdma_conn_of(request->queue)->fetches;
	struct rdma_req *rreq = rdma_req_of(request);

	if (rreq->left < request->data_len)
		return -EBUSY;
	if (fetches->next == rreq)
		fetches->next = STAILQ_NEXT(rreq, link);
	STAILQ_REMOVE(&fetches->list, rreq, rdma_req, link);
	return 0;
}

void nvmft_rdma_respond(struct nvmft_request *request)
{
	struct rdma_conn *conn = rdma_conn_of(request->queue);
	struct rdma_req *rreq = rdma_req_of(request);

	data_begin(rreq, response_len(request));
	rdma_fifo_add(&conn->responses, rreq);
	rdma_conn_dirty(conn);
	/*
	 * To the core these commands are over, so that it does not keep a host from sending more and more. One that
	 * takes its responses may have sent as many commands as the queue has entries, taken as many responses before
	 * the one that is signalled, and taken as many again of which the device has not told yet.
	 */
	if (unlikely(++conn->unsent > 3 * conn->depth))
		nvmft_rdma_conn_dead(conn, "the host does not take its responses");
}

/* The QP is gone. Releasing half of a fused pair may bring the response of the other. */
void nvmft_rdma_tx_release_all(struct rdma_conn *conn)
{
	struct rdma_fifo *fifos[] = {&conn->fetches, &conn->responses};

	for (size_t i = 0; i < sizeof(fifos) / sizeof(fifos[0]); i++) {
		struct rdma_req *rreq;

		while ((rreq = STAILQ_FIRST(&fifos[i]->list))) {
			STAILQ_REMOVE_HEAD(&fifos[i]->list, link);
			nvmft_request_release(rreq->request);
		}
		fifos[i]->next = NULL;
	}
}
