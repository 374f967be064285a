/* SPDX-License-Identifier: BSD-3-Clause */
/* The passthrough backend against a ring that the test plays: the commands that I/Os become, how large ones are split,
 * and what becomes of the answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "io.c"

#define BLOCK 512u
#define STATUS_OF(err) ((nvmft_status)(0x600 + (err)))
#define FD 7
#define REGION 65u

static struct io_uring_sqe sqes[64][2];
static unsigned int nsqes, room, dones, logs;
static nvmft_status done_status;

struct io_uring_sqe *nvmft_ng_get_sqe(struct ng_channel *ch)
{
	(void)ch;
	if (nsqes == room)
		return NULL;
	ng_clear_sqe(sqes[nsqes]);
	return sqes[nsqes++];
}

void nvmft_io_done(struct nvmft_io *io, nvmft_status status)
{
	(void)io;
	dones++;
	done_status = status;
}

nvmft_status nvmft_status_from_errno(int err)
{
	return err ? STATUS_OF(-err) : 0;
}

void nvmft_backend_log(const struct nvmft_backend *backend, enum nvmft_log_level level, const char *format, ...)
{
	(void)backend;
	(void)level;
	(void)format;
	logs++;
}

struct fixture {
	struct ng_backend ng;
	struct nvmft_backend backend;
	struct nvmft_channel channel;
	struct ng_channel ch;
	struct nvmft_io io;
	struct nvmft_iov iov[16];
	struct ng_io ni;
	char *data; /* page aligned */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->data = aligned_alloc(4096, 1 << 20);
	assert_non_null(f->data);
	f->ng = (struct ng_backend){.fd = FD, .path = (char *)(uintptr_t) "ng0n1", .nsid = 3, .block_size = BLOCK};
	f->ng.max_bytes = 64 * 1024;
	f->ng.max_pages = 17;
	f->backend.priv = &f->ng;
	f->channel.backend = &f->backend;
	f->channel.priv = &f->ch;
	f->ch.channel = &f->channel;
	f->ch.waiting_tail = &f->ch.waiting;
	f->io.channel = &f->channel;
	f->io.priv = &f->ni;
	f->io.iov = f->iov;
	memset(&f->ni, 0xa5, sizeof(f->ni)); /* private bytes are not zeroed */
	nsqes = dones = logs = 0;
	room = 64;
	done_status = 0xffff;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->ch.outstanding, 0);
	free(f->data);
	free(f);
	return 0;
}

static void submit(struct fixture *f, enum nvmft_io_op op, uint32_t flags, uint64_t lba, uint32_t blocks)
{
	f->io.op = op;
	f->io.flags = flags;
	f->io.lba = lba;
	f->io.blocks = blocks;
	if (has_data(&f->io) && !f->io.iovcnt) {
		f->iov[0] = (struct nvmft_iov){f->data, blocks * BLOCK, NVMFT_REGION_NONE};
		f->io.iovcnt = 1;
	}
	nvmft_ng_submit(&f->channel, &f->io);
}

static const struct nvme_uring_cmd *cmd(unsigned int i)
{
	return (const struct nvme_uring_cmd *)(const void *)sqes[i]->cmd;
}

static void answer(struct fixture *f, int res)
{
	nvmft_ng_complete(&f->ch, &f->ni, res);
}

static void answer_all(struct fixture *f)
{
	while (f->ni.pending && !dones)
		answer(f, 0);
}

static void assert_range(unsigned int i, uint8_t opcode, uint64_t lba, uint32_t cdw12)
{
	assert_true(i < nsqes);
	assert_int_equal(sqes[i]->opcode, IORING_OP_URING_CMD);
	assert_int_equal(sqes[i]->fd, FD);
	assert_int_equal(cmd(i)->opcode, opcode);
	assert_int_equal(cmd(i)->nsid, 3);
	assert_int_equal(cmd(i)->cdw10, (uint32_t)lba);
	assert_int_equal(cmd(i)->cdw11, lba >> 32);
	assert_int_equal(cmd(i)->cdw12, cdw12);
}

