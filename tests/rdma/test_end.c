/* SPDX-License-Identifier: BSD-3-Clause */
/* Hosts that fall silent, take no responses, are gone in the middle of something, or do what no host has to do. */
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

/* ---- other work requests than SENDs ---- */

/* With the capsule in p->capsule where @wr sends something. */
static void post(struct peer *p, struct ibv_send_wr *wr, uint32_t len)
{
	struct th_rdma_slot *slot = &p->r->slots[p->r->next_slot++ % p->r->nslots];
	struct ibv_sge sge = {(uintptr_t)slot->capsule, len, p->r->mr->lkey};
	struct ibv_send_wr *bad;

	memcpy(slot->capsule, p->capsule, len);
	wr->wr_id = TH_WR_SEND;
	wr->sg_list = &sge;
	wr->num_sge = 1;
	wr->send_flags = IBV_SEND_SIGNALED;
	assert_int_equal(ibv_post_send(p->r->id->qp, wr, &bad), 0);
}

/* No key of ours lets a host do that, and none may read at all. The device tells the host, and us when we have
 * something to send. */
static void test_write_to_the_controller(void **state)
{
	struct rdma_world *w = *state;
	struct ibv_send_wr wr = {.opcode = IBV_WR_RDMA_WRITE, .wr.rdma = {.remote_addr = (uintptr_t)w, .rkey = 0x1234}};
	struct peer *p = peer_open(w, NULL);

	post(p, &wr, 64);
	assert_true(th_rdma_ends(p->r, 10000));
	assert_true(p->r->wc_status == IBV_WC_REM_ACCESS_ERR || p->r->wc_status == IBV_WC_REM_INV_REQ_ERR);
	world_check_good(w);
	peer_close(p);
	world_wait_connections(w, 0);
	w->hurt = (unsigned int)world_stats(w).terminated;
}

static void test_invalidate_at_the_controller(void **state)
{
	struct rdma_world *w = *state;
	struct ibv_send_wr wr = {.opcode = IBV_WR_SEND_WITH_INV, .invalidate_rkey = 0x1234};
	struct peer *p = peer_open(w, NULL);

	peer_rw(p, TH_READ, 1);
	post(p, &wr, 64);
	peer_expect_end(p, true);
	peer_close(p);
}

/* Nobody looks at it. */
static void test_immediate_data(void **state)
{
	struct ibv_send_wr wr = {.opcode = IBV_WR_SEND_WITH_IMM, .imm_data = 0xffffffff};
	struct peer *p = peer_open(*state, NULL);

	peer_rw(p, TH_READ, 1);
	post(p, &wr, 64);
	assert_int_equal(peer_response(p), 0);
	peer_check(p);
	peer_close(p);
}

/* The device refuses it, or a receive of the controller is used and there is nothing in it. */
static void test_write_with_immediate_data(void **state)
{
	struct rdma_world *w = *state;
	struct ibv_send_wr wr = {.opcode = IBV_WR_RDMA_WRITE_WITH_IMM, .imm_data = 1};
	struct peer *p = peer_open(w, NULL);

	post(p, &wr, 0);
	assert_true(th_rdma_ends(p->r, 10000));
	world_check_good(w);
	peer_close(p);
	world_wait_connections(w, 0);
	w->hurt = (unsigned int)world_stats(w).terminated;
}

/*
 * The first half of a capsule, and then nothing: its second half is not in the host's memory. The receive that the
 * first half has used must not be lost to the others.
 */
static void test_half_capsules(void **state)
{
	struct nvmft_rdma_opts rdma = {.size = sizeof(rdma), .receives = 32};
	struct rdma_world *w = world_create(NULL, &rdma);

	for (unsigned int i = 0; i < 40; i++) {
		struct peer *p = peer_open_unconnected(w, NULL);

		th_rdma_send_half(p->r, 64 + IN_CAPSULE / 2, IN_CAPSULE / 2);
		assert_true(th_rdma_ends(p->r, 10000));
		peer_close(p);
		world_wait_connections(w, 0);
	}
	*state = w;
	world_teardown(state);
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
		TEST(test_write_to_the_controller),
		TEST(test_invalidate_at_the_controller),
		TEST(test_immediate_data),
		TEST(test_write_with_immediate_data),
		cmocka_unit_test(test_half_capsules),
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
