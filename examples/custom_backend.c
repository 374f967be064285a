/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A backend of one's own in four functions: memory in which every byte is stored scrambled (XOR with a key). What it
 * does not declare (FUA, Write Zeroes, Compare, deallocation), the library emulates or does not offer.
 *
 * The program proves it by itself: as a host over loopback it connects, writes a block, reads it back, and looks into
 * the backend's memory. Exit status 0: all as expected.
 */
#include <endian.h>
#include <errno.h>
#include <nvmft/nvmft.h>
#include <nvmft/provider/backend.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NQN "nqn.2024-01.org.nvmft:scrambled"
#define BLOCK 512u

/* ---- the backend ---- */

struct scramble_opts {
	uint64_t blocks;
	uint8_t key;
	uint8_t *memory; /* the program's own, so that it can look into it */
};

/* Private bytes that the library keeps for each open backend. */
struct scramble {
	struct scramble_opts opts;
};

static int scramble_open(struct nvmft_backend *backend, const void *opts)
{
	struct scramble *s = backend->priv;

	s->opts = *(const struct scramble_opts *)opts;
	if (!s->opts.blocks || !s->opts.memory) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "needs memory");
		return -EINVAL;
	}
	return 0;
}

static void scramble_close(struct nvmft_backend *backend)
{
	(void)backend;
}

static int scramble_info(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	const struct scramble *s = backend->priv;

	info->block_size = BLOCK;
	info->blocks = s->opts.blocks;
	return 0;
}

static void copy_scrambled(uint8_t *to, const uint8_t *from, size_t len, uint8_t key)
{
	for (size_t i = 0; i < len; i++)
		to[i] = from[i] ^ key;
}

/* The library has checked the range: it lies inside the volume, and the buffers have exactly its length. */
static void scramble_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	const struct scramble *s = channel->backend->priv;
	uint8_t *blocks = s->opts.memory + io->lba * BLOCK;

	for (uint32_t i = 0; i < io->iovcnt; i++) {
		if (io->op == NVMFT_IO_READ)
			copy_scrambled(io->iov[i].base, blocks, io->iov[i].len, s->opts.key);
		else
			copy_scrambled(blocks, io->iov[i].base, io->iov[i].len, s->opts.key);
		blocks += io->iov[i].len;
	}
	nvmft_io_done(io, 0);
}

