/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TESTS_VFIO_NVME_KERNEL_H
#define NVMFT_TESTS_VFIO_NVME_KERNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A kernel with VFIO and IOMMUFD behind sys.h: a tree of files as its sysfs and /dev, memory files as its descriptors,
 * so that it knows which of them are still open, and the rules of the calls. It does no DMA and no interrupts; the test
 * in the guest has those, by type 1. What breaks a rule that a real kernel would answer with an error gets that error.
 */

#define KERNEL_FUNCTIONS 4
#define KERNEL_OBJECTS 32
#define KERNEL_MAPS 64

struct kernel_function {
	const char *address;
	unsigned int group;
	const char *driver;
	const char *cdev;
	bool loner;           /* its IOMMU enters no space that others are in */
	bool unsafe;          /* interrupts are not isolated */
	uint64_t first, last; /* addresses that its IOMMU translates */
	uint8_t class[3];
	int fds[5][4]; /* eventfds by interrupt index, of the first few */
	unsigned int nfds[5];
};

enum kernel_kind {
	KERNEL_CONTAINER,
	KERNEL_GROUP,
	KERNEL_DEVICE,
	KERNEL_IOMMUFD,
};

/* An open file. @in: group: its container; device: its group or IOMMUFD. @ioas: of a device */
struct kernel_object {
	enum kernel_kind kind;
	ino_t ino;
	bool open;
	bool iommu_set;
	bool dead; /* a group whose devices are unplugged */
	unsigned int group;
	struct kernel_object *in;
	struct kernel_function *function;
	uint32_t ioas;
};

struct kernel_map {
	struct kernel_object *in;
	uint32_t ioas;
	void *base;
	uint64_t len, iova;
};

struct kernel {
	char root[64];
	struct kernel_function functions[KERNEL_FUNCTIONS];
	unsigned int nfunctions;
	struct kernel_object objects[KERNEL_OBJECTS];
	unsigned int nobjects;
	struct kernel_map maps[KERNEL_MAPS];
	unsigned int nmaps;
	uint32_t ioases[8]; /* that there are */
	uint32_t next_ioas;
	unsigned int busy; /* opens of groups and binds that find another user */
	unsigned int pauses;
	uint64_t lock_limit;    /* bytes in maps */
	unsigned int map_limit; /* number of them */
	bool unmap_fails;
	bool no_ranges;          /* type 1 does not tell its ranges */
	unsigned int vectors;    /* that are left */
	bool vectors_untold;     /* the kernel does not say how many that is */
	const char *denied;      /* path that this user may not open */
	const char *missing;     /* path that is not there */
	unsigned int not_viable; /* group */
};

void kernel_start(struct kernel *k);
/* Fails the test if anything is left open or mapped. */
void kernel_end(struct kernel *k);
struct kernel_function *kernel_add(struct kernel *k, const char *address, unsigned int group, const char *driver,
				   const char *cdev);
/* The function is unplugged: waits (here: fails) as long as it is open. */
void kernel_unplug(struct kernel *k, const char *address);
/* An empty file, e.g. a device node. */
void kernel_file(struct kernel *k, const char *path);
/* Open files of a kind. */
unsigned int kernel_open(struct kernel *k, enum kernel_kind kind);
/* The configuration space of an open device. */
uint16_t kernel_command(struct kernel *k, const char *address);

#endif
