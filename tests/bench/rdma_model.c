/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#include "rdma_model.h"

#undef ibv_reg_mr

#define CQ_MAX 65536u
#define RECEIVES_MAX 4096u
#define QUEUES_MAX 8u

struct model_calls model_calls;

/* ---- objects of the device; each begins with what the library sees of it ---- */

struct cq {
	struct ibv_cq cq;
	struct ibv_wc wc[CQ_MAX];
	uint32_t head, tail;
	bool asked;
	STAILQ_ENTRY(cq) told; /* in a channel that is readable for it */
};

struct channel {
	struct ibv_comp_channel channel;
	STAILQ_HEAD(, cq) events;
};

struct receive {
	uint64_t wr_id;
	struct ibv_sge sge[2];
	int nsge;
};

struct srq {
	struct ibv_srq srq;
	struct receive ring[RECEIVES_MAX];
	uint32_t head, tail;
};

struct model_queue {
	struct ibv_qp qp; /* first; there once the target has made it */
	bool made, error, established;
	struct rdma_cm_id *id;
	void (*response)(void *ctx, const struct host_cqe *cqe);
	void *ctx;
	struct {
		uint16_t recfmt, qid, hrqsize, hsqsize, cntlid, rsvd[11];
	} ask;
};

struct event {
	struct rdma_cm_event event; /* first */
	STAILQ_ENTRY(event) link;
	struct rdma_event_channel *channel;
};

static STAILQ_HEAD(, event) events = STAILQ_HEAD_INITIALIZER(events);
static struct rdma_cm_id *listener;
static struct model_queue *arriving; /* the next QP that is made is of this one */
static struct ibv_device device = {.name = "model"};
static struct ibv_context context;
static uint32_t next_key;

static void tell(int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

static void hear(int fd)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		abort();
}

static void *make(size_t size)
{
	void *object = calloc(1, size);

	if (!object)
		abort();
	return object;
}

/* ---- completions ---- */

static void complete(struct ibv_cq *ibcq, uint64_t wr_id, enum ibv_wc_opcode opcode, const struct model_queue *queue,
		     uint32_t len)
{
	struct cq *cq = (struct cq *)(void *)ibcq;

	cq->wc[cq->tail++ % CQ_MAX] = (struct ibv_wc){.wr_id = wr_id,
						      .status = queue->error ? IBV_WC_WR_FLUSH_ERR : IBV_WC_SUCCESS,
						      .opcode = opcode,
						      .byte_len = len,
						      .qp_num = queue->qp.qp_num};
	if (!cq->asked)
		return;
	cq->asked = false;
	model_calls.wakeups++;
	STAILQ_INSERT_TAIL(&((struct channel *)(void *)ibcq->channel)->events, cq, told);
	tell(ibcq->channel->fd);
}

static int poll_cq(struct ibv_cq *ibcq, int max, struct ibv_wc *wc)
{
	struct cq *cq = (struct cq *)(void *)ibcq;
	int n = 0;

	for (; n < max && cq->head != cq->tail; n++)
		wc[n] = cq->wc[cq->head++ % CQ_MAX];
	return n;
}

static int req_notify_cq(struct ibv_cq *ibcq, int solicited)
{
	(void)solicited;
	((struct cq *)(void *)ibcq)->asked = true;
	model_calls.notifies++;
	return 0;
}

int ibv_get_cq_event(struct ibv_comp_channel *ibchannel, struct ibv_cq **cq, void **cq_context)
{
	struct channel *channel = (struct channel *)(void *)ibchannel;
	struct cq *first = STAILQ_FIRST(&channel->events);

	if (!first) {
		errno = EAGAIN;
		return -1;
	}
	STAILQ_REMOVE_HEAD(&channel->events, told);
	if (STAILQ_EMPTY(&channel->events))
		hear(ibchannel->fd);
	*cq = &first->cq;
	*cq_context = first->cq.cq_context;
	return 0;
}

