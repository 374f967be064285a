/* SPDX-License-Identifier: BSD-3-Clause */
#include "admin.h"

/* Bits of Identify Controller (Base 2.0, figure 275) that <nvme/types.h> has no name for. */
enum {
	FRMW_ONE_READ_ONLY_SLOT = 1 << 0 | 1 << 1,
	FUSES_COMPARE_AND_WRITE = 1 << 0,
	VWC_FLUSH_ALL = 3 << 1, /* Flush with NSID FFFFFFFFh is done for all namespaces */
	SQES_64_BYTES = 0x66,
	CQES_16_BYTES = 0x44,
	FCATT_STATIC = 1 << 0,
	OFCS_DISCONNECT = 1 << 0,
	DCTYPE_DIRECT = 1,
};

static void identity(struct nvme_id_ctrl *id, const struct nvmft_ctrl *ctrl)
{
	const struct nvmft_subsystem *subsys = ctrl->subsys;
	uint32_t oui = subsys->opts.ieee_oui;

	id->vid = htole16(subsys->opts.vid);
	id->ssvid = htole16(subsys->opts.ssvid);
	spec_pad(id->sn, sizeof(id->sn), subsys->serial);
	spec_pad(id->mn, sizeof(id->mn), subsys->model);
	spec_pad(id->fr, sizeof(id->fr), subsys->firmware);
	for (size_t i = 0; i < sizeof(id->ieee); i++)
		id->ieee[i] = (uint8_t)(oui >> (8 * i));
	id->cntlid = htole16(ctrl->cntlid);
	id->ver = htole32(ctrl->vs);
	memcpy(id->subnqn, subsys->nqn, strnlen(subsys->nqn, NVMFT_NQN_MAX));
}

static uint32_t sgl_support(const struct nvmft_ctrl *ctrl)
{
	uint32_t kinds = ctrl->port->ops.sgl_kinds, sgls = 1; /* no alignment is asked for */

	if (kinds & NVMFT_SGL_KEYED)
		sgls |= NVME_CTRL_SGLS_KEYED;
	if (kinds & NVMFT_SGL_IN_CAPSULE)
		sgls |= NVME_CTRL_SGLS_OFFSET;
	if (kinds & NVMFT_SGL_TRANSPORT)
		sgls |= NVME_CTRL_SGLS_TPORT;
	return sgls;
}

/* MAXCMD has 16 bits, which the deepest queue does not fit in. */
static uint16_t max_cmd(const struct nvmft_ctrl *ctrl)
{
	uint32_t depth = ctrl->port->opts.max_queue_depth;

	return depth > UINT16_MAX ? UINT16_MAX : (uint16_t)depth;
}

/* What every controller of ours says, discovery or not. */
static void common_part(struct nvme_id_ctrl *id, const struct nvmft_ctrl *ctrl)
{
	identity(id, ctrl);
	id->mdts = ctrl->subsys->mdts;
	id->ctratt = htole32(NVME_CTRL_CTRATT_128_ID | NVME_CTRL_CTRATT_TBKAS);
	id->acl = ADMIN_ACL;
	id->aerl = (uint8_t)(ctrl_max_aers(ctrl) - 1);
	id->kas = htole16(KEEP_ALIVE_GRANULARITY_MS / 100);
	id->maxcmd = htole16(max_cmd(ctrl));
	id->sgls = htole32(sgl_support(ctrl));
	id->ofcs = htole16(OFCS_DISCONNECT);
}

static void discovery_part(struct nvme_id_ctrl *id)
{
	id->cntrltype = NVME_CTRL_CNTRLTYPE_DISCOVERY;
	id->oaes = htole32((uint32_t)NVME_CTRL_OAES_DL);
	id->lpa = NVME_CTRL_LPA_EXTENDED;
	id->dctype = DCTYPE_DIRECT;
}

static void admin_part(struct nvme_id_ctrl *id, const struct nvmft_ctrl *ctrl)
{
	id->cntrltype = NVME_CTRL_CNTRLTYPE_IO;
	id->rab = 6;
	id->cmic = NVME_CTRL_CMIC_MULTI_PORT | NVME_CTRL_CMIC_MULTI_CTRL;
	id->oaes = htole32(NVME_CTRL_OAES_NA);
	id->oacs = htole16(nvmft_offers_oacs(ctrl));
	id->frmw = FRMW_ONE_READ_ONLY_SLOT;
	id->lpa = NVME_CTRL_LPA_SMART_PER_NS | NVME_CTRL_LPA_CMD_EFFECTS | NVME_CTRL_LPA_EXTENDED;
	id->elpe = CTRL_ERROR_LOG_ENTRIES - 1;
	id->sanicap = htole32(nvmft_offers_sanicap(ctrl));
	id->wctemp = htole16(ADMIN_WCTEMP_K);
	id->cctemp = htole16(ADMIN_CCTEMP_K);
}

static void io_part(struct nvme_id_ctrl *id, const struct nvmft_ctrl *ctrl)
{
	const struct nvmft_port_opts *port = &ctrl->port->opts;
	uint32_t in_capsule = port->no_in_capsule ? 0 : port->in_capsule_size;

	id->sqes = SQES_64_BYTES;
	id->cqes = CQES_16_BYTES;
	id->nn = htole32(ctrl->subsys->opts.max_namespaces);
	id->mnan = htole32(ctrl->subsys->opts.max_namespaces);
	id->oncs = htole16(NVME_CTRL_ONCS_COMPARE | NVME_CTRL_ONCS_DSM | NVME_CTRL_ONCS_WRITE_ZEROES |
			   NVME_CTRL_ONCS_SAVE_FEATURES | nvmft_offers_oncs(ctrl));
	id->ocfs = htole16(nvmft_offers_ocfs(ctrl));
	id->fuses = htole16(FUSES_COMPARE_AND_WRITE);
	/* Always present: a namespace with a volatile cache may be added after the host has read this. */
	id->vwc = NVME_CTRL_VWC_PRESENT | VWC_FLUSH_ALL;
	id->ioccsz = htole32((uint32_t)(sizeof(struct nvmft_sqe) + in_capsule) / 16);
	id->iorcsz = htole32(sizeof(struct nvmft_cqe) / 16);
	id->fcatt = ctrl->is_static ? FCATT_STATIC : 0;
	id->msdbd = ctrl->port->ops.msdbd ? ctrl->port->ops.msdbd : 1;
}

void nvmft_identify_ctrl(struct request *req)
{
	const struct nvmft_ctrl *ctrl = req_ctrl(req);
	struct nvme_id_ctrl id = {0};

	common_part(&id, ctrl);
	if (ctrl->discovery) {
		discovery_part(&id);
	} else {
		admin_part(&id, ctrl);
		io_part(&id, ctrl);
	}
	nvmft_req_copy_out(req, 0, &id, sizeof(id));
	nvmft_req_complete(req, 0);
}

/* NVM Command Set 1.0, figure 100: every limit is 0, none, and so is the structure. That of zones has one
 * (ZNS 1.1, 4.1.5.2). */
void nvmft_identify_ctrl_csi(struct request *req)
{
	struct nvme_zns_id_ctrl id = {0};

	if (sqe_csi(req) == NVME_CSI_ZNS) {
		id.zasl = nvmft_offers_zasl(req_ctrl(req));
		nvmft_req_copy_out(req, 0, &id, sizeof(id));
	}
	nvmft_req_complete(req, 0);
}
