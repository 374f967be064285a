/* SPDX-License-Identifier: BSD-3-Clause */
/* Zoned namespaces, and what controllers say of commands that only some namespaces take. */
#include "admin_util.h"
#include "probe.h"

#define ZNS 2
#define INVALID_IOCS (0x02c | DNR)
#define CSUPP 1u
#define LBCC 2u

/* Namespace 1 is zoned, namespace 2 is not. */
static struct probe_world w;
static struct probe plain;
static unsigned char id[4096];

static void zoned(struct probe *p)
{
	static const uint8_t opcodes[] = {0x79, 0x7a, 0x7d};

	for (size_t i = 0; i < sizeof(opcodes); i++)
		nvmft_opcodes_add(&p->info.commands, opcodes[i]);
	p->info.csi = ZNS;
	p->info.zones = (struct nvmft_zones){.zone_blocks = 0x1122334455,
					     .max_active = 13,
					     .max_open = 0xffffffff,
					     .characteristics = 1,
					     .optional = 3,
					     .descriptor_extension = 4,
					     .append_limit = 3};
}

static void start(bool all_csi, void (*tune_plain)(struct probe *p))
{
	const struct th_ctrl_opts host = {.all_csi = all_csi};

	probe_world_serve(&w, NULL, zoned);
	probe_init(&plain);
	if (tune_plain)
		tune_plain(&plain);
	probe_add(w.subsys, &plain);
	th_sync(&w.t);
	th_ctrl_connect(&w.t, &w.ctrl, &host);
	w.q = &w.ctrl.io[0];
}

static void stop(void)
{
	probe_world_stop(&w);
	probe_fini(&plain);
}

static nvmft_status identify(uint8_t cns, uint32_t nsid, uint8_t csi)
{
	struct nvmft_sqe sqe;

	memset(id, 0xff, sizeof(id));
	th_sqe_identify(&sqe, cns, nsid);
	sqe.cdw10 = htole32(cns | 0xffffu << 16); /* any controller */
	sqe.cdw11 = htole32((uint32_t)csi << 24);
	return th_exec(&w.ctrl.admin, &sqe, id, sizeof(id));
}

static uint16_t get16(size_t at)
{
	return (uint16_t)(id[at] | id[at + 1] << 8);
}

static uint32_t get32(size_t at)
{
	return get16(at) | (uint32_t)get16(at + 2) << 16;
}

static uint64_t get64(size_t at)
{
	return get32(at) | (uint64_t)get32(at + 4) << 32;
}

/* ---- which namespaces there are ---- */

static void test_hosts_of_all_command_sets_see_both(void **state)
{
	(void)state;
	start(true, NULL);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_NS_ACTIVE_LIST, 0, 0), 0);
	assert_int_equal(get32(0), 1);
	assert_int_equal(get32(4), 2);
	assert_int_equal(get32(8), 0);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_CSI_NS_ACTIVE_LIST, 0, 0), 0);
	assert_int_equal(get32(0), 2);
	assert_int_equal(get32(4), 0);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_CSI_NS_ACTIVE_LIST, 0, ZNS), 0);
	assert_int_equal(get32(0), 1);
	assert_int_equal(get32(4), 0);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_CSI_NS_ACTIVE_LIST, 0, 1), TH_SC_INVALID_FIELD | DNR);
	stop();
}

static void test_other_hosts_see_no_zoned_one(void **state)
{
	struct nvmft_sqe sqe;
	unsigned char block[512];

	(void)state;
	start(false, NULL);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_NS_ACTIVE_LIST, 0, 0), 0);
	assert_int_equal(get32(0), 2);
	assert_int_equal(get32(4), 0);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_CSI_NS_ACTIVE_LIST, 0, ZNS), TH_SC_INVALID_FIELD | DNR);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_NS_DESC_LIST, 1, 0), TH_SC_INVALID_NS | DNR);
	/* inactive */
	assert_int_equal(identify(NVME_IDENTIFY_CNS_NS, 1, 0), 0);
	assert_true(th_zero(id, sizeof(id)));
	assert_int_equal(th_read(&w.ctrl, 1, 0, 1, block, 512), TH_SC_INVALID_NS | DNR);
	assert_int_equal(th_read(&w.ctrl, 2, 0, 1, block, 512), 0);
	th_sqe_init(&sqe, 0x7a, 1);
	assert_int_equal(th_exec(w.q, &sqe, block, 4), 0x001 | DNR);
	assert_int_equal(w.probe.nlog, 0);
	stop();
}

