/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The controllers of a namespace, which take admin commands: /dev/nvmeX. A namespace of a subsystem with several has
 * one device for all (a head), and any controller that is there will do.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "ng.h"

/* Path in sysfs of what a namespace's device belongs to: its controller, or the subsystem. */
static int parent_path(int fd, char *path, size_t size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	snprintf(path, size, "/sys/dev/char/%u:%u/device", major(st.st_rdev), minor(st.st_rdev));
	return 0;
}

static bool is_ctrl_name(const char *name)
{
	unsigned int id;
	int end = 0;

	return sscanf(name, "nvme%u%n", &id, &end) == 1 && !name[end];
}

/* "nvme0" or "nvme-subsys0"; nothing where there is no sysfs. */
static int parent_name(int fd, char *name, size_t size)
{
	char path[64], *real, *slash;
	int ret = parent_path(fd, path, sizeof(path));

	if (ret)
		return ret;
	real = realpath(path, NULL);
	slash = real ? strrchr(real, '/') : NULL;
	ret = slash && strlen(slash + 1) < size ? 0 : -ENOENT;
	if (!ret)
		strcpy(name, slash + 1);
	free(real);
	return ret;
}

bool nvmft_ng_is_head(int fd)
{
	char name[64];

	return parent_name(fd, name, sizeof(name)) == 0 && !strncmp(name, "nvme-subsys", strlen("nvme-subsys"));
}

/* ---- opening ---- */

/* A controller's device is where that of the namespace is. */
static int open_ctrl(const struct ng_backend *ng, const char *name)
{
	const char *slash = strrchr(ng->path, '/');
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%.*s%s", slash ? (int)(slash + 1 - ng->path) : 0, ng->path, name) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	/* Refused by the kernel while the controller resets or goes. */
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The one behind @fd is still there. While we have it open its number is given to no other. */
static bool is_there(int fd)
{
	char path[64];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u", major(st.st_rdev), minor(st.st_rdev));
	return access(path, F_OK) == 0;
}

static bool is_open(const struct ng_backend *ng, int fd)
{
	struct stat st, other;

	if (fstat(fd, &st) < 0)
		return false;
	for (unsigned int i = 0; i < NG_CTRLS; i++) {
		int have = atomic_load(&ng->ctrl_fd[i]);

		if (have >= 0 && fstat(have, &other) == 0 && other.st_rdev == st.st_rdev)
			return true;
	}
	return false;
}

/*
 * In the place of one that is gone, by giving its descriptor another meaning: poll groups use it meanwhile, and must
 * not find it to be somebody else's file.
 */
static void keep(struct ng_backend *ng, int fd)
{
	for (unsigned int i = 0; i < NG_CTRLS; i++) {
		int have = atomic_load(&ng->ctrl_fd[i]);

		if (have < 0) {
			atomic_store(&ng->ctrl_fd[i], fd);
			return;
		}
		if (!is_there(have) && dup3(fd, have, O_CLOEXEC) >= 0)
			break;
	}
	close(fd);
}

static int try_ctrl(struct ng_backend *ng, const char *name)
{
	int fd = open_ctrl(ng, name);

	if (fd < 0)
		return fd;
	if (is_open(ng, fd))
		close(fd);
	else
		keep(ng, fd);
	return 0;
}

/* @fn of the name of each. Return: the last that was not 0; -ENODEV: there is none. */
static int each_ctrl(struct ng_backend *ng, int (*fn)(struct ng_backend *ng, const char *name))
{
	char path[64], name[64];
	struct dirent *entry;
	int err = parent_name(ng->fd, name, sizeof(name));
	DIR *dir;

	if (err || is_ctrl_name(name))
		return err ? err : fn(ng, name);
	err = parent_path(ng->fd, path, sizeof(path));
	dir = err ? NULL : opendir(path);
	if (!dir)
		return -ENOENT;
	err = -ENODEV;
	while ((entry = readdir(dir))) {
		int ret = is_ctrl_name(entry->d_name) ? fn(ng, entry->d_name) : 0;

		err = ret ? ret : err;
	}
	closedir(dir);
	return err;
}

static int count(const struct ng_backend *ng)
{
	int n = 0;

	for (unsigned int i = 0; i < NG_CTRLS; i++)
		n += atomic_load(&ng->ctrl_fd[i]) >= 0;
	return n;
}

int nvmft_ng_ctrls_open(struct ng_backend *ng)
{
	int err = each_ctrl(ng, try_ctrl), n = count(ng);

	return n ? n : err ? err : -ENODEV;
}

static int watch_ctrl(struct ng_backend *ng, const char *name)
{
	nvmft_ng_watch_node(ng, name);
	return 0;
}

void nvmft_ng_ctrls_watch(struct ng_backend *ng)
{
	(void)each_ctrl(ng, watch_ctrl);
}

void nvmft_ng_ctrls_close(struct ng_backend *ng)
{
	for (unsigned int i = 0; i < NG_CTRLS; i++) {
		int fd = atomic_exchange(&ng->ctrl_fd[i], -1);

		if (fd >= 0)
			close(fd);
	}
}
