/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A PCI function through VFIO: the function's group in a container of its own, with the type 1 IOMMU.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "device.h"

#define SYSFS_DEVICES "/sys/bus/pci/devices/"

/* From 4 GiB on there is nothing that platforms reserve below, such as the window of interrupt messages. */
#define IOVA_FIRST (UINT64_C(1) << 32)
#define IOVA_LAST ((UINT64_C(1) << 39) - 1)

struct vfio;

/*
 * struct iommu_ops - a way to let the device reach memory: the group in a container now, an IOMMUFD when the kernel has
 * one
 * @open: get the device's descriptor, with memory translation ready, and vfio->pub.iova_first and _last
 */
struct iommu_ops {
	int (*open)(struct vfio *vfio);
	int (*map)(struct vfio *vfio, void *base, size_t len, uint64_t iova);
	int (*unmap)(struct vfio *vfio, uint64_t iova, size_t len);
	void (*close)(struct vfio *vfio);
};

struct vfio {
	struct device pub;
	const struct iommu_ops *iommu;
	char *address;
	int container, group, fd;
	uint64_t config;
	uint64_t mapped; /* bytes, all of them locked in memory */
	bool reported;
};

static struct vfio *to_vfio(struct device *dev)
{
	return (struct vfio *)(void *)dev;
}

__attribute__((format(printf, 3, 4))) static int complain(const struct vfio *vfio, int err, const char *format, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	nvmft_backend_log(vfio->pub.backend, NVMFT_LOG_ERROR, "address: %s: %s", vfio->address, text);
	return err;
}

static int failed(const struct vfio *vfio, const char *what)
{
	int err = -errno;

	return complain(vfio, err, "%s: %s", what, strerrordesc_np(-err));
}

/* ---- what sysfs says ---- */

/* Name of what a link of the function points to. False: there is no such link. */
static bool link_name(const struct vfio *vfio, const char *link, char name[NAME_MAX + 1])
{
	char path[PATH_MAX], to[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), SYSFS_DEVICES "%s/%s", vfio->address, link);
	n = readlink(path, to, sizeof(to) - 1);
	if (n < 0)
		return false;
	to[n] = '\0';
	return snprintf(name, NAME_MAX + 1, "%s", strrchr(to, '/') ? strrchr(to, '/') + 1 : to) <= NAME_MAX;
}

static bool address_valid(const char *address)
{
	unsigned int domain, bus, slot, function;
	int n = 0;

	return sscanf(address, "%8x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &n) == 4 && !address[n];
}

/* The number of the IOMMU group of a function that vfio-pci holds. */
static int find_group(const struct vfio *vfio, char group[NAME_MAX + 1])
{
	char path[PATH_MAX], driver[NAME_MAX + 1];

	if (!address_valid(vfio->address))
		return complain(vfio, -EINVAL, "is no PCI address like 0000:01:00.0");
	snprintf(path, sizeof(path), SYSFS_DEVICES "%s", vfio->address);
	if (access(path, F_OK) < 0)
		return complain(vfio, -ENODEV, "there is no such PCI device");
	if (!link_name(vfio, "driver", driver))
		return complain(vfio, -ENODEV,
				"no driver holds it, vfio-pci must; nvmft's nvme-devices script prints how");
	if (strcmp(driver, "vfio-pci"))
		return complain(vfio, -EBUSY,
				"is held by the driver %s, must be by vfio-pci; nvmft's nvme-devices script prints how",
				driver);
	if (!link_name(vfio, "iommu_group", group))
		return complain(
			vfio, -ENODEV,
			"has no IOMMU group: the IOMMU (VT-d, AMD-Vi, SMMU) is off in the firmware or on the kernel's "
			"command line (intel_iommu=on)");
	return 0;
}

/* ---- group and container ---- */

static int open_group(struct vfio *vfio, const char *group)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/dev/vfio/%s", group);
	/* A target that was killed gives it back only a moment after its end. */
	for (int tries = 20; (vfio->group = open(path, O_RDWR | O_CLOEXEC)) < 0 && errno == EBUSY && tries > 0; tries--)
		nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	if (vfio->group < 0 && errno == EBUSY)
		return complain(
			vfio, -EBUSY,
			"IOMMU group %s is in use by another program, or another namespace of this one: one namespace "
			"per controller is supported",
			group);
	if (vfio->group < 0 && (errno == EACCES || errno == EPERM))
		return complain(vfio, -errno, "no permission for %s: it must be readable and writable for this user",
				path);
	if (vfio->group < 0)
		return failed(vfio, path);
	if (ioctl(vfio->group, VFIO_GROUP_GET_STATUS, &status) < 0)
		return failed(vfio, "VFIO_GROUP_GET_STATUS");
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		return complain(vfio, -EBUSY,
				"IOMMU group %s has other devices in use by the kernel: bind all that are in "
				"/sys/kernel/iommu_groups/%s/devices to vfio-pci, or to no driver",
				group, group);
	return 0;
}

