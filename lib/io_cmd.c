/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * I/O commands (NVM Command Set 1.0): parsing, Read, Write and Flush.
 *
 * Protection information bits of CDW12 and the directive fields are ignored, as for any namespace without them.
 */
#include "io_cmd.h"
#include "pass.h"
#include "poll_group.h"
#include "sgl.h"

/* ---- what all commands share ---- */

/* There is no such namespace, or its device is gone: perhaps for a while, and perhaps another path leads to the same
 * blocks. */
nvmft_status nvmft_io_no_ns(const struct request *req)
{
	const struct subsys_view *sv = req->pub.queue->sv;

	return sv && nvmft_view_gone(sv, le32toh(req->pub.sqe.nsid)) ? SC(NS_NOT_READY) : SC_DNR(INVALID_NS);
}

/* The view has changed since the command was parsed: what was checked then is checked again. */
static nvmft_status io_look_again(struct request *req, bool change)
{
	const struct ns_view *nsv = nvmft_io_parse_ns(req);

	if (!nsv)
		return nvmft_io_no_ns(req);
	if (!nvmft_io_in_range(nsv, req->io.lba, req->io.blocks))
		return SC_DNR(LBA_RANGE);
	return change && nsv->read_only ? SC_DNR(NS_WRITE_PROTECTED) : 0;
}

nvmft_status nvmft_io_open(struct request *req, bool change)
{
	struct nvmft_poll_group *group = req_group(req);
	nvmft_status status;
	int ret;

	if (req->late && req->view_gen != group->view->gen) {
		status = io_look_again(req, change);
		if (status)
			return status;
	}
	ret = channel_get(group, req->nsv, &req->channel);
	return ret ? nvmft_status_from_errno(ret) : 0;
}

bool nvmft_io_begin(struct request *req, bool change)
{
	nvmft_status status = nvmft_io_open(req, change);

	if (likely(!status))
		return true;
	nvmft_req_complete(req, status);
	return false;
}

/* The usual case of nvmft_io_open(): false when that has more to do than to take what is there. */
static inline bool io_open_usual(struct request *req)
{
	struct nvmft_poll_group *group = req_group(req);
	struct ns_channel *ch;

	if (unlikely(req->late))
		return false;
	ch = channel_find(group, req->nsv->ns);
	if (unlikely(!ch))
		return false;
	ch->in_flight++;
	req->channel = ch;
	return true;
}

static void io_give_back_bounce(struct request *req)
{
	nvmft_pool_put(req_group(req), &req->iov_bounce);
	req->iov_bounce.base = NULL;
}

static rarely void io_end_other(struct request *req, nvmft_status status)
{
	struct ns_channel *ch = req->channel;

	if (status)
		counter_add(&ch->errors, 1);
	if (req->iov_bounce.base)
		io_give_back_bounce(req);
	req->channel = NULL;
	channel_put(ch);
	nvmft_req_complete(req, status);
}

static inline void io_end(struct request *req, nvmft_status status)
{
	struct ns_channel *ch = req->channel;

	if (unlikely(status || req->iov_bounce.base || ch->closing)) {
		io_end_other(req, status);
		return;
	}
	req->channel = NULL;
	ch->in_flight--;
	nvmft_req_complete(req, 0);
}

void nvmft_io_end(struct request *req, nvmft_status status)
{
	io_end(req, status);
}

nvmft_status nvmft_io_recheck(struct request *req, uint64_t lba, uint64_t blocks)
{
	const struct ns_view *nsv = nvmft_io_ns(req);

	if (req->aborted)
		return SC(ABORT_REQ);
	if (req->pub.queue->state != QUEUE_LIVE)
		return SC(ABORT_QUEUE);
	if (!nsv)
		return nvmft_io_no_ns(req);
	if (nsv->ns != req->channel->ns)
		return SC_DNR(INVALID_NS);
	if (!nvmft_io_in_range(nsv, lba, blocks))
		return SC_DNR(LBA_RANGE);
	return 0;
}

