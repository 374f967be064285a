/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands for the device: what an I/O becomes.
 */
#include <errno.h>
#include <string.h>

#include <nvme/types.h>

#include "vfio_nvme.h"

#define CDW12_PRACT (1u << 29)
#define CDW12_CHECK_GUARD (1u << 28)
#define CDW12_CHECK_REF (1u << 26)
#define CDW12_DEAC (1u << 25)  /* Write Zeroes */
#define CDW12_REMAP (1u << 25) /* Zone Append: the device adds its place in the zone to the reference tag */
#define CDW12_NLB 0xffffu
#define CDW12_NOT_PI 0xc0f0ffffu
#define CDW13_PARTIAL (1u << 16) /* Zone Management Receive */
#define DSM_DEALLOCATE 4u

/* ---- begin ---- */

static uint64_t sqe_lba(const struct nvmft_sqe *sqe)
{
	return le32toh(sqe->cdw10) | (uint64_t)le32toh(sqe->cdw11) << 32;
}

static uint32_t sqe_blocks(const struct nvmft_sqe *sqe)
{
	return (le32toh(sqe->cdw12) & CDW12_NLB) + 1;
}

/* Two of the host's commands are as long as it likes, and as divisible as a write. */
static void begin_command(struct vio *vio, const struct vfio_format *format)
{
	const struct nvmft_sqe *sqe = vio->io->sqe;

	vio->part = vio->total = 1;
	if (sqe->opcode != OPC_VERIFY && sqe->opcode != OPC_WRITE_UNCORRECTABLE)
		return;
	vio->lba = sqe_lba(sqe);
	vio->total = sqe_blocks(sqe);
	vio->part = sqe->opcode == OPC_VERIFY ? format->limits.verify : format->limits.uncorrectable;
}

void nvmft_cmd_begin(struct vio *vio, const struct vfio_format *format)
{
	const struct nvmft_io *io = vio->io;

	vio->lba = io->lba;
	vio->total = io->blocks;
	vio->part = format->limits.data;
	switch (io->op) {
	case NVMFT_IO_WRITE:
		vio->in_order = format->csi == CSI_ZONED;
		break;
	case NVMFT_IO_WRITE_ZEROES:
		vio->part = format->limits.zeroes;
		vio->in_order = format->csi == CSI_ZONED;
		break;
	case NVMFT_IO_DEALLOCATE:
		vio->part = format->limits.deallocate;
		break;
	case NVMFT_IO_FLUSH:
		vio->part = vio->total = 1;
		break;
	case NVMFT_IO_COMMAND:
		begin_command(vio, format);
		break;
	case NVMFT_IO_READ:
	case NVMFT_IO_COMPARE:
		break;
	}
}

/* ---- metadata and protection information ---- */

/*
 * Initial storage and reference tag (NVM Command Set 1.0, 5.2.1.4): together they have as many bits as the format
 * says, the lowest 32 in CDW14, the others in CDW3 and CDW2. Type 3 gives the tags no meaning.
 */
static void set_tags(struct nvmft_sqe *sqe, const struct vfio_format *format, uint64_t lba)
{
	uint64_t ref = format->ref_bits < 64 ? lba & ((UINT64_C(1) << format->ref_bits) - 1) : lba;

	if (format->pi_type == 3)
		return;
	sqe->cdw14 = htole32((uint32_t)ref);
	sqe->cdw3 = htole32((uint32_t)(ref >> 32));
}

static uint32_t checks(const struct vfio_format *format)
{
	bool ref = format->pi_type != 3 && format->ref_bits;

	return format->pi_type ? CDW12_CHECK_GUARD | (ref ? CDW12_CHECK_REF : 0) : 0;
}

uint32_t nvmft_cmd_protect(struct nvmft_sqe *sqe, const struct vfio_format *format, uint64_t lba, bool to_host)
{
	if (format->meta)
		sqe->mptr = htole64(to_host ? format->sink : format->zeroes);
	if (!format->pi_type)
		return 0;
	set_tags(sqe, format, lba);
	return CDW12_PRACT | checks(format);
}

/* ---- build ---- */

static int build_rw(const struct vio *vio, const struct vfio_format *format, const struct dptr_place *place,
		    uint32_t blocks, struct nvmft_sqe *sqe)
{
	cmd_set_rw(vio, format, blocks, sqe);
	return nvmft_dptr_set(sqe, place, vio->io->iov, vio->io->iovcnt, (uint64_t)vio->sent << format->shift,
			      (uint64_t)blocks << format->shift);
}

/* PRACT: the device makes protection information for zeroes. It takes no checks with it, there being nothing to check.
 */
static int build_zeroes(const struct vio *vio, const struct vfio_format *format, uint32_t blocks, struct nvmft_sqe *sqe)
{
	uint64_t lba = vio->lba + vio->sent;
	uint32_t cdw12 = blocks - 1;

	if (vio->io->flags & NVMFT_IO_FUA)
		cdw12 |= CDW12_FUA;
	if (vio->io->flags & NVMFT_IO_DEALLOC_OK && format->can_dealloc_zeroes)
		cdw12 |= CDW12_DEAC;
	if (format->pi_type) {
		set_tags(sqe, format, lba);
		cdw12 |= CDW12_PRACT;
	}
	cmd_set_range(sqe, lba, cdw12);
	return 0;
}

