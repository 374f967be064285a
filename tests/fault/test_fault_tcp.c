/* SPDX-License-Identifier: BSD-3-Clause */
/* A target's life over NVMe/TCP, by a socketpair, while memory runs out. */
#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "fault.h"
#include "host.h"

enum { ICREQ = 0, ICRESP = 1, CAPSULE = 4, RESP = 5, H2C_DATA = 6, C2H_DATA = 7, R2T = 9 };

#define IN_CAPSULE_MAX 8192u
#define QUIET_PASSES 8
#define PATIENCE_S 120 /* of the fake clock: longer than any deadline of the target */

static struct th t;
static struct nvmft_port *port;
static struct nvmft_subsystem *subsys;

/* ---- bytes ---- */

static bool send_all(int fd, const void *bytes, size_t len)
{
	const unsigned char *at = bytes;

	while (len) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0)
			th_settle(&t);
		else
			at += n, len -= (size_t)n;
	}
	return true;
}

/* False: the connection has ended, or nothing came in a time in which the target must have given up. */
static bool recv_all(int fd, void *bytes, size_t len)
{
	unsigned char *at = bytes;
	unsigned int quiet = 0, waited = 0;

	while (len) {
		ssize_t n = recv(fd, at, len, MSG_DONTWAIT);

		if (n > 0) {
			at += n;
			len -= (size_t)n;
			continue;
		}
		if (n == 0 || errno != EAGAIN || waited == PATIENCE_S)
			return false;
		quiet = th_poll(&t) ? 0 : quiet + 1;
		if (quiet > QUIET_PASSES) {
			th_advance_ms(&t, 1000);
			waited++;
			quiet = 0;
		}
	}
	return true;
}

static void header(unsigned char *p, uint8_t type, uint8_t flags, uint8_t hlen, uint8_t pdo, uint32_t plen)
{
	plen = htole32(plen);
	memset(p, 0, hlen);
	p[0] = type;
	p[1] = flags;
	p[2] = hlen;
	p[3] = pdo;
	memcpy(p + 4, &plen, 4);
}

static uint32_t le32_at(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return le32toh(v);
}

/* ---- a connection and its commands ---- */

struct conn {
	int fd;
	uint16_t cntlid;
	uint16_t cid;
};

static void conn_close(struct conn *conn)
{
	if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
	th_settle(&t);
}

static bool send_command(struct conn *conn, struct nvmft_sqe *sqe, const void *data, uint32_t len, bool in_capsule)
{
	unsigned char pdu[72];
	uint32_t le = htole32(len);

	sqe->cid = htole16(++conn->cid);
	sqe->flags |= 0x40;
	memset(sqe->dptr, 0, sizeof(sqe->dptr));
	memcpy(sqe->dptr + 8, &le, 4);
	sqe->dptr[15] = in_capsule ? 0x01 : 0x5a;
	header(pdu, CAPSULE, 0, 72, in_capsule ? 72 : 0, 72 + (in_capsule ? len : 0));
	memcpy(pdu + 8, sqe, 64);
	return send_all(conn->fd, pdu, sizeof(pdu)) && (!in_capsule || send_all(conn->fd, data, len));
}

static bool answer_r2t(struct conn *conn, const unsigned char *r2t, const unsigned char *data)
{
	uint32_t off = le32_at(r2t + 12), len = le32_at(r2t + 16);
	unsigned char pdu[24];

	header(pdu, H2C_DATA, 0x04, 24, 24, 24 + len);
	memcpy(pdu + 8, r2t + 8, 12);
	memcpy(pdu + 16, r2t + 16, 4);
	return send_all(conn->fd, pdu, sizeof(pdu)) && send_all(conn->fd, data + off, len);
}

/* The status of the command, or -ENOTCONN. */
static int exchange(struct conn *conn, void *data, struct nvmft_cqe *cqe)
{
	unsigned char pdu[128];

	for (;;) {
		if (!recv_all(conn->fd, pdu, 8) || !recv_all(conn->fd, pdu + 8, (size_t)pdu[2] - 8))
			return -ENOTCONN;
		switch (pdu[0]) {
		case RESP:
			memcpy(cqe, pdu + 8, sizeof(*cqe));
			return (le16toh(cqe->status) >> 1) & 0x47ff;
		case R2T:
			if (!answer_r2t(conn, pdu, data))
				return -ENOTCONN;
			break;
		case C2H_DATA:
			if (!recv_all(conn->fd, (unsigned char *)data + le32_at(pdu + 12), le32_at(pdu + 16)))
				return -ENOTCONN;
			if (pdu[1] & 0x08)
				return 0;
			break;
		default:
			fail_msg("PDU type %u (n %u)", pdu[0], fault.n);
		}
	}
}

static int command(struct conn *conn, struct nvmft_sqe *sqe, void *data, uint32_t len, struct nvmft_cqe *cqe)
{
	bool from_host = (sqe->opcode & 3) == 1 || (sqe->opcode == 0x7f && (sqe->nsid & 3) == 1);
	int status;

	if (!send_command(conn, sqe, data, len, from_host && len && len <= IN_CAPSULE_MAX))
		return -ENOTCONN;
	status = exchange(conn, data, cqe);
	if (status > 0 && (status & 0x4000))
		fail_msg("opcode %02x: status %04x with DNR (n %u)", sqe->opcode, (unsigned int)status, fault.n);
	return status;
}

