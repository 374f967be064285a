/* SPDX-License-Identifier: BSD-3-Clause */
/* The file backend's data path against a ring that the test plays: what is asked of the kernel, and what becomes of its
 * answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "file.c"
#include "io_end.h"

#define BLOCK 512u

static struct nvmft_ring_op *started;
static unsigned int cancels;

void nvmft_ring_start(struct nvmft_poll_group *group, struct nvmft_ring_op *op)
{
	(void)group;
	assert_null(started);
	started = op;
}

void nvmft_ring_cancel(struct nvmft_poll_group *group, struct nvmft_ring_op *op)
{
	(void)group;
	assert_ptr_equal(op, started);
	cancels++;
}

int nvmft_file_open(struct nvmft_backend *backend, const void *opts)
{
	(void)backend;
	(void)opts;
	return -ENOSYS;
}

void nvmft_file_close(struct nvmft_backend *backend)
{
	(void)backend;
}

int nvmft_file_size(const struct nvmft_backend *backend, uint64_t *bytes)
{
	(void)backend;
	*bytes = 1000 * BLOCK;
	return 0;
}

struct fixture {
	struct file_backend fb;
	struct nvmft_backend backend;
	struct nvmft_channel channel;
	struct nvmft_io io;
	struct nvmft_iov iov[5];
	struct file_io fi;
	struct io_uring_sqe sqe;
	char data[64 * BLOCK];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->fb = (struct file_backend){
		.fd = 7, .path = (char *)(uintptr_t) "disk", .block_size = BLOCK, .range_align = 1};
	f->fb.can_punch = true;
	f->fb.zeroes = f->data;
	f->backend.priv = &f->fb;
	f->channel.backend = &f->backend;
	f->io.channel = &f->channel;
	f->io.priv = &f->fi;
	f->io.iov = f->iov;
	memset(&f->fi, 0xa5, sizeof(f->fi)); /* private bytes are not zeroed */
	started = NULL;
	cancels = 0;
	io_end_reset();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* The entry that the started operation fills. */
static struct io_uring_sqe *prepared(struct fixture *f)
{
	assert_non_null(started);
	/* As io_uring_get_sqe() gives it: with newer versions of liburing preparing does not clear all of it again. */
	memset(&f->sqe, 0, sizeof(f->sqe));
	started->prep(started, &f->sqe);
	return &f->sqe;
}

static void answer(int res)
{
	struct nvmft_ring_op *op = started;

	assert_non_null(op);
	started = NULL;
	op->complete(op, res, 0);
}

static void submit(struct fixture *f, enum nvmft_io_op op, uint32_t flags, uint64_t lba, uint32_t blocks)
{
	f->io.op = op;
	f->io.flags = flags;
	f->io.lba = lba;
	f->io.blocks = blocks;
	if (op == NVMFT_IO_READ || op == NVMFT_IO_WRITE) {
		f->iov[0] = (struct nvmft_iov){f->data, blocks * BLOCK, NVMFT_REGION_NONE};
		f->io.iovcnt = 1;
	}
	file_submit(&f->channel, &f->io);
}

static void assert_done(nvmft_status status)
{
	assert_null(started);
	assert_int_equal(dones, 1);
	assert_int_equal(done_status, status);
}

/* One operation with one buffer. */
static void assert_transfer(const struct fixture *f, uint8_t opcode, uint64_t offset, const void *base, size_t len)
{
	const struct iovec *vec = (const struct iovec *)(uintptr_t)f->sqe.addr;

	assert_int_equal(f->sqe.opcode, opcode);
	assert_int_equal(f->sqe.fd, 7);
	assert_int_equal(f->sqe.off, offset);
	assert_int_equal(f->sqe.len, 1);
	assert_ptr_equal(vec[0].iov_base, base);
	assert_int_equal(vec[0].iov_len, len);
}

static void test_read(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_READ, 0, 0x100000000, 4);
	prepared(f);
	assert_transfer(f, IORING_OP_READV, 0x20000000000, f->data, 4 * BLOCK);
	answer(4 * BLOCK);
	assert_done(0);
}

static void test_write(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_WRITE, 0, 3, 2);
	assert_int_equal(prepared(f)->rw_flags, 0);
	assert_transfer(f, IORING_OP_WRITEV, 3 * BLOCK, f->data, 2 * BLOCK);
	answer(2 * BLOCK);
	assert_done(0);
}

static void test_fua(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_WRITE, NVMFT_IO_FUA, 3, 2);
	assert_int_equal(prepared(f)->rw_flags, RWF_DSYNC);
	answer(BLOCK);
	assert_int_equal(prepared(f)->rw_flags, RWF_DSYNC);
	answer(BLOCK);
	assert_done(0);
}

