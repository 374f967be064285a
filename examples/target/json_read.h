/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_EXAMPLE_JSON_READ_H
#define NVMFT_EXAMPLE_JSON_READ_H

#include <json-c/json.h>

#include "config.h"
#include "field.h"

/*
 * Read a JSON object by a table into @object. Every mistake is reported: a key that is not in the table, a value of the
 * wrong kind or out of range, a required key that is missing.
 */
void json_read_object(struct report *r, struct json_object *json, const struct field_table *table, void *object);

/* Call @element for each element of an array, with the report standing at it. */
void json_read_array(struct report *r, struct json_object *json,
		     void (*element)(struct report *r, struct json_object *json, void *object), void *object);

/* An array of strings. */
void json_read_texts(struct report *r, struct json_object *json, struct texts *texts);

#endif
