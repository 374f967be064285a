/* SPDX-License-Identifier: BSD-3-Clause */
/* Shadow doorbells, with a controller that looks at its registers only while it sleeps. */
#include <errno.h>
#include <nvme/types.h>

#include "world.h"

#define SQ1 (REG_DOORBELLS + 8u)

static uint16_t offers_dbbuf(struct model *m, const struct nvmft_sqe *sqe, uint8_t *page)
{
	(void)m;
	if ((uint8_t)le32toh(sqe->cdw10) == 1)
		((struct nvme_id_ctrl *)(void *)page)->oacs = htole16(0x100);
	return 0;
}

static int setup(void **state)
{
	struct world *w = world_create();

	w->m->identify = offers_dbbuf;
	*state = w;
	return 0;
}

static int setup_open(void **state)
{
	setup(state);
	return world_open(*state, DEPTH);
}

static void read_blocks(struct world *w, uint32_t n)
{
	struct test_io t[DEPTH];

	for (uint32_t i = 0; i < n; i++)
		submit(w, &t[i], NVMFT_IO_READ, i, 1, i * 4096);
	pass(w);
	for (uint32_t i = 0; i < n; i++) {
		expect_io(&t[i], 0);
	}
}

static void test_only_when_offered(void **state)
{
	struct world *w = *state;

	w->m->identify = NULL;
	assert_int_equal(world_open(w, DEPTH), 0);
	assert_int_equal(w->m->shadows, 0);
	read_blocks(w, 2);
	assert_int_equal(reg_read32(w->m->bar, SQ1), 2);
}

static void test_goes_on_when_refused(void **state)
{
	struct world *w = *state;

	w->m->dbbuf_status = 0x02;
	assert_int_equal(world_open(w, DEPTH), 0);
	expect_log("Doorbell Buffer Config");
	read_blocks(w, 2);
	assert_int_equal(reg_read32(w->m->bar, SQ1), 2);
}

static void test_admin_queue_uses_both(void **state)
{
	struct world *w = *state;

	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(reg_read32(w->m->bar, REG_DOORBELLS + 4 * i),
				 le32toh(*(uint32_t *)model_at(w->m, w->m->shadows + 4 * i, 4)));
	assert_true(reg_read32(w->m->bar, REG_DOORBELLS) > 0);
}

/* Over the end of the queue, at every number of new commands: none is left lying. */
static void test_wakes_the_device_whenever_it_sleeps(void **state)
{
	struct world *w = *state;

	for (uint32_t n = 1; n <= DEPTH; n++)
		for (uint32_t round = 0; round < 20; round++)
			read_blocks(w, n);
	assert_int_equal(w->m->woken, 20 * DEPTH);
}

static void test_no_register_while_it_is_awake(void **state)
{
	struct world *w = *state;

	read_blocks(w, 1);
	w->m->stay_awake = true;
	read_blocks(w, 1); /* passes the index at which it went to sleep before */
	reg_write32(w->m->bar, SQ1, 0x4711);
	/* Until the tail is round there once more. */
	for (uint32_t i = 0; i < DEPTH - 1; i++)
		read_blocks(w, 1);
	assert_int_equal(reg_read32(w->m->bar, SQ1), 0x4711);
}

static void test_completion_queue_has_one(void **state)
{
	struct world *w = *state;

	read_blocks(w, 3);
	read_blocks(w, 2);
	assert_int_equal(le32toh(*(uint32_t *)model_at(w->m, w->m->shadows + 12, 4)), 5);
}

static void test_again_after_a_reset(void **state)
{
	struct world *w = *state;

	read_blocks(w, 5);
	model_fatal(w->m);
	run_for(w, 3 * SECOND);
	assert_int_equal(w->m->enables, 2);
	assert_int_not_equal(w->m->shadows, 0);
	for (uint32_t round = 0; round < 20; round++)
		read_blocks(w, 3);
}

/* It may have been another device's, or the firmware another one: what it offers is not offered any more. */
static void test_refused_after_a_reset(void **state)
{
	struct world *w = *state;

	read_blocks(w, 5);
	w->m->dbbuf_status = 0x02;
	model_fatal(w->m);
	run_for(w, 3 * SECOND);
	assert_int_equal(w->m->shadows, 0);
	for (uint32_t round = 0; round < 20; round++)
		read_blocks(w, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_only_when_offered, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_goes_on_when_refused, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_admin_queue_uses_both, setup_open, world_teardown),
		cmocka_unit_test_setup_teardown(test_wakes_the_device_whenever_it_sleeps, setup_open, world_teardown),
		cmocka_unit_test_setup_teardown(test_no_register_while_it_is_awake, setup_open, world_teardown),
		cmocka_unit_test_setup_teardown(test_completion_queue_has_one, setup_open, world_teardown),
		cmocka_unit_test_setup_teardown(test_again_after_a_reset, setup_open, world_teardown),
		cmocka_unit_test_setup_teardown(test_refused_after_a_reset, setup_open, world_teardown),
	};

	return cmocka_run_group_tests_name("vfio_dbbuf", tests, NULL, NULL);
}
