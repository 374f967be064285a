/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From an I/O to NVMe commands and back. The kernel does not split passthrough commands, so that is done here.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ng.h"

#define PAGE_BYTES 4096u

/* NLB is 16 bits wide, zero's based. */
#define NLB_MAX 65536u

#define CDW12_FUA (1u << 30)
#define CDW12_DEAC (1u << 25)
#define CDW11_AD (1u << 2)
#define CDW13_PARTIAL (1u << 16)

/* Room in a vector for pieces that are in two commands. */
#define VEC_SPLITS 16u

#define STATUS_INVALID_FIELD (NVMFT_STATUS(0, 0x02) | NVMFT_STATUS_DNR)

_Static_assert(sizeof(struct ng_io) <= 96, "leaves room for wrappers in NVMFT_IO_PRIV_MAX");

static const uint8_t opcodes[] = {
	[NVMFT_IO_READ] = NG_OPC_READ,      [NVMFT_IO_WRITE] = NG_OPC_WRITE,
	[NVMFT_IO_FLUSH] = NG_OPC_FLUSH,    [NVMFT_IO_WRITE_ZEROES] = NG_OPC_WRITE_ZEROES,
	[NVMFT_IO_DEALLOCATE] = NG_OPC_DSM, [NVMFT_IO_COMPARE] = NG_OPC_COMPARE,
};

static uint8_t opcode_of(const struct nvmft_io *io)
{
	return io->op == NVMFT_IO_COMMAND ? io->sqe->opcode : opcodes[io->op];
}

static bool is_admin(const struct nvmft_io *io)
{
	return io->op == NVMFT_IO_COMMAND && io->flags & NVMFT_IO_ADMIN;
}

static bool is_format(const struct nvmft_io *io)
{
	return is_admin(io) && io->sqe->opcode == SSD_ADMIN_FORMAT;
}

static const struct ng_backend *backend_of(const struct ng_channel *ch)
{
	return ch->channel->backend->priv;
}

/* A report of zones that says itself how many it has: one that is shorter than the host's buffer will do, too. */
static bool is_report(const struct nvmft_io *io)
{
	return io->op == NVMFT_IO_COMMAND && !is_admin(io) && io->sqe->opcode == NG_OPC_ZONE_RECEIVE &&
	       le32toh(io->sqe->cdw13) & CDW13_PARTIAL;
}

/* Two of the host's commands are as long as it likes, and as divisible as a write. */
static bool is_divisible(const struct nvmft_io *io)
{
	return io->op == NVMFT_IO_COMMAND && !is_admin(io) &&
	       (io->sqe->opcode == NG_OPC_VERIFY || io->sqe->opcode == NG_OPC_WRITE_UNCORRECTABLE);
}

/* In blocks, so that it can be split. */
static bool has_blocks(const struct nvmft_io *io)
{
	return io->op == NVMFT_IO_READ || io->op == NVMFT_IO_WRITE || io->op == NVMFT_IO_COMPARE;
}

static bool has_data(const struct nvmft_io *io)
{
	return has_blocks(io) || io->op == NVMFT_IO_COMMAND;
}

