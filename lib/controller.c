/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Controllers: made by the Connect of an admin queue, joined by I/O queues, ended with their association.
 */
#include <errno.h>
#include <stdlib.h>

#include "controller.h"
#include "log.h"
#include "view.h"

#define NVME_VERSION_2_0 0x00020000u

/* ---- identifiers ---- */

static struct nvmft_ctrl *ctrl_by_id(struct nvmft_subsystem *subsys, uint16_t cntlid)
{
	struct nvmft_ctrl *ctrl;

	TAILQ_FOREACH(ctrl, &subsys->ctrls, subsys_link)
		if (ctrl->cntlid == cntlid)
			return ctrl;
	return NULL;
}

static uint16_t next_cntlid(const struct nvmft_subsystem *subsys, uint16_t cntlid)
{
	return cntlid >= subsys->opts.cntlid_max ? subsys->opts.cntlid_min : (uint16_t)(cntlid + 1);
}

/* In turn, so that an identifier is not used again soon after its association ended. 0: all are taken. */
static uint16_t free_cntlid(struct nvmft_subsystem *subsys)
{
	uint32_t range = (uint32_t)subsys->opts.cntlid_max - subsys->opts.cntlid_min + 1;
	uint16_t cntlid = subsys->next_cntlid;

	if (subsys->nctrls >= range)
		return 0;
	while (ctrl_by_id(subsys, cntlid))
		cntlid = next_cntlid(subsys, cntlid);
	subsys->next_cntlid = next_cntlid(subsys, cntlid);
	return cntlid;
}

static uint32_t ctrls_of_host(struct nvmft_subsystem *subsys, const char *hostnqn)
{
	struct nvmft_ctrl *ctrl;
	uint32_t n = 0;

	TAILQ_FOREACH(ctrl, &subsys->ctrls, subsys_link)
		if (strcmp(ctrl->hostnqn, hostnqn) == 0)
			n++;
	return n;
}

static int ctrl_register(struct nvmft_ctrl *ctrl, uint16_t wanted)
{
	struct nvmft_subsystem *subsys = ctrl->subsys;
	bool any = wanted == NVMFT_CNTLID_DYNAMIC || wanted == NVMFT_CNTLID_STATIC;
	int ret = 0;

	pthread_mutex_lock(&subsys->ctrl_lock);
	if (subsys->opts.max_controllers_per_host &&
	    ctrls_of_host(subsys, ctrl->hostnqn) >= subsys->opts.max_controllers_per_host)
		ret = -EBUSY;
	else if (any)
		ctrl->cntlid = free_cntlid(subsys);
	else if (!ctrl_by_id(subsys, wanted))
		ctrl->cntlid = wanted;
	if (!ctrl->cntlid)
		ret = -EBUSY;
	if (!ret) {
		TAILQ_INSERT_TAIL(&subsys->ctrls, ctrl, subsys_link);
		subsys->nctrls++;
		atomic_store(&ctrl->connectable, true);
	}
	pthread_mutex_unlock(&subsys->ctrl_lock);
	return ret;
}

static void ctrl_unregister(struct nvmft_ctrl *ctrl)
{
	struct nvmft_subsystem *subsys = ctrl->subsys;

	pthread_mutex_lock(&subsys->ctrl_lock);
	TAILQ_REMOVE(&subsys->ctrls, ctrl, subsys_link);
	subsys->nctrls--;
	pthread_mutex_unlock(&subsys->ctrl_lock);
}

struct nvmft_ctrl *nvmft_ctrl_find_get(struct nvmft_subsystem *subsys, uint16_t cntlid)
{
	struct nvmft_ctrl *ctrl;

	pthread_mutex_lock(&subsys->ctrl_lock);
	ctrl = ctrl_by_id(subsys, cntlid);
	if (ctrl && atomic_load(&ctrl->connectable))
		atomic_fetch_add(&ctrl->refs, 1);
	else
		ctrl = NULL;
	pthread_mutex_unlock(&subsys->ctrl_lock);
	return ctrl;
}

/* ---- making and freeing ---- */

