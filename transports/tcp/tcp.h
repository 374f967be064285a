/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TCP_TCP_H
#define NVMFT_TCP_TCP_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <nvmft/provider/ring.h>
#include <nvmft/provider/transport.h>
#include <nvmft/transports.h>

#include "../address.h"
#include "pdu.h"
#include "ttag.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define tcp_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define TCP_NS_PER_MS UINT64_C(1000000)

/* The controller's limit for admin queues and before Connect, which hosts know without asking (8 KiB). */
#define TCP_ADMIN_IN_CAPSULE 8192u

/* Payload beyond what has arrived, from which a receive of its own straight into the command's buffer pays. */
#define TCP_RX_DIRECT_MIN 4096u
/*
 * Size of a group's receive buffers, and how many there may be: with this many connections receiving at once. A buffer
 * holds what a deep queue sends at a time, 60 writes of 4 KiB: each receive costs a send of its responses, which is
 * what is dear.
 */
#define TCP_RX_BUF_SIZE (256u * 1024)
#define TCP_RX_BUFS_MAX 64u
#define TCP_RX_BUF_GROUP 0x7463u
/*
 * While host data of transfers as large as this is on its way, only so many bytes are received into a shared buffer at
 * a time: enough for the headers of many PDUs, little to copy when a large payload follows.
 */
#define TCP_RX_BULK (64u * 1024)
#define TCP_RX_BULK_RECV 4096u
/* More than ever arrives. */
#define TCP_RX_NO_CAPSULE UINT32_MAX

/*
 * A peer that does not read its responses is not read from either: above this many unsent responses or bytes. Both are
 * more than a connection in good health ever has behind the sendmsg in progress.
 */
#define TCP_TX_MAX_UNSENT 1024u
#define TCP_TX_MAX_BYTES (16u * 1024 * 1024)

/* Enough for a header and data each of 128 reads and more at a time: each send costs, and wakes the peer. */
#define TCP_TX_IOVS 512u
#define TCP_TX_SCRATCH 8192u
/* Data bytes of one send: enough to fill a socket's buffer; beyond that buffers are better freed in between. */
#define TCP_TX_BATCH_BYTES (1024u * 1024)
#define TCP_TX_BATCHES_KEPT 256u

/* A peer that was sent a C2HTermReq has this long to read it and close. */
#define TCP_LINGER_MS 1000u

struct tcp_port {
	struct nvmft_transport_port *tp;
	struct nvmft_poll_group *group; /* that accepts */
	int fd;                         /* -1: serves only given descriptors */
	sa_family_t family;
	char traddr[64], trsvcid[16]; /* in use */
	struct nvmft_tcp_opts opts;
	uint32_t in_capsule_size;
	bool stopping;
	struct nvmft_ring_op accept_op;
	struct nvmft_timer retry;
	uint64_t retry_ms; /* 0: accepting works */
	/*
	 * Who may still use the port from outside: the listener, and each connection that travels to its poll group,
	 * which holds no reference of the core yet. Atomic because nvmft_tcp_serve() may be called on any thread; never
	 * per command.
	 */
	atomic_uint users;
	struct nvmft_call closed_call;
};

struct tcp_conn;
TAILQ_HEAD(tcp_conn_list, tcp_conn);

struct tx_batch;

/* A transport's part of a poll group. */
struct tcp_group {
	struct nvmft_poll_group *group;
	struct io_uring_buf_ring *buf_ring;
	uint8_t *bufs;
	uint32_t nbufs;
	struct tcp_conn_list dirty;   /* have something to do in group_flush */
	struct tcp_conn_list starved; /* wait for a tx batch */
	struct tx_batch *batches;
	uint32_t nbatches; /* of these */
	uint32_t batches_out;
};

enum tcp_req_where {
	TCP_REQ_CORE,    /* not the transport's */
	TCP_REQ_CAPSULE, /* conn->rx.req: its data is in the capsule that is being received */
	TCP_REQ_R2T,     /* in conn->ttags */
	TCP_REQ_TX,      /* its R2T is in conn->txq */
};

enum tcp_tx_kind {
	TCP_TX_RESPONSE,
	TCP_TX_R2T,
};

