/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LIB_QUEUE_H
#define NVMFT_LIB_QUEUE_H

#include "port.h"
#include "poll_group.h"
#include "spec.h"

struct nvmft_ctrl;
struct request;

/* Outstanding commands by CID. Grows with the commands in flight, so an idle queue of any depth costs nothing. */
struct cid_table {
	struct request **heads;
	uint32_t size; /* a power of two; 0: no table yet */
	uint32_t count;
};

enum queue_state {
	QUEUE_NEW,        /* before Connect */
	QUEUE_CONNECTING, /* Connect is being decided, perhaps by the controller's group */
	QUEUE_LIVE,
	QUEUE_CLOSING, /* the core asked the transport to close: no further command is executed */
	QUEUE_CLOSED,  /* the transport is gone; waits for requests that backends still have */
};

/* How far the queue is joined to its controller. */
enum queue_link { LINK_NONE, LINK_ATTACHING, LINK_ATTACHED, LINK_DETACHING };

/* Belongs to the thread of @group. */
struct nvmft_queue {
	struct nvmft_queue_head head; /* first: transports read it */
	struct nvmft_poll_group *group;
	struct group_transport *gt;
	struct nvmft_port *port;
	TAILQ_ENTRY(nvmft_queue) link; /* group->queues */
	enum queue_state state;
	enum queue_link ctrl_link;
	bool transport_gone;
	bool shut; /* ops->queue_close was called */
	bool pending; /* counted in port->pending */
	bool live_counted;
	bool sqflow_disabled;
	bool accept_lent;
	bool all_csi; /* CC.CSS is 110b, as of the enabling of the controller */
	uint16_t qid;
	uint16_t sqsize; /* 0-based; before Connect of the default size of the admin queue */
	uint16_t sqhd;
	uint32_t in_flight; /* received and not responded to */
	uint32_t requests;  /* request objects that exist for the queue */
	struct cid_table cids;
	struct request *fused_first; /* fused.c: the first half of a fused pair, waiting for the second */
	bool fused_failed;           /* fused.c: the first half was refused, so the second is too */
	uint64_t address_key;
	uint32_t fetching;                     /* commands that asked for data which comes apart from their capsule */
	uint64_t held;                         /* bytes of the group's pool that its commands have */
	TAILQ_HEAD(, request) buffer_waiters;  /* its commands that wait for more */
	TAILQ_ENTRY(nvmft_queue) wait_link;    /* group->buffer_waiters, while there are any */

	/*
	 * The controller, from a successful Connect on; counted by a reference. It lives in its own group's thread: from here
	 * only its constant fields are read (see controller.h), all else goes by message.
	 */
	struct nvmft_ctrl *ctrl;
	const struct subsys_view *sv; /* of group->view; NULL for discovery controllers */
	nvmft_counter commands;       /* also tells the controller's keep alive timer that there is traffic */

	struct nvmft_timer connect_timer; /* until Connect succeeds, and after Disconnect */
	struct nvmft_call ctrl_call;  /* attach to and detach from the controller */
	struct nvmft_call reply_call; /* and its answers */
	struct nvmft_call close_call; /* the controller asks to close; in use while close_posted */
	atomic_bool close_posted;
	struct request *connect_req;
	uint16_t attach_status; /* nvmft_status, written by the controller's thread */

	/* On a cache line of its own: the transport's private bytes. */
	_Alignas(64) unsigned char priv[];
};

_Static_assert(offsetof(struct nvmft_queue, head) == 0, "nvmft_queue_priv() and nvmft_queue_group() read it there");

/* queue.c. Context: the queue's thread unless said otherwise. */
void nvmft_queue_shut(struct nvmft_queue *queue);        /* ask the transport to close, once */
void nvmft_queue_maybe_destroy(struct nvmft_queue *queue); /* after each step that may have been the last */
void nvmft_queue_set_live(struct nvmft_queue *queue);
void nvmft_queue_disconnected(struct nvmft_queue *queue); /* by the host's command */
void nvmft_queue_detach(struct nvmft_queue *queue); /* from an attached I/O queue's controller */

#endif
