/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver with all its threads: poll groups that write and read back, the controller's own, and a device that is a
 * thread as well, fails now and then, and goes in the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "model.h"
#include "target.h"

#define GROUPS 2u
#define NAMESPACES 2u
#define IOS 12u /* per channel; more than the queue has room for */
#define DEPTH 16u
#define ROUNDS 200u
#define BUFFER 4096u
#define BLOCKS (BUFFER / 512)
#define MS 1000000u

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
/* The device touches memory as devices do, which is none of the sanitizer's business. */
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
#define DEVICE_BEGIN() (AnnotateIgnoreReadsBegin(__FILE__, __LINE__), AnnotateIgnoreWritesBegin(__FILE__, __LINE__))
#define DEVICE_END() (AnnotateIgnoreWritesEnd(__FILE__, __LINE__), AnnotateIgnoreReadsEnd(__FILE__, __LINE__))
#else
#define DEVICE_BEGIN() ((void)0)
#define DEVICE_END() ((void)0)
#endif

struct place;

/* An I/O that writes a pattern and reads it back, again and again. */
struct job {
	struct nvmft_io io;
	struct nvmft_iov iov;
	struct nvmft_sqe sqe;
	struct place *place;
	uint8_t *buffer;
	uint64_t lba;
	unsigned int round, lost;
	uint8_t pattern;
	bool reading, admin, over, idle;
	_Alignas(16) unsigned char priv[NVMFT_IO_PRIV_MAX];
};

/* A namespace in a group. */
struct place {
	struct nvmft_channel channel;
	struct vfio_channel ch;
	struct group *group;
	unsigned int open;
	bool drain; /* nothing new, so that it can be closed */
	struct job jobs[IOS];
};

struct group {
	pthread_t thread;
	unsigned int index;
	struct place places[NAMESPACES];
	struct nvmft_timer *timer;
	uint64_t timer_at;
	struct nvmft_wake *armed[4];
	uint8_t *memory;
	unsigned int wrong;
	bool flush;
};

struct ns {
	struct nvmft_backend backend;
	struct vfio_nvme vn;
};

static struct nvmft_target target;
static struct model *model;
static pthread_mutex_t model_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ns namespaces[NAMESPACES];
static struct group groups[GROUPS];
static atomic_uint told, told_gone;
static atomic_bool stop_device, gone;
static atomic_bool churn; /* all channels of a group close now and then, and with them its queue */

static uint64_t clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* ---- the device ---- */

static const struct device_ops *plain;

static int locked_map(struct device *dev, void *base, size_t len, uint64_t *iova)
{
	int err;

	pthread_mutex_lock(&model_lock);
	err = plain->map(dev, base, len, iova);
	pthread_mutex_unlock(&model_lock);
	return err;
}

static void locked_unmap(struct device *dev, uint64_t iova)
{
	pthread_mutex_lock(&model_lock);
	plain->unmap(dev, iova);
	pthread_mutex_unlock(&model_lock);
}

static int locked_bus_master(struct device *dev, bool on)
{
	pthread_mutex_lock(&model_lock);
	(void)plain->bus_master(dev, on);
	pthread_mutex_unlock(&model_lock);
	return 0;
}

static uint64_t real_now(struct device *dev)
{
	(void)dev;
	return clock_now();
}

static void real_pause(struct device *dev, uint64_t ns)
{
	struct timespec ts = {0, (long)ns};

	(void)dev;
	nanosleep(&ts, NULL);
}

static void locked_give_back(struct device *dev)
{
	pthread_mutex_lock(&model_lock);
	DEVICE_BEGIN();
	plain->give_back(dev);
	DEVICE_END();
	pthread_mutex_unlock(&model_lock);
}

static void *device(void *arg)
{
	struct timespec ts = {0, 20000};

	(void)arg;
	DEVICE_BEGIN();
	while (!atomic_load(&stop_device)) {
		pthread_mutex_lock(&model_lock);
		model->now = clock_now();
		model_step(model);
		pthread_mutex_unlock(&model_lock);
		nanosleep(&ts, NULL);
	}
	DEVICE_END();
	return NULL;
}

int nvmft_vfio_device_open(const struct nvmft_backend *backend, const char *address, enum nvmft_vfio_iommu iommu,
			   unsigned int vectors, struct device **out)
{
	static struct device_ops ops;

	(void)backend;
	(void)address;
	(void)iommu;
	(void)vectors;
	plain = model->dev.ops;
	ops = *plain;
	ops.map = locked_map;
	ops.unmap = locked_unmap;
	ops.bus_master = locked_bus_master;
	ops.now = real_now;
	ops.pause = real_pause;
	ops.give_back = locked_give_back;
	model->dev.ops = &ops;
	model->dev.target = &target;
	*out = &model->dev;
	return 0;
}

