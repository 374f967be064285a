/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../options.h"
#include "file.h"

/* How long a lock is waited for in all: one second. */
#define LOCK_RETRY_NS 20000000
#define LOCK_TRIES 50

/* Where nothing tells the alignment that direct I/O needs, this satisfies every device. */
#define SAFE_ALIGN 4096u

static int fail(const struct nvmft_backend *backend, int err, const char *what)
{
	const struct file_backend *fb = backend->priv;

	nvmft_backend_log(backend, NVMFT_LOG_ERROR, "path: %s: %s: %s", fb->path, what, strerrordesc_np(-err));
	return err;
}

static int check_type(const struct nvmft_backend *backend, const struct stat *st)
{
	const struct file_backend *fb = backend->priv;

	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
		return 0;
	nvmft_backend_log(backend, NVMFT_LOG_ERROR, "path: %s is %s, not a regular file or block device", fb->path,
			  S_ISDIR(st->st_mode)   ? "a directory"
			  : S_ISCHR(st->st_mode) ? "a character device"
						 : "a pipe or socket");
	return S_ISDIR(st->st_mode) ? -EISDIR : -EINVAL;
}

static int open_failed(const struct nvmft_backend *backend, int err)
{
	const struct file_backend *fb = backend->priv;

	if (err == -EBUSY)
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "path: %s is in use by the system, perhaps mounted",
				  fb->path);
	else if (!fb->read_only && (err == -EACCES || err == -EPERM || err == -EROFS))
		nvmft_backend_log(backend, NVMFT_LOG_ERROR,
				  "path: %s cannot be opened for writing: %s; read_only may be what you want", fb->path,
				  strerrordesc_np(-err));
	else
		fail(backend, err, "cannot be opened");
	return err;
}

/* Sets fb->fd, and fb->direct when the file system takes O_DIRECT. */
static int open_path(const struct nvmft_backend *backend, const struct nvmft_file_opts *o)
{
	struct file_backend *fb = backend->priv;
	int flags = O_CLOEXEC | (o->read_only ? O_RDONLY : O_RDWR);

	/* For block devices: not what a file system or another writer on this machine has claimed. */
	if (fb->block_device && !o->read_only && !o->no_lock)
		flags |= O_EXCL;
	fb->direct = !o->buffered;
	if (fb->direct) {
		fb->fd = open(fb->path, flags | O_DIRECT);
		if (fb->fd >= 0)
			return 0;
		if (errno != EINVAL)
			return open_failed(backend, -errno);
		fb->direct = false;
		nvmft_backend_log(backend, NVMFT_LOG_INFO, "%s: no direct I/O here, using the page cache", fb->path);
	}
	fb->fd = open(fb->path, flags);
	return fb->fd < 0 ? open_failed(backend, -errno) : 0;
}

/*
 * The kernel gives up the files of an io_uring some time after the process or the ring has ended: a target that starts
 * again at once would find itself locked out by its own past.
 */
