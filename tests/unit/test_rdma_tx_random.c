/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NVMe/RDMA's sending and reading in worlds of random sizes: the device, which the test plays, knows its limits, and
 * for each command what has moved. Whether a command may go on is asked of it alone, never of the code under test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "random_world.h"
#include "tx.c"

#define COMMANDS 24u
#define OUR_PIECES 32u
#define QP_NUM 300u
#define WORLDS 1000u
#define STEPS 200
#define MOST_ROUNDS 100000 /* more than any world takes to come to rest */

/* ---- commands ---- */

enum state {
	FREE,
	FETCHING,
	EXECUTING,
	RESPONDING,
};

/* As the device sees them, beside what the transport does. */
static struct command {
	struct nvmft_request request;
	struct rdma_req rreq;
	struct nvmft_iov iov[OUR_PIECES];
	enum state state;
	uint32_t to_move, moved; /* bytes; in this direction */
	bool posted, answered;   /* the SEND: the device has it; the host has it */
	uint32_t order;          /* of fetches and responses in the order in which they were asked for */
} commands[COMMANDS];

static struct rdma_conn conn;
static struct rdma_dev dev;
static struct rdma_group rg;
static struct nvmft_queue_head queue = {&conn, NULL};
static uint32_t asked, last_sent, last_read;

/* Memory that nobody looks into: ours of a command is in one row, and so is the host's. Its keys name the piece. */
static uint64_t our_base(const struct command *c)
{
	return (uint64_t)(c - commands + 1) << 32;
}

static uint32_t host_key(const struct command *c, uint32_t piece)
{
	return (uint32_t)(c - commands) << 8 | piece;
}

/* ---- the device ---- */

#define SLOTS 256u

struct slot {
	struct ibv_send_wr wr;
	struct ibv_sge sge[RDMA_MAX_SGE];
	uint64_t number;
};

/* Numbers of work requests: posted, of these executed, and of these known to the host of the device to be over. */
static struct slot slots[SLOTS];
static uint64_t posted, executed, freed;
static uint32_t reads_out;
static uint64_t completed[SLOTS]; /* numbers of signalled ones, to be polled */
static uint32_t ncompleted;

static struct slot *slot(uint64_t number)
{
	return &slots[number % SLOTS];
}

static bool is_send(const struct ibv_send_wr *wr)
{
	return wr->opcode == IBV_WR_SEND || wr->opcode == IBV_WR_SEND_WITH_INV;
}

static struct command *command_of(const struct slot *s)
{
	if (!is_send(&s->wr))
		return &commands[s->wr.wr.rdma.rkey >> 8];
	for (uint32_t i = 0; i < COMMANDS; i++)
		if (s->sge[0].addr == (uintptr_t)&commands[i].request.cqe)
			return &commands[i];
	fail_msg("world %u: a SEND of no command", world);
	return NULL;
}

static void check_send(struct command *c)
{
	assert_holds(c->state == RESPONDING && !c->posted);
	assert_holds(c->order > last_sent);
	last_sent = c->order;
	c->posted = true;
}

static void check_data(const struct slot *s, const struct command *c)
{
	bool read = s->wr.opcode == IBV_WR_RDMA_READ;

	assert_holds(s->wr.num_sge >= 1 && (uint32_t)s->wr.num_sge <= (read ? conn.max_sge_read : conn.max_sge));
	assert_holds(c->state == (read ? FETCHING : RESPONDING));
	if (!read)
		return;
	assert_holds(s->wr.send_flags & IBV_SEND_SIGNALED);
	assert_holds(++reads_out <= conn.read_depth);
	assert_holds(c->order >= last_read);
	last_read = c->order;
}

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
	(void)qp;
	(void)bad;
	assert_holds(conn.state == RDMA_CONN_LIVE);
	for (; wr; wr = wr->next) {
		struct slot *s = slot(posted);

		assert_holds(posted - freed < conn.sq_size);
		assert_holds(wr->num_sge <= (int)RDMA_MAX_SGE);
		s->wr = *wr;
		s->number = posted++;
		memcpy(s->sge, wr->sg_list, (size_t)wr->num_sge * sizeof(s->sge[0]));
		if (is_send(wr))
			check_send(command_of(s));
		else
			check_data(s, command_of(s));
	}
	return 0;
}

