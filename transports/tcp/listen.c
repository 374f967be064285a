/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <liburing.h>

#include "tcp.h"

/* Listening sockets, and the way of a new connection to its poll group. */

#define DEFAULT_MAXH2CDATA (1024u * 1024)
#define DEFAULT_BACKLOG 1024
#define RETRY_FIRST_MS 100u
#define RETRY_MAX_MS 1000u

/* ---- the address ---- */

static int check_opts(struct nvmft_port *port, struct nvmft_tcp_opts *opts)
{
	if (opts->maxh2cdata == 0)
		opts->maxh2cdata = DEFAULT_MAXH2CDATA;
	if (opts->backlog == 0)
		opts->backlog = DEFAULT_BACKLOG;
	if (opts->maxh2cdata < 4096 || opts->maxh2cdata % 4 != 0) {
		nvmft_port_log(port, NVMFT_LOG_ERROR, "maxh2cdata %u: must be a multiple of 4, at least 4096",
			       opts->maxh2cdata);
		return -EINVAL;
	}
	if (opts->hpda_cpda > TCP_PDA_MAX) {
		nvmft_port_log(port, NVMFT_LOG_ERROR, "hpda_cpda %u: must be 0..31", opts->hpda_cpda);
		return -EINVAL;
	}
	if (opts->backlog < 0 || opts->sndbuf < 0 || opts->rcvbuf < 0 || opts->priority < 0) {
		nvmft_port_log(port, NVMFT_LOG_ERROR, "backlog, sndbuf, rcvbuf and priority must not be negative");
		return -EINVAL;
	}
	return 0;
}

static void set_int(int fd, int level, int name, int value)
{
	setsockopt(fd, level, name, &value, sizeof(value));
}

static int open_socket(const struct tcp_port *port, const struct addrinfo *ai)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)ai->ai_addr;
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	int ret;

	if (fd < 0)
		return -errno;
	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (port->opts.reuseport)
		set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	/* "::" stands for every address of both families; an explicit IPv6 address for itself. */
	if (ai->ai_family == AF_INET6)
		set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, !IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr));
	/* The window is agreed on with the first packet, so connections must inherit the size. */
	if (port->opts.rcvbuf > 0)
		set_int(fd, SOL_SOCKET, SO_RCVBUF, port->opts.rcvbuf);
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, port->opts.backlog) == 0)
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

static void log_errno(struct nvmft_port *port, const struct nvmft_port_config *config, int err)
{
	nvmft_port_log(port, NVMFT_LOG_ERROR, "cannot listen on traddr \"%s\", trsvcid \"%s\": %s", config->traddr,
		       config->trsvcid, strerrordesc_np(-err));
}

/* The address with the port number that the kernel chose. */
static void note_address(struct tcp_port *port)
{
	struct sockaddr_storage ss = {0};
	socklen_t len = sizeof(ss);

	getsockname(port->fd, (struct sockaddr *)&ss, &len);
	getnameinfo((struct sockaddr *)&ss, len, port->traddr, sizeof(port->traddr), port->trsvcid,
		    sizeof(port->trsvcid), NI_NUMERICHOST | NI_NUMERICSERV);
	port->family = ss.ss_family;
}

int nvmft_tcp_listen(struct nvmft_transport_port *tp, const struct nvmft_port_config *config)
{
	const struct nvmft_tcp_opts *opts = config->transport_opts;
	struct tcp_port *port = tp->priv;
	struct addrinfo *info;
	int ret;

	port->tp = tp;
	port->fd = -1;
	port->in_capsule_size = config->in_capsule_size;
	port->family = AF_UNSPEC;
	atomic_init(&port->users, 1);
	/* An older caller's structure is shorter. */
	if (opts)
		memcpy(&port->opts, opts, opts->size < sizeof(*opts) ? opts->size : sizeof(*opts));
	ret = check_opts(tp->port, &port->opts);
	if (ret || strcmp(config->traddr, "none") == 0)
		return ret;
	ret = nvmft_inet_resolve(tp->port, config, &info);
	if (ret)
		return ret;
	port->fd = open_socket(port, info);
	freeaddrinfo(info);
	if (port->fd < 0) {
		log_errno(tp->port, config, port->fd);
		return port->fd;
	}
	note_address(port);
	return 0;
}

void nvmft_tcp_address(struct nvmft_transport_port *tp, char *traddr, char *trsvcid, uint8_t *adrfam)
{
	const struct tcp_port *port = tp->priv;

	if (port->fd < 0) {
		strcpy(traddr, "none");
		strcpy(trsvcid, "none");
		*adrfam = 0;
		return;
	}
	strcpy(traddr, port->traddr);
	strcpy(trsvcid, port->trsvcid);
	*adrfam = port->family == AF_INET6 ? 2 : 1;
}

/* ---- users of the port ---- */

static void port_closed(struct nvmft_call *call)
{
	nvmft_port_closed(tcp_container_of(call, struct tcp_port, closed_call)->tp);
}

static void port_put(struct tcp_port *port)
{
	if (atomic_fetch_sub(&port->users, 1) > 1)
		return;
	port->closed_call.fn = port_closed;
	nvmft_poll_group_call(port->group, &port->closed_call);
}

