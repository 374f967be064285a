/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LIB_LOG_H
#define NVMFT_LIB_LOG_H

#include <stdarg.h>

#include "target.h"

/* One line to the target's sink. Format with %s only strings that are ours or went through nvmft_log_escape(). */
void nvmft_log(struct nvmft_target *target, enum nvmft_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void nvmft_vlog(const struct nvmft_target *target, enum nvmft_log_level level, const char *prefix, const char *format,
		va_list ap)
	__attribute__((format(printf, 4, 0)));

/*
 * nvmft_log_escape() - make bytes of a peer printable
 * @len: bytes at @src; ends at a NUL before that. Output is always NUL-terminated and at most @size bytes.
 * Return: @dst
 */
const char *nvmft_log_escape(char *dst, size_t size, const void *src, size_t len);

#endif
