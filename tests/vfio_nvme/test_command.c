/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands of hosts, zones, SGLs and metadata on their way through the driver. */
#include <errno.h>
#include <nvme/types.h>

#include "world.h"

#define SGL_SUPPORTED 1u

static uint16_t offers_sgls(struct model *m, const struct nvmft_sqe *sqe, uint8_t *page)
{
	(void)m;
	if ((uint8_t)le32toh(sqe->cdw10) == 1)
		((struct nvme_id_ctrl *)(void *)page)->sgls = htole32(SGL_SUPPORTED);
	return 0;
}

static void command(struct world *w, struct test_io *t, struct nvmft_sqe *sqe, uint32_t len)
{
	struct nvmft_channel *channel = channel0(w);

	memset(t, 0, sizeof(*t));
	t->iov[0] = (struct nvmft_iov){w->buffers, len, 20};
	t->io = (struct nvmft_io){
		.op = NVMFT_IO_COMMAND, .sqe = sqe, .iov = t->iov, .iovcnt = !!len, .channel = channel};
	t->io.priv = t->priv;
	nvmft_vfio_submit(channel, &t->io);
}

/* ---- commands of hosts ---- */

static void test_command_and_its_result(void **state)
{
	struct nvmft_sqe sqe = {.opcode = OPC_ZONE_APPEND, .nsid = htole32(77), .cid = 99, .cdw12 = htole32(3)};
	struct world *w = *state;
	struct test_io t;

	assert_int_equal(world_open(w, DEPTH), 0);
	w->m->hold = true;
	w->m->last_result[0] = 0x11223344;
	w->m->last_result[1] = 0x55667788;
	command(w, &t, &sqe, 2048);
	pass(w);
	assert_int_equal(w->m->nheld, 1);
	assert_int_equal(w->m->held[0].sqe.opcode, OPC_ZONE_APPEND);
	assert_int_equal(le32toh(w->m->held[0].sqe.nsid), 1);
	assert_int_equal(le32toh(w->m->held[0].sqe.cdw12), 3);
	model_answer(w->m, 0, 0);
	pass(w);
	assert_int_equal(t.done, 1);
	assert_true(t.io.result == UINT64_C(0x5566778811223344));
}

static void test_status_of_a_command(void **state)
{
	struct nvmft_sqe sqe = {.opcode = OPC_RESV_ACQUIRE};
	struct world *w = *state;
	struct test_io t;

	assert_int_equal(world_open(w, DEPTH), 0);
	w->m->io_status = 0x4083; /* Reservation Conflict, DNR */
	command(w, &t, &sqe, 16);
	pass(w);
	expect_io(&t, 0x4083);
}

static void test_verify_is_split(void **state)
{
	struct nvmft_sqe sqe = {.opcode = OPC_VERIFY, .cdw10 = htole32(100), .cdw12 = htole32(99)};
	struct world *w = *state;
	struct test_io t;

	w->m->mdts = 2; /* 32 blocks */
	assert_int_equal(world_open(w, DEPTH), 0);
	w->m->hold = true;
	command(w, &t, &sqe, 0);
	pass(w);
	assert_int_equal(w->m->nheld, 4);
	assert_int_equal(le32toh(w->m->held[3].sqe.cdw10), 196);
	assert_int_equal(le32toh(w->m->held[3].sqe.cdw12), 3);
	while (w->m->nheld)
		model_answer(w->m, 0, w->m->nheld == 2 ? 0x281 : 0);
	pass(w);
	expect_io(&t, 0x281);
}

static void test_command_outside_of_regions(void **state)
{
	struct nvmft_sqe sqe = {.opcode = OPC_RESV_REPORT};
	struct world *w = *state;
	struct test_io t;

	assert_int_equal(world_open(w, DEPTH), 0);
	memset(&t, 0, sizeof(t));
	t.iov[0] = (struct nvmft_iov){w->buffers, 512, NVMFT_REGION_NONE};
	t.io = (struct nvmft_io){
		.op = NVMFT_IO_COMMAND, .sqe = &sqe, .iov = t.iov, .iovcnt = 1, .channel = channel0(w), .priv = t.priv};
	nvmft_vfio_submit(channel0(w), &t.io);
	assert_int_equal(t.done, 1);
	assert_int_not_equal(t.io.status, 0);
}

/* The core sends more when a completion has freed an identifier, before those that wait have had their turn. */
static void test_what_waits_goes_first(void **state)
{
	struct world *w = *state;
	struct test_io t[DEPTH + 2];

	assert_int_equal(world_open(w, DEPTH), 0);
	w->m->hold = true;
	for (uint32_t i = 0; i <= DEPTH; i++)
		submit(w, &t[i], NVMFT_IO_READ, i, 1, 4096 * i);
	nvmft_vfio_slot_done(pair0(w), 0, 0);
	submit(w, &t[DEPTH + 1], NVMFT_IO_READ, DEPTH + 1, 1, 0);
	pass(w);
	pass(w);
	assert_int_equal(w->m->nheld, DEPTH + 1);
	assert_int_equal(le32toh(w->m->held[DEPTH].sqe.cdw10), DEPTH);
}

/* ---- zones ---- */

static void open_zoned(struct world *w)
{
	w->m->zone_blocks = 1024;
	w->m->mdts = 1; /* 16 blocks */
	assert_int_equal(world_open(w, DEPTH), 0);
	w->m->hold = true;
}

