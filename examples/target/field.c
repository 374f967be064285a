/* SPDX-License-Identifier: BSD-3-Clause */
#include "field.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "units.h"

#define NQN_MAX 223

const struct field *field_find(const struct field_table *table, const char *name)
{
	for (size_t i = 0; i < table->n; i++) {
		if (!strcmp(table->fields[i].name, name))
			return &table->fields[i];
	}
	return NULL;
}

bool nqn_valid(const char *nqn)
{
	size_t len = strlen(nqn);

	/* "testnqn" and the like are not what the specification calls an NQN, but many a kernel target goes by such a
	 * name. */
	if (!len || len > NQN_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)nqn[i] <= 0x20 || nqn[i] == 0x7f)
			return false;
	}
	return true;
}

static bool printable(const char *text)
{
	for (; *text; text++) {
		if (*text < 0x20 || *text > 0x7e)
			return false;
	}
	return true;
}

/* An IPv6 address may have a zone: fe80::1%eth0. */
static bool address_valid(const char *text)
{
	unsigned char bytes[sizeof(struct in6_addr)];
	char plain[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "%");

	if (len >= sizeof(plain))
		return false;
	memcpy(plain, text, len);
	plain[len] = '\0';
	if (!text[len] && inet_pton(AF_INET, plain, bytes) == 1)
		return true;
	return inet_pton(AF_INET6, plain, bytes) == 1 &&
	       (!text[len] || (text[len + 1] && strlen(text + len) <= IF_NAMESIZE));
}

static bool set_text(void *place, const char *text, bool good)
{
	if (!good)
		return false;
	free(*(char **)place);
	*(char **)place = xstrdup(text);
	return true;
}

static bool service_valid(const char *text)
{
	uint64_t port;

	return parse_uint(text, &port) && port <= UINT16_MAX && text[0] != '+' && strlen(text) <= 5;
}

static bool number_in_range(const struct field *f, uint64_t value)
{
	if (f->kind == FIELD_AUTO && value == 0)
		return true;
	if (value < f->min || value > f->max || (f->multiple && value % f->multiple))
		return false;
	return !f->power_of_two || (value & (value - 1)) == 0;
}

static bool set_number(const struct field *f, void *place, const char *text)
{
	uint64_t value;

	if (f->kind == FIELD_AUTO && !strcmp(text, "-1"))
		value = FIELD_AUTO_VALUE;
	else if ((f->kind == FIELD_SIZE ? !parse_size(text, &value) : !parse_uint(text, &value)) ||
		 !number_in_range(f, value))
		return false;
	*(uint64_t *)place = value;
	return true;
}

static bool set_block(void *place, const char *text)
{
	uint64_t value;

	if (!parse_size(text, &value) || (value != 512 && value != 4096))
		return false;
	*(uint64_t *)place = value;
	return true;
}

static bool set_bool(void *place, const char *text, bool inverted)
{
	bool value;

	if (!parse_bool(text, &value))
		return false;
	*(bool *)place = value != inverted;
	return true;
}

static const struct choice *find_choice(const struct choice *choices, const char *text)
{
	for (; choices && choices->name; choices++) {
		if (!strcmp(choices->name, text))
			return choices;
	}
	return NULL;
}

static bool set_choice(const struct field *f, void *place, const char *text)
{
	const struct choice *c = find_choice(f->choices, text);

	if (c)
		*(int *)place = c->value;
	return c != NULL;
}

static bool set_cpus(struct target_config *target, const char *text)
{
	unsigned int ncpus;
	int *cpus;

	if (!parse_cpu_list(text, &cpus, &ncpus))
		return false;
	free(target->cpus);
	target->cpus = cpus;
	target->ncpus = ncpus;
	return true;
}

