/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes wrong at the wrong moment: late Aborts, changes while a namespace opens, devices that say nonsense. */
#include <errno.h>
#include <unistd.h>

#include <nvme/types.h>

#include "world.h"

#define NOT_READY 0x82
#define LOST 0x21
#define ABORTED 0x07
#define INTERNAL_ERROR 0x06
#define DNR 0x4000

#define CHANGED_NAMESPACES 0x00040002u /* notice, log page 04h */

static void pass_command(struct world *w, struct test_io *t, struct nvmft_sqe *sqe)
{
	*sqe = (struct nvmft_sqe){.opcode = MODEL_PASS};
	memset(t, 0, sizeof(*t));
	t->io = (struct nvmft_io){
		.op = NVMFT_IO_COMMAND,
		.flags = NVMFT_IO_ADMIN,
		.sqe = sqe,
		.channel = channel0(w),
		.priv = t->priv,
	};
	nvmft_vfio_submit(channel0(w), &t->io);
}

/* ---- Aborts that come late ---- */

/* A command that is over while its Abort is on its way. */
static void abort_late(struct world *w, struct test_io *t)
{
	hold_read(w, t);
	nvmft_vfio_abort(channel0(w), &t->io);
	run_for(w, MS);
	assert_int_equal(w->m->nlate, 1);
	answer_held(w, t);
}

static void test_late_abort_hits_no_later_command(void **state)
{
	struct world *w = *state;
	struct test_io t, u;

	w->m->abort_delay = 4 * SECOND;
	assert_int_equal(world_open(w, 1), 0);
	abort_late(w, &t);
	submit(w, &u, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, 3 * SECOND);
	assert_int_equal(w->m->nheld, 0);
	run_for(w, 3 * SECOND);
	assert_int_equal(w->m->aborts, 1);
	assert_int_equal(w->m->nheld, 1);
	answer_held(w, &u);
}

/* Nor one of the next queue that has the identifier of the queue. */
static void test_late_abort_hits_no_later_queue(void **state)
{
	struct world *w = *state;
	struct test_io t, u;

	w->m->abort_delay = 4 * SECOND;
	w->m->granted = 1;
	assert_int_equal(world_open(w, 1), 0);
	abort_late(w, &t);
	world_close_channel(w, 0, 0);
	assert_int_equal(world_open_channel(w, 0, 0), 0);
	submit(w, &u, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, 6 * SECOND);
	assert_int_equal(w->m->aborts, 1);
	assert_int_equal(w->m->nheld, 1);
	answer_held(w, &u);
}

/* A wish that was not granted yet is none any more, for the same reason. */
static void test_wishes_end_with_their_queue(void **state)
{
	struct world *w = *state;
	struct test_io t[DEPTH];

	w->m->abort_delay = SECOND;
	w->m->hold = true;
	for (unsigned int i = 0; i < DEPTH; i++) {
		submit(w, &t[i], NVMFT_IO_READ, 0, 1, 0);
		pass(w);
		nvmft_vfio_abort(channel0(w), &t[i].io);
	}
	pass(w);
	assert_int_equal(w->ctrl->nwishes, DEPTH - MAX_OPEN_ABORTS);
	while (w->m->nheld)
		model_answer(w->m, 0, 0);
	pass(w);
	world_close_channel(w, 0, 0);
	run_for(w, 3 * SECOND);
	assert_int_equal(w->m->aborts, MAX_OPEN_ABORTS);
	assert_int_equal(w->m->enables, 1);
}

static void test_late_abort_hits_no_later_admin_command(void **state)
{
	struct world *w = *state;
	struct nvmft_sqe sqe[2];
	struct test_io t, u;

	w->m->abort_delay = 2 * SECOND;
	w->m->hold_pass = true;
	pass_command(w, &t, &sqe[0]);
	run_for(w, MS);
	nvmft_vfio_abort(channel0(w), &t.io);
	run_for(w, 2 * MS);
	assert_int_equal(w->m->nlate, 1);
	model_answer_pass(w->m, 0);
	run_for(w, SECOND);
	expect_io(&t, 0);
	pass_command(w, &u, &sqe[1]);
	run_for(w, 3 * SECOND);
	assert_int_equal(w->m->aborts, 1);
	assert_int_equal(u.done, 0);
	model_answer_pass(w->m, 0);
	run_for(w, SECOND);
	expect_io(&u, 0);
}

