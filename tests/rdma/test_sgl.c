/* SPDX-License-Identifier: BSD-3-Clause */
/* Where commands say that their data is. What is wrong in there fails the command, and only that. */
#include "peer.h"

#define DESCS 8u

/* ---- data in the capsule ---- */

static nvmft_status in_capsule(struct peer *p, uint64_t offset, uint32_t len, uint32_t behind)
{
	peer_rw(p, TH_WRITE, 1);
	th_sgl_offset(peer_dptr(p), TH_SGL_IN_CAPSULE, offset, len);
	memset(peer_behind(p), 0x5a, behind);
	return peer_exec(p, behind);
}

static void test_in_capsule(void **state)
{
	struct peer *p = peer_open(*state, NULL);

	assert_int_equal(in_capsule(p, 0, BLOCK, BLOCK), 0);
	peer_rw(p, TH_READ, 1);
	assert_int_equal(peer_exec(p, 0), 0);
	for (unsigned int i = 0; i < BLOCK; i++)
		assert_int_equal(p->data[i], 0x5a);
	peer_close(p);
}

static void test_in_capsule_offset(void **state)
{
	static const uint64_t offsets[] = {1,         15,         16,         64,         511,        512,
					   1u << 16,  0xfffffe00, 0xffffffff, 1ull << 32, 1ull << 63, UINT64_MAX - 511,
					   UINT64_MAX};
	struct peer *p = peer_open(*state, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++)
		assert_int_equal(in_capsule(p, offsets[i], BLOCK, 2 * BLOCK), SC_SGL_OFFSET);
	peer_check(p);
	peer_close(p);
}

static void test_in_capsule_length(void **state)
{
	static const uint32_t lens[] = {0, 1, 511, 513, 1024, 8192, 0x10000, 0x7fffffff, 0x80000200, UINT32_MAX};
	struct peer *p = peer_open(*state, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(lens); i++)
		assert_int_equal(in_capsule(p, 0, lens[i], BLOCK), SC_SGL_DATA);
	peer_check(p);
	peer_close(p);
}

static void test_in_capsule_data_is_short(void **state)
{
	static const uint32_t behinds[] = {0, 1, 16, 511};
	struct peer *p = peer_open(*state, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(behinds); i++)
		assert_int_equal(in_capsule(p, 0, BLOCK, behinds[i]), SC_SGL_DATA);
	peer_check(p);
	peer_close(p);
}

static void test_in_capsule_with_more_behind(void **state)
{
	struct peer *p = peer_open(*state, NULL);

	assert_int_equal(in_capsule(p, 0, BLOCK, BLOCK + 1), 0);
	assert_int_equal(in_capsule(p, 0, BLOCK, IN_CAPSULE), 0);
	peer_check(p);
	peer_close(p);
}

static void test_in_capsule_for_a_read(void **state)
{
	struct peer *p = peer_open(*state, NULL);

	peer_rw(p, TH_READ, 1);
	th_sgl_offset(peer_dptr(p), TH_SGL_IN_CAPSULE, 0, BLOCK);
	assert_int_equal(peer_exec(p, BLOCK), SC_SGL_TYPE);
	peer_check(p);
	peer_close(p);
}

/* Capsules whose data nobody wants give their buffers back. */
static void test_in_capsule_for_no_data(void **state)
{
	struct peer *p = peer_open(*state, NULL);
	struct nvmft_sqe sqe;

	for (unsigned int i = 0; i < 100; i++) {
		th_sqe_init(&sqe, TH_FLUSH, 1);
		sqe.cid = htole16(p->cid++);
		memcpy(p->capsule, &sqe, 64);
		th_sgl_offset(peer_dptr(p), TH_SGL_IN_CAPSULE, 0, IN_CAPSULE);
		assert_int_equal(peer_exec(p, IN_CAPSULE), 0);
	}
	th_settle(&p->w->t);
	assert_true(peer_is_idle(p));
	peer_check(p);
	peer_close(p);
}

/* ---- types ---- */

static bool has_a_meaning(unsigned int type)
{
	return type == TH_SGL_IN_CAPSULE || type == TH_SGL_LAST_SEGMENT || type == TH_SGL_KEYED ||
	       type == TH_SGL_KEYED_INVALIDATE;
}

