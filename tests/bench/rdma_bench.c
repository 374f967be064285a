/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rdma_bench count KIND DEPTH BATCHES    4 KiB reads over NVMe/RDMA, DEPTH at a time, with marks for count_steps
 * rdma_bench sleep KIND COMMANDS         the same one by one; between two of them the poll group is ready to sleep
 *
 * KIND is that of loopback_bench. The RDMA device is rdma_model. Prints one line of JSON.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lb_host.h"
#include "rdma_model.h"
#include "ssd.h"

#define BS 4096u
#define NS_BYTES (64ull << 20)
#define DEPTH_MAX 128u
#define WARM_UP 64u
#define SUBNQN "nqn.2014-08.org.nvmexpress:bench"
#define HOSTNQN "nqn.2014-08.org.nvmexpress:uuid:00000000-0000-4000-8000-000000000001"
#define SGL_KEYED_INVALIDATE 0x4f

struct host {
	struct lb_target lb;
	struct model_queue *queue;
	uint64_t done, errors;
	struct host_cqe last;
	uint8_t *data;
	uint64_t lba;
};

static void responded(void *ctx, const struct host_cqe *cqe)
{
	struct host *host = ctx;

	host->done++;
	host->errors += cqe->status != 0;
	host->last = *cqe;
}

/* One command, and all that comes of it. */
static int call(struct host *host, struct model_queue *queue, const struct host_sqe *sqe, const void *data,
		uint32_t len)
{
	uint64_t done = host->done;

	if (!model_send(queue, sqe, data, len))
		return -ENOBUFS;
	while (host->done == done)
		nvmft_poll(host->lb.group, 0);
	return host->last.status ? -EIO : 0;
}

static int open_queue(struct host *host, uint16_t qid, uint32_t depth, struct model_queue **queue)
{
	struct host_sqe sqe = {.opcode = 0x7f, .flags = HOST_PSDT_SGL, .nsid = htole32(1)};
	static uint16_t cntlid = 0xffff;
	uint8_t data[1024] = {1};
	uint16_t id = htole16(cntlid);
	int rc;

	*queue = model_connect(qid, depth, responded, host);
	while (!model_established(*queue))
		nvmft_poll(host->lb.group, 0);
	memcpy(data + 16, &id, sizeof(id));
	strcpy((char *)data + 256, SUBNQN);
	strcpy((char *)data + 512, HOSTNQN);
	sqe.sgl.len = htole32(sizeof(data));
	sqe.sgl.type = HOST_SGL_IN_CAPSULE;
	sqe.cdw[0] = htole32((uint32_t)qid << 16);
	sqe.cdw[1] = htole32(depth - 1);
	rc = call(host, *queue, &sqe, data, sizeof(data));
	cntlid = (uint16_t)le32toh(host->last.dw0);
	return rc;
}

static int enable(struct host *host, struct model_queue *admin)
{
	struct host_sqe set = {.opcode = 0x7f, .flags = HOST_PSDT_SGL};
	struct host_sqe get = {.opcode = 0x7f, .flags = HOST_PSDT_SGL, .nsid = htole32(4)};
	int rc;

	set.cdw[1] = htole32(0x14);
	set.cdw[2] = htole32(6u << 16 | 4u << 20 | 1);
	get.cdw[1] = htole32(0x1c);
	rc = call(host, admin, &set, NULL, 0);
	do {
		rc = rc ? rc : call(host, admin, &get, NULL, 0);
	} while (!rc && !(le32toh(host->last.dw0) & 1));
	return rc;
}

static int host_open(struct host *host, const char *kind, uint32_t depth)
{
	struct model_queue *admin;
	int rc = lb_start(&host->lb, nvmft_transport_rdma(), "127.0.0.1", kind, NS_BYTES);

	host->data = malloc((size_t)depth * BS);
	if (!rc)
		rc = open_queue(host, 0, 32, &admin);
	if (!rc)
		rc = enable(host, admin);
	if (!rc)
		rc = open_queue(host, 1, depth + 1, &host->queue);
	if (rc)
		fprintf(stderr, "rdma_bench: %s\n", strerror(-rc));
	return rc;
}

