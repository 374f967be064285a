/* SPDX-License-Identifier: BSD-3-Clause */
/* The discovery controller and its log. */
#include "admin_util.h"

#define LOG_HEADER 1024u
#define LOG_ENTRY 1024u
#define SC_INVALID_LOG_PAGE (SC_CMD_SPECIFIC | 0x09)

static unsigned char buf[64 * 1024];

static const struct nvmf_discovery_log *read_log(struct admin_world *w)
{
	assert_int_equal(admin_log(w, 0x70, 0, buf, sizeof(buf)), 0);
	return (void *)buf;
}

/* Entries with this NQN; the last of them in @entry. */
static unsigned int find(const struct nvmf_discovery_log *log, const char *nqn,
			 const struct nvmf_disc_log_entry **entry)
{
	unsigned int n = 0;

	for (uint64_t i = 0; i < le64toh(log->numrec); i++) {
		if (strcmp(log->entries[i].subnqn, nqn) != 0)
			continue;
		*entry = &log->entries[i];
		n++;
	}
	return n;
}

static void the_log_names_the_subsystem(void **state)
{
	struct admin_world *w = *state;
	const struct nvmf_discovery_log *log = read_log(w);
	const struct nvmf_disc_log_entry *entry = NULL;

	assert_int_equal(le64toh(log->numrec), 2);
	assert_int_equal(le16toh(log->recfmt), 0);
	assert_int_equal(find(log, TH_NQN, &entry), 1);
	assert_int_equal(entry->subtype, 2);
	assert_int_equal(entry->trtype, w->t.transport == TH_LOOPBACK ? 254 : 3);
	assert_int_equal(le16toh(entry->cntlid), 0xffff);
	assert_int_equal(le16toh(entry->asqsz), 32);
}

static void the_log_names_the_discovery_subsystem_itself(void **state)
{
	const struct nvmf_discovery_log *log = read_log(*state);

	assert_int_equal(log->entries[0].subtype, 3);
	assert_string_equal(log->entries[0].subnqn, "nqn.2014-08.org.nvmexpress.discovery");
	assert_int_equal(le16toh(log->entries[0].eflags), 3);
}

static void subsystems_that_are_not_linked_are_not_named(void **state)
{
	struct admin_world *w = *state;
	const struct nvmf_disc_log_entry *entry;

	assert_int_equal(nvmft_port_unlink(w->t.port, w->subsys), 0);
	th_settle(&w->t);
	assert_int_equal(find(read_log(w), TH_NQN, &entry), 0);
}

static void a_removed_subsystem_is_not_named(void **state)
{
	const struct nvmf_disc_log_entry *entry;
	struct admin_world *w = *state;
	struct th_done done;

	th_add_subsystem(&w->t, "nqn.2024-01.org.example:other");
	assert_int_equal(nvmft_subsystem_remove(w->subsys, th_done_init(&done)), 0);
	assert_int_equal(th_done_wait(&w->t, &done), 0);
	assert_int_equal(find(read_log(w), TH_NQN, &entry), 0);
}

static void subsystems_of_other_hosts_are_not_named(void **state)
{
	struct admin_world *w = *state;
	const struct nvmf_disc_log_entry *entry;
	struct nvmft_host *host;

	assert_int_equal(nvmft_subsystem_allow_any_host(w->subsys, false), 0);
	th_settle(&w->t);
	assert_int_equal(find(read_log(w), TH_NQN, &entry), 0);
	assert_int_equal(nvmft_host_create(w->t.target, TH_HOSTNQN, &host), 0);
	assert_int_equal(nvmft_subsystem_allow_host(w->subsys, host), 0);
	th_settle(&w->t);
	assert_int_equal(find(read_log(w), TH_NQN, &entry), 1);
}

static void every_port_is_named(void **state)
{
	struct admin_world *w = *state;
	struct nvmft_port_opts opts = {.size = sizeof(opts), .transport = nvmft_transport_loopback()};
	const struct nvmf_disc_log_entry *entry = NULL;
	struct nvmft_port *second;

	th_loopback_only(TH_USUAL, "a host that came over TCP is not told of loopback ports");
	assert_int_equal(nvmft_port_add(w->t.target, &opts, &second), 0);
	assert_int_equal(nvmft_port_link(second, w->subsys), 0);
	th_settle(&w->t);
	assert_int_equal(find(read_log(w), TH_NQN, &entry), 2);
	assert_int_equal(le16toh(entry->portid), 2);
}

