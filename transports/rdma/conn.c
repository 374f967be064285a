/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "rdma.h"

/*
 * A connection from its request to its end: CONNECTING -> LIVE -> DRAINING -> gone. In DRAINING its QP is in error and
 * a last work request is on its way back behind all others: after that the device touches no buffer of it.
 */

#define SQ_MIN 16u
/* A read is a WRITE and a SEND, a write a READ and later a SEND. */
#define WRS_PER_COMMAND 2u
/* 0.64 ms, as the specification encodes it. */
#define RNR_TIMER 12

/* ---- the end ---- */

void nvmft_rdma_conn_drained(struct rdma_conn *conn)
{
	conn->drained = true;
	rdma_conn_dirty(conn);
}

static void drain_over(struct nvmft_timer *timer)
{
	nvmft_rdma_conn_drained(rdma_container_of(timer, struct rdma_conn, drain));
}

static void start_drain(struct rdma_conn *conn)
{
	struct ibv_send_wr wr = {
		.wr_id = RDMA_WR_DRAIN,
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
	};
	struct ibv_qp_attr error = {.qp_state = IBV_QPS_ERR};
	struct ibv_send_wr *bad;
	int ret = ibv_modify_qp(conn->qp, &error, IBV_QP_STATE);

	nvmft_rdma_rx_stop(conn->rx);
	rdma_conn_await(conn, true);
	rdma_disconnect(conn->id);
	if (ret || conn->dev->dead || ibv_post_send(conn->qp, &wr, &bad) != 0) {
		nvmft_rdma_conn_drained(conn);
		return;
	}
	nvmft_timer_arm(conn->rg->group, &conn->drain, RDMA_DRAIN_MS * RDMA_NS_PER_MS,
			RDMA_DRAIN_MS / 4 * RDMA_NS_PER_MS);
}

void nvmft_rdma_conn_dead(struct rdma_conn *conn, const char *why)
{
	if (conn->state == RDMA_CONN_DRAINING)
		return;
	conn->state = RDMA_CONN_DRAINING;
	if (why)
		nvmft_queue_terminated(conn->queue, why);
	start_drain(conn);
}

/*
 * What came in before the end is taken from the CQ first, as some drivers throw it away with the QP, and receives with
 * it. What comes with the end is taken before the connection is forgotten: another may get the QP's number.
 */
static void destroy_qp(struct rdma_conn *conn)
{
	/* Also of one that was never accepted: nothing more is posted to it, and nobody finds it dead. */
	conn->state = RDMA_CONN_DRAINING;
	nvmft_rdma_rx_stop(conn->rx);
	nvmft_rdma_dev_poll_all(conn->dev);
	ibv_destroy_qp(conn->qp);
	conn->qp = NULL;
	nvmft_rdma_dev_poll_all(conn->dev);
	if (conn->hashed)
		LIST_REMOVE(conn, hash_link);
	conn->hashed = false;
}

/* What conn_setup() made, as far as it came. */
static void release_resources(struct rdma_conn *conn)
{
	nvmft_timer_cancel(conn->rg->group, &conn->drain);
	if (conn->qp)
		destroy_qp(conn);
	if (conn->rx)
		nvmft_rdma_rx_put(conn->rx, conn->depth, conn->accepted);
	if (conn->sq_size)
		nvmft_rdma_cq_unreserve(&conn->dev->sends, conn->sq_size + 1);
	nvmft_rdma_tx_release_all(conn);
	if (conn->dev) {
		rdma_conn_await(conn, false);
		conn->dev->signals -= conn->signals;
	}
}

/* Before the channel of its events. */
static void release_id(struct rdma_conn *conn)
{
	if (conn->dev)
		nvmft_rdma_dev_put(conn->dev);
	rdma_destroy_id(conn->id);
	if (conn->up)
		nvmft_rdma_group_down(conn->rg);
	if (conn->dirty)
		TAILQ_REMOVE(&conn->rg->dirty, conn, link);
}

static void finish(struct rdma_conn *conn)
{
	release_resources(conn);
	release_id(conn);
	nvmft_queue_closed(conn->queue);
}

/* Once per pass, for connections that have something to do. */
void nvmft_rdma_conn_work(struct rdma_conn *conn)
{
	if (conn->drained)
		finish(conn);
	else
		nvmft_rdma_tx_flush(conn);
}

