/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <liburing.h>

#include "rdma.h"

/* Listeners, and the way of a connection request to its poll group. */

#define DEFAULT_BACKLOG 128

/* ---- the address ---- */

static int check_opts(struct nvmft_port *port, struct nvmft_rdma_opts *opts)
{
	if (opts->backlog == 0)
		opts->backlog = DEFAULT_BACKLOG;
	if (opts->receives == 0)
		opts->receives = RDMA_DEFAULT_RECEIVES;
	if (opts->backlog < 0 || opts->receives < RDMA_RX_RESERVE || opts->receives > 65536) {
		nvmft_port_log(port, NVMFT_LOG_ERROR, "backlog must not be negative, receives must be %u..65536",
			       RDMA_RX_RESERVE);
		return -EINVAL;
	}
	return 0;
}

static int resolve(struct nvmft_port *port, const struct nvmft_port_config *config, struct sockaddr_storage *ss)
{
	struct addrinfo *info;
	int ret = nvmft_inet_resolve(port, config, &info);

	if (ret)
		return ret;
	memcpy(ss, info->ai_addr, info->ai_addrlen);
	freeaddrinfo(info);
	return 0;
}

static bool any_device(void)
{
	int n = 0;
	struct ibv_device **list = ibv_get_device_list(&n);

	if (list)
		ibv_free_device_list(list);
	return n > 0;
}

static void log_no_listener(struct nvmft_port *port, const struct nvmft_port_config *config, int err)
{
	if (!any_device())
		nvmft_port_log(port, NVMFT_LOG_ERROR,
			       "this machine has no RDMA device; `rdma link add rxe0 type rxe netdev NETDEV` makes one "
			       "in software");
	else if (err == -ENODEV || err == -EADDRNOTAVAIL)
		nvmft_port_log(
			port, NVMFT_LOG_ERROR,
			"traddr \"%s\": not the address of an RDMA device; `rdma link` shows those that there are",
			config->traddr);
	else
		nvmft_port_log(port, NVMFT_LOG_ERROR, "cannot listen on traddr \"%s\", trsvcid \"%s\": %s",
			       config->traddr, config->trsvcid, strerrordesc_np(-err));
}

static int open_listener(struct rdma_port *port)
{
	int one = 1, ret;

	if (rdma_create_id(port->channel, &port->id, port, RDMA_PS_TCP) != 0) {
		port->id = NULL;
		return -errno;
	}
	/* As for TCP, "::" stands for every address of both families. */
	if (port->bound.ss_family == AF_INET6 &&
	    !IN6_IS_ADDR_UNSPECIFIED(&((struct sockaddr_in6 *)&port->bound)->sin6_addr))
		rdma_set_option(port->id, RDMA_OPTION_ID, RDMA_OPTION_ID_AFONLY, &one, sizeof(one));
	if (rdma_bind_addr(port->id, (struct sockaddr *)&port->bound) == 0 &&
	    rdma_listen(port->id, port->opts.backlog) == 0)
		return 0;
	ret = -errno;
	rdma_destroy_id(port->id);
	port->id = NULL;
	return ret;
}

/* The address with the port number that the kernel chose, which a listener that comes back shall have again. */
static void note_address(struct rdma_port *port)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&port->bound;
	struct sockaddr_in *in = (struct sockaddr_in *)&port->bound;

	if (port->bound.ss_family == AF_INET6)
		in6->sin6_port = rdma_get_src_port(port->id);
	else
		in->sin_port = rdma_get_src_port(port->id);
	getnameinfo((struct sockaddr *)&port->bound, sizeof(port->bound), port->traddr, sizeof(port->traddr),
		    port->trsvcid, sizeof(port->trsvcid), NI_NUMERICHOST | NI_NUMERICSERV);
	port->adrfam = port->bound.ss_family == AF_INET6 ? 2 : 1;
}

int nvmft_rdma_listen(struct nvmft_transport_port *tp, const struct nvmft_port_config *config)
{
	const struct nvmft_rdma_opts *opts = config->transport_opts;
	struct rdma_port *port = tp->priv;
	int ret;

	port->tp = tp;
	port->in_capsule_size = config->in_capsule_size;
	port->max_depth = config->max_queue_depth;
	LIST_INIT(&port->watches);
	atomic_init(&port->users, 1);
	/* An older caller's structure is shorter. */
	if (opts)
		memcpy(&port->opts, opts, opts->size < sizeof(*opts) ? opts->size : sizeof(*opts));
	ret = check_opts(tp->port, &port->opts);
	if (!ret)
		ret = resolve(tp->port, config, &port->bound);
	if (ret)
		return ret;
	port->channel = nvmft_rdma_channel_open();
	ret = port->channel ? open_listener(port) : -errno;
	if (ret) {
		log_no_listener(tp->port, config, ret);
		if (port->channel)
			rdma_destroy_event_channel(port->channel);
		return ret;
	}
	note_address(port);
	return 0;
}

