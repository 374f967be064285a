/* SPDX-License-Identifier: BSD-3-Clause */
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "vfio_nvme.h"

struct wake {
	struct nvmft_ring_op op;
	struct nvmft_poll_group *group;
	int fd;
};

static struct wake *to_wake(struct nvmft_ring_op *op)
{
	return (struct wake *)(void *)op;
}

static void wake_prep(struct nvmft_ring_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_poll_add(sqe, to_wake(op)->fd, POLLIN);
}

/* That the group is awake is all that matters: its pass polls the channel. */
static void wake_complete(struct nvmft_ring_op *op, int res, unsigned int flags)
{
	uint64_t count;

	(void)res;
	(void)flags;
	(void)!read(to_wake(op)->fd, &count, sizeof(count));
}

struct wake *nvmft_wake_create(struct nvmft_poll_group *group, int fd)
{
	struct wake *wake = calloc(1, sizeof(*wake));

	if (!wake)
		return NULL;
	wake->op.prep = wake_prep;
	wake->op.complete = wake_complete;
	wake->group = group;
	wake->fd = fd;
	return wake;
}

void nvmft_wake_arm(struct wake *wake)
{
	if (!nvmft_ring_started(&wake->op))
		nvmft_ring_start(wake->group, &wake->op);
}

/*
 * A channel ends at once, while an operation on the ring ends in a later pass, or never, when the group itself is
 * going. So the kernel is made to end it now, which for a poll it always can, and its completion, if it is in the ring,
 * is made nobody's.
 */
void nvmft_wake_destroy(struct wake *wake)
{
	struct io_uring *ring;
	struct io_uring_cqe *cqe;
	unsigned int head;

	if (!wake)
		return;
	if (nvmft_ring_started(&wake->op)) {
		ring = nvmft_ring_raw(wake->group);
		nvmft_ring_cancel(wake->group, &wake->op);
		(void)io_uring_submit_and_get_events(ring);
		io_uring_for_each_cqe(ring, head, cqe) if (io_uring_cqe_get_data(cqe) == &wake->op) cqe->user_data = 0;
	}
	free(wake);
}
