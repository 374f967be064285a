/* SPDX-License-Identifier: BSD-3-Clause */
/* I/O commands that go to the backend as the host sent them. */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "probe.h"

#define DNR NVMFT_STATUS_DNR
#define INVALID_OPCODE (0x001 | DNR)
#define INVALID_FIELD (TH_SC_INVALID_FIELD | DNR)
#define INVALID_NS (TH_SC_INVALID_NS | DNR)
#define SGL_LENGTH (0x00f | DNR)

enum { WRITE_UNCOR = 0x04, VERIFY = 0x0c, REGISTER = 0x0d, REPORT = 0x0e, ACQUIRE = 0x11, RELEASE = 0x15, COPY = 0x19 };
enum { ZONE_SEND = 0x79, ZONE_RECEIVE = 0x7a, ZONE_APPEND = 0x7d };

static const uint8_t all[] = {WRITE_UNCOR, VERIFY, REGISTER,  REPORT,       ACQUIRE,
			      RELEASE,     COPY,   ZONE_SEND, ZONE_RECEIVE, ZONE_APPEND};

static struct probe_world w;
static _Alignas(4096) unsigned char buf[1u << 20];

static void takes_all(struct probe *p)
{
	for (size_t i = 0; i < sizeof(all); i++)
		nvmft_opcodes_add(&p->info.commands, all[i]);
	p->info.csi = 2;
	p->info.zones.zone_blocks = 64;
	p->info.zones.descriptor_extension = 1;
	p->info.copy.max_range = 16;
	p->info.copy.max_total = 16;
	p->info.reservations = 1;
	p->command = probe_answer;
	p->max_io_size = 65536;
}

static void read_only(struct probe *p)
{
	takes_all(p);
	p->info.read_only = true;
}

static void start(const struct th_opts *opts, void (*tune)(struct probe *p))
{
	const struct th_ctrl_opts host = {.all_csi = true};

	probe_world_serve(&w, opts, tune);
	th_ctrl_connect(&w.t, &w.ctrl, &host);
	w.q = &w.ctrl.io[0];
}

/* The command with fields that are right, and its length. */
static size_t make(struct nvmft_sqe *sqe, uint8_t opcode)
{
	th_sqe_init(sqe, opcode, 1);
	sqe->cdw10 = htole32(opcode == REPORT ? 15 : 8);
	switch (opcode) {
	case REGISTER:
	case ACQUIRE:
		return 16;
	case RELEASE:
		return 8;
	case REPORT:
		return 64;
	case COPY:
		sqe->cdw12 = htole32(2);
		return 96;
	case ZONE_SEND:
		sqe->cdw13 = htole32(0x10);
		return 64;
	case ZONE_RECEIVE:
		sqe->cdw12 = htole32(1023);
		return 4096;
	case ZONE_APPEND:
		sqe->cdw12 = htole32(7);
		return 4096;
	default:
		return 0;
	}
}

static nvmft_status exec(const struct nvmft_sqe *sqe, size_t len)
{
	return th_exec(w.q, sqe, len ? buf : NULL, len);
}

/* Most tests have a backend that takes all of them. */
static int setup(void **state)
{
	(void)state;
	start(NULL, takes_all);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	probe_world_stop(&w);
	return 0;
}

static void test_what_is_not_offered_is_an_invalid_opcode(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	start(NULL, NULL);
	for (size_t i = 0; i < sizeof(all); i++) {
		size_t len = make(&sqe, all[i]);

		assert_int_equal(exec(&sqe, len), INVALID_OPCODE);
		sqe.nsid = htole32(7);
		assert_int_equal(exec(&sqe, len), INVALID_OPCODE);
	}
	assert_int_equal(w.probe.nlog, 0);
	probe_world_stop(&w);
}

static void test_offered_by_one_namespace_of_two(void **state)
{
	static struct probe other;
	struct nvmft_sqe sqe;

	(void)state;
	start(NULL, takes_all);
	probe_init(&other);
	probe_add(w.subsys, &other);
	th_sync(&w.t);
	make(&sqe, VERIFY);
	assert_int_equal(exec(&sqe, 0), 0);
	sqe.nsid = htole32(2);
	assert_int_equal(exec(&sqe, 0), INVALID_OPCODE);
	sqe.nsid = htole32(3);
	assert_int_equal(exec(&sqe, 0), INVALID_NS);
	sqe.nsid = htole32(0xffffffff);
	assert_int_equal(exec(&sqe, 0), INVALID_NS);
	assert_int_equal(other.nlog, 0);
	probe_world_stop(&w);
	probe_fini(&other);
}

