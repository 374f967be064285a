/* SPDX-License-Identifier: BSD-3-Clause */
/* Connect: every field checked, each refusal with its status and place (NVMe Base 2.0, 6.3). */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "host.h"

#define SC_CMD_SEQ_ERROR 0x00c
#define SC_CONNECT_FORMAT 0x180
#define SC_CONNECT_BUSY 0x181
#define SC_CONNECT_PARAM 0x182
#define SC_CONNECT_HOST 0x184
#define DNR 0x4000
#define IN_DATA 0x10000u

struct fixture {
	struct th t;
	struct nvmft_subsystem *subsys;
	struct th_ctrl ctrl; /* of connected_setup() */
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	th_start(&f.t, NULL);
	f.subsys = th_add_subsystem(&f.t, TH_NQN);
	th_add_null(f.subsys, 1 << 20, 512);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	th_stop(&f->t);
	return 0;
}

static int connected_setup(void **state)
{
	struct fixture *f;

	setup(state);
	f = *state;
	th_ctrl_connect(&f->t, &f->ctrl, NULL);
	return 0;
}

static int connected_teardown(void **state)
{
	struct fixture *f = *state;

	th_ctrl_disconnect(&f->ctrl);
	return teardown(state);
}

#define OTHER_NQN "nqn.2024-01.org.example:other"
#define OTHER_HOSTNQN "nqn.2024-01.org.example:another-host"

static void expect_refused(struct fixture *f, const struct nvmft_loopback_opts *opts, int status)
{
	struct th_queue q;

	assert_int_equal(th_connect(&f->t, &q, opts), status);
}

static void connect_gives_a_controller(void **state)
{
	struct fixture *f = *state;

	assert_int_not_equal(f->ctrl.cntlid, 0);
}

static void controllers_have_different_identifiers(void **state)
{
	struct fixture *f = *state;
	struct th_ctrl a, b;

	th_ctrl_connect(&f->t, &a, NULL);
	th_ctrl_connect(&f->t, &b, NULL);
	assert_int_not_equal(a.cntlid, b.cntlid);
	th_ctrl_disconnect(&a);
	th_ctrl_disconnect(&b);
}

static void unknown_subsystem_is_an_invalid_parameter(void **state)
{
	struct nvmft_loopback_opts opts = {.size = sizeof(opts), .subnqn = "nqn.2024-01.org.example:none"};
	struct fixture *f = *state;

	expect_refused(f, &opts, SC_CONNECT_PARAM | DNR);
	assert_true(th_log_has(&f->t, "no subsystem nqn.2024-01.org.example:none on this port"));
}

static void subsystem_of_another_port_is_an_invalid_parameter(void **state)
{
	struct nvmft_loopback_opts opts = {.size = sizeof(opts)};
	struct fixture *f = *state;

	th_add_subsystem(&f->t, OTHER_NQN);
	assert_int_equal(nvmft_port_unlink(f->t.port, f->subsys), 0);
	th_settle(&f->t);
	expect_refused(f, &opts, SC_CONNECT_PARAM | DNR);
}

static void host_that_is_not_allowed_is_refused(void **state)
{
	struct nvmft_loopback_opts opts = {.size = sizeof(opts), .hostnqn = TH_HOSTNQN};
	struct nvmft_host *host;
	struct fixture *f = *state;
	struct th_queue q;

	assert_int_equal(nvmft_subsystem_allow_any_host(f->subsys, false), 0);
	th_settle(&f->t);
	expect_refused(f, &opts, SC_CONNECT_HOST | DNR);
	assert_int_equal(nvmft_host_create(f->t.target, TH_HOSTNQN, &host), 0);
	assert_int_equal(nvmft_subsystem_allow_host(f->subsys, host), 0);
	th_settle(&f->t);
	assert_int_equal(th_connect(&f->t, &q, &opts), 0);
	th_disconnect(&q);
}

