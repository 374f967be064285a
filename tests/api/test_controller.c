/* SPDX-License-Identifier: BSD-3-Clause */
/* Controllers: properties, enabling, reset, shutdown, and how an association ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "host.h"

#define REG_CAP 0x00
#define REG_VS 0x08
#define REG_CC 0x14
#define REG_CSTS 0x1c
#define REG_NSSR 0x20
#define REG_CRTO 0x68
#define CC_ENABLE 0x460001u
#define DNR 0x4000

struct fixture {
	struct th t;
	struct nvmft_subsystem *subsys;
	struct th_ctrl ctrl;
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	th_start(&f.t, NULL);
	f.subsys = th_add_subsystem(&f.t, TH_NQN);
	th_add_null(f.subsys, 1 << 20, 512);
	th_ctrl_connect(&f.t, &f.ctrl, NULL);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	th_ctrl_disconnect(&f->ctrl);
	th_stop(&f->t);
	return 0;
}

static uint64_t get(struct fixture *f, uint32_t offset, bool eight)
{
	uint64_t value = 0;

	assert_int_equal(th_property_get(&f->ctrl.admin, offset, eight, &value), 0);
	return value;
}

static void cap_tells_the_depth_of_the_port(void **state)
{
	const struct fixture *f = *state;
	uint64_t cap = get(*state, REG_CAP, true);

	assert_int_equal(cap & 0xffff, f->t.transport == TH_LOOPBACK ? 65535 : 1023);
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
	struct fixture *f = *state;
	uint64_t value;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(th_property_get(&f->ctrl.admin, bad[i].offset, bad[i].eight, &value),
				 TH_SC_INVALID_FIELD | DNR);
	assert_int_equal(th_property_set(&f->ctrl.admin, REG_CSTS, false, 0), TH_SC_INVALID_FIELD | DNR);
	assert_int_equal(th_property_set(&f->ctrl.admin, REG_CC, true, 0), TH_SC_INVALID_FIELD | DNR);
}

static void properties_are_for_admin_queues(void **state)
{
	struct fixture *f = *state;
	uint64_t value;

	assert_int_equal(th_property_get(&f->ctrl.io[0], REG_VS, false, &value), 0x001 | DNR);
}

static void wrong_entry_sizes_cannot_be_enabled(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(th_property_set(&f->ctrl.admin, REG_CC, false, 0), 0);
	th_settle(&f->t);
	assert_int_equal(th_property_set(&f->ctrl.admin, REG_CC, false, 0x450001), 0);
	assert_int_equal(get(f, REG_CSTS, false), 2); /* CFS */
}

static void reset_closes_the_io_queues(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(th_property_set(&f->ctrl.admin, REG_CC, false, CC_ENABLE & ~1u), 0);
	th_settle(&f->t);
	assert_true(f->ctrl.io[0].disconnected);
	assert_int_equal(get(f, REG_CSTS, false), 0);
}

static void controller_can_be_used_again_after_a_reset(void **state)
{
	struct nvmft_loopback_opts opts = {.size = sizeof(opts), .hostnqn = TH_HOSTNQN, .qid = 1};
	struct fixture *f = *state;
	struct nvmft_sqe sqe;
	struct th_queue io;
	char buf[512];

	assert_int_equal(th_property_set(&f->ctrl.admin, REG_CC, false, CC_ENABLE & ~1u), 0);
	assert_int_equal(th_property_set(&f->ctrl.admin, REG_CC, false, CC_ENABLE), 0);
	th_settle(&f->t);
	assert_int_equal(get(f, REG_CSTS, false), 1);
	opts.cntlid = f->ctrl.cntlid;
	memcpy(opts.hostid, th_host_id, sizeof(opts.hostid));
	assert_int_equal(th_connect(&f->t, &io, &opts), 0);
	th_sqe_rw(&sqe, TH_READ, 1, 0, 1);
	assert_int_equal(th_exec(&io, &sqe, buf, sizeof(buf)), 0);
	th_disconnect(&io);
}

