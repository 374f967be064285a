/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports: listeners, what they serve, and the limits of those who knock.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "controller.h"
#include "log.h"
#include "poll_group.h"
#include "port.h"

static int bad_field(struct nvmft_target *target, const char *field, const char *expected)
{
	nvmft_log(target, NVMFT_LOG_ERROR, "port: %s: %s", field, expected);
	return -EINVAL;
}

static int port_check_transport(struct nvmft_target *target, const struct nvmft_transport_ops *ops)
{
	if (!ops || ops->api != NVMFT_PROVIDER_API || ops->size < offsetof(struct nvmft_transport_ops, queue_live) ||
	    !ops->listen || !ops->accept_start || !ops->accept_stop || !ops->respond || !ops->queue_close)
		return bad_field(target, "transport", "missing, of another API level, or without its required functions");
	return 0;
}

static int port_default_opts(struct nvmft_target *target, struct nvmft_port_opts *o)
{
	if (!o->traddr)
		o->traddr = "";
	if (!o->trsvcid)
		o->trsvcid = "4420";
	if (!o->max_queue_depth)
		o->max_queue_depth = o->transport->max_queue_depth ? o->transport->max_queue_depth : 1024;
	if (o->no_in_capsule)
		o->in_capsule_size = 0;
	else if (!o->in_capsule_size)
		o->in_capsule_size = 8192;
	if (strlen(o->traddr) >= NVMF_TRADDR_SIZE)
		return bad_field(target, "traddr", "at most 255 bytes");
	if (o->announce_traddr && strlen(o->announce_traddr) >= NVMF_TRADDR_SIZE)
		return bad_field(target, "announce_traddr", "at most 255 bytes");
	if (strlen(o->trsvcid) >= NVMF_TRSVCID_SIZE)
		return bad_field(target, "trsvcid", "at most 31 bytes");
	if (o->max_queue_depth < 2 || o->max_queue_depth > 65536)
		return bad_field(target, "max_queue_depth", "2..65536");
	if (o->in_capsule_size && (o->in_capsule_size % 16 || o->in_capsule_size < 4096 || o->in_capsule_size > 262144))
		return bad_field(target, "in_capsule_size", "a multiple of 16, 4096..262144");
	return 0;
}

static struct nvmft_port *port_alloc(struct nvmft_target *target, const struct nvmft_port_opts *o)
{
	struct nvmft_port *port = calloc(1, sizeof(*port));

	if (!port)
		return NULL;
	port->target = target;
	nvmft_opts_copy(&port->ops, sizeof(port->ops), o->transport, o->transport->size);
	if (port->ops.port_size) {
		port->tp.priv = zalloc_aligned(port->ops.port_size);
		if (!port->tp.priv) {
			free(port);
			return NULL;
		}
	}
	port->tp.port = port;
	port->tp.ops = &port->ops;
	port->opts = *o;
	strcpy(port->traddr, o->traddr);
	strcpy(port->trsvcid, o->trsvcid);
	snprintf(port->announce, sizeof(port->announce), "%s", o->announce_traddr ? o->announce_traddr : "");
	port->opts.traddr = port->traddr;
	port->opts.trsvcid = port->trsvcid;
	port->opts.announce_traddr = port->announce[0] ? port->announce : NULL;
	port->opts.subsystems = NULL;
	atomic_init(&port->refs, 1);
	pthread_mutex_init(&port->addr_lock, NULL);
	return port;
}

static void port_free(struct nvmft_port *port)
{
	pthread_mutex_destroy(&port->addr_lock);
	free(port->addrs);
	free(port->links);
	free(port->referrals);
	free(port->tp.priv);
	free(port);
}

static int find_link(const struct nvmft_port *port, const struct nvmft_subsystem *subsys)
{
	uint32_t i;

	for (i = 0; i < port->nlinks; i++)
		if (port->links[i] == subsys)
			return (int)i;
	return -ENOENT;
}

static int port_take_links(struct nvmft_port *port, const struct nvmft_port_opts *o)
{
	uint32_t i;

	if (!o->nsubsystems)
		return 0;
	port->links = calloc(o->nsubsystems, sizeof(struct nvmft_subsystem *));
	if (!port->links)
		return -ENOMEM;
	for (i = 0; i < o->nsubsystems; i++) {
		if (find_link(port, o->subsystems[i]) >= 0)
			return bad_field(port->target, "subsystems", "one of them twice");
		port->links[port->nlinks++] = o->subsystems[i];
	}
	return 0;
}

static void port_deliver(struct nvmft_done_call *dc)
{
	struct nvmft_port *port = container_of(dc, struct nvmft_port, done_call);
	struct nvmft_done *done = port->removed;

	port_free(port);
	if (done)
		done->fn(done, 0);
}

void nvmft_port_get(struct nvmft_port *port)
{
	atomic_fetch_add(&port->refs, 1);
}

