/* SPDX-License-Identifier: BSD-3-Clause */
/* Read and Write: what is refused, what reaches the backend, what comes back. */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "probe.h"

static struct probe_world w;
static _Alignas(4096) unsigned char buf[1u << 20], back[1u << 20];

static void test_what_was_written_is_read(void **state)
{
	(void)state;
	probe_world_start(&w, NULL, NULL);
	th_fill(buf, 4096, 1);
	assert_int_equal(probe_rw(&w, TH_WRITE, 5, 8, 0, buf), 0);
	assert_int_equal(probe_rw(&w, TH_READ, 5, 8, 0, back), 0);
	assert_true(th_filled(back, 4096, 1));
	assert_int_equal(probe_rw(&w, TH_READ, PROBE_BLOCKS - 1, 1, 0, back), 0);
	assert_true(th_zero(back, 512));
	assert_int_equal(w.probe.flushes, 3);
	probe_world_stop(&w);
}

static void test_namespaces_that_are_not_there(void **state)
{
	static const uint32_t nsids[] = {0, 2, 1024, 1025, 0xfffffffe, 0xffffffff};
	struct nvmft_sqe sqe;

	(void)state;
	probe_world_start(&w, NULL, NULL);
	for (size_t i = 0; i < sizeof(nsids) / sizeof(nsids[0]); i++) {
		th_sqe_rw(&sqe, TH_READ, nsids[i], 0, 1);
		assert_int_equal(th_exec(w.q, &sqe, back, 512), TH_SC_INVALID_NS | NVMFT_STATUS_DNR);
		th_sqe_rw(&sqe, TH_WRITE, nsids[i], 0, 1);
		assert_int_equal(th_exec(w.q, &sqe, buf, 512), TH_SC_INVALID_NS | NVMFT_STATUS_DNR);
	}
	assert_int_equal(w.probe.nlog, 0);
	probe_world_stop(&w);
}

static void test_ranges_beyond_the_end(void **state)
{
	static const struct {
		uint64_t lba;
		uint32_t blocks;
	} bad[] = {{PROBE_BLOCKS, 1}, {PROBE_BLOCKS - 1, 2}, {0, PROBE_BLOCKS + 1}, {UINT64_MAX, 1}, {UINT64_MAX - 1, 3},
		   {1ull << 32, 1},   {1ull << 63, 8}};

	(void)state;
	probe_world_start(&w, NULL, NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(probe_rw(&w, TH_READ, bad[i].lba, bad[i].blocks, 0, back),
				 TH_SC_LBA_RANGE | NVMFT_STATUS_DNR);
		assert_int_equal(probe_rw(&w, TH_WRITE, bad[i].lba, bad[i].blocks, 0, buf),
				 TH_SC_LBA_RANGE | NVMFT_STATUS_DNR);
	}
	assert_int_equal(w.probe.nlog, 0);
	probe_world_stop(&w);
}

static void large(struct probe *p)
{
	p->info.blocks = 8192;
}

static void test_transfers_up_to_mdts(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	probe_world_start(&w, NULL, large);
	assert_int_equal(probe_rw(&w, TH_READ, 0, 2048, 0, back), 0);
	th_sqe_rw(&sqe, TH_READ, 1, 0, 2049);
	assert_int_equal(th_exec(w.q, &sqe, back, sizeof(back)), TH_SC_INVALID_FIELD | NVMFT_STATUS_DNR);
	th_sqe_rw(&sqe, TH_WRITE, 1, 0, 2049);
	assert_int_equal(th_exec(w.q, &sqe, back, sizeof(back)), TH_SC_INVALID_FIELD | NVMFT_STATUS_DNR);
	probe_world_stop(&w);
}

static void test_unknown_opcodes(void **state)
{
	static const uint8_t opcodes[] = {0x03, 0x04, 0x0c, 0x0d, 0x10, 0x7e, 0x80, 0xff};
	struct nvmft_sqe sqe;

	(void)state;
	probe_world_start(&w, NULL, NULL);
	for (size_t i = 0; i < sizeof(opcodes); i++) {
		th_sqe_init(&sqe, opcodes[i], 1);
		assert_int_equal(th_exec(w.q, &sqe, NULL, 0), 0x001 | NVMFT_STATUS_DNR);
	}
	probe_world_stop(&w);
}

static void read_only(struct probe *p)
{
	p->info.read_only = true;
	p->info.deallocate = NVMFT_CAP_NATIVE;
}

