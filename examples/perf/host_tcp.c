/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nvme/types.h>

#include "host_tcp.h"

#define EVENTS 64

/* Most in-capsule data of an admin queue: fixed by the TCP transport specification. */
#define ADMIN_IN_CAPSULE 8192u

static struct tcp_conn *to_conn(struct host_queue *queue)
{
	return (struct tcp_conn *)(void *)((char *)queue - offsetof(struct tcp_conn, queue));
}

void tcp_complete(struct tcp_conn *conn, struct tcp_slot *slot, const struct host_cqe *cqe)
{
	struct host_cmd *cmd = slot->cmd;

	cmd->cqe = *cqe;
	if (slot->digest_bad)
		host_cqe_fail(&cmd->cqe, HOST_SC_TRANSPORT);
	slot->cmd = NULL;
	conn->group->completions++;
	cmd->done(cmd);
}

static void fail_all(struct tcp_conn *conn)
{
	struct host_cqe cqe;
	uint16_t i;

	host_cqe_fail(&cqe, HOST_SC_LOST);
	conn->tx_head = NULL;
	for (i = 0; i < conn->queue.depth; i++)
		if (conn->slots[i].cmd)
			tcp_complete(conn, &conn->slots[i], &cqe);
}

static void shut(struct tcp_conn *conn)
{
	conn->queue.dead = true;
	if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
	fail_all(conn);
}

void tcp_die(struct tcp_conn *conn, uint16_t fes, const char *format, ...)
{
	struct pdu_term term;
	va_list args;

	if (conn->queue.dead)
		return;
	va_start(args, format);
	vsnprintf(conn->queue.why.text, sizeof(conn->queue.why.text), format, args);
	va_end(args);
	if (fes && !(conn->tx_head && conn->tx_head->sent)) {
		pdu_build_term(&term, fes);
		(void)!send(conn->fd, &term, sizeof(term), MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	shut(conn);
}

static void tcp_submit(struct host_queue *queue, struct host_cmd *cmd)
{
	struct tcp_conn *conn = to_conn(queue);
	struct tcp_slot *slot = &conn->slots[le16toh(cmd->sqe.cid)];

	if (queue->dead) {
		host_cqe_fail(&cmd->cqe, HOST_SC_LOST);
		cmd->done(cmd);
		return;
	}
	slot->cmd = cmd;
	slot->received = 0;
	slot->granted = 0;
	slot->r2t_left = 0;
	slot->completed = false;
	slot->digest_bad = false;
	tcp_send_cmd(conn, slot);
}

static void watch(struct tcp_conn *conn)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = conn};
	bool out = conn->tx_head;

	if (out == conn->want_out || conn->queue.dead)
		return;
	conn->want_out = out;
	ev.events |= out ? (uint32_t)EPOLLOUT : 0;
	(void)epoll_ctl(conn->group->epoll, EPOLL_CTL_MOD, conn->fd, &ev);
}

static void flush_dirty(struct tcp_group *group)
{
	struct tcp_conn *conn = group->dirty, *next;

	group->dirty = NULL;
	for (; conn; conn = next) {
		next = conn->next_dirty;
		tcp_flush(conn);
		conn->dirty = conn->tx_head && !conn->queue.dead;
		if (conn->dirty) {
			conn->next_dirty = group->dirty;
			group->dirty = conn;
		}
		watch(conn);
	}
}

static int tcp_poll(struct host_group *base, int timeout_ms)
{
	struct tcp_group *group = (struct tcp_group *)(void *)base;
	struct epoll_event events[EVENTS];
	int i, n;

	group->completions = 0;
	flush_dirty(group);
	if (group->count == 1 && timeout_ms == 0) {
		/* A spinning thread with one connection asks the socket itself: one system call less. */
		if (!group->conns->queue.dead)
			(void)tcp_receive(group->conns);
	} else {
		n = epoll_wait(group->epoll, events, EVENTS, timeout_ms);
		for (i = 0; i < n; i++) {
			struct tcp_conn *conn = events[i].data.ptr;

			if (!conn->queue.dead && (events[i].events & ~(uint32_t)EPOLLOUT))
				(void)tcp_receive(conn);
		}
	}
	flush_dirty(group);
	return group->completions;
}

static void tcp_abandon(struct host_queue *queue)
{
	if (!queue->dead)
		shut(to_conn(queue));
}

static void tcp_disconnect(struct host_queue *queue)
{
	struct tcp_conn *conn = to_conn(queue), **link;

	tcp_abandon(queue);
	for (link = &conn->group->conns; *link != conn; link = &(*link)->next)
		;
	*link = conn->next;
	for (link = &conn->group->dirty; *link; link = &(*link)->next_dirty) {
		if (*link == conn) {
			*link = conn->next_dirty;
			break;
		}
	}
	conn->group->count--;
	free(conn->slots);
	free(conn->rx);
	free(conn);
}

