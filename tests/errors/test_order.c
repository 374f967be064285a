/* SPDX-License-Identifier: BSD-3-Clause */
/* PDUs and commands in orders that no host would choose. Any order is survived. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "wire.h"

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* A PDU of a random kind, mostly well-formed by itself. Returns its length. */
static size_t random_pdu(uint8_t *p, uint32_t *seed)
{
	static const uint8_t types[] = {ICREQ, H2C_TERM, CAPSULE, CAPSULE, CAPSULE, CAPSULE, H2C_DATA, R2T, C2H_DATA};
	static const uint8_t hlens[] = {128, 24, 72, 72, 72, 72, 24, 24, 24};
	uint32_t which = next_random(seed) % ARRAY_SIZE(types);
	uint32_t data = types[which] == CAPSULE || types[which] == H2C_DATA ? next_random(seed) % 3 * 512 : 0;
	uint32_t plen = hlens[which] + data;

	for (uint32_t i = 0; i < plen; i++)
		p[i] = next_random(seed) % 3 ? 0 : (uint8_t)next_random(seed);
	wire_header(p, types[which], types[which] == H2C_DATA ? F_LAST : 0, hlens[which], data ? hlens[which] : 0,
		    plen);
	if (types[which] == H2C_DATA) {
		put16(p + 8, (uint16_t)(next_random(seed) % 4));
		put16(p + 10, (uint16_t)(next_random(seed) % 4));
		put32(p + 12, 0);
		put32(p + 16, data);
	}
	if (types[which] != CAPSULE)
		return plen;
	p[8] = next_random(seed) % 4 ? (uint8_t)(next_random(seed) % 26) : 0x7f;
	p[9] = 0x40 | (next_random(seed) % 8 ? 0 : (uint8_t)(next_random(seed) % 4));
	put16(p + 10, (uint16_t)(next_random(seed) % 4));
	put32(p + 12, next_random(seed) % 10);
	put32(p + 8 + 32, data ? data : next_random(seed) % 9 * 512);
	p[8 + 39] = data ? 0x01 : 0x5a;
	return plen;
}

