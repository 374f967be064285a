/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../../lib/discovery.c"
#include "../../lib/discovery_log.c"

#define HOST "nqn.2024-01.org.example:host"

/* What the discovery log needs of its neighbours. */
static struct subsys_view views[3];

const struct subsys_view *nvmft_view_subsys_of(const struct nvmft_view *view, const struct nvmft_subsystem *subsys)
{
	(void)view;
	for (size_t i = 0; i < ARRAY_SIZE(views); i++)
		if (views[i].subsys == subsys)
			return &views[i];
	fail();
	return NULL;
}

bool nvmft_view_host_allowed(const struct subsys_view *sv, const char *hostnqn)
{
	assert_string_equal(hostnqn, HOST);
	return sv->allow_any_host;
}

const struct port_view *nvmft_view_port(const struct nvmft_view *view, const struct nvmft_port *port)
{
	for (uint32_t i = 0; i < view->nports; i++)
		if (view->ports[i].port == port)
			return &view->ports[i];
	return NULL;
}

void nvmft_page_put(struct page_window *w, const void *src, size_t len)
{
	(void)w;
	(void)src;
	(void)len;
}

nvmft_status nvmft_parse_admin_cmd(struct request *req)
{
	(void)req;
	return 0;
}

nvmft_status nvmft_identify_parse(struct request *req)
{
	(void)req;
	return 0;
}

static const char *local_text;

static void local_address(struct nvmft_queue *queue, char *text, size_t len)
{
	(void)queue;
	snprintf(text, len, "%s", local_text);
}

/* Ports 1 and 2 are TCP and serve a and b, or a alone; port 3 is another transport's. */
struct world {
	struct nvmft_subsystem disc, a, b;
	struct nvmft_port ports[3];
	struct nvmft_subsystem *links[2];
	struct referral referral;
	struct port_view port_views[3];
	struct nvmft_view view;
	struct nvmft_ctrl ctrl;
	struct disc_reader reader;
	struct nvmf_disc_log_entry entries[16];
	unsigned int n;
};

