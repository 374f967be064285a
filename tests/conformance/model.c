/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random commands against a copy in RAM. Thousands of them for each kind; CONF_SEED=n and CONF_OPS=n in the environment
 * repeat or lengthen a run.
 */
#include "conf.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL_BLOCKS 2048u

struct model {
	struct conf *c;
	uint64_t rng;
	uint8_t *shadow;
	uint32_t bs;
	bool keeps; /* deallocated blocks keep their data */
};

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* Short mostly, sometimes up to the longest. */
static void choose_range(struct model *m, uint64_t *lba, uint32_t *blocks)
{
	uint32_t max = th_random(&m->rng) % 16 == 0 ? conf_max_blocks(m->c) : 24;

	*lba = th_random(&m->rng) % MODEL_BLOCKS;
	*blocks = (uint32_t)(th_random(&m->rng) % max) + 1;
	if (*lba + *blocks > MODEL_BLOCKS)
		*blocks = MODEL_BLOCKS - (uint32_t)*lba;
	if (*blocks > conf_max_blocks(m->c))
		*blocks = conf_max_blocks(m->c);
}

static void do_write(struct model *m, uint64_t lba, uint32_t blocks)
{
	size_t len = (size_t)blocks * m->bs;
	char *buf = m->c->buf + (th_random(&m->rng) % 4 == 0 ? th_random(&m->rng) % 4096 : 0);
	struct nvmft_sqe sqe;

	th_fill(buf, len, th_random(&m->rng));
	th_sqe_rw(&sqe, TH_WRITE, 1, lba, blocks);
	if (th_random(&m->rng) % 16 == 0)
		sqe.cdw12 |= htole32(TH_FUA);
	assert_int_equal(th_exec(&m->c->ctrl.io[0], &sqe, buf, len), 0);
	memcpy(m->shadow + lba * m->bs, buf, len);
}

static void do_read(struct model *m, uint64_t lba, uint32_t blocks)
{
	size_t len = (size_t)blocks * m->bs;
	char *buf = m->c->buf + (th_random(&m->rng) % 4 == 0 ? th_random(&m->rng) % 4096 : 0);

	assert_int_equal(th_read(&m->c->ctrl, 1, lba, blocks, buf, len), 0);
	assert_memory_equal(buf, m->shadow + lba * m->bs, len);
}

static void do_zeroes(struct model *m, uint64_t lba, uint32_t blocks)
{
	assert_int_equal(conf_rw(m->c, TH_WRITE_ZEROES, lba, blocks, th_random(&m->rng) % 2 ? TH_DEAC : 0), 0);
	memset(m->shadow + lba * m->bs, 0, (size_t)blocks * m->bs);
}

static void do_deallocate(struct model *m, uint64_t lba, uint32_t blocks)
{
	struct th_range range = {0, htole32(blocks), htole64(lba)};

	assert_int_equal(conf_deallocate(m->c, &range, 1), 0);
	if (!m->keeps)
		memset(m->shadow + lba * m->bs, 0, (size_t)blocks * m->bs);
}

static void do_compare(struct model *m, uint64_t lba, uint32_t blocks)
{
	size_t len = (size_t)blocks * m->bs;
	bool spoil = th_random(&m->rng) % 2;

	memcpy(m->c->buf, m->shadow + lba * m->bs, len);
	if (spoil)
		m->c->buf[th_random(&m->rng) % len] ^= 0x10;
	assert_int_equal(th_sc(conf_rw(m->c, TH_COMPARE, lba, blocks, 0)), spoil ? TH_SC_COMPARE_FAILED : 0);
}

static void do_flush(struct model *m)
{
	struct nvmft_sqe sqe;

	th_sqe_init(&sqe, TH_FLUSH, 1);
	assert_int_equal(th_exec(&m->c->ctrl.io[0], &sqe, NULL, 0), 0);
}

static void step(struct model *m)
{
	uint64_t what = th_random(&m->rng) % 100, lba;
	uint32_t blocks;

	choose_range(m, &lba, &blocks);
	if (what < 40)
		do_write(m, lba, blocks);
	else if (what < 75)
		do_read(m, lba, blocks);
	else if (what < 83)
		do_zeroes(m, lba, blocks);
	else if (what < 89)
		do_deallocate(m, lba, blocks);
	else if (what < 99)
		do_compare(m, lba, blocks);
	else
		do_flush(m);
}

static void test_model(void **state)
{
	struct conf *c = *state;
	uint64_t seed = number("CONF_SEED", 20240607);
	uint64_t ops = number("CONF_OPS", c->kind.transport == TH_LOOPBACK ? 4000 : 1000);
	struct model m = {.c = c, .rng = seed, .bs = c->block_size, .keeps = !conf_deallocates(c)};

	m.shadow = calloc(MODEL_BLOCKS, m.bs);
	assert_non_null(m.shadow);
	print_message("seed %llu, %llu commands\n", (unsigned long long)seed, (unsigned long long)ops);
	for (uint64_t i = 0; i < ops; i++)
		step(&m);
	for (uint64_t lba = 0; lba < MODEL_BLOCKS; lba += 128)
		do_read(&m, lba, 128);
	free(m.shadow);
}

static const struct conf_test tests[] = {
	{"random commands", test_model, CONF_KEEPS_DATA},
};

int main(void)
{
	return conf_run("model", tests, sizeof(tests) / sizeof(tests[0]));
}
