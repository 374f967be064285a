/* SPDX-License-Identifier: BSD-3-Clause */
/* The passthrough backend against a ring that the test plays: the commands that I/Os become, how large ones are split,
 * and what becomes of the answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include <cmocka.h>

#include "command.c"
#include "io.c"
static int fake_ioctl(int fd, unsigned long request);
#define ioctl fake_ioctl
#include "status.c"
#undef ioctl

#define BLOCK 512u
#define STATUS_OF(err) ((nvmft_status)(0x600 + (err)))
#define FD 7
#define REGION 65u

/* NVME_IOCTL_ID, by which the kernel says that there is a namespace behind. */
static int fake_ioctl(int fd, unsigned long request)
{
	(void)request;
	return fd < 0 ? -1 : 3;
}

static struct io_uring_sqe sqes[64][2];
static unsigned int nsqes, room, dones, logs, looks, formatting_looks;
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

void nvmft_ng_look(struct ng_backend *ng, bool formatting)
{
	(void)ng;
	looks++;
	formatting_looks += formatting;
}

struct fixture {
	struct ng_backend ng;
	struct nvmft_backend backend;
	struct nvmft_channel channel;
	struct ng_channel ch;
	struct nvmft_io io;
	struct nvmft_iov iov[16];
	struct ng_io ni;
	struct nvmft_sqe host;
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
	f->ng.facts.max_verify = f->ng.facts.max_uncorrectable = f->ng.facts.max_zeroes = 65536;
	f->ng.facts.max_deallocate = UINT32_MAX;
	f->backend.priv = &f->ng;
	f->channel.backend = &f->backend;
	f->channel.priv = &f->ch;
	f->ch.channel = &f->channel;
	f->ch.waiting_tail = &f->ch.waiting;
	f->io.channel = &f->channel;
	f->io.priv = &f->ni;
	f->io.iov = f->iov;
	f->io.sqe = &f->host;
	for (unsigned int i = 0; i < NG_CTRLS; i++)
		f->ng.ctrl_fd[i] = -1;
	memset(&f->ni, 0xa5, sizeof(f->ni)); /* private bytes are not zeroed */
	nsqes = dones = logs = looks = formatting_looks = 0;
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
	if (has_blocks(&f->io) && !f->io.iovcnt) {
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
	nvmft_ng_complete(&f->ch, &f->ni, res, 0);
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
	assert_int_equal(sqes[0]->user_data, (uintptr_t)&f->ni | NG_LONG);
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

	submit(f, NVMFT_IO_WRITE_ZEROES, NVMFT_IO_DEALLOC_OK, 5, 8);
	assert_range(0, 0x08, 5, 7); /* they might not read as zeroes */
	answer_all(f);
	dones = 0;
	f->ng.facts.can_deallocate_zeroes = true;
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

/* Commands end at blocks, wherever the pieces do. */
static void test_vector_split(void **state)
{
	struct fixture *f = *state;
	const struct iovec *vec;

	f->ng.max_bytes = 2 * BLOCK;
	for (unsigned int i = 0; i < 5; i++)
		f->iov[i] = (struct nvmft_iov){f->data + i * 4096, i < 4 ? 700 : 6 * BLOCK - 2800, NVMFT_REGION_NONE};
	f->io.iovcnt = 5;
	submit(f, NVMFT_IO_READ, 0, 8, 6);
	assert_int_equal(nsqes, 3);
	assert_int_equal(cmd(0)->data_len, 2);
	assert_range(1, 0x02, 10, 1);
	assert_int_equal(cmd(1)->data_len, 2);
	vec = (const struct iovec *)(uintptr_t)cmd(1)->addr;
	assert_ptr_equal(vec[0].iov_base, f->data + 4096 + 2 * BLOCK - 700);
	assert_int_equal(cmd(2)->data_len, 3);
	vec = (const struct iovec *)(uintptr_t)cmd(0)->addr; /* as it was when it was made */
	assert_int_equal(vec[1].iov_len, 2 * BLOCK - 700);
	answer_all(f);
}

/* No room for what is left: the next command waits until the vector is free. */
static void test_vector_full(void **state)
{
	struct fixture *f = *state;

	f->ng.max_bytes = 2 * BLOCK;
	f->iov[0] = (struct nvmft_iov){f->data, 700, NVMFT_REGION_NONE};
	f->iov[1] = (struct nvmft_iov){f->data + 4096, 4 * BLOCK - 700, NVMFT_REGION_NONE};
	f->io.iovcnt = 2;
	submit(f, NVMFT_IO_READ, 0, 8, 4);
	assert_int_equal(nsqes, 1);
	answer(f, 0);
	assert_int_equal(nsqes, 2);
	assert_range(1, 0x02, 10, 1);
	assert_buffer(1, f->data + 4096 + 2 * BLOCK - 700, 2 * BLOCK);
	answer(f, 0);
	assert_int_equal(dones, 1);
}

/* A block in more pieces than the kernel takes. */
static void test_dust(void **state)
{
	struct fixture *f = *state;
	struct nvmft_iov *iov = calloc(1200, sizeof(*iov));

	assert_non_null(iov);
	f->ng.block_size = 4096;
	for (unsigned int i = 0; i < 1200; i++)
		iov[i] = (struct nvmft_iov){f->data + 4 * i, i < 1199 ? 3 : 4096 - 3 * 1199, NVMFT_REGION_NONE};
	f->io.iov = iov;
	f->io.iovcnt = 1200;
	submit(f, NVMFT_IO_WRITE, 0, 0, 1);
	assert_int_equal(nsqes, 0);
	assert_int_equal(done_status, 0x4002);
	free(iov);
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
	f->ch.fixed_regions = NG_REGIONS;
	f->ch.fixed[REGION] = true;
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
	assert_int_equal(f->ch.fixed_regions, 0);
}

/* The buffer was not what was wrong. */
static void test_fixed_stays(void **state)
{
	struct fixture *f = *state;

	with_fixed(f);
	f->ng.head = true;
	submit(f, NVMFT_IO_READ, 0, 4, 8);
	answer(f, -EINVAL);
	answer(f, -EINVAL);
	assert_int_equal(done_status, NG_STATUS_NOT_READY);
	assert_int_equal(f->ch.fixed_regions, NG_REGIONS);
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
	assert_int_equal(outcome(f, 0x370), NG_STATUS_NOT_READY);
	assert_int_equal(outcome(f, 0x371), NG_STATUS_NOT_READY);
	assert_int_equal(logs, 0);
}

static void test_gone(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(outcome(f, -ENODEV), NG_STATUS_NOT_READY);
	assert_int_equal(outcome(f, -EIO), NG_STATUS_NOT_READY);
	assert_int_equal(outcome(f, -EINTR), NG_STATUS_NOT_READY);
	assert_int_equal(outcome(f, -ENOMEM), STATUS_OF(ENOMEM));
	f->ng.fd = -1; /* does not answer */
	assert_int_equal(outcome(f, -EINVAL), NG_STATUS_NOT_READY);
	assert_int_equal(logs, 1);
}

/* A device of several controllers answers so when it has lost all of them. */
static void test_no_path(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(outcome(f, -EINVAL), STATUS_OF(EINVAL));
	f->ng.head = true;
	assert_int_equal(outcome(f, -EINVAL), NG_STATUS_NOT_READY);
}

/* Where no events come, this is how a device is found to be gone, smaller or formatted. */
static void test_looks(void **state)
{
	struct fixture *f = *state;

	outcome(f, 0x281);
	outcome(f, -ENOMEM);
	assert_int_equal(looks, 0);
	outcome(f, -ENODEV);
	outcome(f, 0x00b | 0x4000);
	outcome(f, 0x080 | 0x4000);
	outcome(f, 0x082);
	assert_int_equal(looks, 4);
	assert_int_equal(formatting_looks, 0);
	outcome(f, 0x084);
	assert_int_equal(looks, 5);
	assert_int_equal(formatting_looks, 1);
}

/* ---- another format under I/O ---- */

static void settle_doubt(struct fixture *f)
{
	assert_true(ssd_doubt_settle(&f->ng.doubt, ssd_doubt_begin(&f->ng.doubt)));
}

/* Nothing is sent until the device was asked. */
static void test_doubt(void **state)
{
	struct fixture *f = *state;

	ssd_doubt_raise(&f->ng.doubt);
	submit(f, NVMFT_IO_READ, 0, 0, 8);
	nvmft_ng_drain_waiting(&f->ch);
	assert_int_equal(nsqes + dones, 0);
	settle_doubt(f);
	nvmft_ng_drain_waiting(&f->ch);
	assert_range(0, 0x02, 0, 7);
	answer(f, 0);
	assert_int_equal(done_status, 0);
	assert_null(f->ch.waiting);
}

static void test_doubt_refused(void **state)
{
	struct fixture *f = *state;

	ssd_doubt_raise(&f->ng.doubt);
	submit(f, NVMFT_IO_READ, 0, 0, 8);
	assert_int_equal(dones, 0);
	ssd_doubt_refuse(&f->ng.doubt);
	nvmft_ng_drain_waiting(&f->ch);
	assert_int_equal(dones, 1);
	assert_int_equal(done_status, NG_STATUS_NOT_READY);
	submit(f, NVMFT_IO_READ, 0, 0, 8);
	assert_int_equal(dones, 2);
	assert_int_equal(done_status, NG_STATUS_NOT_READY);
	assert_int_equal(nsqes, 0);
}

/* What is left of an I/O that takes several commands. */
static void test_doubt_in_the_middle(void **state)
{
	struct fixture *f = *state;

	f->ng.facts.csi = 2;
	submit(f, NVMFT_IO_WRITE, 0, 0, 300);
	assert_int_equal(nsqes, 1);
	ssd_doubt_raise(&f->ng.doubt);
	answer(f, 0);
	assert_int_equal(nsqes, 1);
	settle_doubt(f);
	nvmft_ng_drain_waiting(&f->ch);
	assert_int_equal(nsqes, 2);
	ssd_doubt_refuse(&f->ng.doubt);
	answer(f, 0);
	assert_int_equal(dones, 1);
	assert_int_equal(done_status, NG_STATUS_NOT_READY);
}

/* With commands of it in the device: it ends when they do. */
static void test_doubt_with_commands_under_way(void **state)
{
	struct fixture *f = *state;

	room = 1;
	submit(f, NVMFT_IO_READ, 0, 0, 300);
	room = 64;
	ssd_doubt_refuse(&f->ng.doubt);
	nvmft_ng_drain_waiting(&f->ch);
	assert_int_equal(dones, 0);
	answer(f, 0);
	assert_int_equal(dones, 1);
	assert_int_equal(done_status, NG_STATUS_NOT_READY);
	assert_int_equal(nsqes, 1);
}

/* ---- what hosts do not see ---- */

#define PRACT_BIT (1u << 29)
#define GUARD_BIT (1u << 28)
#define REF_BIT (1u << 26)

static void with_pi(struct fixture *f, uint8_t type, enum ssd_pi_format format, uint8_t ref_bits)
{
	f->ng.facts.pi = (struct ssd_pi){type, (uint8_t)format, ref_bits, false};
}

static void assert_tags(unsigned int i, uint32_t cdw3, uint32_t cdw14)
{
	assert_int_equal(cmd(i)->cdw2, 0);
	assert_int_equal(cmd(i)->cdw3, cdw3);
	assert_int_equal(cmd(i)->cdw14, cdw14);
	assert_int_equal(cmd(i)->cdw15, 0);
	assert_int_equal(cmd(i)->metadata_len, 0);
}

static void test_pi_type1(void **state)
{
	struct fixture *f = *state;

	with_pi(f, 1, SSD_PI_16, 32);
	submit(f, NVMFT_IO_READ, 0, 0x123456789a, 300);
	assert_range(0, 0x02, 0x123456789a, 127 | PRACT_BIT | GUARD_BIT | REF_BIT);
	assert_tags(0, 0, 0x3456789a);
	assert_tags(1, 0, 0x3456789a + 128);
	answer_all(f);
	submit(f, NVMFT_IO_WRITE, NVMFT_IO_FUA, 7, 1);
	assert_range(3, 0x01, 7, PRACT_BIT | GUARD_BIT | REF_BIT | 1u << 30);
	assert_tags(3, 0, 7);
	dones = 0;
	answer_all(f);
}

static void test_pi_type3(void **state)
{
	struct fixture *f = *state;

	with_pi(f, 3, SSD_PI_16, 32);
	submit(f, NVMFT_IO_READ, 0, 9, 1);
	assert_range(0, 0x02, 9, PRACT_BIT | GUARD_BIT);
	assert_tags(0, 0, 0);
	answer_all(f);
}

static void test_pi_guard64(void **state)
{
	struct fixture *f = *state;

	with_pi(f, 1, SSD_PI_64, 48);
	submit(f, NVMFT_IO_WRITE, 0, 0xfedcba9876543210, 1);
	assert_tags(0, 0xba98, 0x76543210);
	answer_all(f);
	with_pi(f, 1, SSD_PI_64, 40); /* and a storage tag of 8 bits above it */
	submit(f, NVMFT_IO_WRITE, 0, 0xfedcba9876543210, 1);
	assert_tags(1, 0x98, 0x76543210);
	dones = 0;
	answer_all(f);
	with_pi(f, 2, SSD_PI_64, 0); /* nothing but a storage tag */
	submit(f, NVMFT_IO_READ, 0, 0xfedcba9876543210, 1);
	assert_int_equal(cmd(2)->cdw12, PRACT_BIT | GUARD_BIT);
	assert_tags(2, 0, 0);
	dones = 0;
	answer_all(f);
}

static void test_pi_write_zeroes(void **state)
{
	struct fixture *f = *state;

	with_pi(f, 1, SSD_PI_16, 32);
	submit(f, NVMFT_IO_WRITE_ZEROES, 0, 5, 8);
	assert_range(0, 0x08, 5, 7 | PRACT_BIT);
	assert_tags(0, 0, 5);
	answer_all(f);
	submit(f, NVMFT_IO_FLUSH, 0, 0, 0);
	assert_int_equal(cmd(1)->cdw12, 0);
	dones = 0;
	answer_all(f);
}

static void test_metadata(void **state)
{
	struct fixture *f = *state;

	f->ng.facts.metadata = 16;
	f->ng.zeroes = f->data + 65536;
	f->ng.waste = f->data + 2 * 65536;
	submit(f, NVMFT_IO_WRITE, 0, 0, 8);
	assert_int_equal(cmd(0)->metadata, (uintptr_t)f->ng.zeroes);
	assert_int_equal(cmd(0)->metadata_len, 8 * 16);
	answer_all(f);
	submit(f, NVMFT_IO_READ, 0, 0, 8);
	assert_int_equal(cmd(1)->metadata, (uintptr_t)f->ng.waste);
	assert_int_equal(cmd(1)->metadata_len, 8 * 16);
	dones = 0;
	answer_all(f);
	submit(f, NVMFT_IO_WRITE_ZEROES, 0, 0, 8);
	assert_int_equal(cmd(2)->metadata_len, 0);
	dones = 0;
	answer_all(f);
}

/* ---- commands as hosts send them ---- */

static void host_command(struct fixture *f, uint8_t opcode, uint32_t flags, uint32_t cdw12, uint32_t bytes)
{
	f->host = (struct nvmft_sqe){
		.opcode = opcode,
		.flags = 0x40,
		.nsid = htole32(77),
		.cdw2 = htole32(2),
		.cdw3 = htole32(3),
		.cdw10 = htole32(0x89abcdef),
		.cdw11 = htole32(0x01234567),
		.cdw12 = htole32(cdw12),
		.cdw13 = htole32(13),
		.cdw14 = htole32(14),
		.cdw15 = htole32(15),
	};
	f->iov[0] = (struct nvmft_iov){f->data, bytes, NVMFT_REGION_NONE};
	f->io.iovcnt = bytes ? 1 : 0;
	submit(f, NVMFT_IO_COMMAND, flags, 0, 0);
}

static void test_command(void **state)
{
	struct fixture *f = *state;

	host_command(f, 0x7a, 0, 0xfff, 4096);
	assert_range(0, 0x7a, 0x0123456789abcdef, 0xfff);
	assert_int_equal(cmd(0)->flags, 0);
	assert_int_equal(cmd(0)->cdw2, 2);
	assert_int_equal(cmd(0)->cdw3, 3);
	assert_int_equal(cmd(0)->cdw13, 13);
	assert_int_equal(cmd(0)->cdw14, 14);
	assert_int_equal(cmd(0)->cdw15, 15);
	assert_buffer(0, f->data, 4096);
	answer(f, 0);
	assert_int_equal(done_status, 0);
}

static void test_command_result(void **state)
{
	struct fixture *f = *state;

	host_command(f, 0x0c, 0, 7, 0);
	assert_int_equal(cmd(0)->data_len, 0);
	nvmft_ng_complete(&f->ch, &f->ni, 0x1ba, 0x123456789a);
	assert_int_equal(done_status, 0x1ba);
	assert_int_equal(f->io.result, 0x123456789a);
}

/* A host can make a device say anything but that it is gone or being formatted. */
static void test_command_looks(void **state)
{
	struct fixture *f = *state;

	host_command(f, 0x0c, 0, 7, 0);
	answer(f, 0x080 | 0x4000);
	assert_int_equal(looks, 0);
	host_command(f, 0x0c, 0, 7, 0);
	answer(f, -ENODEV);
	assert_int_equal(looks, 1);
	host_command(f, 0x0c, 0, 7, 0);
	answer(f, 0x084);
	assert_int_equal(looks, 2);
}

/* What the device limits (VSL, WUSL) and the host is not told of. */
static void test_command_split(void **state)
{
	struct fixture *f = *state;

	f->ng.facts.max_verify = 100;
	f->ng.facts.max_uncorrectable = 200;
	with_pi(f, 1, SSD_PI_16, 32);
	host_command(f, 0x0c, 0, 249 | 1u << 31, 0);
	assert_int_equal(nsqes, 3);
	assert_range(0, 0x0c, 0x0123456789abcdef, 99 | 1u << 31 | GUARD_BIT | REF_BIT);
	assert_range(2, 0x0c, 0x0123456789abcdef + 200, 49 | 1u << 31 | GUARD_BIT | REF_BIT);
	assert_tags(2, 0, 0x89abcdef + 200);
	answer(f, 0);
	answer(f, 0);
	assert_int_equal(dones, 0);
	answer(f, 0);
	assert_int_equal(dones, 1);
	nsqes = dones = 0;
	f->ng.facts.pi.type = 0;
	host_command(f, 0x04, 0, 200, 0);
	assert_range(0, 0x04, 0x0123456789abcdef, 199);
	assert_range(1, 0x04, 0x0123456789abcdef + 200, 0);
	assert_int_equal(cmd(1)->cdw14, 14);
	answer_all(f);
}

/* It cannot be split, and the kernel would refuse it. */
static void test_command_too_large(void **state)
{
	struct fixture *f = *state;

	host_command(f, 0x7d, 0, 128, 64 * 1024 + BLOCK);
	assert_int_equal(nsqes, 0);
	assert_int_equal(done_status, 0x4002);
}

/* A report of zones may be shorter, if it says how many zones it has. */
static void test_report_shortened(void **state)
{
	struct fixture *f = *state;

	memset(f->data, 0xa5, 256 * 1024);
	f->ng.max_bytes = 64 * 1024;
	host_command(f, 0x7a, 0, 0x7fff, 128 * 1024);
	assert_int_equal(done_status, 0x4002); /* it does not */
	dones = 0;
	f->host.cdw13 = htole32(1u << 16);
	nvmft_ng_submit(&f->channel, &f->io);
	assert_buffer(0, f->data, 64 * 1024);
	assert_int_equal(cmd(0)->cdw12, 64 * 1024 / 4 - 1);
	assert_int_equal((unsigned char)f->data[64 * 1024 - 1], 0xa5);
	assert_int_equal(f->data[64 * 1024], 0);
	assert_int_equal(f->data[128 * 1024 - 1], 0);
	assert_int_equal((unsigned char)f->data[128 * 1024], 0xa5);
	answer(f, 0);
}

static void test_command_pi(void **state)
{
	struct fixture *f = *state;
	uint32_t host_bits = 15u << 26 | 1u << 24;

	with_pi(f, 1, SSD_PI_16, 32);
	host_command(f, 0x0c, 0, 7 | host_bits | 1u << 31, 0); /* Verify */
	assert_int_equal(cmd(0)->cdw12, 7 | 1u << 31 | GUARD_BIT | REF_BIT);
	assert_tags(0, 0, 0x89abcdef);
	answer_all(f);
	host_command(f, 0x7d, 0, 7 | host_bits | 1u << 31, 4096); /* Zone Append */
	assert_int_equal(cmd(1)->cdw12, 7 | 1u << 31 | PRACT_BIT | GUARD_BIT | REF_BIT | 1u << 25);
	assert_tags(1, 0, 0x89abcdef);
	dones = 0;
	answer_all(f);
	host_command(f, 0x19, 0, 1 | host_bits | 0xf << 12 | 1u << 31, 64); /* Copy */
	assert_int_equal(cmd(2)->cdw12, 1 | 1u << 31 | PRACT_BIT | 3u << 14);
	assert_tags(2, 0, 0x89abcdef);
	dones = 0;
	answer_all(f);
}

static void test_append_pi_type3(void **state)
{
	struct fixture *f = *state;

	with_pi(f, 3, SSD_PI_16, 32);
	host_command(f, 0x7d, 0, 7 | 1u << 25, 4096);
	assert_int_equal(cmd(0)->cdw12, 7 | PRACT_BIT | GUARD_BIT);
	answer_all(f);
}

static void test_append_metadata(void **state)
{
	struct fixture *f = *state;

	f->ng.facts.metadata = 16;
	f->ng.zeroes = f->data + 65536;
	host_command(f, 0x7d, 0, 7, 4096);
	assert_int_equal(cmd(0)->metadata, (uintptr_t)f->ng.zeroes);
	assert_int_equal(cmd(0)->metadata_len, 8 * 16);
	answer_all(f);
}

/* Zones are written in order, which commands under way together need not keep. */
static void test_zoned_write(void **state)
{
	struct fixture *f = *state;

	f->ng.facts.csi = 2;
	submit(f, NVMFT_IO_WRITE, 0, 1000, 300);
	assert_int_equal(nsqes, 1);
	answer(f, 0);
	assert_int_equal(nsqes, 2);
	answer(f, 0x1bc);
	assert_int_equal(done_status, 0x1bc);
	dones = nsqes = 0;
	submit(f, NVMFT_IO_READ, 0, 1000, 300);
	assert_int_equal(nsqes, 3);
	answer_all(f);
}

/* ---- admin commands ---- */

static void test_admin(void **state)
{
	struct fixture *f = *state;

	f->ng.ctrl_fd[1] = 31;
	with_pi(f, 1, SSD_PI_16, 32);
	host_command(f, 0x02, NVMFT_IO_ADMIN, 0x123, 512);
	assert_int_equal(sqes[0]->fd, 31);
	assert_int_equal(sqes[0]->cmd_op, NVME_URING_CMD_ADMIN);
	assert_int_equal(cmd(0)->nsid, 3);
	assert_int_equal(cmd(0)->cdw12, 0x123); /* it is no Read */
	assert_int_equal(cmd(0)->data_len, 512);
	answer(f, 0);
	assert_int_equal(dones, 1);
	assert_int_equal(f->ng.ctrl_at, 1);
}

static void format(struct fixture *f, uint32_t cdw10)
{
	f->host = (struct nvmft_sqe){.opcode = 0x80, .nsid = htole32(77), .cdw10 = htole32(cdw10)};
	f->io.iovcnt = 0;
	submit(f, NVMFT_IO_COMMAND, NVMFT_IO_ADMIN, 0, 0);
}

static void test_admin_of_no_namespace(void **state)
{
	struct fixture *f = *state;

	f->ng.ctrl_fd[0] = 30;
	host_command(f, 0x82, NVMFT_IO_ADMIN | NVMFT_IO_NO_NSID, 0, 512);
	assert_int_equal(cmd(0)->nsid, 0);
	answer(f, 0);
}

/* I/O waits from here on, and somebody looks when it is over. */
static void test_admin_format(void **state)
{
	struct fixture *f = *state;

	f->ng.ctrl_fd[0] = 30;
	f->ng.facts.format = 3;
	host_command(f, 0xc0, NVMFT_IO_ADMIN, 0, 0);
	answer(f, 0);
	assert_int_equal(looks, 0);
	format(f, 3);
	assert_int_equal(cmd(1)->opcode, 0x80);
	assert_int_equal(cmd(1)->cdw10, 3);
	assert_true(ssd_in_doubt(&f->ng.doubt));
	answer(f, 0x002 | 0x4000);
	assert_int_equal(looks, 1);
}

static void test_admin_format_to_another(void **state)
{
	struct fixture *f = *state;

	f->ng.ctrl_fd[0] = 30;
	f->ng.facts.format = 3;
	format(f, 2);
	assert_int_equal(done_status, 0x410a);
	assert_int_equal(nsqes + looks, 0);
	assert_false(ssd_in_doubt(&f->ng.doubt));
	ssd_doubt_raise(&f->ng.doubt); /* who knows what it has now */
	format(f, 3);
	assert_int_equal(done_status, NG_STATUS_NOT_READY);
	assert_int_equal(nsqes, 0);
}

/* One that did not arrive goes to the next, and it is not over before. */
static void test_admin_format_other_controller(void **state)
{
	struct fixture *f = *state;

	f->ng.ctrl_fd[0] = 30;
	f->ng.ctrl_fd[1] = 31;
	format(f, 0);
	answer(f, -ENODEV);
	looks = 0; /* that one said that it is gone */
	assert_int_equal(nsqes, 2);
	answer(f, 0);
	assert_int_equal(dones, 1);
	assert_int_equal(looks, 1);
}

static void test_admin_vector(void **state)
{
	struct fixture *f = *state;

	f->ng.ctrl_fd[0] = 30;
	host_command(f, 0xc2, NVMFT_IO_ADMIN, 0, 0);
	answer_all(f);
	f->iov[0] = (struct nvmft_iov){f->data, 100, NVMFT_REGION_NONE};
	f->iov[1] = (struct nvmft_iov){f->data + 4096, 156, NVMFT_REGION_NONE};
	f->io.iovcnt = 2;
	dones = 0;
	nvmft_ng_submit(&f->channel, &f->io);
	assert_int_equal(sqes[1]->cmd_op, NVME_URING_CMD_ADMIN_VEC);
	assert_int_equal(cmd(1)->data_len, 2);
	answer_all(f);
}

/* One that is gone has not seen it. */
static void test_admin_other_controller(void **state)
{
	struct fixture *f = *state;

	f->ng.ctrl_fd[0] = 30;
	f->ng.ctrl_fd[2] = 32;
	host_command(f, 0xc2, NVMFT_IO_ADMIN, 0, 512);
	answer(f, -ENODEV);
	assert_int_equal(dones, 0);
	assert_int_equal(sqes[1]->fd, 32);
	answer(f, 0x002 | 0x4000);
	assert_int_equal(done_status, 0x4002);
	assert_int_equal(f->ng.ctrl_at, 2);
}

static void test_admin_no_controller(void **state)
{
	struct fixture *f = *state;

	f->ng.ctrl_fd[0] = 30;
	f->ng.ctrl_fd[1] = 31;
	f->ng.ctrl_at = 1;
	host_command(f, 0xc2, NVMFT_IO_ADMIN, 0, 512);
	answer(f, -ENODEV);
	assert_int_equal(sqes[1]->fd, 30);
	answer(f, -ENODEV);
	assert_int_equal(nsqes, 2);
	assert_int_equal(done_status, NG_STATUS_NOT_READY);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_read),
		T(test_write_fua),
		T(test_compare),
		T(test_flush),
		T(test_write_zeroes),
		T(test_write_zeroes_split),
		T(test_deallocate),
		T(test_deallocate_split),
		T(test_split_by_bytes),
		T(test_split_by_pages),
		T(test_split_error),
		T(test_vector),
		T(test_vector_split),
		T(test_vector_full),
		T(test_dust),
		T(test_crumbs),
		T(test_fixed),
		T(test_fixed_refused),
		T(test_fixed_stays),
		T(test_no_room),
		T(test_no_room_and_error),
		T(test_statuses),
		T(test_gone),
		T(test_no_path),
		T(test_looks),
		T(test_doubt),
		T(test_doubt_refused),
		T(test_doubt_in_the_middle),
		T(test_doubt_with_commands_under_way),
		T(test_pi_type1),
		T(test_pi_type3),
		T(test_pi_guard64),
		T(test_pi_write_zeroes),
		T(test_metadata),
		T(test_command),
		T(test_command_result),
		T(test_command_looks),
		T(test_command_split),
		T(test_command_too_large),
		T(test_report_shortened),
		T(test_command_pi),
		T(test_append_pi_type3),
		T(test_append_metadata),
		T(test_zoned_write),
		T(test_admin),
		T(test_admin_of_no_namespace),
		T(test_admin_format),
		T(test_admin_format_to_another),
		T(test_admin_format_other_controller),
		T(test_admin_vector),
		T(test_admin_other_controller),
		T(test_admin_no_controller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
