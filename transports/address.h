/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TRANSPORTS_ADDRESS_H
#define NVMFT_TRANSPORTS_ADDRESS_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include <nvmft/provider/transport.h>

struct addrinfo;

/* An end of a connection of the Internet protocols, or of none (AF_UNSPEC, AF_UNIX). */
union inet_end {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* Where a port is to listen. Return: 0, @info to be freed; -EINVAL, logged; -ENOMEM. */
int nvmft_inet_resolve(struct nvmft_port *port, const struct nvmft_port_config *config, struct addrinfo **info);
/* For nvmft_queue_open(): the limit per address counts hosts, not their ports. 0: not an IP address. */
uint64_t nvmft_inet_key(const union inet_end *end);
/* Address and port, or @other when it is not an IP address. */
void nvmft_inet_text(const union inet_end *end, const char *other, char *text, size_t len);

#endif
