/* SPDX-License-Identifier: BSD-3-Clause */
/* What the controller sends over NVMe/TCP, checked: a PDU that is not as it must be fails the test. */
#include "priv.h"

#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { RX_HEADER, RX_DATA, RX_DIGEST };

/* No PDU is shorter. */
#define HEADER_MIN 24u

void th_tcp_receive_next(struct th_tcp *tcp)
{
	tcp->state = RX_HEADER;
	tcp->header_len = HEADER_MIN;
	tcp->have = 0;
	tcp->cmd = NULL;
}

void th_deaf(struct th_queue *queue, bool deaf)
{
	assert_true(th_tcp_queue(queue));
	queue->tcp.deaf = deaf;
}

static struct th_cmd *find(struct th_tcp *tcp, const uint8_t *cid)
{
	struct th_cmd *cmd;

	TAILQ_FOREACH (cmd, &tcp->outstanding, tcp.outstanding)
		if (memcmp(cmd->lc.sqe.bytes + 2, cid, 2) == 0)
			return cmd;
	fail_msg("PDU type %u for command %u, which is not outstanding", tcp->header[0], get16(cid));
	return NULL;
}

/* A controller may answer before it has all of the data, which has to be sent to the end of the PDU none the less. */
static void complete(struct th_tcp *tcp, struct th_cmd *cmd, const struct nvmft_cqe *cqe)
{
	TAILQ_REMOVE(&tcp->outstanding, cmd, tcp.outstanding);
	cmd->cqe = *cqe;
	assert_int_equal(cmd->tcp.r2t_left, 0);
	if (cmd->tcp.is_sending)
		cmd->tcp.completed = true;
	else
		th_cmd_finish(cmd);
}

/* Bytes up to the data or the end, when the first of them are there. */
static uint32_t whole_header(const struct th_tcp *tcp)
{
	const uint8_t *h = tcp->header;
	uint32_t plen = get32(h + 4), digest = tcp->hdgst ? 4 : 0;

	switch (h[0]) {
	case PDU_ICRESP:
		assert_int_equal(plen, 128);
		assert_false(tcp->ready);
		return 128;
	case PDU_C2H_TERM:
		assert_in_range(plen, 24, sizeof(tcp->header));
		return plen;
	case PDU_RESP:
	case PDU_R2T:
		assert_int_equal(h[2], 24);
		assert_int_equal(h[3], 0);
		assert_int_equal(plen, 24 + digest);
		return plen;
	case PDU_C2H_DATA:
		assert_int_equal(h[2], 24);
		assert_in_range(h[3], 24 + digest, 128);
		assert_int_equal(h[3] % ((tcp->hpda + 1) * 4), 0);
		return h[3];
	default:
		fail_msg("PDU of type %u", h[0]);
		return 0;
	}
}

static void check_header_digest(const struct th_tcp *tcp)
{
	const uint8_t *h = tcp->header;

	if (h[0] == PDU_ICRESP || h[0] == PDU_C2H_TERM) {
		assert_int_equal(h[1], 0);
		return;
	}
	assert_true(tcp->ready);
	assert_int_equal(!!(h[1] & PDU_F_HDGST), tcp->hdgst);
	if (tcp->hdgst)
		assert_int_equal(get32(h + h[2]), th_crc32c(h, h[2]));
}

static void icresp(struct th_tcp *tcp)
{
	const uint8_t *h = tcp->header;

	assert_int_equal(get16(h + 8), 0);
	assert_in_range(h[10], 0, 31);
	assert_int_equal(h[11] & 3, tcp->hpda ? 3 : 0);
	tcp->cpda = h[10];
	tcp->hdgst = h[11] & 1;
	tcp->ddgst = h[11] & 2;
	tcp->maxh2cdata = get32(h + 12);
	assert_true(tcp->maxh2cdata >= 4096);
	tcp->ready = true;
}

static void resp(struct th_tcp *tcp)
{
	struct nvmft_cqe cqe;

	memcpy(&cqe, tcp->header + 8, sizeof(cqe));
	assert_int_equal(cqe.sqid, 0);
	assert_int_equal(le16toh(cqe.status) & 1, 0);
	complete(tcp, find(tcp, tcp->header + 20), &cqe);
}

