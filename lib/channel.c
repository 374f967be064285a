/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Namespaces as poll groups see them: opening and closing channels, and the way of an I/O to the backend and back.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "channel.h"
#include "io_cmd.h"
#include "log.h"
#include "pass.h"
#include "request.h"

static int channels_grow(struct nvmft_poll_group *group, uint32_t slot)
{
	uint32_t cap = group->nchannels ? group->nchannels : 16;
	struct ns_channel **channels;

	while (cap <= slot)
		cap *= 2;
	channels = realloc(group->channels, cap * sizeof(*channels));
	if (!channels)
		return -ENOMEM;
	memset(channels + group->nchannels, 0, (cap - group->nchannels) * sizeof(*channels));
	if (!group->nchannels)
		TAILQ_INIT(&group->submits);
	group->channels = channels;
	group->nchannels = cap;
	return 0;
}

static void channel_init(struct ns_channel *ch, struct nvmft_poll_group *group, const struct ns_view *nsv)
{
	struct nvmft_namespace *ns = nsv->ns;

	ch->pub.backend = &ns->backend;
	ch->pub.group = group;
	ch->pub.priv = ch + 1;
	ch->ns = ns;
	ch->info = nsv->info;
	ch->depth = ch->info.depth ? ch->info.depth : UINT32_MAX;
	ch->picky = ch->info.align > 1 || ch->info.needs_regions;
	ch->dirty = !ns->ops.flush;
	ch->polled = !ns->ops.poll;
	TAILQ_INIT(&ch->waiting);
	TAILQ_INIT(&ch->held);
}

/* ---- memory that devices reach ---- */

static int region_add(void *ctx, const struct nvmft_region *region)
{
	struct ns_channel *ch = ctx;

	return ch->ns->ops.region_add(&ch->pub, region);
}

static int region_remove(void *ctx, const struct nvmft_region *region)
{
	struct ns_channel *ch = ctx;

	ch->ns->ops.region_remove(&ch->pub, region);
	return 0;
}

int nvmft_channels_region_add(struct nvmft_poll_group *group, const struct nvmft_region *region)
{
	uint32_t i;
	int ret = 0;

	for (i = 0; i < group->nchannels && !ret; i++)
		if (group->channels[i] && group->channels[i]->ns->ops.region_add)
			ret = region_add(group->channels[i], region);
	if (!ret)
		return 0;
	/* The last one refused it. */
	for (i--; i-- > 0;)
		if (group->channels[i] && group->channels[i]->ns->ops.region_add)
			region_remove(group->channels[i], region);
	return ret;
}

void nvmft_channels_region_remove(struct nvmft_poll_group *group, const struct nvmft_region *region)
{
	uint32_t i;

	for (i = 0; i < group->nchannels; i++)
		if (group->channels[i] && group->channels[i]->ns->ops.region_add)
			region_remove(group->channels[i], region);
}

/* A backend that refuses one region gives up those that it has when its channel closes, which it does then. */
static int channel_start(struct ns_channel *ch)
{
	const struct nvmft_backend_ops *ops = &ch->ns->ops;
	int ret = ops->channel_open ? ops->channel_open(&ch->pub) : 0;

	if (ret || !ops->region_add)
		return ret;
	ret = nvmft_pool_each_region(ch->pub.group, region_add, ch);
	if (ret && ops->channel_close)
		ops->channel_close(&ch->pub);
	return ret;
}

static void channel_stop(struct ns_channel *ch)
{
	const struct nvmft_backend_ops *ops = &ch->ns->ops;

	if (ops->region_add)
		nvmft_pool_each_region(ch->pub.group, region_remove, ch);
	if (ops->channel_close)
		ops->channel_close(&ch->pub);
}

/* The first command for the namespace in this group: the one allocation on its way. */
int nvmft_channel_open(struct nvmft_poll_group *group, const struct ns_view *nsv, struct ns_channel **channel)
{
	struct nvmft_namespace *ns = nsv->ns;
	struct ns_channel *ch;
	int ret;

	*channel = NULL;
	if (ns->slot >= group->nchannels && channels_grow(group, ns->slot))
		return -ENOMEM;
	ch = calloc(1, sizeof(*ch) + ns->ops.channel_size);
	if (!ch)
		return -ENOMEM;
	channel_init(ch, group, nsv);
	ret = channel_start(ch);
	if (ret) {
		free(ch);
		return ret;
	}
	nvmft_namespace_get(ns);
	pthread_mutex_lock(&ns->stats_lock);
	LIST_INSERT_HEAD(&ns->channels, ch, ns_link);
	pthread_mutex_unlock(&ns->stats_lock);
	group->channels[ns->slot] = ch;
	*channel = ch;
	return 0;
}

