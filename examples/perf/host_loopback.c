/* SPDX-License-Identifier: BSD-3-Clause */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "host_loopback_priv.h"

struct loop_slot {
	struct nvmft_loopback_cmd cmd;
	struct host_cmd *host_cmd;
	struct loop_queue *queue;
};

enum loop_state {
	LOOP_CONNECTING,
	LOOP_LIVE,
	LOOP_FAILED,
	LOOP_GONE,
};

struct loop_queue {
	struct host_queue queue;
	struct nvmft_loopback_queue *lq;
	enum loop_state state;
	int status; /* of Connect */
	struct loop_slot *slots;
};

struct loop_group {
	struct host_group group;
	struct loopback *loopback;
	struct nvmft_poll_group *poll_group;
	int completions;
};

_Static_assert(sizeof(struct nvmft_loopback_sqe) == sizeof(struct host_sqe), "SQE");
_Static_assert(sizeof(struct nvmft_loopback_cqe) == sizeof(struct host_cqe), "CQE");

static struct loop_queue *to_queue(struct host_queue *queue)
{
	return (struct loop_queue *)(void *)((char *)queue - offsetof(struct loop_queue, queue));
}

static struct loop_group *to_group(struct host_group *group)
{
	return (struct loop_group *)(void *)group;
}

static void connected(void *ctx, struct nvmft_loopback_queue *lq, int status, uint16_t cntlid)
{
	struct loop_queue *queue = ctx;

	(void)lq;
	queue->status = status;
	queue->queue.cntlid = cntlid;
	queue->state = status ? LOOP_FAILED : LOOP_LIVE;
}

static void disconnected(void *ctx, struct nvmft_loopback_queue *lq)
{
	struct loop_queue *queue = ctx;

	(void)lq;
	queue->state = LOOP_GONE;
	if (!queue->queue.dead)
		host_fail(&queue->queue.why, "the target closed the connection");
	queue->queue.dead = true;
}

static void cmd_done(struct nvmft_loopback_cmd *cmd)
{
	struct loop_slot *slot = (struct loop_slot *)(void *)cmd;
	struct host_cmd *host_cmd = slot->host_cmd;

	to_group(slot->queue->queue.group)->completions++;
	memcpy(&host_cmd->cqe, &cmd->cqe, sizeof(host_cmd->cqe));
	host_cmd->done(host_cmd);
}

static void loop_submit(struct host_queue *base, struct host_cmd *cmd)
{
	struct loop_queue *queue = to_queue(base);
	struct loop_slot *slot = &queue->slots[le16toh(cmd->sqe.cid)];
	int rc = -ENOTCONN;

	memcpy(&slot->cmd.sqe, &cmd->sqe, sizeof(cmd->sqe));
	slot->cmd.data = cmd->data;
	slot->cmd.data_len = cmd->data_len;
	slot->host_cmd = cmd;
	if (!base->dead)
		rc = nvmft_loopback_submit(queue->lq, &slot->cmd);
	if (!rc)
		return;
	if (!base->dead)
		host_fail(&base->why, "cannot submit: %s", strerror(-rc));
	base->dead = true;
	host_cqe_fail(&cmd->cqe, HOST_SC_LOST);
	cmd->done(cmd);
}

static int loop_poll(struct host_group *base, int timeout_ms)
{
	struct loop_group *group = to_group(base);
	struct pollfd pfd = {.fd = nvmft_poll_group_fd(group->poll_group), .events = POLLIN};

	group->completions = 0;
	base->now = host_now();
	if (nvmft_poll(group->poll_group, 0) == 0 && timeout_ms > 0 && nvmft_poll_group_arm(group->poll_group) == 0) {
		(void)poll(&pfd, 1, timeout_ms);
		base->now = host_now();
		nvmft_poll(group->poll_group, 0);
	}
	return group->completions;
}

static void loop_abandon(struct host_queue *base)
{
	struct loop_queue *queue = to_queue(base);

	base->dead = true;
	if (queue->state == LOOP_LIVE)
		nvmft_loopback_disconnect(queue->lq);
	while (queue->state == LOOP_LIVE || queue->state == LOOP_CONNECTING)
		loop_poll(base->group, 1);
}