static struct tcp_conn *new_conn(struct tcp_group *group, const struct host_connect *how, struct host_error *err)
{
	struct tcp_conn *conn = calloc(1, sizeof(*conn));

	if (conn) {
		conn->slots = calloc(how->depth, sizeof(*conn->slots));
		conn->rx = malloc(TCP_RX_SIZE);
	}
	if (!conn || !conn->slots || !conn->rx) {
		host_fail(err, "out of memory");
		goto fail;
	}
	conn->fd = tcp_open(how, &conn->params, err);
	if (conn->fd < 0)
		goto fail;
	conn->group = group;
	conn->queue = (struct host_queue){
		.group = &group->group, .qid = how->qid, .depth = how->depth, .no_sqflow = how->no_sqflow};
	/* The Connect command itself always carries its data. */
	conn->in_capsule = ADMIN_IN_CAPSULE;
	return conn;
fail:
	if (conn) {
		free(conn->slots);
		free(conn->rx);
	}
	free(conn);
	return NULL;
}

static int send_connect(struct tcp_conn *conn, const struct host_connect *how, struct host_error *err)
{
	struct nvmf_connect_data data = {.cntlid = htole16(how->cntlid)};
	struct host_cmd cmd = {.data = &data, .data_len = sizeof(data), .dir = HOST_TO_CTRL};
	unsigned int status;

	memcpy(data.hostid, how->hostid, sizeof(data.hostid));
	snprintf(data.subsysnqn, sizeof(data.subsysnqn), "%s", how->subnqn);
	snprintf(data.hostnqn, sizeof(data.hostnqn), "%s", how->hostnqn);
	cmd.sqe.opcode = 0x7f;
	cmd.sqe.nsid = htole32(0x01);
	cmd.sqe.cdw[0] = htole32((uint32_t)how->qid << 16);
	cmd.sqe.cdw[1] = htole32(how->depth | (how->no_sqflow ? 1u << 18 : 0));
	cmd.sqe.cdw[2] = htole32(how->kato_ms);
	status = host_exec(&conn->queue, &cmd, how->timeout_ms);
	if (conn->queue.dead) {
		host_fail(err, "queue %u: Connect: %s", how->qid, conn->queue.why.text);
		return -1;
	}
	if (status) {
		host_connect_words(&cmd.cqe, err);
		return -1;
	}
	conn->queue.cntlid = (uint16_t)(le32toh(cmd.cqe.dw0) & 0xffff);
	return 0;
}

static int tcp_connect(struct host_group *base, const struct host_connect *how, struct host_queue **queue,
		       struct host_error *err)
{
	struct tcp_group *group = (struct tcp_group *)(void *)base;
	struct tcp_conn *conn = new_conn(group, how, err);
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = conn};

	if (!conn)
		return -1;
	conn->next = group->conns;
	group->conns = conn;
	group->count++;
	if (epoll_ctl(group->epoll, EPOLL_CTL_ADD, conn->fd, &ev) < 0) {
		host_fail(err, "epoll_ctl: %s", strerror(errno));
		goto fail;
	}
	if (send_connect(conn, how, err) < 0)
		goto fail;
	if (how->qid)
		conn->in_capsule = how->in_capsule;
	*queue = &conn->queue;
	return 0;
fail:
	tcp_disconnect(&conn->queue);
	return -1;
}

static void tcp_stop(struct host_group *base)
{
	(void)base;
}

static void tcp_destroy(struct host_group *base)
{
	struct tcp_group *group = (struct tcp_group *)(void *)base;

	close(group->epoll);
	free(group);
}

static const struct host_ops tcp_ops = {
	.connect = tcp_connect,
	.submit = tcp_submit,
	.poll = tcp_poll,
	.disconnect = tcp_disconnect,
	.abandon = tcp_abandon,
	.stop = tcp_stop,
	.destroy = tcp_destroy,
};

struct host_group *host_tcp_group(struct host_error *err)
{
	struct tcp_group *group = calloc(1, sizeof(*group));

	if (!group) {
		host_fail(err, "out of memory");
		return NULL;
	}
	group->group.ops = &tcp_ops;
	group->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (group->epoll < 0) {
		host_fail(err, "epoll_create1: %s", strerror(errno));
		free(group);
		return NULL;
	}
	return &group->group;
}

int host_tcp_fd(struct host_queue *queue, struct pdu_params *params)
{
	*params = to_conn(queue)->params;
	return to_conn(queue)->fd;
}
