/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_PROVIDER_BACKEND_H
#define NVMFT_PROVIDER_BACKEND_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "../log.h"
#include "../poll_group.h"
#include "memory.h"
#include "request.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A backend stores the blocks of a namespace.
 *
 *   open -> info -> [ channel_open -> submit... -> channel_close ]  (per poll group) -> close
 *
 * The core has already checked range, length, alignment and access: a backend never validates NVMe semantics.
 * A minimal backend is open, info, submit and close, and answers READ and WRITE; the core emulates what it
 * does not declare.
 */

struct nvmft_target;

/* What an I/O asks for. */
enum nvmft_io_op {
	NVMFT_IO_READ = 0,
	NVMFT_IO_WRITE = 1,
	NVMFT_IO_FLUSH = 2,
	NVMFT_IO_WRITE_ZEROES = 3,
	NVMFT_IO_DEALLOCATE = 4,
	NVMFT_IO_COMPARE = 5,
	NVMFT_IO_COMMAND = 6, /* an NVMe command as the host sent it: struct nvmft_io.sqe */
};

/* Flags of an I/O. */
#define NVMFT_IO_FUA (1u << 0)        /* WRITE, WRITE_ZEROES: durable before completion */
#define NVMFT_IO_DEALLOC_OK (1u << 1) /* WRITE_ZEROES: DEAC, the blocks may be deallocated if they then read as zeroes */
#define NVMFT_IO_ADMIN (1u << 2)      /* COMMAND: of the Admin Command Set */
#define NVMFT_IO_NO_NSID (1u << 3)    /* COMMAND, with ADMIN: the host named no namespace, nor is the device told one */

/* How well a backend does an optional operation. */
enum nvmft_capability {
	NVMFT_CAP_NONE = 0,    /* cannot; the core emulates it where that is possible, else the command is not offered */
	NVMFT_CAP_NATIVE = 1,  /* submit takes it */
};

/**
 * struct nvmft_backend - a backend opened for one namespace
 * @target: for nvmft_backend_log()
 * @priv: the backend's private bytes (ops->backend_size), zeroed
 * @outer: set by a wrapper in the backend that it opens inside: its own one; NULL in what the core opened
 */
struct nvmft_backend {
	const struct nvmft_backend_ops *ops;
	struct nvmft_target *target;
	void *priv;
	struct nvmft_backend *outer;
};

/**
 * struct nvmft_channel - a backend's end of one poll group
 * @priv: the backend's private bytes (ops->channel_size), zeroed
 */
struct nvmft_channel {
	struct nvmft_backend *backend;
	struct nvmft_poll_group *group;
	void *priv;
};

/**
 * struct nvmft_io - one I/O
 * @op, @flags: what to do
 * @lba, @blocks: range in logical blocks, inside the namespace; unused by FLUSH and COMMAND
 * @iov, @iovcnt: data of READ, WRITE and COMPARE, exactly @blocks x block size bytes; of COMMAND, exactly what the command
 *        transfers, perhaps nothing. For a READ of a backend that declares
 *        lends_reads, iovcnt may be 0: the backend sets both to its own pages, which it must keep unchanged or at least
 *        mapped until ops->lend_end().
 * @channel: where it was submitted
 * @sqe: COMMAND: what the host sent. The backend takes opcode and CDW2, 3 and 10 to 15 as they are and sets all else itself:
 *        the device's NSID (0 with NVMFT_IO_NO_NSID), an identifier, pointers to @iov. The data goes the way that bits 1:0 of the opcode say.
 * @result: COMMAND: dwords 0 (low half) and 1 of the completion, 0 unless the backend sets it before the I/O is over
 * @priv: the backend's private bytes (ops->io_size), not zeroed
 * @done: NULL for an I/O of the core. A wrapper that submits I/Os of its own to the backend inside sets it: nvmft_io_done() then
 *        stores @status and calls it, on the channel's thread, instead of ending a command. It may be called from inside submit.
 *        A wrapper may also pass on the I/O that it got, with @channel, @priv and @done its own, and restore them in @done.
 * @status: outcome, valid when the I/O is over
 * @call, @state: the core's
 *
 * Ownership: the backend's from ops->submit() to nvmft_io_done() or nvmft_io_done_remote().
 */
