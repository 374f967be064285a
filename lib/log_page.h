/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LIB_LOG_PAGE_H
#define NVMFT_LIB_LOG_PAGE_H

#include "admin.h"

/*
 * A log page is produced from its start to its end by nvmft_page_put(); what lies in the part that the host asked for
 * is copied to it, the rest costs nothing. So no page is ever held in memory, and none can be read beyond its end.
 */
struct page_window {
	struct request *req;
	uint64_t offset; /* LPO */
	uint64_t pos;    /* what has been produced */
};

/* Command set that a page is about. */
static inline uint8_t nvmft_log_csi(const struct request *req)
{
	return (uint8_t)(le32toh(req->pub.sqe.cdw14) >> 24);
}

void nvmft_page_put(struct page_window *w, const void *src, size_t len);

/* Bytes that precede the window or follow it need not be made at all. */
static inline bool page_wants(const struct page_window *w, uint64_t len)
{
	return w->pos < w->offset + w->req->pub.data_len && w->pos + len > w->offset;
}

/* error_log.c */
void nvmft_error_log_page(struct page_window *w);
/* smart_log.c */
void nvmft_smart_log_page(struct page_window *w);
/* effects_log.c */
void nvmft_effects_log_page(struct page_window *w);
/* discovery_log.c */
uint64_t nvmft_discovery_log_size(struct request *req);
void nvmft_discovery_log_page(struct page_window *w);

#endif
