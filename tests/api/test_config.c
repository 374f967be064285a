/* SPDX-License-Identifier: BSD-3-Clause */
/* Configuration calls: what they refuse, with which errno and which line in the log; and changes while in use. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <nvmft/provider/transport.h>

#include "host.h"

static int setup(void **state)
{
	static struct th t;

	memset(&t, 0, sizeof(t));
	th_start(&t, NULL);
	*state = &t;
	return 0;
}

static int teardown(void **state)
{
	th_stop(*state);
	return 0;
}

/* ---- target ---- */

static void target_needs_some_memory(void **state)
{
	struct nvmft_target_opts opts = {.size = sizeof(opts), .data_memory_max = 4096};
	struct nvmft_target *target;

	(void)state;
	assert_int_equal(nvmft_target_create(&opts, &target), -EINVAL);
}

static void target_with_defaults_can_be_destroyed_at_once(void **state)
{
	struct nvmft_target *target;
	struct nvmft_done done;

	(void)state;
	assert_int_equal(nvmft_target_create(NULL, &target), 0);
	assert_int_equal(nvmft_target_stop(target, &done), -ENXIO);
	assert_int_equal(nvmft_target_destroy(target), 0);
}

static void running_target_is_not_destroyed(void **state)
{
	struct th *t = *state;

	assert_int_equal(nvmft_target_destroy(t->target), -EBUSY);
}

static void nothing_to_destroy_is_no_error(void **state)
{
	(void)state;
	assert_int_equal(nvmft_target_destroy(NULL), 0);
}

static void options_of_an_older_header_are_taken(void **state)
{
	struct nvmft_target_opts opts = {.size = offsetof(struct nvmft_target_opts, connect_timeout_ms)};
	struct nvmft_target *target;

	(void)state;
	/* Not part of that older structure, hence not looked at. */
	opts.discovery_nqn = "garbage";
	assert_int_equal(nvmft_target_create(&opts, &target), 0);
	assert_int_equal(nvmft_target_destroy(target), 0);
}

/* ---- subsystem ---- */

static void expect_bad_subsystem(struct th *t, const struct nvmft_subsystem_opts *opts, const char *field)
{
	struct nvmft_subsystem *subsys;

	th_log_clear(t);
	assert_int_equal(nvmft_subsystem_create(t->target, opts, &subsys), -EINVAL);
	assert_true(th_log_has(t, field));
}

#define SUBSYS(...) &(struct nvmft_subsystem_opts){.size = sizeof(struct nvmft_subsystem_opts), __VA_ARGS__}

static void subsystem_options_are_checked(void **state)
{
	struct th *t = *state;

	expect_bad_subsystem(t, SUBSYS(.nqn = NULL), "nqn");
	expect_bad_subsystem(t, SUBSYS(.nqn = "no name"), "nqn");
	expect_bad_subsystem(t, SUBSYS(.nqn = "nqn.2014-08.org.nvmexpress.discovery"), "discovery");
	expect_bad_subsystem(t, SUBSYS(.nqn = TH_NQN, .serial = "123456789012345678901"), "serial");
	expect_bad_subsystem(t, SUBSYS(.nqn = TH_NQN, .serial = "\x01"), "serial");
	expect_bad_subsystem(t, SUBSYS(.nqn = TH_NQN, .model = "12345678901234567890123456789012345678901"), "model");
	expect_bad_subsystem(t, SUBSYS(.nqn = TH_NQN, .firmware = "123456789"), "firmware");
	expect_bad_subsystem(t, SUBSYS(.nqn = TH_NQN, .ieee_oui = 0x1000000), "ieee_oui");
	expect_bad_subsystem(t, SUBSYS(.nqn = TH_NQN, .cntlid_min = 5, .cntlid_max = 4), "cntlid_min");
	expect_bad_subsystem(t, SUBSYS(.nqn = TH_NQN, .cntlid_max = 0xfff0), "cntlid_max");
	expect_bad_subsystem(t, SUBSYS(.nqn = TH_NQN, .max_io_queues = 65536), "max_io_queues");
	expect_bad_subsystem(t, SUBSYS(.nqn = TH_NQN, .max_io_size = 5000), "max_io_size");
	expect_bad_subsystem(t, SUBSYS(.nqn = TH_NQN, .max_io_size = 4 << 20), "max_io_size");
	expect_bad_subsystem(t, SUBSYS(.nqn = TH_NQN, .max_aers = 257), "max_aers");
}