/* As many as there are identifiers, and then some. */
static void test_aborted_admin_commands_give_their_identifiers_back(void **state)
{
	struct world *w = *state;

	w->m->hold_pass = true;
	for (unsigned int i = 0; i < 2 * ADMIN_ENTRIES; i++) {
		struct nvmft_sqe sqe;
		struct test_io t;

		pass_command(w, &t, &sqe);
		run_for(w, MS);
		nvmft_vfio_abort(channel0(w), &t.io);
		run_for(w, SECOND);
		expect_io(&t, ABORTED);
	}
	assert_int_equal(w->m->aborts, 2 * ADMIN_ENTRIES);
}

static uint32_t count_free(const struct vfio_pair *pair)
{
	uint32_t n = 0;

	for (const struct slot *slot = pair->free; slot && n <= pair->depth; slot = slot->next)
		n++;
	return n;
}

/* It would keep an identifier for ever, and one of the few Aborts. */
static void test_unanswered_abort_resets(void **state)
{
	struct world *w = *state;
	struct test_io t;

	w->m->abort_delay = 3600 * SECOND;
	abort_late(w, &t);
	run_for(w, 4 * SECOND);
	assert_int_equal(w->m->enables, 1);
	run_for(w, 3 * SECOND);
	assert_int_equal(w->m->enables, 2);
	expect_log("an Abort has timed out");
	assert_int_equal(count_free(pair0(w)), DEPTH);
}

static void test_unanswered_abort_of_a_queue_that_closes(void **state)
{
	struct world *w = *state;
	struct test_io t;

	w->m->abort_delay = 3600 * SECOND;
	abort_late(w, &t);
	world_close_channel(w, 0, 0);
	run_for(w, 10 * SECOND);
	assert_int_equal(w->m->enables, 2);
	assert_true(TAILQ_EMPTY(&w->ctrl->pairs));
}

static void test_unanswered_log_resets(void **state)
{
	struct world *w = *state;

	w->m->dead_log = true;
	model_event(w->m, CHANGED_NAMESPACES);
	run_for(w, 4 * SECOND);
	assert_int_equal(w->m->enables, 1);
	w->m->dead_log = false;
	w->m->blocks[0] = 500;
	run_for(w, 5 * SECOND);
	assert_int_equal(w->m->enables, 2);
	assert_int_equal(w->ns[0].info.blocks, 500);
}

/* ---- namespaces that change while they are opened ---- */

/* The device says one thing, and becomes another the moment after it. */
static uint16_t shrink(struct model *m, const struct nvmft_sqe *sqe, uint8_t *page)
{
	(void)page;
	if (sqe->opcode != nvme_admin_identify || (uint8_t)le32toh(sqe->cdw10) || m->blocks[0] != MODEL_BLOCKS)
		return 0;
	m->blocks[0] = 77;
	((uint32_t *)(void *)m->log)[0] = htole32(1);
	model_event(m, CHANGED_NAMESPACES);
	return 0;
}

static void test_change_while_it_opens(void **state)
{
	struct world *w = *state;
	struct nvmft_backend_info info = {.size = sizeof(info)};

	w->m->identify = shrink;
	w->steps_after_call = 500;
	assert_int_equal(world_open(w, DEPTH), 0);
	assert_int_equal(nvmft_vfio_nvme_info(&w->ns[0].backend, &info), 0);
	assert_int_equal(info.blocks, 77);
	assert_int_equal(w->ns[0].info.blocks, 77);
}

/* It is formatted the moment after. */
static uint16_t format(struct model *m, const struct nvmft_sqe *sqe, uint8_t *page)
{
	(void)page;
	if (sqe->opcode != nvme_admin_identify || (uint8_t)le32toh(sqe->cdw10) || m->ms)
		return 0;
	m->ms = 8;
	model_event(m, CHANGED_NAMESPACES);
	return 0;
}

