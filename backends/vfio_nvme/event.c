/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the device tells of by itself: events, the logs that they point to, and namespaces that change.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <nvme/types.h>

#include "vfio_nvme.h"

/* Asynchronous Event Request, dword 0 (NVMe Base 2.0, 5.2.1) */
#define AER_TYPE(dw0) ((dw0)&7)
#define AER_INFO(dw0) ((dw0) >> 8 & 0xff)
#define AER_LID(dw0) ((uint8_t)((dw0) >> 16))

#define LOG_SMART 0x02u
#define LOG_CHANGED_NAMESPACES 0x04u

/* Of other logs as much as the smallest has: reading is what enables the next event. */
#define LOG_LEN 512u

/* A device that has many events does not fill the log of the target. */
#define REST_NS UINT64_C(100000000)
/* For a namespace whose device would not say what has become of it, a second apart. */
#define MAX_LOOKS 30u

/* ---- the event ---- */

static const char *event_name(uint32_t dw0)
{
	static const char *const errors[] = {"write to an invalid doorbell", "invalid doorbell value",
					     "diagnostic failure",           "persistent internal error",
					     "transient internal error",     "firmware image could not be loaded"};
	static const char *const health[] = {"reliability of the subsystem", "temperature threshold", "spare capacity"};
	static const char *const notices[] = {"namespaces changed", "firmware activation starts",
					      "telemetry log changed", "namespace access changed",
					      "latency event log changed"};
	uint32_t info = AER_INFO(dw0);

	if (AER_TYPE(dw0) == 0 && info < sizeof(errors) / sizeof(errors[0]))
		return errors[info];
	if (AER_TYPE(dw0) == 1 && info < sizeof(health) / sizeof(health[0]))
		return health[info];
	if (AER_TYPE(dw0) == 2 && info < sizeof(notices) / sizeof(notices[0]))
		return notices[info];
	return "of another kind";
}

void nvmft_event(struct ctrl *ctrl, const struct nvmft_cqe *cqe)
{
	if (cqe->status)
		return; /* the controller takes none, or the queue is going */
	nvmft_device_log(ctrl->dev, NVMFT_LOG_WARN,
			 "event of the device: %s (type %" PRIu32 ", information 0x%02" PRIx32 ", log page 0x%02x)",
			 event_name(cqe->dw0), AER_TYPE(cqe->dw0), AER_INFO(cqe->dw0), AER_LID(cqe->dw0));
	/* By the log page, as is the look that ends the doubt. */
	if (AER_LID(cqe->dw0) == LOG_CHANGED_NAMESPACES)
		nvmft_event_doubt(ctrl);
	ctrl->event = EVENT_TOLD;
	ctrl->event_lid = AER_LID(cqe->dw0);
	ctrl->event_rest = ctrl->dev->ops->now(ctrl->dev) + REST_NS;
}

void nvmft_event_log(struct ctrl *ctrl, const struct nvmft_cqe *cqe)
{
	ctrl->event = EVENT_READ;
	if (cqe->status)
		memset(ctrl->log_page.base, 0, ctrl->log_page.len);
}

/* ---- the log ---- */

