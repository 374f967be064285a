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
/* wr_id: the shared number of the receives in the low half, that of the slot in the high one. */
#define WR_SLOT_SHIFT 32

/* ---- posting ---- */

uint32_t nvmft_rdma_rx_sge(const struct rdma_rx *rx)
{
	return rx->data_len ? 2 : 1;
}

static void todo_add(struct rdma_rx *rx, struct rdma_slot *slot)
{
	slot->wr.next = rx->todo;
	rx->todo = &slot->wr;
	rx->ntodo++;
}

static uint32_t rx_posted(const struct rdma_rx *rx)
{
	return rx->kept - rx->ntodo - rx->nbare;
}

/*
 * While I/O has all the memory that it may have, a few receives are posted all the same: a Keep Alive, or the Connect
 * of one more queue, needs none.
 */
static int data_get(struct rdma_rx *rx, struct rdma_slot *slot)
{
	struct nvmft_poll_group *group = rx->dev->rg->group;
	uint32_t full = rx->kept - rx->nbare - rx->lost;
	int ret = nvmft_buffer_get(group, rx->data_len, false, &slot->data);

	if (ret == 0)
		rx->beyond = 0;
	if (ret != -EAGAIN || full >= RDMA_RX_RESERVE || rx->beyond >= RDMA_RX_RESERVE)
		return ret;
	ret = nvmft_buffer_get(group, rx->data_len, true, &slot->data);
	rx->beyond += ret == 0;
	return ret;
}

static __attribute__((noinline)) int bare_fill(struct rdma_rx *rx)
{
	struct rdma_slot *slot;

	while ((slot = SLIST_FIRST(&rx->bare))) {
		int ret = data_get(rx, slot);

		if (ret)
			return ret;
		slot->sge[1] =
			(struct ibv_sge){(uintptr_t)slot->data.base, rx->data_len, rdma_lkey(rx->dev, &slot->data)};
		SLIST_REMOVE_HEAD(&rx->bare, link);
		rx->nbare--;
		todo_add(rx, slot);
	}
	return 0;
}

/* @bad: the first that is not; some drivers name none if they refuse the whole chain. */
static void posted_in_part(struct rdma_rx *rx, const struct ibv_recv_wr *bad)
{
	for (; bad && rx->todo != bad; rx->ntodo--)
		rx->todo = rx->todo->next;
}

static int todo_post(struct rdma_rx *rx)
{
	struct ibv_recv_wr *bad = NULL;
	int ret = rx->shared ? ibv_post_srq_recv(rx->srq, rx->todo, &bad) : ibv_post_recv(rx->qp, rx->todo, &bad);

	if (unlikely(ret)) {
		posted_in_part(rx, bad);
		return -ret;
	}
	rx->ntodo = 0;
	rx->todo = NULL;
	return 0;
}

void nvmft_rdma_rx_post(struct rdma_rx *rx)
{
	int ret = 0;

	if ((!rx->shared && !rx->qp) || rx->dev->dead)
		return;
	if (rx->nbare)
		ret = bare_fill(rx);
	if (rx->todo && todo_post(rx))
		ret = -EIO;
	/* No memory, which comes back with I/O, or a device in trouble, which ends its connections. */
	if (unlikely(ret))
		nvmft_timer_arm(rx->dev->rg->group, &rx->retry, RDMA_RX_RETRY_MS * RDMA_NS_PER_MS, 0);
}

static void retry(struct nvmft_timer *timer)
{
	nvmft_rdma_rx_post(rdma_container_of(timer, struct rdma_rx, retry));
}

static void rx_count(struct rdma_rx *rx)
{
	rx->wanted = rdma_min(rx->asked, rx->max) + rx->lost;
}

static void slot_retire(struct rdma_rx *rx, struct rdma_slot *slot)
{
	rx->kept--;
	if (slot->data.base)
		nvmft_buffer_put(rx->dev->rg->group, &slot->data);
	slot->data.base = NULL;
	SLIST_INSERT_HEAD(&rx->spare, slot, link);
}

/* It was posted before a connection died, and is not one that was lost. */
static __attribute__((noinline)) void slot_survived(struct rdma_rx *rx, struct rdma_slot *slot)
{
	slot->epoch = rx->epoch;
	rx->lost = rdma_min(rx->lost, --rx->old);
	rx_count(rx);
}

/* What is not posted at the death of a connection cannot be lost with it. */
static void slots_unposted(struct rdma_rx *rx)
{
	struct rdma_slot *slot;

	for (struct ibv_recv_wr *wr = rx->todo; wr; wr = wr->next)
		rdma_container_of(wr, struct rdma_slot, wr)->epoch = rx->epoch;
	SLIST_FOREACH (slot, &rx->bare, link)
		slot->epoch = rx->epoch;
}

static void bare_add(struct rdma_rx *rx, struct rdma_slot *slot)
{
	SLIST_INSERT_HEAD(&rx->bare, slot, link);
	rx->nbare++;
}

