/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_RDMA_RDMA_H
#define NVMFT_RDMA_RDMA_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#include <nvmft/provider/ring.h>
#include <nvmft/provider/transport.h>
#include <nvmft/transports.h>

#include "../address.h"
#include "wire.h"

#define rdma_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define RDMA_NS_PER_MS UINT64_C(1000000)

/* Data in capsules of admin queues: Connect fits. */
#define RDMA_ADMIN_IN_CAPSULE 4096u
#define RDMA_ADMIN_RECEIVES 128u
/* Hosts with full queues find so many receives at least, all together, before they have to ask again (RNR). */
#define RDMA_DEFAULT_RECEIVES 1024u
/* A shared receive queue has so many receives per connection at least; others get one of their own. */
#define RDMA_RX_SHARE 4u
/* Receives that a device has even while I/O has used up all data memory, so that commands that need none get in. */
#define RDMA_RX_RESERVE 32u
#define RDMA_RX_RETRY_MS 10u

#define RDMA_CQ_MIN 1024
#define RDMA_CQ_FIXED 32768 /* where it cannot grow */
#define RDMA_CQ_BATCH 32
/* A pass goes on to other work after so many. */
#define RDMA_CQ_EVENTS 256
#define RDMA_QP_BUCKETS 256u

#define RDMA_MAX_SGE 16u
/* A piece of the host's memory that is larger takes another work request; devices allow 8 MiB and more. */
#define RDMA_MAX_MSG (4u * 1024 * 1024)

/* Responses are let go as late as this if nothing else happens, so that none wakes up the group... */
#define RDMA_SWEEP_MS 10u
/* ...unless those of one connection hold so much memory. */
#define RDMA_HELD_MAX (128u * 1024)

/* What a host has taken is heard of at the latest when it holds so much memory: other commands may need that. */
#define RDMA_SIGNAL_DATA (64u * 1024)

/* A QP in error gives back its work requests at once; a device that does not has this long. */
#define RDMA_DRAIN_MS 2000u
/* While the device of a listener is gone: look for it so often. */
#define RDMA_LISTEN_RETRY_MS 1000u

struct rdma_dev;
struct rdma_conn;

/* ---- ports ---- */

/* A listener on all addresses belongs to no device. This hears of the end of one that connections come from. */
struct rdma_watch {
	LIST_ENTRY(rdma_watch) link;
	struct rdma_cm_id *id;
};

struct rdma_port {
	struct nvmft_transport_port *tp;
	struct nvmft_poll_group *group; /* that accepts */
	struct rdma_event_channel *channel;
	struct rdma_cm_id *id; /* that listens; NULL while its device is gone */
	LIST_HEAD(, rdma_watch) watches;
	struct nvmft_rdma_opts opts;
	struct sockaddr_storage bound;
	char traddr[64], trsvcid[16];
	uint8_t adrfam;
	uint32_t in_capsule_size;
	uint32_t max_depth;
	struct nvmft_ring_op cm_op;
	struct nvmft_timer retry;
	/* The listener, and each connection that travels to its poll group. Never per command. */
	atomic_uint users;
	struct nvmft_call closed_call;
};

/* ---- receives ---- */

/* A receive: the SQE goes to the header, what follows it to the data buffer, which a command may take. */
struct rdma_slot {
	struct ibv_recv_wr wr; /* all but the data buffer is the same each time */
	struct ibv_sge sge[2];
	struct nvmft_iov data;       /* base NULL: has to be got first */
	SLIST_ENTRY(rdma_slot) link; /* rx->bare or rx->spare */
	uint32_t epoch;              /* rx->epoch when it was filled, or came back */
};

SLIST_HEAD(rdma_slot_list, rdma_slot);

