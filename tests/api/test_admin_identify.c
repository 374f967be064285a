/* SPDX-License-Identifier: BSD-3-Clause */
/* Identify. */
#include "admin_util.h"

static unsigned char buf[4096];

/* ---- CNS 01h: the controller ---- */

static const struct nvmft_subsystem_opts dressed = {
	.size = sizeof(dressed),
	.nqn = TH_NQN,
	.serial = "SN-42",
	.model = "Example array",
	.firmware = "7.1",
	.vid = 0x1234,
	.ssvid = 0x5678,
	.ieee_oui = 0xe4d25c,
	.allow_any_host = true,
	.max_namespaces = 77,
	.max_io_size = 128 * 1024,
	.max_aers = 9,
};

static int setup_dressed(void **state)
{
	return admin_setup_opts(state, NULL, &dressed, NULL);
}

static void the_controller_has_the_subsystems_identity(void **state)
{
	struct nvme_id_ctrl *id = (void *)buf;

	assert_int_equal(admin_identify(*state, 0x01, 0, buf), 0);
	assert_int_equal(le16toh(id->vid), 0x1234);
	assert_int_equal(le16toh(id->ssvid), 0x5678);
	assert_memory_equal(id->sn, "SN-42               ", sizeof(id->sn));
	assert_memory_equal(id->mn, "Example array                           ", sizeof(id->mn));
	assert_memory_equal(id->fr, "7.1     ", sizeof(id->fr));
	assert_memory_equal(id->ieee, "\x5c\xd2\xe4", 3);
	assert_string_equal(id->subnqn, TH_NQN);
}

static void the_controller_has_the_subsystems_limits(void **state)
{
	struct nvme_id_ctrl *id = (void *)buf;

	assert_int_equal(admin_identify(*state, 0x01, 0, buf), 0);
	assert_int_equal(id->mdts, 5);
	assert_int_equal(le32toh(id->nn), 77);
	assert_int_equal(le32toh(id->mnan), 77);
	assert_int_equal(id->aerl, 8);
}

static void the_controller_says_who_it_is(void **state)
{
	struct admin_world *w = *state;
	struct nvme_id_ctrl *id = (void *)buf;

	assert_int_equal(admin_identify(w, 0x01, 0, buf), 0);
	assert_int_equal(le16toh(id->cntlid), w->ctrl.cntlid);
	assert_int_equal(le32toh(id->ver), 0x20000);
	assert_int_equal(id->cntrltype, 1);
	assert_int_equal(id->cmic, 3);
	assert_int_equal(id->fcatt, 0);
}

static void the_controller_says_what_it_can(void **state)
{
	struct nvme_id_ctrl *id = (void *)buf;

	assert_int_equal(admin_identify(*state, 0x01, 0, buf), 0);
	assert_int_equal(id->sqes, 0x66);
	assert_int_equal(id->cqes, 0x44);
	assert_int_equal(le16toh(id->oncs), 1 << 0 | 1 << 2 | 1 << 3 | 1 << 4);
	assert_int_equal(le16toh(id->fuses), 1);
	assert_int_equal(id->vwc, 7);
	assert_int_equal(le32toh(id->oaes), 1 << 8);
	assert_int_equal(le32toh(id->ctratt), 1 << 0 | 1 << 6);
	assert_int_equal(le16toh(id->kas), 1);
	assert_int_equal(id->elpe, 63);
	assert_int_equal(id->lpa, 7);
	assert_int_equal(le32toh(id->sgls) & 3, 1);
	assert_int_not_equal(id->maxcmd, 0);
	assert_int_equal(id->mdts, 8);
}

static void capsules_have_the_ports_size(void **state)
{
	struct nvme_id_ctrl *id = (void *)buf;

	assert_int_equal(admin_identify(*state, 0x01, 0, buf), 0);
	assert_int_equal(le32toh(id->ioccsz), (64 + 8192) / 16);
	assert_int_equal(le32toh(id->iorcsz), 1);
	assert_int_equal(le16toh(id->icdoff), 0);
	assert_int_equal(id->msdbd, 1);
}

