/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fabrics commands: Connect, Property Get and Set, Disconnect (Base 2.0, chapter 6).
 */
#include <errno.h>

#include "controller.h"
#include "log.h"
#include "request.h"

/* Where a Connect is wrong, for its completion (figure 413): an offset in the SQE, or in the data. */
#define IN_SQE(offset) ((uint32_t)(offset))
#define IN_DATA(member) (1u << 16 | (uint32_t)offsetof(struct nvmf_connect_data, member))
#define CONNECT_QID_OFFSET 42u
#define CONNECT_SQSIZE_OFFSET 44u

static void connect_fail(struct request *req, nvmft_status status, uint32_t where)
{
	struct nvmft_queue *queue = req->pub.queue;

	/* The same connection may try again until its time is over. */
	if (queue->state == QUEUE_CONNECTING)
		queue->state = QUEUE_NEW;
	if (status == SC_CMD_DNR(CONNECT_INVALID_PARAM))
		req->pub.cqe.dw0 = htole32(where);
	nvmft_req_complete(req, status);
}

static void connect_succeed(struct request *req)
{
	struct nvmft_queue *queue = req->pub.queue;

	req->pub.cqe.dw0 = htole32(queue->ctrl->cntlid);
	nvmft_queue_set_live(queue);
	nvmft_req_complete(req, 0);
}

/* ---- the fields ---- */

static bool nqn_terminated(const char *nqn)
{
	return strnlen(nqn, NVME_NQN_LENGTH) <= NVMFT_NQN_MAX;
}

static nvmft_status connect_check_fields(struct request *req, const struct nvmf_connect_data *data, uint32_t *where)
{
	struct nvmft_queue *queue = req->pub.queue;
	uint16_t sqsize = sqe_lo16(req->pub.sqe.cdw11);

	if (sqsize == 0 || sqsize >= queue->port->opts.max_queue_depth) {
		*where = IN_SQE(CONNECT_SQSIZE_OFFSET);
		return SC_CMD_DNR(CONNECT_INVALID_PARAM);
	}
	if (!nqn_terminated(data->subsysnqn)) {
		*where = IN_DATA(subsysnqn);
		return SC_CMD_DNR(CONNECT_INVALID_PARAM);
	}
	if (!nqn_terminated(data->hostnqn) || !nvmft_nqn_valid(data->hostnqn)) {
		*where = IN_DATA(hostnqn);
		return SC_CMD_DNR(CONNECT_INVALID_PARAM);
	}
	return 0;
}

static bool is_discovery_nqn(const struct nvmft_target *target, const char *nqn)
{
	return strcmp(nqn, NVMFT_DISCOVERY_NQN) == 0 || (target->discovery_nqn[0] && strcmp(nqn, target->discovery_nqn) == 0);
}

/* The subsystem if it exists, is served by the port and allows the host. */
static nvmft_status connect_find_subsystem(struct request *req, const struct nvmf_connect_data *data,
					   struct nvmft_subsystem **subsys, uint32_t *where)
{
	struct nvmft_queue *queue = req->pub.queue;
	const struct nvmft_view *view = queue->group->view;
	const struct subsys_view *sv;
	char nqn[NVME_NQN_LENGTH];

	if (is_discovery_nqn(view->target, data->subsysnqn)) {
		*subsys = view->target->discovery;
		return 0;
	}
	sv = nvmft_view_subsys(view, data->subsysnqn);
	if (!sv || !nvmft_view_linked(nvmft_view_port(view, queue->port), sv->subsys)) {
		nvmft_queue_log(queue, NVMFT_LOG_WARN, "Connect: no subsystem %s on this port",
				nvmft_log_escape(nqn, sizeof(nqn), data->subsysnqn, sizeof(data->subsysnqn)));
		*where = IN_DATA(subsysnqn);
		return SC_CMD_DNR(CONNECT_INVALID_PARAM);
	}
	if (!nvmft_view_host_allowed(sv, data->hostnqn)) {
		nvmft_queue_log(queue, NVMFT_LOG_WARN, "Connect: host %s is not allowed on %s",
				nvmft_log_escape(nqn, sizeof(nqn), data->hostnqn, sizeof(data->hostnqn)), sv->subsys->nqn);
		return SC_CMD_DNR(CONNECT_INVALID_HOST);
	}
	*subsys = sv->subsys;
	return 0;
}

static void queue_take_connect(struct nvmft_queue *queue, const struct nvmft_sqe *sqe)
{
	queue->qid = sqe_hi16(sqe->cdw10);
	queue->sqsize = sqe_lo16(sqe->cdw11);
	queue->sqflow_disabled = (le32toh(sqe->cdw11) >> 16) & NVMFT_CATTR_NO_SQFLOW;
	/* Connect itself was the first entry. */
	queue->sqhd = (uint16_t)(queue->sqsize ? 1 : 0);
}

