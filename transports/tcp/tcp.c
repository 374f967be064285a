/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "tcp.h"

/* What the core calls. */

static int group_init(struct nvmft_transport_group *transport_group)
{
	struct tcp_group *tg = transport_group->priv;

	tg->group = transport_group->group;
	TAILQ_INIT(&tg->dirty);
	TAILQ_INIT(&tg->starved);
	return nvmft_tcp_rx_group_init(tg);
}

static void group_fini(struct nvmft_transport_group *transport_group)
{
	struct tcp_group *tg = transport_group->priv;

	nvmft_tcp_tx_group_fini(tg);
	nvmft_tcp_rx_group_fini(tg);
}

static void group_flush(struct nvmft_transport_group *transport_group)
{
	struct tcp_group *tg = transport_group->priv;
	struct tcp_conn *conn;

	/* Ends: a connection comes back only with new responses, and those need new bytes from the peer or a completed
	 * send. */
	while ((conn = TAILQ_FIRST(&tg->dirty))) {
		TAILQ_REMOVE(&tg->dirty, conn, link);
		conn->dirty = false;
		nvmft_tcp_conn_work(conn);
	}
}

static int group_arm(struct nvmft_transport_group *transport_group)
{
	struct tcp_group *tg = transport_group->priv;

	return TAILQ_EMPTY(&tg->dirty) ? 0 : -EAGAIN;
}

static void fetch(struct nvmft_request *request)
{
	struct tcp_req *treq = tcp_req_of(request);
	struct tcp_conn *conn = treq->conn;

	/* On a connection that is not open it only waits to be released. */
	if (request->sgl != NVMFT_SGL_IN_CAPSULE || !tcp_conn_open(conn)) {
		nvmft_tcp_tx_r2t(conn, request);
		return;
	}
	treq->where = TCP_REQ_CAPSULE;
	if (conn->rx.req == request) {
		conn->rx.wait = false;
		nvmft_tcp_conn_dirty(conn);
	}
}

/* As long as the R2T is not sent nobody else knows of the transfer. */
static int fetch_abort(struct nvmft_request *request)
{
	struct tcp_req *treq = tcp_req_of(request);
	struct tcp_conn *conn = treq->conn;

	if (treq->where != TCP_REQ_TX)
		return -EBUSY;
	STAILQ_REMOVE(&conn->txq, treq, tcp_req, link);
	nvmft_tcp_bulk_done(conn, request, request->data_len);
	treq->where = TCP_REQ_CORE;
	return 0;
}

static void queue_close(struct nvmft_queue *queue)
{
	nvmft_tcp_conn_dead(tcp_conn_of(queue), NULL, NULL, 0);
}

static void queue_live(struct nvmft_queue *queue)
{
	struct tcp_conn *conn = tcp_conn_of(queue);

	nvmft_tcp_rx_forget_shape(conn);
	conn->success_ok = nvmft_queue_sqhd_disabled(queue);
	if (!nvmft_queue_admin(queue))
		conn->params.max_in_capsule = conn->port->in_capsule_size;
}

static void host_address(struct nvmft_queue *queue, char *text, size_t len)
{
	nvmft_inet_text(&tcp_conn_of(queue)->peer, "local", text, len);
}

static void local_address(struct nvmft_queue *queue, char *text, size_t len)
{
	nvmft_inet_text(&tcp_conn_of(queue)->local, "local", text, len);
}

static const struct nvmft_transport_ops tcp_ops = {
	.size = sizeof(tcp_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "tcp",
	.trtype = 3,
	.sgl_kinds = NVMFT_SGL_IN_CAPSULE | NVMFT_SGL_TRANSPORT,
	.port_size = sizeof(struct tcp_port),
	.group_size = sizeof(struct tcp_group),
	.queue_size = sizeof(struct tcp_conn),
	.request_size = sizeof(struct tcp_req),
	.max_queue_depth = 1024,
	.listen = nvmft_tcp_listen,
	.accept_start = nvmft_tcp_accept_start,
	.accept_stop = nvmft_tcp_accept_stop,
	.address = nvmft_tcp_address,
	.group_init = group_init,
	.group_fini = group_fini,
	.group_flush = group_flush,
	.group_arm = group_arm,
	.fetch = fetch,
	.respond = nvmft_tcp_tx_respond,
	.fetch_abort = fetch_abort,
	.queue_close = queue_close,
	.queue_live = queue_live,
	.host_address = host_address,
	.local_address = local_address,
};

const struct nvmft_transport_ops *nvmft_transport_tcp(void)
{
	return &tcp_ops;
}