static void host_is_known_by_its_whole_name(void **state)
{
	struct nvmft_loopback_opts opts = {.size = sizeof(opts), .hostnqn = TH_HOSTNQN "-2"};
	struct nvmft_host *host;
	struct fixture *f = *state;

	assert_int_equal(nvmft_host_create(f->t.target, TH_HOSTNQN, &host), 0);
	assert_int_equal(nvmft_subsystem_allow_host(f->subsys, host), 0);
	assert_int_equal(nvmft_subsystem_allow_any_host(f->subsys, false), 0);
	th_settle(&f->t);
	expect_refused(f, &opts, SC_CONNECT_HOST | DNR);
}

static void host_name_must_be_an_nqn(void **state)
{
	struct nvmft_loopback_opts opts = {.size = sizeof(opts), .hostnqn = "not a name"};
	struct fixture *f = *state;

	expect_refused(f, &opts, SC_CONNECT_PARAM | DNR);
}

static void names_of_223_bytes_are_good_and_of_224_are_not(void **state)
{
	char nqn[225];
	struct nvmft_loopback_opts opts = {.size = sizeof(opts), .hostnqn = nqn};
	struct fixture *f = *state;
	struct th_queue q;

	memset(nqn, 'x', sizeof(nqn));
	memcpy(nqn, "nqn.", 4);
	nqn[223] = '\0';
	assert_int_equal(th_connect(&f->t, &q, &opts), 0);
	th_disconnect(&q);
	nqn[223] = 'x';
	nqn[224] = '\0';
	expect_refused(f, &opts, SC_CONNECT_PARAM | DNR);
}

static void dynamic_controllers_are_asked_for_with_ffffh(void **state)
{
	struct nvmft_loopback_opts opts = {.size = sizeof(opts), .cntlid = 0xfffe};
	struct fixture *f = *state;

	expect_refused(f, &opts, SC_CONNECT_PARAM | DNR);
	opts.cntlid = 5;
	expect_refused(f, &opts, SC_CONNECT_PARAM | DNR);
}

static void static_controllers_are_named_or_any(void **state)
{
	struct nvmft_subsystem_opts so = {.size = sizeof(so),
					  .nqn = OTHER_NQN,
					  .allow_any_host = true,
					  .model_kind = NVMFT_CONTROLLERS_STATIC,
					  .cntlid_min = 10,
					  .cntlid_max = 11};
	struct nvmft_loopback_opts opts = {.size = sizeof(opts), .subnqn = OTHER_NQN, .cntlid = 11};
	struct th_queue a, b;
	struct fixture *f = *state;

	th_add_subsystem_opts(&f->t, &so);
	assert_int_equal(th_connect(&f->t, &a, &opts), 0);
	assert_int_equal(a.cntlid, 11);
	expect_refused(f, &opts, SC_CONNECT_BUSY);
	opts.cntlid = 0xfffe;
	assert_int_equal(th_connect(&f->t, &b, &opts), 0);
	assert_int_equal(b.cntlid, 10);
	expect_refused(f, &opts, SC_CONNECT_BUSY);
	opts.cntlid = 12;
	expect_refused(f, &opts, SC_CONNECT_PARAM | DNR);
	opts.cntlid = 0xffff;
	expect_refused(f, &opts, SC_CONNECT_PARAM | DNR);
	th_disconnect(&a);
	th_disconnect(&b);
}

static void identifiers_stay_in_their_range(void **state)
{
	struct nvmft_subsystem_opts so = {
		.size = sizeof(so), .nqn = OTHER_NQN, .allow_any_host = true, .cntlid_min = 100, .cntlid_max = 101};
	struct nvmft_loopback_opts opts = {.size = sizeof(opts), .subnqn = OTHER_NQN};
	struct th_queue a, b, c;
	struct fixture *f = *state;

	th_add_subsystem_opts(&f->t, &so);
	assert_int_equal(th_connect(&f->t, &a, &opts), 0);
	assert_int_equal(a.cntlid, 100);
	assert_int_equal(th_connect(&f->t, &b, &opts), 0);
	assert_int_equal(b.cntlid, 101);
	expect_refused(f, &opts, SC_CONNECT_BUSY);
	th_disconnect(&a);
	th_settle(&f->t);
	assert_int_equal(th_connect(&f->t, &c, &opts), 0);
	assert_int_equal(c.cntlid, 100);
	th_disconnect(&b);
	th_disconnect(&c);
}

