/* SPDX-License-Identifier: BSD-3-Clause */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <nvmft/version.h>

#include "options.h"
#include "size.h"

#define DISCOVERY_NQN "nqn.2014-08.org.nvmexpress.discovery"
#define LOOPBACK_NQN "nqn.2014-08.org.nvmexpress:nvmft-perf"

static const char usage[] =
	"Usage: nvmft-perf [OPTION]... ADDRESS\n"
	"Measure and verify an NVMe over Fabrics target.\n"
	"\n"
	"ADDRESS is tcp:HOST[:PORT] ([HOST] for IPv6), or a target inside this process:\n"
	"loopback:memory:SIZE, loopback:null:SIZE or loopback:file:PATH, then perhaps ,block=4096\n"
	"\n"
	"  --subsystem NQN     subsystem to connect to; required with tcp\n"
	"  --nsid N            namespace (1)\n"
	"  --discover          print the discovery log page and end\n"
	"  --rw KIND           read, write, rw, randread, randwrite or randrw (randread)\n"
	"  --mix PERCENT       reads among rw and randrw (70)\n"
	"  --bs SIZE           bytes per I/O (4k)\n"
	"  --depth N           I/Os in flight per queue (32)\n"
	"  --queues N          I/O queues per association (1)\n"
	"  --connections N     associations, each with its own admin queue (1)\n"
	"  --threads N         threads that share the queues (1)\n"
	"  --time T            run for 500ms, 5s, 2m...; default 5s when random\n"
	"  --ios N             run for so many I/Os; default for sequential kinds: once over the range\n"
	"  --size SIZE         length of the range of the namespace that is used (all)\n"
	"  --offset SIZE       start of the range (0)\n"
	"  --verify            write blocks that tell what they are, check what is read, and read all back at the "
	"end;\n"
	"                      with --rw read and randread: check what an earlier run with the same --seed wrote\n"
	"  --seed N            of random numbers and patterns (1)\n"
	"  --hdgst, --ddgst    header, data digests\n"
	"  --no-sqflow         disable SQ flow control in Connect\n"
	"  --in-capsule WHEN   auto: writes that fit go in the capsule; off: none does (auto)\n"
	"  --kato T            keep alive timeout (none)\n"
	"  --timeout T         give up when a connection makes no progress for so long (30s)\n"
	"  --poll MODE         adaptive, always or never spin while waiting (adaptive)\n"
	"  --hostnqn NQN, --hostid HEX\n"
	"                      who to be (random)\n"
	"  --json              machine-readable results on standard output\n"
	"  --quiet             no progress lines\n"
	"  --help, --version\n"
	"\n"
	"Sizes take k, M, G, T, powers of 1024. Exit status: 0 good, 1 errors of I/O, verification or connection, 2 "
	"usage.\n";

