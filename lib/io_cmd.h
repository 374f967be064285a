/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LIB_IO_CMD_H
#define NVMFT_LIB_IO_CMD_H

#include "channel.h"
#include "controller.h"
#include "fused.h"
#include "request.h"

/* CDW12 of Read, Write, Compare and Write Zeroes (NVM Command Set 1.0, 3.2). */
#define RW_FUA (1u << 30)
#define RW_DEAC (1u << 25)

/*
 * The life of an I/O command behind its parsing:
 *
 *   nvmft_io_begin()   take the namespace's channel, and if the command is late look the namespace up again
 *   nvmft_channel_submit()   once or several times, each followed by req->next
 *   nvmft_io_end()     give the channel back and complete
 */

/* Namespace that a command names, as of this pass; NULL: there is none (any more). */
static inline const struct ns_view *nvmft_io_ns(struct request *req)
{
	const struct nvmft_queue *queue = req->pub.queue;
	const struct ns_view *nsv = likely(queue->sv) ? nvmft_view_ns(queue->sv, le32toh(req->pub.sqe.nsid)) : NULL;

	return likely(nsv) && nvmft_queue_sees(queue, nsv) ? nsv : NULL;
}

/*
 * The same while parsing. Execution does not look again unless it is late, and the view has changed since.
 */
static inline const struct ns_view *nvmft_io_parse_ns(struct request *req)
{
	req->nsv = nvmft_io_ns(req);
	return req->nsv;
}

static inline bool nvmft_io_in_range(const struct ns_view *nsv, uint64_t lba, uint64_t blocks)
{
	return blocks <= nsv->info.blocks && lba <= nsv->info.blocks - blocks;
}

/* io_cmd.c */

/* Sets req->nsv and req->channel; checks io.lba and io.blocks again. @change: the command changes blocks. Returns 0 or
 * a status. */
nvmft_status nvmft_io_open(struct request *req, bool change);
/* The same; false: the command was completed with what was wrong. */
bool nvmft_io_begin(struct request *req, bool change);
void nvmft_io_end(struct request *req, nvmft_status status);

/* Why nvmft_io_ns() found nothing. */
nvmft_status nvmft_io_no_ns(const struct request *req);

/* For commands of several steps: 0, or why the next step must not be done. */
nvmft_status nvmft_io_recheck(struct request *req, uint64_t lba, uint64_t blocks);

/*
 * A command that changes blocks begins with nvmft_change_begin() and ends with nvmft_change_end(). Between them no
 * fused pair runs on the channel; while one does, the command waits and @start is called later, as req->next with
 * io.status set.
 */
void nvmft_change_begin(struct request *req, void (*start)(struct request *req));
void nvmft_change_end(struct request *req, nvmft_status status);

nvmft_status nvmft_io_check_data(const struct request *req);
/* Point io at the command's data, or at an aligned copy of it. Returns 0 or a status. */
nvmft_status nvmft_io_data(struct request *req);
/* The same when the length was checked already. */
nvmft_status nvmft_io_buffers(struct request *req);
/* Afterwards: what the device wrote to the copy is the command's data. */
void nvmft_io_buffers_back(struct request *req);

/* The command asks to be durable, or the host turned the write cache off. */
static inline bool nvmft_io_durable(const struct request *req)
{
	return req->pub.sqe.cdw12 & htole32(RW_FUA) ||
	       atomic_load_explicit(&req->pub.queue->ctrl->write_through, memory_order_relaxed);
}

/* FUA of a command whose data went to a cache that only a Flush empties. */
static inline bool nvmft_io_flush_after(const struct request *req)
{
	const struct nvmft_backend_info *info = &req->channel->info;

	return unlikely(nvmft_io_durable(req)) && info->fua != NVMFT_CAP_NATIVE && info->volatile_cache;
}

/* NVMFT_IO_FUA if the command asks for it and the backend takes it. */
static inline uint32_t nvmft_io_fua(const struct request *req)
{
	if (likely(!nvmft_io_durable(req)) || req->channel->info.fua != NVMFT_CAP_NATIVE)
		return 0;
	return NVMFT_IO_FUA;
}

void nvmft_io_flush(struct request *req, void (*next)(struct request *req));

/* Write and Compare from the point where the channel is held; fused.c uses them, too. */
void nvmft_write_start(struct request *req);
void nvmft_compare_start(struct request *req);

nvmft_status nvmft_io_parse_rw(struct request *req, void (*execute)(struct request *), enum nvmft_dir dir);
/* For commands of other lengths, which the caller has checked, when req->nsv is set. */
nvmft_status nvmft_io_parse_data(struct request *req, void (*execute)(struct request *), enum nvmft_dir dir,
				 uint64_t len);
/* Sets io.lba and io.blocks from CDW10..12, and req->nsv. */
nvmft_status nvmft_io_parse_range(struct request *req);
/* req->nsv is set: status when it cannot be written to. */
nvmft_status nvmft_io_parse_protected(struct request *req);

/* emulate.c: Compare and Write Zeroes, done by the backend or in its place */
nvmft_status nvmft_compare_parse(struct request *req);
nvmft_status nvmft_write_zeroes_parse(struct request *req);

/* dsm.c */
nvmft_status nvmft_dsm_parse(struct request *req);

#endif