static bool io_aligned(const struct nvmft_iov *iov, uint32_t iovcnt, uint32_t mask)
{
	uintptr_t bits = (uintptr_t)iov[0].base;
	uint32_t i;

	/* Lengths matter only where another piece follows: their sum is a multiple of the block size. */
	for (i = 1; i < iovcnt; i++)
		bits |= (uintptr_t)iov[i].base | iov[i - 1].len;
	return (bits & mask) == 0;
}

static bool io_in_regions(const struct nvmft_iov *iov, uint32_t iovcnt)
{
	uint32_t i;

	for (i = 0; i < iovcnt; i++)
		if (iov[i].region == NVMFT_REGION_NONE)
			return false;
	return true;
}

/* The device can use the buffers as they are. */
static bool io_reachable(const struct nvmft_backend_info *info, const struct nvmft_iov *iov, uint32_t iovcnt)
{
	return (info->align <= 1 || io_aligned(iov, iovcnt, info->align - 1)) &&
	       (!info->needs_regions || io_in_regions(iov, iovcnt));
}

/*
 * One copy, because the device cannot reach the transport's own buffer. start() has granted the second one, except when
 * the namespace was replaced since by one that needs it; then the limit does not count.
 */
static nvmft_status io_bounce(struct request *req)
{
	int ret;

	if (!req->iov_bounce.base) {
		ret = nvmft_pool_get(req_group(req), req->pub.data_len, true, &req->iov_bounce);
		if (ret)
			return nvmft_status_from_errno(ret);
	}
	req->io.iov = &req->iov_bounce;
	req->io.iovcnt = 1;
	if (req->pub.dir != NVMFT_DIR_FROM_HOST)
		return 0;
	nvmft_req_copy_in(req, 0, req->iov_bounce.base, req->pub.data_len);
	counter_add(&req_group(req)->counters.copied_bytes, req->pub.data_len);
	return 0;
}

/* The namespace behind this NSID may have been replaced by one of another format, or one that does not lend. */
nvmft_status nvmft_io_check_data(const struct request *req)
{
	if ((uint64_t)req->io.blocks * req->channel->info.block_size != req->pub.data_len)
		return SC_DNR(INVALID_NS);
	return req->pub.iovcnt ? 0 : SC(NS_NOT_READY);
}

nvmft_status nvmft_io_buffers(struct request *req)
{
	const struct ns_channel *ch = req->channel;

	req->io.iov = req->pub.iov;
	req->io.iovcnt = req->pub.iovcnt;
	if (!ch->picky || io_reachable(&ch->info, req->io.iov, req->io.iovcnt))
		return 0;
	return io_bounce(req);
}

nvmft_status nvmft_io_data(struct request *req)
{
	nvmft_status status = nvmft_io_check_data(req);

	return status ? status : nvmft_io_buffers(req);
}

/* End a command from where its next step cannot be done. */
static void io_fail(struct request *req, nvmft_status status, void (*end)(struct request *req))
{
	req->io.status = status;
	end(req);
}

static rarely void io_submit_other(struct request *req, void (*end)(struct request *req))
{
	nvmft_status status = nvmft_io_data(req);

	if (status)
		io_fail(req, status, end);
	else
		nvmft_channel_submit(req);
}

/* Submit with the command's data; @end ends the command if that is not possible. */
static inline void io_submit(struct request *req, void (*end)(struct request *req))
{
	const struct ns_channel *ch = req->channel;

	if (unlikely(ch->picky || req->late)) {
		io_submit_other(req, end);
		return;
	}
	req->io.iov = req->pub.iov;
	req->io.iovcnt = req->pub.iovcnt;
	nvmft_channel_submit(req);
}

void nvmft_io_flush(struct request *req, void (*next)(struct request *req))
{
	req->io.op = NVMFT_IO_FLUSH;
	req->io.flags = 0;
	req->io.iov = NULL;
	req->io.iovcnt = 0;
	req->next = next;
	nvmft_channel_submit(req);
}

