/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json_read.h"

#define FILE_MAX (64u << 20)

static void read_dhchap(struct report *r, struct json_object *json, void *object)
{
	json_read_object(r, json, &host_dhchap_table, object);
}

static void read_host(struct report *r, struct json_object *json, void *object)
{
	static const struct field fields[] = {
		{"nqn", FIELD_NQN, true, offsetof(struct host_config, nqn)},
		{"dhchap", FIELD_READ, .read = read_dhchap},
	};
	static const struct field_table table = FIELD_TABLE(fields);

	json_read_object(r, json, &table, config_add_host(object, r->path));
}

static void read_hosts(struct report *r, struct json_object *json, void *object)
{
	json_read_array(r, json, read_host, object);
}

static void read_referral_addr(struct report *r, struct json_object *json, void *object)
{
	struct referral_config *ref = object;

	/* Of a referral that was never enabled the kernel saves empty strings. */
	if (ref->enable)
		json_read_object(r, json, &referral_addr_table, object);
}

static void read_referral(struct report *r, struct json_object *json, void *object)
{
	static const struct field fields[] = {
		{"name", FIELD_TEXT, false, offsetof(struct referral_config, name), 1, 255},
		{"enable", FIELD_BOOL, false, offsetof(struct referral_config, enable)},
		{"addr", FIELD_READ, true, .read = read_referral_addr},
		{"nqn", FIELD_NQN, false, offsetof(struct referral_config, nqn)},
	};
	static const struct field_table table = FIELD_TABLE(fields);
	struct referral_config *ref = config_add_referral(object, r->path);
	struct json_object *enable;

	/* Keys come in any order, and how "addr" is read depends on this one. */
	if (json_object_object_get_ex(json, "enable", &enable))
		ref->enable = json_object_get_int(enable) != 0;
	json_read_object(r, json, &table, ref);
}

static void read_referrals(struct report *r, struct json_object *json, void *object)
{
	json_read_array(r, json, read_referral, object);
}

static void read_ana_state(struct report *r, struct json_object *json, void *object)
{
	static const struct choice states[] = {{"optimized", 0}, {NULL, 0}};
	static const struct field fields[] = {
		{"state", FIELD_REFUSED, .choices = states,
		 .expected = "ANA; hosts would take this path for optimized"},
	};
	static const struct field_table table = FIELD_TABLE(fields);

	json_read_object(r, json, &table, object);
}

static void read_ana_group(struct report *r, struct json_object *json, void *object)
{
	static const struct field fields[] = {
		{"grpid", FIELD_UNUSED},
		{"ana", FIELD_READ, .read = read_ana_state},
	};
	static const struct field_table table = FIELD_TABLE(fields);

	json_read_object(r, json, &table, object);
}

static void read_ana_groups(struct report *r, struct json_object *json, void *object)
{
	json_read_array(r, json, read_ana_group, object);
}

static void read_addr(struct report *r, struct json_object *json, void *object)
{
	json_read_object(r, json, &port_addr_table, object);
}

static void read_param(struct report *r, struct json_object *json, void *object)
{
	json_read_object(r, json, &port_param_table, object);
}

static void read_tcp(struct report *r, struct json_object *json, void *object)
{
	json_read_object(r, json, &port_tcp_table, object);
}

static void read_rdma(struct report *r, struct json_object *json, void *object)
{
	json_read_object(r, json, &port_rdma_table, object);
}

static void read_port_options(struct report *r, struct json_object *json, void *object)
{
	json_read_object(r, json, &port_options_table, object);
}

static void read_links(struct report *r, struct json_object *json, void *object)
{
	json_read_texts(r, json, &((struct port_config *)object)->subsystems);
}

static void read_port(struct report *r, struct json_object *json, void *object)
{
	static const struct field fields[] = {
		{"portid", FIELD_UINT, true, offsetof(struct port_config, portid), 0, UINT16_MAX},
		{"enable", FIELD_UNUSED},
		{"addr", FIELD_READ, true, .read = read_addr},
		{"param", FIELD_READ, .read = read_param},
		{"subsystems", FIELD_READ, .read = read_links},
		{"referrals", FIELD_READ, .read = read_referrals},
		{"ana_groups", FIELD_READ, .read = read_ana_groups},
		{"tcp", FIELD_READ, .read = read_tcp},
		{"rdma", FIELD_READ, .read = read_rdma},
		{"options", FIELD_READ, .read = read_port_options},
	};
	static const struct field_table table = FIELD_TABLE(fields);

	json_read_object(r, json, &table, config_add_port(object, r->path));
}

