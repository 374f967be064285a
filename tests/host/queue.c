/* SPDX-License-Identifier: BSD-3-Clause */
#include "priv.h"

#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define REG_CC 0x14
#define REG_CSTS 0x1c
/* EN, 64-byte SQEs, 16-byte CQEs, 4 KiB pages, NVM command set. */
#define CC_CSS_ALL (6u << 4)
#define CC_ENABLE ((6u << 16) | (4u << 20) | 1u)

const uint8_t th_host_id[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
				0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};

/* ---- connecting ---- */

static void on_connected(void *ctx, struct nvmft_loopback_queue *q, int status, uint16_t cntlid)
{
	struct th_queue *queue = ctx;

	(void)q;
	queue->status = status;
	queue->cntlid = cntlid;
	atomic_store(&queue->connected, true);
}

static void on_disconnected(void *ctx, struct nvmft_loopback_queue *q)
{
	struct th_queue *queue = ctx;

	(void)q;
	atomic_store(&queue->disconnected, true);
}

struct connect_arg {
	struct th_queue *queue;
	struct nvmft_loopback_opts opts;
	int err;
};

static void do_connect(void *arg)
{
	struct connect_arg *ca = arg;

	ca->err = nvmft_loopback_connect(&ca->opts, &ca->queue->q);
}

int th_connect(struct th *t, struct th_queue *queue, const struct nvmft_loopback_opts *opts)
{
	struct connect_arg ca = {.queue = queue, .opts = *opts};

	memset(queue, 0, sizeof(*queue));
	ca.opts.size = sizeof(ca.opts);
	ca.opts.port = opts->port ? opts->port : t->port;
	ca.opts.group = opts->group ? opts->group : t->groups[0].group;
	ca.opts.subnqn = opts->subnqn ? opts->subnqn : TH_NQN;
	ca.opts.connected = on_connected;
	ca.opts.disconnected = on_disconnected;
	ca.opts.ctx = queue;
	queue->t = t;
	queue->group = ca.opts.group;
	queue->qid = ca.opts.qid;
	th_sync(t);
	if (th_tcp_is(ca.opts.port))
		return th_tcp_connect(queue, &ca.opts);
	if (th_rdma_is(ca.opts.port))
		return th_rdma_connect(queue, &ca.opts);
	th_on_group(t, queue->group, do_connect, &ca);
	if (ca.err == 0)
		th_wait_flag(t, &queue->connected);
	else
		queue->status = ca.err;
	if (queue->status)
		atomic_store(&queue->disconnected, true);
	return queue->status;
}

static void do_disconnect(void *arg)
{
	struct th_queue *queue = arg;

	if (!atomic_load(&queue->disconnected))
		nvmft_loopback_disconnect(queue->q);
}

void th_disconnect_begin(struct th_queue *queue)
{
	if (queue->over_rdma)
		th_rdma_disconnect(queue, false);
	else if (th_tcp_queue(queue))
		th_tcp_disconnect(queue);
	else
		th_on_group(queue->t, queue->group, do_disconnect, queue);
}

void th_disconnect(struct th_queue *queue)
{
	if (queue->over_rdma) {
		th_rdma_disconnect(queue, true);
		return;
	}
	th_disconnect_begin(queue);
	th_wait_flag(queue->t, &queue->disconnected);
	/* Over TCP the controller ends its side of the connection a moment after that. */
	if (th_tcp_queue(queue) && !queue->t->threaded)
		th_settle(queue->t);
}

void th_kill(struct th_queue *queue)
{
	if (queue->over_rdma) {
		th_rdma_die(queue);
		return;
	}
	assert_true(th_tcp_queue(queue));
	th_tcp_die(queue);
}

/* ---- commands ---- */

void th_cmd_finish(struct th_cmd *cmd)
{
	void (*on_done)(struct th_cmd *) = cmd->on_done;

	cmd->status = (le16toh(cmd->cqe.status) >> 1) & 0x47ff;
	if (on_done)
		on_done(cmd);
	atomic_store(&cmd->done, true);
}

