/* SPDX-License-Identifier: BSD-3-Clause */
/* What NVMe/RDMA reads from the wire: the private data of a connection request, and SGLs. */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <nvme/types.h>

#include "wire.h"

#define STATUS(name) (NVMFT_STATUS(NVME_SCT_GENERIC, NVME_SC_##name) | NVMFT_STATUS_DNR)
#define MAX_DEPTH 1024u
#define DESC_LEN 16u

static struct rdma_wire_request good_request(void)
{
	return (struct rdma_wire_request){
		.qid = htole16(3), .hrqsize = htole16(128), .hsqsize = htole16(127), .cntlid = htole16(0x1234)};
}

static void a_request_is_read(void **state)
{
	struct rdma_wire_request wire = good_request();
	struct rdma_ask ask;

	(void)state;
	assert_int_equal(nvmft_rdma_parse_ask(&wire, sizeof(wire), MAX_DEPTH, &ask), RDMA_STS_OK);
	assert_int_equal(ask.qid, 3);
	assert_int_equal(ask.depth, 128);
	assert_int_equal(ask.hrqsize, 128);
	assert_int_equal(ask.cntlid, 0x1234);
}

/* Whatever it says: there is no controller yet. */
static void an_admin_queue_has_no_controller(void **state)
{
	struct rdma_wire_request wire = good_request();
	struct rdma_ask ask;

	(void)state;
	wire.qid = 0;
	assert_int_equal(nvmft_rdma_parse_ask(&wire, sizeof(wire), MAX_DEPTH, &ask), RDMA_STS_OK);
	assert_int_equal(ask.cntlid, 0);
}

/* InfiniBand always delivers 56 bytes or more, with what nobody wrote behind. */
static void bytes_behind_a_request_do_not_matter(void **state)
{
	struct rdma_wire_request wire[2] = {good_request(), {.recfmt = 0xffff}};
	struct rdma_ask ask;

	(void)state;
	assert_int_equal(nvmft_rdma_parse_ask(wire, sizeof(wire), MAX_DEPTH, &ask), RDMA_STS_OK);
}

static void each_bad_request_has_its_status(void **state)
{
	static const struct {
		struct rdma_wire_request wire;
		size_t len;
		enum rdma_sts sts;
	} cases[] = {
		{{.qid = 1, .hrqsize = 32, .hsqsize = 31}, 31, RDMA_STS_INVALID_LENGTH},
		{{.qid = 1, .hrqsize = 32, .hsqsize = 31}, 0, RDMA_STS_INVALID_LENGTH},
		{{.recfmt = 1, .qid = 1, .hrqsize = 32, .hsqsize = 31}, 32, RDMA_STS_INVALID_RECFMT},
		{{.qid = 0xffff, .hrqsize = 32, .hsqsize = 31}, 32, RDMA_STS_INVALID_QID},
		{{.qid = 1, .hrqsize = 32, .hsqsize = 0}, 32, RDMA_STS_INVALID_HSQSIZE},
		{{.qid = 1, .hrqsize = 32, .hsqsize = 1024}, 32, RDMA_STS_INVALID_HSQSIZE},
		{{.qid = 1, .hrqsize = 32, .hsqsize = 0xffff}, 32, RDMA_STS_INVALID_HSQSIZE},
		{{.qid = 1, .hrqsize = 0, .hsqsize = 31}, 32, RDMA_STS_INVALID_HRQSIZE},
		{{.qid = 1, .hrqsize = 32, .hsqsize = 1023}, 32, RDMA_STS_OK},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rdma_wire_request wire = {
			.recfmt = htole16(cases[i].wire.recfmt),
			.qid = htole16(cases[i].wire.qid),
			.hrqsize = htole16(cases[i].wire.hrqsize),
			.hsqsize = htole16(cases[i].wire.hsqsize),
		};
		struct rdma_ask ask;

		assert_int_equal(nvmft_rdma_parse_ask(&wire, cases[i].len, MAX_DEPTH, &ask), cases[i].sts);
	}
}

static void answers_are_little_endian(void **state)
{
	struct rdma_wire_accept accept;
	struct rdma_wire_reject reject;

	(void)state;
	nvmft_rdma_build_accept(&accept, 0x123);
	assert_memory_equal(&accept, "\0\0\x23\x01", 4);
	nvmft_rdma_build_accept(&accept, 65536);
	assert_memory_equal(&accept, "\0\0\xff\xff", 4);
	nvmft_rdma_build_reject(&reject, RDMA_STS_NO_RESOURCES);
	assert_memory_equal(&reject, "\0\0\x06\0", 4);
}

