/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_PORT_H
#define NVMFT_PORT_H

#include "subsystem.h"

#ifdef __cplusplus
extern "C" {
#endif

struct nvmft_port;
struct nvmft_poll_group;
struct nvmft_transport_ops;

/**
 * struct nvmft_port_opts - options of a port (a listener); a zero field means the default
 * @size: sizeof(struct nvmft_port_opts)
 * @transport: see nvmft/transports.h. Required.
 * @transport_opts: that transport's option structure, or NULL
 * @portid: port identifier in the discovery log; default the lowest free one
 * @traddr: address to listen on, in the transport's notation ("127.0.0.1", "::", ...)
 * @trsvcid: service; for TCP a port number, "0" lets the kernel choose; default "4420"
 * @announce_traddr: address that the discovery log names instead of @traddr, for listeners on a wildcard
 *          address. Default: @traddr, or for a wildcard the local address of the connection on which the log is read.
 * @max_queue_depth: largest SQSIZE + 1 that Connect accepts, 2..65536; default 1024 (loopback: 65536)
 * @in_capsule_size: most data bytes in a command capsule of an I/O queue, a multiple of 16,
 *          0 or 4096..262144; default 8192
 * @no_in_capsule: in_capsule_size is 0 on purpose
 * @max_connections: connections open at once; default no limit
 * @max_pending: connections that have not completed Connect; default no limit
 * @max_pending_per_address: the same for one source address; default no limit
 * @place: chooses the poll group of a new connection, called on a poll group's thread; NULL or a NULL answer
 *          takes the groups in turn
 * @subsystems, @nsubsystems: linked from the start, as if by nvmft_port_link(). A host that connects between
 *          nvmft_port_add() and a later nvmft_port_link() is told that there is no such subsystem (with Do Not
 *          Retry), and Linux then stops reconnecting for good. The array is not needed after the call.
 */
struct nvmft_port_opts {
	size_t size;
	const struct nvmft_transport_ops *transport;
	const void *transport_opts;
	uint16_t portid;
	bool no_in_capsule;
	const char *traddr;
	const char *trsvcid;
	const char *announce_traddr;
	uint32_t max_queue_depth;
	uint32_t in_capsule_size;
	uint32_t max_connections;
	uint32_t max_pending;
	uint32_t max_pending_per_address;
	struct nvmft_poll_group *(*place)(void *ctx, struct nvmft_port *port);
	void *place_ctx;
	struct nvmft_subsystem *const *subsystems;
	uint32_t nsubsystems;
};

/**
 * nvmft_port_add() - listen
 * @target: the target; must have a poll group
 * @opts: options
 * @port: the new port, owned by the target
 *
 * The discovery subsystem answers on every port. An NVM subsystem does when it is linked.
 *
 * Context: any thread.
 * Return: 0; -EINVAL for an option out of range; -EADDRINUSE; -EADDRNOTAVAIL; -EEXIST for a @portid in use; -ENXIO
 * without a poll group; -ENOMEM; others from the transport. The log names the reason.
 */
NVMFT_API int nvmft_port_add(struct nvmft_target *target, const struct nvmft_port_opts *opts, struct nvmft_port **port);

/**
 * nvmft_port_remove() - stop listening and close the port's connections
 * @port: not to be used again after this call
 * @done: called when the last connection is closed; may be NULL
 *
 * Context: any thread.
 * Return: 0; -ENOMEM, and nothing changed.
 */
NVMFT_API int nvmft_port_remove(struct nvmft_port *port, struct nvmft_done *done);

/**
 * nvmft_port_link() - serve a subsystem on a port
 * nvmft_port_unlink() - no longer; associations made through the port are ended
 *
 * Context: any thread.
 * Return: 0; -EEXIST when linked already; -ENOENT when not linked; -ENOMEM.
 */
NVMFT_API int nvmft_port_link(struct nvmft_port *port, struct nvmft_subsystem *subsystem);
NVMFT_API int nvmft_port_unlink(struct nvmft_port *port, struct nvmft_subsystem *subsystem);

/**
 * struct nvmft_referral_opts - another discovery service that this port's discovery log names
 */
struct nvmft_referral_opts {
	size_t size;
	uint16_t portid;
	uint8_t trtype;  /* NVMF_TRTYPE_* of the specification: 1 RDMA, 2 FC, 3 TCP */
	uint8_t adrfam;  /* 1 IPv4, 2 IPv6 */
	const char *traddr;
	const char *trsvcid;
	const char *nqn; /* default the well-known discovery NQN */
};

/**
 * nvmft_port_add_referral() - name another discovery service
 * nvmft_port_remove_referral() - no longer
 *
 * A referral is known by its traddr and trsvcid.
 *
 * Context: any thread.
 * Return: 0; -EINVAL; -EEXIST; -ENOENT; -ENOMEM.
 */
NVMFT_API int nvmft_port_add_referral(struct nvmft_port *port, const struct nvmft_referral_opts *opts);
NVMFT_API int nvmft_port_remove_referral(struct nvmft_port *port, const char *traddr, const char *trsvcid);

/**
 * nvmft_port_address() - where the port listens, with the service number that the kernel chose
 * @traddr: at least 256 bytes
 * @trsvcid: at least 32 bytes
 *
 * Context: any thread.
 */
NVMFT_API void nvmft_port_address(struct nvmft_port *port, char *traddr, char *trsvcid);

#ifdef __cplusplus
}
#endif
#endif