static int open_container(struct vfio *vfio)
{
	vfio->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (vfio->container < 0 && errno == ENOENT)
		return complain(vfio, -ENOENT, "/dev/vfio/vfio is missing: modprobe vfio-pci vfio_iommu_type1");
	if (vfio->container < 0)
		return failed(vfio, "/dev/vfio/vfio");
	if (ioctl(vfio->container, VFIO_GET_API_VERSION) != VFIO_API_VERSION)
		return complain(vfio, -EOPNOTSUPP, "the kernel's VFIO has another API version");
	if (ioctl(vfio->container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) <= 0)
		return complain(vfio, -EOPNOTSUPP,
				"the kernel has no type 1 IOMMU for VFIO: modprobe vfio_iommu_type1");
	return 0;
}

/* Keep to a range of addresses that the IOMMU can translate. */
static void take_ranges(struct vfio *vfio, const struct vfio_iommu_type1_info_cap_iova_range *cap)
{
	for (uint32_t i = 0; i < cap->nr_iovas; i++) {
		uint64_t first = cap->iova_ranges[i].start, last = cap->iova_ranges[i].end;

		if (first < IOVA_FIRST && last > IOVA_FIRST)
			first = IOVA_FIRST;
		if (vfio->pub.iova_last > vfio->pub.iova_first &&
		    last - first < vfio->pub.iova_last - vfio->pub.iova_first)
			continue;
		vfio->pub.iova_first = first;
		vfio->pub.iova_last = last;
	}
}

static int read_ranges(struct vfio *vfio)
{
	struct vfio_iommu_type1_info size = {.argsz = sizeof(size)}, *info;
	const struct vfio_info_cap_header *cap;
	uint32_t at;

	if (ioctl(vfio->container, VFIO_IOMMU_GET_INFO, &size) < 0)
		return failed(vfio, "VFIO_IOMMU_GET_INFO");
	info = calloc(1, size.argsz);
	if (!info)
		return -ENOMEM;
	info->argsz = size.argsz;
	if (ioctl(vfio->container, VFIO_IOMMU_GET_INFO, info) == 0 && info->flags & VFIO_IOMMU_INFO_CAPS) {
		for (at = info->cap_offset; at && at + sizeof(*cap) <= size.argsz; at = cap->next) {
			cap = (const void *)((const char *)info + at);
			if (cap->id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE)
				take_ranges(vfio, (const void *)cap);
		}
	}
	free(info);
	/* Kernels before 5.4 do not say: what the smallest IOMMUs have. */
	if (!vfio->pub.iova_last) {
		vfio->pub.iova_first = IOVA_FIRST;
		vfio->pub.iova_last = IOVA_LAST;
	}
	return 0;
}

static int type1_open(struct vfio *vfio)
{
	char group[NAME_MAX + 1];
	int err = find_group(vfio, group);

	if (!err)
		err = open_container(vfio);
	if (!err)
		err = open_group(vfio, group);
	if (err)
		return err;
	if (ioctl(vfio->group, VFIO_GROUP_SET_CONTAINER, &vfio->container) < 0)
		return failed(vfio, "VFIO_GROUP_SET_CONTAINER");
	if (ioctl(vfio->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0)
		return failed(vfio, "VFIO_SET_IOMMU");
	err = read_ranges(vfio);
	if (err)
		return err;
	vfio->fd = ioctl(vfio->group, VFIO_GROUP_GET_DEVICE_FD, vfio->address);
	return vfio->fd < 0 ? failed(vfio, "VFIO_GROUP_GET_DEVICE_FD") : 0;
}

static int type1_map(struct vfio *vfio, void *base, size_t len, uint64_t iova)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)base,
		.iova = iova,
		.size = len,
	};

	return ioctl(vfio->container, VFIO_IOMMU_MAP_DMA, &map) < 0 ? -errno : 0;
}

