/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A poll group's end of a queue pair. Nothing here waits: the controller's thread makes the queue, sends Aborts, resets
 * and deletes, and is only told what is wanted.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vfio_nvme.h"

static enum pair_state pair_state(const struct vfio_pair *pair)
{
	return (enum pair_state)atomic_load_explicit(&pair->state, memory_order_acquire);
}

static void set_state(struct vfio_pair *pair, enum pair_state state)
{
	struct ctrl *ctrl = pair->ctrl;

	/* From here on it is the thread's, which frees a pair that is closing. */
	atomic_store_explicit(&pair->state, (int)state, memory_order_release);
	nvmft_ctrl_kick(ctrl);
}

/* ---- late commands ---- */

/* Looks at all, which is for now and then: counting them costs more in sum. */
bool nvmft_pair_busy(const struct vfio_pair *pair)
{
	for (uint32_t cid = 0; cid < pair->depth; cid++)
		if (slot_open(&pair->slots[cid]) || pair->slots[cid].aborting)
			return true;
	return false;
}

/* Their time begins when they are first seen here: that costs nothing when they are sent. */
static void set_deadlines(struct vfio_pair *pair, uint64_t now)
{
	for (uint32_t cid = 0; cid < pair->depth; cid++)
		if (slot_open(&pair->slots[cid]) && !pair->slots[cid].deadline)
			pair->slots[cid].deadline = now + IO_TIMEOUT_NS - WATCH_NS;
}

/* First said, as the thread may be done with it at once. */
static bool wish_abort(struct vfio_pair *pair, uint32_t cid)
{
	bool room;

	atomic_store_explicit(&pair->aborts[cid], true, memory_order_relaxed);
	room = nvmft_ctrl_wish_abort(pair->ctrl, pair->gen, pair->queue.qid, (uint16_t)cid);
	if (!room)
		atomic_store_explicit(&pair->aborts[cid], false, memory_order_relaxed);
	return room;
}

static void abort_late(struct vfio_pair *pair, uint64_t now)
{
	for (uint32_t cid = 0; cid < pair->depth; cid++) {
		struct slot *slot = &pair->slots[cid];

		if (!slot_open(slot) || slot->deadline > now)
			continue;
		if (slot->aborting) {
			nvmft_ctrl_accuse(pair->ctrl, pair->gen, "a command and its Abort have timed out");
			return;
		}
		if (!wish_abort(pair, cid))
			continue; /* at the next look */
		nvmft_device_log(pair->ctrl->dev, NVMFT_LOG_WARN,
				 "command %" PRIu32 " of queue %u has timed out, aborting it", cid, pair->queue.qid);
		if (slot->io)
			nvmft_vfio_lengthen(slot);
		slot->aborting = true;
		slot->deadline = now + ABORT_TIMEOUT_NS;
	}
}

/* Identifiers that were kept back while an Abort for them was under way. */
static void return_aborted(struct vfio_pair *pair)
{
	for (uint32_t cid = 0; cid < pair->depth; cid++) {
		if (pair->slots[cid].vio || !pair->slots[cid].aborting ||
		    atomic_load_explicit(&pair->aborts[cid], memory_order_acquire))
			continue;
		pair->slots[cid].aborting = false;
		slot_give(pair, &pair->slots[cid]);
	}
}

static struct vfio_pair *to_pair(struct nvmft_timer *timer)
{
	return (struct vfio_pair *)(void *)((char *)timer - offsetof(struct vfio_pair, timer));
}

/* Ends no I/O: that is for poll, which follows as a timer that ran keeps the group awake. */
static void watch(struct nvmft_timer *timer)
{
	struct vfio_pair *pair = to_pair(timer);

	if (pair_live(pair)) {
		return_aborted(pair);
		set_deadlines(pair, nvmft_group_now(pair->group));
		abort_late(pair, nvmft_group_now(pair->group));
	}
	if (nvmft_pair_busy(pair))
		nvmft_timer_arm(pair->group, &pair->timer, WATCH_NS, WATCH_NS);
}

/* The timer goes on until it finds no command. */
void nvmft_pair_sent(struct vfio_pair *pair)
{
	if (!pair->timer.armed && nvmft_pair_busy(pair))
		nvmft_timer_arm(pair->group, &pair->timer, WATCH_NS, WATCH_NS);
}

void nvmft_pair_abort(struct vfio_pair *pair, const struct vio *vio)
{
	uint64_t now = nvmft_group_now(pair->group), deadline = now + ABORT_TIMEOUT_NS;

	set_deadlines(pair, now);
	for (uint32_t cid = 0; cid < pair->depth; cid++) {
		struct slot *slot = &pair->slots[cid];

		if (slot->vio != vio || slot->aborting)
			continue;
		if (!wish_abort(pair, cid))
			return;
		slot->aborting = true;
		if (slot->deadline < deadline)
			slot->deadline = deadline;
	}
}

/* ---- what the thread answers ---- */

/* All commands in the device are over without an answer: a device that forgot its queues will not give any. */
static int lost(struct vfio_pair *pair)
{
	int n = 0;

	pair->ready = false;
	pair_set_short(pair);
	for (uint32_t cid = 0; cid < pair->depth; cid++) {
		/* Aborts are lost with the commands. The thread has done with those of a generation that is over. */
		atomic_store_explicit(&pair->aborts[cid], false, memory_order_relaxed);
		if (!slot_open(&pair->slots[cid]))
			continue;
		nvmft_vfio_slot_done(pair, (uint16_t)cid, STATUS_LOST);
		n++;
	}
	return_aborted(pair);
	set_state(pair, PAIR_WANTED);
	return n;
}

