/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe.h"

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <nvmft/nvmft.h>

static struct probe *probe_of(struct nvmft_channel *channel)
{
	return *(struct probe **)channel->backend->priv;
}

static int probe_open(struct nvmft_backend *backend, const void *opts)
{
	struct probe *p = *(struct probe *const *)opts;

	*(struct probe **)backend->priv = p;
	p->opens++;
	return 0;
}

static void probe_close(struct nvmft_backend *backend)
{
	(*(struct probe **)backend->priv)->closes++;
}

static int probe_info(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	size_t size = info->size;

	*info = (*(struct probe **)backend->priv)->info;
	info->size = size;
	return 0;
}

static int probe_channel_open(struct nvmft_channel *channel)
{
	struct probe *p = probe_of(channel);

	pthread_mutex_lock(&p->lock);
	p->channels++;
	pthread_mutex_unlock(&p->lock);
	return 0;
}

static void probe_channel_close(struct nvmft_channel *channel)
{
	struct probe *p = probe_of(channel);

	pthread_mutex_lock(&p->lock);
	p->channels--;
	pthread_mutex_unlock(&p->lock);
}

static void copy(struct probe *p, struct nvmft_io *io, bool to_host)
{
	unsigned char *at = p->data + io->lba * p->info.block_size;
	uint32_t i;

	for (i = 0; i < io->iovcnt; i++) {
		if (p->info.align && ((uintptr_t)io->iov[i].base & (p->info.align - 1)))
			p->misaligned++;
		if (to_host)
			memcpy(io->iov[i].base, at, io->iov[i].len);
		else
			memcpy(at, io->iov[i].base, io->iov[i].len);
		at += io->iov[i].len;
	}
}

static nvmft_status compare(struct probe *p, const struct nvmft_io *io)
{
	const unsigned char *at = p->data + io->lba * p->info.block_size;
	uint32_t i;

	for (i = 0; i < io->iovcnt; i++) {
		if (memcmp(io->iov[i].base, at, io->iov[i].len) != 0)
			return TH_SC_COMPARE_FAILED;
		at += io->iov[i].len;
	}
	return 0;
}

static nvmft_status perform(struct probe *p, struct nvmft_io *io)
{
	if (p->fail[io->op])
		return p->fail[io->op];
	switch (io->op) {
	case NVMFT_IO_READ:
		if (!io->iovcnt && p->info.lends_reads) {
			struct nvmft_iov *iov = io->priv;

			*iov = (struct nvmft_iov){p->data + io->lba * p->info.block_size,
						  io->blocks * p->info.block_size, NVMFT_REGION_NONE};
			io->iov = iov;
			io->iovcnt = 1;
			p->lends++;
			return 0;
		}
		copy(p, io, true);
		return 0;
	case NVMFT_IO_WRITE:
		copy(p, io, false);
		return 0;
	case NVMFT_IO_WRITE_ZEROES:
	case NVMFT_IO_DEALLOCATE:
		memset(p->data + io->lba * p->info.block_size, 0, (size_t)io->blocks * p->info.block_size);
		return 0;
	case NVMFT_IO_COMPARE:
		return compare(p, io);
	case NVMFT_IO_COMMAND:
		return p->command ? p->command(p, io) : 0;
	default:
		return 0;
	}
}

nvmft_status probe_answer(struct probe *p, struct nvmft_io *io)
{
	p->ngot = 0;
	for (uint32_t i = 0; i < io->iovcnt; i++) {
		if ((io->sqe->opcode & 3) == 2)
			memset(io->iov[i].base, 0xa5, io->iov[i].len);
		else
			memcpy(p->got + p->ngot, io->iov[i].base, io->iov[i].len);
		p->ngot += io->iov[i].len;
	}
	io->result = 0x1122334455667788;
	return p->fail[0];
}

static void note(struct probe *p, const struct nvmft_io *io)
{
	struct probe_entry entry = {io->op, io->flags, io->lba, io->blocks};
	uint32_t i;

	if (io->op == NVMFT_IO_COMMAND) {
		p->sqe = *io->sqe;
		entry.opcode = io->sqe->opcode;
		for (i = 0; i < io->iovcnt; i++)
			entry.len += io->iov[i].len;
	}
	if (p->nlog < PROBE_LOG)
		p->log[p->nlog++] = entry;
}

static void probe_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct probe *p = probe_of(channel);
	nvmft_status status = 0;

	pthread_mutex_lock(&p->lock);
	note(p, io);
	if (p->hold) {
		p->held[p->nheld++] = io;
		if (p->nheld > p->most_held)
			p->most_held = p->nheld;
		pthread_mutex_unlock(&p->lock);
		return;
	}
	status = perform(p, io);
	pthread_mutex_unlock(&p->lock);
	nvmft_io_done(io, status);
}

static void probe_flush(struct nvmft_channel *channel)
{
	struct probe *p = probe_of(channel);

	pthread_mutex_lock(&p->lock);
	p->flushes++;
	pthread_mutex_unlock(&p->lock);
}

