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

static void put_set(struct page_window *w, const struct effect *effects, size_t n)
{
	uint32_t set[256] = {0};

	for (size_t i = 0; i < n; i++)
		set[effects[i].opcode] = htole32(effects[i].effects);
	nvmft_page_put(w, set, sizeof(set));
}

void nvmft_effects_log_page(struct page_window *w)
{
	put_set(w, admin_effects, ARRAY_SIZE(admin_effects));
	put_set(w, io_effects, ARRAY_SIZE(io_effects));
}
