/* SPDX-License-Identifier: BSD-3-Clause */
/* Connection requests: the private data, and what becomes of a connection that is not used. */
#include "peer.h"

#include "../host/priv.h"

#define MAX_DEPTH 1024u
#define BURST 16u

static void good_data(uint8_t bytes[32])
{
	memset(bytes, 0, 32);
	put16(bytes + 2, 1);
	put16(bytes + 4, 32);
	put16(bytes + 6, 31);
}

static void expect_reject(struct rdma_world *w, const struct th_rdma_ask *ask, uint16_t sts)
{
	struct th_rdma *r = th_rdma_open(&w->t, ask);

	assert_false(r->up);
	assert_true(r->rejected);
	assert_int_equal(r->sts, sts);
	th_rdma_close(r);
	world_wait_connections(w, 0);
	world_check_good(w);
}

/* One field of 16 bits at @offset that is not what it should be. */
static void expect_field(void **state, unsigned int offset, uint16_t value, uint16_t sts)
{
	uint8_t bytes[32];
	struct th_rdma_ask ask = {.private_data = bytes, .private_len = sizeof(bytes)};

	good_data(bytes);
	put16(bytes + offset, value);
	expect_reject(*state, &ask, sts);
}

/* Connection management fills up with zeroes, so what is not sent is HSQSIZE 0. */
static void test_no_private_data(void **state)
{
	struct th_rdma_ask ask = {.private_data = "", .private_len = 1};

	expect_reject(*state, &ask, STS_HSQSIZE);
}

static void test_short_private_data(void **state)
{
	uint8_t bytes[32];
	struct th_rdma_ask ask = {.private_data = bytes, .private_len = 6};

	good_data(bytes);
	expect_reject(*state, &ask, STS_HSQSIZE);
}

static void test_recfmt(void **state)
{
	expect_field(state, 0, 1, STS_RECFMT);
	expect_field(state, 0, 0xffff, STS_RECFMT);
}

static void test_qid(void **state)
{
	expect_field(state, 2, 0xffff, STS_QID);
}

static void test_hrqsize_0(void **state)
{
	expect_field(state, 4, 0, STS_HRQSIZE);
}

static void test_hsqsize_0(void **state)
{
	expect_field(state, 6, 0, STS_HSQSIZE);
}

static void test_hsqsize_too_large(void **state)
{
	expect_field(state, 6, MAX_DEPTH, STS_HSQSIZE);
	expect_field(state, 6, 0xffff, STS_HSQSIZE);
}

static void test_no_reads(void **state)
{
	struct th_rdma_ask ask = {.qid = 1, .no_reads = true};

	expect_reject(*state, &ask, STS_IRD);
}

static void expect_accept(struct rdma_world *w, const struct th_rdma_ask *ask, uint16_t crqsize)
{
	struct th_rdma *r = th_rdma_open(&w->t, ask);

	assert_true(r->up);
	assert_int_equal(r->crqsize, crqsize);
	th_rdma_close(r);
}

static void test_largest_hsqsize(void **state)
{
	struct th_rdma_ask ask = {.qid = 1, .depth = MAX_DEPTH, .in_capsule = 1024};

	expect_accept(*state, &ask, MAX_DEPTH);
}

/* What the host receives is its own affair. */
static void test_largest_hrqsize(void **state)
{
	uint8_t bytes[32];
	struct th_rdma_ask ask = {.private_data = bytes, .private_len = sizeof(bytes)};

	good_data(bytes);
	put16(bytes + 4, 0xffff);
	expect_accept(*state, &ask, 32);
}

static void test_reserved_bytes_do_not_matter(void **state)
{
	uint8_t bytes[56];
	struct th_rdma_ask ask = {.private_data = bytes, .private_len = sizeof(bytes)};

	memset(bytes, 0xff, sizeof(bytes));
	good_data(bytes);
	memset(bytes + 10, 0xff, 22);
	expect_accept(*state, &ask, 32);
}

static void test_cntlid_of_nobody(void **state)
{
	struct th_rdma_ask ask = {.qid = 1, .cntlid = 0x7777};

	expect_reject(*state, &ask, STS_CNTLID);
}

/* There is none yet for it to be. */
static void test_cntlid_of_an_admin_queue(void **state)
{
	struct th_rdma_ask ask = {.cntlid = 0x7777};

	expect_accept(*state, &ask, 32);
}

/* Older hosts do not tell the CNTLID in the private data; that of Connect decides in any case. */
static void test_cntlid_only_in_connect(void **state)
{
	struct rdma_world *w = *state;
	struct th_rdma_ask ask = {.qid = 1};
	struct peer *p = peer_open_unconnected(w, &ask);

	assert_int_equal(peer_connect(p, 1, 0x7777, 31), SC_CONNECT_PARAM);
	assert_int_equal(peer_connect(p, 1, w->good.cntlid, 31), SC_CMD_SEQ); /* its queue 1 is there */
	peer_close(p);
}

static void test_cntlid_of_another_in_connect(void **state)
{
	struct rdma_world *w = *state;
	struct th_rdma_ask ask = {.qid = 2, .cntlid = w->good.cntlid};
	struct peer *p = peer_open_unconnected(w, &ask);

	assert_int_equal(peer_connect(p, 2, 0x7777, 31), SC_CONNECT_PARAM);
	peer_close(p);
}

