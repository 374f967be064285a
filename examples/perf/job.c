/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "pattern.h"
#include "run.h"

#define OPC_WRITE 0x01
#define OPC_READ 0x02

static uint64_t next_random(struct job *job)
{
	uint64_t x = job->rng;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	job->rng = x;
	return x * 0x2545f4914f6cdd1dull;
}

static uint64_t random_below(struct job *job, uint64_t bound)
{
	return (uint64_t)((unsigned __int128)next_random(job) * bound >> 64);
}

/*
 * Choose a unit, relative to the slice. With a map, one that has no I/O in flight: what a read then finds, and which of
 * two writes wins, is known.
 */
static uint64_t pick(struct job *job)
{
	const struct options *opts = job->worker->run->opts;
	uint64_t unit;

	if (opts->random && !job->reading_back) {
		unit = random_below(job, job->map ? job->units : job->worker->run->units);
		if (!job->map)
			return unit;
	} else {
		unit = job->cursor;
		job->cursor = job->cursor + 1 == job->units ? 0 : job->cursor + 1;
	}
	while (job->map && (job->map[unit] & MAP_BUSY))
		unit = unit + 1 == job->units ? 0 : unit + 1;
	return unit;
}

/* Where a unit of the slice is on the namespace; random I/O without a map is all over the range. */
static uint64_t unit_lba(const struct job *job, uint64_t unit)
{
	const struct run *run = job->worker->run;
	uint64_t first = job->map || !run->opts->random ? job->first : 0;

	return (run->first_unit + first + unit) * run->unit_blocks;
}

static void fill(struct slot *slot)
{
	const struct run *run = slot->job->worker->run;
	struct pattern pattern = {.seed = run->opts->seed, .generation = slot->generation};
	uint32_t i;

	for (i = 0; i < run->unit_blocks; i++) {
		pattern.lba = unit_lba(slot->job, slot->unit) + i;
		pattern_fill(slot->buf + (size_t)i * run->ns.block_size, run->ns.block_size, &pattern);
	}
}

static void start_io(struct slot *slot)
{
	struct job *job = slot->job;
	const struct run *run = job->worker->run;
	struct host_cmd *cmd = &slot->cmd;
	uint64_t lba;

	slot->unit = pick(job);
	slot->write = !job->reading_back && random_below(job, 100) >= run->opts->read_percent;
	if (job->map) {
		slot->generation = job->map[slot->unit];
		job->map[slot->unit] |= MAP_BUSY;
		if (slot->write) {
			/* 31 bits, and 0 is kept for unknown. */
			slot->generation = (slot->generation + 1) & ~MAP_BUSY ? (slot->generation + 1) & ~MAP_BUSY : 1;
			fill(slot);
		}
	}
	lba = unit_lba(job, slot->unit);
	cmd->sqe.opcode = slot->write ? OPC_WRITE : OPC_READ;
	cmd->sqe.nsid = htole32(run->ns.nsid);
	cmd->sqe.cdw[0] = htole32((uint32_t)lba);
	cmd->sqe.cdw[1] = htole32((uint32_t)(lba >> 32));
	cmd->sqe.cdw[2] = htole32(run->unit_blocks - 1);
	cmd->dir = slot->write ? HOST_TO_CTRL : HOST_FROM_CTRL;
	job->in_flight++;
	slot->start = job->worker->group->now;
	host_submit(job->queue, cmd);
}

static void next_io(struct slot *slot)
{
	struct job *job = slot->job;

	/* Only blocks whose content is known are read back. */
	while (job->reading_back && job->quota && !job->map[job->cursor]) {
		job->cursor = job->cursor + 1 == job->units ? 0 : job->cursor + 1;
		job->quota--;
	}
	if (!job->quota || job->worker->draining || job->queue->dead) {
		job->stack[job->idle++] = slot;
		return;
	}
	job->quota--;
	start_io(slot);
}

static void check(struct slot *slot)
{
	struct job *job = slot->job;
	struct run *run = job->worker->run;
	/* A run that only reads checks another's blocks, of any generation; else what was never written is not checked.
	 */
	bool foreign = run->opts->read_percent == 100;
	struct pattern want = {.seed = run->opts->seed, .generation = foreign ? 0 : slot->generation};
	struct pattern found = {0};
	enum pattern_result result;
	uint32_t i;

	if (!foreign && !slot->generation)
		return;
	for (i = 0; i < run->unit_blocks; i++) {
		want.lba = unit_lba(job, slot->unit) + i;
		result = pattern_check(slot->buf + (size_t)i * run->ns.block_size, run->ns.block_size, &want, &found);
		job->worker->now->verified++;
		if (result == PATTERN_OK)
			continue;
		job->worker->now->mismatches++;
		run_complain(run, "verify: LBA %llu generation %u is %s: seed %llu, LBA %llu, generation %u",
			     (unsigned long long)want.lba, want.generation, pattern_words(result),
			     (unsigned long long)found.seed, (unsigned long long)found.lba, found.generation);
	}
}

