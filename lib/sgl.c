/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SGL1 of a command: where the host's data is (Base 2.0, 4.1.2).
 */
#include "request.h"

/* Descriptor type in the high nibble, sub type in the low one. */
#define SGL_DATA_OFFSET 0x01
#define SGL_LAST_SEGMENT_OFFSET 0x31
#define SGL_KEYED 0x40
#define SGL_KEYED_INVALIDATE 0x4f
#define SGL_TRANSPORT 0x5a

#define SGL_LOC SQE_LOC(dptr)

static uint64_t sgl_address(const uint8_t *sgl)
{
	uint64_t value;

	memcpy(&value, sgl, sizeof(value));
	return le64toh(value);
}

static bool sgl_keyed(const uint8_t *sgl)
{
	return sgl[15] == SGL_KEYED || sgl[15] == SGL_KEYED_INVALIDATE;
}

/* Keyed data blocks in the capsule, which the transport has looked at: only it knows where they are. */
static bool sgl_segment(const struct request *req)
{
	return req->pub.sqe.dptr[15] == SGL_LAST_SEGMENT_OFFSET && req->pub.queue->gt->ops.sgl_kinds & NVMFT_SGL_KEYED;
}

uint64_t nvmft_sgl_length(const struct request *req)
{
	const uint8_t *sgl = req->pub.sqe.dptr;
	uint32_t value;

	if (sgl_segment(req))
		return req->pub.segment_len;
	memcpy(&value, sgl + 8, sizeof(value));
	value = le32toh(value);
	/* The fourth byte is part of the key then. */
	return sgl_keyed(sgl) ? value & 0xffffff : value;
}

static nvmft_status sgl_in_capsule(struct request *req, uint64_t len)
{
	/* ICDOFF is 0: the data follows the SQE at once. */
	if (sgl_address(req->pub.sqe.dptr) != 0)
		return req_error(req, SC_DNR(SGL_INVALID_OFFSET), SGL_LOC);
	if (req->pub.dir != NVMFT_DIR_FROM_HOST)
		return req_error(req, SC_DNR(SGL_INVALID_TYPE), SGL_LOC);
	if (len > req->pub.in_capsule_len)
		return req_error(req, SC_DNR(SGL_INVALID_DATA), SGL_LOC);
	req->pub.sgl = NVMFT_SGL_IN_CAPSULE;
	req->pub.sgl_offset = 0;
	return 0;
}

nvmft_status nvmft_sgl_parse(struct request *req, uint64_t len)
{
	const uint8_t *sgl = req->pub.sqe.dptr;
	uint8_t kinds = req->pub.queue->gt->ops.sgl_kinds;

	/* What the transport could not make sense of, it has no place for. */
	if ((sgl_segment(req) || (sgl_keyed(sgl) && kinds & NVMFT_SGL_KEYED)) && req->pub.segment_status)
		return req_error(req, req->pub.segment_status, SGL_LOC);
	if (nvmft_sgl_length(req) != len)
		return req_error(req, SC_DNR(SGL_INVALID_DATA), SGL_LOC);
	if (sgl[15] == SGL_TRANSPORT && kinds & NVMFT_SGL_TRANSPORT) {
		req->pub.sgl = NVMFT_SGL_TRANSPORT;
		return 0;
	}
	if (sgl[15] == SGL_DATA_OFFSET && kinds & NVMFT_SGL_IN_CAPSULE)
		return sgl_in_capsule(req, len);
	if ((sgl_keyed(sgl) || sgl_segment(req)) && kinds & NVMFT_SGL_KEYED) {
		req->pub.sgl = NVMFT_SGL_KEYED;
		return 0;
	}
	return req_error(req, SC_DNR(SGL_INVALID_TYPE), SGL_LOC);
}