static void assert_buffer(unsigned int i, const void *base, size_t len)
{
	assert_int_equal(sqes[i]->cmd_op, NVME_URING_CMD_IO);
	assert_int_equal(cmd(i)->addr, (uintptr_t)base);
	assert_int_equal(cmd(i)->data_len, len);
}

static void test_read(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_READ, 0, 0x123456789a, 8);
	assert_int_equal(nsqes, 1);
	assert_range(0, 0x02, 0x123456789a, 7);
	assert_buffer(0, f->data, 8 * BLOCK);
	assert_int_equal(sqes[0]->uring_cmd_flags, 0);
	assert_int_equal(sqes[0]->user_data, (uintptr_t)&f->ni);
	answer(f, 0);
	assert_int_equal(dones, 1);
	assert_int_equal(done_status, 0);
}

static void test_write_fua(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_WRITE, NVMFT_IO_FUA, 1, 1);
	assert_range(0, 0x01, 1, 1u << 30);
	answer_all(f);
}

static void test_compare(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_COMPARE, 0, 5, 2);
	assert_range(0, 0x05, 5, 1);
	answer(f, 0x4285);
	assert_int_equal(done_status, 0x4285);
	assert_int_equal(logs, 0);
}

static void test_flush(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_FLUSH, 0, 99, 0);
	assert_range(0, 0x00, 0, 0);
	assert_int_equal(cmd(0)->data_len, 0);
	answer(f, 0);
	assert_int_equal(dones, 1);
}

static void test_write_zeroes(void **state)
{
	struct fixture *f = *state;

	f->ng.facts.deac = true;
	submit(f, NVMFT_IO_WRITE_ZEROES, NVMFT_IO_DEALLOC_OK, 5, 8);
	assert_range(0, 0x08, 5, 7); /* they might not read as zeroes */
	answer_all(f);
	dones = 0;
	f->ng.facts.deallocated_zero = true;
	submit(f, NVMFT_IO_WRITE_ZEROES, NVMFT_IO_DEALLOC_OK, 5, 8);
	assert_range(1, 0x08, 5, 7 | 1u << 25);
	answer_all(f);
}

static void test_write_zeroes_split(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_WRITE_ZEROES, 0, 10, 65537);
	assert_int_equal(nsqes, 2);
	assert_range(0, 0x08, 10, 65535);
	assert_range(1, 0x08, 65546, 0);
	answer_all(f);
	dones = nsqes = 0;
	f->ng.facts.max_zeroes = 100;
	submit(f, NVMFT_IO_WRITE_ZEROES, 0, 10, 101);
	assert_range(0, 0x08, 10, 99);
	assert_range(1, 0x08, 110, 0);
	answer_all(f);
}

static void assert_dsm(const struct fixture *f, unsigned int i, uint64_t lba, uint32_t blocks)
{
	assert_int_equal(nsqes, i + 1);
	assert_int_equal(cmd(i)->opcode, 0x09);
	assert_int_equal(cmd(i)->cdw10, 0);
	assert_int_equal(cmd(i)->cdw11, 4);
	assert_buffer(i, &f->ni.range, 16);
	assert_int_equal(le64toh(f->ni.range.slba), lba);
	assert_int_equal(le32toh(f->ni.range.nlb), blocks);
}

static void test_deallocate(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_DEALLOCATE, 0, 5, UINT32_MAX);
	assert_dsm(f, 0, 5, UINT32_MAX);
	answer(f, 0);
	assert_int_equal(dones, 1);
}

/* There is one range for the device to read: one command after the other. */
static void test_deallocate_split(void **state)
{
	struct fixture *f = *state;

	f->ng.facts.max_deallocate = 1000;
	submit(f, NVMFT_IO_DEALLOCATE, 0, 5, 1001);
	assert_dsm(f, 0, 5, 1000);
	answer(f, 0);
	assert_dsm(f, 1, 1005, 1);
	answer(f, 0);
	assert_int_equal(dones, 1);
}

