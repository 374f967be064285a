/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Timers of a poll group: a pairing heap through the timers themselves, so that arming one cannot fail.
 */
#include "poll_group.h"

enum { CHILD, SIBLING, BACK }; /* roles of nvmft_timer.heap[]; BACK is the left sibling, or the parent of a first child */

static struct nvmft_timer *heap_meld(struct nvmft_timer *a, struct nvmft_timer *b)
{
	if (!a)
		return b;
	if (!b)
		return a;
	if (b->deadline_ns < a->deadline_ns) {
		struct nvmft_timer *tmp = a;

		a = b;
		b = tmp;
	}
	b->heap[BACK] = a;
	b->heap[SIBLING] = a->heap[CHILD];
	if (b->heap[SIBLING])
		b->heap[SIBLING]->heap[BACK] = b;
	a->heap[CHILD] = b;
	return a;
}

/* Meld a list of siblings in pairs from the left, then all from the right: what makes the heap's cost logarithmic. */
static struct nvmft_timer *heap_meld_siblings(struct nvmft_timer *first)
{
	struct nvmft_timer *pairs = NULL, *root = NULL;

	while (first) {
		struct nvmft_timer *a = first, *b = a->heap[SIBLING], *pair;

		first = b ? b->heap[SIBLING] : NULL;
		a->heap[SIBLING] = NULL;
		if (b)
			b->heap[SIBLING] = NULL;
		pair = heap_meld(a, b);
		pair->heap[SIBLING] = pairs;
		pairs = pair;
	}
	while (pairs) {
		struct nvmft_timer *pair = pairs;

		pairs = pair->heap[SIBLING];
		pair->heap[SIBLING] = NULL;
		root = heap_meld(root, pair);
	}
	if (root)
		root->heap[BACK] = NULL;
	return root;
}

static void heap_remove(struct timers *timers, struct nvmft_timer *timer)
{
	struct nvmft_timer *rest = heap_meld_siblings(timer->heap[CHILD]);

	if (timer == timers->root) {
		timers->root = rest;
	} else {
		struct nvmft_timer *back = timer->heap[BACK], *sibling = timer->heap[SIBLING];

		back->heap[back->heap[CHILD] == timer ? CHILD : SIBLING] = sibling;
		if (sibling)
			sibling->heap[BACK] = back;
		timers->root = heap_meld(timers->root, rest);
	}
	timer->armed = false;
}

void nvmft_timer_arm(struct nvmft_poll_group *group, struct nvmft_timer *timer, uint64_t delay_ns, uint64_t slack_ns)
{
	nvmft_timer_cancel(group, timer);
	timer->deadline_ns = group->now_ns + delay_ns;
	if (slack_ns)
		timer->deadline_ns = (timer->deadline_ns + slack_ns - 1) / slack_ns * slack_ns;
	timer->heap[CHILD] = timer->heap[SIBLING] = timer->heap[BACK] = NULL;
	timer->armed = true;
	group->timers.root = heap_meld(group->timers.root, timer);
}

void nvmft_timer_cancel(struct nvmft_poll_group *group, struct nvmft_timer *timer)
{
	if (timer->armed)
		heap_remove(&group->timers, timer);
}

uint64_t nvmft_group_now(const struct nvmft_poll_group *group)
{
	return group->now_ns;
}

int nvmft_timers_run(struct nvmft_poll_group *group)
{
	struct timers *timers = &group->timers;
	int n = 0;

	while (timers_due(timers, group->now_ns)) {
		struct nvmft_timer *timer = timers->root;

		heap_remove(timers, timer);
		timer->fn(timer);
		n++;
	}
	return n;
}

static void timers_fill_ts(struct timers *timers, uint64_t delay_ns)
{
	timers->ts.tv_sec = (int64_t)(delay_ns / 1000000000u);
	timers->ts.tv_nsec = (long long)(delay_ns % 1000000000u);
}

static void timeout_prep(struct nvmft_ring_op *op, struct io_uring_sqe *sqe)
{
	struct timers *timers = container_of(op, struct timers, timeout_op);

	io_uring_prep_timeout(sqe, &timers->ts, 0, 0);
}

/* Waking up is all it is for: the pass that follows looks at the heap. */
static void timeout_complete(struct nvmft_ring_op *op, int res, unsigned int flags)
{
	struct timers *timers = container_of(op, struct timers, timeout_op);

	(void)res;
	(void)flags;
	timers->armed_deadline = 0;
}

/* The kernel's timeout is only moved when it would be late; an early one costs one wake-up, a move costs one per sleep. */
bool nvmft_timers_arm_ring(struct nvmft_poll_group *group)
{
	struct timers *timers = &group->timers;
	struct io_uring_sqe *sqe;

	if (!timers->root || (timers->armed_deadline && timers->armed_deadline <= timers->root->deadline_ns))
		return true;
	timers_fill_ts(timers, timers->root->deadline_ns > group->now_ns ? timers->root->deadline_ns - group->now_ns : 1);
	if (!nvmft_ring_started(&timers->timeout_op)) {
		timers->timeout_op.prep = timeout_prep;
		timers->timeout_op.complete = timeout_complete;
		nvmft_ring_start(group, &timers->timeout_op);
	} else {
		sqe = io_uring_get_sqe(&group->ring.uring);
		if (!sqe)
			return false;
		io_uring_prep_timeout_update(sqe, &timers->ts, (uint64_t)(uintptr_t)&timers->timeout_op, 0);
		io_uring_sqe_set_data(sqe, NULL);
	}
	timers->armed_deadline = timers->root->deadline_ns;
	return true;
}
