/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>

#include "rdma.h"

/* What the core calls. */

static int group_init(struct nvmft_transport_group *tg)
{
	struct rdma_group *rg = tg->priv;

	rg->group = tg->group;
	LIST_INIT(&rg->devs);
	TAILQ_INIT(&rg->dirty);
	return 0;
}

/* Devices and channel went with the last connection. */
static void group_fini(struct nvmft_transport_group *tg)
{
	struct rdma_group *rg = tg->priv;

	free(rg->regions);
	rg->regions = NULL;
	rg->nregions = 0;
}

static int group_poll(struct nvmft_transport_group *tg)
{
	struct rdma_group *rg = tg->priv;
	struct rdma_dev *dev;
	/* Also what group_arm has found, which group_flush may end. */
	int n = !TAILQ_EMPTY(&rg->dirty);

	LIST_FOREACH (dev, &rg->devs, link)
		n += nvmft_rdma_dev_poll(dev);
	return n;
}

static void group_flush(struct nvmft_transport_group *tg)
{
	struct rdma_group *rg = tg->priv;
	struct rdma_conn *conn;

	/* Ends: a connection comes back only with new responses or completions, which the next pass finds. */
	while ((conn = TAILQ_FIRST(&rg->dirty))) {
		TAILQ_REMOVE(&rg->dirty, conn, link);
		conn->dirty = false;
		nvmft_rdma_conn_work(conn);
	}
}

static int group_arm(struct nvmft_transport_group *tg)
{
	struct rdma_group *rg = tg->priv;
	struct rdma_dev *dev;

	LIST_FOREACH (dev, &rg->devs, link)
		if (nvmft_rdma_dev_arm(dev) != 0)
			return -EAGAIN;
	/* Last, as what the devices had until then is taken from them. */
	return TAILQ_EMPTY(&rg->dirty) ? 0 : -EAGAIN;
}

static void queue_close(struct nvmft_queue *queue)
{
	nvmft_rdma_conn_dead(rdma_conn_of(queue), NULL);
}

static void host_address(struct nvmft_queue *queue, char *text, size_t len)
{
	nvmft_inet_text(&rdma_conn_of(queue)->peer, "unknown", text, len);
}

static void local_address(struct nvmft_queue *queue, char *text, size_t len)
{
	nvmft_inet_text(&rdma_conn_of(queue)->local, "unknown", text, len);
}

static const struct nvmft_transport_ops rdma_ops = {
	.size = sizeof(rdma_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "rdma",
	.trtype = 1,
	.sgl_kinds = NVMFT_SGL_IN_CAPSULE | NVMFT_SGL_KEYED,
	.port_size = sizeof(struct rdma_port),
	.group_size = sizeof(struct rdma_group),
	.queue_size = sizeof(struct rdma_conn),
	.request_size = sizeof(struct rdma_req),
	.max_queue_depth = 1024,
	.listen = nvmft_rdma_listen,
	.accept_start = nvmft_rdma_accept_start,
	.accept_stop = nvmft_rdma_accept_stop,
	.address = nvmft_rdma_address,
	.group_init = group_init,
	.group_fini = group_fini,
	.group_poll = group_poll,
	.group_flush = group_flush,
	.group_arm = group_arm,
	.fetch = nvmft_rdma_fetch,
	.respond = nvmft_rdma_respond,
	.fetch_abort = nvmft_rdma_fetch_abort,
	.queue_close = queue_close,
	.host_address = host_address,
	.local_address = local_address,
	.region_add = nvmft_rdma_region_add,
	.region_remove = nvmft_rdma_region_remove,
	.msdbd = RDMA_MSDBD,
};

const struct nvmft_transport_ops *nvmft_transport_rdma(void)
{
	return &rdma_ops;
}
