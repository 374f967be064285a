/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver against a controller in memory that follows a script. */
#include <errno.h>

#include "world.h"

/* ---- reset and enable ---- */

static void test_waits_as_long_as_cap_to_allows(void **state)
{
	struct world *w = *state;

	w->m->ready_delay = 2400 * MS; /* CAP.TO 4: 2 s, and the driver grants half a second more for rounding */
	assert_int_equal(world_open(w, DEPTH), 0);
}

static void test_gives_up_after_cap_to(void **state)
{
	struct world *w = *state;

	w->m->ready_delay = 2600 * MS;
	assert_int_equal(world_open(w, DEPTH), -ETIMEDOUT);
	expect_log("CAP.TO");
	assert_true(w->m->now >= 2500 * MS && w->m->now < 2700 * MS);
	assert_true(w->m->closed);
}

static void test_resets_a_controller_that_runs(void **state)
{
	struct world *w = *state;

	reg_write32(w->m->bar, 0x14, CC_EN);
	w->m->cc = CC_EN;
	reg_write32(w->m->bar, 0x1c, CSTS_RDY);
	assert_int_equal(world_open(w, DEPTH), 0);
	assert_int_equal(w->m->enables, 1);
}

static void test_open_without_a_device(void **state)
{
	struct world *w = *state;

	model_vanish(w->m);
	assert_int_equal(world_open(w, DEPTH), -ENODEV);
	expect_log("0xffffffff");
}

static void test_open_with_a_silent_admin_queue(void **state)
{
	struct world *w = *state;

	w->m->dead_admin = true;
	assert_int_equal(world_open(w, DEPTH), -ETIMEDOUT);
}

static void test_refuses_what_does_not_exist(void **state)
{
	struct world *w = *state;

	w->m->blocks[0] = 0;
	assert_int_equal(world_open(w, DEPTH), -ENOENT);
	expect_log("namespace 1 of the device does not exist");
}

static void test_shuts_down_at_close(void **state)
{
	struct world *w = *state;

	world_close(w);
	assert_int_equal(w->m->shutdowns, 1);
	assert_true(w->m->closed);
	assert_false(reg_read32(w->m->bar, 0x14) & CC_EN);
}

static void test_depth_is_what_the_device_takes(void **state)
{
	struct world *w = *state;
	struct nvmft_backend_info info = {.size = sizeof(info)};

	assert_int_equal(world_open(w, 4000), 0);
	assert_int_equal(nvmft_vfio_nvme_info(&w->ns[0].backend, &info), 0);
	assert_int_equal(info.depth, 255);
	assert_true(info.needs_regions);
}

/* ---- queues ---- */

/* Three times round, with as many open commands as there can be: phase bit, wrap and doorbells at every size. */
static void test_wraps_at_every_size(void **state)
{
	struct world *w = *state;

	for (uint32_t depth = 1; depth <= 40; depth++) {
		struct test_io t[40];

		assert_int_equal(world_open(w, depth), 0);
		for (uint32_t round = 0; round < 4 + 3 * (depth < 4); round++) {
			for (uint32_t i = 0; i < depth; i++)
				submit(w, &t[i], NVMFT_IO_READ, i, 1, i * 4096);
			pass(w);
			for (uint32_t i = 0; i < depth; i++) {
				expect_io(&t[i], 0);
			}
		}
		world_close(w);
	}
}

static void test_one_doorbell_per_pass(void **state)
{
	struct world *w = *state;
	struct test_io t[3];

	for (uint32_t i = 0; i < 3; i++)
		submit(w, &t[i], NVMFT_IO_READ, i, 1, i * 4096);
	assert_int_equal(reg_read32(w->m->bar, REG_DOORBELLS + 8), 0);
	nvmft_vfio_flush(channel0(w));
	assert_int_equal(reg_read32(w->m->bar, REG_DOORBELLS + 8), 3);
	pass(w);
	assert_int_equal(reg_read32(w->m->bar, REG_DOORBELLS + 12), 3);
}

