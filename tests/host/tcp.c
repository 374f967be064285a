/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host's side of NVMe/TCP, on the thread of the test and without sleeping: connections, and what is sent. Written
 * apart from the transport, so that each checks the other.
 */
#include "priv.h"

#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include <nvmft/provider/transport.h>

#define SGL_IN_CAPSULE 0x01
#define SGL_TRANSPORT 0x5a
#define ADMIN_IN_CAPSULE 8192u
#define CATTR_NO_FLOW 0x04
/* PDO is a multiple of 32 towards the controller and of 64 towards the host. */
#define DIGESTS_CPDA 7
#define DIGESTS_HPDA 15
/* Until ICResp says something else. */
#define MAXH2CDATA_MIN 4096u

uint32_t th_crc32c(const void *data, size_t len)
{
	static uint32_t table[256];
	const uint8_t *p = data;
	uint32_t crc = 0xffffffff;

	for (uint32_t i = 0; !table[255] && i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c >> 1 ^ (c & 1 ? 0x82f63b78 : 0);
		table[i] = c;
	}
	while (len-- > 0)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
	return ~crc;
}

bool th_tcp_is(struct nvmft_port *port)
{
	return strcmp(nvmft_port_transport(port)->ops->name, "tcp") == 0;
}

void th_tcp_port_opts(struct th *t, struct nvmft_port_opts *po, struct nvmft_tcp_opts *tcp)
{
	*tcp = (struct nvmft_tcp_opts){.size = sizeof(*tcp)};
	if (t->transport == TH_TCP_DIGESTS)
		tcp->hpda_cpda = DIGESTS_CPDA;
	if (t->transport == TH_TCP_R2T) {
		tcp->maxh2cdata = 8192;
		po->no_in_capsule = true;
	}
	if (t->transport == TH_TCP_PIECES)
		tcp->sndbuf = 8192;
	po->transport = nvmft_transport_tcp();
	po->transport_opts = tcp;
	po->traddr = "none";
	t->in_capsule = po->no_in_capsule ? 0 : po->in_capsule_size ? po->in_capsule_size : 8192;
}

/* ---- sending ---- */

static uint32_t round_up(uint32_t n, uint32_t to)
{
	return (n + to - 1) / to * to;
}

/* The bytes of the header behind the common part are there already. */
static void queue_pdu(struct th_cmd *cmd, uint8_t type, uint8_t hlen, uint8_t flags, const void *data, uint32_t len)
{
	struct th_tcp *tcp = &cmd->queue->tcp;
	struct th_tcp_cmd *tc = &cmd->tcp;
	uint32_t end = hlen + (tcp->hdgst ? 4u : 0u);

	if (len > 0)
		end = round_up(end, (tcp->cpda + 1u) * 4u);
	tc->header_len = end;
	tc->data = data;
	tc->data_len = len;
	tc->digest_len = len > 0 && tcp->ddgst ? 4 : 0;
	tc->sent = 0;
	memset(tc->header + hlen, 0, sizeof(tc->header) - hlen);
	tc->header[0] = type;
	tc->header[1] = (uint8_t)(flags | (tcp->hdgst ? PDU_F_HDGST : 0) | (tc->digest_len ? PDU_F_DDGST : 0));
	tc->header[2] = hlen;
	tc->header[3] = (uint8_t)(len > 0 ? end : 0);
	put32(tc->header + 4, end + len + tc->digest_len);
	if (tcp->hdgst)
		put32(tc->header + hlen, th_crc32c(tc->header, hlen));
	if (tc->digest_len)
		put32(tc->digest, th_crc32c(data, len));
	tc->is_sending = true;
	TAILQ_INSERT_TAIL(&tcp->sending, cmd, tcp.sending);
}

void th_tcp_send_data(struct th_cmd *cmd)
{
	struct th_tcp *tcp = &cmd->queue->tcp;
	struct th_tcp_cmd *tc = &cmd->tcp;
	uint32_t len = tc->r2t_left < tcp->maxh2cdata ? tc->r2t_left : tcp->maxh2cdata;
	uint32_t at = tc->r2t_at;

	memset(tc->header, 0, 24);
	memcpy(tc->header + 8, cmd->lc.sqe.bytes + 2, 2);
	put16(tc->header + 10, tc->ttag);
	put32(tc->header + 12, at);
	put32(tc->header + 16, len);
	tc->r2t_at += len;
	tc->r2t_left -= len;
	queue_pdu(cmd, PDU_H2C_DATA, 24, tc->r2t_left == 0 ? PDU_F_LAST : 0, (uint8_t *)cmd->lc.data + at, len);
}