static void test_the_backend_sees_what_the_host_sent(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++) {
		size_t len = make(&sqe, all[i]);

		sqe.cdw2 = htole32(0x1234);
		sqe.cdw14 = htole32(0x5678);
		sqe.cdw15 = htole32(0x9abc);
		th_fill(buf, sizeof(buf), i);
		w.probe.ngot = 0;
		assert_int_equal(exec(&sqe, len), 0);
		assert_int_equal(w.probe.nlog, i + 1);
		assert_int_equal(w.probe.log[i].op, NVMFT_IO_COMMAND);
		assert_int_equal(w.probe.log[i].flags, 0);
		assert_int_equal(w.probe.log[i].len, len);
		assert_int_equal(w.probe.sqe.opcode, all[i]);
		assert_memory_equal(&w.probe.sqe.cdw2, &sqe.cdw2, 8);
		assert_memory_equal(&w.probe.sqe.cdw10, &sqe.cdw10, 24);
		assert_int_equal(w.probe.ngot, len);
		if ((all[i] & 3) == 2)
			assert_true(len == 0 || (buf[0] == 0xa5 && memcmp(buf, buf + 1, len - 1) == 0));
		else
			assert_true(th_filled(w.probe.got, len, i));
	}
}

static void test_the_result_is_the_devices(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	assert_int_equal(exec(&sqe, make(&sqe, ZONE_APPEND)), 0);
	assert_int_equal(le32toh(w.q->cqe.dw0), 0x55667788);
	assert_int_equal(le32toh(w.q->cqe.dw1), 0x11223344);
}

/* Requests are used again: what one had is not the next one's. */
static void test_no_result_is_zero(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	assert_int_equal(exec(&sqe, make(&sqe, ZONE_APPEND)), 0);
	w.probe.command = NULL;
	assert_int_equal(exec(&sqe, make(&sqe, VERIFY)), 0);
	assert_int_equal(w.q->cqe.dw0, 0);
	assert_int_equal(w.q->cqe.dw1, 0);
}

static void test_the_status_is_the_devices(void **state)
{
	static const nvmft_status statuses[] = {0x083, 0x1b9 | DNR, 0x1bc, 0x281 | DNR, 0x7c5};
	struct nvmft_sqe sqe;

	(void)state;
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		w.probe.fail[0] = statuses[i];
		assert_int_equal(exec(&sqe, make(&sqe, COPY)), statuses[i]);
		/* Of a Copy it says how many ranges were done. */
		assert_int_equal(le32toh(w.q->cqe.dw0), 0x55667788);
	}
}

/* A device moves what the command says: the SGL must say the same. */
static void test_lengths_are_exact(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++) {
		size_t len = make(&sqe, all[i]);

		if (!len)
			continue;
		assert_int_equal(exec(&sqe, len - 4), SGL_LENGTH);
		assert_int_equal(exec(&sqe, len + 4), SGL_LENGTH);
		assert_int_equal(exec(&sqe, 0), SGL_LENGTH);
	}
	assert_int_equal(w.probe.nlog, 0);
}

static void test_nothing_is_larger_than_mdts(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	make(&sqe, ZONE_RECEIVE);
	sqe.cdw12 = htole32(65536 / 4 - 1);
	assert_int_equal(exec(&sqe, 65536), 0);
	sqe.cdw12 = htole32(65536 / 4);
	assert_int_equal(exec(&sqe, 65540), INVALID_FIELD);
	make(&sqe, REPORT);
	sqe.cdw10 = htole32(65536 / 4);
	assert_int_equal(exec(&sqe, 65540), INVALID_FIELD);
	sqe.cdw10 = htole32(UINT32_MAX);
	assert_int_equal(exec(&sqe, 0), INVALID_FIELD);
	make(&sqe, ZONE_APPEND);
	sqe.cdw12 = htole32(128);
	assert_int_equal(exec(&sqe, 129 * 512), INVALID_FIELD);
	sqe.cdw12 = htole32(127);
	assert_int_equal(exec(&sqe, 128 * 512), 0);
}

static void small_appends(struct probe *p)
{
	takes_all(p);
	p->info.zones.append_limit = 1;
}