static void test_a_read_only_namespace(void **state)
{
	struct nvmft_sqe sqe;
	struct th_range range = {.blocks = 1};

	(void)state;
	probe_world_start(&w, NULL, read_only);
	memset(buf, 0, 512);
	assert_int_equal(th_sc(probe_rw(&w, TH_WRITE, 0, 1, 0, buf)), TH_SC_WRITE_PROTECTED);
	assert_int_equal(th_sc(probe_rw(&w, TH_WRITE_ZEROES, 0, 1, 0, NULL)), TH_SC_WRITE_PROTECTED);
	th_sqe_dsm(&sqe, 1, 1, 4);
	assert_int_equal(th_sc(th_exec(w.q, &sqe, &range, sizeof(range))), TH_SC_WRITE_PROTECTED);
	assert_int_equal(w.probe.nlog, 0);
	assert_int_equal(probe_rw(&w, TH_READ, 0, 1, 0, back), 0);
	assert_int_equal(probe_rw(&w, TH_COMPARE, 0, 1, 0, buf), 0);
	th_sqe_dsm(&sqe, 1, 1, 1);
	assert_int_equal(th_exec(w.q, &sqe, &range, sizeof(range)), 0);
	probe_world_stop(&w);
}

static void fua_native(struct probe *p)
{
	p->info.volatile_cache = true;
	p->info.flush = NVMFT_CAP_NATIVE;
	p->info.fua = NVMFT_CAP_NATIVE;
}

static void fua_by_flush(struct probe *p)
{
	p->info.volatile_cache = true;
	p->info.flush = NVMFT_CAP_NATIVE;
}

static void test_fua_goes_to_a_backend_that_has_it(void **state)
{
	(void)state;
	probe_world_start(&w, NULL, fua_native);
	assert_int_equal(probe_rw(&w, TH_WRITE, 0, 1, TH_FUA, buf), 0);
	assert_int_equal(probe_rw(&w, TH_WRITE, 0, 1, 0, buf), 0);
	assert_int_equal(w.probe.nlog, 2);
	assert_int_equal(w.probe.log[0].flags, NVMFT_IO_FUA);
	assert_int_equal(w.probe.log[1].flags, 0);
	probe_world_stop(&w);
}

static void test_fua_is_write_and_flush(void **state)
{
	(void)state;
	probe_world_start(&w, NULL, fua_by_flush);
	assert_int_equal(probe_rw(&w, TH_WRITE, 0, 1, TH_FUA, buf), 0);
	assert_int_equal(w.probe.nlog, 2);
	assert_int_equal(w.probe.log[0].op, NVMFT_IO_WRITE);
	assert_int_equal(w.probe.log[0].flags, 0);
	assert_int_equal(w.probe.log[1].op, NVMFT_IO_FLUSH);
	/* a write that failed is not flushed, a flush that failed fails the write */
	w.probe.fail[NVMFT_IO_WRITE] = TH_SC_INTERNAL;
	assert_int_equal(probe_rw(&w, TH_WRITE, 0, 1, TH_FUA, buf), TH_SC_INTERNAL);
	assert_int_equal(w.probe.nlog, 3);
	w.probe.fail[NVMFT_IO_WRITE] = 0;
	w.probe.fail[NVMFT_IO_FLUSH] = TH_SC_CAP_EXCEEDED;
	assert_int_equal(probe_rw(&w, TH_WRITE, 0, 1, TH_FUA, buf), TH_SC_CAP_EXCEEDED);
	probe_world_stop(&w);
}

static void test_writes_are_durable_when_the_cache_is_turned_off(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	probe_world_start(&w, NULL, fua_by_flush);
	th_sqe_set_features(&sqe, 0x06, 0);
	assert_int_equal(th_exec(&w.ctrl.admin, &sqe, NULL, 0), 0);
	assert_int_equal(probe_rw(&w, TH_WRITE, 0, 1, 0, buf), 0);
	assert_int_equal(w.probe.nlog, 2);
	assert_int_equal(w.probe.log[1].op, NVMFT_IO_FLUSH);
	th_sqe_set_features(&sqe, 0x06, 1);
	assert_int_equal(th_exec(&w.ctrl.admin, &sqe, NULL, 0), 0);
	assert_int_equal(probe_rw(&w, TH_WRITE, 0, 1, 0, buf), 0);
	assert_int_equal(w.probe.nlog, 3);
	probe_world_stop(&w);
}

