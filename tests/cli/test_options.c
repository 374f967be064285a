/* SPDX-License-Identifier: BSD-3-Clause */
#include <getopt.h>

#include <nvmft/backends.h>

#include "capture.h"
#include "field.h"
#include "options.h"

#define MAX_WORDS 20

struct world {
	struct options o;
	struct capture said;
	struct config *c;
	char *line;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	capture_open(&w->said, "c");
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	capture_close(&w->said);
	config_free(w->c);
	options_fini(&w->o);
	free(w->line);
	free(w);
	return 0;
}

/* Words separated by single blanks. */
static void command(struct world *w, const char *line)
{
	char *argv[MAX_WORDS + 1] = {(char *)"nvmft-target"}, *next;
	int argc = 1;

	w->line = strdup(line);
	next = w->line;
	while (next && *next && argc < MAX_WORDS)
		argv[argc++] = strsep(&next, " ");
	optind = 0;
	report_init(&w->said.r, "c", w->said.out);
	options_parse(&w->o, argc, argv, &w->said.r);
	if (!w->said.r.errors)
		w->c = options_config(&w->o, &w->said.r);
}

static void one_namespace_is_enough(void **state)
{
	struct world *w = *state;

	command(w, "--namespace disk.img");
	assert_int_equal(w->said.r.errors, 0);
	assert_int_equal(w->c->nports, 1);
	assert_string_equal(w->c->ports[0].addr.traddr, "127.0.0.1");
	assert_string_equal(w->c->ports[0].addr.trsvcid, "4420");
	assert_true(w->c->subsystems[0].allow_any_host);
	assert_true(nqn_valid(w->c->subsystems[0].nqn));
	assert_string_equal(w->c->ports[0].subsystems.item[0], w->c->subsystems[0].nqn);
	assert_string_equal(w->c->subsystems[0].ns[0].path, "disk.img");
	assert_int_equal(w->c->subsystems[0].ns[0].nsid, 1);
}

static void listens_on_every_address(void **state)
{
	struct world *w = *state;

	command(w, "--listen tcp:[::1]:1234 --listen tcp:10.0.0.1 --listen tcp:[fe80::1%eth0]:0 --listen rdma:[::1]:7 "
		   "--namespace x");
	assert_int_equal(w->said.r.errors, 0);
	assert_int_equal(w->c->nports, 4);
	assert_string_equal(w->c->ports[0].addr.traddr, "::1");
	assert_string_equal(w->c->ports[0].addr.trsvcid, "1234");
	assert_int_equal(w->c->ports[0].addr.adrfam, 2);
	assert_string_equal(w->c->ports[1].addr.trsvcid, "4420");
	assert_string_equal(w->c->ports[2].addr.traddr, "fe80::1%eth0");
	assert_int_equal(w->c->ports[2].addr.trtype, 3);
	assert_int_equal(w->c->ports[3].addr.trtype, 1);
}

static void bad_listens(void **state)
{
	static const char *const bad[] = {
		"tcp:",           "tcp:localhost:4420", "tcp:::1:4420", "tcp:[::1",          "tcp:[::1]x",
		"127.0.0.1:4420", "fc:1.2.3.4:4420",    "tcp:1.2.3.4:", "tcp:1.2.3.4:65536", "tcp:1.2.3.4:x",
		"tcp:1.2.3:1",    "tcp:[1.2.3.4%]:1",
	};
	struct config *c = config_new("c", false);
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		report_init(&w->said.r, "c", w->said.out);
		spec_listen(c, bad[i], &w->said.r);
		assert_int_equal(w->said.r.errors, 1);
	}
	config_free(c);
}

static struct ns_config *namespace_of(struct world *w, struct subsystem_config *s, const char *text)
{
	report_init(&w->said.r, "c", w->said.out);
	spec_namespace(s, text, &w->said.r);
	return &s->ns[s->nns - 1];
}

