/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands that are passed on to a device, with fields that no good host sends. The device here does what a command
 * says and not what it was given buffers for, as one that does DMA does: it complains when the two differ.
 */
#include <string.h>

#include <nvmft/provider/backend.h>

#include "wire.h"

#define NSID 2u
#define MDTS_BYTES (1u << 20) /* by default */
#define ZDES 3u

enum { GET_LOG = 0x02, SECURITY_SEND = 0x81, SECURITY_RECEIVE = 0x82, VENDOR_OUT = 0xc1, VENDOR_IN = 0xc2 };
enum {
	VERIFY = 0x0c,
	REGISTER = 0x0d,
	REPORT = 0x0e,
	RELEASE = 0x15,
	COPY = 0x19,
	ZONE_SEND = 0x79,
	ZONE_RECEIVE = 0x7a,
	ZONE_APPEND = 0x7d
};

static const uint8_t io_opcodes[] = {0x04,    VERIFY, REGISTER,  REPORT,       0x11,
				     RELEASE, COPY,   ZONE_SEND, ZONE_RECEIVE, ZONE_APPEND};
static const uint8_t admin_opcodes[] = {GET_LOG,          0x10, 0x11, 0x14, 0x19,       0x1a,     0x80, SECURITY_SEND,
					SECURITY_RECEIVE, 0x84, 0x86, 0xc0, VENDOR_OUT, VENDOR_IN};

static struct {
	unsigned int commands;
	uint64_t bytes;
	bool copy_only; /* this and the next as it is when it is opened */
	uint8_t zdes;
} device;

static int toy_open(struct nvmft_backend *backend, const void *opts)
{
	(void)backend;
	(void)opts;
	return 0;
}

static void toy_close(struct nvmft_backend *backend)
{
	(void)backend;
}

static int toy_info(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	(void)backend;
	info->block_size = WIRE_BLOCK;
	info->blocks = WIRE_BLOCKS;
	info->csi = 2;
	info->zones.zone_blocks = 128;
	info->zones.descriptor_extension = device.zdes;
	info->copy = (struct nvmft_copy_limits){.max_range = 8, .max_total = 8};
	info->reservations = 1;
	for (size_t i = 0; i < sizeof(io_opcodes); i++)
		if (!device.copy_only || io_opcodes[i] == COPY)
			nvmft_opcodes_add(&info->commands, io_opcodes[i]);
	for (size_t i = 0; i < sizeof(admin_opcodes) && !device.copy_only; i++)
		nvmft_opcodes_add(&info->admin_commands, admin_opcodes[i]);
	return 0;
}

static uint64_t numd(uint32_t le)
{
	return ((uint64_t)get32((const uint8_t *)&le) + 1) * 4;
}

static uint64_t io_says(const struct nvmft_sqe *sqe)
{
	const uint8_t *b = (const uint8_t *)sqe;

	switch (sqe->opcode) {
	case REGISTER:
	case 0x11:
		return 16;
	case RELEASE:
		return 8;
	case REPORT:
		return numd(sqe->cdw10);
	case COPY:
		assert_int_equal(b[49] & 0xf, 0);
		return (b[48] + 1u) * 32u;
	case ZONE_SEND:
		return b[52] == 0x10 ? device.zdes * 64u : 0;
	case ZONE_RECEIVE:
		return numd(sqe->cdw12);
	case ZONE_APPEND:
		return (get16(b + 48) + 1ull) * WIRE_BLOCK;
	default:
		return 0;
	}
}

static uint64_t admin_says(const struct nvmft_sqe *sqe)
{
	const uint8_t *b = (const uint8_t *)sqe;

	switch (sqe->opcode) {
	case GET_LOG:
		return ((uint64_t)(get16(b + 42) | (uint32_t)get16(b + 44) << 16) + 1) * 4;
	case 0x11:
		return numd(sqe->cdw10);
	case 0x19:
		return get16(b + 44) == 1 || get16(b + 44) == 0x101 || get16(b + 44) == 0x102 ? 0 : numd(sqe->cdw10);
	case 0x1a:
		return get16(b + 44) == 0x103 ? 0 : numd(sqe->cdw10);
	case SECURITY_SEND:
	case SECURITY_RECEIVE:
		return get32(b + 44);
	case 0x86:
		return numd(sqe->cdw12);
	case VENDOR_OUT:
	case VENDOR_IN:
		return get32(b + 40) * 4ull;
	default:
		return 0;
	}
}

