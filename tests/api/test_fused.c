/* SPDX-License-Identifier: BSD-3-Clause */
/* Fused Compare and Write. */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "probe.h"

static struct probe_world w;
static _Alignas(4096) unsigned char old[4096], new[4096], back[4096];
static struct th_cmd cmds[4];

static void half(struct nvmft_sqe *sqe, uint8_t opcode, uint8_t fuse, uint64_t lba, uint32_t blocks)
{
	th_sqe_rw(sqe, opcode, 1, lba, blocks);
	sqe->flags |= fuse;
}

static void pair(struct nvmft_sqe sqe[2], uint64_t lba, uint32_t blocks)
{
	half(&sqe[0], TH_COMPARE, TH_FUSE_FIRST, lba, blocks);
	half(&sqe[1], TH_WRITE, TH_FUSE_SECOND, lba, blocks);
}

static void submit(const struct nvmft_sqe *sqe, unsigned int n)
{
	void *const data[4] = {old, new, back, back};
	const size_t lens[4] = {512, 512, 512, 512};

	memset(cmds, 0, sizeof(cmds));
	th_submit_many(w.q, cmds, sqe, data, lens, n);
}

static void expect(nvmft_status first, nvmft_status second)
{
	assert_int_equal(th_sc(th_wait_cmd(&cmds[0])), first);
	assert_int_equal(th_sc(th_wait_cmd(&cmds[1])), second);
}

/* A pair that would match if it were alone, in a queue of any host. */
static void submit_pair(struct th_queue *q, struct th_cmd halves[2])
{
	struct nvmft_sqe sqe[2];

	memset(halves, 0, 2 * sizeof(*halves));
	pair(sqe, 0, 1);
	th_submit_many(q, halves, sqe, (void *const[]){old, new}, (const size_t[]){512, 512}, 2);
}

static void start(void (*tune)(struct probe *p))
{
	memset(old, 0, sizeof(old));
	memset(new, 0x11, sizeof(new));
	probe_world_start(&w, NULL, tune);
}

static void native(struct probe *p)
{
	p->info.compare = NVMFT_CAP_NATIVE;
}

static int setup(void **state)
{
	(void)state;
	start(NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	probe_world_stop(&w);
	return 0;
}

static void test_match_writes(void **state)
{
	struct nvmft_sqe sqe[2];

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		start(i ? native : NULL);
		pair(sqe, 7, 1);
		submit(sqe, 2);
		expect(0, 0);
		assert_memory_equal(w.probe.data + 7 * 512, new, 512);
		assert_int_equal(w.probe.nlog, 2);
		probe_world_stop(&w);
	}
}

static void test_mismatch_writes_nothing(void **state)
{
	struct nvmft_sqe sqe[2];

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		start(i ? native : NULL);
		old[511] = 1;
		pair(sqe, 7, 1);
		submit(sqe, 2);
		expect(TH_SC_COMPARE_FAILED, TH_SC_FUSED_FAIL);
		assert_true(th_zero(w.probe.data + 7 * 512, 512));
		/* and the next pair is none the worse */
		old[511] = 0;
		submit(sqe, 2);
		expect(0, 0);
		probe_world_stop(&w);
	}
}

static unsigned int order[2], norder;

static void note(struct th_cmd *cmd)
{
	order[norder++] = (unsigned int)(cmd - cmds);
}

static void test_the_first_half_completes_first(void **state)
{
	struct nvmft_sqe sqe[2];

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		start(NULL);
		old[0] = (unsigned char)i;
		pair(sqe, 0, 1);
		memset(cmds, 0, sizeof(cmds));
		cmds[0].on_done = note;
		cmds[1].on_done = note;
		norder = 0;
		th_submit_many(w.q, cmds, sqe, (void *const[]){old, new}, (const size_t[]){512, 512}, 2);
		th_wait_cmd(&cmds[1]);
		assert_int_equal(norder, 2);
		assert_int_equal(order[0], 0);
		probe_world_stop(&w);
	}
}

static void test_the_second_half_does_not_come(void **state)
{
	static struct th_cmd second[2];
	struct nvmft_sqe sqe[2];

	(void)state;
	half(&sqe[0], TH_COMPARE, TH_FUSE_FIRST, 0, 1);
	half(&sqe[1], TH_WRITE, 0, 0, 1);
	submit(sqe, 2);
	expect(0x00a, 0);
	assert_memory_equal(w.probe.data, new, 512);
	/* another first half instead */
	memset(old, 0x11, 512);
	half(&sqe[0], TH_COMPARE, TH_FUSE_FIRST, 0, 1);
	submit(sqe, 1);
	th_settle(&w.t);
	assert_false(cmds[0].done);
	submit_pair(w.q, second);
	assert_int_equal(th_wait_cmd(&second[0]), 0);
	assert_int_equal(th_wait_cmd(&second[1]), 0);
	assert_int_equal(th_sc(th_wait_cmd(&cmds[0])), 0x00a);
}

