/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way of an I/O to the backend and back, by inclusion: channel.c with a backend that the test completes by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "channel.c"

#define MAX 64

static struct nvmft_io *given[MAX]; /* what the backend has */
static unsigned int ngiven, nflush, npoll, nopen, nclose, naborted, refs, depth, deepest, steps;
static bool inside, done_at_poll;
static int open_result, arm_result;
static struct nvmft_call *posted;

void nvmft_namespace_get(struct nvmft_namespace *ns)
{
	(void)ns;
	refs++;
}

void nvmft_namespace_put(struct nvmft_namespace *ns)
{
	(void)ns;
	refs--;
}

void nvmft_poll_group_call(struct nvmft_poll_group *group, struct nvmft_call *call)
{
	(void)group;
	posted = call;
}

int nvmft_pool_each_region(struct nvmft_poll_group *group, int (*fn)(void *ctx, const struct nvmft_region *region),
			   void *ctx)
{
	(void)group;
	(void)fn;
	(void)ctx;
	return 0;
}

void nvmft_vlog(const struct nvmft_target *target, enum nvmft_log_level level, const char *prefix, const char *format,
		va_list ap)
{
	(void)target;
	(void)level;
	(void)prefix;
	(void)format;
	(void)ap;
}

/* The namespace has so many blocks by now. */
static uint64_t blocks_now;

nvmft_status nvmft_io_recheck(struct request *req, uint64_t lba, uint64_t blocks)
{
	(void)req;
	return lba + blocks > blocks_now ? SC_DNR(LBA_RANGE) : 0;
}

/* Its namespace is another one by now. */
static bool other_now;

nvmft_status nvmft_pass_recheck(struct request *req)
{
	(void)req;
	return other_now ? SC_DNR(INVALID_NS) : 0;
}

static int fake_channel_open(struct nvmft_channel *channel)
{
	assert_non_null(channel->priv);
	nopen++;
	return open_result;
}

static void fake_channel_close(struct nvmft_channel *channel)
{
	(void)channel;
	nclose++;
}

static void fake_submit(struct nvmft_channel *channel, struct nvmft_io *io)
{
	assert_ptr_equal(io->channel, channel);
	if (++depth > deepest)
		deepest = depth;
	if (inside)
		nvmft_io_done(io, 0);
	else
		given[ngiven++] = io;
	depth--;
}

static void fake_flush(struct nvmft_channel *channel)
{
	(void)channel;
	nflush++;
}

static int fake_poll(struct nvmft_channel *channel)
{
	(void)channel;
	npoll++;
	if (!done_at_poll || !ngiven)
		return 0;
	nvmft_io_done(given[--ngiven], 0);
	return 1;
}

static int fake_arm(struct nvmft_channel *channel)
{
	(void)channel;
	return arm_result;
}

static void fake_abort(struct nvmft_channel *channel, struct nvmft_io *io)
{
	(void)channel;
	(void)io;
	naborted++;
}

struct fixture {
	struct nvmft_poll_group group;
	struct nvmft_namespace ns;
	struct ns_view nsv;
	struct request *reqs[MAX];
};

static unsigned int finished[MAX], nfinished;
static nvmft_status last_status;

static void finish(struct request *req)
{
	finished[nfinished++] = req->arg;
	last_status = req->io.status;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	unsigned int i;

	if (!f)
		return -1;
	TAILQ_INIT(&f->group.dirty_channels);
	TAILQ_INIT(&f->group.polled_channels);
	pthread_mutex_init(&f->ns.stats_lock, NULL);
	LIST_INIT(&f->ns.channels);
	f->ns.slot = 3;
	f->ns.ops = (struct nvmft_backend_ops){.channel_open = fake_channel_open,
					       .channel_close = fake_channel_close,
					       .submit = fake_submit,
					       .flush = fake_flush,
					       .poll = fake_poll,
					       .arm = fake_arm,
					       .abort = fake_abort,
					       .channel_size = 24};
	f->nsv = (struct ns_view){.ns = &f->ns, .nsid = 1};
	for (i = 0; i < MAX; i++) {
		f->reqs[i] = calloc(1, sizeof(*f->reqs[i]));
		f->reqs[i]->arg = i;
	}
	ngiven = nflush = npoll = nopen = nclose = naborted = refs = depth = deepest = steps = nfinished = 0;
	inside = done_at_poll = false;
	open_result = arm_result = 0;
	last_status = 0xffff;
	posted = NULL;
	blocks_now = 1000;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	nvmft_channels_fini(&f->group);
	assert_int_equal(refs, 0);
	assert_int_equal(nopen - (open_result ? 1 : 0), nclose);
	for (i = 0; i < MAX; i++)
		free(f->reqs[i]);
	free(f);
	return 0;
}

