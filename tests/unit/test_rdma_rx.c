/* SPDX-License-Identifier: BSD-3-Clause */
/* NVMe/RDMA's receives against a device that the test plays: a first-in, first-out queue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "rx.c"

#define MAX 32u /* receives */
#define DEPTH 16u
#define PAGES 4096u

static struct {
	uint64_t wr_id[PAGES]; /* what is posted, the oldest first */
	uint32_t n;
} fifo;
static unsigned int buffers, reserved, dead, started, full; /* full: I/O has all data memory */
static bool refuses;                                        /* the device takes no receives */
static uint32_t takes;                                      /* so many */
static struct nvmft_iov given;                              /* to the last command */
static uint32_t room;                                       /* entries that the CQ may have */
static char memory[PAGES];
static struct rdma_conn conn;

/* ---- neighbours ---- */

static int post_srq_recv(struct ibv_srq *srq, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
	(void)srq;
	*bad = NULL;
	if (refuses)
		return EINVAL;
	for (; wr; wr = wr->next) {
		*bad = wr;
		if (takes-- == 0)
			return ENOMEM;
		assert_int_equal(wr->num_sge, 2);
		fifo.wr_id[fifo.n++] = wr->wr_id;
	}
	return 0;
}

static int post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
	return post_srq_recv((struct ibv_srq *)(void *)qp, wr, bad);
}

static struct ibv_context context = {.ops = {.post_srq_recv = post_srq_recv, .post_recv = post_recv}};
static struct ibv_qp qp = {.context = &context};

struct ibv_srq *ibv_create_srq(struct ibv_pd *pd, struct ibv_srq_init_attr *attr)
{
	struct ibv_srq *srq = calloc(1, sizeof(*srq));

	(void)pd;
	(void)attr;
	srq->context = &context;
	return srq;
}

int ibv_destroy_srq(struct ibv_srq *srq)
{
	free(srq);
	return 0;
}

const char *ibv_wc_status_str(enum ibv_wc_status status)
{
	(void)status;
	return "";
}

int nvmft_buffer_get(struct nvmft_poll_group *group, size_t len, bool beyond, struct nvmft_iov *iov)
{
	(void)group;
	if (full && !beyond)
		return -EAGAIN;
	buffers++;
	*iov = (struct nvmft_iov){memory, (uint32_t)len, 0};
	return 0;
}

void nvmft_buffer_put(struct nvmft_poll_group *group, const struct nvmft_iov *iov)
{
	(void)group;
	(void)iov;
	buffers--;
}

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

struct nvmft_request *nvmft_request_get(struct nvmft_queue *queue, int *error)
{
	static struct nvmft_request request;
	static struct rdma_req rreq;

	(void)queue;
	(void)error;
	request = (struct nvmft_request){.priv = &rreq};
	return &request;
}

bool nvmft_request_start(struct nvmft_request *request)
{
	given = request->given;
	started++;
	return true;
}

nvmft_status nvmft_rdma_parse_segment(const uint8_t *dptr, const uint8_t *data, uint32_t len, struct rdma_sgl *sgl,
				      uint64_t *total)
{
	(void)dptr;
	(void)data;
	(void)len;
	(void)sgl;
	(void)total;
	return 0;
}

void nvmft_rdma_conn_dead(struct rdma_conn *c, const char *why)
{
	(void)why;
	c->state = RDMA_CONN_DRAINING;
	dead++;
}

int nvmft_rdma_cq_reserve(struct rdma_dev *dev, struct rdma_cq *queue, uint32_t entries)
{
	assert_ptr_equal(queue, &dev->receives);
	if (reserved + entries > room)
		return -ENOSPC;
	reserved += entries;
	return 0;
}

void nvmft_rdma_cq_unreserve(struct rdma_cq *queue, uint32_t entries)
{
	(void)queue;
	reserved -= entries;
}

/* ---- the world ---- */

static struct rdma_port port;
static struct rdma_dev *dev;

