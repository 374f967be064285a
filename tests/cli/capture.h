/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TESTS_CAPTURE_H
#define NVMFT_TESTS_CAPTURE_H

/* A report of mistakes whose text the test reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "report.h"

struct capture {
	struct report r;
	FILE *out;
	char *text;
	size_t len;
};

static inline void capture_open(struct capture *c, const char *file)
{
	c->out = open_memstream(&c->text, &c->len);
	assert_non_null(c->out);
	report_init(&c->r, file, c->out);
}

static inline void capture_close(struct capture *c)
{
	fclose(c->out);
	free(c->text);
}

static inline const char *said(struct capture *c)
{
	fflush(c->out);
	return c->text;
}

#endif
