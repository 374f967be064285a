/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host_tcp.h"

static int wait_for(int fd, short events, uint64_t deadline)
{
	struct pollfd pfd = {.fd = fd, .events = events};
	uint64_t now = host_now();
	int n;

	if (now >= deadline)
		return -ETIMEDOUT;
	n = poll(&pfd, 1, (int)((deadline - now) / 1000000) + 1);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n ? 0 : -ETIMEDOUT;
}

static int connect_one(const struct addrinfo *ai, uint64_t deadline)
{
	int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, ai->ai_protocol);
	socklen_t len = sizeof(int);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0)
		return fd;
	error = errno == EINPROGRESS ? -wait_for(fd, POLLOUT, deadline) : errno;
	if (!error && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (!error)
		return fd;
	close(fd);
	return -error;
}

static int connect_any(const struct host_connect *how, uint64_t deadline, struct host_error *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *list, *ai;
	int one = 1, fd = -ENOENT;
	int rc = getaddrinfo(how->addr->host, how->addr->service, &hints, &list);

	if (rc) {
		host_fail(err, "cannot resolve %s port %s: %s", how->addr->host, how->addr->service, gai_strerror(rc));
		return -1;
	}
	for (ai = list; ai && fd < 0; ai = ai->ai_next)
		fd = connect_one(ai, deadline);
	freeaddrinfo(list);
	if (fd < 0) {
		host_fail(err, "cannot connect to %s port %s: %s", how->addr->host, how->addr->service, strerror(-fd));
		return -1;
	}
	/* Each pass sends all that it has at once: there is nothing to gather. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static int exchange(int fd, const struct pdu_icreq *req, struct pdu_icresp *resp, uint64_t deadline)
{
	size_t got = 0;
	ssize_t n;
	int rc;

	/* The send buffer of a new connection takes 128 bytes. */
	if (send(fd, req, sizeof(*req), MSG_NOSIGNAL) != sizeof(*req))
		return -errno;
	while (got < sizeof(*resp)) {
		n = recv(fd, (uint8_t *)resp + got, sizeof(*resp) - got, 0);
		if (n == 0)
			return -ECONNRESET;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		got += n > 0 ? (size_t)n : 0;
		if (got >= sizeof(struct pdu_common) && resp->ch.type != PDU_ICRESP)
			return 0;
		rc = n < 0 ? wait_for(fd, POLLIN, deadline) : 0;
		if (rc)
			return rc;
	}
	return 0;
}

int tcp_open(const struct host_connect *how, struct pdu_params *params, struct host_error *err)
{
	uint64_t deadline = host_now() + how->timeout_ms * 1000000ull;
	struct pdu_icresp resp = {0};
	struct pdu_icreq req;
	const char *wrong;
	int fd, rc;

	fd = connect_any(how, deadline, err);
	if (fd < 0)
		return -1;
	pdu_build_icreq(&req, how->hdgst, how->ddgst);
	rc = exchange(fd, &req, &resp, deadline);
	if (rc) {
		host_fail(err, "no ICResp from %s port %s: %s", how->addr->host, how->addr->service, strerror(-rc));
		close(fd);
		return -1;
	}
	wrong = pdu_parse_icresp(&resp, &req, params);
	if (!wrong && (params->hdgst != how->hdgst || params->ddgst != how->ddgst))
		wrong = "the target does not agree to the digests";
	if (wrong) {
		host_fail(err, "%s port %s: %s", how->addr->host, how->addr->service, wrong);
		close(fd);
		return -1;
	}
	return fd;
}
