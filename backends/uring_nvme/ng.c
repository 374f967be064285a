/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NVMe SSDs by commands of their own, through the kernel's driver: /dev/ngXnY and io_uring.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../options.h"
#include "find.h"
#include "ng.h"

static int fail(const struct nvmft_backend *backend, int err, const char *path, const char *what)
{
	nvmft_backend_log(backend, NVMFT_LOG_ERROR, "device: %s: %s: %s", path, what, strerrordesc_np(-err));
	return err;
}

/* ---- which device ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* /dev/nvme0n1 -> /dev/ng0n1, and a path that names the character device stays. NULL: neither. */
static char *char_path(const char *path)
{
	const char *base = base_name(path);
	unsigned int ctrl, ns;
	char *out = NULL;
	int end = 0;

	if (sscanf(base, "nvme%un%u%n", &ctrl, &ns, &end) == 2 && !base[end]) {
		if (asprintf(&out, "%.*sng%un%u", (int)(base - path), path, ctrl, ns) < 0)
			return NULL;
		return out;
	}
	end = 0;
	if (sscanf(base, "ng%un%u%n", &ctrl, &ns, &end) == 2 && !base[end])
		return strdup(path);
	return NULL;
}

/* Links like /dev/disk/by-id/... end at the device itself. */
static int path_of_device(const struct nvmft_backend *backend, const char *device, char **path)
{
	char *real = realpath(device, NULL);

	*path = char_path(real ? real : device);
	free(real);
	if (*path)
		return 0;
	nvmft_backend_log(backend, NVMFT_LOG_ERROR,
			  "device: %s is no namespace of an NVMe device: expected /dev/ngXnY or /dev/nvmeXnY", device);
	return -EINVAL;
}

static int path_by_search(const struct nvmft_backend *backend, const struct nvmft_uring_nvme_opts *o, char **path)
{
	const char *what = o->serial && *o->serial ? o->serial : o->subnqn;
	unsigned int found = 0;
	char name[32];
	int ret = nvmft_ng_find_name(o, name, sizeof(name), &found);

	if (ret == -ENOSYS) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR,
				  "serial, subnqn: this library was built without libnvme; name the device instead");
		return -EOPNOTSUPP;
	}
	if (ret || !found) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR,
				  "no NVMe namespace of %s is here, or it has no character device", what);
		return ret ? ret : -ENODEV;
	}
	if (found > 1) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "%s has %u namespaces: nsid says which", what, found);
		return -EINVAL;
	}
	return asprintf(path, "/dev/%s", name) < 0 ? -ENOMEM : 0;
}

static int find_path(const struct nvmft_backend *backend, const struct nvmft_uring_nvme_opts *o)
{
	struct ng_backend *ng = backend->priv;
	bool named = (o->serial && *o->serial) || (o->subnqn && *o->subnqn);

	if (o->device && *o->device && !named)
		return path_of_device(backend, o->device, &ng->path);
	if (named && !(o->device && *o->device))
		return path_by_search(backend, o, &ng->path);
	nvmft_backend_log(backend, NVMFT_LOG_ERROR, "device, or serial or subnqn: one of them is required");
	return -EINVAL;
}

/* ---- opening ---- */

static int open_failed(const struct nvmft_backend *backend, int err)
{
	const struct ng_backend *ng = backend->priv;

	if (err == -ENOENT)
		nvmft_backend_log(backend, NVMFT_LOG_ERROR,
				  "device: %s does not exist: either there is no such device, or this kernel makes no "
				  "character devices for NVMe namespaces (Linux 6.1 or later does)",
				  ng->path);
	else if (err == -EACCES || err == -EPERM)
		nvmft_backend_log(backend, NVMFT_LOG_ERROR,
				  "device: %s: no permission: run as root, or give access to it and CAP_SYS_ADMIN",
				  ng->path);
	else
		fail(backend, err, ng->path, "cannot be opened");
	return err;
}

