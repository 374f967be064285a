/* SPDX-License-Identifier: BSD-3-Clause */
#include "log_page.h"

/* Commands Supported and Effects (Base 2.0, figure 210): opcode by opcode what dispatch.c lets through. */
struct effect {
	uint8_t opcode;
	uint32_t effects;
};

static const struct effect admin_effects[] = {
	{NVMFT_ADMIN_GET_LOG_PAGE, NVME_CMD_EFFECTS_CSUPP}, {NVMFT_ADMIN_IDENTIFY, NVME_CMD_EFFECTS_CSUPP},
	{NVMFT_ADMIN_ABORT, NVME_CMD_EFFECTS_CSUPP},        {NVMFT_ADMIN_SET_FEATURES, NVME_CMD_EFFECTS_CSUPP},
	{NVMFT_ADMIN_GET_FEATURES, NVME_CMD_EFFECTS_CSUPP}, {NVMFT_ADMIN_ASYNC_EVENT, NVME_CMD_EFFECTS_CSUPP},
	{NVMFT_ADMIN_KEEP_ALIVE, NVME_CMD_EFFECTS_CSUPP},
};

static const struct effect io_effects[] = {
	{NVMFT_CMD_FLUSH, NVME_CMD_EFFECTS_CSUPP},
	{NVMFT_CMD_WRITE, NVME_CMD_EFFECTS_CSUPP | NVME_CMD_EFFECTS_LBCC},
	{NVMFT_CMD_READ, NVME_CMD_EFFECTS_CSUPP},
	{NVMFT_CMD_COMPARE, NVME_CMD_EFFECTS_CSUPP},
	{NVMFT_CMD_WRITE_ZEROES, NVME_CMD_EFFECTS_CSUPP | NVME_CMD_EFFECTS_LBCC},
	{NVMFT_CMD_DSM, NVME_CMD_EFFECTS_CSUPP | NVME_CMD_EFFECTS_LBCC},
};

/* What the core passes on, then what it answers. */
static void fill_set(uint32_t set[256], const struct effect *effects, size_t n, const struct nvmft_opcodes *passed,
		     const struct pass_cmd *(*find)(uint8_t opcode))
{
	memset(set, 0, 256 * sizeof(*set));
	for (unsigned int opcode = 0; opcode < 256; opcode++)
		if (nvmft_opcodes_has(passed, (uint8_t)opcode))
			set[opcode] = htole32(find((uint8_t)opcode)->effects);
	for (size_t i = 0; i < n; i++)
		set[effects[i].opcode] = htole32(effects[i].effects);
}

void nvmft_effects_log_page(struct page_window *w)
{
	const struct nvmft_ctrl *ctrl = req_ctrl(w->req);
	uint8_t csi = nvmft_log_csi(w->req);
	struct nvmft_opcodes admin = nvmft_offers_admin(ctrl->admin), io = nvmft_offers_io(ctrl->admin, csi);

	uint32_t set[256];

	fill_set(set, admin_effects, ARRAY_SIZE(admin_effects), &admin, nvmft_pass_admin);
	nvmft_page_put(w, set, sizeof(set));
	fill_set(set, io_effects, ARRAY_SIZE(io_effects), &io, nvmft_pass_io);
	if (!nvmft_offers_write_zeroes(ctrl->admin, csi))
		set[NVMFT_CMD_WRITE_ZEROES] = 0;
	nvmft_page_put(w, set, sizeof(set));
}