/* ---- the core ---- */

void nvmft_vlog(const struct nvmft_target *t, enum nvmft_log_level level, const char *prefix, const char *format,
		va_list ap)
{
	(void)t;
	(void)level;
	(void)prefix;
	(void)format;
	(void)ap;
}

void nvmft_backend_log(const struct nvmft_backend *backend, enum nvmft_log_level level, const char *format, ...)
{
	(void)backend;
	(void)level;
	(void)format;
}

nvmft_status nvmft_status_from_errno(int err)
{
	return err ? 6 : 0;
}

void nvmft_backend_changed(struct nvmft_backend *backend, const struct nvmft_backend_info *info)
{
	(void)backend;
	atomic_fetch_add(info ? &told : &told_gone, 1);
}

uint64_t nvmft_group_now(const struct nvmft_poll_group *group)
{
	(void)group;
	return clock_now();
}

static struct group *to_group(struct nvmft_poll_group *group)
{
	return (struct group *)(void *)group;
}

/* One timer: that of the one pair. */
void nvmft_timer_arm(struct nvmft_poll_group *group, struct nvmft_timer *timer, uint64_t delay_ns, uint64_t slack_ns)
{
	(void)slack_ns;
	timer->armed = true;
	to_group(group)->timer = timer;
	to_group(group)->timer_at = clock_now() + delay_ns;
}

void nvmft_timer_cancel(struct nvmft_poll_group *group, struct nvmft_timer *timer)
{
	timer->armed = false;
	to_group(group)->timer = NULL;
}

void nvmft_wake_init(struct nvmft_wake *wake, struct nvmft_poll_group *group, int fd)
{
	*wake = (struct nvmft_wake){.group = group, .fd = fd};
}

void nvmft_wake_fini(struct nvmft_wake *wake)
{
	for (unsigned int i = 0; i < 4; i++)
		if (to_group(wake->group)->armed[i] == wake)
			to_group(wake->group)->armed[i] = NULL;
}

int nvmft_wake_arm(struct nvmft_wake *wake)
{
	unsigned int i = 0;

	nvmft_wake_fini(wake);
	while (to_group(wake->group)->armed[i])
		i++;
	to_group(wake->group)->armed[i] = wake;
	return 0;
}

/* ---- I/O ---- */

static void give(struct job *job)
{
	job->io = (struct nvmft_io){
		.op = job->admin     ? NVMFT_IO_COMMAND
		      : job->reading ? NVMFT_IO_READ
				     : NVMFT_IO_WRITE,
		.flags = job->admin ? NVMFT_IO_ADMIN : 0,
		.lba = job->lba,
		.blocks = BLOCKS,
		.iov = &job->iov,
		.iovcnt = 1,
		.sqe = &job->sqe,
		.channel = &job->place->channel,
		.priv = job->priv,
	};
	job->idle = false;
	job->place->open++;
	job->place->group->flush = true;
	nvmft_vfio_submit(&job->place->channel, &job->io);
}

static void next(struct job *job)
{
	bool last = job->round == ROUNDS;

	if (last) {
		job->over = true;
		return;
	}
	job->reading = !job->reading;
	if (!job->reading) {
		job->round++;
		job->pattern++;
		job->admin = job->round % 100 == 0;
		job->reading = job->admin;
	}
	memset(job->buffer, job->reading ? 0 : job->pattern, BUFFER);
}

void nvmft_io_done(struct nvmft_io *io, nvmft_status status)
{
	struct job *job = (struct job *)(void *)io;

	job->place->open--;
	job->idle = true;
	if (status) {
		/* Lost in a reset: once more. Not ready: it is gone, and what the test is waiting for. */
		if (status != STATUS_LOST && !(status == STATUS_NOT_READY && atomic_load(&gone)))
			job->place->group->wrong++;
		job->lost++;
		job->over = status == STATUS_NOT_READY;
		return;
	}
	if (job->reading && !job->admin)
		for (unsigned int i = 0; i < BUFFER; i++)
			job->place->group->wrong += job->buffer[i] != job->pattern;
	next(job);
}

/* What is over is given again from here, not from inside a completion. */
static bool give_all(struct place *p)
{
	bool busy = false;

	for (unsigned int i = 0; i < IOS; i++) {
		struct job *job = &p->jobs[i];

		if (job->over)
			continue;
		busy = true;
		if (job->idle && !p->drain)
			give(job);
	}
	return busy;
}

static void wait_for_wakes(struct group *g)
{
	struct pollfd fds[4];

	for (unsigned int i = 0; i < 4; i++)
		fds[i] = (struct pollfd){.fd = g->armed[i] ? g->armed[i]->fd : -1, .events = POLLIN};
	/* Long: a wake-up that is lost is to be seen. */
	if (poll(fds, 4, 20000) == 0)
		g->wrong += 1000000;
	for (unsigned int i = 0; i < 4; i++) {
		uint64_t count;

		if (!fds[i].revents)
			continue;
		(void)!read(fds[i].fd, &count, sizeof(count));
		g->armed[i] = NULL;
	}
}

