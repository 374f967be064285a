/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the device says of a namespace.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <nvme/types.h>

#include "vfio_nvme.h"

#define CNS_NS 0x00
#define CNS_NS_DESCRIPTORS 0x03
#define CNS_CSI_NS 0x05
#define CNS_CSI_CTRL 0x06

#define NIDT_EUI64 1
#define NIDT_NGUID 2
#define NIDT_UUID 3
#define NIDT_CSI 4

#define FLBAS_EXTENDED 0x10u
#define NSFEAT_THIN 0x01u
#define NSFEAT_ATOMICITY 0x02u
#define NSFEAT_OPTPERF 0x10u
#define DLFEAT_READ_MASK 7u
#define DLFEAT_READS_ZEROES 1u
#define DLFEAT_DEAC 8u

#define CTRATT_EXTENDED_FORMATS 0x8000u
#define HOST_BEHAVIOR_LBAFEE 2 /* byte */

#define LOG_EFFECTS 0x05u
#define EFFECT_SUPPORTED 1u

/* What is moved without being looked at: not more than this. */
#define META_BYTES (128u << 10)

/* Sizes of the formats of protection information, by PIF: 16, 32 and 64 bits of guard (NVM Command Set 1.0, 5.2.1) */
static const struct {
	uint8_t bytes;
	uint8_t tag_bits; /* storage and reference tag together */
} pi_formats[] = {{8, 32}, {16, 80}, {16, 48}};

/* struct reading - facts in the making */
struct reading {
	struct ctrl *ctrl;
	uint32_t nsid;
	uint8_t format_index;
	struct vfio_facts *facts;
};

static int complain(const struct reading *r, const char *what)
{
	nvmft_device_log(r->ctrl->dev, NVMFT_LOG_ERROR, "nsid: namespace %" PRIu32 " of the device %s", r->nsid, what);
	return -EINVAL;
}

/* What older devices do not know. Return: 0; -errno; above 0 a status. */
static int ask(const struct reading *r, uint8_t cns, uint8_t csi, uint32_t nsid)
{
	struct nvmft_sqe sqe = {
		.opcode = nvme_admin_identify,
		.nsid = htole32(nsid),
		.cdw10 = htole32(cns),
		.cdw11 = htole32((uint32_t)csi << 24),
	};
	uint64_t prp1 = htole64(r->ctrl->page.iova);

	memset(r->ctrl->page.base, 0, NVME_PAGE);
	memcpy(sqe.dptr, &prp1, sizeof(prp1));
	return nvmft_admin_command(r->ctrl, &sqe, NULL);
}

/* ---- identifiers ---- */

/* @desc: type, length, two reserved bytes, the identifier; at any address */
static void take_descriptor(struct vfio_facts *facts, const uint8_t *desc)
{
	const uint8_t *nid = desc + sizeof(struct nvme_ns_id_desc);
	uint8_t nidt = desc[0], nidl = desc[1];

	if (nidt == NIDT_EUI64 && nidl == sizeof(facts->eui64))
		memcpy(facts->eui64, nid, sizeof(facts->eui64));
	else if (nidt == NIDT_NGUID && nidl == sizeof(facts->nguid))
		memcpy(facts->nguid, nid, sizeof(facts->nguid));
	else if (nidt == NIDT_UUID && nidl == sizeof(facts->uuid))
		memcpy(facts->uuid, nid, sizeof(facts->uuid));
	else if (nidt == NIDT_CSI && nidl == 1)
		facts->format.csi = nid[0];
}

/* Devices before NVMe 1.3 lack the list: then there are no identifiers but those of Identify Namespace. */
static int read_descriptors(const struct reading *r)
{
	const uint8_t *page = r->ctrl->page.base;
	int err = ask(r, CNS_NS_DESCRIPTORS, 0, r->nsid);

	for (uint32_t at = 0; !err && at + sizeof(struct nvme_ns_id_desc) < NVME_PAGE;) {
		uint8_t nidl = page[at + 1];
		uint32_t len = (uint32_t)sizeof(struct nvme_ns_id_desc) + nidl;

		if (!nidl || at + len > NVME_PAGE)
			break;
		take_descriptor(r->facts, page + at);
		at += len;
	}
	if (r->facts->format.csi != CSI_NVM && r->facts->format.csi != CSI_ZONED)
		return complain(r, "has a command set that is neither NVM nor zoned");
	return err < 0 ? err : 0;
}

