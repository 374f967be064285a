/* SPDX-License-Identifier: BSD-3-Clause */
/* Built without the backend: opening it says what was missing. */
#include <errno.h>

#include <nvmft/backends.h>
#include <nvmft/provider/backend.h>

static int no_open(struct nvmft_backend *backend, const void *opts)
{
	(void)opts;
	nvmft_backend_log(backend, NVMFT_LOG_ERROR,
			  "this library was built without NVMe passthrough: it needs the kernel headers of Linux 6.1 "
			  "and liburing 2.3, see the build option uring_nvme");
	return -EOPNOTSUPP;
}

static void no_close(struct nvmft_backend *backend)
{
	(void)backend;
}

static int no_info(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	(void)backend;
	(void)info;
	return -EOPNOTSUPP;
}

static void no_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	(void)channel;
	nvmft_io_done(io, nvmft_status_from_errno(-EOPNOTSUPP));
}

static const struct nvmft_backend_ops no_ops = {
	.size = sizeof(struct nvmft_backend_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "uring_nvme",
	.open = no_open,
	.close = no_close,
	.info = no_info,
	.submit = no_submit,
};

const struct nvmft_backend_ops *nvmft_backend_uring_nvme(void)
{
	return &no_ops;
}
