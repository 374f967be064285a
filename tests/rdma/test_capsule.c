/* SPDX-License-Identifier: BSD-3-Clause */
/* Capsules of wrong sizes, too many of them, and keys that do not fit: what ends a connection, once, and only that. */
#include "peer.h"

#define ADMIN_IN_CAPSULE 4096u
#define BURST 40u

/* ---- sizes ---- */

static void expect_end_of_length(struct rdma_world *w, uint16_t qid, uint32_t len, bool connected)
{
	struct th_rdma_ask ask = {.qid = qid};
	struct peer *p = connected ? peer_open(w, NULL) : peer_open_unconnected(w, &ask);

	peer_rw(p, TH_WRITE, 1);
	th_rdma_send(p->r, p->capsule, len);
	peer_expect_end(p, true);
	peer_close(p);
}

static void test_shorter_than_a_command(void **state)
{
	expect_end_of_length(*state, 1, 63, true);
	assert_true(th_log_has(&((struct rdma_world *)*state)->t, "shorter than a command"));
	expect_end_of_length(*state, 1, 1, true);
}

static void test_empty(void **state)
{
	expect_end_of_length(*state, 1, 0, true);
}

static void test_shorter_than_connect(void **state)
{
	expect_end_of_length(*state, 1, 63, false);
	expect_end_of_length(*state, 0, 63, false);
}

static void test_larger_than_in_capsule_data(void **state)
{
	expect_end_of_length(*state, 1, 64 + IN_CAPSULE + 1, true);
	expect_end_of_length(*state, 1, 64 + 4 * IN_CAPSULE, true);
}

static void test_larger_before_connect(void **state)
{
	expect_end_of_length(*state, 1, 64 + IN_CAPSULE + 1, false);
	expect_end_of_length(*state, 0, 64 + ADMIN_IN_CAPSULE + 1, false);
}

static void test_larger_than_without_in_capsule_data(void **state)
{
	struct nvmft_port_opts port = {.no_in_capsule = true};
	struct rdma_world *w = world_create(&port, NULL);

	expect_end_of_length(w, 1, 65, false);
	*state = w;
	world_teardown(state);
}

static void test_largest(void **state)
{
	struct peer *p = peer_open(*state, NULL);

	peer_rw(p, TH_WRITE, IN_CAPSULE / BLOCK);
	th_sgl_offset(peer_dptr(p), TH_SGL_IN_CAPSULE, 0, IN_CAPSULE);
	th_fill(peer_behind(p), IN_CAPSULE, 3);
	assert_int_equal(peer_exec(p, IN_CAPSULE), 0);
	peer_rw(p, TH_READ, IN_CAPSULE / BLOCK);
	assert_int_equal(peer_exec(p, 0), 0);
	assert_true(th_filled(p->data, IN_CAPSULE, 3));
	peer_close(p);
}

/* ---- too many ---- */

/* The connection's end shows as a flush: whoever sent too much is not answered any more. */
static void send_too_many(struct rdma_world *w)
{
	struct th_rdma_ask ask = {.qid = 1, .depth = 4, .receives = BURST};
	struct peer *p = peer_open(w, &ask);

	/* Of more data than one pass can read, so that none is over before all are there. */
	for (unsigned int i = 0; i < 12; i++) {
		peer_rw(p, TH_WRITE, 256);
		peer_send(p, 0);
	}
	peer_expect_end(p, true);
	assert_true(th_log_has(&w->t, "more commands than the queue has entries"));
	peer_close(p);
}

static void test_more_than_the_queue_has(void **state)
{
	send_too_many(*state);
}

/* There the host's adapter is told to wait, as long as there are receives for no more. */
static void test_more_than_receives_of_the_queue(void **state)
{
	struct nvmft_rdma_opts rdma = {.size = sizeof(rdma), .per_queue_receives = true};
	struct rdma_world *w = world_create(NULL, &rdma);

	send_too_many(w);
	*state = w;
	world_teardown(state);
}