static void channel_sum(struct nvmft_namespace_stats *sum, const struct ns_channel *ch)
{
	sum->reads += counter_get(&ch->reads);
	sum->read_blocks += counter_get(&ch->read_blocks);
	sum->writes += counter_get(&ch->writes);
	sum->written_blocks += counter_get(&ch->written_blocks);
	sum->others += counter_get(&ch->others);
	sum->errors += counter_get(&ch->errors);
}

void nvmft_channel_free(struct ns_channel *ch)
{
	struct nvmft_poll_group *group = ch->pub.group;
	struct nvmft_namespace *ns = ch->ns;

	if (ns->ops.flush && ch->dirty)
		TAILQ_REMOVE(&group->dirty_channels, ch, dirty_link);
	if (ns->ops.poll && ch->polled)
		TAILQ_REMOVE(&group->polled_channels, ch, polled_link);
	channel_stop(ch);
	pthread_mutex_lock(&ns->stats_lock);
	LIST_REMOVE(ch, ns_link);
	channel_sum(&ns->closed_stats, ch);
	pthread_mutex_unlock(&ns->stats_lock);
	group->channels[ns->slot] = NULL;
	free(ch);
	nvmft_namespace_put(ns);
}

void nvmft_channel_close(struct ns_channel *ch)
{
	ch->closing = true;
	if (ch->in_flight == 0)
		nvmft_channel_free(ch);
}

void nvmft_channels_fini(struct nvmft_poll_group *group)
{
	uint32_t i;

	for (i = 0; i < group->nchannels; i++)
		if (group->channels[i])
			nvmft_channel_close(group->channels[i]);
	free(group->channels);
	group->channels = NULL;
	group->nchannels = 0;
}

static rarely void submit_waiter(struct ns_channel *ch)
{
	struct request *waiter = TAILQ_FIRST(&ch->waiting);

	TAILQ_REMOVE(&ch->waiting, waiter, link);
	waiter->io.state = IO_LATE;
	TAILQ_INSERT_TAIL(&ch->pub.group->submits, waiter, link);
}

/* The I/O is back: its place in the backend goes to the next that waits, and the command goes on. */
static inline void io_finish(struct request *req)
{
	struct ns_channel *ch = req->channel;

	if (unlikely(!TAILQ_EMPTY(&ch->waiting)))
		submit_waiter(ch);
	else
		ch->submitted--;
	req->next(req);
}

/* While it waited the namespace may have shrunk, or be another one. Flush has no range. */
static nvmft_status late_check(struct request *req)
{
	if (req->io.op == NVMFT_IO_FLUSH)
		return 0;
	if (req->io.op == NVMFT_IO_COMMAND)
		return nvmft_pass_recheck(req);
	return nvmft_io_recheck(req, req->io.lba, req->io.blocks);
}

/* The first I/O since the last flush, or since there was none to poll for. */
static rarely void channel_attend(struct ns_channel *ch)
{
	struct nvmft_poll_group *group = ch->pub.group;

	if (!ch->dirty)
		TAILQ_INSERT_TAIL(&group->dirty_channels, ch, dirty_link);
	if (!ch->polled)
		TAILQ_INSERT_TAIL(&group->polled_channels, ch, polled_link);
	ch->dirty = true;
	ch->polled = true;
}

static inline void submit_one(struct ns_channel *ch, struct request *req)
{
	if (unlikely(!ch->dirty || !ch->polled))
		channel_attend(ch);
	req->io.state = IO_SUBMITTING;
	ch->ns->ops.submit(&ch->pub, &req->io);
	if (req->io.state == IO_DONE)
		io_finish(req);
	else
		req->io.state = IO_PENDING;
}

static void submit_queued(struct request *req)
{
	if (req->io.state == IO_LATE) {
		req->io.status = late_check(req);
		if (req->io.status) {
			req->io.state = IO_DONE;
			io_finish(req);
			return;
		}
	}
	submit_one(req->channel, req);
}

/*
 * The one frame from which backends are called. What a completion submits in turn is queued for this loop, so that a
 * backend that completes inside submit, emulation in many steps and a Flush of all namespaces need no stack.
 */
static rarely void submit_all_queued(struct nvmft_poll_group *group)
{
	struct request *req;

	group->submitting = true;
	while ((req = TAILQ_FIRST(&group->submits)) != NULL) {
		TAILQ_REMOVE(&group->submits, req, link);
		submit_queued(req);
	}
	group->submitting = false;
}

