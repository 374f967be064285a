/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dwords of commands. Hosts know nothing of metadata and protection information, so what concerns them is put in
 * here.
 */
#include <endian.h>
#include <string.h>

#include "ng.h"

/* PRINFO of most commands, and of what Copy reads (PRINFOR). */
#define PRACT (1u << 29)
#define PRCHK_GUARD (1u << 28)
#define PRCHK_REF (1u << 26)
#define PRINFO_MASK (15u << 26)
#define STC (1u << 24)
#define PIREMAP (1u << 25)
#define COPY_READ_PRACT (1u << 15)
#define COPY_READ_GUARD (1u << 14)
#define COPY_READ_MASK (15u << 12)
#define COPY_READ_STC (1u << 25)

#define NLB_MASK 0xffffu

_Static_assert(sizeof(struct nvme_uring_cmd) <= 80, "fits into the long entry");

struct nvme_uring_cmd *nvmft_ng_cmd(const struct ng_backend *ng, struct io_uring_sqe *sqe, uint8_t opcode)
{
	struct nvme_uring_cmd *cmd = (struct nvme_uring_cmd *)(void *)sqe->cmd;

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = ng->fd;
	sqe->cmd_op = NVME_URING_CMD_IO;
	cmd->opcode = opcode;
	cmd->nsid = ng->nsid;
	return cmd;
}

/* ---- protection information ---- */

/* In type 3 the reference tag has no meaning; a tag of no bits cannot be checked either. */
static bool has_ref(const struct ssd_pi *pi)
{
	return pi->type != 3 && pi->ref_bits;
}

static uint32_t checks(const struct ssd_pi *pi)
{
	return has_ref(pi) ? PRCHK_GUARD | PRCHK_REF : PRCHK_GUARD;
}

/* Initial reference tag: the LBA, in the low bits of a field that begins with a storage tag of zeroes. */
static void set_tags(const struct ssd_pi *pi, struct nvme_uring_cmd *cmd, uint64_t lba)
{
	uint64_t mask = pi->ref_bits < 64 ? ((uint64_t)1 << pi->ref_bits) - 1 : UINT64_MAX;
	uint64_t tag = has_ref(pi) ? lba & mask : 0;

	cmd->cdw2 = 0;
	cmd->cdw3 = (uint32_t)(tag >> 32);
	cmd->cdw14 = (uint32_t)tag;
	cmd->cdw15 = 0;
}

static uint64_t lba_of(const struct nvme_uring_cmd *cmd)
{
	return (uint64_t)cmd->cdw11 << 32 | cmd->cdw10;
}

/* Both halves let the device do it: what is read is checked by its guard, for the tags of each range are the host's. */
static void protect_copy(const struct ssd_pi *pi, struct nvme_uring_cmd *cmd)
{
	cmd->cdw12 &= ~(PRINFO_MASK | COPY_READ_MASK | STC | COPY_READ_STC);
	cmd->cdw12 |= PRACT | COPY_READ_PRACT | COPY_READ_GUARD;
	set_tags(pi, cmd, lba_of(cmd));
}

/* Type 1 is remapped to where the data goes, types 2 and 3 need not be. */
static void protect_append(const struct ssd_pi *pi, struct nvme_uring_cmd *cmd)
{
	cmd->cdw12 &= ~(PRINFO_MASK | STC | PIREMAP);
	cmd->cdw12 |= PRACT | checks(pi);
	if (has_ref(pi))
		cmd->cdw12 |= PIREMAP;
	set_tags(pi, cmd, lba_of(cmd));
}

static void protect(const struct ssd_pi *pi, struct nvme_uring_cmd *cmd)
{
	switch (cmd->opcode) {
	case NG_OPC_READ:
	case NG_OPC_WRITE:
		cmd->cdw12 |= PRACT | checks(pi);
		break;
	case NG_OPC_WRITE_ZEROES: /* has nothing to check */
		cmd->cdw12 |= PRACT;
		break;
	case NG_OPC_VERIFY:
		cmd->cdw12 = (cmd->cdw12 & ~(PRINFO_MASK | STC)) | checks(pi);
		break;
	case NG_OPC_ZONE_APPEND:
		protect_append(pi, cmd);
		return;
	case NG_OPC_COPY:
		protect_copy(pi, cmd);
		return;
	default:
		return;
	}
	set_tags(pi, cmd, lba_of(cmd));
}

/* ---- metadata ---- */

/* All commands write the same zeroes, and nobody looks at what they read. */
static void set_metadata(const struct ng_backend *ng, struct nvme_uring_cmd *cmd)
{
	uint32_t blocks = (cmd->cdw12 & NLB_MASK) + 1;

	if (cmd->opcode == NG_OPC_READ)
		cmd->metadata = (uintptr_t)ng->waste;
	else if (cmd->opcode == NG_OPC_WRITE || cmd->opcode == NG_OPC_ZONE_APPEND)
		cmd->metadata = (uintptr_t)ng->zeroes;
	else
		return;
	cmd->metadata_len = blocks * ng->facts.metadata;
}

static void hide(const struct ng_backend *ng, struct nvme_uring_cmd *cmd)
{
	if (ng->facts.pi.type)
		protect(&ng->facts.pi, cmd);
	if (ng->facts.metadata)
		set_metadata(ng, cmd);
}

void nvmft_ng_cmd_range(const struct ng_backend *ng, struct nvme_uring_cmd *cmd, uint64_t lba, uint32_t blocks)
{
	cmd->cdw10 = (uint32_t)lba;
	cmd->cdw11 = (uint32_t)(lba >> 32);
	cmd->cdw12 |= blocks - 1;
	hide(ng, cmd);
}

void nvmft_ng_cmd_host(const struct ng_backend *ng, struct nvme_uring_cmd *cmd, const struct nvmft_sqe *host,
		       bool admin)
{
	cmd->cdw2 = le32toh(host->cdw2);
	cmd->cdw3 = le32toh(host->cdw3);
	cmd->cdw10 = le32toh(host->cdw10);
	cmd->cdw11 = le32toh(host->cdw11);
	cmd->cdw12 = le32toh(host->cdw12);
	cmd->cdw13 = le32toh(host->cdw13);
	cmd->cdw14 = le32toh(host->cdw14);
	cmd->cdw15 = le32toh(host->cdw15);
	if (!admin)
		hide(ng, cmd);
	else if (host->opcode == SSD_ADMIN_FORMAT)
		cmd->cdw10 = nvmft_ssd_device_format(&ng->facts, cmd->cdw10);
}
