/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_VFIO_NVME_IOMMUFD_ABI_H
#define NVMFT_BACKENDS_VFIO_NVME_IOMMUFD_ABI_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

/*
 * What this backend needs of the kernel's interfaces to IOMMUFD and VFIO character devices. Headers of Linux 6.1, as in
 * Debian 12, have neither, and the names here cannot clash with those that do.
 */

#define IOMMUFD_IOAS_ALLOC _IO(';', 0x81)
#define IOMMUFD_IOAS_IOVA_RANGES _IO(';', 0x84)
#define IOMMUFD_IOAS_MAP _IO(';', 0x85)
#define IOMMUFD_IOAS_UNMAP _IO(';', 0x86)
#define IOMMUFD_DESTROY _IO(';', 0x80)

#define CDEV_BIND_IOMMUFD _IO(';', 100 + 18)
#define CDEV_ATTACH_IOMMUFD_PT _IO(';', 100 + 19)
#define CDEV_DETACH_IOMMUFD_PT _IO(';', 100 + 20)

/* @size and @argsz: bytes of the structure */

struct iommufd_destroy {
	uint32_t size;
	uint32_t id;
};

struct iommufd_ioas_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t id; /* out */
};

struct iommufd_range {
	uint64_t first;
	uint64_t last;
};

/* -EMSGSIZE: @n is how many there are */
struct iommufd_ioas_iova_ranges {
	uint32_t size;
	uint32_t ioas;
	uint32_t n; /* in and out */
	uint32_t reserved;
	uint64_t ranges;
	uint64_t alignment; /* out */
};

#define IOMMUFD_MAP_FIXED_IOVA 1u
#define IOMMUFD_MAP_WRITEABLE 2u
#define IOMMUFD_MAP_READABLE 4u

struct iommufd_ioas_map {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas;
	uint32_t reserved;
	uint64_t base;
	uint64_t len;
	uint64_t iova;
};

struct iommufd_ioas_unmap {
	uint32_t size;
	uint32_t ioas;
	uint64_t iova;
	uint64_t len; /* in and out */
};

struct cdev_bind {
	uint32_t argsz;
	uint32_t flags;
	int32_t iommufd;
	uint32_t id; /* out */
};

struct cdev_attach {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pt; /* an IOAS, in */
};

struct cdev_detach {
	uint32_t argsz;
	uint32_t flags;
};

static_assert(sizeof(struct iommufd_ioas_alloc) == 12, "layout");
static_assert(offsetof(struct iommufd_ioas_iova_ranges, ranges) == 16 && sizeof(struct iommufd_ioas_iova_ranges) == 32,
	      "layout");
static_assert(offsetof(struct iommufd_ioas_map, base) == 16 && sizeof(struct iommufd_ioas_map) == 40, "layout");
static_assert(offsetof(struct iommufd_ioas_unmap, iova) == 8 && sizeof(struct iommufd_ioas_unmap) == 24, "layout");
static_assert(sizeof(struct cdev_bind) == 16 && sizeof(struct cdev_attach) == 12 && sizeof(struct cdev_detach) == 8,
	      "layout");

#endif
