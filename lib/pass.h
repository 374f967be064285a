/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LIB_PASS_H
#define NVMFT_LIB_PASS_H

#include "controller.h"

/*
 * Commands that go to a namespace's backend as they are (NVMFT_IO_COMMAND), and what controllers say about them.
 */

/* A length that no such command can have: Invalid Field. */
#define PASS_BAD_LENGTH UINT64_MAX

/*
 * One command that the core can pass on, because it knows how many bytes it transfers: devices that do DMA by
 * themselves move what the command says, whatever buffers they were given.
 *
 * @changes: blocks change: refused while the namespace is read-only, and kept apart from fused pairs
 * @writes, @range, @fua: counted as a write of its blocks; CDW10 to 12 name blocks; bit 30 of CDW12 is FUA
 * @loc: field that says the length
 * @effects: CSUPP and more, of the Commands Supported and Effects log
 */
struct pass_cmd {
	uint8_t opcode;
	bool changes, writes, range, fua;
	uint16_t loc;
	uint32_t effects;
	uint64_t (*length)(const struct nvmft_sqe *sqe, const struct nvmft_backend_info *info);
};

/* pass_table.c: NULL when the core cannot pass on @opcode. */
const struct pass_cmd *nvmft_pass_io(uint8_t opcode);
const struct pass_cmd *nvmft_pass_admin(uint8_t opcode);
/* Which way the data goes: bits 1:0 of the opcode (Base 2.0, figure 85). */
static inline enum nvmft_dir nvmft_pass_dir(uint8_t opcode)
{
	return (enum nvmft_dir)(opcode & 3);
}

/*
 * nvmft_pass_check_info() - what a backend says of the commands that it takes
 * Return: 0; -EINVAL, logged.
 */
int nvmft_pass_check_info(const struct nvmft_namespace *ns, const struct nvmft_backend_info *info);

/* pass.c: for commands that the core does not execute. Invalid Opcode when nobody else does either. */
nvmft_status nvmft_pass_parse(struct request *req);
/* The same for Get Log Page of a vendor's page. */
nvmft_status nvmft_pass_log_parse(struct request *req);
/* One that waited: 0, or why it must not go to the backend any more. */
nvmft_status nvmft_pass_recheck(struct request *req);

/* offer.c: what the namespaces that a controller has make it offer. Context: the controller's thread. */

/* The controller serves namespaces of this command set. */
bool nvmft_offers_csi(const struct nvmft_ctrl *ctrl, uint8_t csi);
/* Commands that the namespaces of @sv which @queue may use take; of command set @csi only, if not negative. */
struct nvmft_opcodes nvmft_offers_io(const struct nvmft_queue *queue, int csi);
/* Write Zeroes of this command set: the core does it in a backend's place, but not in zones. */
bool nvmft_offers_write_zeroes(const struct nvmft_queue *queue, uint8_t csi);
struct nvmft_opcodes nvmft_offers_admin(const struct nvmft_queue *queue);
/* Bits of ONCS, OACS, OCFS and SANICAP, and ZASL. */
uint16_t nvmft_offers_oncs(const struct nvmft_ctrl *ctrl);
uint16_t nvmft_offers_oacs(const struct nvmft_ctrl *ctrl);
uint16_t nvmft_offers_ocfs(const struct nvmft_ctrl *ctrl);
uint8_t nvmft_offers_zasl(const struct nvmft_ctrl *ctrl);
uint32_t nvmft_offers_sanicap(const struct nvmft_ctrl *ctrl);

#endif
