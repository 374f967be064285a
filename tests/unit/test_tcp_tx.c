/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NVMe/TCP's sending in random worlds: some connections of a poll group, a kernel that sends as much as it likes, and
 * hosts that know which PDUs are to come. Memory of a command is poisoned when it is released, so that a host sees what
 * was released too early.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "random_world.h"

static void *scarce_malloc(size_t size);
#define malloc scarce_malloc
#include "tx.c"
#undef malloc

#define LINKS 3u
#define COMMANDS 320u
#define PIECES 600u
#define DATA_MAX 16384u
#define PENDING 4096u
#define STREAM_MAX (4u * 1024 * 1024)
#define WORLDS 32u
#define STEPS 60
#define MOST_ROUNDS 100000 /* more than any world takes to come to rest */
#define POISON 0xdd

enum state {
	FREE,
	ASKING, /* its R2T is on the way */
	EXECUTING,
	RESPONDING,
};

struct link;

struct command {
	struct nvmft_request request;
	struct tcp_req treq;
	struct link *link;
	enum state state;
	struct nvmft_iov iov[PIECES];
	uint8_t data[DATA_MAX];
};

/* A PDU that a host waits for. */
struct pdu {
	uint8_t type;
	bool success;
	uint8_t salt; /* of the data */
	uint16_t cid; /* as on the wire */
	uint32_t len;
	uint32_t dw0;
	uint16_t status;
	struct command *command;
};

/* A connection, and its host. */
static struct link {
	struct tcp_conn conn;
	struct nvmft_queue_head queue;
	struct command commands[COMMANDS];
	struct pdu pending[PENDING];
	uint32_t first, npending;
	uint8_t stream[STREAM_MAX]; /* what has arrived and is not a whole PDU yet */
	size_t len;
	uint16_t cid; /* of the next command */
	bool closed;
} links[LINKS];

static struct tcp_group tg;
static uint32_t most_batches;
static uint32_t slowness;               /* of the kernel */
static uint32_t writes, without, large; /* one command in so many is, has no data, has much of it */
static bool simple;                     /* commands have one piece of data at most */
static bool new_ones;                   /* hosts send commands */
static struct link *answer_at_once;

static void *scarce_malloc(size_t size)
{
	return tg.batches_out < most_batches ? malloc(size) : NULL;
}

static struct link *link_of(struct tcp_conn *conn)
{
	return tcp_container_of(conn, struct link, conn);
}

/* ---- what the core asks for ---- */

static void wait_for(struct link *link, struct pdu pdu)
{
	assert_holds(link->npending < PENDING);
	link->pending[(link->first + link->npending++) % PENDING] = pdu;
}

static uint8_t data_byte(uint8_t salt, uint32_t off)
{
	return (uint8_t)(salt + off % 251);
}

/* Pieces of the same size, most often one. */
static void lay_out(struct command *c)
{
	uint32_t pieces = simple || one_in(2) ? 1 : 1 + below(one_in(5) ? PIECES : 6);
	uint32_t most = DATA_MAX / 4 / pieces;
	uint32_t len = 4 * (1 + below(one_in(large) ? most : most / 8 + 1));

	c->request.iovcnt = pieces;
	c->request.data_len = pieces * len;
	for (uint32_t k = 0; k < pieces; k++)
		c->iov[k] = (struct nvmft_iov){c->data + k * len, len, 0};
}

static void command_comes(struct link *link, struct command *c)
{
	struct nvmft_request *request = &c->request;

	memset(request, 0, sizeof(*request));
	memset(&c->treq, 0, sizeof(c->treq));
	c->treq.conn = &link->conn;
	c->treq.request = request;
	request->priv = &c->treq;
	request->queue = link->conn.queue;
	request->iov = c->iov;
	request->sqe.cid = htole16(link->cid++);
	request->dir = one_in(writes) ? NVMFT_DIR_FROM_HOST : one_in(without) ? NVMFT_DIR_NONE : NVMFT_DIR_TO_HOST;
	c->state = EXECUTING;
	if (request->dir != NVMFT_DIR_NONE)
		lay_out(c);
	if (request->dir != NVMFT_DIR_FROM_HOST)
		return;
	c->state = ASKING;
	request->data_len = 4 * (1 + below(TCP_RX_BULK));
	wait_for(link,
		 (struct pdu){.type = TCP_PDU_R2T, .cid = request->sqe.cid, .len = request->data_len, .command = c});
	nvmft_tcp_tx_r2t(&link->conn, request);
}

