/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>

#include "cid.h"

#define CID_TABLE_MIN 16u

struct request *nvmft_cid_find(const struct cid_table *table, uint16_t cid)
{
	struct request *req;

	if (!table->heads)
		return NULL;
	for (req = *cid_slot(table, cid); req; req = req->hash_next)
		if (req->pub.sqe.cid == cid)
			return req;
	return NULL;
}

/* An allocation on the I/O path, but once per doubling of the commands in flight over the life of the queue. */
static int cid_grow(struct cid_table *table)
{
	struct cid_table grown = {.size = table->size ? table->size * 2 : CID_TABLE_MIN};
	uint32_t i;

	grown.heads = calloc(grown.size, sizeof(struct request *));
	if (!grown.heads)
		return -ENOMEM;
	for (i = 0; i < table->size; i++) {
		struct request *req = table->heads[i];

		while (req) {
			struct request *next = req->hash_next;

			cid_link(&grown, cid_slot(&grown, req->pub.sqe.cid), req);
			req = next;
		}
	}
	free(table->heads);
	*table = grown;
	return 0;
}

int nvmft_cid_insert(struct cid_table *table, struct request *req)
{
	if (nvmft_cid_find(table, req->pub.sqe.cid))
		return -EEXIST;
	/* A table that cannot grow works on, more slowly; only the first one is needed. */
	if (table->count >= table->size && cid_grow(table) != 0 && !table->heads)
		return -ENOMEM;
	cid_link(table, cid_slot(table, req->pub.sqe.cid), req);
	return 0;
}

void nvmft_cid_fini(struct cid_table *table)
{
	free(table->heads);
	table->heads = NULL;
}
