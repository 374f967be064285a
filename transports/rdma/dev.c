/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>

#include <liburing.h>

#include "rdma.h"

/* A device as a poll group uses it: protection domain, completion queues, and how the group sleeps on that. */

/* ---- connections by QP ---- */

void nvmft_rdma_dev_hash(struct rdma_dev *dev, struct rdma_conn *conn)
{
	LIST_INSERT_HEAD(&dev->conns[conn->qp_num % RDMA_QP_BUCKETS], conn, hash_link);
	conn->hashed = true;
}

/* ---- completions ---- */

/* What could not be posted waits for its time, or for completions, which may have brought memory. */
static void post_receives(struct rdma_dev *dev, bool again)
{
	struct rdma_rx *rx;

	LIST_FOREACH (rx, &dev->rxs, link)
		if ((rx->ntodo || rx->nbare) && (again || !rx->retry.armed))
			nvmft_rdma_rx_post(rx);
}

/* Inline for each of the two queues, as that is most of what a pass with little to do costs. */
static inline __attribute__((always_inline)) int cq_poll(struct rdma_dev *dev, struct rdma_cq *queue, int max)
{
	struct ibv_wc wc[RDMA_CQ_BATCH];
	int left = max, n;

	do {
		n = ibv_poll_cq(queue->cq, RDMA_CQ_BATCH, wc);
		if (n <= 0)
			break;
		if (queue == &dev->sends)
			nvmft_rdma_sent(dev, wc, n);
		else
			nvmft_rdma_received(dev, wc, n);
		left -= n;
	} while (n == RDMA_CQ_BATCH && left > 0);
	if (unlikely(n < 0))
		nvmft_rdma_dev_dead(dev, "the RDMA device's completion queue is broken");
	return max - left;
}

/* What is over first: the commands that come in may need its room, and a host has taken a response before it sends. */
static int dev_poll(struct rdma_dev *dev, int max_sends, int max_receives)
{
	int n = cq_poll(dev, &dev->sends, max_sends);

	dev->taken += (uint32_t)n;
	n += cq_poll(dev, &dev->receives, max_receives);
	post_receives(dev, n > 0);
	return n;
}

int nvmft_rdma_dev_poll(struct rdma_dev *dev)
{
	/* All that is over: hosts are judged by the responses that they have not taken. There are no more than were
	 * posted. */
	return dev_poll(dev, (int)dev->sends.size, RDMA_CQ_EVENTS);
}

/* What is there now: others may go on to put more in. */
void nvmft_rdma_dev_poll_all(struct rdma_dev *dev)
{
	dev_poll(dev, (int)dev->sends.size, (int)dev->receives.size);
}

/* A completion queue tells once, of the next completion after it was asked. What came in before has to be looked for.
 */
static bool cq_arm(struct rdma_cq *queue)
{
	if (!queue->armed)
		queue->armed = ibv_req_notify_cq(queue->cq, 0) == 0;
	return queue->armed;
}

/* Fires into a pass that does what it is for. */
static void swept(struct nvmft_timer *timer)
{
	(void)timer;
}

/*
 * That a host has taken a response sets free what it held, which most often nobody waits for: the host's next command
 * finds it, or the timer does. So a command costs one wake-up and not two. A host that has taken nothing by then may
 * take nothing for long: that it does at last is worth a wake-up, to look again and again is not.
 */
static bool sends_to_arm(struct rdma_dev *dev)
{
	if (dev->awaits)
		return true;
	if (!dev->signals || dev->sends.armed || dev->sweep.armed)
		return false;
	if (dev->taken == dev->taken_before)
		return true;
	dev->taken_before = dev->taken;
	nvmft_timer_arm(dev->rg->group, &dev->sweep, RDMA_SWEEP_MS * RDMA_NS_PER_MS, RDMA_SWEEP_MS * RDMA_NS_PER_MS);
	return false;
}

int nvmft_rdma_dev_arm(struct rdma_dev *dev)
{
	bool sends = sends_to_arm(dev), ask = !dev->receives.armed || (sends && !dev->sends.armed);

	if (!cq_arm(&dev->receives) || (sends && !cq_arm(&dev->sends)))
		return -EAGAIN;
	return ask && nvmft_rdma_dev_poll(dev) > 0 ? -EAGAIN : 0;
}