static void submit(struct host *host, uint16_t cid)
{
	struct host_sqe sqe = {.opcode = 0x02, .flags = HOST_PSDT_SGL, .cid = htole16(cid), .nsid = htole32(1)};
	uint64_t addr = htole64((uintptr_t)(host->data + (size_t)cid * BS));
	uint32_t len = htole32(BS);

	/* Address, 3 bytes of length, 4 of the key. */
	memcpy((uint8_t *)&sqe.sgl, &addr, 8);
	memcpy((uint8_t *)&sqe.sgl + 8, &len, 3);
	sqe.sgl.type = SGL_KEYED_INVALIDATE;
	sqe.cdw[0] = htole32((uint32_t)(host->lba++ * 977 % (NS_BYTES / BS)));
	host->errors += !model_send(host->queue, &sqe, NULL, 0);
}

static void batch(struct host *host, uint32_t depth)
{
	uint64_t until = host->done + depth;

	for (uint32_t i = 0; i < depth; i++)
		submit(host, (uint16_t)i);
	while (host->done < until && !host->errors)
		nvmft_poll(host->lb.group, 0);
}

static int bench_count(struct host *host, uint32_t depth, uint32_t batches)
{
	struct model_calls before;

	for (uint32_t i = 0; i < WARM_UP; i++)
		batch(host, depth);
	before = model_calls;
	for (uint32_t i = 0; i < batches; i++) {
		uint64_t until = host->done + depth;

		for (uint32_t j = 0; j < depth; j++)
			submit(host, (uint16_t)j);
		ssd_mark();
		while (host->done < until && !host->errors)
			nvmft_poll(host->lb.group, 0);
		ssd_mark();
	}
	printf("{\"ios\": %u, \"errors\": %llu, \"doorbells\": %llu, \"receives\": %llu}\n", batches * depth,
	       (unsigned long long)host->errors, (unsigned long long)(model_calls.doorbells - before.doorbells),
	       (unsigned long long)(model_calls.receives - before.receives));
	return host->errors != 0;
}

static void fall_asleep(struct host *host)
{
	do {
		while (nvmft_poll(host->lb.group, 0) > 0)
			;
	} while (nvmft_poll_group_arm(host->lb.group) != 0);
}

static int bench_sleep(struct host *host, uint32_t commands)
{
	struct model_calls before;

	batch(host, 1);
	fall_asleep(host);
	before = model_calls;
	for (uint32_t i = 0; i < commands; i++) {
		submit(host, 0);
		fall_asleep(host);
	}
	printf("{\"ios\": %u, \"errors\": %llu, \"wakeups\": %llu, \"notifies\": %llu}\n", commands,
	       (unsigned long long)host->errors, (unsigned long long)(model_calls.wakeups - before.wakeups),
	       (unsigned long long)(model_calls.notifies - before.notifies));
	return host->errors != 0;
}

int main(int argc, char **argv)
{
	static struct host host;
	uint32_t depth = argc == 5 && !strcmp(argv[1], "count") ? (uint32_t)atoi(argv[3]) : 1;
	int ret;

	if ((argc != 5 && argc != 4) || depth == 0 || depth > DEPTH_MAX ||
	    strcmp(argv[1], argc == 5 ? "count" : "sleep") != 0) {
		fprintf(stderr, "Usage: rdma_bench count KIND DEPTH BATCHES | sleep KIND COMMANDS\n");
		return 2;
	}
	if (host_open(&host, argv[2], depth))
		return 1;
	ret = argc == 5 ? bench_count(&host, depth, (uint32_t)atoi(argv[4]))
			: bench_sleep(&host, (uint32_t)atoi(argv[3]));
	lb_stop(&host.lb);
	free(host.data);
	return ret;
}
