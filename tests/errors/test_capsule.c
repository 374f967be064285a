/* SPDX-License-Identifier: BSD-3-Clause */
/* Command capsules: lengths, padding, SGLs, identifiers, depth. */
#include <stdlib.h>
#include <string.h>

#include "wire.h"

static uint8_t pattern[65536];

static void fill(uint8_t *p, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 31 + i / 512 + seed);
}

/* The first bytes of the namespace still are what they were. */
static void check_untouched(struct world *world)
{
	static const uint8_t zeroes[8192];
	uint8_t data[8192];

	world_read(world, 0, data, sizeof(data));
	assert_memory_equal(data, zeroes, sizeof(data));
}

static void test_in_capsule_write_of_every_size(void **state)
{
	struct pair pair = wire_pair(*state);
	uint8_t data[8192];

	for (uint32_t len = WIRE_BLOCK; len <= 8192; len += WIRE_BLOCK) {
		struct cmd cmd;

		fill(pattern, len, len);
		cmd = cmd_write_in_capsule(9, 16, pattern, len);
		assert_int_equal(wire_do(pair.io, &cmd, NULL), 0);
		world_read(*state, 16, data, len);
		assert_memory_equal(data, pattern, len);
	}
	pair_close(&pair);
}

/* Several capsules in one segment, cut anywhere. */
static void test_capsules_in_one_segment_cut_anywhere(void **state)
{
	struct pair pair = wire_pair(*state);
	uint8_t bytes[4 * 1200], data[1024];

	for (size_t cut = 1; cut < 2400; cut += 17) {
		size_t len = 0;

		fill(pattern, 1024, (unsigned int)cut);
		for (uint16_t cid = 0; cid < 4; cid++) {
			struct cmd cmd = cmd_write_in_capsule(cid, cid * 2u, pattern, 1024);

			len += cmd_bytes(pair.io, &cmd, bytes + len);
		}
		wire_send(pair.io, bytes, cut);
		wire_send(pair.io, bytes + cut, len - cut);
		for (uint16_t cid = 0; cid < 4; cid++)
			assert_int_equal(wire_resp(pair.io, cid, NULL), 0);
	}
	world_read(*state, 6, data, 1024);
	assert_memory_equal(data, pattern, 1024);
	pair_close(&pair);
}

struct length_case {
	const char *name;
	int32_t plen; /* relative to that of a 4 KiB in-capsule write */
	uint8_t pdo;
	uint16_t fes;
	int64_t fei;
};

static const struct length_case length_cases[] = {
	{"one byte more than the SGL", 1, 72, FES_FIELD, 4},
	{"512 bytes more than the SGL", 512, 72, FES_FIELD, 4},
	{"the most that a capsule holds", 4096, 72, FES_FIELD, 4},
	{"more than a capsule holds", 4097, 72, FES_LIMIT, -1},
	{"2^31 more", 0x7fff0000, 72, FES_LIMIT, -1},
	{"PLEN 0", -(72 + 4096), 72, FES_FIELD, 4},
	{"PLEN 71", -(4096 + 1), 72, FES_FIELD, 4},
	{"PDO 0", 0, 0, FES_FIELD, 3},
	{"PDO in the header", 0, 68, FES_FIELD, 3},
	{"PDO not aligned", 0, 74, FES_FIELD, 3},
	{"PDO at the end", -4096 + 8, 80, FES_FIELD, 4},
};

static void test_bad_lengths_execute_nothing(void **state)
{
	struct world *world = *state;

	memset(pattern, 0xaa, 4096);
	for (size_t i = 0; i < ARRAY_SIZE(length_cases); i++) {
		const struct length_case *c = &length_cases[i];
		struct cmd cmd = cmd_write_in_capsule(9, 0, pattern, 4096);
		struct pair pair = wire_pair(world);
		uint8_t bytes[72 + 8192] = {0};

		print_message("%s\n", c->name);
		cmd_bytes(pair.io, &cmd, bytes);
		bytes[3] = c->pdo;
		put32(bytes + 4, (uint32_t)(72 + 4096 + c->plen));
		wire_try_send(pair.io, bytes, sizeof(bytes));
		wire_expect_term(pair.io, c->fes, c->fei);
		/* The other queue of the controller lives on. */
		cmd = cmd_property_get(4, 0x08);
		assert_int_equal(wire_do(pair.admin, &cmd, NULL), 0);
		pair_close(&pair);
	}
	check_untouched(world);
}

