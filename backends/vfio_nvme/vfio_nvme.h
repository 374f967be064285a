/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_VFIO_NVME_H
#define NVMFT_BACKENDS_VFIO_NVME_H

#include <errno.h>
#include <sys/queue.h>

#include <nvmft/backends.h>
#include <nvmft/provider/backend.h>
#include <nvmft/provider/ring.h>

#include "../nvme/doubt.h"
#include "ctrl.h"
#include "cmd.h"

/* Below the half minute after which hosts lose patience, with the Abort that follows. */
#define IO_TIMEOUT_NS UINT64_C(15000000000)
#define ABORT_TIMEOUT_NS UINT64_C(5000000000)
/* A host's admin command may take long (Format): the controller is reset for it only after this and an Abort. */
#define PASS_TIMEOUT_NS UINT64_C(60000000000)

#define DEFAULT_DEPTH 128u

/* Without DNR: hosts try again. */
#define STATUS_LOST NVMFT_STATUS(0, 0x21)      /* Command Interrupted */
#define STATUS_NOT_READY NVMFT_STATUS(0, 0x82) /* Namespace Not Ready */
#define STATUS_ABORTED NVMFT_STATUS(0, 0x07)   /* Command Abort Requested */

/* struct vfio_facts - what the device says of a namespace, and what commands are made by then */
struct vfio_facts {
	struct ssd_facts ssd;
	struct vfio_format format;
};

/*
 * struct vfio_nvme - a namespace of a controller
 * @doubt: whether commands may still be made by @format
 * @format: constant while it is open, as channels read it without a lock: a namespace that gets another one is gone
 * @facts: the newest; ctrl->lock
 * @zeroes, @sink: see struct vfio_format
 * @gone: the core was told so; ctrl->ns_lock
 * @unanswered: times in a row that the device would not say what has become of it; ctrl->ns_lock
 * @link: ctrl->namespaces; ctrl->ns_lock
 */
struct vfio_nvme {
	struct nvmft_backend *backend;
	struct ctrl *ctrl;
	uint32_t nsid;
	uint32_t depth;
	bool read_only;
	bool reservations;
	bool gone;
	struct ssd_doubt doubt;
	unsigned int unanswered;
	struct nvmft_opcodes admin_commands;
	struct dma_memory zeroes, sink;
	struct vfio_format format;
	struct vfio_facts facts;
	LIST_ENTRY(vfio_nvme) link;
};

TAILQ_HEAD(vio_list, vio);

/* The rest has to wait for what is in the device. */
static inline bool vio_holds(const struct vio *vio)
{
	return vio->in_order && vio->open;
}

/*
 * struct slot - a command identifier
 * @next: the next free one
 * @io: an I/O that is all in this command, of which there is no struct vio: it went the short way
 * @vio: another. Neither: the identifier is free, or not used again yet, see @aborts of the pair.
 * @deadline: 0 until the pair's timer has seen the command
 * @dw0: the identifier as it is in dword 0 of the command
 */
struct slot {
	struct slot *next;
	struct nvmft_io *io;
	struct vio *vio;
	uint64_t deadline;
	uint32_t dw0;
	bool aborting;
};

/* Whose turn it is: what of a pair's fields may be touched. */
enum pair_state {
	PAIR_WANTED,  /* the thread's: to make the queue */
	PAIR_REFUSED, /* the thread's: it could not be made and is tried again; I/O does not wait for that */
	PAIR_READY,   /* the group's */
	PAIR_CLOSING, /* the thread's, for good: to delete the queue and free the pair */
};

/*
 * struct vfio_pair - the I/O queue pair of a controller in a poll group, shared by all namespaces of the controller
 * there
 * @link: ctrl->pairs; ctrl->lock
 * @state: enum pair_state, changed by the side whose turn it is; the group may close at any time
 * @event_fd: the thread writes to it when the group is to look at @state or the controller again
 *
 * The thread's, until the state is PAIR_READY:
 * @queue: made in generation @gen of the controller
 * @lists: a page per command identifier: its PRP or SGL list or its ranges
 * @made: the device has the queue, unless the generation is over
 *
 * The group's:
 * @ready: it has taken the queue over
 * @short_gen: the generation in which submit has a short way; SHORT_NEVER while the queue is not there or I/O waits
 * @refs: channels
 * @polling: the channel that is being polled: I/O of others is finished when it is their turn
 * @free: of @slots, a stack
 * @waiting: I/O that waits for command identifiers, or for the controller
 * @timer: looks for late commands while there are any
 * @irq, @answer: what ends the group's sleep: completions, the thread
 * @aborts: by command identifier: an Abort of it is wished for or in the device, said by the group and unsaid by the
 *       thread. Until then the identifier is not used again: the Abort would be for the next command.
 */