static void say_warnings(struct ctrl *ctrl)
{
	static const char *const words[] = {
		"spare capacity is below its threshold", "temperature is outside of its limits",
		"reliability is degraded by errors",     "media are read only",
		"backup of volatile memory has failed",  "persistent memory region is read only or unreliable",
	};
	const struct nvme_smart_log *log = ctrl->log_page.base;

	for (unsigned int i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (log->critical_warning >> i & 1)
			nvmft_device_log(ctrl->dev, NVMFT_LOG_ERROR, "critical warning of the device: %s", words[i]);
}

static void rest(struct ctrl *ctrl)
{
	if (ctrl->dev->ops->now(ctrl->dev) < ctrl->event_rest)
		return;
	ctrl->event = EVENT_NONE;
	nvmft_admin_expect_event(ctrl);
}

/* ---- doubt ---- */

bool nvmft_event_due(const struct ctrl *ctrl)
{
	bool open = ctrl->event == EVENT_TOLD || ctrl->event == EVENT_READING || ctrl->event == EVENT_READ;

	return ctrl->look_again || (open && ctrl->event_lid == LOG_CHANGED_NAMESPACES);
}

void nvmft_event_doubt(struct ctrl *ctrl)
{
	struct vfio_nvme *vn;

	pthread_mutex_lock(&ctrl->ns_lock);
	LIST_FOREACH (vn, &ctrl->namespaces, link)
		ssd_doubt_raise(&vn->doubt);
	pthread_mutex_unlock(&ctrl->ns_lock);
}

void nvmft_event_suspect(struct vfio_nvme *vn)
{
	ssd_doubt_raise(&vn->doubt);
	if (!atomic_exchange(&vn->ctrl->suspected, true))
		nvmft_ctrl_kick(vn->ctrl);
}

static void look_in(struct ctrl *ctrl, uint64_t ns)
{
	uint64_t at = ctrl->dev->ops->now(ctrl->dev) + ns;

	if (!ctrl->look_at || at < ctrl->look_at)
		ctrl->look_at = at;
}

static void look_when_due(struct ctrl *ctrl)
{
	if (atomic_exchange(&ctrl->suspected, false))
		look_in(ctrl, SUSPICION_NS);
	if (!ctrl->look_at || ctrl->dev->ops->now(ctrl->dev) < ctrl->look_at)
		return;
	ctrl->look_at = 0;
	ctrl->look_again = true;
}

void nvmft_event_step(struct ctrl *ctrl)
{
	uint32_t len = ctrl->event_lid == LOG_CHANGED_NAMESPACES ? NVME_PAGE : LOG_LEN;

	if (ctrl->event == EVENT_TOLD && nvmft_admin_read_log(ctrl, ctrl->event_lid, len)) {
		ctrl->event = EVENT_READING;
	} else if (ctrl->event == EVENT_READ) {
		ctrl->event = EVENT_REST;
		if (ctrl->event_lid == LOG_SMART)
			say_warnings(ctrl);
		else if (ctrl->event_lid == LOG_CHANGED_NAMESPACES)
			ctrl->look_again = true; /* at all, as I/O of all was stopped */
	}
	look_when_due(ctrl);
	if (ctrl->look_again) {
		ctrl->look_again = false;
		nvmft_event_look(ctrl);
	}
	/* Unless the look at the namespaces has found the controller dead. */
	if (ctrl->event == EVENT_REST && ctrl_state(ctrl) == CTRL_LIVE)
		rest(ctrl);
}

/* ---- namespaces ---- */

static void tell_gone(struct vfio_nvme *vn)
{
	ssd_doubt_refuse(&vn->doubt);
	if (!vn->gone)
		nvmft_backend_changed(vn->backend, NULL);
	vn->gone = true;
}

static bool same_format(const struct vfio_nvme *vn, const struct vfio_facts *facts)
{
	return nvmft_ssd_same_format(&vn->facts.ssd, &facts->ssd) &&
	       nvmft_vfio_format_equal(&vn->format, &facts->format);
}

static void tell_facts(struct ctrl *ctrl, struct vfio_nvme *vn, const struct vfio_facts *facts)
{
	struct nvmft_backend_info info = {.size = sizeof(info)};
	bool same;

	pthread_mutex_lock(&ctrl->lock);
	same = !memcmp(&vn->facts, facts, sizeof(*facts));
	vn->facts = *facts;
	pthread_mutex_unlock(&ctrl->lock);
	if (same && !vn->gone)
		return;
	vn->gone = false;
	nvmft_vfio_facts_info(vn, facts, &info);
	nvmft_backend_changed(vn->backend, &info);
}

/*
 * Until there is an answer it stays what it is, and its I/O waits, but not for so long that hosts would give up. A
 * device that never says fills neither its queue nor the log.
 */
static void look_later(struct ctrl *ctrl, struct vfio_nvme *vn)
{
	if (vn->unanswered * WATCH_NS >= IO_TIMEOUT_NS)
		ssd_doubt_refuse(&vn->doubt);
	if (vn->unanswered < MAX_LOOKS)
		look_in(ctrl, WATCH_NS);
}

/* @begin: of the doubt, before the device was asked */
static void judge(struct ctrl *ctrl, struct vfio_nvme *vn, const struct vfio_facts *facts, unsigned int begin)
{
	if (!same_format(vn, facts)) {
		nvmft_device_log(ctrl->dev, NVMFT_LOG_ERROR,
				 "namespace %" PRIu32 " has another format now: it has to be removed and added again",
				 vn->nsid);
		tell_gone(vn);
		return;
	}
	tell_facts(ctrl, vn, facts);
	/* Else there was a sign meanwhile, and another look follows it. */
	(void)ssd_doubt_settle(&vn->doubt, begin);
}

static struct vfio_nvme *find(struct ctrl *ctrl, uint32_t nsid)
{
	struct vfio_nvme *vn;

	LIST_FOREACH (vn, &ctrl->namespaces, link)
		if (vn->nsid == nsid)
			break;
	return vn;
}

/* From here on I/O waits for the answer. False: it was closed meanwhile. */
static bool begin_look(struct ctrl *ctrl, uint32_t nsid, unsigned int *begin)
{
	struct vfio_nvme *vn;

	pthread_mutex_lock(&ctrl->ns_lock);
	vn = find(ctrl, nsid);
	if (vn) {
		ssd_doubt_raise(&vn->doubt);
		*begin = ssd_doubt_begin(&vn->doubt);
	}
	pthread_mutex_unlock(&ctrl->ns_lock);
	return vn;
}

/* The device is asked without a lock, as closing a namespace does not wait for it. */
static void look(struct ctrl *ctrl, uint32_t nsid)
{
	struct vfio_facts facts;
	struct vfio_nvme *vn;
	unsigned int begin;
	int err;

	if (!begin_look(ctrl, nsid, &begin))
		return;
	err = nvmft_vfio_facts_read(ctrl, nsid, &facts);
	if (facts_lost(err)) {
		nvmft_ctrl_fail(ctrl, "a namespace that changed cannot be identified");
		return;
	}
	pthread_mutex_lock(&ctrl->ns_lock);
	vn = find(ctrl, nsid);
	if (vn)
		vn->unanswered = err == -EREMOTEIO ? vn->unanswered + 1 : 0;
	if (vn && err == -EREMOTEIO)
		look_later(ctrl, vn);
	else if (vn && err)
		tell_gone(vn);
	else if (vn)
		judge(ctrl, vn, &facts, begin);
	pthread_mutex_unlock(&ctrl->ns_lock);
}

/* The lowest identifier of an open namespace from @nsid on; 0: there is none. */
static uint32_t next_nsid(struct ctrl *ctrl, uint32_t nsid)
{
	const struct vfio_nvme *vn;
	uint32_t next = 0;

	pthread_mutex_lock(&ctrl->ns_lock);
	LIST_FOREACH (vn, &ctrl->namespaces, link)
		if (vn->nsid >= nsid && (!next || vn->nsid < next))
			next = vn->nsid;
	pthread_mutex_unlock(&ctrl->ns_lock);
	return next;
}

void nvmft_event_look(struct ctrl *ctrl)
{
	uint32_t nsid = 1;

	while ((nsid = next_nsid(ctrl, nsid)) && ctrl_state(ctrl) == CTRL_LIVE)
		look(ctrl, nsid++);
	nvmft_pairs_wake(ctrl);
}

void nvmft_event_gone(struct ctrl *ctrl)
{
	struct vfio_nvme *vn;

	pthread_mutex_lock(&ctrl->ns_lock);
	LIST_FOREACH (vn, &ctrl->namespaces, link)
		tell_gone(vn);
	pthread_mutex_unlock(&ctrl->ns_lock);
}
