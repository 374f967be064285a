/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices that change by themselves: another size, gone, and back, while hosts use them. */
#include <poll.h>
#include <unistd.h>

#include "admin_util.h"

#define SC_NS_NOT_READY 0x082
#define NS_NOTICE 0x00040002u
#define BLOCKS 4096u
#define MAX_HELD 32

/* ---- a device ---- */

static struct device {
	struct nvmft_backend_info info;
	bool hold; /* I/Os stay until the test ends them */
	struct nvmft_io *held[MAX_HELD];
	unsigned int nheld, submitted, channels;
	uint64_t highest; /* last block that was asked for */
	/* A thread of the device that tells of changes all the time, as long as the backend is open. */
	bool restless;
	pthread_t thread;
	pthread_mutex_t lock;
	struct nvmft_backend *backend; /* while it is open */
	atomic_bool stop;
} dev;

static void *restless_thread(void *arg)
{
	struct nvmft_backend_info info = dev.info;

	(void)arg;
	for (unsigned int i = 0; !atomic_load(&dev.stop); i++) {
		info.blocks = BLOCKS + i % 7;
		pthread_mutex_lock(&dev.lock);
		if (dev.backend)
			nvmft_backend_changed(dev.backend, i % 5 ? &info : NULL);
		pthread_mutex_unlock(&dev.lock);
		if (i % 16 == 0)
			usleep(50);
	}
	return NULL;
}

static int dev_open(struct nvmft_backend *backend, const void *opts)
{
	(void)opts;
	pthread_mutex_lock(&dev.lock);
	dev.backend = backend;
	pthread_mutex_unlock(&dev.lock);
	if (dev.restless)
		assert_int_equal(pthread_create(&dev.thread, NULL, restless_thread, NULL), 0);
	return 0;
}

static void dev_close(struct nvmft_backend *backend)
{
	(void)backend;
	pthread_mutex_lock(&dev.lock);
	dev.backend = NULL;
	pthread_mutex_unlock(&dev.lock);
}

static int dev_info(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	(void)backend;
	*info = dev.info;
	return 0;
}

static int dev_channel_open(struct nvmft_channel *channel)
{
	(void)channel;
	dev.channels++;
	return 0;
}

static void dev_channel_close(struct nvmft_channel *channel)
{
	(void)channel;
	dev.channels--;
}

static void dev_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	(void)channel;
	if (dev.restless) {
		nvmft_io_done(io, 0);
		return;
	}
	dev.submitted++;
	if (io->op != NVMFT_IO_FLUSH && io->lba + io->blocks > dev.highest)
		dev.highest = io->lba + io->blocks;
	if (dev.hold)
		dev.held[dev.nheld++] = io;
	else
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

