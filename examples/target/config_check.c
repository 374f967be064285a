/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_check.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "units.h"

#define DISCOVERY_NQN "nqn.2014-08.org.nvmexpress.discovery"
#define DEFAULT_MAX_NAMESPACES 1024u
#define DEFAULT_BLOCK_SIZE 512u

static void check_unique_texts(struct report *r, const char *where, const char *key, const struct texts *t)
{
	for (size_t i = 0; i < t->n; i++) {
		for (size_t j = 0; j < i; j++) {
			if (!strcmp(t->item[i], t->item[j])) {
				report_error_at(r, where, key, t->item[i], "is there twice");
				break;
			}
		}
	}
}

static void check_hosts(const struct config *c, struct report *r)
{
	for (size_t i = 0; i < c->nhosts; i++) {
		const struct host_config *h = &c->hosts[i], *first = config_find_host(c, h->nqn);

		if (h->nqn && first != h)
			report_error_at(r, h->where, "nqn", h->nqn, "is the same as %s", first->where);
	}
}

static void check_ns_size(const struct ns_config *ns, const char *key, struct report *r)
{
	uint64_t block = ns->block_size ? ns->block_size : DEFAULT_BLOCK_SIZE;
	char size[32];

	format_size(ns->bytes, size, sizeof(size));
	if (ns->bytes % block)
		report_error_at(r, ns->where, key, size, "expected a multiple of the block size, %" PRIu64, block);
	if (ns->backend != BACKEND_FILE && ns->backend != BACKEND_NVME && ns->backend != BACKEND_VFIO && !ns->bytes)
		report_error_at(r, ns->where, key, NULL, "this backend needs a size");
	if (ns->create && !ns->bytes)
		report_error_at(r, ns->where, key, NULL, "a file can only be created with a size");
}

static void check_ns_nvme(const struct ns_config *ns, const char *path_key, struct report *r)
{
	if (!!ns->path + !!ns->device_serial + !!ns->device_subnqn != 1)
		report_error_at(r, ns->where, path_key, ns->path,
				"expected either a device, /dev/ngXnY, or a serial number, or the name of a subsystem");
	if (ns->bytes || ns->block_size)
		report_error_at(r, ns->where, ns->bytes ? "size" : "block_size", "(given)",
				"an NVMe device has its own");
}

static void check_ns_vfio(const struct ns_config *ns, const char *path_key, struct report *r)
{
	if (!ns->address)
		report_error_at(r, ns->where, "backend.address", NULL, "expected a PCI address like 0000:01:00.0");
	if (ns->path)
		report_error_at(r, ns->where, path_key, ns->path, "the vfio backend has an address instead");
	if (ns->bytes || ns->block_size)
		report_error_at(r, ns->where, ns->bytes ? "size" : "block_size", "(given)",
				"an NVMe device has its own");
}

static void check_ns_of_ssd(const struct ns_config *ns, struct report *r)
{
	static const uint8_t none[sizeof(ns->admin)];
	bool nvme = ns->backend == BACKEND_NVME, ssd = nvme || ns->backend == BACKEND_VFIO;
	const struct {
		const char *key;
		const char *value;
		bool wrong;
		bool vfio;
	} keys[] = {
		{"backend.serial", ns->device_serial, ns->device_serial && !nvme, false},
		{"backend.subnqn", ns->device_subnqn, ns->device_subnqn && !nvme, false},
		{"backend.iopoll", "1", ns->iopoll && !nvme, false},
		{"backend.nsid", "(given)", ns->device_nsid && !ssd, true},
		{"backend.reservations", "1", ns->reservations && !ssd, true},
		{"backend.admin", "(given)", memcmp(ns->admin, none, sizeof(none)) && !ssd, true},
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (keys[i].wrong)
			report_error_at(r, ns->where, keys[i].key, keys[i].value, "is for the %s only",
					keys[i].vfio ? "nvme and vfio backends" : "nvme backend");
	}
}

