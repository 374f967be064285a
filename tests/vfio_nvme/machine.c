/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "machine.h"
#include "target.h"

struct kernel kernel;
static struct nvmft_target target;
struct nvmft_backend backend = {.target = &target};
static char logged[8192];
static unsigned int lines;
static _Alignas(4096) char pages[16 * PAGES];

void nvmft_vlog(const struct nvmft_target *t, enum nvmft_log_level level, const char *prefix, const char *format,
		va_list ap)
{
	size_t len = strlen(logged);

	(void)t;
	(void)level;
	lines++;
	len += (size_t)snprintf(logged + len, sizeof(logged) - len, "%s", prefix);
	len += (size_t)vsnprintf(logged + len, sizeof(logged) - len, format, ap);
	assert_true(len + 2 < sizeof(logged));
	strcpy(logged + len, "\n");
}

void expect_log(const char *text)
{
	if (!strstr(logged, text))
		fail_msg("the log has no '%s': %s", text, logged);
}

unsigned int log_lines(void)
{
	return lines;
}

int machine_setup(void **state)
{
	(void)state;
	kernel_start(&kernel);
	kernel_add(&kernel, ONE, 11, "vfio-pci", "vfio0");
	kernel_add(&kernel, TWO, 12, "vfio-pci", "vfio1");
	nvmft_shared_init(&target);
	logged[0] = '\0';
	lines = 0;
	return 0;
}

int machine_teardown(void **state)
{
	(void)state;
	nvmft_shared_fini(&target);
	kernel_end(&kernel);
	return 0;
}

struct device *must_open(const char *address, enum nvmft_vfio_iommu how)
{
	struct device *dev = NULL;
	int err = nvmft_vfio_device_open(&backend, address, how, 4, &dev);

	if (err)
		fail_msg("%s is not opened: %d, %s", address, err, logged);
	return dev;
}

void must_refuse(const char *address, enum nvmft_vfio_iommu how, int err, const char *text)
{
	struct device *dev = NULL;

	assert_int_equal(nvmft_vfio_device_open(&backend, address, how, 4, &dev), err);
	expect_log(text);
}

void close_device(struct device *dev)
{
	dev->ops->close(dev);
}

void *page(unsigned int n)
{
	return pages + n * PAGES;
}

uint64_t must_map(struct device *dev, unsigned int n, size_t len)
{
	uint64_t iova = 0;

	assert_int_equal(dev->ops->map(dev, page(n), len, &iova), 0);
	assert_true(iova >= UINT64_C(1) << 32);
	return iova;
}
