/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_PROVIDER_TRANSPORT_H
#define NVMFT_PROVIDER_TRANSPORT_H

#include "../log.h"
#include "../poll_group.h"
#include "../port.h"
#include "request.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A transport moves bytes between hosts and the core, which gives them meaning:
 *
 *   nvmft_queue_open()                     a connection is there
 *   nvmft_request_get()                    a capsule arrives; fill request->sqe
 *   nvmft_request_start()                  the core checks it
 *        -> ops->fetch()                   buffers are there: bring the host's data into request->iov
 *   nvmft_request_execute()                the data is there
 *        -> ops->respond()                 send request->iov if TO_HOST and status 0, then request->cqe
 *   nvmft_request_release()                sent
 *   nvmft_queue_closed()                   the connection is gone and every request that the transport owned is released
 *
 * All of it happens on the thread of the queue's poll group, without locks.
 */

struct nvmft_queue;
struct nvmft_target;

/**
 * struct nvmft_transport_port - a transport's part of a port
 * @port: the core's port
 * @priv: private bytes (ops->port_size), zeroed
 */
struct nvmft_transport_port {
	struct nvmft_port *port;
	const struct nvmft_transport_ops *ops;
	void *priv;
};

/**
 * struct nvmft_transport_group - a transport's part of a poll group
 * @priv: private bytes (ops->group_size), zeroed
 */
struct nvmft_transport_group {
	struct nvmft_poll_group *group;
	const struct nvmft_transport_ops *ops;
	void *priv;
};

/* What a port was configured with, defaults filled in. Strings live as long as the port. */
struct nvmft_port_config {
	const void *transport_opts; /* valid during ops->listen() only */
	const char *traddr;
	const char *trsvcid;
	uint32_t in_capsule_size;
	uint32_t max_queue_depth;
};

/**
 * struct nvmft_transport_ops - a transport
 * @size: sizeof(struct nvmft_transport_ops)
 * @api: NVMFT_PROVIDER_API
 * @name: as in configurations and logs: "tcp"
 * @trtype: transport type of the discovery log (NVMe Base 2.0, figure 294); 254 intra-host, i.e. loopback
 * @sgl_kinds: kinds of enum nvmft_sgl_kind that capsules of this transport may use, or'ed
 * @port_size, @group_size, @queue_size, @request_size: private bytes wanted; the core allocates them
 * @max_queue_depth: default of the port's option of that name. 0: 1024
 * @listen: required. Check the address and options, bind; do not accept yet. Context: control. -EINVAL,
 *        -EADDRINUSE, -EADDRNOTAVAIL..., with nvmft_port_log() saying why. On failure nothing is left behind.
 * @accept_start: required. Accept connections from now on. Context: the thread of the group that serves the listener.
 * @accept_stop: required. Accept no more and release what listen took, then call nvmft_port_closed(), now or later. The connections that
 *        are there stay. Context: as accept_start.
 * @address: optional. The address in use as nvmft_port_address() gives it. Context: any thread after listen.
 * @group_init, @group_fini: optional. A poll group gets its first queue of this transport, or is freed. Context: the group's thread, or
 *        for @group_fini the thread that destroys the target.
 * @group_poll: optional. Look for work that has no descriptor on the ring. Called every pass. Returns the number of events.
 * @group_flush: optional. End of a pass: send what was queued by respond.
 * @group_arm: optional. About to sleep: 0 when what comes will wake the group, by an operation on its ring or a struct
 *             nvmft_wake, or -EAGAIN to be polled again.
 * @fetch: required unless every request is borrowed. Bring request->data_len bytes of host data into request->iov, then
 *        nvmft_request_execute(). May be called from inside nvmft_request_start(); must not execute from inside.
 * @respond: required. Send the response, then nvmft_request_release(). Must not release from inside.
 * @fetch_abort: optional. Give up a request in FETCHING. Returns 0 when the transport no longer owns it, or -EBUSY when too late.
 * @queue_close: required. End the connection; nvmft_queue_closed() follows, never from inside this call. May be called more than once.
 * @queue_live: optional. Connect succeeded on the queue.
 * @host_address, @local_address: optional. Text of the peer's or our address of a connection, at most @len bytes with the NUL.
 * @region_add: optional. A region of the group's data memory: buffers will lie in it. Called for each that there is after group_init, and
 *        for each later one before its first use. 0, or -errno: the memory is not used.
 * @region_remove: with @region_add. No buffer lies in it any more.
 * @msdbd: most SGL data block descriptors of a command (MSDBD), 0 means 1. More than one come as a segment in the capsule.
 */
