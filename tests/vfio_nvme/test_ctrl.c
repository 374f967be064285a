/* SPDX-License-Identifier: BSD-3-Clause */
/* One controller, several namespaces and poll groups: what its thread does, and that nobody waits for it. */
#include <errno.h>
#include <unistd.h>

#include "world.h"

#define NOT_READY 0x82
#define LOST 0x21

static struct nvmft_channel *channel(struct world *w, unsigned int group, unsigned int ns)
{
	return &w->channels[group][ns].channel;
}

/* ---- namespaces ---- */

static void test_namespaces_share_queue_and_memory(void **state)
{
	struct world *w = *state;
	struct test_io t[2];

	assert_int_equal(w->m->creates, 1);
	assert_ptr_equal(w->channels[0][0].ch.pair, w->channels[0][1].ch.pair);
	memset(w->buffers, 0x11, 512);
	memset(w->buffers + 4096, 0x22, 512);
	submit_to(w, 0, 0, &t[0], NVMFT_IO_WRITE, 3, 1, 0);
	submit_to(w, 0, 1, &t[1], NVMFT_IO_WRITE, 3, 1, 4096);
	pass(w);
	expect_io(&t[0], 0);
	expect_io(&t[1], 0);
	assert_int_equal(w->m->disk[0][3 * 512], 0x11);
	assert_int_equal(w->m->disk[1][3 * 512], 0x22);
}

static void test_completion_waits_for_its_namespace(void **state)
{
	struct world *w = *state;
	struct test_io t[2];

	submit_to(w, 0, 0, &t[0], NVMFT_IO_READ, 0, 1, 0);
	submit_to(w, 0, 1, &t[1], NVMFT_IO_READ, 0, 1, 4096);
	nvmft_vfio_flush(channel0(w));
	model_step(w->m);
	nvmft_vfio_poll(channel0(w));
	assert_int_equal(t[0].done, 1);
	assert_int_equal(t[1].done, 0);
	assert_int_equal(nvmft_vfio_arm(channel(w, 0, 1)), -EAGAIN);
	nvmft_vfio_poll(channel(w, 0, 1));
	expect_io(&t[1], 0);
	assert_int_equal(nvmft_vfio_arm(channel(w, 0, 1)), 0);
}

/* More than there are identifiers: in the order in which they came, whoever's. */
static void test_namespaces_take_turns(void **state)
{
	struct world *w = *state;
	struct test_io t[4 * DEPTH];

	for (unsigned int i = 0; i < 4 * DEPTH; i++)
		submit_to(w, 0, i & 1, &t[i], NVMFT_IO_READ, i, 1, i * 4096);
	for (unsigned int round = 1; round <= 4; round++) {
		pass(w);
		pass(w);
		for (unsigned int i = 0; i < round * DEPTH; i++)
			assert_int_equal(t[i].done, 1);
	}
}

static void test_one_closes_the_other_goes_on(void **state)
{
	struct world *w = *state;
	struct test_io t;

	world_close_channel(w, 0, 0);
	world_close_ns(w, 0);
	run_for(w, 2 * SECOND);
	assert_int_equal(w->m->shutdowns, 0);
	submit_to(w, 0, 1, &t, NVMFT_IO_READ, 0, 1, 0);
	pass(w);
	expect_io(&t, 0);
	world_close_channel(w, 0, 1);
	world_close_ns(w, 1);
	run_for(w, MS);
	assert_true(w->ended);
	assert_int_equal(w->m->shutdowns, 1);
	assert_true(w->m->closed);
}

static void test_open_again_after_the_last(void **state)
{
	struct world *w = *state;
	struct test_io t;

	for (unsigned int n = 0; n < 2; n++) {
		world_close_channel(w, 0, n);
		world_close_ns(w, n);
	}
	assert_int_equal(world_open(w, DEPTH), 0); /* without a step of the thread in between */
	assert_int_equal(w->m->shutdowns, 1);
	assert_int_equal(w->m->enables, 2);
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	pass(w);
	expect_io(&t, 0);
}

