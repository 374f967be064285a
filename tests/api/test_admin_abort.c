/* SPDX-License-Identifier: BSD-3-Clause */
/* Abort. */
#include "admin_util.h"
#include "probe.h"

static void tune_abortable(struct probe *p)
{
	p->hold = true;
	p->held_abort = true;
}

static void tune_stubborn(struct probe *p)
{
	p->hold = true;
}

static int start(void **state, unsigned int groups, void (*tune)(struct probe *p))
{
	struct th_opts opts = {.groups = groups};
	struct probe_world *w = calloc(1, sizeof(*w));

	probe_world_start(w, &opts, tune);
	*state = w;
	return 0;
}

static int setup(void **state)
{
	return start(state, 1, tune_abortable);
}

/* The admin queue is in the first group and the I/O queue in use in the second. */
static int setup_two_groups(void **state)
{
	static const struct th_ctrl_opts opts = {.io_queues = 2};
	struct probe_world *w;

	start(state, 2, tune_abortable);
	w = *state;
	th_ctrl_disconnect(&w->ctrl);
	th_ctrl_connect(&w->t, &w->ctrl, &opts);
	w->q = &w->ctrl.io[1];
	return 0;
}

static int setup_stubborn(void **state)
{
	return start(state, 1, tune_stubborn);
}

static int teardown(void **state)
{
	struct probe_world *w = *state;

	w->probe.hold = false;
	probe_release(&w->probe, w->probe.nheld);
	probe_world_stop(w);
	free(w);
	return 0;
}

static void submit_read(struct probe_world *w, struct th_cmd *cmd, uint16_t cid, void *data)
{
	struct nvmft_sqe sqe;

	memset(cmd, 0, sizeof(*cmd));
	th_sqe_rw(&sqe, TH_READ, 1, 0, 1);
	sqe.cid = cid;
	th_submit_cid(w->q, cmd, &sqe, data, 512);
	th_settle(&w->t);
}

static void an_io_is_really_aborted(void **state)
{
	struct probe_world *w = *state;
	unsigned char data[512];
	struct th_cmd cmd;

	submit_read(w, &cmd, 500, data);
	assert_false(atomic_load(&cmd.done));
	assert_true(probe_abort_cmd(w, w->q->qid, 500));
	th_settle(&w->t);
	assert_true(atomic_load(&cmd.done));
	assert_int_equal(th_sc(cmd.status), TH_SC_ABORT_REQ);
}

static void an_io_that_the_backend_keeps_is_not_aborted(void **state)
{
	struct probe_world *w = *state;
	unsigned char data[512];
	struct th_cmd cmd;

	submit_read(w, &cmd, 500, data);
	assert_false(probe_abort_cmd(w, w->q->qid, 500));
	assert_false(atomic_load(&cmd.done));
	probe_release(&w->probe, 1);
	assert_int_not_equal(th_wait_cmd(&cmd), TH_SC_SQ_DELETED);
}

static void unknown_commands_and_queues_are_no_error(void **state)
{
	struct probe_world *w = *state;

	assert_false(probe_abort_cmd(w, 0, 999));
	assert_false(probe_abort_cmd(w, w->q->qid, 999));
	assert_false(probe_abort_cmd(w, 3, 1));
	assert_false(probe_abort_cmd(w, 65535, 65535));
}

static void an_aer_is_aborted(void **state)
{
	struct probe_world *w = *state;
	struct th_cmd aer = {0};
	struct nvmft_sqe sqe;

	th_sqe_init(&sqe, 0x0c, 0);
	sqe.cid = 4242;
	th_submit_cid(&w->ctrl.admin, &aer, &sqe, NULL, 0);
	th_settle(&w->t);
	assert_true(probe_abort_cmd(w, 0, 4242));
	th_settle(&w->t);
	assert_true(atomic_load(&aer.done));
	assert_int_equal(th_sc(aer.status), TH_SC_ABORT_REQ);
}

static void an_abort_does_not_end_itself(void **state)
{
	struct probe_world *w = *state;
	struct th_cmd cmd = {0};
	struct nvmft_sqe sqe;

	th_sqe_abort(&sqe, 0, 31000);
	sqe.cid = 31000;
	th_submit_cid(&w->ctrl.admin, &cmd, &sqe, NULL, 0);
	assert_int_equal(th_wait_cmd(&cmd), 0);
	assert_int_equal(le32toh(cmd.cqe.dw0), 1);
}

