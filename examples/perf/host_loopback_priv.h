/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PERF_HOST_LOOPBACK_PRIV_H
#define PERF_HOST_LOOPBACK_PRIV_H

#include <errno.h>

#include <nvmft/nvmft.h>

#include "host_loopback.h"

struct loopback {
	struct nvmft_target *target;
	struct nvmft_port *port;
	struct nvmft_done stop_done;
	bool stopping;
	bool stopped;
	bool abandoned;
	unsigned int count;
	struct nvmft_poll_group *groups[];
};

void loopback_stop(struct loopback *loopback, struct nvmft_poll_group *group);

#endif
