/* SPDX-License-Identifier: BSD-3-Clause */
/* Get Features, Set Features and opcodes. */
#include "admin_util.h"

#define SC_NOT_SAVEABLE (SC_CMD_SPECIFIC | 0x0d)
#define SC_NOT_CHANGEABLE (SC_CMD_SPECIFIC | 0x0e)
#define SC_NOT_PER_NS (SC_CMD_SPECIFIC | 0x0f)
#define SC_SEQUENCE 0x00c

static unsigned char buf[512];

static int setup_admin_only(void **state)
{
	static const struct th_ctrl_opts opts = {.no_io_queue = true, .kato_ms = 10000};

	return admin_setup_opts(state, NULL, NULL, &opts);
}

static void what_was_set_is_read_back(void **state)
{
	static const struct {
		uint8_t fid;
		uint32_t value;
	} cases[] = {{0x01, 0x11223303}, {0x02, 0x20}, {0x04, 350}, {0x05, 100}, {0x0a, 1}, {0x0b, 1 << 8}};
	uint32_t value;

	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(admin_set_feature(*state, cases[i].fid, cases[i].value), 0);
		assert_int_equal(admin_get_feature(*state, cases[i].fid, 0, &value), 0);
		assert_int_equal(value, cases[i].value);
	}
}

static void bits_without_a_meaning_are_not_kept(void **state)
{
	static const struct {
		uint8_t fid;
		uint32_t value, kept;
	} cases[] = {{0x02, 0xffffffe0, 0xe0}, {0x06, 0xffffffff, 1}, {0x0a, 0xffffffff, 1}};
	uint32_t value;

	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(admin_set_feature(*state, cases[i].fid, cases[i].value), 0);
		assert_int_equal(admin_get_feature(*state, cases[i].fid, 0, &value), 0);
		assert_int_equal(value, cases[i].kept);
	}
}

static nvmft_status get_select(struct admin_world *w, uint8_t fid, unsigned int sel, uint32_t *value)
{
	struct nvmft_sqe sqe;
	nvmft_status status;

	th_sqe_get_features(&sqe, fid, 0);
	sqe.cdw10 = htole32(fid | sel << 8);
	status = admin_exec(w, &sqe, NULL, 0);
	*value = le32toh(w->ctrl.admin.cqe.dw0);
	return status;
}

static void the_default_outlives_what_is_set(void **state)
{
	uint32_t value;

	assert_int_equal(admin_set_feature(*state, 0x04, 300), 0);
	assert_int_equal(get_select(*state, 0x04, 1, &value), 0);
	assert_int_equal(value, 343);
	assert_int_equal(get_select(*state, 0x04, 2, &value), 0);
	assert_int_equal(value, 343);
}

static void capabilities_tell_what_can_be_changed(void **state)
{
	uint32_t value;

	assert_int_equal(get_select(*state, 0x0b, 3, &value), 0);
	assert_int_equal(value, 4);
	assert_int_equal(get_select(*state, 0x81, 3, &value), 0);
	assert_int_equal(value, 0);
}

static void a_reserved_selection_is_refused(void **state)
{
	uint32_t value;

	assert_int_equal(get_select(*state, 0x0b, 4, &value), TH_SC_INVALID_FIELD | DNR);
}

static void nothing_can_be_saved(void **state)
{
	struct nvmft_sqe sqe;

	th_sqe_set_features(&sqe, 0x0b, 0);
	sqe.cdw10 |= htole32(1u << 31);
	assert_int_equal(admin_exec(*state, &sqe, NULL, 0), SC_NOT_SAVEABLE | DNR);
}

static void a_controller_feature_is_set_for_no_namespace(void **state)
{
	struct nvmft_sqe sqe;

	th_sqe_set_features(&sqe, 0x0b, 0);
	sqe.nsid = htole32(1);
	assert_int_equal(admin_exec(*state, &sqe, NULL, 0), SC_NOT_PER_NS | DNR);
	sqe.nsid = htole32(NSID_ALL);
	assert_int_equal(admin_exec(*state, &sqe, NULL, 0), 0);
}

