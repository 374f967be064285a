/* SPDX-License-Identifier: BSD-3-Clause */
#include <unistd.h>

#include "capture.h"
#include "config_check.h"
#include "config_json.h"
#include "field.h"

#define N "nqn.2024-01.org.nvmft:"

struct world {
	struct capture said;
	struct config *c;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	capture_open(&w->said, "f");
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	capture_close(&w->said);
	config_free(w->c);
	free(w);
	return 0;
}

static void load(struct world *w, const char *json)
{
	char path[] = "/tmp/nvmft-config-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, json, strlen(json)), strlen(json));
	close(fd);
	report_init(&w->said.r, "f", w->said.out);
	w->c = config_from_json(path, &w->said.r);
	unlink(path);
	if (w->c)
		config_check(w->c, &w->said.r);
}

static const char subsystem_json[] =
	"{\"ports\":[{\"portid\":0,\"addr\":{\"trtype\":\"tcp\",\"traddr\":\"::1\",\"trsvcid\":\"4420\"},"
	"\"subsystems\":[\"" N "a\"]}],\"subsystems\":[{\"nqn\":\"" N "a\",%s}]}";

/* A good configuration with @members in its only subsystem. */
static void load_subsystem(struct world *w, const char *members)
{
	char *json;

	assert_true(asprintf(&json, subsystem_json, members) > 0);
	load(w, json);
	free(json);
}

static void takes_numbers_as_text_and_as_numbers(void **state)
{
	struct world *w = *state;

	load_subsystem(
		w, "\"attr\":{\"allow_any_host\":\"1\",\"qid_max\":\"16\",\"cntlid_min\":7,\"ieee_oui\":\"0xe4d25c\"}");
	assert_int_equal(w->said.r.errors, 0);
	assert_int_equal(w->c->subsystems[0].max_io_queues, 16);
	assert_int_equal(w->c->subsystems[0].cntlid_min, 7);
	assert_int_equal(w->c->subsystems[0].ieee_oui, 0xe4d25c);
	assert_true(w->c->subsystems[0].allow_any_host);
}

static void knows_the_family_by_the_address(void **state)
{
	struct world *w = *state;

	load_subsystem(w, "\"attr\":{\"allow_any_host\":1}");
	assert_int_equal(w->said.r.errors, 0);
	assert_int_equal(w->c->ports[0].addr.adrfam, 2);
}

static void gives_port_zero_a_number(void **state)
{
	struct world *w = *state;

	load_subsystem(w, "\"attr\":{\"allow_any_host\":1}");
	assert_int_equal(w->c->ports[0].portid, 1);
}

static void device_path_is_a_file(void **state)
{
	struct world *w = *state;

	load_subsystem(w, "\"namespaces\":[{\"nsid\":3,\"enable\":1,\"device\":{\"path\":\"/dev/x\","
			  "\"uuid\":\"43c4260a-826b-475d-9b42-883b4258f53f\"}}]");
	assert_int_equal(w->said.r.errors, 0);
	assert_int_equal(w->c->subsystems[0].ns[0].backend, BACKEND_FILE);
	assert_string_equal(w->c->subsystems[0].ns[0].path, "/dev/x");
	assert_int_equal(w->c->subsystems[0].ns[0].uuid[0], 0x43);
	assert_true(w->c->subsystems[0].ns[0].lock);
}

static void backend_extension(void **state)
{
	struct world *w = *state;
	const struct ns_config *ns;

	load_subsystem(
		w,
		"\"namespaces\":[{\"nsid\":1,\"backend\":{\"type\":\"memory\",\"size\":\"64MiB\",\"block_size\":4096}},"
		"{\"nsid\":2,\"backend\":{\"path\":\"x\",\"read_only\":true,\"lock\":false}}]");
	assert_int_equal(w->said.r.errors, 0);
	ns = w->c->subsystems[0].ns;
	assert_int_equal(ns[0].backend, BACKEND_MEMORY);
	assert_int_equal(ns[0].bytes, 64 << 20);
	assert_int_equal(ns[0].block_size, 4096);
	assert_int_equal(ns[1].backend, BACKEND_FILE);
	assert_string_equal(ns[1].path, "x");
	assert_true(ns[1].read_only);
	assert_false(ns[1].lock);
}

static void a_disabled_namespace_needs_no_path(void **state)
{
	struct world *w = *state;

	load_subsystem(w, "\"namespaces\":[{\"nsid\":1,\"enable\":0,\"device\":{\"path\":\"(null)\"}},{\"nsid\":2,"
			  "\"enable\":0}]");
	assert_int_equal(w->said.r.errors, 0);
	assert_false(w->c->subsystems[0].ns[0].enable);
}

