/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands: the bits that the device gets for each I/O. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "vfio_nvme.h"

#define LIST_IOVA UINT64_C(0x777000)
#define DATA_IOVA UINT64_C(0x100000000)
#define ZEROES UINT64_C(0xaaaa000)
#define SINK UINT64_C(0xbbbb000)

#define FUA (1u << 30)
#define PRACT (1u << 29)
#define GUARD (1u << 28)
#define REF (1u << 26)
#define BIT25 (1u << 25)

#define LBA UINT64_C(0x123456789abcdef0)

struct fixture {
	struct vfio_format format;
	struct nvmft_sqe from;
	struct nvmft_iov iov[2];
	struct nvmft_io io;
	struct vio vio;
	struct nvmft_sqe sqe;
	uint8_t list[NVME_PAGE];
	uint8_t data[1]; /* its address counts */
};

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));

	f->format = (struct vfio_format){.shift = 9, .limits = {16, 32, 64, 8, 4}, .zeroes = ZEROES, .sink = SINK};
	f->io = (struct nvmft_io){.lba = LBA, .blocks = 8, .iov = f->iov, .iovcnt = 1, .sqe = &f->from};
	f->iov[0] = (struct nvmft_iov){f->data, 8 * 512, 0};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	test_free(*state);
	return 0;
}

static int build(struct fixture *f)
{
	struct vfio_region region = region_at(f->data, DATA_IOVA);
	struct dptr_place place = {&region, 1, f->format.sgl, f->list, LIST_IOVA};
	uint32_t left = f->vio.total - f->vio.sent;

	memset(&f->sqe, 0, sizeof(f->sqe));
	return nvmft_cmd_build(&f->vio, &f->format, &place, left < f->vio.part ? left : f->vio.part, &f->sqe);
}

static void begin(struct fixture *f, enum nvmft_io_op op)
{
	f->io.op = op;
	f->vio = (struct vio){.io = &f->io};
	nvmft_cmd_begin(&f->vio, &f->format);
}

static void one(struct fixture *f, enum nvmft_io_op op)
{
	begin(f, op);
	assert_int_equal(build(f), 0);
}

static uint32_t cdw12(const struct fixture *f)
{
	return le32toh(f->sqe.cdw12);
}

static uint64_t slba(const struct fixture *f)
{
	return le32toh(f->sqe.cdw10) | (uint64_t)le32toh(f->sqe.cdw11) << 32;
}

static uint64_t prp1(const struct fixture *f)
{
	uint64_t value;

	memcpy(&value, f->sqe.dptr, sizeof(value));
	return le64toh(value);
}

/* ---- without metadata ---- */

static void test_read_write(void **state)
{
	struct fixture *f = *state;

	one(f, NVMFT_IO_READ);
	assert_int_equal(f->sqe.opcode, 0x02);
	assert_int_equal(slba(f), LBA);
	assert_int_equal(cdw12(f), 7);
	assert_int_equal(f->sqe.cdw2 | f->sqe.cdw3 | f->sqe.cdw13 | f->sqe.cdw14 | f->sqe.cdw15, 0);
	assert_int_equal(f->sqe.mptr, 0);
	assert_int_equal(prp1(f), DATA_IOVA);
	f->io.flags = NVMFT_IO_FUA;
	one(f, NVMFT_IO_WRITE);
	assert_int_equal(f->sqe.opcode, 0x01);
	assert_int_equal(cdw12(f), FUA | 7);
	f->io.flags = 0;
	one(f, NVMFT_IO_COMPARE);
	assert_int_equal(f->sqe.opcode, 0x05);
	assert_int_equal(prp1(f), DATA_IOVA);
}

static void test_flush(void **state)
{
	struct fixture *f = *state;
	static const struct nvmft_sqe flush;

	f->format.pi_type = 1;
	f->format.meta = 16;
	one(f, NVMFT_IO_FLUSH);
	assert_int_equal(f->vio.total, 1);
	assert_memory_equal(&f->sqe, &flush, sizeof(flush));
}

