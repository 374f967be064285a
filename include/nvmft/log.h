/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LOG_H
#define NVMFT_LOG_H

#ifdef __cplusplus
extern "C" {
#endif

/* Severity of a message, most severe first. */
enum nvmft_log_level {
	NVMFT_LOG_ERROR = 1, /* something that was asked for cannot be done */
	NVMFT_LOG_WARN = 2,  /* a peer or device misbehaves, service goes on */
	NVMFT_LOG_INFO = 3,  /* configuration and associations come and go */
	NVMFT_LOG_DEBUG = 4, /* details of commands; slow */
};

/**
 * struct nvmft_log_sink - where a target's messages go
 * @write: called with one complete line, without a newline. @message is valid for this
 *         call only. Bytes that came from a peer are escaped and bounded.
 * @ctx: passed to @write
 *
 * A target without a sink is silent: the library never prints.
 *
 * Context: @write is called from the thread on which the event happened, thus from
 * several threads at once when several drive the target. It must not block and must not
 * call back into the library.
 */
struct nvmft_log_sink {
	void (*write)(void *ctx, enum nvmft_log_level level, const char *message);
	void *ctx;
};

#ifdef __cplusplus
}
#endif
#endif
