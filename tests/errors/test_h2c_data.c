/* SPDX-License-Identifier: BSD-3-Clause */
/* H2CData against the R2T that asked for it, and data digests. */
#include <string.h>
#include <sys/socket.h>

#include "wire.h"

#define LEN 16384u /* of the write that the bad PDUs are aimed at: two PDUs of MAXH2CDATA */

static uint8_t pattern[65536];

static void check_untouched(struct world *world)
{
	static const uint8_t zeroes[LEN];
	uint8_t data[LEN];

	world_read(world, 0, data, LEN);
	assert_memory_equal(data, zeroes, LEN);
}

/* A Write that waits for its data. Returns the TTAG. */
static uint16_t start_write(struct wire *wire, uint16_t cid, uint64_t lba, uint32_t len)
{
	struct cmd cmd = cmd_rw(0x01, cid, lba, len / WIRE_BLOCK, SGL_TRANSPORT);

	wire_cmd(wire, &cmd);
	return wire_r2t(wire, cid, len);
}

struct bad_case {
	const char *name;
	/* relative to a good first PDU of 8192 bytes for CID 9 */
	uint16_t cid_xor;
	uint32_t datao;
	uint32_t len;
	bool last;
	int32_t plen_extra;
	int64_t datal_extra;
	uint16_t fes;
	int64_t fei;
};

static const struct bad_case bad_cases[] = {
	{"another command's CID", 1, 0, 8192, false, 0, 0, FES_FIELD, 8},
	{"DATAL below PLEN", 0, 0, 8192, false, 0, -1, FES_FIELD, 16},
	{"DATAL above PLEN", 0, 0, 4096, false, 0, 4096, FES_FIELD, 16},
	{"DATAL 0 with data", 0, 0, 4096, false, 0, -4096, FES_FIELD, 16},
	{"DATAL 2^32-1", 0, 0, 4096, false, 0, 0xffffffffll - 4096, FES_FIELD, 16},
	{"no data", 0, 0, 0, false, 0, 0, FES_FIELD, 4},
	{"PLEN 0", 0, 0, 4096, false, -(24 + 4096), 0, FES_FIELD, 4},
	{"PLEN below the header", 0, 0, 4096, false, -(1 + 4096), 0, FES_FIELD, 4},
	{"PLEN of the header only, DATAL 4096", 0, 0, 4096, false, -4096, 0, FES_FIELD, 4},
	{"PLEN one less", 0, 0, 4096, false, -1, 0, FES_FIELD, 16},
	{"PLEN one more", 0, 0, 4096, false, 1, 0, FES_FIELD, 16},
	{"PLEN and DATAL above MAXH2CDATA", 0, 0, 8192 + 4, false, 0, 0, FES_LIMIT, -1},
	{"PLEN and DATAL 2^31", 0, 0, 4096, false, 0x7fff0000, 0x7fff0000, FES_LIMIT, -1},
	{"DATAO 4", 0, 4, 8192, false, 0, 0, FES_RANGE, -1},
	{"DATAO of the second half first", 0, 8192, 8192, true, 0, 0, FES_RANGE, -1},
	{"DATAO at the end", 0, LEN, 4096, true, 0, 0, FES_RANGE, -1},
	{"DATAO one before the end", 0, LEN - 1, 4096, true, 0, 0, FES_RANGE, -1},
	{"DATAO + DATAL wraps to 0", 0, 0xffffe000, 8192, false, 0, 0, FES_RANGE, -1},
	{"DATAO + DATAL wraps into the buffer", 0, 0xfffff000, 8192, false, 0, 0, FES_RANGE, -1},
	{"DATAO 2^32-1", 0, 0xffffffff, 4096, false, 0, 0, FES_RANGE, -1},
	{"DATAO 2^31", 0, 0x80000000, 4096, false, 0, 0, FES_RANGE, -1},
	{"LAST early", 0, 0, 8192, true, 0, 0, FES_FIELD, 1},
};

