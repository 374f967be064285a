/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <ctype.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "config_check.h"
#include "config_json.h"
#include "field.h"

#define COMMAND_LINE "command line"

enum {
	OPT_CONFIG = 256,
	OPT_CHECK,
	OPT_LISTEN,
	OPT_SUBSYSTEM,
	OPT_NAMESPACE,
	OPT_HOST,
	OPT_SERIAL,
	OPT_MODEL,
	OPT_MAX_IO,
	OPT_IN_CAPSULE,
	OPT_THREADS,
	OPT_CPUS,
	OPT_POLL,
	OPT_LOG,
	OPT_DISCOVERY_NQN,
};

static const struct option long_options[] = {
	{"config", required_argument, NULL, OPT_CONFIG},
	{"check", no_argument, NULL, OPT_CHECK},
	{"listen", required_argument, NULL, OPT_LISTEN},
	{"subsystem", required_argument, NULL, OPT_SUBSYSTEM},
	{"namespace", required_argument, NULL, OPT_NAMESPACE},
	{"host", required_argument, NULL, OPT_HOST},
	{"serial", required_argument, NULL, OPT_SERIAL},
	{"model", required_argument, NULL, OPT_MODEL},
	{"max-io", required_argument, NULL, OPT_MAX_IO},
	{"in-capsule", required_argument, NULL, OPT_IN_CAPSULE},
	{"threads", required_argument, NULL, OPT_THREADS},
	{"cpus", required_argument, NULL, OPT_CPUS},
	{"poll", required_argument, NULL, OPT_POLL},
	{"log", required_argument, NULL, OPT_LOG},
	{"discovery-nqn", required_argument, NULL, OPT_DISCOVERY_NQN},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

void options_usage(FILE *out)
{
	fputs("Usage: nvmft-target [--listen tcp:ADDRESS:PORT]... [--subsystem NQN] --namespace SPEC... [OPTION]...\n"
	      "       nvmft-target --config FILE.json [--check] [OPTION]...\n"
	      "Serve files, block devices and memory as NVMe namespaces over NVMe/TCP and NVMe/RDMA.\n"
	      "\n"
	      "  --listen tcp:ADDRESS:PORT  listen there; tcp:[::1]:4420 for IPv6. Default tcp:127.0.0.1:4420\n"
	      "  --listen rdma:ADDRESS:PORT the same by NVMe/RDMA, on the address of an RDMA device\n"
	      "  --subsystem NQN            name of the subsystem. Default made from the host name and port\n"
	      "  --namespace SPEC           add a namespace: PATH, file:PATH, nvme:DEVICE, nvme:serial=TEXT/NSID,\n"
	      "                             nvme:subnqn=NQN/NSID, vfio:ADDRESS/NSID, memory:SIZE or null:SIZE,\n"
	      "                             followed by any of\n"
	      "                             ,block=512|4096 ,size=SIZE ,ro ,create ,buffered ,nolock ,iopoll\n"
	      "                             ,iommu=auto|type1|iommufd ,reservations ,admin=OPCODE+OPCODE...\n"
	      "                             ,nsid=N ,uuid=UUID ,nguid=HEX ,eui64=HEX\n"
	      "  --host NQN                 let this host connect. Default: every host\n"
	      "  --serial TEXT              serial number, at most 20 characters\n"
	      "  --model TEXT               model number, at most 40 characters\n"
	      "  --max-io SIZE              largest data transfer (MDTS), 8KiB..2MiB. Default 1MiB\n"
	      "  --in-capsule BYTES         largest write data in a command capsule, 0 or 4096..262144. Default 8192\n"
	      "\n"
	      "  --config FILE              take all of the above from a file as `nvmetcli save` writes it\n"
	      "  --check                    only look for mistakes\n"
	      "\n"
	      "  --threads N                threads that serve. Default 1\n"
	      "  --cpus LIST                bind them to these processors: 0-2,5\n"
	      "  --poll MODE                adaptive: spin shortly before sleeping (default); always; never\n"
	      "  --discovery-nqn NQN        name of the discovery subsystem besides the well-known one\n"
	      "  --log LEVEL                error, warn, info (default) or debug\n"
	      "  --help, --version\n"
	      "\n"
	      "Prints \"ready\" when it accepts connections. SIGHUP reads the file again, SIGTERM ends service.\n"
	      "Exit status: 0 ended as asked, 1 failed, 2 a mistake in the options or the file.\n",
	      out);
}

static void set_once(const char **place, const char *option, const char *value, struct report *r)
{
	if (*place)
		report_error_at(r, NULL, option, value, "this option can be given only once");
	*place = value;
}

static void target_option(struct options *o, const char *key, const char *value)
{
	texts_add(&o->target_keys, key);
	texts_add(&o->target_values, value);
}

/* Within "-xh" getopt has not moved on yet, and says which letter it was; of a long option it does not. */
static void bad_option(char opt, char **argv, struct report *r)
{
	const char letter[] = {'-', (char)optopt, '\0'};

	if (opt == ':')
		report_error_at(r, NULL, argv[optind - 1], NULL, "this option needs a value");
	else
		report_error_at(r, NULL, NULL, optopt ? letter : argv[optind - 1], "unknown option, see --help");
}

static void take_option(struct options *o, int opt, char **argv, struct report *r)
{
	switch (opt) {
	case OPT_CONFIG:
		set_once(&o->config_file, "--config", optarg, r);
		break;
	case OPT_CHECK:
		o->check = true;
		break;
	case OPT_LISTEN:
		texts_add(&o->listens, optarg);
		break;
	case OPT_NAMESPACE:
		texts_add(&o->namespaces, optarg);
		break;
	case OPT_HOST:
		texts_add(&o->hosts, optarg);
		break;
	case OPT_SUBSYSTEM:
		set_once(&o->subsystem, "--subsystem", optarg, r);
		break;
	case OPT_SERIAL:
		set_once(&o->serial, "--serial", optarg, r);
		break;
	case OPT_MODEL:
		set_once(&o->model, "--model", optarg, r);
		break;
	case OPT_MAX_IO:
		set_once(&o->max_io, "--max-io", optarg, r);
		break;
	case OPT_IN_CAPSULE:
		set_once(&o->in_capsule, "--in-capsule", optarg, r);
		break;
	case 'h':
		o->help = true;
		break;
	case 'V':
		o->version = true;
		break;
	default:
		bad_option((char)opt, argv, r);
	}
}

static const char *target_key(int opt)
{
	static const char *const keys[] = {"threads", "cpus", "poll", "log", "discovery_nqn"};

	return opt >= OPT_THREADS && opt <= OPT_DISCOVERY_NQN ? keys[opt - OPT_THREADS] : NULL;
}

/* With a file there is one place for each thing. */
static void check_exclusive(const struct options *o, struct report *r)
{
	const struct {
		const char *option;
		const char *value;
	} own[] = {
		{"--listen", o->listens.n ? o->listens.item[0] : NULL},
		{"--namespace", o->namespaces.n ? o->namespaces.item[0] : NULL},
		{"--host", o->hosts.n ? o->hosts.item[0] : NULL},
		{"--subsystem", o->subsystem},
		{"--serial", o->serial},
		{"--model", o->model},
		{"--max-io", o->max_io},
		{"--in-capsule", o->in_capsule},
	};

	for (size_t i = 0; o->config_file && i < sizeof(own) / sizeof(own[0]); i++) {
		if (own[i].value)
			report_error_at(r, NULL, own[i].option, own[i].value,
					"does not go with --config; expected in the file");
	}
	if (!o->config_file && !o->namespaces.n && !o->help && !o->version && !r->errors)
		report_error_at(r, NULL, "--namespace", NULL,
				"expected at least one, e.g. --namespace disk.img or --namespace memory:64MiB; or "
				"--config FILE");
}

void options_parse(struct options *o, int argc, char **argv, struct report *r)
{
	int opt;

	memset(o, 0, sizeof(*o));
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":hV", long_options, NULL)) != -1) {
		if (target_key(opt))
			target_option(o, target_key(opt), optarg);
		else
			take_option(o, opt, argv, r);
	}
	for (; optind < argc; optind++)
		report_error_at(r, NULL, NULL, argv[optind], "unexpected word, see --help");
	check_exclusive(o, r);
}

