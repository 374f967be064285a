/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "floor.h"

static const struct pdu_params plain;

int floor_load_init(struct floor_load *load, const char *rw, uint32_t bs)
{
	struct pdu_data data = {.len = htole32(bs)};
	struct pdu_resp resp = {0};
	uint32_t i;

	load->bs = bs;
	load->kind = !strcmp(rw, "read") ? FLOOR_READ : bs <= 8192 ? FLOOR_CAPSULE : FLOOR_R2T;
	load->request_len = load->kind == FLOOR_CAPSULE ? 72 + bs : 72;
	load->reply_len = load->kind == FLOOR_READ ? 24 + bs : 24;
	load->template_len = (FLOOR_TX_MIN / load->reply_len + 1) * load->reply_len;
	load->template = calloc(1, load->template_len);
	if (!load->template)
		return -1;
	pdu_finish_header(&data, PDU_C2H_DATA, sizeof(data), PDU_F_LAST | PDU_F_SUCCESS, bs, &plain);
	pdu_finish_header(&resp, PDU_RESP, sizeof(resp), 0, 0, &plain);
	for (i = 0; i < load->template_len; i += load->reply_len) {
		if (load->kind == FLOOR_READ)
			memcpy(load->template + i, &data, sizeof(data));
		else
			memcpy(load->template + i, &resp, sizeof(resp));
	}
	return 0;
}

static void answer_header(struct floor_conn *conn, uint32_t bs)
{
	const struct pdu_common *ch = (const void *)conn->in;
	struct pdu_data r2t = {.len = htole32(bs)};
	struct pdu_resp resp = {0};

	if (conn->out_len + 24 > sizeof(conn->out))
		return;
	if (ch->type == PDU_CMD) {
		r2t.cccid = ((const struct pdu_cmd *)(const void *)conn->in)->sqe.cid;
		pdu_finish_header(&r2t, PDU_R2T, sizeof(r2t), 0, 0, &plain);
		memcpy(conn->out + conn->out_len, &r2t, sizeof(r2t));
	} else {
		resp.cqe.cid = ((const struct pdu_data *)(const void *)conn->in)->cccid;
		pdu_finish_header(&resp, PDU_RESP, sizeof(resp), 0, 0, &plain);
		memcpy(conn->out + conn->out_len, &resp, sizeof(resp));
	}
	conn->out_len += 24;
	conn->owed += 24;
}

/* The write floor answers each PDU when it is complete, thus has to know where PDUs begin. */
static void count_r2t(const struct floor_load *load, struct floor_conn *conn, const uint8_t *data, size_t len)
{
	while (len) {
		size_t n;

		if (conn->skip) {
			n = len < conn->skip ? len : conn->skip;
			conn->skip -= (uint32_t)n;
			data += n;
			len -= n;
			if (!conn->skip)
				answer_header(conn, load->bs);
			continue;
		}
		n = len < 24 - conn->in_len ? len : 24 - conn->in_len;
		memcpy(conn->in + conn->in_len, data, n);
		conn->in_len += (uint32_t)n;
		data += n;
		len -= n;
		if (conn->in_len == 24) {
			conn->skip = le32toh(((const struct pdu_common *)(const void *)conn->in)->plen) - 24;
			conn->in_len = 0;
		}
	}
}

void floor_count(const struct floor_load *load, struct floor_conn *conn, const uint8_t *data, size_t len)
{
	uint64_t bytes = conn->partial + len;

	if (load->kind == FLOOR_R2T) {
		count_r2t(load, conn, data, len);
		return;
	}
	conn->owed += bytes / load->request_len * load->reply_len;
	conn->partial = (uint32_t)(bytes % load->request_len);
}

unsigned int floor_pending(const struct floor_load *load, const struct floor_conn *conn, struct iovec *iov,
			   unsigned int max)
{
	uint64_t left = conn->owed - conn->out_len;
	uint32_t position = conn->position;
	unsigned int n = 0;

	if (conn->out_len)
		iov[n++] = (struct iovec){(void *)(uintptr_t)conn->out, conn->out_len};
	while (left && n < max) {
		uint64_t len = load->template_len - position;

		len = len < left ? len : left;
		iov[n++] = (struct iovec){load->template + position, len};
		left -= len;
		position = 0;
	}
	return n;
}

void floor_sent(const struct floor_load *load, struct floor_conn *conn, size_t len)
{
	size_t out = len < conn->out_len ? len : conn->out_len;

	conn->owed -= len;
	if (out) {
		memmove(conn->out, conn->out + out, conn->out_len - out);
		conn->out_len -= (uint32_t)out;
		len -= out;
	}
	conn->position = (uint32_t)((conn->position + len) % load->template_len);
}

bool floor_input(const struct floor_load *load, struct floor_conn *conn, const uint8_t *data, size_t len)
{
	long used = 0;

	if (!conn->raw) {
		used = floor_handshake(conn, data, len);
		if (used < 0)
			return false;
	}
	if ((size_t)used < len)
		floor_count(load, conn, data + used, len - (size_t)used);
	return true;
}
