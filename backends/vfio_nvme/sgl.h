/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_VFIO_NVME_SGL_H
#define NVMFT_BACKENDS_VFIO_NVME_SGL_H

#include <string.h>

#include <nvmft/provider/request.h>

#include "prp.h"

#define PSDT_SGL 0x40u /* SQE flags: SGLs, metadata in one piece */
#define SGL_DATA_BLOCK 0x00u
#define SGL_LAST_SEGMENT 0x30u

/* struct sgl_desc - a descriptor (NVMe Base 2.0, 4.1.2) */
struct sgl_desc {
	uint64_t address;
	uint32_t len;
	uint8_t reserved[3];
	uint8_t type;
};

/* Descriptors in the page that a command has for its list. */
#define SGL_LIST_ENTRIES (NVME_PAGE / sizeof(struct sgl_desc))

enum sgl_support {
	SGL_NONE,
	SGL_DWORD, /* addresses and lengths are multiples of 4 */
	SGL_BYTE,
};

/* struct vfio_region - memory that is mapped for the device, unless @base is NULL; @delta: see region_iova() */
struct vfio_region {
	uint8_t *base;
	uint64_t delta;
};

static inline struct vfio_region region_at(void *base, uint64_t iova)
{
	return (struct vfio_region){base, iova - (uintptr_t)base};
}

/* What an address inside is for the device. */
static inline uint64_t region_iova(const struct vfio_region *region, const void *address)
{
	return (uintptr_t)address + region->delta;
}

/*
 * struct dptr_place - what a data pointer can point to
 * @regions, @nregions: where buffers lie, by region index
 * @list, @list_iova: the command's page
 */
struct dptr_place {
	const struct vfio_region *regions;
	uint32_t nregions;
	enum sgl_support sgl;
	void *list;
	uint64_t list_iova;
};

static inline void dptr_put_prps(struct nvmft_sqe *sqe, uint64_t prp1, uint64_t prp2)
{
	uint64_t prps[2] = {htole64(prp1), htole64(prp2)};

	memcpy(sqe->dptr, prps, sizeof(prps));
}

static inline void dptr_put_descriptor(struct nvmft_sqe *sqe, uint64_t address, uint64_t len, uint8_t type)
{
	struct sgl_desc desc = {.address = htole64(address), .len = htole32((uint32_t)len), .type = type};

	sqe->flags |= PSDT_SGL;
	memcpy(sqe->dptr, &desc, sizeof(desc));
}

static inline bool sgl_takes(enum sgl_support sgl, uint64_t address, uint64_t len)
{
	return sgl == SGL_BYTE || (sgl == SGL_DWORD && !((address | len) & 3));
}

/* What nvmft_dptr_set() does when the first of @iov has it all and no list is needed. False: it is not so. */
static inline bool dptr_set_one(struct nvmft_sqe *sqe, const struct vfio_region *regions, uint32_t nregions,
				enum sgl_support sgl, const struct nvmft_iov *iov, uint64_t skip, uint64_t len)
{
	const struct vfio_region *region;
	uint64_t address, first, last;

	if (skip + len > iov->len || iov->region >= nregions || !regions[iov->region].base)
		return false;
	region = &regions[iov->region];
	address = region_iova(region, iov->base) + skip;
	first = address & ~((uint64_t)NVME_PAGE - 1);
	last = (address + len - 1) & ~((uint64_t)NVME_PAGE - 1);
	if (last - first <= NVME_PAGE && !(address & 3))
		dptr_put_prps(sqe, address, last > first ? last : 0);
	else if (len <= UINT32_MAX && sgl_takes(sgl, address, len))
		dptr_put_descriptor(sqe, address, len, SGL_DATA_BLOCK);
	else
		return false;
	return true;
}

/*
 * Point @sqe to the @len bytes of @iov behind the first @skip. Return: 0; -EFAULT: they are not there or not in
 * regions; -EINVAL, -E2BIG: the device cannot be told of buffers in such pieces.
 */
int nvmft_dptr_set(struct nvmft_sqe *sqe, const struct dptr_place *place, const struct nvmft_iov *iov, uint32_t iovcnt,
		   uint64_t skip, uint64_t len);

#endif
