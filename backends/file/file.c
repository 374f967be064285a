/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <linux/fs.h>

#include "../options.h"
#include "file.h"

#define STATUS_ABORT_REQUESTED NVMFT_STATUS(0, 0x07)

_Static_assert(sizeof(struct file_io) <= 128, "leaves room for wrappers in NVMFT_IO_PRIV_MAX");

static struct file_io *to_file_io(struct nvmft_ring_op *op)
{
	return (struct file_io *)(void *)((char *)op - offsetof(struct file_io, op));
}

static struct file_backend *backend_of(const struct file_io *fi)
{
	return fi->io->channel->backend->priv;
}

static uint64_t io_bytes(const struct file_io *fi)
{
	return (uint64_t)fi->io->blocks * backend_of(fi)->block_size;
}

static off_t io_offset(const struct file_io *fi)
{
	return (off_t)(fi->io->lba * backend_of(fi)->block_size + fi->finished);
}

static void start(struct file_io *fi, enum file_step step)
{
	fi->step = (uint8_t)step;
	nvmft_ring_start(fi->io->channel->group, &fi->op);
}

/* ---- submission entries ---- */

/* The next pieces of the buffer, from fi->finished on. */
static unsigned int fill_vec(struct file_io *fi)
{
	uint64_t skip = fi->finished;
	unsigned int n = 0;

	for (uint32_t i = 0; i < fi->io->iovcnt && n < FILE_IOVECS; i++) {
		const struct nvmft_iov *iov = &fi->io->iov[i];

		if (skip >= iov->len) {
			skip -= iov->len;
			continue;
		}
		fi->vec[n].iov_base = (char *)iov->base + skip;
		fi->vec[n].iov_len = iov->len - skip;
		skip = 0;
		n++;
	}
	return n;
}

static void prep_transfer(struct file_io *fi, struct io_uring_sqe *sqe)
{
	const struct file_backend *fb = backend_of(fi);
	unsigned int n = fill_vec(fi);

	if (fi->step == FILE_READ)
		io_uring_prep_readv(sqe, fb->fd, fi->vec, n, (__u64)io_offset(fi));
	else
		io_uring_prep_writev(sqe, fb->fd, fi->vec, n, (__u64)io_offset(fi));
	if (fi->step == FILE_WRITE && fi->io->flags & NVMFT_IO_FUA)
		sqe->rw_flags = RWF_DSYNC;
}

static void prep_zeroes(struct file_io *fi, struct io_uring_sqe *sqe)
{
	const struct file_backend *fb = backend_of(fi);
	uint64_t left = io_bytes(fi) - fi->finished;

	io_uring_prep_write(sqe, fb->fd, fb->zeroes, left < FILE_ZEROES_LEN ? (unsigned int)left : FILE_ZEROES_LEN,
			    (__u64)io_offset(fi));
}

/* The types of the range differ between versions of liburing, hence it is filled in behind it. */
static void prep_fallocate(struct file_io *fi, struct io_uring_sqe *sqe, int fd, int mode)
{
	io_uring_prep_fallocate(sqe, fd, mode, 0, 0);
	sqe->off = (uint64_t)io_offset(fi);
	sqe->addr = io_bytes(fi);
}

