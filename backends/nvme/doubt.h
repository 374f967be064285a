/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_NVME_DOUBT_H
#define NVMFT_BACKENDS_NVME_DOUBT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "identify.h"

/*
 * struct ssd_doubt - whether commands may be made by the facts that are known
 *
 * A device that was formatted meanwhile takes the page lists and lengths of commands for blocks of another size or with
 * metadata: it would move the wrong pages. So at the first sign that it might have been, no new command is sent to the
 * namespace until somebody has asked the device and found that its format is the same.
 *
 * @signs: so many since the last time that it was found to be the same; 0: go on. Raised on any thread, taken away by
 * the one that asks.
 * @formats: Format NVM of hosts under way, during which the format being the same means nothing
 * @refuse: do not wait either: the format is another one, the device is gone, or it does not answer
 */
struct ssd_doubt {
	atomic_uint signs;
	atomic_uint formats;
	atomic_bool refuse;
};

static inline bool ssd_in_doubt(const struct ssd_doubt *doubt)
{
	return atomic_load_explicit(&doubt->signs, memory_order_relaxed) != 0;
}

static inline bool ssd_refused(const struct ssd_doubt *doubt)
{
	return atomic_load_explicit(&doubt->refuse, memory_order_relaxed);
}

static inline void ssd_doubt_raise(struct ssd_doubt *doubt)
{
	/* 0 would end it. */
	if (atomic_fetch_add(&doubt->signs, 1) == UINT32_MAX)
		atomic_fetch_add(&doubt->signs, 1);
}

/* For ever, or until it is settled again. */
static inline void ssd_doubt_refuse(struct ssd_doubt *doubt)
{
	atomic_store(&doubt->refuse, true);
	ssd_doubt_raise(doubt);
}

/* From here to the end of a format no look ends the doubt; one has to follow that end. */
static inline void ssd_format_begins(struct ssd_doubt *doubt)
{
	atomic_fetch_add(&doubt->formats, 1);
	ssd_doubt_raise(doubt);
}

static inline void ssd_format_ends(struct ssd_doubt *doubt)
{
	atomic_fetch_sub(&doubt->formats, 1);
}

/* Before the device is asked; for ssd_doubt_settle(). */
static inline unsigned int ssd_doubt_begin(const struct ssd_doubt *doubt)
{
	return atomic_load(&doubt->signs);
}

/* It has the same format. False: there were signs since ssd_doubt_begin(), and it has to be asked once more; or when a
 * format is over. */
static inline bool ssd_doubt_settle(struct ssd_doubt *doubt, unsigned int begin)
{
	atomic_store(&doubt->refuse, false);
	if (atomic_load(&doubt->formats))
		return false;
	return atomic_compare_exchange_strong(&doubt->signs, &begin, 0);
}

/* A device says this of I/O while it is being formatted, without Do Not Retry. */
static inline bool ssd_is_formatting(nvmft_status status)
{
	return (status & 0x7ff) == NVMFT_STATUS(0, 0x84);
}

/*
 * What a command that the core made can only get when the namespace is not what it was: Invalid Namespace or Format,
 * LBA Out of Range, Namespace Not Ready, Format in Progress.
 */
static inline bool ssd_is_sign(nvmft_status status)
{
	switch (status & 0x7ff) {
	case NVMFT_STATUS(0, 0x0b):
	case NVMFT_STATUS(0, 0x80):
	case NVMFT_STATUS(0, 0x82):
	case NVMFT_STATUS(0, 0x84):
		return true;
	default:
		return false;
	}
}

#endif