struct nvmft_transport_ops {
	size_t size;
	uint32_t api;
	const char *name;
	uint8_t trtype;
	uint8_t sgl_kinds;
	uint32_t port_size;
	uint32_t group_size;
	uint32_t queue_size;
	uint32_t request_size;
	uint32_t max_queue_depth;
	int (*listen)(struct nvmft_transport_port *port, const struct nvmft_port_config *config);
	void (*accept_start)(struct nvmft_transport_port *port, struct nvmft_poll_group *group);
	void (*accept_stop)(struct nvmft_transport_port *port);
	void (*address)(struct nvmft_transport_port *port, char *traddr, char *trsvcid, uint8_t *adrfam);
	int (*group_init)(struct nvmft_transport_group *tg);
	void (*group_fini)(struct nvmft_transport_group *tg);
	int (*group_poll)(struct nvmft_transport_group *tg);
	void (*group_flush)(struct nvmft_transport_group *tg);
	int (*group_arm)(struct nvmft_transport_group *tg);
	void (*fetch)(struct nvmft_request *request);
	void (*respond)(struct nvmft_request *request);
	int (*fetch_abort)(struct nvmft_request *request);
	void (*queue_close)(struct nvmft_queue *queue);
	void (*queue_live)(struct nvmft_queue *queue);
	void (*host_address)(struct nvmft_queue *queue, char *text, size_t len);
	void (*local_address)(struct nvmft_queue *queue, char *text, size_t len);
	int (*region_add)(struct nvmft_transport_group *tg, const struct nvmft_region *region);
	void (*region_remove)(struct nvmft_transport_group *tg, const struct nvmft_region *region);
	uint8_t msdbd;
};

/**
 * nvmft_buffer_get() - a buffer of the group's data memory, for what a transport receives
 * @len: at most 2 MiB; the buffer begins at a page
 * @beyond: even while I/O has used up data_memory_max
 *
 * It lies in a region that @region_add was called for. How many of them there are is the transport's to limit.
 *
 * Context: the group's thread.
 * Return: 0; -EAGAIN: I/O has all that it may have; -ENOMEM.
 */
NVMFT_API int nvmft_buffer_get(struct nvmft_poll_group *group, size_t len, bool beyond, struct nvmft_iov *iov);

/**
 * nvmft_buffer_put() - give it back, if it was not given to a command (request->given)
 *
 * Context: the group's thread.
 */
NVMFT_API void nvmft_buffer_put(struct nvmft_poll_group *group, const struct nvmft_iov *iov);

/**
 * nvmft_port_transport() - the transport's part of a port
 *
 * Context: any thread.
 */
NVMFT_API struct nvmft_transport_port *nvmft_port_transport(struct nvmft_port *port);

/**
 * nvmft_port_place() - poll group for a new connection of a port
 *
 * Context: a poll group's thread.
 */
NVMFT_API struct nvmft_poll_group *nvmft_port_place(struct nvmft_port *port);

/**
 * nvmft_port_has_controller() - whether a queue that names this controller can be one of the port's subsystems
 * @group: the group of the calling thread
 *
 * For transports whose connection requests say so (NVMe/RDMA). Connect checks it again.
 *
 * Context: a poll group's thread.
 */
NVMFT_API bool nvmft_port_has_controller(struct nvmft_port *port, struct nvmft_poll_group *group, uint16_t cntlid);

/**
 * nvmft_port_closed() - ops->accept_stop is finished
 *
 * Context: the thread on which accept_start was called.
 */
NVMFT_API void nvmft_port_closed(struct nvmft_transport_port *port);

/**
 * nvmft_port_log() - write a line to the target's log, prefixed with the port
 *
 * Context: any thread.
 */
