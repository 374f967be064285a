/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_target: serve a null namespace over TCP from one thread that sleeps in poll(2), on a port of the kernel's choice,
 * which is printed. For instruction counts: valgrind 3.19 lets no other thread run while one is inside
 * io_uring_enter().
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

int main(void)
{
	char traddr[256], trsvcid[32];
	struct pollfd pfd = {.events = POLLIN};
	struct lb_target lb;
	int rc = lb_start(&lb, nvmft_transport_tcp(), "null", 1ull << 40);

	if (rc) {
		fprintf(stderr, "tcp_target: %s\n", strerror(-rc));
		return 1;
	}
	signal(SIGTERM, on_signal);
	nvmft_port_address(lb.port, traddr, trsvcid);
	printf("%s\n", trsvcid);
	fflush(stdout);
	pfd.fd = nvmft_poll_group_fd(lb.group);
	while (!ended) {
		while (nvmft_poll(lb.group, 0) > 0)
			;
		if (nvmft_poll_group_arm(lb.group) == 0)
			(void)poll(&pfd, 1, 1000);
	}
	lb_stop(&lb);
	return 0;
}
