/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TCP_PDU_H
#define NVMFT_TCP_PDU_H

/*
 * PDUs of NVMe/TCP (NVMe TCP Transport Specification 1.0, 3.6): layouts, and pure functions that turn bytes into
 * checked values and values into bytes. They neither log, send nor close.
 */

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <nvmft/provider/request.h>

enum tcp_pdu_type {
	TCP_PDU_ICREQ = 0x00,
	TCP_PDU_ICRESP = 0x01,
	TCP_PDU_H2C_TERM_REQ = 0x02,
	TCP_PDU_C2H_TERM_REQ = 0x03,
	TCP_PDU_CAPSULE_CMD = 0x04,
	TCP_PDU_CAPSULE_RESP = 0x05,
	TCP_PDU_H2C_DATA = 0x06,
	TCP_PDU_C2H_DATA = 0x07,
	TCP_PDU_R2T = 0x09,
};

#define TCP_PDU_F_HDGST 0x01u
#define TCP_PDU_F_DDGST 0x02u
#define TCP_PDU_F_LAST 0x04u
#define TCP_PDU_F_SUCCESS 0x08u

#define TCP_IC_HDGST 0x01u
#define TCP_IC_DDGST 0x02u
#define TCP_PDA_MAX 31u

#define TCP_DIGEST_LEN 4u
#define TCP_HEADER_MAX 128u /* the longest header, that of ICReq, and as much as a TermReq quotes */

/* Fatal Error Status of C2HTermReq. */
enum tcp_fes {
	TCP_FES_NONE = 0,
	TCP_FES_INVALID_HEADER = 1, /* FEI: offset of the field */
	TCP_FES_SEQUENCE = 2,
	TCP_FES_HDGST = 3, /* FEI: the digest received */
	TCP_FES_OUT_OF_RANGE = 4,
	TCP_FES_LIMIT_EXCEEDED = 5,
	TCP_FES_UNSUPPORTED = 6, /* FEI: offset of the field */
};

/* All fields little-endian, all naturally aligned. */
struct tcp_hdr {
	uint8_t type;
	uint8_t flags;
	uint8_t hlen;
	uint8_t pdo;
	uint32_t plen;
};

struct tcp_icreq {
	struct tcp_hdr hdr;
	uint16_t pfv;
	uint8_t hpda;
	uint8_t digest;
	uint32_t maxr2t;
	uint8_t reserved[112];
};

struct tcp_icresp {
	struct tcp_hdr hdr;
	uint16_t pfv;
	uint8_t cpda;
	uint8_t digest;
	uint32_t maxh2cdata;
	uint8_t reserved[112];
};

/* FEI is a dword that is aligned to 2 only. */
struct tcp_term_req {
	struct tcp_hdr hdr;
	uint16_t fes;
	uint16_t fei_low;
	uint16_t fei_high;
	uint8_t reserved[10];
};

struct tcp_capsule_cmd {
	struct tcp_hdr hdr;
	struct nvmft_sqe sqe;
};

struct tcp_capsule_resp {
	struct tcp_hdr hdr;
	struct nvmft_cqe cqe;
};

/* H2CData and C2HData. */
struct tcp_data {
	struct tcp_hdr hdr;
	uint16_t cccid;
	uint16_t ttag;
	uint32_t datao;
	uint32_t datal;
	uint8_t reserved[4];
};

struct tcp_r2t {
	struct tcp_hdr hdr;
	uint16_t cccid;
	uint16_t ttag;
	uint32_t r2to;
	uint32_t r2tl;
	uint8_t reserved[4];
};

