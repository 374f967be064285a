/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_EXAMPLE_APPLY_H
#define NVMFT_EXAMPLE_APPLY_H

#include <nvmft/nvmft.h>

#include "config.h"

/*
 * From one configuration to the next with the fewest changes to the running target. Objects of @next that are in
 * service afterwards have their live members set; what could not be done is reported and left out, and tried again the
 * next time.
 */
struct apply {
	struct nvmft_target *target;
	struct config *old; /* what is in service, or NULL */
	struct config *next;
	unsigned int failed_objects; /* ports, subsystems, hosts, links, referrals */
	unsigned int failed_namespaces;
	unsigned int changes;
};

void apply(struct apply *a);

/* One line about an object that could not be made: where it stands, its value, and the reason. */
void apply_complain(struct apply *a, const char *where, const char *key, const char *value, int err);

/* Steps of apply(), in the rooms of the objects. */
void apply_remove_ports(struct apply *a);
void apply_remove_subsystems(struct apply *a);
void apply_remove_hosts(struct apply *a);
void apply_add_hosts(struct apply *a);
void apply_add_subsystems(struct apply *a);
void apply_add_ports(struct apply *a);

/* A namespace of a subsystem that is in service. */
int apply_add_namespace(struct apply *a, struct subsystem_config *s, struct ns_config *ns);

/*
 * Wait for the completion of an asynchronous control operation. A waiter that was not answered in time stays allocated,
 * as the library will still call it.
 */
struct waiter;
struct waiter *waiter_new(void);
struct nvmft_done *waiter_done(struct waiter *w);
int waiter_wait(struct waiter *w, int start_result, int timeout_ms);

#endif
