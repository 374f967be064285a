/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TESTS_VFIO_NVME_MODEL_H
#define NVMFT_TESTS_VFIO_NVME_MODEL_H

#include "vfio_nvme.h"

/*
 * A scripted NVMe controller in memory: registers and queues, no thread. It moves when the driver pauses, in time of
 * its own, or when the test steps it. Addresses that the driver has not mapped fail the test, as does memory that it
 * touches while bus mastering is off.
 */

#define MODEL_QUEUES 8u
#define MODEL_BLOCKS 4096u
#define MODEL_MAPS 256u
#define MODEL_HELD 64u

struct model_queue {
	bool sq_live, cq_live;
	uint64_t sq, cq;
	uint32_t sq_entries, cq_entries;
	uint32_t sq_head, cq_tail;
	uint16_t phase;
};

struct model_map {
	uint8_t *base;
	size_t len;
	uint64_t iova;
};

/* A command of an I/O queue that was fetched and has no completion yet. */
struct model_cmd {
	struct nvmft_sqe sqe;
	uint16_t qid;
};

struct model {
	struct device dev;
	struct nvmft_backend backend;
	uint8_t *bar;
	uint64_t now;
	uint64_t ready_delay; /* from CC.EN to CSTS.RDY */
	uint64_t ready_at;
	uint32_t cc;
	bool master;
	bool closed;
	bool dead_admin; /* admin commands stay unanswered */
	bool hold;       /* I/O commands stay unanswered until model_answer() */
	bool never_ready;
	bool keep_io_on_abort;
	uint16_t io_status; /* of all I/O */
	uint8_t mdts;
	uint8_t granted; /* I/O queues */
	uint16_t ms;
	struct model_queue queues[MODEL_QUEUES + 1];
	struct model_map maps[MODEL_MAPS];
	struct model_cmd held[MODEL_HELD];
	unsigned int nheld;
	unsigned int enables, shutdowns, aborts, io_commands, events_wanted;
	uint8_t disk[MODEL_BLOCKS * 512];
};

struct model *model_create(void);
void model_free(struct model *m);
void model_step(struct model *m);
/* Answer the held command @i with @status. */
void model_answer(struct model *m, unsigned int i, uint16_t status);
void model_post(struct model *m, uint16_t qid, uint16_t cid, uint16_t status, uint32_t dw0);
void model_vanish(struct model *m);
void model_fatal(struct model *m);
/* What is mapped at a device address. */
void *model_at(struct model *m, uint64_t iova, size_t len);
unsigned int model_nmaps(const struct model *m);

#endif