/* For those who hold no reference: false once the port has told that it is closed. */
static bool port_get_live(struct tcp_port *port)
{
	unsigned int users = atomic_load(&port->users);

	while (users)
		if (atomic_compare_exchange_weak(&port->users, &users, users + 1))
			return true;
	return false;
}

/* A connection on its way to its poll group. */
struct arrival {
	struct nvmft_call call;
	struct tcp_port *port;
	struct nvmft_poll_group *group;
	int fd;
};

static void arrive(struct nvmft_call *call)
{
	struct arrival *arrival = tcp_container_of(call, struct arrival, call);

	if (nvmft_tcp_conn_create(arrival->port->tp->port, arrival->group, arrival->fd))
		close(arrival->fd);
	port_put(arrival->port);
	free(arrival);
}

static int send_to_group(struct tcp_port *port, struct nvmft_poll_group *group, int fd)
{
	struct arrival *arrival = malloc(sizeof(*arrival));

	if (!arrival)
		return -ENOMEM;
	if (!port_get_live(port)) {
		free(arrival);
		return -ESHUTDOWN;
	}
	*arrival = (struct arrival){.call.fn = arrive, .port = port, .group = group, .fd = fd};
	nvmft_poll_group_call(group, &arrival->call);
	return 0;
}

int nvmft_tcp_serve(struct nvmft_port *port, struct nvmft_poll_group *group, int fd)
{
	struct nvmft_transport_port *tp = nvmft_port_transport(port);

	if (tp->ops->listen != nvmft_tcp_listen)
		return -EINVAL;
	return send_to_group(tp->priv, group, fd);
}

/* ---- accepting ---- */

static void accepted(struct tcp_port *port, int fd)
{
	struct nvmft_poll_group *group = nvmft_port_place(port->tp->port);
	int ret;

	if (group == port->group)
		ret = nvmft_tcp_conn_create(port->tp->port, group, fd);
	else
		ret = send_to_group(port, group, fd);
	if (ret)
		close(fd);
	port->retry_ms = 0;
}

static void stopped(struct tcp_port *port)
{
	if (port->fd >= 0)
		close(port->fd);
	port->fd = -1;
	port_put(port);
}

/*
 * Out of descriptors or memory: the connection that waits in the backlog would be reported again at once, so look
 * again later.
 */
static void accept_failed(struct tcp_port *port, int err)
{
	if (port->retry_ms == 0)
		nvmft_port_log(port->tp->port, NVMFT_LOG_WARN, "cannot accept connections for now: %s",
			       strerrordesc_np(-err));
	port->retry_ms = port->retry_ms ? port->retry_ms * 2 : RETRY_FIRST_MS;
	if (port->retry_ms > RETRY_MAX_MS)
		port->retry_ms = RETRY_MAX_MS;
	nvmft_timer_arm(port->group, &port->retry, port->retry_ms * TCP_NS_PER_MS, 0);
}

/* Errors that concern one connection which went away while it waited (accept(2)); the next may be fine. */
static bool is_transient(int err)
{
	switch (-err) {
	case ECONNABORTED:
	case EINTR:
	case EAGAIN:
	case EPROTO:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
	case ENOPROTOOPT:
	case EOPNOTSUPP:
	case EPERM:
		return true;
	default:
		return false;
	}
}

static void accept_complete(struct nvmft_ring_op *op, int res, unsigned int flags)
{
	struct tcp_port *port = tcp_container_of(op, struct tcp_port, accept_op);
	bool over = !(flags & IORING_CQE_F_MORE);

	if (res >= 0 && port->stopping)
		close(res);
	else if (res >= 0)
		accepted(port, res);
	if (!over)
		return;
	if (port->stopping)
		stopped(port);
	else if (res >= 0 || is_transient(res))
		nvmft_ring_start(port->group, op);
	else
		accept_failed(port, res);
}

static void accept_prep(struct nvmft_ring_op *op, struct io_uring_sqe *sqe)
{
	struct tcp_port *port = tcp_container_of(op, struct tcp_port, accept_op);

	io_uring_prep_multishot_accept(sqe, port->fd, NULL, NULL, SOCK_CLOEXEC);
}

static void retry(struct nvmft_timer *timer)
{
	struct tcp_port *port = tcp_container_of(timer, struct tcp_port, retry);

	nvmft_ring_start(port->group, &port->accept_op);
}

void nvmft_tcp_accept_start(struct nvmft_transport_port *tp, struct nvmft_poll_group *group)
{
	struct tcp_port *port = tp->priv;

	port->group = group;
	port->accept_op.prep = accept_prep;
	port->accept_op.complete = accept_complete;
	port->retry.fn = retry;
	if (port->fd >= 0)
		nvmft_ring_start(group, &port->accept_op);
}

void nvmft_tcp_accept_stop(struct nvmft_transport_port *tp)
{
	struct tcp_port *port = tp->priv;

	port->stopping = true;
	nvmft_timer_cancel(port->group, &port->retry);
	if (nvmft_ring_started(&port->accept_op))
		nvmft_ring_cancel(port->group, &port->accept_op);
	else
		stopped(port);
}
