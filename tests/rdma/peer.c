/* SPDX-License-Identifier: BSD-3-Clause */
#include "peer.h"

#include <dirent.h>

#define END_MS 20000
#define FIRST_LBA 1024u

/* ---- the world ---- */

struct nvmft_target_stats world_stats(struct rdma_world *w)
{
	struct nvmft_target_stats stats = {.size = sizeof(stats)};

	assert_int_equal(nvmft_target_stats(w->t.target, &stats), 0);
	return stats;
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

struct rdma_world *world_create(const struct nvmft_port_opts *port, const struct nvmft_rdma_opts *rdma)
{
	struct rdma_world *w = calloc(1, sizeof(*w));
	struct th_opts opts = {.transport = TH_RDMA};

	assert_non_null(w);
	w->fds = count_fds();
	if (port)
		opts.port = *port;
	opts.port.transport_opts = rdma;
	th_start(&w->t, &opts);
	w->subsys = th_add_subsystem(&w->t, TH_NQN);
	th_add_memory(w->subsys, (uint64_t)BLOCKS * BLOCK, BLOCK);
	th_ctrl_connect(&w->t, &w->good, NULL);
	th_settle(&w->t);
	w->start = world_stats(w);
	return w;
}

int world_setup(void **state)
{
	*state = world_create(NULL, NULL);
	return 0;
}

void world_check_good(struct rdma_world *w)
{
	static char out[3 * BLOCK], in[3 * BLOCK];

	th_fill(out, sizeof(out), world_stats(w).io_cmds);
	assert_int_equal(th_write(&w->good, 1, 0, 3, out, sizeof(out)), 0);
	assert_int_equal(th_read(&w->good, 1, 0, 3, in, sizeof(in)), 0);
	assert_memory_equal(in, out, sizeof(in));
}

struct count {
	struct rdma_world *w;
	uint64_t most;
};

static bool few_enough(void *arg)
{
	const struct count *c = arg;

	return world_stats(c->w).connections <= c->most;
}

void world_wait_connections(struct rdma_world *w, unsigned int others)
{
	struct count c = {w, w->start.connections + others};

	if (!th_wait(&w->t, few_enough, &c, END_MS))
		fail_msg("%llu connections are left; log:\n%s", (unsigned long long)world_stats(w).connections,
			 w->t.log);
}

/* Counters are where they were, and so are descriptors. */
int world_teardown(void **state)
{
	struct rdma_world *w = *state;
	struct nvmft_target_stats stats;
	int fds = w->fds;

	world_wait_connections(w, 0);
	world_check_good(w);
	th_settle(&w->t);
	stats = world_stats(w);
	assert_int_equal(stats.connections, w->start.connections);
	assert_int_equal(stats.queues, w->start.queues);
	assert_int_equal(stats.terminated, w->hurt);
	th_ctrl_disconnect(&w->good);
	/* With the last connection the receives have gone, too. */
	assert_int_equal(world_stats(w).connections, 0);
	assert_int_equal(world_stats(w).data_bytes, 0);
	th_stop(&w->t);
	free(w);
	assert_int_equal(count_fds(), fds);
	return 0;
}

/* ---- another host ---- */

static struct peer *peer_new(struct rdma_world *w)
{
	struct peer *p = calloc(1, sizeof(*p));
	void *data = NULL;

	assert_non_null(p);
	assert_int_equal(posix_memalign(&data, 4096, PEER_BYTES), 0);
	p->w = w;
	p->data = data;
	return p;
}

static void peer_dial(struct peer *p, const struct th_rdma_ask *ask)
{
	struct th_rdma_ask a = ask ? *ask : (struct th_rdma_ask){.qid = 1};

	if (!a.in_capsule)
		a.in_capsule = sizeof(p->capsule) - 64;
	p->r = th_rdma_open(&p->w->t, &a);
	assert_true(p->r->up);
	p->mr = th_rdma_register(p->r, p->data, PEER_BYTES, true);
	th_settle(&p->w->t);
	p->idle_bytes = world_stats(p->w).data_bytes;
}

struct peer *peer_open_unconnected(struct rdma_world *w, const struct th_rdma_ask *ask)
{
	struct peer *p = peer_new(w);

	peer_dial(p, ask);
	return p;
}

struct peer *peer_open(struct rdma_world *w, const struct th_rdma_ask *ask)
{
	struct th_ctrl_opts none = {.no_io_queue = true};
	struct peer *p = peer_new(w);

