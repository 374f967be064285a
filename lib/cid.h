/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LIB_CID_H
#define NVMFT_LIB_CID_H

#include "request.h"

/*
 * Outstanding commands of a queue by command identifier: a hash table that grows with the commands in flight. Hosts
 * number their commands densely in the low bits, so that the low bits are hash enough, and most heads have one command.
 */

static inline struct request **cid_slot(const struct cid_table *table, uint16_t cid)
{
	return &table->heads[cid & (table->size - 1)];
}

static inline void cid_link(struct cid_table *table, struct request **slot, struct request *req)
{
	req->hash_next = *slot;
	*slot = req;
	req->hashed = true;
	table->count++;
}

/* false: the table has to grow, or others have the same low bits: nvmft_cid_insert() knows what to do. */
static inline bool nvmft_cid_insert_first(struct cid_table *table, struct request *req)
{
	struct request **slot;

	if (unlikely(table->count >= table->size))
		return false;
	slot = cid_slot(table, req->pub.sqe.cid);
	if (unlikely(*slot != NULL))
		return false;
	cid_link(table, slot, req);
	return true;
}

/* No effect on a request that is not in the table. */
static inline void nvmft_cid_remove(struct cid_table *table, struct request *req)
{
	struct request **slot;

	if (unlikely(!req->hashed))
		return;
	slot = cid_slot(table, req->pub.sqe.cid);
	while (unlikely(*slot != req))
		slot = &(*slot)->hash_next;
	*slot = req->hash_next;
	req->hashed = false;
	table->count--;
}

int nvmft_cid_insert(struct cid_table *table, struct request *req); /* 0, -EEXIST or -ENOMEM */
struct request *nvmft_cid_find(const struct cid_table *table, uint16_t cid);
void nvmft_cid_fini(struct cid_table *table);

#endif