static void test_fua_without_a_volatile_cache_is_a_write(void **state)
{
	(void)state;
	probe_world_start(&w, NULL, NULL);
	assert_int_equal(probe_rw(&w, TH_WRITE, 0, 1, TH_FUA, buf), 0);
	assert_int_equal(probe_rw(&w, TH_READ, 0, 1, TH_FUA, back), 0);
	assert_int_equal(w.probe.nlog, 2);
	probe_world_stop(&w);
}

static void test_fua_read_flushes_a_volatile_cache_first(void **state)
{
	(void)state;
	probe_world_start(&w, NULL, fua_native);
	assert_int_equal(probe_rw(&w, TH_READ, 0, 1, TH_FUA, back), 0);
	assert_int_equal(w.probe.nlog, 2);
	assert_int_equal(w.probe.log[0].op, NVMFT_IO_FLUSH);
	assert_int_equal(w.probe.log[1].op, NVMFT_IO_READ);
	w.probe.fail[NVMFT_IO_FLUSH] = TH_SC_INTERNAL;
	assert_int_equal(probe_rw(&w, TH_READ, 0, 1, TH_FUA, back), TH_SC_INTERNAL);
	assert_int_equal(w.probe.nlog, 3);
	probe_world_stop(&w);
}

static void test_errors_of_the_backend_reach_the_host(void **state)
{
	(void)state;
	probe_world_start(&w, NULL, NULL);
	w.probe.fail[NVMFT_IO_READ] = 0x281;
	w.probe.fail[NVMFT_IO_WRITE] = TH_SC_CAP_EXCEEDED | NVMFT_STATUS_DNR;
	assert_int_equal(probe_rw(&w, TH_READ, 0, 1, 0, back), 0x281);
	assert_int_equal(probe_rw(&w, TH_WRITE, 0, 1, 0, buf), TH_SC_CAP_EXCEEDED | NVMFT_STATUS_DNR);
	probe_world_stop(&w);
}

static void aligned(struct probe *p)
{
	p->info.align = 4096;
}

static uint64_t copied(void)
{
	struct nvmft_target_stats stats = {.size = sizeof(stats)};

	assert_int_equal(nvmft_target_stats(w.t.target, &stats), 0);
	assert_int_equal(stats.data_bytes, 0);
	return stats.copied_bytes;
}

static void test_unaligned_buffers_are_copied(void **state)
{
	(void)state;
	th_loopback_only(TH_USUAL, "host buffers are not the backend's");
	probe_world_start(&w, NULL, aligned);
	th_fill(buf + 8, 8192, 3);
	assert_int_equal(probe_rw(&w, TH_WRITE, 0, 16, 0, buf + 8), 0);
	assert_int_equal(copied(), 8192);
	assert_int_equal(probe_rw(&w, TH_READ, 0, 16, 0, back + 4), 0);
	assert_true(th_filled(back + 4, 8192, 3));
	assert_int_equal(copied(), 16384);
	assert_int_equal(probe_rw(&w, TH_READ, 0, 16, 0, back), 0);
	assert_true(th_filled(back, 8192, 3));
	assert_int_equal(copied(), 16384);
	probe_world_stop(&w);
}

static void test_a_failed_read_copies_nothing(void **state)
{
	(void)state;
	probe_world_start(&w, NULL, aligned);
	memset(back, 0x5a, 1024);
	w.probe.fail[NVMFT_IO_READ] = TH_SC_INTERNAL;
	assert_int_equal(probe_rw(&w, TH_READ, 0, 1, 0, back + 1), TH_SC_INTERNAL);
	assert_int_equal(back[1], 0x5a);
	assert_int_equal(copied(), 0);
	probe_world_stop(&w);
}

static void depth4(struct probe *p)
{
	p->info.depth = 4;
}

static void test_the_backends_depth_is_kept(void **state)
{
	static struct th_cmd cmds[32];
	struct nvmft_sqe sqe;
	unsigned int i;

	(void)state;
	probe_world_start(&w, NULL, depth4);
	w.probe.hold = true;
	memset(cmds, 0, sizeof(cmds));
	for (i = 0; i < 32; i++) {
		th_sqe_rw(&sqe, TH_READ, 1, i, 1);
		th_submit(w.q, &cmds[i], &sqe, back + 512 * i, 512);
	}
	th_settle(&w.t);
	assert_int_equal(w.probe.nheld, 4);
	for (i = 0; i < 32; i++) {
		probe_release(&w.probe, 1);
		assert_int_equal(th_wait_cmd(&cmds[i]), 0);
		assert_int_equal(w.probe.log[i].lba, i);
	}
	assert_int_equal(w.probe.most_held, 4);
	probe_world_stop(&w);
}

