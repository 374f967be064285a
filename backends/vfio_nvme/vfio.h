/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_VFIO_NVME_VFIO_H
#define NVMFT_BACKENDS_VFIO_NVME_VFIO_H

#include <limits.h>
#include <stdatomic.h>

#include "device.h"
#include "sys.h"

struct iommu;
struct group;
struct space;

/* Tries to open what a program that was killed gives back only a moment after its end. */
#define BUSY_TRIES 20

/*
 * struct vfio - an open PCI function
 * @group_number: of its IOMMU group
 * @cdev: name of its own character device, "vfio0"; empty without
 * @fd: the VFIO device
 * @config: where its configuration space is in @fd
 * @given_back: the device is not ours any more; see struct device_ops
 * @group, @space: the group, and the address space that it sees; NULL before it joined
 */
struct vfio {
	struct device pub;
	unsigned int group_number;
	char cdev[32];
	int fd;
	uint64_t config;
	atomic_bool given_back;
	struct iommu *iommu;
	struct group *group;
	struct space *space;
};

/* vfio.c: write an error to the log and return @err. */
__attribute__((format(printf, 3, 4))) int nvmft_vfio_complain(const struct vfio *vfio, int err, const char *format,
							      ...);
/* The same for a call @what that failed with @err. */
int nvmft_vfio_failed(const struct vfio *vfio, int err, const char *what);

/* sysfs.c: address, driver, group and character device. Return: 0 or -errno, logged. */
int nvmft_vfio_find(struct vfio *vfio);
/* A function of its IOMMU group that a driver of the kernel uses: "0000:01:00.1, which is held by snd". False: none. */
bool nvmft_vfio_neighbour(const struct vfio *vfio, char text[NAME_MAX + 1]);

/* pci.c: find registers and interrupts, with bus mastering off. Return: 0 or -errno, logged. */
int nvmft_vfio_pci_open(struct vfio *vfio, unsigned int vectors);
void nvmft_vfio_pci_close(struct vfio *vfio);
/* Memory in place of the registers. Return: 0 or -errno. */
int nvmft_vfio_pci_replace_bar(struct vfio *vfio);
int nvmft_vfio_pci_bus_master(struct vfio *vfio, bool on);

/* iommu.c: open @vfio->fd, in an address space that the devices of a target share. Return: 0 or -errno, logged. */
int nvmft_iommu_join(const struct nvmft_backend *backend, struct vfio *vfio, enum nvmft_vfio_iommu how);
/* Undo it, also what of it was done when it failed. */
void nvmft_iommu_leave(struct vfio *vfio);
int nvmft_iommu_map(struct vfio *vfio, void *base, size_t len, uint64_t *iova);
void nvmft_iommu_unmap(struct vfio *vfio, uint64_t iova);

#endif
