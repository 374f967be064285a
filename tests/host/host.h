/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TESTS_HOST_H
#define NVMFT_TESTS_HOST_H

/*
 * A synchronous host over the loopback transport, NVMe/TCP or NVMe/RDMA, for tests of everything behind a transport.
 *
 *   static void test_read(void **state)
 *   {
 *           struct th t;
 *           struct th_ctrl ctrl;
 *           struct nvmft_sqe sqe;
 *           char buf[512];
 *
 *           th_start(&t, NULL);                                  a target, one poll group, a loopback port
 *           th_add_memory(th_add_subsystem(&t, TH_NQN), 1 << 20, 512);
 *           th_ctrl_connect(&t, &ctrl, NULL);                    admin queue, CC.EN, one I/O queue
 *           th_sqe_rw(&sqe, TH_READ, 1, 0, 1);
 *           assert_int_equal(th_exec(&ctrl.io[0], &sqe, buf, sizeof(buf)), 0);
 *           th_ctrl_disconnect(&ctrl);
 *           th_stop(&t);                                         everything ends, or the test fails
 *   }
 *
 * Functions without "try" fail the running CMocka test when they cannot do what they say. Time is a fake clock that only
 * th_advance_ms() moves. The thread of the test drives every poll group, unless opts.threaded asks for one thread per
 * group. Hosts over TCP and RDMA are driven by the thread of the test in any case: only it may call the helper.
 * The helper itself never allocates, so that allocations may be made to fail under it.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <nvmft/nvmft.h>
#include <nvmft/provider/backend.h>
#include <nvmft/provider/ring.h>

#define TH_GROUPS_MAX 4
#define TH_QUEUES_MAX 4
#define TH_LOG_BYTES 65536
#define TH_NQN "nqn.2024-01.org.example:test"
#define TH_HOSTNQN "nqn.2014-08.org.nvmexpress:uuid:00112233-4455-6677-8899-aabbccddeeff"

/* The host identifier that goes with TH_HOSTNQN. */
extern const uint8_t th_host_id[16];

/* Opcodes. */
enum {
	TH_FLUSH = 0x00,
	TH_WRITE = 0x01,
	TH_READ = 0x02,
	TH_COMPARE = 0x05,
	TH_WRITE_ZEROES = 0x08,
	TH_DSM = 0x09,
};
/* CDW12 of I/O commands. */
#define TH_FUA (1u << 30)
#define TH_DEAC (1u << 25)
/* FUSE of the flags byte. */
#define TH_FUSE_FIRST 0x01
#define TH_FUSE_SECOND 0x02
/* Statuses with Do Not Retry masked off, to compare th_sc() with. */
#define TH_SC_INVALID_FIELD 0x002
#define TH_SC_INTERNAL 0x006
#define TH_SC_ABORT_REQ 0x007
#define TH_SC_SQ_DELETED 0x008
#define TH_SC_FUSED_FAIL 0x009
#define TH_SC_INVALID_NS 0x00b
#define TH_SC_WRITE_PROTECTED 0x020
#define TH_SC_LBA_RANGE 0x080
#define TH_SC_CAP_EXCEEDED 0x081
#define TH_SC_COMPARE_FAILED 0x285

/*
 * What hosts connect through. The TCP ones are socket pairs that nvmft_tcp_serve() is given. The RDMA ones want a device,
 * with its address in TH_RDMA_ADDR in the environment; see th_present().
 */
enum th_transport {
	TH_USUAL,       /* what TH_TRANSPORT in the environment says, e.g. "tcp-r2t"; else loopback */
	TH_LOOPBACK,    /* "loopback" */
	TH_TCP,         /* "tcp" */
	TH_TCP_DIGESTS, /* "tcp-digests": of headers and data, and padding in front of data in both directions */
	TH_TCP_R2T,     /* "tcp-r2t": no data in the capsules of I/O queues, and H2CData of 8 KiB at most */
	TH_TCP_NOFLOW,  /* "tcp-noflow": no SQ flow control, thus C2HData that says SUCCESS */
	TH_TCP_PIECES,  /* "tcp-pieces": the host sends a few bytes now and then, and the target's socket takes little */
	TH_RDMA,        /* "rdma": data in the capsule where it fits, else one keyed block */
	TH_RDMA_PIECES, /* "rdma-pieces": no data in capsules, but segments of keyed blocks; receives for each queue */
	TH_RDMA_INVALIDATE, /* "rdma-invalidate": keys that the responses invalidate */
	TH_TRANSPORTS,
};

