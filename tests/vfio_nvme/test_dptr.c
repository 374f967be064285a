/* SPDX-License-Identifier: BSD-3-Clause */
/* Data pointers: PRPs and SGLs, each as a controller would read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <endian.h>
#include <errno.h>

#include "sgl.h"

#define LIST_IOVA UINT64_C(0x777000)
#define REGION_IOVA UINT64_C(0x100000000)
#define REGION 3u
#define MEMORY ((uint8_t *)0x10000000) /* never touched */
#define CANARY 0x5ca1ab1e

struct fixture {
	uint8_t list[NVME_PAGE + 8];
	struct vfio_region regions[REGION + 1];
	struct dptr_place place;
	struct nvmft_iov iov[600];
	uint32_t iovcnt;
	struct nvmft_sqe sqe;
};

static void begin(struct fixture *f, enum sgl_support sgl)
{
	memset(f, 0, sizeof(*f));
	f->regions[REGION] = region_at(MEMORY, REGION_IOVA);
	f->place = (struct dptr_place){f->regions, REGION + 1, sgl, f->list, LIST_IOVA};
}

static void piece(struct fixture *f, uint64_t at, uint32_t len)
{
	f->iov[f->iovcnt++] = (struct nvmft_iov){MEMORY + at, len, REGION};
}

static int set(struct fixture *f, uint64_t skip, uint64_t len)
{
	uint32_t canary = CANARY;
	int err;

	memset(&f->sqe, 0, sizeof(f->sqe));
	memcpy(f->list + NVME_PAGE, &canary, sizeof(canary));
	err = nvmft_dptr_set(&f->sqe, &f->place, f->iov, f->iovcnt, skip, len);
	assert_memory_equal(f->list + NVME_PAGE, &canary, sizeof(canary));
	return err;
}

static uint64_t prp(const struct fixture *f, int i)
{
	uint64_t value;

	memcpy(&value, f->sqe.dptr + 8 * i, sizeof(value));
	return le64toh(value);
}

static struct sgl_desc sgl1(const struct fixture *f)
{
	struct sgl_desc desc;

	memcpy(&desc, f->sqe.dptr, sizeof(desc));
	return desc;
}

static uint64_t list_entry(const struct fixture *f, uint64_t i)
{
	uint64_t value;

	memcpy(&value, f->list + 8 * i, sizeof(value));
	return le64toh(value);
}

/* ---- as a controller reads them: where byte @at of @len is ---- */

static uint64_t prp_address(const struct fixture *f, uint64_t at, uint64_t len)
{
	uint64_t first = NVME_PAGE - prp(f, 0) % NVME_PAGE, entry;

	if (at < first)
		return prp(f, 0) + at;
	at -= first;
	len -= first;
	if (len <= NVME_PAGE)
		return prp(f, 1) + at;
	assert_int_equal(prp(f, 1), LIST_IOVA);
	assert_true(at / NVME_PAGE < PRP_LIST_ENTRIES);
	entry = list_entry(f, at / NVME_PAGE);
	assert_int_equal(entry % NVME_PAGE, 0);
	return entry + at % NVME_PAGE;
}

static uint64_t sgl_address(const struct fixture *f, uint64_t at, uint64_t len)
{
	struct sgl_desc desc = sgl1(f), list[SGL_LIST_ENTRIES];
	uint64_t total = 0, found = 0;
	uint32_t n = le32toh(desc.len) / 16;

	assert_int_equal(desc.reserved[0] | desc.reserved[1] | desc.reserved[2], 0);
	if (desc.type == 0) {
		assert_int_equal(le32toh(desc.len), len);
		return le64toh(desc.address) + at;
	}
	assert_int_equal(desc.type, 0x30);
	assert_int_equal(le64toh(desc.address), LIST_IOVA);
	assert_true(n > 1 && n <= SGL_LIST_ENTRIES && le32toh(desc.len) % 16 == 0);
	memcpy(list, f->list, sizeof(list));
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(list[i].type, 0);
		if (at >= total && at - total < le32toh(list[i].len))
			found = le64toh(list[i].address) + (at - total);
		total += le32toh(list[i].len);
	}
	assert_int_equal(total, len);
	return found;
}

static uint64_t address(const struct fixture *f, uint64_t at, uint64_t len)
{
	return f->sqe.flags & PSDT_SGL ? sgl_address(f, at, len) : prp_address(f, at, len);
}

