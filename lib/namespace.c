/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Namespaces: opened with their backend, changed and removed while in use.
 */
#include <errno.h>
#include <stdlib.h>

#include "channel.h"
#include "log.h"
#include "pass.h"
#include "subsystem.h"
#include "view.h"

static void ns_log_field(struct nvmft_subsystem *subsys, const char *field, const char *problem)
{
	nvmft_log(subsys->target, NVMFT_LOG_ERROR, "subsystem %s: namespace: %s: %s", subsys->nqn, field, problem);
}

static struct nvmft_namespace *ns_lookup(struct nvmft_subsystem *subsys, uint32_t nsid)
{
	struct nvmft_namespace *ns;

	TAILQ_FOREACH(ns, &subsys->namespaces, link)
		if (ns->nsid == nsid)
			return ns;
	return NULL;
}

static uint32_t ns_lowest_free(struct nvmft_subsystem *subsys)
{
	struct nvmft_namespace *ns;
	uint32_t nsid = 1;

	TAILQ_FOREACH(ns, &subsys->namespaces, link)
		if (ns->nsid == nsid)
			nsid++;
	return nsid;
}

static int ns_choose_nsid(struct nvmft_subsystem *subsys, uint32_t *nsid)
{
	if (*nsid && ns_lookup(subsys, *nsid)) {
		ns_log_field(subsys, "nsid", "in use");
		return -EEXIST;
	}
	if (!*nsid) {
		*nsid = ns_lowest_free(subsys);
		if (*nsid > subsys->opts.max_namespaces) {
			ns_log_field(subsys, "nsid", "none is free");
			return -ENOSPC;
		}
	}
	if (*nsid > subsys->opts.max_namespaces) {
		ns_log_field(subsys, "nsid", "above max_namespaces");
		return -EINVAL;
	}
	return 0;
}

/* ---- slots: small numbers by which poll groups find their channel; recycled on any thread, hence view_lock ---- */

static int slot_take(struct nvmft_target *target, uint32_t *slot)
{
	uint32_t *grown;
	int ret = 0;

	pthread_mutex_lock(&target->view_lock);
	/* Room to give every slot back is made here, so that giving back cannot fail. */
	if (target->next_slot == target->cap_slots) {
		grown = realloc(target->free_slots, (target->cap_slots * 2 + 16) * sizeof(*grown));
		if (grown) {
			target->free_slots = grown;
			target->cap_slots = target->cap_slots * 2 + 16;
		}
	}
	if (target->nfree_slots)
		*slot = target->free_slots[--target->nfree_slots];
	else if (target->next_slot < target->cap_slots)
		*slot = target->next_slot++;
	else
		ret = -ENOMEM;
	pthread_mutex_unlock(&target->view_lock);
	return ret;
}

static void slot_give_back(struct nvmft_target *target, uint32_t slot)
{
	pthread_mutex_lock(&target->view_lock);
	target->free_slots[target->nfree_slots++] = slot;
	pthread_mutex_unlock(&target->view_lock);
}

/* ---- identifiers ---- */

static bool all_zero(const uint8_t *id, size_t len)
{
	while (len--)
		if (*id++)
			return false;
	return true;
}

static uint64_t hash64(uint64_t seed, const char *text, uint32_t nsid)
{
	uint64_t hash = 0xcbf29ce484222325ull ^ seed;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ull;
	for (; nsid; nsid >>= 8)
		hash = (hash ^ (nsid & 0xff)) * 0x100000001b3ull;
	return hash ^ (hash >> 29);
}

/* Hosts find their disks again by these, so they must not change from one start to the next. */
static void ns_derive_ids(struct nvmft_namespace *ns)
{
	uint64_t id[2];

	id[0] = htobe64(hash64(1, ns->subsys->nqn, ns->nsid));
	id[1] = htobe64(hash64(2, ns->subsys->nqn, ns->nsid));
	memcpy(ns->nguid, id, 16);
	id[0] ^= htobe64(hash64(3, ns->subsys->nqn, ns->nsid));
	memcpy(ns->uuid, id, 16);
	ns->uuid[6] = (uint8_t)((ns->uuid[6] & 0x0f) | 0x80); /* version 8: vendor defined */
	ns->uuid[8] = (uint8_t)((ns->uuid[8] & 0x3f) | 0x80);
}

