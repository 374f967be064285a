/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_FILE_H
#define NVMFT_BACKENDS_FILE_H

#include <stdatomic.h>
#include <sys/uio.h>

#include <nvmft/backends.h>
#include <nvmft/provider/backend.h>
#include <nvmft/provider/ring.h>

/* Written where the file system cannot zero a range by itself. */
#define FILE_ZEROES_LEN (1u << 20)

/* Pieces of a buffer that go into one operation; more take several. Few, as wrappers share the I/O's private bytes. */
#define FILE_IOVECS 2

/*
 * struct file_backend - an open file; after open only the atomics change
 * @align: of buffers in memory, 1 through the page cache
 * @bytes: size that the options ask for, 0: the file's own
 * @range_align: what ranges of fallocate(2) must be multiples of: larger than a block on a device with larger ones
 * @can_punch: deallocate
 * @zero_range_fails: found out by trying, as there is no harmless way to ask
 * @lost_writes: a flush of the page cache failed
 * @reported: the first failed I/O was logged
 */
struct file_backend {
	int fd;
	char *path;
	void *zeroes;
	uint64_t bytes;
	uint32_t block_size;
	uint32_t align;
	uint32_t range_align;
	uint32_t io_bytes;
	bool direct;
	bool block_device;
	bool read_only;
	bool can_punch;
	bool sparse;
	atomic_bool zero_range_fails;
	atomic_bool lost_writes;
	atomic_bool reported;
};

/* What the operation on the ring is. */
enum file_step {
	FILE_READ,
	FILE_WRITE,
	FILE_WRITE_ZEROES, /* from the page of zeroes */
	FILE_PUNCH,
	FILE_ZERO_RANGE,
	FILE_SYNC,
};

/*
 * struct file_io - an I/O and the one operation that it has on the ring
 * @finished: bytes that earlier operations moved: the kernel may do less than it was asked for
 */
struct file_io {
	struct nvmft_ring_op op;
	struct nvmft_io *io;
	uint64_t finished;
	uint8_t step;
	bool aborted;
	struct iovec vec[FILE_IOVECS];
};

/* open.c */
int nvmft_file_open(struct nvmft_backend *backend, const void *opts);
void nvmft_file_close(struct nvmft_backend *backend);
/* Size in bytes now. Return: 0 or -errno, logged. */
int nvmft_file_size(const struct nvmft_backend *backend, uint64_t *bytes);

#endif
