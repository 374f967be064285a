/* SPDX-License-Identifier: BSD-3-Clause */
/* One namespace in two poll groups at once. */
#include "conf.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 16
#define AREA 256u /* blocks of each queue */

struct slot {
	struct th_cmd cmd;
	char *buf;
	uint64_t lba;
	uint64_t seed;
	bool writing;
};

/* Write a block, read it back, and so on; the slots of a queue share its area without meeting. */
struct stream {
	struct conf *c;
	struct th_queue *queue;
	struct slot slots[DEPTH];
	uint64_t rng;
};

static void next(struct stream *s, struct slot *slot)
{
	struct nvmft_sqe sqe;

	slot->writing = !slot->writing;
	if (slot->writing) {
		slot->seed = th_random(&s->rng);
		th_fill(slot->buf, s->c->block_size, slot->seed);
	} else {
		memset(slot->buf, 0xee, s->c->block_size);
	}
	th_sqe_rw(&sqe, slot->writing ? TH_WRITE : TH_READ, 1, slot->lba, 1);
	th_submit(s->queue, &slot->cmd, &sqe, slot->buf, s->c->block_size);
}

static void start_streams(struct conf *c, struct stream *streams)
{
	for (unsigned int q = 0; q < 2; q++) {
		struct stream *s = &streams[q];

		s->c = c;
		s->queue = &c->ctrl.io[q];
		s->rng = q;
		for (unsigned int i = 0; i < DEPTH; i++) {
			s->slots[i].buf = c->buf + (q * DEPTH + i) * c->block_size;
			s->slots[i].lba = q * AREA + i * (AREA / DEPTH);
			next(s, &s->slots[i]);
		}
	}
}

/* Move every slot that is done one step on. Returns the number of bad outcomes. */
static unsigned int turn(struct stream *s)
{
	bool keeps = s->c->kind.base != CONF_NULL;
	unsigned int bad = 0;

	for (unsigned int i = 0; i < DEPTH; i++) {
		struct slot *slot = &s->slots[i];

		bad += th_wait_cmd(&slot->cmd) != 0;
		if (!slot->writing && keeps)
			bad += !th_filled(slot->buf, s->c->block_size, slot->seed);
		if (!slot->writing)
			slot->lba = (uint64_t)(s->queue->qid - 1) * AREA + i * (AREA / DEPTH) +
				    th_random(&s->rng) % (AREA / DEPTH);
		next(s, slot);
	}
	return bad;
}

static void test_two_groups(void **state)
{
	struct conf *c = *state;
	struct stream *streams = calloc(2, sizeof(*streams));
	unsigned int bad = 0;

	assert_non_null(streams);
	start_streams(c, streams);
	for (unsigned int i = 0; i < 100; i++)
		for (unsigned int q = 0; q < 2; q++)
			bad += turn(&streams[q]);
	for (unsigned int q = 0; q < 2; q++)
		for (unsigned int i = 0; i < DEPTH; i++)
			bad += th_wait_cmd(&streams[q].slots[i].cmd) != 0;
	free(streams);
	assert_int_equal(bad, 0);
}

/*
 * Both queues count the same block up by fused Compare and Write. Each success is one step, so that no two of them may
 * have compared with the same value.
 */
struct counter {
	struct th_cmd cmds[2];
	char *compare, *write;
	uint64_t guess;
	unsigned int successes;
};

static void count_up(struct conf *c, struct counter *n, struct th_queue *queue)
{
	void *data[2] = {n->compare, n->write};
	size_t lens[2] = {c->block_size, c->block_size};
	struct nvmft_sqe sqes[2];
	uint64_t value = n->guess + 1;

	memset(n->compare, 0, c->block_size);
	memset(n->write, 0, c->block_size);
	memcpy(n->compare, &n->guess, sizeof(n->guess));
	memcpy(n->write, &value, sizeof(value));
	th_sqe_rw(&sqes[0], TH_COMPARE, 1, 0, 1);
	sqes[0].flags |= TH_FUSE_FIRST;
	th_sqe_rw(&sqes[1], TH_WRITE, 1, 0, 1);
	sqes[1].flags |= TH_FUSE_SECOND;
	th_submit_many(queue, n->cmds, sqes, data, lens, 2);
}

