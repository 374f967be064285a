/* SPDX-License-Identifier: BSD-3-Clause */
/* NVMe/RDMA's sending and reading against a send queue that the test plays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tx.c"

#define POSTED 256
#define PIECES 4u
#define QP_NUM 300u

static struct ibv_send_wr posted[POSTED]; /* not over yet, in order; the sizes of sg_list[0] are copied */
static uint32_t nposted, most_posted;
static unsigned int doorbells, released, executed, dead, sends, writes, reads, signals;
static bool refuses; /* the device takes nothing */
static char memory[65536];

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
	(void)qp;
	doorbells++;
	*bad = wr;
	if (refuses)
		return ENOMEM;
	for (; wr; wr = wr->next) {
		posted[nposted++] = *wr;
		sends += wr->opcode == IBV_WR_SEND || wr->opcode == IBV_WR_SEND_WITH_INV;
		writes += wr->opcode == IBV_WR_RDMA_WRITE;
		reads += wr->opcode == IBV_WR_RDMA_READ;
		signals += (wr->send_flags & IBV_SEND_SIGNALED) != 0;
	}
	if (nposted > most_posted)
		most_posted = nposted;
	return 0;
}

static struct ibv_context context = {.ops = {.post_send = post_send}};
static struct ibv_qp qp = {.context = &context};

/* ---- neighbours ---- */

static struct rdma_conn conn;
static struct nvmft_queue_head queue = {&conn, NULL};

void nvmft_rdma_conn_dead(struct rdma_conn *c, const char *why)
{
	(void)why;
	if (c->state != RDMA_CONN_DRAINING)
		dead++;
	c->state = RDMA_CONN_DRAINING;
}

void nvmft_rdma_conn_drained(struct rdma_conn *c)
{
	c->drained = true;
}

void nvmft_request_release(struct nvmft_request *request)
{
	(void)request;
	released++;
}

void nvmft_request_execute(struct nvmft_request *request)
{
	(void)request;
	executed++;
}

const char *ibv_wc_status_str(enum ibv_wc_status status)
{
	(void)status;
	return "";
}

/* ---- the world ---- */

#define COMMANDS 64

static struct rdma_dev dev;
static struct world {
	struct nvmft_request request[COMMANDS];
	struct rdma_req rreq[COMMANDS];
	struct nvmft_iov iov[COMMANDS][PIECES];
} w;

static int setup(void **state)
{
	static struct ibv_mr mr, *mrs[] = {&mr};
	static struct rdma_group rg;

	(void)state;
	TAILQ_INIT(&rg.dirty);
	dev = (struct rdma_dev){.mrs = mrs};
	memset(&w, 0, sizeof(w));
	conn = (struct rdma_conn){.rg = &rg,
				  .dev = &dev,
				  .qp = &qp,
				  .state = RDMA_CONN_LIVE,
				  .max_sge = 4,
				  .max_sge_read = 4,
				  .depth = 32,
				  .qp_num = QP_NUM,
				  .sq_size = 64,
				  .read_depth = 16};
	LIST_INSERT_HEAD(&dev.conns[QP_NUM % RDMA_QP_BUCKETS], &conn, hash_link);
	rdma_fifo_init(&conn.responses);
	rdma_fifo_init(&conn.fetches);
	refuses = false;
	nposted = most_posted = doorbells = released = executed = dead = sends = writes = reads = signals = 0;
	return 0;
}

/* A command that moves @pieces pages of ours and as many of the host's. */
static struct nvmft_request *command(unsigned int i, enum nvmft_dir dir, uint32_t ours, uint32_t theirs)
{
	struct nvmft_request *request = &w.request[i];
	struct rdma_req *rreq = &w.rreq[i];

	request->priv = rreq;
	request->queue = (struct nvmft_queue *)&queue;
	rreq->request = request;
	request->dir = dir;
	request->sgl = NVMFT_SGL_KEYED;
	request->iov = w.iov[i];
	request->iovcnt = ours;
	request->data_len = 4096 * PIECES;
	for (uint32_t k = 0; k < ours; k++)
		w.iov[i][k] = (struct nvmft_iov){memory, 4096 * PIECES / ours, 0};
	rreq->sgl.n = (uint8_t)theirs;
	for (uint32_t k = 0; k < theirs; k++)
		rreq->sgl.piece[k] = (struct rdma_piece){k << 20, 4096 * PIECES / theirs, k};
	return request;
}