/* A Flush has no data, so a capsule that brings some is longer than its command. */
static void test_data_of_a_command_without_data(void **state)
{
	struct pair pair = wire_pair(*state);
	struct cmd cmd = cmd_make(0x00, 9, 1, SGL_NONE, 0);

	cmd.data = pattern;
	cmd.data_len = 512;
	wire_cmd(pair.io, &cmd);
	wire_expect_term(pair.io, FES_FIELD, 4);
	pair_close(&pair);
	world_check_alive(*state);
}

static void test_less_data_than_the_sgl_says(void **state)
{
	struct pair pair = wire_pair(*state);
	struct cmd cmd = cmd_write_in_capsule(9, 0, pattern, 4096);

	memset(pattern, 0xaa, 4096);
	for (uint32_t len = 0; len < 4096; len += 512) {
		cmd.data_len = len;
		assert_int_equal(wire_do(pair.io, &cmd, NULL), STATUS_SGL_DATA);
	}
	check_untouched(*state);
	pair_close(&pair);
}

static void test_padding_before_the_data(void **state)
{
	struct world *world = *state;
	struct pair pair = wire_pair(world);
	struct cmd cmd;
	uint8_t data[512];

	fill(pattern, 512, 3);
	for (unsigned int pdo = 72; pdo <= 252; pdo += 4) {
		uint8_t bytes[255 + 512];

		cmd = cmd_write_in_capsule(9, 40, pattern, 512);
		cmd_bytes(pair.io, &cmd, bytes);
		memset(bytes + 72, 0xee, sizeof(bytes) - 72);
		memcpy(bytes + pdo, pattern, 512);
		bytes[3] = (uint8_t)pdo;
		put32(bytes + 4, pdo + 512u);
		/* Twice, as a header like the one before is known already. */
		for (int i = 0; i < 2; i++) {
			wire_send(pair.io, bytes, pdo + 512u);
			assert_int_equal(wire_resp(pair.io, 9, NULL), 0);
			world_read(world, 40, data, 512);
			assert_memory_equal(data, pattern, 512);
		}
	}
	pair_close(&pair);
}

static void test_cpda_is_required_of_hosts(void **state)
{
	const struct world_opts opts = {.tcp = {.hpda_cpda = 31}};
	struct world *world = world_create(&opts);
	struct wire *wire = wire_open(world);
	uint8_t bytes[2048], data[1024];
	struct cmd cmd = cmd_connect(data, 1, 0, 31, 0xffff);
	struct pdu pdu;

	(void)state;
	wire_icreq_bytes(bytes);
	wire_send(wire, bytes, 128);
	wire_expect(wire, ICRESP, &pdu);
	assert_int_equal(pdu.bytes[10], 31);
	cmd_bytes(wire, &cmd, bytes);
	memmove(bytes + 128, bytes + 72, 1024);
	bytes[3] = 128;
	put32(bytes + 4, 128 + 1024);
	wire_send(wire, bytes, 128 + 1024);
	assert_int_equal(wire_resp(wire, 1, NULL), 0);
	cmd = cmd_make(0x06, 2, 0, SGL_CAPSULE, 512);
	cmd.data = pattern;
	cmd.data_len = 512;
	wire_cmd(wire, &cmd);
	wire_expect_term(wire, FES_FIELD, 3);
	wire_close(wire);
	world_destroy(world);
}

static void test_hpda_is_honoured(void **state)
{
	for (unsigned int hpda = 0; hpda < 32; hpda++) {
		struct wire *wire = wire_open(*state);
		struct cmd cmd;
		struct pdu pdu;
		uint8_t data[1024];

		wire_icreq(wire, (uint8_t)hpda, hpda % 2, hpda % 3 == 0);
		cmd = cmd_connect(data, 1, 0, 31, 0xffff);
		assert_int_equal(wire_do(wire, &cmd, NULL), 0);
		cmd = cmd_property_set(2, 0x14, 0x00460001);
		assert_int_equal(wire_do(wire, &cmd, NULL), 0);
		cmd = cmd_make(0x06, 3, 0, SGL_TRANSPORT, 4096);
		put32(cmd.sqe + 40, 1);
		wire_cmd(wire, &cmd);
		/* The receiver checks PDO. */
		wire_expect(wire, C2H_DATA, &pdu);
		assert_int_equal(pdu.data_len, 4096);
		assert_int_equal(pdu.flags & F_LAST, F_LAST);
		assert_int_equal(wire_resp(wire, 3, NULL), 0);
		wire_close(wire);
	}
}

