/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nvme/types.h>

#include "host_loopback.h"
#include "run.h"

#define DISCOVERY_LOG 0x70
#define TRIES 5

static const char *transport_words(uint8_t trtype)
{
	switch (trtype) {
	case NVMF_TRTYPE_RDMA:
		return "rdma";
	case NVMF_TRTYPE_FC:
		return "fc";
	case NVMF_TRTYPE_TCP:
		return "tcp";
	case NVMF_TRTYPE_LOOP:
		return "loop";
	default:
		return "?";
	}
}

static const char *subtype_words(uint8_t subtype)
{
	return subtype == NVME_NQN_NVME   ? "nvm"
	       : subtype == NVME_NQN_CURR ? "discovery"
	       : subtype == NVME_NQN_DISC ? "referral"
					  : "?";
}

/* Fixed-width text without its padding, and without bytes that a terminal would take for commands. */
static void print_text(const char *text, size_t len)
{
	size_t i;

	while (len && (text[len - 1] == ' ' || !text[len - 1]))
		len--;
	for (i = 0; i < len && text[i]; i++)
		putchar(text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?');
}

static void print_log(const struct nvmf_discovery_log *log, uint64_t records)
{
	uint64_t i;

	printf("generation %llu, %llu records\n", (unsigned long long)le64toh(log->genctr),
	       (unsigned long long)records);
	for (i = 0; i < records; i++) {
		const struct nvmf_disc_log_entry *e = &log->entries[i];

		printf("%-5s %-9s portid %u ", transport_words(e->trtype), subtype_words(e->subtype),
		       le16toh(e->portid));
		print_text(e->traddr, sizeof(e->traddr));
		printf(" port ");
		print_text(e->trsvcid, sizeof(e->trsvcid));
		printf("  ");
		print_text(e->subnqn, sizeof(e->subnqn));
		printf("\n");
	}
}

/* The log with all its records, or NULL. It is read again when it changed in between. */
static struct nvmf_discovery_log *read_log(struct host_ctrl *ctrl, uint64_t *records, struct host_error *err)
{
	struct nvmf_discovery_log head, *log;
	uint32_t len;
	int i;

	for (i = 0; i < TRIES; i++) {
		if (host_ctrl_log(ctrl, DISCOVERY_LOG, 0, &head, sizeof(head), err) < 0)
			return NULL;
		*records = le64toh(head.numrec);
		if (*records > 65536) {
			host_fail(err, "the discovery log has %llu records", (unsigned long long)*records);
			return NULL;
		}
		len = (uint32_t)(sizeof(head) + *records * sizeof(log->entries[0]));
		log = malloc(len);
		if (!log) {
			host_fail(err, "out of memory");
			return NULL;
		}
		for (uint32_t at = 0, n; at < len; at += n) {
			n = len - at < 4096 ? len - at : 4096;
			if (host_ctrl_log(ctrl, DISCOVERY_LOG, at, (char *)log + at, n, err) < 0)
				goto fail;
		}
		if (log->genctr == head.genctr && log->numrec == head.numrec)
			return log;
		free(log);
	}
	host_fail(err, "the discovery log changed each time that it was read");
	return NULL;
fail:
	free(log);
	return NULL;
}

static int show(struct host_group *group, const struct options *opts, struct host_error *err)
{
	struct host_connect how = {.addr = &opts->addr,
				   .subnqn = opts->subnqn,
				   .hostnqn = opts->hostnqn,
				   .hdgst = opts->hdgst,
				   .ddgst = opts->ddgst,
				   .kato_ms = opts->kato_ms,
				   .timeout_ms = opts->timeout_ms};
	struct nvmf_discovery_log *log;
	struct host_ctrl ctrl;
	uint64_t records;

	memcpy(how.hostid, opts->hostid, sizeof(how.hostid));
	if (host_ctrl_open(group, &how, &ctrl, err) < 0)
		return -1;
	log = host_ctrl_identify(&ctrl, err) < 0 ? NULL : read_log(&ctrl, &records, err);
	if (log)
		print_log(log, records);
	if (!log) {
		host_disconnect(ctrl.admin);
		return -1;
	}
	free(log);
	return host_ctrl_close(&ctrl, err);
}

int discover(const struct options *opts, struct loopback *loopback)
{
	struct host_error err;
	struct host_group *group = loopback ? loopback_group(loopback, 0, &err) : host_tcp_group(&err);
	int rc = -1;

	if (group) {
		rc = show(group, opts, &err);
		group->ops->stop(group);
		group->ops->destroy(group);
	}
	if (rc < 0)
		fprintf(stderr, "nvmft-perf: %s: %s\n", opts->target, err.text);
	return rc < 0 ? 1 : 0;
}
