/* SPDX-License-Identifier: BSD-3-Clause */
/* One controller, several namespaces and poll groups: what its thread does, and that nobody waits for it. */
#include <errno.h>
#include <unistd.h>

#include <nvme/types.h>

#include "world.h"

#define NOT_READY 0x82
#define LOST 0x21
#define ABORTED 0x07

#define CHANGED_NAMESPACES 0x00040002u /* notice, log page 04h */
#define SMART_TEMPERATURE 0x00020101u

static int setup(void **state)
{
	*state = world_create();
	return 0;
}

/* Both namespaces in the first group. */
static int setup_two(void **state)
{
	struct world *w = world_create();
	int err = world_open(w, DEPTH);

	*state = w;
	if (!err)
		err = world_open_ns(w, 1, DEPTH);
	return err ? err : world_open_channel(w, 0, 1);
}

/* The first namespace in both groups. */
static int setup_groups(void **state)
{
	struct world *w = world_create();
	int err = world_open(w, DEPTH);

	*state = w;
	if (!err)
		err = world_open_channel(w, 1, 0);
	run_for(w, MS);
	return err;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static struct nvmft_channel *channel(struct world *w, unsigned int group, unsigned int ns)
{
	return &w->channels[group][ns].channel;
}

static void expect(const struct test_io *t, nvmft_status status)
{
	assert_int_equal(t->done, 1);
	assert_int_equal(t->io.status, status);
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
	expect(&t[0], 0);
	expect(&t[1], 0);
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
	expect(&t[1], 0);
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
	expect(&t, 0);
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
	expect(&t, 0);
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
	expect(&t, 0);
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
		expect(&t, 0);
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
	expect(&t, 0);
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
	expect(&t, 0);
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
	expect(&t, NOT_READY);
	assert_int_equal(w->m->enables, 1);
	w->m->no_queues = false;
	run_for(w, 2 * SECOND);
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	pass(w);
	expect(&t, 0);
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
	expect(&t, NOT_READY);
	w->m->map_fails = false;
	run_for(w, 2 * SECOND);
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	pass(w);
	expect(&t, 0);
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
		expect(&t[g], LOST);
		submit_to(w, g, 0, &u[g], NVMFT_IO_READ, g, 1, g * 4096);
		assert_int_equal(u[g].done, 0);
	}
	run_for(w, SECOND);
	for (unsigned int g = 0; g < 2; g++)
		expect(&u[g], 0);
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
	expect(&t, 0);
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
	expect(&t, NOT_READY);
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
		expect(&t[n], LOST);
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
	w->m->hold = true;
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	pass(w);
	w->stuck = true;
	nvmft_vfio_abort(channel0(w), &t.io);
	model_answer(w->m, 0, 0);
	submit(w, &u, NVMFT_IO_READ, 0, 1, 0);
	pass(w);
	expect(&t, 0);
	assert_int_equal(w->m->nheld, 0);
	w->stuck = false;
	run_for(w, 3 * SECOND);
	assert_int_equal(w->m->aborts, 1);
	assert_int_equal(u.done, 0);
	assert_int_equal(w->m->nheld, 1);
	model_answer(w->m, 0, 0);
	pass(w);
	expect(&u, 0);
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

	w->m->hold = true;
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	pass(w);
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
	expect(&t, LOST);
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
	expect(&t, LOST);
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
		expect(&t[n], LOST);
		assert_true(w->ns[n].gone);
	}
	/* Memory that other devices may need is not refused because of it. */
	assert_int_equal(nvmft_vfio_region_add(channel0(w), &region), 0);
	nvmft_vfio_region_remove(channel0(w), &region);
	submit(w, &t[0], NVMFT_IO_READ, 0, 1, 0);
	expect(&t[0], NOT_READY);
	unplug(w); /* told again */
	assert_int_equal(w->ns[0].told, 1);
}

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