/* Without in-capsule data on I/O queues; the admin queue takes 8 KiB always. */
static void test_in_capsule_data_above_the_ports_limit(void **state)
{
	const struct world_opts opts = {.port = {.no_in_capsule = true}};
	struct world *world = world_create(&opts);
	struct pair pair = wire_pair(world);
	struct cmd cmd = cmd_write_in_capsule(9, 0, pattern, 1024);

	(void)state;
	/* As long as the Connect before, which was fine. */
	wire_cmd(pair.io, &cmd);
	wire_expect_term(pair.io, FES_LIMIT, -1);
	pair_close(&pair);
	check_untouched(world);
	world_destroy(world);
}

static void test_large_in_capsule_data(void **state)
{
	const struct world_opts opts = {.port = {.in_capsule_size = 65536}};
	struct world *world = world_create(&opts);
	struct pair pair = wire_pair(world);
	static uint8_t data[65536];
	struct cmd cmd;

	(void)state;
	fill(pattern, sizeof(pattern), 1);
	cmd = cmd_write_in_capsule(9, 0, pattern, sizeof(pattern));
	assert_int_equal(wire_do(pair.io, &cmd, NULL), 0);
	world_read(world, 0, data, sizeof(data));
	assert_memory_equal(data, pattern, sizeof(data));
	pair_close(&pair);
	world_destroy(world);
}

struct sgl_case {
	const char *name;
	uint8_t type;
	uint64_t address;
	uint32_t length;
	uint32_t in_capsule;
	uint16_t status; /* 0: an R2T or success */
};

/* Of a Write of 512 bytes. */
static const struct sgl_case sgl_cases[] = {
	{"address", 0x00, 0x1000, 512, 0, STATUS_SGL_TYPE},
	{"bit bucket", 0x10, 0, 512, 0, STATUS_SGL_TYPE},
	{"segment", 0x20, 0, 512, 0, STATUS_SGL_TYPE},
	{"last segment", 0x30, 0, 512, 0, STATUS_SGL_TYPE},
	{"keyed", 0x40, 0, 512, 0, STATUS_SGL_TYPE},
	{"vendor", 0xf0, 0, 512, 0, STATUS_SGL_TYPE},
	{"transport, sub type 1", 0x51, 0, 512, 0, STATUS_SGL_TYPE},
	{"offset, nothing in the capsule", 0x01, 0, 512, 0, STATUS_SGL_DATA},
	{"offset 512", 0x01, 512, 512, 512, STATUS_SGL_OFFSET},
	{"transport, length 0", 0x5a, 0, 0, 0, STATUS_SGL_DATA},
	{"transport, length 511", 0x5a, 0, 511, 0, STATUS_SGL_DATA},
	{"transport, length 513", 0x5a, 0, 513, 0, STATUS_SGL_DATA},
	{"transport, length 2^32-1", 0x5a, 0, 0xffffffff, 0, STATUS_SGL_DATA},
	{"in capsule, length 1024", 0x01, 0, 1024, 1024, STATUS_SGL_DATA},
	{"in capsule, length 2^32-1", 0x01, 0, 0xffffffff, 512, STATUS_SGL_DATA},
};

static void test_sgl_types_and_lengths(void **state)
{
	struct pair pair = wire_pair(*state);

	memset(pattern, 0xaa, 4096);
	for (size_t i = 0; i < ARRAY_SIZE(sgl_cases); i++) {
		const struct sgl_case *c = &sgl_cases[i];
		struct cmd cmd = cmd_rw(0x01, 9, 0, 1, SGL_TRANSPORT);
		uint16_t status;

		put64(cmd.sqe + 24, c->address);
		put32(cmd.sqe + 32, c->length);
		cmd.sqe[39] = c->type;
		cmd.data = pattern;
		cmd.data_len = c->in_capsule;
		status = wire_do(pair.io, &cmd, NULL);
		if (status != c->status)
			fail_msg("%s: status %03x", c->name, status);
	}
	check_untouched(*state);
	pair_close(&pair);
}

