/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PERF_SIZE_H
#define PERF_SIZE_H

#include <stdbool.h>
#include <stdint.h>

/* "4096", "4k", "4KiB", "1M", "2TiB": all units are powers of 1024. Return: false when it is none of these or too
 * large. */
bool size_parse(const char *text, uint64_t *bytes);

/* "500ms", "5s", "5", "2m", "1h". Return: false when it is none of these. */
bool duration_parse(const char *text, uint64_t *ns);

#endif
