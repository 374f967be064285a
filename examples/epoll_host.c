/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program with an event loop of its own drives a target in it: the poll group is one file descriptor among a timer,
 * standard input and signals, all on one thread.
 *
 *   ./epoll_host [ADDRESS [PORT]]
 *
 * Once a second it prints what the target has done, if that changed. A line on standard input is a command: "grow"
 * doubles the namespace's volume and tells the target, "quit" ends the program, as SIGTERM does.
 */
#include <errno.h>
#include <nvmft/nvmft.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MIB (1024 * 1024)

/* All of the program's state; the library holds none outside of the target. */
struct host {
	struct nvmft_target *target;
	struct nvmft_poll_group *group;
	struct nvmft_namespace *ns;
	FILE *volume;
	uint64_t bytes;
	int epoll;
	uint64_t last_cmds;
	struct nvmft_done done;
	bool stopping;
	bool stopped;
};

/* What an epoll event leads to. */
struct source {
	void (*ready)(struct host *host, int fd);
	int fd;
};

static void check(const char *what, int ret)
{
	if (ret < 0) {
		fprintf(stderr, "%s: %s\n", what, strerror(-ret));
		exit(1);
	}
}

static void log_line(void *ctx, enum nvmft_log_level level, const char *message)
{
	(void)ctx, (void)level;
	fprintf(stderr, "%s\n", message);
}

static void on_stopped(struct nvmft_done *done, int result)
{
	struct host *host = (struct host *)(void *)((char *)done - offsetof(struct host, done));

	(void)result;
	host->stopped = true;
}

static void stop(struct host *host)
{
	if (host->stopping)
		return;
	host->stopping = true;
	host->done.fn = on_stopped;
	check("stop", nvmft_target_stop(host->target, &host->done));
}

/* ---- the sources of events ---- */

/* The group is polled in every turn of the loop, see run(): its descriptor is only there to wake us. */
static void group_ready(struct host *host, int fd)
{
	(void)host, (void)fd;
}

static void timer_ready(struct host *host, int fd)
{
	struct nvmft_target_stats stats = {.size = sizeof(stats)};
	uint64_t expirations;

	if (read(fd, &expirations, sizeof(expirations)) < 0)
		return;
	nvmft_target_stats(host->target, &stats);
	if (stats.admin_cmds + stats.io_cmds == host->last_cmds)
		return;
	host->last_cmds = stats.admin_cmds + stats.io_cmds;
	printf("%llu connections, %llu commands\n", (unsigned long long)stats.connections,
	       (unsigned long long)host->last_cmds);
	fflush(stdout);
}

static void grow(struct host *host)
{
	host->bytes *= 2;
	check("ftruncate", ftruncate(fileno(host->volume), (off_t)host->bytes) < 0 ? -errno : 0);
	check("refresh", nvmft_namespace_refresh(host->ns));
	printf("now %llu MiB\n", (unsigned long long)host->bytes / MIB);
	fflush(stdout);
}

static void stdin_ready(struct host *host, int fd)
{
	char line[64];
	ssize_t n = read(fd, line, sizeof(line) - 1);

	if (n <= 0) {
		/* Without input there is nothing more to wait for here, but the service goes on. */
		epoll_ctl(host->epoll, EPOLL_CTL_DEL, fd, NULL);
		return;
	}
	line[n] = '\0';
	if (strstr(line, "grow"))
		grow(host);
	if (strstr(line, "quit"))
		stop(host);
}

static void signal_ready(struct host *host, int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		stop(host);
}

static int open_timer(void)
{
	struct itimerspec every_second = {{1, 0}, {1, 0}};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

	timerfd_settime(fd, 0, &every_second, NULL);
	return fd;
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static void watch(struct host *host, struct source *source)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};

	/* A regular file as standard input cannot be watched, and need not be. */
	if (epoll_ctl(host->epoll, EPOLL_CTL_ADD, source->fd, &event) < 0 && errno != EPERM)
		check("epoll_ctl", -errno);
}

/* ---- the loop ---- */

static void wait_and_dispatch(struct host *host, int timeout)
{
	struct epoll_event events[8];
	int n = epoll_wait(host->epoll, events, 8, timeout);

	for (int i = 0; i < n; i++) {
		struct source *source = events[i].data.ptr;

		source->ready(host, source->fd);
	}
}

/*
 * The group is polled until it is idle and then armed: from there on its descriptor becomes readable at the next event,
 * so that sleeping loses nothing. -EAGAIN says that something has come meanwhile; the host's own events still get their
 * turn.
 */
static void run(struct host *host)
{
	while (!host->stopped) {
		while (nvmft_poll(host->group, 0) > 0)
			wait_and_dispatch(host, 0);
		if (!host->stopped)
			wait_and_dispatch(host, nvmft_poll_group_arm(host->group) == 0 ? -1 : 0);
	}
}

static void set_up(struct host *host, const char *traddr, const char *trsvcid)
{
	struct nvmft_target_opts target_opts = {.size = sizeof(target_opts), .log = {.write = log_line}};
	struct nvmft_subsystem_opts subsystem_opts = {
		.size = sizeof(subsystem_opts), .nqn = "nqn.2024-01.org.nvmft:epoll", .allow_any_host = true};
	struct nvmft_file_opts file_opts = {.size = sizeof(file_opts)};
	struct nvmft_namespace_opts ns_opts = {
		.size = sizeof(ns_opts), .backend = nvmft_backend_file(), .backend_opts = &file_opts};
	struct nvmft_port_opts port_opts = {
		.size = sizeof(port_opts), .transport = nvmft_transport_tcp(), .traddr = traddr, .trsvcid = trsvcid};
	char path[32], address[256], service[32];
	struct nvmft_subsystem *subsystem;
	struct nvmft_port *port;

	host->bytes = 16 * MIB;
	host->volume = tmpfile();
	check("volume", !host->volume || ftruncate(fileno(host->volume), (off_t)host->bytes) < 0 ? -errno : 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fileno(host->volume));
	file_opts.path = path;
	check("target", nvmft_target_create(&target_opts, &host->target));
	check("poll group", nvmft_poll_group_create(host->target, &host->group));
	check("subsystem", nvmft_subsystem_create(host->target, &subsystem_opts, &subsystem));
	check("namespace", nvmft_namespace_add(subsystem, &ns_opts, &host->ns));
	check("port", nvmft_port_add(host->target, &port_opts, &port));
	check("link", nvmft_port_link(port, subsystem));
	nvmft_port_address(port, address, service);
	printf("nvme connect -t tcp -a %s -s %s -n %s\n", address, service, subsystem_opts.nqn);
}

int main(int argc, char **argv)
{
	struct host host = {.epoll = epoll_create1(EPOLL_CLOEXEC)};
	struct source signals = {signal_ready, open_signals()}, timer = {timer_ready, open_timer()};
	struct source input = {stdin_ready, STDIN_FILENO}, group = {group_ready, -1};

	set_up(&host, argc > 1 ? argv[1] : "127.0.0.1", argc > 2 ? argv[2] : "4420");
	group.fd = nvmft_poll_group_fd(host.group);
	watch(&host, &group);
	watch(&host, &timer);
	watch(&host, &input);
	watch(&host, &signals);
	puts("ready");
	fflush(stdout);
	run(&host);
	check("destroy", nvmft_target_destroy(host.target));
	fclose(host.volume);
	return 0;
}