static bool has_range(const struct nvmft_io *io)
{
	return io->op != NVMFT_IO_FLUSH && io->op != NVMFT_IO_COMMAND;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* ---- the buffer of the next command ---- */

/* What a command transfers: @n pieces at @vec, which has @room for some; @region is that of the first. */
struct span {
	struct iovec *vec;
	uint32_t room;
	uint32_t n;
	uint32_t bytes;
	uint32_t region;
};

static void span_add(struct span *span, void *base, uint32_t len, uint32_t region)
{
	if (!span->n)
		span->region = region;
	span->vec[span->n++] = (struct iovec){base, len};
	span->bytes += len;
}

/* Pieces from where the last command ended, as far as @limit and @pages go. */
static void span_fill(const struct ng_io *ni, struct span *span, uint32_t limit, uint32_t pages)
{
	uint32_t i = ni->iov, offset = ni->offset;

	span->n = span->bytes = 0;
	while (span->bytes < limit && span->n < span->room && pages && i < ni->io->iovcnt) {
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
		span_add(span, base, len, iov->region);
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

	span->vec = ni->vec ? ni->vec + ni->vec_used : one;
	span->room = ni->vec ? (uint32_t)ni->vec_size - ni->vec_used : 1;
	span_fill(ni, span, limit, ng->max_pages);
	if (span->bytes < ng->block_size) {
		/* A block in more pieces than the device takes: the kernel copies it, then it lies in few pages. */
		span_fill(ni, span, ng->block_size, UINT32_MAX / PAGE_BYTES);
	}
	span_trim(span, span->bytes % ng->block_size);
	advance(ni, span->bytes);
}

static bool region_is_fixed(const struct ng_channel *ch, uint32_t region)
{
	return region < ch->fixed_regions && ch->fixed[region];
}

static bool is_fixed(const struct ng_channel *ch, const struct ng_io *ni, uint32_t region)
{
	return !ni->plain && region_is_fixed(ch, region);
}

/* ---- commands ---- */

static void set_buffer(struct ng_channel *ch, struct ng_io *ni, struct io_uring_sqe *sqe, struct nvme_uring_cmd *cmd,
		       const struct span *span)
{
	if (span->n > 1) {
		sqe->cmd_op = sqe->cmd_op == NVME_URING_CMD_ADMIN ? NVME_URING_CMD_ADMIN_VEC : NVME_URING_CMD_IO_VEC;
		cmd->addr = (uintptr_t)span->vec;
		cmd->data_len = span->n;
		ni->vec_used = (uint16_t)(ni->vec_used + span->n);
		return;
	}
	cmd->addr = (uintptr_t)span->vec[0].iov_base;
	cmd->data_len = span->bytes;
	if (is_fixed(ch, ni, span->region)) {
		sqe->uring_cmd_flags = IORING_URING_CMD_FIXED;
		sqe->buf_index = (uint16_t)span->region;
		ni->fixed = 1;
	}
}

static uint32_t prep_data(struct ng_channel *ch, struct ng_io *ni, struct io_uring_sqe *sqe, struct nvme_uring_cmd *cmd)
{
	const struct ng_backend *ng = backend_of(ch);
	uint32_t blocks;
	struct iovec one;
	struct span span;

	span_take(ng, ni, &span, &one);
	blocks = span.bytes / ng->block_size;
	cmd->cdw12 = ni->io->flags & NVMFT_IO_FUA ? CDW12_FUA : 0;
	nvmft_ng_cmd_range(ng, cmd, ni->io->lba + ni->at, blocks);
	set_buffer(ch, ni, sqe, cmd, &span);
	return blocks;
}

static uint32_t prep_zeroes(const struct ng_backend *ng, const struct ng_io *ni, struct nvme_uring_cmd *cmd)
{
	uint32_t blocks = least(ni->total - ni->at, least(ng->facts.max_zeroes, NLB_MAX));

	if (ni->io->flags & NVMFT_IO_FUA)
		cmd->cdw12 |= CDW12_FUA;
	/* Only where deallocated blocks are sure to read as zeroes. */
	if (ni->io->flags & NVMFT_IO_DEALLOC_OK && ng->facts.can_deallocate_zeroes)
		cmd->cdw12 |= CDW12_DEAC;
	nvmft_ng_cmd_range(ng, cmd, ni->io->lba + ni->at, blocks);
	return blocks;
}

static uint32_t prep_deallocate(const struct ng_backend *ng, struct ng_io *ni, struct nvme_uring_cmd *cmd)
{
	uint32_t blocks = least(ni->total - ni->at, ng->facts.max_deallocate);

	ni->range = (struct ng_range){0, htole32(blocks), htole64(ni->io->lba + ni->at)};
	cmd->addr = (uintptr_t)&ni->range;
	cmd->data_len = sizeof(ni->range);
	cmd->cdw10 = 0; /* one range */
	cmd->cdw11 = CDW11_AD;
	return blocks;
}

/* Part of a command that the host wants for a range. */
static uint32_t prep_part(const struct ng_backend *ng, const struct ng_io *ni, struct nvme_uring_cmd *cmd)
{
	const struct nvmft_sqe *sqe = ni->io->sqe;
	uint64_t lba = le32toh(sqe->cdw10) | (uint64_t)le32toh(sqe->cdw11) << 32;
	uint32_t limit = sqe->opcode == NG_OPC_VERIFY ? ng->facts.max_verify : ng->facts.max_uncorrectable;
	uint32_t blocks = least(ni->total - ni->at, limit);

	cmd->cdw2 = le32toh(sqe->cdw2);
	cmd->cdw3 = le32toh(sqe->cdw3);
	cmd->cdw12 = le32toh(sqe->cdw12) & ~(NLB_MAX - 1);
	cmd->cdw13 = le32toh(sqe->cdw13);
	cmd->cdw14 = le32toh(sqe->cdw14);
	cmd->cdw15 = le32toh(sqe->cdw15);
	nvmft_ng_cmd_range(ng, cmd, lba + ni->at, blocks);
	return blocks;
}

static uint32_t prep_command(struct ng_channel *ch, struct ng_io *ni, struct io_uring_sqe *sqe,
			     struct nvme_uring_cmd *cmd)
{
	const struct ng_backend *ng = backend_of(ch);
	struct iovec one;
	struct span span = {ni->vec ? ni->vec : &one, ni->vec ? ni->vec_size : 1};

	if (is_divisible(ni->io))
		return prep_part(ng, ni, cmd);
	nvmft_ng_cmd_host(ng, cmd, ni->io->sqe, is_admin(ni->io));
	if (is_admin(ni->io)) {
		sqe->cmd_op = NVME_URING_CMD_ADMIN;
		cmd->nsid = ni->io->flags & NVMFT_IO_NO_NSID ? 0 : ng->nsid;
		sqe->fd = atomic_load_explicit(&ng->ctrl_fd[ni->ctrl], memory_order_relaxed);
		ni->plain = 1;
	}
	span_fill(ni, &span, is_report(ni->io) ? ng->max_bytes : UINT32_MAX, UINT32_MAX / PAGE_BYTES);
	if (is_report(ni->io) && span.bytes)
		cmd->cdw12 = span.bytes / 4 - 1;
	if (span.bytes)
		set_buffer(ch, ni, sqe, cmd, &span);
	return 1;
}

static uint32_t prep_cmd(struct ng_channel *ch, struct ng_io *ni, struct io_uring_sqe *sqe)
{
	const struct ng_backend *ng = backend_of(ch);
	struct nvme_uring_cmd *cmd = nvmft_ng_cmd(ng, sqe, opcode_of(ni->io));

	switch (ni->io->op) {
	case NVMFT_IO_READ:
	case NVMFT_IO_WRITE:
	case NVMFT_IO_COMPARE:
		return prep_data(ch, ni, sqe, cmd);
	case NVMFT_IO_WRITE_ZEROES:
		return prep_zeroes(ng, ni, cmd);
	case NVMFT_IO_DEALLOCATE:
		return prep_deallocate(ng, ni, cmd);
	case NVMFT_IO_COMMAND:
		return prep_command(ch, ni, sqe, cmd);
	case NVMFT_IO_FLUSH:
		break;
	}
	return 1;
}

/* ---- the I/O ---- */

/* Room in the vector for all pieces that are left. */
static bool vec_has_room(struct ng_io *ni)
{
	if (!ni->vec)
		return true;
	if (!ni->pending)
		ni->vec_used = 0;
	return !ni->pending || (uint32_t)ni->vec_size - ni->vec_used >= least(ni->io->iovcnt - ni->iov, NG_VEC_MAX);
}

/*
 * One command after the other: the one range describes one command at a time, and a zone is written in order, which
 * commands that are under way together need not keep.
 */
static bool is_serial(const struct ng_backend *ng, const struct ng_io *ni)
{
	const struct nvmft_io *io = ni->io;

	return io->op == NVMFT_IO_DEALLOCATE ||
	       (ng->facts.csi == NVME_CSI_ZNS && (io->op == NVMFT_IO_WRITE || io->op == NVMFT_IO_WRITE_ZEROES));
}

static bool may_issue(const struct ng_backend *ng, struct ng_io *ni)
{
	return ni->at < ni->total && !ni->status && vec_has_room(ni) && !(ni->pending && is_serial(ng, ni));
}

/* Until there is room, or the doubt is over. */
static void wait_for_turn(struct ng_channel *ch, struct ng_io *ni)
{
	ni->waits = 1;
	ni->next = NULL;
	*ch->waiting_tail = ni;
	ch->waiting_tail = &ni->next;
	ch->room = 0;
}

/* Commands to the controller do not depend on the namespace's format, but for Format NVM itself: see begin_format(). */
static bool in_doubt(const struct ng_backend *ng, const struct ng_io *ni)
{
	return ssd_in_doubt(&ng->doubt) && !is_admin(ni->io);
}

static void end(struct ng_channel *ch, struct ng_io *ni);

static void refuse(struct ng_channel *ch, struct ng_io *ni)
{
	ni->status = NG_STATUS_NOT_READY;
	if (!ni->pending)
		end(ch, ni);
}

static void issue(struct ng_channel *ch, struct ng_io *ni)
{
	const struct ng_backend *ng = backend_of(ch);

	while (may_issue(ng, ni)) {
		bool doubt = in_doubt(ng, ni);
		struct io_uring_sqe *sqe;

		if (doubt && ssd_refused(&ng->doubt)) {
			refuse(ch, ni);
			return;
		}
		/* Behind those that wait already, or they might for ever; but they may wait for an admin command, a
		 * format. */
		sqe = doubt || (ch->waiting && !is_admin(ni->io)) ? NULL : nvmft_ng_get_sqe(ch);
		if (!sqe) {
			wait_for_turn(ch, ni);
			return;
		}
		ni->at += prep_cmd(ch, ni, sqe);
		sqe->user_data = (uintptr_t)ni | NG_LONG;
		ni->pending++;
	}
}

/* What went wrong with registered buffers went well without: some kernels refuse those of regions in too many pieces.
 */
static void give_up_fixed(struct ng_channel *ch)
{
	if (ch->fixed_regions)
		nvmft_backend_log(ch->channel->backend, NVMFT_LOG_DEBUG,
				  "%s: no registered buffers, the kernel refuses one", backend_of(ch)->path);
	ch->fixed_regions = 0;
}

static void format_ends(struct ng_backend *ng)
{
	ssd_format_ends(&ng->doubt);
	nvmft_ng_look(ng, false);
}

static void end(struct ng_channel *ch, struct ng_io *ni)
{
	if (ni->fixed && ni->plain && !ni->status)
		give_up_fixed(ch);
	/* Whatever became of it, nobody else tells us to look. */
	if (is_format(ni->io))
		format_ends(ch->channel->backend->priv);
	if (ni->vec && ni->vec != ni->few)
		free(ni->vec);
	ch->outstanding--;
	nvmft_io_done(ni->io, ni->status);
}

static void restart(struct ng_channel *ch, struct ng_io *ni)
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
		restart(ch, ni);
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

/* Once: a broken disk would fill the log as fast as a host retries. Statuses of the device are the host's to judge. */
static void report(struct ng_channel *ch, const struct ng_io *ni, int err)
{
	struct ng_backend *ng = ch->channel->backend->priv;

	if (!atomic_exchange(&ng->reported, true))
		nvmft_backend_log(ch->channel->backend, NVMFT_LOG_ERROR,
				  "%s: NVMe command %02xh of %" PRIu32 " blocks at %" PRIu64
				  " did not reach the device: %s; further errors are not logged",
				  ng->path, opcode_of(ni->io), ni->total, ni->io->lba, strerrordesc_np(-err));
}

/* The next controller that may do, for an admin command. False: none is left. */
static bool find_ctrl(const struct ng_backend *ng, struct ng_io *ni)
{
	for (; ni->tried < NG_CTRLS; ni->tried++, ni->ctrl = (uint8_t)((ni->ctrl + 1) % NG_CTRLS)) {
		if (atomic_load_explicit(&ng->ctrl_fd[ni->ctrl], memory_order_relaxed) >= 0)
			return true;
	}
	return false;
}

/* A controller that is gone has not seen the command: the next one may. */
static bool try_other_ctrl(const struct ng_backend *ng, struct ng_io *ni)
{
	ni->tried++;
	ni->ctrl = (uint8_t)((ni->ctrl + 1) % NG_CTRLS);
	return find_ctrl(ng, ni);
}

static void failed(struct ng_channel *ch, struct ng_io *ni, int res)
{
	struct ng_backend *ng = ch->channel->backend->priv;

	if (nvmft_ng_is_suspicious(ni->io, res))
		nvmft_ng_look(ng, res > 0 && ssd_is_formatting((nvmft_status)res));
	if ((res == -EINVAL && ni->fixed && !ni->plain) ||
	    (is_admin(ni->io) && nvmft_ng_is_gone(res) && try_other_ctrl(ng, ni))) {
		ni->again = 1;
		ni->at = ni->total; /* no more of this attempt */
		return;
	}
	if (res < 0)
		report(ch, ni, res);
	if (!ni->status)
		ni->status = nvmft_ng_status(ng, res);
}

void nvmft_ng_complete(struct ng_channel *ch, struct ng_io *ni, int res, uint64_t result)
{
	struct ng_backend *ng = ch->channel->backend->priv;

	ni->pending--;
	if (ni->io->op == NVMFT_IO_COMMAND) {
		ni->io->result = result;
		if (res >= 0 && is_admin(ni->io))
			atomic_store_explicit(&ng->ctrl_at, ni->ctrl, memory_order_relaxed);
	}
	if (res)
		failed(ch, ni, res);
	if (ni->pending == 0 && !ni->waits)
		settle(ch, ni);
}

/* A buffer in more pieces than usual, from a host in this process: the one allocation on the way of an I/O. */
static int set_vec(struct ng_io *ni)
{
	uint32_t n = ni->io->iovcnt <= NG_FEW ? NG_FEW : least(ni->io->iovcnt + VEC_SPLITS, NG_VEC_MAX);

	ni->vec = n == NG_FEW ? ni->few : malloc(n * sizeof(*ni->vec));
	ni->vec_size = (uint16_t)n;
	return ni->vec ? 0 : -ENOMEM;
}

static void zero_from(const struct nvmft_io *io, uint64_t from)
{
	for (uint32_t i = 0; i < io->iovcnt; i++) {
		uint64_t skip = from < io->iov[i].len ? from : io->iov[i].len;

		memset((char *)io->iov[i].base + skip, 0, io->iov[i].len - skip);
		from -= skip;
	}
}

/* What cannot be split must go as a whole, and has no more metadata than there is room for. */
static nvmft_status check_command(const struct ng_backend *ng, const struct nvmft_io *io)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < io->iovcnt; i++)
		bytes += io->iov[i].len;
	if (io->iovcnt > NG_VEC_MAX)
		return STATUS_INVALID_FIELD;
	if (bytes <= ng->max_bytes || is_admin(io))
		return 0;
	if (!is_report(io))
		return STATUS_INVALID_FIELD;
	zero_from(io, ng->max_bytes);
	return 0;
}

