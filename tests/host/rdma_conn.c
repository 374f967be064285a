/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections of a host over RDMA, from rdma_create_id() to rdma_destroy_id(). */
#include "rdma.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "priv.h"

#define DEPTH 32u
/* More commands than a queue takes, so that this can be tried. */
#define SLOTS_BEYOND 8u
/* A SEND, and the binding of a memory window. */
#define WRS_PER_SLOT 2u
#define CM_TIMEOUT_MS 5000
#define WAIT_MS 10000
/* Reads by the controller that are answered at a time. */
#define READS 16
#define RNR_FOR_EVER 7
/* What is lost is sent again after 4.096 us << 15 = 134 ms, so many times: for both ends. Soft-RoCE takes 7 as for
 * ever. */
#define ACK_TIMEOUT 15
#define RETRIES 6

static struct sockaddr_storage parse_address(const char *traddr, const char *trsvcid)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	struct sockaddr_storage ss = {.ss_family = AF_UNSPEC};
	struct addrinfo *info;

	assert_int_equal(getaddrinfo(traddr, trsvcid, &hints, &info), 0);
	memcpy(&ss, info->ai_addr, info->ai_addrlen);
	freeaddrinfo(info);
	return ss;
}

static struct sockaddr_storage port_address(const struct th_rdma *r)
{
	char traddr[256], trsvcid[32];

	if (r->ask.traddr)
		return parse_address(r->ask.traddr, r->ask.trsvcid);
	nvmft_port_address(r->t->port, traddr, trsvcid);
	return parse_address(traddr, trsvcid);
}

/* ---- memory ---- */

static void memory_init(struct th_rdma *r)
{
	uint32_t slot_len = 64 + r->in_capsule;
	size_t len;
	void *memory = NULL;

	r->nslots = r->ask.depth + SLOTS_BEYOND;
	r->slots = calloc(r->nslots, sizeof(*r->slots));
	len = (size_t)r->nslots * slot_len + (size_t)r->ask.receives * 64;
	assert_non_null(r->slots);
	assert_int_equal(posix_memalign(&memory, 4096, len), 0);
	r->memory = memory;
	for (uint32_t i = 0; i < r->nslots; i++)
		r->slots[i].capsule = r->memory + (size_t)i * slot_len;
	r->mr = ibv_reg_mr(r->id->pd, memory, len, IBV_ACCESS_LOCAL_WRITE);
	assert_non_null(r->mr);
}

struct ibv_mr *th_rdma_register(struct th_rdma *r, void *data, size_t len, bool write)
{
	unsigned int access = IBV_ACCESS_MW_BIND | IBV_ACCESS_REMOTE_READ;
	struct ibv_mr *mr;

	if (write)
		access |= IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
	mr = ibv_reg_mr(r->id->pd, data, len, access);
	if (!mr)
		fail_msg("ibv_reg_mr of %zu bytes: %s", len, strerror(errno));
	return mr;
}

uint32_t th_rdma_bind(struct th_rdma *r, struct ibv_mr *mr, struct ibv_mw *mw, bool write)
{
	unsigned int access = IBV_ACCESS_REMOTE_READ | (write ? IBV_ACCESS_REMOTE_WRITE : 0u);
	struct ibv_send_wr wr = {
		.wr_id = TH_WR_BIND,
		.opcode = IBV_WR_BIND_MW,
		.send_flags = IBV_SEND_SIGNALED,
		.bind_mw = {.mw = mw,
			    .rkey = ibv_inc_rkey(mw->rkey),
			    .bind_info = {.mr = mr,
					  .addr = (uintptr_t)mr->addr,
					  .length = mr->length,
					  .mw_access_flags = access}},
	};
	struct ibv_send_wr *bad;

	assert_int_equal(ibv_post_send(r->id->qp, &wr, &bad), 0);
	mw->rkey = wr.bind_mw.rkey;
	return mw->rkey;
}

/* ---- queue pair ---- */

