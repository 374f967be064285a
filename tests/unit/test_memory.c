/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pool of data buffers, by inclusion: memory.c with a timer that the test fires and a mmap() that fails on demand. The machine
 * has huge pages when the test says so.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { HUGE_NONE, HUGE_FAKED, HUGE_REAL };

static bool mmap_fails, populate_fails;
static int huge;
static unsigned int huge_maps, populated;

/* Aligned as a huge page is. */
static void *fake_huge_page(size_t len)
{
	char *map = mmap(NULL, 2 * len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *page = (char *)(((uintptr_t)map + len - 1) & ~(len - 1));

	assert_ptr_not_equal(map, MAP_FAILED);
	munmap(map, (size_t)(page - map));
	munmap(page + len, (size_t)(map + len - page));
	return page;
}

static void *test_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	if (mmap_fails || (flags & MAP_HUGETLB && huge == HUGE_NONE))
		return MAP_FAILED;
	if (!(flags & MAP_HUGETLB))
		return mmap(addr, len, prot, flags, fd, offset);
	huge_maps++;
	return huge == HUGE_REAL ? mmap(addr, len, prot, flags, fd, offset) : fake_huge_page(len);
}

static int test_madvise(void *addr, size_t len, int advice)
{
	populated += advice == MADV_POPULATE_WRITE;
	return populate_fails ? -1 : madvise(addr, len, advice);
}

#define mmap test_mmap
#define madvise test_madvise
#include "memory.c"
#undef mmap
#undef madvise

static char logged[256];

void nvmft_log(struct nvmft_target *target, enum nvmft_log_level level, const char *format, ...)
{
	size_t len = strlen(logged);
	va_list ap;

	(void)target;
	assert_int_equal(level, NVMFT_LOG_DEBUG);
	va_start(ap, format);
	vsnprintf(logged + len, sizeof(logged) - len, format, ap);
	va_end(ap);
}

void nvmft_timer_arm(struct nvmft_poll_group *group, struct nvmft_timer *timer, uint64_t delay_ns, uint64_t slack_ns)
{
	(void)group;
	(void)delay_ns;
	(void)slack_ns;
	timer->armed = true;
}

void nvmft_timer_cancel(struct nvmft_poll_group *group, struct nvmft_timer *timer)
{
	(void)group;
	timer->armed = false;
}

static int regions, region_refused;

int nvmft_channels_region_add(struct nvmft_poll_group *group, const struct nvmft_region *region)
{
	(void)group;
	assert_non_null(region->base);
	if (!region_refused)
		regions++;
	return region_refused;
}

void nvmft_channels_region_remove(struct nvmft_poll_group *group, const struct nvmft_region *region)
{
	(void)group;
	(void)region;
	regions--;
}

static int transport_regions, transport_refuses;

int nvmft_transports_region_add(struct nvmft_poll_group *group, const struct nvmft_region *region)
{
	(void)group;
	(void)region;
	if (!transport_refuses)
		transport_regions++;
	return transport_refuses;
}

void nvmft_transports_region_remove(struct nvmft_poll_group *group, const struct nvmft_region *region)
{
	(void)group;
	(void)region;
	transport_regions--;
}

static void fire(struct nvmft_poll_group *group)
{
	struct nvmft_timer *timer = &group->pool.trim;

	assert_true(timer->armed);
	timer->armed = false;
	timer->fn(timer);
}

#define MIB (1024u * 1024)

static int setup(void **state)
{
	struct nvmft_poll_group *group = calloc(1, sizeof(*group));

	if (!group)
		return -1;
	mmap_fails = populate_fails = false;
	huge = HUGE_NONE;
	huge_maps = populated = 0;
	logged[0] = '\0';
	nvmft_pool_init(group, 64u * MIB);
	*state = group;
	return 0;
}

static int teardown(void **state)
{
	struct nvmft_poll_group *group = *state;

	nvmft_pool_fini(group);
	/* What was counted in was counted out. */
	assert_int_equal(counter_get(&group->counters.pool_bytes), 0);
	assert_int_equal(group->pool.handed_out, 0);
	/* Backends were told of each region, and of its end. */
	assert_int_equal(regions, 0);
	free(group);
	region_refused = 0;
	return 0;
}

