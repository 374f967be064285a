/* SPDX-License-Identifier: BSD-3-Clause */
/* The loop: three ways to drive it, sleeping and waking, calls from other threads. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "host.h"

static atomic_uint yields;

/* In place of libc's, for the library, too. */
int sched_yield(void)
{
	yields++;
	return (int)syscall(SYS_sched_yield);
}

/* A target with the real clock: what sleeps here is the kernel. */
static struct nvmft_target *new_target(void)
{
	struct nvmft_target *target;

	assert_int_equal(nvmft_target_create(NULL, &target), 0);
	return target;
}

struct stop {
	struct nvmft_done done;
	atomic_bool stopped;
};

static void stopped(struct nvmft_done *done, int result)
{
	struct stop *stop = (struct stop *)(void *)done;

	assert_int_equal(result, 0);
	stop->stopped = true;
}

/* By threads that run. */
static void stop_and_wait(struct nvmft_target *target)
{
	struct stop stop = {.done.fn = stopped};

	assert_int_equal(nvmft_target_stop(target, &stop.done), 0);
	while (!stop.stopped)
		usleep(100);
}

/* ---- a group that the test drives ---- */

struct fixture {
	struct nvmft_target *target;
	struct nvmft_poll_group *group;
};

static int setup(void **state)
{
	static struct fixture f;

	f.target = new_target();
	assert_int_equal(nvmft_poll_group_create(f.target, &f.group), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct stop stop = {.done.fn = stopped};

	assert_int_equal(nvmft_target_stop(f->target, &stop.done), 0);
	assert_false(stop.stopped);
	while (!stop.stopped)
		nvmft_poll(f->group, 0);
	assert_int_equal(nvmft_target_stop(f->target, &stop.done), -EALREADY);
	assert_int_equal(nvmft_target_destroy(f->target), 0);
	return 0;
}

static bool readable(int fd, int timeout_ms)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, timeout_ms) == 1;
}

static void settle(struct nvmft_poll_group *group)
{
	int i;

	for (i = 0; i < 100; i++) {
		while (nvmft_poll(group, 0) > 0)
			;
		if (nvmft_poll_group_arm(group) == 0)
			return;
	}
	fail_msg("the group is never idle");
}

static void idle_group_can_be_slept_on(void **state)
{
	struct fixture *f = *state;

	settle(f->group);
	assert_false(readable(nvmft_poll_group_fd(f->group), 20));
}

struct counted_call {
	struct nvmft_call call;
	int calls;
};

static void count_call(struct nvmft_call *call)
{
	((struct counted_call *)(void *)call)->calls++;
}

static void call_wakes_a_sleeping_group(void **state)
{
	struct counted_call c = {.call.fn = count_call};
	struct fixture *f = *state;

	settle(f->group);
	nvmft_poll_group_call(f->group, &c.call);
	assert_int_equal(c.calls, 0);
	assert_true(readable(nvmft_poll_group_fd(f->group), 1000));
	while (nvmft_poll(f->group, 0) > 0)
		;
	assert_int_equal(c.calls, 1);
}

static void call_before_sleeping_is_not_slept_over(void **state)
{
	struct counted_call c = {.call.fn = count_call};
	struct fixture *f = *state;

	settle(f->group);
	nvmft_poll(f->group, 0);
	nvmft_poll_group_call(f->group, &c.call);
	assert_int_equal(nvmft_poll_group_arm(f->group), -EAGAIN);
	settle(f->group);
	assert_int_equal(c.calls, 1);
}

static void every_call_wakes_a_sleeping_group(void **state)
{
	struct counted_call c = {.call.fn = count_call};
	struct fixture *f = *state;

	for (int i = 1; i <= 3; i++) {
		settle(f->group);
		nvmft_poll_group_call(f->group, &c.call);
		assert_true(readable(nvmft_poll_group_fd(f->group), 1000));
		settle(f->group);
		assert_int_equal(c.calls, i);
	}
}

#define RALLY 10000

