/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_URING_NVME_IDENTIFY_H
#define NVMFT_BACKENDS_URING_NVME_IDENTIFY_H

#include <nvme/types.h>

#include <nvmft/provider/backend.h>

/* Optional commands (ONCS of Identify Controller). */
#define NG_ONCS_COMPARE (1u << 0)
#define NG_ONCS_WRITE_UNCORRECTABLE (1u << 1)
#define NG_ONCS_DSM (1u << 2)
#define NG_ONCS_WRITE_ZEROES (1u << 3)
#define NG_ONCS_RESERVATIONS (1u << 5)
#define NG_ONCS_VERIFY (1u << 7)
#define NG_ONCS_COPY (1u << 8)

/*
 * struct ng_pi - protection information that the device adds and checks by itself, so that hosts see none
 * @type: 1 to 3, 0 for none
 * @guard64: of 16 bytes with a guard of 64 bits, else of 8 with one of 16
 * @ref_bits: width of the reference tag, which is the LBA in types 1 and 2
 */
struct ng_pi {
	uint8_t type;
	bool guard64;
	uint8_t ref_bits;
};

/*
 * struct ng_facts - what the device says of the namespace
 * @format: index of its LBA format
 * @metadata: bytes per block that commands carry beside their data, as the device does not strip them
 * @max_zeroes, @max_deallocate: most blocks of one command, 0 for no limit beyond the field's width
 * @extended_formats: the device has Extended LBA formats, and tells of them
 * @atomic: NAWUN, NAWUPF and NACWU are the namespace's own, else those of the controller count
 */
struct ng_facts {
	uint64_t blocks;
	uint32_t block_size;
	uint32_t metadata;
	uint32_t max_zeroes;
	uint32_t max_deallocate;
	uint32_t preferred_blocks;
	struct ng_pi pi;
	uint8_t csi;
	uint8_t format;
	uint8_t mdts;
	uint8_t reservations;
	uint16_t oncs;
	bool extended_formats;
	bool write_protected;
	bool volatile_cache;
	bool deallocated_zero;
	bool deac;
	bool thin;
	bool atomic;
	struct nvmft_atomicity atomicity;
	struct nvmft_zones zones;
	struct nvmft_copy_limits copy;
	uint8_t uuid[16];
	uint8_t nguid[16];
	uint8_t eui64[8];
};

/*
 * Each takes one data structure of Identify, as the device sent it. Those that return something other than 0 return
 * -EOPNOTSUPP, or -ENOENT for no namespace at all, and why in @why (NG_WHY bytes).
 */
int nvmft_ng_take_descriptors(struct ng_facts *f, const uint8_t *list, char *why);
void nvmft_ng_take_ctrl(struct ng_facts *f, const struct nvme_id_ctrl *id);
void nvmft_ng_take_ctrl_nvm(struct ng_facts *f, const struct nvme_id_ctrl_nvm *id);
int nvmft_ng_take_ns(struct ng_facts *f, const struct nvme_id_ns *id, char *why);
/* After the one before. @id: NULL for a device that has no such structure. */
int nvmft_ng_take_ns_nvm(struct ng_facts *f, const struct nvme_id_ns *ns, const struct nvme_nvm_id_ns *id, char *why);
int nvmft_ng_take_ns_zoned(struct ng_facts *f, const struct nvme_zns_id_ns *id, char *why);
void nvmft_ng_take_ctrl_zoned(struct ng_facts *f, const struct nvme_zns_id_ctrl *id);

#define NG_WHY 96u

#endif