static void test_bad_first_pdu(void **state)
{
	struct world *world = *state;

	memset(pattern, 0xaa, sizeof(pattern));
	for (size_t i = 0; i < ARRAY_SIZE(bad_cases); i++) {
		const struct bad_case *c = &bad_cases[i];
		struct pair pair = wire_pair(world);
		struct h2c h2c = {.cid = 9 ^ c->cid_xor,
				  .datao = c->datao,
				  .len = c->len,
				  .last = c->last,
				  .plen_extra = c->plen_extra,
				  .datal_extra = c->datal_extra};
		uint64_t before = world_stats(world).terminated;

		print_message("%s\n", c->name);
		h2c.ttag = start_write(pair.io, 9, 0, LEN);
		wire_h2c(pair.io, &h2c, pattern);
		wire_expect_term(pair.io, c->fes, c->fei);
		assert_int_equal(world_stats(world).terminated, before + 1);
		pair_close(&pair);
	}
	check_untouched(world);
}

static void test_last_missing(void **state)
{
	struct pair pair = wire_pair(*state);
	struct h2c h2c = {.cid = 9, .len = 8192};

	h2c.ttag = start_write(pair.io, 9, 0, LEN);
	wire_h2c(pair.io, &h2c, pattern);
	h2c.datao = 8192;
	wire_h2c(pair.io, &h2c, pattern);
	wire_expect_term(pair.io, FES_FIELD, 1);
	pair_close(&pair);
	check_untouched(*state);
}

static void test_second_pdu_beyond_the_transfer(void **state)
{
	struct pair pair = wire_pair(*state);
	struct h2c h2c = {.cid = 9, .len = 8192};

	memset(pattern, 0xaa, sizeof(pattern));
	h2c.ttag = start_write(pair.io, 9, 0, 12288);
	wire_h2c(pair.io, &h2c, pattern);
	h2c.datao = 8192;
	h2c.last = true;
	wire_h2c(pair.io, &h2c, pattern);
	wire_expect_term(pair.io, FES_RANGE, -1);
	pair_close(&pair);
	check_untouched(*state);
}

static void test_same_pdu_twice(void **state)
{
	struct pair pair = wire_pair(*state);
	struct h2c h2c = {.cid = 9, .len = 8192};

	h2c.ttag = start_write(pair.io, 9, 0, LEN);
	wire_h2c(pair.io, &h2c, pattern);
	wire_h2c(pair.io, &h2c, pattern);
	wire_expect_term(pair.io, FES_RANGE, -1);
	pair_close(&pair);
	check_untouched(*state);
}

/* Tags that are in nobody's use: while one other is, and while none ever was. */
static void test_bad_ttags(void **state)
{
	static const uint16_t tags[] = {0, 1, 2, 15, 16, 17, 31, 32, 1023, 1024, 32767, 32768, 65534, 65535};

	for (int used = 0; used < 2; used++) {
		for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
			struct pair pair = wire_pair(*state);
			struct h2c h2c = {.cid = 9, .ttag = tags[i], .len = 4096, .last = true};

			if (used && start_write(pair.io, 9, 0, 4096) == tags[i]) {
				pair_close(&pair);
				continue;
			}
			wire_h2c(pair.io, &h2c, pattern);
			wire_expect_term(pair.io, FES_FIELD, 10);
			pair_close(&pair);
		}
	}
	check_untouched(*state);
}

static void test_ttag_of_another_command(void **state)
{
	struct pair pair = wire_pair(*state);
	struct h2c h2c = {.cid = 9, .len = 4096, .last = true};

	memset(pattern, 0xaa, sizeof(pattern));
	start_write(pair.io, 9, 0, 4096);
	h2c.ttag = start_write(pair.io, 10, 8, 4096);
	wire_h2c(pair.io, &h2c, pattern);
	wire_expect_term(pair.io, FES_FIELD, 8);
	pair_close(&pair);
	check_untouched(*state);
}