enum {
	OPT_SUBSYSTEM = 256,
	OPT_NSID,
	OPT_DISCOVER,
	OPT_RW,
	OPT_MIX,
	OPT_BS,
	OPT_DEPTH,
	OPT_QUEUES,
	OPT_CONNECTIONS,
	OPT_THREADS,
	OPT_TIME,
	OPT_IOS,
	OPT_SIZE,
	OPT_OFFSET,
	OPT_VERIFY,
	OPT_SEED,
	OPT_HDGST,
	OPT_DDGST,
	OPT_NO_SQFLOW,
	OPT_IN_CAPSULE,
	OPT_KATO,
	OPT_TIMEOUT,
	OPT_POLL,
	OPT_HOSTNQN,
	OPT_HOSTID,
	OPT_JSON,
	OPT_QUIET,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option longopts[] = {
	{"subsystem", required_argument, NULL, OPT_SUBSYSTEM},
	{"nsid", required_argument, NULL, OPT_NSID},
	{"discover", no_argument, NULL, OPT_DISCOVER},
	{"rw", required_argument, NULL, OPT_RW},
	{"mix", required_argument, NULL, OPT_MIX},
	{"bs", required_argument, NULL, OPT_BS},
	{"depth", required_argument, NULL, OPT_DEPTH},
	{"queues", required_argument, NULL, OPT_QUEUES},
	{"connections", required_argument, NULL, OPT_CONNECTIONS},
	{"threads", required_argument, NULL, OPT_THREADS},
	{"time", required_argument, NULL, OPT_TIME},
	{"ios", required_argument, NULL, OPT_IOS},
	{"size", required_argument, NULL, OPT_SIZE},
	{"offset", required_argument, NULL, OPT_OFFSET},
	{"verify", no_argument, NULL, OPT_VERIFY},
	{"seed", required_argument, NULL, OPT_SEED},
	{"hdgst", no_argument, NULL, OPT_HDGST},
	{"ddgst", no_argument, NULL, OPT_DDGST},
	{"no-sqflow", no_argument, NULL, OPT_NO_SQFLOW},
	{"in-capsule", required_argument, NULL, OPT_IN_CAPSULE},
	{"kato", required_argument, NULL, OPT_KATO},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"poll", required_argument, NULL, OPT_POLL},
	{"hostnqn", required_argument, NULL, OPT_HOSTNQN},
	{"hostid", required_argument, NULL, OPT_HOSTID},
	{"json", no_argument, NULL, OPT_JSON},
	{"quiet", no_argument, NULL, OPT_QUIET},
	{"help", no_argument, NULL, OPT_HELP},
	{"version", no_argument, NULL, OPT_VERSION},
	{0},
};

static bool bad(const char *option, const char *value, const char *expected)
{
	fprintf(stderr, "nvmft-perf: --%s %s: expected %s\n", option, value, expected);
	return false;
}

static bool get_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	char expected[96];

	if (size_parse(text, value) && *value >= min && *value <= max)
		return true;
	if (max == UINT64_MAX)
		snprintf(expected, sizeof(expected), "a number or size of at least %llu", (unsigned long long)min);
	else
		snprintf(expected, sizeof(expected), "a number from %llu to %llu", (unsigned long long)min,
			 (unsigned long long)max);
	return bad(option, text, expected);
}

static bool get_unsigned(const char *option, const char *text, unsigned int min, unsigned int max, unsigned int *value)
{
	uint64_t wide;

	if (!get_number(option, text, min, max, &wide))
		return false;
	*value = (unsigned int)wide;
	return true;
}

static bool get_time(const char *option, const char *text, uint64_t *ns)
{
	return (duration_parse(text, ns) && *ns) || bad(option, text, "a time such as 500ms, 5s or 2m");
}

static bool get_ms(const char *option, const char *text, unsigned int *ms)
{
	uint64_t ns;

	if (!get_time(option, text, &ns))
		return false;
	if (ns < 1000000 || ns / 1000000 > UINT32_MAX / 2)
		return bad(option, text, "a time from 1ms to 24 days");
	*ms = (unsigned int)(ns / 1000000);
	return true;
}

/* Return: index of @text in @words, or -1. */
static int get_word(const char *option, const char *text, const char *const *words, const char *expected)
{
	int i;

	for (i = 0; words[i]; i++)
		if (!strcmp(words[i], text))
			return i;
	bad(option, text, expected);
	return -1;
}

static bool get_rw(struct options *opts, const char *text)
{
	static const char *const words[] = {"read", "write", "rw", "randread", "randwrite", "randrw", NULL};
	int i = get_word("rw", text, words, "read, write, rw, randread, randwrite or randrw");

	if (i < 0)
		return false;
	opts->rw = words[i];
	opts->random = i >= 3;
	return true;
}

static bool get_hostid(struct options *opts, const char *text)
{
	unsigned int n = 0, value;
	const char *p;

	for (p = text; *p; p++) {
		if (*p == '-')
			continue;
		if (n == 16 || sscanf(p, "%2x", &value) != 1 || !p[1] || p[1] == '-')
			break;
		opts->hostid[n++] = (uint8_t)value;
		p++;
	}
	return (!*p && n == 16) || bad("hostid", text, "32 hexadecimal digits");
}