static void make_port(struct world *w, unsigned int i, uint8_t trtype, const char *traddr)
{
	struct nvmft_port *port = &w->ports[i];

	port->ops.trtype = trtype;
	port->ops.local_address = local_address;
	port->opts.portid = (uint16_t)(i + 1);
	port->adrfam = strchr(traddr, ':') ? NVMF_ADDR_FAMILY_IP6 : NVMF_ADDR_FAMILY_IP4;
	strcpy(port->traddr, traddr);
	strcpy(port->trsvcid, "4420");
	w->port_views[i].port = port;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	strcpy(w->disc.nqn, NVMFT_DISCOVERY_NQN);
	strcpy(w->a.nqn, "nqn.2024-01.org.example:a");
	strcpy(w->b.nqn, "nqn.2024-01.org.example:b");
	views[0] = (struct subsys_view){.subsys = &w->a, .allow_any_host = true};
	views[1] = (struct subsys_view){.subsys = &w->b, .allow_any_host = true};
	make_port(w, 0, 3, "192.0.2.1");
	make_port(w, 1, 3, "192.0.2.2");
	make_port(w, 2, 1, "192.0.2.3");
	w->links[0] = &w->a;
	w->links[1] = &w->b;
	for (unsigned int i = 0; i < 3; i++) {
		w->port_views[i].links = w->links;
		w->port_views[i].nlinks = i == 0 ? 2 : 1;
	}
	w->referral =
		(struct referral){.portid = 9, .trtype = 3, .adrfam = 1, .traddr = "192.0.2.99", .trsvcid = "8009"};
	strcpy(w->referral.nqn, NVMFT_DISCOVERY_NQN);
	w->view.ports = w->port_views;
	w->view.nports = 3;
	w->ctrl.subsys = &w->disc;
	w->ctrl.port = &w->ports[0];
	strcpy(w->ctrl.hostnqn, HOST);
	local_text = "192.0.2.1:4420";
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static void walk(struct world *w)
{
	struct disc_cursor cursor = {.reader = &w->reader};

	nvmft_disc_reader_init(&w->reader, &w->ctrl, &w->view);
	w->n = 0;
	while (nvmft_disc_next(&cursor, &w->entries[w->n]))
		w->n++;
}

static void every_port_of_the_transport_is_listed(void **state)
{
	struct world *w = *state;

	walk(w);
	assert_int_equal(w->n, 5);
	for (unsigned int i = 0; i < w->n; i++)
		assert_int_equal(w->entries[i].trtype, 3);
	assert_int_equal(w->entries[0].subtype, NVME_NQN_CURR);
	assert_string_equal(w->entries[1].subnqn, w->a.nqn);
	assert_string_equal(w->entries[2].subnqn, w->b.nqn);
	assert_int_equal(w->entries[3].subtype, NVME_NQN_CURR);
	assert_int_equal(le16toh(w->entries[4].portid), 2);
}

static void an_entry_says_how_to_connect(void **state)
{
	struct world *w = *state;

	walk(w);
	assert_int_equal(w->entries[1].subtype, NVME_NQN_NVME);
	assert_int_equal(w->entries[1].adrfam, NVMF_ADDR_FAMILY_IP4);
	assert_int_equal(w->entries[1].treq, NVMF_TREQ_DISABLE_SQFLOW);
	assert_int_equal(le16toh(w->entries[1].cntlid), 0xffff);
	assert_int_equal(le16toh(w->entries[1].asqsz), 32);
	assert_int_equal(w->entries[1].eflags, 0);
	assert_memory_equal(w->entries[1].traddr, "192.0.2.1   ", 12);
	assert_int_equal(w->entries[1].traddr[255], ' ');
	assert_memory_equal(w->entries[1].trsvcid, "4420    ", 8);
}

static void an_rdma_entry_says_what_connects(void **state)
{
	struct world *w = *state;

	w->ctrl.port = &w->ports[2];
	walk(w);
	assert_int_equal(w->entries[0].trtype, NVMF_TRTYPE_RDMA);
	assert_int_equal(w->entries[0].tsas.rdma.qptype, NVMF_RDMA_QPTYPE_CONNECTED);
	assert_int_equal(w->entries[0].tsas.rdma.prtype, NVMF_RDMA_PRTYPE_NOT_SPECIFIED);
	assert_int_equal(w->entries[0].tsas.rdma.cms, NVMF_RDMA_CMS_RDMA_CM);
}

static void a_static_subsystem_says_so(void **state)
{
	struct world *w = *state;

	w->a.opts.model_kind = NVMFT_CONTROLLERS_STATIC;
	walk(w);
	assert_int_equal(le16toh(w->entries[1].cntlid), 0xfffe);
}

static void a_subsystem_is_hidden_from_a_host_that_may_not_use_it(void **state)
{
	struct world *w = *state;

	views[0].allow_any_host = false;
	walk(w);
	assert_int_equal(w->n, 3);
	for (unsigned int i = 0; i < w->n; i++)
		assert_string_not_equal(w->entries[i].subnqn, w->a.nqn);
}

static void a_referral_of_the_port_is_listed_last(void **state)
{
	struct world *w = *state;

	w->port_views[0].referrals = &w->referral;
	w->port_views[0].nreferrals = 1;
	walk(w);
	assert_int_equal(w->n, 6);
	assert_int_equal(w->entries[5].subtype, NVME_NQN_DISC);
	assert_memory_equal(w->entries[5].traddr, "192.0.2.99 ", 11);
	assert_int_equal(le16toh(w->entries[5].portid), 9);
}

static void a_referral_of_another_port_is_not(void **state)
{
	struct world *w = *state;

	w->port_views[1].referrals = &w->referral;
	w->port_views[1].nreferrals = 1;
	walk(w);
	assert_int_equal(w->n, 5);
}

static void equal_logs_are_hinted_at(void **state)
{
	struct world *w = *state;

	walk(w);
	assert_int_equal(le16toh(w->entries[0].eflags), NVMF_DISC_EFLAGS_DUPRETINFO | NVMF_DISC_EFLAGS_EPCSD);
	w->port_views[1].referrals = &w->referral;
	w->port_views[1].nreferrals = 1;
	walk(w);
	assert_int_equal(le16toh(w->entries[0].eflags), NVMF_DISC_EFLAGS_EPCSD);
}

static void a_wildcard_listener_has_the_address_that_the_host_came_to(void **state)
{
	struct world *w = *state;

	strcpy(w->ports[0].traddr, "0.0.0.0");
	local_text = "198.51.100.7:4420";
	walk(w);
	assert_memory_equal(w->entries[1].traddr, "198.51.100.7 ", 13);
}

static void an_announced_address_goes_first(void **state)
{
	struct world *w = *state;

	strcpy(w->ports[0].traddr, "::");
	strcpy(w->ports[0].announce, "203.0.113.5");
	w->ports[0].adrfam = NVMF_ADDR_FAMILY_IP6;
	walk(w);
	assert_memory_equal(w->entries[1].traddr, "203.0.113.5 ", 12);
	assert_int_equal(w->entries[1].adrfam, NVMF_ADDR_FAMILY_IP4);
}

static void an_ipv4_host_on_an_ipv6_wildcard_gets_an_ipv4_address(void **state)
{
	struct world *w = *state;

	make_port(w, 0, 3, "::");
	local_text = "[::ffff:198.51.100.7]:4420";
	walk(w);
	assert_memory_equal(w->entries[1].traddr, "198.51.100.7 ", 13);
	assert_int_equal(w->entries[1].adrfam, NVMF_ADDR_FAMILY_IP4);
}

static void an_ipv4_wildcard_is_not_offered_over_ipv6(void **state)
{
	struct world *w = *state;

	strcpy(w->ports[1].traddr, "0.0.0.0");
	local_text = "[2001:db8::1]:4420";
	walk(w);
	assert_int_equal(w->n, 3);
}

static void addresses_are_stripped_of_their_port(void **state)
{
	static const char *const cases[][2] = {
		{"192.0.2.1:4420", "192.0.2.1"},
		{"192.0.2.1", "192.0.2.1"},
		{"[2001:db8::1]:4420", "2001:db8::1"},
		{"2001:db8::1", "2001:db8::1"},
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"", ""},
		{"[", ""},
	};
	char text[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		strcpy(text, cases[i][0]);
		nvmft_disc_strip_address(text);
		assert_string_equal(text, cases[i][1]);
	}
}

