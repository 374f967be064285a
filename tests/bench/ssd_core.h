/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_SSD_CORE_H
#define BENCH_SSD_CORE_H

#include "ssd.h"

/* A backend, opened without the library, with one channel and one region. */
struct core {
	const struct nvmft_backend_ops *ops;
	struct nvmft_backend backend;
	struct nvmft_channel channel;
	struct nvmft_region region;
};

extern struct core core;

int core_open(struct ssd_load *load, const struct nvmft_backend_ops *ops, const void *opts);
void core_close(void);

#endif
