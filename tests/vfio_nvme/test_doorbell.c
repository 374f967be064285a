/* SPDX-License-Identifier: BSD-3-Clause */
/* Doorbells, registers and shadows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "queue.h"

/* Step by step from @old to @value: is @event left behind? */
static bool passes(uint32_t entries, uint32_t event, uint32_t old, uint32_t value)
{
	for (uint32_t at = old; at != value; at = (at + 1) % entries)
		if (at == event)
			return true;
	return false;
}

static void test_wanted_at_every_wrap(void **state)
{
	(void)state;
	for (uint32_t entries = 2; entries <= 20; entries++)
		for (uint32_t event = 0; event < entries; event++)
			for (uint32_t old = 0; old < entries; old++)
				for (uint32_t value = 0; value < entries; value++)
					if (value != old)
						assert_int_equal(doorbell_wanted(event, old, value),
								 passes(entries, event, old, value));
}

static void test_wanted_in_the_largest_queue(void **state)
{
	const uint32_t last = 65535;

	(void)state;
	assert_true(doorbell_wanted(last, last, 0));
	assert_true(doorbell_wanted(0, last, 1));
	assert_false(doorbell_wanted(1, last, 1));
	assert_false(doorbell_wanted(last - 1, last, 0));
}

/* What a hostile device may say: anything. */
static void test_event_out_of_range(void **state)
{
	(void)state;
	assert_false(doorbell_wanted(0xffffffff, 3, 5));
	assert_false(doorbell_wanted(5, 3, 5));
}

struct fixture {
	uint32_t reg, shadow, event;
	struct doorbell db;
	struct nvmft_sqe sq[4];
	struct queue_pair q;
};

static void begin(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->reg = f->shadow = 0x77;
	f->db = (struct doorbell){.reg = &f->reg, .shadow = &f->shadow, .event = &f->event};
}

static void test_register_without_shadow(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	f.db.shadow = NULL;
	doorbell_ring(&f.db, 0, 1);
	assert_int_equal(le32toh(f.reg), 1);
	assert_int_equal(f.shadow, 0x77);
}

static void test_register_when_the_device_looks_away(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	f.event = htole32(2);
	doorbell_ring(&f.db, 0, 2);
	assert_int_equal(le32toh(f.shadow), 2);
	assert_int_equal(f.reg, 0x77);
	doorbell_ring(&f.db, 2, 3);
	assert_int_equal(le32toh(f.shadow), 3);
	assert_int_equal(le32toh(f.reg), 3);
	doorbell_ring(&f.db, 3, 1);
	assert_int_equal(le32toh(f.shadow), 1);
	assert_int_equal(le32toh(f.reg), 3);
}

static void test_admin_registers_always(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	f.event = htole32(9);
	f.db.always = true;
	doorbell_ring(&f.db, 0, 1);
	assert_int_equal(le32toh(f.shadow), 1);
	assert_int_equal(le32toh(f.reg), 1);
}

/* All that was pushed is one step, also over the end. */
static void test_one_step_per_pass(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	f.q = (struct queue_pair){
		.sq = f.sq, .sq_end = f.sq + 4, .sq_next = f.sq, .sq_rung = f.sq, .sq_doorbell = f.db};
	queue_pair_ring_sq(&f.q);
	assert_int_equal(f.shadow, 0x77); /* nothing new */
	for (int i = 0; i < 3; i++)
		queue_pair_push(&f.q);
	f.event = htole32(1);
	queue_pair_ring_sq(&f.q);
	assert_int_equal(le32toh(f.reg), 3);
	for (int i = 0; i < 3; i++)
		queue_pair_push(&f.q);
	queue_pair_ring_sq(&f.q);
	assert_int_equal(le32toh(f.shadow), 2);
	assert_int_equal(le32toh(f.reg), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wanted_at_every_wrap),
		cmocka_unit_test(test_wanted_in_the_largest_queue),
		cmocka_unit_test(test_event_out_of_range),
		cmocka_unit_test(test_register_without_shadow),
		cmocka_unit_test(test_register_when_the_device_looks_away),
		cmocka_unit_test(test_admin_registers_always),
		cmocka_unit_test(test_one_step_per_pass),
	};

	return cmocka_run_group_tests_name("vfio_doorbell", tests, NULL, NULL);
}
