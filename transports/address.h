/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TRANSPORTS_ADDRESS_H
#define NVMFT_TRANSPORTS_ADDRESS_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

/* An end of a connection of the Internet protocols, or of none (AF_UNSPEC, AF_UNIX). */
union inet_end {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* For nvmft_queue_open(): the limit per address counts hosts, not their ports. 0: not an IP address. */
uint64_t nvmft_inet_key(const union inet_end *end);
/* Address and port, or @other when it is not an IP address. */
void nvmft_inet_text(const union inet_end *end, const char *other, char *text, size_t len);

#endif
