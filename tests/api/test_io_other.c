/* SPDX-License-Identifier: BSD-3-Clause */
/* Flush, Compare, Write Zeroes and Dataset Management: done by the backend, and done in its place. */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "probe.h"

static struct probe_world w;
static _Alignas(4096) unsigned char buf[1u << 20];

static void volatile_cache(struct probe *p)
{
	p->info.volatile_cache = true;
	p->info.flush = NVMFT_CAP_NATIVE;
}

static void native(struct probe *p)
{
	volatile_cache(p);
	p->info.fua = NVMFT_CAP_NATIVE;
	p->info.compare = NVMFT_CAP_NATIVE;
	p->info.write_zeroes = NVMFT_CAP_NATIVE;
	p->info.deallocate = NVMFT_CAP_NATIVE;
}

static nvmft_status flush(uint32_t nsid)
{
	struct nvmft_sqe sqe;

	th_sqe_init(&sqe, TH_FLUSH, nsid);
	return th_exec(w.q, &sqe, NULL, 0);
}

static void test_flush(void **state)
{
	(void)state;
	probe_world_start(&w, NULL, volatile_cache);
	assert_int_equal(flush(1), 0);
	assert_int_equal(w.probe.nlog, 1);
	assert_int_equal(w.probe.log[0].op, NVMFT_IO_FLUSH);
	assert_int_equal(flush(2), TH_SC_INVALID_NS | NVMFT_STATUS_DNR);
	assert_int_equal(flush(0), TH_SC_INVALID_NS | NVMFT_STATUS_DNR);
	w.probe.fail[NVMFT_IO_FLUSH] = TH_SC_INTERNAL;
	assert_int_equal(flush(1), TH_SC_INTERNAL);
	probe_world_stop(&w);
}

static void test_flush_of_a_backend_that_needs_none(void **state)
{
	(void)state;
	probe_world_start(&w, NULL, NULL);
	assert_int_equal(flush(1), 0);
	assert_int_equal(flush(0xffffffff), 0);
	assert_int_equal(w.probe.nlog, 0);
	probe_world_stop(&w);
}

#define MORE 5

static void test_flush_of_all_namespaces(void **state)
{
	static struct probe more[MORE];
	unsigned int i;

	(void)state;
	probe_world_start(&w, NULL, volatile_cache);
	for (i = 0; i < MORE; i++) {
		probe_init(&more[i]);
		if (i != 1)
			volatile_cache(&more[i]);
		probe_add(w.subsys, &more[i]);
	}
	th_settle(&w.t);
	assert_int_equal(flush(0xffffffff), 0);
	assert_int_equal(w.probe.nlog, 1);
	for (i = 0; i < MORE; i++)
		assert_int_equal(more[i].nlog, i != 1);
	/* The first that fails ends it. */
	more[2].fail[NVMFT_IO_FLUSH] = TH_SC_INTERNAL;
	assert_int_equal(flush(0xffffffff), TH_SC_INTERNAL);
	assert_int_equal(more[0].nlog, 2);
	assert_int_equal(more[3].nlog, 1);
	probe_world_stop(&w);
	for (i = 0; i < MORE; i++)
		probe_fini(&more[i]);
}

/* One that completes later, and namespaces that go meanwhile. */
static void test_flush_of_all_while_namespaces_go(void **state)
{
	static struct probe more[MORE];
	static struct th_cmd cmd;
	struct nvmft_sqe sqe;
	unsigned int i;

	(void)state;
	probe_world_start(&w, NULL, volatile_cache);
	for (i = 0; i < MORE; i++) {
		probe_init(&more[i]);
		volatile_cache(&more[i]);
		more[i].hold = i == 1;
		probe_add(w.subsys, &more[i]);
	}
	th_settle(&w.t);
	memset(&cmd, 0, sizeof(cmd));
	th_sqe_init(&sqe, TH_FLUSH, 0xffffffff);
	th_submit(w.q, &cmd, &sqe, NULL, 0);
	th_settle(&w.t);
	assert_int_equal(more[1].nheld, 1);
	th_remove_namespace(&w.t, w.probe.ns);
	th_remove_namespace(&w.t, more[2].ns);
	probe_release(&more[1], 1);
	assert_int_equal(th_wait_cmd(&cmd), 0);
	assert_int_equal(more[2].nlog, 0);
	assert_int_equal(more[4].nlog, 1);
	probe_world_stop(&w);
	for (i = 0; i < MORE; i++)
		probe_fini(&more[i]);
}

