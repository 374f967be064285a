/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Timers: in order, moved, cancelled, with slack; and the kernel's timeout, which is what wakes a group that sleeps.
 * The file under test stands on stubs of the ring, and on a submission queue that no kernel looks at.
 */
#include <errno.h>
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

/* ---- the kernel's timeout ---- */

#define ENTRIES 2u

static struct io_uring_sqe sqes[ENTRIES];

static int setup_ring(void **state)
{
	static unsigned int head;
	struct io_uring_sq *sq = &group.ring.uring.sq;

	setup(state);
	sq->khead = &head;
	sq->sqes = sqes;
	sq->ring_entries = ENTRIES;
	sq->ring_mask = ENTRIES - 1;
	memset(sqes, 0xa5, sizeof(sqes));
	return 0;
}

static void arm_ring_for(struct nvmft_timer *timer, uint64_t delay_ns)
{
	nvmft_timer_arm(&group, timer, delay_ns, 0);
	assert_true(nvmft_timers_arm_ring(&group));
}

static unsigned int entries(void)
{
	return group.ring.uring.sq.sqe_tail;
}

static void without_timers_there_is_no_timeout(void **state)
{
	(void)state;
	assert_true(nvmft_timers_arm_ring(&group));
	assert_int_equal(ring_starts, 0);
}

static void timeout_is_as_long_as_the_first_timer(void **state)
{
	struct nvmft_timer first = {0}, second = {0};

	(void)state;
	nvmft_timer_arm(&group, &second, 5000000000u, 0);
	arm_ring_for(&first, 3000000007u);
	assert_int_equal(ring_starts, 1);
	assert_int_equal(group.timers.ts.tv_sec, 3);
	assert_int_equal(group.timers.ts.tv_nsec, 7);
}

/* Waking early is harmless. */
static void later_timer_leaves_the_timeout(void **state)
{
	struct nvmft_timer first = {0}, later = {0};

	(void)state;
	arm_ring_for(&first, 3000000000u);
	arm_ring_for(&later, 5000000000u);
	nvmft_timer_cancel(&group, &first);
	assert_true(nvmft_timers_arm_ring(&group));
	assert_int_equal(ring_starts, 1);
	assert_int_equal(entries(), 0);
}

static void earlier_timer_moves_the_timeout(void **state)
{
	const struct io_uring_sqe *sqe = &sqes[0];
	struct nvmft_timer first = {0}, earlier = {0};

	(void)state;
	arm_ring_for(&first, 3000000000u);
	arm_ring_for(&earlier, 1000000000u);
	assert_int_equal(ring_starts, 1);
	assert_int_equal(entries(), 1);
	assert_int_equal(sqe->opcode, IORING_OP_TIMEOUT_REMOVE);
	assert_int_equal(sqe->timeout_flags, IORING_TIMEOUT_UPDATE);
	assert_int_equal(sqe->addr, (uintptr_t)&group.timers.timeout_op);
	assert_int_equal(sqe->addr2, (uintptr_t)&group.timers.ts);
	assert_int_equal(group.timers.ts.tv_sec, 1);
	/* Its own end is nobody's: that of the timeout is still to come. */
	assert_int_equal(sqe->user_data, 0);
}

static void timeout_that_cannot_be_moved_is_moved_next_time(void **state)
{
	struct nvmft_timer first = {0}, earlier = {0};

	(void)state;
	arm_ring_for(&first, 3000000000u);
	while (io_uring_get_sqe(&group.ring.uring))
		;
	nvmft_timer_arm(&group, &earlier, 1000000000u, 0);
	assert_false(nvmft_timers_arm_ring(&group));
	group.ring.uring.sq.sqe_tail = 0;
	assert_true(nvmft_timers_arm_ring(&group));
	assert_int_equal(entries(), 1);
}

static void timeout_of_an_overdue_timer_is_short(void **state)
{
	struct nvmft_timer timer = {0};

	(void)state;
	nvmft_timer_arm(&group, &timer, 100, 0);
	group.now_ns += 200;
	assert_true(nvmft_timers_arm_ring(&group));
	assert_int_equal(group.timers.ts.tv_sec, 0);
	assert_in_range(group.timers.ts.tv_nsec, 1, 1000);
}

static void timeout_is_armed_again_when_it_is_over(void **state)
{
	struct nvmft_timer first = {0}, later = {0};
	struct nvmft_ring_op *op = &group.timers.timeout_op;

	(void)state;
	arm_ring_for(&first, 1000000000u);
	nvmft_timer_arm(&group, &later, 5000000000u, 0);
	nvmft_timer_cancel(&group, &first);
	op->state = 0;
	op->complete(op, -ETIME, 0);
	assert_true(nvmft_timers_arm_ring(&group));
	assert_int_equal(ring_starts, 2);
	assert_int_equal(group.timers.ts.tv_sec, 5);
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
		cmocka_unit_test_setup(without_timers_there_is_no_timeout, setup_ring),
		cmocka_unit_test_setup(timeout_is_as_long_as_the_first_timer, setup_ring),
		cmocka_unit_test_setup(later_timer_leaves_the_timeout, setup_ring),
		cmocka_unit_test_setup(earlier_timer_moves_the_timeout, setup_ring),
		cmocka_unit_test_setup(timeout_that_cannot_be_moved_is_moved_next_time, setup_ring),
		cmocka_unit_test_setup(timeout_of_an_overdue_timer_is_short, setup_ring),
		cmocka_unit_test_setup(timeout_is_armed_again_when_it_is_over, setup_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