struct rally {
	struct nvmft_call call;
	struct nvmft_poll_group *group;
	atomic_int calls;
};

static void count_rally(struct nvmft_call *call)
{
	((struct rally *)(void *)call)->calls++;
}

static void *call_again_and_again(void *arg)
{
	struct rally *r = arg;

	for (int i = 0; i < RALLY; i++) {
		nvmft_poll_group_call(r->group, &r->call);
		while (r->calls <= i)
			sched_yield();
		/* A little later each time: while the group looks for more, arms, falls asleep, sleeps. */
		for (int later = i % 200 * 50; later > 0; later--)
			atomic_signal_fence(memory_order_seq_cst);
	}
	return NULL;
}

static void no_call_is_slept_over(void **state)
{
	struct fixture *f = *state;
	struct rally r = {.call.fn = count_rally, .group = f->group};
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, call_again_and_again, &r), 0);
	while (r.calls < RALLY)
		if (nvmft_poll(r.group, 0) == 0 && nvmft_poll_group_arm(r.group) == 0)
			assert_true(readable(nvmft_poll_group_fd(r.group), 10000));
	pthread_join(thread, NULL);
}

/* A socket's completion is deferred work of the kernel: this is what a host's epoll must be woken for. */
static void connection_wakes_a_sleeping_group(void **state)
{
	struct nvmft_port_opts opts = {
		.size = sizeof(opts), .transport = nvmft_transport_tcp(), .traddr = "127.0.0.1", .trsvcid = "0"};
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct fixture *f = *state;
	char traddr[256], trsvcid[32];
	struct nvmft_port *port;
	int fd;

	assert_int_equal(nvmft_port_add(f->target, &opts, &port), 0);
	nvmft_port_address(port, traddr, trsvcid);
	settle(f->group);
	assert_false(readable(nvmft_poll_group_fd(f->group), 20));
	addr.sin_port = htons((uint16_t)atoi(trsvcid));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_true(readable(nvmft_poll_group_fd(f->group), 1000));
	settle(f->group);
	assert_false(readable(nvmft_poll_group_fd(f->group), 20));
	assert_int_equal(write(fd, "garbage!", 8), 8);
	assert_true(readable(nvmft_poll_group_fd(f->group), 1000));
	close(fd);
}

static void configuration_wakes_a_sleeping_group(void **state)
{
	struct nvmft_subsystem_opts opts = {.size = sizeof(opts), .nqn = TH_NQN};
	struct fixture *f = *state;

	settle(f->group);
	assert_int_equal(nvmft_subsystem_create(f->target, &opts, NULL), 0);
	assert_true(readable(nvmft_poll_group_fd(f->group), 1000));
}

static void *poll_as_another(void *arg)
{
	return (void *)(intptr_t)nvmft_poll(arg, 0);
}

static void group_belongs_to_the_first_thread(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	void *ret;

	nvmft_poll(f->group, 0);
	assert_int_equal(pthread_create(&thread, NULL, poll_as_another, f->group), 0);
	pthread_join(thread, &ret);
	assert_int_equal((intptr_t)ret, -EOWNERDEAD);
}

struct waiter {
	struct nvmft_poll_group *group;
	atomic_bool stop;
};

static void *wait_in_poll(void *arg)
{
	struct waiter *w = arg;

	while (!w->stop)
		nvmft_poll(w->group, NVMFT_POLL_WAIT);
	return NULL;
}

static void waiting_poll_returns_when_called(void **state)
{
	struct counted_call c = {.call.fn = count_call};
	struct nvmft_target_stats stats = {.size = sizeof(stats)};
	struct nvmft_target *target = new_target();
	struct waiter w = {0};
	pthread_t thread;

	(void)state;
	assert_int_equal(nvmft_poll_group_create(target, &w.group), 0);
	assert_int_equal(pthread_create(&thread, NULL, wait_in_poll, &w), 0);
	do
		assert_int_equal(nvmft_target_stats(target, &stats), 0);
	while (!stats.sleeps);
	stop_and_wait(target);
	w.stop = true;
	nvmft_poll_group_call(w.group, &c.call);
	pthread_join(thread, NULL);
	assert_int_equal(nvmft_target_destroy(target), 0);
	assert_int_equal(c.calls, 1);
}

