/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands that backends may take as they are, and the number of bytes that each of them transfers.
 */
#include <errno.h>

#include "log.h"
#include "pass.h"

#define CSUPP NVME_CMD_EFFECTS_CSUPP
#define LBCC NVME_CMD_EFFECTS_LBCC
#define NCC NVME_CMD_EFFECTS_NCC
#define CSE_NS (1u << 16)  /* while no other command for the namespace is outstanding */
#define CSE_ALL (2u << 16) /* for any namespace */

/* ---- lengths ---- */

static uint32_t bits(uint32_t le_dword, unsigned int from, unsigned int n)
{
	return le32toh(le_dword) >> from & ((1u << n) - 1);
}

/* NUMD of 32 bits, 0-based. */
static uint64_t dwords(uint32_t le_numd)
{
	return ((uint64_t)le32toh(le_numd) + 1) * sizeof(uint32_t);
}

static uint64_t len_none(const struct nvmft_sqe *sqe, const struct nvmft_backend_info *info)
{
	(void)sqe;
	(void)info;
	return 0;
}

static uint64_t len_8(const struct nvmft_sqe *sqe, const struct nvmft_backend_info *info)
{
	(void)sqe;
	(void)info;
	return 8;
}

static uint64_t len_16(const struct nvmft_sqe *sqe, const struct nvmft_backend_info *info)
{
	(void)sqe;
	(void)info;
	return 16;
}

static uint64_t len_cdw10_dwords(const struct nvmft_sqe *sqe, const struct nvmft_backend_info *info)
{
	(void)info;
	return dwords(sqe->cdw10);
}

static uint64_t len_cdw12_dwords(const struct nvmft_sqe *sqe, const struct nvmft_backend_info *info)
{
	(void)info;
	return dwords(sqe->cdw12);
}

/*
 * Only descriptor format 0h: 1h is of blocks with protection information of 64 bits, which no namespace has here, and
 * 2h and 3h name other namespaces of the device, which are not the host's to read.
 */
static uint64_t len_copy(const struct nvmft_sqe *sqe, const struct nvmft_backend_info *info)
{
	(void)info;
	return bits(sqe->cdw12, 8, 4) == 0 ? (bits(sqe->cdw12, 0, 8) + 1) * 32 : PASS_BAD_LENGTH;
}

/* Zone Send Actions (ZNS 1.1, figure 38). */
enum { ZSA_CLOSE = 0x01, ZSA_OFFLINE = 0x05, ZSA_SET_EXTENSION = 0x10, ZSA_FLUSH_ZRWA = 0x11 };

static uint64_t len_zone_send(const struct nvmft_sqe *sqe, const struct nvmft_backend_info *info)
{
	uint32_t zsa = bits(sqe->cdw13, 0, 8);

	if ((zsa >= ZSA_CLOSE && zsa <= ZSA_OFFLINE) || zsa == ZSA_FLUSH_ZRWA)
		return 0;
	if (zsa == ZSA_SET_EXTENSION && info->zones.descriptor_extension)
		return info->zones.descriptor_extension * 64ull;
	return PASS_BAD_LENGTH;
}

static uint64_t len_zone_append(const struct nvmft_sqe *sqe, const struct nvmft_backend_info *info)
{
	uint64_t len = (uint64_t)(sqe_lo16(sqe->cdw12) + 1u) * info->block_size;
	uint8_t limit = info->zones.append_limit;

	/* Limits above this one are above MDTS, too. */
	return limit && limit < 32 && len > 4096ull << limit ? PASS_BAD_LENGTH : len;
}

/* DTYPE and DOPER of CDW11. NUMD means nothing where an operation has no data, of which the specification knows four.
 */
#define DIRECTIVE(dtype, doper) ((dtype) << 8 | (doper))

static uint64_t len_directive_send(const struct nvmft_sqe *sqe, const struct nvmft_backend_info *info)
{
	switch (bits(sqe->cdw11, 0, 16)) {
	case DIRECTIVE(0x00, 0x01): /* Identify: enable a directive */
	case DIRECTIVE(0x01, 0x01): /* Streams: release an identifier */
	case DIRECTIVE(0x01, 0x02): /* Streams: release resources */
		return 0;
	default:
		return len_cdw10_dwords(sqe, info);
	}
}

static uint64_t len_directive_receive(const struct nvmft_sqe *sqe, const struct nvmft_backend_info *info)
{
	/* Streams: allocate resources */
	return bits(sqe->cdw11, 0, 16) == DIRECTIVE(0x01, 0x03) ? 0 : len_cdw10_dwords(sqe, info);
}

