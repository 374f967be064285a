/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Admin commands. Those that the controller's thread needs the answer of it waits for; none of them is one that a
 * device takes long for. The others (Aborts, Asynchronous Event Requests and their logs, commands of hosts) come back
 * by nvmft_admin_reap().
 */
#include <errno.h>
#include <string.h>

#include <nvme/types.h>

#include "vfio_nvme.h"

#define ADMIN_PAUSE_NS 20000u

/* Asynchronous Event Configuration */
#define EVENTS_SMART 0x1fu
#define EVENTS_NAMESPACES (1u << 8)
#define EVENTS_FIRMWARE (1u << 9)

static bool dead_bus(const struct ctrl *ctrl)
{
	uint32_t csts = reg_read32(ctrl->dev->bar, NVME_REG_CSTS);

	return csts == CSTS_GONE || csts & CSTS_CFS;
}

/* Below ADMIN_ENTRIES - 1 commands, see struct queue_pair. */
int nvmft_admin_free_cid(const struct ctrl *ctrl)
{
	for (int cid = 0; cid < (int)ADMIN_ENTRIES - 1; cid++)
		if (ctrl->slots[cid].use == ADMIN_FREE)
			return cid;
	return -1;
}

int nvmft_admin_submit(struct ctrl *ctrl, const struct nvmft_sqe *sqe, enum admin_use use)
{
	uint64_t now = ctrl->dev->ops->now(ctrl->dev);
	int cid = nvmft_admin_free_cid(ctrl);
	struct nvmft_sqe *to;

	if (cid < 0)
		return -1;
	ctrl->slots[cid] = (struct admin_slot){.use = use, .begin = now, .deadline = now + ADMIN_TIMEOUT_NS};
	to = queue_pair_push(&ctrl->admin);
	*to = *sqe;
	to->cid = htole16((uint16_t)cid);
	queue_pair_ring_sq(&ctrl->admin);
	return cid;
}

/* ---- completions ---- */

/* What it was for can have its identifier used again. */
static void abort_over(struct ctrl *ctrl, const struct admin_slot *slot)
{
	struct admin_slot *target = &ctrl->slots[slot->cid % ADMIN_ENTRIES];

	ctrl->aborts--;
	if (slot->sqid) {
		nvmft_pair_aborted(ctrl, slot->sqid, slot->cid);
		return;
	}
	target->aborted = false;
	if (target->use == ADMIN_OVER)
		target->use = ADMIN_FREE;
}

static enum admin_use next_use(const struct admin_slot *slot)
{
	if (slot->use == ADMIN_WAITED)
		return ADMIN_DONE;
	return slot->aborted ? ADMIN_OVER : ADMIN_FREE;
}

static void completed(struct ctrl *ctrl, const struct nvmft_cqe *cqe)
{
	struct admin_slot *slot = &ctrl->slots[cqe->cid % ADMIN_ENTRIES];
	enum admin_use use = slot->use;

	if (cqe->cid >= ADMIN_ENTRIES || use == ADMIN_FREE || use == ADMIN_DONE || use == ADMIN_OVER) {
		/* Once: the device would fill the log. */
		if (!ctrl->complained)
			nvmft_device_log(
				ctrl->dev, NVMFT_LOG_WARN,
				"admin completion for command %u, which is not open; further ones are not logged",
				cqe->cid);
		ctrl->complained = true;
		return;
	}
	slot->use = next_use(slot);
	slot->cqe = *cqe;
	if (use == ADMIN_AER)
		nvmft_event(ctrl, cqe);
	else if (use == ADMIN_LOG)
		nvmft_event_log(ctrl, cqe);
	else if (use == ADMIN_ABORT)
		abort_over(ctrl, slot);
	else if (use == ADMIN_PASS)
		nvmft_pass_over(ctrl, slot);
}

