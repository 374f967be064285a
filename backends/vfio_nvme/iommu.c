/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The address spaces that a target's devices see: one for all of them, so that memory is locked once, and more of them
 * only for devices whose IOMMUs do not go together. Functions of an IOMMU group see the same one in any case.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iommu.h"

/* ---- the object that the devices of a target share ---- */

static int iommu_create(struct nvmft_shared *shared, const struct nvmft_backend *backend, const void *arg)
{
	struct iommu *iommu = (struct iommu *)(void *)shared;

	(void)backend;
	(void)arg;
	iommu->fd = -1;
	return -pthread_mutex_init(&iommu->lock, NULL);
}

static void iommu_idle(struct nvmft_shared *shared)
{
	struct iommu *iommu = (struct iommu *)(void *)shared;

	close_fd(&iommu->fd);
}

static void iommu_destroy(struct nvmft_shared *shared)
{
	struct iommu *iommu = (struct iommu *)(void *)shared;

	pthread_mutex_destroy(&iommu->lock);
}

static const struct nvmft_shared_ops iommu_ops = {
	.create = iommu_create,
	.idle = iommu_idle,
	.destroy = iommu_destroy,
};

/* ---- groups and spaces; context: locked ---- */

/* Not one whose devices are all unplugged: another one may have its number now. */
static struct group *find_group(const struct iommu *iommu, unsigned int number)
{
	for (struct space *space = iommu->spaces; space; space = space->next) {
		for (struct group *group = space->groups; group; group = group->next) {
			if (group->number == number && space->ops->lives(group))
				return group;
		}
	}
	return NULL;
}

static void drop_space(struct space *space)
{
	struct space **at = &space->iommu->spaces;

	while (*at && *at != space)
		at = &(*at)->next;
	if (*at)
		*at = space->next;
	space->ops->close(space);
	free(space->maps);
	free(space);
}

static void drop_group(struct group *group)
{
	struct space *space = group->space;
	struct group **at;

	if (--group->refs)
		return;
	if (space) {
		for (at = &space->groups; *at != group; at = &(*at)->next)
			;
		*at = group->next;
	}
	/* Type 1: takes the group out of the container, and with the last one goes all that is mapped. */
	close_fd(&group->fd);
	free(group);
	if (space && !space->groups)
		drop_space(space);
}

static int make_space(struct iommu *iommu, const struct space_ops *ops, const struct vfio *vfio, struct space **out)
{
	struct space *space = calloc(1, sizeof(*space));
	int err;

	if (!space)
		return -ENOMEM;
	space->iommu = iommu;
	space->ops = ops;
	space->fd = -1;
	err = ops->create(space, vfio);
	if (err)
		drop_space(space);
	else
		*out = space;
	return err;
}

static int complain(const struct vfio *vfio, const struct space_ops *ops, int err)
{
	if (err == -EPERM)
		return nvmft_vfio_complain(
			vfio, err,
			"the platform cannot keep the device from raising interrupts of others: turn interrupt "
			"remapping on in the firmware, or load vfio_iommu_type1 with allow_unsafe_interrupts=1");
	return nvmft_vfio_complain(vfio, err, "the IOMMU does not take it (%s): %s", ops->name, strerrordesc_np(-err));
}

static int attach(struct space *space, struct vfio *vfio)
{
	struct group *group = vfio->group;
	int err = space->ops->attach(space, vfio);

	if (err)
		return err;
	vfio->space = space;
	if (!group->space) {
		group->space = space;
		group->next = space->groups;
		space->groups = group;
	}
	/* With the device there may be fewer addresses than before. */
	space->first = space->last = 0;
	err = space->ops->ranges(space);
	if (!space->last)
		nvmft_space_range(space, IOVA_FIRST, IOVA_LAST);
	return err;
}