/* ---- SGLs ---- */

static void put_keyed(uint8_t *desc, uint64_t addr, uint32_t len, uint32_t key, uint8_t type)
{
	addr = htole64(addr);
	len = htole32(len);
	key = htole32(key);
	memcpy(desc, &addr, sizeof(addr));
	memcpy(desc + 8, &len, 3);
	memcpy(desc + 11, &key, sizeof(key));
	desc[15] = type;
}

static void put_segment(uint8_t *desc, uint64_t offset, uint32_t len)
{
	offset = htole64(offset);
	len = htole32(len);
	memcpy(desc, &offset, sizeof(offset));
	memcpy(desc + 8, &len, sizeof(len));
	memset(desc + 12, 0, 3);
	desc[15] = RDMA_SGL_LAST_SEGMENT;
}

static void a_keyed_block_is_read(void **state)
{
	uint8_t dptr[DESC_LEN];
	struct rdma_sgl sgl;
	uint64_t total;

	(void)state;
	put_keyed(dptr, 0x123456789abcdef0, 0xfedcba, 0x87654321, RDMA_SGL_KEYED);
	assert_int_equal(rdma_parse_sgl(dptr, NULL, 0, &sgl, &total), 0);
	assert_int_equal(sgl.n, 1);
	assert_int_equal(sgl.piece[0].addr, 0x123456789abcdef0);
	assert_int_equal(sgl.piece[0].len, 0xfedcba);
	assert_int_equal(sgl.piece[0].key, 0x87654321);
	assert_false(sgl.invalidate);
	assert_int_equal(total, 0);
	put_keyed(dptr, 4096, 0, 1, RDMA_SGL_KEYED);
	assert_int_equal(rdma_parse_sgl(dptr, NULL, 0, &sgl, &total), 0);
	assert_int_equal(sgl.n, 0);
}

static void a_key_is_to_be_invalidated(void **state)
{
	uint8_t dptr[DESC_LEN];
	struct rdma_sgl sgl;
	uint64_t total;

	(void)state;
	put_keyed(dptr, 4096, 512, 77, RDMA_SGL_KEYED_INVALIDATE);
	assert_int_equal(rdma_parse_sgl(dptr, NULL, 0, &sgl, &total), 0);
	assert_true(sgl.invalidate);
	assert_int_equal(sgl.inv_key, 77);
}

static void what_is_not_keyed_is_left_to_the_core(void **state)
{
	static const uint8_t types[] = {0x00, RDMA_SGL_OFFSET, 0x10, 0x20, 0x21, 0x30, 0x41, 0x5a, 0xff};
	uint8_t dptr[DESC_LEN] = {0};
	struct rdma_sgl sgl;
	uint64_t total;

	(void)state;
	for (size_t i = 0; i < sizeof(types); i++) {
		dptr[15] = types[i];
		assert_int_equal(rdma_parse_sgl(dptr, NULL, 0, &sgl, &total), 0);
		assert_int_equal(sgl.n, 0);
		assert_false(sgl.invalidate);
	}
}

static void a_block_ends_where_addresses_end(void **state)
{
	uint8_t dptr[DESC_LEN];
	struct rdma_sgl sgl;
	uint64_t total;

	(void)state;
	put_keyed(dptr, UINT64_MAX - 511, 512, 1, RDMA_SGL_KEYED);
	assert_int_equal(rdma_parse_sgl(dptr, NULL, 0, &sgl, &total), STATUS(SGL_INVALID_DATA));
	put_keyed(dptr, UINT64_MAX - 512, 512, 1, RDMA_SGL_KEYED);
	assert_int_equal(rdma_parse_sgl(dptr, NULL, 0, &sgl, &total), 0);
}

static void a_segment_in_the_capsule_adds_up(void **state)
{
	uint8_t dptr[DESC_LEN], data[16 + 3 * DESC_LEN] = {0};
	struct rdma_sgl sgl;
	uint64_t total;

	(void)state;
	put_keyed(data + 16, 4096, 512, 1, RDMA_SGL_KEYED);
	put_keyed(data + 32, 8192, 0, 2, RDMA_SGL_KEYED);
	put_keyed(data + 48, 65536, 3584, 3, RDMA_SGL_KEYED_INVALIDATE);
	put_segment(dptr, 16, 3 * DESC_LEN);
	assert_int_equal(rdma_parse_sgl(dptr, data, sizeof(data), &sgl, &total), 0);
	assert_int_equal(total, 4096);
	assert_int_equal(sgl.n, 2); /* one is empty */
	assert_int_equal(sgl.piece[1].addr, 65536);
	assert_int_equal(sgl.inv_key, 3);
}