NVMFT_API void nvmft_port_log(struct nvmft_port *port, enum nvmft_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * nvmft_queue_open() - a connection is there
 * @port: where it came in
 * @group: the group of the calling thread
 * @address_key: hash of the peer's address for the limit per address, 0 for none
 * @queue: the new queue, with private bytes of ops->queue_size, zeroed
 *
 * The core closes it with ops->queue_close() when Connect does not succeed in time.
 *
 * Context: the group's thread.
 * Return: 0; -ENOMEM; -EDQUOT above a limit of the port; -ESHUTDOWN when the port or target is being removed. The
 * connection is then the transport's to close, quietly.
 */
NVMFT_API int nvmft_queue_open(struct nvmft_port *port, struct nvmft_poll_group *group, uint64_t address_key,
			       struct nvmft_queue **queue);

/**
 * nvmft_queue_closed() - the connection is gone
 *
 * Every request that the transport owned has been released, and the transport does not touch the queue after this.
 * It is freed when the requests that the core or a backend still has are over; they are not given to ops->respond.
 *
 * Context: the group's thread. Not from inside an op of the queue (fetch, respond, queue_close...).
 */
NVMFT_API void nvmft_queue_closed(struct nvmft_queue *queue);

/**
 * nvmft_queue_drain() - the connection is ending: end what the core has, early where that is possible
 *
 * No further command is executed; each that is outstanding is given to ops->respond, now or when its backend lets go of it.
 * For transports whose hosts own the data buffers (@borrowed) and must not get them back before: these call
 * nvmft_queue_closed() when the last request is released. Others need not call it.
 *
 * Context: the group's thread. Not from inside an op of the queue.
 */
NVMFT_API void nvmft_queue_drain(struct nvmft_queue *queue);

/* What a queue begins with. Only for nvmft_queue_priv() and nvmft_queue_group(). */
struct nvmft_queue_head {
	void *priv;
	struct nvmft_transport_group *group;
};

/**
 * nvmft_queue_priv() - private bytes of a queue
 * nvmft_queue_group() - the transport's part of its poll group
 * nvmft_queue_port() - port that it came in on
 * nvmft_queue_sqhd_disabled() - true when Connect disabled SQ flow control (CATTR bit 2)
 * nvmft_queue_in_flight() - commands that are not responded to yet
 * nvmft_queue_admin() - false once the queue is known to be an I/O queue (QID other than 0)
 * nvmft_queue_connected() - Connect has succeeded
 *
 * Context: the group's thread.
 */
static inline void *nvmft_queue_priv(struct nvmft_queue *queue)
{
	return ((struct nvmft_queue_head *)queue)->priv;
}

static inline struct nvmft_transport_group *nvmft_queue_group(struct nvmft_queue *queue)
{
	return ((struct nvmft_queue_head *)queue)->group;
}

NVMFT_API struct nvmft_port *nvmft_queue_port(struct nvmft_queue *queue);
NVMFT_API bool nvmft_queue_sqhd_disabled(const struct nvmft_queue *queue);
NVMFT_API uint32_t nvmft_queue_in_flight(const struct nvmft_queue *queue);
NVMFT_API bool nvmft_queue_admin(const struct nvmft_queue *queue);
NVMFT_API bool nvmft_queue_connected(const struct nvmft_queue *queue);

/**
 * nvmft_queue_accept_lent() - responses may point at pages that a backend still uses
 *
 * For transports that send a buffer once and do not checksum it before.
 */
NVMFT_API void nvmft_queue_accept_lent(struct nvmft_queue *queue, bool accept);

/**
 * nvmft_queue_terminated() - count and log that the peer broke the protocol and is being disconnected
 */
NVMFT_API void nvmft_queue_terminated(struct nvmft_queue *queue, const char *reason);

/**
 * nvmft_queue_log() - write a line to the target's log, prefixed with the queue and its peer
 */
NVMFT_API void nvmft_queue_log(struct nvmft_queue *queue, enum nvmft_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * nvmft_request_get() - a request object for a capsule that has arrived
 * @error: why there is none: -EOVERFLOW: the host has more commands in flight than the queue's size, end the
 *         connection; -ENOMEM: no memory, stop reading and try later or end the connection
 *
 * Context: the group's thread.
 * Return: the request in RECEIVED, the transport's, or NULL.
 */
NVMFT_API struct nvmft_request *nvmft_request_get(struct nvmft_queue *queue, int *error);

/**
 * nvmft_request_start() - request->sqe is filled: check it and get buffers
 *
 * Return: true: the command is good. Either ops->fetch() was called already, or it will be, or no host data is needed and the command
 * was executed. false: the core has failed the command and ops->respond() was called: the transport has only to skip data that still
 * arrives for it.
 */
NVMFT_API bool nvmft_request_start(struct nvmft_request *request);

/**
 * nvmft_request_execute() - the host's data is in request->iov
 */
NVMFT_API void nvmft_request_execute(struct nvmft_request *request);

/**
 * nvmft_request_fetch_failed() - the host's data could not be had: respond with @status
 */
NVMFT_API void nvmft_request_fetch_failed(struct nvmft_request *request, nvmft_status status);

/**
 * nvmft_request_release() - the response was sent, or never will be because the connection is gone
 *
 * Also ends a request in FETCHING or RECEIVED when its connection is gone.
 * If that was half of a fused pair, the other half may be given to ops->respond from inside, and is to be released too.
 */
NVMFT_API void nvmft_request_release(struct nvmft_request *request);

#ifdef __cplusplus
}
#endif
#endif
