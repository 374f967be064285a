/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <time.h>

#include "host_loopback.h"
#include "run.h"

#define SPIN_NS 50000u
#define SLEEP_MS 50 /* longest sleep: the flag to stop and the clock are looked at so often at least */
#define TICK_NS 100000000u

static bool flag(const bool *value)
{
	return __atomic_load_n(value, __ATOMIC_ACQUIRE);
}

/*
 * Wait for all workers, but go on driving the group: another worker may be connecting a queue to a controller of ours.
 * Return: false when the run has failed.
 */
static bool meet(struct worker *worker)
{
	struct run *run = worker->run;
	unsigned int generation = __atomic_load_n(&run->generation, __ATOMIC_ACQUIRE);
	const struct timespec ms = {.tv_nsec = 1000000};

	if (__atomic_add_fetch(&run->arrived, 1, __ATOMIC_ACQ_REL) == run->opts->threads) {
		__atomic_store_n(&run->arrived, 0, __ATOMIC_RELEASE);
		__atomic_add_fetch(&run->generation, 1, __ATOMIC_ACQ_REL);
	}
	while (__atomic_load_n(&run->generation, __ATOMIC_ACQUIRE) == generation) {
		if (worker->group)
			host_poll(worker->group, 1);
		else
			nanosleep(&ms, NULL);
	}
	return !flag(&run->failed);
}

static struct host_connect describe(const struct run *run)
{
	const struct options *opts = run->opts;
	struct host_connect how = {
		.addr = &opts->addr,
		.subnqn = opts->subnqn,
		.hostnqn = opts->hostnqn,
		.cntlid = 0xffff,
		.no_sqflow = opts->no_sqflow,
		.hdgst = opts->hdgst,
		.ddgst = opts->ddgst,
		.kato_ms = opts->kato_ms,
		.timeout_ms = opts->timeout_ms,
	};

	for (unsigned int i = 0; i < 16; i++)
		how.hostid[i] = opts->hostid[i];
	return how;
}

/* What the first controller says decides how the load looks. */
static int adopt(struct run *run, const struct host_ctrl *ctrl, struct host_error *err)
{
	const struct options *opts = run->opts;
	uint64_t bytes = run->ns.blocks * run->ns.block_size;

	if (opts->bs % run->ns.block_size || opts->bs / run->ns.block_size > 65536) {
		host_fail(err, "--bs %u: the namespace has blocks of %u bytes", opts->bs, run->ns.block_size);
		return -1;
	}
	if (opts->bs > ctrl->max_transfer) {
		host_fail(err, "--bs %u: the controller takes at most %u bytes (MDTS)", opts->bs, ctrl->max_transfer);
		return -1;
	}
	if (opts->depth > ctrl->max_depth) {
		host_fail(err, "--depth %u: the controller takes at most %u (MQES)", opts->depth, ctrl->max_depth);
		return -1;
	}
	if (opts->offset % opts->bs || opts->offset >= bytes || opts->size > bytes - opts->offset) {
		host_fail(err,
			  "--offset and --size are not inside the %llu bytes of the namespace, or --offset is no "
			  "multiple of --bs",
			  (unsigned long long)bytes);
		return -1;
	}
	run->depth = opts->depth;
	run->unit_blocks = opts->bs / run->ns.block_size;
	run->first_unit = opts->offset / opts->bs;
	run->units = (opts->size ? opts->size : bytes - opts->offset) / opts->bs;
	return 0;
}

static int open_ctrls(struct worker *worker, struct host_error *err)
{
	struct run *run = worker->run;
	struct host_connect how = describe(run);
	struct host_ns ns;
	unsigned int i;

	for (i = worker->index; i < run->opts->connections; i += run->opts->threads) {
		struct host_ctrl *ctrl = &run->ctrls[i];

		if (host_ctrl_open(worker->group, &how, ctrl, err) < 0)
			return -1;
		if (host_ctrl_identify(ctrl, err) < 0 || host_ctrl_queues(ctrl, run->opts->queues, err) < 0 ||
		    host_ctrl_ns(ctrl, run->opts->nsid, &ns, err) < 0)
			return -1;
		if (i)
			continue;
		run->ns = ns;
		if (adopt(run, ctrl, err) < 0)
			return -1;
	}
	return 0;
}

static int open_queues(struct worker *worker, struct host_error *err)
{
	struct run *run = worker->run;
	const struct options *opts = run->opts;
	unsigned int i, total = opts->queues * opts->connections;
	struct host_connect how = describe(run);

	worker->jobs = calloc((total + opts->threads - 1) / opts->threads, sizeof(*worker->jobs));
	if (!worker->jobs) {
		host_fail(err, "out of memory");
		return -1;
	}
	for (i = worker->index; i < total; i += opts->threads) {
		struct host_ctrl *ctrl = &run->ctrls[i / opts->queues];
		struct job *job = &worker->jobs[worker->njobs++];

		how.qid = (uint16_t)(i % opts->queues + 1);
		how.cntlid = ctrl->how.cntlid;
		how.depth = (uint16_t)run->depth;
		how.in_capsule = opts->no_in_capsule ? 0 : ctrl->in_capsule;
		if (job_init(job, worker, i, err) < 0 || host_connect(worker->group, &how, &job->queue, err) < 0)
			return -1;
	}
	return 0;
}

