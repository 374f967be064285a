/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../../lib/aer.c"

#define NS_NOTICE 0x00040002u

/* What aer.c needs of its neighbours. */
static struct request *completed[8];
static nvmft_status statuses[8];
static unsigned int ncompleted;

nvmft_status nvmft_req_no_data(struct request *req, void (*run)(struct request *))
{
	req->execute = run;
	return 0;
}

void nvmft_req_complete(struct request *req, nvmft_status status)
{
	assert_true(ncompleted < ARRAY_SIZE(completed));
	completed[ncompleted] = req;
	statuses[ncompleted++] = status;
}

struct world {
	struct nvmft_subsystem subsys;
	struct nvmft_queue *queue;
	struct nvmft_ctrl ctrl;
	struct request *reqs[8];
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->queue = aligned_alloc(64, sizeof(*w->queue));
	memset(w->queue, 0, sizeof(*w->queue));
	w->subsys.opts.max_aers = 4;
	w->ctrl.subsys = &w->subsys;
	w->queue->ctrl = &w->ctrl;
	TAILQ_INIT(&w->ctrl.aer.waiting);
	w->ctrl.features.aec = 1u << 8;
	for (size_t i = 0; i < ARRAY_SIZE(w->reqs); i++) {
		w->reqs[i] = aligned_alloc(64, sizeof(struct request));
		memset(w->reqs[i], 0, sizeof(struct request));
		w->reqs[i]->pub.queue = w->queue;
	}
	ncompleted = 0;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	nvmft_aer_fini(&w->ctrl);
	for (size_t i = 0; i < ARRAY_SIZE(w->reqs); i++)
		free(w->reqs[i]);
	free(w->queue);
	free(w);
	return 0;
}

static void send_aer(struct world *w, unsigned int i)
{
	assert_int_equal(nvmft_aer_parse(w->reqs[i]), 0);
	w->reqs[i]->execute(w->reqs[i]);
}

static void an_aer_waits_for_an_event(void **state)
{
	struct world *w = *state;

	send_aer(w, 0);
	assert_int_equal(ncompleted, 0);
	nvmft_aer_raise(&w->ctrl, AER_NS_ATTR_CHANGED);
	assert_int_equal(ncompleted, 1);
	assert_ptr_equal(completed[0], w->reqs[0]);
	assert_int_equal(le32toh(w->reqs[0]->pub.cqe.dw0), NS_NOTICE);
}

static void an_event_waits_for_an_aer(void **state)
{
	struct world *w = *state;

	nvmft_aer_raise(&w->ctrl, AER_NS_ATTR_CHANGED);
	send_aer(w, 0);
	assert_int_equal(ncompleted, 1);
}

static void an_event_is_masked_until_its_log_is_read(void **state)
{
	struct world *w = *state;

	send_aer(w, 0);
	send_aer(w, 1);
	nvmft_aer_raise(&w->ctrl, AER_NS_ATTR_CHANGED);
	nvmft_aer_raise(&w->ctrl, AER_NS_ATTR_CHANGED);
	assert_int_equal(ncompleted, 1);
	nvmft_aer_log_read(&w->ctrl, AER_NS_ATTR_CHANGED);
	assert_int_equal(ncompleted, 1);
	nvmft_aer_raise(&w->ctrl, AER_NS_ATTR_CHANGED);
	assert_int_equal(ncompleted, 2);
}

static void an_event_that_is_not_enabled_waits(void **state)
{
	struct world *w = *state;

	w->ctrl.features.aec = 0;
	send_aer(w, 0);
	nvmft_aer_raise(&w->ctrl, AER_NS_ATTR_CHANGED);
	assert_int_equal(ncompleted, 0);
	w->ctrl.features.aec = 1u << 8;
	nvmft_aer_config_changed(&w->ctrl);
	assert_int_equal(ncompleted, 1);
}

static void a_discovery_change_names_its_log(void **state)
{
	struct world *w = *state;

	w->ctrl.features.aec = 1u << 31;
	send_aer(w, 0);
	nvmft_aer_raise(&w->ctrl, AER_DISC_CHANGED);
	assert_int_equal(le32toh(w->reqs[0]->pub.cqe.dw0), 0x0070f002u);
}

static void more_aers_than_allowed_are_refused(void **state)
{
	struct world *w = *state;

	for (unsigned int i = 0; i < 5; i++)
		send_aer(w, i);
	assert_int_equal(ncompleted, 1);
	assert_ptr_equal(completed[0], w->reqs[4]);
	assert_int_equal(statuses[0], SC_CMD_DNR(ASYNC_LIMIT));
}

static void an_aborted_aer_is_completed_and_forgotten(void **state)
{
	struct world *w = *state;

	send_aer(w, 0);
	send_aer(w, 1);
	assert_true(nvmft_aer_abort(&w->ctrl, w->reqs[0]));
	assert_int_equal(statuses[0], SC(ABORT_REQ));
	nvmft_aer_raise(&w->ctrl, AER_NS_ATTR_CHANGED);
	assert_ptr_equal(completed[1], w->reqs[1]);
}

static void an_aborted_aer_makes_room_for_another(void **state)
{
	struct world *w = *state;

	for (unsigned int i = 0; i < 4; i++)
		send_aer(w, i);
	assert_true(nvmft_aer_abort(&w->ctrl, w->reqs[1]));
	send_aer(w, 4);
	assert_int_equal(ncompleted, 1);
}

