/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_RDMA_WIRE_H
#define NVMFT_RDMA_WIRE_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <nvme/types.h>

#include <nvmft/provider/request.h>

/*
 * What NVMe/RDMA adds to bytes on the wire: the private data of connection management (NVMe RDMA Transport 1.0, 3.3)
 * and keyed SGL descriptors. Pure functions over bytes.
 */

/* Private data of RDMA_CM_REQUEST, RDMA_CM_ACCEPT and RDMA_CM_REJECT; little-endian. */
struct rdma_wire_request {
	uint16_t recfmt;
	uint16_t qid;
	uint16_t hrqsize;
	uint16_t hsqsize; /* 0-based */
	uint16_t cntlid;
	uint8_t rsvd10[22];
};

struct rdma_wire_accept {
	uint16_t recfmt;
	uint16_t crqsize;
	uint8_t rsvd4[28];
};

struct rdma_wire_reject {
	uint16_t recfmt;
	uint16_t sts;
};

_Static_assert(sizeof(struct rdma_wire_request) == 32, "private data of a request");
_Static_assert(sizeof(struct rdma_wire_accept) == 32, "private data of an accept");
_Static_assert(sizeof(struct rdma_wire_reject) == 4, "private data of a reject");

/* STS of a reject. */
enum rdma_sts {
	RDMA_STS_OK = 0,
	RDMA_STS_INVALID_LENGTH = 1,
	RDMA_STS_INVALID_RECFMT = 2,
	RDMA_STS_INVALID_QID = 3,
	RDMA_STS_INVALID_HSQSIZE = 4,
	RDMA_STS_INVALID_HRQSIZE = 5,
	RDMA_STS_NO_RESOURCES = 6,
	RDMA_STS_INVALID_IRD = 7,
	RDMA_STS_INVALID_CNTLID = 9,
};

/* What a host asks for, in our byte order. */
struct rdma_ask {
	uint16_t qid;
	uint32_t depth; /* commands: HSQSIZE + 1 */
	uint32_t hrqsize;
	uint16_t cntlid; /* of an I/O queue, 0: older hosts do not say */
};

/* 0, or the status to reject the connection with. */
enum rdma_sts nvmft_rdma_parse_ask(const void *data, size_t len, uint32_t max_depth, struct rdma_ask *ask);
const char *nvmft_rdma_sts_text(enum rdma_sts sts);
void nvmft_rdma_build_accept(struct rdma_wire_accept *wire, uint32_t depth);
void nvmft_rdma_build_reject(struct rdma_wire_reject *wire, enum rdma_sts sts);

#define RDMA_STATUS(name) (NVMFT_STATUS(NVME_SCT_GENERIC, NVME_SC_##name) | NVMFT_STATUS_DNR)

/* SGL descriptor type in the high nibble, sub type in the low one. */
enum {
	RDMA_SGL_OFFSET = 0x01,
	RDMA_SGL_LAST_SEGMENT = 0x31, /* sub type: offset in the capsule */
	RDMA_SGL_KEYED = 0x40,
	RDMA_SGL_KEYED_INVALIDATE = 0x4f,
};

/* Most descriptors of a command (MSDBD); Linux hosts use one. */
#define RDMA_MSDBD 8u

/* A piece of the host's memory. */
struct rdma_piece {
	uint64_t addr;
	uint32_t len;
	uint32_t key;
};

struct rdma_sgl {
	uint8_t n;
	bool invalidate; /* @inv_key is to be invalidated by the response */
	uint32_t inv_key;
	struct rdma_piece piece[RDMA_MSDBD];
};

static inline bool rdma_desc_keyed(const uint8_t *desc)
{
	return desc[15] == RDMA_SGL_KEYED || desc[15] == RDMA_SGL_KEYED_INVALIDATE;
}

/* Address in 7:0, length in 10:8, key in 14:11. */
static inline struct rdma_piece rdma_desc_piece(const uint8_t *desc)
{
	struct rdma_piece piece;
	uint32_t len, key;

	memcpy(&piece.addr, desc, sizeof(piece.addr));
	memcpy(&len, desc + 8, sizeof(len));
	memcpy(&key, desc + 11, sizeof(key));
	piece.addr = le64toh(piece.addr);
	piece.len = le32toh(len) & 0xffffff;
	piece.key = le32toh(key);
	return piece;
}

static inline bool rdma_piece_wraps(const struct rdma_piece *piece)
{
	return piece->addr + piece->len < piece->addr;
}

/* What rdma_parse_sgl() does unless SGL1 is a keyed data block. */
nvmft_status nvmft_rdma_parse_segment(const uint8_t *dptr, const uint8_t *data, uint32_t len, struct rdma_sgl *sgl,
				      uint64_t *total);

/*
 * rdma_parse_sgl() - where the host's memory is
 * @dptr: SGL1
 * @data, @len: what follows the SQE in the capsule
 * @total: bytes of a segment in the capsule; 0 if there is none
 *
 * Inline, as it is done for each command, and there is little to do for what most of them have, one block in the SQE.
 * The core compares the length of that with what the command moves.
 *
 * Return: 0, or what is wrong with a segment in the capsule. Anything that is not keyed leaves @sgl empty.
 */
static inline nvmft_status rdma_parse_sgl(const uint8_t *dptr, const uint8_t *data, uint32_t len, struct rdma_sgl *sgl,
					  uint64_t *total)
{
	struct rdma_piece *piece = &sgl->piece[0];

	if (!rdma_desc_keyed(dptr))
		return nvmft_rdma_parse_segment(dptr, data, len, sgl, total);
	*piece = rdma_desc_piece(dptr);
	sgl->n = piece->len > 0;
	sgl->invalidate = dptr[15] == RDMA_SGL_KEYED_INVALIDATE;
	sgl->inv_key = piece->key;
	*total = 0;
	if (rdma_piece_wraps(piece))
		return RDMA_STATUS(SGL_INVALID_DATA);
	return 0;
}

#endif
