/* SPDX-License-Identifier: BSD-3-Clause */
/* What the device tells of by itself, and namespaces that change under I/O. */
#include <nvme/types.h>

#include "world.h"

#define NOT_READY 0x82
#define ABORTED 0x07
#define CHANGED_NAMESPACES 0x00040002u /* notice, log page 04h */
#define SMART_TEMPERATURE 0x00020101u

/* ---- events ---- */

static void change(struct world *w, const uint32_t *nsids, size_t n)
{
	memset(w->m->log, 0, sizeof(w->m->log));
	for (size_t i = 0; i < n; i++)
		((uint32_t *)(void *)w->m->log)[i] = htole32(nsids[i]);
	model_event(w->m, CHANGED_NAMESPACES);
	run_for(w, 3 * SECOND);
}

static void test_asks_for_events(void **state)
{
	struct world *w = *state;

	assert_int_equal(w->m->event_config, 0x11f); /* health, and namespaces as OAES has them */
	assert_int_equal(w->m->events_wanted, 1);
}

/* Until they are, some devices tell of no more. */
static void test_changes_told_to_others_are_read(void **state)
{
	struct world *w = *state;

	assert_int_equal(w->m->logs_read, 1);
	assert_int_equal(w->m->last_lid, 4);
	model_fatal(w->m);
	run_for(w, 3 * SECOND);
	assert_int_equal(w->m->logs_read, 2);
}

static void test_event_is_acknowledged(void **state)
{
	struct world *w = *state;

	model_event(w->m, 0x00c00007); /* the vendor's, log page C0h */
	run_for(w, 3 * SECOND);
	assert_int_equal(w->m->logs_read, 2);
	assert_int_equal(w->m->last_lid, 0xc0);
	assert_int_equal(w->m->events_wanted, 2);
	expect_log("log page 0xc0");
}

/* However fast the device: ten events in a second at most. */
static void test_events_do_not_flood(void **state)
{
	struct world *w = *state;
	unsigned int told = 0;

	for (unsigned int i = 0; i < 1000; i++) {
		if (w->m->events_wanted > w->m->events_told) {
			model_event(w->m, 0x00c00007);
			told++;
		}
		w->m->now += MS;
		model_step(w->m);
		nvmft_ctrl_step(w->ctrl);
	}
	assert_in_range(told, 8, 11);
}

static void test_health_in_words(void **state)
{
	struct world *w = *state;

	w->m->log[0] = 0x02 | 0x08;
	model_event(w->m, SMART_TEMPERATURE);
	run_for(w, 3 * SECOND);
	expect_log("temperature threshold");
	expect_log("temperature is outside of its limits");
	expect_log("media are read only");
}

static void test_namespace_changes_size(void **state)
{
	struct world *w = *state;
	const uint32_t nsids[] = {2, 7};

	w->m->blocks[1] = 100;
	change(w, nsids, 2);
	assert_int_equal(w->ns[0].told, 0);
	assert_int_equal(w->ns[1].told, 1);
	assert_int_equal(w->ns[1].info.blocks, 100);
	assert_int_equal(w->ns[1].info.block_size, 512);
	change(w, nsids, 2);
	assert_int_equal(w->ns[1].told, 1); /* nothing new */
}

static void test_namespace_goes_and_comes(void **state)
{
	struct world *w = *state;
	const uint32_t nsid = 1;
	struct test_io t;

	w->m->blocks[0] = 0;
	change(w, &nsid, 1);
	assert_int_equal(w->ns[0].told, 1);
	assert_true(w->ns[0].gone);
	assert_int_equal(w->ns[1].told, 0);
	change(w, &nsid, 1);
	assert_int_equal(w->ns[0].told, 1);
	submit_to(w, 0, 1, &t, NVMFT_IO_READ, 0, 1, 0);
	pass(w);
	expect_io(&t, 0);
	w->m->blocks[0] = MODEL_BLOCKS;
	change(w, &nsid, 1);
	assert_int_equal(w->ns[0].told, 2);
	assert_false(w->ns[0].gone);
	change(w, &nsid, 1);
	assert_int_equal(w->ns[0].told, 2);
}

