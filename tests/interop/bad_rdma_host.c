/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bad_rdma_host HOW ADDRESS PORT TIMES: hosts with faults that the kernel's has not, one after the other, each a
 * process with an I/O queue.
 *
 *   half  dies in the middle of a capsule: the target's device has begun a receive
 *   key   sends a Connect whose data nobody can read
 *   deaf  takes no responses any more
 *   mute  never says that it has the target's answer to its request
 *   lost  sends one command after the other until its link is gone, and then nothing more
 *
 * The target has to end the queues of key and deaf, in 30 s.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rdma.h"

#define END_MS 30000
#define MUTE_S 13
#define COMMAND_MS 100
#define LOST_S 10

/* Hosts only: the target is another program. */
static struct th t = {.threaded = true};

static void half(struct th_rdma *r)
{
	/* Of these packets the first goes out. */
	th_rdma_send_half(r, 4096, 4096);
	if (!th_rdma_ends(r, END_MS))
		_exit(1);
	kill(getpid(), SIGKILL);
}

static void key(struct th_rdma *r)
{
	struct nvmft_sqe connect;

	th_sqe_fabrics(&connect, 0x01);
	connect.flags = 0x40;
	th_sgl_keyed(connect.dptr, 0, 1024, 0x04030201, false);
	th_rdma_send(r, &connect, sizeof(connect));
}

static const struct nvmft_sqe nonsense;

static void deaf(struct th_rdma *r)
{
	for (uint32_t i = 0; i <= r->ask.receives; i++)
		th_rdma_send(r, &nonsense, sizeof(nonsense));
}

static void mute(struct th_rdma *r)
{
	th_rdma_start(r);
	sleep(MUTE_S);
	_exit(0);
}

/* The end of its connection cannot reach the target either. */
static void lost(struct th_rdma *r)
{
	do {
		r->taken = r->ncqes;
		th_rdma_send(r, &nonsense, sizeof(nonsense));
	} while (!th_rdma_ends(r, COMMAND_MS));
	sleep(LOST_S);
	_exit(0);
}

static const struct how {
	const char *name;
	void (*act)(struct th_rdma *r);
	struct th_rdma_ask ask;
} hows[] = {
	{"half", half, {.qid = 1}},
	{"key", key, {.qid = 1}},
	{"deaf", deaf, {.qid = 1, .receives = 1, .keep_receives = true}},
	{"mute", mute, {.qid = 1, .hold = true}},
	{"lost", lost, {.qid = 1}},
};

static void host(const struct how *how, char **argv)
{
	struct th_rdma_ask ask = how->ask;
	struct th_rdma *r;

	ask.traddr = argv[2];
	ask.trsvcid = argv[3];
	ask.source = argv[5];
	r = th_rdma_open(&t, &ask);
	if (!r->up && !ask.hold)
		_exit(1);
	how->act(r);
	_exit(!th_rdma_ends(r, END_MS));
}

static bool child(const struct how *how, char **argv)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		host(how, argv);
	if (waitpid(pid, &status, 0) != pid)
		return false;
	return how->act == half ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL : status == 0;
}

int main(int argc, char **argv)
{
	const struct how *how = hows;
	bool good = true;

	if (argc != 5 && argc != 6)
		return 2;
	while (strcmp(how->name, argv[1]) != 0)
		if (++how == hows + sizeof(hows) / sizeof(hows[0]))
			return 2;
	for (int i = 0; i < atoi(argv[4]) && good; i++)
		good = child(how, argv);
	return !good;
}
