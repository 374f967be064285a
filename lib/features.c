/* SPDX-License-Identifier: BSD-3-Clause */
#include "feature.h"

/* Get and Set Features (Base 2.0, 5.15 and 5.27). Nothing is saved: a feature's saved value is its default. */

enum { SEL_CURRENT, SEL_DEFAULT, SEL_SAVED, SEL_CAPABILITIES };

#define CDW10_SV (1u << 31)
#define CAP_CHANGEABLE (1u << 2)

static const struct feature features[] = {
	{NVME_FEAT_FID_ARBITRATION, .io = true, .get = nvmft_feat_get_arbitration, .set = nvmft_feat_set_arbitration},
	{NVME_FEAT_FID_POWER_MGMT, .io = true, .get = nvmft_feat_get_power, .set = nvmft_feat_set_power},
	{NVME_FEAT_FID_TEMP_THRESH, .io = true, .get = nvmft_feat_get_temp, .set = nvmft_feat_set_temp},
	{NVME_FEAT_FID_ERR_RECOVERY, .io = true, .any_nsid = true, .get = nvmft_feat_get_error_recovery,
	 .set = nvmft_feat_set_error_recovery},
	{NVME_FEAT_FID_VOLATILE_WC, .io = true, .get = nvmft_feat_get_write_cache, .set = nvmft_feat_set_write_cache},
	{NVME_FEAT_FID_NUM_QUEUES, .io = true, .get = nvmft_feat_get_num_queues, .set = nvmft_feat_set_num_queues},
	{NVME_FEAT_FID_WRITE_ATOMIC, .io = true, .get = nvmft_feat_get_write_atomicity,
	 .set = nvmft_feat_set_write_atomicity},
	{NVME_FEAT_FID_ASYNC_EVENT, .io = true, .discovery = true, .get = nvmft_feat_get_aec,
	 .set = nvmft_feat_set_aec},
	{NVME_FEAT_FID_KATO, .io = true, .discovery = true, .get = nvmft_feat_get_kato, .set = nvmft_feat_set_kato},
	{NVME_FEAT_FID_HOST_BEHAVIOR, .io = true, .len = FEAT_HOST_BEHAVIOR_LEN, .get = nvmft_feat_get_host_behavior,
	 .set = nvmft_feat_set_host_behavior},
	{NVME_FEAT_FID_IOCS_PROFILE, .io = true, .get = nvmft_feat_get_command_sets,
	 .set = nvmft_feat_set_command_sets},
	{NVME_FEAT_FID_HOST_ID, .io = true, .len = FEAT_HOST_ID_LEN, .get = nvmft_feat_get_host_id,
	 .set = nvmft_feat_set_host_id, .fixed = true},
};

static const struct feature *find_feature(struct request *req)
{
	uint8_t fid = (uint8_t)(le32toh(req->pub.sqe.cdw10) & 0xff);

	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		if (features[i].fid == fid && (req_ctrl(req)->discovery ? features[i].discovery : features[i].io))
			return &features[i];
	return NULL;
}

static unsigned int sqe_sel(const struct request *req)
{
	return le32toh(req->pub.sqe.cdw10) >> 8 & 7;
}

static void execute_get(struct request *req)
{
	const struct feature *feature = find_feature(req);
	struct feature_value value = {0};
	struct ctrl_features defaults;
	nvmft_status status;

	nvmft_features_default(req_ctrl(req), &defaults);
	status = feature->get(req, sqe_sel(req) == SEL_CURRENT ? &req_ctrl(req)->features : &defaults, &value);
	if (!status) {
		req->pub.cqe.dw0 = htole32(value.dw0);
		nvmft_req_copy_out(req, 0, value.data, value.len);
	}
	nvmft_req_complete(req, status);
}

static void execute_capabilities(struct request *req)
{
	req->pub.cqe.dw0 = htole32(find_feature(req)->fixed ? 0 : CAP_CHANGEABLE);
	nvmft_req_complete(req, 0);
}

nvmft_status nvmft_features_get_parse(struct request *req)
{
	const struct feature *feature = find_feature(req);

	if (!feature)
		return req_error(req, SC_DNR(INVALID_FIELD), SQE_LOC(cdw10));
	if (sqe_sel(req) > SEL_CAPABILITIES)
		return req_error(req, SC_DNR(INVALID_FIELD), SQE_LOC(cdw10) + 1);
	if (sqe_sel(req) == SEL_CAPABILITIES)
		return nvmft_req_no_data(req, execute_capabilities);
	if (feature->len == 0)
		return nvmft_req_no_data(req, execute_get);
	return nvmft_req_data(req, execute_get, NVMFT_DIR_TO_HOST, feature->len);
}

static void execute_set(struct request *req)
{
	nvmft_req_complete(req, find_feature(req)->set(req));
}

/* A feature of the controller is set for no namespace in particular (5.27). */
static nvmft_status check_set_nsid(struct request *req, const struct feature *feature)
{
	uint32_t nsid = le32toh(req->pub.sqe.nsid);

	if (nsid == 0 || nsid == NVMFT_NSID_ALL)
		return 0;
	if (!ctrl_nsid_valid(req_ctrl(req), nsid))
		return req_error(req, SC_DNR(INVALID_NS), SQE_LOC(nsid));
	if (!feature->any_nsid)
		return req_error(req, SC_CMD_DNR(FEATURE_NOT_PER_NS), SQE_LOC(nsid));
	return 0;
}

nvmft_status nvmft_features_set_parse(struct request *req)
{
	const struct feature *feature = find_feature(req);
	nvmft_status status;

	if (!feature)
		return req_error(req, SC_DNR(INVALID_FIELD), SQE_LOC(cdw10));
	if (le32toh(req->pub.sqe.cdw10) & CDW10_SV)
		return req_error(req, SC_CMD_DNR(FEATURE_NOT_SAVEABLE), SQE_LOC(cdw10) + 3);
	status = check_set_nsid(req, feature);
	if (status)
		return status;
	/* The host identifier came with Connect: it is refused before its data is fetched. */
	if (feature->len && feature->fixed)
		return feature->set(req);
	if (feature->len == 0)
		return nvmft_req_no_data(req, execute_set);
	return nvmft_req_data(req, execute_set, NVMFT_DIR_FROM_HOST, feature->len);
}

void nvmft_features_default(const struct nvmft_ctrl *ctrl, struct ctrl_features *f)
{
	uint32_t queues = ctrl->discovery ? 0 : ctrl->subsys->opts.max_io_queues - 1;

	memset(f, 0, sizeof(*f));
	f->arbitration = FEAT_ARBITRATION_NO_LIMIT;
	f->write_cache = 1;
	f->num_queues = queues << 16 | queues;
	/* Composite temperature first; thresholds of sensors that do not exist are never crossed. */
	f->temp_over[0] = ADMIN_WCTEMP_K;
	for (size_t i = 1; i < ARRAY_SIZE(f->temp_over); i++)
		f->temp_over[i] = 0xffff;
}

void nvmft_features_init(struct nvmft_ctrl *ctrl)
{
	nvmft_features_default(ctrl, &ctrl->features);
	atomic_store_explicit(&ctrl->write_through, false, memory_order_relaxed);
}
