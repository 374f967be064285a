/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <liburing.h>

#include "tcp.h"

/*
 * From bytes to PDUs. Each connection has one receive on the ring. It takes a buffer from the group's pool when bytes
 * arrive, so silent connections hold none; everything in it is parsed at once and the buffer goes back.
 */

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Parsing waits for the peer to read its responses. */
static bool unread(const struct tcp_conn *conn)
{
	return conn->tx_unsent > TCP_TX_MAX_UNSENT || conn->tx_bytes > TCP_TX_MAX_BYTES;
}

/* Or for buffers of a command. */
static bool stopped(const struct tcp_conn *conn)
{
	return conn->rx.wait || unread(conn);
}

static void icreq(struct tcp_conn *conn, const uint8_t *pdu)
{
	const struct nvmft_tcp_opts *opts = &conn->port->opts;
	struct tcp_icreq icreq;
	struct tcp_error err;

	if (!nvmft_tcp_parse_icreq(pdu, &icreq, &err)) {
		nvmft_tcp_conn_dead(conn, &err, pdu, sizeof(icreq));
		return;
	}
	nvmft_tcp_agree(&conn->params, icreq.hpda, (icreq.digest & TCP_IC_HDGST) && !opts->no_hdgst,
			(icreq.digest & TCP_IC_DDGST) && !opts->no_ddgst);
	nvmft_tcp_rx_forget_shape(conn);
	/* A digest is computed before the data is sent: lent pages could change in between. */
	nvmft_queue_accept_lent(conn->queue, !conn->params.ddgst);
	conn->send_icresp = true;
	nvmft_tcp_conn_dirty(conn);
}

/* No request object for a capsule. */
static __attribute__((noinline)) void capsule_refused(struct tcp_conn *conn, const uint8_t *pdu, int error)
{
	struct tcp_error err = {.fes = TCP_FES_SEQUENCE, .what = "more commands than the queue has entries"};

	if (error == -EOVERFLOW)
		nvmft_tcp_conn_dead(conn, &err, pdu, sizeof(struct tcp_capsule_cmd));
	else
		nvmft_tcp_conn_dead(conn, NULL, NULL, 0);
}

/* A capsule's data is longer than its SGL describes. */
static __attribute__((noinline)) void capsule_too_long(struct tcp_conn *conn, const uint8_t *pdu)
{
	struct tcp_error err;

	if (!nvmft_tcp_check_capsule(pdu, &conn->rx.shape, &err))
		nvmft_tcp_conn_dead(conn, &err, pdu, sizeof(struct tcp_capsule_cmd));
}

/* Data that goes to one buffer and is there as a whole needs no account of where it stands. */
static bool at_once(const struct tcp_shape *shape, const struct nvmft_request *request, size_t len)
{
	return likely(len >= shape->data_len && !shape->pad && !shape->ddgst && request->iovcnt == 1);
}

/*
 * capsule_data() - what is behind the SQE
 * @request: the command, NULL if it has failed
 * @p, @len: what has arrived, if that is known
 *
 * Returns how much of it was taken.
 */
static size_t capsule_data(struct tcp_conn *conn, struct nvmft_request *request, const uint8_t *p, size_t len)
{
	const struct tcp_shape *shape = &conn->rx.shape;
	struct tcp_req *treq;

	if (!request || request->dir != NVMFT_DIR_FROM_HOST || request->sgl != NVMFT_SGL_IN_CAPSULE) {
		nvmft_tcp_payload_begin(conn, NULL, 0, 0, 0);
		return 0;
	}
	assert((uint64_t)request->sgl_offset + request->data_len <= shape->data_len);
	treq = tcp_req_of(request);
	if (treq->where == TCP_REQ_CAPSULE && at_once(shape, request, len)) {
		len = shape->data_len;
		/* The one copy of small host data, as in nvmft_tcp_payload_bytes(). */
		memcpy(request->iov->base, p + request->sgl_offset, request->data_len);
		treq->where = TCP_REQ_CORE;
		nvmft_request_execute(request);
		return len;
	}
	nvmft_tcp_payload_begin(conn, request, request->sgl_offset, request->data_len, 0);
	conn->rx.wait = treq->where != TCP_REQ_CAPSULE;
	return 0;
}

