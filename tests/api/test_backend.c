/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is asked of a backend before it is taken, what is told of it, and that nothing is left of those that were
 * refused or removed.
 */
#include <errno.h>
#include <malloc.h>

#include "admin_util.h"
#include "probe.h"

static struct probe probe;

static int setup(void **state)
{
	admin_setup(state);
	probe_init(&probe);
	return 0;
}

/* As often as it was opened it was closed: see probe_fini(). */
static int teardown(void **state)
{
	admin_teardown(state);
	probe_fini(&probe);
	return 0;
}

/* ---- its functions ---- */

static int try_ops(struct admin_world *w, const struct nvmft_backend_ops *ops, const void *backend_opts)
{
	struct nvmft_namespace_opts opts = {.size = sizeof(opts), .backend = ops, .backend_opts = backend_opts};

	return nvmft_namespace_add(w->subsys, &opts, NULL);
}

static void a_backend_without_its_functions_is_refused(void **state)
{
	struct nvmft_backend_ops ops[6];
	struct admin_world *w = *state;

	for (size_t i = 0; i < COUNT(ops); i++)
		ops[i] = *nvmft_backend_null();
	ops[0].open = NULL;
	ops[1].close = NULL;
	ops[2].info = NULL;
	ops[3].submit = NULL;
	ops[4].api++;
	ops[5].size = offsetof(struct nvmft_backend_ops, submit);
	for (size_t i = 0; i < COUNT(ops); i++) {
		th_log_clear(&w->t);
		assert_int_equal(try_ops(w, &ops[i], NULL), -EINVAL);
		assert_true(th_log_has(&w->t, "namespace: backend: missing"));
	}
}

static void a_backend_that_wants_too_much_of_an_io_is_refused(void **state)
{
	struct nvmft_null_opts null = {.size = sizeof(null), .bytes = 1 << 20};
	struct nvmft_backend_ops ops = *nvmft_backend_null();
	struct admin_world *w = *state;

	ops.io_size = NVMFT_IO_PRIV_MAX + 1;
	assert_int_equal(try_ops(w, &ops, &null), -EINVAL);
	assert_true(th_log_has(&w->t, "io_size"));
	ops.io_size = NVMFT_IO_PRIV_MAX;
	assert_int_equal(try_ops(w, &ops, &null), 0);
}

static void a_backend_that_cannot_take_its_pages_back_is_refused(void **state)
{
	struct nvmft_memory_opts memory = {.size = sizeof(memory), .bytes = 8192};
	struct nvmft_backend_ops ops = *nvmft_backend_memory();
	struct admin_world *w = *state;

	ops.lend_end = NULL;
	assert_int_equal(try_ops(w, &ops, &memory), -EINVAL);
	assert_true(th_log_has(&w->t, "lends"));
}

/* ---- its facts ---- */

static void expect_bad_facts(struct admin_world *w, const char *said)
{
	th_log_clear(&w->t);
	assert_int_equal(probe_try_add(w->subsys, &probe), -EINVAL);
	assert_true(th_log_has(&w->t, said));
}

static void blocks_are_of_512_or_4096_bytes(void **state)
{
	static const uint32_t sizes[] = {0, 1, 256, 1024, 2048, 8192};

	for (size_t i = 0; i < COUNT(sizes); i++) {
		probe.info.block_size = sizes[i];
		expect_bad_facts(*state, "block size");
	}
}

static size_t room; /* for facts */

static int tell_size_only(struct nvmft_backend *backend, struct nvmft_backend_info *info)
{
	(void)backend;
	room = info->size;
	info->block_size = 512;
	info->blocks = 8;
	return 0;
}

/* As one does that was written for an older header. */
static void a_backend_need_not_tell_all_facts(void **state)
{
	struct nvmft_null_opts null = {.size = sizeof(null), .bytes = 1 << 20};
	struct nvmft_backend_ops ops = *nvmft_backend_null();
	struct admin_world *w = *state;

	ops.info = tell_size_only;
	assert_int_equal(try_ops(w, &ops, &null), 0);
	assert_int_equal(room, sizeof(struct nvmft_backend_info));
	th_settle(&w->t);
	assert_int_equal(nvmft_namespace_refresh(nvmft_namespace_find(w->subsys, 2)), 0);
	assert_int_equal(th_poll(&w->t), 0);
}

static void there_is_a_block(void **state)
{
	probe.info.blocks = 0;
	expect_bad_facts(*state, "no blocks");
}

static void a_volatile_cache_can_be_flushed(void **state)
{
	probe.info.volatile_cache = true;
	expect_bad_facts(*state, "volatile cache");
}

static void alignment_is_a_power_of_two_up_to_a_page(void **state)
{
	static const uint32_t aligns[] = {3, 48, 4095, 8192};
	struct admin_world *w = *state;

	for (size_t i = 0; i < COUNT(aligns); i++) {
		probe.info.align = aligns[i];
		expect_bad_facts(w, "align");
	}
	probe.info.align = 4096;
	assert_int_equal(probe_try_add(w->subsys, &probe), 0);
}