static void test_split_by_bytes(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_READ, 0, 1000, 300);
	assert_int_equal(nsqes, 3);
	assert_range(0, 0x02, 1000, 127);
	assert_range(1, 0x02, 1128, 127);
	assert_range(2, 0x02, 1256, 43);
	assert_buffer(1, f->data + 64 * 1024, 64 * 1024);
	answer(f, 0);
	answer(f, 0);
	assert_int_equal(dones, 0);
	answer(f, 0);
	assert_int_equal(dones, 1);
}

/* A buffer that begins inside a page takes one page more. */
static void test_split_by_pages(void **state)
{
	struct fixture *f = *state;

	f->ng.max_pages = 4;
	f->iov[0] = (struct nvmft_iov){f->data + 256, 32 * BLOCK, NVMFT_REGION_NONE};
	f->io.iovcnt = 1;
	submit(f, NVMFT_IO_WRITE, 0, 0, 32);
	assert_int_equal(nsqes, 2);
	assert_buffer(0, f->data + 256, 31 * BLOCK);
	assert_range(1, 0x01, 31, 0);
	assert_buffer(1, f->data + 256 + 31 * BLOCK, BLOCK);
	answer_all(f);
}

static void test_split_error(void **state)
{
	struct fixture *f = *state;

	submit(f, NVMFT_IO_READ, 0, 0, 300);
	answer(f, 0);
	answer(f, 0x281);
	assert_int_equal(dones, 0);
	answer(f, 0x281 | 0x4000);
	assert_int_equal(dones, 1);
	assert_int_equal(done_status, 0x281);
}

static void test_vector(void **state)
{
	struct fixture *f = *state;
	const struct iovec *vec;

	for (unsigned int i = 0; i < 6; i++)
		f->iov[i] = (struct nvmft_iov){f->data + i * 8192, i == 5 ? 3 * BLOCK : 100, NVMFT_REGION_NONE};
	f->iov[4].len = BLOCK + 112;
	f->io.iovcnt = 6;
	submit(f, NVMFT_IO_WRITE, 0, 0, 5);
	assert_int_equal(nsqes, 1);
	assert_int_equal(sqes[0]->cmd_op, NVME_URING_CMD_IO_VEC);
	assert_int_equal(cmd(0)->data_len, 6);
	vec = (const struct iovec *)(uintptr_t)cmd(0)->addr;
	assert_ptr_equal(vec[4].iov_base, f->data + 4 * 8192);
	assert_int_equal(vec[4].iov_len, BLOCK + 112);
	answer_all(f);
}

/* Commands end at blocks, wherever the pieces do; one after the other, for there is one vector. */
static void test_vector_split(void **state)
{
	struct fixture *f = *state;
	const struct iovec *vec;

	f->ng.max_bytes = 2 * BLOCK;
	f->iov[0] = (struct nvmft_iov){f->data, 700, NVMFT_REGION_NONE};
	f->iov[1] = (struct nvmft_iov){f->data + 4096, 4 * BLOCK - 700, NVMFT_REGION_NONE};
	f->io.iovcnt = 2;
	submit(f, NVMFT_IO_READ, 0, 8, 4);
	assert_int_equal(nsqes, 1);
	assert_int_equal(cmd(0)->data_len, 2);
	vec = (const struct iovec *)(uintptr_t)cmd(0)->addr;
	assert_int_equal(vec[1].iov_len, 2 * BLOCK - 700);
	answer(f, 0);
	assert_int_equal(nsqes, 2);
	assert_range(1, 0x02, 10, 1);
	assert_buffer(1, f->data + 4096 + 2 * BLOCK - 700, 2 * BLOCK);
	answer(f, 0);
	assert_int_equal(dones, 1);
}

/* More pieces than the device has segments: the kernel copies that block. */
static void test_crumbs(void **state)
{
	struct fixture *f = *state;

	f->ng.max_pages = 4;
	for (unsigned int i = 0; i < 16; i++)
		f->iov[i] = (struct nvmft_iov){f->data + i * 4096, 32, NVMFT_REGION_NONE};
	f->io.iovcnt = 16;
	submit(f, NVMFT_IO_WRITE, 0, 0, 1);
	assert_int_equal(cmd(0)->data_len, 16);
	answer_all(f);
}

