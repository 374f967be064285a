/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "log.h"

/* A line is bounded whatever is formatted into it. */
#define LOG_LINE_MAX 512

static bool wanted(const struct nvmft_target *target, enum nvmft_log_level level)
{
	return target->opts.log.write && level <= target->opts.log_level;
}

void nvmft_vlog(const struct nvmft_target *target, enum nvmft_log_level level, const char *prefix, const char *format,
		va_list ap)
{
	char line[LOG_LINE_MAX];
	int n = 0;

	if (!wanted(target, level))
		return;
	if (prefix)
		n = snprintf(line, sizeof(line), "%s", prefix);
	if (n < 0 || (size_t)n >= sizeof(line))
		n = 0;
	vsnprintf(line + n, sizeof(line) - (size_t)n, format, ap);
	target->opts.log.write(target->opts.log.ctx, level, line);
}

void nvmft_log(struct nvmft_target *target, enum nvmft_log_level level, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	nvmft_vlog(target, level, NULL, format, ap);
	va_end(ap);
}

/* Writes one byte as text; returns its length, at most 4. */
static size_t escape_byte(char out[4], unsigned char byte)
{
	static const char hex[] = "0123456789abcdef";

	if (byte >= 0x20 && byte < 0x7f && byte != '\\') {
		out[0] = (char)byte;
		return 1;
	}
	out[0] = '\\';
	out[1] = 'x';
	out[2] = hex[byte >> 4];
	out[3] = hex[byte & 0xf];
	return 4;
}

const char *nvmft_log_escape(char *dst, size_t size, const void *src, size_t len)
{
	const unsigned char *bytes = src;
	size_t used = 0;

	if (size == 0)
		return dst;
	for (size_t i = 0; i < len && bytes[i]; i++) {
		char text[4];
		size_t n = escape_byte(text, bytes[i]);

		if (used + n >= size)
			break;
		memcpy(dst + used, text, n);
		used += n;
	}
	dst[used] = '\0';
	return dst;
}