static int fail_waiting(struct vfio_pair *pair)
{
	struct vio *vio;
	int n = 0;

	for (; (vio = TAILQ_FIRST(&pair->waiting)); n++) {
		nvmft_vfio_fail_rest(vio, STATUS_NOT_READY);
		nvmft_vfio_end_if_over(pair, vio);
	}
	return n;
}

static void take_over(struct vfio_pair *pair)
{
	const struct device *dev = pair->ctrl->dev;
	int fd = pair->queue.qid < dev->nvectors ? dev->vectors[pair->queue.qid] : -1;

	if (pair->irq.fd != fd) {
		nvmft_wake_fini(&pair->irq);
		nvmft_wake_init(&pair->irq, pair->group, fd);
	}
	pair->ready = true;
	pair_set_short(pair);
}

int nvmft_pair_attend(struct vfio_pair *pair)
{
	int n = 0;

	if (pair->ready && ctrl_gen(pair->ctrl) != pair->gen)
		n += lost(pair);
	if (!pair->ready && pair_state(pair) == PAIR_READY)
		take_over(pair);
	else if (!pair->ready && (pair_state(pair) == PAIR_REFUSED || ctrl_state(pair->ctrl) == CTRL_DEAD))
		n += fail_waiting(pair);
	return n;
}

bool nvmft_pair_answered(const struct vfio_pair *pair)
{
	if (pair->ready)
		return ctrl_gen(pair->ctrl) != pair->gen;
	return pair_state(pair) == PAIR_READY ||
	       (!TAILQ_EMPTY(&pair->waiting) &&
		(pair_state(pair) == PAIR_REFUSED || ctrl_state(pair->ctrl) == CTRL_DEAD));
}

/* ---- beginning and end ---- */

static void pair_free(struct vfio_pair *pair)
{
	if (pair->event_fd >= 0)
		close(pair->event_fd);
	free(pair->aborts);
	free(pair->slots);
	free(pair);
}

static int alloc_slots(struct vfio_pair *pair)
{
	pair->event_fd = eventfd(0, EFD_CLOEXEC);
	if (pair->event_fd < 0)
		return -errno;
	pair->slots = calloc(pair->depth, sizeof(*pair->slots));
	pair->aborts = calloc(pair->depth, sizeof(*pair->aborts));
	if (!pair->slots || !pair->aborts)
		return -ENOMEM;
	/* Lowest on top: what was used last is warm, and few stay in use. */
	for (uint32_t cid = pair->depth; cid-- > 0;) {
		pair->slots[cid].dw0 = cid << 16;
		slot_give(pair, &pair->slots[cid]);
	}
	return 0;
}

static struct vfio_pair *pair_create(struct ctrl *ctrl, struct nvmft_poll_group *group, int *err)
{
	struct vfio_pair *pair = calloc(1, sizeof(*pair));

	if (!pair) {
		*err = -ENOMEM;
		return NULL;
	}
	pair->ctrl = ctrl;
	pair->group = group;
	pair->depth = ctrl->depth;
	pair->short_gen = SHORT_NEVER;
	pair->timer.fn = watch;
	atomic_init(&pair->state, PAIR_WANTED);
	TAILQ_INIT(&pair->waiting);
	*err = alloc_slots(pair);
	if (*err) {
		pair_free(pair);
		return NULL;
	}
	nvmft_wake_init(&pair->answer, group, pair->event_fd);
	nvmft_wake_init(&pair->irq, group, -1);
	return pair;
}

/* The controller's locks are held for moments only. */
static struct vfio_pair *find(struct ctrl *ctrl, const struct nvmft_poll_group *group)
{
	struct vfio_pair *pair;

	pthread_mutex_lock(&ctrl->lock);
	TAILQ_FOREACH (pair, &ctrl->pairs, link)
		if (pair->group == group && pair_state(pair) != PAIR_CLOSING)
			break;
	pthread_mutex_unlock(&ctrl->lock);
	return pair;
}

static int add(struct ctrl *ctrl, struct vfio_pair *pair)
{
	unsigned int nqueues;
	bool room;

	pthread_mutex_lock(&ctrl->lock);
	nqueues = ctrl->nqueues;
	room = ctrl->npairs < nqueues;
	if (room) {
		TAILQ_INSERT_TAIL(&ctrl->pairs, pair, link);
		ctrl->npairs++;
	}
	pthread_mutex_unlock(&ctrl->lock);
	if (room)
		return 0;
	nvmft_device_log(ctrl->dev, NVMFT_LOG_ERROR,
			 "the device has only %u I/O queues, one per thread of the target is needed", nqueues);
	return -ENOSPC;
}

struct vfio_pair *nvmft_pair_get(struct ctrl *ctrl, struct nvmft_poll_group *group, int *err)
{
	struct vfio_pair *pair = find(ctrl, group);

	if (!pair) {
		pair = pair_create(ctrl, group, err);
		if (!pair)
			return NULL;
		*err = add(ctrl, pair);
		if (*err) {
			pair_free(pair);
			return NULL;
		}
		nvmft_ctrl_kick(ctrl);
	}
	pair->refs++;
	return pair;
}

void nvmft_pair_put(struct vfio_pair *pair)
{
	struct ctrl *ctrl = pair->ctrl;

	if (--pair->refs)
		return;
	nvmft_timer_cancel(pair->group, &pair->timer);
	nvmft_wake_fini(&pair->irq);
	nvmft_wake_fini(&pair->answer);
	pthread_mutex_lock(&ctrl->lock);
	ctrl->npairs--;
	pthread_mutex_unlock(&ctrl->lock);
	free(pair->slots);
	pair->slots = NULL;
	set_state(pair, PAIR_CLOSING);
}
