/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "wire.h"

/* Commands, and queues that are connected as they should be. */

struct cmd cmd_make(uint8_t opcode, uint16_t cid, uint32_t nsid, int sgl, uint32_t len)
{
	struct cmd cmd = {0};

	cmd.sqe[0] = opcode;
	cmd.sqe[1] = 0x40; /* PSDT: SGL */
	put16(cmd.sqe + 2, cid);
	put32(cmd.sqe + 4, nsid);
	put32(cmd.sqe + 32, len);
	cmd.sqe[39] = sgl == SGL_CAPSULE ? 0x01 : 0x5a;
	return cmd;
}

struct cmd cmd_rw(uint8_t opcode, uint16_t cid, uint64_t lba, uint32_t blocks, int sgl)
{
	struct cmd cmd = cmd_make(opcode, cid, 1, sgl, blocks * WIRE_BLOCK);

	put64(cmd.sqe + 40, lba);
	put32(cmd.sqe + 48, blocks - 1);
	return cmd;
}

struct cmd cmd_write_in_capsule(uint16_t cid, uint64_t lba, const void *data, uint32_t len)
{
	struct cmd cmd = cmd_rw(0x01, cid, lba, len / WIRE_BLOCK, SGL_CAPSULE);

	cmd.data = data;
	cmd.data_len = len;
	return cmd;
}

static struct cmd fabrics(uint8_t fctype, uint16_t cid, int sgl, uint32_t len)
{
	struct cmd cmd = cmd_make(0x7f, cid, 0, sgl, len);

	cmd.sqe[4] = fctype;
	return cmd;
}

struct cmd cmd_connect(uint8_t data[1024], uint16_t cid, uint16_t qid, uint16_t sqsize, uint16_t cntlid)
{
	struct cmd cmd = fabrics(0x01, cid, SGL_CAPSULE, 1024);

	memset(data, 0, 1024);
	memset(data, 0x42, 16);
	put16(data + 16, cntlid);
	strcpy((char *)data + 256, WIRE_NQN);
	strcpy((char *)data + 512, WIRE_HOSTNQN);
	put16(cmd.sqe + 42, qid);
	put16(cmd.sqe + 44, sqsize);
	cmd.data = data;
	cmd.data_len = 1024;
	return cmd;
}

struct cmd cmd_property_set(uint16_t cid, uint32_t offset, uint32_t value)
{
	struct cmd cmd = fabrics(0x00, cid, SGL_NONE, 0);

	put32(cmd.sqe + 44, offset);
	put64(cmd.sqe + 48, value);
	return cmd;
}

struct cmd cmd_property_get(uint16_t cid, uint32_t offset)
{
	struct cmd cmd = fabrics(0x04, cid, SGL_NONE, 0);

	put32(cmd.sqe + 44, offset);
	return cmd;
}

/* CC: enable, 64-byte SQEs, 16-byte CQEs. */
#define CC_ENABLE 0x00460001

struct wire *wire_admin_digests(struct world *world, bool hdgst, bool ddgst)
{
	struct wire *wire = wire_open(world);
	uint8_t data[1024];
	struct cmd cmd;
	struct pdu pdu;

	wire_icreq(wire, 0, hdgst, ddgst);
	cmd = cmd_connect(data, 1, 0, 31, 0xffff);
	assert_int_equal(wire_do(wire, &cmd, &pdu), 0);
	wire->cntlid = get16(pdu.bytes + 8);
	cmd = cmd_property_set(2, 0x14, CC_ENABLE);
	assert_int_equal(wire_do(wire, &cmd, NULL), 0);
	cmd = cmd_property_get(3, 0x1c);
	assert_int_equal(wire_do(wire, &cmd, &pdu), 0);
	assert_int_equal(pdu.bytes[8] & 1, 1);
	return wire;
}

struct wire *wire_admin(struct world *world)
{
	return wire_admin_digests(world, false, false);
}

struct wire *wire_io(struct wire *admin, uint16_t qid, uint16_t sqsize, bool no_flow_control)
{
	struct wire *wire = wire_open(admin->world);
	uint8_t data[1024];
	struct cmd cmd;

	wire_icreq(wire, 0, admin->hdgst, admin->ddgst);
	cmd = cmd_connect(data, 1, qid, sqsize, admin->cntlid);
	cmd.sqe[46] = no_flow_control ? 0x04 : 0;
	assert_int_equal(wire_do(wire, &cmd, NULL), 0);
	wire->cntlid = admin->cntlid;
	return wire;
}

struct pair wire_pair_digests(struct world *world, bool hdgst, bool ddgst)
{
	struct pair pair = {.admin = wire_admin_digests(world, hdgst, ddgst)};

	pair.io = wire_io(pair.admin, 1, 31, false);
	return pair;
}

struct pair wire_pair(struct world *world)
{
	return wire_pair_digests(world, false, false);
}

void pair_close(struct pair *pair)
{
	wire_close(pair->io);
	wire_close(pair->admin);
}