static void on_done(struct nvmft_loopback_cmd *lc)
{
	struct th_cmd *cmd = (struct th_cmd *)(void *)lc;

	memcpy(&cmd->cqe, lc->cqe.bytes, sizeof(cmd->cqe));
	th_cmd_finish(cmd);
}

static void submit_here(struct th_cmd *cmd)
{
	if (atomic_load(&cmd->queue->disconnected))
		cmd->error = -ENOTCONN;
	else if (cmd->queue->over_rdma)
		th_rdma_submit(cmd);
	else if (th_tcp_queue(cmd->queue))
		th_tcp_submit(cmd);
	else
		cmd->error = nvmft_loopback_submit(cmd->queue->q, &cmd->lc);
	if (cmd->error) {
		cmd->cqe.status = htole16(TH_SC_SQ_DELETED << 1);
		th_cmd_finish(cmd);
	}
}

static void prepare(struct th_queue *queue, struct th_cmd *cmd, const struct nvmft_sqe *sqe, void *data, size_t len)
{
	memset(&cmd->lc, 0, sizeof(cmd->lc));
	memset(&cmd->cqe, 0, sizeof(cmd->cqe));
	memset(&cmd->tcp, 0, sizeof(cmd->tcp));
	memcpy(cmd->lc.sqe.bytes, sqe, sizeof(*sqe));
	cmd->lc.data = data;
	cmd->lc.data_len = len;
	cmd->lc.done = on_done;
	cmd->queue = queue;
	cmd->error = 0;
	cmd->status = 0;
	atomic_store(&cmd->done, false);
}

/* Not the poll group's. */
static bool of_this_thread(const struct th_queue *queue)
{
	return queue->over_rdma || th_tcp_queue(queue);
}

static void submit_call(struct nvmft_call *call)
{
	submit_here((struct th_cmd *)(void *)((char *)call - offsetof(struct th_cmd, call)));
}

void th_submit_cid(struct th_queue *queue, struct th_cmd *cmd, const struct nvmft_sqe *sqe, void *data, size_t len)
{
	prepare(queue, cmd, sqe, data, len);
	if (!queue->t->threaded || of_this_thread(queue)) {
		submit_here(cmd);
		return;
	}
	cmd->call.fn = submit_call;
	nvmft_poll_group_call(queue->group, &cmd->call);
}

static uint16_t next_cid(struct th_queue *queue)
{
	return htole16(queue->next_cid++);
}

void th_submit(struct th_queue *queue, struct th_cmd *cmd, const struct nvmft_sqe *sqe, void *data, size_t len)
{
	struct nvmft_sqe numbered = *sqe;

	numbered.cid = next_cid(queue);
	th_submit_cid(queue, cmd, &numbered, data, len);
}

struct many {
	struct th_cmd *cmds;
	unsigned int n;
};

static void do_many(void *arg)
{
	struct many *m = arg;

	for (unsigned int i = 0; i < m->n; i++)
		submit_here(&m->cmds[i]);
}

void th_submit_many(struct th_queue *queue, struct th_cmd *cmds, const struct nvmft_sqe *sqes, void *const *data,
		    const size_t *lens, unsigned int n)
{
	struct many m = {cmds, n};

	for (unsigned int i = 0; i < n; i++) {
		struct nvmft_sqe numbered = sqes[i];

		numbered.cid = next_cid(queue);
		prepare(queue, &cmds[i], &numbered, data[i], lens[i]);
	}
	if (of_this_thread(queue))
		do_many(&m);
	else
		th_on_group(queue->t, queue->group, do_many, &m);
}

nvmft_status th_wait_cmd(struct th_cmd *cmd)
{
	th_wait_flag(cmd->queue->t, &cmd->done);
	return cmd->status;
}