static void test_as_many_as_the_queue_has(void **state)
{
	struct th_rdma_ask ask = {.qid = 1, .depth = 32};
	struct peer *p = peer_open(*state, &ask);

	for (unsigned int i = 0; i < 31; i++) {
		peer_rw(p, TH_WRITE, 64);
		peer_send(p, 0);
	}
	for (unsigned int i = 0; i < 31; i++)
		assert_int_equal(peer_response(p), 0);
	peer_check(p);
	peer_close(p);
}

static void test_same_cid_twice(void **state)
{
	struct peer *p = peer_open(*state, NULL);
	nvmft_status first, second;

	peer_rw(p, TH_WRITE, 1024);
	peer_send(p, 0);
	peer_send(p, 0);
	first = peer_response(p);
	second = peer_response(p);
	assert_int_equal(first | second, SC_CID_CONFLICT);
	assert_int_equal(first & second, 0);
	peer_check(p);
	peer_close(p);
}

/* More at once than the receives that all queues share: adapters wait and try again. */
static void test_more_than_shared_receives(void **state)
{
	struct nvmft_rdma_opts rdma = {.size = sizeof(rdma), .receives = 32};
	struct rdma_world *w = world_create(NULL, &rdma);
	struct th_rdma_ask ask = {.qid = 1, .depth = 128};
	struct peer *p = peer_open(w, &ask);

	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < 60; i++) {
			peer_rw(p, TH_WRITE, 8);
			peer_send(p, 0);
		}
		for (unsigned int i = 0; i < 60; i++)
			assert_int_equal(peer_response(p), 0);
	}
	peer_close(p);
	*state = w;
	world_teardown(state);
}

/* ---- keys ---- */

static void expect_end_of_key(struct rdma_world *w, uint8_t opcode, uint32_t key, int64_t offset)
{
	struct peer *p = peer_open(w, NULL);

	peer_rw(p, opcode, 8);
	th_sgl_keyed(peer_dptr(p), (uint64_t)((int64_t)(uintptr_t)p->data + offset), 8 * BLOCK, key ? key : p->mr->rkey,
		     false);
	peer_send(p, 0);
	peer_expect_end(p, true);
	assert_true(th_log_has(&w->t, "remote access error"));
	peer_close(p);
}

static void test_key_of_nothing(void **state)
{
	expect_end_of_key(*state, TH_WRITE, 0xdeadbeef, 0);
	expect_end_of_key(*state, TH_READ, 0xdeadbeef, 0);
}

static void test_beyond_the_key(void **state)
{
	expect_end_of_key(*state, TH_WRITE, 0, PEER_BYTES - 8 * (int)BLOCK + 1);
	expect_end_of_key(*state, TH_READ, 0, PEER_BYTES - 8 * (int)BLOCK + 1);
	expect_end_of_key(*state, TH_WRITE, 0, PEER_BYTES);
}

static void test_in_front_of_the_key(void **state)
{
	expect_end_of_key(*state, TH_WRITE, 0, -1);
	expect_end_of_key(*state, TH_READ, 0, -1);
}

/* Registered, but not for the controller to write. */
static void test_key_without_the_right(void **state)
{
	struct peer *p = peer_open(*state, NULL);
	struct ibv_mr *mr = th_rdma_register(p->r, p->data, 4096, false);

	th_fill(p->data, 8 * BLOCK, 1);
	peer_rw(p, TH_READ, 8);
	th_sgl_keyed(peer_dptr(p), (uintptr_t)p->data, 8 * BLOCK, mr->rkey, false);
	peer_send(p, 0);
	peer_expect_end(p, true);
	assert_true(th_filled(p->data, 8 * BLOCK, 1));
	ibv_dereg_mr(mr);
	peer_close(p);
}

