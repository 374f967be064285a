/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations on the group's ring that end early, at each point of their way; and sleeping. The ring is a real one. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ring.c"

/* ---- neighbours ---- */

void nvmft_log(struct nvmft_target *target, enum nvmft_log_level level, const char *format, ...)
{
	(void)target;
	(void)level;
	(void)format;
}

/* ---- tests ---- */

struct test_op {
	struct nvmft_ring_op op;
	int fd; /* waits until it is readable; -1: a no-operation */
	unsigned int prepared, completed;
	int res;
	uint64_t count;
};

static struct nvmft_poll_group group;
static int event;
static struct test_op many[RING_CQ_ENTRIES * 2 + 16];

static void test_prep(struct nvmft_ring_op *op, struct io_uring_sqe *sqe)
{
	struct test_op *t = container_of(op, struct test_op, op);

	t->prepared++;
	if (t->fd < 0)
		io_uring_prep_nop(sqe);
	else
		io_uring_prep_poll_add(sqe, t->fd, POLLIN);
}

static void test_complete(struct nvmft_ring_op *op, int res, unsigned int flags)
{
	struct test_op *t = container_of(op, struct test_op, op);

	(void)flags;
	t->completed++;
	t->res = res;
}

static void start(struct test_op *t, int fd)
{
	*t = (struct test_op){.op = {.prep = test_prep, .complete = test_complete}, .fd = fd};
	nvmft_ring_start(&group, &t->op);
}

/* On the heap, so that a sanitizer sees every use after it is freed. */
static struct test_op *start_new(int fd)
{
	struct test_op *t = malloc(sizeof(*t));

	assert_non_null(t);
	start(t, fd);
	return t;
}

static void forget(struct test_op *t)
{
	nvmft_ring_forget(&group, &t->op);
	assert_false(nvmft_ring_started(&t->op));
	assert_int_equal(t->completed, 0);
	free(t);
}

static int pass(void)
{
	int n = nvmft_ring_reap(&group);

	nvmft_ring_submit(&group, false);
	return n;
}

static void settle(void)
{
	for (int idle = 0; idle < 3;)
		idle = pass() ? 0 : idle + 1;
}

static void signal_event(void)
{
	uint64_t one = 1;

	assert_int_equal(write(event, &one, sizeof(one)), sizeof(one));
}

/* Not enabled, the ring takes as many operations as it has entries, and gives none to the kernel. */
static void fill_submission_queue(void)
{
	for (unsigned int i = 0; i < RING_ENTRIES; i++)
		start(&many[i], -1);
	assert_null(io_uring_get_sqe(&group.ring.uring));
}

static void assert_filling_completes(void)
{
	settle();
	for (unsigned int i = 0; i < RING_ENTRIES; i++)
		assert_int_equal(many[i].completed, 1);
}

static int setup_disabled(void **state)
{
	(void)state;
	memset(&group, 0, sizeof(group));
	event = eventfd(0, EFD_CLOEXEC);
	return event < 0 ? -1 : nvmft_ring_init(&group);
}

static void enable(void)
{
	assert_int_equal(nvmft_ring_enable(&group), 0);
	group.owner = pthread_self();
	group.owned = true;
}

static int setup(void **state)
{
	int ret = setup_disabled(state);

	if (!ret)
		enable();
	return ret;
}

static int teardown(void **state)
{
	(void)state;
	nvmft_ring_fini(&group);
	close(event);
	return 0;
}

static void an_operation_that_the_kernel_has_is_forgotten(void **state)
{
	struct test_op *t = start_new(event);

	(void)state;
	pass();
	forget(t);
	signal_event();
	settle();
}

static void read_prep(struct nvmft_ring_op *op, struct io_uring_sqe *sqe)
{
	struct test_op *t = container_of(op, struct test_op, op);

	t->prepared++;
	io_uring_prep_read(sqe, t->fd, &t->count, sizeof(t->count), 0);
}

/* What the operation reads into is on the heap, too. */
static void a_read_that_the_kernel_has_is_forgotten(void **state)
{
	struct test_op *t = malloc(sizeof(*t));

	(void)state;
	assert_non_null(t);
	*t = (struct test_op){.op = {.prep = read_prep, .complete = test_complete}, .fd = event};
	nvmft_ring_start(&group, &t->op);
	pass();
	forget(t);
	signal_event();
	settle();
}

