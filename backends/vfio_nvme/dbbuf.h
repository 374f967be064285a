/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_VFIO_NVME_DBBUF_H
#define NVMFT_BACKENDS_VFIO_NVME_DBBUF_H

#include "queue.h"

struct ctrl;

/* struct dbbuf - shadow doorbells of a controller, for one that is made of software: memory is cheaper for it than a
 * register */
struct dbbuf {
	struct dma_memory shadows, events;
	bool on;
};

/*
 * Offer them to the controller, after each reset and before its first I/O queue. Return: 0, also when it takes none;
 * -errno, logged. Context: the controller's thread.
 */
int nvmft_dbbuf_setup(struct ctrl *ctrl);
/* For a queue in its first state, as far as there are any. Context: the controller's thread. */
void nvmft_dbbuf_attach(const struct ctrl *ctrl, struct queue_pair *q);
void nvmft_dbbuf_free(struct ctrl *ctrl);

#endif
