/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_VFIO_NVME_IOMMU_H
#define NVMFT_BACKENDS_VFIO_NVME_IOMMU_H

#include <pthread.h>
#include <unistd.h>

#include "vfio.h"

/* struct mapping - memory that the devices of a space reach. @base: NULL if it could not be unmapped */
struct mapping {
	void *base;
	uint64_t len, iova;
	unsigned int refs;
};

/*
 * struct group - an IOMMU group: functions that the IOMMU cannot tell apart, and that therefore see the same space
 * @fd: type 1: /dev/vfio/NUMBER, which can be open only once; else -1
 * @refs: its devices that are open
 */
struct group {
	unsigned int number;
	int fd;
	unsigned int refs;
	struct space *space;
	struct group *next;
};

/*
 * struct space_ops - a kernel interface for address spaces. -errno is logged by @claim, @create and @device, not by
 * others.
 * @lives: the kernel still knows the group
 * @claim: open what stands for the device, so that it can be attached: its group's or its own. Not locked, may wait.
 * @create: make an empty space
 * @attach: let the device see @space. -EPERM: it could raise interrupts of others
 * @device: open the device, if @claim has not. It leaves the space when it is closed.
 * @ranges: find @first and @last, addresses that can be mapped
 * @close: of an empty space
 */
struct space_ops {
	const char *name;
	bool (*lives)(const struct group *group);
	int (*claim)(struct vfio *vfio);
	int (*create)(struct space *space, const struct vfio *vfio);
	int (*attach)(struct space *space, struct vfio *vfio);
	int (*device)(struct vfio *vfio);
	int (*ranges)(struct space *space);
	int (*map)(struct space *space, void *base, size_t len, uint64_t iova);
	int (*unmap)(struct space *space, uint64_t iova, size_t len);
	void (*close)(struct space *space);
};

/*
 * struct space - an address space as devices see it: a container or an IOAS
 * @fd: type 1: the container
 * @ioas: IOMMUFD: its identifier
 * @maps: sorted by iova
 * @locked: bytes in @maps
 * @reported: bytes that could not be mapped, which the log tells; 0 if that is over
 */
struct space {
	struct iommu *iommu;
	const struct space_ops *ops;
	int fd;
	uint32_t ioas;
	uint64_t first, last;
	struct group *groups;
	struct mapping *maps;
	size_t nmaps, cap;
	uint64_t locked;
	size_t reported;
	struct space *next;
};

/*
 * struct iommu - the address spaces of a target. One, if the IOMMUs of all devices can do the same.
 * @fd: /dev/iommu, -1 if nobody needed it
 */
struct iommu {
	struct nvmft_shared shared;
	pthread_mutex_t lock;
	int fd;
	struct space *spaces;
};

extern const struct space_ops nvmft_type1_ops;
extern const struct space_ops nvmft_iommufd_ops;

/* iommufd.c: the device has a character device of its own, and this user may open it. */
bool nvmft_iommufd_usable(const struct vfio *vfio);

/* From 4 GiB on there is nothing that platforms reserve below, such as the window of interrupt messages. */
#define IOVA_FIRST (UINT64_C(1) << 32)
/* What the smallest IOMMUs have. */
#define IOVA_LAST ((UINT64_C(1) << 39) - 1)

/* space.c: context: locked */

/* Keep to the larger one of the space's range and this one. */
void nvmft_space_range(struct space *space, uint64_t first, uint64_t last);
int nvmft_space_map(struct space *space, const struct vfio *vfio, void *base, size_t len, uint64_t *iova);
void nvmft_space_unmap(struct space *space, uint64_t iova);

static inline void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

#endif
