/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "priv.h"

/* Built without librdmacm and libibverbs: there is no world over RDMA. */

bool th_rdma_present(void)
{
	return false;
}

bool th_rdma_is(struct nvmft_port *port)
{
	(void)port;
	return false;
}

void th_rdma_port_opts(struct th *t, struct nvmft_port_opts *po, struct nvmft_rdma_opts *rdma)
{
	(void)t;
	(void)po;
	(void)rdma;
	fail_msg("built without RDMA");
}

int th_rdma_connect(struct th_queue *queue, const struct nvmft_loopback_opts *opts)
{
	(void)queue;
	(void)opts;
	return -1;
}

void th_rdma_submit(struct th_cmd *cmd)
{
	(void)cmd;
}

void th_rdma_disconnect(struct th_queue *queue, bool wait)
{
	(void)queue;
	(void)wait;
}

void th_rdma_die(struct th_queue *queue)
{
	(void)queue;
}

int th_rdma_poll(struct th *t)
{
	(void)t;
	return 0;
}

void th_rdma_quit(struct th *t)
{
	(void)t;
}
