/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host_loopback_priv.h"
#include "size.h"

static void write_log(void *ctx, enum nvmft_log_level level, const char *message)
{
	(void)ctx;
	(void)level;
	fprintf(stderr, "target: %s\n", message);
}

struct ns_spec {
	char kind[16];
	char arg[512];
	uint64_t bytes;
	uint32_t block_size;
};

/* "KIND:ARGUMENT[,block=N]" */
static int parse_spec(const char *text, struct ns_spec *spec, struct host_error *err)
{
	const char *colon = strchr(text, ':');
	uint64_t block = 0;
	char *option;

	*spec = (struct ns_spec){0};
	if (!colon || colon == text || (size_t)(colon - text) >= sizeof(spec->kind) ||
	    strlen(colon + 1) >= sizeof(spec->arg))
		goto bad;
	memcpy(spec->kind, text, (size_t)(colon - text));
	strcpy(spec->arg, colon + 1);
	option = strrchr(spec->arg, ',');
	if (option) {
		if (strncmp(option, ",block=", 7) || !size_parse(option + 7, &block) || (block != 512 && block != 4096))
			goto bad;
		*option = 0;
	}
	spec->block_size = (uint32_t)block;
	if (strcmp(spec->kind, "file") && (!size_parse(spec->arg, &spec->bytes) || !spec->bytes))
		goto bad;
	return 0;
bad:
	host_fail(err,
		  "loopback:%s: expected memory:SIZE, null:SIZE or file:PATH, then perhaps ,block=512 or ,block=4096",
		  text);
	return -1;
}

static int add_namespace(struct nvmft_subsystem *subsystem, const struct ns_spec *spec)
{
	struct nvmft_null_opts null = {.size = sizeof(null), .bytes = spec->bytes, .block_size = spec->block_size};
	struct nvmft_memory_opts memory = {
		.size = sizeof(memory), .bytes = spec->bytes, .block_size = spec->block_size};
	struct nvmft_file_opts file = {.size = sizeof(file), .path = spec->arg, .block_size = spec->block_size};
	struct nvmft_namespace_opts opts = {.size = sizeof(opts), .nsid = 1};

	if (!strcmp(spec->kind, "null")) {
		opts.backend = nvmft_backend_null();
		opts.backend_opts = &null;
	} else if (!strcmp(spec->kind, "memory")) {
		opts.backend = nvmft_backend_memory();
		opts.backend_opts = &memory;
	} else if (!strcmp(spec->kind, "file")) {
		opts.backend = nvmft_backend_file();
		opts.backend_opts = &file;
	} else {
		return -EINVAL;
	}
	return nvmft_namespace_add(subsystem, &opts, NULL);
}

static int add_service(struct loopback *loopback, const struct ns_spec *spec, const char *subnqn)
{
	struct nvmft_subsystem_opts subsystem_opts = {
		.size = sizeof(subsystem_opts), .nqn = subnqn, .allow_any_host = true, .max_io_queues = 65535};
	struct nvmft_port_opts port_opts = {.size = sizeof(port_opts), .transport = nvmft_transport_loopback()};
	struct nvmft_subsystem *subsystem;
	int rc;

	rc = nvmft_subsystem_create(loopback->target, &subsystem_opts, &subsystem);
	if (!rc)
		rc = add_namespace(subsystem, spec);
	if (!rc)
		rc = nvmft_port_add(loopback->target, &port_opts, &loopback->port);
	if (!rc)
		rc = nvmft_port_link(loopback->port, subsystem);
	return rc;
}

struct loopback *loopback_create(const char *ns, const char *subnqn, unsigned int groups, struct host_error *err)
{
	struct nvmft_target_opts opts = {
		.size = sizeof(opts), .log = {.write = write_log}, .log_level = NVMFT_LOG_WARN};
	struct loopback *loopback;
	struct ns_spec spec;
	unsigned int i;
	int rc;

	if (parse_spec(ns, &spec, err) < 0)
		return NULL;
	loopback = calloc(1, sizeof(*loopback) + groups * sizeof(loopback->groups[0]));
	if (!loopback) {
		host_fail(err, "out of memory");
		return NULL;
	}
	loopback->count = groups;
	rc = nvmft_target_create(&opts, &loopback->target);
	for (i = 0; i < groups && !rc; i++)
		rc = nvmft_poll_group_create(loopback->target, &loopback->groups[i]);
	if (!rc)
		rc = add_service(loopback, &spec, subnqn);
	if (rc) {
		host_fail(err, "loopback:%s: cannot start the target: %s", ns, strerror(-rc));
		loopback->abandoned = true;
		loopback_destroy(loopback);
		return NULL;
	}
	return loopback;
}

static void stopped(struct nvmft_done *done, int result)
{
	struct loopback *loopback = (struct loopback *)(void *)((char *)done - offsetof(struct loopback, stop_done));

	(void)result;
	__atomic_store_n(&loopback->stopped, true, __ATOMIC_RELEASE);
}

/* Every thread comes here; the first one asks the target to stop, and all drive their groups until it has. */
void loopback_stop(struct loopback *loopback, struct nvmft_poll_group *group)
{
	if (!__atomic_exchange_n(&loopback->stopping, true, __ATOMIC_ACQ_REL)) {
		loopback->stop_done.fn = stopped;
		if (nvmft_target_stop(loopback->target, &loopback->stop_done) < 0)
			__atomic_store_n(&loopback->stopped, true, __ATOMIC_RELEASE);
	}
	while (!__atomic_load_n(&loopback->stopped, __ATOMIC_ACQUIRE))
		nvmft_poll(group, 0);
}

void loopback_destroy(struct loopback *loopback)
{
	unsigned int i;

	if (!loopback)
		return;
	/* No thread has polled yet when the start failed: this one may. */
	for (i = 0; loopback->abandoned && i < loopback->count && loopback->groups[i]; i++)
		loopback_stop(loopback, loopback->groups[i]);
	if (loopback->target)
		nvmft_target_destroy(loopback->target);
	free(loopback);
}
