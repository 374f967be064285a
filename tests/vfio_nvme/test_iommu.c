/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Address spaces that devices share, against a kernel model: by containers and by IOMMUFD. The model is all that
 * IOMMUFD is tested with here, as the kernel of the guest has none.
 */
#include <errno.h>
#include <string.h>

#include "machine.h"

static const enum nvmft_vfio_iommu ways[] = {NVMFT_VFIO_TYPE1, NVMFT_VFIO_IOMMUFD};
static enum nvmft_vfio_iommu how;

static int setup(void **state)
{
	how = ways[0];
	return machine_setup(state);
}

static int setup_iommufd(void **state)
{
	how = ways[1];
	return machine_setup(state);
}

static unsigned int spaces(void)
{
	unsigned int n = 0;

	if (how == NVMFT_VFIO_TYPE1)
		return kernel_open(&kernel, KERNEL_CONTAINER);
	for (unsigned int i = 0; i < 8; i++)
		n += kernel.ioases[i] != 0;
	return n;
}

static void test_memory_is_mapped(void **state)
{
	struct device *dev = must_open(ONE, how);
	uint64_t a = must_map(dev, 0, 2 * PAGES), b = must_map(dev, 2, PAGES);

	(void)state;
	assert_true(a + 2 * PAGES <= b || b + PAGES <= a);
	assert_int_equal(kernel.nmaps, 2);
	assert_ptr_equal(kernel.maps[0].base, page(0));
	assert_int_equal(kernel.maps[0].len, 2 * PAGES);
	dev->ops->unmap(dev, a);
	dev->ops->unmap(dev, b);
	close_device(dev);
}

static void test_addresses_are_used_again(void **state)
{
	struct device *dev = must_open(ONE, how);
	uint64_t a = must_map(dev, 0, PAGES), b = must_map(dev, 1, PAGES);

	(void)state;
	dev->ops->unmap(dev, a);
	assert_int_equal(must_map(dev, 2, PAGES), a);
	dev->ops->unmap(dev, a);
	dev->ops->unmap(dev, b);
	close_device(dev);
}

static void test_devices_share_mappings(void **state)
{
	struct device *one = must_open(ONE, how), *two = must_open(TWO, how);
	uint64_t iova = must_map(one, 0, PAGES);

	(void)state;
	assert_int_equal(spaces(), 1);
	assert_int_equal(must_map(two, 0, PAGES), iova);
	assert_int_equal(kernel.nmaps, 1);
	one->ops->unmap(one, iova);
	assert_int_equal(kernel.nmaps, 1);
	two->ops->unmap(two, iova);
	assert_int_equal(kernel.nmaps, 0);
	close_device(one);
	close_device(two);
}

static void test_memory_is_locked_once(void **state)
{
	struct device *one = must_open(ONE, how), *two = must_open(TWO, how);
	uint64_t iova;

	(void)state;
	kernel.lock_limit = 4 * PAGES;
	iova = must_map(one, 0, 4 * PAGES);
	must_map(two, 0, 4 * PAGES);
	one->ops->unmap(one, iova);
	two->ops->unmap(two, iova);
	close_device(one);
	close_device(two);
}

static void test_device_that_leaves_keeps_others_mappings(void **state)
{
	struct device *one = must_open(ONE, how), *two = must_open(TWO, how);
	uint64_t iova = must_map(one, 0, PAGES);

	(void)state;
	must_map(two, 0, PAGES);
	one->ops->unmap(one, iova);
	close_device(one);
	assert_int_equal(kernel.nmaps, 1);
	one = must_open(ONE, how);
	assert_int_equal(spaces(), 1);
	assert_int_equal(must_map(one, 0, PAGES), iova);
	one->ops->unmap(one, iova);
	two->ops->unmap(two, iova);
	close_device(one);
	close_device(two);
}

static void test_last_device_closes_everything(void **state)
{
	struct device *one = must_open(ONE, how), *two = must_open(TWO, how);

	(void)state;
	close_device(one);
	close_device(two);
	for (int kind = KERNEL_CONTAINER; kind <= KERNEL_IOMMUFD; kind++)
		assert_int_equal(kernel_open(&kernel, (enum kernel_kind)kind), 0);
	close_device(must_open(ONE, how));
}

