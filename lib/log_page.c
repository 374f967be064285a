/* SPDX-License-Identifier: BSD-3-Clause */
#include "log_page.h"

/* Get Log Page (Base 2.0, 5.16). */
enum {
	CDW10_RAE = 1 << 15,
	CDW14_OT = 1 << 23,
	LSUPP = 1 << 0,
	LID_VENDOR = 0xc0,
};

void nvmft_page_put(struct page_window *w, const void *src, size_t len)
{
	if (page_wants(w, len)) {
		size_t skip = w->pos < w->offset ? (size_t)(w->offset - w->pos) : 0;

		nvmft_req_copy_out(w->req, (size_t)(w->pos + skip - w->offset), (const char *)src + skip, len - skip);
	}
	w->pos += len;
}

/* Slot 1 of one, active, with the revision that Identify gives. */
static void firmware_page(struct page_window *w)
{
	struct nvme_firmware_slot slots = {.afi = 1};

	spec_pad(slots.frs[0], sizeof(slots.frs[0]), req_ctrl(w->req)->subsys->firmware);
	nvmft_page_put(w, &slots, sizeof(slots));
}

static void changed_ns_page(struct page_window *w)
{
	const struct aer_state *aer = &req_ctrl(w->req)->aer;
	uint32_t entry = htole32(NVMFT_NSID_ALL);

	if (aer->nchanged > CTRL_CHANGED_NS_MAX) {
		nvmft_page_put(w, &entry, sizeof(entry));
		return;
	}
	for (uint32_t i = 0; i < aer->nchanged; i++) {
		entry = htole32(aer->changed_ns[i]);
		nvmft_page_put(w, &entry, sizeof(entry));
	}
}

static void supported_page(struct page_window *w);

/*
 * @size: bytes, or 0 for a discovery log
 * @event: what a read without RAE clears, or AER_EVENTS
 */
static const struct log_page {
	uint8_t lid;
	bool io, discovery;
	bool per_namespace;
	uint8_t event;
	uint32_t size;
	void (*put)(struct page_window *w);
} pages[] = {
	{NVME_LOG_LID_SUPPORTED_LOG_PAGES, true, true, false, AER_EVENTS, 256 * sizeof(uint32_t), supported_page},
	{NVME_LOG_LID_ERROR, true, false, false, AER_EVENTS,
	 CTRL_ERROR_LOG_ENTRIES * sizeof(struct nvme_error_log_page), nvmft_error_log_page},
	{NVME_LOG_LID_SMART, true, false, true, AER_EVENTS, sizeof(struct nvme_smart_log), nvmft_smart_log_page},
	{NVME_LOG_LID_FW_SLOT, true, false, false, AER_EVENTS, sizeof(struct nvme_firmware_slot), firmware_page},
	{NVME_LOG_LID_CHANGED_NS, true, false, false, AER_NS_ATTR_CHANGED, CTRL_CHANGED_NS_MAX * sizeof(uint32_t),
	 changed_ns_page},
	{NVME_LOG_LID_CMD_EFFECTS, true, false, false, AER_EVENTS, sizeof(struct nvme_cmd_effects_log),
	 nvmft_effects_log_page},
	{NVME_LOG_LID_DISCOVER, false, true, false, AER_DISC_CHANGED, 0, nvmft_discovery_log_page},
};

static const struct log_page *find_page(const struct nvmft_ctrl *ctrl, uint8_t lid)
{
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
		if (pages[i].lid == lid && (ctrl->discovery ? pages[i].discovery : pages[i].io))
			return &pages[i];
	return NULL;
}

static void supported_page(struct page_window *w)
{
	const struct nvmft_ctrl *ctrl = req_ctrl(w->req);

	for (uint32_t lid = 0; lid < 256; lid++) {
		uint32_t support = htole32(find_page(ctrl, (uint8_t)lid) ? LSUPP : 0);

		nvmft_page_put(w, &support, sizeof(support));
	}
}

