/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "apply.h"
#include "log.h"

#define REMOVE_TIMEOUT_MS 10000

static struct subsystem_config *successor(struct apply *a, const struct subsystem_config *old)
{
	struct subsystem_config *next = config_find_subsystem(a->next, old->nqn);

	return next && subsystem_same(old, next) ? next : NULL;
}

/* What @next was before, if it is in service. */
static struct subsystem_config *predecessor(struct apply *a, const struct subsystem_config *next)
{
	struct subsystem_config *old = config_find_subsystem(a->old, next->nqn);

	return old && old->live && old->live == next->live ? old : NULL;
}

/* Links of the ports that stay end with the subsystem; the ports must know, to make them again. */
static void forget_links(struct apply *a, const char *nqn)
{
	for (size_t i = 0; i < a->next->nports; i++)
		texts_remove(&a->next->ports[i].linked, nqn);
}

static void remove_subsystem(struct apply *a, struct subsystem_config *s)
{
	struct waiter *w = waiter_new();
	int ret = waiter_wait(w, nvmft_subsystem_remove(s->live, waiter_done(w)), REMOVE_TIMEOUT_MS);

	a->changes++;
	if (ret < 0)
		log_print(NVMFT_LOG_WARN, "subsystem %s is not gone yet: %s", s->nqn,
			  ret == -ETIMEDOUT ? "I/O is still going on" : "no memory");
	s->live = NULL;
	forget_links(a, s->nqn);
}

static void remove_namespace(struct apply *a, const struct subsystem_config *s, struct ns_config *ns)
{
	struct waiter *w = waiter_new();
	int ret = waiter_wait(w, nvmft_namespace_remove(ns->live, waiter_done(w)), REMOVE_TIMEOUT_MS);

	a->changes++;
	if (ret < 0)
		log_print(NVMFT_LOG_WARN, "namespace %u of %s is not gone yet: %s", (unsigned int)ns->nsid, s->nqn,
			  ret == -ETIMEDOUT ? "I/O is still going on" : "no memory");
	ns->live = NULL;
}

static void keep_namespaces(struct apply *a, struct subsystem_config *old, struct subsystem_config *next)
{
	for (size_t i = 0; i < old->nns; i++) {
		struct ns_config *was = &old->ns[i], *is = config_find_ns(next, was->nsid);

		if (!was->live)
			continue;
		if (is && ns_same(was, is))
			is->live = was->live;
		else
			remove_namespace(a, old, was);
	}
}

/* Hosts that lose access, unless every host gets it. */
static void keep_hosts(struct apply *a, struct subsystem_config *old, struct subsystem_config *next)
{
	if (next->allow_any_host && !old->allow_any_host) {
		nvmft_subsystem_allow_any_host(next->live, true);
		a->changes++;
	}
	for (size_t i = 0; i < old->allowed_hosts.n; i++) {
		const char *nqn = old->allowed_hosts.item[i];
		struct nvmft_host *host = nvmft_host_find(a->target, nqn);

		if (!host || texts_has(&next->allowed_hosts, nqn))
			continue;
		nvmft_subsystem_deny_host(next->live, host);
		a->changes++;
	}
}

void apply_remove_subsystems(struct apply *a)
{
	for (size_t i = 0; a->old && i < a->old->nsubsystems; i++) {
		struct subsystem_config *old = &a->old->subsystems[i], *next = successor(a, old);

		if (!old->live)
			continue;
		if (!next) {
			remove_subsystem(a, old);
			continue;
		}
		next->live = old->live;
		keep_hosts(a, old, next);
		keep_namespaces(a, old, next);
	}
}

void apply_remove_hosts(struct apply *a)
{
	for (size_t i = 0; a->old && i < a->old->nhosts; i++) {
		const char *nqn = a->old->hosts[i].nqn;
		struct nvmft_host *host = nvmft_host_find(a->target, nqn);

		if (!host || config_find_host(a->next, nqn))
			continue;
		nvmft_host_remove(host);
		a->changes++;
	}
}