static void test_ttag_of_another_queue(void **state)
{
	struct pair pair = wire_pair(*state);
	struct wire *other = wire_io(pair.admin, 2, 31, false);
	struct h2c h2c = {.cid = 9, .len = 4096, .last = true};

	memset(pattern, 0xaa, sizeof(pattern));
	h2c.ttag = start_write(pair.io, 9, 0, 4096);
	wire_h2c(other, &h2c, pattern);
	wire_expect_term(other, FES_FIELD, 10);
	/* The queue that has it goes on. */
	memset(pattern, 0, sizeof(pattern));
	wire_h2c(pair.io, &h2c, pattern);
	assert_int_equal(wire_resp(pair.io, 9, NULL), 0);
	wire_close(other);
	pair_close(&pair);
	check_untouched(*state);
}

static void test_ttag_of_a_finished_transfer(void **state)
{
	struct pair pair = wire_pair(*state);
	struct h2c h2c = {.cid = 9, .len = 4096, .last = true};

	memset(pattern, 0, sizeof(pattern));
	h2c.ttag = start_write(pair.io, 9, 0, 4096);
	wire_h2c(pair.io, &h2c, pattern);
	assert_int_equal(wire_resp(pair.io, 9, NULL), 0);
	wire_h2c(pair.io, &h2c, pattern);
	wire_expect_term(pair.io, FES_FIELD, 10);
	pair_close(&pair);
	check_untouched(*state);
}

static void test_h2c_data_before_icreq(void **state)
{
	struct wire *wire = wire_open(*state);
	struct h2c h2c = {.cid = 0, .len = 512, .last = true};

	wire_h2c(wire, &h2c, pattern);
	wire_expect_term(wire, FES_SEQUENCE, -1);
	wire_close(wire);
}

static void test_h2c_data_before_connect(void **state)
{
	for (uint32_t ttag = 0; ttag < 65536; ttag += 4369) {
		struct wire *wire = wire_open(*state);
		struct h2c h2c = {.cid = 0, .ttag = (uint16_t)ttag, .len = 512, .last = true};

		wire_icreq(wire, 0, false, false);
		wire_h2c(wire, &h2c, pattern);
		wire_expect_term(wire, FES_FIELD, 10);
		wire_close(wire);
	}
	world_check_alive(*state);
}

/* A Connect whose data is asked for by R2T. */
static void test_connect_with_data_by_r2t(void **state)
{
	struct wire *wire = wire_open(*state);
	struct h2c h2c = {.cid = 1, .len = 1024, .last = true};
	uint8_t data[1024];
	struct cmd cmd = cmd_connect(data, 1, 0, 31, 0xffff);

	wire_icreq(wire, 0, false, false);
	cmd.data_len = 0;
	cmd.sqe[39] = 0x5a;
	wire_cmd(wire, &cmd);
	h2c.ttag = wire_r2t(wire, 1, 1024);
	wire_h2c(wire, &h2c, data);
	assert_int_equal(wire_resp(wire, 1, NULL), 0);
	wire_close(wire);
}

static void test_h2c_data_for_a_read(void **state)
{
	struct pair pair = wire_pair(*state);
	struct cmd cmd = cmd_rw(0x02, 9, 0, 8, SGL_TRANSPORT);
	uint8_t bytes[72 + 24 + 512] = {0};
	size_t len = cmd_bytes(pair.io, &cmd, bytes);

	/* In one segment, so that the Read is in flight. */
	wire_header(bytes + len, H2C_DATA, F_LAST, 24, 24, 24 + 512);
	put16(bytes + len + 8, 9);
	put32(bytes + len + 16, 512);
	wire_try_send(pair.io, bytes, sizeof(bytes));
	wire_expect_term(pair.io, FES_FIELD, 10);
	pair_close(&pair);
	check_untouched(*state);
}

