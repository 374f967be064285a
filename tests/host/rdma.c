/* SPDX-License-Identifier: BSD-3-Clause */
/* The queues of a host over RDMA: capsules, and the memory that the controller may reach for each command. */
#include "rdma.h"

#include <endian.h>
#include <errno.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <nvmft/provider/transport.h>

#include "priv.h"

/* Most that a controller says it takes is not asked here: MSDBD of this one. */
#define PIECES_MAX 8u
/* For the segment in the capsule, where there is no data. */
#define SEGMENT_LEN (PIECES_MAX * 16)
#define CLOSE_WAIT_MS 5000

/* ---- the port ---- */

static const char *traddr(void)
{
	return getenv("TH_RDMA_ADDR");
}

/* librdmacm looks at devices when an identifier is bound to an address that is theirs. */
static bool has_device(const struct sockaddr *addr)
{
	struct rdma_event_channel *channel = rdma_create_event_channel();
	struct rdma_cm_id *id = NULL;
	bool found = false;

	if (channel && rdma_create_id(channel, &id, NULL, RDMA_PS_TCP) == 0) {
		found = rdma_bind_addr(id, (struct sockaddr *)(uintptr_t)addr) == 0 && id->verbs;
		rdma_destroy_id(id);
	}
	if (channel)
		rdma_destroy_event_channel(channel);
	return found;
}

bool th_rdma_present(void)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
	struct addrinfo *info;
	bool present;

	if (!traddr() || getaddrinfo(traddr(), NULL, &hints, &info) != 0)
		return false;
	present = has_device(info->ai_addr);
	freeaddrinfo(info);
	return present;
}

bool th_rdma_is(struct nvmft_port *port)
{
	return strcmp(nvmft_port_transport(port)->ops->name, "rdma") == 0;
}

static struct nvmft_poll_group *place(void *ctx, struct nvmft_port *port)
{
	struct th *t = ctx;

	(void)port;
	return atomic_load(&t->place);
}

void th_rdma_port_opts(struct th *t, struct nvmft_port_opts *po, struct nvmft_rdma_opts *rdma)
{
	*rdma = (struct nvmft_rdma_opts){.size = sizeof(*rdma)};
	rdma->per_queue_receives = t->transport == TH_RDMA_PIECES;
	if (!traddr())
		fail_msg("a world over RDMA wants the address of an RDMA device in TH_RDMA_ADDR");
	po->transport = nvmft_transport_rdma();
	if (!po->transport_opts)
		po->transport_opts = rdma;
	po->traddr = traddr();
	po->trsvcid = "0";
	if (!po->place) {
		po->place = place;
		po->place_ctx = t;
	}
	t->in_capsule = po->no_in_capsule ? 0 : po->in_capsule_size ? po->in_capsule_size : 8192;
}

/* ---- commands ---- */

static struct th_rdma_slot *slot_get(struct th_rdma *r)
{
	for (uint32_t i = 0; i < r->nslots; i++) {
		if (!r->slots[i].busy)
			return &r->slots[i];
	}
	fail_msg("more commands than the host has room for");
	return NULL;
}

static uint32_t register_data(struct th_rdma *r, struct th_rdma_slot *slot, const struct th_cmd *cmd)
{
	bool write = !th_has_data_out(&cmd->lc);

	slot->mr = th_rdma_register(r, cmd->lc.data, cmd->lc.data_len, write);
	if (r->t->transport != TH_RDMA_INVALIDATE)
		return slot->mr->rkey;
	if (!slot->mw)
		slot->mw = ibv_alloc_mw(r->id->pd, IBV_MW_TYPE_2);
	assert_non_null(slot->mw);
	slot->bound = true;
	return th_rdma_bind(r, slot->mr, slot->mw, write);
}

/* The data as some descriptors of odd lengths. Returns the number of them. */
static uint32_t cut(struct th_rdma *r, uint8_t *descs, const struct th_cmd *cmd, uint32_t key)
{
	uint64_t addr = (uintptr_t)cmd->lc.data;
	uint32_t left = (uint32_t)cmd->lc.data_len, n = 0;

	while (left) {
		uint32_t len = n == PIECES_MAX - 1 ? left : 1 + (uint32_t)(th_random(&r->pieces) % left);

		th_sgl_keyed(descs + (size_t)n++ * 16, addr, len, key, false);
		addr += len;
		left -= len;
	}
	return n;
}