static void drain(struct wire *wire)
{
	uint8_t bytes[65536];

	while (recv(wire->fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static void torture(struct wire *wire, uint32_t seed)
{
	uint8_t bytes[8192];

	for (int segment = 0; segment < 6; segment++) {
		size_t len = 0;

		for (uint32_t n = next_random(&seed) % 4 + 1; n > 0; n--)
			len += random_pdu(bytes + len, &seed);
		if (!wire_try_send(wire, bytes, len))
			break;
		drain(wire);
	}
	wire_close(wire);
}

static void test_random_pdus_before_icreq(void **state)
{
	for (uint32_t seed = 0; seed < 300; seed++)
		torture(wire_open(*state), seed);
	world_check_alive(*state);
}

static void test_random_pdus_before_connect(void **state)
{
	for (uint32_t seed = 0; seed < 1000; seed++) {
		struct wire *wire = wire_open(*state);

		wire_icreq(wire, 0, false, false);
		torture(wire, seed);
	}
	world_check_alive(*state);
}

static void test_random_pdus_on_an_admin_queue(void **state)
{
	for (uint32_t seed = 0; seed < 1000; seed++)
		torture(wire_admin(*state), seed);
	world_check_alive(*state);
}

static void test_random_pdus_on_an_io_queue(void **state)
{
	for (uint32_t seed = 0; seed < 1000; seed++) {
		struct wire *admin = wire_admin(*state);

		torture(wire_io(admin, 1, 31, seed % 2), seed);
		wire_close(admin);
	}
	world_check_alive(*state);
}

/* Each bit of a good session flipped once: whatever that means, the target survives, and the others do not notice. */
static void test_every_bit_of_a_session_flipped(void **state)
{
	struct world *world = *state;
	struct pair watch = wire_pair(world);
	uint8_t bytes[4096], flipped[4096], data[1024], block[512] = {0};
	struct wire proto = {0};
	struct cmd cmd = cmd_connect(data, 1, 0, 31, 0xffff);
	size_t len = 128;

	wire_icreq_bytes(bytes);
	len += cmd_bytes(&proto, &cmd, bytes + len);
	cmd = cmd_property_set(2, 0x14, 0x00460001);
	len += cmd_bytes(&proto, &cmd, bytes + len);
	cmd = cmd_make(0x06, 3, 1, SGL_TRANSPORT, 4096);
	len += cmd_bytes(&proto, &cmd, bytes + len);
	for (size_t bit = 0; bit < len * 8; bit += bit < 8 * 200 || bit > 8 * 1100 ? 1 : 37) {
		struct wire *wire = wire_open(world);

		memcpy(flipped, bytes, len);
		flipped[bit / 8] ^= (uint8_t)(1u << bit % 8);
		wire_try_send(wire, flipped, len);
		drain(wire);
		wire_close(wire);
	}
	cmd = cmd_write_in_capsule(1, 0, block, 512);
	assert_int_equal(wire_do(watch.io, &cmd, NULL), 0);
	pair_close(&watch);
}

/* ---- commands that concern other commands ---- */

static struct cmd abort_cmd(uint16_t cid, uint16_t sqid, uint16_t victim)
{
	struct cmd cmd = cmd_make(0x08, cid, 0, SGL_NONE, 0);

	put32(cmd.sqe + 40, (uint32_t)victim << 16 | sqid);
	return cmd;
}

/* Of commands, Aborts, themselves, AERs, unknown ones: each is answered once. */
static void test_abort_storm(void **state)
{
	struct pair pair = wire_pair(*state);
	bool open[32] = {false};
	struct cmd cmd = cmd_make(0x0c, 100, 0, SGL_NONE, 0);
	unsigned int left = 21;
	struct pdu pdu;

	wire_cmd(pair.admin, &cmd);
	for (uint16_t cid = 0; cid < 4; cid++) {
		cmd = cmd_rw(0x01, cid, 0, 8, SGL_TRANSPORT);
		wire_cmd(pair.io, &cmd);
		wire_r2t(pair.io, cid, 4096);
	}
	for (uint16_t cid = 0; cid < 20; cid++) {
		static const uint16_t sqids[] = {0, 1, 1, 0, 7, 0xffff};
		uint16_t victim = cid % 6 == 3 ? 100 : cid % 6 == 0 ? (uint16_t)(cid - 1) : (uint16_t)(cid % 5);

		cmd = abort_cmd(cid, sqids[cid % 6], victim);
		open[cid] = true;
		wire_cmd(pair.admin, &cmd);
	}
	while (left > 0 && wire_recv(pair.admin, &pdu)) {
		uint16_t cid = get16(pdu.bytes + 20);

		assert_int_equal(pdu.type, RESP);
		assert_true(cid == 100 || (cid < 20 && open[cid]));
		if (cid < 20)
			open[cid] = false;
		left--;
	}
	assert_int_equal(left, 0);
	wire_expect_silence(pair.admin);
	/* The writes whose R2T was sent go on, and are answered once. */
	wire_expect_silence(pair.io);
	pair_close(&pair);
}

static void test_abort_of_a_write_whose_data_is_on_its_way(void **state)
{
	struct pair pair = wire_pair(*state);
	static uint8_t pattern[4096];
	struct cmd cmd = cmd_rw(0x01, 9, 0, 8, SGL_TRANSPORT);
	struct h2c h2c = {.cid = 9, .len = 4096, .last = true};
	uint16_t status;
	struct pdu pdu;

	wire_cmd(pair.io, &cmd);
	h2c.ttag = wire_r2t(pair.io, 9, 4096);
	cmd = abort_cmd(1, 1, 9);
	assert_int_equal(wire_do(pair.admin, &cmd, &pdu), 0);
	/* Not aborted: it was too late. */
	assert_int_equal(pdu.bytes[8] & 1, 1);
	wire_h2c(pair.io, &h2c, pattern);
	status = wire_resp(pair.io, 9, NULL);
	assert_int_equal(status, 0);
	wire_expect_silence(pair.io);
	pair_close(&pair);
}

static void test_more_aers_than_the_limit(void **state)
{
	struct wire *admin = wire_admin(*state);
	unsigned int refused = 0;
	struct pdu pdu;

	for (uint16_t cid = 0; cid < 10; cid++) {
		struct cmd cmd = cmd_make(0x0c, cid, 0, SGL_NONE, 0);

		wire_cmd(admin, &cmd);
	}
	while (refused < 6) {
		assert_true(wire_recv(admin, &pdu));
		assert_int_equal(get16(pdu.bytes + 22) >> 1 & 0x7ff, 0x105);
		refused++;
	}
	wire_expect_silence(admin);
	wire_close(admin);
}

static void test_log_pages_at_every_offset(void **state)
{
	static const uint8_t pages[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x70, 0x80, 0xff};
	static const uint64_t offsets[] = {0,
					   1,
					   4,
					   60,
					   64,
					   508,
					   512,
					   4092,
					   0xfffffc,
					   UINT32_MAX - 3,
					   UINT64_C(1) << 32,
					   UINT64_C(1) << 63,
					   UINT64_MAX - 3};
	static const uint32_t numds[] = {1, 2, 128, 1024};
	struct wire *admin = wire_admin(*state);

	for (size_t p = 0; p < ARRAY_SIZE(pages); p++) {
		for (size_t o = 0; o < ARRAY_SIZE(offsets); o++) {
			for (size_t n = 0; n < ARRAY_SIZE(numds); n++) {
				struct cmd cmd = cmd_make(0x02, 1, 0xffffffff, SGL_TRANSPORT, numds[n] * 4);

				put32(cmd.sqe + 40, (numds[n] - 1) << 16 | pages[p]);
				put64(cmd.sqe + 48, offsets[o]);
				wire_do(admin, &cmd, NULL);
			}
		}
	}
	wire_close(admin);
	world_check_alive(*state);
}

static void test_log_page_of_4_gigabytes(void **state)
{
	struct wire *admin = wire_admin(*state);
	struct cmd cmd = cmd_make(0x02, 1, 0xffffffff, SGL_TRANSPORT, 0xfffffffc);

	put32(cmd.sqe + 40, 0xffff0001);
	put32(cmd.sqe + 44, 0x0000ffff);
	assert_int_not_equal(wire_do(admin, &cmd, NULL), 0);
	put32(cmd.sqe + 32, 0);
	assert_int_not_equal(wire_do(admin, &cmd, NULL), 0);
	wire_close(admin);
}

static void test_property_offsets_and_sizes(void **state)
{
	struct wire *admin = wire_admin(*state);

	for (uint32_t offset = 0; offset < 0x80; offset++) {
		for (uint8_t size = 0; size < 8; size++) {
			struct cmd cmd = cmd_property_get(1, offset);

			cmd.sqe[40] = size;
			wire_do(admin, &cmd, NULL);
			if (offset == 0x14)
				continue;
			cmd = cmd_property_set(2, offset, 0xffffffff);
			cmd.sqe[40] = size;
			wire_do(admin, &cmd, NULL);
		}
	}
	for (unsigned int bit = 7; bit < 32; bit++) {
		struct cmd cmd = cmd_property_get(1, 1u << bit);

		assert_int_not_equal(wire_do(admin, &cmd, NULL), 0);
	}
	wire_close(admin);
	world_check_alive(*state);
}

static void test_controller_reset_with_transfers_open(void **state)
{
	struct world *world = *state;

	for (int i = 0; i < 20; i++) {
		struct pair pair = wire_pair(world);
		struct cmd cmd = cmd_rw(0x01, 9, 0, 8, SGL_TRANSPORT);

		wire_cmd(pair.io, &cmd);
		wire_r2t(pair.io, 9, 4096);
		cmd = cmd_property_set(1, 0x14, 0x00460000);
		assert_int_equal(wire_do(pair.admin, &cmd, NULL), 0);
		wire_expect_closed(pair.io);
		cmd = cmd_property_set(1, 0x14, 0x00460001);
		assert_int_equal(wire_do(pair.admin, &cmd, NULL), 0);
		pair_close(&pair);
		assert_int_equal(world_stats(world).data_bytes, 0);
	}
}

static void test_fused_halves_that_do_not_belong_together(void **state)
{
	struct pair pair = wire_pair(*state);
	uint8_t block[512] = {0};

	for (uint8_t first = 0; first < 4; first++) {
		for (uint8_t second = 0; second < 4; second++) {
			struct cmd cmds[2] = {cmd_write_in_capsule(1, 0, block, 512),
					      cmd_write_in_capsule(2, 0, block, 512)};
			uint8_t bytes[2 * (72 + 512)];
			size_t len;

			cmds[0].sqe[0] = 0x05;
			cmds[0].sqe[1] |= first;
			cmds[1].sqe[1] |= second;
			len = cmd_bytes(pair.io, &cmds[0], bytes);
			len += cmd_bytes(pair.io, &cmds[1], bytes + len);
			wire_send(pair.io, bytes, len);
			/* A half that is left over is answered when the next command shows that no second one comes. */
			cmds[0] = cmd_make(0x00, 3, 1, SGL_NONE, 0);
			wire_cmd(pair.io, &cmds[0]);
			for (int i = 0; i < 3; i++) {
				struct pdu pdu;

				wire_expect(pair.io, RESP, &pdu);
				if (first == 1 && second == 2)
					assert_int_equal(get16(pdu.bytes + 22) >> 1, 0);
			}
			wire_expect_silence(pair.io);
		}
	}
	pair_close(&pair);
}

/* A response is on its way when the connection ends by a TermReq. */
static void end_by_term_req(struct wire *io)
{
	struct cmd cmd = cmd_rw(0x02, 3, 0, 1, SGL_TRANSPORT);
	uint8_t bytes[72 + 24];

	cmd_bytes(io, &cmd, bytes);
	memset(bytes + 72, 0, 24);
	wire_header(bytes + 72, H2C_TERM, 0, 24, 0, 24);
	wire_try_send(io, bytes, sizeof(bytes));
}

/* One half has its data and waits for the other, whose data never comes. */
static void disconnect_with_half_a_fused_pair(struct world *world, bool by_term_req)
{
	static const uint8_t block[512];

	for (int first = SGL_CAPSULE; first <= SGL_TRANSPORT; first++) {
		for (int second = SGL_CAPSULE; second <= SGL_TRANSPORT; second++) {
			struct pair pair = wire_pair(world);
			struct cmd cmds[2] = {cmd_rw(0x05, 1, 0, 1, first), cmd_rw(0x01, 2, 0, 1, second)};

			for (int i = 0; i < 2; i++) {
				bool capsule = (i == 0 ? first : second) == SGL_CAPSULE;

				cmds[i].sqe[1] |= (uint8_t)(1 << i);
				cmds[i].data = capsule ? block : NULL;
				cmds[i].data_len = capsule ? sizeof(block) : 0;
				wire_cmd(pair.io, &cmds[i]);
				if (!capsule)
					wire_r2t(pair.io, (uint16_t)(i + 1), sizeof(block));
			}
			if (by_term_req)
				end_by_term_req(pair.io);
			pair_close(&pair);
		}
	}
	world_check_alive(world);
}

static void test_disconnect_while_half_of_a_fused_pair_waits(void **state)
{
	disconnect_with_half_a_fused_pair(*state, false);
	disconnect_with_half_a_fused_pair(*state, true);
}

/* A namespace goes while writes for it wait for their data. */
static void test_namespace_removed_with_transfers_open(void **state)
{
	struct world *world = *state;
	struct pair pair = wire_pair(world);
	struct cmd cmd = cmd_rw(0x01, 9, 0, 8, SGL_TRANSPORT);
	struct h2c h2c = {.cid = 9, .len = 4096, .last = true};
	static uint8_t pattern[4096];

	wire_cmd(pair.io, &cmd);
	h2c.ttag = wire_r2t(pair.io, 9, 4096);
	assert_int_equal(nvmft_namespace_remove(world->ns, NULL), 0);
	world_settle(world);
	cmd = cmd_rw(0x02, 10, 0, 8, SGL_TRANSPORT);
	assert_int_equal(wire_do(pair.io, &cmd, NULL), 0x00b);
	wire_h2c(pair.io, &h2c, pattern);
	wire_resp(pair.io, 9, NULL);
	wire_expect_silence(pair.io);
	pair_close(&pair);
}

/* ---- the order of what the target sends ---- */

static void add_cmd(uint8_t *bytes, size_t *len, const struct cmd *cmd)
{
	struct wire plain = {0};

	*len += cmd_bytes(&plain, cmd, bytes + *len);
}

/* Commands in one segment are answered in their order, also when there is an R2T among the answers. */
static void test_an_r2t_among_responses(void **state)
{
	struct pair pair = wire_pair(*state);
	const struct cmd cmds[] = {cmd_rw(0x02, 1, 0, 1, SGL_TRANSPORT), cmd_rw(0x01, 2, 0, 1, SGL_TRANSPORT),
				   cmd_rw(0x02, 3, 0, 1, SGL_TRANSPORT), cmd_make(0x00, 4, 1, SGL_NONE, 0)};
	const uint8_t types[] = {C2H_DATA, RESP, R2T, C2H_DATA, RESP, RESP};
	uint8_t bytes[sizeof(cmds)];
	struct pdu pdu;
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cmds); i++)
		add_cmd(bytes, &len, &cmds[i]);
	wire_send(pair.io, bytes, len);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		wire_expect(pair.io, types[i], &pdu);
	pair_close(&pair);
}

/* What was to be sent in the pass that finds a header at fault is not: the C2HTermReq comes next. */
static void test_no_response_before_a_term_req(void **state)
{
	for (int with_data = 0; with_data < 2; with_data++) {
		struct pair pair = wire_pair(*state);
		struct cmd cmd = with_data ? cmd_rw(0x02, 1, 0, 8, SGL_TRANSPORT) : cmd_make(0x00, 1, 1, SGL_NONE, 0);
		uint8_t bytes[256];
		struct pdu pdu;
		size_t len = 0;

		add_cmd(bytes, &len, &cmd);
		wire_header(bytes + len, R2T, 0, 24, 0, 24);
		wire_send(pair.io, bytes, len + 24);
		wire_expect(pair.io, C2H_TERM, &pdu);
		pair_close(&pair);
	}
	world_check_alive(*state);
}

#define MANY 500u

/* A read, a flush or a command that fails. */
static struct cmd one_of_many(uint16_t cid)
{
	struct cmd cmd = cmd_rw(0x02, cid, cid, 1, SGL_TRANSPORT);

	if (cid % 50 == 7)
		return cmd_make(0x00, cid, 1, SGL_NONE, 0);
	if (cid % 50 == 9)
		cmd.sqe[0] = 0x7e;
	return cmd;
}

static void expect_one_of_many(struct wire *io, uint16_t cid, bool no_flow_control)
{
	struct pdu pdu;

	if (cid % 50 == 7 || cid % 50 == 9) {
		assert_int_equal(wire_resp(io, cid, NULL), cid % 50 == 7 ? 0 : 1);
		return;
	}
	wire_expect(io, C2H_DATA, &pdu);
	assert_int_equal(get16(pdu.bytes + 8), cid);
	assert_int_equal(pdu.data_len, WIRE_BLOCK);
	assert_int_equal(pdu.data[0], (uint8_t)cid);
	assert_int_equal(!(pdu.flags & F_SUCCESS), !no_flow_control);
	if (!no_flow_control)
		assert_int_equal(wire_resp(io, cid, NULL), 0);
}

/* More responses at once than fit into one message. */
static void test_many_commands_in_one_segment(void **state)
{
	uint8_t *bytes = malloc(MANY * 72), block[WIRE_BLOCK];

	assert_non_null(bytes);
	for (int no_flow_control = 0; no_flow_control < 2; no_flow_control++) {
		struct wire *admin = wire_admin(*state), *io = wire_io(admin, 1, MANY, no_flow_control);
		size_t len = 0;

		for (uint16_t cid = 0; cid < MANY; cid++) {
			struct cmd cmd = cmd_write_in_capsule(cid, cid, block, sizeof(block));

			memset(block, (uint8_t)cid, sizeof(block));
			assert_int_equal(wire_do(io, &cmd, NULL), 0);
			cmd = one_of_many(cid);
			add_cmd(bytes, &len, &cmd);
		}
		wire_send(io, bytes, len);
		for (uint16_t cid = 0; cid < MANY; cid++)
			expect_one_of_many(io, cid, no_flow_control);
		wire_close(io);
		wire_close(admin);
	}
	free(bytes);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(test_random_pdus_before_icreq),
		T(test_random_pdus_before_connect),
		T(test_random_pdus_on_an_admin_queue),
		T(test_random_pdus_on_an_io_queue),
		T(test_every_bit_of_a_session_flipped),
		T(test_abort_storm),
		T(test_abort_of_a_write_whose_data_is_on_its_way),
		T(test_more_aers_than_the_limit),
		T(test_log_pages_at_every_offset),
		T(test_log_page_of_4_gigabytes),
		T(test_property_offsets_and_sizes),
		T(test_controller_reset_with_transfers_open),
		T(test_fused_halves_that_do_not_belong_together),
		T(test_disconnect_while_half_of_a_fused_pair_waits),
		T(test_namespace_removed_with_transfers_open),
		T(test_an_r2t_among_responses),
		T(test_no_response_before_a_term_req),
		T(test_many_commands_in_one_segment),
	};

	return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