/* C2HData unless it failed, and a CapsuleResp unless the C2HData says all. */
static void wait_for_response(struct link *link, struct nvmft_request *request)
{
	const struct nvmft_cqe *cqe = &request->cqe;
	struct pdu pdu = {.cid = cqe->cid, .status = cqe->status, .dw0 = cqe->dw0, .len = request->data_len};

	if (request->dir == NVMFT_DIR_TO_HOST && !cqe->status) {
		pdu.type = TCP_PDU_C2H_DATA;
		pdu.success = link->conn.success_ok && !cqe->dw0;
		pdu.salt = (uint8_t)below(256);
		for (uint32_t off = 0; off < pdu.len; off++)
			((uint8_t *)request->iov[0].base)[off] = data_byte(pdu.salt, off);
		wait_for(link, pdu);
	}
	if (pdu.success)
		return;
	pdu.type = TCP_PDU_CAPSULE_RESP;
	wait_for(link, pdu);
}

static void command_is_over(struct link *link, struct command *c)
{
	const struct tcp_conn *conn = &link->conn;

	c->request.cqe = (struct nvmft_cqe){
		.cid = c->request.sqe.cid, .dw0 = htole32(one_in(3)), .status = htole16(one_in(10) ? 4 : 0)};
	wait_for_response(link, &c->request);
	c->state = RESPONDING;
	nvmft_tcp_tx_respond(&c->request);
	assert_holds(conn->room == 0 || conn->next);
}

static void something_happens(struct link *link)
{
	struct command *c = &link->commands[below(COMMANDS)];

	if (c->state == EXECUTING)
		command_is_over(link, c);
	else if (c->state == FREE && new_ones && link->npending < TCP_TX_MAX_UNSENT)
		command_comes(link, c);
}

/* Now and then what is released without a response is half of a fused pair, and the other half is over with it. */
void nvmft_request_release(struct nvmft_request *request)
{
	struct command *c = tcp_container_of(request, struct command, request);
	struct link *link = link_of(c->treq.conn);
	bool half = c->state == ASKING && one_in(4);

	assert_holds(c->state == RESPONDING || (c->state == ASKING && link->conn.state == TCP_CONN_CLOSING));
	memset(c->data, POISON, request->dir == NVMFT_DIR_TO_HOST ? request->data_len : 0);
	memset(&request->cqe, POISON, sizeof(request->cqe));
	c->state = FREE;
	c = &link->commands[below(COMMANDS)];
	if (half && c->state == EXECUTING)
		command_is_over(link, c);
}

/* ---- the host ---- */

static void check_data(struct link *link, const struct pdu *pdu, const uint8_t *p, const struct tcp_data *data)
{
	const struct tcp_params *params = &link->conn.params;
	const uint8_t *payload = p + data->hdr.pdo;
	uint32_t digest;

	assert_holds(data->hdr.flags & TCP_PDU_F_LAST);
	assert_holds(!!(data->hdr.flags & TCP_PDU_F_SUCCESS) == pdu->success);
	assert_holds(!!(data->hdr.flags & TCP_PDU_F_DDGST) == params->ddgst);
	assert_holds(data->hdr.pdo == params->c2h_pdo);
	assert_holds(data->cccid == pdu->cid && data->datao == 0 && le32toh(data->datal) == pdu->len);
	assert_holds(le32toh(data->hdr.plen) == data->hdr.pdo + pdu->len + (params->ddgst ? TCP_DIGEST_LEN : 0));
	for (uint32_t off = 0; off < pdu->len; off++)
		if (payload[off] != data_byte(pdu->salt, off))
			fail_msg("world %u: byte %u of the data", world, off);
	if (!params->ddgst)
		return;
	memcpy(&digest, payload + pdu->len, sizeof(digest));
	assert_holds(digest == nvmft_tcp_crc_final(nvmft_tcp_crc(TCP_CRC_INIT, payload, pdu->len)));
}

static void check_resp(const struct pdu *pdu, const struct nvmft_cqe *cqe)
{
	assert_holds(cqe->cid == pdu->cid && cqe->status == pdu->status && cqe->dw0 == pdu->dw0);
}

