/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "prp.h"

#define PAGE_MASK ((uint64_t)NVME_PAGE - 1)

void nvmft_prp_begin(struct prp *prp, uint64_t *list, uint64_t list_iova)
{
	*prp = (struct prp){.list = list, .list_iova = list_iova};
}

/* A page that follows those so far. */
static int add_page(struct prp *prp, uint64_t iova)
{
	if (prp->pages == 0) {
		if (iova & 3)
			return -EINVAL;
		prp->prp1 = iova;
	} else {
		if ((iova | prp->end) & PAGE_MASK)
			return -EINVAL;
		if (prp->pages > PRP_LIST_ENTRIES)
			return -E2BIG;
		prp->list[prp->pages - 1] = htole64(iova);
	}
	prp->pages++;
	return 0;
}

int nvmft_prp_add(struct prp *prp, uint64_t iova, uint64_t len)
{
	while (len) {
		uint64_t n = NVME_PAGE - (iova & PAGE_MASK);
		/* Goes on in the page in which the piece before ended. */
		bool same = prp->pages && iova == prp->end && (iova & PAGE_MASK);
		int err = same ? 0 : add_page(prp, iova);

		if (err)
			return err;
		n = n < len ? n : len;
		iova += n;
		len -= n;
		prp->end = iova;
	}
	return 0;
}

void nvmft_prp_end(struct prp *prp)
{
	if (prp->pages <= 1)
		prp->prp2 = 0;
	else if (prp->pages == 2)
		prp->prp2 = le64toh(prp->list[0]);
	else
		prp->prp2 = prp->list_iova;
}
