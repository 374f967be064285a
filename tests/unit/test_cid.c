/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands by identifier: found, refused twice, at no cost while there are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cid.c"

#define ALL 65536

static struct request *new_request(uint16_t cid)
{
	struct request *req = zalloc_aligned(sizeof(*req));

	assert_non_null(req);
	req->pub.sqe.cid = cid;
	return req;
}

static void empty_table_takes_no_memory(void **state)
{
	struct cid_table table = {0};

	(void)state;
	assert_null(nvmft_cid_find(&table, 1));
	assert_null(table.heads);
}

static void command_is_found_until_it_is_removed(void **state)
{
	struct request *req = new_request(0x1234);
	struct cid_table table = {0};

	(void)state;
	assert_int_equal(nvmft_cid_insert(&table, req), 0);
	assert_ptr_equal(nvmft_cid_find(&table, 0x1234), req);
	assert_null(nvmft_cid_find(&table, 0x2234));
	nvmft_cid_remove(&table, req);
	assert_null(nvmft_cid_find(&table, 0x1234));
	nvmft_cid_remove(&table, req);
	assert_int_equal(table.count, 0);
	nvmft_cid_fini(&table);
	free(req);
}

static void same_identifier_is_refused(void **state)
{
	struct request *a = new_request(7), *b = new_request(7);
	struct cid_table table = {0};

	(void)state;
	assert_int_equal(nvmft_cid_insert(&table, a), 0);
	assert_int_equal(nvmft_cid_insert(&table, b), -EEXIST);
	nvmft_cid_remove(&table, b);
	assert_ptr_equal(nvmft_cid_find(&table, 7), a);
	nvmft_cid_fini(&table);
	free(a);
	free(b);
}

static void every_identifier_at_once(void **state)
{
	struct request **reqs = calloc(ALL, sizeof(struct request *));
	struct cid_table table = {0};
	int i;

	(void)state;
	assert_non_null(reqs);
	for (i = 0; i < ALL; i++) {
		reqs[i] = new_request((uint16_t)(i * 40503));
		assert_int_equal(nvmft_cid_insert(&table, reqs[i]), 0);
	}
	assert_int_equal(table.count, ALL);
	assert_int_equal(table.size, ALL);
	for (i = 0; i < ALL; i++) {
		assert_ptr_equal(nvmft_cid_find(&table, (uint16_t)(i * 40503)), reqs[i]);
		nvmft_cid_remove(&table, reqs[i]);
		free(reqs[i]);
	}
	assert_int_equal(table.count, 0);
	nvmft_cid_fini(&table);
	free(reqs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_table_takes_no_memory),
		cmocka_unit_test(command_is_found_until_it_is_removed),
		cmocka_unit_test(same_identifier_is_refused),
		cmocka_unit_test(every_identifier_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