static void test_namespace_is_served_once(void **state)
{
	struct world *w = *state;
	struct nvmft_vfio_nvme_opts opts = {.size = sizeof(opts), .address = "0000:01:00.0", .nsid = 2};
	struct vfio_nvme vn = {0};
	struct nvmft_backend backend = {.target = w->ns[0].backend.target, .priv = &vn};

	assert_int_equal(nvmft_vfio_nvme_open(&backend, &opts), -EBUSY);
	expect_log("namespace 2 of 0000:01:00.0 is served already");
}

static void test_first_namespace_decides_on_depth(void **state)
{
	struct world *w = *state;
	struct nvmft_backend_info info = {.size = sizeof(info)};

	assert_int_equal(world_open_ns(w, 0, 5), 0);
	assert_int_equal(world_open_ns(w, 1, 9), 0);
	assert_int_equal(nvmft_vfio_nvme_info(&w->ns[1].backend, &info), 0);
	assert_int_equal(info.depth, 5);
}

/* ---- nobody waits ---- */

static void test_queue_is_not_waited_for(void **state)
{
	struct world *w = *state;
	struct test_io t;
	uint64_t before;

	assert_int_equal(world_open_ns(w, 0, DEPTH), 0);
	before = w->m->now;
	w->stuck = true;
	assert_int_equal(world_open_channel(w, 0, 0), 0);
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	pass(w);
	assert_int_equal(t.done, 0);
	assert_int_equal(w->m->now, before);
	assert_int_equal(nvmft_vfio_arm(channel0(w)), 0);
	assert_false(wakes(w, 0));
	w->stuck = false;
	assert_int_equal(nvmft_ctrl_step(w->ctrl), WATCH_NS);
	assert_true(wakes(w, 0));
	pass(w);
	pass(w);
	expect_io(&t, 0);
}

static void test_close_does_not_wait(void **state)
{
	struct world *w = *state;
	uint64_t before = w->m->now;

	w->m->dead_admin = true;
	w->stuck = true;
	for (unsigned int n = 0; n < 2; n++) {
		world_close_channel(w, 0, n);
		world_close_ns(w, n);
	}
	assert_int_equal(w->m->now, before);
	assert_false(w->m->closed);
	/* It is found out later that the queue cannot be deleted; the device's memory is free only after it was
	 * stopped. */
	world_close(w);
	assert_true(w->m->now > before);
	assert_true(w->m->closed);
}

static void test_group_comes_and_goes(void **state)
{
	struct world *w = *state;
	struct test_io t;

	w->m->granted = 1;
	assert_int_equal(world_open_ns(w, 0, DEPTH), 0);
	for (unsigned int i = 0; i < 10; i++) {
		/* The thread has not deleted the queue before, of which there is one only. */
		assert_int_equal(world_open_channel(w, i & 1, 0), 0);
		submit_to(w, i & 1, 0, &t, NVMFT_IO_READ, 0, 1, 0);
		run_for(w, MS);
		expect_io(&t, 0);
		world_close_channel(w, i & 1, 0);
	}
}

static void test_group_comes_back_at_once(void **state)
{
	struct world *w = *state;
	struct test_io t;

	assert_int_equal(world_open(w, DEPTH), 0);
	w->stuck = true;
	world_close_channel(w, 0, 0);
	assert_int_equal(world_open_channel(w, 0, 0), 0);
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	w->stuck = false;
	run_for(w, 2 * MS);
	expect_io(&t, 0);
	assert_int_equal(w->m->creates, 2);
}