static struct nvmft_iov get(struct nvmft_poll_group *group, size_t len)
{
	struct nvmft_iov iov = {0};

	assert_int_equal(nvmft_pool_get(group, len, false, &iov), 0);
	assert_int_equal(iov.len, len);
	assert_int_equal((uintptr_t)iov.base & 4095, 0);
	return iov;
}

static void test_every_size_has_a_buffer_of_its_own(void **state)
{
	static const size_t lens[] = {1, 4096, 4097, 8192, 65536, 65537, MIB, MIB + 1, 2 * MIB};
	struct nvmft_iov iov[ARRAY_SIZE(lens)];
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		iov[i] = get(*state, lens[i]);
		memset(iov[i].base, (int)i + 1, lens[i]);
	}
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		for (j = 0; j < lens[i]; j += 511)
			assert_int_equal(((unsigned char *)iov[i].base)[j], i + 1);
		nvmft_pool_put(*state, &iov[i]);
	}
}

static void test_a_slab_is_filled_before_the_next_is_mapped(void **state)
{
	struct nvmft_poll_group *group = *state;
	static struct nvmft_iov iov[SLAB_PIECES + 1];
	uint32_t i;

	for (i = 0; i < SLAB_PIECES; i++)
		iov[i] = get(group, 4096);
	assert_int_equal(counter_get(&group->counters.pool_bytes), 2 * MIB);
	iov[SLAB_PIECES] = get(group, 4096);
	assert_int_equal(counter_get(&group->counters.pool_bytes), 4 * MIB);
	assert_int_equal(group->pool.handed_out, (SLAB_PIECES + 1) * 4096);
	for (i = 0; i <= SLAB_PIECES; i++)
		nvmft_pool_put(group, &iov[i]);
}

static void test_the_last_put_is_the_next_got(void **state)
{
	struct nvmft_iov a = get(*state, 4096), b = get(*state, 4096), again;

	nvmft_pool_put(*state, &a);
	again = get(*state, 4096);
	assert_ptr_equal(again.base, a.base);
	nvmft_pool_put(*state, &again);
	nvmft_pool_put(*state, &b);
}

static void test_an_empty_slab_serves_another_size(void **state)
{
	struct nvmft_poll_group *group = *state;
	struct nvmft_iov iov = get(group, 4096);

	nvmft_pool_put(group, &iov);
	iov = get(group, 2 * MIB);
	assert_int_equal(counter_get(&group->counters.pool_bytes), 2 * MIB);
	nvmft_pool_put(group, &iov);
}

static void test_the_limit_holds_for_all_but_the_privileged(void **state)
{
	struct nvmft_poll_group *group = *state;
	struct nvmft_iov iov[33], refused = {0};
	uint32_t i;

	for (i = 0; i < 32; i++)
		iov[i] = get(group, 2 * MIB);
	assert_int_equal(nvmft_pool_get(group, 1, false, &refused), -EAGAIN);
	assert_int_equal(nvmft_pool_get(group, 1, true, &iov[32]), 0);
	for (i = 0; i <= 32; i++)
		nvmft_pool_put(group, &iov[i]);
	iov[0] = get(group, 1);
	nvmft_pool_put(group, &iov[0]);
}

static void test_one_buffer_is_granted_below_any_limit(void **state)
{
	struct nvmft_poll_group *group = *state;
	struct nvmft_iov iov, refused;

	group->pool.limit = 4096;
	iov = get(group, MIB);
	assert_int_equal(nvmft_pool_get(group, 1, false, &refused), -EAGAIN);
	nvmft_pool_put(group, &iov);
}

static void test_memory_goes_back_when_it_was_not_needed_for_a_while(void **state)
{
	struct nvmft_poll_group *group = *state;
	struct nvmft_iov iov[8];
	uint32_t i;

	for (i = 0; i < 8; i++)
		iov[i] = get(group, 2 * MIB);
	for (i = 0; i < 8; i++)
		nvmft_pool_put(group, &iov[i]);
	assert_int_equal(counter_get(&group->counters.pool_bytes), 16 * MIB);
	fire(group);
	/* The timer was armed when there were three; five more came since. */
	assert_int_equal(counter_get(&group->counters.pool_bytes), 14 * MIB);
	fire(group);
	assert_int_equal(counter_get(&group->counters.pool_bytes), POOL_KEEP_EMPTY * 2 * MIB);
	assert_false(group->pool.trim.armed);
}

