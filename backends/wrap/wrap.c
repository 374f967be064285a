/* SPDX-License-Identifier: BSD-3-Clause */
#include "wrap.h"

#include "../options.h"

/* Private bytes that follow others are as well aligned as the core's. */
static size_t rounded(size_t size)
{
	return (size + 15) & ~(size_t)15;
}

static int wrap_open(struct nvmft_backend *backend, const void *opts)
{
	struct wrap_backend *wb = backend->priv;
	struct nvmft_wrap_opts o;
	int err = backend_options(backend, &o, sizeof(o), opts);

	if (err)
		return err;
	memcpy(&wb->ops, o.inner, o.inner->size < sizeof(wb->ops) ? o.inner->size : sizeof(wb->ops));
	wb->inner = (struct nvmft_backend){
		.ops = &wb->ops,
		.target = backend->target,
		.priv = (char *)wb + rounded(sizeof(*wb)),
		.outer = backend,
	};
	wb->own_channel = backend->ops->channel_size - o.inner->channel_size;
	wb->own_io = backend->ops->io_size - o.inner->io_size;
	wb->control = o.control;
	return wb->ops.open(&wb->inner, o.inner_opts);
}

static void wrap_close(struct nvmft_backend *backend)
{
	struct wrap_backend *wb = backend->priv;

	wb->ops.close(&wb->inner);
}

int wrap_info(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	struct wrap_backend *wb = backend->priv;

	return wb->ops.info(&wb->inner, info);
}

int wrap_channel_open(struct nvmft_channel *channel)
{
	struct wrap_backend *wb = wrap_of(channel);
	struct wrap_channel *wc = channel->priv;

	wc->inner = (struct nvmft_channel){
		.backend = &wb->inner,
		.group = channel->group,
		.priv = (char *)wc + wb->own_channel,
	};
	return wb->ops.channel_open ? wb->ops.channel_open(&wc->inner) : 0;
}

void wrap_channel_close(struct nvmft_channel *channel)
{
	struct wrap_channel *wc = channel->priv;

	if (wrap_of(channel)->ops.channel_close)
		wrap_of(channel)->ops.channel_close(&wc->inner);
}

static void hand_over(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct wrap_channel *wc = channel->priv;
	struct wrap_io *wi = io->priv;

	wi->channel = io->channel;
	wi->priv = io->priv;
	wi->done = io->done;
	io->channel = &wc->inner;
	io->priv = (char *)wi + wrap_of(channel)->own_io;
}

void wrap_pass(struct nvmft_channel *channel, struct nvmft_io *io, void (*done)(struct nvmft_io *io))
{
	struct wrap_channel *wc = channel->priv;

	hand_over(channel, io);
	io->done = done;
	wrap_of(channel)->ops.submit(&wc->inner, io);
}

/* The inner channel is the first member of the wrapper's bytes of the outer one, whose backend has the sizes. */
void *wrap_take_back(struct nvmft_io *io)
{
	struct wrap_backend *wb = (struct wrap_backend *)(void *)io->channel->backend;
	struct wrap_io *wi = (struct wrap_io *)(void *)((char *)io->priv - wb->own_io);

	io->channel = wi->channel;
	io->priv = wi->priv;
	io->done = wi->done;
	return wi;
}

void wrap_done(struct nvmft_io *io)
{
	wrap_take_back(io);
	nvmft_io_done(io, io->status);
}

static void wrap_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	wrap_pass(channel, io, wrap_done);
}

void wrap_flush(struct nvmft_channel *channel)
{
	struct wrap_channel *wc = channel->priv;

	if (wrap_of(channel)->ops.flush)
		wrap_of(channel)->ops.flush(&wc->inner);
}

int wrap_poll(struct nvmft_channel *channel)
{
	struct wrap_channel *wc = channel->priv;

	return wrap_of(channel)->ops.poll ? wrap_of(channel)->ops.poll(&wc->inner) : 0;
}

int wrap_arm(struct nvmft_channel *channel)
{
	struct wrap_backend *wb = wrap_of(channel);
	struct wrap_channel *wc = channel->priv;

	if (!wb->ops.poll)
		return 0;
	return wb->ops.arm ? wb->ops.arm(&wc->inner) : -EAGAIN;
}

void wrap_abort(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct wrap_channel *wc = channel->priv;

	if (wrap_of(channel)->ops.abort)
		wrap_of(channel)->ops.abort(&wc->inner, io);
}

static void wrap_lend_end(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct wrap_channel *wc = channel->priv;

	hand_over(channel, io);
	wrap_of(channel)->ops.lend_end(&wc->inner, io);
	wrap_take_back(io);
}

static int wrap_region_add(struct nvmft_channel *channel, const struct nvmft_region *region)
{
	struct wrap_channel *wc = channel->priv;

	return wrap_of(channel)->ops.region_add(&wc->inner, region);
}

static void wrap_region_remove(struct nvmft_channel *channel, const struct nvmft_region *region)
{
	struct wrap_channel *wc = channel->priv;

	wrap_of(channel)->ops.region_remove(&wc->inner, region);
}

struct nvmft_backend_ops wrap_ops(const char *name, const struct nvmft_backend_ops *inner, size_t own_channel,
				  size_t own_io)
{
	return (struct nvmft_backend_ops){
		.size = sizeof(struct nvmft_backend_ops),
		.api = NVMFT_PROVIDER_API,
		.name = name,
		.backend_size = (uint32_t)rounded(sizeof(struct wrap_backend)) + inner->backend_size,
		.channel_size = (uint32_t)rounded(own_channel) + inner->channel_size,
		.io_size = (uint32_t)((own_io + 7) & ~(size_t)7) + inner->io_size,
		.open = wrap_open,
		.close = wrap_close,
		.info = wrap_info,
		.channel_open = wrap_channel_open,
		.channel_close = wrap_channel_close,
		.submit = wrap_submit,
		.flush = inner->flush ? wrap_flush : NULL,
		.poll = inner->poll ? wrap_poll : NULL,
		.arm = inner->arm ? wrap_arm : NULL,
		.abort = inner->abort ? wrap_abort : NULL,
		.lend_end = inner->lend_end ? wrap_lend_end : NULL,
		.region_add = inner->region_add ? wrap_region_add : NULL,
		.region_remove = inner->region_remove ? wrap_region_remove : NULL,
	};
}
