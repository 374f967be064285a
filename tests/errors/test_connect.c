/* SPDX-License-Identifier: BSD-3-Clause */
/* Connect over the wire: every field wrong, at the wrong time, and cut short. */
#include <string.h>

#include "wire.h"

/* Where a Connect is wrong: IPO, and IATTR 1 for an offset in the data. */
#define IN_DATA(offset) (1u << 16 | (offset))

static void set_nqn(uint8_t *field, size_t len)
{
	static const char prefix[] = "nqn.2014-08.org.nvmexpress:";

	memset(field, 0, 256);
	memset(field, 'a', len);
	memcpy(field, prefix, len < sizeof(prefix) - 1 ? len : sizeof(prefix) - 1);
}

struct field_case {
	const char *name;
	uint16_t qid, sqsize, cntlid;
	size_t subnqn_len, hostnqn_len; /* 0: the good one */
	uint32_t where;
};

static const struct field_case field_cases[] = {
	{"SQSIZE 0", 0, 0, 0xffff, 0, 0, 44},
	{"SQSIZE above the port's", 0, 1024, 0xffff, 0, 0, 44},
	{"SQSIZE 65535", 0, 65535, 0xffff, 0, 0, 44},
	{"no such controller", 1, 31, 4711, 0, 0, IN_DATA(16)},
	{"controller FFFFh for an I/O queue", 1, 31, 0xffff, 0, 0, IN_DATA(16)},
	{"SUBNQN of 223 bytes that nobody has", 0, 31, 0xffff, 223, 0, IN_DATA(256)},
	{"SUBNQN of 224 bytes", 0, 31, 0xffff, 224, 0, IN_DATA(256)},
	{"SUBNQN of 256 bytes without NUL", 0, 31, 0xffff, 256, 0, IN_DATA(256)},
	{"HOSTNQN of 224 bytes", 0, 31, 0xffff, 0, 224, IN_DATA(512)},
	{"HOSTNQN of 256 bytes without NUL", 0, 31, 0xffff, 0, 256, IN_DATA(512)},
	{"both of 256 bytes without NUL", 0, 31, 0xffff, 256, 256, IN_DATA(256)},
};

static void test_bad_fields(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(field_cases); i++) {
		const struct field_case *c = &field_cases[i];
		struct wire *wire = wire_open(*state);
		uint8_t data[1024];
		struct cmd cmd = cmd_connect(data, 1, c->qid, c->sqsize, c->cntlid);
		uint16_t status;
		struct pdu pdu;

		if (c->subnqn_len)
			set_nqn(data + 256, c->subnqn_len);
		if (c->hostnqn_len)
			set_nqn(data + 512, c->hostnqn_len);
		wire_icreq(wire, 0, false, false);
		status = wire_do(wire, &cmd, &pdu);
		if (status != STATUS_CONNECT_PARAM || get32(pdu.bytes + 8) != c->where)
			fail_msg("%s: status %03x at %x", c->name, status, get32(pdu.bytes + 8));
		/* The connection may try again. */
		cmd = cmd_connect(data, 1, 0, 31, 0xffff);
		assert_int_equal(wire_do(wire, &cmd, NULL), 0);
		wire_close(wire);
	}
}

/* NQNs from the wire reach the log bounded and printable. */
static void test_log_of_strange_nqns(void **state)
{
	struct world *world = *state;

	for (unsigned int byte = 1; byte < 256; byte++) {
		struct wire *wire = wire_open(world);
		uint8_t data[1024];
		struct cmd cmd = cmd_connect(data, 1, 0, 31, 0xffff);

		memset(data + 256, (int)byte, 256);
		memset(data + 512, (int)byte, 256);
		wire_icreq(wire, 0, false, false);
		assert_int_equal(wire_do(wire, &cmd, NULL), STATUS_CONNECT_PARAM);
		cmd = cmd_connect(data, 1, 0, 31, 0xffff);
		memset(data + 256, (int)byte, 223);
		assert_int_equal(wire_do(wire, &cmd, NULL), STATUS_CONNECT_PARAM);
		wire_close(wire);
		for (size_t i = 0; i < world->log_len; i++)
			assert_true(world->log[i] == '\n' || (world->log[i] >= 0x20 && world->log[i] < 0x7f));
		world->log_len = 0;
	}
}