static void probe_abort(struct nvmft_channel *channel, struct nvmft_io *io)
{
	struct probe *p = probe_of(channel);
	unsigned int i;

	for (i = 0; i < p->nheld && p->held_abort; i++) {
		if (p->held[i] != io)
			continue;
		memmove(&p->held[i], &p->held[i + 1], (p->nheld - i - 1) * sizeof(p->held[0]));
		p->nheld--;
		nvmft_io_done(io, TH_SC_ABORT_REQ);
		return;
	}
}

static void probe_lend_end(struct nvmft_channel *channel, struct nvmft_io *io)
{
	(void)io;
	probe_of(channel)->lend_ends++;
}

void probe_release(struct probe *p, unsigned int n)
{
	while (n-- && p->nheld) {
		struct nvmft_io *io = p->held[0];

		memmove(&p->held[0], &p->held[1], (p->nheld - 1) * sizeof(p->held[0]));
		p->nheld--;
		nvmft_io_done(io, perform(p, io));
	}
}

unsigned int probe_count(struct probe *p, enum nvmft_io_op op)
{
	unsigned int i, n = 0;

	for (i = 0; i < p->nlog; i++)
		n += p->log[i].op == op;
	return n;
}

static const struct nvmft_backend_ops probe_ops = {
	.size = sizeof(probe_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "probe",
	.backend_size = sizeof(struct probe *),
	.io_size = sizeof(struct nvmft_iov),
	.open = probe_open,
	.close = probe_close,
	.info = probe_info,
	.channel_open = probe_channel_open,
	.channel_close = probe_channel_close,
	.submit = probe_submit,
	.flush = probe_flush,
	.abort = probe_abort,
	.lend_end = probe_lend_end,
};

void probe_init(struct probe *p)
{
	memset(p, 0, sizeof(*p));
	p->info.block_size = 512;
	p->info.blocks = PROBE_BLOCKS;
	pthread_mutex_init(&p->lock, NULL);
}

void probe_fini(struct probe *p)
{
	assert_int_equal(p->opens, p->closes);
	assert_int_equal(p->channels, 0);
	assert_int_equal(p->nheld, 0);
	assert_int_equal(p->lends, p->lend_ends);
	assert_int_equal(p->misaligned, 0);
	free(p->data);
	pthread_mutex_destroy(&p->lock);
}

struct nvmft_namespace *probe_add(struct nvmft_subsystem *subsys, struct probe *p)
{
	p->data = calloc(p->info.blocks, p->info.block_size);
	assert_non_null(p->data);
	p->ns = th_add_namespace(subsys, &probe_ops, &p);
	return p->ns;
}

int probe_try_add(struct nvmft_subsystem *subsys, struct probe *p)
{
	return probe_try_add_as(subsys, p, (struct nvmft_namespace_opts){0});
}

int probe_try_add_as(struct nvmft_subsystem *subsys, struct probe *p, struct nvmft_namespace_opts opts)
{
	opts.size = sizeof(opts);
	opts.backend = &probe_ops;
	opts.backend_opts = &p;
	return nvmft_namespace_add(subsys, &opts, &p->ns);
}

void probe_world_serve(struct probe_world *w, const struct th_opts *opts, void (*tune)(struct probe *p))
{
	struct nvmft_subsystem_opts so = {.size = sizeof(so), .nqn = TH_NQN, .allow_any_host = true};

	th_start(&w->t, opts);
	probe_init(&w->probe);
	if (tune)
		tune(&w->probe);
	so.max_io_size = w->probe.max_io_size;
	w->subsys = th_add_subsystem_opts(&w->t, &so);
	probe_add(w->subsys, &w->probe);
}

void probe_world_start(struct probe_world *w, const struct th_opts *opts, void (*tune)(struct probe *p))
{
	probe_world_serve(w, opts, tune);
	th_ctrl_connect(&w->t, &w->ctrl, NULL);
	w->q = &w->ctrl.io[0];
}

void probe_world_stop(struct probe_world *w)
{
	th_ctrl_disconnect(&w->ctrl);
	th_stop(&w->t);
	probe_fini(&w->probe);
}

nvmft_status probe_rw(struct probe_world *w, uint8_t opcode, uint64_t lba, uint32_t blocks, uint32_t cdw12, void *data)
{
	struct nvmft_sqe sqe;

	th_sqe_rw(&sqe, opcode, 1, lba, blocks);
	sqe.cdw12 |= htole32(cdw12);
	return th_exec(w->q, &sqe, data, data ? (size_t)blocks * w->probe.info.block_size : 0);
}

bool probe_abort_cmd(struct probe_world *w, uint16_t sqid, uint16_t cid)
{
	struct nvmft_sqe sqe;
	uint32_t not_aborted;

	th_sqe_abort(&sqe, sqid, cid);
	assert_int_equal(th_exec(&w->ctrl.admin, &sqe, NULL, 0), 0);
	not_aborted = le32toh(w->ctrl.admin.cqe.dw0);
	assert_in_range(not_aborted, 0, 1);
	return !not_aborted;
}