/* Each byte once, in order, and each through the key of its own piece. */
static void move(const struct slot *s, struct command *c)
{
	uint32_t key = s->wr.wr.rdma.rkey & 0xff, len = 0;
	const struct rdma_piece *piece = &c->rreq.sgl.piece[key];

	assert_holds(s->wr.wr.rdma.remote_addr == c->moved);
	for (int i = 0; i < s->wr.num_sge; i++) {
		const struct nvmft_iov *iov = &c->iov[s->sge[i].lkey];
		uint64_t base = (uintptr_t)iov->base;

		assert_holds(s->sge[i].length > 0);
		assert_holds(s->sge[i].addr == our_base(c) + c->moved + len);
		assert_holds(s->sge[i].addr >= base && s->sge[i].addr + s->sge[i].length <= base + iov->len);
		len += s->sge[i].length;
	}
	assert_holds(len <= RDMA_MAX_MSG);
	assert_holds(key < c->rreq.sgl.n && c->moved >= piece->addr && c->moved + len <= piece->addr + piece->len);
	c->moved += len;
}

/* The next work request, if there is one. */
static void execute_one(void)
{
	const struct slot *s = slot(executed);
	struct command *c;

	if (executed == posted)
		return;
	executed++;
	c = command_of(s);
	if (is_send(&s->wr)) {
		assert_holds(c->moved == c->to_move);
		c->answered = true;
	} else {
		move(s, c);
	}
	reads_out -= s->wr.opcode == IBV_WR_RDMA_READ;
	if (s->wr.send_flags & IBV_SEND_SIGNALED)
		completed[ncompleted++] = s->number;
}

static void device_works(uint32_t n)
{
	while (n--)
		execute_one();
}

/* The first @n completions, all at once. */
static void poll_cq(uint32_t n)
{
	struct ibv_wc wc[SLOTS];

	n = rdma_min(n, ncompleted);
	for (uint32_t i = 0; i < n; i++)
		wc[i] = (struct ibv_wc){
			.wr_id = slot(completed[i])->wr.wr_id, .status = IBV_WC_SUCCESS, .qp_num = QP_NUM};
	if (n)
		freed = completed[n - 1] + 1;
	ncompleted -= n;
	memmove(completed, completed + n, ncompleted * sizeof(completed[0]));
	nvmft_rdma_sent(&dev, wc, (int)n);
}

static struct ibv_context context = {.ops = {.post_send = post_send}};
static struct ibv_qp qp = {.context = &context};

/* ---- neighbours ---- */

static struct command *command_of_request(struct nvmft_request *request)
{
	return rdma_container_of(request, struct command, request);
}

void nvmft_rdma_conn_dead(struct rdma_conn *c, const char *why)
{
	assert_holds(why == NULL);
	c->state = RDMA_CONN_DRAINING;
}

void nvmft_rdma_conn_drained(struct rdma_conn *c)
{
	(void)c;
}

const char *ibv_wc_status_str(enum ibv_wc_status status)
{
	(void)status;
	return "";
}

/* Its memory may be another command's now. A dead connection's device is over with all. */
void nvmft_request_release(struct nvmft_request *request)
{
	struct command *c = command_of_request(request);

	if (conn.state == RDMA_CONN_LIVE)
		assert_holds(c->state == RESPONDING && c->answered);
	else
		assert_holds(c->state == RESPONDING || c->state == FETCHING);
	c->state = FREE;
}

void nvmft_request_execute(struct nvmft_request *request)
{
	struct command *c = command_of_request(request);

	assert_holds(conn.state == RDMA_CONN_LIVE);
	assert_holds(c->state == FETCHING && c->moved == c->to_move);
	c->state = EXECUTING;
}

/* ---- what the core asks for ---- */

/* The next of so many parts of what is left: anything but nothing, the last one all. */
static uint32_t part(uint32_t *left, uint32_t parts)
{
	uint32_t len = parts == 1 ? *left : 1 + below(2 * (*left / parts) - 1);

	*left -= len;
	return len;
}

