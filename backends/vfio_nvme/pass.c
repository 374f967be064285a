/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Admin commands of hosts: from the poll group that they came to, through the controller's thread, and back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <nvme/types.h>

#include "vfio_nvme.h"
#include "pass.h"

/* A list that is needed will be where the thread has room: no PRP has this value. */
#define PRP2_LIST UINT64_MAX

/* ---- the group's side ---- */

static int set_data(const struct vfio_channel *ch, const struct nvmft_io *io, struct pass *pass)
{
	const struct dptr_place place = {
		.regions = ch->regions,
		.nregions = ch->nregions,
		.list = pass->list,
		.list_iova = PRP2_LIST,
	};
	uint64_t len = 0;

	for (uint32_t i = 0; i < io->iovcnt; i++)
		len += io->iov[i].len;
	return len ? nvmft_dptr_set(&pass->sqe, &place, io->iov, io->iovcnt, 0, len) : 0;
}

static void set_command(struct pass *pass, const struct nvmft_sqe *from, uint32_t nsid)
{
	pass->sqe.opcode = from->opcode;
	pass->sqe.nsid = htole32(nsid);
	pass->sqe.cdw2 = from->cdw2;
	pass->sqe.cdw3 = from->cdw3;
	memcpy(&pass->sqe.cdw10, &from->cdw10, 6 * sizeof(from->cdw10));
}

/* Format NVM: from here on I/O of all hosts waits until it is over and the device was asked. */
static nvmft_status begin_format(struct vfio_nvme *vn, uint32_t *cdw10)
{
	nvmft_status status;

	if (ssd_in_doubt(&vn->doubt))
		return STATUS_NOT_READY;
	pthread_mutex_lock(&vn->ctrl->lock);
	status = nvmft_ssd_check_format(&vn->facts.ssd, *cdw10);
	*cdw10 = nvmft_ssd_device_format(&vn->facts.ssd, *cdw10);
	pthread_mutex_unlock(&vn->ctrl->lock);
	if (!status)
		ssd_format_begins(&vn->doubt);
	return status;
}

/* An allocation, as these commands are rare and have a long way to go. */
static void submit(struct vfio_channel *ch, struct vio *vio, uint32_t cdw10)
{
	struct ctrl *ctrl = ch->pair->ctrl;
	struct ssd_doubt *formats = vio->io->sqe->opcode == SSD_ADMIN_FORMAT ? &ch->vn->doubt : NULL;
	struct pass *pass = calloc(1, sizeof(*pass));
	int err = pass ? 0 : -ENOMEM;

	if (!err) {
		set_command(pass, vio->io->sqe, vio->io->flags & NVMFT_IO_NO_NSID ? 0 : ch->vn->nsid);
		pass->sqe.cdw10 = htole32(cdw10);
		err = set_data(ch, vio->io, pass);
	}
	if (err) {
		free(pass);
		if (formats) {
			ssd_format_ends(formats);
			nvmft_event_suspect(ch->vn); /* which ends the doubt */
		}
		nvmft_io_done(vio->io, nvmft_status_from_errno(err));
		return;
	}
	pass->pair = ch->pair;
	pass->formats = formats;
	vio->pass = pass;
	TAILQ_INSERT_TAIL(&ch->passes, vio, link);
	pthread_mutex_lock(&ctrl->lock);
	STAILQ_INSERT_TAIL(&ctrl->passes, pass, link);
	pthread_mutex_unlock(&ctrl->lock);
	nvmft_ctrl_kick(ctrl);
}

void nvmft_pass_submit(struct vfio_channel *ch, struct vio *vio)
{
	const struct nvmft_sqe *sqe = vio->io->sqe;
	uint32_t cdw10 = le32toh(sqe->cdw10);
	nvmft_status status = sqe->opcode == SSD_ADMIN_FORMAT ? begin_format(ch->vn, &cdw10) : 0;

	if (status)
		nvmft_io_done(vio->io, status);
	else
		submit(ch, vio, cdw10);
}

static bool answered(const struct pass *pass)
{
	return atomic_load_explicit(&pass->answered, memory_order_acquire);
}

bool nvmft_pass_answered(const struct vfio_channel *ch)
{
	const struct vio *vio;

	TAILQ_FOREACH (vio, &ch->passes, link)
		if (answered(vio->pass))
			return true;
	return false;
}

static struct vio *take_answered(struct vfio_channel *ch)
{
	struct vio *vio;

	TAILQ_FOREACH (vio, &ch->passes, link)
		if (answered(vio->pass))
			break;
	if (vio)
		TAILQ_REMOVE(&ch->passes, vio, link);
	return vio;
}

int nvmft_pass_poll(struct vfio_channel *ch)
{
	struct vio *vio;
	int n = 0;

	for (; (vio = take_answered(ch)); n++) {
		nvmft_status status = vio->pass->status;

		vio->io->result = vio->pass->result;
		free(vio->pass);
		vio->pass = NULL;
		nvmft_io_done(vio->io, status);
	}
	return n;
}

void nvmft_pass_abort(struct pass *pass)
{
	atomic_store_explicit(&pass->unwanted, true, memory_order_relaxed);
	nvmft_ctrl_kick(pass->pair->ctrl);
}

/* ---- the thread's side ---- */

/* The last touch: the group frees it. The pair stays, as it is closed only after its I/O. */
static void answer(struct pass *pass, nvmft_status status, uint64_t result)
{
	struct vfio_pair *pair = pass->pair;

	pass->status = status;
	pass->result = result;
	atomic_store_explicit(&pass->answered, true, memory_order_release);
	nvmft_pair_wake(pair);
}

