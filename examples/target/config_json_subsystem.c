/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_json.h"
#include "json_read.h"

static void read_device(struct report *r, struct json_object *json, void *object)
{
	json_read_object(r, json, &ns_device_table, object);
}

static void read_backend(struct report *r, struct json_object *json, void *object)
{
	struct ns_config *ns = object;

	ns->backend = BACKEND_FILE;
	json_read_object(r, json, &ns_backend_table, object);
}

static void read_ns_ana(struct report *r, struct json_object *json, void *object)
{
	static const struct field fields[] = {{"grpid", FIELD_UNUSED}};
	static const struct field_table table = FIELD_TABLE(fields);

	json_read_object(r, json, &table, object);
}

static void read_resv(struct report *r, struct json_object *json, void *object)
{
	static const struct choice off[] = {{"0", 0}, {NULL, 0}};
	static const struct field fields[] = {
		{"enable", FIELD_REFUSED, .choices = off, .expected = "reservations"},
	};
	static const struct field_table table = FIELD_TABLE(fields);

	json_read_object(r, json, &table, object);
}

static void read_ns(struct report *r, struct json_object *json, void *object)
{
	static const struct choice off[] = {{"0", 0}, {NULL, 0}};
	static const struct field fields[] = {
		{"nsid", FIELD_UINT, true, offsetof(struct ns_config, nsid), 1, 65536},
		{"enable", FIELD_BOOL, false, offsetof(struct ns_config, enable)},
		{"device", FIELD_READ, .read = read_device},
		{"backend", FIELD_READ, .read = read_backend},
		{"buffered_io", FIELD_BOOL, false, offsetof(struct ns_config, buffered)},
		{"ana_grpid", FIELD_UNUSED},
		{"ana", FIELD_READ, .read = read_ns_ana},
		{"resv", FIELD_READ, .read = read_resv},
		{"resv_enable", FIELD_REFUSED, .choices = off, .expected = "reservations"},
		{"p2pmem", FIELD_UNUSED, .choices = off},
		{"revalidate_size", FIELD_UNUSED},
	};
	static const struct field_table table = FIELD_TABLE(fields);

	json_read_object(r, json, &table, config_add_ns(object, r->path));
}

static void read_namespaces(struct report *r, struct json_object *json, void *object)
{
	json_read_array(r, json, read_ns, object);
}

static void read_attr(struct report *r, struct json_object *json, void *object)
{
	json_read_object(r, json, &subsystem_attr_table, object);
}

static void read_subsystem_options(struct report *r, struct json_object *json, void *object)
{
	json_read_object(r, json, &subsystem_options_table, object);
}

static void read_allowed_hosts(struct report *r, struct json_object *json, void *object)
{
	json_read_texts(r, json, &((struct subsystem_config *)object)->allowed_hosts);
}

static void read_nothing(struct report *r, struct json_object *json, void *object)
{
	(void)r;
	(void)json;
	(void)object;
}

static void read_passthru_object(struct report *r, struct json_object *json, void *object)
{
	static const struct choice off[] = {{"0", 0}, {NULL, 0}};
	static const struct field fields[] = {
		{"enable", FIELD_REFUSED, .choices = off, .expected = "pass-through of a controller"},
		{"device", FIELD_READ, .read = read_nothing},
		{"clear_ids", FIELD_UNUSED},
		{"admin_timeout", FIELD_UNUSED},
		{"io_timeout", FIELD_UNUSED},
	};
	static const struct field_table table = FIELD_TABLE(fields);

	json_read_object(r, json, &table, object);
}

/* nvmetcli saves the one that there is as an array. */
static void read_passthru(struct report *r, struct json_object *json, void *object)
{
	if (json_object_is_type(json, json_type_array))
		json_read_array(r, json, read_passthru_object, object);
	else
		read_passthru_object(r, json, object);
}

void json_read_subsystem(struct report *r, struct json_object *json, void *object)
{
	static const struct field fields[] = {
		{"nqn", FIELD_NQN, true, offsetof(struct subsystem_config, nqn)},
		{"attr", FIELD_READ, .read = read_attr},
		{"allowed_hosts", FIELD_READ, .read = read_allowed_hosts},
		{"namespaces", FIELD_READ, .read = read_namespaces},
		{"options", FIELD_READ, .read = read_subsystem_options},
		{"passthru", FIELD_READ, .read = read_passthru},
	};
	static const struct field_table table = FIELD_TABLE(fields);

	json_read_object(r, json, &table, config_add_subsystem(object, r->path));
}
