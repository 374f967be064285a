/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LIB_CHANNEL_H
#define NVMFT_LIB_CHANNEL_H

#include <assert.h>

#include "nvmft/provider/backend.h"
#include "poll_group.h"
#include "subsystem.h"
#include "view.h"

struct request;

/* req->io.state: where an I/O is. */
enum io_state {
	IO_IDLE,       /* or over: nothing that an Abort could do */
	IO_HELD,       /* in channel->held: a fused pair is running */
	IO_WAITING,    /* in channel->waiting: the backend's depth is used up */
	IO_QUEUED,     /* in group->submits */
	IO_LATE,       /* there, too, and waited before */
	IO_SUBMITTING, /* inside ops->submit() */
	IO_DONE,       /* completed */
	IO_PENDING,    /* the backend has it */
};

/*
 * A namespace's end in one poll group: made when the first command for the namespace comes in, closed when a view
 * without the namespace arrives and the last command is over. Belongs to the group's thread but for the counters.
 */
struct ns_channel {
	struct nvmft_channel pub;
	struct nvmft_namespace *ns;     /* counted reference */
	uint32_t in_flight;             /* requests that hold the channel */
	uint32_t submitted;             /* I/Os that the backend has */
	uint32_t depth;                 /* most of these; UINT32_MAX no limit */
	bool picky;                     /* not every buffer of a transport will do */
	struct nvmft_backend_info info; /* as of the opening; all but the size stays as it is */
	bool closing;
	bool dirty;  /* in group->dirty_channels; always true when the backend has no flush */
	bool polled; /* in group->polled_channels; always true when the backend has no poll */
	/* Commands that change blocks stand back while a fused pair runs here, see fused.c. */
	uint32_t changing;     /* such commands that have begun */
	struct request *fused; /* first half of the pair that runs or waits for @changing to reach 0 */
	bool fused_runs;
	TAILQ_HEAD(, request) held;
	TAILQ_HEAD(, request) waiting; /* for depth */
	TAILQ_ENTRY(ns_channel) dirty_link;
	TAILQ_ENTRY(ns_channel) polled_link;
	LIST_ENTRY(ns_channel) ns_link; /* ns->channels */
	nvmft_counter reads, read_blocks, writes, written_blocks, others, errors;
};

/* The slow halves of channel_get() and channel_put(). */
int nvmft_channel_open(struct nvmft_poll_group *group, const struct ns_view *nsv, struct ns_channel **channel);
void nvmft_channel_free(struct ns_channel *channel);

/* The channel of a namespace of the group's view, if it is open. */
static inline struct ns_channel *channel_find(const struct nvmft_poll_group *group, const struct nvmft_namespace *ns)
{
	struct ns_channel *ch = likely(ns->slot < group->nchannels) ? group->channels[ns->slot] : NULL;

	/* Only namespaces of the view are looked up, and a channel closes when its namespace leaves the view. */
	assert(!ch || (ch->ns == ns && !ch->closing));
	return ch;
}

/*
 * channel_get() - the channel of a namespace of the group's view, opened if need be; counts the caller in in_flight
 * Return: 0; -errno of the backend's channel_open; -ENOMEM.
 */
static inline int channel_get(struct nvmft_poll_group *group, const struct ns_view *nsv, struct ns_channel **channel)
{
	struct ns_channel *ch = channel_find(group, nsv->ns);
	int ret;

	if (unlikely(!ch)) {
		ret = nvmft_channel_open(group, nsv, &ch);
		if (ret)
			return ret;
	}
	ch->in_flight++;
	*channel = ch;
	return 0;
}

static inline void channel_put(struct ns_channel *ch)
{
	if (--ch->in_flight == 0 && unlikely(ch->closing))
		nvmft_channel_free(ch);
}

/*
 * nvmft_channel_submit() - give req->io to the backend of req->channel
 *
 * op, flags, lba, blocks, iov and iovcnt of req->io are set. When the I/O is over req->next(req) is called with
 * req->io.status, never from inside a backend's submit and never recursively. Waits while the backend's depth is used
 * up.
 */
void nvmft_channel_submit(struct request *req);

/*
 * nvmft_channel_abort() - an Abort found @req, which holds a channel
 * Return: true when it was still waiting here and is over now, with Command Abort Requested; false when the backend has
 * it (and was told) or it is on its way back.
 */
bool nvmft_channel_abort(struct request *req);

/* A view without the namespace has arrived. */
void nvmft_channel_close(struct ns_channel *channel);

/* Stages of the poll pass; poll returns the number of events, arm 0 or -EAGAIN. */
int nvmft_channels_poll(struct nvmft_poll_group *group);
void nvmft_channels_flush(struct nvmft_poll_group *group);
int nvmft_channels_arm(struct nvmft_poll_group *group);

/* The pool got a region, or gives one up: tell the backends that want to know. add: 0; -errno: nobody knows it. */
int nvmft_channels_region_add(struct nvmft_poll_group *group, const struct nvmft_region *region);
void nvmft_channels_region_remove(struct nvmft_poll_group *group, const struct nvmft_region *region);

/* All channels of a group that is being freed; none has I/O. */
void nvmft_channels_fini(struct nvmft_poll_group *group);

#endif
