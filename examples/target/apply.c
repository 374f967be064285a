/* SPDX-License-Identifier: BSD-3-Clause */
#include "apply.h"

#include <errno.h>
#include <string.h>

#include "log.h"

static const char *reason(int err)
{
	switch (err) {
	case -EBUSY:
		return "in use by another process or target";
	case -EOVERFLOW:
	case -ENOSPC:
		return "no room";
	default:
		return strerror(-err);
	}
}

void apply_complain(struct apply *a, const char *where, const char *key, const char *value, int err)
{
	log_print(NVMFT_LOG_ERROR, "%s: %s%s%s: %s: %s", a->next->source, where, *where && *key ? "." : "", key, value,
		  reason(err));
}

/*
 * What goes away goes first, so that its addresses, names and files are free. Access is narrowed before anything new
 * can be reached, and a port is opened last, when all that it leads to is there.
 */
void apply(struct apply *a)
{
	apply_remove_ports(a);
	apply_remove_subsystems(a);
	apply_add_hosts(a);
	apply_add_subsystems(a);
	apply_remove_hosts(a);
	apply_add_ports(a);
}
