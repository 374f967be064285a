/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "iommufd_abi.h"
#include "kernel.h"
#include "sys.h"

#define CONFIG_AT (1u << 20)
#define BAR_LEN 16384u
#define PATH_LEN 512

static struct kernel *the;

/* ---- the tree ---- */

static const char *in_tree(const char *path)
{
	static char buf[2][PATH_LEN];
	static int n;
	char *out = buf[n++ & 1];

	assert_true(snprintf(out, PATH_LEN, "%s%s", the->root, path) < PATH_LEN);
	return out;
}

static void make_dirs(const char *path)
{
	char dir[PATH_LEN];

	for (const char *slash = path; (slash = strchr(slash + 1, '/'));) {
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
		mkdir(in_tree(dir), 0755);
	}
}

void kernel_file(struct kernel *k, const char *path)
{
	FILE *f;

	the = k;
	make_dirs(path);
	f = fopen(in_tree(path), "w");
	assert_non_null(f);
	fclose(f);
}

static void link_to(const char *path, const char *to)
{
	make_dirs(path);
	assert_int_equal(symlink(to, in_tree(path)), 0);
}

struct kernel_function *kernel_add(struct kernel *k, const char *address, unsigned int group, const char *driver,
				   const char *cdev)
{
	struct kernel_function *fn = &k->functions[k->nfunctions++];
	char path[128], to[PATH_LEN];

	*fn = (struct kernel_function){address,           group, driver, cdev, .last = (UINT64_C(1) << 48) - 1,
				       .class = {2, 8, 1}};
	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%u/devices/%s", group, address);
	kernel_file(k, path);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", address);
	snprintf(to, sizeof(to), "%s/sys/kernel/iommu_groups/%u", k->root, group);
	link_to(path, to);
	if (driver) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", address);
		snprintf(to, sizeof(to), "../../../../bus/pci/drivers/%s", driver);
		link_to(path, to);
	}
	snprintf(path, sizeof(path), "/dev/vfio/%u", group);
	kernel_file(k, path);
	if (cdev) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev/%s/dev", address, cdev);
		kernel_file(k, path);
		snprintf(path, sizeof(path), "/dev/vfio/devices/%s", cdev);
		kernel_file(k, path);
	}
	return fn;
}

void kernel_start(struct kernel *k)
{
	memset(k, 0, sizeof(*k));
	the = k;
	strcpy(k->root, "/tmp/nvmft-vfio.XXXXXX");
	assert_non_null(mkdtemp(k->root));
	k->lock_limit = UINT64_MAX;
	k->map_limit = KERNEL_MAPS;
	k->not_viable = UINT32_MAX;
	k->vectors = UINT32_MAX;
	k->next_ioas = 7;
	kernel_file(k, "/dev/vfio/vfio");
	kernel_file(k, "/dev/iommu");
}

/* ---- open files ---- */

static bool descriptor_exists(ino_t ino)
{
	for (int fd = 3; fd < 256; fd++) {
		struct stat st;

		if (fstat(fd, &st) == 0 && st.st_ino == ino)
			return true;
	}
	return false;
}

static void forget_maps(const struct kernel_object *in, uint32_t ioas)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < the->nmaps; i++) {
		if (the->maps[i].in != in || the->maps[i].ioas != ioas)
			the->maps[n++] = the->maps[i];
	}
	the->nmaps = n;
}

static unsigned int members(const struct kernel_object *in, uint32_t ioas)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < the->nobjects; i++)
		n += the->objects[i].open && the->objects[i].in == in && the->objects[i].ioas == ioas;
	return n;
}

static bool mapped(const struct kernel_object *ob)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long ino;
	char line[512];
	bool found = false;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		found = found ||
			(sscanf(line, "%*s %*s %*s %*s %lu", &ino) == 1 && ino == ob->ino && strstr(line, "memfd"));
	fclose(f);
	return found;
}

/* What closing did. A group outlives its descriptor in its devices', and these in their mappings. */
static void reap(void)
{
	for (unsigned int i = 0; i < the->nobjects; i++) {
		struct kernel_object *ob = &the->objects[i];

		if (!ob->open || descriptor_exists(ob->ino) || (ob->kind == KERNEL_DEVICE && mapped(ob)))
			continue;
		ob->open = false;
		if (ob->kind == KERNEL_GROUP && ob->in && !members(ob->in, 0)) {
			forget_maps(ob->in, 0);
			ob->in->iommu_set = false;
		}
		if (ob->kind == KERNEL_IOMMUFD)
			memset(the->ioases, 0, sizeof(the->ioases));
	}
}