	th_ctrl_connect(&w->t, &p->ctrl, &none);
	peer_dial(p, ask);
	assert_int_equal(peer_connect(p, 1, p->ctrl.cntlid, (uint16_t)(p->r->ask.depth - 1)), 0);
	return p;
}

void peer_close(struct peer *p)
{
	peer_close_with(p, NULL);
}

void peer_close_with(struct peer *p, struct ibv_mw *mw)
{
	/* Its memory must not go before, or it would be a peer with bad keys. */
	if (p->r->up && !p->r->ended)
		rdma_disconnect(p->r->id);
	if (mw)
		assert_int_equal(ibv_dealloc_mw(mw), 0);
	assert_int_equal(ibv_dereg_mr(p->mr), 0);
	th_rdma_close(p->r);
	if (p->ctrl.t)
		th_ctrl_disconnect(&p->ctrl);
	free(p->data);
	free(p);
}

nvmft_status peer_connect(struct peer *p, uint16_t qid, uint16_t cntlid, uint16_t sqsize)
{
	uint8_t *data = peer_behind(p);
	struct nvmft_sqe sqe;

	th_sqe_fabrics(&sqe, 0x01);
	sqe.flags = 0x40;
	sqe.cid = htole16(p->cid++);
	sqe.cdw10 = htole32((uint32_t)qid << 16);
	sqe.cdw11 = htole32(sqsize);
	memcpy(p->capsule, &sqe, 64);
	th_sgl_offset(peer_dptr(p), TH_SGL_IN_CAPSULE, 0, 1024);
	memset(data, 0, 1024);
	memcpy(data, th_host_id, sizeof(th_host_id));
	data[16] = (uint8_t)cntlid;
	data[17] = (uint8_t)(cntlid >> 8);
	strcpy((char *)data + 256, TH_NQN);
	strcpy((char *)data + 512, TH_HOSTNQN);
	return peer_exec(p, 1024);
}

/* ---- commands ---- */

void peer_rw(struct peer *p, uint8_t opcode, uint32_t blocks)
{
	struct nvmft_sqe sqe;

	th_sqe_rw(&sqe, opcode, 1, FIRST_LBA, blocks);
	sqe.cid = htole16(p->cid++);
	memcpy(p->capsule, &sqe, 64);
	th_sgl_keyed(peer_dptr(p), (uintptr_t)p->data, blocks * BLOCK, p->mr->rkey, false);
}

void peer_desc(struct peer *p, uint32_t i, uint32_t offset, uint32_t len)
{
	th_sgl_keyed(peer_behind(p) + (size_t)i * 16, (uintptr_t)p->data + offset, len, p->mr->rkey, false);
}

void peer_segment(struct peer *p, uint64_t offset, uint32_t len)
{
	th_sgl_offset(peer_dptr(p), TH_SGL_LAST_SEGMENT, offset, len);
}

void peer_send(struct peer *p, uint32_t behind)
{
	th_rdma_send(p->r, p->capsule, 64 + behind);
}

nvmft_status peer_response(struct peer *p)
{
	struct nvmft_cqe cqe;

	if (!th_rdma_response(p->r, &cqe))
		fail_msg("the connection has ended (%s, %s); log:\n%s", rdma_event_str(p->r->event),
			 ibv_wc_status_str(p->r->wc_status), p->w->t.log);
	return th_sc(le16toh(cqe.status) >> 1);
}

nvmft_status peer_exec(struct peer *p, uint32_t behind)
{
	peer_send(p, behind);
	return peer_response(p);
}

void peer_check(struct peer *p)
{
	th_fill(p->data, 4 * BLOCK, p->cid);
	peer_rw(p, TH_WRITE, 4);
	assert_int_equal(peer_exec(p, 0), 0);
	peer_rw(p, TH_READ, 4);
	th_sgl_keyed(peer_dptr(p), (uintptr_t)p->data + 4 * BLOCK, 4 * BLOCK, p->mr->rkey, false);
	assert_int_equal(peer_exec(p, 0), 0);
	assert_memory_equal(p->data, p->data + 4 * BLOCK, 4 * BLOCK);
}

bool peer_is_idle(struct peer *p)
{
	return world_stats(p->w).data_bytes <= p->idle_bytes;
}

void peer_expect_end(struct peer *p, bool terminated)
{
	if (!th_rdma_ends(p->r, END_MS))
		fail_msg("the connection goes on; log:\n%s", p->w->t.log);
	p->w->hurt += terminated;
	world_wait_connections(p->w, p->ctrl.t ? 1 : 0);
	assert_int_equal(world_stats(p->w).terminated, p->w->hurt);
	th_settle(&p->w->t);
	assert_true(peer_is_idle(p));
	world_check_good(p->w);
}