nvmft_status th_exec(struct th_queue *queue, const struct nvmft_sqe *sqe, void *data, size_t len)
{
	struct th_cmd cmd = {.on_done = NULL};

	th_submit(queue, &cmd, sqe, data, len);
	th_wait_cmd(&cmd);
	queue->cqe = cmd.cqe;
	return cmd.status;
}

/* ---- Connect, over transports that leave it to the host ---- */

bool th_has_data_out(const struct nvmft_loopback_cmd *lc)
{
	uint8_t kind = lc->sqe.bytes[0] == 0x7f ? lc->sqe.bytes[4] : lc->sqe.bytes[0];

	return (kind & 3) == 1 && lc->data_len > 0;
}

static void connect_data(uint8_t *data, const struct nvmft_loopback_opts *opts)
{
	static const uint8_t zero[16];

	memcpy(data, opts->hostid, 16);
	if (memcmp(data, zero, 16) == 0)
		memset(data, 0xff, 16);
	put16(data + 16, opts->qid == 0 && !opts->cntlid ? 0xffff : opts->cntlid);
	memcpy(data + 256, opts->subnqn, strlen(opts->subnqn));
	if (opts->hostnqn)
		memcpy(data + 512, opts->hostnqn, strlen(opts->hostnqn));
	else
		snprintf((char *)data + 512, 256, "nqn.2014-08.org.nvmexpress:uuid:%08x-%04x-%04x-%04x-%08x%04x",
			 be32toh(get32(data)), be16toh(get16(data + 4)), be16toh(get16(data + 6)),
			 be16toh(get16(data + 8)), be32toh(get32(data + 10)), be16toh(get16(data + 14)));
}

int th_exec_connect(struct th_queue *queue, const struct nvmft_loopback_opts *opts, uint8_t cattr)
{
	uint32_t sqsize = opts->sqsize ? opts->sqsize : opts->qid ? 127 : 31;
	uint8_t data[1024] = {0};
	struct nvmft_sqe sqe;

	connect_data(data, opts);
	th_sqe_fabrics(&sqe, 0x01);
	sqe.cdw10 = htole32((uint32_t)opts->qid << 16);
	sqe.cdw11 = htole32((uint32_t)(opts->cattr | cattr) << 16 | sqsize);
	sqe.cdw12 = htole32(opts->kato_ms);
	th_exec(queue, &sqe, data, sizeof(data));
	if (atomic_load(&queue->disconnected))
		return -ECONNRESET;
	if (queue->cqe.status)
		return le16toh(queue->cqe.status) >> 1;
	queue->cntlid = (uint16_t)le32toh(queue->cqe.dw0);
	queue->next_cid = 0;
	return 0;
}

/* ---- a controller ---- */

nvmft_status th_property_get(struct th_queue *admin, uint32_t offset, bool eight_bytes, uint64_t *value)
{
	struct nvmft_sqe sqe;
	nvmft_status status;

	th_sqe_fabrics(&sqe, 0x04);
	sqe.cdw10 = htole32(eight_bytes);
	sqe.cdw11 = htole32(offset);
	status = th_exec(admin, &sqe, NULL, 0);
	*value = le32toh(admin->cqe.dw0) | (uint64_t)le32toh(admin->cqe.dw1) << 32;
	return status;
}

nvmft_status th_property_set(struct th_queue *admin, uint32_t offset, bool eight_bytes, uint64_t value)
{
	struct nvmft_sqe sqe;

	th_sqe_fabrics(&sqe, 0x00);
	sqe.cdw10 = htole32(eight_bytes);
	sqe.cdw11 = htole32(offset);
	sqe.cdw12 = htole32((uint32_t)value);
	sqe.cdw13 = htole32((uint32_t)(value >> 32));
	return th_exec(admin, &sqe, NULL, 0);
}

