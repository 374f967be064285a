/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_OPTIONS_H
#define NVMFT_BACKENDS_OPTIONS_H

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <nvmft/provider/backend.h>

/*
 * backend_options() - take an option structure of any age: fields that the caller's header did not have are zero
 * @src: begins with its size, as every option structure does
 *
 * Return: 0, or -EINVAL without options or with a size that cannot be.
 */
static inline int backend_options(const struct nvmft_backend *backend, void *dst, size_t size, const void *src)
{
	size_t src_size = 0;

	memset(dst, 0, size);
	if (src)
		memcpy(&src_size, src, sizeof(src_size));
	if (src_size <= sizeof(src_size)) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "options: required, with their size set");
		return -EINVAL;
	}
	memcpy(dst, src, src_size < size ? src_size : size);
	return 0;
}

static inline int backend_check_block_size(const struct nvmft_backend *backend, uint32_t block_size)
{
	if (block_size == 512 || block_size == 4096)
		return 0;
	nvmft_backend_log(backend, NVMFT_LOG_ERROR, "block_size: %" PRIu32 ", must be 512 or 4096", block_size);
	return -EINVAL;
}

/* The size of a namespace that is made up of nothing but its options. @block_size: 0 means 512. */
static inline int backend_check_size(const struct nvmft_backend *backend, uint64_t bytes, uint32_t *block_size)
{
	int err;

	*block_size = *block_size ? *block_size : 512;
	err = backend_check_block_size(backend, *block_size);
	if (err)
		return err;
	if (bytes == 0 || bytes > INT64_MAX || bytes % *block_size != 0) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR,
				  "bytes: %" PRIu64 ", must be a multiple of %" PRIu32 " above 0", bytes, *block_size);
		return -EINVAL;
	}
	return 0;
}

#endif