/* Both Aborts are under way to the other group when the second names the first. */
static void an_abort_of_an_abort_ends_neither(void **state)
{
	struct probe_world *w = *state;
	struct th_cmd first = {0}, second = {0};
	struct nvmft_sqe sqe;

	th_sqe_abort(&sqe, w->q->qid, 999);
	sqe.cid = 31000;
	th_submit_cid(&w->ctrl.admin, &first, &sqe, NULL, 0);
	th_sqe_abort(&sqe, 0, 31000);
	sqe.cid = 31001;
	th_submit_cid(&w->ctrl.admin, &second, &sqe, NULL, 0);
	assert_int_equal(th_wait_cmd(&second), 0);
	assert_int_equal(th_wait_cmd(&first), 0);
	assert_int_equal(le32toh(second.cqe.dw0), 1);
}

static void more_aborts_than_acl_are_refused(void **state)
{
	struct probe_world *w = *state;
	struct th_cmd cmds[6] = {0};
	struct nvmft_sqe sqe;
	unsigned int refused = 0;

	th_sqe_abort(&sqe, w->q->qid, 999);
	for (size_t i = 0; i < COUNT(cmds); i++)
		th_submit(&w->ctrl.admin, &cmds[i], &sqe, NULL, 0);
	for (size_t i = 0; i < COUNT(cmds); i++)
		refused += th_sc(th_wait_cmd(&cmds[i])) == (SC_CMD_SPECIFIC | 0x03);
	assert_int_equal(refused, 2);
	/* They are over, so the next is welcome. */
	assert_false(probe_abort_cmd(w, w->q->qid, 999));
}

static void a_storm_of_aborts_completes_each_command_once(void **state)
{
	struct probe_world *w = *state;
	static unsigned char data[16][512];
	struct th_cmd ios[16], aborts[16] = {0};
	struct nvmft_sqe sqe;

	for (uint16_t i = 0; i < COUNT(ios); i++)
		submit_read(w, &ios[i], (uint16_t)(600 + i), data[i]);
	for (uint16_t i = 0; i < COUNT(aborts); i++) {
		th_sqe_abort(&sqe, w->q->qid, (uint16_t)(600 + i));
		th_submit(&w->ctrl.admin, &aborts[i], &sqe, NULL, 0);
	}
	probe_release(&w->probe, w->probe.nheld / 2);
	for (size_t i = 0; i < COUNT(aborts); i++)
		th_wait_cmd(&aborts[i]);
	probe_release(&w->probe, w->probe.nheld);
	for (size_t i = 0; i < COUNT(ios); i++)
		th_wait_cmd(&ios[i]);
}

static void an_abort_survives_the_end_of_its_queue(void **state)
{
	struct probe_world *w = *state;
	struct th_cmd cmd = {0};
	struct nvmft_sqe sqe;

	th_sqe_abort(&sqe, w->q->qid, 999);
	th_submit(&w->ctrl.admin, &cmd, &sqe, NULL, 0);
	th_disconnect(w->q);
	assert_int_equal(th_wait_cmd(&cmd), 0);
}

static void an_abort_survives_the_end_of_its_association(void **state)
{
	struct probe_world *w = *state;
	struct th_cmd cmd = {0};
	struct nvmft_sqe sqe;

	th_sqe_abort(&sqe, w->q->qid, 999);
	th_submit(&w->ctrl.admin, &cmd, &sqe, NULL, 0);
	th_disconnect(&w->ctrl.admin);
	th_wait_cmd(&cmd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_TWO(name) cmocka_unit_test_setup_teardown(name, setup_two_groups, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_io_is_really_aborted),
		TEST_TWO(an_io_is_really_aborted),
		cmocka_unit_test_setup_teardown(an_io_that_the_backend_keeps_is_not_aborted, setup_stubborn, teardown),
		TEST(unknown_commands_and_queues_are_no_error),
		TEST_TWO(unknown_commands_and_queues_are_no_error),
		TEST(an_aer_is_aborted),
		TEST(an_abort_does_not_end_itself),
		TEST_TWO(an_abort_of_an_abort_ends_neither),
		TEST_TWO(more_aborts_than_acl_are_refused),
		TEST(a_storm_of_aborts_completes_each_command_once),
		TEST_TWO(a_storm_of_aborts_completes_each_command_once),
		TEST_TWO(an_abort_survives_the_end_of_its_queue),
		TEST_TWO(an_abort_survives_the_end_of_its_association),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
