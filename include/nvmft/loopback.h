/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LOOPBACK_H
#define NVMFT_LOOPBACK_H

#include "poll_group.h"
#include "port.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct nvmft_loopback_queue - one NVMe queue of a host inside this process
 *
 * The host side of the loopback transport. A queue lives in one poll group; all calls on it are made on that
 * group's thread (see nvmft_poll_group_call()), and its callbacks come from nvmft_poll() there. So a command
 * costs no lock and no system call, and completions are waited for as the group is waited for.
 */
struct nvmft_loopback_queue;

/* Submission and completion queue entries as the specification lays them out, little-endian. */
struct nvmft_loopback_sqe {
	uint8_t bytes[64];
};
struct nvmft_loopback_cqe {
	uint8_t bytes[16];
};

/**
 * struct nvmft_loopback_cmd - one command
 * @sqe: the submission queue entry. Its CID is the caller's to choose; its data pointer is set by the library.
 * @data: buffer that is written to the controller or filled by it, NULL for none. No copy is made where the backend can use it.
 * @data_len: bytes at @data
 * @done: called once, with @cqe filled
 * @cqe: the completion queue entry
 * @priv: the library's, while the command is outstanding
 *
 * Ownership: the caller's; with the data it must stay valid until @done is entered.
 */
struct nvmft_loopback_cmd {
	struct nvmft_loopback_sqe sqe;
	void *data;
	size_t data_len;
	void (*done)(struct nvmft_loopback_cmd *cmd);
	struct nvmft_loopback_cqe cqe;
	void *priv[2];
};

/**
 * struct nvmft_loopback_opts - a Connect
 * @size: sizeof(struct nvmft_loopback_opts)
 * @port: a port of the loopback transport
 * @group: where the queue lives
 * @subnqn: subsystem; default the well-known discovery subsystem
 * @hostnqn: default a name made from @hostid
 * @hostid: default all ones
 * @qid: 0 the admin queue
 * @sqsize: SQSIZE, 0-based; default 31 for the admin queue, 127 for an I/O queue
 * @cntlid: of the association for an I/O queue; for the admin queue 0 means FFFFh (dynamic)
 * @kato_ms: keep alive timeout, 0 none
 * @cattr: connect attributes, e.g. bit 2: no SQ flow control
 * @connected: called once with the completion of Connect: status (NVMe status field without phase, DNR 4000h), the
 *             controller's identifier when it is 0, or a negative errno when the queue could not be made
 * @disconnected: called once when the connection ended after @connected reported success, whoever ended it; every
 *             outstanding command was given to its @done before, with Command Aborted due to SQ Deletion
 * @ctx: passed to both
 */
struct nvmft_loopback_opts {
	size_t size;
	struct nvmft_port *port;
	struct nvmft_poll_group *group;
	const char *subnqn;
	const char *hostnqn;
	uint8_t hostid[16];
	uint16_t qid;
	uint16_t sqsize;
	uint16_t cntlid;
	uint8_t cattr;
	uint32_t kato_ms;
	void (*connected)(void *ctx, struct nvmft_loopback_queue *queue, int status, uint16_t cntlid);
	void (*disconnected)(void *ctx, struct nvmft_loopback_queue *queue);
	void *ctx;
};

/**
 * nvmft_loopback_connect() - connect a queue
 * @opts: options, copied with the strings in it
 * @queue: the new queue; commands may be submitted once @connected reported success. After a failed
 *         @connected it is gone.
 *
 * Context: the group's thread, or any thread before the group was first polled.
 * Return: 0: @connected will be called; -EINVAL; -ENOMEM; -ECONNREFUSED when the port or target is being removed.
 */
NVMFT_API int nvmft_loopback_connect(const struct nvmft_loopback_opts *opts, struct nvmft_loopback_queue **queue);

/**
 * nvmft_loopback_submit() - submit a command
 *
 * Context: the group's thread; also from @done. @done is never called from inside this call.
 * Return: 0; -ENOTCONN after the connection ended; -EBUSY with SQSIZE commands outstanding; -EINVAL for data_len above
 * 4 GiB; -ENOMEM.
 */
NVMFT_API int nvmft_loopback_submit(struct nvmft_loopback_queue *queue, struct nvmft_loopback_cmd *cmd);

/**
 * nvmft_loopback_disconnect() - close the connection
 *
 * @disconnected will be called; the queue is gone when it returns.
 *
 * Context: the group's thread.
 */
NVMFT_API void nvmft_loopback_disconnect(struct nvmft_loopback_queue *queue);

#ifdef __cplusplus
}
#endif
#endif