static int connect_queue(struct conn *conn, uint16_t qid, uint16_t cntlid)
{
	static unsigned char data[1024];
	struct nvmft_sqe sqe;
	struct nvmft_cqe cqe;
	unsigned char ic[128];
	int fds[2], ret;

	conn->fd = -1;
	conn->cid = 0;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ret = nvmft_tcp_serve(port, t.groups[0].group, fds[1]);
	if (ret) {
		close(fds[0]);
		close(fds[1]);
		return ret;
	}
	conn->fd = fds[0];
	header(ic, ICREQ, 0, 128, 0, 128);
	if (!send_all(conn->fd, ic, 128) || !recv_all(conn->fd, ic, 128))
		return -ENOTCONN;
	memset(data, 0, sizeof(data));
	memset(data, 0x33, 16);
	data[16] = (unsigned char)cntlid;
	data[17] = (unsigned char)(cntlid >> 8);
	strcpy((char *)data + 256, TH_NQN);
	strcpy((char *)data + 512, TH_HOSTNQN);
	th_sqe_fabrics(&sqe, 0x01);
	sqe.cdw10 = htole32((uint32_t)qid << 16);
	sqe.cdw11 = htole32(31);
	ret = command(conn, &sqe, data, sizeof(data), &cqe);
	conn->cntlid = (uint16_t)le32toh(cqe.dw0);
	return ret;
}

/* ---- the two queues of a host ---- */

static struct conn admin = {.fd = -1}, io = {.fd = -1};

static void host_close(void)
{
	conn_close(&io);
	conn_close(&admin);
}

static int host_open(void *arg)
{
	struct nvmft_sqe sqe;
	struct nvmft_cqe cqe;
	int ret;

	(void)arg;
	ret = connect_queue(&admin, 0, 0xffff);
	if (!ret) {
		th_sqe_fabrics(&sqe, 0x00);
		sqe.cdw11 = htole32(0x14);
		sqe.cdw12 = htole32(0x00460001);
		ret = command(&admin, &sqe, NULL, 0, &cqe);
	}
	if (!ret)
		ret = connect_queue(&io, 1, admin.cntlid);
	if (ret)
		host_close();
	return ret;
}

static unsigned char out[65536], in[65536];

struct transfer {
	uint8_t opcode;
	uint64_t lba;
	uint32_t blocks;
};

static int transfer(void *arg)
{
	const struct transfer *x = arg;
	struct nvmft_sqe sqe;
	struct nvmft_cqe cqe;
	int ret;

	if (io.fd < 0) {
		ret = host_open(NULL);
		if (ret)
			return ret;
	}
	th_sqe_rw(&sqe, x->opcode, 1, x->lba, x->blocks);
	ret = command(&io, &sqe, x->opcode == TH_READ ? in : out, x->blocks * 512, &cqe);
	if (ret < 0)
		host_close();
	return ret;
}

static int identify(void *arg)
{
	struct nvmft_sqe sqe;
	struct nvmft_cqe cqe;
	int ret;

	(void)arg;
	if (admin.fd < 0) {
		ret = host_open(NULL);
		if (ret)
			return ret;
	}
	th_sqe_identify(&sqe, 1, 0);
	ret = command(&admin, &sqe, in, 4096, &cqe);
	if (ret < 0)
		host_close();
	return ret;
}

static void session(void)
{
	static const uint32_t sizes[] = {1, 8, 16, 17, 128};

	if (!fault_try(host_open, NULL, "connect"))
		return;
	fault_try(identify, NULL, "Identify");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct transfer w = {TH_WRITE, i, sizes[i]}, r = {TH_READ, i, sizes[i]}, c = {TH_COMPARE, i, sizes[i]};

		th_fill(out, sizes[i] * 512, i);
		if (!fault_try(transfer, &w, "Write"))
			continue;
		memset(in, 0x77, sizeof(in));
		if (fault_try(transfer, &r, "Read"))
			assert_true(th_filled(in, sizes[i] * 512, i));
		fault_try(transfer, &c, "Compare");
	}
	host_close();
}

/* ---- the target ---- */

static int start(void *arg)
{
	(void)arg;
	return th_try_start(&t, NULL);
}

static int add_port(void *arg)
{
	struct nvmft_port_opts po = {.size = sizeof(po), .transport = nvmft_transport_tcp(), .traddr = "none"};

	(void)arg;
	return nvmft_port_add(t.target, &po, &port);
}

static int make_subsystem(void *arg)
{
	struct nvmft_subsystem_opts so = {.size = sizeof(so), .nqn = TH_NQN, .allow_any_host = true};

	(void)arg;
	return nvmft_subsystem_create(t.target, &so, &subsys);
}

static int link_port(void *arg)
{
	(void)arg;
	return nvmft_port_link(port, subsys);
}

static int add_memory(void *arg)
{
	struct nvmft_memory_opts mo = {.size = sizeof(mo), .bytes = 1u << 20};
	struct nvmft_namespace_opts no = {.size = sizeof(no), .backend = nvmft_backend_memory(), .backend_opts = &mo};

	(void)arg;
	return nvmft_namespace_add(subsys, &no, NULL);
}

static void life(void)
{
	if (!fault_try(start, NULL, "start"))
		return;
	if (fault_try(add_port, NULL, "port") && fault_try(make_subsystem, NULL, "subsystem") &&
	    fault_try(link_port, NULL, "link") && fault_try(add_memory, NULL, "memory"))
		session();
	th_stop(&t);
}

static void test_transient(void **state)
{
	(void)state;
	print_message("%u runs\n", fault_sweep(life, false));
}

static void test_persistent(void **state)
{
	(void)state;
	print_message("%u runs\n", fault_sweep(life, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transient),
		cmocka_unit_test(test_persistent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
