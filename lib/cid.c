/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Outstanding commands of a queue by command identifier: a hash table that grows with the commands in flight. Hosts number
 * their commands densely in the low bits, so that the low bits are hash enough.
 */
#include <errno.h>
#include <stdlib.h>

#include "queue.h"
#include "request.h"

#define CID_TABLE_MIN 16u

static struct request **cid_slot(const struct cid_table *table, uint16_t cid)
{
	return &table->heads[cid & table->mask];
}

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
	uint32_t entries = table->heads ? (table->mask + 1) * 2 : CID_TABLE_MIN;
	struct cid_table grown = {.mask = entries - 1, .count = table->count};
	uint32_t i;

	grown.heads = calloc(entries, sizeof(struct request *));
	if (!grown.heads)
		return -ENOMEM;
	for (i = 0; table->heads && i <= table->mask; i++) {
		struct request *req = table->heads[i];

		while (req) {
			struct request *next = req->hash_next, **slot = cid_slot(&grown, req->pub.sqe.cid);

			req->hash_next = *slot;
			*slot = req;
			req = next;
		}
	}
	free(table->heads);
	*table = grown;
	return 0;
}

int nvmft_cid_insert(struct cid_table *table, struct request *req)
{
	struct request **slot;

	if (nvmft_cid_find(table, req->pub.sqe.cid))
		return -EEXIST;
	/* A table that cannot grow works on, more slowly; only the first one is needed. */
	if ((!table->heads || table->count > table->mask) && cid_grow(table) != 0 && !table->heads)
		return -ENOMEM;
	slot = cid_slot(table, req->pub.sqe.cid);
	req->hash_next = *slot;
	*slot = req;
	req->hashed = true;
	table->count++;
	return 0;
}

void nvmft_cid_remove(struct cid_table *table, struct request *req)
{
	struct request **slot;

	if (!req->hashed)
		return;
	for (slot = cid_slot(table, req->pub.sqe.cid); *slot != req; slot = &(*slot)->hash_next)
		;
	*slot = req->hash_next;
	req->hashed = false;
	table->count--;
}

void nvmft_cid_fini(struct cid_table *table)
{
	free(table->heads);
	table->heads = NULL;
}
