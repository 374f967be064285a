/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data pointers: PRPs or SGLs?
 *
 * A buffer in one piece is the rule, as the core's pool hands out such. Up to two pages fit into the command either
 * way, at the same cost (59 instructions for 4 KiB by PRPs, 61 by an SGL), hence by PRPs, as every device knows these
 * best. Beyond, PRPs need a list of all pages, SGLs still one descriptor: for 128 KiB 1051 instructions against 70, and
 * the device has no list to fetch before the data. Several pieces are an SGL, if they are not too many.
 */
#include <endian.h>
#include <errno.h>

#include "sgl.h"

_Static_assert(sizeof(struct sgl_desc) == 16, "as on the wire");

/* struct pieces - buffers that a command has to be told of */
struct pieces {
	const struct dptr_place *place;
	const struct nvmft_iov *iov, *end;
	uint64_t skip, left;
};

/* The next one. Return: 1; 0 at the end; -EFAULT. */
static int next_piece(struct pieces *p, uint64_t *address, uint64_t *len)
{
	const struct vfio_region *region;

	if (!p->left)
		return 0;
	while (p->iov < p->end && p->skip >= p->iov->len)
		p->skip -= p->iov++->len;
	if (p->iov == p->end || p->iov->region >= p->place->nregions || !p->place->regions[p->iov->region].base)
		return -EFAULT;
	region = &p->place->regions[p->iov->region];
	*address = region_iova(region, p->iov->base) + p->skip;
	*len = p->iov->len - p->skip < p->left ? p->iov->len - p->skip : p->left;
	p->left -= *len;
	p->skip += *len;
	return 1;
}

static int put_prp_list(struct nvmft_sqe *sqe, struct pieces *p)
{
	uint64_t address, len;
	struct prp prp;
	int err;

	nvmft_prp_begin(&prp, p->place->list, p->place->list_iova);
	while ((err = next_piece(p, &address, &len)) > 0) {
		err = nvmft_prp_add(&prp, address, len);
		if (err)
			return err;
	}
	nvmft_prp_end(&prp);
	dptr_put_prps(sqe, prp.prp1, prp.prp2);
	return err;
}

static int put_sgl(struct nvmft_sqe *sqe, struct pieces *p)
{
	struct sgl_desc *list = p->place->list;
	uint64_t address, len, end = 0;
	uint32_t n = 0;
	int err;

	while ((err = next_piece(p, &address, &len)) > 0) {
		if (!sgl_takes(p->place->sgl, address, len))
			return -EINVAL;
		if (n && address == end) {
			list[n - 1].len = htole32(le32toh(list[n - 1].len) + (uint32_t)len);
		} else {
			if (n == SGL_LIST_ENTRIES)
				return -E2BIG;
			list[n++] = (struct sgl_desc){
				.address = htole64(address), .len = htole32((uint32_t)len), .type = SGL_DATA_BLOCK};
		}
		end = address + len;
	}
	if (n == 1)
		dptr_put_descriptor(sqe, le64toh(list[0].address), le32toh(list[0].len), SGL_DATA_BLOCK);
	else
		dptr_put_descriptor(sqe, p->place->list_iova, n * sizeof(*list), SGL_LAST_SEGMENT);
	return err;
}

/* In several pieces: SGLs can have them anywhere, PRPs can have more of them. */
static int put_pieces(struct nvmft_sqe *sqe, struct pieces p)
{
	struct pieces again = p;
	int err = p.place->sgl == SGL_NONE ? -EINVAL : put_sgl(sqe, &p);

	if (err != -EINVAL && err != -E2BIG)
		return err;
	return put_prp_list(sqe, &again);
}

int nvmft_dptr_set(struct nvmft_sqe *sqe, const struct dptr_place *place, const struct nvmft_iov *iov, uint32_t iovcnt,
		   uint64_t skip, uint64_t len)
{
	struct pieces p = {.place = place, .iov = iov, .end = iov + iovcnt, .skip = skip, .left = len};

	if (iovcnt && dptr_set_one(sqe, place->regions, place->nregions, place->sgl, iov, skip, len))
		return 0;
	return len > UINT32_MAX ? -E2BIG : put_pieces(sqe, p);
}