static void take_missing(uint8_t *to, const uint8_t *from, size_t len)
{
	static const uint8_t zero[16];

	if (!memcmp(to, zero, len))
		memcpy(to, from, len);
}

static void take_ids(struct vfio_facts *facts, const struct nvme_id_ns *id)
{
	take_missing(facts->nguid, id->nguid, sizeof(facts->nguid));
	take_missing(facts->eui64, id->eui64, sizeof(facts->eui64));
}

/* ---- Identify Namespace ---- */

static uint32_t or_else(uint16_t value, uint16_t other)
{
	return (value ? value : other) + 1u;
}

/* What is done in several commands is not atomic. */
static void take_atomicity(const struct reading *r, const struct nvme_id_ns *id)
{
	struct nvmft_atomicity *a = &r->facts->atomicity;
	const struct ctrl_facts *ctrl = &r->ctrl->facts;
	uint32_t most = r->facts->format.limits.data;
	bool own = id->nsfeat & NSFEAT_ATOMICITY;

	a->normal = or_else(own ? le16toh(id->nawun) : 0, ctrl->awun);
	a->power_fail = or_else(own ? le16toh(id->nawupf) : 0, ctrl->awupf);
	a->compare_write = or_else(own ? le16toh(id->nacwu) : 0, ctrl->acwu);
	a->normal = a->normal < most ? a->normal : most;
	a->power_fail = a->power_fail < most ? a->power_fail : most;
	a->compare_write = a->compare_write < most ? a->compare_write : most;
	if (!own)
		return;
	a->boundary = id->nabsn ? le16toh(id->nabsn) + 1u : 0;
	a->boundary_power_fail = id->nabspf ? le16toh(id->nabspf) + 1u : 0;
	a->boundary_offset = le16toh(id->nabo);
}

static void take_features(const struct reading *r, const struct nvme_id_ns *id)
{
	struct vfio_facts *facts = r->facts;

	facts->thin = id->nsfeat & NSFEAT_THIN;
	facts->rescap = id->rescap;
	facts->write_protected = id->nsattr & 1;
	facts->deallocated_zero = (id->dlfeat & DLFEAT_READ_MASK) == DLFEAT_READS_ZEROES;
	facts->format.can_dealloc_zeroes = facts->deallocated_zero && id->dlfeat & DLFEAT_DEAC;
	if (id->nsfeat & NSFEAT_OPTPERF)
		facts->preferred_blocks = (uint32_t)le16toh(id->npwg) + 1;
	facts->copy.max_range = le16toh(id->mssrl);
	facts->copy.max_total = le32toh(id->mcl);
	facts->copy.max_ranges = id->msrc;
	take_atomicity(r, id);
}

static void take_limits(const struct reading *r)
{
	struct vfio_format *f = &r->facts->format;
	uint32_t most = (uint32_t)(r->ctrl->facts.max_transfer >> f->shift);

	if (f->meta && most > META_BYTES / f->meta)
		most = META_BYTES / f->meta;
	f->limits = (struct cmd_limits){most, most, UINT32_MAX, most, most};
}

/* Metadata that lies between the blocks would have to be copied there; PRACT takes it away only where it is nothing
 * else. */
static int take_metadata(const struct reading *r, uint16_t bytes, bool extended, uint8_t pif, uint8_t storage_bits)
{
	struct vfio_format *f = &r->facts->format;

	f->meta = bytes;
	if (f->pi_type > 3 || pif >= sizeof(pi_formats) / sizeof(pi_formats[0]))
		return complain(r, "has protection information of an unknown type");
	if (f->pi_type) {
		if (bytes < pi_formats[pif].bytes || storage_bits > pi_formats[pif].tag_bits)
			return complain(r, "has protection information that makes no sense");
		f->ref_bits = (uint8_t)(pi_formats[pif].tag_bits - storage_bits);
		f->meta = bytes == pi_formats[pif].bytes ? 0 : bytes;
	}
	if (f->meta && extended)
		return complain(r,
				"has metadata between its blocks (extended LBAs) and not only protection information: "
				"format it with separate metadata, or without");
	if (f->meta > META_BYTES / 8)
		return complain(r, "has too much metadata per block");
	return 0;
}

