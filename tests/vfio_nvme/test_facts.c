/* SPDX-License-Identifier: BSD-3-Clause */
/* What the driver makes of Identify, and tells the core. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <nvme/types.h>

#include "vfio_nvme.h"

#define INVALID_FIELD 0x02
#define INTERNAL_ERROR 0x06
#define INVALID_NAMESPACE 0x0b
#define NOT_READY 0x82
#define DNR 0x4000
#define LBAF 21 /* needs both halves of the index */

/* ---- a device that answers ---- */

struct pages {
	struct nvme_id_ns ns;
	uint8_t descriptors[4096];
	struct nvme_nvm_id_ns nvm_ns;
	struct nvme_id_ctrl_nvm nvm_ctrl;
	struct nvme_zns_id_ns zns_ns;
	struct nvme_zns_id_ctrl zns_ctrl;
	struct nvme_cmd_effects_log effects;
	bool old; /* knows Identify Namespace only */
	int fails_at, asked;
	int fails_with; /* 0: it does not answer */
	uint8_t behavior[512];
	unsigned int behaviors;
};

struct fixture {
	struct ctrl ctrl;
	struct pages pages;
	struct vfio_nvme vn;
	struct nvmft_backend_info info;
	_Alignas(4096) uint8_t page[NVME_PAGE];
	uint8_t behind[256];
};

static char last_log[512];

void nvmft_device_log(const struct device *dev, enum nvmft_log_level level, const char *format, ...)
{
	va_list ap;

	(void)dev;
	(void)level;
	va_start(ap, format);
	vsnprintf(last_log, sizeof(last_log), format, ap);
	va_end(ap);
}

static const void *identify_page(const struct pages *p, uint8_t cns, uint8_t csi)
{
	if (cns == 0)
		return &p->ns;
	if (p->old)
		return NULL;
	if (cns == 3)
		return p->descriptors;
	if (cns == 5)
		return csi == 2 ? (const void *)&p->zns_ns : &p->nvm_ns;
	if (cns == 6)
		return csi == 2 ? (const void *)&p->zns_ctrl : &p->nvm_ctrl;
	return NULL;
}

int nvmft_admin_command(struct ctrl *ctrl, const struct nvmft_sqe *sqe, uint32_t *dw0)
{
	struct pages *p = &((struct fixture *)(void *)ctrl)->pages;
	const void *from = NULL;

	(void)dw0;
	if (++p->asked == p->fails_at)
		return p->fails_with ? p->fails_with : -ETIMEDOUT;
	if (sqe->opcode == nvme_admin_identify)
		from = identify_page(p, (uint8_t)le32toh(sqe->cdw10), (uint8_t)(le32toh(sqe->cdw11) >> 24));
	else if (sqe->opcode == nvme_admin_get_log_page && le32toh(sqe->cdw10) == (5 | 1023 << 16))
		from = le32toh(sqe->cdw14) >> 24 == 2 && !p->old ? &p->effects : NULL;
	else if (sqe->opcode == nvme_admin_set_features && le32toh(sqe->cdw10) == 0x16) {
		memcpy(p->behavior, ctrl->page.base, sizeof(p->behavior));
		p->behaviors++;
		return p->old ? INVALID_FIELD : 0;
	}
	if (!from)
		return INVALID_FIELD;
	memcpy(ctrl->page.base, from, NVME_PAGE);
	return 0;
}

static unsigned int allocs, fail_alloc;

int nvmft_dma_alloc(struct device *dev, size_t len, struct dma_memory *memory)
{
	(void)dev;
	if (fail_alloc && fail_alloc == allocs + 1)
		return -ENOMEM;
	*memory = (struct dma_memory){calloc(1, len), len, 0x1000000 * (uint64_t)++allocs};
	return 0;
}

void nvmft_dma_free(struct device *dev, struct dma_memory *memory)
{
	(void)dev;
	allocs -= memory->base != NULL;
	free(memory->base);
	memory->base = NULL;
}

/* ---- fixture ---- */

