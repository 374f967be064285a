/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices that are resized, formatted or removed. The kernel tells by events (uevents), and only by those: its files in
 * sysfs do not wake a reader. A program in a container may get none; then the first command that the device refuses is
 * the sign. Of a format to other blocks in the same space it does not tell at all: but who formats on this machine
 * opens and closes a device node for it.
 *
 * What became of the device only the device knows, and its answer may take as long as a reset. So one thread for all
 * devices of a target waits for signs and asks. It sleeps otherwise, and needs no poll group, of which there may be
 * none with a channel.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "ng.h"

#define WATCH_KEY "uring_nvme:watch"
#define UEVENT_GROUP_KERNEL 1
#define UEVENT_BYTES 8192

#define MS UINT64_C(1000000)
/* From the answer that the device is being formatted to the question what it is now, and between such questions. */
#define FORMAT_NS (100 * MS)
/* A device that does not answer may be in a reset: so often it is asked, and so long I/O waits for it. */
#define AGAIN_NS (250 * MS)
#define PATIENCE_NS (10000 * MS)

/*
 * struct ng_watch - of a target
 * @lock: guards @list and what the comments at struct ng_watched say
 * @events: netlink socket, or -1
 * @nodes: inotify of device nodes, or -1
 * @wake: eventfd: look at @list
 */
struct ng_watch {
	struct nvmft_shared shared;
	pthread_t thread;
	pthread_mutex_t lock;
	struct ng_watched *list;
	int events;
	int nodes;
	int wake;
	atomic_bool quit;
};

/*
 * struct ng_watched - a namespace; freed by the thread, which may be asking the device when it is closed
 * @backend: NULL: closed. Changed under the lock.
 * @fd, @path: the device, for the thread alone
 * @name: "0n1" of /dev/ng0n1
 * @facts: as of the opening
 * @info: what the core knows, as far as it was told
 * @look: ask the device; @formatting: it said so. From any thread.
 * @removed: an event said so; @rescan: controllers came or went; @unsure: it has not answered since then, 0: it has;
 *        @due: not to be asked before. The thread's.
 * @gone: the core was told
 */
struct ng_watched {
	struct ng_watched *next;
	struct ng_watch *watch;
	struct nvmft_backend *backend;
	int fd;
	uint32_t nsid;
	char *path;
	char name[32];
	struct ssd_facts facts;
	struct nvmft_backend_info info;
	atomic_bool look;
	atomic_bool formatting;
	atomic_bool gone;
	bool removed;
	bool rescan;
	uint64_t unsure;
	uint64_t due;
};

static void wake(const struct ng_watch *watch)
{
	uint64_t one = 1;

	(void)!write(watch->wake, &one, sizeof(one));
}

static void watched_free(struct ng_watched *w)
{
	if (w->fd >= 0)
		close(w->fd);
	free(w->path);
	free(w);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 * MS + (uint64_t)now.tv_nsec;
}

/* The device may be another one: nothing is sent until it was asked. The lock is held. */
static void sign(struct ng_watched *w)
{
	struct ng_backend *ng = w->backend ? w->backend->priv : NULL;

	if (!ng || atomic_load(&w->gone))
		return;
	ssd_doubt_raise(&ng->doubt);
	w->due = 0;
	atomic_store(&w->look, true);
}

/* ---- events ---- */

/* What one of them says. */
struct event {
	const char *subsystem;
	const char *device;
	bool removed;
};

static const char *value_of(const char *text, const char *key)
{
	size_t len = strlen(key);

	return strncmp(text, key, len) == 0 ? text + len : NULL;
}

/* Strings one after the other, of which the last ends at @len at the latest: "ACTION=remove", "DEVNAME=ng0n1"... */
static void parse_event(struct event *e, const char *text, size_t len)
{
	const char *value;

	memset(e, 0, sizeof(*e));
	for (size_t at = 0; at < len; at += strlen(text + at) + 1) {
		if ((value = value_of(text + at, "SUBSYSTEM=")))
			e->subsystem = value;
		else if ((value = value_of(text + at, "DEVNAME=")))
			e->device = value;
		else if (!strcmp(text + at, "ACTION=remove"))
			e->removed = true;
	}
}

/* Of the namespace: its character device goes, or its block device has another size. Of any controller: paths may be
 * others, or it was reset. */
static void apply_event(struct ng_watched *w, const struct event *e)
{
	const char *generic = e->device ? value_of(e->device, "ng") : NULL;
	const char *block = e->device ? value_of(e->device, "nvme") : NULL;
	bool mine = generic && !strcmp(generic, w->name), ctrl = e->subsystem && !strcmp(e->subsystem, "nvme");

	w->rescan |= ctrl;
	w->removed |= mine && e->removed;
	if (ctrl || mine || (block && !strcmp(block, w->name)))
		sign(w);
}

