/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "host.h"

uint64_t host_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void host_fail(struct host_error *err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
}

/* A command that is waited for: done is known by the cleared callback. */
static void exec_done(struct host_cmd *cmd)
{
	cmd->done = NULL;
}

unsigned int host_exec(struct host_queue *queue, struct host_cmd *cmd, unsigned int timeout_ms)
{
	uint64_t deadline = host_now() + timeout_ms * 1000000ull;

	cmd->sqe.cid = 0;
	cmd->done = exec_done;
	host_submit(queue, cmd);
	while (cmd->done && host_now() < deadline)
		host_poll(queue->group, 1);
	if (!cmd->done)
		return host_status(&cmd->cqe);
	/* The command lives on the caller's stack: the queue must not keep it. */
	host_fail(&queue->why, "no answer within %u ms to the command with opcode %02xh", timeout_ms, cmd->sqe.opcode);
	queue->group->ops->abandon(queue);
	return HOST_SC_LOST;
}