static unsigned int in_flight(const struct worker *worker)
{
	unsigned int i, sum = 0;

	for (i = 0; i < worker->njobs; i++)
		sum += worker->jobs[i].in_flight;
	return sum;
}

/* Keep-alives, and queues on which nothing moves any more. */
static void tick(struct worker *worker, uint64_t now)
{
	struct run *run = worker->run;
	unsigned int i;

	for (i = worker->index; i < run->opts->connections; i += run->opts->threads) {
		host_ctrl_tick(&run->ctrls[i]);
		if (!run->ctrls[i].keep_alive_failed)
			continue;
		run->ctrls[i].keep_alive_failed = false;
		worker->now->errors++;
		run_complain(run, "controller %u: Keep Alive failed: %s", run->ctrls[i].how.cntlid,
			     host_status_words(host_status(&run->ctrls[i].keep_alive.cqe)));
	}
	for (i = 0; i < worker->njobs; i++) {
		struct job *job = &worker->jobs[i];

		if (!job->in_flight || job->queue->dead ||
		    now < job->last_progress + run->opts->timeout_ms * 1000000ull)
			continue;
		host_fail(&job->queue->why, "%u commands without an answer for %u ms", job->in_flight,
			  run->opts->timeout_ms);
		job->queue->group->ops->abandon(job->queue);
	}
}

static void publish(struct worker *worker)
{
	const struct totals *t = worker->now;

	__atomic_store_n(&worker->live_ios, t->read.count + t->write.count, __ATOMIC_RELAXED);
	__atomic_store_n(&worker->live_bytes, t->bytes_read + t->bytes_written, __ATOMIC_RELAXED);
	__atomic_store_n(&worker->live_errors, t->errors + t->mismatches, __ATOMIC_RELAXED);
}

static int wait_ms(const struct worker *worker, uint64_t now, uint64_t last_busy)
{
	switch (worker->run->opts->poll) {
	case POLL_ALWAYS:
		return 0;
	case POLL_NEVER:
		return SLEEP_MS;
	default:
		return now - last_busy < SPIN_NS ? 0 : SLEEP_MS;
	}
}

/* Drive the jobs until they have nothing in flight. @limit: no new I/Os after this time, 0: no limit. */
static void drive(struct worker *worker, struct totals *totals, uint64_t limit)
{
	uint64_t now = host_now(), last_busy = now, next_tick = now + TICK_NS;
	unsigned int left = in_flight(worker);
	int n;

	totals->start = now;
	while (left) {
		n = host_poll(worker->group, wait_ms(worker, now, last_busy));
		now = n ? worker->group->now : host_now();
		if (n)
			last_busy = now;
		if ((limit && now >= totals->start + limit) || flag(&worker->run->stop))
			worker->draining = true;
		if (now >= next_tick) {
			tick(worker, now);
			next_tick = now + TICK_NS;
		}
		publish(worker);
		left = in_flight(worker);
	}
	totals->end = now;
	worker->draining = false;
}

static void load(struct worker *worker)
{
	unsigned int i;

	__atomic_store_n(&worker->run->ran, true, __ATOMIC_RELAXED);
	worker->now = &worker->totals;
	worker->group->now = host_now();
	for (i = 0; i < worker->njobs; i++)
		job_start(&worker->jobs[i]);
	drive(worker, worker->now, worker->run->opts->time_ns);
}

static void read_back(struct worker *worker)
{
	const struct options *opts = worker->run->opts;
	unsigned int i;

	if (!opts->verify || opts->read_percent == 100 || flag(&worker->run->stop))
		return;
	worker->now = &worker->read_back;
	worker->group->now = host_now();
	for (i = 0; i < worker->njobs; i++)
		job_start_read_back(&worker->jobs[i]);
	drive(worker, worker->now, 0);
}

static void close_queues(struct worker *worker)
{
	unsigned int i;

	for (i = 0; i < worker->njobs; i++) {
		if (worker->jobs[i].queue)
			host_disconnect(worker->jobs[i].queue);
		job_fini(&worker->jobs[i]);
	}
	free(worker->jobs);
	worker->jobs = NULL;
	worker->njobs = 0;
}

static void close_ctrls(struct worker *worker)
{
	struct run *run = worker->run;
	struct host_error err;
	unsigned int i;

	for (i = worker->index; i < run->opts->connections; i += run->opts->threads)
		if (host_ctrl_close(&run->ctrls[i], &err) < 0)
			run_fail(run, &err);
}

void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct run *run = worker->run;
	struct host_error err;

	worker->now = &worker->totals;
	worker->group = run->loopback ? loopback_group(run->loopback, worker->index, &err) : host_tcp_group(&err);
	if (!worker->group || open_ctrls(worker, &err) < 0)
		run_fail(run, &err);
	if (meet(worker) && open_queues(worker, &err) < 0)
		run_fail(run, &err);
	if (meet(worker)) {
		load(worker);
		meet(worker);
		read_back(worker);
	}
	meet(worker);
	close_queues(worker);
	meet(worker);
	close_ctrls(worker);
	meet(worker);
	if (worker->group) {
		worker->group->ops->stop(worker->group);
		worker->group->ops->destroy(worker->group);
	}
	return NULL;
}
