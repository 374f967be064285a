/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_SPEC_H
#define NVMFT_SPEC_H

/*
 * Wire formats and constants that <nvme/types.h> lacks, and the small helpers by which the
 * engine reads and writes little-endian fields. NVMe Base 2.0 unless said otherwise.
 */

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include <nvme/types.h>

#include "nvmft/provider/request.h"

_Static_assert(sizeof(struct nvmft_sqe) == 64, "SQE");
_Static_assert(sizeof(struct nvmft_cqe) == 16, "CQE");
_Static_assert(sizeof(struct nvmf_connect_data) == 1024, "Connect data");
_Static_assert(offsetof(struct nvmf_connect_data, subsysnqn) == 256, "Connect data: SUBNQN");
_Static_assert(offsetof(struct nvmf_connect_data, hostnqn) == 512, "Connect data: HOSTNQN");

#define NVMFT_OPC_FABRICS 0x7f
#define NVMFT_NQN_MAX 223 /* bytes of an NQN without its NUL */
#define NVMFT_DISCOVERY_NQN "nqn.2014-08.org.nvmexpress.discovery"
#define NVMFT_NSID_ALL 0xffffffffu

/* Admin opcodes (figure 138) and I/O opcodes (NVM Command Set 1.0, figure 8). */
enum {
	NVMFT_ADMIN_GET_LOG_PAGE = 0x02,
	NVMFT_ADMIN_IDENTIFY = 0x06,
	NVMFT_ADMIN_ABORT = 0x08,
	NVMFT_ADMIN_SET_FEATURES = 0x09,
	NVMFT_ADMIN_GET_FEATURES = 0x0a,
	NVMFT_ADMIN_ASYNC_EVENT = 0x0c,
	NVMFT_ADMIN_NS_MANAGEMENT = 0x0d,
	NVMFT_ADMIN_FIRMWARE_COMMIT = 0x10,
	NVMFT_ADMIN_FIRMWARE_DOWNLOAD = 0x11,
	NVMFT_ADMIN_SELF_TEST = 0x14,
	NVMFT_ADMIN_NS_ATTACHMENT = 0x15,
	NVMFT_ADMIN_KEEP_ALIVE = 0x18,
	NVMFT_ADMIN_DIRECTIVE_SEND = 0x19,
	NVMFT_ADMIN_DIRECTIVE_RECEIVE = 0x1a,
	NVMFT_ADMIN_FORMAT = 0x80,
	NVMFT_ADMIN_SECURITY_SEND = 0x81,
	NVMFT_ADMIN_SECURITY_RECEIVE = 0x82,
	NVMFT_ADMIN_SANITIZE = 0x84,
	NVMFT_ADMIN_GET_LBA_STATUS = 0x86,

	NVMFT_CMD_FLUSH = 0x00,
	NVMFT_CMD_WRITE = 0x01,
	NVMFT_CMD_READ = 0x02,
	NVMFT_CMD_WRITE_UNCORRECTABLE = 0x04,
	NVMFT_CMD_COMPARE = 0x05,
	NVMFT_CMD_WRITE_ZEROES = 0x08,
	NVMFT_CMD_DSM = 0x09,
	NVMFT_CMD_VERIFY = 0x0c,
	NVMFT_CMD_RESV_REGISTER = 0x0d,
	NVMFT_CMD_RESV_REPORT = 0x0e,
	NVMFT_CMD_RESV_ACQUIRE = 0x11,
	NVMFT_CMD_RESV_RELEASE = 0x15,
	NVMFT_CMD_COPY = 0x19,
	/* Zoned Namespace Command Set 1.1, figure 5 */
	NVMFT_CMD_ZONE_SEND = 0x79,
	NVMFT_CMD_ZONE_RECEIVE = 0x7a,
	NVMFT_CMD_ZONE_APPEND = 0x7d,
};

/* FUSE and PSDT in the flags byte of an SQE (figure 85). */
#define NVMFT_FUSE_MASK 0x03
#define NVMFT_FUSE_FIRST 0x01
#define NVMFT_FUSE_SECOND 0x02
#define NVMFT_PSDT_MASK 0xc0
#define NVMFT_PSDT_SGL 0x40
#define NVMFT_PSDT_SGL_MPTR 0x80

/* Connect (NVMe-oF figures in Base 2.0, 6.3): CATTR bits. */
#define NVMFT_CATTR_NO_SQFLOW (1u << 2)
#define NVMFT_CNTLID_DYNAMIC 0xffffu
#define NVMFT_CNTLID_STATIC 0xfffeu
#define NVMFT_CNTLID_MAX 0xffefu

/* A status with Do Not Retry. */
#define SC(code) NVMFT_STATUS(NVME_SCT_GENERIC, NVME_SC_##code)
#define SC_CMD(code) NVMFT_STATUS(NVME_SCT_CMD_SPECIFIC, NVME_SC_##code)
#define SC_DNR(code) ((nvmft_status)(SC(code) | NVMFT_STATUS_DNR))
#define SC_CMD_DNR(code) ((nvmft_status)(SC_CMD(code) | NVMFT_STATUS_DNR))
#define SC_MEDIA(code) NVMFT_STATUS(NVME_SCT_MEDIA, NVME_SC_##code)
#define SC_PATH(code) NVMFT_STATUS(NVME_SCT_PATH, NVME_SC_##code)

/* Byte of the SQE at which a command went wrong, for the Error Information log (figure 206). */
#define SQE_LOC(field) ((uint16_t)offsetof(struct nvmft_sqe, field))
#define NO_LOC ((uint16_t)0xffff)

static inline uint16_t sqe_lo16(uint32_t le_dword)
{
	return (uint16_t)(le32toh(le_dword) & 0xffff);
}

static inline uint16_t sqe_hi16(uint32_t le_dword)
{
	return (uint16_t)(le32toh(le_dword) >> 16);
}

/* Fixed-width ASCII fields of the specification are padded with spaces, not NULs. */
static inline void spec_pad(char *field, size_t len, const char *text)
{
	size_t n = strnlen(text, len);

	memcpy(field, text, n);
	memset(field + n, ' ', len - n);
}

#endif
