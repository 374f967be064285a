/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_EXAMPLE_LOG_H
#define NVMFT_EXAMPLE_LOG_H

#include <nvmft/log.h>

/* The library's log sink: one line to stderr with a time stamp. Any thread. */
void log_write(void *ctx, enum nvmft_log_level level, const char *message);

/* The program's own lines, in the same form and as the library's only down to a level. */
void log_set_level(enum nvmft_log_level level);
void log_print(enum nvmft_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