static void test_memory_in_use_again_and_again_stays(void **state)
{
	struct nvmft_poll_group *group = *state;
	struct nvmft_iov iov[8];
	uint32_t i, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < 8; i++)
			iov[i] = get(group, 2 * MIB);
		for (i = 0; i < 8; i++)
			nvmft_pool_put(group, &iov[i]);
		fire(group);
		/* The first look cannot know yet that the burst comes again. */
		if (round)
			assert_int_equal(counter_get(&group->counters.pool_bytes), 16 * MIB);
	}
}

static void test_regions_are_used_again(void **state)
{
	struct nvmft_poll_group *group = *state;
	struct nvmft_iov iov[20], one;
	uint32_t i;

	for (i = 0; i < 20; i++) {
		iov[i] = get(group, 2 * MIB);
		assert_int_equal(iov[i].region, i);
	}
	for (i = 0; i < 19; i++)
		nvmft_pool_put(group, &iov[i]);
	fire(group);
	fire(group);
	for (i = 0; i < POOL_KEEP_EMPTY + 1; i++) {
		iov[i] = get(group, 2 * MIB);
		assert_in_range(iov[i].region, 0, 18);
	}
	one = iov[19];
	assert_int_equal(group->pool.nregions, 20);
	nvmft_pool_put(group, &one);
	for (i = 0; i < POOL_KEEP_EMPTY + 1; i++)
		nvmft_pool_put(group, &iov[i]);
}

static void test_no_memory_is_reported_and_leaves_the_pool_whole(void **state)
{
	struct nvmft_iov iov;

	mmap_fails = true;
	assert_int_equal(nvmft_pool_get(*state, 4096, false, &iov), -ENOMEM);
	mmap_fails = false;
	iov = get(*state, 4096);
	nvmft_pool_put(*state, &iov);
}

/* Any order of gets and puts of any size: no two buffers overlap, and all memory comes back. */
static void test_memory_that_a_device_cannot_reach_is_not_used(void **state)
{
	struct nvmft_poll_group *group = *state;
	struct nvmft_iov iov;

	region_refused = -EPERM;
	assert_int_equal(nvmft_pool_get(group, 4096, false, &iov), -ENOMEM);
	assert_int_equal(counter_get(&group->counters.pool_bytes), 0);
	region_refused = 0;
	assert_int_equal(nvmft_pool_get(group, 4096, false, &iov), 0);
	assert_int_equal(regions, 1);
	nvmft_pool_put(group, &iov);
}

static void test_random_use(void **state)
{
	static struct nvmft_iov held[256];
	static unsigned char mark[256];
	uint64_t seed = 1;
	uint32_t i, n;

	memset(held, 0, sizeof(held));
	for (n = 0; n < 20000; n++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		i = (uint32_t)(seed >> 33) & 255;
		if (held[i].base) {
			assert_int_equal(((unsigned char *)held[i].base)[0], mark[i]);
			assert_int_equal(((unsigned char *)held[i].base)[held[i].len - 1], mark[i]);
			nvmft_pool_put(*state, &held[i]);
			held[i].base = NULL;
			continue;
		}
		if (nvmft_pool_get(*state, 1 + ((seed >> 41) & (((uint64_t)1 << (12 + (seed >> 62) * 3)) - 1)), false, &held[i]))
			continue;
		mark[i] = (unsigned char)n;
		((unsigned char *)held[i].base)[0] = mark[i];
		((unsigned char *)held[i].base)[held[i].len - 1] = mark[i];
	}
	for (i = 0; i < 256; i++)
		if (held[i].base)
			nvmft_pool_put(*state, &held[i]);
}

/* ---- huge pages ---- */

static void test_without_huge_pages_small_ones_are_taken(void **state)
{
	struct nvmft_iov iov = get(*state, 4096);

	assert_int_equal(huge_maps, 0);
	assert_string_equal(logged, "data memory: no free huge pages");
	nvmft_pool_put(*state, &iov);
}