/* One without data. */
static struct nvmft_request *small(unsigned int i)
{
	struct nvmft_request *request = command(i, NVMFT_DIR_NONE, 1, 1);

	request->data_len = 0;
	return request;
}

static void complete_one(uint64_t wr_id, enum ibv_wc_status status)
{
	struct ibv_wc wc = {.wr_id = wr_id, .status = status, .qp_num = QP_NUM};

	nvmft_rdma_sent(&dev, &wc, 1);
}

/* The device is ready with the first @n that were posted. */
static void complete(uint32_t n)
{
	struct ibv_send_wr over[POSTED];

	assert_true(n <= nposted);
	memcpy(over, posted, n * sizeof(over[0]));
	nposted -= n;
	memmove(posted, posted + n, nposted * sizeof(posted[0]));
	for (uint32_t i = 0; i < n; i++)
		if (over[i].send_flags & IBV_SEND_SIGNALED)
			complete_one(over[i].wr_id, IBV_WC_SUCCESS);
}

static void complete_all(void)
{
	complete(nposted);
}

/* The end of a pass. */
static void flush(void)
{
	if (conn.dirty)
		TAILQ_REMOVE(&conn.rg->dirty, &conn, link);
	conn.dirty = false;
	nvmft_rdma_tx_flush(&conn);
}

static void until_idle(void)
{
	do {
		flush();
		complete_all();
	} while (conn.dirty);
}

/* ---- tests ---- */

static void a_pass_is_one_doorbell(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 8; i++)
		nvmft_rdma_respond(command(i, NVMFT_DIR_TO_HOST, 1, 1));
	for (unsigned int i = 8; i < 12; i++)
		nvmft_rdma_fetch(command(i, NVMFT_DIR_FROM_HOST, 1, 1));
	flush();
	assert_int_equal(doorbells, 1);
	assert_int_equal(writes, 8);
	assert_int_equal(sends, 8);
	assert_int_equal(reads, 4);
	complete_all();
	assert_int_equal(released, 8);
	assert_int_equal(executed, 4);
}

static void one_completion_is_that_of_all_responses_of_a_pass(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 16; i++)
		nvmft_rdma_respond(small(i));
	flush();
	assert_int_equal(signals, 1);
	complete(15);
	assert_int_equal(released, 0);
	assert_int_equal(sq_free(&conn), 48);
	complete(1);
	assert_int_equal(released, 16);
	assert_int_equal(sq_free(&conn), 64);
	assert_int_equal(conn.unsent, 0);
}

static void a_completion_is_not_that_of_what_came_later(void **state)
{
	(void)state;
	nvmft_rdma_respond(small(0));
	nvmft_rdma_respond(small(1));
	flush();
	nvmft_rdma_respond(small(2));
	flush();
	nvmft_rdma_respond(small(3));
	complete(2);
	assert_int_equal(released, 2);
	flush();
	complete(1);
	assert_int_equal(released, 3);
	until_idle();
	assert_int_equal(released, 4);
}

static void much_memory_does_not_wait_for_the_end_of_a_pass(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 16; i++)
		nvmft_rdma_respond(command(i, NVMFT_DIR_TO_HOST, 1, 1));
	flush();
	/* Of 16 KiB each. */
	assert_int_equal(signals, 4);
	complete(8);
	assert_int_equal(released, 4);
	assert_int_equal(conn.held, 12 * 4096 * PIECES);
	complete_all();
	assert_int_equal(released, 16);
	assert_int_equal(conn.held, 0);
}

static void a_command_goes_on_with_its_own_read(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 4; i++)
		nvmft_rdma_fetch(command(i, NVMFT_DIR_FROM_HOST, 1, 1));
	flush();
	complete(1);
	assert_int_equal(executed, 1);
	complete(2);
	assert_int_equal(executed, 3);
	assert_int_equal(conn.reads, 1);
}