static int setup(void **state)
{
	struct fixture *f = aligned_alloc(4096, (sizeof(*f) + 4095) & ~4095ul);

	assert_non_null(f);
	memset(f, 0, sizeof(*f));
	f->ctrl.page = (struct dma_memory){f->page, NVME_PAGE, 0x5000};
	f->ctrl.facts = (struct ctrl_facts){.max_transfer = 512 << 10, .id = {.oncs = 0x1ff, .ocfs = 1}};
	f->pages.ns.nsze = htole64(1000);
	f->pages.ns.flbas = (LBAF & 0xf) | (LBAF >> 4) << 5;
	f->pages.ns.lbaf[LBAF].ds = 9;
	f->vn = (struct vfio_nvme){.ctrl = &f->ctrl, .nsid = 1, .depth = 64};
	last_log[0] = '\0';
	fail_alloc = 0;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	assert_int_equal(allocs, 0);
	return 0;
}

static int read_facts(struct fixture *f)
{
	return nvmft_vfio_facts_read(&f->ctrl, 1, &f->vn.facts);
}

static void read_all(struct fixture *f)
{
	assert_int_equal(read_facts(f), 0);
	memset(&f->info, 0, sizeof(f->info));
	nvmft_vfio_facts_info(&f->vn, &f->vn.facts, &f->info);
}

static void refuses(struct fixture *f, const char *why)
{
	assert_true(read_facts(f) < 0);
	if (!strstr(last_log, why))
		fail_msg("the log says '%s', not '%s'", last_log, why);
}

static void descriptor(struct fixture *f, size_t at, uint8_t nidt, uint8_t nidl, uint8_t value)
{
	f->pages.descriptors[at] = nidt;
	f->pages.descriptors[at + 1] = nidl;
	memset(&f->pages.descriptors[at + 4], value, nidl);
}

static void zoned(struct fixture *f)
{
	descriptor(f, 0, 4, 1, 2);
	f->pages.ns.nsze = htole64(0x10000);
	f->pages.zns_ns.lbafe[LBAF].zsze = htole64(0x8000);
	f->pages.zns_ns.lbafe[LBAF].zdes = 2;
	f->pages.zns_ns.mar = htole32(7);
	f->pages.zns_ns.mor = htole32(3);
	f->pages.zns_ns.zoc = htole16(1);
	f->pages.zns_ns.ozcs = htole16(2);
	f->pages.effects.iocs[OPC_ZONE_APPEND] = htole32(1);
}

static void protect(struct fixture *f, uint8_t type, uint16_t bytes, uint8_t pif, uint8_t storage_bits)
{
	f->pages.ns.dps = type;
	f->pages.ns.lbaf[LBAF].ms = htole16(bytes);
	f->pages.nvm_ns.elbaf[LBAF] = htole32((uint32_t)pif << 7 | storage_bits);
}

static bool takes(const struct fixture *f, uint8_t opcode)
{
	return nvmft_opcodes_has(&f->info.commands, opcode);
}

/* ---- blocks ---- */

static void test_plain(void **state)
{
	struct fixture *f = *state;

	f->pages.ns.nsfeat = 0x11;
	f->pages.ns.npwg = htole16(7);
	f->pages.ns.dlfeat = 9;
	f->ctrl.facts.id.volatile_cache = true;
	read_all(f);
	assert_int_equal(f->info.block_size, 512);
	assert_int_equal(f->info.blocks, 1000);
	assert_int_equal(f->info.depth, 64);
	assert_int_equal(f->info.preferred_blocks, 8);
	assert_true(f->info.thin && f->info.deallocated_zero && f->info.volatile_cache && f->info.needs_regions);
	assert_true(f->vn.facts.format.can_dealloc_zeroes);
	assert_int_equal(f->info.compare, NVMFT_CAP_NATIVE);
	assert_int_equal(f->info.write_zeroes, NVMFT_CAP_NATIVE);
	assert_int_equal(f->info.deallocate, NVMFT_CAP_NATIVE);
	f->pages.ns.lbaf[LBAF].ds = 12;
	read_all(f);
	assert_int_equal(f->info.block_size, 4096);
}

static void test_refuses_blocks(void **state)
{
	struct fixture *f = *state;

	f->pages.ns.lbaf[LBAF].ds = 10;
	refuses(f, "blocks of bytes, as a power of two: 10, which");
	f->pages.ns.nsze = 0;
	assert_int_equal(read_facts(f), -ENOENT);
}