static void depth1(struct probe *p)
{
	p->info.depth = 1;
}

static void test_abort_of_a_command_that_waits_for_depth(void **state)
{
	static struct th_cmd cmds[2];
	struct nvmft_sqe sqe;

	(void)state;
	probe_world_start(&w, NULL, depth1);
	w.probe.hold = true;
	memset(cmds, 0, sizeof(cmds));
	for (uint16_t i = 0; i < 2; i++) {
		th_sqe_rw(&sqe, i ? TH_WRITE : TH_READ, 1, 0, 1);
		sqe.cid = (uint16_t)(1000 + i);
		th_submit_cid(w.q, &cmds[i], &sqe, back, 512);
	}
	th_settle(&w.t);
	assert_true(probe_abort_cmd(&w, 1, 1001));
	assert_int_equal(th_sc(th_wait_cmd(&cmds[1])), TH_SC_ABORT_REQ);
	probe_release(&w.probe, 1);
	assert_int_equal(th_wait_cmd(&cmds[0]), 0);
	assert_int_equal(w.probe.nlog, 1);
	probe_world_stop(&w);
}

static void test_abort_of_a_command_in_the_backend(void **state)
{
	static struct th_cmd cmds[2];
	struct nvmft_sqe sqe;

	(void)state;
	probe_world_start(&w, NULL, NULL);
	w.probe.hold = true;
	memset(cmds, 0, sizeof(cmds));
	for (uint16_t i = 0; i < 2; i++) {
		th_sqe_rw(&sqe, TH_READ, 1, 0, 1);
		sqe.cid = (uint16_t)(1000 + i);
		th_submit_cid(w.q, &cmds[i], &sqe, back, 512);
	}
	th_settle(&w.t);
	assert_false(probe_abort_cmd(&w, 1, 1000));
	w.probe.held_abort = true;
	assert_true(probe_abort_cmd(&w, 1, 1001));
	assert_int_equal(th_sc(th_wait_cmd(&cmds[1])), TH_SC_ABORT_REQ);
	assert_int_equal(w.probe.nheld, 1);
	probe_release(&w.probe, 1);
	th_wait_cmd(&cmds[0]);
	probe_world_stop(&w);
}

static void test_disconnect_with_io_in_the_backend(void **state)
{
	static struct th_cmd cmds[8];
	struct nvmft_sqe sqe;

	(void)state;
	th_loopback_only(TH_USUAL, "host buffers are not the backend's");
	probe_world_start(&w, NULL, depth4);
	w.probe.hold = true;
	memset(cmds, 0, sizeof(cmds));
	for (unsigned int i = 0; i < 8; i++) {
		th_sqe_rw(&sqe, i & 1 ? TH_WRITE : TH_READ, 1, 0, 1);
		th_submit(w.q, &cmds[i], &sqe, back + 512 * i, 512);
	}
	th_settle(&w.t);
	/* Each command is the host's again, with its buffer, when nobody uses that any more. */
	th_disconnect_begin(w.q);
	th_settle(&w.t);
	assert_false(w.q->disconnected);
	w.probe.hold = false;
	probe_release(&w.probe, 8);
	for (unsigned int i = 0; i < 8; i++)
		th_wait_cmd(&cmds[i]);
	th_settle(&w.t);
	assert_true(w.q->disconnected);
	probe_world_stop(&w);
}

static void test_removal_waits_for_io(void **state)
{
	static struct th_cmd cmd;
	struct nvmft_sqe sqe;
	struct th_done done;

	(void)state;
	probe_world_start(&w, NULL, NULL);
	w.probe.hold = true;
	memset(&cmd, 0, sizeof(cmd));
	th_sqe_rw(&sqe, TH_READ, 1, 0, 1);
	th_submit(w.q, &cmd, &sqe, back, 512);
	th_settle(&w.t);
	assert_int_equal(nvmft_namespace_remove(w.probe.ns, th_done_init(&done)), 0);
	th_settle(&w.t);
	assert_false(done.called);
	assert_int_equal(th_exec(w.q, &sqe, back, 512), TH_SC_INVALID_NS | NVMFT_STATUS_DNR);
	assert_false(cmd.done);
	probe_release(&w.probe, 1);
	assert_int_equal(th_wait_cmd(&cmd), 0);
	assert_int_equal(th_done_wait(&w.t, &done), 0);
	assert_int_equal(w.probe.closes, 1);
	probe_world_stop(&w);
}

