/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TESTS_WIRE_H
#define NVMFT_TESTS_WIRE_H

/*
 * A peer that speaks NVMe/TCP by hand over a socketpair, well or badly, to a target in the same thread. It shares no
 * code with the transport: bytes are put where the specification has them.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <nvmft/nvmft.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define WIRE_NQN "nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555"
#define WIRE_HOSTNQN "nqn.2014-08.org.nvmexpress:uuid:99999999-2222-3333-4444-555555555555"
#define WIRE_BLOCK 512u
#define WIRE_BLOCKS 8192u /* of namespace 1, in memory */
#define WIRE_MAXH2CDATA 8192u

enum { ICREQ = 0, ICRESP = 1, H2C_TERM = 2, C2H_TERM = 3, CAPSULE = 4, RESP = 5, H2C_DATA = 6, C2H_DATA = 7, R2T = 9 };
enum { F_HDGST = 1, F_DDGST = 2, F_LAST = 4, F_SUCCESS = 8 };
enum { FES_FIELD = 1, FES_SEQUENCE = 2, FES_HDGST = 3, FES_RANGE = 4, FES_LIMIT = 5, FES_UNSUPPORTED = 6 };

/* Status field of a completion without DNR: type << 8 | code. */
#define STATUS_CID_CONFLICT 0x003
#define STATUS_SGL_DATA 0x00f
#define STATUS_SGL_TYPE 0x011
#define STATUS_SGL_OFFSET 0x016
#define STATUS_TRANSPORT_ERROR 0x022
#define STATUS_CONNECT_PARAM 0x182

/* A target with one TCP port that serves given sockets, one subsystem, one namespace and a clock of its own. */
struct world {
	struct nvmft_target *target;
	struct nvmft_poll_group *group;
	struct nvmft_poll_group *other; /* a second one, if the test made it: polled by world_destroy() */
	struct nvmft_port *port;
	struct nvmft_subsystem *subsystem;
	struct nvmft_namespace *ns;
	uint64_t now_ns;
	int fds; /* open before */
	bool stopped;
	char log[65536];
	size_t log_len;
};

struct world_opts {
	struct nvmft_tcp_opts tcp;
	struct nvmft_port_opts port;
	struct nvmft_target_opts target;
};

/* cmocka set-up and teardown; teardown checks that no descriptor and no connection is left. */
int world_setup(void **state);
int world_teardown(void **state);
struct world *world_create(const struct world_opts *opts);
void world_stop(struct world *world); /* what world_destroy() begins with */
void world_destroy(struct world *world);
void world_settle(struct world *world);            /* poll until nothing happens any more */
void world_pass(struct world *world, uint64_t ms); /* let time go by */
struct nvmft_target_stats world_stats(struct world *world);
/* The target still serves: a new host connects and reads. */
void world_check_alive(struct world *world);

/* A connection. */
struct wire {
	struct world *world;
	int fd;
	bool hdgst, ddgst;
	uint8_t *in;
	size_t in_len, in_cap;
	uint16_t cntlid;
	uint8_t hpda;
};

/* A PDU that was received. @data points behind PDO, valid until the next receive. */
struct pdu {
	uint8_t bytes[256];
	uint8_t type, flags, hlen, pdo;
	uint32_t plen;
	const uint8_t *data;
	uint32_t data_len;
};

struct wire *wire_open(struct world *world);
void wire_close(struct wire *wire);
void wire_send(struct wire *wire, const void *bytes, size_t len);
/* False: the target closed the connection. */
bool wire_try_send(struct wire *wire, const void *bytes, size_t len);
bool wire_recv(struct wire *wire, struct pdu *pdu);
void wire_expect(struct wire *wire, uint8_t type, struct pdu *pdu);
/* Nothing came, and the connection is open. */
void wire_expect_silence(struct wire *wire);
void wire_expect_closed(struct wire *wire);
/* C2HTermReq with this FES, and FEI unless negative, then nothing but the end. Responses before it are skipped. */
void wire_expect_term(struct wire *wire, uint16_t fes, int64_t fei);

/* Little-endian fields. */
void put16(uint8_t *p, uint16_t v);
void put32(uint8_t *p, uint32_t v);
void put64(uint8_t *p, uint64_t v);
uint16_t get16(const uint8_t *p);
uint32_t get32(const uint8_t *p);
uint64_t get64(const uint8_t *p);
uint32_t wire_crc(const void *p, size_t len);

void wire_header(uint8_t *p, uint8_t type, uint8_t flags, uint8_t hlen, uint8_t pdo, uint32_t plen);
void wire_icreq_bytes(uint8_t bytes[128]);
void wire_icreq(struct wire *wire, uint8_t hpda, bool hdgst, bool ddgst);

/* A command, as it is going to be sent. */
struct cmd {
	uint8_t sqe[64];
	const void *data; /* in the capsule */
	uint32_t data_len;
	bool bad_hdgst, bad_ddgst;
};

enum { SGL_NONE, SGL_CAPSULE, SGL_TRANSPORT };
struct cmd cmd_make(uint8_t opcode, uint16_t cid, uint32_t nsid, int sgl, uint32_t len);
struct cmd cmd_rw(uint8_t opcode, uint16_t cid, uint64_t lba, uint32_t blocks, int sgl);
struct cmd cmd_write_in_capsule(uint16_t cid, uint64_t lba, const void *data, uint32_t len);
struct cmd cmd_connect(uint8_t data[1024], uint16_t cid, uint16_t qid, uint16_t sqsize, uint16_t cntlid);
struct cmd cmd_property_set(uint16_t cid, uint32_t offset, uint32_t value);
struct cmd cmd_property_get(uint16_t cid, uint32_t offset);
size_t cmd_bytes(const struct wire *wire, const struct cmd *cmd, uint8_t *out);
void wire_cmd(struct wire *wire, const struct cmd *cmd);
/* The response to @cid, and its status without DNR. C2HData in front of it is passed over. */
uint16_t wire_resp(struct wire *wire, uint16_t cid, struct pdu *pdu);
uint16_t wire_do(struct wire *wire, const struct cmd *cmd, struct pdu *pdu);

/* H2CData; @plen_extra bytes are added to PLEN and @datal_extra to DATAL. */
struct h2c {
	uint16_t cid, ttag;
	uint32_t datao, len;
	bool last, bad_hdgst, bad_ddgst;
	int32_t plen_extra;
	int64_t datal_extra;
};
void wire_h2c(struct wire *wire, const struct h2c *h2c, const void *data);
/* Wait for the R2T of @cid. Returns its TTAG. */
uint16_t wire_r2t(struct wire *wire, uint16_t cid, uint32_t len);

/* Connected queues. */
struct wire *wire_admin(struct world *world); /* admin queue, controller enabled */
struct wire *wire_admin_digests(struct world *world, bool hdgst, bool ddgst);
struct wire *wire_io(struct wire *admin, uint16_t qid, uint16_t sqsize, bool no_flow_control);
/* Both at once; wire_close() of the pair. */
struct pair {
	struct wire *admin, *io;
};
struct pair wire_pair(struct world *world);
struct pair wire_pair_digests(struct world *world, bool hdgst, bool ddgst);
void pair_close(struct pair *pair);

/* What is in the namespace, read over a connection of its own. */
void world_read(struct world *world, uint64_t lba, void *data, uint32_t len);

#endif
