/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_HOST_H
#define NVMFT_HOST_H

#include "target.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct nvmft_host - a host known by its NQN, to be allowed on subsystems
 */
struct nvmft_host;

/**
 * nvmft_host_create() - make a host known
 * @target: the target
 * @nqn: host NQN, at most 223 bytes, copied
 * @host: the new host, owned by the target
 *
 * Context: any thread.
 * Return: 0; -EINVAL for a bad NQN; -EEXIST; -ENOMEM.
 */
NVMFT_API int nvmft_host_create(struct nvmft_target *target, const char *nqn, struct nvmft_host **host);

/**
 * nvmft_host_remove() - forget a host; it is denied on every subsystem first
 *
 * Context: any thread.
 * Return: 0; -ENOMEM, and nothing changed.
 */
NVMFT_API int nvmft_host_remove(struct nvmft_host *host);

/**
 * nvmft_host_find() - host by NQN
 *
 * Context: any thread.
 * Return: the host, or NULL. It stays valid until nvmft_host_remove().
 */
NVMFT_API struct nvmft_host *nvmft_host_find(struct nvmft_target *target, const char *nqn);

#ifdef __cplusplus
}
#endif
#endif