static void subsystem_names_are_unique(void **state)
{
	struct th *t = *state;
	struct nvmft_subsystem *subsys;

	th_add_subsystem(t, TH_NQN);
	assert_int_equal(nvmft_subsystem_create(t->target, SUBSYS(.nqn = TH_NQN), &subsys), -EEXIST);
	assert_true(th_log_has(t, TH_NQN));
}

/* ---- hosts ---- */

static void hosts_are_unique_and_named(void **state)
{
	struct th *t = *state;
	struct nvmft_host *host;

	assert_int_equal(nvmft_host_create(t->target, "", &host), -EINVAL);
	assert_int_equal(nvmft_host_create(t->target, "a name", &host), -EINVAL);
	assert_int_equal(nvmft_host_create(t->target, "hostnqn", &host), 0);
	assert_int_equal(nvmft_host_create(t->target, TH_HOSTNQN, &host), 0);
	assert_int_equal(nvmft_host_create(t->target, TH_HOSTNQN, &host), -EEXIST);
	assert_non_null(nvmft_host_find(t->target, TH_HOSTNQN));
	assert_int_equal(nvmft_host_remove(nvmft_host_find(t->target, TH_HOSTNQN)), 0);
	assert_null(nvmft_host_find(t->target, TH_HOSTNQN));
}

static void allowing_twice_and_denying_nobody_are_errors(void **state)
{
	struct th *t = *state;
	struct nvmft_subsystem *subsys = th_add_subsystem(t, TH_NQN);
	struct nvmft_host *host;

	assert_int_equal(nvmft_host_create(t->target, TH_HOSTNQN, &host), 0);
	assert_int_equal(nvmft_subsystem_deny_host(subsys, host), -ENOENT);
	assert_int_equal(nvmft_subsystem_allow_host(subsys, host), 0);
	assert_int_equal(nvmft_subsystem_allow_host(subsys, host), -EEXIST);
	assert_int_equal(nvmft_subsystem_deny_host(subsys, host), 0);
}

/* ---- ports ---- */

#define PORT(...) &(struct nvmft_port_opts){.size = sizeof(struct nvmft_port_opts), __VA_ARGS__}

static void expect_bad_port(struct th *t, const struct nvmft_port_opts *opts, int error, const char *field)
{
	struct nvmft_port *port;

	th_log_clear(t);
	assert_int_equal(nvmft_port_add(t->target, opts, &port), error);
	assert_true(th_log_has(t, field));
}

static void port_options_are_checked(void **state)
{
	const struct nvmft_transport_ops *lo = nvmft_transport_loopback(), *tcp = nvmft_transport_tcp();
	struct th *t = *state;

	expect_bad_port(t, PORT(.transport = NULL), -EINVAL, "transport");
	expect_bad_port(t, PORT(.transport = lo, .max_queue_depth = 1), -EINVAL, "max_queue_depth");
	expect_bad_port(t, PORT(.transport = lo, .max_queue_depth = 65537), -EINVAL, "max_queue_depth");
	expect_bad_port(t, PORT(.transport = lo, .in_capsule_size = 4097), -EINVAL, "in_capsule_size");
	expect_bad_port(t, PORT(.transport = lo, .portid = 1), -EEXIST, "portid");
	expect_bad_port(t, PORT(.transport = tcp, .traddr = "not an address"), -EINVAL, "traddr");
	expect_bad_port(t, PORT(.transport = tcp, .traddr = "127.0.0.1", .trsvcid = "http"), -EINVAL, "trsvcid");
	expect_bad_port(t, PORT(.transport = tcp, .traddr = "192.0.2.1", .trsvcid = "0"), -EADDRNOTAVAIL, "traddr");
}

/* A transport that lacks what will be called at the first connection is refused before there is one. */
static void transport_without_its_functions_is_refused(void **state)
{
	struct nvmft_transport_ops ops[5];
	struct th *t = *state;

	for (size_t i = 0; i < 5; i++)
		ops[i] = *nvmft_transport_loopback();
	ops[0].respond = NULL;
	ops[1].queue_close = NULL;
	ops[2].accept_stop = NULL;
	ops[3].api++;
	ops[4].size = offsetof(struct nvmft_transport_ops, respond);
	for (size_t i = 0; i < 5; i++)
		expect_bad_port(t, PORT(.transport = &ops[i]), -EINVAL, "transport");
}

static void address_in_use_is_told(void **state)
{
	char traddr[256], trsvcid[32];
	struct nvmft_port *first, *second;
	struct th *t = *state;

	assert_int_equal(nvmft_port_add(t->target,
					PORT(.transport = nvmft_transport_tcp(), .traddr = "127.0.0.1", .trsvcid = "0"),
					&first),
			 0);
	nvmft_port_address(first, traddr, trsvcid);
	assert_string_not_equal(trsvcid, "0");
	assert_int_equal(nvmft_port_add(t->target,
					PORT(.transport = nvmft_transport_tcp(), .traddr = traddr, .trsvcid = trsvcid),
					&second),
			 -EADDRINUSE);
}

