/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

#include "apply.h"

struct waiter {
	struct nvmft_done done;
	sem_t called;
	int result;
};

static void called(struct nvmft_done *done, int result)
{
	struct waiter *w = (struct waiter *)(void *)done;

	w->result = result;
	sem_post(&w->called);
}

struct waiter *waiter_new(void)
{
	struct waiter *w = xrealloc(NULL, 1, sizeof(*w));

	w->done.fn = called;
	w->result = 0;
	sem_init(&w->called, 0, 0);
	return w;
}

struct nvmft_done *waiter_done(struct waiter *w)
{
	return &w->done;
}

int waiter_wait(struct waiter *w, int start_result, int timeout_ms)
{
	struct timespec until;
	int result = start_result;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	while (start_result == 0 && sem_clockwait(&w->called, CLOCK_MONOTONIC, &until) < 0) {
		if (errno != EINTR)
			return -ETIMEDOUT;
	}
	if (start_result == 0)
		result = w->result;
	sem_destroy(&w->called);
	free(w);
	return result;
}