static struct ns_channel *channel(struct fixture *f)
{
	struct ns_channel *ch = NULL;

	assert_int_equal(channel_get(&f->group, &f->nsv, &ch), 0);
	/* The compiler does not know that a failed assertion does not return. */
	if (!ch)
		abort();
	return ch;
}

static void submit(struct fixture *f, unsigned int i)
{
	struct request *req = f->reqs[i];

	req->channel = channel(f);
	if (!req->next)
		req->next = finish;
	nvmft_channel_submit(req);
}

static void put(struct fixture *f, unsigned int i)
{
	channel_put(f->reqs[i]->channel);
}

static void test_one_channel_for_all_commands(void **state)
{
	struct ns_channel *a = channel(*state), *b = channel(*state);

	assert_ptr_equal(a, b);
	assert_int_equal(nopen, 1);
	assert_int_equal(refs, 1);
	channel_put(a);
	channel_put(b);
	assert_int_equal(nclose, 0);
}

static void test_a_channel_that_does_not_open_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct ns_channel *ch;

	open_result = -EIO;
	assert_int_equal(channel_get(&f->group, &f->nsv, &ch), -EIO);
	assert_int_equal(refs, 0);
	assert_null(f->group.channels[f->ns.slot]);
}

static void test_a_closing_channel_waits_for_its_commands(void **state)
{
	struct ns_channel *ch = channel(*state);

	counter_add(&ch->reads, 5);
	nvmft_channel_close(ch);
	assert_int_equal(nclose, 0);
	channel_put(ch);
	assert_int_equal(nclose, 1);
	assert_int_equal(((struct fixture *)*state)->ns.closed_stats.reads, 5);
}

static void test_completion_after_submit(void **state)
{
	submit(*state, 0);
	assert_int_equal(nfinished, 0);
	nvmft_io_done(given[0], 0x123);
	assert_int_equal(nfinished, 1);
	assert_int_equal(last_status, 0x123);
	put(*state, 0);
}

static void again(struct request *req)
{
	assert_int_equal(depth, 0);
	if (++steps < 100000)
		nvmft_channel_submit(req);
	else
		finish(req);
}

/* A command of many steps on a backend that completes inside submit: no frame of submit below another, no stack that grows. */
static void test_completion_inside_submit_does_not_recurse(void **state)
{
	struct fixture *f = *state;

	inside = true;
	f->reqs[0]->next = again;
	submit(f, 0);
	assert_int_equal(nfinished, 1);
	assert_int_equal(steps, 100000);
	assert_int_equal(deepest, 1);
	put(f, 0);
}

/* The same when the first step completes from the ring and the others inside submit. */
static void test_later_steps_inside_do_not_recurse(void **state)
{
	struct fixture *f = *state;

	f->reqs[0]->next = again;
	submit(f, 0);
	inside = true;
	nvmft_io_done(given[0], 0);
	assert_int_equal(nfinished, 1);
	assert_int_equal(deepest, 1);
	put(f, 0);
}

static void test_depth_is_never_exceeded(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	f->nsv.info.depth = 4;
	for (i = 0; i < 10; i++)
		submit(f, i);
	assert_int_equal(ngiven, 4);
	for (i = 0; i < 10; i++) {
		nvmft_io_done(given[i], 0);
		assert_true(ngiven - (i + 1) <= 4);
		assert_int_equal(finished[i], i);
	}
	for (i = 0; i < 10; i++)
		put(f, i);
}

