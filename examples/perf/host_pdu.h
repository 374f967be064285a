/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PERF_HOST_PDU_H
#define PERF_HOST_PDU_H

/*
 * What goes over the wire, seen from the host: NVMe entries (NVMe Base 2.0) and NVMe/TCP PDUs (TCP Transport 1.0,
 * chapter 3). The target has definitions of its own; that the two were written apart is what makes this program a check
 * of the target.
 */

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As it lies in the stream: PDUs follow each other at any address, a digest shifts what comes behind it. */
#define HOST_WIRE __attribute__((packed))

struct HOST_WIRE host_sgl {
	uint64_t addr;
	uint32_t len;
	uint8_t rsvd[3];
	uint8_t type;
};

#define HOST_SGL_IN_CAPSULE 0x01 /* data block, offset */
#define HOST_SGL_TRANSPORT 0x5a  /* transport data block, transport specific */
#define HOST_PSDT_SGL 0x40

struct HOST_WIRE host_sqe {
	uint8_t opcode;
	uint8_t flags;
	uint16_t cid;
	uint32_t nsid;
	uint64_t rsvd;
	uint64_t mptr;
	struct host_sgl sgl;
	uint32_t cdw[6]; /* dwords 10 to 15 */
};

struct HOST_WIRE host_cqe {
	uint32_t dw0;
	uint32_t dw1;
	uint16_t sqhd;
	uint16_t sqid;
	uint16_t cid;
	uint16_t status; /* with the phase bit */
};

enum {
	PDU_ICREQ = 0x00,
	PDU_ICRESP = 0x01,
	PDU_H2C_TERM = 0x02,
	PDU_C2H_TERM = 0x03,
	PDU_CMD = 0x04,
	PDU_RESP = 0x05,
	PDU_H2C_DATA = 0x06,
	PDU_C2H_DATA = 0x07,
	PDU_R2T = 0x09,
};

#define PDU_F_HDGST 0x01
#define PDU_F_DDGST 0x02
#define PDU_F_LAST 0x04
#define PDU_F_SUCCESS 0x08

/* Fatal error status of a terminate request. */
enum {
	PDU_FES_FIELD = 1,
	PDU_FES_SEQUENCE = 2,
	PDU_FES_HDGST = 3,
	PDU_FES_RANGE = 4,
	PDU_FES_LIMIT = 5,
	PDU_FES_UNSUPPORTED = 6,
};

struct HOST_WIRE pdu_common {
	uint8_t type;
	uint8_t flags;
	uint8_t hlen;
	uint8_t pdo;
	uint32_t plen;
};

struct HOST_WIRE pdu_icreq {
	struct pdu_common ch;
	uint16_t pfv;
	uint8_t hpda;
	uint8_t dgst;
	uint32_t maxr2t;
	uint8_t rsvd[112];
};

struct HOST_WIRE pdu_icresp {
	struct pdu_common ch;
	uint16_t pfv;
	uint8_t cpda;
	uint8_t dgst;
	uint32_t maxh2cdata;
	uint8_t rsvd[112];
};

struct HOST_WIRE pdu_cmd {
	struct pdu_common ch;
	struct host_sqe sqe;
};

struct HOST_WIRE pdu_resp {
	struct pdu_common ch;
	struct host_cqe cqe;
};

/* H2CData, C2HData (without a tag) and R2T. */
struct HOST_WIRE pdu_data {
	struct pdu_common ch;
	uint16_t cccid;
	uint16_t ttag;
	uint32_t offset;
	uint32_t len;
	uint8_t rsvd[4];
};

struct HOST_WIRE pdu_term {
	struct pdu_common ch;
	uint16_t fes;
	uint16_t fei_lo; /* FEI is 4 bytes at an offset of 10 */
	uint16_t fei_hi;
	uint8_t rsvd[10];
};

_Static_assert(sizeof(struct host_sqe) == 64 && offsetof(struct host_sqe, sgl) == 24, "SQE");
_Static_assert(sizeof(struct host_cqe) == 16, "CQE");
_Static_assert(sizeof(struct pdu_common) == 8, "common header");
_Static_assert(sizeof(struct pdu_icreq) == 128 && sizeof(struct pdu_icresp) == 128, "IC PDUs");
_Static_assert(sizeof(struct pdu_cmd) == 72 && sizeof(struct pdu_resp) == 24, "capsules");
_Static_assert(sizeof(struct pdu_data) == 24 && sizeof(struct pdu_term) == 24, "data and termination");

/* What was agreed on in ICReq and ICResp. */
struct pdu_params {
	bool hdgst;
	bool ddgst;
	uint8_t cpda; /* 0-based dwords, 0..31 */
	uint32_t maxh2cdata;
};

/* Longest header: 72 bytes, header digest, padding to a multiple of 128. */
#define PDU_HEADER_MAX 128u

uint32_t pdu_crc32c(const void *data, size_t len);

void pdu_build_icreq(struct pdu_icreq *pdu, bool hdgst, bool ddgst);

/* Return: NULL, or what is wrong with the ICResp. */
const char *pdu_parse_icresp(const struct pdu_icresp *pdu, const struct pdu_icreq *sent, struct pdu_params *params);

/*
 * Complete the header in @buf, whose type-specific part is there already, for @data_len bytes of data: lengths, flags,
 * padding and header digest. Return: bytes of header before the data.
 */
uint32_t pdu_finish_header(void *buf, uint8_t type, uint8_t hlen, uint8_t flags, uint32_t data_len,
			   const struct pdu_params *params);

/*
 * Check a common header from the controller. Return: NULL and in @need the bytes up to the data or the end; or what is
 * wrong and in @fes the code for it.
 */
const char *pdu_check_header(const struct pdu_common *ch, const struct pdu_params *params, uint32_t *need,
			     uint16_t *fes);

/* Header digest of a complete header. */
bool pdu_hdgst_ok(const void *header);

void pdu_build_term(struct pdu_term *pdu, uint16_t fes);
const char *pdu_fes_words(uint16_t fes);

#endif
