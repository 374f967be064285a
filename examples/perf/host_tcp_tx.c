/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "host_tcp.h"

#define TX_IOVS 512u

static void enqueue(struct tcp_conn *conn, struct tcp_slot *slot)
{
	slot->sent = 0;
	slot->next = NULL;
	slot->sending = true;
	if (conn->tx_head)
		conn->tx_tail->next = slot;
	else
		conn->tx_head = slot;
	conn->tx_tail = slot;
	if (!conn->dirty) {
		conn->dirty = true;
		conn->next_dirty = conn->group->dirty;
		conn->group->dirty = conn;
	}
}

static void attach_data(struct tcp_conn *conn, struct tcp_slot *slot, const void *data, uint32_t len)
{
	slot->data = data;
	slot->data_len = len;
	slot->digest_len = len && conn->params.ddgst ? 4 : 0;
	if (slot->digest_len)
		slot->digest = htole32(pdu_crc32c(data, len));
}

void tcp_send_cmd(struct tcp_conn *conn, struct tcp_slot *slot)
{
	struct host_cmd *cmd = slot->cmd;
	struct pdu_cmd *pdu = (struct pdu_cmd *)(void *)slot->header;
	bool in_capsule = cmd->dir == HOST_TO_CTRL && cmd->data_len <= conn->in_capsule;
	uint32_t len = in_capsule ? cmd->data_len : 0;

	cmd->sqe.flags = (uint8_t)((cmd->sqe.flags & 0x3f) | HOST_PSDT_SGL);
	memset(&cmd->sqe.sgl, 0, sizeof(cmd->sqe.sgl));
	if (cmd->data_len) {
		cmd->sqe.sgl.type = in_capsule ? HOST_SGL_IN_CAPSULE : HOST_SGL_TRANSPORT;
		cmd->sqe.sgl.len = htole32(cmd->data_len);
	}
	pdu->sqe = cmd->sqe;
	slot->header_len = pdu_finish_header(pdu, PDU_CMD, sizeof(*pdu), 0, len, &conn->params);
	attach_data(conn, slot, cmd->data, len);
	enqueue(conn, slot);
}

/* The next H2CData of what an R2T asked for. */
void tcp_send_data(struct tcp_conn *conn, struct tcp_slot *slot)
{
	uint32_t len = slot->r2t_left < conn->params.maxh2cdata ? slot->r2t_left : conn->params.maxh2cdata;
	struct pdu_data *pdu = (struct pdu_data *)(void *)slot->header;
	bool last = len == slot->r2t_left;

	memset(pdu, 0, sizeof(*pdu));
	pdu->cccid = slot->cmd->sqe.cid;
	pdu->ttag = slot->r2t_tag;
	pdu->offset = htole32(slot->r2t_offset);
	pdu->len = htole32(len);
	slot->header_len =
		pdu_finish_header(pdu, PDU_H2C_DATA, sizeof(*pdu), last ? PDU_F_LAST : 0, len, &conn->params);
	attach_data(conn, slot, (uint8_t *)slot->cmd->data + slot->r2t_offset, len);
	slot->r2t_offset += len;
	slot->r2t_left -= len;
	enqueue(conn, slot);
}

/* A PDU has left: the next piece of an R2T, or the completion that overtook it. */
static void pdu_sent(struct tcp_conn *conn, struct tcp_slot *slot)
{
	slot->sending = false;
	if (slot->completed)
		tcp_complete(conn, slot, &slot->cqe);
	else if (slot->r2t_left)
		tcp_send_data(conn, slot);
}

static void add_piece(struct iovec *iov, unsigned int *n, const void *base, uint32_t len, uint32_t *skip)
{
	if (*skip >= len) {
		*skip -= len;
		return;
	}
	iov[*n].iov_base = (uint8_t *)(uintptr_t)base + *skip;
	iov[*n].iov_len = len - *skip;
	*skip = 0;
	(*n)++;
}

static unsigned int gather(const struct tcp_conn *conn, struct iovec *iov)
{
	const struct tcp_slot *slot;
	unsigned int n = 0;
	uint32_t skip;

	for (slot = conn->tx_head; slot && n + 3 <= TX_IOVS; slot = slot->next) {
		skip = slot->sent;
		add_piece(iov, &n, slot->header, slot->header_len, &skip);
		add_piece(iov, &n, slot->data, slot->data_len, &skip);
		add_piece(iov, &n, &slot->digest, slot->digest_len, &skip);
	}
	return n;
}

static void consume(struct tcp_conn *conn, size_t bytes)
{
	while (bytes) {
		struct tcp_slot *slot = conn->tx_head;
		uint32_t left = slot->header_len + slot->data_len + slot->digest_len - slot->sent;

		if (bytes < left) {
			slot->sent += (uint32_t)bytes;
			return;
		}
		bytes -= left;
		conn->tx_head = slot->next;
		pdu_sent(conn, slot);
	}
}

void tcp_flush(struct tcp_conn *conn)
{
	struct iovec iov[TX_IOVS];
	struct msghdr msg = {.msg_iov = iov};
	ssize_t n;

	while (!conn->queue.dead && conn->tx_head) {
		msg.msg_iovlen = gather(conn, iov);
		n = sendmsg(conn->fd, &msg, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			tcp_die(conn, 0, "connection lost while sending: %s", strerror(errno));
			return;
		}
		consume(conn, (size_t)n);
	}
}