/* To be posted, and maybe to be given a data buffer before. */
static void slot_again(struct rdma_rx *rx, struct rdma_slot *slot)
{
	if (likely(slot->data.base || !rx->data_len))
		todo_add(rx, slot);
	else
		bare_add(rx, slot);
}

/* A receive that is back: again, unless connections are fewer now. */
static void slot_back(struct rdma_rx *rx, struct rdma_slot *slot)
{
	if (unlikely(slot->epoch != rx->epoch))
		slot_survived(rx, slot);
	if (likely(rx->kept <= rx->wanted))
		slot_again(rx, slot);
	else
		slot_retire(rx, slot);
}

/* ---- what arrives ---- */

/* That of a connection which is gone: shared ones are still there. */
static __attribute__((noinline)) struct rdma_rx *rx_find(const struct rdma_dev *dev, uint16_t id)
{
	struct rdma_rx *rx;

	LIST_FOREACH (rx, &dev->rxs, link)
		if (rx->id == id)
			break;
	return rx;
}

static __attribute__((noinline)) void no_request(struct rdma_conn *conn, int error)
{
	nvmft_rdma_conn_dead(conn, error == -EOVERFLOW ? "more commands than the queue has entries"
						       : "no memory for a command");
}

static void capsule(struct rdma_conn *conn, struct rdma_slot *slot, uint32_t len)
{
	struct nvmft_request *request;
	struct rdma_req *rreq;
	int error;

	if (unlikely(len < SQE_LEN)) {
		nvmft_rdma_conn_dead(conn, "a capsule is shorter than a command");
		return;
	}
	request = nvmft_request_get(conn->queue, &error);
	if (unlikely(!request)) {
		no_request(conn, error);
		return;
	}
	rreq = rdma_req_of(request);
	rreq->request = request;
	memcpy(&request->sqe, (const void *)(uintptr_t)slot->sge[0].addr, SQE_LEN);
	request->in_capsule_len = len - SQE_LEN;
	request->segment_status =
		rdma_parse_sgl(request->sqe.dptr, slot->data.base, len - SQE_LEN, &rreq->sgl, &request->segment_len);
	if (len > SQE_LEN && request->sqe.dptr[15] == RDMA_SGL_OFFSET) {
		request->given = slot->data;
		slot->data.base = NULL;
	}
	nvmft_request_start(request);
}

static __attribute__((noinline)) void received_last(struct rdma_conn *conn, enum ibv_wc_status status)
{
	if (status != IBV_WC_SUCCESS)
		nvmft_rdma_conn_dead(conn, status == IBV_WC_WR_FLUSH_ERR ? NULL : ibv_wc_status_str(status));
}

static void received(struct rdma_dev *dev, const struct ibv_wc *wc)
{
	struct rdma_conn *conn = rdma_dev_conn(dev, wc->qp_num);
	struct rdma_slot *slot;
	struct rdma_rx *rx;

	if (likely(conn && conn->rx->id == (uint16_t)wc->wr_id))
		rx = conn->rx;
	else if (!(rx = rx_find(dev, (uint16_t)wc->wr_id)))
		return;
	slot = &rx->slots[wc->wr_id >> WR_SLOT_SHIFT];
	if (likely(conn && wc->status == IBV_WC_SUCCESS && conn->state != RDMA_CONN_DRAINING))
		capsule(conn, slot, wc->byte_len);
	else if (conn)
		received_last(conn, wc->status);
	slot_back(rx, slot);
}

void nvmft_rdma_received(struct rdma_dev *dev, const struct ibv_wc *wc, int n)
{
	for (int i = 0; i < n; i++)
		received(dev, &wc[i]);
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
	const struct nvmft_iov *header;

	if (rx->nslots == rx->cap || (at == 0 && headers_add(rx)))
		return NULL;
	header = &rx->headers[rx->nslots / HEADERS_PER_PAGE];
	slot->sge[0] = (struct ibv_sge){(uintptr_t)header->base + at * SQE_LEN, SQE_LEN, rdma_lkey(rx->dev, header)};
	slot->wr.wr_id = (uint64_t)rx->nslots << WR_SLOT_SHIFT | rx->id;
	slot->wr.sg_list = slot->sge;
	slot->wr.num_sge = (int)nvmft_rdma_rx_sge(rx);
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
	struct rdma_slot *slot;
	uint32_t wanted;

	rx_count(rx);
	wanted = rx->wanted;
	if (wanted > rx->reserved && nvmft_rdma_cq_reserve(rx->dev, &rx->dev->receives, wanted - rx->reserved) == 0)
		rx->reserved = wanted;
	wanted = rdma_min(wanted, rx->reserved);
	for (; rx->kept < wanted && (slot = slot_take(rx)); rx->kept++) {
		slot->epoch = rx->epoch;
		slot_again(rx, slot);
	}
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
	SLIST_INIT(&rx->bare);
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
		slots_unposted(rx);
		rx->old = rx_posted(rx);
		rx->lost = rdma_min(rdma_min(rx->lost + 1, rx->old), rx->cap - rx->max);
	}
	rx_fill(rx);
}
