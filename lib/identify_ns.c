/* SPDX-License-Identifier: BSD-3-Clause */
#include "admin.h"

_Static_assert(sizeof(struct nvme_id_ns) == IDENTIFY_LEN, "Identify Namespace");

enum {
	NMIC_SHARED = 1 << 0,
	NSATTR_WRITE_PROTECTED = 1 << 0,
	NSTAT_READY = 1 << 0,
	OZCS_READ_ACROSS = 1 << 0,
};

/*
 * The namespace that CDW1 names. An inactive one is no error, it reads as zeroes (Base 2.0, 5.17.2.1); FFFFFFFFh would
 * need Namespace Management.
 * Return: false: the request is completed.
 */
static bool find_ns(struct request *req, const struct ns_view **nsv)
{
	struct nvmft_ctrl *ctrl = req_ctrl(req);
	uint32_t nsid = le32toh(req->pub.sqe.nsid);

	if (!ctrl_nsid_valid(ctrl, nsid)) {
		nvmft_req_complete(req, req_error(req, SC_DNR(INVALID_NS), SQE_LOC(nsid)));
		return false;
	}
	*nsv = ctrl_ns(ctrl, nsid);
	return true;
}

static uint8_t dlfeat(const struct nvmft_backend_info *info)
{
	uint8_t feat = NVME_NS_DLFEAT_RB_NR;

	if (!info->deallocated_zero)
		return feat;
	feat = NVME_NS_DLFEAT_RB_ALL_0S;
	if (info->write_zeroes == NVMFT_CAP_NATIVE && info->deallocate == NVMFT_CAP_NATIVE)
		feat |= NVME_NS_DLFEAT_WRITE_ZEROES;
	return feat;
}

/* Preferred sizes (NVM Command Set 1.0, 5.8.2), 0-based in blocks. */
static void io_hints(struct nvme_id_ns *id, uint32_t preferred)
{
	uint16_t zero_based;

	if (preferred < 2)
		return;
	zero_based = htole16((uint16_t)((preferred > 65536 ? 65536 : preferred) - 1));
	id->nsfeat |= NVME_NS_FEAT_IO_OPT;
	id->npwg = zero_based;
	id->npwa = zero_based;
	id->npdg = zero_based;
	id->npda = zero_based;
	id->nows = zero_based;
}

static uint16_t blocks16(uint32_t blocks)
{
	return htole16((uint16_t)(blocks > 65536 ? 65535 : blocks - 1));
}

/*
 * NVM Command Set 1.0, 2.1.4; 0-based but for the offset. Where one of the sizes is not known, its 0 says one block,
 * which is always true. A boundary of 0 says that there is none.
 */
static void atomicity(struct nvme_id_ns *id, const struct nvmft_atomicity *atomic)
{
	if (!atomic->normal && !atomic->power_fail && !atomic->compare_write)
		return;
	id->nsfeat |= NVME_NS_FEAT_NATOMIC;
	if (atomic->normal)
		id->nawun = blocks16(atomic->normal);
	if (atomic->power_fail)
		id->nawupf = blocks16(atomic->power_fail);
	if (atomic->compare_write)
		id->nacwu = blocks16(atomic->compare_write);
	if (atomic->boundary)
		id->nabsn = blocks16(atomic->boundary);
	if (atomic->boundary_power_fail)
		id->nabspf = blocks16(atomic->boundary_power_fail);
	if (atomic->boundary || atomic->boundary_power_fail)
		id->nabo = htole16((uint16_t)atomic->boundary_offset);
}

static void copy_limits(struct nvme_id_ns *id, const struct nvmft_backend_info *info)
{
	if (!nvmft_opcodes_has(&info->commands, NVMFT_CMD_COPY))
		return;
	id->mssrl = htole16(info->copy.max_range);
	id->mcl = htole32(info->copy.max_total);
	id->msrc = info->copy.max_ranges;
}

/* What the namespace says it can, only together with the commands for it. */
static uint8_t rescap(const struct nvmft_backend_info *info)
{
	return nvmft_opcodes_has(&info->commands, NVMFT_CMD_RESV_REGISTER) ? info->reservations : 0;
}