static int type1_unmap(struct vfio *vfio, uint64_t iova, size_t len)
{
	struct vfio_iommu_type1_dma_unmap unmap = {.argsz = sizeof(unmap), .iova = iova, .size = len};

	return ioctl(vfio->container, VFIO_IOMMU_UNMAP_DMA, &unmap) < 0 ? -errno : 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void type1_close(struct vfio *vfio)
{
	close_fd(&vfio->fd);
	close_fd(&vfio->group);
	close_fd(&vfio->container);
}

static const struct iommu_ops type1_ops = {
	.open = type1_open,
	.map = type1_map,
	.unmap = type1_unmap,
	.close = type1_close,
};

/* ---- the function ---- */

static int map_bar(struct vfio *vfio)
{
	struct vfio_region_info info = {.argsz = sizeof(info), .index = VFIO_PCI_BAR0_REGION_INDEX};
	void *bar;

	if (ioctl(vfio->fd, VFIO_DEVICE_GET_REGION_INFO, &info) < 0)
		return failed(vfio, "BAR0");
	if (!(info.flags & VFIO_REGION_INFO_FLAG_MMAP) || info.size < 8192)
		return complain(vfio, -EINVAL, "has no BAR0 as NVMe controllers have");
	bar = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, vfio->fd, (off_t)info.offset);
	if (bar == MAP_FAILED)
		return failed(vfio, "mapping BAR0");
	vfio->pub.bar = bar;
	vfio->pub.bar_len = info.size;
	return 0;
}

static int find_config(struct vfio *vfio)
{
	struct vfio_region_info info = {.argsz = sizeof(info), .index = VFIO_PCI_CONFIG_REGION_INDEX};
	uint8_t class[3];

	if (ioctl(vfio->fd, VFIO_DEVICE_GET_REGION_INFO, &info) < 0)
		return failed(vfio, "PCI configuration space");
	vfio->config = info.offset;
	if (pread(vfio->fd, class, sizeof(class), (off_t)vfio->config + PCI_CLASS_PROG) != sizeof(class))
		return failed(vfio, "PCI configuration space");
	if (class[2] != 1 || class[1] != 8)
		return complain(vfio, -EINVAL, "is no NVMe controller (PCI class %02x%02x)", class[2], class[1]);
	return 0;
}

static int make_vectors(struct vfio *vfio, unsigned int n)
{
	vfio->pub.vectors = malloc(n * sizeof(*vfio->pub.vectors));
	if (!vfio->pub.vectors)
		return -ENOMEM;
	for (; vfio->pub.nvectors < n; vfio->pub.nvectors++) {
		int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

		if (fd < 0)
			return failed(vfio, "eventfd");
		vfio->pub.vectors[vfio->pub.nvectors] = fd;
	}
	return 0;
}

