/* SPDX-License-Identifier: BSD-3-Clause */
/* Timers: in order, moved, cancelled, with slack. The file under test stands on stubs of the ring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "timer.c"

/* ---- neighbours ---- */

static unsigned int ring_starts;

void nvmft_ring_start(struct nvmft_poll_group *group, struct nvmft_ring_op *op)
{
	(void)group;
	op->state = 1;
	ring_starts++;
}

/* ---- tests ---- */

#define TIMERS 1000

struct test_timer {
	struct nvmft_timer timer;
	uint64_t deadline;
	unsigned int fired;
};

static struct nvmft_poll_group group;
static uint64_t last_deadline;

static void fired(struct nvmft_timer *timer)
{
	struct test_timer *t = container_of(timer, struct test_timer, timer);

	assert_true(t->deadline >= last_deadline);
	last_deadline = t->deadline;
	t->fired++;
}

static int setup(void **state)
{
	(void)state;
	memset(&group, 0, sizeof(group));
	group.now_ns = 1000000;
	last_deadline = 0;
	ring_starts = 0;
	return 0;
}

static void timers_fire_in_order(void **state)
{
	static struct test_timer t[TIMERS];
	uint64_t seed = 1;
	int i;

	(void)state;
	memset(t, 0, sizeof(t));
	for (i = 0; i < TIMERS; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		t[i].timer.fn = fired;
		t[i].deadline = group.now_ns + (seed >> 40);
		nvmft_timer_arm(&group, &t[i].timer, seed >> 40, 0);
	}
	while (group.timers.root) {
		group.now_ns = group.timers.root->deadline_ns;
		assert_true(nvmft_timers_run(&group) > 0);
	}
	for (i = 0; i < TIMERS; i++)
		assert_int_equal(t[i].fired, 1);
}

static void cancelled_timers_do_not_fire(void **state)
{
	static struct test_timer t[TIMERS];
	int i;

	(void)state;
	memset(t, 0, sizeof(t));
	for (i = 0; i < TIMERS; i++) {
		t[i].timer.fn = fired;
		t[i].deadline = group.now_ns + (uint64_t)(i * 7919 % TIMERS);
		nvmft_timer_arm(&group, &t[i].timer, (uint64_t)(i * 7919 % TIMERS), 0);
	}
	for (i = 0; i < TIMERS; i += 3)
		nvmft_timer_cancel(&group, &t[i].timer);
	group.now_ns += TIMERS;
	nvmft_timers_run(&group);
	for (i = 0; i < TIMERS; i++)
		assert_int_equal(t[i].fired, i % 3 != 0);
	assert_null(group.timers.root);
}

static void timer_does_not_fire_early(void **state)
{
	struct test_timer t = {.timer.fn = fired};

	(void)state;
	nvmft_timer_arm(&group, &t.timer, 100, 0);
	group.now_ns += 99;
	assert_int_equal(nvmft_timers_run(&group), 0);
	group.now_ns += 1;
	assert_int_equal(nvmft_timers_run(&group), 1);
	assert_false(t.timer.armed);
}

static void armed_timer_is_moved(void **state)
{
	struct test_timer t = {.timer.fn = fired};

	(void)state;
	nvmft_timer_arm(&group, &t.timer, 100, 0);
	nvmft_timer_arm(&group, &t.timer, 1000, 0);
	group.now_ns += 100;
	assert_int_equal(nvmft_timers_run(&group), 0);
	group.now_ns += 900;
	assert_int_equal(nvmft_timers_run(&group), 1);
	assert_int_equal(t.fired, 1);
}

static void slack_aligns_and_never_shortens(void **state)
{
	struct test_timer a = {.timer.fn = fired}, b = {.timer.fn = fired};

	(void)state;
	nvmft_timer_arm(&group, &a.timer, 1, 500);
	nvmft_timer_arm(&group, &b.timer, 499, 500);
	assert_int_equal(a.timer.deadline_ns, b.timer.deadline_ns);
	assert_int_equal(a.timer.deadline_ns % 500, 0);
	assert_true(b.timer.deadline_ns >= group.now_ns + 499);
}

static void rearm(struct nvmft_timer *timer)
{
	nvmft_timer_arm(&group, timer, 10, 0);
}

static void timer_may_arm_itself_again(void **state)
{
	struct nvmft_timer t = {.fn = rearm};
	int i;

	(void)state;
	nvmft_timer_arm(&group, &t, 10, 0);
	for (i = 0; i < 5; i++) {
		group.now_ns += 10;
		assert_int_equal(nvmft_timers_run(&group), 1);
	}
	assert_true(t.armed);
}

static void kernel_timeout_is_armed_once(void **state)
{
	struct test_timer a = {.timer.fn = fired}, b = {.timer.fn = fired};

	(void)state;
	nvmft_timers_arm_ring(&group);
	assert_int_equal(ring_starts, 0);
	nvmft_timer_arm(&group, &a.timer, 3000000000u, 0);
	nvmft_timers_arm_ring(&group);
	assert_int_equal(ring_starts, 1);
	assert_int_equal(group.timers.ts.tv_sec, 3);
	/* A later one changes nothing: waking early is harmless. */
	nvmft_timer_arm(&group, &b.timer, 5000000000u, 0);
	nvmft_timers_arm_ring(&group);
	assert_int_equal(ring_starts, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(timers_fire_in_order, setup),
		cmocka_unit_test_setup(cancelled_timers_do_not_fire, setup),
		cmocka_unit_test_setup(timer_does_not_fire_early, setup),
		cmocka_unit_test_setup(armed_timer_is_moved, setup),
		cmocka_unit_test_setup(slack_aligns_and_never_shortens, setup),
		cmocka_unit_test_setup(timer_may_arm_itself_again, setup),
		cmocka_unit_test_setup(kernel_timeout_is_armed_once, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