static void check_ns_backend(const struct ns_config *ns, bool from_file, struct report *r)
{
	const char *path_key = from_file ? "device.path" : "path";

	if (ns->backend == BACKEND_FILE) {
		if (!ns->path)
			report_error_at(r, ns->where, path_key, NULL, "expected the path of a file or block device");
	} else if (ns->backend == BACKEND_NVME) {
		check_ns_nvme(ns, path_key, r);
	} else if (ns->backend == BACKEND_VFIO) {
		check_ns_vfio(ns, path_key, r);
	} else if (ns->path) {
		report_error_at(r, ns->where, path_key, ns->path, "this backend has no path");
	}
	if (ns->backend != BACKEND_FILE && (ns->buffered || ns->create))
		report_error_at(r, ns->where, ns->create ? "create" : "buffered", "1", "is for the file backend only");
	if (ns->backend != BACKEND_VFIO && (ns->address || ns->iommu))
		report_error_at(r, ns->where, ns->address ? "backend.address" : "iommu",
				ns->address ? ns->address : "(given)", "is for the vfio backend only");
	check_ns_of_ssd(ns, r);
	if (ns->create && ns->read_only)
		report_error_at(r, ns->where, "create", "1", "does not go with read_only");
	check_ns_size(ns, from_file ? "backend.size" : "size", r);
}

/* "path" may stand in "device", in "backend", or in both if it is the same. */
static void settle_ns(struct ns_config *ns, struct report *r)
{
	if (ns->path && ns->backend_path && strcmp(ns->path, ns->backend_path))
		report_error_at(r, ns->where, "backend.path", ns->backend_path,
				"expected the same as device.path, or only one of them");
	if (!ns->path && ns->backend_path)
		ns->path = xstrdup(ns->backend_path);
	if (ns->backend == BACKEND_UNSET)
		ns->backend = BACKEND_FILE;
}

static bool id_set(const uint8_t *id, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (id[i])
			return true;
	}
	return false;
}

/* A host refuses a subsystem with two namespaces of the same name. */
static const char *same_id(const struct ns_config *a, const struct ns_config *b)
{
	if (id_set(a->uuid, sizeof(a->uuid)) && !memcmp(a->uuid, b->uuid, sizeof(a->uuid)))
		return "uuid";
	if (id_set(a->nguid, sizeof(a->nguid)) && !memcmp(a->nguid, b->nguid, sizeof(a->nguid)))
		return "nguid";
	if (id_set(a->eui64, sizeof(a->eui64)) && !memcmp(a->eui64, b->eui64, sizeof(a->eui64)))
		return "eui64";
	return NULL;
}

static void check_ns_unique(const struct subsystem_config *s, size_t i, struct report *r)
{
	const struct ns_config *ns = &s->ns[i];
	char number[24];

	snprintf(number, sizeof(number), "%" PRIu64, ns->nsid);
	for (size_t j = 0; j < i; j++) {
		const struct ns_config *other = &s->ns[j];
		const char *id = same_id(ns, other);

		if (ns->nsid && ns->nsid == other->nsid)
			report_error_at(r, ns->where, "nsid", number, "is the same as of %s", other->where);
		if (id && ns->enable && other->enable)
			report_error_at(r, ns->where, id, "(given)", "is the same as of %s", other->where);
	}
}

static void assign_nsids(struct subsystem_config *s)
{
	uint64_t highest = DEFAULT_MAX_NAMESPACES;

	for (size_t i = 0; i < s->nns; i++) {
		uint64_t nsid = 1;

		while (!s->ns[i].nsid && config_find_ns(s, nsid))
			nsid++;
		if (!s->ns[i].nsid)
			s->ns[i].nsid = nsid;
		while (s->ns[i].nsid > highest)
			highest *= 2;
	}
	if (!s->max_namespaces)
		s->max_namespaces = highest;
}

static void check_namespaces(struct subsystem_config *s, bool from_file, struct report *r)
{
	for (size_t i = 0; i < s->nns; i++) {
		struct ns_config *ns = &s->ns[i];

		settle_ns(ns, r);
		check_ns_unique(s, i, r);
		if (ns->enable)
			check_ns_backend(ns, from_file, r);
	}
	assign_nsids(s);
	for (size_t i = 0; i < s->nns; i++) {
		char number[24];

		snprintf(number, sizeof(number), "%" PRIu64, s->ns[i].nsid);
		if (s->ns[i].nsid > s->max_namespaces)
			report_error_at(r, s->ns[i].where, "nsid", number, "is above options.max_namespaces, %" PRIu64,
					s->max_namespaces);
	}
}