static rarely void submit_later(struct nvmft_poll_group *group, struct ns_channel *ch, struct request *req)
{
	if (ch->submitted >= ch->depth) {
		req->io.state = IO_WAITING;
		TAILQ_INSERT_TAIL(&ch->waiting, req, link);
		return;
	}
	ch->submitted++;
	req->io.state = IO_QUEUED;
	TAILQ_INSERT_TAIL(&group->submits, req, link);
}

void nvmft_channel_submit(struct request *req)
{
	struct ns_channel *ch = req->channel;
	struct nvmft_poll_group *group = ch->pub.group;

	req->io.channel = &ch->pub;
	if (unlikely(ch->submitted >= ch->depth || group->submitting)) {
		submit_later(group, ch, req);
		return;
	}
	ch->submitted++;
	group->submitting = true;
	submit_one(ch, req);
	group->submitting = false;
	if (unlikely(!TAILQ_EMPTY(&group->submits)))
		submit_all_queued(group);
}

static void io_done_later(struct request *req)
{
	struct nvmft_poll_group *group = req->io.channel->group;

	assert(req->io.state == IO_PENDING);
	req->io.state = IO_DONE;
	io_finish(req);
	/* It may have made room for an I/O that waited. Inside a submission that one is seen to when it returns. */
	if (unlikely(!TAILQ_EMPTY(&group->submits)) && !group->submitting)
		submit_all_queued(group);
}

void nvmft_io_done(struct nvmft_io *io, nvmft_status status)
{
	io->status = status;
	if (unlikely(io->done != NULL))
		io->done(io);
	else if (likely(io->state == IO_SUBMITTING))
		io->state = IO_DONE;
	else
		io_done_later(container_of(io, struct request, io));
}

static void io_done_call(struct nvmft_call *call)
{
	struct nvmft_io *io = container_of(call, struct nvmft_io, call);

	nvmft_io_done(io, io->status);
}

void nvmft_io_done_remote(struct nvmft_io *io, nvmft_status status)
{
	io->status = status;
	io->call.fn = io_done_call;
	nvmft_poll_group_call(io->channel->group, &io->call);
}

bool nvmft_channel_abort(struct request *req)
{
	struct ns_channel *ch = req->channel;

	/* Commands of several steps look at it between them. */
	req->aborted = true;
	if (!ch)
		return false;
	switch (req->io.state) {
	case IO_WAITING:
		TAILQ_REMOVE(&ch->waiting, req, link);
		break;
	case IO_HELD:
		TAILQ_REMOVE(&ch->held, req, link);
		ch->changing++; /* its next step ends it as if it had begun */
		break;
	case IO_PENDING:
		if (ch->ns->ops.abort)
			ch->ns->ops.abort(&ch->pub, &req->io);
		return false;
	default:
		return false;
	}
	req->io.state = IO_IDLE;
	req->io.status = SC(ABORT_REQ);
	req->next(req);
	return true;
}

int nvmft_channels_poll(struct nvmft_poll_group *group)
{
	struct ns_channel *ch, *tmp;
	int events = 0;

	TAILQ_FOREACH_SAFE (ch, &group->polled_channels, polled_link, tmp) {
		ch->in_flight++; /* a completion may be the last of a closing channel */
		events += ch->ns->ops.poll(&ch->pub);
		if (ch->submitted == 0) {
			ch->polled = false;
			TAILQ_REMOVE(&group->polled_channels, ch, polled_link);
		}
		channel_put(ch);
	}
	return events;
}

void nvmft_channels_flush(struct nvmft_poll_group *group)
{
	struct ns_channel *ch;

	while ((ch = TAILQ_FIRST(&group->dirty_channels))) {
		TAILQ_REMOVE(&group->dirty_channels, ch, dirty_link);
		ch->dirty = false;
		ch->in_flight++;
		ch->ns->ops.flush(&ch->pub);
		channel_put(ch);
	}
}

int nvmft_channels_arm(struct nvmft_poll_group *group)
{
	struct ns_channel *ch;
	int ret;

	/* Something was submitted after this pass's flush. */
	if (!TAILQ_EMPTY(&group->dirty_channels))
		return -EAGAIN;
	TAILQ_FOREACH (ch, &group->polled_channels, polled_link) {
		ret = ch->ns->ops.arm ? ch->ns->ops.arm(&ch->pub) : -EAGAIN;
		if (ret)
			return -EAGAIN;
	}
	return 0;
}

void nvmft_backend_log(const struct nvmft_backend *backend, enum nvmft_log_level level, const char *format, ...)
{
	char prefix[64];
	va_list ap;

	snprintf(prefix, sizeof(prefix), "backend %s: ", backend->ops->name);
	va_start(ap, format);
	nvmft_vlog(backend->target, level, prefix, format, ap);
	va_end(ap);
}