/* Two transfers, their PDUs in turn, in pieces of every size. */
static void test_interleaved_transfers(void **state)
{
	struct pair pair = wire_pair(*state);
	static uint8_t data[LEN];
	uint16_t tags[2];

	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 7 + i / 256);
	for (uint32_t piece = 512; piece <= 8192; piece += 1536) {
		tags[0] = start_write(pair.io, 20, 0, LEN);
		tags[1] = start_write(pair.io, 21, 64, LEN);
		for (uint32_t at = 0; at < LEN; at += piece) {
			uint32_t len = LEN - at < piece ? LEN - at : piece;

			for (unsigned int i = 0; i < 2; i++) {
				struct h2c h2c = {.cid = (uint16_t)(20 + i),
						  .ttag = tags[i],
						  .datao = at,
						  .len = len,
						  .last = at + len == LEN};

				wire_h2c(pair.io, &h2c, pattern + at + i * LEN);
			}
		}
		assert_int_equal(wire_resp(pair.io, 20, NULL), 0);
		assert_int_equal(wire_resp(pair.io, 21, NULL), 0);
		world_read(*state, 0, data, LEN);
		assert_memory_equal(data, pattern, LEN);
		world_read(*state, 64, data, LEN);
		assert_memory_equal(data, pattern + LEN, LEN);
	}
	pair_close(&pair);
}

static void test_disconnect_with_transfers_open(void **state)
{
	struct world *world = *state;

	for (uint32_t sent = 0; sent <= 8192 + 24; sent += 683) {
		struct pair pair = wire_pair(world);
		uint8_t bytes[24 + 8192] = {0};
		uint16_t tag;

		start_write(pair.io, 9, 0, LEN);
		tag = start_write(pair.io, 10, 64, LEN);
		wire_header(bytes, H2C_DATA, 0, 24, 24, sizeof(bytes));
		put16(bytes + 8, 10);
		put16(bytes + 10, tag);
		put32(bytes + 16, 8192);
		wire_send(pair.io, bytes, sent);
		pair_close(&pair);
		assert_int_equal(world_stats(world).connections, 0);
		assert_int_equal(world_stats(world).data_bytes, 0);
	}
	check_untouched(world);
}

/* ---- digests ---- */

static void test_digests_are_refused_when_the_port_says_so(void **state)
{
	const struct world_opts opts = {.tcp = {.no_hdgst = true, .no_ddgst = true}};
	struct world *world = world_create(&opts);
	struct wire *wire = wire_open(world);

	(void)state;
	wire_icreq(wire, 0, true, true);
	assert_false(wire->hdgst);
	assert_false(wire->ddgst);
	wire_close(wire);
	world_destroy(world);
}

static void test_bad_hdgst_of_a_capsule(void **state)
{
	struct pair pair = wire_pair_digests(*state, true, true);
	struct cmd cmd = cmd_write_in_capsule(9, 0, pattern, 4096);

	memset(pattern, 0xaa, sizeof(pattern));
	cmd.bad_hdgst = true;
	wire_cmd(pair.io, &cmd);
	wire_expect_term(pair.io, FES_HDGST, -1);
	pair_close(&pair);
	check_untouched(*state);
}

static void test_bad_hdgst_of_h2c_data(void **state)
{
	struct pair pair = wire_pair_digests(*state, true, false);
	struct h2c h2c = {.cid = 9, .len = 4096, .last = true, .bad_hdgst = true};

	memset(pattern, 0xaa, sizeof(pattern));
	h2c.ttag = start_write(pair.io, 9, 0, 4096);
	wire_h2c(pair.io, &h2c, pattern);
	wire_expect_term(pair.io, FES_HDGST, -1);
	pair_close(&pair);
	check_untouched(*state);
}

