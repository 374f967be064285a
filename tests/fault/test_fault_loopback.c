/* SPDX-License-Identifier: BSD-3-Clause */
/* A target's life over loopback while memory runs out. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fault.h"
#include "host.h"

#define FILE_BYTES (1u << 20)

static struct th t;
static struct th_ctrl ctrl;
static struct nvmft_subsystem *subsys;
static struct nvmft_namespace *added, *extra;
static char path[] = "/tmp/nvmft-fault-XXXXXX";
static _Alignas(4096) unsigned char out[65536 + 8], in[65536 + 8];

/* ---- configuration ---- */

static int start(void *arg)
{
	(void)arg;
	return th_try_start(&t, NULL);
}

static int make_subsystem(void *arg)
{
	struct nvmft_subsystem_opts so = {.size = sizeof(so), .nqn = TH_NQN};

	(void)arg;
	return nvmft_subsystem_create(t.target, &so, &subsys);
}

static int link_port(void *arg)
{
	(void)arg;
	return nvmft_port_link(t.port, subsys);
}

static int make_host(void *arg)
{
	struct nvmft_host *host;

	(void)arg;
	return nvmft_host_create(t.target, TH_HOSTNQN, &host);
}

static int allow_host(void *arg)
{
	(void)arg;
	return nvmft_subsystem_allow_host(subsys, nvmft_host_find(t.target, TH_HOSTNQN));
}

static int add_referral(void *arg)
{
	struct nvmft_referral_opts ro = {.size = sizeof(ro), .trtype = 3, .adrfam = 1, .traddr = "192.0.2.1", .trsvcid = "8009"};

	(void)arg;
	return nvmft_port_add_referral(t.port, &ro);
}

static int add_memory(void *arg)
{
	struct nvmft_memory_opts mo = {.size = sizeof(mo), .bytes = 1u << 20};
	struct nvmft_namespace_opts no = {.size = sizeof(no), .backend = nvmft_backend_memory(), .backend_opts = &mo};

	(void)arg;
	return nvmft_namespace_add(subsys, &no, &added);
}

static int add_null(void *arg)
{
	struct nvmft_null_opts o = {.size = sizeof(o), .bytes = 1u << 20};
	struct nvmft_namespace_opts no = {.size = sizeof(no), .backend = nvmft_backend_null(), .backend_opts = &o};

	(void)arg;
	return nvmft_namespace_add(subsys, &no, &extra);
}

static int add_file(void *arg)
{
	struct nvmft_file_opts fo = {.size = sizeof(fo), .path = path};
	struct nvmft_namespace_opts no = {.size = sizeof(no), .backend = nvmft_backend_file(), .backend_opts = &fo};

	(void)arg;
	return nvmft_namespace_add(subsys, &no, &extra);
}

static int refresh(void *arg)
{
	return nvmft_namespace_refresh(*(struct nvmft_namespace **)arg);
}

static int remove_extra(void *arg)
{
	struct th_done done;
	int err = nvmft_namespace_remove(extra, th_done_init(&done));

	(void)arg;
	return err ? err : th_done_wait(&t, &done);
}

/* ---- a host ---- */

static int connect_host(void *arg)
{
	struct th_ctrl_opts co = {.io_queues = 2, .kato_ms = 10000};

	(void)arg;
	return th_ctrl_try_connect(&t, &ctrl, &co);
}

/* A connection may end for want of memory; the host comes again. */
static bool connected(void)
{
	if (!ctrl.admin.disconnected && !ctrl.io[0].disconnected && !ctrl.io[1].disconnected)
		return true;
	assert_true(fault.hit);
	th_ctrl_disconnect(&ctrl);
	return fault_try(connect_host, NULL, "reconnect");
}

struct command {
	struct th_queue *queue;
	struct nvmft_sqe sqe;
	void *data;
	size_t len;
};

/* What is refused for want of memory is worth another try: no DNR. */
static int command(void *arg)
{
	struct command *c = arg;
	nvmft_status status;

	if (!connected())
		return -ENOTCONN;
	status = th_exec(c->queue, &c->sqe, c->data, c->len);
	if (status & NVMFT_STATUS_DNR)
		fail_msg("opcode %02x: status %04x with DNR (n %u)", c->sqe.opcode, status, fault.n);
	return status;
}

static bool run(const struct nvmft_sqe *sqe, struct th_queue *queue, void *data, size_t len, const char *what)
{
	struct command c = {queue, *sqe, data, len};

	return fault_try(command, &c, what);
}

static bool rw(uint8_t opcode, uint32_t nsid, uint64_t lba, uint32_t blocks, void *data)
{
	struct nvmft_sqe sqe;

	th_sqe_rw(&sqe, opcode, nsid, lba, blocks);
	return run(&sqe, &ctrl.io[nsid & 1], data, data ? blocks * 512u : 0, "I/O");
}

/* Write, read, compare; @off makes the buffers unaligned, @nsid 1 remembers data. */
static void data(uint32_t nsid, size_t off, bool stores)
{
	th_fill(out + off, 65536, nsid + off);
	if (!rw(TH_WRITE, nsid, 8, 128, out + off))
		return;
	memset(in + off, 0x77, 65536);
	if (rw(TH_READ, nsid, 8, 128, in + off) && stores)
		assert_true(th_filled(in + off, 65536, nsid + off));
	if (stores)
		rw(TH_COMPARE, nsid, 8, 128, out + off);
}

