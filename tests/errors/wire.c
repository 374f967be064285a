/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

/* Rounds of polling without progress after which a peer that should have answered is taken not to. */
#define PATIENCE 16

void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)v);
	put16(p + 2, (uint16_t)(v >> 16));
}

void put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)v);
	put32(p + 4, (uint32_t)(v >> 32));
}

uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

uint32_t get32(const uint8_t *p)
{
	return get16(p) | (uint32_t)get16(p + 2) << 16;
}

uint64_t get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

/* CRC32C bit by bit: another way than the transport's. */
uint32_t wire_crc(const void *p, size_t len)
{
	const uint8_t *bytes = p;
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

/* ---- bytes ---- */

struct wire *wire_open(struct world *world)
{
	struct wire *wire = calloc(1, sizeof(*wire));
	int fds[2];

	assert_non_null(wire);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	wire->world = world;
	wire->fd = fds[0];
	assert_int_equal(nvmft_tcp_serve(world->port, world->group, fds[1]), 0);
	world_settle(world);
	return wire;
}

void wire_close(struct wire *wire)
{
	struct world *world = wire->world;

	close(wire->fd);
	free(wire->in);
	free(wire);
	world_settle(world);
}

bool wire_try_send(struct wire *wire, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	int rounds = 0;

	while (len > 0) {
		ssize_t n = send(wire->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return false;
		rounds = n < 0 ? rounds + 1 : 0;
		if (rounds > PATIENCE)
			fail_msg("the target does not read, %zu bytes left", len);
		p += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
		world_settle(wire->world);
	}
	return true;
}

void wire_send(struct wire *wire, const void *bytes, size_t len)
{
	assert_true(wire_try_send(wire, bytes, len));
}

/* More bytes into wire->in: their number, 0 at the end of the connection, -1 for none. */
static ssize_t read_some(struct wire *wire)
{
	ssize_t n;

	if (wire->in_cap - wire->in_len < 65536) {
		wire->in_cap = wire->in_cap * 2 + 131072;
		wire->in = realloc(wire->in, wire->in_cap);
		assert_non_null(wire->in);
	}
	world_settle(wire->world);
	n = recv(wire->fd, wire->in + wire->in_len, wire->in_cap - wire->in_len, MSG_DONTWAIT);
	/* A socketpair that was closed with bytes unread says so instead of ending. */
	if (n < 0 && errno == ECONNRESET)
		return 0;
	if (n > 0)
		wire->in_len += (size_t)n;
	return n;
}

static void check_digests(const struct wire *wire, const struct pdu *pdu)
{
	uint32_t end = pdu->pdo + pdu->data_len;

	if (pdu->type == ICRESP || pdu->type == C2H_TERM) {
		assert_int_equal(pdu->flags, 0);
		return;
	}
	assert_int_equal(!!(pdu->flags & F_HDGST), wire->hdgst);
	if (wire->hdgst)
		assert_int_equal(get32(pdu->bytes + pdu->hlen), wire_crc(pdu->bytes, pdu->hlen));
	if (pdu->type != C2H_DATA)
		return;
	assert_int_equal(!!(pdu->flags & F_DDGST), wire->ddgst);
	assert_int_equal(pdu->pdo % ((wire->hpda + 1) * 4), 0);
	if (wire->ddgst)
		assert_int_equal(get32(wire->in + end), wire_crc(pdu->data, pdu->data_len));
}

/* The PDU at the start of wire->in, if it is complete. */
static bool parse_pdu(struct wire *wire, struct pdu *pdu)
{
	size_t quote;

	if (wire->in_len < 8 || wire->in_len < get32(wire->in + 4))
		return false;
	memset(pdu, 0, sizeof(*pdu));
	pdu->plen = get32(wire->in + 4);
	assert_true(pdu->plen >= 24);
	quote = pdu->plen < sizeof(pdu->bytes) ? pdu->plen : sizeof(pdu->bytes);
	memcpy(pdu->bytes, wire->in, quote);
	pdu->type = wire->in[0];
	pdu->flags = wire->in[1];
	pdu->hlen = wire->in[2];
	pdu->pdo = wire->in[3];
	if (pdu->type == C2H_DATA) {
		assert_true(pdu->pdo >= pdu->hlen + (wire->hdgst ? 4 : 0));
		pdu->data = wire->in + pdu->pdo;
		pdu->data_len = pdu->plen - pdu->pdo - (wire->ddgst ? 4 : 0);
		assert_int_equal(pdu->data_len, get32(pdu->bytes + 16));
	}
	check_digests(wire, pdu);
	return true;
}

bool wire_recv(struct wire *wire, struct pdu *pdu)
{
	static uint8_t previous[4u << 20]; /* data of the PDU that is handed out */
	int rounds = 0;

	while (!parse_pdu(wire, pdu)) {
		ssize_t n = read_some(wire);

		if (n == 0)
			return false;
		rounds = n < 0 ? rounds + 1 : 0;
		if (rounds > PATIENCE)
			fail_msg("no PDU from the target");
	}
	if (pdu->data_len > 0) {
		assert_true(pdu->data_len <= sizeof(previous));
		memcpy(previous, pdu->data, pdu->data_len);
		pdu->data = previous;
	}
	wire->in_len -= pdu->plen;
	memmove(wire->in, wire->in + pdu->plen, wire->in_len);
	return true;
}

void wire_expect(struct wire *wire, uint8_t type, struct pdu *pdu)
{
	if (!wire_recv(wire, pdu))
		fail_msg("closed instead of PDU type %u", type);
	if (pdu->type != type)
		fail_msg("PDU type %u instead of %u (FES %u FEI %u)", pdu->type, type, get16(pdu->bytes + 8),
			 get32(pdu->bytes + 10));
}

void wire_expect_silence(struct wire *wire)
{
	struct pdu pdu;

	assert_int_equal(read_some(wire), -1);
	assert_false(parse_pdu(wire, &pdu));
}

void wire_expect_closed(struct wire *wire)
{
	struct pdu pdu;

	while (wire_recv(wire, &pdu))
		assert_int_not_equal(pdu.type, C2H_TERM);
	assert_int_equal(wire->in_len, 0);
}

void wire_expect_term(struct wire *wire, uint16_t fes, int64_t fei)
{
	struct pdu pdu;

	do {
		if (!wire_recv(wire, &pdu))
			fail_msg("closed without a TermReq");
	} while (pdu.type != C2H_TERM);
	if (get16(pdu.bytes + 8) != fes || (fei >= 0 && get32(pdu.bytes + 10) != (uint64_t)fei))
		fail_msg("TermReq FES %u FEI %u instead of %u %d", get16(pdu.bytes + 8), get32(pdu.bytes + 10), fes,
			 (int)fei);
	assert_int_equal(pdu.hlen, 24);
	assert_in_range(pdu.plen, 24, 152);
	for (int i = 14; i < 24; i++)
		assert_int_equal(pdu.bytes[i], 0);
	assert_false(wire_recv(wire, &pdu));
	assert_int_equal(wire->in_len, 0);
}

/* ---- PDUs ---- */

void wire_header(uint8_t *p, uint8_t type, uint8_t flags, uint8_t hlen, uint8_t pdo, uint32_t plen)
{
	p[0] = type;
	p[1] = flags;
	p[2] = hlen;
	p[3] = pdo;
	put32(p + 4, plen);
}

void wire_icreq_bytes(uint8_t bytes[128])
{
	memset(bytes, 0, 128);
	wire_header(bytes, ICREQ, 0, 128, 0, 128);
}

void wire_icreq(struct wire *wire, uint8_t hpda, bool hdgst, bool ddgst)
{
	uint8_t bytes[128];
	struct pdu pdu;

	wire_icreq_bytes(bytes);
	bytes[10] = hpda;
	bytes[11] = (uint8_t)((hdgst ? 1 : 0) | (ddgst ? 2 : 0));
	wire_send(wire, bytes, sizeof(bytes));
	wire_expect(wire, ICRESP, &pdu);
	assert_int_equal(pdu.hlen, 128);
	assert_int_equal(pdu.plen, 128);
	assert_int_equal(get16(pdu.bytes + 8), 0);
	assert_true(get32(pdu.bytes + 12) >= 4096);
	for (int i = 16; i < 128; i++)
		assert_int_equal(pdu.bytes[i], 0);
	wire->hpda = hpda;
	wire->hdgst = pdu.bytes[11] & 1;
	wire->ddgst = pdu.bytes[11] & 2;
}

size_t cmd_bytes(const struct wire *wire, const struct cmd *cmd, uint8_t *out)
{
	uint8_t flags = wire->hdgst ? F_HDGST : 0;
	uint8_t pdo = (uint8_t)(72 + (wire->hdgst ? 4 : 0));
	uint32_t plen = pdo;

	if (cmd->data_len > 0) {
		flags |= wire->ddgst ? F_DDGST : 0;
		plen += cmd->data_len + (wire->ddgst ? 4 : 0);
	}
	wire_header(out, CAPSULE, flags, 72, cmd->data_len ? pdo : 0, plen);
	memcpy(out + 8, cmd->sqe, 64);
	if (wire->hdgst)
		put32(out + 72, wire_crc(out, 72) ^ (cmd->bad_hdgst ? 1 : 0));
	if (cmd->data_len == 0)
		return plen;
	memcpy(out + pdo, cmd->data, cmd->data_len);
	if (wire->ddgst)
		put32(out + pdo + cmd->data_len, wire_crc(cmd->data, cmd->data_len) ^ (cmd->bad_ddgst ? 1 : 0));
	return plen;
}

void wire_cmd(struct wire *wire, const struct cmd *cmd)
{
	uint8_t *bytes = malloc(128 + cmd->data_len);

	assert_non_null(bytes);
	wire_send(wire, bytes, cmd_bytes(wire, cmd, bytes));
	free(bytes);
}

uint16_t wire_resp(struct wire *wire, uint16_t cid, struct pdu *pdu)
{
	struct pdu local;

	pdu = pdu ? pdu : &local;
	do {
		if (!wire_recv(wire, pdu))
			fail_msg("closed instead of a response to %u", cid);
	} while (pdu->type == C2H_DATA);
	if (pdu->type != RESP)
		fail_msg("PDU type %u instead of a response (FES %u FEI %u)", pdu->type, get16(pdu->bytes + 8),
			 get32(pdu->bytes + 10));
	assert_int_equal(pdu->hlen, 24);
	assert_int_equal(pdu->plen, wire->hdgst ? 28 : 24);
	assert_int_equal(get16(pdu->bytes + 20), cid);
	/* SQID is reserved, the phase tag 0. */
	assert_int_equal(get16(pdu->bytes + 18), 0);
	assert_int_equal(pdu->bytes[22] & 1, 0);
	return (uint16_t)(get16(pdu->bytes + 22) >> 1 & 0x7ff);
}

uint16_t wire_do(struct wire *wire, const struct cmd *cmd, struct pdu *pdu)
{
	wire_cmd(wire, cmd);
	return wire_resp(wire, get16(cmd->sqe + 2), pdu);
}

void wire_h2c(struct wire *wire, const struct h2c *h2c, const void *data)
{
	uint8_t pdo = wire->hdgst ? 28 : 24;
	uint32_t plen = pdo + h2c->len + (wire->ddgst ? 4 : 0);
	uint8_t *out = calloc(1, plen);
	uint8_t flags = (uint8_t)((wire->hdgst ? F_HDGST : 0) | (wire->ddgst ? F_DDGST : 0) | (h2c->last ? F_LAST : 0));

	assert_non_null(out);
	wire_header(out, H2C_DATA, flags, 24, pdo, plen + (uint32_t)h2c->plen_extra);
	put16(out + 8, h2c->cid);
	put16(out + 10, h2c->ttag);
	put32(out + 12, h2c->datao);
	put32(out + 16, (uint32_t)(h2c->len + h2c->datal_extra));
	if (wire->hdgst)
		put32(out + 24, wire_crc(out, 24) ^ (h2c->bad_hdgst ? 1 : 0));
	memcpy(out + pdo, data, h2c->len);
	if (wire->ddgst)
		put32(out + pdo + h2c->len, wire_crc(data, h2c->len) ^ (h2c->bad_ddgst ? 1 : 0));
	/* A bad one may be refused before it is sent as a whole. */
	wire_try_send(wire, out, plen);
	free(out);
}

uint16_t wire_r2t(struct wire *wire, uint16_t cid, uint32_t len)
{
	struct pdu pdu;

	wire_expect(wire, R2T, &pdu);
	assert_int_equal(pdu.hlen, 24);
	assert_int_equal(pdu.plen, wire->hdgst ? 28 : 24);
	assert_int_equal(get16(pdu.bytes + 8), cid);
	assert_int_equal(get32(pdu.bytes + 12), 0);
	assert_int_equal(get32(pdu.bytes + 16), len);
	assert_int_equal(get32(pdu.bytes + 20), 0);
	return get16(pdu.bytes + 10);
}