static int enable(struct th_ctrl *ctrl, bool all_csi)
{
	uint64_t csts = 0;
	int status = th_property_set(&ctrl->admin, REG_CC, false, all_csi ? CC_ENABLE | CC_CSS_ALL : CC_ENABLE);

	/* RDY may follow later, by the specification; it does not take long here. */
	for (int i = 0; status == 0 && !(csts & 1); i++) {
		if (i == 1000)
			return -ETIMEDOUT;
		status = th_property_get(&ctrl->admin, REG_CSTS, false, &csts);
	}
	return status;
}

static int connect_io(struct th_ctrl *ctrl, const struct th_ctrl_opts *opts, struct nvmft_loopback_opts *lo)
{
	unsigned int n = opts->io_queues ? opts->io_queues : 1;

	if (opts->no_io_queue || opts->discovery)
		return 0;
	lo->cntlid = ctrl->cntlid;
	lo->sqsize = opts->sqsize;
	lo->kato_ms = 0;
	for (unsigned int i = 0; i < n; i++) {
		int status;

		lo->qid = (uint16_t)(i + 1);
		lo->group = ctrl->t->groups[i % ctrl->t->ngroups].group;
		status = th_connect(ctrl->t, &ctrl->io[i], lo);
		if (status)
			return status;
		ctrl->nio++;
	}
	return 0;
}

int th_ctrl_try_connect(struct th *t, struct th_ctrl *ctrl, const struct th_ctrl_opts *opts)
{
	static const struct th_ctrl_opts none;
	struct nvmft_loopback_opts lo = {.size = sizeof(lo)};
	int status;

	opts = opts ? opts : &none;
	memset(ctrl, 0, sizeof(*ctrl));
	ctrl->t = t;
	snprintf(ctrl->subnqn, sizeof(ctrl->subnqn), "%s",
		 opts->subnqn      ? opts->subnqn
		 : opts->discovery ? "nqn.2014-08.org.nvmexpress.discovery"
				   : TH_NQN);
	lo.subnqn = ctrl->subnqn;
	lo.hostnqn = opts->hostnqn ? opts->hostnqn : TH_HOSTNQN;
	memcpy(lo.hostid, th_host_id, sizeof(lo.hostid));
	lo.cattr = opts->cattr;
	lo.kato_ms = opts->kato_ms;
	status = th_connect(t, &ctrl->admin, &lo);
	if (status)
		return status;
	ctrl->cntlid = ctrl->admin.cntlid;
	status = enable(ctrl, opts->all_csi);
	if (!status)
		status = connect_io(ctrl, opts, &lo);
	if (status)
		th_ctrl_disconnect(ctrl);
	return status;
}

void th_ctrl_connect(struct th *t, struct th_ctrl *ctrl, const struct th_ctrl_opts *opts)
{
	int status = th_ctrl_try_connect(t, ctrl, opts);

	if (status)
		fail_msg("cannot connect: %s%x; log:\n%s", status < 0 ? "errno -" : "status ",
			 (unsigned int)(status < 0 ? -status : status), t->log);
}

void th_ctrl_disconnect(struct th_ctrl *ctrl)
{
	for (unsigned int i = 0; i < ctrl->nio; i++)
		th_disconnect(&ctrl->io[i]);
	th_disconnect(&ctrl->admin);
}

nvmft_status th_read(struct th_ctrl *ctrl, uint32_t nsid, uint64_t lba, uint32_t blocks, void *data, size_t len)
{
	struct nvmft_sqe sqe;

	th_sqe_rw(&sqe, TH_READ, nsid, lba, blocks);
	return th_exec(&ctrl->io[0], &sqe, data, len);
}

nvmft_status th_write(struct th_ctrl *ctrl, uint32_t nsid, uint64_t lba, uint32_t blocks, const void *data, size_t len)
{
	struct nvmft_sqe sqe;

	th_sqe_rw(&sqe, TH_WRITE, nsid, lba, blocks);
	return th_exec(&ctrl->io[0], &sqe, (void *)(uintptr_t)data, len);
}