static int open_device(const struct nvmft_backend *backend)
{
	struct ng_backend *ng = backend->priv;
	struct stat st;
	int nsid;

	ng->fd = open(ng->path, O_CLOEXEC | (ng->read_only ? O_RDONLY : O_RDWR));
	if (ng->fd < 0)
		return open_failed(backend, -errno);
	if (fstat(ng->fd, &st) < 0 || !S_ISCHR(st.st_mode))
		return fail(backend, -ENOTTY, ng->path, "not a character device");
	nsid = ioctl(ng->fd, NVME_IOCTL_ID);
	if (nsid < 0)
		return fail(backend, -errno, ng->path, "not the character device of an NVMe namespace");
	ng->nsid = (uint32_t)nsid;
	ng->head = nvmft_ng_is_head(ng->fd);
	return 0;
}

/*
 * Passthrough asks nobody: a mounted file system would be overwritten. So the block device is held as a file system
 * would hold it, which also keeps other targets away. A namespace that the kernel makes no block device of has none.
 */
static int claim(const struct nvmft_backend *backend)
{
	struct ng_backend *ng = backend->priv;
	const char *base = base_name(ng->path);
	char *block;

	if (ng->read_only)
		return 0;
	if (asprintf(&block, "%.*snvme%s", (int)(base - ng->path), ng->path, base + strlen("ng")) < 0)
		return -ENOMEM;
	ng->claim_fd = open(block, O_RDONLY | O_EXCL | O_CLOEXEC);
	if (ng->claim_fd < 0 && errno == EBUSY) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR,
				  "device: %s is in use by the system or another target, perhaps mounted", block);
		free(block);
		return -EBUSY;
	}
	free(block);
	return 0;
}

static int check_options(const struct nvmft_backend *backend, const struct nvmft_uring_nvme_opts *o)
{
	const struct ng_backend *ng = backend->priv;

	if (o->nsid && o->nsid != ng->nsid) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "nsid: %" PRIu32 ", but %s is namespace %" PRIu32, o->nsid,
				  ng->path, ng->nsid);
		return -EINVAL;
	}
	if (o->iopoll && o->nadmin_commands) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR,
				  "admin_commands: not with iopoll, as the queue for them cannot be polled");
		return -EINVAL;
	}
	if (o->iopoll && !nvmft_ng_can_poll(ng)) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR,
				  "iopoll: %s has no queues for polling (module parameter nvme.poll_queues)", ng->path);
		return -EOPNOTSUPP;
	}
	return 0;
}

/* ---- what was asked for beyond reading and writing ---- */

static int ctrl_failed(const struct nvmft_backend *backend, int err)
{
	const struct ng_backend *ng = backend->priv;

	if (err == -EACCES || err == -EPERM)
		nvmft_backend_log(
			backend, NVMFT_LOG_ERROR,
			"admin_commands: no permission for the controller of %s, /dev/nvmeX: run as root, or give "
			"access to it and CAP_SYS_ADMIN",
			ng->path);
	else
		nvmft_backend_log(
			backend, NVMFT_LOG_ERROR,
			"admin_commands: the controller of %s, /dev/nvmeX, cannot be opened, or is not known here "
			"(/sys, /dev): %s",
			ng->path, strerrordesc_np(-err));
	return err;
}

static int open_ctrls(const struct nvmft_backend *backend, const struct nvmft_uring_nvme_opts *o)
{
	struct ng_backend *ng = backend->priv;
	int ret;

	if (!o->nadmin_commands)
		return 0;
	for (size_t i = 0; i < o->nadmin_commands; i++)
		nvmft_opcodes_add(&ng->admin_commands, o->admin_commands[i]);
	ret = nvmft_ng_ctrls_open(ng);
	return ret < 0 ? ctrl_failed(backend, ret) : 0;
}

static int check_reservations(const struct nvmft_backend *backend)
{
	const struct ng_backend *ng = backend->priv;

	if (!ng->reservations || (ng->facts.ctrl.oncs & SSD_ONCS_RESERVATIONS && ng->facts.reservations))
		return 0;
	nvmft_backend_log(backend, NVMFT_LOG_ERROR, "reservations: %s does not have them", ng->path);
	return -EOPNOTSUPP;
}