static void test_zoned_ones_are_served(void **state)
{
	unsigned char block[512];

	(void)state;
	start(true, NULL);
	assert_int_equal(th_read(&w.ctrl, 1, 0, 1, block, 512), 0);
	assert_int_equal(th_write(&w.ctrl, 1, 0, 1, block, 512), 0);
	assert_int_equal(w.probe.nlog, 2);
	stop();
}

/* CC.CSS counts as of the last enabling. */
static void test_enabled_again_with_another_css(void **state)
{
	uint64_t csts = 1;

	(void)state;
	start(true, NULL);
	th_disconnect(w.q);
	assert_int_equal(th_property_set(&w.ctrl.admin, 0x14, false, 0x460060), 0);
	for (int i = 0; i < 1000 && csts & 1; i++)
		assert_int_equal(th_property_get(&w.ctrl.admin, 0x1c, false, &csts), 0);
	assert_int_equal(th_property_set(&w.ctrl.admin, 0x14, false, 0x460001), 0);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_NS_ACTIVE_LIST, 0, 0), 0);
	assert_int_equal(get32(0), 2);
	stop();
}

static void test_namespace_descriptors_name_the_command_set(void **state)
{
	static const uint8_t csis[] = {ZNS, 0};

	(void)state;
	start(true, NULL);
	for (uint32_t nsid = 1; nsid <= 2; nsid++) {
		size_t at = 0;

		assert_int_equal(identify(NVME_IDENTIFY_CNS_NS_DESC_LIST, nsid, 0), 0);
		while (id[at] != NVME_NIDT_CSI) {
			assert_int_not_equal(id[at + 1], 0);
			at += 4u + id[at + 1];
		}
		assert_int_equal(id[at + 1], 1);
		assert_int_equal(id[at + 4], csis[nsid - 1]);
	}
	stop();
}

/* ---- Identify of zones ---- */

static void test_zones_of_a_namespace(void **state)
{
	(void)state;
	start(true, NULL);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_CSI_NS, 1, ZNS), 0);
	assert_int_equal(get16(0), 1);
	/* reading across zones; no write resources, whose facts are not known */
	assert_int_equal(get16(2), 1);
	assert_int_equal(get32(4), 13);
	assert_true(get32(8) == 0xffffffff);
	assert_true(get64(2816) == 0x1122334455);
	assert_int_equal(id[2816 + 8], 4);
	assert_true(th_zero(id + 2816 + 9, 4096 - 2816 - 9));
	stop();
}

static void test_zones_of_other_namespaces(void **state)
{
	(void)state;
	start(true, NULL);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_CSI_NS, 2, ZNS), INVALID_IOCS);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_CSI_NS, 2, 0), 0);
	assert_true(th_zero(id, sizeof(id)));
	/* inactive */
	assert_int_equal(identify(NVME_IDENTIFY_CNS_CSI_NS, 3, ZNS), 0);
	assert_true(th_zero(id, sizeof(id)));
	assert_int_equal(identify(NVME_IDENTIFY_CNS_CSI_NS, 0, ZNS), TH_SC_INVALID_NS | DNR);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_CSI_NS, 1, 3), TH_SC_INVALID_FIELD | DNR);
	stop();
}

static void test_a_zoned_namespace_is_one_of_blocks_too(void **state)
{
	(void)state;
	start(true, NULL);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_NS, 1, 0), 0);
	assert_int_equal(get64(0), PROBE_BLOCKS);
	assert_int_equal(id[128 + 2], 9);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_CSI_NS, 1, 0), 0);
	assert_true(th_zero(id, sizeof(id)));
	assert_int_equal(identify(NVME_IDENTIFY_CNS_CSI_INDEPENDENT_ID_NS, 1, 0), 0);
	assert_int_equal(id[14] & 1, 1);
	stop();
}

