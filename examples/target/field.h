/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_EXAMPLE_FIELD_H
#define NVMFT_EXAMPLE_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "report.h"

struct json_object;

/*
 * A key of the configuration and where its value goes. The same tables serve JSON members and the options of the
 * command line, so that both take and refuse the same values with the same words.
 */
enum field_kind {
	FIELD_READ,    /* an object or array: @read does it */
	FIELD_TEXT,    /* char *; printable ASCII of @min..@max bytes */
	FIELD_PATH,    /* char *; anything but an empty string */
	FIELD_NQN,     /* char * */
	FIELD_ADDRESS, /* char *; an IPv4 or IPv6 address in numbers */
	FIELD_BOOL,    /* bool */
	FIELD_NOT,     /* bool, stored inverted */
	FIELD_SERVICE, /* char *; a TCP port number */
	FIELD_UINT,    /* uint64_t, @min..@max */
	FIELD_AUTO,    /* the same, or 0, or -1 which is stored as FIELD_AUTO_VALUE */
	FIELD_SIZE,    /* uint64_t, a number with a unit, @min..@max */
	FIELD_BLOCK,   /* uint64_t, 512 or 4096 */
	FIELD_HEX,     /* uint8_t[@max] */
	FIELD_CHOICE,  /* int, one of @choices */
	FIELD_OPCODES, /* uint8_t[32]; numbers with + between them, or a JSON array: a bit for each of them is set */
	FIELD_CPUS,    /* struct target_config's cpus and ncpus */
	FIELD_UNUSED,  /* known but without effect here: other values than @choices (NULL: all) get a warning */
	FIELD_REFUSED, /* known but not offered: other values than @choices are a mistake */
};

#define FIELD_AUTO_VALUE UINT64_MAX

struct choice {
	const char *name; /* NULL ends the list */
	int value;
};

struct field {
	const char *name;
	enum field_kind kind;
	bool required;
	size_t offset;
	uint64_t min, max;
	uint64_t multiple; /* of a number or size, 0 any */
	bool power_of_two;
	const struct choice *choices;
	const char *expected; /* words for the message; made from the rest when NULL */
	void (*read)(struct report *r, struct json_object *value, void *object);
};

/* Take @text as the value of a field of @object; the report stands at its key. False: a mistake was reported. */
bool field_set(struct report *r, const struct field *field, void *object, const char *text);

struct field_table {
	const struct field *fields;
	size_t n;
};

#define FIELD_TABLE(array)                                  \
	{                                                   \
		(array), sizeof(array) / sizeof((array)[0]) \
	}

const struct field *field_find(const struct field_table *table, const char *name);

/* The tables of plain values; those of nested objects are the JSON reader's. */
extern const struct field_table target_table;      /* struct target_config */
extern const struct field_table host_dhchap_table; /* struct host_config */
extern const struct field_table port_addr_table;   /* struct port_config */
extern const struct field_table port_param_table;
extern const struct field_table port_tcp_table;
extern const struct field_table port_rdma_table;
extern const struct field_table port_options_table;
extern const struct field_table referral_addr_table;  /* struct referral_config */
extern const struct field_table subsystem_attr_table; /* struct subsystem_config */
extern const struct field_table subsystem_options_table;
extern const struct field_table ns_device_table; /* struct ns_config */
extern const struct field_table ns_backend_table;

bool nqn_valid(const char *nqn);

#endif
