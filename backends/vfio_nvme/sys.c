/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "sys.h"

int nvmft_sys_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int nvmft_sys_ioctl(int fd, unsigned long request, void *arg)
{
	int n = ioctl(fd, request, arg);

	return n < 0 ? -errno : n;
}

bool nvmft_sys_access(const char *path, int mode)
{
	return access(path, mode) == 0;
}

ssize_t nvmft_sys_readlink(const char *path, char *to, size_t size)
{
	return readlink(path, to, size);
}

DIR *nvmft_sys_opendir(const char *path)
{
	return opendir(path);
}

void nvmft_sys_pause(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
}
