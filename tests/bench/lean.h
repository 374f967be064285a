/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_LEAN_H
#define BENCH_LEAN_H

/*
 * The lean load generator: connects as a proper host, then replays capsules made in advance and counts responses, so
 * that its own cost hides as little of the target's as possible. It is the same against the wire floor and against a
 * target.
 */

#include "host.h"

#define LEAN_RX (512u * 1024)

struct lean_opts {
	struct host_addr addr;
	const char *subnqn;
	bool write;
	bool hdgst;
	bool ddgst;
	bool fifo; /* the server answers in order and does not say which command */
	bool idle; /* connect, say so, and wait for the end of standard input */
	uint32_t bs;
	unsigned int depth;
	unsigned int queues;
	uint64_t time_ns;
	uint64_t ios;
};

struct lean_piece {
	const uint8_t *base;
	size_t len;
};

struct lean_conn {
	int fd;
	uint32_t pdu_len; /* of one template capsule */
	uint8_t *templates;
	uint8_t *data_pdus; /* H2CData headers, one per CID */
	/* Pieces to send: a ring with room for two for each command. */
	struct lean_piece *pieces;
	unsigned int ring;
	unsigned int head;
	unsigned int count;
	/* Receiving: a header of 24 bytes, then skipping to the end of the PDU. */
	uint8_t header[24];
	uint32_t have;
	uint32_t skip;
	uint16_t next_cid; /* fifo */
	bool success;      /* the C2HData being skipped ends its command */
	bool blocked;
	struct pdu_params params;
};

struct lean {
	const struct lean_opts *opts;
	struct lean_conn *conns;
	const uint8_t *payload;
	uint64_t done;
	uint64_t receives; /* that brought something */
	uint64_t errors;
	bool stop;
	uint8_t rx[LEAN_RX];
};

/* lean_pdu.c */
int lean_conn_init(struct lean *lean, struct lean_conn *conn, unsigned int number, const struct host_ns *ns,
		   uint32_t in_capsule);
void lean_queue_cmd(struct lean_conn *conn, uint16_t cid);
bool lean_input(struct lean *lean, struct lean_conn *conn, const uint8_t *data, size_t len);

/* lean_loop.c. Return: 0 or -1, and why has been printed. */
int lean_run(struct lean *lean, double *seconds);

#endif
