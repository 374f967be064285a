/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "lean.h"

#define DATA_PDU_MAX PDU_HEADER_MAX

static void add_piece(struct lean_conn *conn, const void *base, size_t len)
{
	struct lean_piece *last = &conn->pieces[(conn->head + conn->count - 1) % conn->ring];

	/* Capsules of neighbouring CIDs are neighbours in memory: in order, a whole batch is one piece. */
	if (conn->count && last->base + last->len == base) {
		last->len += len;
		return;
	}
	conn->pieces[(conn->head + conn->count++) % conn->ring] = (struct lean_piece){base, len};
}

void lean_queue_cmd(struct lean_conn *conn, uint16_t cid)
{
	add_piece(conn, conn->templates + (size_t)cid * conn->pdu_len, conn->pdu_len);
}

static uint32_t build_capsule(const struct lean *lean, uint8_t *at, const struct lean_conn *conn, uint16_t cid,
			      uint64_t lba, const struct host_ns *ns, uint32_t in_capsule)
{
	const struct lean_opts *opts = lean->opts;
	bool inside = opts->write && opts->bs <= in_capsule;
	struct pdu_cmd *pdu = (void *)at;
	uint32_t len, crc;

	pdu->sqe.opcode = opts->write ? 0x01 : 0x02;
	pdu->sqe.flags = HOST_PSDT_SGL;
	pdu->sqe.cid = htole16(cid);
	pdu->sqe.nsid = htole32(ns->nsid);
	pdu->sqe.sgl.len = htole32(opts->bs);
	pdu->sqe.sgl.type = inside ? HOST_SGL_IN_CAPSULE : HOST_SGL_TRANSPORT;
	pdu->sqe.cdw[0] = htole32((uint32_t)lba);
	pdu->sqe.cdw[1] = htole32((uint32_t)(lba >> 32));
	pdu->sqe.cdw[2] = htole32(opts->bs / ns->block_size - 1);
	len = pdu_finish_header(pdu, PDU_CMD, sizeof(*pdu), 0, inside ? opts->bs : 0, &conn->params);
	if (!inside)
		return len;
	memcpy(at + len, lean->payload, opts->bs);
	len += opts->bs;
	if (conn->params.ddgst) {
		crc = htole32(pdu_crc32c(lean->payload, opts->bs));
		memcpy(at + len, &crc, sizeof(crc));
		len += 4;
	}
	return len;
}

int lean_conn_init(struct lean *lean, struct lean_conn *conn, unsigned int number, const struct host_ns *ns,
		   uint32_t in_capsule)
{
	const struct lean_opts *opts = lean->opts;
	uint64_t units = ns->blocks / (opts->bs / ns->block_size);
	unsigned int depth = opts->depth, i;

	conn->templates = calloc(depth, PDU_HEADER_MAX + opts->bs + 4);
	conn->data_pdus = calloc(depth, DATA_PDU_MAX);
	conn->ring = depth * 3;
	conn->pieces = calloc(conn->ring, sizeof(*conn->pieces));
	if (!conn->templates || !conn->data_pdus || !conn->pieces)
		return -1;
	for (i = 0; i < depth; i++) {
		/* Scattered, and the same in every run. */
		uint64_t lba =
			(uint64_t)(number * depth + i) * 0x9e3779b97f4a7c15ull % units * (opts->bs / ns->block_size);

		conn->pdu_len = build_capsule(lean, conn->templates + (size_t)i * conn->pdu_len, conn, (uint16_t)i, lba,
					      ns, in_capsule);
	}
	return 0;
}

static void answer_r2t(struct lean *lean, struct lean_conn *conn, const struct pdu_data *r2t)
{
	uint16_t cid = le16toh(r2t->cccid);
	uint32_t len = le32toh(r2t->len), header;
	struct pdu_data *pdu;

	if (cid >= lean->opts->depth || len > lean->opts->bs || len > conn->params.maxh2cdata) {
		lean->errors++;
		return;
	}
	pdu = (void *)(conn->data_pdus + (size_t)cid * DATA_PDU_MAX);
	*pdu = *r2t;
	header = pdu_finish_header(pdu, PDU_H2C_DATA, sizeof(*pdu), PDU_F_LAST, len, &conn->params);
	add_piece(conn, pdu, header);
	add_piece(conn, lean->payload, len);
}

static void command_done(struct lean *lean, struct lean_conn *conn, uint16_t cid)
{
	lean->done++;
	if (lean->opts->fifo) {
		cid = conn->next_cid;
		conn->next_cid = cid + 1u == lean->opts->depth ? 0 : (uint16_t)(cid + 1);
	}
	if (cid >= lean->opts->depth)
		lean->errors++;
	else if (!lean->stop)
		lean_queue_cmd(conn, cid);
}

/* The bytes of a header are there. Return: false: this is nothing that can go on. */
static bool handle(struct lean *lean, struct lean_conn *conn)
{
	const struct pdu_common *ch = (const void *)conn->header;
	const struct pdu_data *data = (const void *)conn->header;
	const struct pdu_resp *resp = (const void *)conn->header;

	conn->have = 0;
	conn->skip = le32toh(ch->plen) - 24;
	conn->success = false;
	switch (ch->type) {
	case PDU_RESP:
		if (host_status(&resp->cqe))
			lean->errors++;
		command_done(lean, conn, le16toh(resp->cqe.cid));
		return true;
	case PDU_C2H_DATA:
		/* Counted when its end is there. */
		conn->success = ch->flags & PDU_F_SUCCESS;
		return true;
	case PDU_R2T:
		answer_r2t(lean, conn, data);
		return true;
	default:
		return false;
	}
}

bool lean_input(struct lean *lean, struct lean_conn *conn, const uint8_t *data, size_t len)
{
	while (len) {
		size_t n;

		if (conn->skip) {
			n = len < conn->skip ? len : conn->skip;
			conn->skip -= (uint32_t)n;
			if (!conn->skip && conn->success)
				command_done(lean, conn,
					     le16toh(((const struct pdu_data *)(const void *)conn->header)->cccid));
		} else {
			n = len < 24 - conn->have ? len : 24 - conn->have;
			memcpy(conn->header + conn->have, data, n);
			conn->have += (uint32_t)n;
			if (conn->have == 24 && !handle(lean, conn))
				return false;
		}
		data += n;
		len -= n;
	}
	return true;
}