/* A CapsuleCmd. Returns how much was taken of its data, @len bytes of which have arrived at @data. */
static size_t capsule(struct tcp_conn *conn, const uint8_t *pdu, const uint8_t *data, size_t len)
{
	const uint32_t data_len = conn->rx.shape.data_len;
	struct nvmft_request *request;
	struct tcp_req *treq;
	int error = 0;
	bool good;

	if (data_len > 0 && unlikely(!tcp_capsule_describes(pdu, data_len))) {
		capsule_too_long(conn, pdu);
		return 0;
	}
	request = nvmft_request_get(conn->queue, &error);
	if (unlikely(!request)) {
		capsule_refused(conn, pdu, error);
		return 0;
	}
	treq = tcp_req_of(request);
	treq->conn = conn;
	treq->request = request;
	treq->where = TCP_REQ_CORE;
	treq->ddgst_bad = false;
	treq->header_sent = false;
	treq->received = 0;
	treq->next_iov = 0;
	memcpy(&request->sqe, pdu + offsetof(struct tcp_capsule_cmd, sqe), sizeof(request->sqe));
	request->in_capsule_len = data_len;
	good = nvmft_request_start(request);
	return data_len > 0 ? capsule_data(conn, good ? request : NULL, data, len) : 0;
}

static void h2c_data(struct tcp_conn *conn, const uint8_t *pdu)
{
	struct tcp_transfer transfer;
	struct tcp_h2c_data data;
	struct tcp_error err;
	struct tcp_req *treq;

	if (!nvmft_tcp_parse_h2c_data(pdu, &conn->rx.shape, &conn->params, &data, &err))
		goto dead;
	treq = nvmft_tcp_ttag_find(&conn->ttags, data.ttag);
	if (treq)
		transfer = (struct tcp_transfer){
			.cid = treq->request->sqe.cid, .received = treq->received, .length = treq->request->data_len};
	if (!nvmft_tcp_check_h2c_data(&data, treq ? &transfer : NULL, &err))
		goto dead;
	nvmft_tcp_payload_begin(conn, treq->request, 0, data.datal, data.datao);
	return;
dead:
	nvmft_tcp_conn_dead(conn, &err, pdu, sizeof(struct tcp_data));
}

static void term_req(struct tcp_conn *conn, const uint8_t *pdu)
{
	struct tcp_term_req term;

	memcpy(&term, pdu, sizeof(term));
	nvmft_queue_log(conn->queue, NVMFT_LOG_WARN, "the host terminated the connection, FES %u", le16toh(term.fes));
	nvmft_tcp_conn_dead(conn, NULL, NULL, 0);
}

/* A header of rx->shape is complete. */
static void header_done(struct tcp_conn *conn, const uint8_t *pdu)
{
	struct tcp_rx *rx = &conn->rx;
	struct tcp_error err;

	rx->have = 0;
	rx->shaped = false;
	if (rx->shape.hdgst && !nvmft_tcp_check_hdgst(pdu, rx->shape.hlen, &err)) {
		nvmft_tcp_conn_dead(conn, &err, pdu, rx->shape.hlen);
		return;
	}
	switch (rx->shape.type) {
	case TCP_PDU_CAPSULE_CMD:
		/* What has arrived of its data is not looked for: nearly always header_bytes() finds the whole. */
		(void)capsule(conn, pdu, NULL, 0);
		break;
	case TCP_PDU_H2C_DATA:
		h2c_data(conn, pdu);
		break;
	case TCP_PDU_ICREQ:
		icreq(conn, pdu);
		break;
	default:
		term_req(conn, pdu);
		break;
	}
}

static size_t stash(struct tcp_rx *rx, const uint8_t *p, size_t len, size_t want)
{
	size_t n = min_size(len, want - rx->have);

	memcpy(rx->stash + rx->have, p, n);
	rx->have = (uint8_t)(rx->have + n);
	return n;
}