static void cut(struct command *c, uint32_t len)
{
	uint32_t ours = one_in(2) ? 1 : 1 + below(OUR_PIECES);
	uint32_t theirs = one_in(2) ? 1 : 1 + below(RDMA_MSDBD);
	uint32_t left = len;

	c->request.data_len = len;
	c->request.iovcnt = ours;
	for (uint32_t k = 0; k < ours; k++) {
		void *base = (void *)(uintptr_t)(our_base(c) + len - left);

		c->iov[k] = (struct nvmft_iov){base, part(&left, ours - k), (uint16_t)k};
	}
	left = len;
	c->rreq.sgl.n = (uint8_t)theirs;
	for (uint32_t k = 0; k < theirs; k++) {
		uint64_t addr = len - left;

		c->rreq.sgl.piece[k] = (struct rdma_piece){addr, part(&left, theirs - k), host_key(c, k)};
	}
}

/* A read or a command without data is with the backend at once, a write fetches its data first. */
static void command_comes(struct command *c)
{
	struct nvmft_request *request = &c->request;

	memset(c, 0, sizeof(*c));
	request->queue = (struct nvmft_queue *)&queue;
	request->priv = &c->rreq;
	request->iov = c->iov;
	request->sgl = NVMFT_SGL_KEYED;
	request->dir = below(3) + NVMFT_DIR_NONE;
	c->rreq.request = request;
	c->rreq.sgl.invalidate = one_in(2);
	c->state = EXECUTING;
	if (request->dir != NVMFT_DIR_NONE)
		cut(c, one_in(10) ? 2 * RDMA_MAX_MSG + below(RDMA_MAX_MSG) : 512 + below(65536));
	if (request->dir != NVMFT_DIR_FROM_HOST)
		return;
	c->state = FETCHING;
	c->to_move = request->data_len;
	c->order = ++asked;
	nvmft_rdma_fetch(request);
}

static void command_is_over(struct command *c)
{
	c->request.cqe.status |= one_in(8);
	c->moved = 0;
	c->to_move = c->request.dir == NVMFT_DIR_TO_HOST && !c->request.cqe.status ? c->request.data_len : 0;
	c->state = RESPONDING;
	c->order = ++asked;
	nvmft_rdma_respond(&c->request);
}

static void command_is_aborted(struct command *c)
{
	if (nvmft_rdma_fetch_abort(&c->request))
		return;
	assert_holds(c->moved == 0);
	c->request.cqe.status = 1;
	c->state = EXECUTING;
}

static void something_happens(bool new_ones)
{
	struct command *c = &commands[below(COMMANDS)];

	if (c->state == FREE && new_ones)
		command_comes(c);
	else if (c->state == EXECUTING)
		command_is_over(c);
	else if (c->state == FETCHING && one_in(4))
		command_is_aborted(c);
}

/* ---- the world ---- */

/* Whether nothing would go on, or much memory be held, if no completion were looked at. */
static bool must_wait(void)
{
	uint64_t held = 0;

	for (const struct command *c = commands; c < commands + COMMANDS; c++) {
		if (c->state == FETCHING || (c->state == RESPONDING && !c->posted))
			return true;
		held += c->state == RESPONDING ? c->request.data_len : 0;
	}
	return held > RDMA_HELD_MAX;
}

/* The end of a pass. */
static void flush(void)
{
	if (!conn.dirty)
		return;
	TAILQ_REMOVE(&rg.dirty, &conn, link);
	conn.dirty = false;
	nvmft_rdma_tx_flush(&conn);
	if (conn.state != RDMA_CONN_LIVE)
		return;
	assert_holds(conn.awaits == must_wait());
	assert_holds(dev.awaits == (conn.awaits ? 1 : 0));
}

static void live(int steps, bool new_ones)
{
	while (steps--) {
		for (uint32_t n = below(one_in(8) ? 4 * COMMANDS : 6); n--;)
			something_happens(new_ones);
		if (one_in(2))
			device_works(below(40));
		poll_cq(below(8));
		if (!one_in(3))
			flush();
	}
}

static bool all_free(void)
{
	for (uint32_t i = 0; i < COMMANDS; i++)
		if (commands[i].state != FREE)
			return false;
	return true;
}

