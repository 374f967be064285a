/* SPDX-License-Identifier: BSD-3-Clause */
/* What becomes of signs that a device is another one: who waits for the answer, and what the core is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "ng.h"

static struct timespec clock_now;
static bool node_gone;

static int fake_clock(clockid_t id, struct timespec *now)
{
	(void)id;
	*now = clock_now;
	return 0;
}

static int fake_access(const char *path, int mode)
{
	(void)mode;
	return node_gone && strstr(path, ":") ? -1 : 0;
}

#define clock_gettime fake_clock
#define access fake_access
#include "watch.c"
#undef access
#undef clock_gettime

/* ---- what the device says, and the core is told ---- */

static struct ssd_facts device;
static int device_err;
static unsigned int asked, wakes, told, gone;
static void (*while_asked)(struct ng_backend *ng);
static struct nvmft_backend backend;
static struct ng_backend ng;
static struct ng_watch watch;
static struct ng_watched watched;

int nvmft_ng_facts(const struct ng_ask *ask, struct ssd_facts *facts)
{
	assert_null(ask->backend);
	asked++;
	if (while_asked)
		while_asked(&ng);
	*facts = device;
	return device_err;
}

void nvmft_ng_put_info(const struct ng_backend *of, const struct ssd_facts *f, struct nvmft_backend_info *info)
{
	(void)of;
	info->blocks = f->blocks;
}

void nvmft_ng_wake(struct ng_backend *of)
{
	(void)of;
	wakes++;
}

void nvmft_ng_ctrls_watch(struct ng_backend *of)
{
	(void)of;
}

int nvmft_ng_ctrls_open(struct ng_backend *of)
{
	(void)of;
	return 0;
}

void nvmft_backend_changed(struct nvmft_backend *of, const struct nvmft_backend_info *info)
{
	(void)of;
	told++;
	gone += !info;
}

void nvmft_backend_log(const struct nvmft_backend *of, enum nvmft_log_level level, const char *format, ...)
{
	(void)of;
	(void)level;
	(void)format;
}

int nvmft_shared_get(const struct nvmft_backend *of, const char *key, const struct nvmft_shared_ops *ops, size_t size,
		     const void *arg, struct nvmft_shared **out)
{
	(void)of;
	(void)key;
	(void)ops;
	(void)size;
	(void)arg;
	(void)out;
	return -ENOMEM;
}

void nvmft_shared_put(struct nvmft_shared *shared)
{
	(void)shared;
}

/* ---- one namespace, and the thread that is this one ---- */

static int setup(void **state)
{
	(void)state;
	memset(&device, 0, sizeof(device));
	device.blocks = 1000;
	device.shift = 9;
	device_err = 0;
	asked = wakes = told = gone = 0;
	while_asked = NULL;
	node_gone = false;
	clock_now.tv_sec = 1000;
	clock_now.tv_nsec = 0;
	memset(&ng, 0, sizeof(ng));
	backend.priv = &ng;
	ng.path = (char *)(uintptr_t) "/nowhere/ng0n1";
	watch = (struct ng_watch){.lock = PTHREAD_MUTEX_INITIALIZER, .list = &watched, .events = -1, .wake = -1};
	watched = (struct ng_watched){.watch = &watch, .backend = &backend, .name = "0n1", .facts = device};
	watched.info = (struct nvmft_backend_info){.size = sizeof(watched.info), .blocks = 1000};
	watched.path = ng.path;
	watched.fd = STDIN_FILENO;
	ng.watched = &watched;
	watch.nodes = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	return watch.nodes < 0;
}

static int teardown(void **state)
{
	(void)state;
	close(watch.nodes);
	return 0;
}

static void advance_ms(unsigned int ms)
{
	uint64_t ns = (uint64_t)clock_now.tv_nsec + ms * MS;

	clock_now.tv_sec += (time_t)(ns / (1000 * MS));
	clock_now.tv_nsec = (long)(ns % (1000 * MS));
}

static void event(const char *text, size_t len)
{
	struct event e;

	parse_event(&e, text, len);
	apply_all(&watch, &e);
}

#define EVENT(text) event(text, sizeof(text))

static void test_events_stop_io(void **state)
{
	(void)state;
	EVENT("ACTION=change\0SUBSYSTEM=block\0DEVNAME=nvme0n2");
	assert_false(ssd_in_doubt(&ng.doubt));
	assert_int_equal(sleep_ms(&watch), -1);
	EVENT("ACTION=change\0SUBSYSTEM=block\0DEVNAME=nvme0n1");
	assert_true(ssd_in_doubt(&ng.doubt));
	assert_int_equal(sleep_ms(&watch), 0);
	look_at_all(&watch);
	assert_false(ssd_in_doubt(&ng.doubt));
	assert_int_equal(wakes, 1);
	assert_int_equal(told, 0);
	assert_int_equal(sleep_ms(&watch), -1);
}