struct vfio_pair {
	struct ctrl *ctrl;
	struct nvmft_poll_group *group;
	TAILQ_ENTRY(vfio_pair) link;
	atomic_int state;
	int event_fd;

	struct queue_pair queue;
	struct dma_memory lists;
	unsigned int gen;
	bool made;

	bool ready;
	bool complained;
	uint64_t short_gen;
	uint32_t refs;
	uint32_t depth;
	struct slot *free;
	struct slot *slots;
	struct vfio_channel *polling;
	struct vio_list waiting;
	struct nvmft_timer timer;
	struct nvmft_wake irq, answer;
	atomic_bool *aborts;
};

/*
 * struct vfio_channel - a namespace in a poll group
 * @short_regions: regions for which io.c has a short way: @nregions, or 0 when that way is not for this format
 * @dws: dwords 0 and 1 of a command without its identifier: of a read, of a write
 * @done: I/O that is over, as was found when another namespace was polled
 * @passes: admin commands that the controller's thread has
 */
struct vfio_channel {
	struct vfio_pair *pair;
	uint32_t short_regions;
	uint32_t nregions;
	uint64_t dws[2];
	struct nvmft_channel *pub;
	struct vfio_nvme *vn;
	struct vio_list done;
	struct vio_list passes;
	struct vfio_region *regions;
};

static inline bool vio_all_sent(const struct vio *vio)
{
	return vio->sent == vio->total;
}

static inline struct vfio_channel *vio_channel(const struct vio *vio)
{
	return vio->io->channel->priv;
}

/* Nothing of it is to be sent before the device was asked. */
static inline bool vio_doubted(const struct vio *vio)
{
	return ssd_in_doubt(&vio_channel(vio)->vn->doubt);
}

/* The queue can take commands, as far as the group knows. */
static inline bool pair_live(const struct vfio_pair *pair)
{
	return pair->ready && ctrl_gen(pair->ctrl) == pair->gen;
}

/* Most of a read or write on the short way: what a command has room for without a list. */
#define SHORT_PAGES 2u

/* No generation, as those have 32 bits. */
#define SHORT_NEVER UINT64_MAX

/* After what it depends on has changed. */
static inline void pair_set_short(struct vfio_pair *pair)
{
	pair->short_gen = pair->ready && TAILQ_EMPTY(&pair->waiting) ? pair->gen : SHORT_NEVER;
}

static inline bool slot_open(const struct slot *slot)
{
	return slot->io || slot->vio;
}

static inline uint16_t slot_cid(const struct vfio_pair *pair, const struct slot *slot)
{
	return (uint16_t)(slot - pair->slots);
}

static inline void slot_take(struct vfio_pair *pair, const struct slot *slot)
{
	pair->free = slot->next;
}

static inline void slot_give(struct vfio_pair *pair, struct slot *slot)
{
	slot->next = pair->free;
	pair->free = slot;
}

/* open.c */
int nvmft_vfio_nvme_open(struct nvmft_backend *backend, const void *opts);
void nvmft_vfio_nvme_close(struct nvmft_backend *backend);
int nvmft_vfio_nvme_info(struct nvmft_backend *backend, struct nvmft_backend_info *info);

/* facts.c */

/*
 * Ask the device, at open and when the namespace has changed. Return: 0; -errno, logged: see facts_lost(); -ENOENT: it
 * does not exist; -EINVAL, -EOPNOTSUPP: it cannot be used; -EREMOTEIO: the device would not say, which it may do
 * another time. Context: the controller's thread.
 */