/* ---- what a host is told about changes ---- */

static void a_change_that_the_host_sees_is_a_change(void **state)
{
	struct world *w = *state;
	struct nvmft_view after = w->view;
	struct port_view ports[3];

	memcpy(ports, w->port_views, sizeof(ports));
	ports[1].nlinks = 2;
	after.ports = ports;
	after.disc_genctr = w->view.disc_genctr + 1;
	assert_true(nvmft_discovery_changed(&w->ctrl, &w->view, &after));
}

static void a_change_of_what_is_hidden_is_none(void **state)
{
	struct world *w = *state;
	struct nvmft_view after = w->view;
	struct port_view ports[3];

	views[1].allow_any_host = false;
	memcpy(ports, w->port_views, sizeof(ports));
	ports[1].nlinks = 2;
	after.ports = ports;
	after.disc_genctr = w->view.disc_genctr + 1;
	assert_false(nvmft_discovery_changed(&w->ctrl, &w->view, &after));
}

static void a_port_that_is_gone_is_a_change(void **state)
{
	struct world *w = *state;
	struct nvmft_view after = w->view;
	struct port_view ports[2];

	ports[0] = w->port_views[0];
	ports[1] = w->port_views[2];
	after.ports = ports;
	after.nports = 2;
	after.disc_genctr = w->view.disc_genctr + 1;
	assert_true(nvmft_discovery_changed(&w->ctrl, &w->view, &after));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_port_of_the_transport_is_listed),
		TEST(an_entry_says_how_to_connect),
		TEST(an_rdma_entry_says_what_connects),
		TEST(a_static_subsystem_says_so),
		TEST(a_subsystem_is_hidden_from_a_host_that_may_not_use_it),
		TEST(a_referral_of_the_port_is_listed_last),
		TEST(a_referral_of_another_port_is_not),
		TEST(equal_logs_are_hinted_at),
		TEST(a_wildcard_listener_has_the_address_that_the_host_came_to),
		TEST(an_announced_address_goes_first),
		TEST(an_ipv4_host_on_an_ipv6_wildcard_gets_an_ipv4_address),
		TEST(an_ipv4_wildcard_is_not_offered_over_ipv6),
		cmocka_unit_test(addresses_are_stripped_of_their_port),
		TEST(a_change_that_the_host_sees_is_a_change),
		TEST(a_change_of_what_is_hidden_is_none),
		TEST(a_port_that_is_gone_is_a_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