/* Of any controller, which may have been reset; and when some were lost. */
static void test_other_events_stop_io(void **state)
{
	(void)state;
	EVENT("ACTION=change\0SUBSYSTEM=nvme\0DEVNAME=nvme7");
	assert_true(ssd_in_doubt(&ng.doubt));
	look_at_all(&watch);
	assert_false(ssd_in_doubt(&ng.doubt));
	apply_all(&watch, NULL);
	assert_true(ssd_in_doubt(&ng.doubt));
	look_at_all(&watch);
	assert_int_equal(asked, 2);
}

static void test_another_size(void **state)
{
	(void)state;
	device.blocks = 2000;
	nvmft_ng_look(&ng, false);
	look_at_all(&watch);
	assert_int_equal(told, 1);
	assert_int_equal(gone, 0);
	assert_false(ssd_in_doubt(&ng.doubt));
}

static void assert_refused(void)
{
	assert_true(ssd_in_doubt(&ng.doubt) && ssd_refused(&ng.doubt));
	assert_int_equal(wakes, 1);
	assert_int_equal(gone, 1);
	/* for good */
	nvmft_ng_look(&ng, false);
	EVENT("ACTION=change\0SUBSYSTEM=nvme\0DEVNAME=nvme7");
	look_at_all(&watch);
	assert_int_equal(asked, 1);
	assert_int_equal(sleep_ms(&watch), -1);
}

static void test_another_format(void **state)
{
	(void)state;
	device.zones.descriptor_extension = 1;
	nvmft_ng_look(&ng, false);
	look_at_all(&watch);
	assert_refused();
}

static void test_a_format_that_cannot_be_served(void **state)
{
	(void)state;
	device_err = -EOPNOTSUPP;
	nvmft_ng_look(&ng, false);
	look_at_all(&watch);
	assert_refused();
}

static void test_gone(void **state)
{
	(void)state;
	device_err = -ENOENT;
	nvmft_ng_look(&ng, false);
	look_at_all(&watch);
	assert_refused();
}

/* The answer may be older than the sign. */
static void sign_while_asked(struct ng_backend *of)
{
	while_asked = NULL;
	nvmft_ng_look(of, false);
}

static void test_a_sign_while_the_device_is_asked(void **state)
{
	(void)state;
	while_asked = sign_while_asked;
	nvmft_ng_look(&ng, false);
	look_at_all(&watch);
	assert_true(ssd_in_doubt(&ng.doubt));
	assert_int_equal(wakes, 0);
	assert_int_equal(sleep_ms(&watch), 0);
	look_at_all(&watch);
	assert_false(ssd_in_doubt(&ng.doubt));
	assert_int_equal(wakes, 1);
}

/* It may be in a reset: I/O waits for a while. */
static void test_no_answer(void **state)
{
	(void)state;
	device_err = -EIO;
	nvmft_ng_look(&ng, false);
	look_at_all(&watch);
	assert_int_equal(sleep_ms(&watch), 250);
	advance_ms(100);
	look_at_all(&watch);
	assert_int_equal(asked, 1);
	for (unsigned int i = 0; i < 39; i++) {
		advance_ms(250);
		look_at_all(&watch);
	}
	assert_int_equal(asked, 40);
	assert_true(ssd_in_doubt(&ng.doubt));
	assert_false(ssd_refused(&ng.doubt));
	advance_ms(250);
	look_at_all(&watch);
	assert_true(ssd_refused(&ng.doubt));
	assert_int_equal(wakes, 1);
	assert_int_equal(told, 0);
	assert_int_equal(sleep_ms(&watch), 10000);
	/* and is back */
	device_err = 0;
	EVENT("ACTION=change\0SUBSYSTEM=nvme\0DEVNAME=nvme0");
	look_at_all(&watch);
	assert_false(ssd_in_doubt(&ng.doubt) || ssd_refused(&ng.doubt));
	assert_int_equal(wakes, 2);
}

/* An answer from before the end of a format would be worth nothing. */
static void test_while_it_is_formatted(void **state)
{
	(void)state;
	nvmft_ng_look(&ng, true);
	look_at_all(&watch);
	assert_int_equal(asked, 0);
	assert_int_equal(sleep_ms(&watch), 100);
	advance_ms(100);
	look_at_all(&watch);
	assert_int_equal(asked, 1);
	assert_false(ssd_in_doubt(&ng.doubt));
}

/* Whoever formats on this machine opens and closes a device node. */
static void test_device_nodes(void **state)
{
	char path[] = "/tmp/nvmft-node-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	ng.path = path;
	nvmft_ng_watch_node(&ng, path + strlen("/tmp/"));
	read_nodes(&watch);
	assert_false(ssd_in_doubt(&ng.doubt));
	close(fd);
	read_nodes(&watch);
	assert_true(ssd_in_doubt(&ng.doubt));
	look_at_all(&watch);
	assert_int_equal(wakes, 1);
	unlink(path);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_events_stop_io),
		T(test_other_events_stop_io),
		T(test_another_size),
		T(test_another_format),
		T(test_a_format_that_cannot_be_served),
		T(test_gone),
		T(test_a_sign_while_the_device_is_asked),
		T(test_no_answer),
		T(test_while_it_is_formatted),
		T(test_device_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