static void test_the_first_half_did_not_come(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	half(&sqe, TH_WRITE, TH_FUSE_SECOND, 0, 1);
	assert_int_equal(th_sc(th_exec(w.q, &sqe, new, 512)), 0x00a);
	assert_int_equal(w.probe.nlog, 0);
}

static void test_halves_that_do_not_match(void **state)
{
	struct nvmft_sqe sqe[2];

	(void)state;
	pair(sqe, 0, 1);
	sqe[1].cdw10 = htole32(1);
	submit(sqe, 2);
	expect(TH_SC_INVALID_FIELD, TH_SC_INVALID_FIELD);
	pair(sqe, 0, 1);
	sqe[1].cdw11 = htole32(1);
	submit(sqe, 2);
	expect(TH_SC_INVALID_FIELD, TH_SC_INVALID_FIELD);
	pair(sqe, 0, 1);
	sqe[1].nsid = htole32(2);
	submit(sqe, 2);
	expect(TH_SC_INVALID_FIELD, TH_SC_INVALID_FIELD);
	pair(sqe, 0, 2);
	sqe[0].cdw12 = 0;
	submit(sqe, 2);
	expect(TH_SC_INVALID_FIELD, TH_SC_INVALID_FIELD);
	assert_int_equal(w.probe.nlog, 0);
	submit_pair(w.q, cmds);
	expect(0, 0);
}

static void test_other_commands_cannot_be_fused(void **state)
{
	static const uint8_t opcodes[] = {TH_FLUSH, TH_WRITE, TH_READ, TH_WRITE_ZEROES, TH_DSM};
	struct nvmft_sqe sqe[2];

	(void)state;
	for (size_t i = 0; i < sizeof(opcodes); i++) {
		pair(sqe, 0, 1);
		sqe[0].opcode = opcodes[i];
		submit(sqe, 2);
		expect(TH_SC_INVALID_FIELD, TH_SC_FUSED_FAIL);
		if (opcodes[i] == TH_WRITE)
			continue;
		pair(sqe, 0, 1);
		sqe[1].opcode = opcodes[i];
		submit(sqe, 2);
		expect(TH_SC_FUSED_FAIL, TH_SC_INVALID_FIELD);
	}
	half(&sqe[0], TH_COMPARE, 3, 0, 1);
	assert_int_equal(th_sc(th_exec(w.q, &sqe[0], old, 512)), TH_SC_INVALID_FIELD);
	assert_int_equal(w.probe.nlog, 0);
}

static void test_a_refused_half_fails_the_other(void **state)
{
	struct nvmft_sqe sqe[2];

	(void)state;
	pair(sqe, PROBE_BLOCKS, 1);
	submit(sqe, 2);
	expect(TH_SC_LBA_RANGE, TH_SC_FUSED_FAIL);
	/* the second half alone: its data pointer is not what the write needs */
	pair(sqe, 0, 1);
	memset(cmds, 0, sizeof(cmds));
	th_submit_many(w.q, cmds, sqe, (void *const[]){old, new}, (const size_t[]){512, 256}, 2);
	th_settle(&w.t);
	assert_int_equal(th_sc(th_wait_cmd(&cmds[0])), TH_SC_FUSED_FAIL);
	assert_int_not_equal(th_sc(th_wait_cmd(&cmds[1])), 0);
	assert_int_equal(w.probe.nlog, 0);
	submit_pair(w.q, cmds);
	expect(0, 0);
}

/* A second half that is refused before anybody looks at its FUSE bits: the first one must not wait for ever. */
static void test_a_second_half_that_is_malformed(void **state)
{
	struct nvmft_sqe sqe[2];

	(void)state;
	pair(sqe, 0, 1);
	sqe[0].cid = sqe[1].cid = 321;
	memset(cmds, 0, sizeof(cmds));
	th_submit_cid(w.q, &cmds[0], &sqe[0], old, 512);
	th_settle(&w.t);
	th_submit_cid(w.q, &cmds[1], &sqe[1], new, 512);
	expect(TH_SC_FUSED_FAIL, 0x003);
	assert_int_equal(w.probe.nlog, 0);
}