void ibv_ack_cq_events(struct ibv_cq *cq, unsigned int n)
{
	(void)cq;
	(void)n;
}

/* ---- work requests ---- */

static int post_srq_recv(struct ibv_srq *ibsrq, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
	struct srq *srq = (struct srq *)(void *)ibsrq;

	model_calls.receives++;
	for (; wr; wr = wr->next) {
		struct receive *receive = &srq->ring[srq->tail++ % RECEIVES_MAX];

		if (srq->tail - srq->head > RECEIVES_MAX) {
			*bad = wr;
			return ENOMEM;
		}
		receive->wr_id = wr->wr_id;
		receive->nsge = wr->num_sge;
		memcpy(receive->sge, wr->sg_list, (size_t)wr->num_sge * sizeof(receive->sge[0]));
	}
	return 0;
}

bool model_send(struct model_queue *queue, const struct host_sqe *sqe, const void *data, uint32_t len)
{
	struct srq *srq = (struct srq *)(void *)queue->qp.srq;
	const struct receive *receive = &srq->ring[srq->head % RECEIVES_MAX];

	if (srq->head == srq->tail || (len && (receive->nsge < 2 || len > receive->sge[1].length)))
		return false;
	srq->head++;
	memcpy((void *)(uintptr_t)receive->sge[0].addr, sqe, sizeof(*sqe));
	if (len)
		memcpy((void *)(uintptr_t)receive->sge[1].addr, data, len);
	complete(queue->qp.recv_cq, receive->wr_id, IBV_WC_RECV, queue, (uint32_t)sizeof(*sqe) + len);
	return true;
}

static void move(const struct ibv_send_wr *wr)
{
	uint8_t *remote = (uint8_t *)(uintptr_t)wr->wr.rdma.remote_addr;

	for (int i = 0; i < wr->num_sge; i++) {
		void *local = (void *)(uintptr_t)wr->sg_list[i].addr;

		if (wr->opcode == IBV_WR_RDMA_WRITE)
			memcpy(remote, local, wr->sg_list[i].length);
		else
			memcpy(local, remote, wr->sg_list[i].length);
		remote += wr->sg_list[i].length;
	}
}

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
	struct model_queue *queue = (struct model_queue *)(void *)qp;

	(void)bad;
	model_calls.doorbells++;
	for (; wr; wr = wr->next) {
		bool sends = wr->opcode == IBV_WR_SEND || wr->opcode == IBV_WR_SEND_WITH_INV;
		struct host_cqe cqe;

		if (!sends && !queue->error)
			move(wr);
		if (sends && wr->num_sge)
			memcpy(&cqe, (void *)(uintptr_t)wr->sg_list[0].addr, sizeof(cqe));
		if (wr->send_flags & IBV_SEND_SIGNALED || queue->error)
			complete(qp->send_cq, wr->wr_id, IBV_WC_SEND, queue, 0);
		if (sends && wr->num_sge && !queue->error)
			queue->response(queue->ctx, &cqe);
	}
	return 0;
}

/* ---- verbs that make and destroy ---- */

struct ibv_context *ibv_open_device(struct ibv_device *dev)
{
	context.device = dev;
	context.async_fd = eventfd(0, EFD_CLOEXEC);
	context.ops.poll_cq = poll_cq;
	context.ops.req_notify_cq = req_notify_cq;
	context.ops.post_srq_recv = post_srq_recv;
	context.ops.post_send = post_send;
	return &context;
}

int ibv_close_device(struct ibv_context *ctx)
{
	return close(ctx->async_fd);
}

int ibv_query_device(struct ibv_context *ctx, struct ibv_device_attr *attr)
{
	(void)ctx;
	*attr = (struct ibv_device_attr){.max_cqe = CQ_MAX,
					 .max_qp_wr = 16384,
					 .max_srq = 64,
					 .max_srq_wr = RECEIVES_MAX,
					 .max_sge = 32,
					 .max_sge_rd = 32,
					 .max_qp_init_rd_atom = 128,
					 .device_cap_flags = IBV_DEVICE_MEM_MGT_EXTENSIONS};
	return 0;
}

