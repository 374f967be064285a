/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TRANSPORTS_H
#define NVMFT_TRANSPORTS_H

#include "poll_group.h"
#include "port.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * nvmft_transport_loopback() - hosts inside this process, see nvmft/loopback.h
 * nvmft_transport_tcp() - NVMe/TCP over IPv4 and IPv6; options struct nvmft_tcp_opts
 * nvmft_transport_rdma() - NVMe/RDMA by librdmacm and libibverbs; options struct nvmft_rdma_opts. Its ports cannot be made if
 *	the library was built without those
 *
 * Context: any thread.
 */
NVMFT_API const struct nvmft_transport_ops *nvmft_transport_loopback(void);
NVMFT_API const struct nvmft_transport_ops *nvmft_transport_tcp(void);
NVMFT_API const struct nvmft_transport_ops *nvmft_transport_rdma(void);

/**
 * struct nvmft_tcp_opts - options of a TCP port; a zero field means the default
 * @size: sizeof(struct nvmft_tcp_opts)
 * @maxh2cdata: largest data length of an H2CData PDU, a multiple of 4, at least 4096; default 1 MiB
 * @backlog: of listen(2); default 1024
 * @hpda_cpda: CPDA that is asked of hosts, 0..31 dwords, 0-based as in ICResp; default 0
 * @priority: SO_PRIORITY of the connections; default unset
 * @no_hdgst, @no_ddgst: refuse header or data digests that the host asks for
 * @sndbuf, @rcvbuf: SO_SNDBUF and SO_RCVBUF in bytes; default the kernel's own sizing
 * @reuseport: let other sockets listen on the same address (SO_REUSEPORT)
 */
struct nvmft_tcp_opts {
	size_t size;
	uint32_t maxh2cdata;
	int backlog;
	uint8_t hpda_cpda;
	bool no_hdgst;
	bool no_ddgst;
	bool reuseport;
	int priority;
	int sndbuf;
	int rcvbuf;
};

/**
 * struct nvmft_rdma_opts - options of an RDMA port; a zero field means the default
 * @size: sizeof(struct nvmft_rdma_opts)
 * @backlog: connection requests that may wait; default 128
 * @receives: most capsules that all I/O queues of a poll group and RDMA device can receive at a time, 32..65536; default 1024.
 *	Hosts that send more have their adapters try again. Less is used while the queues are fewer; queues beyond a quarter of it
 *	have as many again.
 * @per_queue_receives: each queue has receives of its own, as many as it is deep, instead
 */
struct nvmft_rdma_opts {
	size_t size;
	int backlog;
	uint32_t receives;
	bool per_queue_receives;
};

/**
 * nvmft_tcp_serve() - serve one established connection
 * @port: a TCP port; its subsystems, limits and counters apply
 * @group: the group that drives the connection
 * @fd: a stream socket (TCP, or one end of a socketpair). Owned by the library when the call returned 0.
 *
 * For embedders that accept connections themselves, for tests and fuzzers. A TCP port that only serves such
 * descriptors has traddr "none".
 *
 * Context: any thread.
 * Return: 0; -EINVAL when @port is not a TCP port; -ESHUTDOWN when the target has been stopped; -ENOMEM.
 */
NVMFT_API int nvmft_tcp_serve(struct nvmft_port *port, struct nvmft_poll_group *group, int fd);

#ifdef __cplusplus
}
#endif
#endif