static void shutdown_is_reported_complete(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(th_property_set(&f->ctrl.admin, REG_CC, false, CC_ENABLE | 1u << 14), 0);
	assert_int_equal(get(f, REG_CSTS, false) >> 2 & 3, 2);
}

static void loss_of_the_admin_queue_ends_the_association(void **state)
{
	struct fixture *f = *state;

	th_disconnect(&f->ctrl.admin);
	th_settle(&f->t);
	assert_true(f->ctrl.io[0].disconnected);
}

static void loss_of_an_io_queue_does_not(void **state)
{
	struct nvmft_loopback_opts opts = {.size = sizeof(opts), .hostnqn = TH_HOSTNQN, .qid = 1};
	struct fixture *f = *state;
	struct th_queue again;

	th_disconnect(&f->ctrl.io[0]);
	th_settle(&f->t);
	assert_int_equal(get(f, REG_CSTS, false), 1);
	opts.cntlid = f->ctrl.cntlid;
	memcpy(opts.hostid, th_host_id, sizeof(opts.hostid));
	assert_int_equal(th_connect(&f->t, &again, &opts), 0);
	th_disconnect(&again);
}

static void removed_subsystem_ends_its_associations(void **state)
{
	struct fixture *f = *state;
	struct th_done done;

	assert_int_equal(nvmft_subsystem_remove(f->subsys, th_done_init(&done)), 0);
	assert_int_equal(th_done_wait(&f->t, &done), 0);
	assert_true(f->ctrl.admin.disconnected);
	assert_true(f->ctrl.io[0].disconnected);
	assert_null(nvmft_subsystem_find(f->t.target, TH_NQN));
}

static void unlinked_subsystem_ends_the_associations_of_the_port(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(nvmft_port_unlink(f->t.port, f->subsys), 0);
	th_settle(&f->t);
	assert_true(f->ctrl.admin.disconnected);
	assert_true(th_log_has(&f->t, "subsystem no longer served by the port"));
}

static void denied_host_loses_its_association(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(nvmft_subsystem_allow_any_host(f->subsys, false), 0);
	th_settle(&f->t);
	assert_true(f->ctrl.admin.disconnected);
	assert_true(th_log_has(&f->t, "host no longer allowed"));
}

static void removed_host_loses_its_association(void **state)
{
	struct fixture *f = *state;
	struct nvmft_host *host;

	assert_int_equal(nvmft_host_create(f->t.target, TH_HOSTNQN, &host), 0);
	assert_int_equal(nvmft_subsystem_allow_host(f->subsys, host), 0);
	assert_int_equal(nvmft_subsystem_allow_any_host(f->subsys, false), 0);
	th_settle(&f->t);
	assert_false(f->ctrl.admin.disconnected);
	assert_int_equal(nvmft_host_remove(host), 0);
	th_settle(&f->t);
	assert_true(f->ctrl.admin.disconnected);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cap_tells_the_depth_of_the_port),
		TEST(version_is_2_0),
		TEST(enabled_controller_is_ready),
		TEST(crto_and_nssr_can_be_read),
		TEST(unknown_offsets_and_sizes_are_invalid_fields),
		TEST(properties_are_for_admin_queues),
		TEST(wrong_entry_sizes_cannot_be_enabled),
		TEST(reset_closes_the_io_queues),
		TEST(controller_can_be_used_again_after_a_reset),
		TEST(shutdown_is_reported_complete),
		TEST(loss_of_the_admin_queue_ends_the_association),
		TEST(loss_of_an_io_queue_does_not),
		TEST(removed_subsystem_ends_its_associations),
		TEST(unlinked_subsystem_ends_the_associations_of_the_port),
		TEST(denied_host_loses_its_association),
		TEST(removed_host_loses_its_association),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
