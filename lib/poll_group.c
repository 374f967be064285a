/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loop: what one pass does, and when it is safe to sleep.
 */
#include <errno.h>
#include <stdlib.h>

#include "channel.h"
#include "poll_group.h"
#include "request.h"
#include "view.h"

int nvmft_poll_group_create(struct nvmft_target *target, struct nvmft_poll_group **out)
{
	struct nvmft_poll_group *group;
	int ret;

	if (atomic_load(&target->state) != TARGET_RUNNING)
		return -ESHUTDOWN;
	group = calloc(1, sizeof(*group));
	if (!group)
		return -ENOMEM;
	group->target = target;
	TAILQ_INIT(&group->queues);
	TAILQ_INIT(&group->ctrls);
	TAILQ_INIT(&group->dirty_channels);
	TAILQ_INIT(&group->polled_channels);
	TAILQ_INIT(&group->buffer_waiters);
	group->now_ns = nvmft_target_now(target);
	ret = nvmft_ring_init(group);
	if (ret)
		goto out_free;
	ret = nvmft_msgs_init(group);
	if (ret)
		goto out_ring;
	nvmft_pool_init(group, target->opts.data_memory_max);

	pthread_mutex_lock(&target->view_lock);
	target->ngroups++;
	group->view = target->view;
	group->view->refs++;
	TAILQ_INSERT_TAIL(&target->groups, group, link);
	pthread_mutex_unlock(&target->view_lock);
	*out = group;
	return 0;

out_ring:
	nvmft_ring_fini(group);
out_free:
	free(group);
	return ret;
}

void nvmft_poll_group_release(struct nvmft_poll_group *group)
{
	nvmft_channels_fini(group);
	nvmft_view_leave(group);
}

/* All queues and controllers are gone, and what nvmft_poll_group_release() does is done. */
void nvmft_poll_group_free(struct nvmft_poll_group *group)
{
	struct group_transport *gt;

	while ((gt = group->transports)) {
		group->transports = gt->next;
		if (gt->ops.group_fini)
			gt->ops.group_fini(&gt->pub);
		nvmft_request_pool_fini(gt);
		free(gt);
	}
	nvmft_pool_fini(group);
	nvmft_msgs_fini(group);
	nvmft_ring_fini(group);
	free(group);
}

void nvmft_poll_group_discard(struct nvmft_poll_group *group)
{
	struct nvmft_target *target = group->target;

	pthread_mutex_lock(&target->view_lock);
	TAILQ_REMOVE(&target->groups, group, link);
	target->ngroups--;
	pthread_mutex_unlock(&target->view_lock);
	nvmft_poll_group_release(group);
	nvmft_poll_group_free(group);
}

int nvmft_poll_group_fd(struct nvmft_poll_group *group)
{
	return group->ring.epoll_fd;
}

static int region_add(void *ctx, const struct nvmft_region *region)
{
	struct group_transport *gt = ctx;

	return gt->ops.region_add ? gt->ops.region_add(&gt->pub, region) : 0;
}

int nvmft_transports_region_add(struct nvmft_poll_group *group, const struct nvmft_region *region)
{
	struct group_transport *gt, *refuses;
	int ret = 0;

	for (gt = group->transports; gt; gt = gt->next) {
		ret = region_add(gt, region);
		if (ret)
			break;
	}
	refuses = gt;
	for (gt = group->transports; ret && gt != refuses; gt = gt->next)
		if (gt->ops.region_add)
			gt->ops.region_remove(&gt->pub, region);
	return ret;
}

void nvmft_transports_region_remove(struct nvmft_poll_group *group, const struct nvmft_region *region)
{
	struct group_transport *gt;

	for (gt = group->transports; gt; gt = gt->next)
		if (gt->ops.region_add)
			gt->ops.region_remove(&gt->pub, region);
}

static int group_transport_start(struct group_transport *gt)
{
	int ret = gt->ops.group_init ? gt->ops.group_init(&gt->pub) : 0;

	if (ret)
		return ret;
	/* A transport that refuses one gives up those that it has in group_fini. */
	ret = nvmft_pool_each_region(gt->pub.group, region_add, gt);
	if (ret && gt->ops.group_fini)
		gt->ops.group_fini(&gt->pub);
	return ret;
}

static struct group_transport *group_transport_create(struct nvmft_poll_group *group,
						      const struct nvmft_transport_ops *ops)
{
	struct group_transport *gt = zalloc_aligned(sizeof(*gt) + ops->group_size);

	if (!gt)
		return NULL;
	gt->ops = *ops;
	gt->pub.group = group;
	gt->pub.ops = &gt->ops;
	gt->pub.priv = gt->priv;
	gt->request_size = (sizeof(struct request) + ops->request_size + 63) & ~(size_t)63;
	if (group_transport_start(gt) != 0) {
		free(gt);
		return NULL;
	}
	gt->next = group->transports;
	group->transports = gt;
	return gt;
}

/* Several ports of one transport share its part of the group; a transport is known by its name and functions. */
static bool same_transport(const struct nvmft_transport_ops *a, const struct nvmft_transport_ops *b)
{
	return a == b || (a->respond == b->respond && a->name == b->name);
}

struct group_transport *nvmft_group_transport(struct nvmft_poll_group *group, const struct nvmft_transport_ops *ops)
{
	struct group_transport *gt;

	for (gt = group->transports; gt; gt = gt->next)
		if (same_transport(&gt->ops, ops))
			return gt;
	return group_transport_create(group, ops);
}