static int setup(void **state)
{
	static struct ibv_mr mr, *mrs[] = {&mr};
	static struct rdma_group rg;

	(void)state;
	dev = calloc(1, sizeof(*dev));
	dev->rg = &rg;
	dev->mrs = mrs;
	dev->attr.max_srq = 1;
	dev->attr.max_srq_wr = dev->attr.max_qp_wr = 4096;
	LIST_INIT(&dev->rxs);
	port = (struct rdma_port){.in_capsule_size = 8192, .opts = {.receives = MAX}};
	conn = (struct rdma_conn){.qp_num = 1, .state = RDMA_CONN_LIVE};
	LIST_INSERT_HEAD(&dev->conns[1], &conn, hash_link);
	memset(memory, 0, sizeof(memory));
	fifo.n = buffers = reserved = dead = started = full = 0;
	room = 4096;
	refuses = false;
	takes = UINT32_MAX;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(buffers, 0);
	assert_int_equal(reserved, 0);
	free(dev);
	return 0;
}

static struct rdma_rx *join(void)
{
	struct rdma_rx *rx;

	assert_int_equal(nvmft_rdma_rx_get(dev, &port, false, DEPTH, &rx), 0);
	assert_int_equal(nvmft_rdma_rx_start(rx, &qp), 0);
	return rx;
}

static uint64_t take(void)
{
	uint64_t wr_id = fifo.wr_id[0];

	assert_true(fifo.n > 0);
	memmove(fifo.wr_id, fifo.wr_id + 1, --fifo.n * sizeof(wr_id));
	return wr_id;
}

static void receive_len(struct rdma_rx *rx, enum ibv_wc_status status, uint32_t len)
{
	struct ibv_wc wc = {.wr_id = take(), .status = status, .byte_len = SQE_LEN + len, .qp_num = 1};

	conn.rx = rx;
	nvmft_rdma_received(dev, &wc, 1);
	nvmft_rdma_rx_post(rx);
}

/* A capsule without data arrives. */
static void receive(struct rdma_rx *rx, enum ibv_wc_status status)
{
	receive_len(rx, status, 0);
}

/* A connection comes, and dies in the middle of a capsule. */
static void come_and_die(void)
{
	struct rdma_rx *rx = join();

	take();
	nvmft_rdma_rx_put(rx, DEPTH, true);
}

/* ---- tests ---- */

static void a_receive_that_is_lost_is_replaced(void **state)
{
	struct rdma_rx *rx = join();

	(void)state;
	for (unsigned int i = 0; i < MAX / 4; i++)
		come_and_die();
	assert_int_equal(rx->lost, MAX / 4);
	assert_true(fifo.n >= DEPTH);
	nvmft_rdma_rx_put(rx, DEPTH, true);
}

static void what_many_deaths_lost_is_known_exactly_later(void **state)
{
	struct rdma_rx *rx = join(), *other;

	(void)state;
	for (unsigned int i = 0; i < 5; i++) {
		other = join();
		nvmft_rdma_rx_put(other, DEPTH, true);
	}
	come_and_die();
	come_and_die();
	assert_int_equal(rx->lost, 7);
	for (unsigned int i = 0; i < 2 * MAX; i++)
		receive(rx, IBV_WC_SUCCESS);
	assert_int_equal(rx->lost, 2);
	assert_int_equal(fifo.n, DEPTH);
	assert_int_equal(rx_posted(rx), DEPTH + 2);
	nvmft_rdma_rx_put(rx, DEPTH, true);
}

static void a_queue_that_may_have_lost_much_gets_no_new_connections(void **state)
{
	struct rdma_rx *rx = join(), *other;

	(void)state;
	for (unsigned int i = 0; i <= MAX / 4; i++)
		come_and_die();
	other = join();
	assert_ptr_not_equal(other, rx);
	nvmft_rdma_rx_put(other, DEPTH, true);
	nvmft_rdma_rx_put(rx, DEPTH, true);
}

