/* SPDX-License-Identifier: BSD-3-Clause */
/* Admin commands of hosts: to the thread, the device, and back. */
#include "world.h"

#define NOT_READY 0x82
#define LOST 0x21
#define ABORTED 0x07

static void pass_opcode(struct world *w, struct test_io *t, struct nvmft_sqe *sqe, uint8_t opcode, uint32_t dwords)
{
	*sqe = (struct nvmft_sqe){.opcode = opcode, .cdw10 = htole32(dwords), .nsid = htole32(77), .cid = 99};
	memset(t, 0, sizeof(*t));
	t->iov[0] = (struct nvmft_iov){w->buffers, dwords * 4, 20};
	t->io = (struct nvmft_io){
		.op = NVMFT_IO_COMMAND,
		.flags = NVMFT_IO_ADMIN,
		.iov = t->iov,
		.iovcnt = dwords ? 1 : 0,
		.sqe = sqe,
		.channel = channel0(w),
		.priv = t->priv,
	};
	nvmft_vfio_submit(channel0(w), &t->io);
}

static void pass_command(struct world *w, struct test_io *t, struct nvmft_sqe *sqe, uint32_t dwords)
{
	pass_opcode(w, t, sqe, MODEL_PASS, dwords);
}

static void test_admin_command(void **state)
{
	struct world *w = *state;
	const uint32_t *data = (const void *)w->buffers;
	struct nvmft_sqe sqe;
	struct test_io t;

	for (uint32_t dwords = 0; dwords <= MODEL_PASS_DWORDS; dwords = dwords ? dwords * 2 : 1) {
		memset(w->buffers, 0xee, MODEL_PASS_DWORDS * 4);
		pass_command(w, &t, &sqe, dwords);
		assert_int_equal(t.done, 0);
		run_for(w, 2 * MS);
		expect_io(&t, 0);
		assert_int_equal(t.io.result, 0x1234);
		assert_int_equal(le32toh(w->m->pass.nsid), 1);
		for (uint32_t i = 0; i < dwords; i++)
			assert_int_equal(le32toh(data[i]), i);
	}
}

static void test_admin_command_of_no_namespace(void **state)
{
	struct world *w = *state;
	struct nvmft_sqe sqe = {.opcode = MODEL_PASS};
	struct test_io t = {.io = {.op = NVMFT_IO_COMMAND, .flags = NVMFT_IO_ADMIN | NVMFT_IO_NO_NSID}};

	t.io.sqe = &sqe;
	t.io.channel = channel0(w);
	t.io.priv = t.priv;
	w->m->pass.nsid = htole32(77);
	nvmft_vfio_submit(channel0(w), &t.io);
	run_for(w, 2 * MS);
	expect_io(&t, 0);
	assert_int_equal(w->m->pass.nsid, 0);
}

/* The device does not always tell of what a command has changed. */
static void test_admin_command_changes_namespaces(void **state)
{
	struct world *w = *state;
	struct nvmft_sqe sqe;
	struct test_io t;

	w->m->hold_pass = true;
	pass_opcode(w, &t, &sqe, 0x80, 0); /* Format NVM */
	run_for(w, 2 * MS);
	w->m->blocks[1] = 150;
	model_answer_pass(w->m, 0);
	run_for(w, SECOND);
	expect_io(&t, 0);
	assert_int_equal(w->ns[1].info.blocks, 150);
}

static void test_format_to_another_format(void **state)
{
	struct world *w = *state;
	struct nvmft_sqe sqe;
	struct test_io t;

	memset(&w->m->pass, 0, sizeof(w->m->pass));
	pass_opcode(w, &t, &sqe, 0x80, 1); /* LBA format 1 */
	expect_io(&t, 0x410a);
	run_for(w, 10 * MS);
	assert_int_equal(w->m->pass.opcode, 0);
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, MS);
	expect_io(&t, 0);
}

static void test_io_waits_for_a_format_of_a_host(void **state)
{
	struct world *w = *state;
	struct nvmft_sqe sqe, again;
	struct test_io t, u, v;

	w->m->hold_pass = true;
	pass_opcode(w, &t, &sqe, 0x80, 0);
	submit(w, &u, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, SECOND);
	assert_int_equal(t.done | u.done, 0);
	pass_opcode(w, &v, &again, 0x80, 0);
	expect_io(&v, NOT_READY); /* one after the other */
	model_answer_pass(w->m, 0);
	run_for(w, 10 * MS);
	expect_io(&t, 0);
	expect_io(&u, 0);
}

