/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_VFIO_NVME_CTRL_H
#define NVMFT_BACKENDS_VFIO_NVME_CTRL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "../nvme/identify.h"
#include "dbbuf.h"

#define ADMIN_ENTRIES 32u
#define MAX_IO_QUEUES 64u
#define ADMIN_TIMEOUT_NS UINT64_C(5000000000)
/* So many resets in a row without the controller coming up and staying so, and it is given up. */
#define MAX_ATTEMPTS 3u
#define STABLE_NS UINT64_C(10000000000)
#define MAX_OPEN_ABORTS 4u
#define MAX_OPEN_PASSES 16u
#define MAX_WISHES 32u
/*
 * From a command that fails as if the namespace were being formatted to the question what it is now: an answer that is
 * older than the end of the format is worth nothing, and there is no sign of that end.
 */
#define SUSPICION_NS UINT64_C(100000000)

/* How long the controller's thread may sleep: while all is well; during recovery; without interrupts. */
#define WATCH_NS UINT64_C(1000000000)
#define RECOVERY_NS UINT64_C(10000000)
#define POLL_NS UINT64_C(1000000)
#define STEP_ENDED UINT64_MAX

struct pass;
struct vfio_nvme;
struct vfio_pair;

enum ctrl_state {
	CTRL_LIVE,
	CTRL_DISABLING, /* CC.EN is 0: waiting for CSTS.RDY to become 0 */
	CTRL_ENABLING,  /* CC.EN is 1: waiting for CSTS.RDY to become 1 */
	CTRL_DEAD,      /* given up */
};

enum admin_use {
	ADMIN_FREE,
	ADMIN_WAITED, /* the thread waits for it */
	ADMIN_DONE,
	ADMIN_ABORT,
	ADMIN_AER,
	ADMIN_LOG,  /* of an event, read because that enables the next one */
	ADMIN_PASS, /* of a host */
	ADMIN_OVER, /* of a host, answered; its Abort is not */
};

/* Where the way of an event is: its log has to be read before the next one is asked for. */
enum event_state {
	EVENT_NONE,
	EVENT_TOLD, /* the log is to be read */
	EVENT_READING,
	EVENT_READ, /* and looked at */
	EVENT_REST, /* until @event_rest */
};

/*
 * struct admin_slot - an admin command
 * @begin, @deadline: when it was sent, and when it is late, see too_late()
 * @pass, @aborting: of ADMIN_PASS
 * @aborted: an Abort of this one is in the device
 * @sqid, @cid: of ADMIN_ABORT: of what
 */
struct admin_slot {
	enum admin_use use;
	struct nvmft_cqe cqe;
	struct pass *pass;
	uint64_t begin, deadline;
	bool aborting;
	bool aborted;
	uint16_t sqid, cid;
};

/* What Identify Controller says. */
struct ctrl_facts {
	uint64_t max_transfer; /* bytes */
	uint64_t shutdown_ns;
	uint32_t oaes;
	uint32_t sgls;
	uint16_t oacs;
	struct ssd_ctrl id;
	char serial[21];
	char model[41];
};

/* struct abort_wish - a command that a poll group wants aborted */
struct abort_wish {
	unsigned int gen;
	uint16_t qid, cid;
};

/* struct ctrl_call - a function that the controller's thread runs for another, which waits */
struct ctrl_call {
	int (*fn)(void *arg);
	void *arg;
	int ret;
	bool done;
	STAILQ_ENTRY(ctrl_call) link;
};