void nvmft_admin_reap(struct ctrl *ctrl)
{
	struct nvmft_cqe cqe;
	unsigned int n = ADMIN_ENTRIES;

	while (n-- && queue_pair_pop(&ctrl->admin, &cqe))
		completed(ctrl, &cqe);
	queue_pair_ring_cq(&ctrl->admin);
}

void nvmft_admin_reset(struct ctrl *ctrl)
{
	nvmft_queue_pair_reset(&ctrl->admin);
	memset(ctrl->slots, 0, sizeof(ctrl->slots));
	ctrl->aborts = 0;
	ctrl->complained = false;
	ctrl->event = EVENT_NONE;
}

/* A command of a host that takes long, such as Format, may keep the device from looking at another. */
static bool too_late(const struct ctrl *ctrl, struct admin_slot *slot)
{
	uint64_t now = ctrl->dev->ops->now(ctrl->dev);

	if (ctrl->npasses && now - slot->begin < PASS_TIMEOUT_NS)
		slot->deadline = now + ADMIN_TIMEOUT_NS;
	return now >= slot->deadline;
}

void nvmft_admin_watch(struct ctrl *ctrl)
{
	for (uint32_t cid = 0; cid < ADMIN_ENTRIES; cid++) {
		struct admin_slot *slot = &ctrl->slots[cid];

		if ((slot->use != ADMIN_ABORT && slot->use != ADMIN_LOG) || !too_late(ctrl, slot))
			continue;
		nvmft_ctrl_fail(ctrl,
				slot->use == ADMIN_ABORT ? "an Abort has timed out" : "Get Log Page has timed out");
		return;
	}
}

/* For one that is waited for: it will not come any more. Return: 0; -errno. */
static int given_up(const struct ctrl *ctrl, struct admin_slot *slot)
{
	if (dead_bus(ctrl))
		return -EIO;
	return too_late(ctrl, slot) ? -ETIMEDOUT : 0;
}

int nvmft_admin_command(struct ctrl *ctrl, const struct nvmft_sqe *sqe, uint32_t *dw0)
{
	int cid = nvmft_admin_submit(ctrl, sqe, ADMIN_WAITED), err;
	struct admin_slot *slot;

	if (cid < 0)
		return -EBUSY;
	slot = &ctrl->slots[cid];
	for (;;) {
		nvmft_admin_reap(ctrl);
		if (slot->use == ADMIN_DONE)
			break;
		/* The slot stays taken until the reset that follows. */
		err = given_up(ctrl, slot);
		if (err)
			return err;
		ctrl->dev->ops->pause(ctrl->dev, ADMIN_PAUSE_NS);
	}
	slot->use = ADMIN_FREE;
	if (dw0)
		*dw0 = slot->cqe.dw0;
	return slot->cqe.status;
}

/* ---- commands that are waited for ---- */

static int failed(struct ctrl *ctrl, const char *command, int err)
{
	if (err > 0)
		nvmft_device_log(ctrl->dev, NVMFT_LOG_ERROR, "%s: the device answers with status 0x%x", command,
				 (unsigned int)err & 0x7ff);
	else if (err)
		nvmft_device_log(ctrl->dev, NVMFT_LOG_ERROR, "%s: %s", command,
				 err == -ETIMEDOUT ? "no answer" : "the device is gone or in a fatal state");
	return err > 0 ? -EIO : err;
}

int nvmft_ctrl_identify(struct ctrl *ctrl, uint8_t cns, uint32_t nsid)
{
	struct nvmft_sqe sqe = {
		.opcode = nvme_admin_identify,
		.nsid = htole32(nsid),
		.cdw10 = htole32(cns),
	};
	uint64_t prp1 = htole64(ctrl->page.iova);

	memset(ctrl->page.base, 0, ctrl->page.len);
	memcpy(sqe.dptr, &prp1, sizeof(prp1));
	return failed(ctrl, "Identify", nvmft_admin_command(ctrl, &sqe, NULL));
}

