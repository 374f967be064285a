/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_SSD_RING_H
#define BENCH_SSD_RING_H

/* What was submitted is over: found as the kernel lets it be found, with a call. */
void ssd_ring_step(void);

#endif