static int lock_patiently(int fd, struct flock *lock)
{
	const struct timespec pause = {.tv_nsec = LOCK_RETRY_NS};
	int tries;

	for (tries = 1; fcntl(fd, F_OFD_SETLK, lock) != 0; tries++) {
		if ((errno != EAGAIN && errno != EACCES) || tries == LOCK_TRIES)
			return -1;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int take_lock(const struct nvmft_backend *backend)
{
	const struct file_backend *fb = backend->priv;
	struct flock lock = {.l_type = fb->read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};

	if (lock_patiently(fb->fd, &lock) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "path: %s is in use by another target", fb->path);
		return -EBUSY;
	}
	nvmft_backend_log(backend, NVMFT_LOG_WARN, "%s cannot be locked (%s): nothing keeps another target from it",
			  fb->path, strerrordesc_np(errno));
	return 0;
}

int nvmft_file_size(const struct nvmft_backend *backend, uint64_t *bytes)
{
	const struct file_backend *fb = backend->priv;
	struct stat st;

	if (fb->block_device) {
		if (ioctl(fb->fd, BLKGETSIZE64, bytes) == 0)
			return 0;
		return fail(backend, -errno, "no size");
	}
	if (fstat(fb->fd, &st) < 0)
		return fail(backend, -errno, "no size");
	*bytes = (uint64_t)st.st_size;
	return 0;
}

/* Facts that depend on the kind of file. */
static int look_at(const struct nvmft_backend *backend, uint32_t *device_block)
{
	struct file_backend *fb = backend->priv;
	struct stat st;
	int lbs, err;

	if (fstat(fb->fd, &st) < 0)
		return fail(backend, -errno, "fstat");
	err = check_type(backend, &st);
	if (err)
		return err;
	if (S_ISBLK(st.st_mode) != fb->block_device)
		return fail(backend, -EINVAL, "changed its type while being opened");
	fb->io_bytes = st.st_blksize > 0 ? (uint32_t)st.st_blksize : 0;
	fb->sparse = !fb->block_device && (uint64_t)st.st_blocks * 512 < (uint64_t)st.st_size;
	*device_block = 0;
	fb->range_align = 1;
	if (!fb->block_device)
		return 0;
	if (ioctl(fb->fd, BLKSSZGET, &lbs) < 0)
		return fail(backend, -errno, "no logical block size");
	*device_block = lbs > 0 ? (uint32_t)lbs : 0;
	fb->range_align = *device_block ? *device_block : 1;
	return 0;
}

static int check_geometry(const struct nvmft_backend *backend, const struct nvmft_file_opts *o, uint32_t device_block)
{
	struct file_backend *fb = backend->priv;
	uint64_t size;
	int err;

	fb->block_size = o->block_size ? o->block_size : device_block > 512 ? device_block : 512;
	fb->bytes = o->bytes;
	err = backend_check_block_size(backend, fb->block_size);
	if (!err)
		err = nvmft_file_size(backend, &size);
	if (err)
		return err;
	if (fb->bytes % fb->block_size != 0) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "bytes: %" PRIu64 " for %s, must be a multiple of %" PRIu32,
				  fb->bytes, fb->path, fb->block_size);
		return -EINVAL;
	}
	if (size < fb->bytes) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "bytes: %" PRIu64 ", but %s has only %" PRIu64, fb->bytes,
				  fb->path, size);
		return -EINVAL;
	}
	if (size < fb->block_size) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR,
				  "path: %s has %" PRIu64 " bytes, less than one block of %" PRIu32, fb->path, size,
				  fb->block_size);
		return -EINVAL;
	}
	return 0;
}

/* Alignment of direct I/O as the kernel tells it; 0 where it does not. */
static void ask_alignment(const struct file_backend *fb, uint32_t *memory, uint32_t *offset)
{
	struct statx sx;

	*memory = *offset = 0;
	if (statx(fb->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) < 0 || !(sx.stx_mask & STATX_DIOALIGN))
		return;
	*memory = sx.stx_dio_mem_align;
	*offset = sx.stx_dio_offset_align;
}

/* One block, at an offset that is no better aligned than blocks are. */
static int try_direct_read(const struct file_backend *fb, uint64_t size)
{
	off_t at = size >= 2 * (uint64_t)fb->block_size ? (off_t)fb->block_size : 0;
	void *buf = NULL;
	int err = posix_memalign(&buf, SAFE_ALIGN, fb->block_size);

	if (err)
		return -err;
	if (pread(fb->fd, buf, fb->block_size, at) < 0)
		err = -errno;
	free(buf);
	return err;
}

static int use_page_cache(const struct nvmft_backend *backend)
{
	struct file_backend *fb = backend->priv;
	int flags = fcntl(fb->fd, F_GETFL);

	fb->direct = false;
	fb->align = 1;
	if (flags < 0 || fcntl(fb->fd, F_SETFL, flags & ~O_DIRECT) < 0)
		return fail(backend, -errno, "cannot leave direct I/O");
	return 0;
}

