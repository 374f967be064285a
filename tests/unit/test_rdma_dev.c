/* SPDX-License-Identifier: BSD-3-Clause */
/* A poll group's part of an RDMA device: the size of its completion queue, and its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dev.c"

#define CONNS 3

static struct ibv_context context;
static struct ibv_device device;
static struct rdma_group rg;
static struct rdma_conn conn[CONNS];
static unsigned int contexts, cqs, opened, starts;
static unsigned int dead[CONNS], drained[CONNS];
static bool no_resize, no_device;
static uint32_t completions; /* of the device */
static unsigned int notifies, timers;
static struct ibv_cq *told; /* the queue whose event is in the channel */
static int poll_error;
static struct ibv_async_event event;
static bool has_event;

/* ---- verbs ---- */

static int poll_cq(struct ibv_cq *cq, int n, struct ibv_wc *wc)
{
	(void)cq;
	if (poll_error)
		return poll_error;
	for (int i = 0; i < n; i++) {
		if (completions == 0)
			return i;
		completions--;
		wc[i] = (struct ibv_wc){.wr_id = 1};
	}
	return n;
}

static int req_notify_cq(struct ibv_cq *cq, int solicited)
{
	(void)cq;
	assert_int_equal(solicited, 0);
	notifies++;
	return 0;
}

struct ibv_context *ibv_open_device(struct ibv_device *d)
{
	if (no_device)
		return NULL;
	contexts++;
	opened++;
	context.device = d;
	context.ops.poll_cq = poll_cq;
	context.ops.req_notify_cq = req_notify_cq;
	context.async_fd = 0;
	return &context;
}

int ibv_close_device(struct ibv_context *c)
{
	(void)c;
	assert_true(cqs <= 2 * (contexts - 1));
	contexts--;
	return 0;
}

int ibv_query_device(struct ibv_context *c, struct ibv_device_attr *attr)
{
	(void)c;
	*attr = (struct ibv_device_attr){.max_cqe = 40000};
	return 0;
}

struct ibv_pd *ibv_alloc_pd(struct ibv_context *c)
{
	static struct ibv_pd pd;

	(void)c;
	return &pd;
}

int ibv_dealloc_pd(struct ibv_pd *pd)
{
	(void)pd;
	return 0;
}

struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *c)
{
	static struct ibv_comp_channel channel;

	(void)c;
	return &channel;
}

int ibv_destroy_comp_channel(struct ibv_comp_channel *channel)
{
	(void)channel;
	return 0;
}

struct ibv_cq *ibv_create_cq(struct ibv_context *c, int size, void *ctx, struct ibv_comp_channel *channel, int vector)
{
	struct ibv_cq *cq = calloc(1, sizeof(*cq));

	(void)channel;
	(void)vector;
	assert_non_null(cq);
	cq->context = c;
	cq->cq_context = ctx;
	cq->cqe = size;
	cqs++;
	return cq;
}

int ibv_resize_cq(struct ibv_cq *cq, int size)
{
	if (no_resize)
		return EOPNOTSUPP;
	assert_true(size > cq->cqe);
	cq->cqe = size;
	return 0;
}

int ibv_destroy_cq(struct ibv_cq *cq)
{
	free(cq);
	cqs--;
	return 0;
}

int ibv_get_cq_event(struct ibv_comp_channel *channel, struct ibv_cq **cq, void **ctx)
{
	(void)channel;
	if (!told)
		return -1;
	*cq = told;
	*ctx = told->cq_context;
	told = NULL;
	return 0;
}

void ibv_ack_cq_events(struct ibv_cq *cq, unsigned int n)
{
	(void)cq;
	(void)n;
}

int ibv_get_async_event(struct ibv_context *c, struct ibv_async_event *e)
{
	(void)c;
	*e = event;
	return has_event ? 0 : -1;
}

void ibv_ack_async_event(struct ibv_async_event *e)
{
	(void)e;
	has_event = false;
}

const char *ibv_event_type_str(enum ibv_event_type type)
{
	(void)type;
	return "";
}

/* ---- neighbours ---- */

void nvmft_ring_start(struct nvmft_poll_group *group, struct nvmft_ring_op *op)
{
	(void)group;
	(void)op;
	starts++;
}

void nvmft_ring_forget(struct nvmft_poll_group *group, struct nvmft_ring_op *op)
{
	(void)group;
	(void)op;
}

