/* SPDX-License-Identifier: BSD-3-Clause */
#include "host.h"

#include <endian.h>
#include <string.h>

#define FLAG_SGL 0x40

void th_sqe_init(struct nvmft_sqe *sqe, uint8_t opcode, uint32_t nsid)
{
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = opcode;
	sqe->flags = FLAG_SGL;
	sqe->nsid = htole32(nsid);
}

void th_sqe_rw(struct nvmft_sqe *sqe, uint8_t opcode, uint32_t nsid, uint64_t lba, uint32_t blocks)
{
	th_sqe_init(sqe, opcode, nsid);
	sqe->cdw10 = htole32((uint32_t)lba);
	sqe->cdw11 = htole32((uint32_t)(lba >> 32));
	sqe->cdw12 = htole32((blocks - 1) & 0xffff);
}

void th_sqe_identify(struct nvmft_sqe *sqe, uint8_t cns, uint32_t nsid)
{
	th_sqe_init(sqe, 0x06, nsid);
	sqe->cdw10 = htole32(cns);
}

void th_sqe_log(struct nvmft_sqe *sqe, uint8_t lid, uint32_t nsid, uint64_t offset, uint32_t bytes, bool rae)
{
	uint32_t numd = bytes / 4 - 1;

	th_sqe_init(sqe, 0x02, nsid);
	sqe->cdw10 = htole32(lid | (rae ? 1u << 15 : 0) | (numd & 0xffff) << 16);
	sqe->cdw11 = htole32(numd >> 16);
	sqe->cdw12 = htole32((uint32_t)offset);
	sqe->cdw13 = htole32((uint32_t)(offset >> 32));
}

void th_sqe_get_features(struct nvmft_sqe *sqe, uint8_t fid, uint32_t cdw11)
{
	th_sqe_init(sqe, 0x0a, 0);
	sqe->cdw10 = htole32(fid);
	sqe->cdw11 = htole32(cdw11);
}

void th_sqe_set_features(struct nvmft_sqe *sqe, uint8_t fid, uint32_t cdw11)
{
	th_sqe_init(sqe, 0x09, 0);
	sqe->cdw10 = htole32(fid);
	sqe->cdw11 = htole32(cdw11);
}

void th_sqe_abort(struct nvmft_sqe *sqe, uint16_t sqid, uint16_t cid)
{
	th_sqe_init(sqe, 0x08, 0);
	sqe->cdw10 = htole32(sqid | (uint32_t)cid << 16);
}

void th_sqe_fabrics(struct nvmft_sqe *sqe, uint8_t fctype)
{
	th_sqe_init(sqe, 0x7f, fctype);
}

void th_sqe_dsm(struct nvmft_sqe *sqe, uint32_t nsid, unsigned int nr, uint32_t attr)
{
	th_sqe_init(sqe, TH_DSM, nsid);
	sqe->cdw10 = htole32((nr - 1) & 0xff);
	sqe->cdw11 = htole32(attr);
}

static uint64_t word(uint64_t seed, size_t i)
{
	uint64_t state = seed * 0x2545f4914f6cdd1du + i;

	return th_random(&state);
}

void th_fill(void *data, size_t len, uint64_t seed)
{
	uint8_t *p = data;

	for (size_t i = 0; i < len; i += 8) {
		uint64_t w = word(seed, i / 8);

		memcpy(p + i, &w, len - i < 8 ? len - i : 8);
	}
}

bool th_filled(const void *data, size_t len, uint64_t seed)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i += 8) {
		uint64_t w = word(seed, i / 8);

		if (memcmp(p + i, &w, len - i < 8 ? len - i : 8) != 0)
			return false;
	}
	return true;
}

bool th_zero(const void *data, size_t len)
{
	const uint8_t *p = data;

	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}
