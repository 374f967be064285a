/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compare and Write Zeroes: done by the backend when it declares them, otherwise here with what every backend has.
 */
#include "io_cmd.h"
#include "poll_group.h"

/* Bytes of zeroes that one step of an emulated Write Zeroes writes. */
#define ZERO_CHUNK (256u * 1024)

/* ---- Compare ---- */

static void compare_end(struct request *req)
{
	struct ns_channel *ch = req->channel;
	nvmft_status status = req->io.status;

	/* The Data Units Read of the SMART log include what Compare reads. */
	counter_add(&ch->reads, 1);
	if (!status || status == (SC_MEDIA(COMPARE_FAILED) | NVMFT_STATUS_DNR))
		counter_add(&ch->read_blocks, req->io.blocks);
	if (req->fused)
		nvmft_fused_compared(req, status);
	else
		nvmft_io_end(req, status);
}

static bool same_data(const struct request *req)
{
	const unsigned char *blocks = req->iov_bounce.base;
	uint32_t i;

	for (i = 0; i < req->pub.iovcnt; i++) {
		if (memcmp(blocks, req->pub.iov[i].base, req->pub.iov[i].len) != 0)
			return false;
		blocks += req->pub.iov[i].len;
	}
	return true;
}

static void compare_read(struct request *req)
{
	if (!req->io.status && !same_data(req))
		req->io.status = SC_MEDIA(COMPARE_FAILED) | NVMFT_STATUS_DNR;
	compare_end(req);
}

/* Read what is there into the second buffer, which start() has granted. */
static nvmft_status compare_emulate(struct request *req)
{
	nvmft_status status = nvmft_io_check_data(req);
	int ret;

	if (status)
		return status;
	if (!req->iov_bounce.base) {
		ret = nvmft_pool_get(req_group(req), req->pub.data_len, true, &req->iov_bounce);
		if (ret)
			return nvmft_status_from_errno(ret);
	}
	req->io.op = NVMFT_IO_READ;
	req->io.iov = &req->iov_bounce;
	req->io.iovcnt = 1;
	req->next = compare_read;
	return 0;
}

void nvmft_compare_start(struct request *req)
{
	nvmft_status status;

	req->io.op = NVMFT_IO_COMPARE;
	req->io.flags = 0;
	req->next = compare_end;
	if (req->channel->info.compare == NVMFT_CAP_NATIVE)
		status = nvmft_io_data(req);
	else
		status = compare_emulate(req);
	if (!status) {
		nvmft_channel_submit(req);
		return;
	}
	req->io.status = status;
	compare_end(req);
}

static void compare_execute(struct request *req)
{
	if (nvmft_io_begin(req, false))
		nvmft_compare_start(req);
}

nvmft_status nvmft_compare_parse(struct request *req)
{
	nvmft_status status = nvmft_io_parse_rw(req, compare_execute, NVMFT_DIR_FROM_HOST);

	if (!status && req->nsv->info.compare != NVMFT_CAP_NATIVE)
		req->want_bounce = true;
	return status;
}

/* ---- Write Zeroes ---- */

static void zeroes_end(struct request *req)
{
	counter_add(&req->channel->others, 1);
	nvmft_change_end(req, req->io.status);
}

static void zeroes_fail(struct request *req, nvmft_status status)
{
	req->io.status = status;
	zeroes_end(req);
}

static void zeroes_flush(struct request *req)
{
	if (!req->io.status && nvmft_io_flush_after(req))
		nvmft_io_flush(req, zeroes_end);
	else
		zeroes_end(req);
}

static uint32_t zeroes_total(const struct request *req)
{
	return sqe_lo16(req->pub.sqe.cdw12) + 1u;
}

/* req->arg blocks are done; io.lba is where the next begin. */
static void zeroes_next(struct request *req)
{
	uint32_t left = zeroes_total(req) - req->arg;
	uint32_t block = req->channel->info.block_size;
	nvmft_status status = req->io.status;

	if (!status && left)
		status = nvmft_io_recheck(req, req->io.lba, left);
	if (status || !left) {
		req->io.status = status;
		zeroes_flush(req);
		return;
	}
	if (req->io.blocks > left) {
		req->io.blocks = left;
		req->iov_bounce.len = left * block;
	}
	nvmft_channel_submit(req);
}

static void zeroes_written(struct request *req)
{
	req->arg += req->io.blocks;
	req->io.lba += req->io.blocks;
	zeroes_next(req);
}

/*
 * Ordinary writes, a piece at a time, from one buffer of zeroes. No pool limit: the command has no data buffer of
 * its own, and the piece is small.
 */
static void zeroes_emulate(struct request *req)
{
	const struct nvmft_backend_info *info = &req->channel->info;
	uint64_t len = (uint64_t)req->io.blocks * info->block_size;
	int ret;

	if (len > ZERO_CHUNK)
		len = ZERO_CHUNK;
	if (info->max_bytes && len > info->max_bytes)
		len = info->max_bytes / info->block_size * info->block_size;
	ret = nvmft_pool_get(req_group(req), len, true, &req->iov_bounce);
	if (ret) {
		req->iov_bounce.base = NULL;
		zeroes_fail(req, nvmft_status_from_errno(ret));
		return;
	}
	memset(req->iov_bounce.base, 0, len);
	req->io.op = NVMFT_IO_WRITE;
	req->io.flags = nvmft_io_fua(req);
	req->io.iov = &req->iov_bounce;
	req->io.iovcnt = 1;
	req->io.blocks = (uint32_t)(len / info->block_size);
	req->arg = 0;
	req->next = zeroes_written;
	zeroes_next(req);
}

static void zeroes_start(struct request *req)
{
	if (req->io.status) {
		zeroes_end(req);
		return;
	}
	if (req->channel->info.write_zeroes != NVMFT_CAP_NATIVE) {
		/* Writes to a zone that are refused half-way cannot be done again. */
		if (req->channel->info.csi == NVME_CSI_ZNS)
			zeroes_fail(req, SC_DNR(INVALID_OPCODE));
		else
			zeroes_emulate(req);
		return;
	}
	req->io.op = NVMFT_IO_WRITE_ZEROES;
	req->io.flags = nvmft_io_fua(req);
	if (req->pub.sqe.cdw12 & htole32(RW_DEAC))
		req->io.flags |= NVMFT_IO_DEALLOC_OK;
	req->io.iov = NULL;
	req->io.iovcnt = 0;
	req->next = zeroes_flush;
	nvmft_channel_submit(req);
}

static void zeroes_execute(struct request *req)
{
	if (nvmft_io_begin(req, true))
		nvmft_change_begin(req, zeroes_start);
}

nvmft_status nvmft_write_zeroes_parse(struct request *req)
{
	nvmft_status status = nvmft_io_parse_range(req);

	if (!status)
		status = nvmft_io_parse_protected(req);
	return status ? status : nvmft_req_no_data(req, zeroes_execute);
}
