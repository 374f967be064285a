/* SPDX-License-Identifier: BSD-3-Clause */
/* Data pointers at every boundary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "prp.h"

#define LIST_IOVA UINT64_C(0x777000)
#define BASE UINT64_C(0x100000000)

struct fixture {
	uint64_t list[PRP_LIST_ENTRIES + 1];
	struct prp prp;
};

static int one(struct fixture *f, uint64_t iova, uint64_t len)
{
	int err;

	f->list[PRP_LIST_ENTRIES] = 0x5ca1ab1e;
	nvmft_prp_begin(&f->prp, f->list, LIST_IOVA);
	err = nvmft_prp_add(&f->prp, iova, len);
	nvmft_prp_end(&f->prp);
	assert_int_equal(f->list[PRP_LIST_ENTRIES], 0x5ca1ab1e);
	return err;
}

/* What a controller would make of it: the address of byte @at. */
static uint64_t address(const struct fixture *f, uint64_t at)
{
	uint64_t first = NVME_PAGE - (f->prp.prp1 & 4095), page;

	if (at < first)
		return f->prp.prp1 + at;
	page = (at - first) / NVME_PAGE;
	if (f->prp.pages == 2)
		return f->prp.prp2 + (at - first);
	assert_int_equal(f->prp.prp2, LIST_IOVA);
	return f->list[page] + (at - first) % NVME_PAGE;
}

static void test_every_boundary(void **state)
{
	struct fixture f;

	(void)state;
	for (uint64_t offset = 0; offset < NVME_PAGE; offset += offset < 16 || offset > 4076 ? 4 : 508)
		for (uint64_t len = 4; len <= 5 * NVME_PAGE; len += len % 4096 < 16 || len % 4096 > 4076 ? 4 : 252) {
			assert_int_equal(one(&f, BASE + offset, len), 0);
			assert_int_equal(f.prp.pages, (offset + len + 4095) / 4096);
			for (uint64_t at = 0; at < len; at += 60)
				assert_int_equal(address(&f, at), BASE + offset + at);
			assert_int_equal(address(&f, len - 1), BASE + offset + len - 1);
		}
}

static void test_no_second_pointer_for_one_page(void **state)
{
	struct fixture f;

	(void)state;
	assert_int_equal(one(&f, BASE, 4096), 0);
	assert_int_equal(f.prp.prp2, 0);
}

static void test_largest_at_any_offset(void **state)
{
	struct fixture f;

	(void)state;
	assert_int_equal(one(&f, BASE, MAX_TRANSFER), 0);
	assert_int_equal(f.prp.pages, 512);
	assert_int_equal(one(&f, BASE + 4092, MAX_TRANSFER), 0);
	assert_int_equal(f.prp.pages, 513);
}

static void test_too_large(void **state)
{
	struct fixture f;

	(void)state;
	assert_int_equal(one(&f, BASE, MAX_TRANSFER + 4096 + 4), -E2BIG);
}

static void test_alignment(void **state)
{
	struct fixture f;

	(void)state;
	assert_int_equal(one(&f, BASE + 2, 512), -EINVAL);
}

static int two(struct fixture *f, uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	int err;

	nvmft_prp_begin(&f->prp, f->list, LIST_IOVA);
	err = nvmft_prp_add(&f->prp, a, alen);
	assert_int_equal(err, 0);
	err = nvmft_prp_add(&f->prp, b, blen);
	nvmft_prp_end(&f->prp);
	return err;
}

static void test_pieces(void **state)
{
	struct fixture f;

	(void)state;
	assert_int_equal(two(&f, BASE + 512, 3584, BASE + 0x10000, 512), 0);
	assert_int_equal(f.prp.prp2, BASE + 0x10000);
	assert_int_equal(two(&f, BASE, 512, BASE + 512, 8192), 0); /* goes on where it ended */
	assert_int_equal(f.prp.pages, 3);
	assert_int_equal(two(&f, BASE, 512, BASE + 0x10000, 512), -EINVAL);  /* a hole at the end of the first */
	assert_int_equal(two(&f, BASE, 4096, BASE + 0x10200, 512), -EINVAL); /* at the beginning of the second */
	assert_int_equal(two(&f, BASE, 4096, BASE + 0x1000, 4096), 0);
	assert_int_equal(f.prp.pages, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_boundary),
		cmocka_unit_test(test_no_second_pointer_for_one_page),
		cmocka_unit_test(test_largest_at_any_offset),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_pieces),
	};

	return cmocka_run_group_tests_name("vfio_prp", tests, NULL, NULL);
}