static void run_timer(struct group *g)
{
	struct nvmft_timer *timer = g->timer;

	if (!timer || clock_now() < g->timer_at)
		return;
	g->timer = NULL;
	timer->armed = false;
	timer->fn(timer);
}

static void open_place(struct group *g, unsigned int ns)
{
	struct place *p = &g->places[ns];
	struct nvmft_region region = {g->memory, GROUPS * NAMESPACES * IOS * BUFFER, 0};

	p->group = g;
	p->channel = (struct nvmft_channel){
		.backend = &namespaces[ns].backend,
		.group = (struct nvmft_poll_group *)(void *)g,
		.priv = &p->ch,
	};
	memset(&p->ch, 0, sizeof(p->ch));
	g->wrong += nvmft_vfio_channel_open(&p->channel) != 0;
	g->wrong += nvmft_vfio_region_add(&p->channel, &region) != 0;
}

static void close_place(struct place *p)
{
	struct nvmft_region region = {p->group->memory, GROUPS * NAMESPACES * IOS * BUFFER, 0};

	nvmft_vfio_region_remove(&p->channel, &region);
	nvmft_vfio_channel_close(&p->channel);
}

static bool pass(struct group *g)
{
	bool busy = false;
	int found = 0, sleepy = 0;

	for (unsigned int n = 0; n < NAMESPACES; n++)
		if (g->places[n].open)
			found += nvmft_vfio_poll(&g->places[n].channel);
	run_timer(g);
	for (unsigned int n = 0; n < NAMESPACES; n++)
		busy |= give_all(&g->places[n]);
	for (unsigned int n = 0; n < NAMESPACES && g->flush; n++)
		nvmft_vfio_flush(&g->places[n].channel);
	if (g->flush || found || !busy) {
		g->flush = false;
		return busy;
	}
	for (unsigned int n = 0; n < NAMESPACES; n++)
		sleepy += !g->places[n].open || nvmft_vfio_arm(&g->places[n].channel) == 0;
	if (sleepy == NAMESPACES)
		wait_for_wakes(g);
	return busy;
}

/* Those that drain close and open again when they are all empty: one while the other one goes on, or both. */
static void come_and_go(struct group *g)
{
	for (unsigned int n = 0; n < NAMESPACES; n++)
		if (g->places[n].drain && g->places[n].open)
			return;
	for (unsigned int n = 0; n < NAMESPACES; n++)
		if (g->places[n].drain)
			close_place(&g->places[n]);
	for (unsigned int n = 0; n < NAMESPACES; n++) {
		if (g->places[n].drain)
			open_place(g, n);
		g->places[n].drain = false;
	}
}

static void *run_group(void *arg)
{
	struct group *g = arg;
	unsigned int passes = 0;

	for (unsigned int n = 0; n < NAMESPACES; n++)
		open_place(g, n);
	while (pass(g)) {
		if (++passes % 100 == 0) {
			g->places[0].drain = atomic_load(&churn);
			g->places[1].drain = true;
		}
		come_and_go(g);
	}
	for (unsigned int n = 0; n < NAMESPACES; n++)
		close_place(&g->places[n]);
	return NULL;
}

/* ---- the test ---- */