/* Most headers are like the one before: a shape depends on nothing but these bytes and the parameters. */
static bool shape(struct tcp_conn *conn, const uint8_t *p)
{
	struct tcp_rx *rx = &conn->rx;
	struct tcp_error err;
	uint64_t bytes;

	memcpy(&bytes, p, sizeof(bytes));
	rx->shaped = rx->memo && bytes == rx->shape_of;
	if (rx->shaped)
		return true;
	nvmft_tcp_rx_forget_shape(conn);
	rx->shaped = nvmft_tcp_parse_header(p, &conn->params, &rx->shape, &err);
	if (!rx->shaped) {
		nvmft_tcp_conn_dead(conn, &err, p, sizeof(struct tcp_hdr));
		return false;
	}
	rx->memo = true;
	rx->shape_of = bytes;
	if (rx->shape.type == TCP_PDU_CAPSULE_CMD && !rx->shape.hdgst)
		rx->capsule_len = rx->shape.header_len;
	return true;
}

static __attribute__((noinline)) size_t any_header_bytes(struct tcp_conn *conn, const uint8_t *p, size_t len)
{
	struct tcp_rx *rx = &conn->rx;
	size_t n = 0;

	/* If the header is there as a whole, it is parsed where it lies. */
	if (rx->have == 0 && len >= sizeof(struct tcp_hdr)) {
		if (!shape(conn, p))
			return len;
		if (len >= rx->shape.header_len) {
			n = rx->shape.header_len;
			header_done(conn, p);
			return n;
		}
	}
	if (!rx->shaped) {
		n = stash(rx, p, len, sizeof(struct tcp_hdr));
		if (rx->have < sizeof(struct tcp_hdr))
			return n;
		if (!shape(conn, rx->stash))
			return len;
	}
	n += stash(rx, p + n, len - n, rx->shape.header_len);
	if (rx->have == rx->shape.header_len)
		header_done(conn, rx->stash);
	return n;
}

/* Nearly always a whole CapsuleCmd like the one before. */
static size_t header_bytes(struct tcp_conn *conn, const uint8_t *p, size_t len)
{
	const size_t hlen = sizeof(struct tcp_capsule_cmd);

	if (likely(conn->rx.have == 0 && len >= conn->rx.capsule_len &&
		   memcmp(p, &conn->rx.shape_of, sizeof(struct tcp_hdr)) == 0))
		return hlen + capsule(conn, p, p + hlen, len - hlen);
	return any_header_bytes(conn, p, len);
}

static size_t pad_bytes(struct tcp_conn *conn, size_t len)
{
	struct tcp_rx *rx = &conn->rx;
	size_t n = min_size(len, rx->left);

	rx->left -= (uint32_t)n;
	if (rx->left == 0) {
		rx->state = TCP_RX_DATA;
		rx->left = rx->shape.data_len;
	}
	return n;
}

static size_t ddgst_bytes(struct tcp_conn *conn, const uint8_t *p, size_t len)
{
	struct tcp_rx *rx = &conn->rx;
	size_t n = stash(rx, p, len, TCP_DIGEST_LEN);
	uint32_t received;

	if (rx->have == TCP_DIGEST_LEN) {
		rx->have = 0;
		memcpy(&received, rx->stash, sizeof(received));
		nvmft_tcp_payload_ddgst(conn, received);
	}
	return n;
}

static __attribute__((noinline)) size_t payload_bytes(struct tcp_conn *conn, const uint8_t *p, size_t len)
{
	switch (conn->rx.state) {
	case TCP_RX_DATA:
		return nvmft_tcp_payload_bytes(conn, p, len);
	case TCP_RX_PAD:
		return pad_bytes(conn, len);
	default:
		return ddgst_bytes(conn, p, len);
	}
}

/* Returns the number of bytes dealt with: all, unless parsing had to stop. */
static size_t parse(struct tcp_conn *conn, const uint8_t *p, size_t len)
{
	const uint8_t *at = p, *end = p + len;

	while (at < end && tcp_conn_open(conn) && !unread(conn)) {
		if (likely(conn->rx.state == TCP_RX_HEADER))
			at += header_bytes(conn, at, (size_t)(end - at));
		else if (!conn->rx.wait)
			at += payload_bytes(conn, at, (size_t)(end - at));
		else
			break;
	}
	return (size_t)(at - p);
}