void nvmft_rdma_address(struct nvmft_transport_port *tp, char *traddr, char *trsvcid, uint8_t *adrfam)
{
	const struct rdma_port *port = tp->priv;

	strcpy(traddr, port->traddr);
	strcpy(trsvcid, port->trsvcid);
	*adrfam = port->adrfam;
}

/* ---- users of the port ---- */

static void port_closed(struct nvmft_call *call)
{
	struct rdma_port *port = rdma_container_of(call, struct rdma_port, closed_call);

	rdma_destroy_event_channel(port->channel);
	nvmft_port_closed(port->tp);
}

static void port_put(struct rdma_port *port)
{
	if (atomic_fetch_sub(&port->users, 1) > 1)
		return;
	port->closed_call.fn = port_closed;
	nvmft_poll_group_call(port->group, &port->closed_call);
}

static void refuse(struct rdma_cm_id *id, enum rdma_sts sts)
{
	nvmft_rdma_reject(id, sts);
	rdma_destroy_id(id);
}

/* A connection request on its way to its poll group. */
struct arrival {
	struct nvmft_call call;
	struct rdma_port *port;
	struct nvmft_poll_group *group;
	struct rdma_cm_id *id;
	struct rdma_ask ask;
	uint8_t read_depth;
};

static void arrive(struct nvmft_call *call)
{
	struct arrival *a = rdma_container_of(call, struct arrival, call);

	if (nvmft_rdma_conn_create(a->port, a->group, a->id, &a->ask, a->read_depth))
		refuse(a->id, RDMA_STS_NO_RESOURCES);
	port_put(a->port);
	free(a);
}

static void send_to_group(struct rdma_port *port, const struct arrival *how)
{
	struct arrival *a = malloc(sizeof(*a));

	if (!a) {
		refuse(how->id, RDMA_STS_NO_RESOURCES);
		return;
	}
	*a = *how;
	a->call.fn = arrive;
	a->port = port;
	a->group = nvmft_port_place(port->tp->port);
	atomic_fetch_add(&port->users, 1);
	nvmft_poll_group_call(a->group, &a->call);
}

/* ---- events ---- */

/*
 * librdmacm keeps each device that it has heard of open while the process lives, and a driver that cannot take a device
 * from user space, such as that of soft-RoCE, waits for ever for that to end. So it gets nothing in its place, which
 * it closes when it sees that the device is no longer there. Nothing of ours hangs on its context (see dev.c), which
 * lives while @id does, and its descriptors stay its own: no other file can be hit. It is left with a protection domain
 * that it cannot give back: 16 bytes of memory.
 */
static void abandon(const struct rdma_cm_id *id)
{
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (nothing < 0)
		return;
	dup3(nothing, id->verbs->cmd_fd, O_CLOEXEC);
	dup3(nothing, id->verbs->async_fd, O_CLOEXEC);
	close(nothing);
}

static void watch_free(struct rdma_watch *watch)
{
	LIST_REMOVE(watch, link);
	rdma_destroy_id(watch->id);
	free(watch);
}

static bool watched(const struct rdma_port *port, const struct ibv_context *verbs)
{
	const struct rdma_watch *watch;

	if (port->id && port->id->verbs)
		return true;
	LIST_FOREACH (watch, &port->watches, link)
		if (watch->id->verbs == verbs)
			return true;
	return false;
}

/* Without one, the device can be used all the same, but maybe not be removed before us. */
static void watch_add(struct rdma_port *port, struct rdma_cm_id *conn_id)
{
	union inet_end local = nvmft_rdma_addr(rdma_get_local_addr(conn_id));
	struct rdma_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return;
	if (rdma_create_id(port->channel, &watch->id, port, RDMA_PS_TCP) != 0) {
		free(watch);
		return;
	}
	LIST_INSERT_HEAD(&port->watches, watch, link);
	if (local.sa.sa_family == AF_INET6)
		local.in6.sin6_port = 0;
	else
		local.in.sin_port = 0;
	if (rdma_bind_addr(watch->id, &local.sa) != 0 || watch->id->verbs != conn_id->verbs)
		watch_free(watch);
}

/* Listening on all addresses goes on, and takes in the device when it comes back. */
static void watch_event(struct rdma_port *port, const struct rdma_cm_id *id)
{
	struct rdma_watch *watch;

	LIST_FOREACH (watch, &port->watches, link)
		if (watch->id == id)
			break;
	if (!watch)
		return;
	nvmft_port_log(port->tp->port, NVMFT_LOG_WARN, "the RDMA device %s is gone",
		       ibv_get_device_name(id->verbs->device));
	abandon(id);
	watch_free(watch);
}