static void test_a_malformed_command_instead_of_the_second_half(void **state)
{
	struct nvmft_sqe sqe[2];

	(void)state;
	half(&sqe[0], TH_COMPARE, TH_FUSE_FIRST, 0, 1);
	half(&sqe[1], TH_WRITE, 0, 0, 1);
	sqe[0].cid = sqe[1].cid = 321;
	memset(cmds, 0, sizeof(cmds));
	th_submit_cid(w.q, &cmds[0], &sqe[0], old, 512);
	th_settle(&w.t);
	th_submit_cid(w.q, &cmds[1], &sqe[1], new, 512);
	expect(0x00a, 0x003);
	assert_int_equal(w.probe.nlog, 0);
}

static void read_only(struct probe *p)
{
	p->info.read_only = true;
}

static void test_a_read_only_namespace(void **state)
{
	(void)state;
	start(read_only);
	submit_pair(w.q, cmds);
	expect(TH_SC_FUSED_FAIL, TH_SC_WRITE_PROTECTED);
	probe_world_stop(&w);
}

static void test_errors_of_the_backend(void **state)
{
	struct nvmft_sqe sqe[2];

	(void)state;
	pair(sqe, 0, 1);
	w.probe.fail[NVMFT_IO_WRITE] = TH_SC_CAP_EXCEEDED;
	submit(sqe, 2);
	expect(0, TH_SC_CAP_EXCEEDED);
	w.probe.fail[NVMFT_IO_READ] = 0x281;
	submit(sqe, 2);
	expect(0x281, TH_SC_FUSED_FAIL);
}

static void test_disconnect_between_the_halves(void **state)
{
	struct nvmft_sqe sqe[2];

	(void)state;
	start(NULL);
	pair(sqe, 0, 1);
	submit(sqe, 1);
	th_settle(&w.t);
	assert_false(cmds[0].done);
	probe_world_stop(&w);
	assert_int_equal(th_sc(cmds[0].status), TH_SC_SQ_DELETED);
}

static void test_abort_of_a_first_half_that_waits(void **state)
{
	struct nvmft_sqe sqe[2];

	(void)state;
	pair(sqe, 0, 1);
	sqe[0].cid = 555;
	memset(cmds, 0, sizeof(cmds));
	th_submit_cid(w.q, &cmds[0], &sqe[0], old, 512);
	th_settle(&w.t);
	assert_true(probe_abort_cmd(&w, 1, 555));
	assert_int_equal(th_sc(th_wait_cmd(&cmds[0])), TH_SC_ABORT_REQ);
	assert_int_equal(th_sc(th_exec(w.q, &sqe[1], new, 512)), TH_SC_FUSED_FAIL);
	assert_int_equal(w.probe.nlog, 0);
}

/* compare, plain write, read of the plain write's blocks: the write stands back, the read does not. */
static void test_plain_writes_wait_for_a_pair(void **state)
{
	struct nvmft_sqe sqe[4];

	(void)state;
	pair(sqe, 0, 1);
	half(&sqe[2], TH_WRITE, 0, 0, 1);
	half(&sqe[3], TH_READ, 0, 0, 1);
	w.probe.hold = true;
	memset(back, 0x33, sizeof(back));
	submit(sqe, 4);
	th_settle(&w.t);
	assert_int_equal(w.probe.nheld, 2);
	assert_int_equal(w.probe.log[1].op, NVMFT_IO_READ);
	probe_release(&w.probe, 1);
	assert_int_equal(w.probe.nheld, 2);
	assert_false(cmds[0].done);
	memset(back, 0x33, sizeof(back));
	probe_release(&w.probe, 2);
	expect(0, 0);
	assert_memory_equal(w.probe.data, new, 512);
	assert_int_equal(w.probe.nheld, 1);
	memset(back, 0x33, sizeof(back));
	probe_release(&w.probe, 1);
	assert_int_equal(th_wait_cmd(&cmds[2]), 0);
	assert_int_equal(w.probe.data[0], 0x33);
	th_wait_cmd(&cmds[3]);
}

