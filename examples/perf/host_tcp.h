/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PERF_HOST_TCP_H
#define PERF_HOST_TCP_H

/* Shared by the files of the NVMe/TCP host only. */

#include "host.h"

#define TCP_RX_SIZE (256u * 1024)
/* With less than this to come, one receive through the buffer with what follows it is cheaper than one of its own. */
#define TCP_DIRECT_MIN (8u * 1024)

/* One CID. It is in flight while cmd is set; it is on the send list while sending is. */
struct tcp_slot {
	struct host_cmd *cmd;
	struct tcp_slot *next;
	const uint8_t *data; /* of the PDU that is being sent */
	uint32_t header_len;
	uint32_t data_len;
	uint32_t digest_len; /* 0 or 4 */
	uint32_t digest;
	uint32_t sent;     /* bytes of header, data and digest */
	uint32_t received; /* bytes of C2HData */
	uint32_t granted;  /* bytes of R2T, all of them together */
	uint32_t r2t_offset;
	uint32_t r2t_left;
	uint16_t r2t_tag;
	bool sending;
	bool completed; /* by the target, while still sending: cqe waits for the end of it */
	bool digest_bad;
	struct host_cqe cqe;
	_Alignas(8) uint8_t header[PDU_HEADER_MAX]; /* written as a structure */
};

enum tcp_rx_state {
	TCP_RX_COMMON, /* 8 bytes */
	TCP_RX_HEADER, /* up to the data, or all of a PDU without data */
	TCP_RX_DATA,
	TCP_RX_DIGEST,
};

struct tcp_conn {
	struct host_queue queue;
	struct tcp_group *group;
	struct tcp_conn *next;       /* of the group */
	struct tcp_conn *next_dirty; /* with something to send */
	bool dirty;
	bool want_out;
	int fd;
	struct pdu_params params;
	uint32_t in_capsule;
	struct tcp_slot *slots;
	struct tcp_slot *tx_head;
	struct tcp_slot *tx_tail;
	enum tcp_rx_state rx_state;
	uint32_t rx_need; /* bytes of header in rx_state HEADER */
	uint32_t rx_left; /* bytes of data */
	uint8_t *rx_dest;
	struct tcp_slot *rx_slot;
	uint32_t rx_offset; /* of this C2HData in the command's data */
	uint32_t rx_len;
	uint8_t rx_flags;
	uint32_t rx_head;
	uint32_t rx_tail;
	uint8_t *rx;
};

struct tcp_group {
	struct host_group group;
	int epoll;
	unsigned int count;
	int completions; /* of the current poll */
	struct tcp_conn *conns;
	struct tcp_conn *dirty;
};

/* The connection is over: close it and call back what was in flight. @fes not 0: tell the target why. */
void tcp_die(struct tcp_conn *conn, uint16_t fes, const char *format, ...) __attribute__((format(printf, 3, 4)));

void tcp_complete(struct tcp_conn *conn, struct tcp_slot *slot, const struct host_cqe *cqe);

/* host_tcp_tx.c */
void tcp_send_cmd(struct tcp_conn *conn, struct tcp_slot *slot);
void tcp_send_data(struct tcp_conn *conn, struct tcp_slot *slot);
void tcp_flush(struct tcp_conn *conn);

/* host_tcp_rx.c. Return: true when something was received. */
bool tcp_receive(struct tcp_conn *conn);

/* host_tcp_connect.c: socket, ICReq and ICResp. Return: the socket, non-blocking, or -1. */
int tcp_open(const struct host_connect *how, struct pdu_params *params, struct host_error *err);

#endif