/* All at once: older kernels cannot add one later. */
static int enable_vectors(struct vfio *vfio, unsigned int most)
{
	struct vfio_irq_info info = {.argsz = sizeof(info), .index = VFIO_PCI_MSIX_IRQ_INDEX};
	struct vfio_irq_set *set;
	size_t len;
	int err;

	if (ioctl(vfio->fd, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0 || !info.count)
		return 0; /* then its queues are polled */
	err = make_vectors(vfio, info.count < most ? info.count : most);
	if (err)
		return err;
	len = vfio->pub.nvectors * sizeof(*vfio->pub.vectors);
	set = calloc(1, sizeof(*set) + len);
	if (!set)
		return -ENOMEM;
	set->argsz = (uint32_t)(sizeof(*set) + len);
	set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	set->index = VFIO_PCI_MSIX_IRQ_INDEX;
	set->count = vfio->pub.nvectors;
	memcpy(set->data, vfio->pub.vectors, len);
	err = ioctl(vfio->fd, VFIO_DEVICE_SET_IRQS, set) < 0 ? failed(vfio, "interrupts") : 0;
	free(set);
	return err;
}

/* ---- struct device_ops ---- */

/* Locked memory is what these calls fail for first, and their error does not say so. */
static int no_memory(const struct vfio *vfio, size_t len)
{
	struct rlimit limit = {0};

	getrlimit(RLIMIT_MEMLOCK, &limit);
	return complain(vfio, -ENOMEM,
			"%zu more bytes cannot be locked in memory for the device, which has %" PRIu64
			"; RLIMIT_MEMLOCK is %" PRIu64 " bytes (ulimit -l, LimitMEMLOCK= of systemd)",
			len, vfio->mapped, (uint64_t)limit.rlim_cur);
}

static int device_map(struct device *dev, void *base, size_t len, uint64_t iova)
{
	struct vfio *vfio = to_vfio(dev);
	int err = vfio->iommu->map(vfio, base, len, iova);

	if (!err) {
		vfio->mapped += len;
		vfio->reported = false;
		return 0;
	}
	/* Once in a row: the core tries again with every command that has to wait for memory. */
	if (!vfio->reported) {
		vfio->reported = true;
		if (err == -ENOMEM)
			return no_memory(vfio, len);
		complain(vfio, err, "mapping %zu bytes: %s", len, strerrordesc_np(-err));
	}
	return err;
}

static void device_unmap(struct device *dev, uint64_t iova, size_t len)
{
	struct vfio *vfio = to_vfio(dev);

	if (vfio->iommu->unmap(vfio, iova, len) == 0)
		vfio->mapped -= len;
}

static int device_bus_master(struct device *dev, bool on)
{
	struct vfio *vfio = to_vfio(dev);
	off_t at = (off_t)vfio->config + PCI_COMMAND;
	uint16_t command;

	if (pread(vfio->fd, &command, sizeof(command), at) != sizeof(command))
		return -EIO;
	command = (uint16_t)((command & ~PCI_COMMAND_MASTER) | PCI_COMMAND_MEMORY | (on ? PCI_COMMAND_MASTER : 0));
	if (pwrite(vfio->fd, &command, sizeof(command), at) != sizeof(command))
		return -EIO;
	/* What was under way when it was written comes before the answer. */
	return pread(vfio->fd, &command, sizeof(command), at) == sizeof(command) ? 0 : -EIO;
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

	if (dev->bar)
		munmap((void *)(uintptr_t)dev->bar, dev->bar_len);
	vfio->iommu->close(vfio);
	for (unsigned int i = 0; i < dev->nvectors; i++)
		close(dev->vectors[i]);
	free(dev->vectors);
	free(vfio->address);
	free(vfio);
}

static const struct device_ops vfio_ops = {
	.map = device_map,
	.unmap = device_unmap,
	.bus_master = device_bus_master,
	.now = device_now,
	.pause = device_pause,
	.close = device_close,
};

int nvmft_vfio_device_open(const struct nvmft_backend *backend, const char *address, unsigned int vectors,
			   struct device **out)
{
	struct vfio *vfio = calloc(1, sizeof(*vfio));
	int err;

	if (!vfio)
		return -ENOMEM;
	vfio->pub.ops = &vfio_ops;
	vfio->pub.backend = backend;
	vfio->iommu = &type1_ops;
	vfio->container = vfio->group = vfio->fd = -1;
	vfio->address = strdup(address);
	err = vfio->address ? vfio->iommu->open(vfio) : -ENOMEM;
	if (!err)
		err = find_config(vfio);
	/* Registers yes, memory no: what an earlier owner told the device to write must not be written any more. */
	if (!err && device_bus_master(&vfio->pub, false))
		err = failed(vfio, "PCI command register");
	if (!err)
		err = map_bar(vfio);
	if (!err)
		err = enable_vectors(vfio, vectors);
	if (err)
		device_close(&vfio->pub);
	else
		*out = &vfio->pub;
	return err;
}
