/* SPDX-License-Identifier: BSD-3-Clause */
/* The small languages of --listen and --namespace. */
#include <stdlib.h>
#include <string.h>

#include "field.h"
#include "options.h"

static void set(const struct field_table *table, const char *name, void *object, const char *value, struct report *r)
{
	size_t place = report_key(r, name);

	field_set(r, field_find(table, name), object, value);
	report_leave(r, place);
}

/* Split "127.0.0.1:4420", "[::1]:4420" or either without a port, in place. False: neither. */
static bool split_address(char *text, char **traddr, char **trsvcid)
{
	char *end;

	*traddr = text;
	if (*text == '[') {
		*traddr = text + 1;
		end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return false;
		*end++ = '\0';
	} else {
		end = strchr(text, ':');
		if (end && strchr(end + 1, ':'))
			return false;
	}
	*trsvcid = NULL;
	if (end && *end) {
		*end = '\0';
		*trsvcid = end + 1;
	}
	return true;
}

void spec_listen(struct config *c, const char *text, struct report *r)
{
	struct port_config *p = config_add_port(c, r->path);
	bool rdma = !strncmp(text, "rdma:", 5), tcp = !strncmp(text, "tcp:", 4);
	char *copy = xstrdup(text), *traddr, *trsvcid;

	if ((!rdma && !tcp) || !split_address(strchr(copy, ':') + 1, &traddr, &trsvcid)) {
		report_error(r, text,
			     "expected tcp:ADDRESS:PORT or rdma:ADDRESS:PORT, with an IPv6 address in brackets");
		free(copy);
		return;
	}
	set(&port_addr_table, "trtype", p, rdma ? "rdma" : "tcp", r);
	set(&port_addr_table, "traddr", p, traddr, r);
	set(&port_addr_table, "trsvcid", p, trsvcid ? trsvcid : "4420", r);
	free(copy);
}

/* PCI address, and behind a slash the namespace. */
static void spec_vfio(struct ns_config *ns, char *text, struct report *r)
{
	char *slash = strchr(text, '/');

	ns->backend = BACKEND_VFIO;
	if (slash) {
		*slash++ = '\0';
		set(&ns_backend_table, "nsid", ns, slash, r);
	}
	set(&ns_backend_table, "address", ns, text, r);
}

/*
 * A device, or serial=TEXT or subnqn=NQN and behind a slash the namespace of the device, which is a number: names may
 * have slashes of their own.
 */
static void spec_nvme(struct ns_config *ns, char *text, struct report *r)
{
	char *equals = strchr(text, '='), *slash = strrchr(text, '/');
	size_t len = equals ? (size_t)(equals - text) : 0;
	bool by_serial = len == 6 && !strncmp(text, "serial", len);

	if (!by_serial && !(len == 6 && !strncmp(text, "subnqn", len))) {
		set(&ns_device_table, "path", ns, text, r);
		return;
	}
	if (slash && slash[1] && strspn(slash + 1, "0123456789") == strlen(slash + 1)) {
		*slash++ = '\0';
		set(&ns_backend_table, "nsid", ns, slash, r);
	}
	set(&ns_backend_table, by_serial ? "serial" : "subnqn", ns, equals + 1, r);
}

/* What comes before the first comma. */
static void spec_backend(struct ns_config *ns, char *head, struct report *r)
{
	char *colon = strchr(head, ':');
	size_t len = colon ? (size_t)(colon - head) : 0;

	ns->backend = BACKEND_FILE;
	if (len == 4 && !strncmp(head, "vfio", len)) {
		spec_vfio(ns, colon + 1, r);
		return;
	}
	if (len == 6 && !strncmp(head, "memory", len))
		ns->backend = BACKEND_MEMORY;
	else if (len == 4 && !strncmp(head, "null", len))
		ns->backend = BACKEND_NULL;
	else if (len == 4 && !strncmp(head, "nvme", len))
		ns->backend = BACKEND_NVME;
	if (len == 4 && (ns->backend == BACKEND_NVME || !strncmp(head, "file", len)))
		head = colon + 1;
	if (ns->backend == BACKEND_NVME)
		spec_nvme(ns, head, r);
	else if (ns->backend == BACKEND_FILE)
		set(&ns_device_table, "path", ns, head, r);
	else if (colon[1])
		set(&ns_backend_table, "size", ns, colon + 1, r);
}

static void spec_option(struct ns_config *ns, char *option, struct report *r)
{
	static const struct field nsid_field[] = {
		{"nsid", FIELD_UINT, false, offsetof(struct ns_config, nsid), 1, 65536}};
	static const struct field nolock_field[] = {{"nolock", FIELD_NOT, false, offsetof(struct ns_config, lock)}};
	static const struct field_table nsid_table = FIELD_TABLE(nsid_field), nolock_table = FIELD_TABLE(nolock_field);
	static const struct {
		const char *option;
		const struct field_table *table;
		const char *field;
		const char *alone; /* value when there is none */
	} options[] = {
		{"block", &ns_backend_table, "block_size", ""},
		{"size", &ns_backend_table, "size", ""},
		{"ro", &ns_backend_table, "read_only", "1"},
		{"buffered", &ns_backend_table, "buffered", "1"},
		{"create", &ns_backend_table, "create", "1"},
		{"nolock", &nolock_table, "nolock", "1"},
		{"iopoll", &ns_backend_table, "iopoll", "1"},
		{"reservations", &ns_backend_table, "reservations", "1"},
		{"admin", &ns_backend_table, "admin", ""},
		{"iommu", &ns_backend_table, "iommu", ""},
		{"nsid", &nsid_table, "nsid", ""},
		{"uuid", &ns_device_table, "uuid", ""},
		{"nguid", &ns_device_table, "nguid", ""},
		{"eui64", &ns_device_table, "eui64", ""},
	};
	char *value = strchr(option, '=');
	size_t place;

	if (value)
		*value++ = '\0';
	place = report_key(r, option);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (!strcmp(option, options[i].option)) {
			field_set(r, field_find(options[i].table, options[i].field), ns,
				  value ? value : options[i].alone);
			report_leave(r, place);
			return;
		}
	}
	report_error(r, value ? value : option,
		     "expected one of: block, size, ro, buffered, create, nolock, iopoll, reservations, admin, iommu, "
		     "nsid, uuid, nguid, eui64");
	report_leave(r, place);
}

void spec_namespace(struct subsystem_config *s, const char *text, struct report *r)
{
	struct ns_config *ns = config_add_ns(s, r->path);
	char *copy = xstrdup(text), *next = copy, *head = strsep(&next, ","), *option;

	spec_backend(ns, head, r);
	while ((option = strsep(&next, ",")))
		spec_option(ns, option, r);
	free(copy);
}
