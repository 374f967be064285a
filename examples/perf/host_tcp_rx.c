/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "host_tcp.h"

static struct tcp_slot *find_slot(struct tcp_conn *conn, uint16_t le_cid)
{
	uint16_t cid = le16toh(le_cid);

	if (cid >= conn->queue.depth || !conn->slots[cid].cmd || conn->slots[cid].completed)
		return NULL;
	return &conn->slots[cid];
}

static void finish(struct tcp_conn *conn, struct tcp_slot *slot, const struct host_cqe *cqe)
{
	struct host_cmd *cmd = slot->cmd;

	if (host_status(cqe) == 0 && cmd->dir == HOST_FROM_CTRL && slot->received != cmd->data_len) {
		tcp_die(conn, PDU_FES_SEQUENCE, "a command succeeded with %u of %u bytes of data", slot->received,
			cmd->data_len);
		return;
	}
	if (host_status(cqe) == 0 && cmd->dir == HOST_TO_CTRL && cmd->data_len > conn->in_capsule &&
	    slot->granted != cmd->data_len) {
		tcp_die(conn, PDU_FES_SEQUENCE, "a command succeeded with R2T for %u of %u bytes of data",
			slot->granted, cmd->data_len);
		return;
	}
	if (slot->sending) {
		slot->cqe = *cqe;
		slot->completed = true;
		return;
	}
	tcp_complete(conn, slot, cqe);
}

static void handle_resp(struct tcp_conn *conn, const struct pdu_resp *pdu)
{
	struct tcp_slot *slot = find_slot(conn, pdu->cqe.cid);

	if (!slot) {
		tcp_die(conn, PDU_FES_SEQUENCE, "CapsuleResp for CID %u, which is not in flight",
			le16toh(pdu->cqe.cid));
		return;
	}
	if (pdu->cqe.sqid || (le16toh(pdu->cqe.status) & 1)) {
		tcp_die(conn, PDU_FES_FIELD, "a completion with reserved bytes set (SQID %04x, status %04x)",
			le16toh(pdu->cqe.sqid), le16toh(pdu->cqe.status));
		return;
	}
	if (!conn->queue.no_sqflow && le16toh(pdu->cqe.sqhd) > conn->queue.depth) {
		tcp_die(conn, PDU_FES_FIELD, "a completion with SQHD %u of a queue of %u entries",
			le16toh(pdu->cqe.sqhd), conn->queue.depth + 1u);
		return;
	}
	finish(conn, slot, &pdu->cqe);
}

static void handle_r2t(struct tcp_conn *conn, const struct pdu_data *pdu)
{
	struct tcp_slot *slot = find_slot(conn, pdu->cccid);
	uint64_t end = (uint64_t)le32toh(pdu->offset) + le32toh(pdu->len);

	if (!slot || slot->cmd->dir != HOST_TO_CTRL || slot->cmd->data_len <= conn->in_capsule) {
		tcp_die(conn, PDU_FES_SEQUENCE, "R2T for CID %u, which has no data to send", le16toh(pdu->cccid));
		return;
	}
	if (slot->sending || slot->r2t_left) {
		tcp_die(conn, PDU_FES_LIMIT, "a second R2T for CID %u, one at a time was agreed on",
			le16toh(pdu->cccid));
		return;
	}
	if (le32toh(pdu->offset) != slot->granted || end > slot->cmd->data_len || !pdu->len) {
		tcp_die(conn, PDU_FES_RANGE, "R2T for bytes %u to %llu of %u, %u were asked for before",
			le32toh(pdu->offset), (unsigned long long)end, slot->cmd->data_len, slot->granted);
		return;
	}
	slot->granted = (uint32_t)end;
	slot->r2t_offset = le32toh(pdu->offset);
	slot->r2t_left = le32toh(pdu->len);
	slot->r2t_tag = pdu->ttag;
	tcp_send_data(conn, slot);
}

static void handle_data(struct tcp_conn *conn, const struct pdu_data *pdu)
{
	struct tcp_slot *slot = find_slot(conn, pdu->cccid);
	uint32_t offset = le32toh(pdu->offset), len = le32toh(pdu->len);
	uint64_t plen = (uint64_t)pdu->ch.pdo + len + (conn->params.ddgst ? 4 : 0);

	if (!slot || slot->cmd->dir != HOST_FROM_CTRL) {
		tcp_die(conn, PDU_FES_SEQUENCE, "C2HData for CID %u, which takes no data", le16toh(pdu->cccid));
		return;
	}
	if (offset != slot->received || (uint64_t)offset + len > slot->cmd->data_len || plen != le32toh(pdu->ch.plen)) {
		tcp_die(conn, PDU_FES_RANGE, "C2HData of %u bytes at %u (PLEN %u), %u of %u were received before", len,
			offset, le32toh(pdu->ch.plen), slot->received, slot->cmd->data_len);
		return;
	}
	if ((pdu->ch.flags & PDU_F_SUCCESS) && !conn->queue.no_sqflow) {
		tcp_die(conn, PDU_FES_FIELD, "C2HData with SUCCESS on a queue with SQ flow control");
		return;
	}
	if (!!(pdu->ch.flags & PDU_F_LAST) != (offset + len == slot->cmd->data_len)) {
		tcp_die(conn, PDU_FES_FIELD, "C2HData with a wrong LAST flag");
		return;
	}
	conn->rx_slot = slot;
	conn->rx_dest = (uint8_t *)slot->cmd->data + offset;
	conn->rx_offset = offset;
	conn->rx_len = len;
	conn->rx_left = len;
	conn->rx_flags = pdu->ch.flags;
	conn->rx_state = TCP_RX_DATA;
}

