/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A poll group's part of a controller: a queue pair, the memory that the device reaches, and the timer that looks after
 * both.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vfio_nvme.h"

static struct vfio_channel *to_channel(struct nvmft_timer *timer)
{
	return (struct vfio_channel *)(void *)((char *)timer - offsetof(struct vfio_channel, timer));
}

/* ---- the queue; context: the controller is locked ---- */

static int take_qid(struct ctrl *ctrl, uint16_t *qid)
{
	for (uint16_t i = 0; i < ctrl->nqueues; i++) {
		if (ctrl->qids >> i & 1)
			continue;
		ctrl->qids |= UINT64_C(1) << i;
		*qid = (uint16_t)(i + 1);
		return 0;
	}
	nvmft_backend_log(ctrl->dev->backend, NVMFT_LOG_ERROR,
			  "the device has only %u I/O queues, one per thread of the target is needed", ctrl->nqueues);
	return -ENOSPC;
}

static int make_queue(struct vfio_channel *ch)
{
	int err;

	if (ctrl_state(ch->ctrl) != CTRL_LIVE)
		return 0;
	err = nvmft_admin_create_queue(ch->ctrl, &ch->queue);
	if (err) {
		nvmft_ctrl_fail(ch->ctrl, "an I/O queue cannot be made");
		return err;
	}
	ch->gen = ctrl_gen(ch->ctrl);
	ch->ready = true;
	return 0;
}

static int alloc(struct vfio_channel *ch)
{
	uint32_t entries = ch->depth + 1;
	uint16_t qid;
	int err = take_qid(ch->ctrl, &qid);

	if (err)
		return err;
	err = nvmft_queue_pair_init(&ch->queue, &ch->ctrl->dma, ch->ctrl->dev->bar, qid, ctrl_stride(ch->ctrl),
				    entries);
	ch->queue.qid = qid;
	if (!err)
		err = nvmft_dma_alloc(&ch->ctrl->dma, (size_t)ch->depth * NVME_PAGE, &ch->lists);
	return err ? err : make_queue(ch);
}

static void release(struct vfio_channel *ch)
{
	struct ctrl *ctrl = ch->ctrl;

	if (ch->ready && ctrl_state(ctrl) == CTRL_LIVE && ctrl_gen(ctrl) == ch->gen)
		nvmft_admin_delete_queue(ctrl, &ch->queue);
	nvmft_queue_pair_fini(&ch->queue, &ctrl->dma);
	nvmft_dma_free(&ctrl->dma, &ch->lists);
	if (ch->queue.qid)
		ctrl->qids &= ~(UINT64_C(1) << (ch->queue.qid - 1));
}

/* ---- looking after it ---- */

static void abort_late(struct vfio_channel *ch, uint64_t now)
{
	for (uint16_t cid = 0; cid < ch->depth; cid++) {
		struct slot *slot = &ch->slots[cid];

		if (!slot->vio || slot->deadline > now)
			continue;
		if (slot->aborting) {
			nvmft_ctrl_fail(ch->ctrl, "a command and its Abort have timed out");
			return;
		}
		if (!nvmft_admin_abort(ch->ctrl, ch->queue.qid, cid))
			continue; /* at the next look */
		nvmft_backend_log(ch->pub->backend, NVMFT_LOG_WARN, "command %u of queue %u has timed out, aborting it",
				  cid, ch->queue.qid);
		slot->aborting = true;
		slot->deadline = now + ABORT_TIMEOUT_NS;
	}
}

static void watch_locked(struct vfio_channel *ch)
{
	nvmft_ctrl_watch(ch->ctrl);
	/* With commands in it, the next poll has to end them first. */
	if (ctrl_gen(ch->ctrl) != ch->gen && ch->nfree == ch->depth)
		ch->ready = false;
	if (ctrl_state(ch->ctrl) != CTRL_LIVE)
		return;
	if (!ch->ready)
		(void)make_queue(ch);
	else if (ctrl_gen(ch->ctrl) == ch->gen)
		abort_late(ch, nvmft_group_now(ch->pub->group));
}

/*
 * Ends no I/O: that could be the last one of a channel that is closing, which only poll survives. It follows, as a
 * timer that ran keeps the group awake.
 */
static void watch(struct nvmft_timer *timer)
{
	struct vfio_channel *ch = to_channel(timer);
	bool calm;

	pthread_mutex_lock(&ch->ctrl->lock);
	watch_locked(ch);
	pthread_mutex_unlock(&ch->ctrl->lock);
	calm = (ch->ready && ctrl_gen(ch->ctrl) == ch->gen) || ctrl_state(ch->ctrl) == CTRL_DEAD;
	nvmft_timer_arm(ch->pub->group, timer, calm ? WATCH_NS : RECOVERY_NS, calm ? WATCH_NS : 0);
}

