/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LIB_REQUEST_H
#define NVMFT_LIB_REQUEST_H

#include <assert.h>

#include "nvmft/provider/backend.h"
#include "queue.h"
#include "view.h"

struct ns_channel;

enum request_state {
	REQ_FREE,
	REQ_RECEIVED,
	REQ_WAIT_BUFFERS,
	REQ_FETCHING,
	REQ_EXECUTING,
	REQ_RESPONDING,
};

/*
 * The core's whole of a command; the transport sees @pub. Made per transport and poll group and pooled there, so that
 * no command allocates. The transport's private bytes follow.
 */
struct request {
	struct nvmft_request pub; /* first */
	struct nvmft_io io;       /* what the backend sees; emulation uses it several times in turn */
	uint8_t state;            /* enum request_state */
	bool hashed;              /* in queue->cids */
	bool aborted; /* an Abort asked for its end: reported as Command Abort Requested if that is still possible */
	bool lent;    /* @io.iov are pages of the backend, to be given back at release */
	bool pooled;  /* @iov_own is from the group's pool */
	bool arrived; /* and was the transport's, with the host's data in it */
	bool lend;    /* set by parse: the backend will lend its pages, so that start() grants no buffer */
	bool want_bounce;   /* set by parse: @iov_bounce is to be granted too, as long as the data */
	bool late;          /* it is not in the pass that parsed it any more: what was checked then is checked again */
	uint16_t error_loc; /* SQE_LOC() of the field at fault, or NO_LOC */
	uint16_t step;      /* where an emulation or a multi-part command stands */
	uint32_t arg;       /* and how far; of a command that is passed on: more io.flags */
	void (*execute)(struct request *req);
	void (*next)(struct request *req); /* after the current io, with req->io.status */
	struct request *hash_next;
	TAILQ_ENTRY(request) link; /* one of: buffer_waiters, a channel's waiters, a controller's AERs */
	const struct ns_view *nsv; /* of the view of the parsing; if @late that was @view_gen */
	uint64_t view_gen;
	struct ns_channel *channel;          /* counted in channel->in_flight while set */
	struct request *fused;               /* the other half of a fused pair */
	_Atomic(struct request *) gate_next; /* fused.c: the next pair of the namespace, in whatever group */
	struct nvmft_call call;   /* to travel to another group's thread; the request is then owned by the traveller */
	struct nvmft_iov iov_own; /* granted by the pool */
	struct nvmft_iov iov_bounce; /* second buffer: an aligned copy, or what compare reads; base NULL: none */
	_Alignas(16) unsigned char io_priv[NVMFT_IO_PRIV_MAX];
	_Alignas(64) unsigned char transport_priv[];
};

static inline struct request *to_req(struct nvmft_request *pub)
{
	return (struct request *)(void *)pub;
}

static inline void req_set_state(struct request *req, enum request_state from, enum request_state to)
{
	assert(req->state == from);
	(void)from;
	req->state = (uint8_t)to;
}

/* Hosts that enabled the controller for the NVM Command Set alone (CC.CSS) have no other namespaces. */
static inline bool nvmft_queue_sees(const struct nvmft_queue *queue, const struct ns_view *nsv)
{
	return likely(nsv->info.csi == NVME_CSI_NVM) || queue->all_csi;
}

static inline struct nvmft_poll_group *req_group(struct request *req)
{
	return req->pub.queue->group;
}

/* It will execute in another pass than this one, whose view it was parsed with, or in one later still. */
static inline void req_set_late(struct request *req)
{
	if (req->late)
		return;
	req->late = true;
	req->view_gen = req_group(req)->view->gen;
}

/*
 * Parsing. A parse function looks at req->pub.sqe, sets req->execute and calls one of these; it returns 0 or the
 * status with which the command fails (then with req->error_loc set). It moves no data and starts nothing.
 */
nvmft_status nvmft_req_no_data(struct request *req, void (*execute)(struct request *));
nvmft_status nvmft_req_data(struct request *req, void (*execute)(struct request *), enum nvmft_dir dir, uint64_t len);

/* Fail in one expression: return req_error(req, SC_DNR(INVALID_FIELD), SQE_LOC(cdw10)); */
static inline nvmft_status req_error(struct request *req, nvmft_status status, uint16_t loc)
{
	req->error_loc = loc;
	return status;
}

/*
 * nvmft_req_complete() - the command is over
 * @status: 0 or an NVMe status
 *
 * Results in cqe.dw0 and dw1 must have been set before. Takes the request: it responds, or frees the request when
 * the connection is gone. Context: the thread of the queue's group, EXECUTING (also for AERs and other commands that
 * wait).
 */
void nvmft_req_complete(struct request *req, nvmft_status status);

/* The same for a command that never executed: in RECEIVED, WAIT_BUFFERS. */
void nvmft_req_fail(struct request *req, nvmft_status status);

/* Response data of commands that the core itself answers. copy_out clips at data_len; the buffer was cleared before
 * execute. */
void nvmft_req_copy_out(struct request *req, size_t offset, const void *src, size_t len);
/* Host data; returns the bytes copied. */
size_t nvmft_req_copy_in(struct request *req, size_t offset, void *dst, size_t len);

/* Grant buffers to requests that wait for them. End of a pass. Returns how many went on. */
int nvmft_request_serve_waiters(struct nvmft_poll_group *group);

/* Fail the requests of a queue that wait for buffers. */
void nvmft_request_drop_waiters(struct nvmft_queue *queue);

/* Give back pooled request objects. */
void nvmft_request_pool_fini(struct group_transport *gt);

/* request_abort() - Abort found the command: try to end it early. Returns true when it is over or will be with Abort
 * Requested. */
bool nvmft_request_abort(struct request *req);

/* dispatch.c: the parse functions of the rooms. All are called with a queue that is connected, except fabrics. */
nvmft_status nvmft_parse_other_cmd(struct request *req); /* chooses among: */
nvmft_status nvmft_parse_fabrics_cmd(struct request *req);
nvmft_status nvmft_parse_admin_cmd(struct request *req);
nvmft_status nvmft_parse_discovery_cmd(struct request *req);
nvmft_status nvmft_parse_io_cmd(struct request *req);

#endif
