/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TESTS_HOST_RDMA_H
#define NVMFT_TESTS_HOST_RDMA_H

/*
 * The host's side of NVMe/RDMA by librdmacm and libibverbs, on the thread of the test and without sleeping. The queues
 * of host.h over TH_RDMA are made of these connections; tests of what a host must not do use them as they are:
 *
 *   struct th_rdma_ask ask = {.qid = 1};
 *   struct th_rdma *r = th_rdma_open(&t, &ask);     as t.port is of TH_RDMA, or @ask says where to
 *
 *   assert_true(r->up);                             else r->sts says how it was rejected
 *   th_rdma_send(r, capsule, len);
 *   assert_true(th_rdma_response(r, &cqe));
 *   th_rdma_close(r);
 */

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#include "host.h"

#define TH_RDMA_RESPONSES 64u
#define TH_RDMA_ADMIN_IN_CAPSULE 4096u

/* SGL descriptor types (type in the high nibble). */
enum {
	TH_SGL_IN_CAPSULE = 0x01,
	TH_SGL_LAST_SEGMENT = 0x31,
	TH_SGL_KEYED = 0x40,
	TH_SGL_KEYED_INVALIDATE = 0x4f,
};

/*
 * struct th_rdma_ask - how to connect; zero fields mean the default
 * @traddr, @trsvcid: where to; default t.port
 * @source: from this address of ours
 * @qid: of the private data
 * @depth: commands, HSQSIZE + 1; default 32
 * @cntlid: of the private data
 * @private_data, @private_len: instead of what is made of these; at least 1 byte
 * @receives: posted from the start; default @depth + 1
 * @keep_receives: do not post those again that responses have used
 * @in_capsule: bytes behind the SQE for which slots have room; default TH_RDMA_ADMIN_IN_CAPSULE
 * @no_reads: let nobody read this host's memory (IRD 0)
 * @hold: stop before the connection is asked for: see th_rdma_start()
 * @half: stop when the connection was accepted, without the last message of its establishment
 */
struct th_rdma_ask {
	const char *traddr, *trsvcid;
	const char *source;
	uint16_t qid;
	uint32_t depth;
	uint16_t cntlid;
	const void *private_data;
	uint8_t private_len;
	uint32_t receives;
	bool keep_receives;
	uint32_t in_capsule;
	bool no_reads;
	bool hold;
	bool half;
};

/* What is in flight: a capsule, and the memory that its command lets the controller reach. */
struct th_rdma_slot {
	uint8_t *capsule;
	struct th_cmd *cmd;
	bool busy, sending;
	bool responded;
	struct ibv_mr *mr;
	struct ibv_mw *mw; /* of type 2: responses invalidate its key, without which it cannot be bound again */
	uint32_t rkey;
	bool bound;
};

struct th_rdma {
	struct th *t;
	struct th_queue *queue;   /* NULL: used as it is */
	LIST_ENTRY(th_rdma) link; /* t->rdma_conns */
	struct th_rdma_ask ask;
	struct rdma_event_channel *channel;
	struct rdma_cm_id *id;
	struct ibv_qp *qp; /* of @ask.half: not known to librdmacm */
	struct ibv_cq *cq;
	enum rdma_cm_event_type event; /* the last */
	bool up, ended;
	bool rejected;
	uint16_t sts, crqsize;        /* of the reject, or the accept */
	enum ibv_wc_status wc_status; /* the first that is neither success nor a flush */
	uint32_t in_capsule;

	uint8_t *memory; /* capsules, then responses */
	struct ibv_mr *mr;
	struct th_rdma_slot *slots;
	uint32_t nslots, next_slot;
	uint64_t pieces; /* state of the generator of their lengths */

	/* responses that nobody asked for yet */
	struct nvmft_cqe cqes[TH_RDMA_RESPONSES];
	uint32_t ncqes, taken;
	uint32_t sent, bound; /* completions of capsules, and of th_rdma_bind() */
};

/* ---- rdma_conn.c ---- */

/* Never NULL; ->up tells whether there is a connection. Has to be closed in any case. */
struct th_rdma *th_rdma_open(struct th *t, const struct th_rdma_ask *ask);
void th_rdma_close(struct th_rdma *r);
/* Ask for it, and do not wait. th_rdma_answered() does: the same as ->up. */
void th_rdma_start(struct th_rdma *r);
bool th_rdma_answered(struct th_rdma *r);
/* Everything is let go of at once, so that nobody answers the controller any more. */
void th_rdma_silence(struct th_rdma *r);

/* Send @len bytes as a capsule. */
void th_rdma_send(struct th_rdma *r, const void *capsule, uint32_t len);
/* The first @good bytes of a capsule; the @rest this host's own device cannot read, which ends the connection. */
void th_rdma_send_half(struct th_rdma *r, uint32_t good, uint32_t rest);
/* Post a receive for one more response, of those kept back by keep_receives. */
void th_rdma_post_receive(struct th_rdma *r);
/* Wait for the next response, at most ten seconds. false: the connection has ended. */
bool th_rdma_response(struct th_rdma *r, struct nvmft_cqe *cqe);
/* Wait for the end of the connection. */
bool th_rdma_ends(struct th_rdma *r, unsigned int ms);

/* Memory that the controller may read, or write. */
struct ibv_mr *th_rdma_register(struct th_rdma *r, void *data, size_t len, bool write);
/* A window of type 2 over all of @mr: returns the key. That of an earlier binding must have been invalidated. */
uint32_t th_rdma_bind(struct th_rdma *r, struct ibv_mr *mr, struct ibv_mw *mw, bool write);

/* ---- between the files: rdma_rx.c ---- */

/* Poll. Returns the number of events. */
int th_rdma_receive(struct th_rdma *r);
void th_rdma_fill_receives(struct th_rdma *r);

/* rdma.c: for a connection of a queue */
void th_rdma_slot_done(struct th_rdma *r, struct th_rdma_slot *slot);
void th_rdma_responded(struct th_rdma *r, const struct ibv_wc *wc, const struct nvmft_cqe *cqe);

/* wr_id: the kind in the low bits, an index above. */
enum { TH_WR_RECV, TH_WR_SEND, TH_WR_BIND, TH_WR_SHIFT = 2, TH_WR_MASK = 3 };

static inline uint8_t *th_rdma_response_at(const struct th_rdma *r, uint32_t i)
{
	return r->memory + (size_t)r->nslots * (64 + r->in_capsule) + (size_t)i * 64;
}

static inline void th_sgl_keyed(uint8_t desc[16], uint64_t addr, uint32_t len, uint32_t key, bool invalidate)
{
	for (int i = 0; i < 8; i++)
		desc[i] = (uint8_t)(addr >> 8 * i);
	for (int i = 0; i < 3; i++)
		desc[8 + i] = (uint8_t)(len >> 8 * i);
	for (int i = 0; i < 4; i++)
		desc[11 + i] = (uint8_t)(key >> 8 * i);
	desc[15] = invalidate ? TH_SGL_KEYED_INVALIDATE : TH_SGL_KEYED;
}

/* Data in the capsule, or with TH_SGL_LAST_SEGMENT descriptors in it: from @offset behind the SQE on. */
static inline void th_sgl_offset(uint8_t desc[16], uint8_t type, uint64_t offset, uint32_t len)
{
	for (int i = 0; i < 8; i++)
		desc[i] = (uint8_t)(offset >> 8 * i);
	for (int i = 0; i < 4; i++)
		desc[8 + i] = (uint8_t)(len >> 8 * i);
	desc[12] = desc[13] = desc[14] = 0;
	desc[15] = type;
}

#endif