static uint64_t len_security(const struct nvmft_sqe *sqe, const struct nvmft_backend_info *info)
{
	(void)info;
	return le32toh(sqe->cdw11);
}

/* NDT counts from 1 (Base 2.0, figure 88). NDM: metadata would go where nobody has said. */
static uint64_t len_vendor(const struct nvmft_sqe *sqe, const struct nvmft_backend_info *info)
{
	(void)info;
	if (sqe->cdw11)
		return PASS_BAD_LENGTH;
	return nvmft_pass_dir(sqe->opcode) ? (uint64_t)le32toh(sqe->cdw10) * sizeof(uint32_t) : 0;
}

static uint64_t len_log_page(const struct nvmft_sqe *sqe, const struct nvmft_backend_info *info)
{
	(void)info;
	return dwords(htole32((uint32_t)sqe_lo16(sqe->cdw11) << 16 | sqe_hi16(sqe->cdw10)));
}

/* ---- commands ---- */

static const struct pass_cmd io_cmds[] = {
	{NVMFT_CMD_WRITE_UNCORRECTABLE, .changes = true, .range = true, .effects = CSUPP | LBCC, .length = len_none},
	{NVMFT_CMD_VERIFY, .range = true, .effects = CSUPP, .length = len_none},
	{NVMFT_CMD_RESV_REGISTER, .effects = CSUPP, .length = len_16},
	{NVMFT_CMD_RESV_REPORT, .loc = SQE_LOC(cdw10), .effects = CSUPP, .length = len_cdw10_dwords},
	{NVMFT_CMD_RESV_ACQUIRE, .effects = CSUPP, .length = len_16},
	{NVMFT_CMD_RESV_RELEASE, .effects = CSUPP, .length = len_8},
	{NVMFT_CMD_COPY, .changes = true, .fua = true, .loc = SQE_LOC(cdw12), .effects = CSUPP | LBCC,
	 .length = len_copy},
	{NVMFT_CMD_ZONE_SEND, .changes = true, .loc = SQE_LOC(cdw13), .effects = CSUPP | LBCC, .length = len_zone_send},
	{NVMFT_CMD_ZONE_RECEIVE, .loc = SQE_LOC(cdw12), .effects = CSUPP, .length = len_cdw12_dwords},
	{NVMFT_CMD_ZONE_APPEND, .changes = true, .writes = true, .range = true, .fua = true, .loc = SQE_LOC(cdw12),
	 .effects = CSUPP | LBCC, .length = len_zone_append},
};

static const struct pass_cmd admin_cmds[] = {
	{NVMFT_ADMIN_GET_LOG_PAGE, .loc = SQE_LOC(cdw10), .effects = CSUPP, .length = len_log_page},
	{NVMFT_ADMIN_FIRMWARE_COMMIT, .effects = CSUPP, .length = len_none},
	{NVMFT_ADMIN_FIRMWARE_DOWNLOAD, .loc = SQE_LOC(cdw10), .effects = CSUPP, .length = len_cdw10_dwords},
	{NVMFT_ADMIN_SELF_TEST, .effects = CSUPP, .length = len_none},
	{NVMFT_ADMIN_DIRECTIVE_SEND, .loc = SQE_LOC(cdw10), .effects = CSUPP, .length = len_directive_send},
	{NVMFT_ADMIN_DIRECTIVE_RECEIVE, .loc = SQE_LOC(cdw10), .effects = CSUPP, .length = len_directive_receive},
	{NVMFT_ADMIN_FORMAT, .changes = true, .effects = CSUPP | LBCC | NCC | CSE_NS, .length = len_none},
	{NVMFT_ADMIN_SECURITY_SEND, .loc = SQE_LOC(cdw11), .effects = CSUPP, .length = len_security},
	{NVMFT_ADMIN_SECURITY_RECEIVE, .loc = SQE_LOC(cdw11), .effects = CSUPP, .length = len_security},
	{NVMFT_ADMIN_SANITIZE, .changes = true, .effects = CSUPP | LBCC | CSE_ALL, .length = len_none},
	{NVMFT_ADMIN_GET_LBA_STATUS, .loc = SQE_LOC(cdw12), .effects = CSUPP, .length = len_cdw12_dwords},
};

/* C0h to FFh; but none that moves data both ways. */
static const struct pass_cmd vendor_cmd = {.loc = SQE_LOC(cdw10), .effects = CSUPP, .length = len_vendor};

