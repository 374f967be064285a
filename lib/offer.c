/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a controller offers because some namespace of its subsystem has it. A command that is offered for the sake of
 * one namespace is an invalid opcode for the others.
 */
#include "admin.h"
#include "pass.h"

/* A namespace that @queue may use, of command set @csi if that is not negative. */
static bool counts(const struct nvmft_queue *queue, const struct ns_view *nsv, int csi)
{
	return nvmft_queue_sees(queue, nsv) && (csi < 0 || nsv->info.csi == csi);
}

bool nvmft_offers_csi(const struct nvmft_ctrl *ctrl, uint8_t csi)
{
	if (csi == NVME_CSI_NVM)
		return true;
	for (uint32_t i = 0; ctrl->sv && i < ctrl->sv->nns; i++)
		if (counts(ctrl->admin, &ctrl->sv->ns[i], csi))
			return true;
	return false;
}

static void join(struct nvmft_opcodes *all, const struct nvmft_opcodes *more)
{
	for (size_t i = 0; i < sizeof(all->bits); i++)
		all->bits[i] |= more->bits[i];
}

struct nvmft_opcodes nvmft_offers_io(const struct nvmft_queue *queue, int csi)
{
	const struct subsys_view *sv = queue->sv;
	struct nvmft_opcodes all = {0};

	for (uint32_t i = 0; sv && i < sv->nns; i++)
		if (counts(queue, &sv->ns[i], csi))
			join(&all, &sv->ns[i].info.commands);
	return all;
}

bool nvmft_offers_write_zeroes(const struct nvmft_queue *queue, uint8_t csi)
{
	const struct subsys_view *sv = queue->sv;

	if (csi == NVME_CSI_NVM)
		return true;
	for (uint32_t i = 0; sv && i < sv->nns; i++)
		if (counts(queue, &sv->ns[i], csi) && sv->ns[i].info.write_zeroes == NVMFT_CAP_NATIVE)
			return true;
	return false;
}

struct nvmft_opcodes nvmft_offers_admin(const struct nvmft_queue *queue)
{
	const struct subsys_view *sv = queue->sv;
	struct nvmft_opcodes all = {0};

	for (uint32_t i = 0; sv && i < sv->nns; i++)
		if (counts(queue, &sv->ns[i], -1))
			join(&all, &sv->ns[i].info.admin_commands);
	return all;
}

/* A bit stands for one or two commands; both must be there. */
struct bit {
	uint16_t bit;
	uint8_t opcodes[2];
};

static uint16_t bits_of(const struct nvmft_opcodes *set, const struct bit *table, size_t n)
{
	uint16_t bits = 0;

	for (size_t i = 0; i < n; i++)
		if (nvmft_opcodes_has(set, table[i].opcodes[0]) && nvmft_opcodes_has(set, table[i].opcodes[1]))
			bits = (uint16_t)(bits | table[i].bit);
	return bits;
}

uint16_t nvmft_offers_oncs(const struct nvmft_ctrl *ctrl)
{
	static const struct bit table[] = {
		{NVME_CTRL_ONCS_WRITE_UNCORRECTABLE, {NVMFT_CMD_WRITE_UNCORRECTABLE, NVMFT_CMD_WRITE_UNCORRECTABLE}},
		{NVME_CTRL_ONCS_RESERVATIONS, {NVMFT_CMD_RESV_REGISTER, NVMFT_CMD_RESV_ACQUIRE}},
		{NVME_CTRL_ONCS_VERIFY, {NVMFT_CMD_VERIFY, NVMFT_CMD_VERIFY}},
		{NVME_CTRL_ONCS_COPY, {NVMFT_CMD_COPY, NVMFT_CMD_COPY}},
	};
	struct nvmft_opcodes set = nvmft_offers_io(ctrl->admin, -1);

	return bits_of(&set, table, ARRAY_SIZE(table));
}

uint16_t nvmft_offers_oacs(const struct nvmft_ctrl *ctrl)
{
	static const struct bit table[] = {
		{NVME_CTRL_OACS_SECURITY, {NVMFT_ADMIN_SECURITY_SEND, NVMFT_ADMIN_SECURITY_RECEIVE}},
		{NVME_CTRL_OACS_FORMAT, {NVMFT_ADMIN_FORMAT, NVMFT_ADMIN_FORMAT}},
		{NVME_CTRL_OACS_FW, {NVMFT_ADMIN_FIRMWARE_COMMIT, NVMFT_ADMIN_FIRMWARE_DOWNLOAD}},
		{NVME_CTRL_OACS_SELF_TEST, {NVMFT_ADMIN_SELF_TEST, NVMFT_ADMIN_SELF_TEST}},
		{NVME_CTRL_OACS_DIRECTIVES, {NVMFT_ADMIN_DIRECTIVE_SEND, NVMFT_ADMIN_DIRECTIVE_RECEIVE}},
		{NVME_CTRL_OACS_LBA_STATUS, {NVMFT_ADMIN_GET_LBA_STATUS, NVMFT_ADMIN_GET_LBA_STATUS}},
	};
	struct nvmft_opcodes set = nvmft_offers_admin(ctrl->admin);

	return bits_of(&set, table, ARRAY_SIZE(table));
}

/* Descriptor format 0h is the only one that is passed on. */
uint16_t nvmft_offers_ocfs(const struct nvmft_ctrl *ctrl)
{
	return nvmft_offers_oncs(ctrl) & NVME_CTRL_ONCS_COPY ? 1 : 0;
}

/* One number for all namespaces, so the smallest; 0, as large as MDTS, when none is below it. */
uint8_t nvmft_offers_zasl(const struct nvmft_ctrl *ctrl)
{
	uint8_t zasl = 0;

	for (uint32_t i = 0; ctrl->sv && i < ctrl->sv->nns; i++) {
		uint8_t limit = ctrl->sv->ns[i].info.zones.append_limit;

		if (ctrl->sv->ns[i].info.csi == NVME_CSI_ZNS && limit && limit < ctrl->subsys->mdts &&
		    (!zasl || limit < zasl))
			zasl = limit;
	}
	return zasl;
}

/* What all that take Sanitize can do. */
uint32_t nvmft_offers_sanicap(const struct nvmft_ctrl *ctrl)
{
	uint32_t sanicap = UINT32_MAX;

	for (uint32_t i = 0; ctrl->sv && i < ctrl->sv->nns; i++) {
		const struct nvmft_backend_info *info = &ctrl->sv->ns[i].info;

		if (counts(ctrl->admin, &ctrl->sv->ns[i], -1) &&
		    nvmft_opcodes_has(&info->admin_commands, NVMFT_ADMIN_SANITIZE))
			sanicap &= info->sanitize;
	}
	return sanicap == UINT32_MAX ? 0 : sanicap;
}