/*
 * struct th_opts - options of a world; zero fields mean the default
 * @groups: poll groups, 1..TH_GROUPS_MAX; default 1
 * @threaded: each group has a thread of its own
 * @log_level: default NVMFT_LOG_DEBUG, so that messages of every level can be asserted on
 * @start_ns: first value of the fake clock; default one hour
 * @tick_ns: what th_poll() adds to it in each call; default nothing. Not in a threaded world.
 * @transport: what th->port is
 * @target: further options of the target; log, now_ns and time_ctx are overwritten
 * @port: further options of the port; transport is overwritten, for TCP transport_opts and traddr, for RDMA traddr and
 *	trsvcid
 */
struct th_opts {
	unsigned int groups;
	bool threaded;
	enum nvmft_log_level log_level;
	uint64_t start_ns;
	uint64_t tick_ns;
	enum th_transport transport;
	struct nvmft_target_opts target;
	struct nvmft_port_opts port;
};

struct th;

/* One group, and in a threaded world its thread. */
struct th_group {
	struct th *t;
	struct nvmft_poll_group *group;
	pthread_t thread;
	bool running;
	struct nvmft_call stop_call;
};

/* struct th - a target with what a test needs around it */
struct th {
	struct nvmft_target *target;
	struct nvmft_port *port;
	enum th_transport transport; /* of the port, never TH_USUAL */
	uint32_t in_capsule;         /* bytes of data in a capsule of an I/O queue */
	TAILQ_HEAD(, th_queue) tcp_queues;
	LIST_HEAD(, th_rdma) rdma_conns;
	_Atomic(struct nvmft_poll_group *) place; /* where the next connection over RDMA goes */
	struct th_group groups[TH_GROUPS_MAX];
	unsigned int ngroups;
	bool threaded;
	atomic_bool stop_threads;
	_Atomic uint64_t now_ns;
	uint64_t tick_ns;
	pthread_mutex_t log_lock;
	size_t log_len;
	unsigned int log_count[NVMFT_LOG_DEBUG + 1];
	char log[TH_LOG_BYTES]; /* lines, each with "level: " in front; what does not fit is dropped */
};

/* ---- the world ---- */

/* As in TH_TRANSPORT. */
extern const char *const th_transport_names[TH_TRANSPORTS];

/* Whether there can be a world of @transport: those over RDMA want a device. */
bool th_present(enum th_transport transport);

/* Skip the running test, because of @reason, unless that is what a world of @transport has. */
void th_loopback_only(enum th_transport transport, const char *reason);

/* Start. @opts may be NULL. try: 0 or -errno, and nothing is left behind. */
void th_start(struct th *t, const struct th_opts *opts);
int th_try_start(struct th *t, const struct th_opts *opts);

/* Stop the target, wait for it, destroy it. Fails the test when that does not come to an end. */
void th_stop(struct th *t);

/* One pass of every group; returns the number of events. Nothing to do in a threaded world. */
int th_poll(struct th *t);

/* Drive until *flag; fails the test after ten seconds of real time. */
void th_wait_flag(struct th *t, const atomic_bool *flag);
/* The same for a condition of the test's own. false after @ms of real time. */
bool th_wait(struct th *t, bool (*cond)(void *arg), void *arg, unsigned int ms);
/* Drive until nothing happens any more (several idle passes in a row). Not in a threaded world. */
void th_settle(struct th *t);

/* Let every group see the configuration as it is now. Connecting does this by itself. */
void th_sync(struct th *t);

/* Move the clock, then let what became due happen. */
void th_advance_ms(struct th *t, uint64_t ms);

/* Run @fn on the thread of a group and wait for it. */
void th_on_group(struct th *t, struct nvmft_poll_group *group, void (*fn)(void *arg), void *arg);

/* Wait for a struct nvmft_done. */
struct th_done {
	struct nvmft_done done;
	int result;
	atomic_bool called;
};
struct nvmft_done *th_done_init(struct th_done *done);
int th_done_wait(struct th *t, struct th_done *done); /* its result */

/* Captured log. */
bool th_log_has(struct th *t, const char *substring);
void th_log_clear(struct th *t);

/* ---- configuration in one line each; all fail the test on an error ---- */

/* Allows any host and is linked to t->port. opts variant: nqn, allow_any_host are taken from @opts. */
struct nvmft_subsystem *th_add_subsystem(struct th *t, const char *nqn);
struct nvmft_subsystem *th_add_subsystem_opts(struct th *t, const struct nvmft_subsystem_opts *opts);
struct nvmft_namespace *th_add_namespace(struct nvmft_subsystem *subsys, const struct nvmft_backend_ops *ops,
					 const void *backend_opts);