static int create(struct ctrl *ctrl, uint8_t opcode, uint64_t iova, const struct queue_pair *q, uint32_t cdw11)
{
	struct nvmft_sqe sqe = {
		.opcode = opcode,
		.cdw10 = htole32((uint32_t)q->qid | (q->entries - 1) << 16),
		.cdw11 = htole32(cdw11),
	};
	uint64_t prp1 = htole64(iova);

	memcpy(sqe.dptr, &prp1, sizeof(prp1));
	return nvmft_admin_command(ctrl, &sqe, NULL);
}

static int delete (struct ctrl *ctrl, uint8_t opcode, uint16_t qid)
{
	struct nvmft_sqe sqe = {.opcode = opcode, .cdw10 = htole32(qid)};

	return nvmft_admin_command(ctrl, &sqe, NULL);
}

int nvmft_admin_create_queue(struct ctrl *ctrl, struct queue_pair *q)
{
	const uint32_t contiguous = 1, interrupts = 2;
	uint32_t cdw11 = contiguous;
	int err;

	if (q->qid < ctrl->dev->nvectors)
		cdw11 |= interrupts | (uint32_t)q->qid << 16;
	nvmft_queue_pair_reset(q);
	nvmft_dbbuf_attach(ctrl, q);
	err = create(ctrl, nvme_admin_create_cq, q->cq_iova, q, cdw11);
	if (err) {
		(void)failed(ctrl, "Create I/O Completion Queue", err);
		return err;
	}
	err = create(ctrl, nvme_admin_create_sq, q->sq_iova, q, contiguous | (uint32_t)q->qid << 16);
	if (err) {
		(void)failed(ctrl, "Create I/O Submission Queue", err);
		if (err > 0 && delete (ctrl, nvme_admin_delete_cq, q->qid))
			err = -EIO;
	}
	return err;
}

int nvmft_admin_delete_queue(struct ctrl *ctrl, const struct queue_pair *q)
{
	int err = delete (ctrl, nvme_admin_delete_sq, q->qid);

	if (!err)
		err = delete (ctrl, nvme_admin_delete_cq, q->qid);
	return failed(ctrl, "Delete I/O Queue", err);
}

static int set_feature(struct ctrl *ctrl, uint8_t fid, uint32_t value, uint32_t *dw0)
{
	struct nvmft_sqe sqe = {
		.opcode = nvme_admin_set_features,
		.cdw10 = htole32(fid),
		.cdw11 = htole32(value),
	};

	return nvmft_admin_command(ctrl, &sqe, dw0);
}

static int set_queues(struct ctrl *ctrl)
{
	uint32_t queues = MAX_IO_QUEUES - 1, granted = 0, n;
	size_t room;
	int err = set_feature(ctrl, NVME_FEAT_FID_NUM_QUEUES, queues | queues << 16, &granted);

	if (err)
		return failed(ctrl, "Set Features, number of queues", err);
	n = 1 + ((granted & 0xffff) < granted >> 16 ? (granted & 0xffff) : granted >> 16);
	n = n < MAX_IO_QUEUES ? n : MAX_IO_QUEUES;
	/* Only those whose doorbells are in BAR0. */
	room = (ctrl->dev->bar_len - REG_DOORBELLS) / ((size_t)8 << ctrl_stride(ctrl)) - 1;
	pthread_mutex_lock(&ctrl->lock);
	ctrl->nqueues = room < n ? (unsigned int)room : n;
	pthread_mutex_unlock(&ctrl->lock);
	return 0;
}

/* Optional: a device without coalescing does not coalesce, and one without events has none. */
static int set_options(struct ctrl *ctrl)
{
	uint32_t events = EVENTS_SMART | (ctrl->facts.oaes & (EVENTS_NAMESPACES | EVENTS_FIRMWARE));
	int err = set_feature(ctrl, NVME_FEAT_FID_IRQ_COALESCE, 0, NULL);

	if (err < 0)
		return failed(ctrl, "Set Features, interrupt coalescing", err);
	err = set_feature(ctrl, NVME_FEAT_FID_ASYNC_EVENT, events, NULL);
	return err < 0 ? failed(ctrl, "Set Features, asynchronous events", err) : 0;
}