static void however_many_die_the_last_one_has_receives(void **state)
{
	struct rdma_rx *rx = join(), *other[MAX];
	unsigned int n = 0;

	(void)state;
	for (unsigned int i = 0; i < MAX / 4 - 1; i++)
		come_and_die();
	while (rx->users < MAX / 4) {
		other[n] = join();
		assert_ptr_equal(other[n++], rx);
	}
	while (n-- > 0) {
		take();
		nvmft_rdma_rx_put(other[n], DEPTH, true);
	}
	assert_true(fifo.n >= DEPTH);
	nvmft_rdma_rx_put(rx, DEPTH, true);
}

static void each_connection_has_a_share_of_four_receives(void **state)
{
	struct rdma_rx *rx[MAX / 4 + 1];

	(void)state;
	for (unsigned int i = 0; i < MAX / 4; i++)
		rx[i] = join();
	assert_ptr_equal(rx[0], rx[MAX / 4 - 1]);
	rx[MAX / 4] = join();
	assert_ptr_not_equal(rx[0], rx[MAX / 4]);
	for (unsigned int i = 0; i <= MAX / 4; i++)
		nvmft_rdma_rx_put(rx[i], DEPTH, false);
}

static void memory_goes_with_the_connections(void **state)
{
	struct rdma_rx *rx = join(), *other = join();
	unsigned int before;

	(void)state;
	assert_int_equal(rx_posted(rx), 2 * DEPTH);
	before = buffers;
	nvmft_rdma_rx_put(other, DEPTH, false);
	for (unsigned int i = 0; i < 3 * DEPTH; i++)
		receive(rx, IBV_WC_SUCCESS);
	assert_int_equal(rx_posted(rx), DEPTH);
	assert_int_equal(buffers, before - DEPTH);
	nvmft_rdma_rx_put(rx, DEPTH, false);
}

static void commands_get_in_while_io_has_all_memory(void **state)
{
	struct rdma_rx *rx;

	(void)state;
	full = 1;
	port.opts.receives = 2 * RDMA_RX_RESERVE;
	for (unsigned int i = 0; i < 4; i++)
		rx = join();
	assert_int_equal(rx_posted(rx), RDMA_RX_RESERVE);
	assert_true(rx->retry.armed);
	for (unsigned int i = 0; i < 2 * MAX; i++)
		receive(rx, IBV_WC_SUCCESS);
	assert_int_equal(started, 2 * MAX);
	assert_int_equal(rx_posted(rx), RDMA_RX_RESERVE);
	for (unsigned int i = 0; i < 4; i++)
		nvmft_rdma_rx_put(rx, DEPTH, false);
}

static void no_more_is_posted_than_completions_have_room_for(void **state)
{
	struct rdma_rx *rx, *other;

	(void)state;
	room = DEPTH + DEPTH / 2;
	rx = join();
	other = join();
	assert_ptr_equal(rx, other);
	assert_true(rx_posted(rx) <= room);
	nvmft_rdma_rx_put(other, DEPTH, true);
	nvmft_rdma_rx_put(rx, DEPTH, true);
}

static void a_queue_in_error_gets_its_own_receives_not_back(void **state)
{
	struct rdma_rx *rx;
	uint32_t n;

	(void)state;
	port.opts.per_queue_receives = true;
	rx = join();
	assert_int_equal(fifo.n, DEPTH);
	nvmft_rdma_rx_stop(rx);
	for (n = 0; fifo.n; n++)
		receive(rx, IBV_WC_WR_FLUSH_ERR);
	assert_int_equal(n, DEPTH);
	assert_int_equal(started, 0);
	nvmft_rdma_rx_put(rx, DEPTH, true);
}

static void a_device_that_takes_no_receives_is_asked_again(void **state)
{
	struct rdma_rx *rx;

	(void)state;
	refuses = true;
	rx = join();
	assert_int_equal(rx_posted(rx), 0);
	assert_true(rx->retry.armed);
	refuses = false;
	rx->retry.fn(&rx->retry);
	assert_int_equal(rx_posted(rx), DEPTH);
	nvmft_rdma_rx_put(rx, DEPTH, true);
}

