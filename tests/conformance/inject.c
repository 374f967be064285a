/* SPDX-License-Identifier: BSD-3-Clause */
/* Backends that fail, are late, or take few I/Os at once. */
#include "conf.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SC_WRITE_FAULT 0x280
#define SC_READ_ERROR 0x281

/* What a Compare is to the backend. */
#define COMPARES (NVMFT_WRAP_OP(NVMFT_IO_READ) | NVMFT_WRAP_OP(NVMFT_IO_COMPARE))

static nvmft_status any_op(struct conf *c, enum nvmft_io_op op)
{
	struct th_range range = {0, htole32(4), htole64(4)};
	struct nvmft_sqe sqe;

	switch (op) {
	case NVMFT_IO_READ:
		return conf_rw(c, TH_READ, 4, 4, 0);
	case NVMFT_IO_WRITE:
		return conf_rw(c, TH_WRITE, 4, 4, 0);
	case NVMFT_IO_WRITE_ZEROES:
		return conf_rw(c, TH_WRITE_ZEROES, 4, 4, 0);
	case NVMFT_IO_DEALLOCATE:
		return conf_deallocate(c, &range, 1);
	default:
		/* Without a volatile cache the core answers a flush by itself. */
		th_sqe_init(&sqe, TH_FLUSH, 1);
		return th_exec(&c->ctrl.io[0], &sqe, NULL, 0);
	}
}

/* The toys do less than the library's backends: the core makes writes of it, or nothing. */
static bool reaches_backend(const struct conf *c, enum nvmft_io_op op)
{
	if (op == NVMFT_IO_DEALLOCATE)
		return c->kind.base < CONF_MINIMAL;
	return op != NVMFT_IO_WRITE_ZEROES || c->kind.base < CONF_MINIMAL || c->kind.base == CONF_POLLED;
}

static void test_status(void **state)
{
	static const enum nvmft_io_op ops[] = {NVMFT_IO_READ, NVMFT_IO_WRITE, NVMFT_IO_WRITE_ZEROES,
					       NVMFT_IO_DEALLOCATE};
	struct conf *c = *state;

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (!reaches_backend(c, ops[i]))
			continue;
		c->error = (struct nvmft_wrap_error){
			.ops = NVMFT_WRAP_OP(ops[i]), .nth = 1, .times = 1, .status = SC_WRITE_FAULT};
		assert_int_equal(any_op(c, ops[i]), SC_WRITE_FAULT);
		assert_int_equal(atomic_load(&c->error.failed), 1);
		assert_int_equal(any_op(c, ops[i]), 0);
	}
}

static void test_flush_status(void **state)
{
	struct conf *c = *state;

	if (c->kind.base != CONF_FILE && c->kind.base != CONF_FILE_BUFFERED)
		skip();
	c->error = (struct nvmft_wrap_error){.ops = NVMFT_WRAP_OP(NVMFT_IO_FLUSH), .nth = 1, .times = 1, .err = -EIO};
	assert_int_not_equal(any_op(c, NVMFT_IO_FLUSH), 0);
	assert_int_equal(any_op(c, NVMFT_IO_FLUSH), 0);
}

static void test_errno(void **state)
{
	static const struct {
		int err;
		nvmft_status sc;
	} map[] = {{-EIO, TH_SC_INTERNAL}, {-ENOSPC, TH_SC_CAP_EXCEEDED}, {-EROFS, TH_SC_WRITE_PROTECTED}};
	struct conf *c = *state;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
		c->error = (struct nvmft_wrap_error){.nth = 1, .times = 1, .err = map[i].err};
		assert_int_equal(th_sc(any_op(c, NVMFT_IO_WRITE)), map[i].sc);
		assert_int_equal(any_op(c, NVMFT_IO_WRITE), 0);
	}
}

static void test_persistent(void **state)
{
	struct conf *c = *state;

	c->error = (struct nvmft_wrap_error){.ops = NVMFT_WRAP_OP(NVMFT_IO_READ), .nth = 3, .status = SC_READ_ERROR};
	assert_int_equal(any_op(c, NVMFT_IO_READ), 0);
	assert_int_equal(any_op(c, NVMFT_IO_READ), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(any_op(c, NVMFT_IO_READ), SC_READ_ERROR);
		assert_int_equal(any_op(c, NVMFT_IO_WRITE), 0);
	}
	c->error.nth = 0;
	assert_int_equal(any_op(c, NVMFT_IO_READ), 0);
}

