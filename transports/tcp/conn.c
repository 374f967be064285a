/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "tcp.h"

/* A connection from its socket to its end. */

void nvmft_tcp_conn_dirty(struct tcp_conn *conn)
{
	/* One that waits for a batch is woken by the next batch that comes back. */
	if (conn->dirty || conn->starved)
		return;
	conn->dirty = true;
	TAILQ_INSERT_TAIL(&conn->tg->dirty, conn, link);
}

void nvmft_tcp_conn_dead(struct tcp_conn *conn, const struct tcp_error *err, const uint8_t *pdu, size_t pdu_len)
{
	struct nvmft_poll_group *group = conn->tg->group;

	if (conn->state == TCP_CONN_CLOSING || (err && conn->state != TCP_CONN_OPEN))
		return;
	conn->room = 0;
	if (err) {
		nvmft_queue_terminated(conn->queue, err->what);
		conn->state = TCP_CONN_TERMINATING;
		conn->term = *err;
		conn->term_pdu_len = (uint32_t)(pdu_len < TCP_HEADER_MAX ? pdu_len : TCP_HEADER_MAX);
		/* Nothing is parsed any more, so the place for headers is free. The header may be there already. */
		memmove(conn->rx.stash, pdu, conn->term_pdu_len);
		conn->send_term = true;
		nvmft_timer_arm(group, &conn->linger, TCP_LINGER_MS * TCP_NS_PER_MS, TCP_LINGER_MS / 4 * TCP_NS_PER_MS);
	} else {
		conn->state = TCP_CONN_CLOSING;
		nvmft_timer_cancel(group, &conn->linger);
		/* Ends operations in the middle of a transfer, too. */
		shutdown(conn->fd, SHUT_RDWR);
		nvmft_ring_cancel(group, &conn->rx_op);
		nvmft_ring_cancel(group, &conn->tx_op);
		/* Closing waits for nothing but the ring. */
		if (conn->starved) {
			TAILQ_REMOVE(&conn->tg->starved, conn, link);
			conn->starved = false;
		}
	}
	nvmft_tcp_conn_dirty(conn);
}

void nvmft_tcp_conn_op_over(struct tcp_conn *conn)
{
	nvmft_tcp_conn_dirty(conn);
}

static void linger_over(struct nvmft_timer *timer)
{
	nvmft_tcp_conn_dead(tcp_container_of(timer, struct tcp_conn, linger), NULL, NULL, 0);
}

static void finish(struct tcp_conn *conn)
{
	struct nvmft_queue *queue = conn->queue;

	if (nvmft_ring_started(&conn->rx_op) || nvmft_ring_started(&conn->tx_op))
		return;
	nvmft_tcp_rx_fini(conn);
	nvmft_tcp_tx_release_all(conn);
	if (conn->dirty)
		TAILQ_REMOVE(&conn->tg->dirty, conn, link);
	close(conn->fd);
	nvmft_queue_closed(queue);
}

/* Once per pass, for connections that have something to do. */
void nvmft_tcp_conn_work(struct tcp_conn *conn)
{
	nvmft_tcp_rx_resume(conn);
	if (conn->state != TCP_CONN_CLOSING) {
		nvmft_tcp_tx_flush(conn);
		nvmft_tcp_rx_arm(conn);
	} else {
		finish(conn);
	}
}

/* Failures are of no consequence: the connection works without, e.g. on a socketpair. */
static void set_options(const struct tcp_port *port, int fd)
{
	int one = 1, flags = fcntl(fd, F_GETFL);

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (port->opts.priority > 0)
		setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &port->opts.priority, sizeof(port->opts.priority));
	if (port->opts.sndbuf > 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &port->opts.sndbuf, sizeof(port->opts.sndbuf));
	if (port->opts.rcvbuf > 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &port->opts.rcvbuf, sizeof(port->opts.rcvbuf));
	/* The ring waits by itself, unless the descriptor says that nobody may. */
	if (flags >= 0 && (flags & O_NONBLOCK))
		fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

static void read_addr(int (*get)(int, struct sockaddr *, socklen_t *), int fd, union inet_end *addr)
{
	struct sockaddr_storage ss = {0};
	socklen_t len = sizeof(ss);

	memset(addr, 0, sizeof(*addr));
	if (get(fd, (struct sockaddr *)&ss, &len) == 0 && (ss.ss_family == AF_INET || ss.ss_family == AF_INET6))
		memcpy(addr, &ss, sizeof(*addr));
}

static int get_peer(int fd, struct sockaddr *sa, socklen_t *len)
{
	return getpeername(fd, sa, len);
}

static int get_local(int fd, struct sockaddr *sa, socklen_t *len)
{
	return getsockname(fd, sa, len);
}

static void conn_init(struct tcp_conn *conn, struct nvmft_queue *queue, struct tcp_port *port, int fd)
{
	conn->queue = queue;
	conn->tg = nvmft_queue_group(queue)->priv;
	conn->port = port;
	conn->fd = fd;
	conn->linger.fn = linger_over;
	conn->params = (struct tcp_params){.cpda = port->opts.hpda_cpda,
					   .maxh2cdata = port->opts.maxh2cdata,
					   .max_in_capsule = TCP_ADMIN_IN_CAPSULE};
	nvmft_tcp_rx_init(conn);
	nvmft_tcp_tx_init(conn);
}

int nvmft_tcp_conn_create(struct nvmft_port *port, struct nvmft_poll_group *group, int fd)
{
	struct tcp_port *tport = nvmft_port_transport(port)->priv;
	union inet_end peer, local;
	struct nvmft_queue *queue;
	struct tcp_conn *conn;
	int ret;

	read_addr(get_peer, fd, &peer);
	read_addr(get_local, fd, &local);
	ret = nvmft_queue_open(port, group, nvmft_inet_key(&peer), &queue);
	if (ret)
		return ret;
	set_options(tport, fd);
	conn = tcp_conn_of(queue);
	conn->peer = peer;
	conn->local = local;
	conn_init(conn, queue, tport, fd);
	nvmft_tcp_rx_arm(conn);
	return 0;
}