/* ---- admin queue ---- */

static nvmft_status admin_check_cntlid(const struct nvmft_subsystem *subsys, uint16_t cntlid)
{
	if (subsys->opts.model_kind == NVMFT_CONTROLLERS_DYNAMIC)
		return cntlid == NVMFT_CNTLID_DYNAMIC ? 0 : SC_CMD_DNR(CONNECT_INVALID_PARAM);
	if (cntlid == NVMFT_CNTLID_STATIC || (cntlid >= subsys->opts.cntlid_min && cntlid <= subsys->opts.cntlid_max))
		return 0;
	return SC_CMD_DNR(CONNECT_INVALID_PARAM);
}

static void connect_admin(struct request *req, struct nvmft_subsystem *subsys, const struct nvmf_connect_data *data)
{
	struct nvmft_queue *queue = req->pub.queue;
	uint16_t cntlid = le16toh(data->cntlid);
	nvmft_status status = admin_check_cntlid(subsys, cntlid);
	int ret;

	if (status) {
		connect_fail(req, status, IN_DATA(cntlid));
		return;
	}
	ret = nvmft_ctrl_create(queue, subsys, cntlid, data, le32toh(req->pub.sqe.cdw12), &queue->ctrl);
	if (ret) {
		connect_fail(req, ret == -EBUSY ? SC_CMD(CONNECT_CTRL_BUSY) : SC(INTERNAL), 0);
		return;
	}
	queue->ctrl_link = LINK_ATTACHED;
	queue_take_connect(queue, &req->pub.sqe);
	if (!subsys->discovery)
		queue->sv = nvmft_view_subsys_of(queue->group->view, subsys);
	nvmft_queue_log(queue, NVMFT_LOG_INFO, "host %s connected to %s", queue->ctrl->hostnqn, subsys->nqn);
	connect_succeed(req);
}

/* ---- I/O queues: the controller may live in another group, hence the question travels ---- */

static void connect_attach_call(struct nvmft_call *call)
{
	struct nvmft_queue *queue = container_of(call, struct nvmft_queue, ctrl_call);

	nvmft_ctrl_attach(queue->ctrl, queue);
	nvmft_poll_group_call(queue->group, &queue->reply_call);
}

static void connect_attached(struct nvmft_call *call)
{
	struct nvmft_queue *queue = container_of(call, struct nvmft_queue, reply_call);
	struct request *req = queue->connect_req;
	nvmft_status status = queue->attach_status;

	queue->connect_req = NULL;
	if (status) {
		nvmft_ctrl_put(queue->ctrl);
		queue->ctrl = NULL;
		queue->ctrl_link = LINK_NONE;
		queue->qid = 0;
		connect_fail(req, status, IN_SQE(CONNECT_QID_OFFSET));
		return;
	}
	queue->ctrl_link = LINK_ATTACHED;
	queue->sv = nvmft_view_subsys_of(queue->group->view, queue->ctrl->subsys);
	if (queue->transport_gone)
		nvmft_queue_detach(queue);
	connect_succeed(req);
}

static bool same_host(const struct nvmft_ctrl *ctrl, const struct nvmf_connect_data *data, uint32_t *where)
{
	if (strcmp(ctrl->hostnqn, data->hostnqn) != 0) {
		*where = IN_DATA(hostnqn);
		return false;
	}
	*where = IN_DATA(hostid);
	return memcmp(ctrl->hostid, data->hostid, sizeof(ctrl->hostid)) == 0;
}

static void connect_io(struct request *req, struct nvmft_subsystem *subsys, const struct nvmf_connect_data *data)
{
	struct nvmft_queue *queue = req->pub.queue;
	struct nvmft_ctrl *ctrl;
	uint32_t where;

	if (subsys->discovery) {
		connect_fail(req, SC_CMD_DNR(CONNECT_INVALID_PARAM), IN_SQE(CONNECT_QID_OFFSET));
		return;
	}
	ctrl = nvmft_ctrl_find_get(subsys, le16toh(data->cntlid));
	if (!ctrl) {
		connect_fail(req, SC_CMD_DNR(CONNECT_INVALID_PARAM), IN_DATA(cntlid));
		return;
	}
	if (!same_host(ctrl, data, &where)) {
		nvmft_ctrl_put(ctrl);
		connect_fail(req, SC_CMD_DNR(CONNECT_INVALID_PARAM), where);
		return;
	}
	queue_take_connect(queue, &req->pub.sqe);
	queue->ctrl = ctrl;
	queue->ctrl_link = LINK_ATTACHING;
	queue->connect_req = req;
	queue->ctrl_call.fn = connect_attach_call;
	queue->reply_call.fn = connect_attached;
	nvmft_poll_group_call(ctrl->group, &queue->ctrl_call);
}

