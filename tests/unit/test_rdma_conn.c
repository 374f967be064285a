/* SPDX-License-Identifier: BSD-3-Clause */
/* The life and death of an NVMe/RDMA connection: whatever fails, it ends once and leaves nothing behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "conn.c"

/* What a connection has, each 1 while it has it. */
static struct {
	int up, dev, rx, qp, id, queue;
} has;
static int step, failing; /* the @failing-th call that may fail does */
static uint32_t reserved, sq_wanted, sq_most;
static unsigned int closed, rejected, terminated, polls, post_fails, released, drains;
static int used;

static int may_fail(void)
{
	return ++step == failing;
}

static struct rdma_conn *conn;
static struct nvmft_queue_head queue_head;
static struct rdma_group rg;
static struct nvmft_transport_group tg = {.priv = &rg};
static struct rdma_dev dev;
static struct rdma_rx rx = {.shared = true, .cap = 64};
static struct ibv_context context;
static struct ibv_device device = {.transport_type = IBV_TRANSPORT_IB};
static struct rdma_event_channel channel;
static struct rdma_cm_id id;

/* ---- verbs and librdmacm ---- */

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
	(void)qp;
	(void)bad;
	assert_int_equal(wr->wr_id, RDMA_WR_DRAIN);
	drains++;
	return post_fails ? EINVAL : 0;
}

struct ibv_qp *(ibv_create_qp)(struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
	static struct ibv_qp qp;

	(void)pd;
	sq_wanted = attr->cap.max_send_wr;
	errno = ENOMEM;
	if (sq_wanted > sq_most || may_fail())
		return NULL;
	qp = (struct ibv_qp){.context = &context, .qp_num = 7};
	has.qp++;
	return &qp;
}

int ibv_destroy_qp(struct ibv_qp *qp)
{
	(void)qp;
	has.qp--;
	return 0;
}

int ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
{
	(void)mask;
	qp->state = attr->qp_state;
	return attr->qp_state != IBV_QPS_ERR && may_fail() ? EINVAL : 0;
}

int rdma_init_qp_attr(struct rdma_cm_id *i, struct ibv_qp_attr *attr, int *mask)
{
	(void)i;
	(void)attr;
	*mask = IBV_QP_STATE;
	errno = EINVAL;
	return may_fail() ? -1 : 0;
}

int rdma_migrate_id(struct rdma_cm_id *i, struct rdma_event_channel *c)
{
	(void)i;
	(void)c;
	errno = ENODEV;
	return may_fail() ? -1 : 0;
}

int rdma_accept(struct rdma_cm_id *i, struct rdma_conn_param *param)
{
	(void)i;
	assert_int_equal(param->qp_num, 7);
	errno = EINVAL;
	return may_fail() ? -1 : 0;
}

int rdma_disconnect(struct rdma_cm_id *i)
{
	(void)i;
	return 0;
}

int rdma_destroy_id(struct rdma_cm_id *i)
{
	(void)i;
	has.id--;
	return 0;
}

const char *rdma_event_str(enum rdma_cm_event_type event)
{
	(void)event;
	return "";
}

/* ---- neighbours ---- */

int nvmft_queue_open(struct nvmft_port *port, struct nvmft_poll_group *group, uint64_t key, struct nvmft_queue **queue)
{
	(void)port;
	(void)group;
	(void)key;
	if (may_fail())
		return -ENOMEM;
	has.queue++;
	conn = calloc(1, sizeof(*conn));
	queue_head = (struct nvmft_queue_head){conn, &tg};
	*queue = (struct nvmft_queue *)&queue_head;
	return 0;
}

void nvmft_queue_closed(struct nvmft_queue *queue)
{
	(void)queue;
	has.queue--;
	closed++;
}

void nvmft_queue_terminated(struct nvmft_queue *queue, const char *reason)
{
	(void)queue;
	(void)reason;
	terminated++;
}

void nvmft_queue_log(struct nvmft_queue *queue, enum nvmft_log_level level, const char *format, ...)
{
	(void)queue;
	(void)level;
	(void)format;
}

void nvmft_timer_arm(struct nvmft_poll_group *group, struct nvmft_timer *timer, uint64_t delay_ns, uint64_t slack_ns)
{
	(void)group;
	(void)slack_ns;
	assert_true(delay_ns <= RDMA_DRAIN_MS * RDMA_NS_PER_MS);
	timer->armed = true;
}

void nvmft_timer_cancel(struct nvmft_poll_group *group, struct nvmft_timer *timer)
{
	(void)group;
	timer->armed = false;
}

uint64_t nvmft_inet_key(const union inet_end *end)
{
	(void)end;
	return 0;
}

union inet_end nvmft_rdma_addr(const struct sockaddr *sa)
{
	(void)sa;
	return (union inet_end){.sa = {.sa_family = AF_UNSPEC}};
}

int nvmft_rdma_group_up(struct rdma_group *g)
{
	(void)g;
	if (may_fail())
		return -EMFILE;
	has.up++;
	return 0;
}

void nvmft_rdma_group_down(struct rdma_group *g)
{
	(void)g;
	assert_int_equal(has.id, 0);
	has.up--;
}