static void also_zoned(struct probe *p)
{
	zoned(p);
	p->info.zones.append_limit = 2;
}

static void zoned_of_larger_appends(struct probe *p)
{
	zoned(p);
	p->info.zones.append_limit = 4;
}

static void zoned_without_limit(struct probe *p)
{
	zoned(p);
	p->info.zones.append_limit = 0;
}

static void test_append_limit_of_a_controller(void **state)
{
	static const struct {
		void (*tune)(struct probe *p);
		uint8_t zasl;
	} rows[] = {{NULL, 3}, {also_zoned, 2}, {zoned_without_limit, 3}, {zoned_of_larger_appends, 3}};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		start(true, rows[i].tune);
		assert_int_equal(identify(NVME_IDENTIFY_CNS_CSI_CTRL, 0, ZNS), 0);
		assert_int_equal(id[0], rows[i].zasl);
		assert_true(th_zero(id + 1, sizeof(id) - 1));
		assert_int_equal(identify(NVME_IDENTIFY_CNS_CSI_CTRL, 0, 0), 0);
		assert_true(th_zero(id, sizeof(id)));
		stop();
	}
}

/* ---- command sets ---- */

static void test_command_set_combination(void **state)
{
	(void)state;
	start(true, NULL);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_COMMAND_SET_STRUCTURE, 0, 0), 0);
	assert_int_equal(get64(0), 1 << 0 | 1 << ZNS);
	assert_true(th_zero(id + 8, sizeof(id) - 8));
	/* and back to what it was when the last zoned namespace goes */
	th_remove_namespace(&w.t, w.probe.ns);
	th_settle(&w.t);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_COMMAND_SET_STRUCTURE, 0, 0), 0);
	assert_int_equal(get64(0), 1);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_CSI_CTRL, 0, ZNS), TH_SC_INVALID_FIELD | DNR);
	stop();
}

static nvmft_status profile(uint8_t opcode, uint32_t index)
{
	struct nvmft_sqe sqe;

	th_sqe_init(&sqe, opcode, 0);
	sqe.cdw10 = htole32(0x19);
	sqe.cdw11 = htole32(index);
	return th_exec(&w.ctrl.admin, &sqe, NULL, 0);
}

static void test_the_one_combination_can_be_chosen(void **state)
{
	(void)state;
	start(true, NULL);
	assert_int_equal(profile(0x0a, 0), 0);
	assert_int_equal(w.ctrl.admin.cqe.dw0, 0);
	assert_int_equal(profile(0x09, 0), 0);
	assert_int_equal(profile(0x09, 1), 0x02b | DNR);
	stop();
}

static uint32_t effects[512];

static nvmft_status effects_log(uint8_t csi)
{
	struct nvmft_sqe sqe;

	th_sqe_log(&sqe, 0x05, 0, 0, sizeof(id), false);
	sqe.cdw14 = htole32((uint32_t)csi << 24);
	memset(id, 0xff, sizeof(id));
	memset(effects, 0xff, sizeof(effects));
	nvmft_status status = th_exec(&w.ctrl.admin, &sqe, id, sizeof(id));

	for (size_t i = 0; i < COUNT(effects) && !status; i++)
		effects[i] = get32(4 * i);
	return status;
}

#define IO(opcode) effects[256 + (opcode)]

static void test_effects_by_command_set(void **state)
{
	(void)state;
	start(true, NULL);
	assert_int_equal(effects_log(ZNS), 0);
	assert_int_equal(IO(0x79), CSUPP | LBCC);
	assert_int_equal(IO(0x7a), CSUPP);
	assert_int_equal(IO(0x7d), CSUPP | LBCC);
	assert_int_equal(IO(TH_READ), CSUPP);
	assert_int_equal(IO(TH_WRITE), CSUPP | LBCC);
	/* not emulated in zones */
	assert_int_equal(IO(TH_WRITE_ZEROES), 0);
	assert_int_equal(effects[0x06], CSUPP);
	assert_int_equal(effects_log(0), 0);
	assert_int_equal(IO(0x79), 0);
	assert_int_equal(IO(0x7a), 0);
	assert_int_equal(IO(0x7d), 0);
	assert_int_equal(IO(TH_WRITE_ZEROES), CSUPP | LBCC);
	assert_int_equal(effects_log(1), TH_SC_INVALID_FIELD | DNR);
	stop();
}