static void test_event_is_acknowledged(void **state)
{
	struct world *w = *state;

	model_event(w->m, 0x00c00007); /* the vendor's, log page C0h */
	run_for(w, 3 * SECOND);
	assert_int_equal(w->m->logs_read, 1);
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
	expect(&t, 0);
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

static uint8_t extension;

static uint16_t is_zoned(struct model *m, const struct nvmft_sqe *sqe, uint8_t *page)
{
	uint8_t cns = (uint8_t)le32toh(sqe->cdw10), csi = (uint8_t)(le32toh(sqe->cdw11) >> 24);

	(void)m;
	if (cns == 3) {
		page[0] = 4;
		page[1] = 1;
		page[4] = CSI_ZONED;
	} else if (cns == 5 && csi == CSI_ZONED) {
		((struct nvme_zns_id_ns *)(void *)page)->lbafe[0].zsze = htole64(1024);
		((struct nvme_zns_id_ns *)(void *)page)->lbafe[0].zdes = extension;
	}
	return 0;
}

/* Set Zone Descriptor Extension moves as much as the format says. */
static void test_zones_change_their_extension(void **state)
{
	struct world *w = *state;
	const uint32_t nsid = 1;

	w->m->identify = is_zoned;
	extension = 1;
	assert_int_equal(world_open(w, DEPTH), 0);
	change(w, &nsid, 1);
	assert_int_equal(w->ns[0].told, 0);
	extension = 2;
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
		expect(&t[i], 0);
	assert_int_equal(w->ns[0].told, 0);
}

static void test_io_of_another_format_is_not_sent(void **state)
{
	struct world *w = *state;
	struct test_io t[2];

	tell_of_change(w);
	submit(w, &t[0], NVMFT_IO_READ, 0, 1, 0);
	w->m->ms = 8;
	let_it_ask(w);
	expect(&t[0], NOT_READY);
	assert_true(w->ns[0].gone);
	submit(w, &t[1], NVMFT_IO_READ, 0, 1, 0);
	expect(&t[1], NOT_READY);
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
	expect(&t, NOT_READY);
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
		expect(&t, cases[i].status);
		w->m->io_status = 0;
		submit(w, &u, NVMFT_IO_READ, 0, 1, 0);
		run_for(w, 50 * MS);
		assert_int_equal(u.done, !cases[i].sign);
		run_for(w, 100 * MS);
		expect(&u, 0);
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
	expect(&u[1], 0);
	run_for(w, SECOND);
	expect(&u[0], 0);
}

static void test_abort_of_io_that_waits_for_the_format(void **state)
{
	struct world *w = *state;
	struct test_io t;

	tell_of_change(w);
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	nvmft_vfio_abort(channel0(w), &t.io);
	pass(w);
	expect(&t, ABORTED);
	let_it_ask(w);
	assert_int_equal(w->m->io_commands, 0);
}

/* ---- admin commands of hosts ---- */

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
		expect(&t, 0);
		assert_int_equal(t.io.result, 0x1234);
		assert_int_equal(le32toh(w->m->pass.nsid), 1);
		for (uint32_t i = 0; i < dwords; i++)
			assert_int_equal(le32toh(data[i]), i);
	}
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
	expect(&t, 0);
	assert_int_equal(w->ns[1].info.blocks, 150);
}

