/* SPDX-License-Identifier: BSD-3-Clause */
/* Peers that take without giving: buffers, connections, time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

#define MIB (1024u * 1024)

static uint8_t pattern[8192];

/* ---- data buffers ---- */

static struct world *small_world(void)
{
	const struct world_opts opts = { .target = { .data_memory_max = 4 * MIB } };

	return world_create(&opts);
}

/* Four writes of 1 MiB whose data does not come: all memory for data is theirs. */
static void take_all_buffers(struct wire *wire, uint16_t tags[4])
{
	for (uint16_t cid = 0; cid < 4; cid++) {
		struct cmd cmd = cmd_rw(0x01, cid, 0, MIB / WIRE_BLOCK, SGL_TRANSPORT);

		wire_cmd(wire, &cmd);
		tags[cid] = wire_r2t(wire, cid, MIB);
	}
}

static void finish_write(struct wire *wire, uint16_t cid, uint16_t tag)
{
	for (uint32_t at = 0; at < MIB; at += sizeof(pattern)) {
		struct h2c h2c = {
			.cid = cid, .ttag = tag, .datao = at, .len = sizeof(pattern), .last = at + sizeof(pattern) == MIB
		};

		wire_h2c(wire, &h2c, pattern);
	}
	assert_int_equal(wire_resp(wire, cid, NULL), 0);
}

static void test_in_capsule_data_waits_for_buffers(void **state)
{
	struct world *world = small_world();
	struct pair pair = wire_pair(world);
	struct wire *other = wire_io(pair.admin, 2, 31, false);
	uint8_t bytes[4 * (72 + 4096)], data[4096];
	uint16_t tags[4];
	size_t len = 0;

	(void)state;
	take_all_buffers(pair.io, tags);
	/* Several capsules in one segment: parsing stops inside the first. */
	for (uint16_t cid = 0; cid < 4; cid++) {
		struct cmd cmd;

		memset(data, 0x10 + cid, sizeof(data));
		cmd = cmd_write_in_capsule(cid, 4096 + cid * 8u, data, sizeof(data));
		len += cmd_bytes(other, &cmd, bytes + len);
	}
	wire_send(other, bytes, len);
	wire_expect_silence(other);
	finish_write(pair.io, 2, tags[2]);
	for (uint16_t cid = 0; cid < 4; cid++)
		assert_int_equal(wire_resp(other, cid, NULL), 0);
	for (uint16_t cid = 0; cid < 4; cid++) {
		world_read(world, 4096 + cid * 8u, data, sizeof(data));
		assert_int_equal(data[0], 0x10 + cid);
		assert_int_equal(data[4095], 0x10 + cid);
	}
	wire_close(other);
	pair_close(&pair);
	world_destroy(world);
}

static void test_disconnect_while_waiting_for_buffers(void **state)
{
	struct world *world = small_world();
	struct pair pair = wire_pair(world);
	uint16_t tags[4];

	(void)state;
	take_all_buffers(pair.io, tags);
	for (int by_r2t = 0; by_r2t < 2; by_r2t++) {
		struct wire *other = wire_io(pair.admin, 2, 31, false);
		struct cmd cmd = cmd_write_in_capsule(9, 0, pattern, 4096);

		if (by_r2t)
			cmd = cmd_rw(0x01, 9, 0, 8, SGL_TRANSPORT);
		wire_cmd(other, &cmd);
		wire_close(other);
	}
	pair_close(&pair);
	assert_int_equal(world_stats(world).connections, 0);
	world_check_alive(world);
	world_destroy(world);
}

/* Its data is in the stream already: it is dropped, and the next command found behind it. */
static void test_abort_of_a_command_that_waits_for_buffers(void **state)
{
	struct world *world = small_world();
	struct pair pair = wire_pair(world);
	struct wire *other = wire_io(pair.admin, 2, 31, false);
	struct cmd cmd = cmd_write_in_capsule(9, 0, pattern, 4096);
	uint16_t tags[4];
	struct pdu pdu;

	(void)state;
	take_all_buffers(pair.io, tags);
	wire_cmd(other, &cmd);
	cmd = cmd_make(0x00, 10, 1, SGL_NONE, 0);
	wire_cmd(other, &cmd);
	wire_expect_silence(other);
	cmd = cmd_make(0x08, 5, 0, SGL_NONE, 0);
	put32(cmd.sqe + 40, 9u << 16 | 2);
	assert_int_equal(wire_do(pair.admin, &cmd, &pdu), 0);
	assert_int_equal(pdu.bytes[8] & 1, 0);
	assert_int_equal(wire_resp(other, 9, NULL), 0x007);
	assert_int_equal(wire_resp(other, 10, NULL), 0);
	wire_close(other);
	pair_close(&pair);
	world_destroy(world);
}