int nvmft_ctrl_create(struct nvmft_queue *admin, struct nvmft_subsystem *subsys, uint16_t cntlid,
		      const struct nvmf_connect_data *data, uint32_t kato_ms, struct nvmft_ctrl **out)
{
	struct nvmft_ctrl *ctrl = calloc(1, sizeof(*ctrl));
	int ret;

	if (!ctrl)
		return -ENOMEM;
	ctrl->group = admin->group;
	ctrl->subsys = subsys;
	ctrl->port = admin->port;
	ctrl->admin = admin;
	ctrl->discovery = subsys->discovery;
	ctrl->is_static = subsys->opts.model_kind == NVMFT_CONTROLLERS_STATIC;
	strcpy(ctrl->hostnqn, data->hostnqn);
	memcpy(ctrl->hostid, data->hostid, sizeof(ctrl->hostid));
	atomic_init(&ctrl->refs, 1);
	TAILQ_INIT(&ctrl->aer.waiting);
	ctrl->cap = nvmft_ctrl_cap(admin->port);
	ctrl->vs = NVME_VERSION_2_0;
	nvmft_features_init(ctrl);
	ret = ctrl_register(ctrl, cntlid);
	if (ret) {
		free(ctrl);
		return ret;
	}
	nvmft_subsystem_get(subsys);
	nvmft_target_get(subsys->target);
	if (!ctrl->discovery)
		ctrl->sv = nvmft_view_subsys_of(admin->group->view, subsys);
	TAILQ_INSERT_TAIL(&ctrl->group->ctrls, ctrl, group_link);
	nvmft_keep_alive_start(ctrl, kato_ms);
	*out = ctrl;
	return 0;
}

void nvmft_ctrl_put(struct nvmft_ctrl *ctrl)
{
	struct nvmft_subsystem *subsys = ctrl->subsys;
	struct nvmft_target *target = subsys->target;

	if (atomic_fetch_sub(&ctrl->refs, 1) != 1)
		return;
	free(ctrl->ioqs);
	free(ctrl);
	nvmft_subsystem_put(subsys);
	nvmft_target_put(target);
}

/* ---- I/O queues ---- */

static int ioqs_grow(struct nvmft_ctrl *ctrl, uint16_t qid)
{
	uint32_t cap = ctrl->cap_ioqs ? ctrl->cap_ioqs : 8;
	struct nvmft_queue **grown;

	if (qid <= ctrl->cap_ioqs)
		return 0;
	while (cap < qid)
		cap *= 2;
	grown = realloc(ctrl->ioqs, cap * sizeof(struct nvmft_queue *));
	if (!grown)
		return -ENOMEM;
	memset(grown + ctrl->cap_ioqs, 0, (cap - ctrl->cap_ioqs) * sizeof(struct nvmft_queue *));
	ctrl->ioqs = grown;
	ctrl->cap_ioqs = cap;
	return 0;
}

static nvmft_status attach_check(struct nvmft_ctrl *ctrl, uint16_t qid)
{
	if (ctrl->state != CTRL_LIVE)
		return SC_CMD_DNR(CONNECT_INVALID_PARAM);
	if (!nvmft_ctrl_ready(ctrl) || ctrl->resetting)
		return SC_DNR(CMD_SEQ_ERROR);
	/* Number of queues is 0-based, so that it grants queue identifiers up to itself + 1. */
	if (qid > (ctrl->features.num_queues & 0xffff) + 1)
		return SC_CMD_DNR(CONNECT_INVALID_PARAM);
	if (qid <= ctrl->cap_ioqs && ctrl->ioqs[qid - 1])
		return SC_DNR(CMD_SEQ_ERROR);
	return ioqs_grow(ctrl, qid) ? SC(INTERNAL) : 0;
}

void nvmft_ctrl_attach(struct nvmft_ctrl *ctrl, struct nvmft_queue *queue)
{
	queue->attach_status = attach_check(ctrl, queue->qid);
	if (queue->attach_status)
		return;
	ctrl->ioqs[queue->qid - 1] = queue;
	ctrl->nioqs++;
	/* The queue's thread waits for the answer. CC.CSS cannot change as long as there are I/O queues. */
	queue->all_csi = ctrl->admin->all_csi;
}

static void ctrl_maybe_end(struct nvmft_ctrl *ctrl)
{
	struct nvmft_queue *admin = ctrl->admin;

	if (ctrl->state != CTRL_DYING || ctrl->nioqs || !admin->transport_gone)
		return;
	/* Only now, so that no two associations ever have the same identifier. */
	ctrl_unregister(ctrl);
	TAILQ_REMOVE(&ctrl->group->ctrls, ctrl, group_link);
	nvmft_aer_fini(ctrl);
	nvmft_error_log_fini(ctrl);
	admin->ctrl_link = LINK_NONE;
	nvmft_queue_maybe_destroy(admin);
}

