/* SPDX-License-Identifier: BSD-3-Clause */
#include "feature.h"

/* The features one by one. Values without effect are checked and kept, so that the host reads back what it wrote. */

static uint32_t cdw11(const struct request *req)
{
	return le32toh(req->pub.sqe.cdw11);
}

static nvmft_status bad_value(struct request *req, unsigned int byte)
{
	return req_error(req, SC_DNR(INVALID_FIELD), (uint16_t)(SQE_LOC(cdw11) + byte));
}

/* 01h Arbitration: there is one queue arbitration, round robin by connection; the weights are the host's notes. */
nvmft_status nvmft_feat_get_arbitration(struct request *req, const struct ctrl_features *f, struct feature_value *value)
{
	(void)req;
	value->dw0 = f->arbitration;
	return 0;
}

nvmft_status nvmft_feat_set_arbitration(struct request *req)
{
	req_ctrl(req)->features.arbitration = cdw11(req);
	return 0;
}

/* 02h Power Management: there is power state 0 only (NPSS is 0). */
nvmft_status nvmft_feat_get_power(struct request *req, const struct ctrl_features *f, struct feature_value *value)
{
	(void)req;
	value->dw0 = f->power;
	return 0;
}

nvmft_status nvmft_feat_set_power(struct request *req)
{
	if (cdw11(req) & 0x1f)
		return bad_value(req, 0);
	req_ctrl(req)->features.power = cdw11(req) & 0xff;
	return 0;
}

/* 04h Temperature Threshold: TMPTH in 15:0, TMPSEL in 19:16, THSEL in 21:20. */
#define TMPSEL_ALL 0xfu

nvmft_status nvmft_feat_get_temp(struct request *req, const struct ctrl_features *f, struct feature_value *value)
{
	uint32_t tmpsel = cdw11(req) >> 16 & 0xf, thsel = cdw11(req) >> 20 & 3;

	if (tmpsel >= ARRAY_SIZE(f->temp_over) || thsel > 1)
		return bad_value(req, 2);
	value->dw0 = thsel ? f->temp_under[tmpsel] : f->temp_over[tmpsel];
	return 0;
}

nvmft_status nvmft_feat_set_temp(struct request *req)
{
	struct ctrl_features *f = &req_ctrl(req)->features;
	uint32_t tmpsel = cdw11(req) >> 16 & 0xf, thsel = cdw11(req) >> 20 & 3;
	uint32_t *thresholds = thsel ? f->temp_under : f->temp_over;

	if ((tmpsel >= ARRAY_SIZE(f->temp_over) && tmpsel != TMPSEL_ALL) || thsel > 1)
		return bad_value(req, 2);
	for (size_t i = 0; i < ARRAY_SIZE(f->temp_over); i++)
		if (i == tmpsel || tmpsel == TMPSEL_ALL)
			thresholds[i] = cdw11(req) & 0xffff;
	return 0;
}

/* 05h Error Recovery: TLER is kept; DULBE in bit 16 is not offered by any namespace (NSFEAT). */
nvmft_status nvmft_feat_get_error_recovery(struct request *req, const struct ctrl_features *f,
					   struct feature_value *value)
{
	(void)req;
	value->dw0 = f->error_recovery;
	return 0;
}

nvmft_status nvmft_feat_set_error_recovery(struct request *req)
{
	if (cdw11(req) >> 16)
		return bad_value(req, 2);
	req_ctrl(req)->features.error_recovery = cdw11(req);
	return 0;
}

/*
 * 06h Volatile Write Cache. Whether there is one is the backends' matter; turned off, every write is made durable before it
 * completes, so that the host cannot tell the difference.
 */
nvmft_status nvmft_feat_get_write_cache(struct request *req, const struct ctrl_features *f, struct feature_value *value)
{
	(void)req;
	value->dw0 = f->write_cache;
	return 0;
}

nvmft_status nvmft_feat_set_write_cache(struct request *req)
{
	struct nvmft_ctrl *ctrl = req_ctrl(req);

	ctrl->features.write_cache = cdw11(req) & 1;
	atomic_store_explicit(&ctrl->write_through, !ctrl->features.write_cache, memory_order_relaxed);
	return 0;
}

/*
 * 07h Number of Queues: submission queues in 15:0, completion queues in 31:16, 0-based. On fabrics they come in pairs.
 * The number is agreed before the first I/O queue connects (5.27.1.5).
 */
nvmft_status nvmft_feat_get_num_queues(struct request *req, const struct ctrl_features *f, struct feature_value *value)
{
	(void)req;
	value->dw0 = f->num_queues;
	return 0;
}