static bool has_segments(const struct th_queue *queue)
{
	return queue->t->transport == TH_RDMA_PIECES && (!queue->qid || queue->t->in_capsule >= SEGMENT_LEN);
}

/* Make the data pointer. Returns the bytes that follow the SQE. */
static uint32_t describe_data(struct th_rdma *r, struct th_rdma_slot *slot, const struct th_cmd *cmd)
{
	uint32_t len = (uint32_t)cmd->lc.data_len;
	uint8_t *dptr = slot->capsule + 24, *behind = slot->capsule + 64;
	bool invalidate = r->t->transport == TH_RDMA_INVALIDATE;

	memset(dptr, 0, 16);
	dptr[15] = TH_SGL_KEYED;
	if (len == 0)
		return 0;
	if (th_has_data_out(&cmd->lc) && len <= r->queue->rdma_in_capsule) {
		th_sgl_offset(dptr, TH_SGL_IN_CAPSULE, 0, len);
		memcpy(behind, cmd->lc.data, len);
		return len;
	}
	slot->rkey = register_data(r, slot, cmd);
	if (!has_segments(r->queue)) {
		th_sgl_keyed(dptr, (uintptr_t)cmd->lc.data, len, slot->rkey, invalidate);
		return 0;
	}
	len = cut(r, behind, cmd, slot->rkey) * 16;
	th_sgl_offset(dptr, TH_SGL_LAST_SEGMENT, 0, len);
	return len;
}

void th_rdma_submit(struct th_cmd *cmd)
{
	struct th_rdma *r = cmd->queue->rdma;
	struct th_rdma_slot *slot = slot_get(r);
	struct ibv_sge sge = {(uintptr_t)slot->capsule, 64, r->mr->lkey};
	struct ibv_send_wr *bad, wr = {
					 .wr_id = (uint64_t)(slot - r->slots) << TH_WR_SHIFT | TH_WR_SEND,
					 .sg_list = &sge,
					 .num_sge = 1,
					 .opcode = IBV_WR_SEND,
					 .send_flags = IBV_SEND_SIGNALED,
				 };

	memcpy(slot->capsule, cmd->lc.sqe.bytes, 64);
	slot->capsule[1] = (uint8_t)((slot->capsule[1] & 0x3f) | 0x40);
	slot->cmd = cmd;
	slot->busy = true;
	slot->sending = true;
	slot->responded = false;
	slot->rkey = 0;
	sge.length += describe_data(r, slot, cmd);
	assert_int_equal(ibv_post_send(r->id->qp, &wr, &bad), 0);
}

/* ---- their end ---- */

/* From then on the controller has no access to the data. */
static void slot_finish(struct th_rdma_slot *slot)
{
	struct th_cmd *cmd = slot->cmd;

	if (slot->mr)
		ibv_dereg_mr(slot->mr);
	slot->mr = NULL;
	slot->cmd = NULL;
	slot->bound = false;
	slot->busy = false;
	th_cmd_finish(cmd);
}

/* The capsule was sent. */
void th_rdma_slot_done(struct th_rdma *r, struct th_rdma_slot *slot)
{
	(void)r;
	slot->sending = false;
	if (slot->responded)
		slot_finish(slot);
}

static struct th_rdma_slot *find(struct th_rdma *r, const struct nvmft_cqe *cqe)
{
	for (uint32_t i = 0; i < r->nslots; i++) {
		struct th_rdma_slot *slot = &r->slots[i];

		if (slot->busy && !slot->responded && memcmp(slot->cmd->lc.sqe.bytes + 2, &cqe->cid, 2) == 0)
			return slot;
	}
	fail_msg("response for command %u, which is not outstanding", le16toh(cqe->cid));
	return NULL;
}

void th_rdma_responded(struct th_rdma *r, const struct ibv_wc *wc, const struct nvmft_cqe *cqe)
{
	struct th_rdma_slot *slot = find(r, cqe);

	slot->responded = true;
	slot->cmd->cqe = *cqe;
	/* Soft-RoCE does not tell user space. */
	if (wc->wc_flags & IBV_WC_WITH_INV) {
		assert_true(slot->bound);
		assert_int_equal(wc->invalidated_rkey, slot->rkey);
	}
	if (!slot->sending)
		slot_finish(slot);
}