/* Before it is answered: the namespace may be closed after that. */
static void format_ends(struct ctrl *ctrl, const struct pass *pass)
{
	if (!pass->formats)
		return;
	ssd_format_ends(pass->formats);
	ctrl->look_again = true;
}

void nvmft_pass_over(struct ctrl *ctrl, struct admin_slot *slot)
{
	struct pass *pass = slot->pass;

	slot->pass = NULL;
	ctrl->npasses--;
	format_ends(ctrl, pass);
	answer(pass, slot->cqe.status & SSD_STATUS_KEPT, slot->cqe.dw0 | (uint64_t)slot->cqe.dw1 << 32);
}

/* Not any command: a host could keep one open for ever, and with it the reset of a queue that hangs. */
bool nvmft_pass_busy(const struct ctrl *ctrl)
{
	for (uint32_t cid = 0; cid < ADMIN_ENTRIES; cid++) {
		const struct admin_slot *slot = &ctrl->slots[cid];
		uint8_t opcode = slot->use == ADMIN_PASS ? slot->pass->sqe.opcode : 0;

		if (opcode == nvme_admin_format_nvm || opcode == nvme_admin_sanitize_nvm)
			return true;
	}
	return false;
}

void nvmft_pass_lost(struct ctrl *ctrl)
{
	for (uint32_t cid = 0; cid < ADMIN_ENTRIES; cid++) {
		struct admin_slot *slot = &ctrl->slots[cid];

		if (slot->use != ADMIN_PASS)
			continue;
		slot->use = ADMIN_FREE;
		slot->cqe = (struct nvmft_cqe){.status = STATUS_LOST};
		nvmft_pass_over(ctrl, slot);
	}
}

/* Where the device looks for the list. */
static void place_list(struct ctrl *ctrl, struct pass *pass, uint32_t cid)
{
	uint64_t prp2;

	memcpy(&prp2, pass->sqe.dptr + sizeof(prp2), sizeof(prp2));
	if (le64toh(prp2) != PRP2_LIST)
		return;
	memcpy((uint8_t *)ctrl->lists.base + (size_t)cid * NVME_PAGE, pass->list, sizeof(pass->list));
	prp2 = htole64(ctrl->lists.iova + (uint64_t)cid * NVME_PAGE);
	memcpy(pass->sqe.dptr + sizeof(prp2), &prp2, sizeof(prp2));
}

/* False: no room at the moment. */
static bool send(struct ctrl *ctrl, struct pass *pass)
{
	int cid = nvmft_admin_free_cid(ctrl);

	/* Some are kept for the thread itself. */
	if (cid < 0 || ctrl->npasses == MAX_OPEN_PASSES)
		return false;
	place_list(ctrl, pass, (uint32_t)cid);
	(void)nvmft_admin_submit(ctrl, &pass->sqe, ADMIN_PASS);
	ctrl->slots[cid].pass = pass;
	ctrl->slots[cid].aborting = false;
	ctrl->slots[cid].deadline = ctrl->dev->ops->now(ctrl->dev) + PASS_TIMEOUT_NS;
	ctrl->npasses++;
	return true;
}

static struct pass *first(struct ctrl *ctrl)
{
	struct pass *pass;

	pthread_mutex_lock(&ctrl->lock);
	pass = STAILQ_FIRST(&ctrl->passes);
	pthread_mutex_unlock(&ctrl->lock);
	return pass;
}

static void unlink_first(struct ctrl *ctrl)
{
	pthread_mutex_lock(&ctrl->lock);
	STAILQ_REMOVE_HEAD(&ctrl->passes, link);
	pthread_mutex_unlock(&ctrl->lock);
}

static bool unwanted(const struct pass *pass)
{
	return atomic_load_explicit(&pass->unwanted, memory_order_relaxed);
}

static void start(struct ctrl *ctrl)
{
	struct pass *pass;

	while ((pass = first(ctrl))) {
		enum ctrl_state state = ctrl_state(ctrl);
		bool dead = state == CTRL_DEAD, over = dead || unwanted(pass);

		if (!over && (state != CTRL_LIVE || !send(ctrl, pass)))
			return;
		unlink_first(ctrl);
		if (over) {
			format_ends(ctrl, pass);
			answer(pass, dead ? STATUS_NOT_READY : STATUS_ABORTED, 0);
		}
	}
}

/* Those that a host wants to end, or that take too long. */
static void watch(struct ctrl *ctrl, uint16_t cid, uint64_t now)
{
	struct admin_slot *slot = &ctrl->slots[cid];
	bool late = now >= slot->deadline;

	if (slot->aborting && late) {
		nvmft_ctrl_fail(ctrl, "an admin command and its Abort have timed out");
	} else if (!slot->aborting && late) {
		/* A device that answers no Abort takes none either, and is given no more time for that. */
		(void)nvmft_admin_abort(ctrl, 0, cid);
		slot->aborting = true;
		slot->deadline = now + ABORT_TIMEOUT_NS;
	} else if (!slot->aborting && unwanted(slot->pass)) {
		slot->aborting = nvmft_admin_abort(ctrl, 0, cid);
	}
}

void nvmft_pass_step(struct ctrl *ctrl)
{
	uint64_t now = ctrl->dev->ops->now(ctrl->dev);

	for (uint16_t cid = 0; cid < ADMIN_ENTRIES && ctrl->npasses; cid++)
		if (ctrl->slots[cid].use == ADMIN_PASS)
			watch(ctrl, cid, now);
	start(ctrl);
}
