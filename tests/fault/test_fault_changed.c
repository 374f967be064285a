/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices that change, and what backends share, while memory runs out. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fault.h"
#include "host.h"

#define BLOCKS 4096u

struct unit {
	struct nvmft_shared shared; /* first */
	bool *alive;
};

static struct th t;
static struct nvmft_subsystem *subsys;
static struct nvmft_backend *opened;
static struct nvmft_shared *shared;
static bool alive;

static int unit_create(struct nvmft_shared *s, const struct nvmft_backend *backend, const void *arg)
{
	(void)s;
	(void)backend;
	(void)arg;
	assert_false(alive);
	alive = true;
	return 0;
}

static void unit_idle(struct nvmft_shared *s)
{
	(void)s;
}

static void unit_destroy(struct nvmft_shared *s)
{
	(void)s;
	assert_true(alive);
	alive = false;
}

static const struct nvmft_shared_ops unit_ops = {.create = unit_create, .idle = unit_idle, .destroy = unit_destroy};

static int dev_open(struct nvmft_backend *backend, const void *opts)
{
	int ret = nvmft_shared_get(backend, "unit", &unit_ops, sizeof(struct unit), NULL, &shared);

	(void)opts;
	if (!ret)
		opened = backend;
	return ret;
}

static void dev_close(struct nvmft_backend *backend)
{
	(void)backend;
	nvmft_shared_put(shared);
	opened = NULL;
}

static int dev_info(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	(void)backend;
	info->block_size = 512;
	info->blocks = BLOCKS;
	return 0;
}

static void dev_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	(void)channel;
	nvmft_io_done(io, 0);
}

static const struct nvmft_backend_ops dev_ops = {
	.size = sizeof(dev_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "device",
	.open = dev_open,
	.close = dev_close,
	.info = dev_info,
	.submit = dev_submit,
};

static int add(void *arg)
{
	struct nvmft_namespace_opts opts = {.size = sizeof(opts), .backend = &dev_ops};

	return nvmft_namespace_add(subsys, &opts, arg);
}

static void life(void)
{
	struct nvmft_namespace *ns = NULL;
	struct nvmft_subsystem_opts so = {.size = sizeof(so), .nqn = TH_NQN};

	if (th_try_start(&t, NULL))
		return;
	subsys = NULL;
	if (nvmft_subsystem_create(t.target, &so, &subsys) == 0 && fault_try(add, &ns, "add"))
		nvmft_backend_changed(opened, NULL);
	th_settle(&t);
	th_stop(&t);
	assert_false(alive);
}

static void what_backends_share_leaves_nothing_behind(void **state)
{
	(void)state;
	print_message("%u runs\n", fault_sweep(life, false));
	print_message("%u runs\n", fault_sweep(life, true));
}

static uint64_t size_seen(struct th_ctrl *ctrl)
{
	static uint64_t id[4096 / 8];
	struct nvmft_sqe sqe;

	th_sqe_identify(&sqe, 0, 1);
	assert_int_equal(th_exec(&ctrl->admin, &sqe, id, sizeof(id)), 0);
	return id[0];
}

static void a_change_waits_for_memory_without_spinning(void **state)
{
	struct nvmft_backend_info info = {.size = sizeof(info), .block_size = 512, .blocks = 2 * BLOCKS};
	struct th_ctrl ctrl;

	(void)state;
	memset(&fault, 0, sizeof(fault));
	th_start(&t, NULL);
	subsys = th_add_subsystem(&t, TH_NQN);
	assert_int_equal(add(NULL), 0);
	th_ctrl_connect(&t, &ctrl, NULL);
	assert_int_equal(size_seen(&ctrl), BLOCKS);
	fault.n = 1;
	fault.persistent = true;
	nvmft_backend_changed(opened, &info);
	th_settle(&t);
	assert_true(fault.hit);
	assert_int_equal(nvmft_poll_group_arm(t.groups[0].group), 0);
	fault.n = 0;
	assert_int_equal(size_seen(&ctrl), BLOCKS);
	th_advance_ms(&t, 20);
	assert_int_equal(size_seen(&ctrl), 2 * BLOCKS);
	th_ctrl_disconnect(&ctrl);
	th_stop(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_backends_share_leaves_nothing_behind),
		cmocka_unit_test(a_change_waits_for_memory_without_spinning),
	};

	return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}
