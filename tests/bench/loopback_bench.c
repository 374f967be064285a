/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loopback_bench ios KIND DEPTH COMMANDS       4 KiB reads through the in-process transport
 * loopback_bench count KIND DEPTH BATCHES      the same DEPTH at a time, with marks for count_steps
 * loopback_bench queues COUNT SQSIZE           what so many idle I/O queues of one controller take
 * loopback_bench start                         from nothing to the first I/O
 *
 * KIND is null, memory, nvme:/dev/ngXnY or vfio:ADDRESS/NSID, a namespace with blocks of 4 KiB. Each prints one line of
 * JSON. Heap allocations are counted when alloc_count.so is preloaded.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lb_host.h"
#include "ssd.h"

#define BS 4096u
#define NS_BYTES (64ull << 20)
#define WARM_UP 10000u
/* After this every device has done what it was told. */
#define SETTLE_US 3000u

__attribute__((weak)) uint64_t bench_alloc_count(void);

struct load {
	struct nvmft_loopback_queue *queue;
	uint64_t left;
	uint64_t done;
	uint64_t errors;
};

struct io {
	struct nvmft_loopback_cmd cmd; /* first */
	struct load *load;
};

static uint64_t allocations(void)
{
	return bench_alloc_count ? bench_alloc_count() : 0;
}

static void io_done(struct nvmft_loopback_cmd *cmd)
{
	struct io *io = (struct io *)(void *)cmd;
	struct load *load = io->load;
	struct host_cqe cqe;

	memcpy(&cqe, cmd->cqe.bytes, sizeof(cqe));
	load->errors += cqe.status != 0;
	load->done++;
	if (!load->left)
		return;
	load->left--;
	if (nvmft_loopback_submit(load->queue, cmd))
		load->errors++;
}

static void run(struct lb_target *lb, struct load *load, struct io *ios, unsigned int depth, uint64_t count)
{
	unsigned int i;

	load->done = 0;
	load->left = count;
	for (i = 0; i < depth && load->left; i++) {
		load->left--;
		if (nvmft_loopback_submit(load->queue, &ios[i].cmd))
			load->errors++;
	}
	while (load->done < count && !load->errors)
		nvmft_poll(lb->group, 0);
}

static struct io *make_ios(struct load *load, unsigned int depth)
{
	struct io *ios = calloc(depth, sizeof(*ios));
	uint8_t *data = malloc((size_t)depth * BS);
	unsigned int i;

	if (!ios || !data)
		exit(1);
	for (i = 0; i < depth; i++) {
		struct host_sqe sqe = {.opcode = 0x02, .cid = htole16((uint16_t)i), .nsid = htole32(1)};

		sqe.cdw[0] = htole32(i * 977 % (uint32_t)(NS_BYTES / BS));
		memcpy(ios[i].cmd.sqe.bytes, &sqe, sizeof(sqe));
		ios[i].cmd.data = data + (size_t)i * BS;
		ios[i].cmd.data_len = BS;
		ios[i].cmd.done = io_done;
		ios[i].load = load;
	}
	return ios;
}

static int open_queue(struct lb_target *lb, const char *kind, unsigned int depth, struct nvmft_loopback_queue **queue)
{
	struct nvmft_loopback_queue *admin;
	int rc = lb_start(lb, nvmft_transport_loopback(), "127.0.0.1", kind, NS_BYTES);

	if (!rc)
		rc = lb_connect(lb, 0, 31, &admin);
	if (!rc)
		rc = lb_connect(lb, 1, (uint16_t)depth, queue);
	if (rc)
		fprintf(stderr, "loopback_bench: %s\n", strerror(-rc));
	return rc;
}

static int bench_ios(const char *kind, unsigned int depth, uint64_t count)
{
	struct load load = {0};
	struct lb_target lb;
	struct io *ios = make_ios(&load, depth);
	double seconds;
	uint64_t allocated;

	if (open_queue(&lb, kind, depth, &load.queue))
		return 1;
	run(&lb, &load, ios, depth, WARM_UP);
	allocated = allocations();
	seconds = lb_seconds();
	run(&lb, &load, ios, depth, count);
	seconds = lb_seconds() - seconds;
	allocated = allocations() - allocated;
	printf("{\"commands\": %llu, \"ns_per_command\": %.2f, \"errors\": %llu, \"counted\": %s, \"allocations\": "
	       "%llu}\n",
	       (unsigned long long)count, seconds * 1e9 / (double)count, (unsigned long long)load.errors,
	       bench_alloc_count ? "true" : "false", (unsigned long long)allocated);
	lb_stop(&lb);
	return load.errors ? 1 : 0;
}