static void referrals_are_named(void **state)
{
	struct admin_world *w = *state;
	struct nvmft_referral_opts opts = {
		.size = sizeof(opts), .portid = 7, .trtype = 3, .adrfam = 1, .traddr = "192.0.2.9", .trsvcid = "8009"};
	const struct nvmf_discovery_log *log;
	const struct nvmf_disc_log_entry *last;

	assert_int_equal(nvmft_port_add_referral(w->t.port, &opts), 0);
	th_settle(&w->t);
	log = read_log(w);
	assert_int_equal(le64toh(log->numrec), 3);
	last = &log->entries[2];
	assert_int_equal(last->subtype, 1);
	assert_int_equal(last->trtype, 3);
	assert_memory_equal(last->traddr, "192.0.2.9 ", 10);
	assert_memory_equal(last->trsvcid, "8009 ", 5);
	assert_int_equal(nvmft_port_remove_referral(w->t.port, "192.0.2.9", "8009"), 0);
	th_settle(&w->t);
	assert_int_equal(le64toh(read_log(w)->numrec), 2);
}

static void static_controllers_are_announced(void **state)
{
	struct admin_world *w = *state;
	const struct nvmft_subsystem_opts opts = {.size = sizeof(opts),
						  .nqn = "nqn.2024-01.org.example:static",
						  .model_kind = NVMFT_CONTROLLERS_STATIC,
						  .cntlid_max = 8,
						  .allow_any_host = true};
	const struct nvmf_disc_log_entry *entry = NULL;

	th_add_subsystem_opts(&w->t, &opts);
	th_settle(&w->t);
	assert_int_equal(find(read_log(w), opts.nqn, &entry), 1);
	assert_int_equal(le16toh(entry->cntlid), 0xfffe);
}

static void the_generation_counts_changes(void **state)
{
	struct admin_world *w = *state;
	uint64_t before = le64toh(read_log(w)->genctr);

	assert_int_equal(le64toh(read_log(w)->genctr), before);
	th_add_subsystem(&w->t, "nqn.2024-01.org.example:new");
	th_settle(&w->t);
	assert_true(le64toh(read_log(w)->genctr) > before);
}

/* So that nobody reads the log again in vain. */
static void the_generation_does_not_count_other_changes(void **state)
{
	struct admin_world *w = *state;
	uint64_t before = le64toh(read_log(w)->genctr);

	th_add_memory(w->subsys, 1 << 20, 512);
	th_settle(&w->t);
	assert_int_equal(le64toh(read_log(w)->genctr), before);
}

/* ---- paging ---- */

static void the_log_can_be_read_in_pieces(void **state)
{
	static const uint32_t pieces[] = {4, 512, 1000, 1024, 1028, 4096};
	struct admin_world *w = *state;
	static unsigned char whole[16 * 1024], part[4096];
	uint32_t size;

	for (unsigned int i = 0; i < 5; i++) {
		char nqn[64];

		snprintf(nqn, sizeof(nqn), "nqn.2024-01.org.example:n%u", i);
		th_add_subsystem(&w->t, nqn);
	}
	th_settle(&w->t);
	assert_int_equal(admin_log(w, 0x70, 0, whole, sizeof(whole)), 0);
	size = LOG_HEADER + 7 * LOG_ENTRY;
	for (size_t i = 0; i < COUNT(pieces); i++)
		for (uint32_t at = 0; at < size; at += pieces[i]) {
			assert_int_equal(admin_log(w, 0x70, at, part, pieces[i]), 0);
			assert_memory_equal(part, whole + at, pieces[i]);
		}
}

static void nothing_is_read_from_beyond_the_log(void **state)
{
	static const uint64_t beyond[] = {4, 1024, 1ull << 31, 1ull << 32, 1ull << 63, UINT64_MAX - 3};
	uint32_t size = LOG_HEADER + 2 * LOG_ENTRY;

	for (size_t i = 0; i < COUNT(beyond); i++) {
		uint64_t offset = beyond[i] <= 1024 ? size + beyond[i] : beyond[i];

		assert_int_equal(admin_log(*state, 0x70, offset, buf, 4096), TH_SC_INVALID_FIELD | DNR);
	}
	assert_int_equal(admin_log(*state, 0x70, size, buf, 4096), 0);
	assert_true(th_zero(buf, 4096));
	assert_int_equal(admin_log(*state, 0x70, size - 4, buf, 4096), 0);
	assert_true(th_zero(buf + 4, 4092));
}

/* ---- the controller ---- */

