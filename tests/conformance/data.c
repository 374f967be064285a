/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads, writes, flushes: what is written is read back, at every edge. */
#include "conf.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

static void test_fresh_reads_zero(void **state)
{
	struct conf *c = *state;

	conf_check_zero(c, 0, 1);
	conf_check_zero(c, c->blocks - conf_max_blocks(c), conf_max_blocks(c));
}

static void round_trip(struct conf *c, uint64_t lba, uint32_t blocks)
{
	uint64_t seed = lba * 1000 + blocks;

	conf_write_seed(c, lba, blocks, seed);
	conf_check_seed(c, lba, blocks, seed);
}

static void test_one_block_first(void **state)
{
	round_trip(*state, 0, 1);
}

static void test_one_block_last(void **state)
{
	struct conf *c = *state;

	round_trip(c, c->blocks - 1, 1);
}

static void test_odd_lengths(void **state)
{
	for (uint32_t blocks = 1; blocks < 20; blocks++)
		round_trip(*state, 3u * blocks + 1, blocks);
}

static void test_longest_first(void **state)
{
	struct conf *c = *state;

	round_trip(c, 0, conf_max_blocks(c));
}

static void test_longest_last(void **state)
{
	struct conf *c = *state;

	round_trip(c, c->blocks - conf_max_blocks(c), conf_max_blocks(c));
}

static void test_longest_odd_start(void **state)
{
	struct conf *c = *state;

	round_trip(c, 5, conf_max_blocks(c));
	round_trip(c, 7, conf_max_blocks(c) - 1);
}

static void test_neighbours_stay(void **state)
{
	struct conf *c = *state;

	conf_write_seed(c, 10, 1, 1);
	conf_write_seed(c, 14, 1, 2);
	conf_write_seed(c, 11, 3, 3);
	conf_check_seed(c, 10, 1, 1);
	conf_check_seed(c, 11, 3, 3);
	conf_check_seed(c, 14, 1, 2);
}

static void test_overwrite(void **state)
{
	struct conf *c = *state;

	conf_write_seed(c, 20, 8, 1);
	conf_write_seed(c, 20, 8, 2);
	conf_check_seed(c, 20, 8, 2);
}

static void test_null_discards(void **state)
{
	struct conf *c = *state;

	if (c->kind.base != CONF_NULL)
		skip();
	conf_write_seed(c, 0, 8, 1);
	conf_check_zero(c, 0, 8);
}

static void test_beyond_end(void **state)
{
	struct conf *c = *state;
	static const uint8_t opcodes[] = {TH_READ, TH_WRITE, TH_COMPARE, TH_WRITE_ZEROES};

	for (size_t i = 0; i < sizeof(opcodes); i++) {
		assert_int_equal(th_sc(conf_rw(c, opcodes[i], c->blocks, 1, 0)), TH_SC_LBA_RANGE);
		assert_int_equal(th_sc(conf_rw(c, opcodes[i], c->blocks - 1, 2, 0)), TH_SC_LBA_RANGE);
		assert_int_equal(th_sc(conf_rw(c, opcodes[i], UINT64_MAX, 1, 0)), TH_SC_LBA_RANGE);
		assert_int_equal(th_sc(conf_rw(c, opcodes[i], UINT64_MAX, 2, 0)), TH_SC_LBA_RANGE);
		assert_int_equal(th_sc(conf_rw(c, opcodes[i], 1ull << 63, 8, 0)), TH_SC_LBA_RANGE);
	}
	conf_check_zero(c, c->blocks - 1, 1);
}

static void test_above_mdts(void **state)
{
	struct conf *c = *state;

	assert_int_equal(th_sc(conf_rw(c, TH_READ, 0, conf_max_blocks(c) + 1, 0)), TH_SC_INVALID_FIELD);
	assert_int_equal(th_sc(conf_rw(c, TH_WRITE, 0, conf_max_blocks(c) + 1, 0)), TH_SC_INVALID_FIELD);
}

static void test_fua(void **state)
{
	struct conf *c = *state;

	th_fill(c->buf, 4 * c->block_size, 77);
	assert_int_equal(conf_rw(c, TH_WRITE, 40, 4, TH_FUA), 0);
	assert_int_equal(conf_rw(c, TH_READ, 40, 4, TH_FUA), 0);
	if (c->kind.base != CONF_NULL)
		assert_true(th_filled(c->buf, 4 * c->block_size, 77));
}

static unsigned int count_ops(const struct conf *c, enum nvmft_io_op op, uint32_t flags)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < atomic_load(&c->log.count) && i < c->log.capacity; i++)
		n += c->log.entries[i].op == op && (c->log.entries[i].flags & flags) == flags;
	return n;
}

static void test_fua_reaches_backend(void **state)
{
	struct conf *c = *state;

	if (c->kind.wrap != CONF_LOG)
		skip();
	assert_int_equal(conf_rw(c, TH_WRITE, 0, 1, 0), 0);
	assert_int_equal(count_ops(c, NVMFT_IO_WRITE, NVMFT_IO_FUA), 0);
	assert_int_equal(conf_rw(c, TH_WRITE, 0, 1, TH_FUA), 0);
	assert_int_equal(count_ops(c, NVMFT_IO_WRITE, NVMFT_IO_FUA), 1);
	assert_int_equal(count_ops(c, NVMFT_IO_FLUSH, 0), 0);
}