static void requested(struct rdma_port *port, struct rdma_cm_event *event)
{
	const struct rdma_conn_param *param = &event->param.conn;
	struct arrival a = {.id = event->id, .read_depth = param->initiator_depth};
	enum rdma_sts sts = nvmft_rdma_parse_ask(param->private_data, param->private_data ? param->private_data_len : 0,
						 port->max_depth, &a.ask);
	union inet_end peer;
	char text[80];

	/* All its data is copied, and the identifier changes its channel. */
	rdma_ack_cm_event(event);
	if (!watched(port, a.id->verbs))
		watch_add(port, a.id);
	if (!sts && a.read_depth == 0)
		sts = RDMA_STS_INVALID_IRD;
	if (!sts && a.ask.cntlid && !nvmft_port_has_controller(port->tp->port, port->group, a.ask.cntlid))
		sts = RDMA_STS_INVALID_CNTLID;
	if (!sts) {
		send_to_group(port, &a);
		return;
	}
	peer = nvmft_rdma_addr(rdma_get_peer_addr(a.id));
	nvmft_inet_text(&peer, "unknown", text, sizeof(text));
	nvmft_port_log(port->tp->port, NVMFT_LOG_WARN, "%s: connection refused: %s", text, nvmft_rdma_sts_text(sts));
	refuse(a.id, sts);
}

static void look_again(struct rdma_port *port)
{
	nvmft_timer_arm(port->group, &port->retry, RDMA_LISTEN_RETRY_MS * RDMA_NS_PER_MS, 0);
}

static void close_listener(struct rdma_port *port)
{
	if (port->id)
		rdma_destroy_id(port->id);
	port->id = NULL;
}

/* The device or its address is gone, maybe to come back. */
static void lost(struct rdma_port *port, enum rdma_cm_event_type event)
{
	bool removed = event == RDMA_CM_EVENT_DEVICE_REMOVAL;

	nvmft_port_log(port->tp->port, NVMFT_LOG_WARN, "not listening for now: %s",
		       removed ? "the RDMA device is gone" : "the address has changed");
	if (removed && port->id->verbs)
		abandon(port->id);
	close_listener(port);
	look_again(port);
}

static void retry(struct nvmft_timer *timer)
{
	struct rdma_port *port = rdma_container_of(timer, struct rdma_port, retry);

	if (open_listener(port) != 0) {
		look_again(port);
		return;
	}
	nvmft_port_log(port->tp->port, NVMFT_LOG_INFO, "listening again");
}

static void event_of_port(struct rdma_port *port, struct rdma_cm_event *event)
{
	enum rdma_cm_event_type type = event->event;
	const struct rdma_cm_id *id = event->id;
	bool listener = id == port->id;

	if (type == RDMA_CM_EVENT_CONNECT_REQUEST) {
		requested(port, event);
		return;
	}
	rdma_ack_cm_event(event);
	/* What concerns one that travels to its poll group shows when that wants to accept it. */
	if (listener && (type == RDMA_CM_EVENT_DEVICE_REMOVAL || type == RDMA_CM_EVENT_ADDR_CHANGE))
		lost(port, type);
	else if (type == RDMA_CM_EVENT_DEVICE_REMOVAL)
		watch_event(port, id);
}

static void cm_prep(struct nvmft_ring_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_poll_add(sqe, rdma_container_of(op, struct rdma_port, cm_op)->channel->fd, POLLIN);
}

static void cm_complete(struct nvmft_ring_op *op, int res, unsigned int flags)
{
	struct rdma_port *port = rdma_container_of(op, struct rdma_port, cm_op);
	struct rdma_cm_event *event;

	(void)res;
	(void)flags;
	while (rdma_get_cm_event(port->channel, &event) == 0)
		event_of_port(port, event);
	nvmft_ring_start(port->group, op);
}

void nvmft_rdma_accept_start(struct nvmft_transport_port *tp, struct nvmft_poll_group *group)
{
	struct rdma_port *port = tp->priv;

	port->group = group;
	port->cm_op.prep = cm_prep;
	port->cm_op.complete = cm_complete;
	port->retry.fn = retry;
	nvmft_ring_start(group, &port->cm_op);
}

void nvmft_rdma_accept_stop(struct nvmft_transport_port *tp)
{
	struct rdma_port *port = tp->priv;

	nvmft_timer_cancel(port->group, &port->retry);
	nvmft_ring_forget(port->group, &port->cm_op);
	/* The requests that nobody has looked at go with it. */
	close_listener(port);
	while (!LIST_EMPTY(&port->watches))
		watch_free(LIST_FIRST(&port->watches));
	port_put(port);
}