static void test_a_pair_waits_for_plain_writes(void **state)
{
	static struct th_cmd write;
	struct nvmft_sqe plain;

	(void)state;
	w.probe.hold = true;
	memset(&write, 0, sizeof(write));
	half(&plain, TH_WRITE, 0, 0, 1);
	th_submit(w.q, &write, &plain, old, 512);
	submit_pair(w.q, cmds);
	th_settle(&w.t);
	assert_int_equal(w.probe.nheld, 1);
	probe_release(&w.probe, 1);
	assert_int_equal(th_wait_cmd(&write), 0);
	assert_int_equal(w.probe.nheld, 1);
	assert_int_equal(w.probe.log[1].op, NVMFT_IO_READ);
	probe_release(&w.probe, 1);
	probe_release(&w.probe, 1);
	expect(0, 0);
}

/* A write that is held back can be aborted, which must not start the pair a second time. */
static void test_abort_of_a_write_that_stands_back(void **state)
{
	static struct th_cmd write;
	struct nvmft_sqe plain;

	(void)state;
	w.probe.hold = true;
	submit_pair(w.q, cmds);
	memset(&write, 0, sizeof(write));
	half(&plain, TH_WRITE, 0, 0, 1);
	plain.cid = 999;
	th_submit_cid(w.q, &write, &plain, old, 512);
	th_settle(&w.t);
	assert_true(probe_abort_cmd(&w, 1, 999));
	assert_int_equal(th_sc(th_wait_cmd(&write)), TH_SC_ABORT_REQ);
	assert_int_equal(w.probe.nheld, 1);
	probe_release(&w.probe, 1);
	probe_release(&w.probe, 1);
	expect(0, 0);
	assert_int_equal(w.probe.nlog, 2);
}

/* The second pair compares with what the first one wrote. */
static void expect_one_at_a_time(struct th_queue *first, struct th_queue *second)
{
	static struct th_cmd other[2];

	w.probe.hold = true;
	submit_pair(first, cmds);
	submit_pair(second, other);
	th_settle(&w.t);
	assert_int_equal(w.probe.nheld, 1);
	probe_release(&w.probe, 1);
	th_settle(&w.t);
	assert_int_equal(w.probe.nheld, 1);
	assert_int_equal(w.probe.log[1].op, NVMFT_IO_WRITE);
	probe_release(&w.probe, 1);
	expect(0, 0);
	th_settle(&w.t);
	assert_int_equal(w.probe.nheld, 1);
	w.probe.hold = false;
	probe_release(&w.probe, 1);
	assert_int_equal(th_sc(th_wait_cmd(&other[0])), TH_SC_COMPARE_FAILED);
	assert_int_equal(th_sc(th_wait_cmd(&other[1])), TH_SC_FUSED_FAIL);
}

static void test_pairs_run_one_at_a_time(void **state)
{
	struct th_ctrl second;

	(void)state;
	th_ctrl_connect(&w.t, &second, NULL);
	expect_one_at_a_time(w.q, &second.io[0]);
	th_ctrl_disconnect(&second);
}

static void test_pairs_of_two_groups_run_one_at_a_time(void **state)
{
	const struct th_opts opts = {.groups = 2};
	const struct th_ctrl_opts in_turn = {.io_queues = 2};
	struct th_ctrl second;

	(void)state;
	memset(old, 0, sizeof(old));
	memset(new, 0x11, sizeof(new));
	probe_world_start(&w, &opts, NULL);
	th_ctrl_connect(&w.t, &second, &in_turn);
	assert_ptr_not_equal(second.io[0].group, second.io[1].group);
	expect_one_at_a_time(&second.io[0], &second.io[1]);
	th_ctrl_disconnect(&second);
	probe_world_stop(&w);
}

/* The connection ends while its pair waits its turn: nothing is lost, and the namespace's next pair runs. */
static void test_disconnect_while_a_pair_waits_its_turn(void **state)
{
	static struct th_cmd other[2];
	struct th_ctrl second;

	(void)state;
	th_ctrl_connect(&w.t, &second, NULL);
	w.probe.hold = true;
	submit_pair(w.q, cmds);
	submit_pair(&second.io[0], other);
	th_settle(&w.t);
	th_disconnect_begin(&second.io[0]);
	th_settle(&w.t);
	w.probe.hold = false;
	probe_release(&w.probe, 1);
	expect(0, 0);
	th_wait_cmd(&other[0]);
	th_wait_cmd(&other[1]);
	th_ctrl_disconnect(&second);
	memset(old, 0x11, sizeof(old));
	submit_pair(w.q, cmds);
	expect(0, 0);
}

/* Hosts in several groups count up by compare and write: no count is lost. */
#define GROUPS 4
#define COUNTS 150