static void test_appends_have_a_limit_of_their_own(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	start(NULL, small_appends);
	make(&sqe, ZONE_APPEND);
	sqe.cdw12 = htole32(15);
	assert_int_equal(exec(&sqe, 8192), 0);
	sqe.cdw12 = htole32(16);
	assert_int_equal(exec(&sqe, 8704), INVALID_FIELD);
	probe_world_stop(&w);
}

static void test_ranges_in_the_command_are_checked(void **state)
{
	static const uint8_t ranged[] = {WRITE_UNCOR, VERIFY, ZONE_APPEND};
	struct nvmft_sqe sqe;

	(void)state;
	for (size_t i = 0; i < sizeof(ranged); i++) {
		size_t len = make(&sqe, ranged[i]);

		sqe.cdw12 = htole32(7);
		sqe.cdw10 = htole32(PROBE_BLOCKS - 8);
		assert_int_equal(exec(&sqe, len), 0);
		sqe.cdw10 = htole32(PROBE_BLOCKS - 7);
		assert_int_equal(exec(&sqe, len), TH_SC_LBA_RANGE | DNR);
		sqe.cdw11 = htole32(UINT32_MAX);
		sqe.cdw10 = htole32(UINT32_MAX);
		assert_int_equal(exec(&sqe, len), TH_SC_LBA_RANGE | DNR);
	}
	assert_int_equal(w.probe.nlog, sizeof(ranged));
}

/* Where a range means something else, it is the device's to check. */
static void test_other_ranges_are_not(void **state)
{
	struct nvmft_sqe sqe;
	size_t len;

	(void)state;
	len = make(&sqe, COPY);
	sqe.cdw11 = htole32(UINT32_MAX);
	assert_int_equal(exec(&sqe, len), 0);
	len = make(&sqe, ZONE_RECEIVE);
	sqe.cdw11 = htole32(UINT32_MAX);
	assert_int_equal(exec(&sqe, len), 0);
}

static void test_a_read_only_namespace_is_not_changed(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	start(NULL, read_only);
	for (size_t i = 0; i < sizeof(all); i++) {
		bool changes = all[i] == WRITE_UNCOR || all[i] == COPY || all[i] == ZONE_SEND || all[i] == ZONE_APPEND;

		assert_int_equal(exec(&sqe, make(&sqe, all[i])), changes ? TH_SC_WRITE_PROTECTED | DNR : 0);
	}
	probe_world_stop(&w);
}

static void test_fused_is_refused(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++) {
		size_t len = make(&sqe, all[i]);

		sqe.flags |= TH_FUSE_FIRST;
		assert_int_equal(exec(&sqe, len), INVALID_FIELD);
	}
	assert_int_equal(w.probe.nlog, 0);
}

/* ---- data ---- */

static nvmft_status answer_little(struct probe *p, struct nvmft_io *io)
{
	(void)p;
	memset(io->iov[0].base, 0xa5, 64);
	return 0;
}

/* Buffers are used again, and a device may fill less than it was asked for. */
static void test_no_remains_in_what_the_device_leaves(void **state)
{
	struct nvmft_sqe sqe;
	size_t len;

	(void)state;
	th_fill(buf, 4096, 1);
	assert_int_equal(exec(&sqe, make(&sqe, ZONE_APPEND)), 0);
	w.probe.command = answer_little;
	len = make(&sqe, ZONE_RECEIVE);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(exec(&sqe, len), 0);
	assert_int_equal(buf[63], 0xa5);
	assert_true(th_zero(buf + 64, len - 64));
}

static void aligned(struct probe *p)
{
	takes_all(p);
	p->info.align = 512;
}

static nvmft_status answer_aligned(struct probe *p, struct nvmft_io *io)
{
	assert_int_equal((uintptr_t)io->iov[0].base % 512, 0);
	return probe_answer(p, io);
}

static void test_buffers_out_of_reach_are_copied(void **state)
{
	struct nvmft_sqe sqe;
	size_t len;

	(void)state;
	start(NULL, aligned);
	w.probe.command = answer_aligned;
	th_fill(buf + 1, 4096, 5);
	len = make(&sqe, ZONE_APPEND);
	assert_int_equal(th_exec(w.q, &sqe, buf + 1, len), 0);
	assert_true(th_filled(w.probe.got, len, 5));
	len = make(&sqe, ZONE_RECEIVE);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(th_exec(w.q, &sqe, buf + 1, len), 0);
	assert_int_equal(buf[0], 0);
	assert_int_equal(buf[1], 0xa5);
	assert_int_equal(buf[len], 0xa5);
	assert_int_equal(buf[len + 1], 0);
	/* and what the device leaves of the copy is nobody's either */
	w.probe.command = answer_little;
	assert_int_equal(th_exec(w.q, &sqe, buf + 1, len), 0);
	assert_true(th_zero(buf + 65, len - 64));
	probe_world_stop(&w);
}

