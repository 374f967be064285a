/* SPDX-License-Identifier: BSD-3-Clause */
/* Stands in where the backend was not built. */
#include <errno.h>

#include <nvmft/backends.h>
#include <nvmft/provider/backend.h>

static int no_open(struct nvmft_backend *backend, const void *opts)
{
	(void)opts;
	nvmft_backend_log(backend, NVMFT_LOG_ERROR, "this library was built without it (meson option vfio_nvme)");
	return -ENOSYS;
}

static void no_close(struct nvmft_backend *backend)
{
	(void)backend;
}

static int no_info(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	(void)backend;
	(void)info;
	return -ENOSYS;
}

static void no_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	(void)channel;
	nvmft_io_done(io, nvmft_status_from_errno(-ENOSYS));
}

static const struct nvmft_backend_ops no_ops = {
	.size = sizeof(struct nvmft_backend_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "vfio",
	.open = no_open,
	.close = no_close,
	.info = no_info,
	.submit = no_submit,
};

const struct nvmft_backend_ops *nvmft_backend_vfio_nvme(void)
{
	return &no_ops;
}
