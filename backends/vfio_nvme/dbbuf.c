/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shadow doorbells (NVMe Base 2.0, 5.8 and B.5).
 */
#include <string.h>

#include <nvme/types.h>

#include "ctrl.h"

#define OACS_DBBUF 0x100u
#define OPC_DBBUF_CONFIG 0x7cu

/* Both have one page, in the layout of the registers. */
static size_t place(const struct ctrl *ctrl, unsigned int qid)
{
	return (size_t)qid * 2 * (sizeof(uint32_t) << ctrl_stride(ctrl));
}

static bool can(const struct ctrl *ctrl)
{
	return ctrl->facts.oacs & OACS_DBBUF && place(ctrl, ctrl->nqueues + 1) <= NVME_PAGE;
}

static int alloc(struct ctrl *ctrl)
{
	int err = 0;

	if (!ctrl->dbbuf.shadows.base)
		err = nvmft_dma_alloc(ctrl->dev, NVME_PAGE, &ctrl->dbbuf.shadows);
	if (!err && !ctrl->dbbuf.events.base)
		err = nvmft_dma_alloc(ctrl->dev, NVME_PAGE, &ctrl->dbbuf.events);
	return err;
}

int nvmft_dbbuf_setup(struct ctrl *ctrl)
{
	struct nvmft_sqe sqe = {.opcode = OPC_DBBUF_CONFIG};
	uint64_t prps[2];
	int err;

	ctrl->dbbuf.on = false;
	if (!can(ctrl))
		return 0;
	err = alloc(ctrl);
	if (err)
		return err;
	prps[0] = htole64(ctrl->dbbuf.shadows.iova);
	prps[1] = htole64(ctrl->dbbuf.events.iova);
	memcpy(sqe.dptr, prps, sizeof(prps));
	err = nvmft_admin_command(ctrl, &sqe, NULL);
	if (err) {
		nvmft_device_log(ctrl->dev, NVMFT_LOG_WARN, "Doorbell Buffer Config fails: going on without");
		return err < 0 ? err : 0;
	}
	ctrl->dbbuf.on = true;
	nvmft_dbbuf_attach(ctrl, &ctrl->admin);
	return 0;
}

static void attach(struct doorbell *db, const struct dbbuf *dbbuf, size_t at, uint32_t value)
{
	db->shadow = (volatile void *)((uint8_t *)dbbuf->shadows.base + at);
	db->event = (volatile void *)((uint8_t *)dbbuf->events.base + at);
	*db->event = htole32(value);
	*db->shadow = htole32(value);
}

/* The specification wants the registers of the admin queue written in any case. */
void nvmft_dbbuf_attach(const struct ctrl *ctrl, struct queue_pair *q)
{
	size_t at = place(ctrl, q->qid);

	if (!ctrl->dbbuf.on)
		return;
	attach(&q->sq_doorbell, &ctrl->dbbuf, at, (uint32_t)(q->sq_rung - q->sq));
	attach(&q->cq_doorbell, &ctrl->dbbuf, at + (sizeof(uint32_t) << ctrl_stride(ctrl)),
	       (uint32_t)(q->cq_rung - q->cq));
	q->sq_doorbell.always = q->cq_doorbell.always = q->qid == 0;
}

void nvmft_dbbuf_free(struct ctrl *ctrl)
{
	nvmft_dma_free(ctrl->dev, &ctrl->dbbuf.events);
	nvmft_dma_free(ctrl->dev, &ctrl->dbbuf.shadows);
}