/* The step of a command that was there does not overtake one that waits, and both keep within the depth. */
static void test_steps_share_the_depth_with_those_who_wait(void **state)
{
	struct fixture *f = *state;

	f->nsv.info.depth = 1;
	f->reqs[0]->next = again;
	steps = 99998;
	submit(f, 0);
	submit(f, 1);
	assert_int_equal(ngiven, 1);
	nvmft_io_done(given[0], 0);
	assert_int_equal(ngiven, 2);
	assert_ptr_equal(given[1], &f->reqs[1]->io);
	nvmft_io_done(given[1], 0);
	assert_int_equal(ngiven, 3);
	nvmft_io_done(given[2], 0);
	assert_int_equal(nfinished, 2);
	assert_int_equal(f->reqs[0]->channel->submitted, 0);
	put(f, 0);
	put(f, 1);
}

static void test_many_that_wait_complete_inside_without_recursion(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	f->nsv.info.depth = 1;
	for (i = 0; i < MAX; i++)
		submit(f, i);
	inside = true;
	nvmft_io_done(given[0], 0);
	assert_int_equal(nfinished, MAX);
	assert_int_equal(deepest, 1);
	for (i = 0; i < MAX; i++)
		put(f, i);
}

static void test_remote_completion_comes_by_message(void **state)
{
	submit(*state, 0);
	nvmft_io_done_remote(given[0], 0x111);
	assert_int_equal(nfinished, 0);
	assert_non_null(posted);
	posted->fn(posted);
	assert_int_equal(nfinished, 1);
	assert_int_equal(last_status, 0x111);
	put(*state, 0);
}

static nvmft_status wrapped_status;

static void wrapped_done(struct nvmft_io *io)
{
	wrapped_status = io->status;
}

static void test_a_wrappers_io_goes_to_the_wrapper(void **state)
{
	struct nvmft_channel pub = {.group = *state};
	struct nvmft_io *io = &((struct fixture *)*state)->reqs[0]->io;

	io->done = wrapped_done;
	io->channel = &pub;
	nvmft_io_done(io, 0x42);
	assert_int_equal(wrapped_status, 0x42);
	nvmft_io_done_remote(io, 0x43);
	posted->fn(posted);
	assert_int_equal(wrapped_status, 0x43);
}

static void test_flush_once_per_pass(void **state)
{
	struct fixture *f = *state;

	submit(f, 0);
	submit(f, 1);
	assert_int_equal(nvmft_channels_arm(&f->group), -EAGAIN);
	nvmft_channels_flush(&f->group);
	assert_int_equal(nflush, 1);
	nvmft_channels_flush(&f->group);
	assert_int_equal(nflush, 1);
	nvmft_io_done(given[0], 0);
	nvmft_io_done(given[1], 0);
	put(f, 0);
	put(f, 1);
}

static void test_poll_only_while_io_is_outstanding(void **state)
{
	struct fixture *f = *state;

	nvmft_channels_poll(&f->group);
	assert_int_equal(npoll, 0);
	submit(f, 0);
	nvmft_channels_flush(&f->group);
	arm_result = -EAGAIN;
	assert_int_equal(nvmft_channels_arm(&f->group), -EAGAIN);
	arm_result = 0;
	assert_int_equal(nvmft_channels_arm(&f->group), 0);
	assert_int_equal(nvmft_channels_poll(&f->group), 0);
	done_at_poll = true;
	assert_int_equal(nvmft_channels_poll(&f->group), 1);
	assert_int_equal(npoll, 2);
	nvmft_channels_poll(&f->group);
	assert_int_equal(npoll, 2);
	put(f, 0);
}

static void finish_and_put(struct request *req)
{
	channel_put(req->channel);
	finish(req);
}

static void test_the_last_command_may_end_inside_poll(void **state)
{
	struct fixture *f = *state;

	f->reqs[0]->next = finish_and_put;
	submit(f, 0);
	nvmft_channel_close(f->reqs[0]->channel);
	done_at_poll = true;
	assert_int_equal(nvmft_channels_poll(&f->group), 1);
	assert_int_equal(nclose, 1);
	assert_true(TAILQ_EMPTY(&f->group.polled_channels));
	assert_true(TAILQ_EMPTY(&f->group.dirty_channels));
}

static void test_abort_of_one_that_waits(void **state)
{
	struct fixture *f = *state;

	f->nsv.info.depth = 1;
	submit(f, 0);
	submit(f, 1);
	assert_true(nvmft_channel_abort(f->reqs[1]));
	assert_int_equal(last_status, SC(ABORT_REQ));
	assert_int_equal(naborted, 0);
	nvmft_io_done(given[0], 0);
	assert_int_equal(ngiven, 1);
	assert_int_equal(nfinished, 2);
	put(f, 0);
	put(f, 1);
}