/* A name that was a mistake itself is not in the configuration: references to it would be reported, too. */
static bool names_complete(const struct config *c)
{
	bool complete = true;

	for (size_t i = 0; i < c->nhosts; i++)
		complete &= c->hosts[i].nqn != NULL;
	for (size_t i = 0; i < c->nsubsystems; i++)
		complete &= c->subsystems[i].nqn != NULL;
	return complete;
}

static void check_allowed_hosts(const struct config *c, const struct subsystem_config *s, struct report *r)
{
	check_unique_texts(r, s->where, "allowed_hosts", &s->allowed_hosts);
	for (size_t i = 0; i < s->allowed_hosts.n; i++) {
		if (names_complete(c) && !config_find_host(c, s->allowed_hosts.item[i]))
			report_error_at(r, s->where, "allowed_hosts", s->allowed_hosts.item[i],
					"expected a host that is in \"hosts\"");
	}
	if (!s->allow_any_host && !s->allowed_hosts.n && c->from_file)
		report_warning_at(r, s->where, "allowed_hosts", "[]",
				  "no host can connect, as attr.allow_any_host is not 1");
}

static void check_served(const struct config *c, const struct subsystem_config *s, struct report *r)
{
	for (size_t i = 0; i < c->nports; i++) {
		for (size_t j = 0; j < c->ports[i].subsystems.n; j++) {
			if (text_equal(c->ports[i].subsystems.item[j], s->nqn))
				return;
		}
	}
	report_warning_at(r, s->where, "nqn", s->nqn, "no host can connect, as no port has it in \"subsystems\"");
}

static void check_subsystems(const struct config *c, struct report *r)
{
	for (size_t i = 0; i < c->nsubsystems; i++) {
		struct subsystem_config *s = &c->subsystems[i];
		const struct subsystem_config *first = config_find_subsystem(c, s->nqn);
		const char *key = c->from_file ? "nqn" : "--subsystem";

		if (s->nqn && first != s)
			report_error_at(r, s->where, key, s->nqn, "is the same as of %s", first->where);
		if (text_equal(s->nqn, DISCOVERY_NQN) || (s->nqn && text_equal(s->nqn, c->target.discovery_nqn)))
			report_error_at(r, s->where, key, s->nqn, "is the name of the discovery subsystem");
		if (s->cntlid_min && s->cntlid_max && s->cntlid_min > s->cntlid_max) {
			char number[24];

			snprintf(number, sizeof(number), "%" PRIu64, s->cntlid_min);
			report_error_at(r, s->where, "attr.cntlid_min", number, "expected at most cntlid_max, %" PRIu64,
					s->cntlid_max);
		}
		if (names_complete(c) && c->from_file)
			check_served(c, s, r);
		check_allowed_hosts(c, s, r);
		check_namespaces(s, c->from_file, r);
	}
}

static void check_address(struct address *a, const char *where, struct report *r)
{
	int family = a->traddr && strchr(a->traddr, ':') ? 2 : 1;

	if (!a->traddr)
		return;
	if (!a->adrfam)
		a->adrfam = family;
	if (a->adrfam != family)
		report_error_at(r, where, "addr.traddr", a->traddr, "expected an IPv%d address, as adrfam says",
				a->adrfam == 1 ? 4 : 6);
}

static void check_referrals(const struct port_config *p, struct report *r)
{
	for (size_t i = 0; i < p->nreferrals; i++) {
		struct referral_config *ref = &p->referrals[i];

		check_address(&ref->addr, ref->where, r);
		for (size_t j = 0; j < i; j++) {
			if (ref->enable && p->referrals[j].enable && ref->addr.traddr &&
			    address_equal(&ref->addr, &p->referrals[j].addr))
				report_error_at(r, ref->where, "addr.traddr", ref->addr.traddr, "is the same as of %s",
						p->referrals[j].where);
		}
	}
}