static void test_counters_over_several_threads(void **state)
{
	static struct th_ctrl ctrl[GROUPS];
	static unsigned char seen[GROUPS][512], next[GROUPS][512];
	static struct th_cmd many[GROUPS][2];
	struct th_opts opts = {.groups = GROUPS, .threaded = true};
	unsigned int g, won = 0, done[GROUPS] = {0};
	struct nvmft_sqe sqe[2], rd;
	uint64_t value;

	(void)state;
	probe_world_start(&w, &opts, NULL);
	/* th_ctrl_connect() takes the groups in turn, so that each has an I/O queue somewhere else. */
	for (g = 0; g < GROUPS; g++) {
		struct th_ctrl_opts co = {.io_queues = GROUPS};

		th_ctrl_connect(&w.t, &ctrl[g], &co);
	}
	pair(sqe, 0, 1);
	half(&rd, TH_READ, 0, 0, 1);
	while (won < GROUPS * COUNTS) {
		for (g = 0; g < GROUPS; g++) {
			assert_int_equal(th_exec(&ctrl[g].io[g], &rd, seen[g], 512), 0);
			memcpy(next[g], seen[g], 512);
			memcpy(&value, next[g], 8);
			value++;
			memcpy(next[g], &value, 8);
			next[g][8] = (unsigned char)g;
		}
		for (g = 0; g < GROUPS; g++) {
			memset(many[g], 0, sizeof(many[g]));
			th_submit_many(&ctrl[g].io[g], many[g], sqe, (void *const[]){seen[g], next[g]},
				       (const size_t[]){512, 512}, 2);
		}
		for (g = 0; g < GROUPS; g++) {
			nvmft_status a = th_wait_cmd(&many[g][0]), b = th_wait_cmd(&many[g][1]);

			if (!a && !b) {
				won++;
				done[g]++;
				continue;
			}
			assert_int_equal(th_sc(a), TH_SC_COMPARE_FAILED);
			assert_int_equal(th_sc(b), TH_SC_FUSED_FAIL);
		}
	}
	memcpy(&value, w.probe.data, 8);
	assert_int_equal(value, won);
	for (g = 0; g < GROUPS; g++)
		th_ctrl_disconnect(&ctrl[g]);
	probe_world_stop(&w);
}

/* ---- when there is no data memory left ---- */

#define BIG (256u << 10)
#define LIMIT (4u << 20)
#define FILL (LIMIT / BIG)

static unsigned char zeroes[BIG];

static void submit_big_write(struct th_cmd *write, uint16_t cid)
{
	struct nvmft_sqe sqe;

	memset(write, 0, sizeof(*write));
	th_sqe_rw(&sqe, TH_WRITE, 1, 0, BIG / 512);
	sqe.cid = cid;
	th_submit_cid(w.q, write, &sqe, zeroes, BIG);
}

#define FIRST_CID 1000

/* The backend has writes that hold all of it, and the one after them waits. Return: how many the backend has. */
static unsigned int start_full(struct th_cmd writes[FILL + 1])
{
	struct th_opts opts = {.transport = TH_TCP, .target = {.size = sizeof(opts.target), .data_memory_max = LIMIT}};
	uint16_t n = 0;

	probe_world_start(&w, &opts, native);
	w.probe.hold = true;
	do {
		assert_true(n <= FILL);
		submit_big_write(&writes[n], (uint16_t)(FIRST_CID + n));
		th_settle(&w.t);
	} while (w.probe.nheld == ++n);
	return n - 1u;
}

static void release_all(struct th_cmd *writes, unsigned int n)
{
	w.probe.hold = false;
	probe_release(&w.probe, n);
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(th_wait_cmd(&writes[i]), 0);
}

/*
 * Second halves whose first halves wait for a buffer hold none themselves: enough of them would hold all that there is,
 * and what waits in front of the first halves would wait for ever.
 */
static void test_waiting_pairs_hold_no_buffers(void **state)
{
	static struct th_cmd writes[FILL + 1], pairs[FILL + 1][2];
	struct nvmft_target_stats stats = {.size = sizeof(stats)};
	struct nvmft_sqe sqe[2];
	unsigned int n, i;

	(void)state;
	n = start_full(writes);
	memset(pairs, 0, sizeof(pairs));
	pair(sqe, 0, BIG / 512);
	for (i = 0; i < FILL + 1; i++)
		th_submit_many(w.q, pairs[i], sqe, (void *const[]){zeroes, zeroes}, (const size_t[]){BIG, BIG}, 2);
	th_settle(&w.t);
	assert_int_equal(nvmft_target_stats(w.t.target, &stats), 0);
	assert_true(stats.buffer_waits > FILL);
	assert_true(stats.data_bytes <= LIMIT);
	release_all(writes, n);
	assert_int_equal(th_wait_cmd(&writes[n]), 0);
	for (i = 0; i < FILL + 1; i++) {
		assert_int_equal(th_wait_cmd(&pairs[i][0]), 0);
		assert_int_equal(th_wait_cmd(&pairs[i][1]), 0);
	}
	probe_world_stop(&w);
}