/* ---- events ---- */

void nvmft_rdma_conn_event(struct rdma_conn *conn, enum rdma_cm_event_type event, int status)
{
	switch (event) {
	case RDMA_CM_EVENT_ESTABLISHED:
		if (conn->state == RDMA_CONN_CONNECTING)
			conn->state = RDMA_CONN_LIVE;
		break;
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		nvmft_rdma_dev_dead(conn->dev, "the RDMA device is gone");
		break;
	case RDMA_CM_EVENT_DISCONNECTED:
	case RDMA_CM_EVENT_ADDR_CHANGE:
		nvmft_rdma_conn_dead(conn, NULL);
		break;
	case RDMA_CM_EVENT_CONNECT_ERROR:
	case RDMA_CM_EVENT_UNREACHABLE:
	case RDMA_CM_EVENT_REJECTED:
		nvmft_queue_log(conn->queue, NVMFT_LOG_INFO, "not established: %s, status %d", rdma_event_str(event),
				status);
		nvmft_rdma_conn_dead(conn, NULL);
		break;
	default:
		break;
	}
}

/* ---- the beginning ---- */

static int conn_open_qp(struct rdma_conn *conn, uint32_t wrs)
{
	struct ibv_qp_init_attr attr = {
		.qp_context = conn,
		.send_cq = conn->dev->sends.cq,
		.recv_cq = conn->dev->receives.cq,
		.srq = conn->rx->srq,
		.cap = {.max_send_wr = wrs + 1, /* the last one, of the drain */
			.max_recv_wr = conn->rx->shared ? 0 : conn->rx->cap,
			.max_send_sge = conn->max_sge,
			.max_recv_sge = nvmft_rdma_rx_sge(conn->rx),
			.max_inline_data = sizeof(struct nvmft_cqe)},
		.qp_type = IBV_QPT_RC,
	};

	conn->qp = ibv_create_qp(conn->dev->pd, &attr);
	return conn->qp ? 0 : -errno;
}

/* A device may have less room than it says, depending on the number of SGEs. */
static int conn_qp(struct rdma_conn *conn, uint32_t depth)
{
	uint32_t wrs = rdma_min(depth * WRS_PER_COMMAND, (uint32_t)conn->dev->attr.max_qp_wr - 1);
	int ret;

	if (wrs < SQ_MIN)
		wrs = SQ_MIN;
	do {
		ret = nvmft_rdma_cq_reserve(conn->dev, &conn->dev->sends, wrs + 1);
		if (ret)
			return ret;
		ret = conn_open_qp(conn, wrs);
		if (!ret) {
			conn->sq_size = wrs;
			return 0;
		}
		nvmft_rdma_cq_unreserve(&conn->dev->sends, wrs + 1);
		wrs /= 2;
		conn->max_sge = conn->max_sge > 4 ? conn->max_sge / 2 : conn->max_sge;
		conn->max_sge_read = rdma_min(conn->max_sge, conn->max_sge_read);
	} while (wrs >= SQ_MIN);
	return ret;
}

/* What librdmacm would do with a QP on its own context of the device. */
static int conn_modify_qp(struct rdma_conn *conn, enum ibv_qp_state state)
{
	struct ibv_qp_attr attr = {.qp_state = state};
	int mask;

	if (rdma_init_qp_attr(conn->id, &attr, &mask) != 0)
		return -errno;
	/*
	 * Hosts neither read nor write anything of ours; what they send too soon they may try again soon: 0 would mean
	 * 655 ms.
	 */
	attr.qp_access_flags = 0;
	attr.max_dest_rd_atomic = 0;
	attr.min_rnr_timer = RNR_TIMER;
	attr.max_rd_atomic = (uint8_t)conn->read_depth;
	return -ibv_modify_qp(conn->qp, &attr, mask);
}

static int conn_ready_qp(struct rdma_conn *conn)
{
	int ret = conn_modify_qp(conn, IBV_QPS_RTR);

	return ret ? ret : conn_modify_qp(conn, IBV_QPS_RTS);
}

