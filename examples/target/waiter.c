/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "apply.h"

struct waiter {
	struct nvmft_done done;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool called;
	int result;
};

static void called(struct nvmft_done *done, int result)
{
	struct waiter *w = (struct waiter *)(void *)done;

	pthread_mutex_lock(&w->lock);
	w->result = result;
	w->called = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

struct waiter *waiter_new(void)
{
	struct waiter *w = xrealloc(NULL, 1, sizeof(*w));
	pthread_condattr_t attr;

	w->done.fn = called;
	w->called = false;
	w->result = 0;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->changed, &attr);
	pthread_condattr_destroy(&attr);
	return w;
}

struct nvmft_done *waiter_done(struct waiter *w)
{
	return &w->done;
}

static void waiter_free(struct waiter *w)
{
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

int waiter_wait(struct waiter *w, int start_result, int timeout_ms)
{
	struct timespec until;
	int result = start_result, err = 0;
	bool answered = true;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	if (start_result == 0) {
		pthread_mutex_lock(&w->lock);
		while (!w->called && err == 0)
			err = pthread_cond_timedwait(&w->changed, &w->lock, &until);
		answered = w->called;
		result = answered ? w->result : -ETIMEDOUT;
		pthread_mutex_unlock(&w->lock);
	}
	if (answered)
		waiter_free(w);
	return result;
}
