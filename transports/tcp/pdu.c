/* SPDX-License-Identifier: BSD-3-Clause */
#include <endian.h>
#include <string.h>

#include "pdu.h"

#define FIELD(type, field) ((uint32_t)offsetof(struct type, field))

/* Not where the good PDUs go. */
static __attribute__((cold, noinline)) bool fail(struct tcp_error *err, enum tcp_fes fes, uint32_t fei,
						 const char *what)
{
	*err = (struct tcp_error){.fes = (uint16_t)fes, .fei = fei, .what = what};
	return false;
}

static bool bad_field(struct tcp_error *err, uint32_t fei, const char *what)
{
	return fail(err, TCP_FES_INVALID_HEADER, fei, what);
}

/* Length that the header of a PDU type has, or 0 for types that no host sends. */
static uint8_t expected_hlen(uint8_t type)
{
	static const uint8_t hlens[] = {
		[TCP_PDU_ICREQ] = sizeof(struct tcp_icreq),
		[TCP_PDU_H2C_TERM_REQ] = sizeof(struct tcp_term_req),
		[TCP_PDU_CAPSULE_CMD] = sizeof(struct tcp_capsule_cmd),
		[TCP_PDU_H2C_DATA] = sizeof(struct tcp_data),
	};

	return type < sizeof(hlens) ? hlens[type] : 0;
}

/* ICReq comes first and once; a host may terminate at any time. */
static bool check_type(uint8_t type, const struct tcp_params *params, struct tcp_error *err)
{
	if (!params->ready && type != TCP_PDU_ICREQ && type != TCP_PDU_H2C_TERM_REQ)
		return fail(err, TCP_FES_SEQUENCE, 0, "PDU before ICReq");
	if (params->ready && type == TCP_PDU_ICREQ)
		return fail(err, TCP_FES_SEQUENCE, 0, "second ICReq");
	if (expected_hlen(type) == 0)
		return bad_field(err, FIELD(tcp_hdr, type), "PDU type");
	return true;
}

/* The data of a CapsuleCmd or H2CData: whatever PLEN leaves behind PDO. */
static bool shape_data(const struct tcp_hdr *hdr, const struct tcp_params *params, struct tcp_shape *shape,
		       struct tcp_error *err)
{
	uint64_t plen = le32toh(hdr->plen);
	uint64_t digest = params->ddgst ? TCP_DIGEST_LEN : 0;

	if (plen == shape->header_len)
		return true;
	if (plen < shape->header_len)
		return bad_field(err, FIELD(tcp_hdr, plen), "PLEN");
	if (hdr->pdo < shape->header_len || hdr->pdo % ((params->cpda + 1u) * 4u) != 0)
		return bad_field(err, FIELD(tcp_hdr, pdo), "PDO");
	if (plen <= hdr->pdo + digest)
		return bad_field(err, FIELD(tcp_hdr, plen), "PLEN");
	if (!(hdr->flags & TCP_PDU_F_DDGST) != !params->ddgst)
		return bad_field(err, FIELD(tcp_hdr, flags), "DDGSTF");
	shape->ddgst = params->ddgst;
	shape->pad = (uint32_t)hdr->pdo - shape->header_len;
	shape->data_len = (uint32_t)(plen - hdr->pdo - digest);
	return true;
}

static bool shape_digested(const struct tcp_hdr *hdr, const struct tcp_params *params, struct tcp_shape *shape,
			   struct tcp_error *err)
{
	if (!(hdr->flags & TCP_PDU_F_HDGST) != !params->hdgst)
		return bad_field(err, FIELD(tcp_hdr, flags), "HDGSTF");
	if (params->hdgst) {
		shape->hdgst = true;
		shape->header_len = (uint8_t)(shape->hlen + TCP_DIGEST_LEN);
	}
	if (!shape_data(hdr, params, shape, err))
		return false;
	if (hdr->type == TCP_PDU_CAPSULE_CMD && shape->data_len > params->max_in_capsule)
		return fail(err, TCP_FES_LIMIT_EXCEEDED, 0, "in-capsule data above IOCCSZ");
	if (hdr->type == TCP_PDU_H2C_DATA && shape->data_len == 0)
		return bad_field(err, FIELD(tcp_hdr, plen), "H2CData without data");
	return true;
}