static void test_namespace_changes_format(void **state)
{
	struct world *w = *state;
	const uint32_t nsid = 1;

	w->m->ms = 8;
	change(w, &nsid, 1);
	assert_true(w->ns[0].gone);
	expect_log("another format");
}

/* Set Zone Descriptor Extension moves as much as the format says. */
static void test_zones_change_their_extension(void **state)
{
	struct world *w = *state;
	const uint32_t nsid = 1;

	w->m->zone_blocks = 1024;
	w->m->zone_extension = 1;
	assert_int_equal(world_open(w, DEPTH), 0);
	change(w, &nsid, 1);
	assert_int_equal(w->ns[0].told, 0);
	w->m->zone_extension = 2;
	change(w, &nsid, 1);
	assert_true(w->ns[0].gone);
	expect_log("another format");
}

static void test_more_changes_than_fit(void **state)
{
	struct world *w = *state;
	const uint32_t nsid = UINT32_MAX;

	w->m->blocks[0] = w->m->blocks[1] = 200;
	change(w, &nsid, 1);
	assert_int_equal(w->ns[0].info.blocks, 200);
	assert_int_equal(w->ns[1].info.blocks, 200);
}

static void test_changes_that_cannot_be_read(void **state)
{
	struct world *w = *state;
	const uint32_t none = 0;

	w->m->blocks[1] = 200;
	w->m->log_status = 6;
	change(w, &none, 1);
	assert_int_equal(w->ns[1].info.blocks, 200);
}

static void test_change_during_a_reset(void **state)
{
	struct world *w = *state;

	model_fatal(w->m);
	w->m->blocks[1] = 300;
	run_for(w, 3 * SECOND);
	assert_int_equal(w->ns[0].told, 0);
	assert_int_equal(w->ns[1].told, 1);
	assert_int_equal(w->ns[1].info.blocks, 300);
}

/* ---- another format under I/O ---- */

/* The thread knows of the event, and of nothing more. */
static void tell_of_change(struct world *w)
{
	model_event(w->m, CHANGED_NAMESPACES);
	w->m->busy_until = UINT64_MAX;
	nvmft_ctrl_step(w->ctrl);
}

static void let_it_ask(struct world *w)
{
	w->m->busy_until = 0;
	run_for(w, 3 * SECOND);
}

static void test_io_waits_for_the_format(void **state)
{
	struct world *w = *state;
	struct test_io t[3];

	tell_of_change(w);
	submit(w, &t[0], NVMFT_IO_READ, 0, 1, 0);
	submit(w, &t[1], NVMFT_IO_WRITE, 0, 1024, 0);
	submit_to(w, 0, 1, &t[2], NVMFT_IO_READ, 0, 1, 0);
	pass(w);
	assert_int_equal(w->m->io_commands, 0);
	assert_int_equal(nvmft_vfio_arm(channel0(w)), 0); /* a poll group may sleep meanwhile */
	let_it_ask(w);
	assert_true(wakes(w, 0));
	for (unsigned int i = 0; i < 3; i++)
		expect_io(&t[i], 0);
	assert_int_equal(w->ns[0].told, 0);
}

/* A device that means no change, or does not know what it says: nobody would end a doubt. */
static void test_io_does_not_wait_for_another_log(void **state)
{
	struct world *w = *state;
	struct test_io t;

	model_event(w->m, 0x00020002); /* notice of changed namespaces, log page of SMART */
	run_for(w, SECOND);
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	pass(w);
	expect_io(&t, 0);
}

static void test_io_of_another_format_is_not_sent(void **state)
{
	struct world *w = *state;
	struct test_io t[2];

	tell_of_change(w);
	submit(w, &t[0], NVMFT_IO_READ, 0, 1, 0);
	w->m->ms = 8;
	let_it_ask(w);
	expect_io(&t[0], NOT_READY);
	assert_true(w->ns[0].gone);
	submit(w, &t[1], NVMFT_IO_READ, 0, 1, 0);
	expect_io(&t[1], NOT_READY);
	assert_int_equal(w->m->io_commands, 0);
}

/* Events of the time of a reset are lost. */
static void test_io_of_another_format_is_not_sent_after_a_reset(void **state)
{
	struct world *w = *state;
	struct test_io t;

	model_fatal(w->m);
	nvmft_ctrl_step(w->ctrl);
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	w->m->ms = 8;
	run_for(w, 3 * SECOND);
	assert_int_equal(w->m->enables, 2);
	expect_io(&t, NOT_READY);
	assert_int_equal(w->m->io_commands, 0);
}

