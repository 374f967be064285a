/* SPDX-License-Identifier: BSD-3-Clause */
#include "sgl.h"

#define SGL_LOC SQE_LOC(dptr)

static uint64_t sgl_address(const uint8_t *sgl)
{
	uint64_t value;

	memcpy(&value, sgl, sizeof(value));
	return le64toh(value);
}

/* Keyed data blocks in the capsule, which the transport has looked at: only it knows where they are. */
static bool sgl_segment(const struct request *req)
{
	return req->pub.sqe.dptr[15] == SGL_LAST_SEGMENT_OFFSET && req->pub.queue->gt->ops.sgl_kinds & NVMFT_SGL_KEYED;
}

uint64_t nvmft_sgl_length(const struct request *req)
{
	const uint8_t *sgl = req->pub.sqe.dptr;

	if (sgl_segment(req))
		return req->pub.segment_len;
	return sgl_keyed(sgl) ? sgl_len32(sgl) & SGL_KEYED_LEN_MASK : sgl_len32(sgl);
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

static nvmft_status sgl_check(struct request *req, uint64_t len)
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

nvmft_status nvmft_sgl_parse(struct request *req, uint64_t len)
{
	nvmft_status status = sgl_check(req, len);

	if (!status)
		req->pub.data_len = (uint32_t)len;
	return status;
}