/* The host sends the data, and the command is executed. */
static void check_r2t(struct link *link, const struct pdu *pdu, const struct tcp_r2t *r2t)
{
	struct command *c = pdu->command;

	assert_holds(r2t->cccid == pdu->cid && r2t->r2to == 0 && le32toh(r2t->r2tl) == pdu->len);
	assert_holds(nvmft_tcp_ttag_find(&link->conn.ttags, r2t->ttag) == &c->treq);
	assert_holds(c->treq.where == TCP_REQ_R2T);
	nvmft_tcp_ttag_free(&link->conn.ttags, r2t->ttag);
	nvmft_tcp_bulk_done(&link->conn, &c->request, pdu->len);
	c->treq.where = TCP_REQ_CORE;
	c->state = EXECUTING;
}

static void check_pdu(struct link *link, const uint8_t *p)
{
	struct pdu pdu = link->pending[link->first];
	const struct tcp_params *params = &link->conn.params;
	struct tcp_capsule_resp resp;
	struct tcp_data data;
	struct tcp_r2t r2t;
	struct tcp_error err;

	assert_holds(link->npending > 0);
	link->first = (link->first + 1) % PENDING;
	link->npending--;
	memcpy(&data, p, sizeof(data));
	assert_holds(data.hdr.type == pdu.type && data.hdr.hlen == sizeof(data));
	assert_holds(!!(data.hdr.flags & TCP_PDU_F_HDGST) == params->hdgst);
	assert_holds(!params->hdgst || nvmft_tcp_check_hdgst(p, sizeof(data), &err));
	if (pdu.type == TCP_PDU_C2H_DATA) {
		check_data(link, &pdu, p, &data);
		return;
	}
	assert_holds(le32toh(data.hdr.plen) == sizeof(data) + (params->hdgst ? TCP_DIGEST_LEN : 0));
	memcpy(&resp, p, sizeof(resp));
	memcpy(&r2t, p, sizeof(r2t));
	if (pdu.type == TCP_PDU_R2T)
		check_r2t(link, &pdu, &r2t);
	else
		check_resp(&pdu, &resp.cqe);
}

static void parse(struct link *link)
{
	const uint8_t *p = link->stream, *end = link->stream + link->len;
	struct tcp_hdr hdr;

	while ((size_t)(end - p) >= sizeof(hdr)) {
		memcpy(&hdr, p, sizeof(hdr));
		assert_holds(le32toh(hdr.plen) >= sizeof(struct tcp_data));
		if ((size_t)(end - p) < le32toh(hdr.plen))
			break;
		check_pdu(link, p);
		p += le32toh(hdr.plen);
	}
	link->len = (size_t)(end - p);
	memmove(link->stream, p, link->len);
}

/* ---- the kernel ---- */

void nvmft_ring_start(struct nvmft_poll_group *group, struct nvmft_ring_op *op)
{
	struct tcp_conn *conn = tcp_container_of(op, struct tcp_conn, tx_op);
	const struct msghdr *msg = &conn->batch->msg;
	size_t bytes = 0;

	(void)group;
	assert_holds(!nvmft_ring_started(op));
	assert_holds(msg->msg_iovlen >= 1 && msg->msg_iovlen <= TCP_TX_IOVS);
	for (size_t i = 0; i < msg->msg_iovlen; i++)
		bytes += msg->msg_iov[i].iov_len;
	assert_holds(bytes == conn->batch->left);
	assert_holds(bytes < TCP_TX_BATCH_BYTES + DATA_MAX + TCP_TX_SCRATCH);
	op->state = 1;
}

static bool sending(const struct link *link)
{
	return nvmft_ring_started(&link->conn.tx_op);
}

static void send_bytes(struct link *link, size_t n)
{
	const struct iovec *iov = link->conn.batch->msg.msg_iov;

	assert_holds(link->len + n <= STREAM_MAX);
	for (; n > 0; iov++) {
		size_t len = n < iov->iov_len ? n : iov->iov_len;

		memcpy(link->stream + link->len, iov->iov_base, len);
		link->len += len;
		n -= len;
	}
}

static void send_over(struct link *link, int res)
{
	link->conn.tx_op.state = 0;
	link->conn.tx_op.complete(&link->conn.tx_op, res, 0);
}

/* All, some, or nothing yet. The host has looked at what it got before the transport hears of it. */
static void kernel_sends(struct link *link)
{
	size_t n = link->conn.batch->left;

	if (one_in(10)) {
		send_over(link, one_in(2) ? -EAGAIN : -EINTR);
		return;
	}
	if (one_in(3))
		n = 1 + below((uint32_t)n);
	send_bytes(link, n);
	parse(link);
	send_over(link, (int)n);
}