/*
 * struct ctrl - an NVMe controller: what all its namespaces in all poll groups share
 *
 * A thread of its own looks after it: all admin commands, resets and the shutdown are there, as they take the time that
 * the device takes. Poll groups leave word for it (@pairs, @passes, @wishes, @accused) and look at what it answers;
 * neither side waits for the other. Nothing of this is on the path of I/O but reads of @gen and @state.
 *
 * @gen: changes when the controller loses its queues, and with them all I/O: whoever has a queue of an older
 *       generation completes what was in it. By then the device no longer touches memory.
 * @depth: commands in each I/O queue pair
 * @lock: held for moments only, as poll groups take it
 * @pairs: of all poll groups; only the thread removes them
 * @npairs: of these, the ones that are not closing
 * @wishes: commands to abort
 * @suspected: a poll group wants the device to be asked about a namespace
 * @accused: why a poll group thinks that the controller of generation @accused_gen has failed, or NULL
 * @stop: no namespace is left: shut down
 * @ns_lock: held while the core is told of a change, so that the namespace stays open meanwhile
 *
 * All that follows is the thread's alone.
 *
 * @qids: bit n - 1: I/O queue n is taken
 * @event_lid: log page that the event names
 * @lists: a page per admin command, for PRP lists
 * @refused_again: when queues that could not be made are tried again
 * @look_again: a host's command may have changed namespaces, of which the device does not always tell
 * @look_at: when namespaces are looked at that poll groups suspect, or of which the device would not say what has
 *       become of them; 0: there are none
 * @complained: of admin completions that belong to nothing
 * @given_back: the device
 */
struct ctrl {
	struct nvmft_shared shared;
	struct device *dev;
	atomic_uint gen;
	atomic_int state;
	uint32_t depth;
	uint64_t cap;
	struct ctrl_facts facts;

	pthread_mutex_t lock;
	pthread_cond_t called;
	TAILQ_HEAD(, vfio_pair) pairs;
	unsigned int npairs;
	unsigned int nqueues;
	STAILQ_HEAD(, pass) passes;
	STAILQ_HEAD(, ctrl_call) calls;
	struct abort_wish wishes[MAX_WISHES];
	unsigned int nwishes;
	atomic_bool suspected;
	const char *accused;
	unsigned int accused_gen;
	bool stop;

	pthread_mutex_t ns_lock;
	LIST_HEAD(, vfio_nvme) namespaces;

	pthread_t thread;
	int kick_fd;

	uint64_t ready_ns; /* CAP.TO */
	struct queue_pair admin;
	struct dbbuf dbbuf;
	struct admin_slot slots[ADMIN_ENTRIES];
	struct dma_memory page;
	struct dma_memory log_page;
	struct dma_memory lists;
	uint64_t deadline;
	uint64_t live_since;
	unsigned int attempts;
	unsigned int aborts;
	unsigned int npasses;
	uint64_t qids;
	enum event_state event;
	uint8_t event_lid;
	uint64_t event_rest;
	uint64_t refused_again;
	bool look_again;
	uint64_t look_at;
	bool complained;
	bool given_back;
	bool ended;
};

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

/* ctrl.c; context: control */

/*
 * The controller at @address, opened if need be. @depth, @iommu: if it is opened. Return: 0 or -errno, logged. One
 * nvmft_shared_put() gives it back.
 */
int nvmft_ctrl_get(const struct nvmft_backend *backend, const char *address, enum nvmft_vfio_iommu iommu,
		   uint32_t depth, struct ctrl **out);

/* Bring up, and the way back: all but the thread. nvmft_ctrl_end() gives the device back. */
int nvmft_ctrl_begin(struct ctrl *ctrl, struct device *dev, uint32_t depth);
void nvmft_ctrl_shut_down(struct ctrl *ctrl);
void nvmft_ctrl_end(struct ctrl *ctrl);

/* thread.c */
int nvmft_ctrl_start(struct ctrl *ctrl);
/* Wait for its end. */
void nvmft_ctrl_join(struct ctrl *ctrl);
/* There is work for it. Context: any thread. */
void nvmft_ctrl_kick(struct ctrl *ctrl);
/* Run @fn in the controller's thread, and wait for it. Context: control. */
int nvmft_ctrl_call(struct ctrl *ctrl, int (*fn)(void *arg), void *arg);

/*
 * All functions below: context: the controller's thread, or before it is there.
 */

/* step.c: do what there is to do. Return: for how long the thread may sleep now, ns; STEP_ENDED: for ever, it is shut
 * down. */
uint64_t nvmft_ctrl_step(struct ctrl *ctrl);
/* Poll groups look at @gen and @state now. */
void nvmft_pairs_wake(struct ctrl *ctrl);

/* admin.c */

