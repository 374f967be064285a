/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hosts, known by their NQN.
 */
#include <errno.h>
#include <stdlib.h>

#include "log.h"
#include "subsystem.h"
#include "view.h"

static struct nvmft_host *host_lookup(struct nvmft_target *target, const char *nqn)
{
	struct nvmft_host *host;

	TAILQ_FOREACH(host, &target->hosts, link)
		if (strcmp(host->nqn, nqn) == 0)
			return host;
	return NULL;
}

int nvmft_host_create(struct nvmft_target *target, const char *nqn, struct nvmft_host **out)
{
	struct nvmft_host *host;
	int ret;

	if (!nqn || !nvmft_nqn_valid(nqn)) {
		nvmft_log(target, NVMFT_LOG_ERROR, "host: nqn: not an NQN of at most %d bytes", NVMFT_NQN_MAX);
		return -EINVAL;
	}
	host = calloc(1, sizeof(*host));
	if (!host)
		return -ENOMEM;
	host->target = target;
	strcpy(host->nqn, nqn);
	nvmft_target_lock(target);
	ret = nvmft_target_check_running(target);
	if (!ret && host_lookup(target, nqn))
		ret = -EEXIST;
	if (!ret)
		TAILQ_INSERT_TAIL(&target->hosts, host, link);
	nvmft_target_unlock(target);
	if (ret) {
		nvmft_log(target, NVMFT_LOG_ERROR, "host: nqn: %s: %s", nqn, strerrordesc_np(-ret));
		free(host);
		return ret;
	}
	if (out)
		*out = host;
	return 0;
}

struct nvmft_host *nvmft_host_find(struct nvmft_target *target, const char *nqn)
{
	struct nvmft_host *host;

	nvmft_target_lock(target);
	host = host_lookup(target, nqn);
	nvmft_target_unlock(target);
	return host;
}

static void host_retired(struct retired *retired)
{
	free(container_of(retired, struct nvmft_host, retire));
}

int nvmft_host_remove(struct nvmft_host *host)
{
	struct nvmft_target *target = host->target;
	int ret;

	nvmft_target_lock(target);
	ret = nvmft_target_check_running(target);
	if (ret)
		goto out;
	host->gone = true;
	host->retire.release = host_retired;
	nvmft_subsystems_mark_host(target, host);
	ret = nvmft_view_publish(target, &host->retire, true);
	if (ret) {
		host->gone = false;
	} else {
		nvmft_subsystems_forget_host(target, host);
		TAILQ_REMOVE(&target->hosts, host, link);
	}
out:
	nvmft_target_unlock(target);
	return ret;
}

void nvmft_hosts_free(struct nvmft_target *target)
{
	struct nvmft_host *host;

	while ((host = TAILQ_FIRST(&target->hosts))) {
		TAILQ_REMOVE(&target->hosts, host, link);
		free(host);
	}
}
