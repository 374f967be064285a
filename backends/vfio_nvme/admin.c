/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Admin commands. Those that somebody waits for are waited for here, under the controller's lock: they come when a
 * queue is made, never with I/O. The others (Abort, Asynchronous Event Request) are reaped by whoever looks after the
 * controller.
 */
#include <errno.h>
#include <string.h>

#include <nvme/types.h>

#include "ctrl.h"

#define ADMIN_PAUSE_NS 20000u

#define AER_LOG(dw0) (uint8_t)((dw0) >> 16)

static bool dead_bus(const struct ctrl *ctrl)
{
	uint32_t csts = reg_read32(ctrl->dev->bar, NVME_REG_CSTS);

	return csts == CSTS_GONE || csts & CSTS_CFS;
}

/* Below ADMIN_ENTRIES - 1 commands, see struct queue_pair. Return: the command identifier, -1: none is free. */
static int admin_submit(struct ctrl *ctrl, const struct nvmft_sqe *sqe, enum admin_use use)
{
	struct nvmft_sqe *to;
	int cid = 0;

	while (cid < (int)ADMIN_ENTRIES - 1 && ctrl->slots[cid].use != ADMIN_FREE)
		cid++;
	if (cid == (int)ADMIN_ENTRIES - 1)
		return -1;
	ctrl->slots[cid].use = use;
	to = queue_pair_push(&ctrl->admin);
	*to = *sqe;
	to->cid = htole16((uint16_t)cid);
	queue_pair_ring_sq(&ctrl->admin);
	return cid;
}

static void read_log(struct ctrl *ctrl, uint8_t lid)
{
	struct nvmft_sqe sqe = {
		.opcode = nvme_admin_get_log_page,
		.nsid = UINT32_MAX,
		.cdw10 = htole32((uint32_t)lid | (NVME_PAGE / 4 - 1) << 16),
	};
	uint64_t prp1 = htole64(ctrl->log_page.iova);

	memcpy(sqe.dptr, &prp1, sizeof(prp1));
	if (admin_submit(ctrl, &sqe, ADMIN_LOG) < 0)
		nvmft_admin_expect_event(ctrl);
}

void nvmft_admin_expect_event(struct ctrl *ctrl)
{
	struct nvmft_sqe sqe = {.opcode = nvme_admin_async_event};

	(void)admin_submit(ctrl, &sqe, ADMIN_AER);
}

static void event(struct ctrl *ctrl, const struct nvmft_cqe *cqe)
{
	if (cqe->status)
		return; /* the controller takes none, or the queue is going */
	nvmft_backend_log(ctrl->dev->backend, NVMFT_LOG_WARN,
			  "event of the device: type %u, information 0x%02x, log page 0x%02x", cqe->dw0 & 7,
			  cqe->dw0 >> 8 & 0xff, AER_LOG(cqe->dw0));
	read_log(ctrl, AER_LOG(cqe->dw0));
}

static void completed(struct ctrl *ctrl, const struct nvmft_cqe *cqe)
{
	struct admin_slot *slot = &ctrl->slots[cqe->cid % ADMIN_ENTRIES];
	enum admin_use use = slot->use;

	if (cqe->cid >= ADMIN_ENTRIES || use == ADMIN_FREE || use == ADMIN_DONE) {
		nvmft_backend_log(ctrl->dev->backend, NVMFT_LOG_WARN, "admin completion for unknown command %u",
				  cqe->cid);
		return;
	}
	slot->use = use == ADMIN_WAITED ? ADMIN_DONE : ADMIN_FREE;
	slot->cqe = *cqe;
	if (use == ADMIN_AER)
		event(ctrl, cqe);
	else if (use == ADMIN_LOG)
		nvmft_admin_expect_event(ctrl);
	else if (use == ADMIN_ABORT)
		ctrl->aborts--;
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
}

