/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_WRAP_H
#define NVMFT_BACKENDS_WRAP_H

/*
 * Backends around another backend, to make it fail, late, watched or poor. For tests; wrappers may wrap wrappers as
 * far as NVMFT_IO_PRIV_MAX goes.
 *
 *   struct nvmft_wrap_error rule = { .ops = NVMFT_WRAP_OP(NVMFT_IO_READ), .nth = 3, .err = -EIO };
 *   struct nvmft_backend_ops ops = nvmft_wrap_error_ops(nvmft_backend_memory());
 *   struct nvmft_wrap_opts opts = { sizeof(opts), nvmft_backend_memory(), &memory_opts, &rule };
 *
 * What a wrapper is told by (its control, here the rule) stays the test's and must outlive the namespace. Unless it
 * says otherwise a field is to be changed only when no I/O is there, or on the thread of the only group.
 */

#include <stdatomic.h>
#include <string.h>
#include <sys/queue.h>

#include <nvmft/provider/backend.h>
#include <nvmft/provider/ring.h>

/* struct nvmft_wrap_opts - options of every wrapper: whom it wraps, with what options, and its control */
struct nvmft_wrap_opts {
	size_t size;
	const struct nvmft_backend_ops *inner;
	const void *inner_opts;
	void *control;
};

/* One operation as a bit of a mask; a mask of 0 means every operation. */
#define NVMFT_WRAP_OP(op) (1u << (op))

/**
 * struct nvmft_wrap_error - fails I/Os
 * @ops: which operations it is about
 * @nth: fail the nth of them (from 1) and, unless @times says less, all that follow
 * @every: fail every so manieth
 * @percent: fail so many of a hundred, by a generator that starts at @seed
 * @times: how often at most; 0: no limit
 * @status: with this status, or
 * @err: with this negative errno
 * @after: fail after the inner backend has done it
 * @seen, @failed: how many matched and failed until now; may be read and reset from any thread
 *
 * Without @nth, @every and @percent nothing fails.
 */
struct nvmft_wrap_error {
	uint32_t ops;
	uint64_t nth;
	uint64_t every;
	uint32_t percent;
	uint64_t times;
	nvmft_status status;
	int err;
	bool after;
	uint64_t seed;
	_Atomic uint64_t seen;
	_Atomic uint64_t failed;
};

/**
 * struct nvmft_wrap_delay - keeps I/Os back before it gives them to the inner backend
 * @ops: which operations it is about
 * @delay_ns: for so long, on the target's clock
 * @hold: until it is set to false, which may be done from any thread; the group notices in its next pass
 * @ignore_abort: an abort does not end the I/O
 * @held: how many are kept back now; may be read from any thread
 */
struct nvmft_wrap_delay {
	uint32_t ops;
	uint64_t delay_ns;
	atomic_bool hold;
	bool ignore_abort;
	atomic_uint held;
};

/* What the log wrapper saw of one I/O. address_bits: all addresses and lengths of its buffers or'ed. */
struct nvmft_wrap_log_entry {
	enum nvmft_io_op op;
	uint32_t flags;
	uint64_t lba;
	uint32_t blocks;
	uint32_t iovcnt;
	uint64_t address_bits;
	nvmft_status status;
	bool done;
};

/**
 * struct nvmft_wrap_log - records I/Os
 * @entries, @capacity: the caller's array; what comes later than @capacity I/Os is counted only
 * @count: I/Os seen
 * @outstanding, @max_outstanding: I/Os that the inner backend has, and had at most, over all channels
 * @channels: open now
 *
 * All but the array and capacity are atomics, for any thread. An entry is complete when count has passed it.
 */
struct nvmft_wrap_log {
	struct nvmft_wrap_log_entry *entries;
	uint32_t capacity;
	atomic_uint count;
	atomic_uint outstanding;
	atomic_uint max_outstanding;
	atomic_uint channels;
};

/**
 * struct nvmft_wrap_short - declares less than the inner backend can, and checks that the core keeps to it
 * @no_fua, @no_flush, @no_write_zeroes, @no_deallocate, @no_compare, @no_lend: take a capability away
 * @volatile_cache: declare one
 * @depth, @align, @max_bytes, @preferred_blocks: declare these when not 0
 * @violations: times the core did what it may not after that
 */
struct nvmft_wrap_short {
	bool no_fua;
	bool no_flush;
	bool no_write_zeroes;
	bool no_deallocate;
	bool no_compare;
	bool no_lend;
	bool read_only;
	bool volatile_cache;
	uint32_t depth;
	uint32_t align;
	uint32_t max_bytes;
	uint32_t preferred_blocks;
	atomic_uint violations;
};

struct nvmft_backend_ops nvmft_wrap_error_ops(const struct nvmft_backend_ops *inner);
struct nvmft_backend_ops nvmft_wrap_delay_ops(const struct nvmft_backend_ops *inner);
struct nvmft_backend_ops nvmft_wrap_log_ops(const struct nvmft_backend_ops *inner);
struct nvmft_backend_ops nvmft_wrap_short_ops(const struct nvmft_backend_ops *inner);

/* ---- for the wrappers themselves ---- */

/* Begins the private bytes of a wrapped backend; the inner backend's own follow. */
struct wrap_backend {
	struct nvmft_backend inner;
	struct nvmft_backend_ops ops; /* the inner backend's */
	uint32_t own_channel, own_io; /* bytes that the wrapper itself has of each */
	void *control;
};

/* Begins the private bytes of a channel; then those that the wrapper wants, then the inner backend's. */
struct wrap_channel {
	struct nvmft_channel inner;
};

/* The same of an I/O: what the outer one was while the inner backend has it. */
struct wrap_io {
	struct nvmft_channel *channel;
	void *priv;
	void (*done)(struct nvmft_io *io);
};

/* Operations that do nothing but pass on; @own_*: bytes for the wrapper, beginning with the structures above. */
struct nvmft_backend_ops wrap_ops(const char *name, const struct nvmft_backend_ops *inner, size_t own_channel,
				  size_t own_io);

static inline struct wrap_backend *wrap_of(struct nvmft_channel *channel)
{
	return channel->backend->priv;
}

static inline void *wrap_control(struct nvmft_channel *channel)
{
	return wrap_of(channel)->control;
}

/*
 * wrap_pass() - give @io to the inner backend
 * @done: called when that is over; the first thing it does is
 * wrap_take_back() - makes it the wrapper's again, as it was. Return: the wrapper's private bytes.
 */
void wrap_pass(struct nvmft_channel *channel, struct nvmft_io *io, void (*done)(struct nvmft_io *io));
void *wrap_take_back(struct nvmft_io *io);

/* A completion that changes nothing. */
void wrap_done(struct nvmft_io *io);

/* Parts of wrap_ops() for wrappers that add to them. */
int wrap_info(struct nvmft_backend *backend, struct nvmft_backend_info *info);
int wrap_channel_open(struct nvmft_channel *channel);
void wrap_channel_close(struct nvmft_channel *channel);
void wrap_flush(struct nvmft_channel *channel); /* also when the inner backend has none */
int wrap_poll(struct nvmft_channel *channel);
int wrap_arm(struct nvmft_channel *channel);
/* @io is with the inner backend. */
void wrap_abort(struct nvmft_channel *channel, struct nvmft_io *io);

#endif