_Static_assert(sizeof(struct tcp_hdr) == 8, "common header");
_Static_assert(offsetof(struct tcp_hdr, plen) == 4, "PLEN");
_Static_assert(sizeof(struct tcp_icreq) == 128, "ICReq");
_Static_assert(offsetof(struct tcp_icreq, hpda) == 10 && offsetof(struct tcp_icreq, maxr2t) == 12, "ICReq fields");
_Static_assert(sizeof(struct tcp_icresp) == 128, "ICResp");
_Static_assert(offsetof(struct tcp_icresp, maxh2cdata) == 12, "ICResp: MAXH2CDATA");
_Static_assert(sizeof(struct tcp_term_req) == 24, "TermReq");
_Static_assert(offsetof(struct tcp_term_req, fes) == 8 && offsetof(struct tcp_term_req, fei_low) == 10,
	       "TermReq fields");
_Static_assert(sizeof(struct tcp_capsule_cmd) == 72, "CapsuleCmd");
_Static_assert(sizeof(struct tcp_capsule_resp) == 24, "CapsuleResp");
_Static_assert(sizeof(struct tcp_data) == 24, "H2CData, C2HData");
_Static_assert(offsetof(struct tcp_data, ttag) == 10 && offsetof(struct tcp_data, datao) == 12, "data fields");
_Static_assert(sizeof(struct tcp_r2t) == 24, "R2T");
_Static_assert(offsetof(struct tcp_r2t, r2tl) == 16, "R2T: R2TL");

/* What both sides agreed on, and so what a PDU is checked against. */
struct tcp_params {
	bool ready; /* ICReq was answered */
	bool hdgst, ddgst;
	bool plain; /* what the controller sends has neither digests nor padding */
	uint8_t cpda;
	uint8_t c2h_pdo;  /* PDO of C2HData, as HPDA and the header digest want it */
	uint64_t c2h_hdr; /* common header of C2HData without its data's length, as a number */
	uint32_t maxh2cdata;
	uint32_t max_in_capsule;
};

/* Why a PDU ends the connection. @fes is TCP_FES_NONE when it does not. */
struct tcp_error {
	uint16_t fes;
	uint32_t fei;
	const char *what;
};

/* How a PDU is built, according to its common header: header with digest, padding, data, data digest. */
struct tcp_shape {
	uint8_t type;
	uint8_t flags;
	uint8_t hlen;       /* without digest */
	uint8_t header_len; /* with digest */
	bool hdgst, ddgst;
	uint32_t pad;
	uint32_t data_len;
};

struct tcp_h2c_data {
	uint16_t cccid; /* as on the wire */
	uint16_t ttag;
	uint32_t datao;
	uint32_t datal;
	bool last;
};

/* What H2CData may be for: the command that an R2T named. */
struct tcp_transfer {
	uint16_t cid; /* as on the wire */
	uint32_t received;
	uint32_t length;
};

/* What an ICReq makes of the parameters. */
void nvmft_tcp_agree(struct tcp_params *params, uint8_t hpda, bool hdgst, bool ddgst);

/* nvmft_tcp_parse_header() - the first 8 bytes of a PDU that a controller receives. False: @err says why. */
bool nvmft_tcp_parse_header(const uint8_t *bytes, const struct tcp_params *params, struct tcp_shape *shape,
			    struct tcp_error *err);

/* The rest of the headers. @bytes holds shape->hlen bytes, without any alignment. False: @err says why. */
bool nvmft_tcp_parse_icreq(const uint8_t *bytes, struct tcp_icreq *icreq, struct tcp_error *err);
bool nvmft_tcp_parse_h2c_data(const uint8_t *bytes, const struct tcp_shape *shape, const struct tcp_params *params,
			      struct tcp_h2c_data *data, struct tcp_error *err);

/* A capsule's data must not be longer than its SGL describes. @bytes as above. */
bool nvmft_tcp_check_capsule(const uint8_t *bytes, const struct tcp_shape *shape, struct tcp_error *err);

/*
 * SGL1 as an offset into the capsule (data block, sub type 1) describes where in the capsule's data area the command's
 * data is; any other descriptor describes nothing in the capsule.
 */