/* The QID of the private data only chooses the receives. */
static void test_connect_with_another_qid(void **state)
{
	struct rdma_world *w = *state;
	struct th_rdma_ask ask = {.qid = 5};
	struct peer *p = peer_open_unconnected(w, &ask);

	assert_int_equal(peer_connect(p, 2, w->good.cntlid, 31), 0);
	peer_check(p);
	peer_close(p);
}

static void test_too_many_connections(void **state)
{
	struct nvmft_port_opts port = {.max_connections = 2};
	struct rdma_world *w = world_create(&port, NULL);
	struct th_rdma_ask ask = {.qid = 1};

	expect_reject(w, &ask, STS_NO_RESOURCES);
	*state = w;
	world_teardown(state);
}

/* Accepted, and no last message comes. */
static void test_half_established(void **state)
{
	struct rdma_world *w = *state;
	struct th_rdma_ask ask = {.qid = 1, .half = true};
	struct th_rdma *r = th_rdma_open(&w->t, &ask);

	assert_true(r->up);
	assert_int_equal(world_stats(w).connections, w->start.connections + 1);
	th_advance_ms(&w->t, 60000);
	world_wait_connections(w, 0);
	world_check_good(w);
	th_rdma_close(r);
}

/* The host gives up when it has been accepted. */
static void test_half_established_and_closed(void **state)
{
	struct rdma_world *w = *state;
	struct th_rdma_ask ask = {.qid = 1, .half = true};
	struct th_rdma *r = th_rdma_open(&w->t, &ask);

	assert_true(r->up);
	th_rdma_close(r);
	world_wait_connections(w, 0);
}

static void test_silence_before_connect(void **state)
{
	struct rdma_world *w = *state;
	struct peer *p = peer_open_unconnected(w, NULL);

	th_advance_ms(&w->t, 60000);
	peer_expect_end(p, false);
	assert_true(th_log_has(&w->t, "no Connect in time"));
	peer_close(p);
}

static void test_connect_and_leave(void **state)
{
	struct rdma_world *w = *state;

	for (unsigned int i = 0; i < 20; i++) {
		struct th_rdma_ask ask = {.qid = (uint16_t)(i % 2)};

		th_rdma_close(th_rdma_open(&w->t, &ask));
	}
	world_wait_connections(w, 0);
}

/* More requests at once than may wait: some are turned away, nobody else minds, and the next one is welcome. */
static void test_more_than_the_backlog(void **state)
{
	struct nvmft_rdma_opts rdma = {.size = sizeof(rdma), .backlog = 4};
	struct rdma_world *w = world_create(NULL, &rdma);
	struct th_rdma_ask ask = {.qid = 1, .depth = 4, .hold = true};
	struct th_rdma *r[BURST];
	unsigned int up = 0;

	for (unsigned int i = 0; i < BURST; i++)
		r[i] = th_rdma_open(&w->t, &ask);
	for (unsigned int i = 0; i < BURST; i++)
		th_rdma_start(r[i]);
	for (unsigned int i = 0; i < BURST; i++)
		up += th_rdma_answered(r[i]);
	assert_in_range(up, 4, BURST);
	assert_int_equal(world_stats(w).connections, w->start.connections + up);
	for (unsigned int i = 0; i < BURST; i++)
		th_rdma_close(r[i]);
	world_wait_connections(w, 0);
	ask.hold = false;
	th_rdma_close(th_rdma_open(&w->t, &ask));
	*state = w;
	world_teardown(state);
}

static void test_io_before_connect(void **state)
{
	struct peer *p = peer_open_unconnected(*state, NULL);

	peer_rw(p, TH_WRITE, 1);
	assert_int_equal(peer_exec(p, 0), SC_CMD_SEQ);
	peer_rw(p, TH_READ, 1);
	assert_int_equal(peer_exec(p, 0), SC_CMD_SEQ);
	assert_int_equal(peer_connect(p, 2, p->w->good.cntlid, 31), 0);
	peer_check(p);
	peer_close(p);
}

static void test_connect_after_connect(void **state)
{
	struct peer *p = peer_open(*state, NULL);

	assert_int_equal(peer_connect(p, 1, p->ctrl.cntlid, 31), SC_CMD_SEQ);
	assert_int_equal(peer_connect(p, 2, p->ctrl.cntlid, 31), SC_CMD_SEQ);
	peer_check(p);
	peer_close(p);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_no_private_data),
		TEST(test_short_private_data),
		TEST(test_recfmt),
		TEST(test_qid),
		TEST(test_hrqsize_0),
		TEST(test_hsqsize_0),
		TEST(test_hsqsize_too_large),
		TEST(test_no_reads),
		TEST(test_largest_hsqsize),
		TEST(test_largest_hrqsize),
		TEST(test_reserved_bytes_do_not_matter),
		TEST(test_cntlid_of_nobody),
		TEST(test_cntlid_of_an_admin_queue),
		TEST(test_cntlid_only_in_connect),
		TEST(test_cntlid_of_another_in_connect),
		TEST(test_connect_with_another_qid),
		cmocka_unit_test(test_too_many_connections),
		TEST(test_half_established),
		TEST(test_half_established_and_closed),
		TEST(test_silence_before_connect),
		TEST(test_connect_and_leave),
		cmocka_unit_test(test_more_than_the_backlog),
		TEST(test_io_before_connect),
		TEST(test_connect_after_connect),
	};

	if (!th_present(TH_RDMA))
		return 77;
	return cmocka_run_group_tests_name("rdma: connect", tests, NULL, NULL);
}
