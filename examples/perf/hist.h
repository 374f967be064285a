/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PERF_HIST_H
#define PERF_HIST_H

#include <stdint.h>

/*
 * A histogram of times in nanoseconds. Each power of two is divided into HIST_SUB buckets, so a value read back is at
 * most 1/HIST_SUB (1.6 %) above the one recorded, whatever its size, and recording is a few instructions.
 */
#define HIST_SUB_BITS 6u
#define HIST_SUB (1u << HIST_SUB_BITS)
#define HIST_MAX_BITS 40u /* 2^40 ns are 18 minutes: what is longer counts as that */
#define HIST_BUCKETS ((HIST_MAX_BITS - HIST_SUB_BITS + 1) * HIST_SUB)

struct hist {
	uint64_t count;
	uint64_t sum;
	uint64_t min;
	uint64_t max;
	uint64_t bucket[HIST_BUCKETS];
};

/* All zero is an empty histogram. */

/* Bucket of a value, and the largest value that falls into a bucket. */
unsigned int hist_index(uint64_t value);
uint64_t hist_upper(unsigned int index);

static inline void hist_add(struct hist *hist, uint64_t value)
{
	hist->min = hist->count && hist->min < value ? hist->min : value;
	hist->max = hist->max > value ? hist->max : value;
	hist->count++;
	hist->sum += value;
	hist->bucket[hist_index(value)]++;
}

void hist_merge(struct hist *into, const struct hist *from);

/* Smallest value that @per_100000 of 100000 values do not exceed, e.g. 99900 for p99.9; 0 when empty. */
uint64_t hist_percentile(const struct hist *hist, uint32_t per_100000);

double hist_mean(const struct hist *hist);

/* Values from @low to below @high, by whole buckets: exact when both are powers of two. */
uint64_t hist_between(const struct hist *hist, uint64_t low, uint64_t high);

#endif