void nvmft_change_begin(struct request *req, void (*start)(struct request *req))
{
	struct ns_channel *ch = req->channel;

	req->io.status = 0;
	if (likely(!ch->fused)) {
		ch->changing++;
		start(req);
		return;
	}
	req->next = start;
	req->io.state = IO_HELD;
	TAILQ_INSERT_TAIL(&ch->held, req, link);
}

void nvmft_change_end(struct request *req, nvmft_status status)
{
	struct ns_channel *ch = req->channel;

	ch->changing--;
	if (unlikely(ch->fused))
		nvmft_fused_changed(ch);
	nvmft_io_end(req, status);
}

/* ---- parsing ---- */

static rarely nvmft_status parse_range_error(struct request *req)
{
	if (!req->nsv)
		return req_error(req, nvmft_io_no_ns(req), SQE_LOC(nsid));
	return req_error(req, SC_DNR(LBA_RANGE), SQE_LOC(cdw10));
}

/* The namespace, when it is there and has the blocks. */
static inline const struct ns_view *parse_range(struct request *req)
{
	const struct nvmft_sqe *sqe = &req->pub.sqe;
	const struct ns_view *nsv = nvmft_io_parse_ns(req);

	req->io.lba = le32toh(sqe->cdw10) | (uint64_t)le32toh(sqe->cdw11) << 32;
	req->io.blocks = sqe_lo16(sqe->cdw12) + 1u;
	return likely(nsv && nvmft_io_in_range(nsv, req->io.lba, req->io.blocks)) ? nsv : NULL;
}

nvmft_status nvmft_io_parse_range(struct request *req)
{
	return parse_range(req) ? 0 : parse_range_error(req);
}

/* The transport's own buffers may not be what the device can reach. */
static void parse_picky(struct request *req)
{
	req->want_bounce =
		req->pub.borrowed && req->pub.iovcnt && !io_reachable(&req->nsv->info, req->pub.iov, req->pub.iovcnt);
}

nvmft_status nvmft_io_parse_data(struct request *req, void (*execute)(struct request *), enum nvmft_dir dir,
				 uint64_t len)
{
	if (req->nsv->picky)
		parse_picky(req);
	return nvmft_req_data(req, execute, dir, len);
}

static rarely nvmft_status parse_blocks_other(struct request *req, void (*execute)(struct request *),
					      enum nvmft_dir dir)
{
	const struct ns_view *nsv = req->nsv;

	if (req->io.blocks > nsv->max_blocks)
		return req_error(req, SC_DNR(INVALID_FIELD), SQE_LOC(cdw12));
	return nvmft_io_parse_data(req, execute, dir, (uint64_t)req->io.blocks << nsv->lba_shift);
}

/* The data of so many blocks. */
static inline nvmft_status parse_blocks(struct request *req, void (*execute)(struct request *), enum nvmft_dir dir)
{
	const struct ns_view *nsv = req->nsv;

	if (unlikely(nsv->picky || req->io.blocks > nsv->max_blocks))
		return parse_blocks_other(req, execute, dir);
	return req_data(req, execute, dir, (uint64_t)req->io.blocks << nsv->lba_shift);
}

nvmft_status nvmft_io_parse_rw(struct request *req, void (*execute)(struct request *), enum nvmft_dir dir)
{
	return parse_range(req) ? parse_blocks(req, execute, dir) : parse_range_error(req);
}

nvmft_status nvmft_io_parse_protected(struct request *req)
{
	if (likely(!req->nsv->read_only))
		return 0;
	return req_error(req, SC_DNR(NS_WRITE_PROTECTED), SQE_LOC(nsid));
}

/* ---- Read ---- */

static void copy_out_bounce(struct request *req)
{
	nvmft_req_copy_out(req, 0, req->iov_bounce.base, req->pub.data_len);
	counter_add(&req_group(req)->counters.copied_bytes, req->pub.data_len);
}

