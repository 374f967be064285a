/* SPDX-License-Identifier: BSD-3-Clause */
#include "toys.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define COMPARE_FAILED NVMFT_STATUS(2, 0x85)

struct toy_io {
	struct nvmft_io *io;
	TAILQ_ENTRY(toy_io) link;
};

TAILQ_HEAD(toy_list, toy_io);

struct toy {
	uint8_t *data;
	struct toy_opts opts;
	/* thread */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct toy_list queue;
	bool stop;
};

struct toy_channel {
	struct toy_list submitted; /* not rung yet */
	struct toy_list rung;
};

static int toy_open(struct nvmft_backend *backend, const void *opts)
{
	struct toy *toy = backend->priv;

	memcpy(&toy->opts, opts, sizeof(toy->opts));
	toy->data = calloc(1, toy->opts.bytes);
	return toy->data ? 0 : -ENOMEM;
}

static void toy_close(struct nvmft_backend *backend)
{
	struct toy *toy = backend->priv;

	free(toy->data);
}

static int minimal_info(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	const struct toy *toy = backend->priv;

	info->block_size = toy->opts.block_size;
	info->blocks = toy->opts.bytes / toy->opts.block_size;
	return 0;
}

static nvmft_status transfer(const struct nvmft_io *io, uint8_t *at)
{
	nvmft_status status = 0;

	for (uint32_t i = 0; i < io->iovcnt; i++) {
		if (io->op == NVMFT_IO_READ)
			memcpy(io->iov[i].base, at, io->iov[i].len);
		else if (io->op == NVMFT_IO_WRITE)
			memcpy(at, io->iov[i].base, io->iov[i].len);
		else if (memcmp(at, io->iov[i].base, io->iov[i].len) != 0)
			status = COMPARE_FAILED;
		at += io->iov[i].len;
	}
	return status;
}

static nvmft_status perform(const struct nvmft_io *io)
{
	const struct toy *toy = io->channel->backend->priv;

	switch (io->op) {
	case NVMFT_IO_READ:
	case NVMFT_IO_WRITE:
	case NVMFT_IO_COMPARE:
		return transfer(io, toy->data + io->lba * toy->opts.block_size);
	case NVMFT_IO_WRITE_ZEROES:
		memset(toy->data + io->lba * toy->opts.block_size, 0, (size_t)io->blocks * toy->opts.block_size);
		return 0;
	case NVMFT_IO_FLUSH:
		return 0;
	default:
		return nvmft_status_from_errno(-EOPNOTSUPP);
	}
}

static void minimal_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	(void)channel;
	nvmft_io_done(io, io->op <= NVMFT_IO_WRITE ? perform(io) : nvmft_status_from_errno(-EOPNOTSUPP));
}

const struct nvmft_backend_ops toy_minimal = {
	.size = sizeof(struct nvmft_backend_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "minimal",
	.backend_size = sizeof(struct toy),
	.open = toy_open,
	.close = toy_close,
	.info = minimal_info,
	.submit = minimal_submit,
};

/* ---- polled ---- */

static int polled_info(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	info->compare = NVMFT_CAP_NATIVE;
	info->write_zeroes = NVMFT_CAP_NATIVE;
	info->fua = NVMFT_CAP_NATIVE;
	info->flush = NVMFT_CAP_NATIVE;
	return minimal_info(backend, info);
}

static int polled_channel_open(struct nvmft_channel *channel)
{
	struct toy_channel *tc = channel->priv;

	TAILQ_INIT(&tc->submitted);
	TAILQ_INIT(&tc->rung);
	return 0;
}

static void polled_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct toy_channel *tc = channel->priv;
	struct toy_io *ti = io->priv;

	ti->io = io;
	TAILQ_INSERT_TAIL(&tc->submitted, ti, link);
}

static void polled_flush(struct nvmft_channel *channel)
{
	struct toy_channel *tc = channel->priv;

	TAILQ_CONCAT(&tc->rung, &tc->submitted, link);
}

static int polled_poll(struct nvmft_channel *channel)
{
	struct toy_channel *tc = channel->priv;
	struct toy_list ready = TAILQ_HEAD_INITIALIZER(ready);
	struct toy_io *ti;
	int n = 0;

	TAILQ_CONCAT(&ready, &tc->rung, link);
	while ((ti = TAILQ_FIRST(&ready))) {
		TAILQ_REMOVE(&ready, ti, link);
		nvmft_io_done(ti->io, perform(ti->io));
		n++;
	}
	return n;
}

const struct nvmft_backend_ops toy_polled = {
	.size = sizeof(struct nvmft_backend_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "polled",
	.backend_size = sizeof(struct toy),
	.channel_size = sizeof(struct toy_channel),
	.io_size = sizeof(struct toy_io),
	.open = toy_open,
	.close = toy_close,
	.info = polled_info,
	.channel_open = polled_channel_open,
	.submit = polled_submit,
	.flush = polled_flush,
	.poll = polled_poll,
};

/* ---- thread ---- */

static void *thread_main(void *arg)
{
	struct toy *toy = arg;

	pthread_mutex_lock(&toy->lock);
	while (!toy->stop) {
		struct toy_io *ti = TAILQ_FIRST(&toy->queue);

		if (!ti) {
			pthread_cond_wait(&toy->work, &toy->lock);
			continue;
		}
		TAILQ_REMOVE(&toy->queue, ti, link);
		pthread_mutex_unlock(&toy->lock);
		nvmft_io_done_remote(ti->io, perform(ti->io));
		pthread_mutex_lock(&toy->lock);
	}
	pthread_mutex_unlock(&toy->lock);
	return NULL;
}

static int thread_open(struct nvmft_backend *backend, const void *opts)
{
	struct toy *toy = backend->priv;
	int err = toy_open(backend, opts);

	if (err)
		return err;
	TAILQ_INIT(&toy->queue);
	pthread_mutex_init(&toy->lock, NULL);
	pthread_cond_init(&toy->work, NULL);
	err = pthread_create(&toy->thread, NULL, thread_main, toy);
	if (err)
		toy_close(backend);
	return -err;
}

static void thread_close(struct nvmft_backend *backend)
{
	struct toy *toy = backend->priv;

	pthread_mutex_lock(&toy->lock);
	toy->stop = true;
	pthread_cond_signal(&toy->work);
	pthread_mutex_unlock(&toy->lock);
	pthread_join(toy->thread, NULL);
	pthread_cond_destroy(&toy->work);
	pthread_mutex_destroy(&toy->lock);
	toy_close(backend);
}

static void thread_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct toy *toy = channel->backend->priv;
	struct toy_io *ti = io->priv;

	ti->io = io;
	pthread_mutex_lock(&toy->lock);
	TAILQ_INSERT_TAIL(&toy->queue, ti, link);
	pthread_cond_signal(&toy->work);
	pthread_mutex_unlock(&toy->lock);
}

const struct nvmft_backend_ops toy_thread = {
	.size = sizeof(struct nvmft_backend_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "thread",
	.backend_size = sizeof(struct toy),
	.io_size = sizeof(struct toy_io),
	.open = thread_open,
	.close = thread_close,
	.info = minimal_info,
	.submit = thread_submit,
};