static void test_short_read_goes_on(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_READ, 0, 10, 4);
	answer(BLOCK + 100);
	prepared(f);
	assert_transfer(f, IORING_OP_READV, 11 * BLOCK + 100, f->data + BLOCK + 100, 3 * BLOCK - 100);
	answer(3 * BLOCK - 100);
	assert_done(0);
}

static void test_short_direct_read_ends(void **state)
{
	struct fixture *f = *state;

	f->fb.direct = true;
	submit(f, NVMFT_IO_READ, 0, 10, 4);
	answer(BLOCK + 100);
	assert_done(STATUS_OF(EIO));
}

static void test_end_of_file(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_READ, 0, 10, 4);
	answer(2 * BLOCK);
	answer(0);
	assert_done(STATUS_OF(EIO));
}

/* Five pieces take three operations of two; the third begins in the middle of one after a short answer. */
static void test_many_pieces(void **state)
{
	struct fixture *f = *state;
	const struct iovec *vec = f->fi.vec;

	for (unsigned int i = 0; i < 5; i++)
		f->iov[i] = (struct nvmft_iov){f->data + i * 2048, BLOCK, NVMFT_REGION_NONE};
	f->io.iovcnt = 5;
	f->io.op = NVMFT_IO_WRITE;
	f->io.blocks = 5;
	file_submit(&f->channel, &f->io);
	assert_int_equal(prepared(f)->len, 2);
	assert_ptr_equal(vec[1].iov_base, f->data + 2048);
	answer(BLOCK + 12);
	assert_int_equal(prepared(f)->len, 2);
	assert_ptr_equal(vec[0].iov_base, f->data + 2048 + 12);
	assert_int_equal(vec[0].iov_len, BLOCK - 12);
	assert_ptr_equal(vec[1].iov_base, f->data + 4096);
	answer(2 * BLOCK - 12);
	assert_int_equal(prepared(f)->len, 2);
	assert_int_equal(f->sqe.off, 3 * BLOCK);
	assert_ptr_equal(vec[0].iov_base, f->data + 6144);
	answer(2 * BLOCK);
	assert_done(0);
}

static void test_again(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_READ, 0, 0, 1);
	answer(-EAGAIN);
	answer(-EINTR);
	answer(BLOCK);
	assert_done(0);
}

static void test_error_logged_once(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_WRITE, 0, 0, 1);
	answer(-ENOSPC);
	assert_done(STATUS_OF(ENOSPC));
	assert_int_equal(logs, 1);
	submit(f, NVMFT_IO_WRITE, 0, 0, 1);
	answer(-ENOSPC);
	assert_int_equal(dones, 2);
	assert_int_equal(logs, 1);
}

static void test_abort(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_READ, 0, 0, 1);
	file_abort(&f->channel, &f->io);
	assert_int_equal(cancels, 1);
	assert_int_equal(dones, 0);
	answer(-EINTR);
	assert_done(STATUS_ABORT_REQUESTED);
	assert_int_equal(logs, 0);
}

static void test_abort_too_late(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_READ, 0, 0, 1);
	file_abort(&f->channel, &f->io);
	answer(BLOCK);
	assert_done(0);
}

static void test_flush(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_FLUSH, 0, 0, 0);
	assert_int_equal(prepared(f)->opcode, IORING_OP_FSYNC);
	assert_int_equal(f->sqe.fsync_flags, IORING_FSYNC_DATASYNC);
	answer(0);
	assert_done(0);
}

static void test_lost_writes_stay_lost(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_FLUSH, 0, 0, 0);
	answer(-EIO);
	assert_done(STATUS_OF(EIO));
	submit(f, NVMFT_IO_FLUSH, 0, 0, 0);
	assert_null(started);
	assert_int_equal(dones, 2);
	assert_int_equal(done_status, STATUS_OF(EIO));
}

static void test_direct_flush_may_recover(void **state)
{
	struct fixture *f = *state;

	f->fb.direct = true;
	submit(f, NVMFT_IO_FLUSH, 0, 0, 0);
	answer(-EIO);
	submit(f, NVMFT_IO_FLUSH, 0, 0, 0);
	answer(0);
	assert_int_equal(done_status, 0);
}

static void assert_fallocate(const struct fixture *f, uint32_t mode, uint64_t offset, uint64_t len)
{
	assert_int_equal(f->sqe.opcode, IORING_OP_FALLOCATE);
	assert_int_equal(f->sqe.len, mode | FALLOC_FL_KEEP_SIZE);
	assert_int_equal(f->sqe.off, offset);
	assert_int_equal(f->sqe.addr, len);
}

static void test_deallocate(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_DEALLOCATE, 0, 5, 0xffffffff);
	prepared(f);
	assert_fallocate(f, FALLOC_FL_PUNCH_HOLE, 5 * BLOCK, 0xffffffffull * BLOCK);
	answer(0);
	assert_done(0);
}

