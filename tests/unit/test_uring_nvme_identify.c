/* SPDX-License-Identifier: BSD-3-Clause */
/* What the passthrough backend makes of the data structures of Identify. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "identify.c"

#define EXTENDED 0x10

struct fixture {
	struct ng_facts f;
	struct nvme_id_ns ns;
	struct nvme_nvm_id_ns nvm;
	struct nvme_zns_id_ns zns;
	char why[NG_WHY];
};

static struct fixture fixture;

static int setup(void **state)
{
	struct fixture *x = &fixture;

	memset(x, 0, sizeof(*x));
	x->ns.nsze = htole64(1000);
	x->ns.lbaf[0].ds = 9;
	x->ns.lbaf[1].ds = 12;
	*state = x;
	return 0;
}

/* Format 0 with metadata of @bytes, and @dps and ELBAF as the device says. */
static int take(struct fixture *x, uint16_t bytes, uint8_t dps, uint32_t elbaf)
{
	x->ns.lbaf[0].ms = htole16(bytes);
	x->ns.dps = dps;
	x->nvm.elbaf[0] = htole32(elbaf);
	assert_int_equal(nvmft_ng_take_ns(&x->f, &x->ns, x->why), 0);
	return nvmft_ng_take_ns_nvm(&x->f, &x->ns, &x->nvm, x->why);
}

static void assert_refused(const struct fixture *x, int ret, const char *why)
{
	assert_int_equal(ret, -EOPNOTSUPP);
	assert_non_null(strstr(x->why, why));
}

static void test_plain(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(take(x, 0, 0, 0), 0);
	assert_int_equal(x->f.block_size, 512);
	assert_int_equal(x->f.blocks, 1000);
	assert_int_equal(x->f.metadata, 0);
	assert_int_equal(x->f.pi.type, 0);
}

/* FLBAS has the index in two pieces. */
static void test_format_index(void **state)
{
	struct fixture *x = *state;

	x->ns.flbas = 0x61;
	x->ns.lbaf[0x31].ds = 12;
	assert_int_equal(nvmft_ng_take_ns(&x->f, &x->ns, x->why), 0);
	assert_int_equal(x->f.format, 0x31);
	assert_int_equal(x->f.block_size, 4096);
}

static void test_bad_blocks(void **state)
{
	struct fixture *x = *state;

	x->ns.lbaf[0].ds = 13;
	assert_refused(x, nvmft_ng_take_ns(&x->f, &x->ns, x->why), "as a power of two: 13");
}

static void test_inactive(void **state)
{
	struct fixture *x = *state;

	memset(&x->ns, 0, sizeof(x->ns));
	assert_int_equal(nvmft_ng_take_ns(&x->f, &x->ns, x->why), -ENOENT);
}

/* Nothing but protection information is stripped, wherever it lies. */
static void test_pi_16(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(take(x, 8, 1, 0), 0);
	assert_int_equal(x->f.pi.type, 1);
	assert_false(x->f.pi.guard64);
	assert_int_equal(x->f.pi.ref_bits, 32);
	assert_int_equal(x->f.metadata, 0);
	x->ns.flbas = EXTENDED;
	assert_int_equal(take(x, 8, 3 | 8, 0), 0);
	assert_int_equal(x->f.pi.type, 3);
	assert_int_equal(x->f.metadata, 0);
}

/* A device that knows no Extended LBA formats has no structure about them. */
static void test_pi_of_old_device(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(take(x, 8, 2, 2u << 7), -EOPNOTSUPP);
	assert_int_equal(nvmft_ng_take_ns_nvm(&x->f, &x->ns, NULL, x->why), 0);
	assert_false(x->f.pi.guard64);
}

static void test_pi_64(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(take(x, 16, 1, 2u << 7 | 12), 0);
	assert_true(x->f.pi.guard64);
	assert_int_equal(x->f.pi.ref_bits, 36);
	assert_int_equal(x->f.metadata, 0);
}

static void test_pi_refused(void **state)
{
	struct fixture *x = *state;

	assert_refused(x, take(x, 8, 4, 0), "of type 4");
	assert_refused(x, take(x, 16, 1, 1u << 7), "neither 16 nor 64 bits");
	assert_refused(x, take(x, 16, 1, 2u << 7 | 49), "impossible size, 49");
	assert_refused(x, take(x, 8, 1, 33), "impossible size, 33");
	assert_refused(x, take(x, 4, 1, 0), "too little metadata");
	assert_refused(x, take(x, 8, 1, 2u << 7), "too little metadata");
}

static void test_metadata(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(take(x, 64, 0, 0), 0);
	assert_int_equal(x->f.metadata, 64);
	assert_int_equal(take(x, 64, 1, 0), 0); /* around protection information */
	assert_int_equal(x->f.metadata, 64);
	assert_int_equal(x->f.pi.type, 1);
}

static void test_metadata_extended(void **state)
{
	struct fixture *x = *state;

	x->ns.flbas = EXTENDED;
	assert_refused(x, take(x, 8, 0, 0), "an extended LBA format), bytes: 8");
	assert_refused(x, take(x, 16, 1, 0), "an extended LBA format), bytes: 16");
}