void nvmft_timer_arm(struct nvmft_poll_group *group, struct nvmft_timer *timer, uint64_t delay_ns, uint64_t slack_ns)
{
	(void)group;
	(void)slack_ns;
	assert_true(delay_ns > 0);
	timers += !timer->armed;
	timer->armed = true;
}

void nvmft_timer_cancel(struct nvmft_poll_group *group, struct nvmft_timer *timer)
{
	(void)group;
	timers -= timer->armed;
	timer->armed = false;
}

void nvmft_rdma_received(struct rdma_dev *dev, const struct ibv_wc *wc, int n)
{
	(void)dev;
	(void)wc;
	(void)n;
}

void nvmft_rdma_sent(struct rdma_dev *dev, const struct ibv_wc *wc, int n)
{
	(void)dev;
	(void)wc;
	(void)n;
}

void nvmft_rdma_rx_post(struct rdma_rx *rx)
{
	(void)rx;
}

int nvmft_rdma_mem_init(struct rdma_dev *dev)
{
	(void)dev;
	return 0;
}

void nvmft_rdma_mem_fini(struct rdma_dev *dev)
{
	(void)dev;
}

void nvmft_rdma_conn_dead(struct rdma_conn *c, const char *why)
{
	assert_non_null(why);
	dead[c - conn]++;
}

void nvmft_rdma_conn_drained(struct rdma_conn *c)
{
	drained[c - conn]++;
}

/* ---- the world ---- */

static int setup(void **state)
{
	(void)state;
	LIST_INIT(&rg.devs);
	memset(conn, 0, sizeof(conn));
	memset(dead, 0, sizeof(dead));
	memset(drained, 0, sizeof(drained));
	contexts = cqs = opened = starts = 0;
	no_resize = no_device = has_event = false;
	completions = 0;
	notifies = timers = 0;
	told = NULL;
	poll_error = 0;
	return 0;
}

static struct rdma_dev *get(void)
{
	struct rdma_dev *dev;

	assert_int_equal(nvmft_rdma_dev_get(&rg, &device, &dev), 0);
	return dev;
}

static struct rdma_dev *get_with_connections(void)
{
	struct rdma_dev *dev = get();

	for (uint32_t i = 0; i < CONNS; i++) {
		conn[i].qp_num = 100 * i;
		nvmft_rdma_dev_hash(dev, &conn[i]);
	}
	return dev;
}

static void assert_all_ended_once(void)
{
	for (unsigned int i = 0; i < CONNS; i++) {
		assert_int_equal(dead[i], 1);
		assert_int_equal(drained[i], 1);
	}
}

/* ---- tests ---- */

static void the_queue_grows_before_it_could_overflow(void **state)
{
	struct rdma_dev *dev = get();

	(void)state;
	for (unsigned int i = 0; i < 60; i++) {
		assert_int_equal(nvmft_rdma_cq_reserve(dev, &dev->sends, 500), 0);
		assert_true(dev->sends.cq->cqe >= (int)(i + 1) * 500);
	}
	assert_int_equal(nvmft_rdma_cq_reserve(dev, &dev->sends, 11000), -ENOSPC);
	assert_int_equal(nvmft_rdma_cq_reserve(dev, &dev->sends, 10000), 0);
	assert_int_equal(dev->sends.cq->cqe, 40000);
	nvmft_rdma_cq_unreserve(&dev->sends, 10000);
	assert_int_equal(nvmft_rdma_cq_reserve(dev, &dev->sends, 9000), 0);
	nvmft_rdma_dev_put(dev);
}

static void a_queue_that_cannot_grow_is_large(void **state)
{
	struct rdma_dev *dev;

	(void)state;
	no_resize = true;
	dev = get();
	assert_int_equal(cqs, 2);
	assert_int_equal(dev->sends.cq->cqe, RDMA_CQ_FIXED);
	assert_int_equal(nvmft_rdma_cq_reserve(dev, &dev->sends, RDMA_CQ_FIXED), 0);
	assert_true(nvmft_rdma_cq_reserve(dev, &dev->sends, 1) < 0);
	nvmft_rdma_cq_unreserve(&dev->sends, 1);
	assert_int_equal(nvmft_rdma_cq_reserve(dev, &dev->sends, 1), 0);
	nvmft_rdma_dev_put(dev);
}