static void inline_data_size_minus_one_is_the_default(void **state)
{
	struct world *w = *state;

	load(w,
	     "{\"ports\":[{\"portid\":1,\"addr\":{\"trtype\":\"tcp\",\"traddr\":\"1.2.3.4\",\"trsvcid\":\"1\"},"
	     "\"param\":{\"inline_data_size\":\"-1\",\"max_queue_size\":\"-1\",\"mdts\":\"0\"}}],\"subsystems\":[]}");
	assert_int_equal(w->said.r.errors, 0);
	assert_int_equal(w->said.r.warnings, 0);
	assert_true(w->c->ports[0].in_capsule_size == FIELD_AUTO_VALUE);
}

static void a_high_nsid_raises_max_namespaces(void **state)
{
	struct world *w = *state;

	load_subsystem(w, "\"namespaces\":[{\"nsid\":5000,\"device\":{\"path\":\"x\"}}]");
	assert_int_equal(w->said.r.errors, 0);
	assert_int_equal(w->c->subsystems[0].max_namespaces, 8192);
}

static void target_section(void **state)
{
	struct world *w = *state;

	load(w, "{\"target\":{\"threads\":2,\"cpus\":[0,1],\"poll\":\"never\",\"log\":\"debug\",\"data_memory_max\":"
		"\"64MiB\"},"
		"\"ports\":[{\"portid\":1,\"addr\":{\"trtype\":\"tcp\",\"traddr\":\"1.2.3.4\",\"trsvcid\":\"1\"}}],"
		"\"subsystems\":[]}");
	assert_int_equal(w->said.r.errors, 0);
	assert_int_equal(w->c->target.threads, 2);
	assert_int_equal(w->c->target.ncpus, 2);
	assert_int_equal(w->c->target.cpus[1], 1);
	assert_int_equal(w->c->target.data_memory_max, 64 << 20);
}

static void a_nul_in_a_string_hides_nothing(void **state)
{
	struct world *w = *state;

	load_subsystem(w, "\"attr\":{\"serial\":\"good\\u0000bad\"}");
	assert_int_equal(w->said.r.errors, 1);
	assert_non_null(strstr(said(&w->said), "subsystems[0].attr.serial"));
}

static void one_mistake_is_reported_once(void **state)
{
	struct world *w = *state;

	load(w, "{\"hosts\":[{\"nqn\":\"a b\"}],\"ports\":[{\"portid\":1,\"addr\":{\"trtype\":\"tcp\",\"traddr\":\"1.2."
		"3.4\",\"trsvcid\":\"1\"},"
		"\"subsystems\":[\"" N "a\"]}],\"subsystems\":[{\"nqn\":\"" N "a\",\"allowed_hosts\":[\"a b\"]}]}");
	assert_int_equal(w->said.r.errors, 1);
	assert_non_null(strstr(said(&w->said), "f: hosts[0].nqn: a b: expected an NVMe Qualified Name"));
}

static void a_disabled_referral_may_be_empty(void **state)
{
	struct world *w = *state;

	load(w, "{\"ports\":[{\"portid\":1,\"addr\":{\"trtype\":\"tcp\",\"traddr\":\"1.2.3.4\",\"trsvcid\":\"1\"},"
		"\"referrals\":[{\"addr\":{\"adrfam\":\"\",\"traddr\":\"\",\"trsvcid\":\"\",\"trtype\":\"\"},\"name\":"
		"\"r\",\"enable\":0}]}],"
		"\"subsystems\":[]}");
	assert_int_equal(w->said.r.errors, 0);
	assert_false(w->c->ports[0].referrals[0].enable);
}

static void same_tells_what_must_be_made_anew(void **state)
{
	struct ns_config a = {.nsid = 1, .backend = BACKEND_NULL, .bytes = 1}, b = a;
	struct port_config p = {.portid = 1}, q = p;
	struct subsystem_config s = {.serial = NULL}, t = s;
	char serial[] = "x";

	(void)state;
	assert_true(ns_same(&a, &b));
	b.bytes = 2;
	assert_false(ns_same(&a, &b));
	assert_true(port_same(&p, &q));
	q.no_hdgst = true;
	assert_false(port_same(&p, &q));
	t.allow_any_host = true;
	assert_true(subsystem_same(&s, &t));
	t.serial = serial;
	assert_false(subsystem_same(&s, &t));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(takes_numbers_as_text_and_as_numbers),
		T(knows_the_family_by_the_address),
		T(gives_port_zero_a_number),
		T(device_path_is_a_file),
		T(backend_extension),
		T(a_disabled_namespace_needs_no_path),
		T(inline_data_size_minus_one_is_the_default),
		T(a_high_nsid_raises_max_namespaces),
		T(target_section),
		T(a_nul_in_a_string_hides_nothing),
		T(one_mistake_is_reported_once),
		T(a_disabled_referral_may_be_empty),
		T(same_tells_what_must_be_made_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
