/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>

#include "../options.h"
#include "vfio_nvme.h"

static int check_options(const struct nvmft_backend *backend, struct nvmft_vfio_nvme_opts *o, const void *opts)
{
	int err = backend_options(backend, o, sizeof(*o), opts);

	if (err)
		return err;
	if (!o->address || !*o->address) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "address: required, such as 0000:01:00.0");
		return -EINVAL;
	}
	if (o->queue_depth > UINT16_MAX) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "queue_depth: %" PRIu32 ", must be at most 65535",
				  o->queue_depth);
		return -EINVAL;
	}
	o->nsid = o->nsid ? o->nsid : 1;
	o->queue_depth = o->queue_depth ? o->queue_depth : DEFAULT_DEPTH;
	return 0;
}

static int identify(struct vfio_nvme *vn)
{
	int err;

	if (ctrl_state(vn->ctrl) != CTRL_LIVE) {
		nvmft_device_log(
			vn->ctrl->dev, NVMFT_LOG_ERROR,
			"the controller is being reset, or was given up: then remove all its namespaces first");
		return -ENODEV;
	}
	err = nvmft_vfio_facts_read(vn->ctrl, vn->nsid, &vn->facts);
	if (facts_lost(err))
		nvmft_ctrl_fail(vn->ctrl, "a namespace cannot be identified");
	return err;
}

/* Two that know nothing of each other would undo each other's reservations, sizes and resets of zones. */
static int add(struct vfio_nvme *vn)
{
	const struct vfio_nvme *other;

	pthread_mutex_lock(&vn->ctrl->ns_lock);
	LIST_FOREACH (other, &vn->ctrl->namespaces, link)
		if (other->nsid == vn->nsid)
			break;
	if (!other)
		LIST_INSERT_HEAD(&vn->ctrl->namespaces, vn, link);
	/* It is in the list too late to hear of it. */
	if (nvmft_event_due(vn->ctrl))
		ssd_doubt_raise(&vn->doubt);
	pthread_mutex_unlock(&vn->ctrl->ns_lock);
	if (!other)
		return 0;
	nvmft_backend_log(vn->backend, NVMFT_LOG_ERROR, "nsid: namespace %" PRIu32 " of %s is served already", vn->nsid,
			  vn->ctrl->dev->address);
	return -EBUSY;
}

/*
 * In the controller's thread, all at once: what the device tells of meanwhile is looked at after that, and finds the
 * namespace in the list. The core is told of changes from here on; it has not asked for facts yet.
 */
static int attach(void *arg)
{
	struct vfio_nvme *vn = arg;
	int err = identify(vn);

	if (!err)
		err = nvmft_vfio_format_take(vn);
	if (err)
		return err;
	err = add(vn);
	if (err)
		nvmft_vfio_format_drop(vn);
	return err;
}

int nvmft_vfio_nvme_open(struct nvmft_backend *backend, const void *opts)
{
	struct vfio_nvme *vn = backend->priv;
	struct nvmft_vfio_nvme_opts o;
	int err = check_options(backend, &o, opts);

	if (!err)
		err = nvmft_ctrl_get(backend, o.address, o.iommu, o.queue_depth, &vn->ctrl);
	if (err)
		return err;
	vn->backend = backend;
	vn->nsid = o.nsid;
	vn->depth = vn->ctrl->depth;
	vn->read_only = o.read_only;
	vn->reservations = o.reservations;
	for (size_t i = 0; i < o.nadmin_commands; i++)
		nvmft_opcodes_add(&vn->admin_commands, o.admin_commands[i]);
	err = nvmft_ctrl_call(vn->ctrl, attach, vn);
	if (err)
		nvmft_shared_put(&vn->ctrl->shared);
	return err;
}

/* No I/O is left, hence nothing uses what is freed here. */
void nvmft_vfio_nvme_close(struct nvmft_backend *backend)
{
	struct vfio_nvme *vn = backend->priv;

	pthread_mutex_lock(&vn->ctrl->ns_lock);
	LIST_REMOVE(vn, link);
	pthread_mutex_unlock(&vn->ctrl->ns_lock);
	nvmft_vfio_format_drop(vn);
	nvmft_shared_put(&vn->ctrl->shared);
}

int nvmft_vfio_nvme_info(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	const struct vfio_nvme *vn = backend->priv;

	pthread_mutex_lock(&vn->ctrl->lock);
	nvmft_vfio_facts_info(vn, &vn->facts, info);
	pthread_mutex_unlock(&vn->ctrl->lock);
	return 0;
}

static const struct nvmft_backend_ops vfio_nvme_ops = {
	.size = sizeof(struct nvmft_backend_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "vfio",
	.backend_size = sizeof(struct vfio_nvme),
	.channel_size = sizeof(struct vfio_channel),
	.io_size = sizeof(struct vio),
	.open = nvmft_vfio_nvme_open,
	.close = nvmft_vfio_nvme_close,
	.info = nvmft_vfio_nvme_info,
	.channel_open = nvmft_vfio_channel_open,
	.channel_close = nvmft_vfio_channel_close,
	.submit = nvmft_vfio_submit,
	.flush = nvmft_vfio_flush,
	.poll = nvmft_vfio_poll,
	.arm = nvmft_vfio_arm,
	.abort = nvmft_vfio_abort,
	.region_add = nvmft_vfio_region_add,
	.region_remove = nvmft_vfio_region_remove,
};

const struct nvmft_backend_ops *nvmft_backend_vfio_nvme(void)
{
	return &vfio_nvme_ops;
}
