/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_URING_NVME_FIND_H
#define NVMFT_BACKENDS_URING_NVME_FIND_H

#include <nvmft/backends.h>

/*
 * nvmft_ng_find_name() - the name of the character device ("ng0n1") of what @opts name by serial, nsid and subnqn
 * @found: how many namespaces fit; @name is one of them
 *
 * Return: 0 or -errno; -ENOSYS when the library was built without libnvme.
 */
int nvmft_ng_find_name(const struct nvmft_uring_nvme_opts *opts, char *name, size_t size, unsigned int *found);

#endif
