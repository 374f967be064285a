/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lean.h"

#define PIECES 128
#define EVENTS 128

static void consume(struct lean_conn *conn, size_t bytes)
{
	while (bytes) {
		struct lean_piece *piece = &conn->pieces[conn->head];
		size_t n = bytes < piece->len ? bytes : piece->len;

		piece->base += n;
		piece->len -= n;
		bytes -= n;
		if (piece->len)
			continue;
		conn->head = (conn->head + 1) % conn->ring;
		conn->count--;
	}
}

static bool send_queued(struct lean_conn *conn)
{
	struct iovec iov[PIECES];
	struct msghdr msg = {.msg_iov = iov};
	ssize_t n;

	conn->blocked = false;
	while (conn->count && !conn->blocked) {
		unsigned int i, pieces = conn->count < PIECES ? conn->count : PIECES;

		for (i = 0; i < pieces; i++) {
			struct lean_piece *piece = &conn->pieces[(conn->head + i) % conn->ring];

			iov[i] = (struct iovec){(void *)(uintptr_t)piece->base, piece->len};
		}
		msg.msg_iovlen = pieces;
		n = sendmsg(conn->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN)
			return false;
		conn->blocked = n < 0;
		consume(conn, n > 0 ? (size_t)n : 0);
	}
	return true;
}

static bool serve(struct lean *lean, struct lean_conn *conn)
{
	ssize_t n = recv(conn->fd, lean->rx, sizeof(lean->rx), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN) || (n > 0 && !lean_input(lean, conn, lean->rx, (size_t)n))) {
		fprintf(stderr, "lean_gen: connection lost: %s\n",
			n < 0 ? strerror(errno)
			: n   ? "not understood"
			      : "closed");
		return false;
	}
	lean->receives += n > 0;
	return !conn->count || send_queued(conn);
}

static bool serve_all(struct lean *lean, int ep)
{
	struct epoll_event events[EVENTS];
	unsigned int i;
	int n;

	if (lean->opts->queues == 1)
		return serve(lean, lean->conns);
	n = epoll_wait(ep, events, EVENTS, 0);
	for (i = 0; n > 0 && i < (unsigned int)n; i++)
		if (!serve(lean, events[i].data.ptr))
			return false;
	/* Only sockets that took less than they were given. */
	for (i = 0; i < lean->opts->queues; i++)
		if (lean->conns[i].blocked && !send_queued(&lean->conns[i]))
			return false;
	return true;
}

static bool start_all(struct lean *lean, int ep)
{
	unsigned int i, cid;

	for (i = 0; i < lean->opts->queues; i++) {
		struct lean_conn *conn = &lean->conns[i];
		struct epoll_event ev = {.events = EPOLLIN, .data.ptr = conn};

		if (epoll_ctl(ep, EPOLL_CTL_ADD, conn->fd, &ev) < 0)
			return false;
		for (cid = 0; cid < lean->opts->depth; cid++)
			lean_queue_cmd(conn, (uint16_t)cid);
		if (!send_queued(conn))
			return false;
	}
	return true;
}

/* Wait for the answers of what is in flight, or for the connections' sake until nothing comes for a second. */
static bool drain(struct lean *lean, int ep, uint64_t start_count)
{
	uint64_t expected = start_count + (uint64_t)lean->opts->queues * lean->opts->depth;
	uint64_t deadline = host_now() + 2000000000;

	while (lean->done < expected && host_now() < deadline)
		if (!serve_all(lean, ep))
			return false;
	return lean->done >= expected;
}

int lean_run(struct lean *lean, double *seconds)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), rc = -1;
	uint64_t start = host_now(), now = start, stopped_at;
	unsigned int spins = 0;

	if (ep < 0 || !start_all(lean, ep))
		goto out;
	while ((!lean->opts->ios || lean->done < lean->opts->ios) &&
	       (!lean->opts->time_ns || now < start + lean->opts->time_ns)) {
		if (!serve_all(lean, ep))
			goto out;
		if (spins++ % 16 == 0)
			now = host_now();
	}
	*seconds = (double)(host_now() - start) / 1e9;
	lean->stop = true;
	stopped_at = lean->done;
	rc = drain(lean, ep, stopped_at) ? 0 : -1;
	if (rc)
		fprintf(stderr, "lean_gen: %llu commands without an answer\n",
			(unsigned long long)(stopped_at + (uint64_t)lean->opts->queues * lean->opts->depth -
					     lean->done));
	lean->done = stopped_at;
out:
	close(ep);
	return rc;
}
