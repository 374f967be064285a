/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The raw loop of io_uring passthrough: a ring of long entries by what liburing has in its header, one registered
 * buffer in which all data is, one system call for a batch.
 */
#include <liburing.h>
#include <linux/nvme_ioctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <nvme/types.h>

#include "ssd_device.h"

static struct {
	struct io_uring ring;
	int fd;
	uint32_t nsid;
} raw;

static int ring_open(const struct ssd_load *load)
{
	struct io_uring_params params = {.flags = IORING_SETUP_SQE128 | IORING_SETUP_CQE32 |
						  IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
	struct iovec vec = {load->buffers, SSD_BUFFER_BYTES};
	int ret = io_uring_queue_init_params(SSD_DEPTH_MAX, &raw.ring, &params);

	return ret ? ret : io_uring_register_buffers(&raw.ring, &vec, 1);
}

static int uring_raw_open(struct ssd_load *load, const char *device)
{
	int ret = ssd_uring_open(load, device, &raw.fd, &raw.nsid);

	return ret ? ret : ring_open(load);
}

static void prepare(const struct ssd_load *load, struct nvmft_io *io)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&raw.ring);
	struct nvme_uring_cmd *cmd = (struct nvme_uring_cmd *)(void *)sqe->cmd;

	if (!sqe)
		abort();
	memset(sqe, 0, 2 * sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = raw.fd;
	sqe->cmd_op = NVME_URING_CMD_IO;
	sqe->uring_cmd_flags = IORING_URING_CMD_FIXED;
	sqe->buf_index = 0;
	sqe->user_data = (uintptr_t)io;
	cmd->opcode = io->op == NVMFT_IO_READ ? nvme_cmd_read : nvme_cmd_write;
	cmd->nsid = raw.nsid;
	cmd->addr = (uintptr_t)io->iov->base;
	cmd->data_len = io->blocks * load->block_size;
	cmd->cdw10 = (uint32_t)io->lba;
	cmd->cdw11 = (uint32_t)(io->lba >> 32);
	cmd->cdw12 = io->blocks - 1;
}

static void uring_raw_submit(struct ssd_load *load, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		prepare(load, ssd_begin(load));
	(void)io_uring_submit_and_wait(&raw.ring, load->batch ? n : 1);
}

static uint32_t uring_raw_reap(struct ssd_load *load)
{
	struct io_uring_cqe *cqe;
	unsigned int head;
	uint32_t n = 0;

	(void)load;
	io_uring_for_each_cqe(&raw.ring, head, cqe)
	{
		struct ssd_io *io = io_uring_cqe_get_data(cqe);

		io->over(&io->io, (nvmft_status)cqe->res);
		n++;
	}
	io_uring_cq_advance(&raw.ring, n);
	return n;
}

static void uring_raw_close(struct ssd_load *load)
{
	(void)load;
	io_uring_queue_exit(&raw.ring);
	close(raw.fd);
}

const struct ssd_way ssd_uring_raw = {
	.name = "uring-raw",
	.open = uring_raw_open,
	.submit = uring_raw_submit,
	.reap = uring_raw_reap,
	.close = uring_raw_close,
};
