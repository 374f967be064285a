/* SPDX-License-Identifier: BSD-3-Clause */
#include "priv.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS 10000
/* Nothing is on its way over RDMA when nothing has come for so long. */
#define SETTLE_MS 25

static uint64_t real_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint64_t fake_now(void *ctx)
{
	struct th *t = ctx;

	return atomic_load(&t->now_ns);
}

static const char *const level_names[] = {"?", "error", "warn", "info", "debug"};

static void capture(void *ctx, enum nvmft_log_level level, const char *message)
{
	struct th *t = ctx;
	int n;

	pthread_mutex_lock(&t->log_lock);
	t->log_count[level]++;
	n = snprintf(t->log + t->log_len, sizeof(t->log) - t->log_len, "%s: %s\n", level_names[level], message);
	if (n > 0 && (size_t)n < sizeof(t->log) - t->log_len)
		t->log_len += (size_t)n;
	else
		t->log[t->log_len] = '\0';
	pthread_mutex_unlock(&t->log_lock);
	if (getenv("TH_LOG"))
		fprintf(stderr, "%s: %s\n", level_names[level], message);
}

bool th_log_has(struct th *t, const char *substring)
{
	bool found;

	pthread_mutex_lock(&t->log_lock);
	found = strstr(t->log, substring);
	pthread_mutex_unlock(&t->log_lock);
	return found;
}

void th_log_clear(struct th *t)
{
	pthread_mutex_lock(&t->log_lock);
	t->log_len = 0;
	t->log[0] = '\0';
	memset(t->log_count, 0, sizeof(t->log_count));
	pthread_mutex_unlock(&t->log_lock);
}

/* ---- driving ---- */

static void *drive(void *arg)
{
	struct th_group *tg = arg;

	while (!atomic_load(&tg->t->stop_threads))
		nvmft_poll(tg->group, NVMFT_POLL_WAIT);
	return NULL;
}

static void wake(struct nvmft_call *call)
{
	(void)call;
}

static void stop_threads(struct th *t)
{
	atomic_store(&t->stop_threads, true);
	for (unsigned int i = 0; i < t->ngroups; i++) {
		struct th_group *tg = &t->groups[i];

		if (!tg->running)
			continue;
		tg->stop_call.fn = wake;
		nvmft_poll_group_call(tg->group, &tg->stop_call);
		pthread_join(tg->thread, NULL);
		tg->running = false;
	}
}

static int start_threads(struct th *t)
{
	for (unsigned int i = 0; i < t->ngroups; i++) {
		struct th_group *tg = &t->groups[i];
		int err = pthread_create(&tg->thread, NULL, drive, tg);

		if (err)
			return -err;
		tg->running = true;
	}
	return 0;
}

int th_poll(struct th *t)
{
	int events = 0;

	if (t->threaded)
		return th_tcp_poll(t) + th_rdma_poll(t);
	atomic_fetch_add(&t->now_ns, t->tick_ns);
	for (unsigned int i = 0; i < t->ngroups; i++) {
		int n = nvmft_poll(t->groups[i].group, 0);

		if (n < 0)
			fail_msg("nvmft_poll: %d", n);
		events += n;
	}
	return events + th_tcp_poll(t) + th_rdma_poll(t);
}

bool th_wait(struct th *t, bool (*cond)(void *arg), void *arg, unsigned int ms)
{
	uint64_t end = real_ms() + ms;

	for (unsigned int i = 0; !cond(arg); i++) {
		if (th_poll(t) == 0 && i > 16)
			t->threaded ? usleep(20) : sched_yield();
		if (i % 64 == 63 && real_ms() > end)
			return cond(arg);
	}
	return true;
}

static bool flag_set(void *arg)
{
	return atomic_load((const atomic_bool *)arg);
}

void th_wait_flag(struct th *t, const atomic_bool *flag)
{
	if (!th_wait(t, flag_set, (void *)(uintptr_t)flag, WAIT_MS))
		fail_msg("waited in vain; log:\n%s", t->log);
}