/* ---- neighbours ---- */

/* What was kept may hold commands that are answered at once. */
void nvmft_tcp_rx_resume(struct tcp_conn *conn)
{
	struct link *link = link_of(conn);

	if (answer_at_once == link) {
		answer_at_once = NULL;
		command_comes(link, link->commands);
		command_is_over(link, link->commands);
	} else if (one_in(4)) {
		something_happens(link);
	}
}

void nvmft_tcp_rx_arm(struct tcp_conn *conn)
{
	(void)conn;
}

void nvmft_tcp_rx_init(struct tcp_conn *conn)
{
	(void)conn;
}

void nvmft_tcp_rx_fini(struct tcp_conn *conn)
{
	(void)conn;
}

void nvmft_ring_cancel(struct nvmft_poll_group *group, struct nvmft_ring_op *op)
{
	(void)group;
	(void)op;
}

void nvmft_timer_arm(struct nvmft_poll_group *group, struct nvmft_timer *timer, uint64_t delay, uint64_t slack)
{
	(void)group;
	(void)timer;
	(void)delay;
	(void)slack;
}

void nvmft_timer_cancel(struct nvmft_poll_group *group, struct nvmft_timer *timer)
{
	(void)group;
	(void)timer;
}

void nvmft_queue_closed(struct nvmft_queue *queue)
{
	link_of(nvmft_queue_priv(queue))->closed = true;
}

void nvmft_queue_terminated(struct nvmft_queue *queue, const char *why)
{
	(void)queue;
	fail_msg("world %u: %s", world, why);
}

void nvmft_request_fetch_failed(struct nvmft_request *request, nvmft_status status)
{
	(void)request;
	fail_msg("world %u: no R2T, status %xh", world, status);
}

nvmft_status nvmft_status_from_errno(int err)
{
	return (nvmft_status)-err;
}

/* Nothing is accepted here. */
int nvmft_queue_open(struct nvmft_port *port, struct nvmft_poll_group *group, uint64_t key, struct nvmft_queue **queue)
{
	(void)port;
	(void)group;
	(void)key;
	(void)queue;
	return -ENOSYS;
}

struct nvmft_transport_port *nvmft_port_transport(struct nvmft_port *port)
{
	(void)port;
	return NULL;
}

uint64_t nvmft_inet_key(const union inet_end *end)
{
	(void)end;
	return 0;
}

/* ---- the world ---- */

/* The end of a pass, as tcp.c has it. */
static void group_flush(void)
{
	struct tcp_conn *conn;
	int rounds = 0;

	while ((conn = TAILQ_FIRST(&tg.dirty))) {
		assert_holds(rounds++ < 1000);
		TAILQ_REMOVE(&tg.dirty, conn, link);
		conn->dirty = false;
		nvmft_tcp_conn_work(conn);
		assert_holds(conn->room == 0 && STAILQ_EMPTY(&conn->spent));
		assert_holds(!conn->starved || !conn->dirty);
	}
}

static void live(int steps)
{
	while (steps--) {
		for (uint32_t n = below(one_in(3) ? LINKS * COMMANDS : 8); n--;)
			something_happens(&links[below(LINKS)]);
		group_flush();
		for (struct link *link = links; link < links + LINKS; link++)
			if (sending(link) && one_in(slowness))
				kernel_sends(link);
	}
}

static void all_are_over(struct link *link)
{
	for (struct command *c = link->commands; c < link->commands + COMMANDS; c++)
		if (c->state == EXECUTING)
			command_is_over(link, c);
}

static bool all_free(const struct link *link)
{
	for (uint32_t i = 0; i < COMMANDS; i++)
		if (link->commands[i].state != FREE)
			return false;
	return true;
}

static bool at_rest(void)
{
	for (const struct link *link = links; link < links + LINKS; link++)
		if (!all_free(link) || sending(link) || link->npending)
			return false;
	return true;
}

/* Only what the kernel sends makes anything go on. */
static void come_to_rest(void)
{
	new_ones = false;
	for (int round = 0; !at_rest(); round++) {
		bool any = false;

		assert_holds(round < MOST_ROUNDS);
		for (struct link *link = links; link < links + LINKS; link++)
			all_are_over(link);
		group_flush();
		for (struct link *link = links; link < links + LINKS; link++) {
			if (!sending(link))
				continue;
			any = true;
			kernel_sends(link);
		}
		assert_holds(any);
	}
	group_flush();
}

