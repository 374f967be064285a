/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include <nvmft/log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "field.h"

void *xrealloc(void *p, size_t n, size_t size)
{
	p = reallocarray(p, n, size);
	if (!p) {
		fputs("nvmft-target: out of memory\n", stderr);
		exit(1);
	}
	return p;
}

char *xstrdup(const char *text)
{
	size_t len = strlen(text) + 1;

	return memcpy(xrealloc(NULL, len, 1), text, len);
}

void texts_add(struct texts *t, const char *text)
{
	t->item = xrealloc(t->item, t->n + 1, sizeof(*t->item));
	t->item[t->n++] = xstrdup(text);
}

bool texts_has(const struct texts *t, const char *text)
{
	for (size_t i = 0; i < t->n; i++) {
		if (!strcmp(t->item[i], text))
			return true;
	}
	return false;
}

void texts_remove(struct texts *t, const char *text)
{
	for (size_t i = 0; i < t->n; i++) {
		if (!strcmp(t->item[i], text)) {
			free(t->item[i]);
			t->item[i] = t->item[--t->n];
			return;
		}
	}
}

void texts_clear(struct texts *t)
{
	while (t->n)
		free(t->item[--t->n]);
	free(t->item);
	t->item = NULL;
}

struct config *config_new(const char *source, bool from_file)
{
	struct config *c = xrealloc(NULL, 1, sizeof(*c));

	memset(c, 0, sizeof(*c));
	c->source = xstrdup(source);
	c->from_file = from_file;
	c->target.log_level = NVMFT_LOG_INFO;
	return c;
}

/* One more zeroed element behind @*array; every object begins with its place in the file. */
static void *grow(void *array, size_t *n, size_t size, const char *where)
{
	char **place;

	array = xrealloc(array, *n + 1, size);
	place = (char **)(void *)((char *)array + *n * size);
	memset(place, 0, size);
	*place = xstrdup(where);
	(*n)++;
	return array;
}

struct host_config *config_add_host(struct config *c, const char *where)
{
	c->hosts = grow(c->hosts, &c->nhosts, sizeof(*c->hosts), where);
	return &c->hosts[c->nhosts - 1];
}

struct port_config *config_add_port(struct config *c, const char *where)
{
	c->ports = grow(c->ports, &c->nports, sizeof(*c->ports), where);
	c->ports[c->nports - 1].in_capsule_size = FIELD_AUTO_VALUE;
	c->ports[c->nports - 1].max_queue_depth = FIELD_AUTO_VALUE;
	return &c->ports[c->nports - 1];
}

struct subsystem_config *config_add_subsystem(struct config *c, const char *where)
{
	c->subsystems = grow(c->subsystems, &c->nsubsystems, sizeof(*c->subsystems), where);
	return &c->subsystems[c->nsubsystems - 1];
}

struct ns_config *config_add_ns(struct subsystem_config *s, const char *where)
{
	struct ns_config *ns;

	s->ns = grow(s->ns, &s->nns, sizeof(*s->ns), where);
	ns = &s->ns[s->nns - 1];
	ns->enable = true;
	ns->lock = true;
	return ns;
}

struct referral_config *config_add_referral(struct port_config *p, const char *where)
{
	struct referral_config *ref;

	p->referrals = grow(p->referrals, &p->nreferrals, sizeof(*p->referrals), where);
	ref = &p->referrals[p->nreferrals - 1];
	ref->enable = true;
	return ref;
}

static void free_address(struct address *a)
{
	free(a->traddr);
	free(a->trsvcid);
}

static void free_port(struct port_config *p)
{
	for (size_t i = 0; i < p->nreferrals; i++) {
		free(p->referrals[i].where);
		free(p->referrals[i].name);
		free(p->referrals[i].nqn);
		free_address(&p->referrals[i].addr);
	}
	free(p->referrals);
	free(p->where);
	free(p->announce);
	free_address(&p->addr);
	texts_clear(&p->subsystems);
	texts_clear(&p->linked);
}