static void threads_of_the_library_come_and_go(void **state)
{
	static const enum nvmft_poll_mode modes[] = {NVMFT_POLL_ADAPTIVE, NVMFT_POLL_ALWAYS, NVMFT_POLL_NEVER};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct nvmft_threads_opts opts = {.size = sizeof(opts), .threads = 3, .mode = modes[i]};
		struct nvmft_target *target = new_target();

		assert_int_equal(nvmft_threads_start(target, &opts), 0);
		assert_int_equal(nvmft_threads_start(target, &opts), -EALREADY);
		stop_and_wait(target);
		nvmft_threads_stop(target);
		assert_int_equal(nvmft_target_destroy(target), 0);
	}
}

static void stop_threads(struct nvmft_target *target)
{
	struct stop stop = {.done.fn = stopped};

	assert_int_equal(nvmft_target_stop(target, &stop.done), 0);
	while (!stop.stopped)
		usleep(100);
	assert_int_equal(nvmft_target_destroy(target), 0);
}

static void a_thread_that_spins_lets_others_go_first(void **state)
{
	struct nvmft_threads_opts opts = {.size = sizeof(opts), .mode = NVMFT_POLL_ALWAYS};
	struct nvmft_target *target = new_target();

	(void)state;
	yields = 0;
	assert_int_equal(nvmft_threads_start(target, &opts), 0);
	while (!yields)
		usleep(100);
	stop_threads(target);
}

static void a_thread_that_does_not_spin_need_not(void **state)
{
	struct nvmft_threads_opts opts = {.size = sizeof(opts), .mode = NVMFT_POLL_NEVER};
	struct nvmft_target *target = new_target();

	(void)state;
	yields = 0;
	assert_int_equal(nvmft_threads_start(target, &opts), 0);
	usleep(10000);
	stop_threads(target);
	assert_int_equal(yields, 0);
}

static void bad_thread_options_leave_nothing(void **state)
{
	int cpu = 100000;
	struct nvmft_threads_opts opts = {.size = sizeof(opts), .cpus = &cpu, .ncpus = 1};
	struct nvmft_target *target = new_target();

	(void)state;
	assert_int_equal(nvmft_threads_start(target, &opts), -EINVAL);
	opts.ncpus = 0;
	opts.mode = (enum nvmft_poll_mode)77;
	assert_int_equal(nvmft_threads_start(target, &opts), -EINVAL);
	/* A CPU that this machine does not have: the failure comes from the system. */
	cpu = 1000;
	opts = (struct nvmft_threads_opts){.size = sizeof(opts), .cpus = &cpu, .ncpus = 1, .threads = 2};
	assert_int_equal(nvmft_threads_start(target, &opts), -EINVAL);
	assert_int_equal(nvmft_target_destroy(target), 0);
}

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void idle_threads_use_no_cpu(void **state)
{
	struct nvmft_threads_opts opts = {.size = sizeof(opts), .threads = 2};
	struct nvmft_target *target = new_target();
	uint64_t before;

	(void)state;
	assert_int_equal(nvmft_threads_start(target, &opts), 0);
	usleep(50000);
	before = cpu_ns();
	usleep(300000);
	assert_true(cpu_ns() - before < 3000000);
	stop_and_wait(target);
	assert_int_equal(nvmft_target_destroy(target), 0);
}