static void test_types(void **state)
{
	struct peer *p = peer_open(*state, NULL);

	for (unsigned int type = 0; type < 256; type++) {
		if (has_a_meaning(type))
			continue;
		peer_rw(p, type % 2 ? TH_WRITE : TH_READ, 1);
		/* Without a key, whose low byte would be one of the length. */
		th_sgl_keyed(peer_dptr(p), (uintptr_t)p->data, BLOCK, 0, false);
		peer_dptr(p)[15] = (uint8_t)type;
		assert_int_equal(peer_exec(p, 0), SC_SGL_TYPE);
	}
	peer_check(p);
	peer_close(p);
}

static void test_types_in_a_segment(void **state)
{
	struct peer *p = peer_open(*state, NULL);

	for (unsigned int type = 0; type < 256; type++) {
		if (type == TH_SGL_KEYED || type == TH_SGL_KEYED_INVALIDATE)
			continue;
		peer_rw(p, TH_WRITE, 1);
		peer_desc(p, 0, 0, 256);
		peer_desc(p, 1, 256, 256);
		peer_behind(p)[type % 2 ? 31 : 15] = (uint8_t)type;
		peer_segment(p, 0, 32);
		assert_int_equal(peer_exec(p, 32), SC_SGL_TYPE);
	}
	peer_check(p);
	peer_close(p);
}

/* Of a namespace's commands, and of the controller's: both have SGLs only. */
static void test_prps(void **state)
{
	static const uint8_t psdts[] = {0x00, 0xc0};
	struct peer *p = peer_open(*state, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(psdts); i++) {
		peer_rw(p, TH_WRITE, 1);
		p->capsule[1] = psdts[i];
		assert_int_equal(peer_exec(p, 0), TH_SC_INVALID_FIELD);
	}
	peer_check(p);
	peer_close(p);
}

/* ---- one keyed descriptor ---- */

static void test_keyed_length(void **state)
{
	static const uint32_t lens[] = {0, 1, 511, 513, 1024, 0x800200 & 0xffffff, 0xffffff};
	struct peer *p = peer_open(*state, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		peer_rw(p, i % 2 ? TH_READ : TH_WRITE, 1);
		th_sgl_keyed(peer_dptr(p), (uintptr_t)p->data, lens[i], p->mr->rkey, false);
		assert_int_equal(peer_exec(p, 0), SC_SGL_DATA);
	}
	peer_check(p);
	peer_close(p);
}

static void test_keyed_address_wraps(void **state)
{
	static const uint64_t addrs[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 510};
	struct peer *p = peer_open(*state, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(addrs); i++) {
		peer_rw(p, i % 2 ? TH_READ : TH_WRITE, 1);
		th_sgl_keyed(peer_dptr(p), addrs[i], BLOCK, p->mr->rkey, false);
		assert_int_equal(peer_exec(p, 0), SC_SGL_DATA);
	}
	peer_check(p);
	peer_close(p);
}

/* ---- a segment in the capsule ---- */

static nvmft_status segment(struct peer *p, uint64_t offset, uint32_t len, uint32_t behind)
{
	peer_rw(p, TH_WRITE, 1);
	for (uint32_t i = 0; i < DESCS; i++)
		peer_desc(p, i, i * 64, 64);
	peer_segment(p, offset, len);
	return peer_exec(p, behind);
}

static void test_segment(void **state)
{
	struct peer *p = peer_open(*state, NULL);

	assert_int_equal(segment(p, 0, DESCS * 16, DESCS * 16), 0);
	assert_int_equal(segment(p, 0, DESCS * 16, IN_CAPSULE), 0);
	peer_check(p);
	peer_close(p);
}

static void test_segment_of_each_count(void **state)
{
	struct peer *p = peer_open(*state, NULL);

	for (uint32_t n = 1; n <= DESCS; n++) {
		for (unsigned int op = TH_WRITE; op <= TH_READ; op++) {
			uint8_t *at = p->data + (op == TH_READ ? 8 * BLOCK : 0);

			if (op == TH_WRITE)
				th_fill(at, 3 * BLOCK, n);
			peer_rw(p, (uint8_t)op, 3);
			for (uint32_t i = 0; i < n; i++)
				peer_desc(p, i, (uint32_t)(at - p->data) + i * 100,
					  i == n - 1 ? 3 * BLOCK - i * 100 : 100);
			peer_segment(p, 0, n * 16);
			assert_int_equal(peer_exec(p, n * 16), 0);
		}
		assert_true(th_filled(p->data + 8 * BLOCK, 3 * BLOCK, n));
	}
	peer_close(p);
}