static void responses_do_not_wait_for_reads_behind_them(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 2; i++)
		nvmft_rdma_fetch(command(i, NVMFT_DIR_FROM_HOST, 1, 1));
	for (unsigned int i = 2; i < 4; i++)
		nvmft_rdma_respond(small(i));
	flush();
	complete(2);
	assert_int_equal(released, 2);
	assert_int_equal(executed, 0);
}

static void responses_wait_for_room_in_the_send_queue(void **state)
{
	(void)state;
	conn.sq_size = 3;
	for (unsigned int i = 0; i < 16; i++)
		nvmft_rdma_respond(command(i, NVMFT_DIR_TO_HOST, 1, 1));
	until_idle();
	assert_int_equal(released, 16);
	assert_int_equal(sends, 16);
	assert_int_equal(writes, 16);
	assert_true(most_posted <= 3);
	assert_int_equal(sq_free(&conn), 3);
	assert_int_equal(conn.unsent, 0);
}

static void data_that_does_not_fit_goes_in_parts_before_its_response(void **state)
{
	(void)state;
	conn.sq_size = 3;
	nvmft_rdma_respond(command(0, NVMFT_DIR_TO_HOST, 1, PIECES));
	flush();
	assert_int_equal(writes, 3);
	assert_int_equal(sends, 0);
	assert_int_equal(signals, 1);
	complete_all();
	assert_int_equal(released, 0);
	flush();
	assert_int_equal(writes, 4);
	assert_int_equal(sends, 1);
	assert_int_equal(posted[0].wr.rdma.remote_addr, 3 << 20);
	complete_all();
	assert_int_equal(released, 1);
	assert_int_equal(sq_free(&conn), 3);
}

static void no_more_reads_than_the_host_answers(void **state)
{
	(void)state;
	conn.read_depth = 3;
	for (unsigned int i = 0; i < 4; i++)
		nvmft_rdma_fetch(command(i, NVMFT_DIR_FROM_HOST, 1, PIECES));
	until_idle();
	assert_int_equal(executed, 4);
	assert_int_equal(reads, 4 * PIECES);
	assert_int_equal(most_posted, 3);
	assert_int_equal(conn.reads, 0);
}

static void responses_pass_reads_that_wait(void **state)
{
	(void)state;
	conn.read_depth = 1;
	for (unsigned int i = 0; i < 4; i++)
		nvmft_rdma_fetch(command(i, NVMFT_DIR_FROM_HOST, 1, 1));
	nvmft_rdma_respond(command(4, NVMFT_DIR_TO_HOST, 1, 1));
	flush();
	assert_int_equal(sends, 1);
	assert_int_equal(reads, 1);
}

static void pieces_of_ours_beyond_the_devices_limit_are_split(void **state)
{
	(void)state;
	conn.max_sge = 2;
	conn.max_sge_read = 1;
	nvmft_rdma_respond(command(0, NVMFT_DIR_TO_HOST, PIECES, 1));
	nvmft_rdma_fetch(command(1, NVMFT_DIR_FROM_HOST, PIECES, 1));
	until_idle();
	assert_int_equal(writes, PIECES / 2);
	assert_int_equal(reads, PIECES);
	assert_int_equal(released, 1);
	assert_int_equal(executed, 1);
}

static void a_pass_with_more_than_a_chain_holds_goes_out_whole(void **state)
{
	(void)state;
	conn.max_sge = 16;
	conn.sq_size = 256;
	for (unsigned int i = 0; i < 32; i++)
		nvmft_rdma_respond(command(i, NVMFT_DIR_TO_HOST, 1, PIECES));
	flush();
	assert_int_equal(sends, 32);
	complete_all();
	assert_int_equal(released, 32);
	assert_int_equal(sq_free(&conn), 256);
}

static void after_an_error_each_command_is_released_once(void **state)
{
	(void)state;
	conn.sq_size = 5;
	for (unsigned int i = 0; i < 8; i++)
		nvmft_rdma_respond(command(i, NVMFT_DIR_TO_HOST, 1, 1));
	for (unsigned int i = 8; i < 12; i++)
		nvmft_rdma_fetch(command(i, NVMFT_DIR_FROM_HOST, 1, 1));
	nvmft_rdma_tx_flush(&conn);
	/* Not one that is signalled. */
	complete_one(posted[0].wr_id, IBV_WC_REM_ACCESS_ERR);
	complete_all();
	flush();
	assert_int_equal(dead, 1);
	assert_int_equal(doorbells, 1);
	assert_int_equal(released, 0);
	nvmft_rdma_tx_release_all(&conn);
	assert_int_equal(released, 12);
	assert_int_equal(executed, 0);
}

