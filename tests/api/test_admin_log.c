/* SPDX-License-Identifier: BSD-3-Clause */
/* Get Log Page and the counters behind it. */
#include "admin_util.h"

#define SC_INVALID_LOG_PAGE (SC_CMD_SPECIFIC | 0x09)

static unsigned char buf[8192];

/* ---- the command ---- */

static const struct {
	uint8_t lid;
	uint32_t size;
} pages[] = {{0x00, 1024}, {0x01, 4096}, {0x02, 512}, {0x03, 512}, {0x04, 4096}, {0x05, 4096}};

static void every_page_can_be_read(void **state)
{
	for (size_t i = 0; i < COUNT(pages); i++)
		assert_int_equal(admin_log(*state, pages[i].lid, 0, buf, pages[i].size), 0);
}

static void an_offset_up_to_the_end_is_good(void **state)
{
	static unsigned char whole[4096];

	for (size_t i = 0; i < COUNT(pages); i++) {
		uint32_t size = pages[i].size;

		assert_int_equal(admin_log(*state, pages[i].lid, 0, whole, size), 0);
		assert_int_equal(admin_log(*state, pages[i].lid, 4, buf, size - 4), 0);
		/* A page that counts itself changes from read to read. */
		if (pages[i].lid != 0x02)
			assert_memory_equal(buf, whole + 4, size - 4);
		assert_int_equal(admin_log(*state, pages[i].lid, size - 4, buf, 4), 0);
		assert_int_equal(admin_log(*state, pages[i].lid, size, buf, 4), 0);
		assert_true(th_zero(buf, 4));
	}
}

static void an_offset_beyond_the_end_is_refused(void **state)
{
	static const uint64_t beyond[] = {4, 4096, 1ull << 32, 1ull << 63, UINT64_MAX - 3};

	for (size_t i = 0; i < COUNT(pages); i++)
		for (size_t j = 0; j < COUNT(beyond); j++) {
			uint64_t offset = beyond[j] + (beyond[j] <= 4096 ? pages[i].size : 0);

			assert_int_equal(admin_log(*state, pages[i].lid, offset, buf, 4), TH_SC_INVALID_FIELD | DNR);
		}
}

static void what_lies_behind_the_end_is_zero(void **state)
{
	for (size_t i = 0; i < COUNT(pages); i++) {
		assert_int_equal(admin_log(*state, pages[i].lid, pages[i].size - 4, buf, sizeof(buf)), 0);
		assert_true(th_zero(buf + 4, sizeof(buf) - 4));
	}
}

static void an_odd_offset_is_refused(void **state)
{
	for (uint64_t offset = 1; offset < 4; offset++)
		assert_int_equal(admin_log(*state, 0x02, offset, buf, 512), TH_SC_INVALID_FIELD | DNR);
}

static void an_offset_by_index_is_refused(void **state)
{
	struct nvmft_sqe sqe;

	th_sqe_log(&sqe, 0x02, 0, 0, 512, false);
	sqe.cdw14 = htole32(1u << 23);
	assert_int_equal(admin_exec(*state, &sqe, buf, 512), TH_SC_INVALID_FIELD | DNR);
}

static void more_than_mdts_is_refused(void **state)
{
	struct nvmft_sqe sqe;

	th_sqe_log(&sqe, 0x02, 0, 0, 512, false);
	sqe.cdw10 |= htole32(0xffff0000);
	sqe.cdw11 |= htole32(0xffff);
	assert_int_equal(admin_exec(*state, &sqe, buf, 512), TH_SC_INVALID_FIELD | DNR);
}

static void unknown_pages_are_refused(void **state)
{
	static const uint8_t unknown[] = {0x06, 0x0c, 0x70, 0x80, 0xff};

	for (size_t i = 0; i < COUNT(unknown); i++)
		assert_int_equal(admin_log(*state, unknown[i], 0, buf, 512), SC_INVALID_LOG_PAGE | DNR);
}

static void a_page_of_the_controller_has_no_namespace(void **state)
{
	struct nvmft_sqe sqe;

	th_sqe_log(&sqe, 0x03, 1, 0, 512, false);
	assert_int_equal(admin_exec(*state, &sqe, buf, 512), TH_SC_INVALID_FIELD | DNR);
	th_sqe_log(&sqe, 0x03, NSID_ALL, 0, 512, false);
	assert_int_equal(admin_exec(*state, &sqe, buf, 512), 0);
}

