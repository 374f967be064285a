/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rdma.h"

/*
 * Receives. The SQE of a capsule lands in a header of its own, the data behind it at the start of a buffer of the
 * group's data memory, as a device wants it. A command whose data came in the capsule keeps that buffer and the
 * receive gets a new one: nothing is copied, and a receive never waits for a command.
 */

#define SQE_LEN ((uint32_t)sizeof(struct nvmft_sqe))
#define HEADER_PAGE 4096u
#define HEADERS_PER_PAGE (HEADER_PAGE / SQE_LEN)
#define POST_BATCH 32u
#define WR_RX_SHIFT 2
#define WR_SLOT_SHIFT 18

static uint64_t slot_wr_id(const struct rdma_rx *rx, const struct rdma_slot *slot)
{
	return (uint64_t)(slot - rx->slots) << WR_SLOT_SHIFT | (uint64_t)rx->id << WR_RX_SHIFT | RDMA_WR_RECV;
}

/* ---- posting ---- */

uint32_t nvmft_rdma_rx_sge(const struct rdma_rx *rx)
{
	return rx->data_len ? 2 : 1;
}

/*
 * While I/O has all the memory that it may have, a few receives are posted all the same: a Keep Alive, or the Connect
 * of one more queue, needs none.
 */
static int slot_fill(struct rdma_rx *rx, struct rdma_slot *slot)
{
	struct nvmft_poll_group *group = rx->dev->rg->group;
	int ret;

	if (slot->data.base || !rx->data_len)
		return 0;
	ret = nvmft_buffer_get(group, rx->data_len, false, &slot->data);
	if (ret == 0)
		rx->beyond = 0;
	if (ret != -EAGAIN || rx->posted - rx->lost >= RDMA_RX_RESERVE || rx->beyond >= RDMA_RX_RESERVE)
		return ret;
	ret = nvmft_buffer_get(group, rx->data_len, true, &slot->data);
	rx->beyond += ret == 0;
	return ret;
}

static void slot_wr(const struct rdma_rx *rx, struct rdma_slot *slot, struct ibv_recv_wr *wr, struct ibv_sge *sge)
{
	sge[0] = (struct ibv_sge){(uintptr_t)slot->header.base, SQE_LEN, rdma_lkey(rx->dev, &slot->header)};
	if (rx->data_len)
		sge[1] = (struct ibv_sge){(uintptr_t)slot->data.base, rx->data_len, rdma_lkey(rx->dev, &slot->data)};
	*wr = (struct ibv_recv_wr){
		.wr_id = slot_wr_id(rx, slot),
		.sg_list = sge,
		.num_sge = (int)nvmft_rdma_rx_sge(rx),
	};
}

static int rx_post_batch(struct rdma_rx *rx)
{
	struct ibv_recv_wr wr[POST_BATCH], *bad = NULL;
	struct ibv_sge sge[POST_BATCH][2];
	uint32_t n = 0;
	struct rdma_slot *slot = SLIST_FIRST(&rx->todo);
	int ret = 0;

	for (; slot && n < POST_BATCH; slot = SLIST_NEXT(slot, link)) {
		ret = slot_fill(rx, slot);
		if (ret)
			break;
		slot_wr(rx, slot, &wr[n], sge[n]);
		if (n)
			wr[n - 1].next = &wr[n];
		n++;
	}
	if (n) {
		int failed = rx->shared ? ibv_post_srq_recv(rx->srq, wr, &bad) : ibv_post_recv(rx->qp, wr, &bad);

		if (failed) {
			/* Some drivers name none if they refuse the whole queue. */
			n = bad ? (uint32_t)(bad - wr) : 0;
			ret = -failed;
		}
	}
	rx->posted += n;
	rx->ntodo -= n;
	while (n-- > 0) {
		SLIST_FIRST(&rx->todo)->epoch = rx->epoch;
		SLIST_REMOVE_HEAD(&rx->todo, link);
	}
	return ret;
}

