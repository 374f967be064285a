/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What becomes of a controller that fails: it is reset, in steps that wait for nothing, driven by nvmft_ctrl_watch().
 */
#include <errno.h>

#include <nvme/types.h>

#include "ctrl.h"

static void give_up(struct ctrl *ctrl, const char *why)
{
	nvmft_backend_log(ctrl->dev->backend, NVMFT_LOG_ERROR,
			  "%s: given up; I/O fails until the namespace is removed and added again", why);
	atomic_store_explicit(&ctrl->state, CTRL_DEAD, memory_order_release);
}

void nvmft_ctrl_disable(struct ctrl *ctrl)
{
	volatile uint8_t *bar = ctrl->dev->bar;

	reg_write32(bar, NVME_REG_CC, reg_read32(bar, NVME_REG_CC) & ~(CC_EN | CC_SHN_MASK));
	ctrl->deadline = ctrl->dev->ops->now(ctrl->dev) + ctrl->ready_ns;
}

int nvmft_ctrl_enable(struct ctrl *ctrl)
{
	volatile uint8_t *bar = ctrl->dev->bar;
	int err = ctrl->dev->ops->bus_master(ctrl->dev, true);

	if (err)
		return err;
	nvmft_admin_reset(ctrl);
	reg_write32(bar, NVME_REG_AQA, (ADMIN_ENTRIES - 1) << 16 | (ADMIN_ENTRIES - 1));
	reg_write64(bar, NVME_REG_ASQ, ctrl->admin.sq_iova);
	reg_write64(bar, NVME_REG_ACQ, ctrl->admin.cq_iova);
	reg_write32(bar, NVME_REG_CC, CC_SIZES | CC_EN);
	ctrl->deadline = ctrl->dev->ops->now(ctrl->dev) + ctrl->ready_ns;
	return 0;
}

/* No I/O is left in the device: it may write to memory no more, whatever state it is in. */
static void stop(struct ctrl *ctrl)
{
	(void)ctrl->dev->ops->bus_master(ctrl->dev, false);
	atomic_fetch_add_explicit(&ctrl->gen, 1, memory_order_release);
	atomic_store_explicit(&ctrl->state, CTRL_DISABLING, memory_order_release);
	if (reg_read32(ctrl->dev->bar, NVME_REG_CSTS) == CSTS_GONE)
		give_up(ctrl, "the device is gone");
	else
		nvmft_ctrl_disable(ctrl);
}

void nvmft_ctrl_fail(struct ctrl *ctrl, const char *why)
{
	if (ctrl_state(ctrl) != CTRL_LIVE)
		return;
	nvmft_backend_log(ctrl->dev->backend, NVMFT_LOG_ERROR, "%s: resetting the controller", why);
	ctrl->attempts = 0;
	stop(ctrl);
}

static void again(struct ctrl *ctrl)
{
	if (++ctrl->attempts == MAX_ATTEMPTS) {
		(void)ctrl->dev->ops->bus_master(ctrl->dev, false);
		give_up(ctrl, "the controller does not come back from its reset");
	} else {
		stop(ctrl);
	}
}

static void enabled(struct ctrl *ctrl)
{
	if (nvmft_admin_setup(ctrl)) {
		again(ctrl);
		return;
	}
	nvmft_backend_log(ctrl->dev->backend, NVMFT_LOG_WARN, "the controller is back");
	atomic_store_explicit(&ctrl->state, CTRL_LIVE, memory_order_release);
}

static void watch_live(struct ctrl *ctrl, uint32_t csts)
{
	if (csts & CSTS_CFS)
		nvmft_ctrl_fail(ctrl, "controller fatal status");
	else if (!(csts & CSTS_RDY))
		nvmft_ctrl_fail(ctrl, "the controller was reset by somebody else");
	else
		nvmft_admin_reap(ctrl);
}

void nvmft_ctrl_watch(struct ctrl *ctrl)
{
	uint32_t csts = reg_read32(ctrl->dev->bar, NVME_REG_CSTS);
	enum ctrl_state state = ctrl_state(ctrl);
	bool late = state != CTRL_LIVE && ctrl->dev->ops->now(ctrl->dev) >= ctrl->deadline;

	if (state == CTRL_DEAD)
		return;
	if (csts == CSTS_GONE) {
		if (state == CTRL_LIVE)
			atomic_fetch_add_explicit(&ctrl->gen, 1, memory_order_release);
		(void)ctrl->dev->ops->bus_master(ctrl->dev, false);
		give_up(ctrl, "the device is gone");
	} else if (state == CTRL_LIVE) {
		watch_live(ctrl, csts);
	} else if (state == CTRL_DISABLING && !(csts & CSTS_RDY)) {
		atomic_store_explicit(&ctrl->state, CTRL_ENABLING, memory_order_release);
		if (nvmft_ctrl_enable(ctrl))
			again(ctrl);
	} else if (state == CTRL_ENABLING && csts & CSTS_CFS) {
		again(ctrl);
	} else if (state == CTRL_ENABLING && csts & CSTS_RDY) {
		enabled(ctrl);
	} else if (late) {
		again(ctrl);
	}
}