struct nvmft_io {
	enum nvmft_io_op op;
	uint32_t flags;
	uint64_t lba;
	uint32_t blocks;
	uint32_t iovcnt;
	struct nvmft_iov *iov;
	const struct nvmft_sqe *sqe;
	uint64_t result;
	struct nvmft_channel *channel;
	void *priv;
	void (*done)(struct nvmft_io *io);
	struct nvmft_call call;
	nvmft_status status;
	uint16_t state;
};

/* A set of opcodes: bit n % 8 of byte n / 8. */
struct nvmft_opcodes {
	uint8_t bits[32];
};

static inline bool nvmft_opcodes_has(const struct nvmft_opcodes *set, uint8_t opcode)
{
	return set->bits[opcode / 8] >> (opcode % 8) & 1;
}

static inline void nvmft_opcodes_add(struct nvmft_opcodes *set, uint8_t opcode)
{
	set->bits[opcode / 8] = (uint8_t)(set->bits[opcode / 8] | 1u << (opcode % 8));
}

/*
 * struct nvmft_atomicity - what the device does atomically, in blocks; 0 for not reported (NVM Command Set 1.0, 2.1.4)
 * @normal, @power_fail: largest write that is atomic, in general and over a power failure (NAWUN, NAWUPF)
 * @compare_write: largest fused Compare and Write (NACWU)
 * @boundary, @boundary_power_fail, @boundary_offset: boundaries that writes must not cross to be so (NABSN, NABSPF, NABO)
 */
struct nvmft_atomicity {
	uint32_t normal, power_fail, compare_write;
	uint32_t boundary, boundary_power_fail, boundary_offset;
};

/*
 * struct nvmft_zones - a zoned namespace (ZNS Command Set 1.1, 4.1.5), numbers as Identify has them but for host byte order
 * @zone_blocks: ZSZE; @descriptor_extension: ZDES, in units of 64 bytes; @max_active, @max_open: MAR, MOR, 0's based, UINT32_MAX
 *        no limit; @characteristics, @optional: ZOC, OZCS; @append_limit: ZASL, as MDTS counts, 0 as large as any
 */
struct nvmft_zones {
	uint64_t zone_blocks;
	uint32_t max_active, max_open;
	uint16_t characteristics, optional;
	uint8_t descriptor_extension;
	uint8_t append_limit;
};

/* struct nvmft_copy_limits - of Copy: MSSRL, MCL in blocks; MSRC as Identify has it, 0's based */
struct nvmft_copy_limits {
	uint16_t max_range;
	uint32_t max_total;
	uint8_t max_ranges;
};

/**
 * struct nvmft_backend_info - facts of an open backend
 * @block_size: 512 or 4096
 * @blocks: size
 * @read_only: writes are impossible
 * @volatile_cache: completed writes may be lost by a power failure until FLUSH (VWC)
 * @fua, @flush, @write_zeroes, @deallocate, @compare: what submit takes. Without @flush and with @volatile_cache the
 *        backend cannot promise durability: the combination is refused.
 * @deallocated_zero: deallocated blocks read as zeroes
 * @lends_reads: see struct nvmft_io
 * @thin: blocks take space when they are written
 * @align: alignment of buffers in memory that I/O needs, a power of two up to 4096; 0 or 1 for none. The core
 *        copies when a transport's own buffers are not aligned.
 * @depth: most I/Os per channel at once; 0 for no limit. The core never exceeds it.
 * @max_bytes: most data bytes of one I/O, 0 for no limit; the core splits nothing: a backend that takes less than the
 *        subsystem's max_io_size is refused
 * @needs_regions: buffers must lie in regions that region_add was told of; the core copies others
 * @uuid, @nguid, @eui64: identifiers of the device, zero for none; taken when the namespace is configured without any
 * @preferred_blocks: preferred write size and alignment in blocks, 0 unknown (NPWG, NPWA)
 * @csi: command set, NVMe's numbers: 0 NVM, 2 Zoned Namespace. Any but 0 needs @zones.
 * @commands: opcodes of I/O commands that submit takes as NVMFT_IO_COMMAND. Known ones: Verify, Copy (needs @copy),
 *        Write Uncorrectable, reservations (need @reservations), Zone Management Send and Receive, Zone Append.
 *        The core knows how many bytes these transfer; others are refused when the namespace is added.
 * @admin_commands: the same for admin commands, by the administrator's allow-list
 * @reservations: RESCAP of Identify Namespace
 * @sanitize: SANICAP of the device's Identify Controller, where @admin_commands has Sanitize
 */