/* The device may still write into it: the controller is reset before the memory is free. */
static void test_queue_cannot_be_deleted(void **state)
{
	struct world *w = *state;
	struct test_io t;

	w->m->dead_admin = true;
	world_close_channel(w, 1, 0);
	run_for(w, MS);
	assert_int_equal(ctrl_state(w->ctrl), CTRL_DISABLING);
	assert_false(w->m->master);
	w->m->dead_admin = false;
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, SECOND);
	expect_io(&t, 0);
}

/* A pair that closes while the thread makes its queue. */
static void test_close_before_the_queue_is_there(void **state)
{
	struct world *w = *state;

	assert_int_equal(world_open_ns(w, 0, DEPTH), 0);
	w->stuck = true;
	assert_int_equal(world_open_channel(w, 0, 0), 0);
	world_close_channel(w, 0, 0);
	w->stuck = false;
	run_for(w, MS);
	assert_int_equal(w->m->creates, 0);
	assert_true(TAILQ_EMPTY(&w->ctrl->pairs));
}

static void test_queue_is_refused(void **state)
{
	struct world *w = *state;
	struct test_io t;

	w->m->no_queues = true;
	assert_int_equal(world_open(w, DEPTH), 0);
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, MS);
	expect_io(&t, NOT_READY);
	assert_int_equal(w->m->enables, 1);
	w->m->no_queues = false;
	run_for(w, 2 * SECOND);
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	pass(w);
	expect_io(&t, 0);
}

static void test_no_memory_for_a_queue(void **state)
{
	struct world *w = *state;
	struct test_io t;

	assert_int_equal(world_open_ns(w, 0, DEPTH), 0);
	assert_int_equal(world_open_channel(w, 0, 0), 0);
	w->m->map_fails = true;
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, MS);
	expect_io(&t, NOT_READY);
	w->m->map_fails = false;
	run_for(w, 2 * SECOND);
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	pass(w);
	expect_io(&t, 0);
}

/* ---- failure ---- */

static void test_reset_with_two_groups(void **state)
{
	struct world *w = *state;
	struct test_io t[2], u[2];

	assert_int_equal(w->m->creates, 2);
	w->m->hold = true;
	for (unsigned int g = 0; g < 2; g++)
		submit_to(w, g, 0, &t[g], NVMFT_IO_READ, g, 1, g * 4096);
	pass(w);
	assert_int_equal(w->m->nheld, 2);
	assert_int_equal(nvmft_vfio_arm(channel(w, 0, 0)) | nvmft_vfio_arm(channel(w, 1, 0)), -EAGAIN); /* no vectors */
	model_fatal(w->m);
	nvmft_ctrl_step(w->ctrl);
	w->m->hold = false;
	for (unsigned int g = 0; g < 2; g++) {
		assert_int_equal(nvmft_vfio_arm(channel(w, g, 0)), -EAGAIN);
		nvmft_vfio_poll(channel(w, g, 0));
		expect_io(&t[g], LOST);
		submit_to(w, g, 0, &u[g], NVMFT_IO_READ, g, 1, g * 4096);
		assert_int_equal(u[g].done, 0);
	}
	run_for(w, SECOND);
	for (unsigned int g = 0; g < 2; g++)
		expect_io(&u[g], 0);
	assert_int_equal(w->m->enables, 2);
	assert_int_equal(w->m->creates, 4);
	assert_int_equal(w->ns[0].told, 0);
}

/* A group that had no I/O when the controller was reset finds out with its next one. */
static void test_reset_while_idle(void **state)
{
	struct world *w = *state;
	struct test_io t;

	model_fatal(w->m);
	for (unsigned int i = 0; i < 200; i++) {
		w->m->now += MS;
		model_step(w->m);
		nvmft_ctrl_step(w->ctrl);
	}
	assert_int_equal(w->m->enables, 2);
	submit_to(w, 1, 0, &t, NVMFT_IO_READ, 0, 1, 0);
	assert_int_equal(reg_read32(w->m->bar, REG_DOORBELLS + 8), 0);
	run_for(w, 2 * MS);
	expect_io(&t, 0);
}

