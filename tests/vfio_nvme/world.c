/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <sys/mman.h>

#include "world.h"

static char last_log[512];
static struct world *current;
static uint64_t timer_at;

/* ---- the core ---- */

void nvmft_backend_log(const struct nvmft_backend *backend, enum nvmft_log_level level, const char *format, ...)
{
	va_list ap;

	(void)backend;
	(void)level;
	va_start(ap, format);
	vsnprintf(last_log, sizeof(last_log), format, ap);
	va_end(ap);
}

void expect_log(const char *text)
{
	if (!strstr(last_log, text))
		fail_msg("the log says '%s', not '%s'", last_log, text);
}

nvmft_status nvmft_status_from_errno(int err)
{
	return err ? (nvmft_status)(0x600 - err) : 0;
}

void nvmft_io_done(struct nvmft_io *io, nvmft_status status)
{
	io->status = status;
	((struct test_io *)(void *)io)->done++;
}

uint64_t nvmft_group_now(const struct nvmft_poll_group *group)
{
	(void)group;
	return current->m->now;
}

void nvmft_timer_arm(struct nvmft_poll_group *group, struct nvmft_timer *timer, uint64_t delay_ns, uint64_t slack_ns)
{
	(void)group;
	(void)slack_ns;
	timer->armed = true;
	timer_at = current->m->now + delay_ns;
}

void nvmft_timer_cancel(struct nvmft_poll_group *group, struct nvmft_timer *timer)
{
	(void)group;
	timer->armed = false;
}

void nvmft_ring_start(struct nvmft_poll_group *group, struct nvmft_ring_op *op)
{
	(void)group;
	(void)op;
	fail();
}

void nvmft_ring_cancel(struct nvmft_poll_group *group, struct nvmft_ring_op *op)
{
	(void)group;
	(void)op;
	fail();
}

struct io_uring *nvmft_ring_raw(struct nvmft_poll_group *group)
{
	(void)group;
	return NULL;
}

int nvmft_vfio_device_open(const struct nvmft_backend *backend, const char *address, unsigned int vectors,
			   struct device **out)
{
	(void)backend;
	(void)address;
	(void)vectors;
	*out = &current->m->dev;
	return 0;
}

/* ---- the world ---- */

struct world *world_create(void)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	current = w;
	last_log[0] = '\0';
	w->m = model_create();
	w->m->backend.priv = &w->vn;
	w->channel.backend = &w->m->backend;
	w->channel.priv = &w->ch;
	w->buffers = mmap(NULL, 2 * BUFFER_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(w->buffers, MAP_FAILED);
	return w;
}

int world_open(struct world *w, uint32_t depth)
{
	struct nvmft_region region = {w->buffers, 2 * BUFFER_LEN, 20};
	struct nvmft_vfio_nvme_opts opts = {.size = sizeof(opts), .address = "0000:01:00.0", .queue_depth = depth};
	int err = nvmft_vfio_nvme_open(&w->m->backend, &opts);

	if (err)
		return err;
	w->attached = true;
	err = nvmft_vfio_channel_open(&w->channel);
	if (err)
		return err;
	w->opened = true;
	return nvmft_vfio_region_add(&w->channel, &region);
}

void world_close(struct world *w)
{
	struct nvmft_region region = {w->buffers, 2 * BUFFER_LEN, 20};

	if (w->opened) {
		nvmft_vfio_region_remove(&w->channel, &region);
		nvmft_vfio_channel_close(&w->channel);
	}
	if (w->attached)
		nvmft_vfio_nvme_close(&w->m->backend);
	w->opened = w->attached = false;
	assert_int_equal(model_nmaps(w->m), 0);
}

void world_free(struct world *w)
{
	world_close(w);
	assert_false(w->m->master);
	munmap(w->buffers, 2 * BUFFER_LEN);
	model_free(w->m);
	free(w);
}

void submit(struct world *w, struct test_io *t, enum nvmft_io_op op, uint64_t lba, uint32_t blocks, size_t at)
{
	memset(t, 0, sizeof(*t));
	t->iov[0] = (struct nvmft_iov){w->buffers + at, blocks * 512, 20};
	t->io = (struct nvmft_io){.op = op, .lba = lba, .blocks = blocks, .iov = t->iov, .channel = &w->channel};
	t->io.iovcnt = blocks && op <= NVMFT_IO_WRITE ? 1 : 0;
	t->io.priv = t->priv;
	nvmft_vfio_submit(&w->channel, &t->io);
}

void pass(struct world *w)
{
	nvmft_vfio_flush(&w->channel);
	model_step(w->m);
	nvmft_vfio_poll(&w->channel);
}

void run_for(struct world *w, uint64_t ns)
{
	uint64_t end = w->m->now + ns;

	while (w->m->now < end) {
		w->m->now += 1000000;
		pass(w);
		if (w->ch.timer.armed && timer_at <= w->m->now) {
			w->ch.timer.armed = false;
			w->ch.timer.fn(&w->ch.timer);
			pass(w);
		}
	}
}