static void native_zeroes(struct probe *p)
{
	zoned(p);
	p->info.write_zeroes = NVMFT_CAP_NATIVE;
}

static void test_write_zeroes_in_zones_only_by_the_device(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	start(true, native_zeroes);
	th_sqe_rw(&sqe, TH_WRITE_ZEROES, 1, 0, 8);
	assert_int_equal(th_exec(w.q, &sqe, NULL, 0), 0x001 | DNR);
	assert_int_equal(w.probe.nlog, 0);
	sqe.nsid = htole32(2);
	assert_int_equal(th_exec(w.q, &sqe, NULL, 0), 0);
	assert_int_equal(plain.nlog, 1);
	assert_int_equal(effects_log(ZNS), 0);
	assert_int_equal(IO(TH_WRITE_ZEROES), CSUPP | LBCC);
	stop();
}

/* Hosts ask for it before they know of any namespace, and it must not change what they do with the others. */
static void test_all_command_sets_may_be_asked_for_always(void **state)
{
	const struct th_ctrl_opts host = {.all_csi = true};
	uint64_t cap;

	(void)state;
	probe_world_serve(&w, NULL, NULL);
	th_ctrl_connect(&w.t, &w.ctrl, &host);
	assert_int_equal(th_property_get(&w.ctrl.admin, 0, true, &cap), 0);
	assert_int_equal(cap >> 43 & 1, 1);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_COMMAND_SET_STRUCTURE, 0, 0), 0);
	assert_int_equal(get64(0), 1);
	assert_int_equal(effects_log(ZNS), 0);
	probe_world_stop(&w);
}

/* ---- facts of namespaces without zones ---- */

static void of_nvm(struct probe *p)
{
	static const uint8_t opcodes[] = {0x04, 0x0c, 0x0d, 0x0e, 0x11, 0x15, 0x19};

	for (size_t i = 0; i < sizeof(opcodes); i++)
		nvmft_opcodes_add(&p->info.commands, opcodes[i]);
	p->info.copy = (struct nvmft_copy_limits){.max_range = 0x1234, .max_total = 0x56789abc, .max_ranges = 127};
	p->info.reservations = 0x7f;
	p->info.atomicity = (struct nvmft_atomicity){.normal = 256,
						     .power_fail = 8,
						     .compare_write = 1,
						     .boundary = 512,
						     .boundary_power_fail = 64,
						     .boundary_offset = 24};
}

static void test_optional_commands_of_some_namespace(void **state)
{
	(void)state;
	start(true, NULL);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_CTRL, 0, 0), 0);
	assert_int_equal(get16(520), 0x1d);
	assert_int_equal(get16(534), 0);
	stop();
	start(true, of_nvm);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_CTRL, 0, 0), 0);
	/* Compare, Write Uncorrectable, DSM, Write Zeroes, SAVE, reservations, Verify, Copy */
	assert_int_equal(get16(520), 0x1bf);
	assert_int_equal(get16(534), 1);
	assert_int_equal(effects_log(0), 0);
	assert_int_equal(IO(0x04), CSUPP | LBCC);
	assert_int_equal(IO(0x0c), CSUPP);
	assert_int_equal(IO(0x19), CSUPP | LBCC);
	assert_int_equal(effects_log(ZNS), 0);
	assert_int_equal(IO(0x0c), 0);
	stop();
}

static void test_limits_of_copy_and_reservations(void **state)
{
	(void)state;
	start(true, of_nvm);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_NS, 2, 0), 0);
	assert_int_equal(get16(74), 0x1234);
	assert_int_equal(get32(76), 0x56789abc);
	assert_int_equal(id[80], 127);
	assert_int_equal(id[31], 0x7f);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_CSI_INDEPENDENT_ID_NS, 2, 0), 0);
	assert_int_equal(id[2], 0x7f);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_NS, 1, 0), 0);
	assert_int_equal(get16(74), 0);
	assert_int_equal(id[31], 0);
	stop();
}