static void namespace_kinds(void **state)
{
	struct config *c = config_new("c", false);
	struct subsystem_config *s = config_add_subsystem(c, "");
	struct world *w = *state;
	struct ns_config *ns;

	ns = namespace_of(w, s, "memory:64MiB,block=4096,nsid=7");
	assert_int_equal(w->said.r.errors, 0);
	assert_int_equal(ns->backend, BACKEND_MEMORY);
	assert_int_equal(ns->bytes, 64 << 20);
	assert_int_equal(ns->block_size, 4096);
	assert_int_equal(ns->nsid, 7);
	ns = namespace_of(w, s, "vfio:0000:01:00.0/3,ro");
	assert_int_equal(w->said.r.errors, 0);
	assert_int_equal(ns->backend, BACKEND_VFIO);
	assert_string_equal(ns->address, "0000:01:00.0");
	assert_int_equal(ns->device_nsid, 3);
	assert_true(ns->read_only);
	ns = namespace_of(w, s, "vfio:0000:01:00.0,iommu=type1");
	assert_int_equal(w->said.r.errors, 0);
	assert_string_equal(ns->address, "0000:01:00.0");
	assert_int_equal(ns->iommu, NVMFT_VFIO_TYPE1);
	ns = namespace_of(w, s, "vfio:0000:01:00.0,reservations,admin=0x80+0xc1");
	assert_int_equal(w->said.r.errors, 0);
	assert_true(ns->reservations);
	assert_int_equal(ns->admin[0x80 / 8], 1);
	assert_int_equal(ns->admin[0xc1 / 8], 2);
	ns = namespace_of(w, s, "null:1TiB");
	assert_int_equal(ns->backend, BACKEND_NULL);
	assert_true(ns->bytes == 1ull << 40);
	ns = namespace_of(w, s, "file:memory:x,ro,nolock,buffered");
	assert_int_equal(w->said.r.errors, 0);
	assert_int_equal(ns->backend, BACKEND_FILE);
	assert_string_equal(ns->path, "memory:x");
	assert_true(ns->read_only && ns->buffered && !ns->lock);
	ns = namespace_of(w, s, "/dev/disk/by-path/pci-0000:00:01.0,uuid=43c4260a-826b-475d-9b42-883b4258f53f");
	assert_int_equal(w->said.r.errors, 0);
	assert_string_equal(ns->path, "/dev/disk/by-path/pci-0000:00:01.0");
	assert_int_equal(ns->uuid[0], 0x43);
	config_free(c);
}

static void nvme_devices_have_many_names(void **state)
{
	static const struct {
		const char *text, *path, *serial, *subnqn;
		uint64_t nsid;
	} names[] = {
		{"nvme:/dev/ng0n1", "/dev/ng0n1", NULL, NULL, 0},
		{"nvme:/dev/by=hand/1", "/dev/by=hand/1", NULL, NULL, 0},
		{"nvme:serial=S4EV N0", NULL, "S4EV N0", NULL, 0},
		{"nvme:serial=a/b", NULL, "a/b", NULL, 0},
		{"nvme:serial=a/b/12", NULL, "a/b", NULL, 12},
		{"nvme:subnqn=nqn.2014-08.org:x/y/3", NULL, NULL, "nqn.2014-08.org:x/y", 3},
	};
	struct config *c = config_new("c", false);
	struct subsystem_config *s = config_add_subsystem(c, "");
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct ns_config *ns = namespace_of(w, s, names[i].text);

		assert_int_equal(w->said.r.errors, 0);
		assert_int_equal(ns->backend, BACKEND_NVME);
		assert_true(text_equal(ns->path, names[i].path));
		assert_true(text_equal(ns->device_serial, names[i].serial));
		assert_true(text_equal(ns->device_subnqn, names[i].subnqn));
		assert_int_equal(ns->device_nsid, names[i].nsid);
	}
	config_free(c);
}

static void says_what_is_wrong_with_a_namespace(void **state)
{
	static const struct {
		const char *text;
		const char *said;
	} bad[] = {
		{"x,block=513", "c: block: 513: expected 512 or 4096\n"},
		{"x,bock=512", "c: bock: 512: expected one of: block, size,"},
		{"x,ro=perhaps", "c: ro: perhaps: expected 1 or 0"},
		{"x,nsid=0", "c: nsid: 0: expected a number, 1.."},
		{"x,uuid=12", "c: uuid: 12: expected 32 hexadecimal digits\n"},
		{"x,size=12Z", "c: size: 12Z: expected a size like 64MiB"},
		{"", "c: path: \"\": expected something that is not empty\n"},
		{"x,", "c: \"\": expected one of"},
		{"nvme:serial=", "c: serial: \"\": expected 1..20 printable"},
		{"nvme:serial=x/0", "c: nsid: 0: expected a number, 1.."},
		{"nvme:subnqn=a b", "c: subnqn: a b: expected an NVMe Qualified Name"},
		{"nvme:/dev/ng0n1,admin=0xc1+256", "c: admin: 0xc1+256: expected opcodes, 0x00..0xff"},
		{"nvme:/dev/ng0n1,admin", "c: admin: \"\": expected opcodes"},
		{"nvme:/dev/ng0n1,reservations=perhaps", "c: reservations: perhaps: expected 1 or 0"},
	};
	struct config *c = config_new("c", false);
	struct subsystem_config *s = config_add_subsystem(c, "");
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fseek(w->said.out, 0, SEEK_SET);
		namespace_of(w, s, bad[i].text);
		assert_int_equal(w->said.r.errors, 1);
		assert_memory_equal(said(&w->said), bad[i].said, strlen(bad[i].said));
	}
	config_free(c);
}