static void test_key_of_another_connection(void **state)
{
	struct peer *other = peer_open_unconnected(*state, NULL);
	struct ibv_pd *pd = ibv_alloc_pd(other->r->id->verbs);
	struct ibv_mr *mr;

	assert_non_null(pd);
	mr = ibv_reg_mr(pd, other->data, 8 * BLOCK, IBV_ACCESS_REMOTE_READ);
	assert_non_null(mr);
	peer_close(other);
	expect_end_of_key(*state, TH_WRITE, mr->rkey, 0);
	ibv_dereg_mr(mr);
	ibv_dealloc_pd(pd);
}

static void test_key_that_is_gone(void **state)
{
	struct peer *p = peer_open(*state, NULL);
	struct ibv_mr *mr = th_rdma_register(p->r, p->data, 4096, true);
	uint32_t key = mr->rkey;

	ibv_dereg_mr(mr);
	peer_rw(p, TH_WRITE, 8);
	th_sgl_keyed(peer_dptr(p), (uintptr_t)p->data, 8 * BLOCK, key, false);
	peer_send(p, 0);
	peer_expect_end(p, true);
	peer_close(p);
}

/* One bad piece behind good ones: of a read, the good ones may have been written. */
static void test_one_bad_key_of_several(void **state)
{
	for (unsigned int op = TH_WRITE; op <= TH_READ; op++) {
		struct peer *p = peer_open(*state, NULL);

		peer_rw(p, (uint8_t)op, 8);
		peer_desc(p, 0, 0, 1000);
		peer_desc(p, 1, 1000, 1000);
		th_sgl_keyed(peer_behind(p) + 32, (uintptr_t)p->data + 2000, 2096, 0xdeadbeef, false);
		peer_segment(p, 0, 48);
		peer_send(p, 48);
		peer_expect_end(p, true);
		peer_close(p);
	}
}

/* Good commands are on their way in front of and behind the bad one. */
static void test_bad_key_among_many(void **state)
{
	struct peer *p = peer_open(*state, NULL);

	for (unsigned int i = 0; i < 30; i++) {
		peer_rw(p, i % 2 ? TH_WRITE : TH_READ, 128);
		if (i == 17)
			th_sgl_keyed(peer_dptr(p), (uintptr_t)p->data, 128 * BLOCK, 0xdeadbeef, false);
		peer_send(p, 0);
	}
	peer_expect_end(p, true);
	peer_close(p);
}

/* ---- invalidation ---- */

struct window {
	struct peer *p;
	struct ibv_mw *mw;
	uint32_t key;
};

static bool is_bound(void *arg)
{
	const struct window *win = arg;

	return win->p->r->bound || win->p->r->ended;
}

static void bind_window(struct window *win)
{
	win->p->r->bound = 0;
	win->key = th_rdma_bind(win->p->r, win->p->mr, win->mw, true);
	assert_true(th_wait(&win->p->w->t, is_bound, win, 10000));
}

static struct window window_open(struct rdma_world *w)
{
	struct window win = {.p = peer_open(w, NULL)};

	win.mw = ibv_alloc_mw(win.p->r->id->pd, IBV_MW_TYPE_2);
	assert_non_null(win.mw);
	bind_window(&win);
	assert_false(win.p->r->ended);
	return win;
}

static nvmft_status exec_invalidate(struct window *win, uint32_t blocks)
{
	peer_rw(win->p, TH_READ, blocks);
	th_sgl_keyed(peer_dptr(win->p), (uintptr_t)win->p->data, BLOCK, win->key, true);
	return peer_exec(win->p, 0);
}

/* A window whose key is valid cannot be bound again: that would be the end of the connection. */
static void expect_invalidated(struct window *win)
{
	bind_window(win);
	assert_false(win->p->r->ended);
	peer_check(win->p);
	peer_close_with(win->p, win->mw);
}

static void test_invalidate(void **state)
{
	struct window win = window_open(*state);

	assert_int_equal(exec_invalidate(&win, 1), 0);
	expect_invalidated(&win);
}