static bool store(const struct field *f, void *object, const char *text)
{
	void *place = (char *)object + f->offset;

	switch (f->kind) {
	case FIELD_TEXT:
		return set_text(place, text, printable(text) && strlen(text) >= f->min && strlen(text) <= f->max);
	case FIELD_PATH:
		return set_text(place, text, *text != '\0');
	case FIELD_NQN:
		return set_text(place, text, nqn_valid(text));
	case FIELD_ADDRESS:
		return set_text(place, text, address_valid(text));
	case FIELD_BOOL:
	case FIELD_NOT:
		return set_bool(place, text, f->kind == FIELD_NOT);
	case FIELD_SERVICE:
		return set_text(place, text, service_valid(text));
	case FIELD_BLOCK:
		return set_block(place, text);
	case FIELD_UINT:
	case FIELD_AUTO:
	case FIELD_SIZE:
		return set_number(f, place, text);
	case FIELD_HEX:
		return parse_hex_bytes(text, place, (size_t)f->max);
	case FIELD_CHOICE:
		return set_choice(f, place, text);
	case FIELD_OPCODES:
		return parse_opcodes(text, place);
	case FIELD_CPUS:
		return set_cpus(place, text);
	case FIELD_UNUSED:
	case FIELD_REFUSED:
		return !f->choices || find_choice(f->choices, text);
	default:
		return false;
	}
}

static void add_word(char *text, size_t size, const char *word)
{
	size_t len = strlen(text);

	snprintf(text + len, size - len, "%s%s", len ? ", " : "", word);
}

static void expected_number(const struct field *f, char *text, size_t size)
{
	char low[32], high[32], multiple[48] = "";

	if (f->kind == FIELD_SIZE) {
		format_size(f->min, low, sizeof(low));
		format_size(f->max, high, sizeof(high));
	} else {
		snprintf(low, sizeof(low), "%" PRIu64, f->min);
		snprintf(high, sizeof(high), "%" PRIu64, f->max);
	}
	if (f->multiple)
		snprintf(multiple, sizeof(multiple), ", a multiple of %" PRIu64, f->multiple);
	snprintf(text, size, "expected %s%s, %s..%s%s", f->kind == FIELD_AUTO ? "-1 for the default, 0, or " : "",
		 f->kind == FIELD_SIZE ? "a size like 64MiB" : "a number", low, high, multiple);
}

static void expected_choice(const struct field *f, char *text, size_t size)
{
	char names[200] = "";

	for (const struct choice *c = f->choices; c->name; c++)
		add_word(names, sizeof(names), c->name);
	snprintf(text, size, "expected one of: %s", names);
}

/* Of the kinds that need nothing of the field but its kind. */
static const char *expected_kind(enum field_kind kind)
{
	switch (kind) {
	case FIELD_NQN:
		return "an NVMe Qualified Name of 1..223 bytes, as in nqn.yyyy-mm.domain:name";
	case FIELD_ADDRESS:
		return "an IPv4 or IPv6 address in numbers";
	case FIELD_SERVICE:
		return "a TCP port number, 0..65535";
	case FIELD_BLOCK:
		return "512 or 4096";
	case FIELD_BOOL:
	case FIELD_NOT:
		return "1 or 0, or true or false";
	case FIELD_OPCODES:
		return "opcodes, 0x00..0xff, like 0xc1+0xc2, in a file also [\"0xc1\", \"0xc2\"]";
	case FIELD_CPUS:
		return "a list of processor numbers like 0-2,5";
	default:
		return "something that is not empty";
	}
}

static void expected(const struct field *f, char *text, size_t size)
{
	if (f->expected)
		snprintf(text, size, "expected %s", f->expected);
	else if (f->kind == FIELD_UINT || f->kind == FIELD_SIZE || f->kind == FIELD_AUTO)
		expected_number(f, text, size);
	else if (f->kind == FIELD_CHOICE)
		expected_choice(f, text, size);
	else if (f->kind == FIELD_TEXT)
		snprintf(text, size, "expected %" PRIu64 "..%" PRIu64 " printable ASCII characters", f->min, f->max);
	else if (f->kind == FIELD_HEX)
		snprintf(text, size, "expected %" PRIu64 " hexadecimal digits", 2 * f->max);
	else
		snprintf(text, size, "expected %s", expected_kind(f->kind));
}

bool field_set(struct report *r, const struct field *f, void *object, const char *text)
{
	char words[320];

	if (store(f, object, text))
		return true;
	if (f->kind == FIELD_UNUSED) {
		report_warning(r, text, "has no effect here");
		return true;
	}
	if (f->kind == FIELD_REFUSED) {
		report_error(r, text, "not supported: %s", f->expected);
		return false;
	}
	expected(f, words, sizeof(words));
	report_error(r, text, "%s", words);
	return false;
}