static bool get_nqn(const char *option, const char *text)
{
	return strlen(text) <= 223 || bad(option, text, "at most 223 characters");
}

static bool set_where(struct options *opts, int opt, const char *arg)
{
	switch (opt) {
	case OPT_SUBSYSTEM:
		opts->subnqn = arg;
		return get_nqn("subsystem", arg);
	case OPT_HOSTNQN:
		snprintf(opts->hostnqn, sizeof(opts->hostnqn), "%s", arg);
		return get_nqn("hostnqn", arg);
	case OPT_HOSTID:
		return get_hostid(opts, arg);
	case OPT_NSID:
		return get_unsigned("nsid", arg, 1, 0xfffffffe, &opts->nsid);
	case OPT_KATO:
		return get_ms("kato", arg, &opts->kato_ms);
	case OPT_TIMEOUT:
		return get_ms("timeout", arg, &opts->timeout_ms);
	default:
		return false;
	}
}

static bool set_load(struct options *opts, int opt, const char *arg)
{
	static const char *const polls[] = {"adaptive", "always", "never", NULL};
	static const char *const capsules[] = {"auto", "off", NULL};
	int i;

	switch (opt) {
	case OPT_RW:
		return get_rw(opts, arg);
	case OPT_MIX:
		return get_unsigned("mix", arg, 0, 100, &opts->read_percent);
	case OPT_BS:
		return get_unsigned("bs", arg, 512, 1u << 30, &opts->bs);
	case OPT_DEPTH:
		return get_unsigned("depth", arg, 1, 65535, &opts->depth);
	case OPT_QUEUES:
		return get_unsigned("queues", arg, 1, 65534, &opts->queues);
	case OPT_CONNECTIONS:
		return get_unsigned("connections", arg, 1, 65519, &opts->connections);
	case OPT_THREADS:
		return get_unsigned("threads", arg, 1, 1024, &opts->threads);
	case OPT_TIME:
		return get_time("time", arg, &opts->time_ns);
	case OPT_IOS:
		return get_number("ios", arg, 1, UINT64_MAX, &opts->ios);
	case OPT_SIZE:
		return get_number("size", arg, 512, UINT64_MAX, &opts->size);
	case OPT_OFFSET:
		return get_number("offset", arg, 0, UINT64_MAX, &opts->offset);
	case OPT_SEED:
		return get_number("seed", arg, 0, UINT64_MAX, &opts->seed);
	case OPT_IN_CAPSULE:
		i = get_word("in-capsule", arg, capsules, "auto or off");
		opts->no_in_capsule = i == 1;
		return i >= 0;
	case OPT_POLL:
		i = get_word("poll", arg, polls, "adaptive, always or never");
		opts->poll = i < 0 ? POLL_ADAPTIVE : (enum poll_mode)i;
		return i >= 0;
	default:
		return set_where(opts, opt, arg);
	}
}

static bool set_flag(struct options *opts, int opt)
{
	bool *const flags[] = {
		[OPT_DISCOVER - OPT_SUBSYSTEM] = &opts->discover,   [OPT_VERIFY - OPT_SUBSYSTEM] = &opts->verify,
		[OPT_HDGST - OPT_SUBSYSTEM] = &opts->hdgst,         [OPT_DDGST - OPT_SUBSYSTEM] = &opts->ddgst,
		[OPT_NO_SQFLOW - OPT_SUBSYSTEM] = &opts->no_sqflow, [OPT_JSON - OPT_SUBSYSTEM] = &opts->json,
		[OPT_QUIET - OPT_SUBSYSTEM] = &opts->quiet,
	};
	int i = opt - OPT_SUBSYSTEM;

	if (i < 0 || i >= (int)(sizeof(flags) / sizeof(flags[0])) || !flags[i])
		return false;
	*flags[i] = true;
	return true;
}