static void an_operation_that_was_not_submitted_is_forgotten(void **state)
{
	struct test_op *t = start_new(event);

	(void)state;
	assert_int_equal(t->prepared, 1);
	forget(t);
	signal_event();
	settle();
}

static void an_operation_that_has_completed_is_forgotten(void **state)
{
	struct test_op *t = start_new(event);

	(void)state;
	signal_event();
	nvmft_ring_submit(&group, false);
	nvmft_ring_submit(&group, false);
	assert_int_equal(io_uring_cq_ready(&group.ring.uring), 1);
	forget(t);
	settle();
}

static void a_waiting_operation_is_forgotten_before_its_prep(void **state)
{
	struct test_op *t, behind;

	(void)state;
	fill_submission_queue();
	t = start_new(event);
	assert_int_equal(t->prepared, 0);
	forget(t);
	start(&behind, -1);
	enable();
	assert_filling_completes();
	assert_int_equal(behind.completed, 1);
}

static void one_of_several_waiting_operations_is_forgotten(void **state)
{
	struct test_op *t[3];

	(void)state;
	fill_submission_queue();
	for (int i = 0; i < 3; i++)
		t[i] = start_new(-1);
	forget(t[1]);
	enable();
	assert_filling_completes();
	assert_int_equal(t[0]->completed, 1);
	assert_int_equal(t[2]->completed, 1);
	free(t[0]);
	free(t[2]);
}

static void forgetting_needs_no_submission_entry(void **state)
{
	struct test_op *t = start_new(event);

	(void)state;
	pass();
	/* As with a kernel that takes no more submissions. */
	group.ring.enabled = false;
	fill_submission_queue();
	forget(t);
	group.ring.enabled = true;
	assert_filling_completes();
}

/* A cancel that was asked for before must not hit what is started at the same place later. */
static void a_cancel_on_its_way_is_forgotten_too(void **state)
{
	struct test_op t;

	(void)state;
	start(&t, event);
	pass();
	nvmft_ring_cancel(&group, &t.op);
	nvmft_ring_forget(&group, &t.op);
	start(&t, event);
	settle();
	assert_int_equal(t.completed, 0);
	signal_event();
	settle();
	assert_int_equal(t.completed, 1);
	assert_int_equal(t.res, POLLIN);
}

static void forgetting_what_is_not_started_does_nothing(void **state)
{
	struct test_op t;

	(void)state;
	start(&t, -1);
	settle();
	nvmft_ring_forget(&group, &t.op);
	settle();
	assert_int_equal(t.completed, 1);
}

/* More completions than the queue holds: the kernel keeps back the one that is looked for. */
static void forgetting_finds_its_completion_behind_a_full_queue(void **state)
{
	struct test_op *t = start_new(event), *early = start_new(-1);

	(void)state;
	nvmft_ring_submit(&group, false);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		start(&many[i], -1);
	nvmft_ring_submit(&group, false);
	assert_int_equal(io_uring_cq_ready(&group.ring.uring), RING_CQ_ENTRIES);
	signal_event();
	forget(t);
	/* This one has been taken out of the queue with those that were in the way. */
	forget(early);
	assert_false(nvmft_ring_idle(&group));
	settle();
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		assert_int_equal(many[i].completed, 1);
	assert_true(nvmft_ring_idle(&group));
}

static struct test_op *victim;

static void forget_victim(struct nvmft_ring_op *op, int res, unsigned int flags)
{
	test_complete(op, res, flags);
	forget(victim);
	victim = NULL;
}

static void a_completion_may_forget_the_next_one(void **state)
{
	struct test_op t;

	(void)state;
	start(&t, -1);
	t.op.complete = forget_victim;
	victim = start_new(-1);
	settle();
	assert_null(victim);
	assert_int_equal(t.completed, 1);
}

static void *forget_elsewhere(void *arg)
{
	nvmft_ring_forget(&group, arg);
	return NULL;
}