static void a_backend_takes_the_largest_io_of_the_subsystem(void **state)
{
	const struct nvmft_subsystem_opts opts = {
		.size = sizeof(opts), .nqn = "nqn.2024-01.org.example:big", .max_io_size = 65536};
	struct admin_world *w = *state;
	struct nvmft_subsystem *subsys = th_add_subsystem_opts(&w->t, &opts);

	probe.info.max_bytes = 65536 - 512;
	assert_int_equal(probe_try_add(subsys, &probe), -EINVAL);
	assert_true(th_log_has(&w->t, "max_io_size"));
	probe.info.max_bytes = 65536;
	assert_int_equal(probe_try_add(subsys, &probe), 0);
}

/* ---- what the host is told of it ---- */

static struct nvmft_namespace_info info_as(struct admin_world *w, struct nvmft_namespace_opts opts)
{
	struct nvmft_namespace_info info = {.size = sizeof(info)};

	assert_int_equal(probe_try_add_as(w->subsys, &probe, opts), 0);
	assert_int_equal(nvmft_namespace_info(probe.ns, &info), 0);
	return info;
}

static void the_size_of_a_namespace_is_told(void **state)
{
	struct nvmft_namespace_info info;

	probe.info.block_size = 4096;
	probe.info.blocks = 77;
	info = info_as(*state, (struct nvmft_namespace_opts){.nsid = 5});
	assert_int_equal(info.nsid, 5);
	assert_int_equal(info.block_size, 4096);
	assert_int_equal(info.blocks, 77);
	assert_false(info.read_only);
}

static void a_device_that_cannot_be_written_is_read_only(void **state)
{
	probe.info.read_only = true;
	assert_true(info_as(*state, (struct nvmft_namespace_opts){0}).read_only);
}

static void a_namespace_may_be_configured_read_only(void **state)
{
	assert_true(info_as(*state, (struct nvmft_namespace_opts){.read_only = true}).read_only);
}

static void callers_of_an_older_header_are_told_what_it_has(void **state)
{
	struct nvmft_namespace_info info = {.size = offsetof(struct nvmft_namespace_info, blocks), .blocks = 4711};
	struct admin_world *w = *state;

	assert_int_equal(nvmft_namespace_info(w->ns, &info), 0);
	assert_int_equal(info.block_size, 512);
	assert_int_equal(info.blocks, 4711);
	info.size = 0;
	assert_int_equal(nvmft_namespace_info(w->ns, &info), -EINVAL);
}

/* ---- the end ---- */

static unsigned int closed_when_done;

static void note_closed(struct nvmft_done *done, int result)
{
	(void)done;
	assert_int_equal(result, 0);
	closed_when_done = probe.closes;
}

/* Who waits for it may then open the device again. */
static void a_removal_is_done_when_the_backend_is_closed(void **state)
{
	struct nvmft_done done = {.fn = note_closed};
	struct admin_world *w = *state;

	closed_when_done = 0;
	assert_int_equal(probe_try_add(w->subsys, &probe), 0);
	assert_int_equal(nvmft_namespace_remove(probe.ns, &done), 0);
	th_settle(&w->t);
	assert_int_equal(closed_when_done, 1);
}

#define TIMES 4000

/* Zero when a sanitizer has replaced the allocator. */
static size_t heap_in_use(void)
{
	return mallinfo2().uordblks;
}

static void refused_backends_leave_no_memory(void **state)
{
	struct admin_world *w = *state;
	size_t before;

	probe.info.blocks = 0; /* none: refused */
	assert_int_equal(probe_try_add(w->subsys, &probe), -EINVAL);
	before = heap_in_use();
	for (unsigned int i = 0; i < TIMES; i++)
		assert_int_equal(probe_try_add(w->subsys, &probe), -EINVAL);
	assert_true(heap_in_use() <= before + TIMES);
}

static void removed_namespaces_leave_no_memory(void **state)
{
	struct admin_world *w = *state;
	size_t before;

	th_remove_namespace(&w->t, th_add_null(w->subsys, 1 << 20, 512));
	before = heap_in_use();
	for (unsigned int i = 0; i < TIMES; i++)
		th_remove_namespace(&w->t, th_add_null(w->subsys, 1 << 20, 512));
	assert_true(heap_in_use() <= before + TIMES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_backend_without_its_functions_is_refused),
		TEST(a_backend_that_wants_too_much_of_an_io_is_refused),
		TEST(a_backend_that_cannot_take_its_pages_back_is_refused),
		TEST(blocks_are_of_512_or_4096_bytes),
		TEST(a_backend_need_not_tell_all_facts),
		TEST(there_is_a_block),
		TEST(a_volatile_cache_can_be_flushed),
		TEST(alignment_is_a_power_of_two_up_to_a_page),
		TEST(a_backend_takes_the_largest_io_of_the_subsystem),
		TEST(the_size_of_a_namespace_is_told),
		TEST(a_device_that_cannot_be_written_is_read_only),
		TEST(a_namespace_may_be_configured_read_only),
		TEST(callers_of_an_older_header_are_told_what_it_has),
		TEST(a_removal_is_done_when_the_backend_is_closed),
		TEST(refused_backends_leave_no_memory),
		TEST(removed_namespaces_leave_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
