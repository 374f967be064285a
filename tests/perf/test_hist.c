/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hist.h"

static void each_value_is_in_its_bucket(void **state)
{
	uint64_t value;

	(void)state;
	for (value = 0; value < 1ull << HIST_MAX_BITS; value = value * 17 / 16 + 1) {
		unsigned int index = hist_index(value);

		assert_true(index < HIST_BUCKETS);
		assert_true(value <= hist_upper(index));
		assert_true(index == 0 || value > hist_upper(index - 1));
	}
}

static void buckets_are_narrow(void **state)
{
	uint64_t value;

	(void)state;
	for (value = 1; value < 1ull << HIST_MAX_BITS; value = value * 9 / 8 + 1)
		assert_true(hist_upper(hist_index(value)) - value <= value / HIST_SUB);
}

static void values_beyond_the_end_go_into_the_last_bucket(void **state)
{
	(void)state;
	assert_int_equal(hist_index(1ull << HIST_MAX_BITS), HIST_BUCKETS - 1);
	assert_int_equal(hist_index(UINT64_MAX), HIST_BUCKETS - 1);
	assert_int_equal(hist_index((1ull << HIST_MAX_BITS) - 1), HIST_BUCKETS - 1);
}

static void an_empty_histogram_has_zeroes(void **state)
{
	static const struct hist hist;

	(void)state;
	assert_int_equal(hist_percentile(&hist, 50000), 0);
	assert_true(hist_mean(&hist) >= 0 && hist_mean(&hist) <= 0);
}

static void percentiles_of_small_values_are_exact(void **state)
{
	static struct hist hist;
	uint64_t value;

	(void)state;
	for (value = 1; value <= 60; value++)
		hist_add(&hist, value);
	assert_int_equal(hist_percentile(&hist, 50000), 30);
	assert_int_equal(hist_percentile(&hist, 90000), 54);
	assert_int_equal(hist_percentile(&hist, 100000), 60);
	assert_int_equal(hist_percentile(&hist, 1), 1);
}

static void a_percentile_is_never_above_the_largest_value(void **state)
{
	static struct hist hist;

	(void)state;
	hist_add(&hist, 1000000);
	assert_int_equal(hist_percentile(&hist, 50000), 1000000);
	assert_int_equal(hist_percentile(&hist, 99900), 1000000);
}

static void one_in_a_thousand_is_seen_by_the_last_percentile_only(void **state)
{
	static struct hist hist;
	int i;

	(void)state;
	for (i = 0; i < 9980; i++)
		hist_add(&hist, 10);
	for (i = 0; i < 20; i++)
		hist_add(&hist, 5000);
	assert_int_equal(hist_percentile(&hist, 99000), 10);
	assert_true(hist_percentile(&hist, 99900) >= 4900);
}

static void minimum_maximum_and_mean(void **state)
{
	static struct hist hist;

	(void)state;
	hist_add(&hist, 30);
	hist_add(&hist, 10);
	hist_add(&hist, 20);
	assert_int_equal(hist.min, 10);
	assert_int_equal(hist.max, 30);
	assert_true(hist_mean(&hist) > 19.99 && hist_mean(&hist) < 20.01);
}

static void merging_adds_up(void **state)
{
	static struct hist a, b, empty;

	(void)state;
	hist_add(&a, 10);
	hist_add(&b, 5);
	hist_add(&b, 100000);
	hist_merge(&a, &b);
	hist_merge(&a, &empty);
	assert_int_equal(a.count, 3);
	assert_int_equal(a.min, 5);
	assert_int_equal(a.max, 100000);
	assert_int_equal(a.sum, 100015);
}

static void counts_between_powers_of_two_are_exact(void **state)
{
	static struct hist hist;

	(void)state;
	hist_add(&hist, 1023);
	hist_add(&hist, 1024);
	hist_add(&hist, 2047);
	hist_add(&hist, 2048);
	hist_add(&hist, UINT64_MAX);
	assert_int_equal(hist_between(&hist, 1024, 2048), 2);
	assert_int_equal(hist_between(&hist, 0, 1024), 1);
	assert_int_equal(hist_between(&hist, 1ull << (HIST_MAX_BITS - 1), 1ull << HIST_MAX_BITS), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_value_is_in_its_bucket),
		cmocka_unit_test(buckets_are_narrow),
		cmocka_unit_test(values_beyond_the_end_go_into_the_last_bucket),
		cmocka_unit_test(an_empty_histogram_has_zeroes),
		cmocka_unit_test(percentiles_of_small_values_are_exact),
		cmocka_unit_test(a_percentile_is_never_above_the_largest_value),
		cmocka_unit_test(one_in_a_thousand_is_seen_by_the_last_percentile_only),
		cmocka_unit_test(minimum_maximum_and_mean),
		cmocka_unit_test(merging_adds_up),
		cmocka_unit_test(counts_between_powers_of_two_are_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