/* The good command behind it, in the same segment, is not looked at. */
static void test_nothing_is_executed_after_a_bad_hdgst(void **state)
{
	struct pair pair = wire_pair_digests(*state, true, false);
	struct cmd write = cmd_write_in_capsule(9, 0, pattern, 4096);
	/* Flush, and Write Zeroes of what was written. */
	struct cmd cmds[2] = {cmd_make(0x00, 8, 1, SGL_NONE, 0), cmd_rw(0x08, 9, 0, 8, SGL_NONE)};
	uint8_t bytes[2 * 76], data[4096];
	size_t len;

	memset(pattern, 0xaa, sizeof(pattern));
	assert_int_equal(wire_do(pair.io, &write, NULL), 0);
	cmds[0].bad_hdgst = true;
	len = cmd_bytes(pair.io, &cmds[0], bytes);
	len += cmd_bytes(pair.io, &cmds[1], bytes + len);
	wire_send(pair.io, bytes, len);
	wire_expect_term(pair.io, FES_HDGST, -1);
	pair_close(&pair);
	world_read(*state, 0, data, sizeof(data));
	assert_memory_equal(data, pattern, sizeof(data));
}

static void test_digest_flags_unlike_what_was_agreed(void **state)
{
	for (int agreed = 0; agreed < 2; agreed++) {
		for (uint8_t flag = F_HDGST; flag <= F_DDGST; flag++) {
			struct pair pair = wire_pair_digests(*state, agreed, agreed);
			struct cmd cmd = cmd_write_in_capsule(9, 0, pattern, 4096);
			uint8_t bytes[72 + 4096 + 8];
			size_t len = cmd_bytes(pair.io, &cmd, bytes);

			bytes[1] ^= flag;
			wire_try_send(pair.io, bytes, len);
			wire_expect_term(pair.io, FES_FIELD, 1);
			pair_close(&pair);
		}
	}
}

/* The command fails, the connection goes on. */
static void test_bad_ddgst_in_a_capsule(void **state)
{
	struct pair pair = wire_pair_digests(*state, false, true);
	struct cmd cmd = cmd_write_in_capsule(9, 0, pattern, 4096);

	memset(pattern, 0xaa, sizeof(pattern));
	/* Twice, as a header like the one before is known already. */
	cmd.bad_ddgst = true;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(wire_do(pair.io, &cmd, NULL), STATUS_TRANSPORT_ERROR);
		check_untouched(*state);
	}
	cmd.bad_ddgst = false;
	assert_int_equal(wire_do(pair.io, &cmd, NULL), 0);
	pair_close(&pair);
}

static void test_bad_ddgst_of_a_command_that_failed_anyway(void **state)
{
	struct pair pair = wire_pair_digests(*state, true, true);
	struct cmd cmd = cmd_write_in_capsule(9, WIRE_BLOCKS, pattern, 4096);

	cmd.bad_ddgst = true;
	assert_int_equal(wire_do(pair.io, &cmd, NULL), 0x080);
	assert_int_equal(wire_do(pair.io, &cmd, NULL), 0x080);
	pair_close(&pair);
}

static void send_with_bad_ddgst(struct wire *wire, uint16_t tag, uint32_t bad)
{
	for (uint32_t at = 0; at < 4 * 4096; at += 4096) {
		struct h2c h2c = {.cid = 9,
				  .ttag = tag,
				  .datao = at,
				  .len = 4096,
				  .last = at == 3 * 4096,
				  .bad_ddgst = bad >> at / 4096 & 1};

		wire_h2c(wire, &h2c, pattern);
	}
}

/* In the first, a middle, the last PDU of a transfer, and combinations: all data is taken, then the command fails once.
 */