static void test_write_zeroes(void **state)
{
	struct fixture *f = *state;

	f->io.flags = NVMFT_IO_DEALLOC_OK | NVMFT_IO_FUA;
	one(f, NVMFT_IO_WRITE_ZEROES);
	assert_int_equal(f->sqe.opcode, 0x08);
	assert_int_equal(slba(f), LBA);
	assert_int_equal(cdw12(f), FUA | 7);
	f->format.can_dealloc_zeroes = true;
	one(f, NVMFT_IO_WRITE_ZEROES);
	assert_int_equal(cdw12(f), FUA | BIT25 | 7);
	assert_int_equal(prp1(f), 0);
}

static void test_deallocate(void **state)
{
	struct fixture *f = *state;

	one(f, NVMFT_IO_DEALLOCATE);
	assert_int_equal(f->sqe.opcode, 0x09);
	assert_int_equal(f->sqe.cdw10, 0);
	assert_int_equal(le32toh(f->sqe.cdw11), 4);
	assert_int_equal(prp1(f), LIST_IOVA);
	assert_memory_equal(f->list, "\0\0\0\0\x08\0\0\0\xf0\xde\xbc\x9a\x78\x56\x34\x12", 16);
}

/* ---- limits ---- */

static void parts(struct fixture *f, uint32_t part, uint32_t total)
{
	uint32_t n;

	assert_int_equal(f->vio.total, total);
	for (; f->vio.sent < total; f->vio.sent += n) {
		n = total - f->vio.sent < part ? total - f->vio.sent : part;
		assert_int_equal(build(f), 0);
		if (f->io.op == NVMFT_IO_DEALLOCATE) {
			assert_int_equal(le32toh(*(uint32_t *)(void *)&f->list[4]), n);
			continue;
		}
		assert_int_equal(slba(f), f->vio.lba + f->vio.sent);
		assert_int_equal((cdw12(f) & 0xffff) + 1, n);
	}
}

static void test_limits(void **state)
{
	struct fixture *f = *state;

	f->io.blocks = 100;
	f->iov[0].len = 100 * 512;
	begin(f, NVMFT_IO_READ);
	parts(f, 16, 100);
	begin(f, NVMFT_IO_WRITE_ZEROES);
	parts(f, 32, 100);
	begin(f, NVMFT_IO_DEALLOCATE);
	parts(f, 64, 100);
	f->from = (struct nvmft_sqe){.opcode = OPC_VERIFY, .cdw10 = htole32(5), .cdw12 = htole32(99)};
	begin(f, NVMFT_IO_COMMAND);
	assert_int_equal(f->vio.lba, 5);
	parts(f, 8, 100);
	f->from.opcode = OPC_WRITE_UNCORRECTABLE;
	begin(f, NVMFT_IO_COMMAND);
	parts(f, 4, 100);
	f->from.opcode = OPC_VERIFY;
	f->from.cdw12 = htole32(0xffff);
	begin(f, NVMFT_IO_COMMAND);
	assert_int_equal(f->vio.total, 65536);
}

static void test_data_of_the_second_part(void **state)
{
	struct fixture *f = *state;

	f->io.blocks = 24;
	f->iov[0].len = 24 * 512;
	begin(f, NVMFT_IO_WRITE);
	f->vio.sent = 16;
	assert_int_equal(build(f), 0);
	assert_int_equal(prp1(f), DATA_IOVA + 16 * 512);
}

static void test_zones_are_written_in_order(void **state)
{
	struct fixture *f = *state;

	begin(f, NVMFT_IO_WRITE);
	assert_false(f->vio.in_order);
	f->format.csi = CSI_ZONED;
	begin(f, NVMFT_IO_WRITE);
	assert_true(f->vio.in_order);
	begin(f, NVMFT_IO_WRITE_ZEROES);
	assert_true(f->vio.in_order);
	begin(f, NVMFT_IO_READ);
	assert_false(f->vio.in_order);
}

/* ---- protection information ---- */

