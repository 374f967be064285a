/* SPDX-License-Identifier: BSD-3-Clause */
#include <liburing.h>
#include <poll.h>
#include <unistd.h>

#include "vfio_nvme.h"

static struct wake *to_wake(struct nvmft_ring_op *op)
{
	return (struct wake *)(void *)op;
}

static void wake_prep(struct nvmft_ring_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_poll_add(sqe, to_wake(op)->fd, POLLIN);
}

/* That the group is awake is all that matters: its pass polls the channel, after this. */
static void wake_complete(struct nvmft_ring_op *op, int res, unsigned int flags)
{
	uint64_t count;

	(void)res;
	(void)flags;
	(void)!read(to_wake(op)->fd, &count, sizeof(count));
}

void nvmft_wake_init(struct wake *wake, struct nvmft_poll_group *group, int fd)
{
	wake->op.prep = wake_prep;
	wake->op.complete = wake_complete;
	wake->group = group;
	wake->fd = fd;
}

void nvmft_wake_arm(struct wake *wake)
{
	if (!nvmft_ring_started(&wake->op))
		nvmft_ring_start(wake->group, &wake->op);
}

void nvmft_wake_fini(struct wake *wake)
{
	nvmft_ring_forget(wake->group, &wake->op);
}
