/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bad_rdma_host HOW ADDRESS PORT TIMES: hosts with faults that the kernel's has not, one after the other, each a
 * process with an I/O queue. half  dies in the middle of a capsule: of the several packets its own device can read the
 * first only, so that the target's device has begun a receive key   sends a Connect whose data nobody can read deaf
 * never receives a response The target has to end the queue of the last two, in 30 s.
 */
#include <netdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#define CAPSULE (64 + 8192)
#define GOOD 4096 /* one packet */

static void give_up(const char *what)
{
	perror(what);
	_exit(1);
}

static struct rdma_cm_id *resolved(const char *address, const char *port)
{
	struct rdma_cm_id *id;
	struct addrinfo *info;

	if (getaddrinfo(address, port, NULL, &info) != 0)
		give_up("address");
	if (rdma_create_id(NULL, &id, NULL, RDMA_PS_TCP) != 0)
		give_up("rdma_create_id");
	if (rdma_resolve_addr(id, NULL, info->ai_addr, 2000) != 0 || rdma_resolve_route(id, 2000) != 0)
		give_up("rdma_resolve");
	freeaddrinfo(info);
	return id;
}

static void connect_queue(struct rdma_cm_id *id, bool mute)
{
	struct ibv_qp_init_attr attr = {
		.cap = {.max_send_wr = 4, .max_recv_wr = 4, .max_send_sge = 2, .max_recv_sge = 1},
		.qp_type = IBV_QPT_RC,
	};
	/* RECFMT 0, queue 1 of 32 entries */
	uint16_t ask[16] = {0, 1, 32, 31};
	struct rdma_conn_param param = {
		.private_data = ask,
		.private_data_len = sizeof(ask),
		.responder_resources = 1,
		.retry_count = 7,
		.rnr_retry_count = 7,
	};

	if (rdma_create_qp(id, NULL, &attr) != 0)
		give_up("rdma_create_qp");
	/* With a channel of its own the identifier waits for nothing. */
	if (mute && rdma_migrate_id(id, rdma_create_event_channel()) != 0)
		give_up("rdma_migrate_id");
	if (rdma_connect(id, &param) != 0)
		give_up("rdma_connect");
}

static enum ibv_wc_status send_capsule(struct rdma_cm_id *id, char *buf, uint32_t good, uint32_t bad_len)
{
	struct ibv_mr *mr = ibv_reg_mr(id->pd, buf, good, 0);
	struct ibv_sge sge[] = {
		{(uintptr_t)buf, good, mr ? mr->lkey : 0},
		{(uintptr_t)buf + good, bad_len, 0xdead00},
	};
	struct ibv_send_wr wr = {
		.sg_list = sge,
		.num_sge = bad_len ? 2 : 1,
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
	};
	struct ibv_send_wr *bad;
	struct ibv_wc wc;

	if (!mr || ibv_post_send(id->qp, &wr, &bad) != 0)
		give_up("ibv_post_send");
	while (ibv_poll_cq(id->send_cq, 1, &wc) == 0)
		usleep(1000);
	return wc.status;
}

static void half(struct rdma_cm_id *id, char *buf)
{
	if (send_capsule(id, buf, GOOD, CAPSULE - GOOD) == IBV_WC_SUCCESS)
		_exit(1);
	kill(getpid(), SIGKILL);
}

/* Connect, with 1024 bytes of data behind a key that there is not. */
static void key(struct rdma_cm_id *id, char *buf)
{
	static const uint8_t connect[] = {0x7f, 0x40, 1, 0, 1}, keyed[] = {0, 4, 0, 1, 2, 3, 4, 0x40};

	memcpy(buf, connect, sizeof(connect));
	memcpy(buf + 32, keyed, sizeof(keyed));
	send_capsule(id, buf, 64, 0);
}

static void deaf(struct rdma_cm_id *id, char *buf)
{
	send_capsule(id, buf, 64, 0);
}

static void mute(struct rdma_cm_id *id, char *buf)
{
	(void)id;
	(void)buf;
	sleep(13);
	_exit(0);
}

static void wait_for_end(struct rdma_cm_id *id)
{
	struct rdma_cm_event *event;

	alarm(30);
	while (rdma_get_cm_event(id->channel, &event) == 0) {
		bool over = event->event == RDMA_CM_EVENT_DISCONNECTED;

		rdma_ack_cm_event(event);
		if (over)
			_exit(0);
	}
	give_up("rdma_get_cm_event");
}

static int child(char **argv, void (*how)(struct rdma_cm_id *id, char *buf))
{
	static char buf[CAPSULE];
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct rdma_cm_id *id = resolved(argv[2], argv[3]);

		connect_queue(id, how == mute);
		how(id, buf);
		wait_for_end(id);
	}
	if (waitpid(pid, &status, 0) != pid)
		return 1;
	return how == half ? !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) : status != 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*how)(struct rdma_cm_id *id, char *buf);
	} hows[] = {{"half", half}, {"key", key}, {"deaf", deaf}, {"mute", mute}};
	size_t h = 0;
	int failed = 0;

	while (argc == 5 && h < 4 && strcmp(argv[1], hows[h].name) != 0)
		h++;
	if (argc != 5 || h == 4)
		return 2;
	for (int i = 0; i < atoi(argv[4]) && !failed; i++)
		failed = child(argv, hows[h].how);
	return failed;
}