static void pdu_sent(struct th_cmd *cmd)
{
	TAILQ_REMOVE(&cmd->queue->tcp.sending, cmd, tcp.sending);
	cmd->tcp.is_sending = false;
	if (cmd->tcp.r2t_left > 0)
		th_tcp_send_data(cmd);
	else if (cmd->tcp.completed)
		th_cmd_finish(cmd);
}

static void sent(struct th_cmd *cmd, uint32_t len)
{
	cmd->tcp.sent += len;
	if (cmd->tcp.sent == cmd->tcp.header_len + cmd->tcp.data_len + cmd->tcp.digest_len)
		pdu_sent(cmd);
}

/* What is left of the PDU. Returns the number of pieces. */
static size_t pieces(const struct th_tcp_cmd *tc, struct iovec iov[3])
{
	const struct {
		const void *base;
		uint32_t len;
	} parts[] = {{tc->header, tc->header_len}, {tc->data, tc->data_len}, {tc->digest, tc->digest_len}};
	uint32_t skip = tc->sent;
	size_t n = 0;

	for (size_t i = 0; i < 3; i++) {
		uint32_t off = skip < parts[i].len ? skip : parts[i].len;

		skip -= off;
		if (off < parts[i].len)
			iov[n++] = (struct iovec){(uint8_t *)(uintptr_t)parts[i].base + off, parts[i].len - off};
	}
	return n;
}

/* Sizes from single bytes to more than the controller receives at once. */
static void cut(struct th_queue *queue, struct iovec *iov)
{
	size_t most = (size_t)1 << th_random(&queue->tcp.pieces) % 17;
	size_t len = 1 + th_random(&queue->tcp.pieces) % most;

	iov->iov_len = len < iov->iov_len ? len : iov->iov_len;
}