static void compare_both_ways(void)
{
	th_fill(buf, 4096, 7);
	assert_int_equal(probe_rw(&w, TH_WRITE, 3, 8, 0, buf), 0);
	assert_int_equal(probe_rw(&w, TH_COMPARE, 3, 8, 0, buf), 0);
	buf[4095] ^= 1;
	assert_int_equal(th_sc(probe_rw(&w, TH_COMPARE, 3, 8, 0, buf)), TH_SC_COMPARE_FAILED);
	assert_int_equal(th_sc(probe_rw(&w, TH_COMPARE, PROBE_BLOCKS - 7, 8, 0, buf)), TH_SC_LBA_RANGE);
}

static void no_memory_held(void)
{
	struct nvmft_target_stats stats = {.size = sizeof(stats)};

	assert_int_equal(nvmft_target_stats(w.t.target, &stats), 0);
	assert_int_equal(stats.data_bytes, 0);
}

static void test_compare_by_reading(void **state)
{
	(void)state;
	probe_world_start(&w, NULL, NULL);
	compare_both_ways();
	assert_int_equal(probe_count(&w.probe, NVMFT_IO_COMPARE), 0);
	assert_int_equal(probe_count(&w.probe, NVMFT_IO_READ), 2);
	w.probe.fail[NVMFT_IO_READ] = 0x281;
	assert_int_equal(probe_rw(&w, TH_COMPARE, 3, 8, 0, buf), 0x281);
	no_memory_held();
	probe_world_stop(&w);
}

static void test_compare_by_the_backend(void **state)
{
	(void)state;
	probe_world_start(&w, NULL, native);
	compare_both_ways();
	assert_int_equal(probe_count(&w.probe, NVMFT_IO_COMPARE), 2);
	assert_int_equal(probe_count(&w.probe, NVMFT_IO_READ), 0);
	no_memory_held();
	probe_world_stop(&w);
}

static void aligned(struct probe *p)
{
	p->info.align = 512;
}

static void aligned_native(struct probe *p)
{
	native(p);
	p->info.align = 512;
}

static void test_compare_with_an_unaligned_buffer(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		probe_world_start(&w, NULL, i ? aligned_native : aligned);
		th_fill(buf + 1, 4096, 9);
		assert_int_equal(probe_rw(&w, TH_WRITE, 0, 8, 0, buf + 1), 0);
		assert_int_equal(probe_rw(&w, TH_COMPARE, 0, 8, 0, buf + 1), 0);
		buf[1] ^= 0x80;
		assert_int_equal(th_sc(probe_rw(&w, TH_COMPARE, 0, 8, 0, buf + 1)), TH_SC_COMPARE_FAILED);
		no_memory_held();
		probe_world_stop(&w);
	}
}

static void zeroes(uint64_t lba, uint32_t blocks)
{
	size_t bytes = (size_t)blocks * 512, end = (size_t)w.probe.info.blocks * 512;

	memset(w.probe.data, 0xff, end);
	assert_int_equal(probe_rw(&w, TH_WRITE_ZEROES, lba, blocks, 0, NULL), 0);
	assert_true(th_zero(w.probe.data + lba * 512, bytes));
	if (lba)
		assert_int_equal(w.probe.data[lba * 512 - 1], 0xff);
	if (lba * 512 + bytes < end)
		assert_int_equal(w.probe.data[lba * 512 + bytes], 0xff);
}

static void huge(struct probe *p)
{
	p->info.blocks = 70000;
}

static void test_write_zeroes_by_writing(void **state)
{
	(void)state;
	probe_world_start(&w, NULL, huge);
	zeroes(0, 1);
	zeroes(1, 512);
	zeroes(3, 513);
	zeroes(4000, 65536);
	assert_int_equal(probe_count(&w.probe, NVMFT_IO_WRITE), w.probe.nlog);
	no_memory_held();
	probe_world_stop(&w);
}

static void huge_small_io(struct probe *p)
{
	huge(p);
	p->info.max_bytes = 9000;
	p->max_io_size = 8192;
	p->info.depth = 1;
}

static void test_write_zeroes_in_pieces_that_the_backend_can(void **state)
{
	(void)state;
	probe_world_start(&w, NULL, huge_small_io);
	zeroes(7, 100);
	assert_int_equal(w.probe.nlog, 6);
	assert_int_equal(w.probe.log[0].blocks, 17);
	assert_int_equal(w.probe.log[5].blocks, 15);
	probe_world_stop(&w);
}