/* What could end with a completion would end, after nvmft_target_stop() is done, without a thread to carry it. */
static void nothing_is_changed_after_stopping(void **state)
{
	const struct nvmft_referral_opts referral = {.size = sizeof(referral), .traddr = "127.0.0.1"};
	const struct nvmft_null_opts null = {.size = sizeof(null), .bytes = 1 << 20};
	const struct nvmft_namespace_opts more = {
		.size = sizeof(more), .backend = nvmft_backend_null(), .backend_opts = &null};
	struct stop stop = {.done.fn = stopped};
	struct nvmft_subsystem *subsys;
	struct nvmft_namespace *ns;
	struct nvmft_host *host;
	struct th t;

	(void)state;
	th_start(&t, NULL);
	subsys = th_add_subsystem(&t, TH_NQN);
	ns = th_add_null(subsys, 1 << 20, 512);
	assert_int_equal(nvmft_host_create(t.target, TH_HOSTNQN, &host), 0);
	assert_int_equal(nvmft_target_stop(t.target, &stop.done), 0);
	assert_int_equal(nvmft_namespace_add(subsys, &more, NULL), -ESHUTDOWN);
	assert_int_equal(nvmft_namespace_refresh(ns), -ESHUTDOWN);
	assert_int_equal(nvmft_namespace_remove(ns, NULL), -ESHUTDOWN);
	assert_int_equal(nvmft_subsystem_allow_host(subsys, host), -ESHUTDOWN);
	assert_int_equal(nvmft_subsystem_deny_host(subsys, host), -ESHUTDOWN);
	assert_int_equal(nvmft_subsystem_allow_any_host(subsys, false), -ESHUTDOWN);
	assert_int_equal(nvmft_port_link(t.port, subsys), -ESHUTDOWN);
	assert_int_equal(nvmft_port_unlink(t.port, subsys), -ESHUTDOWN);
	assert_int_equal(nvmft_port_add_referral(t.port, &referral), -ESHUTDOWN);
	assert_int_equal(nvmft_port_remove_referral(t.port, "127.0.0.1", "8009"), -ESHUTDOWN);
	assert_int_equal(nvmft_port_remove(t.port, NULL), -ESHUTDOWN);
	assert_int_equal(nvmft_subsystem_remove(subsys, NULL), -ESHUTDOWN);
	assert_int_equal(nvmft_host_remove(host), -ESHUTDOWN);
	while (!stop.stopped)
		nvmft_poll(t.groups[0].group, 0);
	assert_int_equal(nvmft_target_destroy(t.target), 0);
}

static void nothing_is_configured_after_stopping(void **state)
{
	struct nvmft_subsystem_opts opts = {.size = sizeof(opts), .nqn = TH_NQN};
	struct nvmft_target *target = new_target();
	struct nvmft_poll_group *group, *late;
	struct stop stop = {.done.fn = stopped};

	(void)state;
	assert_int_equal(nvmft_poll_group_create(target, &group), 0);
	assert_int_equal(nvmft_target_stop(target, &stop.done), 0);
	assert_int_equal(nvmft_subsystem_create(target, &opts, NULL), -ESHUTDOWN);
	assert_int_equal(nvmft_host_create(target, TH_HOSTNQN, NULL), -ESHUTDOWN);
	assert_int_equal(nvmft_poll_group_create(target, &late), -ESHUTDOWN);
	while (!stop.stopped)
		nvmft_poll(group, 0);
	assert_int_equal(nvmft_target_destroy(target), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(idle_group_can_be_slept_on),
		TEST(call_wakes_a_sleeping_group),
		TEST(every_call_wakes_a_sleeping_group),
		TEST(no_call_is_slept_over),
		TEST(call_before_sleeping_is_not_slept_over),
		TEST(connection_wakes_a_sleeping_group),
		TEST(configuration_wakes_a_sleeping_group),
		TEST(group_belongs_to_the_first_thread),
		cmocka_unit_test(waiting_poll_returns_when_called),
		cmocka_unit_test(threads_of_the_library_come_and_go),
		cmocka_unit_test(a_thread_that_spins_lets_others_go_first),
		cmocka_unit_test(a_thread_that_does_not_spin_need_not),
		cmocka_unit_test(bad_thread_options_leave_nothing),
		cmocka_unit_test(idle_threads_use_no_cpu),
		cmocka_unit_test(nothing_is_configured_after_stopping),
		cmocka_unit_test(nothing_is_changed_after_stopping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