/* Many at once, one of ten fails: each command gets its own outcome. */
static void test_some_of_many(void **state)
{
	struct conf *c = *state;
	struct th_cmd *cmds = calloc(100, sizeof(*cmds));
	unsigned int failed = 0;
	struct nvmft_sqe sqe;

	assert_non_null(cmds);
	c->error = (struct nvmft_wrap_error){.percent = 10, .seed = 1, .status = SC_WRITE_FAULT};
	for (unsigned int i = 0; i < 100; i++) {
		th_sqe_rw(&sqe, TH_WRITE, 1, i, 1);
		th_submit(&c->ctrl.io[0], &cmds[i], &sqe, c->buf + i * c->block_size, c->block_size);
	}
	for (unsigned int i = 0; i < 100; i++)
		failed += th_wait_cmd(&cmds[i]) == SC_WRITE_FAULT;
	assert_int_equal(atomic_load(&c->error.seen), 100);
	assert_int_equal(failed, atomic_load(&c->error.failed));
	assert_true(failed > 0 && failed < 100);
	free(cmds);
}

static void test_failed_write_may_have_happened(void **state)
{
	struct conf *c = *state;

	if (c->kind.base == CONF_NULL)
		skip();
	th_fill(c->buf, c->block_size, 8);
	c->error = (struct nvmft_wrap_error){.nth = 1, .times = 1, .status = SC_WRITE_FAULT, .after = true};
	assert_int_equal(conf_rw(c, TH_WRITE, 0, 1, 0), SC_WRITE_FAULT);
	conf_check_seed(c, 0, 1, 8);
}

static void test_compare_read_error(void **state)
{
	struct conf *c = *state;

	memset(c->buf, 0, c->block_size);
	c->error = (struct nvmft_wrap_error){.ops = COMPARES, .nth = 1, .times = 1, .status = SC_READ_ERROR};
	assert_int_equal(conf_rw(c, TH_COMPARE, 0, 1, 0), SC_READ_ERROR);
	assert_int_equal(conf_rw(c, TH_COMPARE, 0, 1, 0), 0);
}

static void fused_zero(struct conf *c, nvmft_status status[2])
{
	struct th_cmd cmds[2] = {{.on_done = NULL}};
	void *data[2] = {c->buf, c->buf2};
	size_t lens[2] = {c->block_size, c->block_size};
	struct nvmft_sqe sqes[2];

	memset(c->buf, 0, c->block_size);
	memset(c->buf2, 0, c->block_size);
	th_sqe_rw(&sqes[0], TH_COMPARE, 1, 0, 1);
	sqes[0].flags |= TH_FUSE_FIRST;
	th_sqe_rw(&sqes[1], TH_WRITE, 1, 0, 1);
	sqes[1].flags |= TH_FUSE_SECOND;
	th_submit_many(&c->ctrl.io[0], cmds, sqes, data, lens, 2);
	status[0] = th_wait_cmd(&cmds[0]);
	status[1] = th_wait_cmd(&cmds[1]);
}

static void test_fused_read_error(void **state)
{
	struct conf *c = *state;
	nvmft_status status[2];

	c->error = (struct nvmft_wrap_error){.ops = COMPARES, .nth = 1, .times = 1, .status = SC_READ_ERROR};
	fused_zero(c, status);
	assert_int_equal(status[0], SC_READ_ERROR);
	assert_int_equal(th_sc(status[1]), TH_SC_FUSED_FAIL);
	fused_zero(c, status);
	assert_int_equal(status[0] | status[1], 0);
}

static void test_fused_write_error(void **state)
{
	struct conf *c = *state;
	nvmft_status status[2];

	c->error = (struct nvmft_wrap_error){
		.ops = NVMFT_WRAP_OP(NVMFT_IO_WRITE), .nth = 1, .times = 1, .status = SC_WRITE_FAULT};
	fused_zero(c, status);
	assert_int_equal(status[0], 0);
	assert_int_equal(status[1], SC_WRITE_FAULT);
	fused_zero(c, status);
	assert_int_equal(status[0] | status[1], 0);
}

/* ---- late ---- */