static void test_completes_out_of_order(void **state)
{
	struct world *w = *state;
	struct test_io t[4];

	w->m->hold = true;
	for (uint32_t i = 0; i < 4; i++)
		submit(w, &t[i], NVMFT_IO_READ, i, 1, i * 4096);
	pass(w);
	assert_int_equal(w->m->nheld, 4);
	model_answer(w->m, 2, 0);
	nvmft_vfio_poll(channel0(w));
	assert_int_equal(t[2].done, 1);
	assert_int_equal(t[0].done + t[1].done + t[3].done, 0);
	model_answer(w->m, 2, 0x281);
	nvmft_vfio_poll(channel0(w));
	expect_io(&t[3], 0x281);
	model_answer(w->m, 0, 0);
	model_answer(w->m, 0, 0);
	nvmft_vfio_poll(channel0(w));
	assert_int_equal(t[0].done + t[1].done, 2);
}

static void test_survives_unknown_completions(void **state)
{
	struct world *w = *state;
	struct test_io t;

	hold_read(w, &t);
	model_post(w->m, 1, 6, 0, 0);      /* not open */
	model_post(w->m, 1, 0xffff, 0, 0); /* never was */
	assert_int_equal(nvmft_vfio_poll(channel0(w)), 2);
	expect_log("not open");
	assert_int_equal(t.done, 0);
	model_answer(w->m, 0, 0);
	model_post(w->m, 1, 0, 0, 0); /* twice */
	nvmft_vfio_poll(channel0(w));
	assert_int_equal(t.done, 1);
}

static void test_status_is_passed_on(void **state)
{
	struct world *w = *state;
	struct test_io t;

	w->m->io_status = 0x4000 | 0x281; /* DNR, Unrecovered Read Error */
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	pass(w);
	assert_int_equal(t.io.status, 0x4281);
}

static void test_more_io_than_queues(void **state)
{
	struct world *w = *state;

	w->m->granted = 1;
	assert_int_equal(world_open(w, DEPTH), 0);
	assert_int_equal(world_open_channel(w, 1, 0), -ENOSPC);
	expect_log("1 I/O queues");
}

/* ---- data ---- */

/* Write and read back every number of blocks around every page boundary. */
static void test_data_at_every_boundary(void **state)
{
	struct world *w = *state;
	struct test_io t;

	for (uint32_t i = 0; i < BUFFER_LEN; i++)
		w->buffers[i] = (uint8_t)(i * 7 + i / 4096);
	for (uint32_t blocks = 1; blocks <= MODEL_BLOCKS; blocks += blocks < 40 ? 1 : 97) {
		memset(w->buffers + BUFFER_LEN, 0, blocks * 512);
		submit(w, &t, NVMFT_IO_WRITE, 0, blocks, 0);
		pass(w);
		assert_int_equal(t.io.status, 0);
		submit(w, &t, NVMFT_IO_READ, 0, blocks, BUFFER_LEN);
		pass(w);
		assert_int_equal(t.done, 1);
		assert_memory_equal(w->buffers, w->buffers + BUFFER_LEN, blocks * 512);
	}
}

/* More than the device takes at once: split, and more parts than command identifiers. */
static void test_splits_at_mdts(void **state)
{
	struct world *w = *state;
	struct test_io t, u;

	w->m->mdts = 2; /* 16 KiB */
	assert_int_equal(world_open(w, 3), 0);
	for (uint32_t i = 0; i < BUFFER_LEN; i++)
		w->buffers[i] = (uint8_t)(i * 3 + i / 512);
	submit(w, &t, NVMFT_IO_WRITE, 0, 1000, 0);
	submit(w, &u, NVMFT_IO_READ, 0, 1000, BUFFER_LEN);
	for (int i = 0; i < 30; i++)
		pass(w);
	assert_int_equal(t.done + u.done, 2);
	assert_int_equal(w->m->io_commands, 2 * 32);
	assert_memory_equal(w->buffers, w->buffers + BUFFER_LEN, 1000 * 512);
}

