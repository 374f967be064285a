/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TESTS_PROBE_H
#define NVMFT_TESTS_PROBE_H

/*
 * A backend for tests: RAM that tells what it was asked, has the capabilities that the test wants, and completes when
 * the test says.
 */
#include <pthread.h>
#include <stdbool.h>

#include <nvmft/provider/backend.h>

#include "host.h"

#define PROBE_BLOCKS 1024u
#define PROBE_LOG 4096
#define PROBE_HELD 64

struct probe_entry {
	enum nvmft_io_op op;
	uint32_t flags;
	uint64_t lba;
	uint32_t blocks;
	uint8_t opcode; /* of a COMMAND, and */
	uint64_t len;   /* the bytes of its buffers */
};

struct probe {
	struct nvmft_backend_info info; /* set by the test after probe_init() and before probe_add() */
	uint32_t max_io_size;           /* of the subsystem, for probe_world_start() */
	unsigned char *data;
	nvmft_status fail[7]; /* by op: complete with this status, having done nothing */
	bool hold;            /* keep I/Os until probe_release() */
	bool held_abort;      /* has ops->abort */
	nvmft_status (*command)(struct probe *p, struct nvmft_io *io); /* a COMMAND; NULL: nothing, with success */
	struct nvmft_sqe sqe;                                          /* of the last one */
	unsigned char got[1 << 20];                                    /* what probe_answer() was sent, */
	size_t ngot;                                                   /* or its bytes in either direction */
	struct nvmft_io *held[PROBE_HELD];
	unsigned int nheld, most_held;
	struct probe_entry log[PROBE_LOG];
	unsigned int nlog;
	unsigned int opens, closes, channels, flushes, lends, lend_ends, misaligned;
	pthread_mutex_t lock; /* groups may be several threads */
	struct nvmft_namespace *ns;
};

/* 1024 blocks of 512 bytes, no capability, no volatile cache. */
void probe_init(struct probe *p);
void probe_fini(struct probe *p);
/* Fails the test when it cannot. */
struct nvmft_namespace *probe_add(struct nvmft_subsystem *subsys, struct probe *p);
/* The same; -errno when the library refuses it. */
int probe_try_add(struct nvmft_subsystem *subsys, struct probe *p);
/* The same, configured like this. */
int probe_try_add_as(struct nvmft_subsystem *subsys, struct probe *p, struct nvmft_namespace_opts opts);
/* A command(): keeps what the host sends, gives a host that asks bytes of a5h, with the result 1122334455667788h. */
nvmft_status probe_answer(struct probe *p, struct nvmft_io *io);
/* Complete the oldest @n held I/Os now. Single-threaded worlds only. */
void probe_release(struct probe *p, unsigned int n);
/* Number of entries of @op in the log. */
unsigned int probe_count(struct probe *p, enum nvmft_io_op op);

/* A world with one subsystem, a probe as namespace 1, and a controller with an I/O queue. */
struct probe_world {
	struct th t;
	struct nvmft_subsystem *subsys;
	struct probe probe;
	struct th_ctrl ctrl;
	struct th_queue *q;
};

/* Hosts that connect themselves; else as below. */
void probe_world_serve(struct probe_world *w, const struct th_opts *opts, void (*tune)(struct probe *p));
/* @tune may change probe->info. */
void probe_world_start(struct probe_world *w, const struct th_opts *opts, void (*tune)(struct probe *p));
void probe_world_stop(struct probe_world *w);

/* rw commands with flags in CDW12, in one call */
nvmft_status probe_rw(struct probe_world *w, uint8_t opcode, uint64_t lba, uint32_t blocks, uint32_t cdw12, void *data);
/* Abort: whether the command was aborted. */
bool probe_abort_cmd(struct probe_world *w, uint16_t sqid, uint16_t cid);

#endif
