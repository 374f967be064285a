/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_target [KIND]   serve a null namespace, or one of another KIND of loopback_bench, over TCP from one thread that
 *                     sleeps in poll(2). For instruction counts: valgrind 3.19 lets no other thread run while one is
 *                     inside io_uring_enter().
 *
 * Prints the port, which is of the kernel's choice, and in the end what was counted.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lb_host.h"

static volatile sig_atomic_t ended;

static void on_signal(int sig)
{
	(void)sig;
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

static void print_stats(struct nvmft_target *target)
{
	struct nvmft_target_stats stats = {.size = sizeof(stats)};

	nvmft_target_stats(target, &stats);
	printf("{\"commands\": %llu, \"errors\": %llu, \"copied_bytes\": %llu}\n", (unsigned long long)stats.io_cmds,
	       (unsigned long long)stats.errors, (unsigned long long)stats.copied_bytes);
}

int main(int argc, char **argv)
{
	char traddr[256], trsvcid[32];
	struct lb_target lb;
	int rc = lb_start(&lb, nvmft_transport_tcp(), argc > 1 ? argv[1] : "null", 1ull << 40);

	if (rc) {
		fprintf(stderr, "tcp_target: %s\n", strerror(-rc));
		return 1;
	}
	signal(SIGTERM, on_signal);
	nvmft_port_address(lb.port, traddr, trsvcid);
	printf("%s\n", trsvcid);
	fflush(stdout);
	while (!ended)
		sleep_outside(lb.group);
	print_stats(lb.target);
	lb_stop(&lb);
	return 0;
}