static void test_split_fails_once(void **state)
{
	struct world *w = *state;
	struct test_io t;

	w->m->mdts = 2;
	assert_int_equal(world_open(w, 3), 0);
	w->m->io_status = 0x280;
	submit(w, &t, NVMFT_IO_WRITE, 0, 1000, 0);
	for (int i = 0; i < 5; i++)
		pass(w);
	expect_io(&t, 0x280);
	assert_int_equal(w->m->io_commands, 3);
}

static void test_buffer_outside_of_regions(void **state)
{
	struct world *w = *state;
	struct test_io t;

	memset(&t, 0, sizeof(t));
	t.iov[0] = (struct nvmft_iov){w->buffers, 512, NVMFT_REGION_NONE};
	t.io = (struct nvmft_io){.op = NVMFT_IO_READ, .blocks = 1, .iov = t.iov, .iovcnt = 1, .channel = channel0(w)};
	t.io.priv = t.priv;
	nvmft_vfio_submit(channel0(w), &t.io);
	assert_int_equal(t.done, 1);
	assert_int_not_equal(t.io.status, 0);
}

static void test_other_commands(void **state)
{
	struct world *w = *state;
	struct test_io t;

	w->m->hold = true;
	submit(w, &t, NVMFT_IO_FLUSH, 0, 0, 0);
	pass(w);
	assert_int_equal(w->m->held[0].sqe.opcode, 0x00);
	model_answer(w->m, 0, 0);
	pass(w);
	assert_int_equal(t.done, 1);
	submit(w, &t, NVMFT_IO_DEALLOCATE, 8, 100, 0);
	pass(w);
	assert_int_equal(t.done, 0);
	assert_int_equal(w->m->held[0].sqe.opcode, 0x09);
	assert_int_equal(le32toh(w->m->held[0].sqe.cdw11), 4);
	model_answer(w->m, 0, 0);
	pass(w);
	assert_int_equal(t.done, 1);
	submit(w, &t, NVMFT_IO_WRITE_ZEROES, 8, 100, 0);
	pass(w);
	assert_int_equal(w->m->held[0].sqe.opcode, 0x08);
	model_answer(w->m, 0, 0);
	pass(w);
	assert_int_equal(t.done, 1);
}

/* ---- failure ---- */

static void test_timeout_aborts(void **state)
{
	struct world *w = *state;
	struct test_io t;

	w->m->hold = true;
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, 14 * SECOND);
	assert_int_equal(w->m->aborts, 0);
	run_for(w, 4 * SECOND);
	assert_int_equal(w->m->aborts, 1);
	expect_io(&t, 0x07);
	assert_int_equal(w->m->enables, 1);
}

/* Nobody polls a channel without I/O: time has gone by unseen. */
static void test_whole_time_after_a_pause(void **state)
{
	struct world *w = *state;
	struct test_io t;

	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, 3 * SECOND);
	assert_int_equal(t.done, 1);
	w->m->now += 3600 * SECOND;
	w->m->hold = true;
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, 14 * SECOND);
	assert_int_equal(w->m->aborts, 0);
	run_for(w, 4 * SECOND);
	assert_int_equal(w->m->aborts, 1);
}

static void test_failed_abort_resets(void **state)
{
	struct world *w = *state;
	struct test_io t, u;

	w->m->hold = w->m->keep_io_on_abort = true;
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, 25 * SECOND);
	expect_io(&t, 0x21);
	assert_int_equal(w->m->enables, 2);
	w->m->hold = false;
	submit(w, &u, NVMFT_IO_READ, 0, 1, 0);
	pass(w);
	expect_io(&u, 0);
}

static void test_host_abort(void **state)
{
	struct world *w = *state;
	struct test_io t;

	hold_read(w, &t);
	nvmft_vfio_abort(channel0(w), &t.io);
	run_for(w, MS);
	expect_io(&t, 0x07);
}

