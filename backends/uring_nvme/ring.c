/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The channel's own ring. Passthrough commands need entries of 128 bytes and completions of 32, and a ring has one
 * size: on the group's ring every socket operation would pay for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ng.h"

#define SQ_ENTRIES 128
#define CQ_ENTRIES 1024
/* A pass ends even when the device answers as fast as it is asked. */
#define REAP_MAX 256

static unsigned int ring_flags(const struct ng_backend *ng)
{
	unsigned int flags = IORING_SETUP_SQE128 | IORING_SETUP_CQE32 | IORING_SETUP_SINGLE_ISSUER |
			     IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE |
			     IORING_SETUP_CLAMP;

	return ng->iopoll ? flags | IORING_SETUP_IOPOLL : flags;
}

static int ring_init(const struct nvmft_backend *backend, struct io_uring *uring)
{
	struct io_uring_params params = {.flags = ring_flags(backend->priv), .cq_entries = CQ_ENTRIES};
	int ret = io_uring_queue_init_params(SQ_ENTRIES, uring, &params);

	if (ret == -EINVAL)
		nvmft_backend_log(backend, NVMFT_LOG_ERROR,
				  "io_uring without 128-byte entries and DEFER_TASKRUN: Linux 6.1 or later is needed");
	else if (ret == -EPERM || ret == -ENOSYS)
		nvmft_backend_log(backend, NVMFT_LOG_ERROR,
				  "io_uring is forbidden or not there: see /proc/sys/kernel/io_uring_disabled");
	else if (ret == -ENOMEM)
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "io_uring: no memory, or RLIMIT_MEMLOCK is too low");
	else if (ret)
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "io_uring: %s", strerrordesc_np(-ret));
	return ret;
}

static bool needs_enter(const struct ng_channel *ch)
{
	return (__atomic_load_n(ch->uring.sq.kflags, __ATOMIC_RELAXED) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) !=
	       0;
}

struct io_uring_sqe *nvmft_ng_get_sqe(struct ng_channel *ch)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ch->uring);

	if (!sqe) {
		io_uring_submit(&ch->uring);
		sqe = io_uring_get_sqe(&ch->uring);
	}
	if (sqe)
		ng_clear_sqe(sqe);
	ng_set_room(ch);
	return sqe;
}

/* ---- waking the group ---- */

