/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loopback transport: hosts inside this process. The "network" is a function call on the poll group's thread, and
 * the host's buffers are the data buffers, so that nothing is copied that the backend does not copy itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <nvme/types.h>

#include <nvmft/loopback.h>
#include <nvmft/provider/transport.h>
#include <nvmft/transports.h>

#define unlikely(x) __builtin_expect(!!(x), 0)

#define SGL_TRANSPORT 0x5a
#define OPC_FABRICS 0x7f
#define PSDT_SGL 0x40
#define LOOPBACK_QUEUE_DEPTH 65536u
#define DISCOVERY_NQN "nqn.2014-08.org.nvmexpress.discovery"

struct lo_request {
	struct nvmft_request *request;
	struct nvmft_loopback_queue *host;
	struct nvmft_loopback_cmd *cmd;
	struct nvmft_iov iov;
	STAILQ_ENTRY(lo_request) link; /* lo_group.responses */
};

struct lo_group {
	STAILQ_HEAD(lo_responses, lo_request) responses; /* to be told to their hosts */
	TAILQ_HEAD(, nvmft_loopback_queue) connecting;   /* Connect is sent in the next pass */
	TAILQ_HEAD(, nvmft_loopback_queue) closing;
};

/* The host's side; the core's queue has a pointer to it. */
struct nvmft_loopback_queue {
	struct nvmft_queue *queue;
	struct lo_group *group;
	TAILQ_ENTRY(nvmft_loopback_queue) link; /* lo_group.connecting or closing */
	bool open;                              /* to commands: connected, not closing */
	bool connecting;
	bool closing;
	bool drained;
	bool connected;
	bool told; /* of the outcome of Connect */
	uint32_t outstanding;
	struct nvmft_loopback_opts opts;
	struct nvmft_loopback_cmd connect_cmd;
	struct nvmf_connect_data *connect_data; /* until Connect is over */
};

struct lo_queue {
	struct nvmft_loopback_queue *host;
};

static struct lo_group *lo_group_of(struct nvmft_queue *queue)
{
	return nvmft_queue_group(queue)->priv;
}

/* ---- the transport ---- */

static int lo_listen(struct nvmft_transport_port *port, const struct nvmft_port_config *config)
{
	(void)port;
	(void)config;
	return 0;
}

static void lo_accept_start(struct nvmft_transport_port *port, struct nvmft_poll_group *group)
{
	(void)port;
	(void)group;
}

static void lo_accept_stop(struct nvmft_transport_port *port)
{
	nvmft_port_closed(port);
}

static void lo_address(struct nvmft_transport_port *port, char *traddr, char *trsvcid, uint8_t *adrfam)
{
	(void)port;
	(void)trsvcid;
	if (!traddr[0])
		strcpy(traddr, "loopback");
	*adrfam = NVMF_ADDR_FAMILY_LOOP;
}

static int lo_group_init(struct nvmft_transport_group *tg)
{
	struct lo_group *group = tg->priv;

	STAILQ_INIT(&group->responses);
	TAILQ_INIT(&group->connecting);
	TAILQ_INIT(&group->closing);
	return 0;
}

static void lo_respond(struct nvmft_request *request)
{
	struct lo_request *lr = request->priv;
	struct lo_group *group = lr->host->group;

	memcpy(lr->cmd->cqe.bytes, &request->cqe, sizeof(request->cqe));
	STAILQ_INSERT_TAIL(&group->responses, lr, link);
}

static void lo_begin_close(struct nvmft_loopback_queue *host)
{
	if (host->closing)
		return;
	if (host->connecting)
		TAILQ_REMOVE(&host->group->connecting, host, link);
	host->connecting = false;
	host->closing = true;
	host->open = false;
	TAILQ_INSERT_TAIL(&host->group->closing, host, link);
}

static void lo_queue_close(struct nvmft_queue *queue)
{
	struct lo_queue *lq = nvmft_queue_priv(queue);

	if (lq->host)
		lo_begin_close(lq->host);
}

/*
 * Only what was there at the start: a host that submits from its callback is served in the next pass, so that one busy
 * host does not keep the group from its other work.
 */
static int lo_deliver_responses(struct lo_group *group)
{
	struct lo_request *lr = STAILQ_FIRST(&group->responses);
	int n = 0;

	STAILQ_INIT(&group->responses);
	while (lr) {
		struct lo_request *next = STAILQ_NEXT(lr, link);
		struct nvmft_loopback_cmd *cmd = lr->cmd;

		lr->host->outstanding--;
		nvmft_request_release(lr->request);
		cmd->done(cmd);
		lr = next;
		n++;
	}
	return n;
}

static void lo_free(struct nvmft_loopback_queue *host)
{
	free(host->connect_data);
	free(host);
}

/* The host hears of the end once: as a failed Connect, or as a disconnect. */
static void lo_finish_close(struct nvmft_loopback_queue *host)
{
	struct lo_queue *lq = nvmft_queue_priv(host->queue);

	TAILQ_REMOVE(&host->group->closing, host, link);
	lq->host = NULL;
	nvmft_queue_closed(host->queue);
	if (host->connected && host->opts.disconnected)
		host->opts.disconnected(host->opts.ctx, host);
	else if (!host->told && host->opts.connected)
		host->opts.connected(host->opts.ctx, host, -ECONNRESET, 0);
	lo_free(host);
}

