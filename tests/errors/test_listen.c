/* SPDX-License-Identifier: BSD-3-Clause */
/* Real sockets: addresses, accepting, limits by address, and what happens without file descriptors. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

static struct world *tcp_world(const struct nvmft_port_opts *port)
{
	struct world_opts opts = {0};

	if (port)
		opts.port = *port;
	if (!opts.port.traddr)
		opts.port.traddr = "127.0.0.1";
	opts.port.trsvcid = "0";
	return world_create(&opts);
}

static uint16_t port_number(struct world *world)
{
	char traddr[256], trsvcid[32];

	nvmft_port_address(world->port, traddr, trsvcid);
	return (uint16_t)atoi(trsvcid);
}

/* A connection from 127.0.0.@host. */
static int connect_from(struct world *world, uint8_t host)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(port_number(world)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000000u | host)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	world_settle(world);
	return fd;
}

static bool answers_icreq(struct world *world, int fd)
{
	uint8_t bytes[128];

	wire_icreq_bytes(bytes);
	if (send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) != sizeof(bytes))
		return false;
	world_settle(world);
	return recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) == 128;
}

static bool is_closed(struct world *world, int fd)
{
	char byte;
	ssize_t n;

	world_settle(world);
	n = recv(fd, &byte, 1, MSG_DONTWAIT);
	return n == 0 || (n < 0 && errno != EAGAIN);
}

struct address_case {
	const char *traddr, *trsvcid;
	int result;
	const char *logged;
};

static const struct address_case address_cases[] = {
	{"localhost", "0", -EINVAL, "traddr"},      {"", "0", -EINVAL, "traddr"},
	{"127.0.0.256", "0", -EINVAL, "traddr"},    {"1.2.3.4.5", "0", -EINVAL, "traddr"},
	{"fe80::zz", "0", -EINVAL, "traddr"},       {"192.0.2.1", "0", -EADDRNOTAVAIL, "traddr"},
	{"127.0.0.1", "65536", -EINVAL, "trsvcid"}, {"127.0.0.1", "-1", -EINVAL, "trsvcid"},
	{"127.0.0.1", "nvme", -EINVAL, "trsvcid"},  {"127.0.0.1", "44 20", -EINVAL, "trsvcid"},
};

static void test_bad_addresses(void **state)
{
	struct world *world = *state;

	for (size_t i = 0; i < ARRAY_SIZE(address_cases); i++) {
		const struct address_case *c = &address_cases[i];
		const struct nvmft_port_opts opts = {.size = sizeof(opts),
						     .transport = nvmft_transport_tcp(),
						     .traddr = c->traddr,
						     .trsvcid = c->trsvcid};
		struct nvmft_port *port;
		int ret;

		world->log_len = 0;
		world->log[0] = 0;
		ret = nvmft_port_add(world->target, &opts, &port);
		if (ret != c->result || !strstr(world->log, c->logged))
			fail_msg("%s %s: %d, log: %s", c->traddr, c->trsvcid, ret, world->log);
	}
}

static void test_bad_options(void **state)
{
	static const struct nvmft_tcp_opts bad[] = {
		{.maxh2cdata = 4095}, {.maxh2cdata = 4098}, {.hpda_cpda = 32},
		{.backlog = -1},      {.sndbuf = -1},       {.rcvbuf = -1},
	};
	struct world *world = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct nvmft_tcp_opts tcp = bad[i];
		const struct nvmft_port_opts opts = {.size = sizeof(opts),
						     .transport = nvmft_transport_tcp(),
						     .transport_opts = &tcp,
						     .traddr = "127.0.0.1",
						     .trsvcid = "0"};
		struct nvmft_port *port;

		tcp.size = sizeof(tcp);
		assert_int_equal(nvmft_port_add(world->target, &opts, &port), -EINVAL);
	}
}

static void test_address_in_use(void **state)
{
	struct world *world = tcp_world(NULL);
	char traddr[256], trsvcid[32];
	struct nvmft_port_opts opts = {.size = sizeof(opts), .transport = nvmft_transport_tcp()};
	struct nvmft_port *port;

	(void)state;
	nvmft_port_address(world->port, traddr, trsvcid);
	opts.traddr = traddr;
	opts.trsvcid = trsvcid;
	assert_int_equal(nvmft_port_add(world->target, &opts, &port), -EADDRINUSE);
	assert_non_null(strstr(world->log, trsvcid));
	world_destroy(world);
}