/* ---- the way there and back ---- */

static void test_statistics(void **state)
{
	struct nvmft_namespace_stats stats = {.size = sizeof(stats)};
	struct nvmft_sqe sqe;

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		assert_int_equal(exec(&sqe, make(&sqe, all[i])), 0);
	w.probe.fail[0] = 0x1b9;
	assert_int_equal(exec(&sqe, make(&sqe, ZONE_APPEND)), 0x1b9);
	assert_int_equal(nvmft_namespace_stats(w.probe.ns, &stats), 0);
	assert_int_equal(stats.writes, 2);
	assert_int_equal(stats.written_blocks, 8);
	assert_int_equal(stats.others, sizeof(all) - 1);
	assert_int_equal(stats.reads, 0);
	assert_int_equal(stats.errors, 1);
}

static void test_abort_in_the_backend(void **state)
{
	static struct th_cmd cmd;
	struct nvmft_sqe sqe;
	size_t len;

	(void)state;
	w.probe.hold = true;
	w.probe.held_abort = true;
	len = make(&sqe, ZONE_RECEIVE);
	sqe.cid = 777;
	memset(&cmd, 0, sizeof(cmd));
	th_submit_cid(w.q, &cmd, &sqe, buf, len);
	th_settle(&w.t);
	assert_true(probe_abort_cmd(&w, 1, 777));
	assert_int_equal(th_sc(th_wait_cmd(&cmd)), TH_SC_ABORT_REQ);
}

/* A pair in the backend, and a command behind it on the same queue. */
static struct th_cmd fused[3];

static void pair_and(const struct nvmft_sqe *sqe, size_t len)
{
	struct nvmft_sqe pair[2];

	memset(fused, 0, sizeof(fused));
	th_sqe_rw(&pair[0], TH_COMPARE, 1, 0, 1);
	th_sqe_rw(&pair[1], TH_WRITE, 1, 0, 1);
	pair[0].flags |= TH_FUSE_FIRST;
	pair[1].flags |= TH_FUSE_SECOND;
	memset(buf, 0, 512);
	th_submit_many(w.q, fused, pair, (void *const[]){buf, buf}, (const size_t[]){512, 512}, 2);
	th_settle(&w.t);
	th_submit_cid(w.q, &fused[2], sqe, len ? buf : NULL, len);
	th_settle(&w.t);
}

static void test_changes_wait_for_a_pair(void **state)
{
	struct nvmft_sqe sqe;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++) {
		bool changes = all[i] == WRITE_UNCOR || all[i] == COPY || all[i] == ZONE_SEND || all[i] == ZONE_APPEND;

		w.probe.hold = true;
		w.probe.nlog = 0;
		len = make(&sqe, all[i]);
		sqe.cid = 777;
		pair_and(&sqe, len);
		/* the pair's read; and what does not change anything */
		assert_int_equal(w.probe.nheld, changes ? 1 : 2);
		w.probe.hold = false;
		probe_release(&w.probe, 2);
		for (unsigned int j = 0; j < 3; j++)
			assert_int_equal(th_wait_cmd(&fused[j]), 0);
		assert_int_equal(w.probe.nlog, 3);
		assert_int_equal(w.probe.log[changes ? 2 : 1].op, NVMFT_IO_COMMAND);
	}
}

/* Its length is another one by now. */
static void test_what_waited_is_looked_at_again(void **state)
{
	struct nvmft_sqe sqe;
	size_t len;

	(void)state;
	w.probe.hold = true;
	len = make(&sqe, ZONE_SEND);
	sqe.cid = 777;
	pair_and(&sqe, len);
	w.probe.info.zones.descriptor_extension = 2;
	assert_int_equal(nvmft_namespace_refresh(w.probe.ns), 0);
	th_settle(&w.t);
	w.probe.hold = false;
	probe_release(&w.probe, 1);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(th_wait_cmd(&fused[i]), 0);
	assert_int_equal(th_wait_cmd(&fused[2]), INVALID_NS);
	assert_int_equal(w.probe.nlog, 2);
}

