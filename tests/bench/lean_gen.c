/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lean_gen PORT NQN [rw=read|write] [bs=N] [depth=N] [queues=N] [ms=N] [ios=N] [hdgst=1] [ddgst=1] [fifo=1] [idle=1]
 *
 * Loads the target at 127.0.0.1:PORT and prints one line of JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "lean.h"

static bool set_option(struct lean_opts *opts, const char *arg)
{
	const char *value = strchr(arg, '=');
	size_t len = value ? (size_t)(value - arg) : 0;
	unsigned long long n = value ? strtoull(value + 1, NULL, 10) : 0;

#define IS(name) (len == strlen(name) && !strncmp(arg, name, len))
	if (IS("rw"))
		opts->write = !strcmp(value, "=write");
	else if (IS("bs"))
		opts->bs = (uint32_t)n;
	else if (IS("depth"))
		opts->depth = (unsigned int)n;
	else if (IS("queues"))
		opts->queues = (unsigned int)n;
	else if (IS("ms"))
		opts->time_ns = n * 1000000;
	else if (IS("ios"))
		opts->ios = n;
	else if (IS("hdgst"))
		opts->hdgst = n;
	else if (IS("ddgst"))
		opts->ddgst = n;
	else if (IS("fifo"))
		opts->fifo = n;
	else if (IS("idle"))
		opts->idle = n;
	else
		return false;
#undef IS
	return true;
}

static double cpu_seconds(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	       (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
}

/* Seconds that this process was runnable but kept from running. */
static double wait_seconds(void)
{
	unsigned long long on = 0, waited = 0;
	FILE *file = fopen("/proc/self/schedstat", "r");

	if (!file || fscanf(file, "%llu %llu", &on, &waited) != 2)
		waited = 0;
	if (file)
		fclose(file);
	return (double)waited / 1e9;
}

static int connect_all(struct lean *lean, struct host_group *group, struct host_ctrl *ctrl, struct host_queue **queues,
		       struct host_error *err)
{
	const struct lean_opts *opts = lean->opts;
	struct host_connect how = {.addr = &opts->addr,
				   .subnqn = opts->subnqn,
				   .hostnqn = "nqn.2014-08.org.nvmexpress:lean-gen",
				   .hostid = {1},
				   .cntlid = 0xffff,
				   .no_sqflow = true,
				   .hdgst = opts->hdgst,
				   .ddgst = opts->ddgst,
				   .timeout_ms = 10000};
	struct host_ns ns;
	unsigned int i;

	if (host_ctrl_open(group, &how, ctrl, err) < 0 || host_ctrl_identify(ctrl, err) < 0 ||
	    host_ctrl_queues(ctrl, opts->queues, err) < 0 || host_ctrl_ns(ctrl, 1, &ns, err) < 0)
		return -1;
	how.cntlid = ctrl->how.cntlid;
	how.depth = (uint16_t)opts->depth;
	for (i = 0; i < opts->queues; i++) {
		how.qid = (uint16_t)(i + 1);
		if (host_connect(group, &how, &queues[i], err) < 0)
			return -1;
		lean->conns[i].fd = host_tcp_fd(queues[i], &lean->conns[i].params);
		if (!opts->idle && lean_conn_init(lean, &lean->conns[i], i, &ns, ctrl->in_capsule) < 0) {
			host_fail(err, "out of memory");
			return -1;
		}
	}
	return 0;
}

static int measure(struct lean *lean)
{
	double seconds = 0, cpu = cpu_seconds(), waited = wait_seconds();
	int rc;

	if (lean->opts->idle) {
		printf("idle\n");
		fflush(stdout);
		while (getchar() != EOF)
			;
		return 0;
	}
	rc = lean_run(lean, &seconds);
	printf("{\"ios\": %llu, \"seconds\": %.6f, \"iops\": %.1f, \"errors\": %llu, \"ios_per_receive\": %.2f, "
	       "\"cpu_seconds\": %.6f, "
	       "\"wait_seconds\": %.6f}\n",
	       (unsigned long long)lean->done, seconds, seconds > 0 ? (double)lean->done / seconds : 0,
	       (unsigned long long)lean->errors, lean->receives ? (double)lean->done / (double)lean->receives : 0,
	       cpu_seconds() - cpu, wait_seconds() - waited);
	return rc < 0 || lean->errors ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct lean_opts opts = {.addr = {.host = "127.0.0.1"}, .bs = 4096, .depth = 32, .queues = 1};
	struct lean *lean = calloc(1, sizeof(*lean));
	struct host_queue **queues;
	struct host_group *group;
	struct host_ctrl ctrl;
	struct host_error err = {""};
	int i, rc = 1;

	if (argc < 3 || !lean) {
		fprintf(stderr, "Usage: lean_gen PORT NQN [NAME=VALUE]...\n");
		return 2;
	}
	snprintf(opts.addr.service, sizeof(opts.addr.service), "%s", argv[1]);
	opts.subnqn = argv[2];
	for (i = 3; i < argc; i++) {
		if (set_option(&opts, argv[i]))
			continue;
		fprintf(stderr, "lean_gen: %s?\n", argv[i]);
		return 2;
	}
	lean->opts = &opts;
	lean->payload = calloc(1, opts.bs);
	lean->conns = calloc(opts.queues, sizeof(*lean->conns));
	queues = calloc(opts.queues, sizeof(struct host_queue *));
	group = host_tcp_group(&err);
	if (!lean->payload || !lean->conns || !queues || !group || connect_all(lean, group, &ctrl, queues, &err) < 0)
		fprintf(stderr, "lean_gen: %s\n", err.text);
	else
		rc = measure(lean);
	/* The end of the process closes the connections. */
	return rc;
}
