/* SPDX-License-Identifier: BSD-3-Clause */
#include "admin.h"
#include "cid.h"

/*
 * Abort (Base 2.0, 5.1). The command to end may be on a queue in another poll group: then the Abort travels there and
 * back as a message. A queue in ctrl->ioqs is not freed before its detach message was handled here and answered, and
 * messages from one group to another keep their order, so the queue is there when the Abort arrives.
 */
struct trip {
	struct nvmft_queue *queue;
	struct nvmft_poll_group *home;
	uint16_t cid;
	bool aborted;
};

_Static_assert(sizeof(struct trip) <= NVMFT_IO_PRIV_MAX, "an Abort has no I/O whose private bytes it would need");

static struct trip *trip_of(struct request *req)
{
	return (struct trip *)(void *)req->io_priv;
}

static void finish(struct request *req, bool aborted)
{
	req->pub.cqe.dw0 = htole32(aborted ? 0 : 1);
	nvmft_req_complete(req, 0);
}

static void come_home(struct nvmft_call *call)
{
	struct request *req = container_of(call, struct request, call);

	req_ctrl(req)->naborts--;
	finish(req, trip_of(req)->aborted);
}

static bool abort_in(struct nvmft_queue *queue, uint16_t cid)
{
	struct request *victim = nvmft_cid_find(&queue->cids, cid);

	return victim && nvmft_request_abort(victim);
}

static void arrive(struct nvmft_call *call)
{
	struct request *req = container_of(call, struct request, call);
	struct trip *trip = trip_of(req);

	trip->aborted = abort_in(trip->queue, trip->cid);
	req->call.fn = come_home;
	nvmft_poll_group_call(trip->home, &req->call);
}

static void travel(struct request *req, struct nvmft_queue *queue, uint16_t cid)
{
	struct nvmft_ctrl *ctrl = req_ctrl(req);

	if (ctrl->naborts > ADMIN_ACL) {
		nvmft_req_complete(req, SC_CMD(ABORT_LIMIT));
		return;
	}
	ctrl->naborts++;
	*trip_of(req) = (struct trip){.queue = queue, .home = ctrl->group, .cid = cid};
	req->call.fn = arrive;
	nvmft_poll_group_call(queue->group, &req->call);
}

/* An Abort cannot end itself. */
static bool abort_admin(struct nvmft_ctrl *ctrl, struct request *req, uint16_t cid)
{
	struct request *victim = nvmft_cid_find(&ctrl->admin->cids, cid);

	if (!victim || victim == req)
		return false;
	return nvmft_aer_abort(ctrl, victim) || nvmft_request_abort(victim);
}

static struct nvmft_queue *io_queue(const struct nvmft_ctrl *ctrl, uint16_t qid)
{
	return qid <= ctrl->cap_ioqs ? ctrl->ioqs[qid - 1] : NULL;
}

static void execute(struct request *req)
{
	struct nvmft_ctrl *ctrl = req_ctrl(req);
	uint16_t sqid = sqe_lo16(req->pub.sqe.cdw10), cid = sqe_hi16(req->pub.sqe.cdw10);
	struct nvmft_queue *queue;

	if (sqid == 0) {
		finish(req, abort_admin(ctrl, req, cid));
		return;
	}
	queue = io_queue(ctrl, sqid);
	if (!queue)
		finish(req, false);
	else if (queue->group == ctrl->group)
		finish(req, abort_in(queue, cid));
	else
		travel(req, queue, cid);
}

nvmft_status nvmft_abort_parse(struct request *req)
{
	return nvmft_req_no_data(req, execute);
}
