/* SPDX-License-Identifier: BSD-3-Clause */
/* Compare, and Compare and Write fused. */
#include "conf.h"

#include <string.h>

static void test_match(void **state)
{
	struct conf *c = *state;

	conf_write_seed(c, 5, 9, 1);
	th_fill(c->buf, 9 * c->block_size, 1);
	assert_int_equal(conf_rw(c, TH_COMPARE, 5, 9, 0), 0);
}

static void test_match_longest(void **state)
{
	struct conf *c = *state;

	conf_write_seed(c, 3, conf_max_blocks(c), 1);
	assert_int_equal(conf_rw(c, TH_COMPARE, 3, conf_max_blocks(c), 0), 0);
}

static void test_null_compares_zeroes(void **state)
{
	struct conf *c = *state;

	if (c->kind.base != CONF_NULL)
		skip();
	memset(c->buf, 0, 8 * c->block_size);
	assert_int_equal(conf_rw(c, TH_COMPARE, 0, 8, 0), 0);
	c->buf[8 * c->block_size - 1] = 1;
	assert_int_equal(th_sc(conf_rw(c, TH_COMPARE, 0, 8, 0)), TH_SC_COMPARE_FAILED);
}

static void mismatch_at(struct conf *c, size_t at)
{
	th_fill(c->buf, 9 * c->block_size, 1);
	c->buf[at] = (char)(c->buf[at] ^ 1);
	assert_int_equal(th_sc(conf_rw(c, TH_COMPARE, 5, 9, 0)), TH_SC_COMPARE_FAILED);
}

static void test_mismatch(void **state)
{
	struct conf *c = *state;

	conf_write_seed(c, 5, 9, 1);
	mismatch_at(c, 0);
	mismatch_at(c, 9 * c->block_size - 1);
	mismatch_at(c, 4 * c->block_size);
	conf_check_seed(c, 5, 9, 1);
}

/* Compare @blocks at @lba with what @expect makes, write what @with makes. */
static void fused(struct conf *c, uint64_t lba, uint32_t blocks, uint64_t expect, uint64_t with, nvmft_status status[2])
{
	size_t len = (size_t)blocks * c->block_size;
	struct th_cmd cmds[2] = {{.on_done = NULL}};
	void *data[2] = {c->buf, c->buf2};
	size_t lens[2] = {len, len};
	struct nvmft_sqe sqes[2];

	th_fill(c->buf, len, expect);
	th_fill(c->buf2, len, with);
	th_sqe_rw(&sqes[0], TH_COMPARE, 1, lba, blocks);
	sqes[0].flags |= TH_FUSE_FIRST;
	th_sqe_rw(&sqes[1], TH_WRITE, 1, lba, blocks);
	sqes[1].flags |= TH_FUSE_SECOND;
	th_submit_many(&c->ctrl.io[0], cmds, sqes, data, lens, 2);
	status[0] = th_sc(th_wait_cmd(&cmds[0]));
	status[1] = th_sc(th_wait_cmd(&cmds[1]));
}

static void test_fused_match(void **state)
{
	struct conf *c = *state;
	nvmft_status status[2];

	conf_write_seed(c, 8, 1, 1);
	fused(c, 8, 1, 1, 2, status);
	assert_int_equal(status[0], 0);
	assert_int_equal(status[1], 0);
	conf_check_seed(c, 8, 1, 2);
}

static void test_fused_mismatch(void **state)
{
	struct conf *c = *state;
	nvmft_status status[2];

	conf_write_seed(c, 8, 1, 1);
	fused(c, 8, 1, 3, 2, status);
	assert_int_equal(status[0], TH_SC_COMPARE_FAILED);
	assert_int_equal(status[1], TH_SC_FUSED_FAIL);
	conf_check_seed(c, 8, 1, 1);
}

static void test_fused_repeated(void **state)
{
	struct conf *c = *state;
	nvmft_status status[2];

	conf_write_seed(c, 8, 1, 0);
	for (uint64_t i = 0; i < 20; i++) {
		fused(c, 8, 1, i, i + 1, status);
		assert_int_equal(status[0] | status[1], 0);
		fused(c, 8, 1, i, i + 1, status);
		assert_int_equal(status[0], TH_SC_COMPARE_FAILED);
	}
	conf_check_seed(c, 8, 1, 20);
}

static void test_fused_beyond_end(void **state)
{
	struct conf *c = *state;
	nvmft_status status[2];

	fused(c, c->blocks, 1, 0, 0, status);
	assert_int_equal(status[0], TH_SC_LBA_RANGE);
	assert_int_equal(status[1], TH_SC_FUSED_FAIL);
}

static const struct conf_test tests[] = {
	{"compare matches", test_match, CONF_KEEPS_DATA},
	{"compare of the longest transfer", test_match_longest, CONF_KEEPS_DATA},
	{"null compares with zeroes", test_null_compares_zeroes, 0},
	{"compare fails on one bit", test_mismatch, CONF_KEEPS_DATA},
	{"compare and write", test_fused_match, CONF_KEEPS_DATA},
	{"compare fails, nothing is written", test_fused_mismatch, CONF_KEEPS_DATA},
	{"compare and write, again and again", test_fused_repeated, CONF_KEEPS_DATA},
	{"compare and write beyond the end", test_fused_beyond_end, 0},
};

int main(void)
{
	return conf_run("compare", tests, sizeof(tests) / sizeof(tests[0]));
}