static const struct nvmft_backend_ops scramble_ops = {
	.size = sizeof(scramble_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "scramble",
	.backend_size = sizeof(struct scramble),
	.open = scramble_open,
	.close = scramble_close,
	.info = scramble_info,
	.submit = scramble_submit,
};

/* ---- a host over loopback, one command at a time ---- */

static void check(const char *what, int ret)
{
	if (ret < 0) {
		fprintf(stderr, "%s: %s\n", what, strerror(-ret));
		exit(1);
	}
}

static void expect(const char *what, bool good)
{
	printf("%s: %s\n", what, good ? "ok" : "NOT OK");
	if (!good)
		exit(1);
}

struct client {
	struct nvmft_poll_group *group;
	struct nvmft_port *port;
	int pending; /* callbacks to come */
	int status;
	uint16_t cntlid;
};

static void connected(void *ctx, struct nvmft_loopback_queue *queue, int status, uint16_t cntlid)
{
	struct client *c = ctx;

	(void)queue;
	c->status = status;
	c->cntlid = cntlid;
	c->pending--;
}

static void disconnected(void *ctx, struct nvmft_loopback_queue *queue)
{
	(void)ctx, (void)queue;
}

static void wait_pending(struct client *c)
{
	while (c->pending)
		nvmft_poll(c->group, NVMFT_POLL_WAIT);
}

static struct nvmft_loopback_queue *connect_queue(struct client *c, uint16_t qid)
{
	struct nvmft_loopback_opts opts = {.size = sizeof(opts),
					   .port = c->port,
					   .group = c->group,
					   .subnqn = NQN,
					   .qid = qid,
					   .cntlid = qid ? c->cntlid : 0,
					   .connected = connected,
					   .disconnected = disconnected,
					   .ctx = c};
	struct nvmft_loopback_queue *queue;

	c->pending++;
	check("connect", nvmft_loopback_connect(&opts, &queue));
	wait_pending(c);
	expect(qid ? "I/O queue connected" : "admin queue connected", c->status == 0);
	return queue;
}

struct command {
	struct nvmft_loopback_cmd cmd;
	struct client *client;
};

static void command_done(struct nvmft_loopback_cmd *cmd)
{
	((struct command *)(void *)cmd)->client->pending--;
}

/* Returns the status field of the completion, 0 for success. */
static unsigned int execute(struct client *c, struct nvmft_loopback_queue *queue, const struct nvmft_sqe *sqe,
			    void *data, size_t len)
{
	struct command command = {.cmd = {.data = data, .data_len = len, .done = command_done}, .client = c};
	struct nvmft_cqe cqe;

	memcpy(command.cmd.sqe.bytes, sqe, sizeof(*sqe));
	c->pending++;
	check("submit", nvmft_loopback_submit(queue, &command.cmd));
	wait_pending(c);
	memcpy(&cqe, command.cmd.cqe.bytes, sizeof(cqe));
	return le16toh(cqe.status) >> 1;
}

/* Property Set of CC: enable the controller, with entries of 64 and 16 bytes. */
static const struct nvmft_sqe enable_controller = {
	.opcode = 0x7f,
	.cdw11 = 0x14, /* CC */
	.cdw12 = 0x460001,
};

/* Write (01h) or Read (02h) of one block at LBA 5 of namespace 1. */
static struct nvmft_sqe transfer(uint8_t opcode)
{
	return (struct nvmft_sqe){.opcode = opcode, .nsid = htole32(1), .cdw10 = htole32(5)};
}

static void self_test(struct client *c, const uint8_t *memory, uint8_t key)
{
	struct nvmft_sqe write = transfer(0x01), read = transfer(0x02);
	struct nvmft_loopback_queue *admin = connect_queue(c, 0), *io;
	uint8_t out[BLOCK], in[BLOCK];

	expect("controller enabled", execute(c, admin, &enable_controller, NULL, 0) == 0);
	io = connect_queue(c, 1);
	memset(out, 0x11, sizeof(out));
	expect("write", execute(c, io, &write, out, sizeof(out)) == 0);
	expect("read", execute(c, io, &read, in, sizeof(in)) == 0);
	expect("read what was written", !memcmp(in, out, sizeof(in)));
	expect("stored scrambled", memory[5 * BLOCK] == (0x11 ^ key) && memory[6 * BLOCK - 1] == (0x11 ^ key));
}

/* ---- the program ---- */

static void log_line(void *ctx, enum nvmft_log_level level, const char *message)
{
	(void)ctx, (void)level;
	fprintf(stderr, "%s\n", message);
}

static bool stopped;

static void on_stopped(struct nvmft_done *done, int result)
{
	(void)done, (void)result;
	stopped = true;
}

int main(void)
{
	struct scramble_opts scramble_opts = {.blocks = 2048, .key = 0x5a, .memory = calloc(2048, BLOCK)};
	struct nvmft_target_opts target_opts = {.size = sizeof(target_opts), .log = {.write = log_line}};
	struct nvmft_subsystem_opts subsystem_opts = {
		.size = sizeof(subsystem_opts), .nqn = NQN, .allow_any_host = true};
	struct nvmft_namespace_opts ns_opts = {
		.size = sizeof(ns_opts), .backend = &scramble_ops, .backend_opts = &scramble_opts};
	struct nvmft_port_opts port_opts = {.size = sizeof(port_opts), .transport = nvmft_transport_loopback()};
	struct nvmft_done done = {.fn = on_stopped};
	struct nvmft_subsystem *subsystem;
	struct nvmft_target *target;
	struct client client = {0};

	check("target", nvmft_target_create(&target_opts, &target));
	check("poll group", nvmft_poll_group_create(target, &client.group));
	check("subsystem", nvmft_subsystem_create(target, &subsystem_opts, &subsystem));
	check("namespace", nvmft_namespace_add(subsystem, &ns_opts, NULL));
	check("port", nvmft_port_add(target, &port_opts, &client.port));
	check("link", nvmft_port_link(client.port, subsystem));
	nvmft_poll(client.group, 0); /* a poll group sees a new configuration at its next poll */
	self_test(&client, scramble_opts.memory, scramble_opts.key);
	check("stop", nvmft_target_stop(target, &done));
	while (!stopped)
		nvmft_poll(client.group, NVMFT_POLL_WAIT);
	check("destroy", nvmft_target_destroy(target));
	free(scramble_opts.memory);
	return 0;
}