static void test_address_is_free_after_removal(void **state)
{
	struct world *world = tcp_world(NULL);
	char traddr[256], trsvcid[32];
	struct nvmft_port_opts opts = {.size = sizeof(opts), .transport = nvmft_transport_tcp()};

	(void)state;
	nvmft_port_address(world->port, traddr, trsvcid);
	opts.traddr = traddr;
	opts.trsvcid = trsvcid;
	for (int i = 0; i < 5; i++) {
		int fd = connect_from(world, 1);

		assert_int_equal(nvmft_port_remove(world->port, NULL), 0);
		world_settle(world);
		assert_true(is_closed(world, fd));
		close(fd);
		assert_int_equal(nvmft_port_add(world->target, &opts, &world->port), 0);
		world_settle(world);
	}
	world_destroy(world);
}

static void expect_family(const char *traddr, int family, const char *peer, bool reachable)
{
	const struct nvmft_port_opts opts = {.traddr = traddr};
	struct world *world = tcp_world(&opts);
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port_number(world))};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = in6.sin6_port};
	const struct sockaddr *sa = family == AF_INET ? (struct sockaddr *)&in : (struct sockaddr *)&in6;
	int fd = socket(family, SOCK_STREAM, 0);

	inet_pton(family, peer, family == AF_INET ? (void *)&in.sin_addr : (void *)&in6.sin6_addr);
	assert_int_equal(connect(fd, sa, family == AF_INET ? sizeof(in) : sizeof(in6)) == 0, reachable);
	world_settle(world);
	if (reachable)
		assert_true(answers_icreq(world, fd));
	close(fd);
	world_destroy(world);
}

static bool have_ipv6(void)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	bool have = fd >= 0 && bind(fd, (struct sockaddr *)&in6, sizeof(in6)) == 0;

	if (fd >= 0)
		close(fd);
	return have;
}

static void test_families(void **state)
{
	(void)state;
	expect_family("0.0.0.0", AF_INET, "127.0.0.1", true);
	if (!have_ipv6())
		skip();
	expect_family("::1", AF_INET6, "::1", true);
	expect_family("::", AF_INET6, "::1", true);
	expect_family("::", AF_INET, "127.0.0.1", true);
	expect_family("127.0.0.1", AF_INET6, "::1", false);
	expect_family("::1", AF_INET, "127.0.0.1", false);
}

static void test_serve_on_a_port_of_another_transport(void **state)
{
	struct world *world = *state;
	const struct nvmft_port_opts opts = {
		.size = sizeof(opts), .transport = nvmft_transport_loopback(), .traddr = "x", .trsvcid = "y"};
	struct nvmft_port *port;
	int fds[2];

	assert_int_equal(nvmft_port_add(world->target, &opts, &port), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(nvmft_tcp_serve(port, world->group, fds[1]), -EINVAL);
	/* Still the caller's. */
	close(fds[0]);
	close(fds[1]);
}

/* The port goes while a descriptor is on its way to the group. */
static void test_serve_then_remove_the_port(void **state)
{
	struct world *world = *state;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(nvmft_tcp_serve(world->port, world->group, fds[1]), 0);
	assert_int_equal(nvmft_port_remove(world->port, NULL), 0);
	assert_true(is_closed(world, fds[0]));
	close(fds[0]);
}

/* Whoever accepts connections may not know yet that the target is stopped. */
static void test_serve_after_the_stop(void **state)
{
	struct world *world = *state;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	world_stop(world);
	assert_int_equal(nvmft_tcp_serve(world->port, world->group, fds[1]), -ESHUTDOWN);
	close(fds[0]);
	close(fds[1]);
}

/* A descriptor that was made non-blocking by whoever accepted it. */
static void test_serve_a_nonblocking_socket(void **state)
{
	struct world *world = *state;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(nvmft_tcp_serve(world->port, world->group, fds[1]), 0);
	world_settle(world);
	assert_true(answers_icreq(world, fds[0]));
	close(fds[0]);
}

static void test_serve_something_that_is_no_socket(void **state)
{
	struct world *world = *state;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_int_equal(nvmft_tcp_serve(world->port, world->group, fd), 0);
	world_settle(world);
	assert_int_equal(world_stats(world).connections, 0);
}

static void test_limit_of_pending_connections_per_address(void **state)
{
	const struct nvmft_port_opts opts = {.max_pending_per_address = 2};
	struct world *world = tcp_world(&opts);
	int fds[4];

	(void)state;
	for (int i = 0; i < 3; i++)
		fds[i] = connect_from(world, 1);
	fds[3] = connect_from(world, 2);
	assert_true(answers_icreq(world, fds[0]));
	assert_true(answers_icreq(world, fds[1]));
	assert_true(is_closed(world, fds[2]));
	assert_true(answers_icreq(world, fds[3]));
	close(fds[0]);
	close(fds[2]);
	world_settle(world);
	fds[0] = connect_from(world, 1);
	assert_true(answers_icreq(world, fds[0]));
	close(fds[0]);
	close(fds[1]);
	close(fds[3]);
	world_destroy(world);
}

static struct nvmft_poll_group *place(void *ctx, struct nvmft_port *port)
{
	(void)port;
	return *(struct nvmft_poll_group **)ctx;
}

static void settle_both(struct world *world, struct nvmft_poll_group *group)
{
	for (int i = 0; i < 50; i++) {
		assert_true(nvmft_poll(group, 0) >= 0);
		assert_true(nvmft_poll(world->group, 0) >= 0);
	}
}

/* Accepted in one group, served in another; and the port goes while a connection is between the two. */
static void test_connection_travels_to_its_group(void **state)
{
	struct nvmft_poll_group *group = NULL;
	const struct nvmft_port_opts opts = {.place = place, .place_ctx = &group};
	struct world *world = tcp_world(&opts);
	uint8_t bytes[128];
	int fd;

	(void)state;
	assert_int_equal(nvmft_poll_group_create(world->target, &group), 0);
	fd = connect_from(world, 1);
	wire_icreq_bytes(bytes);
	assert_int_equal(send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL), sizeof(bytes));
	/* The group that accepts has done its part; nothing answers before the other one runs. */
	world_settle(world);
	assert_int_equal(recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT), -1);
	settle_both(world, group);
	assert_int_equal(recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT), 128);
	close(fd);
	settle_both(world, group);
	assert_int_equal(world_stats(world).connections, 0);
	fd = connect_from(world, 1);
	assert_int_equal(nvmft_port_remove(world->port, NULL), 0);
	world_settle(world);
	settle_both(world, group);
	assert_true(is_closed(world, fd));
	close(fd);
	settle_both(world, group);
	world->other = group;
	world_destroy(world);
}

