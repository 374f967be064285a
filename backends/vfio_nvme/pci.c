/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Registers, configuration space and interrupts of an open PCI function.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vfio.h"

/* ---- registers ---- */

static int map_bar(struct vfio *vfio)
{
	struct vfio_region_info info = {.argsz = sizeof(info), .index = VFIO_PCI_BAR0_REGION_INDEX};
	int err = nvmft_sys_ioctl(vfio->fd, VFIO_DEVICE_GET_REGION_INFO, &info);
	void *bar;

	if (err < 0)
		return nvmft_vfio_failed(vfio, err, "BAR0");
	if (!(info.flags & VFIO_REGION_INFO_FLAG_MMAP) || info.size < 8192)
		return nvmft_vfio_complain(vfio, -EINVAL, "has no BAR0 as NVMe controllers have");
	bar = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, vfio->fd, (off_t)info.offset);
	if (bar == MAP_FAILED)
		return nvmft_vfio_failed(vfio, -errno, "mapping BAR0");
	vfio->pub.bar = bar;
	vfio->pub.bar_len = info.size;
	return 0;
}

/* In one step: whoever looks at the registers meanwhile finds either. */
int nvmft_vfio_pci_replace_bar(struct vfio *vfio)
{
	void *bar = (void *)(uintptr_t)vfio->pub.bar;
	void *ones = mmap(NULL, vfio->pub.bar_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int err = 0;

	if (ones == MAP_FAILED)
		return -errno;
	memset(ones, 0xff, vfio->pub.bar_len);
	if (mremap(ones, vfio->pub.bar_len, vfio->pub.bar_len, MREMAP_MAYMOVE | MREMAP_FIXED, bar) == MAP_FAILED) {
		err = -errno;
		munmap(ones, vfio->pub.bar_len);
	}
	return err;
}

/* Less than @len bytes: the function is gone. */
static int read_config(const struct vfio *vfio, unsigned int at, void *to, size_t len)
{
	ssize_t n = pread(vfio->fd, to, len, (off_t)(vfio->config + at));

	return n < 0 ? -errno : (size_t)n == len ? 0 : -ENODEV;
}

static int find_config(struct vfio *vfio)
{
	struct vfio_region_info info = {.argsz = sizeof(info), .index = VFIO_PCI_CONFIG_REGION_INDEX};
	int err = nvmft_sys_ioctl(vfio->fd, VFIO_DEVICE_GET_REGION_INFO, &info);
	uint8_t class[3];

	if (err >= 0) {
		vfio->config = info.offset;
		err = read_config(vfio, PCI_CLASS_PROG, class, sizeof(class));
	}
	if (err < 0)
		return nvmft_vfio_failed(vfio, err, "PCI configuration space");
	if (class[2] != 1 || class[1] != 8)
		return nvmft_vfio_complain(vfio, -EINVAL, "is no NVMe controller (PCI class %02x%02x)", class[2],
					   class[1]);
	return 0;
}

int nvmft_vfio_pci_bus_master(struct vfio *vfio, bool on)
{
	uint16_t command;
	int err = read_config(vfio, PCI_COMMAND, &command, sizeof(command));

	if (err)
		return err;
	command = (uint16_t)((command & ~PCI_COMMAND_MASTER) | PCI_COMMAND_MEMORY | (on ? PCI_COMMAND_MASTER : 0));
	if (pwrite(vfio->fd, &command, sizeof(command), (off_t)vfio->config + PCI_COMMAND) != sizeof(command))
		return -EIO;
	/* What was under way when it was written comes before the answer. All ones: the function is not there. */
	err = read_config(vfio, PCI_COMMAND, &command, sizeof(command));
	if (!err && !on && command & PCI_COMMAND_MASTER && command != 0xffff)
		err = -EIO;
	return err;
}

/* ---- interrupts ---- */

static unsigned int count_interrupts(const struct vfio *vfio, uint32_t index)
{
	struct vfio_irq_info info = {.argsz = sizeof(info), .index = index};

	return nvmft_sys_ioctl(vfio->fd, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0 ? 0 : info.count;
}

/* Return: 0; -ENOSPC: there are none; -errno, logged; above 0: only so many are to be had, and none is set. */
static int set_interrupts(const struct vfio *vfio, uint32_t index, const int *fds, unsigned int n)
{
	size_t len = n * sizeof(*fds);
	struct vfio_irq_set *set = calloc(1, sizeof(*set) + len);
	int err;

	if (!set)
		return -ENOMEM;
	set->argsz = (uint32_t)(sizeof(*set) + len);
	set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	set->index = index;
	set->count = n;
	memcpy(set->data, fds, len);
	err = nvmft_sys_ioctl(vfio->fd, VFIO_DEVICE_SET_IRQS, set);
	free(set);
	/* Not all kernels say how many. */
	if (err == -ENOSPC)
		return n > 1 ? (int)(n / 2) : err;
	return err < 0 ? nvmft_vfio_failed(vfio, err, "interrupts") : err;
}

static int make_eventfd(const struct vfio *vfio, int flags, int *fd)
{
	*fd = eventfd(0, EFD_CLOEXEC | flags);
	return *fd < 0 ? nvmft_vfio_failed(vfio, -errno, "eventfd") : 0;
}

static int make_vectors(struct vfio *vfio, unsigned int n)
{
	struct device *dev = &vfio->pub;

	dev->vectors = malloc(n * sizeof(*dev->vectors));
	if (!dev->vectors)
		return -ENOMEM;
	for (; dev->nvectors < n; dev->nvectors++) {
		int err = make_eventfd(vfio, 0, &dev->vectors[dev->nvectors]);

		if (err)
			return err;
	}
	return 0;
}

static void drop_vectors(struct device *dev, unsigned int left)
{
	while (dev->nvectors > left)
		close(dev->vectors[--dev->nvectors]);
}

/* All at once: older kernels cannot add one later. A machine may have fewer left than the device. */
static int enable_vectors(struct vfio *vfio, unsigned int most)
{
	struct device *dev = &vfio->pub;
	unsigned int n = count_interrupts(vfio, VFIO_PCI_MSIX_IRQ_INDEX);
	int err;

	if (!n)
		return 0; /* then its queues are polled */
	err = make_vectors(vfio, n < most ? n : most);
	if (err)
		return err;
	err = set_interrupts(vfio, VFIO_PCI_MSIX_IRQ_INDEX, dev->vectors, dev->nvectors);
	while (err > 0 && (unsigned int)err < dev->nvectors) {
		drop_vectors(dev, (unsigned int)err);
		err = set_interrupts(vfio, VFIO_PCI_MSIX_IRQ_INDEX, dev->vectors, dev->nvectors);
	}
	if (!err || (err < 0 && err != -ENOSPC))
		return err;
	nvmft_device_log(dev, NVMFT_LOG_WARN, "the kernel has no interrupts left for it: it is polled");
	drop_vectors(dev, 0);
	return 0;
}

/* One of VFIO's own interrupts, by which it tells of something; not all kernels and devices have them. */
static int enable_notice(struct vfio *vfio, uint32_t index, int *fd)
{
	int err;

	if (!count_interrupts(vfio, index))
		return 0;
	err = make_eventfd(vfio, EFD_NONBLOCK, fd);
	if (!err)
		err = set_interrupts(vfio, index, fd, 1);
	return err > 0 || err == -ENOSPC ? nvmft_vfio_failed(vfio, -ENOSPC, "interrupts") : err;
}

/* ---- beginning and end ---- */

int nvmft_vfio_pci_open(struct vfio *vfio, unsigned int vectors)
{
	int err = find_config(vfio);

	if (err)
		return err;
	/* Registers yes, memory no: what an earlier owner told the device to write must not be written any more. */
	err = nvmft_vfio_pci_bus_master(vfio, false);
	if (err)
		return nvmft_vfio_failed(vfio, err, "PCI command register");
	err = map_bar(vfio);
	if (!err)
		err = enable_vectors(vfio, vectors);
	if (!err)
		err = enable_notice(vfio, VFIO_PCI_REQ_IRQ_INDEX, &vfio->pub.unplug_fd);
	return err ? err : enable_notice(vfio, VFIO_PCI_ERR_IRQ_INDEX, &vfio->pub.error_fd);
}

void nvmft_vfio_pci_close(struct vfio *vfio)
{
	struct device *dev = &vfio->pub;

	if (dev->bar)
		munmap((void *)(uintptr_t)dev->bar, dev->bar_len);
	for (unsigned int i = 0; i < dev->nvectors; i++)
		close(dev->vectors[i]);
	free(dev->vectors);
	if (dev->unplug_fd >= 0)
		close(dev->unplug_fd);
	if (dev->error_fd >= 0)
		close(dev->error_fd);
}
