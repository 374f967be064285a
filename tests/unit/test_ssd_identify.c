/* SPDX-License-Identifier: BSD-3-Clause */
/* What the backends of SSDs make of the data structures of Identify, and tell the core. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "doubt.h"
#include "identify.c"
#include "info.c"

#define EXTENDED 0x10

struct fixture {
	struct ssd_facts f;
	struct nvme_id_ns ns;
	struct nvme_nvm_id_ns nvm;
	struct nvme_zns_id_ns zns;
	char why[SSD_WHY];
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
	assert_int_equal(nvmft_ssd_take_ns(&x->f, &x->ns, x->why), 0);
	return nvmft_ssd_take_ns_nvm(&x->f, &x->ns, &x->nvm, x->why);
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
	assert_int_equal(nvmft_ssd_take_ns(&x->f, &x->ns, x->why), 0);
	assert_int_equal(x->f.format, 0x31);
	assert_int_equal(x->f.block_size, 4096);
}

static void test_bad_blocks(void **state)
{
	struct fixture *x = *state;

	x->ns.lbaf[0].ds = 13;
	assert_refused(x, nvmft_ssd_take_ns(&x->f, &x->ns, x->why), "as a power of two: 13");
}

static void test_inactive(void **state)
{
	struct fixture *x = *state;

	memset(&x->ns, 0, sizeof(x->ns));
	assert_int_equal(nvmft_ssd_take_ns(&x->f, &x->ns, x->why), -ENOENT);
}

/* Nothing but protection information is stripped, wherever it lies. */
static void test_pi_16(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(take(x, 8, 1, 0), 0);
	assert_int_equal(x->f.pi.type, 1);
	assert_int_equal(x->f.pi.format, SSD_PI_16);
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
	assert_int_equal(nvmft_ssd_take_ns_nvm(&x->f, &x->ns, NULL, x->why), 0);
	assert_int_equal(x->f.pi.format, SSD_PI_16);
}

