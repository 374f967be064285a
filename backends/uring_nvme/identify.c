/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the device says of itself, from the data structures of Identify. They are as hostile as anything from outside.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "identify.h"

#define PAGE_BYTES 4096u

/* NIDT, NIDL, and two bytes of nothing. */
#define DESCRIPTOR_HEAD 4u

#define CTRATT_ELBAS (1u << 15)
#define NSFEAT_THIN (1u << 0)
#define NSFEAT_ATOMIC (1u << 1)
#define NSFEAT_OPTPERF (1u << 4)
#define FLBAS_EXTENDED (1u << 4)
#define DPS_TYPE 7u
#define OZCS_RAZB (1u << 0)
#define DLFEAT_READ_MASK 7u
#define DLFEAT_READS_ZEROES 1u
#define DLFEAT_DEAC (1u << 3)

/* Protection information formats (NVM Command Set 1.0, 5.2.1). */
#define PIF_16 0u
#define PIF_64 2u
#define PI_16_BYTES 8u
#define PI_64_BYTES 16u
/* Storage tag and reference tag together. */
#define PI_16_TAG_BITS 32u
#define PI_64_TAG_BITS 48u

static int refuse(char *why, const char *what, uint64_t value)
{
	snprintf(why, NG_WHY, "%s %" PRIu64, what, value);
	return -EOPNOTSUPP;
}

static void take_descriptor(struct ng_facts *f, uint8_t type, const uint8_t *id, uint8_t len)
{
	if (type == NVME_NIDT_UUID && len >= sizeof(f->uuid))
		memcpy(f->uuid, id, sizeof(f->uuid));
	else if (type == NVME_NIDT_CSI)
		f->csi = *id;
}

/* By bytes, as lengths that a device makes up put later entries at any address. */
int nvmft_ng_take_descriptors(struct ng_facts *f, const uint8_t *list, char *why)
{
	size_t at = 0;

	while (at + DESCRIPTOR_HEAD < PAGE_BYTES) {
		uint8_t type = list[at], len = list[at + 1];

		at += DESCRIPTOR_HEAD;
		if (!len || at + len > PAGE_BYTES)
			break;
		take_descriptor(f, type, &list[at], len);
		at += len;
	}
	return f->csi == NVME_CSI_NVM || f->csi == NVME_CSI_ZNS ? 0 : refuse(why, "command set", f->csi);
}