/* The transport's private bytes of a request. Reset by rx when the capsule arrives. */
struct tcp_req {
	struct tcp_conn *conn;
	struct nvmft_request *request;
	STAILQ_ENTRY(tcp_req) link;
	uint8_t where; /* enum tcp_req_where */
	uint8_t kind;  /* enum tcp_tx_kind, in conn->txq */
	bool ddgst_bad;
	bool header_sent;  /* of C2HData */
	uint32_t received; /* of the R2T's data */
	uint32_t next_iov; /* of response data */
	uint32_t ddgst;    /* of response data, as sent */
	uint16_t ttag;
};
STAILQ_HEAD(tcp_req_list, tcp_req);

enum tcp_conn_state {
	TCP_CONN_OPEN,
	TCP_CONN_TERMINATING, /* C2HTermReq is being sent; what arrives is dropped unseen until the peer closes */
	TCP_CONN_CLOSING,     /* waits for the ring to give its operations back */
};

enum tcp_rx_state {
	TCP_RX_HEADER,
	TCP_RX_PAD,
	TCP_RX_DATA,
	TCP_RX_DDGST,
};

/* While nothing is received, conn->rx_op waits for the peer to go away instead. */
enum tcp_rx_watch {
	TCP_RX_WATCH_OFF,
	TCP_RX_WATCH_ON,
	TCP_RX_WATCH_ENDING, /* cancelled, so that receiving can go on */
};

/* Where the byte stream stands. */
struct tcp_rx {
	uint8_t state; /* enum tcp_rx_state */
	uint8_t watch; /* enum tcp_rx_watch */
	uint8_t have;  /* bytes in @stash: of a header or a digest */
	bool shaped;   /* @shape is that of the header in @stash */
	bool wait;     /* in-capsule data whose command has no buffers yet */
	bool more;     /* the socket had more than the last receive took */
	bool memo;
	struct nvmft_request *req; /* NULL: the data is dropped */
	uint64_t shape_of;         /* the 8 bytes that @shape was made from, if @memo */
	uint32_t capsule_len; /* of the header, if these are a CapsuleCmd's without digest, else TCP_RX_NO_CAPSULE */
	struct tcp_shape shape;
	uint32_t left; /* bytes of padding or data to come */
	uint32_t lead; /* of data: those in front of what the command wants */
	uint32_t sink; /* of data: those that the command wants */
	uint32_t crc;
	uint32_t at; /* offset of the sink in the command's data, located at @iov, @iov_off */
	bool located;
	uint32_t iov, iov_off;
	uint8_t *kept; /* received but not parsed, because parsing had to stop */
	uint32_t kept_len, kept_off;
	uint8_t stash[TCP_HEADER_MAX + TCP_DIGEST_LEN];
};

/*
 * The transport's private bytes of a queue. Belongs to the thread of the queue's poll group. What each command needs is
 * in front, together.
 */
struct tcp_conn {
	struct nvmft_queue *queue;
	struct tcp_group *tg;
	uint8_t state; /* enum tcp_conn_state */
	bool dirty;
	bool starved;
	bool send_icresp;
	bool send_term;
	bool success_ok;           /* C2HData may stand for the response, see tx.c */
	uint32_t room;             /* plain responses that surely fit into @next; 0: respond_any() has to look */
	struct tx_batch *next;     /* to be sent when @batch is */
	struct tcp_req_list txq;   /* what goes behind them: no room, or R2Ts */
	struct tcp_req_list spent; /* their responses are in @next as a whole: to be released in this pass */
	uint32_t tx_unsent;        /* responses in all of them, and in @batch */
	uint64_t tx_bytes;         /* of data in these */
	struct tcp_params params;
	struct tcp_rx rx;
	struct tx_batch *batch; /* being sent */
	uint64_t bulk_bytes;    /* of large transfers, asked for and not received */
	struct tcp_port *port;
	int fd;
	struct nvmft_ring_op rx_op, tx_op;
	TAILQ_ENTRY(tcp_conn) link; /* group's dirty or starved */
	struct tcp_ttags ttags;
	struct tcp_error term;
	uint32_t term_pdu_len; /* of the offending header, in rx.stash */
	struct nvmft_timer linger;
	union inet_end peer, local;
};

