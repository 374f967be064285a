/* SPDX-License-Identifier: BSD-3-Clause */
/* The keep alive timer on a fake clock. */
#include "admin_util.h"

static int setup(void **state)
{
	static const struct th_ctrl_opts opts = {.kato_ms = 5000};

	return admin_setup_opts(state, NULL, NULL, &opts);
}

static int setup_two_groups(void **state)
{
	static const struct th_opts opts = {.groups = 2};
	static const struct th_ctrl_opts ctrl = {.kato_ms = 5000, .io_queues = 2};

	return admin_setup_opts(state, &opts, NULL, &ctrl);
}

static bool alive(struct admin_world *w)
{
	th_settle(&w->t);
	return !atomic_load(&w->ctrl.admin.disconnected);
}

static void keep_alive(struct admin_world *w)
{
	struct nvmft_sqe sqe;

	th_sqe_init(&sqe, 0x18, 0);
	assert_int_equal(admin_exec(w, &sqe, NULL, 0), 0);
}

/* From here on the time since the last command is known. */
static void restart(struct admin_world *w)
{
	keep_alive(w);
	assert_true(alive(w));
}

static void a_silent_host_is_disconnected(void **state)
{
	struct admin_world *w = *state;

	restart(w);
	th_advance_ms(&w->t, 5000);
	th_advance_ms(&w->t, 5500);
	assert_false(alive(w));
	assert_true(atomic_load(&w->ctrl.io[0].disconnected));
	assert_true(th_log_has(&w->t, "keep alive timeout"));
}

static void not_before_the_timeout_has_passed(void **state)
{
	struct admin_world *w = *state;

	restart(w);
	th_advance_ms(&w->t, 4999);
	assert_true(alive(w));
}

static void keep_alive_commands_keep_alive(void **state)
{
	struct admin_world *w = *state;

	for (unsigned int i = 0; i < 20; i++) {
		th_advance_ms(&w->t, 4000);
		keep_alive(w);
	}
	assert_true(alive(w));
}

static void io_keeps_alive(void **state)
{
	struct admin_world *w = *state;
	unsigned char data[512];

	for (unsigned int i = 0; i < 20; i++) {
		th_advance_ms(&w->t, 4000);
		assert_int_equal(th_read(&w->ctrl, 1, 0, 1, data, sizeof(data)), 0);
	}
	assert_true(alive(w));
}

static void a_new_timeout_counts_from_now(void **state)
{
	struct admin_world *w = *state;

	assert_int_equal(admin_set_feature(w, 0x0f, 60000), 0);
	th_advance_ms(&w->t, 50000);
	assert_true(alive(w));
	th_advance_ms(&w->t, 60000);
	th_advance_ms(&w->t, 61000);
	assert_false(alive(w));
}

static void a_timeout_of_zero_waits_forever(void **state)
{
	struct admin_world *w = *state;

	assert_int_equal(admin_set_feature(w, 0x0f, 0), 0);
	for (unsigned int i = 0; i < 10; i++)
		th_advance_ms(&w->t, 86400000);
	assert_true(alive(w));
}

static void a_controller_without_a_timeout_waits_forever(void **state)
{
	struct admin_world *w = *state;

	th_advance_ms(&w->t, 86400000);
	assert_true(alive(w));
}

#define KATO(name) cmocka_unit_test_setup_teardown(name, setup, admin_teardown)
#define KATO_TWO(name) cmocka_unit_test_setup_teardown(name, setup_two_groups, admin_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		KATO(a_silent_host_is_disconnected),
		KATO_TWO(a_silent_host_is_disconnected),
		KATO(not_before_the_timeout_has_passed),
		KATO(keep_alive_commands_keep_alive),
		KATO(io_keeps_alive),
		KATO_TWO(io_keeps_alive),
		KATO(a_new_timeout_counts_from_now),
		KATO(a_timeout_of_zero_waits_forever),
		ADMIN_TEST(a_controller_without_a_timeout_waits_forever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