static int setup_no_in_capsule(void **state)
{
	static const struct th_opts opts = {.port = {.no_in_capsule = true}};

	return admin_setup_opts(state, &opts, NULL, NULL);
}

static void capsules_without_data_hold_the_command_alone(void **state)
{
	struct nvme_id_ctrl *id = (void *)buf;

	assert_int_equal(admin_identify(*state, 0x01, 0, buf), 0);
	assert_int_equal(le32toh(id->ioccsz), 4);
}

static void reserved_bytes_are_zero(void **state)
{
	assert_int_equal(admin_identify(*state, 0x01, 0, buf), 0);
	assert_true(th_zero(buf + offsetof(struct nvme_id_ctrl, rsvd1024), 768));
	assert_true(th_zero(buf + offsetof(struct nvme_id_ctrl, vs), 1024));
}

/* ---- CNS 00h: a namespace ---- */

static void a_namespace_has_its_size_and_format(void **state)
{
	struct nvme_id_ns *id = (void *)buf;

	assert_int_equal(admin_identify(*state, 0x00, 1, buf), 0);
	assert_int_equal(le64toh(id->nsze), 2048);
	assert_int_equal(le64toh(id->ncap), 2048);
	assert_int_equal(id->nlbaf, 0);
	assert_int_equal(id->flbas, 0);
	assert_int_equal(id->lbaf[0].ds, 9);
	assert_int_equal(id->nmic, 1);
	assert_int_equal(id->nsattr, 0);
}

static void a_namespace_of_4096_byte_blocks_says_so(void **state)
{
	struct admin_world *w = *state;
	struct nvme_id_ns *id = (void *)buf;

	th_add_memory(w->subsys, 1 << 20, 4096);
	th_settle(&w->t);
	assert_int_equal(admin_identify(w, 0x00, 2, buf), 0);
	assert_int_equal(id->lbaf[0].ds, 12);
	assert_int_equal(le64toh(id->nsze), 256);
}

static struct nvmft_namespace *add_read_only(struct admin_world *w)
{
	struct nvmft_null_opts null = {.size = sizeof(null), .bytes = 1 << 20};
	struct nvmft_namespace_opts opts = {
		.size = sizeof(opts),
		.nsid = 7,
		.read_only = true,
		.backend = nvmft_backend_null(),
		.backend_opts = &null,
		.nguid = "0123456789abcde",
		.eui64 = "9876543",
	};
	struct nvmft_namespace *ns = NULL;

	memset(opts.uuid, 0x5a, sizeof(opts.uuid));
	assert_int_equal(nvmft_namespace_add(w->subsys, &opts, &ns), 0);
	th_settle(&w->t);
	return ns;
}

static void a_read_only_namespace_is_write_protected(void **state)
{
	struct nvme_id_ns *id = (void *)buf;

	add_read_only(*state);
	assert_int_equal(admin_identify(*state, 0x00, 7, buf), 0);
	assert_int_equal(id->nsattr & 1, 1);
}

static void a_namespace_has_its_identifiers(void **state)
{
	struct nvme_id_ns *id = (void *)buf;

	add_read_only(*state);
	assert_int_equal(admin_identify(*state, 0x00, 7, buf), 0);
	assert_memory_equal(id->nguid, "0123456789abcde", 16);
	assert_memory_equal(id->eui64, "9876543", 8);
}

static void an_inactive_namespace_is_zeroes(void **state)
{
	static const uint8_t structures[] = {0x00, 0x05, 0x08};

	for (size_t i = 0; i < COUNT(structures); i++) {
		assert_int_equal(admin_identify(*state, structures[i], 2, buf), 0);
		assert_true(th_zero(buf, sizeof(buf)));
	}
}