/* What receives are taken from: a shared receive queue, or the receive queue of one QP. */
struct rdma_rx {
	LIST_ENTRY(rdma_rx) link; /* dev->rxs */
	struct rdma_dev *dev;
	uint16_t id; /* in wr_id */
	bool admin;
	uint32_t data_len; /* 0: headers only */
	bool shared;
	struct ibv_srq *srq; /* if @shared */
	struct ibv_qp *qp;   /* if not; NULL: not there yet, or at its end */
	struct rdma_slot *slots;
	uint32_t nslots, cap;
	uint32_t users; /* connections */
	uint32_t asked; /* their depths, together */
	uint32_t max;   /* most receives that they get for them */
	uint32_t wanted;
	uint32_t kept;              /* posted or to be posted */
	struct ibv_recv_wr *todo;   /* to be posted; a chain, as verbs want it */
	struct rdma_slot_list bare; /* to be posted, too, with data buffers that have to be got first */
	uint32_t ntodo, nbare;
	struct rdma_slot_list spare; /* of no use now, without data buffers */
	uint32_t reserved;           /* entries of the CQ */
	uint32_t beyond;             /* buffers that were taken although I/O has all that it may have */
	struct nvmft_iov *headers;   /* pages of headers */
	uint32_t nheaders;
	/*
	 * A shared receive that a dying connection has begun may never come back (soft-RoCE). Each that dies may have
	 * begun one, and it is among those that were posted then: the fewer of these are left, the fewer are lost.
	 */
	uint32_t epoch;           /* connections that died */
	uint32_t old;             /* posted before the last of them did */
	uint32_t lost;            /* at most so many of those posted never come back */
	struct nvmft_timer retry; /* no buffers for @bare, or no room for @todo */
};

/* ---- devices ---- */

LIST_HEAD(rdma_conn_bucket, rdma_conn);

struct rdma_cq {
	struct ibv_cq *cq;
	uint32_t size, used; /* entries */
	bool armed;          /* its next completion makes the device's channel readable */
};

/* A device as one poll group uses it: from its first connection to its last. */
struct rdma_dev {
	LIST_ENTRY(rdma_dev) link;
	struct rdma_group *rg;
	struct ibv_context *ctx; /* of its own, not librdmacm's */
	struct ibv_device_attr attr;
	struct ibv_pd *pd;
	struct ibv_comp_channel *channel;
	struct rdma_cq receives, sends;
	uint32_t awaits;  /* connections that cannot go on without completions of @sends */
	uint32_t signals; /* completions that will tell which responses hosts have taken */
	struct nvmft_timer sweep;
	uint32_t taken, taken_before; /* completions of @sends; now, and when @sweep was armed */
	bool dead;                    /* gone or broken: no new connection uses it */
	struct nvmft_ring_op wake_op, async_op;
	struct ibv_mr **mrs; /* by region */
	uint32_t nmrs;
	LIST_HEAD(, rdma_rx) rxs;
	uint16_t next_rx;
	uint32_t nconns;
	struct rdma_conn_bucket conns[RDMA_QP_BUCKETS];
};

TAILQ_HEAD(rdma_conn_list, rdma_conn);

/* A transport's part of a poll group. */
struct rdma_group {
	struct nvmft_poll_group *group;
	struct rdma_event_channel *channel; /* of the connections; there while there are any */
	struct nvmft_ring_op cm_op;
	uint32_t nconns;
	LIST_HEAD(, rdma_dev) devs;
	struct rdma_conn_list dirty; /* have something to do in group_flush */
	struct nvmft_region *regions;
	uint32_t nregions; /* some may be gone: base NULL */
};

/* ---- commands ---- */

/* The transport's private bytes of a request. */
struct rdma_req {
	struct nvmft_request *request;
	STAILQ_ENTRY(rdma_req) link; /* conn->responses or conn->fetches */
	uint64_t end;                /* number of its last work request that is posted */
	uint32_t left;               /* bytes of data that are not posted yet, and from where on: */
	struct {
		uint32_t piece, piece_off, iov, iov_off;
	} at;
	struct rdma_sgl sgl;
};

/* In the order in which they are posted. The device may have part of @next. */
struct rdma_fifo {
	STAILQ_HEAD(, rdma_req) list;
	struct rdma_req *next; /* the first that is not posted, or not all of it */
};