static void test_sqsize_1_works(void **state)
{
	struct wire *admin = wire_admin(*state), *io = wire_io(admin, 1, 1, false);
	struct cmd cmd = cmd_make(0x00, 1, 1, SGL_NONE, 0);

	for (int i = 0; i < 10; i++)
		assert_int_equal(wire_do(io, &cmd, NULL), 0);
	wire_close(io);
	wire_close(admin);
}

static void test_connect_data_length(void **state)
{
	for (uint32_t len = 0; len <= 1280; len += 128) {
		struct wire *wire = wire_open(*state);
		uint8_t bytes[2048] = {0};
		struct cmd cmd = cmd_connect(bytes, 1, 0, 31, 0xffff);

		cmd.data_len = len;
		put32(cmd.sqe + 32, len);
		wire_icreq(wire, 0, false, false);
		assert_int_equal(wire_do(wire, &cmd, NULL), len == 1024 ? 0 : STATUS_SGL_DATA);
		wire_close(wire);
	}
}

static void expect_io_connect(struct wire *admin, uint16_t qid, void (*change)(uint8_t *data), uint16_t status)
{
	struct wire *wire = wire_open(admin->world);
	uint8_t data[1024];
	struct cmd cmd = cmd_connect(data, 1, qid, 31, admin->cntlid);

	if (change)
		change(data);
	wire_icreq(wire, 0, false, false);
	assert_int_equal(wire_do(wire, &cmd, NULL), status);
	wire_close(wire);
}

static void other_hostid(uint8_t *data)
{
	data[0] ^= 1;
}

static void other_hostnqn(uint8_t *data)
{
	data[512 + 40] ^= 1;
}

static void test_io_queue_of_another_host(void **state)
{
	struct wire *admin = wire_admin(*state);

	expect_io_connect(admin, 1, other_hostid, STATUS_CONNECT_PARAM);
	expect_io_connect(admin, 1, other_hostnqn, STATUS_CONNECT_PARAM);
	expect_io_connect(admin, 1, NULL, 0);
	wire_close(admin);
}

static void test_duplicate_and_oversize_qid(void **state)
{
	struct wire *admin = wire_admin(*state), *io = wire_io(admin, 1, 31, false);
	struct cmd cmd = cmd_make(0x00, 1, 1, SGL_NONE, 0);
	static const uint16_t qids[] = {129, 1000, 65535};

	wire_expect_silence(io);
	for (int i = 0; i < 100; i++) {
		struct wire *wire = wire_open(*state);
		uint8_t data[1024];
		struct cmd connect = cmd_connect(data, 1, 1, 31, admin->cntlid);

		wire_icreq(wire, 0, false, false);
		assert_int_not_equal(wire_do(wire, &connect, NULL), 0);
		wire_close(wire);
	}
	for (size_t i = 0; i < ARRAY_SIZE(qids); i++)
		expect_io_connect(admin, qids[i], NULL, STATUS_CONNECT_PARAM);
	assert_int_equal(wire_do(io, &cmd, NULL), 0);
	wire_close(io);
	/* The identifier is free again. */
	io = wire_io(admin, 1, 31, false);
	wire_close(io);
	wire_close(admin);
}

static void test_connect_twice_on_one_connection(void **state)
{
	for (uint16_t qid = 0; qid < 2; qid++) {
		struct wire *admin = wire_admin(*state);
		uint8_t data[1024];
		struct cmd cmd = cmd_connect(data, 9, qid, 31, qid ? admin->cntlid : 0xffff);

		assert_int_equal(wire_do(admin, &cmd, NULL), 0x00c);
		wire_close(admin);
	}
	assert_int_equal(world_stats(*state).queues, 0);
}

/* Both are in the target's hands at once. */
static void test_two_connects_in_one_segment(void **state)
{
	struct wire *wire = wire_open(*state);
	uint8_t bytes[4096], data[1024];
	struct cmd cmd = cmd_connect(data, 1, 0, 31, 0xffff);
	size_t len;

	wire_icreq(wire, 0, false, false);
	len = cmd_bytes(wire, &cmd, bytes);
	cmd = cmd_connect(data, 2, 0, 31, 0xffff);
	len += cmd_bytes(wire, &cmd, bytes + len);
	wire_send(wire, bytes, len);
	assert_int_equal(wire_resp(wire, 1, NULL), 0);
	assert_int_equal(wire_resp(wire, 2, NULL), 0x00c);
	wire_close(wire);
	assert_int_equal(world_stats(*state).queues, 0);
}

