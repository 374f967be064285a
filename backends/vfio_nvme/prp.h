/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_VFIO_NVME_PRP_H
#define NVMFT_BACKENDS_VFIO_NVME_PRP_H

#include <stdbool.h>
#include <stdint.h>

#include "regs.h"

/* Entries of a list: with PRP1 they cover MAX_TRANSFER at any offset, so that one page per command is enough. */
#define PRP_LIST_ENTRIES (NVME_PAGE / sizeof(uint64_t))

/*
 * struct prp - the data pointer of a command in the making (NVMe Base 2.0, 4.1.1)
 * @end: device address behind what was added
 * @pages: how many pages it touches
 */
struct prp {
	uint64_t prp1;
	uint64_t prp2;
	uint64_t *list;
	uint64_t list_iova;
	uint64_t end;
	uint32_t pages;
};

void nvmft_prp_begin(struct prp *prp, uint64_t *list, uint64_t list_iova);
/* Return: 0; -EINVAL where PRPs cannot describe it: only the first page may begin, only the last may end inside;
 * -E2BIG. */
int nvmft_prp_add(struct prp *prp, uint64_t iova, uint64_t len);
/* Sets prp2. */
void nvmft_prp_end(struct prp *prp);

#endif