static void test_fua_by_flush(void **state)
{
	struct conf *c = *state;
	const struct nvmft_wrap_log_entry *e = c->log_entries;

	if (c->kind.wrap != CONF_POOR)
		skip();
	assert_int_equal(conf_rw(c, TH_WRITE, 9, 2, TH_FUA), 0);
	assert_int_equal(atomic_load(&c->log.count), 2);
	assert_int_equal(e[0].op, NVMFT_IO_WRITE);
	assert_int_equal(e[0].flags & NVMFT_IO_FUA, 0);
	assert_int_equal(e[0].lba, 9);
	assert_int_equal(e[0].blocks, 2);
	assert_int_equal(e[1].op, NVMFT_IO_FLUSH);
}

static nvmft_status flush(struct conf *c, uint32_t nsid)
{
	struct nvmft_sqe sqe;

	th_sqe_init(&sqe, TH_FLUSH, nsid);
	return th_exec(&c->ctrl.io[0], &sqe, NULL, 0);
}

static void test_flush(void **state)
{
	struct conf *c = *state;

	assert_int_equal(conf_rw(c, TH_WRITE, 0, 8, 0), 0);
	assert_int_equal(flush(c, 1), 0);
	if (c->kind.wrap == CONF_POOR)
		assert_int_equal(count_ops(c, NVMFT_IO_FLUSH, 0), 1);
}

static void test_flush_all(void **state)
{
	struct conf *c = *state;

	assert_int_equal(conf_rw(c, TH_WRITE, 0, 8, 0), 0);
	assert_int_equal(flush(c, 0xffffffff), 0);
	if (c->kind.wrap == CONF_POOR)
		assert_int_equal(count_ops(c, NVMFT_IO_FLUSH, 0), 1);
}

/* Host buffers at any address, whatever the device below needs. */
static void test_unaligned_buffers(void **state)
{
	static const size_t offsets[] = {1, 3, 4, 511, 512, 513, 4095};
	struct conf *c = *state;

	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		uint32_t blocks = i % 2 ? conf_max_blocks(c) : 3;
		size_t len = (size_t)blocks * c->block_size;
		char *buf = c->buf + offsets[i];

		th_fill(buf, len, 100 + i);
		assert_int_equal(th_write(&c->ctrl, 1, 64 * i, blocks, buf, len), 0);
		memset(buf - 1, 0xee, len + 2);
		assert_int_equal(th_read(&c->ctrl, 1, 64 * i, blocks, buf, len), 0);
		if (c->kind.base != CONF_NULL)
			assert_true(th_filled(buf, len, 100 + i));
		assert_int_equal((uint8_t)buf[-1], 0xee);
		assert_int_equal((uint8_t)buf[len], 0xee);
	}
}

static void test_queue_depth(void **state)
{
	struct conf *c = *state;
	struct th_cmd *cmds = calloc(64, sizeof(*cmds));
	struct nvmft_sqe sqe;

	assert_non_null(cmds);
	for (unsigned int i = 0; i < 64; i++) {
		char *at = c->buf + i * c->block_size;

		th_fill(at, c->block_size, i);
		th_sqe_rw(&sqe, TH_WRITE, 1, i, 1);
		th_submit(&c->ctrl.io[0], &cmds[i], &sqe, at, c->block_size);
	}
	for (unsigned int i = 0; i < 64; i++)
		assert_int_equal(th_wait_cmd(&cmds[i]), 0);
	for (unsigned int i = 0; i < 64; i++)
		conf_check_seed(c, i, 1, i);
	if (c->kind.wrap == CONF_POOR)
		assert_int_equal(atomic_load(&c->log.max_outstanding), 1);
	free(cmds);
}

static const struct conf_test tests[] = {
	{"a fresh namespace reads zeroes", test_fresh_reads_zero, 0},
	{"one block at the start", test_one_block_first, CONF_KEEPS_DATA},
	{"one block at the end", test_one_block_last, CONF_KEEPS_DATA},
	{"lengths of 1 to 19 blocks", test_odd_lengths, CONF_KEEPS_DATA},
	{"longest transfer at the start", test_longest_first, CONF_KEEPS_DATA},
	{"longest transfer at the end", test_longest_last, CONF_KEEPS_DATA},
	{"longest transfer at an odd block", test_longest_odd_start, CONF_KEEPS_DATA},
	{"neighbours of a write stay", test_neighbours_stay, CONF_KEEPS_DATA},
	{"the second write wins", test_overwrite, CONF_KEEPS_DATA},
	{"null discards", test_null_discards, 0},
	{"beyond the end: LBA Out of Range", test_beyond_end, 0},
	{"above MDTS: Invalid Field", test_above_mdts, 0},
	{"FUA", test_fua, 0},
	{"FUA reaches a backend that has it", test_fua_reaches_backend, 0},
	{"FUA is a write and a flush elsewhere", test_fua_by_flush, 0},
	{"flush", test_flush, 0},
	{"flush of all namespaces", test_flush_all, 0},
	{"unaligned host buffers", test_unaligned_buffers, CONF_HOST_BUFFERS},
	{"64 commands at once", test_queue_depth, CONF_KEEPS_DATA},
};

int main(void)
{
	return conf_run("data", tests, sizeof(tests) / sizeof(tests[0]));
}
