/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the core is told of a namespace.
 */
#include "vfio_nvme.h"

/* With protection information the ranges of a Copy would need tags of their own. */
void nvmft_vfio_facts_info(const struct vfio_nvme *vn, const struct vfio_facts *facts, struct nvmft_backend_info *info)
{
	const struct vfio_format *format = &facts->format;
	const struct ssd_serving serving = {
		.read_only = vn->read_only,
		.reservations = vn->reservations,
		.copy = !format->pi_type,
		.whole = (uint64_t)format->limits.data << format->shift,
		.admin_commands = &vn->admin_commands,
	};

	nvmft_ssd_info(&facts->ssd, &serving, info);
	info->align = format->sgl == SGL_NONE ? NVME_PAGE : sizeof(uint32_t);
	info->depth = vn->depth;
	info->needs_regions = true;
}
