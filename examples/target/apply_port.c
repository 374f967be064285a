/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "apply.h"
#include "field.h"
#include "log.h"

#define REMOVE_TIMEOUT_MS 10000

/* The port of the next configuration that takes over the listener of @old, or NULL. */
static struct port_config *successor(struct apply *a, const struct port_config *old)
{
	for (size_t i = 0; i < a->next->nports; i++) {
		if (!a->next->ports[i].live && port_same(old, &a->next->ports[i]))
			return &a->next->ports[i];
	}
	return NULL;
}

static void remove_port(struct apply *a, struct port_config *p)
{
	struct waiter *w = waiter_new();
	int ret = waiter_wait(w, nvmft_port_remove(p->live, waiter_done(w)), REMOVE_TIMEOUT_MS);

	a->changes++;
	if (ret < 0)
		log_print(NVMFT_LOG_WARN, "port %s:%s is not closed yet: %s", p->addr.traddr, p->addr.trsvcid,
			  ret == -ETIMEDOUT ? "I/O is still going on" : "no memory");
	p->live = NULL;
}

static void keep_port(struct apply *a, struct port_config *old, struct port_config *next)
{
	next->live = old->live;
	next->linked = old->linked;
	old->linked = (struct texts){NULL, 0};
	for (size_t i = next->linked.n; i > 0; i--) {
		const char *nqn = next->linked.item[i - 1];
		struct subsystem_config *s = config_find_subsystem(a->old, nqn);

		if (texts_has(&next->subsystems, nqn))
			continue;
		a->changes++;
		if (s && s->live)
			nvmft_port_unlink(next->live, s->live);
		texts_remove(&next->linked, nqn);
	}
}

static struct referral_config *find_referral(struct port_config *p, const struct address *addr)
{
	for (size_t i = 0; i < p->nreferrals; i++) {
		if (address_equal(&p->referrals[i].addr, addr))
			return &p->referrals[i];
	}
	return NULL;
}

static void keep_referrals(struct apply *a, struct port_config *old, struct port_config *next)
{
	for (size_t i = 0; i < old->nreferrals; i++) {
		struct referral_config *was = &old->referrals[i], *is = find_referral(next, &was->addr);

		if (!was->live)
			continue;
		if (is && referral_same(was, is)) {
			is->live = true;
			continue;
		}
		nvmft_port_remove_referral(next->live, was->addr.traddr, was->addr.trsvcid);
		a->changes++;
	}
}

void apply_remove_ports(struct apply *a)
{
	for (size_t i = 0; a->old && i < a->old->nports; i++) {
		struct port_config *old = &a->old->ports[i], *next = successor(a, old);

		if (!old->live)
			continue;
		if (!next) {
			remove_port(a, old);
			continue;
		}
		keep_port(a, old, next);
		keep_referrals(a, old, next);
	}
}

static struct nvmft_tcp_opts tcp_opts(const struct port_config *p)
{
	return (struct nvmft_tcp_opts){
		.size = sizeof(struct nvmft_tcp_opts),
		.maxh2cdata = (uint32_t)p->maxh2cdata,
		.backlog = (int)p->backlog,
		.hpda_cpda = (uint8_t)p->cpda,
		.no_hdgst = p->no_hdgst,
		.no_ddgst = p->no_ddgst,
		.reuseport = p->reuseport,
		.priority = (int)p->priority,
		.sndbuf = (int)p->sndbuf,
		.rcvbuf = (int)p->rcvbuf,
	};
}

static struct nvmft_rdma_opts rdma_opts(const struct port_config *p)
{
	return (struct nvmft_rdma_opts){
		.size = sizeof(struct nvmft_rdma_opts),
		.backlog = (int)p->backlog,
		.receives = (uint32_t)p->receives,
		.per_queue_receives = p->per_queue_receives,
	};
}