/* One part at a time, while others go past. */
static void test_zone_is_written_in_order(void **state)
{
	struct world *w = *state;
	struct test_io t, u;

	open_zoned(w);
	submit(w, &t, NVMFT_IO_WRITE, 0, 40, 0);
	submit(w, &u, NVMFT_IO_READ, 1000, 1, 65536);
	pass(w);
	assert_int_equal(w->m->nheld, 2);
	model_answer(w->m, 1, 0);
	pass(w);
	assert_int_equal(u.done, 1);
	for (uint32_t part = 0; part < 3; part++) {
		assert_int_equal(w->m->nheld, 1);
		assert_int_equal(le32toh(w->m->held[0].sqe.cdw10), part * 16);
		assert_int_equal(t.done, 0);
		model_answer(w->m, 0, 0);
		pass(w);
		pass(w);
	}
	expect_io(&t, 0);
}

static void test_zone_write_ends_with_the_first_error(void **state)
{
	struct world *w = *state;
	struct test_io t;

	open_zoned(w);
	submit(w, &t, NVMFT_IO_WRITE, 0, 40, 0);
	pass(w);
	model_answer(w->m, 0, 0x1bc); /* Zone Invalid Write */
	pass(w);
	expect_io(&t, 0x1bc);
	pass(w);
	assert_int_equal(w->m->nheld, 0);
}

static void test_zone_write_is_aborted(void **state)
{
	struct world *w = *state;
	struct test_io t;

	open_zoned(w);
	submit(w, &t, NVMFT_IO_WRITE, 0, 40, 0);
	pass(w);
	nvmft_vfio_abort(channel0(w), &t.io);
	run_for(w, 10 * MS);
	assert_int_equal(t.done, 1);
	assert_int_equal(w->m->io_commands, 1);
}

static void test_zone_write_survives_no_reset(void **state)
{
	struct world *w = *state;
	struct test_io t;

	open_zoned(w);
	submit(w, &t, NVMFT_IO_WRITE, 0, 40, 0);
	pass(w);
	model_fatal(w->m);
	run_for(w, 3 * SECOND);
	expect_io(&t, 0x21);
	assert_int_equal(w->m->io_commands, 1);
}

/* ---- SGLs ---- */

static void test_data_at_odd_places(void **state)
{
	struct world *w = *state;
	struct test_io t;

	w->m->identify = offers_sgls;
	assert_int_equal(world_open(w, DEPTH), 0);
	for (uint32_t i = 0; i < 65536; i++)
		w->buffers[i] = (uint8_t)(i * 7 + i / 256);
	submit(w, &t, NVMFT_IO_FLUSH, 0, 0, 0);
	pass(w);
	t.io = (struct nvmft_io){.op = NVMFT_IO_WRITE, .blocks = 30, .iov = t.iov, .iovcnt = 2, .channel = channel0(w)};
	t.io.priv = t.priv;
	t.iov[0] = (struct nvmft_iov){w->buffers + 100, 4000, 20};
	t.iov[1] = (struct nvmft_iov){w->buffers + 40004, 11360, 20};
	nvmft_vfio_submit(channel0(w), &t.io);
	pass(w);
	assert_int_equal(t.io.status, 0);
	submit(w, &t, NVMFT_IO_READ, 0, 30, BUFFER_LEN + 4);
	pass(w);
	assert_int_equal(t.io.status, 0);
	assert_memory_equal(w->buffers + BUFFER_LEN + 4, w->buffers + 100, 4000);
	assert_memory_equal(w->buffers + BUFFER_LEN + 4004, w->buffers + 40004, 11360);
}

/* ---- metadata ---- */

static void test_metadata_has_memory(void **state)
{
	struct world *w = *state;
	const struct nvmft_sqe *sqe = &w->m->held[0].sqe;
	struct test_io t, u;
	uint8_t *zeroes, *sink;

	w->m->ms = 16;
	assert_int_equal(world_open(w, DEPTH), 0);
	w->m->hold = true;
	submit(w, &t, NVMFT_IO_WRITE, 0, 4096, 0);
	pass(w);
	zeroes = model_at(w->m, le64toh(sqe->mptr), 4096 * 16);
	for (uint32_t i = 0; i < 4096 * 16; i++)
		assert_int_equal(zeroes[i], 0);
	submit(w, &u, NVMFT_IO_READ, 0, 4096, 0);
	pass(w);
	sink = model_at(w->m, le64toh(w->m->held[1].sqe.mptr), 4096 * 16);
	assert_true(sink >= zeroes + 4096 * 16 || zeroes >= sink + 4096 * 16);
	model_answer(w->m, 0, 0);
	model_answer(w->m, 0, 0);
	pass(w);
	assert_int_equal(t.done + u.done, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_command_and_its_result, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_status_of_a_command, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_verify_is_split, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_command_outside_of_regions, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_what_waits_goes_first, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_zone_is_written_in_order, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_zone_write_ends_with_the_first_error, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_zone_write_is_aborted, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_zone_write_survives_no_reset, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_data_at_odd_places, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_metadata_has_memory, world_setup, world_teardown),
	};

	return cmocka_run_group_tests_name("vfio_command", tests, NULL, NULL);
}
