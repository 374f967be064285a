/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the controller's thread does when it is awake, and the I/O queues that it makes and deletes for poll groups.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfio_nvme.h"

/* ---- I/O queues ---- */

void nvmft_pair_wake(struct vfio_pair *pair)
{
	const uint64_t one = 1;

	(void)!write(pair->event_fd, &one, sizeof(one));
}

/* Only this thread takes pairs out of the list: one that was found in it stays. */
static struct vfio_pair *next_pair(struct ctrl *ctrl, struct vfio_pair *pair)
{
	pthread_mutex_lock(&ctrl->lock);
	pair = pair ? TAILQ_NEXT(pair, link) : TAILQ_FIRST(&ctrl->pairs);
	pthread_mutex_unlock(&ctrl->lock);
	return pair;
}

void nvmft_pairs_wake(struct ctrl *ctrl)
{
	struct vfio_pair *pair = NULL;

	while ((pair = next_pair(ctrl, pair)))
		nvmft_pair_wake(pair);
}

/* Of a queue of now: what is in an older generation's the group has answered itself. */
void nvmft_pair_aborted(struct ctrl *ctrl, uint16_t qid, uint16_t cid)
{
	struct vfio_pair *pair = NULL;

	while ((pair = next_pair(ctrl, pair)))
		if (pair->made && pair->queue.qid == qid && pair->gen == ctrl_gen(ctrl) && cid < pair->depth)
			atomic_store_explicit(&pair->aborts[cid], false, memory_order_release);
}

static int take_qid(struct ctrl *ctrl, uint16_t *qid)
{
	for (uint16_t i = 0; i < ctrl->nqueues; i++) {
		if (ctrl->qids >> i & 1)
			continue;
		ctrl->qids |= UINT64_C(1) << i;
		*qid = (uint16_t)(i + 1);
		return 0;
	}
	nvmft_device_log(ctrl->dev, NVMFT_LOG_ERROR, "the device has fewer I/O queues than before");
	return -ENOSPC;
}

static void free_memory(struct ctrl *ctrl, struct vfio_pair *pair)
{
	nvmft_queue_pair_fini(&pair->queue, ctrl->dev);
	nvmft_dma_free(ctrl->dev, &pair->lists);
	if (pair->queue.qid)
		ctrl->qids &= ~(UINT64_C(1) << (pair->queue.qid - 1));
	pair->queue.qid = 0;
}

static int alloc_memory(struct ctrl *ctrl, struct vfio_pair *pair)
{
	uint16_t qid;
	int err = take_qid(ctrl, &qid);

	if (err)
		return err;
	err = nvmft_queue_pair_init(&pair->queue, ctrl->dev, ctrl->dev->bar, qid, ctrl_stride(ctrl), pair->depth + 1);
	pair->queue.qid = qid;
	if (!err)
		err = nvmft_dma_alloc(ctrl->dev, (size_t)pair->depth * NVME_PAGE, &pair->lists);
	if (err)
		free_memory(ctrl, pair);
	return err;
}

static void drop_wishes(struct ctrl *ctrl, uint16_t qid)
{
	unsigned int n = 0;

	pthread_mutex_lock(&ctrl->lock);
	for (unsigned int i = 0; i < ctrl->nwishes; i++)
		if (ctrl->wishes[i].qid != qid)
			ctrl->wishes[n++] = ctrl->wishes[i];
	ctrl->nwishes = n;
	pthread_mutex_unlock(&ctrl->lock);
}

static enum pair_state pair_state(const struct vfio_pair *pair)
{
	return (enum pair_state)atomic_load_explicit(&pair->state, memory_order_acquire);
}

/* Unless the group has closed it meanwhile. */
static void hand_over(struct vfio_pair *pair, enum pair_state from, enum pair_state to)
{
	int expected = (int)from;

	(void)atomic_compare_exchange_strong_explicit(&pair->state, &expected, (int)to, memory_order_acq_rel,
						      memory_order_acquire);
	nvmft_pair_wake(pair);
}