static void file_prep(struct nvmft_ring_op *op, struct io_uring_sqe *sqe)
{
	struct file_io *fi = to_file_io(op);
	const struct file_backend *fb = backend_of(fi);

	switch ((enum file_step)fi->step) {
	case FILE_READ:
	case FILE_WRITE:
		prep_transfer(fi, sqe);
		break;
	case FILE_WRITE_ZEROES:
		prep_zeroes(fi, sqe);
		break;
	case FILE_PUNCH:
		prep_fallocate(fi, sqe, fb->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
		break;
	case FILE_ZERO_RANGE:
		prep_fallocate(fi, sqe, fb->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
		break;
	case FILE_SYNC:
		io_uring_prep_fsync(sqe, fb->fd, IORING_FSYNC_DATASYNC);
		break;
	}
}

/* ---- completions ---- */

static const char *step_name(const struct file_io *fi)
{
	static const char *const names[] = {
		[FILE_READ] = "read",
		[FILE_WRITE] = "write",
		[FILE_WRITE_ZEROES] = "write zeroes",
		[FILE_PUNCH] = "deallocate",
		[FILE_ZERO_RANGE] = "write zeroes",
		[FILE_SYNC] = "flush",
	};

	return names[fi->step];
}

static void end(struct file_io *fi, int err)
{
	struct file_backend *fb = backend_of(fi);
	struct nvmft_io *io = fi->io;

	if (err == -ECANCELED || (fi->aborted && err)) {
		nvmft_io_done(io, STATUS_ABORT_REQUESTED);
		return;
	}
	/* Once: a broken disk would fill the log as fast as a host retries. */
	if (err && !atomic_exchange(&fb->reported, true))
		nvmft_backend_log(io->channel->backend, NVMFT_LOG_ERROR,
				  "%s: %s of %" PRIu32 " blocks at %" PRIu64 ": %s; further errors are not logged",
				  fb->path, step_name(fi), io->blocks, io->lba, strerrordesc_np(-err));
	nvmft_io_done(io, nvmft_status_from_errno(err));
}

/* Every block has been written: FUA of what could not be written with RWF_DSYNC is still owed. */
static void zeroed(struct file_io *fi)
{
	if (fi->io->flags & NVMFT_IO_FUA)
		start(fi, FILE_SYNC);
	else
		end(fi, 0);
}

/* A transfer moved @res bytes. The kernel may move less than all: at the end of the file, or because a signal came. */
static void transferred(struct file_io *fi, int res)
{
	fi->finished += (uint64_t)res;
	if (fi->finished == io_bytes(fi)) {
		if (fi->step == FILE_WRITE_ZEROES)
			zeroed(fi);
		else
			end(fi, 0);
	} else if (res == 0 || fi->aborted || (backend_of(fi)->direct && fi->finished % backend_of(fi)->block_size)) {
		end(fi, -EIO); /* the file is shorter than the namespace now */
	} else {
		start(fi, (enum file_step)fi->step);
	}
}

static bool unsupported(int res)
{
	return res == -EOPNOTSUPP || res == -ENOSYS || res == -ENOTTY;
}

static void fallocated(struct file_io *fi, int res)
{
	if (!unsupported(res)) {
		if (res)
			end(fi, res);
		else
			zeroed(fi);
	} else if (fi->io->op == NVMFT_IO_DEALLOCATE) {
		end(fi, 0); /* deallocation is advice */
	} else if (fi->step == FILE_PUNCH &&
		   !atomic_load_explicit(&backend_of(fi)->zero_range_fails, memory_order_relaxed)) {
		start(fi, FILE_ZERO_RANGE);
	} else {
		atomic_store_explicit(&backend_of(fi)->zero_range_fails, true, memory_order_relaxed);
		start(fi, FILE_WRITE_ZEROES);
	}
}

/*
 * The kernel reports a failed write-back once and then takes the pages for clean: the next flush would succeed over
 * lost data, and the host believe it. So none does until the file is opened anew.
 */
static void synced(struct file_io *fi, int res)
{
	if (res < 0 && res != -ECANCELED && !backend_of(fi)->direct)
		atomic_store_explicit(&backend_of(fi)->lost_writes, true, memory_order_relaxed);
	end(fi, res);
}

static void file_complete(struct nvmft_ring_op *op, int res, unsigned int flags)
{
	struct file_io *fi = to_file_io(op);

	(void)flags;
	if ((res == -EAGAIN || res == -EINTR) && !fi->aborted) {
		start(fi, (enum file_step)fi->step);
		return;
	}
	switch ((enum file_step)fi->step) {
	case FILE_READ:
	case FILE_WRITE:
	case FILE_WRITE_ZEROES:
		if (res >= 0)
			transferred(fi, res);
		else
			end(fi, res);
		break;
	case FILE_PUNCH:
	case FILE_ZERO_RANGE:
		fallocated(fi, res);
		break;
	case FILE_SYNC:
		synced(fi, res);
		break;
	}
}

/* ---- the backend ---- */

static bool range_aligned(const struct file_backend *fb, const struct nvmft_io *io)
{
	return (io->lba * fb->block_size | (uint64_t)io->blocks * fb->block_size) % fb->range_align == 0;
}

static enum file_step zeroing_step(const struct file_backend *fb, const struct nvmft_io *io)
{
	if (!range_aligned(fb, io))
		return FILE_WRITE_ZEROES;
	if (io->flags & NVMFT_IO_DEALLOC_OK && fb->can_punch)
		return FILE_PUNCH;
	return atomic_load_explicit(&fb->zero_range_fails, memory_order_relaxed) ? FILE_WRITE_ZEROES : FILE_ZERO_RANGE;
}

static void submit_flush(struct file_io *fi)
{
	if (atomic_load_explicit(&backend_of(fi)->lost_writes, memory_order_relaxed))
		nvmft_io_done(fi->io, nvmft_status_from_errno(-EIO));
	else
		start(fi, FILE_SYNC);
}

static void file_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	const struct file_backend *fb = channel->backend->priv;
	struct file_io *fi = io->priv;

	memset(fi, 0, offsetof(struct file_io, vec));
	fi->op.prep = file_prep;
	fi->op.complete = file_complete;
	fi->io = io;
	switch (io->op) {
	case NVMFT_IO_READ:
		start(fi, FILE_READ);
		break;
	case NVMFT_IO_WRITE:
		start(fi, FILE_WRITE);
		break;
	case NVMFT_IO_FLUSH:
		submit_flush(fi);
		break;
	case NVMFT_IO_WRITE_ZEROES:
		start(fi, zeroing_step(fb, io));
		break;
	case NVMFT_IO_DEALLOCATE:
		if (range_aligned(fb, io))
			start(fi, FILE_PUNCH);
		else
			nvmft_io_done(io, 0);
		break;
	default:
		nvmft_io_done(io, nvmft_status_from_errno(-EOPNOTSUPP));
	}
}

static void file_abort(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct file_io *fi = io->priv;

	fi->aborted = true;
	nvmft_ring_cancel(channel->group, &fi->op);
}

static int file_info(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	const struct file_backend *fb = backend->priv;
	enum nvmft_capability write_cap = fb->read_only ? NVMFT_CAP_NONE : NVMFT_CAP_NATIVE;
	uint64_t size;
	int err = nvmft_file_size(backend, &size);

	if (err)
		return err;
	if (size < fb->block_size || size < fb->bytes) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "path: %s shrank to %" PRIu64 " bytes", fb->path, size);
		return -EINVAL;
	}
	info->block_size = fb->block_size;
	info->blocks = (fb->bytes ? fb->bytes : size) / fb->block_size;
	info->read_only = fb->read_only;
	info->volatile_cache = !fb->read_only;
	info->deallocated_zero = true;
	info->thin = fb->sparse;
	info->flush = NVMFT_CAP_NATIVE;
	info->fua = write_cap;
	info->write_zeroes = write_cap;
	info->deallocate = fb->can_punch ? NVMFT_CAP_NATIVE : NVMFT_CAP_NONE;
	info->align = fb->align;
	info->preferred_blocks = fb->io_bytes / fb->block_size;
	return 0;
}

static const struct nvmft_backend_ops file_ops = {
	.size = sizeof(struct nvmft_backend_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "file",
	.backend_size = sizeof(struct file_backend),
	.io_size = sizeof(struct file_io),
	.open = nvmft_file_open,
	.close = nvmft_file_close,
	.info = file_info,
	.submit = file_submit,
	.abort = file_abort,
};

const struct nvmft_backend_ops *nvmft_backend_file(void)
{
	return &file_ops;
}
