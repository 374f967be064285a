/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_VFIO_NVME_SYS_H
#define NVMFT_BACKENDS_VFIO_NVME_SYS_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * The calls by which the device is found and opened. Tests have another kernel behind them: that of the machine that
 * they run on may have neither an IOMMU nor IOMMUFD.
 */

/* For reading and writing. Return: a descriptor or -errno. */
int nvmft_sys_open(const char *path);
/* Return: what ioctl() returns, or -errno. */
int nvmft_sys_ioctl(int fd, unsigned long request, void *arg);
bool nvmft_sys_access(const char *path, int mode);
ssize_t nvmft_sys_readlink(const char *path, char *to, size_t size);
DIR *nvmft_sys_opendir(const char *path);
/* Between two tries. */
void nvmft_sys_pause(void);

#endif