static void r2t(struct th_tcp *tcp)
{
	struct th_cmd *cmd = find(tcp, tcp->header + 8);
	uint32_t at = get32(tcp->header + 12), len = get32(tcp->header + 16);

	/* MAXR2T in ICReq was 0, one at a time. */
	assert_false(cmd->tcp.is_sending);
	assert_true(len > 0 && (uint64_t)at + len <= cmd->lc.data_len);
	cmd->tcp.ttag = get16(tcp->header + 10);
	cmd->tcp.r2t_at = at;
	cmd->tcp.r2t_left = len;
	th_tcp_send_data(cmd);
}

static void c2h_data(struct th_tcp *tcp)
{
	const uint8_t *h = tcp->header;
	struct th_cmd *cmd = find(tcp, h + 8);
	uint32_t at = get32(h + 12), len = get32(h + 16);

	assert_int_equal(!!(h[1] & PDU_F_DDGST), tcp->ddgst);
	assert_int_equal(get32(h + 4), h[3] + (uint64_t)len + (tcp->ddgst ? 4 : 0));
	assert_int_equal(at, cmd->tcp.received);
	assert_true(len > 0 && (uint64_t)at + len <= cmd->lc.data_len);
	assert_false(cmd->tcp.last);
	/* SUCCESS stands for SQHD, too. */
	if (h[1] & PDU_F_SUCCESS)
		assert_true(tcp->no_flow && (h[1] & PDU_F_LAST));
	cmd->tcp.last = h[1] & PDU_F_LAST;
	tcp->state = RX_DATA;
	tcp->have = 0;
	tcp->cmd = cmd;
	tcp->at = at;
	tcp->data_len = len;
}

static void c2h_data_over(struct th_tcp *tcp)
{
	struct th_cmd *cmd = tcp->cmd;
	bool success = tcp->header[1] & PDU_F_SUCCESS;
	/* What a completion entry says on a queue without SQ flow control. */
	struct nvmft_cqe cqe = {.sqhd = 0xffff};

	cmd->tcp.received += tcp->data_len;
	memcpy(&cqe.cid, tcp->header + 8, 2);
	th_tcp_receive_next(tcp);
	if (success)
		complete(tcp, cmd, &cqe);
}

static void pdu(struct th_queue *queue)
{
	struct th_tcp *tcp = &queue->tcp;

	check_header_digest(tcp);
	switch (tcp->header[0]) {
	case PDU_C2H_DATA:
		c2h_data(tcp);
		return;
	case PDU_ICRESP:
		icresp(tcp);
		break;
	case PDU_RESP:
		resp(tcp);
		break;
	case PDU_R2T:
		r2t(tcp);
		break;
	default:
		fail_msg("C2HTermReq: FES %u, FEI %u; log:\n%s", get16(tcp->header + 8), get32(tcp->header + 10),
			 queue->t->log);
	}
	th_tcp_receive_next(tcp);
}

static void part_over(struct th_queue *queue)
{
	struct th_tcp *tcp = &queue->tcp;

	if (tcp->state == RX_HEADER) {
		if (tcp->have == HEADER_MIN)
			tcp->header_len = whole_header(tcp);
		if (tcp->have == tcp->header_len)
			pdu(queue);
	} else if (tcp->state == RX_DATA && tcp->ddgst) {
		tcp->state = RX_DIGEST;
		tcp->have = 0;
	} else {
		if (tcp->state == RX_DIGEST)
			assert_int_equal(get32(tcp->digest),
					 th_crc32c((uint8_t *)tcp->cmd->lc.data + tcp->at, tcp->data_len));
		c2h_data_over(tcp);
	}
}

/* Where the next bytes go. */
static uint8_t *room(struct th_tcp *tcp, uint32_t *len)
{
	uint8_t *p = tcp->header;

	*len = tcp->header_len;
	if (tcp->state == RX_DATA) {
		p = (uint8_t *)tcp->cmd->lc.data + tcp->at;
		*len = tcp->data_len;
	} else if (tcp->state == RX_DIGEST) {
		p = tcp->digest;
		*len = sizeof(tcp->digest);
	}
	*len -= tcp->have;
	return p + tcp->have;
}

int th_tcp_receive(struct th_queue *queue)
{
	struct th_tcp *tcp = &queue->tcp;
	int events = 0;

	while (tcp->fd >= 0 && !tcp->deaf) {
		uint32_t len;
		uint8_t *p = room(tcp, &len);
		ssize_t n = recv(tcp->fd, p, len, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		events++;
		if (n <= 0) {
			th_tcp_die(queue);
			break;
		}
		tcp->have += (uint32_t)n;
		if (n == (ssize_t)len)
			part_over(queue);
	}
	return events;
}