static void wake_prep(struct nvmft_ring_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_poll_multishot(sqe, rdma_container_of(op, struct rdma_dev, wake_op)->channel->fd, POLLIN);
}

/* That the group is awake is all that matters: its pass polls the queue, after this. */
static void wake_complete(struct nvmft_ring_op *op, int res, unsigned int flags)
{
	struct rdma_dev *dev = rdma_container_of(op, struct rdma_dev, wake_op);
	struct ibv_cq *cq;
	void *context;

	(void)res;
	/* A queue has no second event before it is asked again: to look for one would be a system call for nothing. */
	while ((dev->receives.armed || dev->sends.armed) && ibv_get_cq_event(dev->channel, &cq, &context) == 0) {
		struct rdma_cq *queue = context;

		ibv_ack_cq_events(cq, 1);
		queue->armed = false;
	}
	/* A descriptor of a device that is gone would be ready for ever. */
	if (!dev->dead && !(flags & IORING_CQE_F_MORE))
		nvmft_ring_start(dev->rg->group, op);
}

/* ---- events of the device ---- */

void nvmft_rdma_dev_dead(struct rdma_dev *dev, const char *why)
{
	struct rdma_conn *conn;

	if (dev->dead)
		return;
	dev->dead = true;
	for (uint32_t i = 0; i < RDMA_QP_BUCKETS; i++) {
		LIST_FOREACH (conn, &dev->conns[i], hash_link) {
			nvmft_rdma_conn_dead(conn, why);
			nvmft_rdma_conn_drained(conn);
		}
	}
}

static void async_event(struct rdma_dev *dev, const struct ibv_async_event *event)
{
	switch (event->event_type) {
	case IBV_EVENT_DEVICE_FATAL:
		nvmft_rdma_dev_dead(dev, "the RDMA device is gone");
		break;
	case IBV_EVENT_CQ_ERR:
	case IBV_EVENT_SRQ_ERR:
		nvmft_rdma_dev_dead(dev, "a queue of the RDMA device is broken");
		break;
	case IBV_EVENT_QP_FATAL:
	case IBV_EVENT_QP_REQ_ERR:
	case IBV_EVENT_QP_ACCESS_ERR:
		nvmft_rdma_conn_dead(event->element.qp->qp_context, ibv_event_type_str(event->event_type));
		break;
	default:
		break;
	}
}

static void async_prep(struct nvmft_ring_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_poll_add(sqe, rdma_container_of(op, struct rdma_dev, async_op)->ctx->async_fd, POLLIN);
}

static void async_complete(struct nvmft_ring_op *op, int res, unsigned int flags)
{
	struct rdma_dev *dev = rdma_container_of(op, struct rdma_dev, async_op);
	struct ibv_async_event event;

	(void)res;
	(void)flags;
	while (ibv_get_async_event(dev->ctx, &event) == 0) {
		async_event(dev, &event);
		ibv_ack_async_event(&event);
	}
	if (!dev->dead)
		nvmft_ring_start(dev->rg->group, op);
}

/* ---- room in the completion queue: an overflow would be the end of it ---- */

int nvmft_rdma_cq_reserve(struct rdma_dev *dev, struct rdma_cq *queue, uint32_t entries)
{
	uint64_t wanted = (uint64_t)queue->used + entries, size = queue->size;

	while (size < wanted)
		size *= 2;
	if (size > (uint32_t)dev->attr.max_cqe)
		size = (uint32_t)dev->attr.max_cqe;
	if (size < wanted)
		return -ENOSPC;
	if (size > queue->size) {
		int ret = ibv_resize_cq(queue->cq, (int)size);

		if (ret)
			return -ret;
		queue->size = (uint32_t)size;
	}
	queue->used += entries;
	return 0;
}

void nvmft_rdma_cq_unreserve(struct rdma_cq *queue, uint32_t entries)
{
	queue->used -= entries;
}

/* ---- from the first connection to the last ---- */

static int set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

/*
 * librdmacm has opened the device, too, and keeps that for the whole process. A context of one's own is closed when it
 * is not needed, its asynchronous events are nobody else's, and no lock inside is shared with another thread.
 */