static void a_device_is_opened_once_and_closed_with_its_last_connection(void **state)
{
	struct rdma_dev *dev = get();

	(void)state;
	assert_ptr_equal(get(), dev);
	assert_int_equal(opened, 1);
	nvmft_rdma_dev_put(dev);
	assert_int_equal(contexts, 1);
	nvmft_rdma_dev_put(dev);
	assert_int_equal(contexts, 0);
}

static void a_device_that_cannot_be_opened_leaves_nothing(void **state)
{
	struct rdma_dev *dev;

	(void)state;
	no_device = true;
	assert_true(nvmft_rdma_dev_get(&rg, &device, &dev) < 0);
	assert_null(LIST_FIRST(&rg.devs));
}

static void a_fatal_event_ends_all_connections_once(void **state)
{
	struct rdma_dev *dev = get_with_connections();

	(void)state;
	starts = 0;
	event.event_type = IBV_EVENT_DEVICE_FATAL;
	has_event = true;
	dev->async_op.complete(&dev->async_op, 0, 0);
	assert_all_ended_once();
	/* Its descriptors are ready for ever now. */
	dev->wake_op.complete(&dev->wake_op, 0, 0);
	assert_int_equal(starts, 0);
	nvmft_rdma_dev_dead(dev, "again");
	assert_all_ended_once();
	nvmft_rdma_dev_put(dev);
}

static void new_connections_do_not_use_what_is_broken(void **state)
{
	struct rdma_dev *dev = get_with_connections(), *other;

	(void)state;
	event.event_type = IBV_EVENT_CQ_ERR;
	has_event = true;
	dev->async_op.complete(&dev->async_op, 0, 0);
	assert_all_ended_once();
	other = get();
	assert_ptr_not_equal(other, dev);
	nvmft_rdma_dev_put(dev);
	nvmft_rdma_dev_put(other);
}

static void a_broken_queue_pair_ends_its_connection_only(void **state)
{
	struct rdma_dev *dev = get_with_connections();
	struct ibv_qp qp = {.qp_context = &conn[1]};

	(void)state;
	starts = 0;
	event.event_type = IBV_EVENT_QP_FATAL;
	event.element.qp = &qp;
	has_event = true;
	dev->async_op.complete(&dev->async_op, 0, 0);
	assert_int_equal(dead[0] + dead[2], 0);
	assert_int_equal(dead[1], 1);
	assert_int_equal(starts, 1);
	nvmft_rdma_dev_put(dev);
}

static void a_queue_that_cannot_be_polled_is_the_end(void **state)
{
	struct rdma_dev *dev = get_with_connections();

	(void)state;
	poll_error = -EIO;
	nvmft_rdma_dev_poll(dev);
	assert_all_ended_once();
	nvmft_rdma_dev_put(dev);
}

/* All that was sent is looked at, so that no host seems not to have taken it, and some of what came in. */
static void a_pass_leaves_time_for_others_an_end_does_not(void **state)
{
	struct rdma_dev *dev = get();

	(void)state;
	completions = 10000;
	assert_int_equal(nvmft_rdma_dev_poll(dev), dev->sends.size + RDMA_CQ_EVENTS);
	completions = 1000;
	nvmft_rdma_dev_poll_all(dev);
	assert_int_equal(completions, 0);
	completions = 100000;
	nvmft_rdma_dev_poll_all(dev);
	assert_true(completions > 0);
	nvmft_rdma_dev_put(dev);
}

static void only_receives_wake_a_group_that_waits_for_nothing_else(void **state)
{
	struct rdma_dev *dev = get();

	(void)state;
	assert_int_equal(nvmft_rdma_dev_arm(dev), 0);
	assert_int_equal(notifies, 1);
	assert_int_equal(nvmft_rdma_dev_arm(dev), 0);
	assert_int_equal(notifies, 1);
	dev->awaits = 1;
	assert_int_equal(nvmft_rdma_dev_arm(dev), 0);
	assert_int_equal(notifies, 2);
	assert_int_equal(timers, 0);
	nvmft_rdma_dev_put(dev);
}

static void what_a_response_holds_is_not_held_for_ever(void **state)
{
	struct rdma_dev *dev = get();

	(void)state;
	dev->signals = 1;
	assert_int_equal(nvmft_rdma_dev_arm(dev), 0);
	assert_int_equal(timers, 1);
	nvmft_rdma_dev_put(dev);
	assert_int_equal(timers, 0);
}