static struct nvmft_sqe get_log(const struct ctrl *ctrl, uint8_t lid, uint32_t len)
{
	struct nvmft_sqe sqe = {
		.opcode = nvme_admin_get_log_page,
		.nsid = htole32(UINT32_MAX),
		.cdw10 = htole32((uint32_t)lid | (len / 4 - 1) << 16),
	};
	uint64_t prp1 = htole64(ctrl->log_page.iova);

	memset(ctrl->log_page.base, 0, ctrl->log_page.len);
	memcpy(sqe.dptr, &prp1, sizeof(prp1));
	return sqe;
}

/*
 * Of changes that were told to whoever had the device before, and of which that one has not read, some devices tell no
 * more, not even after a reset: QEMU before 8. Namespaces are identified after this.
 */
static int forget_changes(struct ctrl *ctrl)
{
	struct nvmft_sqe sqe = get_log(ctrl, NVME_LOG_LID_CHANGED_NS, NVME_PAGE);
	int err = ctrl->facts.oaes & EVENTS_NAMESPACES ? nvmft_admin_command(ctrl, &sqe, NULL) : 0;

	return err < 0 ? failed(ctrl, "Get Log Page, changed namespaces", err) : 0;
}

int nvmft_admin_setup(struct ctrl *ctrl)
{
	int err = set_queues(ctrl);

	if (!err)
		err = set_options(ctrl);
	if (!err)
		err = forget_changes(ctrl);
	if (!err)
		err = nvmft_host_behavior_setup(ctrl);
	if (!err)
		err = nvmft_dbbuf_setup(ctrl);
	if (!err)
		nvmft_admin_expect_event(ctrl);
	return err;
}

/* ---- commands that are not waited for ---- */

bool nvmft_admin_abort(struct ctrl *ctrl, uint16_t sqid, uint16_t cid)
{
	struct nvmft_sqe sqe = {
		.opcode = nvme_admin_abort_cmd,
		.cdw10 = htole32((uint32_t)sqid | (uint32_t)cid << 16),
	};

	int slot = ctrl->aborts < MAX_OPEN_ABORTS ? nvmft_admin_submit(ctrl, &sqe, ADMIN_ABORT) : -1;

	if (slot < 0)
		return false;
	ctrl->slots[slot].sqid = sqid;
	ctrl->slots[slot].cid = cid;
	if (!sqid)
		ctrl->slots[cid % ADMIN_ENTRIES].aborted = true;
	ctrl->aborts++;
	return true;
}

static struct admin_slot *find_abort(struct ctrl *ctrl, uint16_t sqid)
{
	for (uint32_t cid = 0; cid < ADMIN_ENTRIES; cid++)
		if (ctrl->slots[cid].use == ADMIN_ABORT && ctrl->slots[cid].sqid == sqid)
			return &ctrl->slots[cid];
	return NULL;
}

int nvmft_admin_await_aborts(struct ctrl *ctrl, uint16_t sqid)
{
	struct admin_slot *slot;
	int err = 0;

	while (!err && (slot = find_abort(ctrl, sqid))) {
		ctrl->dev->ops->pause(ctrl->dev, ADMIN_PAUSE_NS);
		nvmft_admin_reap(ctrl);
		err = slot->use == ADMIN_ABORT ? given_up(ctrl, slot) : 0;
	}
	return err;
}

void nvmft_admin_expect_event(struct ctrl *ctrl)
{
	struct nvmft_sqe sqe = {.opcode = nvme_admin_async_event};

	(void)nvmft_admin_submit(ctrl, &sqe, ADMIN_AER);
}

bool nvmft_admin_read_log(struct ctrl *ctrl, uint8_t lid, uint32_t len)
{
	struct nvmft_sqe sqe = get_log(ctrl, lid, len);

	return nvmft_admin_submit(ctrl, &sqe, ADMIN_LOG) >= 0;
}
