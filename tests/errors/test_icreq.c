/* SPDX-License-Identifier: BSD-3-Clause */
/* Before Connect: ICReq, garbage, PDUs that do not belong there, and peers that say nothing or little. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

static void check_terminated(struct world *world, uint64_t before)
{
	assert_int_equal(world_stats(world).terminated, before + 1);
	world_check_alive(world);
}

/* Send @bytes on a new connection, after an ICReq if @ready, and expect the TermReq. */
static void refused(struct world *world, bool ready, const uint8_t *bytes, size_t len, uint16_t fes, int64_t fei)
{
	uint64_t before = world_stats(world).terminated;
	struct wire *wire = wire_open(world);

	if (ready)
		wire_icreq(wire, 0, false, false);
	wire_try_send(wire, bytes, len);
	wire_expect_term(wire, fes, fei);
	wire_close(wire);
	check_terminated(world, before);
}

struct icreq_case {
	const char *name;
	uint8_t hlen;
	uint32_t plen;
	uint16_t pfv;
	uint8_t hpda;
	uint16_t fes;
	uint32_t fei;
};

static const struct icreq_case bad_icreqs[] = {
	{"HLEN 0", 0, 128, 0, 0, FES_FIELD, 2},
	{"HLEN 127", 127, 128, 0, 0, FES_FIELD, 2},
	{"HLEN 129", 129, 128, 0, 0, FES_FIELD, 2},
	{"HLEN 255", 255, 128, 0, 0, FES_FIELD, 2},
	{"PLEN 0", 128, 0, 0, 0, FES_FIELD, 4},
	{"PLEN 7", 128, 7, 0, 0, FES_FIELD, 4},
	{"PLEN 127", 128, 127, 0, 0, FES_FIELD, 4},
	{"PLEN 129", 128, 129, 0, 0, FES_FIELD, 4},
	{"PLEN 2^32-1", 128, 0xffffffff, 0, 0, FES_FIELD, 4},
	{"PFV 1", 128, 128, 1, 0, FES_UNSUPPORTED, 8},
	{"PFV FFFFh", 128, 128, 0xffff, 0, FES_UNSUPPORTED, 8},
	{"HPDA 32", 128, 128, 0, 32, FES_FIELD, 10},
	{"HPDA 255", 128, 128, 0, 255, FES_FIELD, 10},
};

static void test_bad_icreq(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_icreqs); i++) {
		const struct icreq_case *c = &bad_icreqs[i];
		uint8_t bytes[128];

		print_message("%s\n", c->name);
		wire_icreq_bytes(bytes);
		bytes[2] = c->hlen;
		put32(bytes + 4, c->plen);
		put16(bytes + 8, c->pfv);
		bytes[10] = c->hpda;
		refused(*state, false, bytes, sizeof(bytes), c->fes, c->fei);
	}
}

static void test_term_req_quotes_the_offending_header(void **state)
{
	struct wire *wire = wire_open(*state);
	uint8_t bytes[128];
	struct pdu pdu;

	wire_icreq_bytes(bytes);
	bytes[10] = 77;
	wire_send(wire, bytes, sizeof(bytes));
	wire_expect(wire, C2H_TERM, &pdu);
	assert_int_equal(pdu.plen, 24 + 128);
	assert_memory_equal(pdu.bytes + 24, bytes, 128);
	wire_close(wire);
}

static void test_zeroes(void **state)
{
	static const uint8_t zeroes[256];

	refused(*state, false, zeroes, sizeof(zeroes), FES_FIELD, 2);
	refused(*state, true, zeroes, sizeof(zeroes), FES_SEQUENCE, -1);
}