static void read_ports(struct report *r, struct json_object *json, void *object)
{
	json_read_array(r, json, read_port, object);
}

static void read_subsystems(struct report *r, struct json_object *json, void *object)
{
	json_read_array(r, json, json_read_subsystem, object);
}

static void read_target(struct report *r, struct json_object *json, void *object)
{
	json_read_object(r, json, &target_table, &((struct config *)object)->target);
}

static void read_root(struct report *r, struct json_object *json, struct config *c)
{
	static const struct field fields[] = {
		{"hosts", FIELD_READ, .read = read_hosts},
		{"ports", FIELD_READ, true, .read = read_ports},
		{"subsystems", FIELD_READ, true, .read = read_subsystems},
		{"target", FIELD_READ, .read = read_target},
	};
	static const struct field_table table = FIELD_TABLE(fields);

	json_read_object(r, json, &table, c);
}

/* The whole file with a NUL behind it. */
static char *slurp(const char *file, size_t *len)
{
	char *text = NULL;
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;
	int err;

	*len = 0;
	while (fd >= 0) {
		text = xrealloc(text, *len + 65536 + 1, 1);
		n = read(fd, text + *len, 65536);
		if (n <= 0)
			break;
		*len += (size_t)n;
		if (*len > FILE_MAX) {
			n = -1;
			errno = EFBIG;
			break;
		}
	}
	err = errno;
	if (fd >= 0)
		close(fd);
	if (n < 0) {
		free(text);
		errno = err;
		return NULL;
	}
	text[*len] = '\0';
	return text;
}

/* Where the parser stopped, as "line 3, column 14". */
static void report_syntax(struct report *r, const char *text, size_t len, size_t at, const char *why)
{
	size_t line = 1, column = 1, n;
	char place[64], rest[33];

	for (size_t i = 0; i < at && i < len; i++) {
		column = text[i] == '\n' ? 1 : column + 1;
		line += text[i] == '\n';
	}
	n = at < len ? strcspn(text + at, "\n") : 0;
	snprintf(rest, sizeof(rest), "%.*s", (int)(n < sizeof(rest) ? n : sizeof(rest) - 1), at < len ? text + at : "");
	snprintf(place, sizeof(place), "line %zu, column %zu", line, column);
	report_error_at(r, place, NULL, rest, "expected JSON: %s", why);
}

static struct json_object *parse(struct report *r, const char *text, size_t len)
{
	struct json_tokener *tok = json_tokener_new();
	struct json_object *json;
	size_t end;

	if (!tok)
		return NULL;
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	/* With its NUL, so that the parser knows the end. */
	json = json_tokener_parse_ex(tok, text, (int)len + 1);
	end = json_tokener_get_parse_end(tok);
	if (json_tokener_get_error(tok) != json_tokener_success) {
		report_syntax(r, text, len, end, json_tokener_error_desc(json_tokener_get_error(tok)));
		json_object_put(json);
		json = NULL;
	} else if (strlen(text) != len) {
		report_syntax(r, text, len, strlen(text), "a NUL byte");
		json_object_put(json);
		json = NULL;
	} else if (!json) {
		report_syntax(r, text, len, 0, "an object");
	}
	json_tokener_free(tok);
	return json;
}

struct config *config_from_json(const char *file, struct report *r)
{
	struct json_object *json;
	struct config *c;
	size_t len;
	char *text = slurp(file, &len);

	if (!text) {
		report_error_at(r, NULL, "--config", file, "cannot be read: %s", strerror(errno));
		return NULL;
	}
	json = parse(r, text, len);
	free(text);
	if (!json)
		return NULL;
	c = config_new(file, true);
	read_root(r, json, c);
	json_object_put(json);
	return c;
}
