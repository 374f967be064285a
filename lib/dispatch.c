/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which room a command belongs to, and whether it may be executed at all now.
 */
#include "controller.h"
#include "io_cmd.h"
#include "request.h"

static nvmft_status parse_admin(struct request *req)
{
	struct nvmft_ctrl *ctrl = req_ctrl(req);

	/* Only Fabrics commands are accepted by a controller that is not enabled (3.5.1). */
	if (!nvmft_ctrl_ready(ctrl))
		return req_error(req, SC_DNR(CMD_SEQ_ERROR), SQE_LOC(opcode));
	if (ctrl->discovery)
		return nvmft_parse_discovery_cmd(req);
	return nvmft_parse_admin_cmd(req);
}

static nvmft_status parse_fused(struct request *req)
{
	nvmft_status status = nvmft_fused_check(req);

	if (status)
		return status;
	status = nvmft_parse_io_cmd(req);
	if (req->pub.sqe.flags & NVMFT_FUSE_MASK)
		req->execute = nvmft_fused_execute;
	return status;
}

/* What connects a queue, or comes before that, or after its end. */
static nvmft_status parse_connecting(struct request *req)
{
	if (req->pub.queue->state >= QUEUE_CLOSING)
		return SC(ABORT_QUEUE);
	if (req->pub.sqe.opcode == NVMFT_OPC_FABRICS)
		return nvmft_parse_fabrics_cmd(req);
	return req_error(req, SC_DNR(CMD_SEQ_ERROR), SQE_LOC(opcode));
}

static bool psdt_is_sgl(uint8_t flags)
{
	return (flags & NVMFT_PSDT_MASK) == NVMFT_PSDT_SGL || (flags & NVMFT_PSDT_MASK) == NVMFT_PSDT_SGL_MPTR;
}

nvmft_status nvmft_parse_other_cmd(struct request *req)
{
	const struct nvmft_queue *queue = req->pub.queue;

	/* Fabrics have SGLs only (3.3.3.1). */
	if (!psdt_is_sgl(req->pub.sqe.flags))
		return req_error(req, SC_DNR(INVALID_FIELD), SQE_LOC(flags));
	if (queue->state != QUEUE_LIVE || req->pub.sqe.opcode == NVMFT_OPC_FABRICS)
		return parse_connecting(req);
	if (queue->qid == 0)
		return parse_admin(req);
	if (nvmft_fused_concerns(req))
		return parse_fused(req);
	return nvmft_parse_io_cmd(req);
}