static void unknown_features_are_refused(void **state)
{
	static const uint8_t unknown[] = {0x00, 0x03, 0x08, 0x09, 0x0c, 0x0d, 0x17, 0x80, 0xff};
	uint32_t value;

	for (size_t i = 0; i < COUNT(unknown); i++) {
		assert_int_equal(admin_get_feature(*state, unknown[i], 0, &value), TH_SC_INVALID_FIELD | DNR);
		assert_int_equal(admin_set_feature(*state, unknown[i], 0), TH_SC_INVALID_FIELD | DNR);
	}
}

static void values_out_of_range_are_refused(void **state)
{
	static const struct {
		uint8_t fid;
		uint32_t value;
	} cases[] = {
		{0x02, 1}, {0x04, 9u << 16}, {0x04, 2u << 20}, {0x05, 1u << 16}, {0x0b, 1u << 31}, {0x0b, 1u << 9},
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(admin_set_feature(*state, cases[i].fid, cases[i].value), TH_SC_INVALID_FIELD | DNR);
}

static void thresholds_are_kept_for_each_sensor(void **state)
{
	uint32_t value;

	assert_int_equal(admin_set_feature(*state, 0x04, 280 | 2u << 16 | 1u << 20), 0);
	assert_int_equal(admin_get_feature(*state, 0x04, 2u << 16 | 1u << 20, &value), 0);
	assert_int_equal(value, 280);
	assert_int_equal(admin_get_feature(*state, 0x04, 1u << 20, &value), 0);
	assert_int_equal(value, 0);
}

#define ALL_SENSORS (0xfu << 16)

static void thresholds_of_all_sensors_are_set_at_once(void **state)
{
	uint32_t value;

	assert_int_equal(admin_set_feature(*state, 0x04, 333 | ALL_SENSORS), 0);
	for (uint32_t sensor = 0; sensor < 9; sensor++) {
		assert_int_equal(admin_get_feature(*state, 0x04, sensor << 16, &value), 0);
		assert_int_equal(value, 333);
	}
}

static void thresholds_of_other_sensors_cannot_be_read(void **state)
{
	static const uint32_t selections[] = {9u << 16, ALL_SENSORS, 2u << 20, 3u << 20};
	uint32_t value;

	for (size_t i = 0; i < COUNT(selections); i++)
		assert_int_equal(admin_get_feature(*state, 0x04, selections[i], &value), TH_SC_INVALID_FIELD | DNR);
}

static void smart_warnings_may_be_asked_for(void **state)
{
	uint32_t value;

	assert_int_equal(admin_set_feature(*state, 0x0b, 0x1ff), 0);
	assert_int_equal(admin_get_feature(*state, 0x0b, 0, &value), 0);
	assert_int_equal(value, 0x1ff);
}

static void the_write_cache_can_be_turned_off_and_on(void **state)
{
	uint32_t value;

	assert_int_equal(get_select(*state, 0x06, 0, &value), 0);
	assert_int_equal(value, 1);
	assert_int_equal(admin_set_feature(*state, 0x06, 0), 0);
	assert_int_equal(get_select(*state, 0x06, 0, &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(admin_set_feature(*state, 0x06, 1), 0);
	assert_int_equal(get_select(*state, 0x06, 0, &value), 0);
	assert_int_equal(value, 1);
}

/* ---- 07h ---- */

static void as_many_queues_are_granted_as_asked_for(void **state)
{
	struct admin_world *w = *state;
	uint32_t value;

	assert_int_equal(admin_set_feature(w, 0x07, 3u << 16 | 3), 0);
	assert_int_equal(le32toh(w->ctrl.admin.cqe.dw0), 3u << 16 | 3);
	assert_int_equal(admin_get_feature(w, 0x07, 0, &value), 0);
	assert_int_equal(value, 3u << 16 | 3);
}

static void queues_are_granted_in_pairs(void **state)
{
	struct admin_world *w = *state;

	assert_int_equal(admin_set_feature(w, 0x07, 7u << 16 | 3), 0);
	assert_int_equal(le32toh(w->ctrl.admin.cqe.dw0), 3u << 16 | 3);
	assert_int_equal(admin_set_feature(w, 0x07, 2u << 16 | 7), 0);
	assert_int_equal(le32toh(w->ctrl.admin.cqe.dw0), 2u << 16 | 2);
}

static void no_more_queues_are_granted_than_there_are(void **state)
{
	struct admin_world *w = *state;

	assert_int_equal(admin_set_feature(w, 0x07, 0xfffeu << 16 | 0xfffe), 0);
	assert_int_equal(le32toh(w->ctrl.admin.cqe.dw0), 127u << 16 | 127);
}

static void ffff_queues_are_refused(void **state)
{
	assert_int_equal(admin_set_feature(*state, 0x07, 0xffff), TH_SC_INVALID_FIELD | DNR);
	assert_int_equal(admin_set_feature(*state, 0x07, 0xffff0000), TH_SC_INVALID_FIELD | DNR);
}

static void the_number_of_queues_is_agreed_before_they_connect(void **state)
{
	assert_int_equal(admin_set_feature(*state, 0x07, 3u << 16 | 3), SC_SEQUENCE | DNR);
}

/* ---- 0Fh ---- */

static void the_keep_alive_timeout_is_rounded_up(void **state)
{
	uint32_t value;

	assert_int_equal(admin_get_feature(*state, 0x0f, 0, &value), 0);
	assert_int_equal(value, 10000);
	assert_int_equal(admin_set_feature(*state, 0x0f, 7001), 0);
	assert_int_equal(admin_get_feature(*state, 0x0f, 0, &value), 0);
	assert_int_equal(value, 7100);
}

static void the_keep_alive_timeout_of_connect_is_no_default(void **state)
{
	uint32_t value;

	assert_int_equal(get_select(*state, 0x0f, 1, &value), 0);
	assert_int_equal(value, 0);
}

/* ---- 16h ---- */

static nvmft_status host_behavior(struct admin_world *w, uint8_t opcode)
{
	struct nvmft_sqe sqe;

	th_sqe_init(&sqe, opcode, 0);
	sqe.cdw10 = htole32(0x16);
	return admin_exec(w, &sqe, buf, 512);
}

static void host_behavior_is_kept(void **state)
{
	memset(buf, 0, sizeof(buf));
	buf[0] = 1;
	assert_int_equal(host_behavior(*state, 0x09), 0);
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(host_behavior(*state, 0x0a), 0);
	assert_int_equal(buf[0], 1);
	assert_true(th_zero(buf + 1, 511));
}

static void host_behavior_is_a_yes_or_no(void **state)
{
	memset(buf, 0, sizeof(buf));
	buf[2] = 2;
	assert_int_equal(host_behavior(*state, 0x09), TH_SC_INVALID_FIELD | DNR);
}

/* ---- 81h ---- */

static nvmft_status host_id(struct admin_world *w, uint8_t opcode, uint32_t exhid)
{
	struct nvmft_sqe sqe;

	th_sqe_init(&sqe, opcode, 0);
	sqe.cdw10 = htole32(0x81);
	sqe.cdw11 = htole32(exhid);
	return admin_exec(w, &sqe, buf, 16);
}

static void the_host_identifier_is_that_of_connect(void **state)
{
	memset(buf, 0, sizeof(buf));
	assert_int_equal(host_id(*state, 0x0a, 1), 0);
	assert_memory_equal(buf, th_host_id, 16);
}

static void the_short_host_identifier_is_refused(void **state)
{
	assert_int_equal(host_id(*state, 0x0a, 0), TH_SC_INVALID_FIELD | DNR);
}

static void the_host_identifier_cannot_be_set(void **state)
{
	assert_int_equal(host_id(*state, 0x09, 1), SC_SEQUENCE | DNR);
}

/* ---- resets and opcodes ---- */

static void a_reset_restores_the_defaults(void **state)
{
	struct admin_world *w = *state;
	uint32_t value;

	assert_int_equal(admin_set_feature(w, 0x0b, 1 << 8), 0);
	assert_int_equal(th_property_set(&w->ctrl.admin, 0x14, false, 0x00460000), 0);
	assert_int_equal(th_property_set(&w->ctrl.admin, 0x14, false, 0x00460001), 0);
	assert_int_equal(admin_get_feature(w, 0x0b, 0, &value), 0);
	assert_int_equal(value, 0);
}

static void unknown_opcodes_are_refused(void **state)
{
	static const uint8_t known[] = {0x02, 0x06, 0x08, 0x09, 0x0a, 0x0c, 0x18, 0x7f};
	struct nvmft_sqe sqe;

	for (unsigned int opcode = 0; opcode < 256; opcode++) {
		if (memchr(known, (int)opcode, sizeof(known)))
			continue;
		th_sqe_init(&sqe, (uint8_t)opcode, 0);
		assert_int_equal(admin_exec(*state, &sqe, NULL, 0), 0x001 | DNR);
	}
}

static void an_admin_command_is_never_fused(void **state)
{
	struct nvmft_sqe sqe;

	th_sqe_get_features(&sqe, 0x0b, 0);
	sqe.flags |= TH_FUSE_FIRST;
	assert_int_equal(admin_exec(*state, &sqe, NULL, 0), TH_SC_INVALID_FIELD | DNR);
}

#define ALONE(name) cmocka_unit_test_setup_teardown(name, setup_admin_only, admin_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ADMIN_TEST(what_was_set_is_read_back),
		ADMIN_TEST(bits_without_a_meaning_are_not_kept),
		ADMIN_TEST(the_default_outlives_what_is_set),
		ADMIN_TEST(capabilities_tell_what_can_be_changed),
		ADMIN_TEST(a_reserved_selection_is_refused),
		ADMIN_TEST(nothing_can_be_saved),
		ADMIN_TEST(a_controller_feature_is_set_for_no_namespace),
		ADMIN_TEST(unknown_features_are_refused),
		ADMIN_TEST(values_out_of_range_are_refused),
		ADMIN_TEST(thresholds_are_kept_for_each_sensor),
		ADMIN_TEST(thresholds_of_all_sensors_are_set_at_once),
		ADMIN_TEST(thresholds_of_other_sensors_cannot_be_read),
		ADMIN_TEST(smart_warnings_may_be_asked_for),
		ADMIN_TEST(the_write_cache_can_be_turned_off_and_on),
		ALONE(as_many_queues_are_granted_as_asked_for),
		ALONE(queues_are_granted_in_pairs),
		ALONE(no_more_queues_are_granted_than_there_are),
		ALONE(ffff_queues_are_refused),
		ADMIN_TEST(the_number_of_queues_is_agreed_before_they_connect),
		ALONE(the_keep_alive_timeout_is_rounded_up),
		ALONE(the_keep_alive_timeout_of_connect_is_no_default),
		ADMIN_TEST(host_behavior_is_kept),
		ADMIN_TEST(host_behavior_is_a_yes_or_no),
		ADMIN_TEST(the_host_identifier_is_that_of_connect),
		ADMIN_TEST(the_short_host_identifier_is_refused),
		ADMIN_TEST(the_host_identifier_cannot_be_set),
		ALONE(a_reset_restores_the_defaults),
		ADMIN_TEST(unknown_opcodes_are_refused),
		ADMIN_TEST(an_admin_command_is_never_fused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
