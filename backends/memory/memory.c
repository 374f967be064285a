/* SPDX-License-Identifier: BSD-3-Clause */
#include <sys/mman.h>
#include <unistd.h>

#include <nvmft/backends.h>
#include <nvmft/provider/backend.h>

#include "../options.h"

struct memory_backend {
	uint8_t *base;
	uint64_t bytes;
	size_t mapped; /* bytes, in whole pages */
	uint32_t block_size;
	uint32_t page_size;
};

/* A lent read points here. */
struct memory_io {
	struct nvmft_iov iov;
};

static int memory_open(struct nvmft_backend *backend, const void *opts)
{
	struct memory_backend *mb = backend->priv;
	struct nvmft_memory_opts o;
	int err = backend_options(backend, &o, sizeof(o), opts);

	if (!err)
		err = backend_check_size(backend, o.bytes, &o.block_size);
	if (err)
		return err;
	mb->page_size = (uint32_t)sysconf(_SC_PAGESIZE);
	mb->block_size = o.block_size;
	mb->bytes = o.bytes;
	mb->mapped = (o.bytes + mb->page_size - 1) & ~(size_t)(mb->page_size - 1);
	mb->base = mmap(NULL, mb->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mb->base == MAP_FAILED) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "bytes: no address space for %" PRIu64 " bytes", o.bytes);
		return -ENOMEM;
	}
	return 0;
}

static void memory_close(struct nvmft_backend *backend)
{
	struct memory_backend *mb = backend->priv;

	munmap(mb->base, mb->mapped);
}

static int memory_info(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	const struct memory_backend *mb = backend->priv;

	info->block_size = mb->block_size;
	info->blocks = mb->bytes / mb->block_size;
	info->deallocated_zero = true;
	info->lends_reads = true;
	info->thin = true;
	/* RAM loses all of it or nothing: there is no cache in front that a flush could empty. */
	info->volatile_cache = false;
	info->fua = NVMFT_CAP_NATIVE;
	info->flush = NVMFT_CAP_NATIVE;
	info->write_zeroes = NVMFT_CAP_NATIVE;
	info->deallocate = NVMFT_CAP_NATIVE;
	info->preferred_blocks = mb->page_size / mb->block_size;
	return 0;
}

static void memory_read(uint8_t *at, uint32_t len, struct nvmft_io *io)
{
	struct memory_io *mi = io->priv;

	if (io->iovcnt == 0) {
		mi->iov = (struct nvmft_iov){at, len, NVMFT_REGION_NONE};
		io->iov = &mi->iov;
		io->iovcnt = 1;
		return;
	}
	for (uint32_t i = 0; i < io->iovcnt; i++) {
		memcpy(io->iov[i].base, at, io->iov[i].len);
		at += io->iov[i].len;
	}
}

static void memory_write(uint8_t *at, const struct nvmft_io *io)
{
	for (uint32_t i = 0; i < io->iovcnt; i++) {
		memcpy(at, io->iov[i].base, io->iov[i].len);
		at += io->iov[i].len;
	}
}

/*
 * Whole pages go back to the system, which keeps them mapped, so that a page lent for a read may be among them: its
 * reader sees old data or zeroes, as it may when it reads while somebody deallocates.
 */
static void memory_zero(const struct memory_backend *mb, uint8_t *at, uint64_t len)
{
	uintptr_t mask = mb->page_size - 1;
	uint8_t *end = at + len;
	uint8_t *first = (uint8_t *)(((uintptr_t)at + mask) & ~mask);
	uint8_t *last = (uint8_t *)((uintptr_t)end & ~mask);

	if (first >= last) {
		memset(at, 0, len);
		return;
	}
	memset(at, 0, (size_t)(first - at));
	memset(last, 0, (size_t)(end - last));
	if (madvise(first, (size_t)(last - first), MADV_DONTNEED) < 0)
		memset(first, 0, (size_t)(last - first)); /* locked pages (mlockall) cannot be given back */
}

static void memory_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	const struct memory_backend *mb = channel->backend->priv;
	uint64_t len = (uint64_t)io->blocks * mb->block_size;
	nvmft_status status = 0;
	uint8_t *at;

	if (io->op == NVMFT_IO_FLUSH) {
		nvmft_io_done(io, 0);
		return;
	}
	at = mb->base + io->lba * mb->block_size;
	switch (io->op) {
	case NVMFT_IO_READ:
		memory_read(at, (uint32_t)len, io);
		break;
	case NVMFT_IO_WRITE:
		memory_write(at, io);
		break;
	case NVMFT_IO_WRITE_ZEROES:
	case NVMFT_IO_DEALLOCATE:
		memory_zero(mb, at, len);
		break;
	default:
		status = nvmft_status_from_errno(-EOPNOTSUPP);
	}
	nvmft_io_done(io, status);
}

static void memory_lend_end(struct nvmft_channel *channel, struct nvmft_io *io)
{
	(void)channel;
	(void)io;
}

static const struct nvmft_backend_ops memory_ops = {
	.size = sizeof(struct nvmft_backend_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "memory",
	.backend_size = sizeof(struct memory_backend),
	.io_size = sizeof(struct memory_io),
	.open = memory_open,
	.close = memory_close,
	.info = memory_info,
	.submit = memory_submit,
	.lend_end = memory_lend_end,
};

const struct nvmft_backend_ops *nvmft_backend_memory(void)
{
	return &memory_ops;
}