/* Without @e some were lost. */
static void apply_all(struct ng_watch *watch, const struct event *e)
{
	pthread_mutex_lock(&watch->lock);
	for (struct ng_watched *w = watch->list; w; w = w->next) {
		if (e) {
			apply_event(w, e);
			continue;
		}
		w->rescan = true;
		sign(w);
	}
	pthread_mutex_unlock(&watch->lock);
}

/* Only the kernel is believed. False: there are no more. */
static bool read_event(struct ng_watch *watch)
{
	struct sockaddr_nl from = {0};
	socklen_t from_len = sizeof(from);
	char text[UEVENT_BYTES];
	struct event e;
	ssize_t len =
		recvfrom(watch->events, text, sizeof(text) - 1, MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);

	if (len < 0 && errno == ENOBUFS) {
		apply_all(watch, NULL); /* some were lost */
		return true;
	}
	if (len < 0)
		return errno == EINTR;
	if (from.nl_pid == 0) {
		text[len] = '\0';
		parse_event(&e, text, (size_t)len);
		apply_all(watch, &e);
	}
	return true;
}

/* ---- device nodes ---- */

/* Somebody closed one, who may have formatted something. What else the events say is not looked at. */
static void read_nodes(struct ng_watch *watch)
{
	_Alignas(struct inotify_event) char events[4096];
	bool any = false;

	while (read(watch->nodes, events, sizeof(events)) > 0)
		any = true;
	if (!any)
		return;
	pthread_mutex_lock(&watch->lock);
	for (struct ng_watched *w = watch->list; w; w = w->next)
		sign(w);
	pthread_mutex_unlock(&watch->lock);
}

/* ---- looking ---- */

/* The device node's number, which is not given to another device as long as we have it open, is gone from sysfs. */
static bool is_removed(const struct ng_watched *w)
{
	char path[64];
	struct stat st;

	if (access("/sys/dev/char", F_OK) < 0 || fstat(w->fd, &st) < 0)
		return w->removed;
	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u", major(st.st_rdev), minor(st.st_rdev));
	return access(path, F_OK) < 0;
}

enum finding { FOUND_NOTHING, FOUND_FACTS, FOUND_FORMATTED, FOUND_GONE };

static enum finding look_at(const struct ng_watched *w, struct ssd_facts *facts)
{
	const struct ng_ask ask = {w->fd, w->nsid, w->path, NULL};
	int ret;

	if (is_removed(w))
		return FOUND_GONE;
	ret = nvmft_ng_facts(&ask, facts);
	if (is_removed(w))
		return FOUND_GONE;
	/* Deleted or detached, which the kernel did not notice yet; or formatted in a way that could not be served at
	 * all. */
	if (ret == -ENOENT)
		return FOUND_GONE;
	if (ret == -EOPNOTSUPP)
		return FOUND_FORMATTED;
	if (ret)
		return FOUND_NOTHING;
	return nvmft_ssd_same_format(facts, &w->facts) ? FOUND_FACTS : FOUND_FORMATTED;
}

/* No I/O waits, nor is any sent. */
static void refuse(const struct ng_watched *w)
{
	struct ng_backend *ng = w->backend->priv;

	ssd_doubt_refuse(&ng->doubt);
	nvmft_ng_wake(ng);
}

static void tell_gone(struct ng_watched *w)
{
	atomic_store(&w->gone, true);
	refuse(w);
	nvmft_backend_changed(w->backend, NULL);
}

static void tell_facts(struct ng_watched *w, const struct ssd_facts *facts)
{
	struct nvmft_backend_info info = {.size = sizeof(info)};

	nvmft_ng_put_info(w->backend->priv, facts, &info);
	if (memcmp(&info, &w->info, sizeof(info)) == 0)
		return;
	w->info = info;
	nvmft_backend_changed(w->backend, &info);
}

/* @begin: of the doubt, before the device was asked. With a sign meanwhile, another look follows. */
static void settle(const struct ng_watched *w, unsigned int begin)
{
	struct ng_backend *ng = w->backend->priv;

	if (ssd_doubt_settle(&ng->doubt, begin))
		nvmft_ng_wake(ng);
}

static void be_unsure(struct ng_watched *w)
{
	uint64_t now = now_ns();

	w->unsure = w->unsure ? w->unsure : now;
	w->due = now + (now - w->unsure < PATIENCE_NS ? AGAIN_NS : PATIENCE_NS);
	atomic_store(&w->look, true);
	if (now - w->unsure >= PATIENCE_NS)
		refuse(w);
}

