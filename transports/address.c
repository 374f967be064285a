/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <stdio.h>

#include "address.h"

uint64_t nvmft_inet_key(const union inet_end *end)
{
	uint64_t key = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
	const uint8_t *p;
	size_t len;

	if (end->sa.sa_family == AF_INET) {
		p = (const uint8_t *)&end->in.sin_addr;
		len = sizeof(end->in.sin_addr);
	} else if (end->sa.sa_family == AF_INET6) {
		p = end->in6.sin6_addr.s6_addr;
		len = sizeof(end->in6.sin6_addr);
	} else {
		return 0;
	}
	while (len-- > 0)
		key = (key ^ *p++) * UINT64_C(0x100000001b3);
	return key ? key : 1;
}

void nvmft_inet_text(const union inet_end *end, const char *other, char *text, size_t len)
{
	char host[INET6_ADDRSTRLEN] = "";

	if (end->sa.sa_family == AF_INET) {
		inet_ntop(AF_INET, &end->in.sin_addr, host, sizeof(host));
		snprintf(text, len, "%s:%u", host, ntohs(end->in.sin_port));
	} else if (end->sa.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &end->in6.sin6_addr, host, sizeof(host));
		snprintf(text, len, "[%s]:%u", host, ntohs(end->in6.sin6_port));
	} else {
		snprintf(text, len, "%s", other);
	}
}