static void an_nsid_that_cannot_be_is_refused(void **state)
{
	static const uint32_t nsids[] = {0, 1025, 0xfffffffe, NSID_ALL};
	static const uint8_t structures[] = {0x00, 0x03, 0x05, 0x08};

	for (size_t i = 0; i < COUNT(nsids); i++)
		for (size_t j = 0; j < COUNT(structures); j++)
			assert_int_equal(admin_identify(*state, structures[j], nsids[i], buf), TH_SC_INVALID_NS | DNR);
}

/* ---- CNS 02h and 07h: lists ---- */

static void active_namespaces_are_listed_in_order(void **state)
{
	static const uint32_t expected[] = {1, 7, 0};
	uint32_t *list = (void *)buf;

	add_read_only(*state);
	assert_int_equal(admin_identify(*state, 0x02, 0, buf), 0);
	for (size_t i = 0; i < COUNT(expected); i++)
		assert_int_equal(le32toh(list[i]), expected[i]);
	assert_true(th_zero(&list[2], 4096 - 8));
}

static void a_list_begins_above_the_nsid(void **state)
{
	uint32_t *list = (void *)buf;

	add_read_only(*state);
	assert_int_equal(admin_identify(*state, 0x02, 1, buf), 0);
	assert_int_equal(le32toh(list[0]), 7);
	assert_int_equal(admin_identify(*state, 0x07, 7, buf), 0);
	assert_int_equal(le32toh(list[0]), 0);
}

static void a_list_above_the_last_nsids_is_refused(void **state)
{
	assert_int_equal(admin_identify(*state, 0x02, 0xfffffffe, buf), TH_SC_INVALID_NS | DNR);
	assert_int_equal(admin_identify(*state, 0x07, NSID_ALL, buf), TH_SC_INVALID_NS | DNR);
}

/* ---- CNS 03h: descriptors ---- */

static void descriptors_tell_all_identifiers(void **state)
{
	static const struct {
		uint8_t type, len;
	} expected[] = {{1, 8}, {2, 16}, {3, 16}, {4, 1}};
	size_t at = 0;

	add_read_only(*state);
	assert_int_equal(admin_identify(*state, 0x03, 7, buf), 0);
	for (size_t i = 0; i < COUNT(expected); i++) {
		assert_int_equal(buf[at], expected[i].type);
		assert_int_equal(buf[at + 1], expected[i].len);
		at += 4u + expected[i].len;
	}
	assert_true(th_zero(buf + at, sizeof(buf) - at));
}

static void derived_identifiers_have_no_eui64(void **state)
{
	assert_int_equal(admin_identify(*state, 0x03, 1, buf), 0);
	assert_int_equal(buf[0], 2);
	assert_int_equal(buf[20], 3);
	assert_int_equal(buf[40], 4);
}

static void descriptors_of_an_inactive_namespace_are_refused(void **state)
{
	assert_int_equal(admin_identify(*state, 0x03, 2, buf), TH_SC_INVALID_NS | DNR);
}

/* ---- CNS 05h, 06h, 08h, 1Ch ---- */

static nvmft_status identify_csi(struct admin_world *w, uint8_t cns, uint32_t nsid, uint8_t csi)
{
	struct nvmft_sqe sqe;

	memset(buf, 0xff, sizeof(buf));
	th_sqe_identify(&sqe, cns, nsid);
	sqe.cdw11 = htole32((uint32_t)csi << 24);
	return admin_exec(w, &sqe, buf, sizeof(buf));
}

static void the_nvm_command_set_has_no_further_limits(void **state)
{
	assert_int_equal(identify_csi(*state, 0x06, 0, 0), 0);
	assert_true(th_zero(buf, sizeof(buf)));
	assert_int_equal(identify_csi(*state, 0x05, 1, 0), 0);
	assert_true(th_zero(buf, sizeof(buf)));
}

