/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

/* Sums over all workers. */
struct result {
	struct totals t;
	double seconds;
};

static const uint32_t percents[] = {50000, 90000, 99000, 99900};
static const char *const percent_names[] = {"p50", "p90", "p99", "p99.9"};

static void collect(const struct run *run, bool read_back, struct result *result)
{
	unsigned int i;

	memset(result, 0, sizeof(*result));
	for (i = 0; i < run->opts->threads; i++) {
		const struct totals *t = read_back ? &run->workers[i].read_back : &run->workers[i].totals;

		hist_merge(&result->t.read, &t->read);
		hist_merge(&result->t.write, &t->write);
		result->t.bytes_read += t->bytes_read;
		result->t.bytes_written += t->bytes_written;
		result->t.errors += t->errors;
		result->t.verified += t->verified;
		result->t.mismatches += t->mismatches;
		if (t->end && (!result->t.start || t->start < result->t.start))
			result->t.start = t->start;
		if (t->end > result->t.end)
			result->t.end = t->end;
	}
	result->seconds = (double)(result->t.end - result->t.start) / 1e9;
}

static double rate(double count, double seconds)
{
	return seconds > 0 ? count / seconds : 0;
}

void report_progress(const struct run *run, uint64_t start, uint64_t *last_ns, uint64_t *last_ios, uint64_t *last_bytes)
{
	uint64_t now = host_now(), ios = 0, bytes = 0, errors = 0;
	bool tty = isatty(STDERR_FILENO);
	double seconds = (double)(now - *last_ns) / 1e9;
	unsigned int i;

	if (!tty && seconds < 1)
		return;
	for (i = 0; i < run->opts->threads; i++) {
		ios += __atomic_load_n(&run->workers[i].live_ios, __ATOMIC_RELAXED);
		bytes += __atomic_load_n(&run->workers[i].live_bytes, __ATOMIC_RELAXED);
		errors += __atomic_load_n(&run->workers[i].live_errors, __ATOMIC_RELAXED);
	}
	/* Reading back counts from zero again. */
	if (ios < *last_ios)
		*last_ios = *last_bytes = 0;
	fprintf(stderr, "%s%5.1f s  %9.0f IOPS  %8.1f MB/s  %llu errors%s", tty ? "\r\033[K" : "",
		(double)(now - start) / 1e9, rate((double)(ios - *last_ios), seconds),
		rate((double)(bytes - *last_bytes), seconds) / 1e6, (unsigned long long)errors, tty ? "" : "\n");
	*last_ns = now;
	*last_ios = ios;
	*last_bytes = bytes;
}

static void print_row(const char *name, const struct hist *hist, uint64_t bytes, double seconds)
{
	unsigned int i;

	printf("%-10s %11.0f %9.1f %9.1f", name, rate((double)hist->count, seconds), rate((double)bytes, seconds) / 1e6,
	       hist_mean(hist) / 1e3);
	for (i = 0; i < sizeof(percents) / sizeof(percents[0]); i++)
		printf(" %9.1f", (double)hist_percentile(hist, percents[i]) / 1e3);
	printf(" %9.1f %12llu\n", (double)hist->max / 1e3, (unsigned long long)hist->count);
}

static void print_time(char *text, size_t len, uint64_t ns)
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	unsigned int i;
	double value = (double)ns;

	for (i = 0; i < 3 && value >= 1000; i++)
		value /= 1000;
	snprintf(text, len, "%.*f %s", value < 10 && i ? 1 : 0, value, units[i]);
}

static void print_histogram(const char *name, const struct hist *hist)
{
	static const char bar[] = "##################################################";
	unsigned int bit, width;
	uint64_t count;
	char low[24], high[24];

	if (!hist->count)
		return;
	printf("\n%s latency\n", name);
	for (bit = 0; bit <= HIST_MAX_BITS; bit++) {
		count = hist_between(hist, bit ? 1ull << bit : 0, 2ull << bit);
		if (!count)
			continue;
		print_time(low, sizeof(low), bit ? 1ull << bit : 0);
		print_time(high, sizeof(high), 2ull << bit);
		width = (unsigned int)((double)count * (sizeof(bar) - 1) / (double)hist->count + 0.5);
		printf("%8s - %-8s |%-50.*s| %6.2f %%\n", low, high, (int)width, bar,
		       100.0 * (double)count / (double)hist->count);
	}
}

static void print_summary(const struct run *run, const struct result *load, const struct result *back)
{
	const struct options *o = run->opts;

	if (o->verify)
		printf("\nverify: %llu blocks checked, %llu wrong\n",
		       (unsigned long long)(load->t.verified + back->t.verified),
		       (unsigned long long)(load->t.mismatches + back->t.mismatches));
	printf("%serrors: %llu\n", o->verify ? "" : "\n", (unsigned long long)(load->t.errors + back->t.errors));
}