void options_fini(struct options *o)
{
	texts_clear(&o->target_keys);
	texts_clear(&o->target_values);
	texts_clear(&o->listens);
	texts_clear(&o->namespaces);
	texts_clear(&o->hosts);
}

const char *options_source(const struct options *o)
{
	return o->config_file ? o->config_file : COMMAND_LINE;
}

/* Set a field by its name in a table, as option @option. */
static void set_option(const struct field_table *table, const char *name, const char *option, void *object,
		       const char *value, struct report *r)
{
	size_t place;

	if (!value)
		return;
	place = report_key(r, option);
	field_set(r, field_find(table, name), object, value);
	report_leave(r, place);
}

static void apply_target_options(const struct options *o, struct config *c, struct report *r)
{
	struct report own;

	report_init(&own, COMMAND_LINE, r->out);
	for (size_t i = 0; i < o->target_keys.n; i++) {
		char option[40];

		snprintf(option, sizeof(option), "--%s", o->target_keys.item[i]);
		if (strchr(option, '_'))
			*strchr(option, '_') = '-';
		set_option(&target_table, o->target_keys.item[i], option, &c->target, o->target_values.item[i], &own);
	}
	r->errors += own.errors;
}

/* Two machines, or two targets of one, must not show different disks under one name. */
static char *default_nqn(const struct config *c)
{
	const char *service = c->nports && c->ports[0].addr.trsvcid ? c->ports[0].addr.trsvcid : "4420";
	char host[65] = "", nqn[128];

	if (gethostname(host, sizeof(host) - 1) < 0 || !host[0])
		strcpy(host, "localhost");
	for (char *p = host; *p; p++) {
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '.')
			*p = '-';
	}
	snprintf(nqn, sizeof(nqn), "nqn.2024-01.org.nvmft:%s.%s", host, service);
	return xstrdup(nqn);
}