static void other_command_sets_are_refused(void **state)
{
	static const uint8_t structures[] = {0x05, 0x06, 0x07};

	for (size_t i = 0; i < COUNT(structures); i++)
		for (uint8_t csi = 1; csi < 4; csi++)
			assert_int_equal(identify_csi(*state, structures[i], 1, csi), TH_SC_INVALID_FIELD | DNR);
}

static void a_namespace_is_ready_whatever_its_command_set(void **state)
{
	struct nvme_id_independent_id_ns *id = (void *)buf;

	assert_int_equal(admin_identify(*state, 0x08, 1, buf), 0);
	assert_int_equal(id->nstat & 1, 1);
	assert_int_equal(id->nmic & 1, 1);
}

static void the_nvm_command_set_is_the_only_one(void **state)
{
	struct nvmft_sqe sqe;

	memset(buf, 0xff, sizeof(buf));
	th_sqe_identify(&sqe, 0x1c, 0);
	sqe.cdw10 = htole32(0xffff001c);
	assert_int_equal(admin_exec(*state, &sqe, buf, sizeof(buf)), 0);
	assert_int_equal(buf[0], 1);
	assert_true(th_zero(buf + 1, sizeof(buf) - 1));
}

static void command_sets_of_an_unknown_controller_are_refused(void **state)
{
	struct nvmft_sqe sqe;

	th_sqe_identify(&sqe, 0x1c, 0);
	sqe.cdw10 = htole32(0x4321001c);
	assert_int_equal(admin_exec(*state, &sqe, buf, sizeof(buf)), TH_SC_INVALID_FIELD | DNR);
}

static void unknown_structures_are_refused(void **state)
{
	static const uint8_t unknown[] = {0x04, 0x09, 0x10, 0x15, 0x20, 0xff};

	for (size_t i = 0; i < COUNT(unknown); i++)
		assert_int_equal(admin_identify(*state, unknown[i], 1, buf), TH_SC_INVALID_FIELD | DNR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_controller_has_the_subsystems_identity, setup_dressed,
						admin_teardown),
		cmocka_unit_test_setup_teardown(the_controller_has_the_subsystems_limits, setup_dressed,
						admin_teardown),
		ADMIN_TEST(the_controller_says_who_it_is),
		ADMIN_TEST(the_controller_says_what_it_can),
		ADMIN_TEST(capsules_have_the_ports_size),
		cmocka_unit_test_setup_teardown(capsules_without_data_hold_the_command_alone, setup_no_in_capsule,
						admin_teardown),
		ADMIN_TEST(reserved_bytes_are_zero),
		ADMIN_TEST(a_namespace_has_its_size_and_format),
		ADMIN_TEST(a_namespace_of_4096_byte_blocks_says_so),
		ADMIN_TEST(a_read_only_namespace_is_write_protected),
		ADMIN_TEST(a_namespace_has_its_identifiers),
		ADMIN_TEST(an_inactive_namespace_is_zeroes),
		ADMIN_TEST(an_nsid_that_cannot_be_is_refused),
		ADMIN_TEST(active_namespaces_are_listed_in_order),
		ADMIN_TEST(a_list_begins_above_the_nsid),
		ADMIN_TEST(a_list_above_the_last_nsids_is_refused),
		ADMIN_TEST(descriptors_tell_all_identifiers),
		ADMIN_TEST(derived_identifiers_have_no_eui64),
		ADMIN_TEST(descriptors_of_an_inactive_namespace_are_refused),
		ADMIN_TEST(the_nvm_command_set_has_no_further_limits),
		ADMIN_TEST(other_command_sets_are_refused),
		ADMIN_TEST(a_namespace_is_ready_whatever_its_command_set),
		ADMIN_TEST(the_nvm_command_set_is_the_only_one),
		ADMIN_TEST(command_sets_of_an_unknown_controller_are_refused),
		ADMIN_TEST(unknown_structures_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