void nvmft_port_put(struct nvmft_port *port)
{
	if (atomic_fetch_sub(&port->refs, 1) == 1)
		nvmft_done_later(port->target, &port->done_call, port_deliver);
}

static void port_start_call(struct nvmft_call *call)
{
	struct nvmft_port *port = container_of(call, struct nvmft_port, start_call);

	port->ops.accept_start(&port->tp, port->group);
}

static void port_stop_call(struct nvmft_call *call)
{
	struct nvmft_port *port = container_of(call, struct nvmft_port, stop_call);

	port->ops.accept_stop(&port->tp);
}

void nvmft_port_stop_accepting(struct nvmft_port *port)
{
	if (atomic_exchange(&port->closing, true))
		return;
	port->stop_call.fn = port_stop_call;
	nvmft_poll_group_call(port->group, &port->stop_call);
}

/* The listener's references: to the port, and to the target, whose stop waits for it. */
void nvmft_port_closed(struct nvmft_transport_port *tp)
{
	struct nvmft_port *port = tp->port;
	struct nvmft_target *target = port->target;

	nvmft_port_put(port);
	nvmft_target_put(target);
}

static int port_listen(struct nvmft_port *port, const void *transport_opts)
{
	struct nvmft_port_config config = {
		.transport_opts = transport_opts,
		.traddr = port->traddr,
		.trsvcid = port->trsvcid,
		.in_capsule_size = port->opts.in_capsule_size,
		.max_queue_depth = port->opts.max_queue_depth,
	};
	int ret = port->ops.listen(&port->tp, &config);

	if (ret)
		return ret;
	if (port->ops.address)
		port->ops.address(&port->tp, port->traddr, port->trsvcid, &port->adrfam);
	nvmft_port_get(port);
	nvmft_target_get(port->target);
	return 0;
}

static int port_choose_id(struct nvmft_target *target, uint16_t *portid)
{
	struct nvmft_port *port;
	uint16_t wanted = *portid ? *portid : 1;

restart:
	TAILQ_FOREACH(port, &target->ports, link)
	{
		if (port->opts.portid != wanted)
			continue;
		if (*portid) {
			nvmft_log(target, NVMFT_LOG_ERROR, "port: portid: %u is in use", wanted);
			return -EEXIST;
		}
		if (++wanted == 0)
			return -ENOSPC;
		goto restart;
	}
	*portid = wanted;
	return 0;
}

static int port_add_locked(struct nvmft_target *target, struct nvmft_port_opts *o, struct nvmft_port **out)
{
	struct nvmft_port *port;
	int ret = nvmft_target_check_running(target);

	if (!ret && !nvmft_target_any_group(target)) {
		nvmft_log(target, NVMFT_LOG_ERROR, "port: the target has no poll group yet");
		ret = -ENXIO;
	}
	if (!ret)
		ret = port_choose_id(target, &o->portid);
	if (ret)
		return ret;
	port = port_alloc(target, o);
	if (!port)
		return -ENOMEM;
	port->group = nvmft_target_any_group(target);
	ret = port_take_links(port, o);
	if (!ret)
		ret = port_listen(port, o->transport_opts);
	if (ret) {
		port_free(port);
		return ret;
	}
	TAILQ_INSERT_TAIL(&target->ports, port, link);
	ret = nvmft_view_publish(target, NULL, true);
	/* Not before: the first host would not find what it came for, and a group that saw another change would close its queue. */
	port->start_call.fn = port_start_call;
	nvmft_poll_group_call(port->group, &port->start_call);
	if (ret) {
		/* The listener belongs to the transport by now, which gives it back on the group's thread only. */
		TAILQ_REMOVE(&target->ports, port, link);
		nvmft_port_stop_accepting(port);
		nvmft_port_put(port);
		return ret;
	}
	*out = port;
	return 0;
}

int nvmft_port_add(struct nvmft_target *target, const struct nvmft_port_opts *opts, struct nvmft_port **out)
{
	struct nvmft_port_opts o;
	struct nvmft_port *port;
	int ret;

	nvmft_opts_copy(&o, sizeof(o), opts, opts ? opts->size : 0);
	ret = port_check_transport(target, o.transport);
	if (!ret)
		ret = port_default_opts(target, &o);
	if (ret)
		return ret;
	nvmft_target_lock(target);
	ret = port_add_locked(target, &o, &port);
	nvmft_target_unlock(target);
	if (!ret && out)
		*out = port;
	return ret;
}

static void port_retired(struct retired *retired)
{
	nvmft_port_put(container_of(retired, struct nvmft_port, retire));
}