/* Blocks in more pieces than one command can have. */
static bool is_crumbled(const struct ng_backend *ng, const struct nvmft_io *io)
{
	uint32_t into = 0, pieces = 0;

	for (uint32_t i = 0; i < io->iovcnt; i++) {
		pieces++;
		if (io->iov[i].len >= ng->block_size - into)
			pieces = 1;
		if (pieces > NG_VEC_MAX)
			return true;
		into = (uint32_t)(((uint64_t)into + io->iov[i].len) % ng->block_size);
	}
	return false;
}

/* From here on I/O of all hosts waits until it is over and the device was asked. */
static nvmft_status begin_format(struct ng_backend *ng, const struct nvmft_io *io)
{
	nvmft_status status = nvmft_ssd_check_format(&ng->facts, le32toh(io->sqe->cdw10));

	if (ssd_in_doubt(&ng->doubt))
		return NG_STATUS_NOT_READY;
	if (!status)
		ssd_format_begins(&ng->doubt);
	return status;
}

static nvmft_status prepare(struct ng_backend *ng, struct ng_io *ni)
{
	const struct nvmft_io *io = ni->io;
	nvmft_status status = 0;

	if (io->op == NVMFT_IO_COMMAND)
		status = check_command(ng, io);
	if (!status && is_admin(io)) {
		ni->ctrl = (uint8_t)atomic_load_explicit(&ng->ctrl_at, memory_order_relaxed);
		status = find_ctrl(ng, ni) ? 0 : NG_STATUS_NOT_READY;
	}
	if (!status && is_format(io))
		status = begin_format(ng, io);
	if (status || io->iovcnt <= 1 || !has_data(io))
		return status;
	if (io->iovcnt > NG_VEC_MAX && is_crumbled(ng, io))
		return STATUS_INVALID_FIELD;
	return set_vec(ni) ? nvmft_status_from_errno(-ENOMEM) : 0;
}