int nvmft_rdma_dev_get(struct rdma_group *g, struct ibv_device *d, struct rdma_dev **out)
{
	(void)g;
	(void)d;
	if (may_fail())
		return -ENODEV;
	has.dev++;
	*out = &dev;
	return 0;
}

void nvmft_rdma_dev_put(struct rdma_dev *d)
{
	(void)d;
	assert_int_equal(has.qp + has.rx, 0);
	has.dev--;
}

void nvmft_rdma_dev_dead(struct rdma_dev *d, const char *why)
{
	d->dead = true;
	nvmft_rdma_conn_dead(conn, why);
	nvmft_rdma_conn_drained(conn);
}

void nvmft_rdma_dev_poll_all(struct rdma_dev *d)
{
	(void)d;
	/* Before and after the QP goes, and while its completions find the connection. */
	assert_int_equal(has.qp, polls++ % 2 == 0);
	assert_true(conn->hashed || conn->state == RDMA_CONN_CONNECTING);
}

void nvmft_rdma_dev_hash(struct rdma_dev *d, struct rdma_conn *c)
{
	LIST_INSERT_HEAD(&d->conns[0], c, hash_link);
	c->hashed = true;
}

int nvmft_rdma_cq_reserve(struct rdma_dev *d, struct rdma_cq *queue, uint32_t entries)
{
	assert_ptr_equal(queue, &d->sends);
	if (may_fail())
		return -ENOSPC;
	reserved += entries;
	return 0;
}

void nvmft_rdma_cq_unreserve(struct rdma_cq *queue, uint32_t entries)
{
	(void)queue;
	reserved -= entries;
}

int nvmft_rdma_rx_get(struct rdma_dev *d, const struct rdma_port *port, bool admin, uint32_t depth,
		      struct rdma_rx **out)
{
	(void)d;
	(void)port;
	(void)admin;
	assert_int_equal(depth, 32);
	if (may_fail())
		return -ENOMEM;
	has.rx++;
	*out = &rx;
	return 0;
}

int nvmft_rdma_rx_start(struct rdma_rx *r, struct ibv_qp *qp)
{
	(void)r;
	assert_int_equal(qp->state, IBV_QPS_INIT);
	return may_fail() ? -ENOMEM : 0;
}

void nvmft_rdma_rx_stop(struct rdma_rx *r)
{
	(void)r;
}

uint32_t nvmft_rdma_rx_sge(const struct rdma_rx *r)
{
	(void)r;
	return 2;
}

void nvmft_rdma_rx_put(struct rdma_rx *r, uint32_t depth, bool was_used)
{
	(void)r;
	assert_int_equal(has.qp, 0);
	assert_int_equal(depth, 32);
	used = was_used;
	has.rx--;
}

void nvmft_rdma_reject(struct rdma_cm_id *i, enum rdma_sts sts)
{
	(void)i;
	assert_int_equal(sts, RDMA_STS_NO_RESOURCES);
	rejected++;
}

void nvmft_rdma_build_accept(struct rdma_wire_accept *wire, uint32_t depth)
{
	(void)wire;
	(void)depth;
}

void nvmft_rdma_tx_flush(struct rdma_conn *c)
{
	(void)c;
}

void nvmft_rdma_tx_release_all(struct rdma_conn *c)
{
	(void)c;
	assert_int_equal(has.qp, 0);
	released++;
}

/* ---- the world ---- */

static int setup(void **state)
{
	(void)state;
	memset(&has, 0, sizeof(has));
	dev = (struct rdma_dev){.rg = &rg, .ctx = &context};
	dev.attr =
		(struct ibv_device_attr){.max_sge = 8, .max_sge_rd = 4, .max_qp_wr = 1024, .max_qp_init_rd_atom = 16};
	context.ops.post_send = post_send;
	context.device = &device;
	id = (struct rdma_cm_id){.verbs = &context, .channel = &channel};
	TAILQ_INIT(&rg.dirty);
	has.id = 1;
	step = failing = 0;
	reserved = 0;
	sq_most = UINT32_MAX;
	closed = rejected = terminated = polls = post_fails = released = drains = 0;
	used = -1;
	conn = NULL;
	return 0;
}

static void assert_nothing_left(void)
{
	assert_int_equal(has.up + has.dev + has.rx + has.qp + has.id + has.queue, 0);
	assert_int_equal(reserved, 0);
	assert_true(TAILQ_EMPTY(&rg.dirty));
	assert_null(LIST_FIRST(&dev.conns[0]));
	assert_int_equal(closed, 1);
	assert_int_equal(released, 1);
}

static int teardown(void **state)
{
	(void)state;
	free(conn);
	return 0;
}

static int create(void)
{
	static struct nvmft_transport_port tp;
	struct rdma_port port = {.tp = &tp};
	struct rdma_ask ask = {.qid = 1, .depth = 32, .hrqsize = 32};

	return nvmft_rdma_conn_create(&port, NULL, &id, &ask, 8);
}

/* The end of a pass. */
static void work(void)
{
	struct rdma_conn *c = TAILQ_FIRST(&rg.dirty);

	if (!c)
		return;
	TAILQ_REMOVE(&rg.dirty, c, link);
	c->dirty = false;
	nvmft_rdma_conn_work(c);
}

