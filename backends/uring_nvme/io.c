/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From an I/O to NVMe commands and back. The kernel does not split passthrough commands, so that is done here.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/nvme_ioctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "ng.h"

#define PAGE_BYTES 4096u

/* NLB is 16 bits wide, zero's based. */
#define NLB_MAX 65536u

#define CDW12_FUA (1u << 30)
#define CDW12_DEAC (1u << 25)
#define CDW11_AD (1u << 2)

#define STATUS_NOT_READY NVMFT_STATUS(0, 0x82)
/* Code type and code, and Do Not Retry. What is between them speaks of the device's own retry delays and error log. */
#define STATUS_KEPT 0x47ff
/* Linux makes these up itself for a command that has no path to the device or lost it. */
#define STATUS_LINUX_PATH NVMFT_STATUS(3, 0x70)
#define STATUS_LINUX_ABORTED NVMFT_STATUS(3, 0x71)

_Static_assert(sizeof(struct ng_io) <= 96, "leaves room for wrappers in NVMFT_IO_PRIV_MAX");
_Static_assert(sizeof(struct nvme_uring_cmd) <= 80, "fits into the long entry");

enum nvme_opcode {
	OPC_FLUSH = 0x00,
	OPC_WRITE = 0x01,
	OPC_READ = 0x02,
	OPC_COMPARE = 0x05,
	OPC_WRITE_ZEROES = 0x08,
	OPC_DSM = 0x09,
};

static const uint8_t opcodes[] = {
	[NVMFT_IO_READ] = OPC_READ,      [NVMFT_IO_WRITE] = OPC_WRITE,
	[NVMFT_IO_FLUSH] = OPC_FLUSH,    [NVMFT_IO_WRITE_ZEROES] = OPC_WRITE_ZEROES,
	[NVMFT_IO_DEALLOCATE] = OPC_DSM, [NVMFT_IO_COMPARE] = OPC_COMPARE,
};

static const struct ng_backend *backend_of(const struct ng_channel *ch)
{
	return ch->channel->backend->priv;
}

