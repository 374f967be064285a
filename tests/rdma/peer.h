/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TESTS_PEER_H
#define NVMFT_TESTS_PEER_H

/*
 * Hosts over RDMA that do what they must not. Each test has a world with a target, a memory namespace, and a host in
 * good health, whose I/O must go on; and at the end nothing of the others may be left.
 */

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host.h"
#include "rdma.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BLOCK 512u
#define BLOCKS 8192u
#define IN_CAPSULE 8192u
#define PEER_BYTES (1u << 20)

/* STS of a reject (NVMe RDMA Transport 1.0, 3.3). */
enum {
	STS_RECFMT = 2,
	STS_QID = 3,
	STS_HSQSIZE = 4,
	STS_HRQSIZE = 5,
	STS_NO_RESOURCES = 6,
	STS_IRD = 7,
	STS_CNTLID = 9
};

#define SC_CID_CONFLICT 0x003
#define SC_CMD_SEQ 0x00c
#define SC_SGL_LAST 0x00d
#define SC_SGL_COUNT 0x00e
#define SC_SGL_DATA 0x00f
#define SC_SGL_TYPE 0x011
#define SC_SGL_OFFSET 0x016
#define SC_CONNECT_PARAM 0x182

struct rdma_world {
	struct th t;
	struct nvmft_subsystem *subsys;
	struct th_ctrl good;
	struct nvmft_target_stats start; /* with the good host connected */
	int fds;                         /* open before */
	unsigned int hurt;               /* how often a test has expected a connection to be terminated */
};

int world_setup(void **state);
int world_teardown(void **state);
struct rdma_world *world_create(const struct nvmft_port_opts *port, const struct nvmft_rdma_opts *rdma);
struct nvmft_target_stats world_stats(struct rdma_world *w);
/* The good host writes and reads. */
void world_check_good(struct rdma_world *w);
/* Until there are no more connections than those of the good host and @others; fails the test after 20 s. */
void world_wait_connections(struct rdma_world *w, unsigned int others);

/* Another host: its admin queue by the helper, an I/O queue by hand. */
struct peer {
	struct rdma_world *w;
	struct th_ctrl ctrl;
	struct th_rdma *r;
	uint16_t cid;
	uint8_t capsule[64 + 4 * IN_CAPSULE];
	uint8_t *data; /* PEER_BYTES */
	struct ibv_mr *mr;
	uint64_t idle_bytes; /* data memory in use when it had sent nothing: receives */
};

/* @ask: NULL or as for th_rdma_open(); SQSIZE is its depth - 1. */
struct peer *peer_open(struct rdma_world *w, const struct th_rdma_ask *ask);
/* The connection only, without Connect. */
struct peer *peer_open_unconnected(struct rdma_world *w, const struct th_rdma_ask *ask);
void peer_close(struct peer *p);
/* The same with a window over its memory. */
void peer_close_with(struct peer *p, struct ibv_mw *mw);
/* Connect by a capsule: its status. */
nvmft_status peer_connect(struct peer *p, uint16_t qid, uint16_t cntlid, uint16_t sqsize);

/* A new command in p->capsule, for the first @blocks of the data, with one keyed descriptor for them. */
void peer_rw(struct peer *p, uint8_t opcode, uint32_t blocks);
static inline uint8_t *peer_dptr(struct peer *p)
{
	return p->capsule + 24;
}
static inline uint8_t *peer_behind(struct peer *p)
{
	return p->capsule + 64;
}
/* Descriptor @i of a segment at the start of the capsule's data: @len bytes at @offset of the data. */
void peer_desc(struct peer *p, uint32_t i, uint32_t offset, uint32_t len);
void peer_segment(struct peer *p, uint64_t offset, uint32_t len);

/* Send it with @behind bytes behind the SQE. */
void peer_send(struct peer *p, uint32_t behind);
/* The status of the next response, without DNR and so on; fails the test if there is none. */
nvmft_status peer_response(struct peer *p);
nvmft_status peer_exec(struct peer *p, uint32_t behind);
/* The connection works still: a read and a write. */
void peer_check(struct peer *p);
/* Its commands hold no data memory. */
bool peer_is_idle(struct peer *p);
/* The controller ends the connection, as terminated if @terminated, and nobody else minds. */
void peer_expect_end(struct peer *p, bool terminated);

#endif
