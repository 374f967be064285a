/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LIB_MEMORY_H
#define NVMFT_LIB_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nvmft/provider/memory.h"
#include "nvmft/provider/ring.h"
#include "util.h"

struct nvmft_poll_group;
struct pool_slab;

#define POOL_MIN_SHIFT 12 /* 4 KiB */
#define POOL_MAX_SHIFT 21 /* 2 MiB, one slab */
#define POOL_CLASSES (POOL_MAX_SHIFT - POOL_MIN_SHIFT + 1)

/* What the newest slab is made of. */
enum pool_pages { POOL_PAGES_NONE, POOL_PAGES_SMALL, POOL_PAGES_HUGE };

/*
 * Data buffers of a poll group: contiguous pieces, a power of two of pages long, cut from 2 MiB slabs. A slab serves
 * one size while any piece of it is in use; empty slabs serve any size, and go back to the system when a tenth of a
 * second passed without need for them. So memory follows the I/O in flight. A slab is a huge page when one is free.
 */
struct pool {
	LIST_HEAD(, pool_slab) partial[POOL_CLASSES]; /* with a free piece */
	struct pool_slab **regions;                   /* by nvmft_iov.region; NULL entries are free */
	uint32_t nregions, cap_regions;
	uint32_t nempty, low_empty; /* slabs with all pieces free; fewest of them since the trim timer last looked */
	uint64_t used, limit;       /* bytes that I/O has; most of these */
	uint64_t handed_out;        /* bytes that I/O and transports have */
	struct nvmft_timer trim;
	enum pool_pages pages;
	struct nvmft_poll_group *group;
};

void nvmft_pool_init(struct nvmft_poll_group *group, uint64_t limit);
/* Every buffer has been given back. */
void nvmft_pool_fini(struct nvmft_poll_group *group);

/*
 * nvmft_pool_get() - a buffer of @len bytes, page aligned, not cleared
 * @privileged: beyond the limit if need be: admin commands and Connect never wait for I/O
 * Return: 0; -EAGAIN at the limit, or -ENOMEM.
 */
int nvmft_pool_get(struct nvmft_poll_group *group, size_t len, bool privileged, struct nvmft_iov *iov);

/* nvmft_pool_take() - the same for who has looked at the limit already */
int nvmft_pool_take(struct nvmft_poll_group *group, size_t len, struct nvmft_iov *iov);

/* nvmft_pool_put() - give it back; requests that wait for buffers may go on at the end of the pass */
void nvmft_pool_put(struct nvmft_poll_group *group, const struct nvmft_iov *iov);

/* A buffer that nvmft_buffer_get() gave to a transport becomes one of a command. */
void nvmft_pool_adopt(struct nvmft_poll_group *group, const struct nvmft_iov *iov);

/* Call @fn for each region that there is, until it returns something other than 0, which is returned. */
int nvmft_pool_each_region(struct nvmft_poll_group *group, int (*fn)(void *ctx, const struct nvmft_region *region),
			   void *ctx);

#endif
