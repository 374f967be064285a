/* SPDX-License-Identifier: BSD-3-Clause */
/* Controllers: properties, enabling, reset, shutdown, and how an association ends. */
#include "admin_util.h"

#define REG_CAP 0x00
#define REG_VS 0x08
#define REG_CC 0x14
#define REG_CSTS 0x1c
#define REG_NSSR 0x20
#define REG_CRTO 0x68
#define CC_ENABLE 0x460001u

static uint64_t get(struct admin_world *w, uint32_t offset, bool eight)
{
	uint64_t value = 0;

	assert_int_equal(th_property_get(&w->ctrl.admin, offset, eight, &value), 0);
	return value;
}

static void cap_tells_the_depth_of_the_port(void **state)
{
	const struct admin_world *w = *state;
	uint64_t cap = get(*state, REG_CAP, true);

	assert_int_equal(cap & 0xffff, w->t.transport == TH_LOOPBACK ? 65535 : 1023);
	assert_int_equal(cap >> 16 & 1, 1);  /* CQR */
	assert_int_equal(cap >> 37 & 1, 1);  /* NVM command set */
	assert_int_equal(cap >> 48 & 0xf, 0); /* MPSMIN: 4 KiB */
}

static void version_is_2_0(void **state)
{
	assert_int_equal(get(*state, REG_VS, false), 0x20000);
}

static void enabled_controller_is_ready(void **state)
{
	assert_int_equal(get(*state, REG_CSTS, false), 1);
	assert_int_equal(get(*state, REG_CC, false) & 1, 1);
}

static void crto_and_nssr_can_be_read(void **state)
{
	assert_int_not_equal(get(*state, REG_CRTO, false), 0);
	assert_int_equal(get(*state, REG_NSSR, false), 0);
}

static void unknown_offsets_and_sizes_are_invalid_fields(void **state)
{
	static const struct {
		uint32_t offset;
		bool eight;
	} bad[] = {{REG_CAP, false}, {REG_VS, true}, {REG_CC, true}, {0x28, true}, {4, false}, {1, false}, {0xffffffff, false}};
	struct admin_world *w = *state;
	uint64_t value;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(th_property_get(&w->ctrl.admin, bad[i].offset, bad[i].eight, &value),
				 TH_SC_INVALID_FIELD | DNR);
	assert_int_equal(th_property_set(&w->ctrl.admin, REG_CSTS, false, 0), TH_SC_INVALID_FIELD | DNR);
	assert_int_equal(th_property_set(&w->ctrl.admin, REG_CC, true, 0), TH_SC_INVALID_FIELD | DNR);
}

static void properties_are_for_admin_queues(void **state)
{
	struct admin_world *w = *state;
	uint64_t value;

	assert_int_equal(th_property_get(&w->ctrl.io[0], REG_VS, false, &value), 0x001 | DNR);
}

static void wrong_entry_sizes_cannot_be_enabled(void **state)
{
	struct admin_world *w = *state;

	assert_int_equal(th_property_set(&w->ctrl.admin, REG_CC, false, 0), 0);
	th_settle(&w->t);
	assert_int_equal(th_property_set(&w->ctrl.admin, REG_CC, false, 0x450001), 0);
	assert_int_equal(get(w, REG_CSTS, false), 2); /* CFS */
}

static void reset_closes_the_io_queues(void **state)
{
	struct admin_world *w = *state;

	assert_int_equal(th_property_set(&w->ctrl.admin, REG_CC, false, CC_ENABLE & ~1u), 0);
	th_settle(&w->t);
	assert_true(w->ctrl.io[0].disconnected);
	assert_int_equal(get(w, REG_CSTS, false), 0);
}

static void controller_can_be_used_again_after_a_reset(void **state)
{
	struct nvmft_loopback_opts opts = {.size = sizeof(opts), .hostnqn = TH_HOSTNQN, .qid = 1};
	struct admin_world *w = *state;
	struct nvmft_sqe sqe;
	struct th_queue io;
	char buf[512];

	assert_int_equal(th_property_set(&w->ctrl.admin, REG_CC, false, CC_ENABLE & ~1u), 0);
	assert_int_equal(th_property_set(&w->ctrl.admin, REG_CC, false, CC_ENABLE), 0);
	th_settle(&w->t);
	assert_int_equal(get(w, REG_CSTS, false), 1);
	opts.cntlid = w->ctrl.cntlid;
	memcpy(opts.hostid, th_host_id, sizeof(opts.hostid));
	assert_int_equal(th_connect(&w->t, &io, &opts), 0);
	th_sqe_rw(&sqe, TH_READ, 1, 0, 1);
	assert_int_equal(th_exec(&io, &sqe, buf, sizeof(buf)), 0);
	th_disconnect(&io);
}

