/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dataset Management (NVM Command Set 1.0, 3.2.3): Deallocate. The other attributes are hints, which are taken
 * and not used.
 */
#include "io_cmd.h"
#include "sgl.h"

#define DSM_AD htole32(1u << 2)
#define DSM_MAX_RANGES 256u

static uint32_t dsm_ranges(const struct request *req)
{
	return (le32toh(req->pub.sqe.cdw10) & 0xff) + 1;
}

/* Sets io.lba and io.blocks to range @i. The data may be memory that the host still writes to: read once, then check. */
static void dsm_range(struct request *req, uint32_t i)
{
	struct nvme_dsm_range range = {0};

	nvmft_req_copy_in(req, i * sizeof(range), &range, sizeof(range));
	req->io.lba = le64toh(range.slba);
	req->io.blocks = le32toh(range.nlb);
}

static void dsm_end(struct request *req)
{
	counter_add(&req->channel->others, 1);
	nvmft_change_end(req, req->io.status);
}

/* req->arg is the next range. */
static void dsm_next(struct request *req)
{
	nvmft_status status = req->io.status;

	for (; !status && req->arg < dsm_ranges(req); req->arg++) {
		dsm_range(req, req->arg);
		status = nvmft_io_recheck(req, req->io.lba, req->io.blocks);
		if (!status && req->io.blocks)
			break;
	}
	req->io.status = status;
	if (status || req->arg == dsm_ranges(req)) {
		dsm_end(req);
		return;
	}
	req->arg++;
	nvmft_channel_submit(req);
}

static void dsm_start(struct request *req)
{
	req->io.op = NVMFT_IO_DEALLOCATE;
	req->io.flags = 0;
	req->io.iov = NULL;
	req->io.iovcnt = 0;
	req->arg = 0;
	req->next = dsm_next;
	dsm_next(req);
}

/* No range is touched when one of them is out of bounds. */
static nvmft_status dsm_check(struct request *req)
{
	nvmft_status status = 0;
	uint32_t i;

	for (i = 0; i < dsm_ranges(req) && !status; i++) {
		dsm_range(req, i);
		status = nvmft_io_recheck(req, req->io.lba, req->io.blocks);
	}
	return status;
}

static void dsm_execute(struct request *req)
{
	bool deallocate = req->pub.sqe.cdw11 & DSM_AD;
	nvmft_status status;

	req->io.lba = 0;
	req->io.blocks = 0;
	if (!nvmft_io_begin(req, deallocate))
		return;
	status = dsm_check(req);
	if (!status && deallocate && req->channel->info.deallocate == NVMFT_CAP_NATIVE) {
		nvmft_change_begin(req, dsm_start);
		return;
	}
	counter_add(&req->channel->others, 1);
	nvmft_io_end(req, status);
}

/*
 * Bytes that the host sends: Linux sends a whole list of 256 ranges always, and the command says how many count. More than
 * that is no list of ranges.
 */
static uint64_t dsm_bytes(const struct request *req)
{
	uint64_t needed = (uint64_t)dsm_ranges(req) * sizeof(struct nvme_dsm_range);
	uint64_t sent = nvmft_sgl_length(req);

	return sent > needed && sent <= DSM_MAX_RANGES * sizeof(struct nvme_dsm_range) ? sent : needed;
}

nvmft_status nvmft_dsm_parse(struct request *req)
{
	if (!nvmft_io_parse_ns(req))
		return req_error(req, nvmft_io_no_ns(req), SQE_LOC(nsid));
	if (req->pub.sqe.cdw11 & DSM_AD) {
		nvmft_status status = nvmft_io_parse_protected(req);

		if (status)
			return status;
	}
	return nvmft_req_data(req, dsm_execute, NVMFT_DIR_FROM_HOST, dsm_bytes(req));
}
