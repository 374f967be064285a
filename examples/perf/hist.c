/* SPDX-License-Identifier: BSD-3-Clause */
#include "hist.h"

unsigned int hist_index(uint64_t value)
{
	unsigned int shift;

	if (value >> HIST_MAX_BITS)
		return HIST_BUCKETS - 1;
	if (value < HIST_SUB)
		return (unsigned int)value;
	shift = 63u - (unsigned int)__builtin_clzll(value) - HIST_SUB_BITS;
	return (shift + 1) * HIST_SUB + (unsigned int)((value >> shift) & (HIST_SUB - 1));
}

uint64_t hist_upper(unsigned int index)
{
	unsigned int shift;

	if (index < HIST_SUB)
		return index;
	shift = index / HIST_SUB - 1;
	return (((uint64_t)(HIST_SUB + index % HIST_SUB) + 1) << shift) - 1;
}

void hist_merge(struct hist *into, const struct hist *from)
{
	unsigned int i;

	if (!from->count)
		return;
	if (!into->count || from->min < into->min)
		into->min = from->min;
	if (from->max > into->max)
		into->max = from->max;
	into->count += from->count;
	into->sum += from->sum;
	for (i = 0; i < HIST_BUCKETS; i++)
		into->bucket[i] += from->bucket[i];
}

uint64_t hist_percentile(const struct hist *hist, uint32_t per_100000)
{
	/* Rounded up, so that the percentile of one value is that value. */
	uint64_t rank = (uint64_t)(((unsigned __int128)hist->count * per_100000 + 99999) / 100000);
	uint64_t seen = 0;
	unsigned int i;

	if (!hist->count)
		return 0;
	for (i = 0; i < HIST_BUCKETS; i++) {
		seen += hist->bucket[i];
		if (seen >= rank && seen)
			return hist_upper(i) < hist->max ? hist_upper(i) : hist->max;
	}
	return hist->max;
}

double hist_mean(const struct hist *hist)
{
	return hist->count ? (double)hist->sum / (double)hist->count : 0;
}

uint64_t hist_between(const struct hist *hist, uint64_t low, uint64_t high)
{
	unsigned int end = high >> HIST_MAX_BITS ? HIST_BUCKETS : hist_index(high);
	uint64_t sum = 0;
	unsigned int i;

	for (i = hist_index(low); i < end; i++)
		sum += hist->bucket[i];
	return sum;
}
