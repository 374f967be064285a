/* SPDX-License-Identifier: BSD-3-Clause */
#include "units.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* strtoull() takes leading blanks and signs, which no number in a configuration has. */
static bool leading_uint(const char *text, int base, uint64_t *value, const char **end)
{
	char *e;

	if (!isxdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*value = strtoull(text, &e, base);
	*end = e;
	return errno == 0 && e != text;
}

bool parse_uint(const char *text, uint64_t *value)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *end;
	uint64_t v;

	if (!leading_uint(hex ? text + 2 : text, hex ? 16 : 10, &v, &end) || *end)
		return false;
	*value = v;
	return true;
}

static bool unit_factor(const char *unit, uint64_t *factor)
{
	static const char prefixes[] = "kmgtp";
	const char *p;
	uint64_t base;
	long n;

	if (!*unit || !strcasecmp(unit, "b")) {
		*factor = 1;
		return true;
	}
	p = strchr(prefixes, tolower((unsigned char)unit[0]));
	if (!p || !*p)
		return false;
	if (!unit[1] || !strcasecmp(unit + 1, "i") || !strcasecmp(unit + 1, "ib"))
		base = 1024;
	else if (!strcasecmp(unit + 1, "b"))
		base = 1000;
	else
		return false;
	for (*factor = base, n = p - prefixes; n > 0; n--)
		*factor *= base;
	return true;
}

bool parse_size(const char *text, uint64_t *bytes)
{
	uint64_t number, factor;
	const char *unit;

	if (!leading_uint(text, 10, &number, &unit) || !unit_factor(unit, &factor))
		return false;
	return !__builtin_mul_overflow(number, factor, bytes);
}

bool parse_bool(const char *text, bool *value)
{
	static const char *const yes[] = {"1", "true", "yes", "on", "y"}, *const no[] = {"0", "false", "no", "off",
											 "n"};
	size_t i;

	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (!strcasecmp(text, yes[i]) || !strcasecmp(text, no[i])) {
			*value = !strcasecmp(text, yes[i]);
			return true;
		}
	}
	return false;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool parse_hex_bytes(const char *text, uint8_t *bytes, size_t len)
{
	uint8_t out[32];
	size_t n = 0;

	if (len > sizeof(out))
		return false;
	while (*text) {
		int high, low;

		if (*text == '-' && n > 0 && text[1] != '-' && text[1]) {
			text++;
			continue;
		}
		high = hex_digit(text[0]);
		low = high < 0 ? -1 : hex_digit(text[1]);
		if (low < 0 || n == len)
			return false;
		out[n++] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	if (n != len)
		return false;
	memcpy(bytes, out, len);
	return true;
}

/* "5" or "0-2", up to a comma or the end. */
static bool cpu_range(const char **text, uint64_t *first, uint64_t *last)
{
	const char *end;

	if (!leading_uint(*text, 10, first, &end))
		return false;
	*last = *first;
	if (*end == '-' && !leading_uint(end + 1, 10, last, &end))
		return false;
	if (*first > *last || *last >= CPU_SETSIZE || (*end && *end != ','))
		return false;
	if (*end == ',' && !end[1])
		return false;
	*text = *end ? end + 1 : end;
	return true;
}

bool parse_cpu_list(const char *text, int **cpus, unsigned int *ncpus)
{
	int *list = calloc(CPU_SETSIZE, sizeof(*list));
	unsigned int n = 0;

	if (!list)
		return false;
	do {
		uint64_t first, last;

		if (!cpu_range(&text, &first, &last) || n + (last - first) >= CPU_SETSIZE) {
			free(list);
			return false;
		}
		while (first <= last)
			list[n++] = (int)first++;
	} while (*text);
	*cpus = list;
	*ncpus = n;
	return true;
}

void format_size(uint64_t bytes, char *text, size_t len)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	size_t i = 0;

	while (bytes && bytes % 1024 == 0 && i + 1 < sizeof(units) / sizeof(units[0])) {
		bytes /= 1024;
		i++;
	}
	snprintf(text, len, "%" PRIu64 "%s", bytes, units[i]);
}

bool parse_opcodes(const char *text, uint8_t *bits)
{
	uint8_t set[32] = {0};
	char number[8];

	for (;;) {
		size_t len = strcspn(text, "+");
		uint64_t value;

		if (!len || len >= sizeof(number))
			return false;
		memcpy(number, text, len);
		number[len] = '\0';
		if (!parse_uint(number, &value) || value > 255)
			return false;
		set[value / 8] = (uint8_t)(set[value / 8] | 1u << (value % 8));
		if (!text[len])
			break;
		text += len + 1;
	}
	memcpy(bits, set, sizeof(set));
	return true;
}