/* Every command but Connect, before Connect. */
static void test_commands_before_connect(void **state)
{
	struct wire *wire = wire_open(*state);
	uint8_t data[1024];
	struct cmd cmd;

	wire_icreq(wire, 0, false, false);
	for (unsigned int opcode = 0; opcode < 256; opcode++) {
		cmd = cmd_make((uint8_t)opcode, 1, 1, SGL_TRANSPORT, 0);
		cmd.sqe[4] = opcode == 0x7f ? 0x04 : 1;
		assert_int_not_equal(wire_do(wire, &cmd, NULL), 0);
	}
	for (unsigned int fctype = 0; fctype < 256; fctype++) {
		cmd = cmd_make(0x7f, 1, fctype, SGL_TRANSPORT, 0);
		assert_int_not_equal(wire_do(wire, &cmd, NULL), 0);
	}
	cmd = cmd_connect(data, 1, 0, 31, 0xffff);
	assert_int_equal(wire_do(wire, &cmd, NULL), 0);
	wire_close(wire);
}

static void test_io_before_the_controller_is_enabled(void **state)
{
	struct wire *admin = wire_open(*state), *io;
	uint8_t data[1024], block[512] = {0};
	struct cmd cmd = cmd_connect(data, 1, 0, 31, 0xffff);
	struct pdu pdu;

	wire_icreq(admin, 0, false, false);
	assert_int_equal(wire_do(admin, &cmd, &pdu), 0);
	admin->cntlid = get16(pdu.bytes + 8);
	io = wire_open(*state);
	wire_icreq(io, 0, false, false);
	cmd = cmd_connect(data, 1, 1, 31, admin->cntlid);
	if (wire_do(io, &cmd, NULL) == 0) {
		cmd = cmd_write_in_capsule(2, 0, block, 512);
		assert_int_not_equal(wire_do(io, &cmd, NULL), 0);
	}
	wire_close(io);
	wire_close(admin);
}

/* The session is cut after every so many bytes: nothing is left of it. */
static void test_disconnect_at_every_step(void **state)
{
	struct world *world = *state;
	uint8_t bytes[4096], data[1024];
	struct wire proto = {0};
	struct cmd cmd = cmd_connect(data, 1, 0, 31, 0xffff);
	size_t len = 128;

	wire_icreq_bytes(bytes);
	len += cmd_bytes(&proto, &cmd, bytes + len);
	cmd = cmd_property_set(2, 0x14, 0x00460001);
	len += cmd_bytes(&proto, &cmd, bytes + len);
	cmd = cmd_make(0x0c, 3, 0, SGL_NONE, 0); /* an AER stays */
	len += cmd_bytes(&proto, &cmd, bytes + len);
	for (size_t cut = 0; cut <= len; cut += cut < 128 ? 16 : 7) {
		struct wire *wire = wire_open(world);

		wire_send(wire, bytes, cut);
		wire_close(wire);
		assert_int_equal(world_stats(world).connections, 0);
		assert_int_equal(world_stats(world).queues, 0);
		assert_int_equal(world_stats(world).data_bytes, 0);
	}
	world_check_alive(world);
}

/* Everything is sent and the socket closed before the target looks once. */
static void test_disconnect_races_connect(void **state)
{
	struct world *world = *state;

	for (int i = 0; i < 300; i++) {
		struct wire *admin = wire_admin(world), *io = wire_open(world);
		uint8_t bytes[4096], data[1024];
		struct cmd cmd = cmd_connect(data, 1, 1, 31, admin->cntlid);
		size_t len = 128;

		wire_icreq_bytes(bytes);
		len += cmd_bytes(io, &cmd, bytes + len);
		assert_true(wire_try_send(io, bytes, len));
		if (i % 2) {
			wire_close(io);
			wire_close(admin);
		} else {
			wire_close(admin);
			wire_close(io);
		}
		assert_int_equal(world_stats(world).queues, 0);
	}
}

static void test_loss_of_the_admin_queue_ends_the_io_queues(void **state)
{
	struct pair pair = wire_pair(*state);

	wire_close(pair.admin);
	wire_expect_closed(pair.io);
	wire_close(pair.io);
}

static void test_commands_after_disconnect(void **state)
{
	struct pair pair = wire_pair(*state);
	struct cmd cmd = cmd_make(0x7f, 1, 0, SGL_NONE, 0);
	uint8_t block[512];
	struct pdu pdu;

	memset(block, 0xaa, sizeof(block));
	cmd.sqe[4] = 0x08;
	assert_int_equal(wire_do(pair.io, &cmd, NULL), 0);
	cmd = cmd_write_in_capsule(2, 0, block, 512);
	wire_cmd(pair.io, &cmd);
	if (wire_recv(pair.io, &pdu))
		assert_int_not_equal(get16(pdu.bytes + 22), 0);
	pair_close(&pair);
	world_read(*state, 0, block, 512);
	assert_int_equal(block[0], 0);
}

