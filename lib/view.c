/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Views: how a change of the configuration reaches the poll groups without pausing anything.
 */
#include <errno.h>
#include <stdlib.h>

#include "channel.h"
#include "controller.h"
#include "log.h"
#include "port.h"
#include "queue.h"
#include "view.h"

static void subsys_view_put(struct subsys_view *sv)
{
	if (sv && atomic_fetch_sub(&sv->refs, 1) == 1)
		free(sv);
}

static struct subsys_view *subsys_view_build(struct nvmft_subsystem *subsys)
{
	struct nvmft_namespace *ns;
	struct subsys_view *sv;
	uint32_t nns = 0, i;

	TAILQ_FOREACH(ns, &subsys->namespaces, link)
		nns++;
	/* One block, so that a view is freed as it was made: whole. */
	sv = calloc(1, sizeof(*sv) + nns * (sizeof(*sv->ns) + sizeof(struct nvmft_namespace *)) +
			       subsys->nhosts * sizeof(*sv->hosts));
	if (!sv)
		return NULL;
	atomic_init(&sv->refs, 1);
	sv->subsys = subsys;
	sv->allow_any_host = subsys->allow_any_host;
	sv->ns = (struct ns_view *)(sv + 1);
	sv->gone = (struct nvmft_namespace **)(sv->ns + nns);
	sv->hosts = (struct nvmft_host **)(sv->gone + nns);
	TAILQ_FOREACH(ns, &subsys->namespaces, link)
	{
		if (ns->gone) {
			sv->gone[sv->ngone++] = ns;
			continue;
		}
		sv->ns[sv->nns++] = (struct ns_view){
			.ns = ns,
			.nsid = ns->nsid,
			.info = ns->info,
			.lba_shift = (uint8_t)__builtin_ctz(ns->info.block_size),
			.read_only = ns->read_only || ns->info.read_only,
			.picky = ns->info.align > 1 || ns->info.needs_regions,
			.max_blocks = (uint64_t)1 << (12 + subsys->mdts) >> __builtin_ctz(ns->info.block_size),
			.changed = ns->changed,
		};
	}
	for (i = 0; i < subsys->nhosts; i++)
		if (!subsys->hosts[i]->gone)
			sv->hosts[sv->nhosts++] = subsys->hosts[i];
	return sv;
}

static void view_free(struct nvmft_view *view)
{
	uint32_t i;

	for (i = 0; i < view->nsubsys; i++)
		subsys_view_put(view->subsys[i]);
	for (i = 0; i < view->nports; i++)
		free(view->ports[i].links);
	free(view->subsys);
	free(view->ports);
	free(view);
}

static int port_view_build(struct port_view *pv, struct nvmft_port *port)
{
	size_t links = port->nlinks * sizeof(*port->links);
	size_t referrals = port->nreferrals * sizeof(*port->referrals);
	uint32_t i;

	pv->port = port;
	pv->links = malloc(links + referrals + 1);
	if (!pv->links)
		return -ENOMEM;
	for (i = 0; i < port->nlinks; i++)
		if (!port->links[i]->gone)
			pv->links[pv->nlinks++] = port->links[i];
	pv->referrals = (struct referral *)(void *)(pv->links + port->nlinks);
	pv->nreferrals = port->nreferrals;
	if (referrals)
		memcpy(pv->referrals, port->referrals, referrals);
	return 0;
}

static int view_fill_ports(struct nvmft_view *view, struct nvmft_target *target)
{
	struct nvmft_port *port;
	uint32_t n = 0;

	TAILQ_FOREACH(port, &target->ports, link)
		n++;
	view->ports = calloc(n + 1, sizeof(*view->ports));
	if (!view->ports)
		return -ENOMEM;
	TAILQ_FOREACH(port, &target->ports, link)
	{
		if (port_view_build(&view->ports[view->nports], port) != 0)
			return -ENOMEM;
		view->nports++;
	}
	return 0;
}

static int view_by_nqn(const void *a, const void *b)
{
	struct subsys_view *const *x = a, *const *y = b;

	return strcmp((*x)->subsys->nqn, (*y)->subsys->nqn);
}

