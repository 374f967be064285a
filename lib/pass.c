/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands that go to the backend as the host sent them. The core checks what concerns the namespace as it shows it
 * (that the command is offered, protection, ranges in the command itself) and how many bytes move; the rest is the
 * device's to judge, and its status and result reach the host unchanged.
 */
#include "io_cmd.h"
#include "pass.h"

static bool pass_of_admin(const struct request *req)
{
	return req->pub.queue->qid == 0;
}

static const struct pass_cmd *pass_find(const struct request *req)
{
	return pass_of_admin(req) ? nvmft_pass_admin(req->pub.sqe.opcode) : nvmft_pass_io(req->pub.sqe.opcode);
}

static bool pass_taken(const struct request *req, const struct nvmft_backend_info *info)
{
	return nvmft_opcodes_has(pass_of_admin(req) ? &info->admin_commands : &info->commands, req->pub.sqe.opcode);
}

/* Some namespace takes it, but the one that is named is not there. */
static nvmft_status pass_no_ns(struct request *req)
{
	const struct nvmft_queue *queue = req->pub.queue;
	struct nvmft_opcodes set = pass_of_admin(req) ? nvmft_offers_admin(queue) : nvmft_offers_io(queue, -1);
	nvmft_status status = nvmft_io_no_ns(req);

	/* Of a device that is gone nobody knows what it took. */
	if (status == SC(NS_NOT_READY) || nvmft_opcodes_has(&set, req->pub.sqe.opcode))
		return req_error(req, status, SQE_LOC(nsid));
	return req_error(req, SC_DNR(INVALID_OPCODE), SQE_LOC(opcode));
}

/* Everything that is checked, and the length. Sets req->nsv. */
static nvmft_status pass_check(struct request *req, const struct pass_cmd *cmd, uint64_t *len)
{
	const struct ns_view *nsv = nvmft_io_parse_ns(req);
	nvmft_status status = 0;

	/* What is passed on may wait at several places. Whatever was before, this is the view to go by. */
	req->late = false;
	req_set_late(req);
	req->io.lba = 0;
	req->io.blocks = 0;
	if (!nsv)
		return pass_no_ns(req);
	if (!pass_taken(req, &nsv->info))
		return req_error(req, SC_DNR(INVALID_OPCODE), SQE_LOC(opcode));
	if (cmd->range)
		status = nvmft_io_parse_range(req);
	if (!status && cmd->changes)
		status = nvmft_io_parse_protected(req);
	if (status)
		return status;
	*len = cmd->length(&req->pub.sqe, &nsv->info);
	if (*len > (uint64_t)1 << (12 + req->pub.queue->sv->subsys->mdts))
		return req_error(req, SC_DNR(INVALID_FIELD), cmd->loc);
	return 0;
}

static void pass_count(const struct request *req, const struct pass_cmd *cmd)
{
	struct ns_channel *ch = req->channel;

	if (!cmd->writes) {
		counter_add(&ch->others, 1);
		return;
	}
	counter_add(&ch->writes, 1);
	if (!req->io.status)
		counter_add(&ch->written_blocks, req->io.blocks);
}

static void pass_end(struct request *req)
{
	const struct pass_cmd *cmd = pass_find(req);
	nvmft_status status = req->io.status;

	req->pub.cqe.dw0 = htole32((uint32_t)req->io.result);
	req->pub.cqe.dw1 = htole32((uint32_t)(req->io.result >> 32));
	pass_count(req, cmd);
	if (!status && req->pub.dir == NVMFT_DIR_TO_HOST)
		nvmft_io_buffers_back(req);
	if (cmd->changes)
		nvmft_change_end(req, status);
	else
		nvmft_io_end(req, status);
}

/* A device may move less than it was asked for, and the rest must not be somebody else's data. Its own memory the host
 * knows. */
static void pass_clear(struct request *req)
{
	uint32_t i;

	if (req->pub.borrowed && req->io.iov == req->pub.iov)
		return;
	for (i = 0; i < req->io.iovcnt; i++)
		memset(req->io.iov[i].base, 0, req->io.iov[i].len);
}

