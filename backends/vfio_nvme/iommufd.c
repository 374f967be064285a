/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Address spaces by IOMMUFD, which are entered by devices that have character devices of their own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iommu.h"
#include "iommufd_abi.h"

#define IOMMUFD "/dev/iommu"
/* More than any platform has; a kernel that says otherwise is not followed. */
#define MAX_RANGES 4096u

static void cdev_path(const struct vfio *vfio, char path[64])
{
	snprintf(path, 64, "/dev/vfio/devices/%s", vfio->cdev);
}

bool nvmft_iommufd_usable(const struct vfio *vfio)
{
	char path[64], group[64];

	if (!vfio->cdev[0])
		return false;
	cdev_path(vfio, path);
	if (nvmft_sys_access(path, R_OK | W_OK) && nvmft_sys_access(IOMMUFD, R_OK | W_OK))
		return true;
	/* Without groups in the kernel it is this way that lacks something, and it says what. */
	snprintf(group, sizeof(group), "/dev/vfio/%u", vfio->group_number);
	return !nvmft_sys_access(group, F_OK);
}

static int open_node(const struct vfio *vfio, const char *path)
{
	int fd = nvmft_sys_open(path);

	if (fd == -EACCES || fd == -EPERM)
		return nvmft_vfio_complain(
			vfio, fd, "no permission for %s: it must be readable and writable for this user", path);
	if (fd == -ENOENT || fd == -ENODEV)
		return nvmft_vfio_complain(vfio, fd, "%s is missing: modprobe -a iommufd vfio-pci", path);
	return fd < 0 ? nvmft_vfio_failed(vfio, fd, path) : fd;
}

/*
 * The device is another program's: EINVAL. Its group is: EBUSY when that has it by VFIO's groups, EPERM when by
 * devices, or when a driver of the kernel has one. EPERM also says that interrupts are not isolated.
 */
static bool may_be_busy(int err)
{
	return err == -EBUSY || err == -EINVAL || err == -EPERM;
}

static int complain_busy(const struct vfio *vfio, int err, const char *path)
{
	char neighbour[NAME_MAX + 1];

	if (nvmft_vfio_neighbour(vfio, neighbour))
		return nvmft_vfio_complain(
			vfio, -EBUSY,
			"IOMMU group %u also has %s: all its devices must be bound to vfio-pci, or to no driver",
			vfio->group_number, neighbour);
	if (err == -EPERM)
		return nvmft_vfio_complain(
			vfio, err,
			"another program has a device of IOMMU group %u, or the platform cannot keep the device from "
			"raising "
			"interrupts of others: then turn interrupt remapping on in the firmware, or load iommufd with "
			"allow_unsafe_interrupts=1",
			vfio->group_number);
	return nvmft_vfio_complain(vfio, -EBUSY,
				   "%s, or a device of its IOMMU group %u, is in use by another program: %s", path,
				   vfio->group_number, strerrordesc_np(-err));
}

/* From here on it is ours. */
static int bind_device(struct vfio *vfio, const char *path)
{
	struct cdev_bind bind = {.argsz = sizeof(bind), .iommufd = vfio->iommu->fd};
	int err = nvmft_sys_ioctl(vfio->fd, CDEV_BIND_IOMMUFD, &bind);

	for (int tries = BUSY_TRIES; may_be_busy(err) && tries > 0; tries--) {
		nvmft_sys_pause();
		err = nvmft_sys_ioctl(vfio->fd, CDEV_BIND_IOMMUFD, &bind);
	}
	if (may_be_busy(err))
		return complain_busy(vfio, err, path);
	return err < 0 ? nvmft_vfio_failed(vfio, err, "VFIO_DEVICE_BIND_IOMMUFD") : 0;
}

/* It is but a number: spaces do not depend on it. */
static bool iommufd_lives(const struct group *group)
{
	(void)group;
	return true;
}

