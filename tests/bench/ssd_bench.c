/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ssd_bench WAY DEVICE DEPTH count BATCHES    DEPTH reads at once, BATCHES times, with marks for count_steps
 * ssd_bench WAY DEVICE DEPTH time MS          as many as go in that time, DEPTH of them at once
 *
 * WAY is uring-raw or uring, with DEVICE /dev/ngXnY, or vfio-raw or vfio, with DEVICE 0000:01:00.0/NSID. Prints one
 * line of JSON.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "ssd_device.h"

#define WARM_UP 4u
#define SETTLE_US 3000u
#define CLOCK_EVERY 64u

static const struct ssd_way *const ways[] = {&ssd_uring_raw, &ssd_vfio_raw, &ssd_uring_backend, &ssd_vfio_backend};

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int make_ios(struct ssd_load *load)
{
	load->buffers =
		mmap(NULL, SSD_BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	load->ios = aligned_alloc(64, SSD_DEPTH_MAX * sizeof(*load->ios));
	if (load->buffers == MAP_FAILED || !load->ios)
		return -ENOMEM;
	memset(load->ios, 0, SSD_DEPTH_MAX * sizeof(*load->ios));
	for (uint16_t i = 0; i < SSD_DEPTH_MAX; i++) {
		struct ssd_io *io = &load->ios[i];

		io->index = i;
		io->load = load;
		io->over = ssd_end;
		io->iov = (struct nvmft_iov){load->buffers + (size_t)i * SSD_BS, SSD_BS, 0};
		io->io.priv = io->priv;
		load->free[load->nfree++] = (uint16_t)(SSD_DEPTH_MAX - 1 - i);
	}
	return 0;
}

static int load_open(struct ssd_load *load, const struct ssd_way *way, const char *device)
{
	int ret = make_ios(load);

	if (ret == 0)
		ret = way->open(load, device);
	if (ret)
		return ret;
	load->blocks_per_io = SSD_BS / load->block_size;
	while (load->block_size << load->shift < SSD_BS)
		load->shift++;
	for (load->mask = 1; load->mask * 2 * SSD_BS <= load->blocks * load->block_size; load->mask *= 2)
		;
	load->mask--;
	return 0;
}

#ifdef NDEBUG
static const bool assertions = false;
#else
static const bool assertions = true;
#endif

uint64_t ssd_calls;
static bool counting;

void ssd_count(bool on)
{
	counting = on;
	ssd_mark();
}

void ssd_uncounted(bool begin)
{
	(void)begin;
	if (counting)
		ssd_mark();
}

/* All at once, then what the device does uncounted, then all back. */
static void batch(struct ssd_load *load, const struct ssd_way *way, bool count)
{
	uint32_t left = load->depth;

	if (count)
		ssd_count(true);
	way->submit(load, load->depth);
	if (count)
		ssd_count(false);
	usleep(SETTLE_US);
	ssd_device_step();
	if (count)
		ssd_count(true);
	while (left)
		left -= way->reap(load);
	if (count)
		ssd_count(false);
}

static void run_count(struct ssd_load *load, const struct ssd_way *way, uint64_t batches)
{
	uint64_t i;

	load->batch = true;
	for (i = 0; i < WARM_UP; i++)
		batch(load, way, false);
	ssd_calls = 0;
	for (i = 0; i < batches; i++)
		batch(load, way, true);
	printf("{\"ios\": %llu, \"errors\": %llu, \"calls\": %llu, \"assertions\": %s}\n",
	       (unsigned long long)(batches * load->depth), (unsigned long long)load->errors,
	       (unsigned long long)ssd_calls, assertions ? "true" : "false");
}

static void run_time(struct ssd_load *load, const struct ssd_way *way, double limit)
{
	double begin = seconds(), now = begin;
	uint32_t n = load->depth, open = 0, passes = 0;
	uint64_t ios = 0;

	while (now - begin < limit) {
		way->submit(load, n);
		open += n;
		while (!(n = way->reap(load)))
			ssd_device_step();
		open -= n;
		ios += n;
		if (++passes % CLOCK_EVERY == 0)
			now = seconds();
	}
	now = seconds();
	while (open) {
		way->submit(load, 0); /* which may wait for one */
		ssd_device_step();
		open -= way->reap(load);
	}
	printf("{\"ios\": %llu, \"iops\": %.0f, \"errors\": %llu}\n", (unsigned long long)ios,
	       (double)ios / (now - begin), (unsigned long long)load->errors);
}

static const struct ssd_way *find(const char *name)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		if (!strcmp(ways[i]->name, name))
			return ways[i];
	return NULL;
}

int main(int argc, char **argv)
{
	const struct ssd_way *way = argc == 6 ? find(argv[1]) : NULL;
	struct ssd_load load = {0};
	int ret;

	if (!way) {
		fprintf(stderr, "Usage: ssd_bench WAY DEVICE DEPTH count BATCHES | time MS\n");
		return 2;
	}
	load.depth = (uint32_t)atoi(argv[3]);
	if (load.depth < 1 || load.depth > SSD_DEPTH_MAX / 2)
		return 2;
	ret = load_open(&load, way, argv[2]);
	if (ret) {
		fprintf(stderr, "ssd_bench: %s: %s\n", argv[2], strerror(-ret));
		return 1;
	}
	if (!strcmp(argv[4], "count"))
		run_count(&load, way, strtoull(argv[5], NULL, 10));
	else
		run_time(&load, way, atof(argv[5]) / 1e3);
	way->close(&load);
	free(load.ios);
	return load.errors ? 1 : 0;
}
