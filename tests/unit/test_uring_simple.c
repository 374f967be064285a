/* SPDX-License-Identifier: BSD-3-Clause */
/* The short way of the passthrough backend: which I/O takes it, its commands, and what becomes of those that fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "command.c"
#include "io.c"
#include "status.c"
#include "io_end.h"

#define ENTRIES 4u
#define FD 7

static unsigned int long_way;
static struct io_uring_sqe long_sqe[2];

/* Where the others get their entries. */
struct io_uring_sqe *nvmft_ng_get_sqe(struct ng_channel *ch)
{
	(void)ch;
	long_way++;
	ng_clear_sqe(long_sqe);
	return long_sqe;
}

void nvmft_ng_look(struct ng_backend *ng, bool formatting)
{
	(void)ng;
	(void)formatting;
}

struct fixture {
	struct ng_backend ng;
	struct nvmft_backend backend;
	struct nvmft_channel channel;
	struct ng_channel ch;
	struct nvmft_io io;
	struct nvmft_iov iov[2];
	struct ng_io ni;
	unsigned int head, tail;
	struct io_uring_sqe sqes[ENTRIES][2];
	char data[8192];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->ng = (struct ng_backend){.fd = FD, .path = (char *)(uintptr_t) "ng0n1", .nsid = 3, .block_size = 512};
	f->ng.max_bytes = 65536;
	f->ng.max_pages = 17;
	f->backend.priv = &f->ng;
	f->channel.backend = &f->backend;
	f->channel.priv = &f->ch;
	f->ch.channel = &f->channel;
	f->ch.waiting_tail = &f->ch.waiting;
	f->ch.uring.flags = IORING_SETUP_SQE128;
	f->ch.uring.sq.khead = &f->head;
	f->ch.uring.sq.ktail = &f->tail;
	f->ch.uring.sq.sqes = f->sqes[0];
	f->ch.uring.sq.ring_entries = ENTRIES;
	f->ch.uring.sq.ring_mask = ENTRIES - 1;
	memset(f->sqes, 0xa5, sizeof(f->sqes)); /* an entry keeps what it was used for before */
	nvmft_ng_short_init(&f->ch);
	f->ch.short_bytes = 4096;
	f->iov[0] = (struct nvmft_iov){f->data, 4096, NVMFT_REGION_NONE};
	f->io = (struct nvmft_io){.op = NVMFT_IO_READ, .lba = 0x123456789a, .blocks = 8, .iovcnt = 1, .iov = f->iov};
	f->io.channel = &f->channel;
	f->io.priv = &f->ni;
	long_way = 0;
	io_end_reset();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->ch.outstanding, 0);
	free(f);
	return 0;
}

static const struct nvme_uring_cmd *cmd(const struct fixture *f)
{
	return (const struct nvme_uring_cmd *)(const void *)f->sqes[0]->cmd;
}

static void assert_simple(const struct fixture *f, uint8_t opcode, uint32_t cdw12)
{
	const struct io_uring_sqe *sqe = f->sqes[0];

	assert_int_equal(long_way, 0);
	assert_int_equal(f->ch.uring.sq.sqe_tail, 1);
	assert_int_equal(sqe->opcode, IORING_OP_URING_CMD);
	assert_int_equal(sqe->flags | sqe->ioprio | sqe->personality, 0);
	assert_int_equal(sqe->fd, FD);
	assert_int_equal(sqe->cmd_op, NVME_URING_CMD_IO);
	assert_int_equal(sqe->user_data, (uintptr_t)&f->io);
	assert_int_equal(cmd(f)->opcode, opcode);
	assert_int_equal(cmd(f)->nsid, 3);
	assert_int_equal(cmd(f)->addr, (uintptr_t)f->data);
	assert_int_equal(cmd(f)->data_len, 4096);
	assert_int_equal(cmd(f)->cdw10, 0x3456789a);
	assert_int_equal(cmd(f)->cdw11, 0x12);
	assert_int_equal(cmd(f)->cdw12, cdw12);
	assert_int_equal(cmd(f)->cdw2 | cmd(f)->cdw3 | cmd(f)->cdw13 | cmd(f)->cdw14 | cmd(f)->cdw15, 0);
	assert_int_equal(cmd(f)->metadata | cmd(f)->metadata_len | cmd(f)->flags | cmd(f)->timeout_ms, 0);
}

