/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices for machines that have none, so that instructions can be counted there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "model.h"
#include "ng.h"
#include "ssd_device.h"
#include "ssd_ring.h"

#define NG_BLOCKS 16384u

static struct model *model;
static struct ctrl *ctrl;
static bool kicked;

/* ---- for VFIO: the controller of tests/vfio_nvme, and its thread, which runs when the device does ---- */

int nvmft_vfio_device_open(const struct nvmft_backend *backend, const char *address, enum nvmft_vfio_iommu iommu,
			   unsigned int vectors, struct device **out)
{
	(void)address;
	(void)iommu;
	(void)vectors;
	model = model_create();
	model->dev.target = backend->target;
	*out = &model->dev;
	return 0;
}

int nvmft_ctrl_start(struct ctrl *c)
{
	ctrl = c;
	return 0;
}

void nvmft_ctrl_join(struct ctrl *c)
{
	while (nvmft_ctrl_step(c) != STEP_ENDED)
		;
	ctrl = NULL;
}

void nvmft_ctrl_kick(struct ctrl *c)
{
	(void)c;
	kicked = true;
}

int nvmft_ctrl_call(struct ctrl *c, int (*fn)(void *arg), void *arg)
{
	(void)c;
	return fn(arg);
}

void ssd_device_step(void)
{
	if (model)
		model_step(model);
	if (ctrl && kicked) {
		kicked = false;
		nvmft_ctrl_step(ctrl);
	}
	ssd_ring_step();
}

/* ---- for io_uring: a namespace that is open already ---- */

static int open_namespace(struct nvmft_backend *backend, const void *opts)
{
	struct ng_backend *ng = backend->priv;

	(void)opts;
	ng->fd = ng->claim_fd = -1;
	ng->path = (char *)"model";
	ng->nsid = 1;
	ng->block_size = ng->facts.block_size = SSD_BS;
	ng->facts.blocks = NG_BLOCKS;
	ng->max_bytes = 512u << 10;
	ng->max_pages = 127;
	return 0;
}

static int tell_info(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	(void)backend;
	info->block_size = SSD_BS;
	info->blocks = NG_BLOCKS;
	return 0;
}

static void close_namespace(struct nvmft_backend *backend)
{
	(void)backend;
}

const struct nvmft_backend_ops *ssd_uring_ops(void)
{
	static struct nvmft_backend_ops ops;

	ops = *nvmft_backend_uring_nvme();
	ops.open = open_namespace;
	ops.info = tell_info;
	ops.close = close_namespace;
	return &ops;
}

int ssd_uring_open(struct ssd_load *load, const char *device, int *fd, uint32_t *nsid)
{
	(void)device;
	*fd = -1;
	*nsid = 1;
	load->block_size = SSD_BS;
	load->blocks = NG_BLOCKS;
	return 0;
}
