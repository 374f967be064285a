/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TESTS_VFIO_NVME_MACHINE_H
#define NVMFT_TESTS_VFIO_NVME_MACHINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "device.h"
#include "kernel.h"

#define ONE "0000:01:00.0"
#define TWO "0000:02:00.0"
/* Another function of ONE. */
#define ONE_B "0000:01:00.1"
#define PAGES 4096u

/* A kernel, a target with a log, and two SSDs that vfio-pci has, in groups 11 and 12. */
int machine_setup(void **state);
int machine_teardown(void **state);
extern struct kernel kernel;
extern struct nvmft_backend backend;

struct device *must_open(const char *address, enum nvmft_vfio_iommu how);
/* Opening fails with @err and says @text. */
void must_refuse(const char *address, enum nvmft_vfio_iommu how, int err, const char *text);
void close_device(struct device *dev);
/* Map some page of 16 that the test has. */
uint64_t must_map(struct device *dev, unsigned int page, size_t len);
void *page(unsigned int n);
/* A line of the log since the start has this in it. */
void expect_log(const char *text);
unsigned int log_lines(void);

#endif
