/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes from a hostile host. The first byte of an input says how far the session has come before the rest is sent:
 *   bits 1:0  0 nothing, 1 ICReq, 2 connected admin queue, 3 connected I/O queue
 *   bit 2     with header and data digests
 *   bit 3     make the digests right, so that mutations reach what is behind them
 * and the second in pieces of which size it is sent, 0 for one piece.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fuzz.h"
#include "wire.h"

#define STAGE(mode) ((mode)&3)
#define MODE_DIGESTS 4
#define MODE_FIX 8
#define INPUT_MAX 65536u

static void drain(struct wire *wire)
{
	static uint8_t bytes[65536];

	while (recv(wire->fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

/* Walk over the PDUs as far as their lengths make sense and put the digests where they belong. */
static void fix_digests(uint8_t *p, size_t left)
{
	while (left >= 8) {
		uint32_t plen = get32(p + 4), hlen = p[2], pdo = p[3];

		if (hlen < 8 || plen < hlen + 4 || plen > left)
			return;
		if (pdo >= hlen + 4 && plen > pdo + 4)
			put32(p + plen - 4, wire_crc(p + pdo, plen - 4 - pdo));
		put32(p + hlen, wire_crc(p, hlen));
		p += plen;
		left -= plen;
	}
}

static void feed(struct wire *wire, uint8_t *bytes, size_t size, size_t piece)
{
	while (size > 0) {
		size_t n = piece && piece < size ? piece : size;

		/* The target may have had enough of it. */
		if (send(wire->fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)n)
			return;
		world_settle(wire->world);
		drain(wire);
		bytes += n;
		size -= n;
	}
}

static void session(struct world *world, uint8_t mode, uint8_t *bytes, size_t size, size_t piece)
{
	bool digests = mode & MODE_DIGESTS;
	struct wire *admin = NULL, *wire;

	if (STAGE(mode) >= 2)
		admin = wire_admin_digests(world, digests, digests);
	if (STAGE(mode) == 2) {
		wire = admin;
		admin = NULL;
	} else if (STAGE(mode) == 3) {
		wire = wire_io(admin, 1, 31, false);
	} else {
		wire = wire_open(world);
		if (STAGE(mode) == 1)
			wire_icreq(wire, 0, digests, digests);
	}
	feed(wire, bytes, size, piece);
	wire_close(wire);
	if (admin)
		wire_close(admin);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world *world;
	static uint8_t bytes[INPUT_MAX];

	if (size < 2 || size - 2 > sizeof(bytes))
		return 0;
	if (!world)
		world = world_create(NULL);
	memcpy(bytes, data + 2, size - 2);
	if (data[0] & MODE_FIX)
		fix_digests(bytes, size - 2);
	session(world, data[0], bytes, size - 2, data[1]);
	if (world_stats(world).connections != 0 || world_stats(world).data_bytes != 0)
		abort();
	/* Only for looking at when a test fails. */
	world->log_len = 0;
	return 0;
}