static int context_init(struct rdma_dev *dev, struct ibv_device *device)
{
	int ret;

	errno = ENODEV;
	dev->ctx = ibv_open_device(device);
	if (!dev->ctx)
		return -errno;
	ret = ibv_query_device(dev->ctx, &dev->attr);
	return ret ? -ret : set_nonblocking(dev->ctx->async_fd);
}

static int channel_init(struct rdma_dev *dev)
{
	dev->channel = ibv_create_comp_channel(dev->ctx);
	return dev->channel ? set_nonblocking(dev->channel->fd) : -errno;
}

static int cq_create(struct rdma_dev *dev, struct rdma_cq *queue, uint32_t size)
{
	queue->size = rdma_min(size, (uint32_t)dev->attr.max_cqe);
	queue->cq = ibv_create_cq(dev->ctx, (int)queue->size, queue, dev->channel, 0);
	return queue->cq ? 0 : -errno;
}

/* It grows with the connections, unless the device cannot do that: then it has to be large from the beginning. */
static int queue_init(struct rdma_dev *dev, struct rdma_cq *queue)
{
	int ret = cq_create(dev, queue, RDMA_CQ_MIN);

	if (ret || queue->size < RDMA_CQ_MIN || ibv_resize_cq(queue->cq, RDMA_CQ_MIN + 1) == 0)
		return ret;
	ibv_destroy_cq(queue->cq);
	return cq_create(dev, queue, RDMA_CQ_FIXED);
}

static int dev_init(struct rdma_dev *dev, struct ibv_device *device)
{
	int ret = context_init(dev, device);

	if (ret)
		return ret;
	dev->pd = ibv_alloc_pd(dev->ctx);
	if (!dev->pd)
		return -errno;
	ret = channel_init(dev);
	if (!ret)
		ret = queue_init(dev, &dev->receives);
	if (!ret)
		ret = queue_init(dev, &dev->sends);
	if (!ret)
		ret = nvmft_rdma_mem_init(dev);
	return ret;
}

/* In the reverse order; after a failed dev_init() some of it is not there. */
static void dev_free(struct rdma_dev *dev)
{
	nvmft_ring_forget(dev->rg->group, &dev->wake_op);
	nvmft_ring_forget(dev->rg->group, &dev->async_op);
	nvmft_rdma_mem_fini(dev);
	nvmft_timer_cancel(dev->rg->group, &dev->sweep);
	if (dev->sends.cq)
		ibv_destroy_cq(dev->sends.cq);
	if (dev->receives.cq)
		ibv_destroy_cq(dev->receives.cq);
	if (dev->channel)
		ibv_destroy_comp_channel(dev->channel);
	if (dev->pd)
		ibv_dealloc_pd(dev->pd);
	if (dev->ctx)
		ibv_close_device(dev->ctx);
	free(dev);
}

static int dev_create(struct rdma_group *rg, struct ibv_device *device, struct rdma_dev **out)
{
	struct rdma_dev *dev = calloc(1, sizeof(*dev));
	int ret;

	if (!dev)
		return -ENOMEM;
	dev->rg = rg;
	LIST_INIT(&dev->rxs);
	dev->wake_op.prep = wake_prep;
	dev->wake_op.complete = wake_complete;
	dev->async_op.prep = async_prep;
	dev->async_op.complete = async_complete;
	dev->sweep.fn = swept;
	dev->taken = 1; /* not as many as before the first time */
	ret = dev_init(dev, device);
	if (ret) {
		dev_free(dev);
		return ret;
	}
	LIST_INSERT_HEAD(&rg->devs, dev, link);
	nvmft_ring_start(rg->group, &dev->wake_op);
	nvmft_ring_start(rg->group, &dev->async_op);
	*out = dev;
	return 0;
}

int nvmft_rdma_dev_get(struct rdma_group *rg, struct ibv_device *device, struct rdma_dev **out)
{
	struct rdma_dev *dev;
	int ret;

	LIST_FOREACH (dev, &rg->devs, link)
		if (dev->ctx->device == device && !dev->dead)
			break;
	if (!dev) {
		ret = dev_create(rg, device, &dev);
		if (ret)
			return ret;
	}
	dev->nconns++;
	*out = dev;
	return 0;
}

void nvmft_rdma_dev_put(struct rdma_dev *dev)
{
	if (--dev->nconns > 0)
		return;
	LIST_REMOVE(dev, link);
	dev_free(dev);
}
