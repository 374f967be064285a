/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The names by which hosts know a disk: what is configured, else what the device has, else what is made up. Two disks
 * of one name are two paths to one disk, for a host.
 */
#include "admin_util.h"
#include "probe.h"

struct ids {
	uint8_t eui64[8], nguid[16], uuid[16];
};

static const uint8_t none[16];
static struct probe probe;

/* Those that a namespace does not tell are zero. */
static struct ids ids_of(struct th_ctrl *ctrl, uint32_t nsid)
{
	unsigned char buf[4096];
	struct nvmft_sqe sqe;
	struct ids ids = {0};

	th_sqe_identify(&sqe, 0x03, nsid);
	assert_int_equal(th_exec(&ctrl->admin, &sqe, buf, sizeof(buf)), 0);
	for (size_t at = 0; buf[at + 1]; at += 4u + buf[at + 1]) {
		if (buf[at] == NVME_NIDT_EUI64)
			memcpy(ids.eui64, &buf[at + 4], 8);
		else if (buf[at] == NVME_NIDT_NGUID)
			memcpy(ids.nguid, &buf[at + 4], 16);
		else if (buf[at] == NVME_NIDT_UUID)
			memcpy(ids.uuid, &buf[at + 4], 16);
	}
	return ids;
}

/* ---- made up ---- */

static void made_up_identifiers_differ_between_namespaces(void **state)
{
	/* Each byte of the NSID counts. */
	static const uint32_t nsids[] = {1, 2, 257, 65537, 0x1000001};
	const struct nvmft_subsystem_opts opts = {.size = sizeof(opts),
						  .nqn = "nqn.2024-01.org.example:far",
						  .allow_any_host = true,
						  .max_namespaces = 0x2000000};
	const struct th_ctrl_opts host = {.subnqn = opts.nqn};
	struct nvmft_null_opts null = {.size = sizeof(null), .bytes = 1 << 20};
	struct nvmft_namespace_opts ns = {.size = sizeof(ns), .backend = nvmft_backend_null(), .backend_opts = &null};
	struct admin_world *w = *state;
	struct nvmft_subsystem *subsys = th_add_subsystem_opts(&w->t, &opts);
	struct ids ids[COUNT(nsids)];
	struct th_ctrl ctrl;

	for (size_t i = 0; i < COUNT(nsids); i++) {
		ns.nsid = nsids[i];
		assert_int_equal(nvmft_namespace_add(subsys, &ns, NULL), 0);
	}
	th_ctrl_connect(&w->t, &ctrl, &host);
	for (size_t i = 0; i < COUNT(nsids); i++) {
		ids[i] = ids_of(&ctrl, nsids[i]);
		for (size_t j = 0; j < i; j++) {
			assert_memory_not_equal(ids[i].nguid, ids[j].nguid, 16);
			assert_memory_not_equal(ids[i].uuid, ids[j].uuid, 16);
		}
	}
	th_ctrl_disconnect(&ctrl);
}

static void made_up_identifiers_differ_between_subsystems(void **state)
{
	const struct th_ctrl_opts host = {.subnqn = "nqn.2024-01.org.example:other"};
	struct admin_world *w = *state;
	struct th_ctrl other;
	struct ids a, b;

	th_add_memory(th_add_subsystem(&w->t, host.subnqn), 1 << 20, 512);
	th_ctrl_connect(&w->t, &other, &host);
	a = ids_of(&w->ctrl, 1);
	b = ids_of(&other, 1);
	assert_memory_not_equal(a.nguid, b.nguid, 16);
	assert_memory_not_equal(a.uuid, b.uuid, 16);
	th_ctrl_disconnect(&other);
}

static void made_up_identifiers_have_as_many_bits_as_they_say(void **state)
{
	struct admin_world *w = *state;
	struct ids ids = ids_of(&w->ctrl, 1);

	assert_memory_not_equal(ids.nguid, ids.nguid + 8, 8);
	assert_memory_not_equal(ids.uuid, ids.uuid + 8, 8);
	/* Up to where the version is. */
	assert_memory_not_equal(ids.uuid, ids.nguid, 6);
}

/* RFC 9562: version 8, of the variant that this document describes. */
static void a_made_up_uuid_says_what_it_is(void **state)
{
	char nqn[] = "nqn.2024-01.org.example:0";
	const struct th_ctrl_opts host = {.subnqn = nqn};
	struct admin_world *w = *state;

	/* Some have these bits by chance. */
	for (; nqn[sizeof(nqn) - 2] < '8'; nqn[sizeof(nqn) - 2]++) {
		struct th_ctrl ctrl;
		struct ids ids;

		th_add_memory(th_add_subsystem(&w->t, nqn), 1 << 20, 512);
		th_ctrl_connect(&w->t, &ctrl, &host);
		ids = ids_of(&ctrl, 1);
		assert_int_equal(ids.uuid[6] >> 4, 8);
		assert_int_equal(ids.uuid[8] >> 6, 2);
		th_ctrl_disconnect(&ctrl);
	}
}

