/* SPDX-License-Identifier: BSD-3-Clause */
#include "log_page.h"

/* Error Information log (Base 2.0, figure 206): a ring of the last errors of a controller, made at the first one. */

/* Errors of I/O queues that travel to the controller at once. A host that makes errors faster loses some. */
#define RECORDS_IN_FLIGHT_MAX CTRL_ERROR_LOG_ENTRIES

struct error_record {
	struct nvmft_call call;
	struct nvmft_ctrl *ctrl;
	struct nvme_error_log_page entry;
};

static uint64_t first_lba(const struct request *req)
{
	switch (req->pub.sqe.opcode) {
	case NVMFT_CMD_WRITE:
	case NVMFT_CMD_READ:
	case NVMFT_CMD_COMPARE:
	case NVMFT_CMD_WRITE_ZEROES:
		return (uint64_t)le32toh(req->pub.sqe.cdw11) << 32 | le32toh(req->pub.sqe.cdw10);
	default:
		return 0;
	}
}

static void fill_entry(struct nvme_error_log_page *entry, const struct request *req, nvmft_status status)
{
	const struct nvmft_queue *queue = req->pub.queue;

	memset(entry, 0, sizeof(*entry));
	entry->sqid = htole16(queue->qid);
	entry->cmdid = req->pub.sqe.cid;
	entry->status_field = htole16((uint16_t)(status << 1));
	entry->parm_error_location = htole16(req->error_loc);
	entry->trtype = queue->port->ops.trtype;
	if (req->pub.sqe.opcode == NVMFT_OPC_FABRICS)
		return;
	entry->nsid = req->pub.sqe.nsid;
	if (queue->qid != 0)
		entry->lba = htole64(first_lba(req));
}

/* Compare Failure and Access Denied are among the media statuses, but no data is lost. */
static bool media_error(unsigned int status)
{
	unsigned int code = status & 0xff;

	return (status >> 8 & 7) == NVME_SCT_MEDIA && code != NVME_SC_COMPARE_FAILED && code != NVME_SC_ACCESS_DENIED;
}

static void add(struct nvmft_ctrl *ctrl, const struct nvme_error_log_page *entry)
{
	struct error_log *log = &ctrl->errors;
	struct nvme_error_log_page *slot;

	if (ctrl->state != CTRL_LIVE)
		return;
	log->count++;
	log->media += media_error(le16toh(entry->status_field) >> 1);
	if (!log->entries)
		log->entries = calloc(CTRL_ERROR_LOG_ENTRIES, sizeof(*log->entries));
	if (!log->entries)
		return;
	slot = &log->entries[log->count % CTRL_ERROR_LOG_ENTRIES];
	*slot = *entry;
	slot->error_count = htole64(log->count);
}

static void record_arrived(struct nvmft_call *call)
{
	struct error_record *record = container_of(call, struct error_record, call);

	add(record->ctrl, &record->entry);
	atomic_fetch_sub_explicit(&record->ctrl->error_records, 1, memory_order_relaxed);
	nvmft_ctrl_put(record->ctrl);
	free(record);
}

static void send_record(struct nvmft_ctrl *ctrl, const struct nvme_error_log_page *entry)
{
	struct error_record *record = NULL;

	if (atomic_fetch_add_explicit(&ctrl->error_records, 1, memory_order_relaxed) < RECORDS_IN_FLIGHT_MAX)
		record = malloc(sizeof(*record));
	if (!record) {
		atomic_fetch_sub_explicit(&ctrl->error_records, 1, memory_order_relaxed);
		return;
	}
	record->call.fn = record_arrived;
	record->ctrl = ctrl;
	record->entry = *entry;
	/* The queue may be gone, and its reference with it, before the record arrives. */
	atomic_fetch_add(&ctrl->refs, 1);
	nvmft_poll_group_call(ctrl->group, &record->call);
}

void nvmft_error_log_record(struct request *req, nvmft_status status)
{
	struct nvmft_ctrl *ctrl = req->pub.queue->ctrl;
	struct nvme_error_log_page entry;

	if (!ctrl)
		return;
	fill_entry(&entry, req, status);
	if (req->pub.queue->group == ctrl->group)
		add(ctrl, &entry);
	else
		send_record(ctrl, &entry);
}

void nvmft_error_log_fini(struct nvmft_ctrl *ctrl)
{
	free(ctrl->errors.entries);
	ctrl->errors.entries = NULL;
}

/* Newest first. */
void nvmft_error_log_page(struct page_window *w)
{
	const struct error_log *log = &req_ctrl(w->req)->errors;

	for (uint64_t i = 0; log->entries && i < CTRL_ERROR_LOG_ENTRIES && i < log->count; i++) {
		uint64_t slot = (log->count - i) % CTRL_ERROR_LOG_ENTRIES;

		nvmft_page_put(w, &log->entries[slot], sizeof(log->entries[slot]));
	}
}