void nvmft_ctrl_detach(struct nvmft_ctrl *ctrl, struct nvmft_queue *queue)
{
	ctrl->ioqs[queue->qid - 1] = NULL;
	ctrl->nioqs--;
	/* Its commands leave the sum by which traffic is noticed. */
	ctrl->ka_commands -= counter_get(&queue->commands);
	/* After this the queue's thread may free the queue; the reference of the queue keeps the controller until then. */
	atomic_fetch_add(&ctrl->refs, 1);
	nvmft_poll_group_call(queue->group, &queue->reply_call);
	if (!ctrl->nioqs) {
		nvmft_ctrl_ioqs_gone(ctrl);
		ctrl_maybe_end(ctrl);
	}
	nvmft_ctrl_put(ctrl);
}

static void queue_close_call(struct nvmft_call *call)
{
	struct nvmft_queue *queue = container_of(call, struct nvmft_queue, close_call);

	atomic_store(&queue->close_posted, false);
	nvmft_queue_shut(queue);
}

/*
 * A queue stays in ioqs[] until its detach call was handled here, and is freed only after the reply to that; calls from here
 * to its group are run in order, thus a call posted now finds it.
 */
void nvmft_ctrl_close_ioqs(struct nvmft_ctrl *ctrl)
{
	uint32_t i;

	for (i = 0; i < ctrl->cap_ioqs; i++) {
		struct nvmft_queue *queue = ctrl->ioqs[i];

		if (!queue || atomic_exchange(&queue->close_posted, true))
			continue;
		queue->close_call.fn = queue_close_call;
		nvmft_poll_group_call(queue->group, &queue->close_call);
	}
}

/* ---- the end of an association ---- */

static void ctrl_begin_end(struct nvmft_ctrl *ctrl)
{
	ctrl->state = CTRL_DYING;
	pthread_mutex_lock(&ctrl->subsys->ctrl_lock);
	atomic_store(&ctrl->connectable, false);
	pthread_mutex_unlock(&ctrl->subsys->ctrl_lock);
	nvmft_keep_alive_stop(ctrl);
	nvmft_aer_flush(ctrl);
	nvmft_ctrl_close_ioqs(ctrl);
}

void nvmft_ctrl_kill(struct nvmft_ctrl *ctrl, const char *reason)
{
	if (ctrl->state != CTRL_LIVE)
		return;
	nvmft_queue_log(ctrl->admin, NVMFT_LOG_WARN, "association with %s ended: %s", ctrl->hostnqn, reason);
	ctrl_begin_end(ctrl);
	nvmft_queue_shut(ctrl->admin);
}

void nvmft_ctrl_admin_closing(struct nvmft_ctrl *ctrl)
{
	if (ctrl->state != CTRL_LIVE)
		return;
	nvmft_queue_log(ctrl->admin, NVMFT_LOG_INFO, "host %s disconnected", ctrl->hostnqn);
	ctrl_begin_end(ctrl);
}

void nvmft_ctrl_admin_closed(struct nvmft_ctrl *ctrl)
{
	ctrl_maybe_end(ctrl);
}

/* ---- changes of the configuration ---- */

static const char *no_longer_allowed(struct nvmft_ctrl *ctrl)
{
	const struct nvmft_view *view = ctrl->group->view;

	if (!ctrl->sv->subsys)
		return "subsystem removed";
	if (!nvmft_view_linked(nvmft_view_port(view, ctrl->port), ctrl->subsys))
		return "subsystem no longer served by the port";
	if (!nvmft_view_host_allowed(ctrl->sv, ctrl->hostnqn))
		return "host no longer allowed";
	return NULL;
}

void nvmft_ctrl_view_changed(struct nvmft_ctrl *ctrl, const struct nvmft_view *before)
{
	const struct nvmft_view *view = ctrl->group->view;
	const struct subsys_view *sv_before = ctrl->sv;
	const char *reason;

	if (ctrl->state != CTRL_LIVE)
		return;
	if (ctrl->discovery) {
		if (nvmft_discovery_changed(ctrl, before, view))
			nvmft_aer_raise(ctrl, AER_DISC_CHANGED);
		return;
	}
	ctrl->sv = nvmft_view_subsys_of(view, ctrl->subsys);
	reason = no_longer_allowed(ctrl);
	if (reason)
		nvmft_ctrl_kill(ctrl, reason);
	else if (ctrl->sv != sv_before)
		nvmft_aer_namespaces_changed(ctrl, sv_before, ctrl->sv);
}
