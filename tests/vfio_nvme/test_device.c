/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening a PCI function through VFIO, against a kernel model: registers, interrupts, and what is said when it fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "machine.h"
#include "vfio.h"

static bool told(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	uint64_t n;

	return poll(&pfd, 1, 0) == 1 && read(fd, &n, sizeof(n)) == sizeof(n);
}

static void kernel_tells(unsigned int fn, unsigned int index, unsigned int vector)
{
	uint64_t one = 1;

	assert_true(kernel.functions[fn].nfds[index] > vector);
	assert_int_equal(write(kernel.functions[fn].fds[index][vector], &one, sizeof(one)), sizeof(one));
}

/* ---- what an open device has ---- */

static void test_registers_are_mapped(void **state)
{
	struct device *dev = must_open(ONE, NVMFT_VFIO_TYPE1);

	(void)state;
	assert_int_equal(dev->bar_len, 16384);
	dev->bar[5] = 1;
	assert_int_equal(dev->bar[5], 1);
	close_device(dev);
}

static void test_open_turns_bus_mastering_off(void **state)
{
	struct device *dev = must_open(ONE, NVMFT_VFIO_TYPE1);

	(void)state;
	assert_int_equal(kernel_command(&kernel, ONE), PCI_COMMAND_MEMORY);
	assert_int_equal(dev->ops->bus_master(dev, true), 0);
	assert_int_equal(kernel_command(&kernel, ONE), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	close_device(dev);
}

static void test_vectors_are_as_many_as_wanted(void **state)
{
	struct device *dev = must_open(ONE, NVMFT_VFIO_TYPE1);

	(void)state;
	assert_int_equal(dev->nvectors, 4); /* the device has 9 */
	kernel_tells(0, VFIO_PCI_MSIX_IRQ_INDEX, 3);
	assert_true(told(dev->vectors[3]));
	assert_false(told(dev->vectors[2]));
	close_device(dev);
}

/* Else a group that waits for one in its ring would be woken at once, and for ever. */
static void test_vectors_can_be_waited_for(void **state)
{
	struct device *dev = must_open(ONE, NVMFT_VFIO_TYPE1);

	(void)state;
	for (unsigned int i = 0; i < dev->nvectors; i++)
		assert_int_equal(fcntl(dev->vectors[i], F_GETFL) & O_NONBLOCK, 0);
	close_device(dev);
}

static void test_fewer_vectors_are_left(void **state)
{
	struct device *dev;

	(void)state;
	kernel.vectors = 3;
	dev = must_open(ONE, NVMFT_VFIO_TYPE1);
	assert_int_equal(dev->nvectors, 3);
	kernel_tells(0, VFIO_PCI_MSIX_IRQ_INDEX, 2);
	assert_true(told(dev->vectors[2]));
	close_device(dev);
}

static void test_fewer_vectors_are_left_and_nobody_says_how_many(void **state)
{
	struct device *dev;

	(void)state;
	kernel.vectors = 3;
	kernel.vectors_untold = true;
	dev = must_open(ONE, NVMFT_VFIO_TYPE1);
	assert_int_equal(dev->nvectors, 2);
	kernel_tells(0, VFIO_PCI_MSIX_IRQ_INDEX, 1);
	assert_true(told(dev->vectors[1]));
	close_device(dev);
}

/* A function that does not do what it is told: the file appends all that is written to it. */
static void test_bus_mastering_that_stays_on(void **state)
{
	struct device *dev = must_open(ONE, NVMFT_VFIO_TYPE1);
	int fd = ((struct vfio *)(void *)dev)->fd;

	(void)state;
	assert_int_equal(dev->ops->bus_master(dev, true), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_APPEND), 0);
	assert_int_equal(dev->ops->bus_master(dev, false), -EIO);
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	assert_int_equal(dev->ops->bus_master(dev, false), 0);
	close_device(dev);
}

/* The driver polls what has no interrupts. */
static void test_no_vectors_are_left(void **state)
{
	struct device *dev;

	(void)state;
	kernel.vectors = 0;
	dev = must_open(ONE, NVMFT_VFIO_TYPE1);
	assert_int_equal(dev->nvectors, 0);
	expect_log("it is polled");
	close_device(dev);
}

