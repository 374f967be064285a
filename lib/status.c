/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "spec.h"
#include "util.h"

/*
 * What a host should do next decides the choice: without DNR it may try again here, with DNR it gives the error to
 * whoever issued the command.
 */
static const struct {
	int err;
	nvmft_status status;
} errno_status[] = {
	/* short of something for a moment */
	{EAGAIN, SC(CMD_INTERRUPTED)},
	{EBUSY, SC(CMD_INTERRUPTED)},
	{EINTR, SC(CMD_INTERRUPTED)},
	{ENOMEM, SC(CMD_INTERRUPTED)},
	{ECANCELED, SC(ABORT_REQ)},
	{EBADMSG, SC(TRAN_TPORT_ERROR)},
	{ETIMEDOUT, SC(INTERNAL)},
	{EIO, SC(INTERNAL)},
	/* the command cannot succeed */
	{EINVAL, SC_DNR(INVALID_FIELD)},
	{EOPNOTSUPP, SC_DNR(INVALID_OPCODE)},
	{ENOSYS, SC_DNR(INVALID_OPCODE)},
	{EROFS, SC_DNR(NS_WRITE_PROTECTED)},
	{EPERM, SC_DNR(NS_WRITE_PROTECTED)},
	{EACCES, SC_MEDIA(ACCESS_DENIED) | NVMFT_STATUS_DNR},
	{ENOSPC, SC_DNR(CAP_EXCEEDED)},
	{EDQUOT, SC_DNR(CAP_EXCEEDED)},
	{EFBIG, SC_DNR(LBA_RANGE)},
	{ERANGE, SC_DNR(LBA_RANGE)},
	{EOVERFLOW, SC_DNR(LBA_RANGE)},
	/* the medium lost the data: ENODATA and EILSEQ are what the Linux block layer makes of it */
	{ENODATA, SC_MEDIA(READ_ERROR) | NVMFT_STATUS_DNR},
	{EILSEQ, SC_MEDIA(GUARD_CHECK) | NVMFT_STATUS_DNR},
};

nvmft_status nvmft_status_from_errno(int err)
{
	if (err == 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(errno_status); i++)
		if (errno_status[i].err == -err)
			return errno_status[i].status;
	return SC_DNR(INTERNAL);
}