static void port_needs_a_poll_group(void **state)
{
	struct nvmft_target *target;
	struct nvmft_port *port;

	(void)state;
	assert_int_equal(nvmft_target_create(NULL, &target), 0);
	assert_int_equal(nvmft_port_add(target, PORT(.transport = nvmft_transport_loopback()), &port), -ENXIO);
	assert_int_equal(nvmft_target_destroy(target), 0);
}

static void linking_twice_and_unlinking_nothing_are_errors(void **state)
{
	struct th *t = *state;
	struct nvmft_subsystem *subsys = th_add_subsystem(t, TH_NQN);

	assert_int_equal(nvmft_port_link(t->port, subsys), -EEXIST);
	assert_int_equal(nvmft_port_unlink(t->port, subsys), 0);
	assert_int_equal(nvmft_port_unlink(t->port, subsys), -ENOENT);
}

/* Without a moment in which the port listens and the subsystem is not there. */
static void port_serves_its_subsystems_from_the_start(void **state)
{
	struct nvmft_subsystem *subsys[2], *twice[2];
	struct th_queue q;
	struct nvmft_port *port;
	struct th *t = *state;

	assert_int_equal(nvmft_subsystem_create(t->target, SUBSYS(.nqn = TH_NQN, .allow_any_host = true), &subsys[0]), 0);
	assert_int_equal(nvmft_subsystem_create(t->target, SUBSYS(.nqn = "other"), &subsys[1]), 0);
	twice[0] = twice[1] = subsys[0];
	expect_bad_port(t, PORT(.transport = nvmft_transport_loopback(), .subsystems = twice, .nsubsystems = 2), -EINVAL,
			"subsystems");
	assert_int_equal(nvmft_port_add(t->target,
					PORT(.transport = nvmft_transport_loopback(), .subsystems = subsys,
					     .nsubsystems = 2),
					&port),
			 0);
	assert_int_equal(nvmft_port_link(port, subsys[1]), -EEXIST);
	assert_int_equal(th_connect(t, &q, &(struct nvmft_loopback_opts){.port = port, .subnqn = TH_NQN}), 0);
	th_disconnect(&q);
	assert_int_equal(nvmft_port_unlink(port, subsys[0]), 0);
	assert_int_equal(nvmft_subsystem_remove(subsys[1], NULL), 0);
}

static void removed_port_closes_its_connections(void **state)
{
	struct nvmft_loopback_opts opts = {.size = sizeof(opts)};
	struct th *t = *state;
	struct th_done done;
	struct th_queue q;
	struct nvmft_port *port;

	assert_int_equal(nvmft_port_add(t->target, PORT(.transport = nvmft_transport_loopback()), &port), 0);
	assert_int_equal(nvmft_port_link(port, th_add_subsystem(t, TH_NQN)), 0);
	th_settle(t);
	opts.port = port;
	assert_int_equal(th_connect(t, &q, &opts), 0);
	assert_int_equal(nvmft_port_remove(port, th_done_init(&done)), 0);
	assert_int_equal(th_done_wait(t, &done), 0);
	assert_true(q.disconnected);
}

/* They depend on no subsystem that the port serves. */
static void removed_port_closes_its_discovery_connections(void **state)
{
	struct nvmft_loopback_opts opts = {.size = sizeof(opts), .subnqn = "nqn.2014-08.org.nvmexpress.discovery"};
	struct th *t = *state;
	struct th_done done;
	struct th_queue q;

	assert_int_equal(nvmft_port_add(t->target, PORT(.transport = nvmft_transport_loopback()), &opts.port), 0);
	th_settle(t);
	assert_int_equal(th_connect(t, &q, &opts), 0);
	assert_int_equal(nvmft_port_remove(opts.port, th_done_init(&done)), 0);
	assert_int_equal(th_done_wait(t, &done), 0);
	assert_true(q.disconnected);
}

static void connections_of_a_port_are_limited(void **state)
{
	struct nvmft_loopback_opts opts = {.size = sizeof(opts)};
	struct th *t = *state;
	struct th_queue first, second;
	struct nvmft_port *port;

	assert_int_equal(nvmft_port_add(t->target, PORT(.transport = nvmft_transport_loopback(), .max_connections = 1), &port),
			 0);
	assert_int_equal(nvmft_port_link(port, th_add_subsystem(t, TH_NQN)), 0);
	th_settle(t);
	opts.port = port;
	assert_int_equal(th_connect(t, &first, &opts), 0);
	assert_int_equal(th_connect(t, &second, &opts), -ECONNREFUSED);
	th_disconnect(&first);
	th_settle(t);
	assert_int_equal(th_connect(t, &second, &opts), 0);
	th_disconnect(&second);
}

