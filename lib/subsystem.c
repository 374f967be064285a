/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NVM subsystems: their identity, who may use them, and their end.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "port.h"
#include "subsystem.h"
#include "view.h"

#define DEFAULT_MAX_IO (1u << 20)
#define LARGEST_MAX_IO (2u << 20)

bool nvmft_nqn_valid(const char *nqn)
{
	size_t len = strnlen(nqn, NVMFT_NQN_MAX + 1);
	size_t i;

	/* Names such as "testnqn" are in use with other targets: hosts take them, so why not. */
	if (!len || len > NVMFT_NQN_MAX)
		return false;
	for (i = 0; i < len; i++)
		if ((unsigned char)nqn[i] <= ' ' || (unsigned char)nqn[i] == 0x7f)
			return false;
	return true;
}

static int bad_field(struct nvmft_target *target, const char *field, const char *expected)
{
	nvmft_log(target, NVMFT_LOG_ERROR, "subsystem: %s: %s", field, expected);
	return -EINVAL;
}

static bool printable(const char *text, size_t max)
{
	size_t len = strnlen(text, max + 1), i;

	if (len > max)
		return false;
	for (i = 0; i < len; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			return false;
	return true;
}

static void subsystem_default_opts(struct nvmft_subsystem_opts *o)
{
	if (!o->cntlid_min)
		o->cntlid_min = 1;
	if (!o->cntlid_max)
		o->cntlid_max = NVMFT_CNTLID_MAX;
	if (!o->max_io_queues)
		o->max_io_queues = 128;
	if (!o->max_namespaces)
		o->max_namespaces = 1024;
	if (!o->max_io_size)
		o->max_io_size = DEFAULT_MAX_IO;
	if (!o->max_aers)
		o->max_aers = 4;
}

static int subsystem_check_opts(struct nvmft_target *target, const struct nvmft_subsystem_opts *o)
{
	if (!o->nqn || !nvmft_nqn_valid(o->nqn))
		return bad_field(target, "nqn", "not an NQN of at most 223 bytes");
	if (strcmp(o->nqn, NVMFT_DISCOVERY_NQN) == 0 || strcmp(o->nqn, target->discovery_nqn) == 0)
		return bad_field(target, "nqn", "is the NQN of the discovery subsystem");
	if (o->serial && !printable(o->serial, 20))
		return bad_field(target, "serial", "at most 20 printable ASCII characters");
	if (o->model && !printable(o->model, 40))
		return bad_field(target, "model", "at most 40 printable ASCII characters");
	if (o->firmware && !printable(o->firmware, 8))
		return bad_field(target, "firmware", "at most 8 printable ASCII characters");
	if (o->ieee_oui > 0xffffff)
		return bad_field(target, "ieee_oui", "24 bits");
	if (o->model_kind != NVMFT_CONTROLLERS_DYNAMIC && o->model_kind != NVMFT_CONTROLLERS_STATIC)
		return bad_field(target, "model_kind", "dynamic or static");
	if (o->cntlid_min > o->cntlid_max || o->cntlid_max > NVMFT_CNTLID_MAX)
		return bad_field(target, "cntlid_min, cntlid_max", "a range within 1..65519");
	if (o->max_io_queues > 65535)
		return bad_field(target, "max_io_queues", "1..65535");
	if (o->max_namespaces >= 0xfffffffe)
		return bad_field(target, "max_namespaces", "1..4294967293");
	/* MDTS 0, which 4096 would be, means "no limit". */
	if (o->max_io_size < 8192 || o->max_io_size > LARGEST_MAX_IO || (o->max_io_size & (o->max_io_size - 1)))
		return bad_field(target, "max_io_size", "a power of two, 8192..2097152");
	if (o->max_aers > 256)
		return bad_field(target, "max_aers", "1..256");
	return 0;
}

/* A serial number of its own for each NQN, the same at each start: hosts remember it (FNV-1a, 64 bits). */
static void default_serial(const char *nqn, char *serial, size_t size)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (; *nqn; nqn++)
		hash = (hash ^ (unsigned char)*nqn) * 0x100000001b3ull;
	snprintf(serial, size, "%016llx", (unsigned long long)hash);
}

static void subsystem_take_strings(struct nvmft_subsystem *subsys)
{
	struct nvmft_subsystem_opts *o = &subsys->opts;

	strcpy(subsys->nqn, o->nqn);
	if (o->serial)
		snprintf(subsys->serial, sizeof(subsys->serial), "%s", o->serial);
	else
		default_serial(subsys->nqn, subsys->serial, sizeof(subsys->serial));
	snprintf(subsys->model, sizeof(subsys->model), "%s", o->model ? o->model : "libnvmft target");
	if (o->firmware)
		snprintf(subsys->firmware, sizeof(subsys->firmware), "%s", o->firmware);
	else
		snprintf(subsys->firmware, sizeof(subsys->firmware), "%d.%d.%d", NVMFT_VERSION_MAJOR, NVMFT_VERSION_MINOR,
			 NVMFT_VERSION_PATCH);
	o->nqn = subsys->nqn;
	o->serial = subsys->serial;
	o->model = subsys->model;
	o->firmware = subsys->firmware;
}