static struct kernel_object *object_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	for (unsigned int i = the->nobjects; i-- > 0;) {
		if (the->objects[i].open && the->objects[i].ino == st.st_ino)
			return &the->objects[i];
	}
	fail_msg("a call on a descriptor that the kernel did not give");
	return NULL;
}

unsigned int kernel_open(struct kernel *k, enum kernel_kind kind)
{
	unsigned int n = 0;

	reap();
	for (unsigned int i = 0; i < k->nobjects; i++)
		n += k->objects[i].open && k->objects[i].kind == kind;
	return n;
}

static struct kernel_object *make_object(enum kernel_kind kind, int *fd)
{
	struct kernel_object *ob = &the->objects[the->nobjects];
	struct stat st;

	assert_true(the->nobjects++ < KERNEL_OBJECTS);
	*fd = memfd_create("vfio", MFD_CLOEXEC);
	assert_true(*fd >= 0 && !fstat(*fd, &st) && !ftruncate(*fd, CONFIG_AT + 4096));
	*ob = (struct kernel_object){.kind = kind, .ino = st.st_ino, .open = true};
	return ob;
}

static struct kernel_object *make_device(struct kernel_function *fn, int *fd)
{
	struct kernel_object *ob = make_object(KERNEL_DEVICE, fd);
	uint16_t command = PCI_COMMAND_MASTER;

	ob->function = fn;
	assert_int_equal(pwrite(*fd, &command, sizeof(command), CONFIG_AT + PCI_COMMAND), sizeof(command));
	assert_int_equal(pwrite(*fd, fn->class, 3, CONFIG_AT + PCI_CLASS_PROG), 3);
	return ob;
}

static const struct kernel_function *function_of(const struct kernel_object *ob)
{
	if (ob->function)
		return ob->function;
	for (unsigned int i = 0; ob->kind == KERNEL_GROUP && i < the->nfunctions; i++) {
		if (the->functions[i].group == ob->group)
			return &the->functions[i];
	}
	return NULL;
}

void kernel_unplug(struct kernel *k, const char *address)
{
	reap();
	for (unsigned int i = 0; i < k->nobjects; i++) {
		struct kernel_object *ob = &k->objects[i], *in = ob->in;

		if (!ob->open || strcmp(function_of(ob) ? function_of(ob)->address : "", address))
			continue;
		assert_int_not_equal(ob->kind, KERNEL_DEVICE);
		if (ob->kind != KERNEL_GROUP)
			continue;
		ob->dead = true;
		ob->in = NULL;
		if (in && !members(in, 0)) {
			forget_maps(in, 0);
			in->iommu_set = false;
		}
	}
}

uint16_t kernel_command(struct kernel *k, const char *address)
{
	uint16_t command = 0;

	for (int fd = 3; fd < 256; fd++) {
		struct stat st;

		for (unsigned int i = 0; fstat(fd, &st) == 0 && i < k->nobjects; i++) {
			struct kernel_object *ob = &k->objects[i];

			if (ob->open && ob->ino == st.st_ino && ob->function && !strcmp(ob->function->address, address))
				assert_int_equal(pread(fd, &command, sizeof(command), CONFIG_AT + PCI_COMMAND),
						 sizeof(command));
		}
	}
	return command;
}

void kernel_end(struct kernel *k)
{
	char command[128];

	for (int kind = KERNEL_CONTAINER; kind <= KERNEL_IOMMUFD; kind++)
		assert_int_equal(kernel_open(k, (enum kernel_kind)kind), 0);
	assert_int_equal(k->nmaps, 0);
	for (size_t i = 0; i < sizeof(k->ioases) / sizeof(k->ioases[0]); i++)
		assert_int_equal(k->ioases[i], 0);
	snprintf(command, sizeof(command), "rm -r %s", k->root);
	assert_int_equal(system(command), 0);
}

/* ---- sys.h ---- */

static struct kernel_function *find_cdev(const char *name)
{
	for (unsigned int i = 0; i < the->nfunctions; i++) {
		if (the->functions[i].cdev && !strcmp(the->functions[i].cdev, name))
			return &the->functions[i];
	}
	return NULL;
}

static int open_group(unsigned int number)
{
	struct kernel_object *ob;
	int fd;

	if (the->busy && the->busy--)
		return -EBUSY;
	for (unsigned int i = 0; i < the->nobjects; i++) {
		if (the->objects[i].open && the->objects[i].kind == KERNEL_GROUP && the->objects[i].group == number &&
		    !the->objects[i].dead)
			return -EBUSY;
	}
	ob = make_object(KERNEL_GROUP, &fd);
	ob->group = number;
	return fd;
}