static void test_write_zeroes_by_the_backend(void **state)
{
	(void)state;
	probe_world_start(&w, NULL, native);
	zeroes(10, 20);
	assert_int_equal(probe_rw(&w, TH_WRITE_ZEROES, 1, 2, TH_DEAC | TH_FUA, NULL), 0);
	assert_int_equal(w.probe.nlog, 2);
	assert_int_equal(w.probe.log[0].op, NVMFT_IO_WRITE_ZEROES);
	assert_int_equal(w.probe.log[0].flags, 0);
	assert_int_equal(w.probe.log[1].flags, NVMFT_IO_FUA | NVMFT_IO_DEALLOC_OK);
	assert_int_equal(w.probe.log[1].lba, 1);
	assert_int_equal(w.probe.log[1].blocks, 2);
	probe_world_stop(&w);
}

static void native_zeroes_no_fua(struct probe *p)
{
	volatile_cache(p);
	p->info.write_zeroes = NVMFT_CAP_NATIVE;
}

static void test_write_zeroes_with_fua_by_flush(void **state)
{
	static void (*const tune[])(struct probe *) = {volatile_cache, native_zeroes_no_fua};

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		probe_world_start(&w, NULL, tune[i]);
		assert_int_equal(probe_rw(&w, TH_WRITE_ZEROES, 0, 1, TH_FUA, NULL), 0);
		assert_int_equal(w.probe.nlog, 2);
		assert_int_equal(w.probe.log[1].op, NVMFT_IO_FLUSH);
		w.probe.fail[NVMFT_IO_FLUSH] = TH_SC_INTERNAL;
		assert_int_equal(probe_rw(&w, TH_WRITE_ZEROES, 0, 1, TH_FUA, NULL), TH_SC_INTERNAL);
		probe_world_stop(&w);
	}
}

static void test_write_zeroes_that_fails(void **state)
{
	(void)state;
	probe_world_start(&w, NULL, huge);
	assert_int_equal(th_sc(probe_rw(&w, TH_WRITE_ZEROES, 69999, 2, 0, NULL)), TH_SC_LBA_RANGE);
	assert_int_equal(th_sc(probe_rw(&w, TH_WRITE_ZEROES, 4465, 65536, 0, NULL)), TH_SC_LBA_RANGE);
	w.probe.fail[NVMFT_IO_WRITE] = TH_SC_CAP_EXCEEDED;
	assert_int_equal(probe_rw(&w, TH_WRITE_ZEROES, 0, 65536, 0, NULL), TH_SC_CAP_EXCEEDED);
	assert_int_equal(w.probe.nlog, 1);
	no_memory_held();
	probe_world_stop(&w);
}

/* A long emulation ends when its connection does, and when an Abort asks. */
static void test_write_zeroes_is_given_up_between_steps(void **state)
{
	static struct th_cmd cmd;
	struct nvmft_sqe sqe;

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		probe_world_start(&w, NULL, huge);
		w.probe.hold = true;
		memset(&cmd, 0, sizeof(cmd));
		th_sqe_rw(&sqe, TH_WRITE_ZEROES, 1, 0, 65536);
		sqe.cid = 77;
		th_submit_cid(w.q, &cmd, &sqe, NULL, 0);
		th_settle(&w.t);
		if (i) {
			th_disconnect_begin(w.q);
			th_settle(&w.t);
		} else {
			th_sqe_abort(&sqe, 1, 77);
			assert_int_equal(th_exec(&w.ctrl.admin, &sqe, NULL, 0), 0);
		}
		probe_release(&w.probe, 1);
		th_wait_cmd(&cmd);
		assert_int_not_equal(cmd.status, 0);
		assert_int_equal(w.probe.nlog, 1);
		probe_world_stop(&w);
	}
}

static nvmft_status dsm(struct th_range *ranges, unsigned int nr, uint32_t attr)
{
	struct nvmft_sqe sqe;

	th_sqe_dsm(&sqe, 1, nr, attr);
	return th_exec(w.q, &sqe, ranges, nr * sizeof(*ranges));
}

static void test_deallocate(void **state)
{
	static struct th_range ranges[256];
	unsigned int i;

	(void)state;
	probe_world_start(&w, NULL, native);
	for (i = 0; i < 256; i++)
		ranges[i] = (struct th_range){.blocks = htole32(i % 3), .lba = htole64(i * 4)};
	assert_int_equal(dsm(ranges, 256, 4), 0);
	/* Every third is empty. */
	assert_int_equal(w.probe.nlog, 170);
	assert_int_equal(w.probe.log[0].op, NVMFT_IO_DEALLOCATE);
	assert_int_equal(w.probe.log[0].lba, 4);
	assert_int_equal(w.probe.log[0].blocks, 1);
	assert_int_equal(w.probe.log[169].lba, 254 * 4);
	assert_int_equal(w.probe.log[169].blocks, 2);
	w.probe.fail[NVMFT_IO_DEALLOCATE] = TH_SC_INTERNAL;
	assert_int_equal(dsm(ranges, 256, 4), TH_SC_INTERNAL);
	assert_int_equal(w.probe.nlog, 171);
	probe_world_stop(&w);
}

