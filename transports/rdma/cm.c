/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

#include <liburing.h>

#include "rdma.h"

/* Connection management: event channels, and the events of the connections of a poll group. */

struct rdma_event_channel *nvmft_rdma_channel_open(void)
{
	struct rdma_event_channel *channel = rdma_create_event_channel();
	int flags, err;

	if (!channel)
		return NULL;
	flags = fcntl(channel->fd, F_GETFL);
	if (flags >= 0 && fcntl(channel->fd, F_SETFL, flags | O_NONBLOCK) == 0)
		return channel;
	err = errno;
	rdma_destroy_event_channel(channel);
	errno = err;
	return NULL;
}

void nvmft_rdma_reject(struct rdma_cm_id *id, enum rdma_sts sts)
{
	struct rdma_wire_reject wire;

	nvmft_rdma_build_reject(&wire, sts);
	/* If it fails the host finds out by its own timeout. */
	rdma_reject(id, &wire, sizeof(wire));
}

/* ---- addresses ---- */

union inet_end nvmft_rdma_addr(const struct sockaddr *sa)
{
	union inet_end addr = {.sa = {.sa_family = AF_UNSPEC}};

	if (sa->sa_family == AF_INET)
		memcpy(&addr.in, sa, sizeof(addr.in));
	else if (sa->sa_family == AF_INET6)
		memcpy(&addr.in6, sa, sizeof(addr.in6));
	return addr;
}

/* ---- events of connections ---- */

static void cm_prep(struct nvmft_ring_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_poll_add(sqe, rdma_container_of(op, struct rdma_group, cm_op)->channel->fd, POLLIN);
}

/* Identifiers of connections are destroyed at the end of a pass only, so those of all events are there. */
static void cm_complete(struct nvmft_ring_op *op, int res, unsigned int flags)
{
	struct rdma_group *rg = rdma_container_of(op, struct rdma_group, cm_op);
	struct rdma_cm_event *event;

	(void)res;
	(void)flags;
	while (rdma_get_cm_event(rg->channel, &event) == 0) {
		struct rdma_conn *conn = event->id->context;
		enum rdma_cm_event_type type = event->event;
		int status = event->status;

		rdma_ack_cm_event(event);
		nvmft_rdma_conn_event(conn, type, status);
	}
	nvmft_ring_start(rg->group, op);
}

int nvmft_rdma_group_up(struct rdma_group *rg)
{
	if (!rg->channel) {
		rg->channel = nvmft_rdma_channel_open();
		if (!rg->channel)
			return -errno;
		rg->cm_op.prep = cm_prep;
		rg->cm_op.complete = cm_complete;
		nvmft_ring_start(rg->group, &rg->cm_op);
	}
	rg->nconns++;
	return 0;
}

void nvmft_rdma_group_down(struct rdma_group *rg)
{
	if (--rg->nconns > 0)
		return;
	nvmft_ring_forget(rg->group, &rg->cm_op);
	rdma_destroy_event_channel(rg->channel);
	rg->channel = NULL;
}
