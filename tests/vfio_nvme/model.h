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
#define MODEL_SEEN 0xdeadu

/* A vendor specific admin command that reads CDW10 dwords. */
#define MODEL_PASS 0xc2u
#define MODEL_PASS_DWORDS 8192u

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
	unsigned int refs;
};

/* A command of an I/O queue that was fetched and has no completion yet. */
struct model_cmd {
	struct nvmft_sqe sqe;
	uint16_t qid;
};

struct model {
	struct device dev;
	uint8_t *bar;
	uint64_t now;
	uint64_t ready_delay; /* from CC.EN to CSTS.RDY */
	uint64_t ready_at;
	uint32_t cc;
	bool master;
	bool quiet; /* does nothing while bus mastering is off, instead of failing the test */
	bool closed;
	bool dead_admin; /* admin commands stay unanswered */
	bool hold;       /* I/O commands stay unanswered until model_answer() */
	bool never_ready;
	bool keep_io_on_abort;
	uint64_t abort_delay; /* Aborts are done and answered only after that */
	struct nvmft_sqe late_aborts[4];
	uint64_t late_at[4];
	unsigned int nlate;
	bool dead_log;             /* logs stay unanswered */
	unsigned int vanish_after; /* calls of the driver; 0: never */
	bool bus_fails;            /* bus mastering cannot be turned off */
	uint16_t io_status;        /* of all I/O */
	uint8_t mdts;
	uint8_t granted; /* I/O queues */
	uint16_t ms;     /* bytes of metadata, with protection information of this type */
	uint8_t dps;
	uint64_t zone_blocks; /* 0: no zones */
	uint8_t zone_extension;
	struct model_queue queues[MODEL_QUEUES + 1];
	struct model_map maps[MODEL_MAPS];
	struct model_cmd held[MODEL_HELD];
	unsigned int nheld;
	unsigned int enables, shutdowns, aborts, io_commands, events_wanted;
	unsigned int creates;
	uint8_t disk[2][MODEL_BLOCKS * 512]; /* of namespaces 1 and 2 */
	uint64_t blocks[2];                  /* 0: it does not exist */
	uint64_t next_iova;
	bool map_fails;
	bool given_back;
	uint64_t busy_until; /* looks at no admin command */
	uint16_t log_status;
	bool keep_pass_on_abort;
	bool no_queues; /* creating one fails */
	uint32_t event_config;
	uint16_t event_cid;
	unsigned int events_told, logs_read;
	uint8_t last_lid;
	_Alignas(8) uint8_t log[4096]; /* of any log page */
	struct nvmft_sqe pass;
	bool hold_pass, pass_held; /* MODEL_PASS stays unanswered until model_answer_pass() */
	/* Changes what Identify says; returns a status. */
	uint16_t (*identify)(struct model *m, const struct nvmft_sqe *sqe, uint8_t *page);
	uint64_t shadows, events; /* Doorbell Buffer Config; 0: none */
	uint16_t dbbuf_status;
	bool stay_awake;         /* look at the shadows of I/O queues without being told by the register */
	unsigned int woken;      /* times that the register told of something */
	uint32_t last_result[2]; /* dwords 0 and 1 of the next completions of I/O */
};

struct model *model_create(void);
void model_free(struct model *m);
void model_step(struct model *m);
/* Answer the held command @i with @status. */
void model_answer(struct model *m, unsigned int i, uint16_t status);
void model_post(struct model *m, uint16_t qid, uint16_t cid, uint16_t status, uint32_t dw0);
void model_answer_pass(struct model *m, uint16_t status);
/* Answer the Asynchronous Event Request. */
void model_event(struct model *m, uint32_t dw0);
void model_vanish(struct model *m);
/* Another one is plugged in where it was. */
void model_come_back(struct model *m);
void model_fatal(struct model *m);
/* What is mapped at a device address. */
void *model_at(struct model *m, uint64_t iova, size_t len);
unsigned int model_nmaps(const struct model *m);

#endif
