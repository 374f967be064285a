/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits: as many queues and as deep as the specification allows, at no cost while they are idle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host.h"

#define QUEUES 65535u
#define BYTES_PER_IDLE_QUEUE 2048u

static long resident_bytes(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*s %ld", &pages), 1);
	fclose(f);
	return pages * 4096;
}

struct many {
	struct nvmft_loopback_queue *queue;
	uint32_t connected, failed, disconnected;
	int status;
};

static void many_connected(void *ctx, struct nvmft_loopback_queue *queue, int status, uint16_t cntlid)
{
	struct many *m = ctx;

	(void)queue;
	(void)cntlid;
	m->status = status;
	if (status)
		m->failed++;
	else
		m->connected++;
}

static void many_disconnected(void *ctx, struct nvmft_loopback_queue *queue)
{
	struct many *m = ctx;

	(void)queue;
	m->disconnected++;
}

static void grant_all_queues(struct th_queue *admin)
{
	struct nvmft_sqe sqe;

	assert_int_equal(th_property_set(admin, 0x14, false, 0x460001), 0);
	th_sqe_set_features(&sqe, 7, 0xfffefffe);
	assert_int_equal(th_exec(admin, &sqe, NULL, 0), 0);
	assert_int_equal(admin->cqe.dw0, 0xfffefffe);
}

static void connect_all_queues(struct th *t, struct th_queue *admin, struct many *m)
{
	struct nvmft_loopback_opts opts = {.size = sizeof(opts), .port = t->port, .group = t->groups[0].group,
					   .subnqn = TH_NQN, .hostnqn = TH_HOSTNQN, .cntlid = admin->cntlid,
					   .sqsize = 65535, .connected = many_connected,
					   .disconnected = many_disconnected, .ctx = m};
	uint32_t qid;

	for (qid = 1; qid <= QUEUES; qid++) {
		struct nvmft_loopback_queue *queue;

		opts.qid = (uint16_t)qid;
		assert_int_equal(nvmft_loopback_connect(&opts, &queue), 0);
		if (qid == QUEUES)
			m->queue = queue;
		if (qid % 64 == 0)
			th_poll(t);
	}
	th_settle(t);
}

static void all_queues_of_the_greatest_depth(void **state)
{
	struct nvmft_subsystem_opts so = {.size = sizeof(so), .nqn = TH_NQN, .allow_any_host = true, .max_io_queues = QUEUES};
	struct nvmft_loopback_opts opts = {.size = sizeof(opts), .hostnqn = TH_HOSTNQN};
	struct th_queue admin;
	struct many m = {0};
	struct th t;
	long before;

	(void)state;
	th_start(&t, NULL);
	th_add_null(th_add_subsystem_opts(&t, &so), 1 << 20, 512);
	assert_int_equal(th_connect(&t, &admin, &opts), 0);
	grant_all_queues(&admin);
	before = resident_bytes();
	connect_all_queues(&t, &admin, &m);
	assert_int_equal(m.failed, 0);
	assert_int_equal(m.connected, QUEUES);
	print_message("%ld bytes per idle queue of depth 65536, host and target together\n",
		      (resident_bytes() - before) / (long)QUEUES);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_true((resident_bytes() - before) / (long)QUEUES < (long)BYTES_PER_IDLE_QUEUE);
#endif
	th_disconnect(&admin);
	th_settle(&t);
	assert_int_equal(m.disconnected, QUEUES);
	th_stop(&t);
}

/* ---- depth ---- */

#define DEPTH 65535u

struct deep {
	uint32_t done, bad;
};

static struct deep deep;

static void deep_done(struct nvmft_loopback_cmd *cmd)
{
	deep.done++;
	if (((struct nvmft_cqe *)(void *)&cmd->cqe)->status)
		deep.bad++;
}

static void queue_carries_as_many_commands_as_it_is_deep(void **state)
{
	struct th_ctrl_opts co = {.sqsize = (uint16_t)DEPTH};
	struct nvmft_loopback_cmd *cmds = calloc(DEPTH + 1, sizeof(*cmds));
	struct nvmft_sqe sqe;
	struct th_ctrl ctrl;
	struct th t;
	char buf[512];
	uint32_t i;

	(void)state;
	assert_non_null(cmds);
	memset(&deep, 0, sizeof(deep));
	th_start(&t, NULL);
	th_add_null(th_add_subsystem(&t, TH_NQN), 1 << 20, 512);
	th_ctrl_connect(&t, &ctrl, &co);
	th_sqe_rw(&sqe, TH_READ, 1, 0, 1);
	for (i = 0; i < DEPTH + 1; i++) {
		sqe.cid = (uint16_t)i;
		memcpy(cmds[i].sqe.bytes, &sqe, sizeof(sqe));
		cmds[i].data = buf;
		cmds[i].data_len = sizeof(buf);
		cmds[i].done = deep_done;
		/* The null backend answers at once, so that the queue is full of responses only. */
		assert_int_equal(nvmft_loopback_submit(ctrl.io[0].q, &cmds[i]), 0);
	}
	th_settle(&t);
	assert_int_equal(deep.done, DEPTH + 1);
	assert_int_equal(deep.bad, 0);
	th_ctrl_disconnect(&ctrl);
	th_stop(&t);
	free(cmds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_queues_of_the_greatest_depth),
		cmocka_unit_test(queue_carries_as_many_commands_as_it_is_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
