/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_NVME_IDENTIFY_H
#define NVMFT_BACKENDS_NVME_IDENTIFY_H

#include <nvme/types.h>

#include <nvmft/provider/backend.h>

/*
 * What an SSD says of itself, for all backends of SSDs: from the data structures of Identify, which the backend got in
 * its own way, to what commands are made by and what the core is told. Pure: no I/O, no log, no allocation.
 */

/*
 * Of the status of a device: code type and code, and Do Not Retry. What is between them speaks of the device's own
 * error log and retry delays (CRD), of which hosts see neither.
 */
#define SSD_STATUS_KEPT ((nvmft_status)0x47ff)

#define SSD_ADMIN_FORMAT 0x80u
#define SSD_ADMIN_SANITIZE 0x84u

/* Optional commands (ONCS of Identify Controller). */
#define SSD_ONCS_COMPARE (1u << 0)
#define SSD_ONCS_WRITE_UNCORRECTABLE (1u << 1)
#define SSD_ONCS_DSM (1u << 2)
#define SSD_ONCS_WRITE_ZEROES (1u << 3)
#define SSD_ONCS_RESERVATIONS (1u << 5)
#define SSD_ONCS_VERIFY (1u << 7)
#define SSD_ONCS_COPY (1u << 8)

/* Opcodes of I/O commands that a host may send for the device itself. */
enum ssd_opcode {
	SSD_OPC_WRITE_UNCORRECTABLE = 0x04,
	SSD_OPC_VERIFY = 0x0c,
	SSD_OPC_RESERVATION_REGISTER = 0x0d,
	SSD_OPC_RESERVATION_REPORT = 0x0e,
	SSD_OPC_RESERVATION_ACQUIRE = 0x11,
	SSD_OPC_RESERVATION_RELEASE = 0x15,
	SSD_OPC_COPY = 0x19,
	SSD_OPC_ZONE_SEND = 0x79,
	SSD_OPC_ZONE_RECEIVE = 0x7a,
	SSD_OPC_ZONE_APPEND = 0x7d,
};

/* Formats of protection information (NVM Command Set 1.0, 5.2.1): bits of guard. */
enum ssd_pi_format { SSD_PI_16, SSD_PI_32, SSD_PI_64 };

/*
 * struct ssd_pi - protection information that the device adds and checks by itself, so that hosts see none
 * @type: 1 to 3, 0 for none
 * @format: enum ssd_pi_format
 * @ref_bits: width of the reference tag, which is the LBA in types 1 and 2. Above it, in one field with it, is the
 *            storage tag, always 0.
 * @first: it is the first part of the metadata, not the last
 */
struct ssd_pi {
	uint8_t type;
	uint8_t format;
	uint8_t ref_bits;
	bool first;
};

/*
 * struct ssd_ctrl - what the controller says of itself, as far as namespaces depend on it
 * @sanicap, @oncs, @ocfs, @mdts, @fna: as Identify has them
 * @awun, @awupf, @acwu: 0's based
 * @extended_formats: it has formats with guards of 32 or 64 bits or storage tags (CTRATT.ELBAS), and tells of them
 */
struct ssd_ctrl {
	uint32_t sanicap;
	uint16_t oncs;
	uint16_t ocfs;
	uint16_t awun, awupf, acwu;
	uint8_t mdts;
	uint8_t fna;
	bool volatile_cache;
	bool extended_formats;
};

/*
 * struct ssd_facts - what the device says of the namespace
 * @shift: of @block_size
 * @format: index of its LBA format
 * @format_metadata: bytes of metadata per block of that format; @extended: at the end of each block
 * @metadata: those that commands carry beside their data, as the device does not strip them
 * @max_verify, @max_zeroes, @max_uncorrectable, @max_deallocate: most blocks of one command, 0 when the device names
 *            no limit
 * @can_deallocate_zeroes: Write Zeroes may deallocate, and the blocks read as zeroes then
 * @appends: takes Zone Append
 */
struct ssd_facts {
	struct ssd_ctrl ctrl;
	uint64_t blocks;
	uint32_t block_size;
	uint32_t metadata;
	uint32_t max_verify;
	uint32_t max_zeroes;
	uint32_t max_uncorrectable;
	uint32_t max_deallocate;
	uint32_t preferred_blocks;
	struct ssd_pi pi;
	uint16_t format_metadata;
	uint8_t csi;
	uint8_t shift;
	uint8_t format;
	uint8_t reservations;
	bool extended;
	bool write_protected;
	bool deallocated_zero;
	bool can_deallocate_zeroes;
	bool thin;
	bool appends;
	struct nvmft_atomicity atomicity;
	struct nvmft_zones zones;
	struct nvmft_copy_limits copy;
	uint8_t uuid[16];
	uint8_t nguid[16];
	uint8_t eui64[8];
};

/*
 * Each takes one data structure, as the device sent it: as hostile as anything from outside. Those that return
 * something other than 0 return -EOPNOTSUPP, or -ENOENT for no namespace at all, and at @why (SSD_WHY bytes) what the
 * device has that cannot be served. In this order; the ones for zones only when @csi is 2.
 */
#define SSD_WHY 128u
void nvmft_ssd_take_ctrl(struct ssd_ctrl *ctrl, const struct nvme_id_ctrl *id);
int nvmft_ssd_take_descriptors(struct ssd_facts *f, const uint8_t *list, char *why);
/* f->ctrl is there. */
int nvmft_ssd_take_ns(struct ssd_facts *f, const struct nvme_id_ns *id, char *why);
/* @id: NULL for a device that has no such structure */
int nvmft_ssd_take_ns_nvm(struct ssd_facts *f, const struct nvme_id_ns *ns, const struct nvme_nvm_id_ns *id, char *why);
void nvmft_ssd_take_ctrl_nvm(struct ssd_facts *f, const struct nvme_id_ctrl_nvm *id);
int nvmft_ssd_take_ns_zoned(struct ssd_facts *f, const struct nvme_zns_id_ns *id, char *why);
void nvmft_ssd_take_ctrl_zoned(struct ssd_facts *f, const struct nvme_zns_id_ctrl *id);
/* The log of the zoned command set's commands, the only one to say whether there is Zone Append. */
void nvmft_ssd_take_effects(struct ssd_facts *f, const struct nvme_cmd_effects_log *log);

/* Commands that are made for one are right for the other. */
bool nvmft_ssd_same_format(const struct ssd_facts *a, const struct ssd_facts *b);

/*
 * A Format NVM that a host sends, for a namespace that others use at the same time: only one that leaves the format as
 * it is, and concerns no other namespace. @cdw10 in host byte order. Return: 0; what to answer instead of sending it.
 */
nvmft_status nvmft_ssd_check_format(const struct ssd_facts *f, uint32_t cdw10);
/* Its CDW10 for the device, whose own format it names. */
uint32_t nvmft_ssd_device_format(const struct ssd_facts *f, uint32_t cdw10);

/* info.c */

/*
 * struct ssd_serving - how the backend serves the namespace
 * @read_only, @reservations: as asked for
 * @copy: it can pass Copy on as hosts send it
 * @whole: bytes that go in one command in any case: writes are not atomic beyond that, and appends not longer
 */
struct ssd_serving {
	bool read_only;
	bool reservations;
	bool copy;
	uint64_t whole;
	const struct nvmft_opcodes *admin_commands;
};

/* All that does not depend on how the device is reached; the rest of @info stays as it is. */
void nvmft_ssd_info(const struct ssd_facts *f, const struct ssd_serving *s, struct nvmft_backend_info *info);

#endif