struct ibv_pd *ibv_alloc_pd(struct ibv_context *ctx)
{
	struct ibv_pd *pd = make(sizeof(*pd));

	pd->context = ctx;
	return pd;
}

int ibv_dealloc_pd(struct ibv_pd *pd)
{
	free(pd);
	return 0;
}

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access)
{
	struct ibv_mr *mr = make(sizeof(*mr));

	(void)access;
	*mr = (struct ibv_mr){.context = pd->context, .pd = pd, .addr = addr, .length = length, .lkey = ++next_key};
	return mr;
}

int ibv_dereg_mr(struct ibv_mr *mr)
{
	free(mr);
	return 0;
}

struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *ctx)
{
	struct channel *channel = make(sizeof(*channel));

	channel->channel.context = ctx;
	channel->channel.fd = eventfd(0, EFD_CLOEXEC);
	STAILQ_INIT(&channel->events);
	return &channel->channel;
}

int ibv_destroy_comp_channel(struct ibv_comp_channel *channel)
{
	close(channel->fd);
	free(channel);
	return 0;
}

struct ibv_cq *ibv_create_cq(struct ibv_context *ctx, int cqe, void *cq_context, struct ibv_comp_channel *channel,
			     int vector)
{
	struct cq *cq = make(sizeof(*cq));

	(void)vector;
	cq->cq.context = ctx;
	cq->cq.cq_context = cq_context;
	cq->cq.channel = channel;
	cq->cq.cqe = cqe;
	return &cq->cq;
}

int ibv_resize_cq(struct ibv_cq *cq, int cqe)
{
	cq->cqe = cqe;
	return 0;
}

int ibv_destroy_cq(struct ibv_cq *cq)
{
	free(cq);
	return 0;
}

struct ibv_srq *ibv_create_srq(struct ibv_pd *pd, struct ibv_srq_init_attr *attr)
{
	struct srq *srq = make(sizeof(*srq));

	(void)attr;
	srq->srq.context = pd->context;
	srq->srq.pd = pd;
	return &srq->srq;
}

int ibv_destroy_srq(struct ibv_srq *srq)
{
	free(srq);
	return 0;
}

struct ibv_qp *ibv_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
	static uint32_t next_number = 17;
	struct model_queue *queue = arriving;

	queue->made = true;
	queue->qp.context = pd->context;
	queue->qp.qp_context = attr->qp_context;
	queue->qp.pd = pd;
	queue->qp.send_cq = attr->send_cq;
	queue->qp.recv_cq = attr->recv_cq;
	queue->qp.srq = attr->srq;
	queue->qp.qp_num = next_number++;
	return &queue->qp;
}

int ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
{
	if (mask & IBV_QP_STATE)
		((struct model_queue *)(void *)qp)->error = attr->qp_state == IBV_QPS_ERR;
	return 0;
}

/* The host's part of the queue stays. */
int ibv_destroy_qp(struct ibv_qp *qp)
{
	((struct model_queue *)(void *)qp)->made = false;
	return 0;
}

/* ---- connection management ---- */

static void push_event(struct rdma_event_channel *channel, struct rdma_cm_id *id, enum rdma_cm_event_type type,
		       const struct rdma_conn_param *param)
{
	struct event *event = make(sizeof(*event));

	event->event.id = id;
	event->event.event = type;
	if (param)
		event->event.param.conn = *param;
	event->channel = channel;
	STAILQ_INSERT_TAIL(&events, event, link);
	tell(channel->fd);
}

int rdma_get_cm_event(struct rdma_event_channel *channel, struct rdma_cm_event **out)
{
	struct event *event;

	STAILQ_FOREACH(event, &events, link)
	if (event->channel == channel)
		break;
	if (!event) {
		hear(channel->fd);
		errno = EAGAIN;
		return -1;
	}
	STAILQ_REMOVE(&events, event, event, link);
	*out = &event->event;
	return 0;
}

