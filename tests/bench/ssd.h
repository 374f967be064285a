/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_SSD_H
#define BENCH_SSD_H

#include <nvmft/provider/backend.h>

/*
 * 4 KiB random reads of an NVMe SSD, in several ways: by raw loops, and by the library's backends. All get the same
 * struct nvmft_io to do, which does not tell that it will always be a read of 4 KiB.
 *
 * A raw loop is what one writes who knows the device and wants nothing else: one queue, one namespace, reads and
 * writes of one buffer in one piece of memory. It does all that a driver has to: every entry is written as a whole,
 * every completion is checked for being new, for being an answer to something and for its status, there is one doorbell
 * or system call for a batch, and each I/O ends with a call of what its owner named. It goes without what is there for
 * others or for bad days: other commands and formats, buffers in pieces, splitting, I/O that waits for room, Aborts,
 * timeouts, resets, sleeping. Making the I/Os and taking them back is counted for loops and backends alike.
 */

#define SSD_BS 4096u
#define SSD_DEPTH_MAX 128u
#define SSD_BUFFER_BYTES (2u << 20) /* a region as the engine has them */

/* An I/O, the bytes that a backend wants with it, and what loops call when it is over, as nvmft_io_done() is theirs. */
struct ssd_io {
	struct nvmft_io io; /* first */
	struct nvmft_iov iov;
	struct ssd_load *load;
	void (*over)(struct nvmft_io *io, nvmft_status status);
	uint16_t index;
	_Alignas(64) uint8_t priv[NVMFT_IO_PRIV_MAX];
};

/*
 * struct ssd_load - what is read
 * @block_size, @blocks: of the namespace
 * @next: which block of 4 KiB, modulo @mask + 1
 * @shift: from there to logical blocks
 * @buffers: one of 4 KiB for each of @ios
 * @free, @nfree: indices of those that are not under way
 * @batch: the way may wait until all that was submitted is over
 */
struct ssd_load {
	uint32_t block_size;
	uint32_t shift;
	uint64_t blocks;
	uint64_t next;
	uint64_t mask;
	uint8_t *buffers;
	struct ssd_io *ios;
	uint32_t blocks_per_io;
	uint32_t depth;
	uint32_t nfree;
	bool batch;
	uint64_t errors;
	uint16_t free[SSD_DEPTH_MAX];
};

/*
 * struct ssd_way - a way to the device
 * @open: sets block_size and blocks. Return: 0, or -errno with a message.
 * @submit: give @n more I/Os to the device
 * @reap: end those that are over. Return: how many.
 */
struct ssd_way {
	const char *name;
	int (*open)(struct ssd_load *load, const char *device);
	void (*submit)(struct ssd_load *load, uint32_t n);
	uint32_t (*reap)(struct ssd_load *load);
	void (*close)(struct ssd_load *load);
};

extern const struct ssd_way ssd_uring_raw, ssd_vfio_raw, ssd_uring_backend, ssd_vfio_backend;

/* The next I/O: reads are far apart, each block is read once in a round. */
static inline struct nvmft_io *ssd_begin(struct ssd_load *load)
{
	struct ssd_io *io = &load->ios[load->free[--load->nfree]];

	load->next += 977;
	io->io.op = NVMFT_IO_READ;
	io->io.flags = 0;
	io->io.lba = (load->next & load->mask) << load->shift;
	io->io.blocks = load->blocks_per_io;
	io->io.iov = &io->iov;
	io->io.iovcnt = 1;
	return &io->io;
}

static inline void ssd_end(struct nvmft_io *pub, nvmft_status status)
{
	struct ssd_io *io = (struct ssd_io *)(void *)pub;
	struct ssd_load *load = io->load;

	if (status)
		load->errors++;
	load->free[load->nfree++] = io->index;
}

/*
 * From ssd_count(true) to ssd_count(false) count_steps counts, except for what models of devices do. System calls that
 * a model stands for are @ssd_calls.
 */
extern uint64_t ssd_calls;
void ssd_count(bool on);
void ssd_uncounted(bool begin);

/* count_steps counts from one mark to the next, then not until the one after. Only for programs that it runs. */
static inline void ssd_mark(void)
{
#ifdef __x86_64__
	__asm__ volatile("int3" ::: "memory");
#endif
}

#endif