static void what_a_device_has_not_taken_is_posted_again(void **state)
{
	struct rdma_rx *rx;

	(void)state;
	takes = DEPTH / 4;
	rx = join();
	assert_int_equal(rx_posted(rx), DEPTH / 4);
	assert_true(rx->retry.armed);
	takes = UINT32_MAX;
	rx->retry.fn(&rx->retry);
	assert_int_equal(rx_posted(rx), DEPTH);
	assert_int_equal(fifo.n, DEPTH);
	for (uint32_t i = 0; i < DEPTH; i++)
		for (uint32_t j = 0; j < i; j++)
			assert_true(fifo.wr_id[i] != fifo.wr_id[j]);
	nvmft_rdma_rx_put(rx, DEPTH, true);
}

/* In all headers. */
static void set_sgl(uint8_t type)
{
	for (uint32_t i = 0; i < HEADERS_PER_PAGE; i++)
		((struct nvmft_sqe *)(void *)memory)[i].dptr[15] = type;
}

static void a_command_keeps_the_buffer_of_its_data(void **state)
{
	struct rdma_rx *rx = join();

	(void)state;
	set_sgl(RDMA_SGL_OFFSET);
	receive_len(rx, IBV_WC_SUCCESS, 512);
	assert_non_null(given.base);
	assert_int_equal(buffers, DEPTH + 2); /* and the page of headers */
	assert_int_equal(rx_posted(rx), DEPTH);
	nvmft_buffer_put(NULL, &given);
	/* Without data it has no use for it, nor for descriptors, which are read. */
	receive(rx, IBV_WC_SUCCESS);
	assert_null(given.base);
	set_sgl(RDMA_SGL_LAST_SEGMENT);
	receive_len(rx, IBV_WC_SUCCESS, 512);
	assert_null(given.base);
	assert_int_equal(buffers, DEPTH + 1);
	nvmft_rdma_rx_put(rx, DEPTH, true);
}

/* It is not one of those that may be lost. */
static void what_is_not_posted_survives_no_death(void **state)
{
	struct rdma_rx *rx = join(), *other = join();

	(void)state;
	refuses = true;
	for (unsigned int i = 0; i < DEPTH / 2; i++)
		receive(rx, IBV_WC_SUCCESS);
	take();
	nvmft_rdma_rx_put(other, DEPTH, true);
	assert_int_equal(rx->lost, 1);
	refuses = false;
	nvmft_rdma_rx_post(rx);
	for (unsigned int i = 0; i < 4 * DEPTH; i++)
		receive(rx, IBV_WC_SUCCESS);
	assert_int_equal(rx->lost, 1);
	assert_int_equal(fifo.n, DEPTH);
	nvmft_rdma_rx_put(rx, DEPTH, true);
}

static void what_is_posted_after_a_death_has_survived_none(void **state)
{
	struct rdma_rx *rx = join(), *other = join();

	(void)state;
	nvmft_rdma_rx_put(other, DEPTH, false);
	for (unsigned int i = 0; i < 3 * DEPTH; i++)
		receive(rx, IBV_WC_SUCCESS);
	assert_int_equal(nvmft_rdma_rx_get(dev, &port, false, 1, &other), 0);
	assert_int_equal(nvmft_rdma_rx_start(other, &qp), 0);
	take();
	nvmft_rdma_rx_put(other, 1, true);
	other = join();
	for (unsigned int i = 0; i < 4 * MAX; i++)
		receive(rx, IBV_WC_SUCCESS);
	assert_int_equal(rx->lost, 1);
	nvmft_rdma_rx_put(other, DEPTH, false);
	nvmft_rdma_rx_put(rx, DEPTH, true);
}

