/* SPDX-License-Identifier: BSD-3-Clause */
/* The passthrough backend against a ring that the test plays: the commands that I/Os become, how large ones are split,
 * and what becomes of the answers. */
#include "uring_world.h"

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

/* ---- what hosts do not see ---- */

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