static void sweep(struct rdma_dev *dev)
{
	assert_true(dev->sweep.armed);
	nvmft_timer_cancel(NULL, &dev->sweep);
	dev->sweep.fn(&dev->sweep);
}

static void a_host_that_takes_nothing_does_not_wake_the_group_again_and_again(void **state)
{
	struct rdma_dev *dev = get();

	(void)state;
	dev->signals = 1;
	assert_int_equal(nvmft_rdma_dev_arm(dev), 0);
	sweep(dev);
	assert_false(dev->sends.armed);
	assert_int_equal(nvmft_rdma_dev_arm(dev), 0);
	assert_int_equal(nvmft_rdma_dev_arm(dev), 0);
	assert_true(dev->sends.armed);
	assert_int_equal(timers, 0);
	/* It takes a response at last, and there is another. */
	told = dev->sends.cq;
	completions = 1;
	dev->wake_op.complete(&dev->wake_op, 0, IORING_CQE_F_MORE);
	nvmft_rdma_dev_poll(dev);
	assert_int_equal(nvmft_rdma_dev_arm(dev), 0);
	assert_false(dev->sends.armed);
	assert_int_equal(timers, 1);
	nvmft_rdma_dev_put(dev);
}

static void a_host_that_takes_something_is_looked_at_later(void **state)
{
	struct rdma_dev *dev = get();

	(void)state;
	dev->signals = 1;
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(nvmft_rdma_dev_arm(dev), 0);
		sweep(dev);
		/* The pass finds it, before or after. */
		completions = 1;
		nvmft_rdma_dev_poll(dev);
	}
	assert_false(dev->sends.armed);
	nvmft_rdma_dev_put(dev);
}

static void what_came_in_before_it_was_asked_is_found(void **state)
{
	struct rdma_dev *dev = get();

	(void)state;
	completions = 1;
	assert_int_equal(nvmft_rdma_dev_arm(dev), -EAGAIN);
	assert_int_equal(completions, 0);
	assert_int_equal(nvmft_rdma_dev_arm(dev), 0);
	nvmft_rdma_dev_put(dev);
}

static void a_queue_that_has_told_is_asked_again(void **state)
{
	struct rdma_dev *dev = get();

	(void)state;
	assert_int_equal(nvmft_rdma_dev_arm(dev), 0);
	told = dev->receives.cq;
	dev->wake_op.complete(&dev->wake_op, 0, IORING_CQE_F_MORE);
	assert_null(told);
	assert_int_equal(nvmft_rdma_dev_arm(dev), 0);
	assert_int_equal(notifies, 2);
	nvmft_rdma_dev_put(dev);
}

static void the_channel_is_polled_until_the_device_ends(void **state)
{
	struct rdma_dev *dev = get();

	(void)state;
	starts = 0;
	dev->wake_op.complete(&dev->wake_op, 0, IORING_CQE_F_MORE);
	assert_int_equal(starts, 0);
	dev->wake_op.complete(&dev->wake_op, 0, 0);
	assert_int_equal(starts, 1);
	nvmft_rdma_dev_put(dev);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_queue_grows_before_it_could_overflow),
		TEST(a_queue_that_cannot_grow_is_large),
		TEST(a_device_is_opened_once_and_closed_with_its_last_connection),
		TEST(a_device_that_cannot_be_opened_leaves_nothing),
		TEST(a_fatal_event_ends_all_connections_once),
		TEST(new_connections_do_not_use_what_is_broken),
		TEST(a_broken_queue_pair_ends_its_connection_only),
		TEST(a_queue_that_cannot_be_polled_is_the_end),
		TEST(a_pass_leaves_time_for_others_an_end_does_not),
		TEST(only_receives_wake_a_group_that_waits_for_nothing_else),
		TEST(what_a_response_holds_is_not_held_for_ever),
		TEST(a_host_that_takes_nothing_does_not_wake_the_group_again_and_again),
		TEST(a_host_that_takes_something_is_looked_at_later),
		TEST(what_came_in_before_it_was_asked_is_found),
		TEST(a_queue_that_has_told_is_asked_again),
		TEST(the_channel_is_polled_until_the_device_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
