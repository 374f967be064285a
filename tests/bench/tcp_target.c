/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_target [KIND [rdma:ADDRESS]]   serve a null namespace, or one of another KIND of loopback_bench, over TCP or RDMA from
 *                     one thread that sleeps in poll(2). For instruction counts: valgrind 3.19 lets no other thread run while
 *                     one is inside io_uring_enter().
 *
 * Prints the port, which is of the kernel's choice, and in the end what was counted. SIGUSR1 puts marks for count_steps
 * around the passes that handle the next events, and tells how many commands these were.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lb_host.h"
#include "ssd.h"

#define COUNTED_EVENTS 64

static volatile sig_atomic_t ended, count_wanted;

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		count_wanted = 1;
	else
		ended = 1;
}

static void sleep_outside(struct nvmft_poll_group *group)
{
	struct pollfd pfd = {.fd = nvmft_poll_group_fd(group), .events = POLLIN};

	while (nvmft_poll(group, 0) > 0)
		;
	if (nvmft_poll_group_arm(group) == 0)
		(void)poll(&pfd, 1, 1000);
}

static struct nvmft_target_stats stats_of(struct nvmft_target *target)
{
	struct nvmft_target_stats stats = {.size = sizeof(stats)};

	nvmft_target_stats(target, &stats);
	return stats;
}

static void count(struct lb_target *lb)
{
	uint64_t before = stats_of(lb->target).io_cmds;
	int events = 0;

	count_wanted = 0;
	ssd_mark();
	while (events < COUNTED_EVENTS && !ended)
		events += nvmft_poll(lb->group, NVMFT_POLL_WAIT);
	ssd_mark();
	printf("{\"counted\": %llu}\n", (unsigned long long)(stats_of(lb->target).io_cmds - before));
	fflush(stdout);
}

static void print_stats(struct nvmft_target *target)
{
	struct nvmft_target_stats stats = stats_of(target);

	printf("{\"commands\": %llu, \"errors\": %llu, \"copied_bytes\": %llu}\n", (unsigned long long)stats.io_cmds,
	       (unsigned long long)stats.errors, (unsigned long long)stats.copied_bytes);
}

static int start(struct lb_target *lb, int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "null";

	if (argc > 2 && !strncmp(argv[2], "rdma:", 5))
		return lb_start(lb, nvmft_transport_rdma(), argv[2] + 5, kind, 1ull << 40);
	return lb_start(lb, nvmft_transport_tcp(), "127.0.0.1", kind, 1ull << 40);
}

int main(int argc, char **argv)
{
	char traddr[256], trsvcid[32];
	struct lb_target lb;
	int rc = start(&lb, argc, argv);

	if (rc) {
		fprintf(stderr, "tcp_target: %s\n", strerror(-rc));
		return 1;
	}
	signal(SIGTERM, on_signal);
	signal(SIGUSR1, on_signal);
	nvmft_port_address(lb.port, traddr, trsvcid);
	printf("%s\n", trsvcid);
	fflush(stdout);
	while (!ended) {
		if (count_wanted)
			count(&lb);
		else
			sleep_outside(lb.group);
	}
	print_stats(lb.target);
	lb_stop(&lb);
	return 0;
}
