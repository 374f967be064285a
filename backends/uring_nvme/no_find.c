/* SPDX-License-Identifier: BSD-3-Clause */
/* Built without libnvme: devices are named by their paths only. */
#include <errno.h>

#include "find.h"

int nvmft_ng_find_name(const struct nvmft_uring_nvme_opts *opts, char *name, size_t size, unsigned int *found)
{
	(void)opts;
	(void)name;
	(void)size;
	(void)found;
	return -ENOSYS;
}