/* ---- of the device ---- */

static int setup_device(void **state)
{
	admin_setup(state);
	probe_init(&probe);
	return 0;
}

static int teardown_device(void **state)
{
	admin_teardown(state);
	probe_fini(&probe);
	return 0;
}

/* It has one of each. */
static void fill_device(void)
{
	memset(probe.info.eui64, 0x11, 8);
	memset(probe.info.nguid, 0x22, 16);
	memset(probe.info.uuid, 0x33, 16);
}

/* Namespace 2 of @w, with a device behind it. */
static struct ids ids_as(struct admin_world *w, struct nvmft_namespace_opts opts)
{
	opts.nsid = 2;
	assert_int_equal(probe_try_add_as(w->subsys, &probe, opts), 0);
	th_settle(&w->t);
	return ids_of(&w->ctrl, 2);
}

static void those_of_the_device_are_taken(void **state)
{
	struct ids ids;

	fill_device();
	ids = ids_as(*state, (struct nvmft_namespace_opts){0});
	assert_memory_equal(ids.eui64, probe.info.eui64, 8);
	assert_memory_equal(ids.nguid, probe.info.nguid, 16);
	assert_memory_equal(ids.uuid, probe.info.uuid, 16);
}

static void a_device_with_an_eui64_needs_no_other(void **state)
{
	struct ids ids;

	memset(probe.info.eui64, 0x11, 8);
	ids = ids_as(*state, (struct nvmft_namespace_opts){0});
	assert_memory_equal(ids.eui64, probe.info.eui64, 8);
	assert_memory_equal(ids.nguid, none, 16);
	assert_memory_equal(ids.uuid, none, 16);
}

/* Not all hosts know a disk by its UUID. */
static void a_uuid_alone_is_not_enough(void **state)
{
	struct ids ids;

	memset(probe.info.uuid, 0x33, 16);
	ids = ids_as(*state, (struct nvmft_namespace_opts){0});
	assert_memory_equal(ids.uuid, probe.info.uuid, 16);
	assert_memory_not_equal(ids.nguid, none, 16);
}

/* ---- configured: one is enough, and those of the device are not mixed with it ---- */

static void a_configured_eui64_replaces_all_of_the_device(void **state)
{
	struct ids ids;

	fill_device();
	ids = ids_as(*state, (struct nvmft_namespace_opts){.eui64 = "1234567"});
	assert_memory_equal(ids.eui64, "1234567", 8);
	assert_memory_equal(ids.nguid, none, 16);
	assert_memory_equal(ids.uuid, none, 16);
}

static void a_configured_nguid_replaces_all_of_the_device(void **state)
{
	struct ids ids;

	fill_device();
	ids = ids_as(*state, (struct nvmft_namespace_opts){.nguid = "0123456789abcde"});
	assert_memory_equal(ids.eui64, none, 8);
	assert_memory_equal(ids.nguid, "0123456789abcde", 16);
	assert_memory_equal(ids.uuid, none, 16);
}

static void a_configured_uuid_replaces_all_of_the_device(void **state)
{
	struct ids ids;

	fill_device();
	ids = ids_as(*state, (struct nvmft_namespace_opts){.uuid = "0123456789abcde"});
	assert_memory_equal(ids.eui64, none, 8);
	assert_memory_not_equal(ids.nguid, probe.info.nguid, 16);
	assert_memory_not_equal(ids.nguid, none, 16);
	assert_memory_equal(ids.uuid, "0123456789abcde", 16);
}

#define DEVICE_TEST(name) cmocka_unit_test_setup_teardown(name, setup_device, teardown_device)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ADMIN_TEST(made_up_identifiers_differ_between_namespaces),
		ADMIN_TEST(made_up_identifiers_differ_between_subsystems),
		ADMIN_TEST(made_up_identifiers_have_as_many_bits_as_they_say),
		ADMIN_TEST(a_made_up_uuid_says_what_it_is),
		DEVICE_TEST(those_of_the_device_are_taken),
		DEVICE_TEST(a_device_with_an_eui64_needs_no_other),
		DEVICE_TEST(a_uuid_alone_is_not_enough),
		DEVICE_TEST(a_configured_eui64_replaces_all_of_the_device),
		DEVICE_TEST(a_configured_nguid_replaces_all_of_the_device),
		DEVICE_TEST(a_configured_uuid_replaces_all_of_the_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