static bool parse_tcp(struct options *opts, const char *text)
{
	const char *end = *text == '[' ? strchr(text, ']') : strchr(text, ':');
	const char *host = *text == '[' ? text + 1 : text;
	size_t len = end ? (size_t)(end - host) : strlen(host);

	if (*text == '[' && !end)
		return false;
	if (end && *end == ']')
		end = end[1] ? end + 1 : NULL;
	if (!len || len >= sizeof(opts->addr.host) ||
	    (end && (*end != ':' || !end[1] || strlen(end + 1) >= sizeof(opts->addr.service))))
		return false;
	memcpy(opts->addr.host, host, len);
	strcpy(opts->addr.service, end ? end + 1 : "4420");
	return strspn(opts->addr.service, "0123456789") == strlen(opts->addr.service) &&
	       strtoul(opts->addr.service, NULL, 10) <= UINT16_MAX;
}

static bool parse_address(struct options *opts, const char *text)
{
	opts->target = text;
	if (!strncmp(text, "loopback:", 9)) {
		opts->loopback = text + 9;
		return true;
	}
	if (!strncmp(text, "tcp:", 4) && parse_tcp(opts, text + 4))
		return true;
	fprintf(stderr, "nvmft-perf: %s: expected tcp:HOST[:PORT] or loopback:KIND:SIZE\n", text);
	return false;
}

static bool finish(struct options *opts)
{
	bool mixed = opts->rw[strlen(opts->rw) - 1] == 'w';

	if (!mixed)
		opts->read_percent = strstr(opts->rw, "read") ? 100 : 0;
	if (opts->discover && opts->json) {
		fprintf(stderr, "nvmft-perf: --json does not go with --discover\n");
		return false;
	}
	if (opts->discover) {
		opts->subnqn = DISCOVERY_NQN;
	} else if (!opts->subnqn && opts->loopback) {
		opts->subnqn = LOOPBACK_NQN;
	} else if (!opts->subnqn) {
		fprintf(stderr, "nvmft-perf: --subsystem NQN is required (--discover tells what there is)\n");
		return false;
	}
	if (!opts->time_ns && !opts->ios && opts->random)
		opts->time_ns = 5000000000;
	if (opts->threads > opts->queues * opts->connections) {
		fprintf(stderr, "nvmft-perf: --threads %u: there are %u queues to share\n", opts->threads,
			opts->queues * opts->connections);
		return false;
	}
	return true;
}

static void random_host(struct options *opts)
{
	uint8_t id[16] = {1};
	unsigned int i;
	char *p;

	if (getrandom(id, sizeof(id), 0) != sizeof(id))
		id[1] = 1;
	id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
	id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
	memcpy(opts->hostid, id, sizeof(id));
	p = opts->hostnqn + sprintf(opts->hostnqn, "nqn.2014-08.org.nvmexpress:uuid:");
	for (i = 0; i < sizeof(id); i++)
		p += sprintf(p, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", id[i]);
}

int options_parse(struct options *opts, int argc, char **argv)
{
	int opt;

	*opts = (struct options){.nsid = 1,
				 .rw = "randread",
				 .random = true,
				 .read_percent = 70,
				 .bs = 4096,
				 .depth = 32,
				 .queues = 1,
				 .connections = 1,
				 .threads = 1,
				 .seed = 1,
				 .timeout_ms = 30000};
	random_host(opts);
	while ((opt = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		if (opt == OPT_HELP) {
			fputs(usage, stdout);
			return 0;
		}
		if (opt == OPT_VERSION) {
			printf("nvmft-perf %d.%d.%d\n", NVMFT_VERSION_MAJOR, NVMFT_VERSION_MINOR, NVMFT_VERSION_PATCH);
			return 0;
		}
		if (opt == '?')
			goto hint;
		if (!(optarg ? set_load(opts, opt, optarg) : set_flag(opts, opt)))
			return 2;
	}
	if (optind != argc - 1) {
		fprintf(stderr, optind == argc ? "nvmft-perf: no address is given\n"
					       : "nvmft-perf: more than one address is given\n");
		goto hint;
	}
	return parse_address(opts, argv[optind]) && finish(opts) ? -1 : 2;
hint:
	fprintf(stderr, "nvmft-perf --help lists the options.\n");
	return 2;
}
