/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preloaded, counts heap allocations of a process; when BENCH_ALLOC_FILE names a file of 8 bytes or more, the count is
 * kept there, where another process can read it at any time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* What glibc calls its own, so that no look-up, which may allocate, is needed. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *ptr, size_t size);
extern void *__libc_memalign(size_t align, size_t size);

uint64_t bench_alloc_count(void);

static uint64_t own_count;
static uint64_t *count = &own_count;

static void add(void)
{
	__atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
}

__attribute__((constructor)) static void map_file(void)
{
	const char *path = getenv("BENCH_ALLOC_FILE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *map;

	if (fd < 0)
		return;
	map = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		count = map;
}

uint64_t bench_alloc_count(void)
{
	return __atomic_load_n(count, __ATOMIC_RELAXED);
}

void *malloc(size_t size)
{
	add();
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	add();
	return __libc_calloc(n, size);
}

void *realloc(void *ptr, size_t size)
{
	add();
	return __libc_realloc(ptr, size);
}

void *memalign(size_t align, size_t size);
void *memalign(size_t align, size_t size)
{
	add();
	return __libc_memalign(align, size);
}

void *aligned_alloc(size_t align, size_t size)
{
	return memalign(align, size);
}

int posix_memalign(void **ptr, size_t align, size_t size)
{
	*ptr = memalign(align, size);
	return *ptr ? 0 : ENOMEM;
}