static int conn_accept(struct rdma_conn *conn, uint32_t depth)
{
	struct rdma_wire_accept wire;
	struct rdma_conn_param param = {
		.private_data = &wire,
		.private_data_len = sizeof(wire),
		.initiator_depth = (uint8_t)conn->read_depth,
		.rnr_retry_count = 7, /* for ever: the host's receives come back */
		.qp_num = conn->qp_num,
		.srq = conn->rx->shared,
	};
	int ret = conn_ready_qp(conn);

	if (ret)
		return ret;
	nvmft_rdma_build_accept(&wire, depth);
	return rdma_accept(conn->id, &param) == 0 ? 0 : -errno;
}

static int conn_setup(struct rdma_conn *conn, struct rdma_port *port, const struct rdma_ask *ask)
{
	int ret = nvmft_rdma_group_up(conn->rg);

	if (ret)
		return ret;
	conn->up = true;
	if (rdma_migrate_id(conn->id, conn->rg->channel) != 0)
		return -errno;
	ret = nvmft_rdma_dev_get(conn->rg, conn->id->verbs->device, &conn->dev);
	if (ret)
		return ret;
	conn->depth = ask->depth;
	conn->max_sge = rdma_min(RDMA_MAX_SGE, (uint32_t)conn->dev->attr.max_sge);
	conn->max_sge_read =
		rdma_min(conn->max_sge, conn->dev->attr.max_sge_rd > 0 ? (uint32_t)conn->dev->attr.max_sge_rd : 1);
	conn->read_depth = rdma_min(conn->read_depth, (uint32_t)conn->dev->attr.max_qp_init_rd_atom);
	/* iWARP reads only into memory that hosts may write, which ours never is. */
	if (conn->read_depth == 0 || conn->id->verbs->device->transport_type == IBV_TRANSPORT_IWARP)
		return -EOPNOTSUPP;
	conn->send_inv = conn->dev->attr.device_cap_flags & IBV_DEVICE_MEM_MGT_EXTENSIONS;
	ret = nvmft_rdma_rx_get(conn->dev, port, ask->qid == 0, ask->depth, &conn->rx);
	if (!ret)
		ret = conn_qp(conn, ask->depth);
	if (ret)
		return ret;
	conn->qp_num = conn->qp->qp_num;
	nvmft_rdma_dev_hash(conn->dev, conn);
	ret = conn_modify_qp(conn, IBV_QPS_INIT); /* before which there are no receives */
	if (!ret)
		ret = nvmft_rdma_rx_start(conn->rx, conn->qp);
	if (!ret)
		ret = conn_accept(conn, ask->depth);
	conn->accepted = ret == 0;
	return ret;
}

static void conn_init(struct rdma_conn *conn, struct nvmft_queue *queue, struct rdma_cm_id *id, uint8_t read_depth)
{
	conn->queue = queue;
	conn->rg = nvmft_queue_group(queue)->priv;
	conn->id = id;
	conn->read_depth = read_depth;
	conn->drain.fn = drain_over;
	rdma_fifo_init(&conn->responses);
	rdma_fifo_init(&conn->fetches);
	conn->peer = nvmft_rdma_addr(rdma_get_peer_addr(id));
	conn->local = nvmft_rdma_addr(rdma_get_local_addr(id));
	id->context = conn;
}

int nvmft_rdma_conn_create(struct rdma_port *port, struct nvmft_poll_group *group, struct rdma_cm_id *id,
			   const struct rdma_ask *ask, uint8_t read_depth)
{
	union inet_end peer = nvmft_rdma_addr(rdma_get_peer_addr(id));
	struct nvmft_queue *queue;
	struct rdma_conn *conn;
	int ret = nvmft_queue_open(port->tp->port, group, nvmft_inet_key(&peer), &queue);

	if (ret)
		return ret;
	conn = rdma_conn_of(queue);
	conn_init(conn, queue, id, read_depth);
	ret = conn_setup(conn, port, ask);
	if (ret == 0)
		return 0;
	nvmft_queue_log(queue, NVMFT_LOG_WARN, "connection refused: %s", strerrordesc_np(-ret));
	release_resources(conn);
	nvmft_rdma_reject(id, RDMA_STS_NO_RESOURCES);
	release_id(conn);
	nvmft_queue_closed(queue);
	return 0;
}