/* ---- 00h, 03h, 05h ---- */

static void page_00_names_the_pages(void **state)
{
	uint32_t *support = (void *)buf;

	assert_int_equal(admin_log(*state, 0x00, 0, buf, 1024), 0);
	for (unsigned int lid = 0; lid < 256; lid++)
		assert_int_equal(le32toh(support[lid]), lid < 6 ? 1 : 0);
}

static void page_03_has_the_firmware_revision(void **state)
{
	static unsigned char id[4096];

	assert_int_equal(admin_log(*state, 0x03, 0, buf, 512), 0);
	assert_int_equal(buf[0], 1);
	assert_int_equal(admin_identify(*state, 0x01, 0, id), 0);
	assert_memory_equal(buf + 8, id + 64, 8);
	assert_true(th_zero(buf + 16, 496));
}

static void page_05_names_the_commands(void **state)
{
	uint32_t *admin = (void *)buf, *io = admin + 256;

	assert_int_equal(admin_log(*state, 0x05, 0, buf, 4096), 0);
	assert_int_equal(le32toh(admin[0x06]), 1);
	assert_int_equal(le32toh(admin[0x10]), 0);
	assert_int_equal(le32toh(io[TH_READ]), 1);
	assert_int_equal(le32toh(io[TH_WRITE]), 3);
	assert_int_equal(le32toh(io[TH_WRITE_ZEROES]), 3);
	assert_int_equal(le32toh(io[0x04]), 0);
}

static void page_05_is_there_for_zones_without_zoned_namespaces(void **state)
{
	struct admin_world *w = *state;
	struct nvmft_sqe sqe;

	th_sqe_log(&sqe, 0x05, 0, 0, 4096, false);
	sqe.cdw14 = htole32(2u << 24);
	assert_int_equal(admin_exec(w, &sqe, buf, 4096), 0);
	assert_int_equal(le32toh(((uint32_t *)(void *)buf)[256 + 0x7d]), 0);
}

/* ---- 01h ---- */

static struct nvme_error_log_page *read_errors(struct admin_world *w)
{
	assert_int_equal(admin_log(w, 0x01, 0, buf, 4096), 0);
	return (void *)buf;
}

static void a_refused_admin_command_is_logged(void **state)
{
	struct admin_world *w = *state;
	struct nvme_error_log_page *log;
	uint32_t value;
	uint16_t cid;

	assert_int_equal(admin_get_feature(w, 0xee, 0, &value), TH_SC_INVALID_FIELD | DNR);
	cid = w->ctrl.admin.cqe.cid;
	log = read_errors(w);
	assert_int_equal(le64toh(log->error_count), 1);
	assert_int_equal(le16toh(log->sqid), 0);
	assert_int_equal(log->cmdid, cid);
	assert_int_equal(le16toh(log->status_field), (TH_SC_INVALID_FIELD | DNR) << 1);
	assert_int_equal(le16toh(log->parm_error_location), 40);
	assert_int_equal(log->trtype, w->t.transport == TH_LOOPBACK ? 254 : 3);
	assert_int_equal(log[1].error_count, 0);
}

/* Bytes 44 to 47 are CDW11. */
static void a_bad_value_of_a_feature_is_logged_with_its_place(void **state)
{
	static const struct {
		uint8_t fid;
		uint32_t value;
		uint16_t place;
	} cases[] = {{0x02, 1, 44}, {0x04, 9u << 16, 46}, {0x07, 0xffff, 44}, {0x07, 0xffff0000, 46}};

	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(admin_set_feature(*state, cases[i].fid, cases[i].value), TH_SC_INVALID_FIELD | DNR);
		assert_int_equal(le16toh(read_errors(*state)->parm_error_location), cases[i].place);
	}
}

static void a_refused_io_command_is_logged_with_its_lba(void **state)
{
	struct admin_world *w = *state;
	struct nvme_error_log_page *log;

	assert_int_equal(th_sc(th_read(&w->ctrl, 1, 1 << 20, 1, buf, 512)), TH_SC_LBA_RANGE);
	log = read_errors(w);
	assert_int_equal(le16toh(log->sqid), 1);
	assert_int_equal(le64toh(log->lba), 1 << 20);
	assert_int_equal(le32toh(log->nsid), 1);
}

