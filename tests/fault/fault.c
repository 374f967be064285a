/* SPDX-License-Identifier: BSD-3-Clause */
#include "fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <nvmft/nvmft.h>

struct fault fault;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
int __real_posix_memalign(void **p, size_t align, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
char *__real_strdup(const char *s);
void __real_free(void *p);
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *addr, size_t len);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
int __wrap_posix_memalign(void **p, size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
char *__wrap_strdup(const char *s);
void __wrap_free(void *p);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
int __wrap_munmap(void *addr, size_t len);

int __real_nvmft_target_stop(struct nvmft_target *target, struct nvmft_done *done);
int __wrap_nvmft_target_stop(struct nvmft_target *target, struct nvmft_done *done);

static bool fails(void)
{
	if (!fault.n)
		return false;
	fault.count++;
	if (fault.count != fault.n && !(fault.persistent && fault.count > fault.n))
		return false;
	fault.hit = true;
	errno = ENOMEM;
	return true;
}

static void *counted(void *p)
{
	fault.blocks += p != NULL;
	return p;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : counted(__real_calloc(n, size));
}

void *__wrap_realloc(void *old, size_t size)
{
	if (fails())
		return NULL;
	fault.blocks += !old;
	return __real_realloc(old, size);
}

int __wrap_posix_memalign(void **p, size_t align, size_t size)
{
	if (fails())
		return ENOMEM;
	fault.blocks++;
	return __real_posix_memalign(p, align, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	return fails() ? NULL : counted(__real_aligned_alloc(align, size));
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : counted(__real_strdup(s));
}

void __wrap_free(void *p)
{
	fault.blocks -= p != NULL;
	__real_free(p);
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	void *p = fails() ? MAP_FAILED : __real_mmap(addr, len, prot, flags, fd, offset);

	fault.mapped += p == MAP_FAILED ? 0 : (long)len;
	return p;
}

/* What mmap() is called with _FILE_OFFSET_BITS=64. */
void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return __wrap_mmap(addr, len, prot, flags, fd, offset);
}

int __wrap_munmap(void *addr, size_t len)
{
	fault.mapped -= (long)len;
	return __real_munmap(addr, len);
}

/* Stopping a target builds one more view, thus memory has come back when a host stops. */
int __wrap_nvmft_target_stop(struct nvmft_target *target, struct nvmft_done *done)
{
	fault.n = 0;
	return __real_nvmft_target_stop(target, done);
}

unsigned int fault_sweep(void (*life)(void), bool persistent)
{
	unsigned int n;

	for (n = 1; n < 10000; n++) {
		fault = (struct fault){.n = n, .persistent = persistent};
		life();
		fault.n = 0;
		if (fault.blocks || fault.mapped)
			fail_msg("%s failure of allocation %u leaves %ld blocks and %ld mapped bytes",
				 persistent ? "persistent" : "transient", n, fault.blocks, fault.mapped);
		if (!fault.hit)
			return n;
	}
	fail_msg("no end after %u runs", n);
	return n;
}

bool fault_try(int (*op)(void *arg), void *arg, const char *what)
{
	bool before = fault.hit;
	int ret = op(arg);

	if (ret == 0)
		return true;
	if (!fault.hit)
		fail_msg("%s: %d, and no allocation has failed", what, ret);
	if (fault.persistent)
		return false;
	if (before)
		fail_msg("%s: %d, and the allocation of this run failed before (n %u)", what, ret, fault.n);
	ret = op(arg);
	if (ret)
		fail_msg("%s: again %d, with memory (n %u)", what, ret, fault.n);
	return true;
}