/* ---- namespaces ---- */

static int try_namespace(struct nvmft_subsystem *subsys, uint32_t nsid, uint64_t bytes, uint32_t block_size)
{
	struct nvmft_null_opts no = {.size = sizeof(no), .bytes = bytes, .block_size = block_size};
	struct nvmft_namespace_opts opts = {
		.size = sizeof(opts), .nsid = nsid, .backend = nvmft_backend_null(), .backend_opts = &no};

	return nvmft_namespace_add(subsys, &opts, NULL);
}

static void namespace_options_are_checked(void **state)
{
	struct nvmft_namespace_opts none = {.size = sizeof(none)};
	struct nvmft_subsystem *subsys;
	struct th *t = *state;

	subsys = th_add_subsystem_opts(t, SUBSYS(.nqn = TH_NQN, .max_namespaces = 2));
	assert_int_equal(nvmft_namespace_add(subsys, &none, NULL), -EINVAL);
	assert_true(th_log_has(t, "backend"));
	assert_int_equal(try_namespace(subsys, 1, 1000, 512), -EINVAL);
	assert_int_equal(try_namespace(subsys, 1, 8192, 1024), -EINVAL);
	assert_true(th_log_has(t, "block_size"));
	assert_int_equal(try_namespace(subsys, 3, 8192, 512), -EINVAL);
	assert_true(th_log_has(t, "nsid"));
	assert_int_equal(try_namespace(subsys, 2, 8192, 512), 0);
	assert_int_equal(try_namespace(subsys, 2, 8192, 512), -EEXIST);
	assert_int_equal(try_namespace(subsys, 0, 8192, 512), 0);
	assert_non_null(nvmft_namespace_find(subsys, 1));
	assert_int_equal(try_namespace(subsys, 0, 8192, 512), -ENOSPC);
}

static void missing_file_is_named(void **state)
{
	struct nvmft_file_opts fo = {.size = sizeof(fo), .path = "/nonexistent/disk.img"};
	struct nvmft_namespace_opts opts = {.size = sizeof(opts), .backend = nvmft_backend_file(), .backend_opts = &fo};
	struct nvmft_subsystem *subsys;
	struct th *t = *state;

	subsys = th_add_subsystem(t, TH_NQN);
	assert_int_equal(nvmft_namespace_add(subsys, &opts, NULL), -ENOENT);
	assert_true(th_log_has(t, "/nonexistent/disk.img"));
}

static void namespace_comes_and_goes_while_connected(void **state)
{
	struct nvmft_namespace *ns;
	struct nvmft_subsystem *subsys;
	struct th *t = *state;
	struct th_ctrl ctrl;
	char buf[512];

	subsys = th_add_subsystem(t, TH_NQN);
	th_add_null(subsys, 8192, 512);
	th_ctrl_connect(t, &ctrl, NULL);
	assert_int_equal(th_sc(th_read(&ctrl, 2, 0, 1, buf, sizeof(buf))), TH_SC_INVALID_NS);
	ns = th_add_null(subsys, 8192, 512);
	th_settle(t);
	assert_int_equal(th_read(&ctrl, 2, 0, 1, buf, sizeof(buf)), 0);
	th_remove_namespace(t, ns);
	assert_int_equal(th_sc(th_read(&ctrl, 2, 0, 1, buf, sizeof(buf))), TH_SC_INVALID_NS);
	assert_int_equal(th_read(&ctrl, 1, 0, 1, buf, sizeof(buf)), 0);
	th_ctrl_disconnect(&ctrl);
}

/* Another one has its place before any poll group has seen it go. */
static void namespace_that_is_replaced_at_once_goes(void **state)
{
	struct nvmft_subsystem *subsys;
	struct nvmft_namespace *ns;
	struct th *t = *state;
	struct th_done done;
	struct th_ctrl ctrl;
	char buf[512];

	subsys = th_add_subsystem(t, TH_NQN);
	ns = th_add_null(subsys, 8192, 512);
	th_ctrl_connect(t, &ctrl, NULL);
	assert_int_equal(th_read(&ctrl, 1, 0, 1, buf, sizeof(buf)), 0);
	assert_int_equal(nvmft_namespace_remove(ns, th_done_init(&done)), 0);
	th_add_null(subsys, 4096, 512);
	assert_int_equal(th_done_wait(t, &done), 0);
	assert_int_equal(th_sc(th_read(&ctrl, 1, 8, 1, buf, sizeof(buf))), TH_SC_LBA_RANGE);
	th_ctrl_disconnect(&ctrl);
}