/* ---- connections ---- */

enum rdma_conn_state {
	RDMA_CONN_CONNECTING,
	RDMA_CONN_LIVE,
	RDMA_CONN_DRAINING, /* the QP is in error and gives back what it has */
};

/* The transport's private bytes of a queue. Belongs to the thread of the queue's poll group. */
struct rdma_conn {
	struct nvmft_queue *queue;
	struct rdma_group *rg;
	struct rdma_dev *dev;
	struct rdma_cm_id *id;
	struct ibv_qp *qp;
	struct rdma_rx *rx;
	LIST_ENTRY(rdma_conn) hash_link;
	TAILQ_ENTRY(rdma_conn) link; /* rg->dirty */
	uint32_t qp_num;
	uint8_t state; /* enum rdma_conn_state */
	bool dirty;
	bool hashed;
	bool up;       /* counted in rg->nconns */
	bool accepted; /* the host may have sent something */
	bool drained;
	bool send_inv; /* the device can */
	uint32_t max_sge, max_sge_read;
	uint32_t depth;
	uint32_t unsent;  /* responses that the host has not taken, as far as is known */
	uint32_t signals; /* of those in dev->signals */
	uint64_t held;    /* data memory of those that are posted: of what hosts wrote, too */
	bool awaits;      /* counted in dev->awaits */
	uint32_t sq_size;
	uint64_t posted, done; /* work requests until now */
	uint32_t read_depth, reads;
	struct rdma_fifo responses, fetches;
	struct nvmft_timer drain;
	union inet_end peer, local; /* the log wants them when the identifier is gone, too */
};

/* wr_id in the send queue is a number: the work request is the so-many-th of its QP. READs have this beside it... */
#define RDMA_WR_READ (UINT64_C(1) << 63)
/* ...and the last one of a QP, of its drain, has no number. */
#define RDMA_WR_DRAIN 0

static inline struct rdma_conn *rdma_conn_of(struct nvmft_queue *queue)
{
	return nvmft_queue_priv(queue);
}

static inline struct rdma_req *rdma_req_of(struct nvmft_request *request)
{
	return request->priv;
}

/* To be called at the end of the pass: nvmft_rdma_conn_work(). */
static inline void rdma_conn_dirty(struct rdma_conn *conn)
{
	if (conn->dirty)
		return;
	conn->dirty = true;
	TAILQ_INSERT_TAIL(&conn->rg->dirty, conn, link);
}

/* It cannot go on without a completion, or can. */
static inline void rdma_conn_await(struct rdma_conn *conn, bool awaits)
{
	if (conn->awaits == awaits)
		return;
	conn->awaits = awaits;
	conn->dev->awaits += awaits ? 1 : UINT32_MAX;
}

/* Completions name a QP; one whose connection is gone by then is found by nobody. */
static inline struct rdma_conn *rdma_dev_conn(const struct rdma_dev *dev, uint32_t qp_num)
{
	struct rdma_conn *conn;

	LIST_FOREACH (conn, &dev->conns[qp_num % RDMA_QP_BUCKETS], hash_link)
		if (likely(conn->qp_num == qp_num))
			break;
	return conn;
}

static inline void rdma_fifo_init(struct rdma_fifo *fifo)
{
	STAILQ_INIT(&fifo->list);
	fifo->next = NULL;
}

static inline void rdma_fifo_add(struct rdma_fifo *fifo, struct rdma_req *rreq)
{
	STAILQ_INSERT_TAIL(&fifo->list, rreq, link);
	if (!fifo->next)
		fifo->next = rreq;
}

