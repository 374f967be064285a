/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What becomes of the answers of the kernel and the device.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "ng.h"

#define STATUS_CODE 0x7ff
/* Linux makes these up itself for a command that has no path to the device or lost it. */
#define STATUS_LINUX_PATH NVMFT_STATUS(3, 0x70)
#define STATUS_LINUX_ABORTED NVMFT_STATUS(3, 0x71)

bool nvmft_ng_is_gone(int res)
{
	return res == -ENODEV || res == -ENXIO;
}

/*
 * How an I/O fails whose device is gone, resets or has no path: the host may try again, here or elsewhere. A device
 * with several controllers answers EINVAL when it has lost all of them, as it does to a command that cannot be.
 */
static nvmft_status status_of_errno(const struct ng_backend *ng, int err)
{
	switch (-err) {
	case ENODEV:
	case ENXIO:
	case EIO:
	case EINTR:
		return NG_STATUS_NOT_READY;
	case EINVAL:
		if (ng->head || ioctl(ng->fd, NVME_IOCTL_ID) < 0)
			return NG_STATUS_NOT_READY;
		return nvmft_status_from_errno(err);
	default:
		return nvmft_status_from_errno(err);
	}
}

nvmft_status nvmft_ng_status(const struct ng_backend *ng, int res)
{
	nvmft_status status = (nvmft_status)(res & SSD_STATUS_KEPT);

	if (res < 0)
		return status_of_errno(ng, res);
	if ((status & STATUS_CODE) == STATUS_LINUX_PATH || (status & STATUS_CODE) == STATUS_LINUX_ABORTED)
		return NG_STATUS_NOT_READY;
	return status;
}

bool nvmft_ng_is_suspicious(const struct nvmft_io *io, int res)
{
	nvmft_status status = (nvmft_status)res;

	if (res < 0)
		return nvmft_ng_is_gone(res);
	/* What a host makes up itself proves nothing; that the device is being formatted it cannot make up. */
	return ssd_is_formatting(status) || (ssd_is_sign(status) && io->op != NVMFT_IO_COMMAND);
}
