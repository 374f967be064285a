/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "size.h"

static bool number(const char *text, uint64_t *value, char **end)
{
	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*value = strtoull(text, end, 10);
	return errno == 0;
}

bool size_parse(const char *text, uint64_t *bytes)
{
	static const char units[] = "kmgt";
	const char *unit;
	unsigned int shift = 0;
	uint64_t value;
	char *end;

	if (!number(text, &value, &end))
		return false;
	unit = *end ? strchr(units, tolower((unsigned char)*end)) : NULL;
	if (unit) {
		shift = (unsigned int)(unit - units + 1) * 10;
		end++;
		if (!strcasecmp(end, "ib") || !strcasecmp(end, "b"))
			end += strlen(end);
	}
	if (*end || value > UINT64_MAX >> shift)
		return false;
	*bytes = value << shift;
	return true;
}

bool duration_parse(const char *text, uint64_t *ns)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {{"", 1000000000}, {"s", 1000000000},  {"ms", 1000000},
		     {"us", 1000},     {"m", 60000000000}, {"h", 3600000000000}};
	uint64_t value;
	char *end;
	size_t i;

	if (!number(text, &value, &end))
		return false;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].name))
			continue;
		if (value > UINT64_MAX / units[i].ns)
			return false;
		*ns = value * units[i].ns;
		return true;
	}
	return false;
}
