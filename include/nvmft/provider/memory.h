/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_PROVIDER_MEMORY_H
#define NVMFT_PROVIDER_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Memory that belongs to no region (a loopback host's, a backend's own pages). */
#define NVMFT_REGION_NONE UINT32_MAX

/**
 * struct nvmft_iov - a piece of a command's data
 * @base, @len: where and how many bytes
 * @region: index of the memory region that it lies in, by which a provider finds its registration of the memory,
 *          or NVMFT_REGION_NONE
 */
struct nvmft_iov {
	void *base;
	uint32_t len;
	uint32_t region;
};

/**
 * struct nvmft_region - a piece of memory in which data buffers lie
 * @base, @len: where; whole pages
 * @index: nvmft_iov.region of the buffers in it. Used again after the region was removed.
 */
struct nvmft_region {
	void *base;
	size_t len;
	uint32_t index;
};

#ifdef __cplusplus
}
#endif
#endif