int nvmft_sys_open(const char *path)
{
	int fd;

	reap();
	if (!nvmft_sys_access(path, F_OK))
		return -ENOENT;
	if (the->denied && !strcmp(path, the->denied))
		return -EACCES;
	if (!strcmp(path, "/dev/iommu"))
		make_object(KERNEL_IOMMUFD, &fd);
	else if (!strcmp(path, "/dev/vfio/vfio"))
		make_object(KERNEL_CONTAINER, &fd);
	else if (!strncmp(path, "/dev/vfio/devices/", 18))
		make_device(find_cdev(path + 18), &fd);
	else
		return open_group((unsigned int)atoi(path + strlen("/dev/vfio/")));
	return fd;
}

bool nvmft_sys_access(const char *path, int mode)
{
	if (mode != F_OK && the->denied && !strcmp(path, the->denied))
		return false;
	return (!the->missing || strcmp(path, the->missing)) && access(in_tree(path), F_OK) == 0;
}

ssize_t nvmft_sys_readlink(const char *path, char *to, size_t size)
{
	return readlink(in_tree(path), to, size);
}

DIR *nvmft_sys_opendir(const char *path)
{
	return opendir(in_tree(path));
}

void nvmft_sys_pause(void)
{
	the->pauses++;
}

/* ---- memory ---- */

/* What all members of a space can translate. */
static void aperture(const struct kernel_object *in, uint32_t ioas, uint64_t *first, uint64_t *last)
{
	*first = 0;
	*last = UINT64_MAX;
	for (unsigned int i = 0; i < the->nobjects; i++) {
		const struct kernel_object *ob = &the->objects[i];

		if (!ob->open || ob->in != in || ob->ioas != ioas)
			continue;
		*first = function_of(ob)->first > *first ? function_of(ob)->first : *first;
		*last = function_of(ob)->last < *last ? function_of(ob)->last : *last;
	}
}

static int may_join(const struct kernel_object *ob, const struct kernel_object *in, uint32_t ioas)
{
	const struct kernel_function *fn = function_of(ob);

	if (fn->unsafe)
		return -EPERM;
	for (unsigned int i = 0; i < the->nobjects; i++) {
		const struct kernel_object *other = &the->objects[i];

		if (other->open && other != ob && other->in == in && other->ioas == ioas &&
		    function_of(other)->group != fn->group && (fn->loner || function_of(other)->loner))
			return -EINVAL;
	}
	for (unsigned int i = 0; i < the->nmaps; i++) {
		if (the->maps[i].in == in && the->maps[i].ioas == ioas &&
		    the->maps[i].iova + the->maps[i].len - 1 > fn->last)
			return -EINVAL;
	}
	return 0;
}

static int map_memory(struct kernel_object *in, uint32_t ioas, uint64_t base, uint64_t len, uint64_t iova)
{
	uint64_t first, last, total = len;

	aperture(in, ioas, &first, &last);
	if (!len || (base | len | iova) & 4095 || iova < first || iova + len - 1 > last)
		return -EINVAL;
	for (unsigned int i = 0; i < the->nmaps; i++) {
		const struct kernel_map *m = &the->maps[i];

		if (m->in == in && m->ioas == ioas && iova < m->iova + m->len && m->iova < iova + len)
			return -EEXIST;
		total += m->len;
	}
	if (total > the->lock_limit)
		return -ENOMEM;
	if (the->nmaps >= the->map_limit)
		return -ENOSPC;
	the->maps[the->nmaps++] = (struct kernel_map){in, ioas, (void *)(uintptr_t)base, len, iova};
	return 0;
}

static int unmap_memory(const struct kernel_object *in, uint32_t ioas, uint64_t iova, uint64_t len)
{
	if (the->unmap_fails)
		return -EIO;
	for (unsigned int i = 0; i < the->nmaps; i++) {
		if (the->maps[i].in != in || the->maps[i].ioas != ioas || the->maps[i].iova != iova)
			continue;
		assert_int_equal(the->maps[i].len, len);
		the->maps[i] = the->maps[--the->nmaps];
		return 0;
	}
	return -ENOENT;
}

/* ---- type 1 ---- */

