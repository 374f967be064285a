/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pattern.h"

static const struct pattern wanted = {.seed = 7, .lba = 1234, .generation = 3};
static struct pattern found;

static void a_block_is_recognised(void **state)
{
	uint8_t block[4096];

	(void)state;
	pattern_fill(block, 512, &wanted);
	assert_int_equal(pattern_check(block, 512, &wanted, &found), PATTERN_OK);
	pattern_fill(block, 4096, &wanted);
	assert_int_equal(pattern_check(block, 4096, &wanted, &found), PATTERN_OK);
}

static void each_damaged_bit_is_noticed(void **state)
{
	uint8_t block[512];
	unsigned int bit;

	(void)state;
	for (bit = 0; bit < sizeof(block) * 8; bit++) {
		pattern_fill(block, sizeof(block), &wanted);
		block[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_not_equal(pattern_check(block, sizeof(block), &wanted, &found), PATTERN_OK);
	}
}

static void zeroes_are_not_ours(void **state)
{
	static const uint8_t block[512];

	(void)state;
	assert_int_equal(pattern_check(block, sizeof(block), &wanted, &found), PATTERN_MAGIC);
}

static void a_misplaced_block_is_told(void **state)
{
	struct pattern other = {.seed = 7, .lba = 1235, .generation = 3};
	uint8_t block[512];

	(void)state;
	pattern_fill(block, sizeof(block), &other);
	assert_int_equal(pattern_check(block, sizeof(block), &wanted, &found), PATTERN_LBA);
	assert_int_equal(found.lba, 1235);
}

static void a_stale_block_is_told(void **state)
{
	struct pattern other = {.seed = 7, .lba = 1234, .generation = 2};
	uint8_t block[512];

	(void)state;
	pattern_fill(block, sizeof(block), &other);
	assert_int_equal(pattern_check(block, sizeof(block), &wanted, &found), PATTERN_GENERATION);
	assert_int_equal(found.generation, 2);
}

static void a_block_of_another_run_is_told(void **state)
{
	struct pattern other = {.seed = 8, .lba = 1234, .generation = 3};
	uint8_t block[512];

	(void)state;
	pattern_fill(block, sizeof(block), &other);
	assert_int_equal(pattern_check(block, sizeof(block), &wanted, &found), PATTERN_SEED);
}

static void a_torn_block_is_told(void **state)
{
	struct pattern other = {.seed = 7, .lba = 1234, .generation = 2};
	uint8_t block[1024], old[1024];

	(void)state;
	pattern_fill(block, sizeof(block), &wanted);
	pattern_fill(old, sizeof(old), &other);
	memcpy(block + 512, old + 512, 512);
	assert_int_equal(pattern_check(block, sizeof(block), &wanted, &found), PATTERN_CRC);
}

static void generation_zero_takes_any(void **state)
{
	struct pattern any = {.seed = 7, .lba = 1234};
	uint8_t block[512];

	(void)state;
	pattern_fill(block, sizeof(block), &wanted);
	assert_int_equal(pattern_check(block, sizeof(block), &any, &found), PATTERN_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_block_is_recognised), cmocka_unit_test(each_damaged_bit_is_noticed),
		cmocka_unit_test(zeroes_are_not_ours),   cmocka_unit_test(a_misplaced_block_is_told),
		cmocka_unit_test(a_stale_block_is_told), cmocka_unit_test(a_block_of_another_run_is_told),
		cmocka_unit_test(a_torn_block_is_told),  cmocka_unit_test(generation_zero_takes_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