static int iommufd_claim(struct vfio *vfio)
{
	char path[64];
	int fd;

	if (!vfio->cdev[0])
		return nvmft_vfio_complain(
			vfio, -EOPNOTSUPP,
			"iommu: has no character device in /dev/vfio/devices: the kernel lacks IOMMUFD or "
			"VFIO_DEVICE_CDEV");
	if (vfio->iommu->fd < 0) {
		fd = open_node(vfio, IOMMUFD);
		if (fd < 0)
			return fd;
		vfio->iommu->fd = fd;
	}
	cdev_path(vfio, path);
	fd = open_node(vfio, path);
	if (fd < 0)
		return fd;
	vfio->fd = fd;
	return bind_device(vfio, path);
}

static int iommufd_create(struct space *space, const struct vfio *vfio)
{
	struct iommufd_ioas_alloc alloc = {.size = sizeof(alloc)};
	int err = nvmft_sys_ioctl(space->iommu->fd, IOMMUFD_IOAS_ALLOC, &alloc);

	if (err < 0)
		return nvmft_vfio_failed(vfio, err, "IOMMU_IOAS_ALLOC");
	space->ioas = alloc.id;
	return 0;
}

static int iommufd_attach(struct space *space, struct vfio *vfio)
{
	struct cdev_attach attach = {.argsz = sizeof(attach), .pt = space->ioas};
	int err = nvmft_sys_ioctl(vfio->fd, CDEV_ATTACH_IOMMUFD_PT, &attach);

	return err < 0 ? err : 0;
}

static int iommufd_device(struct vfio *vfio)
{
	(void)vfio;
	return 0;
}

static int iommufd_ranges(struct space *space)
{
	struct iommufd_ioas_iova_ranges get = {.size = sizeof(get), .ioas = space->ioas};
	struct iommufd_range *ranges;
	uint32_t n;
	int err = nvmft_sys_ioctl(space->iommu->fd, IOMMUFD_IOAS_IOVA_RANGES, &get);

	if (err < 0 && err != -EMSGSIZE)
		return err;
	n = get.n < MAX_RANGES ? get.n : MAX_RANGES;
	ranges = calloc(n, sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	get.n = n;
	get.ranges = (uintptr_t)ranges;
	err = nvmft_sys_ioctl(space->iommu->fd, IOMMUFD_IOAS_IOVA_RANGES, &get);
	for (uint32_t i = 0; err >= 0 && i < n && i < get.n; i++)
		nvmft_space_range(space, ranges[i].first, ranges[i].last);
	free(ranges);
	return err < 0 ? err : 0;
}

static int iommufd_map(struct space *space, void *base, size_t len, uint64_t iova)
{
	struct iommufd_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMUFD_MAP_FIXED_IOVA | IOMMUFD_MAP_READABLE | IOMMUFD_MAP_WRITEABLE,
		.ioas = space->ioas,
		.base = (uintptr_t)base,
		.len = len,
		.iova = iova,
	};

	return nvmft_sys_ioctl(space->iommu->fd, IOMMUFD_IOAS_MAP, &map);
}

static int iommufd_unmap(struct space *space, uint64_t iova, size_t len)
{
	struct iommufd_ioas_unmap unmap = {.size = sizeof(unmap), .ioas = space->ioas, .iova = iova, .len = len};

	return nvmft_sys_ioctl(space->iommu->fd, IOMMUFD_IOAS_UNMAP, &unmap);
}

static void iommufd_close(struct space *space)
{
	struct iommufd_destroy destroy = {.size = sizeof(destroy), .id = space->ioas};

	if (space->ioas)
		nvmft_sys_ioctl(space->iommu->fd, IOMMUFD_DESTROY, &destroy);
}

const struct space_ops nvmft_iommufd_ops = {
	.name = "IOMMUFD",
	.lives = iommufd_lives,
	.claim = iommufd_claim,
	.create = iommufd_create,
	.attach = iommufd_attach,
	.device = iommufd_device,
	.ranges = iommufd_ranges,
	.map = iommufd_map,
	.unmap = iommufd_unmap,
	.close = iommufd_close,
};