static int send_piece(struct th_queue *queue)
{
	struct th_cmd *cmd = TAILQ_FIRST(&queue->tcp.sending);
	struct iovec iov[3];
	ssize_t n;

	if (!cmd)
		return 0;
	pieces(&cmd->tcp, iov);
	cut(queue, &iov[0]);
	n = send(queue->tcp.fd, iov[0].iov_base, iov[0].iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		sent(cmd, (uint32_t)n);
	return n > 0;
}

static int send_some(struct th_queue *queue)
{
	struct th_cmd *cmd;
	int events = 0;

	if (queue->t->transport == TH_TCP_PIECES)
		return send_piece(queue);
	while ((cmd = TAILQ_FIRST(&queue->tcp.sending))) {
		struct iovec iov[3];
		struct msghdr msg = {.msg_iov = iov, .msg_iovlen = pieces(&cmd->tcp, iov)};
		ssize_t n = sendmsg(queue->tcp.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

		/* Of a connection that has ended the receiving side learns, after the responses that are still there.
		 */
		if (n < 0)
			break;
		events++;
		sent(cmd, (uint32_t)n);
	}
	return events;
}

void th_tcp_submit(struct th_cmd *cmd)
{
	struct th_tcp *tcp = &cmd->queue->tcp;
	uint8_t *sqe = cmd->tcp.header + 8;
	uint32_t len = (uint32_t)cmd->lc.data_len;
	bool in_capsule = th_has_data_out(&cmd->lc) && len <= tcp->in_capsule;

	memcpy(sqe, cmd->lc.sqe.bytes, 64);
	sqe[1] = (uint8_t)((sqe[1] & 0x3f) | 0x40);
	memset(sqe + 24, 0, 16);
	put32(sqe + 32, len);
	sqe[39] = in_capsule ? SGL_IN_CAPSULE : SGL_TRANSPORT;
	TAILQ_INSERT_TAIL(&tcp->outstanding, cmd, tcp.outstanding);
	queue_pdu(cmd, PDU_CMD, 72, 0, cmd->lc.data, in_capsule ? len : 0);
	send_some(cmd->queue);
}

/* ---- connections ---- */

void th_tcp_die(struct th_queue *queue)
{
	struct th_tcp *tcp = &queue->tcp;
	struct th_cmd *cmd;

	if (tcp->fd < 0)
		return;
	close(tcp->fd);
	tcp->fd = -1;
	TAILQ_REMOVE(&queue->t->tcp_queues, queue, tcp.link);
	while ((cmd = TAILQ_FIRST(&tcp->sending))) {
		TAILQ_REMOVE(&tcp->sending, cmd, tcp.sending);
		if (cmd->tcp.completed)
			th_cmd_finish(cmd);
	}
	while ((cmd = TAILQ_FIRST(&tcp->outstanding))) {
		TAILQ_REMOVE(&tcp->outstanding, cmd, tcp.outstanding);
		cmd->cqe = (struct nvmft_cqe){.status = htole16(TH_SC_SQ_DELETED << 1)};
		th_cmd_finish(cmd);
	}
	atomic_store(&queue->disconnected, true);
}

int th_tcp_poll(struct th *t)
{
	struct th_queue *queue = TAILQ_FIRST(&t->tcp_queues);
	int events = 0;

	while (queue) {
		struct th_queue *next = TAILQ_NEXT(queue, tcp.link);

		events += send_some(queue);
		events += th_tcp_receive(queue);
		queue = next;
	}
	return events;
}

static bool greeted(void *arg)
{
	const struct th_tcp *tcp = arg;

	return tcp->ready || tcp->fd < 0;
}

/* The socket, with ICReq and ICResp. */
static int open_connection(struct th_queue *queue, struct nvmft_port *port)
{
	struct th_tcp *tcp = &queue->tcp;
	uint8_t icreq[128] = {PDU_ICREQ, 0, 128, 0, 128};
	int fds[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		return -errno;
	err = nvmft_tcp_serve(port, queue->group, fds[1]);
	if (err) {
		close(fds[0]);
		close(fds[1]);
		return err;
	}
	tcp->fd = fds[0];
	TAILQ_INSERT_TAIL(&queue->t->tcp_queues, queue, tcp.link);
	if (queue->t->transport == TH_TCP_DIGESTS) {
		tcp->hpda = DIGESTS_HPDA;
		icreq[10] = DIGESTS_HPDA;
		icreq[11] = 3;
	}
	if (send(tcp->fd, icreq, sizeof(icreq), MSG_NOSIGNAL) != sizeof(icreq))
		return -ECONNREFUSED;
	if (!th_wait(queue->t, greeted, tcp, 10000))
		fail_msg("no answer to ICReq; log:\n%s", queue->t->log);
	return tcp->fd < 0 ? -ECONNREFUSED : 0;
}

static int connect_queue(struct th_queue *queue, const struct nvmft_loopback_opts *opts)
{
	uint8_t cattr = queue->t->transport == TH_TCP_NOFLOW ? CATTR_NO_FLOW : 0;

	queue->tcp.no_flow = (opts->cattr | cattr) & CATTR_NO_FLOW;
	return th_exec_connect(queue, opts, cattr);
}

int th_tcp_connect(struct th_queue *queue, const struct nvmft_loopback_opts *opts)
{
	struct th_tcp *tcp = &queue->tcp;

	tcp->fd = -1;
	tcp->maxh2cdata = MAXH2CDATA_MIN;
	tcp->in_capsule = ADMIN_IN_CAPSULE;
	TAILQ_INIT(&tcp->sending);
	TAILQ_INIT(&tcp->outstanding);
	th_tcp_receive_next(tcp);
	queue->status = strlen(opts->subnqn) < 256 && (!opts->hostnqn || strlen(opts->hostnqn) < 256) ? 0 : -EINVAL;
	if (!queue->status)
		queue->status = open_connection(queue, opts->port);
	if (!queue->status)
		queue->status = connect_queue(queue, opts);
	if (queue->status) {
		th_tcp_die(queue);
		atomic_store(&queue->disconnected, true);
		return queue->status;
	}
	if (queue->qid)
		tcp->in_capsule = queue->t->in_capsule;
	atomic_store(&queue->connected, true);
	return 0;
}

void th_tcp_disconnect(struct th_queue *queue)
{
	if (queue->tcp.fd >= 0)
		shutdown(queue->tcp.fd, SHUT_WR);
	queue->tcp.deaf = false;
}