static void test_failed_command_invalidates_too(void **state)
{
	struct window win = window_open(*state);

	assert_int_equal(exec_invalidate(&win, 2), SC_SGL_DATA);
	expect_invalidated(&win);
}

static void test_only_what_the_host_asked_for(void **state)
{
	struct window win = window_open(*state);

	peer_rw(win.p, TH_READ, 1);
	th_sgl_keyed(peer_dptr(win.p), (uintptr_t)win.p->data, BLOCK, win.key, false);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(peer_exec(win.p, 0), 0);
	assert_int_equal(exec_invalidate(&win, 1), 0);
	expect_invalidated(&win);
}

static void test_key_that_was_invalidated(void **state)
{
	struct window win = window_open(*state);

	assert_int_equal(exec_invalidate(&win, 1), 0);
	peer_rw(win.p, TH_READ, 1);
	th_sgl_keyed(peer_dptr(win.p), (uintptr_t)win.p->data, BLOCK, win.key, false);
	peer_send(win.p, 0);
	peer_expect_end(win.p, true);
	peer_close_with(win.p, win.mw);
}

/*
 * The data is all right, the key that the response shall invalidate is nobody's. That is the end of the host's queue
 * pair; whether the controller is told depends on the device.
 */
static void test_invalidate_nothing(void **state)
{
	struct rdma_world *w = *state;
	struct peer *p = peer_open(w, NULL);

	peer_rw(p, TH_READ, 1);
	th_sgl_keyed(peer_behind(p), 0, 0, 0xdeadbeef, true);
	peer_desc(p, 1, 0, BLOCK);
	peer_segment(p, 0, 32);
	peer_send(p, 32);
	assert_true(th_rdma_ends(p->r, 10000));
	peer_close(p);
	world_wait_connections(w, 0);
	w->hurt = (unsigned int)world_stats(w).terminated;
}

/* A response can invalidate one key: the first of those that want it. */
static void test_two_keys_to_invalidate(void **state)
{
	struct window win = window_open(*state);
	struct peer *p = win.p;

	peer_rw(p, TH_READ, 1);
	th_sgl_keyed(peer_behind(p), (uintptr_t)p->data, 256, win.key, true);
	th_sgl_keyed(peer_behind(p) + 16, (uintptr_t)p->data + 256, 256, p->mr->rkey, true);
	peer_segment(p, 0, 32);
	assert_int_equal(peer_exec(p, 32), 0);
	expect_invalidated(&win);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_shorter_than_a_command),
		TEST(test_empty),
		TEST(test_shorter_than_connect),
		TEST(test_larger_than_in_capsule_data),
		TEST(test_larger_before_connect),
		cmocka_unit_test(test_larger_than_without_in_capsule_data),
		TEST(test_largest),
		TEST(test_more_than_the_queue_has),
		cmocka_unit_test(test_more_than_receives_of_the_queue),
		TEST(test_as_many_as_the_queue_has),
		TEST(test_same_cid_twice),
		cmocka_unit_test(test_more_than_shared_receives),
		TEST(test_key_of_nothing),
		TEST(test_beyond_the_key),
		TEST(test_in_front_of_the_key),
		TEST(test_key_without_the_right),
		TEST(test_key_of_another_connection),
		TEST(test_key_that_is_gone),
		TEST(test_one_bad_key_of_several),
		TEST(test_bad_key_among_many),
		TEST(test_invalidate),
		TEST(test_failed_command_invalidates_too),
		TEST(test_only_what_the_host_asked_for),
		TEST(test_key_that_was_invalidated),
		TEST(test_invalidate_nothing),
		TEST(test_two_keys_to_invalidate),
	};

	if (!th_present(TH_RDMA))
		return 77;
	return cmocka_run_group_tests_name("rdma: capsules", tests, NULL, NULL);
}
