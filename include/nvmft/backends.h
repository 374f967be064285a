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
 */
struct nvmft_uring_nvme_opts {
	size_t size;
	const char *device;
	const char *serial;
	uint32_t nsid;
	const char *subnqn;
	bool read_only;
	bool iopoll;
};

/**
 * nvmft_backend_vfio_nvme() - a namespace of an NVMe SSD that the library drives itself, through VFIO; options struct
 * nvmft_vfio_nvme_opts. See docs/nvme-ssds.md for how to prepare the device.
 *
 * Context: any thread.
 */
NVMFT_API const struct nvmft_backend_ops *nvmft_backend_vfio_nvme(void);

/**
 * struct nvmft_vfio_nvme_opts - options of the VFIO backend
 * @size: sizeof(struct nvmft_vfio_nvme_opts)
 * @address: PCI address of a controller that vfio-pci holds, such as 0000:01:00.0. Required; not needed after the call.
 * @nsid: namespace of the controller; default 1. A controller serves one namespace at a time.
 * @read_only: refuse commands that change data
 * @queue_depth: most commands per poll group in the device; default 128, never more than the device takes
 */
struct nvmft_vfio_nvme_opts {
	size_t size;
	const char *address;
	uint32_t nsid;
	bool read_only;
	uint32_t queue_depth;
};

#ifdef __cplusplus
}
#endif
#endif