static void nothing_is_posted_to_a_device_that_refuses(void **state)
{
	(void)state;
	refuses = true;
	conn.sq_size = 256;
	for (unsigned int i = 0; i < 32; i++)
		nvmft_rdma_respond(command(i, NVMFT_DIR_TO_HOST, 1, PIECES));
	nvmft_rdma_fetch(command(32, NVMFT_DIR_FROM_HOST, 1, 1));
	flush();
	flush();
	assert_int_equal(dead, 1);
	assert_int_equal(doorbells, 1);
	/* All of what was refused. */
	assert_int_equal(conn.signals, 3);
	nvmft_rdma_tx_release_all(&conn);
	assert_int_equal(released, 33);
}

static void the_last_one_is_the_end(void **state)
{
	(void)state;
	nvmft_rdma_respond(small(0));
	flush();
	conn.state = RDMA_CONN_DRAINING;
	complete_all();
	assert_int_equal(released, 0);
	assert_false(conn.drained);
	complete_one(RDMA_WR_DRAIN, IBV_WC_WR_FLUSH_ERR);
	assert_true(conn.drained);
	nvmft_rdma_tx_release_all(&conn);
	assert_int_equal(released, 1);
}

static void completions_of_connections_that_are_gone_are_nobodys(void **state)
{
	struct ibv_wc wc = {.wr_id = 1, .status = IBV_WC_WR_FLUSH_ERR, .qp_num = QP_NUM + RDMA_QP_BUCKETS};

	(void)state;
	nvmft_rdma_respond(small(0));
	flush();
	nvmft_rdma_sent(&dev, &wc, 1);
	assert_int_equal(released + dead, 0);
}

static void a_host_that_takes_no_responses_is_given_up(void **state)
{
	(void)state;
	conn.depth = 8;
	for (unsigned int i = 0; i < 24; i++) {
		nvmft_rdma_respond(small(i));
		flush();
	}
	assert_int_equal(dead, 0);
	nvmft_rdma_respond(small(24));
	assert_int_equal(dead, 1);
}

static void a_fetch_is_given_up_only_before_its_reads(void **state)
{
	struct nvmft_request *request = command(0, NVMFT_DIR_FROM_HOST, 1, 2);

	(void)state;
	conn.read_depth = 1;
	nvmft_rdma_fetch(request);
	flush();
	assert_int_equal(nvmft_rdma_fetch_abort(request), -EBUSY);
	complete_all();
	assert_int_equal(nvmft_rdma_fetch_abort(request), -EBUSY);
	nvmft_rdma_fetch(command(1, NVMFT_DIR_FROM_HOST, 1, 1));
	assert_int_equal(nvmft_rdma_fetch_abort(&w.request[1]), 0);
	nvmft_rdma_fetch(command(2, NVMFT_DIR_FROM_HOST, 1, 1));
	until_idle();
	assert_int_equal(executed, 2);
	assert_int_equal(reads, 3);
}

static void the_first_fetch_is_given_up(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 3; i++)
		nvmft_rdma_fetch(command(i, NVMFT_DIR_FROM_HOST, 1, 1));
	assert_int_equal(nvmft_rdma_fetch_abort(&w.request[0]), 0);
	assert_int_equal(nvmft_rdma_fetch_abort(&w.request[2]), 0);
	nvmft_rdma_fetch(command(3, NVMFT_DIR_FROM_HOST, 1, 1));
	until_idle();
	assert_int_equal(executed, 2);
	assert_int_equal(reads, 2);
}

static void a_message_is_no_larger_than_devices_take(void **state)
{
	struct nvmft_request *request = command(0, NVMFT_DIR_TO_HOST, 1, 1);

	(void)state;
	request->data_len = w.iov[0][0].len = w.rreq[0].sgl.piece[0].len = RDMA_MAX_MSG + 4096;
	nvmft_rdma_respond(request);
	flush();
	assert_int_equal(writes, 2);
	assert_int_equal(posted[1].wr.rdma.remote_addr, RDMA_MAX_MSG);
	complete_all();
	assert_int_equal(released, 1);
}

