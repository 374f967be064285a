/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The thread of a controller: it sleeps until the device, a poll group or the clock wants something.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ctrl.h"

static void drain(const struct pollfd *fd)
{
	uint64_t count;

	if (fd->revents & POLLIN)
		(void)!read(fd->fd, &count, sizeof(count));
}

/* Negative descriptors are passed over. What the bus has to say the step reads itself. */
static void rest(struct ctrl *ctrl, uint64_t ns)
{
	struct device *dev = ctrl->dev;
	struct pollfd fds[] = {
		{.fd = ctrl->kick_fd, .events = POLLIN},
		{.fd = dev->nvectors ? dev->vectors[0] : -1, .events = POLLIN},
		{.fd = dev->unplug_fd, .events = POLLIN},
		{.fd = dev->error_fd, .events = POLLIN},
	};

	if (poll(fds, sizeof(fds) / sizeof(fds[0]), (int)((ns + 999999) / 1000000)) <= 0)
		return;
	drain(&fds[0]);
	drain(&fds[1]);
}

static void *run(void *arg)
{
	struct ctrl *ctrl = arg;
	uint64_t ns;

	while ((ns = nvmft_ctrl_step(ctrl)) != STEP_ENDED)
		rest(ctrl, ns);
	return NULL;
}

int nvmft_ctrl_start(struct ctrl *ctrl)
{
	sigset_t all, before;
	int err;

	ctrl->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (ctrl->kick_fd < 0)
		return -errno;
	/* Signals are the host's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&ctrl->thread, NULL, run, ctrl);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		close(ctrl->kick_fd);
	return -err;
}

void nvmft_ctrl_join(struct ctrl *ctrl)
{
	pthread_join(ctrl->thread, NULL);
	close(ctrl->kick_fd);
}

void nvmft_ctrl_kick(struct ctrl *ctrl)
{
	const uint64_t one = 1;

	(void)!write(ctrl->kick_fd, &one, sizeof(one));
}

int nvmft_ctrl_call(struct ctrl *ctrl, int (*fn)(void *arg), void *arg)
{
	struct ctrl_call call = {.fn = fn, .arg = arg};

	pthread_mutex_lock(&ctrl->lock);
	STAILQ_INSERT_TAIL(&ctrl->calls, &call, link);
	nvmft_ctrl_kick(ctrl);
	while (!call.done)
		pthread_cond_wait(&ctrl->called, &ctrl->lock);
	pthread_mutex_unlock(&ctrl->lock);
	return call.ret;
}