static void test_read(void **state)
{
	struct fixture *f = *state;

	nvmft_ng_submit(&f->channel, &f->io);
	assert_simple(f, 0x02, 7);
	assert_int_equal(f->sqes[0]->uring_cmd_flags, 0);
}

static void test_write_fua(void **state)
{
	struct fixture *f = *state;

	f->io.op = NVMFT_IO_WRITE;
	f->io.flags = NVMFT_IO_FUA;
	nvmft_ng_submit(&f->channel, &f->io);
	assert_simple(f, 0x01, 7 | 1u << 30);
}

static void test_registered_buffer(void **state)
{
	struct fixture *f = *state;

	f->iov[0].region = 65;
	f->ch.fixed_regions = NG_REGIONS;
	f->ch.fixed[65] = true;
	nvmft_ng_submit(&f->channel, &f->io);
	assert_simple(f, 0x02, 7);
	assert_int_equal(f->sqes[0]->uring_cmd_flags, IORING_URING_CMD_FIXED);
	assert_int_equal(f->sqes[0]->buf_index, 65);
}

/* What goes the long way, which has tests of its own; ended here. */
static void assert_long(struct fixture *f)
{
	nvmft_ng_submit(&f->channel, &f->io);
	assert_int_equal(f->ch.uring.sq.sqe_tail, 0);
	assert_int_equal(long_way, 1);
	assert_int_equal(long_sqe[0].user_data, (uintptr_t)&f->ni | NG_LONG);
	nvmft_ng_complete(&f->ch, &f->ni, 0, 0);
	assert_int_equal(dones, 1);
}

static void test_too_long(void **state)
{
	struct fixture *f = *state;

	f->iov[0].len = 4608;
	f->io.blocks = 9;
	assert_long(f);
}

static void test_two_buffers(void **state)
{
	struct fixture *f = *state;

	f->iov[0].len = f->iov[1].len = 2048;
	f->iov[1].base = f->data + 4096;
	f->io.iovcnt = 2;
	assert_long(f);
}

static void test_doubt(void **state)
{
	struct fixture *f = *state;

	ssd_doubt_raise(&f->ng.doubt);
	nvmft_ng_submit(&f->channel, &f->io);
	assert_int_equal(f->ch.uring.sq.sqe_tail, 0);
	assert_ptr_equal(f->ch.waiting, &f->ni);
	f->ch.outstanding--;
}

static void test_compare(void **state)
{
	struct fixture *f = *state;

	f->io.op = NVMFT_IO_COMPARE;
	assert_long(f);
}

/* What is always one command, wherever its buffer is. */
static void test_limits(void **state)
{
	struct fixture *f = *state;

	f->ng.max_bytes = 65536;
	f->ng.max_pages = 17;
	nvmft_ng_short_init(&f->ch);
	assert_int_equal(f->ch.short_bytes, 65536);
	f->ng.max_pages = 16;
	nvmft_ng_short_init(&f->ch);
	assert_int_equal(f->ch.short_bytes, 15 * 4096);
	f->ng.max_pages = 1;
	nvmft_ng_short_init(&f->ch);
	assert_int_equal(f->ch.short_bytes, 0);
	f->ng.max_pages = 0;
	nvmft_ng_short_init(&f->ch);
	assert_int_equal(f->ch.short_bytes, 0);
	f->ng.max_pages = 17;
	f->ng.facts.metadata = 8;
	nvmft_ng_short_init(&f->ch);
	assert_int_equal(f->ch.short_bytes, 0);
	f->ng.facts = (struct ssd_facts){.pi = {.type = 1}};
	nvmft_ng_short_init(&f->ch);
	assert_int_equal(f->ch.short_bytes, 0);
}

