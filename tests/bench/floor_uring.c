/* SPDX-License-Identifier: BSD-3-Clause */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <liburing.h>

#include "floor.h"

#define PIECES 64
#define ENTRIES 4096

struct uring_conn {
	struct floor_conn conn;
	bool sending;
	bool closing;
	struct msghdr msg;
	struct iovec iov[PIECES];
	uint8_t rx[FLOOR_RX];
};

/* The low bit of user_data tells a send from a receive; 0 is the listener. */
static struct io_uring_sqe *get_sqe(struct io_uring *ring)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(ring)))
		io_uring_submit(ring);
	return sqe;
}

static void start_accept(struct io_uring *ring, int listener)
{
	struct io_uring_sqe *sqe = get_sqe(ring);

	io_uring_prep_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data64(sqe, 0);
}

static void start_recv(struct io_uring *ring, struct uring_conn *c)
{
	struct io_uring_sqe *sqe = get_sqe(ring);

	io_uring_prep_recv(sqe, c->conn.fd, c->rx, sizeof(c->rx), 0);
	io_uring_sqe_set_data64(sqe, (uintptr_t)c);
}

static void start_send(struct io_uring *ring, const struct floor_load *load, struct uring_conn *c)
{
	struct io_uring_sqe *sqe;

	if (c->sending || !c->conn.owed)
		return;
	c->msg = (struct msghdr){.msg_iov = c->iov, .msg_iovlen = floor_pending(load, &c->conn, c->iov, PIECES)};
	sqe = get_sqe(ring);
	io_uring_prep_sendmsg(sqe, c->conn.fd, &c->msg, MSG_NOSIGNAL | MSG_WAITALL);
	io_uring_sqe_set_data64(sqe, (uintptr_t)c | 1);
	c->sending = true;
}

static void accepted(struct io_uring *ring, int listener, int fd)
{
	struct uring_conn *c = fd < 0 ? NULL : calloc(1, sizeof(*c));
	int one = 1;

	start_accept(ring, listener);
	if (!c)
		return;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->conn.fd = fd;
	start_recv(ring, c);
}

static void closed(struct uring_conn *c)
{
	c->closing = true;
	if (c->sending)
		return;
	close(c->conn.fd);
	free(c);
}

static void completed(struct io_uring *ring, const struct floor_load *load, struct uring_conn *c, bool was_send,
		      int res)
{
	if (was_send)
		c->sending = false;
	if (c->closing || res <= 0) {
		/* A send that fails is followed by a receive that fails. */
		if (!was_send || c->closing)
			closed(c);
		return;
	}
	if (was_send) {
		floor_sent(load, &c->conn, (size_t)res);
	} else if (!floor_input(load, &c->conn, c->rx, (size_t)res)) {
		closed(c);
		return;
	} else {
		start_recv(ring, c);
	}
	start_send(ring, load, c);
}

int floor_serve_uring(int listener, const struct floor_load *load)
{
	struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
	struct io_uring ring;
	struct io_uring_cqe *cqe;
	unsigned int head, n;

	if (io_uring_queue_init_params(ENTRIES, &ring, &params) < 0)
		return -1;
	start_accept(&ring, listener);
	for (;;) {
		io_uring_submit_and_get_events(&ring);
		n = 0;
		io_uring_for_each_cqe(&ring, head, cqe)
		{
			uintptr_t data = (uintptr_t)cqe->user_data;

			n++;
			if (!data)
				accepted(&ring, listener, cqe->res);
			else
				completed(&ring, load, (struct uring_conn *)(data & ~(uintptr_t)1), data & 1, cqe->res);
		}
		io_uring_cq_advance(&ring, n);
	}
}