/* Port 0 lets the kernel choose: two of those do not collide. */
static bool ports_collide(const struct port_config *a, const struct port_config *b)
{
	return a->addr.traddr && a->addr.trsvcid && strcmp(a->addr.trsvcid, "0") && address_equal(&a->addr, &b->addr);
}

static void check_port_unique(const struct config *c, size_t i, struct report *r)
{
	const struct port_config *p = &c->ports[i];
	char number[24];

	snprintf(number, sizeof(number), "%" PRIu64, p->portid);
	for (size_t j = 0; j < i; j++) {
		if (p->portid && p->portid == c->ports[j].portid)
			report_error_at(r, p->where, "portid", number, "is the same as of %s", c->ports[j].where);
		if (ports_collide(p, &c->ports[j]))
			report_error_at(r, p->where, "addr.traddr", p->addr.traddr,
					"address and trsvcid are the same as of %s", c->ports[j].where);
	}
}

/* Port 0 is a valid number for the kernel; here it is given the lowest free one. */
static void assign_portids(struct config *c)
{
	for (size_t i = 0; i < c->nports; i++) {
		uint64_t id = 0;
		bool used = true;

		if (c->ports[i].portid)
			continue;
		while (used) {
			id++;
			used = false;
			for (size_t j = 0; j < c->nports; j++)
				used |= c->ports[j].portid == id;
		}
		c->ports[i].portid = id;
	}
}

static void check_ports(struct config *c, struct report *r)
{
	if (!c->nports && !r->errors)
		report_error_at(r, "ports", NULL, "[]", "expected at least one port to listen on");
	for (size_t i = 0; i < c->nports; i++) {
		struct port_config *p = &c->ports[i];

		check_address(&p->addr, p->where, r);
		check_port_unique(c, i, r);
		check_referrals(p, r);
		check_unique_texts(r, p->where, "subsystems", &p->subsystems);
		for (size_t j = 0; j < p->subsystems.n; j++) {
			if (names_complete(c) && !config_find_subsystem(c, p->subsystems.item[j]))
				report_error_at(r, p->where, "subsystems", p->subsystems.item[j],
						"expected a subsystem that is in \"subsystems\"");
		}
	}
	assign_portids(c);
}

void config_check(struct config *c, struct report *r)
{
	check_hosts(c, r);
	check_subsystems(c, r);
	check_ports(c, r);
	if (c->target.ncpus && c->target.threads > c->target.ncpus)
		report_warning_at(r, c->from_file ? "target" : NULL, c->from_file ? "threads" : "--threads", "(given)",
				  "more threads than processors in the list: several share one");
}

static void check_file(const struct ns_config *ns, const char *key, struct report *r)
{
	uint64_t one_block = ns->block_size ? ns->block_size : DEFAULT_BLOCK_SIZE;
	struct stat st;

	if (stat(ns->path, &st) < 0) {
		if (errno != ENOENT || !ns->create)
			report_warning_at(r, ns->where, key, ns->path, "%s; the others would be served without it",
					  strerror(errno));
	} else if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		report_warning_at(r, ns->where, key, ns->path, "is no regular file and no block device");
	} else if (access(ns->path, ns->read_only ? R_OK : R_OK | W_OK) < 0) {
		report_warning_at(r, ns->where, key, ns->path, "%s", strerror(errno));
	} else if (S_ISREG(st.st_mode) && (uint64_t)st.st_size < (ns->bytes ? ns->bytes : one_block)) {
		char have[32];

		format_size((uint64_t)st.st_size, have, sizeof(have));
		report_warning_at(r, ns->where, key, ns->path, "is smaller than %s: it has %s",
				  ns->bytes ? "the size asked for" : "one block", have);
	}
}

void config_check_files(const struct config *c, struct report *r)
{
	for (size_t i = 0; i < c->nsubsystems; i++) {
		const struct subsystem_config *s = &c->subsystems[i];

		for (size_t j = 0; j < s->nns; j++) {
			if (s->ns[j].enable && s->ns[j].backend == BACKEND_FILE && s->ns[j].path)
				check_file(&s->ns[j], c->from_file ? "device.path" : "path", r);
		}
	}
}