static bool ns_has_ids(const struct nvmft_namespace *ns)
{
	return !all_zero(ns->uuid, 16) || !all_zero(ns->nguid, 16) || !all_zero(ns->eui64, 8);
}

/*
 * What is configured, else what the device has, else what is made up. Some hosts, ESXi among them, name a disk by its NGUID or
 * EUI64 only, so that a UUID alone is not enough.
 */
static void ns_choose_ids(struct nvmft_namespace *ns)
{
	uint8_t uuid[16];

	if (!ns_has_ids(ns)) {
		memcpy(ns->uuid, ns->info.uuid, sizeof(ns->uuid));
		memcpy(ns->nguid, ns->info.nguid, sizeof(ns->nguid));
		memcpy(ns->eui64, ns->info.eui64, sizeof(ns->eui64));
	}
	if (!all_zero(ns->nguid, 16) || !all_zero(ns->eui64, 8))
		return;
	memcpy(uuid, ns->uuid, sizeof(uuid));
	ns_derive_ids(ns);
	if (!all_zero(uuid, 16))
		memcpy(ns->uuid, uuid, sizeof(uuid));
}

/* ---- opening ---- */

static int backend_check_ops(struct nvmft_subsystem *subsys, const struct nvmft_backend_ops *ops)
{
	if (!ops || ops->api != NVMFT_PROVIDER_API || ops->size < offsetof(struct nvmft_backend_ops, flush) || !ops->open ||
	    !ops->close || !ops->info || !ops->submit) {
		ns_log_field(subsys, "backend", "missing, of another API level, or without open, close, info or submit");
		return -EINVAL;
	}
	if (ops->io_size > NVMFT_IO_PRIV_MAX) {
		ns_log_field(subsys, "backend", "io_size above NVMFT_IO_PRIV_MAX");
		return -EINVAL;
	}
	return 0;
}

static int backend_check_info(struct nvmft_namespace *ns, const struct nvmft_backend_info *info)
{
	if ((info->block_size != 512 && info->block_size != 4096) || !info->blocks) {
		ns_log_field(ns->subsys, "backend", "block size is not 512 or 4096, or it has no blocks");
		return -EINVAL;
	}
	if (info->volatile_cache && info->flush == NVMFT_CAP_NONE) {
		ns_log_field(ns->subsys, "backend", "has a volatile cache and cannot flush it");
		return -EINVAL;
	}
	if (info->lends_reads && !ns->ops.lend_end) {
		ns_log_field(ns->subsys, "backend", "lends its pages and cannot take them back");
		return -EINVAL;
	}
	if (info->align > 4096 || (info->align & (info->align - 1))) {
		ns_log_field(ns->subsys, "backend", "align is not a power of two up to 4096");
		return -EINVAL;
	}
	if (info->max_bytes && info->max_bytes < ns->subsys->opts.max_io_size) {
		ns_log_field(ns->subsys, "backend", "takes less in one I/O than the subsystem's max_io_size");
		return -EINVAL;
	}
	return nvmft_pass_check_info(ns, info);
}

static int backend_read_info(struct nvmft_namespace *ns, struct nvmft_backend_info *info)
{
	int ret;

	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	ret = ns->ops.info(&ns->backend, info);
	return ret ? ret : backend_check_info(ns, info);
}

static int ns_open_backend(struct nvmft_namespace *ns, const struct nvmft_namespace_opts *opts)
{
	int ret;

	ns->backend.ops = &ns->ops;
	ns->backend.target = ns->subsys->target;
	if (ns->ops.backend_size) {
		ns->backend.priv = zalloc_aligned(ns->ops.backend_size);
		if (!ns->backend.priv)
			return -ENOMEM;
	}
	ret = ns->ops.open(&ns->backend, opts->backend_opts);
	if (ret)
		goto out_free;
	ret = backend_read_info(ns, &ns->info);
	if (!ret)
		return 0;
	ns->ops.close(&ns->backend);
out_free:
	free(ns->backend.priv);
	return ret;
}

static void ns_free(struct nvmft_namespace *ns)
{
	pthread_mutex_destroy(&ns->notes_lock);
	pthread_mutex_destroy(&ns->stats_lock);
	free(ns->backend.priv);
	free(ns);
}

