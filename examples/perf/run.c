/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "run.h"

/* What more there is to say after this is in the number of errors. */
#define MAX_COMPLAINTS 10u

void run_fail(struct run *run, const struct host_error *err)
{
	pthread_mutex_lock(&run->lock);
	if (!run->failed)
		run->error = *err;
	__atomic_store_n(&run->failed, true, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&run->lock);
}

void run_complain(struct run *run, const char *format, ...)
{
	char text[512];
	va_list args;

	if (__atomic_add_fetch(&run->complaints, 1, __ATOMIC_RELAXED) > MAX_COMPLAINTS)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "nvmft-perf: %s\n", text);
}

static void progress(struct run *run, unsigned int started)
{
	/* A terminal is rewritten in place; a log gets a line a second. */
	const struct timespec pause = {.tv_nsec = isatty(STDERR_FILENO) ? 200000000 : 100000000};
	uint64_t start = host_now(), last_ns = start, last_ios = 0, last_bytes = 0;
	unsigned int i;

	while (!__atomic_load_n(&run->finished, __ATOMIC_ACQUIRE)) {
		nanosleep(&pause, NULL);
		if (!run->opts->quiet)
			report_progress(run, start, &last_ns, &last_ios, &last_bytes);
	}
	if (!run->opts->quiet && isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
	for (i = 0; i < started; i++)
		pthread_join(run->workers[i].thread, NULL);
}

static void *watch(void *arg)
{
	struct worker *worker = arg;
	struct run *run = worker->run;

	worker_main(worker);
	if (__atomic_add_fetch(&run->ended, 1, __ATOMIC_ACQ_REL) == run->opts->threads)
		__atomic_store_n(&run->finished, true, __ATOMIC_RELEASE);
	return NULL;
}

int run_all(struct run *run)
{
	unsigned int i, n = run->opts->threads;

	run->workers = calloc(n, sizeof(*run->workers));
	run->ctrls = calloc(run->opts->connections, sizeof(*run->ctrls));
	if (!run->workers || !run->ctrls) {
		host_fail(&run->error, "out of memory");
		return -1;
	}
	for (i = 0; i < n; i++) {
		run->workers[i].run = run;
		run->workers[i].index = i;
		if (pthread_create(&run->workers[i].thread, NULL, watch, &run->workers[i])) {
			/* The ones that run wait for those that do not: there is no way on from here. */
			fprintf(stderr, "nvmft-perf: cannot start thread %u of %u\n", i + 1, n);
			exit(1);
		}
	}
	progress(run, n);
	return run->failed ? -1 : 0;
}