static void submit_read(struct conf *c, struct th_cmd *cmd, uint64_t lba)
{
	struct nvmft_sqe sqe;

	th_sqe_rw(&sqe, TH_READ, 1, lba, 1);
	th_submit(&c->ctrl.io[0], cmd, &sqe, c->buf + lba * c->block_size, c->block_size);
}

static bool some_held(void *arg)
{
	return atomic_load(&((struct nvmft_wrap_delay *)arg)->held) > 0;
}

static void wait_held(struct conf *c)
{
	assert_true(th_wait(&c->t, some_held, &c->delay, 5000));
}

static void test_delay(void **state)
{
	struct conf *c = *state;
	struct th_cmd cmd = {.on_done = NULL};

	c->delay.delay_ns = 60ull * 1000000000;
	submit_read(c, &cmd, 0);
	wait_held(c);
	th_advance_ms(&c->t, 59999);
	assert_false(atomic_load(&cmd.done));
	th_advance_ms(&c->t, 1);
	assert_int_equal(th_wait_cmd(&cmd), 0);
}

static uint16_t cid_of(const struct th_cmd *cmd)
{
	struct nvmft_sqe sqe;

	memcpy(&sqe, cmd->lc.sqe.bytes, sizeof(sqe));
	return le16toh(sqe.cid);
}

/* Returns bit 0 of the completion: 0 aborted, 1 not. */
static uint32_t abort_cmd(struct conf *c, uint16_t cid)
{
	struct nvmft_sqe sqe;

	th_sqe_abort(&sqe, c->ctrl.io[0].qid, cid);
	assert_int_equal(th_exec(&c->ctrl.admin, &sqe, NULL, 0), 0);
	return le32toh(c->ctrl.admin.cqe.dw0) & 1;
}

static void test_abort(void **state)
{
	struct conf *c = *state;
	struct th_cmd cmd = {.on_done = NULL};

	atomic_store(&c->delay.hold, true);
	submit_read(c, &cmd, 0);
	wait_held(c);
	assert_int_equal(abort_cmd(c, cid_of(&cmd)), 0);
	assert_int_equal(th_sc(th_wait_cmd(&cmd)), TH_SC_ABORT_REQ);
	assert_int_equal(atomic_load(&c->delay.held), 0);
	atomic_store(&c->delay.hold, false);
	assert_int_equal(any_op(c, NVMFT_IO_READ), 0);
}

static void test_abort_refused(void **state)
{
	struct conf *c = *state;
	struct th_cmd cmd = {.on_done = NULL};

	atomic_store(&c->delay.hold, true);
	c->delay.ignore_abort = true;
	submit_read(c, &cmd, 0);
	wait_held(c);
	abort_cmd(c, cid_of(&cmd));
	th_settle(&c->t);
	assert_false(atomic_load(&cmd.done));
	atomic_store(&c->delay.hold, false);
	assert_int_equal(th_wait_cmd(&cmd), 0);
}

static void test_disconnect_under_io(void **state)
{
	struct conf *c = *state;
	struct th_cmd cmd = {.on_done = NULL};

	atomic_store(&c->delay.hold, true);
	submit_read(c, &cmd, 0);
	wait_held(c);
	th_disconnect(&c->ctrl.io[0]);
	assert_int_equal(th_sc(th_wait_cmd(&cmd)), TH_SC_SQ_DELETED);
	atomic_store(&c->delay.hold, false);
	th_settle(&c->t);
	assert_int_equal(atomic_load(&c->delay.held), 0);
}

static void test_remove_under_io(void **state)
{
	struct conf *c = *state;
	struct th_cmd cmd = {.on_done = NULL};
	struct th_done done;

	atomic_store(&c->delay.hold, true);
	submit_read(c, &cmd, 0);
	wait_held(c);
	assert_int_equal(nvmft_namespace_remove(c->ns, th_done_init(&done)), 0);
	th_settle(&c->t);
	assert_false(atomic_load(&done.called));
	assert_int_equal(th_sc(any_op(c, NVMFT_IO_WRITE)), TH_SC_INVALID_NS);
	atomic_store(&c->delay.hold, false);
	assert_int_equal(th_wait_cmd(&cmd), 0);
	assert_int_equal(th_done_wait(&c->t, &done), 0);
}

