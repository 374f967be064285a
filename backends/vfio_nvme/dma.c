/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Addresses of memory as the device sees it.
 *
 * First fit in a sorted array: there are as many ranges as regions of 2 MiB, and one comes or goes only when a poll
 * group has more or less I/O in flight than ever before.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dma.h"
#include "regs.h"

/* So that the IOMMU can use its large pages where the memory has some. */
#define LARGE_PAGE (UINT64_C(2) << 20)

static uint64_t align_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) & ~(align - 1);
}

/* Where @len bytes fit, and before which range. False: nowhere. */
static bool find_gap(const struct dma *dma, uint64_t len, uint64_t *iova, size_t *before)
{
	uint64_t align = len >= LARGE_PAGE ? LARGE_PAGE : NVME_PAGE;
	uint64_t at = align_up(dma->dev->iova_first, align);
	size_t i;

	for (i = 0; i < dma->nranges; i++) {
		const struct dma_range *r = &dma->ranges[i];

		if (at < r->iova && r->iova - at >= len)
			break;
		at = align_up(r->iova + r->len, align);
	}
	*iova = at;
	*before = i;
	return at >= dma->dev->iova_first && at <= dma->dev->iova_last && dma->dev->iova_last - at >= len - 1;
}

static int make_room(struct dma *dma)
{
	size_t cap = dma->cap_ranges ? dma->cap_ranges * 2 : 16;
	struct dma_range *ranges;

	if (dma->nranges < dma->cap_ranges)
		return 0;
	ranges = realloc(dma->ranges, cap * sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	dma->ranges = ranges;
	dma->cap_ranges = cap;
	return 0;
}

int nvmft_dma_map(struct dma *dma, void *base, size_t len, uint64_t *iova)
{
	size_t before;
	int err = make_room(dma);

	if (err)
		return err;
	if (!find_gap(dma, len, iova, &before)) {
		nvmft_backend_log(dma->dev->backend, NVMFT_LOG_ERROR, "the IOMMU has no room for %zu more bytes", len);
		return -ENOSPC;
	}
	err = dma->dev->ops->map(dma->dev, base, len, *iova);
	if (err)
		return err;
	memmove(&dma->ranges[before + 1], &dma->ranges[before], (dma->nranges - before) * sizeof(*dma->ranges));
	dma->ranges[before] = (struct dma_range){*iova, len};
	dma->nranges++;
	return 0;
}

void nvmft_dma_unmap(struct dma *dma, uint64_t iova)
{
	size_t i = 0;

	while (i < dma->nranges && dma->ranges[i].iova != iova)
		i++;
	if (i == dma->nranges)
		return;
	dma->dev->ops->unmap(dma->dev, iova, (size_t)dma->ranges[i].len);
	dma->nranges--;
	memmove(&dma->ranges[i], &dma->ranges[i + 1], (dma->nranges - i) * sizeof(*dma->ranges));
}

int nvmft_dma_alloc(struct dma *dma, size_t len, struct dma_memory *memory)
{
	int err;

	memory->len = (size_t)align_up(len, NVME_PAGE);
	memory->base = mmap(NULL, memory->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory->base == MAP_FAILED) {
		memory->base = NULL;
		return -ENOMEM;
	}
	err = nvmft_dma_map(dma, memory->base, memory->len, &memory->iova);
	if (err) {
		munmap(memory->base, memory->len);
		memory->base = NULL;
	}
	return err;
}

void nvmft_dma_free(struct dma *dma, struct dma_memory *memory)
{
	if (!memory->base)
		return;
	nvmft_dma_unmap(dma, memory->iova);
	munmap(memory->base, memory->len);
	memory->base = NULL;
}

void nvmft_dma_fini(struct dma *dma)
{
	free(dma->ranges);
	dma->ranges = NULL;
}