/*
 * Parsing stopped in the middle of a buffer. The group's buffers are few and must go back, so the rest is copied to
 * memory of its own: at most TCP_RX_BUF_SIZE, and nothing more is received until it is parsed.
 */
static __attribute__((noinline)) void keep(struct tcp_conn *conn, const uint8_t *p, size_t len)
{
	struct tcp_rx *rx = &conn->rx;

	rx->kept = malloc(len);
	if (!rx->kept) {
		nvmft_tcp_conn_dead(conn, NULL, NULL, 0);
		return;
	}
	memcpy(rx->kept, p, len);
	rx->kept_len = (uint32_t)len;
	rx->kept_off = 0;
}

static void unkeep(struct tcp_rx *rx)
{
	free(rx->kept);
	rx->kept = NULL;
}

void nvmft_tcp_rx_resume(struct tcp_conn *conn)
{
	struct tcp_rx *rx = &conn->rx;

	if (!tcp_conn_open(conn) || stopped(conn))
		return;
	if (rx->watch == TCP_RX_WATCH_ON) {
		rx->watch = TCP_RX_WATCH_ENDING;
		nvmft_ring_cancel(conn->tg->group, &conn->rx_op);
	}
	if (nvmft_ring_started(&conn->rx_op))
		return;
	if (rx->kept) {
		rx->kept_off += (uint32_t)parse(conn, rx->kept + rx->kept_off, rx->kept_len - rx->kept_off);
		if (rx->kept_off == rx->kept_len || !tcp_conn_open(conn))
			unkeep(rx);
	}
}

static void give_back(struct tcp_group *tg, unsigned int bid)
{
	io_uring_buf_ring_add(tg->buf_ring, tg->bufs + (size_t)bid * TCP_RX_BUF_SIZE, TCP_RX_BUF_SIZE,
			      (unsigned short)bid, io_uring_buf_ring_mask(TCP_RX_BUFS_MAX), 0);
	io_uring_buf_ring_advance(tg->buf_ring, 1);
}

/* The kernel takes them in turn, so only as many circulate as connections have needed at once: for the cache. */
static void add_buf(struct tcp_group *tg)
{
	if (tg->nbufs < TCP_RX_BUFS_MAX)
		give_back(tg, tg->nbufs++);
}

static void received(struct tcp_conn *conn, int res, const uint8_t *buf)
{
	size_t len = (size_t)res, done;

	if (!buf) {
		nvmft_tcp_payload_landed(conn, len);
		return;
	}
	done = parse(conn, buf, len);
	if (done < len && tcp_conn_open(conn))
		keep(conn, buf + done, len - done);
}

static __attribute__((noinline)) void rx_nothing(struct tcp_conn *conn, int res)
{
	if (res == -ENOBUFS)
		add_buf(conn->tg);
	else if (res <= 0 && res != -EAGAIN && res != -EINTR)
		nvmft_tcp_conn_dead(conn, NULL, NULL, 0);
}

/* The watch for the peer's end is over: it is gone, or receiving goes on. */
static __attribute__((noinline)) void watch_over(struct tcp_conn *conn, int res)
{
	conn->rx.watch = TCP_RX_WATCH_OFF;
	if (res > 0)
		nvmft_tcp_conn_dead(conn, NULL, NULL, 0);
	nvmft_tcp_rx_resume(conn);
}

static void rx_complete(struct nvmft_ring_op *op, int res, unsigned int flags)
{
	struct tcp_conn *conn = tcp_container_of(op, struct tcp_conn, rx_op);
	struct tcp_group *tg = conn->tg;
	unsigned int bid = flags >> IORING_CQE_BUFFER_SHIFT;
	const uint8_t *buf = NULL;

	if (flags & IORING_CQE_F_BUFFER)
		buf = tg->bufs + (size_t)bid * TCP_RX_BUF_SIZE;
	conn->rx.more = flags & IORING_CQE_F_SOCK_NONEMPTY;
	if (unlikely(conn->rx.watch != TCP_RX_WATCH_OFF))
		watch_over(conn, res);
	else if (likely(res > 0 && tcp_conn_open(conn)))
		received(conn, res, buf);
	else if (conn->state != TCP_CONN_CLOSING)
		rx_nothing(conn, res);
	if (buf)
		give_back(tg, bid);
	/*
	 * Of the first connection of a pass listening comes behind the responses, as its host waits for these. Of
	 * others it comes before: then data arrives while the others are served. So does what has come already: a host
	 * that is still sending many writes would otherwise get all its responses before it is ready to send more.
	 */
	if (conn->rx.more || conn != TAILQ_FIRST(&tg->dirty))
		nvmft_tcp_rx_arm(conn);
	if (unlikely(conn->state == TCP_CONN_CLOSING))
		nvmft_tcp_conn_op_over(conn);
}