/* Storage tag and reference tag share their bits. */
static void test_pi_formats(void **state)
{
	static const struct {
		uint8_t bytes, format, storage_bits, ref_bits, metadata;
	} cases[] = {
		{8, 0, 0, 32, 0},  {8, 0, 12, 20, 0}, {8, 0, 32, 0, 0},   {64, 0, 0, 32, 64}, {16, 1, 16, 64, 0},
		{16, 2, 0, 48, 0}, {16, 2, 8, 40, 0}, {64, 2, 48, 0, 64}, {16, 0, 0, 32, 16},
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (uint8_t type = 1; type <= 3; type++) {
			assert_int_equal(
				take(x, cases[i].bytes, type, (uint32_t)cases[i].format << 7 | cases[i].storage_bits),
				0);
			assert_int_equal(x->f.pi.type, type);
			assert_int_equal(x->f.pi.format, cases[i].format);
			assert_int_equal(x->f.pi.ref_bits, cases[i].ref_bits);
			assert_int_equal(x->f.metadata, cases[i].metadata);
		}
}

static void test_pi_refused(void **state)
{
	struct fixture *x = *state;

	assert_refused(x, take(x, 8, 4, 0), "of type 4");
	assert_refused(x, take(x, 16, 1, 3u << 7), "unknown format 3");
	assert_refused(x, take(x, 16, 1, 2u << 7 | 49), "impossible size, 49");
	assert_refused(x, take(x, 8, 1, 33), "impossible size, 33");
	assert_refused(x, take(x, 4, 1, 0), "too little metadata");
	assert_refused(x, take(x, 8, 1, 1u << 7), "too little metadata");
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
	assert_int_equal(nvmft_ssd_take_ns(&x->f, &x->ns, x->why), 0);
	x->zns.lbafe[1].zsze = htole64(250);
	x->zns.lbafe[1].zdes = 2;
	x->zns.mar = htole32(7);
	x->zns.mor = htole32(UINT32_MAX);
	x->zns.zoc = htole16(1);
	x->zns.ozcs = htole16(3); /* with Zone Random Write Areas */
	assert_int_equal(nvmft_ssd_take_ns_zoned(&x->f, &x->zns, x->why), 0);
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

	assert_int_equal(nvmft_ssd_take_ns(&x->f, &x->ns, x->why), 0);
	assert_refused(x, nvmft_ssd_take_ns_zoned(&x->f, &x->zns, x->why), "impossible size");
	x->zns.lbafe[0].zsze = htole64(1001);
	assert_refused(x, nvmft_ssd_take_ns_zoned(&x->f, &x->zns, x->why), "impossible size, in blocks: 1001");
}

static void test_atomicity(void **state)
{
	struct fixture *x = *state;
	struct nvme_id_ctrl ctrl = {.awun = htole16(7), .awupf = 0, .acwu = htole16(0xffff)};
	struct nvmft_atomicity *a = &x->f.atomicity;

	nvmft_ssd_take_ctrl(&x->f.ctrl, &ctrl);
	x->ns.nabsn = htole16(31);
	assert_int_equal(take(x, 0, 0, 0), 0);
	assert_int_equal(a->normal, 8);
	assert_int_equal(a->power_fail, 1);
	assert_int_equal(a->compare_write, 65536);
	assert_int_equal(a->boundary, 32);
	assert_int_equal(a->boundary_power_fail, 0);
	x->ns.nsfeat = 2;
	x->ns.nawun = htole16(15);
	x->ns.nabspf = htole16(127);
	x->ns.nabo = htole16(5);
	assert_int_equal(take(x, 0, 0, 0), 0);
	assert_int_equal(a->normal, 16);
	assert_int_equal(a->compare_write, 65536); /* as the controller's */
	assert_int_equal(a->boundary, 32);
	assert_int_equal(a->boundary_power_fail, 128);
	assert_int_equal(a->boundary_offset, 5);
}

/* Those of the list are preferred to those of Identify Namespace. */
static void test_identifiers(void **state)
{
	static uint8_t list[4096];
	struct fixture *x = *state;

	memset(list, 0, sizeof(list));
	list[0] = NVME_NIDT_NGUID;
	list[1] = 16;
	memset(&list[4], 0x44, 16);
	memset(x->ns.nguid, 0x11, 16);
	memset(x->ns.eui64, 0x22, 8);
	assert_int_equal(nvmft_ssd_take_descriptors(&x->f, list, x->why), 0);
	assert_int_equal(take(x, 0, 0, 0), 0);
	assert_int_equal(x->f.nguid[0], 0x44);
	assert_int_equal(x->f.eui64[7], 0x22);
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
	assert_int_equal(nvmft_ssd_take_descriptors(&x->f, list, x->why), 0);
	assert_int_equal(x->f.csi, NVME_CSI_ZNS);
	assert_int_equal(x->f.uuid[15], 0xaa);
	list[24] = NVME_CSI_KV;
	assert_refused(x, nvmft_ssd_take_descriptors(&x->f, list, x->why), "command set 1");
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
	assert_int_equal(nvmft_ssd_take_descriptors(&x->f, list, x->why), 0);
	assert_int_equal(x->f.uuid[0], 0);
}

static void test_limits(void **state)
{
	struct fixture *x = *state;
	struct nvme_id_ctrl_nvm id = {.dmrsl = htole32(1000), .dmsl = htole64(100), .wzsl = 8, .vsl = 1};

	assert_int_equal(take(x, 0, 0, 0), 0);
	nvmft_ssd_take_ctrl_nvm(&x->f, &id);
	assert_int_equal(x->f.max_deallocate, 100);
	assert_int_equal(x->f.max_zeroes, (4096u << 8) / 512);
	assert_int_equal(x->f.max_verify, 16);
	assert_int_equal(x->f.max_uncorrectable, 0);
	id = (struct nvme_id_ctrl_nvm){.dmrsl = htole32(1000), .wzsl = 200, .wusl = 20};
	nvmft_ssd_take_ctrl_nvm(&x->f, &id);
	assert_int_equal(x->f.max_deallocate, 1000);
	assert_int_equal(x->f.max_zeroes, 65536);
	assert_int_equal(x->f.max_uncorrectable, 65536);
	id.dmrsl = 0;
	id.dmsl = htole64(UINT64_MAX);
	nvmft_ssd_take_ctrl_nvm(&x->f, &id);
	assert_int_equal(x->f.max_deallocate, UINT32_MAX);
}

/* ---- has it changed? ---- */

static void assert_changed(struct fixture *x, const struct ssd_facts *now)
{
	assert_false(nvmft_ssd_same_format(&x->f, now));
	assert_false(nvmft_ssd_same_format(now, &x->f));
}

static void test_same_format(void **state)
{
	struct fixture *x = *state;
	struct ssd_facts now;

	assert_int_equal(take(x, 8, 1, 0), 0);
	x->f.zones.zone_blocks = 100;
	now = x->f;
	now.blocks++;
	now.write_protected = true;
	now.format++; /* another index of the same */
	assert_true(nvmft_ssd_same_format(&x->f, &now));
	now = x->f, now.shift = 12;
	assert_changed(x, &now);
	now = x->f, now.csi = 2;
	assert_changed(x, &now);
	now = x->f, now.format_metadata = 16;
	assert_changed(x, &now);
	now = x->f, now.extended = true;
	assert_changed(x, &now);
	now = x->f, now.pi.type = 2;
	assert_changed(x, &now);
	now = x->f, now.pi.format = SSD_PI_64;
	assert_changed(x, &now);
	now = x->f, now.pi.ref_bits--;
	assert_changed(x, &now);
	now = x->f, now.pi.first = true;
	assert_changed(x, &now);
	now = x->f, now.zones.zone_blocks = 200;
	assert_changed(x, &now);
	now = x->f, now.zones.descriptor_extension = 1;
	assert_changed(x, &now);
}

/* ---- Format NVM by a host ---- */

#define INVALID_FIELD 0x4002
#define INVALID_FORMAT 0x410a

/* The index is in two pieces, here, too. */
static void test_format_of_the_same(void **state)
{
	struct fixture *x = *state;

	x->ns.flbas = 0x61;
	x->ns.lbaf[0x31].ds = 12;
	assert_int_equal(nvmft_ssd_take_ns(&x->f, &x->ns, x->why), 0);
	assert_int_equal(nvmft_ssd_check_format(&x->f, 0), 0);
	assert_int_equal(nvmft_ssd_device_format(&x->f, 0), 0x3001);
	assert_int_equal(nvmft_ssd_device_format(&x->f, 1u << 9), 0x3001 | 1u << 9); /* with an erase */
	assert_int_equal(nvmft_ssd_check_format(&x->f, 1u << 8 | 1u << 4), 0);       /* of no meaning */
	assert_int_equal(nvmft_ssd_device_format(&x->f, 1u << 8 | 1u << 4), 0x3001);
	assert_int_equal(nvmft_ssd_check_format(&x->f, 0x0001), INVALID_FORMAT);
	assert_int_equal(nvmft_ssd_check_format(&x->f, 0x1000), INVALID_FORMAT);
	assert_int_equal(nvmft_ssd_check_format(&x->f, 1u << 5), INVALID_FORMAT);
}

/* What hosts do not see stays as it is. */
static void test_format_with_metadata(void **state)
{
	struct fixture *x = *state;

	x->ns.flbas = EXTENDED;
	assert_int_equal(take(x, 8, 2 | 8, 0), 0);
	assert_int_equal(nvmft_ssd_check_format(&x->f, 0), 0);
	assert_int_equal(nvmft_ssd_device_format(&x->f, 0), 1u << 8 | 2u << 5 | 1u << 4);
	x->ns.flbas = 0;
	assert_int_equal(take(x, 64, 0, 0), 0);
	assert_int_equal(nvmft_ssd_device_format(&x->f, 1u << 4), 0);
}

/* Others' namespaces would lose their data, or get this one's format. */
static void test_format_of_all(void **state)
{
	struct fixture *x = *state;
	struct nvme_id_ctrl ctrl = {.fna = 1};

	assert_int_equal(take(x, 0, 0, 0), 0);
	nvmft_ssd_take_ctrl(&x->f.ctrl, &ctrl);
	assert_int_equal(nvmft_ssd_check_format(&x->f, 0), INVALID_FIELD);
	ctrl.fna = 2;
	nvmft_ssd_take_ctrl(&x->f.ctrl, &ctrl);
	assert_int_equal(nvmft_ssd_check_format(&x->f, 0), 0);
	assert_int_equal(nvmft_ssd_check_format(&x->f, 2u << 9), INVALID_FIELD);
}

/* ---- doubt ---- */

static void test_doubt(void **state)
{
	struct ssd_doubt doubt = {0};
	unsigned int begin;

	(void)state;
	assert_false(ssd_in_doubt(&doubt) || ssd_refused(&doubt));
	ssd_doubt_raise(&doubt);
	begin = ssd_doubt_begin(&doubt);
	assert_true(ssd_in_doubt(&doubt));
	ssd_doubt_raise(&doubt); /* while the device is asked */
	assert_false(ssd_doubt_settle(&doubt, begin));
	assert_true(ssd_in_doubt(&doubt));
	assert_true(ssd_doubt_settle(&doubt, ssd_doubt_begin(&doubt)));
	assert_false(ssd_in_doubt(&doubt));
	ssd_doubt_refuse(&doubt);
	assert_true(ssd_in_doubt(&doubt) && ssd_refused(&doubt));
	assert_true(ssd_doubt_settle(&doubt, ssd_doubt_begin(&doubt)));
	assert_false(ssd_in_doubt(&doubt) || ssd_refused(&doubt));
	ssd_format_begins(&doubt);
	ssd_format_begins(&doubt);
	ssd_format_ends(&doubt);
	assert_false(ssd_doubt_settle(&doubt, ssd_doubt_begin(&doubt)));
	assert_true(ssd_in_doubt(&doubt));
	ssd_format_ends(&doubt);
	assert_true(ssd_doubt_settle(&doubt, ssd_doubt_begin(&doubt)));
	atomic_store(&doubt.signs, UINT32_MAX);
	ssd_doubt_raise(&doubt);
	assert_true(ssd_in_doubt(&doubt));
}

static void test_signs(void **state)
{
	(void)state;
	assert_true(ssd_is_sign(0x084) && ssd_is_formatting(0x084));
	assert_true(ssd_is_sign(0x400b) && ssd_is_sign(0x4080) && ssd_is_sign(0x082));
	assert_false(ssd_is_formatting(0x082));
	assert_false(ssd_is_sign(0) || ssd_is_sign(0x281) || ssd_is_sign(0x184) || ssd_is_sign(0x002));
}

/* ---- what the core is told ---- */

static const struct nvmft_opcodes no_opcodes;

/* All that there can be. */
static struct ssd_serving serve(struct fixture *x)
{
	x->ns.mssrl = htole16(128);
	x->ns.mcl = htole32(1000);
	x->ns.msrc = 15;
	x->ns.rescap = 0x7f;
	x->f.ctrl.oncs = 0x1ff;
	x->f.ctrl.ocfs = 1;
	x->f.appends = true;
	return (struct ssd_serving){.copy = true, .whole = 512 << 10, .admin_commands = &no_opcodes};
}

static struct nvmft_backend_info tell(const struct fixture *x, const struct ssd_serving *serving)
{
	struct nvmft_backend_info info = {.size = sizeof(info)};

	nvmft_ssd_info(&x->f, serving, &info);
	return info;
}

static bool takes(const struct nvmft_backend_info *info, uint8_t opcode)
{
	return nvmft_opcodes_has(&info->commands, opcode);
}

static void test_info_plain(void **state)
{
	struct fixture *x = *state;
	struct ssd_serving serving = serve(x);
	struct nvmft_backend_info info;

	x->ns.nsfeat = 0x11;
	x->ns.npwg = htole16(7);
	x->ns.dlfeat = 9;
	x->f.ctrl.volatile_cache = true;
	assert_int_equal(take(x, 0, 0, 0), 0);
	info = tell(x, &serving);
	assert_int_equal(info.block_size, 512);
	assert_int_equal(info.blocks, 1000);
	assert_int_equal(info.preferred_blocks, 8);
	assert_true(info.thin && info.deallocated_zero && info.volatile_cache);
	assert_true(x->f.can_deallocate_zeroes);
	assert_int_equal(info.compare, NVMFT_CAP_NATIVE);
	assert_int_equal(info.write_zeroes, NVMFT_CAP_NATIVE);
	assert_int_equal(info.deallocate, NVMFT_CAP_NATIVE);
}

static void test_info_commands(void **state)
{
	struct fixture *x = *state;
	struct ssd_serving serving = serve(x);
	struct nvmft_backend_info info;

	assert_int_equal(take(x, 0, 0, 0), 0);
	info = tell(x, &serving);
	assert_true(takes(&info, 0x0c) && takes(&info, 0x04) && takes(&info, 0x19));
	assert_false(takes(&info, 0x0e) || takes(&info, 0x7d));
	assert_int_equal(info.copy.max_range, 128);
	assert_int_equal(info.copy.max_total, 1000);
	assert_int_equal(info.copy.max_ranges, 15);
	assert_int_equal(info.reservations, 0);
	serving.reservations = true;
	info = tell(x, &serving);
	assert_true(takes(&info, 0x0d) && takes(&info, 0x0e) && takes(&info, 0x11) && takes(&info, 0x15));
	assert_int_equal(info.reservations, 0x7f);
	x->f.ctrl.oncs = 0;
	info = tell(x, &serving);
	assert_memory_equal(&info.commands, &no_opcodes, sizeof(no_opcodes));
	assert_int_equal(info.compare | info.write_zeroes | info.deallocate, NVMFT_CAP_NONE);
}

static void test_info_sanitize(void **state)
{
	struct fixture *x = *state;
	struct ssd_serving serving = serve(x);
	struct nvme_id_ctrl ctrl = {.sanicap = htole32(0x60000003)};
	struct nvmft_opcodes admin = {0};

	nvmft_ssd_take_ctrl(&x->f.ctrl, &ctrl);
	assert_int_equal(take(x, 0, 0, 0), 0);
	assert_int_equal(tell(x, &serving).sanitize, 0);
	nvmft_opcodes_add(&admin, 0x84);
	serving.admin_commands = &admin;
	assert_int_equal(tell(x, &serving).sanitize, 0x60000003);
}

static void test_info_no_copy(void **state)
{
	struct fixture *x = *state;
	struct ssd_serving serving = serve(x);
	struct nvmft_backend_info info;

	assert_int_equal(take(x, 0, 0, 0), 0);
	x->f.ctrl.ocfs = 2;
	info = tell(x, &serving);
	assert_false(takes(&info, 0x19));
	x->f.ctrl.ocfs = 1;
	serving.copy = false;
	info = tell(x, &serving);
	assert_false(takes(&info, 0x19));
	serving.copy = true;
	x->f.copy.max_total = 0;
	info = tell(x, &serving);
	assert_false(takes(&info, 0x19));
	assert_int_equal(info.copy.max_range, 0);
}

/* What compares metadata, too, is left to the core. */
static void test_info_compare(void **state)
{
	struct fixture *x = *state;
	struct ssd_serving serving = serve(x);

	assert_int_equal(take(x, 8, 1, 0), 0);
	assert_int_equal(tell(x, &serving).compare, NVMFT_CAP_NONE);
	x->f.pi.type = 0;
	assert_int_equal(take(x, 8, 0, 0), 0);
	assert_int_equal(tell(x, &serving).compare, NVMFT_CAP_NONE);
}

static void take_zoned(struct fixture *x)
{
	assert_int_equal(take(x, 0, 0, 0), 0);
	x->f.csi = 2;
	x->zns.lbafe[0].zsze = htole64(100);
	assert_int_equal(nvmft_ssd_take_ns_zoned(&x->f, &x->zns, x->why), 0);
}

static void test_info_read_only(void **state)
{
	struct fixture *x = *state;
	struct ssd_serving serving = serve(x);

	for (int i = 0; i < 2; i++) {
		struct nvmft_backend_info info;

		x->ns.nsattr = i == 1;
		serving.read_only = i == 0;
		take_zoned(x);
		info = tell(x, &serving);
		assert_true(info.read_only);
		assert_int_equal(info.fua | info.write_zeroes | info.deallocate, NVMFT_CAP_NONE);
		assert_false(takes(&info, 0x04) || takes(&info, 0x19) || takes(&info, 0x7d) || takes(&info, 0x79));
		assert_true(takes(&info, 0x0c) && takes(&info, 0x7a));
	}
}

/* An append is not split. */
static void test_info_appends(void **state)
{
	struct fixture *x = *state;
	struct ssd_serving serving = serve(x);
	struct nvme_cmd_effects_log effects = {0};
	struct nvme_zns_id_ctrl ctrl = {.zasl = 8};
	struct nvmft_backend_info info;

	take_zoned(x);
	info = tell(x, &serving);
	assert_true(takes(&info, 0x79) && takes(&info, 0x7a) && takes(&info, 0x7d));
	assert_int_equal(info.zones.append_limit, 7); /* 512 KiB */
	nvmft_ssd_take_ctrl_zoned(&x->f, &ctrl);
	assert_int_equal(tell(x, &serving).zones.append_limit, 7);
	ctrl.zasl = 5;
	nvmft_ssd_take_ctrl_zoned(&x->f, &ctrl);
	assert_int_equal(tell(x, &serving).zones.append_limit, 5);
	serving.whole = 8191; /* 0 would say something else */
	info = tell(x, &serving);
	assert_false(takes(&info, 0x7d));
	serving.whole = 8192;
	nvmft_ssd_take_effects(&x->f, &effects);
	info = tell(x, &serving);
	assert_false(takes(&info, 0x7d));
	effects.iocs[0x7d] = htole32(1);
	nvmft_ssd_take_effects(&x->f, &effects);
	info = tell(x, &serving);
	assert_true(takes(&info, 0x7d));
}

/* What is split is atomic in parts only. */
static void test_info_atomicity(void **state)
{
	struct fixture *x = *state;
	struct ssd_serving serving = serve(x);
	struct nvmft_atomicity a;

	x->f.ctrl.awun = 0xffff;
	x->f.ctrl.acwu = 3;
	assert_int_equal(take(x, 0, 0, 0), 0);
	a = tell(x, &serving).atomicity;
	assert_int_equal(a.normal, 1024);
	assert_int_equal(a.power_fail, 1);
	assert_int_equal(a.compare_write, 4);
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
		T(test_pi_formats),
		T(test_pi_refused),
		T(test_metadata),
		T(test_metadata_extended),
		T(test_zones),
		T(test_bad_zones),
		T(test_atomicity),
		T(test_identifiers),
		T(test_descriptors),
		T(test_descriptors_too_long),
		T(test_limits),
		T(test_same_format),
		T(test_format_of_the_same),
		T(test_format_with_metadata),
		T(test_format_of_all),
		T(test_doubt),
		T(test_signs),
		T(test_info_plain),
		T(test_info_commands),
		T(test_info_sanitize),
		T(test_info_no_copy),
		T(test_info_compare),
		T(test_info_read_only),
		T(test_info_appends),
		T(test_info_atomicity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
