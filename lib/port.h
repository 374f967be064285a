/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LIB_PORT_H
#define NVMFT_LIB_PORT_H

#include "nvmft/provider/transport.h"
#include "spec.h"
#include "target.h"
#include "view.h"

struct nvmft_port {
	struct nvmft_target *target;
	TAILQ_ENTRY(nvmft_port) link; /* target->lock */
	struct nvmft_transport_ops ops; /* zero-padded copy */
	struct nvmft_transport_port tp;
	struct nvmft_port_opts opts; /* defaults filled in; strings below */
	char traddr[NVMF_TRADDR_SIZE], trsvcid[NVMF_TRSVCID_SIZE];
	char announce[NVMF_TRADDR_SIZE];
	uint8_t adrfam;
	struct nvmft_poll_group *group; /* accepts */
	/* ---- target->lock ---- */
	struct nvmft_subsystem **links;
	uint32_t nlinks;
	struct referral *referrals;
	uint32_t nreferrals;
	struct retired retire;
	/* ---- any thread ---- */
	atomic_uint refs;        /* the configuration, the listener, each queue */
	atomic_uint connections; /* open */
	atomic_uint pending;     /* not connected yet */
	atomic_bool closing;
	pthread_mutex_t addr_lock; /* pending connections by address; taken at accept and Connect */
	struct port_addr *addrs;
	uint32_t naddrs, cap_addrs;
	struct nvmft_done *removed;
	struct nvmft_done_call done_call;
	struct nvmft_call start_call, stop_call;
};

void nvmft_port_get(struct nvmft_port *port);
void nvmft_port_put(struct nvmft_port *port);

/* Close the listener, once. target->lock held. */
void nvmft_port_stop_accepting(struct nvmft_port *port);
/* A subsystem goes: take its links away. target->lock held. */
void nvmft_ports_forget_subsystem(struct nvmft_target *target, struct nvmft_subsystem *subsys);

/* Limits of connections that have not completed Connect. open returns 0 or -EDQUOT. */
int nvmft_port_pending_open(struct nvmft_port *port, uint64_t address_key);
void nvmft_port_pending_close(struct nvmft_port *port, uint64_t address_key);

#endif