static inline uint32_t rdma_min(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* listen.c */
int nvmft_rdma_listen(struct nvmft_transport_port *port, const struct nvmft_port_config *config);
void nvmft_rdma_accept_start(struct nvmft_transport_port *port, struct nvmft_poll_group *group);
void nvmft_rdma_accept_stop(struct nvmft_transport_port *port);
void nvmft_rdma_address(struct nvmft_transport_port *port, char *traddr, char *trsvcid, uint8_t *adrfam);

/* cm.c: connection management */
struct rdma_event_channel *nvmft_rdma_channel_open(void); /* NULL: see errno */
void nvmft_rdma_reject(struct rdma_cm_id *id, enum rdma_sts sts);
union inet_end nvmft_rdma_addr(const struct sockaddr *sa);
int nvmft_rdma_group_up(struct rdma_group *rg); /* for one more connection */
void nvmft_rdma_group_down(struct rdma_group *rg);

/* dev.c */
int nvmft_rdma_dev_get(struct rdma_group *rg, struct ibv_device *device, struct rdma_dev **dev);
void nvmft_rdma_dev_put(struct rdma_dev *dev);
void nvmft_rdma_dev_dead(struct rdma_dev *dev, const char *why); /* and its connections */
int nvmft_rdma_cq_reserve(struct rdma_dev *dev, struct rdma_cq *queue, uint32_t entries);
void nvmft_rdma_cq_unreserve(struct rdma_cq *queue, uint32_t entries);
int nvmft_rdma_dev_poll(struct rdma_dev *dev);
void nvmft_rdma_dev_poll_all(struct rdma_dev *dev); /* what is in the CQ now */
int nvmft_rdma_dev_arm(struct rdma_dev *dev);
void nvmft_rdma_dev_hash(struct rdma_dev *dev, struct rdma_conn *conn);

/* mem.c: registrations, by region */
int nvmft_rdma_region_add(struct nvmft_transport_group *tg, const struct nvmft_region *region);
void nvmft_rdma_region_remove(struct nvmft_transport_group *tg, const struct nvmft_region *region);
int nvmft_rdma_mem_init(struct rdma_dev *dev);
void nvmft_rdma_mem_fini(struct rdma_dev *dev);

static inline uint32_t rdma_lkey(const struct rdma_dev *dev, const struct nvmft_iov *iov)
{
	return dev->mrs[iov->region]->lkey;
}

/* rx.c */
int nvmft_rdma_rx_get(struct rdma_dev *dev, const struct rdma_port *port, bool admin, uint32_t depth,
		      struct rdma_rx **rx);
int nvmft_rdma_rx_start(struct rdma_rx *rx, struct ibv_qp *qp); /* the QP is there: post */
void nvmft_rdma_rx_stop(struct rdma_rx *rx);                    /* the QP gives receives back: post no more to it */
/* The QP is gone. @used: it was connected. */
void nvmft_rdma_rx_put(struct rdma_rx *rx, uint32_t depth, bool used);
void nvmft_rdma_rx_post(struct rdma_rx *rx); /* what is to be posted */
void nvmft_rdma_received(struct rdma_dev *dev, const struct ibv_wc *wc, int n);
uint32_t nvmft_rdma_rx_sge(const struct rdma_rx *rx);

/* tx.c */
void nvmft_rdma_fetch(struct nvmft_request *request);
void nvmft_rdma_respond(struct nvmft_request *request);
int nvmft_rdma_fetch_abort(struct nvmft_request *request);
void nvmft_rdma_tx_flush(struct rdma_conn *conn);
void nvmft_rdma_sent(struct rdma_dev *dev, const struct ibv_wc *wc, int n);
void nvmft_rdma_tx_release_all(struct rdma_conn *conn);

/* conn.c */
int nvmft_rdma_conn_create(struct rdma_port *port, struct nvmft_poll_group *group, struct rdma_cm_id *id,
			   const struct rdma_ask *ask, uint8_t read_depth); /* owns @id when it returns 0 */
void nvmft_rdma_conn_event(struct rdma_conn *conn, enum rdma_cm_event_type event, int status);
void nvmft_rdma_conn_work(struct rdma_conn *conn);
/* The one place where a connection is found dead. @why: NULL when it is nobody's fault. */
void nvmft_rdma_conn_dead(struct rdma_conn *conn, const char *why);
void nvmft_rdma_conn_drained(struct rdma_conn *conn);

#endif
