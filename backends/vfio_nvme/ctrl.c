/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A controller's beginning and end: opened by the first of its namespaces, shut down by its thread after the last.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <nvme/types.h>

#include "vfio_nvme.h"

#define MIN_IO_VECTORS 8
#define READY_PAUSE_NS 1000000u

/* A shutdown is not waited for longer: it is a courtesy that spares the device its check at the next start. */
#define MAX_SHUTDOWN_NS UINT64_C(1000000000)

static int fail(const struct ctrl *ctrl, int err, const char *why)
{
	nvmft_device_log(ctrl->dev, NVMFT_LOG_ERROR, "%s", why);
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
	int err = nvmft_dma_alloc(ctrl->dev, NVME_PAGE, &ctrl->page);

	if (!err)
		err = nvmft_dma_alloc(ctrl->dev, NVME_PAGE, &ctrl->log_page);
	if (!err)
		err = nvmft_dma_alloc(ctrl->dev, (size_t)ADMIN_ENTRIES * NVME_PAGE, &ctrl->lists);
	if (!err)
		err = nvmft_queue_pair_init(&ctrl->admin, ctrl->dev, ctrl->dev->bar, 0, ctrl_stride(ctrl),
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
	ctrl->facts.oaes = le32toh(id->oaes);
	ctrl->facts.sgls = le32toh(id->sgls);
	ctrl->facts.oacs = le16toh(id->oacs);
	nvmft_ssd_take_ctrl(&ctrl->facts.id, id);
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

void nvmft_ctrl_shut_down(struct ctrl *ctrl)
{
	volatile uint8_t *bar = ctrl->dev->bar;
	uint64_t deadline = ctrl->dev->ops->now(ctrl->dev) + ctrl->facts.shutdown_ns;
	uint32_t csts;

	reg_write32(bar, NVME_REG_CC, (reg_read32(bar, NVME_REG_CC) & ~CC_SHN_MASK) | CC_SHN_NORMAL);
	while ((csts = reg_read32(bar, NVME_REG_CSTS)) != CSTS_GONE && (csts & CSTS_SHST_MASK) != CSTS_SHST_DONE) {
		if (ctrl->dev->ops->now(ctrl->dev) >= deadline) {
			nvmft_device_log(ctrl->dev, NVMFT_LOG_WARN, "the controller takes too long to shut down");
			return;
		}
		ctrl->dev->ops->pause(ctrl->dev, READY_PAUSE_NS);
	}
}

void nvmft_ctrl_end(struct ctrl *ctrl)
{
	struct device *dev = ctrl->dev;

	nvmft_ctrl_disable(ctrl);
	nvmft_ctrl_stop_dma(ctrl);
	nvmft_dbbuf_free(ctrl);
	nvmft_queue_pair_fini(&ctrl->admin, dev);
	nvmft_dma_free(dev, &ctrl->lists);
	nvmft_dma_free(dev, &ctrl->log_page);
	nvmft_dma_free(dev, &ctrl->page);
	dev->ops->close(dev);
	ctrl->dev = NULL;
	ctrl->ended = true;
}

int nvmft_ctrl_begin(struct ctrl *ctrl, struct device *dev, uint32_t depth)
{
	int err;

	ctrl->dev = dev;
	err = bring_up(ctrl);
	if (err) {
		nvmft_ctrl_end(ctrl);
		return err;
	}
	ctrl->depth = depth < ctrl_max_entries(ctrl) ? depth : ctrl_max_entries(ctrl) - 1;
	ctrl->live_since = dev->ops->now(dev);
	nvmft_device_log(dev, NVMFT_LOG_INFO, "%s %s: %u queues of %" PRIu32 " commands", ctrl->facts.model,
			 ctrl->facts.serial, ctrl->nqueues, ctrl->depth);
	return 0;
}

/* ---- one for all namespaces ---- */

struct ctrl_args {
	const char *address;
	enum nvmft_vfio_iommu iommu;
	uint32_t depth;
};

static struct ctrl *to_ctrl(struct nvmft_shared *shared)
{
	return (struct ctrl *)(void *)shared;
}

static void init(struct ctrl *ctrl)
{
	pthread_mutex_init(&ctrl->lock, NULL);
	pthread_mutex_init(&ctrl->ns_lock, NULL);
	pthread_cond_init(&ctrl->called, NULL);
	TAILQ_INIT(&ctrl->pairs);
	STAILQ_INIT(&ctrl->passes);
	STAILQ_INIT(&ctrl->calls);
	LIST_INIT(&ctrl->namespaces);
}

static void fini(struct ctrl *ctrl)
{
	pthread_cond_destroy(&ctrl->called);
	pthread_mutex_destroy(&ctrl->ns_lock);
	pthread_mutex_destroy(&ctrl->lock);
}

/*
 * One for each thread that a target is likely to have, and the admin queue. Processors have some 200 of them for all
 * devices; a queue without one is polled while it has commands.
 */
static unsigned int wanted_vectors(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (cpus < MIN_IO_VECTORS)
		return MIN_IO_VECTORS + 1;
	return cpus < (long)MAX_IO_QUEUES ? (unsigned int)cpus + 1 : MAX_IO_QUEUES + 1;
}

static int ctrl_create(struct nvmft_shared *shared, const struct nvmft_backend *backend, const void *arg)
{
	const struct ctrl_args *args = arg;
	struct ctrl *ctrl = to_ctrl(shared);
	struct device *dev;
	int err = nvmft_vfio_device_open(backend, args->address, args->iommu, wanted_vectors(), &dev);

	if (err)
		return err;
	init(ctrl);
	err = nvmft_ctrl_begin(ctrl, dev, args->depth);
	if (!err) {
		err = nvmft_ctrl_start(ctrl);
		if (err)
			nvmft_ctrl_end(ctrl);
	}
	if (err)
		fini(ctrl);
	return err;
}

/* The thread shuts the controller down and gives the device back. */
static void ctrl_idle(struct nvmft_shared *shared)
{
	struct ctrl *ctrl = to_ctrl(shared);

	pthread_mutex_lock(&ctrl->lock);
	ctrl->stop = true;
	pthread_mutex_unlock(&ctrl->lock);
	nvmft_ctrl_kick(ctrl);
}

static void ctrl_destroy(struct nvmft_shared *shared)
{
	struct ctrl *ctrl = to_ctrl(shared);

	nvmft_ctrl_join(ctrl);
	fini(ctrl);
}

static const struct nvmft_shared_ops ctrl_ops = {
	.create = ctrl_create,
	.idle = ctrl_idle,
	.destroy = ctrl_destroy,
};

int nvmft_ctrl_get(const struct nvmft_backend *backend, const char *address, enum nvmft_vfio_iommu iommu,
		   uint32_t depth, struct ctrl **out)
{
	const struct ctrl_args args = {address, iommu, depth};
	struct nvmft_shared *shared;
	char key[64];
	int err;

	snprintf(key, sizeof(key), "vfio:%s", address);
	err = nvmft_shared_get(backend, key, &ctrl_ops, sizeof(struct ctrl), &args, &shared);
	if (!err)
		*out = to_ctrl(shared);
	return err;
}
