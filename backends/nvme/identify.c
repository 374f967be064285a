/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a device says of itself, from the data structures of Identify. They are as hostile as anything from outside.
 */
#include "identify.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAGE_BYTES 4096u

/* NIDT, NIDL, and two bytes of nothing. */
#define DESCRIPTOR_HEAD 4u

#define CTRATT_ELBAS (1u << 15)
#define NSFEAT_THIN (1u << 0)
#define NSFEAT_ATOMIC (1u << 1)
#define NSFEAT_OPTPERF (1u << 4)
#define FLBAS_EXTENDED (1u << 4)
#define DPS_TYPE 7u
#define DPS_FIRST (1u << 3)
#define OZCS_RAZB (1u << 0)
#define DLFEAT_READ_MASK 7u
#define DLFEAT_READS_ZEROES 1u
#define DLFEAT_DEAC (1u << 3)
#define EFFECT_SUPPORTED 1u

/* Format NVM, CDW10 (NVMe Base 2.0, 5.14) */
#define FORMAT_LBAF(cdw10) (((cdw10)&0xf) | ((cdw10) >> 8 & 0x30))
#define FORMAT_PI(cdw10) ((cdw10) >> 5 & 7)
#define FORMAT_ERASE(cdw10) ((cdw10) >> 9 & 7)
#define FORMAT_FIELDS 0x31ffu /* all but the erase */
#define FNA_FORMATS_ALL (1u << 0)
#define FNA_ERASES_ALL (1u << 1)

#define STATUS_INVALID_FIELD (NVMFT_STATUS(0, 0x02) | NVMFT_STATUS_DNR)
#define STATUS_INVALID_FORMAT (NVMFT_STATUS(1, 0x0a) | NVMFT_STATUS_DNR)

/* NLB has 16 bits, 0's based. */
#define MAX_NLB 65536u

/* By enum ssd_pi_format; storage tag and reference tag share their bits. */
static const struct {
	uint8_t bytes;
	uint8_t tag_bits;
} pi_formats[] = {{8, 32}, {16, 80}, {16, 48}};

static int refuse(char *why, const char *what, uint64_t value)
{
	snprintf(why, SSD_WHY, "%s %" PRIu64, what, value);
	return -EOPNOTSUPP;
}