void nvmft_io_buffers_back(struct request *req)
{
	if (req->io.iov == &req->iov_bounce)
		copy_out_bounce(req);
}

/* Of a read that failed, or whose data may not be where the host wants it. */
static rarely void read_end_other(struct request *req)
{
	struct ns_channel *ch = req->channel;

	counter_add(&ch->reads, 1);
	if (!req->io.status) {
		counter_add(&ch->read_blocks, req->io.blocks);
		nvmft_io_buffers_back(req);
	}
	io_end(req, req->io.status);
}

/* The channel is given back together with the pages, at release. */
static void read_lent(struct request *req)
{
	req->pub.iov = req->io.iov;
	req->pub.iovcnt = req->io.iovcnt;
	req->lent = true;
	nvmft_req_complete(req, 0);
}

static void read_end(struct request *req)
{
	struct ns_channel *ch = req->channel;

	if (unlikely(req->io.status || req->iov_bounce.base)) {
		read_end_other(req);
		return;
	}
	counter_add(&ch->reads, 1);
	counter_add(&ch->read_blocks, req->io.blocks);
	if (req->lend)
		read_lent(req);
	else
		io_end(req, 0);
}

static inline void read_start(struct request *req)
{
	req->io.op = NVMFT_IO_READ;
	req->io.flags = 0;
	req->next = read_end;
	if (!req->lend) {
		io_submit(req, read_end);
	} else if (likely(req->channel->info.lends_reads)) {
		req->io.iov = NULL;
		req->io.iovcnt = 0;
		nvmft_channel_submit(req);
	} else {
		/* The backend says so only since the channel is open. */
		io_submit_other(req, read_end);
	}
}

static void read_flushed(struct request *req)
{
	if (!req->io.status)
		req->io.status = nvmft_io_recheck(req, req->io.lba, req->io.blocks);
	if (req->io.status)
		read_end(req);
	else
		read_start(req);
}

static rarely void read_execute_other(struct request *req)
{
	if (!req->channel && !nvmft_io_begin(req, false))
		return;
	/* FUA: what is read must be durable by then, thus out of a cache that can lose it (3.2.4). */
	if (req->pub.sqe.cdw12 & htole32(RW_FUA) && req->channel->info.volatile_cache)
		nvmft_io_flush(req, read_flushed);
	else
		read_start(req);
}

static void read_execute(struct request *req)
{
	if (unlikely(!io_open_usual(req) || req->pub.sqe.cdw12 & htole32(RW_FUA)))
		read_execute_other(req);
	else
		read_start(req);
}

static nvmft_status read_parse(struct request *req)
{
	const struct ns_view *nsv = parse_range(req);

	if (unlikely(!nsv))
		return parse_range_error(req);
	req->lend = req->pub.queue->accept_lent && nsv->info.lends_reads && !req->pub.borrowed;
	return parse_blocks(req, read_execute, NVMFT_DIR_TO_HOST);
}

/* ---- Write ---- */

static void write_end(struct request *req)
{
	struct ns_channel *ch = req->channel;

	counter_add(&ch->writes, 1);
	if (likely(!req->io.status))
		counter_add(&ch->written_blocks, req->io.blocks);
	if (unlikely(req->fused))
		nvmft_fused_wrote(req, req->io.status);
	else
		nvmft_change_end(req, req->io.status);
}

static void write_flush(struct request *req)
{
	if (req->io.status)
		write_end(req);
	else
		nvmft_io_flush(req, write_end);
}

void nvmft_write_start(struct request *req)
{
	if (unlikely(req->io.status)) {
		write_end(req);
		return;
	}
	req->io.op = NVMFT_IO_WRITE;
	req->io.flags = nvmft_io_fua(req);
	req->next = unlikely(nvmft_io_flush_after(req)) ? write_flush : write_end;
	io_submit(req, write_end);
}

static rarely void write_execute_other(struct request *req)
{
	if (req->channel || nvmft_io_begin(req, true))
		nvmft_change_begin(req, nvmft_write_start);
}

