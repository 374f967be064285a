/* SPDX-License-Identifier: BSD-3-Clause */
#include "admin.h"

/* Asynchronous events (Base 2.0, 5.2). All are notices, and each belongs to a log page that the host is to read. */
#define AER_TYPE_NOTICE 0x02u

static const struct {
	uint8_t info;
	uint8_t lid;
	uint8_t aec_bit; /* of feature 0Bh */
} events[AER_EVENTS] = {
	[AER_NS_ATTR_CHANGED] = {0x00, NVME_LOG_LID_CHANGED_NS, 8},
	[AER_DISC_CHANGED] = {0xf0, NVME_LOG_LID_DISCOVER, 31},
};

static struct request *take_waiting(struct aer_state *aer)
{
	struct request *req = TAILQ_FIRST(&aer->waiting);

	if (req) {
		TAILQ_REMOVE(&aer->waiting, req, link);
		aer->nwaiting--;
	}
	return req;
}

static bool reportable(const struct nvmft_ctrl *ctrl, unsigned int event)
{
	const struct aer_state *aer = &ctrl->aer;

	return aer->pending[event] && !aer->masked[event] && (ctrl->features.aec >> events[event].aec_bit & 1);
}

/* Give what waits to the AERs that wait. */
static void report(struct nvmft_ctrl *ctrl)
{
	struct aer_state *aer = &ctrl->aer;

	for (unsigned int event = 0; event < AER_EVENTS && aer->nwaiting; event++) {
		struct request *req;

		if (!reportable(ctrl, event))
			continue;
		aer->pending[event] = false;
		aer->masked[event] = true;
		req = take_waiting(aer);
		req->pub.cqe.dw0 = htole32((uint32_t)events[event].lid << 16 | (uint32_t)events[event].info << 8 |
					   AER_TYPE_NOTICE);
		nvmft_req_complete(req, 0);
	}
}

static void execute(struct request *req)
{
	struct nvmft_ctrl *ctrl = req_ctrl(req);

	if (ctrl->aer.nwaiting >= ctrl_max_aers(ctrl)) {
		nvmft_req_complete(req, SC_CMD_DNR(ASYNC_LIMIT));
		return;
	}
	TAILQ_INSERT_TAIL(&ctrl->aer.waiting, req, link);
	ctrl->aer.nwaiting++;
	report(ctrl);
}

nvmft_status nvmft_aer_parse(struct request *req)
{
	return nvmft_req_no_data(req, execute);
}

void nvmft_aer_raise(struct nvmft_ctrl *ctrl, enum aer_event event)
{
	/* While it is masked the host is about to read the log page, which will tell this too. */
	if (!ctrl->aer.masked[event])
		ctrl->aer.pending[event] = true;
	report(ctrl);
}

void nvmft_aer_config_changed(struct nvmft_ctrl *ctrl)
{
	report(ctrl);
}

void nvmft_aer_log_read(struct nvmft_ctrl *ctrl, enum aer_event event)
{
	ctrl->aer.pending[event] = false;
	ctrl->aer.masked[event] = false;
	if (event == AER_NS_ATTR_CHANGED)
		ctrl->aer.nchanged = 0;
}

/* The Changed Namespace List is sorted; where NSID is or belongs. */
static uint32_t changed_index(const struct aer_state *aer, uint32_t nsid)
{
	uint32_t lo = 0, hi = aer->nchanged;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (aer->changed_ns[mid] < nsid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void changed_add(struct aer_state *aer, uint32_t nsid)
{
	uint32_t at;

	if (aer->nchanged > CTRL_CHANGED_NS_MAX)
		return;
	if (!aer->changed_ns)
		aer->changed_ns = calloc(CTRL_CHANGED_NS_MAX, sizeof(*aer->changed_ns));
	/* Without memory say what a full list says: look at all of them. */
	if (!aer->changed_ns) {
		aer->nchanged = CTRL_CHANGED_NS_MAX + 1;
		return;
	}
	at = changed_index(aer, nsid);
	if (at < aer->nchanged && aer->changed_ns[at] == nsid)
		return;
	if (aer->nchanged == CTRL_CHANGED_NS_MAX) {
		aer->nchanged++;
		return;
	}
	memmove(&aer->changed_ns[at + 1], &aer->changed_ns[at], (aer->nchanged - at) * sizeof(*aer->changed_ns));
	aer->changed_ns[at] = nsid;
	aer->nchanged++;
}

/* Both lists are sorted: walk them side by side. */
void nvmft_aer_namespaces_changed(struct nvmft_ctrl *ctrl, const struct subsys_view *before,
				  const struct subsys_view *after)
{
	uint32_t old_n = before ? before->nns : 0, new_n = after ? after->nns : 0, i = 0, j = 0;
	bool changed = false;

	if (before == after)
		return;
	while (i < old_n || j < new_n) {
		const struct ns_view *was = i < old_n ? &before->ns[i] : NULL;
		const struct ns_view *is = j < new_n ? &after->ns[j] : NULL;
		uint32_t nsid = !is || (was && was->nsid < is->nsid) ? was->nsid : is->nsid;
		bool had = was && was->nsid == nsid, has = is && is->nsid == nsid;

		i += had;
		j += has;
		if (had && has && was->ns == is->ns && was->changed == is->changed)
			continue;
		changed_add(&ctrl->aer, nsid);
		changed = true;
	}
	if (changed)
		nvmft_aer_raise(ctrl, AER_NS_ATTR_CHANGED);
}

bool nvmft_aer_abort(struct nvmft_ctrl *ctrl, struct request *req)
{
	struct request *waiting;

	TAILQ_FOREACH(waiting, &ctrl->aer.waiting, link) {
		if (waiting != req)
			continue;
		TAILQ_REMOVE(&ctrl->aer.waiting, req, link);
		ctrl->aer.nwaiting--;
		nvmft_req_complete(req, SC(ABORT_REQ));
		return true;
	}
	return false;
}

void nvmft_aer_flush(struct nvmft_ctrl *ctrl)
{
	struct aer_state *aer = &ctrl->aer;
	struct request *req;

	while ((req = take_waiting(aer)))
		nvmft_req_complete(req, SC(ABORT_QUEUE));
	/* A host that enables the controller again looks at everything anew. */
	memset(aer->pending, 0, sizeof(aer->pending));
	memset(aer->masked, 0, sizeof(aer->masked));
	aer->nchanged = 0;
}

void nvmft_aer_fini(struct nvmft_ctrl *ctrl)
{
	free(ctrl->aer.changed_ns);
	ctrl->aer.changed_ns = NULL;
	ctrl->aer.nchanged = 0;
}
