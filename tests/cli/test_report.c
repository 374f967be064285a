/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture.h"

static int setup(void **state)
{
	struct capture *c = calloc(1, sizeof(*c));

	capture_open(c, "f.json");
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	struct capture *c = *state;

	capture_close(c);
	free(c);
	return 0;
}

static void names_file_key_value_and_expectation(void **state)
{
	struct capture *c = *state;

	report_key(&c->r, "ports");
	report_index(&c->r, 3);
	report_key(&c->r, "portid");
	report_error(&c->r, "x", "expected %s", "a number");
	assert_string_equal(said(c), "f.json: ports[3].portid: x: expected a number\n");
	assert_int_equal(c->r.errors, 1);
}

static void goes_back_to_a_place(void **state)
{
	struct capture *c = *state;
	size_t place = report_key(&c->r, "a");

	report_leave(&c->r, place);
	report_key(&c->r, "b");
	report_error(&c->r, "v", "w");
	assert_string_equal(said(c), "f.json: b: v: w\n");
}

static void warnings_are_no_errors(void **state)
{
	struct capture *c = *state;

	report_warning_at(&c->r, "hosts[0]", "nqn", "v", "w");
	assert_string_equal(said(c), "f.json: hosts[0].nqn: v: warning: w\n");
	assert_int_equal(c->r.errors, 0);
	assert_int_equal(c->r.warnings, 1);
}

static void escapes_control_bytes(void **state)
{
	struct capture *c = *state;

	report_error(&c->r, "a\x1b[31m\nb", "w");
	assert_string_equal(said(c), "f.json: a\\x1b[31m\\x0ab: w\n");
}

static void cuts_long_values(void **state)
{
	struct capture *c = *state;
	char value[1000];

	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	report_error(&c->r, value, "w");
	assert_non_null(strstr(said(c), "v...: w\n"));
	assert_true(strlen(said(c)) < 300);
}

static void a_path_without_end_is_cut(void **state)
{
	struct capture *c = *state;

	for (int i = 0; i < 1000; i++)
		report_key(&c->r, "key");
	report_error(&c->r, "v", "w");
	assert_true(strlen(c->r.path) < sizeof(c->r.path));
}

static void shows_empty_and_missing_values(void **state)
{
	struct capture *c = *state;

	report_error(&c->r, "", "w");
	report_error(&c->r, NULL, "w");
	assert_string_equal(said(c), "f.json: \"\": w\nf.json: (missing): w\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_file_key_value_and_expectation, setup, teardown),
		cmocka_unit_test_setup_teardown(goes_back_to_a_place, setup, teardown),
		cmocka_unit_test_setup_teardown(warnings_are_no_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(escapes_control_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(cuts_long_values, setup, teardown),
		cmocka_unit_test_setup_teardown(a_path_without_end_is_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(shows_empty_and_missing_values, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