/* Counted: submission with the pass that takes it to the device, and the passes that bring the answers back. */
static int bench_count(const char *kind, unsigned int depth, uint64_t batches)
{
	struct load load = {0};
	struct lb_target lb;
	struct io *ios = make_ios(&load, depth);

	if (open_queue(&lb, kind, depth, &load.queue))
		return 1;
	run(&lb, &load, ios, depth, depth * 4u);
	load.left = 0;
	for (uint64_t batch = 0; batch < batches; batch++) {
		load.done = 0;
		ssd_mark();
		for (unsigned int i = 0; i < depth; i++)
			if (nvmft_loopback_submit(load.queue, &ios[i].cmd))
				load.errors++;
		nvmft_poll(lb.group, 0);
		ssd_mark();
		usleep(SETTLE_US);
		ssd_mark();
		while (load.done < depth && !load.errors)
			nvmft_poll(lb.group, 0);
		ssd_mark();
	}
	printf("{\"ios\": %llu, \"errors\": %llu}\n", (unsigned long long)(batches * depth),
	       (unsigned long long)load.errors);
	lb_stop(&lb);
	return load.errors ? 1 : 0;
}

static int bench_queues(unsigned int count, uint16_t sqsize)
{
	struct nvmft_loopback_queue *queue;
	struct lb_target lb;
	uint64_t before;
	double seconds;
	unsigned int i;
	int rc = lb_start(&lb, nvmft_transport_loopback(), "127.0.0.1", "null", NS_BYTES);

	if (!rc)
		rc = lb_connect(&lb, 0, 31, &queue);
	/* The first queue brings what all share. */
	if (!rc)
		rc = lb_connect(&lb, 1, sqsize, &queue);
	before = lb_rss();
	seconds = lb_seconds();
	for (i = 2; i <= count && !rc; i++)
		rc = lb_connect(&lb, (uint16_t)i, sqsize, &queue);
	if (rc) {
		fprintf(stderr, "loopback_bench: queue %u: %s\n", i - 1, strerror(-rc));
		return 1;
	}
	printf("{\"queues\": %u, \"entries\": %u, \"bytes_per_queue\": %.1f, \"us_per_connect\": %.2f}\n", count,
	       sqsize + 1u, (double)(lb_rss() - before) / (count - 1), (lb_seconds() - seconds) * 1e6 / (count - 1));
	lb_stop(&lb);
	return 0;
}

static int bench_start(void)
{
	double seconds = lb_seconds();
	struct nvmft_loopback_queue *admin;
	struct load load = {0};
	struct lb_target lb;
	struct io *ios = make_ios(&load, 1);
	int rc = lb_start(&lb, nvmft_transport_loopback(), "127.0.0.1", "memory", NS_BYTES);

	if (!rc)
		rc = lb_connect(&lb, 0, 31, &admin);
	if (!rc)
		rc = lb_connect(&lb, 1, 31, &load.queue);
	if (rc)
		return 1;
	run(&lb, &load, ios, 1, 1);
	printf("{\"ms\": %.3f, \"errors\": %llu}\n", (lb_seconds() - seconds) * 1e3, (unsigned long long)load.errors);
	lb_stop(&lb);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "ios"))
		return bench_ios(argv[2], (unsigned int)atoi(argv[3]), strtoull(argv[4], NULL, 10));
	if (argc == 5 && !strcmp(argv[1], "count"))
		return bench_count(argv[2], (unsigned int)atoi(argv[3]), strtoull(argv[4], NULL, 10));
	if (argc == 4 && !strcmp(argv[1], "queues"))
		return bench_queues((unsigned int)atoi(argv[2]), (uint16_t)atoi(argv[3]));
	if (argc == 2 && !strcmp(argv[1], "start"))
		return bench_start();
	fprintf(stderr, "Usage: loopback_bench ios|count KIND DEPTH COMMANDS|BATCHES | queues COUNT SQSIZE | start\n");
	return 2;
}