/* Direct I/O opened does not mean that it works, nor that it does so with our block size. */
static int choose_io(const struct nvmft_backend *backend, uint32_t device_block)
{
	struct file_backend *fb = backend->priv;
	uint32_t memory, offset;
	uint64_t size;
	int err;

	fb->align = 1;
	if (!fb->direct)
		return 0;
	err = nvmft_file_size(backend, &size);
	if (err)
		return err;
	ask_alignment(fb, &memory, &offset);
	offset = offset ? offset : device_block;
	err = offset > fb->block_size ? -EINVAL : try_direct_read(fb, size);
	if (err == -ENOMEM)
		return fail(backend, err, "probe of direct I/O");
	if (err == -EINVAL || err == -EOPNOTSUPP) {
		nvmft_backend_log(backend, NVMFT_LOG_WARN,
				  "%s: direct I/O does not work with blocks of %" PRIu32
				  " bytes (block_size), using the page cache",
				  fb->path, fb->block_size);
		return use_page_cache(backend);
	}
	if (err)
		return fail(backend, err, "cannot be read");
	fb->align = memory && memory <= SAFE_ALIGN              ? memory
		    : device_block && device_block < SAFE_ALIGN ? device_block
								: SAFE_ALIGN;
	return 0;
}

/*
 * Deallocation behind the end of a file changes nothing but tells whether the file system can do it. A block device has
 * no such place; there deallocation is tried when it is asked for, and is only advice.
 */
static bool probe_punch(const struct file_backend *fb, uint64_t size)
{
	off_t end = (off_t)((size + SAFE_ALIGN - 1) & ~(uint64_t)(SAFE_ALIGN - 1));

	if (fb->read_only)
		return false;
	return fb->block_device ||
	       fallocate(fb->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, end, SAFE_ALIGN) == 0 ||
	       errno != EOPNOTSUPP;
}

static int prepare_zeroing(const struct nvmft_backend *backend)
{
	struct file_backend *fb = backend->priv;
	uint64_t size;
	int err = nvmft_file_size(backend, &size);

	if (err)
		return err;
	fb->can_punch = probe_punch(fb, size);
	if (fb->read_only)
		return 0;
	fb->zeroes = mmap(NULL, FILE_ZEROES_LEN, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (fb->zeroes == MAP_FAILED) {
		fb->zeroes = NULL;
		return fail(backend, -ENOMEM, "zeroes");
	}
	return 0;
}

static int set_path(const struct nvmft_backend *backend, const char *path)
{
	struct file_backend *fb = backend->priv;
	struct stat st;
	int err;

	if (!path || !*path) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "path: required");
		return -EINVAL;
	}
	fb->path = strdup(path);
	if (!fb->path) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "path: no memory");
		return -ENOMEM;
	}
	/* Before it is opened: opening a FIFO waits, and opening a device of another kind may do something. */
	if (stat(path, &st) < 0)
		return fail(backend, -errno, "cannot be opened");
	err = check_type(backend, &st);
	fb->block_device = S_ISBLK(st.st_mode);
	return err;
}

int nvmft_file_open(struct nvmft_backend *backend, const void *opts)
{
	struct file_backend *fb = backend->priv;
	uint32_t device_block = 0;
	struct nvmft_file_opts o;
	int err;

	fb->fd = -1;
	err = backend_options(backend, &o, sizeof(o), opts);
	if (err)
		return err;
	fb->read_only = o.read_only;
	err = set_path(backend, o.path);
	if (!err)
		err = open_path(backend, &o);
	if (!err && !o.no_lock)
		err = take_lock(backend);
	if (!err)
		err = look_at(backend, &device_block);
	if (!err)
		err = check_geometry(backend, &o, device_block);
	if (!err)
		err = choose_io(backend, device_block);
	if (!err)
		err = prepare_zeroing(backend);
	if (err)
		nvmft_file_close(backend);
	return err;
}

void nvmft_file_close(struct nvmft_backend *backend)
{
	struct file_backend *fb = backend->priv;

	if (fb->zeroes)
		munmap(fb->zeroes, FILE_ZEROES_LEN);
	if (fb->fd >= 0)
		close(fb->fd);
	free(fb->path);
}
