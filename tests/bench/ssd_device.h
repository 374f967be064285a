/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_SSD_DEVICE_H
#define BENCH_SSD_DEVICE_H

#include <nvmft/provider/backend.h>

#include "ssd.h"

/*
 * The devices: ssd_real.c has those of the machine; ssd_model.c a controller in memory for VFIO, and ssd_ring.c a
 * kernel for io_uring, whose instructions are counted for nobody.
 */

/* The io_uring backend, and how its loop opens /dev/ngXnY. Return: 0 or -errno. */
const struct nvmft_backend_ops *ssd_uring_ops(void);
int ssd_uring_open(struct ssd_load *load, const char *device, int *fd, uint32_t *nsid);

/* Let the device do what it was told. */
void ssd_device_step(void);

/* Open a namespace behind VFIO by the backend, which knows how, to the point where I/O goes through. */
int ssd_vfio_open(struct ssd_load *load, const char *device);

#endif
