/* SPDX-License-Identifier: BSD-3-Clause */
#include "log_page.h"

/* SMART / Health Information (Base 2.0, figure 207). What wears out in a device does not wear out here. */

#define DATA_UNIT_BLOCKS 1000u /* of 512 bytes, rounded up */
#define NS_PER_HOUR 3600000000000ull

/* A little-endian 128-bit counter. */
static void put128(uint8_t field[16], uint64_t value)
{
	uint64_t le = htole64(value);

	memcpy(field, &le, sizeof(le));
}

static uint64_t data_units(uint64_t blocks)
{
	return blocks / DATA_UNIT_BLOCKS + (blocks % DATA_UNIT_BLOCKS != 0);
}

static uint64_t power_on_hours(const struct nvmft_ctrl *ctrl)
{
	return (nvmft_group_now(ctrl->group) - ctrl->subsys->target->created_ns) / NS_PER_HOUR;
}

static void sum_stats(const struct nvmft_ctrl *ctrl, uint32_t nsid, struct nvmft_namespace_stats *sum)
{
	const struct ns_view *nsv = ctrl_ns(ctrl, nsid);

	if (nsv)
		nvmft_ns_view_add_stats(nsv, sum);
	else if (ctrl->sv)
		nvmft_subsystem_sum_stats(ctrl->sv, sum);
}

void nvmft_smart_log_page(struct page_window *w)
{
	const struct nvmft_ctrl *ctrl = req_ctrl(w->req);
	struct nvmft_namespace_stats sum = {0};
	struct nvme_smart_log log = {
		.temperature = {ADMIN_TEMPERATURE_K & 0xff, ADMIN_TEMPERATURE_K >> 8},
		.avail_spare = 100,
		.spare_thresh = 10,
	};

	sum_stats(ctrl, le32toh(w->req->pub.sqe.nsid), &sum);
	put128(log.data_units_read, data_units(sum.read_blocks));
	put128(log.data_units_written, data_units(sum.written_blocks));
	put128(log.host_reads, sum.reads);
	put128(log.host_writes, sum.writes);
	put128(log.power_cycles, 1);
	put128(log.power_on_hours, power_on_hours(ctrl));
	put128(log.media_errors, ctrl->errors.media);
	put128(log.num_err_log_entries, ctrl->errors.count);
	nvmft_page_put(w, &log, sizeof(log));
}