static struct ng_io *start(struct nvmft_io *io)
{
	struct ng_io *ni = io->priv;

	memset(ni, 0, offsetof(struct ng_io, few));
	ni->io = io;
	ni->total = has_range(io) ? io->blocks : is_divisible(io) ? (le32toh(io->sqe->cdw12) & (NLB_MAX - 1)) + 1 : 1;
	return ni;
}

static __attribute__((noinline)) void submit_any(struct ng_channel *ch, struct nvmft_io *io)
{
	struct ng_io *ni = start(io);
	nvmft_status status = prepare(ch->channel->backend->priv, ni);

	if (status) {
		nvmft_io_done(io, status);
		return;
	}
	ch->outstanding++;
	issue(ch, ni);
}

/* ---- the short way ---- */

/* Metadata needs more than a range and a buffer. A buffer may begin anywhere in its first page. */
static uint32_t short_bytes(const struct ng_backend *ng)
{
	uint64_t pages = (uint64_t)(ng->max_pages - 1) * PAGE_BYTES;

	if (ng->facts.metadata || ng->facts.pi.type || !ng->max_pages)
		return 0;
	return pages < ng->max_bytes ? (uint32_t)pages : ng->max_bytes;
}

void nvmft_ng_short_init(struct ng_channel *ch)
{
	struct io_uring_sqe sqe[2];

	ch->ng = backend_of(ch);
	ch->short_bytes = short_bytes(ch->ng);
	ng_set_room(ch);
	for (enum nvmft_io_op op = NVMFT_IO_READ; op <= NVMFT_IO_WRITE; op++) {
		ng_clear_sqe(sqe);
		memcpy(&ch->cmd_head[op], nvmft_ng_cmd(ch->ng, sqe, opcodes[op]), sizeof(ch->cmd_head[op]));
	}
	memcpy(ch->sqe_head, sqe, sizeof(ch->sqe_head));
}