void th_settle(struct th *t)
{
	uint64_t end = real_ms() + WAIT_MS;
	uint64_t quiet = real_ms() + SETTLE_MS;

	/* What is on its way between two queue pairs is in the hands of the device or, for soft-RoCE, of other threads.
	 */
	for (unsigned int idle = 0; idle < 8 || (!LIST_EMPTY(&t->rdma_conns) && real_ms() < quiet);) {
		idle = th_poll(t) ? 0 : idle + 1;
		if (!idle)
			quiet = real_ms() + SETTLE_MS;
		else if (idle > 8)
			sched_yield();
		if (real_ms() > end)
			fail_msg("never idle");
	}
}

struct group_call {
	struct nvmft_call call;
	void (*fn)(void *arg);
	void *arg;
	atomic_bool done;
};

static void group_call_run(struct nvmft_call *call)
{
	struct group_call *gc = (struct group_call *)(void *)call;

	gc->fn(gc->arg);
	atomic_store(&gc->done, true);
}

void th_on_group(struct th *t, struct nvmft_poll_group *group, void (*fn)(void *arg), void *arg)
{
	struct group_call gc = {.call.fn = group_call_run, .fn = fn, .arg = arg};

	if (!t->threaded) {
		fn(arg);
		return;
	}
	nvmft_poll_group_call(group, &gc.call);
	th_wait_flag(t, &gc.done);
}

static void nothing(void *arg)
{
	(void)arg;
}

void th_sync(struct th *t)
{
	for (unsigned int i = 0; i < t->ngroups; i++)
		th_on_group(t, t->groups[i].group, nothing, NULL);
	th_poll(t);
}

void th_advance_ms(struct th *t, uint64_t ms)
{
	atomic_fetch_add(&t->now_ns, ms * 1000000);
	if (t->threaded)
		th_sync(t);
	else
		th_settle(t);
}

static void done_fn(struct nvmft_done *done, int result)
{
	struct th_done *td = (struct th_done *)(void *)done;

	td->result = result;
	atomic_store(&td->called, true);
}

struct nvmft_done *th_done_init(struct th_done *done)
{
	done->done.fn = done_fn;
	done->result = 0;
	atomic_store(&done->called, false);
	return &done->done;
}

int th_done_wait(struct th *t, struct th_done *done)
{
	th_wait_flag(t, &done->called);
	return done->result;
}

/* ---- start and stop ---- */

static int create_groups(struct th *t, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		int err = nvmft_poll_group_create(t->target, &t->groups[i].group);

		if (err)
			return err;
		t->groups[i].t = t;
		t->ngroups++;
	}
	return 0;
}

static void quit(struct th *t)
{
	struct th_done done;
	int err = nvmft_target_stop(t->target, th_done_init(&done));

	if (err == 0)
		th_done_wait(t, &done);
	else if (err != -ENXIO)
		fail_msg("nvmft_target_stop: %d", err);
	stop_threads(t);
	err = nvmft_target_destroy(t->target);
	if (err)
		fail_msg("nvmft_target_destroy: %d", err);
	th_tcp_poll(t); /* hears of the last ends */
	th_rdma_quit(t);
	pthread_mutex_destroy(&t->log_lock);
	t->target = NULL;
}

const char *const th_transport_names[TH_TRANSPORTS] = {"usual",       "loopback",       "tcp",        "tcp-digests",
						       "tcp-r2t",     "tcp-noflow",     "tcp-pieces", "rdma",
						       "rdma-pieces", "rdma-invalidate"};

static enum th_transport choose_transport(enum th_transport wanted)
{
	const char *name = getenv("TH_TRANSPORT");

	if (wanted != TH_USUAL)
		return wanted;
	for (unsigned int i = TH_LOOPBACK; name && i < TH_TRANSPORTS; i++)
		if (strcmp(name, th_transport_names[i]) == 0)
			return (enum th_transport)i;
	if (name)
		fail_msg("TH_TRANSPORT=%s: no such transport", name);
	return TH_LOOPBACK;
}

static bool over_rdma(enum th_transport transport)
{
	return transport >= TH_RDMA;
}

bool th_present(enum th_transport transport)
{
	return !over_rdma(choose_transport(transport)) || th_rdma_present();
}

void th_loopback_only(enum th_transport transport, const char *reason)
{
	transport = choose_transport(transport);
	if (transport == TH_LOOPBACK)
		return;
	print_message("skipped over %s: %s\n", th_transport_names[transport], reason);
	skip();
}

