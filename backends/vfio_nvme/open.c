/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include <nvme/types.h>

#include "../options.h"
#include "vfio_nvme.h"

#define ONCS_COMPARE 0x01u
#define ONCS_DSM 0x04u
#define ONCS_WRITE_ZEROES 0x08u

#define CNS_NS 0x00
#define CNS_NS_DESCRIPTORS 0x03
#define NIDT_EUI64 1
#define NIDT_NGUID 2
#define NIDT_UUID 3
#define NIDT_CSI 4

static int complain(const struct nvmft_backend *backend, uint32_t nsid, const char *what)
{
	nvmft_backend_log(backend, NVMFT_LOG_ERROR, "nsid: namespace %" PRIu32 " of the device %s", nsid, what);
	return -EINVAL;
}

static void take_descriptor(struct vfio_nvme *vn, const struct nvme_ns_id_desc *desc, uint8_t *csi)
{
	if (desc->nidt == NIDT_EUI64 && desc->nidl == sizeof(vn->eui64))
		memcpy(vn->eui64, desc->nid, sizeof(vn->eui64));
	else if (desc->nidt == NIDT_NGUID && desc->nidl == sizeof(vn->nguid))
		memcpy(vn->nguid, desc->nid, sizeof(vn->nguid));
	else if (desc->nidt == NIDT_UUID && desc->nidl == sizeof(vn->uuid))
		memcpy(vn->uuid, desc->nid, sizeof(vn->uuid));
	else if (desc->nidt == NIDT_CSI && desc->nidl == 1)
		*csi = desc->nid[0];
}

/* Devices before NVMe 1.3 lack the list: then there are no identifiers but those of Identify Namespace. */
static uint8_t read_descriptors(struct vfio_nvme *vn)
{
	const uint8_t *page = vn->ctrl.page.base;
	uint8_t csi = 0;

	if (nvmft_ctrl_identify(&vn->ctrl, CNS_NS_DESCRIPTORS, vn->nsid))
		return 0;
	for (uint32_t at = 0; at + sizeof(struct nvme_ns_id_desc) < NVME_PAGE;) {
		const struct nvme_ns_id_desc *desc = (const void *)(page + at);
		uint32_t len = (uint32_t)sizeof(*desc) + desc->nidl;

		if (!desc->nidl || at + len > NVME_PAGE)
			break;
		take_descriptor(vn, desc, &csi);
		at += len;
	}
	return csi;
}

static void take_ids(struct vfio_nvme *vn, const struct nvme_id_ns *id)
{
	memcpy(vn->nguid, id->nguid, sizeof(vn->nguid));
	memcpy(vn->eui64, id->eui64, sizeof(vn->eui64));
}

static int take_format(struct nvmft_backend *backend, const struct nvme_id_ns *id)
{
	struct vfio_nvme *vn = backend->priv;
	uint8_t format = (uint8_t)((id->flbas & 0xf) | (id->flbas >> 5 & 3) << 4);
	const struct nvme_lbaf *lbaf = &id->lbaf[format];

	vn->blocks = le64toh(id->nsze);
	if (!vn->blocks)
		return complain(backend, vn->nsid, "does not exist");
	if (le16toh(lbaf->ms))
		return complain(backend, vn->nsid,
				"has metadata, which is not supported: format it with an LBA format without");
	if (lbaf->ds != 9 && lbaf->ds != 12)
		return complain(backend, vn->nsid, "has blocks of neither 512 nor 4096 bytes");
	vn->shift = lbaf->ds;
	vn->chunk = (uint32_t)(vn->ctrl.facts.max_transfer >> vn->shift);
	vn->read_only = vn->read_only || id->nsattr & 1;
	vn->deallocated_zero = (id->dlfeat & 7) == 1;
	vn->can_dealloc_zeroes = vn->deallocated_zero && id->dlfeat & 8;
	if (id->nsfeat & 0x10)
		vn->preferred_blocks = (uint32_t)le16toh(id->npwg) + 1;
	return 0;
}

static int read_namespace(struct nvmft_backend *backend)
{
	struct vfio_nvme *vn = backend->priv;
	int err;

	/* Zoned namespaces do not answer the NVM command set's Identify, hence this comes first. */
	if (read_descriptors(vn))
		return complain(backend, vn->nsid, "has another command set than NVM");
	err = nvmft_ctrl_identify(&vn->ctrl, CNS_NS, vn->nsid);
	if (err)
		return err;
	if (!(vn->nguid[0] | vn->eui64[0]))
		take_ids(vn, vn->ctrl.page.base);
	return take_format(backend, vn->ctrl.page.base);
}

int nvmft_vfio_nvme_attach(struct nvmft_backend *backend, struct device *dev, uint32_t nsid, uint32_t depth,
			   bool read_only)
{
	struct vfio_nvme *vn = backend->priv;
	int err = nvmft_ctrl_open(&vn->ctrl, dev);

	if (err)
		return err;
	vn->nsid = nsid;
	vn->read_only = read_only;
	vn->depth = depth < ctrl_max_entries(&vn->ctrl) ? depth : ctrl_max_entries(&vn->ctrl) - 1;
	pthread_mutex_lock(&vn->ctrl.lock);
	err = read_namespace(backend);
	pthread_mutex_unlock(&vn->ctrl.lock);
	if (err)
		nvmft_ctrl_close(&vn->ctrl);
	else
		nvmft_backend_log(backend, NVMFT_LOG_INFO,
				  "%s %s, namespace %" PRIu32 ": %u queues of %" PRIu32 " commands",
				  vn->ctrl.facts.model, vn->ctrl.facts.serial, nsid, vn->ctrl.nqueues, vn->depth);
	return err;
}

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

int nvmft_vfio_nvme_open(struct nvmft_backend *backend, const void *opts)
{
	struct nvmft_vfio_nvme_opts o;
	struct device *dev;
	int err = check_options(backend, &o, opts);

	if (!err)
		err = nvmft_vfio_device_open(backend, o.address, MAX_IO_QUEUES + 1, &dev);
	return err ? err : nvmft_vfio_nvme_attach(backend, dev, o.nsid, o.queue_depth, o.read_only);
}

void nvmft_vfio_nvme_close(struct nvmft_backend *backend)
{
	struct vfio_nvme *vn = backend->priv;

	nvmft_ctrl_close(&vn->ctrl);
}

static enum nvmft_capability native_if(bool can)
{
	return can ? NVMFT_CAP_NATIVE : NVMFT_CAP_NONE;
}

int nvmft_vfio_nvme_info(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	const struct vfio_nvme *vn = backend->priv;
	uint16_t oncs = vn->ctrl.facts.oncs;

	info->block_size = 1u << vn->shift;
	info->blocks = vn->blocks;
	info->read_only = vn->read_only;
	info->volatile_cache = vn->ctrl.facts.volatile_cache;
	info->deallocated_zero = vn->deallocated_zero;
	info->flush = NVMFT_CAP_NATIVE;
	info->fua = native_if(!vn->read_only);
	info->write_zeroes = native_if(!vn->read_only && oncs & ONCS_WRITE_ZEROES);
	info->deallocate = native_if(!vn->read_only && oncs & ONCS_DSM);
	info->compare = native_if(oncs & ONCS_COMPARE);
	info->align = NVME_PAGE;
	info->depth = vn->depth;
	info->needs_regions = true;
	info->preferred_blocks = vn->preferred_blocks;
	memcpy(info->uuid, vn->uuid, sizeof(info->uuid));
	memcpy(info->nguid, vn->nguid, sizeof(info->nguid));
	memcpy(info->eui64, vn->eui64, sizeof(info->eui64));
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