nvmft_status nvmft_feat_set_num_queues(struct request *req)
{
	struct nvmft_ctrl *ctrl = req_ctrl(req);
	uint32_t nsq = cdw11(req) & 0xffff, ncq = cdw11(req) >> 16, granted = ctrl->subsys->opts.max_io_queues - 1;

	if (nsq == 0xffff || ncq == 0xffff)
		return bad_value(req, nsq == 0xffff ? 0 : 2);
	if (ctrl->nioqs)
		return req_error(req, SC_DNR(CMD_SEQ_ERROR), NO_LOC);
	if (nsq < granted)
		granted = nsq;
	if (ncq < granted)
		granted = ncq;
	ctrl->features.num_queues = granted << 16 | granted;
	req->pub.cqe.dw0 = htole32(ctrl->features.num_queues);
	return 0;
}

/* 0Ah Write Atomicity Normal: AWUN is one block, with or without DN. */
nvmft_status nvmft_feat_get_write_atomicity(struct request *req, const struct ctrl_features *f,
					    struct feature_value *value)
{
	(void)req;
	value->dw0 = f->write_atomicity;
	return 0;
}

nvmft_status nvmft_feat_set_write_atomicity(struct request *req)
{
	req_ctrl(req)->features.write_atomicity = cdw11(req) & 1;
	return 0;
}

/* 0Bh Asynchronous Event Configuration: SMART warnings, which never come, and the notices of OAES. */
#define AEC_SMART_MASK 0xffu

nvmft_status nvmft_feat_get_aec(struct request *req, const struct ctrl_features *f, struct feature_value *value)
{
	(void)req;
	value->dw0 = f->aec;
	return 0;
}

nvmft_status nvmft_feat_set_aec(struct request *req)
{
	struct nvmft_ctrl *ctrl = req_ctrl(req);
	uint32_t offered = ctrl->discovery ? (uint32_t)NVME_CTRL_OAES_DL : NVME_CTRL_OAES_NA | AEC_SMART_MASK;

	if (cdw11(req) & ~offered)
		return bad_value(req, 0);
	ctrl->features.aec = cdw11(req);
	nvmft_aer_config_changed(ctrl);
	return 0;
}

/* 0Fh Keep Alive Timer, in milliseconds. Its default is what Connect asked for, which @f has no place for. */
nvmft_status nvmft_feat_get_kato(struct request *req, const struct ctrl_features *f, struct feature_value *value)
{
	value->dw0 = f == &req_ctrl(req)->features ? req_ctrl(req)->kato_ms : 0;
	return 0;
}

nvmft_status nvmft_feat_set_kato(struct request *req)
{
	nvmft_keep_alive_start(req_ctrl(req), cdw11(req));
	return 0;
}

/* 16h Host Behavior Support: ACRE, ETDAS and LBAFEE are 0 or 1, the rest is reserved. */
nvmft_status nvmft_feat_get_host_behavior(struct request *req, const struct ctrl_features *f,
					  struct feature_value *value)
{
	(void)req;
	value->data = f->host_behavior;
	value->len = sizeof(f->host_behavior);
	return 0;
}

nvmft_status nvmft_feat_set_host_behavior(struct request *req)
{
	uint8_t behavior[FEAT_HOST_BEHAVIOR_LEN];

	nvmft_req_copy_in(req, 0, behavior, sizeof(behavior));
	for (size_t i = 0; i < 3; i++)
		if (behavior[i] > 1)
			return req_error(req, SC_DNR(INVALID_FIELD), NO_LOC);
	memcpy(req_ctrl(req)->features.host_behavior, behavior, sizeof(behavior));
	return 0;
}

/* 19h I/O Command Set Profile: an index of the combinations of CNS 1Ch, of which there is one. */
nvmft_status nvmft_feat_get_command_sets(struct request *req, const struct ctrl_features *f,
					 struct feature_value *value)
{
	(void)req;
	(void)f;
	value->dw0 = 0;
	return 0;
}

nvmft_status nvmft_feat_set_command_sets(struct request *req)
{
	if (cdw11(req) & 0x1ff)
		return req_error(req, SC_DNR(IOCS_COMBINATION_REJECTED), SQE_LOC(cdw11));
	return 0;
}

/* 81h Host Identifier: fabrics know the 128-bit one only, and from Connect (5.27.1.25). */
nvmft_status nvmft_feat_get_host_id(struct request *req, const struct ctrl_features *f, struct feature_value *value)
{
	(void)f;
	if (!(cdw11(req) & 1))
		return bad_value(req, 0);
	value->data = req_ctrl(req)->hostid;
	value->len = sizeof(req_ctrl(req)->hostid);
	return 0;
}

nvmft_status nvmft_feat_set_host_id(struct request *req)
{
	return req_error(req, SC_DNR(CMD_SEQ_ERROR), NO_LOC);
}