static int wake_init(struct ng_channel *ch)
{
	int fd = eventfd(0, EFD_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = io_uring_register_eventfd(&ch->uring, fd);
	if (ret) {
		close(fd);
		return ret;
	}
	io_uring_cq_eventfd_toggle(&ch->uring, false);
	nvmft_wake_init(&ch->wake, ch->channel->group, fd);
	return 0;
}

static void set_notify(struct ng_channel *ch, bool on)
{
	if (ch->notify == on)
		return;
	ch->notify = on;
	io_uring_cq_eventfd_toggle(&ch->uring, on);
}

/* What waits for the device to be asked is woken by nvmft_ng_wake(), which may have come before this question. */
static bool may_go_on(const struct ng_channel *ch)
{
	const struct ng_backend *ng = ch->channel->backend->priv;

	return ch->waiting && (!ssd_in_doubt(&ng->doubt) || ssd_refused(&ng->doubt));
}

int nvmft_ng_arm(struct nvmft_channel *channel)
{
	struct ng_channel *ch = channel->priv;
	const struct ng_backend *ng = channel->backend->priv;

	/* Nothing tells of completions that the device gives without an interrupt. */
	if (ng->iopoll || may_go_on(ch) || io_uring_sq_ready(&ch->uring))
		return -EAGAIN;
	if (nvmft_wake_arm(&ch->wake) != 0)
		return -EAGAIN;
	set_notify(ch, true);
	/* Either the kernel sees that it is to signal, or we see the completion. */
	atomic_thread_fence(memory_order_seq_cst);
	return io_uring_cq_ready(&ch->uring) || needs_enter(ch) ? -EAGAIN : 0;
}

/* ---- passes ---- */

void nvmft_ng_flush(struct nvmft_channel *channel)
{
	struct ng_channel *ch = channel->priv;

	if (ch->waiting)
		nvmft_ng_drain_waiting(ch);
	/* What is not taken now stays in the queue; the next poll tries again. */
	if (io_uring_sq_ready(&ch->uring))
		(void)io_uring_submit(&ch->uring);
	ng_set_room(ch);
}

/* Out of line, as most I/O goes the short way and well. */
static __attribute__((noinline)) void complete_any(struct ng_channel *ch, const struct io_uring_cqe *cqe)
{
	if (cqe->user_data & NG_LONG)
		nvmft_ng_complete(ch, (struct ng_io *)(uintptr_t)(cqe->user_data & ~(__u64)NG_LONG), cqe->res,
				  cqe->big_cqe[0]);
	else
		nvmft_ng_short_failed(ch, io_uring_cqe_get_data(cqe), cqe->res);
}

/*
 * What there is at the beginning; the rest is for the next pass. What completions give rise to may end the channel's
 * last I/O, but the entries stay until they are given back.
 */
static uint32_t reap(struct ng_channel *ch)
{
	const struct io_uring_cqe *cqes = ch->uring.cq.cqes;
	uint32_t head = *ch->uring.cq.khead, mask = ch->uring.cq.ring_mask, n = io_uring_cq_ready(&ch->uring), left;

	n = n < REAP_MAX ? n : REAP_MAX;
	for (left = n; left; left--, head++) {
		const struct io_uring_cqe *cqe = &cqes[2 * (size_t)(head & mask)];

		if (__builtin_expect(!(cqe->user_data & NG_LONG) && !cqe->res, 1))
			nvmft_io_done(io_uring_cqe_get_data(cqe), 0);
		else
			complete_any(ch, cqe);
	}
	io_uring_cq_advance(&ch->uring, n);
	return n;
}

int nvmft_ng_poll(struct nvmft_channel *channel)
{
	struct ng_channel *ch = channel->priv;
	int n;

	set_notify(ch, false);
	if (!io_uring_cq_ready(&ch->uring) && (ch->ng->iopoll || needs_enter(ch)))
		(void)io_uring_get_events(&ch->uring);
	n = (int)reap(ch);
	/* Commands that completions gave rise to, when nothing else is submitted in this pass. */
	if (ch->waiting || io_uring_sq_ready(&ch->uring))
		nvmft_ng_flush(channel);
	return n;
}

/* ---- opening and closing ---- */

/* A table for later region_add; without it buffers go the plain way. */
static void fixed_init(struct ng_channel *ch)
{
	ch->fixed_regions = io_uring_register_buffers_sparse(&ch->uring, NG_REGIONS) == 0 ? NG_REGIONS : 0;
}

/* ---- those that are woken when the namespace is in doubt no more ---- */

static void enter(struct ng_backend *ng, struct ng_channel *ch)
{
	pthread_mutex_lock(&ng->lock);
	ch->next = ng->channels;
	ng->channels = ch;
	pthread_mutex_unlock(&ng->lock);
}

static void leave(struct ng_backend *ng, const struct ng_channel *ch)
{
	struct ng_channel **link = &ng->channels;

	pthread_mutex_lock(&ng->lock);
	while (*link != ch)
		link = &(*link)->next;
	*link = ch->next;
	pthread_mutex_unlock(&ng->lock);
}

void nvmft_ng_wake(struct ng_backend *ng)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&ng->lock);
	for (const struct ng_channel *ch = ng->channels; ch; ch = ch->next)
		(void)!write(ch->wake.fd, &one, sizeof(one));
	pthread_mutex_unlock(&ng->lock);
}

int nvmft_ng_channel_open(struct nvmft_channel *channel)
{
	struct ng_channel *ch = channel->priv;
	int ret = ring_init(channel->backend, &ch->uring);

	if (ret)
		return ret;
	ch->channel = channel;
	ch->waiting_tail = &ch->waiting;
	nvmft_ng_short_init(ch);
	ret = wake_init(ch);
	if (ret) {
		io_uring_queue_exit(&ch->uring);
		return ret;
	}
	fixed_init(ch);
	enter(channel->backend->priv, ch);
	return 0;
}