/* Both were taken before either had its data; only one of them can be the queue's Connect. */
static void test_two_connects_that_wait_for_their_data(void **state)
{
	struct wire *wire = wire_open(*state);
	struct h2c h2c[2];
	uint8_t data[1024];

	wire_icreq(wire, 0, false, false);
	for (uint16_t cid = 1; cid <= 2; cid++) {
		struct cmd cmd = cmd_connect(data, cid, 0, 31, 0xffff);

		cmd.sqe[39] = 0x5a;
		cmd.data = NULL;
		cmd.data_len = 0;
		wire_cmd(wire, &cmd);
	}
	for (uint16_t cid = 1; cid <= 2; cid++)
		h2c[cid - 1] = (struct h2c){
			.cid = cid, .ttag = wire_r2t(wire, cid, sizeof(data)), .len = sizeof(data), .last = true};
	wire_h2c(wire, &h2c[0], data);
	assert_int_equal(wire_resp(wire, 1, NULL), 0);
	wire_h2c(wire, &h2c[1], data);
	assert_int_equal(wire_resp(wire, 2, NULL), 0x00c);
	wire_close(wire);
}

/* The data of a write that was asked for before Disconnect comes after it: the queue is deleted, nothing is begun on it. */
static void test_data_after_disconnect(void **state)
{
	struct pair pair = wire_pair(*state);
	struct cmd cmd = cmd_rw(0x01, 2, 0, 8, SGL_TRANSPORT);
	struct h2c h2c = {.cid = 2, .len = 4096, .last = true};
	uint8_t blocks[4096];

	memset(blocks, 0xaa, sizeof(blocks));
	wire_cmd(pair.io, &cmd);
	h2c.ttag = wire_r2t(pair.io, 2, sizeof(blocks));
	cmd = cmd_make(0x7f, 1, 0, SGL_NONE, 0);
	cmd.sqe[4] = 0x08;
	assert_int_equal(wire_do(pair.io, &cmd, NULL), 0);
	wire_h2c(pair.io, &h2c, blocks);
	assert_int_equal(wire_resp(pair.io, 2, NULL), 0x008);
	pair_close(&pair);
	world_read(*state, 0, blocks, 512);
	assert_int_equal(blocks[0], 0);
}

/* The controller is asked on another thread; when it answers, the connection is gone, and is not brought back to life. */
static void test_disconnect_while_the_controller_is_asked(void **state)
{
	const struct world_opts opts = {.port = {.max_pending = 1}};
	struct world *world = world_create(&opts);
	struct nvmft_poll_group *group = world->group;
	struct wire *admin = wire_admin(world), *io;
	uint8_t data[1024];
	struct cmd cmd = cmd_connect(data, 1, 1, 31, admin->cntlid);

	(void)state;
	assert_int_equal(nvmft_poll_group_create(world->target, &world->other), 0);
	world->group = world->other;
	io = wire_open(world);
	wire_icreq(io, 0, false, false);
	wire_cmd(io, &cmd);
	wire_close(io);
	world->group = group;
	for (int i = 0; i < 50; i++) {
		nvmft_poll(world->group, 0);
		nvmft_poll(world->other, 0);
	}
	assert_int_equal(world_stats(world).queues, 1);
	/* It was counted as pending once, and once taken out again. */
	world_check_alive(world);
	wire_close(admin);
	world_destroy(world);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(test_bad_fields),
		T(test_log_of_strange_nqns),
		T(test_sqsize_1_works),
		T(test_connect_data_length),
		T(test_io_queue_of_another_host),
		T(test_duplicate_and_oversize_qid),
		T(test_connect_twice_on_one_connection),
		T(test_two_connects_in_one_segment),
		T(test_two_connects_that_wait_for_their_data),
		T(test_commands_before_connect),
		T(test_io_before_the_controller_is_enabled),
		T(test_disconnect_at_every_step),
		T(test_disconnect_races_connect),
		T(test_loss_of_the_admin_queue_ends_the_io_queues),
		T(test_commands_after_disconnect),
		T(test_data_after_disconnect),
		cmocka_unit_test(test_disconnect_while_the_controller_is_asked),
	};

	return cmocka_run_group_tests_name("connect", tests, NULL, NULL);
}
