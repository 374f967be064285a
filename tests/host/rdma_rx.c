/* SPDX-License-Identifier: BSD-3-Clause */
/* What comes to a host over RDMA: events of connections, completions, responses. */
#include "rdma.h"

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "priv.h"

#define BATCH 16

/* ---- receives ---- */

static void post_receive(struct th_rdma *r, uint32_t i)
{
	struct ibv_sge sge = {(uintptr_t)th_rdma_response_at(r, i), 64, r->mr->lkey};
	struct ibv_recv_wr *bad, wr = {
					 .wr_id = (uint64_t)i << TH_WR_SHIFT | TH_WR_RECV,
					 .sg_list = &sge,
					 .num_sge = 1,
				 };

	assert_int_equal(ibv_post_recv(r->id->qp, &wr, &bad), 0);
}

void th_rdma_fill_receives(struct th_rdma *r)
{
	for (uint32_t i = 0; i < r->ask.receives; i++)
		post_receive(r, i);
}

void th_rdma_post_receive(struct th_rdma *r)
{
	assert_true(r->ask.keep_receives);
	post_receive(r, 0);
}

static void keep_response(struct th_rdma *r, const struct nvmft_cqe *cqe)
{
	r->cqes[r->ncqes++ % TH_RDMA_RESPONSES] = *cqe;
	assert_true(r->ncqes - r->taken <= TH_RDMA_RESPONSES);
}

/* A response is a completion entry and nothing else (NVMe RDMA Transport 1.0, 3.2). */
static void received(struct th_rdma *r, const struct ibv_wc *wc)
{
	uint32_t i = (uint32_t)(wc->wr_id >> TH_WR_SHIFT);
	struct nvmft_cqe cqe;

	assert_int_equal(wc->byte_len, sizeof(cqe));
	memcpy(&cqe, th_rdma_response_at(r, i), sizeof(cqe));
	assert_int_equal(cqe.sqid, 0);
	assert_int_equal(le16toh(cqe.status) & 1, 0);
	if (!r->ask.keep_receives)
		post_receive(r, i);
	if (r->queue)
		th_rdma_responded(r, wc, &cqe);
	else
		keep_response(r, &cqe);
}

/* ---- completions ---- */

static void completed(struct th_rdma *r, const struct ibv_wc *wc)
{
	if (wc->status != IBV_WC_SUCCESS) {
		if (wc->status != IBV_WC_WR_FLUSH_ERR && !r->wc_status)
			r->wc_status = wc->status;
		r->ended = true;
		return;
	}
	switch (wc->wr_id & TH_WR_MASK) {
	case TH_WR_RECV:
		received(r, wc);
		break;
	case TH_WR_SEND:
		r->sent++;
		if (r->queue)
			th_rdma_slot_done(r, &r->slots[wc->wr_id >> TH_WR_SHIFT]);
		break;
	default:
		r->bound++;
	}
}

static int poll_completions(struct th_rdma *r)
{
	struct ibv_wc wc[BATCH];
	int n, events = 0;

	if (!r->cq)
		return 0;
	while ((n = ibv_poll_cq(r->cq, BATCH, wc)) > 0) {
		for (int i = 0; i < n; i++)
			completed(r, &wc[i]);
		events += n;
	}
	assert_true(n >= 0);
	return events;
}

/* ---- events ---- */

static void private_data(struct th_rdma *r, const struct rdma_cm_event *event)
{
	const uint8_t *data = event->param.conn.private_data;

	if (!data || event->param.conn.private_data_len < 4)
		return;
	assert_int_equal(get16(data), 0);
	if (event->event == RDMA_CM_EVENT_REJECTED)
		r->sts = get16(data + 2);
	else
		r->crqsize = get16(data + 2);
}

static void happened(struct th_rdma *r, const struct rdma_cm_event *event)
{
	r->event = event->event;
	switch (event->event) {
	case RDMA_CM_EVENT_ADDR_RESOLVED:
	case RDMA_CM_EVENT_ROUTE_RESOLVED:
		break;
	case RDMA_CM_EVENT_CONNECT_RESPONSE:
	case RDMA_CM_EVENT_ESTABLISHED:
		private_data(r, event);
		break;
	case RDMA_CM_EVENT_REJECTED:
		r->rejected = true;
		private_data(r, event);
		r->ended = true;
		break;
	default:
		r->ended = true;
	}
}

static int poll_events(struct th_rdma *r)
{
	struct rdma_cm_event *event;
	int n = 0;

	while (rdma_get_cm_event(r->channel, &event) == 0) {
		happened(r, event);
		rdma_ack_cm_event(event);
		n++;
	}
	return n;
}

/* Responses that came before the end count. */
int th_rdma_receive(struct th_rdma *r)
{
	int n = poll_events(r);

	return n + poll_completions(r);
}
