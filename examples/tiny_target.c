/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A complete embedded NVMe/TCP target: one subsystem with one namespace of 64 MiB in memory, open to every host.
 *
 *   cc tiny_target.c $(pkg-config --cflags --libs libnvmft) -o tiny_target
 *   ./tiny_target 127.0.0.1 4420 &
 *   nvme connect -t tcp -a 127.0.0.1 -s 4420 -n nqn.2024-01.org.nvmft:tiny
 * SIGTERM ends it. See epoll_host.c for a program that has an event loop of its own.
 */
#include <nvmft/nvmft.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sem_t stopped;

/* Called from a thread of the library when the last I/O is over and the last connection closed. */
static void on_stopped(struct nvmft_done *done, int result)
{
	(void)done, (void)result;
	sem_post(&stopped);
}

/* The library never prints: where its messages go is the program's business. */
static void log_line(void *ctx, enum nvmft_log_level level, const char *message)
{
	(void)ctx, (void)level;
	fprintf(stderr, "%s\n", message);
}

static void check(const char *what, int ret)
{
	if (ret < 0) {
		fprintf(stderr, "%s: %s\n", what, strerror(-ret));
		exit(1);
	}
}

int main(int argc, char **argv)
{
	/* Every options structure begins with its size; what is not set has a sensible default. */
	struct nvmft_target_opts target_opts = {.size = sizeof(target_opts), .log = {.write = log_line}};
	struct nvmft_threads_opts threads_opts = {.size = sizeof(threads_opts), .threads = 1};
	struct nvmft_subsystem_opts subsystem_opts = {
		.size = sizeof(subsystem_opts), .nqn = "nqn.2024-01.org.nvmft:tiny", .allow_any_host = true};
	struct nvmft_memory_opts memory_opts = {.size = sizeof(memory_opts), .bytes = 64 << 20};
	struct nvmft_namespace_opts ns_opts = {
		.size = sizeof(ns_opts), .backend = nvmft_backend_memory(), .backend_opts = &memory_opts};
	const char *traddr = argc > 1 ? argv[1] : "127.0.0.1", *trsvcid = argc > 2 ? argv[2] : "4420";
	struct nvmft_port_opts port_opts = {
		.size = sizeof(port_opts), .transport = nvmft_transport_tcp(), .traddr = traddr, .trsvcid = trsvcid};
	struct nvmft_done done = {.fn = on_stopped};
	struct nvmft_subsystem *subsystem;
	struct nvmft_target *target;
	struct nvmft_port *port;
	sigset_t signals;

	sem_init(&stopped, 0, 0);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL); /* for the threads that are started now, too */
	check("target", nvmft_target_create(&target_opts, &target));
	check("threads", nvmft_threads_start(target, &threads_opts)); /* each drives a poll group */
	check("subsystem", nvmft_subsystem_create(target, &subsystem_opts, &subsystem));
	check("namespace", nvmft_namespace_add(subsystem, &ns_opts, NULL));
	check("port", nvmft_port_add(target, &port_opts, &port));
	check("link", nvmft_port_link(port, subsystem)); /* from now on hosts can connect */
	puts("ready");
	fflush(stdout);
	sigwaitinfo(&signals, NULL);
	check("stop", nvmft_target_stop(target, &done));
	sem_wait(&stopped);
	nvmft_threads_stop(target);
	check("destroy", nvmft_target_destroy(target));
	return 0;
}
