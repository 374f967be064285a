/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TCP_TTAG_H
#define NVMFT_TCP_TTAG_H

#include <stdint.h>

struct tcp_req;

struct tcp_ttag_slot {
	struct tcp_req *req; /* NULL: free */
	uint32_t next_free;
};

/*
 * Transfer tags of a connection: the commands whose R2T is outstanding. Grows with their number, so that a connection
 * that never writes has no table.
 */
struct tcp_ttags {
	struct tcp_ttag_slot *slots;
	uint32_t nslots;
	uint32_t used;
	uint32_t free; /* first free slot, or nslots */
};

/* A tag for @req: 0; -ENOMEM; -ENOSPC when all 65 536 are in use. */
int nvmft_tcp_ttag_alloc(struct tcp_ttags *ttags, struct tcp_req *req, uint16_t *ttag);
/* The one look-up of a tag that came from the wire: NULL when it is not in use. */
struct tcp_req *nvmft_tcp_ttag_find(const struct tcp_ttags *ttags, uint16_t ttag);
void nvmft_tcp_ttag_free(struct tcp_ttags *ttags, uint16_t ttag);
void nvmft_tcp_ttags_fini(struct tcp_ttags *ttags);

#endif