static void qp_init(struct th_rdma *r)
{
	uint32_t wrs = (r->ask.depth + SLOTS_BEYOND) * WRS_PER_SLOT;
	struct ibv_qp_init_attr attr = {
		.cap = {.max_send_wr = wrs, .max_recv_wr = r->ask.receives, .max_send_sge = 2, .max_recv_sge = 1},
		.qp_type = IBV_QPT_RC,
	};

	r->cq = ibv_create_cq(r->id->verbs, (int)(wrs + r->ask.receives), NULL, NULL, 0);
	assert_non_null(r->cq);
	attr.send_cq = r->cq;
	attr.recv_cq = r->cq;
	assert_int_equal(rdma_create_qp(r->id, NULL, &attr), 0);
	if (r->ask.half) {
		r->qp = r->id->qp;
		r->id->qp = NULL;
	}
	memory_init(r);
	if (!r->ask.half)
		th_rdma_fill_receives(r);
}

/* ---- events ---- */

struct event_wait {
	struct th_rdma *r;
	enum rdma_cm_event_type before;
};

static bool event_came(void *arg)
{
	const struct event_wait *w = arg;

	return w->r->ended || w->r->event != w->before;
}

/* Drive until an event takes the place of the last; true if it is @wanted. */
static bool wait_event(struct th_rdma *r, enum rdma_cm_event_type before, enum rdma_cm_event_type wanted)
{
	struct event_wait w = {r, before};

	if (!th_wait(r->t, event_came, &w, WAIT_MS))
		fail_msg("no %s; log:\n%s", rdma_event_str(wanted), r->t->log);
	return r->event == wanted;
}

/* ---- opening ---- */

static void ask_defaults(struct th_rdma *r)
{
	if (!r->ask.depth)
		r->ask.depth = DEPTH;
	if (!r->ask.receives)
		r->ask.receives = r->ask.depth + 1;
	r->in_capsule = r->ask.in_capsule ? r->ask.in_capsule : TH_RDMA_ADMIN_IN_CAPSULE;
}

static void ask_bytes(const struct th_rdma_ask *ask, uint8_t bytes[32])
{
	memset(bytes, 0, 32);
	put16(bytes + 2, ask->qid);
	put16(bytes + 4, ask->receives);
	put16(bytes + 6, ask->depth - 1);
	put16(bytes + 8, ask->cntlid);
}

void th_rdma_start(struct th_rdma *r)
{
	uint8_t bytes[32];
	struct rdma_conn_param param = {
		.private_data = r->ask.private_data ? r->ask.private_data : bytes,
		.private_data_len = r->ask.private_data ? r->ask.private_len : sizeof(bytes),
		.responder_resources = r->ask.no_reads ? 0 : READS,
		.retry_count = RETRIES,
		.rnr_retry_count = RNR_FOR_EVER,
		.qp_num = r->qp ? r->qp->qp_num : 0,
	};

	ask_bytes(&r->ask, bytes);
	assert_int_equal(rdma_connect(r->id, &param), 0);
}

bool th_rdma_answered(struct th_rdma *r)
{
	r->up = wait_event(r, RDMA_CM_EVENT_ROUTE_RESOLVED,
			   r->ask.half ? RDMA_CM_EVENT_CONNECT_RESPONSE : RDMA_CM_EVENT_ESTABLISHED);
	return r->up;
}

static bool resolve(struct th_rdma *r)
{
	struct sockaddr_storage to = port_address(r), from;
	struct sockaddr *source = NULL;

	if (r->ask.source) {
		from = parse_address(r->ask.source, NULL);
		source = (struct sockaddr *)&from;
	}
	/* An event that is neither of these. */
	r->event = RDMA_CM_EVENT_TIMEWAIT_EXIT;
	assert_int_equal(rdma_resolve_addr(r->id, source, (struct sockaddr *)&to, CM_TIMEOUT_MS), 0);
	if (!wait_event(r, RDMA_CM_EVENT_TIMEWAIT_EXIT, RDMA_CM_EVENT_ADDR_RESOLVED))
		return false;
	assert_int_equal(rdma_resolve_route(r->id, CM_TIMEOUT_MS), 0);
	return wait_event(r, RDMA_CM_EVENT_ADDR_RESOLVED, RDMA_CM_EVENT_ROUTE_RESOLVED);
}

struct th_rdma *th_rdma_open(struct th *t, const struct th_rdma_ask *ask)
{
	struct th_rdma *r = calloc(1, sizeof(*r));
	uint8_t timeout = ACK_TIMEOUT;