void nvmft_tcp_agree(struct tcp_params *params, uint8_t hpda, bool hdgst, bool ddgst)
{
	uint32_t align = (hpda + 1u) * 4u;
	uint32_t header_len = sizeof(struct tcp_data) + (hdgst ? TCP_DIGEST_LEN : 0);

	params->ready = true;
	params->hdgst = hdgst;
	params->ddgst = ddgst;
	params->c2h_pdo = (uint8_t)((header_len + align - 1) / align * align);
	params->plain = !ddgst && params->c2h_pdo == sizeof(struct tcp_data);
	params->c2h_hdr =
		tcp_header(TCP_PDU_C2H_DATA,
			   (uint8_t)(TCP_PDU_F_LAST | (hdgst ? TCP_PDU_F_HDGST : 0) | (ddgst ? TCP_PDU_F_DDGST : 0)),
			   sizeof(struct tcp_data), params->c2h_pdo, params->c2h_pdo + (ddgst ? TCP_DIGEST_LEN : 0));
}

bool nvmft_tcp_parse_header(const uint8_t *bytes, const struct tcp_params *params, struct tcp_shape *shape,
			    struct tcp_error *err)
{
	struct tcp_hdr hdr;
	uint32_t plen;

	memcpy(&hdr, bytes, sizeof(hdr));
	plen = le32toh(hdr.plen);
	*shape = (struct tcp_shape){.type = hdr.type, .flags = hdr.flags, .hlen = hdr.hlen, .header_len = hdr.hlen};
	if (!check_type(hdr.type, params, err))
		return false;
	if (hdr.hlen != expected_hlen(hdr.type))
		return bad_field(err, FIELD(tcp_hdr, hlen), "HLEN");
	if (hdr.type == TCP_PDU_ICREQ)
		return plen == hdr.hlen || bad_field(err, FIELD(tcp_hdr, plen), "PLEN");
	if (hdr.type == TCP_PDU_H2C_TERM_REQ)
		return (plen >= hdr.hlen && plen <= hdr.hlen + TCP_HEADER_MAX) ||
		       bad_field(err, FIELD(tcp_hdr, plen), "PLEN");
	return shape_digested(&hdr, params, shape, err);
}

bool nvmft_tcp_parse_icreq(const uint8_t *bytes, struct tcp_icreq *icreq, struct tcp_error *err)
{
	memcpy(icreq, bytes, sizeof(*icreq));
	if (icreq->pfv != 0)
		return fail(err, TCP_FES_UNSUPPORTED, FIELD(tcp_icreq, pfv), "PFV");
	if (icreq->hpda > TCP_PDA_MAX)
		return bad_field(err, FIELD(tcp_icreq, hpda), "HPDA");
	icreq->maxr2t = le32toh(icreq->maxr2t);
	return true;
}

bool nvmft_tcp_parse_h2c_data(const uint8_t *bytes, const struct tcp_shape *shape, const struct tcp_params *params,
			      struct tcp_h2c_data *data, struct tcp_error *err)
{
	struct tcp_data pdu;

	memcpy(&pdu, bytes, sizeof(pdu));
	data->cccid = pdu.cccid;
	data->ttag = le16toh(pdu.ttag);
	data->datao = le32toh(pdu.datao);
	data->datal = le32toh(pdu.datal);
	data->last = shape->flags & TCP_PDU_F_LAST;
	if (data->datal != shape->data_len)
		return bad_field(err, FIELD(tcp_data, datal), "DATAL unlike PLEN");
	if (data->datal > params->maxh2cdata)
		return fail(err, TCP_FES_LIMIT_EXCEEDED, 0, "DATAL above MAXH2CDATA");
	return true;
}

bool nvmft_tcp_check_capsule(const uint8_t *bytes, const struct tcp_shape *shape, struct tcp_error *err)
{
	return tcp_capsule_describes(bytes, shape->data_len) ||
	       bad_field(err, FIELD(tcp_hdr, plen), "capsule longer than its command describes");
}

bool nvmft_tcp_check_h2c_data(const struct tcp_h2c_data *data, const struct tcp_transfer *transfer,
			      struct tcp_error *err)
{
	uint64_t end = (uint64_t)data->datao + data->datal;

	if (!transfer)
		return bad_field(err, FIELD(tcp_data, ttag), "TTAG of no transfer");
	if (data->cccid != transfer->cid)
		return bad_field(err, FIELD(tcp_data, cccid), "CCCID unlike that of the R2T");
	if (end > transfer->length)
		return fail(err, TCP_FES_OUT_OF_RANGE, 0, "H2CData beyond R2TL");
	if (data->datao != transfer->received)
		return fail(err, TCP_FES_OUT_OF_RANGE, 0, "H2CData out of order");
	if (data->last != (end == transfer->length))
		return bad_field(err, FIELD(tcp_hdr, flags), "LAST_PDU");
	return true;
}