static void loop_disconnect(struct host_queue *base)
{
	struct loop_queue *queue = to_queue(base);

	loop_abandon(base);
	free(queue->slots);
	free(queue);
}

static struct loop_queue *new_queue(struct host_group *group, const struct host_connect *how)
{
	struct loop_queue *queue = calloc(1, sizeof(*queue));
	uint16_t i;

	if (!queue)
		return NULL;
	queue->slots = calloc(how->depth, sizeof(*queue->slots));
	if (!queue->slots) {
		free(queue);
		return NULL;
	}
	queue->queue =
		(struct host_queue){.group = group, .qid = how->qid, .depth = how->depth, .no_sqflow = how->no_sqflow};
	for (i = 0; i < how->depth; i++) {
		queue->slots[i].cmd.done = cmd_done;
		queue->slots[i].queue = queue;
	}
	return queue;
}

static int wait_connected(struct loop_queue *queue, unsigned int timeout_ms, struct host_error *err)
{
	uint64_t deadline = host_now() + timeout_ms * 1000000ull;
	struct host_cqe cqe;

	while (queue->state == LOOP_CONNECTING && host_now() < deadline)
		loop_poll(queue->queue.group, 1);
	if (queue->state == LOOP_LIVE)
		return 0;
	if (queue->state == LOOP_CONNECTING) {
		host_fail(err, "queue %u: no answer to Connect", queue->queue.qid);
	} else if (queue->status < 0) {
		host_fail(err, "queue %u: Connect: %s", queue->queue.qid, strerror(-queue->status));
	} else {
		host_cqe_fail(&cqe, (unsigned int)queue->status & 0x7ff);
		host_connect_words(&cqe, err);
	}
	return -1;
}

static int loop_connect(struct host_group *base, const struct host_connect *how, struct host_queue **out,
			struct host_error *err)
{
	struct loop_group *group = to_group(base);
	struct loop_queue *queue = new_queue(base, how);
	struct nvmft_loopback_opts opts = {
		.size = sizeof(opts),
		.port = group->loopback->port,
		.group = group->poll_group,
		.subnqn = how->subnqn,
		.hostnqn = how->hostnqn,
		.qid = how->qid,
		.sqsize = how->depth,
		.cntlid = how->cntlid == 0xffff ? 0 : how->cntlid,
		.cattr = how->no_sqflow ? 1u << 2 : 0,
		.kato_ms = how->kato_ms,
		.connected = connected,
		.disconnected = disconnected,
		.ctx = queue,
	};
	int rc;

	if (!queue) {
		host_fail(err, "out of memory");
		return -1;
	}
	memcpy(opts.hostid, how->hostid, sizeof(opts.hostid));
	/* A group sees what was configured when it is polled. */
	loop_poll(base, 0);
	rc = nvmft_loopback_connect(&opts, &queue->lq);
	if (rc) {
		host_fail(err, "queue %u: Connect: %s", how->qid, strerror(-rc));
		queue->state = LOOP_FAILED;
	}
	if (rc || wait_connected(queue, how->timeout_ms, err) < 0) {
		loop_disconnect(&queue->queue);
		return -1;
	}
	*out = &queue->queue;
	return 0;
}

static void loop_stop(struct host_group *base)
{
	loopback_stop(to_group(base)->loopback, to_group(base)->poll_group);
}

static void loop_destroy(struct host_group *base)
{
	free(base);
}

static const struct host_ops loop_ops = {
	.connect = loop_connect,
	.submit = loop_submit,
	.poll = loop_poll,
	.disconnect = loop_disconnect,
	.abandon = loop_abandon,
	.stop = loop_stop,
	.destroy = loop_destroy,
};

struct host_group *loopback_group(struct loopback *loopback, unsigned int index, struct host_error *err)
{
	struct loop_group *group = calloc(1, sizeof(*group));

	if (!group) {
		host_fail(err, "out of memory");
		return NULL;
	}
	group->group.ops = &loop_ops;
	group->loopback = loopback;
	group->poll_group = loopback->groups[index];
	return &group->group;
}
