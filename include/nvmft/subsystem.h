/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_SUBSYSTEM_H
#define NVMFT_SUBSYSTEM_H

#include "target.h"

#ifdef __cplusplus
extern "C" {
#endif

struct nvmft_subsystem;
struct nvmft_host;

/* How hosts are given controllers (NVMe Base 2.0, 3.1.2). */
enum nvmft_controller_model {
	NVMFT_CONTROLLERS_DYNAMIC = 0, /* each Connect with CNTLID FFFFh makes a new one */
	NVMFT_CONTROLLERS_STATIC = 1,  /* a fixed set, cntlid_min..cntlid_max, named by the host or FFFEh */
};

/**
 * struct nvmft_subsystem_opts - options of an NVM subsystem; a zero field means the default
 * @size: sizeof(struct nvmft_subsystem_opts)
 * @nqn: NVMe Qualified Name, at most 223 bytes. Required. Copied, as all strings here.
 * @serial: SN, at most 20 printable ASCII characters; default made from the NQN
 * @model: MN, at most 40; default "libnvmft target"
 * @firmware: FR, at most 8; default the library's version
 * @vid, @ssvid: PCI vendor and subsystem vendor identifiers; default 0
 * @ieee_oui: OUI, e.g. 0xe4d25c; default 0
 * @allow_any_host: serve every host NQN, not only those given to nvmft_subsystem_allow_host()
 * @model_kind: dynamic or static controllers
 * @cntlid_min, @cntlid_max: range of controller identifiers; default 1..65519
 * @max_io_queues: I/O queues that one controller grants, 1..65535; default 128
 * @max_namespaces: largest NSID and MNAN; default 1024
 * @max_io_size: largest data transfer in bytes, published as MDTS: a power of two, 8 KiB to
 *               2 MiB; default 1 MiB
 * @max_aers: Asynchronous Event Requests outstanding, 1..256; default 4
 * @max_controllers_per_host: associations that one host NQN may have; default no limit
 */
struct nvmft_subsystem_opts {
	size_t size;
	const char *nqn;
	const char *serial;
	const char *model;
	const char *firmware;
	uint16_t vid;
	uint16_t ssvid;
	uint32_t ieee_oui;
	bool allow_any_host;
	enum nvmft_controller_model model_kind;
	uint16_t cntlid_min;
	uint16_t cntlid_max;
	uint32_t max_io_queues;
	uint32_t max_namespaces;
	uint32_t max_io_size;
	uint32_t max_aers;
	uint32_t max_controllers_per_host;
};

/**
 * nvmft_subsystem_create() - add an NVM subsystem to a target
 * @target: the target
 * @opts: options
 * @subsystem: the new subsystem, owned by the target
 *
 * Hosts reach it through the ports it is linked to, see nvmft_port_link().
 *
 * Context: any thread.
 * Return: 0; -EINVAL for an option out of range (the log names it); -EEXIST for an NQN
 * that exists; -ESHUTDOWN; -ENOMEM.
 */
NVMFT_API int nvmft_subsystem_create(struct nvmft_target *target, const struct nvmft_subsystem_opts *opts,
				     struct nvmft_subsystem **subsystem);

/**
 * nvmft_subsystem_remove() - disconnect its hosts, finish I/O, close its namespaces, free it
 * @subsystem: not to be used again after this call
 * @done: called when the last I/O is over and every backend is closed; may be NULL
 *
 * Context: any thread.
 * Return: 0; -ENOMEM, and nothing changed.
 */
NVMFT_API int nvmft_subsystem_remove(struct nvmft_subsystem *subsystem, struct nvmft_done *done);

/**
 * nvmft_subsystem_find() - subsystem by NQN
 *
 * Context: any thread.
 * Return: the subsystem, or NULL. It stays valid until nvmft_subsystem_remove().
 */
NVMFT_API struct nvmft_subsystem *nvmft_subsystem_find(struct nvmft_target *target, const char *nqn);

/**
 * nvmft_subsystem_allow_host() - let a host connect
 * nvmft_subsystem_deny_host() - no longer; its associations are ended
 *
 * Context: any thread.
 * Return: 0; -EEXIST when it is allowed already; -ENOENT when it is not; -ENOMEM.
 */
NVMFT_API int nvmft_subsystem_allow_host(struct nvmft_subsystem *subsystem, struct nvmft_host *host);
NVMFT_API int nvmft_subsystem_deny_host(struct nvmft_subsystem *subsystem, struct nvmft_host *host);

/**
 * nvmft_subsystem_allow_any_host() - change the option allow_any_host
 *
 * Hosts that are thereby excluded lose their associations.
 *
 * Context: any thread.
 * Return: 0; -ENOMEM.
 */
NVMFT_API int nvmft_subsystem_allow_any_host(struct nvmft_subsystem *subsystem, bool allow);

#ifdef __cplusplus
}
#endif
#endif
