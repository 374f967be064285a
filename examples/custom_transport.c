/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A transport of one's own, plugged into the library through <nvmft/provider/transport.h> alone: a mailbox in memory.
 * The host puts a command in a slot, the target takes it out and puts the completion in the same slot.
 *
 * The program proves it by itself: it connects to a controller through the mailbox, identifies it and disconnects. Exit
 * status 0: all as expected.
 */
#include <endian.h>
#include <errno.h>
#include <nvmft/nvmft.h>
#include <nvmft/provider/transport.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NQN "nqn.2024-01.org.nvmft:mailbox"
#define SLOTS 8

/* ---- what host and target share ---- */

enum slot_state {
	SLOT_FREE,   /* the host's */
	SLOT_POSTED, /* a command, not seen yet */
	SLOT_TAKEN,  /* the target's */
	SLOT_DONE,   /* a completion */
};

struct slot {
	enum slot_state state;
	struct nvmft_sqe sqe;
	struct nvmft_cqe cqe;
	uint8_t data[4096];
};

struct mailbox {
	struct slot slots[SLOTS];
	bool hung_up; /* set by either side */
};

/* ---- the transport: private parts that the library keeps for it ---- */

struct mb_request {
	struct nvmft_request *request;
	struct slot *slot;
	struct mb_request *next;
};

struct mb_queue {
	struct nvmft_queue *queue;
	struct mailbox *box;
	struct mb_queue *next;
	struct mb_request *fetched;   /* data is there, to be executed */
	struct mb_request *responses; /* to be sent */
	bool closing;
};

struct mb_group {
	struct mb_queue *queues;
};

static int mb_listen(struct nvmft_transport_port *port, const struct nvmft_port_config *config)
{
	(void)port, (void)config;
	return 0; /* no address to check, nothing to bind */
}

static void mb_accept_start(struct nvmft_transport_port *port, struct nvmft_poll_group *group)
{
	(void)port, (void)group;
}

static void mb_accept_stop(struct nvmft_transport_port *port)
{
	nvmft_port_closed(port);
}

/* A connection: this transport's own call for the host side. On the group's thread, as all that follows. */
static int mailbox_connect(struct nvmft_port *port, struct nvmft_poll_group *group, struct mailbox *box)
{
	struct nvmft_queue *queue;
	struct mb_group *mg;
	struct mb_queue *mq;
	int ret = nvmft_queue_open(port, group, 0, &queue);

	if (ret < 0)
		return ret;
	mg = nvmft_queue_group(queue)->priv;
	mq = nvmft_queue_priv(queue);
	mq->queue = queue;
	mq->box = box;
	mq->next = mg->queues;
	mg->queues = mq;
	return 0;
}

/* A command in a slot: give it to the core, which checks it and then calls mb_fetch() or mb_respond(). */
static void take(struct mb_queue *mq, struct slot *slot)
{
	struct nvmft_request *request;
	struct mb_request *mr;
	int error;

	request = nvmft_request_get(mq->queue, &error);
	if (!request) {
		mq->closing |=
			error == -EOVERFLOW; /* the host broke the protocol; otherwise try again in the next pass */
		return;
	}
	mr = request->priv;
	mr->request = request;
	mr->slot = slot;
	slot->state = SLOT_TAKEN;
	request->sqe = slot->sqe;
	nvmft_request_start(request);
}

/* Bring the host's data. To execute from inside is not allowed: that is for the next pass. */
static void mb_fetch(struct nvmft_request *request)
{
	struct mb_queue *mq = nvmft_queue_priv(request->queue);
	struct mb_request *mr = request->priv;
	uint8_t *from = mr->slot->data;

	for (uint32_t i = 0; i < request->iovcnt; i++) {
		memcpy(request->iov[i].base, from, request->iov[i].len);
		from += request->iov[i].len;
	}
	mr->next = mq->fetched;
	mq->fetched = mr;
}

/* A response is there; to release the request from inside is not allowed: mb_flush() sends all of a pass at once. */
static void mb_respond(struct nvmft_request *request)
{
	struct mb_queue *mq = nvmft_queue_priv(request->queue);
	struct mb_request *mr = request->priv;

	mr->next = mq->responses;
	mq->responses = mr;
}

