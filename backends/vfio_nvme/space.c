/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is mapped in an address space, and where there is room. Devices that see the same space share mappings: the
 * memory is locked, counted and entered in page tables once, however many devices and poll groups ask for it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "iommu.h"

#define PAGE UINT64_C(4096)
/* So that the IOMMU can use its large pages where the memory has some. */
#define LARGE_PAGE (UINT64_C(2) << 20)

static uint64_t align_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) & ~(align - 1);
}

void nvmft_space_range(struct space *space, uint64_t first, uint64_t last)
{
	if (first < IOVA_FIRST && last > IOVA_FIRST)
		first = IOVA_FIRST;
	/* 0 looks like no address to too many. */
	first = first < PAGE ? PAGE : first;
	if (first > last || (space->last > space->first && last - first < space->last - space->first))
		return;
	space->first = first;
	space->last = last;
}

/*
 * Where @len bytes fit, and before which mapping. The range may have changed with a device that came: mappings may lie
 * outside. False: nowhere.
 */
static bool find_gap(const struct space *space, uint64_t len, uint64_t *iova, size_t *before)
{
	uint64_t align = len >= LARGE_PAGE ? LARGE_PAGE : PAGE;
	uint64_t at = align_up(space->first, align);
	size_t i;

	for (i = 0; i < space->nmaps; i++) {
		const struct mapping *m = &space->maps[i];

		if (at < m->iova && m->iova - at >= len)
			break;
		if (m->iova + m->len > at)
			at = align_up(m->iova + m->len, align);
	}
	*iova = at;
	*before = i;
	return at >= space->first && at <= space->last && space->last - at >= len - 1;
}

static int make_room(struct space *space)
{
	size_t cap = space->cap ? space->cap * 2 : 64;
	struct mapping *maps;

	if (space->nmaps < space->cap)
		return 0;
	maps = realloc(space->maps, cap * sizeof(*maps));
	if (!maps)
		return -ENOMEM;
	space->maps = maps;
	space->cap = cap;
	return 0;
}

static struct mapping *find_memory(const struct space *space, const void *base, size_t len)
{
	for (size_t i = 0; i < space->nmaps; i++) {
		if (space->maps[i].base == base && space->maps[i].len == len)
			return &space->maps[i];
	}
	return NULL;
}

static void complain_memlock(const struct space *space, const struct vfio *vfio, size_t len)
{
	struct rlimit limit = {0};

	getrlimit(RLIMIT_MEMLOCK, &limit);
	nvmft_vfio_complain(vfio, -ENOMEM,
			    "%zu more bytes cannot be locked in memory for devices, which have %" PRIu64
			    "; RLIMIT_MEMLOCK is %" PRIu64 " bytes (ulimit -l, LimitMEMLOCK= of systemd)",
			    len, space->locked, (uint64_t)limit.rlim_cur);
}

/* Once, until it works: the core tries again with every command that has to wait for memory. */
static int refuse(struct space *space, const struct vfio *vfio, int err, size_t len)
{
	if (space->reported)
		return err;
	space->reported = len;
	/* Locked memory is what these calls fail for first, and their error does not say so. */
	if (err == -ENOMEM)
		complain_memlock(space, vfio, len);
	else if (err == -ENOSPC)
		nvmft_vfio_complain(vfio, err,
				    "no room for %zu more bytes in %zu mappings: of the IOMMU's addresses, or by "
				    "dma_entry_limit of vfio_iommu_type1",
				    len, space->nmaps);
	else
		nvmft_vfio_complain(vfio, err, "mapping %zu bytes: %s", len, strerrordesc_np(-err));
	return err;
}

static int add(struct space *space, void *base, size_t len, uint64_t *iova)
{
	size_t before;
	int err = make_room(space);

	if (err)
		return err;
	if (!find_gap(space, len, iova, &before))
		return -ENOSPC;
	err = space->ops->map(space, base, len, *iova);
	if (err < 0)
		return err;
	memmove(&space->maps[before + 1], &space->maps[before], (space->nmaps - before) * sizeof(*space->maps));
	space->maps[before] = (struct mapping){.base = base, .len = len, .iova = *iova, .refs = 1};
	space->nmaps++;
	space->locked += len;
	return 0;
}

int nvmft_space_map(struct space *space, const struct vfio *vfio, void *base, size_t len, uint64_t *iova)
{
	struct mapping *m = find_memory(space, base, len);
	int err;

	if (m) {
		m->refs++;
		*iova = m->iova;
		return 0;
	}
	err = add(space, base, len, iova);
	if (err)
		return refuse(space, vfio, err, len);
	if (len >= space->reported)
		space->reported = 0;
	return 0;
}

static int compare(const void *key, const void *mapping)
{
	uint64_t iova = *(const uint64_t *)key, at = ((const struct mapping *)mapping)->iova;

	return iova < at ? -1 : iova > at;
}

void nvmft_space_unmap(struct space *space, uint64_t iova)
{
	struct mapping *m = NULL;
	size_t i;

	if (space->nmaps)
		m = bsearch(&iova, space->maps, space->nmaps, sizeof(*m), compare);
	if (!m || --m->refs)
		return;
	space->locked -= m->len;
	if (space->ops->unmap(space, iova, (size_t)m->len) < 0) {
		/* The kernel still has it: neither the address nor, for other contents of it, the memory is used again.
		 */
		m->base = NULL;
		return;
	}
	i = (size_t)(m - space->maps);
	space->nmaps--;
	memmove(m, m + 1, (space->nmaps - i) * sizeof(*m));
}