static int lo_close_queues(struct lo_group *group)
{
	struct nvmft_loopback_queue *host = TAILQ_FIRST(&group->closing);
	int n = 0;

	while (host) {
		struct nvmft_loopback_queue *next = TAILQ_NEXT(host, link);

		if (!host->drained) {
			host->drained = true;
			nvmft_queue_drain(host->queue);
			n++;
		} else if (!host->outstanding) {
			lo_finish_close(host);
			n++;
		}
		host = next;
	}
	return n;
}

/* A transport data block without address: the length, and the type in the last byte. */
static void lo_fill_sgl(uint8_t *dptr, uint32_t len)
{
	const uint64_t sgl[2] = {0, htole64(len | (uint64_t)SGL_TRANSPORT << 56)};

	memcpy(dptr, sgl, sizeof(sgl));
}

static int lo_submit(struct nvmft_loopback_queue *host, struct nvmft_loopback_cmd *cmd)
{
	struct nvmft_request *request;
	struct lo_request *lr;
	int error = 0;

	request = nvmft_request_get(host->queue, &error);
	if (unlikely(!request))
		return error == -EOVERFLOW ? -EBUSY : error;
	memcpy(&request->sqe, cmd->sqe.bytes, sizeof(request->sqe));
	request->sqe.flags = (uint8_t)((request->sqe.flags & 0x3f) | PSDT_SGL);
	lo_fill_sgl(request->sqe.dptr, (uint32_t)cmd->data_len);
	lr = request->priv;
	lr->request = request;
	lr->host = host;
	lr->cmd = cmd;
	lr->iov = (struct nvmft_iov){cmd->data, (uint32_t)cmd->data_len, NVMFT_REGION_NONE};
	request->borrowed = true;
	request->iov = &lr->iov;
	request->iovcnt = 1;
	host->outstanding++;
	nvmft_request_start(request);
	return 0;
}

/*
 * Within a pass, which begins with the newest view: a host that was configured a moment ago finds what it was
 * configured for.
 */
static int lo_connect_queues(struct lo_group *group)
{
	struct nvmft_loopback_queue *host;
	int n = 0;

	while ((host = TAILQ_FIRST(&group->connecting)) != NULL) {
		TAILQ_REMOVE(&group->connecting, host, link);
		host->connecting = false;
		if (lo_submit(host, &host->connect_cmd) != 0)
			lo_begin_close(host);
		n++;
	}
	return n;
}

static int lo_group_poll(struct nvmft_transport_group *tg)
{
	struct lo_group *group = tg->priv;
	int n = 0;

	if (!STAILQ_EMPTY(&group->responses))
		n += lo_deliver_responses(group);
	if (!TAILQ_EMPTY(&group->closing))
		n += lo_close_queues(group);
	if (!TAILQ_EMPTY(&group->connecting))
		n += lo_connect_queues(group);
	return n;
}

static int lo_group_arm(struct nvmft_transport_group *tg)
{
	struct lo_group *group = tg->priv;
	struct nvmft_loopback_queue *host;

	if (!STAILQ_EMPTY(&group->responses) || !TAILQ_EMPTY(&group->connecting))
		return -EAGAIN;
	TAILQ_FOREACH (host, &group->closing, link)
		if (!host->drained || !host->outstanding)
			return -EAGAIN;
	return 0;
}

static void lo_host_address(struct nvmft_queue *queue, char *text, size_t len)
{
	(void)queue;
	snprintf(text, len, "in-process");
}

const struct nvmft_transport_ops *nvmft_transport_loopback(void)
{
	static const struct nvmft_transport_ops ops = {
		.size = sizeof(ops),
		.api = NVMFT_PROVIDER_API,
		.name = "loopback",
		.trtype = NVMF_TRTYPE_LOOP,
		.sgl_kinds = NVMFT_SGL_TRANSPORT,
		.group_size = sizeof(struct lo_group),
		.queue_size = sizeof(struct lo_queue),
		.request_size = sizeof(struct lo_request),
		.max_queue_depth = LOOPBACK_QUEUE_DEPTH,
		.listen = lo_listen,
		.accept_start = lo_accept_start,
		.accept_stop = lo_accept_stop,
		.address = lo_address,
		.group_init = lo_group_init,
		.group_poll = lo_group_poll,
		.group_arm = lo_group_arm,
		.respond = lo_respond,
		.queue_close = lo_queue_close,
		.host_address = lo_host_address,
	};

	return &ops;
}

/* ---- the host ---- */

int nvmft_loopback_submit(struct nvmft_loopback_queue *host, struct nvmft_loopback_cmd *cmd)
{
	if (unlikely(!host->open))
		return -ENOTCONN;
	if (unlikely(cmd->data_len > UINT32_MAX))
		return -EINVAL;
	return lo_submit(host, cmd);
}

