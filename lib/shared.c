/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Objects that several backends of a target use together, found by a key.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "nvmft/provider/backend.h"

/* refs while ops->idle is running: neither in use nor to be destroyed yet. */
#define REFS_IDLING UINT32_MAX

void nvmft_shared_init(struct nvmft_target *target)
{
	pthread_mutex_init(&target->shared_lock, NULL);
	pthread_cond_init(&target->shared_cond, NULL);
}

static void shared_free(struct nvmft_shared *shared)
{
	free(shared->key);
	free(shared);
}

/* The newest goes first: what it uses was there before it, and becomes idle by its end at the latest. */
void nvmft_shared_fini(struct nvmft_target *target)
{
	struct nvmft_shared *shared;

	while ((shared = target->shared)) {
		target->shared = shared->next;
		shared->ops->destroy(shared);
		shared_free(shared);
	}
	pthread_cond_destroy(&target->shared_cond);
	pthread_mutex_destroy(&target->shared_lock);
}

/*
 * One reference more to what is in use. What is idle is taken out instead: the caller destroys it, and nobody else can
 * find it. An ops->idle that is running somewhere does not wait for anything, so waiting for its end is short.
 */
static struct nvmft_shared *shared_find(struct nvmft_target *target, const char *key, bool *idle)
{
	struct nvmft_shared **link, *shared;

	pthread_mutex_lock(&target->shared_lock);
	for (link = &target->shared; (shared = *link); link = &shared->next)
		if (strcmp(shared->key, key) == 0)
			break;
	while (shared && shared->refs == REFS_IDLING)
		pthread_cond_wait(&target->shared_cond, &target->shared_lock);
	*idle = shared && shared->refs == 0;
	if (*idle) {
		/* Only gets and the end of the target change the list, and no two at once: @link is still right. */
		*link = shared->next;
	} else if (shared) {
		shared->refs++;
	}
	pthread_mutex_unlock(&target->shared_lock);
	return shared;
}

/* In the list when it is whole, behind all that ops->create got for it. */
static int shared_create(const struct nvmft_backend *backend, struct nvmft_shared *shared, const void *arg)
{
	struct nvmft_target *target = backend->target;
	int ret = shared->ops->create(shared, backend, arg);

	if (ret)
		return ret;
	shared->refs = 1;
	pthread_mutex_lock(&target->shared_lock);
	shared->next = target->shared;
	target->shared = shared;
	pthread_mutex_unlock(&target->shared_lock);
	return 0;
}

/* Calls are serialised by target->lock, under which backends are opened: no two create the same object. */
int nvmft_shared_get(const struct nvmft_backend *backend, const char *key, const struct nvmft_shared_ops *ops,
		     size_t size, const void *arg, struct nvmft_shared **out)
{
	bool idle;
	struct nvmft_shared *shared = shared_find(backend->target, key, &idle);
	int ret = -ENOMEM;

	if (idle) {
		shared->ops->destroy(shared);
		shared_free(shared);
	} else if (shared) {
		*out = shared;
		return 0;
	}
	shared = zalloc_aligned(size);
	if (!shared)
		return -ENOMEM;
	shared->ops = ops;
	shared->target = backend->target;
	shared->key = strdup(key);
	if (shared->key)
		ret = shared_create(backend, shared, arg);
	if (ret) {
		shared_free(shared);
		return ret;
	}
	*out = shared;
	return 0;
}

/* No lock while ops->idle runs, as it may put what the object itself has got. */
void nvmft_shared_put(struct nvmft_shared *shared)
{
	struct nvmft_target *target = shared->target;

	pthread_mutex_lock(&target->shared_lock);
	if (shared->refs > 1) {
		shared->refs--;
		pthread_mutex_unlock(&target->shared_lock);
		return;
	}
	shared->refs = REFS_IDLING;
	pthread_mutex_unlock(&target->shared_lock);
	shared->ops->idle(shared);
	pthread_mutex_lock(&target->shared_lock);
	shared->refs = 0;
	pthread_cond_broadcast(&target->shared_cond);
	pthread_mutex_unlock(&target->shared_lock);
}

void nvmft_target_log(const struct nvmft_target *target, const char *who, enum nvmft_log_level level,
		      const char *format, ...)
{
	char prefix[96];
	va_list ap;

	snprintf(prefix, sizeof(prefix), "%s: ", who);
	va_start(ap, format);
	nvmft_vlog(target, level, prefix, format, ap);
	va_end(ap);
}