static void free_subsystem(struct subsystem_config *s)
{
	for (size_t i = 0; i < s->nns; i++) {
		free(s->ns[i].where);
		free(s->ns[i].path);
		free(s->ns[i].backend_path);
		free(s->ns[i].device_serial);
		free(s->ns[i].device_subnqn);
		free(s->ns[i].address);
	}
	free(s->ns);
	free(s->where);
	free(s->nqn);
	free(s->serial);
	free(s->model);
	free(s->firmware);
	texts_clear(&s->allowed_hosts);
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->nports; i++)
		free_port(&c->ports[i]);
	for (size_t i = 0; i < c->nsubsystems; i++)
		free_subsystem(&c->subsystems[i]);
	for (size_t i = 0; i < c->nhosts; i++) {
		free(c->hosts[i].where);
		free(c->hosts[i].nqn);
	}
	free(c->ports);
	free(c->subsystems);
	free(c->hosts);
	free(c->target.cpus);
	free(c->target.discovery_nqn);
	free(c->source);
	free(c);
}

bool text_equal(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

bool address_equal(const struct address *a, const struct address *b)
{
	return a->trtype == b->trtype && text_equal(a->traddr, b->traddr) && text_equal(a->trsvcid, b->trsvcid);
}

struct host_config *config_find_host(const struct config *c, const char *nqn)
{
	for (size_t i = 0; i < c->nhosts; i++) {
		if (text_equal(c->hosts[i].nqn, nqn))
			return &c->hosts[i];
	}
	return NULL;
}

struct subsystem_config *config_find_subsystem(const struct config *c, const char *nqn)
{
	for (size_t i = 0; i < c->nsubsystems; i++) {
		if (text_equal(c->subsystems[i].nqn, nqn))
			return &c->subsystems[i];
	}
	return NULL;
}

struct ns_config *config_find_ns(const struct subsystem_config *s, uint64_t nsid)
{
	for (size_t i = 0; i < s->nns; i++) {
		if (s->ns[i].nsid == nsid)
			return &s->ns[i];
	}
	return NULL;
}

bool ns_same(const struct ns_config *a, const struct ns_config *b)
{
	return a->nsid == b->nsid && a->enable == b->enable && a->backend == b->backend &&
	       text_equal(a->path, b->path) && a->bytes == b->bytes && a->block_size == b->block_size &&
	       a->read_only == b->read_only && a->buffered == b->buffered && a->lock == b->lock &&
	       text_equal(a->device_serial, b->device_serial) && text_equal(a->device_subnqn, b->device_subnqn) &&
	       a->device_nsid == b->device_nsid && a->reservations == b->reservations &&
	       !memcmp(a->admin, b->admin, sizeof(a->admin)) && text_equal(a->address, b->address) &&
	       a->iommu == b->iommu && a->iopoll == b->iopoll && !memcmp(a->uuid, b->uuid, sizeof(a->uuid)) &&
	       !memcmp(a->nguid, b->nguid, sizeof(a->nguid)) && !memcmp(a->eui64, b->eui64, sizeof(a->eui64));
}

bool subsystem_same(const struct subsystem_config *a, const struct subsystem_config *b)
{
	return text_equal(a->serial, b->serial) && text_equal(a->model, b->model) &&
	       text_equal(a->firmware, b->firmware) && a->vid == b->vid && a->ssvid == b->ssvid &&
	       a->ieee_oui == b->ieee_oui && a->controllers == b->controllers && a->cntlid_min == b->cntlid_min &&
	       a->cntlid_max == b->cntlid_max && a->max_io_queues == b->max_io_queues &&
	       a->max_namespaces == b->max_namespaces && a->max_io_size == b->max_io_size &&
	       a->max_aers == b->max_aers && a->max_controllers_per_host == b->max_controllers_per_host;
}

bool port_same(const struct port_config *a, const struct port_config *b)
{
	return a->portid == b->portid && address_equal(&a->addr, &b->addr) && text_equal(a->announce, b->announce) &&
	       a->in_capsule_size == b->in_capsule_size && a->max_queue_depth == b->max_queue_depth &&
	       a->max_connections == b->max_connections && a->max_pending == b->max_pending &&
	       a->max_pending_per_address == b->max_pending_per_address && a->maxh2cdata == b->maxh2cdata &&
	       a->backlog == b->backlog && a->cpda == b->cpda && a->priority == b->priority && a->sndbuf == b->sndbuf &&
	       a->rcvbuf == b->rcvbuf && a->no_hdgst == b->no_hdgst && a->no_ddgst == b->no_ddgst &&
	       a->reuseport == b->reuseport && a->receives == b->receives &&
	       a->per_queue_receives == b->per_queue_receives;
}

bool referral_same(const struct referral_config *a, const struct referral_config *b)
{
	return a->enable == b->enable && a->portid == b->portid && address_equal(&a->addr, &b->addr) &&
	       a->addr.adrfam == b->addr.adrfam && text_equal(a->nqn, b->nqn);
}