static void test_any_maxr2t_is_good(void **state)
{
	static const uint32_t values[] = {0, 1, 15, 0x7fffffff, 0xffffffff};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		struct wire *wire = wire_open(*state);
		uint8_t bytes[128];
		struct pdu pdu;

		wire_icreq_bytes(bytes);
		put32(bytes + 12, values[i]);
		wire_send(wire, bytes, sizeof(bytes));
		wire_expect(wire, ICRESP, &pdu);
		assert_int_equal(get32(pdu.bytes + 12), WIRE_MAXH2CDATA);
		wire_close(wire);
	}
}

static void test_icreq_twice(void **state)
{
	uint8_t bytes[128];

	wire_icreq_bytes(bytes);
	refused(*state, true, bytes, sizeof(bytes), FES_SEQUENCE, -1);
}

static void test_icreq_twice_in_one_segment(void **state)
{
	struct wire *wire = wire_open(*state);
	uint8_t bytes[256];

	wire_icreq_bytes(bytes);
	wire_icreq_bytes(bytes + 128);
	wire_try_send(wire, bytes, sizeof(bytes));
	wire_expect_term(wire, FES_SEQUENCE, -1);
	wire_close(wire);
	world_check_alive(*state);
}

static void test_icreq_after_connect(void **state)
{
	struct wire *wire = wire_admin(*state);
	uint8_t bytes[128];

	wire_icreq_bytes(bytes);
	wire_try_send(wire, bytes, sizeof(bytes));
	wire_expect_term(wire, FES_SEQUENCE, -1);
	wire_close(wire);
	world_check_alive(*state);
}

/* Every type but ICReq and TermReq, before ICReq. */
static void test_pdu_types_before_icreq(void **state)
{
	for (unsigned int type = 1; type < 256; type++) {
		struct wire *wire;
		uint8_t bytes[128] = {0};

		if (type == H2C_TERM)
			continue;
		wire = wire_open(*state);
		wire_header(bytes, (uint8_t)type, 0, 72, 0, 72);
		wire_try_send(wire, bytes, 72);
		wire_expect_term(wire, FES_SEQUENCE, -1);
		wire_close(wire);
	}
	world_check_alive(*state);
}

/* Every type that no host sends, after ICReq. */
static void test_unknown_and_controller_pdu_types(void **state)
{
	for (unsigned int type = 1; type < 256; type++) {
		struct wire *wire;
		uint8_t bytes[128] = {0};

		if (type == H2C_TERM || type == CAPSULE || type == H2C_DATA)
			continue;
		wire = wire_open(*state);
		wire_icreq(wire, 0, false, false);
		wire_header(bytes, (uint8_t)type, 0, 24, 0, 24);
		wire_try_send(wire, bytes, 24);
		wire_expect_term(wire, FES_FIELD, 0);
		wire_close(wire);
	}
	world_check_alive(*state);
}

static void test_host_term_req_ends_quietly(void **state)
{
	struct world *world = *state;
	uint64_t before = world_stats(world).terminated;

	for (int ready = 0; ready < 2; ready++) {
		for (uint32_t plen = 24; plen <= 152; plen += 64) {
			struct wire *wire = wire_open(world);
			uint8_t bytes[152] = {0};

			if (ready)
				wire_icreq(wire, 0, false, false);
			wire_header(bytes, H2C_TERM, 0, 24, 0, plen);
			bytes[8] = 1;
			wire_try_send(wire, bytes, plen);
			wire_expect_closed(wire);
			wire_close(wire);
		}
	}
	assert_int_equal(world_stats(world).terminated, before);
	world_check_alive(world);
}

static void test_host_term_req_of_bad_length(void **state)
{
	static const uint32_t plens[] = {0, 8, 23, 153, 0x80000000, 0xffffffff};

	for (size_t i = 0; i < ARRAY_SIZE(plens); i++) {
		uint8_t bytes[24] = {0};

		wire_header(bytes, H2C_TERM, 0, 24, 0, plens[i]);
		refused(*state, true, bytes, sizeof(bytes), FES_FIELD, 4);
	}
}

