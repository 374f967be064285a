/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_URING_NVME_NG_H
#define NVMFT_BACKENDS_URING_NVME_NG_H

#include <liburing.h>
#include <linux/nvme_ioctl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/uio.h>

#include <nvmft/backends.h>
#include <nvmft/provider/backend.h>
#include <nvmft/provider/ring.h>

#include "../nvme/doubt.h"

/* Regions that can be registered: 2 GiB of the engine's pool per group; buffers in others go the plain way. */
#define NG_REGIONS 1024u

/* Pieces of a buffer for which an I/O needs no allocation; and what the kernel takes in one command. */
#define NG_FEW 2u
#define NG_VEC_MAX 1024u

/* Most metadata of one command, and the size of the buffers that stand in for it. */
#define NG_METADATA_BYTES 65536u

#define NG_STATUS_NOT_READY NVMFT_STATUS(0, 0x82)

/* Controllers of one subsystem through which admin commands can go. */
#define NG_CTRLS 8u

enum ng_opcode {
	NG_OPC_FLUSH = 0x00,
	NG_OPC_WRITE = 0x01,
	NG_OPC_READ = 0x02,
	NG_OPC_WRITE_UNCORRECTABLE = 0x04,
	NG_OPC_COMPARE = 0x05,
	NG_OPC_WRITE_ZEROES = 0x08,
	NG_OPC_DSM = 0x09,
	NG_OPC_VERIFY = 0x0c,
	NG_OPC_COPY = 0x19,
	NG_OPC_ZONE_RECEIVE = 0x7a,
	NG_OPC_ZONE_APPEND = 0x7d,
};

struct ng_watched;

/*
 * struct ng_backend - an open namespace; after open only the atomic members and @channels change
 * @claim_fd: the block device, held exclusively against file systems and other targets; -1 without
 * @max_bytes, @max_pages: most that the kernel takes in one command without having to split it, which it cannot
 * @doubt: whether commands may still be made by @facts
 * @zeroes, @waste: metadata for writes, and where that of reads goes; NULL where commands carry none
 * @head: the device stands for several controllers, any of which the kernel may use
 * @ctrl_fd: controllers for admin commands, -1 for none. A descriptor stays; what it refers to is replaced when that is
 * gone.
 * @ctrl_at: index of the one that worked last
 * @watched: by which changes of the device are noticed
 * @reported: the first I/O that did not reach the device was logged
 * @lock: guards @channels, which are woken when the doubt is over
 */
struct ng_backend {
	int fd;
	int claim_fd;
	char *path;
	struct ssd_facts facts;
	struct ssd_doubt doubt;
	uint32_t nsid;
	uint32_t block_size;
	uint32_t max_bytes;
	uint32_t max_pages;
	uint32_t align;
	void *zeroes;
	void *waste;
	bool read_only;
	bool iopoll;
	bool reservations;
	bool head;
	struct nvmft_opcodes admin_commands;
	atomic_int ctrl_fd[NG_CTRLS];
	atomic_uint ctrl_at;
	struct ng_watched *watched;
	atomic_bool reported;
	pthread_mutex_t lock;
	struct ng_channel *channels;
};

struct ng_io;

/* In user_data: it is a struct ng_io. Without: an I/O itself, done with one command, which has none. */
#define NG_LONG 1u

/* The 8 bytes that two dwords in a row are. */
static inline uint64_t ng_dwords(uint32_t first, uint32_t second)
{
	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? first | (uint64_t)second << 32
							 : second | (uint64_t)first << 32;
}

/*
 * struct ng_channel - a ring of its own for commands to the device
 * @wake: wakes the poll group when the ring has something: its eventfd is registered with the ring
 * @next: ng_backend.channels
 * @waiting: I/Os with commands for which the submission queue had no room, or while the namespace is in doubt
 * @outstanding: I/Os with a struct ng_io
 * @short_bytes: most of a read or write that one command does, wherever its buffer is; 0: none is that simple
 * @room: entries that can be filled before the next submission; 0 while I/O waits
 * @sqe_head, @cmd_head: of entries of such reads and writes, what is always the same: their first 16 bytes, and of the
 * command in them the first 8, for a read and for a write
 * @notify: completions write to the eventfd of @wake
 * @fixed: which regions are registered; @fixed_regions: NG_REGIONS, or 0 when registered buffers are not worth trying
 */
struct ng_channel {
	struct io_uring uring;
	const struct ng_backend *ng;
	struct ng_channel *next;
	struct nvmft_channel *channel;
	struct nvmft_wake wake;
	struct ng_io *waiting;
	struct ng_io **waiting_tail;
	uint32_t outstanding;
	uint32_t short_bytes;
	uint32_t room;
	uint32_t fixed_regions;
	bool notify;
	uint64_t sqe_head[2];
	uint64_t cmd_head[2];
	bool fixed[NG_REGIONS];
};

