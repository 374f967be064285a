/* SPDX-License-Identifier: BSD-3-Clause */
#include "admin.h"

nvmft_status nvmft_parse_admin_cmd(struct request *req)
{
	/* Admin commands are never fused (Base 2.0, figure 85). */
	if (req->pub.sqe.flags & NVMFT_FUSE_MASK)
		return req_error(req, SC_DNR(INVALID_FIELD), SQE_LOC(flags));
	switch (req->pub.sqe.opcode) {
	case NVMFT_ADMIN_GET_LOG_PAGE:
		return nvmft_log_page_parse(req);
	case NVMFT_ADMIN_IDENTIFY:
		return nvmft_identify_parse(req);
	case NVMFT_ADMIN_ABORT:
		return nvmft_abort_parse(req);
	case NVMFT_ADMIN_SET_FEATURES:
		return nvmft_features_set_parse(req);
	case NVMFT_ADMIN_GET_FEATURES:
		return nvmft_features_get_parse(req);
	case NVMFT_ADMIN_ASYNC_EVENT:
		return nvmft_aer_parse(req);
	case NVMFT_ADMIN_KEEP_ALIVE:
		return nvmft_keep_alive_parse(req);
	default:
		return nvmft_pass_parse(req);
	}
}