static void test_segment_anywhere_in_the_capsule(void **state)
{
	static const uint32_t offsets[] = {1, 7, 16, 4096, IN_CAPSULE - DESCS * 16};
	struct peer *p = peer_open(*state, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		peer_rw(p, TH_WRITE, 1);
		for (uint32_t d = 0; d < DESCS; d++)
			th_sgl_keyed(peer_behind(p) + offsets[i] + (size_t)d * 16, (uintptr_t)p->data + d * 64, 64,
				     p->mr->rkey, false);
		peer_segment(p, offsets[i], DESCS * 16);
		assert_int_equal(peer_exec(p, offsets[i] + DESCS * 16), 0);
	}
	peer_check(p);
	peer_close(p);
}

static void test_segment_length(void **state)
{
	static const uint32_t lens[] = {0, 1, 8, 15, 17, 100, DESCS * 16 - 1, 0x7fffffff, UINT32_MAX};
	struct peer *p = peer_open(*state, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(lens); i++)
		assert_int_equal(segment(p, 0, lens[i], DESCS * 16), SC_SGL_LAST);
	peer_check(p);
	peer_close(p);
}

static void test_segment_outside_the_capsule(void **state)
{
	static const struct {
		uint64_t offset;
		uint32_t len, behind;
	} cases[] = {
		{0, 16, 0},
		{0, 16, 15},
		{1, 16, 16},
		{16, 16, 16},
		{17, 16, 16},
		{0, 0xfffffff0, 128},
		{16, 0xfffffff0, 128},
		{IN_CAPSULE, 16, IN_CAPSULE},
		{IN_CAPSULE - 8, 16, IN_CAPSULE},
		{0xfffffff0, 16, 128},
		{1ull << 32, 16, 128},
		{1ull << 63, 16, 128},
		{UINT64_MAX - 15, 16, 128},
		{UINT64_MAX, 16, 128},
		{UINT64_MAX - 15, 0xfffffff0, 128},
	};
	struct peer *p = peer_open(*state, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(segment(p, cases[i].offset, cases[i].len, cases[i].behind), SC_SGL_OFFSET);
	peer_check(p);
	peer_close(p);
}

/* The same on the admin queue, whose capsules are shorter. */
static void test_segment_outside_an_admin_capsule(void **state)
{
	struct rdma_world *w = *state;
	struct th_rdma_ask ask = {.qid = 0, .in_capsule = IN_CAPSULE};
	struct peer *p = peer_open_unconnected(w, &ask);
	struct nvmft_sqe sqe;

	th_sqe_fabrics(&sqe, 0x01);
	sqe.flags = 0x40;
	memcpy(p->capsule, &sqe, 64);
	peer_segment(p, TH_RDMA_ADMIN_IN_CAPSULE - 16, 32);
	assert_int_equal(peer_exec(p, TH_RDMA_ADMIN_IN_CAPSULE), SC_SGL_OFFSET);
	peer_segment(p, TH_RDMA_ADMIN_IN_CAPSULE, 16);
	assert_int_equal(peer_exec(p, TH_RDMA_ADMIN_IN_CAPSULE), SC_SGL_OFFSET);
	peer_close(p);
}

static void test_too_many_descriptors(void **state)
{
	static const uint32_t counts[] = {DESCS + 1, 16, 256, IN_CAPSULE / 16};
	struct peer *p = peer_open(*state, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		peer_rw(p, TH_WRITE, 1);
		memset(peer_behind(p), 0, IN_CAPSULE);
		for (uint32_t d = 0; d < counts[i]; d++)
			peer_desc(p, d, 0, d ? 0 : BLOCK);
		peer_segment(p, 0, counts[i] * 16);
		assert_int_equal(peer_exec(p, counts[i] * 16), SC_SGL_COUNT);
	}
	peer_check(p);
	peer_close(p);
}

static void test_segment_sum(void **state)
{
	static const uint32_t lens[][3] = {
		{0, 0, 0},
		{BLOCK - 1, 0, 0},
		{BLOCK, 1, 0},
		{200, 200, 111},
		{200, 200, 113},
		{BLOCK, BLOCK, BLOCK},
		{0xffffff, 0xffffff, 0xffffff},
		{0xffffff, 513, 0},
	};
	struct peer *p = peer_open(*state, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		peer_rw(p, i % 2 ? TH_READ : TH_WRITE, 1);
		for (uint32_t d = 0; d < 3; d++)
			peer_desc(p, d, 0, lens[i][d]);
		peer_segment(p, 0, 48);
		assert_int_equal(peer_exec(p, 48), SC_SGL_DATA);
	}
	peer_check(p);
	peer_close(p);
}

static void test_segment_address_wraps(void **state)
{
	struct peer *p = peer_open(*state, NULL);

	for (uint32_t d = 0; d < 2; d++) {
		peer_rw(p, TH_WRITE, 1);
		peer_desc(p, 0, 0, 256);
		peer_desc(p, 1, 256, 256);
		th_sgl_keyed(peer_behind(p) + (size_t)d * 16, UINT64_MAX - 100, 256, p->mr->rkey, false);
		peer_segment(p, 0, 32);
		assert_int_equal(peer_exec(p, 32), SC_SGL_DATA);
	}
	peer_check(p);
	peer_close(p);
}

static void test_empty_descriptors(void **state)
{
	struct peer *p = peer_open(*state, NULL);

	th_fill(p->data, BLOCK, 7);
	peer_rw(p, TH_WRITE, 1);
	peer_desc(p, 0, 0, 0);
	peer_desc(p, 1, 0, 100);
	peer_desc(p, 2, 0, 0);
	peer_desc(p, 3, 100, BLOCK - 100);
	peer_desc(p, 4, 0, 0);
	peer_segment(p, 0, 80);
	assert_int_equal(peer_exec(p, 80), 0);
	peer_rw(p, TH_READ, 1);
	memset(p->data, 0, BLOCK);
	assert_int_equal(peer_exec(p, 0), 0);
	assert_true(th_filled(p->data, BLOCK, 7));
	peer_close(p);
}

static void test_several_keys(void **state)
{
	struct peer *p = peer_open(*state, NULL);
	struct ibv_mr *mr = th_rdma_register(p->r, p->data + 65536, 4096, true);

	th_fill(p->data + 65536, BLOCK, 9);
	memcpy(p->data, p->data + 65536, 256);
	peer_rw(p, TH_WRITE, 1);
	peer_desc(p, 0, 0, 256);
	th_sgl_keyed(peer_behind(p) + 16, (uintptr_t)p->data + 65536 + 256, 256, mr->rkey, false);
	peer_segment(p, 0, 32);
	assert_int_equal(peer_exec(p, 32), 0);
	peer_rw(p, TH_READ, 1);
	assert_int_equal(peer_exec(p, 0), 0);
	assert_true(th_filled(p->data, BLOCK, 9));
	ibv_dereg_mr(mr);
	peer_close(p);
}

/* ---- many of them, at random ---- */

/* Whatever the descriptors say, nothing but a status comes of it: their key reaches nothing, so that no data moves. */
static void test_random_segments(void **state)
{
	struct peer *p = peer_open(*state, NULL);
	uint64_t rng = 1;

	for (unsigned int i = 0; i < 500; i++) {
		uint32_t behind = (uint32_t)(th_random(&rng) % 200);

		peer_rw(p, i % 2 ? TH_READ : TH_WRITE, 1);
		for (uint32_t at = 0; at < behind; at++)
			peer_behind(p)[at] = (uint8_t)th_random(&rng);
		peer_segment(p, th_random(&rng) % 64, (uint32_t)(th_random(&rng) % 20) * 16);
		for (uint32_t at = 15; at < behind; at += 16)
			peer_behind(p)[at] = th_random(&rng) % 4 ? TH_SGL_KEYED : (uint8_t)th_random(&rng);
		assert_int_not_equal(peer_exec(p, behind), 0);
	}
	peer_check(p);
	peer_close(p);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_in_capsule),
		TEST(test_in_capsule_offset),
		TEST(test_in_capsule_length),
		TEST(test_in_capsule_data_is_short),
		TEST(test_in_capsule_with_more_behind),
		TEST(test_in_capsule_for_a_read),
		TEST(test_in_capsule_for_no_data),
		TEST(test_types),
		TEST(test_types_in_a_segment),
		TEST(test_prps),
		TEST(test_keyed_length),
		TEST(test_keyed_address_wraps),
		TEST(test_segment),
		TEST(test_segment_of_each_count),
		TEST(test_segment_anywhere_in_the_capsule),
		TEST(test_segment_length),
		TEST(test_segment_outside_the_capsule),
		TEST(test_segment_outside_an_admin_capsule),
		TEST(test_too_many_descriptors),
		TEST(test_segment_sum),
		TEST(test_segment_address_wraps),
		TEST(test_empty_descriptors),
		TEST(test_several_keys),
		TEST(test_random_segments),
	};

	if (!th_present(TH_RDMA))
		return 77;
	return cmocka_run_group_tests_name("rdma: SGLs", tests, NULL, NULL);
}
