/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "channel.h"
#include "poll_group.h"
#include "subsystem.h"
#include "view.h"

/* Fill a structure of the caller's age: it says how much of it there is. */
static int stats_copy(void *dst, size_t dst_size, const void *src, size_t src_size)
{
	size_t n = dst_size < src_size ? dst_size : src_size;

	if (dst_size < sizeof(size_t))
		return -EINVAL;
	memcpy((char *)dst + sizeof(size_t), (const char *)src + sizeof(size_t), n - sizeof(size_t));
	return 0;
}

static void target_stats_add(struct nvmft_target_stats *sum, const struct group_counters *c)
{
	sum->polls += counter_get(&c->polls);
	sum->idle_polls += counter_get(&c->idle_polls);
	sum->sleeps += counter_get(&c->sleeps);
	sum->connections += counter_get(&c->connections);
	sum->queues += counter_get(&c->queues);
	sum->admin_cmds += counter_get(&c->admin_cmds);
	sum->io_cmds += counter_get(&c->io_cmds);
	sum->errors += counter_get(&c->errors);
	sum->requests += counter_get(&c->requests);
	sum->data_bytes += counter_get(&c->data_bytes);
	sum->pool_bytes += counter_get(&c->pool_bytes);
	sum->buffer_waits += counter_get(&c->buffer_waits);
	sum->copied_bytes += counter_get(&c->copied_bytes);
	sum->terminated += counter_get(&c->terminated);
}

int nvmft_target_stats(struct nvmft_target *target, struct nvmft_target_stats *stats)
{
	struct nvmft_target_stats sum = {0};
	struct nvmft_poll_group *group;

	if (!target || !stats)
		return -EINVAL;
	pthread_mutex_lock(&target->view_lock);
	TAILQ_FOREACH(group, &target->groups, link)
		target_stats_add(&sum, &group->counters);
	pthread_mutex_unlock(&target->view_lock);
	return stats_copy(stats, stats->size, &sum, sizeof(sum));
}

static void namespace_stats_sum(struct nvmft_namespace *ns, struct nvmft_namespace_stats *sum)
{
	struct ns_channel *channel;

	pthread_mutex_lock(&ns->stats_lock);
	*sum = ns->closed_stats;
	LIST_FOREACH(channel, &ns->channels, ns_link) {
		sum->reads += counter_get(&channel->reads);
		sum->read_blocks += counter_get(&channel->read_blocks);
		sum->writes += counter_get(&channel->writes);
		sum->written_blocks += counter_get(&channel->written_blocks);
		sum->others += counter_get(&channel->others);
		sum->errors += counter_get(&channel->errors);
	}
	pthread_mutex_unlock(&ns->stats_lock);
}

int nvmft_namespace_stats(struct nvmft_namespace *ns, struct nvmft_namespace_stats *stats)
{
	struct nvmft_namespace_stats sum;

	if (!ns || !stats)
		return -EINVAL;
	namespace_stats_sum(ns, &sum);
	return stats_copy(stats, stats->size, &sum, sizeof(sum));
}

void nvmft_ns_view_add_stats(const struct ns_view *nsv, struct nvmft_namespace_stats *sum)
{
	struct nvmft_namespace_stats one;

	namespace_stats_sum(nsv->ns, &one);
	sum->reads += one.reads;
	sum->read_blocks += one.read_blocks << (nsv->lba_shift - 9);
	sum->writes += one.writes;
	sum->written_blocks += one.written_blocks << (nsv->lba_shift - 9);
	sum->others += one.others;
	sum->errors += one.errors;
}

void nvmft_subsystem_sum_stats(const struct subsys_view *sv, struct nvmft_namespace_stats *sum)
{
	memset(sum, 0, sizeof(*sum));
	for (uint32_t i = 0; i < sv->nns; i++)
		nvmft_ns_view_add_stats(&sv->ns[i], sum);
}