/* ---- connections ---- */

static void end_commands(struct th_rdma *r)
{
	for (uint32_t i = 0; i < r->nslots; i++) {
		struct th_rdma_slot *slot = &r->slots[i];

		if (!slot->busy)
			continue;
		if (!slot->responded)
			slot->cmd->cqe = (struct nvmft_cqe){.status = htole16(TH_SC_SQ_DELETED << 1)};
		slot_finish(slot);
	}
}

/* As a command that ends may have its buffers freed, the QP goes first. */
void th_rdma_die(struct th_queue *queue)
{
	struct th_rdma *r = queue->rdma;

	if (!r)
		return;
	queue->rdma = NULL;
	atomic_store(&queue->disconnected, true);
	if (r->up && !r->ended)
		rdma_disconnect(r->id);
	r->ended = true;
	rdma_destroy_qp(r->id);
	end_commands(r);
	th_rdma_close(r);
}

int th_rdma_poll(struct th *t)
{
	struct th_rdma *r = LIST_FIRST(&t->rdma_conns), *next;
	int events = 0;

	while (r) {
		events += th_rdma_receive(r);
		next = LIST_NEXT(r, link);
		if (r->ended && r->queue)
			th_rdma_die(r->queue);
		r = next;
	}
	return events;
}

void th_rdma_quit(struct th *t)
{
	struct th_rdma *r;

	th_rdma_poll(t);
	while ((r = LIST_FIRST(&t->rdma_conns)) && r->queue)
		th_rdma_die(r->queue);
}

static int open_connection(struct th_queue *queue, const struct nvmft_loopback_opts *opts)
{
	struct th *t = queue->t;
	uint32_t sqsize = opts->sqsize ? opts->sqsize : opts->qid ? 127 : 31;
	struct th_rdma_ask ask = {
		.qid = opts->qid,
		.depth = sqsize + 1,
		.cntlid = opts->qid ? opts->cntlid : 0xffff,
		.in_capsule = opts->qid && t->in_capsule > SEGMENT_LEN ? t->in_capsule
			      : opts->qid                              ? SEGMENT_LEN
								       : TH_RDMA_ADMIN_IN_CAPSULE,
	};
	struct th_rdma *r;

	atomic_store(&t->place, queue->group);
	r = th_rdma_open(t, &ask);
	if (r->up) {
		r->queue = queue;
		queue->rdma = r;
		return 0;
	}
	th_rdma_close(r);
	return -ECONNREFUSED;
}

int th_rdma_connect(struct th_queue *queue, const struct nvmft_loopback_opts *opts)
{
	queue->over_rdma = true;
	if (!has_segments(queue))
		queue->rdma_in_capsule = opts->qid ? queue->t->in_capsule : TH_RDMA_ADMIN_IN_CAPSULE;
	queue->status = strlen(opts->subnqn) < 256 && (!opts->hostnqn || strlen(opts->hostnqn) < 256) ? 0 : -EINVAL;
	if (!queue->status)
		queue->status = open_connection(queue, opts);
	if (!queue->status)
		queue->status = th_exec_connect(queue, opts, 0);
	if (queue->status) {
		th_rdma_die(queue);
		atomic_store(&queue->disconnected, true);
		return queue->status;
	}
	atomic_store(&queue->connected, true);
	return 0;
}

static uint64_t connections(struct th *t)
{
	struct nvmft_target_stats stats = {.size = sizeof(stats)};

	assert_int_equal(nvmft_target_stats(t->target, &stats), 0);
	return stats.connections;
}

struct fewer {
	struct th *t;
	uint64_t than;
};

static bool are_fewer(void *arg)
{
	const struct fewer *f = arg;

	return connections(f->t) < f->than;
}

/* The controller hears of it a moment later. */
void th_rdma_disconnect(struct th_queue *queue, bool wait)
{
	struct fewer fewer = {.t = queue->t};

	if (!queue->rdma)
		return;
	fewer.than = connections(queue->t);
	th_rdma_die(queue);
	if (wait)
		th_wait(queue->t, are_fewer, &fewer, CLOSE_WAIT_MS);
}
