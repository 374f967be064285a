/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_LB_HOST_H
#define BENCH_LB_HOST_H

#include <nvmft/nvmft.h>

#include "host_pdu.h"

/* A target with one namespace, one poll group and one port, driven by the calling thread. */
struct lb_target {
	struct nvmft_target *target;
	struct nvmft_poll_group *group;
	struct nvmft_port *port;
	struct nvmft_done done;
	bool stopped;
	uint16_t cntlid;
};

/* @kind: "null", "memory", "nvme:/dev/ngXnY" or "vfio:ADDRESS/NSID"; a device has its own size. @traddr: with a port of
 * the kernel's choice. Each returns 0 or -errno. */
int lb_start(struct lb_target *lb, const struct nvmft_transport_ops *transport, const char *traddr, const char *kind,
	     uint64_t bytes);

/* Connect a queue over loopback; the admin queue's controller is enabled too. */
int lb_connect(struct lb_target *lb, uint16_t qid, uint16_t sqsize, struct nvmft_loopback_queue **queue);

void lb_stop(struct lb_target *lb);

double lb_seconds(void);

/* Resident bytes of this process. */
uint64_t lb_rss(void);

#endif