/* Into a space that there is, if the IOMMU takes it there, else into a new one. */
static int enter(struct iommu *iommu, const struct space_ops *ops, struct vfio *vfio)
{
	struct space *space;
	int err;

	for (space = iommu->spaces; space; space = space->next) {
		if (space->ops != ops)
			continue;
		err = attach(space, vfio);
		if (!err)
			return 0;
		if (vfio->space)
			return complain(vfio, ops, err);
	}
	err = make_space(iommu, ops, vfio, &space);
	if (err)
		return err;
	err = attach(space, vfio);
	if (err && !vfio->space)
		drop_space(space);
	if (err)
		return complain(vfio, ops, err);
	if (iommu->spaces)
		nvmft_device_log(
			&vfio->pub, NVMFT_LOG_INFO,
			"shares no IOMMU mappings with the devices that there are: memory is locked for it anew");
	space->next = iommu->spaces;
	iommu->spaces = space;
	return 0;
}

/* ---- a device comes and goes ---- */

/* A group that is open cannot be opened again, not even by the same program: its other functions use it, too. */
static int take_group(struct vfio *vfio)
{
	struct group *group;

	pthread_mutex_lock(&vfio->iommu->lock);
	group = find_group(vfio->iommu, vfio->group_number);
	if (group)
		group->refs++;
	pthread_mutex_unlock(&vfio->iommu->lock);
	if (!group) {
		group = calloc(1, sizeof(*group));
		if (!group)
			return -ENOMEM;
		*group = (struct group){.number = vfio->group_number, .fd = -1, .refs = 1};
	}
	vfio->group = group;
	return 0;
}

static const struct space_ops *choose(const struct vfio *vfio, enum nvmft_vfio_iommu how)
{
	if (vfio->group->space)
		return vfio->group->space->ops;
	if (how == NVMFT_VFIO_AUTO)
		how = nvmft_iommufd_usable(vfio) ? NVMFT_VFIO_IOMMUFD : NVMFT_VFIO_TYPE1;
	return how == NVMFT_VFIO_IOMMUFD ? &nvmft_iommufd_ops : &nvmft_type1_ops;
}

int nvmft_iommu_join(const struct nvmft_backend *backend, struct vfio *vfio, enum nvmft_vfio_iommu how)
{
	struct nvmft_shared *shared;
	const struct space_ops *ops;
	int err = nvmft_shared_get(backend, "vfio-iommu", &iommu_ops, sizeof(struct iommu), NULL, &shared);

	if (err)
		return err;
	vfio->iommu = (struct iommu *)(void *)shared;
	err = take_group(vfio);
	if (err)
		return err;
	ops = choose(vfio, how);
	err = ops->claim(vfio);
	if (err)
		return err;
	pthread_mutex_lock(&vfio->iommu->lock);
	if (vfio->group->space) {
		err = attach(vfio->group->space, vfio);
		if (err)
			complain(vfio, ops, err);
	} else {
		err = enter(vfio->iommu, ops, vfio);
	}
	pthread_mutex_unlock(&vfio->iommu->lock);
	return err ? err : ops->device(vfio);
}

void nvmft_iommu_leave(struct vfio *vfio)
{
	if (!vfio->iommu)
		return;
	/* Resets the device, which takes long: before others are kept from mapping memory. */
	close_fd(&vfio->fd);
	pthread_mutex_lock(&vfio->iommu->lock);
	if (vfio->group)
		drop_group(vfio->group);
	pthread_mutex_unlock(&vfio->iommu->lock);
	nvmft_shared_put(&vfio->iommu->shared);
}

int nvmft_iommu_map(struct vfio *vfio, void *base, size_t len, uint64_t *iova)
{
	int err;

	pthread_mutex_lock(&vfio->iommu->lock);
	err = nvmft_space_map(vfio->space, vfio, base, len, iova);
	pthread_mutex_unlock(&vfio->iommu->lock);
	return err;
}

void nvmft_iommu_unmap(struct vfio *vfio, uint64_t iova)
{
	pthread_mutex_lock(&vfio->iommu->lock);
	nvmft_space_unmap(vfio->space, iova);
	pthread_mutex_unlock(&vfio->iommu->lock);
}
