/* SPDX-License-Identifier: BSD-3-Clause */
#include <sys/mman.h>

#include <nvmft/backends.h>
#include <nvmft/provider/backend.h>

#include "../options.h"

/* Zeroes to lend: as long as the longest transfer of a subsystem. Untouched pages cost nothing, touched ones are the
 * zero page. */
#define ZEROES_LEN (2u << 20)

struct null_backend {
	uint64_t blocks;
	uint32_t block_size;
	void *zeroes;
};

/* A lent read points here. */
struct null_io {
	struct nvmft_iov iov;
};

static int null_open(struct nvmft_backend *backend, const void *opts)
{
	struct null_backend *nb = backend->priv;
	struct nvmft_null_opts o;
	int err = backend_options(backend, &o, sizeof(o), opts);

	if (!err)
		err = backend_check_size(backend, o.bytes, &o.block_size);
	if (err)
		return err;
	nb->zeroes = mmap(NULL, ZEROES_LEN, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (nb->zeroes == MAP_FAILED) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "no memory");
		return -ENOMEM;
	}
	nb->block_size = o.block_size;
	nb->blocks = o.bytes / o.block_size;
	return 0;
}

static void null_close(struct nvmft_backend *backend)
{
	struct null_backend *nb = backend->priv;

	munmap(nb->zeroes, ZEROES_LEN);
}

static int null_info(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	const struct null_backend *nb = backend->priv;

	info->block_size = nb->block_size;
	info->blocks = nb->blocks;
	info->deallocated_zero = true;
	info->lends_reads = true;
	info->fua = NVMFT_CAP_NATIVE;
	info->flush = NVMFT_CAP_NATIVE;
	info->write_zeroes = NVMFT_CAP_NATIVE;
	info->deallocate = NVMFT_CAP_NATIVE;
	info->max_bytes = ZEROES_LEN;
	return 0;
}

static void lend_zeroes(const struct null_backend *nb, struct nvmft_io *io)
{
	struct null_io *ni = io->priv;

	ni->iov = (struct nvmft_iov){nb->zeroes, io->blocks * nb->block_size, NVMFT_REGION_NONE};
	io->iov = &ni->iov;
	io->iovcnt = 1;
}

static void read_zeroes(struct nvmft_io *io)
{
	for (uint32_t i = 0; i < io->iovcnt; i++)
		memset(io->iov[i].base, 0, io->iov[i].len);
}

static void null_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	if (io->op == NVMFT_IO_READ && io->iovcnt)
		read_zeroes(io);
	else if (io->op == NVMFT_IO_READ)
		lend_zeroes(channel->backend->priv, io);
	nvmft_io_done(io, 0);
}

static void null_lend_end(struct nvmft_channel *channel, struct nvmft_io *io)
{
	(void)channel;
	(void)io;
}

static const struct nvmft_backend_ops null_ops = {
	.size = sizeof(struct nvmft_backend_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "null",
	.backend_size = sizeof(struct null_backend),
	.io_size = sizeof(struct null_io),
	.open = null_open,
	.close = null_close,
	.info = null_info,
	.submit = null_submit,
	.lend_end = null_lend_end,
};

const struct nvmft_backend_ops *nvmft_backend_null(void)
{
	return &null_ops;
}