static void accounts_are_even(void)
{
	assert_holds(tg.batches_out == 0 && TAILQ_EMPTY(&tg.dirty) && TAILQ_EMPTY(&tg.starved));
	for (struct link *link = links; link < links + LINKS; link++) {
		const struct tcp_conn *conn = &link->conn;

		assert_holds(!conn->batch && !conn->next && STAILQ_EMPTY(&conn->txq));
		if (link->closed)
			continue;
		assert_holds(conn->tx_unsent == 0 && conn->tx_bytes == 0 && conn->bulk_bytes == 0);
		assert_holds(conn->ttags.used == 0 && link->len == 0);
	}
}

static void link_begin(struct link *link)
{
	struct tcp_conn *conn = &link->conn;

	memset(conn, 0, sizeof(*conn));
	link->queue = (struct nvmft_queue_head){conn, NULL};
	conn->queue = (struct nvmft_queue *)&link->queue;
	conn->tg = &tg;
	conn->fd = -1;
	/* One is as most are. */
	conn->success_ok = link == links || one_in(2);
	if (link == links)
		nvmft_tcp_agree(&conn->params, 0, false, false);
	else
		nvmft_tcp_agree(&conn->params, (uint8_t)below(TCP_PDA_MAX + 1), one_in(2), one_in(2));
	nvmft_tcp_tx_init(conn);
	for (uint32_t i = 0; i < COMMANDS; i++)
		link->commands[i].state = FREE;
	link->npending = 0;
	link->len = 0;
	link->closed = false;
}

static void begin(unsigned int seed)
{
	world_begin(seed);
	tg = (struct tcp_group){.group = NULL};
	TAILQ_INIT(&tg.dirty);
	TAILQ_INIT(&tg.starved);
	most_batches = 1 + below(2 * LINKS);
	/* All combinations. */
	slowness = seed & 1 ? 2 : 40;
	writes = seed & 2 ? 8 : 1000;
	simple = seed & 4;
	large = seed & 8 ? 4 : 1;
	without = seed & 16 ? 1000 : 2;
	new_ones = true;
	for (uint32_t i = 0; i < LINKS; i++)
		link_begin(&links[i]);
}

static void end(void)
{
	for (uint32_t i = 0; i < LINKS; i++)
		nvmft_tcp_ttags_fini(&links[i].conn.ttags);
	nvmft_tcp_tx_group_fini(&tg);
}

/* ---- tests ---- */

static void all_arrives_whole_and_in_order(void **state)
{
	(void)state;
	for (unsigned int seed = 1; seed <= WORLDS; seed++) {
		begin(seed);
		live(STEPS);
		come_to_rest();
		accounts_are_even();
		end();
	}
}

static void each_is_released_once_whenever_a_connection_dies(void **state)
{
	struct link *link = links;

	(void)state;
	for (unsigned int seed = 1; seed <= WORLDS; seed++) {
		begin(seed);
		live((int)below(30));
		nvmft_tcp_conn_dead(&link->conn, NULL, NULL, 0);
		new_ones = false;
		all_are_over(link);
		if (sending(link))
			send_over(link, -ECANCELED);
		group_flush();
		assert_holds(link->closed && all_free(link));
		link->npending = 0;
		link->len = 0;
		come_to_rest();
		accounts_are_even();
		end();
	}
}

/* With both lists on one link of the connection, the group would never come to the end of the pass. */
static void one_that_waits_for_a_batch_is_not_dirty_as_well(void **state)
{
	struct tcp_conn *conn = &links[0].conn;
	struct tx_batch *batch;

	(void)state;
	begin(1);
	batch = batch_get(&tg);
	most_batches = 1;
	answer_at_once = &links[0];
	nvmft_tcp_conn_dirty(conn);
	group_flush();
	assert_true(conn->starved);
	assert_false(conn->dirty);
	batch_put(&tg, batch);
	come_to_rest();
	accounts_are_even();
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_arrives_whole_and_in_order),
		cmocka_unit_test(each_is_released_once_whenever_a_connection_dies),
		cmocka_unit_test(one_that_waits_for_a_batch_is_not_dirty_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