static void reading_the_error_log_keeps_it(void **state)
{
	struct admin_world *w = *state;

	assert_int_equal(th_sc(th_read(&w->ctrl, 1, 1 << 20, 1, buf, 512)), TH_SC_LBA_RANGE);
	assert_int_equal(le64toh(read_errors(w)->error_count), 1);
	assert_int_equal(le64toh(read_errors(w)->error_count), 1);
}

static int setup_two_groups(void **state)
{
	static const struct th_opts opts = {.groups = 2};
	static const struct th_ctrl_opts ctrl = {.io_queues = 2};

	return admin_setup_opts(state, &opts, NULL, &ctrl);
}

static void errors_of_other_groups_arrive(void **state)
{
	struct admin_world *w = *state;
	struct nvmft_sqe sqe;

	th_sqe_rw(&sqe, TH_READ, 1, 1 << 20, 1);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(th_sc(th_exec(&w->ctrl.io[i], &sqe, buf, 512)), TH_SC_LBA_RANGE);
	th_settle(&w->t);
	assert_int_equal(le64toh(read_errors(w)->error_count), 2);
}

/* ---- 02h ---- */

static struct nvme_smart_log *read_smart(struct admin_world *w, uint32_t nsid)
{
	struct nvmft_sqe sqe;

	th_sqe_log(&sqe, 0x02, nsid, 0, 512, false);
	assert_int_equal(admin_exec(w, &sqe, buf, 512), 0);
	return (void *)buf;
}

static uint64_t smart_counter(const uint8_t field[16])
{
	uint64_t value;

	memcpy(&value, field, sizeof(value));
	assert_true(th_zero(field + 8, 8));
	return le64toh(value);
}

static void smart_tells_of_good_health(void **state)
{
	struct nvme_smart_log *log = read_smart(*state, NSID_ALL);

	assert_int_equal(log->critical_warning, 0);
	assert_int_equal(log->temperature[0] | log->temperature[1] << 8, 310);
	assert_int_equal(log->avail_spare, 100);
	assert_int_equal(log->spare_thresh, 10);
	assert_int_equal(log->percent_used, 0);
}

static void smart_counts_commands_and_data(void **state)
{
	struct admin_world *w = *state;
	static unsigned char data[65536];
	struct nvme_smart_log *log;

	/* 1001 blocks of 512 bytes are two data units. */
	for (unsigned int i = 0; i < 7; i++)
		assert_int_equal(th_write(&w->ctrl, 1, 0, 128, data, sizeof(data)), 0);
	assert_int_equal(th_write(&w->ctrl, 1, 0, 105, data, 105 * 512), 0);
	assert_int_equal(th_read(&w->ctrl, 1, 0, 1, data, 512), 0);
	log = read_smart(w, 0);
	assert_int_equal(smart_counter(log->host_writes), 8);
	assert_int_equal(smart_counter(log->data_units_written), 2);
	assert_int_equal(smart_counter(log->host_reads), 1);
	assert_int_equal(smart_counter(log->data_units_read), 1);
}

static void smart_of_a_namespace_is_its_own(void **state)
{
	struct admin_world *w = *state;
	static unsigned char data[4096];

	th_add_memory(w->subsys, 1 << 20, 4096);
	th_settle(&w->t);
	assert_int_equal(th_read(&w->ctrl, 2, 0, 1, data, sizeof(data)), 0);
	assert_int_equal(th_read(&w->ctrl, 1, 0, 1, data, 512), 0);
	assert_int_equal(smart_counter(read_smart(w, 1)->host_reads), 1);
	assert_int_equal(smart_counter(read_smart(w, 2)->host_reads), 1);
	assert_int_equal(smart_counter(read_smart(w, 0)->host_reads), 2);
}

static void smart_of_an_inactive_namespace_is_refused(void **state)
{
	struct nvmft_sqe sqe;

	th_sqe_log(&sqe, 0x02, 2, 0, 512, false);
	assert_int_equal(admin_exec(*state, &sqe, buf, 512), TH_SC_INVALID_NS | DNR);
}

static void smart_counts_errors_and_hours(void **state)
{
	struct admin_world *w = *state;
	struct nvme_smart_log *log;
	uint64_t hours = smart_counter(read_smart(w, 0)->power_on_hours);
	uint32_t value;

	admin_get_feature(w, 0xee, 0, &value);
	th_advance_ms(&w->t, 3 * 3600 * 1000);
	log = read_smart(w, 0);
	assert_int_equal(smart_counter(log->num_err_log_entries), 1);
	assert_int_equal(smart_counter(log->media_errors), 0);
	assert_int_equal(smart_counter(log->power_on_hours), hours + 3);
}

