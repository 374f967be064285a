/* SPDX-License-Identifier: BSD-3-Clause */
/* Admin commands while I/O queues are busy in other threads; for the thread sanitizer above all. */
#include "admin_util.h"

#define ROUNDS 100
#define IOS 8

static int setup(void **state)
{
	static const struct th_opts opts = {.groups = 3, .threaded = true};
	static const struct th_ctrl_opts ctrl = {.io_queues = 3, .kato_ms = 10000};

	return admin_setup_opts(state, &opts, NULL, &ctrl);
}

/* Half of the commands fail, so that error records travel. */
static void submit_ios(struct admin_world *w, struct th_cmd *ios, unsigned char (*data)[512])
{
	struct nvmft_sqe sqe;

	for (uint16_t i = 0; i < IOS; i++) {
		th_sqe_rw(&sqe, TH_READ, 1, i % 2 ? 1 << 20 : i, 1);
		sqe.cid = (uint16_t)(1000 + i);
		memset(&ios[i], 0, sizeof(ios[i]));
		th_submit_cid(&w->ctrl.io[i % 3], &ios[i], &sqe, data[i], 512);
	}
}

static void aborts_logs_and_io_go_on_side_by_side(void **state)
{
	static unsigned char data[IOS][512], page[4096];
	static struct th_cmd ios[IOS], aborts[IOS];
	struct admin_world *w = *state;
	struct nvmft_sqe sqe;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		submit_ios(w, ios, data);
		for (uint16_t i = 0; i < IOS; i++) {
			memset(&aborts[i], 0, sizeof(aborts[i]));
			th_sqe_abort(&sqe, (uint16_t)(1 + i % 3), (uint16_t)(1000 + i));
			th_submit(&w->ctrl.admin, &aborts[i], &sqe, NULL, 0);
		}
		assert_int_equal(admin_log(w, 0x01, 0, page, sizeof(page)), 0);
		assert_int_equal(admin_log(w, 0x02, 0, page, 512), 0);
		for (unsigned int i = 0; i < IOS; i++) {
			th_wait_cmd(&ios[i]);
			th_wait_cmd(&aborts[i]);
		}
	}
}

static void namespaces_come_and_go_under_identify(void **state)
{
	static unsigned char page[4096];
	struct admin_world *w = *state;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		struct nvmft_namespace *ns = th_add_null(w->subsys, 1 << 20, 512);

		assert_int_equal(admin_identify(w, 0x02, 0, page), 0);
		assert_int_equal(admin_identify(w, 0x00, 2, page), 0);
		assert_int_equal(admin_log(w, 0x04, 0, page, sizeof(page)), 0);
		th_remove_namespace(&w->t, ns);
	}
}

static void counters_are_read_from_any_thread(void **state)
{
	static unsigned char data[IOS][512];
	static struct th_cmd ios[IOS];
	struct nvmft_namespace_stats ns_stats = {.size = sizeof(ns_stats)};
	struct nvmft_target_stats stats = {.size = sizeof(stats)};
	struct admin_world *w = *state;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		submit_ios(w, ios, data);
		assert_int_equal(nvmft_target_stats(w->t.target, &stats), 0);
		assert_int_equal(nvmft_namespace_stats(w->ns, &ns_stats), 0);
		for (unsigned int i = 0; i < IOS; i++)
			th_wait_cmd(&ios[i]);
	}
	assert_int_equal(nvmft_namespace_stats(w->ns, &ns_stats), 0);
	assert_int_equal(ns_stats.reads, ROUNDS * IOS / 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, admin_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(aborts_logs_and_io_go_on_side_by_side),
		TEST(namespaces_come_and_go_under_identify),
		TEST(counters_are_read_from_any_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