static int fused(void *arg)
{
	static struct th_cmd cmds[2];
	struct nvmft_sqe sqe[2];
	nvmft_status a, b;

	(void)arg;
	if (!connected())
		return -ENOTCONN;
	/* What is there is what the first or the second try left: both end with the same data. */
	memset(cmds, 0, sizeof(cmds));
	th_sqe_rw(&sqe[0], TH_COMPARE, 1, 500, 1);
	th_sqe_rw(&sqe[1], TH_WRITE, 1, 500, 1);
	sqe[0].flags |= TH_FUSE_FIRST;
	sqe[1].flags |= TH_FUSE_SECOND;
	memset(out, 0, 512);
	th_submit_many(&ctrl.io[0], cmds, sqe, (void *const[]){out, out}, (const size_t[]){512, 512}, 2);
	b = th_wait_cmd(&cmds[1]);
	if (cmds[1].error) {
		/* Never sent: the first half waits until another command comes or the connection ends. */
		th_sqe_init(&sqe[1], TH_FLUSH, 1);
		if (th_exec(&ctrl.io[0], &sqe[1], NULL, 0))
			th_disconnect(&ctrl.io[0]);
	}
	a = th_wait_cmd(&cmds[0]);
	if (a)
		assert_int_not_equal(b, 0);
	return a ? a : b;
}

static void other_io(uint32_t nsid)
{
	struct th_range ranges[2] = {{.blocks = htole32(8)}, {.blocks = htole32(8), .lba = htole64(64)}};
	struct nvmft_sqe sqe;

	rw(TH_WRITE_ZEROES, nsid, 0, 512, NULL);
	th_sqe_dsm(&sqe, nsid, 2, 4);
	run(&sqe, &ctrl.io[0], ranges, sizeof(ranges), "DSM");
	th_sqe_init(&sqe, TH_FLUSH, nsid);
	run(&sqe, &ctrl.io[0], NULL, 0, "Flush");
	th_sqe_init(&sqe, TH_FLUSH, 0xffffffff);
	run(&sqe, &ctrl.io[1], NULL, 0, "Flush of all");
}

static void admin(void)
{
	static const uint8_t cns[] = {0x01, 0x02, 0x00, 0x03};
	static const uint8_t logs[] = {0x01, 0x02, 0x03, 0x04, 0x05};
	struct nvmft_sqe sqe;

	for (size_t i = 0; i < sizeof(cns); i++) {
		th_sqe_identify(&sqe, cns[i], cns[i] == 0 || cns[i] == 3 ? 1 : 0);
		run(&sqe, &ctrl.admin, in, 4096, "Identify");
	}
	for (size_t i = 0; i < sizeof(logs); i++) {
		th_sqe_log(&sqe, logs[i], 0xffffffff, 0, 512, false);
		run(&sqe, &ctrl.admin, in, 512, "Get Log Page");
	}
	th_sqe_set_features(&sqe, 0x0b, 0x100);
	run(&sqe, &ctrl.admin, NULL, 0, "Set Features");
	th_sqe_get_features(&sqe, 0x0b, 0);
	run(&sqe, &ctrl.admin, NULL, 0, "Get Features");
	th_sqe_init(&sqe, 0x18, 0);
	run(&sqe, &ctrl.admin, NULL, 0, "Keep Alive");
	th_sqe_abort(&sqe, 1, 4711);
	run(&sqe, &ctrl.admin, NULL, 0, "Abort");
}

/* A bad command on purpose: there is an entry for the error log, which may have no memory. */
static void bad_commands(void)
{
	struct nvmft_sqe sqe;

	for (unsigned int i = 0; i < 2 && connected(); i++) {
		th_sqe_rw(&sqe, TH_READ, 1, UINT64_MAX, 1);
		assert_int_not_equal(th_exec(&ctrl.io[i], &sqe, in, 512), 0);
	}
	th_settle(&t);
}

static void session(void)
{
	static struct th_cmd aer;
	struct nvmft_sqe sqe;

	if (!fault_try(connect_host, NULL, "connect"))
		return;
	memset(&aer, 0, sizeof(aer));
	th_sqe_init(&sqe, 0x0c, 0);
	th_submit(&ctrl.admin, &aer, &sqe, NULL, 0);
	data(1, 0, true);
	data(1, 1, true);
	fault_try(fused, NULL, "fused");
	other_io(1);
	admin();
	bad_commands();
	if (fault_try(add_null, NULL, "add null")) {
		th_settle(&t);
		data(2, 0, false);
		fault_try(remove_extra, NULL, "remove null");
	}
	if (fault_try(add_file, NULL, "add file")) {
		th_settle(&t);
		data(2, 0, true);
		data(2, 1, true);
		other_io(2);
		fault_try(refresh, &extra, "refresh");
	}
	th_settle(&t);
	th_ctrl_disconnect(&ctrl);
}

static void discovery(void)
{
	struct th_ctrl_opts co = {.discovery = true};
	struct nvmft_sqe sqe;

	if (th_ctrl_try_connect(&t, &ctrl, &co)) {
		assert_true(fault.hit);
		return;
	}
	th_sqe_log(&sqe, 0x70, 0, 0, 4096, false);
	if (th_exec(&ctrl.admin, &sqe, in, 4096))
		assert_true(fault.hit);
	th_ctrl_disconnect(&ctrl);
}

static void configured(void)
{
	if (!fault_try(make_subsystem, NULL, "subsystem") || !fault_try(link_port, NULL, "link") ||
	    !fault_try(make_host, NULL, "host") || !fault_try(allow_host, NULL, "allow") ||
	    !fault_try(add_referral, NULL, "referral") || !fault_try(add_memory, NULL, "memory") ||
	    !fault_try(refresh, &added, "refresh"))
		return;
	session();
	discovery();
}

static void life(void)
{
	if (!fault_try(start, NULL, "start"))
		return;
	configured();
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

static int setup(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	if (fd < 0 || ftruncate(fd, FILE_BYTES))
		return -1;
	return close(fd);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transient),
		cmocka_unit_test(test_persistent),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
