/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the core is told of a namespace.
 */
#include <string.h>

#include "vfio_nvme.h"

#define ONCS_COMPARE 0x01u
#define ONCS_WRITE_UNCORRECTABLE 0x02u
#define ONCS_DSM 0x04u
#define ONCS_WRITE_ZEROES 0x08u
#define ONCS_RESERVATIONS 0x20u
#define ONCS_VERIFY 0x80u
#define ONCS_COPY 0x100u
#define OCFS_FORMAT_0 0x01u

static enum nvmft_capability native_if(bool can)
{
	return can ? NVMFT_CAP_NATIVE : NVMFT_CAP_NONE;
}

/* With protection information the ranges of a Copy would need tags of their own. */
static bool can_copy(const struct vfio_facts *facts, const struct ctrl_facts *ctrl)
{
	return ctrl->oncs & ONCS_COPY && ctrl->ocfs & OCFS_FORMAT_0 && !facts->format.pi_type &&
	       facts->copy.max_range && facts->copy.max_total;
}

static void add_reservations(const struct vfio_facts *facts, struct nvmft_backend_info *info)
{
	info->reservations = facts->rescap;
	nvmft_opcodes_add(&info->commands, OPC_RESV_REGISTER);
	nvmft_opcodes_add(&info->commands, OPC_RESV_REPORT);
	nvmft_opcodes_add(&info->commands, OPC_RESV_ACQUIRE);
	nvmft_opcodes_add(&info->commands, OPC_RESV_RELEASE);
}

static void add_zones(const struct vfio_facts *facts, bool writes, struct nvmft_backend_info *info)
{
	info->zones = facts->zones;
	nvmft_opcodes_add(&info->commands, OPC_ZONE_MGMT_RECEIVE);
	if (writes)
		nvmft_opcodes_add(&info->commands, OPC_ZONE_MGMT_SEND);
	if (writes && facts->appends)
		nvmft_opcodes_add(&info->commands, OPC_ZONE_APPEND);
}

static void add_commands(const struct vfio_nvme *vn, const struct vfio_facts *facts, const struct ctrl_facts *ctrl,
			 struct nvmft_backend_info *info)
{
	bool writes = !info->read_only;

	if (ctrl->oncs & ONCS_VERIFY)
		nvmft_opcodes_add(&info->commands, OPC_VERIFY);
	if (writes && ctrl->oncs & ONCS_WRITE_UNCORRECTABLE)
		nvmft_opcodes_add(&info->commands, OPC_WRITE_UNCORRECTABLE);
	if (writes && can_copy(facts, ctrl)) {
		nvmft_opcodes_add(&info->commands, OPC_COPY);
		info->copy = facts->copy;
	}
	if (vn->reservations && ctrl->oncs & ONCS_RESERVATIONS && facts->rescap)
		add_reservations(facts, info);
	if (facts->format.csi == CSI_ZONED)
		add_zones(facts, writes, info);
}

/* Compare has its metadata compared, too, which only the core's way of doing it leaves out. */
static void add_capabilities(const struct vfio_format *f, const struct ctrl_facts *ctrl,
			     struct nvmft_backend_info *info)
{
	bool writes = !info->read_only;

	info->flush = NVMFT_CAP_NATIVE;
	info->fua = native_if(writes);
	info->write_zeroes = native_if(writes && ctrl->oncs & ONCS_WRITE_ZEROES);
	info->deallocate = native_if(writes && ctrl->oncs & ONCS_DSM);
	info->compare = native_if(ctrl->oncs & ONCS_COMPARE && !f->pi_type && !f->meta);
}

void nvmft_vfio_facts_info(const struct vfio_nvme *vn, const struct vfio_facts *facts, const struct ctrl *ctrl,
			   struct nvmft_backend_info *info)
{
	info->block_size = 1u << facts->format.shift;
	info->admin_commands = vn->admin_commands;
	info->blocks = facts->blocks;
	info->read_only = vn->read_only || facts->write_protected;
	info->volatile_cache = ctrl->facts.volatile_cache;
	info->deallocated_zero = facts->deallocated_zero;
	info->thin = facts->thin;
	info->align = facts->format.sgl == SGL_NONE ? NVME_PAGE : sizeof(uint32_t);
	info->depth = vn->depth;
	info->needs_regions = true;
	info->preferred_blocks = facts->preferred_blocks;
	info->csi = facts->format.csi;
	info->atomicity = facts->atomicity;
	memcpy(info->uuid, facts->uuid, sizeof(info->uuid));
	memcpy(info->nguid, facts->nguid, sizeof(info->nguid));
	memcpy(info->eui64, facts->eui64, sizeof(info->eui64));
	add_capabilities(&facts->format, &ctrl->facts, info);
	add_commands(vn, facts, &ctrl->facts, info);
}