/* Only completions and what they bring make anything go on. */
static void come_to_rest(void)
{
	for (int round = 0; !all_free(); round++) {
		assert_holds(round < MOST_ROUNDS);
		for (struct command *c = commands; c < commands + COMMANDS; c++)
			if (c->state == EXECUTING)
				command_is_over(c);
		flush();
		device_works(SLOTS);
		assert_holds(ncompleted > 0);
		poll_cq(1 + below(10));
	}
	flush();
}

static void accounts_are_even(void)
{
	assert_holds(posted == freed && ncompleted == 0);
	assert_holds(sq_free(&conn) == conn.sq_size);
	assert_holds(conn.held == 0 && conn.unsent == 0 && conn.reads == 0);
	assert_holds(conn.signals == 0 && dev.signals == 0);
	assert_holds(!conn.awaits && dev.awaits == 0);
	assert_holds(STAILQ_EMPTY(&conn.responses.list) && !conn.responses.next);
	assert_holds(STAILQ_EMPTY(&conn.fetches.list) && !conn.fetches.next);
}

static void begin(unsigned int seed, uint32_t sq_size, uint32_t max_sge, uint32_t read_depth)
{
	static struct ibv_mr mr[OUR_PIECES], *mrs[OUR_PIECES];

	for (uint32_t i = 0; i < OUR_PIECES; i++) {
		mr[i].lkey = i;
		mrs[i] = &mr[i];
	}
	memset(commands, 0, sizeof(commands));
	posted = executed = freed = 0;
	reads_out = ncompleted = asked = last_sent = last_read = 0;
	TAILQ_INIT(&rg.dirty);
	dev = (struct rdma_dev){.rg = &rg, .mrs = mrs};
	world_begin(seed);
	conn = (struct rdma_conn){.rg = &rg,
				  .dev = &dev,
				  .qp = &qp,
				  .state = RDMA_CONN_LIVE,
				  .qp_num = QP_NUM,
				  .depth = COMMANDS,
				  .send_inv = one_in(2),
				  .sq_size = 1 + below(sq_size),
				  .max_sge = 1 + below(max_sge),
				  .read_depth = 1 + below(read_depth)};
	conn.max_sge_read = 1 + below(conn.max_sge);
	LIST_INSERT_HEAD(&dev.conns[QP_NUM % RDMA_QP_BUCKETS], &conn, hash_link);
	rdma_fifo_init(&conn.responses);
	rdma_fifo_init(&conn.fetches);
}

/* ---- tests ---- */

static void all_is_moved_once_and_in_order_over_a_narrow_device(void **state)
{
	(void)state;
	for (unsigned int seed = 1; seed <= WORLDS; seed++) {
		begin(seed, 5, 2, 2);
		live(STEPS, true);
		come_to_rest();
		accounts_are_even();
	}
}

static void all_is_moved_once_and_in_order_over_a_wide_device(void **state)
{
	(void)state;
	for (unsigned int seed = 1; seed <= WORLDS; seed++) {
		begin(seed, SLOTS, RDMA_MAX_SGE, 16);
		live(STEPS, true);
		come_to_rest();
		accounts_are_even();
	}
}

static void each_is_released_once_whenever_the_connection_dies(void **state)
{
	struct ibv_wc broken = {.wr_id = 1, .status = IBV_WC_WR_FLUSH_ERR, .qp_num = QP_NUM};

	(void)state;
	for (unsigned int seed = 1; seed <= WORLDS; seed++) {
		begin(seed, seed % 2 ? 5 : SLOTS, RDMA_MAX_SGE, 16);
		live((int)below(50), true);
		nvmft_rdma_sent(&dev, &broken, 1);
		live(20, false);
		for (struct command *c = commands; c < commands + COMMANDS; c++)
			if (c->state == EXECUTING)
				command_is_over(c);
		nvmft_rdma_tx_release_all(&conn);
		assert_holds(all_free());
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_is_moved_once_and_in_order_over_a_narrow_device),
		cmocka_unit_test(all_is_moved_once_and_in_order_over_a_wide_device),
		cmocka_unit_test(each_is_released_once_whenever_the_connection_dies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