static int container_info(const struct kernel_object *ob, struct vfio_iommu_type1_info *info)
{
	struct vfio_iommu_type1_info_cap_iova_range *cap;
	uint32_t at = (sizeof(*info) + 7) & ~7u, len = (uint32_t)(at + sizeof(*cap) + 2 * sizeof(cap->iova_ranges[0]));

	if (!ob->iommu_set)
		return -ENODEV;
	info->flags = VFIO_IOMMU_INFO_PGSIZES | (the->no_ranges ? 0 : VFIO_IOMMU_INFO_CAPS);
	info->iova_pgsizes = 4096;
	if (the->no_ranges)
		return 0;
	if (info->argsz >= len) {
		info->cap_offset = at;
		cap = (void *)((char *)info + at);
		cap->header = (struct vfio_info_cap_header){VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 1, 0};
		cap->nr_iovas = 2;
		cap->iova_ranges[0] = (struct vfio_iova_range){0, 0xfedfffff};
		aperture(ob, 0, (uint64_t *)&cap->iova_ranges[1].start, (uint64_t *)&cap->iova_ranges[1].end);
		if (cap->iova_ranges[1].start < 0xfef00000)
			cap->iova_ranges[1].start = 0xfef00000;
	}
	info->argsz = len;
	return 0;
}

static int container_call(struct kernel_object *ob, unsigned long request, void *arg)
{
	const struct vfio_iommu_type1_dma_map *map = arg;
	const struct vfio_iommu_type1_dma_unmap *unmap = arg;

	switch (request) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		return (uintptr_t)arg == VFIO_TYPE1v2_IOMMU;
	case VFIO_SET_IOMMU:
		if (ob->iommu_set || !members(ob, 0))
			return -EINVAL;
		ob->iommu_set = true;
		return 0;
	case VFIO_IOMMU_GET_INFO:
		return container_info(ob, arg);
	case VFIO_IOMMU_MAP_DMA:
		assert_int_equal(map->flags, VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
		return ob->iommu_set ? map_memory(ob, 0, map->vaddr, map->size, map->iova) : -ENODEV;
	case VFIO_IOMMU_UNMAP_DMA:
		return unmap_memory(ob, 0, unmap->iova, unmap->size);
	}
	return -ENOTTY;
}

static int group_device(const struct kernel_object *ob, const char *address)
{
	int fd;

	if (!ob->in || !ob->in->iommu_set)
		return -EINVAL;
	for (unsigned int i = 0; i < the->nfunctions; i++) {
		if (strcmp(the->functions[i].address, address) || the->functions[i].group != ob->group)
			continue;
		make_device(&the->functions[i], &fd);
		return fd;
	}
	return -ENODEV;
}

static int group_call(struct kernel_object *ob, unsigned long request, void *arg)
{
	struct vfio_group_status *status = arg;
	int err;

	if (ob->dead)
		return -ENODEV;
	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		status->flags = ob->group == the->not_viable ? 0 : VFIO_GROUP_FLAGS_VIABLE;
		return 0;
	case VFIO_GROUP_SET_CONTAINER:
		if (ob->in || ob->group == the->not_viable)
			return -EINVAL;
		err = may_join(ob, object_of(*(int *)arg), 0);
		if (!err)
			ob->in = object_of(*(int *)arg);
		return err;
	case VFIO_GROUP_GET_DEVICE_FD:
		return group_device(ob, arg);
	}
	return -ENOTTY;
}

/* ---- IOMMUFD ---- */

static uint32_t *find_ioas(uint32_t id)
{
	for (size_t i = 0; i < sizeof(the->ioases) / sizeof(the->ioases[0]); i++) {
		if (the->ioases[i] == id)
			return &the->ioases[i];
	}
	return NULL;
}

static int destroy_ioas(struct kernel_object *ob, uint32_t id)
{
	if (!id || !find_ioas(id))
		return -ENOENT;
	if (members(ob, id))
		return -EBUSY;
	forget_maps(ob, id);
	*find_ioas(id) = 0;
	return 0;
}

static int ioas_ranges(const struct kernel_object *ob, struct iommufd_ioas_iova_ranges *get)
{
	struct iommufd_range *out = (void *)(uintptr_t)get->ranges;
	uint32_t room = get->n;

	if (!find_ioas(get->ioas))
		return -ENOENT;
	get->n = 2;
	get->alignment = 4096;
	if (room < 2)
		return -EMSGSIZE;
	out[0] = (struct iommufd_range){0, 0xfedfffff};
	aperture(ob, get->ioas, &out[1].first, &out[1].last);
	if (out[1].first < 0xfef00000)
		out[1].first = 0xfef00000;
	return 0;
}

