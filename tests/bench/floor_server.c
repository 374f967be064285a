/* SPDX-License-Identifier: BSD-3-Clause */
/* floor_server epoll|uring read|write BYTES: serve the wire floor on a port of the kernel's choice, which is printed.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "floor.h"

int main(int argc, char **argv)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	struct floor_load load;
	int listener, rc;

	if (argc != 4 || floor_load_init(&load, argv[2], (uint32_t)atoi(argv[3])) < 0) {
		fprintf(stderr, "Usage: floor_server epoll|uring read|write BYTES\n");
		return 2;
	}
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&addr, len) < 0 || listen(listener, 1024) < 0 ||
	    getsockname(listener, (struct sockaddr *)&addr, &len) < 0) {
		perror("floor_server");
		return 1;
	}
	printf("%d\n", ntohs(addr.sin_port));
	fflush(stdout);
	rc = strcmp(argv[1], "uring") ? floor_serve_epoll(listener, &load) : floor_serve_uring(listener, &load);
	perror("floor_server");
	return rc ? 1 : 0;
}
