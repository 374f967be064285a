/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PERF_HOST_H
#define PERF_HOST_H

/*
 * A small NVMe-oF host. A group is what one thread drives; it holds queues; a queue takes commands. Nothing here is
 * shared between threads, except that an I/O queue is connected with the CNTLID of a controller that another group's
 * admin queue made.
 */

#include "host_pdu.h"

struct host_group;
struct host_queue;

/* Why something could not be done, for a human. */
struct host_error {
	char text[384];
};

enum host_dir {
	HOST_NONE,
	HOST_TO_CTRL,
	HOST_FROM_CTRL,
};

/*
 * One command. The caller fills it and picks a CID below the queue's depth that is not in flight; the SGL is the
 * transport's. It is called back once, with cqe filled; a command whose connection was lost has the status
 * HOST_SC_LOST.
 */
struct host_cmd {
	struct host_sqe sqe;
	struct host_cqe cqe;
	void *data;
	uint32_t data_len;
	enum host_dir dir;
	void (*done)(struct host_cmd *cmd);
};

/* Path related, Command Aborted By Host: what a host reports for commands of a lost connection. */
#define HOST_SC_LOST 0x371u
/* Transient Transport Error: data digest. */
#define HOST_SC_TRANSPORT 0x022u
/* Connect Invalid Parameters. */
#define HOST_SC_CONNECT_PARAM 0x182u

/* Status code type and code, without phase, CRD, More and DNR. */
static inline unsigned int host_status(const struct host_cqe *cqe)
{
	return (le16toh(cqe->status) >> 1) & 0x7ffu;
}

static inline void host_cqe_fail(struct host_cqe *cqe, unsigned int status)
{
	*cqe = (struct host_cqe){.status = htole16((uint16_t)(status << 1))};
}

/* Where a target is. */
struct host_addr {
	char host[256];
	char service[32];
};

/* A Connect. */
struct host_connect {
	const struct host_addr *addr; /* TCP only */
	const char *subnqn;
	const char *hostnqn;
	uint8_t hostid[16];
	uint16_t qid;
	uint16_t cntlid; /* FFFFh for the admin queue */
	uint16_t depth;  /* commands in flight; SQSIZE is the same number, 0-based, as one entry stays empty */
	bool no_sqflow;
	bool hdgst;
	bool ddgst;
	uint32_t in_capsule; /* most data bytes in a capsule of this queue */
	uint32_t kato_ms;
	unsigned int timeout_ms;
};

struct host_queue {
	struct host_group *group;
	uint16_t qid;
	uint16_t cntlid;
	uint16_t depth;
	bool no_sqflow;
	bool dead;
	struct host_error why; /* of a dead queue */
};

/*
 * @abandon: give the queue up without freeing it: it is dead with the reason that was set, and what was in flight is
 * called back.
 * @stop: called by the group's thread after its last queue is gone and before the thread ends, in every thread.
 */
struct host_ops {
	int (*connect)(struct host_group *group, const struct host_connect *how, struct host_queue **queue,
		       struct host_error *err);
	void (*submit)(struct host_queue *queue, struct host_cmd *cmd);
	int (*poll)(struct host_group *group, int timeout_ms);
	void (*disconnect)(struct host_queue *queue);
	void (*abandon)(struct host_queue *queue);
	void (*stop)(struct host_group *group);
	void (*destroy)(struct host_group *group);
};

/* @now: CLOCK_MONOTONIC in ns when the completions that are being called back were received. */
struct host_group {
	const struct host_ops *ops;
	uint64_t now;
};

/*
 * Connect a queue. Blocks, at most @how->timeout_ms. Return: 0 or -1 with @err filled.
 */
static inline int host_connect(struct host_group *group, const struct host_connect *how, struct host_queue **queue,
			       struct host_error *err)
{
	return group->ops->connect(group, how, queue, err);
}

/* Submit a command; it leaves with the next host_poll(). Allowed from a done callback. */
static inline void host_submit(struct host_queue *queue, struct host_cmd *cmd)
{
	queue->group->ops->submit(queue, cmd);
}

/* Send, receive and call back, waiting for at most @timeout_ms for something to do. Return: commands completed. */
static inline int host_poll(struct host_group *group, int timeout_ms)
{
	return group->ops->poll(group, timeout_ms);
}

/* Close a queue; commands in flight are called back as lost. */
static inline void host_disconnect(struct host_queue *queue)
{
	queue->group->ops->disconnect(queue);
}

uint64_t host_now(void);

void host_fail(struct host_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Run one command and wait for it. Return: its status, or HOST_SC_LOST after @timeout_ms. */
unsigned int host_exec(struct host_queue *queue, struct host_cmd *cmd, unsigned int timeout_ms);

struct host_group *host_tcp_group(struct host_error *err);

/* A queue's socket and what was agreed on, for the bench's generator, which takes the connection over. */
int host_tcp_fd(struct host_queue *queue, struct pdu_params *params);

/* Words of an NVMe status, for example "Invalid Field in Command". */
const char *host_status_words(unsigned int status);

/* Words for a failed Connect, with the field that it complains of. */
void host_connect_words(const struct host_cqe *cqe, struct host_error *err);

struct host_ns {
	uint32_t nsid;
	uint32_t block_size;
	uint64_t blocks;
};

/* A controller: an admin queue and what Identify says. */
struct host_ctrl {
	struct host_queue *admin;
	struct host_connect how;
	uint64_t cap;
	uint32_t max_transfer; /* bytes, UINT32_MAX: no limit */
	uint32_t in_capsule;   /* IOCCSZ as data bytes */
	uint16_t max_depth;    /* MQES as commands in flight */
	char model[41];
	char serial[21];
	struct host_cmd keep_alive;
	uint64_t keep_alive_due;
	bool keep_alive_busy;
	bool keep_alive_failed;
};

int host_ctrl_open(struct host_group *group, const struct host_connect *how, struct host_ctrl *ctrl,
		   struct host_error *err);
int host_ctrl_identify(struct host_ctrl *ctrl, struct host_error *err);
int host_ctrl_queues(struct host_ctrl *ctrl, unsigned int want, struct host_error *err);
int host_ctrl_ns(struct host_ctrl *ctrl, uint32_t nsid, struct host_ns *ns, struct host_error *err);

/* Get Log Page into @buf. */
int host_ctrl_log(struct host_ctrl *ctrl, uint8_t lid, uint64_t offset, void *buf, uint32_t len,
		  struct host_error *err);

/* Send Keep Alive when it is time; to be called at least once a second. */
void host_ctrl_tick(struct host_ctrl *ctrl);

/* Normal shutdown by CC.SHN, then disconnect. Return: 0, -1: the shutdown did not complete. */
int host_ctrl_close(struct host_ctrl *ctrl, struct host_error *err);

#endif