/* As nvmft_ng_complete() does with the last command of an I/O. */
void nvmft_ng_short_failed(struct ng_channel *ch, struct nvmft_io *io, int res)
{
	struct ng_io *ni = start(io);

	ch->outstanding++;
	ni->at = ni->total;
	ni->pending = 1;
	/* As it was when it was sent: registered buffers may have been given up since. */
	ni->fixed = io->iov->region < NG_REGIONS && ch->fixed[io->iov->region];
	nvmft_ng_complete(ch, ni, res, 0);
}

/* The next entry; there is room for it. */
static inline struct io_uring_sqe *next_sqe(struct ng_channel *ch)
{
	struct io_uring_sq *sq = &ch->uring.sq;

	ch->room--;
	return &sq->sqes[2 * (size_t)(sq->sqe_tail++ & sq->ring_mask)];
}

/* Other flags are for other commands. */
#define CDW12_FUA_SHIFT 30
_Static_assert(NVMFT_IO_FUA << CDW12_FUA_SHIFT == CDW12_FUA, "no need to ask");

#define WORD_OF(member) ((offsetof(struct io_uring_sqe, cmd) + offsetof(struct nvme_uring_cmd, member)) / 8)
_Static_assert(offsetof(struct io_uring_sqe, len) == 24 && offsetof(struct io_uring_sqe, user_data) == 32 &&
		       offsetof(struct io_uring_sqe, buf_index) == 40 && WORD_OF(opcode) == 6 && WORD_OF(addr) == 9 &&
		       WORD_OF(metadata_len) == 10 && WORD_OF(cdw10) == 11 && WORD_OF(cdw12) == 12,
	       "words of an entry");

