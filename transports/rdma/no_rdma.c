/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include <nvmft/provider/transport.h>
#include <nvmft/transports.h>

/* Built without librdmacm and libibverbs: a port cannot be made, and says why. */

static int no_listen(struct nvmft_transport_port *port, const struct nvmft_port_config *config)
{
	(void)config;
	nvmft_port_log(port->port, NVMFT_LOG_ERROR,
		       "this library was built without RDMA: it needs librdmacm-dev, libibverbs-dev and the option "
		       "-Drdma=enabled");
	return -EOPNOTSUPP;
}

static void no_accept_start(struct nvmft_transport_port *port, struct nvmft_poll_group *group)
{
	(void)port;
	(void)group;
}

static void no_accept_stop(struct nvmft_transport_port *port)
{
	(void)port;
}

static void no_request(struct nvmft_request *request)
{
	(void)request;
}

static void no_queue(struct nvmft_queue *queue)
{
	(void)queue;
}

static const struct nvmft_transport_ops no_rdma_ops = {
	.size = sizeof(no_rdma_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "rdma",
	.trtype = 1,
	.listen = no_listen,
	.accept_start = no_accept_start,
	.accept_stop = no_accept_stop,
	.respond = no_request,
	.queue_close = no_queue,
};

const struct nvmft_transport_ops *nvmft_transport_rdma(void)
{
	return &no_rdma_ops;
}