static void associations_of_a_host_are_limited(void **state)
{
	struct nvmft_subsystem_opts so = {
		.size = sizeof(so), .nqn = OTHER_NQN, .allow_any_host = true, .max_controllers_per_host = 1};
	struct nvmft_loopback_opts opts = {.size = sizeof(opts), .subnqn = OTHER_NQN, .hostnqn = TH_HOSTNQN};
	struct th_queue a, other;
	struct fixture *f = *state;

	th_add_subsystem_opts(&f->t, &so);
	assert_int_equal(th_connect(&f->t, &a, &opts), 0);
	expect_refused(f, &opts, SC_CONNECT_BUSY);
	opts.hostnqn = OTHER_HOSTNQN;
	assert_int_equal(th_connect(&f->t, &other, &opts), 0);
	th_disconnect(&a);
	th_disconnect(&other);
}

/* ---- I/O queues ---- */

static struct nvmft_loopback_opts io_opts(const struct th_ctrl *ctrl)
{
	struct nvmft_loopback_opts opts = {
		.size = sizeof(opts), .hostnqn = TH_HOSTNQN, .qid = 2, .cntlid = ctrl->cntlid};

	memcpy(opts.hostid, th_host_id, sizeof(opts.hostid));
	return opts;
}

static void io_queue_of_an_unknown_controller_is_refused(void **state)
{
	struct fixture *f = *state;
	struct nvmft_loopback_opts opts = io_opts(&f->ctrl);

	opts.cntlid = (uint16_t)(f->ctrl.cntlid + 1);
	expect_refused(f, &opts, SC_CONNECT_PARAM | DNR);
}

static void io_queue_of_another_host_is_refused(void **state)
{
	struct fixture *f = *state;
	struct nvmft_loopback_opts opts = io_opts(&f->ctrl);

	opts.hostnqn = OTHER_HOSTNQN;
	expect_refused(f, &opts, SC_CONNECT_PARAM | DNR);
}

static void io_queue_with_another_host_identifier_is_refused(void **state)
{
	struct fixture *f = *state;
	struct nvmft_loopback_opts opts = io_opts(&f->ctrl);

	opts.hostid[3] ^= 0x42;
	expect_refused(f, &opts, SC_CONNECT_PARAM | DNR);
}

static void queue_identifier_in_use_is_a_sequence_error(void **state)
{
	struct fixture *f = *state;
	struct nvmft_loopback_opts opts = io_opts(&f->ctrl);

	opts.qid = 1;
	expect_refused(f, &opts, SC_CMD_SEQ_ERROR | DNR);
}

static void queue_identifier_above_what_was_granted_is_refused(void **state)
{
	struct fixture *f = *state;
	struct nvmft_loopback_opts opts = io_opts(&f->ctrl);

	opts.qid = 60000;
	expect_refused(f, &opts, SC_CONNECT_PARAM | DNR);
}

static void io_queue_before_enabling_is_a_sequence_error(void **state)
{
	struct nvmft_loopback_opts opts = {.size = sizeof(opts)};
	struct th_queue admin, io;
	struct fixture *f = *state;

	assert_int_equal(th_connect(&f->t, &admin, &opts), 0);
	opts.qid = 1;
	opts.cntlid = admin.cntlid;
	assert_int_equal(th_connect(&f->t, &io, &opts), SC_CMD_SEQ_ERROR | DNR);
	th_disconnect(&admin);
}

