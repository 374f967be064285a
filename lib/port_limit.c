/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Limits of connections that have not completed Connect: those who cannot be told apart from an attacker yet.
 */
#include <errno.h>
#include <stdlib.h>

#include "port.h"

struct port_addr {
	uint64_t key;
	uint32_t count;
};

static struct port_addr *addr_find(struct nvmft_port *port, uint64_t key)
{
	uint32_t i;

	for (i = 0; i < port->naddrs; i++)
		if (port->addrs[i].key == key)
			return &port->addrs[i];
	return NULL;
}

static struct port_addr *addr_insert(struct nvmft_port *port, uint64_t key)
{
	struct port_addr *grown;

	if (port->naddrs == port->cap_addrs) {
		grown = realloc(port->addrs, (port->cap_addrs * 2 + 8) * sizeof(*grown));
		if (!grown)
			return NULL;
		port->addrs = grown;
		port->cap_addrs = port->cap_addrs * 2 + 8;
	}
	port->addrs[port->naddrs] = (struct port_addr){.key = key};
	return &port->addrs[port->naddrs++];
}

static int addr_count_up(struct nvmft_port *port, uint64_t key)
{
	struct port_addr *addr;
	int ret = 0;

	pthread_mutex_lock(&port->addr_lock);
	addr = addr_find(port, key);
	if (!addr)
		addr = addr_insert(port, key);
	if (!addr)
		ret = -ENOMEM;
	else if (addr->count >= port->opts.max_pending_per_address)
		ret = -EDQUOT;
	else
		addr->count++;
	pthread_mutex_unlock(&port->addr_lock);
	return ret;
}

static void addr_count_down(struct nvmft_port *port, uint64_t key)
{
	struct port_addr *addr;

	pthread_mutex_lock(&port->addr_lock);
	addr = addr_find(port, key);
	if (addr && --addr->count == 0)
		*addr = port->addrs[--port->naddrs];
	pthread_mutex_unlock(&port->addr_lock);
}

static bool limits_address(const struct nvmft_port *port, uint64_t key)
{
	return key && port->opts.max_pending_per_address;
}

int nvmft_port_pending_open(struct nvmft_port *port, uint64_t address_key)
{
	uint32_t before = atomic_fetch_add(&port->pending, 1);
	int ret = 0;

	if (port->opts.max_pending && before >= port->opts.max_pending)
		ret = -EDQUOT;
	else if (limits_address(port, address_key))
		ret = addr_count_up(port, address_key);
	if (ret)
		atomic_fetch_sub(&port->pending, 1);
	return ret;
}

void nvmft_port_pending_close(struct nvmft_port *port, uint64_t address_key)
{
	atomic_fetch_sub(&port->pending, 1);
	if (limits_address(port, address_key))
		addr_count_down(port, address_key);
}
