/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_VFIO_NVME_DMA_H
#define NVMFT_BACKENDS_VFIO_NVME_DMA_H

#include "device.h"

struct dma_range {
	uint64_t iova;
	uint64_t len;
};

/* struct dma - the device's address space: what is mapped, sorted by address. Used under the controller's lock. */
struct dma {
	struct device *dev;
	struct dma_range *ranges;
	size_t nranges, cap_ranges;
};

/* Memory of the driver's own: queues, PRP lists, data of admin commands. */
struct dma_memory {
	void *base;
	size_t len;
	uint64_t iova;
};

/* Whole pages. Return: 0; -errno, logged. */
int nvmft_dma_map(struct dma *dma, void *base, size_t len, uint64_t *iova);
void nvmft_dma_unmap(struct dma *dma, uint64_t iova);

/* Zeroed. @len is rounded up to pages. */
int nvmft_dma_alloc(struct dma *dma, size_t len, struct dma_memory *memory);
void nvmft_dma_free(struct dma *dma, struct dma_memory *memory);

void nvmft_dma_fini(struct dma *dma);

#endif