static int ns_create(struct nvmft_subsystem *subsys, const struct nvmft_namespace_opts *opts,
		     struct nvmft_namespace **out)
{
	struct nvmft_namespace *ns = calloc(1, sizeof(*ns));
	int ret;

	if (!ns)
		return -ENOMEM;
	ns->subsys = subsys;
	ns->nsid = opts->nsid;
	ns->read_only = opts->read_only;
	memcpy(ns->uuid, opts->uuid, sizeof(ns->uuid));
	memcpy(ns->nguid, opts->nguid, sizeof(ns->nguid));
	memcpy(ns->eui64, opts->eui64, sizeof(ns->eui64));
	nvmft_opts_copy(&ns->ops, sizeof(ns->ops), opts->backend, opts->backend->size);
	atomic_init(&ns->refs, 1);
	pthread_mutex_init(&ns->stats_lock, NULL);
	pthread_mutex_init(&ns->notes_lock, NULL);
	LIST_INIT(&ns->channels);
	ret = slot_take(subsys->target, &ns->slot);
	if (ret)
		goto out_free;
	ret = ns_open_backend(ns, opts);
	if (ret)
		goto out_slot;
	ns_choose_ids(ns);
	*out = ns;
	return 0;

out_slot:
	ns->backend.priv = NULL;
	slot_give_back(subsys->target, ns->slot);
out_free:
	ns_free(ns);
	return ret;
}

static void ns_insert_sorted(struct nvmft_subsystem *subsys, struct nvmft_namespace *ns)
{
	struct nvmft_namespace *after;

	TAILQ_FOREACH(after, &subsys->namespaces, link)
		if (after->nsid > ns->nsid)
			break;
	if (after)
		TAILQ_INSERT_BEFORE(after, ns, link);
	else
		TAILQ_INSERT_TAIL(&subsys->namespaces, ns, link);
	subsys->dirty = true;
}

void nvmft_namespace_mark_changed(struct nvmft_namespace *ns)
{
	ns->changed = ns->subsys->target->view->gen + 1;
	ns->subsys->dirty = true;
}

static void ns_undo_create(struct nvmft_namespace *ns)
{
	ns->ops.close(&ns->backend);
	slot_give_back(ns->subsys->target, ns->slot);
	ns_free(ns);
}

static int ns_add_locked(struct nvmft_subsystem *subsys, struct nvmft_namespace_opts *opts, struct nvmft_namespace **out)
{
	struct nvmft_namespace *ns = NULL;
	int ret = nvmft_target_check_running(subsys->target);

	if (!ret)
		ret = backend_check_ops(subsys, opts->backend);
	if (!ret)
		ret = ns_choose_nsid(subsys, &opts->nsid);
	if (!ret)
		ret = ns_create(subsys, opts, &ns);
	if (ret)
		return ret;
	ns_insert_sorted(subsys, ns);
	nvmft_namespace_mark_changed(ns);
	ret = nvmft_view_publish(subsys->target, NULL, false);
	if (ret) {
		TAILQ_REMOVE(&subsys->namespaces, ns, link);
		ns_undo_create(ns);
		return ret;
	}
	nvmft_subsystem_get(subsys);
	if (out)
		*out = ns;
	return 0;
}

int nvmft_namespace_add(struct nvmft_subsystem *subsys, const struct nvmft_namespace_opts *opts,
			struct nvmft_namespace **out)
{
	struct nvmft_namespace_opts o;
	int ret;

	nvmft_opts_copy(&o, sizeof(o), opts, opts ? opts->size : 0);
	nvmft_target_lock(subsys->target);
	ret = ns_add_locked(subsys, &o, out);
	nvmft_target_unlock(subsys->target);
	return ret;
}

/* ---- the end ---- */

static void ns_deliver(struct nvmft_done_call *dc)
{
	struct nvmft_namespace *ns = container_of(dc, struct nvmft_namespace, done_call);
	struct nvmft_done *done = ns->removed;
	struct nvmft_subsystem *subsys = ns->subsys;

	ns->ops.close(&ns->backend);
	slot_give_back(subsys->target, ns->slot);
	ns_free(ns);
	if (done)
		done->fn(done, 0);
	nvmft_subsystem_put(subsys);
}