static uint32_t to_u32(uint64_t value)
{
	return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

/* ---- the controller ---- */

void nvmft_ssd_take_ctrl(struct ssd_ctrl *ctrl, const struct nvme_id_ctrl *id)
{
	ctrl->sanicap = le32toh(id->sanicap);
	ctrl->oncs = le16toh(id->oncs);
	ctrl->ocfs = le16toh(id->ocfs);
	ctrl->mdts = id->mdts;
	ctrl->fna = id->fna;
	ctrl->volatile_cache = id->vwc & 1;
	ctrl->extended_formats = le32toh(id->ctratt) & CTRATT_ELBAS;
	ctrl->awun = le16toh(id->awun);
	ctrl->awupf = le16toh(id->awupf);
	ctrl->acwu = le16toh(id->acwu);
}

/* A power of two of 4096 bytes; 0: no limit is named. */
static uint32_t limit_of(const struct ssd_facts *f, uint8_t power)
{
	uint64_t blocks = power < 32 ? (UINT64_C(4096) << power) >> f->shift : MAX_NLB;

	return !power ? 0 : blocks < MAX_NLB ? (uint32_t)blocks : MAX_NLB;
}

/* Limits of single commands; devices before NVMe 2.0 know none. */
void nvmft_ssd_take_ctrl_nvm(struct ssd_facts *f, const struct nvme_id_ctrl_nvm *id)
{
	uint64_t all_ranges = le64toh(id->dmsl);

	f->max_verify = limit_of(f, id->vsl);
	f->max_zeroes = limit_of(f, id->wzsl);
	f->max_uncorrectable = limit_of(f, id->wusl);
	f->max_deallocate = le32toh(id->dmrsl);
	if (all_ranges && (!f->max_deallocate || all_ranges < f->max_deallocate))
		f->max_deallocate = to_u32(all_ranges);
}

/* ---- identifiers ---- */

static void take_descriptor(struct ssd_facts *f, uint8_t type, const uint8_t *id, uint8_t len)
{
	if (type == NVME_NIDT_EUI64 && len == sizeof(f->eui64))
		memcpy(f->eui64, id, sizeof(f->eui64));
	else if (type == NVME_NIDT_NGUID && len == sizeof(f->nguid))
		memcpy(f->nguid, id, sizeof(f->nguid));
	else if (type == NVME_NIDT_UUID && len == sizeof(f->uuid))
		memcpy(f->uuid, id, sizeof(f->uuid));
	else if (type == NVME_NIDT_CSI && len == 1)
		f->csi = *id;
}

/* By bytes, as lengths that a device makes up put later entries at any address. */
int nvmft_ssd_take_descriptors(struct ssd_facts *f, const uint8_t *list, char *why)
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

static void take_missing(uint8_t *to, const uint8_t *from, size_t len)
{
	static const uint8_t zero[16];

	if (!memcmp(to, zero, len))
		memcpy(to, from, len);
}

/* ---- the namespace ---- */

/* All are 0's based; a namespace that says 0 is as the controller. */
static uint32_t or_else(uint16_t value, uint16_t other)
{
	return (value ? value : other) + 1u;
}

static void take_atomicity(struct ssd_facts *f, const struct nvme_id_ns *id)
{
	struct nvmft_atomicity *a = &f->atomicity;
	bool own = id->nsfeat & NSFEAT_ATOMIC;

	a->normal = or_else(own ? le16toh(id->nawun) : 0, f->ctrl.awun);
	a->power_fail = or_else(own ? le16toh(id->nawupf) : 0, f->ctrl.awupf);
	a->compare_write = or_else(own ? le16toh(id->nacwu) : 0, f->ctrl.acwu);
	/* 0 is none, the others are 0's based. */
	a->boundary = id->nabsn ? le16toh(id->nabsn) + 1u : 0;
	a->boundary_power_fail = id->nabspf ? le16toh(id->nabspf) + 1u : 0;
	a->boundary_offset = a->boundary || a->boundary_power_fail ? le16toh(id->nabo) : 0;
}

static void take_features(struct ssd_facts *f, const struct nvme_id_ns *id)
{
	f->thin = id->nsfeat & NSFEAT_THIN;
	f->write_protected = id->nsattr & 1;
	f->deallocated_zero = (id->dlfeat & DLFEAT_READ_MASK) == DLFEAT_READS_ZEROES;
	f->can_deallocate_zeroes = f->deallocated_zero && id->dlfeat & DLFEAT_DEAC;
	f->reservations = id->rescap;
	if (id->nsfeat & NSFEAT_OPTPERF)
		f->preferred_blocks = le16toh(id->npwg) + 1u;
	f->copy.max_range = le16toh(id->mssrl);
	f->copy.max_total = le32toh(id->mcl);
	f->copy.max_ranges = id->msrc;
}

int nvmft_ssd_take_ns(struct ssd_facts *f, const struct nvme_id_ns *id, char *why)
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
	f->shift = lbaf->ds;
	f->block_size = 1u << lbaf->ds;
	f->format_metadata = le16toh(lbaf->ms);
	f->extended = f->format_metadata && id->flbas & FLBAS_EXTENDED;
	take_features(f, id);
	take_atomicity(f, id);
	take_missing(f->nguid, id->nguid, sizeof(f->nguid));
	take_missing(f->eui64, id->eui64, sizeof(f->eui64));
	return 0;
}

