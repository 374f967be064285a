/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_VFIO_NVME_CTRL_H
#define NVMFT_BACKENDS_VFIO_NVME_CTRL_H

#include <pthread.h>
#include <stdatomic.h>

#include "queue.h"

#define ADMIN_ENTRIES 32u
#define MAX_IO_QUEUES 64u
#define ADMIN_TIMEOUT_NS UINT64_C(5000000000)
/* So many resets in a row without the controller coming up, and it is given up. */
#define MAX_ATTEMPTS 3u
#define MAX_OPEN_ABORTS 4u

enum ctrl_state {
	CTRL_LIVE,
	CTRL_DISABLING, /* CC.EN is 0: waiting for CSTS.RDY to become 0 */
	CTRL_ENABLING,  /* CC.EN is 1: waiting for CSTS.RDY to become 1 */
	CTRL_DEAD,      /* given up */
};

enum admin_use {
	ADMIN_FREE,
	ADMIN_WAITED, /* somebody waits for it */
	ADMIN_DONE,
	ADMIN_ABORT,
	ADMIN_AER,
	ADMIN_LOG, /* of an event, read because that enables the next one */
};

struct admin_slot {
	enum admin_use use;
	struct nvmft_cqe cqe;
};

/* What Identify Controller says. */
struct ctrl_facts {
	uint64_t max_transfer; /* bytes */
	uint64_t shutdown_ns;
	uint16_t oncs;
	bool volatile_cache;
	char serial[21];
	char model[41];
};

/*
 * struct ctrl - an NVMe controller
 * @lock: all but @gen and @state, which are only written under it. Not taken on the I/O path.
 * @gen: changes when the controller loses its queues, and with them all I/O: whoever has a queue of an older
 *       generation completes what was in it. By then the device no longer touches memory.
 * @qids: bit n - 1: I/O queue n is taken
 */
struct ctrl {
	pthread_mutex_t lock;
	atomic_uint gen;
	atomic_int state;
	struct device *dev;
	struct dma dma;
	uint64_t cap;
	uint64_t ready_ns; /* CAP.TO */
	struct queue_pair admin;
	struct admin_slot slots[ADMIN_ENTRIES];
	struct dma_memory page;
	struct dma_memory log_page;
	uint64_t deadline;
	unsigned int attempts;
	unsigned int aborts;
	unsigned int nqueues;
	uint64_t qids;
	struct ctrl_facts facts;
};

/* ctrl.c: take @dev, also on failure. Return: 0 or -errno, logged. */
int nvmft_ctrl_open(struct ctrl *ctrl, struct device *dev);
/* Shut it down. No queue is left. */
void nvmft_ctrl_close(struct ctrl *ctrl);

/* Identify into ctrl->page. Return: 0 or -errno, logged. Context: locked. */
int nvmft_ctrl_identify(struct ctrl *ctrl, uint8_t cns, uint32_t nsid);

static inline enum ctrl_state ctrl_state(struct ctrl *ctrl)
{
	return (enum ctrl_state)atomic_load_explicit(&ctrl->state, memory_order_acquire);
}

static inline unsigned int ctrl_gen(struct ctrl *ctrl)
{
	return atomic_load_explicit(&ctrl->gen, memory_order_acquire);
}

static inline uint32_t ctrl_stride(const struct ctrl *ctrl)
{
	return (uint32_t)(ctrl->cap >> 32) & 0xf;
}

/* Most entries of an I/O queue. */
static inline uint32_t ctrl_max_entries(const struct ctrl *ctrl)
{
	return (uint32_t)(ctrl->cap & 0xffff) + 1;
}

/* admin.c; context: locked */

/* A command and its completion. Return: 0; -errno; above 0 a status of the device. @dw0: may be NULL. */
int nvmft_admin_command(struct ctrl *ctrl, const struct nvmft_sqe *sqe, uint32_t *dw0);
int nvmft_admin_create_queue(struct ctrl *ctrl, struct queue_pair *q);
void nvmft_admin_delete_queue(struct ctrl *ctrl, const struct queue_pair *q);
/* False: no more Aborts at the moment. Whether it helped is seen by the command's completion. */
bool nvmft_admin_abort(struct ctrl *ctrl, uint16_t sqid, uint16_t cid);
void nvmft_admin_expect_event(struct ctrl *ctrl);
void nvmft_admin_reap(struct ctrl *ctrl);
/* Number of I/O queues, interrupt coalescing, first event. Return: 0 or -errno, logged. */
int nvmft_admin_setup(struct ctrl *ctrl);
void nvmft_admin_reset(struct ctrl *ctrl);

/* recover.c; context: locked */

/* Take the controller's queues away: no I/O of theirs is in the device when this returns. Logged. */
void nvmft_ctrl_fail(struct ctrl *ctrl, const char *why);
/* To be called now and then: looks after the controller, and brings it back after a failure. */
void nvmft_ctrl_watch(struct ctrl *ctrl);
/* Steps of enabling, also for open. */
void nvmft_ctrl_disable(struct ctrl *ctrl);
int nvmft_ctrl_enable(struct ctrl *ctrl);

#endif
