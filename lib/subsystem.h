/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LIB_SUBSYSTEM_H
#define NVMFT_LIB_SUBSYSTEM_H

#include "nvmft/provider/backend.h"
#include "spec.h"
#include "target.h"

struct nvmft_ctrl;
struct ns_channel;
struct request;
struct ns_view;
struct subsys_view;

struct nvmft_host {
	struct nvmft_target *target;
	TAILQ_ENTRY(nvmft_host) link;
	char nqn[NVME_NQN_LENGTH];
	bool gone; /* target->lock: being removed, not for views */
	struct retired retire;
};

/* What a backend said with nvmft_backend_changed() and the configuration does not have yet. */
struct note {
	enum { NOTE_NONE, NOTE_INFO, NOTE_GONE } kind;
	bool inner; /* by a backend inside a wrapper */
	struct nvmft_backend_info info;
};

/*
 * A namespace. Fields above the line never change after nvmft_namespace_add(). Facts that change (size) are in ns_view.
 */
struct nvmft_namespace {
	struct nvmft_subsystem *subsys;
	uint32_t nsid;
	uint32_t slot; /* index of its channel in every poll group */
	uint8_t uuid[16], nguid[16], eui64[8];
	bool read_only; /* by configuration */
	struct nvmft_backend_ops ops; /* zero-padded copy */
	struct nvmft_backend backend;
	/* ---- target->lock ---- */
	TAILQ_ENTRY(nvmft_namespace) link;
	struct nvmft_backend_info info;
	bool gone; /* its device is: inactive for all hosts */
	uint64_t changed; /* view generation of the last change */
	struct retired retire;
	/* ---- any thread ---- */
	atomic_uint refs; /* the configuration, and each open channel; the last closes the backend */
	struct nvmft_done *removed; /* to be told */
	struct nvmft_done_call done_call;
	pthread_mutex_t stats_lock; /* the list of channels and the sums of closed ones; never per command */
	LIST_HEAD(, ns_channel) channels;
	struct nvmft_namespace_stats closed_stats;
	pthread_mutex_t notes_lock;
	struct note note; /* of the backend, for changed.c */
	_Atomic(struct request *) fused_tail; /* fused.c: serialises Compare and Write over all poll groups; zero when idle */
};

struct nvmft_subsystem {
	struct nvmft_target *target;
	TAILQ_ENTRY(nvmft_subsystem) link; /* target->lock */
	struct nvmft_subsystem_opts opts;  /* defaults filled in; strings below */
	char nqn[NVME_NQN_LENGTH];
	char serial[20 + 1], model[40 + 1], firmware[8 + 1];
	bool discovery; /* the built-in discovery subsystem */
	uint8_t mdts;   /* in units of 4 KiB, a power of two */
	/* ---- target->lock ---- */
	TAILQ_HEAD(, nvmft_namespace) namespaces; /* sorted by NSID */
	bool allow_any_host;
	struct nvmft_host **hosts;
	uint32_t nhosts;
	bool gone;  /* being removed, not for views */
	bool dirty; /* differs from @published */
	struct subsys_view *published;
	struct retired retire;
	/* ---- any thread ---- */
	atomic_uint refs; /* the configuration, each namespace, each controller */
	struct nvmft_done *removed;
	struct nvmft_done_call done_call;
	/* Controllers by CNTLID. Taken at Connect and when a controller goes, for a few instructions. */
	pthread_mutex_t ctrl_lock;
	TAILQ_HEAD(, nvmft_ctrl) ctrls;
	uint32_t nctrls;
	uint16_t next_cntlid;
};

int nvmft_discovery_subsystem_create(struct nvmft_target *target);
void nvmft_subsystem_get(struct nvmft_subsystem *subsys);
void nvmft_subsystem_put(struct nvmft_subsystem *subsys);
void nvmft_namespace_get(struct nvmft_namespace *ns);
void nvmft_namespace_put(struct nvmft_namespace *ns);

/* New facts: 0, or -EINVAL and they are refused. Its facts are new with the next view. target->lock held. */
int nvmft_namespace_take_info(struct nvmft_namespace *ns, const struct nvmft_backend_info *info);
void nvmft_namespace_mark_changed(struct nvmft_namespace *ns);

/* Part of removing a subsystem: link its namespaces into the chain of what is retired. target->lock held. */
struct retired *nvmft_namespaces_retire(struct nvmft_subsystem *subsys, struct retired *chain);
/* Free a namespace that no group has ever seen, or when no group is left. */
void nvmft_namespaces_free(struct nvmft_subsystem *subsys);
/* A host goes: the subsystems that allow it differ from what is published, and then forget it. target->lock held. */
void nvmft_subsystems_mark_host(struct nvmft_target *target, const struct nvmft_host *host);
void nvmft_subsystems_forget_host(struct nvmft_target *target, const struct nvmft_host *host);

/*
 * Sum of the statistics of every namespace of a subsystem as of the view, for the SMART log; and of one, added to @sum.
 * Blocks count 512 bytes here, whatever the namespaces' formats.
 */
void nvmft_subsystem_sum_stats(const struct subsys_view *sv, struct nvmft_namespace_stats *sum);
void nvmft_ns_view_add_stats(const struct ns_view *nsv, struct nvmft_namespace_stats *sum);

/* An NQN as it is taken here: 1..223 bytes without white space or control characters (4.5 wants "nqn." in front). */
bool nvmft_nqn_valid(const char *nqn);

#endif