static void test_deallocate_is_advice(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_DEALLOCATE, 0, 5, 8);
	answer(-EOPNOTSUPP);
	assert_done(0);
}

static void test_deallocate_error(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_DEALLOCATE, 0, 5, 8);
	answer(-EIO);
	assert_done(STATUS_OF(EIO));
}

static void test_write_zeroes(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_WRITE_ZEROES, 0, 5, 8);
	prepared(f);
	assert_fallocate(f, FALLOC_FL_ZERO_RANGE, 5 * BLOCK, 8 * BLOCK);
	answer(0);
	assert_done(0);
}

static void test_write_zeroes_dealloc(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_WRITE_ZEROES, NVMFT_IO_DEALLOC_OK, 5, 8);
	prepared(f);
	assert_fallocate(f, FALLOC_FL_PUNCH_HOLE, 5 * BLOCK, 8 * BLOCK);
	answer(-EOPNOTSUPP);
	prepared(f);
	assert_fallocate(f, FALLOC_FL_ZERO_RANGE, 5 * BLOCK, 8 * BLOCK);
	answer(0);
	assert_done(0);
}

static void test_write_zeroes_fua(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_WRITE_ZEROES, NVMFT_IO_FUA, 5, 8);
	answer(0);
	assert_int_equal(dones, 0);
	assert_int_equal(prepared(f)->opcode, IORING_OP_FSYNC);
	answer(0);
	assert_done(0);
}

/* Without a file system's help, in pieces; and the next one does not ask for help any more. */
static void test_write_zeroes_by_hand(void **state)
{
	struct fixture *f = *state;
	uint32_t blocks = 2 * FILE_ZEROES_LEN / BLOCK + 1;

	submit(f, NVMFT_IO_WRITE_ZEROES, 0, 5, blocks);
	answer(-EOPNOTSUPP);
	assert_int_equal(prepared(f)->opcode, IORING_OP_WRITE);
	assert_int_equal(f->sqe.addr, (uintptr_t)f->fb.zeroes);
	assert_int_equal(f->sqe.len, FILE_ZEROES_LEN);
	answer(FILE_ZEROES_LEN);
	answer(FILE_ZEROES_LEN);
	assert_int_equal(prepared(f)->len, BLOCK);
	assert_int_equal(f->sqe.off, 5 * BLOCK + 2 * FILE_ZEROES_LEN);
	answer(BLOCK);
	assert_done(0);
	submit(f, NVMFT_IO_WRITE_ZEROES, NVMFT_IO_FUA, 5, 1);
	assert_int_equal(prepared(f)->opcode, IORING_OP_WRITE);
	answer(BLOCK);
	assert_int_equal(prepared(f)->opcode, IORING_OP_FSYNC);
	answer(0);
	assert_int_equal(dones, 2);
}

static void test_range_unlike_device_blocks(void **state)
{
	struct fixture *f = *state;

	f->fb.range_align = 4096;
	submit(f, NVMFT_IO_DEALLOCATE, 0, 4, 8);
	assert_done(0);
	submit(f, NVMFT_IO_WRITE_ZEROES, NVMFT_IO_DEALLOC_OK, 8, 9);
	assert_int_equal(prepared(f)->opcode, IORING_OP_WRITE);
	answer(9 * BLOCK);
	submit(f, NVMFT_IO_WRITE_ZEROES, 0, 8, 8);
	assert_int_equal(prepared(f)->opcode, IORING_OP_FALLOCATE);
	answer(0);
	assert_int_equal(dones, 3);
}

static void test_info(void **state)
{
	struct fixture *f = *state;
	struct nvmft_backend_info info = {.size = sizeof(info)};

	assert_int_equal(file_info(&f->backend, &info), 0);
	assert_int_equal(info.blocks, 1000);
	assert_true(info.volatile_cache);
	f->fb.bytes = 10 * BLOCK;
	assert_int_equal(file_info(&f->backend, &info), 0);
	assert_int_equal(info.blocks, 10);
	f->fb.bytes = 1001 * BLOCK;
	assert_int_equal(file_info(&f->backend, &info), -EINVAL);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_read),
		T(test_write),
		T(test_fua),
		T(test_short_read_goes_on),
		T(test_short_direct_read_ends),
		T(test_end_of_file),
		T(test_many_pieces),
		T(test_again),
		T(test_error_logged_once),
		T(test_abort),
		T(test_abort_too_late),
		T(test_flush),
		T(test_lost_writes_stay_lost),
		T(test_direct_flush_may_recover),
		T(test_deallocate),
		T(test_deallocate_is_advice),
		T(test_deallocate_error),
		T(test_write_zeroes),
		T(test_write_zeroes_dealloc),
		T(test_write_zeroes_fua),
		T(test_write_zeroes_by_hand),
		T(test_range_unlike_device_blocks),
		T(test_info),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