void nvmft_rdma_rx_post(struct rdma_rx *rx)
{
	int ret = 0;

	if ((!rx->shared && !rx->qp) || rx->dev->dead)
		return;
	while (!SLIST_EMPTY(&rx->todo) && !ret)
		ret = rx_post_batch(rx);
	/* No memory, which comes back with I/O, or a device in trouble, which ends its connections. */
	if (ret)
		nvmft_timer_arm(rx->dev->rg->group, &rx->retry, RDMA_RX_RETRY_MS * RDMA_NS_PER_MS, 0);
}

static void retry(struct nvmft_timer *timer)
{
	nvmft_rdma_rx_post(rdma_container_of(timer, struct rdma_rx, retry));
}

static uint32_t rx_wanted(const struct rdma_rx *rx)
{
	return rdma_min(rx->asked, rx->max) + rx->lost;
}

static void todo_add(struct rdma_rx *rx, struct rdma_slot *slot)
{
	SLIST_INSERT_HEAD(&rx->todo, slot, link);
	rx->ntodo++;
}

/* A receive that is back: again, unless connections are fewer now. */
static void slot_back(struct rdma_rx *rx, struct rdma_slot *slot)
{
	rx->posted--;
	if (slot->epoch != rx->epoch)
		rx->lost = rdma_min(rx->lost, --rx->old);
	if (rx->posted + rx->ntodo < rx_wanted(rx)) {
		todo_add(rx, slot);
		return;
	}
	if (slot->data.base)
		nvmft_buffer_put(rx->dev->rg->group, &slot->data);
	slot->data.base = NULL;
	SLIST_INSERT_HEAD(&rx->spare, slot, link);
}

/* ---- what arrives ---- */

/* That of a connection which is gone: shared ones are still there. */
static struct rdma_rx *rx_of(struct rdma_dev *dev, const struct rdma_conn *conn, uint64_t wr_id)
{
	uint16_t id = (uint16_t)(wr_id >> WR_RX_SHIFT);
	struct rdma_rx *rx;

	if (conn && conn->rx->id == id)
		return conn->rx;
	LIST_FOREACH (rx, &dev->rxs, link)
		if (rx->id == id)
			return rx;
	return NULL;
}

static struct nvmft_request *request_get(struct rdma_conn *conn)
{
	struct nvmft_request *request;
	int error;

	request = nvmft_request_get(conn->queue, &error);
	if (!request)
		nvmft_rdma_conn_dead(conn, error == -EOVERFLOW ? "more commands than the queue has entries"
							       : "no memory for a command");
	return request;
}

static void capsule(struct rdma_conn *conn, struct rdma_slot *slot, uint32_t len)
{
	struct nvmft_request *request;
	struct rdma_req *rreq;

	if (len < SQE_LEN) {
		nvmft_rdma_conn_dead(conn, "a capsule is shorter than a command");
		return;
	}
	request = request_get(conn);
	if (!request)
		return;
	rreq = rdma_req_of(request);
	rreq->request = request;
	rreq->where = RDMA_REQ_CORE;
	memcpy(&request->sqe, slot->header.base, SQE_LEN);
	request->in_capsule_len = len - SQE_LEN;
	request->segment_status = nvmft_rdma_parse_sgl(request->sqe.dptr, slot->data.base, len - SQE_LEN, &rreq->sgl,
						       &request->segment_len);
	if (request->in_capsule_len && request->sqe.dptr[15] == RDMA_SGL_OFFSET) {
		request->given = slot->data;
		slot->data.base = NULL;
	}
	nvmft_request_start(request);
}

