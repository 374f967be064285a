/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TESTS_VFIO_NVME_WORLD_H
#define NVMFT_TESTS_VFIO_NVME_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model.h"

#define DEPTH 7u
#define BUFFERS 64u
#define BUFFER_LEN (2u << 20)

/* An I/O of the test. */
struct test_io {
	struct nvmft_io io;
	struct nvmft_iov iov[2];
	unsigned int done;
	_Alignas(16) unsigned char priv[NVMFT_IO_PRIV_MAX];
};

/* The core as the driver sees it, one channel, a controller behind it. */
struct world {
	struct model *m;
	struct nvmft_channel channel;
	struct vfio_nvme vn;
	struct vfio_channel ch;
	uint8_t *buffers;
	bool opened, attached;
};

struct world *world_create(void);
/* Open the backend and its channel. Return: what they returned. */
int world_open(struct world *w, uint32_t depth);
/* Close what is open; nothing stays mapped. */
void world_close(struct world *w);
void world_free(struct world *w);

/* The last line of the log has this in it. */
void expect_log(const char *text);

void submit(struct world *w, struct test_io *t, enum nvmft_io_op op, uint64_t lba, uint32_t blocks, size_t at);
/* A pass of the poll group: model, poll, flush. */
void pass(struct world *w);
/* Time goes by, with the driver's timer and passes. */
void run_for(struct world *w, uint64_t ns);

#endif