static void fill_ns(struct nvme_id_ns *id, const struct ns_view *nsv)
{
	id->nsze = htole64(nsv->info.blocks);
	id->ncap = id->nsze;
	id->nuse = id->nsze;
	if (nsv->info.thin)
		id->nsfeat |= NVME_NS_FEAT_THIN;
	io_hints(id, nsv->info.preferred_blocks);
	atomicity(id, &nsv->info.atomicity);
	copy_limits(id, &nsv->info);
	id->nmic = NMIC_SHARED;
	id->rescap = rescap(&nsv->info);
	id->dlfeat = dlfeat(&nsv->info);
	if (nsv->read_only)
		id->nsattr = NSATTR_WRITE_PROTECTED;
	memcpy(id->nguid, nsv->ns->nguid, sizeof(id->nguid));
	memcpy(id->eui64, nsv->ns->eui64, sizeof(id->eui64));
	id->lbaf[0].ds = nsv->lba_shift;
}

void nvmft_identify_ns(struct request *req)
{
	const struct ns_view *nsv;
	struct nvme_id_ns id = {0};

	if (!find_ns(req, &nsv))
		return;
	if (nsv) {
		fill_ns(&id, nsv);
		nvmft_req_copy_out(req, 0, &id, sizeof(id));
	}
	nvmft_req_complete(req, 0);
}

/* ZNS 1.1, figure 48. Write resources (ZRWA) would have facts of their own, so that they are not offered. */
static void put_zones(struct request *req, const struct nvmft_zones *zones)
{
	struct nvme_zns_id_ns id = {
		.zoc = htole16(zones->characteristics),
		.ozcs = htole16(zones->optional & OZCS_READ_ACROSS),
		.mar = htole32(zones->max_active),
		.mor = htole32(zones->max_open),
		.lbafe[0] = {.zsze = htole64(zones->zone_blocks), .zdes = zones->descriptor_extension},
	};

	nvmft_req_copy_out(req, 0, &id, sizeof(id));
}

/*
 * Of the NVM Command Set: storage tags and protection information, of which there is none: zeroes, active or not. Zoned
 * namespaces have that structure, too (ZNS 1.1, 4.1.5); other namespaces do not have theirs.
 */
void nvmft_identify_ns_csi(struct request *req)
{
	const struct ns_view *nsv;

	if (!find_ns(req, &nsv))
		return;
	if (nsv && sqe_csi(req) == NVME_CSI_ZNS) {
		if (nsv->info.csi != NVME_CSI_ZNS) {
			nvmft_req_complete(req, req_error(req, SC_DNR(INVALID_IOCS), SQE_LOC(cdw11) + 3));
			return;
		}
		put_zones(req, &nsv->info.zones);
	}
	nvmft_req_complete(req, 0);
}

void nvmft_identify_ns_common(struct request *req)
{
	const struct ns_view *nsv;
	struct nvme_id_independent_id_ns id = {0};

	if (!find_ns(req, &nsv))
		return;
	if (nsv) {
		id.nmic = NMIC_SHARED;
		id.rescap = rescap(&nsv->info);
		id.nsattr = nsv->read_only ? NSATTR_WRITE_PROTECTED : 0;
		id.nstat = NSTAT_READY;
		nvmft_req_copy_out(req, 0, &id, sizeof(id));
	}
	nvmft_req_complete(req, 0);
}

/* Returns the offset behind the descriptor. Identifiers of zeroes are not there. */
static size_t put_desc(struct request *req, size_t offset, uint8_t type, const void *nid, uint8_t len)
{
	static const uint8_t none[16];
	struct nvme_ns_id_desc desc = {.nidt = type, .nidl = len};

	if (type != NVME_NIDT_CSI && memcmp(nid, none, len) == 0)
		return offset;
	nvmft_req_copy_out(req, offset, &desc, sizeof(desc));
	nvmft_req_copy_out(req, offset + sizeof(desc), nid, len);
	return offset + sizeof(desc) + len;
}

/* Unlike its neighbours this one wants an active namespace (5.17.2.3). */
void nvmft_identify_ns_descs(struct request *req)
{
	const struct nvmft_namespace *ns;
	const struct ns_view *nsv;
	size_t at = 0;

	if (!find_ns(req, &nsv))
		return;
	if (!nsv) {
		nvmft_req_complete(req, req_error(req, SC_DNR(INVALID_NS), SQE_LOC(nsid)));
		return;
	}
	ns = nsv->ns;
	at = put_desc(req, at, NVME_NIDT_EUI64, ns->eui64, sizeof(ns->eui64));
	at = put_desc(req, at, NVME_NIDT_NGUID, ns->nguid, sizeof(ns->nguid));
	at = put_desc(req, at, NVME_NIDT_UUID, ns->uuid, sizeof(ns->uuid));
	put_desc(req, at, NVME_NIDT_CSI, &nsv->info.csi, sizeof(nsv->info.csi));
	nvmft_req_complete(req, 0);
}