static void test_old_device(void **state)
{
	struct fixture *f = *state;

	f->pages.old = true;
	read_all(f);
	assert_int_equal(f->info.blocks, 1000);
	assert_string_equal(last_log, "");
	protect(f, 1, 8, 0, 0);
	read_all(f);
	assert_int_equal(f->vn.facts.format.ref_bits, 32);
}

/* Whatever it does not answer, the error comes back. */
static void test_silent_device(void **state)
{
	struct fixture *f = *state;

	zoned(f);
	protect(f, 1, 8, 0, 0);
	for (int at = 1; at <= 7; at++) {
		f->pages.asked = 0;
		f->pages.fails_at = at;
		assert_int_equal(read_facts(f), -ETIMEDOUT);
	}
	f->pages.asked = 0;
	f->pages.fails_at = 8;
	assert_int_equal(read_facts(f), 0);
}

static int fail_at(struct fixture *f, int at, int with)
{
	f->pages.asked = 0;
	f->pages.fails_at = at;
	f->pages.fails_with = with;
	return read_facts(f);
}

/* The second question is Identify Namespace. */
static void test_only_some_errors_say_that_it_does_not_exist(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fail_at(f, 2, INVALID_NAMESPACE), -ENOENT);
	assert_int_equal(fail_at(f, 2, DNR | INVALID_NAMESPACE), -ENOENT);
	assert_int_equal(fail_at(f, 2, NOT_READY), -EREMOTEIO);
	assert_non_null(strstr(last_log, "status 0x82"));
	assert_int_equal(fail_at(f, 2, DNR | INTERNAL_ERROR), -EREMOTEIO);
	assert_int_equal(fail_at(f, 2, INVALID_FIELD), -EREMOTEIO);
	/* Status code type 1. */
	assert_int_equal(fail_at(f, 2, 0x10b), -EREMOTEIO);
}

/* Else a device that is busy would seem to be one that knows less, and its namespace one of another format. */
static void test_error_of_the_moment(void **state)
{
	struct fixture *f = *state;

	zoned(f);
	protect(f, 1, 8, 0, 0);
	for (int at = 1; at <= 7; at++) {
		assert_int_equal(fail_at(f, at, NOT_READY), -EREMOTEIO);
		assert_int_equal(fail_at(f, at, INTERNAL_ERROR), -EREMOTEIO);
	}
	for (int at = 3; at <= 4; at++)
		assert_int_equal(fail_at(f, at, DNR | INTERNAL_ERROR), 0);
}

/* ---- metadata ---- */

static void test_memory_for_metadata(void **state)
{
	struct fixture *f = *state;

	read_all(f);
	assert_int_equal(nvmft_vfio_format_take(&f->vn), 0);
	assert_int_equal(allocs, 0);
	protect(f, 0, 64, 0, 0);
	f->ctrl.facts.max_transfer = 2 << 20;
	read_all(f);
	assert_int_equal(nvmft_vfio_format_take(&f->vn), 0);
	assert_int_equal(allocs, 2);
	assert_true(f->vn.format.zeroes && f->vn.format.sink && f->vn.format.zeroes != f->vn.format.sink);
	assert_true(f->vn.zeroes.len >= (size_t)f->vn.format.limits.data * 64);
	assert_int_equal(f->vn.format.limits.data, 2048); /* rather smaller commands than more memory */
	nvmft_vfio_format_drop(&f->vn);
	for (fail_alloc = 1; fail_alloc <= 2; fail_alloc++) {
		assert_int_equal(nvmft_vfio_format_take(&f->vn), -ENOMEM);
		assert_int_equal(allocs, 0);
	}
}

static void test_another_format(void **state)
{
	struct fixture *f = *state;
	struct vfio_format was;

	read_all(f);
	was = f->vn.facts.format;
	f->pages.ns.nsze = htole64(2000);
	read_all(f);
	assert_true(nvmft_vfio_format_equal(&was, &f->vn.facts.format));
	protect(f, 1, 8, 0, 0);
	read_all(f);
	assert_false(nvmft_vfio_format_equal(&was, &f->vn.facts.format));
}

/* ---- limits ---- */