/* ---- one piece ---- */

static void test_one_piece_at_every_boundary(void **state)
{
	struct fixture f;

	(void)state;
	for (int sgl = SGL_NONE; sgl <= SGL_BYTE; sgl++)
		for (uint64_t offset = 0; offset < NVME_PAGE; offset += offset < 16 || offset > 4076 ? 4 : 508)
			for (uint64_t len = 4; len <= 5 * NVME_PAGE;
			     len += len % 4096 < 16 || len % 4096 > 4076 ? 4 : 252) {
				begin(&f, (enum sgl_support)sgl);
				piece(&f, offset, (uint32_t)len);
				assert_int_equal(set(&f, 0, len), 0);
				assert_int_equal(!!(f.sqe.flags & PSDT_SGL),
						 sgl != SGL_NONE && offset + len > 2 * NVME_PAGE);
				for (uint64_t at = 0; at < len; at += 60)
					assert_int_equal(address(&f, at, len), REGION_IOVA + offset + at);
				assert_int_equal(address(&f, len - 1, len), REGION_IOVA + offset + len - 1);
			}
}

static void test_second_prp_only_for_a_second_page(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, SGL_NONE);
	piece(&f, 0, 2 * NVME_PAGE);
	assert_int_equal(set(&f, 0, NVME_PAGE), 0);
	assert_int_equal(prp(&f, 1), 0);
	assert_int_equal(set(&f, 512, 512), 0);
	assert_int_equal(prp(&f, 0), REGION_IOVA + 512);
	assert_int_equal(prp(&f, 1), 0);
	assert_int_equal(set(&f, 512, NVME_PAGE), 0);
	assert_int_equal(prp(&f, 1), REGION_IOVA + NVME_PAGE);
}

static void test_a_large_piece_needs_no_list_with_sgls(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, SGL_DWORD);
	piece(&f, 0, MAX_TRANSFER);
	assert_int_equal(set(&f, 0, MAX_TRANSFER), 0);
	assert_int_equal(sgl1(&f).type, 0);
	assert_int_equal(list_entry(&f, 0), 0);
	begin(&f, SGL_NONE);
	piece(&f, 4092, MAX_TRANSFER);
	assert_int_equal(set(&f, 0, MAX_TRANSFER), 0);
	assert_int_equal(list_entry(&f, PRP_LIST_ENTRIES - 1), REGION_IOVA + MAX_TRANSFER);
}

static void test_alignment(void **state)
{
	struct fixture f;

	(void)state;
	for (int sgl = SGL_NONE; sgl <= SGL_BYTE; sgl++) {
		begin(&f, (enum sgl_support)sgl);
		piece(&f, 2, 512);
		assert_int_equal(set(&f, 0, 512), sgl == SGL_BYTE ? 0 : -EINVAL);
		assert_int_equal(f.sqe.flags, sgl == SGL_BYTE ? PSDT_SGL : 0);
	}
}

/* ---- several pieces ---- */

static void test_pieces_anywhere(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, SGL_DWORD);
	piece(&f, 0x100, 300);
	piece(&f, 0x9004, 8);
	piece(&f, 0x5abc, 204);
	assert_int_equal(set(&f, 0, 512), 0);
	for (uint64_t at = 0; at < 512; at++) {
		uint64_t where = at < 300 ? 0x100 + at : at < 308 ? 0x9004 + at - 300 : 0x5abc + at - 308;

		assert_int_equal(address(&f, at, 512), REGION_IOVA + where);
	}
}

static void test_neighbours_are_one(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, SGL_DWORD);
	for (uint32_t i = 0; i < 600; i++)
		piece(&f, i * 512, 512);
	assert_int_equal(set(&f, 0, 600 * 512), 0);
	assert_int_equal(f.sqe.flags, PSDT_SGL);
	assert_int_equal(sgl1(&f).type, 0);
	assert_int_equal(address(&f, 600 * 512 - 1, 600 * 512), REGION_IOVA + 600 * 512 - 1);
}

