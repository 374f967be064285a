/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "address.h"

int nvmft_inet_resolve(struct nvmft_port *port, const struct nvmft_port_config *config, struct addrinfo **info)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	char *end;
	long number = strtol(config->trsvcid, &end, 10);
	int ret;

	if (end == config->trsvcid || *end || number < 0 || number > 65535) {
		nvmft_port_log(port, NVMFT_LOG_ERROR, "trsvcid \"%s\": not a port number", config->trsvcid);
		return -EINVAL;
	}
	ret = getaddrinfo(config->traddr, config->trsvcid, &hints, info);
	if (ret == EAI_MEMORY)
		return -ENOMEM;
	if (ret) {
		nvmft_port_log(port, NVMFT_LOG_ERROR, "traddr \"%s\": not an IPv4 or IPv6 address", config->traddr);
		return -EINVAL;
	}
	return 0;
}

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