static void test_in_capsule_sgl_of_a_read(void **state)
{
	struct pair pair = wire_pair(*state);
	struct cmd cmd = cmd_rw(0x02, 9, 0, 1, SGL_CAPSULE);

	assert_int_equal(wire_do(pair.io, &cmd, NULL), STATUS_SGL_TYPE);
	cmd.data = pattern;
	cmd.data_len = 512;
	assert_int_equal(wire_do(pair.io, &cmd, NULL), STATUS_SGL_TYPE);
	pair_close(&pair);
}

/* PRPs (PSDT 0) are not for fabrics. */
static void test_psdt(void **state)
{
	struct pair pair = wire_pair(*state);

	for (unsigned int psdt = 0; psdt < 4; psdt++) {
		struct cmd cmd = cmd_rw(0x02, 9, 0, 1, SGL_TRANSPORT);
		uint16_t status;

		cmd.sqe[1] = (uint8_t)(psdt << 6);
		status = wire_do(pair.io, &cmd, NULL);
		if (psdt == 0 || psdt == 3)
			assert_int_not_equal(status, 0);
	}
	pair_close(&pair);
}

/* The data of a command that failed at once is skipped, and the next command is found behind it. */
static void test_data_of_a_failed_command_is_skipped(void **state)
{
	struct pair pair = wire_pair(*state);
	struct cmd cmd = cmd_write_in_capsule(9, WIRE_BLOCKS, pattern, 4096);

	assert_int_equal(wire_do(pair.io, &cmd, NULL), 0x080); /* LBA Out of Range */
	cmd = cmd_write_in_capsule(10, 0, pattern, 4096);
	assert_int_equal(wire_do(pair.io, &cmd, NULL), 0);
	pair_close(&pair);
}

static void test_command_id_twice_in_flight(void **state)
{
	struct pair pair = wire_pair(*state);
	struct cmd cmd = cmd_rw(0x01, 9, 0, 1, SGL_TRANSPORT);
	struct h2c h2c = {.cid = 9, .len = 512, .last = true};

	wire_cmd(pair.io, &cmd);
	h2c.ttag = wire_r2t(pair.io, 9, 512);
	wire_cmd(pair.io, &cmd);
	assert_int_equal(wire_resp(pair.io, 9, NULL), STATUS_CID_CONFLICT);
	/* The first is not harmed. */
	wire_h2c(pair.io, &h2c, pattern);
	assert_int_equal(wire_resp(pair.io, 9, NULL), 0);
	/* And the identifier is free again. */
	cmd = cmd_write_in_capsule(9, 0, pattern, 512);
	assert_int_equal(wire_do(pair.io, &cmd, NULL), 0);
	pair_close(&pair);
}

static void send_writes(struct wire *wire, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct cmd cmd = cmd_rw(0x01, (uint16_t)i, i, 1, SGL_TRANSPORT);

		wire_cmd(wire, &cmd);
	}
}

/* A queue of SQSIZE 4 (5 entries) holds 4 commands. */
static void test_as_many_commands_as_the_queue_holds(void **state)
{
	struct wire *admin = wire_admin(*state), *io = wire_io(admin, 1, 4, false);

	send_writes(io, 4);
	for (uint16_t cid = 0; cid < 4; cid++) {
		struct h2c h2c = {.cid = cid, .len = 512, .last = true};

		h2c.ttag = wire_r2t(io, cid, 512);
		wire_h2c(io, &h2c, pattern);
	}
	for (uint16_t cid = 0; cid < 4; cid++)
		assert_int_equal(wire_resp(io, cid, NULL), 0);
	wire_close(io);
	wire_close(admin);
}

static void expect_overflow(struct world *world, bool no_flow_control)
{
	struct wire *admin = wire_admin(world), *io = wire_io(admin, 1, 4, no_flow_control);
	struct pdu pdu;

	send_writes(io, 5);
	do
		assert_true(wire_recv(io, &pdu));
	while (pdu.type == R2T);
	assert_int_equal(pdu.type, C2H_TERM);
	wire_close(io);
	wire_close(admin);
	world_check_alive(world);
}