static void a_receive_comes_back_to_those_that_it_is_of(void **state)
{
	struct ibv_wc wc = {.status = IBV_WC_WR_FLUSH_ERR, .qp_num = 1};
	struct rdma_rx *rx, *other;

	(void)state;
	dev->attr.max_srq = 0;
	rx = conn.rx = join();
	other = join();
	wc.wr_id = fifo.wr_id[DEPTH];
	nvmft_rdma_received(dev, &wc, 1);
	assert_int_equal(rx_posted(rx), DEPTH);
	assert_int_equal(rx_posted(other), DEPTH - 1);
	nvmft_rdma_rx_put(rx, DEPTH, true);
	nvmft_rdma_rx_put(other, DEPTH, true);
}

static void lost_receives_do_not_count_while_io_has_all_memory(void **state)
{
	struct rdma_rx *rx;

	(void)state;
	port.opts.receives = 2 * RDMA_RX_RESERVE;
	for (unsigned int i = 0; i < 4; i++)
		rx = join();
	take();
	nvmft_rdma_rx_put(rx, DEPTH, true);
	full = 1;
	set_sgl(RDMA_SGL_OFFSET);
	for (unsigned int i = 0; i < 50; i++) {
		receive_len(rx, IBV_WC_SUCCESS, 512);
		nvmft_buffer_put(NULL, &given);
	}
	assert_int_equal(rx->lost, 1);
	assert_int_equal(fifo.n, RDMA_RX_RESERVE);
	for (unsigned int i = 0; i < 3; i++)
		nvmft_rdma_rx_put(rx, DEPTH, true);
}

static void receives_of_connections_that_are_gone_come_back(void **state)
{
	struct rdma_rx *rx = join();
	struct ibv_wc wc = {.status = IBV_WC_WR_FLUSH_ERR, .qp_num = 7};

	(void)state;
	wc.wr_id = take();
	nvmft_rdma_received(dev, &wc, 1);
	nvmft_rdma_rx_post(rx);
	assert_int_equal(fifo.n, DEPTH);
	assert_int_equal(dead, 0);
	nvmft_rdma_rx_put(rx, DEPTH, true);
	/* Nor are there receives of that number any more. */
	nvmft_rdma_received(dev, &wc, 1);
}

static void devices_without_shared_queues_do(void **state)
{
	struct rdma_rx *rx, *other;

	(void)state;
	dev->attr.max_srq = 0;
	rx = join();
	other = join();
	assert_false(rx->shared);
	assert_ptr_not_equal(rx, other);
	assert_int_equal(fifo.n, 2 * DEPTH);
	nvmft_rdma_rx_put(rx, DEPTH, true);
	nvmft_rdma_rx_put(other, DEPTH, true);
}

static void small_devices_are_not_asked_for_more_than_they_have(void **state)
{
	struct rdma_rx *rx;

	(void)state;
	dev->attr.max_srq_wr = 20;
	rx = join();
	assert_true(rx->cap <= 20 && rx->max >= 8);
	nvmft_rdma_rx_put(rx, DEPTH, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_receive_that_is_lost_is_replaced),
		TEST(what_many_deaths_lost_is_known_exactly_later),
		TEST(a_queue_that_may_have_lost_much_gets_no_new_connections),
		TEST(however_many_die_the_last_one_has_receives),
		TEST(each_connection_has_a_share_of_four_receives),
		TEST(memory_goes_with_the_connections),
		TEST(commands_get_in_while_io_has_all_memory),
		TEST(no_more_is_posted_than_completions_have_room_for),
		TEST(a_queue_in_error_gets_its_own_receives_not_back),
		TEST(a_device_that_takes_no_receives_is_asked_again),
		TEST(what_a_device_has_not_taken_is_posted_again),
		TEST(a_command_keeps_the_buffer_of_its_data),
		TEST(what_is_not_posted_survives_no_death),
		TEST(what_is_posted_after_a_death_has_survived_none),
		TEST(a_receive_comes_back_to_those_that_it_is_of),
		TEST(lost_receives_do_not_count_while_io_has_all_memory),
		TEST(receives_of_connections_that_are_gone_come_back),
		TEST(devices_without_shared_queues_do),
		TEST(small_devices_are_not_asked_for_more_than_they_have),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
