/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_UTIL_H
#define NVMFT_UTIL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
/*
 * What a command hardly ever comes to. Out of line, and the last thing its caller does where that is possible: a caller
 * on the I/O path then has nothing to save for it.
 */
#define rarely __attribute__((cold, noinline))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Removal-safe walk, which glibc's <sys/queue.h> lacks. */
#ifndef TAILQ_FOREACH_SAFE
#define TAILQ_FOREACH_SAFE(var, head, field, tmp) \
	for ((var) = TAILQ_FIRST((head)); (var) && ((tmp) = TAILQ_NEXT((var), field), 1); (var) = (tmp))
#endif
#ifndef LIST_FOREACH_SAFE
#define LIST_FOREACH_SAFE(var, head, field, tmp) \
	for ((var) = LIST_FIRST((head)); (var) && ((tmp) = LIST_NEXT((var), field), 1); (var) = (tmp))
#endif

/*
 * Counters have one writer, the thread of a poll group, and may be read from any: a relaxed load and store, which
 * cost no more than plain ones, keep the reader's view whole.
 */
typedef _Atomic uint64_t nvmft_counter;

static inline void counter_add(nvmft_counter *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void counter_set(nvmft_counter *c, uint64_t n)
{
	atomic_store_explicit(c, n, memory_order_relaxed);
}

static inline uint64_t counter_get(const nvmft_counter *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

/*
 * nvmft_opts_copy() - take an option structure of any age: fields that the caller's header did not have are zero
 */
static inline void nvmft_opts_copy(void *dst, size_t dst_size, const void *src, size_t src_size)
{
	memset(dst, 0, dst_size);
	if (src)
		memcpy(dst, src, src_size < dst_size ? src_size : dst_size);
}

/* Zeroed memory on cache lines of its own; free() frees it. NULL when there is none. */
static inline void *zalloc_aligned(size_t size)
{
	size_t rounded = (size + 63) & ~(size_t)63;
	void *p = aligned_alloc(64, rounded);

	if (p)
		memset(p, 0, rounded);
	return p;
}

#endif