/* A sign that needs no event: the device is being formatted. */
static void test_io_that_fails_is_a_sign(void **state)
{
	static const struct {
		uint16_t status;
		enum nvmft_io_op op;
		bool sign;
	} cases[] = {
		{0x84, NVMFT_IO_READ, true},    {0x82, NVMFT_IO_WRITE, true},    {0x80, NVMFT_IO_READ, true},
		{0x0b, NVMFT_IO_READ, true},    {0x84, NVMFT_IO_FLUSH, true},    {0x281, NVMFT_IO_READ, false},
		{0x84, NVMFT_IO_COMMAND, true}, {0x80, NVMFT_IO_COMMAND, false},
	};
	const struct nvmft_sqe verify = {.opcode = OPC_VERIFY};
	struct world *w = *state;
	struct test_io t, u;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		w->m->io_status = cases[i].status;
		memset(&t, 0, sizeof(t));
		t.io = (struct nvmft_io){.op = cases[i].op, .blocks = 1, .iov = t.iov, .sqe = &verify};
		t.iov[0] = (struct nvmft_iov){w->buffers, 512, 20};
		t.io.iovcnt = cases[i].op <= NVMFT_IO_WRITE;
		t.io.channel = channel0(w);
		t.io.priv = t.priv;
		nvmft_vfio_submit(channel0(w), &t.io);
		run_for(w, MS);
		expect_io(&t, cases[i].status);
		w->m->io_status = 0;
		submit(w, &u, NVMFT_IO_READ, 0, 1, 0);
		run_for(w, 50 * MS);
		assert_int_equal(u.done, !cases[i].sign);
		run_for(w, 100 * MS);
		expect_io(&u, 0);
	}
}

/* What waits for one namespace does not hold up the other. */
static void test_the_other_namespace_goes_on(void **state)
{
	struct world *w = *state;
	struct test_io t, u[2];

	w->m->io_status = 0x84;
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, MS);
	w->m->io_status = 0;
	submit(w, &u[0], NVMFT_IO_READ, 0, 1, 0);
	submit_to(w, 0, 1, &u[1], NVMFT_IO_READ, 0, 1, 0);
	run_for(w, 2 * MS);
	assert_int_equal(u[0].done, 0);
	expect_io(&u[1], 0);
	run_for(w, SECOND);
	expect_io(&u[0], 0);
}

static void test_abort_of_io_that_waits_for_the_format(void **state)
{
	struct world *w = *state;
	struct test_io t;

	tell_of_change(w);
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	nvmft_vfio_abort(channel0(w), &t.io);
	pass(w);
	expect_io(&t, ABORTED);
	let_it_ask(w);
	assert_int_equal(w->m->io_commands, 0);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_asks_for_events, world_setup_two),
		TEST(test_changes_told_to_others_are_read, world_setup_two),
		TEST(test_event_is_acknowledged, world_setup_two),
		TEST(test_events_do_not_flood, world_setup_two),
		TEST(test_health_in_words, world_setup_two),
		TEST(test_namespace_changes_size, world_setup_two),
		TEST(test_namespace_goes_and_comes, world_setup_two),
		TEST(test_namespace_changes_format, world_setup_two),
		TEST(test_zones_change_their_extension, world_setup),
		TEST(test_more_changes_than_fit, world_setup_two),
		TEST(test_changes_that_cannot_be_read, world_setup_two),
		TEST(test_change_during_a_reset, world_setup_two),
		TEST(test_io_waits_for_the_format, world_setup_two),
		TEST(test_io_does_not_wait_for_another_log, world_setup_two),
		TEST(test_io_of_another_format_is_not_sent, world_setup_two),
		TEST(test_io_of_another_format_is_not_sent_after_a_reset, world_setup_two),
		TEST(test_io_that_fails_is_a_sign, world_setup_two),
		TEST(test_the_other_namespace_goes_on, world_setup_two),
		TEST(test_abort_of_io_that_waits_for_the_format, world_setup_two),
	};

	return cmocka_run_group_tests_name("vfio_event", tests, NULL, NULL);
}
