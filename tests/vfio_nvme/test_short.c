/* SPDX-License-Identifier: BSD-3-Clause */
/* The short way of I/O that is one command: what its command is, and for what it is not. */
#include <nvme/types.h>

#include "world.h"

#define PRACT (1u << 29)

static void open_held(struct world *w)
{
	assert_int_equal(world_open(w, DEPTH), 0);
	w->m->hold = true;
}

static const struct nvmft_sqe *held(const struct world *w)
{
	assert_int_equal(w->m->nheld, 1);
	return &w->m->held[0].sqe;
}

static uint64_t prp(const struct nvmft_sqe *sqe, unsigned int i)
{
	uint64_t value;

	memcpy(&value, sqe->dptr + i * sizeof(value), sizeof(value));
	return le64toh(value);
}

static bool is_short(struct world *w, const struct test_io *t)
{
	for (uint32_t cid = 0; cid < DEPTH; cid++)
		if (pair0(w)->slots[cid].io == &t->io)
			return true;
	return false;
}

/* Whatever was in the entry before. */
static void test_whole_entry(void **state)
{
	struct world *w = *state;
	const struct nvmft_sqe *sqe;
	struct test_io t;

	open_held(w);
	memset(pair0(w)->queue.sq, 0xff, DEPTH * sizeof(*sqe));
	submit(w, &t, NVMFT_IO_READ, 20, 8, 4096);
	assert_true(is_short(w, &t));
	pass(w);
	sqe = held(w);
	assert_int_equal(sqe->opcode, OPC_READ);
	assert_int_equal(sqe->flags, 0);
	assert_int_equal(le32toh(sqe->nsid), 1);
	assert_int_equal(sqe->cdw2 | sqe->cdw3 | sqe->mptr, 0);
	assert_ptr_equal(model_at(w->m, prp(sqe, 0), 4096), w->buffers + 4096);
	assert_int_equal(prp(sqe, 1), 0);
	assert_int_equal(le32toh(sqe->cdw10), 20);
	assert_int_equal(le32toh(sqe->cdw12), 7);
	assert_int_equal(sqe->cdw11 | sqe->cdw13 | sqe->cdw14 | sqe->cdw15, 0);
	answer_held(w, &t);
}

static void test_write_fua(void **state)
{
	struct world *w = *state;
	struct test_io t;

	open_held(w);
	submit(w, &t, NVMFT_IO_READ, 0, 8, 0);
	pass(w);
	answer_held(w, &t);
	t.io.op = NVMFT_IO_WRITE;
	t.io.flags = NVMFT_IO_FUA;
	t.io.lba = UINT64_C(0x700000005);
	nvmft_vfio_submit(channel0(w), &t.io);
	assert_true(is_short(w, &t));
	nvmft_vfio_flush(channel0(w));
	model_step(w->m);
	assert_int_equal(held(w)->opcode, OPC_WRITE);
	assert_int_equal(le32toh(held(w)->cdw10), 5);
	assert_int_equal(le32toh(held(w)->cdw11), 7);
	assert_int_equal(le32toh(held(w)->cdw12), 7 | CDW12_FUA);
	model_answer(w->m, 0, 0x80); /* LBA Out of Range */
	pass(w);
	assert_int_equal(t.io.status, 0x80);
}

static void test_over_the_end_of_a_page(void **state)
{
	struct world *w = *state;
	struct test_io t;

	open_held(w);
	submit(w, &t, NVMFT_IO_READ, 0, 8, 512);
	assert_true(is_short(w, &t));
	pass(w);
	assert_ptr_equal(model_at(w->m, prp(held(w), 0), 3584), w->buffers + 512);
	assert_ptr_equal(model_at(w->m, prp(held(w), 1), 512), w->buffers + 4096);
	answer_held(w, &t);
}

static void test_not_with_metadata(void **state)
{
	struct world *w = *state;
	struct test_io t;

	w->m->ms = 16;
	open_held(w);
	submit(w, &t, NVMFT_IO_READ, 0, 8, 0);
	assert_false(is_short(w, &t));
	pass(w);
	assert_int_not_equal(held(w)->mptr, 0);
	answer_held(w, &t);
}

static void test_not_with_protection(void **state)
{
	struct world *w = *state;
	struct test_io t;

	w->m->ms = 8;
	w->m->dps = 1;
	open_held(w);
	submit(w, &t, NVMFT_IO_READ, 0, 8, 0);
	assert_false(is_short(w, &t));
	pass(w);
	assert_int_not_equal(le32toh(held(w)->cdw12) & PRACT, 0);
	answer_held(w, &t);
}

static void test_not_outside_of_regions(void **state)
{
	struct world *w = *state;
	struct test_io t;

	open_held(w);
	submit(w, &t, NVMFT_IO_READ, 0, 8, 0);
	pass(w);
	answer_held(w, &t);
	t.done = 0;
	t.iov[0].region = 19; /* in the table, but not mapped */
	nvmft_vfio_submit(channel0(w), &t.io);
	assert_int_equal(t.done, 1);
	assert_int_not_equal(t.io.status, 0);
}

/* Nothing is kept of an I/O, so that its private bytes may hold anything when it is aborted. */
static void test_abort(void **state)
{
	struct world *w = *state;
	struct test_io t;

	open_held(w);
	submit(w, &t, NVMFT_IO_READ, 0, 8, 0);
	memset(t.priv, 0xa5, sizeof(t.priv));
	pass(w);
	nvmft_vfio_abort(channel0(w), &t.io);
	run_for(w, 2 * SECOND);
	assert_int_equal(w->m->aborts, 1);
	expect_io(&t, 0x07);
}

/* A device that answers late after an Abort of the host's is not reset for it. */
static void test_abort_takes_no_time_away(void **state)
{
	struct world *w = *state;
	struct test_io t;

	open_held(w);
	w->m->keep_io_on_abort = true;
	submit(w, &t, NVMFT_IO_READ, 0, 8, 0);
	pass(w);
	nvmft_vfio_abort(channel0(w), &t.io);
	run_for(w, 10 * SECOND);
	assert_int_equal(w->m->aborts, 1);
	assert_int_equal(w->m->enables, 1);
	answer_held(w, &t);
}

/* An identifier that was used before begins anew. */
static void test_whole_time(void **state)
{
	struct world *w = *state;
	struct test_io t;

	open_held(w);
	submit(w, &t, NVMFT_IO_READ, 0, 8, 0);
	run_for(w, 3 * SECOND);
	answer_held(w, &t);
	w->m->now += 3600 * SECOND;
	submit(w, &t, NVMFT_IO_READ, 0, 8, 0);
	assert_true(is_short(w, &t));
	run_for(w, 14 * SECOND);
	assert_int_equal(w->m->aborts, 0);
	run_for(w, 4 * SECOND);
	assert_int_equal(w->m->aborts, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole_entry, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_write_fua, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_over_the_end_of_a_page, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_not_with_metadata, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_not_with_protection, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_not_outside_of_regions, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_abort, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_abort_takes_no_time_away, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_whole_time, world_setup, world_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
