/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PERF_RUN_H
#define PERF_RUN_H

/* Who does the work: a run has workers (threads), a worker has jobs (queues), a job has slots (I/Os in flight). */

#include <pthread.h>

#include "hist.h"
#include "options.h"

struct loopback;
struct run;
struct worker;

struct slot {
	struct host_cmd cmd; /* first: done callbacks get here from it */
	struct job *job;
	uint64_t unit;
	uint64_t start;
	uint32_t generation;
	bool write;
	uint8_t *buf;
};

/*
 * One queue's load. The namespace is cut into units of --bs bytes; a job's slice of them is where it writes patterns,
 * so that it alone knows what is there.
 *
 * @map: with --verify, for each unit of the slice the generation that is there, 0 for unknown, and MAP_BUSY while an
 * I/O is in flight
 */
#define MAP_BUSY 0x80000000u

struct job {
	struct worker *worker;
	struct host_queue *queue;
	uint64_t first;
	uint64_t units;
	uint64_t cursor;
	uint64_t quota; /* I/Os still to start */
	uint64_t rng;
	uint32_t *map;
	uint8_t *buffers;
	struct slot *slots;
	unsigned int idle; /* slots on the stack below */
	struct slot **stack;
	unsigned int in_flight;
	uint64_t last_progress;
	bool reading_back;
	bool reported;
};

struct totals {
	struct hist read;
	struct hist write;
	uint64_t bytes_read;
	uint64_t bytes_written;
	uint64_t errors;
	uint64_t verified;
	uint64_t mismatches;
	uint64_t start;
	uint64_t end;
};

/* @live_*: written by the worker, read by the progress line. */
struct worker {
	struct run *run;
	unsigned int index;
	pthread_t thread;
	struct host_group *group;
	struct job *jobs;
	unsigned int njobs;
	bool draining;
	struct totals totals;
	struct totals read_back;
	struct totals *now;
	uint64_t live_ios;
	uint64_t live_bytes;
	uint64_t live_errors;
};

struct run {
	const struct options *opts;
	struct loopback *loopback;
	struct host_ctrl *ctrls;
	struct host_ns ns;
	uint32_t unit_blocks;
	uint64_t first_unit;
	uint64_t units;
	unsigned int depth;
	unsigned int arrived;
	unsigned int ended;
	unsigned int generation;
	bool stop;   /* by a signal or the progress line */
	bool failed; /* cannot go on: error tells why */
	bool ran;    /* there is something to report */
	bool finished;
	unsigned int complaints;
	pthread_mutex_t lock;
	struct host_error error;
	struct worker *workers;
};

/* run.c. Return: 0, or -1 with run->error. */
int run_all(struct run *run);
void run_fail(struct run *run, const struct host_error *err);
void run_complain(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* worker.c: a thread. */
void *worker_main(void *arg);

/* job.c */
int job_init(struct job *job, struct worker *worker, unsigned int number, struct host_error *err);
void job_fini(struct job *job);
void job_start(struct job *job);
void job_start_read_back(struct job *job);

/* report.c */
void report_progress(const struct run *run, uint64_t start, uint64_t *last_ns, uint64_t *last_ios,
		     uint64_t *last_bytes);
void report_table(const struct run *run);
void report_json(const struct run *run);
bool report_good(const struct run *run);

/* discover.c. Return: exit status. */
int discover(const struct options *opts, struct loopback *loopback);

#endif
