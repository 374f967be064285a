/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way of an I/O out of the device, and what a poll group does about its queue in each pass.
 *
 * Namespaces share the queue, and polling one finds completions of another. Those are kept until it is that one's turn,
 * since its last I/O may end it, which it survives only while it is polled itself.
 */
#include <errno.h>

#include "vfio_nvme.h"

static void unqueue(struct vfio_pair *pair, struct vio *vio)
{
	if (!vio->queued)
		return;
	TAILQ_REMOVE(&pair->waiting, vio, link);
	vio->queued = false;
}

void nvmft_vfio_wait(struct vfio_pair *pair, struct vio *vio)
{
	vio->queued = true;
	TAILQ_INSERT_TAIL(&pair->waiting, vio, link);
}

void nvmft_vfio_end_if_over(struct vfio_pair *pair, struct vio *vio)
{
	struct vfio_channel *ch = vio_channel(vio);

	if (vio->open || !vio_all_sent(vio))
		return;
	unqueue(pair, vio);
	if (ch == pair->polling)
		nvmft_io_done(vio->io, vio->status);
	else
		TAILQ_INSERT_TAIL(&ch->done, vio, link);
}

void nvmft_vfio_fail_rest(struct vio *vio, nvmft_status status)
{
	if (!vio->status)
		vio->status = status;
	vio->total = vio->sent;
}

void nvmft_vfio_slot_done(struct vfio_pair *pair, uint16_t cid, nvmft_status status)
{
	struct slot *slot = &pair->slots[cid];
	struct vio *vio = slot->vio;

	slot->vio = NULL;
	/* Else the Abort could hit the next command of this identifier: the timer returns it. */
	if (!slot->aborting)
		pair->free[pair->nfree++] = cid;
	vio->open--;
	if (status)
		nvmft_vfio_fail_rest(vio, status);
	if (vio->in_order && !vio_all_sent(vio) && !vio->queued)
		nvmft_vfio_wait(pair, vio);
	else
		nvmft_vfio_end_if_over(pair, vio);
}

static void bad_completion(struct vfio_pair *pair, uint16_t cid)
{
	/* Once: the device would fill the log. If it meant another command, that one's timeout comes. */
	if (!pair->complained)
		nvmft_device_log(pair->ctrl->dev, NVMFT_LOG_ERROR,
				 "completion for command %u, which is not open; further ones are not logged", cid);
	pair->complained = true;
}

static __attribute__((noinline)) void complete_any(struct vfio_pair *pair, const volatile struct nvmft_cqe *cqe,
						   uint16_t cid, nvmft_status status)
{
	struct nvmft_io *io = pair->slots[cid].vio->io;

	if (io->op == NVMFT_IO_COMMAND)
		io->result = le32toh(cqe->dw0) | (uint64_t)le32toh(cqe->dw1) << 32;
	nvmft_vfio_slot_done(pair, cid, status);
}

/* The one command of an I/O, of the namespace that is being polled. */
static inline void complete_simple(struct vfio_pair *pair, struct slot *slot, uint16_t cid, nvmft_status status)
{
	struct vio *vio = slot->vio;

	slot->vio = NULL;
	pair->free[pair->nfree++] = cid;
	vio->open = 0;
	nvmft_io_done(vio->io, status);
}

static int reap(struct vfio_pair *pair)
{
	const struct nvmft_channel *channel = pair->polling->pub;
	struct queue_pair *q = &pair->queue;
	uint32_t n;

	for (n = 0; n < q->entries && queue_pair_ready(q); n++) {
		const volatile struct nvmft_cqe *cqe = queue_pair_take(q);
		nvmft_status status = le16toh(cqe->status) >> 1 & STATUS_PASSED;
		uint16_t cid = le16toh(cqe->cid);
		struct slot *slot = &pair->slots[cid];

		if (cid >= pair->depth || !slot->vio)
			bad_completion(pair, cid);
		else if (slot->vio->simple && slot->vio->io->channel == channel)
			complete_simple(pair, slot, cid, status);
		else
			complete_any(pair, cqe, cid, status);
	}
	queue_pair_ring_cq(q);
	return (int)n;
}

/* Send what waits, as far as it goes. */
static void pump(struct vfio_pair *pair)
{
	struct vio *vio;

	while (pair->nfree && (vio = TAILQ_FIRST(&pair->waiting))) {
		if (!nvmft_vfio_send(pair, vio))
			break;
		unqueue(pair, vio);
		nvmft_vfio_end_if_over(pair, vio);
	}
	queue_pair_ring_sq(&pair->queue);
	nvmft_pair_sent(pair);
}

void nvmft_vfio_flush(struct nvmft_channel *channel)
{
	struct vfio_pair *pair = ((struct vfio_channel *)channel->priv)->pair;

	if (!pair_live(pair))
		return;
	queue_pair_ring_sq(&pair->queue);
	nvmft_pair_sent(pair);
}

static int finish_done(struct vfio_channel *ch)
{
	struct vio *vio;
	int n = 0;

	for (; (vio = TAILQ_FIRST(&ch->done)); n++) {
		TAILQ_REMOVE(&ch->done, vio, link);
		nvmft_io_done(vio->io, vio->status);
	}
	return n;
}

int nvmft_vfio_poll(struct nvmft_channel *channel)
{
	struct vfio_channel *ch = channel->priv;
	struct vfio_pair *pair = ch->pair;
	int n = finish_done(ch);

	pair->polling = ch;
	nvmft_pair_set_deadline(pair);
	if (!TAILQ_EMPTY(&ch->passes))
		n += nvmft_pass_poll(ch);
	if (!pair_live(pair))
		n += nvmft_pair_attend(pair);
	if (pair_live(pair)) {
		n += reap(pair);
		if (!TAILQ_EMPTY(&pair->waiting))
			pump(pair);
	}
	pair->polling = NULL;
	return n;
}

/* What cannot be sent yet waits for the thread's answer. A queue without interrupts is polled while it has commands. */
int nvmft_vfio_arm(struct nvmft_channel *channel)
{
	struct vfio_channel *ch = channel->priv;
	struct vfio_pair *pair = ch->pair;
	bool waiting = !TAILQ_EMPTY(&pair->waiting);

	if (!TAILQ_EMPTY(&ch->done) || (!TAILQ_EMPTY(&ch->passes) && nvmft_pass_answered(ch)) ||
	    nvmft_pair_answered(pair))
		return -EAGAIN;
	if (pair->ready) {
		if (queue_pair_ready(&pair->queue) || (waiting && pair->nfree) ||
		    (pair->irq.fd < 0 && pair->nfree < pair->depth))
			return -EAGAIN;
		if (pair->irq.fd >= 0 && nvmft_wake_arm(&pair->irq) != 0)
			return -EAGAIN;
	}
	return nvmft_wake_arm(&pair->answer);
}

void nvmft_vfio_abort(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct vfio_channel *ch = channel->priv;
	struct vfio_pair *pair = ch->pair;
	struct vio *vio = io->priv;

	if (vio->pass) {
		nvmft_pass_abort(vio->pass);
		return;
	}
	/* Over, but for its channel's turn. */
	if (!vio->open && vio_all_sent(vio))
		return;
	if (!vio_all_sent(vio))
		nvmft_vfio_fail_rest(vio, STATUS_ABORTED);
	if (vio->open && pair_live(pair))
		nvmft_pair_abort(pair, vio);
	nvmft_vfio_end_if_over(pair, vio);
}
