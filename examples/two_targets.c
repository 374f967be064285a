/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two targets in one process, on two ports, each with its own thread, log and counters. They never meet: both have a
 * subsystem of the same name and a namespace 1, and one can be stopped while the other serves on.
 *
 *   ./two_targets [ADDRESS [PORT PORT]]
 *
 * The first SIGTERM stops the first target, the second one the second.
 */
#include <nvmft/nvmft.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct service {
	const char *name;
	struct nvmft_target *target;
	struct nvmft_done done;
	sem_t stopped;
};

static void check(const struct service *s, const char *what, int ret)
{
	if (ret < 0) {
		fprintf(stderr, "%s: %s: %s\n", s->name, what, strerror(-ret));
		exit(1);
	}
}

/* The context tells whose message it is. */
static void log_line(void *ctx, enum nvmft_log_level level, const char *message)
{
	const struct service *s = ctx;

	(void)level;
	fprintf(stderr, "%s: %s\n", s->name, message);
}

static void on_stopped(struct nvmft_done *done, int result)
{
	struct service *s = (struct service *)(void *)((char *)done - offsetof(struct service, done));

	(void)result;
	sem_post(&s->stopped);
}

static void start(struct service *s, const char *traddr, const char *trsvcid)
{
	struct nvmft_target_opts target_opts = {.size = sizeof(target_opts), .log = {.write = log_line, .ctx = s}};
	struct nvmft_threads_opts threads_opts = {.size = sizeof(threads_opts), .threads = 1, .mode = NVMFT_POLL_NEVER};
	struct nvmft_subsystem_opts subsystem_opts = {.size = sizeof(subsystem_opts),
						      .nqn = "nqn.2024-01.org.nvmft:twin",
						      .serial = s->name,
						      .allow_any_host = true};
	struct nvmft_memory_opts memory_opts = {.size = sizeof(memory_opts), .bytes = 16 << 20};
	struct nvmft_namespace_opts ns_opts = {
		.size = sizeof(ns_opts), .backend = nvmft_backend_memory(), .backend_opts = &memory_opts};
	struct nvmft_port_opts port_opts = {
		.size = sizeof(port_opts), .transport = nvmft_transport_tcp(), .traddr = traddr, .trsvcid = trsvcid};
	struct nvmft_subsystem *subsystem;
	struct nvmft_port *port;
	char address[256], service[32];

	sem_init(&s->stopped, 0, 0);
	check(s, "target", nvmft_target_create(&target_opts, &s->target));
	check(s, "threads", nvmft_threads_start(s->target, &threads_opts));
	check(s, "subsystem", nvmft_subsystem_create(s->target, &subsystem_opts, &subsystem));
	check(s, "namespace", nvmft_namespace_add(subsystem, &ns_opts, NULL));
	check(s, "port", nvmft_port_add(s->target, &port_opts, &port));
	check(s, "link", nvmft_port_link(port, subsystem));
	nvmft_port_address(port, address, service);
	printf("%s: nvme connect -t tcp -a %s -s %s -n %s\n", s->name, address, service, subsystem_opts.nqn);
}

static void stop(struct service *s)
{
	s->done.fn = on_stopped;
	check(s, "stop", nvmft_target_stop(s->target, &s->done));
	sem_wait(&s->stopped);
	nvmft_threads_stop(s->target);
	check(s, "destroy", nvmft_target_destroy(s->target));
	printf("%s: stopped\n", s->name);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *traddr = argc > 1 ? argv[1] : "127.0.0.1";
	struct service first = {.name = "first"}, second = {.name = "second"};
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	start(&first, traddr, argc > 3 ? argv[2] : "4420");
	start(&second, traddr, argc > 3 ? argv[3] : "4421");
	puts("ready");
	fflush(stdout);
	sigwaitinfo(&signals, NULL);
	stop(&first);
	sigwaitinfo(&signals, NULL);
	stop(&second);
	return 0;
}
