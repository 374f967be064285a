/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads for which the backend lends its own pages: no buffer of the engine, no copy, and the pages go back once, when
 * the last byte of them is sent or will never be.
 */
#include "conf.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define READS 6u /* of CONF_MAX_IO bytes: far more than a socket takes */
#define SC_READ_ERROR 0x281
#define REG_CC 0x14

/*
 * A wrapper around a backend that lends: it passes on copies in pieces, and spoils and frees them at lend_end, so that
 * bytes sent later are wrong.
 */
struct lender {
	struct nvmft_backend_ops base; /* what a wrapper does by itself */
	unsigned int lent, ended;
};

struct lend_io {
	struct wrap_io wrap;
	bool lends;
	uint32_t len;
	uint8_t *copy;
	struct nvmft_iov pieces[3];
};

static void split(struct lend_io *li)
{
	uint32_t cuts[] = {0, li->len / 3 / 4 * 4, li->len / 2, li->len};

	for (unsigned int i = 0; i < 3; i++)
		li->pieces[i] = (struct nvmft_iov){li->copy + cuts[i], cuts[i + 1] - cuts[i], NVMFT_REGION_NONE};
}

static void lend_done(struct nvmft_io *io)
{
	struct lend_io *li = wrap_take_back(io);
	struct lender *lender = wrap_control(io->channel);

	if (li->lends && !io->status) {
		assert_int_equal(io->iovcnt, 1);
		li->len = io->iov[0].len;
		li->copy = malloc(li->len);
		assert_non_null(li->copy);
		memcpy(li->copy, io->iov[0].base, li->len);
		split(li);
		io->iov = li->pieces;
		io->iovcnt = 3;
		lender->lent++;
	}
	nvmft_io_done(io, io->status);
}

static void lend_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct lend_io *li = io->priv;

	li->lends = io->op == NVMFT_IO_READ && io->iovcnt == 0;
	wrap_pass(channel, io, lend_done);
}

static void lend_end(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct lender *lender = wrap_control(channel);
	struct lend_io *li = io->priv;

	memset(li->copy, 0xdd, li->len);
	free(li->copy);
	li->copy = NULL;
	lender->ended++;
	lender->base.lend_end(channel, io);
}

static struct nvmft_backend_ops lend_ops(const struct nvmft_backend_ops *inner)
{
	struct nvmft_backend_ops ops = wrap_ops("lend", inner, sizeof(struct wrap_channel), sizeof(struct lend_io));

	ops.submit = lend_submit;
	ops.lend_end = lend_end;
	return ops;
}

/* ---- a world with pages lent, and no memory of the engine's in use ---- */

struct fixture {
	struct conf *c;
	struct lender lender;
	struct th_cmd cmds[READS];
	char *buf;           /* READS times CONF_MAX_IO */
	uint64_t pool_bytes; /* in the beginning */
};

static struct nvmft_target_stats stats_of(struct fixture *f)
{
	struct nvmft_target_stats stats = {.size = sizeof(stats)};

	assert_int_equal(nvmft_target_stats(f->c->t.target, &stats), 0);
	return stats;
}

static struct fixture *prepare(const struct conf_kind *kind)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->buf = calloc(READS, CONF_MAX_IO);
	assert_non_null(f->buf);
	f->c = conf_prepare(kind);
	f->lender.base = wrap_ops("lend", f->c->ops, sizeof(struct wrap_channel), sizeof(struct lend_io));
	conf_wrap_with(f->c, lend_ops, &f->lender);
	print_message("over %s\n", th_transport_names[kind->transport]);
	return f;
}

static void start(struct fixture *f)
{
	conf_start(f->c, NULL, NULL);
	if (f->c->kind.base != CONF_NULL)
		for (unsigned int i = 0; i < READS; i++)
			conf_write_seed(f->c, i * conf_max_blocks(f->c), conf_max_blocks(f->c), i);
	/* Empty memory goes back after a while, all but a little. */
	for (int i = 0; i < 5; i++)
		th_advance_ms(&f->c->t, 1000);
	f->pool_bytes = stats_of(f).pool_bytes;
	/* Over RDMA it has what may arrive. */
	if (f->c->kind.transport != TH_RDMA)
		assert_true(f->pool_bytes < READS * CONF_MAX_IO);
}

