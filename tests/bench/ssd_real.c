/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include <nvme/types.h>
#include <nvmft/backends.h>

#include "ssd_device.h"

const struct nvmft_backend_ops *ssd_uring_ops(void)
{
	return nvmft_backend_uring_nvme();
}

int ssd_uring_open(struct ssd_load *load, const char *device, int *fd, uint32_t *nsid)
{
	struct nvme_id_ns *id = aligned_alloc(4096, sizeof(*id));
	struct nvme_admin_cmd cmd = {.opcode = nvme_admin_identify, .addr = (uintptr_t)id, .data_len = sizeof(*id)};
	int ret;

	*fd = open(device, O_RDONLY | O_CLOEXEC);
	if (!id || *fd < 0)
		return -errno;
	ret = ioctl(*fd, NVME_IOCTL_ID);
	if (ret > 0) {
		cmd.nsid = *nsid = (uint32_t)ret;
		ret = ioctl(*fd, NVME_IOCTL_ADMIN_CMD, &cmd);
	}
	if (ret == 0) {
		load->block_size = 1u << id->lbaf[id->flbas & 0xf].ds;
		load->blocks = le64toh(id->nsze);
	}
	free(id);
	return ret ? -EIO : 0;
}

void ssd_device_step(void)
{
}
