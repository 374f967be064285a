/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_VFIO_NVME_DMA_H
#define NVMFT_BACKENDS_VFIO_NVME_DMA_H

#include "device.h"

/* Memory of the driver's own that the device reaches: queues, lists, data of admin commands. */
struct dma_memory {
	void *base;
	size_t len;
	uint64_t iova;
};

/* Zeroed. @len is rounded up to pages. Return: 0; -errno, logged. */
int nvmft_dma_alloc(struct device *dev, size_t len, struct dma_memory *memory);
void nvmft_dma_free(struct device *dev, struct dma_memory *memory);

#endif
