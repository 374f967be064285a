/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls from other threads: a stack that the group's thread takes whole and turns round, and an eventfd for when it sleeps.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "poll_group.h"

int nvmft_msgs_init(struct nvmft_poll_group *group)
{
	struct msgs *msgs = &group->msgs;
	int fd;

	atomic_init(&msgs->head, NULL);
	atomic_init(&msgs->sleeping, false);
	fd = eventfd(0, EFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	nvmft_wake_init(&msgs->wake, group, fd);
	return 0;
}

void nvmft_msgs_fini(struct nvmft_poll_group *group)
{
	close(group->msgs.wake.fd);
}

void nvmft_group_wake(struct nvmft_poll_group *group)
{
	uint64_t one = 1;

	if (atomic_exchange(&group->msgs.sleeping, false))
		while (write(group->msgs.wake.fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
}

void nvmft_poll_group_call(struct nvmft_poll_group *group, struct nvmft_call *call)
{
	struct msgs *msgs = &group->msgs;
	struct nvmft_call *head = atomic_load_explicit(&msgs->head, memory_order_relaxed);

	do
		call->next = head;
	while (!atomic_compare_exchange_weak_explicit(&msgs->head, &head, call, memory_order_seq_cst,
						      memory_order_relaxed));
	/*
	 * Sequentially consistent, as nvmft_msgs_sleep() is: either this thread sees that the group sleeps, or the group
	 * sees the call.
	 */
	nvmft_group_wake(group);
}

int nvmft_msgs_run(struct nvmft_poll_group *group)
{
	struct msgs *msgs = &group->msgs;
	struct nvmft_call *call, *fifo = NULL;
	int n = 0;

	if (!msgs_waiting(msgs))
		return 0;
	call = atomic_exchange_explicit(&msgs->head, NULL, memory_order_acquire);
	while (call) {
		struct nvmft_call *next = call->next;

		call->next = fifo;
		fifo = call;
		call = next;
	}
	while (fifo) {
		call = fifo;
		fifo = call->next;
		call->fn(call);
		n++;
	}
	return n;
}

bool nvmft_msgs_sleep(struct nvmft_poll_group *group)
{
	atomic_store(&group->msgs.sleeping, true);
	if (!atomic_load(&group->msgs.head))
		return true;
	nvmft_msgs_awake(group);
	return false;
}

void nvmft_msgs_awake(struct nvmft_poll_group *group)
{
	atomic_store_explicit(&group->msgs.sleeping, false, memory_order_relaxed);
}