static void namespace_numbers_may_be_far_apart(void **state)
{
	struct nvmft_subsystem *subsys;
	struct th *t = *state;
	struct th_ctrl ctrl;
	char buf[512];

	subsys = th_add_subsystem_opts(t, SUBSYS(.nqn = TH_NQN, .max_namespaces = 0xf0000000, .allow_any_host = true));
	assert_int_equal(try_namespace(subsys, 0xf0000000, 8192, 512), 0);
	assert_int_equal(try_namespace(subsys, 7, 8192, 512), 0);
	assert_int_equal(try_namespace(subsys, 70000, 8192, 512), 0);
	th_ctrl_connect(t, &ctrl, NULL);
	assert_int_equal(th_read(&ctrl, 0xf0000000, 0, 1, buf, sizeof(buf)), 0);
	assert_int_equal(th_read(&ctrl, 7, 0, 1, buf, sizeof(buf)), 0);
	assert_int_equal(th_read(&ctrl, 70000, 0, 1, buf, sizeof(buf)), 0);
	assert_int_equal(th_sc(th_read(&ctrl, 8, 0, 1, buf, sizeof(buf))), TH_SC_INVALID_NS);
	th_ctrl_disconnect(&ctrl);
}

static void identifiers_do_not_change_from_start_to_start(void **state)
{
	unsigned char before[4096], after[4096];
	struct nvmft_subsystem *subsys;
	struct th *t = *state;
	struct nvmft_sqe sqe;
	struct th_ctrl ctrl;

	subsys = th_add_subsystem(t, TH_NQN);
	th_add_null(subsys, 8192, 512);
	th_ctrl_connect(t, &ctrl, NULL);
	th_sqe_identify(&sqe, 3, 1);
	assert_int_equal(th_exec(&ctrl.admin, &sqe, before, sizeof(before)), 0);
	th_remove_namespace(t, nvmft_namespace_find(subsys, 1));
	th_add_null(subsys, 8192, 512);
	th_settle(t);
	assert_int_equal(th_exec(&ctrl.admin, &sqe, after, sizeof(after)), 0);
	assert_memory_equal(before, after, sizeof(before));
	th_ctrl_disconnect(&ctrl);
}

static void many_objects_need_no_fixed_tables(void **state)
{
	struct nvmft_subsystem *subsys = NULL;
	struct th *t = *state;
	char nqn[64];
	int i;

	for (i = 0; i < 300; i++) {
		snprintf(nqn, sizeof(nqn), "nqn.2024-01.org.example:many-%d", i);
		subsys = th_add_subsystem(t, nqn);
	}
	for (i = 0; i < 500; i++)
		assert_int_equal(try_namespace(subsys, 0, 8192, 512), 0);
	for (i = 0; i < 40; i++)
		assert_int_equal(nvmft_port_add(t->target, PORT(.transport = nvmft_transport_loopback()), NULL), 0);
	th_settle(t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(target_needs_some_memory),
		cmocka_unit_test(target_with_defaults_can_be_destroyed_at_once),
		TEST(running_target_is_not_destroyed),
		cmocka_unit_test(nothing_to_destroy_is_no_error),
		cmocka_unit_test(options_of_an_older_header_are_taken),
		TEST(subsystem_options_are_checked),
		TEST(subsystem_names_are_unique),
		TEST(hosts_are_unique_and_named),
		TEST(allowing_twice_and_denying_nobody_are_errors),
		TEST(port_options_are_checked),
		TEST(transport_without_its_functions_is_refused),
		TEST(address_in_use_is_told),
		cmocka_unit_test(port_needs_a_poll_group),
		TEST(linking_twice_and_unlinking_nothing_are_errors),
		TEST(port_serves_its_subsystems_from_the_start),
		TEST(removed_port_closes_its_connections),
		TEST(removed_port_closes_its_discovery_connections),
		TEST(connections_of_a_port_are_limited),
		TEST(namespace_options_are_checked),
		TEST(missing_file_is_named),
		TEST(namespace_comes_and_goes_while_connected),
		TEST(namespace_that_is_replaced_at_once_goes),
		TEST(namespace_numbers_may_be_far_apart),
		TEST(identifiers_do_not_change_from_start_to_start),
		TEST(many_objects_need_no_fixed_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