static void test_more_commands_than_the_queue_holds(void **state)
{
	expect_overflow(*state, false);
}

static void test_more_commands_than_the_queue_holds_without_flow_control(void **state)
{
	expect_overflow(*state, true);
}

static void test_sqhd_advances_and_wraps(void **state)
{
	struct wire *admin = wire_admin(*state), *io = wire_io(admin, 1, 4, false);
	struct pdu pdu;

	/* Connect was entry 0. */
	for (unsigned int i = 2; i < 20; i++) {
		struct cmd cmd = cmd_make(0x00, 9, 1, SGL_NONE, 0);

		assert_int_equal(wire_do(io, &cmd, &pdu), 0);
		assert_int_equal(get16(pdu.bytes + 16), i % 5);
	}
	wire_close(io);
	wire_close(admin);
}

/* C2HData may stand for the response only where SQHD need not be told. */
static void test_success_flag_depends_on_flow_control(void **state)
{
	for (int no_flow_control = 0; no_flow_control < 2; no_flow_control++) {
		struct wire *admin = wire_admin(*state), *io = wire_io(admin, 1, 31, no_flow_control);
		struct cmd cmd = cmd_rw(0x02, 9, 0, 8, SGL_TRANSPORT);
		struct pdu pdu;

		wire_cmd(io, &cmd);
		wire_expect(io, C2H_DATA, &pdu);
		assert_int_equal(!!(pdu.flags & F_SUCCESS), no_flow_control);
		assert_int_equal(!!(pdu.flags & F_LAST), 1);
		assert_int_equal(get16(pdu.bytes + 8), 9);
		if (no_flow_control)
			wire_expect_silence(io);
		else
			assert_int_equal(wire_resp(io, 9, NULL), 0);
		wire_close(io);
		wire_close(admin);
	}
}

/* Reserved bytes of responses are 0, whatever was there before. */
static void test_reserved_bytes_are_zero(void **state)
{
	struct pair pair = wire_pair(*state);
	struct pdu pdu;

	for (unsigned int i = 0; i < 50; i++) {
		struct cmd cmd = cmd_rw((uint8_t)(1 + i % 2), (uint16_t)i, 0, 8, SGL_TRANSPORT);

		if (i % 2 == 0) {
			cmd = cmd_write_in_capsule((uint16_t)i, 0, pattern, 4096);
			assert_int_equal(wire_do(pair.io, &cmd, &pdu), 0);
		} else {
			wire_cmd(pair.io, &cmd);
			wire_expect(pair.io, C2H_DATA, &pdu);
			assert_int_equal(get16(pdu.bytes + 10), 0); /* TTAG */
			assert_int_equal(get32(pdu.bytes + 12), 0); /* DATAO */
			assert_int_equal(get32(pdu.bytes + 20), 0);
			assert_int_equal(wire_resp(pair.io, (uint16_t)i, &pdu), 0);
		}
		assert_int_equal(get64(pdu.bytes + 8), 0); /* DW0, DW1 */
		assert_int_equal(pdu.bytes[1], 0);
		assert_int_equal(pdu.bytes[3], 0);
	}
	pair_close(&pair);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(test_in_capsule_write_of_every_size),
		T(test_capsules_in_one_segment_cut_anywhere),
		T(test_bad_lengths_execute_nothing),
		T(test_data_of_a_command_without_data),
		T(test_less_data_than_the_sgl_says),
		T(test_padding_before_the_data),
		cmocka_unit_test(test_cpda_is_required_of_hosts),
		T(test_hpda_is_honoured),
		cmocka_unit_test(test_in_capsule_data_above_the_ports_limit),
		cmocka_unit_test(test_large_in_capsule_data),
		T(test_sgl_types_and_lengths),
		T(test_in_capsule_sgl_of_a_read),
		T(test_psdt),
		T(test_data_of_a_failed_command_is_skipped),
		T(test_command_id_twice_in_flight),
		T(test_as_many_commands_as_the_queue_holds),
		T(test_more_commands_than_the_queue_holds),
		T(test_more_commands_than_the_queue_holds_without_flow_control),
		T(test_sqhd_advances_and_wraps),
		T(test_success_flag_depends_on_flow_control),
		T(test_reserved_bytes_are_zero),
	};

	return cmocka_run_group_tests_name("capsule", tests, NULL, NULL);
}