static void with_fixed(struct fixture *f)
{
	f->ch.fixed_ok = true;
	f->ch.fixed[REGION / 64] |= 1ull << (REGION % 64);
	f->iov[0] = (struct nvmft_iov){f->data, 8 * BLOCK, REGION};
	f->io.iovcnt = 1;
}

static void test_fixed(void **state)
{
	struct fixture *f = *state;

	with_fixed(f);
	submit(f, NVMFT_IO_READ, 0, 0, 8);
	assert_int_equal(sqes[0]->uring_cmd_flags, IORING_URING_CMD_FIXED);
	assert_int_equal(sqes[0]->buf_index, REGION);
	answer_all(f);
	f->iov[0].region = REGION + 1; /* not registered */
	submit(f, NVMFT_IO_READ, 0, 0, 8);
	assert_int_equal(sqes[1]->uring_cmd_flags, 0);
	dones = 0;
	answer_all(f);
}

static void test_fixed_refused(void **state)
{
	struct fixture *f = *state;

	with_fixed(f);
	submit(f, NVMFT_IO_READ, 0, 4, 8);
	answer(f, -EINVAL);
	assert_int_equal(dones, 0);
	assert_int_equal(nsqes, 2);
	assert_range(1, 0x02, 4, 7);
	assert_int_equal(sqes[1]->uring_cmd_flags, 0);
	answer(f, 0);
	assert_int_equal(done_status, 0);
	assert_false(f->ch.fixed_ok);
}

static void test_no_room(void **state)
{
	struct fixture *f = *state;

	room = 1;
	submit(f, NVMFT_IO_READ, 0, 0, 300);
	assert_int_equal(nsqes, 1);
	assert_ptr_equal(f->ch.waiting, &f->ni);
	answer(f, 0);
	assert_int_equal(dones, 0);
	room = 64;
	nvmft_ng_drain_waiting(&f->ch);
	assert_null(f->ch.waiting);
	assert_int_equal(nsqes, 3);
	assert_range(2, 0x02, 256, 43);
	answer(f, 0);
	answer(f, 0);
	assert_int_equal(dones, 1);
}

static void test_no_room_and_error(void **state)
{
	struct fixture *f = *state;

	room = 1;
	submit(f, NVMFT_IO_READ, 0, 0, 300);
	answer(f, 0x281);
	assert_int_equal(dones, 0); /* it is on the list */
	nvmft_ng_drain_waiting(&f->ch);
	assert_int_equal(dones, 1);
	assert_int_equal(done_status, 0x281);
	assert_int_equal(nsqes, 1);
}

static nvmft_status outcome(struct fixture *f, int res)
{
	submit(f, NVMFT_IO_READ, 0, 0, 1);
	answer(f, res);
	return done_status;
}

static void test_statuses(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(outcome(f, 0x281 | 0x4000), 0x4281);
	assert_int_equal(outcome(f, 0x80 | 0x3800), 0x80); /* delays and log are those of the device */
	assert_int_equal(outcome(f, 0x370), STATUS_NOT_READY);
	assert_int_equal(outcome(f, 0x371), STATUS_NOT_READY);
	assert_int_equal(logs, 0);
}

static void test_gone(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(outcome(f, -ENODEV), STATUS_NOT_READY);
	assert_int_equal(outcome(f, -EIO), STATUS_NOT_READY);
	assert_int_equal(outcome(f, -EINTR), STATUS_NOT_READY);
	assert_int_equal(outcome(f, -ENOMEM), STATUS_OF(ENOMEM));
	f->ng.fd = -1; /* does not answer */
	assert_int_equal(outcome(f, -EINVAL), STATUS_NOT_READY);
	assert_int_equal(logs, 1);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_read),           T(test_write_fua),
		T(test_compare),        T(test_flush),
		T(test_write_zeroes),   T(test_write_zeroes_split),
		T(test_deallocate),     T(test_deallocate_split),
		T(test_split_by_bytes), T(test_split_by_pages),
		T(test_split_error),    T(test_vector),
		T(test_vector_split),   T(test_crumbs),
		T(test_fixed),          T(test_fixed_refused),
		T(test_no_room),        T(test_no_room_and_error),
		T(test_statuses),       T(test_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
