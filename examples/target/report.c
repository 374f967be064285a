/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <stdarg.h>
#include <string.h>

#define VALUE_MAX 240

void report_init(struct report *r, const char *file, FILE *out)
{
	memset(r, 0, sizeof(*r));
	r->file = file;
	r->out = out;
}

static size_t append(struct report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static size_t append(struct report *r, const char *format, ...)
{
	size_t place = r->len, room = sizeof(r->path) - r->len;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(r->path + place, room, format, args);
	va_end(args);
	if (n > 0)
		r->len += (size_t)n < room ? (size_t)n : room - 1;
	return place;
}

size_t report_key(struct report *r, const char *key)
{
	return append(r, "%s%s", r->len ? "." : "", key);
}

size_t report_index(struct report *r, size_t index)
{
	return append(r, "[%zu]", index);
}

void report_leave(struct report *r, size_t place)
{
	r->len = place;
	r->path[place] = '\0';
}

/* Values come from a file that may hold anything: no control bytes to the terminal, and not without end. */
static void print_value(FILE *out, const char *value)
{
	size_t i;

	if (!value) {
		fputs("(missing)", out);
		return;
	}
	for (i = 0; value[i] && i < VALUE_MAX; i++) {
		unsigned char c = (unsigned char)value[i];

		if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\x%02x", c);
		else
			fputc(c, out);
	}
	if (value[i])
		fputs("...", out);
	else if (i == 0)
		fputs("\"\"", out);
}

struct message {
	const char *where;
	const char *key;
	const char *value;
	const char *kind;
};

static void vprint(struct report *r, const struct message *m, const char *format, va_list args)
{
	flockfile(r->out);
	fprintf(r->out, "%s: ", r->file);
	if (m->where[0] || m->key)
		fprintf(r->out, "%s%s%s: ", m->where, m->where[0] && m->key ? "." : "", m->key ? m->key : "");
	print_value(r->out, m->value);
	fprintf(r->out, ": %s", m->kind);
	vfprintf(r->out, format, args);
	fputc('\n', r->out);
	funlockfile(r->out);
}

void report_error(struct report *r, const char *value, const char *format, ...)
{
	struct message m = {r->path, NULL, value, ""};
	va_list args;

	r->errors++;
	va_start(args, format);
	vprint(r, &m, format, args);
	va_end(args);
}

void report_warning(struct report *r, const char *value, const char *format, ...)
{
	struct message m = {r->path, NULL, value, "warning: "};
	va_list args;

	r->warnings++;
	va_start(args, format);
	vprint(r, &m, format, args);
	va_end(args);
}

void report_error_at(struct report *r, const char *where, const char *key, const char *value, const char *format, ...)
{
	struct message m = {where ? where : "", key, value, ""};
	va_list args;

	r->errors++;
	va_start(args, format);
	vprint(r, &m, format, args);
	va_end(args);
}

void report_warning_at(struct report *r, const char *where, const char *key, const char *value, const char *format, ...)
{
	struct message m = {where ? where : "", key, value, "warning: "};
	va_list args;

	r->warnings++;
	va_start(args, format);
	vprint(r, &m, format, args);
	va_end(args);
}