static void toy_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	uint64_t bytes = 0, says;

	(void)channel;
	if (io->op == NVMFT_IO_COMMAND) {
		for (uint32_t i = 0; i < io->iovcnt; i++) {
			memset(io->iov[i].base, (io->sqe->opcode & 3) == 2, io->iov[i].len);
			bytes += io->iov[i].len;
		}
		says = io->flags & NVMFT_IO_ADMIN ? admin_says(io->sqe) : io_says(io->sqe);
		assert_int_equal(bytes, says);
		assert_true(bytes <= MDTS_BYTES);
		device.commands++;
		device.bytes += bytes;
	}
	nvmft_io_done(io, 0);
}

static const struct nvmft_backend_ops toy_ops = {
	.size = sizeof(toy_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "toy",
	.open = toy_open,
	.close = toy_close,
	.info = toy_info,
	.submit = toy_submit,
};

static struct nvmft_namespace *add_toy(struct world *world, bool copy_only, uint8_t zdes)
{
	const struct nvmft_namespace_opts opts = {.size = sizeof(opts), .backend = &toy_ops, .nsid = NSID};
	struct nvmft_namespace *ns;

	memset(&device, 0, sizeof(device));
	device.copy_only = copy_only;
	device.zdes = zdes;
	assert_int_equal(nvmft_namespace_add(world->subsystem, &opts, &ns), 0);
	world_settle(world);
	return ns;
}

/* A host of all command sets: CC.CSS is 110b, which is to be known before the I/O queue is connected. */
static struct pair connect_all_csi(struct world *world)
{
	struct pair pair = {.admin = wire_admin(world)};
	struct cmd cmd = cmd_property_set(4, 0x14, 0x00460060);

	assert_int_equal(wire_do(pair.admin, &cmd, NULL), 0);
	cmd = cmd_property_set(5, 0x14, 0x00460061);
	assert_int_equal(wire_do(pair.admin, &cmd, NULL), 0);
	pair.io = wire_io(pair.admin, 1, 31, false);
	return pair;
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Small, at the edges, or anything. */
static uint32_t nasty(uint32_t *seed)
{
	static const uint32_t values[] = {0,      1,       7,          15,         1023,       16383,      16384,
					  0xffff, 0x10000, 0x3fffffff, 0x40000000, 0x7fffffff, 0x80000000, 0xffffffff};
	uint32_t r = next_random(seed);

	return r % 4 == 0 ? next_random(seed) << 8 | r % 251 : values[r % ARRAY_SIZE(values)];
}

/* What the SGL says: mostly a length that some field may mean. */
static uint32_t nasty_length(uint32_t *seed, const struct cmd *cmd)
{
	switch (next_random(seed) % 8) {
	case 0:
		return get32(cmd->sqe + 40) * 4 + 4;
	case 1:
		return get32(cmd->sqe + 48) * 4 + 4;
	case 2:
		return get32(cmd->sqe + 44);
	case 3:
		return (cmd->sqe[48] + 1u) * 32;
	case 4:
		return 16;
	case 5:
		return ZDES * 64;
	case 6:
		return 4096;
	default:
		return nasty(seed);
	}
}

/* True: a response came. Whatever the command is about to get or give is let go: the connection is closed. */
static bool torture(struct wire *wire, uint8_t opcode, uint32_t *seed)
{
	struct cmd cmd = cmd_make(opcode, 9, next_random(seed) % 8 ? NSID : next_random(seed) % 4, SGL_TRANSPORT, 0);
	struct pdu pdu;

	for (unsigned int at = 40; at < 64; at += 4)
		put32(cmd.sqe + at, nasty(seed));
	if (next_random(seed) % 2)
		put64(cmd.sqe + 40, next_random(seed) % WIRE_BLOCKS);
	if (opcode == GET_LOG)
		cmd.sqe[40] |= 0xc0;
	put32(cmd.sqe + 32, nasty_length(seed, &cmd));
	wire_cmd(wire, &cmd);
	while (wire_recv(wire, &pdu))
		if (pdu.type == RESP)
			return true;
		else if (pdu.type == R2T) {
			static const uint8_t zeroes[WIRE_MAXH2CDATA];
			uint32_t at = get32(pdu.bytes + 12), left = get32(pdu.bytes + 16);

			assert_true(at + left <= MDTS_BYTES);
			while (left > 0) {
				uint32_t n = left < WIRE_MAXH2CDATA ? left : WIRE_MAXH2CDATA;
				struct h2c h2c = {.cid = 9,
						  .ttag = get16(pdu.bytes + 10),
						  .datao = at,
						  .len = n,
						  .last = n == left};

				wire_h2c(wire, &h2c, zeroes);
				at += n;
				left -= n;
			}
		}
	return false;
}

static void torture_queue(struct world *world, bool admin, const uint8_t *opcodes, size_t n, uint32_t rounds)
{
	struct pair pair = connect_all_csi(world);
	uint32_t seed = 1;

	for (uint32_t i = 0; i < rounds; i++)
		assert_true(torture(admin ? pair.admin : pair.io, opcodes[i % n], &seed));
	pair_close(&pair);
	/* It is no test if nothing got through. */
	assert_true(device.commands > rounds / 50);
	assert_true(device.bytes > 0);
	world_check_alive(world);
}

static void test_io_commands_of_any_length(void **state)
{
	add_toy(*state, false, ZDES);
	torture_queue(*state, false, io_opcodes, sizeof(io_opcodes), 4000);
}

static void test_admin_commands_of_any_length(void **state)
{
	add_toy(*state, false, ZDES);
	torture_queue(*state, true, admin_opcodes, sizeof(admin_opcodes), 4000);
}

static struct cmd cmd_copy(uint16_t cid, uint8_t ranges)
{
	struct cmd cmd = cmd_make(COPY, cid, NSID, SGL_TRANSPORT, ranges * 32u);

	cmd.sqe[48] = (uint8_t)(ranges - 1);
	return cmd;
}

static void send_data(struct wire *wire, uint16_t ttag, uint32_t len)
{
	static const uint8_t data[4096];
	const struct h2c h2c = {.cid = 9, .ttag = ttag, .len = len, .last = true};

	wire_h2c(wire, &h2c, data);
}

/* While the host sends the data of a command, its namespace is replaced by another one. */
static void test_replaced_while_data_comes(void **state)
{
	struct world *world = *state;
	struct nvmft_namespace *ns = add_toy(world, false, ZDES);
	struct pair pair = connect_all_csi(world);
	struct cmd cmd = cmd_copy(9, 4);
	struct pdu pdu;
	uint16_t ttag;

	wire_cmd(pair.io, &cmd);
	ttag = wire_r2t(pair.io, 9, 128);
	assert_int_equal(nvmft_namespace_remove(ns, NULL), 0);
	world_settle(world);
	add_toy(world, true, ZDES);
	/* This one takes it as well. */
	send_data(pair.io, ttag, 128);
	assert_int_equal(wire_resp(pair.io, 9, &pdu), 0);
	assert_int_equal(device.commands, 1);
	pair_close(&pair);
}

/* The status of a command whose namespace is replaced by such a one. */
static uint16_t replaced_by(struct world *world, bool copy_only, uint8_t zdes)
{
	struct nvmft_namespace *ns = add_toy(world, false, ZDES);
	struct pair pair = connect_all_csi(world);
	struct cmd cmd = cmd_make(ZONE_SEND, 9, NSID, SGL_TRANSPORT, ZDES * 64);
	struct pdu pdu;
	uint16_t ttag, status;

	cmd.sqe[52] = 0x10;
	wire_cmd(pair.io, &cmd);
	ttag = wire_r2t(pair.io, 9, ZDES * 64);
	assert_int_equal(nvmft_namespace_remove(ns, NULL), 0);
	world_settle(world);
	ns = add_toy(world, copy_only, zdes);
	send_data(pair.io, ttag, ZDES * 64);
	status = wire_resp(pair.io, 9, &pdu);
	pair_close(&pair);
	assert_int_equal(nvmft_namespace_remove(ns, NULL), 0);
	world_settle(world);
	return status;
}

static void test_replaced_by_one_that_does_not_take_it(void **state)
{
	assert_int_equal(replaced_by(*state, true, ZDES), 0x001);
	assert_int_equal(device.commands, 0);
}

static void test_replaced_by_one_of_another_length(void **state)
{
	assert_int_equal(replaced_by(*state, false, ZDES + 1), 0x00b);
	assert_int_equal(device.commands, 0);
	assert_int_equal(replaced_by(*state, false, ZDES), 0);
	assert_int_equal(device.commands, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_io_commands_of_any_length, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_admin_commands_of_any_length, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_replaced_while_data_comes, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_replaced_by_one_that_does_not_take_it, world_setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(test_replaced_by_one_of_another_length, world_setup, world_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
