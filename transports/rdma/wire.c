/* SPDX-License-Identifier: BSD-3-Clause */
#include <endian.h>
#include <string.h>

#include "wire.h"

#define STATUS RDMA_STATUS
#define DESC_LEN 16u
#define QID_MAX 0xfffe

enum rdma_sts nvmft_rdma_parse_ask(const void *data, size_t len, uint32_t max_depth, struct rdma_ask *ask)
{
	struct rdma_wire_request wire;

	if (len < sizeof(wire))
		return RDMA_STS_INVALID_LENGTH;
	memcpy(&wire, data, sizeof(wire));
	if (wire.recfmt != 0)
		return RDMA_STS_INVALID_RECFMT;
	ask->qid = le16toh(wire.qid);
	if (ask->qid > QID_MAX)
		return RDMA_STS_INVALID_QID;
	ask->depth = le16toh(wire.hsqsize) + 1u;
	if (ask->depth < 2 || ask->depth > max_depth)
		return RDMA_STS_INVALID_HSQSIZE;
	ask->hrqsize = le16toh(wire.hrqsize);
	if (ask->hrqsize == 0)
		return RDMA_STS_INVALID_HRQSIZE;
	ask->cntlid = ask->qid ? le16toh(wire.cntlid) : 0;
	return RDMA_STS_OK;
}

const char *nvmft_rdma_sts_text(enum rdma_sts sts)
{
	switch (sts) {
	case RDMA_STS_INVALID_LENGTH:
		return "invalid length of the private data";
	case RDMA_STS_INVALID_RECFMT:
		return "invalid RECFMT";
	case RDMA_STS_INVALID_QID:
		return "invalid QID";
	case RDMA_STS_INVALID_HSQSIZE:
		return "invalid HSQSIZE";
	case RDMA_STS_INVALID_HRQSIZE:
		return "invalid HRQSIZE";
	case RDMA_STS_INVALID_CNTLID:
		return "invalid CNTLID: there is no such controller";
	case RDMA_STS_INVALID_IRD:
		return "the host lets nobody read its memory (IRD 0)";
	default:
		return "no resources";
	}
}

void nvmft_rdma_build_accept(struct rdma_wire_accept *wire, uint32_t depth)
{
	*wire = (struct rdma_wire_accept){.crqsize = htole16((uint16_t)(depth > UINT16_MAX ? UINT16_MAX : depth))};
}

void nvmft_rdma_build_reject(struct rdma_wire_reject *wire, enum rdma_sts sts)
{
	*wire = (struct rdma_wire_reject){.sts = htole16((uint16_t)sts)};
}

/* ---- SGLs ---- */

static nvmft_status add_desc(struct rdma_sgl *sgl, const uint8_t *desc, uint64_t *total)
{
	struct rdma_piece piece;

	if (!rdma_desc_keyed(desc))
		return STATUS(SGL_INVALID_TYPE);
	piece = rdma_desc_piece(desc);
	if (rdma_piece_wraps(&piece))
		return STATUS(SGL_INVALID_DATA);
	/* One key can be invalidated by a response: the first. */
	if (desc[15] == RDMA_SGL_KEYED_INVALIDATE && !sgl->invalidate) {
		sgl->invalidate = true;
		sgl->inv_key = piece.key;
	}
	if (piece.len)
		sgl->piece[sgl->n++] = piece;
	*total += piece.len;
	return 0;
}

nvmft_status nvmft_rdma_parse_segment(const uint8_t *dptr, const uint8_t *data, uint32_t len, struct rdma_sgl *sgl,
				      uint64_t *total)
{
	uint64_t offset;
	uint32_t bytes;

	sgl->n = 0;
	sgl->invalidate = false;
	*total = 0;
	if (dptr[15] != RDMA_SGL_LAST_SEGMENT)
		return 0;
	memcpy(&offset, dptr, sizeof(offset));
	memcpy(&bytes, dptr + 8, sizeof(bytes));
	offset = le64toh(offset);
	bytes = le32toh(bytes);
	if (bytes == 0 || bytes % DESC_LEN != 0)
		return STATUS(SGL_INVALID_LAST);
	if (offset > len || bytes > len - offset)
		return STATUS(SGL_INVALID_OFFSET);
	if (bytes > RDMA_MSDBD * DESC_LEN)
		return STATUS(SGL_INVALID_COUNT);
	for (uint32_t at = 0; at < bytes; at += DESC_LEN) {
		nvmft_status status = add_desc(sgl, data + offset + at, total);

		if (status)
			return status;
	}
	return 0;
}
