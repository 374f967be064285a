/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues: a connection from the transport's hello to the last request that a backend gives back.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cid.h"
#include "controller.h"
#include "fused.h"
#include "log.h"
#include "queue.h"
#include "request.h"

#define NS_PER_MS 1000000ull
/* SQSIZE before Connect has told: that of the admin queue of every host known. */
#define SQSIZE_BEFORE_CONNECT 31u
/* Deadlines of silent connections are looked at together, a few times a second. */
#define CONNECT_SLACK_NS (250 * NS_PER_MS)

static void queue_connect_timeout(struct nvmft_timer *timer)
{
	struct nvmft_queue *queue = container_of(timer, struct nvmft_queue, connect_timer);

	nvmft_queue_log(queue, NVMFT_LOG_WARN,
			queue->ctrl ? "disconnected by the host and not closed in time, closing" :
				      "no Connect in time, closing");
	nvmft_queue_shut(queue);
}

static void queue_arm_deadline(struct nvmft_queue *queue)
{
	nvmft_timer_arm(queue->group, &queue->connect_timer,
			queue->group->target->opts.connect_timeout_ms * NS_PER_MS, CONNECT_SLACK_NS);
}

/* Disconnect was answered: the host closes the connection, and what it sends before that is not executed any more. */
void nvmft_queue_disconnected(struct nvmft_queue *queue)
{
	queue->state = QUEUE_CLOSING;
	queue_arm_deadline(queue);
}

static int queue_admit(struct nvmft_port *port, struct nvmft_poll_group *group, uint64_t address_key)
{
	uint32_t before;
	int ret;

	if (group->view->stopping || atomic_load(&port->closing))
		return -ESHUTDOWN;
	before = atomic_fetch_add(&port->connections, 1);
	if (port->opts.max_connections && before >= port->opts.max_connections)
		ret = -EDQUOT;
	else
		ret = nvmft_port_pending_open(port, address_key);
	if (ret)
		atomic_fetch_sub(&port->connections, 1);
	return ret;
}

static void queue_leave(struct nvmft_port *port, struct nvmft_queue *queue)
{
	atomic_fetch_sub(&port->connections, 1);
	if (queue->pending)
		nvmft_port_pending_close(port, queue->address_key);
	queue->pending = false;
}

int nvmft_queue_open(struct nvmft_port *port, struct nvmft_poll_group *group, uint64_t address_key,
		     struct nvmft_queue **out)
{
	struct group_transport *gt;
	struct nvmft_queue *queue;
	int ret;

	ret = queue_admit(port, group, address_key);
	if (ret)
		return ret;
	gt = nvmft_group_transport(group, &port->ops);
	queue = gt ? zalloc_aligned(sizeof(*queue) + port->ops.queue_size) : NULL;
	if (!queue) {
		nvmft_port_pending_close(port, address_key);
		atomic_fetch_sub(&port->connections, 1);
		return -ENOMEM;
	}
	queue->head = (struct nvmft_queue_head){queue->priv, &gt->pub};
	queue->group = group;
	queue->gt = gt;
	queue->port = port;
	queue->pending = true;
	queue->address_key = address_key;
	queue->sqsize = SQSIZE_BEFORE_CONNECT;
	TAILQ_INIT(&queue->buffer_waiters);
	nvmft_port_get(port);
	nvmft_target_get(group->target);
	TAILQ_INSERT_TAIL(&group->queues, queue, link);
	queue->connect_timer.fn = queue_connect_timeout;
	queue_arm_deadline(queue);
	counter_add(&group->counters.connections, 1);
	*out = queue;
	return 0;
}

void nvmft_queue_set_live(struct nvmft_queue *queue)
{
	/* A connection that was closed while its Connect was being decided is not brought back to life. */
	if (queue->state != QUEUE_CONNECTING)
		return;
	queue->state = QUEUE_LIVE;
	nvmft_timer_cancel(queue->group, &queue->connect_timer);
	nvmft_port_pending_close(queue->port, queue->address_key);
	queue->pending = false;
	counter_add(&queue->group->counters.queues, 1);
	queue->live_counted = true;
	if (queue->gt->ops.queue_live)
		queue->gt->ops.queue_live(queue);
}

void nvmft_queue_shut(struct nvmft_queue *queue)
{
	if (queue->shut || queue->transport_gone)
		return;
	queue->shut = true;
	queue->state = QUEUE_CLOSING;
	queue->gt->ops.queue_close(queue);
}

/* Commands that backends still have: ask for an early end, so that a dead connection does not wait for a slow device. */
static void queue_abort_executing(struct nvmft_queue *queue)
{
	struct cid_table *table = &queue->cids;
	uint32_t i;

	for (i = 0; i < table->size; i++) {
		struct request *req = table->heads[i];

		while (req) {
			if (req->aborted || req->state != REQ_EXECUTING || !req->channel) {
				req = req->hash_next;
				continue;
			}
			/* May end this one and others of the chain. */
			nvmft_request_abort(req);
			req = table->heads[i];
		}
	}
}