int rdma_ack_cm_event(struct rdma_cm_event *event)
{
	free(event);
	return 0;
}

struct rdma_event_channel *rdma_create_event_channel(void)
{
	struct rdma_event_channel *channel = make(sizeof(*channel));

	channel->fd = eventfd(0, EFD_CLOEXEC);
	return channel;
}

void rdma_destroy_event_channel(struct rdma_event_channel *channel)
{
	close(channel->fd);
	free(channel);
}

int rdma_create_id(struct rdma_event_channel *channel, struct rdma_cm_id **id, void *ctx, enum rdma_port_space ps)
{
	*id = make(sizeof(**id));
	(*id)->channel = channel;
	(*id)->context = ctx;
	(*id)->ps = ps;
	return 0;
}

int rdma_destroy_id(struct rdma_cm_id *id)
{
	free(id);
	return 0;
}

int rdma_set_option(struct rdma_cm_id *id, int level, int name, void *value, size_t len)
{
	(void)id;
	(void)level;
	(void)name;
	(void)value;
	(void)len;
	return 0;
}

int rdma_bind_addr(struct rdma_cm_id *id, struct sockaddr *addr)
{
	id->verbs = &context;
	memcpy(&id->route.addr.src_storage, addr, sizeof(struct sockaddr_in));
	return 0;
}

int rdma_listen(struct rdma_cm_id *id, int backlog)
{
	(void)backlog;
	listener = id;
	return 0;
}

uint16_t rdma_get_src_port(struct rdma_cm_id *id)
{
	(void)id;
	return htobe16(4420);
}

int rdma_migrate_id(struct rdma_cm_id *id, struct rdma_event_channel *channel)
{
	id->channel = channel;
	return 0;
}

int rdma_init_qp_attr(struct rdma_cm_id *id, struct ibv_qp_attr *attr, int *mask)
{
	(void)id;
	(void)attr;
	*mask = IBV_QP_STATE;
	return 0;
}

int rdma_accept(struct rdma_cm_id *id, struct rdma_conn_param *param)
{
	(void)param;
	arriving->established = true;
	push_event(id->channel, id, RDMA_CM_EVENT_ESTABLISHED, NULL);
	return 0;
}

int rdma_reject(struct rdma_cm_id *id, const void *data, uint8_t len)
{
	(void)id;
	(void)data;
	(void)len;
	return 0;
}

int rdma_disconnect(struct rdma_cm_id *id)
{
	(void)id;
	return 0;
}

struct model_queue *model_connect(uint16_t qid, uint32_t depth, void (*response)(void *ctx, const struct host_cqe *cqe),
				  void *ctx)
{
	static struct model_queue queues[QUEUES_MAX];
	static unsigned int n;
	struct model_queue *queue = &queues[n++ % QUEUES_MAX];
	struct rdma_conn_param param = {
		.private_data = &queue->ask, .private_data_len = sizeof(queue->ask), .initiator_depth = 16};

	queue->response = response;
	queue->ctx = ctx;
	queue->ask.qid = htole16(qid);
	queue->ask.hrqsize = htole16((uint16_t)depth);
	queue->ask.hsqsize = htole16((uint16_t)(depth - 1));
	rdma_create_id(listener->channel, &queue->id, NULL, RDMA_PS_TCP);
	context.device = &device;
	queue->id->verbs = &context;
	queue->id->route.addr.src_sin.sin_family = AF_INET;
	queue->id->route.addr.dst_sin.sin_family = AF_INET;
	arriving = queue;
	push_event(listener->channel, queue->id, RDMA_CM_EVENT_CONNECT_REQUEST, &param);
	return queue;
}

bool model_established(const struct model_queue *queue)
{
	return queue->established;
}
