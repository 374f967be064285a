/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PERF_OPTIONS_H
#define PERF_OPTIONS_H

#include "host.h"

enum poll_mode {
	POLL_ADAPTIVE,
	POLL_ALWAYS,
	POLL_NEVER,
};

struct options {
	const char *target; /* as given */
	struct host_addr addr;
	const char *loopback; /* namespace of the target inside this process, NULL: TCP */
	const char *subnqn;
	char hostnqn[224];
	uint8_t hostid[16];
	uint32_t nsid;
	bool discover;
	const char *rw;
	bool random;
	unsigned int read_percent;
	uint32_t bs;
	unsigned int depth;
	unsigned int queues; /* I/O queues of each connection */
	unsigned int connections;
	unsigned int threads;
	uint64_t time_ns; /* 0: no limit by time */
	uint64_t ios;     /* 0: no limit by number */
	uint64_t size;    /* 0: to the end */
	uint64_t offset;
	bool hdgst;
	bool ddgst;
	bool verify;
	bool no_sqflow;
	bool no_in_capsule;
	uint64_t seed;
	uint32_t kato_ms;
	unsigned int timeout_ms;
	enum poll_mode poll;
	bool json;
	bool quiet;
};

/* Return: -1: run; else the exit status, and why has been printed. */
int options_parse(struct options *opts, int argc, char **argv);

#endif
