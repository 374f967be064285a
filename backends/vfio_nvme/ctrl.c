/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A controller's beginning and end.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <nvme/types.h>

#include "ctrl.h"

#define READY_PAUSE_NS 1000000u

/* A shutdown is not waited for longer: it is a courtesy that spares the device its check at the next start. */
#define MAX_SHUTDOWN_NS UINT64_C(1000000000)

static int fail(const struct ctrl *ctrl, int err, const char *why)
{
	nvmft_backend_log(ctrl->dev->backend, NVMFT_LOG_ERROR, "%s", why);
	return err;
}

static int check_cap(struct ctrl *ctrl)
{
	if (reg_read32(ctrl->dev->bar, NVME_REG_CSTS) == CSTS_GONE)
		return fail(ctrl, -ENODEV, "the device does not answer (registers read as 0xffffffff)");
	ctrl->cap = reg_read64(ctrl->dev->bar, NVME_REG_CAP);
	ctrl->ready_ns = ((ctrl->cap >> 24 & 0xff) + 1) * UINT64_C(500000000);
	if (!(ctrl->cap >> 37 & 1))
		return fail(ctrl, -EOPNOTSUPP, "the controller lacks the NVM command set");
	if (ctrl->cap >> 48 & 0xf)
		return fail(ctrl, -EOPNOTSUPP, "the controller takes no memory pages of 4096 bytes");
	if (ctrl_max_entries(ctrl) < 2 || ctrl->dev->bar_len < REG_DOORBELLS + ((size_t)8 << ctrl_stride(ctrl)) * 2)
		return fail(ctrl, -EINVAL, "the controller's registers make no sense");
	return 0;
}

/* Wait until CSTS.RDY is @ready, as long as CAP.TO allows. */
static int wait_ready(struct ctrl *ctrl, bool ready)
{
	for (;;) {
		uint32_t csts = reg_read32(ctrl->dev->bar, NVME_REG_CSTS);

		if (csts == CSTS_GONE)
			return fail(ctrl, -ENODEV, "the device vanished during its reset");
		if (ready && csts & CSTS_CFS)
			return fail(ctrl, -EIO, "controller fatal status during the reset");
		if ((csts & CSTS_RDY) == ready)
			return 0;
		if (ctrl->dev->ops->now(ctrl->dev) >= ctrl->deadline)
			return fail(ctrl, -ETIMEDOUT,
				    ready ? "the controller does not become ready in the time it asks for (CAP.TO)"
					  : "the controller does not stop in the time it asks for (CAP.TO)");
		ctrl->dev->ops->pause(ctrl->dev, READY_PAUSE_NS);
	}
}

static int alloc(struct ctrl *ctrl)
{
	int err = nvmft_dma_alloc(&ctrl->dma, NVME_PAGE, &ctrl->page);

	if (!err)
		err = nvmft_dma_alloc(&ctrl->dma, NVME_PAGE, &ctrl->log_page);
	if (!err)
		err = nvmft_queue_pair_init(&ctrl->admin, &ctrl->dma, ctrl->dev->bar, 0, ctrl_stride(ctrl),
					    ADMIN_ENTRIES);
	return err;
}

static void copy_text(char *to, const char *from, size_t len)
{
	memcpy(to, from, len);
	while (len && (to[len - 1] == ' ' || to[len - 1] == '\0'))
		len--;
	to[len] = '\0';
	for (; *to; to++)
		if (*to < ' ' || *to > '~')
			*to = '?';
}

static int read_facts(struct ctrl *ctrl)
{
	const struct nvme_id_ctrl *id = ctrl->page.base;
	uint64_t rtd3e_us;
	int err = nvmft_ctrl_identify(ctrl, NVME_IDENTIFY_CNS_CTRL, 0);

	if (err)
		return err;
	ctrl->facts.max_transfer = MAX_TRANSFER;
	if (id->mdts && id->mdts < 9)
		ctrl->facts.max_transfer = (uint64_t)NVME_PAGE << id->mdts;
	rtd3e_us = le32toh(id->rtd3e);
	ctrl->facts.shutdown_ns = rtd3e_us && rtd3e_us * 1000 < MAX_SHUTDOWN_NS ? rtd3e_us * 1000 : MAX_SHUTDOWN_NS;
	ctrl->facts.oncs = le16toh(id->oncs);
	ctrl->facts.volatile_cache = id->vwc & 1;
	copy_text(ctrl->facts.serial, id->sn, sizeof(id->sn));
	copy_text(ctrl->facts.model, id->mn, sizeof(id->mn));
	return 0;
}

static int bring_up(struct ctrl *ctrl)
{
	int err = check_cap(ctrl);

	if (err)
		return err;
	nvmft_ctrl_disable(ctrl);
	err = wait_ready(ctrl, false);
	if (!err)
		err = alloc(ctrl);
	if (!err)
		err = nvmft_ctrl_enable(ctrl);
	if (!err)
		err = wait_ready(ctrl, true);
	if (!err)
		err = read_facts(ctrl);
	return err ? err : nvmft_admin_setup(ctrl);
}

int nvmft_ctrl_open(struct ctrl *ctrl, struct device *dev)
{
	int err;

	memset(ctrl, 0, sizeof(*ctrl));
	pthread_mutex_init(&ctrl->lock, NULL);
	ctrl->dev = dev;
	ctrl->dma.dev = dev;
	err = bring_up(ctrl);
	if (err) {
		atomic_store(&ctrl->state, CTRL_DEAD);
		nvmft_ctrl_close(ctrl);
	}
	return err;
}

static void shut_down(struct ctrl *ctrl)
{
	volatile uint8_t *bar = ctrl->dev->bar;
	uint64_t deadline = ctrl->dev->ops->now(ctrl->dev) + ctrl->facts.shutdown_ns;

	reg_write32(bar, NVME_REG_CC, (reg_read32(bar, NVME_REG_CC) & ~CC_SHN_MASK) | CC_SHN_NORMAL);
	while ((reg_read32(bar, NVME_REG_CSTS) & CSTS_SHST_MASK) != CSTS_SHST_DONE) {
		if (ctrl->dev->ops->now(ctrl->dev) >= deadline) {
			nvmft_backend_log(ctrl->dev->backend, NVMFT_LOG_WARN,
					  "the controller takes too long to shut down");
			return;
		}
		ctrl->dev->ops->pause(ctrl->dev, READY_PAUSE_NS);
	}
}

void nvmft_ctrl_close(struct ctrl *ctrl)
{
	struct device *dev = ctrl->dev;

	if (ctrl_state(ctrl) == CTRL_LIVE && reg_read32(dev->bar, NVME_REG_CSTS) != CSTS_GONE)
		shut_down(ctrl);
	nvmft_ctrl_disable(ctrl);
	(void)dev->ops->bus_master(dev, false);
	nvmft_queue_pair_fini(&ctrl->admin, &ctrl->dma);
	nvmft_dma_free(&ctrl->dma, &ctrl->log_page);
	nvmft_dma_free(&ctrl->dma, &ctrl->page);
	nvmft_dma_fini(&ctrl->dma);
	pthread_mutex_destroy(&ctrl->lock);
	dev->ops->close(dev);
}