static inline bool tcp_capsule_describes(const uint8_t *bytes, uint32_t data_len)
{
	const uint8_t *sgl1 = bytes + offsetof(struct tcp_capsule_cmd, sqe.dptr);
	uint64_t offset;
	uint32_t length;

	memcpy(&offset, sgl1, sizeof(offset));
	memcpy(&length, sgl1 + 8, sizeof(length));
	offset = le64toh(offset);
	return sgl1[15] == 0x01 && offset <= UINT32_MAX && data_len <= offset + le32toh(length);
}

/* H2CData against the transfer that its TTAG names. @transfer: NULL when it names none. */
bool nvmft_tcp_check_h2c_data(const struct tcp_h2c_data *data, const struct tcp_transfer *transfer,
			      struct tcp_error *err);

/* Header digest behind @hlen bytes. */
bool nvmft_tcp_check_hdgst(const uint8_t *bytes, size_t hlen, struct tcp_error *err);

/*
 * Builders. Each writes a whole header with its digest and returns the number of bytes, at most TCP_HEADER_MAX + 24.
 * For C2HData the padding up to PDO is included, but not the data.
 */
#define TCP_BUILD_MAX (TCP_HEADER_MAX + 24u)

/* A common header as a number, which costs less to make than a structure of bytes. */
static inline uint64_t tcp_header(uint8_t type, uint8_t flags, uint8_t hlen, uint8_t pdo, uint64_t plen)
{
	return type | (uint32_t)flags << 8 | (uint32_t)hlen << 16 | (uint32_t)pdo << 24 | plen << 32;
}

/* That of a CapsuleResp on a plain connection. */
#define TCP_HEADER_RESP \
	tcp_header(TCP_PDU_CAPSULE_RESP, 0, sizeof(struct tcp_capsule_resp), 0, sizeof(struct tcp_capsule_resp))

size_t nvmft_tcp_build_icresp(uint8_t *out, const struct tcp_params *params);
size_t nvmft_tcp_build_term_req(uint8_t *out, const struct tcp_error *err, const uint8_t *pdu, size_t pdu_len);
size_t nvmft_tcp_build_r2t(uint8_t *out, const struct tcp_params *params, uint16_t cid, uint16_t ttag, uint32_t length);

size_t nvmft_tcp_build_resp(uint8_t *out, const struct tcp_params *params, const struct nvmft_cqe *cqe);
size_t nvmft_tcp_build_c2h_data(uint8_t *out, const struct tcp_params *params, uint16_t cid, uint32_t length,
				bool success);

/* What these two begin with, which is all of it on a plain connection. */
static inline size_t tcp_put_resp(uint8_t *out, uint64_t header, const struct nvmft_cqe *cqe)
{
	header = htole64(header);
	memcpy(out, &header, sizeof(header));
	memcpy(out + sizeof(header), cqe, sizeof(*cqe));
	return sizeof(struct tcp_capsule_resp);
}

static inline size_t tcp_put_c2h_data(uint8_t *out, const struct tcp_params *params, uint16_t cid, uint32_t length,
				      bool success)
{
	uint64_t header = htole64(params->c2h_hdr + ((uint64_t)length << 32) + (success ? TCP_PDU_F_SUCCESS << 8 : 0));
	uint64_t which = htole64(le16toh(cid)); /* TTAG and DATAO are 0 */
	uint64_t datal = htole64(length);

	memcpy(out, &header, sizeof(header));
	memcpy(out + 8, &which, sizeof(which));
	memcpy(out + 16, &datal, sizeof(datal));
	return sizeof(struct tcp_data);
}

/* digest.c: CRC32C. Start with TCP_CRC_INIT, finish with nvmft_tcp_crc_final(), which gives the value as it is sent. */
#define TCP_CRC_INIT 0xffffffffu
uint32_t nvmft_tcp_crc(uint32_t crc, const void *data, size_t len);
uint32_t nvmft_tcp_crc_final(uint32_t crc);

#endif
