/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What transports with receive buffers of their own rely on (RDMA): they hear of the data memory, in-capsule data stays
 * in the buffer that it came in, and keyed descriptors may come as a segment. Through a transport that the test drives
 * by hand.
 */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <nvme/types.h>

#include <nvmft/nvmft.h>
#include <nvmft/provider/transport.h>

#define DISCOVERY "nqn.2014-08.org.nvmexpress.discovery"
#define CAPSULE 8192u

static struct toy {
	struct nvmft_queue *queue;
	struct nvmft_transport_group *tg;
	struct nvmft_request *fetching, *response;
	unsigned int regions, refuse;
	bool closing;
	bool stopped;
} toy;

static int toy_listen(struct nvmft_transport_port *port, const struct nvmft_port_config *config)
{
	(void)port;
	(void)config;
	return 0;
}

static void toy_start(struct nvmft_transport_port *port, struct nvmft_poll_group *group)
{
	(void)port;
	(void)group;
}

static void toy_stop(struct nvmft_transport_port *port)
{
	nvmft_port_closed(port);
}

static void toy_fetch(struct nvmft_request *request)
{
	toy.fetching = request;
}

static void toy_respond(struct nvmft_request *request)
{
	toy.response = request;
}

static void toy_close(struct nvmft_queue *queue)
{
	(void)queue;
	toy.closing = true;
}

static int toy_poll(struct nvmft_transport_group *tg)
{
	(void)tg;
	if (!toy.closing || !toy.queue)
		return 0;
	nvmft_queue_closed(toy.queue);
	toy.queue = NULL;
	return 1;
}

static int toy_region_add(struct nvmft_transport_group *tg, const struct nvmft_region *region)
{
	(void)tg;
	assert_non_null(region->base);
	if (toy.refuse)
		return -1;
	toy.regions++;
	return 0;
}

static void toy_region_remove(struct nvmft_transport_group *tg, const struct nvmft_region *region)
{
	(void)tg;
	(void)region;
	toy.regions--;
}

