/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log.h"
#include "target.h"
#include "world.h"

static char logged[16384];
static unsigned int nlogged;
static struct world *current;
static struct nvmft_target target;

/* ---- the core ---- */

static void write_log(const char *format, va_list ap)
{
	size_t len = strlen(logged);

	if (len > sizeof(logged) / 2)
		len = 0;
	vsnprintf(logged + len, sizeof(logged) - len - 1, format, ap);
	strcat(logged, "\n");
	nlogged++;
}

void nvmft_vlog(const struct nvmft_target *t, enum nvmft_log_level level, const char *prefix, const char *format,
		va_list ap)
{
	(void)t;
	(void)level;
	(void)prefix;
	write_log(format, ap);
}

void nvmft_backend_log(const struct nvmft_backend *backend, enum nvmft_log_level level, const char *format, ...)
{
	va_list ap;

	(void)backend;
	(void)level;
	va_start(ap, format);
	write_log(format, ap);
	va_end(ap);
}

void expect_log(const char *text)
{
	if (!strstr(logged, text))
		fail_msg("the log has no '%s': %s", text, logged);
}

unsigned int log_lines(void)
{
	return nlogged;
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

void nvmft_backend_changed(struct nvmft_backend *backend, const struct nvmft_backend_info *info)
{
	struct test_ns *ns = (struct test_ns *)(void *)backend;

	ns->told++;
	ns->gone = !info;
	if (info)
		ns->info = *info;
}

uint64_t nvmft_group_now(const struct nvmft_poll_group *group)
{
	(void)group;
	return current->m->now;
}

void nvmft_timer_arm(struct nvmft_poll_group *group, struct nvmft_timer *timer, uint64_t delay_ns, uint64_t slack_ns)
{
	unsigned int i = 0;

	(void)group;
	(void)slack_ns;
	while (i < WORLD_TIMERS && current->timers[i].timer && current->timers[i].timer != timer)
		i++;
	assert_true(i < WORLD_TIMERS);
	timer->armed = true;
	current->timers[i] = (struct test_timer){timer, current->m->now + delay_ns};
}

void nvmft_timer_cancel(struct nvmft_poll_group *group, struct nvmft_timer *timer)
{
	(void)group;
	for (unsigned int i = 0; i < WORLD_TIMERS; i++)
		if (current->timers[i].timer == timer)
			current->timers[i].timer = NULL;
	timer->armed = false;
}

static struct nvmft_wake **find_armed(struct nvmft_poll_group *group, const struct nvmft_wake *wake)
{
	struct test_group *g = (struct test_group *)(void *)group;

	for (unsigned int i = 0; i < 4; i++)
		if (g->armed[i] == wake)
			return &g->armed[i];
	return NULL;
}

void nvmft_wake_init(struct nvmft_wake *wake, struct nvmft_poll_group *group, int fd)
{
	*wake = (struct nvmft_wake){.group = group, .fd = fd};
}

int nvmft_wake_arm(struct nvmft_wake *wake)
{
	struct nvmft_wake **place = find_armed(wake->group, wake);

	if (!place)
		place = find_armed(wake->group, NULL);
	assert_non_null(place);
	*place = wake;
	return 0;
}

void nvmft_wake_fini(struct nvmft_wake *wake)
{
	struct nvmft_wake **place = find_armed(wake->group, wake);

	if (place)
		*place = NULL;
}

bool wakes(struct world *w, unsigned int group)
{
	struct test_group *g = &w->groups[group];
	bool woken = false;

	for (unsigned int i = 0; i < 4; i++) {
		struct nvmft_wake *wake = g->armed[i];
		struct pollfd fd = {.fd = wake ? wake->fd : -1, .events = POLLIN};
		uint64_t count;

		if (poll(&fd, 1, 0) != 1)
			continue;
		woken = true;
		g->armed[i] = NULL;
		(void)!read(wake->fd, &count, sizeof(count));
	}
	return woken;
}

/* ---- the controller's thread ---- */

int nvmft_vfio_device_open(const struct nvmft_backend *backend, const char *address, enum nvmft_vfio_iommu iommu,
			   unsigned int vectors, struct device **out)
{
	(void)address;
	(void)iommu;
	(void)vectors;
	current->m->dev.target = backend->target;
	current->m->closed = false;
	*out = &current->m->dev;
	return 0;
}

int nvmft_ctrl_start(struct ctrl *ctrl)
{
	current->ctrl = ctrl;
	current->ended = false;
	current->step_at = current->m->now;
	return 0;
}

static void step(struct world *w)
{
	uint64_t ns;

	w->kicked = false;
	ns = nvmft_ctrl_step(w->ctrl);
	w->ended = ns == STEP_ENDED;
	w->step_at = w->m->now + ns;
}

void nvmft_ctrl_join(struct ctrl *ctrl)
{
	(void)ctrl;
	current->stuck = false;
	for (int i = 0; i < 10 && !current->ended; i++)
		step(current);
	assert_true(current->ended);
	current->ctrl = NULL;
}

void nvmft_ctrl_kick(struct ctrl *ctrl)
{
	(void)ctrl;
	current->kicked = true;
}

int nvmft_ctrl_call(struct ctrl *ctrl, int (*fn)(void *arg), void *arg)
{
	int ret = fn(arg);

	(void)ctrl;
	for (unsigned int i = 0; i < current->steps_after_call; i++) {
		current->m->now += MS;
		model_step(current->m);
		step(current);
	}
	return ret;
}

/* ---- the world ---- */

struct world *world_create(void)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	current = w;
	logged[0] = '\0';
	nvmft_shared_init(&target);
	w->m = model_create();
	for (unsigned int n = 0; n < WORLD_NAMESPACES; n++) {
		w->ns[n].backend = (struct nvmft_backend){.target = &target, .priv = &w->ns[n].vn};
		for (unsigned int g = 0; g < WORLD_GROUPS; g++)
			w->channels[g][n].channel = (struct nvmft_channel){
				.backend = &w->ns[n].backend,
				.group = (struct nvmft_poll_group *)(void *)&w->groups[g],
				.priv = &w->channels[g][n].ch,
			};
	}
	w->buffers = mmap(NULL, 2 * BUFFER_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(w->buffers, MAP_FAILED);
	return w;
}

static struct nvmft_region region_of(const struct world *w)
{
	return (struct nvmft_region){w->buffers, 2 * BUFFER_LEN, 20};
}

int world_open_ns(struct world *w, unsigned int ns, uint32_t depth)
{
	static const uint8_t admin_commands[] = {MODEL_PASS};
	struct nvmft_vfio_nvme_opts opts = {
		.size = sizeof(opts),
		.address = "0000:01:00.0",
		.queue_depth = depth,
		.nsid = ns + 1,
		.admin_commands = admin_commands,
		.nadmin_commands = 1,
	};
	int err;

	memset(&w->ns[ns].vn, 0, sizeof(w->ns[ns].vn));
	err = nvmft_vfio_nvme_open(&w->ns[ns].backend, &opts);
	w->ns[ns].open = !err;
	return err;
}

int world_open_channel(struct world *w, unsigned int group, unsigned int ns)
{
	struct test_channel *c = &w->channels[group][ns];
	struct nvmft_region region = region_of(w);
	int err;

	memset(&c->ch, 0, sizeof(c->ch));
	err = nvmft_vfio_channel_open(&c->channel);
	if (err)
		return err;
	c->open = true;
	return nvmft_vfio_region_add(&c->channel, &region);
}

int world_open(struct world *w, uint32_t depth)
{
	int err = world_open_ns(w, 0, depth);

	if (!err)
		err = world_open_channel(w, 0, 0);
	if (!err)
		pass(w);
	return err;
}

void world_close_channel(struct world *w, unsigned int group, unsigned int ns)
{
	struct test_channel *c = &w->channels[group][ns];
	struct nvmft_region region = region_of(w);

	if (!c->open)
		return;
	nvmft_vfio_region_remove(&c->channel, &region);
	nvmft_vfio_channel_close(&c->channel);
	c->open = false;
}

void world_close_ns(struct world *w, unsigned int ns)
{
	if (w->ns[ns].open)
		nvmft_vfio_nvme_close(&w->ns[ns].backend);
	w->ns[ns].open = false;
}

void world_close(struct world *w)
{
	for (unsigned int n = 0; n < WORLD_NAMESPACES; n++) {
		for (unsigned int g = 0; g < WORLD_GROUPS; g++)
			world_close_channel(w, g, n);
		world_close_ns(w, n);
	}
	nvmft_shared_fini(&target);
	nvmft_shared_init(&target);
	assert_int_equal(model_nmaps(w->m), 0);
	for (unsigned int i = 0; i < WORLD_TIMERS; i++)
		assert_null(w->timers[i].timer);
	for (unsigned int g = 0; g < WORLD_GROUPS; g++)
		for (unsigned int i = 0; i < 4; i++)
			assert_null(w->groups[g].armed[i]);
}

void world_free(struct world *w)
{
	world_close(w);
	assert_false(w->m->master);
	nvmft_shared_fini(&target);
	munmap(w->buffers, 2 * BUFFER_LEN);
	model_free(w->m);
	free(w);
}

struct nvmft_channel *channel0(struct world *w)
{
	return &w->channels[0][0].channel;
}

struct vfio_pair *pair0(struct world *w)
{
	return w->channels[0][0].ch.pair;
}

void submit_to(struct world *w, unsigned int group, unsigned int ns, struct test_io *t, enum nvmft_io_op op,
	       uint64_t lba, uint32_t blocks, size_t at)
{
	struct nvmft_channel *channel = &w->channels[group][ns].channel;

	memset(t, 0, sizeof(*t));
	t->iov[0] = (struct nvmft_iov){w->buffers + at, blocks * 512, 20};
	t->io = (struct nvmft_io){.op = op, .lba = lba, .blocks = blocks, .iov = t->iov, .channel = channel};
	t->io.iovcnt = blocks && op <= NVMFT_IO_WRITE ? 1 : 0;
	t->io.priv = t->priv;
	nvmft_vfio_submit(channel, &t->io);
}

void submit(struct world *w, struct test_io *t, enum nvmft_io_op op, uint64_t lba, uint32_t blocks, size_t at)
{
	submit_to(w, 0, 0, t, op, lba, blocks, at);
}

static void each_channel(struct world *w, void (*fn)(struct nvmft_channel *channel))
{
	for (unsigned int g = 0; g < WORLD_GROUPS; g++)
		for (unsigned int n = 0; n < WORLD_NAMESPACES; n++)
			if (w->channels[g][n].open)
				fn(&w->channels[g][n].channel);
}

static void poll_channel(struct nvmft_channel *channel)
{
	(void)nvmft_vfio_poll(channel);
}

void pass(struct world *w)
{
	each_channel(w, nvmft_vfio_flush);
	model_step(w->m);
	if (w->kicked && w->ctrl && !w->stuck)
		step(w);
	each_channel(w, poll_channel);
}

void hold_read(struct world *w, struct test_io *t)
{
	w->m->hold = true;
	submit(w, t, NVMFT_IO_READ, 0, 1, 0);
	pass(w);
}

void answer_held(struct world *w, const struct test_io *t)
{
	model_answer(w->m, 0, 0);
	pass(w);
	expect_io(t, 0);
}

static void run_timers(struct world *w)
{
	for (unsigned int i = 0; i < WORLD_TIMERS; i++) {
		struct nvmft_timer *timer = w->timers[i].timer;

		if (!timer || w->timers[i].at > w->m->now)
			continue;
		w->timers[i].timer = NULL;
		timer->armed = false;
		timer->fn(timer);
	}
}

void run_for(struct world *w, uint64_t ns)
{
	uint64_t end = w->m->now + ns;

	while (w->m->now < end) {
		w->m->now += MS;
		pass(w);
		run_timers(w);
		if (w->ctrl && !w->stuck && !w->ended && w->step_at <= w->m->now)
			step(w);
		pass(w);
	}
}

/* ---- what tests begin and end with ---- */

int world_setup(void **state)
{
	*state = world_create();
	return 0;
}

int world_setup_open(void **state)
{
	struct world *w = world_create();

	*state = w;
	return world_open(w, DEPTH);
}

/* Both namespaces in the first group. */
int world_setup_two(void **state)
{
	struct world *w = world_create();
	int err = world_open(w, DEPTH);

	*state = w;
	if (!err)
		err = world_open_ns(w, 1, DEPTH);
	return err ? err : world_open_channel(w, 0, 1);
}

/* The first namespace in both groups, each with an I/O queue of its own. */
int world_setup_groups(void **state)
{
	struct world *w = world_create();
	int err = world_open(w, DEPTH);

	*state = w;
	if (!err)
		err = world_open_channel(w, 1, 0);
	run_for(w, MS);
	return err;
}

int world_teardown(void **state)
{
	world_free(*state);
	return 0;
}

void expect_io(const struct test_io *t, nvmft_status status)
{
	assert_int_equal(t->done, 1);
	assert_int_equal(t->io.status, status);
}