static void test_pi_types(void **state)
{
	struct fixture *f = *state;

	for (uint8_t type = 1; type <= 3; type++) {
		for (int op = NVMFT_IO_READ; op <= NVMFT_IO_WRITE; op++) {
			f->format.pi_type = type;
			f->format.ref_bits = 32;
			one(f, (enum nvmft_io_op)op);
			assert_int_equal(cdw12(f), PRACT | GUARD | (type == 3 ? 0 : REF) | 7);
			assert_int_equal(le32toh(f->sqe.cdw14), type == 3 ? 0 : (uint32_t)LBA);
			assert_int_equal(f->sqe.cdw2 | f->sqe.cdw3 | f->sqe.cdw15, 0);
			assert_int_equal(f->sqe.mptr, 0);
		}
	}
}

/* Storage tag on top, and 0; of the LBA what is left. */
static void test_tag_widths(void **state)
{
	static const struct {
		uint8_t ref_bits;
		uint32_t cdw3, cdw14;
	} cases[] = {
		{32, 0, 0x9abcdef0},          /* 16 bits of guard */
		{20, 0, 0x000cdef0},          /* with a storage tag of 12 bits */
		{48, 0x5678, 0x9abcdef0},     /* 64 bits of guard */
		{40, 0x78, 0x9abcdef0},       /* with a storage tag of 8 bits */
		{64, 0x12345678, 0x9abcdef0}, /* 32 bits of guard, storage tag of 16 bits */
		{80, 0x12345678, 0x9abcdef0}, {1, 0, 0},
	};
	struct fixture *f = *state;

	f->format.pi_type = 1;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f->format.ref_bits = cases[i].ref_bits;
		one(f, NVMFT_IO_WRITE);
		assert_int_equal(le32toh(f->sqe.cdw3), cases[i].cdw3);
		assert_int_equal(le32toh(f->sqe.cdw14), cases[i].cdw14);
		assert_int_equal(f->sqe.cdw2, 0);
	}
	f->format.ref_bits = 0; /* all storage tag: there is nothing to check */
	one(f, NVMFT_IO_WRITE);
	assert_int_equal(cdw12(f), PRACT | GUARD | 7);
	assert_int_equal(f->sqe.cdw14, 0);
}

static void test_tag_of_the_second_part(void **state)
{
	struct fixture *f = *state;

	f->format.pi_type = 1;
	f->format.ref_bits = 32;
	f->io.blocks = 24;
	f->iov[0].len = 24 * 512;
	begin(f, NVMFT_IO_WRITE);
	f->vio.sent = 16;
	assert_int_equal(build(f), 0);
	assert_int_equal(le32toh(f->sqe.cdw14), (uint32_t)LBA + 16);
}

static void test_pi_of_zeroes(void **state)
{
	struct fixture *f = *state;

	for (uint8_t type = 1; type <= 3; type++) {
		f->format.pi_type = type;
		f->format.ref_bits = 32;
		one(f, NVMFT_IO_WRITE_ZEROES);
		assert_int_equal(cdw12(f), PRACT | 7);
		assert_int_equal(le32toh(f->sqe.cdw14), type == 3 ? 0 : (uint32_t)LBA);
	}
}

static void test_pi_of_verify(void **state)
{
	struct fixture *f = *state;

	f->format.pi_type = 1;
	f->format.ref_bits = 48;
	f->from =
		(struct nvmft_sqe){.opcode = OPC_VERIFY, .cdw10 = htole32(5), .cdw11 = htole32(6), .cdw12 = htole32(9)};
	begin(f, NVMFT_IO_COMMAND);
	f->vio.sent = 8;
	assert_int_equal(build(f), 0);
	assert_int_equal(cdw12(f), GUARD | REF | 1);
	assert_int_equal(le32toh(f->sqe.cdw14), 13);
	assert_int_equal(le32toh(f->sqe.cdw3), 6);
}