static void io_failed(struct slot *slot)
{
	struct job *job = slot->job;
	unsigned int status = host_status(&slot->cmd.cqe);

	job->worker->now->errors++;
	if (slot->generation && slot->write && job->map)
		job->map[slot->unit] = 0;
	if (job->queue->dead && job->reported)
		return;
	job->reported = job->queue->dead;
	if (job->queue->dead)
		run_complain(job->worker->run, "queue %u of controller %u: %s", job->queue->qid, job->queue->cntlid,
			     job->queue->why.text);
	else
		run_complain(job->worker->run, "%s at LBA %llu: %s (%03xh)", slot->write ? "write" : "read",
			     (unsigned long long)unit_lba(job, slot->unit), host_status_words(status), status);
}

static void io_done(struct host_cmd *cmd)
{
	struct slot *slot = (struct slot *)(void *)cmd;
	struct job *job = slot->job;
	struct worker *worker = job->worker;
	uint64_t now = worker->group->now;
	uint64_t ns = now > slot->start ? now - slot->start : 0;

	job->in_flight--;
	job->last_progress = now;
	if (job->map)
		job->map[slot->unit] = slot->generation & ~MAP_BUSY;
	if (host_status(&cmd->cqe)) {
		io_failed(slot);
		next_io(slot);
		return;
	}
	if (slot->write) {
		hist_add(&worker->now->write, ns);
		worker->now->bytes_written += cmd->data_len;
	} else {
		hist_add(&worker->now->read, ns);
		worker->now->bytes_read += cmd->data_len;
		if (job->map)
			check(slot);
	}
	next_io(slot);
}

static int allocate(struct job *job, unsigned int depth, uint32_t bs, bool map)
{
	job->slots = calloc(depth, sizeof(*job->slots));
	job->stack = calloc(depth, sizeof(*job->stack));
	/* Untouched pages of the map take no memory. */
	job->map = map ? calloc(job->units, sizeof(*job->map)) : NULL;
	if (posix_memalign((void **)&job->buffers, 4096, (size_t)depth * bs))
		job->buffers = NULL;
	return job->slots && job->stack && job->buffers && (job->map || !map) ? 0 : -1;
}

static void set_slice(struct job *job, unsigned int number)
{
	const struct run *run = job->worker->run;
	unsigned int total = run->opts->queues * run->opts->connections;
	uint64_t share = run->units / total;

	job->first = share * number;
	job->units = number == total - 1 ? run->units - job->first : share;
	job->quota = UINT64_MAX;
	if (run->opts->ios)
		job->quota = run->opts->ios / total + (number < run->opts->ios % total ? 1 : 0);
	else if (!run->opts->time_ns)
		job->quota = job->units;
	/* Any odd multiplier makes the streams of the jobs differ; the state must not be zero. */
	job->rng = ((run->opts->seed + 1) * 0x9e3779b97f4a7c15ull + number * 0xd1342543de82ef95ull) | 1;
}

int job_init(struct job *job, struct worker *worker, unsigned int number, struct host_error *err)
{
	struct run *run = worker->run;
	uint32_t bs = run->opts->bs;
	unsigned int i;

	job->worker = worker;
	set_slice(job, number);
	if (job->units < 1 || (run->opts->verify && job->units <= run->depth)) {
		host_fail(err, "the range is too small: %llu units of %u bytes per queue, depth %u",
			  (unsigned long long)job->units, bs, run->depth);
		return -1;
	}
	if (allocate(job, run->depth, bs, run->opts->verify) < 0) {
		host_fail(err,
			  "out of memory for depth %u x %u bytes and a map of %llu units (--size limits the range)",
			  run->depth, bs, run->opts->verify ? (unsigned long long)job->units : 0);
		return -1;
	}
	memset(job->buffers, 0xa5, (size_t)run->depth * bs);
	for (i = 0; i < run->depth; i++) {
		struct slot *slot = &job->slots[i];

		slot->job = job;
		slot->buf = job->buffers + (size_t)i * bs;
		slot->cmd.data = slot->buf;
		slot->cmd.data_len = bs;
		slot->cmd.done = io_done;
		slot->cmd.sqe.cid = htole16((uint16_t)i);
		job->stack[job->idle++] = slot;
	}
	return 0;
}

void job_fini(struct job *job)
{
	free(job->slots);
	free(job->stack);
	free(job->map);
	free(job->buffers);
}

/* Start as many I/Os as there are slots. A dead queue calls back at once and gives its slot back, hence the bound. */
static void start_all(struct job *job)
{
	unsigned int n = job->idle;

	job->last_progress = job->worker->group->now;
	while (n-- && job->idle)
		next_io(job->stack[--job->idle]);
}

void job_start(struct job *job)
{
	start_all(job);
}

void job_start_read_back(struct job *job)
{
	job->reading_back = true;
	job->cursor = 0;
	job->quota = job->units;
	start_all(job);
}