int nvmft_admin_command(struct ctrl *ctrl, const struct nvmft_sqe *sqe, uint32_t *dw0)
{
	uint64_t deadline = ctrl->dev->ops->now(ctrl->dev) + ADMIN_TIMEOUT_NS;
	int cid = admin_submit(ctrl, sqe, ADMIN_WAITED);
	struct admin_slot *slot;

	if (cid < 0)
		return -EBUSY;
	slot = &ctrl->slots[cid];
	for (;;) {
		nvmft_admin_reap(ctrl);
		if (slot->use == ADMIN_DONE)
			break;
		/* The slot stays taken until the reset that follows. */
		if (dead_bus(ctrl))
			return -EIO;
		if (ctrl->dev->ops->now(ctrl->dev) >= deadline)
			return -ETIMEDOUT;
		ctrl->dev->ops->pause(ctrl->dev, ADMIN_PAUSE_NS);
	}
	slot->use = ADMIN_FREE;
	if (dw0)
		*dw0 = slot->cqe.dw0;
	return slot->cqe.status;
}

static int failed(struct ctrl *ctrl, const char *command, int err)
{
	if (err > 0)
		nvmft_backend_log(ctrl->dev->backend, NVMFT_LOG_ERROR, "%s: the device answers with status 0x%x",
				  command, (unsigned int)err & 0x7ff);
	else if (err)
		nvmft_backend_log(ctrl->dev->backend, NVMFT_LOG_ERROR, "%s: %s", command,
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
	err = create(ctrl, nvme_admin_create_cq, q->cq_iova, q, cdw11);
	if (err)
		return failed(ctrl, "Create I/O Completion Queue", err);
	err = create(ctrl, nvme_admin_create_sq, q->sq_iova, q, contiguous | (uint32_t)q->qid << 16);
	if (err > 0)
		(void)delete (ctrl, nvme_admin_delete_cq, q->qid);
	return failed(ctrl, "Create I/O Submission Queue", err);
}

void nvmft_admin_delete_queue(struct ctrl *ctrl, const struct queue_pair *q)
{
	int err = delete (ctrl, nvme_admin_delete_sq, q->qid);

	if (!err)
		err = delete (ctrl, nvme_admin_delete_cq, q->qid);
	/* The device may still write into it. */
	if (failed(ctrl, "Delete I/O Queue", err))
		nvmft_ctrl_fail(ctrl, "a queue cannot be deleted");
}

bool nvmft_admin_abort(struct ctrl *ctrl, uint16_t sqid, uint16_t cid)
{
	struct nvmft_sqe sqe = {
		.opcode = nvme_admin_abort_cmd,
		.cdw10 = htole32((uint32_t)sqid | (uint32_t)cid << 16),
	};

	if (ctrl->aborts == MAX_OPEN_ABORTS || admin_submit(ctrl, &sqe, ADMIN_ABORT) < 0)
		return false;
	ctrl->aborts++;
	return true;
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

int nvmft_admin_setup(struct ctrl *ctrl)
{
	uint32_t queues = MAX_IO_QUEUES - 1, granted = 0, n;
	size_t room;
	int err = set_feature(ctrl, NVME_FEAT_FID_NUM_QUEUES, queues | queues << 16, &granted);

	if (err)
		return failed(ctrl, "Set Features, number of queues", err);
	n = 1 + ((granted & 0xffff) < granted >> 16 ? (granted & 0xffff) : granted >> 16);
	/* Only those whose doorbells are in BAR0. */
	room = (ctrl->dev->bar_len - REG_DOORBELLS) / ((size_t)8 << ctrl_stride(ctrl)) - 1;
	ctrl->nqueues = n < MAX_IO_QUEUES ? n : MAX_IO_QUEUES;
	if (room < ctrl->nqueues)
		ctrl->nqueues = (unsigned int)room;
	/* Optional: a device without it does not coalesce. */
	err = set_feature(ctrl, NVME_FEAT_FID_IRQ_COALESCE, 0, NULL);
	if (err < 0)
		return failed(ctrl, "Set Features, interrupt coalescing", err);
	nvmft_admin_expect_event(ctrl);
	return 0;
}