static void test_a_command_before_the_first_half_is_aborted(void **state)
{
	static struct th_cmd writes[FILL + 1];
	struct nvmft_sqe sqe[2];
	unsigned int n;

	(void)state;
	n = start_full(writes);
	memset(old, 0, sizeof(old));
	memset(cmds, 0, sizeof(cmds));
	pair(sqe, 0, 1);
	th_submit(w.q, &cmds[0], &sqe[0], old, 512);
	th_settle(&w.t);
	assert_true(probe_abort_cmd(&w, 1, (uint16_t)(FIRST_CID + n)));
	assert_int_equal(th_sc(th_wait_cmd(&writes[n])), TH_SC_ABORT_REQ);
	th_submit(w.q, &cmds[1], &sqe[1], new, 512);
	release_all(writes, n);
	expect(0, 0);
	probe_world_stop(&w);
}

/* And a pair that waits for buffers, whose second half begins at @lba. Returns what start_full() does. */
static unsigned int start_full_with_pair(struct th_cmd *writes, uint32_t lba)
{
	unsigned int n = start_full(writes);
	struct nvmft_sqe sqe[2];

	memset(cmds, 0, sizeof(cmds));
	pair(sqe, 0, BIG / 512);
	sqe[1].cdw10 = htole32(lba);
	th_submit_many(w.q, cmds, sqe, (void *const[]){zeroes, zeroes}, (const size_t[]){BIG, BIG}, 2);
	th_settle(&w.t);
	return n;
}

static void test_halves_that_do_not_match_while_the_first_waits(void **state)
{
	static struct th_cmd writes[FILL + 1];
	unsigned int n = start_full_with_pair(writes, 1);

	(void)state;
	release_all(writes, n);
	expect(TH_SC_INVALID_FIELD, TH_SC_INVALID_FIELD);
	probe_world_stop(&w);
}

static void test_the_namespace_becomes_read_only_while_a_pair_waits(void **state)
{
	static struct th_cmd writes[FILL + 1];
	unsigned int n = start_full_with_pair(writes, 0);

	(void)state;
	w.probe.info.read_only = true;
	assert_int_equal(nvmft_namespace_refresh(w.probe.ns), 0);
	th_settle(&w.t);
	release_all(writes, n);
	expect(TH_SC_WRITE_PROTECTED, TH_SC_FUSED_FAIL);
	assert_int_equal(w.probe.nlog, n);
	/* It is not in use any more. */
	th_remove_namespace(&w.t, w.probe.ns);
	probe_world_stop(&w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_match_writes),
		cmocka_unit_test(test_mismatch_writes_nothing),
		cmocka_unit_test(test_the_first_half_completes_first),
		TEST(test_the_second_half_does_not_come),
		TEST(test_the_first_half_did_not_come),
		TEST(test_halves_that_do_not_match),
		TEST(test_other_commands_cannot_be_fused),
		TEST(test_a_refused_half_fails_the_other),
		TEST(test_a_second_half_that_is_malformed),
		TEST(test_a_malformed_command_instead_of_the_second_half),
		cmocka_unit_test(test_a_read_only_namespace),
		TEST(test_errors_of_the_backend),
		cmocka_unit_test(test_disconnect_between_the_halves),
		TEST(test_abort_of_a_first_half_that_waits),
		TEST(test_plain_writes_wait_for_a_pair),
		TEST(test_a_pair_waits_for_plain_writes),
		TEST(test_abort_of_a_write_that_stands_back),
		TEST(test_pairs_run_one_at_a_time),
		cmocka_unit_test(test_pairs_of_two_groups_run_one_at_a_time),
		TEST(test_disconnect_while_a_pair_waits_its_turn),
		cmocka_unit_test(test_counters_over_several_threads),
		cmocka_unit_test(test_waiting_pairs_hold_no_buffers),
		cmocka_unit_test(test_a_command_before_the_first_half_is_aborted),
		cmocka_unit_test(test_halves_that_do_not_match_while_the_first_waits),
		cmocka_unit_test(test_the_namespace_becomes_read_only_while_a_pair_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
