/* SPDX-License-Identifier: BSD-3-Clause */
#include "wrap.h"

struct log_io {
	struct wrap_io wrap;
	struct nvmft_wrap_log_entry *entry;
};

static uint64_t address_bits(const struct nvmft_io *io)
{
	uint64_t bits = 0;

	for (uint32_t i = 0; i < io->iovcnt; i++)
		bits |= (uintptr_t)io->iov[i].base | io->iov[i].len;
	return bits;
}

static struct nvmft_wrap_log_entry *record(struct nvmft_wrap_log *log, const struct nvmft_io *io)
{
	bool data = io->op == NVMFT_IO_READ || io->op == NVMFT_IO_WRITE || io->op == NVMFT_IO_COMPARE;
	uint32_t at = atomic_fetch_add(&log->count, 1);

	if (at >= log->capacity)
		return NULL;
	log->entries[at] = (struct nvmft_wrap_log_entry){
		.op = io->op,
		.flags = io->flags,
		.lba = io->lba,
		.blocks = io->blocks,
		.iovcnt = data ? io->iovcnt : 0,
		.address_bits = data ? address_bits(io) : 0,
	};
	return &log->entries[at];
}

static void log_done(struct nvmft_io *io)
{
	struct log_io *li = wrap_take_back(io);
	struct nvmft_wrap_log *log = wrap_control(io->channel);

	atomic_fetch_sub(&log->outstanding, 1);
	if (li->entry) {
		li->entry->status = io->status;
		li->entry->done = true;
	}
	nvmft_io_done(io, io->status);
}

static void log_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct nvmft_wrap_log *log = wrap_control(channel);
	struct log_io *li = io->priv;
	unsigned int now = atomic_fetch_add(&log->outstanding, 1) + 1;
	unsigned int max = atomic_load(&log->max_outstanding);

	while (now > max && !atomic_compare_exchange_weak(&log->max_outstanding, &max, now))
		;
	li->entry = record(log, io);
	wrap_pass(channel, io, log_done);
}

static int log_channel_open(struct nvmft_channel *channel)
{
	struct nvmft_wrap_log *log = wrap_control(channel);

	atomic_fetch_add(&log->channels, 1);
	return wrap_channel_open(channel);
}

static void log_channel_close(struct nvmft_channel *channel)
{
	struct nvmft_wrap_log *log = wrap_control(channel);

	wrap_channel_close(channel);
	atomic_fetch_sub(&log->channels, 1);
}

struct nvmft_backend_ops nvmft_wrap_log_ops(const struct nvmft_backend_ops *inner)
{
	struct nvmft_backend_ops ops = wrap_ops("log", inner, sizeof(struct wrap_channel), sizeof(struct log_io));

	ops.channel_open = log_channel_open;
	ops.channel_close = log_channel_close;
	ops.submit = log_submit;
	return ops;
}