static nvmft_status pass_data(struct request *req)
{
	nvmft_status status;

	req->io.iov = NULL;
	req->io.iovcnt = 0;
	if (!req->pub.data_len)
		return 0;
	status = nvmft_io_buffers(req);
	if (!status && req->pub.dir == NVMFT_DIR_TO_HOST)
		pass_clear(req);
	return status;
}

/* The view has changed: the namespace behind the NSID may be another one, or want another length. */
static nvmft_status pass_look_again(struct request *req)
{
	nvmft_status status;
	uint64_t len;

	if (req->view_gen == req_group(req)->view->gen)
		return 0;
	status = pass_check(req, pass_find(req), &len);
	return status || len == req->pub.data_len ? status : SC_DNR(INVALID_NS);
}

nvmft_status nvmft_pass_recheck(struct request *req)
{
	nvmft_status status = nvmft_io_recheck(req, req->io.lba, req->io.blocks);

	return status ? status : pass_look_again(req);
}

static void pass_start(struct request *req)
{
	nvmft_status status = req->io.status;

	/* A change may have waited for a fused pair. */
	if (!status)
		status = nvmft_pass_recheck(req);
	if (!status)
		status = pass_data(req);
	if (status) {
		req->io.status = status;
		pass_end(req);
		return;
	}
	/* The host turned the write cache off, and this device would have one. */
	if (pass_find(req)->fua && nvmft_io_durable(req))
		req->pub.sqe.cdw12 |= htole32(RW_FUA);
	req->io.op = NVMFT_IO_COMMAND;
	req->io.flags = pass_of_admin(req) ? NVMFT_IO_ADMIN | req->arg : 0;
	req->io.sqe = &req->pub.sqe;
	req->next = pass_end;
	nvmft_channel_submit(req);
}

static void pass_execute(struct request *req)
{
	const struct pass_cmd *cmd = pass_find(req);
	nvmft_status status = pass_look_again(req);

	if (status) {
		nvmft_req_complete(req, status);
		return;
	}
	if (!nvmft_io_begin(req, cmd->changes))
		return;
	/* Also for one that ends before the backend sees it. */
	req->io.result = 0;
	req->io.status = 0;
	if (cmd->changes)
		nvmft_change_begin(req, pass_start);
	else
		pass_start(req);
}

/* What it protects is the device as a whole: hosts name no namespace. */
static bool pass_without_ns(const struct request *req)
{
	uint8_t opcode = req->pub.sqe.opcode;

	return pass_of_admin(req) && !req->pub.sqe.nsid &&
	       (opcode == NVMFT_ADMIN_SECURITY_SEND || opcode == NVMFT_ADMIN_SECURITY_RECEIVE);
}

/* The one namespace that takes the command; of several nobody knows which device is meant. */
static void pass_choose_ns(struct request *req)
{
	const struct nvmft_queue *queue = req->pub.queue;
	const struct ns_view *found = NULL;

	for (uint32_t i = 0; queue->sv && i < queue->sv->nns; i++) {
		const struct ns_view *nsv = &queue->sv->ns[i];

		if (!nvmft_queue_sees(queue, nsv) || !pass_taken(req, &nsv->info))
			continue;
		if (found)
			return;
		found = nsv;
	}
	if (!found)
		return;
	req->pub.sqe.nsid = htole32(found->nsid);
	req->arg = NVMFT_IO_NO_NSID;
}

nvmft_status nvmft_pass_parse(struct request *req)
{
	const struct pass_cmd *cmd = pass_find(req);
	nvmft_status status;
	uint64_t len;

	if (!cmd)
		return req_error(req, SC_DNR(INVALID_OPCODE), SQE_LOC(opcode));
	req->arg = 0;
	if (pass_without_ns(req))
		pass_choose_ns(req);
	status = pass_check(req, cmd, &len);
	if (status)
		return status;
	return nvmft_io_parse_data(req, pass_execute, nvmft_pass_dir(req->pub.sqe.opcode), len);
}

/* Vendor specific pages belong to a device: the host names it by a namespace. */
nvmft_status nvmft_pass_log_parse(struct request *req)
{
	const struct ns_view *nsv = nvmft_io_parse_ns(req);

	if (!nsv || !pass_taken(req, &nsv->info))
		return req_error(req, SC_CMD_DNR(INVALID_LOG_PAGE), SQE_LOC(cdw10));
	return nvmft_pass_parse(req);
}