static void test_a_free_huge_page_is_taken_and_filled_at_once(void **state)
{
	struct nvmft_iov iov;

	huge = HUGE_FAKED;
	iov = get(*state, 2 * MIB);
	assert_int_equal(huge_maps, 1);
	assert_int_equal(populated, 1);
	assert_int_equal((uintptr_t)iov.base & (2 * MIB - 1), 0);
	assert_string_equal(logged, "data memory: huge pages");
	nvmft_pool_put(*state, &iov);
}

static void test_a_huge_page_that_cannot_be_had_after_all_is_not_used(void **state)
{
	struct nvmft_iov iov;

	huge = HUGE_FAKED;
	populate_fails = true;
	iov = get(*state, 2 * MIB);
	memset(iov.base, 1, iov.len);
	assert_int_equal(huge_maps, 1);
	nvmft_pool_put(*state, &iov);
}

static void test_the_log_tells_a_change_once(void **state)
{
	struct nvmft_iov iov[4];

	huge = HUGE_FAKED;
	iov[0] = get(*state, 2 * MIB);
	iov[1] = get(*state, 2 * MIB);
	huge = HUGE_NONE;
	iov[2] = get(*state, 2 * MIB);
	iov[3] = get(*state, 2 * MIB);
	assert_string_equal(logged, "data memory: huge pagesdata memory: no free huge pages");
	for (int i = 0; i < 4; i++)
		nvmft_pool_put(*state, &iov[i]);
}

/* Size in KiB of the pages at @addr, 0 when nothing is there. */
static unsigned long page_size_at(const void *addr)
{
	unsigned long from, to, kib, found = 0;
	bool here = false;
	char line[512];
	FILE *f = fopen("/proc/self/smaps", "r");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = from <= (uintptr_t)addr && (uintptr_t)addr < to;
		else if (here && sscanf(line, "KernelPageSize: %lu kB", &kib) == 1)
			found = kib;
	}
	fclose(f);
	return found;
}

static unsigned long read_number(const char *path, const char *format)
{
	unsigned long value = 0;
	char line[128];
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof(line), f) && sscanf(line, format, &value) != 1)
		;
	if (f)
		fclose(f);
	return value;
}

#define NR_HUGEPAGES "/proc/sys/vm/nr_hugepages"
#define HUGE_PAGES 4u

static void set_huge_pages(unsigned long n)
{
	FILE *f = fopen(NR_HUGEPAGES, "w");

	if (!f)
		return;
	fprintf(f, "%lu", n);
	fclose(f);
}

static unsigned long free_huge_pages(void)
{
	return read_number("/proc/meminfo", "HugePages_Free: %lu");
}

static int huge_lock;
static unsigned long huge_before;

/* They are the machine's: this test of another build sets some aside, too. */
static int setup_huge(void **state)
{
	huge_lock = open(NR_HUGEPAGES, O_RDONLY | O_CLOEXEC);
	if (huge_lock >= 0)
		flock(huge_lock, LOCK_EX);
	huge_before = read_number(NR_HUGEPAGES, "%lu");
	if (free_huge_pages() < HUGE_PAGES)
		set_huge_pages(huge_before + HUGE_PAGES);
	return setup(state);
}

static int teardown_huge(void **state)
{
	if (read_number(NR_HUGEPAGES, "%lu") != huge_before)
		set_huge_pages(huge_before);
	if (huge_lock >= 0)
		close(huge_lock);
	return teardown(state);
}

static void test_huge_pages_of_the_machine_are_used_and_given_back(void **state)
{
	struct nvmft_poll_group *group = *state;
	struct nvmft_iov iov[HUGE_PAGES];
	unsigned int nhuge = 0;
	bool none_left;

	if (free_huge_pages() < HUGE_PAGES || read_number("/proc/meminfo", "Hugepagesize: %lu") != 2048) {
		print_message("no four huge pages of 2 MiB are free, and none can be had\n");
		skip();
	}
	huge = HUGE_REAL;
	for (size_t i = 0; i < HUGE_PAGES; i++) {
		iov[i] = get(group, 2 * MIB);
		nhuge += page_size_at(iov[i].base) == 2048;
		memset(iov[i].base, 1, iov[i].len);
	}
	none_left = free_huge_pages() == 0;
	for (size_t i = 0; i < HUGE_PAGES; i++)
		nvmft_pool_put(group, &iov[i]);
	if (nhuge < HUGE_PAGES && none_left) {
		print_message("another process has taken the huge pages\n");
		skip();
	}
	assert_int_equal(nhuge, HUGE_PAGES);
	fire(group);
	fire(group);
	/* What was not needed went back: all but those that are kept. */
	for (size_t i = 0, left = 0; i < HUGE_PAGES; i++) {
		left += page_size_at(iov[i].base) != 0;
		assert_true(left <= POOL_KEEP_EMPTY);
	}
}

