/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TESTS_HOST_PRIV_H
#define NVMFT_TESTS_HOST_PRIV_H

/* Between the files of the helper. */

#include "host.h"

/* PDU types and flags that a host needs (NVMe TCP Transport 1.0, 3.6). */
enum {
	PDU_ICREQ = 0,
	PDU_ICRESP = 1,
	PDU_C2H_TERM = 3,
	PDU_CMD = 4,
	PDU_RESP = 5,
	PDU_H2C_DATA = 6,
	PDU_C2H_DATA = 7,
	PDU_R2T = 9,
};
enum { PDU_F_HDGST = 1, PDU_F_DDGST = 2, PDU_F_LAST = 4, PDU_F_SUCCESS = 8 };

/* Fields of a PDU: little-endian, at any address. */
static inline void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v);
	put16(p + 2, v >> 16);
}

static inline uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t get32(const uint8_t *p)
{
	return get16(p) | (uint32_t)get16(p + 2) << 16;
}

/* queue.c: cmd->cqe is there. */
void th_cmd_finish(struct th_cmd *cmd);

/* queue.c: Connect on a new connection, with further connect attributes. Returns as th_connect(). */
int th_exec_connect(struct th_queue *queue, const struct nvmft_loopback_opts *opts, uint8_t cattr);
/* Data goes out if the opcode, or for a fabrics command its type, ends with 01b. */
bool th_has_data_out(const struct nvmft_loopback_cmd *lc);

/* tcp.c */
bool th_tcp_is(struct nvmft_port *port);
/* Complete the options of a port for t->transport; @tcp is where they point. */
void th_tcp_port_opts(struct th *t, struct nvmft_port_opts *po, struct nvmft_tcp_opts *tcp);
int th_tcp_connect(struct th_queue *queue, const struct nvmft_loopback_opts *opts);
/* Say that nothing more will come; the controller then closes the connection. */
void th_tcp_disconnect(struct th_queue *queue);
void th_tcp_submit(struct th_cmd *cmd);
/* Send and receive on every connection. Returns the number of events. */
int th_tcp_poll(struct th *t);
/* The connection has ended: close it, and end what is outstanding. */
void th_tcp_die(struct th_queue *queue);
/* Answer the R2T in cmd->tcp. */
void th_tcp_send_data(struct th_cmd *cmd);
uint32_t th_crc32c(const void *data, size_t len);

static inline bool th_tcp_queue(const struct th_queue *queue)
{
	return queue->tcp.maxh2cdata != 0;
}

/* tcp_rx.c: receive what there is. Returns the number of events. */
int th_tcp_receive(struct th_queue *queue);
void th_tcp_receive_next(struct th_tcp *tcp);

/* rdma.c, or no_rdma.c */
bool th_rdma_present(void);
bool th_rdma_is(struct nvmft_port *port);
void th_rdma_port_opts(struct th *t, struct nvmft_port_opts *po, struct nvmft_rdma_opts *rdma);
int th_rdma_connect(struct th_queue *queue, const struct nvmft_loopback_opts *opts);
/* @wait: until the controller has closed its side, too. */
void th_rdma_disconnect(struct th_queue *queue, bool wait);
void th_rdma_submit(struct th_cmd *cmd);
void th_rdma_die(struct th_queue *queue);
int th_rdma_poll(struct th *t);
/* The target is gone: close what it has not. */
void th_rdma_quit(struct th *t);

#endif