static void hosts_close_the_door_to_others(void **state)
{
	struct world *w = *state;

	command(w, "--namespace x --host nqn.2024-01.org.nvmft:h1 --host nqn.2024-01.org.nvmft:h2");
	assert_int_equal(w->said.r.errors, 0);
	assert_false(w->c->subsystems[0].allow_any_host);
	assert_int_equal(w->c->subsystems[0].allowed_hosts.n, 2);
	assert_int_equal(w->c->nhosts, 2);
}

static void numbers_namespaces_around_given_ones(void **state)
{
	struct world *w = *state;

	command(w, "--namespace a --namespace b,nsid=1 --namespace c");
	assert_int_equal(w->said.r.errors, 0);
	assert_int_equal(w->c->subsystems[0].ns[0].nsid, 2);
	assert_int_equal(w->c->subsystems[0].ns[1].nsid, 1);
	assert_int_equal(w->c->subsystems[0].ns[2].nsid, 3);
}

static void target_options(void **state)
{
	struct world *w = *state;

	command(w, "--namespace x --threads 3 --cpus 0-1 --poll always --log error --in-capsule 0 --max-io 256KiB");
	assert_int_equal(w->said.r.errors, 0);
	assert_int_equal(w->c->target.threads, 3);
	assert_int_equal(w->c->target.ncpus, 2);
	assert_int_equal(w->c->target.log_level, 1);
	assert_int_equal(w->c->ports[0].in_capsule_size, 0);
	assert_int_equal(w->c->subsystems[0].max_io_size, 256 << 10);
}

static void names_the_option_that_is_wrong(void **state)
{
	struct world *w = *state;

	command(w, "--namespace x --discovery-nqn foo\tbar --threads many");
	assert_int_equal(w->said.r.errors, 2);
	assert_non_null(strstr(said(&w->said), ": expected an NVMe Qualified Name"));
	assert_non_null(strstr(said(&w->said), "command line: --threads: many: expected a number"));
}

static void a_file_excludes_what_is_in_it(void **state)
{
	struct world *w = *state;

	command(w, "--config x.json --listen tcp:1.2.3.4:1 --serial s");
	assert_int_equal(w->said.r.errors, 2);
	assert_non_null(strstr(said(&w->said), "c: --listen: tcp:1.2.3.4:1: does not go with --config"));
	assert_non_null(strstr(said(&w->said), "c: --serial: s: does not go with --config"));
}

static void an_option_of_one_value_is_given_once(void **state)
{
	struct world *w = *state;

	command(w, "--namespace x --serial a --serial b");
	assert_int_equal(w->said.r.errors, 1);
	assert_non_null(strstr(said(&w->said), "c: --serial: b: this option can be given only once"));
}

static void unknown_options_are_named(void **state)
{
	struct world *w = *state;

	command(w, "--namespace x --lisen tcp:1.2.3.4:1");
	assert_non_null(strstr(said(&w->said), "c: --lisen: unknown option"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(one_namespace_is_enough),
		T(listens_on_every_address),
		T(bad_listens),
		T(namespace_kinds),
		T(nvme_devices_have_many_names),
		T(says_what_is_wrong_with_a_namespace),
		T(hosts_close_the_door_to_others),
		T(numbers_namespaces_around_given_ones),
		T(target_options),
		T(names_the_option_that_is_wrong),
		T(a_file_excludes_what_is_in_it),
		T(an_option_of_one_value_is_given_once),
		T(unknown_options_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