static void another_command_is_not_aborted_as_an_aer(void **state)
{
	struct world *w = *state;

	send_aer(w, 0);
	assert_false(nvmft_aer_abort(&w->ctrl, w->reqs[1]));
	assert_int_equal(ncompleted, 0);
}

static void flush_completes_every_aer(void **state)
{
	struct world *w = *state;

	for (unsigned int i = 0; i < 3; i++)
		send_aer(w, i);
	nvmft_aer_flush(&w->ctrl);
	assert_int_equal(ncompleted, 3);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(statuses[i], SC(ABORT_QUEUE));
	assert_int_equal(w->ctrl.aer.nwaiting, 0);
}

/* ---- the Changed Namespace List ---- */

static struct nvmft_namespace some_ns[4];

static void added_removed_and_changed_namespaces_are_listed(void **state)
{
	struct ns_view was[] = {{.ns = &some_ns[0], .nsid = 1, .changed = 1},
				{.ns = &some_ns[1], .nsid = 2, .changed = 1},
				{.ns = &some_ns[2], .nsid = 4, .changed = 1}};
	struct ns_view is[] = {{.ns = &some_ns[0], .nsid = 1, .changed = 1},
			       {.ns = &some_ns[3], .nsid = 3, .changed = 2},
			       {.ns = &some_ns[2], .nsid = 4, .changed = 2}};
	struct subsys_view before = {.ns = was, .nns = 3}, after = {.ns = is, .nns = 3};
	struct world *w = *state;

	nvmft_aer_namespaces_changed(&w->ctrl, &before, &after);
	assert_int_equal(w->ctrl.aer.nchanged, 3);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(w->ctrl.aer.changed_ns[i], i + 2);
	assert_true(w->ctrl.aer.pending[AER_NS_ATTR_CHANGED]);
}

static void a_namespace_replaced_under_its_nsid_is_listed(void **state)
{
	struct ns_view was[] = {{.ns = &some_ns[0], .nsid = 1, .changed = 1}};
	struct ns_view is[] = {{.ns = &some_ns[1], .nsid = 1, .changed = 1}};
	struct subsys_view before = {.ns = was, .nns = 1}, after = {.ns = is, .nns = 1};
	struct world *w = *state;

	nvmft_aer_namespaces_changed(&w->ctrl, &before, &after);
	assert_int_equal(w->ctrl.aer.nchanged, 1);
}

static void a_change_of_something_else_raises_nothing(void **state)
{
	struct ns_view was[] = {{.ns = &some_ns[0], .nsid = 1, .changed = 1}};
	struct ns_view is[] = {{.ns = &some_ns[0], .nsid = 1, .changed = 1}};
	struct subsys_view before = {.ns = was, .nns = 1}, after = {.ns = is, .nns = 1};
	struct world *w = *state;

	nvmft_aer_namespaces_changed(&w->ctrl, &before, &after);
	assert_int_equal(w->ctrl.aer.nchanged, 0);
	assert_false(w->ctrl.aer.pending[AER_NS_ATTR_CHANGED]);
}

static void the_list_is_sorted_and_without_doubles(void **state)
{
	struct world *w = *state;
	static const uint32_t nsids[] = {9, 3, 7, 3, 9, 1};
	static const uint32_t sorted[] = {1, 3, 7, 9};

	for (size_t i = 0; i < ARRAY_SIZE(nsids); i++)
		changed_add(&w->ctrl.aer, nsids[i]);
	assert_int_equal(w->ctrl.aer.nchanged, 4);
	assert_memory_equal(w->ctrl.aer.changed_ns, sorted, sizeof(sorted));
}

static void more_than_the_list_holds_is_an_overflow(void **state)
{
	struct world *w = *state;

	for (uint32_t nsid = 1; nsid <= CTRL_CHANGED_NS_MAX; nsid++)
		changed_add(&w->ctrl.aer, nsid);
	assert_int_equal(w->ctrl.aer.nchanged, CTRL_CHANGED_NS_MAX);
	changed_add(&w->ctrl.aer, 5);
	assert_int_equal(w->ctrl.aer.nchanged, CTRL_CHANGED_NS_MAX);
	changed_add(&w->ctrl.aer, 5000);
	changed_add(&w->ctrl.aer, 5001);
	assert_int_equal(w->ctrl.aer.nchanged, CTRL_CHANGED_NS_MAX + 1);
	nvmft_aer_log_read(&w->ctrl, AER_NS_ATTR_CHANGED);
	assert_int_equal(w->ctrl.aer.nchanged, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_aer_waits_for_an_event),
		TEST(an_event_waits_for_an_aer),
		TEST(an_event_is_masked_until_its_log_is_read),
		TEST(an_event_that_is_not_enabled_waits),
		TEST(a_discovery_change_names_its_log),
		TEST(more_aers_than_allowed_are_refused),
		TEST(an_aborted_aer_is_completed_and_forgotten),
		TEST(an_aborted_aer_makes_room_for_another),
		TEST(another_command_is_not_aborted_as_an_aer),
		TEST(flush_completes_every_aer),
		TEST(added_removed_and_changed_namespaces_are_listed),
		TEST(a_namespace_replaced_under_its_nsid_is_listed),
		TEST(a_change_of_something_else_raises_nothing),
		TEST(the_list_is_sorted_and_without_doubles),
		TEST(more_than_the_list_holds_is_an_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