void apply_add_hosts(struct apply *a)
{
	for (size_t i = 0; i < a->next->nhosts; i++) {
		struct host_config *h = &a->next->hosts[i];
		struct nvmft_host *host;
		int ret;

		if (nvmft_host_find(a->target, h->nqn))
			continue;
		a->changes++;
		ret = nvmft_host_create(a->target, h->nqn, &host);
		if (ret == 0)
			continue;
		apply_complain(a, h->where, a->next->from_file ? "nqn" : "", h->nqn, ret);
		a->failed_objects++;
	}
}

static int create_subsystem(struct apply *a, struct subsystem_config *s)
{
	struct nvmft_subsystem_opts opts = {
		.size = sizeof(opts),
		.nqn = s->nqn,
		.serial = s->serial,
		.model = s->model,
		.firmware = s->firmware,
		.vid = (uint16_t)s->vid,
		.ssvid = (uint16_t)s->ssvid,
		.ieee_oui = (uint32_t)s->ieee_oui,
		.allow_any_host = s->allow_any_host,
		.model_kind = (enum nvmft_controller_model)s->controllers,
		.cntlid_min = (uint16_t)s->cntlid_min,
		.cntlid_max = (uint16_t)s->cntlid_max,
		.max_io_queues = (uint32_t)s->max_io_queues,
		.max_namespaces = (uint32_t)s->max_namespaces,
		.max_io_size = (uint32_t)s->max_io_size,
		.max_aers = (uint32_t)s->max_aers,
		.max_controllers_per_host = (uint32_t)s->max_controllers_per_host,
	};
	int ret = nvmft_subsystem_create(a->target, &opts, &s->live);

	a->changes++;
	if (ret == 0)
		return 0;
	s->live = NULL;
	apply_complain(a, a->next->from_file ? s->where : "--subsystem", a->next->from_file ? "nqn" : "", s->nqn, ret);
	a->failed_objects++;
	return ret;
}

static void allow_hosts(struct apply *a, struct subsystem_config *s)
{
	const struct subsystem_config *old = a->old ? predecessor(a, s) : NULL;

	for (size_t i = 0; i < s->allowed_hosts.n; i++) {
		const char *nqn = s->allowed_hosts.item[i];
		struct nvmft_host *host = nvmft_host_find(a->target, nqn);
		int ret = host ? nvmft_subsystem_allow_host(s->live, host) : -ENOENT;

		if (ret == 0)
			a->changes++;
		if (ret == 0 || ret == -EEXIST)
			continue;
		apply_complain(a, s->where, "allowed_hosts", nqn, ret);
		a->failed_objects++;
	}
	/* Last, so that hosts that are on the list keep their associations. */
	if (old && old->allow_any_host && !s->allow_any_host) {
		nvmft_subsystem_allow_any_host(s->live, false);
		a->changes++;
	}
}

/* The volume may have been resized: that is a change, too. */
static void refresh_namespace(struct apply *a, struct ns_config *ns)
{
	struct nvmft_namespace_info before = {.size = sizeof(before)}, after = {.size = sizeof(after)};
	int ret;

	nvmft_namespace_info(ns->live, &before);
	ret = nvmft_namespace_refresh(ns->live);
	if (ret < 0)
		apply_complain(a, ns->where, "device.path", ns->path ? ns->path : "(none)", ret);
	nvmft_namespace_info(ns->live, &after);
	a->changes += before.blocks != after.blocks;
}

static void add_namespaces(struct apply *a, struct subsystem_config *s)
{
	for (size_t i = 0; i < s->nns; i++) {
		struct ns_config *ns = &s->ns[i];

		if (!ns->enable)
			continue;
		if (!ns->live) {
			a->failed_namespaces += apply_add_namespace(a, s, ns) < 0;
			continue;
		}
		refresh_namespace(a, ns);
	}
}

void apply_add_subsystems(struct apply *a)
{
	for (size_t i = 0; i < a->next->nsubsystems; i++) {
		struct subsystem_config *s = &a->next->subsystems[i];

		if (!s->live && create_subsystem(a, s) < 0)
			continue;
		allow_hosts(a, s);
		add_namespaces(a, s);
	}
}
