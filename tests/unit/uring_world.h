/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TESTS_URING_WORLD_H
#define NVMFT_TESTS_URING_WORLD_H

/* The passthrough backend by inclusion, and a ring that the test plays. */
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
#include "io_end.h"

#define BLOCK 512u
#define FD 7
#define REGION 65u

/* NVME_IOCTL_ID, by which the kernel says that there is a namespace behind. */
static int fake_ioctl(int fd, unsigned long request)
{
	(void)request;
	return fd < 0 ? -1 : 3;
}

static struct io_uring_sqe sqes[64][2];
static unsigned int nsqes, room, looks, formatting_looks;

struct io_uring_sqe *nvmft_ng_get_sqe(struct ng_channel *ch)
{
	(void)ch;
	if (nsqes == room)
		return NULL;
	ng_clear_sqe(sqes[nsqes]);
	return sqes[nsqes++];
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

static inline int setup(void **state)
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
	nsqes = looks = formatting_looks = 0;
	room = 64;
	io_end_reset();
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->ch.outstanding, 0);
	free(f->data);
	free(f);
	return 0;
}

static inline void submit(struct fixture *f, enum nvmft_io_op op, uint32_t flags, uint64_t lba, uint32_t blocks)
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

static inline const struct nvme_uring_cmd *cmd(unsigned int i)
{
	return (const struct nvme_uring_cmd *)(const void *)sqes[i]->cmd;
}

static inline void answer(struct fixture *f, int res)
{
	nvmft_ng_complete(&f->ch, &f->ni, res, 0);
}

static inline void answer_all(struct fixture *f)
{
	while (f->ni.pending && !dones)
		answer(f, 0);
}

static inline void assert_range(unsigned int i, uint8_t opcode, uint64_t lba, uint32_t cdw12)
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

static inline void assert_buffer(unsigned int i, const void *base, size_t len)
{
	assert_int_equal(sqes[i]->cmd_op, NVME_URING_CMD_IO);
	assert_int_equal(cmd(i)->addr, (uintptr_t)base);
	assert_int_equal(cmd(i)->data_len, len);
}

#define PRACT_BIT (1u << 29)
#define GUARD_BIT (1u << 28)
#define REF_BIT (1u << 26)

static inline void with_pi(struct fixture *f, uint8_t type, enum ssd_pi_format format, uint8_t ref_bits)
{
	f->ng.facts.pi = (struct ssd_pi){type, (uint8_t)format, ref_bits, false};
}

static inline void assert_tags(unsigned int i, uint32_t cdw3, uint32_t cdw14)
{
	assert_int_equal(cmd(i)->cdw2, 0);
	assert_int_equal(cmd(i)->cdw3, cdw3);
	assert_int_equal(cmd(i)->cdw14, cdw14);
	assert_int_equal(cmd(i)->cdw15, 0);
	assert_int_equal(cmd(i)->metadata_len, 0);
}

static inline void host_command(struct fixture *f, uint8_t opcode, uint32_t flags, uint32_t cdw12, uint32_t bytes)
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

#endif