static void test_comes_back_only_to_fail(void **state)
{
	struct world *w = *state;
	struct test_io t;

	for (unsigned int i = 0; i < 4; i++) {
		model_fatal(w->m);
		run_for(w, 2 * SECOND);
	}
	assert_int_equal(ctrl_state(w->ctrl), CTRL_DEAD);
	assert_int_equal(w->m->enables, 4);
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	expect_io(&t, NOT_READY);
}

static void test_resets_now_and_then_are_forgiven(void **state)
{
	struct world *w = *state;

	for (unsigned int i = 0; i < 6; i++) {
		model_fatal(w->m);
		run_for(w, 15 * SECOND);
	}
	assert_int_equal(ctrl_state(w->ctrl), CTRL_LIVE);
}

static void test_gone_is_told_to_all(void **state)
{
	struct world *w = *state;
	struct test_io t[2];

	w->m->hold = true;
	for (unsigned int n = 0; n < 2; n++)
		submit_to(w, 0, n, &t[n], NVMFT_IO_READ, 0, 1, n * 4096);
	pass(w);
	model_vanish(w->m);
	run_for(w, 2 * SECOND);
	for (unsigned int n = 0; n < 2; n++) {
		expect_io(&t[n], LOST);
		assert_int_equal(w->ns[n].told, 1);
		assert_true(w->ns[n].gone);
	}
}

static void test_namespace_cannot_be_added_to_a_dead_controller(void **state)
{
	struct world *w = *state;

	world_close_channel(w, 0, 1);
	world_close_ns(w, 1);
	model_vanish(w->m);
	run_for(w, 2 * SECOND);
	assert_int_equal(world_open_ns(w, 1, DEPTH), -ENODEV);
	expect_log("remove all its namespaces");
}

/* An identifier is not used again while an Abort for it may be under way. */
static void test_abort_cannot_hit_the_next_command(void **state)
{
	struct world *w = *state;
	struct test_io t, u;

	assert_int_equal(world_open(w, 1), 0);
	hold_read(w, &t);
	w->stuck = true;
	nvmft_vfio_abort(channel0(w), &t.io);
	model_answer(w->m, 0, 0);
	submit(w, &u, NVMFT_IO_READ, 0, 1, 0);
	pass(w);
	expect_io(&t, 0);
	assert_int_equal(w->m->nheld, 0);
	w->stuck = false;
	run_for(w, 3 * SECOND);
	assert_int_equal(w->m->aborts, 1);
	assert_int_equal(u.done, 0);
	assert_int_equal(w->m->nheld, 1);
	answer_held(w, &u);
}

static unsigned int nfree(const struct vfio_pair *pair)
{
	unsigned int n = 0;

	for (const struct slot *slot = pair->free; slot; slot = slot->next)
		n++;
	return n;
}

/* A reset forgets Aborts, too. */
static void test_reset_returns_identifiers(void **state)
{
	struct world *w = *state;
	struct test_io t;

	hold_read(w, &t);
	nvmft_vfio_abort(channel0(w), &t.io);
	model_answer(w->m, 0, 0);
	pass(w);
	assert_int_equal(nfree(pair0(w)), DEPTH - 1);
	model_fatal(w->m);
	nvmft_ctrl_step(w->ctrl);
	pass(w);
	assert_int_equal(nfree(pair0(w)), DEPTH);
}

/* A doorbell of a queue that the controller does not have any more. */
static void test_no_doorbell_after_a_reset(void **state)
{
	struct world *w = *state;
	struct test_io t;

	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	model_fatal(w->m);
	for (unsigned int i = 0; i < 200; i++) {
		w->m->now += MS;
		model_step(w->m);
		nvmft_ctrl_step(w->ctrl);
	}
	assert_int_equal(ctrl_state(w->ctrl), CTRL_LIVE);
	nvmft_vfio_flush(channel0(w));
	assert_int_equal(reg_read32(w->m->bar, REG_DOORBELLS + 8), 0);
	run_for(w, 2 * MS);
	expect_io(&t, LOST);
}