static void tell(struct ng_watched *w, enum finding finding, const struct ssd_facts *facts, unsigned int begin)
{
	if (finding != FOUND_NOTHING)
		w->unsure = 0;
	switch (finding) {
	case FOUND_FACTS:
		tell_facts(w, facts);
		settle(w, begin);
		break;
	case FOUND_FORMATTED:
		/* Commands are made for the format that it had. */
		nvmft_backend_log(w->backend, NVMFT_LOG_ERROR,
				  "%s has another format now: it has to be removed and added again", w->path);
		tell_gone(w);
		break;
	case FOUND_GONE:
		tell_gone(w);
		break;
	case FOUND_NOTHING:
		be_unsure(w);
		break;
	}
}

/* The lock is not held while the device is asked, during which the namespace may be closed. */
static void look_locked(struct ng_watch *watch, struct ng_watched *w)
{
	struct ng_backend *ng = w->backend->priv;
	unsigned int begin;
	enum finding finding;
	struct ssd_facts facts;

	atomic_store(&w->look, false);
	begin = ssd_doubt_begin(&ng->doubt);
	pthread_mutex_unlock(&watch->lock);
	finding = look_at(w, &facts);
	pthread_mutex_lock(&watch->lock);
	if (w->backend)
		tell(w, finding, &facts, begin);
}

static void rescan_locked(struct ng_watched *w)
{
	struct ng_backend *ng = w->backend->priv;

	w->rescan = false;
	if (atomic_load(&ng->ctrl_fd[0]) >= 0)
		(void)nvmft_ng_ctrls_open(ng);
	nvmft_ng_ctrls_watch(ng);
}

static bool wants_look(const struct ng_watched *w)
{
	return w->backend && atomic_load(&w->look) && !atomic_load(&w->gone);
}

static bool is_due(struct ng_watched *w)
{
	uint64_t now = now_ns();

	if (!wants_look(w))
		return false;
	if (atomic_exchange(&w->formatting, false))
		w->due = now + FORMAT_NS;
	return now >= w->due;
}

/* @w may be closed meanwhile, and new ones come at the head of the list; nobody but this thread takes one out. */
static void look_at_all(struct ng_watch *watch)
{
	struct ng_watched **link = &watch->list, *w;

	pthread_mutex_lock(&watch->lock);
	for (w = watch->list; w; w = w->next) {
		if (w->backend && w->rescan)
			rescan_locked(w);
		if (is_due(w))
			look_locked(watch, w);
	}
	while ((w = *link)) {
		if (w->backend) {
			link = &w->next;
			continue;
		}
		*link = w->next;
		watched_free(w);
	}
	pthread_mutex_unlock(&watch->lock);
}

/* For how long the thread may sleep, in ms: until a look is due; -1: until something happens. */
static int sleep_ms(struct ng_watch *watch)
{
	uint64_t now = now_ns(), least = UINT64_MAX;

	pthread_mutex_lock(&watch->lock);
	for (const struct ng_watched *w = watch->list; w; w = w->next) {
		uint64_t left = w->due > now ? w->due - now : 0;

		if (wants_look(w) && left < least)
			least = left;
	}
	pthread_mutex_unlock(&watch->lock);
	return least == UINT64_MAX ? -1 : (int)((least + MS - 1) / MS);
}

static void *watch_thread(void *arg)
{
	struct ng_watch *watch = arg;
	struct pollfd fds[] = {{watch->wake, POLLIN, 0}, {watch->events, POLLIN, 0}, {watch->nodes, POLLIN, 0}};
	uint64_t count;

	while (!atomic_load(&watch->quit)) {
		if (poll(fds, 3, sleep_ms(watch)) < 0)
			continue;
		if (fds[0].revents)
			(void)!read(watch->wake, &count, sizeof(count));
		while (fds[1].revents && read_event(watch))
			;
		if (fds[2].revents)
			read_nodes(watch);
		look_at_all(watch);
	}
	return NULL;
}

/* ---- the one of a target ---- */

static struct ng_watch *to_watch(struct nvmft_shared *shared)
{
	return (struct ng_watch *)(void *)shared;
}

/* Without it, resizing is not noticed, and removal by commands that fail. */
static void open_events(struct ng_watch *watch, const struct nvmft_backend *backend)
{
	struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = UEVENT_GROUP_KERNEL};

	watch->events = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	if (watch->events >= 0 && bind(watch->events, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return;
	nvmft_backend_log(backend, NVMFT_LOG_WARN,
			  "no events of the kernel: %s: devices that are resized are not noticed",
			  strerrordesc_np(errno));
	if (watch->events >= 0)
		close(watch->events);
	watch->events = -1;
}

/* Signals are for the program's own threads. */
static int start_thread(struct ng_watch *watch)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&watch->thread, NULL, watch_thread, watch);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

static void close_all(const struct ng_watch *watch)
{
	if (watch->nodes >= 0)
		close(watch->nodes);
	if (watch->events >= 0)
		close(watch->events);
	close(watch->wake);
}