static int take_pi(struct ssd_facts *f, uint8_t dps, uint32_t elbaf, char *why)
{
	uint32_t storage_bits = elbaf & 0x7f, format = elbaf >> 7 & 3;

	if ((dps & DPS_TYPE) > 3)
		return refuse(why, "protection information of type", dps & DPS_TYPE);
	if (format >= sizeof(pi_formats) / sizeof(pi_formats[0]))
		return refuse(why, "protection information of unknown format", format);
	if (storage_bits > pi_formats[format].tag_bits)
		return refuse(why, "protection information with a storage tag of impossible size,", storage_bits);
	if (f->format_metadata < pi_formats[format].bytes)
		return refuse(why,
			      "protection information in too little metadata, bytes per block:", f->format_metadata);
	f->pi = (struct ssd_pi){
		.type = dps & DPS_TYPE,
		.format = (uint8_t)format,
		.ref_bits = (uint8_t)(pi_formats[format].tag_bits - storage_bits),
		.first = dps & DPS_FIRST,
	};
	return 0;
}

/*
 * The device strips metadata that is nothing but protection information, wherever it lies (PRACT). All other metadata
 * is transferred, which can be hidden from hosts only where it has a buffer of its own.
 */
int nvmft_ssd_take_ns_nvm(struct ssd_facts *f, const struct nvme_id_ns *ns, const struct nvme_nvm_id_ns *id, char *why)
{
	int ret = 0;

	f->metadata = 0;
	f->pi = (struct ssd_pi){0};
	if (ns->dps & DPS_TYPE)
		ret = take_pi(f, ns->dps, id ? le32toh(id->elbaf[f->format]) : 0, why);
	if (ret)
		return ret;
	if (f->pi.type && f->format_metadata == pi_formats[f->pi.format].bytes)
		return 0;
	if (f->extended)
		return refuse(why,
			      "metadata at the end of each block (an extended LBA format), bytes:", f->format_metadata);
	f->metadata = f->format_metadata;
	return 0;
}

/* ---- zones ---- */

int nvmft_ssd_take_ns_zoned(struct ssd_facts *f, const struct nvme_zns_id_ns *id, char *why)
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

void nvmft_ssd_take_ctrl_zoned(struct ssd_facts *f, const struct nvme_zns_id_ctrl *id)
{
	f->zones.append_limit = id->zasl;
}

void nvmft_ssd_take_effects(struct ssd_facts *f, const struct nvme_cmd_effects_log *log)
{
	f->appends = le32toh(log->iocs[SSD_OPC_ZONE_APPEND]) & EFFECT_SUPPORTED;
}

/* ---- has it changed? ---- */

static bool same_pi(const struct ssd_pi *a, const struct ssd_pi *b)
{
	return a->type == b->type && a->format == b->format && a->ref_bits == b->ref_bits && a->first == b->first;
}

bool nvmft_ssd_same_format(const struct ssd_facts *a, const struct ssd_facts *b)
{
	return a->shift == b->shift && a->csi == b->csi && a->format_metadata == b->format_metadata &&
	       a->extended == b->extended && same_pi(&a->pi, &b->pi) && a->zones.zone_blocks == b->zones.zone_blocks &&
	       a->zones.descriptor_extension == b->zones.descriptor_extension;
}

/* ---- may it change? ---- */

/* Hosts see one LBA format, without metadata: whatever the device has is index 0 to them. */
static bool asks_for_same(uint32_t cdw10)
{
	return FORMAT_LBAF(cdw10) == 0 && FORMAT_PI(cdw10) == 0;
}

uint32_t nvmft_ssd_device_format(const struct ssd_facts *f, uint32_t cdw10)
{
	return (cdw10 & ~FORMAT_FIELDS) | (f->format & 0xf) | (f->format & 0x30u) << 8 | (uint32_t)f->extended << 4 |
	       (uint32_t)f->pi.type << 5 | (uint32_t)f->pi.first << 8;
}

nvmft_status nvmft_ssd_check_format(const struct ssd_facts *f, uint32_t cdw10)
{
	if (!asks_for_same(cdw10))
		return STATUS_INVALID_FORMAT;
	if (f->ctrl.fna & FNA_FORMATS_ALL || (f->ctrl.fna & FNA_ERASES_ALL && FORMAT_ERASE(cdw10)))
		return STATUS_INVALID_FIELD;
	return 0;
}
