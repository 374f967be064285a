/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_VFIO_NVME_DEVICE_H
#define NVMFT_BACKENDS_VFIO_NVME_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nvmft/provider/backend.h>

struct device;

/*
 * struct device_ops - a way to a PCI function: VFIO group and container, or what stands in for it in tests
 * @map: let the device reach [base, base + len) at @iova. Return: 0 or -errno, logged.
 * @bus_master: off: when it returns the device reads and writes no memory any more
 * @now, @pause: clock for waits on the device
 */
struct device_ops {
	int (*map)(struct device *dev, void *base, size_t len, uint64_t iova);
	void (*unmap)(struct device *dev, uint64_t iova, size_t len);
	int (*bus_master)(struct device *dev, bool on);
	uint64_t (*now)(struct device *dev);
	void (*pause)(struct device *dev, uint64_t ns);
	void (*close)(struct device *dev);
};

/*
 * struct device - an open PCI function
 * @bar: BAR0, mapped
 * @vectors: eventfds, one per MSI-X vector that is in use
 * @iova_first, @iova_last: addresses that the IOMMU can translate
 */
struct device {
	const struct device_ops *ops;
	const struct nvmft_backend *backend;
	volatile uint8_t *bar;
	size_t bar_len;
	int *vectors;
	unsigned int nvectors;
	uint64_t iova_first, iova_last;
};

/* vfio.c: open @address ("0000:01:00.0") with up to @vectors interrupts. Return: 0 or -errno, logged. */
int nvmft_vfio_device_open(const struct nvmft_backend *backend, const char *address, unsigned int vectors,
			   struct device **out);

#endif
