/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

/*
 * The wire floor: what TCP itself costs. A server that answers the handshake with canned bytes; from then on it counts
 * bytes in and sends as many fixed bytes out as a target would have to, without looking at them.
 */

#include "host_pdu.h"

#define FLOOR_RX (512u * 1024)
#define FLOOR_TX_MIN (128u * 1024) /* the template repeats the reply up to about this size */
#define FLOOR_HANDSHAKE 16384u

enum floor_kind {
	FLOOR_READ,    /* a capsule in, C2HData with SUCCESS out */
	FLOOR_CAPSULE, /* a capsule with data in, CapsuleResp out */
	FLOOR_R2T,     /* a capsule in, R2T out, H2CData in, CapsuleResp out: the one that has to look at headers */
};

struct floor_load {
	enum floor_kind kind;
	uint32_t bs;
	uint32_t request_len;
	uint32_t reply_len;
	uint8_t *template;
	uint32_t template_len; /* a multiple of reply_len */
};

struct floor_conn {
	int fd;
	bool raw;          /* past the handshake */
	bool blocked;      /* by a full socket */
	uint32_t partial;  /* bytes of a request that came without its end */
	uint64_t owed;     /* bytes to send */
	uint32_t position; /* in the template */
	/* Handshake, and FLOOR_R2T's answers. */
	uint32_t in_len;
	uint32_t skip;
	uint32_t out_len;
	uint8_t in[FLOOR_HANDSHAKE];
	uint8_t out[FLOOR_HANDSHAKE];
};

/* floor_canned.c: take @len bytes of handshake. Return: bytes used (the rest is raw already), or -1: not understood. */
long floor_handshake(struct floor_conn *conn, const uint8_t *data, size_t len);

/* floor_load.c */
int floor_load_init(struct floor_load *load, const char *rw, uint32_t bs);
void floor_count(const struct floor_load *load, struct floor_conn *conn, const uint8_t *data, size_t len);

/* What is to be sent now, at most @max pieces. Return: the number of them. */
struct iovec;
unsigned int floor_pending(const struct floor_load *load, const struct floor_conn *conn, struct iovec *iov,
			   unsigned int max);
void floor_sent(const struct floor_load *load, struct floor_conn *conn, size_t len);

/* Data that came in: handshake or load. Return: false: the connection is of no use. */
bool floor_input(const struct floor_load *load, struct floor_conn *conn, const uint8_t *data, size_t len);

/* floor_epoll.c, floor_uring.c: serve for ever. */
int floor_serve_epoll(int listener, const struct floor_load *load);
int floor_serve_uring(int listener, const struct floor_load *load);

#endif