static void queue_detach_call(struct nvmft_call *call)
{
	struct nvmft_queue *queue = container_of(call, struct nvmft_queue, ctrl_call);

	nvmft_ctrl_detach(queue->ctrl, queue);
}

static void queue_detached(struct nvmft_call *call)
{
	struct nvmft_queue *queue = container_of(call, struct nvmft_queue, reply_call);

	queue->ctrl_link = LINK_NONE;
	nvmft_queue_maybe_destroy(queue);
}

void nvmft_queue_detach(struct nvmft_queue *queue)
{
	queue->ctrl_link = LINK_DETACHING;
	queue->reply_call.fn = queue_detached;
	queue->ctrl_call.fn = queue_detach_call;
	nvmft_poll_group_call(queue->ctrl->group, &queue->ctrl_call);
}

void nvmft_queue_drain(struct nvmft_queue *queue)
{
	if (queue->state < QUEUE_CLOSING)
		queue->state = QUEUE_CLOSING;
	nvmft_timer_cancel(queue->group, &queue->connect_timer);
	nvmft_request_drop_waiters(queue);
	nvmft_fused_drop(queue);
	if (queue->ctrl_link == LINK_ATTACHED && queue->qid == 0)
		nvmft_ctrl_admin_closing(queue->ctrl);
	queue_abort_executing(queue);
}

void nvmft_queue_closed(struct nvmft_queue *queue)
{
	/* Held by a request of nobody, so that the queue outlives what follows. */
	queue->requests++;
	queue->transport_gone = true;
	nvmft_queue_drain(queue);
	queue->state = QUEUE_CLOSED;
	if (queue->live_counted)
		counter_add(&queue->group->counters.queues, (uint64_t)-1);
	counter_add(&queue->group->counters.connections, (uint64_t)-1);
	queue_leave(queue->port, queue);
	if (queue->ctrl_link == LINK_ATTACHED && queue->qid == 0)
		nvmft_ctrl_admin_closed(queue->ctrl);
	else if (queue->ctrl_link == LINK_ATTACHED)
		nvmft_queue_detach(queue);
	queue->requests--;
	nvmft_queue_maybe_destroy(queue);
}

void nvmft_queue_maybe_destroy(struct nvmft_queue *queue)
{
	struct nvmft_target *target = queue->group->target;

	if (!queue->transport_gone || queue->requests || queue->ctrl_link != LINK_NONE)
		return;
	TAILQ_REMOVE(&queue->group->queues, queue, link);
	nvmft_cid_fini(&queue->cids);
	if (queue->ctrl)
		nvmft_ctrl_put(queue->ctrl);
	nvmft_port_put(queue->port);
	free(queue);
	nvmft_target_put(target);
}

/* ---- for transports ---- */

struct nvmft_port *nvmft_queue_port(struct nvmft_queue *queue)
{
	return queue->port;
}

bool nvmft_queue_sqhd_disabled(const struct nvmft_queue *queue)
{
	return queue->sqflow_disabled;
}

uint32_t nvmft_queue_in_flight(const struct nvmft_queue *queue)
{
	return queue->in_flight;
}

bool nvmft_queue_admin(const struct nvmft_queue *queue)
{
	return queue->qid == 0;
}

bool nvmft_queue_connected(const struct nvmft_queue *queue)
{
	return queue->state == QUEUE_LIVE;
}

void nvmft_queue_accept_lent(struct nvmft_queue *queue, bool accept)
{
	queue->accept_lent = accept;
}

void nvmft_queue_terminated(struct nvmft_queue *queue, const char *reason)
{
	counter_add(&queue->group->counters.terminated, 1);
	nvmft_queue_log(queue, NVMFT_LOG_WARN, "connection terminated: %s", reason);
}

void nvmft_queue_log(struct nvmft_queue *queue, enum nvmft_log_level level, const char *format, ...)
{
	char prefix[NVME_NQN_LENGTH + 160], peer[80] = "";
	va_list ap;

	if (level > queue->group->target->opts.log_level)
		return;
	if (queue->gt->ops.host_address)
		queue->gt->ops.host_address(queue, peer, sizeof(peer));
	if (queue->ctrl)
		snprintf(prefix, sizeof(prefix), "%s %s: controller %u queue %u: ", queue->gt->ops.name, peer,
			 queue->ctrl->cntlid, queue->qid);
	else
		snprintf(prefix, sizeof(prefix), "%s %s: ", queue->gt->ops.name, peer);
	va_start(ap, format);
	nvmft_vlog(queue->group->target, level, prefix, format, ap);
	va_end(ap);
}