void nvmft_rdma_received(struct rdma_dev *dev, const struct ibv_wc *wc)
{
	struct rdma_conn *conn = nvmft_rdma_dev_conn(dev, wc->qp_num);
	struct rdma_rx *rx = rx_of(dev, conn, wc->wr_id);
	struct rdma_slot *slot;

	if (!rx)
		return;
	slot = &rx->slots[wc->wr_id >> WR_SLOT_SHIFT];
	if (conn && wc->status != IBV_WC_SUCCESS)
		nvmft_rdma_conn_dead(conn, wc->status == IBV_WC_WR_FLUSH_ERR ? NULL : ibv_wc_status_str(wc->status));
	else if (conn && conn->state != RDMA_CONN_DRAINING)
		capsule(conn, slot, wc->byte_len);
	slot_back(rx, slot);
}

/* ---- from the first connection to the last ---- */

static int headers_add(struct rdma_rx *rx)
{
	struct nvmft_iov *headers = realloc(rx->headers, (rx->nheaders + 1) * sizeof(*headers));
	int ret;

	if (!headers)
		return -ENOMEM;
	rx->headers = headers;
	ret = nvmft_buffer_get(rx->dev->rg->group, HEADER_PAGE, true, &headers[rx->nheaders]);
	rx->nheaders += ret == 0;
	return ret;
}

static struct rdma_slot *slot_new(struct rdma_rx *rx)
{
	struct rdma_slot *slot = &rx->slots[rx->nslots];
	uint32_t at = rx->nslots % HEADERS_PER_PAGE;

	if (rx->nslots == rx->cap || (at == 0 && headers_add(rx)))
		return NULL;
	slot->header = rx->headers[rx->nslots / HEADERS_PER_PAGE];
	slot->header.base = (uint8_t *)slot->header.base + at * SQE_LEN;
	slot->header.len = SQE_LEN;
	rx->nslots++;
	return slot;
}

static struct rdma_slot *slot_take(struct rdma_rx *rx)
{
	struct rdma_slot *slot = SLIST_FIRST(&rx->spare);

	if (!slot)
		return slot_new(rx);
	SLIST_REMOVE_HEAD(&rx->spare, link);
	return slot;
}

/* There are connections more, or one less that may have begun a receive. */
static void rx_fill(struct rdma_rx *rx)
{
	uint32_t wanted = rx_wanted(rx);
	struct rdma_slot *slot;

	if (wanted > rx->reserved && nvmft_rdma_cq_reserve(rx->dev, &rx->dev->receives, wanted - rx->reserved) == 0)
		rx->reserved = wanted;
	wanted = rdma_min(wanted, rx->reserved);
	while (rx->posted + rx->ntodo < wanted && (slot = slot_take(rx)))
		todo_add(rx, slot);
	nvmft_rdma_rx_post(rx);
}

static int rx_srq(struct rdma_rx *rx)
{
	struct ibv_srq_init_attr attr = {.attr = {.max_wr = rx->cap, .max_sge = nvmft_rdma_rx_sge(rx)}};

	rx->srq = ibv_create_srq(rx->dev->pd, &attr);
	return rx->srq ? 0 : -errno;
}

/* One that has too many connections, or may have lost too many receives, gets no new ones: it ends with those it has.
 */
static bool rx_takes_more(const struct rdma_rx *rx)
{
	return rx->users < rx->max / RDMA_RX_SHARE && rx->lost <= rx->max / RDMA_RX_SHARE;
}

/* What is lost when no more connections come, and then each that there is. */
static uint32_t most_lost(uint32_t max)
{
	return 2 * (max / RDMA_RX_SHARE) + 1;
}

static void rx_size(struct rdma_rx *rx, const struct rdma_port *port, uint32_t depth)
{
	uint32_t room = (uint32_t)rx->dev->attr.max_srq_wr;

	if (!rx->shared) {
		rx->cap = rx->max = rdma_min(depth, (uint32_t)rx->dev->attr.max_qp_wr);
		return;
	}
	rx->max = rx->admin ? RDMA_ADMIN_RECEIVES : port->opts.receives;
	while (rx->max > 1 && rx->max + most_lost(rx->max) > room)
		rx->max -= rx->max / 8 + 1;
	rx->cap = rx->max + most_lost(rx->max);
}

