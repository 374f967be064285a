/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Address spaces by VFIO's containers with the type 1 IOMMU, which are entered by whole groups.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>

#include "iommu.h"

static int open_group(const struct vfio *vfio, const char *path)
{
	int fd = nvmft_sys_open(path);

	for (int tries = BUSY_TRIES; fd == -EBUSY && tries > 0; tries--) {
		nvmft_sys_pause();
		fd = nvmft_sys_open(path);
	}
	if (fd == -EBUSY)
		return nvmft_vfio_complain(vfio, fd, "IOMMU group %u is in use by another program", vfio->group_number);
	if (fd == -EACCES || fd == -EPERM)
		return nvmft_vfio_complain(
			vfio, fd, "no permission for %s: it must be readable and writable for this user", path);
	return fd < 0 ? nvmft_vfio_failed(vfio, fd, path) : fd;
}

static int check_viable(const struct vfio *vfio)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	char neighbour[NAME_MAX + 1];
	int err = nvmft_sys_ioctl(vfio->group->fd, VFIO_GROUP_GET_STATUS, &status);

	if (err < 0)
		return nvmft_vfio_failed(vfio, err, "VFIO_GROUP_GET_STATUS");
	if (status.flags & VFIO_GROUP_FLAGS_VIABLE)
		return 0;
	return nvmft_vfio_complain(
		vfio, -EBUSY, "IOMMU group %u also has %s: all its devices must be bound to vfio-pci, or to no driver",
		vfio->group_number, nvmft_vfio_neighbour(vfio, neighbour) ? neighbour : "devices in use by the kernel");
}

static bool type1_lives(const struct group *group)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};

	return nvmft_sys_ioctl(group->fd, VFIO_GROUP_GET_STATUS, &status) >= 0;
}

static int type1_claim(struct vfio *vfio)
{
	char path[64];
	int fd;

	if (vfio->group->fd >= 0)
		return 0;
	snprintf(path, sizeof(path), "/dev/vfio/%u", vfio->group_number);
	fd = open_group(vfio, path);
	if (fd < 0)
		return fd;
	vfio->group->fd = fd;
	return check_viable(vfio);
}

static int type1_create(struct space *space, const struct vfio *vfio)
{
	space->fd = nvmft_sys_open("/dev/vfio/vfio");
	if (space->fd == -ENOENT)
		return nvmft_vfio_complain(vfio, -ENOENT,
					   "/dev/vfio/vfio is missing: modprobe -a vfio-pci vfio_iommu_type1");
	if (space->fd < 0)
		return nvmft_vfio_failed(vfio, space->fd, "/dev/vfio/vfio");
	if (nvmft_sys_ioctl(space->fd, VFIO_GET_API_VERSION, NULL) != VFIO_API_VERSION)
		return nvmft_vfio_complain(vfio, -EOPNOTSUPP, "the kernel's VFIO has another API version");
	if (nvmft_sys_ioctl(space->fd, VFIO_CHECK_EXTENSION, (void *)VFIO_TYPE1v2_IOMMU) <= 0)
		return nvmft_vfio_complain(vfio, -EOPNOTSUPP,
					   "the kernel has no type 1 IOMMU for VFIO: modprobe vfio_iommu_type1");
	return 0;
}

static int type1_attach(struct space *space, struct vfio *vfio)
{
	struct vfio_iommu_type1_info info = {.argsz = sizeof(info)};
	bool first = !space->groups;
	int err = 0;

	if (vfio->group->space)
		return 0;
	/* When the last of its devices is unplugged, a container forgets what is mapped: nothing for those who come
	 * then. */
	if (!first)
		err = nvmft_sys_ioctl(space->fd, VFIO_IOMMU_GET_INFO, &info);
	if (err < 0)
		return err;
	err = nvmft_sys_ioctl(vfio->group->fd, VFIO_GROUP_SET_CONTAINER, &space->fd);
	if (err >= 0 && first)
		err = nvmft_sys_ioctl(space->fd, VFIO_SET_IOMMU, (void *)VFIO_TYPE1v2_IOMMU);
	return err < 0 ? err : 0;
}

static int type1_device(struct vfio *vfio)
{
	int fd = nvmft_sys_ioctl(vfio->group->fd, VFIO_GROUP_GET_DEVICE_FD, vfio->pub.address);

	if (fd < 0)
		return nvmft_vfio_failed(vfio, fd, "VFIO_GROUP_GET_DEVICE_FD");
	vfio->fd = fd;
	return 0;
}

/* The capabilities are a list of offsets in what the kernel wrote, which is trusted no further than its length. */
static void take_ranges(struct space *space, const struct vfio_iommu_type1_info *info, uint32_t len)
{
	const struct vfio_iommu_type1_info_cap_iova_range *cap;
	uint32_t at, next, n;

	for (at = info->cap_offset; at && at <= len - sizeof(*cap); at = next > at ? next : 0) {
		cap = (const void *)((const char *)info + at);
		next = cap->header.next;
		if (cap->header.id != VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE)
			continue;
		n = cap->nr_iovas;
		for (uint32_t i = 0; i < n && (i + 1) * sizeof(cap->iova_ranges[0]) <= len - at - sizeof(*cap); i++)
			nvmft_space_range(space, cap->iova_ranges[i].start, cap->iova_ranges[i].end);
	}
}

/* Kernels before 5.4 do not say. */
static int type1_ranges(struct space *space)
{
	struct vfio_iommu_type1_info size = {.argsz = sizeof(size)}, *info;
	int err = nvmft_sys_ioctl(space->fd, VFIO_IOMMU_GET_INFO, &size);

	if (err < 0)
		return err;
	if (size.argsz < sizeof(size))
		return 0;
	info = calloc(1, size.argsz);
	if (!info)
		return -ENOMEM;
	info->argsz = size.argsz;
	err = nvmft_sys_ioctl(space->fd, VFIO_IOMMU_GET_INFO, info);
	if (err >= 0 && info->flags & VFIO_IOMMU_INFO_CAPS)
		take_ranges(space, info, size.argsz);
	free(info);
	return err < 0 ? err : 0;
}

static int type1_map(struct space *space, void *base, size_t len, uint64_t iova)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)base,
		.iova = iova,
		.size = len,
	};

	return nvmft_sys_ioctl(space->fd, VFIO_IOMMU_MAP_DMA, &map);
}

static int type1_unmap(struct space *space, uint64_t iova, size_t len)
{
	struct vfio_iommu_type1_dma_unmap unmap = {.argsz = sizeof(unmap), .iova = iova, .size = len};

	return nvmft_sys_ioctl(space->fd, VFIO_IOMMU_UNMAP_DMA, &unmap);
}

static void type1_close(struct space *space)
{
	close_fd(&space->fd);
}

const struct space_ops nvmft_type1_ops = {
	.name = "type 1",
	.lives = type1_lives,
	.claim = type1_claim,
	.create = type1_create,
	.attach = type1_attach,
	.device = type1_device,
	.ranges = type1_ranges,
	.map = type1_map,
	.unmap = type1_unmap,
	.close = type1_close,
};