/* ---- tests ---- */

static void a_connection_ends_once_when_its_queue_is_empty(void **state)
{
	(void)state;
	assert_int_equal(create(), 0);
	nvmft_rdma_conn_event(conn, RDMA_CM_EVENT_ESTABLISHED, 0);
	nvmft_rdma_conn_event(conn, RDMA_CM_EVENT_DISCONNECTED, 0);
	nvmft_rdma_conn_event(conn, RDMA_CM_EVENT_DISCONNECTED, 0);
	nvmft_rdma_conn_dead(conn, "again");
	work();
	assert_int_equal(closed, 0);
	assert_int_equal(drains, 1);
	nvmft_rdma_conn_drained(conn);
	nvmft_rdma_conn_drained(conn);
	work();
	assert_int_equal(terminated, 0);
	assert_int_equal(used, true);
	assert_int_equal(polls, 2);
	assert_nothing_left();
}

static void nobody_waits_for_a_connection_that_is_gone(void **state)
{
	(void)state;
	create();
	conn->signals = 2;
	dev.signals = 3;
	nvmft_rdma_conn_dead(conn, NULL);
	assert_int_equal(dev.awaits, 1);
	nvmft_rdma_conn_drained(conn);
	work();
	assert_int_equal(dev.awaits, 0);
	assert_int_equal(dev.signals, 1);
	assert_nothing_left();
}

static void a_device_that_gives_nothing_back_has_its_time(void **state)
{
	(void)state;
	create();
	nvmft_rdma_conn_dead(conn, "retry exceeded");
	assert_true(conn->drain.armed);
	conn->drain.fn(&conn->drain);
	work();
	assert_int_equal(terminated, 1);
	assert_nothing_left();
}

static void a_queue_that_takes_no_last_request_is_not_waited_for(void **state)
{
	(void)state;
	create();
	post_fails = 1;
	nvmft_rdma_conn_dead(conn, NULL);
	work();
	assert_nothing_left();
}

static void the_end_of_a_device_ends_a_connection_that_was_ending(void **state)
{
	(void)state;
	create();
	nvmft_rdma_conn_dead(conn, "remote access error");
	nvmft_rdma_conn_event(conn, RDMA_CM_EVENT_DEVICE_REMOVAL, 0);
	work();
	assert_int_equal(terminated, 1);
	assert_nothing_left();
}

static void a_connection_that_the_host_never_completes_ends(void **state)
{
	(void)state;
	create();
	nvmft_rdma_conn_event(conn, RDMA_CM_EVENT_UNREACHABLE, -ETIMEDOUT);
	nvmft_rdma_conn_drained(conn);
	work();
	assert_nothing_left();
}

static void whatever_fails_in_the_beginning_leaves_nothing_behind(void **state)
{
	int steps;

	create();
	steps = step;
	assert_true(steps >= 13);
	free(conn);
	for (int i = 2; i <= steps; i++) {
		setup(state);
		failing = i;
		assert_int_equal(create(), 0);
		/* A QP that cannot be had is asked for again, smaller. */
		if (closed == 0) {
			assert_int_equal(has.qp, 1);
			nvmft_rdma_conn_dead(conn, NULL);
			nvmft_rdma_conn_drained(conn);
			work();
		} else {
			assert_int_equal(rejected, 1);
			assert_int_not_equal(used, true);
		}
		assert_nothing_left();
		free(conn);
	}
	conn = NULL;
}

static void no_queue_no_connection(void **state)
{
	(void)state;
	failing = 1;
	assert_int_equal(create(), -ENOMEM);
	assert_int_equal(has.id, 1);
}

static void a_send_queue_is_as_small_as_the_device_wants_it(void **state)
{
	(void)state;
	sq_most = 20;
	create();
	assert_int_equal(conn->sq_size, 16);
	assert_int_equal(reserved, 17);
	assert_true(conn->max_sge_read <= conn->max_sge && conn->max_sge < 8);
	nvmft_rdma_conn_dead(conn, NULL);
	nvmft_rdma_conn_drained(conn);
	work();
	assert_nothing_left();
}

static void a_device_that_cannot_read_hosts_is_refused(void **state)
{
	(void)state;
	dev.attr.max_qp_init_rd_atom = 0;
	assert_int_equal(create(), 0);
	assert_int_equal(rejected, 1);
	assert_nothing_left();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_connection_ends_once_when_its_queue_is_empty),
		TEST(nobody_waits_for_a_connection_that_is_gone),
		TEST(a_device_that_gives_nothing_back_has_its_time),
		TEST(a_queue_that_takes_no_last_request_is_not_waited_for),
		TEST(the_end_of_a_device_ends_a_connection_that_was_ending),
		TEST(a_connection_that_the_host_never_completes_ends),
		TEST(whatever_fails_in_the_beginning_leaves_nothing_behind),
		TEST(no_queue_no_connection),
		TEST(a_send_queue_is_as_small_as_the_device_wants_it),
		TEST(a_device_that_cannot_read_hosts_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