/* The event was told before the namespace was there: its doubt holds for it, too. */
static void test_io_waits_for_a_change_while_it_opens(void **state)
{
	struct world *w = *state;
	struct test_io t;

	assert_int_equal(world_open(w, DEPTH), 0);
	run_for(w, MS);
	w->m->identify = format;
	assert_int_equal(world_open_ns(w, 1, DEPTH), 0);
	assert_int_equal(world_open_channel(w, 0, 1), 0);
	submit_to(w, 0, 1, &t, NVMFT_IO_READ, 0, 1, 0);
	nvmft_vfio_flush(channel0(w));
	model_step(w->m);
	assert_int_equal(w->m->io_commands, 0);
	run_for(w, SECOND);
	expect_io(&t, NOT_READY);
	assert_true(w->ns[1].gone);
	assert_int_equal(w->m->io_commands, 0);
}

static uint16_t vanish(struct model *m, const struct nvmft_sqe *sqe, uint8_t *page)
{
	const uint64_t one = 1;

	(void)page;
	if (sqe->opcode == nvme_admin_identify && !(uint8_t)le32toh(sqe->cdw10))
		assert_int_equal(write(m->dev.unplug_fd, &one, sizeof(one)), sizeof(one));
	return 0;
}

static void test_unplug_while_it_opens(void **state)
{
	struct world *w = *state;

	w->m->identify = vanish;
	w->steps_after_call = 10;
	assert_int_equal(world_open_ns(w, 0, DEPTH), 0);
	assert_true(w->m->given_back);
	assert_true(w->ns[0].gone);
}

/* ---- namespaces of which the device would not say ---- */

static uint16_t identify_status;

static uint16_t refuse(struct model *m, const struct nvmft_sqe *sqe, uint8_t *page)
{
	(void)m;
	(void)page;
	return sqe->opcode == nvme_admin_identify && !(uint8_t)le32toh(sqe->cdw10) ? identify_status : 0;
}

static void change(struct world *w)
{
	((uint32_t *)(void *)w->m->log)[0] = htole32(1);
	model_event(w->m, CHANGED_NAMESPACES);
	run_for(w, 3 * SECOND);
}

static void test_not_ready_is_not_gone(void **state)
{
	struct world *w = *state;

	w->m->identify = refuse;
	identify_status = NOT_READY;
	w->m->blocks[0] = 900;
	change(w);
	assert_int_equal(w->ns[0].told, 0);
	assert_int_equal(w->m->enables, 1);
	expect_log("status 0x82");
	identify_status = 0;
	run_for(w, 2 * SECOND);
	assert_false(w->ns[0].gone);
	assert_int_equal(w->ns[0].info.blocks, 900);
}

static unsigned int asked;

static uint16_t count_all(struct model *m, const struct nvmft_sqe *sqe, uint8_t *page)
{
	(void)m;
	(void)page;
	asked += sqe->opcode == nvme_admin_identify && !(uint8_t)le32toh(sqe->cdw10);
	return 0;
}

/* A device that names one namespace as often as fits keeps nobody waiting for long. */
static void test_changes_out_of_order(void **state)
{
	struct world *w = *state;

	w->m->identify = count_all;
	asked = 0;
	for (unsigned int i = 0; i < 1024; i++)
		((uint32_t *)(void *)w->m->log)[i] = htole32(1);
	w->m->blocks[0] = 800;
	model_event(w->m, CHANGED_NAMESPACES);
	run_for(w, 3 * SECOND);
	assert_int_equal(asked, 1);
	assert_int_equal(w->ns[0].info.blocks, 800);
}

static uint16_t count(struct model *m, const struct nvmft_sqe *sqe, uint8_t *page)
{
	uint16_t status = refuse(m, sqe, page);

	asked += status != 0;
	return status;
}

static void test_device_that_never_says(void **state)
{
	struct world *w = *state;

	w->m->identify = count;
	identify_status = DNR | INTERNAL_ERROR;
	asked = 0;
	change(w);
	run_for(w, 100 * SECOND);
	assert_int_equal(w->ns[0].told, 0);
	assert_int_equal(asked, 30);
}