void nvmft_namespace_get(struct nvmft_namespace *ns)
{
	atomic_fetch_add(&ns->refs, 1);
}

void nvmft_namespace_put(struct nvmft_namespace *ns)
{
	if (atomic_fetch_sub(&ns->refs, 1) == 1)
		nvmft_done_later(ns->subsys->target, &ns->done_call, ns_deliver);
}

static void ns_retired(struct retired *retired)
{
	nvmft_namespace_put(container_of(retired, struct nvmft_namespace, retire));
}

struct retired *nvmft_namespaces_retire(struct nvmft_subsystem *subsys, struct retired *chain)
{
	struct nvmft_namespace *ns;

	TAILQ_FOREACH(ns, &subsys->namespaces, link)
	{
		ns->retire.release = ns_retired;
		ns->retire.next = chain;
		chain = &ns->retire;
	}
	return chain;
}

void nvmft_namespaces_free(struct nvmft_subsystem *subsys)
{
	struct nvmft_namespace *ns;

	while ((ns = TAILQ_FIRST(&subsys->namespaces))) {
		TAILQ_REMOVE(&subsys->namespaces, ns, link);
		nvmft_namespace_put(ns);
	}
}

int nvmft_namespace_remove(struct nvmft_namespace *ns, struct nvmft_done *done)
{
	struct nvmft_subsystem *subsys = ns->subsys;
	int ret;

	nvmft_target_lock(subsys->target);
	ret = nvmft_target_check_running(subsys->target);
	if (ret)
		goto out;
	TAILQ_REMOVE(&subsys->namespaces, ns, link);
	subsys->dirty = true;
	ns->removed = done;
	ns->retire.release = ns_retired;
	ns->retire.next = NULL;
	ret = nvmft_view_publish(subsys->target, &ns->retire, false);
	if (ret) {
		ns->removed = NULL;
		ns_insert_sorted(subsys, ns);
	}
out:
	nvmft_target_unlock(subsys->target);
	return ret;
}

int nvmft_namespace_take_info(struct nvmft_namespace *ns, const struct nvmft_backend_info *info)
{
	int ret = backend_check_info(ns, info);

	if (ret)
		return ret;
	if (info->block_size != ns->info.block_size || info->csi != ns->info.csi) {
		ns_log_field(ns->subsys, "backend", "its block size or command set changed");
		return -EINVAL;
	}
	if (memcmp(info, &ns->info, sizeof(*info)) == 0)
		return 0;
	ns->info = *info;
	nvmft_namespace_mark_changed(ns);
	return 0;
}

int nvmft_namespace_refresh(struct nvmft_namespace *ns)
{
	struct nvmft_target *target = ns->subsys->target;
	struct nvmft_backend_info info, before;
	int ret;

	nvmft_target_lock(target);
	before = ns->info;
	ret = nvmft_target_check_running(target);
	if (!ret)
		ret = backend_read_info(ns, &info);
	if (!ret)
		ret = nvmft_namespace_take_info(ns, &info);
	if (!ret && ns->subsys->dirty) {
		ret = nvmft_view_publish(target, NULL, false);
		if (ret)
			ns->info = before;
	}
	nvmft_target_unlock(target);
	return ret;
}

struct nvmft_namespace *nvmft_namespace_find(struct nvmft_subsystem *subsys, uint32_t nsid)
{
	struct nvmft_namespace *ns;

	nvmft_target_lock(subsys->target);
	ns = ns_lookup(subsys, nsid);
	nvmft_target_unlock(subsys->target);
	return ns;
}

int nvmft_namespace_info(struct nvmft_namespace *ns, struct nvmft_namespace_info *info)
{
	struct nvmft_namespace_info now = {.size = info->size, .nsid = ns->nsid};

	if (info->size < sizeof(info->size))
		return -EINVAL;
	nvmft_target_lock(ns->subsys->target);
	now.block_size = ns->info.block_size;
	now.blocks = ns->info.blocks;
	now.read_only = ns->read_only || ns->info.read_only;
	nvmft_target_unlock(ns->subsys->target);
	memcpy(info, &now, info->size < sizeof(now) ? info->size : sizeof(now));
	return 0;
}