static bool has_data(const struct nvmft_io *io)
{
	return io->op == NVMFT_IO_READ || io->op == NVMFT_IO_WRITE || io->op == NVMFT_IO_COMPARE;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* ---- the buffer of the next command ---- */

/* What a command transfers: @n pieces at @vec. */
struct span {
	struct iovec *vec;
	uint32_t n;
	uint32_t bytes;
};

/* Pieces from where the last command ended, as far as @limit and @pages go. */
static void span_fill(const struct ng_io *ni, struct span *span, uint32_t limit, uint32_t pages)
{
	uint32_t i = ni->iov, offset = ni->offset;

	span->n = span->bytes = 0;
	while (span->bytes < limit && span->n < NG_VEC_MAX && pages) {
		const struct nvmft_iov *iov = &ni->io->iov[i++];
		unsigned char *base = (unsigned char *)iov->base + offset;
		uint32_t into = (uint32_t)((uintptr_t)base % PAGE_BYTES);
		uint32_t len = least(iov->len - offset, limit - span->bytes);
		uint64_t used;

		offset = 0;
		if (!len)
			continue;
		if (len > (uint64_t)pages * PAGE_BYTES - into)
			len = pages * PAGE_BYTES - into;
		used = ((uint64_t)into + len + PAGE_BYTES - 1) / PAGE_BYTES;
		pages -= (uint32_t)used;
		span->vec[span->n++] = (struct iovec){base, len};
		span->bytes += len;
	}
}

/* A command ends where a block does. */
static void span_trim(struct span *span, uint32_t excess)
{
	span->bytes -= excess;
	while (excess) {
		struct iovec *last = &span->vec[span->n - 1];

		if (last->iov_len > excess) {
			last->iov_len -= excess;
			return;
		}
		excess -= (uint32_t)last->iov_len;
		span->n--;
	}
}

static void advance(struct ng_io *ni, uint32_t bytes)
{
	while (bytes) {
		uint32_t left = ni->io->iov[ni->iov].len - ni->offset;

		if (bytes < left) {
			ni->offset += bytes;
			return;
		}
		bytes -= left;
		ni->iov++;
		ni->offset = 0;
	}
}

/* The next command's part of the buffer. @one is where its pieces go when there is only one. */
static void span_take(const struct ng_backend *ng, struct ng_io *ni, struct span *span, struct iovec *one)
{
	uint64_t left = (uint64_t)(ni->total - ni->at) * ng->block_size;
	uint32_t limit = left < ng->max_bytes ? (uint32_t)left : ng->max_bytes;

	span->vec = ni->vec ? ni->vec : one;
	span_fill(ni, span, limit, ng->max_pages);
	if (span->bytes < ng->block_size) {
		/* A block in more pieces than the device takes: the kernel copies it, then it lies in few pages. */
		span_fill(ni, span, ng->block_size, UINT32_MAX / PAGE_BYTES);
	}
	span_trim(span, span->bytes % ng->block_size);
	advance(ni, span->bytes);
}

static bool is_fixed(const struct ng_channel *ch, const struct ng_io *ni, uint32_t region)
{
	return ch->fixed_ok && !ni->plain && region < NG_REGIONS && ch->fixed[region / 64] >> (region % 64) & 1;
}

/* ---- commands ---- */

static void prep_cmd(struct ng_channel *ch, const struct ng_io *ni, struct io_uring_sqe *sqe,
		     struct nvme_uring_cmd **cmd)
{
	const struct ng_backend *ng = backend_of(ch);

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = ng->fd;
	sqe->cmd_op = NVME_URING_CMD_IO;
	sqe->user_data = (uintptr_t)ni;
	*cmd = (struct nvme_uring_cmd *)(void *)sqe->cmd;
	(*cmd)->opcode = opcodes[ni->io->op];
	(*cmd)->nsid = ng->nsid;
}

static void set_range(struct nvme_uring_cmd *cmd, const struct ng_io *ni, uint32_t blocks)
{
	uint64_t lba = ni->io->lba + ni->at;

	cmd->cdw10 = (uint32_t)lba;
	cmd->cdw11 = (uint32_t)(lba >> 32);
	cmd->cdw12 = blocks - 1;
	if (ni->io->flags & NVMFT_IO_FUA)
		cmd->cdw12 |= CDW12_FUA;
}

static uint32_t prep_data(struct ng_channel *ch, struct ng_io *ni, struct io_uring_sqe *sqe, struct nvme_uring_cmd *cmd)
{
	const struct ng_backend *ng = backend_of(ch);
	uint32_t region = ni->io->iov[ni->iov].region, blocks;
	struct iovec one;
	struct span span;

	span_take(ng, ni, &span, &one);
	blocks = span.bytes / ng->block_size;
	set_range(cmd, ni, blocks);
	if (span.n > 1) {
		sqe->cmd_op = NVME_URING_CMD_IO_VEC;
		cmd->addr = (uintptr_t)span.vec;
		cmd->data_len = span.n;
		return blocks;
	}
	cmd->addr = (uintptr_t)span.vec[0].iov_base;
	cmd->data_len = span.bytes;
	if (is_fixed(ch, ni, region)) {
		sqe->uring_cmd_flags = IORING_URING_CMD_FIXED;
		sqe->buf_index = (uint16_t)region;
	}
	return blocks;
}

static uint32_t prep_zeroes(const struct ng_backend *ng, struct ng_io *ni, struct nvme_uring_cmd *cmd)
{
	uint32_t blocks = least(ni->total - ni->at, NLB_MAX);

	if (ng->facts.max_zeroes)
		blocks = least(blocks, ng->facts.max_zeroes);
	set_range(cmd, ni, blocks);
	/* Only where deallocated blocks are sure to read as zeroes. */
	if (ni->io->flags & NVMFT_IO_DEALLOC_OK && ng->facts.deac && ng->facts.deallocated_zero)
		cmd->cdw12 |= CDW12_DEAC;
	return blocks;
}

static uint32_t prep_deallocate(const struct ng_backend *ng, struct ng_io *ni, struct nvme_uring_cmd *cmd)
{
	uint32_t blocks = ni->total - ni->at;

	if (ng->facts.max_deallocate)
		blocks = least(blocks, ng->facts.max_deallocate);
	ni->range = (struct ng_range){0, htole32(blocks), htole64(ni->io->lba + ni->at)};
	cmd->addr = (uintptr_t)&ni->range;
	cmd->data_len = sizeof(ni->range);
	cmd->cdw10 = 0; /* one range */
	cmd->cdw11 = CDW11_AD;
	return blocks;
}

static void prep(struct ng_channel *ch, struct ng_io *ni, struct io_uring_sqe *sqe)
{
	const struct ng_backend *ng = backend_of(ch);
	struct nvme_uring_cmd *cmd;

	prep_cmd(ch, ni, sqe, &cmd);
	switch (ni->io->op) {
	case NVMFT_IO_READ:
	case NVMFT_IO_WRITE:
	case NVMFT_IO_COMPARE:
		ni->at += prep_data(ch, ni, sqe, cmd);
		break;
	case NVMFT_IO_WRITE_ZEROES:
		ni->at += prep_zeroes(ng, ni, cmd);
		break;
	case NVMFT_IO_DEALLOCATE:
		ni->at += prep_deallocate(ng, ni, cmd);
		break;
	case NVMFT_IO_FLUSH:
		ni->at++;
		break;
	}
	ni->pending++;
}

/* ---- the I/O ---- */

/* The one vector or range can describe one command at a time. */
static bool is_serial(const struct ng_io *ni)
{
	return ni->vec || ni->io->op == NVMFT_IO_DEALLOCATE;
}

static void wait_for_room(struct ng_channel *ch, struct ng_io *ni)
{
	ni->waits = 1;
	ni->next = NULL;
	*ch->waiting_tail = ni;
	ch->waiting_tail = &ni->next;
}

static void issue(struct ng_channel *ch, struct ng_io *ni)
{
	while (ni->at < ni->total && !ni->status && !(is_serial(ni) && ni->pending)) {
		/* Behind those that wait already, or they might for ever. */
		struct io_uring_sqe *sqe = ch->waiting ? NULL : nvmft_ng_get_sqe(ch);

		if (!sqe) {
			wait_for_room(ch, ni);
			return;
		}
		prep(ch, ni, sqe);
	}
}

static void end(struct ng_channel *ch, struct ng_io *ni)
{
	if (ni->vec && ni->vec != ni->few)
		free(ni->vec);
	ch->outstanding--;
	nvmft_io_done(ni->io, ni->status);
}

static void restart_plain(struct ng_channel *ch, struct ng_io *ni)
{
	ni->again = 0;
	ni->plain = 1;
	ni->status = 0;
	ni->at = ni->iov = ni->offset = 0;
	issue(ch, ni);
}

/* No command of the I/O is under way, nor waits to be. */
static void settle(struct ng_channel *ch, struct ng_io *ni)
{
	if (ni->again)
		restart_plain(ch, ni);
	else if (ni->status || ni->at == ni->total)
		end(ch, ni);
	else
		issue(ch, ni);
}

void nvmft_ng_drain_waiting(struct ng_channel *ch)
{
	struct ng_io *ni = ch->waiting;

	ch->waiting = NULL;
	ch->waiting_tail = &ch->waiting;
	while (ni) {
		struct ng_io *next = ni->next;

		ni->waits = 0;
		if (ni->pending == 0)
			settle(ch, ni);
		else
			issue(ch, ni);
		ni = next;
	}
}

/*
 * How an I/O fails whose device is gone, resets or has no path: the host may try again, here or elsewhere. A device
 * with several controllers answers EINVAL when it lost all of them, as it does to a command that cannot be.
 */
static nvmft_status status_of_errno(const struct ng_backend *ng, int err)
{
	switch (-err) {
	case ENODEV:
	case ENXIO:
	case EIO:
	case EINTR:
		return STATUS_NOT_READY;
	case EINVAL:
		if (ioctl(ng->fd, NVME_IOCTL_ID) < 0)
			return STATUS_NOT_READY;
		return nvmft_status_from_errno(err);
	default:
		return nvmft_status_from_errno(err);
	}
}

static nvmft_status status_of(const struct ng_backend *ng, int res)
{
	nvmft_status status = (nvmft_status)(res & STATUS_KEPT);

	if (res < 0)
		return status_of_errno(ng, res);
	if ((status & 0x7ff) == STATUS_LINUX_PATH || (status & 0x7ff) == STATUS_LINUX_ABORTED)
		return STATUS_NOT_READY;
	return status;
}

/* Once: a broken disk would fill the log as fast as a host retries. Statuses of the device are the host's to judge. */
static void report(struct ng_channel *ch, const struct ng_io *ni, int err)
{
	struct ng_backend *ng = ch->channel->backend->priv;

	if (!atomic_exchange(&ng->reported, true))
		nvmft_backend_log(ch->channel->backend, NVMFT_LOG_ERROR,
				  "%s: NVMe command %02xh of %" PRIu32 " blocks at %" PRIu64
				  " did not reach the device: %s; further errors are not logged",
				  ng->path, opcodes[ni->io->op], ni->total, ni->io->lba, strerrordesc_np(-err));
}

/* Some kernels refuse registered buffers whose region is in more pieces than one command may have. */
static bool refused_fixed(const struct ng_channel *ch, const struct ng_io *ni, int res)
{
	const struct nvmft_io *io = ni->io;

	return res == -EINVAL && !ni->plain && has_data(io) && io->iov[0].region < NG_REGIONS &&
	       ch->fixed[io->iov[0].region / 64] >> (io->iov[0].region % 64) & 1;
}

static void failed(struct ng_channel *ch, struct ng_io *ni, int res)
{
	if (refused_fixed(ch, ni, res)) {
		if (ch->fixed_ok)
			nvmft_backend_log(ch->channel->backend, NVMFT_LOG_DEBUG,
					  "%s: no registered buffers, the kernel refuses one", backend_of(ch)->path);
		ch->fixed_ok = false;
		ni->again = 1;
		ni->at = ni->total; /* no more of this attempt */
		return;
	}
	if (res < 0)
		report(ch, ni, res);
	if (!ni->status)
		ni->status = status_of(backend_of(ch), res);
}

void nvmft_ng_complete(struct ng_channel *ch, struct ng_io *ni, int res)
{
	ni->pending--;
	if (res)
		failed(ch, ni, res);
	if (ni->pending == 0 && !ni->waits)
		settle(ch, ni);
}

/* A buffer in more pieces than usual, from a host in this process: the one allocation on the way of an I/O. */
static int set_vec(struct ng_io *ni)
{
	uint32_t n = least(ni->io->iovcnt, NG_VEC_MAX);

	ni->vec = n <= NG_FEW ? ni->few : malloc(n * sizeof(*ni->vec));
	return ni->vec ? 0 : -ENOMEM;
}

void nvmft_ng_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct ng_channel *ch = channel->priv;
	struct ng_io *ni = io->priv;

	memset(ni, 0, offsetof(struct ng_io, few));
	ni->io = io;
	ni->total = io->op == NVMFT_IO_FLUSH ? 1 : io->blocks;
	if (has_data(io) && io->iovcnt > 1 && set_vec(ni)) {
		nvmft_io_done(io, nvmft_status_from_errno(-ENOMEM));
		return;
	}
	ch->outstanding++;
	issue(ch, ni);
}