/* Its format may be another one, of which nobody knows. */
static void test_io_waits_for_an_answer(void **state)
{
	struct world *w = *state;
	struct test_io t, u;

	w->m->identify = refuse;
	identify_status = NOT_READY;
	change(w);
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, 5 * SECOND);
	assert_int_equal(t.done, 0);
	identify_status = 0;
	run_for(w, 2 * SECOND);
	expect_io(&t, 0);
	identify_status = NOT_READY;
	change(w);
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	w->m->ms = 8;
	identify_status = 0;
	run_for(w, 2 * SECOND);
	expect_io(&t, NOT_READY);
	assert_true(w->ns[0].gone);
	submit(w, &u, NVMFT_IO_READ, 0, 1, 0);
	expect_io(&u, NOT_READY);
	assert_int_equal(w->m->io_commands, 1);
}

/* Hosts would take their controller for dead. */
static void test_io_does_not_wait_for_ever(void **state)
{
	struct world *w = *state;
	struct test_io t;

	w->m->identify = refuse;
	identify_status = NOT_READY;
	change(w);
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, 10 * SECOND);
	assert_int_equal(t.done, 0);
	run_for(w, 5 * SECOND);
	expect_io(&t, NOT_READY);
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	expect_io(&t, NOT_READY);
	assert_int_equal(w->ns[0].told, 0);
	identify_status = 0;
	run_for(w, 2 * SECOND);
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	pass(w);
	expect_io(&t, 0);
}

/* What is planned for later does not delay what has to be known at once. */
static void test_change_while_an_answer_is_awaited(void **state)
{
	struct world *w = *state;

	w->m->identify = refuse;
	identify_status = NOT_READY;
	change(w);
	run_for(w, 300 * MS);
	identify_status = 0;
	w->m->blocks[0] = 900;
	model_event(w->m, CHANGED_NAMESPACES);
	run_for(w, 120 * MS);
	assert_int_equal(w->ns[0].info.blocks, 900);
}

static void test_open_what_is_not_ready(void **state)
{
	struct world *w = *state;

	w->m->identify = refuse;
	identify_status = NOT_READY;
	assert_int_equal(world_open(w, DEPTH), -EREMOTEIO);
	assert_int_equal(w->m->enables, 1);
}

/* ---- a bus that does not do what it is told ---- */

static void test_dma_that_cannot_be_turned_off(void **state)
{
	struct world *w = *state;
	struct test_io t, u;

	hold_read(w, &t);
	w->m->bus_fails = true;
	model_fatal(w->m);
	nvmft_ctrl_step(w->ctrl);
	assert_true(w->m->given_back);
	assert_false(w->m->master);
	expect_log("cannot be kept from accessing memory");
	run_for(w, SECOND);
	expect_io(&t, LOST);
	assert_true(w->ns[0].gone);
	submit(w, &u, NVMFT_IO_READ, 0, 1, 0);
	expect_io(&u, NOT_READY);
}

static void test_dma_that_cannot_be_turned_off_at_close(void **state)
{
	struct world *w = *state;

	w->m->bus_fails = true;
	world_close(w);
	assert_true(w->m->given_back);
	assert_true(w->m->closed);
}

/* It is given back once, whoever wants it. */
static void test_unplug_of_what_was_given_back(void **state)
{
	struct world *w = *state;
	const uint64_t one = 1;

	w->m->bus_fails = true;
	assert_int_equal(write(w->m->dev.unplug_fd, &one, sizeof(one)), sizeof(one));
	run_for(w, 2 * SECOND);
	assert_true(w->m->given_back);
	assert_int_equal(write(w->m->dev.unplug_fd, &one, sizeof(one)), sizeof(one));
	run_for(w, 2 * SECOND);
}

/* ---- a dead controller ---- */

static void test_dead_controller_rests(void **state)
{
	struct world *w = *state;
	struct test_io t;

	w->m->hold = true;
	w->m->abort_delay = 3600 * SECOND;
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	pass(w);
	nvmft_vfio_abort(channel0(w), &t.io);
	run_for(w, MS);
	model_event(w->m, CHANGED_NAMESPACES);
	model_vanish(w->m);
	nvmft_ctrl_step(w->ctrl);
	assert_int_equal(nvmft_ctrl_step(w->ctrl), WATCH_NS);
}

