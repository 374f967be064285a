/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a backend sees of the library, with nothing behind it: what is counted is the backend alone. The symbols are the
 * library's, so that of its archive only the backends are linked.
 */
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <nvmft/provider/ring.h>

#include "ssd_core.h"

struct core core;
static struct nvmft_shared *shared;

/* ---- the library's ---- */

nvmft_status nvmft_status_from_errno(int err)
{
	return err ? NVMFT_STATUS(0, 6) : 0;
}

void nvmft_io_done(struct nvmft_io *io, nvmft_status status)
{
	ssd_end(io, status);
}

uint64_t nvmft_group_now(const struct nvmft_poll_group *group)
{
	(void)group;
	return 0;
}

static void say(const char *format, va_list ap)
{
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
}

void nvmft_backend_log(const struct nvmft_backend *backend, enum nvmft_log_level level, const char *format, ...)
{
	va_list ap;

	(void)backend;
	if (level > NVMFT_LOG_WARN)
		return;
	va_start(ap, format);
	say(format, ap);
	va_end(ap);
}

void nvmft_target_log(const struct nvmft_target *target, const char *who, enum nvmft_log_level level,
		      const char *format, ...)
{
	va_list ap;

	(void)target;
	(void)who;
	if (level > NVMFT_LOG_WARN)
		return;
	va_start(ap, format);
	say(format, ap);
	va_end(ap);
}

void nvmft_backend_changed(struct nvmft_backend *backend, const struct nvmft_backend_info *info)
{
	(void)backend;
	(void)info;
}

int nvmft_shared_get(const struct nvmft_backend *backend, const char *key, const struct nvmft_shared_ops *ops,
		     size_t size, const void *arg, struct nvmft_shared **out)
{
	struct nvmft_shared *object = shared;
	int ret;

	while (object && strcmp(object->key, key))
		object = object->next;
	if (object) {
		object->refs++;
		*out = object;
		return 0;
	}
	object = calloc(1, size);
	if (!object)
		return -ENOMEM;
	object->ops = ops;
	object->refs = 1;
	object->key = strdup(key);
	ret = ops->create(object, backend, arg);
	if (ret) {
		free(object->key);
		free(object);
		return ret;
	}
	object->next = shared;
	shared = object;
	*out = object;
	return 0;
}

void nvmft_shared_put(struct nvmft_shared *object)
{
	if (--object->refs == 0)
		object->ops->idle(object);
}

/* The newest first: it may use older ones until then. */
static void destroy_shared(void)
{
	while (shared) {
		struct nvmft_shared *object = shared;

		shared = object->next;
		object->ops->destroy(object);
		free(object->key);
		free(object);
	}
}

/* Nothing sleeps and no time goes by: no timer is due and nobody is woken. */

void nvmft_timer_arm(struct nvmft_poll_group *group, struct nvmft_timer *timer, uint64_t delay_ns, uint64_t slack_ns)
{
	(void)group;
	(void)delay_ns;
	(void)slack_ns;
	timer->armed = true;
}

void nvmft_timer_cancel(struct nvmft_poll_group *group, struct nvmft_timer *timer)
{
	(void)group;
	timer->armed = false;
}

void nvmft_wake_init(struct nvmft_wake *wake, struct nvmft_poll_group *group, int fd)
{
	*wake = (struct nvmft_wake){.group = group, .fd = fd};
}

int nvmft_wake_arm(struct nvmft_wake *wake)
{
	(void)wake;
	return 0;
}

void nvmft_wake_fini(struct nvmft_wake *wake)
{
	(void)wake;
}

/* ---- a backend and its channel ---- */

static int channel_open(const struct ssd_load *load)
{
	int ret;

	core.region = (struct nvmft_region){load->buffers, SSD_BUFFER_BYTES, 0};
	core.channel.backend = &core.backend;
	core.channel.priv = calloc(1, core.ops->channel_size);
	if (!core.channel.priv)
		return -ENOMEM;
	ret = core.ops->channel_open ? core.ops->channel_open(&core.channel) : 0;
	if (ret == 0 && core.ops->region_add)
		ret = core.ops->region_add(&core.channel, &core.region);
	return ret;
}

int core_open(struct ssd_load *load, const struct nvmft_backend_ops *ops, const void *opts)
{
	struct nvmft_backend_info info = {.size = sizeof(info)};
	int ret;

	core.ops = ops;
	core.backend.ops = ops;
	core.backend.priv = calloc(1, ops->backend_size);
	if (!core.backend.priv)
		return -ENOMEM;
	ret = ops->open(&core.backend, opts);
	if (ret == 0)
		ret = ops->info(&core.backend, &info);
	if (ret == 0)
		ret = channel_open(load);
	if (ret)
		return ret;
	load->block_size = info.block_size;
	load->blocks = info.blocks;
	for (uint32_t i = 0; i < SSD_DEPTH_MAX; i++)
		load->ios[i].io.channel = &core.channel;
	return 0;
}

void core_close(void)
{
	if (core.ops->region_remove)
		core.ops->region_remove(&core.channel, &core.region);
	if (core.ops->channel_close)
		core.ops->channel_close(&core.channel);
	core.ops->close(&core.backend);
	destroy_shared();
	free(core.channel.priv);
	free(core.backend.priv);
}
