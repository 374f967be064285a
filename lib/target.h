/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LIB_TARGET_H
#define NVMFT_LIB_TARGET_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "nvmft/nvmft.h"
#include "spec.h"
#include "util.h"

struct nvmft_shared;
struct nvmft_view;
struct nvmft_threads;

/* Something to release once no poll group sees the view it is attached to, see view.h. */
struct retired {
	struct retired *next;
	void (*release)(struct retired *retired); /* any thread, must not block */
};

enum target_state { TARGET_RUNNING, TARGET_STOPPING, TARGET_STOPPED };

struct nvmft_target {
	struct nvmft_target_opts opts; /* defaults filled in; strings copied */
	char discovery_nqn[NVME_NQN_LENGTH];

	/*
	 * Serialises configuration calls, and so protects the mutable configuration: the lists below, what hangs from
	 * them and @disc_genctr. A backend may block while it is held, therefore no poll group ever waits for it.
	 */
	pthread_mutex_t lock;
	TAILQ_HEAD(, nvmft_subsystem) subsystems;
	TAILQ_HEAD(, nvmft_port) ports;
	TAILQ_HEAD(, nvmft_host) hosts;
	uint64_t disc_genctr;
	struct nvmft_view *outgoing; /* replaced since nvmft_target_lock() */
	uint32_t *free_slots; /* namespace slots to use again */
	uint32_t nfree_slots, next_slot, cap_slots;
	struct nvmft_threads *threads;

	/*
	 * Protects @view, @groups and the hand-over of references to views. Held for a few instructions only, so that poll
	 * groups may take it where a view changes, which is never per command.
	 */
	pthread_mutex_t view_lock;
	struct nvmft_view *view; /* newest; never NULL */
	TAILQ_HEAD(, nvmft_poll_group) groups;
	uint32_t ngroups;
	_Atomic uint64_t view_gen; /* generation of @view, so that groups notice a change without the lock */
	atomic_bool notes;         /* changed.c: a backend left a note */

	/*
	 * Protects the list of what backends share, newest first, and its counts. A control thread that finds such an object on its
	 * way to idleness waits for @shared_cond; a poll group's thread never waits.
	 */
	pthread_mutex_t shared_lock;
	pthread_cond_t shared_cond;
	struct nvmft_shared *shared;

	atomic_uint place_next; /* round robin of nvmft_port_place() */

	/* Everything that must be over before nvmft_target_stop() is done: queues, controllers, ports, namespaces. */
	atomic_uint busy;
	_Atomic int state; /* enum target_state */
	struct nvmft_done *stop_done;
	struct nvmft_call stop_call;
	struct retired stop_retired;
	uint64_t created_ns;
	struct nvmft_subsystem *discovery; /* the built-in discovery subsystem; in no list */
};

/* target->lock. At most one nvmft_view_publish() between the two. */
void nvmft_target_lock(struct nvmft_target *target);
void nvmft_target_unlock(struct nvmft_target *target);

/* Holders of target->busy. The last put after nvmft_target_stop() completes it. Context: any thread. */
void nvmft_target_get(struct nvmft_target *target);
void nvmft_target_put(struct nvmft_target *target);

/* The injected clock. */
uint64_t nvmft_target_now(struct nvmft_target *target);

/* Any poll group, to carry a completion; NULL when there is none. */
struct nvmft_poll_group *nvmft_target_any_group(struct nvmft_target *target);

/*
 * The end of a removed object: @deliver tells the host and frees the object, on a poll group's thread and never from inside
 * the call that removed it.
 */
struct nvmft_done_call {
	struct nvmft_call call;
	void (*deliver)(struct nvmft_done_call *dc);
};
void nvmft_done_later(struct nvmft_target *target, struct nvmft_done_call *dc,
		      void (*deliver)(struct nvmft_done_call *dc));

/* Parts of nvmft_target_destroy(). */
void nvmft_ports_free(struct nvmft_target *target);
void nvmft_subsystems_free(struct nvmft_target *target);
void nvmft_hosts_free(struct nvmft_target *target);

/*
 * changed.c: take in what backends said. apply: target->lock is held, and nothing else is published before it is given
 * back; 0, or -ENOMEM and target->notes is still set. poll: part of a pass, when target->notes is set.
 */
int nvmft_notes_apply(struct nvmft_target *target);
void nvmft_notes_poll(struct nvmft_poll_group *group);

/* shared.c. fini: every backend is closed. */
void nvmft_shared_init(struct nvmft_target *target);
void nvmft_shared_fini(struct nvmft_target *target);

/* Parts of configuration calls: -ESHUTDOWN once the target is stopping. target->lock held. */
static inline int nvmft_target_check_running(struct nvmft_target *target)
{
	return atomic_load(&target->state) == TARGET_RUNNING ? 0 : -ESHUTDOWN;
}

#endif
