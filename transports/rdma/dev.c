/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <liburing.h>

#include "rdma.h"

/* A device as a poll group uses it: protection domain, completion queue, and how the group sleeps on that. */

/* ---- connections by QP ---- */

/* Completions name a QP; one whose connection is gone by then is found by nobody. */
struct rdma_conn *nvmft_rdma_dev_conn(struct rdma_dev *dev, uint32_t qp_num)
{
	struct rdma_conn *conn;

	LIST_FOREACH (conn, &dev->conns[qp_num % RDMA_QP_BUCKETS], hash_link)
		if (conn->qp_num == qp_num)
			return conn;
	return NULL;
}

void nvmft_rdma_dev_hash(struct rdma_dev *dev, struct rdma_conn *conn)
{
	LIST_INSERT_HEAD(&dev->conns[conn->qp_num % RDMA_QP_BUCKETS], conn, hash_link);
	conn->hashed = true;
}

/* ---- completions ---- */

static void completed(struct rdma_dev *dev, const struct ibv_wc *wc)
{
	struct rdma_conn *conn;

	if ((wc->wr_id & RDMA_WR_MASK) == RDMA_WR_RECV) {
		nvmft_rdma_received(dev, wc);
		return;
	}
	conn = nvmft_rdma_dev_conn(dev, wc->qp_num);
	if (conn)
		nvmft_rdma_sent(conn, wc);
}

int nvmft_rdma_dev_poll(struct rdma_dev *dev)
{
	struct ibv_wc wc[RDMA_CQ_BATCH];
	struct rdma_rx *rx;
	int n, events = 0;

	for (uint32_t round = 0; round < RDMA_CQ_ROUNDS; round++) {
		n = ibv_poll_cq(dev->cq, RDMA_CQ_BATCH, wc);
		for (int i = 0; i < n; i++)
			completed(dev, &wc[i]);
		if (n > 0)
			events += n;
		if (n < RDMA_CQ_BATCH)
			break;
	}
	LIST_FOREACH (rx, &dev->rxs, link)
		if (!SLIST_EMPTY(&rx->todo) && (events || !rx->retry.armed))
			nvmft_rdma_rx_post(rx);
	return events;
}

/*
 * The completion queue tells once, of the next completion after it was asked. What came in before is found by the pass
 * that follows this one, after which the group may sleep.
 */
int nvmft_rdma_dev_arm(struct rdma_dev *dev)
{
	if (dev->armed)
		return 0;
	dev->armed = ibv_req_notify_cq(dev->cq, 0) == 0;
	return -EAGAIN;
}

static void wake_prep(struct nvmft_ring_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_poll_add(sqe, rdma_container_of(op, struct rdma_dev, wake_op)->channel->fd, POLLIN);
}

/* That the group is awake is all that matters: its pass polls the queue, after this. */
static void wake_complete(struct nvmft_ring_op *op, int res, unsigned int flags)
{
	struct rdma_dev *dev = rdma_container_of(op, struct rdma_dev, wake_op);
	struct ibv_cq *cq;
	void *context;

	(void)res;
	(void)flags;
	while (ibv_get_cq_event(dev->channel, &cq, &context) == 0) {
		ibv_ack_cq_events(cq, 1);
		dev->armed = false;
	}
	nvmft_ring_start(dev->rg->group, op);
}

/* ---- room in the completion queue: an overflow would be the end of it ---- */

int nvmft_rdma_dev_reserve(struct rdma_dev *dev, uint32_t entries)
{
	uint64_t wanted = (uint64_t)dev->cq_used + entries, size = dev->cq_size;

	while (size < wanted)
		size *= 2;
	if (size > (uint32_t)dev->attr.max_cqe)
		size = (uint32_t)dev->attr.max_cqe;
	if (size < wanted)
		return -ENOSPC;
	if (size > dev->cq_size) {
		int ret = ibv_resize_cq(dev->cq, (int)size);

		if (ret)
			return -ret;
		dev->cq_size = (uint32_t)size;
	}
	dev->cq_used += entries;
	return 0;
}