/* ---- what transports receive into ---- */

static void test_transports_hear_of_each_region(void **state)
{
	struct nvmft_poll_group *group = *state;
	struct nvmft_iov iov;

	transport_regions = 0;
	iov = get(group, 4096);
	assert_int_equal(transport_regions, 1);
	nvmft_pool_put(group, &iov);
	nvmft_pool_fini(group);
	assert_int_equal(transport_regions, 0);
}

static void test_a_region_that_a_transport_refuses_is_not_used(void **state)
{
	struct nvmft_poll_group *group = *state;
	struct nvmft_iov iov;
	int before = regions;

	transport_refuses = -ENOMEM;
	assert_int_equal(nvmft_pool_get(group, 4096, false, &iov), -ENOMEM);
	assert_int_equal(regions, before);
	transport_refuses = 0;
}

static void test_receive_buffers_leave_the_limit_to_io(void **state)
{
	struct nvmft_poll_group *group = *state;
	struct nvmft_iov rx[32], iov[32];

	for (uint32_t i = 0; i < 32; i++)
		assert_int_equal(nvmft_buffer_get(group, 2 * MIB, false, &rx[i]), 0);
	for (uint32_t i = 0; i < 32; i++)
		iov[i] = get(group, 2 * MIB);
	for (uint32_t i = 0; i < 32; i++) {
		nvmft_buffer_put(group, &rx[i]);
		nvmft_pool_put(group, &iov[i]);
	}
}

static void test_no_receive_buffer_while_io_has_all(void **state)
{
	struct nvmft_poll_group *group = *state;
	struct nvmft_iov iov[32], rx;

	for (uint32_t i = 0; i < 32; i++)
		iov[i] = get(group, 2 * MIB);
	assert_int_equal(nvmft_buffer_get(group, 4096, false, &rx), -EAGAIN);
	assert_int_equal(nvmft_buffer_get(group, 4096, true, &rx), 0);
	nvmft_buffer_put(group, &rx);
	for (uint32_t i = 0; i < 32; i++)
		nvmft_pool_put(group, &iov[i]);
}

static void test_an_adopted_buffer_counts(void **state)
{
	struct nvmft_poll_group *group = *state;
	struct nvmft_iov iov;

	assert_int_equal(nvmft_buffer_get(group, 8192, false, &iov), 0);
	assert_int_equal(group->pool.used, 0);
	nvmft_pool_adopt(group, &iov);
	assert_int_equal(group->pool.used, 8192);
	nvmft_pool_put(group, &iov);
	assert_int_equal(group->pool.used, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_every_size_has_a_buffer_of_its_own),
		T(test_a_slab_is_filled_before_the_next_is_mapped),
		T(test_the_last_put_is_the_next_got),
		T(test_an_empty_slab_serves_another_size),
		T(test_the_limit_holds_for_all_but_the_privileged),
		T(test_one_buffer_is_granted_below_any_limit),
		T(test_memory_goes_back_when_it_was_not_needed_for_a_while),
		T(test_memory_in_use_again_and_again_stays),
		T(test_regions_are_used_again),
		T(test_no_memory_is_reported_and_leaves_the_pool_whole),
		T(test_memory_that_a_device_cannot_reach_is_not_used),
		T(test_random_use),
		T(test_without_huge_pages_small_ones_are_taken),
		T(test_a_free_huge_page_is_taken_and_filled_at_once),
		T(test_a_huge_page_that_cannot_be_had_after_all_is_not_used),
		T(test_the_log_tells_a_change_once),
		cmocka_unit_test_setup_teardown(test_huge_pages_of_the_machine_are_used_and_given_back, setup_huge,
						teardown_huge),
		T(test_transports_hear_of_each_region),
		T(test_a_region_that_a_transport_refuses_is_not_used),
		T(test_receive_buffers_leave_the_limit_to_io),
		T(test_no_receive_buffer_while_io_has_all),
		T(test_an_adopted_buffer_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
