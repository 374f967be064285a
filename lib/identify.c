/* SPDX-License-Identifier: BSD-3-Clause */
#include "admin.h"

/* Identify (Base 2.0, 5.17). Every data structure is 4096 bytes, zero but for what is meant. */

static uint32_t sqe_nsid(const struct request *req)
{
	return le32toh(req->pub.sqe.nsid);
}

/* NSIDs from @above on, in rising order; of the command set @csi only, if not negative. */
static void put_ns_list(struct request *req, int csi)
{
	const struct subsys_view *sv = req_ctrl(req)->sv;
	const struct nvmft_queue *queue = req->pub.queue;
	uint32_t above = sqe_nsid(req), n = 0;

	/* NSIDs above the last two would leave no room for a successor: 5.17.2.2. */
	if (above >= NVMFT_NSID_ALL - 1) {
		nvmft_req_complete(req, req_error(req, SC_DNR(INVALID_NS), SQE_LOC(nsid)));
		return;
	}
	for (uint32_t i = 0; sv && i < sv->nns && n < NVME_ID_NS_LIST_MAX; i++) {
		const struct ns_view *nsv = &sv->ns[i];
		uint32_t nsid = htole32(nsv->nsid);

		if (nsv->nsid > above && nvmft_queue_sees(queue, nsv) && (csi < 0 || nsv->info.csi == csi))
			nvmft_req_copy_out(req, n++ * sizeof(nsid), &nsid, sizeof(nsid));
	}
	nvmft_req_complete(req, 0);
}

static void execute_ns_list(struct request *req)
{
	put_ns_list(req, -1);
}

static void execute_csi_ns_list(struct request *req)
{
	put_ns_list(req, sqe_csi(req));
}

/* All controllers of a subsystem have the same I/O command sets, so any that exists may be named. */
static bool cntlid_exists(struct nvmft_ctrl *ctrl, uint16_t cntlid)
{
	struct nvmft_ctrl *other;

	if (cntlid == 0xffff || cntlid == ctrl->cntlid)
		return true;
	other = nvmft_ctrl_find_get(ctrl->subsys, cntlid);
	if (!other)
		return false;
	nvmft_ctrl_put(other);
	return true;
}

static void execute_command_sets(struct request *req)
{
	uint8_t combination = 1u << NVME_CSI_NVM;

	if (!cntlid_exists(req_ctrl(req), sqe_hi16(req->pub.sqe.cdw10))) {
		nvmft_req_complete(req, req_error(req, SC_DNR(INVALID_FIELD), SQE_LOC(cdw10) + 2));
		return;
	}
	if (nvmft_offers_csi(req_ctrl(req), NVME_CSI_ZNS))
		combination |= 1u << NVME_CSI_ZNS;
	nvmft_req_copy_out(req, 0, &combination, sizeof(combination));
	nvmft_req_complete(req, 0);
}

/* @csi: whether the data structure depends on the command set that CDW11 bits 31:24 name. */
static const struct identify_cns {
	uint8_t cns;
	bool csi;
	void (*execute)(struct request *req);
} structures[] = {
	{NVME_IDENTIFY_CNS_NS, false, nvmft_identify_ns},
	{NVME_IDENTIFY_CNS_CTRL, false, nvmft_identify_ctrl},
	{NVME_IDENTIFY_CNS_NS_ACTIVE_LIST, false, execute_ns_list},
	{NVME_IDENTIFY_CNS_NS_DESC_LIST, false, nvmft_identify_ns_descs},
	{NVME_IDENTIFY_CNS_CSI_NS, true, nvmft_identify_ns_csi},
	{NVME_IDENTIFY_CNS_CSI_CTRL, true, nvmft_identify_ctrl_csi},
	{NVME_IDENTIFY_CNS_CSI_NS_ACTIVE_LIST, true, execute_csi_ns_list},
	{NVME_IDENTIFY_CNS_CSI_INDEPENDENT_ID_NS, false, nvmft_identify_ns_common},
	{NVME_IDENTIFY_CNS_COMMAND_SET_STRUCTURE, false, execute_command_sets},
};

nvmft_status nvmft_identify_parse(struct request *req)
{
	uint8_t cns = (uint8_t)(le32toh(req->pub.sqe.cdw10) & 0xff);

	for (size_t i = 0; i < ARRAY_SIZE(structures); i++) {
		if (structures[i].cns != cns)
			continue;
		if (structures[i].csi && !nvmft_offers_csi(req_ctrl(req), sqe_csi(req)))
			return req_error(req, SC_DNR(INVALID_FIELD), SQE_LOC(cdw11) + 3);
		return nvmft_req_data(req, structures[i].execute, NVMFT_DIR_TO_HOST, IDENTIFY_LEN);
	}
	return req_error(req, SC_DNR(INVALID_FIELD), SQE_LOC(cdw10));
}
