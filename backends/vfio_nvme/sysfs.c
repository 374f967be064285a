/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What sysfs says about a PCI function.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfio.h"

#define SYSFS_DEVICES "/sys/bus/pci/devices/"

#define HOW_TO "; nvmft's nvme-devices script prints how"

/* Name of what a link of a function points to. False: there is no such link. */
static bool link_name(const char *address, const char *link, char name[NAME_MAX + 1])
{
	char path[PATH_MAX], to[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), SYSFS_DEVICES "%s/%s", address, link);
	n = nvmft_sys_readlink(path, to, sizeof(to) - 1);
	if (n < 0)
		return false;
	to[n] = '\0';
	return snprintf(name, NAME_MAX + 1, "%s", strrchr(to, '/') ? strrchr(to, '/') + 1 : to) <= NAME_MAX;
}

static bool address_valid(const char *address)
{
	unsigned int domain, bus, slot, function;
	int n = 0;

	return sscanf(address, "%8x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &n) == 4 && !address[n];
}

static int check_driver(const struct vfio *vfio)
{
	char path[PATH_MAX], driver[NAME_MAX + 1];

	if (!address_valid(vfio->pub.address))
		return nvmft_vfio_complain(vfio, -EINVAL, "is no PCI address like 0000:01:00.0");
	snprintf(path, sizeof(path), SYSFS_DEVICES "%s", vfio->pub.address);
	if (!nvmft_sys_access(path, F_OK))
		return nvmft_vfio_complain(vfio, -ENODEV, "there is no such PCI device");
	if (!link_name(vfio->pub.address, "driver", driver))
		return nvmft_vfio_complain(vfio, -ENODEV, "no driver holds it, vfio-pci must" HOW_TO);
	if (strcmp(driver, "vfio-pci"))
		return nvmft_vfio_complain(vfio, -EBUSY, "is held by the driver %s, must be by vfio-pci" HOW_TO,
					   driver);
	return 0;
}

/* The function's own character device; kernels before 6.6, and some of later ones, have none. */
static void find_cdev(struct vfio *vfio)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), SYSFS_DEVICES "%s/vfio-dev", vfio->pub.address);
	dir = nvmft_sys_opendir(path);
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] != '.' && strlen(entry->d_name) < sizeof(vfio->cdev))
			strcpy(vfio->cdev, entry->d_name);
	}
	closedir(dir);
	/* The directory is there without the device when the kernel was built so. */
	snprintf(path, sizeof(path), SYSFS_DEVICES "%s/vfio-dev/%s/dev", vfio->pub.address, vfio->cdev);
	if (!nvmft_sys_access(path, F_OK))
		vfio->cdev[0] = '\0';
}

int nvmft_vfio_find(struct vfio *vfio)
{
	char name[NAME_MAX + 1], path[PATH_MAX];
	int err = check_driver(vfio);

	if (err)
		return err;
	if (!link_name(vfio->pub.address, "iommu_group", name))
		return nvmft_vfio_complain(
			vfio, -ENODEV,
			"has no IOMMU group: the IOMMU (VT-d, AMD-Vi, SMMU) is off in the firmware or on the kernel's "
			"command line (intel_iommu=on)");
	vfio->group_number = (unsigned int)strtoul(name, NULL, 10);
	snprintf(path, sizeof(path), "/dev/vfio/noiommu-%u", vfio->group_number);
	if (nvmft_sys_access(path, F_OK))
		return nvmft_vfio_complain(
			vfio, -EOPNOTSUPP,
			"VFIO has it in its no-IOMMU mode (enable_unsafe_noiommu_mode), in which nothing keeps it from "
			"writing anywhere in memory: turn the IOMMU on instead (intel_iommu=on)");
	find_cdev(vfio);
	return 0;
}

bool nvmft_vfio_neighbour(const struct vfio *vfio, char text[NAME_MAX + 1])
{
	char path[PATH_MAX], driver[NAME_MAX + 1];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), SYSFS_DEVICES "%s/iommu_group/devices", vfio->pub.address);
	dir = nvmft_sys_opendir(path);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		/* Bridges do no DMA of their own: VFIO lets them keep their driver. */
		if (!link_name(entry->d_name, "driver", driver) || !strcmp(driver, "vfio-pci") ||
		    !strcmp(driver, "pcieport") || !strcmp(driver, "pci-stub"))
			continue;
		found = snprintf(text, NAME_MAX + 1, "%s, which is held by the driver %s", entry->d_name, driver) <=
			NAME_MAX;
	}
	closedir(dir);
	return found;
}