static void test_device_with_another_iommu(void **state)
{
	struct device *one = must_open(ONE, how), *two;
	uint64_t a = must_map(one, 0, PAGES), b;

	(void)state;
	kernel.functions[1].loner = true;
	two = must_open(TWO, how);
	expect_log(TWO ": shares no IOMMU mappings");
	assert_int_equal(spaces(), 2);
	b = must_map(two, 0, PAGES);
	assert_int_equal(kernel.nmaps, 2);
	one->ops->unmap(one, a);
	two->ops->unmap(two, b);
	close_device(two);
	assert_int_equal(spaces(), 1);
	close_device(one);
}

static void test_functions_of_a_group(void **state)
{
	struct device *a, *b;
	uint64_t iova;

	(void)state;
	kernel_add(&kernel, ONE_B, 11, "vfio-pci", "vfio2");
	a = must_open(ONE, how);
	b = must_open(ONE_B, how);
	assert_int_equal(spaces(), 1);
	iova = must_map(a, 0, PAGES);
	assert_int_equal(must_map(b, 0, PAGES), iova);
	a->ops->unmap(a, iova);
	close_device(a);
	assert_int_equal(kernel.nmaps, 1);
	must_map(b, 0, PAGES);
	b->ops->unmap(b, iova);
	b->ops->unmap(b, iova);
	close_device(b);
}

/* The kernel takes a group to one space only: also a function of a group that did not get into the first. */
static void test_functions_of_a_group_with_another_iommu(void **state)
{
	struct device *one = must_open(ONE, how), *a, *b;

	(void)state;
	kernel.functions[1].loner = true;
	kernel_add(&kernel, "0000:02:00.1", 12, "vfio-pci", "vfio2");
	a = must_open(TWO, how);
	b = must_open("0000:02:00.1", how);
	assert_int_equal(spaces(), 2);
	close_device(a);
	close_device(one);
	close_device(b);
}

static void test_second_device_of_a_group_follows_the_first(void **state)
{
	struct device *a = must_open(ONE, how), *b;

	(void)state;
	kernel_add(&kernel, ONE_B, 11, "vfio-pci", "vfio2");
	b = must_open(ONE_B, NVMFT_VFIO_AUTO);
	assert_int_equal(kernel_open(&kernel, KERNEL_IOMMUFD), how == NVMFT_VFIO_IOMMUFD);
	close_device(a);
	close_device(b);
}

static void test_unplugged_device(void **state)
{
	struct device *one = must_open(ONE, how), *two = must_open(TWO, how);
	uint64_t iova = must_map(one, 0, PAGES), nowhere = 1;

	(void)state;
	must_map(two, 0, PAGES);
	one->ops->give_back(one);
	kernel_unplug(&kernel, ONE);
	assert_int_equal(one->bar[0], 0xff);
	assert_int_equal(one->ops->map(one, page(1), PAGES, &nowhere), 0);
	one->ops->unmap(one, nowhere);
	assert_int_equal(kernel.nmaps, 1);
	one->ops->unmap(one, iova);
	assert_int_equal(kernel.nmaps, 1);
	close_device(one);
	two->ops->unmap(two, iova);
	close_device(two);
}

/* Its container has forgotten everything: no mapping of before is good for the next device. */
static void test_device_after_an_unplugged_one(void **state)
{
	struct device *one = must_open(ONE, how), *two;
	uint64_t old = must_map(one, 0, PAGES), iova;

	(void)state;
	one->ops->give_back(one);
	kernel_unplug(&kernel, ONE);
	two = must_open(TWO, how);
	iova = must_map(two, 0, PAGES);
	assert_int_equal(kernel.nmaps, 1);
	one->ops->unmap(one, old);
	close_device(one);
	assert_int_equal(kernel.nmaps, 1);
	two->ops->unmap(two, iova);
	close_device(two);
}

/* What is plugged in next may get the same group number, while the other one is not closed yet. */
static void test_group_number_is_used_again(void **state)
{
	struct device *one = must_open(ONE, how), *again;
	uint64_t iova;

	(void)state;
	one->ops->give_back(one);
	kernel_unplug(&kernel, ONE);
	again = must_open(ONE, how);
	iova = must_map(again, 0, PAGES);
	assert_int_equal(kernel.nmaps, 1);
	close_device(one);
	assert_int_equal(kernel.nmaps, 1);
	again->ops->unmap(again, iova);
	close_device(again);
}