static struct mb_request *pop(struct mb_request **list)
{
	struct mb_request *mr = *list;

	if (mr)
		*list = mr->next;
	return mr;
}

static void send_response(struct mb_request *mr)
{
	struct nvmft_request *request = mr->request;
	uint8_t *to = mr->slot->data;

	for (uint32_t i = 0; request->dir == NVMFT_DIR_TO_HOST && request->cqe.status == 0 && i < request->iovcnt;
	     i++) {
		memcpy(to, request->iov[i].base, request->iov[i].len);
		to += request->iov[i].len;
	}
	mr->slot->cqe = request->cqe;
	mr->slot->state = SLOT_DONE;
	nvmft_request_release(request);
}

static void mb_flush(struct nvmft_transport_group *tg)
{
	struct mb_group *mg = tg->priv;

	for (struct mb_queue *mq = mg->queues; mq; mq = mq->next) {
		struct mb_request *mr;

		while ((mr = pop(&mq->responses)))
			send_response(mr);
	}
}

/* The end of a connection: give back every request that the transport owns, then the queue. */
static void finish_close(struct mb_queue *mq)
{
	struct mb_request *mr;

	while ((mr = pop(&mq->fetched)) || (mr = pop(&mq->responses)))
		nvmft_request_release(mr->request);
	mq->box->hung_up = true;
	nvmft_queue_closed(mq->queue);
}

static int poll_queue(struct mb_queue *mq)
{
	struct mb_request *mr;
	int events = 0;

	for (; (mr = pop(&mq->fetched)); events++)
		nvmft_request_execute(mr->request);
	for (int i = 0; i < SLOTS && !mq->closing; i++) {
		if (mq->box->slots[i].state == SLOT_POSTED) {
			take(mq, &mq->box->slots[i]);
			events++;
		}
	}
	return events;
}

static int mb_poll(struct nvmft_transport_group *tg)
{
	struct mb_group *mg = tg->priv;
	struct mb_queue **link = &mg->queues;
	int events = 0;

	while (*link) {
		struct mb_queue *mq = *link;

		if (mq->closing || mq->box->hung_up) {
			*link = mq->next;
			finish_close(mq);
			events++;
			continue;
		}
		events += poll_queue(mq);
		link = &mq->next;
	}
	return events;
}

/*
 * Memory does not wake a sleeper. Here the host is on the same thread and posts between two polls, so that it is enough
 * to look once more; for a host elsewhere a transport has an eventfd and a struct nvmft_wake, see nvmft/provider/ring.h.
 */
static int mb_arm(struct nvmft_transport_group *tg)
{
	const struct mb_group *mg = tg->priv;

	for (const struct mb_queue *mq = mg->queues; mq; mq = mq->next) {
		if (mq->fetched || mq->responses || mq->closing || mq->box->hung_up)
			return -EAGAIN;
		for (int i = 0; i < SLOTS; i++) {
			if (mq->box->slots[i].state == SLOT_POSTED)
				return -EAGAIN;
		}
	}
	return 0;
}

static void mb_close(struct nvmft_queue *queue)
{
	((struct mb_queue *)nvmft_queue_priv(queue))->closing = true;
}

static const struct nvmft_transport_ops mailbox_ops = {
	.size = sizeof(mailbox_ops),
	.api = NVMFT_PROVIDER_API,
	.name = "mailbox",
	.trtype = 254, /* intra-host */
	.sgl_kinds = NVMFT_SGL_TRANSPORT,
	.group_size = sizeof(struct mb_group),
	.queue_size = sizeof(struct mb_queue),
	.request_size = sizeof(struct mb_request),
	.listen = mb_listen,
	.accept_start = mb_accept_start,
	.accept_stop = mb_accept_stop,
	.group_poll = mb_poll,
	.group_flush = mb_flush,
	.group_arm = mb_arm,
	.fetch = mb_fetch,
	.respond = mb_respond,
	.queue_close = mb_close,
};

/* ---- a host, one command at a time ---- */

static void check(const char *what, int ret)
{
	if (ret < 0) {
		fprintf(stderr, "%s: %s\n", what, strerror(-ret));
		exit(1);
	}
}

static void expect(const char *what, bool good)
{
	printf("%s: %s\n", what, good ? "ok" : "NOT OK");
	if (!good)
		exit(1);
}