static void it_identifies_as_a_discovery_controller(void **state)
{
	struct nvme_id_ctrl *id = (void *)buf;

	assert_int_equal(admin_identify(*state, 0x01, 0, buf), 0);
	assert_int_equal(id->cntrltype, 2);
	assert_string_equal(id->subnqn, "nqn.2014-08.org.nvmexpress.discovery");
	assert_true(le32toh(id->oaes) == 1u << 31);
	assert_int_equal(le32toh(id->nn), 0);
	assert_int_equal(id->lpa, 4);
	assert_int_equal(le16toh(id->kas), 1);
	assert_int_not_equal(id->maxcmd, 0);
	assert_int_equal(le32toh(id->sgls) & 3, 1);
}

static void it_has_nothing_else_to_identify(void **state)
{
	static const uint8_t structures[] = {0x00, 0x02, 0x03, 0x05, 0x06, 0x07, 0x08, 0x1c};

	for (size_t i = 0; i < COUNT(structures); i++)
		assert_int_equal(admin_identify(*state, structures[i], 1, buf), TH_SC_INVALID_FIELD | DNR);
}

static void it_has_no_other_log_pages(void **state)
{
	for (uint8_t lid = 1; lid < 6; lid++)
		assert_int_equal(admin_log(*state, lid, 0, buf, 512), SC_INVALID_LOG_PAGE | DNR);
}

static void it_says_which_log_pages_it_has(void **state)
{
	uint32_t *support = (void *)buf;

	assert_int_equal(admin_log(*state, 0x00, 0, buf, 1024), 0);
	for (unsigned int lid = 0; lid < 256; lid++)
		assert_int_equal(le32toh(support[lid]), lid == 0x00 || lid == 0x70 ? 1 : 0);
}

static void it_has_events_and_keep_alive_for_features(void **state)
{
	uint32_t value;

	assert_int_equal(admin_set_feature(*state, 0x0b, 1u << 31), 0);
	assert_int_equal(admin_get_feature(*state, 0x0b, 0, &value), 0);
	assert_true(value == 1u << 31);
	assert_int_equal(admin_get_feature(*state, 0x0f, 0, &value), 0);
	assert_int_equal(value, 10000);
	assert_int_equal(admin_set_feature(*state, 0x07, 0), TH_SC_INVALID_FIELD | DNR);
	assert_int_equal(admin_set_feature(*state, 0x0b, 1 << 8), TH_SC_INVALID_FIELD | DNR);
	assert_int_equal(admin_set_feature(*state, 0x0b, 1), TH_SC_INVALID_FIELD | DNR);
}

static int setup_forgotten(void **state)
{
	static const struct th_ctrl_opts opts = {.discovery = true};

	return admin_setup_opts(state, NULL, NULL, &opts);
}

static void a_forgotten_one_goes_away(void **state)
{
	struct admin_world *w = *state;

	th_advance_ms(&w->t, 119000);
	th_settle(&w->t);
	assert_false(atomic_load(&w->ctrl.admin.disconnected));
	th_advance_ms(&w->t, 130000);
	th_advance_ms(&w->t, 130000);
	th_settle(&w->t);
	assert_true(atomic_load(&w->ctrl.admin.disconnected));
}

static int setup_unique_nqn(void **state)
{
	static const struct th_opts opts = {.target = {.discovery_nqn = "nqn.2024-01.org.example:discovery"}};
	static const struct th_ctrl_opts ctrl = {.discovery = true};

	return admin_setup_opts(state, &opts, NULL, &ctrl);
}

static void a_unique_nqn_is_told(void **state)
{
	const struct nvmf_discovery_log *log = read_log(*state);

	assert_string_equal(log->entries[0].subnqn, "nqn.2024-01.org.example:discovery");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, admin_setup_discovery, admin_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_log_names_the_subsystem),
		TEST(the_log_names_the_discovery_subsystem_itself),
		TEST(subsystems_that_are_not_linked_are_not_named),
		TEST(a_removed_subsystem_is_not_named),
		TEST(subsystems_of_other_hosts_are_not_named),
		TEST(every_port_is_named),
		TEST(referrals_are_named),
		TEST(static_controllers_are_announced),
		TEST(the_generation_counts_changes),
		TEST(the_generation_does_not_count_other_changes),
		TEST(the_log_can_be_read_in_pieces),
		TEST(nothing_is_read_from_beyond_the_log),
		TEST(it_identifies_as_a_discovery_controller),
		TEST(it_has_nothing_else_to_identify),
		TEST(it_has_no_other_log_pages),
		TEST(it_says_which_log_pages_it_has),
		TEST(it_has_events_and_keep_alive_for_features),
		cmocka_unit_test_setup_teardown(a_forgotten_one_goes_away, setup_forgotten, admin_teardown),
		cmocka_unit_test_setup_teardown(a_unique_nqn_is_told, setup_unique_nqn, admin_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
