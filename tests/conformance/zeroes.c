/* SPDX-License-Identifier: BSD-3-Clause */
/* Write Zeroes and Deallocate. */
#include "conf.h"

#include <endian.h>
#include <string.h>

/* Blocks [lba, lba + blocks) zero, with one block of data on either side. */
static void zero_between(struct conf *c, uint64_t lba, uint32_t blocks, uint32_t cdw12)
{
	uint32_t n = blocks + 2 <= conf_max_blocks(c) ? blocks + 2 : conf_max_blocks(c);

	conf_write_seed(c, lba - 1, n, 5);
	conf_write_seed(c, lba - 1, 1, 6);
	conf_write_seed(c, lba + blocks, 1, 7);
	assert_int_equal(conf_rw(c, TH_WRITE_ZEROES, lba, blocks, cdw12), 0);
	conf_check_seed(c, lba - 1, 1, 6);
	for (uint32_t at = 0; at < blocks; at += conf_max_blocks(c))
		conf_check_zero(c, lba + at, blocks - at < conf_max_blocks(c) ? blocks - at : conf_max_blocks(c));
	conf_check_seed(c, lba + blocks, 1, 7);
}

static void test_write_zeroes(void **state)
{
	static const uint32_t lengths[] = {1, 2, 7, 8, 9, 15, 16, 17, 100};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		zero_between(*state, 11 + 13 * i, lengths[i], 0);
}

static void test_write_zeroes_dealloc(void **state)
{
	static const uint32_t lengths[] = {1, 2, 7, 8, 9, 15, 16, 17, 100};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		zero_between(*state, 11 + 13 * i, lengths[i], TH_DEAC);
}

static void test_write_zeroes_fua(void **state)
{
	zero_between(*state, 33, 5, TH_FUA);
	zero_between(*state, 33, 5, TH_FUA | TH_DEAC);
}

static void test_write_zeroes_longest(void **state)
{
	struct conf *c = *state;

	zero_between(c, 1, conf_max_blocks(c), 0);
	zero_between(c, c->blocks - 1 - conf_max_blocks(c), conf_max_blocks(c), TH_DEAC);
}

static void test_write_zeroes_whole(void **state)
{
	struct conf *c = *state;

	conf_write_seed(c, 0, 1, 1);
	conf_write_seed(c, c->blocks - 1, 1, 1);
	for (uint64_t lba = 0; lba < c->blocks; lba += conf_max_blocks(c))
		assert_int_equal(conf_rw(c, TH_WRITE_ZEROES, lba, conf_max_blocks(c), 0), 0);
	conf_check_zero(c, 0, 1);
	conf_check_zero(c, c->blocks - 1, 1);
}

static void test_deallocate(void **state)
{
	struct conf *c = *state;
	struct th_range range = {0, htole32(64), htole64(16)};

	conf_write_seed(c, 15, 66, 1);
	conf_write_seed(c, 15, 1, 2);
	conf_write_seed(c, 80, 1, 3);
	assert_int_equal(conf_deallocate(c, &range, 1), 0);
	conf_check_seed(c, 15, 1, 2);
	conf_check_seed(c, 80, 1, 3);
	if (conf_deallocates(c))
		conf_check_zero(c, 16, 64);
}

static void test_deallocate_many(void **state)
{
	struct conf *c = *state;
	struct th_range ranges[256];

	for (unsigned int i = 0; i < 256; i++) {
		conf_write_seed(c, 3 * i, 3, i);
		ranges[i] = (struct th_range){0, htole32(1), htole64(3 * i + 1)};
	}
	for (unsigned int i = 0; i < 256; i++) {
		conf_write_seed(c, 3 * i, 1, i);
		conf_write_seed(c, 3 * i + 2, 1, i + 1);
	}
	assert_int_equal(conf_deallocate(c, ranges, 256), 0);
	for (unsigned int i = 0; i < 256; i++) {
		conf_check_seed(c, 3 * i, 1, i);
		if (conf_deallocates(c))
			conf_check_zero(c, 3 * i + 1, 1);
		conf_check_seed(c, 3 * i + 2, 1, i + 1);
	}
}

/* Either every range is checked first or those before the bad one are gone; the bad one must not do anything. */
static void test_deallocate_beyond_end(void **state)
{
	struct conf *c = *state;
	struct th_range bad[] = {
		{0, htole32(2), htole64(c->blocks - 1)},
		{0, htole32(1), htole64(c->blocks)},
		{0, htole32(0xffffffff), htole64(1)},
		{0, htole32(1), htole64(UINT64_MAX)},
		{0, htole32(0xffffffff), htole64(UINT64_MAX - 5)},
	};

	conf_write_seed(c, c->blocks - 1, 1, 9);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(th_sc(conf_deallocate(c, &bad[i], 1)), TH_SC_LBA_RANGE);
	conf_check_seed(c, c->blocks - 1, 1, 9);
}

static void test_write_after_deallocate(void **state)
{
	struct conf *c = *state;
	struct th_range range = {0, htole32(100), htole64(0)};

	conf_write_seed(c, 0, 100, 1);
	assert_int_equal(conf_deallocate(c, &range, 1), 0);
	conf_write_seed(c, 50, 3, 2);
	conf_check_seed(c, 50, 3, 2);
}

static const struct conf_test tests[] = {
	{"write zeroes", test_write_zeroes, CONF_KEEPS_DATA},
	{"write zeroes with DEAC", test_write_zeroes_dealloc, CONF_KEEPS_DATA},
	{"write zeroes with FUA", test_write_zeroes_fua, CONF_KEEPS_DATA},
	{"write zeroes as long as a transfer", test_write_zeroes_longest, CONF_KEEPS_DATA},
	{"write zeroes over everything", test_write_zeroes_whole, 0 | CONF_KEEPS_DATA},
	{"deallocate a range", test_deallocate, CONF_KEEPS_DATA},
	{"deallocate 256 ranges", test_deallocate_many, CONF_KEEPS_DATA | CONF_PROMPT},
	{"deallocate beyond the end", test_deallocate_beyond_end, CONF_KEEPS_DATA},
	{"write after deallocate", test_write_after_deallocate, CONF_KEEPS_DATA},
};

int main(void)
{
	return conf_run("zeroes", tests, sizeof(tests) / sizeof(tests[0]));
}
