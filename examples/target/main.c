/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nvmft-target: the library as a program of its own. The main thread reads the configuration and waits for signals; the
 * library's threads serve.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "config_check.h"
#include "engine.h"
#include "log.h"
#include "notify.h"
#include "options.h"

/* Before any thread is there, as threads inherit the mask. */
static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* Each connection is a descriptor, and the limit that shells set is for programs that use select(2). */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static unsigned int read_signal(int fd)
{
	struct signalfd_siginfo info;

	return read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info) ? info.ssi_signo : 0;
}

/* Wait for a signal, or for the target to have stopped: then 0. */
static unsigned int wait_event(int signals, int stopped)
{
	struct pollfd fds[] = {{.fd = signals, .events = POLLIN}, {.fd = stopped, .events = POLLIN}};

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return SIGTERM;
		if (fds[1].revents)
			return 0;
		if (fds[0].revents)
			return read_signal(signals);
	}
}

static void reload(struct engine *e, const struct options *o)
{
	struct config *config;
	struct report r;
	char summary[128];

	if (!o->config_file) {
		log_print(NVMFT_LOG_WARN, "SIGHUP: there is no --config file to read again");
		return;
	}
	notify_reloading();
	report_init(&r, options_source(o), stderr);
	config = options_config(o, &r);
	if (config && !r.errors) {
		engine_reload(e, config);
	} else {
		config_free(config);
		log_print(NVMFT_LOG_ERROR, "%s: %u mistake%s, nothing was changed", o->config_file, r.errors,
			  r.errors == 1 ? "" : "s");
	}
	engine_summary(e, summary, sizeof(summary));
	notify_ready(summary);
}

/* Let I/O finish; a second signal says that there is no time for it. */
static int drain(struct engine *e, int signals)
{
	notify_stopping();
	log_print(NVMFT_LOG_INFO, "ending service");
	if (engine_stop(e) == 0) {
		unsigned int sig;

		while ((sig = wait_event(signals, e->stopped_fd)) != 0) {
			if (sig == SIGHUP)
				continue;
			log_print(NVMFT_LOG_WARN, "a second signal: not waiting for I/O to finish");
			_exit(EXIT_FAILED);
		}
	}
	engine_destroy(e);
	return EXIT_DONE;
}

static int serve(const struct options *o, struct config *config, int signals)
{
	char summary[128];
	struct engine e;
	unsigned int sig;
	int status = engine_start(&e, config);

	if (status != EXIT_DONE)
		return status;
	engine_print_connect(&e, stdout);
	puts("ready");
	fflush(stdout);
	engine_summary(&e, summary, sizeof(summary));
	notify_ready(summary);
	while ((sig = wait_event(signals, -1)) == SIGHUP)
		reload(&e, o);
	return drain(&e, signals);
}

static int check_only(const struct options *o, struct config *c, struct report *r)
{
	config_check_files(c, r);
	printf("%s: %s: ports %zu, subsystems %zu, hosts %zu\n", options_source(o),
	       r->warnings ? "no mistakes, but see the warnings" : "no mistakes", c->nports, c->nsubsystems, c->nhosts);
	config_free(c);
	return EXIT_DONE;
}

static int run(const struct options *o, int signals)
{
	struct config *config;
	struct report r;

	report_init(&r, options_source(o), stderr);
	config = options_config(o, &r);
	if (!config || r.errors) {
		config_free(config);
		fprintf(stderr, "nvmft-target: not started: %u mistake%s\n", r.errors, r.errors == 1 ? "" : "s");
		return EXIT_MISTAKE;
	}
	return o->check ? check_only(o, config, &r) : serve(o, config, signals);
}

static void print_version(void)
{
	unsigned int v = nvmft_version();

	printf("nvmft-target %u.%u.%u\n", v >> 16, v >> 8 & 0xff, v & 0xff);
}

int main(int argc, char **argv)
{
	int signals = open_signals(), status = EXIT_DONE;
	struct options o;
	struct report r;

	raise_descriptor_limit();
	report_init(&r, "command line", stderr);
	options_parse(&o, argc, argv, &r);
	if (r.errors)
		status = EXIT_MISTAKE;
	else if (o.help)
		options_usage(stdout);
	else if (o.version)
		print_version();
	else
		status = run(&o, signals);
	options_fini(&o);
	return status;
}