static struct nvmft_subsystem *subsystem_alloc(struct nvmft_target *target, const struct nvmft_subsystem_opts *opts)
{
	struct nvmft_subsystem *subsys = calloc(1, sizeof(*subsys));

	if (!subsys)
		return NULL;
	subsys->target = target;
	subsys->opts = *opts;
	subsystem_take_strings(subsys);
	subsys->mdts = (uint8_t)(__builtin_ctz(opts->max_io_size) - 12);
	subsys->allow_any_host = opts->allow_any_host;
	subsys->next_cntlid = opts->cntlid_min;
	subsys->dirty = true;
	atomic_init(&subsys->refs, 1);
	pthread_mutex_init(&subsys->ctrl_lock, NULL);
	TAILQ_INIT(&subsys->namespaces);
	TAILQ_INIT(&subsys->ctrls);
	return subsys;
}

static void subsystem_free(struct nvmft_subsystem *subsys)
{
	pthread_mutex_destroy(&subsys->ctrl_lock);
	free(subsys->published);
	free(subsys->hosts);
	free(subsys);
}

static void subsystem_deliver(struct nvmft_done_call *dc)
{
	struct nvmft_subsystem *subsys = container_of(dc, struct nvmft_subsystem, done_call);
	struct nvmft_done *done = subsys->removed;

	subsystem_free(subsys);
	if (done)
		done->fn(done, 0);
}

void nvmft_subsystem_get(struct nvmft_subsystem *subsys)
{
	atomic_fetch_add(&subsys->refs, 1);
}

void nvmft_subsystem_put(struct nvmft_subsystem *subsys)
{
	if (atomic_fetch_sub(&subsys->refs, 1) == 1)
		nvmft_done_later(subsys->target, &subsys->done_call, subsystem_deliver);
}

/* The discovery subsystem (3.1.2.2): built in, allowed to every host, in no list and no view. */
int nvmft_discovery_subsystem_create(struct nvmft_target *target)
{
	struct nvmft_subsystem_opts opts = {
		.nqn = target->discovery_nqn[0] ? target->discovery_nqn : NVMFT_DISCOVERY_NQN,
		.model = "libnvmft discovery",
		.allow_any_host = true,
	};

	subsystem_default_opts(&opts);
	target->discovery = subsystem_alloc(target, &opts);
	if (!target->discovery)
		return -ENOMEM;
	target->discovery->discovery = true;
	return 0;
}

static struct nvmft_subsystem *subsystem_lookup(struct nvmft_target *target, const char *nqn)
{
	struct nvmft_subsystem *subsys;

	TAILQ_FOREACH(subsys, &target->subsystems, link)
		if (strcmp(subsys->nqn, nqn) == 0)
			return subsys;
	return NULL;
}

static int subsystem_insert(struct nvmft_target *target, struct nvmft_subsystem *subsys)
{
	int ret = nvmft_target_check_running(target);

	if (ret)
		return ret;
	if (subsystem_lookup(target, subsys->nqn))
		return -EEXIST;
	TAILQ_INSERT_TAIL(&target->subsystems, subsys, link);
	ret = nvmft_view_publish(target, NULL, false);
	if (ret)
		TAILQ_REMOVE(&target->subsystems, subsys, link);
	return ret;
}

int nvmft_subsystem_create(struct nvmft_target *target, const struct nvmft_subsystem_opts *opts,
			   struct nvmft_subsystem **out)
{
	struct nvmft_subsystem_opts o;
	struct nvmft_subsystem *subsys;
	int ret;

	nvmft_opts_copy(&o, sizeof(o), opts, opts ? opts->size : 0);
	subsystem_default_opts(&o);
	ret = subsystem_check_opts(target, &o);
	if (ret)
		return ret;
	subsys = subsystem_alloc(target, &o);
	if (!subsys)
		return -ENOMEM;
	nvmft_target_lock(target);
	ret = subsystem_insert(target, subsys);
	nvmft_target_unlock(target);
	if (ret) {
		nvmft_log(target, NVMFT_LOG_ERROR, "subsystem: nqn: %s: %s", subsys->nqn, strerrordesc_np(-ret));
		subsystem_free(subsys);
		return ret;
	}
	if (out)
		*out = subsys;
	return 0;
}

struct nvmft_subsystem *nvmft_subsystem_find(struct nvmft_target *target, const char *nqn)
{
	struct nvmft_subsystem *subsys;

	nvmft_target_lock(target);
	subsys = subsystem_lookup(target, nqn);
	nvmft_target_unlock(target);
	return subsys;
}

