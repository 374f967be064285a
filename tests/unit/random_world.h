/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_RANDOM_WORLD_H
#define TEST_RANDOM_WORLD_H

/*
 * Tests that do at random what may be done, in many small worlds. The numbers are the same in each run and on each
 * machine: the world that failed is named, and is the same the next time.
 */

#include <stdbool.h>
#include <stdint.h>

static unsigned int world;
static uint64_t random_state;

static void world_begin(unsigned int seed)
{
	world = seed;
	random_state = seed;
}

/* 0 to @n - 1. */
static uint32_t below(uint32_t n)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % n;
}

static bool one_in(uint32_t n)
{
	return below(n) == 0;
}

#define assert_holds(what)                                      \
	do {                                                    \
		if (!(what))                                    \
			fail_msg("world %u: %s", world, #what); \
	} while (0)

#endif
