/* SPDX-License-Identifier: BSD-3-Clause */
/* Hosts that fall silent, take no responses, or are gone in the middle of something. */
#include "peer.h"

#define DEPTH 16u

static void send_some(struct peer *p, uint8_t opcode, uint32_t blocks, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		peer_rw(p, opcode, blocks);
		peer_send(p, 0);
	}
}

static bool some_io(void *arg)
{
	return !peer_is_idle(arg);
}

/* Commands have buffers: their data is on its way. */
static void wait_under_way(struct peer *p)
{
	assert_true(th_wait(&p->w->t, some_io, p, 10000));
}

/* ---- gone in the middle ---- */

static void test_closed_in_the_middle(void **state)
{
	for (unsigned int op = TH_WRITE; op <= TH_READ; op++) {
		struct peer *p = peer_open(*state, NULL);

		send_some(p, (uint8_t)op, 1024, 8);
		wait_under_way(p);
		peer_close(p);
		world_wait_connections(*state, 0);
	}
}

/* No answer to anything any more, as if the machine were dead: the device gives up after some attempts. */
static void fall_silent(struct rdma_world *w, uint8_t opcode)
{
	struct peer *p = peer_open(w, NULL);
	uint32_t sent = p->r->sent + 8;

	/* The commands are there, and the target has not looked at them yet. */
	send_some(p, opcode, 1024, 8);
	while (p->r->sent < sent)
		th_rdma_receive(p->r);
	th_rdma_silence(p->r);
	peer_expect_end(p, true);
	assert_true(th_log_has(&w->t, "transport retry counter exceeded"));
	peer_close(p);
}

static void test_silent_in_the_middle_of_writes(void **state)
{
	fall_silent(*state, TH_WRITE);
}

static void test_silent_in_the_middle_of_reads(void **state)
{
	fall_silent(*state, TH_READ);
}

/* The memory goes while the controller reads and writes it. */
static void test_keys_go_in_the_middle(void **state)
{
	for (unsigned int op = TH_WRITE; op <= TH_READ; op++) {
		struct peer *p = peer_open(*state, NULL);
		struct ibv_mr *mr = th_rdma_register(p->r, p->data, PEER_BYTES / 2, true);

		for (unsigned int i = 0; i < 8; i++) {
			peer_rw(p, (uint8_t)op, 1024);
			th_sgl_keyed(peer_dptr(p), (uintptr_t)p->data, 1024 * BLOCK, mr->rkey, false);
			peer_send(p, 0);
		}
		wait_under_way(p);
		ibv_dereg_mr(mr);
		peer_expect_end(p, true);
		peer_close(p);
	}
}

static void test_many_come_and_go_in_the_middle(void **state)
{
	for (unsigned int i = 0; i < 10; i++) {
		struct peer *p = peer_open(*state, NULL);

		send_some(p, i % 2 ? TH_WRITE : TH_READ, 256, 16);
		for (unsigned int polls = 0; polls < i * 3; polls++)
			th_poll(&p->w->t);
		peer_close(p);
	}
	world_wait_connections(*state, 0);
}

/* ---- no receives ---- */

/* One receive, which the response of Connect uses. */
static struct peer *open_deaf(struct rdma_world *w)
{
	struct th_rdma_ask ask = {.qid = 1, .depth = DEPTH, .receives = 1, .keep_receives = true};

	return peer_open(w, &ask);
}

static void test_no_receives(void **state)
{
	struct rdma_world *w = *state;
	struct peer *p = open_deaf(w);

	send_some(p, TH_READ, 8, DEPTH - 1);
	th_settle(&w->t);
	world_check_good(w);
	assert_int_equal(p->r->ncqes, p->r->taken);
	for (unsigned int i = 0; i < DEPTH - 1; i++) {
		th_rdma_post_receive(p->r);
		assert_int_equal(peer_response(p), 0);
	}
	peer_close(p);
}

static void test_no_receives_and_gone(void **state)
{
	struct rdma_world *w = *state;
	struct peer *p = open_deaf(w);

	send_some(p, TH_READ, 8, DEPTH - 1);
	th_settle(&w->t);
	peer_close(p);
	world_wait_connections(w, 0);
}

/* To the core its commands are over, so that it might go on and on. */
static void test_no_receives_and_more_and_more(void **state)
{
	struct rdma_world *w = *state;
	struct peer *p = open_deaf(w);

	for (unsigned int i = 0; i < 4 * DEPTH && !p->r->ended; i++) {
		send_some(p, TH_READ, 1, 1);
		th_settle(&w->t);
	}
	peer_expect_end(p, true);
	assert_true(th_log_has(&w->t, "does not take its responses"));
	peer_close(p);
}

static void test_target_stops_meanwhile(void **state)
{
	struct rdma_world *w = *state;
	struct peer *p = open_deaf(w);
	struct th_done done;

	send_some(p, TH_READ, 256, DEPTH - 1);
	th_settle(&w->t);
	assert_int_equal(nvmft_port_remove(w->t.port, th_done_init(&done)), 0);
	assert_int_equal(th_done_wait(&w->t, &done), 0);
	assert_true(th_rdma_ends(p->r, 10000));
	assert_int_equal(world_stats(w).connections, 0);
	assert_int_equal(world_stats(w).data_bytes, 0);
	peer_close(p);
	th_stop(&w->t);
	free(w);
}

/* The controller ends it with the admin queue, whose host is gone. */
static void test_no_receives_and_the_controller_ends(void **state)
{
	struct rdma_world *w = *state;
	struct peer *p = open_deaf(w);

	send_some(p, TH_READ, 256, DEPTH - 1);
	th_settle(&w->t);
	th_disconnect(&p->ctrl.admin);
	p->ctrl.t = NULL;
	peer_expect_end(p, false);
	peer_close(p);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_closed_in_the_middle),
		TEST(test_silent_in_the_middle_of_writes),
		TEST(test_silent_in_the_middle_of_reads),
		TEST(test_keys_go_in_the_middle),
		TEST(test_many_come_and_go_in_the_middle),
		TEST(test_no_receives),
		TEST(test_no_receives_and_gone),
		TEST(test_no_receives_and_more_and_more),
		cmocka_unit_test_setup(test_target_stops_meanwhile, world_setup),
		TEST(test_no_receives_and_the_controller_ends),
	};

	if (!th_present(TH_RDMA))
		return 77;
	return cmocka_run_group_tests_name("rdma: ends", tests, NULL, NULL);
}
