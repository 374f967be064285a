/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The target: owner of everything, its clock and randomness, and its end.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "log.h"
#include "poll_group.h"
#include "port.h"
#include "subsystem.h"
#include "view.h"

#define DEFAULT_DATA_MEMORY (256ull << 20)
#define DEFAULT_CONNECT_TIMEOUT_MS 10000u

unsigned int nvmft_version(void)
{
	return (NVMFT_VERSION_MAJOR << 16) | (NVMFT_VERSION_MINOR << 8) | NVMFT_VERSION_PATCH;
}

uint64_t nvmft_target_now(struct nvmft_target *target)
{
	struct timespec ts;

	if (target->opts.now_ns)
		return target->opts.now_ns(target->opts.time_ctx);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int target_take_opts(struct nvmft_target *target, const struct nvmft_target_opts *opts)
{
	struct nvmft_target_opts *o = &target->opts;

	nvmft_opts_copy(o, sizeof(*o), opts, opts ? opts->size : 0);
	if (!o->log_level)
		o->log_level = NVMFT_LOG_INFO;
	if (!o->data_memory_max)
		o->data_memory_max = DEFAULT_DATA_MEMORY;
	if (!o->connect_timeout_ms)
		o->connect_timeout_ms = DEFAULT_CONNECT_TIMEOUT_MS;
	if (opts && opts->size < offsetof(struct nvmft_target_opts, log_level)) {
		return -EINVAL;
	}
	if (o->data_memory_max < (4u << 20)) {
		nvmft_log(target, NVMFT_LOG_ERROR, "target: data_memory_max: %llu is less than 4 MiB",
			  (unsigned long long)o->data_memory_max);
		return -EINVAL;
	}
	if (o->discovery_nqn) {
		if (!nvmft_nqn_valid(o->discovery_nqn)) {
			nvmft_log(target, NVMFT_LOG_ERROR, "target: discovery_nqn: not an NQN");
			return -EINVAL;
		}
		strcpy(target->discovery_nqn, o->discovery_nqn);
		o->discovery_nqn = target->discovery_nqn;
	}
	return 0;
}

int nvmft_target_create(const struct nvmft_target_opts *opts, struct nvmft_target **out)
{
	struct nvmft_target *target = calloc(1, sizeof(*target));
	int ret;

	if (!target)
		return -ENOMEM;
	pthread_mutex_init(&target->lock, NULL);
	pthread_mutex_init(&target->view_lock, NULL);
	nvmft_shared_init(target);
	TAILQ_INIT(&target->subsystems);
	TAILQ_INIT(&target->ports);
	TAILQ_INIT(&target->hosts);
	TAILQ_INIT(&target->groups);
	target->disc_genctr = 1;
	atomic_init(&target->busy, 1);
	ret = target_take_opts(target, opts);
	if (ret)
		goto out_free;
	target->created_ns = nvmft_target_now(target);
	ret = nvmft_discovery_subsystem_create(target);
	if (ret)
		goto out_free;
	ret = nvmft_view_init(target);
	if (ret)
		goto out_discovery;
	*out = target;
	return 0;

out_discovery:
	nvmft_subsystem_put(target->discovery);
out_free:
	nvmft_shared_fini(target);
	pthread_mutex_destroy(&target->view_lock);
	pthread_mutex_destroy(&target->lock);
	free(target);
	return ret;
}

struct nvmft_poll_group *nvmft_target_any_group(struct nvmft_target *target)
{
	struct nvmft_poll_group *group;

	pthread_mutex_lock(&target->view_lock);
	group = TAILQ_FIRST(&target->groups);
	pthread_mutex_unlock(&target->view_lock);
	return group;
}

void nvmft_target_get(struct nvmft_target *target)
{
	atomic_fetch_add(&target->busy, 1);
}

static void target_stopped(struct nvmft_call *call)
{
	struct nvmft_target *target = container_of(call, struct nvmft_target, stop_call);
	struct nvmft_done *done = target->stop_done;

	/* After this store the host may free the target. */
	atomic_store(&target->state, TARGET_STOPPED);
	done->fn(done, 0);
}

void nvmft_target_put(struct nvmft_target *target)
{
	if (atomic_fetch_sub(&target->busy, 1) != 1)
		return;
	target->stop_call.fn = target_stopped;
	nvmft_poll_group_call(nvmft_target_any_group(target), &target->stop_call);
}

/* Every group has left the last view of the running target: queues are being closed, no new ones come. */
static void target_view_retired(struct retired *retired)
{
	nvmft_target_put(container_of(retired, struct nvmft_target, stop_retired));
}

int nvmft_target_stop(struct nvmft_target *target, struct nvmft_done *done)
{
	struct nvmft_port *port;
	int ret;

	if (!nvmft_target_any_group(target))
		return -ENXIO;
	nvmft_target_lock(target);
	if (atomic_load(&target->state) != TARGET_RUNNING) {
		ret = -EALREADY;
		goto out;
	}
	atomic_store(&target->state, TARGET_STOPPING);
	target->stop_done = done;
	target->stop_retired.release = target_view_retired;
	ret = nvmft_view_publish(target, &target->stop_retired, false);
	if (ret) {
		atomic_store(&target->state, TARGET_RUNNING);
		goto out;
	}
	TAILQ_FOREACH(port, &target->ports, link)
		nvmft_port_stop_accepting(port);
out:
	nvmft_target_unlock(target);
	return ret;
}

/* Completions on their way, and those of what is freed here: there is no other thread to run them. */
static void target_run_calls(struct nvmft_target *target)
{
	struct nvmft_poll_group *group;
	int n;

	do {
		n = 0;
		TAILQ_FOREACH(group, &target->groups, link)
			n += nvmft_msgs_run(group);
	} while (n);
}

static void target_free_groups(struct nvmft_target *target)
{
	struct nvmft_poll_group *group;

	while ((group = TAILQ_FIRST(&target->groups))) {
		TAILQ_REMOVE(&target->groups, group, link);
		nvmft_poll_group_free(group);
	}
}

/*
 * Backends, and what they share, end before the groups go: a thread of a backend may still be on its way out of
 * nvmft_io_done_remote().
 */
static void target_close_backends(struct nvmft_target *target)
{
	struct nvmft_poll_group *group;

	target_run_calls(target);
	TAILQ_FOREACH(group, &target->groups, link)
		nvmft_poll_group_release(group);
	nvmft_view_fini(target);
	nvmft_ports_free(target);
	nvmft_subsystems_free(target);
	nvmft_hosts_free(target);
	nvmft_subsystem_put(target->discovery);
	target_run_calls(target);
	nvmft_shared_fini(target);
}

int nvmft_target_destroy(struct nvmft_target *target)
{
	if (!target)
		return 0;
	if (atomic_load(&target->state) != TARGET_STOPPED && nvmft_target_any_group(target))
		return -EBUSY;
	nvmft_threads_stop(target);
	target_close_backends(target);
	target_free_groups(target);
	free(target->free_slots);
	pthread_mutex_destroy(&target->view_lock);
	pthread_mutex_destroy(&target->lock);
	free(target);
	return 0;
}

static void done_deliver(struct nvmft_call *call)
{
	struct nvmft_done_call *dc = container_of(call, struct nvmft_done_call, call);

	dc->deliver(dc);
}

/*
 * Without a poll group there is no thread to carry the completion, nor can anything have been in flight: then it is
 * delivered at once.
 */
void nvmft_done_later(struct nvmft_target *target, struct nvmft_done_call *dc, void (*deliver)(struct nvmft_done_call *))
{
	struct nvmft_poll_group *group = nvmft_target_any_group(target);

	dc->deliver = deliver;
	dc->call.fn = done_deliver;
	if (group)
		nvmft_poll_group_call(group, &dc->call);
	else
		deliver(dc);
}
