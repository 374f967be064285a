/* SPDX-License-Identifier: BSD-3-Clause */
/* Responses made of a backend's own pages, in more pieces than one send takes. */
#include <stdlib.h>
#include <string.h>

#include <nvmft/provider/backend.h>

#include "wire.h"

#define BYTES (1u << 20)

/* A backend that lends every block as a piece of its own, and counts what it gets back. */
struct counts {
	unsigned int lent, ended, copied;
	bool keeps; /* its pages to itself */
};

struct toy {
	struct counts *counts;
	uint8_t *data;
};

static int toy_open(struct nvmft_backend *backend, const void *opts)
{
	struct toy *toy = backend->priv;

	toy->counts = *(struct counts *const *)opts;
	toy->data = malloc(BYTES);
	if (!toy->data)
		return -1;
	for (size_t i = 0; i < BYTES; i++)
		toy->data[i] = (uint8_t)(i * 13 + i / WIRE_BLOCK);
	return 0;
}

static void toy_close(struct nvmft_backend *backend)
{
	free(((struct toy *)backend->priv)->data);
}

static int toy_info(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	const struct toy *toy = backend->priv;

	info->block_size = WIRE_BLOCK;
	info->blocks = BYTES / WIRE_BLOCK;
	info->lends_reads = !toy->counts->keeps;
	return 0;
}

static void toy_lend(struct toy *toy, struct nvmft_io *io)
{
	struct nvmft_iov *iov = calloc(io->blocks, sizeof(*iov));

	assert_non_null(iov);
	for (uint32_t i = 0; i < io->blocks; i++) {
		/* In reverse order in memory, so that no two pieces can be made one. */
		iov[i].base = toy->data + (io->lba + i) * WIRE_BLOCK;
		iov[i].len = WIRE_BLOCK;
		iov[i].region = NVMFT_REGION_NONE;
		if (i % 2) {
			iov[i].base = toy->data + (io->lba + i - 1) * WIRE_BLOCK;
			iov[i - 1].base = toy->data + (io->lba + i) * WIRE_BLOCK;
		}
	}
	io->iov = iov;
	io->iovcnt = io->blocks;
	toy->counts->lent++;
}

static void toy_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct toy *toy = channel->backend->priv;

	if (io->iovcnt == 0) {
		toy_lend(toy, io);
	} else {
		memset(io->iov[0].base, 0x77, io->iov[0].len);
		toy->counts->copied++;
	}
	nvmft_io_done(io, 0);
}

static void toy_lend_end(struct nvmft_channel *channel, struct nvmft_io *io)
{
	((struct toy *)channel->backend->priv)->counts->ended++;
	free(io->iov);
}