int nvmft_port_remove(struct nvmft_port *port, struct nvmft_done *done)
{
	struct nvmft_target *target = port->target;
	int ret;

	nvmft_target_lock(target);
	ret = nvmft_target_check_running(target);
	if (ret)
		goto out;
	TAILQ_REMOVE(&target->ports, port, link);
	port->removed = done;
	port->retire.release = port_retired;
	ret = nvmft_view_publish(target, &port->retire, true);
	if (ret) {
		port->removed = NULL;
		TAILQ_INSERT_TAIL(&target->ports, port, link);
	} else {
		nvmft_port_stop_accepting(port);
	}
out:
	nvmft_target_unlock(target);
	return ret;
}

void nvmft_ports_free(struct nvmft_target *target)
{
	struct nvmft_port *port;

	while ((port = TAILQ_FIRST(&target->ports))) {
		TAILQ_REMOVE(&target->ports, port, link);
		nvmft_port_put(port);
	}
}

/* ---- links ---- */

static int port_link_locked(struct nvmft_port *port, struct nvmft_subsystem *subsys)
{
	struct nvmft_subsystem **links;
	int ret = nvmft_target_check_running(port->target);

	if (ret)
		return ret;
	if (find_link(port, subsys) >= 0)
		return -EEXIST;
	links = realloc(port->links, (port->nlinks + 1) * sizeof(struct nvmft_subsystem *));
	if (!links)
		return -ENOMEM;
	port->links = links;
	links[port->nlinks++] = subsys;
	ret = nvmft_view_publish(port->target, NULL, true);
	if (ret)
		port->nlinks--;
	return ret;
}

int nvmft_port_link(struct nvmft_port *port, struct nvmft_subsystem *subsys)
{
	int ret;

	nvmft_target_lock(port->target);
	ret = port_link_locked(port, subsys);
	nvmft_target_unlock(port->target);
	return ret;
}

static int port_unlink_locked(struct nvmft_port *port, struct nvmft_subsystem *subsys)
{
	int ret = nvmft_target_check_running(port->target), at;

	if (ret)
		return ret;
	at = find_link(port, subsys);
	if (at < 0)
		return at;
	port->links[at] = port->links[--port->nlinks];
	ret = nvmft_view_publish(port->target, NULL, true);
	if (ret) {
		port->links[port->nlinks++] = port->links[at];
		port->links[at] = subsys;
	}
	return ret;
}

int nvmft_port_unlink(struct nvmft_port *port, struct nvmft_subsystem *subsys)
{
	int ret;

	nvmft_target_lock(port->target);
	ret = port_unlink_locked(port, subsys);
	nvmft_target_unlock(port->target);
	return ret;
}

void nvmft_ports_forget_subsystem(struct nvmft_target *target, struct nvmft_subsystem *subsys)
{
	struct nvmft_port *port;
	int at;

	TAILQ_FOREACH(port, &target->ports, link)
	{
		at = find_link(port, subsys);
		if (at >= 0)
			port->links[at] = port->links[--port->nlinks];
	}
}

/* ---- for transports ---- */

void nvmft_port_address(struct nvmft_port *port, char *traddr, char *trsvcid)
{
	strcpy(traddr, port->traddr);
	strcpy(trsvcid, port->trsvcid);
}

struct nvmft_transport_port *nvmft_port_transport(struct nvmft_port *port)
{
	return &port->tp;
}

struct nvmft_poll_group *nvmft_port_place(struct nvmft_port *port)
{
	struct nvmft_target *target = port->target;
	struct nvmft_poll_group *group = NULL;
	uint32_t turn;

	if (port->opts.place)
		group = port->opts.place(port->opts.place_ctx, port);
	if (group)
		return group;
	turn = atomic_fetch_add(&target->place_next, 1);
	pthread_mutex_lock(&target->view_lock);
	turn %= target->ngroups;
	TAILQ_FOREACH(group, &target->groups, link)
		if (turn-- == 0)
			break;
	pthread_mutex_unlock(&target->view_lock);
	return group;
}

bool nvmft_port_has_controller(struct nvmft_port *port, struct nvmft_poll_group *group, uint16_t cntlid)
{
	const struct port_view *pv = nvmft_view_port(group->view, port);
	struct nvmft_ctrl *ctrl = NULL;
	uint32_t i;

	for (i = 0; pv && i < pv->nlinks && !ctrl; i++)
		ctrl = nvmft_ctrl_find_get(pv->links[i], cntlid);
	if (ctrl)
		nvmft_ctrl_put(ctrl);
	return ctrl != NULL;
}

void nvmft_port_log(struct nvmft_port *port, enum nvmft_log_level level, const char *format, ...)
{
	char prefix[NVMF_TRADDR_SIZE + NVMF_TRSVCID_SIZE + 32];
	va_list ap;

	snprintf(prefix, sizeof(prefix), "port %s %s %s: ", port->ops.name, port->traddr, port->trsvcid);
	va_start(ap, format);
	nvmft_vlog(port->target, level, prefix, format, ap);
	va_end(ap);
}
