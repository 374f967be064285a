/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "floor.h"

#define EVENTS 128
#define PIECES 64

static void add_conn(int ep, int listener)
{
	struct epoll_event ev = {.events = EPOLLIN};
	struct floor_conn *conn;
	int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	conn = fd < 0 ? NULL : calloc(1, sizeof(*conn));
	if (!conn)
		return;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	conn->fd = fd;
	ev.data.ptr = conn;
	(void)epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

static bool send_owed(int ep, const struct floor_load *load, struct floor_conn *conn)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = conn};
	struct iovec iov[PIECES];
	struct msghdr msg = {.msg_iov = iov};
	bool blocked = false;
	ssize_t n;

	while (conn->owed && !blocked) {
		msg.msg_iovlen = floor_pending(load, conn, iov, PIECES);
		n = sendmsg(conn->fd, &msg, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return false;
		blocked = n < 0;
		if (n > 0)
			floor_sent(load, conn, (size_t)n);
	}
	/* Blocked is rare, and costs a system call; unblocked again is noticed by an event that finds nothing to do. */
	if (blocked != conn->blocked) {
		ev.events |= blocked ? (uint32_t)EPOLLOUT : 0;
		(void)epoll_ctl(ep, EPOLL_CTL_MOD, conn->fd, &ev);
		conn->blocked = blocked;
	}
	return true;
}

static void serve(int ep, const struct floor_load *load, struct floor_conn *conn)
{
	static uint8_t rx[FLOOR_RX];
	ssize_t n = recv(conn->fd, rx, sizeof(rx), 0);

	if (n < 0 && errno == EAGAIN)
		n = 0;
	else if (n <= 0 || !floor_input(load, conn, rx, (size_t)n))
		goto drop;
	if (send_owed(ep, load, conn))
		return;
drop:
	close(conn->fd);
	free(conn);
}

int floor_serve_epoll(int listener, const struct floor_load *load)
{
	struct epoll_event events[EVENTS], ev = {.events = EPOLLIN};
	int i, n, ep = epoll_create1(EPOLL_CLOEXEC);

	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev) < 0)
		return -1;
	for (;;) {
		n = epoll_wait(ep, events, EVENTS, 0);
		for (i = 0; i < n; i++) {
			if (events[i].data.ptr)
				serve(ep, load, events[i].data.ptr);
			else
				add_conn(ep, listener);
		}
	}
}