static void data_done(struct tcp_conn *conn, const uint8_t *digest)
{
	struct tcp_slot *slot = conn->rx_slot;
	struct host_cqe cqe = {.cid = slot->cmd->sqe.cid};
	uint32_t crc;

	if (digest) {
		memcpy(&crc, digest, sizeof(crc));
		if (le32toh(crc) != pdu_crc32c((uint8_t *)slot->cmd->data + conn->rx_offset, conn->rx_len))
			slot->digest_bad = true;
	}
	slot->received += conn->rx_len;
	conn->rx_state = TCP_RX_COMMON;
	if (conn->rx_flags & PDU_F_SUCCESS)
		finish(conn, slot, &cqe);
}

static void handle_term(struct tcp_conn *conn, const struct pdu_term *pdu)
{
	uint16_t fes = le16toh(pdu->fes);

	tcp_die(conn, 0, "the target ended the connection: %s (FES %u, FEI %u)", pdu_fes_words(fes), fes,
		le16toh(pdu->fei_lo) | (uint32_t)le16toh(pdu->fei_hi) << 16);
}

/* A header is complete at @p. */
static void handle_header(struct tcp_conn *conn, const uint8_t *p)
{
	const struct pdu_common *ch = (const void *)p;

	conn->rx_state = TCP_RX_COMMON;
	if (ch->type == PDU_C2H_TERM) {
		handle_term(conn, (const void *)p);
		return;
	}
	if (conn->params.hdgst && !pdu_hdgst_ok(p)) {
		tcp_die(conn, PDU_FES_HDGST, "header digest error in a PDU of type %02x", ch->type);
		return;
	}
	switch (ch->type) {
	case PDU_RESP:
		handle_resp(conn, (const void *)p);
		break;
	case PDU_R2T:
		handle_r2t(conn, (const void *)p);
		break;
	default:
		handle_data(conn, (const void *)p);
		break;
	}
}

static bool step_common(struct tcp_conn *conn, const uint8_t *p)
{
	uint16_t fes;
	const char *wrong = pdu_check_header((const void *)p, &conn->params, &conn->rx_need, &fes);

	if (wrong) {
		tcp_die(conn, fes, "protocol error of the target: %s (type %02x)", wrong, p[0]);
		return false;
	}
	conn->rx_state = TCP_RX_HEADER;
	return true;
}

static void step_data(struct tcp_conn *conn, const uint8_t *p, uint32_t have)
{
	uint32_t n = have < conn->rx_left ? have : conn->rx_left;

	memcpy(conn->rx_dest, p, n);
	conn->rx_dest += n;
	conn->rx_left -= n;
	conn->rx_head += n;
}

/* One step of parsing. Return: false when more bytes are needed. */
static bool step(struct tcp_conn *conn)
{
	const uint8_t *p = conn->rx + conn->rx_head;
	uint32_t have = conn->rx_tail - conn->rx_head;

	switch (conn->rx_state) {
	case TCP_RX_COMMON:
		return have >= sizeof(struct pdu_common) && step_common(conn, p);
	case TCP_RX_HEADER:
		if (have < conn->rx_need)
			return false;
		conn->rx_head += conn->rx_need;
		handle_header(conn, p);
		return true;
	case TCP_RX_DATA:
		step_data(conn, p, have);
		if (conn->rx_left)
			return false;
		if (conn->params.ddgst)
			conn->rx_state = TCP_RX_DIGEST;
		else
			data_done(conn, NULL);
		return true;
	case TCP_RX_DIGEST:
		if (have < 4)
			return false;
		conn->rx_head += 4;
		data_done(conn, p);
		return true;
	}
	return false;
}

static ssize_t receive(struct tcp_conn *conn)
{
	struct iovec iov[2];
	ssize_t n;

	if (conn->rx_head != conn->rx_tail)
		memmove(conn->rx, conn->rx + conn->rx_head, conn->rx_tail - conn->rx_head);
	conn->rx_tail -= conn->rx_head;
	conn->rx_head = 0;
	if (conn->rx_state != TCP_RX_DATA || conn->rx_left < TCP_DIRECT_MIN) {
		n = recv(conn->fd, conn->rx + conn->rx_tail, TCP_RX_SIZE - conn->rx_tail, 0);
		conn->rx_tail += n > 0 ? (uint32_t)n : 0;
		return n;
	}
	iov[0] = (struct iovec){conn->rx_dest, conn->rx_left};
	iov[1] = (struct iovec){conn->rx, TCP_RX_SIZE};
	n = readv(conn->fd, iov, 2);
	if (n > 0 && (size_t)n <= conn->rx_left) {
		conn->rx_dest += n;
		conn->rx_left -= (uint32_t)n;
	} else if (n > 0) {
		conn->rx_tail = (uint32_t)n - conn->rx_left;
		conn->rx_left = 0;
	}
	return n;
}

bool tcp_receive(struct tcp_conn *conn)
{
	ssize_t n = receive(conn);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		tcp_die(conn, 0, n ? "connection lost: %s" : "%s",
			n ? strerror(errno) : "the target closed the connection");
		return true;
	}
	conn->group->group.now = host_now();
	while (!conn->queue.dead && step(conn))
		;
	return true;
}