static void test_zones(void **state)
{
	struct fixture *x = *state;

	x->ns.flbas = 1;
	assert_int_equal(nvmft_ng_take_ns(&x->f, &x->ns, x->why), 0);
	x->zns.lbafe[1].zsze = htole64(250);
	x->zns.lbafe[1].zdes = 2;
	x->zns.mar = htole32(7);
	x->zns.mor = htole32(UINT32_MAX);
	x->zns.zoc = htole16(1);
	x->zns.ozcs = htole16(3); /* with Zone Random Write Areas */
	assert_int_equal(nvmft_ng_take_ns_zoned(&x->f, &x->zns, x->why), 0);
	assert_int_equal(x->f.zones.zone_blocks, 250);
	assert_int_equal(x->f.zones.descriptor_extension, 2);
	assert_int_equal(x->f.zones.max_active, 7);
	assert_int_equal(x->f.zones.max_open, UINT32_MAX);
	assert_int_equal(x->f.zones.characteristics, 1);
	assert_int_equal(x->f.zones.optional, 1);
}

static void test_bad_zones(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(nvmft_ng_take_ns(&x->f, &x->ns, x->why), 0);
	assert_refused(x, nvmft_ng_take_ns_zoned(&x->f, &x->zns, x->why), "impossible size");
	x->zns.lbafe[0].zsze = htole64(1001);
	assert_refused(x, nvmft_ng_take_ns_zoned(&x->f, &x->zns, x->why), "impossible size, in blocks: 1001");
}

static void test_atomicity(void **state)
{
	struct fixture *x = *state;
	struct nvme_id_ctrl ctrl = {.awun = htole16(7), .awupf = 0, .acwu = htole16(0xffff)};

	nvmft_ng_take_ctrl(&x->f, &ctrl);
	assert_int_equal(take(x, 0, 0, 0), 0);
	assert_int_equal(x->f.atomicity.normal, 8);
	assert_int_equal(x->f.atomicity.power_fail, 1);
	assert_int_equal(x->f.atomicity.compare_write, 65536);
	assert_int_equal(x->f.atomicity.boundary, 0);
	x->ns.nsfeat = 2;
	x->ns.nawun = htole16(15);
	x->ns.nabsn = htole16(31);
	x->ns.nabo = htole16(5);
	assert_int_equal(take(x, 0, 0, 0), 0);
	assert_int_equal(x->f.atomicity.normal, 16);
	assert_int_equal(x->f.atomicity.compare_write, 1);
	assert_int_equal(x->f.atomicity.boundary, 32);
	assert_int_equal(x->f.atomicity.boundary_power_fail, 0);
	assert_int_equal(x->f.atomicity.boundary_offset, 5);
}

static void test_descriptors(void **state)
{
	static uint8_t list[4096];
	struct fixture *x = *state;

	memset(list, 0, sizeof(list));
	list[0] = NVME_NIDT_UUID;
	list[1] = 16;
	memset(&list[4], 0xaa, 16);
	list[20] = NVME_NIDT_CSI;
	list[21] = 1;
	list[24] = NVME_CSI_ZNS;
	list[25] = NVME_NIDT_UUID;
	list[26] = 4; /* too short for one */
	assert_int_equal(nvmft_ng_take_descriptors(&x->f, list, x->why), 0);
	assert_int_equal(x->f.csi, NVME_CSI_ZNS);
	assert_int_equal(x->f.uuid[15], 0xaa);
	list[24] = NVME_CSI_KV;
	assert_refused(x, nvmft_ng_take_descriptors(&x->f, list, x->why), "command set 1");
}

static void test_descriptors_too_long(void **state)
{
	static uint8_t list[4096];
	struct fixture *x = *state;

	memset(list, 0xff, sizeof(list));
	for (unsigned int i = 0; i < 16; i++)
		list[i * 255 + 1] = 251;
	list[4080] = NVME_NIDT_UUID;
	list[4081] = 16; /* of which there are 12 */
	assert_int_equal(nvmft_ng_take_descriptors(&x->f, list, x->why), 0);
	assert_int_equal(x->f.uuid[0], 0);
}

static void test_limits(void **state)
{
	struct fixture *x = *state;
	struct nvme_id_ctrl_nvm id = {.dmrsl = htole32(1000), .dmsl = htole64(100), .wzsl = 8};

	assert_int_equal(take(x, 0, 0, 0), 0);
	nvmft_ng_take_ctrl_nvm(&x->f, &id);
	assert_int_equal(x->f.max_deallocate, 100);
	assert_int_equal(x->f.max_zeroes, (4096u << 8) / 512);
	id.dmsl = 0;
	id.wzsl = 200;
	x->f.max_zeroes = 0;
	nvmft_ng_take_ctrl_nvm(&x->f, &id);
	assert_int_equal(x->f.max_deallocate, 1000);
	assert_int_equal(x->f.max_zeroes, 0);
}

#define T(fn) cmocka_unit_test_setup(fn, setup)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_plain),
		T(test_format_index),
		T(test_bad_blocks),
		T(test_inactive),
		T(test_pi_16),
		T(test_pi_of_old_device),
		T(test_pi_64),
		T(test_pi_refused),
		T(test_metadata),
		T(test_metadata_extended),
		T(test_zones),
		T(test_bad_zones),
		T(test_atomicity),
		T(test_descriptors),
		T(test_descriptors_too_long),
		T(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