/* The range goes where another command has its list. */
static int build_deallocate(const struct vio *vio, const struct dptr_place *place, uint32_t blocks,
			    struct nvmft_sqe *sqe)
{
	struct nvme_dsm_range range = {.nlb = htole32(blocks), .slba = htole64(vio->lba + vio->sent)};
	uint64_t prp1 = htole64(place->list_iova);

	memcpy(place->list, &range, sizeof(range));
	memcpy(sqe->dptr, &prp1, sizeof(prp1));
	sqe->cdw11 = htole32(DSM_DEALLOCATE);
	return 0;
}

/* What a host that sees no protection information says of it nevertheless. */
static void forget_protection(struct nvmft_sqe *sqe, const struct vfio_format *format)
{
	if (!format->pi_type)
		return;
	sqe->cdw12 &= htole32(CDW12_NOT_PI);
	sqe->cdw2 = sqe->cdw3 = sqe->cdw14 = sqe->cdw15 = 0;
}

/* Part of a command that the host wants for a range. */
static int build_part(const struct vio *vio, const struct vfio_format *format, uint32_t blocks, struct nvmft_sqe *sqe)
{
	uint64_t lba = vio->lba + vio->sent;

	forget_protection(sqe, format);
	cmd_set_range(sqe, lba, (le32toh(sqe->cdw12) & ~CDW12_NLB) | (blocks - 1));
	if (sqe->opcode == OPC_VERIFY && format->pi_type) {
		set_tags(sqe, format, lba);
		sqe->cdw12 |= htole32(checks(format));
	}
	return 0;
}

static int build_append(struct nvmft_sqe *sqe, const struct vfio_format *format)
{
	uint32_t cdw12;

	forget_protection(sqe, format);
	cdw12 = nvmft_cmd_protect(sqe, format, sqe_lba(sqe), false);
	/* More has no room among the zeroes. */
	if (format->meta && sqe_blocks(sqe) > format->limits.data)
		return -EINVAL;
	if (format->pi_type == 1 || format->pi_type == 2)
		cdw12 |= CDW12_REMAP;
	sqe->cdw12 |= htole32(cdw12);
	return 0;
}

static void zero_behind(const struct nvmft_io *io, uint64_t skip)
{
	for (uint32_t i = 0; i < io->iovcnt; i++) {
		const struct nvmft_iov *iov = &io->iov[i];

		if (skip < iov->len)
			memset((uint8_t *)iov->base + skip, 0, iov->len - skip);
		skip -= skip < iov->len ? skip : iov->len;
	}
}

/*
 * A report of zones may be longer than the device transfers at once, as hosts ask for as much as the target lets them.
 * A partial one says how many zones are in it, so that it can be shorter; with the rest of the buffer cleared, which is
 * not the host's yet.
 */
static uint64_t shorten_report(const struct nvmft_io *io, const struct vfio_format *format, struct nvmft_sqe *sqe,
			       uint64_t len)
{
	uint64_t most = (uint64_t)format->limits.data << format->shift;

	if (sqe->opcode != OPC_ZONE_MGMT_RECEIVE || len <= most || !(le32toh(sqe->cdw13) & CDW13_PARTIAL))
		return len;
	sqe->cdw12 = htole32((uint32_t)(most / sizeof(uint32_t)) - 1);
	zero_behind(io, most);
	return most;
}

static int build_command(const struct vio *vio, const struct vfio_format *format, const struct dptr_place *place,
			 uint32_t blocks, struct nvmft_sqe *sqe)
{
	const struct nvmft_sqe *from = vio->io->sqe;
	uint64_t len = 0;
	int err = 0;

	sqe->opcode = from->opcode;
	sqe->cdw2 = from->cdw2;
	sqe->cdw3 = from->cdw3;
	memcpy(&sqe->cdw10, &from->cdw10, 6 * sizeof(sqe->cdw10));
	if (from->opcode == OPC_VERIFY || from->opcode == OPC_WRITE_UNCORRECTABLE)
		return build_part(vio, format, blocks, sqe);
	if (from->opcode == OPC_ZONE_APPEND)
		err = build_append(sqe, format);
	for (uint32_t i = 0; i < vio->io->iovcnt; i++)
		len += vio->io->iov[i].len;
	len = shorten_report(vio->io, format, sqe, len);
	return !err && len ? nvmft_dptr_set(sqe, place, vio->io->iov, vio->io->iovcnt, 0, len) : err;
}

int nvmft_cmd_build(const struct vio *vio, const struct vfio_format *format, const struct dptr_place *place,
		    uint32_t blocks, struct nvmft_sqe *sqe)
{
	switch (vio->io->op) {
	case NVMFT_IO_READ:
	case NVMFT_IO_WRITE:
	case NVMFT_IO_COMPARE:
		return build_rw(vio, format, place, blocks, sqe);
	case NVMFT_IO_FLUSH:
		sqe->opcode = nvme_cmd_flush;
		return 0;
	case NVMFT_IO_WRITE_ZEROES:
		sqe->opcode = nvme_cmd_write_zeroes;
		return build_zeroes(vio, format, blocks, sqe);
	case NVMFT_IO_DEALLOCATE:
		sqe->opcode = nvme_cmd_dsm;
		return build_deallocate(vio, place, blocks, sqe);
	case NVMFT_IO_COMMAND:
		return build_command(vio, format, place, blocks, sqe);
	}
	return -EINVAL;
}
