/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_VFIO_NVME_DEVICE_H
#define NVMFT_BACKENDS_VFIO_NVME_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nvmft/backends.h>
#include <nvmft/provider/backend.h>

struct device;

/*
 * struct device_ops - a way to a PCI function: VFIO, or what stands in for it in tests
 * @map: let the device reach [base, base + len), whole pages, and store at @iova where it finds them. Devices of a
 * target share an address space where their IOMMUs allow it: the same memory is locked and mapped once for all of them,
 * and counted. Once per map there is one unmap, by the same device. Return: 0 or -errno, logged. Any thread.
 * @unmap: @iova from map. Any thread.
 * @bus_master: off: when it returns 0 the device reads and writes no memory any more
 * @now, @pause: clock for waits on the device
 * @give_back: give the device back now, as somebody waits for it, while other threads may still read and write @bar
 * (from now on memory of all ones), read @vectors, map (which does nothing any more) and unmap. Only close is still to
 * come, which may then be late. Any thread.
 * @close: reset the device and give it back; nothing is left mapped by it. Blocks for some 100 ms. Context: as
 *       nvmft_shared_put().
 */
struct device_ops {
	int (*map)(struct device *dev, void *base, size_t len, uint64_t *iova);
	void (*unmap)(struct device *dev, uint64_t iova);
	int (*bus_master)(struct device *dev, bool on);
	uint64_t (*now)(struct device *dev);
	void (*pause)(struct device *dev, uint64_t ns);
	void (*give_back)(struct device *dev);
	void (*close)(struct device *dev);
};

/*
 * struct device - an open PCI function
 * @target, @address: for nvmft_device_log(). A device may outlive the backend that opened it.
 * @bar: BAR0, mapped
 * @vectors: eventfds that block, as struct nvmft_wake wants them, one per MSI-X vector that is in use
 * @unplug_fd: eventfd: the device is to be given back, since somebody removes it or takes vfio-pci from it, and waits
 * for that; told again every few seconds. -1 without.
 * @error_fd: eventfd: the bus reports an error that the device cannot recover from (AER). -1 without.
 */
struct device {
	const struct device_ops *ops;
	struct nvmft_target *target;
	char *address;
	volatile uint8_t *bar;
	size_t bar_len;
	int *vectors;
	unsigned int nvectors;
	int unplug_fd;
	int error_fd;
};

/* device.c: a line in the target's log, with the device's address. Any thread. */
void nvmft_device_log(const struct device *dev, enum nvmft_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * vfio.c: open @address ("0000:01:00.0") with up to @vectors interrupts, memory by way of @iommu. Return: 0 or -errno,
 * logged. Context: as nvmft_shared_get().
 */
int nvmft_vfio_device_open(const struct nvmft_backend *backend, const char *address, enum nvmft_vfio_iommu iommu,
			   unsigned int vectors, struct device **out);

#endif
