/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PERF_PATTERN_H
#define PERF_PATTERN_H

#include <stdint.h>

/*
 * What --verify writes. Every logical block tells by itself where and when it was written: a header with a magic
 * number, the seed of the run, its LBA and a generation; bytes that follow from these; and a CRC32C over all of it. So
 * a block that is stale, misplaced, torn, of another run or damaged is told from a good one, and from each other.
 */

enum pattern_result {
	PATTERN_OK,
	PATTERN_MAGIC,      /* never written by this program */
	PATTERN_CRC,        /* damaged or torn */
	PATTERN_SEED,       /* of a run with another seed */
	PATTERN_LBA,        /* of another place */
	PATTERN_GENERATION, /* of another time */
};

struct pattern {
	uint64_t seed;
	uint64_t lba;
	uint32_t generation; /* 0 when checking: any */
};

void pattern_fill(void *block, uint32_t block_size, const struct pattern *pattern);

/* @found: what the block says of itself, valid unless the result is PATTERN_MAGIC or PATTERN_CRC. */
enum pattern_result pattern_check(const void *block, uint32_t block_size, const struct pattern *want,
				  struct pattern *found);

const char *pattern_words(enum pattern_result result);

#endif
