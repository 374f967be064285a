/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that a device must be able to reach: backends are told of it before its use, and get no other. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host.h"

#define BLOCKS 4096
#define MAX_REGIONS 64

static struct {
	unsigned char blocks[BLOCKS * 512];
	struct nvmft_region regions[MAX_REGIONS];
	unsigned int nregions, refuse, outside;
} dev;

static int dev_open(struct nvmft_backend *backend, const void *opts)
{
	(void)backend;
	(void)opts;
	return 0;
}

static void dev_close(struct nvmft_backend *backend)
{
	(void)backend;
}

static int dev_info(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	(void)backend;
	info->block_size = 512;
	info->blocks = BLOCKS;
	info->needs_regions = true;
	return 0;
}

static int dev_region_add(struct nvmft_channel *channel, const struct nvmft_region *region)
{
	(void)channel;
	if (dev.refuse)
		return -EPERM;
	assert_true(dev.nregions < MAX_REGIONS);
	dev.regions[dev.nregions++] = *region;
	return 0;
}

static void dev_region_remove(struct nvmft_channel *channel, const struct nvmft_region *region)
{
	(void)channel;
	for (unsigned int i = 0; i < dev.nregions; i++) {
		if (dev.regions[i].index != region->index)
			continue;
		assert_ptr_equal(dev.regions[i].base, region->base);
		dev.regions[i] = dev.regions[--dev.nregions];
		return;
	}
	fail_msg("a region that was never added");
}

static bool reachable(const struct nvmft_iov *iov)
{
	for (unsigned int i = 0; i < dev.nregions; i++)
		if (dev.regions[i].index == iov->region && (char *)iov->base >= (char *)dev.regions[i].base &&
		    (char *)iov->base + iov->len <= (char *)dev.regions[i].base + dev.regions[i].len)
			return true;
	return false;
}

static void dev_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	unsigned char *at = dev.blocks + io->lba * 512;

	(void)channel;
	for (uint32_t i = 0; i < io->iovcnt; i++) {
		if (!reachable(&io->iov[i]))
			dev.outside++;
		if (io->op == NVMFT_IO_READ)
			memcpy(io->iov[i].base, at, io->iov[i].len);
		else
			memcpy(at, io->iov[i].base, io->iov[i].len);
		at += io->iov[i].len;
	}
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
	.region_add = dev_region_add,
	.region_remove = dev_region_remove,
};

struct fixture {
	struct th t;
	struct nvmft_namespace *ns;
	struct th_ctrl ctrl;
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&dev, 0, sizeof(dev));
	memset(&f, 0, sizeof(f));
	th_start(&f.t, NULL);
	f.ns = th_add_namespace(th_add_subsystem(&f.t, TH_NQN), &dev_ops, NULL);
	th_ctrl_connect(&f.t, &f.ctrl, NULL);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	th_ctrl_disconnect(&f->ctrl);
	th_stop(&f->t);
	assert_int_equal(dev.nregions, 0);
	return 0;
}

static void buffers_of_a_host_are_copied_to_memory_that_the_device_reaches(void **state)
{
	struct nvmft_target_stats stats = {.size = sizeof(stats)};
	unsigned char data[8192], back[8192];
	struct fixture *f = *state;

	th_fill(data, sizeof(data), 1);
	assert_int_equal(th_write(&f->ctrl, 1, 8, 16, data, sizeof(data)), 0);
	assert_int_equal(th_read(&f->ctrl, 1, 8, 16, back, sizeof(back)), 0);
	assert_memory_equal(data, back, sizeof(data));
	assert_int_equal(dev.outside, 0);
	assert_int_equal(nvmft_target_stats(f->t.target, &stats), 0);
	assert_int_equal(stats.copied_bytes, sizeof(data) + sizeof(back));
}

static void new_memory_is_announced_before_its_use(void **state)
{
	static struct th_cmd cmds[8];
	static unsigned char data[8][1 << 20];
	struct fixture *f = *state;
	struct nvmft_sqe sqe;
	unsigned int i;

	for (i = 0; i < 8; i++) {
		th_sqe_rw(&sqe, TH_WRITE, 1, 0, 2048);
		memset(&cmds[i], 0, sizeof(cmds[i]));
		th_submit(&f->ctrl.io[0], &cmds[i], &sqe, data[i], sizeof(data[i]));
	}
	for (i = 0; i < 8; i++)
		assert_int_equal(th_wait_cmd(&cmds[i]), 0);
	assert_int_equal(dev.outside, 0);
	assert_true(dev.nregions > 0);
}

static void removed_namespace_gives_the_memory_up(void **state)
{
	struct fixture *f = *state;
	char buf[512];

	assert_int_equal(th_read(&f->ctrl, 1, 0, 1, buf, sizeof(buf)), 0);
	assert_true(dev.nregions > 0);
	th_remove_namespace(&f->t, f->ns);
	assert_int_equal(dev.nregions, 0);
}

static void memory_that_the_device_refuses_fails_the_command(void **state)
{
	struct fixture *f = *state;
	char buf[512];

	dev.refuse = 1;
	assert_int_not_equal(th_read(&f->ctrl, 1, 0, 1, buf, sizeof(buf)), 0);
	dev.refuse = 0;
	assert_int_equal(th_read(&f->ctrl, 1, 0, 1, buf, sizeof(buf)), 0);
	assert_int_equal(dev.outside, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(buffers_of_a_host_are_copied_to_memory_that_the_device_reaches),
		TEST(new_memory_is_announced_before_its_use),
		TEST(removed_namespace_gives_the_memory_up),
		TEST(memory_that_the_device_refuses_fails_the_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