static void discovery_has_no_io_queues(void **state)
{
	struct nvmft_loopback_opts opts = {
		.size = sizeof(opts), .subnqn = "nqn.2014-08.org.nvmexpress.discovery", .qid = 1, .cntlid = 1};
	struct fixture *f = *state;

	expect_refused(f, &opts, SC_CONNECT_PARAM | DNR);
}

static void queue_may_not_be_deeper_than_the_port_allows(void **state)
{
	struct th_opts to = {.port = {.size = sizeof(to.port), .max_queue_depth = 64}};
	struct nvmft_loopback_opts opts = {.size = sizeof(opts), .sqsize = 64};
	struct th_queue q;
	struct th t;

	(void)state;
	th_start(&t, &to);
	th_add_subsystem(&t, TH_NQN);
	assert_int_equal(th_connect(&t, &q, &opts), SC_CONNECT_PARAM | DNR);
	opts.sqsize = 63;
	assert_int_equal(th_connect(&t, &q, &opts), 0);
	th_disconnect(&q);
	th_stop(&t);
}

/* ---- what a connection may do ---- */

static void second_connect_on_a_queue_is_a_sequence_error(void **state)
{
	unsigned char data[1024] = {0};
	struct nvmft_sqe sqe;
	struct fixture *f = *state;

	th_sqe_fabrics(&sqe, 0x01);
	assert_int_equal(th_exec(&f->ctrl.admin, &sqe, data, sizeof(data)), SC_CMD_SEQ_ERROR | DNR);
}

static void admin_command_before_enabling_is_a_sequence_error(void **state)
{
	struct nvmft_loopback_opts opts = {.size = sizeof(opts)};
	unsigned char data[4096];
	struct nvmft_sqe sqe;
	struct th_queue admin;
	struct fixture *f = *state;

	assert_int_equal(th_connect(&f->t, &admin, &opts), 0);
	th_sqe_identify(&sqe, 1, 0);
	assert_int_equal(th_exec(&admin, &sqe, data, sizeof(data)), SC_CMD_SEQ_ERROR | DNR);
	th_disconnect(&admin);
}

static void disconnect_ends_an_io_queue_only(void **state)
{
	struct nvmft_sqe sqe;
	struct fixture *f = *state;
	char buf[512];

	th_sqe_fabrics(&sqe, 0x08);
	assert_int_equal(th_exec(&f->ctrl.admin, &sqe, NULL, 0), 0x185 | DNR);
	assert_int_equal(th_exec(&f->ctrl.io[0], &sqe, NULL, 0), 0);
	th_sqe_rw(&sqe, TH_READ, 1, 0, 1);
	assert_int_equal(th_sc(th_exec(&f->ctrl.io[0], &sqe, buf, sizeof(buf))), TH_SC_SQ_DELETED);
}

static void disconnected_queue_is_closed_in_time(void **state)
{
	struct nvmft_sqe sqe;
	struct fixture *f = *state;

	th_sqe_fabrics(&sqe, 0x08);
	assert_int_equal(th_exec(&f->ctrl.io[0], &sqe, NULL, 0), 0);
	th_advance_ms(&f->t, 9000);
	assert_false(f->ctrl.io[0].disconnected);
	th_advance_ms(&f->t, 2000);
	th_settle(&f->t);
	assert_true(f->ctrl.io[0].disconnected);
	assert_false(f->ctrl.admin.disconnected);
}