/* After an entry was taken or submitted, or an I/O began to wait. */
static inline void ng_set_room(struct ng_channel *ch)
{
	ch->room = ch->waiting ? 0 : io_uring_sq_space_left(&ch->uring);
}

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
 * @vec: pieces of the buffers of commands under way, NULL when the buffer is in one piece; @vec_size of them, @vec_used
 * in use
 * @ctrl: of an admin command: index of the controller; @tried: controllers that were gone
 * @fixed: a command had a registered buffer; @plain: they have none now
 * @again: once more, without registered buffers, or to another controller
 */
struct ng_io {
	struct nvmft_io *io;
	struct ng_io *next;
	struct iovec *vec;
	uint32_t at;
	uint32_t total;
	uint32_t iov;
	uint32_t offset;
	uint32_t pending;
	uint16_t vec_size;
	uint16_t vec_used;
	nvmft_status status;
	uint8_t ctrl;
	uint8_t tried;
	uint8_t fixed : 1, plain : 1, again : 1, waits : 1;
	union {
		struct ng_range range;
		struct iovec few[NG_FEW];
	};
};

/* struct ng_ask - whom to ask: the device, and where complaints go; without @backend there are none */
struct ng_ask {
	int fd;
	uint32_t nsid;
	const char *path;
	const struct nvmft_backend *backend;
};

/* facts.c. Return: 0 or -errno. */
int nvmft_ng_facts(const struct ng_ask *ask, struct ssd_facts *facts);
void nvmft_ng_limits(const struct nvmft_backend *backend);
bool nvmft_ng_can_poll(const struct ng_backend *ng);
void nvmft_ng_put_info(const struct ng_backend *ng, const struct ssd_facts *facts, struct nvmft_backend_info *info);

/* ctrl.c: the controllers of the namespace. */
bool nvmft_ng_is_head(int fd);
/* Open those that are live and not open yet. Return: how many can be used, or -errno of the last that could not. */
int nvmft_ng_ctrls_open(struct ng_backend *ng);
void nvmft_ng_ctrls_close(struct ng_backend *ng);
/* Notice when somebody was at one of them. */
void nvmft_ng_ctrls_watch(struct ng_backend *ng);

/* watch.c: notice when the device changes or goes. Return: 0 or -errno, logged. */
int nvmft_ng_watch(struct nvmft_backend *backend, const struct nvmft_backend_info *info);
void nvmft_ng_unwatch(struct nvmft_backend *backend);
/* The device node @name, where that of the namespace is: whoever closes it may have sent commands by it. */
void nvmft_ng_watch_node(const struct ng_backend *ng, const char *name);
/*
 * Look at the device: there is a sign that it is another. I/O waits meanwhile. @formatting: it says that it is being
 * formatted, so that an answer at once would be worth nothing. Any thread, cheap.
 */
void nvmft_ng_look(struct ng_backend *ng, bool formatting);

/* ring.c */
/* The doubt is over: channels look at what waits. Any thread. */
void nvmft_ng_wake(struct ng_backend *ng);
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

/* command.c: the dwords of commands. @sqe is clean. */
struct nvme_uring_cmd *nvmft_ng_cmd(const struct ng_backend *ng, struct io_uring_sqe *sqe, uint8_t opcode);
/* @blocks at @lba, and what metadata and protection information of that kind of command need. */
void nvmft_ng_cmd_range(const struct ng_backend *ng, struct nvme_uring_cmd *cmd, uint64_t lba, uint32_t blocks);
/* What the host sent; opcodes of @admin commands are others. */
void nvmft_ng_cmd_host(const struct ng_backend *ng, struct nvme_uring_cmd *cmd, const struct nvmft_sqe *host,
		       bool admin);

/* status.c, of the answer to a command: -errno or an NVMe status */
nvmft_status nvmft_ng_status(const struct ng_backend *ng, int res);
/* It has not reached the device, which is gone. */
bool nvmft_ng_is_gone(int res);
/* The device is not what it was: gone, smaller or formatted. Where no events reach us, this is how it is noticed. */
bool nvmft_ng_is_suspicious(const struct nvmft_io *io, int res);

/* io.c */

/* Before the first I/O: what the short way needs of @ch->channel's backend. */
void nvmft_ng_short_init(struct ng_channel *ch);
void nvmft_ng_submit(struct nvmft_channel *channel, struct nvmft_io *io);
/* Commands that found no room; again once there may be some. */
void nvmft_ng_drain_waiting(struct ng_channel *ch);
/* A command is over: 0, an NVMe status, or -errno; and dwords 0 and 1 of its completion. */
void nvmft_ng_complete(struct ng_channel *ch, struct ng_io *ni, int res, uint64_t result);
/* The same of an I/O that went the short way, and failed. */
void nvmft_ng_short_failed(struct ng_channel *ch, struct nvmft_io *io, int res);

/* An entry twice as long as usual: the command follows where the ordinary entry ends. */
static inline void ng_clear_sqe(struct io_uring_sqe *sqe)
{
	memset(sqe, 0, 2 * sizeof(*sqe));
}

#endif
