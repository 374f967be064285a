/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PERF_HOST_LOOPBACK_H
#define PERF_HOST_LOOPBACK_H

#include "host.h"

/* A target inside this process, and the host side of its loopback transport. */
struct loopback;

/*
 * Make a target with one namespace, "memory:SIZE", "null:SIZE" or "file:PATH", each with ",block=4096" if wanted, and
 * @groups poll groups.
 */
struct loopback *loopback_create(const char *ns, const char *subnqn, unsigned int groups, struct host_error *err);

/* The host's end of a poll group. */
struct host_group *loopback_group(struct loopback *loopback, unsigned int index, struct host_error *err);

/* After host_stop() in every group. */
void loopback_destroy(struct loopback *loopback);

#endif