/* Repeatable options are told apart by an index, where there are several. */
static void for_each(const struct texts *texts, const char *option, struct report *r,
		     void (*fn)(void *object, const char *text, struct report *r), void *object)
{
	for (size_t i = 0; i < texts->n; i++) {
		size_t place = report_key(r, option);

		if (texts->n > 1)
			report_index(r, i);
		fn(object, texts->item[i], r);
		report_leave(r, place);
	}
}

static void add_listen(void *object, const char *text, struct report *r)
{
	spec_listen(object, text, r);
}

static void add_namespace(void *object, const char *text, struct report *r)
{
	spec_namespace(object, text, r);
}

static void add_host(void *object, const char *text, struct report *r)
{
	static const struct field nqn = {"nqn", FIELD_NQN, true, offsetof(struct host_config, nqn)};

	field_set(r, &nqn, config_add_host(object, r->path), text);
}

static void build_subsystem(const struct options *o, struct config *c, struct report *r)
{
	static const struct field nqn_field[] = {{"nqn", FIELD_NQN, true, offsetof(struct subsystem_config, nqn)}};
	static const struct field_table nqn_table = FIELD_TABLE(nqn_field);
	struct subsystem_config *s = config_add_subsystem(c, "");

	set_option(&nqn_table, "nqn", "--subsystem", s, o->subsystem, r);
	if (!o->subsystem)
		s->nqn = default_nqn(c);
	set_option(&subsystem_attr_table, "serial", "--serial", s, o->serial, r);
	set_option(&subsystem_attr_table, "model", "--model", s, o->model, r);
	set_option(&subsystem_options_table, "max_io_size", "--max-io", s, o->max_io, r);
	s->allow_any_host = c->nhosts == 0;
	for (size_t i = 0; i < c->nhosts; i++) {
		if (c->hosts[i].nqn)
			texts_add(&s->allowed_hosts, c->hosts[i].nqn);
	}
	for_each(&o->namespaces, "--namespace", r, add_namespace, s);
	for (size_t i = 0; i < c->nports && s->nqn; i++)
		texts_add(&c->ports[i].subsystems, s->nqn);
}

static struct config *config_from_options(const struct options *o, struct report *r)
{
	static const char default_listen[] = "tcp:127.0.0.1:4420";
	struct config *c = config_new(COMMAND_LINE, false);

	for_each(&o->listens, "--listen", r, add_listen, c);
	if (!o->listens.n)
		spec_listen(c, default_listen, r);
	set_option(&port_param_table, "inline_data_size", "--in-capsule", &c->ports[0], o->in_capsule, r);
	for (size_t i = 1; i < c->nports; i++)
		c->ports[i].in_capsule_size = c->ports[0].in_capsule_size;
	for_each(&o->hosts, "--host", r, add_host, c);
	build_subsystem(o, c, r);
	return c;
}

struct config *options_config(const struct options *o, struct report *r)
{
	struct config *c = o->config_file ? config_from_json(o->config_file, r) : config_from_options(o, r);

	if (!c)
		return NULL;
	apply_target_options(o, c, r);
	config_check(c, r);
	return c;
}