static void test_newcomer_narrows_the_addresses(void **state)
{
	struct device *one = must_open(ONE, how), *two;
	uint64_t a = must_map(one, 0, PAGES), b = 0;

	(void)state;
	kernel.functions[1].last = (UINT64_C(8) << 30) - 1;
	two = must_open(TWO, how);
	assert_int_equal(spaces(), 1);
	/* Only the addresses count: nobody touches the memory. */
	assert_int_equal(two->ops->map(two, page(2), UINT64_C(4) << 30, &b), -ENOSPC);
	expect_log("no room for 4294967296 more bytes");
	one->ops->unmap(one, a);
	assert_int_equal(two->ops->map(two, page(2), UINT64_C(4) << 30, &b), 0);
	two->ops->unmap(two, b);
	close_device(one);
	close_device(two);
}

static void test_newcomer_that_reaches_less_than_is_mapped(void **state)
{
	struct device *one = must_open(ONE, how), *two;
	uint64_t a = must_map(one, 0, UINT64_C(5) << 30), b;

	(void)state;
	kernel.functions[1].last = (UINT64_C(8) << 30) - 1;
	two = must_open(TWO, how);
	assert_int_equal(spaces(), 2);
	b = must_map(two, 0, PAGES);
	two->ops->unmap(two, b);
	one->ops->unmap(one, a);
	close_device(one);
	close_device(two);
}

/* 0 looks like no address to too many. */
static void test_address_0_is_not_used(void **state)
{
	struct device *dev;
	uint64_t iova = 0;

	(void)state;
	kernel.functions[0].last = UINT32_MAX;
	dev = must_open(ONE, how);
	assert_int_equal(dev->ops->map(dev, page(0), PAGES, &iova), 0);
	assert_int_not_equal(iova, 0);
	dev->ops->unmap(dev, iova);
	close_device(dev);
}

static void test_large_memory_is_aligned(void **state)
{
	struct device *dev = must_open(ONE, how);
	uint64_t small = must_map(dev, 0, PAGES), large;

	(void)state;
	assert_int_equal(dev->ops->map(dev, page(1), 4u << 20, &large), 0);
	assert_int_equal(large % (2u << 20), 0);
	dev->ops->unmap(dev, small);
	dev->ops->unmap(dev, large);
	close_device(dev);
}

static void test_memlock_is_explained_once(void **state)
{
	struct device *dev = must_open(ONE, how);
	uint64_t a, b;

	(void)state;
	kernel.lock_limit = 2 * PAGES;
	a = must_map(dev, 0, 2 * PAGES);
	assert_int_equal(dev->ops->map(dev, page(2), PAGES, &b), -ENOMEM);
	expect_log(ONE ": 4096 more bytes cannot be locked in memory for devices, which have 8192; RLIMIT_MEMLOCK is ");
	assert_int_equal(dev->ops->map(dev, page(2), PAGES, &b), -ENOMEM);
	assert_int_equal(log_lines(), 1);
	dev->ops->unmap(dev, a);
	b = must_map(dev, 2, PAGES);
	assert_int_equal(dev->ops->map(dev, page(0), 2 * PAGES, &a), -ENOMEM);
	expect_log(ONE ": 8192 more bytes cannot be locked in memory for devices, which have 4096;");
	assert_int_equal(log_lines(), 2);
	dev->ops->unmap(dev, b);
	close_device(dev);
}

/* Each try of a thread to get going begins with less, which works. */
static void test_memlock_is_explained_once_in_many_tries(void **state)
{
	struct device *dev = must_open(ONE, how);
	uint64_t a, b;

	(void)state;
	kernel.lock_limit = 2 * PAGES;
	for (int i = 0; i < 3; i++) {
		a = must_map(dev, 0, PAGES);
		assert_int_equal(dev->ops->map(dev, page(1), 2 * PAGES, &b), -ENOMEM);
		dev->ops->unmap(dev, a);
	}
	assert_int_equal(log_lines(), 1);
	close_device(dev);
}