static void test_abort_of_a_change_that_waits(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	/* so that there is a result that could be left over */
	assert_int_equal(exec(&sqe, make(&sqe, ZONE_APPEND)), 0);
	w.probe.hold = true;
	w.probe.nlog = 0;
	make(&sqe, WRITE_UNCOR);
	sqe.cid = 777;
	pair_and(&sqe, 0);
	assert_true(probe_abort_cmd(&w, 1, 777));
	assert_int_equal(th_sc(th_wait_cmd(&fused[2])), TH_SC_ABORT_REQ);
	assert_int_equal(fused[2].cqe.dw0, 0);
	w.probe.hold = false;
	probe_release(&w.probe, 1);
	assert_int_equal(th_wait_cmd(&fused[0]), 0);
	assert_int_equal(th_wait_cmd(&fused[1]), 0);
	assert_int_equal(w.probe.nlog, 2);
}

static void volatile_cache(struct probe *p)
{
	takes_all(p);
	p->info.volatile_cache = true;
	p->info.flush = NVMFT_CAP_NATIVE;
}

/* The host turned the write cache off: what it writes is durable, also by these. */
static void test_durable_without_a_write_cache(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	start(NULL, volatile_cache);
	assert_int_equal(exec(&sqe, make(&sqe, ZONE_APPEND)), 0);
	assert_int_equal(le32toh(w.probe.sqe.cdw12), 7);
	th_sqe_set_features(&sqe, 0x06, 0);
	assert_int_equal(th_exec(&w.ctrl.admin, &sqe, NULL, 0), 0);
	assert_int_equal(exec(&sqe, make(&sqe, ZONE_APPEND)), 0);
	assert_int_equal(le32toh(w.probe.sqe.cdw12), 7 | TH_FUA);
	assert_int_equal(exec(&sqe, make(&sqe, COPY)), 0);
	assert_int_equal(le32toh(w.probe.sqe.cdw12), 2 | TH_FUA);
	/* where bit 30 is something else, it stays */
	assert_int_equal(exec(&sqe, make(&sqe, ZONE_RECEIVE)), 0);
	assert_int_equal(le32toh(w.probe.sqe.cdw12), 1023);
	probe_world_stop(&w);
}

static void test_disconnect_with_one_in_the_backend(void **state)
{
	static struct th_cmd cmd;
	struct nvmft_sqe sqe;

	(void)state;
	th_loopback_only(TH_USUAL, "host buffers are not the backend's");
	start(NULL, takes_all);
	w.probe.hold = true;
	memset(&cmd, 0, sizeof(cmd));
	make(&sqe, ZONE_APPEND);
	th_submit(w.q, &cmd, &sqe, buf, 4096);
	th_settle(&w.t);
	assert_int_equal(w.probe.nheld, 1);
	th_disconnect_begin(w.q);
	th_settle(&w.t);
	probe_release(&w.probe, 1);
	th_wait_cmd(&cmd);
	probe_world_stop(&w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_not_offered_is_an_invalid_opcode),
		cmocka_unit_test(test_offered_by_one_namespace_of_two),
		TEST(test_the_backend_sees_what_the_host_sent),
		TEST(test_the_result_is_the_devices),
		TEST(test_no_result_is_zero),
		TEST(test_the_status_is_the_devices),
		TEST(test_lengths_are_exact),
		TEST(test_nothing_is_larger_than_mdts),
		cmocka_unit_test(test_appends_have_a_limit_of_their_own),
		TEST(test_ranges_in_the_command_are_checked),
		TEST(test_other_ranges_are_not),
		cmocka_unit_test(test_a_read_only_namespace_is_not_changed),
		TEST(test_fused_is_refused),
		TEST(test_no_remains_in_what_the_device_leaves),
		cmocka_unit_test(test_buffers_out_of_reach_are_copied),
		TEST(test_statistics),
		TEST(test_abort_in_the_backend),
		TEST(test_changes_wait_for_a_pair),
		TEST(test_what_waited_is_looked_at_again),
		TEST(test_abort_of_a_change_that_waits),
		cmocka_unit_test(test_durable_without_a_write_cache),
		cmocka_unit_test(test_disconnect_with_one_in_the_backend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