static int view_fill_subsystems(struct nvmft_view *view, struct nvmft_target *target)
{
	struct nvmft_subsystem *subsys;
	uint32_t n = 0;

	TAILQ_FOREACH(subsys, &target->subsystems, link)
		n++;
	view->subsys = calloc(n + 1, sizeof(struct subsys_view *));
	if (!view->subsys)
		return -ENOMEM;
	TAILQ_FOREACH(subsys, &target->subsystems, link)
	{
		struct subsys_view *sv = subsys->published;

		if (subsys->dirty || !sv)
			sv = subsys_view_build(subsys);
		else
			atomic_fetch_add(&sv->refs, 1);
		if (!sv)
			return -ENOMEM;
		view->subsys[view->nsubsys++] = sv;
	}
	qsort(view->subsys, view->nsubsys, sizeof(struct subsys_view *), view_by_nqn);
	return 0;
}

static struct nvmft_view *view_build(struct nvmft_target *target)
{
	struct nvmft_view *view = calloc(1, sizeof(*view));

	if (!view)
		return NULL;
	view->target = target;
	view->stopping = atomic_load(&target->state) != TARGET_RUNNING;
	if (view_fill_subsystems(view, target) != 0 || view_fill_ports(view, target) != 0) {
		view_free(view);
		return NULL;
	}
	return view;
}

/* Each subsystem keeps the part that it contributed, to use again while it does not change. */
static void view_commit_subsystems(struct nvmft_view *view)
{
	uint32_t i;

	for (i = 0; i < view->nsubsys; i++) {
		struct subsys_view *sv = view->subsys[i];

		if (sv->subsys->published != sv) {
			subsys_view_put(sv->subsys->published);
			atomic_fetch_add(&sv->refs, 1);
			sv->subsys->published = sv;
		}
		sv->subsys->dirty = false;
	}
}

/* Free @view and all successors that thereby lose their last reference; run what they retired. No lock is held. */
static void view_put(struct nvmft_target *target, struct nvmft_view *view)
{
	while (view) {
		struct nvmft_view *next;
		struct retired *retired;

		pthread_mutex_lock(&target->view_lock);
		if (--view->refs > 0) {
			pthread_mutex_unlock(&target->view_lock);
			return;
		}
		next = view->next;
		pthread_mutex_unlock(&target->view_lock);
		retired = view->retired;
		view_free(view);
		while (retired) {
			struct retired *r = retired;

			retired = r->next;
			r->release(r);
		}
		view = next;
	}
}

int nvmft_view_init(struct nvmft_target *target)
{
	target->view = view_build(target);
	if (!target->view)
		return -ENOMEM;
	target->view->refs = 1;
	target->view->gen = 1;
	target->view->disc_genctr = target->disc_genctr;
	atomic_store(&target->view_gen, 1);
	return 0;
}

void nvmft_view_fini(struct nvmft_target *target)
{
	struct nvmft_view *view = target->view;

	target->view = NULL;
	if (view)
		view_put(target, view);
}

int nvmft_view_publish(struct nvmft_target *target, struct retired *retired, bool discovery)
{
	struct nvmft_view *view = view_build(target), *old;
	struct nvmft_poll_group *group;

	if (!view)
		return -ENOMEM;
	view_commit_subsystems(view);
	if (discovery)
		target->disc_genctr++;
	view->disc_genctr = target->disc_genctr;

	pthread_mutex_lock(&target->view_lock);
	old = target->view;
	view->gen = old->gen + 1;
	view->refs = 2; /* the newest, and the predecessor's */
	old->next = view;
	old->retired = retired;
	target->view = view;
	atomic_store(&target->view_gen, view->gen);
	TAILQ_FOREACH(group, &target->groups, link)
		nvmft_group_wake(group);
	pthread_mutex_unlock(&target->view_lock);
	target->outgoing = old;
	return 0;
}

/* What devices did by themselves comes first, with a view of its own; without a poll group nobody else sees to it. */
void nvmft_target_lock(struct nvmft_target *target)
{
	pthread_mutex_lock(&target->lock);
	if (likely(!atomic_load(&target->notes)))
		return;
	(void)nvmft_notes_apply(target);
	nvmft_target_unlock(target);
	pthread_mutex_lock(&target->lock);
}

/*
 * The reference to the view that was replaced is dropped outside the lock, because what it retired may call back into
 * the host when no poll group is there to carry the call.
 */
