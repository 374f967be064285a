/* SPDX-License-Identifier: BSD-3-Clause */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

/* Set once, before there are threads. */
static enum nvmft_log_level least_severe = NVMFT_LOG_INFO;

void log_set_level(enum nvmft_log_level level)
{
	least_severe = level;
}

static const char *level_name(enum nvmft_log_level level)
{
	switch (level) {
	case NVMFT_LOG_ERROR:
		return "error";
	case NVMFT_LOG_WARN:
		return "warn";
	case NVMFT_LOG_INFO:
		return "info";
	default:
		return "debug";
	}
}

/* One write(2), so that lines of several threads do not mix. A log that cannot be written is no reason to stop. */
void log_write(void *ctx, enum nvmft_log_level level, const char *message)
{
	char line[LINE_MAX_BYTES], stamp[32];
	struct timespec now;
	struct tm tm;
	int n;

	(void)ctx;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	n = snprintf(line, sizeof(line), "%s.%03ldZ %-5s %s\n", stamp, now.tv_nsec / 1000000, level_name(level),
		     message);
	if (n >= (int)sizeof(line)) {
		n = (int)sizeof(line) - 1;
		line[n - 1] = '\n';
	}
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

void log_print(enum nvmft_log_level level, const char *format, ...)
{
	char message[LINE_MAX_BYTES - 64];
	va_list args;

	if (level > least_severe)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	log_write(NULL, level, message);
}