struct nvmft_backend_info {
	size_t size;
	uint32_t block_size;
	uint64_t blocks;
	bool read_only;
	bool volatile_cache;
	bool deallocated_zero;
	bool lends_reads;
	bool thin;
	enum nvmft_capability fua;
	enum nvmft_capability flush;
	enum nvmft_capability write_zeroes;
	enum nvmft_capability deallocate;
	enum nvmft_capability compare;
	uint32_t align;
	uint32_t depth;
	uint32_t max_bytes;
	uint32_t preferred_blocks;
	bool needs_regions;
	uint8_t uuid[16];
	uint8_t nguid[16];
	uint8_t eui64[8];
	uint8_t csi;
	uint8_t reservations;
	struct nvmft_opcodes commands;
	struct nvmft_opcodes admin_commands;
	struct nvmft_atomicity atomicity;
	struct nvmft_zones zones;
	struct nvmft_copy_limits copy;
	uint32_t sanitize;
};

/* Most private bytes of one I/O (ops->io_size), wrappers and what they wrap together. */
#define NVMFT_IO_PRIV_MAX 256u

/**
 * struct nvmft_backend_ops - a backend
 * @size: sizeof(struct nvmft_backend_ops)
 * @api: NVMFT_PROVIDER_API
 * @name: short, for logs
 * @backend_size, @channel_size, @io_size: private bytes wanted; the core allocates them
 * @open: required. Open what @opts describes. May block. Context: control. On failure nothing is left behind, and
 *        nvmft_backend_log() has said why. -EINVAL, -ENOENT, -EBUSY (locked by another), -EROFS, -ENOMEM...
 * @close: required. Every channel is closed. Context: control or the thread of a poll group: must not wait for a device.
 * @info: required. Current facts; the core sets info->size. May block. Context: control, several times.
 * @channel_open: optional. Context: the group's thread.
 * @channel_close: optional. No I/O is outstanding. Context: the group's thread.
 * @submit: required. Start @io; errors arrive as completions. May complete inside the call, which never recurses.
 *        Context: the channel's thread, as for all that follow.
 * @flush: optional. Once per poll pass in which submit was called: the place for a doorbell.
 * @poll: optional. For backends without a descriptor on the ring: look for completions. Called every pass while I/O is
 *        outstanding on the channel, of which alone it ends I/O: another might be freed by the end of its last one. Returns the number
 *        found.
 * @arm: optional, with @poll: about to sleep. 0 when a completion will wake the group, as by a struct nvmft_wake (ring.h),
 *        -EAGAIN to be polled again.
 * @abort: optional. Try to end @io early; it completes in any case, with Command Abort Requested if it did. Without it an I/O
 *        that a backend has is not aborted.
 * @lend_end: required with lends_reads: pages lent for @io are no longer used.
 * @region_add: optional. Memory in which buffers of later I/O may lie, to be made reachable for the device: called for what there is
 *        when the channel was opened, then for each region before its first use. Not 0: the memory is not used; when the channel is being opened, it is closed again, without
 *        region_remove for those that were added.
 * @region_remove: required with region_add. No I/O uses it any more; also called for what there is before the channel closes.
 */
struct nvmft_backend_ops {
	size_t size;
	uint32_t api;
	const char *name;
	uint32_t backend_size;
	uint32_t channel_size;
	uint32_t io_size;
	int (*open)(struct nvmft_backend *backend, const void *opts);
	void (*close)(struct nvmft_backend *backend);
	int (*info)(struct nvmft_backend *backend, struct nvmft_backend_info *info);
	int (*channel_open)(struct nvmft_channel *channel);
	void (*channel_close)(struct nvmft_channel *channel);
	void (*submit)(struct nvmft_channel *channel, struct nvmft_io *io);
	void (*flush)(struct nvmft_channel *channel);
	int (*poll)(struct nvmft_channel *channel);
	int (*arm)(struct nvmft_channel *channel);
	void (*abort)(struct nvmft_channel *channel, struct nvmft_io *io);
	void (*lend_end)(struct nvmft_channel *channel, struct nvmft_io *io);
	int (*region_add)(struct nvmft_channel *channel, const struct nvmft_region *region);
	void (*region_remove)(struct nvmft_channel *channel, const struct nvmft_region *region);
};