static void test_pi_of_append(void **state)
{
	struct fixture *f = *state;

	f->format.csi = CSI_ZONED;
	f->format.ref_bits = 32;
	f->from = (struct nvmft_sqe){.opcode = OPC_ZONE_APPEND, .cdw10 = htole32(0x8000), .cdw12 = htole32(FUA | 7)};
	for (uint8_t type = 0; type <= 3; type++) {
		f->format.pi_type = type;
		one(f, NVMFT_IO_COMMAND);
		assert_int_equal(cdw12(f), FUA | 7 | (type ? PRACT | GUARD : 0) | (type % 3 ? REF | BIT25 : 0));
		assert_int_equal(le32toh(f->sqe.cdw14), type % 3 ? 0x8000 : 0);
		assert_int_equal(prp1(f), DATA_IOVA);
	}
}

/* The host cannot know of any. */
static void test_pi_of_the_host_is_forgotten(void **state)
{
	struct fixture *f = *state;

	memset(&f->from, 0xff, sizeof(f->from));
	f->from.opcode = OPC_VERIFY;
	f->from.cdw12 = htole32(0xfff00000 | 7);
	one(f, NVMFT_IO_COMMAND);
	assert_int_equal(cdw12(f), 0xfff00000 | 7);
	assert_int_equal(f->sqe.cdw15, 0xffffffff);
	f->format.pi_type = 3;
	one(f, NVMFT_IO_COMMAND);
	assert_int_equal(cdw12(f), 0xc0f00000 | GUARD | 7);
	assert_int_equal(f->sqe.cdw2 | f->sqe.cdw3 | f->sqe.cdw14 | f->sqe.cdw15, 0);
	f->from.opcode = OPC_ZONE_APPEND;
	one(f, NVMFT_IO_COMMAND);
	assert_int_equal(cdw12(f), 0xc0f00000 | PRACT | GUARD | 7);
	assert_int_equal(f->sqe.cdw2 | f->sqe.cdw3 | f->sqe.cdw14 | f->sqe.cdw15, 0);
}

/* ---- metadata ---- */

static void test_metadata_goes_nowhere(void **state)
{
	struct fixture *f = *state;

	f->format.meta = 16;
	one(f, NVMFT_IO_WRITE);
	assert_int_equal(le64toh(f->sqe.mptr), ZEROES);
	assert_int_equal(cdw12(f), 7);
	one(f, NVMFT_IO_READ);
	assert_int_equal(le64toh(f->sqe.mptr), SINK);
	f->format.pi_type = 2; /* and 8 bytes more */
	f->format.ref_bits = 32;
	one(f, NVMFT_IO_WRITE);
	assert_int_equal(le64toh(f->sqe.mptr), ZEROES);
	assert_int_equal(cdw12(f), PRACT | GUARD | REF | 7);
	one(f, NVMFT_IO_WRITE_ZEROES);
	assert_int_equal(f->sqe.mptr, 0);
}

static void test_append_beyond_the_zeroes(void **state)
{
	struct fixture *f = *state;

	f->format.csi = CSI_ZONED;
	f->format.meta = 8;
	f->from = (struct nvmft_sqe){.opcode = OPC_ZONE_APPEND, .cdw12 = htole32(15)};
	f->iov[0].len = 16 * 512;
	one(f, NVMFT_IO_COMMAND);
	assert_int_equal(le64toh(f->sqe.mptr), ZEROES);
	f->from.cdw12 = htole32(16);
	begin(f, NVMFT_IO_COMMAND);
	assert_int_equal(build(f), -EINVAL);
}

/* ---- commands as the host sent them ---- */