static void facts_without_commands(struct probe *p)
{
	of_nvm(p);
	memset(&p->info.commands, 0, sizeof(p->info.commands));
}

static void test_no_limits_without_the_commands(void **state)
{
	(void)state;
	start(true, facts_without_commands);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_NS, 2, 0), 0);
	assert_int_equal(get16(74), 0);
	assert_int_equal(get32(76), 0);
	assert_int_equal(id[80], 0);
	assert_int_equal(id[31], 0);
	stop();
}

enum { NSABP = 2, NAWUN = 34, NAWUPF = 36, NACWU = 38, NABSN = 40, NABO = 42, NABSPF = 44 };

static void test_atomicity(void **state)
{
	(void)state;
	start(true, of_nvm);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_NS, 2, 0), 0);
	assert_int_equal(id[24] & NSABP, NSABP);
	assert_int_equal(get16(NAWUN), 255);
	assert_int_equal(get16(NAWUPF), 7);
	assert_int_equal(get16(NACWU), 0);
	assert_int_equal(get16(NABSN), 511);
	assert_int_equal(get16(NABO), 24);
	assert_int_equal(get16(NABSPF), 63);
	stop();
}

static void no_boundary(struct probe *p)
{
	p->info.atomicity = (struct nvmft_atomicity){.normal = 100000, .boundary_offset = 24};
}

static void test_atomicity_without_boundaries(void **state)
{
	(void)state;
	start(true, no_boundary);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_NS, 2, 0), 0);
	assert_int_equal(id[24] & NSABP, NSABP);
	assert_int_equal(get16(NAWUN), 65535);
	assert_int_equal(get16(NAWUPF), 0);
	assert_int_equal(get16(NABSN), 0);
	assert_int_equal(get16(NABO), 0);
	stop();
	start(true, NULL);
	assert_int_equal(identify(NVME_IDENTIFY_CNS_NS, 2, 0), 0);
	assert_int_equal(id[24] & NSABP, 0);
	stop();
}

/* ---- refused when it is added ---- */

static void test_facts_that_do_not_fit_are_refused(void **state)
{
	static struct probe p;

	(void)state;
	start(true, NULL);
	probe_init(&p);
	p.info.csi = 1;
	assert_int_equal(probe_try_add(w.subsys, &p), -EINVAL);
	p.info.csi = 0;
	nvmft_opcodes_add(&p.info.admin_commands, 0x06);
	assert_int_equal(probe_try_add(w.subsys, &p), -EINVAL);
	assert_non_null(strstr(w.t.log, "admin_commands: opcode 0x06: the target answers it itself"));
	assert_int_equal(p.opens, 2);
	probe_fini(&p);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts_of_all_command_sets_see_both),
		cmocka_unit_test(test_other_hosts_see_no_zoned_one),
		cmocka_unit_test(test_zoned_ones_are_served),
		cmocka_unit_test(test_enabled_again_with_another_css),
		cmocka_unit_test(test_namespace_descriptors_name_the_command_set),
		cmocka_unit_test(test_zones_of_a_namespace),
		cmocka_unit_test(test_zones_of_other_namespaces),
		cmocka_unit_test(test_a_zoned_namespace_is_one_of_blocks_too),
		cmocka_unit_test(test_append_limit_of_a_controller),
		cmocka_unit_test(test_command_set_combination),
		cmocka_unit_test(test_the_one_combination_can_be_chosen),
		cmocka_unit_test(test_effects_by_command_set),
		cmocka_unit_test(test_write_zeroes_in_zones_only_by_the_device),
		cmocka_unit_test(test_all_command_sets_may_be_asked_for_always),
		cmocka_unit_test(test_optional_commands_of_some_namespace),
		cmocka_unit_test(test_limits_of_copy_and_reservations),
		cmocka_unit_test(test_no_limits_without_the_commands),
		cmocka_unit_test(test_atomicity),
		cmocka_unit_test(test_atomicity_without_boundaries),
		cmocka_unit_test(test_facts_that_do_not_fit_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