static void a_chain_has_room_for_all_pieces_of_its_data(void **state)
{
	(void)state;
	conn.read_depth = COMMANDS;
	for (unsigned int i = 0; i < COMMANDS; i++)
		nvmft_rdma_fetch(command(i, NVMFT_DIR_FROM_HOST, PIECES, 1));
	flush();
	assert_int_equal(reads, COMMANDS);
	complete_all();
	assert_int_equal(executed, COMMANDS);
}

static void a_response_invalidates_the_key_if_that_was_asked_for(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		struct nvmft_request *request = small(i);

		w.rreq[i].sgl.invalidate = i > 0;
		w.rreq[i].sgl.inv_key = 77;
		conn.send_inv = i > 1;
		nvmft_rdma_respond(request);
		flush();
		assert_int_equal(posted[i].opcode, i > 1 ? IBV_WR_SEND_WITH_INV : IBV_WR_SEND);
		assert_true(posted[i].send_flags & IBV_SEND_INLINE);
	}
	assert_int_equal(posted[2].invalidate_rkey, 77);
	until_idle();
}

static void responses_alone_are_not_waited_for(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 8; i++)
		nvmft_rdma_respond(command(i, NVMFT_DIR_TO_HOST, 1, 1));
	flush();
	assert_false(conn.awaits);
	assert_true(dev.signals > 0 && dev.signals == signals);
	/* So much memory is. */
	nvmft_rdma_respond(command(8, NVMFT_DIR_TO_HOST, 1, 1));
	flush();
	assert_true(conn.awaits);
	complete_all();
	assert_false(conn.awaits);
	assert_int_equal(dev.signals + conn.signals, 0);
	assert_int_equal(conn.held, 0);
}

static void reads_and_what_has_no_room_are_waited_for(void **state)
{
	(void)state;
	nvmft_rdma_fetch(command(0, NVMFT_DIR_FROM_HOST, 1, 1));
	flush();
	assert_true(conn.awaits);
	complete_all();
	flush();
	assert_false(conn.awaits);
	conn.sq_size = 3;
	nvmft_rdma_respond(command(1, NVMFT_DIR_TO_HOST, 1, 1));
	nvmft_rdma_respond(command(2, NVMFT_DIR_TO_HOST, 1, PIECES));
	flush();
	assert_true(conn.awaits);
	until_idle();
	assert_false(conn.awaits);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(responses_alone_are_not_waited_for),
		TEST(reads_and_what_has_no_room_are_waited_for),
		TEST(a_pass_is_one_doorbell),
		TEST(one_completion_is_that_of_all_responses_of_a_pass),
		TEST(a_completion_is_not_that_of_what_came_later),
		TEST(much_memory_does_not_wait_for_the_end_of_a_pass),
		TEST(a_command_goes_on_with_its_own_read),
		TEST(responses_do_not_wait_for_reads_behind_them),
		TEST(responses_wait_for_room_in_the_send_queue),
		TEST(data_that_does_not_fit_goes_in_parts_before_its_response),
		TEST(no_more_reads_than_the_host_answers),
		TEST(responses_pass_reads_that_wait),
		TEST(pieces_of_ours_beyond_the_devices_limit_are_split),
		TEST(a_pass_with_more_than_a_chain_holds_goes_out_whole),
		TEST(after_an_error_each_command_is_released_once),
		TEST(nothing_is_posted_to_a_device_that_refuses),
		TEST(the_last_one_is_the_end),
		TEST(completions_of_connections_that_are_gone_are_nobodys),
		TEST(a_host_that_takes_no_responses_is_given_up),
		TEST(a_fetch_is_given_up_only_before_its_reads),
		TEST(the_first_fetch_is_given_up),
		TEST(a_message_is_no_larger_than_devices_take),
		TEST(a_chain_has_room_for_all_pieces_of_its_data),
		TEST(a_response_invalidates_the_key_if_that_was_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