/* After a fatal error nothing more is parsed: a good Connect behind the bad PDU is not answered. */
static void test_nothing_is_parsed_after_a_fatal_error(void **state)
{
	struct wire *wire = wire_open(*state);
	uint8_t bytes[24 + 2048] = {0}, data[1024];
	struct cmd cmd = cmd_connect(data, 1, 0, 31, 0xffff);
	size_t len;

	wire_icreq(wire, 0, false, false);
	wire_header(bytes, R2T, 0, 24, 0, 24);
	len = 24 + cmd_bytes(wire, &cmd, bytes + 24);
	wire_send(wire, bytes, len);
	/* And later, in a receive of its own. */
	wire_try_send(wire, bytes + 24, len - 24);
	wire_expect_term(wire, FES_FIELD, 0);
	wire_close(wire);
	assert_int_equal(world_stats(*state).admin_cmds, 0);
}

/* Whoever does not close after a TermReq is closed. */
static void test_peer_that_ignores_the_term_req(void **state)
{
	struct world *world = *state;
	struct wire *wire = wire_open(world);
	uint8_t bytes[24] = {0};

	wire_header(bytes, R2T, 0, 24, 0, 24);
	wire_send(wire, bytes, sizeof(bytes));
	assert_int_equal(world_stats(world).connections, 1);
	for (int i = 0; i < 100; i++)
		wire_try_send(wire, bytes, sizeof(bytes));
	world_pass(world, 3000);
	assert_int_equal(world_stats(world).connections, 0);
	wire_close(wire);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void send_garbage(struct world *world, size_t len, uint32_t seed, bool ready)
{
	struct wire *wire = wire_open(world);
	uint8_t *bytes = malloc(len);
	struct pdu pdu;

	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)next_random(&seed);
	if (ready)
		wire_icreq(wire, 0, false, false);
	wire_try_send(wire, bytes, len);
	shutdown(wire->fd, SHUT_WR);
	while (wire_recv(wire, &pdu))
		;
	free(bytes);
	wire_close(wire);
}

static void test_garbage(void **state)
{
	for (size_t len = 1; len <= 65536; len = len < 64 ? len + 1 : len * 2) {
		send_garbage(*state, len, (uint32_t)len, false);
		send_garbage(*state, len, (uint32_t)len + 7, true);
	}
	world_check_alive(*state);
	assert_int_equal(world_stats(*state).connections, 0);
}

/* ICReq cut off at every byte, then FIN. */
static void test_close_at_every_byte_of_icreq(void **state)
{
	struct world *world = *state;
	int rounds = 800; /* about 10^5 connections */
	uint8_t bytes[128];

	wire_icreq_bytes(bytes);
	for (int round = 0; round < rounds; round++) {
		for (size_t len = 0; len <= sizeof(bytes); len++) {
			struct wire *wire = wire_open(world);

			if (len > 0)
				wire_send(wire, bytes, len);
			wire_close(wire);
		}
	}
	assert_int_equal(world_stats(world).connections, 0);
	world_check_alive(world);
}