int nvmft_vfio_facts_read(struct ctrl *ctrl, uint32_t nsid, struct vfio_facts *facts);
/* So returns a device that does not answer at all. */
static inline bool facts_lost(int err)
{
	return err && err != -ENOENT && err != -EINVAL && err != -EOPNOTSUPP && err != -EREMOTEIO;
}

/* Make the format of vn->facts the one in use, with the memory that it needs. Return: 0; -errno, logged. */
int nvmft_vfio_format_take(struct vfio_nvme *vn);
void nvmft_vfio_format_drop(struct vfio_nvme *vn);
bool nvmft_vfio_format_equal(const struct vfio_format *a, const struct vfio_format *b);
/* info.c: what the core is told; of @vn only what its options say. */
void nvmft_vfio_facts_info(const struct vfio_nvme *vn, const struct vfio_facts *facts, struct nvmft_backend_info *info);

/* channel.c */
int nvmft_vfio_channel_open(struct nvmft_channel *channel);
void nvmft_vfio_channel_close(struct nvmft_channel *channel);
int nvmft_vfio_region_add(struct nvmft_channel *channel, const struct nvmft_region *region);
void nvmft_vfio_region_remove(struct nvmft_channel *channel, const struct nvmft_region *region);

/* pair.c; the group's side */

/* The pair of the group, made if need be, but not waited for. NULL: -errno at @err, logged. */
struct vfio_pair *nvmft_pair_get(struct ctrl *ctrl, struct nvmft_poll_group *group, int *err);
void nvmft_pair_put(struct vfio_pair *pair);
/* The thread may have answered, or the controller may be another one now. Return: number of I/Os that are over. */
int nvmft_pair_attend(struct vfio_pair *pair);
/* After I/O was sent: see to its timeout. */
void nvmft_pair_sent(struct vfio_pair *pair);
/* Some identifiers are not free. */
bool nvmft_pair_busy(const struct vfio_pair *pair);
/* There is something for nvmft_pair_attend(). */
bool nvmft_pair_answered(const struct vfio_pair *pair);
/* Want the commands of an I/O aborted. */
void nvmft_pair_abort(struct vfio_pair *pair, const struct vio *vio);

/* step.c; the thread's side: the group is to look at the pair */
void nvmft_pair_wake(struct vfio_pair *pair);
/* The Abort of a command of queue @qid is over. */
void nvmft_pair_aborted(struct ctrl *ctrl, uint16_t qid, uint16_t cid);

/* pass.c; the group's side of admin commands */
void nvmft_pass_submit(struct vfio_channel *ch, struct vio *vio);
int nvmft_pass_poll(struct vfio_channel *ch);
bool nvmft_pass_answered(const struct vfio_channel *ch);
void nvmft_pass_abort(struct pass *pass);

/* io.c: commands */
void nvmft_vfio_submit(struct nvmft_channel *channel, struct nvmft_io *io);
/* An I/O that went the short way goes on as the others: it has a struct vio. */
void nvmft_vfio_lengthen(struct slot *slot);
/* As much as there are command identifiers for and may be sent now. False: there is more, which has to wait for
 * identifiers. */
bool nvmft_vfio_send(struct vfio_pair *pair, struct vio *vio);

/* complete.c: completions */
void nvmft_vfio_flush(struct nvmft_channel *channel);
int nvmft_vfio_poll(struct nvmft_channel *channel);
int nvmft_vfio_arm(struct nvmft_channel *channel);
void nvmft_vfio_abort(struct nvmft_channel *channel, struct nvmft_io *io);
/* A command is over, with @status. */
void nvmft_vfio_slot_done(struct vfio_pair *pair, uint16_t cid, nvmft_status status);
/* The first of those that wait and can be sent, or are to fail, now; NULL: none. */
struct vio *nvmft_vfio_next(const struct vfio_pair *pair);
/* To the end of those that wait for being sent. */
void nvmft_vfio_wait(struct vfio_pair *pair, struct vio *vio);
/* Nothing more of it is sent. */
void nvmft_vfio_fail_rest(struct vio *vio, nvmft_status status);
void nvmft_vfio_end_if_over(struct vfio_pair *pair, struct vio *vio);

#endif