static void subsystem_retired(struct retired *retired)
{
	nvmft_subsystem_put(container_of(retired, struct nvmft_subsystem, retire));
}

int nvmft_subsystem_remove(struct nvmft_subsystem *subsys, struct nvmft_done *done)
{
	struct nvmft_target *target = subsys->target;
	struct retired *chain;
	int ret;

	nvmft_target_lock(target);
	ret = nvmft_target_check_running(target);
	if (ret)
		goto out;
	subsys->gone = true;
	subsys->retire.release = subsystem_retired;
	subsys->retire.next = NULL;
	TAILQ_REMOVE(&target->subsystems, subsys, link);
	chain = nvmft_namespaces_retire(subsys, &subsys->retire);
	subsys->removed = done;
	ret = nvmft_view_publish(target, chain, true);
	if (ret) {
		subsys->gone = false;
		subsys->removed = NULL;
		TAILQ_INSERT_TAIL(&target->subsystems, subsys, link);
	} else {
		nvmft_ports_forget_subsystem(target, subsys);
	}
out:
	nvmft_target_unlock(target);
	return ret;
}

/* The target is being destroyed: no group and no view is left. */
void nvmft_subsystems_free(struct nvmft_target *target)
{
	struct nvmft_subsystem *subsys;

	while ((subsys = TAILQ_FIRST(&target->subsystems))) {
		TAILQ_REMOVE(&target->subsystems, subsys, link);
		nvmft_namespaces_free(subsys);
		nvmft_subsystem_put(subsys);
	}
}

/* ---- hosts ---- */

static int find_host(const struct nvmft_subsystem *subsys, const struct nvmft_host *host)
{
	uint32_t i;

	for (i = 0; i < subsys->nhosts; i++)
		if (subsys->hosts[i] == host)
			return (int)i;
	return -ENOENT;
}

static int add_host(struct nvmft_subsystem *subsys, struct nvmft_host *host)
{
	struct nvmft_host **hosts;
	int ret = nvmft_target_check_running(subsys->target);

	if (ret)
		return ret;
	if (find_host(subsys, host) >= 0)
		return -EEXIST;
	hosts = realloc(subsys->hosts, (subsys->nhosts + 1) * sizeof(struct nvmft_host *));
	if (!hosts)
		return -ENOMEM;
	subsys->hosts = hosts;
	hosts[subsys->nhosts++] = host;
	subsys->dirty = true;
	ret = nvmft_view_publish(subsys->target, NULL, true);
	if (ret)
		subsys->nhosts--;
	return ret;
}

int nvmft_subsystem_allow_host(struct nvmft_subsystem *subsys, struct nvmft_host *host)
{
	int ret;

	nvmft_target_lock(subsys->target);
	ret = add_host(subsys, host);
	nvmft_target_unlock(subsys->target);
	return ret;
}

static int deny_host(struct nvmft_subsystem *subsys, struct nvmft_host *host)
{
	int ret = nvmft_target_check_running(subsys->target), at;

	if (ret)
		return ret;
	at = find_host(subsys, host);
	if (at < 0)
		return at;
	subsys->hosts[at] = subsys->hosts[--subsys->nhosts];
	subsys->dirty = true;
	ret = nvmft_view_publish(subsys->target, NULL, true);
	if (ret) {
		subsys->hosts[subsys->nhosts++] = subsys->hosts[at];
		subsys->hosts[at] = host;
	}
	return ret;
}

int nvmft_subsystem_deny_host(struct nvmft_subsystem *subsys, struct nvmft_host *host)
{
	int ret;

	nvmft_target_lock(subsys->target);
	ret = deny_host(subsys, host);
	nvmft_target_unlock(subsys->target);
	return ret;
}

int nvmft_subsystem_allow_any_host(struct nvmft_subsystem *subsys, bool allow)
{
	bool before;
	int ret;

	nvmft_target_lock(subsys->target);
	ret = nvmft_target_check_running(subsys->target);
	if (ret)
		goto out;
	before = subsys->allow_any_host;
	subsys->allow_any_host = allow;
	subsys->dirty = true;
	ret = nvmft_view_publish(subsys->target, NULL, true);
	if (ret)
		subsys->allow_any_host = before;
out:
	nvmft_target_unlock(subsys->target);
	return ret;
}

void nvmft_subsystems_mark_host(struct nvmft_target *target, const struct nvmft_host *host)
{
	struct nvmft_subsystem *subsys;

	TAILQ_FOREACH(subsys, &target->subsystems, link)
		if (find_host(subsys, host) >= 0)
			subsys->dirty = true;
}

void nvmft_subsystems_forget_host(struct nvmft_target *target, const struct nvmft_host *host)
{
	struct nvmft_subsystem *subsys;
	int at;

	TAILQ_FOREACH(subsys, &target->subsystems, link)
	{
		at = find_host(subsys, host);
		if (at >= 0)
			subsys->hosts[at] = subsys->hosts[--subsys->nhosts];
	}
}