/* The same without giving the target time to look in between. */
static void test_close_before_the_target_looks(void **state)
{
	struct world *world = *state;
	uint8_t bytes[128];

	wire_icreq_bytes(bytes);
	for (int i = 0; i < 2000; i++) {
		int fds[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		assert_int_equal(nvmft_tcp_serve(world->port, world->group, fds[1]), 0);
		if (i % 3)
			assert_true(send(fds[0], bytes, (size_t)(i % 129), MSG_NOSIGNAL) >= 0);
		close(fds[0]);
		if (i % 50 == 0)
			nvmft_poll(world->group, 0);
	}
	world_settle(world);
	assert_int_equal(world_stats(world).connections, 0);
	world_check_alive(world);
}

/* A whole session in pieces of one byte. */
static void test_one_byte_at_a_time(void **state)
{
	struct wire *wire = wire_open(*state);
	uint8_t bytes[2048], data[1024];
	struct cmd cmd = cmd_connect(data, 1, 0, 31, 0xffff);
	struct pdu pdu;
	size_t len;

	wire_icreq_bytes(bytes);
	bytes[11] = 3; /* digests, so that they are cut as well */
	for (size_t i = 0; i < 128; i++) {
		wire_expect_silence(wire);
		wire_send(wire, bytes + i, 1);
	}
	wire_expect(wire, ICRESP, &pdu);
	wire->hdgst = wire->ddgst = true;
	len = cmd_bytes(wire, &cmd, bytes);
	for (size_t i = 0; i < len; i++) {
		wire_expect_silence(wire);
		wire_send(wire, bytes + i, 1);
	}
	assert_int_equal(wire_resp(wire, 1, NULL), 0);
	wire_close(wire);
}

/* Every way to cut a session in two. */
static void test_two_pieces_cut_anywhere(void **state)
{
	struct world *world = *state;

	for (size_t cut = 1; cut < 128 + 72 + 1024; cut += 3) {
		struct wire *wire = wire_open(world);
		uint8_t bytes[2048], data[1024];
		struct cmd cmd = cmd_connect(data, 1, 0, 31, 0xffff);
		struct pdu pdu;
		size_t len;

		wire_icreq_bytes(bytes);
		len = 128 + cmd_bytes(wire, &cmd, bytes + 128);
		wire_send(wire, bytes, cut);
		wire_send(wire, bytes + cut, len - cut);
		wire_expect(wire, ICRESP, &pdu);
		assert_int_equal(wire_resp(wire, 1, NULL), 0);
		wire_close(wire);
	}
}

static void test_silent_peer_is_closed(void **state)
{
	struct world *world = *state;
	struct wire *wire = wire_open(world);

	world_pass(world, 9000);
	wire_expect_silence(wire);
	assert_int_equal(world_stats(world).connections, 1);
	world_pass(world, 2000);
	wire_expect_closed(wire);
	assert_int_equal(world_stats(world).connections, 0);
	wire_close(wire);
}

static void test_peer_without_connect_is_closed(void **state)
{
	struct world *world = *state;
	struct wire *wire = wire_open(world);

	wire_icreq(wire, 0, false, false);
	world_pass(world, 11000);
	wire_expect_closed(wire);
	wire_close(wire);
}

/* Trickling bytes does not move the deadline. */
static void test_slow_peer_is_closed(void **state)
{
	struct world *world = *state;
	struct wire *wire = wire_open(world);
	uint8_t bytes[128];
	size_t sent = 0;

	wire_icreq_bytes(bytes);
	while (sent < sizeof(bytes) && wire_try_send(wire, bytes + sent, 1)) {
		sent++;
		world_pass(world, 1000);
	}
	assert_in_range(sent, 9, 13);
	wire_close(wire);
	assert_int_equal(world_stats(world).connections, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(test_bad_icreq),
		T(test_term_req_quotes_the_offending_header),
		T(test_zeroes),
		T(test_any_maxr2t_is_good),
		T(test_icreq_twice),
		T(test_icreq_twice_in_one_segment),
		T(test_icreq_after_connect),
		T(test_pdu_types_before_icreq),
		T(test_unknown_and_controller_pdu_types),
		T(test_host_term_req_ends_quietly),
		T(test_host_term_req_of_bad_length),
		T(test_nothing_is_parsed_after_a_fatal_error),
		T(test_peer_that_ignores_the_term_req),
		T(test_garbage),
		T(test_close_at_every_byte_of_icreq),
		T(test_close_before_the_target_looks),
		T(test_one_byte_at_a_time),
		T(test_two_pieces_cut_anywhere),
		T(test_silent_peer_is_closed),
		T(test_peer_without_connect_is_closed),
		T(test_slow_peer_is_closed),
	};

	return cmocka_run_group_tests_name("icreq", tests, NULL, NULL);
}