static void test_number_of_mappings(void **state)
{
	struct device *dev = must_open(ONE, how);
	uint64_t a, b;

	(void)state;
	kernel.map_limit = 1;
	a = must_map(dev, 0, PAGES);
	assert_int_equal(dev->ops->map(dev, page(2), PAGES, &b), -ENOSPC);
	expect_log("dma_entry_limit");
	dev->ops->unmap(dev, a);
	close_device(dev);
}

/* What the kernel did not unmap is never mapped a second time, nor taken for memory that is there now. */
static void test_failed_unmap(void **state)
{
	struct device *dev = must_open(ONE, how);
	uint64_t a = must_map(dev, 0, PAGES), b;

	(void)state;
	kernel.unmap_fails = true;
	dev->ops->unmap(dev, a);
	kernel.unmap_fails = false;
	b = must_map(dev, 0, PAGES);
	assert_int_not_equal(a, b);
	dev->ops->unmap(dev, b);
	close_device(dev);
}

static void test_many_mappings(void **state)
{
	struct device *dev = must_open(ONE, how);
	uint64_t iova[16];

	(void)state;
	for (unsigned int i = 0; i < 16; i++)
		iova[i] = must_map(dev, i, PAGES);
	for (unsigned int i = 0; i < 16; i += 2)
		dev->ops->unmap(dev, iova[i]);
	for (unsigned int i = 0; i < 16; i += 2)
		assert_int_equal(must_map(dev, i, PAGES), iova[i]);
	for (unsigned int i = 16; i-- > 0;)
		dev->ops->unmap(dev, iova[i]);
	close_device(dev);
}

/* Kernels before 5.4. */
static void test_unknown_ranges(void **state)
{
	struct device *dev;
	uint64_t iova;

	(void)state;
	kernel.no_ranges = true;
	dev = must_open(ONE, NVMFT_VFIO_TYPE1);
	iova = must_map(dev, 0, PAGES);
	assert_true(iova < UINT64_C(1) << 39);
	dev->ops->unmap(dev, iova);
	close_device(dev);
}

/* Two ways at once are two spaces. */
static void test_both_ways(void **state)
{
	struct device *one = must_open(ONE, NVMFT_VFIO_TYPE1), *two = must_open(TWO, NVMFT_VFIO_IOMMUFD);
	uint64_t a = must_map(one, 0, PAGES), b = must_map(two, 0, PAGES);

	(void)state;
	assert_int_equal(kernel.nmaps, 2);
	one->ops->unmap(one, a);
	two->ops->unmap(two, b);
	close_device(one);
	close_device(two);
}

#define BOTH(fn)                                                           \
	{#fn "(type1)", fn, setup, machine_teardown, NULL},                \
	{                                                                  \
#fn "(iommufd)", fn, setup_iommufd, machine_teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_memory_is_mapped),
		BOTH(test_addresses_are_used_again),
		BOTH(test_devices_share_mappings),
		BOTH(test_memory_is_locked_once),
		BOTH(test_device_that_leaves_keeps_others_mappings),
		BOTH(test_last_device_closes_everything),
		BOTH(test_device_with_another_iommu),
		BOTH(test_functions_of_a_group),
		BOTH(test_functions_of_a_group_with_another_iommu),
		BOTH(test_second_device_of_a_group_follows_the_first),
		BOTH(test_unplugged_device),
		BOTH(test_device_after_an_unplugged_one),
		BOTH(test_group_number_is_used_again),
		BOTH(test_newcomer_narrows_the_addresses),
		BOTH(test_newcomer_that_reaches_less_than_is_mapped),
		BOTH(test_address_0_is_not_used),
		BOTH(test_large_memory_is_aligned),
		BOTH(test_memlock_is_explained_once),
		BOTH(test_memlock_is_explained_once_in_many_tries),
		BOTH(test_number_of_mappings),
		BOTH(test_failed_unmap),
		BOTH(test_many_mappings),
		cmocka_unit_test_setup_teardown(test_unknown_ranges, setup, machine_teardown),
		cmocka_unit_test_setup_teardown(test_both_ways, setup, machine_teardown),
	};

	return cmocka_run_group_tests_name("vfio_iommu", tests, NULL, NULL);
}