static void reset(int fd)
{
	const struct linger linger = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
}

/* Reset before, while and after the connection is accepted and has sent something. */
static void test_storm_of_resets(void **state)
{
	struct world *world = tcp_world(NULL);
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(port_number(world)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	uint8_t bytes[128];

	(void)state;
	wire_icreq_bytes(bytes);
	for (int i = 0; i < 3000; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
		if (i % 3 == 0)
			nvmft_poll(world->group, 0);
		if (i % 2)
			assert_true(send(fd, bytes, (size_t)(i % 128 + 1), MSG_NOSIGNAL) > 0);
		if (i % 5 == 0)
			nvmft_poll(world->group, 0);
		reset(fd);
		if (i % 100 == 0)
			world_settle(world);
	}
	world_settle(world);
	assert_int_equal(world_stats(world).connections, 0);
	world_destroy(world);
}

/* Out of descriptors: no spinning, the log says so once, and accepting goes on when there are some. */
static void test_no_file_descriptors_left(void **state)
{
	struct rlimit before, low = {0};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fds[8], hog[64], nhog = 0, nlogged = 0;
	struct world *world;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low.rlim_cur = 64;
	low.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	world = tcp_world(NULL);
	to.sin_port = htons(port_number(world));
	for (int i = 0; i < 4; i++)
		fds[i] = connect_from(world, 1);
	for (int i = 4; i < 8; i++)
		fds[i] = socket(AF_INET, SOCK_STREAM, 0);
	while (nhog < 64 && (hog[nhog] = dup(0)) >= 0)
		nhog++;
	for (int i = 4; i < 8; i++)
		assert_int_equal(connect(fds[i], (struct sockaddr *)&to, sizeof(to)), 0);
	/* It settles, so it does not spin; and who is connected is served. */
	world_settle(world);
	world_pass(world, 5000);
	assert_true(answers_icreq(world, fds[0]));
	assert_false(answers_icreq(world, fds[7]));
	while (nhog > 0)
		close(hog[--nhog]);
	world_pass(world, 1500);
	for (int i = 4; i < 7; i++)
		assert_true(answers_icreq(world, fds[i]));
	for (const char *p = world->log; (p = strstr(p, "cannot accept")); p++)
		nlogged++;
	assert_int_equal(nlogged, 1);
	for (int i = 0; i < 8; i++)
		close(fds[i]);
	world_destroy(world);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(test_bad_addresses),
		T(test_bad_options),
		cmocka_unit_test(test_address_in_use),
		cmocka_unit_test(test_address_is_free_after_removal),
		cmocka_unit_test(test_families),
		T(test_serve_on_a_port_of_another_transport),
		T(test_serve_then_remove_the_port),
		T(test_serve_after_the_stop),
		T(test_serve_a_nonblocking_socket),
		T(test_serve_something_that_is_no_socket),
		cmocka_unit_test(test_limit_of_pending_connections_per_address),
		cmocka_unit_test(test_connection_travels_to_its_group),
		cmocka_unit_test(test_storm_of_resets),
		cmocka_unit_test(test_no_file_descriptors_left),
	};

	return cmocka_run_group_tests_name("listen", tests, NULL, NULL);
}
