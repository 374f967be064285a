/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_H
#define NVMFT_BACKENDS_H

#include "namespace.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * nvmft_backend_null() - discards writes, reads zeroes; options struct nvmft_null_opts
 * nvmft_backend_memory() - RAM; options struct nvmft_memory_opts
 * nvmft_backend_file() - regular file or block device; options struct nvmft_file_opts
 * nvmft_backend_uring_nvme() - NVMe SSD by passthrough; options struct nvmft_uring_nvme_opts
 *
 * Context: any thread.
 */
NVMFT_API const struct nvmft_backend_ops *nvmft_backend_null(void);
NVMFT_API const struct nvmft_backend_ops *nvmft_backend_memory(void);
NVMFT_API const struct nvmft_backend_ops *nvmft_backend_file(void);
NVMFT_API const struct nvmft_backend_ops *nvmft_backend_uring_nvme(void);

/**
 * struct nvmft_null_opts - options of the null backend
 * @size: sizeof(struct nvmft_null_opts)
 * @bytes: size of the namespace, a multiple of @block_size. Required.
 * @block_size: 512 or 4096; default 512
 */
struct nvmft_null_opts {
	size_t size;
	uint64_t bytes;
	uint32_t block_size;
};

/**
 * struct nvmft_memory_opts - options of the memory backend
 * @size: sizeof(struct nvmft_memory_opts)
 * @bytes: size of the namespace, a multiple of @block_size. Required. Pages are taken as they are written.
 * @block_size: 512 or 4096; default 512
 */
struct nvmft_memory_opts {
	size_t size;
	uint64_t bytes;
	uint32_t block_size;
};

/**
 * struct nvmft_file_opts - options of the file backend
 * @size: sizeof(struct nvmft_file_opts)
 * @path: regular file or block device. Required; not needed after the call.
 * @bytes: size of the namespace; default the whole file. A larger @bytes than the file is refused.
 * @block_size: 512 or 4096; default 512, or the device's logical block size when that is larger
 * @read_only: open for reading only
 * @buffered: use the page cache instead of O_DIRECT. Without it O_DIRECT is used where the file system has it.
 * @no_lock: do not take the lock by which two targets exclude each other
 */
struct nvmft_file_opts {
	size_t size;
	const char *path;
	uint64_t bytes;
	uint32_t block_size;
	bool read_only;
	bool buffered;
	bool no_lock;
};

/**
 * struct nvmft_uring_nvme_opts - options of the io_uring passthrough backend
 * @size: sizeof(struct nvmft_uring_nvme_opts)
 * @device: /dev/ngXnY or /dev/nvmeXnY. Required, unless @serial or @subnqn say which; not needed after the call.
 * @serial, @subnqn: serial number of the device, NQN of its subsystem
 * @nsid: namespace of the device; required with @serial or @subnqn when there are several, else checked
 * @read_only: open for reading only
 * @iopoll: look for completions in the device's queue instead of waiting for interrupts. Needs queues made for it
 *          (nvme.poll_queues), and a processor that never sleeps while I/O is outstanding.
 * @reservations: hosts may use the device's own reservations. To the device the target is one host, so that they hold other
 *          users of the device off, not one host of the target against another.
 * @admin_commands, @nadmin_commands: opcodes of admin commands that hosts may send to the device, for this namespace; default none.
 *          Those that the target answers itself are refused, except Get Log Page (02h): it passes vendor specific pages (C0h to FFh).
 */
struct nvmft_uring_nvme_opts {
	size_t size;
	const char *device;
	const char *serial;
	uint32_t nsid;
	const char *subnqn;
	bool read_only;
	bool iopoll;
	bool reservations;
	const uint8_t *admin_commands;
	size_t nadmin_commands;
};

/**
 * nvmft_backend_vfio_nvme() - a namespace of an NVMe SSD that the library drives itself, through VFIO; options struct
 * nvmft_vfio_nvme_opts. See docs/nvme-ssds.md for how to prepare the device.
 *
 * Context: any thread.
 */
NVMFT_API const struct nvmft_backend_ops *nvmft_backend_vfio_nvme(void);

/*
 * enum nvmft_vfio_iommu - how VFIO is used
 * @NVMFT_VFIO_AUTO: IOMMUFD where the device has a character device of its own that this user may open, else type 1
 * @NVMFT_VFIO_TYPE1: /dev/vfio/GROUP and a container (/dev/vfio/vfio) with a type 1 IOMMU
 * @NVMFT_VFIO_IOMMUFD: /dev/vfio/devices/vfioN and /dev/iommu
 */
enum nvmft_vfio_iommu {
	NVMFT_VFIO_AUTO = 0,
	NVMFT_VFIO_TYPE1 = 1,
	NVMFT_VFIO_IOMMUFD = 2,
};

/**
 * struct nvmft_vfio_nvme_opts - options of the VFIO backend
 * @size: sizeof(struct nvmft_vfio_nvme_opts)
 * @address: PCI address of a controller that vfio-pci holds, such as 0000:01:00.0. Required; not needed after the call.
 * @nsid: namespace of the controller; default 1. Several namespaces of a controller may be open, in one target.
 * @read_only: refuse commands that change data
 * @queue_depth: most commands per poll group in the device; default 128, never more than the device takes. Of the namespaces
 *          of a controller, the first one opened decides.
 * @reservations, @admin_commands, @nadmin_commands: see struct nvmft_uring_nvme_opts
 * @iommu: the kernel's interface for the device's view of memory; of the namespaces of a controller, the first one opened
 *          decides
 */
struct nvmft_vfio_nvme_opts {
	size_t size;
	const char *address;
	uint32_t nsid;
	bool read_only;
	uint32_t queue_depth;
	bool reservations;
	const uint8_t *admin_commands;
	size_t nadmin_commands;
	enum nvmft_vfio_iommu iommu;
};

#ifdef __cplusplus
}
#endif
#endif
