/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_NAMESPACE_H
#define NVMFT_NAMESPACE_H

#include "subsystem.h"

#ifdef __cplusplus
extern "C" {
#endif

struct nvmft_namespace;
struct nvmft_backend_ops;

/**
 * struct nvmft_namespace_opts - options of a namespace; a zero field means the default
 * @size: sizeof(struct nvmft_namespace_opts)
 * @nsid: namespace identifier, 1..max_namespaces of the subsystem; default the lowest free one
 * @backend: who stores the blocks, see nvmft/backends.h. Required.
 * @backend_opts: that backend's option structure, or NULL
 * @uuid, @nguid, @eui64: identifiers. When all three are zero, those of the backend's device are taken, and
 *          when it has none a UUID and an NGUID are derived from the subsystem NQN and the NSID, thus stable over restarts.
 * @read_only: refuse commands that change data (status Namespace is Write Protected)
 */
struct nvmft_namespace_opts {
	size_t size;
	uint32_t nsid;
	bool read_only;
	const struct nvmft_backend_ops *backend;
	const void *backend_opts;
	uint8_t uuid[16];
	uint8_t nguid[16];
	uint8_t eui64[8];
};

/**
 * struct nvmft_namespace_info - what a namespace looks like now
 * @blocks: size in logical blocks
 */
struct nvmft_namespace_info {
	size_t size;
	uint32_t nsid;
	uint32_t block_size;
	uint64_t blocks;
	bool read_only;
};

/**
 * nvmft_namespace_add() - open a backend and add it to a subsystem as a namespace
 * @subsystem: the subsystem; may be in use: connected hosts get a Namespace Attribute Changed event
 * @opts: options; backend_opts is not needed after the call
 * @ns: the new namespace, owned by the subsystem; may be NULL
 *
 * Context: any thread. May block in the backend's open.
 * Return: 0; -EINVAL for an option out of range; -EEXIST for an NSID in use; -ENOSPC when no NSID is free; what
 * the backend's open returned (the log says why); -ENOMEM.
 */
NVMFT_API int nvmft_namespace_add(struct nvmft_subsystem *subsystem, const struct nvmft_namespace_opts *opts,
				  struct nvmft_namespace **ns);

/**
 * nvmft_namespace_remove() - take a namespace away
 * @ns: not to be used again after this call
 * @done: called when its last I/O is over and the backend is closed; may be NULL
 *
 * New commands fail with Invalid Namespace or Format as soon as each poll group has seen the change;
 * nothing else is paused. Connected hosts get an event.
 *
 * Context: any thread.
 * Return: 0; -ENOMEM, and nothing changed.
 */
NVMFT_API int nvmft_namespace_remove(struct nvmft_namespace *ns, struct nvmft_done *done);

/**
 * nvmft_namespace_refresh() - ask the backend for its size again
 *
 * To be called when the volume was resized; connected hosts get an event when the size changed.
 *
 * Context: any thread. May block in the backend's info.
 * Return: 0; -EINVAL for facts that cannot be served (the log says which), e.g. another block size; what the backend's info
 * returned; -ENOMEM.
 */
NVMFT_API int nvmft_namespace_refresh(struct nvmft_namespace *ns);

/**
 * nvmft_namespace_find() - namespace by NSID
 *
 * Context: any thread.
 * Return: the namespace, or NULL. It stays valid until nvmft_namespace_remove().
 */
NVMFT_API struct nvmft_namespace *nvmft_namespace_find(struct nvmft_subsystem *subsystem, uint32_t nsid);

/**
 * nvmft_namespace_info() - current facts of a namespace
 * @info: filled; the caller sets info->size
 *
 * Context: any thread.
 * Return: 0; -EINVAL.
 */
NVMFT_API int nvmft_namespace_info(struct nvmft_namespace *ns, struct nvmft_namespace_info *info);

#ifdef __cplusplus
}
#endif
#endif
