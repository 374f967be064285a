/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../../lib/error_log.c"

/* What error_log.c needs of its neighbours. */
static struct nvme_error_log_page page[CTRL_ERROR_LOG_ENTRIES];
static unsigned int nentries, puts_of_ctrl;
static struct nvmft_call *posted[256];
static unsigned int nposted;

void nvmft_page_put(struct page_window *w, const void *src, size_t len)
{
	(void)w;
	assert_int_equal(len, sizeof(page[0]));
	memcpy(&page[nentries++], src, len);
}

void nvmft_poll_group_call(struct nvmft_poll_group *group, struct nvmft_call *call)
{
	(void)group;
	posted[nposted++] = call;
}

void nvmft_ctrl_put(struct nvmft_ctrl *ctrl)
{
	atomic_fetch_sub(&ctrl->refs, 1);
	puts_of_ctrl++;
}

struct world {
	struct nvmft_poll_group *groups[2];
	struct nvmft_port port;
	struct nvmft_queue *queue;
	struct nvmft_ctrl ctrl;
	struct request *req;
};

static void *zalloc64(size_t size)
{
	void *p = aligned_alloc(64, (size + 63) / 64 * 64);

	memset(p, 0, size);
	return p;
}

static int setup(void **state)
{
	struct world *w = zalloc64(sizeof(*w));

	w->groups[0] = zalloc64(sizeof(struct nvmft_poll_group));
	w->groups[1] = zalloc64(sizeof(struct nvmft_poll_group));
	w->queue = zalloc64(sizeof(*w->queue));
	w->req = zalloc64(sizeof(*w->req));
	w->port.ops.trtype = 3;
	w->queue->port = &w->port;
	w->queue->ctrl = &w->ctrl;
	w->queue->group = w->groups[0];
	w->ctrl.group = w->groups[0];
	atomic_init(&w->ctrl.refs, 1);
	w->req->pub.queue = w->queue;
	w->req->error_loc = NO_LOC;
	nentries = nposted = puts_of_ctrl = 0;
	memset(page, 0, sizeof(page));
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	nvmft_error_log_fini(&w->ctrl);
	free(w->groups[0]);
	free(w->groups[1]);
	free(w->queue);
	free(w->req);
	free(w);
	return 0;
}

static void read_page(struct world *w)
{
	struct page_window window = {.req = w->req};

	nentries = 0;
	nvmft_error_log_page(&window);
}

static void a_log_without_errors_is_empty(void **state)
{
	struct world *w = *state;

	read_page(w);
	assert_int_equal(nentries, 0);
	assert_null(w->ctrl.errors.entries);
}

static void an_entry_tells_what_went_wrong(void **state)
{
	struct world *w = *state;

	w->queue->qid = 2;
	w->req->pub.sqe.opcode = NVMFT_CMD_READ;
	w->req->pub.sqe.cid = htole16(77);
	w->req->pub.sqe.nsid = htole32(5);
	w->req->pub.sqe.cdw10 = htole32(0x89abcdef);
	w->req->pub.sqe.cdw11 = htole32(0x01234567);
	w->req->error_loc = SQE_LOC(cdw10);
	nvmft_error_log_record(w->req, SC_DNR(LBA_RANGE));
	read_page(w);
	assert_int_equal(nentries, 1);
	assert_int_equal(le64toh(page[0].error_count), 1);
	assert_int_equal(le16toh(page[0].sqid), 2);
	assert_int_equal(le16toh(page[0].cmdid), 77);
	assert_int_equal(le16toh(page[0].status_field), (0x4000 | NVME_SC_LBA_RANGE) << 1);
	assert_int_equal(le16toh(page[0].parm_error_location), 40);
	assert_true(le64toh(page[0].lba) == 0x0123456789abcdefull);
	assert_int_equal(le32toh(page[0].nsid), 5);
	assert_int_equal(page[0].trtype, 3);
}