static void connect_execute(struct request *req)
{
	struct nvmft_queue *queue = req->pub.queue;
	struct nvmf_connect_data data;
	struct nvmft_subsystem *subsys;
	nvmft_status status;
	uint32_t where = 0;

	nvmft_req_copy_in(req, 0, &data, sizeof(data));
	/* Two Connects may have been in flight. */
	if (queue->state != QUEUE_NEW) {
		nvmft_req_complete(req, SC_DNR(CMD_SEQ_ERROR));
		return;
	}
	queue->state = QUEUE_CONNECTING;
	status = connect_check_fields(req, &data, &where);
	if (!status)
		status = connect_find_subsystem(req, &data, &subsys, &where);
	if (status) {
		connect_fail(req, status, where);
		return;
	}
	if (sqe_hi16(req->pub.sqe.cdw10) == 0)
		connect_admin(req, subsys, &data);
	else
		connect_io(req, subsys, &data);
}

static nvmft_status connect_parse(struct request *req)
{
	if (req->pub.queue->state != QUEUE_NEW)
		return req_error(req, SC_DNR(CMD_SEQ_ERROR), SQE_LOC(opcode));
	if (sqe_lo16(req->pub.sqe.cdw10) != 0)
		return req_error(req, SC_CMD_DNR(CONNECT_FORMAT), SQE_LOC(cdw10));
	return nvmft_req_data(req, connect_execute, NVMFT_DIR_FROM_HOST, sizeof(struct nvmf_connect_data));
}

/* ---- properties ---- */

static uint64_t property_value(const struct nvmft_sqe *sqe)
{
	return (uint64_t)le32toh(sqe->cdw13) << 32 | le32toh(sqe->cdw12);
}

static bool property_eight_bytes(const struct nvmft_sqe *sqe)
{
	return le32toh(sqe->cdw10) & 1;
}

static void property_get_execute(struct request *req)
{
	uint64_t value = 0;
	nvmft_status status = nvmft_ctrl_property_get(req_ctrl(req), le32toh(req->pub.sqe.cdw11),
						      property_eight_bytes(&req->pub.sqe), &value);

	if (!status) {
		req->pub.cqe.dw0 = htole32((uint32_t)value);
		req->pub.cqe.dw1 = htole32((uint32_t)(value >> 32));
	} else {
		req->error_loc = SQE_LOC(cdw11);
	}
	nvmft_req_complete(req, status);
}

static void property_set_execute(struct request *req)
{
	nvmft_status status = nvmft_ctrl_property_set(req_ctrl(req), le32toh(req->pub.sqe.cdw11),
						      property_eight_bytes(&req->pub.sqe), property_value(&req->pub.sqe));

	if (status)
		req->error_loc = SQE_LOC(cdw11);
	nvmft_req_complete(req, status);
}

/* ---- Disconnect (6.4): of an I/O queue only ---- */

static void disconnect_execute(struct request *req)
{
	struct nvmft_queue *queue = req->pub.queue;

	if (queue->qid == 0) {
		nvmft_req_complete(req, SC_CMD_DNR(DISCONNECT_INVALID_QTYPE));
		return;
	}
	if (sqe_lo16(req->pub.sqe.cdw10) != 0) {
		nvmft_req_complete(req, SC_CMD_DNR(CONNECT_FORMAT));
		return;
	}
	nvmft_queue_disconnected(queue);
	nvmft_req_complete(req, 0);
}

nvmft_status nvmft_parse_fabrics_cmd(struct request *req)
{
	uint8_t fctype = (uint8_t)(le32toh(req->pub.sqe.nsid) & 0xff);
	struct nvmft_queue *queue = req->pub.queue;

	if (fctype == nvme_fabrics_type_connect)
		return connect_parse(req);
	if (queue->state != QUEUE_LIVE)
		return req_error(req, SC_DNR(CMD_SEQ_ERROR), SQE_LOC(opcode));
	if (fctype == nvme_fabrics_type_disconnect)
		return nvmft_req_no_data(req, disconnect_execute);
	if (queue->qid == 0 && fctype == nvme_fabrics_type_property_get)
		return nvmft_req_no_data(req, property_get_execute);
	if (queue->qid == 0 && fctype == nvme_fabrics_type_property_set)
		return nvmft_req_no_data(req, property_set_execute);
	return req_error(req, SC_DNR(INVALID_OPCODE), SQE_LOC(nsid));
}
