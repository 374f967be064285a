/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nvmft-perf: a host that measures and verifies a target over NVMe/TCP or loopback.
 *
 * Its NVMe/TCP (host_*.c) shares nothing with the library's, so that the two check each other.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "host_loopback.h"
#include "run.h"

/* For the signal handler, which has no other way to reach the run. */
static struct run *current;

static void on_signal(int sig)
{
	/* A second one ends the program at once. */
	signal(sig, SIG_DFL);
	__atomic_store_n(&current->stop, true, __ATOMIC_RELEASE);
}

static int measure(const struct options *opts, struct loopback *loopback)
{
	struct run run = {.opts = opts, .loopback = loopback, .lock = PTHREAD_MUTEX_INITIALIZER};
	int status = 1;

	current = &run;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	if (run_all(&run) < 0)
		fprintf(stderr, "nvmft-perf: %s: %s\n", opts->target, run.error.text);
	else
		status = report_good(&run) ? 0 : 1;
	if (run.ran && opts->json)
		report_json(&run);
	else if (run.ran)
		report_table(&run);
	free(run.workers);
	free(run.ctrls);
	return status;
}

int main(int argc, char **argv)
{
	struct loopback *loopback = NULL;
	struct host_error err;
	struct options opts;
	int status = options_parse(&opts, argc, argv);

	if (status >= 0)
		return status;
	if (opts.loopback) {
		loopback = loopback_create(opts.loopback,
					   opts.discover ? "nqn.2014-08.org.nvmexpress:nvmft-perf" : opts.subnqn,
					   opts.discover ? 1 : opts.threads, &err);
		if (!loopback) {
			fprintf(stderr, "nvmft-perf: %s\n", err.text);
			return 2;
		}
	}
	status = opts.discover ? discover(&opts, loopback) : measure(&opts, loopback);
	loopback_destroy(loopback);
	return status;
}