	assert_non_null(r);
	r->t = t;
	r->ask = *ask;
	r->pieces = 1;
	ask_defaults(r);
	LIST_INSERT_HEAD(&t->rdma_conns, r, link);
	r->channel = rdma_create_event_channel();
	assert_non_null(r->channel);
	assert_int_equal(fcntl(r->channel->fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(rdma_create_id(r->channel, &r->id, r, RDMA_PS_TCP), 0);
	assert_int_equal(rdma_set_option(r->id, RDMA_OPTION_ID, RDMA_OPTION_ID_ACK_TIMEOUT, &timeout, sizeof(timeout)),
			 0);
	if (!resolve(r))
		fail_msg("no way to the port: %s", rdma_event_str(r->event));
	qp_init(r);
	if (r->ask.hold)
		return r;
	th_rdma_start(r);
	th_rdma_answered(r);
	return r;
}

/* ---- closing ---- */

void th_rdma_silence(struct th_rdma *r)
{
	struct ibv_qp_attr attr = {.qp_state = IBV_QPS_ERR};

	assert_int_equal(ibv_modify_qp(r->id->qp, &attr, IBV_QP_STATE), 0);
}

static void slot_fini(struct th_rdma_slot *slot)
{
	if (slot->mw)
		ibv_dealloc_mw(slot->mw);
	if (slot->mr)
		ibv_dereg_mr(slot->mr);
}

void th_rdma_close(struct th_rdma *r)
{
	LIST_REMOVE(r, link);
	if (r->up && !r->ended && !r->ask.half)
		rdma_disconnect(r->id);
	if (r->ask.half)
		r->id->qp = r->qp;
	if (r->id->qp)
		rdma_destroy_qp(r->id);
	for (uint32_t i = 0; i < r->nslots; i++)
		slot_fini(&r->slots[i]);
	ibv_dereg_mr(r->mr);
	ibv_destroy_cq(r->cq);
	rdma_destroy_id(r->id);
	rdma_destroy_event_channel(r->channel);
	free(r->memory);
	free(r->slots);
	free(r);
}

/* ---- as they are ---- */

static void post_send(struct th_rdma *r, struct ibv_sge *sge, int sges)
{
	struct ibv_send_wr *bad, wr = {
					 .wr_id = TH_WR_SEND,
					 .sg_list = sge,
					 .num_sge = sges,
					 .opcode = IBV_WR_SEND,
					 .send_flags = IBV_SEND_SIGNALED,
				 };

	assert_int_equal(ibv_post_send(r->id->qp, &wr, &bad), 0);
}

static struct ibv_sge next_capsule(struct th_rdma *r, uint32_t len)
{
	struct th_rdma_slot *slot = &r->slots[r->next_slot++ % r->nslots];

	assert_true(len <= 64 + r->in_capsule);
	return (struct ibv_sge){(uintptr_t)slot->capsule, len, r->mr->lkey};
}

void th_rdma_send(struct th_rdma *r, const void *capsule, uint32_t len)
{
	struct ibv_sge sge = next_capsule(r, len);

	memcpy((void *)(uintptr_t)sge.addr, capsule, len);
	post_send(r, &sge, 1);
}

void th_rdma_send_half(struct th_rdma *r, uint32_t good, uint32_t rest)
{
	struct ibv_sge capsule = next_capsule(r, good);
	struct ibv_sge sge[] = {capsule, {capsule.addr + good, rest, ~r->mr->lkey}};

	post_send(r, sge, 2);
}

static bool response_or_end(void *arg)
{
	const struct th_rdma *r = arg;

	return r->ended || r->taken < r->ncqes;
}

bool th_rdma_response(struct th_rdma *r, struct nvmft_cqe *cqe)
{
	if (!th_wait(r->t, response_or_end, r, WAIT_MS))
		fail_msg("neither a response nor the end; log:\n%s", r->t->log);
	if (r->taken == r->ncqes)
		return false;
	*cqe = r->cqes[r->taken++ % TH_RDMA_RESPONSES];
	return true;
}

static bool has_ended(void *arg)
{
	return ((const struct th_rdma *)arg)->ended;
}

bool th_rdma_ends(struct th_rdma *r, unsigned int ms)
{
	return th_wait(r->t, has_ended, r, ms);
}
