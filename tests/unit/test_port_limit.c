/* SPDX-License-Identifier: BSD-3-Clause */
/* How many connections may be pending: in all, and of one address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "port_limit.c"

enum { HERE = 1, THERE };

static int setup(void **state)
{
	struct nvmft_port *port = calloc(1, sizeof(*port));

	assert_non_null(port);
	pthread_mutex_init(&port->addr_lock, NULL);
	*state = port;
	return 0;
}

static int teardown(void **state)
{
	struct nvmft_port *port = *state;

	pthread_mutex_destroy(&port->addr_lock);
	free(port->addrs);
	free(port);
	return 0;
}

static void without_limits_any_number_may_be_pending(void **state)
{
	for (unsigned int i = 0; i < 1000; i++)
		assert_int_equal(nvmft_port_pending_open(*state, HERE), 0);
}

static void as_many_may_be_pending_as_the_port_allows(void **state)
{
	struct nvmft_port *port = *state;

	port->opts.max_pending = 2;
	assert_int_equal(nvmft_port_pending_open(port, HERE), 0);
	assert_int_equal(nvmft_port_pending_open(port, THERE), 0);
	assert_int_equal(nvmft_port_pending_open(port, HERE), -EDQUOT);
	nvmft_port_pending_close(port, THERE);
	assert_int_equal(nvmft_port_pending_open(port, HERE), 0);
}

static void each_address_has_a_limit_of_its_own(void **state)
{
	struct nvmft_port *port = *state;

	port->opts.max_pending_per_address = 1;
	assert_int_equal(nvmft_port_pending_open(port, HERE), 0);
	assert_int_equal(nvmft_port_pending_open(port, HERE), -EDQUOT);
	assert_int_equal(nvmft_port_pending_open(port, THERE), 0);
	nvmft_port_pending_close(port, HERE);
	assert_int_equal(nvmft_port_pending_open(port, THERE), -EDQUOT);
	assert_int_equal(nvmft_port_pending_open(port, HERE), 0);
}

/* An attacker who is refused takes no place of others. */
static void what_is_refused_does_not_count(void **state)
{
	struct nvmft_port *port = *state;

	port->opts.max_pending = 2;
	port->opts.max_pending_per_address = 1;
	assert_int_equal(nvmft_port_pending_open(port, HERE), 0);
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(nvmft_port_pending_open(port, HERE), -EDQUOT);
	assert_int_equal(nvmft_port_pending_open(port, THERE), 0);
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(nvmft_port_pending_open(port, THERE), -EDQUOT);
	nvmft_port_pending_close(port, HERE);
	assert_int_equal(nvmft_port_pending_open(port, HERE), 0);
}

static void a_connection_without_an_address_counts_for_none(void **state)
{
	struct nvmft_port *port = *state;

	port->opts.max_pending_per_address = 1;
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(nvmft_port_pending_open(port, 0), 0);
}

/* From as many addresses as there are, one after the other. */
static void addresses_are_forgotten(void **state)
{
	struct nvmft_port *port = *state;

	port->opts.max_pending_per_address = 2;
	assert_int_equal(nvmft_port_pending_open(port, HERE), 0);
	for (uint64_t key = 100; key < 1100; key++) {
		assert_int_equal(nvmft_port_pending_open(port, key), 0);
		assert_int_equal(nvmft_port_pending_open(port, key), 0);
		nvmft_port_pending_close(port, key);
		nvmft_port_pending_close(port, key);
	}
	assert_int_equal(port->naddrs, 1);
	assert_int_equal(port->addrs[0].key, HERE);
	assert_int_equal(port->addrs[0].count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_limits_any_number_may_be_pending),
		TEST(as_many_may_be_pending_as_the_port_allows),
		TEST(each_address_has_a_limit_of_its_own),
		TEST(what_is_refused_does_not_count),
		TEST(a_connection_without_an_address_counts_for_none),
		TEST(addresses_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