const struct pass_cmd *nvmft_pass_io(uint8_t opcode)
{
	for (size_t i = 0; i < ARRAY_SIZE(io_cmds); i++)
		if (io_cmds[i].opcode == opcode)
			return &io_cmds[i];
	return NULL;
}

const struct pass_cmd *nvmft_pass_admin(uint8_t opcode)
{
	if (opcode >= 0xc0)
		return (opcode & 3) == 3 ? NULL : &vendor_cmd;
	for (size_t i = 0; i < ARRAY_SIZE(admin_cmds); i++)
		if (admin_cmds[i].opcode == opcode)
			return &admin_cmds[i];
	return NULL;
}

/* ---- what a backend declares ---- */

static bool of_core(uint8_t opcode)
{
	switch (opcode) {
	case NVMFT_ADMIN_IDENTIFY:
	case NVMFT_ADMIN_ABORT:
	case NVMFT_ADMIN_SET_FEATURES:
	case NVMFT_ADMIN_GET_FEATURES:
	case NVMFT_ADMIN_ASYNC_EVENT:
	case NVMFT_ADMIN_KEEP_ALIVE:
	case NVMFT_OPC_FABRICS:
		return true;
	default:
		return false;
	}
}

/*
 * A namespace that is deleted, made anew with blocks of another size or attached under the same identifier would get
 * the I/O that was meant for the one before, with lengths and pages that are not its own.
 */
static bool replaces_namespaces(uint8_t opcode)
{
	return opcode == NVMFT_ADMIN_NS_MANAGEMENT || opcode == NVMFT_ADMIN_NS_ATTACHMENT;
}

static const char *admin_problem(uint8_t opcode)
{
	if (of_core(opcode))
		return "the target answers it itself";
	if (replaces_namespaces(opcode))
		return "it would replace namespaces under the I/O of hosts";
	return nvmft_pass_admin(opcode) ? NULL : "its length is not known";
}

static bool copy_limited(const struct nvmft_copy_limits *copy)
{
	return copy->max_range && copy->max_total;
}

static const char *io_problem(const struct nvmft_backend_info *info, uint8_t opcode)
{
	switch (opcode) {
	case NVMFT_CMD_COPY:
		return copy_limited(&info->copy) ? NULL : "without limits of Copy";
	case NVMFT_CMD_RESV_REGISTER:
	case NVMFT_CMD_RESV_REPORT:
	case NVMFT_CMD_RESV_ACQUIRE:
	case NVMFT_CMD_RESV_RELEASE:
		return info->reservations ? NULL : "without capabilities of reservations";
	case NVMFT_CMD_ZONE_SEND:
	case NVMFT_CMD_ZONE_RECEIVE:
	case NVMFT_CMD_ZONE_APPEND:
		return info->csi == NVME_CSI_ZNS ? NULL : "the namespace has no zones";
	default:
		return nvmft_pass_io(opcode) ? NULL : "its length is not known";
	}
}

static int refuse(const struct nvmft_namespace *ns, const char *field, unsigned int opcode, const char *problem)
{
	nvmft_log(ns->subsys->target, NVMFT_LOG_ERROR, "subsystem %s: namespace: %s: opcode 0x%02x: %s",
		  ns->subsys->nqn, field, opcode, problem);
	return -EINVAL;
}

int nvmft_pass_check_info(const struct nvmft_namespace *ns, const struct nvmft_backend_info *info)
{
	const char *problem = NULL;

	if ((info->csi != NVME_CSI_NVM && info->csi != NVME_CSI_ZNS) ||
	    (info->csi == NVME_CSI_ZNS && !info->zones.zone_blocks)) {
		nvmft_log(ns->subsys->target, NVMFT_LOG_ERROR,
			  "subsystem %s: namespace: backend: command set %u is not known, or has no zones",
			  ns->subsys->nqn, info->csi);
		return -EINVAL;
	}
	for (unsigned int opcode = 0; opcode < 256; opcode++) {
		if (nvmft_opcodes_has(&info->commands, (uint8_t)opcode))
			problem = io_problem(info, (uint8_t)opcode);
		if (problem)
			return refuse(ns, "commands", opcode, problem);
		if (nvmft_opcodes_has(&info->admin_commands, (uint8_t)opcode))
			problem = admin_problem((uint8_t)opcode);
		if (problem)
			return refuse(ns, "admin_commands", opcode, problem);
	}
	return 0;
}