/* ---- memory ---- */

static int grow_regions(struct vfio_channel *ch, uint32_t index)
{
	uint32_t n = ch->nregions ? ch->nregions : 16;
	struct vfio_region *regions;

	while (n <= index)
		n *= 2;
	if (n == ch->nregions)
		return 0;
	regions = realloc(ch->regions, n * sizeof(*regions));
	if (!regions)
		return -ENOMEM;
	memset(regions + ch->nregions, 0, (n - ch->nregions) * sizeof(*regions));
	ch->regions = regions;
	ch->nregions = n;
	return 0;
}

int nvmft_vfio_region_add(struct nvmft_channel *channel, const struct nvmft_region *region)
{
	struct vfio_channel *ch = channel->priv;
	int err = grow_regions(ch, region->index);
	uint64_t iova;

	if (err)
		return err;
	pthread_mutex_lock(&ch->ctrl->lock);
	err = nvmft_dma_map(&ch->ctrl->dma, region->base, region->len, &iova);
	pthread_mutex_unlock(&ch->ctrl->lock);
	if (err)
		return err;
	ch->regions[region->index] = (struct vfio_region){region->base, iova};
	return 0;
}

void nvmft_vfio_region_remove(struct nvmft_channel *channel, const struct nvmft_region *region)
{
	struct vfio_channel *ch = channel->priv;

	pthread_mutex_lock(&ch->ctrl->lock);
	nvmft_dma_unmap(&ch->ctrl->dma, ch->regions[region->index].iova);
	pthread_mutex_unlock(&ch->ctrl->lock);
	ch->regions[region->index].base = NULL;
}

/* ---- beginning and end ---- */

static int alloc_slots(struct vfio_channel *ch)
{
	ch->slots = calloc(ch->depth, sizeof(*ch->slots));
	ch->free = calloc(ch->depth, sizeof(*ch->free));
	if (!ch->slots || !ch->free)
		return -ENOMEM;
	/* Lowest on top: what was used last is warm, and few stay in use. */
	for (uint32_t i = 0; i < ch->depth; i++)
		ch->free[i] = (uint16_t)(ch->depth - 1 - i);
	ch->nfree = ch->depth;
	return 0;
}

static int make_wake(struct vfio_channel *ch)
{
	const struct device *dev = ch->ctrl->dev;

	if (ch->queue.qid >= dev->nvectors)
		return 0; /* no interrupt is left: this queue is polled */
	ch->wake = nvmft_wake_create(ch->pub->group, dev->vectors[ch->queue.qid]);
	return ch->wake ? 0 : -ENOMEM;
}

int nvmft_vfio_channel_open(struct nvmft_channel *channel)
{
	struct vfio_nvme *vn = channel->backend->priv;
	struct vfio_channel *ch = channel->priv;
	int err;

	ch->ctrl = &vn->ctrl;
	ch->pub = channel;
	ch->depth = vn->depth;
	TAILQ_INIT(&ch->waiting);
	err = alloc_slots(ch);
	if (!err) {
		pthread_mutex_lock(&ch->ctrl->lock);
		err = alloc(ch);
		pthread_mutex_unlock(&ch->ctrl->lock);
	}
	if (!err)
		err = make_wake(ch);
	if (err) {
		nvmft_vfio_channel_close(channel);
		return err;
	}
	ch->timer.fn = watch;
	nvmft_timer_arm(channel->group, &ch->timer, ch->ready ? WATCH_NS : RECOVERY_NS, 0);
	return 0;
}

/* Regions of the group may still be mapped when the opening did not get to its end. */
static void unmap_regions(struct vfio_channel *ch)
{
	for (uint32_t i = 0; i < ch->nregions; i++)
		if (ch->regions[i].base)
			nvmft_dma_unmap(&ch->ctrl->dma, ch->regions[i].iova);
	free(ch->regions);
}

void nvmft_vfio_channel_close(struct nvmft_channel *channel)
{
	struct vfio_channel *ch = channel->priv;

	nvmft_timer_cancel(channel->group, &ch->timer);
	nvmft_wake_destroy(ch->wake);
	pthread_mutex_lock(&ch->ctrl->lock);
	release(ch);
	unmap_regions(ch);
	pthread_mutex_unlock(&ch->ctrl->lock);
	free(ch->slots);
	free(ch->free);
}
