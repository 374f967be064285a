/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The library's backends, driven as the core drives them: submit, flush once, poll.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nvmft/backends.h>

#include "ssd_core.h"
#include "ssd_device.h"

static void backend_submit(struct ssd_load *load, uint32_t n)
{
	const struct nvmft_backend_ops *ops = core.ops;

	for (uint32_t i = 0; i < n; i++)
		ops->submit(&core.channel, ssd_begin(load));
	ops->flush(&core.channel);
}

static uint32_t backend_reap(struct ssd_load *load)
{
	uint32_t before = load->nfree;

	core.ops->poll(&core.channel);
	return load->nfree - before;
}

static void backend_close(struct ssd_load *load)
{
	(void)load;
	core_close();
}

static int uring_open(struct ssd_load *load, const char *device)
{
	struct nvmft_uring_nvme_opts opts = {.size = sizeof(opts), .device = device, .read_only = true};

	return core_open(load, ssd_uring_ops(), &opts);
}

/* @device: ADDRESS[/NSID] */
int ssd_vfio_open(struct ssd_load *load, const char *device)
{
	const char *slash = strchr(device, '/');
	char address[64];
	struct nvmft_vfio_nvme_opts opts = {
		.size = sizeof(opts), .address = address, .nsid = slash ? (uint32_t)atoi(slash + 1) : 1};
	size_t len = slash ? (size_t)(slash - device) : strlen(device);
	int ret, tries;

	if (len >= sizeof(address))
		return -1;
	memcpy(address, device, len);
	address[len] = '\0';
	ret = core_open(load, nvmft_backend_vfio_nvme(), &opts);
	/* The queue is there when the first I/O is over. */
	if (ret == 0) {
		backend_submit(load, 1);
		for (tries = 0; !backend_reap(load) && tries < 10000; tries++) {
			ssd_device_step();
			core.ops->flush(&core.channel);
			usleep(1000);
		}
	}
	return ret;
}

const struct ssd_way ssd_uring_backend = {
	.name = "uring",
	.open = uring_open,
	.submit = backend_submit,
	.reap = backend_reap,
	.close = backend_close,
};

const struct ssd_way ssd_vfio_backend = {
	.name = "vfio",
	.open = ssd_vfio_open,
	.submit = backend_submit,
	.reap = backend_reap,
	.close = backend_close,
};