/* In each state that an event can be in. */
static void test_event_of_a_dead_controller(void **state)
{
	struct world *w = *state;

	for (unsigned int steps = 0; steps < 5; steps++) {
		assert_int_equal(world_open(w, DEPTH), 0);
		model_event(w->m, CHANGED_NAMESPACES);
		for (unsigned int i = 0; i < steps; i++) {
			nvmft_ctrl_step(w->ctrl);
			model_step(w->m);
		}
		w->m->never_ready = true;
		model_fatal(w->m);
		run_for(w, 20 * SECOND);
		assert_int_equal(ctrl_state(w->ctrl), CTRL_DEAD);
		assert_int_equal(nvmft_ctrl_step(w->ctrl), WATCH_NS);
		world_close(w);
		w->m->never_ready = false;
		reg_write32(w->m->bar, NVME_REG_CSTS, 0);
	}
}

/* ---- completions that make no sense ---- */

/* As many as the device likes, for whatever it likes: each pass ends, and so does the log. */
static void test_admin_completions_for_nothing(void **state)
{
	struct world *w = *state;
	unsigned int before = log_lines();
	struct test_io t;

	for (unsigned int i = 0; i < 300; i++) {
		model_post(w->m, 0, (uint16_t)(i * 7), 1, 0);
		nvmft_ctrl_step(w->ctrl);
	}
	expect_log("further ones are not logged");
	assert_int_equal(log_lines(), before + 1);
	submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
	pass(w);
	expect_io(&t, 0);
}

/* The driver only reads them. */
static volatile struct nvmft_cqe *device_side(const volatile struct nvmft_cqe *cqe)
{
	return (volatile struct nvmft_cqe *)(uintptr_t)cqe;
}

/* Entries that all look new: a phase bit in each, for ever. */
static void test_phase_bits_that_never_end(void **state)
{
	struct world *w = *state;
	struct test_io t;

	hold_read(w, &t);
	for (unsigned int round = 0; round < 50; round++) {
		struct queue_pair *q = &pair0(w)->queue;

		for (uint32_t i = 0; i < q->entries; i++) {
			volatile struct nvmft_cqe *cqe = device_side(&q->cq[i]);

			cqe->cid = htole16((uint16_t)(i * 31));
			cqe->sqid = htole16(0xffff);
			cqe->sqhd = htole16(0xffff);
			cqe->status = htole16((uint16_t)(round & 1));
		}
		assert_in_range(nvmft_vfio_poll(channel0(w)), 0, (int)q->entries);
		for (uint32_t i = 0; i < ADMIN_ENTRIES; i++)
			device_side(&w->ctrl->admin.cq[i])->status = htole16((uint16_t)(round & 1));
		nvmft_ctrl_step(w->ctrl);
	}
	assert_true(t.done <= 1);
}

/* ---- registers of all ones, from any read on ---- */

/* The device goes at any time of its bring-up. */
static void test_vanishes_during_open(void **state)
{
	struct world *w = *state;
	unsigned int failed = 0;

	for (unsigned int calls = 1; calls <= 60; calls++) {
		w->m->vanish_after = calls;
		failed += world_open(w, DEPTH) != 0;
		run_for(w, 3 * SECOND);
		world_close(w);
		w->m->vanish_after = 0;
		model_come_back(w->m);
	}
	assert_in_range(failed, 20, 59);
	assert_int_equal(world_open(w, DEPTH), 0);
}

/* And at any time of a reset. */
static void test_vanishes_during_a_reset(void **state)
{
	struct world *w = *state;

	for (unsigned int calls = 1; calls <= 60; calls++) {
		struct test_io t, u;

		assert_int_equal(world_open(w, DEPTH), 0);
		w->m->hold = true;
		submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
		pass(w);
		model_fatal(w->m);
		w->m->vanish_after = calls;
		submit(w, &u, NVMFT_IO_READ, 0, 1, 0);
		run_for(w, 3 * SECOND);
		w->m->vanish_after = 0;
		w->m->hold = false;
		run_for(w, 3 * SECOND);
		expect_io(&t, LOST);
		if (!u.done)
			model_vanish(w->m);
		run_for(w, 3 * SECOND);
		assert_int_equal(u.done, 1);
		world_close(w);
		model_come_back(w->m);
	}
}

/* ---- at the same time ---- */