/* The subsystems of a new port, for nvmft_port_add(); what does not fit in memory is linked afterwards. */
static uint32_t first_links(struct apply *a, struct port_config *p, struct nvmft_subsystem ***list)
{
	uint32_t n = 0;

	*list = calloc(p->subsystems.n + 1, sizeof(**list));
	for (size_t i = 0; *list && i < p->subsystems.n; i++) {
		struct subsystem_config *s = config_find_subsystem(a->next, p->subsystems.item[i]);

		if (s && s->live && !texts_has(&p->linked, p->subsystems.item[i])) {
			texts_add(&p->linked, p->subsystems.item[i]);
			(*list)[n++] = s->live;
		}
	}
	return n;
}

static int add_port(struct apply *a, struct port_config *p)
{
	struct nvmft_tcp_opts tcp = tcp_opts(p);
	struct nvmft_rdma_opts rdma = rdma_opts(p);
	bool is_rdma = p->addr.trtype == TRTYPE_RDMA;
	struct nvmft_subsystem **subsystems;
	struct nvmft_port_opts opts = {
		.size = sizeof(opts),
		.transport = is_rdma ? nvmft_transport_rdma() : nvmft_transport_tcp(),
		.transport_opts = is_rdma ? (void *)&rdma : (void *)&tcp,
		.portid = (uint16_t)p->portid,
		.traddr = p->addr.traddr,
		.trsvcid = p->addr.trsvcid,
		.announce_traddr = p->announce,
		.no_in_capsule = p->in_capsule_size == 0,
		.in_capsule_size = p->in_capsule_size == FIELD_AUTO_VALUE ? 0 : (uint32_t)p->in_capsule_size,
		.max_queue_depth = p->max_queue_depth == FIELD_AUTO_VALUE ? 0 : (uint32_t)p->max_queue_depth,
		.max_connections = (uint32_t)p->max_connections,
		.max_pending = (uint32_t)p->max_pending,
		.max_pending_per_address = (uint32_t)p->max_pending_per_address,
	};
	char value[320];
	int ret;

	opts.nsubsystems = first_links(a, p, &subsystems);
	opts.subsystems = subsystems;
	ret = nvmft_port_add(a->target, &opts, &p->live);
	free(subsystems);
	a->changes += 1 + opts.nsubsystems;
	if (ret == 0)
		return 0;
	p->live = NULL;
	texts_clear(&p->linked);
	snprintf(value, sizeof(value), "%s port %s", p->addr.traddr, p->addr.trsvcid);
	apply_complain(a, p->where, a->next->from_file ? "addr.traddr" : "", value, ret);
	a->failed_objects++;
	return ret;
}

static void add_links(struct apply *a, struct port_config *p)
{
	for (size_t i = 0; i < p->subsystems.n; i++) {
		const char *nqn = p->subsystems.item[i];
		struct subsystem_config *s = config_find_subsystem(a->next, nqn);
		int ret;

		if (texts_has(&p->linked, nqn) || !s || !s->live)
			continue;
		a->changes++;
		ret = nvmft_port_link(p->live, s->live);
		if (ret == 0) {
			texts_add(&p->linked, nqn);
			continue;
		}
		apply_complain(a, p->where, "subsystems", nqn, ret);
		a->failed_objects++;
	}
}

static void add_referrals(struct apply *a, struct port_config *p)
{
	for (size_t i = 0; i < p->nreferrals; i++) {
		struct referral_config *ref = &p->referrals[i];
		struct nvmft_referral_opts opts = {
			.size = sizeof(opts),
			.portid = (uint16_t)ref->portid,
			.trtype = (uint8_t)ref->addr.trtype,
			.adrfam = (uint8_t)ref->addr.adrfam,
			.traddr = ref->addr.traddr,
			.trsvcid = ref->addr.trsvcid,
			.nqn = ref->nqn,
		};
		int ret;

		if (ref->live || !ref->enable)
			continue;
		a->changes++;
		ret = nvmft_port_add_referral(p->live, &opts);
		ref->live = ret == 0;
		if (ret == 0)
			continue;
		apply_complain(a, ref->where, "addr.traddr", ref->addr.traddr, ret);
		a->failed_objects++;
	}
}

void apply_add_ports(struct apply *a)
{
	for (size_t i = 0; i < a->next->nports; i++) {
		struct port_config *p = &a->next->ports[i];

		if (!p->live && add_port(a, p) < 0)
			continue;
		add_links(a, p);
		add_referrals(a, p);
	}
}