void nvmft_ng_channel_close(struct nvmft_channel *channel)
{
	struct ng_channel *ch = channel->priv;

	leave(channel->backend->priv, ch);
	nvmft_wake_fini(&ch->wake);
	io_uring_queue_exit(&ch->uring);
	close(ch->wake.fd);
}

/* ---- registered buffers ---- */

static int fixed_update(struct ng_channel *ch, uint32_t index, void *base, size_t len)
{
	struct iovec vec = {base, len};
	__u64 tag = 0;

	return io_uring_register_buffers_update_tag(&ch->uring, index, &vec, &tag, 1);
}

/* Never refused: pages that cannot be pinned beforehand (RLIMIT_MEMLOCK) are pinned for each I/O. */
int nvmft_ng_region_add(struct nvmft_channel *channel, const struct nvmft_region *region)
{
	struct ng_channel *ch = channel->priv;

	if (region->index < ch->fixed_regions && fixed_update(ch, region->index, region->base, region->len) == 1)
		ch->fixed[region->index] = true;
	return 0;
}

void nvmft_ng_region_remove(struct nvmft_channel *channel, const struct nvmft_region *region)
{
	struct ng_channel *ch = channel->priv;

	if (region->index >= NG_REGIONS || !ch->fixed[region->index])
		return;
	ch->fixed[region->index] = false;
	(void)fixed_update(ch, region->index, NULL, 0);
}

/* ---- does it work at all? ---- */

static void prep_probe(const struct ng_backend *ng, struct io_uring_sqe *sqe, void *buf)
{
	struct nvme_uring_cmd *cmd;

	ng_clear_sqe(sqe);
	cmd = nvmft_ng_cmd(ng, sqe, NG_OPC_READ);
	nvmft_ng_cmd_range(ng, cmd, 0, 1);
	cmd->addr = (uintptr_t)buf;
	cmd->data_len = ng->block_size;
}

static int probe_read(const struct ng_backend *ng, struct io_uring *uring, void *buf)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(uring);
	struct io_uring_cqe *cqe;
	int ret;

	if (!sqe)
		return -ENOMEM;
	prep_probe(ng, sqe, buf);
	ret = io_uring_submit(uring);
	if (ret < 0)
		return ret;
	do
		ret = io_uring_wait_cqe(uring, &cqe);
	while (ret == -EINTR);
	/* An unreadable block is no reason not to serve the others. */
	return ret ? ret : cqe->res > 0 ? 0 : cqe->res;
}

static void explain(const struct nvmft_backend *backend, int err)
{
	const struct ng_backend *ng = backend->priv;

	if (err == -EACCES || err == -EPERM)
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "device: %s: passthrough needs CAP_SYS_ADMIN", ng->path);
	else if (ng->facts.metadata && err == -EINVAL)
		nvmft_backend_log(backend, NVMFT_LOG_ERROR,
				  "device: %s has metadata, and this kernel takes none in commands of programs",
				  ng->path);
	else if (ng->iopoll && err == -EOPNOTSUPP)
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "iopoll: %s cannot be polled", ng->path);
	else if (err == -EOPNOTSUPP || err == -EINVAL || err == -ENOTTY)
		nvmft_backend_log(backend, NVMFT_LOG_ERROR,
				  "device: %s takes no NVMe commands from io_uring: Linux 6.1 or later is needed",
				  ng->path);
	else
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "device: %s cannot be read through io_uring: %s", ng->path,
				  strerrordesc_np(-err));
}

int nvmft_ng_probe(const struct nvmft_backend *backend)
{
	const struct ng_backend *ng = backend->priv;
	struct io_uring uring;
	void *buf = NULL;
	int ret = ring_init(backend, &uring);

	if (ret)
		return ret;
	ret = posix_memalign(&buf, 4096, ng->block_size) ? -ENOMEM : probe_read(ng, &uring, buf);
	io_uring_queue_exit(&uring);
	free(buf);
	if (ret)
		explain(backend, ret);
	return ret;
}