static uint8_t sqe_lid(const struct request *req)
{
	return (uint8_t)(le32toh(req->pub.sqe.cdw10) & 0xff);
}

static uint64_t sqe_lpo(const struct request *req)
{
	return (uint64_t)le32toh(req->pub.sqe.cdw13) << 32 | le32toh(req->pub.sqe.cdw12);
}

static void execute(struct request *req)
{
	struct nvmft_ctrl *ctrl = req_ctrl(req);
	const struct log_page *page = find_page(ctrl, sqe_lid(req));
	struct page_window w = {.req = req, .offset = sqe_lpo(req)};
	uint64_t size = page->size ? page->size : nvmft_discovery_log_size(req);

	/* Only here, as a discovery log may have changed since the command was parsed. */
	if (w.offset > size) {
		nvmft_req_complete(req, req_error(req, SC_DNR(INVALID_FIELD), SQE_LOC(cdw12)));
		return;
	}
	page->put(&w);
	if (page->event != AER_EVENTS && !(le32toh(req->pub.sqe.cdw10) & CDW10_RAE))
		nvmft_aer_log_read(ctrl, (enum aer_event)page->event);
	nvmft_req_complete(req, 0);
}

/* A page of the controller is asked for with NSID 0 or FFFFFFFFh; SMART is also kept for each namespace. */
static nvmft_status check_nsid(struct request *req, const struct log_page *page)
{
	const struct nvmft_ctrl *ctrl = req_ctrl(req);
	uint32_t nsid = le32toh(req->pub.sqe.nsid);

	if (nsid == 0 || nsid == NVMFT_NSID_ALL)
		return 0;
	if (!page->per_namespace)
		return req_error(req, SC_DNR(INVALID_FIELD), SQE_LOC(nsid));
	if (!ctrl_ns(ctrl, nsid))
		return req_error(req, SC_DNR(INVALID_NS), SQE_LOC(nsid));
	return 0;
}

nvmft_status nvmft_log_page_parse(struct request *req)
{
	const struct nvmft_ctrl *ctrl = req_ctrl(req);
	const struct log_page *page = find_page(ctrl, sqe_lid(req));
	uint32_t numd = (uint32_t)sqe_lo16(req->pub.sqe.cdw11) << 16 | sqe_hi16(req->pub.sqe.cdw10);
	uint64_t len = ((uint64_t)numd + 1) * sizeof(uint32_t);
	nvmft_status status;

	if (!page && !ctrl->discovery && sqe_lid(req) >= LID_VENDOR)
		return nvmft_pass_log_parse(req);
	if (!page)
		return req_error(req, SC_CMD_DNR(INVALID_LOG_PAGE), SQE_LOC(cdw10));
	if (len > ctrl_max_transfer(ctrl))
		return req_error(req, SC_DNR(INVALID_FIELD), SQE_LOC(cdw10) + 2);
	if (sqe_lpo(req) % sizeof(uint32_t))
		return req_error(req, SC_DNR(INVALID_FIELD), SQE_LOC(cdw12));
	/* Offsets that count entries instead of bytes are for pages that say so in page 00h; none does. */
	if (le32toh(req->pub.sqe.cdw14) & CDW14_OT)
		return req_error(req, SC_DNR(INVALID_FIELD), SQE_LOC(cdw14) + 2);
	/* The one page that there is for each command set; nvme-cli asks for both, whatever namespaces there are. */
	if (page->lid == NVME_LOG_LID_CMD_EFFECTS && nvmft_log_csi(req) != NVME_CSI_NVM &&
	    nvmft_log_csi(req) != NVME_CSI_ZNS)
		return req_error(req, SC_DNR(INVALID_FIELD), SQE_LOC(cdw14) + 3);
	status = check_nsid(req, page);
	if (status)
		return status;
	return nvmft_req_data(req, execute, NVMFT_DIR_TO_HOST, len);
}