static int transports_poll(struct nvmft_poll_group *group)
{
	struct group_transport *gt;
	int n = 0;

	for (gt = group->transports; gt; gt = gt->next)
		if (gt->ops.group_poll)
			n += gt->ops.group_poll(&gt->pub);
	return n;
}

static void transports_flush(struct nvmft_poll_group *group)
{
	struct group_transport *gt;

	for (gt = group->transports; gt; gt = gt->next)
		if (gt->ops.group_flush)
			gt->ops.group_flush(&gt->pub);
}

static int transports_arm(struct nvmft_poll_group *group)
{
	struct group_transport *gt;

	for (gt = group->transports; gt; gt = gt->next)
		if (gt->ops.group_arm && gt->ops.group_arm(&gt->pub) != 0)
			return -EAGAIN;
	return 0;
}

static bool view_is_old(const struct nvmft_poll_group *group)
{
	return atomic_load_explicit(&group->target->view_gen, memory_order_acquire) != group->view->gen;
}

/* What came from elsewhere than the wire. */
static inline int pass_begin(struct nvmft_poll_group *group)
{
	int n = 0;

	group->now_ns = nvmft_target_now(group->target);
	if (unlikely(atomic_load_explicit(&group->target->notes, memory_order_relaxed)))
		nvmft_notes_poll(group);
	if (unlikely(view_is_old(group))) {
		nvmft_view_update(group);
		n++;
	}
	if (unlikely(msgs_waiting(&group->msgs)))
		n += nvmft_msgs_run(group);
	return n;
}

static inline void pass_end(struct nvmft_poll_group *group)
{
	if (!TAILQ_EMPTY(&group->dirty_channels))
		nvmft_channels_flush(group);
	transports_flush(group);
	if (ring_has_submissions(&group->ring))
		nvmft_ring_submit(group, false);
}

/*
 * Batching is the whole game: take everything that came in, execute all of it, then one doorbell per channel, one send
 * per connection, one submission for the group. With one command at a time a stage mostly finds nothing to do, and is
 * not even called then.
 */
static int poll_pass(struct nvmft_poll_group *group)
{
	int n = pass_begin(group);

	if (ring_has_completions(&group->ring))
		n += nvmft_ring_reap(group);
	if (!TAILQ_EMPTY(&group->polled_channels))
		n += nvmft_channels_poll(group);
	n += transports_poll(group);
	/* After what came in: a group that was late must not find hosts silent whose commands wait for it. */
	if (unlikely(timers_due(&group->timers, group->now_ns)))
		n += nvmft_timers_run(group);
	if (unlikely(group->nbuffer_waiters))
		n += nvmft_request_serve_waiters(group);
	pass_end(group);

	counter_set(&group->counters.data_bytes, group->pool.handed_out);
	counter_add(&group->counters.polls, 1);
	if (!n)
		counter_add(&group->counters.idle_polls, 1);
	return n;
}

/* The first thread that polls owns the group: the ring accepts submissions from it alone. */
static int group_enter(struct nvmft_poll_group *group)
{
	int ret;

	if (group->owned)
		return pthread_equal(group->owner, pthread_self()) ? 0 : -EOWNERDEAD;
	ret = nvmft_ring_enable(group);
	if (ret)
		return ret;
	group->owner = pthread_self();
	group->owned = true;
	return 0;
}

/* What has to be so before a group may sleep, in whatever way. 0, or -EAGAIN when there is work. */
static int group_prepare_sleep(struct nvmft_poll_group *group)
{
	if (!group->ring.enabled || nvmft_channels_arm(group) != 0 || transports_arm(group) != 0 ||
	    nvmft_wake_arm(&group->msgs.wake) != 0)
		return -EAGAIN;
	if (timers_due(&group->timers, group->now_ns))
		return -EAGAIN;
	if (!nvmft_timers_arm_ring(group))
		return -EAGAIN;
	/* A sleep in the ring is one system call, which submits first. */
	if (group->ring.armed)
		nvmft_ring_submit(group, false);
	if (!nvmft_msgs_sleep(group))
		return -EAGAIN;
	/* Sequentially consistent, as for calls: whoever publishes a view sees that the group sleeps, or the group sees
	 * the view. */
	if (!nvmft_ring_idle(group) || group->view->gen != atomic_load(&group->target->view_gen) ||
	    (atomic_load(&group->target->notes) && !group->notes_retry.armed)) {
		nvmft_msgs_awake(group);
		return -EAGAIN;
	}
	counter_add(&group->counters.sleeps, 1);
	return 0;
}

int nvmft_poll(struct nvmft_poll_group *group, unsigned int flags)
{
	int n = group_enter(group);

	if (n < 0)
		return n;
	if (atomic_load_explicit(&group->msgs.sleeping, memory_order_relaxed))
		nvmft_msgs_awake(group);
	nvmft_ring_disarm(&group->ring);
	n = poll_pass(group);
	if (n || !(flags & NVMFT_POLL_WAIT) || group_prepare_sleep(group) != 0)
		return n;
	nvmft_ring_submit(group, true);
	nvmft_msgs_awake(group);
	return poll_pass(group);
}

int nvmft_poll_group_arm(struct nvmft_poll_group *group)
{
	/* Nothing is to be armed for what is there already. */
	if (!nvmft_ring_idle(group))
		return -EAGAIN;
	nvmft_ring_arm(&group->ring);
	return group_prepare_sleep(group);
}