/* It looks the same all the time, but is not to be used. */
static void test_io_waits_for_the_end_of_a_format(void **state)
{
	struct world *w = *state;
	struct nvmft_sqe sqe;
	struct test_io t, u;

	w->m->hold_pass = true;
	pass_opcode(w, &t, &sqe, 0x80, 0);
	submit(w, &u, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, 2 * MS);
	model_event(w->m, 0x00040002u); /* namespaces changed */
	run_for(w, 3 * SECOND);
	assert_int_equal(t.done | u.done, 0);
	model_answer_pass(w->m, 0);
	run_for(w, 10 * MS);
	expect_io(&t, 0);
	expect_io(&u, 0);
}

static void test_admin_command_fails(void **state)
{
	struct world *w = *state;
	struct nvmft_sqe sqe;
	struct test_io t;

	w->m->hold_pass = true;
	pass_command(w, &t, &sqe, 0);
	run_for(w, 2 * MS);
	model_answer_pass(w->m, 0x6002); /* More and DNR, Invalid Field */
	run_for(w, 2 * MS);
	expect_io(&t, 0x4002);
}

static void test_admin_command_may_take_long(void **state)
{
	struct world *w = *state;
	struct nvmft_sqe sqe;
	struct test_io t, u;

	w->m->hold_pass = w->m->hold = w->m->keep_io_on_abort = true;
	submit(w, &u, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, 2 * MS);
	pass_opcode(w, &t, &sqe, 0x80, 0); /* Format NVM */
	run_for(w, 59 * SECOND);
	assert_int_equal(t.done | u.done, 0);
	assert_int_equal(w->m->enables, 1); /* I/O may have to wait for it */
	run_for(w, 3 * SECOND);
	expect_io(&t, ABORTED);
	run_for(w, 3 * SECOND);
	expect_io(&u, LOST);
	assert_int_equal(w->m->enables, 2);
}

static void test_admin_command_does_not_keep_a_hung_queue(void **state)
{
	struct world *w = *state;
	struct nvmft_sqe sqe;
	struct test_io t, u;

	w->m->hold_pass = w->m->hold = w->m->keep_io_on_abort = true;
	pass_command(w, &t, &sqe, 0);
	submit(w, &u, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, 30 * SECOND);
	expect_io(&u, LOST);
	expect_io(&t, LOST);
	assert_int_equal(w->m->enables, 2);
}

static void test_admin_command_may_keep_others_waiting(void **state)
{
	struct world *w = *state;
	struct nvmft_sqe sqe;
	struct test_io t, u;

	w->m->hold_pass = true;
	pass_command(w, &t, &sqe, 0);
	run_for(w, 2 * MS);
	w->m->busy_until = w->m->now + 30 * SECOND;
	assert_int_equal(world_open_channel(w, 1, 0), 0);
	submit_to(w, 1, 0, &u, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, 2 * MS);
	expect_io(&u, 0);
	assert_int_equal(w->m->enables, 1);
	model_answer_pass(w->m, 0);
	run_for(w, 2 * MS);
	expect_io(&t, 0);
}

static void test_admin_command_and_its_abort_time_out(void **state)
{
	struct world *w = *state;
	struct nvmft_sqe sqe;
	struct test_io t;

	w->m->hold_pass = w->m->keep_pass_on_abort = true;
	pass_command(w, &t, &sqe, 0);
	run_for(w, 63 * SECOND);
	assert_int_equal(w->m->aborts, 1);
	assert_int_equal(t.done, 0);
	run_for(w, 4 * SECOND);
	expect_io(&t, LOST);
	assert_int_equal(w->m->enables, 2);
}

/* However many hosts send: a queue can be made. */
static void test_admin_commands_leave_room(void **state)
{
	struct world *w = *state;
	struct nvmft_sqe sqe[40];
	struct test_io t[40], u;

	w->m->hold_pass = true;
	for (unsigned int i = 0; i < 40; i++)
		pass_command(w, &t[i], &sqe[i], 0);
	run_for(w, 2 * MS);
	assert_int_equal(world_open_channel(w, 1, 0), 0);
	submit_to(w, 1, 0, &u, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, 2 * MS);
	expect_io(&u, 0);
	model_vanish(w->m);
	run_for(w, 2 * SECOND);
	for (unsigned int i = 0; i < 40; i++)
		assert_int_equal(t[i].done, 1);
}

