/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the core is told of a namespace of an SSD.
 */
#include <string.h>

#include "identify.h"

#define PAGE_BYTES 4096u
#define OCFS_FORMAT_0 0x01u

static enum nvmft_capability native(bool can)
{
	return can ? NVMFT_CAP_NATIVE : NVMFT_CAP_NONE;
}

/*
 * Compare is the device's where it compares nothing but data. With metadata it would compare that, too; with protection
 * information it wants the host to send some.
 */
static void put_capabilities(const struct ssd_facts *f, struct nvmft_backend_info *info)
{
	bool writable = !info->read_only;

	info->flush = NVMFT_CAP_NATIVE;
	info->fua = native(writable);
	info->write_zeroes = native(writable && f->ctrl.oncs & SSD_ONCS_WRITE_ZEROES);
	info->deallocate = native(writable && f->ctrl.oncs & SSD_ONCS_DSM);
	info->compare = native(f->ctrl.oncs & SSD_ONCS_COMPARE && !f->pi.type && !f->metadata);
}

static void put_reservations(const struct ssd_facts *f, struct nvmft_backend_info *info)
{
	info->reservations = f->reservations;
	nvmft_opcodes_add(&info->commands, SSD_OPC_RESERVATION_REGISTER);
	nvmft_opcodes_add(&info->commands, SSD_OPC_RESERVATION_REPORT);
	nvmft_opcodes_add(&info->commands, SSD_OPC_RESERVATION_ACQUIRE);
	nvmft_opcodes_add(&info->commands, SSD_OPC_RESERVATION_RELEASE);
}

/* With descriptors of format 0, the only ones that are passed on. */
static bool can_copy(const struct ssd_facts *f, const struct ssd_serving *s)
{
	return s->copy && f->ctrl.oncs & SSD_ONCS_COPY && f->ctrl.ocfs & OCFS_FORMAT_0 && f->copy.max_range &&
	       f->copy.max_total;
}

static void put_commands(const struct ssd_facts *f, const struct ssd_serving *s, struct nvmft_backend_info *info)
{
	bool writable = !info->read_only;

	if (f->ctrl.oncs & SSD_ONCS_VERIFY)
		nvmft_opcodes_add(&info->commands, SSD_OPC_VERIFY);
	if (writable && f->ctrl.oncs & SSD_ONCS_WRITE_UNCORRECTABLE)
		nvmft_opcodes_add(&info->commands, SSD_OPC_WRITE_UNCORRECTABLE);
	if (writable && can_copy(f, s)) {
		nvmft_opcodes_add(&info->commands, SSD_OPC_COPY);
		info->copy = f->copy;
	}
	if (s->reservations && f->ctrl.oncs & SSD_ONCS_RESERVATIONS && f->reservations)
		put_reservations(f, info);
}

/* An append cannot be split: as MDTS counts, the most that goes in one command. 0, which would be no limit: none. */
static uint8_t append_limit(const struct ssd_facts *f, const struct ssd_serving *s)
{
	uint8_t most = 0, own = f->zones.append_limit;

	while (most < 19 && (uint64_t)PAGE_BYTES << (most + 1) <= s->whole)
		most++;
	return own && own < most ? own : most;
}

static void put_zones(const struct ssd_facts *f, const struct ssd_serving *s, struct nvmft_backend_info *info)
{
	bool writable = !info->read_only;

	info->zones = f->zones;
	info->zones.append_limit = append_limit(f, s);
	nvmft_opcodes_add(&info->commands, SSD_OPC_ZONE_RECEIVE);
	if (writable)
		nvmft_opcodes_add(&info->commands, SSD_OPC_ZONE_SEND);
	if (writable && f->appends && info->zones.append_limit)
		nvmft_opcodes_add(&info->commands, SSD_OPC_ZONE_APPEND);
}

static void at_most(uint32_t *value, uint64_t most)
{
	if (most < *value)
		*value = (uint32_t)most;
}

/* Writes that are split are atomic only as far as that. */
static void put_atomicity(const struct ssd_facts *f, const struct ssd_serving *s, struct nvmft_backend_info *info)
{
	uint64_t whole = s->whole >> f->shift;

	info->atomicity = f->atomicity;
	at_most(&info->atomicity.normal, whole);
	at_most(&info->atomicity.power_fail, whole);
	at_most(&info->atomicity.compare_write, whole);
}

void nvmft_ssd_info(const struct ssd_facts *f, const struct ssd_serving *s, struct nvmft_backend_info *info)
{
	info->block_size = f->block_size;
	info->blocks = f->blocks;
	info->read_only = s->read_only || f->write_protected;
	info->volatile_cache = f->ctrl.volatile_cache;
	info->deallocated_zero = f->deallocated_zero;
	info->thin = f->thin;
	info->preferred_blocks = f->preferred_blocks;
	info->csi = f->csi;
	info->admin_commands = *s->admin_commands;
	if (nvmft_opcodes_has(&info->admin_commands, SSD_ADMIN_SANITIZE))
		info->sanitize = f->ctrl.sanicap;
	memcpy(info->uuid, f->uuid, sizeof(info->uuid));
	memcpy(info->nguid, f->nguid, sizeof(info->nguid));
	memcpy(info->eui64, f->eui64, sizeof(info->eui64));
	put_capabilities(f, info);
	put_commands(f, s, info);
	put_atomicity(f, s, info);
	if (f->csi == NVME_CSI_ZNS)
		put_zones(f, s, info);
}
