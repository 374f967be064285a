/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <sys/mman.h>

#include "dma.h"
#include "regs.h"

int nvmft_dma_alloc(struct device *dev, size_t len, struct dma_memory *memory)
{
	int err;

	memory->len = (len + NVME_PAGE - 1) & ~(size_t)(NVME_PAGE - 1);
	memory->base = mmap(NULL, memory->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory->base == MAP_FAILED) {
		memory->base = NULL;
		return -ENOMEM;
	}
	err = dev->ops->map(dev, memory->base, memory->len, &memory->iova);
	if (err) {
		munmap(memory->base, memory->len);
		memory->base = NULL;
	}
	return err;
}

void nvmft_dma_free(struct device *dev, struct dma_memory *memory)
{
	if (!memory->base)
		return;
	dev->ops->unmap(dev, memory->iova);
	munmap(memory->base, memory->len);
	memory->base = NULL;
}