void nvmft_target_unlock(struct nvmft_target *target)
{
	struct nvmft_view *outgoing = target->outgoing;

	target->outgoing = NULL;
	pthread_mutex_unlock(&target->lock);
	if (outgoing)
		view_put(target, outgoing);
}

/* ---- what a poll group does ---- */

static void update_queues(struct nvmft_poll_group *group)
{
	struct nvmft_queue *queue, *tmp;

	TAILQ_FOREACH_SAFE(queue, &group->queues, link, tmp)
	{
		if (queue->sv)
			queue->sv = nvmft_view_subsys_of(group->view, queue->ctrl->subsys);
		if (group->view->stopping || !nvmft_view_port(group->view, queue->port))
			nvmft_queue_shut(queue);
	}
}

static void update_channels(struct nvmft_poll_group *group)
{
	uint32_t slot;

	for (slot = 0; slot < group->nchannels; slot++) {
		struct ns_channel *channel = group->channels[slot];

		if (!channel)
			continue;
		if (!nvmft_view_configured(nvmft_view_subsys_of(group->view, channel->ns->subsys), channel->ns))
			nvmft_channel_close(channel);
	}
}

void nvmft_view_update(struct nvmft_poll_group *group)
{
	struct nvmft_target *target = group->target;
	struct nvmft_view *before = group->view;
	struct nvmft_ctrl *ctrl, *tmp;

	pthread_mutex_lock(&target->view_lock);
	group->view = target->view;
	group->view->refs++;
	pthread_mutex_unlock(&target->view_lock);

	update_queues(group);
	TAILQ_FOREACH_SAFE(ctrl, &group->ctrls, group_link, tmp)
		nvmft_ctrl_view_changed(ctrl, before);
	update_channels(group);
	view_put(target, before);
}

void nvmft_view_leave(struct nvmft_poll_group *group)
{
	view_put(group->target, group->view);
}

/* ---- look-ups ---- */

/* Stands for a subsystem that the view does not have: no namespaces, no hosts. */
static const struct subsys_view no_subsys;

const struct subsys_view *nvmft_view_subsys(const struct nvmft_view *view, const char *nqn)
{
	uint32_t lo = 0, hi = view->nsubsys;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int cmp = strcmp(nqn, view->subsys[mid]->subsys->nqn);

		if (cmp == 0)
			return view->subsys[mid];
		if (cmp < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

const struct subsys_view *nvmft_view_subsys_of(const struct nvmft_view *view, const struct nvmft_subsystem *subsys)
{
	const struct subsys_view *sv = nvmft_view_subsys(view, subsys->nqn);

	return sv && sv->subsys == subsys ? sv : &no_subsys;
}

bool nvmft_view_configured(const struct subsys_view *sv, const struct nvmft_namespace *ns)
{
	const struct ns_view *nsv = nvmft_view_ns(sv, ns->nsid);
	uint32_t i;

	if (nsv)
		return nsv->ns == ns;
	for (i = 0; i < sv->ngone; i++)
		if (sv->gone[i] == ns)
			return true;
	return false;
}

bool nvmft_view_gone(const struct subsys_view *sv, uint32_t nsid)
{
	uint32_t i;

	for (i = 0; i < sv->ngone; i++)
		if (sv->gone[i]->nsid == nsid)
			return true;
	return false;
}

const struct port_view *nvmft_view_port(const struct nvmft_view *view, const struct nvmft_port *port)
{
	uint32_t i;

	for (i = 0; i < view->nports; i++)
		if (view->ports[i].port == port)
			return &view->ports[i];
	return NULL;
}

bool nvmft_view_linked(const struct port_view *pv, const struct nvmft_subsystem *subsys)
{
	uint32_t i;

	for (i = 0; pv && i < pv->nlinks; i++)
		if (pv->links[i] == subsys)
			return true;
	return false;
}

bool nvmft_view_host_allowed(const struct subsys_view *sv, const char *hostnqn)
{
	uint32_t i;

	if (sv->allow_any_host)
		return true;
	for (i = 0; i < sv->nhosts; i++)
		if (strcmp(sv->hosts[i]->nqn, hostnqn) == 0)
			return true;
	return false;
}
