/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <nvme/types.h>

#include "floor.h"

static const struct pdu_params plain;

static void put(struct floor_conn *conn, const void *data, size_t len)
{
	if (conn->out_len + len > sizeof(conn->out))
		return;
	memcpy(conn->out + conn->out_len, data, len);
	conn->out_len += (uint32_t)len;
	conn->owed += len;
}

static void put_resp(struct floor_conn *conn, uint16_t cid, uint32_t dw0, uint32_t dw1)
{
	struct pdu_resp resp = {.cqe = {.dw0 = htole32(dw0), .dw1 = htole32(dw1), .cid = cid}};

	pdu_finish_header(&resp, PDU_RESP, sizeof(resp), 0, 0, &plain);
	put(conn, &resp, sizeof(resp));
}

static void put_data(struct floor_conn *conn, uint16_t cid, const void *data, uint32_t len)
{
	struct pdu_data pdu = {.cccid = cid, .len = htole32(len)};

	pdu_finish_header(&pdu, PDU_C2H_DATA, sizeof(pdu), PDU_F_LAST, len, &plain);
	put(conn, &pdu, sizeof(pdu));
	put(conn, data, len);
}

static void answer_icreq(struct floor_conn *conn)
{
	struct pdu_icresp resp = {.ch = {.type = PDU_ICRESP, .hlen = 128, .plen = htole32(128)},
				  .maxh2cdata = htole32(1 << 20)};

	put(conn, &resp, sizeof(resp));
}

static void answer_identify(struct floor_conn *conn, const struct host_sqe *sqe)
{
	union {
		struct nvme_id_ctrl ctrl;
		struct nvme_id_ns ns;
		uint32_t list[1024];
	} id;

	memset(&id, 0, sizeof(id));
	switch (le32toh(sqe->cdw[0]) & 0xff) {
	case 0x00:
		id.ns.nsze = htole64(1ull << 28);
		id.ns.lbaf[0].ds = 12;
		break;
	case 0x01:
		memcpy(id.ctrl.mn, "wire floor", 10);
		id.ctrl.cntlid = htole16(1);
		id.ctrl.ioccsz = htole32((64 + 8192) / 16);
		break;
	default:
		id.list[0] = htole32(1);
		break;
	}
	put_data(conn, sqe->cid, &id, sizeof(id));
	put_resp(conn, sqe->cid, 0, 0);
}

static void answer_fabrics(struct floor_conn *conn, const struct host_sqe *sqe)
{
	/* MQES 1023, CSS NVM, TO 500 ms. */
	const uint64_t cap = 1023 | 1ull << 24 | 1ull << 37;
	uint32_t offset = le32toh(sqe->cdw[1]);

	switch (le32toh(sqe->nsid) & 0xff) {
	case 0x01:
		put_resp(conn, sqe->cid, 1, 0);
		conn->raw = le32toh(sqe->cdw[0]) >> 16 != 0;
		break;
	case 0x04:
		if (offset == 0)
			put_resp(conn, sqe->cid, (uint32_t)cap, (uint32_t)(cap >> 32));
		else
			put_resp(conn, sqe->cid, 1 | 2 << 2, 0);
		break;
	default:
		put_resp(conn, sqe->cid, 0, 0);
		break;
	}
}

static void answer_cmd(struct floor_conn *conn, const struct host_sqe *sqe)
{
	switch (sqe->opcode) {
	case 0x7f:
		answer_fabrics(conn, sqe);
		break;
	case 0x06:
		answer_identify(conn, sqe);
		break;
	default:
		/* Set Features, Number of Queues: what was asked for. */
		put_resp(conn, sqe->cid, le32toh(sqe->cdw[1]), 0);
		break;
	}
}

/* Return: bytes of the first PDU in conn->in, 0 when it is not complete, -1 when it is none. */
static long first_pdu(const struct floor_conn *conn)
{
	const struct pdu_common *ch = (const void *)conn->in;

	if (conn->in_len < sizeof(*ch))
		return 0;
	if (le32toh(ch->plen) < 72 || le32toh(ch->plen) > sizeof(conn->in))
		return -1;
	return conn->in_len < le32toh(ch->plen) ? 0 : (long)le32toh(ch->plen);
}

long floor_handshake(struct floor_conn *conn, const uint8_t *data, size_t len)
{
	size_t used = 0;
	long pdu;

	while (used < len && !conn->raw) {
		/* Byte by byte up to the length, so that nothing behind the last PDU of the handshake is taken. */
		conn->in[conn->in_len++] = data[used++];
		pdu = first_pdu(conn);
		if (pdu < 0)
			return -1;
		if (!pdu)
			continue;
		if (conn->in[0] == PDU_ICREQ)
			answer_icreq(conn);
		else
			answer_cmd(conn, &((const struct pdu_cmd *)(const void *)conn->in)->sqe);
		conn->in_len = 0;
	}
	return (long)used;
}