static void test_format_to_another_format(void **state)
{
	struct world *w = *state;
	struct nvmft_sqe sqe;
	struct test_io t;

	memset(&w->m->pass, 0, sizeof(w->m->pass));
	pass_opcode(w, &t, &sqe, 0x80, 1); /* LBA format 1 */
	expect(&t, 0x410a);
	run_for(w, 10 * MS);
	assert_int_equal(w->m->pass.opcode, 0);
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, MS);
	expect(&t, 0);
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
	expect(&v, NOT_READY); /* one after the other */
	model_answer_pass(w->m, 0);
	run_for(w, 10 * MS);
	expect(&t, 0);
	expect(&u, 0);
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
	expect(&t, 0x4002);
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
	expect(&t, ABORTED);
	run_for(w, 3 * SECOND);
	expect(&u, LOST);
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
	expect(&u, LOST);
	expect(&t, LOST);
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
	expect(&u, 0);
	assert_int_equal(w->m->enables, 1);
	model_answer_pass(w->m, 0);
	run_for(w, 2 * MS);
	expect(&t, 0);
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
	expect(&t, LOST);
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
	expect(&u, 0);
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
	expect(&t[0], ABORTED);
	/* Before the thread has seen it. */
	w->stuck = true;
	pass_command(w, &t[1], &sqe[1], 0);
	nvmft_vfio_abort(channel0(w), &t[1].io);
	w->stuck = false;
	run_for(w, 2 * MS);
	expect(&t[1], ABORTED);
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
		expect(&t[i], 0);
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
	expect(&t[0], LOST);
	expect(&t[1], 0);
	model_vanish(w->m);
	run_for(w, 2 * SECOND);
	pass_command(w, &t[0], &sqe[0], 0);
	expect(&t[0], NOT_READY);
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
	expect(&t, 0);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_namespaces_share_queue_and_memory, setup_two),
		TEST(test_completion_waits_for_its_namespace, setup_two),
		TEST(test_namespaces_take_turns, setup_two),
		TEST(test_one_closes_the_other_goes_on, setup_two),
		TEST(test_open_again_after_the_last, setup_two),
		TEST(test_namespace_is_served_once, setup_two),
		TEST(test_first_namespace_decides_on_depth, setup),
		TEST(test_queue_is_not_waited_for, setup),
		TEST(test_close_does_not_wait, setup_two),
		TEST(test_group_comes_and_goes, setup),
		TEST(test_group_comes_back_at_once, setup),
		TEST(test_queue_cannot_be_deleted, setup_groups),
		TEST(test_close_before_the_queue_is_there, setup),
		TEST(test_queue_is_refused, setup),
		TEST(test_no_memory_for_a_queue, setup),
		TEST(test_reset_with_two_groups, setup_groups),
		TEST(test_reset_while_idle, setup_groups),
		TEST(test_comes_back_only_to_fail, setup_two),
		TEST(test_resets_now_and_then_are_forgiven, setup_two),
		TEST(test_gone_is_told_to_all, setup_two),
		TEST(test_namespace_cannot_be_added_to_a_dead_controller, setup_two),
		TEST(test_abort_cannot_hit_the_next_command, setup),
		TEST(test_reset_returns_identifiers, setup_two),
		TEST(test_no_doorbell_after_a_reset, setup_two),
		TEST(test_late_abort_of_a_host, setup_two),
		TEST(test_unplug_does_not_wait_for_namespaces, setup_two),
		TEST(test_asks_for_events, setup_two),
		TEST(test_event_is_acknowledged, setup_two),
		TEST(test_events_do_not_flood, setup_two),
		TEST(test_health_in_words, setup_two),
		TEST(test_namespace_changes_size, setup_two),
		TEST(test_namespace_goes_and_comes, setup_two),
		TEST(test_namespace_changes_format, setup_two),
		TEST(test_zones_change_their_extension, setup),
		TEST(test_more_changes_than_fit, setup_two),
		TEST(test_changes_that_cannot_be_read, setup_two),
		TEST(test_change_during_a_reset, setup_two),
		TEST(test_io_waits_for_the_format, setup_two),
		TEST(test_io_of_another_format_is_not_sent, setup_two),
		TEST(test_io_of_another_format_is_not_sent_after_a_reset, setup_two),
		TEST(test_io_that_fails_is_a_sign, setup_two),
		TEST(test_the_other_namespace_goes_on, setup_two),
		TEST(test_abort_of_io_that_waits_for_the_format, setup_two),
		TEST(test_format_to_another_format, setup_two),
		TEST(test_io_waits_for_a_format_of_a_host, setup_two),
		TEST(test_admin_command, setup_two),
		TEST(test_admin_command_changes_namespaces, setup_two),
		TEST(test_admin_command_fails, setup_two),
		TEST(test_admin_command_and_its_abort_time_out, setup_two),
		TEST(test_admin_commands_leave_room, setup_two),
		TEST(test_admin_command_may_take_long, setup_two),
		TEST(test_admin_command_does_not_keep_a_hung_queue, setup_two),
		TEST(test_admin_command_may_keep_others_waiting, setup_two),
		TEST(test_admin_command_is_aborted, setup_two),
		TEST(test_admin_commands_more_than_there_is_room, setup_two),
		TEST(test_admin_command_is_lost_in_a_reset, setup_two),
		TEST(test_admin_command_wakes_its_group, setup_two),
	};

	return cmocka_run_group_tests_name("vfio_ctrl", tests, NULL, NULL);
}