static void test_abort_of_one_that_the_backend_has(void **state)
{
	submit(*state, 0);
	assert_false(nvmft_channel_abort(((struct fixture *)*state)->reqs[0]));
	assert_int_equal(naborted, 1);
	assert_int_equal(nfinished, 0);
	nvmft_io_done(given[0], 0);
	assert_int_equal(nfinished, 1);
	put(*state, 0);
}

static void submit_range(struct fixture *f, unsigned int i, enum nvmft_io_op op, uint64_t lba)
{
	f->reqs[i]->io.op = op;
	f->reqs[i]->io.lba = lba;
	f->reqs[i]->io.blocks = 1;
	submit(f, i);
}

static void test_what_waited_is_checked_against_the_size_again(void **state)
{
	struct fixture *f = *state;

	f->nsv.info.depth = 1;
	submit_range(f, 0, NVMFT_IO_WRITE, 999);
	submit_range(f, 1, NVMFT_IO_WRITE, 999);
	submit_range(f, 2, NVMFT_IO_READ, 500);
	submit_range(f, 3, NVMFT_IO_READ, 499);
	blocks_now = 500;
	nvmft_io_done(given[0], 0);
	assert_int_equal(nfinished, 3);
	assert_int_equal(finished[0], 0);
	assert_int_equal(finished[1], 1);
	assert_int_equal(finished[2], 2);
	assert_int_equal(last_status, SC_DNR(LBA_RANGE));
	assert_int_equal(ngiven, 2);
	assert_ptr_equal(given[1], &f->reqs[3]->io);
	nvmft_io_done(given[1], 0);
	assert_int_equal(f->reqs[0]->channel->submitted, 0);
	for (unsigned int i = 0; i < 4; i++)
		put(f, i);
}

static void test_what_has_no_range_is_not_checked_after_a_wait(void **state)
{
	struct fixture *f = *state;

	f->nsv.info.depth = 1;
	submit_range(f, 0, NVMFT_IO_FLUSH, 999);
	submit_range(f, 1, NVMFT_IO_FLUSH, 999);
	blocks_now = 0;
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(ngiven, i + 1);
		nvmft_io_done(given[i], 0);
		assert_int_equal(last_status, 0);
	}
	for (unsigned int i = 0; i < 2; i++)
		put(f, i);
}

static void test_a_command_that_waited_is_checked_in_its_own_way(void **state)
{
	struct fixture *f = *state;

	f->nsv.info.depth = 1;
	blocks_now = 0;
	submit_range(f, 0, NVMFT_IO_FLUSH, 0);
	submit_range(f, 1, NVMFT_IO_COMMAND, 999);
	submit_range(f, 2, NVMFT_IO_COMMAND, 999);
	nvmft_io_done(given[0], 0);
	assert_int_equal(ngiven, 2);
	other_now = true;
	nvmft_io_done(given[1], 0);
	other_now = false;
	assert_int_equal(ngiven, 2);
	assert_int_equal(nfinished, 3);
	assert_int_equal(last_status, SC_DNR(INVALID_NS));
	for (unsigned int i = 0; i < 3; i++)
		put(f, i);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_one_channel_for_all_commands),
		T(test_a_channel_that_does_not_open_leaves_nothing),
		T(test_a_closing_channel_waits_for_its_commands),
		T(test_completion_after_submit),
		T(test_completion_inside_submit_does_not_recurse),
		T(test_later_steps_inside_do_not_recurse),
		T(test_depth_is_never_exceeded),
		T(test_steps_share_the_depth_with_those_who_wait),
		T(test_many_that_wait_complete_inside_without_recursion),
		T(test_remote_completion_comes_by_message),
		T(test_a_wrappers_io_goes_to_the_wrapper),
		T(test_flush_once_per_pass),
		T(test_poll_only_while_io_is_outstanding),
		T(test_the_last_command_may_end_inside_poll),
		T(test_abort_of_one_that_waits),
		T(test_abort_of_one_that_the_backend_has),
		T(test_what_waited_is_checked_against_the_size_again),
		T(test_what_has_no_range_is_not_checked_after_a_wait),
		T(test_a_command_that_waited_is_checked_in_its_own_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