static void sqhd_follows_the_queue_or_is_disabled(void **state)
{
	struct th_ctrl_opts co = {.cattr = 4};
	struct th_ctrl with, without;
	struct fixture *f = *state;
	char buf[512];

	th_ctrl_connect(&f->t, &with, NULL);
	th_ctrl_connect(&f->t, &without, &co);
	assert_int_equal(th_read(&with, 1, 0, 1, buf, sizeof(buf)), 0);
	assert_int_equal(with.io[0].cqe.sqhd, 2);
	assert_int_equal(th_read(&with, 1, 0, 1, buf, sizeof(buf)), 0);
	assert_int_equal(with.io[0].cqe.sqhd, 3);
	assert_int_equal(th_read(&without, 1, 0, 1, buf, sizeof(buf)), 0);
	assert_int_equal(without.io[0].cqe.sqhd, 0xffff);
	th_ctrl_disconnect(&with);
	th_ctrl_disconnect(&without);
}

static void sqhd_wraps_at_the_size_of_the_queue(void **state)
{
	struct th_ctrl_opts co = {.sqsize = 2};
	struct th_ctrl ctrl;
	struct fixture *f = *state;
	char buf[512];
	int i;

	th_ctrl_connect(&f->t, &ctrl, &co);
	for (i = 2; i < 10; i++) {
		assert_int_equal(th_read(&ctrl, 1, 0, 1, buf, sizeof(buf)), 0);
		assert_int_equal(ctrl.io[0].cqe.sqhd, i % 3);
	}
	th_ctrl_disconnect(&ctrl);
}

static void same_cid_twice_is_a_conflict(void **state)
{
	struct th_cmd first, second;
	struct nvmft_sqe sqe;
	struct fixture *f = *state;

	th_loopback_only(TH_USUAL, "responses are told apart by CID");
	/* An Asynchronous Event Request stays outstanding. */
	th_sqe_init(&sqe, 0x0c, 0);
	sqe.cid = 0x7777;
	first.on_done = second.on_done = NULL;
	th_submit_cid(&f->ctrl.admin, &first, &sqe, NULL, 0);
	th_submit_cid(&f->ctrl.admin, &second, &sqe, NULL, 0);
	assert_int_equal(th_wait_cmd(&second), 0x003 | DNR);
	assert_false(first.done);
	th_ctrl_disconnect(&f->ctrl);
	assert_true(first.done);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define CONNECTED_TEST(name) cmocka_unit_test_setup_teardown(name, connected_setup, connected_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONNECTED_TEST(connect_gives_a_controller),
		TEST(controllers_have_different_identifiers),
		TEST(unknown_subsystem_is_an_invalid_parameter),
		TEST(subsystem_of_another_port_is_an_invalid_parameter),
		TEST(host_that_is_not_allowed_is_refused),
		TEST(host_is_known_by_its_whole_name),
		TEST(host_name_must_be_an_nqn),
		TEST(names_of_223_bytes_are_good_and_of_224_are_not),
		TEST(dynamic_controllers_are_asked_for_with_ffffh),
		TEST(static_controllers_are_named_or_any),
		TEST(identifiers_stay_in_their_range),
		TEST(associations_of_a_host_are_limited),
		CONNECTED_TEST(io_queue_of_an_unknown_controller_is_refused),
		CONNECTED_TEST(io_queue_of_another_host_is_refused),
		CONNECTED_TEST(io_queue_with_another_host_identifier_is_refused),
		CONNECTED_TEST(queue_identifier_in_use_is_a_sequence_error),
		CONNECTED_TEST(queue_identifier_above_what_was_granted_is_refused),
		TEST(io_queue_before_enabling_is_a_sequence_error),
		TEST(discovery_has_no_io_queues),
		cmocka_unit_test(queue_may_not_be_deeper_than_the_port_allows),
		CONNECTED_TEST(second_connect_on_a_queue_is_a_sequence_error),
		TEST(admin_command_before_enabling_is_a_sequence_error),
		CONNECTED_TEST(disconnect_ends_an_io_queue_only),
		CONNECTED_TEST(disconnected_queue_is_closed_in_time),
		TEST(sqhd_follows_the_queue_or_is_disabled),
		TEST(sqhd_wraps_at_the_size_of_the_queue),
		CONNECTED_TEST(same_cid_twice_is_a_conflict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