static void write_execute(struct request *req)
{
	if (unlikely(!io_open_usual(req) || req->channel->fused)) {
		write_execute_other(req);
		return;
	}
	req->channel->changing++;
	req->io.status = 0;
	nvmft_write_start(req);
}

static nvmft_status write_parse(struct request *req)
{
	const struct ns_view *nsv = parse_range(req);

	if (unlikely(!nsv))
		return parse_range_error(req);
	if (unlikely(nsv->read_only))
		return nvmft_io_parse_protected(req);
	return parse_blocks(req, write_execute, NVMFT_DIR_FROM_HOST);
}

/* ---- Flush ---- */

static void flush_end(struct request *req)
{
	counter_add(&req->channel->others, 1);
	nvmft_io_end(req, req->io.status);
}

static void flush_execute(struct request *req)
{
	if (!nvmft_io_begin(req, false))
		return;
	if (req->channel->info.flush == NVMFT_CAP_NATIVE)
		nvmft_io_flush(req, flush_end);
	else
		io_fail(req, 0, flush_end);
}

/* The namespace with the lowest NSID above @nsid. */
static const struct ns_view *ns_after(const struct subsys_view *sv, uint32_t nsid)
{
	uint32_t lo = 0, hi = sv ? sv->nns : 0;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (sv->ns[mid].nsid <= nsid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return sv && lo < sv->nns ? &sv->ns[lo] : NULL;
}

static void flush_all_end(struct request *req);

/* One after the other, in the order of their NSIDs; req->arg is the last one begun. */
static void flush_all_next(struct request *req)
{
	const struct ns_view *nsv;
	int ret;

	while ((nsv = ns_after(req->pub.queue->sv, req->arg))) {
		req->arg = nsv->nsid;
		if (nsv->info.flush != NVMFT_CAP_NATIVE)
			continue;
		ret = channel_get(req_group(req), nsv, &req->channel);
		if (ret) {
			req->channel = NULL;
			nvmft_req_complete(req, nvmft_status_from_errno(ret));
			return;
		}
		nvmft_io_flush(req, flush_all_end);
		return;
	}
	nvmft_req_complete(req, 0);
}

static void flush_all_end(struct request *req)
{
	nvmft_status status = req->io.status;

	counter_add(&req->channel->others, 1);
	if (!status && req->aborted)
		status = SC(ABORT_REQ);
	if (status) {
		nvmft_io_end(req, status);
		return;
	}
	channel_put(req->channel);
	req->channel = NULL;
	flush_all_next(req);
}

static void flush_all_execute(struct request *req)
{
	req->arg = 0;
	flush_all_next(req);
}

static rarely nvmft_status flush_parse(struct request *req)
{
	if (req->pub.sqe.nsid == htole32(NVMFT_NSID_ALL))
		return nvmft_req_no_data(req, flush_all_execute);
	if (!nvmft_io_parse_ns(req))
		return req_error(req, nvmft_io_no_ns(req), SQE_LOC(nsid));
	req->io.lba = 0;
	req->io.blocks = 0;
	return nvmft_req_no_data(req, flush_execute);
}

/* ---- dispatch ---- */

nvmft_status nvmft_parse_io_cmd(struct request *req)
{
	uint8_t opcode = req->pub.sqe.opcode;

	/* Two comparisons are less than a jump through a table. */
	if (likely(opcode == NVMFT_CMD_READ))
		return read_parse(req);
	if (likely(opcode == NVMFT_CMD_WRITE))
		return write_parse(req);
	switch (opcode) {
	case NVMFT_CMD_FLUSH:
		return flush_parse(req);
	case NVMFT_CMD_COMPARE:
		return nvmft_compare_parse(req);
	case NVMFT_CMD_WRITE_ZEROES:
		return nvmft_write_zeroes_parse(req);
	case NVMFT_CMD_DSM:
		return nvmft_dsm_parse(req);
	default:
		return nvmft_pass_parse(req);
	}
}