static void test_late_one_holds_nobody_up(void **state)
{
	struct conf *c = *state;
	struct th_cmd cmd = {.on_done = NULL};

	c->delay.ops = NVMFT_WRAP_OP(NVMFT_IO_READ);
	atomic_store(&c->delay.hold, true);
	submit_read(c, &cmd, 0);
	wait_held(c);
	for (int i = 0; i < 10; i++)
		assert_int_equal(any_op(c, NVMFT_IO_WRITE), 0);
	assert_false(atomic_load(&cmd.done));
	atomic_store(&c->delay.hold, false);
	assert_int_equal(th_wait_cmd(&cmd), 0);
}

/* ---- depth and alignment: c->poor outside, then the log, then the delay ---- */

static struct conf *start_poor(const struct conf_kind *kind, const struct nvmft_wrap_short *poor)
{
	struct conf *c = conf_prepare(kind);

	c->poor = *poor;
	conf_wrap_with(c, nvmft_wrap_delay_ops, &c->delay);
	conf_wrap_with(c, nvmft_wrap_log_ops, &c->log);
	conf_wrap_with(c, nvmft_wrap_short_ops, &c->poor);
	conf_start(c, NULL, NULL);
	return c;
}

static bool four_held(void *arg)
{
	return atomic_load(&((struct nvmft_wrap_delay *)arg)->held) == 4;
}

static void test_depth(void **state)
{
	struct conf *c = start_poor(*state, &(struct nvmft_wrap_short){.depth = 4});
	struct th_cmd cmds[32];

	memset(cmds, 0, sizeof(cmds));
	atomic_store(&c->delay.hold, true);
	for (unsigned int i = 0; i < 32; i++)
		submit_read(c, &cmds[i], i);
	assert_true(th_wait(&c->t, four_held, &c->delay, 5000));
	th_settle(&c->t);
	assert_int_equal(atomic_load(&c->delay.held), 4);
	atomic_store(&c->delay.hold, false);
	for (unsigned int i = 0; i < 32; i++)
		assert_int_equal(th_wait_cmd(&cmds[i]), 0);
	assert_int_equal(atomic_load(&c->log.max_outstanding), 4);
	conf_end(c);
}

static void test_abort_waiting_for_depth(void **state)
{
	struct conf *c = start_poor(*state, &(struct nvmft_wrap_short){.depth = 4});
	struct th_cmd cmds[6];

	memset(cmds, 0, sizeof(cmds));
	atomic_store(&c->delay.hold, true);
	for (unsigned int i = 0; i < 6; i++)
		submit_read(c, &cmds[i], i);
	assert_true(th_wait(&c->t, four_held, &c->delay, 5000));
	assert_int_equal(abort_cmd(c, cid_of(&cmds[4])), 0);
	assert_int_equal(th_sc(th_wait_cmd(&cmds[4])), TH_SC_ABORT_REQ);
	atomic_store(&c->delay.hold, false);
	assert_int_equal(th_wait_cmd(&cmds[5]), 0);
	assert_int_equal(th_wait_cmd(&cmds[0]), 0);
	assert_int_equal(atomic_load(&c->log.count), 5);
	conf_end(c);
}

static void test_disconnect_waiting_for_depth(void **state)
{
	struct conf *c = start_poor(*state, &(struct nvmft_wrap_short){.depth = 4});
	struct th_cmd cmds[20];

	memset(cmds, 0, sizeof(cmds));
	atomic_store(&c->delay.hold, true);
	for (unsigned int i = 0; i < 20; i++)
		submit_read(c, &cmds[i], i);
	assert_true(th_wait(&c->t, four_held, &c->delay, 5000));
	th_disconnect(&c->ctrl.io[0]);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(th_sc(th_wait_cmd(&cmds[i])), TH_SC_SQ_DELETED);
	atomic_store(&c->delay.hold, false);
	th_settle(&c->t);
	conf_end(c);
}

static void test_alignment(void **state)
{
	const struct conf_kind *kind = *state;
	struct conf *c;

	th_loopback_only(kind->transport, "host buffers are not the backend's");
	c = start_poor(kind, &(struct nvmft_wrap_short){.align = 512});
	th_fill(c->buf + 1, 4096, 3);
	assert_int_equal(th_write(&c->ctrl, 1, 0, 8, c->buf + 1, 4096), 0);
	assert_int_equal(th_read(&c->ctrl, 1, 0, 8, c->buf2 + 3, 4096), 0);
	assert_true(th_filled(c->buf2 + 3, 4096, 3));
	assert_int_equal(c->log_entries[0].address_bits & 511, 0);
	assert_int_equal(c->log_entries[1].address_bits & 511, 0);
	conf_end(c);
}