static void test_ring_full(void **state)
{
	struct fixture *f = *state;

	f->head = (unsigned int)-(int)ENTRIES;
	ng_set_room(&f->ch);
	assert_long(f);
}

/* As many as there are entries; then from the first one on, when the kernel has taken them. */
static void test_around_the_ring(void **state)
{
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ENTRIES; i++) {
		f->io.lba = i;
		nvmft_ng_submit(&f->channel, &f->io);
		assert_int_equal(((struct nvme_uring_cmd *)(void *)f->sqes[i]->cmd)->cdw10, i);
	}
	assert_int_equal(f->ch.uring.sq.sqe_tail, ENTRIES);
	assert_int_equal(f->ch.room, 0);
	f->head = 1;
	ng_set_room(&f->ch);
	f->io.lba = 7;
	nvmft_ng_submit(&f->channel, &f->io);
	assert_int_equal(long_way, 0);
	assert_int_equal(cmd(f)->cdw10, 7);
	nvmft_ng_submit(&f->channel, &f->io);
	assert_int_equal(long_way, 1);
	nvmft_ng_complete(&f->ch, &f->ni, 0, 0);
}

/* Entries are the same as those of the long way, to the last byte. */
static void test_same_as_the_long_way(void **state)
{
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ENTRIES; i++) {
		f->io.op = i & 1 ? NVMFT_IO_WRITE : NVMFT_IO_READ;
		f->io.flags = i & 1 ? NVMFT_IO_FUA : 0;
		f->iov[0].region = i & 2 ? 65 : 66;
		f->ch.fixed_regions = NG_REGIONS;
		f->ch.fixed[65] = true;
		nvmft_ng_submit(&f->channel, &f->io);
		assert_int_equal(long_way, i);
		submit_any(&f->ch, &f->io);
		assert_int_equal(long_way, i + 1);
		long_sqe[0].user_data = (uintptr_t)&f->io;
		assert_memory_equal(f->sqes[i], long_sqe, sizeof(long_sqe));
		nvmft_ng_complete(&f->ch, &f->ni, 0, 0);
	}
}

/* Behind those that wait already, or they might for ever. */
static void test_others_wait(void **state)
{
	struct fixture *f = *state;
	struct ng_io first = {.pending = 1};

	f->ch.waiting = &first;
	f->ch.waiting_tail = &first.next;
	ng_set_room(&f->ch);
	nvmft_ng_submit(&f->channel, &f->io);
	assert_int_equal(f->ch.uring.sq.sqe_tail, 0);
	assert_ptr_equal(first.next, &f->ni);
	f->ch.outstanding--;
}

static void test_status(void **state)
{
	struct fixture *f = *state;

	nvmft_ng_submit(&f->channel, &f->io);
	nvmft_ng_short_failed(&f->ch, &f->io, 0x281);
	assert_int_equal(dones, 1);
	assert_int_equal(done_status, 0x281);
	assert_int_equal(long_way, 0);
}

/* Once more, without. */
static void test_registered_buffer_refused(void **state)
{
	struct fixture *f = *state;

	f->iov[0].region = 65;
	f->ch.fixed_regions = NG_REGIONS;
	f->ch.fixed[65] = true;
	nvmft_ng_submit(&f->channel, &f->io);
	nvmft_ng_short_failed(&f->ch, &f->io, -EINVAL);
	assert_int_equal(dones, 0);
	assert_int_equal(long_way, 1);
	assert_int_equal(long_sqe[0].uring_cmd_flags, 0);
	nvmft_ng_complete(&f->ch, &f->ni, 0, 0);
	assert_int_equal(done_status, 0);
	assert_int_equal(f->ch.fixed_regions, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_fua, setup, teardown),
		cmocka_unit_test_setup_teardown(test_registered_buffer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_buffers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_doubt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compare, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ring_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_around_the_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same_as_the_long_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(test_status, setup, teardown),
		cmocka_unit_test_setup_teardown(test_registered_buffer_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
