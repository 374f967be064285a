/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TESTS_TOYS_H
#define NVMFT_TESTS_TOYS_H

/*
 * Backends of other kinds than the library's: RAM each, so that the ways of completing are what differs.
 *   minimal  the four required functions, Read and Write; the core does the rest
 *   polled   takes I/Os at ops->flush like a device with a doorbell, completes them in ops->poll; has Compare
 *   thread   completes from a thread of its own
 */

#include <nvmft/provider/backend.h>

struct toy_opts {
	size_t size;
	uint64_t bytes;
	uint32_t block_size;
};

extern const struct nvmft_backend_ops toy_minimal, toy_polled, toy_thread;

#endif