static void rx_prep(struct nvmft_ring_op *op, struct io_uring_sqe *sqe)
{
	struct tcp_conn *conn = tcp_container_of(op, struct tcp_conn, rx_op);
	struct iovec room = {0};

	if (conn->rx.watch != TCP_RX_WATCH_OFF) {
		io_uring_prep_poll_add(sqe, conn->fd, POLLRDHUP);
		return;
	}
	if (tcp_conn_open(conn))
		room = nvmft_tcp_payload_room(conn);
	if (room.iov_len >= TCP_RX_DIRECT_MIN) {
		io_uring_prep_recv(sqe, conn->fd, room.iov_base, room.iov_len, MSG_WAITALL);
	} else {
		/* 0: as much as the buffer holds */
		io_uring_prep_recv(sqe, conn->fd, NULL, conn->bulk_bytes > 0 ? TCP_RX_BULK_RECV : 0, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = TCP_RX_BUF_GROUP;
	}
	if (!conn->rx.more)
		sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
}

void nvmft_tcp_rx_arm(struct tcp_conn *conn)
{
	if (conn->state == TCP_CONN_CLOSING || nvmft_ring_started(&conn->rx_op))
		return;
	if (tcp_conn_open(conn) && (conn->rx.kept || stopped(conn)))
		conn->rx.watch = TCP_RX_WATCH_ON;
	nvmft_ring_start(conn->tg->group, &conn->rx_op);
}

void nvmft_tcp_rx_init(struct tcp_conn *conn)
{
	conn->rx_op.prep = rx_prep;
	conn->rx_op.complete = rx_complete;
	nvmft_tcp_rx_forget_shape(conn);
	/* A host speaks first, and often has spoken before its connection was accepted. */
	conn->rx.more = true;
}

void nvmft_tcp_rx_fini(struct tcp_conn *conn)
{
	struct nvmft_request *request = conn->rx.req;

	unkeep(&conn->rx);
	conn->rx.req = NULL;
	if (request && tcp_req_of(request)->where == TCP_REQ_CAPSULE)
		nvmft_request_release(request);
}

static void *map_pages(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int nvmft_tcp_rx_group_init(struct tcp_group *tg)
{
	struct io_uring_buf_reg reg = {.ring_entries = TCP_RX_BUFS_MAX, .bgid = TCP_RX_BUF_GROUP};
	int ret = -ENOMEM;

	tg->bufs = map_pages((size_t)TCP_RX_BUFS_MAX * TCP_RX_BUF_SIZE);
	tg->buf_ring = map_pages(TCP_RX_BUFS_MAX * sizeof(struct io_uring_buf));
	if (!tg->bufs || !tg->buf_ring)
		goto fail;
	reg.ring_addr = (uintptr_t)tg->buf_ring;
	ret = io_uring_register_buf_ring(nvmft_ring_raw(tg->group), &reg, 0);
	if (ret)
		goto fail;
	io_uring_buf_ring_init(tg->buf_ring);
	add_buf(tg);
	return 0;
fail:
	nvmft_tcp_rx_group_fini(tg);
	return ret;
}

/* The ring lets go of the registration by itself: it ends with the group. */
void nvmft_tcp_rx_group_fini(struct tcp_group *tg)
{
	if (tg->bufs)
		munmap(tg->bufs, (size_t)TCP_RX_BUFS_MAX * TCP_RX_BUF_SIZE);
	if (tg->buf_ring)
		munmap(tg->buf_ring, TCP_RX_BUFS_MAX * sizeof(struct io_uring_buf));
	tg->bufs = NULL;
	tg->buf_ring = NULL;
}
