/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rdma.h"

/*
 * Memory registrations: one per region and protection domain. Hosts get no access to our memory: it is us who read and
 * write theirs.
 */

static int table_grow(void **table, uint32_t *n, uint32_t index, size_t entry)
{
	uint32_t cap = *n ? *n : 8;
	char *grown;

	if (index < *n)
		return 0;
	while (cap <= index)
		cap *= 2;
	grown = realloc(*table, cap * entry);
	if (!grown)
		return -ENOMEM;
	memset(grown + *n * entry, 0, (cap - *n) * entry);
	*table = grown;
	*n = cap;
	return 0;
}

static int dev_register(struct rdma_dev *dev, const struct nvmft_region *region)
{
	int ret = table_grow((void **)&dev->mrs, &dev->nmrs, region->index, sizeof(*dev->mrs));

	if (ret)
		return ret;
	dev->mrs[region->index] = ibv_reg_mr(dev->pd, region->base, region->len, IBV_ACCESS_LOCAL_WRITE);
	return dev->mrs[region->index] ? 0 : -errno;
}

static void dev_unregister(struct rdma_dev *dev, uint32_t index)
{
	if (index >= dev->nmrs || !dev->mrs[index])
		return;
	ibv_dereg_mr(dev->mrs[index]);
	dev->mrs[index] = NULL;
}

int nvmft_rdma_region_add(struct nvmft_transport_group *tg, const struct nvmft_region *region)
{
	struct rdma_group *rg = tg->priv;
	struct rdma_dev *dev;
	int ret = table_grow((void **)&rg->regions, &rg->nregions, region->index, sizeof(*rg->regions));

	if (ret)
		return ret;
	rg->regions[region->index] = *region;
	LIST_FOREACH (dev, &rg->devs, link) {
		/* What is at its end must not keep others from memory, and needs none. */
		if (dev->dead)
			continue;
		ret = dev_register(dev, region);
		if (ret) {
			nvmft_rdma_region_remove(tg, region);
			return ret;
		}
	}
	return 0;
}

void nvmft_rdma_region_remove(struct nvmft_transport_group *tg, const struct nvmft_region *region)
{
	struct rdma_group *rg = tg->priv;
	struct rdma_dev *dev;

	LIST_FOREACH (dev, &rg->devs, link)
		dev_unregister(dev, region->index);
	rg->regions[region->index].base = NULL;
}

/* A new device: what is there already. */
int nvmft_rdma_mem_init(struct rdma_dev *dev)
{
	int ret;

	for (uint32_t i = 0; i < dev->rg->nregions; i++) {
		if (!dev->rg->regions[i].base)
			continue;
		ret = dev_register(dev, &dev->rg->regions[i]);
		if (ret)
			return ret;
	}
	return 0;
}

void nvmft_rdma_mem_fini(struct rdma_dev *dev)
{
	for (uint32_t i = 0; i < dev->nmrs; i++)
		dev_unregister(dev, i);
	free(dev->mrs);
	dev->mrs = NULL;
	dev->nmrs = 0;
}