static void aligned_large(struct probe *p)
{
	aligned(p);
	large(p);
}

/* Between its arrival and its execution a command waits for memory; the namespace goes meanwhile. */
static void test_a_namespace_that_goes_while_a_command_waits(void **state)
{
	static struct th_cmd cmds[5];
	struct th_opts opts = {.target.data_memory_max = 4u << 20};
	struct nvmft_sqe sqe;
	struct th_done done;
	unsigned int i, held;

	(void)state;
	probe_world_start(&w, &opts, aligned_large);
	w.probe.hold = true;
	memset(cmds, 0, sizeof(cmds));
	th_sqe_rw(&sqe, TH_READ, 1, 0, 2040);
	for (i = 0; i < 5; i++)
		th_submit(w.q, &cmds[i], &sqe, back + 8, 2040 * 512);
	th_settle(&w.t);
	held = w.probe.nheld;
	assert_in_range(held, 1, 4);
	assert_int_equal(nvmft_namespace_remove(w.probe.ns, th_done_init(&done)), 0);
	th_settle(&w.t);
	probe_release(&w.probe, held);
	for (i = 0; i < held; i++)
		assert_int_equal(th_wait_cmd(&cmds[i]), 0);
	for (; i < 5; i++)
		assert_int_equal(th_wait_cmd(&cmds[i]), TH_SC_INVALID_NS | NVMFT_STATUS_DNR);
	assert_int_equal(th_done_wait(&w.t, &done), 0);
	probe_world_stop(&w);
}

static void test_statistics(void **state)
{
	struct nvmft_namespace_stats stats = {.size = sizeof(stats)};

	(void)state;
	probe_world_start(&w, NULL, fua_by_flush);
	memset(buf, 0, 8192);
	probe_rw(&w, TH_READ, 0, 8, 0, back);
	probe_rw(&w, TH_COMPARE, 0, 4, 0, buf);
	probe_rw(&w, TH_WRITE, 0, 3, TH_FUA, buf);
	probe_rw(&w, TH_FLUSH, 0, 1, 0, NULL);
	probe_rw(&w, TH_WRITE_ZEROES, 0, 1, 0, NULL);
	w.probe.fail[NVMFT_IO_WRITE] = TH_SC_INTERNAL;
	probe_rw(&w, TH_WRITE, 0, 1, 0, buf);
	assert_int_equal(nvmft_namespace_stats(w.probe.ns, &stats), 0);
	assert_int_equal(stats.reads, 2);
	assert_int_equal(stats.read_blocks, 12);
	assert_int_equal(stats.writes, 2);
	assert_int_equal(stats.written_blocks, 3);
	assert_int_equal(stats.others, 2);
	assert_int_equal(stats.errors, 1);
	probe_world_stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_written_is_read),
		cmocka_unit_test(test_namespaces_that_are_not_there),
		cmocka_unit_test(test_ranges_beyond_the_end),
		cmocka_unit_test(test_transfers_up_to_mdts),
		cmocka_unit_test(test_unknown_opcodes),
		cmocka_unit_test(test_a_read_only_namespace),
		cmocka_unit_test(test_fua_goes_to_a_backend_that_has_it),
		cmocka_unit_test(test_fua_is_write_and_flush),
		cmocka_unit_test(test_writes_are_durable_when_the_cache_is_turned_off),
		cmocka_unit_test(test_fua_without_a_volatile_cache_is_a_write),
		cmocka_unit_test(test_fua_read_flushes_a_volatile_cache_first),
		cmocka_unit_test(test_errors_of_the_backend_reach_the_host),
		cmocka_unit_test(test_unaligned_buffers_are_copied),
		cmocka_unit_test(test_a_failed_read_copies_nothing),
		cmocka_unit_test(test_the_backends_depth_is_kept),
		cmocka_unit_test(test_abort_of_a_command_that_waits_for_depth),
		cmocka_unit_test(test_abort_of_a_command_in_the_backend),
		cmocka_unit_test(test_disconnect_with_io_in_the_backend),
		cmocka_unit_test(test_removal_waits_for_io),
		cmocka_unit_test(test_a_namespace_that_goes_while_a_command_waits),
		cmocka_unit_test(test_statistics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