static inline struct tcp_conn *tcp_conn_of(struct nvmft_queue *queue)
{
	return nvmft_queue_priv(queue);
}

static inline struct tcp_req *tcp_req_of(struct nvmft_request *request)
{
	return request->priv;
}

static inline bool tcp_conn_open(const struct tcp_conn *conn)
{
	return conn->state == TCP_CONN_OPEN;
}

/* conn.c */
int nvmft_tcp_conn_create(struct nvmft_port *port, struct nvmft_poll_group *group,
			  int fd); /* owns fd when it returns 0 */
void nvmft_tcp_conn_dirty(struct tcp_conn *conn);
void nvmft_tcp_conn_work(struct tcp_conn *conn); /* from group_flush */
/*
 * nvmft_tcp_conn_dead() - the one place where a connection is found dead
 * @err: the peer broke the protocol: tell it so, then close. NULL: just close.
 * @pdu, @pdu_len: the offending header
 */
void nvmft_tcp_conn_dead(struct tcp_conn *conn, const struct tcp_error *err, const uint8_t *pdu, size_t pdu_len);
void nvmft_tcp_conn_op_over(struct tcp_conn *conn); /* a ring operation of a connection that is not open completed */

/* rx.c */
void nvmft_tcp_rx_init(struct tcp_conn *conn);
void nvmft_tcp_rx_arm(struct tcp_conn *conn);
void nvmft_tcp_rx_resume(struct tcp_conn *conn); /* parse what is kept, if whatever stopped it is over */
void nvmft_tcp_rx_fini(struct tcp_conn *conn);
int nvmft_tcp_rx_group_init(struct tcp_group *tg);
void nvmft_tcp_rx_group_fini(struct tcp_group *tg);

/* The command whose in-capsule data waits for buffers was aborted: the data is dropped. */
static inline void nvmft_tcp_rx_drop(struct tcp_conn *conn)
{
	conn->rx.req = NULL;
	conn->rx.wait = false;
}

/* Parsing waits, or may begin again: nvmft_tcp_rx_resume() is to look. */
static inline bool nvmft_tcp_rx_halted(const struct tcp_conn *conn)
{
	return conn->rx.kept || conn->rx.watch != TCP_RX_WATCH_OFF;
}

/* The parameters have changed, and with them what the next header means. */
static inline void nvmft_tcp_rx_forget_shape(struct tcp_conn *conn)
{
	conn->rx.memo = false;
	conn->rx.capsule_len = TCP_RX_NO_CAPSULE;
}

/* payload.c: data of capsules and H2CData on its way to a command */
void nvmft_tcp_payload_begin(struct tcp_conn *conn, struct nvmft_request *request, uint32_t lead, uint32_t sink,
			     uint32_t at);
size_t nvmft_tcp_payload_bytes(struct tcp_conn *conn, const uint8_t *p, size_t len);
struct iovec nvmft_tcp_payload_room(struct tcp_conn *conn);
void nvmft_tcp_payload_landed(struct tcp_conn *conn, size_t len);
void nvmft_tcp_payload_ddgst(struct tcp_conn *conn, uint32_t received);

/* tx.c */
void nvmft_tcp_tx_init(struct tcp_conn *conn);
void nvmft_tcp_tx_respond(struct nvmft_request *request);
void nvmft_tcp_tx_r2t(struct tcp_conn *conn, struct nvmft_request *request);
void nvmft_tcp_bulk_done(struct tcp_conn *conn, const struct nvmft_request *request, uint32_t len);
void nvmft_tcp_tx_flush(struct tcp_conn *conn);
void nvmft_tcp_tx_release_all(struct tcp_conn *conn);
void nvmft_tcp_tx_group_fini(struct tcp_group *tg);

/* listen.c */
int nvmft_tcp_listen(struct nvmft_transport_port *tp, const struct nvmft_port_config *config);
void nvmft_tcp_accept_start(struct nvmft_transport_port *tp, struct nvmft_poll_group *group);
void nvmft_tcp_accept_stop(struct nvmft_transport_port *tp);
void nvmft_tcp_address(struct nvmft_transport_port *tp, char *traddr, char *trsvcid, uint8_t *adrfam);

#endif
