/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SGL1 of a command: where the host's data is (Base 2.0, 4.1.2).
 */
#include "request.h"

/* Descriptor type in the high nibble, sub type in the low one. */
#define SGL_DATA_ADDRESS 0x00
#define SGL_DATA_OFFSET 0x01
#define SGL_KEYED 0x40
#define SGL_KEYED_INVALIDATE 0x4f
#define SGL_TRANSPORT 0x5a

#define SGL_LOC SQE_LOC(dptr)

static uint64_t get_le(const uint8_t *bytes, int n)
{
	uint64_t value = 0;

	while (n--)
		value = value << 8 | bytes[n];
	return value;
}

static nvmft_status sgl_in_capsule(struct request *req, uint64_t len)
{
	uint64_t offset = get_le(req->pub.sqe.dptr, 8);

	/* ICDOFF is 0: the data follows the SQE at once. */
	if (offset != 0)
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
	bool keyed = sgl[15] == SGL_KEYED || sgl[15] == SGL_KEYED_INVALIDATE;
	uint64_t sgl_len = get_le(sgl + 8, keyed ? 3 : 4);

	if (sgl_len != len)
		return req_error(req, SC_DNR(SGL_INVALID_DATA), SGL_LOC);
	if (sgl[15] == SGL_TRANSPORT && kinds & NVMFT_SGL_TRANSPORT) {
		req->pub.sgl = NVMFT_SGL_TRANSPORT;
		return 0;
	}
	if (sgl[15] == SGL_DATA_OFFSET && kinds & NVMFT_SGL_IN_CAPSULE)
		return sgl_in_capsule(req, len);
	if (keyed && kinds & NVMFT_SGL_KEYED) {
		req->pub.sgl = NVMFT_SGL_KEYED;
		return 0;
	}
	return req_error(req, SC_DNR(SGL_INVALID_TYPE), SGL_LOC);
}
