/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sleeping while a device works that tells by an eventfd of what it has done, as the rings and interrupts of SSDs do:
 * in the ring, or in the host's own event loop.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "host.h"

#define ROUNDS 1000
/* Lost, if not by then. */
#define LOST_MS 10000

static uint64_t real_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- a device, of one command at a time, and its backend ---- */

struct device {
	pthread_t thread;
	sem_t given;
	atomic_bool answered, stop;
	_Atomic uint64_t answered_ns;
	struct nvmft_io *io;
	struct nvmft_wake wake;
};

static void *work(void *arg)
{
	struct device *dev = arg;
	uint64_t one = 1;

	while (sem_wait(&dev->given) == 0 && !dev->stop) {
		/* The host is to be asleep by then; it makes no difference to what is asserted if it is not. */
		usleep(50);
		dev->answered_ns = real_ns();
		dev->answered = true;
		if (write(dev->wake.fd, &one, sizeof(one)) != sizeof(one))
			abort();
	}
	return NULL;
}

static int device_open(struct nvmft_backend *backend, const void *opts)
{
	*(struct device **)backend->priv = *(struct device *const *)opts;
	return 0;
}

static void device_close(struct nvmft_backend *backend)
{
	(void)backend;
}

static int device_info(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	(void)backend;
	info->block_size = 512;
	info->blocks = 1024;
	return 0;
}

static struct device *device_of(const struct nvmft_channel *channel)
{
	return *(struct device **)channel->backend->priv;
}

static int device_channel_open(struct nvmft_channel *channel)
{
	nvmft_wake_init(&device_of(channel)->wake, channel->group, eventfd(0, EFD_CLOEXEC));
	return 0;
}

static void device_channel_close(struct nvmft_channel *channel)
{
	struct device *dev = device_of(channel);

	nvmft_wake_fini(&dev->wake);
	close(dev->wake.fd);
}

static void device_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct device *dev = device_of(channel);

	dev->io = io;
	sem_post(&dev->given);
}

static int device_poll(struct nvmft_channel *channel)
{
	struct device *dev = device_of(channel);

	if (!atomic_exchange(&dev->answered, false))
		return 0;
	nvmft_io_done(dev->io, 0);
	return 1;
}

static int device_arm(struct nvmft_channel *channel)
{
	struct device *dev = device_of(channel);

	return nvmft_wake_arm(&dev->wake) != 0 || dev->answered ? -EAGAIN : 0;
}

static const struct nvmft_backend_ops device_ops = {
	.size = sizeof(device_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "device",
	.backend_size = sizeof(struct device *),
	.open = device_open,
	.close = device_close,
	.info = device_info,
	.channel_open = device_channel_open,
	.channel_close = device_channel_close,
	.submit = device_submit,
	.poll = device_poll,
	.arm = device_arm,
};

/* ---- a host ---- */

struct world {
	struct th t;
	struct th_ctrl ctrl;
	struct nvmft_poll_group *group;
	struct device dev;
	unsigned int vain; /* times it was woken outside, and there was nothing */
};

static void start(struct world *w)
{
	struct th_opts opts = {.transport = TH_LOOPBACK};
	struct device *dev = &w->dev;

	memset(w, 0, sizeof(*w));
	assert_int_equal(sem_init(&dev->given, 0, 0), 0);
	assert_int_equal(pthread_create(&dev->thread, NULL, work, dev), 0);
	th_start(&w->t, &opts);
	th_add_namespace(th_add_subsystem(&w->t, TH_NQN), &device_ops, &dev);
	th_ctrl_connect(&w->t, &w->ctrl, NULL);
	w->group = w->t.groups[0].group;
}

static void stop(struct world *w)
{
	w->dev.stop = true;
	sem_post(&w->dev.given);
	pthread_join(w->dev.thread, NULL);
	th_ctrl_disconnect(&w->ctrl);
	th_stop(&w->t);
	sem_destroy(&w->dev.given);
}

static bool readable(int fd, int timeout_ms)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, timeout_ms) == 1;
}