static void look(struct conf *c, struct counter *n, struct th_queue *queue)
{
	struct nvmft_sqe sqe;

	th_sqe_rw(&sqe, TH_READ, 1, 0, 1);
	assert_int_equal(th_exec(queue, &sqe, n->compare, c->block_size), 0);
	memcpy(&n->guess, n->compare, sizeof(n->guess));
}

static void test_fused_is_atomic(void **state)
{
	struct conf *c = *state;
	struct counter n[2];

	memset(n, 0, sizeof(n));
	for (unsigned int q = 0; q < 2; q++) {
		n[q].compare = c->buf + 2 * q * c->block_size;
		n[q].write = c->buf + (2 * q + 1) * c->block_size;
	}
	for (unsigned int i = 0; i < 300; i++) {
		for (unsigned int q = 0; q < 2; q++)
			count_up(c, &n[q], &c->ctrl.io[q]);
		for (unsigned int q = 0; q < 2; q++) {
			th_wait_cmd(&n[q].cmds[0]);
			n[q].successes += th_wait_cmd(&n[q].cmds[1]) == 0;
		}
		for (unsigned int q = 0; q < 2; q++)
			look(c, &n[q], &c->ctrl.io[q]);
		assert_int_equal(n[0].guess, n[0].successes + n[1].successes);
	}
	assert_true(n[0].guess >= 300);
}

/* Namespaces come and go while another one is in use on both threads. */
static void test_add_and_remove(void **state)
{
	struct conf *c = *state;
	struct stream *streams = calloc(2, sizeof(*streams));
	unsigned int bad = 0;

	assert_non_null(streams);
	start_streams(c, streams);
	for (unsigned int i = 0; i < 20; i++) {
		struct nvmft_namespace *ns = th_add_null(c->subsys, 1 << 20, 512);

		for (unsigned int q = 0; q < 2; q++)
			bad += turn(&streams[q]);
		th_remove_namespace(&c->t, ns);
	}
	for (unsigned int q = 0; q < 2; q++)
		for (unsigned int i = 0; i < DEPTH; i++)
			bad += th_wait_cmd(&streams[q].slots[i].cmd) != 0;
	free(streams);
	assert_int_equal(bad, 0);
}

/* The namespace itself goes: every command ends, well or with Invalid Namespace. */
static void test_remove_in_use(void **state)
{
	struct conf *c = *state;
	struct stream *streams = calloc(2, sizeof(*streams));
	struct th_done done;
	unsigned int bad = 0;

	assert_non_null(streams);
	start_streams(c, streams);
	assert_int_equal(nvmft_namespace_remove(c->ns, th_done_init(&done)), 0);
	for (unsigned int q = 0; q < 2; q++) {
		for (unsigned int i = 0; i < DEPTH; i++) {
			nvmft_status status = th_sc(th_wait_cmd(&streams[q].slots[i].cmd));

			bad += status != 0 && status != TH_SC_INVALID_NS;
		}
	}
	free(streams);
	assert_int_equal(bad, 0);
	assert_int_equal(th_done_wait(&c->t, &done), 0);
}

static const struct conf_test tests[] = {
	{"two groups", test_two_groups, CONF_THREADED},
	{"compare and write is atomic", test_fused_is_atomic, CONF_THREADED | CONF_KEEPS_DATA},
	{"namespaces come and go", test_add_and_remove, CONF_THREADED},
	{"namespace removed in use", test_remove_in_use, CONF_THREADED},
};

int main(void)
{
	return conf_run("threads", tests, sizeof(tests) / sizeof(tests[0]));
}