/* ---- readers ---- */

/* One that reads nothing is not read from for long, and nobody else notices. */
static void test_reader_that_never_reads(void **state)
{
	struct world *world = *state;
	struct wire *admin = wire_admin(world), *io = wire_io(admin, 1, 1000, false);
	struct pair other;
	uint8_t bytes[128];
	struct cmd cmd;
	size_t sent = 0;

	for (int stuck = 0; stuck < 16;) {
		ssize_t n;

		cmd = cmd_rw(0x02, (uint16_t)sent, 0, 8, SGL_TRANSPORT);
		cmd_bytes(io, &cmd, bytes);
		n = send(io->fd, bytes, 72, MSG_DONTWAIT | MSG_NOSIGNAL);
		world_settle(world);
		stuck = n == 72 ? 0 : stuck + 1;
		sent += n == 72;
		assert_true(n == 72 || (n < 0 && errno == EAGAIN));
		assert_true(sent < 100000);
	}
	/* The commands beyond are in the socket. */
	assert_true(world_stats(world).requests < 2500);
	other = wire_pair(world);
	cmd = cmd_write_in_capsule(1, 0, pattern, 4096);
	assert_int_equal(wire_do(other.io, &cmd, NULL), 0);
	pair_close(&other);
	wire_close(io);
	wire_close(admin);
}

/* It only was slow: every response comes, in order. */
static void test_reader_that_reads_late(void **state)
{
	struct world *world = *state;
	struct wire *admin = wire_admin(world), *io = wire_io(admin, 1, 1000, true);
	unsigned int sent = 0, got = 0;
	uint8_t bytes[128];
	struct pdu pdu;

	for (int stuck = 0; stuck < 16;) {
		struct cmd cmd = cmd_rw(0x02, (uint16_t)(sent % 1000), 0, 128, SGL_TRANSPORT);
		ssize_t n;

		if (sent - got >= 1000)
			break;
		cmd_bytes(io, &cmd, bytes);
		n = send(io->fd, bytes, 72, MSG_DONTWAIT | MSG_NOSIGNAL);
		world_settle(world);
		stuck = n == 72 ? 0 : stuck + 1;
		sent += n == 72;
	}
	for (; got < sent; got++) {
		wire_expect(io, C2H_DATA, &pdu);
		assert_int_equal(get16(pdu.bytes + 8), got % 1000);
		assert_int_equal(pdu.data_len, 65536);
	}
	wire_close(io);
	wire_close(admin);
}

/* A half-closed connection is as good as closed. */
static void test_half_close_then_commands(void **state)
{
	struct world *world = *state;
	struct pair pair = wire_pair(world);

	for (unsigned int i = 0; i < 8; i++) {
		struct cmd cmd = cmd_write_in_capsule((uint16_t)i, 0, pattern, 4096);

		wire_cmd(pair.io, &cmd);
	}
	shutdown(pair.io->fd, SHUT_WR);
	wire_expect_closed(pair.io);
	pair_close(&pair);
	assert_int_equal(world_stats(world).connections, 0);
}

static void test_peer_that_only_stops_reading(void **state)
{
	struct world *world = *state;
	struct pair pair = wire_pair(world);
	struct cmd cmd = cmd_rw(0x02, 1, 0, 8, SGL_TRANSPORT);

	shutdown(pair.io->fd, SHUT_RD);
	wire_cmd(pair.io, &cmd);
	world_settle(world);
	pair_close(&pair);
	assert_int_equal(world_stats(world).connections, 0);
}

/* ---- connections ---- */

#define SILENT 1500

static void test_many_silent_connections(void **state)
{
	struct rlimit limit;
	struct world *world = *state;
	struct wire **wires = calloc(SILENT, sizeof(*wires));

	assert_non_null(wires);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max < 2 * SILENT + 100 ? limit.rlim_max : 2 * SILENT + 100;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (int i = 0; i < SILENT; i++)
		wires[i] = wire_open(world);
	assert_int_equal(world_stats(world).connections, SILENT);
	/* They hold no request and no data buffer, and a host gets through. */
	assert_int_equal(world_stats(world).data_bytes, 0);
	world_check_alive(world);
	world_pass(world, 11000);
	assert_int_equal(world_stats(world).connections, 0);
	for (int i = 0; i < SILENT; i++)
		wire_close(wires[i]);
	free(wires);
}