static void test_admin_command_is_aborted(void **state)
{
	struct world *w = *state;
	struct nvmft_sqe sqe[2];
	struct test_io t[2];

	w->m->hold_pass = true;
	pass_command(w, &t[0], &sqe[0], 0);
	run_for(w, 2 * MS);
	nvmft_vfio_abort(channel0(w), &t[0].io);
	run_for(w, 2 * MS);
	expect_io(&t[0], ABORTED);
	/* Before the thread has seen it. */
	w->stuck = true;
	pass_command(w, &t[1], &sqe[1], 0);
	nvmft_vfio_abort(channel0(w), &t[1].io);
	w->stuck = false;
	run_for(w, 2 * MS);
	expect_io(&t[1], ABORTED);
	assert_int_equal(w->m->aborts, 1);
}

static void test_admin_commands_more_than_there_is_room(void **state)
{
	struct world *w = *state;
	struct nvmft_sqe sqe[40];
	struct test_io t[40];

	for (unsigned int i = 0; i < 40; i++)
		pass_command(w, &t[i], &sqe[i], 4096);
	for (unsigned int i = 0; i < 10; i++)
		run_for(w, SECOND);
	for (unsigned int i = 0; i < 40; i++)
		expect_io(&t[i], 0);
}

static void test_admin_command_is_lost_in_a_reset(void **state)
{
	struct world *w = *state;
	struct nvmft_sqe sqe[2];
	struct test_io t[2];

	w->m->hold_pass = true;
	pass_command(w, &t[0], &sqe[0], 0);
	run_for(w, 2 * MS);
	model_fatal(w->m);
	nvmft_ctrl_step(w->ctrl);
	w->m->hold_pass = false;
	pass_command(w, &t[1], &sqe[1], 0);
	run_for(w, SECOND);
	expect_io(&t[0], LOST);
	expect_io(&t[1], 0);
	model_vanish(w->m);
	run_for(w, 2 * SECOND);
	pass_command(w, &t[0], &sqe[0], 0);
	expect_io(&t[0], NOT_READY);
}

/* The answer ends the group's sleep. */
static void test_admin_command_wakes_its_group(void **state)
{
	struct world *w = *state;
	struct nvmft_sqe sqe;
	struct test_io t;

	pass_command(w, &t, &sqe, 0);
	assert_int_equal(nvmft_vfio_arm(channel0(w)), 0);
	(void)wakes(w, 0); /* of the queue that was made */
	nvmft_vfio_poll(channel0(w));
	assert_int_equal(nvmft_vfio_arm(channel0(w)), 0);
	assert_false(wakes(w, 0));
	nvmft_ctrl_step(w->ctrl);
	model_step(w->m);
	nvmft_ctrl_step(w->ctrl);
	assert_true(wakes(w, 0));
	nvmft_vfio_poll(channel0(w));
	expect_io(&t, 0);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_format_to_another_format, world_setup_two),
		TEST(test_io_waits_for_a_format_of_a_host, world_setup_two),
		TEST(test_io_waits_for_the_end_of_a_format, world_setup_two),
		TEST(test_admin_command, world_setup_two),
		TEST(test_admin_command_of_no_namespace, world_setup_two),
		TEST(test_admin_command_changes_namespaces, world_setup_two),
		TEST(test_admin_command_fails, world_setup_two),
		TEST(test_admin_command_and_its_abort_time_out, world_setup_two),
		TEST(test_admin_commands_leave_room, world_setup_two),
		TEST(test_admin_command_may_take_long, world_setup_two),
		TEST(test_admin_command_does_not_keep_a_hung_queue, world_setup_two),
		TEST(test_admin_command_may_keep_others_waiting, world_setup_two),
		TEST(test_admin_command_is_aborted, world_setup_two),
		TEST(test_admin_commands_more_than_there_is_room, world_setup_two),
		TEST(test_admin_command_is_lost_in_a_reset, world_setup_two),
		TEST(test_admin_command_wakes_its_group, world_setup_two),
	};

	return cmocka_run_group_tests_name("vfio_pass", tests, NULL, NULL);
}