void report_table(const struct run *run)
{
	const struct options *o = run->opts;
	struct result load, back;

	collect(run, false, &load);
	collect(run, true, &back);
	printf("%s %s namespace %u: %s %s, %llu blocks of %u bytes\n", o->target, o->subnqn, o->nsid,
	       run->ctrls[0].model, run->ctrls[0].serial, (unsigned long long)run->ns.blocks, run->ns.block_size);
	printf("%s of %u bytes, %u x %u queues of depth %u, %u thread%s, %.2f s%s%s%s%s, seed %llu\n\n", o->rw, o->bs,
	       o->connections, o->queues, o->depth, o->threads, o->threads > 1 ? "s" : "", load.seconds,
	       o->hdgst ? ", HDGST" : "", o->ddgst ? ", DDGST" : "", o->no_sqflow ? ", no SQ flow control" : "",
	       o->no_in_capsule ? ", no in-capsule data" : "", (unsigned long long)o->seed);
	printf("%-10s %11s %9s %9s %9s %9s %9s %9s %9s %12s\n", "", "IOPS", "MB/s", "mean us", "p50", "p90", "p99",
	       "p99.9", "max", "I/Os");
	if (load.t.read.count)
		print_row("read", &load.t.read, load.t.bytes_read, load.seconds);
	if (load.t.write.count)
		print_row("write", &load.t.write, load.t.bytes_written, load.seconds);
	if (back.t.read.count)
		print_row("read back", &back.t.read, back.t.bytes_read, back.seconds);
	print_histogram("read", &load.t.read);
	print_histogram("write", &load.t.write);
	print_histogram("read back", &back.t.read);
	print_summary(run, &load, &back);
}

static void json_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
			printf("\\u%04x", (unsigned char)*text);
		else
			putchar(*text);
	}
	putchar('"');
}

static void json_hist(const char *name, const struct hist *hist, uint64_t bytes, double seconds)
{
	unsigned int i;

	printf("  \"%s\": {\"ios\": %llu, \"iops\": %.1f, \"bytes\": %llu, \"bytes_per_s\": %.1f, \"latency_ns\": "
	       "{\"mean\": %.1f, \"min\": %llu",
	       name, (unsigned long long)hist->count, rate((double)hist->count, seconds), (unsigned long long)bytes,
	       rate((double)bytes, seconds), hist_mean(hist), (unsigned long long)hist->min);
	for (i = 0; i < sizeof(percents) / sizeof(percents[0]); i++)
		printf(", \"%s\": %llu", percent_names[i], (unsigned long long)hist_percentile(hist, percents[i]));
	printf(", \"max\": %llu}},\n", (unsigned long long)hist->max);
}

void report_json(const struct run *run)
{
	const struct options *o = run->opts;
	struct result load, back;

	collect(run, false, &load);
	collect(run, true, &back);
	printf("{\n  \"target\": ");
	json_string(o->target);
	printf(",\n  \"subsystem\": ");
	json_string(o->subnqn);
	printf(",\n  \"model\": ");
	json_string(run->ctrls[0].model);
	printf(",\n  \"nsid\": %u, \"block_size\": %u, \"blocks\": %llu,\n", o->nsid, run->ns.block_size,
	       (unsigned long long)run->ns.blocks);
	printf("  \"rw\": \"%s\", \"bs\": %u, \"depth\": %u, \"queues\": %u, \"connections\": %u, \"threads\": %u, "
	       "\"seed\": %llu,\n",
	       o->rw, o->bs, o->depth, o->queues, o->connections, o->threads, (unsigned long long)o->seed);
	printf("  \"hdgst\": %s, \"ddgst\": %s, \"sqflow\": %s, \"seconds\": %.6f,\n", o->hdgst ? "true" : "false",
	       o->ddgst ? "true" : "false", o->no_sqflow ? "false" : "true", load.seconds);
	json_hist("read", &load.t.read, load.t.bytes_read, load.seconds);
	json_hist("write", &load.t.write, load.t.bytes_written, load.seconds);
	json_hist("read_back", &back.t.read, back.t.bytes_read, back.seconds);
	printf("  \"verify\": {\"blocks\": %llu, \"wrong\": %llu},\n  \"errors\": %llu\n}\n",
	       (unsigned long long)(load.t.verified + back.t.verified),
	       (unsigned long long)(load.t.mismatches + back.t.mismatches),
	       (unsigned long long)(load.t.errors + back.t.errors));
}

bool report_good(const struct run *run)
{
	unsigned int i;

	for (i = 0; i < run->opts->threads; i++) {
		const struct worker *w = &run->workers[i];

		if (w->totals.errors || w->totals.mismatches || w->read_back.errors || w->read_back.mismatches)
			return false;
	}
	return true;
}