/* The flush by which a FUA write is made durable fails: so does the write. */
static void test_fua_flush_error(void **state)
{
	struct conf *c = conf_prepare(*state);

	c->poor = (struct nvmft_wrap_short){.no_fua = true, .volatile_cache = true};
	c->error = (struct nvmft_wrap_error){
		.ops = NVMFT_WRAP_OP(NVMFT_IO_FLUSH), .nth = 1, .times = 1, .status = SC_WRITE_FAULT};
	conf_wrap_with(c, nvmft_wrap_error_ops, &c->error);
	conf_wrap_with(c, nvmft_wrap_short_ops, &c->poor);
	conf_start(c, NULL, NULL);
	assert_int_equal(conf_rw(c, TH_WRITE, 0, 1, TH_FUA), SC_WRITE_FAULT);
	assert_int_equal(conf_rw(c, TH_WRITE, 0, 1, TH_FUA), 0);
	conf_end(c);
}

static const struct conf_test tests[] = {
	{"a status comes through", test_status, CONF_INJECT},
	{"a failed flush", test_flush_status, CONF_INJECT},
	{"an errno becomes a status", test_errno, CONF_INJECT},
	{"persistent error", test_persistent, CONF_INJECT},
	{"some of many fail", test_some_of_many, CONF_INJECT},
	{"a failed write may have happened", test_failed_write_may_have_happened, CONF_INJECT},
	{"compare: read error", test_compare_read_error, CONF_INJECT},
	{"compare and write: read error", test_fused_read_error, CONF_INJECT},
	{"compare and write: write error", test_fused_write_error, CONF_INJECT},
	{"late by the clock", test_delay, CONF_INJECT},
	{"abort", test_abort, CONF_INJECT},
	{"abort that the backend ignores", test_abort_refused, CONF_INJECT},
	{"disconnect under I/O", test_disconnect_under_io, CONF_INJECT},
	{"namespace removed under I/O", test_remove_under_io, CONF_INJECT},
	{"a late I/O holds nobody up", test_late_one_holds_nobody_up, CONF_INJECT},
};

/* Kinds that the rest builds itself. */
static struct conf_kind memory_kinds[] = {
	{CONF_MEMORY, CONF_BARE, 512, TH_LOOPBACK},
	{CONF_MEMORY, CONF_BARE, 512, TH_TCP},
	{CONF_MEMORY, CONF_BARE, 512, TH_TCP_R2T},
	{CONF_MEMORY, CONF_BARE, 512, TH_RDMA},
};

#define OVER_ALL(fn)                                                                                      \
	cmocka_unit_test_prestate(fn, &memory_kinds[0]), cmocka_unit_test_prestate(fn, &memory_kinds[1]), \
		cmocka_unit_test_prestate(fn, &memory_kinds[2])

int main(void)
{
	static const struct CMUnitTest others[] = {
		OVER_ALL(test_depth),
		OVER_ALL(test_abort_waiting_for_depth),
		OVER_ALL(test_disconnect_waiting_for_depth),
		OVER_ALL(test_alignment),
		OVER_ALL(test_fua_flush_error),
	};
	static const struct CMUnitTest over_rdma[] = {
		cmocka_unit_test_prestate(test_depth, &memory_kinds[3]),
		cmocka_unit_test_prestate(test_abort_waiting_for_depth, &memory_kinds[3]),
		cmocka_unit_test_prestate(test_disconnect_waiting_for_depth, &memory_kinds[3]),
		cmocka_unit_test_prestate(test_fua_flush_error, &memory_kinds[3]),
	};
	int failed = conf_run("inject", tests, sizeof(tests) / sizeof(tests[0]));

	if (th_present(TH_RDMA))
		return failed + cmocka_run_group_tests_name("inject: limits over RDMA", over_rdma, NULL, NULL);
	return failed + cmocka_run_group_tests_name("inject: limits", others, NULL, NULL);
}