/* Linux sends a list of 256 ranges, of which the command counts one. */
static void test_deallocate_with_a_longer_list_than_counts(void **state)
{
	static struct th_range ranges[257];
	struct nvmft_sqe sqe;

	(void)state;
	probe_world_start(&w, NULL, native);
	memset(ranges, 0xff, sizeof(ranges));
	ranges[0] = (struct th_range){.blocks = htole32(3), .lba = htole64(5)};
	th_sqe_dsm(&sqe, 1, 1, 4);
	assert_int_equal(th_exec(w.q, &sqe, ranges, 256 * sizeof(ranges[0])), 0);
	assert_int_equal(w.probe.nlog, 1);
	assert_int_equal(w.probe.log[0].lba, 5);
	assert_int_equal(w.probe.log[0].blocks, 3);
	/* Neither less than what counts, nor more than there can be. */
	assert_int_equal(th_sc(th_exec(w.q, &sqe, ranges, sizeof(ranges[0]) - 1)), 0x00f);
	assert_int_equal(th_sc(th_exec(w.q, &sqe, ranges, sizeof(ranges))), 0x00f);
	assert_int_equal(w.probe.nlog, 1);
	probe_world_stop(&w);
}

static void test_deallocate_of_a_bad_range_touches_none(void **state)
{
	struct th_range ranges[3] = {{.blocks = htole32(1)}, {.blocks = htole32(1)}};
	static const struct {
		uint64_t lba;
		uint32_t blocks;
	} bad[] = {{PROBE_BLOCKS, 1}, {0, PROBE_BLOCKS + 1}, {UINT64_MAX, 2}, {1, UINT32_MAX}};

	(void)state;
	probe_world_start(&w, NULL, native);
	for (unsigned int i = 0; i < 4; i++) {
		ranges[2] = (struct th_range){.lba = htole64(bad[i].lba), .blocks = htole32(bad[i].blocks)};
		assert_int_equal(dsm(ranges, 3, 4), TH_SC_LBA_RANGE | NVMFT_STATUS_DNR);
	}
	assert_int_equal(w.probe.nlog, 0);
	assert_int_equal(dsm(ranges, 2, 4), 0);
	probe_world_stop(&w);
}

static void test_hints_and_backends_that_cannot_deallocate(void **state)
{
	struct th_range range = {.blocks = htole32(8)};
	struct nvmft_sqe sqe;

	(void)state;
	probe_world_start(&w, NULL, native);
	assert_int_equal(dsm(&range, 1, 3), 0);
	assert_int_equal(w.probe.nlog, 0);
	th_sqe_dsm(&sqe, 9, 1, 4);
	assert_int_equal(th_exec(w.q, &sqe, &range, sizeof(range)), TH_SC_INVALID_NS | NVMFT_STATUS_DNR);
	probe_world_stop(&w);
	probe_world_start(&w, NULL, NULL);
	memset(w.probe.data, 0xee, 4096);
	assert_int_equal(dsm(&range, 1, 4), 0);
	assert_int_equal(w.probe.nlog, 0);
	assert_int_equal(w.probe.data[0], 0xee);
	probe_world_stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_flush_of_a_backend_that_needs_none),
		cmocka_unit_test(test_flush_of_all_namespaces),
		cmocka_unit_test(test_flush_of_all_while_namespaces_go),
		cmocka_unit_test(test_compare_by_reading),
		cmocka_unit_test(test_compare_by_the_backend),
		cmocka_unit_test(test_compare_with_an_unaligned_buffer),
		cmocka_unit_test(test_write_zeroes_by_writing),
		cmocka_unit_test(test_write_zeroes_in_pieces_that_the_backend_can),
		cmocka_unit_test(test_write_zeroes_by_the_backend),
		cmocka_unit_test(test_write_zeroes_with_fua_by_flush),
		cmocka_unit_test(test_write_zeroes_that_fails),
		cmocka_unit_test(test_write_zeroes_is_given_up_between_steps),
		cmocka_unit_test(test_deallocate),
		cmocka_unit_test(test_deallocate_with_a_longer_list_than_counts),
		cmocka_unit_test(test_deallocate_of_a_bad_range_touches_none),
		cmocka_unit_test(test_hints_and_backends_that_cannot_deallocate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