void nvmft_loopback_disconnect(struct nvmft_loopback_queue *host)
{
	lo_begin_close(host);
}

static void lo_connect_done(struct nvmft_loopback_cmd *cmd)
{
	struct nvmft_loopback_queue *host = cmd->priv[0];
	struct nvmft_cqe cqe;
	int status;

	memcpy(&cqe, cmd->cqe.bytes, sizeof(cqe));
	status = le16toh(cqe.status) >> 1;
	free(host->connect_data);
	host->connect_data = NULL;
	if (!status && host->closing)
		status = -ECONNRESET;
	host->connected = status == 0;
	host->open = host->connected;
	host->told = true;
	if (host->opts.connected)
		host->opts.connected(host->opts.ctx, host, status, (uint16_t)(status ? 0 : le32toh(cqe.dw0) & 0xffff));
	if (status)
		lo_begin_close(host);
}

static void lo_default_hostnqn(char *nqn, const uint8_t *id)
{
	snprintf(nqn, NVME_NQN_LENGTH,
		 "nqn.2014-08.org.nvmexpress:uuid:%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7], id[8], id[9], id[10], id[11], id[12], id[13],
		 id[14], id[15]);
}

static int lo_fill_connect_data(struct nvmf_connect_data *data, const struct nvmft_loopback_opts *opts)
{
	static const uint8_t zero[16];
	const char *subnqn = opts->subnqn ? opts->subnqn : DISCOVERY_NQN;
	uint16_t cntlid = opts->qid == 0 && !opts->cntlid ? 0xffff : opts->cntlid;

	if (strlen(subnqn) >= NVME_NQN_LENGTH || (opts->hostnqn && strlen(opts->hostnqn) >= NVME_NQN_LENGTH))
		return -EINVAL;
	memcpy(data->hostid, opts->hostid, sizeof(data->hostid));
	if (memcmp(opts->hostid, zero, sizeof(zero)) == 0)
		memset(data->hostid, 0xff, sizeof(data->hostid));
	data->cntlid = htole16(cntlid);
	strcpy(data->subsysnqn, subnqn);
	if (opts->hostnqn)
		strcpy(data->hostnqn, opts->hostnqn);
	else
		lo_default_hostnqn(data->hostnqn, data->hostid);
	return 0;
}

static void lo_fill_connect_sqe(struct nvmft_sqe *sqe, const struct nvmft_loopback_opts *opts)
{
	uint16_t sqsize = opts->sqsize ? opts->sqsize : (opts->qid ? 127 : 31);

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = OPC_FABRICS;
	sqe->nsid = htole32(nvme_fabrics_type_connect);
	sqe->cdw10 = htole32((uint32_t)opts->qid << 16);
	sqe->cdw11 = htole32((uint32_t)opts->cattr << 16 | sqsize);
	sqe->cdw12 = htole32(opts->kato_ms);
}

static struct nvmft_loopback_queue *lo_alloc(const struct nvmft_loopback_opts *opts, int *ret)
{
	struct nvmft_loopback_queue *host = calloc(1, sizeof(*host));

	*ret = -ENOMEM;
	if (!host)
		return NULL;
	host->opts = *opts;
	host->connect_data = calloc(1, sizeof(*host->connect_data));
	if (!host->connect_data)
		goto out_free;
	*ret = lo_fill_connect_data(host->connect_data, opts);
	if (*ret)
		goto out_free;
	host->connect_cmd.data = host->connect_data;
	host->connect_cmd.data_len = sizeof(*host->connect_data);
	host->connect_cmd.done = lo_connect_done;
	host->connect_cmd.priv[0] = host;
	return host;

out_free:
	lo_free(host);
	return NULL;
}

static bool lo_is_loopback(struct nvmft_port *port)
{
	return nvmft_port_transport(port)->ops->respond == lo_respond;
}

int nvmft_loopback_connect(const struct nvmft_loopback_opts *opts, struct nvmft_loopback_queue **out)
{
	struct nvmft_loopback_opts o = {0};
	struct nvmft_loopback_queue *host;
	struct nvmft_sqe sqe;
	struct lo_queue *lq;
	int ret;

	memcpy(&o, opts, opts->size < sizeof(o) ? opts->size : sizeof(o));
	if (!o.port || !o.group || !lo_is_loopback(o.port))
		return -EINVAL;
	host = lo_alloc(&o, &ret);
	if (!host)
		return ret;
	ret = nvmft_queue_open(o.port, o.group, 0, &host->queue);
	if (ret) {
		lo_free(host);
		return ret == -ENOMEM ? ret : -ECONNREFUSED;
	}
	lq = nvmft_queue_priv(host->queue);
	lq->host = host;
	host->group = lo_group_of(host->queue);
	lo_fill_connect_sqe(&sqe, &o);
	memcpy(host->connect_cmd.sqe.bytes, &sqe, sizeof(sqe));
	host->connecting = true;
	TAILQ_INSERT_TAIL(&host->group->connecting, host, link);
	*out = host;
	return 0;
}
