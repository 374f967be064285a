/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data buffers of a poll group.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "channel.h"
#include "log.h"
#include "memory.h"
#include "poll_group.h"

#define SLAB_BYTES ((size_t)1 << POOL_MAX_SHIFT)
#define SLAB_PIECES (1u << (POOL_MAX_SHIFT - POOL_MIN_SHIFT))

/* So many empty slabs stay: a group that goes from idle to busy and back does not map and unmap. */
#define POOL_KEEP_EMPTY 2u
#define POOL_TRIM_NS 100000000u

/*
 * The free pieces are kept here and not in the pieces themselves: a free buffer is not touched, so that its cache lines
 * and, before its first use, its pages stay out of memory. Last in, first out: what was used last is warm.
 */
struct pool_slab {
	LIST_ENTRY(pool_slab) link; /* pool->partial[class] while it has a free piece */
	unsigned char *base;
	uint32_t region;
	uint32_t class;
	uint32_t shift; /* of the size of a piece */
	uint32_t bytes; /* that size */
	uint32_t pieces;
	uint32_t nfree;
	uint16_t free[SLAB_PIECES];
};

static uint32_t class_of(size_t len)
{
	/* The position of the highest bit of (len - 1) / 2 KiB. */
	return 63u - (uint32_t)__builtin_clzll((len - 1) >> (POOL_MIN_SHIFT - 1) | 1);
}

static bool slab_empty(const struct pool_slab *slab)
{
	return slab->nfree == slab->pieces;
}

/* Cut an empty slab that is on no partial list into pieces. */
static void slab_cut(struct pool *pool, struct pool_slab *slab, uint32_t class)
{
	uint32_t i, n = SLAB_PIECES >> class;

	slab->class = class;
	slab->shift = POOL_MIN_SHIFT + class;
	slab->bytes = 1u << slab->shift;
	slab->pieces = n;
	slab->nfree = n;
	for (i = 0; i < n; i++)
		slab->free[i] = (uint16_t)(n - 1 - i);
	LIST_INSERT_HEAD(&pool->partial[class], slab, link);
}

/* Any one. Not for every buffer: the group runs out of slabs of a size, or gives some back. */
static struct pool_slab *pool_find_empty(const struct pool *pool)
{
	uint32_t i;

	for (i = 0; pool->nempty && i < pool->nregions; i++)
		if (pool->regions[i] && slab_empty(pool->regions[i]))
			return pool->regions[i];
	return NULL;
}

static int pool_region(struct pool *pool, uint32_t *region)
{
	struct pool_slab **regions;
	uint32_t i, cap;

	for (i = 0; i < pool->nregions; i++)
		if (!pool->regions[i])
			break;
	if (i == pool->cap_regions) {
		cap = pool->cap_regions ? pool->cap_regions * 2 : 8;
		regions = realloc(pool->regions, cap * sizeof(*regions));
		if (!regions)
			return -ENOMEM;
		pool->regions = regions;
		pool->cap_regions = cap;
	}
	if (i == pool->nregions)
		pool->regions[pool->nregions++] = NULL;
	*region = i;
	return 0;
}

/*
 * A page of the size of a slab, which devices map as one piece. Only of those that the administrator set aside. That
 * there is one is not yet a promise (of a control group, or of this memory node): what cannot be had now would be a
 * signal later.
 */
static unsigned char *slab_map_huge(void)
{
	unsigned char *map = mmap(NULL, SLAB_BYTES, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | POOL_MAX_SHIFT << MAP_HUGE_SHIFT, -1, 0);

	if (map == MAP_FAILED)
		return NULL;
	if (madvise(map, SLAB_BYTES, MADV_POPULATE_WRITE) == 0)
		return map;
	munmap(map, SLAB_BYTES);
	return NULL;
}

