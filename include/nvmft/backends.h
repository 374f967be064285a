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
 *
 * Context: any thread.
 */
NVMFT_API const struct nvmft_backend_ops *nvmft_backend_null(void);
NVMFT_API const struct nvmft_backend_ops *nvmft_backend_memory(void);
NVMFT_API const struct nvmft_backend_ops *nvmft_backend_file(void);

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

#ifdef __cplusplus
}
#endif
#endif