/* Channels come and go while the controller is reset, in all orders of thread and groups. */
static void test_channels_come_and_go_during_resets(void **state)
{
	struct world *w = *state;
	struct test_io t;

	for (unsigned int i = 0; i < 200; i++) {
		unsigned int group = i & 1;

		world_close_channel(w, group, 0);
		w->stuck = i % 5 == 0;
		if (i % 7 == 0)
			model_fatal(w->m);
		run_for(w, (i % 3) * MS);
		assert_int_equal(world_open_channel(w, group, 0), 0);
		submit_to(w, group, 0, &t, NVMFT_IO_READ, 0, 1, 0);
		w->stuck = false;
		run_for(w, 15 * SECOND);
		expect_io(&t, 0);
	}
	assert_int_equal(ctrl_state(w->ctrl), CTRL_LIVE);
}

/* The last namespace closes in each state of a reset. */
static void test_close_during_a_reset(void **state)
{
	struct world *w = *state;

	for (unsigned int ms = 0; ms < 30; ms++) {
		struct test_io t;

		assert_int_equal(world_open(w, DEPTH), 0);
		submit(w, &t, NVMFT_IO_READ, 0, 1, 0);
		pass(w);
		model_fatal(w->m);
		run_for(w, ms * MS);
		if (!t.done)
			run_for(w, 2 * SECOND);
		world_close(w);
		assert_true(w->m->closed);
		assert_false(w->m->master);
	}
}

/* While an Abort of one command is late, others time out: one reset, and all are answered. */
static void test_timeouts_during_timeouts(void **state)
{
	struct world *w = *state;
	struct test_io t[2 * DEPTH], u;

	w->m->hold = w->m->keep_io_on_abort = true;
	w->m->abort_delay = 2 * SECOND;
	for (unsigned int i = 0; i < 2 * DEPTH; i++) {
		submit_to(w, i & 1, 0, &t[i], NVMFT_IO_READ, 0, 1, 0);
		run_for(w, SECOND);
	}
	run_for(w, 25 * SECOND);
	for (unsigned int i = 0; i < 2 * DEPTH; i++)
		expect_io(&t[i], LOST);
	assert_int_equal(w->m->enables, 2);
	w->m->hold = false;
	run_for(w, SECOND);
	submit(w, &u, NVMFT_IO_READ, 0, 1, 0);
	run_for(w, SECOND);
	expect_io(&u, 0);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_late_abort_hits_no_later_command, world_setup),
		TEST(test_late_abort_hits_no_later_queue, world_setup),
		TEST(test_wishes_end_with_their_queue, world_setup_open),
		TEST(test_late_abort_hits_no_later_admin_command, world_setup_open),
		TEST(test_aborted_admin_commands_give_their_identifiers_back, world_setup_open),
		TEST(test_unanswered_abort_resets, world_setup_open),
		TEST(test_unanswered_abort_of_a_queue_that_closes, world_setup_open),
		TEST(test_unanswered_log_resets, world_setup_open),
		TEST(test_change_while_it_opens, world_setup),
		TEST(test_io_waits_for_a_change_while_it_opens, world_setup),
		TEST(test_unplug_while_it_opens, world_setup),
		TEST(test_not_ready_is_not_gone, world_setup_open),
		TEST(test_device_that_never_says, world_setup_open),
		TEST(test_io_waits_for_an_answer, world_setup_open),
		TEST(test_io_does_not_wait_for_ever, world_setup_open),
		TEST(test_change_while_an_answer_is_awaited, world_setup_open),
		TEST(test_open_what_is_not_ready, world_setup),
		TEST(test_changes_out_of_order, world_setup_open),
		TEST(test_dma_that_cannot_be_turned_off, world_setup_open),
		TEST(test_dma_that_cannot_be_turned_off_at_close, world_setup_open),
		TEST(test_unplug_of_what_was_given_back, world_setup_open),
		TEST(test_dead_controller_rests, world_setup_open),
		TEST(test_event_of_a_dead_controller, world_setup),
		TEST(test_admin_completions_for_nothing, world_setup_open),
		TEST(test_phase_bits_that_never_end, world_setup_open),
		TEST(test_vanishes_during_open, world_setup),
		TEST(test_vanishes_during_a_reset, world_setup),
		TEST(test_channels_come_and_go_during_resets, world_setup_groups),
		TEST(test_close_during_a_reset, world_setup),
		TEST(test_timeouts_during_timeouts, world_setup_groups),
	};

	return cmocka_run_group_tests_name("vfio_faults", tests, NULL, NULL);
}