static int iommufd_call(struct kernel_object *ob, unsigned long request, void *arg)
{
	const struct iommufd_ioas_map *map = arg;
	const struct iommufd_ioas_unmap *unmap = arg;
	struct iommufd_ioas_alloc *alloc = arg;

	/* All of them begin with their size, which the kernel checks. */
	switch (request) {
	case IOMMUFD_IOAS_ALLOC:
		assert_int_equal(alloc->size, 12);
		*find_ioas(0) = alloc->id = the->next_ioas++;
		return 0;
	case IOMMUFD_IOAS_IOVA_RANGES:
		assert_int_equal(*(uint32_t *)arg, 32);
		return ioas_ranges(ob, arg);
	case IOMMUFD_IOAS_MAP:
		assert_int_equal(map->size, 40);
		assert_int_equal(map->flags, 7);
		return find_ioas(map->ioas) ? map_memory(ob, map->ioas, map->base, map->len, map->iova) : -ENOENT;
	case IOMMUFD_IOAS_UNMAP:
		assert_int_equal(unmap->size, 24);
		return unmap_memory(ob, unmap->ioas, unmap->iova, unmap->len);
	case IOMMUFD_DESTROY:
		assert_int_equal(((struct iommufd_destroy *)arg)->size, 8);
		return destroy_ioas(ob, ((struct iommufd_destroy *)arg)->id);
	}
	return -ENOTTY;
}

static int bind_device(struct kernel_object *ob, const struct cdev_bind *bind)
{
	assert_int_equal(bind->argsz, 16);
	if (the->busy && the->busy--)
		return -EINVAL;
	if (ob->in || ob->function->group == the->not_viable)
		return ob->in ? -EINVAL : -EPERM;
	if (ob->function->unsafe)
		return -EPERM;
	ob->in = object_of(bind->iommufd);
	assert_int_equal(ob->in->kind, KERNEL_IOMMUFD);
	return 0;
}

static int attach_device(struct kernel_object *ob, const struct cdev_attach *attach)
{
	int err;

	assert_int_equal(attach->argsz, 12);
	if (!find_ioas(attach->pt))
		return -ENOENT;
	err = may_join(ob, ob->in, attach->pt);
	if (!err)
		ob->ioas = attach->pt;
	return err;
}

/* ---- the device ---- */

static int region(struct vfio_region_info *info)
{
	if (info->index == VFIO_PCI_BAR0_REGION_INDEX) {
		info->flags = VFIO_REGION_INFO_FLAG_MMAP;
		info->size = BAR_LEN;
		info->offset = 0;
		return 0;
	}
	info->size = 4096;
	info->offset = CONFIG_AT;
	return info->index == VFIO_PCI_CONFIG_REGION_INDEX ? 0 : -EINVAL;
}

static int set_irqs(struct kernel_function *fn, const struct vfio_irq_set *set)
{
	assert_int_equal(set->flags, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER);
	assert_true(set->index < 5 && set->argsz == sizeof(*set) + set->count * sizeof(int));
	if (set->index == VFIO_PCI_MSIX_IRQ_INDEX && set->count > the->vectors)
		return the->vectors_untold || !the->vectors ? -ENOSPC : (int)the->vectors;
	fn->nfds[set->index] = set->count;
	memcpy(fn->fds[set->index], set->data, (set->count < 4 ? set->count : 4) * sizeof(int));
	return 0;
}

static int device_call(struct kernel_object *ob, unsigned long request, void *arg)
{
	static const unsigned int counts[] = {1, 1, 9, 1, 1};
	struct vfio_irq_info *irq = arg;

	if (request == CDEV_BIND_IOMMUFD)
		return bind_device(ob, arg);
	if (request == CDEV_ATTACH_IOMMUFD_PT)
		return ob->in ? attach_device(ob, arg) : -EINVAL;
	/* Without a group the device is not accessible before it is bound. */
	if (ob->function->cdev && kernel_open(the, KERNEL_GROUP) == 0 && !ob->ioas)
		return -EINVAL;
	switch (request) {
	case VFIO_DEVICE_GET_REGION_INFO:
		return region(arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		irq->count = irq->index < 5 ? counts[irq->index] : 0;
		return irq->index < 5 ? 0 : -EINVAL;
	case VFIO_DEVICE_SET_IRQS:
		return set_irqs(ob->function, arg);
	}
	return -ENOTTY;
}

int nvmft_sys_ioctl(int fd, unsigned long request, void *arg)
{
	struct kernel_object *ob;

	reap();
	ob = object_of(fd);
	switch (ob->kind) {
	case KERNEL_CONTAINER:
		return container_call(ob, request, arg);
	case KERNEL_GROUP:
		return group_call(ob, request, arg);
	case KERNEL_DEVICE:
		return device_call(ob, request, arg);
	default:
		return iommufd_call(ob, request, arg);
	}
}