static void test_limits(void **state)
{
	struct fixture *f = *state;
	struct cmd_limits *l = &f->vn.facts.format.limits;

	read_all(f);
	assert_int_equal(l->data, 1024);
	assert_int_equal(l->zeroes, 1024);
	assert_int_equal(l->verify, 1024);
	assert_int_equal(l->uncorrectable, 1024);
	assert_int_equal(l->deallocate, UINT32_MAX);
	f->pages.nvm_ctrl.wzsl = 3;
	f->pages.nvm_ctrl.vsl = 1;
	f->pages.nvm_ctrl.wusl = 2;
	f->pages.nvm_ctrl.dmrsl = htole32(5000);
	f->pages.nvm_ctrl.dmsl = htole64(6000);
	read_all(f);
	assert_int_equal(l->zeroes, 64);
	assert_int_equal(l->verify, 16);
	assert_int_equal(l->uncorrectable, 32);
	assert_int_equal(l->deallocate, 5000);
	f->pages.nvm_ctrl.dmsl = htole64(4000);
	f->pages.nvm_ctrl.wzsl = 20;
	f->pages.nvm_ctrl.vsl = 255;
	read_all(f);
	assert_int_equal(l->deallocate, 4000);
	assert_int_equal(l->zeroes, 65536);
	assert_int_equal(l->verify, 65536);
	assert_int_equal(l->data, 1024);
}

static void test_alignment(void **state)
{
	struct fixture *f = *state;

	for (uint32_t sgls = 0; sgls < 4; sgls++) {
		f->ctrl.facts.sgls = sgls | 0xfffc;
		read_all(f);
		assert_int_equal(f->info.align, sgls == 1 || sgls == 2 ? 4 : 4096);
		assert_int_equal(f->vn.facts.format.sgl, sgls == 1 ? SGL_BYTE : sgls == 2 ? SGL_DWORD : SGL_NONE);
	}
}

/* ---- zones ---- */

static void test_zones(void **state)
{
	struct fixture *f = *state;

	zoned(f);
	f->pages.zns_ctrl.zasl = 5;
	read_all(f);
	assert_int_equal(f->info.csi, 2);
	assert_int_equal(f->info.zones.zone_blocks, 0x8000);
	assert_int_equal(f->info.zones.descriptor_extension, 2);
	assert_int_equal(f->info.zones.max_active, 7);
	assert_int_equal(f->info.zones.max_open, 3);
	assert_int_equal(f->info.zones.characteristics, 1);
	assert_int_equal(f->info.zones.optional, 0);
	assert_int_equal(f->info.zones.append_limit, 5);
	assert_true(takes(f, OPC_ZONE_MGMT_SEND) && takes(f, OPC_ZONE_MGMT_RECEIVE) && takes(f, OPC_ZONE_APPEND));
	f->pages.effects.iocs[OPC_ZONE_APPEND] = 0;
	read_all(f);
	assert_false(takes(f, OPC_ZONE_APPEND));
}

/* ---- host behavior ---- */

static void test_host_behavior(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(nvmft_host_behavior_setup(&f->ctrl), 0);
	assert_int_equal(f->pages.behaviors, 0);
	f->ctrl.facts.id.extended_formats = true;
	assert_int_equal(nvmft_host_behavior_setup(&f->ctrl), 0);
	assert_int_equal(f->pages.behaviors, 1);
	for (int i = 0; i < 512; i++)
		assert_int_equal(f->pages.behavior[i], i == 2);
	f->pages.old = true;
	assert_int_equal(nvmft_host_behavior_setup(&f->ctrl), 0);
	assert_non_null(strstr(last_log, "host behavior"));
	f->pages.fails_at = f->pages.asked + 1;
	assert_int_equal(nvmft_host_behavior_setup(&f->ctrl), -ETIMEDOUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refuses_blocks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_some_errors_say_that_it_does_not_exist, setup, teardown),
		cmocka_unit_test_setup_teardown(test_error_of_the_moment, setup, teardown),
		cmocka_unit_test_setup_teardown(test_old_device, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silent_device, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory_for_metadata, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_format, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_alignment, setup, teardown),
		cmocka_unit_test_setup_teardown(test_zones, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host_behavior, setup, teardown),
	};

	return cmocka_run_group_tests_name("vfio_facts", tests, NULL, NULL);
}
