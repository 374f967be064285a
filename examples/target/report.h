/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_EXAMPLE_REPORT_H
#define NVMFT_EXAMPLE_REPORT_H

#include <stddef.h>
#include <stdio.h>

/*
 * Mistakes in a configuration, as "FILE: KEY.PATH: VALUE: what was expected". The key path follows the reader:
 * report_key() and report_index() go one step down and give back the place to return to with report_leave().
 */
struct report {
	const char *file; /* or "command line" */
	FILE *out;
	unsigned int errors;
	unsigned int warnings;
	size_t len;
	char path[512];
};

void report_init(struct report *r, const char *file, FILE *out);
size_t report_key(struct report *r, const char *key);
size_t report_index(struct report *r, size_t index);
void report_leave(struct report *r, size_t place);

/* A mistake in the value at the current place. @value NULL: there is none. */
void report_error(struct report *r, const char *value, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Something that is accepted, but may not be what was meant. */
void report_warning(struct report *r, const char *value, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same at another place than the current one. */
void report_error_at(struct report *r, const char *where, const char *key, const char *value, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
void report_warning_at(struct report *r, const char *where, const char *key, const char *value, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

#endif