static int watch_create(struct nvmft_shared *shared, const struct nvmft_backend *backend, const void *arg)
{
	struct ng_watch *watch = to_watch(shared);
	int ret = 0;

	(void)arg;
	watch->wake = eventfd(0, EFD_CLOEXEC);
	if (watch->wake < 0)
		ret = -errno;
	if (!ret) {
		pthread_mutex_init(&watch->lock, NULL);
		open_events(watch, backend);
		watch->nodes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
		ret = start_thread(watch);
		if (!ret)
			return 0;
		pthread_mutex_destroy(&watch->lock);
		close_all(watch);
	}
	nvmft_backend_log(backend, NVMFT_LOG_ERROR, "no thread to watch devices: %s", strerrordesc_np(-ret));
	return ret;
}

static void watch_idle(struct nvmft_shared *shared)
{
	struct ng_watch *watch = to_watch(shared);

	atomic_store(&watch->quit, true);
	wake(watch);
}

static void watch_destroy(struct nvmft_shared *shared)
{
	struct ng_watch *watch = to_watch(shared);
	struct ng_watched *w;

	pthread_join(watch->thread, NULL);
	while ((w = watch->list)) {
		watch->list = w->next;
		watched_free(w);
	}
	pthread_mutex_destroy(&watch->lock);
	close_all(watch);
}

static const struct nvmft_shared_ops watch_ops = {
	.create = watch_create,
	.idle = watch_idle,
	.destroy = watch_destroy,
};

/* ---- namespaces ---- */

static struct ng_watched *watched_new(struct nvmft_backend *backend, const struct nvmft_backend_info *info)
{
	const struct ng_backend *ng = backend->priv;
	const char *slash = strrchr(ng->path, '/');
	struct ng_watched *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->backend = backend;
	w->nsid = ng->nsid;
	w->facts = ng->facts;
	w->info = *info;
	w->path = strdup(ng->path);
	w->fd = fcntl(ng->fd, F_DUPFD_CLOEXEC, 0);
	snprintf(w->name, sizeof(w->name), "%s", (slash ? slash + 1 : ng->path) + strlen("ng"));
	if (w->path && w->fd >= 0)
		return w;
	watched_free(w);
	return NULL;
}

/* Not those of others in the same directory: whoever has no node at hand is noticed later, by commands that fail. */
void nvmft_ng_watch_node(const struct ng_backend *ng, const char *name)
{
	const char *slash = strrchr(ng->path, '/');
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%.*s%s", slash ? (int)(slash + 1 - ng->path) : 0, ng->path, name) <
	    (int)sizeof(path))
		(void)inotify_add_watch(ng->watched->watch->nodes, path, IN_CLOSE);
}

static void watch_nodes(struct ng_backend *ng)
{
	char name[64];

	snprintf(name, sizeof(name), "ng%s", ng->watched->name);
	nvmft_ng_watch_node(ng, name);
	snprintf(name, sizeof(name), "nvme%s", ng->watched->name);
	nvmft_ng_watch_node(ng, name);
	nvmft_ng_ctrls_watch(ng);
}

int nvmft_ng_watch(struct nvmft_backend *backend, const struct nvmft_backend_info *info)
{
	struct ng_backend *ng = backend->priv;
	struct nvmft_shared *shared;
	struct ng_watched *w;
	int ret = nvmft_shared_get(backend, WATCH_KEY, &watch_ops, sizeof(struct ng_watch), NULL, &shared);

	if (ret)
		return ret;
	w = watched_new(backend, info);
	if (!w) {
		nvmft_shared_put(shared);
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "no memory");
		return -ENOMEM;
	}
	w->watch = to_watch(shared);
	ng->watched = w;
	pthread_mutex_lock(&w->watch->lock);
	w->next = w->watch->list;
	w->watch->list = w;
	pthread_mutex_unlock(&w->watch->lock);
	watch_nodes(ng);
	return 0;
}

void nvmft_ng_unwatch(struct nvmft_backend *backend)
{
	struct ng_backend *ng = backend->priv;
	struct ng_watched *w = ng->watched;
	struct ng_watch *watch;

	if (!w)
		return;
	watch = w->watch;
	pthread_mutex_lock(&watch->lock);
	w->backend = NULL;
	pthread_mutex_unlock(&watch->lock);
	wake(watch);
	nvmft_shared_put(&watch->shared);
}

void nvmft_ng_look(struct ng_backend *ng, bool formatting)
{
	struct ng_watched *w = ng->watched;

	if (atomic_load(&w->gone))
		return;
	ssd_doubt_raise(&ng->doubt);
	if (formatting)
		atomic_store(&w->formatting, true);
	if (!atomic_exchange(&w->look, true))
		wake(w->watch);
}
