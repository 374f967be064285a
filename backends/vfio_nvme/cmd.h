/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_VFIO_NVME_CMD_H
#define NVMFT_BACKENDS_VFIO_NVME_CMD_H

#include <sys/queue.h>

#include <nvmft/provider/backend.h>

#include "sgl.h"

#define OPC_WRITE 0x01u
#define OPC_READ 0x02u
#define OPC_COMPARE 0x05u

/* I/O commands that NVMFT_IO_COMMAND can bring */
#define OPC_WRITE_UNCORRECTABLE 0x04u
#define OPC_VERIFY 0x0cu
#define OPC_RESV_REGISTER 0x0du
#define OPC_RESV_REPORT 0x0eu
#define OPC_RESV_ACQUIRE 0x11u
#define OPC_RESV_RELEASE 0x15u
#define OPC_COPY 0x19u
#define OPC_ZONE_MGMT_SEND 0x79u
#define OPC_ZONE_MGMT_RECEIVE 0x7au
#define OPC_ZONE_APPEND 0x7du

#define CDW12_FUA (1u << 30)

#define CSI_NVM 0u
#define CSI_ZONED 2u

/* NLB has 16 bits. */
#define MAX_NLB 65536u

/* struct cmd_limits - most blocks of one command */
struct cmd_limits {
	uint32_t data;
	uint32_t zeroes;
	uint32_t deallocate;
	uint32_t verify;
	uint32_t uncorrectable;
};

/*
 * struct vfio_format - what the I/O path has to know of a namespace
 * @shift: block size
 * @csi: command set
 * @pi_type: protection information, 0 for none. Hosts do not see it: the device makes, checks and strips it (PRACT).
 * @ref_bits: so many low bits of the LBA go into the initial reference tag, above them is the storage tag, always 0
 * @meta: bytes of metadata per block that the device moves by a pointer of their own; 0 also where it strips them
 * @zeroes, @sink: where it reads those of writes, zeroes, and writes those of reads, which nobody looks at: hence all
 *       commands share them
 * @can_dealloc_zeroes: Write Zeroes may deallocate
 */
struct vfio_format {
	uint8_t shift;
	uint8_t csi;
	uint8_t pi_type;
	uint8_t ref_bits;
	bool can_dealloc_zeroes;
	enum sgl_support sgl;
	uint16_t meta;
	uint64_t zeroes, sink;
	struct cmd_limits limits;
};

struct pass;

/*
 * struct vio - an I/O, done with one command or several in turn
 * @lba, @total, @sent, @part: in blocks: where, all, done or in the device, most of one command. What has no blocks has
 *       a total of 1.
 * @in_order: one command after the other: a zone is written from its write pointer on
 * @open: commands in the device
 * @queued: in pair->waiting, as not all of it was sent; else @link may be in a list of its channel
 * @pass: an admin command's way to the controller's thread and back
 */
struct vio {
	TAILQ_ENTRY(vio) link;
	struct nvmft_io *io;
	struct pass *pass;
	uint64_t lba;
	uint32_t total;
	uint32_t sent;
	uint32_t part;
	uint16_t open;
	nvmft_status status;
	bool queued;
	bool in_order;
};

/* Sets what a vio says of the blocks. */
void nvmft_cmd_begin(struct vio *vio, const struct vfio_format *format);

/* The command for the next @blocks of @vio, into a zeroed @sqe, all but NSID and CID. Return: 0; -errno: cannot be
 * told. */
int nvmft_cmd_build(const struct vio *vio, const struct vfio_format *format, const struct dptr_place *place,
		    uint32_t blocks, struct nvmft_sqe *sqe);

/* Metadata and protection information of a command that moves data. Returns what CDW12 needs for it. */
uint32_t nvmft_cmd_protect(struct nvmft_sqe *sqe, const struct vfio_format *format, uint64_t lba, bool to_host);

static inline void cmd_set_range(struct nvmft_sqe *sqe, uint64_t lba, uint32_t cdw12)
{
	sqe->cdw10 = htole32((uint32_t)lba);
	sqe->cdw11 = htole32((uint32_t)(lba >> 32));
	sqe->cdw12 = htole32(cdw12);
}

/* All of a Read, Write or Compare but its data pointer. */
static inline void cmd_set_rw(const struct vio *vio, const struct vfio_format *format, uint32_t blocks,
			      struct nvmft_sqe *sqe)
{
	enum nvmft_io_op op = vio->io->op;
	uint64_t lba = vio->lba + vio->sent;
	uint32_t cdw12 = blocks - 1;

	sqe->opcode = op == NVMFT_IO_READ ? OPC_READ : op == NVMFT_IO_WRITE ? OPC_WRITE : OPC_COMPARE;
	if (vio->io->flags & NVMFT_IO_FUA)
		cdw12 |= CDW12_FUA;
	if (format->pi_type | format->meta)
		cdw12 |= nvmft_cmd_protect(sqe, format, lba, op == NVMFT_IO_READ);
	cmd_set_range(sqe, lba, cdw12);
}

/* What nvmft_cmd_build() does for nearly all I/O, without a call. False: it has to do it. */
static inline bool cmd_build_one(const struct vio *vio, const struct vfio_format *format,
				 const struct vfio_region *regions, uint32_t nregions, uint32_t blocks,
				 struct nvmft_sqe *sqe)
{
	const struct nvmft_io *io = vio->io;

	if (io->op > NVMFT_IO_WRITE || !io->iovcnt ||
	    !dptr_set_one(sqe, regions, nregions, format->sgl, io->iov, (uint64_t)vio->sent << format->shift,
			  (uint64_t)blocks << format->shift))
		return false;
	cmd_set_rw(vio, format, blocks, sqe);
	return true;
}

#endif