static void test_limit_of_connections(void **state)
{
	const struct world_opts opts = { .port = { .max_connections = 3 } };
	struct world *world = world_create(&opts);
	struct wire *wires[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		wires[i] = wire_open(world);
	wire_expect_closed(wires[3]);
	wire_expect_silence(wires[2]);
	wire_close(wires[0]);
	wire_close(wires[3]);
	wires[3] = wire_open(world);
	wire_expect_silence(wires[3]);
	for (int i = 1; i < 4; i++)
		wire_close(wires[i]);
	world_destroy(world);
}

static void test_limit_of_pending_connections(void **state)
{
	const struct world_opts opts = { .port = { .max_pending = 2 } };
	struct world *world = world_create(&opts);
	struct wire *admin = wire_admin(world), *wires[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		wires[i] = wire_open(world);
	/* The connected one does not count. */
	wire_expect_silence(wires[1]);
	wire_expect_closed(wires[2]);
	for (int i = 0; i < 3; i++)
		wire_close(wires[i]);
	wire_close(admin);
	world_destroy(world);
}

/* Connections that come and go leave nothing; the teardown counts descriptors. */
static void test_storm_of_connections(void **state)
{
	struct world *world = *state;
	uint64_t requests;

	world_check_alive(world);
	requests = world_stats(world).requests;
	for (int i = 0; i < 3000; i++) {
		struct wire *wire = wire_open(world);

		if (i % 2)
			wire_try_send(wire, pattern, (size_t)(i % 200));
		wire_close(wire);
	}
	assert_int_equal(world_stats(world).connections, 0);
	assert_int_equal(world_stats(world).requests, requests);
	assert_int_equal(world_stats(world).data_bytes, 0);
	world_check_alive(world);
}

/* A target that stops in the middle of everything. */
static void test_stop_with_connections_in_every_state(void **state)
{
	enum { SILENT_ONE, ICREQ_ONE, HALF_ONE, BAD_ONE, GONE_ONE, WAITING_ONE, ADMIN_ONE, IO_ONE, ALL };
	struct world *world = small_world();
	struct pair pair = wire_pair(world);
	struct cmd cmd = cmd_make(0x0c, 3, 0, SGL_NONE, 0);
	struct wire *wires[ALL] = { [ADMIN_ONE] = pair.admin, [IO_ONE] = pair.io };
	uint8_t bytes[128] = { 0 };
	uint16_t tags[4];

	(void)state;
	for (int i = 0; i < WAITING_ONE; i++)
		wires[i] = wire_open(world);
	wires[WAITING_ONE] = wire_io(pair.admin, 2, 31, false);
	wire_icreq(wires[ICREQ_ONE], 0, false, false);
	wire_icreq_bytes(bytes);
	wire_send(wires[HALF_ONE], bytes, 77);
	wire_header(bytes, R2T, 0, 24, 0, 24);
	wire_send(wires[BAD_ONE], bytes, 24);
	shutdown(wires[GONE_ONE]->fd, SHUT_RDWR);
	wire_cmd(pair.admin, &cmd);
	take_all_buffers(pair.io, tags);
	cmd = cmd_write_in_capsule(9, 0, pattern, 4096);
	wire_cmd(wires[WAITING_ONE], &cmd);
	/* The peers' own descriptors outlive the target. */
	world->fds += ALL;
	world_destroy(world);
	for (int i = 0; i < ALL; i++) {
		close(wires[i]->fd);
		free(wires[i]->in);
		free(wires[i]);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_capsule_data_waits_for_buffers),
		cmocka_unit_test(test_disconnect_while_waiting_for_buffers),
		cmocka_unit_test(test_abort_of_a_command_that_waits_for_buffers),
		T(test_reader_that_never_reads),
		T(test_reader_that_reads_late),
		T(test_half_close_then_commands),
		T(test_peer_that_only_stops_reading),
		T(test_many_silent_connections),
		cmocka_unit_test(test_limit_of_connections),
		cmocka_unit_test(test_limit_of_pending_connections),
		T(test_storm_of_connections),
		cmocka_unit_test(test_stop_with_connections_in_every_state),
	};

	return cmocka_run_group_tests_name("exhaustion", tests, NULL, NULL);
}