static int add_port(struct th *t, const struct th_opts *opts)
{
	struct nvmft_port_opts po = opts->port;
	struct nvmft_tcp_opts tcp;
	struct nvmft_rdma_opts rdma;

	po.size = sizeof(po);
	t->transport = choose_transport(opts->transport);
	if (t->transport == TH_LOOPBACK)
		po.transport = nvmft_transport_loopback();
	else if (over_rdma(t->transport))
		th_rdma_port_opts(t, &po, &rdma);
	else
		th_tcp_port_opts(t, &po, &tcp);
	return nvmft_port_add(t->target, &po, &t->port);
}

int th_try_start(struct th *t, const struct th_opts *opts)
{
	static const struct th_opts none;
	struct nvmft_target_opts to;
	int err;

	opts = opts ? opts : &none;
	memset(t, 0, sizeof(*t));
	TAILQ_INIT(&t->tcp_queues);
	LIST_INIT(&t->rdma_conns);
	pthread_mutex_init(&t->log_lock, NULL);
	atomic_store(&t->now_ns, opts->start_ns ? opts->start_ns : 3600ull * 1000000000);
	t->tick_ns = opts->tick_ns;
	to = opts->target;
	to.size = sizeof(to);
	to.log = (struct nvmft_log_sink){.write = capture, .ctx = t};
	to.log_level = opts->log_level ? opts->log_level : NVMFT_LOG_DEBUG;
	to.now_ns = fake_now;
	to.time_ctx = t;
	err = nvmft_target_create(&to, &t->target);
	if (err) {
		pthread_mutex_destroy(&t->log_lock);
		return err;
	}
	err = create_groups(t, opts->groups ? opts->groups : 1);
	if (!err)
		err = add_port(t, opts);
	if (!err && opts->threaded) {
		t->threaded = true;
		err = start_threads(t);
	}
	if (err)
		quit(t);
	return err;
}

void th_start(struct th *t, const struct th_opts *opts)
{
	int err = th_try_start(t, opts);

	if (err)
		fail_msg("cannot start a target: %s; log:\n%s", strerror(-err), t->log);
}

void th_stop(struct th *t)
{
	quit(t);
}

/* ---- configuration ---- */

struct nvmft_subsystem *th_add_subsystem_opts(struct th *t, const struct nvmft_subsystem_opts *opts)
{
	struct nvmft_subsystem_opts so = *opts;
	struct nvmft_subsystem *subsys = NULL;
	int err;

	so.size = sizeof(so);
	err = nvmft_subsystem_create(t->target, &so, &subsys);
	if (!err)
		err = nvmft_port_link(t->port, subsys);
	if (err)
		fail_msg("subsystem %s: %s; log:\n%s", so.nqn, strerror(-err), t->log);
	return subsys;
}

struct nvmft_subsystem *th_add_subsystem(struct th *t, const char *nqn)
{
	struct nvmft_subsystem_opts so = {.nqn = nqn, .allow_any_host = true};

	return th_add_subsystem_opts(t, &so);
}

struct nvmft_namespace *th_add_namespace(struct nvmft_subsystem *subsys, const struct nvmft_backend_ops *ops,
					 const void *backend_opts)
{
	struct nvmft_namespace_opts no = {.size = sizeof(no), .backend = ops, .backend_opts = backend_opts};
	struct nvmft_namespace *ns = NULL;
	int err = nvmft_namespace_add(subsys, &no, &ns);

	if (err)
		fail_msg("namespace on %s: %s", ops->name, strerror(-err));
	return ns;
}

struct nvmft_namespace *th_add_null(struct nvmft_subsystem *subsys, uint64_t bytes, uint32_t block_size)
{
	struct nvmft_null_opts o = {.size = sizeof(o), .bytes = bytes, .block_size = block_size};

	return th_add_namespace(subsys, nvmft_backend_null(), &o);
}

struct nvmft_namespace *th_add_memory(struct nvmft_subsystem *subsys, uint64_t bytes, uint32_t block_size)
{
	struct nvmft_memory_opts o = {.size = sizeof(o), .bytes = bytes, .block_size = block_size};

	return th_add_namespace(subsys, nvmft_backend_memory(), &o);
}

void th_remove_namespace(struct th *t, struct nvmft_namespace *ns)
{
	struct th_done done;
	int err = nvmft_namespace_remove(ns, th_done_init(&done));

	if (!err)
		err = th_done_wait(t, &done);
	if (err)
		fail_msg("nvmft_namespace_remove: %d", err);
}