static unsigned int descriptors(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_close_leaves_no_descriptor(void **state)
{
	unsigned int before = descriptors();

	(void)state;
	close_device(must_open(ONE, NVMFT_VFIO_TYPE1));
	close_device(must_open(ONE, NVMFT_VFIO_IOMMUFD));
	assert_int_equal(descriptors(), before);
}

static void test_unplug_and_errors_are_told(void **state)
{
	struct device *dev = must_open(ONE, NVMFT_VFIO_TYPE1);

	(void)state;
	assert_false(told(dev->unplug_fd));
	kernel_tells(0, VFIO_PCI_REQ_IRQ_INDEX, 0);
	assert_true(told(dev->unplug_fd));
	assert_false(told(dev->error_fd));
	kernel_tells(0, VFIO_PCI_ERR_IRQ_INDEX, 0);
	assert_true(told(dev->error_fd));
	close_device(dev);
}

/* ---- what is refused, and why ---- */

static void test_no_address(void **state)
{
	(void)state;
	must_refuse("../../etc", NVMFT_VFIO_AUTO, -EINVAL, "is no PCI address");
	must_refuse("0000:01:00.0/", NVMFT_VFIO_AUTO, -EINVAL, "is no PCI address");
}

static void test_no_device(void **state)
{
	(void)state;
	must_refuse("0000:05:00.0", NVMFT_VFIO_AUTO, -ENODEV, "0000:05:00.0: there is no such PCI device");
}

static void test_another_driver(void **state)
{
	(void)state;
	kernel_add(&kernel, "0000:03:00.0", 13, "nvme", NULL);
	kernel_add(&kernel, "0000:04:00.0", 14, NULL, NULL);
	must_refuse("0000:03:00.0", NVMFT_VFIO_AUTO, -EBUSY, "is held by the driver nvme");
	must_refuse("0000:04:00.0", NVMFT_VFIO_AUTO, -ENODEV, "no driver holds it");
}

static void test_no_iommu_group(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/" ONE "/iommu_group", kernel.root);
	assert_int_equal(unlink(path), 0);
	must_refuse(ONE, NVMFT_VFIO_AUTO, -ENODEV, "has no IOMMU group");
}

static void test_no_iommu_mode(void **state)
{
	(void)state;
	kernel_file(&kernel, "/dev/vfio/noiommu-11");
	must_refuse(ONE, NVMFT_VFIO_AUTO, -EOPNOTSUPP, "no-IOMMU mode");
}

static void test_not_nvme(void **state)
{
	(void)state;
	memcpy(kernel.functions[0].class, (uint8_t[]){0, 0, 2}, 3);
	must_refuse(ONE, NVMFT_VFIO_TYPE1, -EINVAL, "is no NVMe controller (PCI class 0200)");
}

static void test_busy_group(void **state)
{
	(void)state;
	kernel.busy = 1000;
	must_refuse(ONE, NVMFT_VFIO_TYPE1, -EBUSY, "IOMMU group 11 is in use by another program");
	assert_int_equal(kernel.pauses, 20);
}

static void test_busy_device(void **state)
{
	(void)state;
	kernel.busy = 1000;
	must_refuse(ONE, NVMFT_VFIO_IOMMUFD, -EBUSY,
		    "/dev/vfio/devices/vfio0, or a device of its IOMMU group 11, is in use");
	assert_int_equal(kernel.pauses, 20);
}

/* A program that was killed gives its devices back only a moment after its end. */
static void test_waits_for_a_killed_program(void **state)
{
	(void)state;
	kernel.busy = 5;
	close_device(must_open(ONE, NVMFT_VFIO_TYPE1));
	kernel.busy = 5;
	close_device(must_open(ONE, NVMFT_VFIO_IOMMUFD));
	assert_int_equal(log_lines(), 0);
}

static void test_no_permission(void **state)
{
	(void)state;
	kernel.denied = "/dev/vfio/11";
	must_refuse(ONE, NVMFT_VFIO_TYPE1, -EACCES, "no permission for /dev/vfio/11");
	kernel.denied = "/dev/vfio/devices/vfio0";
	must_refuse(ONE, NVMFT_VFIO_IOMMUFD, -EACCES, "no permission for /dev/vfio/devices/vfio0");
	kernel.denied = "/dev/iommu";
	must_refuse(ONE, NVMFT_VFIO_IOMMUFD, -EACCES, "no permission for /dev/iommu");
}

static void test_group_not_viable(void **state)
{
	(void)state;
	kernel_add(&kernel, ONE_B, 11, "snd_hda_intel", NULL);
	kernel.not_viable = 11;
	must_refuse(ONE, NVMFT_VFIO_TYPE1, -EBUSY,
		    "IOMMU group 11 also has 0000:01:00.1, which is held by the driver snd_hda_intel");
	must_refuse(ONE, NVMFT_VFIO_IOMMUFD, -EBUSY,
		    "IOMMU group 11 also has 0000:01:00.1, which is held by the driver snd_hda_intel");
}

static void test_interrupts_not_isolated(void **state)
{
	(void)state;
	kernel.functions[0].unsafe = true;
	must_refuse(ONE, NVMFT_VFIO_TYPE1, -EPERM, "vfio_iommu_type1 with allow_unsafe_interrupts=1");
	must_refuse(ONE, NVMFT_VFIO_IOMMUFD, -EPERM,
		    "another program has a device of IOMMU group 11, or the platform cannot keep the device from "
		    "raising interrupts");
}

static void test_no_vfio(void **state)
{
	(void)state;
	kernel.missing = "/dev/vfio/vfio";
	must_refuse(ONE, NVMFT_VFIO_TYPE1, -ENOENT, "/dev/vfio/vfio is missing: modprobe");
	kernel.missing = "/dev/iommu";
	must_refuse(ONE, NVMFT_VFIO_IOMMUFD, -ENOENT, "/dev/iommu is missing: modprobe");
}

/* ---- which way is taken ---- */

static void test_auto_takes_the_character_device(void **state)
{
	struct device *dev = must_open(ONE, NVMFT_VFIO_AUTO);

	(void)state;
	assert_int_equal(kernel_open(&kernel, KERNEL_IOMMUFD), 1);
	assert_int_equal(kernel_open(&kernel, KERNEL_GROUP), 0);
	close_device(dev);
}

static void test_auto_falls_back_to_groups(void **state)
{
	static const char *const denied[] = {"/dev/vfio/devices/vfio0", "/dev/iommu"};
	struct device *dev;

	(void)state;
	for (int i = 0; i < 2; i++) {
		kernel.denied = denied[i];
		dev = must_open(ONE, NVMFT_VFIO_AUTO);
		assert_int_equal(kernel_open(&kernel, KERNEL_IOMMUFD), 0);
		assert_int_equal(kernel_open(&kernel, KERNEL_GROUP), 1);
		close_device(dev);
	}
	kernel_add(&kernel, "0000:03:00.0", 13, "vfio-pci", NULL);
	dev = must_open("0000:03:00.0", NVMFT_VFIO_AUTO);
	assert_int_equal(kernel_open(&kernel, KERNEL_GROUP), 1);
	close_device(dev);
}

/* VFIO has the directory in sysfs also when it was built without character devices. */
static void test_auto_without_character_devices_in_the_kernel(void **state)
{
	struct device *dev;
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/" ONE "/vfio-dev/vfio0/dev", kernel.root);
	assert_int_equal(unlink(path), 0);
	dev = must_open(ONE, NVMFT_VFIO_AUTO);
	assert_int_equal(kernel_open(&kernel, KERNEL_GROUP), 1);
	close_device(dev);
}

/* Then what is missing is said of the way that there is. */
static void test_auto_without_groups_in_the_kernel(void **state)
{
	(void)state;
	kernel.missing = "/dev/vfio/11";
	kernel.denied = "/dev/iommu";
	must_refuse(ONE, NVMFT_VFIO_AUTO, -EACCES, "no permission for /dev/iommu");
}

static void test_a_choice_is_obeyed(void **state)
{
	struct device *dev = must_open(ONE, NVMFT_VFIO_TYPE1);

	(void)state;
	assert_int_equal(kernel_open(&kernel, KERNEL_IOMMUFD), 0);
	close_device(dev);
	kernel_add(&kernel, "0000:03:00.0", 13, "vfio-pci", NULL);
	must_refuse("0000:03:00.0", NVMFT_VFIO_IOMMUFD, -EOPNOTSUPP, "the kernel lacks IOMMUFD or VFIO_DEVICE_CDEV");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, machine_setup, machine_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_registers_are_mapped),
		TEST(test_open_turns_bus_mastering_off),
		TEST(test_vectors_are_as_many_as_wanted),
		TEST(test_vectors_can_be_waited_for),
		TEST(test_fewer_vectors_are_left),
		TEST(test_fewer_vectors_are_left_and_nobody_says_how_many),
		TEST(test_no_vectors_are_left),
		TEST(test_bus_mastering_that_stays_on),
		TEST(test_close_leaves_no_descriptor),
		TEST(test_unplug_and_errors_are_told),
		TEST(test_no_address),
		TEST(test_no_device),
		TEST(test_another_driver),
		TEST(test_no_iommu_group),
		TEST(test_no_iommu_mode),
		TEST(test_not_nvme),
		TEST(test_busy_group),
		TEST(test_busy_device),
		TEST(test_waits_for_a_killed_program),
		TEST(test_no_permission),
		TEST(test_group_not_viable),
		TEST(test_interrupts_not_isolated),
		TEST(test_no_vfio),
		TEST(test_auto_takes_the_character_device),
		TEST(test_auto_falls_back_to_groups),
		TEST(test_auto_without_character_devices_in_the_kernel),
		TEST(test_auto_without_groups_in_the_kernel),
		TEST(test_a_choice_is_obeyed),
	};

	return cmocka_run_group_tests_name("vfio_device", tests, NULL, NULL);
}