/* Identify into ctrl->page. Return: 0 or -errno, logged. */
int nvmft_ctrl_identify(struct ctrl *ctrl, uint8_t cns, uint32_t nsid);
/* A command and its completion. Return: 0; -errno; above 0 a status of the device. @dw0: may be NULL. */
int nvmft_admin_command(struct ctrl *ctrl, const struct nvmft_sqe *sqe, uint32_t *dw0);
/* Return: 0; -errno; above 0 a status of the device, which has no such queue then. Logged. */
int nvmft_admin_create_queue(struct ctrl *ctrl, struct queue_pair *q);
int nvmft_admin_delete_queue(struct ctrl *ctrl, const struct queue_pair *q);
/* False: no more Aborts at the moment. Whether it helped is seen by the command's completion. */
bool nvmft_admin_abort(struct ctrl *ctrl, uint16_t sqid, uint16_t cid);
/* Wait for those of a queue's commands that are in the device. Return: 0; -errno. */
int nvmft_admin_await_aborts(struct ctrl *ctrl, uint16_t sqid);
/* The command identifier that nvmft_admin_submit() would use and return; -1: none is free. */
int nvmft_admin_free_cid(const struct ctrl *ctrl);
int nvmft_admin_submit(struct ctrl *ctrl, const struct nvmft_sqe *sqe, enum admin_use use);
void nvmft_admin_expect_event(struct ctrl *ctrl);
/* @len bytes of a log into ctrl->log_page. False: no identifier is free. */
bool nvmft_admin_read_log(struct ctrl *ctrl, uint8_t lid, uint32_t len);
void nvmft_admin_reap(struct ctrl *ctrl);
/* Fail the controller if it does not answer what nobody waits for. */
void nvmft_admin_watch(struct ctrl *ctrl);
/* Number of I/O queues, interrupt coalescing, events. Return: 0 or -errno, logged. */
int nvmft_admin_setup(struct ctrl *ctrl);
void nvmft_admin_reset(struct ctrl *ctrl);

/* facts.c: what formats the driver understands, after each reset. Return: 0 or -errno, logged. */
int nvmft_host_behavior_setup(struct ctrl *ctrl);

/* event.c */

/* An Asynchronous Event Request is answered; the log that it names was read. */
void nvmft_event(struct ctrl *ctrl, const struct nvmft_cqe *cqe);
void nvmft_event_log(struct ctrl *ctrl, const struct nvmft_cqe *cqe);
void nvmft_event_step(struct ctrl *ctrl);
/* A look at all namespaces is due, as any may have changed. */
bool nvmft_event_due(const struct ctrl *ctrl);
/* Look at all open namespaces again; I/O to them waits meanwhile. */
void nvmft_event_look(struct ctrl *ctrl);
/* Any of them may have another format: I/O waits until the device was asked. */
void nvmft_event_doubt(struct ctrl *ctrl);
/* The core is told that all namespaces are gone. */
void nvmft_event_gone(struct ctrl *ctrl);

/* pass.c */
void nvmft_pass_step(struct ctrl *ctrl);
void nvmft_pass_over(struct ctrl *ctrl, struct admin_slot *slot);
/* The device does something for a host that keeps other commands waiting. */
bool nvmft_pass_busy(const struct ctrl *ctrl);
/* Those in the device are lost. */
void nvmft_pass_lost(struct ctrl *ctrl);

/* recover.c */

/* Take the controller's queues away: no I/O of theirs is in the device when this returns. Logged. */
void nvmft_ctrl_fail(struct ctrl *ctrl, const char *why);
/* When it returns the device accesses no memory any more, if need be as it was given back. */
void nvmft_ctrl_stop_dma(struct ctrl *ctrl);
/* Give the device back at once. */
void nvmft_ctrl_give_back(struct ctrl *ctrl);
/* To be called now and then: looks after the controller, and brings it back after a failure. */
void nvmft_ctrl_watch(struct ctrl *ctrl);
/* Steps of enabling, also for open. */
void nvmft_ctrl_disable(struct ctrl *ctrl);
int nvmft_ctrl_enable(struct ctrl *ctrl);

/* Context: any thread. */

/* A command to the namespace fails in a way that says that it is not what it was. */
void nvmft_event_suspect(struct vfio_nvme *vn);
/* False: no room, try later. */
bool nvmft_ctrl_wish_abort(struct ctrl *ctrl, unsigned int gen, uint16_t qid, uint16_t cid);
void nvmft_ctrl_accuse(struct ctrl *ctrl, unsigned int gen, const char *why);

#endif
