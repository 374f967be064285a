/* SPDX-License-Identifier: BSD-3-Clause */
/* Asynchronous events over a connected admin queue. */
#include "admin_util.h"

#define NS_NOTICE 0x00040002u
#define DISC_NOTICE 0x0070f002u

static unsigned char buf[4096];

static void send_aer(struct admin_world *w, struct th_cmd *cmd)
{
	struct nvmft_sqe sqe;

	memset(cmd, 0, sizeof(*cmd));
	th_sqe_init(&sqe, 0x0c, 0);
	th_submit(&w->ctrl.admin, cmd, &sqe, NULL, 0);
	th_settle(&w->t);
}

static void enable(struct admin_world *w, uint32_t aec)
{
	assert_int_equal(admin_set_feature(w, 0x0b, aec), 0);
}

static uint32_t changed_list(struct admin_world *w, bool rae)
{
	struct nvmft_sqe sqe;

	memset(buf, 0, sizeof(buf));
	th_sqe_log(&sqe, 0x04, NSID_ALL, 0, sizeof(buf), rae);
	assert_int_equal(admin_exec(w, &sqe, buf, sizeof(buf)), 0);
	return le32toh(*(uint32_t *)(void *)buf);
}

static void adding_a_namespace_is_an_event(void **state)
{
	struct admin_world *w = *state;
	static struct th_cmd aer;

	enable(w, 1 << 8);
	send_aer(w, &aer);
	assert_false(atomic_load(&aer.done));
	th_add_memory(w->subsys, 1 << 20, 512);
	assert_int_equal(th_wait_cmd(&aer), 0);
	assert_int_equal(le32toh(aer.cqe.dw0), NS_NOTICE);
	assert_int_equal(changed_list(w, false), 2);
}

static void removing_a_namespace_is_an_event(void **state)
{
	struct admin_world *w = *state;
	static struct th_cmd aer;

	enable(w, 1 << 8);
	send_aer(w, &aer);
	th_remove_namespace(&w->t, w->ns);
	assert_int_equal(th_wait_cmd(&aer), 0);
	assert_int_equal(changed_list(w, false), 1);
}

static void an_event_that_is_not_enabled_is_not_reported(void **state)
{
	struct admin_world *w = *state;
	static struct th_cmd aer;

	send_aer(w, &aer);
	th_add_memory(w->subsys, 1 << 20, 512);
	th_settle(&w->t);
	assert_false(atomic_load(&aer.done));
}

static void an_event_is_reported_once_it_is_enabled(void **state)
{
	struct admin_world *w = *state;
	static struct th_cmd aer;

	send_aer(w, &aer);
	th_add_memory(w->subsys, 1 << 20, 512);
	th_settle(&w->t);
	enable(w, 1 << 8);
	assert_int_equal(th_wait_cmd(&aer), 0);
	assert_int_equal(le32toh(aer.cqe.dw0), NS_NOTICE);
}

static void an_event_can_be_disabled_again(void **state)
{
	struct admin_world *w = *state;
	static struct th_cmd aer;

	enable(w, 1 << 8);
	enable(w, 0);
	send_aer(w, &aer);
	th_add_memory(w->subsys, 1 << 20, 512);
	th_settle(&w->t);
	assert_false(atomic_load(&aer.done));
}

static void reading_with_rae_keeps_the_event(void **state)
{
	struct admin_world *w = *state;
	static struct th_cmd first, second;

	enable(w, 1 << 8);
	send_aer(w, &first);
	send_aer(w, &second);
	th_add_memory(w->subsys, 1 << 20, 512);
	th_wait_cmd(&first);
	assert_int_equal(changed_list(w, true), 2);
	th_add_memory(w->subsys, 1 << 20, 512);
	th_settle(&w->t);
	assert_false(atomic_load(&second.done));
	assert_int_equal(changed_list(w, false), 2);
	assert_int_equal(changed_list(w, false), 0);
	th_add_memory(w->subsys, 1 << 20, 512);
	assert_int_equal(th_wait_cmd(&second), 0);
	assert_int_equal(changed_list(w, false), 4);
}

static void more_aers_than_aerl_are_refused(void **state)
{
	struct admin_world *w = *state;
	static struct th_cmd aers[5];

	for (size_t i = 0; i < COUNT(aers); i++)
		send_aer(w, &aers[i]);
	for (size_t i = 0; i < 4; i++)
		assert_false(atomic_load(&aers[i].done));
	assert_int_equal(th_wait_cmd(&aers[4]), SC_CMD_SPECIFIC | 0x05 | DNR);
}

static void a_reset_ends_every_aer(void **state)
{
	struct admin_world *w = *state;
	static struct th_cmd aers[3];

	for (size_t i = 0; i < COUNT(aers); i++)
		send_aer(w, &aers[i]);
	assert_int_equal(th_property_set(&w->ctrl.admin, 0x14, false, 0x00460000), 0);
	for (size_t i = 0; i < COUNT(aers); i++)
		assert_int_equal(th_sc(th_wait_cmd(&aers[i])), TH_SC_SQ_DELETED);
}