static void a_segment_lies_in_the_capsule(void **state)
{
	static const struct {
		uint64_t offset;
		uint32_t len;
		nvmft_status status;
	} cases[] = {
		{0, 16, 0},
		{16, 16, 0},
		{17, 16, STATUS(SGL_INVALID_OFFSET)},
		{32, 16, STATUS(SGL_INVALID_OFFSET)},
		{33, 16, STATUS(SGL_INVALID_OFFSET)},
		{UINT64_MAX, 16, STATUS(SGL_INVALID_OFFSET)},
		{UINT64_MAX - 15, 32, STATUS(SGL_INVALID_OFFSET)},
		{0, 48, STATUS(SGL_INVALID_OFFSET)},
		{0, 0xfffffff0, STATUS(SGL_INVALID_OFFSET)},
		{0, 0, STATUS(SGL_INVALID_LAST)},
		{0, 15, STATUS(SGL_INVALID_LAST)},
		{0, 0xffffffff, STATUS(SGL_INVALID_LAST)},
	};
	uint8_t dptr[DESC_LEN], data[2 * DESC_LEN];
	struct rdma_sgl sgl;
	uint64_t total;

	(void)state;
	put_keyed(data, 4096, 512, 1, RDMA_SGL_KEYED);
	put_keyed(data + 16, 4096, 512, 1, RDMA_SGL_KEYED);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put_segment(dptr, cases[i].offset, cases[i].len);
		assert_int_equal(rdma_parse_sgl(dptr, data, sizeof(data), &sgl, &total), cases[i].status);
	}
}

static void a_segment_has_so_many_descriptors(void **state)
{
	uint8_t dptr[DESC_LEN], data[(RDMA_MSDBD + 1) * DESC_LEN];
	struct rdma_sgl sgl;
	uint64_t total;

	(void)state;
	for (uint32_t i = 0; i <= RDMA_MSDBD; i++)
		put_keyed(data + i * DESC_LEN, 4096, 512, 1, RDMA_SGL_KEYED);
	put_segment(dptr, 0, RDMA_MSDBD * DESC_LEN);
	assert_int_equal(rdma_parse_sgl(dptr, data, sizeof(data), &sgl, &total), 0);
	assert_int_equal(sgl.n, RDMA_MSDBD);
	put_segment(dptr, 0, sizeof(data));
	assert_int_equal(rdma_parse_sgl(dptr, data, sizeof(data), &sgl, &total), STATUS(SGL_INVALID_COUNT));
}

static void a_segment_has_keyed_blocks_only(void **state)
{
	uint8_t dptr[DESC_LEN], data[2 * DESC_LEN];
	struct rdma_sgl sgl;
	uint64_t total;

	(void)state;
	put_keyed(data, 4096, 512, 1, RDMA_SGL_KEYED);
	put_segment(data + DESC_LEN, 0, DESC_LEN);
	put_segment(dptr, 0, sizeof(data));
	assert_int_equal(rdma_parse_sgl(dptr, data, sizeof(data), &sgl, &total), STATUS(SGL_INVALID_TYPE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_read),
		cmocka_unit_test(an_admin_queue_has_no_controller),
		cmocka_unit_test(bytes_behind_a_request_do_not_matter),
		cmocka_unit_test(each_bad_request_has_its_status),
		cmocka_unit_test(answers_are_little_endian),
		cmocka_unit_test(a_keyed_block_is_read),
		cmocka_unit_test(a_key_is_to_be_invalidated),
		cmocka_unit_test(what_is_not_keyed_is_left_to_the_core),
		cmocka_unit_test(a_block_ends_where_addresses_end),
		cmocka_unit_test(a_segment_in_the_capsule_adds_up),
		cmocka_unit_test(a_segment_lies_in_the_capsule),
		cmocka_unit_test(a_segment_has_so_many_descriptors),
		cmocka_unit_test(a_segment_has_keyed_blocks_only),
	};

	return cmocka_run_group_tests_name("rdma_wire", tests, NULL, NULL);
}
