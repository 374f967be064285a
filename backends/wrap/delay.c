/* SPDX-License-Identifier: BSD-3-Clause */
#include "wrap.h"

#define STATUS_ABORT_REQUESTED NVMFT_STATUS(0, 0x07)

struct delay_io {
	struct wrap_io wrap;
	struct nvmft_timer timer;
	struct nvmft_io *io;
	struct nvmft_channel *channel;
	TAILQ_ENTRY(delay_io) link;
	bool waiting;
};

struct delay_channel {
	struct wrap_channel wrap;
	TAILQ_HEAD(, delay_io) held; /* in the order in which they came */
};

static int delay_channel_open(struct nvmft_channel *channel)
{
	struct delay_channel *dc = channel->priv;

	TAILQ_INIT(&dc->held);
	return wrap_channel_open(channel);
}

static void unhold(struct delay_io *di)
{
	struct delay_channel *dc = di->channel->priv;
	struct nvmft_wrap_delay *rule = wrap_control(di->channel);

	TAILQ_REMOVE(&dc->held, di, link);
	nvmft_timer_cancel(di->channel->group, &di->timer);
	di->waiting = false;
	atomic_fetch_sub(&rule->held, 1);
}

/* Its time has come: delay_poll() will see that the timer is not armed any more. */
static void delay_timer(struct nvmft_timer *timer)
{
	(void)timer;
}

static void delay_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct nvmft_wrap_delay *rule = wrap_control(channel);
	struct delay_channel *dc = channel->priv;
	struct delay_io *di = io->priv;
	bool hold = atomic_load(&rule->hold);

	memset(di, 0, sizeof(*di));
	if ((rule->ops && !(rule->ops & NVMFT_WRAP_OP(io->op))) || (!hold && !rule->delay_ns)) {
		wrap_pass(channel, io, wrap_done);
		return;
	}
	di->io = io;
	di->channel = channel;
	di->waiting = true;
	di->timer.fn = delay_timer;
	TAILQ_INSERT_TAIL(&dc->held, di, link);
	atomic_fetch_add(&rule->held, 1);
	if (rule->delay_ns)
		nvmft_timer_arm(channel->group, &di->timer, rule->delay_ns, 0);
}

static void go_on(struct delay_io *di)
{
	unhold(di);
	wrap_pass(di->channel, di->io, wrap_done);
}

/* The core does not know that the inner backend gets something here, thus would not have it flushed. */
static int delay_poll(struct nvmft_channel *channel)
{
	const struct nvmft_wrap_delay *rule = wrap_control(channel);
	struct delay_channel *dc = channel->priv;
	struct delay_io *di, *next;
	int n = wrap_poll(channel);

	if (atomic_load(&rule->hold))
		return n;
	for (di = TAILQ_FIRST(&dc->held); di; di = next) {
		next = TAILQ_NEXT(di, link);
		if (di->timer.armed)
			continue;
		go_on(di);
		n++;
	}
	wrap_flush(channel);
	return n;
}

static void delay_abort(struct nvmft_channel *channel, struct nvmft_io *io)
{
	const struct nvmft_wrap_delay *rule = wrap_control(channel);
	struct delay_io *di = io->channel == channel ? io->priv : NULL;

	if (!di) {
		wrap_abort(channel, io);
	} else if (!rule->ignore_abort) {
		unhold(di);
		nvmft_io_done(io, STATUS_ABORT_REQUESTED);
	}
}

struct nvmft_backend_ops nvmft_wrap_delay_ops(const struct nvmft_backend_ops *inner)
{
	struct nvmft_backend_ops ops = wrap_ops("delay", inner, sizeof(struct delay_channel), sizeof(struct delay_io));

	ops.channel_open = delay_channel_open;
	ops.submit = delay_submit;
	ops.poll = delay_poll;
	ops.arm = wrap_arm;
	ops.abort = delay_abort;
	return ops;
}