/* As when a target is destroyed by another thread than the one that polled. */
static void forgetting_returns_on_a_thread_that_is_not_the_owner(void **state)
{
	struct test_op t;
	pthread_t thread;

	(void)state;
	start(&t, event);
	pass();
	assert_int_equal(pthread_create(&thread, NULL, forget_elsewhere, &t.op), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_false(nvmft_ring_started(&t.op));
}

static void cancelling_ends_an_operation_that_the_kernel_has(void **state)
{
	struct test_op t;

	(void)state;
	start(&t, event);
	pass();
	nvmft_ring_cancel(&group, &t.op);
	assert_int_equal(t.completed, 0);
	settle();
	assert_int_equal(t.completed, 1);
	assert_int_equal(t.res, -ECANCELED);
}

static void cancelling_an_operation_that_was_not_submitted_ends_it(void **state)
{
	struct test_op t;

	(void)state;
	start(&t, event);
	nvmft_ring_cancel(&group, &t.op);
	assert_int_equal(t.completed, 0);
	settle();
	assert_int_equal(t.completed, 1);
	assert_int_equal(t.res, -ECANCELED);
}

static void cancelling_a_waiting_operation_ends_it_without_prep(void **state)
{
	struct test_op t;

	(void)state;
	fill_submission_queue();
	start(&t, event);
	nvmft_ring_cancel(&group, &t.op);
	assert_int_equal(t.completed, 0);
	enable();
	assert_filling_completes();
	assert_int_equal(t.prepared, 0);
	assert_int_equal(t.completed, 1);
	assert_int_equal(t.res, -ECANCELED);
}

static void cancelling_needs_no_submission_entry(void **state)
{
	struct test_op t;

	(void)state;
	start(&t, event);
	pass();
	group.ring.enabled = false;
	fill_submission_queue();
	nvmft_ring_cancel(&group, &t.op);
	group.ring.enabled = true;
	assert_filling_completes();
	assert_int_equal(t.completed, 1);
	assert_int_equal(t.res, -ECANCELED);
}

/* ---- sleeping ---- */

static bool readable(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, 0) == 1;
}

/* As nvmft_poll_group_arm() does it. */
static void arm(struct nvmft_wake *wake)
{
	nvmft_ring_arm(&group.ring);
	if (wake)
		assert_int_equal(nvmft_wake_arm(wake), 0);
	nvmft_ring_submit(&group, false);
	assert_true(nvmft_ring_idle(&group));
}

static void a_completion_ends_a_sleep_on_the_descriptor(void **state)
{
	struct test_op t;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	start(&t, fds[0]);
	pass();
	arm(NULL);
	assert_false(readable(group.ring.epoll_fd));
	assert_int_equal(write(fds[1], "", 1), 1);
	assert_true(readable(group.ring.epoll_fd));
	nvmft_ring_disarm(&group.ring);
	settle();
	assert_int_equal(t.completed, 1);
	arm(NULL);
	assert_false(readable(group.ring.epoll_fd));
	close(fds[0]);
	close(fds[1]);
}

/* Whatever is not looked for is not signalled. */
static void a_completion_while_awake_does_not_show(void **state)
{
	struct test_op t;

	(void)state;
	arm(NULL);
	nvmft_ring_disarm(&group.ring);
	start(&t, -1);
	settle();
	assert_int_equal(t.completed, 1);
	assert_false(readable(group.ring.epoll_fd));
}

static void a_wake_ends_every_sleep_on_the_descriptor(void **state)
{
	struct nvmft_wake wake;

	(void)state;
	nvmft_wake_init(&wake, &group, event);
	for (int i = 0; i < 3; i++) {
		arm(&wake);
		assert_false(readable(group.ring.epoll_fd));
		signal_event();
		assert_true(readable(group.ring.epoll_fd));
		nvmft_ring_disarm(&group.ring);
		/* Not by the way of the ring, which is late. */
		assert_int_equal(pass(), 0);
	}
	nvmft_wake_fini(&wake);
}