/**
 * nvmft_io_done() - an I/O is over
 * @status: 0 or an NVMe status; nvmft_status_from_errno() makes one
 *
 * Context: the channel's thread.
 */
NVMFT_API void nvmft_io_done(struct nvmft_io *io, nvmft_status status);

/**
 * nvmft_io_done_remote() - the same from another thread, e.g. of the backend's own
 *
 * Context: any thread.
 */
NVMFT_API void nvmft_io_done_remote(struct nvmft_io *io, nvmft_status status);

/**
 * nvmft_backend_changed() - the facts of an open backend are others now
 * @info: the new ones, as ops->info would answer, with @info->size set; NULL: the device is gone for good, unless a later call
 *        says otherwise. Of a backend inside a wrapper only blocks and read_only are taken.
 *
 * Copies @info and returns. Later hosts are told (Namespace Attribute Changed) and see it; what is under way is not disturbed.
 * Of a device that is gone the namespace becomes inactive for all hosts; commands for it fail with Namespace Not Ready and
 * may be retried elsewhere; its channels stay until it is removed from the configuration.
 *
 * Context: any thread, from the end of ops->open to the beginning of ops->close.
 */
NVMFT_API void nvmft_backend_changed(struct nvmft_backend *backend, const struct nvmft_backend_info *info);

/**
 * struct nvmft_shared - something that several backends of a target use together, such as the controller of their namespaces
 * @ops, @key, @refs, @link: the library's, @ops from nvmft_shared_get()
 */
struct nvmft_shared;

/*
 * struct nvmft_shared_ops
 * @create: make it. May block. Context: control. Return: 0 or -errno, logged; then nothing is left behind.
 * @idle: nobody uses it any more: begin to shut it down. Must not wait. Context: control or the thread of a poll group.
 * @destroy: free it, after @idle. May block until what @idle began is over. Context: control: before the next @create with its key,
 *        or when the target is freed.
 */
struct nvmft_shared_ops {
	int (*create)(struct nvmft_shared *shared, const struct nvmft_backend *backend, const void *arg);
	void (*idle)(struct nvmft_shared *shared);
	void (*destroy)(struct nvmft_shared *shared);
};

struct nvmft_shared {
	const struct nvmft_shared_ops *ops;
	struct nvmft_target *target;
	char *key;
	unsigned int refs;
	struct nvmft_shared *next;
};

/**
 * nvmft_shared_get() - the object of @backend's target with @key, made by @ops->create when there is none
 * @key: unique over kinds, such as "vfio:0000:01:00.0"
 * @size: bytes of the object, which begins with a struct nvmft_shared; zeroed before @ops->create
 * @arg: for @ops->create
 * @out: one reference more
 *
 * Context: ops->open, or an @ops->create inside it. Return: 0; -ENOMEM; what @ops->create returns.
 */
NVMFT_API int nvmft_shared_get(const struct nvmft_backend *backend, const char *key, const struct nvmft_shared_ops *ops, size_t size,
			       const void *arg, struct nvmft_shared **out);

/**
 * nvmft_shared_put() - one reference less; of the last one @ops->idle is told
 *
 * Context: control, the thread of a poll group, or an @ops->idle or @ops->destroy inside.
 */
NVMFT_API void nvmft_shared_put(struct nvmft_shared *shared);

/**
 * nvmft_target_log() - as nvmft_backend_log(), for what belongs to no single backend; @who is the prefix
 *
 * Context: any thread.
 */
NVMFT_API void nvmft_target_log(const struct nvmft_target *target, const char *who, enum nvmft_log_level level,
				const char *format, ...) __attribute__((format(printf, 4, 5)));

/**
 * nvmft_backend_log() - write a line to the log of the backend's target, prefixed with the backend's name
 *
 * Context: any thread.
 */
NVMFT_API void nvmft_backend_log(const struct nvmft_backend *backend, enum nvmft_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif
#endif
