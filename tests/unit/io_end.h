/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TESTS_IO_END_H
#define NVMFT_TESTS_IO_END_H

/* Where the I/O of a backend under test ends, in place of the library: it is counted. */
#include <nvmft/provider/backend.h>

/* Each errno has a status of its own. */
#define STATUS_OF(err) ((nvmft_status)(0x600 + (err)))

static unsigned int dones, logs;
static nvmft_status done_status; /* of the last one */

void nvmft_io_done(struct nvmft_io *io, nvmft_status status)
{
	(void)io;
	dones++;
	done_status = status;
}

nvmft_status nvmft_status_from_errno(int err)
{
	return err ? STATUS_OF(-err) : 0;
}

void nvmft_backend_log(const struct nvmft_backend *backend, enum nvmft_log_level level, const char *format, ...)
{
	(void)backend;
	(void)level;
	(void)format;
	logs++;
}

static inline void io_end_reset(void)
{
	dones = logs = 0;
	done_status = 0xffff;
}

#endif