static void make(struct ctrl *ctrl, struct vfio_pair *pair, enum pair_state state)
{
	int err = pair->queue.qid ? 0 : alloc_memory(ctrl, pair);

	if (!err) {
		err = nvmft_admin_create_queue(ctrl, &pair->queue);
		if (err < 0) {
			nvmft_ctrl_fail(ctrl, "an I/O queue cannot be made");
			return;
		}
	}
	if (!err) {
		pair->gen = ctrl_gen(ctrl);
		pair->made = true;
		hand_over(pair, state, PAIR_READY);
	} else if (state != PAIR_REFUSED) {
		hand_over(pair, state, PAIR_REFUSED);
	}
}

/* With all Aborts of its commands, which would be for those of the next queue of this identifier. */
static int delete_queue(struct ctrl *ctrl, struct vfio_pair *pair)
{
	int err = nvmft_admin_delete_queue(ctrl, &pair->queue);

	drop_wishes(ctrl, pair->queue.qid);
	return err ? err : nvmft_admin_await_aborts(ctrl, pair->queue.qid);
}

static void end(struct ctrl *ctrl, struct vfio_pair *pair)
{
	if (pair->made && ctrl_state(ctrl) == CTRL_LIVE && ctrl_gen(ctrl) == pair->gen && delete_queue(ctrl, pair))
		nvmft_ctrl_fail(ctrl, "a queue cannot be deleted"); /* the device may still write into it */
	free_memory(ctrl, pair);
	pthread_mutex_lock(&ctrl->lock);
	TAILQ_REMOVE(&ctrl->pairs, pair, link);
	pthread_mutex_unlock(&ctrl->lock);
	close(pair->event_fd);
	free(pair->aborts);
	free(pair);
}

static void end_closed(struct ctrl *ctrl)
{
	struct vfio_pair *pair = next_pair(ctrl, NULL), *next;

	for (; pair; pair = next) {
		next = next_pair(ctrl, pair);
		if (pair_state(pair) == PAIR_CLOSING)
			end(ctrl, pair);
	}
}

static void pairs_step(struct ctrl *ctrl)
{
	uint64_t now = ctrl->dev->ops->now(ctrl->dev);
	bool again = now >= ctrl->refused_again;
	struct vfio_pair *pair = NULL;

	/* First, as their identifiers may be wanted. */
	end_closed(ctrl);
	while (ctrl_state(ctrl) == CTRL_LIVE && (pair = next_pair(ctrl, pair))) {
		enum pair_state state = pair_state(pair);

		if (state == PAIR_WANTED || (state == PAIR_REFUSED && again))
			make(ctrl, pair, state);
	}
	if (again)
		ctrl->refused_again = now + WATCH_NS;
}

/* ---- what others have left word of ---- */

bool nvmft_ctrl_wish_abort(struct ctrl *ctrl, unsigned int gen, uint16_t qid, uint16_t cid)
{
	bool room;

	pthread_mutex_lock(&ctrl->lock);
	room = ctrl->nwishes < MAX_WISHES;
	if (room)
		ctrl->wishes[ctrl->nwishes++] = (struct abort_wish){gen, qid, cid};
	pthread_mutex_unlock(&ctrl->lock);
	nvmft_ctrl_kick(ctrl);
	return room;
}

void nvmft_ctrl_accuse(struct ctrl *ctrl, unsigned int gen, const char *why)
{
	pthread_mutex_lock(&ctrl->lock);
	ctrl->accused = why;
	ctrl->accused_gen = gen;
	pthread_mutex_unlock(&ctrl->lock);
	nvmft_ctrl_kick(ctrl);
}

/* While a host's Format or Sanitize goes on, other commands may have to wait for it. The poll group will ask again. */
static void judge(struct ctrl *ctrl)
{
	const char *why;

	pthread_mutex_lock(&ctrl->lock);
	why = ctrl->accused_gen == ctrl_gen(ctrl) ? ctrl->accused : NULL;
	ctrl->accused = NULL;
	pthread_mutex_unlock(&ctrl->lock);
	if (why && !nvmft_pass_busy(ctrl))
		nvmft_ctrl_fail(ctrl, why);
}

