/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <isa-l.h>

#include "host_pdu.h"

uint32_t pdu_crc32c(const void *data, size_t len)
{
	uint32_t crc = ~0u;

	/* ISA-L takes an int; no PDU of ours comes near 2 GiB, but a caller's length might. */
	while (len) {
		int n = len > (1u << 30) ? 1 << 30 : (int)len;

		crc = crc32_iscsi((unsigned char *)(uintptr_t)data, n, crc);
		data = (const uint8_t *)data + n;
		len -= (size_t)n;
	}
	return ~crc;
}

void pdu_build_icreq(struct pdu_icreq *pdu, bool hdgst, bool ddgst)
{
	memset(pdu, 0, sizeof(*pdu));
	pdu->ch.type = PDU_ICREQ;
	pdu->ch.hlen = sizeof(*pdu);
	pdu->ch.plen = htole32(sizeof(*pdu));
	pdu->dgst = (uint8_t)((hdgst ? 1 : 0) | (ddgst ? 2 : 0));
}

const char *pdu_parse_icresp(const struct pdu_icresp *pdu, const struct pdu_icreq *sent, struct pdu_params *params)
{
	if (pdu->ch.type == PDU_C2H_TERM)
		return "the target answered ICReq with a terminate request";
	if (pdu->ch.type != PDU_ICRESP || pdu->ch.hlen != sizeof(*pdu) || le32toh(pdu->ch.plen) != sizeof(*pdu))
		return "the answer to ICReq is no ICResp (is this an NVMe/TCP port?)";
	if (pdu->pfv)
		return "ICResp: unknown PFV";
	if (pdu->cpda > 31)
		return "ICResp: CPDA above 31";
	if (pdu->dgst & ~3)
		return "ICResp: reserved digest bits";
	if (pdu->dgst & ~sent->dgst)
		return "ICResp: a digest that was not asked for";
	if (le32toh(pdu->maxh2cdata) < 4096 || le32toh(pdu->maxh2cdata) % 4)
		return "ICResp: MAXH2CDATA below 4096 or not a multiple of 4";
	params->hdgst = pdu->dgst & 1;
	params->ddgst = pdu->dgst & 2;
	params->cpda = pdu->cpda;
	params->maxh2cdata = le32toh(pdu->maxh2cdata);
	return NULL;
}

uint32_t pdu_finish_header(void *buf, uint8_t type, uint8_t hlen, uint8_t flags, uint32_t data_len,
			   const struct pdu_params *params)
{
	struct pdu_common *ch = buf;
	uint32_t align = ((uint32_t)params->cpda + 1) * 4;
	uint32_t end = hlen + (params->hdgst ? 4u : 0);
	uint32_t start = data_len ? (end + align - 1) / align * align : end;
	uint32_t crc;

	ch->type = type;
	ch->flags =
		(uint8_t)(flags | (params->hdgst ? PDU_F_HDGST : 0) | (params->ddgst && data_len ? PDU_F_DDGST : 0));
	ch->hlen = hlen;
	ch->pdo = data_len ? (uint8_t)start : 0;
	ch->plen = htole32(start + data_len + (params->ddgst && data_len ? 4u : 0));
	if (params->hdgst) {
		crc = htole32(pdu_crc32c(buf, hlen));
		memcpy((uint8_t *)buf + hlen, &crc, sizeof(crc));
	}
	memset((uint8_t *)buf + end, 0, start - end);
	return start;
}

static const char *check_plain(const struct pdu_common *ch, const struct pdu_params *params, uint32_t *need)
{
	uint32_t len = 24u + (params->hdgst ? 4u : 0);

	if (ch->hlen != 24 || le32toh(ch->plen) != len || ch->pdo)
		return ch->type == PDU_R2T ? "R2T with a wrong length" : "CapsuleResp with a wrong length";
	*need = len;
	return NULL;
}

static const char *check_c2h_data(const struct pdu_common *ch, const struct pdu_params *params, uint32_t *need)
{
	uint32_t len = 24u + (params->hdgst ? 4u : 0);

	if (ch->hlen != 24 || ch->pdo < len || ch->pdo > PDU_HEADER_MAX || ch->pdo % 4)
		return "C2HData with a wrong HLEN or PDO";
	if (le32toh(ch->plen) <= ch->pdo)
		return "C2HData without data";
	if ((ch->flags & PDU_F_SUCCESS) && !(ch->flags & PDU_F_LAST))
		return "C2HData with SUCCESS but not LAST";
	if (!!(ch->flags & PDU_F_DDGST) != params->ddgst)
		return "C2HData with a DDGST flag unlike what was agreed on";
	*need = ch->pdo;
	return NULL;
}

const char *pdu_check_header(const struct pdu_common *ch, const struct pdu_params *params, uint32_t *need,
			     uint16_t *fes)
{
	*fes = PDU_FES_FIELD;
	if (ch->type == PDU_C2H_TERM) {
		if (ch->hlen != 24 || le32toh(ch->plen) < 24 || le32toh(ch->plen) > 152)
			return "C2HTermReq with a wrong length";
		*need = le32toh(ch->plen);
		return NULL;
	}
	if (!!(ch->flags & PDU_F_HDGST) != params->hdgst)
		return "a PDU with an HDGST flag unlike what was agreed on";
	switch (ch->type) {
	case PDU_RESP:
	case PDU_R2T:
		return check_plain(ch, params, need);
	case PDU_C2H_DATA:
		return check_c2h_data(ch, params, need);
	case PDU_ICRESP:
		*fes = PDU_FES_SEQUENCE;
		return "a second ICResp";
	default:
		return "a PDU of a type that a controller does not send";
	}
}

bool pdu_hdgst_ok(const void *header)
{
	const struct pdu_common *ch = header;
	uint32_t crc;

	memcpy(&crc, (const uint8_t *)header + ch->hlen, sizeof(crc));
	return le32toh(crc) == pdu_crc32c(header, ch->hlen);
}

void pdu_build_term(struct pdu_term *pdu, uint16_t fes)
{
	memset(pdu, 0, sizeof(*pdu));
	pdu->ch.type = PDU_H2C_TERM;
	pdu->ch.hlen = sizeof(*pdu);
	pdu->ch.plen = htole32(sizeof(*pdu));
	pdu->fes = htole16(fes);
}

const char *pdu_fes_words(uint16_t fes)
{
	static const char *const words[] = {
		[PDU_FES_FIELD] = "invalid PDU header field",     [PDU_FES_SEQUENCE] = "PDU sequence error",
		[PDU_FES_HDGST] = "header digest error",          [PDU_FES_RANGE] = "data transfer out of range",
		[PDU_FES_LIMIT] = "data transfer limit exceeded", [PDU_FES_UNSUPPORTED] = "unsupported parameter",
	};

	return fes < sizeof(words) / sizeof(words[0]) && words[fes] ? words[fes] : "unknown reason";
}