/* The page is used for the format's second half, hence all else is taken from it before. */
static int take_format(struct reading *r, const struct nvme_id_ns *id)
{
	struct vfio_format *f = &r->facts->format;
	const struct nvme_lbaf *lbaf;
	const struct nvme_nvm_id_ns *more = r->ctrl->page.base;
	bool extended = id->flbas & FLBAS_EXTENDED;
	uint8_t pif = 0, storage_bits = 0;
	uint16_t meta;

	r->format_index = (uint8_t)((id->flbas & 0xf) | (id->flbas >> 5 & 3) << 4);
	lbaf = &id->lbaf[r->format_index];
	meta = le16toh(lbaf->ms);
	if (lbaf->ds != 9 && lbaf->ds != 12)
		return complain(r, "has blocks of neither 512 nor 4096 bytes");
	f->shift = lbaf->ds;
	f->pi_type = id->dps & 7;
	if (f->pi_type) {
		int err = ask(r, CNS_CSI_NS, CSI_NVM, r->nsid);

		if (err < 0)
			return err;
		pif = err ? 0 : le32toh(more->elbaf[r->format_index]) >> 7 & 3;
		storage_bits = err ? 0 : le32toh(more->elbaf[r->format_index]) & 0x7f;
	}
	return take_metadata(r, meta, extended, pif, storage_bits);
}

static int read_namespace(struct reading *r)
{
	struct vfio_facts *facts = r->facts;
	struct nvme_id_ns id;
	int err = ask(r, CNS_NS, 0, r->nsid);

	memcpy(&id, r->ctrl->page.base, sizeof(id));
	facts->blocks = le64toh(id.nsze);
	if (err > 0 || (!err && !facts->blocks)) {
		(void)complain(r, "does not exist");
		return -ENOENT;
	}
	if (err)
		return err;
	take_ids(facts, &id);
	err = take_format(r, &id);
	if (err)
		return err;
	take_limits(r);
	take_features(r, &id);
	return 0;
}

/* ---- limits ---- */