/* A number that no other has: those of gone receive queues may be in completions still. */
static uint16_t rx_id(struct rdma_dev *dev)
{
	struct rdma_rx *rx;

	do {
		dev->next_rx++;
		LIST_FOREACH (rx, &dev->rxs, link)
			if (rx->id == dev->next_rx)
				break;
	} while (rx);
	return dev->next_rx;
}

static void rx_free(struct rdma_rx *rx)
{
	struct nvmft_poll_group *group = rx->dev->rg->group;

	nvmft_timer_cancel(group, &rx->retry);
	if (rx->srq)
		ibv_destroy_srq(rx->srq);
	for (uint32_t i = 0; i < rx->nslots; i++)
		if (rx->slots[i].data.base)
			nvmft_buffer_put(group, &rx->slots[i].data);
	for (uint32_t i = 0; i < rx->nheaders; i++)
		nvmft_buffer_put(group, &rx->headers[i]);
	nvmft_rdma_cq_unreserve(&rx->dev->receives, rx->reserved);
	free(rx->headers);
	free(rx->slots);
	free(rx);
}

static int rx_create(struct rdma_dev *dev, const struct rdma_port *port, bool admin, uint32_t depth,
		     struct rdma_rx **out)
{
	struct rdma_rx *rx = calloc(1, sizeof(*rx));
	int ret;

	if (!rx)
		return -ENOMEM;
	rx->dev = dev;
	rx->admin = admin;
	rx->data_len = admin ? RDMA_ADMIN_IN_CAPSULE : port->in_capsule_size;
	/* Not every device has shared receive queues. */
	rx->shared = !port->opts.per_queue_receives && dev->attr.max_srq > 0;
	rx_size(rx, port, depth);
	rx->retry.fn = retry;
	SLIST_INIT(&rx->todo);
	SLIST_INIT(&rx->spare);
	rx->slots = calloc(rx->cap, sizeof(*rx->slots));
	ret = rx->slots ? 0 : -ENOMEM;
	if (!ret && rx->shared)
		ret = rx_srq(rx);
	if (ret) {
		rx_free(rx);
		return ret;
	}
	rx->id = rx_id(dev);
	LIST_INSERT_HEAD(&dev->rxs, rx, link);
	*out = rx;
	return 0;
}

int nvmft_rdma_rx_get(struct rdma_dev *dev, const struct rdma_port *port, bool admin, uint32_t depth,
		      struct rdma_rx **out)
{
	uint32_t data_len = admin ? RDMA_ADMIN_IN_CAPSULE : port->in_capsule_size;
	struct rdma_rx *rx;
	int ret;

	LIST_FOREACH (rx, &dev->rxs, link)
		if (rx->shared && !port->opts.per_queue_receives && rx->admin == admin && rx->data_len == data_len &&
		    rx_takes_more(rx))
			break;
	if (!rx) {
		ret = rx_create(dev, port, admin, depth, &rx);
		if (ret)
			return ret;
	}
	rx->users++;
	rx->asked += depth;
	*out = rx;
	return 0;
}

int nvmft_rdma_rx_start(struct rdma_rx *rx, struct ibv_qp *qp)
{
	if (!rx->shared)
		rx->qp = qp;
	rx_fill(rx);
	return rx->nslots ? 0 : -ENOMEM;
}

void nvmft_rdma_rx_stop(struct rdma_rx *rx)
{
	rx->qp = NULL;
}

void nvmft_rdma_rx_put(struct rdma_rx *rx, uint32_t depth, bool used)
{
	if (--rx->users == 0) {
		LIST_REMOVE(rx, link);
		rx_free(rx);
		return;
	}
	rx->asked -= depth;
	if (used) {
		rx->epoch++;
		rx->old = rx->posted;
		rx->lost = rdma_min(rdma_min(rx->lost + 1, rx->old), rx->cap - rx->max);
	}
	rx_fill(rx);
}