/* Whole pages: PRPs have room for twice as many. */
static void test_more_pieces_than_an_sgl_has(void **state)
{
	struct fixture f;

	(void)state;
	for (uint32_t n = 255; n <= 257; n++) {
		begin(&f, SGL_DWORD);
		for (uint32_t i = 0; i < n; i++)
			piece(&f, i * 8192, 4096);
		assert_int_equal(set(&f, 0, n * 4096), 0);
		assert_int_equal(f.sqe.flags, n <= SGL_LIST_ENTRIES ? PSDT_SGL : 0);
		for (uint64_t i = 0; i < n; i++)
			assert_int_equal(address(&f, i * 4096 + 7, n * 4096), REGION_IOVA + i * 8192 + 7);
	}
	begin(&f, SGL_DWORD);
	for (uint32_t i = 0; i < 257; i++)
		piece(&f, i * 8192, 512);
	assert_int_equal(set(&f, 0, 257 * 512), -EINVAL);
}

static void test_pieces_as_prps(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, SGL_NONE);
	piece(&f, 512, 3584);
	piece(&f, 0x10000, 4096);
	piece(&f, 0x30000, 512);
	assert_int_equal(set(&f, 0, 8192), 0);
	assert_int_equal(f.sqe.flags, 0);
	assert_int_equal(address(&f, 3584, 8192), REGION_IOVA + 0x10000);
	assert_int_equal(address(&f, 7680, 8192), REGION_IOVA + 0x30000);
	begin(&f, SGL_NONE);
	piece(&f, 0, 512);
	piece(&f, 0x10000, 512);
	assert_int_equal(set(&f, 0, 1024), -EINVAL); /* a hole */
}

/* With byte granularity the device can have what dwords cannot say. */
static void test_pieces_of_bytes(void **state)
{
	struct fixture f;

	(void)state;
	for (int sgl = SGL_DWORD; sgl <= SGL_BYTE; sgl++) {
		begin(&f, (enum sgl_support)sgl);
		piece(&f, 0, 511);
		piece(&f, 0x10001, 1);
		assert_int_equal(set(&f, 0, 512), sgl == SGL_BYTE ? 0 : -EINVAL);
	}
	assert_int_equal(address(&f, 511, 512), REGION_IOVA + 0x10001);
}

/* The second command of an I/O begins in the middle. */
static void test_skip_at_every_boundary(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, SGL_DWORD);
	for (uint32_t i = 0; i < 4; i++)
		piece(&f, i * 0x10000, 4096);
	for (uint64_t skip = 0; skip < 4 * 4096; skip += 512)
		for (uint64_t len = 512; skip + len <= 4 * 4096; len += 512) {
			assert_int_equal(set(&f, skip, len), 0);
			for (uint64_t at = skip; at < skip + len; at += 512)
				assert_int_equal(address(&f, at - skip, len),
						 REGION_IOVA + at / 4096 * 0x10000 + at % 4096);
		}
}

/* ---- what is not there ---- */

static void test_outside_of_regions(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, SGL_DWORD);
	piece(&f, 0, 512);
	f.iov[0].region = NVMFT_REGION_NONE;
	assert_int_equal(set(&f, 0, 512), -EFAULT);
	f.iov[0].region = REGION - 1; /* removed */
	assert_int_equal(set(&f, 0, 512), -EFAULT);
	f.iov[0].region = REGION;
	piece(&f, 0x10000, 512);
	f.iov[1].region = REGION + 1;
	assert_int_equal(set(&f, 0, 1024), -EFAULT);
}

static void test_less_than_wanted(void **state)
{
	struct fixture f;

	(void)state;
	for (int sgl = SGL_NONE; sgl <= SGL_BYTE; sgl++) {
		begin(&f, (enum sgl_support)sgl);
		assert_int_equal(set(&f, 0, 512), -EFAULT);
		piece(&f, 0, 512);
		assert_int_equal(set(&f, 0, 1024), -EFAULT);
		assert_int_equal(set(&f, 512, 512), -EFAULT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_piece_at_every_boundary),
		cmocka_unit_test(test_second_prp_only_for_a_second_page),
		cmocka_unit_test(test_a_large_piece_needs_no_list_with_sgls),
		cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_pieces_anywhere),
		cmocka_unit_test(test_neighbours_are_one),
		cmocka_unit_test(test_more_pieces_than_an_sgl_has),
		cmocka_unit_test(test_pieces_as_prps),
		cmocka_unit_test(test_pieces_of_bytes),
		cmocka_unit_test(test_skip_at_every_boundary),
		cmocka_unit_test(test_outside_of_regions),
		cmocka_unit_test(test_less_than_wanted),
	};

	return cmocka_run_group_tests_name("vfio_dptr", tests, NULL, NULL);
}
