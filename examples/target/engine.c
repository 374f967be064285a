/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "apply.h"
#include "log.h"

static int create_target(struct engine *e, const struct target_config *t)
{
	struct nvmft_target_opts opts = {
		.size = sizeof(opts),
		.log = {.write = log_write},
		.log_level = (enum nvmft_log_level)t->log_level,
		.data_memory_max = t->data_memory_max,
		.connect_timeout_ms = (uint32_t)t->connect_timeout_ms,
		.discovery_nqn = t->discovery_nqn,
	};
	int ret = nvmft_target_create(&opts, &e->target);

	log_set_level(opts.log_level);
	if (ret < 0)
		log_print(NVMFT_LOG_ERROR, "cannot create a target: %s", strerror(-ret));
	return ret;
}

static int start_threads(struct engine *e, const struct target_config *t)
{
	struct nvmft_threads_opts opts = {
		.size = sizeof(opts),
		.threads = t->threads ? (unsigned int)t->threads : t->ncpus,
		.cpus = t->cpus,
		.ncpus = t->ncpus,
		.mode = (enum nvmft_poll_mode)t->poll,
		.spin_us = (unsigned int)t->spin_us,
	};
	int ret = nvmft_threads_start(e->target, &opts);

	if (ret == 0) {
		e->threads = true;
		return 0;
	}
	if (ret == -ENOMEM)
		log_print(NVMFT_LOG_ERROR, "cannot start the threads: %s (rings count as locked memory: see ulimit -l)",
			  strerror(-ret));
	else if (ret == -EINVAL && t->ncpus)
		log_print(NVMFT_LOG_ERROR,
			  "cannot bind the threads: a processor of \"cpus\" is not there or not allowed");
	else
		log_print(NVMFT_LOG_ERROR, "cannot start the threads: %s%s", strerror(-ret),
			  ret == -ENOSYS || ret == -EPERM ? " (is io_uring there and allowed?)" : "");
	return ret;
}

static bool any_namespace(const struct config *c)
{
	for (size_t i = 0; i < c->nsubsystems; i++) {
		for (size_t j = 0; j < c->subsystems[i].nns; j++) {
			if (c->subsystems[i].ns[j].live)
				return true;
		}
	}
	return false;
}

/* A file may name disks that are away at the moment; someone who types a command means what is in it. */
static int verdict(const struct apply *a)
{
	if (a->failed_objects)
		return EXIT_MISTAKE;
	if (!a->next->from_file && a->failed_namespaces && !any_namespace(a->next))
		return EXIT_MISTAKE;
	if (a->failed_namespaces)
		log_print(NVMFT_LOG_WARN, "namespaces that are not served, see above: %u%s", a->failed_namespaces,
			  a->next->from_file ? "; SIGHUP tries again" : "");
	return EXIT_DONE;
}

int engine_start(struct engine *e, struct config *config)
{
	struct apply a = {.next = config};
	int status = EXIT_FAILED;

	memset(e, 0, sizeof(*e));
	e->config = config;
	e->stopped_fd = eventfd(0, EFD_CLOEXEC);
	if (e->stopped_fd < 0 || create_target(e, &config->target) < 0 || start_threads(e, &config->target) < 0)
		goto fail;
	a.target = e->target;
	apply(&a);
	status = verdict(&a);
	if (status == EXIT_DONE)
		return status;
fail:
	if (e->threads && engine_stop(e) == 0) {
		struct pollfd stopped = {.fd = e->stopped_fd, .events = POLLIN};

		while (poll(&stopped, 1, -1) < 0 && errno == EINTR)
			;
	}
	engine_destroy(e);
	return status;
}

static bool same_cpus(const struct target_config *a, const struct target_config *b)
{
	return a->ncpus == b->ncpus && (!a->ncpus || !memcmp(a->cpus, b->cpus, a->ncpus * sizeof(*a->cpus)));
}

static void warn_target_changes(const struct target_config *a, const struct target_config *b)
{
	if (a->threads != b->threads || !same_cpus(a, b) || a->poll != b->poll || a->spin_us != b->spin_us ||
	    a->log_level != b->log_level || a->data_memory_max != b->data_memory_max ||
	    a->connect_timeout_ms != b->connect_timeout_ms || !text_equal(a->discovery_nqn, b->discovery_nqn))
		log_print(NVMFT_LOG_WARN, "changes of \"target\" need a restart; the rest is applied");
}

void engine_reload(struct engine *e, struct config *config)
{
	struct apply a = {.target = e->target, .old = e->config, .next = config};

	warn_target_changes(&e->config->target, &config->target);
	apply(&a);
	config_free(e->config);
	e->config = config;
	log_print(a.failed_objects || a.failed_namespaces ? NVMFT_LOG_WARN : NVMFT_LOG_INFO,
		  "configuration read again: %u changes, %u of them failed", a.changes,
		  a.failed_objects + a.failed_namespaces);
}

static void stopped(struct nvmft_done *done, int result)
{
	struct engine *e = (struct engine *)(void *)((char *)done - offsetof(struct engine, stopped));
	uint64_t one = 1;

	(void)result;
	if (write(e->stopped_fd, &one, sizeof(one)) < 0)
		log_print(NVMFT_LOG_ERROR, "cannot tell the main thread: %s", strerror(errno));
}

int engine_stop(struct engine *e)
{
	e->stopped.fn = stopped;
	return nvmft_target_stop(e->target, &e->stopped);
}

void engine_destroy(struct engine *e)
{
	if (e->threads)
		nvmft_threads_stop(e->target);
	if (nvmft_target_destroy(e->target) < 0)
		log_print(NVMFT_LOG_ERROR, "the target could not be freed: it has not stopped");
	if (e->stopped_fd >= 0)
		close(e->stopped_fd);
	config_free(e->config);
}

/* Nobody can connect to a wildcard address. This machine can to its loopback, which no RDMA device has. */
static const char *reachable(const char *traddr, const char *announce, bool rdma)
{
	bool any4 = !strcmp(traddr, "0.0.0.0"), any6 = !strcmp(traddr, "::");

	if (announce)
		return announce;
	if (!any4 && !any6)
		return traddr;
	if (rdma)
		return "ADDRESS";
	return any4 ? "127.0.0.1" : "::1";
}

void engine_print_connect(const struct engine *e, FILE *out)
{
	char traddr[256], trsvcid[32];

	for (size_t i = 0; i < e->config->nports; i++) {
		const struct port_config *p = &e->config->ports[i];

		bool rdma = p->addr.trtype == TRTYPE_RDMA;

		if (!p->live)
			continue;
		nvmft_port_address(p->live, traddr, trsvcid);
		for (size_t j = 0; j < p->linked.n; j++)
			fprintf(out, "nvme connect -t %s -a %s -s %s -n %s\n", rdma ? "rdma" : "tcp",
				reachable(traddr, p->announce, rdma), trsvcid, p->linked.item[j]);
	}
}

void engine_summary(const struct engine *e, char *text, size_t len)
{
	size_t ports = 0, namespaces = 0;

	for (size_t i = 0; i < e->config->nports; i++)
		ports += e->config->ports[i].live != NULL;
	for (size_t i = 0; i < e->config->nsubsystems; i++) {
		for (size_t j = 0; j < e->config->subsystems[i].nns; j++)
			namespaces += e->config->subsystems[i].ns[j].live != NULL;
	}
	snprintf(text, len, "Serving %zu namespaces of %zu subsystems on %zu ports", namespaces, e->config->nsubsystems,
		 ports);
}