static uint32_t to_u32(uint64_t value)
{
	return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

/* All are 0's based. */
static void take_atomicity(struct nvmft_atomicity *a, uint16_t normal, uint16_t power_fail, uint16_t compare_write)
{
	a->normal = le16toh(normal) + 1u;
	a->power_fail = le16toh(power_fail) + 1u;
	a->compare_write = le16toh(compare_write) + 1u;
}

void nvmft_ng_take_ctrl(struct ng_facts *f, const struct nvme_id_ctrl *id)
{
	f->oncs = le16toh(id->oncs);
	f->mdts = id->mdts;
	f->volatile_cache = id->vwc & 1;
	f->extended_formats = le32toh(id->ctratt) & CTRATT_ELBAS;
	take_atomicity(&f->atomicity, id->awun, id->awupf, id->acwu);
}

/* Limits of single commands; devices before NVMe 2.0 know none. */
void nvmft_ng_take_ctrl_nvm(struct ng_facts *f, const struct nvme_id_ctrl_nvm *id)
{
	uint64_t all_ranges = le64toh(id->dmsl);

	f->max_deallocate = le32toh(id->dmrsl);
	if (all_ranges && (!f->max_deallocate || all_ranges < f->max_deallocate))
		f->max_deallocate = to_u32(all_ranges);
	if (id->wzsl && id->wzsl < 32)
		f->max_zeroes = to_u32(((uint64_t)PAGE_BYTES << id->wzsl) / f->block_size);
}

static void take_ns_atomicity(struct ng_facts *f, const struct nvme_id_ns *id)
{
	if (id->nsfeat & NSFEAT_ATOMIC)
		take_atomicity(&f->atomicity, id->nawun, id->nawupf, id->nacwu);
	/* 0 is none, the others are 0's based. */
	if (id->nabsn)
		f->atomicity.boundary = le16toh(id->nabsn) + 1u;
	if (id->nabspf)
		f->atomicity.boundary_power_fail = le16toh(id->nabspf) + 1u;
	if (id->nabsn || id->nabspf)
		f->atomicity.boundary_offset = le16toh(id->nabo);
}

static void take_copy(struct ng_facts *f, const struct nvme_id_ns *id)
{
	f->copy.max_range = le16toh(id->mssrl);
	f->copy.max_total = le32toh(id->mcl);
	f->copy.max_ranges = id->msrc;
}

int nvmft_ng_take_ns(struct ng_facts *f, const struct nvme_id_ns *id, char *why)
{
	const struct nvme_lbaf *lbaf;

	f->format = (uint8_t)((id->flbas & 0xf) | (id->flbas >> 1 & 0x30));
	lbaf = &id->lbaf[f->format];
	f->blocks = le64toh(id->nsze);
	if (!f->blocks) {
		(void)refuse(why, "an inactive namespace, of blocks:", 0);
		return -ENOENT;
	}
	if (lbaf->ds != 9 && lbaf->ds != 12)
		return refuse(why, "an LBA format with blocks of bytes, as a power of two:", lbaf->ds);
	f->block_size = 1u << lbaf->ds;
	f->thin = id->nsfeat & NSFEAT_THIN;
	f->write_protected = id->nsattr & 1;
	f->deallocated_zero = (id->dlfeat & DLFEAT_READ_MASK) == DLFEAT_READS_ZEROES;
	f->deac = id->dlfeat & DLFEAT_DEAC;
	f->reservations = id->rescap;
	if (id->nsfeat & NSFEAT_OPTPERF)
		f->preferred_blocks = le16toh(id->npwg) + 1u;
	take_ns_atomicity(f, id);
	take_copy(f, id);
	memcpy(f->nguid, id->nguid, sizeof(f->nguid));
	memcpy(f->eui64, id->eui64, sizeof(f->eui64));
	return 0;
}

static int take_pi(struct ng_facts *f, uint8_t type, uint32_t elbaf, char *why)
{
	uint32_t storage_bits = elbaf & 0x7f, format = elbaf >> 7 & 3, tag_bits;

	if (type > 3)
		return refuse(why, "protection information of type", type);
	if (format != PIF_16 && format != PIF_64)
		return refuse(why, "protection information with a guard that is neither 16 nor 64 bits wide, format",
			      format);
	tag_bits = format == PIF_64 ? PI_64_TAG_BITS : PI_16_TAG_BITS;
	if (storage_bits > tag_bits)
		return refuse(why, "protection information with a storage tag of impossible size,", storage_bits);
	f->pi = (struct ng_pi){type, format == PIF_64, (uint8_t)(tag_bits - storage_bits)};
	return 0;
}

/*
 * The device strips metadata that is nothing but protection information, wherever it lies (PRACT). All other metadata
 * is transferred, which can be hidden from hosts only where it has a buffer of its own.
 */
int nvmft_ng_take_ns_nvm(struct ng_facts *f, const struct nvme_id_ns *ns, const struct nvme_nvm_id_ns *id, char *why)
{
	uint32_t bytes = le16toh(ns->lbaf[f->format].ms);
	int ret = 0;

	if (ns->dps & DPS_TYPE)
		ret = take_pi(f, ns->dps & DPS_TYPE, id ? le32toh(id->elbaf[f->format]) : 0, why);
	if (ret)
		return ret;
	if (f->pi.type && bytes < (f->pi.guard64 ? PI_64_BYTES : PI_16_BYTES))
		return refuse(why, "protection information in too little metadata, bytes per block:", bytes);
	if (f->pi.type && bytes == (f->pi.guard64 ? PI_64_BYTES : PI_16_BYTES))
		return 0;
	if (bytes && ns->flbas & FLBAS_EXTENDED)
		return refuse(why, "metadata at the end of each block (an extended LBA format), bytes:", bytes);
	f->metadata = bytes;
	return 0;
}

int nvmft_ng_take_ns_zoned(struct ng_facts *f, const struct nvme_zns_id_ns *id, char *why)
{
	const struct nvme_zns_lbafe *lbafe = &id->lbafe[f->format];
	uint64_t size = le64toh(lbafe->zsze);

	if (!size || size > f->blocks)
		return refuse(why, "zones of impossible size, in blocks:", size);
	f->zones.zone_blocks = size;
	f->zones.descriptor_extension = lbafe->zdes;
	f->zones.max_active = le32toh(id->mar);
	f->zones.max_open = le32toh(id->mor);
	f->zones.characteristics = le16toh(id->zoc);
	/* Zone Random Write Areas would need more facts than hosts are told. */
	f->zones.optional = le16toh(id->ozcs) & OZCS_RAZB;
	return 0;
}

void nvmft_ng_take_ctrl_zoned(struct ng_facts *f, const struct nvme_zns_id_ctrl *id)
{
	f->zones.append_limit = id->zasl;
}
