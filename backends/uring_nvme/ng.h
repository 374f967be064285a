/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_URING_NVME_NG_H
#define NVMFT_BACKENDS_URING_NVME_NG_H

#include <liburing.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include <nvmft/backends.h>
#include <nvmft/provider/backend.h>
#include <nvmft/provider/ring.h>

/* Regions that can be registered: 2 GiB of the engine's pool per group; buffers in others go the plain way. */
#define NG_REGIONS 1024u

/* Pieces of a buffer for which an I/O needs no allocation; and what the kernel takes in one command. */
#define NG_FEW 2u
#define NG_VEC_MAX 1024u

/*
 * struct ng_facts - what the device says of the namespace
 * @max_zeroes, @max_deallocate: most blocks of one command, 0 for no limit beyond the field's width
 */
struct ng_facts {
	uint64_t blocks;
	uint32_t block_size;
	uint32_t max_zeroes;
	uint32_t max_deallocate;
	uint32_t preferred_blocks;
	bool write_protected;
	bool volatile_cache;
	bool compare;
	bool write_zeroes;
	bool deallocate;
	bool deallocated_zero;
	bool deac;
	bool thin;
	uint8_t mdts;
	uint8_t uuid[16];
	uint8_t nguid[16];
	uint8_t eui64[8];
};

/*
 * struct ng_backend - an open namespace; after open only @reported changes
 * @claim_fd: the block device, held exclusively against file systems and other targets; -1 without
 * @max_bytes, @max_pages: most that the kernel takes in one command without having to split it, which it cannot
 * @reported: the first I/O that did not reach the device was logged
 */
struct ng_backend {
	int fd;
	int claim_fd;
	char *path;
	struct ng_facts facts;
	uint32_t nsid;
	uint32_t block_size;
	uint32_t max_bytes;
	uint32_t max_pages;
	uint32_t align;
	bool read_only;
	bool iopoll;
	atomic_bool reported;
};

/*
 * struct ng_wake - wakes the poll group when the channel's ring has something
 *
 * Not part of the channel, which may be gone when the operation on the group's ring ends: the last one frees it.
 */
struct ng_wake {
	struct nvmft_ring_op op;
	uint64_t count;
	int fd;
	bool orphan;
};

struct ng_io;

/*
 * struct ng_channel - a ring of its own for commands to the device
 * @waiting: I/Os with commands for which the submission queue had no room
 * @outstanding: I/Os that the backend has
 * @notify: completions signal @wake
 * @fixed_ok: registered buffers are worth trying; @fixed says which regions are registered
 */
struct ng_channel {
	struct io_uring uring;
	struct nvmft_channel *channel;
	struct ng_wake *wake;
	struct ng_io *waiting;
	struct ng_io **waiting_tail;
	uint32_t outstanding;
	bool notify;
	bool fixed_ok;
	uint64_t fixed[NG_REGIONS / 64];
};

/* Range of a Dataset Management command, as the device reads it. */
struct ng_range {
	uint32_t cattr;
	uint32_t nlb;
	uint64_t slba;
};

/*
 * struct ng_io - an I/O and the commands that it takes
 * @at: blocks of which commands were made
 * @iov, @offset: where in the I/O's buffers they end
 * @pending: commands that the kernel has
 * @vec: pieces of the buffer of the one command under way, NULL when the buffer is in one piece
 * @plain: without registered buffers
 * @again: the kernel refused the registered buffer: once more without
 */
struct ng_io {
	struct nvmft_io *io;
	struct ng_io *next;
	struct iovec *vec;
	struct ng_range range;
	uint32_t at;
	uint32_t total;
	uint32_t iov;
	uint32_t offset;
	uint32_t pending;
	nvmft_status status;
	uint8_t plain : 1, again : 1, waits : 1;
	struct iovec few[NG_FEW];
};

/* facts.c. Return: 0 or -errno, logged. */
int nvmft_ng_facts(const struct nvmft_backend *backend, struct ng_facts *facts);
void nvmft_ng_limits(const struct nvmft_backend *backend);
bool nvmft_ng_can_poll(const struct ng_backend *ng);

/* ring.c */
int nvmft_ng_channel_open(struct nvmft_channel *channel);
void nvmft_ng_channel_close(struct nvmft_channel *channel);
int nvmft_ng_region_add(struct nvmft_channel *channel, const struct nvmft_region *region);
void nvmft_ng_region_remove(struct nvmft_channel *channel, const struct nvmft_region *region);
int nvmft_ng_poll(struct nvmft_channel *channel);
int nvmft_ng_arm(struct nvmft_channel *channel);
void nvmft_ng_flush(struct nvmft_channel *channel);
/* A clean submission queue entry, or NULL when there is no room. */
struct io_uring_sqe *nvmft_ng_get_sqe(struct ng_channel *ch);
/* Whether the kernel has what the backend needs: read one block the way I/O will go. Return: 0 or -errno, logged. */
int nvmft_ng_probe(const struct nvmft_backend *backend);

/* io.c */
void nvmft_ng_submit(struct nvmft_channel *channel, struct nvmft_io *io);
/* Commands that found no room; again once there may be some. */
void nvmft_ng_drain_waiting(struct ng_channel *ch);
/* A command is over: 0, an NVMe status, or -errno. */
void nvmft_ng_complete(struct ng_channel *ch, struct ng_io *ni, int res);

/* An entry twice as long as usual: the command follows where the ordinary entry ends. */
static inline void ng_clear_sqe(struct io_uring_sqe *sqe)
{
	memset(sqe, 0, 2 * sizeof(*sqe));
}

#endif