/* The host has enabled the controller anew, and its events. */
static void reset(struct admin_world *w)
{
	assert_int_equal(th_property_set(&w->ctrl.admin, 0x14, false, 0x00460000), 0);
	th_settle(&w->t);
	assert_int_equal(th_property_set(&w->ctrl.admin, 0x14, false, 0x00460001), 0);
	enable(w, 1 << 8);
}

static void an_event_of_before_a_reset_is_not_reported(void **state)
{
	struct admin_world *w = *state;
	static struct th_cmd aer;

	enable(w, 1 << 8);
	th_add_memory(w->subsys, 1 << 20, 512);
	th_settle(&w->t);
	reset(w);
	send_aer(w, &aer);
	assert_false(atomic_load(&aer.done));
}

/* It may not have read the log page of the last one. */
static void an_event_after_a_reset_is_reported(void **state)
{
	struct admin_world *w = *state;
	static struct th_cmd aers[2];

	enable(w, 1 << 8);
	send_aer(w, &aers[0]);
	th_add_memory(w->subsys, 1 << 20, 512);
	assert_int_equal(th_wait_cmd(&aers[0]), 0);
	reset(w);
	send_aer(w, &aers[1]);
	th_add_memory(w->subsys, 1 << 20, 512);
	assert_int_equal(th_wait_cmd(&aers[1]), 0);
}

static void changes_of_before_a_reset_are_not_listed(void **state)
{
	struct admin_world *w = *state;

	enable(w, 1 << 8);
	th_add_memory(w->subsys, 1 << 20, 512);
	th_settle(&w->t);
	reset(w);
	assert_int_equal(changed_list(w, false), 0);
}

static void a_change_in_another_subsystem_is_no_event(void **state)
{
	struct admin_world *w = *state;
	struct nvmft_subsystem *other = th_add_subsystem(&w->t, "nqn.2024-01.org.example:other");
	static struct th_cmd aer;

	enable(w, 1 << 8);
	send_aer(w, &aer);
	th_add_memory(other, 1 << 20, 512);
	th_settle(&w->t);
	assert_false(atomic_load(&aer.done));
}

static int setup_admin_only(void **state)
{
	static const struct th_ctrl_opts opts = {.no_io_queue = true};

	return admin_setup_opts(state, NULL, NULL, &opts);
}

/* ---- discovery ---- */

static void a_new_subsystem_is_a_discovery_event(void **state)
{
	struct admin_world *w = *state;
	static struct th_cmd aer;

	enable(w, 1u << 31);
	send_aer(w, &aer);
	th_add_subsystem(&w->t, "nqn.2024-01.org.example:new");
	assert_int_equal(th_wait_cmd(&aer), 0);
	assert_int_equal(le32toh(aer.cqe.dw0), DISC_NOTICE);
}

static void a_subsystem_hidden_from_the_host_is_no_event(void **state)
{
	struct admin_world *w = *state;
	struct nvmft_subsystem_opts opts = {.size = sizeof(opts), .nqn = "nqn.2024-01.org.example:hidden"};
	struct nvmft_subsystem *hidden;
	struct nvmft_host *host;
	static struct th_cmd aer;

	enable(w, 1u << 31);
	send_aer(w, &aer);
	assert_int_equal(nvmft_subsystem_create(w->t.target, &opts, &hidden), 0);
	assert_int_equal(nvmft_port_link(w->t.port, hidden), 0);
	th_settle(&w->t);
	assert_false(atomic_load(&aer.done));
	/* Until it is shown. */
	assert_int_equal(nvmft_host_create(w->t.target, TH_HOSTNQN, &host), 0);
	assert_int_equal(nvmft_subsystem_allow_host(hidden, host), 0);
	assert_int_equal(th_wait_cmd(&aer), 0);
}

static void a_namespace_is_no_discovery_event(void **state)
{
	struct admin_world *w = *state;
	static struct th_cmd aer;

	enable(w, 1u << 31);
	send_aer(w, &aer);
	th_add_memory(w->subsys, 1 << 20, 512);
	th_settle(&w->t);
	assert_false(atomic_load(&aer.done));
}

#define ALONE(name) cmocka_unit_test_setup_teardown(name, setup_admin_only, admin_teardown)
#define DISCOVERY(name) cmocka_unit_test_setup_teardown(name, admin_setup_discovery, admin_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ADMIN_TEST(adding_a_namespace_is_an_event),
		ADMIN_TEST(removing_a_namespace_is_an_event),
		ADMIN_TEST(an_event_that_is_not_enabled_is_not_reported),
		ADMIN_TEST(an_event_is_reported_once_it_is_enabled),
		ADMIN_TEST(an_event_can_be_disabled_again),
		ADMIN_TEST(reading_with_rae_keeps_the_event),
		ADMIN_TEST(more_aers_than_aerl_are_refused),
		ALONE(a_reset_ends_every_aer),
		ALONE(an_event_of_before_a_reset_is_not_reported),
		ALONE(an_event_after_a_reset_is_reported),
		ALONE(changes_of_before_a_reset_are_not_listed),
		ADMIN_TEST(a_change_in_another_subsystem_is_no_event),
		DISCOVERY(a_new_subsystem_is_a_discovery_event),
		DISCOVERY(a_subsystem_hidden_from_the_host_is_no_event),
		DISCOVERY(a_namespace_is_no_discovery_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