/* An Abort of the host's has its time, however late it comes. */
static void test_late_abort_of_a_host(void **state)
{
	struct world *w = *state;
	struct test_io t;

	w->m->hold = w->m->keep_io_on_abort = true;
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, 14 * SECOND);
	nvmft_vfio_abort(channel0(w), &t.io);
	run_for(w, 4 * SECOND);
	assert_int_equal(w->m->enables, 1);
	run_for(w, 4 * SECOND);
	assert_int_equal(w->m->enables, 2);
	expect_io(&t, LOST);
}

/* ---- unplug ---- */

static void unplug(struct world *w)
{
	const uint64_t one = 1;

	assert_int_equal(write(w->m->dev.unplug_fd, &one, sizeof(one)), sizeof(one));
	run_for(w, 2 * SECOND);
}

static void test_unplug_does_not_wait_for_namespaces(void **state)
{
	struct world *w = *state;
	struct nvmft_region region = {w->buffers, 4096, 3};
	struct test_io t[2];

	w->m->hold = true;
	for (unsigned int n = 0; n < 2; n++)
		submit_to(w, 0, n, &t[n], NVMFT_IO_READ, 0, 1, n * 4096);
	pass(w);
	unplug(w);
	assert_true(w->m->given_back);
	assert_int_equal(w->m->shutdowns, 1);
	for (unsigned int n = 0; n < 2; n++) {
		expect_io(&t[n], LOST);
		assert_true(w->ns[n].gone);
	}
	/* Memory that other devices may need is not refused because of it. */
	assert_int_equal(nvmft_vfio_region_add(channel0(w), &region), 0);
	nvmft_vfio_region_remove(channel0(w), &region);
	submit(w, &t[0], NVMFT_IO_READ, 0, 1, 0);
	expect_io(&t[0], NOT_READY);
	unplug(w); /* told again */
	assert_int_equal(w->ns[0].told, 1);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_namespaces_share_queue_and_memory, world_setup_two),
		TEST(test_completion_waits_for_its_namespace, world_setup_two),
		TEST(test_namespaces_take_turns, world_setup_two),
		TEST(test_one_closes_the_other_goes_on, world_setup_two),
		TEST(test_open_again_after_the_last, world_setup_two),
		TEST(test_namespace_is_served_once, world_setup_two),
		TEST(test_first_namespace_decides_on_depth, world_setup),
		TEST(test_queue_is_not_waited_for, world_setup),
		TEST(test_close_does_not_wait, world_setup_two),
		TEST(test_group_comes_and_goes, world_setup),
		TEST(test_group_comes_back_at_once, world_setup),
		TEST(test_queue_cannot_be_deleted, world_setup_groups),
		TEST(test_close_before_the_queue_is_there, world_setup),
		TEST(test_queue_is_refused, world_setup),
		TEST(test_no_memory_for_a_queue, world_setup),
		TEST(test_reset_with_two_groups, world_setup_groups),
		TEST(test_reset_while_idle, world_setup_groups),
		TEST(test_comes_back_only_to_fail, world_setup_two),
		TEST(test_resets_now_and_then_are_forgiven, world_setup_two),
		TEST(test_gone_is_told_to_all, world_setup_two),
		TEST(test_namespace_cannot_be_added_to_a_dead_controller, world_setup_two),
		TEST(test_abort_cannot_hit_the_next_command, world_setup),
		TEST(test_reset_returns_identifiers, world_setup_two),
		TEST(test_no_doorbell_after_a_reset, world_setup_two),
		TEST(test_late_abort_of_a_host, world_setup_two),
		TEST(test_unplug_does_not_wait_for_namespaces, world_setup_two),
	};

	return cmocka_run_group_tests_name("vfio_ctrl", tests, NULL, NULL);
}