static void a_fabrics_command_has_no_namespace(void **state)
{
	struct world *w = *state;

	w->req->pub.sqe.opcode = NVMFT_OPC_FABRICS;
	w->req->pub.sqe.nsid = htole32(4);
	nvmft_error_log_record(w->req, SC_DNR(INVALID_FIELD));
	read_page(w);
	assert_int_equal(page[0].nsid, 0);
}

static void the_newest_error_comes_first(void **state)
{
	struct world *w = *state;

	for (uint16_t cid = 1; cid <= 3; cid++) {
		w->req->pub.sqe.cid = htole16(cid);
		nvmft_error_log_record(w->req, SC_DNR(INVALID_FIELD));
	}
	read_page(w);
	assert_int_equal(nentries, 3);
	assert_int_equal(le16toh(page[0].cmdid), 3);
	assert_int_equal(le64toh(page[0].error_count), 3);
	assert_int_equal(le16toh(page[2].cmdid), 1);
}

static void the_oldest_error_is_forgotten(void **state)
{
	struct world *w = *state;

	for (uint16_t cid = 1; cid <= 100; cid++) {
		w->req->pub.sqe.cid = htole16(cid);
		nvmft_error_log_record(w->req, SC_DNR(INVALID_FIELD));
	}
	read_page(w);
	assert_int_equal(nentries, CTRL_ERROR_LOG_ENTRIES);
	assert_int_equal(le64toh(page[0].error_count), 100);
	assert_int_equal(le64toh(page[CTRL_ERROR_LOG_ENTRIES - 1].error_count), 37);
}

static void an_error_in_another_group_travels(void **state)
{
	struct world *w = *state;

	w->queue->group = w->groups[1];
	nvmft_error_log_record(w->req, SC_DNR(INVALID_FIELD));
	assert_int_equal(w->ctrl.errors.count, 0);
	assert_int_equal(nposted, 1);
	assert_int_equal(w->ctrl.refs, 2);
	posted[0]->fn(posted[0]);
	assert_int_equal(w->ctrl.errors.count, 1);
	assert_int_equal(w->ctrl.refs, 1);
}

static void a_flood_of_errors_does_not_pile_up(void **state)
{
	struct world *w = *state;

	w->queue->group = w->groups[1];
	for (unsigned int i = 0; i < 200; i++)
		nvmft_error_log_record(w->req, SC_DNR(INVALID_FIELD));
	assert_int_equal(nposted, RECORDS_IN_FLIGHT_MAX);
	for (unsigned int i = 0; i < nposted; i++)
		posted[i]->fn(posted[i]);
	assert_int_equal(w->ctrl.refs, 1);
	assert_int_equal(w->ctrl.error_records, 0);
}

static void a_dying_controller_takes_no_more(void **state)
{
	struct world *w = *state;

	w->ctrl.state = CTRL_DYING;
	nvmft_error_log_record(w->req, SC_DNR(INVALID_FIELD));
	assert_null(w->ctrl.errors.entries);
}

static void only_lost_data_counts_as_a_media_error(void **state)
{
	struct world *w = *state;

	nvmft_error_log_record(w->req, SC_MEDIA(COMPARE_FAILED));
	nvmft_error_log_record(w->req, SC_DNR(INVALID_FIELD));
	assert_int_equal(w->ctrl.errors.media, 0);
	nvmft_error_log_record(w->req, SC_MEDIA(READ_ERROR) | NVMFT_STATUS_DNR);
	assert_int_equal(w->ctrl.errors.media, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_log_without_errors_is_empty),          TEST(an_entry_tells_what_went_wrong),
		TEST(a_fabrics_command_has_no_namespace),     TEST(the_newest_error_comes_first),
		TEST(the_oldest_error_is_forgotten),          TEST(an_error_in_another_group_travels),
		TEST(a_flood_of_errors_does_not_pile_up),     TEST(a_dying_controller_takes_no_more),
		TEST(only_lost_data_counts_as_a_media_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