/* Returns the status field of the completion; its data is in the slot. */
static unsigned int execute(struct nvmft_poll_group *group, struct mailbox *box, struct nvmft_sqe sqe,
			    uint32_t data_len)
{
	struct slot *slot = &box->slots[0];

	if (data_len) {
		uint32_t len = htole32(data_len);

		memcpy(sqe.dptr + 8, &len, sizeof(len));
		sqe.dptr[15] = 0x5a; /* SGL: a data block that the transport knows how to move */
	}
	sqe.flags = 0x40; /* PSDT: SGL */
	slot->sqe = sqe;
	slot->state = SLOT_POSTED;
	while (slot->state != SLOT_DONE && !box->hung_up)
		nvmft_poll(group, 0);
	slot->state = SLOT_FREE;
	return box->hung_up ? 0xffff : le16toh(slot->cqe.status) >> 1;
}

static void self_test(struct nvmft_poll_group *group, struct mailbox *box)
{
	/* Fabrics commands have opcode 7Fh, and their type in the first byte of NSID: 01h Connect, 00h Property Set. */
	struct nvmft_sqe connect = {.opcode = 0x7f, .nsid = htole32(0x01), .cdw11 = htole32(31)};
	struct nvmft_sqe enable = {.opcode = 0x7f, .cdw11 = htole32(0x14), .cdw12 = htole32(0x460001)};
	struct nvmft_sqe identify = {.opcode = 0x06, .cdw10 = htole32(0x01)};
	struct slot *slot = &box->slots[0];

	/* Connect's data: host identifier, controller identifier FFFFh for a new one, both names. */
	memset(slot->data, 0, sizeof(slot->data));
	memset(slot->data, 0xab, 16);
	memset(slot->data + 16, 0xff, 2);
	strcpy((char *)slot->data + 256, NQN);
	strcpy((char *)slot->data + 512, "nqn.2024-01.org.nvmft:mailbox-host");
	expect("connect", execute(group, box, connect, 1024) == 0);
	expect("enable the controller", execute(group, box, enable, 0) == 0);
	expect("identify", execute(group, box, identify, 4096) == 0);
	printf("serial number: %.20s\n", slot->data + 4);
	expect("its name", !strcmp((char *)slot->data + 768, NQN));
	identify.cdw10 = htole32(0x1f); /* a structure that there is not */
	expect("an error comes through", execute(group, box, identify, 4096) != 0 && !box->hung_up);
}

/* ---- the program ---- */

static void log_line(void *ctx, enum nvmft_log_level level, const char *message)
{
	(void)ctx, (void)level;
	fprintf(stderr, "%s\n", message);
}

static bool stopped;

static void on_stopped(struct nvmft_done *done, int result)
{
	(void)done, (void)result;
	stopped = true;
}

int main(void)
{
	struct nvmft_target_opts target_opts = {.size = sizeof(target_opts), .log = {.write = log_line}};
	struct nvmft_subsystem_opts subsystem_opts = {
		.size = sizeof(subsystem_opts), .nqn = NQN, .serial = "MAILBOX-1", .allow_any_host = true};
	struct nvmft_port_opts port_opts = {.size = sizeof(port_opts), .transport = &mailbox_ops};
	struct nvmft_done done = {.fn = on_stopped};
	struct nvmft_subsystem *subsystem;
	struct nvmft_poll_group *group;
	struct nvmft_target *target;
	struct nvmft_port *port;
	struct mailbox *box = calloc(1, sizeof(*box));

	check("target", nvmft_target_create(&target_opts, &target));
	check("poll group", nvmft_poll_group_create(target, &group));
	check("subsystem", nvmft_subsystem_create(target, &subsystem_opts, &subsystem));
	check("port", nvmft_port_add(target, &port_opts, &port));
	check("link", nvmft_port_link(port, subsystem));
	nvmft_poll(group, 0); /* this thread's group from now on */
	check("mailbox", mailbox_connect(port, group, box));
	self_test(group, box);
	box->hung_up = true;
	check("stop", nvmft_target_stop(target, &done));
	while (!stopped)
		nvmft_poll(group, NVMFT_POLL_WAIT);
	check("destroy", nvmft_target_destroy(target));
	free(box);
	return 0;
}
