/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_VFIO_NVME_H
#define NVMFT_BACKENDS_VFIO_NVME_H

#include <sys/queue.h>

#include <nvmft/backends.h>
#include <nvmft/provider/backend.h>
#include <nvmft/provider/ring.h>

#include "ctrl.h"
#include "prp.h"

/* Below the half minute after which hosts lose patience, with the Abort that follows. */
#define IO_TIMEOUT_NS UINT64_C(15000000000)
#define ABORT_TIMEOUT_NS UINT64_C(5000000000)
#define WATCH_NS UINT64_C(1000000000)
#define RECOVERY_NS UINT64_C(10000000)

#define DEFAULT_DEPTH 128u

/* Without DNR: hosts try again. */
#define STATUS_LOST NVMFT_STATUS(0, 0x21)      /* Command Interrupted */
#define STATUS_NOT_READY NVMFT_STATUS(0, 0x82) /* Namespace Not Ready */
#define STATUS_ABORTED NVMFT_STATUS(0, 0x07)   /* Command Abort Requested */

/*
 * struct vfio_nvme - a namespace of a controller
 * @chunk: most blocks of one command
 */
struct vfio_nvme {
	struct ctrl ctrl;
	uint32_t nsid;
	uint32_t depth;
	uint32_t chunk;
	uint8_t shift;
	bool read_only;
	bool deallocated_zero;
	bool can_dealloc_zeroes;
	uint64_t blocks;
	uint32_t preferred_blocks;
	uint8_t uuid[16], nguid[16], eui64[8];
};

/*
 * struct vio - an I/O, done with one command or several in turn
 * @total, @sent: in blocks; a Flush has 1
 * @open: commands in the device
 * @queued: in channel->waiting, as not all of it was sent
 */
struct vio {
	TAILQ_ENTRY(vio) link;
	struct nvmft_io *io;
	uint32_t total;
	uint32_t sent;
	uint16_t open;
	nvmft_status status;
	bool queued;
};

/* struct slot - a command identifier; @vio NULL: free */
struct slot {
	struct vio *vio;
	uint64_t deadline;
	bool aborting;
};

struct vfio_region {
	uint8_t *base;
	uint64_t iova;
};

struct wake;

/*
 * struct vfio_channel - a poll group's queue pair
 * @gen: the controller's generation in which the queue was made
 * @ready: the device has it
 * @lists: a page per command identifier: its PRP list or its ranges
 * @waiting: I/O that waits for command identifiers, or for the controller
 */
struct vfio_channel {
	struct ctrl *ctrl;
	struct nvmft_channel *pub;
	struct queue_pair queue;
	unsigned int gen;
	bool ready;
	bool complained;
	uint32_t depth;
	uint32_t nfree;
	uint16_t *free;
	struct slot *slots;
	struct dma_memory lists;
	TAILQ_HEAD(, vio) waiting;
	struct vfio_region *regions;
	uint32_t nregions;
	struct nvmft_timer timer;
	struct wake *wake;
};

/* open.c */
int nvmft_vfio_nvme_open(struct nvmft_backend *backend, const void *opts);
void nvmft_vfio_nvme_close(struct nvmft_backend *backend);
int nvmft_vfio_nvme_info(struct nvmft_backend *backend, struct nvmft_backend_info *info);
/* The same on a device that is open already; takes it. */
int nvmft_vfio_nvme_attach(struct nvmft_backend *backend, struct device *dev, uint32_t nsid, uint32_t depth,
			   bool read_only);

/* channel.c */
int nvmft_vfio_channel_open(struct nvmft_channel *channel);
void nvmft_vfio_channel_close(struct nvmft_channel *channel);
int nvmft_vfio_region_add(struct nvmft_channel *channel, const struct nvmft_region *region);
void nvmft_vfio_region_remove(struct nvmft_channel *channel, const struct nvmft_region *region);

/* io.c */
void nvmft_vfio_submit(struct nvmft_channel *channel, struct nvmft_io *io);
void nvmft_vfio_flush(struct nvmft_channel *channel);
int nvmft_vfio_poll(struct nvmft_channel *channel);
int nvmft_vfio_arm(struct nvmft_channel *channel);
void nvmft_vfio_abort(struct nvmft_channel *channel, struct nvmft_io *io);

/* wake.c: a descriptor on the group's ring, so that the group sleeps no longer than until it is readable */
struct wake *nvmft_wake_create(struct nvmft_poll_group *group, int fd);
void nvmft_wake_arm(struct wake *wake);
void nvmft_wake_destroy(struct wake *wake);

#endif
