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
	const struct world_opts opts = {.target = {.data_memory_max = 4 * MIB}};

	return world_create(&opts);
}

/*
 * Queues with a write each whose data does not come. A queue never gets more than it leaves to the others, so it takes
 * several until the next block of 4 KiB has to wait.
 */
#define HOGS 11
struct hogs {
	struct wire *wires[HOGS];
	uint16_t tags[HOGS];
};

static uint32_t hog_len(int i)
{
	return i < 3 ? MIB : MIB >> (i - 2);
}

static void take_all_buffers(struct wire *admin, struct hogs *hogs)
{
	for (int i = 0; i < HOGS; i++) {
		struct cmd cmd = cmd_rw(0x01, 0, 0, hog_len(i) / WIRE_BLOCK, SGL_TRANSPORT);

		hogs->wires[i] = wire_io(admin, (uint16_t)(10 + i), 31, false);
		wire_cmd(hogs->wires[i], &cmd);
		hogs->tags[i] = wire_r2t(hogs->wires[i], 0, hog_len(i));
	}
}

static void hogs_close(struct hogs *hogs)
{
	for (int i = 0; i < HOGS; i++)
		wire_close(hogs->wires[i]);
}

/* All data of a write of 1 MiB. */
static void send_data_of(struct wire *wire, uint16_t cid, uint16_t tag)
{
	for (uint32_t at = 0; at < MIB; at += sizeof(pattern)) {
		struct h2c h2c = {.cid = cid,
				  .ttag = tag,
				  .datao = at,
				  .len = sizeof(pattern),
				  .last = at + sizeof(pattern) == MIB};

		wire_h2c(wire, &h2c, pattern);
	}
}

static void send_data(struct wire *wire, uint16_t cid, uint16_t tag)
{
	send_data_of(wire, cid, tag);
	assert_int_equal(wire_resp(wire, cid, NULL), 0);
}

static void test_in_capsule_data_waits_for_buffers(void **state)
{
	struct world *world = small_world();
	struct pair pair = wire_pair(world);
	struct wire *other = wire_io(pair.admin, 2, 31, false);
	uint8_t bytes[4 * (72 + 4096)], data[4096];
	struct hogs hogs;
	size_t len = 0;

	(void)state;
	take_all_buffers(pair.admin, &hogs);
	/* Several capsules in one segment: parsing stops inside the first. */
	for (uint16_t cid = 0; cid < 4; cid++) {
		struct cmd cmd;

		memset(data, 0x10 + cid, sizeof(data));
		cmd = cmd_write_in_capsule(cid, 4096 + cid * 8u, data, sizeof(data));
		len += cmd_bytes(other, &cmd, bytes + len);
	}
	wire_send(other, bytes, len);
	wire_expect_silence(other);
	send_data(hogs.wires[1], 0, hogs.tags[1]);
	for (uint16_t cid = 0; cid < 4; cid++)
		assert_int_equal(wire_resp(other, cid, NULL), 0);
	for (uint16_t cid = 0; cid < 4; cid++) {
		world_read(world, 4096 + cid * 8u, data, sizeof(data));
		assert_int_equal(data[0], 0x10 + cid);
		assert_int_equal(data[4095], 0x10 + cid);
	}
	hogs_close(&hogs);
	wire_close(other);
	pair_close(&pair);
	world_destroy(world);
}

static void test_disconnect_while_waiting_for_buffers(void **state)
{
	struct world *world = small_world();
	struct pair pair = wire_pair(world);
	struct hogs hogs;

	(void)state;
	take_all_buffers(pair.admin, &hogs);
	for (int by_r2t = 0; by_r2t < 2; by_r2t++) {
		struct wire *other = wire_io(pair.admin, 2, 31, false);
		struct cmd cmd = cmd_write_in_capsule(9, 0, pattern, 4096);

		if (by_r2t)
			cmd = cmd_rw(0x01, 9, 0, 8, SGL_TRANSPORT);
		wire_cmd(other, &cmd);
		wire_close(other);
	}
	hogs_close(&hogs);
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
	struct hogs hogs;
	struct pdu pdu;

	(void)state;
	take_all_buffers(pair.admin, &hogs);
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
	hogs_close(&hogs);
	wire_close(other);
	pair_close(&pair);
	world_destroy(world);
}

static void replace_namespace(struct world *world, uint64_t blocks)
{
	const struct nvmft_memory_opts memory = {
		.size = sizeof(memory), .bytes = blocks * WIRE_BLOCK, .block_size = WIRE_BLOCK};
	const struct nvmft_namespace_opts ns = {
		.size = sizeof(ns), .backend = nvmft_backend_memory(), .backend_opts = &memory};

	assert_int_equal(nvmft_namespace_remove(world->ns, NULL), 0);
	world_settle(world);
	assert_int_equal(nvmft_namespace_add(world->subsystem, &ns, &world->ns), 0);
	world_settle(world);
}