/* Sleep on @fd, which shows what the group's descriptor shows. */
static void sleep_outside(struct world *w, int fd)
{
	if (nvmft_poll_group_arm(w->group) != 0)
		return;
	assert_true(readable(fd, LOST_MS));
	w->vain += nvmft_poll(w->group, 0) == 0;
}

static void sleep_in_ring(struct world *w, int fd)
{
	(void)fd;
	nvmft_poll(w->group, NVMFT_POLL_WAIT);
}

/* How long the host has slept on after the device had answered, in nanoseconds. */
static uint64_t one_read(struct world *w, void (*sleep)(struct world *w, int fd), int fd)
{
	struct th_cmd cmd = {0};
	struct nvmft_sqe sqe;
	char buf[512];

	th_sqe_rw(&sqe, TH_READ, 1, 0, 1);
	th_submit(&w->ctrl.io[0], &cmd, &sqe, buf, sizeof(buf));
	while (!cmd.done)
		if (nvmft_poll(w->group, 0) == 0 && !cmd.done)
			sleep(w, fd);
	assert_int_equal(cmd.status, 0);
	return real_ns() - w->dev.answered_ns;
}

static int compare_ns(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t median(uint64_t *ns)
{
	qsort(ns, ROUNDS, sizeof(*ns), compare_ns);
	return ns[ROUNDS / 2];
}

static int setup(void **state)
{
	static struct world w;

	start(&w);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	stop(*state);
	return 0;
}

/* ---- tests ---- */

/* In turn, so that what else the machine does slows both. */
static void a_device_wakes_a_host_outside_as_fast_as_one_in_the_ring(void **state)
{
	static uint64_t out_ns[ROUNDS], in_ns[ROUNDS];
	struct world *out = *state;
	static struct world in;
	uint64_t out_median, in_median;

	start(&in);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		out_ns[i] = one_read(out, sleep_outside, nvmft_poll_group_fd(out->group));
		in_ns[i] = one_read(&in, sleep_in_ring, -1);
	}
	out_median = median(out_ns);
	in_median = median(in_ns);
	print_message("outside %llu us, in the ring %llu us, %u in vain\n", (unsigned long long)out_median / 1000,
		      (unsigned long long)in_median / 1000, out->vain);
	assert_true(out_median < 10 * in_median + 1000000);
	assert_true(out->vain < ROUNDS / 2);
	stop(&in);
}

static void a_host_that_is_woken_may_sleep_again(void **state)
{
	struct world *w = *state;

	for (unsigned int i = 0; i < 3; i++) {
		int fd = nvmft_poll_group_fd(w->group);

		one_read(w, sleep_outside, fd);
		th_settle(&w->t);
		assert_int_equal(nvmft_poll_group_arm(w->group), 0);
		assert_false(readable(fd, 20));
	}
}

static void a_host_may_wait_for_edges(void **state)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	struct world *w = *state;
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	assert_true(epoll >= 0);
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, nvmft_poll_group_fd(w->group), &event), 0);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		one_read(w, sleep_outside, epoll);
		while (epoll_wait(epoll, &event, 1, 0) > 0)
			;
	}
	close(epoll);
}

/* What one way of sleeping has armed must not take the news from the other. */
static void a_host_may_sleep_in_both_ways(void **state)
{
	struct world *w = *state;

	for (unsigned int i = 0; i < ROUNDS; i++)
		one_read(w, i % 3 ? sleep_outside : sleep_in_ring, nvmft_poll_group_fd(w->group));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_device_wakes_a_host_outside_as_fast_as_one_in_the_ring),
		TEST(a_host_that_is_woken_may_sleep_again),
		TEST(a_host_may_wait_for_edges),
		TEST(a_host_may_sleep_in_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