static void test_fatal_status_resets(void **state)
{
	struct world *w = *state;
	struct test_io t, u;

	hold_read(w, &t);
	model_fatal(w->m);
	while (!t.done)
		run_for(w, MS);
	assert_int_equal(t.io.status, 0x21);
	/* New I/O waits for the controller. */
	w->m->hold = false;
	submit(w, &u, NVMFT_IO_READ, 0, 1, 4096);
	assert_int_equal(u.done, 0);
	run_for(w, SECOND);
	expect_io(&u, 0);
	assert_int_equal(w->m->enables, 2);
}

/* Nothing of the failed generation may reach memory when the host's buffers are used again. */
static void test_no_dma_after_failure(void **state)
{
	struct world *w = *state;
	struct test_io t;

	hold_read(w, &t);
	model_fatal(w->m);
	assert_int_equal(nvmft_ctrl_step(w->ctrl), RECOVERY_NS);
	assert_false(w->m->master);
	assert_int_equal(t.done, 0);
	nvmft_vfio_poll(channel0(w));
	assert_int_equal(t.done, 1);
	run_for(w, SECOND);
}

static void test_vanished_device(void **state)
{
	struct world *w = *state;
	struct test_io t, u;

	hold_read(w, &t);
	model_vanish(w->m);
	run_for(w, 2 * SECOND);
	expect_io(&t, 0x21);
	submit(w, &u, NVMFT_IO_READ, 0, 1, 0);
	expect_io(&u, 0x82);
}

static void test_gives_up_a_controller_that_stays_away(void **state)
{
	struct world *w = *state;
	struct test_io t, u;

	hold_read(w, &t);
	model_fatal(w->m);
	while (!t.done)
		run_for(w, MS);
	w->m->never_ready = true;
	submit(w, &u, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, 20 * SECOND);
	expect_io(&u, 0x82);
	expect_log("given up");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_waits_as_long_as_cap_to_allows, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_gives_up_after_cap_to, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_resets_a_controller_that_runs, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_open_without_a_device, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_open_with_a_silent_admin_queue, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_refuses_what_does_not_exist, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_shuts_down_at_close, world_setup_open, world_teardown),
		cmocka_unit_test_setup_teardown(test_depth_is_what_the_device_takes, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_wraps_at_every_size, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_one_doorbell_per_pass, world_setup_open, world_teardown),
		cmocka_unit_test_setup_teardown(test_completes_out_of_order, world_setup_open, world_teardown),
		cmocka_unit_test_setup_teardown(test_survives_unknown_completions, world_setup_open, world_teardown),
		cmocka_unit_test_setup_teardown(test_status_is_passed_on, world_setup_open, world_teardown),
		cmocka_unit_test_setup_teardown(test_more_io_than_queues, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_data_at_every_boundary, world_setup_open, world_teardown),
		cmocka_unit_test_setup_teardown(test_splits_at_mdts, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_split_fails_once, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_buffer_outside_of_regions, world_setup_open, world_teardown),
		cmocka_unit_test_setup_teardown(test_other_commands, world_setup_open, world_teardown),
		cmocka_unit_test_setup_teardown(test_timeout_aborts, world_setup_open, world_teardown),
		cmocka_unit_test_setup_teardown(test_whole_time_after_a_pause, world_setup_open, world_teardown),
		cmocka_unit_test_setup_teardown(test_failed_abort_resets, world_setup_open, world_teardown),
		cmocka_unit_test_setup_teardown(test_host_abort, world_setup_open, world_teardown),
		cmocka_unit_test_setup_teardown(test_fatal_status_resets, world_setup_open, world_teardown),
		cmocka_unit_test_setup_teardown(test_no_dma_after_failure, world_setup_open, world_teardown),
		cmocka_unit_test_setup_teardown(test_vanished_device, world_setup_open, world_teardown),
		cmocka_unit_test_setup_teardown(test_gives_up_a_controller_that_stays_away, world_setup_open,
						world_teardown),
	};

	return cmocka_run_group_tests_name("vfio_driver", tests, NULL, NULL);
}
