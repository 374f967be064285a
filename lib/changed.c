/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices that change by themselves: another size, gone, and back.
 *
 * A backend's thread only leaves a note. The note becomes part of the configuration under target->lock, by whoever
 * comes first: a poll group at the start of a pass, if it gets the lock at once, or the next call of a control thread.
 * Notes are found from the configuration, so that one of a namespace that was removed meanwhile is never looked at.
 */
#include "log.h"
#include "poll_group.h"
#include "subsystem.h"
#include "view.h"

/* How long a poll group waits when a control call has the lock, or when there was no memory. */
#define RETRY_NS 10000000u

/* A wrapper opens its inner backend itself: the namespace is the outermost one's. */
static struct nvmft_namespace *namespace_of(struct nvmft_backend *backend)
{
	while (backend->outer)
		backend = backend->outer;
	return container_of(backend, struct nvmft_namespace, backend);
}

static void wake_groups(struct nvmft_target *target)
{
	struct nvmft_poll_group *group;

	pthread_mutex_lock(&target->view_lock);
	TAILQ_FOREACH(group, &target->groups, link)
		nvmft_group_wake(group);
	pthread_mutex_unlock(&target->view_lock);
}

void nvmft_backend_changed(struct nvmft_backend *backend, const struct nvmft_backend_info *info)
{
	struct nvmft_namespace *ns = namespace_of(backend);
	struct nvmft_target *target = ns->subsys->target;

	pthread_mutex_lock(&ns->notes_lock);
	ns->note.kind = info ? NOTE_INFO : NOTE_GONE;
	ns->note.inner = backend->outer != NULL;
	if (info)
		nvmft_opts_copy(&ns->note.info, sizeof(ns->note.info), info, info->size);
	pthread_mutex_unlock(&ns->notes_lock);
	/* Sequentially consistent: a group sees it before it sleeps, or this thread sees that the group sleeps. */
	atomic_store(&target->notes, true);
	wake_groups(target);
}

static struct note take_note(struct nvmft_namespace *ns)
{
	struct note note;

	pthread_mutex_lock(&ns->notes_lock);
	note = ns->note;
	ns->note.kind = NOTE_NONE;
	pthread_mutex_unlock(&ns->notes_lock);
	return note;
}

static void set_gone(struct nvmft_namespace *ns, bool gone)
{
	if (ns->gone == gone)
		return;
	ns->gone = gone;
	nvmft_namespace_mark_changed(ns);
	nvmft_log(ns->subsys->target, gone ? NVMFT_LOG_WARN : NVMFT_LOG_INFO,
		  "subsystem %s: namespace %u: its device is %s", ns->subsys->nqn, ns->nsid, gone ? "gone" : "back");
}

static void apply_note(struct nvmft_namespace *ns)
{
	struct note note = take_note(ns);
	struct nvmft_backend_info info = note.info;

	if (note.kind == NOTE_GONE)
		set_gone(ns, true);
	if (note.kind != NOTE_INFO)
		return;
	info.size = sizeof(info);
	/* What a wrapper makes of the rest, only its ops->info knows, which may block. */
	if (note.inner) {
		info = ns->info;
		info.blocks = note.info.blocks;
		info.read_only = note.info.read_only;
	}
	if (nvmft_namespace_take_info(ns, &info) == 0)
		set_gone(ns, false);
}

int nvmft_notes_apply(struct nvmft_target *target)
{
	struct nvmft_subsystem *subsys;
	struct nvmft_namespace *ns;
	bool dirty = false;
	int ret = 0;

	atomic_store(&target->notes, false);
	if (nvmft_target_check_running(target) != 0)
		return 0;
	TAILQ_FOREACH(subsys, &target->subsystems, link)
	{
		TAILQ_FOREACH(ns, &subsys->namespaces, link)
			apply_note(ns);
		dirty |= subsys->dirty;
	}
	if (dirty)
		ret = nvmft_view_publish(target, NULL, false);
	/* What was taken in so far stays, and is published with the next view. */
	if (ret)
		atomic_store(&target->notes, true);
	return ret;
}

/* The pass after it looks again. */
static void retry(struct nvmft_timer *timer)
{
	(void)timer;
}

void nvmft_notes_poll(struct nvmft_poll_group *group)
{
	struct nvmft_target *target = group->target;
	int ret;

	if (group->notes_retry.armed)
		return;
	/* A backend may block while it is held elsewhere, and a poll group never waits for it. */
	ret = pthread_mutex_trylock(&target->lock);
	if (!ret) {
		ret = nvmft_notes_apply(target);
		nvmft_target_unlock(target);
	}
	if (!ret)
		return;
	group->notes_retry.fn = retry;
	nvmft_timer_arm(group, &group->notes_retry, RETRY_NS, 0);
}
