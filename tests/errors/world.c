/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

/* Polls in a row that find nothing before the target is taken to be idle: all it does is within this process. */
#define IDLE_POLLS 4

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static uint64_t world_now(void *ctx)
{
	return ((struct world *)ctx)->now_ns;
}

static void world_log(void *ctx, enum nvmft_log_level level, const char *message)
{
	struct world *world = ctx;
	int n;

	n = snprintf(world->log + world->log_len, sizeof(world->log) - world->log_len, "%d: %s\n", (int)level, message);
	if (n > 0 && world->log_len + (size_t)n < sizeof(world->log))
		world->log_len += (size_t)n;
	if (getenv("WIRE_LOG"))
		fprintf(stderr, "%d: %s\n", (int)level, message);
}

static void open_target(struct world *world, const struct world_opts *opts)
{
	struct nvmft_target_opts target_opts = opts->target;

	target_opts.size = sizeof(target_opts);
	target_opts.now_ns = world_now;
	target_opts.time_ctx = world;
	target_opts.log = (struct nvmft_log_sink){.write = world_log, .ctx = world};
	assert_int_equal(nvmft_target_create(&target_opts, &world->target), 0);
	assert_int_equal(nvmft_poll_group_create(world->target, &world->group), 0);
}

static void open_port(struct world *world, const struct world_opts *opts)
{
	struct nvmft_tcp_opts tcp_opts = opts->tcp;
	struct nvmft_port_opts port_opts = opts->port;

	tcp_opts.size = sizeof(tcp_opts);
	if (!tcp_opts.maxh2cdata)
		tcp_opts.maxh2cdata = WIRE_MAXH2CDATA;
	port_opts.size = sizeof(port_opts);
	port_opts.transport = nvmft_transport_tcp();
	port_opts.transport_opts = &tcp_opts;
	if (!port_opts.traddr)
		port_opts.traddr = "none";
	assert_int_equal(nvmft_port_add(world->target, &port_opts, &world->port), 0);
}

static void open_subsystem(struct world *world)
{
	const struct nvmft_subsystem_opts opts = {.size = sizeof(opts), .nqn = WIRE_NQN, .allow_any_host = true};
	const struct nvmft_memory_opts memory = {
		.size = sizeof(memory), .bytes = (uint64_t)WIRE_BLOCKS * WIRE_BLOCK, .block_size = WIRE_BLOCK};
	const struct nvmft_namespace_opts ns = {
		.size = sizeof(ns), .backend = nvmft_backend_memory(), .backend_opts = &memory};

	assert_int_equal(nvmft_subsystem_create(world->target, &opts, &world->subsystem), 0);
	assert_int_equal(nvmft_namespace_add(world->subsystem, &ns, &world->ns), 0);
	assert_int_equal(nvmft_port_link(world->port, world->subsystem), 0);
}

struct world *world_create(const struct world_opts *opts)
{
	static const struct world_opts none;
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	world->fds = count_fds();
	world->now_ns = 1000000000;
	open_target(world, opts ? opts : &none);
	open_port(world, opts ? opts : &none);
	open_subsystem(world);
	world_settle(world);
	return world;
}

struct stop {
	struct nvmft_done done;
	bool over;
};

static void stopped(struct nvmft_done *done, int result)
{
	assert_int_equal(result, 0);
	((struct stop *)done)->over = true;
}

void world_stop(struct world *world)
{
	struct stop stop = {.done.fn = stopped};

	world->stopped = true;
	world_settle(world);
	assert_int_equal(nvmft_target_stop(world->target, &stop.done), 0);
	for (int i = 0; i < 100000 && !stop.over; i++) {
		nvmft_poll(world->group, 0);
		if (world->other)
			nvmft_poll(world->other, 0);
	}
	assert_true(stop.over);
}

void world_destroy(struct world *world)
{
	int fds = world->fds;

	if (!world->stopped)
		world_stop(world);
	assert_int_equal(world_stats(world).connections, 0);
	assert_int_equal(world_stats(world).data_bytes, 0);
	assert_int_equal(nvmft_target_destroy(world->target), 0);
	free(world);
	assert_int_equal(count_fds(), fds);
}

int world_setup(void **state)
{
	*state = world_create(NULL);
	return 0;
}

int world_teardown(void **state)
{
	world_destroy(*state);
	return 0;
}

void world_settle(struct world *world)
{
	for (int idle = 0; idle < IDLE_POLLS;) {
		int n = nvmft_poll(world->group, 0);

		assert_true(n >= 0);
		idle = n ? 0 : idle + 1;
	}
}

void world_pass(struct world *world, uint64_t ms)
{
	/* In steps, so that timers which arm others get their turn. */
	for (uint64_t step = 50; ms > 0; ms -= step) {
		step = step < ms ? step : ms;
		world->now_ns += step * 1000000;
		world_settle(world);
	}
}

struct nvmft_target_stats world_stats(struct world *world)
{
	struct nvmft_target_stats stats = {.size = sizeof(stats)};

	assert_int_equal(nvmft_target_stats(world->target, &stats), 0);
	return stats;
}

void world_read(struct world *world, uint64_t lba, void *data, uint32_t len)
{
	struct pair pair = wire_pair(world);
	struct cmd cmd = cmd_rw(0x02, 0x7777, lba, len / WIRE_BLOCK, SGL_TRANSPORT);
	struct pdu pdu;

	wire_cmd(pair.io, &cmd);
	wire_expect(pair.io, C2H_DATA, &pdu);
	assert_int_equal(pdu.data_len, len);
	memcpy(data, pdu.data, len);
	assert_int_equal(wire_resp(pair.io, 0x7777, &pdu), 0);
	pair_close(&pair);
}

void world_check_alive(struct world *world)
{
	uint8_t block[WIRE_BLOCK];

	world_read(world, 0, block, sizeof(block));
}
