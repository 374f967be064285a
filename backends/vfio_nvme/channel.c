/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A namespace in a poll group: its share of the group's queue pair, and the memory that the device reaches.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vfio_nvme.h"

/* Metadata needs more than a range and a buffer. All else of two pages is one command, as no MDTS is less. */
static bool has_short_way(const struct vfio_format *format)
{
	return !format->pi_type && !format->meta &&
	       (uint64_t)format->limits.data << format->shift >= SHORT_PAGES * NVME_PAGE;
}

int nvmft_vfio_channel_open(struct nvmft_channel *channel)
{
	struct vfio_nvme *vn = channel->backend->priv;
	struct vfio_channel *ch = channel->priv;
	int err;

	ch->pub = channel;
	ch->vn = vn;
	ch->dws[NVMFT_IO_READ] = dwords(OPC_READ, vn->nsid);
	ch->dws[NVMFT_IO_WRITE] = dwords(OPC_WRITE, vn->nsid);
	TAILQ_INIT(&ch->done);
	TAILQ_INIT(&ch->passes);
	ch->pair = nvmft_pair_get(vn->ctrl, channel->group, &err);
	return ch->pair ? 0 : err;
}

/* Regions of the group may still be mapped when the opening did not get to its end. */
void nvmft_vfio_channel_close(struct nvmft_channel *channel)
{
	struct vfio_channel *ch = channel->priv;
	struct device *dev = ch->vn->ctrl->dev;

	for (uint32_t i = 0; i < ch->nregions; i++)
		if (ch->regions[i].base)
			dev->ops->unmap(dev, region_iova(&ch->regions[i], ch->regions[i].base));
	free(ch->regions);
	nvmft_pair_put(ch->pair);
}

/* ---- memory ---- */

static int grow_regions(struct vfio_channel *ch, uint32_t index)
{
	uint32_t n = ch->nregions ? ch->nregions : 16;
	struct vfio_region *regions;

	while (n <= index)
		n *= 2;
	if (n == ch->nregions)
		return 0;
	regions = realloc(ch->regions, n * sizeof(*regions));
	if (!regions)
		return -ENOMEM;
	memset(regions + ch->nregions, 0, (n - ch->nregions) * sizeof(*regions));
	ch->regions = regions;
	ch->nregions = n;
	ch->short_regions = has_short_way(&ch->vn->format) ? n : 0;
	return 0;
}

/*
 * The memory is mapped once for the device, however many namespaces and groups ask: the device counts. This is the one
 * place of a poll group that may wait, for the kernel to lock 2 MiB of memory, as the core needs it at once.
 */
int nvmft_vfio_region_add(struct nvmft_channel *channel, const struct nvmft_region *region)
{
	struct vfio_channel *ch = channel->priv;
	struct device *dev = ch->vn->ctrl->dev;
	int err = grow_regions(ch, region->index);
	uint64_t iova;

	if (err)
		return err;
	err = dev->ops->map(dev, region->base, region->len, &iova);
	if (err)
		return err;
	ch->regions[region->index] = region_at(region->base, iova);
	return 0;
}

void nvmft_vfio_region_remove(struct nvmft_channel *channel, const struct nvmft_region *region)
{
	struct vfio_channel *ch = channel->priv;
	struct device *dev = ch->vn->ctrl->dev;

	dev->ops->unmap(dev, region_iova(&ch->regions[region->index], region->base));
	ch->regions[region->index].base = NULL;
}