struct nvmft_namespace *th_add_null(struct nvmft_subsystem *subsys, uint64_t bytes, uint32_t block_size);
struct nvmft_namespace *th_add_memory(struct nvmft_subsystem *subsys, uint64_t bytes, uint32_t block_size);
/* Remove and wait for the end of it. */
void th_remove_namespace(struct th *t, struct nvmft_namespace *ns);

/* ---- queues and commands ---- */

/* The host's end of a TCP connection: tcp.c */
struct th_cmd;
struct th_tcp {
	int fd; /* -1: closed */
	TAILQ_ENTRY(th_queue) link; /* th->tcp_queues */
	TAILQ_HEAD(, th_cmd) sending, outstanding;
	bool ready; /* ICResp was received */
	bool deaf;
	uint64_t pieces; /* state of the generator of their sizes */
	bool hdgst, ddgst, no_flow;
	uint8_t hpda, cpda;
	uint32_t maxh2cdata, in_capsule;
	/* the PDU that is being received */
	uint8_t header[160], digest[4];
	uint32_t header_len, have; /* of header, data or digest */
	uint8_t state;
	struct th_cmd *cmd; /* whose C2HData it is */
	uint32_t at, data_len;
};

/* struct th_queue - one connected queue; not to be moved */
struct th_queue {
	struct th *t;
	struct nvmft_poll_group *group;
	struct nvmft_loopback_queue *q;
	uint16_t cntlid;
	uint16_t qid;
	uint16_t next_cid;
	int status; /* of Connect: 0, NVMe status or -errno */
	atomic_bool connected;    /* the outcome of Connect is known */
	atomic_bool disconnected; /* the connection has ended */
	struct nvmft_cqe cqe;     /* of the last th_exec() */
	struct th_tcp tcp;
	bool over_rdma;
	struct th_rdma *rdma; /* rdma.h; NULL: closed */
	uint32_t rdma_in_capsule;
};

/*
 * Connect one queue. @opts: every field is used; a zero port, group or subnqn means t->port, the first group, TH_NQN; the
 * callbacks are the helper's. Returns 0, an NVMe status or -errno; only after 0 there is a queue.
 */
int th_connect(struct th *t, struct th_queue *queue, const struct nvmft_loopback_opts *opts);
/* Close it and wait for the end. No effect when it has ended already. */
void th_disconnect(struct th_queue *queue);
/* The same without waiting. */
void th_disconnect_begin(struct th_queue *queue);
/* TCP and RDMA. The connection is lost without a word, whatever is on its way. */
void th_kill(struct th_queue *queue);
/* TCP only. Receive nothing as long as @deaf, so that responses get stuck. */
void th_deaf(struct th_queue *queue, bool deaf);

/* One PDU at a time on its way to the controller, and what came back: tcp.c */
struct th_tcp_cmd {
	TAILQ_ENTRY(th_cmd) sending, outstanding;
	uint8_t header[128], digest[4];
	const uint8_t *data;
	uint32_t header_len, data_len, digest_len, sent;
	uint16_t ttag;
	uint32_t r2t_at, r2t_left; /* of an R2T, still to be sent */
	uint32_t received;
	bool is_sending;
	bool last;      /* C2HData with LAST was received */
	bool completed; /* while it was being sent */
};

/* struct th_cmd - a command in flight; not to be moved while it is */
struct th_cmd {
	struct nvmft_loopback_cmd lc;
	struct th_queue *queue;
	struct nvmft_call call;
	int error; /* of nvmft_loopback_submit(), or -ENOTCONN */
	struct nvmft_cqe cqe;
	nvmft_status status; /* without More and CRD; with DNR */
	atomic_bool done;
	/* optional, on the group's thread, over TCP and RDMA on the test's, when all of the above is set */
	void (*on_done)(struct th_cmd *cmd);
	struct th_tcp_cmd tcp;
};

/*
 * Submit. The CID is the next of the queue; th_submit_cid() takes the one in @sqe. on_done must be set or NULL before.
 * When the queue is gone the command is done at once with TH_SC_SQ_DELETED.
 */
