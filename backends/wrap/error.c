/* SPDX-License-Identifier: BSD-3-Clause */
#include "wrap.h"

struct error_io {
	struct wrap_io wrap;
	nvmft_status status; /* to report when the inner backend is through */
	bool lends;
};

static bool by_chance(const struct nvmft_wrap_error *rule, uint64_t n)
{
	uint64_t z = (rule->seed + n) * 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	return (z >> 33) % 100 < rule->percent;
}

static bool fails(struct nvmft_wrap_error *rule, const struct nvmft_io *io)
{
	uint64_t n;

	if (rule->ops && !(rule->ops & NVMFT_WRAP_OP(io->op)))
		return false;
	n = atomic_fetch_add(&rule->seen, 1) + 1;
	if (!((rule->nth && n >= rule->nth) || (rule->every && n % rule->every == 0) || by_chance(rule, n)))
		return false;
	if (atomic_fetch_add(&rule->failed, 1) < rule->times || !rule->times)
		return true;
	atomic_fetch_sub(&rule->failed, 1);
	return false;
}

static void error_done(struct nvmft_io *io)
{
	struct error_io *ei = wrap_take_back(io);

	/* Of pages lent for a read that failed nobody else knows. */
	if (ei->lends && !io->status)
		io->channel->backend->ops->lend_end(io->channel, io);
	nvmft_io_done(io, ei->status);
}

static void error_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct nvmft_wrap_error *rule = wrap_control(channel);
	struct error_io *ei = io->priv;

	if (!fails(rule, io)) {
		wrap_pass(channel, io, wrap_done);
		return;
	}
	ei->lends = io->op == NVMFT_IO_READ && io->iovcnt == 0;
	ei->status = rule->status ? rule->status : nvmft_status_from_errno(rule->err);
	if (rule->after)
		wrap_pass(channel, io, error_done);
	else
		nvmft_io_done(io, ei->status);
}

struct nvmft_backend_ops nvmft_wrap_error_ops(const struct nvmft_backend_ops *inner)
{
	struct nvmft_backend_ops ops = wrap_ops("error", inner, sizeof(struct wrap_channel), sizeof(struct error_io));

	ops.submit = error_submit;
	return ops;
}
