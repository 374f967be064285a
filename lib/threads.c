/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads of the library, for hosts that have no loop of their own.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "log.h"
#include "poll_group.h"

#define DEFAULT_SPIN_US 50u
/*
 * So long a thread spins without a system call; from then on it lets go first who waits for its processor. What brings
 * the next command may be among these: the host of a loopback connection, a softirq, the worker of a driver.
 */
#define SPIN_ALONE_NS 5000u

struct worker {
	struct nvmft_threads *threads;
	struct nvmft_poll_group *group;
	pthread_t thread;
	struct nvmft_call stop_call;
	bool stop; /* set by stop_call, thus by the thread itself */
	int cpu;   /* -1: not bound */
};

struct nvmft_threads {
	uint64_t spin_ns;
	unsigned int n;
	struct worker workers[];
};

/* Spin for a while after the last event: a wake-up costs more than the usual gap between two commands. */
static void *worker_main(void *arg)
{
	struct worker *w = arg;
	uint64_t last_event = 0;

	while (!w->stop) {
		uint64_t idle = w->group->now_ns - last_event;
		bool spin = idle < w->threads->spin_ns;

		if (nvmft_poll(w->group, spin ? 0 : NVMFT_POLL_WAIT) > 0)
			last_event = w->group->now_ns;
		else if (spin && idle > SPIN_ALONE_NS)
			sched_yield();
	}
	return NULL;
}

static uint64_t spin_ns(const struct nvmft_threads_opts *o)
{
	switch (o->mode) {
	case NVMFT_POLL_ALWAYS:
		return UINT64_MAX;
	case NVMFT_POLL_NEVER:
		return 0;
	default:
		return (uint64_t)o->spin_us * 1000;
	}
}

static int worker_start(struct worker *w)
{
	pthread_attr_t attr;
	cpu_set_t set;
	int ret;

	ret = pthread_attr_init(&attr);
	if (ret)
		return -ret;
	if (w->cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET((size_t)w->cpu, &set);
		ret = pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	}
	if (!ret)
		ret = pthread_create(&w->thread, &attr, worker_main, w);
	pthread_attr_destroy(&attr);
	return -ret;
}

/* A call and not a flag: it is seen also by a thread that is just about to sleep. */
static void worker_stop(struct nvmft_call *call)
{
	container_of(call, struct worker, stop_call)->stop = true;
}

static void threads_join(struct nvmft_threads *threads, unsigned int started)
{
	unsigned int i;

	for (i = 0; i < started; i++) {
		threads->workers[i].stop_call.fn = worker_stop;
		nvmft_poll_group_call(threads->workers[i].group, &threads->workers[i].stop_call);
		pthread_join(threads->workers[i].thread, NULL);
	}
}

static int threads_check_opts(struct nvmft_target *target, struct nvmft_threads_opts *o)
{
	unsigned int i;

	if (!o->threads)
		o->threads = 1;
	if (!o->spin_us)
		o->spin_us = DEFAULT_SPIN_US;
	if (o->threads > 1024 || (unsigned int)o->mode > NVMFT_POLL_NEVER || (o->ncpus && !o->cpus)) {
		nvmft_log(target, NVMFT_LOG_ERROR, "threads: threads, mode or cpus: out of range");
		return -EINVAL;
	}
	for (i = 0; i < o->ncpus; i++) {
		if (o->cpus[i] < 0 || o->cpus[i] >= CPU_SETSIZE) {
			nvmft_log(target, NVMFT_LOG_ERROR, "threads: cpus: %d is not a CPU", o->cpus[i]);
			return -EINVAL;
		}
	}
	return 0;
}

static int threads_start(struct nvmft_target *target, struct nvmft_threads *threads, const struct nvmft_threads_opts *o)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < o->threads && !ret; i++)
		ret = nvmft_poll_group_create(target, &threads->workers[i].group);
	for (i = 0; i < o->threads && !ret; i++) {
		struct worker *w = &threads->workers[i];

		w->threads = threads;
		w->cpu = o->ncpus ? o->cpus[i % o->ncpus] : -1;
		ret = worker_start(w);
		if (ret)
			threads_join(threads, i);
	}
	if (!ret)
		return 0;
	nvmft_log(target, NVMFT_LOG_ERROR, "threads: %s", strerrordesc_np(-ret));
	for (i = 0; i < o->threads; i++)
		if (threads->workers[i].group)
			nvmft_poll_group_discard(threads->workers[i].group);
	return ret;
}

int nvmft_threads_start(struct nvmft_target *target, const struct nvmft_threads_opts *opts)
{
	struct nvmft_threads_opts o;
	struct nvmft_threads *threads;
	int ret;

	nvmft_opts_copy(&o, sizeof(o), opts, opts ? opts->size : 0);
	ret = threads_check_opts(target, &o);
	if (ret)
		return ret;
	threads = calloc(1, sizeof(*threads) + o.threads * sizeof(threads->workers[0]));
	if (!threads)
		return -ENOMEM;
	threads->spin_ns = spin_ns(&o);
	threads->n = o.threads;
	nvmft_target_lock(target);
	ret = target->threads ? -EALREADY : threads_start(target, threads, &o);
	if (!ret)
		target->threads = threads;
	nvmft_target_unlock(target);
	if (ret)
		free(threads);
	return ret;
}

void nvmft_threads_stop(struct nvmft_target *target)
{
	struct nvmft_threads *threads;

	nvmft_target_lock(target);
	threads = target->threads;
	target->threads = NULL;
	nvmft_target_unlock(target);
	if (!threads)
		return;
	threads_join(threads, threads->n);
	free(threads);
}
