/* SPDX-License-Identifier: BSD-3-Clause */
#include "wrap.h"

struct short_channel {
	struct wrap_channel wrap;
	uint32_t outstanding;
	uint32_t block_size;
};

static int short_info(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	const struct nvmft_wrap_short *rule = ((struct wrap_backend *)backend->priv)->control;
	int err = wrap_info(backend, info);

	if (err)
		return err;
	info->fua = rule->no_fua ? NVMFT_CAP_NONE : info->fua;
	info->flush = rule->no_flush ? NVMFT_CAP_NONE : info->flush;
	info->write_zeroes = rule->no_write_zeroes ? NVMFT_CAP_NONE : info->write_zeroes;
	info->deallocate = rule->no_deallocate ? NVMFT_CAP_NONE : info->deallocate;
	info->compare = rule->no_compare ? NVMFT_CAP_NONE : info->compare;
	info->lends_reads = info->lends_reads && !rule->no_lend;
	info->read_only = info->read_only || rule->read_only;
	info->volatile_cache = (info->volatile_cache && !rule->no_flush) || rule->volatile_cache;
	info->depth = rule->depth ? rule->depth : info->depth;
	info->align = rule->align ? rule->align : info->align;
	info->max_bytes = rule->max_bytes ? rule->max_bytes : info->max_bytes;
	info->preferred_blocks = rule->preferred_blocks ? rule->preferred_blocks : info->preferred_blocks;
	return 0;
}

static bool has_data(const struct nvmft_io *io)
{
	return io->op == NVMFT_IO_READ || io->op == NVMFT_IO_WRITE;
}

static bool not_declared(const struct nvmft_wrap_short *rule, const struct nvmft_io *io)
{
	switch (io->op) {
	case NVMFT_IO_READ:
		return rule->no_lend && io->iovcnt == 0;
	case NVMFT_IO_WRITE:
		return rule->read_only || (rule->no_fua && io->flags & NVMFT_IO_FUA);
	case NVMFT_IO_FLUSH:
		return rule->no_flush;
	case NVMFT_IO_WRITE_ZEROES:
		return rule->read_only || rule->no_write_zeroes || (rule->no_fua && io->flags & NVMFT_IO_FUA);
	case NVMFT_IO_DEALLOCATE:
		return rule->read_only || rule->no_deallocate;
	case NVMFT_IO_COMPARE:
		return rule->no_compare;
	case NVMFT_IO_COMMAND:
		return false;
	}
	return true;
}

static bool misaligned(const struct nvmft_wrap_short *rule, const struct nvmft_io *io)
{
	for (uint32_t i = 0; rule->align && i < io->iovcnt; i++)
		if (((uintptr_t)io->iov[i].base & (rule->align - 1)) != 0)
			return true;
	return false;
}

/* The buffers are as long as the blocks, and no longer than what was declared. */
static bool bad_length(struct nvmft_channel *channel, const struct nvmft_io *io)
{
	const struct nvmft_wrap_short *rule = wrap_control(channel);
	const struct short_channel *sc = channel->priv;
	uint64_t want = (uint64_t)io->blocks * sc->block_size, got = 0;

	for (uint32_t i = 0; i < io->iovcnt; i++)
		got += io->iov[i].len;
	return (io->iovcnt && got != want) || (rule->max_bytes && want > rule->max_bytes);
}

static void short_done(struct nvmft_io *io)
{
	struct short_channel *sc;

	wrap_take_back(io);
	sc = io->channel->priv;
	sc->outstanding--;
	nvmft_io_done(io, io->status);
}

static void short_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct nvmft_wrap_short *rule = wrap_control(channel);
	struct short_channel *sc = channel->priv;

	sc->outstanding++;
	if (not_declared(rule, io) || (rule->depth && sc->outstanding > rule->depth) ||
	    (has_data(io) && (misaligned(rule, io) || bad_length(channel, io))))
		atomic_fetch_add(&rule->violations, 1);
	wrap_pass(channel, io, short_done);
}

static int short_channel_open(struct nvmft_channel *channel)
{
	struct short_channel *sc = channel->priv;
	struct nvmft_backend_info info = {.size = sizeof(info)};
	int err = wrap_info(channel->backend, &info);

	if (err)
		return err;
	sc->block_size = info.block_size;
	return wrap_channel_open(channel);
}

struct nvmft_backend_ops nvmft_wrap_short_ops(const struct nvmft_backend_ops *inner)
{
	struct nvmft_backend_ops ops = wrap_ops("short", inner, sizeof(struct short_channel), sizeof(struct wrap_io));

	ops.info = short_info;
	ops.channel_open = short_channel_open;
	ops.submit = short_submit;
	return ops;
}
