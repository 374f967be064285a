/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What becomes of a controller that fails: it is reset, in steps that wait for nothing, driven by nvmft_ctrl_watch().
 */
#include <errno.h>

#include <nvme/types.h>

#include "vfio_nvme.h"

static uint64_t now(const struct ctrl *ctrl)
{
	return ctrl->dev->ops->now(ctrl->dev);
}

static void give_back(struct ctrl *ctrl)
{
	if (!ctrl->given_back)
		ctrl->dev->ops->give_back(ctrl->dev);
	ctrl->given_back = true;
}

/*
 * The last resort is to give the device back: then the kernel turns its bus mastering off and resets it. To go on
 * without would be to give buffers back to hosts, and memory to the system, that the device still writes to.
 */
void nvmft_ctrl_stop_dma(struct ctrl *ctrl)
{
	if (ctrl->given_back || !ctrl->dev->ops->bus_master(ctrl->dev, false))
		return;
	nvmft_device_log(ctrl->dev, NVMFT_LOG_ERROR, "the device cannot be kept from accessing memory: giving it back");
	give_back(ctrl);
}

/* No I/O is left in the device: it may write to memory no more, whatever state it is in. */
static void lose(struct ctrl *ctrl, enum ctrl_state state)
{
	nvmft_ctrl_stop_dma(ctrl);
	/* Nothing is awaited from it any more, which may be for ever. */
	ctrl->event = EVENT_NONE;
	ctrl->aborts = 0;
	atomic_store_explicit(&ctrl->state, (int)state, memory_order_release);
	atomic_fetch_add_explicit(&ctrl->gen, 1, memory_order_release);
	nvmft_pass_lost(ctrl);
	nvmft_pairs_wake(ctrl);
}

static void give_up(struct ctrl *ctrl, const char *why)
{
	nvmft_device_log(ctrl->dev, NVMFT_LOG_ERROR,
			 "%s: given up; I/O fails until all its namespaces are removed and added again", why);
	lose(ctrl, CTRL_DEAD);
	nvmft_event_gone(ctrl);
}

void nvmft_ctrl_give_back(struct ctrl *ctrl)
{
	if (ctrl->given_back)
		return;
	if (ctrl_state(ctrl) == CTRL_LIVE)
		nvmft_ctrl_shut_down(ctrl);
	if (ctrl_state(ctrl) != CTRL_DEAD)
		give_up(ctrl, "the device is wanted back (unbound or unplugged)");
	give_back(ctrl);
}

void nvmft_ctrl_disable(struct ctrl *ctrl)
{
	volatile uint8_t *bar = ctrl->dev->bar;

	reg_write32(bar, NVME_REG_CC, reg_read32(bar, NVME_REG_CC) & ~(CC_EN | CC_SHN_MASK));
	ctrl->deadline = now(ctrl) + ctrl->ready_ns;
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
	reg_write32(bar, NVME_REG_CC, CC_SIZES | (ctrl->cap & CAP_CSS_SETS ? CC_CSS_ALL : 0) | CC_EN);
	ctrl->deadline = now(ctrl) + ctrl->ready_ns;
	return 0;
}

static void attempt(struct ctrl *ctrl)
{
	if (ctrl->attempts++ == MAX_ATTEMPTS) {
		give_up(ctrl, "the controller does not come back from its resets");
		return;
	}
	lose(ctrl, CTRL_DISABLING);
	nvmft_ctrl_disable(ctrl);
}

void nvmft_ctrl_fail(struct ctrl *ctrl, const char *why)
{
	if (ctrl_state(ctrl) != CTRL_LIVE)
		return;
	if (reg_read32(ctrl->dev->bar, NVME_REG_CSTS) == CSTS_GONE) {
		give_up(ctrl, "the device is gone");
		return;
	}
	nvmft_device_log(ctrl->dev, NVMFT_LOG_ERROR, "%s: resetting the controller", why);
	/* Else it only seemed to have come back from the reset before. */
	if (now(ctrl) - ctrl->live_since >= STABLE_NS)
		ctrl->attempts = 0;
	attempt(ctrl);
}

static void enabled(struct ctrl *ctrl)
{
	if (nvmft_admin_setup(ctrl)) {
		attempt(ctrl);
		return;
	}
	nvmft_device_log(ctrl->dev, NVMFT_LOG_WARN, "the controller is back");
	ctrl->live_since = now(ctrl);
	atomic_store_explicit(&ctrl->state, CTRL_LIVE, memory_order_release);
	/* Events of the time between are lost. */
	nvmft_event_look(ctrl);
}

static void watch_live(struct ctrl *ctrl, uint32_t csts)
{
	if (csts & CSTS_CFS)
		nvmft_ctrl_fail(ctrl, "controller fatal status");
	else if (!(csts & CSTS_RDY))
		nvmft_ctrl_fail(ctrl, "the controller was reset by somebody else");
	else
		nvmft_admin_reap(ctrl);
	if (ctrl_state(ctrl) == CTRL_LIVE)
		nvmft_admin_watch(ctrl);
}

void nvmft_ctrl_watch(struct ctrl *ctrl)
{
	uint32_t csts = reg_read32(ctrl->dev->bar, NVME_REG_CSTS);
	enum ctrl_state state = ctrl_state(ctrl);

	if (state == CTRL_DEAD)
		return;
	if (csts == CSTS_GONE) {
		give_up(ctrl, "the device is gone");
	} else if (state == CTRL_LIVE) {
		watch_live(ctrl, csts);
	} else if (state == CTRL_DISABLING && !(csts & CSTS_RDY)) {
		atomic_store_explicit(&ctrl->state, CTRL_ENABLING, memory_order_release);
		if (nvmft_ctrl_enable(ctrl))
			attempt(ctrl);
	} else if (state == CTRL_ENABLING && csts & CSTS_CFS) {
		attempt(ctrl);
	} else if (state == CTRL_ENABLING && csts & CSTS_RDY) {
		enabled(ctrl);
	} else if (now(ctrl) >= ctrl->deadline) {
		attempt(ctrl);
	}
}