static int setup(void **state)
{
	struct fixture *f = prepare(*state);

	start(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	conf_end(f->c);
	assert_int_equal(f->lender.ended, f->lender.lent);
	free(f->buf);
	free(f);
	return 0;
}

static void submit_reads(struct fixture *f)
{
	struct nvmft_sqe sqe;

	memset(f->buf, 0xee, (size_t)READS * CONF_MAX_IO);
	for (unsigned int i = 0; i < READS; i++) {
		th_sqe_rw(&sqe, TH_READ, 1, i * conf_max_blocks(f->c), conf_max_blocks(f->c));
		th_submit(&f->c->ctrl.io[0], &f->cmds[i], &sqe, f->buf + (size_t)i * CONF_MAX_IO, CONF_MAX_IO);
	}
}

static void expect_data(struct fixture *f)
{
	for (unsigned int i = 0; i < READS; i++) {
		char *data = f->buf + (size_t)i * CONF_MAX_IO;

		assert_int_equal(th_wait_cmd(&f->cmds[i]), 0);
		if (f->c->kind.base == CONF_NULL)
			assert_true(th_zero(data, CONF_MAX_IO));
		else
			assert_true(th_filled(data, CONF_MAX_IO, i));
	}
}

/* The host does not read, so that most of the pages are with the transport. */
static void get_stuck(struct fixture *f)
{
	th_deaf(&f->c->ctrl.io[0], true);
	submit_reads(f);
	th_settle(&f->c->t);
	assert_int_equal(f->lender.lent, READS);
	assert_true(f->lender.ended < READS);
}

/* ---- lent or not ---- */

static void test_no_buffer_and_no_copy(void **state)
{
	struct fixture *f = *state;
	uint64_t copied = stats_of(f).copied_bytes;

	get_stuck(f);
	assert_int_equal(stats_of(f).data_bytes, 0);
	assert_int_equal(stats_of(f).pool_bytes, f->pool_bytes);
	th_deaf(&f->c->ctrl.io[0], false);
	expect_data(f);
	assert_int_equal(stats_of(f).pool_bytes, f->pool_bytes);
	assert_int_equal(stats_of(f).copied_bytes, copied);
}

static void test_bare_backends_lend(void **state)
{
	struct conf *c = conf_prepare(*state);
	struct fixture f = {.c = c, .buf = calloc(READS, CONF_MAX_IO)};

	assert_non_null(f.buf);
	start(&f);
	th_deaf(&c->ctrl.io[0], true);
	submit_reads(&f);
	th_settle(&c->t);
	assert_int_equal(stats_of(&f).pool_bytes, f.pool_bytes);
	assert_int_equal(stats_of(&f).copied_bytes, 0);
	th_deaf(&c->ctrl.io[0], false);
	expect_data(&f);
	conf_end(c);
	free(f.buf);
}

/* Pages that change between the digest and the data would be a digest error at the host. */
static void test_not_with_data_digests(void **state)
{
	struct fixture *f = *state;

	th_deaf(&f->c->ctrl.io[0], true);
	submit_reads(f);
	th_settle(&f->c->t);
	assert_true(stats_of(f).data_bytes > CONF_MAX_IO);
	th_deaf(&f->c->ctrl.io[0], false);
	expect_data(f);
	th_settle(&f->c->t);
	assert_int_equal(f->lender.lent, 0);
	assert_int_equal(stats_of(f).data_bytes, 0);
}

/* The host's own buffers are where the data goes. */
static void test_not_over_loopback(void **state)
{
	struct fixture *f = *state;

	submit_reads(f);
	expect_data(f);
	assert_int_equal(f->lender.lent, 0);
	assert_int_equal(stats_of(f).pool_bytes, f->pool_bytes);
}

/* Nor can a device reach pages that are not registered with it. */
static void test_not_over_rdma(void **state)
{
	struct fixture *f = *state;

	submit_reads(f);
	expect_data(f);
	assert_int_equal(f->lender.lent, 0);
}

/* ---- the end of it ---- */

static void test_ends_when_sent(void **state)
{
	struct fixture *f = *state;

	for (unsigned int i = 1; i <= 3; i++) {
		submit_reads(f);
		expect_data(f);
		th_settle(&f->c->t);
		assert_int_equal(f->lender.lent, i * READS);
		assert_int_equal(f->lender.ended, i * READS);
	}
}

static void expect_lost(struct fixture *f)
{
	th_settle(&f->c->t);
	assert_int_equal(f->lender.ended, READS);
	assert_int_equal(stats_of(f).data_bytes, 0);
	assert_int_equal(th_sc(th_wait_cmd(&f->cmds[READS - 1])), TH_SC_SQ_DELETED);
}

static void test_connection_lost_while_sending(void **state)
{
	struct fixture *f = *state;

	get_stuck(f);
	th_kill(&f->c->ctrl.io[0]);
	expect_lost(f);
}

static void test_connection_lost_with_part_received(void **state)
{
	struct fixture *f = *state;

	get_stuck(f);
	th_deaf(&f->c->ctrl.io[0], false);
	th_poll(&f->c->t);
	th_deaf(&f->c->ctrl.io[0], true);
	th_kill(&f->c->ctrl.io[0]);
	expect_lost(f);
}

static void test_reset_while_sending(void **state)
{
	struct fixture *f = *state;

	get_stuck(f);
	assert_int_equal(th_property_set(&f->c->ctrl.admin, REG_CC, false, 0), 0);
	th_deaf(&f->c->ctrl.io[0], false);
	expect_lost(f);
	assert_true(f->c->ctrl.io[0].disconnected);
}

static void test_target_stops_while_sending(void **state)
{
	struct fixture *f = *state;

	get_stuck(f);
	th_stop(&f->c->t);
	memset(&f->c->ctrl, 0, sizeof(f->c->ctrl));
	assert_int_equal(f->lender.ended, READS);
}

/* The backend is not closed under the pages that it lent. */
static void test_namespace_removed_while_sending(void **state)
{
	struct fixture *f = *state;
	struct th_done done;

	get_stuck(f);
	assert_int_equal(nvmft_namespace_remove(f->c->ns, th_done_init(&done)), 0);
	th_settle(&f->c->t);
	assert_false(done.called);
	th_deaf(&f->c->ctrl.io[0], false);
	expect_data(f);
	assert_int_equal(th_done_wait(&f->c->t, &done), 0);
	assert_int_equal(f->lender.ended, READS);
}

static void test_namespace_removed_and_connection_lost(void **state)
{
	struct fixture *f = *state;
	struct th_done done;

	get_stuck(f);
	assert_int_equal(nvmft_namespace_remove(f->c->ns, th_done_init(&done)), 0);
	th_settle(&f->c->t);
	assert_false(done.called);
	th_kill(&f->c->ctrl.io[0]);
	assert_int_equal(th_done_wait(&f->c->t, &done), 0);
	expect_lost(f);
}

/* ---- other ways of ending ---- */

static struct fixture *start_with_error(const struct conf_kind *kind, bool after)
{
	struct fixture *f = prepare(kind);

	f->c->error = (struct nvmft_wrap_error){
		.ops = NVMFT_WRAP_OP(NVMFT_IO_READ), .nth = 1, .times = 1, .status = SC_READ_ERROR, .after = after};
	conf_wrap_with(f->c, nvmft_wrap_error_ops, &f->c->error);
	start(f);
	return f;
}

static void fail_then_read(void **state, bool after)
{
	struct fixture *f = start_with_error(*state, after);
	unsigned int lent = after ? READS : READS - 1;

	submit_reads(f);
	assert_int_equal(th_wait_cmd(&f->cmds[0]), SC_READ_ERROR);
	assert_int_equal((uint8_t)f->buf[0], 0xee);
	for (unsigned int i = 1; i < READS; i++)
		assert_int_equal(th_wait_cmd(&f->cmds[i]), 0);
	th_settle(&f->c->t);
	assert_int_equal(f->lender.lent, lent);
	assert_int_equal(f->lender.ended, lent);
	*state = f;
	teardown(state);
}

static void test_failed_read_lends_nothing(void **state)
{
	fail_then_read(state, false);
}

static void test_failed_after_lending(void **state)
{
	fail_then_read(state, true);
}

/* The backend has the read when the connection goes: the pages come for nobody. */
static void test_connection_lost_before_lending(void **state)
{
	struct fixture *f = prepare(*state);
	struct conf *c = f->c;

	conf_wrap_with(c, nvmft_wrap_delay_ops, &c->delay);
	start(f);
	c->delay.ignore_abort = true;
	atomic_store(&c->delay.hold, true);
	submit_reads(f);
	th_settle(&c->t);
	assert_int_equal(atomic_load(&c->delay.held), READS);
	th_kill(&c->ctrl.io[0]);
	th_settle(&c->t);
	atomic_store(&c->delay.hold, false);
	th_settle(&c->t);
	assert_int_equal(f->lender.lent, READS);
	assert_int_equal(f->lender.ended, READS);
	*state = f;
	teardown(state);
}

/* Writes and compares to the same blocks have buffers of their own. */
static void test_only_reads(void **state)
{
	struct fixture *f = *state;

	conf_write_seed(f->c, 0, 9, 5);
	assert_int_equal(conf_rw(f->c, TH_COMPARE, 0, 9, 0), 0);
	assert_int_equal(conf_rw(f->c, TH_WRITE_ZEROES, 0, 9, 0), 0);
	assert_int_equal(f->lender.lent, 0);
	conf_check_zero(f->c, 0, 9);
	assert_int_equal(f->lender.lent, 1);
}

static void test_odd_lengths(void **state)
{
	struct fixture *f = *state;

	for (uint32_t blocks = 1; blocks < 40; blocks++) {
		conf_write_seed(f->c, 3 * blocks, blocks, blocks);
		conf_check_seed(f->c, 3 * blocks, blocks, blocks);
	}
	assert_int_equal(f->lender.lent, 39);
}

static struct conf_kind kinds[] = {
	{CONF_MEMORY, CONF_BARE, 512, TH_TCP},      {CONF_MEMORY, CONF_BARE, 512, TH_TCP_NOFLOW},
	{CONF_NULL, CONF_BARE, 512, TH_TCP},        {CONF_MEMORY, CONF_BARE, 512, TH_TCP_DIGESTS},
	{CONF_MEMORY, CONF_BARE, 512, TH_LOOPBACK}, {CONF_MEMORY, CONF_BARE, 512, TH_TCP_PIECES},
	{CONF_MEMORY, CONF_BARE, 512, TH_RDMA},
};

#define ON(k, fn) cmocka_unit_test_prestate_setup_teardown(fn, setup, teardown, &kinds[k])
#define BARE(k, fn) cmocka_unit_test_prestate(fn, &kinds[k])

int main(void)
{
	enum { memory, noflow, null, digests, loopback, pieces, rdma };
	static const struct CMUnitTest tests[] = {
		ON(memory, test_no_buffer_and_no_copy),
		ON(noflow, test_no_buffer_and_no_copy),
		ON(null, test_no_buffer_and_no_copy),
		ON(pieces, test_no_buffer_and_no_copy),
		BARE(memory, test_bare_backends_lend),
		BARE(noflow, test_bare_backends_lend),
		BARE(null, test_bare_backends_lend),
		ON(digests, test_not_with_data_digests),
		ON(loopback, test_not_over_loopback),
		ON(memory, test_ends_when_sent),
		ON(noflow, test_ends_when_sent),
		ON(null, test_ends_when_sent),
		ON(memory, test_connection_lost_while_sending),
		ON(noflow, test_connection_lost_while_sending),
		ON(memory, test_connection_lost_with_part_received),
		ON(pieces, test_connection_lost_with_part_received),
		ON(memory, test_reset_while_sending),
		ON(memory, test_target_stops_while_sending),
		ON(memory, test_namespace_removed_while_sending),
		ON(memory, test_namespace_removed_and_connection_lost),
		BARE(memory, test_failed_read_lends_nothing),
		BARE(memory, test_failed_after_lending),
		BARE(memory, test_connection_lost_before_lending),
		ON(memory, test_only_reads),
		ON(memory, test_odd_lengths),
		ON(noflow, test_odd_lengths),
	};

	static const struct CMUnitTest over_rdma[] = {
		ON(rdma, test_not_over_rdma),
	};

	if (th_present(TH_RDMA))
		return cmocka_run_group_tests_name("lend over RDMA", over_rdma, NULL, NULL);
	return cmocka_run_group_tests_name("lend", tests, NULL, NULL);
}
