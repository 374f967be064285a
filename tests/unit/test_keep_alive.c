/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../../lib/keep_alive.c"

/* What keep_alive.c needs of its neighbours. */
static uint64_t now_ns, deadline_ns, latest_ns;
static unsigned int killed;

uint64_t nvmft_group_now(const struct nvmft_poll_group *group)
{
	(void)group;
	return now_ns;
}

void nvmft_timer_arm(struct nvmft_poll_group *group, struct nvmft_timer *timer, uint64_t delay, uint64_t slack)
{
	(void)group;
	timer->armed = true;
	deadline_ns = now_ns + delay;
	latest_ns = deadline_ns + slack;
}

void nvmft_timer_cancel(struct nvmft_poll_group *group, struct nvmft_timer *timer)
{
	(void)group;
	timer->armed = false;
}

void nvmft_ctrl_kill(struct nvmft_ctrl *ctrl, const char *reason)
{
	assert_string_equal(reason, "keep alive timeout");
	ctrl->state = CTRL_DYING;
	killed++;
}

nvmft_status nvmft_req_no_data(struct request *req, void (*run)(struct request *))
{
	req->execute = run;
	return 0;
}

void nvmft_req_complete(struct request *req, nvmft_status status)
{
	(void)req;
	assert_int_equal(status, 0);
}

struct world {
	struct nvmft_queue *admin, *io;
	struct nvmft_queue *ioqs[2];
	struct nvmft_ctrl ctrl;
};

static struct nvmft_queue *make_queue(struct nvmft_ctrl *ctrl)
{
	struct nvmft_queue *queue = aligned_alloc(64, sizeof(*queue));

	memset(queue, 0, sizeof(*queue));
	queue->ctrl = ctrl;
	return queue;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->admin = make_queue(&w->ctrl);
	w->io = make_queue(&w->ctrl);
	w->ioqs[1] = w->io; /* queue 2; queue 1 is not connected */
	w->ctrl.admin = w->admin;
	w->ctrl.ioqs = w->ioqs;
	w->ctrl.cap_ioqs = 2;
	now_ns = 1000 * NS_PER_MS;
	killed = 0;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	free(w->admin);
	free(w->io);
	free(w);
	return 0;
}

/* The timer may be as late as its slack allows. */
static void expire(struct world *w)
{
	assert_true(w->ctrl.ka_timer.armed);
	now_ns = latest_ns;
	w->ctrl.ka_timer.armed = false;
	w->ctrl.ka_timer.fn(&w->ctrl.ka_timer);
}

static void the_timeout_is_rounded_up(void **state)
{
	struct world *w = *state;

	nvmft_keep_alive_start(&w->ctrl, 1);
	assert_int_equal(w->ctrl.kato_ms, 100);
	nvmft_keep_alive_start(&w->ctrl, 5000);
	assert_int_equal(w->ctrl.kato_ms, 5000);
	nvmft_keep_alive_start(&w->ctrl, UINT32_MAX);
	assert_true(w->ctrl.kato_ms > UINT32_MAX - KEEP_ALIVE_GRANULARITY_MS);
}

static void a_silent_host_is_given_up(void **state)
{
	struct world *w = *state;

	nvmft_keep_alive_start(&w->ctrl, 5000);
	expire(w);
	assert_int_equal(killed, 1);
	assert_int_equal(w->ctrl.csts & 2, 2);
}

static void it_never_fires_before_the_timeout(void **state)
{
	struct world *w = *state;

	nvmft_keep_alive_start(&w->ctrl, 5000);
	assert_true(deadline_ns - now_ns >= 5000 * NS_PER_MS);
	assert_true(latest_ns - now_ns <= 5500 * NS_PER_MS);
}

static void slack_is_a_tenth_of_a_short_timeout(void **state)
{
	struct world *w = *state;

	nvmft_keep_alive_start(&w->ctrl, 1000);
	assert_int_equal(latest_ns - deadline_ns, 100 * NS_PER_MS);
}

static void slack_of_a_long_timeout_is_half_a_second(void **state)
{
	struct world *w = *state;

	nvmft_keep_alive_start(&w->ctrl, 60000);
	assert_int_equal(latest_ns - deadline_ns, 500 * NS_PER_MS);
}

static void admin_traffic_keeps_alive(void **state)
{
	struct world *w = *state;

	nvmft_keep_alive_start(&w->ctrl, 5000);
	counter_add(&w->admin->commands, 1);
	expire(w);
	assert_int_equal(killed, 0);
	assert_true(w->ctrl.ka_timer.armed);
	expire(w);
	assert_int_equal(killed, 1);
}

static void io_traffic_keeps_alive(void **state)
{
	struct world *w = *state;

	nvmft_keep_alive_start(&w->ctrl, 5000);
	counter_add(&w->io->commands, 3);
	expire(w);
	assert_int_equal(killed, 0);
}

static void a_keep_alive_command_starts_the_time_anew(void **state)
{
	struct request *req = aligned_alloc(64, sizeof(*req));
	struct world *w = *state;
	uint64_t first;

	memset(req, 0, sizeof(*req));
	req->pub.queue = w->admin;
	nvmft_keep_alive_start(&w->ctrl, 5000);
	first = deadline_ns;
	now_ns += 3000 * NS_PER_MS;
	assert_int_equal(nvmft_keep_alive_parse(req), 0);
	req->execute(req);
	assert_int_equal(deadline_ns - first, 3000 * NS_PER_MS);
	free(req);
}

/* A host may send the command whether it asked for a timeout or not. */
static void a_keep_alive_command_without_a_timeout_starts_nothing(void **state)
{
	struct request *req = aligned_alloc(64, sizeof(*req));
	struct world *w = *state;

	memset(req, 0, sizeof(*req));
	req->pub.queue = w->admin;
	nvmft_keep_alive_start(&w->ctrl, 0);
	assert_int_equal(nvmft_keep_alive_parse(req), 0);
	req->execute(req);
	assert_false(w->ctrl.ka_timer.armed);
	free(req);
}

static void a_timeout_of_zero_stops_it(void **state)
{
	struct world *w = *state;

	nvmft_keep_alive_start(&w->ctrl, 5000);
	nvmft_keep_alive_start(&w->ctrl, 0);
	assert_false(w->ctrl.ka_timer.armed);
}

static void a_forgotten_discovery_controller_goes_away(void **state)
{
	struct world *w = *state;

	w->ctrl.discovery = true;
	nvmft_keep_alive_start(&w->ctrl, 0);
	assert_int_equal(w->ctrl.kato_ms, 0);
	assert_true(deadline_ns - now_ns == 120000 * NS_PER_MS);
	expire(w);
	assert_int_equal(killed, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_timeout_is_rounded_up),
		TEST(a_silent_host_is_given_up),
		TEST(it_never_fires_before_the_timeout),
		TEST(slack_is_a_tenth_of_a_short_timeout),
		TEST(slack_of_a_long_timeout_is_half_a_second),
		TEST(admin_traffic_keeps_alive),
		TEST(io_traffic_keeps_alive),
		TEST(a_keep_alive_command_starts_the_time_anew),
		TEST(a_keep_alive_command_without_a_timeout_starts_nothing),
		TEST(a_timeout_of_zero_stops_it),
		TEST(a_forgotten_discovery_controller_goes_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