/* Where channels are counted, on one thread. */
static const struct nvmft_backend_ops counting_ops = {
	.size = sizeof(counting_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "device",
	.open = dev_open,
	.close = dev_close,
	.info = dev_info,
	.submit = dev_submit,
	.channel_open = dev_channel_open,
	.channel_close = dev_channel_close,
};

static void dev_init(void)
{
	memset(&dev, 0, sizeof(dev));
	pthread_mutex_init(&dev.lock, NULL);
	dev.info.size = sizeof(dev.info);
	dev.info.block_size = 512;
	dev.info.blocks = BLOCKS;
}

static void dev_resize(uint64_t blocks)
{
	dev.info.blocks = blocks;
	nvmft_backend_changed(dev.backend, &dev.info);
}

static void release(nvmft_status status)
{
	struct nvmft_io *io = dev.held[0];

	assert_true(dev.nheld > 0);
	memmove(dev.held, dev.held + 1, --dev.nheld * sizeof(dev.held[0]));
	nvmft_io_done(io, status);
}

/* ---- a host: namespace 1 is of memory, namespace 2 the device ---- */

static unsigned char page[4096], block[512];
static struct th_cmd aer;

static int setup(void **state)
{
	struct admin_world *w;

	dev_init();
	admin_setup(state);
	w = *state;
	th_add_namespace(w->subsys, &counting_ops, NULL);
	th_settle(&w->t);
	return 0;
}

static int teardown(void **state)
{
	admin_teardown(state);
	assert_int_equal(dev.channels, 0);
	pthread_mutex_destroy(&dev.lock);
	return 0;
}

static void watch(struct admin_world *w)
{
	struct nvmft_sqe sqe;

	assert_int_equal(admin_set_feature(w, 0x0b, 1 << 8), 0);
	th_sqe_log(&sqe, 0x04, NSID_ALL, 0, sizeof(page), false);
	assert_int_equal(admin_exec(w, &sqe, page, sizeof(page)), 0);
	memset(&aer, 0, sizeof(aer));
	th_sqe_init(&sqe, 0x0c, 0);
	th_submit(&w->ctrl.admin, &aer, &sqe, NULL, 0);
	th_settle(&w->t);
	assert_false(atomic_load(&aer.done));
}

static void assert_told_of(struct admin_world *w, uint32_t nsid)
{
	struct nvmft_sqe sqe;

	assert_int_equal(th_wait_cmd(&aer), 0);
	assert_int_equal(le32toh(aer.cqe.dw0), NS_NOTICE);
	th_sqe_log(&sqe, 0x04, NSID_ALL, 0, sizeof(page), false);
	assert_int_equal(admin_exec(w, &sqe, page, sizeof(page)), 0);
	assert_int_equal(le32toh(((uint32_t *)(void *)page)[0]), nsid);
	assert_int_equal(((uint32_t *)(void *)page)[1], 0);
}

static uint64_t identified_size(struct admin_world *w)
{
	assert_int_equal(admin_identify(w, 0x00, 2, page), 0);
	return le64toh(((struct nvme_id_ns *)(void *)page)->nsze);
}

static bool listed(struct admin_world *w)
{
	const uint32_t *list = (const uint32_t *)(const void *)page;

	assert_int_equal(admin_identify(w, 0x02, 0, page), 0);
	assert_int_equal(le32toh(list[0]), 1);
	return le32toh(list[1]) == 2;
}

static void begin(struct admin_world *w, struct th_cmd *cmd, uint8_t opcode, uint64_t lba)
{
	struct nvmft_sqe sqe;

	memset(cmd, 0, sizeof(*cmd));
	th_sqe_rw(&sqe, opcode, 2, lba, 1);
	th_submit(&w->ctrl.io[0], cmd, &sqe, block, sizeof(block));
	th_settle(&w->t);
}

/* ---- another size ---- */

static void another_size_is_told_to_hosts(void **state)
{
	struct admin_world *w = *state;

	watch(w);
	dev_resize(2 * BLOCKS);
	assert_told_of(w, 2);
	assert_int_equal(identified_size(w), 2 * BLOCKS);
}

static void new_blocks_can_be_used(void **state)
{
	struct admin_world *w = *state;

	assert_int_equal(th_sc(th_read(&w->ctrl, 2, BLOCKS, 1, block, sizeof(block))), TH_SC_LBA_RANGE);
	dev_resize(2 * BLOCKS);
	th_settle(&w->t);
	assert_int_equal(th_read(&w->ctrl, 2, BLOCKS, 1, block, sizeof(block)), 0);
}

static void lost_blocks_cannot_be_used(void **state)
{
	struct admin_world *w = *state;

	dev_resize(BLOCKS / 2);
	th_settle(&w->t);
	assert_int_equal(th_sc(th_read(&w->ctrl, 2, BLOCKS / 2, 1, block, sizeof(block))), TH_SC_LBA_RANGE);
	assert_int_equal(dev.highest, 0);
}

static void the_same_facts_are_no_event(void **state)
{
	struct admin_world *w = *state;

	watch(w);
	dev_resize(BLOCKS);
	th_settle(&w->t);
	assert_false(atomic_load(&aer.done));
}

static void another_block_size_is_refused(void **state)
{
	struct admin_world *w = *state;

	watch(w);
	dev.info.block_size = 4096;
	dev_resize(BLOCKS / 8);
	th_settle(&w->t);
	assert_false(atomic_load(&aer.done));
	assert_true(th_log_has(&w->t, "its block size or command set changed"));
	assert_int_equal(identified_size(w), BLOCKS);
}

static void another_command_set_is_refused(void **state)
{
	struct admin_world *w = *state;

	dev.info.csi = NVME_CSI_ZNS;
	dev.info.zones.zone_blocks = 64;
	dev_resize(2 * BLOCKS);
	th_settle(&w->t);
	assert_true(th_log_has(&w->t, "its block size or command set changed"));
	assert_int_equal(identified_size(w), BLOCKS);
}

static void facts_that_make_no_sense_are_refused(void **state)
{
	struct admin_world *w = *state;

	dev_resize(0);
	th_settle(&w->t);
	assert_int_equal(identified_size(w), BLOCKS);
}

static void looking_again_without_news_wakes_nobody(void **state)
{
	struct admin_world *w = *state;

	th_settle(&w->t);
	assert_int_equal(nvmft_namespace_refresh(nvmft_namespace_find(w->subsys, 2)), 0);
	assert_int_equal(th_poll(&w->t), 0);
}

static void the_last_of_several_changes_counts(void **state)
{
	struct admin_world *w = *state;

	watch(w);
	nvmft_backend_changed(dev.backend, NULL);
	dev_resize(2 * BLOCKS);
	dev_resize(3 * BLOCKS);
	assert_told_of(w, 2);
	assert_int_equal(identified_size(w), 3 * BLOCKS);
}

static void a_backend_inside_a_wrapper_changes_its_size_only(void **state)
{
	struct admin_world *w = *state;
	struct nvmft_backend inner = {.ops = &counting_ops, .target = w->t.target, .outer = dev.backend};
	struct nvmft_sqe sqe;

	dev.info.volatile_cache = true;
	dev.info.flush = NVMFT_CAP_NATIVE;
	dev.info.blocks = 2 * BLOCKS;
	nvmft_backend_changed(&inner, &dev.info);
	th_settle(&w->t);
	assert_int_equal(identified_size(w), 2 * BLOCKS);
	/* Flush is still nothing to the device. */
	th_sqe_init(&sqe, TH_FLUSH, 2);
	assert_int_equal(th_exec(&w->ctrl.io[0], &sqe, NULL, 0), 0);
	assert_int_equal(dev.submitted, 0);
}

static void a_control_call_sees_the_change_at_once(void **state)
{
	struct nvmft_namespace_info info = {.size = sizeof(info)};
	struct admin_world *w = *state;

	dev_resize(2 * BLOCKS);
	assert_int_equal(nvmft_namespace_info(nvmft_namespace_find(w->subsys, 2), &info), 0);
	assert_int_equal(info.blocks, 2 * BLOCKS);
}

/* ---- gone ---- */

static void a_device_that_is_gone_is_inactive(void **state)
{
	struct admin_world *w = *state;

	assert_true(listed(w));
	watch(w);
	nvmft_backend_changed(dev.backend, NULL);
	assert_told_of(w, 2);
	assert_false(listed(w));
	assert_int_equal(admin_identify(w, 0x00, 2, page), 0);
	assert_true(th_zero(page, sizeof(page)));
}

static void commands_for_it_may_be_retried(void **state)
{
	static const uint8_t opcodes[] = {TH_READ, TH_WRITE, TH_COMPARE, TH_WRITE_ZEROES, TH_FLUSH, TH_DSM};
	static const struct th_range range = {.blocks = 1};
	struct admin_world *w = *state;
	struct nvmft_sqe sqe;

	nvmft_backend_changed(dev.backend, NULL);
	th_settle(&w->t);
	for (size_t i = 0; i < COUNT(opcodes); i++) {
		th_sqe_rw(&sqe, opcodes[i], 2, 0, 1);
		memcpy(block, &range, sizeof(range));
		assert_int_equal(th_exec(&w->ctrl.io[0], &sqe, block, opcodes[i] == TH_DSM ? 16 : sizeof(block)),
				 SC_NS_NOT_READY);
	}
	assert_int_equal(dev.submitted, 0);
	assert_int_equal(th_read(&w->ctrl, 3, 0, 1, block, sizeof(block)), TH_SC_INVALID_NS | DNR);
}

static void other_namespaces_go_on(void **state)
{
	struct admin_world *w = *state;

	nvmft_backend_changed(dev.backend, NULL);
	th_settle(&w->t);
	assert_int_equal(th_write(&w->ctrl, 1, 0, 1, block, sizeof(block)), 0);
}

static void its_channels_stay_and_serve_it_when_it_is_back(void **state)
{
	struct admin_world *w = *state;

	assert_int_equal(th_read(&w->ctrl, 2, 0, 1, block, sizeof(block)), 0);
	nvmft_backend_changed(dev.backend, NULL);
	th_settle(&w->t);
	assert_int_equal(dev.channels, 1);
	watch(w);
	dev_resize(BLOCKS);
	assert_told_of(w, 2);
	assert_true(listed(w));
	assert_int_equal(th_read(&w->ctrl, 2, 0, 1, block, sizeof(block)), 0);
	assert_int_equal(dev.channels, 1);
}

static void gone_twice_is_one_event(void **state)
{
	struct admin_world *w = *state;

	nvmft_backend_changed(dev.backend, NULL);
	th_settle(&w->t);
	watch(w);
	nvmft_backend_changed(dev.backend, NULL);
	th_settle(&w->t);
	assert_false(atomic_load(&aer.done));
}

static void it_can_be_removed(void **state)
{
	struct admin_world *w = *state;

	assert_int_equal(th_read(&w->ctrl, 2, 0, 1, block, sizeof(block)), 0);
	nvmft_backend_changed(dev.backend, NULL);
	th_settle(&w->t);
	th_remove_namespace(&w->t, nvmft_namespace_find(w->subsys, 2));
	assert_int_equal(dev.channels, 0);
	assert_null(dev.backend);
	assert_int_equal(th_read(&w->ctrl, 2, 0, 1, block, sizeof(block)), TH_SC_INVALID_NS | DNR);
}

static void its_number_is_still_taken(void **state)
{
	struct nvmft_namespace_opts opts = {.size = sizeof(opts), .nsid = 2, .backend = &dev_ops};
	struct admin_world *w = *state;

	nvmft_backend_changed(dev.backend, NULL);
	th_settle(&w->t);
	assert_int_equal(nvmft_namespace_add(w->subsys, &opts, NULL), -EEXIST);
}

static void a_change_of_what_was_removed_is_forgotten(void **state)
{
	struct admin_world *w = *state;
	struct th_done done;

	dev.hold = true;
	begin(w, &aer, TH_READ, 0);
	assert_int_equal(nvmft_namespace_remove(nvmft_namespace_find(w->subsys, 2), th_done_init(&done)), 0);
	/* Its last command keeps it open. */
	th_settle(&w->t);
	assert_non_null(dev.backend);
	dev_resize(2 * BLOCKS);
	th_settle(&w->t);
	release(0);
	assert_int_equal(th_wait_cmd(&aer), 0);
	assert_int_equal(th_done_wait(&w->t, &done), 0);
}

/* ---- under load ---- */

static void what_the_device_has_ends_as_the_device_says(void **state)
{
	static struct th_cmd cmds[2];
	struct admin_world *w = *state;

	dev.hold = true;
	begin(w, &cmds[0], TH_READ, 0);
	begin(w, &cmds[1], TH_WRITE, 0);
	nvmft_backend_changed(dev.backend, NULL);
	th_settle(&w->t);
	release(SC_NS_NOT_READY);
	release(0);
	assert_int_equal(th_wait_cmd(&cmds[0]), SC_NS_NOT_READY);
	assert_int_equal(th_wait_cmd(&cmds[1]), 0);
}

/* The device with other facts, and with I/Os that stay there. */
static void replace(struct admin_world *w)
{
	th_remove_namespace(&w->t, nvmft_namespace_find(w->subsys, 2));
	th_add_namespace(w->subsys, &counting_ops, NULL);
	th_settle(&w->t);
	dev.hold = true;
}

static void make_shallow(struct admin_world *w)
{
	dev.info.depth = 1;
	replace(w);
}

static void what_waits_for_depth_does_not_reach_a_device_that_is_gone(void **state)
{
	static struct th_cmd cmds[3];
	struct admin_world *w = *state;

	make_shallow(w);
	for (size_t i = 0; i < COUNT(cmds); i++)
		begin(w, &cmds[i], TH_READ, i);
	assert_int_equal(dev.submitted, 1);
	nvmft_backend_changed(dev.backend, NULL);
	th_settle(&w->t);
	release(SC_NS_NOT_READY);
	for (size_t i = 0; i < COUNT(cmds); i++)
		assert_int_equal(th_wait_cmd(&cmds[i]), SC_NS_NOT_READY);
	assert_int_equal(dev.submitted, 1);
}

static void what_waits_for_depth_is_checked_against_the_new_size(void **state)
{
	static struct th_cmd cmds[3];
	struct admin_world *w = *state;

	make_shallow(w);
	begin(w, &cmds[0], TH_READ, 0);
	begin(w, &cmds[1], TH_READ, BLOCKS - 1);
	begin(w, &cmds[2], TH_READ, 1);
	dev_resize(BLOCKS / 2);
	th_settle(&w->t);
	release(0);
	assert_int_equal(th_wait_cmd(&cmds[0]), 0);
	assert_int_equal(th_sc(th_wait_cmd(&cmds[1])), TH_SC_LBA_RANGE);
	release(0);
	assert_int_equal(th_wait_cmd(&cmds[2]), 0);
	assert_int_equal(dev.highest, 2);
}

/* Verify, which is passed on. */
static void a_command_that_waits_for_depth_is_checked_against_the_new_size(void **state)
{
	static struct th_cmd cmds[3];
	struct admin_world *w = *state;
	struct nvmft_sqe sqe;

	nvmft_opcodes_add(&dev.info.commands, 0x0c);
	make_shallow(w);
	begin(w, &cmds[0], TH_READ, 0);
	memset(&cmds[1], 0, 2 * sizeof(cmds[1]));
	for (unsigned int i = 1; i < 3; i++) {
		th_sqe_rw(&sqe, 0x0c, 2, i == 1 ? BLOCKS - 1 : 0, 1);
		th_submit(&w->ctrl.io[0], &cmds[i], &sqe, NULL, 0);
		th_settle(&w->t);
	}
	assert_int_equal(dev.submitted, 1);
	dev_resize(BLOCKS / 2);
	th_settle(&w->t);
	release(0);
	assert_int_equal(th_wait_cmd(&cmds[0]), 0);
	assert_int_equal(th_sc(th_wait_cmd(&cmds[1])), TH_SC_LBA_RANGE);
	assert_int_equal(dev.submitted, 2);
	nvmft_backend_changed(dev.backend, NULL);
	th_settle(&w->t);
	release(0);
	assert_int_equal(th_wait_cmd(&cmds[2]), 0);
}

/* Forced unit access on a volatile cache: a Flush goes first. */
static void a_read_behind_its_flush_is_checked_against_the_new_size(void **state)
{
	static struct th_cmd cmd;
	struct admin_world *w = *state;
	struct nvmft_sqe sqe;

	dev.info.volatile_cache = true;
	dev.info.flush = NVMFT_CAP_NATIVE;
	replace(w);
	memset(&cmd, 0, sizeof(cmd));
	th_sqe_rw(&sqe, TH_READ, 2, BLOCKS - 1, 1);
	sqe.cdw12 |= htole32(TH_FUA);
	th_submit(&w->ctrl.io[0], &cmd, &sqe, block, sizeof(block));
	th_settle(&w->t);
	assert_int_equal(dev.nheld, 1);
	dev_resize(BLOCKS / 2);
	th_settle(&w->t);
	release(0);
	assert_int_equal(th_sc(th_wait_cmd(&cmd)), TH_SC_LBA_RANGE);
	assert_int_equal(dev.submitted, 1);
}

static void begin_pair(struct admin_world *w, struct th_cmd *cmds, uint64_t lba)
{
	void *data[2] = {block, block};
	size_t lens[2] = {sizeof(block), sizeof(block)};
	struct nvmft_sqe sqes[2];

	th_sqe_rw(&sqes[0], TH_COMPARE, 2, lba, 1);
	th_sqe_rw(&sqes[1], TH_WRITE, 2, lba, 1);
	sqes[0].flags |= TH_FUSE_FIRST;
	sqes[1].flags |= TH_FUSE_SECOND;
	memset(cmds, 0, 2 * sizeof(*cmds));
	th_submit_many(&w->ctrl.io[0], cmds, sqes, data, lens, 2);
	th_settle(&w->t);
}

static void make_comparing(struct admin_world *w)
{
	dev.info.compare = NVMFT_CAP_NATIVE;
	replace(w);
}

static void a_write_behind_a_fused_pair_is_checked_against_the_new_size(void **state)
{
	static struct th_cmd pair[2], write;
	struct admin_world *w = *state;

	make_comparing(w);
	begin_pair(w, pair, 0);
	begin(w, &write, TH_WRITE, BLOCKS - 1);
	assert_int_equal(dev.nheld, 1);
	dev_resize(BLOCKS / 2);
	th_settle(&w->t);
	release(0);
	release(0);
	assert_int_equal(th_wait_cmd(&pair[0]), 0);
	assert_int_equal(th_wait_cmd(&pair[1]), 0);
	assert_int_equal(th_sc(th_wait_cmd(&write)), TH_SC_LBA_RANGE);
	assert_int_equal(dev.highest, 1);
}

static void a_fused_pair_behind_a_write_is_checked_against_the_new_size(void **state)
{
	static struct th_cmd pair[2], write;
	struct admin_world *w = *state;

	make_comparing(w);
	begin(w, &write, TH_WRITE, 0);
	begin_pair(w, pair, BLOCKS - 1);
	assert_int_equal(dev.nheld, 1);
	dev_resize(BLOCKS / 2);
	th_settle(&w->t);
	release(0);
	assert_int_equal(th_wait_cmd(&write), 0);
	assert_int_equal(th_sc(th_wait_cmd(&pair[0])), TH_SC_LBA_RANGE);
	assert_int_equal(th_sc(th_wait_cmd(&pair[1])), TH_SC_FUSED_FAIL);
	assert_int_equal(dev.highest, 1);
}

static void the_write_of_a_fused_pair_is_checked_against_the_new_size(void **state)
{
	static struct th_cmd pair[2];
	struct admin_world *w = *state;

	make_comparing(w);
	begin_pair(w, pair, BLOCKS - 1);
	dev_resize(BLOCKS / 2);
	th_settle(&w->t);
	dev.submitted = 0;
	release(0);
	assert_int_equal(th_wait_cmd(&pair[0]), 0);
	assert_int_equal(th_sc(th_wait_cmd(&pair[1])), TH_SC_LBA_RANGE);
	assert_int_equal(dev.submitted, 0);
}

/* ---- a control call is in the way ---- */

static atomic_bool opening, may_open;

static int slow_open(struct nvmft_backend *backend, const void *opts)
{
	(void)backend;
	(void)opts;
	atomic_store(&opening, true);
	while (!atomic_load(&may_open))
		usleep(100);
	return -ENODEV;
}

static void *add_slowly(void *arg)
{
	struct nvmft_backend_ops ops = dev_ops;
	struct nvmft_namespace_opts opts = {.size = sizeof(opts), .backend = &ops};

	ops.open = slow_open;
	assert_int_equal(nvmft_namespace_add(arg, &opts, NULL), -ENODEV);
	return NULL;
}

static void a_poll_group_neither_waits_for_a_control_call_nor_spins(void **state)
{
	struct admin_world *w = *state;
	pthread_t thread;

	watch(w);
	atomic_store(&opening, false);
	atomic_store(&may_open, false);
	assert_int_equal(pthread_create(&thread, NULL, add_slowly, w->subsys), 0);
	while (!atomic_load(&opening))
		usleep(100);
	dev_resize(2 * BLOCKS);
	th_settle(&w->t);
	assert_false(atomic_load(&aer.done));
	assert_int_equal(nvmft_poll_group_arm(w->t.groups[0].group), 0);
	atomic_store(&may_open, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	th_advance_ms(&w->t, 20);
	assert_told_of(w, 2);
}

static void a_sleeping_poll_group_is_woken(void **state)
{
	struct admin_world *w = *state;
	struct nvmft_poll_group *group = w->t.groups[0].group;
	struct pollfd pfd = {.fd = nvmft_poll_group_fd(group), .events = POLLIN};

	th_settle(&w->t);
	assert_int_equal(nvmft_poll_group_arm(group), 0);
	dev_resize(2 * BLOCKS);
	assert_int_equal(poll(&pfd, 1, 10000), 1);
}

static void a_poll_group_does_not_fall_asleep_over_a_change(void **state)
{
	struct admin_world *w = *state;

	th_settle(&w->t);
	dev_resize(2 * BLOCKS);
	assert_int_equal(nvmft_poll_group_arm(w->t.groups[0].group), -EAGAIN);
}

/* ---- without a poll group, and with several ---- */

static void without_a_poll_group_a_control_call_takes_it_in(void **state)
{
	struct nvmft_target_opts to = {.size = sizeof(to)};
	struct nvmft_subsystem_opts so = {.size = sizeof(so), .nqn = TH_NQN};
	struct nvmft_namespace_opts no = {.size = sizeof(no), .backend = &dev_ops};
	struct nvmft_namespace_info info = {.size = sizeof(info)};
	struct nvmft_subsystem *subsys;
	struct nvmft_namespace *ns;
	struct nvmft_target *target;

	(void)state;
	dev_init();
	assert_int_equal(nvmft_target_create(&to, &target), 0);
	assert_int_equal(nvmft_subsystem_create(target, &so, &subsys), 0);
	assert_int_equal(nvmft_namespace_add(subsys, &no, &ns), 0);
	dev_resize(2 * BLOCKS);
	assert_int_equal(nvmft_namespace_info(ns, &info), 0);
	assert_int_equal(info.blocks, 2 * BLOCKS);
	assert_int_equal(nvmft_namespace_remove(ns, NULL), 0);
	assert_null(dev.backend);
	assert_int_equal(nvmft_target_destroy(target), 0);
}

static void without_a_poll_group_the_next_one_takes_it_in(void **state)
{
	struct nvmft_target_opts to = {.size = sizeof(to)};
	struct nvmft_subsystem_opts so = {.size = sizeof(so), .nqn = TH_NQN};
	struct nvmft_namespace_opts no = {.size = sizeof(no), .backend = &dev_ops};
	struct nvmft_subsystem *subsys;
	struct nvmft_poll_group *group;
	struct nvmft_target *target;
	struct th_done done;

	(void)state;
	dev_init();
	assert_int_equal(nvmft_target_create(&to, &target), 0);
	assert_int_equal(nvmft_subsystem_create(target, &so, &subsys), 0);
	assert_int_equal(nvmft_namespace_add(subsys, &no, NULL), 0);
	dev_resize(2 * BLOCKS);
	assert_int_equal(nvmft_poll_group_create(target, &group), 0);
	/* The new view is an event, and then it is quiet: nothing waits any more. */
	assert_int_equal(nvmft_poll(group, 0), 1);
	assert_int_equal(nvmft_poll(group, 0), 0);
	assert_int_equal(nvmft_target_stop(target, th_done_init(&done)), 0);
	while (!atomic_load(&done.called))
		nvmft_poll(group, 0);
	assert_int_equal(nvmft_target_destroy(target), 0);
}

static int setup_restless(void **state)
{
	static const struct th_opts opts = {.groups = 2, .threaded = true};
	static const struct th_ctrl_opts ctrl = {.io_queues = 2};

	dev_init();
	dev.restless = true;
	return admin_setup_opts(state, &opts, NULL, &ctrl);
}

static int teardown_restless(void **state)
{
	admin_teardown(state);
	atomic_store(&dev.stop, true);
	pthread_join(dev.thread, NULL);
	pthread_mutex_destroy(&dev.lock);
	return 0;
}

static void use(struct admin_world *w)
{
	static unsigned char data[8][512];
	static struct th_cmd cmds[8];
	struct nvmft_sqe sqe;
	nvmft_status status;

	for (unsigned int i = 0; i < COUNT(cmds); i++) {
		memset(&cmds[i], 0, sizeof(cmds[i]));
		th_sqe_rw(&sqe, i % 4 ? TH_READ : TH_WRITE, i % 2 ? 2 : 1, i, 1);
		th_submit(&w->ctrl.io[i / 4], &cmds[i], &sqe, data[i], 512);
	}
	for (unsigned int i = 0; i < COUNT(cmds); i++) {
		status = th_wait_cmd(&cmds[i]);
		assert_true(status == 0 || (i % 2 && status == SC_NS_NOT_READY));
	}
}

static void a_device_changes_while_hosts_and_control_threads_are_busy(void **state)
{
	struct admin_world *w = *state;
	struct nvmft_namespace_info info = {.size = sizeof(info)};
	struct nvmft_namespace *ns = th_add_namespace(w->subsys, &dev_ops, NULL);

	th_sync(&w->t);
	for (unsigned int i = 0; i < 200; i++) {
		struct nvmft_namespace *other = th_add_null(w->subsys, 1 << 20, 512);

		use(w);
		assert_int_equal(nvmft_namespace_info(ns, &info), 0);
		assert_true(info.blocks >= BLOCKS && info.blocks < BLOCKS + 7);
		assert_int_equal(admin_identify(w, 0x02, 0, page), 0);
		if (i % 8 == 0)
			(void)nvmft_namespace_refresh(ns);
		th_remove_namespace(&w->t, other);
	}
}

static void a_device_changes_until_it_is_closed(void **state)
{
	struct admin_world *w = *state;
	struct nvmft_namespace *ns = th_add_namespace(w->subsys, &dev_ops, NULL);

	th_sync(&w->t);
	use(w);
	th_remove_namespace(&w->t, ns);
	pthread_mutex_lock(&dev.lock);
	assert_null(dev.backend);
	pthread_mutex_unlock(&dev.lock);
}

static void a_device_changes_until_the_target_ends(void **state)
{
	struct admin_world *w = *state;

	th_add_namespace(w->subsys, &dev_ops, NULL);
	th_sync(&w->t);
	use(w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define RESTLESS_TEST(name) cmocka_unit_test_setup_teardown(name, setup_restless, teardown_restless)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(another_size_is_told_to_hosts),
		TEST(new_blocks_can_be_used),
		TEST(lost_blocks_cannot_be_used),
		TEST(the_same_facts_are_no_event),
		TEST(another_block_size_is_refused),
		TEST(another_command_set_is_refused),
		TEST(looking_again_without_news_wakes_nobody),
		TEST(facts_that_make_no_sense_are_refused),
		TEST(the_last_of_several_changes_counts),
		TEST(a_backend_inside_a_wrapper_changes_its_size_only),
		TEST(a_control_call_sees_the_change_at_once),
		TEST(a_device_that_is_gone_is_inactive),
		TEST(commands_for_it_may_be_retried),
		TEST(other_namespaces_go_on),
		TEST(its_channels_stay_and_serve_it_when_it_is_back),
		TEST(gone_twice_is_one_event),
		TEST(it_can_be_removed),
		TEST(its_number_is_still_taken),
		TEST(a_change_of_what_was_removed_is_forgotten),
		TEST(what_the_device_has_ends_as_the_device_says),
		TEST(what_waits_for_depth_does_not_reach_a_device_that_is_gone),
		TEST(what_waits_for_depth_is_checked_against_the_new_size),
		TEST(a_command_that_waits_for_depth_is_checked_against_the_new_size),
		TEST(a_read_behind_its_flush_is_checked_against_the_new_size),
		TEST(a_write_behind_a_fused_pair_is_checked_against_the_new_size),
		TEST(a_fused_pair_behind_a_write_is_checked_against_the_new_size),
		TEST(the_write_of_a_fused_pair_is_checked_against_the_new_size),
		TEST(a_poll_group_neither_waits_for_a_control_call_nor_spins),
		TEST(a_sleeping_poll_group_is_woken),
		TEST(a_poll_group_does_not_fall_asleep_over_a_change),
		cmocka_unit_test(without_a_poll_group_a_control_call_takes_it_in),
		cmocka_unit_test(without_a_poll_group_the_next_one_takes_it_in),
		RESTLESS_TEST(a_device_changes_while_hosts_and_control_threads_are_busy),
		RESTLESS_TEST(a_device_changes_until_it_is_closed),
		RESTLESS_TEST(a_device_changes_until_the_target_ends),
	};

	return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