static void shutdown_is_reported_complete(void **state)
{
	struct admin_world *w = *state;

	assert_int_equal(th_property_set(&w->ctrl.admin, REG_CC, false, CC_ENABLE | 1u << 14), 0);
	assert_int_equal(get(w, REG_CSTS, false) >> 2 & 3, 2);
}

static void loss_of_the_admin_queue_ends_the_association(void **state)
{
	struct admin_world *w = *state;

	th_disconnect(&w->ctrl.admin);
	th_settle(&w->t);
	assert_true(w->ctrl.io[0].disconnected);
}

static void loss_of_an_io_queue_does_not(void **state)
{
	struct nvmft_loopback_opts opts = {.size = sizeof(opts), .hostnqn = TH_HOSTNQN, .qid = 1};
	struct admin_world *w = *state;
	struct th_queue again;

	th_disconnect(&w->ctrl.io[0]);
	th_settle(&w->t);
	assert_int_equal(get(w, REG_CSTS, false), 1);
	opts.cntlid = w->ctrl.cntlid;
	memcpy(opts.hostid, th_host_id, sizeof(opts.hostid));
	assert_int_equal(th_connect(&w->t, &again, &opts), 0);
	th_disconnect(&again);
}

static void removed_subsystem_ends_its_associations(void **state)
{
	struct admin_world *w = *state;
	struct th_done done;

	assert_int_equal(nvmft_subsystem_remove(w->subsys, th_done_init(&done)), 0);
	assert_int_equal(th_done_wait(&w->t, &done), 0);
	assert_true(w->ctrl.admin.disconnected);
	assert_true(w->ctrl.io[0].disconnected);
	assert_null(nvmft_subsystem_find(w->t.target, TH_NQN));
}

/* Another one has its name before any poll group has seen it go. */
static void replaced_subsystem_ends_its_associations(void **state)
{
	struct admin_world *w = *state;
	struct th_done done;

	assert_int_equal(nvmft_subsystem_remove(w->subsys, th_done_init(&done)), 0);
	th_add_memory(th_add_subsystem(&w->t, TH_NQN), 1 << 20, 512);
	assert_int_equal(th_done_wait(&w->t, &done), 0);
	assert_true(w->ctrl.admin.disconnected);
	assert_true(th_log_has(&w->t, "subsystem removed"));
}

static void unlinked_subsystem_ends_the_associations_of_the_port(void **state)
{
	struct admin_world *w = *state;

	assert_int_equal(nvmft_port_unlink(w->t.port, w->subsys), 0);
	th_settle(&w->t);
	assert_true(w->ctrl.admin.disconnected);
	assert_true(th_log_has(&w->t, "subsystem no longer served by the port"));
}

static void denied_host_loses_its_association(void **state)
{
	struct admin_world *w = *state;

	assert_int_equal(nvmft_subsystem_allow_any_host(w->subsys, false), 0);
	th_settle(&w->t);
	assert_true(w->ctrl.admin.disconnected);
	assert_true(th_log_has(&w->t, "host no longer allowed"));
}

static void removed_host_loses_its_association(void **state)
{
	struct admin_world *w = *state;
	struct nvmft_host *host;

	assert_int_equal(nvmft_host_create(w->t.target, TH_HOSTNQN, &host), 0);
	assert_int_equal(nvmft_subsystem_allow_host(w->subsys, host), 0);
	assert_int_equal(nvmft_subsystem_allow_any_host(w->subsys, false), 0);
	th_settle(&w->t);
	assert_false(w->ctrl.admin.disconnected);
	assert_int_equal(nvmft_host_remove(host), 0);
	th_settle(&w->t);
	assert_true(w->ctrl.admin.disconnected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ADMIN_TEST(cap_tells_the_depth_of_the_port),
		ADMIN_TEST(version_is_2_0),
		ADMIN_TEST(enabled_controller_is_ready),
		ADMIN_TEST(crto_and_nssr_can_be_read),
		ADMIN_TEST(unknown_offsets_and_sizes_are_invalid_fields),
		ADMIN_TEST(properties_are_for_admin_queues),
		ADMIN_TEST(wrong_entry_sizes_cannot_be_enabled),
		ADMIN_TEST(reset_closes_the_io_queues),
		ADMIN_TEST(controller_can_be_used_again_after_a_reset),
		ADMIN_TEST(shutdown_is_reported_complete),
		ADMIN_TEST(loss_of_the_admin_queue_ends_the_association),
		ADMIN_TEST(loss_of_an_io_queue_does_not),
		ADMIN_TEST(removed_subsystem_ends_its_associations),
		ADMIN_TEST(replaced_subsystem_ends_its_associations),
		ADMIN_TEST(unlinked_subsystem_ends_the_associations_of_the_port),
		ADMIN_TEST(denied_host_loses_its_association),
		ADMIN_TEST(removed_host_loses_its_association),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