/* A write was good when it came. When its data is there, after it has waited for a buffer, its blocks are no more. */
static void test_the_namespace_is_replaced_while_a_write_waits(void **state)
{
	struct world *world = small_world();
	struct pair pair = wire_pair(world);
	struct cmd cmd = cmd_rw(0x01, 9, WIRE_BLOCKS - 8, 8, SGL_TRANSPORT);
	struct h2c data = {.cid = 9, .len = 4096, .last = true};
	struct hogs hogs;

	(void)state;
	take_all_buffers(pair.admin, &hogs);
	wire_cmd(pair.io, &cmd);
	wire_expect_silence(pair.io);
	replace_namespace(world, WIRE_BLOCKS / 2);
	send_data_of(hogs.wires[1], 0, hogs.tags[1]);
	data.ttag = wire_r2t(pair.io, 9, 4096);
	wire_h2c(pair.io, &data, pattern);
	assert_int_equal(wire_resp(pair.io, 9, NULL), 0x080); /* LBA Out of Range */
	hogs_close(&hogs);
	pair_close(&pair);
	world_destroy(world);
}

/* It is answered at once: buffers come back only when what is behind it was received. */
static void test_in_capsule_data_in_front_of_data_asked_for(void **state)
{
	struct world *world = small_world();
	struct pair pair = wire_pair(world);
	struct cmd cmd = cmd_write_in_capsule(9, 4096, pattern, 4096);

	(void)state;
	for (uint16_t cid = 0; cid < 6; cid++) {
		struct cmd write = cmd_rw(0x01, cid, 0, MIB / WIRE_BLOCK, SGL_TRANSPORT);

		wire_cmd(pair.io, &write);
	}
	wire_cmd(pair.io, &cmd);
	for (uint16_t cid = 0; cid < 2; cid++)
		wire_r2t(pair.io, cid, MIB);
	assert_int_equal(wire_resp(pair.io, 9, NULL), 0);
	pair_close(&pair);
	world_destroy(world);
}

/*
 * Capsules that lack buffers stand in the stream before the data of commands that hold them. Everything must get
 * through.
 */
static void capsules_in_front_of_data(uint32_t in_capsule, bool digests)
{
	const struct world_opts opts = {.target = {.data_memory_max = 4 * MIB}, .port = {.in_capsule_size = 65536}};
	static uint8_t data[65536], got[65536];
	struct world *world = world_create(&opts);
	struct pair pair = wire_pair_digests(world, digests, digests);
	uint32_t blocks = in_capsule / WIRE_BLOCK;
	struct cmd cmd;
	struct pdu pdu;

	for (uint16_t cid = 0; cid < 8; cid++) {
		cmd = cmd_rw(0x01, cid, 0, MIB / WIRE_BLOCK, SGL_TRANSPORT);
		wire_cmd(pair.io, &cmd);
	}
	for (uint16_t i = 0; i < 8; i++) {
		memset(data, 0x30 + i, in_capsule);
		cmd = cmd_write_in_capsule((uint16_t)(20 + i), 4096 + i * blocks, data, in_capsule);
		cmd.bad_ddgst = digests && i == 3;
		wire_cmd(pair.io, &cmd);
	}
	for (unsigned int left = 16; left > 0;) {
		assert_true(wire_recv(pair.io, &pdu));
		if (pdu.type == R2T)
			send_data_of(pair.io, get16(pdu.bytes + 8), get16(pdu.bytes + 10));
		else
			left--;
		if (pdu.type == RESP)
			assert_int_equal(get16(pdu.bytes + 22) >> 1,
					 digests && get16(pdu.bytes + 20) == 23 ? STATUS_TRANSPORT_ERROR : 0);
	}
	for (uint16_t i = 0; i < 8; i++) {
		world_read(world, 4096 + i * blocks, got, in_capsule);
		memset(data, digests && i == 3 ? 0 : 0x30 + i, in_capsule);
		assert_memory_equal(got, data, in_capsule);
	}
	pair_close(&pair);
	world_destroy(world);
}

static void test_capsules_in_front_of_data_asked_for(void **state)
{
	(void)state;
	capsules_in_front_of_data(512, false);
	capsules_in_front_of_data(4096, true);
	capsules_in_front_of_data(65536, false);
}

