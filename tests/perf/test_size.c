/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "size.h"

static uint64_t value;

static void sizes_with_units(void **state)
{
	(void)state;
	assert_true(size_parse("4096", &value) && value == 4096);
	assert_true(size_parse("4k", &value) && value == 4096);
	assert_true(size_parse("4KiB", &value) && value == 4096);
	assert_true(size_parse("3MB", &value) && value == 3u << 20);
	assert_true(size_parse("2G", &value) && value == 2ull << 30);
	assert_true(size_parse("1TiB", &value) && value == 1ull << 40);
}

static void what_is_no_size(void **state)
{
	static const char *const wrong[] = {
		"", "k", "-1", " 1", "+1", "1x", "1kk", "1KiBs", "0x10", "1.5k", "99999999999999999999", "16777216T"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(size_parse(wrong[i], &value));
}

static void durations_with_units(void **state)
{
	(void)state;
	assert_true(duration_parse("5", &value) && value == 5000000000);
	assert_true(duration_parse("5s", &value) && value == 5000000000);
	assert_true(duration_parse("500ms", &value) && value == 500000000);
	assert_true(duration_parse("20us", &value) && value == 20000);
	assert_true(duration_parse("2m", &value) && value == 120000000000);
	assert_true(duration_parse("1h", &value) && value == 3600000000000);
}

static void what_is_no_duration(void **state)
{
	static const char *const wrong[] = {"", "s", "-5s", "5 s", "5x", "5sec", "99999999999h"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(duration_parse(wrong[i], &value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_with_units),
		cmocka_unit_test(what_is_no_size),
		cmocka_unit_test(durations_with_units),
		cmocka_unit_test(what_is_no_duration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