static bool first_wish(struct ctrl *ctrl, struct abort_wish *wish)
{
	bool any;

	pthread_mutex_lock(&ctrl->lock);
	any = ctrl->nwishes > 0;
	if (any)
		*wish = ctrl->wishes[0];
	pthread_mutex_unlock(&ctrl->lock);
	return any;
}

static void drop_first_wish(struct ctrl *ctrl)
{
	pthread_mutex_lock(&ctrl->lock);
	ctrl->nwishes--;
	memmove(&ctrl->wishes[0], &ctrl->wishes[1], ctrl->nwishes * sizeof(ctrl->wishes[0]));
	pthread_mutex_unlock(&ctrl->lock);
}

static void grant_wishes(struct ctrl *ctrl)
{
	struct abort_wish wish;

	while (first_wish(ctrl, &wish)) {
		if (ctrl_state(ctrl) == CTRL_LIVE && wish.gen == ctrl_gen(ctrl) &&
		    !nvmft_admin_abort(ctrl, wish.qid, wish.cid))
			return;
		drop_first_wish(ctrl);
	}
}

static struct ctrl_call *take_call(struct ctrl *ctrl)
{
	struct ctrl_call *call;

	pthread_mutex_lock(&ctrl->lock);
	call = STAILQ_FIRST(&ctrl->calls);
	if (call)
		STAILQ_REMOVE_HEAD(&ctrl->calls, link);
	pthread_mutex_unlock(&ctrl->lock);
	return call;
}

static void answer_calls(struct ctrl *ctrl)
{
	struct ctrl_call *call;

	while ((call = take_call(ctrl))) {
		int ret = call->fn(call->arg);

		pthread_mutex_lock(&ctrl->lock);
		call->ret = ret;
		call->done = true;
		pthread_cond_broadcast(&ctrl->called);
		pthread_mutex_unlock(&ctrl->lock);
	}
}

/* ---- all ---- */

static bool signalled(int fd)
{
	uint64_t count;

	return fd >= 0 && read(fd, &count, sizeof(count)) == sizeof(count);
}

static void look_at_bus(struct ctrl *ctrl)
{
	if (signalled(ctrl->dev->unplug_fd))
		nvmft_ctrl_give_back(ctrl);
	if (signalled(ctrl->dev->error_fd))
		nvmft_ctrl_fail(ctrl, "the bus reports an error of the device");
}

/* Namespaces close after their channels: all queues are deleted by then. */
static bool to_stop(struct ctrl *ctrl)
{
	bool stop;

	pthread_mutex_lock(&ctrl->lock);
	stop = ctrl->stop;
	pthread_mutex_unlock(&ctrl->lock);
	return stop;
}

static uint64_t sleep_time(struct ctrl *ctrl)
{
	enum ctrl_state state = ctrl_state(ctrl);
	bool busy = ctrl->aborts || ctrl->npasses || ctrl->event == EVENT_READING;

	if (ctrl->event == EVENT_READ || ctrl->look_again)
		return 0;
	if (busy && !ctrl->dev->nvectors)
		return POLL_NS;
	if (state == CTRL_DISABLING || state == CTRL_ENABLING || ctrl->event == EVENT_REST ||
	    ctrl->event == EVENT_TOLD || ctrl->look_at)
		return RECOVERY_NS;
	return WATCH_NS;
}

uint64_t nvmft_ctrl_step(struct ctrl *ctrl)
{
	/* First: a queue may be closed, and this said, while the rest goes on, and then it is for the next step. */
	bool stop = to_stop(ctrl);

	if (ctrl->ended)
		return STEP_ENDED;
	look_at_bus(ctrl);
	nvmft_ctrl_watch(ctrl);
	answer_calls(ctrl);
	judge(ctrl);
	grant_wishes(ctrl);
	nvmft_pass_step(ctrl);
	nvmft_event_step(ctrl);
	pairs_step(ctrl);
	if (!stop)
		return sleep_time(ctrl);
	if (ctrl_state(ctrl) == CTRL_LIVE)
		nvmft_ctrl_shut_down(ctrl);
	nvmft_ctrl_end(ctrl);
	return STEP_ENDED;
}