static int make_metadata(const struct nvmft_backend *backend)
{
	struct ng_backend *ng = backend->priv;

	if (!ng->facts.metadata)
		return 0;
	if (posix_memalign(&ng->zeroes, 4096, NG_METADATA_BYTES) ||
	    posix_memalign(&ng->waste, 4096, NG_METADATA_BYTES)) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "no memory");
		return -ENOMEM;
	}
	memset(ng->zeroes, 0, NG_METADATA_BYTES);
	return 0;
}

/* ---- opening and closing ---- */

static void ng_close(struct nvmft_backend *backend)
{
	struct ng_backend *ng = backend->priv;

	nvmft_ng_unwatch(backend);
	nvmft_ng_ctrls_close(ng);
	if (ng->claim_fd >= 0)
		close(ng->claim_fd);
	if (ng->fd >= 0)
		close(ng->fd);
	pthread_mutex_destroy(&ng->lock);
	free(ng->zeroes);
	free(ng->waste);
	free(ng->path);
}

static int look_at(const struct nvmft_backend *backend)
{
	struct ng_backend *ng = backend->priv;
	const struct ng_ask ask = {ng->fd, ng->nsid, ng->path, backend};
	int err = nvmft_ng_facts(&ask, &ng->facts);

	if (!err)
		err = check_reservations(backend);
	if (!err)
		err = make_metadata(backend);
	if (err)
		return err;
	ng->block_size = ng->facts.block_size;
	nvmft_ng_limits(backend);
	return nvmft_ng_probe(backend);
}

static int watch(struct nvmft_backend *backend)
{
	const struct ng_backend *ng = backend->priv;
	struct nvmft_backend_info info = {.size = sizeof(info)};

	nvmft_ng_put_info(ng, &ng->facts, &info);
	return nvmft_ng_watch(backend, &info);
}

static void init(struct ng_backend *ng, const struct nvmft_uring_nvme_opts *o)
{
	pthread_mutex_init(&ng->lock, NULL);
	ng->fd = ng->claim_fd = -1;
	for (unsigned int i = 0; i < NG_CTRLS; i++)
		atomic_init(&ng->ctrl_fd[i], -1);
	ng->read_only = o->read_only;
	ng->iopoll = o->iopoll;
	ng->reservations = o->reservations;
}

static int ng_open(struct nvmft_backend *backend, const void *opts)
{
	struct ng_backend *ng = backend->priv;
	struct nvmft_uring_nvme_opts o;
	int err = backend_options(backend, &o, sizeof(o), opts);

	if (err)
		return err;
	init(ng, &o);
	err = find_path(backend, &o);
	if (!err)
		err = open_device(backend);
	if (!err)
		err = claim(backend);
	if (!err)
		err = check_options(backend, &o);
	if (!err)
		err = look_at(backend);
	if (!err)
		err = open_ctrls(backend, &o);
	if (!err)
		err = watch(backend);
	if (err)
		ng_close(backend);
	return err;
}

/* Asks the device anew: it may have been resized, or write protected. */
static int ng_info(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	const struct ng_backend *ng = backend->priv;
	const struct ng_ask ask = {ng->fd, ng->nsid, ng->path, backend};
	struct ssd_facts facts;
	int err = nvmft_ng_facts(&ask, &facts);

	if (err)
		return err;
	if (!nvmft_ssd_same_format(&facts, &ng->facts)) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "device: %s has another format now", ng->path);
		return -EINVAL;
	}
	nvmft_ng_put_info(ng, &facts, info);
	return 0;
}

static const struct nvmft_backend_ops ng_ops = {
	.size = sizeof(struct nvmft_backend_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "uring_nvme",
	.backend_size = sizeof(struct ng_backend),
	.channel_size = sizeof(struct ng_channel),
	.io_size = sizeof(struct ng_io),
	.open = ng_open,
	.close = ng_close,
	.info = ng_info,
	.channel_open = nvmft_ng_channel_open,
	.channel_close = nvmft_ng_channel_close,
	.submit = nvmft_ng_submit,
	.flush = nvmft_ng_flush,
	.poll = nvmft_ng_poll,
	.arm = nvmft_ng_arm,
	.region_add = nvmft_ng_region_add,
	.region_remove = nvmft_ng_region_remove,
};

const struct nvmft_backend_ops *nvmft_backend_uring_nvme(void)
{
	return &ng_ops;
}
