/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lb_host.h"

#define SUBNQN "nqn.2014-08.org.nvmexpress:bench"

double lb_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

uint64_t lb_rss(void)
{
	unsigned long long size = 0, resident = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file || fscanf(file, "%llu %llu", &size, &resident) != 2)
		resident = 0;
	if (file)
		fclose(file);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void write_log(void *ctx, enum nvmft_log_level level, const char *message)
{
	(void)ctx;
	(void)level;
	fprintf(stderr, "target: %s\n", message);
}

/* "vfio:ADDRESS/NSID": the address alone goes to @address. Return: NSID. */
static uint32_t split_address(const char *device, char *address, size_t size)
{
	const char *slash = strchr(device, '/');

	snprintf(address, size, "%.*s", (int)(slash ? slash - device : (int)strlen(device)), device);
	return slash ? (uint32_t)atoi(slash + 1) : 1;
}

static int add_namespace(struct nvmft_subsystem *subsystem, const char *kind, uint64_t bytes)
{
	char address[64];
	struct nvmft_null_opts null = {.size = sizeof(null), .bytes = bytes, .block_size = 4096};
	struct nvmft_memory_opts memory = {.size = sizeof(memory), .bytes = bytes, .block_size = 4096};
	struct nvmft_uring_nvme_opts uring = {.size = sizeof(uring)};
	struct nvmft_vfio_nvme_opts vfio = {.size = sizeof(vfio), .address = address};
	struct nvmft_namespace_opts ns = {.size = sizeof(ns), .nsid = 1};

	if (!strncmp(kind, "nvme:", 5)) {
		uring.device = kind + 5;
		ns.backend = nvmft_backend_uring_nvme();
		ns.backend_opts = &uring;
	} else if (!strncmp(kind, "vfio:", 5)) {
		vfio.nsid = split_address(kind + 5, address, sizeof(address));
		ns.backend = nvmft_backend_vfio_nvme();
		ns.backend_opts = &vfio;
	} else if (!strcmp(kind, "memory")) {
		ns.backend = nvmft_backend_memory();
		ns.backend_opts = &memory;
	} else {
		ns.backend = nvmft_backend_null();
		ns.backend_opts = &null;
	}
	return nvmft_namespace_add(subsystem, &ns, NULL);
}

static int add_subsystem(struct lb_target *lb, const char *kind, uint64_t bytes)
{
	struct nvmft_subsystem_opts opts = {
		.size = sizeof(opts), .nqn = SUBNQN, .allow_any_host = true, .max_io_queues = 65535};
	struct nvmft_subsystem *subsystem;
	int rc;

	rc = nvmft_subsystem_create(lb->target, &opts, &subsystem);
	if (!rc)
		rc = add_namespace(subsystem, kind, bytes);
	return rc ? rc : nvmft_port_link(lb->port, subsystem);
}

int lb_start(struct lb_target *lb, const struct nvmft_transport_ops *transport, const char *traddr, const char *kind,
	     uint64_t bytes)
{
	struct nvmft_target_opts opts = {
		.size = sizeof(opts), .log = {.write = write_log}, .log_level = NVMFT_LOG_WARN};
	struct nvmft_port_opts port = {.size = sizeof(port), .transport = transport, .traddr = traddr, .trsvcid = "0"};
	int rc;

	memset(lb, 0, sizeof(*lb));
	rc = nvmft_target_create(&opts, &lb->target);
	if (!rc)
		rc = nvmft_poll_group_create(lb->target, &lb->group);
	if (!rc)
		rc = nvmft_port_add(lb->target, &port, &lb->port);
	if (!rc)
		rc = add_subsystem(lb, kind, bytes);
	if (!rc)
		nvmft_poll(lb->group, 0);
	return rc;
}

struct waiter {
	struct nvmft_loopback_cmd cmd;
	bool done;
	int status;
	uint16_t cntlid;
};

static void cmd_done(struct nvmft_loopback_cmd *cmd)
{
	((struct waiter *)(void *)cmd)->done = true;
}

static void connected(void *ctx, struct nvmft_loopback_queue *queue, int status, uint16_t cntlid)
{
	struct waiter *waiter = ctx;

	(void)queue;
	waiter->done = true;
	waiter->status = status;
	waiter->cntlid = cntlid;
}

static int property(struct lb_target *lb, struct nvmft_loopback_queue *queue, uint32_t fctype, uint32_t offset,
		    uint32_t value, uint32_t *result)
{
	struct host_sqe sqe = {
		.opcode = 0x7f, .nsid = htole32(fctype), .cdw = {[1] = htole32(offset), [2] = htole32(value)}};
	struct waiter waiter = {.cmd = {.done = cmd_done}};
	struct host_cqe cqe;
	int rc;

	memcpy(waiter.cmd.sqe.bytes, &sqe, sizeof(sqe));
	rc = nvmft_loopback_submit(queue, &waiter.cmd);
	while (!rc && !waiter.done)
		nvmft_poll(lb->group, 0);
	memcpy(&cqe, waiter.cmd.cqe.bytes, sizeof(cqe));
	*result = le32toh(cqe.dw0);
	return rc ? rc : le16toh(cqe.status) ? -EIO : 0;
}

static int enable(struct lb_target *lb, struct nvmft_loopback_queue *queue)
{
	uint32_t csts = 0;
	int rc = property(lb, queue, 0x00, 0x14, 6u << 16 | 4u << 20 | 1, &csts);

	while (!rc && !(csts & 1))
		rc = property(lb, queue, 0x04, 0x1c, 0, &csts);
	return rc;
}

int lb_connect(struct lb_target *lb, uint16_t qid, uint16_t sqsize, struct nvmft_loopback_queue **queue)
{
	struct waiter waiter = {0};
	struct nvmft_loopback_opts opts = {.size = sizeof(opts),
					   .port = lb->port,
					   .group = lb->group,
					   .subnqn = SUBNQN,
					   .qid = qid,
					   .sqsize = sqsize,
					   .cntlid = qid ? lb->cntlid : 0,
					   .connected = connected,
					   .ctx = &waiter};
	int rc = nvmft_loopback_connect(&opts, queue);

	while (!rc && !waiter.done)
		nvmft_poll(lb->group, 0);
	if (rc || waiter.status)
		return rc ? rc : waiter.status < 0 ? waiter.status : -ECONNREFUSED;
	if (qid)
		return 0;
	lb->cntlid = waiter.cntlid;
	return enable(lb, *queue);
}

static void stopped(struct nvmft_done *done, int result)
{
	struct lb_target *lb = (struct lb_target *)(void *)((char *)done - offsetof(struct lb_target, done));

	(void)result;
	lb->stopped = true;
}

void lb_stop(struct lb_target *lb)
{
	lb->done.fn = stopped;
	if (nvmft_target_stop(lb->target, &lb->done) == 0)
		while (!lb->stopped)
			nvmft_poll(lb->group, 0);
	nvmft_target_destroy(lb->target);
}
