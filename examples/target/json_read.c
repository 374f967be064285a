/* SPDX-License-Identifier: BSD-3-Clause */
#include "json_read.h"

#include <string.h>

static const char *type_name(struct json_object *json)
{
	static const char *const names[] = {"null",      "true or false", "a number", "a number",
					    "an object", "an array",      "a string"};
	enum json_type type = json_object_get_type(json);

	return (size_t)type < sizeof(names) / sizeof(names[0]) ? names[type] : "?";
}

/* The text of a string, number, true or false. nvmetcli writes most numbers as strings: both are taken everywhere. */
static const char *scalar_text(struct json_object *json)
{
	switch (json_object_get_type(json)) {
	case json_type_string:
		/* A NUL inside would hide what follows it. */
		if (strlen(json_object_get_string(json)) != (size_t)json_object_get_string_len(json))
			return NULL;
		return json_object_get_string(json);
	case json_type_int:
	case json_type_double:
	case json_type_boolean:
		return json_object_get_string(json);
	default:
		return NULL;
	}
}

/* [0, 1] as "0,1"; ["0xc1", 194] as "0xc1+194" */
static bool join_list(struct json_object *json, enum field_kind kind, char *text, size_t size)
{
	const char *between = kind == FIELD_OPCODES ? "+" : ",";
	size_t len = 0;

	if (!json_object_is_type(json, json_type_array) || json_object_array_length(json) == 0)
		return false;
	for (size_t i = 0; i < json_object_array_length(json); i++) {
		struct json_object *element = json_object_array_get_idx(json, i);

		if (!json_object_is_type(element, json_type_int) &&
		    (kind != FIELD_OPCODES || !json_object_is_type(element, json_type_string)))
			return false;
		len += (size_t)snprintf(text + len, size - len, "%s%s", i ? between : "",
					json_object_get_string(element));
		if (len >= size)
			return false;
	}
	return true;
}

static void read_field(struct report *r, struct json_object *json, const struct field *field, void *object)
{
	const char *text = scalar_text(json);
	char list[4096];

	if (field->kind == FIELD_READ) {
		field->read(r, json, object);
		return;
	}
	if ((field->kind == FIELD_CPUS || field->kind == FIELD_OPCODES) &&
	    join_list(json, field->kind, list, sizeof(list)))
		text = list;
	if (text)
		field_set(r, field, object, text);
	else
		report_error(r, json ? json_object_to_json_string(json) : "null", "expected one value, not %s%s",
			     type_name(json), json_object_is_type(json, json_type_string) ? " with a NUL in it" : "");
}

static void report_missing(struct report *r, struct json_object *json, const struct field_table *table)
{
	for (size_t i = 0; i < table->n; i++) {
		size_t place;

		if (!table->fields[i].required || json_object_object_get_ex(json, table->fields[i].name, NULL))
			continue;
		place = report_key(r, table->fields[i].name);
		report_error(r, NULL, "this key is required");
		report_leave(r, place);
	}
}

void json_read_object(struct report *r, struct json_object *json, const struct field_table *table, void *object)
{
	if (!json_object_is_type(json, json_type_object)) {
		report_error(r, json ? json_object_to_json_string(json) : "null", "expected an object, not %s",
			     type_name(json));
		return;
	}
	json_object_object_foreach(json, key, value)
	{
		const struct field *field = field_find(table, key);
		size_t place = report_key(r, key);

		if (field)
			read_field(r, value, field, object);
		else
			report_error(r, scalar_text(value) ? scalar_text(value) : json_object_to_json_string(value),
				     "unknown key");
		report_leave(r, place);
	}
	report_missing(r, json, table);
}

void json_read_array(struct report *r, struct json_object *json,
		     void (*element)(struct report *r, struct json_object *json, void *object), void *object)
{
	if (!json_object_is_type(json, json_type_array)) {
		report_error(r, json ? json_object_to_json_string(json) : "null", "expected an array, not %s",
			     type_name(json));
		return;
	}
	for (size_t i = 0; i < json_object_array_length(json); i++) {
		size_t place = report_index(r, i);

		element(r, json_object_array_get_idx(json, i), object);
		report_leave(r, place);
	}
}

static void read_text(struct report *r, struct json_object *json, void *object)
{
	const char *text = json_object_is_type(json, json_type_string) ? scalar_text(json) : NULL;

	if (text)
		texts_add(object, text);
	else
		report_error(r, json ? json_object_to_json_string(json) : "null", "expected a string, not %s",
			     type_name(json));
}

void json_read_texts(struct report *r, struct json_object *json, struct texts *texts)
{
	json_read_array(r, json, read_text, texts);
}