/* ---- the public counters ---- */

static void the_targets_counters_count(void **state)
{
	struct admin_world *w = *state;
	struct nvmft_target_stats before = {.size = sizeof(before)}, after = {.size = sizeof(after)};

	assert_int_equal(nvmft_target_stats(w->t.target, &before), 0);
	assert_int_equal(th_read(&w->ctrl, 1, 0, 1, buf, 512), 0);
	assert_int_equal(th_sc(th_read(&w->ctrl, 1, 1 << 20, 1, buf, 512)), TH_SC_LBA_RANGE);
	assert_int_equal(nvmft_target_stats(w->t.target, &after), 0);
	assert_int_equal(after.io_cmds - before.io_cmds, 2);
	assert_int_equal(after.errors - before.errors, 1);
	assert_int_equal(after.connections, 2);
	assert_int_equal(after.queues, 2);
}

static void the_namespaces_counters_count(void **state)
{
	struct admin_world *w = *state;
	struct nvmft_namespace_stats stats = {.size = sizeof(stats)};

	assert_int_equal(th_read(&w->ctrl, 1, 0, 8, buf, 4096), 0);
	assert_int_equal(th_write(&w->ctrl, 1, 0, 4, buf, 2048), 0);
	assert_int_equal(nvmft_namespace_stats(w->ns, &stats), 0);
	assert_int_equal(stats.reads, 1);
	assert_int_equal(stats.read_blocks, 8);
	assert_int_equal(stats.writes, 1);
	assert_int_equal(stats.written_blocks, 4);
}

static void an_older_callers_structure_is_not_overrun(void **state)
{
	struct admin_world *w = *state;
	struct nvmft_target_stats stats;

	memset(&stats, 0xee, sizeof(stats));
	stats.size = offsetof(struct nvmft_target_stats, idle_polls);
	assert_int_equal(nvmft_target_stats(w->t.target, &stats), 0);
	assert_true(stats.idle_polls == 0xeeeeeeeeeeeeeeee);
	assert_true(stats.polls != 0xeeeeeeeeeeeeeeee);
	stats.size = 0;
	assert_int_equal(nvmft_target_stats(w->t.target, &stats), -EINVAL);
	assert_int_equal(nvmft_target_stats(w->t.target, NULL), -EINVAL);
	assert_int_equal(nvmft_namespace_stats(w->ns, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ADMIN_TEST(every_page_can_be_read),
		ADMIN_TEST(an_offset_up_to_the_end_is_good),
		ADMIN_TEST(an_offset_beyond_the_end_is_refused),
		ADMIN_TEST(what_lies_behind_the_end_is_zero),
		ADMIN_TEST(an_odd_offset_is_refused),
		ADMIN_TEST(an_offset_by_index_is_refused),
		ADMIN_TEST(more_than_mdts_is_refused),
		ADMIN_TEST(unknown_pages_are_refused),
		ADMIN_TEST(a_page_of_the_controller_has_no_namespace),
		ADMIN_TEST(page_00_names_the_pages),
		ADMIN_TEST(page_03_has_the_firmware_revision),
		ADMIN_TEST(page_05_names_the_commands),
		ADMIN_TEST(page_05_is_there_for_zones_without_zoned_namespaces),
		ADMIN_TEST(a_refused_admin_command_is_logged),
		ADMIN_TEST(a_bad_value_of_a_feature_is_logged_with_its_place),
		ADMIN_TEST(a_refused_io_command_is_logged_with_its_lba),
		ADMIN_TEST(reading_the_error_log_keeps_it),
		cmocka_unit_test_setup_teardown(errors_of_other_groups_arrive, setup_two_groups, admin_teardown),
		ADMIN_TEST(smart_tells_of_good_health),
		ADMIN_TEST(smart_counts_commands_and_data),
		ADMIN_TEST(smart_of_a_namespace_is_its_own),
		ADMIN_TEST(smart_of_an_inactive_namespace_is_refused),
		ADMIN_TEST(smart_counts_errors_and_hours),
		ADMIN_TEST(the_targets_counters_count),
		ADMIN_TEST(the_namespaces_counters_count),
		ADMIN_TEST(an_older_callers_structure_is_not_overrun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