/* One that asks for as much as there is and sends nothing leaves something to the others. */
static void test_writer_that_never_sends(void **state)
{
	struct world *world = small_world();
	struct pair pair = wire_pair(world);
	uint8_t block[WIRE_BLOCK] = {0};

	(void)state;
	for (uint16_t cid = 0; cid < 30; cid++) {
		struct cmd cmd = cmd_rw(0x01, cid, 0, MIB / WIRE_BLOCK, SGL_TRANSPORT);

		wire_cmd(pair.io, &cmd);
	}
	assert_int_equal(world_stats(world).data_bytes, 2 * MIB);
	world_read(world, 0, block, sizeof(block));
	world_check_alive(world);
	pair_close(&pair);
	world_destroy(world);
}

/* Fused pairs that lack buffers for their first halves hold none for the second. */
static void test_fused_pairs_keep_to_the_limit(void **state)
{
	struct world *world = small_world();
	struct pair pair = wire_pair(world);

	(void)state;
	for (uint16_t cid = 0; cid < 30; cid++) {
		struct cmd cmd = cmd_rw(cid % 2 ? 0x01 : 0x05, cid, 0, MIB / WIRE_BLOCK, SGL_TRANSPORT);

		cmd.sqe[1] |= cid % 2 ? 2 : 1;
		wire_cmd(pair.io, &cmd);
	}
	assert_in_range(world_stats(world).data_bytes, MIB, 4 * MIB);
	pair_close(&pair);
	world_check_alive(world);
	world_destroy(world);
}

/* What the core answers may take a little beyond the limit, but not as much as a host likes. */
static void test_admin_reader_that_never_reads(void **state)
{
	struct world *world = small_world();
	struct wire *admin = wire_admin(world);
	struct cmd cmd = cmd_make(0x02, 0, 0xffffffff, SGL_TRANSPORT, MIB);

	(void)state;
	put32(cmd.sqe + 40, 0xffffu << 16 | 1);
	put32(cmd.sqe + 44, (MIB / 4 - 1) >> 16);
	for (uint16_t cid = 0; cid < 20; cid++) {
		put16(cmd.sqe + 2, cid);
		wire_cmd(admin, &cmd);
	}
	assert_in_range(world_stats(world).data_bytes, MIB, 2 * MIB + 64 * 1024);
	world_check_alive(world);
	wire_close(admin);
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

/* The socket is full of one response: those that come meanwhile follow it, also when nothing else happens. */
static void test_responses_behind_a_message_in_progress(void **state)
{
	struct pair pair = wire_pair(*state);
	struct cmd cmds[] = {cmd_rw(0x02, 1, 0, MIB / WIRE_BLOCK, SGL_TRANSPORT), cmd_make(0x00, 2, 1, SGL_NONE, 0),
			     cmd_rw(0x02, 3, 0, 8, SGL_TRANSPORT)};
	struct pdu pdu;

	for (size_t i = 0; i < ARRAY_SIZE(cmds); i++)
		wire_cmd(pair.io, &cmds[i]);
	for (uint16_t cid = 1; cid <= 3; cid++) {
		if (cid != 2)
			wire_expect(pair.io, C2H_DATA, &pdu);
		wire_expect(pair.io, RESP, &pdu);
		assert_int_equal(get16(pdu.bytes + 20), cid);
	}
	pair_close(&pair);
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
	const struct world_opts opts = {.port = {.max_connections = 3}};
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
	const struct world_opts opts = {.port = {.max_pending = 2}};
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
	struct wire *wires[ALL + HOGS] = {[ADMIN_ONE] = pair.admin, [IO_ONE] = pair.io};
	uint8_t bytes[128] = {0};
	struct hogs hogs;

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
	take_all_buffers(pair.admin, &hogs);
	memcpy(&wires[ALL], hogs.wires, sizeof(hogs.wires));
	cmd = cmd_write_in_capsule(9, 0, pattern, 4096);
	wire_cmd(wires[WAITING_ONE], &cmd);
	/* The peers' own descriptors outlive the target. */
	world->fds += ALL + HOGS;
	world_destroy(world);
	for (int i = 0; i < ALL + HOGS; i++) {
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
		cmocka_unit_test(test_the_namespace_is_replaced_while_a_write_waits),
		cmocka_unit_test(test_in_capsule_data_in_front_of_data_asked_for),
		cmocka_unit_test(test_capsules_in_front_of_data_asked_for),
		cmocka_unit_test(test_writer_that_never_sends),
		cmocka_unit_test(test_fused_pairs_keep_to_the_limit),
		cmocka_unit_test(test_admin_reader_that_never_reads),
		T(test_reader_that_never_reads),
		T(test_reader_that_reads_late),
		T(test_responses_behind_a_message_in_progress),
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