/* mmap() aligns to pages only: map twice as much and give back what is around the aligned part. */
static unsigned char *slab_map_small(void)
{
	unsigned char *map = mmap(NULL, 2 * SLAB_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t head;

	if (map == MAP_FAILED)
		return NULL;
	head = (SLAB_BYTES - ((uintptr_t)map & (SLAB_BYTES - 1))) & (SLAB_BYTES - 1);
	if (head)
		munmap(map, head);
	munmap(map + head + SLAB_BYTES, SLAB_BYTES - head);
	return map + head;
}

static unsigned char *slab_map(struct nvmft_poll_group *group)
{
	struct pool *pool = &group->pool;
	unsigned char *map = slab_map_huge();
	enum pool_pages pages = map ? POOL_PAGES_HUGE : POOL_PAGES_SMALL;

	if (!map)
		map = slab_map_small();
	if (map && pages != pool->pages) {
		nvmft_log(group->target, NVMFT_LOG_DEBUG, "data memory: %s",
			  pages == POOL_PAGES_HUGE ? "huge pages" : "no free huge pages");
		pool->pages = pages;
	}
	return map;
}

static struct nvmft_region slab_region(const struct pool_slab *slab)
{
	return (struct nvmft_region){slab->base, SLAB_BYTES, slab->region};
}

int nvmft_pool_each_region(struct nvmft_poll_group *group, int (*fn)(void *ctx, const struct nvmft_region *region),
			   void *ctx)
{
	struct pool *pool = &group->pool;
	uint32_t i;
	int ret = 0;

	for (i = 0; i < pool->nregions && !ret; i++) {
		struct nvmft_region region;

		if (!pool->regions[i])
			continue;
		region = slab_region(pool->regions[i]);
		ret = fn(ctx, &region);
	}
	return ret;
}

/* More memory: once per 2 MiB of I/O in flight that the group never had before, not per command. */
static struct pool_slab *slab_create(struct nvmft_poll_group *group, uint32_t class)
{
	struct pool *pool = &group->pool;
	struct pool_slab *slab = malloc(sizeof(*slab));
	struct nvmft_region region;

	if (!slab)
		return NULL;
	if (pool_region(pool, &slab->region))
		goto out_free;
	slab->base = slab_map(group);
	if (!slab->base)
		goto out_free;
	region = slab_region(slab);
	if (nvmft_channels_region_add(group, &region))
		goto out_unmap;
	if (nvmft_transports_region_add(group, &region))
		goto out_remove;
	slab_cut(pool, slab, class);
	pool->regions[slab->region] = slab;
	pool->nempty++;
	counter_add(&group->counters.pool_bytes, SLAB_BYTES);
	return slab;

out_remove:
	nvmft_channels_region_remove(group, &region);
out_unmap:
	munmap(slab->base, SLAB_BYTES);
out_free:
	free(slab);
	return NULL;
}

static void slab_destroy(struct nvmft_poll_group *group, struct pool_slab *slab)
{
	struct nvmft_region region = slab_region(slab);

	nvmft_transports_region_remove(group, &region);
	nvmft_channels_region_remove(group, &region);
	LIST_REMOVE(slab, link);
	group->pool.nempty--;
	group->pool.regions[slab->region] = NULL;
	munmap(slab->base, SLAB_BYTES);
	free(slab);
	counter_add(&group->counters.pool_bytes, -(uint64_t)SLAB_BYTES);
}

/* No slab of the class has a free piece: cut an empty one of another class, or make one. */
static struct pool_slab *pool_slab_more(struct nvmft_poll_group *group, uint32_t class)
{
	struct pool *pool = &group->pool;
	struct pool_slab *slab = pool_find_empty(pool);

	if (!slab)
		return slab_create(group, class);
	LIST_REMOVE(slab, link);
	slab_cut(pool, slab, class);
	return slab;
}

static inline void slab_take(struct nvmft_poll_group *group, struct pool_slab *slab, size_t len, struct nvmft_iov *iov)
{
	struct pool *pool = &group->pool;

	if (slab_empty(slab) && --pool->nempty < pool->low_empty)
		pool->low_empty = pool->nempty;
	slab->nfree--;
	if (unlikely(slab->nfree == 0))
		LIST_REMOVE(slab, link);
	iov->base = slab->base + ((size_t)slab->free[slab->nfree] << slab->shift);
	iov->len = (uint32_t)len;
	iov->region = slab->region;
	pool->handed_out += slab->bytes;
}

static int pool_take(struct nvmft_poll_group *group, size_t len, struct nvmft_iov *iov)
{
	uint32_t class = class_of(len);
	struct pool_slab *slab = LIST_FIRST(&group->pool.partial[class]);

	if (unlikely(!slab)) {
		slab = pool_slab_more(group, class);
		if (!slab)
			return -ENOMEM;
	}
	slab_take(group, slab, len, iov);
	return 0;
}

static bool pool_full(const struct pool *pool, size_t len)
{
	/* One buffer is always granted: a limit below a command's size must not stop it for ever. */
	return pool->used && pool->used + ((uint64_t)1 << (POOL_MIN_SHIFT + class_of(len))) > pool->limit;
}

void nvmft_pool_adopt(struct nvmft_poll_group *group, const struct nvmft_iov *iov)
{
	group->pool.used += group->pool.regions[iov->region]->bytes;
}

static rarely int pool_take_more(struct nvmft_poll_group *group, size_t len, struct nvmft_iov *iov)
{
	int ret = pool_take(group, len, iov);

	if (!ret)
		nvmft_pool_adopt(group, iov);
	return ret;
}

int nvmft_pool_take(struct nvmft_poll_group *group, size_t len, struct nvmft_iov *iov)
{
	struct pool *pool = &group->pool;
	struct pool_slab *slab;

	assert(len && len <= SLAB_BYTES);
	slab = LIST_FIRST(&pool->partial[class_of(len)]);
	if (unlikely(!slab))
		return pool_take_more(group, len, iov);
	slab_take(group, slab, len, iov);
	pool->used += slab->bytes;
	return 0;
}

int nvmft_pool_get(struct nvmft_poll_group *group, size_t len, bool privileged, struct nvmft_iov *iov)
{
	if (!privileged && pool_full(&group->pool, len))
		return -EAGAIN;
	return nvmft_pool_take(group, len, iov);
}

/*
 * What transports receive into is not counted against the limit, or it would be taken from I/O for good: only they know
 * when it is not needed.
 */
int nvmft_buffer_get(struct nvmft_poll_group *group, size_t len, bool beyond, struct nvmft_iov *iov)
{
	assert(len && len <= SLAB_BYTES);
	if (!beyond && pool_full(&group->pool, len))
		return -EAGAIN;
	return pool_take(group, len, iov);
}

static rarely void pool_trim_later(struct pool *pool)
{
	pool->low_empty = pool->nempty;
	nvmft_timer_arm(pool->group, &pool->trim, POOL_TRIM_NS, POOL_TRIM_NS);
}

static inline void slab_put(struct pool *pool, struct pool_slab *slab, const struct nvmft_iov *iov)
{
	if (unlikely(slab->nfree == 0))
		LIST_INSERT_HEAD(&pool->partial[slab->class], slab, link);
	slab->free[slab->nfree++] = (uint16_t)((size_t)((unsigned char *)iov->base - slab->base) >> slab->shift);
	pool->handed_out -= slab->bytes;
	if (slab_empty(slab) && ++pool->nempty > POOL_KEEP_EMPTY && !pool->trim.armed)
		pool_trim_later(pool);
}

void nvmft_pool_put(struct nvmft_poll_group *group, const struct nvmft_iov *iov)
{
	struct pool_slab *slab = group->pool.regions[iov->region];

	group->pool.used -= slab->bytes;
	slab_put(&group->pool, slab, iov);
}

void nvmft_buffer_put(struct nvmft_poll_group *group, const struct nvmft_iov *iov)
{
	slab_put(&group->pool, group->pool.regions[iov->region], iov);
}

/* What was empty all the time since the last look is not needed. */
static void pool_trim(struct nvmft_timer *timer)
{
	struct pool *pool = container_of(timer, struct pool, trim);
	uint32_t n = pool->low_empty > POOL_KEEP_EMPTY ? pool->low_empty - POOL_KEEP_EMPTY : 0;

	while (n--)
		slab_destroy(pool->group, pool_find_empty(pool));
	pool->low_empty = pool->nempty;
	if (pool->nempty > POOL_KEEP_EMPTY)
		nvmft_timer_arm(pool->group, timer, POOL_TRIM_NS, POOL_TRIM_NS);
}

void nvmft_pool_init(struct nvmft_poll_group *group, uint64_t limit)
{
	struct pool *pool = &group->pool;
	uint32_t i;

	memset(pool, 0, sizeof(*pool));
	for (i = 0; i < POOL_CLASSES; i++)
		LIST_INIT(&pool->partial[i]);
	pool->limit = limit;
	pool->trim.fn = pool_trim;
	pool->group = group;
}

void nvmft_pool_fini(struct nvmft_poll_group *group)
{
	struct pool *pool = &group->pool;
	struct pool_slab *slab;

	nvmft_timer_cancel(group, &pool->trim);
	while ((slab = pool_find_empty(pool)))
		slab_destroy(group, slab);
	assert(pool->used == 0);
	free(pool->regions);
	pool->regions = NULL;
}