void th_submit(struct th_queue *queue, struct th_cmd *cmd, const struct nvmft_sqe *sqe, void *data, size_t len);
void th_submit_cid(struct th_queue *queue, struct th_cmd *cmd, const struct nvmft_sqe *sqe, void *data, size_t len);
/* Several commands back to back, so that nothing can come between: cmds[i] with sqes[i], data[i], lens[i]. Fused pairs. */
void th_submit_many(struct th_queue *queue, struct th_cmd *cmds, const struct nvmft_sqe *sqes, void *const *data,
		    const size_t *lens, unsigned int n);
nvmft_status th_wait_cmd(struct th_cmd *cmd);

/* Submit and wait; the completion entry is in queue->cqe. */
nvmft_status th_exec(struct th_queue *queue, const struct nvmft_sqe *sqe, void *data, size_t len);

/* Status without DNR, More and the CRD field. */
static inline nvmft_status th_sc(nvmft_status status)
{
	return status & 0x7ff;
}

/* ---- a controller: admin queue, enabled, and I/O queues ---- */

struct th_ctrl {
	struct th *t;
	char subnqn[224];
	struct th_queue admin;
	struct th_queue io[TH_QUEUES_MAX];
	unsigned int nio;
	uint16_t cntlid;
};

/* struct th_ctrl_opts - zero fields mean the default: TH_NQN, TH_HOSTNQN, one I/O queue, groups in turn */
struct th_ctrl_opts {
	const char *subnqn;
	const char *hostnqn;
	unsigned int io_queues;
	bool no_io_queue;
	bool discovery; /* the discovery subsystem: no I/O queue */
	uint16_t sqsize; /* of the I/O queues, 0-based */
	uint8_t cattr;
	uint32_t kato_ms;
	bool all_csi; /* CC.CSS 110b, as hosts set it that know of other command sets */
};

void th_ctrl_connect(struct th *t, struct th_ctrl *ctrl, const struct th_ctrl_opts *opts);
/* Returns 0, an NVMe status or -errno; after a failure nothing is connected. */
int th_ctrl_try_connect(struct th *t, struct th_ctrl *ctrl, const struct th_ctrl_opts *opts);
void th_ctrl_disconnect(struct th_ctrl *ctrl);

/* Properties (offset as in NVME_REG_*), over the admin queue. */
nvmft_status th_property_get(struct th_queue *admin, uint32_t offset, bool eight_bytes, uint64_t *value);
nvmft_status th_property_set(struct th_queue *admin, uint32_t offset, bool eight_bytes, uint64_t value);

/* ---- submission queue entries; each clears @sqe first, all but fabrics ask for an SGL (PSDT 01b) ---- */

void th_sqe_init(struct nvmft_sqe *sqe, uint8_t opcode, uint32_t nsid);
/* Read, Write, Compare, Write Zeroes of @blocks (1-based) blocks. */
void th_sqe_rw(struct nvmft_sqe *sqe, uint8_t opcode, uint32_t nsid, uint64_t lba, uint32_t blocks);
void th_sqe_identify(struct nvmft_sqe *sqe, uint8_t cns, uint32_t nsid);
void th_sqe_log(struct nvmft_sqe *sqe, uint8_t lid, uint32_t nsid, uint64_t offset, uint32_t bytes, bool rae);
void th_sqe_get_features(struct nvmft_sqe *sqe, uint8_t fid, uint32_t cdw11);
void th_sqe_set_features(struct nvmft_sqe *sqe, uint8_t fid, uint32_t cdw11);
void th_sqe_abort(struct nvmft_sqe *sqe, uint16_t sqid, uint16_t cid);
void th_sqe_fabrics(struct nvmft_sqe *sqe, uint8_t fctype);

/* One range of Dataset Management, and the command: @attr 4 is Deallocate. The data is nr * 16 bytes. */
struct th_range {
	uint32_t cattr;
	uint32_t blocks;
	uint64_t lba;
};
void th_sqe_dsm(struct nvmft_sqe *sqe, uint32_t nsid, unsigned int nr, uint32_t attr);

/* Read or write with a buffer, in one call. */
nvmft_status th_read(struct th_ctrl *ctrl, uint32_t nsid, uint64_t lba, uint32_t blocks, void *data, size_t len);
nvmft_status th_write(struct th_ctrl *ctrl, uint32_t nsid, uint64_t lba, uint32_t blocks, const void *data, size_t len);

/* ---- data ---- */

/* Fill with bytes that differ for every @seed and position; check them. */
void th_fill(void *data, size_t len, uint64_t seed);
bool th_filled(const void *data, size_t len, uint64_t seed);
bool th_zero(const void *data, size_t len);

/* A small repeatable generator. */
static inline uint64_t th_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

#endif
