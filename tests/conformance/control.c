/* SPDX-License-Identifier: BSD-3-Clause */
/* Namespaces that are read-only, resized, removed and added again. */
#include "conf.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

static void add_again(struct conf *c, bool read_only)
{
	struct nvmft_namespace_opts no = {
		.size = sizeof(no),
		.nsid = 1,
		.read_only = read_only,
		.backend = c->ops,
		.backend_opts = c->ops_opts,
	};

	th_remove_namespace(&c->t, c->ns);
	assert_int_equal(nvmft_namespace_add(c->subsys, &no, &c->ns), 0);
	th_settle(&c->t);
}

static void check_write_protected(struct conf *c)
{
	struct th_range range = {0, htole32(1), htole64(0)};

	assert_int_equal(th_sc(conf_rw(c, TH_WRITE, 0, 1, 0)), TH_SC_WRITE_PROTECTED);
	assert_int_equal(th_sc(conf_rw(c, TH_WRITE_ZEROES, 0, 1, 0)), TH_SC_WRITE_PROTECTED);
	assert_int_equal(th_sc(conf_deallocate(c, &range, 1)), TH_SC_WRITE_PROTECTED);
	assert_int_equal(conf_rw(c, TH_READ, 0, 1, 0), 0);
	assert_int_equal(conf_rw(c, TH_COMPARE, 0, 1, 0), 0);
}

static void test_read_only(void **state)
{
	struct conf *c = *state;

	add_again(c, true);
	check_write_protected(c);
}

static void test_remove_and_add(void **state)
{
	struct conf *c = *state;

	conf_write_seed(c, 0, 4, 1);
	add_again(c, false);
	if (c->path[0] || c->kind.base == CONF_NVME || c->kind.base == CONF_VFIO)
		conf_check_seed(c, 0, 4, 1);
	else
		conf_check_zero(c, 0, 4);
}

static void test_removed(void **state)
{
	struct conf *c = *state;

	conf_write_seed(c, 0, 4, 1);
	th_remove_namespace(&c->t, c->ns);
	assert_int_equal(th_sc(conf_rw(c, TH_READ, 0, 1, 0)), TH_SC_INVALID_NS);
	assert_int_equal(th_sc(conf_rw(c, TH_WRITE, 0, 1, 0)), TH_SC_INVALID_NS);
}

static void test_second_namespace(void **state)
{
	struct conf *c = *state;
	char data[512];

	th_add_memory(c->subsys, 1 << 20, 512);
	th_settle(&c->t);
	conf_write_seed(c, 3, 1, 1);
	th_fill(data, sizeof(data), 2);
	assert_int_equal(th_write(&c->ctrl, 2, 3, 1, data, sizeof(data)), 0);
	if (c->kind.base != CONF_NULL)
		conf_check_seed(c, 3, 1, 1);
	assert_int_equal(th_read(&c->ctrl, 2, 3, 1, c->buf, 512), 0);
	assert_true(th_filled(c->buf, 512, 2));
}

static uint64_t blocks_now(struct conf *c)
{
	struct nvmft_namespace_info info = {.size = sizeof(info)};

	assert_int_equal(nvmft_namespace_info(c->ns, &info), 0);
	return info.blocks;
}

static void test_grow(void **state)
{
	struct conf *c = *state;

	assert_int_equal(truncate(c->path, 2 * CONF_BYTES), 0);
	assert_int_equal(th_sc(conf_rw(c, TH_READ, c->blocks, 1, 0)), TH_SC_LBA_RANGE);
	assert_int_equal(nvmft_namespace_refresh(c->ns), 0);
	th_settle(&c->t);
	assert_int_equal(blocks_now(c), 2 * c->blocks);
	conf_check_zero(c, c->blocks, 1);
	conf_write_seed(c, 2 * c->blocks - 3, 3, 1);
	conf_check_seed(c, 2 * c->blocks - 3, 3, 1);
	assert_int_equal(th_sc(conf_rw(c, TH_READ, 2 * c->blocks, 1, 0)), TH_SC_LBA_RANGE);
}

static void test_shrink(void **state)
{
	struct conf *c = *state;

	assert_int_equal(truncate(c->path, CONF_BYTES / 2), 0);
	assert_int_equal(nvmft_namespace_refresh(c->ns), 0);
	th_settle(&c->t);
	assert_int_equal(blocks_now(c), c->blocks / 2);
	assert_int_equal(th_sc(conf_rw(c, TH_READ, c->blocks / 2, 1, 0)), TH_SC_LBA_RANGE);
	conf_check_zero(c, c->blocks / 2 - 1, 1);
}

/* Nobody said that the file is shorter now: what is not there cannot be read, and nothing else is shown in its place.
 */
static void test_truncated_behind_our_back(void **state)
{
	struct conf *c = *state;

	conf_write_seed(c, c->blocks - 8, 8, 1);
	assert_int_equal(truncate(c->path, CONF_BYTES - 4096), 0);
	assert_int_not_equal(conf_rw(c, TH_READ, c->blocks - 4096 / c->block_size, 1, 0), 0);
	assert_int_not_equal(conf_rw(c, TH_READ, c->blocks - 8192 / c->block_size, 8192 / c->block_size, 0), 0);
	assert_int_equal(conf_rw(c, TH_READ, c->blocks - 8192 / c->block_size, 1, 0), 0);
	assert_true(th_log_has(&c->t, c->path));
}

static const struct conf_test tests[] = {
	{"read-only", test_read_only, 0},
	{"remove and add again", test_remove_and_add, CONF_KEEPS_DATA},
	{"removed", test_removed, 0},
	{"a second namespace", test_second_namespace, 0},
	{"grow", test_grow, CONF_RESIZABLE},
	{"shrink", test_shrink, CONF_RESIZABLE},
	{"truncated behind our back", test_truncated_behind_our_back, CONF_RESIZABLE},
};

int main(void)
{
	return conf_run("control", tests, sizeof(tests) / sizeof(tests[0]));
}