static void a_wake_ends_every_sleep_in_the_ring(void **state)
{
	struct nvmft_wake wake;

	(void)state;
	nvmft_wake_init(&wake, &group, event);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(nvmft_wake_arm(&wake), 0);
		assert_int_equal(nvmft_wake_arm(&wake), 0);
		assert_int_equal(pass(), 0);
		signal_event();
		nvmft_ring_submit(&group, true);
		assert_int_equal(nvmft_ring_reap(&group), 1);
		/* It would end the next sleep, too. */
		assert_false(readable(event));
	}
	nvmft_wake_fini(&wake);
}

/* More than are asked for in one go. */
static void wakes_of_the_time_before_do_not_end_a_sleep(void **state)
{
	struct nvmft_wake wakes[40];
	uint64_t one = 1;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(wakes); i++) {
		nvmft_wake_init(&wakes[i], &group, eventfd(0, EFD_CLOEXEC));
		arm(&wakes[i]);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(wakes); i++)
		assert_int_equal(write(wakes[i].fd, &one, sizeof(one)), sizeof(one));
	assert_true(readable(group.ring.epoll_fd));
	arm(&wakes[0]);
	assert_false(readable(group.ring.epoll_fd));
	for (unsigned int i = 0; i < ARRAY_SIZE(wakes); i++) {
		nvmft_wake_fini(&wakes[i]);
		close(wakes[i].fd);
	}
}

static void a_wake_that_has_ended_wakes_nobody(void **state)
{
	struct nvmft_wake wake;

	(void)state;
	nvmft_wake_init(&wake, &group, event);
	assert_int_equal(nvmft_wake_arm(&wake), 0);
	pass();
	arm(&wake);
	nvmft_wake_fini(&wake);
	assert_false(nvmft_ring_started(&wake.op));
	settle();
	arm(NULL);
	signal_event();
	assert_false(readable(group.ring.epoll_fd));
	assert_int_equal(pass(), 0);
}

static void a_wake_that_the_kernel_refuses_keeps_the_group_awake(void **state)
{
	struct nvmft_wake wake;

	(void)state;
	nvmft_wake_init(&wake, &group, -1);
	nvmft_ring_arm(&group.ring);
	assert_int_equal(nvmft_wake_arm(&wake), -EAGAIN);
	nvmft_wake_fini(&wake);
}

#define RING_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define DISABLED_RING_TEST(name) cmocka_unit_test_setup_teardown(name, setup_disabled, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(an_operation_that_the_kernel_has_is_forgotten),
		RING_TEST(a_read_that_the_kernel_has_is_forgotten),
		RING_TEST(an_operation_that_was_not_submitted_is_forgotten),
		RING_TEST(an_operation_that_has_completed_is_forgotten),
		DISABLED_RING_TEST(a_waiting_operation_is_forgotten_before_its_prep),
		DISABLED_RING_TEST(one_of_several_waiting_operations_is_forgotten),
		RING_TEST(forgetting_needs_no_submission_entry),
		RING_TEST(a_cancel_on_its_way_is_forgotten_too),
		RING_TEST(forgetting_what_is_not_started_does_nothing),
		RING_TEST(forgetting_finds_its_completion_behind_a_full_queue),
		RING_TEST(a_completion_may_forget_the_next_one),
		RING_TEST(forgetting_returns_on_a_thread_that_is_not_the_owner),
		RING_TEST(cancelling_ends_an_operation_that_the_kernel_has),
		RING_TEST(cancelling_an_operation_that_was_not_submitted_ends_it),
		DISABLED_RING_TEST(cancelling_a_waiting_operation_ends_it_without_prep),
		RING_TEST(cancelling_needs_no_submission_entry),
		RING_TEST(a_completion_ends_a_sleep_on_the_descriptor),
		RING_TEST(a_completion_while_awake_does_not_show),
		RING_TEST(a_wake_ends_every_sleep_on_the_descriptor),
		RING_TEST(a_wake_ends_every_sleep_in_the_ring),
		RING_TEST(wakes_of_the_time_before_do_not_end_a_sleep),
		RING_TEST(a_wake_that_has_ended_wakes_nobody),
		RING_TEST(a_wake_that_the_kernel_refuses_keeps_the_group_awake),
	};

	return cmocka_run_group_tests_name("unit", tests, NULL, NULL);
}