static const struct nvmft_transport_ops toy_ops = {
	.size = sizeof(toy_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "toy",
	.trtype = 1,
	.sgl_kinds = NVMFT_SGL_IN_CAPSULE | NVMFT_SGL_KEYED,
	.listen = toy_listen,
	.accept_start = toy_start,
	.accept_stop = toy_stop,
	.group_poll = toy_poll,
	.fetch = toy_fetch,
	.respond = toy_respond,
	.queue_close = toy_close,
	.region_add = toy_region_add,
	.region_remove = toy_region_remove,
	.msdbd = 8,
};

/* ---- a target with one connection ---- */

struct world {
	struct nvmft_target *target;
	struct nvmft_poll_group *group;
	struct nvmft_port *port;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct nvmft_target_opts opts = {.size = sizeof(opts)};
	struct nvmft_port_opts port = {.size = sizeof(port), .transport = &toy_ops, .traddr = "toy"};

	if (!w)
		return -1;
	memset(&toy, 0, sizeof(toy));
	assert_int_equal(nvmft_target_create(&opts, &w->target), 0);
	assert_int_equal(nvmft_poll_group_create(w->target, &w->group), 0);
	assert_int_equal(nvmft_port_add(w->target, &port, &w->port), 0);
	assert_true(nvmft_poll(w->group, 0) >= 0);
	assert_int_equal(nvmft_queue_open(w->port, w->group, 0, &toy.queue), 0);
	toy.tg = nvmft_queue_group(toy.queue);
	*state = w;
	return 0;
}

static void stopped(struct nvmft_done *done, int result)
{
	(void)done;
	(void)result;
	toy.stopped = true;
}

static int teardown(void **state)
{
	struct world *w = *state;
	struct nvmft_done done = {stopped};

	assert_int_equal(nvmft_target_stop(w->target, &done), 0);
	while (!toy.stopped)
		nvmft_poll(w->group, 0);
	assert_int_equal(nvmft_target_destroy(w->target), 0);
	free(w);
	return 0;
}

static uint64_t data_bytes(const struct world *w)
{
	struct nvmft_target_stats stats = {.size = sizeof(stats)};

	assert_int_equal(nvmft_target_stats(w->target, &stats), 0);
	return stats.data_bytes;
}

/* ---- capsules ---- */

static struct nvmft_request *capsule(uint8_t opcode, uint8_t fctype, uint8_t sgl, uint32_t len)
{
	struct nvmft_request *request;
	uint32_t le = htole32(len);
	int error;

	request = nvmft_request_get(toy.queue, &error);
	assert_non_null(request);
	memset(&request->sqe, 0, sizeof(request->sqe));
	request->sqe.opcode = opcode;
	request->sqe.flags = 0x40;
	request->sqe.nsid = htole32(fctype);
	memcpy(request->sqe.dptr + 8, &le, sgl == 0x01 || sgl == 0x31 ? 4 : 3);
	request->sqe.dptr[15] = sgl;
	return request;
}

static struct nvmft_request *connect_capsule(const struct world *w, uint32_t len)
{
	struct nvmft_request *request = capsule(0x7f, 1, 0x01, len);
	struct nvmf_connect_data data = {.cntlid = htole16(0xffff)};

	strcpy(data.subsysnqn, DISCOVERY);
	strcpy(data.hostnqn, "nqn.2024-01.org.nvmft:host");
	data.hostid[0] = 1;
	request->sqe.cdw11 = htole32(31);
	assert_int_equal(nvmft_buffer_get(w->group, CAPSULE, false, &request->given), 0);
	memcpy(request->given.base, &data, sizeof(data));
	request->in_capsule_len = CAPSULE;
	return request;
}

static uint16_t finish(void)
{
	struct nvmft_request *response = toy.response;
	uint16_t status = le16toh(response->cqe.status) >> 1;

	assert_non_null(response);
	toy.response = NULL;
	nvmft_request_release(response);
	return status;
}

static void connect_toy(const struct world *w)
{
	struct nvmft_request *request = connect_capsule(w, sizeof(struct nvmf_connect_data));

	nvmft_request_start(request);
	assert_int_equal(finish(), 0);
	request = capsule(0x7f, 0, 0, 0); /* Property Set */
	request->sqe.cdw11 = htole32(NVME_REG_CC);
	request->sqe.cdw12 = htole32(0x00460001);
	nvmft_request_start(request);
	assert_int_equal(finish(), 0);
}

/* ---- tests ---- */

static void a_transport_hears_of_data_memory(void **state)
{
	struct world *w = *state;
	struct nvmft_iov iov;

	assert_int_equal(toy.regions, 0);
	assert_int_equal(nvmft_buffer_get(w->group, CAPSULE, false, &iov), 0);
	assert_int_equal(toy.regions, 1);
	nvmft_buffer_put(w->group, &iov);
}

static void memory_that_a_transport_refuses_is_not_used(void **state)
{
	struct world *w = *state;
	struct nvmft_iov iov;

	toy.refuse = 1;
	assert_int_not_equal(nvmft_buffer_get(w->group, CAPSULE, false, &iov), 0);
	toy.refuse = 0;
}

static void in_capsule_data_is_used_where_it_lies(void **state)
{
	struct world *w = *state;
	struct nvmft_request *request = connect_capsule(w, sizeof(struct nvmf_connect_data));
	const void *base = request->given.base;

	assert_true(nvmft_request_start(request));
	assert_null(toy.fetching);
	assert_ptr_equal(request->iov[0].base, base);
	assert_int_equal(request->iov[0].len, sizeof(struct nvmf_connect_data));
	assert_int_equal(finish(), 0);
	assert_int_equal(data_bytes(w), 0);
}

static void a_buffer_that_a_command_does_not_use_goes_back(void **state)
{
	struct world *w = *state;

	assert_false(nvmft_request_start(connect_capsule(w, 512)));
	assert_int_not_equal(finish(), 0);
	assert_int_equal(data_bytes(w), 0);
}

static void a_segment_is_as_long_as_it_adds_up(void **state)
{
	struct nvmft_request *request;

	connect_toy(*state);
	request = capsule(0x7f, 0x04, 0x31, 16); /* no data: a segment does no harm */
	request->sqe.cdw10 = htole32(1);
	request->segment_len = 4096;
	assert_true(nvmft_request_start(request));
	assert_int_equal(finish(), 0);
	request = capsule(nvme_admin_identify, 0, 0x31, 64);
	request->sqe.cdw10 = htole32(NVME_IDENTIFY_CNS_CTRL);
	request->segment_len = 4096;
	nvmft_request_start(request);
	assert_int_equal(request->sgl, NVMFT_SGL_KEYED);
	finish();
	request = capsule(nvme_admin_identify, 0, 0x31, 64);
	request->sqe.cdw10 = htole32(NVME_IDENTIFY_CNS_CTRL);
	request->segment_len = 4095;
	assert_false(nvmft_request_start(request));
	assert_int_equal(finish() & 0xff, NVME_SC_SGL_INVALID_DATA);
}

static void a_bad_segment_fails_the_command(void **state)
{
	struct nvmft_request *request;

	connect_toy(*state);
	request = capsule(nvme_admin_identify, 0, 0x31, 64);
	request->sqe.cdw10 = htole32(NVME_IDENTIFY_CNS_CTRL);
	request->segment_len = 4096;
	request->segment_status = NVMFT_STATUS(NVME_SCT_GENERIC, NVME_SC_SGL_INVALID_OFFSET);
	assert_false(nvmft_request_start(request));
	assert_int_equal(finish() & 0xff, NVME_SC_SGL_INVALID_OFFSET);
}

static void a_bad_keyed_descriptor_fails_the_command(void **state)
{
	struct nvmft_request *request;

	connect_toy(*state);
	request = capsule(nvme_admin_identify, 0, 0x40, 64);
	request->sqe.cdw10 = htole32(NVME_IDENTIFY_CNS_CTRL);
	request->sqe.dptr[8] = 0;
	request->sqe.dptr[9] = 0x10; /* 4096 bytes */
	request->segment_status = NVMFT_STATUS(NVME_SCT_GENERIC, NVME_SC_SGL_INVALID_DATA);
	assert_false(nvmft_request_start(request));
	assert_int_equal(finish() & 0xff, NVME_SC_SGL_INVALID_DATA);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_transport_hears_of_data_memory),      T(memory_that_a_transport_refuses_is_not_used),
		T(in_capsule_data_is_used_where_it_lies), T(a_buffer_that_a_command_does_not_use_goes_back),
		T(a_segment_is_as_long_as_it_adds_up),    T(a_bad_segment_fails_the_command),
		T(a_bad_keyed_descriptor_fails_the_command),
	};

	return cmocka_run_group_tests_name("given", tests, NULL, NULL);
}
