/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "ttag.h"

#define TTAGS_FIRST 16u
#define TTAGS_MAX 65536u

static int grow(struct tcp_ttags *ttags)
{
	uint32_t n = ttags->nslots ? ttags->nslots * 2 : TTAGS_FIRST;
	struct tcp_ttag_slot *slots;

	if (n > TTAGS_MAX)
		return -ENOSPC;
	/* Until the table is as large as the connection's deepest use of R2Ts, then never again. */
	slots = realloc(ttags->slots, n * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (uint32_t i = ttags->nslots; i < n; i++)
		slots[i] = (struct tcp_ttag_slot){.next_free = i + 1};
	ttags->free = ttags->nslots;
	ttags->slots = slots;
	ttags->nslots = n;
	return 0;
}

int nvmft_tcp_ttag_alloc(struct tcp_ttags *ttags, struct tcp_req *req, uint16_t *ttag)
{
	struct tcp_ttag_slot *slot;
	int ret = 0;

	if (ttags->free == ttags->nslots)
		ret = grow(ttags);
	if (ret)
		return ret;
	*ttag = (uint16_t)ttags->free;
	slot = &ttags->slots[ttags->free];
	ttags->free = slot->next_free;
	slot->req = req;
	ttags->used++;
	return 0;
}

struct tcp_req *nvmft_tcp_ttag_find(const struct tcp_ttags *ttags, uint16_t ttag)
{
	return ttag < ttags->nslots ? ttags->slots[ttag].req : NULL;
}

void nvmft_tcp_ttag_free(struct tcp_ttags *ttags, uint16_t ttag)
{
	assert(nvmft_tcp_ttag_find(ttags, ttag));
	ttags->slots[ttag].req = NULL;
	ttags->slots[ttag].next_free = ttags->free;
	ttags->free = ttag;
	ttags->used--;
}

void nvmft_tcp_ttags_fini(struct tcp_ttags *ttags)
{
	free(ttags->slots);
	*ttags = (struct tcp_ttags){0};
}
