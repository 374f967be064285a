/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A PCI function through VFIO.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vfio.h"

static struct vfio *to_vfio(struct device *dev)
{
	return (struct vfio *)(void *)dev;
}

int nvmft_vfio_complain(const struct vfio *vfio, int err, const char *format, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	nvmft_device_log(&vfio->pub, NVMFT_LOG_ERROR, "%s", text);
	return err;
}

int nvmft_vfio_failed(const struct vfio *vfio, int err, const char *what)
{
	return nvmft_vfio_complain(vfio, err, "%s: %s", what, strerrordesc_np(-err));
}

/* What is "mapped" for a device that was given back. No address that is mapped is so low. */
#define IOVA_NOWHERE 0u

static int device_map(struct device *dev, void *base, size_t len, uint64_t *iova)
{
	struct vfio *vfio = to_vfio(dev);

	*iova = IOVA_NOWHERE;
	return atomic_load(&vfio->given_back) ? 0 : nvmft_iommu_map(vfio, base, len, iova);
}

/* What was mapped before is counted on. */
static void device_unmap(struct device *dev, uint64_t iova)
{
	if (iova != IOVA_NOWHERE)
		nvmft_iommu_unmap(to_vfio(dev), iova);
}

/* The kernel waits for the device's descriptor and for mappings of it, not for the group or the address space. */
static void device_give_back(struct device *dev)
{
	struct vfio *vfio = to_vfio(dev);
	int err = nvmft_vfio_pci_replace_bar(vfio);

	if (err)
		(void)nvmft_vfio_failed(vfio, err, "giving it back");
	atomic_store(&vfio->given_back, true);
	close(vfio->fd);
	vfio->fd = -1;
}

static int device_bus_master(struct device *dev, bool on)
{
	return nvmft_vfio_pci_bus_master(to_vfio(dev), on);
}

static uint64_t device_now(struct device *dev)
{
	struct timespec ts;

	(void)dev;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void device_pause(struct device *dev, uint64_t ns)
{
	struct timespec ts = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};

	(void)dev;
	nanosleep(&ts, NULL);
}

static void device_close(struct device *dev)
{
	struct vfio *vfio = to_vfio(dev);

	nvmft_vfio_pci_close(vfio);
	nvmft_iommu_leave(vfio);
	free(dev->address);
	free(vfio);
}

static const struct device_ops vfio_ops = {
	.map = device_map,
	.unmap = device_unmap,
	.bus_master = device_bus_master,
	.now = device_now,
	.pause = device_pause,
	.give_back = device_give_back,
	.close = device_close,
};

static int open_device(const struct nvmft_backend *backend, struct vfio *vfio, enum nvmft_vfio_iommu iommu,
		       unsigned int vectors)
{
	int err = nvmft_vfio_find(vfio);

	if (!err)
		err = nvmft_iommu_join(backend, vfio, iommu);
	return err ? err : nvmft_vfio_pci_open(vfio, vectors);
}

int nvmft_vfio_device_open(const struct nvmft_backend *backend, const char *address, enum nvmft_vfio_iommu iommu,
			   unsigned int vectors, struct device **out)
{
	struct vfio *vfio = calloc(1, sizeof(*vfio));
	int err;

	if (!vfio)
		return -ENOMEM;
	vfio->pub.ops = &vfio_ops;
	vfio->pub.target = backend->target;
	vfio->pub.unplug_fd = vfio->pub.error_fd = vfio->fd = -1;
	vfio->pub.address = strdup(address);
	err = vfio->pub.address ? open_device(backend, vfio, iommu, vectors) : -ENOMEM;
	if (err)
		device_close(&vfio->pub);
	else
		*out = &vfio->pub;
	return err;
}