static const struct nvmft_backend_ops toy_ops = {
	.size = sizeof(toy_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "toy",
	.backend_size = sizeof(struct toy),
	.open = toy_open,
	.close = toy_close,
	.info = toy_info,
	.submit = toy_submit,
	.lend_end = toy_lend_end,
};

static struct nvmft_namespace *add_toy(struct world *world, struct counts *counts)
{
	struct nvmft_namespace *added;
	struct counts *opts = counts;
	const struct nvmft_namespace_opts ns = {
		.size = sizeof(ns), .nsid = 2, .backend = &toy_ops, .backend_opts = &opts};

	assert_int_equal(nvmft_namespace_add(world->subsystem, &ns, &added), 0);
	world_settle(world);
	return added;
}

static struct cmd read_all(uint16_t cid)
{
	struct cmd cmd = cmd_rw(0x02, cid, 0, BYTES / WIRE_BLOCK, SGL_TRANSPORT);

	put32(cmd.sqe + 4, 2);
	return cmd;
}

static void check_data(const uint8_t *data)
{
	for (uint32_t block = 0; block < BYTES / WIRE_BLOCK; block++)
		for (uint32_t i = 0; i < WIRE_BLOCK; i++) {
			uint32_t at = (block ^ 1) * WIRE_BLOCK + i;

			if (data[block * WIRE_BLOCK + i] != (uint8_t)(at * 13 + at / WIRE_BLOCK))
				fail_msg("block %u byte %u", block, i);
		}
}

static void test_more_pieces_than_one_send_takes(void **state)
{
	for (int hdgst = 0; hdgst < 2; hdgst++) {
		struct counts counts = {0};
		struct world *world = world_create(NULL);
		struct pair pair;
		struct pdu pdu;

		add_toy(world, &counts);
		pair = wire_pair_digests(world, hdgst, false);
		for (uint16_t cid = 0; cid < 3; cid++) {
			struct cmd cmd = read_all(cid);

			wire_cmd(pair.io, &cmd);
		}
		for (uint16_t cid = 0; cid < 3; cid++) {
			wire_expect(pair.io, C2H_DATA, &pdu);
			assert_int_equal(pdu.data_len, BYTES);
			check_data(pdu.data);
			assert_int_equal(wire_resp(pair.io, cid, NULL), 0);
		}
		assert_int_equal(counts.lent, 3);
		pair_close(&pair);
		world_destroy(world);
		assert_int_equal(counts.ended, 3);
	}
	(void)state;
}

static void test_disconnect_while_pieces_are_being_sent(void **state)
{
	struct counts counts = {0};
	struct world *world = world_create(NULL);
	struct pair pair;

	(void)state;
	add_toy(world, &counts);
	pair = wire_pair(world);
	for (uint16_t cid = 0; cid < 20; cid++) {
		struct cmd cmd = read_all(cid);

		wire_cmd(pair.io, &cmd);
	}
	assert_true(counts.lent > 0);
	assert_true(counts.ended < counts.lent);
	pair_close(&pair);
	assert_int_equal(counts.ended, counts.lent);
	world_destroy(world);
}

/* The digest would not fit if the page changed after it was computed: such responses are copies. */
static void test_nothing_is_lent_for_data_digests(void **state)
{
	struct counts counts = {0};
	struct world *world = world_create(NULL);
	struct pair pair;
	struct cmd cmd = read_all(1);
	struct pdu pdu;

	(void)state;
	add_toy(world, &counts);
	pair = wire_pair_digests(world, false, true);
	wire_cmd(pair.io, &cmd);
	wire_expect(pair.io, C2H_DATA, &pdu);
	assert_int_equal(pdu.data[0], 0x77);
	assert_int_equal(wire_resp(pair.io, 1, NULL), 0);
	assert_int_equal(counts.lent, 0);
	assert_int_equal(counts.copied, 1);
	pair_close(&pair);
	world_destroy(world);
}

/* A poll group that had it otherwise has no buffer for such a read, and nothing is lent to it. */
static void test_a_backend_lends_only_from_now_on(void **state)
{
	struct counts counts = {.keeps = true};
	struct world *world = world_create(NULL);
	struct nvmft_namespace *ns = add_toy(world, &counts);
	struct pair pair = wire_pair(world);
	struct cmd cmd = read_all(1);
	struct pdu pdu;

	(void)state;
	wire_cmd(pair.io, &cmd);
	wire_expect(pair.io, C2H_DATA, &pdu);
	assert_int_equal(wire_resp(pair.io, 1, NULL), 0);
	counts.keeps = false;
	assert_int_equal(nvmft_namespace_refresh(ns), 0);
	world_settle(world);
	wire_cmd(pair.io, &cmd);
	assert_int_equal(wire_resp(pair.io, 1, NULL), 0x082); /* Namespace Not Ready */
	assert_int_equal(counts.lent, 0);
	assert_int_equal(counts.copied, 1);
	pair_close(&pair);
	world_destroy(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_more_pieces_than_one_send_takes),
		cmocka_unit_test(test_disconnect_while_pieces_are_being_sent),
		cmocka_unit_test(test_nothing_is_lent_for_data_digests),
		cmocka_unit_test(test_a_backend_lends_only_from_now_on),
	};

	return cmocka_run_group_tests_name("lent", tests, NULL, NULL);
}