static uint32_t to_u32(uint64_t value)
{
	return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

/*
 * A limit as a power of two of 4096 bytes. A device that states none may still apply that of data transfers, which is
 * the default.
 */
static void take_limit(uint32_t *limit, uint8_t power, uint8_t shift)
{
	uint64_t blocks = power < 32 ? (UINT64_C(4096) << power) >> shift : MAX_NLB;

	if (power)
		*limit = blocks < MAX_NLB ? (uint32_t)blocks : MAX_NLB;
}

/* Devices before NVMe 2.0 know none. */
static int read_limits(const struct reading *r)
{
	const struct nvme_id_ctrl_nvm *id = r->ctrl->page.base;
	struct vfio_format *f = &r->facts->format;
	int err = ask(r, CNS_CSI_CTRL, CSI_NVM, 0);
	uint64_t dmsl;

	if (err)
		return err < 0 ? err : 0;
	take_limit(&f->limits.verify, id->vsl, f->shift);
	take_limit(&f->limits.zeroes, id->wzsl, f->shift);
	take_limit(&f->limits.uncorrectable, id->wusl, f->shift);
	dmsl = le64toh(id->dmsl);
	if (id->dmrsl)
		f->limits.deallocate = le32toh(id->dmrsl);
	if (dmsl && dmsl < f->limits.deallocate)
		f->limits.deallocate = to_u32(dmsl);
	return 0;
}

/* ---- zones ---- */

/* Zone Append is optional, and only the log of commands tells. */
static int read_effects(const struct reading *r)
{
	const struct nvme_cmd_effects_log *log = r->ctrl->page.base;
	struct nvmft_sqe sqe = {
		.opcode = nvme_admin_get_log_page,
		.nsid = htole32(UINT32_MAX),
		.cdw10 = htole32(LOG_EFFECTS | (NVME_PAGE / 4 - 1) << 16),
		.cdw14 = htole32((uint32_t)CSI_ZONED << 24),
	};
	uint64_t prp1 = htole64(r->ctrl->page.iova);
	int err;

	memset(r->ctrl->page.base, 0, NVME_PAGE);
	memcpy(sqe.dptr, &prp1, sizeof(prp1));
	err = nvmft_admin_command(r->ctrl, &sqe, NULL);
	r->facts->appends =
		!err && r->facts->zones.append_limit && le32toh(log->iocs[OPC_ZONE_APPEND]) & EFFECT_SUPPORTED;
	return err < 0 ? err : 0;
}

/* What an append may have, as MDTS counts. */
static uint8_t append_limit(const struct vfio_format *f, uint8_t zasl)
{
	uint64_t bytes = (uint64_t)f->limits.data << f->shift;
	uint8_t most = 0;

	while (bytes >> most > 2 * (uint64_t)NVME_PAGE - 1)
		most++;
	return zasl && zasl < most ? zasl : most;
}

static int read_zones(const struct reading *r)
{
	const struct nvme_zns_id_ns *id = r->ctrl->page.base;
	const struct nvme_zns_id_ctrl *ctrl = r->ctrl->page.base;
	struct nvmft_zones *zones = &r->facts->zones;
	int err = ask(r, CNS_CSI_NS, CSI_ZONED, r->nsid);

	if (err)
		return err < 0 ? err : complain(r, "is zoned and does not say how");
	zones->zone_blocks = le64toh(id->lbafe[r->format_index].zsze);
	zones->descriptor_extension = id->lbafe[r->format_index].zdes;
	zones->max_active = le32toh(id->mar);
	zones->max_open = le32toh(id->mor);
	zones->characteristics = le16toh(id->zoc);
	zones->optional = le16toh(id->ozcs);
	if (!zones->zone_blocks)
		return complain(r, "has zones of no size");
	err = ask(r, CNS_CSI_CTRL, CSI_ZONED, 0);
	if (err < 0)
		return err;
	zones->append_limit = append_limit(&r->facts->format, err ? 0 : ctrl->zasl);
	return read_effects(r);
}

/* ---- all ---- */

int nvmft_vfio_facts_read(struct ctrl *ctrl, uint32_t nsid, struct vfio_facts *facts)
{
	struct reading r = {.ctrl = ctrl, .nsid = nsid, .facts = facts};
	int err;

	memset(facts, 0, sizeof(*facts));
	facts->format.sgl = (enum sgl_support[]){SGL_NONE, SGL_BYTE, SGL_DWORD, SGL_NONE}[ctrl->facts.sgls & 3];
	err = read_descriptors(&r);
	if (!err)
		err = read_namespace(&r);
	if (!err)
		err = read_limits(&r);
	if (!err && facts->format.csi == CSI_ZONED)
		err = read_zones(&r);
	return err;
}

int nvmft_vfio_format_take(struct vfio_nvme *vn)
{
	struct vfio_format *f = &vn->format;
	size_t len;
	int err;

	*f = vn->facts.format;
	if (!f->meta)
		return 0;
	len = (size_t)f->limits.data * f->meta;
	err = nvmft_dma_alloc(vn->ctrl->dev, len, &vn->zeroes);
	if (!err)
		err = nvmft_dma_alloc(vn->ctrl->dev, len, &vn->sink);
	if (err)
		nvmft_vfio_format_drop(vn);
	f->zeroes = vn->zeroes.iova;
	f->sink = vn->sink.iova;
	return err;
}

void nvmft_vfio_format_drop(struct vfio_nvme *vn)
{
	nvmft_dma_free(vn->ctrl->dev, &vn->sink);
	nvmft_dma_free(vn->ctrl->dev, &vn->zeroes);
}

bool nvmft_vfio_format_equal(const struct vfio_format *a, const struct vfio_format *b)
{
	return a->shift == b->shift && a->csi == b->csi && a->pi_type == b->pi_type && a->ref_bits == b->ref_bits &&
	       a->meta == b->meta && a->sgl == b->sgl && a->can_dealloc_zeroes == b->can_dealloc_zeroes &&
	       !memcmp(&a->limits, &b->limits, sizeof(a->limits));
}

/* ---- what the controller has to know first ---- */

/* Else it hides formats with 32 or 64 bits of guard or with storage tags from drivers that may not know them. */
int nvmft_host_behavior_setup(struct ctrl *ctrl)
{
	struct nvmft_sqe sqe = {.opcode = nvme_admin_set_features, .cdw10 = htole32(NVME_FEAT_FID_HOST_BEHAVIOR)};
	uint64_t prp1 = htole64(ctrl->page.iova);
	uint8_t *page = ctrl->page.base;
	int err;

	if (!(ctrl->facts.ctratt & CTRATT_EXTENDED_FORMATS))
		return 0;
	memset(page, 0, NVME_PAGE);
	page[HOST_BEHAVIOR_LBAFEE] = 1;
	memcpy(sqe.dptr, &prp1, sizeof(prp1));
	err = nvmft_admin_command(ctrl, &sqe, NULL);
	if (err)
		nvmft_device_log(ctrl->dev, NVMFT_LOG_WARN, "Set Features, host behavior: going on without");
	return err < 0 ? err : 0;
}