static void test_bad_ddgst_in_h2c_data(void **state)
{
	struct pair pair = wire_pair_digests(*state, true, true);

	memset(pattern, 0xaa, sizeof(pattern));
	for (uint32_t bad = 1; bad < 16; bad++) {
		send_with_bad_ddgst(pair.io, start_write(pair.io, 9, 0, LEN), bad);
		assert_int_equal(wire_resp(pair.io, 9, NULL), STATUS_TRANSPORT_ERROR);
		wire_expect_silence(pair.io);
	}
	check_untouched(*state);
	send_with_bad_ddgst(pair.io, start_write(pair.io, 9, 0, LEN), 0);
	assert_int_equal(wire_resp(pair.io, 9, NULL), 0);
	pair_close(&pair);
}

static void test_bad_ddgst_then_disconnect(void **state)
{
	struct world *world = *state;

	for (uint32_t pdus = 0; pdus < 4; pdus++) {
		struct pair pair = wire_pair_digests(world, false, true);
		uint16_t tag = start_write(pair.io, 9, 0, LEN);

		for (uint32_t i = 0; i <= pdus; i++) {
			struct h2c h2c = {.cid = 9, .ttag = tag, .datao = i * 4096, .len = 4096, .last = i == 3};

			h2c.bad_ddgst = true;
			wire_h2c(pair.io, &h2c, pattern);
		}
		pair_close(&pair);
		assert_int_equal(world_stats(world).connections, 0);
	}
	check_untouched(world);
}

static void test_reads_and_writes_with_digests(void **state)
{
	for (int which = 1; which < 4; which++) {
		struct pair pair = wire_pair_digests(*state, which & 1, which & 2);
		static uint8_t data[65536];
		struct cmd cmd;
		struct pdu pdu;
		uint16_t tag;

		for (size_t i = 0; i < sizeof(pattern); i++)
			pattern[i] = (uint8_t)(i * (unsigned int)which + i / 256);
		tag = start_write(pair.io, 9, 256, sizeof(pattern));
		for (uint32_t at = 0; at < sizeof(pattern); at += 8192) {
			struct h2c h2c = {
				.cid = 9, .ttag = tag, .datao = at, .len = 8192, .last = at + 8192 == sizeof(pattern)};

			wire_h2c(pair.io, &h2c, pattern + at);
		}
		assert_int_equal(wire_resp(pair.io, 9, NULL), 0);
		cmd = cmd_rw(0x02, 9, 256, sizeof(pattern) / WIRE_BLOCK, SGL_TRANSPORT);
		wire_cmd(pair.io, &cmd);
		wire_expect(pair.io, C2H_DATA, &pdu);
		memcpy(data, pdu.data, sizeof(data));
		assert_memory_equal(data, pattern, sizeof(data));
		assert_int_equal(wire_resp(pair.io, 9, NULL), 0);
		pair_close(&pair);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(test_bad_first_pdu),
		T(test_last_missing),
		T(test_second_pdu_beyond_the_transfer),
		T(test_same_pdu_twice),
		T(test_bad_ttags),
		T(test_ttag_of_another_command),
		T(test_ttag_of_another_queue),
		T(test_ttag_of_a_finished_transfer),
		T(test_h2c_data_before_icreq),
		T(test_h2c_data_before_connect),
		T(test_connect_with_data_by_r2t),
		T(test_h2c_data_for_a_read),
		T(test_interleaved_transfers),
		T(test_disconnect_with_transfers_open),
		cmocka_unit_test(test_digests_are_refused_when_the_port_says_so),
		T(test_bad_hdgst_of_a_capsule),
		T(test_bad_hdgst_of_h2c_data),
		T(test_nothing_is_executed_after_a_bad_hdgst),
		T(test_digest_flags_unlike_what_was_agreed),
		T(test_bad_ddgst_in_a_capsule),
		T(test_bad_ddgst_of_a_command_that_failed_anyway),
		T(test_bad_ddgst_in_h2c_data),
		T(test_bad_ddgst_then_disconnect),
		T(test_reads_and_writes_with_digests),
	};

	return cmocka_run_group_tests_name("h2c_data", tests, NULL, NULL);
}
