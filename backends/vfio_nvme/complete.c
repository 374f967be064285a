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
	pair_set_short(pair);
}

void nvmft_vfio_wait(struct vfio_pair *pair, struct vio *vio)
{
	vio->queued = true;
	TAILQ_INSERT_TAIL(&pair->waiting, vio, link);
	pair_set_short(pair);
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

/* What a host makes up itself proves nothing; that the device is being formatted it cannot make up. */
static void suspect(const struct nvmft_io *io, nvmft_status status)
{
	const struct vfio_channel *ch = io->channel->priv;

	if (ssd_is_formatting(status) || (ssd_is_sign(status) && io->op != NVMFT_IO_COMMAND))
		nvmft_event_suspect(ch->vn);
}

void nvmft_vfio_slot_done(struct vfio_pair *pair, uint16_t cid, nvmft_status status)
{
	struct slot *slot = &pair->slots[cid];
	struct vio *vio;

	if (slot->io)
		nvmft_vfio_lengthen(slot);
	vio = slot->vio;
	slot->vio = NULL;
	/* Else the Abort could hit the next command of this identifier: the timer returns it. */
	if (!slot->aborting)
		slot_give(pair, slot);
	vio->open--;
	if (status)
		nvmft_vfio_fail_rest(vio, status);
	if (vio->in_order && !vio_all_sent(vio) && !vio->queued)
		nvmft_vfio_wait(pair, vio);
	else
		nvmft_vfio_end_if_over(pair, vio);
}

static void bad_completion(struct vfio_pair *pair, size_t cid)
{
	/* Once: the device would fill the log. If it meant another command, that one's timeout comes. */
	if (!pair->complained)
		nvmft_device_log(pair->ctrl->dev, NVMFT_LOG_ERROR,
				 "completion for command %zu, which is not open; further ones are not logged", cid);
	pair->complained = true;
}

/* Out of line, as most I/O goes the short way. */
static __attribute__((noinline)) void complete_any(struct vfio_pair *pair, const volatile struct nvmft_cqe *cqe,
						   size_t cid, nvmft_status status)
{
	const struct slot *slot = &pair->slots[cid];
	struct nvmft_io *io;

	if (cid >= pair->depth || !slot_open(slot)) {
		bad_completion(pair, cid);
		return;
	}
	io = slot->io ? slot->io : slot->vio->io;
	if (io->op == NVMFT_IO_COMMAND)
		io->result = le32toh(cqe->dw0) | (uint64_t)le32toh(cqe->dw1) << 32;
	if (status)
		suspect(io, status);
	nvmft_vfio_slot_done(pair, (uint16_t)cid, status);
}

/* Is it the one command of an I/O, of the namespace that is being polled? */
static inline bool is_simple(const struct slot *slot, const struct nvmft_channel *channel)
{
	return __builtin_expect(slot->io != NULL, 1) && __builtin_expect(slot->io->channel == channel, 1);
}

static inline void complete_simple(struct vfio_pair *pair, struct slot *slot)
{
	struct nvmft_io *io = slot->io;

	slot->io = NULL;
	slot_give(pair, slot);
	nvmft_io_done(io, 0);
}

/* A function of its own, that what the loop needs stays in registers. */
static __attribute__((noinline)) uint32_t reap(struct vfio_pair *pair)
{
	const struct nvmft_channel *channel = pair->polling->pub;
	struct queue_pair *q = &pair->queue;
	const volatile struct nvmft_cqe *cqe = q->cq_next;
	struct slot *slots = pair->slots;
	uint32_t phase = q->phase, left, dw3;

	for (left = q->entries; left && !(((dw3 = cqe_dw3(cqe)) ^ phase) & DW3_PHASE); left--) {
		size_t cid = dw3 & 0xffff;

		read_barrier();
		if (__builtin_expect(cid < pair->depth && !(dw3 & DW3_STATUS), 1) && is_simple(&slots[cid], channel))
			complete_simple(pair, &slots[cid]);
		else
			complete_any(pair, cqe, cid, (nvmft_status)(dw3 >> 17 & SSD_STATUS_KEPT));
		if (++cqe == q->cq_end) {
			cqe = q->cq;
			phase ^= DW3_PHASE;
		}
	}
	q->cq_next = cqe;
	q->phase = phase;
	queue_pair_ring_cq(q);
	return q->entries - left;
}

/* Others go past what waits for the device to be asked about their namespace. */
struct vio *nvmft_vfio_next(const struct vfio_pair *pair)
{
	struct vio *vio;

	TAILQ_FOREACH (vio, &pair->waiting, link)
		if (!vio_doubted(vio) || ssd_refused(&vio_channel(vio)->vn->doubt))
			break;
	return vio;
}

/* Send what waits, as far as it goes. */
static void pump(struct vfio_pair *pair)
{
	struct vio *vio;

	while (pair->free && (vio = nvmft_vfio_next(pair))) {
		if (ssd_refused(&vio_channel(vio)->vn->doubt))
			nvmft_vfio_fail_rest(vio, STATUS_NOT_READY);
		else if (!nvmft_vfio_send(pair, vio))
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
	bool live;

	pair->polling = ch;
	if (!TAILQ_EMPTY(&ch->passes))
		n += nvmft_pass_poll(ch);
	live = pair_live(pair);
	if (!live) {
		n += nvmft_pair_attend(pair);
		live = pair_live(pair);
	}
	if (live) {
		n += (int)reap(pair);
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
	bool waiting = nvmft_vfio_next(pair);

	if (!TAILQ_EMPTY(&ch->done) || (!TAILQ_EMPTY(&ch->passes) && nvmft_pass_answered(ch)) ||
	    nvmft_pair_answered(pair))
		return -EAGAIN;
	if (pair->ready) {
		if (queue_pair_ready(&pair->queue) || (waiting && pair->free) ||
		    (pair->irq.fd < 0 && nvmft_pair_busy(pair)))
			return -EAGAIN;
		if (pair->irq.fd >= 0 && nvmft_wake_arm(&pair->irq) != 0)
			return -EAGAIN;
	}
	return nvmft_wake_arm(&pair->answer);
}

static struct slot *find_simple(const struct vfio_pair *pair, const struct nvmft_io *io)
{
	for (uint32_t cid = 0; cid < pair->depth; cid++)
		if (pair->slots[cid].io == io)
			return &pair->slots[cid];
	return NULL;
}

void nvmft_vfio_abort(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct vfio_channel *ch = channel->priv;
	struct vfio_pair *pair = ch->pair;
	struct slot *slot = find_simple(pair, io);
	struct vio *vio = io->priv;

	if (slot)
		nvmft_vfio_lengthen(slot);
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
