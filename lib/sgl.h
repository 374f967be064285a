/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LIB_SGL_H
#define NVMFT_LIB_SGL_H

#include "request.h"

/* SGL1 of a command: where the host's data is (Base 2.0, 4.1.2). Descriptor type in the high nibble, sub type in the
 * low one. */
#define SGL_DATA_OFFSET 0x01
#define SGL_LAST_SEGMENT_OFFSET 0x31
#define SGL_KEYED 0x40
#define SGL_KEYED_INVALIDATE 0x4f
#define SGL_TRANSPORT 0x5a

/* Of a keyed descriptor the length has three bytes: the fourth is part of the key. */
#define SGL_KEYED_LEN_MASK 0xffffffu

static inline uint32_t sgl_len32(const uint8_t *sgl)
{
	uint32_t value;

	memcpy(&value, sgl + 8, sizeof(value));
	return le32toh(value);
}

static inline bool sgl_keyed(const uint8_t *sgl)
{
	return sgl[15] == SGL_KEYED || sgl[15] == SGL_KEYED_INVALIDATE;
}

/* Any descriptor: 0 with req->pub.sgl and sgl_offset set, or what is wrong with it. */
nvmft_status nvmft_sgl_parse(struct request *req, uint64_t len);

/* What SGL1 says of the length, for commands whose hosts send more than is needed. */
uint64_t nvmft_sgl_length(const struct request *req);

/* The two kinds that nearly all commands have, if nothing is wrong with them. */
static inline enum nvmft_sgl_kind sgl_usual(const struct request *req, uint64_t len)
{
	const uint8_t *sgl = req->pub.sqe.dptr;
	uint8_t kinds = req->pub.queue->gt->ops.sgl_kinds;

	if (sgl[15] == SGL_TRANSPORT && kinds & NVMFT_SGL_TRANSPORT && sgl_len32(sgl) == len)
		return NVMFT_SGL_TRANSPORT;
	if (sgl_keyed(sgl) && kinds & NVMFT_SGL_KEYED && (sgl_len32(sgl) & SGL_KEYED_LEN_MASK) == len &&
	    !req->pub.segment_status)
		return NVMFT_SGL_KEYED;
	return NVMFT_SGL_NONE;
}

/* nvmft_req_data() for what is parsed with every I/O; @len is not 0. */
static inline nvmft_status req_data(struct request *req, void (*execute)(struct request *), enum nvmft_dir dir,
				    uint64_t len)
{
	req->execute = execute;
	req->pub.dir = dir;
	req->pub.sgl = sgl_usual(req, len);
	if (unlikely(req->pub.sgl == NVMFT_SGL_NONE))
		return nvmft_sgl_parse(req, len);
	req->pub.data_len = (uint32_t)len;
	return 0;
}

#endif
