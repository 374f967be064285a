/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "units.h"

static void numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {{"0", 0}, {"42", 42}, {"0x10", 16}, {"0XfF", 255}, {"18446744073709551615", UINT64_MAX}};
	static const char *const bad[] = {
		"", " 1", "1 ", "-1", "+1", "0x", "1x", "ff", "1.0", "1e3", "18446744073709551616"};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(parse_uint(good[i].text, &v));
		assert_int_equal(v, good[i].value);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(parse_uint(bad[i], &v));
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {
		{"512", 512},
		{"512B", 512},
		{"4K", 4096},
		{"4k", 4096},
		{"4KiB", 4096},
		{"4kib", 4096},
		{"4Ki", 4096},
		{"4KB", 4000},
		{"64MiB", 64 << 20},
		{"64M", 64 << 20},
		{"1GB", 1000000000},
		{"1GiB", 1 << 30},
		{"2TiB", 2ull << 40},
		{"2T", 2ull << 40},
		{"1PB", 1000000000000000},
		{"16383PiB", 16383ull << 50},
	};
	static const char *const bad[] = {"",     "K",        "1KK",   "1Q",    "1 KiB", "-1K",
					  "1.5G", "16384PiB", "0x10K", "1KiBs", "1ib"};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(parse_size(good[i].text, &v));
		assert_true(v == good[i].value);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(parse_size(bad[i], &v));
}

static void a_bad_size_leaves_the_value_alone(void **state)
{
	uint64_t v = 7;

	(void)state;
	assert_false(parse_uint("x", &v));
	assert_int_equal(v, 7);
}

static void truth(void **state)
{
	bool v;

	(void)state;
	assert_true(parse_bool("1", &v) && v);
	assert_true(parse_bool("TRUE", &v) && v);
	assert_true(parse_bool("on", &v) && v);
	assert_true(parse_bool("0", &v) && !v);
	assert_true(parse_bool("no", &v) && !v);
	assert_false(parse_bool("2", &v));
	assert_false(parse_bool("", &v));
}

static void hex_bytes(void **state)
{
	uint8_t id[16] = {0};

	(void)state;
	assert_true(parse_hex_bytes("00112233-4455-6677-8899-aabbccddeeff", id, 16));
	assert_int_equal(id[0], 0x00);
	assert_int_equal(id[15], 0xff);
	assert_true(parse_hex_bytes("00112233445566778899AABBCCDDEEFF", id, 16));
	assert_int_equal(id[10], 0xaa);
	assert_false(parse_hex_bytes("00112233445566778899AABBCCDDEE", id, 16));
	assert_false(parse_hex_bytes("00112233445566778899AABBCCDDEEFF00", id, 16));
	assert_false(parse_hex_bytes("0011223-34455-6677-8899-aabbccddeeff", id, 16));
	assert_false(parse_hex_bytes("-0011223344556677", id, 8));
	assert_false(parse_hex_bytes("0011223344556677-", id, 8));
	assert_false(parse_hex_bytes("00112233--44556677", id, 8));
	assert_false(parse_hex_bytes("001122334455667g", id, 8));
}

static void cpu_lists(void **state)
{
	static const int expected[] = {0, 1, 2, 5};
	static const char *const bad[] = {"", ",", "1,", ",1", "3-1", "1-", "-1", "a", "1;2", "1024", "0-1024", "1,,2"};
	unsigned int n = 0;
	int *cpus = NULL;

	(void)state;
	assert_true(parse_cpu_list("0-2,5", &cpus, &n));
	assert_int_equal(n, 4);
	assert_memory_equal(cpus, expected, sizeof(expected));
	free(cpus);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(parse_cpu_list(bad[i], &cpus, &n));
}

static void opcode_sets(void **state)
{
	static const char *const bad[] = {"", "+", "1+", "+1", "256", "0x100", "-1", "a", "1,2", "1++2", "000000001"};
	uint8_t bits[32] = {0};

	(void)state;
	assert_true(parse_opcodes("0+0xFF+9", bits));
	assert_int_equal(bits[0], 1);
	assert_int_equal(bits[1], 2);
	assert_int_equal(bits[31], 0x80);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(parse_opcodes(bad[i], bits));
	assert_int_equal(bits[0], 1); /* a bad one leaves it alone */
}

static void sizes_in_words(void **state)
{
	char text[32];

	(void)state;
	format_size(0, text, sizeof(text));
	assert_string_equal(text, "0B");
	format_size(1000, text, sizeof(text));
	assert_string_equal(text, "1000B");
	format_size(64ull << 20, text, sizeof(text));
	assert_string_equal(text, "64MiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(sizes),
		cmocka_unit_test(a_bad_size_leaves_the_value_alone),
		cmocka_unit_test(truth),
		cmocka_unit_test(hex_bytes),
		cmocka_unit_test(cpu_lists),
		cmocka_unit_test(opcode_sets),
		cmocka_unit_test(sizes_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