/* All of an entry, word by word: written once each, in the order of memory. */
static inline void write_short(const struct ng_channel *ch, struct io_uring_sqe *sqe, const struct nvmft_io *io)
{
	typedef volatile uint64_t __attribute__((may_alias)) word;
	const struct nvmft_iov *iov = io->iov;
	bool fixed = region_is_fixed(ch, iov->region);
	word *words = (word *)sqe;

	words[0] = ch->sqe_head[0];
	words[1] = ch->sqe_head[1];
	words[2] = 0;
	words[3] = ng_dwords(0, fixed ? IORING_URING_CMD_FIXED : 0);
	words[4] = (uintptr_t)io;
	words[5] = 0;
	if (fixed)
		*(volatile __u16 *)&sqe->buf_index = (__u16)iov->region;
	words[6] = ch->cmd_head[io->op];
	words[7] = 0;
	words[8] = 0;
	words[9] = (uintptr_t)iov->base;
	words[10] = ng_dwords(0, iov->len);
	words[11] = ng_dwords((uint32_t)io->lba, (uint32_t)(io->lba >> 32));
	words[12] = ng_dwords((io->blocks - 1) | io->flags << CDW12_FUA_SHIFT, 0);
	words[13] = 0;
	words[14] = 0;
	words[15] = 0;
}

/*
 * What most I/O is: a read or write of one buffer, done with one command for which there is room. It goes without what
 * others need: vectors, splitting, waiting, and a struct ng_io that knows how far all that has come.
 */
void nvmft_ng_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct ng_channel *ch = channel->priv;

	if (io->op > NVMFT_IO_WRITE || io->iovcnt != 1 || io->iov->len > ch->short_bytes || !ch->room ||
	    ssd_in_doubt(&ch->ng->doubt))
		submit_any(ch, io);
	else
		write_short(ch, next_sqe(ch), io);
}