static void test_command_is_passed_on(void **state)
{
	struct fixture *f = *state;

	memset(&f->from, 0xee, sizeof(f->from));
	f->from.opcode = OPC_RESV_REGISTER;
	f->from.cdw2 = htole32(2);
	f->from.cdw3 = htole32(3);
	f->from.cdw10 = htole32(10);
	f->from.cdw15 = htole32(15);
	f->iov[0].len = 16;
	one(f, NVMFT_IO_COMMAND);
	assert_int_equal(f->vio.total, 1);
	assert_int_equal(f->sqe.opcode, OPC_RESV_REGISTER);
	assert_int_equal(le32toh(f->sqe.cdw2), 2);
	assert_int_equal(le32toh(f->sqe.cdw3), 3);
	assert_int_equal(le32toh(f->sqe.cdw10), 10);
	assert_int_equal(le32toh(f->sqe.cdw11), 0xeeeeeeee);
	assert_int_equal(le32toh(f->sqe.cdw14), 0xeeeeeeee);
	assert_int_equal(le32toh(f->sqe.cdw15), 15);
	assert_int_equal(f->sqe.flags | f->sqe.cid | f->sqe.nsid | f->sqe.mptr, 0);
	assert_int_equal(prp1(f), DATA_IOVA);
}

static void test_command_without_data(void **state)
{
	struct fixture *f = *state;

	f->from = (struct nvmft_sqe){.opcode = OPC_ZONE_MGMT_SEND, .cdw13 = htole32(4)};
	f->io.iovcnt = 0;
	one(f, NVMFT_IO_COMMAND);
	assert_int_equal(le32toh(f->sqe.cdw13), 4);
	assert_int_equal(prp1(f), 0);
}

/* Exactly the buffers, whatever their lengths. */
static void test_command_data_of_odd_length(void **state)
{
	struct fixture *f = *state;

	f->format.sgl = SGL_BYTE;
	f->from = (struct nvmft_sqe){.opcode = OPC_ZONE_MGMT_RECEIVE};
	f->iov[0].len = 100;
	f->iov[1] = (struct nvmft_iov){f->data + 0x1000, 28, 0};
	f->io.iovcnt = 2;
	one(f, NVMFT_IO_COMMAND);
	assert_int_equal(f->sqe.flags, 0x40);
	assert_int_equal(le32toh(*(uint32_t *)(void *)&f->list[8]), 100);
	assert_int_equal(le32toh(*(uint32_t *)(void *)&f->list[24]), 28);
}

static void test_long_report_of_zones(void **state)
{
	struct fixture *f = *state;
	uint8_t *data = test_malloc(20480);

	memset(data, 0xff, 20480);
	f->from = (struct nvmft_sqe){.opcode = OPC_ZONE_MGMT_RECEIVE, .cdw12 = htole32(20480 / 4 - 1)};
	f->iov[0] = (struct nvmft_iov){data, 4096, 0};
	f->iov[1] = (struct nvmft_iov){data + 4096, 16384, 0};
	f->io.iovcnt = 2;
	f->format.sgl = SGL_DWORD;
	one(f, NVMFT_IO_COMMAND);
	assert_int_equal(cdw12(f), 20480 / 4 - 1); /* the device will say no */
	assert_int_equal(data[20479], 0xff);
	f->from.cdw13 = htole32(1 << 16);
	one(f, NVMFT_IO_COMMAND);
	assert_int_equal(cdw12(f), 8192 / 4 - 1);
	assert_int_equal(le32toh(*(uint32_t *)(void *)&f->sqe.dptr[8]), 8192);
	for (uint32_t i = 0; i < 20480; i++)
		assert_int_equal(data[i], i < 8192 ? 0xff : 0);
	f->from.cdw12 = htole32(8192 / 4 - 1);
	f->iov[1].len = 4096;
	data[8191] = 0xee;
	one(f, NVMFT_IO_COMMAND);
	assert_int_equal(data[8191], 0xee);
	test_free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flush, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_zeroes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deallocate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_data_of_the_second_part, setup, teardown),
		cmocka_unit_test_setup_teardown(test_zones_are_written_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pi_types, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tag_widths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tag_of_the_second_part, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pi_of_zeroes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pi_of_verify, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pi_of_append, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pi_of_the_host_is_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(test_metadata_goes_nowhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_append_beyond_the_zeroes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_command_is_passed_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_command_without_data, setup, teardown),
		cmocka_unit_test_setup_teardown(test_command_data_of_odd_length, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_report_of_zones, setup, teardown),
	};

	return cmocka_run_group_tests_name("vfio_cmd", tests, NULL, NULL);
}