void nvmft_rdma_dev_unreserve(struct rdma_dev *dev, uint32_t entries)
{
	dev->cq_used -= entries;
}

/* ---- from the first connection to the last ---- */

static int channel_init(struct rdma_dev *dev)
{
	int flags;

	dev->channel = ibv_create_comp_channel(dev->ctx);
	if (!dev->channel)
		return -errno;
	flags = fcntl(dev->channel->fd, F_GETFL);
	if (flags < 0 || fcntl(dev->channel->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

static int queue_init(struct rdma_dev *dev)
{
	dev->cq_size = rdma_min(RDMA_CQ_MIN, (uint32_t)dev->attr.max_cqe);
	dev->cq = ibv_create_cq(dev->ctx, (int)dev->cq_size, dev, dev->channel, 0);
	return dev->cq ? 0 : -errno;
}

static int dev_init(struct rdma_dev *dev)
{
	int ret = ibv_query_device(dev->ctx, &dev->attr);

	if (ret)
		return -ret;
	dev->pd = ibv_alloc_pd(dev->ctx);
	if (!dev->pd)
		return -errno;
	ret = channel_init(dev);
	if (!ret)
		ret = queue_init(dev);
	if (!ret)
		ret = nvmft_rdma_mem_init(dev);
	return ret;
}

/* In the reverse order; after a failed dev_init() some of it is not there. */
static void dev_free(struct rdma_dev *dev)
{
	nvmft_ring_forget(dev->rg->group, &dev->wake_op);
	nvmft_rdma_mem_fini(dev);
	if (dev->cq)
		ibv_destroy_cq(dev->cq);
	if (dev->channel)
		ibv_destroy_comp_channel(dev->channel);
	if (dev->pd)
		ibv_dealloc_pd(dev->pd);
	free(dev);
}

static int dev_create(struct rdma_group *rg, struct ibv_context *ctx, struct rdma_dev **out)
{
	struct rdma_dev *dev = calloc(1, sizeof(*dev));
	int ret;

	if (!dev)
		return -ENOMEM;
	dev->rg = rg;
	dev->ctx = ctx;
	LIST_INIT(&dev->rxs);
	dev->wake_op.prep = wake_prep;
	dev->wake_op.complete = wake_complete;
	ret = dev_init(dev);
	if (ret) {
		dev_free(dev);
		return ret;
	}
	LIST_INSERT_HEAD(&rg->devs, dev, link);
	nvmft_ring_start(rg->group, &dev->wake_op);
	*out = dev;
	return 0;
}

/*
 * The device is being removed, and everything of ours on it is gone. librdmacm keeps it open all the same, and a driver
 * that cannot take a device from user space, such as that of soft-RoCE, waits for ever for that to end. So it gets
 * nothing in its place, which librdmacm closes when it sees that the device is no longer there.
 */
void nvmft_rdma_abandon(const struct ibv_context *ctx)
{
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (nothing < 0)
		return;
	dup3(nothing, ctx->cmd_fd, O_CLOEXEC);
	dup3(nothing, ctx->async_fd, O_CLOEXEC);
	close(nothing);
}

int nvmft_rdma_dev_get(struct rdma_group *rg, struct ibv_context *ctx, struct rdma_dev **out)
{
	struct rdma_dev *dev;
	int ret;

	LIST_FOREACH (dev, &rg->devs, link)
		if (dev->ctx == ctx && !dev->removed)
			break;
	if (!dev) {
		ret = dev_create(rg, ctx, &dev);
		if (ret)
			return ret;
	}
	dev->nconns++;
	*out = dev;
	return 0;
}

/* The connection's identifier is still there, so librdmacm has not closed the device. */
void nvmft_rdma_dev_put(struct rdma_dev *dev)
{
	const struct ibv_context *ctx;

	if (--dev->nconns > 0)
		return;
	LIST_REMOVE(dev, link);
	ctx = dev->removed ? dev->ctx : NULL;
	dev_free(dev);
	if (ctx)
		nvmft_rdma_abandon(ctx);
}