static void set_up_jobs(struct group *g)
{
	g->memory = mmap(NULL, GROUPS * NAMESPACES * IOS * BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	assert_ptr_not_equal(g->memory, MAP_FAILED);
	for (unsigned int n = 0; n < NAMESPACES; n++) {
		for (unsigned int i = 0; i < IOS; i++) {
			struct job *job = &g->places[n].jobs[i];
			unsigned int k = (g->index * NAMESPACES + n) * IOS + i;

			memset(job, 0, sizeof(*job));
			job->place = &g->places[n];
			job->buffer = g->memory + k * BUFFER;
			job->iov = (struct nvmft_iov){job->buffer, BUFFER, 0};
			job->lba = (uint64_t)k * BLOCKS;
			job->idle = true;
			job->pattern = (uint8_t)(k * 7);
			job->sqe = (struct nvmft_sqe){.opcode = MODEL_PASS, .cdw10 = htole32(BUFFER / 4)};
			memset(job->buffer, job->pattern, BUFFER);
		}
	}
}

static void open_all(void)
{
	for (unsigned int n = 0; n < NAMESPACES; n++) {
		struct nvmft_vfio_nvme_opts opts = {
			.size = sizeof(opts), .address = "0000:01:00.0", .nsid = n + 1, .queue_depth = DEPTH};

		namespaces[n].backend = (struct nvmft_backend){.target = &target, .priv = &namespaces[n].vn};
		memset(&namespaces[n].vn, 0, sizeof(namespaces[n].vn));
		assert_int_equal(nvmft_vfio_nvme_open(&namespaces[n].backend, &opts), 0);
	}
}

static void start_groups(void)
{
	for (unsigned int g = 0; g < GROUPS; g++) {
		memset(&groups[g], 0, sizeof(groups[g]));
		groups[g].index = g;
		set_up_jobs(&groups[g]);
		assert_int_equal(pthread_create(&groups[g].thread, NULL, run_group, &groups[g]), 0);
	}
}

static unsigned int end_groups(void)
{
	unsigned int wrong = 0;

	for (unsigned int g = 0; g < GROUPS; g++) {
		pthread_join(groups[g].thread, NULL);
		wrong += groups[g].wrong;
		munmap(groups[g].memory, GROUPS * NAMESPACES * IOS * BUFFER);
	}
	return wrong;
}

static void close_all(void)
{
	for (unsigned int n = 0; n < NAMESPACES; n++)
		nvmft_vfio_nvme_close(&namespaces[n].backend);
	nvmft_shared_fini(&target);
	nvmft_shared_init(&target);
	assert_int_equal(model_nmaps(model), 0);
	assert_true(model->closed);
}

static pthread_t device_thread;

static int setup(void **state)
{
	(void)state;
	nvmft_shared_init(&target);
	model = model_create();
	model->quiet = true;
	model->dev.nvectors = 3;
	model->dev.vectors = calloc(3, sizeof(int));
	for (unsigned int i = 0; i < 3; i++)
		model->dev.vectors[i] = eventfd(0, EFD_NONBLOCK);
	atomic_store(&stop_device, false);
	atomic_store(&gone, false);
	atomic_store(&churn, false);
	atomic_store(&told, 0);
	atomic_store(&told_gone, 0);
	return pthread_create(&device_thread, NULL, device, NULL);
}

static int teardown(void **state)
{
	(void)state;
	atomic_store(&stop_device, true);
	pthread_join(device_thread, NULL);
	for (unsigned int i = 0; i < 3; i++)
		close(model->dev.vectors[i]);
	free(model->dev.vectors);
	model_free(model);
	nvmft_shared_fini(&target);
	return 0;
}

static void sleep_ms(unsigned int ms)
{
	struct timespec ts = {ms / 1000, (long)(ms % 1000) * MS};

	nanosleep(&ts, NULL);
}

static void test_all_at_once(void **state)
{
	(void)state;
	open_all();
	start_groups();
	assert_int_equal(end_groups(), 0);
	close_all();
	assert_int_equal(atomic_load(&told_gone), 0);
}

static void reset_twice(void)
{
	unsigned int enables;

	for (unsigned int i = 0; i < 2; i++) {
		sleep_ms(30);
		pthread_mutex_lock(&model_lock);
		DEVICE_BEGIN();
		model_fatal(model);
		DEVICE_END();
		model->blocks[1]--;
		enables = model->enables;
		pthread_mutex_unlock(&model_lock);
		/* It is noticed within a second, and told after the reset. */
		for (unsigned int ms = 0; ms < 5000 && atomic_load(&told) <= i; ms += 10)
			sleep_ms(10);
		pthread_mutex_lock(&model_lock);
		assert_int_equal(model->enables, enables + 1);
		pthread_mutex_unlock(&model_lock);
	}
}

static void test_resets_and_changes(void **state)
{
	(void)state;
	open_all();
	start_groups();
	reset_twice();
	assert_int_equal(end_groups(), 0);
	close_all();
	assert_int_equal(atomic_load(&told), 2);
}

static void test_queues_come_and_go_during_resets(void **state)
{
	(void)state;
	atomic_store(&churn, true);
	open_all();
	start_groups();
	reset_twice();
	assert_int_equal(end_groups(), 0);
	close_all();
	assert_int_equal(atomic_load(&told_gone), 0);
}

static void test_unplug(void **state)
{
	const uint64_t one = 1;

	(void)state;
	open_all();
	start_groups();
	sleep_ms(30);
	atomic_store(&gone, true);
	assert_int_equal(write(model->dev.unplug_fd, &one, sizeof(one)), sizeof(one));
	assert_int_equal(end_groups(), 0);
	pthread_mutex_lock(&model_lock);
	assert_true(model->given_back);
	assert_false(model->closed);
	pthread_mutex_unlock(&model_lock);
	close_all();
	assert_int_equal(atomic_load(&told_gone), NAMESPACES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resets_and_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queues_come_and_go_during_resets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unplug, setup, teardown),
	};

	return cmocka_run_group_tests_name("vfio_threads", tests, NULL, NULL);
}