bool nvmft_tcp_check_hdgst(const uint8_t *bytes, size_t hlen, struct tcp_error *err)
{
	uint32_t received;

	memcpy(&received, bytes + hlen, sizeof(received));
	if (received != nvmft_tcp_crc_final(nvmft_tcp_crc(TCP_CRC_INIT, bytes, hlen)))
		return fail(err, TCP_FES_HDGST, le32toh(received), "header digest");
	return true;
}

static void put_header(uint8_t *out, uint8_t type, uint8_t flags, uint8_t hlen, uint8_t pdo, uint64_t plen)
{
	uint64_t hdr = htole64(tcp_header(type, flags, hlen, pdo, plen));

	memcpy(out, &hdr, sizeof(hdr));
}

size_t nvmft_tcp_build_icresp(uint8_t *out, const struct tcp_params *params)
{
	struct tcp_icresp pdu = {
		.cpda = params->cpda,
		.digest = (uint8_t)((params->hdgst ? TCP_IC_HDGST : 0) | (params->ddgst ? TCP_IC_DDGST : 0)),
		.maxh2cdata = htole32(params->maxh2cdata),
	};

	memcpy(out, &pdu, sizeof(pdu));
	put_header(out, TCP_PDU_ICRESP, 0, sizeof(pdu), 0, sizeof(pdu));
	return sizeof(pdu);
}

size_t nvmft_tcp_build_term_req(uint8_t *out, const struct tcp_error *err, const uint8_t *pdu, size_t pdu_len)
{
	size_t quoted = pdu_len < TCP_HEADER_MAX ? pdu_len : TCP_HEADER_MAX;
	struct tcp_term_req term = {
		.fes = htole16(err->fes),
		.fei_low = htole16((uint16_t)err->fei),
		.fei_high = htole16((uint16_t)(err->fei >> 16)),
	};

	memcpy(out, &term, sizeof(term));
	put_header(out, TCP_PDU_C2H_TERM_REQ, 0, sizeof(term), 0, sizeof(term) + quoted);
	if (quoted > 0)
		memcpy(out + sizeof(term), pdu, quoted);
	return sizeof(term) + quoted;
}

static size_t append_hdgst(uint8_t *out, size_t hlen, const struct tcp_params *params)
{
	uint32_t digest;

	if (!params->hdgst)
		return hlen;
	digest = nvmft_tcp_crc_final(nvmft_tcp_crc(TCP_CRC_INIT, out, hlen));
	memcpy(out + hlen, &digest, sizeof(digest));
	return hlen + sizeof(digest);
}

static uint8_t hdgst_flag(const struct tcp_params *params)
{
	return params->hdgst ? TCP_PDU_F_HDGST : 0;
}

static uint32_t hdgst_len(const struct tcp_params *params)
{
	return params->hdgst ? TCP_DIGEST_LEN : 0;
}

size_t nvmft_tcp_build_resp(uint8_t *out, const struct tcp_params *params, const struct nvmft_cqe *cqe)
{
	const uint8_t hlen = sizeof(struct tcp_capsule_resp);

	tcp_put_resp(out, tcp_header(TCP_PDU_CAPSULE_RESP, hdgst_flag(params), hlen, 0, hlen + hdgst_len(params)), cqe);
	return append_hdgst(out, hlen, params);
}

size_t nvmft_tcp_build_r2t(uint8_t *out, const struct tcp_params *params, uint16_t cid, uint16_t ttag, uint32_t length)
{
	struct tcp_r2t pdu = {
		.cccid = cid,
		.ttag = htole16(ttag),
		.r2tl = htole32(length),
	};

	memcpy(out, &pdu, sizeof(pdu));
	put_header(out, TCP_PDU_R2T, hdgst_flag(params), sizeof(pdu), 0, sizeof(pdu) + hdgst_len(params));
	return append_hdgst(out, sizeof(pdu), params);
}

size_t nvmft_tcp_build_c2h_data(uint8_t *out, const struct tcp_params *params, uint16_t cid, uint32_t length,
				bool success)
{
	size_t header_len = append_hdgst(out, tcp_put_c2h_data(out, params, cid, length, success), params);

	memset(out + header_len, 0, params->c2h_pdo - header_len);
	return params->c2h_pdo;
}
