/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * count_steps [-p FILE] [-l NAME] run PROGRAM ARGUMENT...    what PROGRAM executes between its marks (ssd.h)
 * count_steps [-p FILE] [-l NAME] attach TID TIMES           a running thread, from one io_uring_enter() that submits
 * something to the one TIMES later, so that what is counted are whole rounds
 *
 * Counts instructions and system calls in user space by single steps, which needs no counters of the processor and no
 * valgrind, hence works in an emulated guest too. Prints one line of JSON; -p writes how often each address was
 * executed; -l also counts the instructions of the files whose path contains NAME: a library without those it calls.
 *
 * A string instruction with a repeat prefix stops once for each repetition, but counts once.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __x86_64__
int main(void)
{
	fprintf(stderr, "count_steps: only for x86-64\n");
	return 77;
}
#else

#define PLACES 65536u /* more than any loop has instructions */
#define NR_IO_URING_ENTER 426

enum kind { PLAIN, SYSCALL, MARK };

/* An address, and how often it was executed. */
struct place {
	uint64_t pc;
	uint64_t count;
	enum kind kind;
};

struct counts {
	uint64_t instructions;
	uint64_t syscalls;
	uint64_t enters;
	uint64_t submitted; /* entries that io_uring_enter() was given */
};

static struct place places[PLACES];
static struct counts counts;
static uint64_t rounds_wanted; /* of attach; 0: marks decide */
static bool rounds_over;
static FILE *profile;
static const char *library;
static struct range {
	uint64_t begin, end;
} ranges[16]; /* of @library */
static uint32_t nranges;

static void die(const char *what)
{
	fprintf(stderr, "count_steps: %s: %s\n", what, strerror(errno));
	exit(1);
}

static enum kind look(pid_t tid, uint64_t pc)
{
	long word;

	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, tid, (void *)(uintptr_t)pc, NULL);
	if (errno)
		return PLAIN;
	return (word & 0xff) == 0xcc ? MARK : (word & 0xffff) == 0x050f ? SYSCALL : PLAIN;
}

static struct place *place_of(pid_t tid, uint64_t pc)
{
	uint32_t i = (uint32_t)((pc * UINT64_C(0x9e3779b97f4a7c15)) >> 48), tries;

	for (tries = 0; tries < PLACES; tries++, i++) {
		struct place *place = &places[i % PLACES];

		if (place->pc == pc)
			return place;
		if (place->pc)
			continue;
		place->pc = pc;
		place->kind = look(tid, pc);
		return place;
	}
	fprintf(stderr, "count_steps: more than %u instructions in the loop\n", PLACES);
	exit(1);
}

static uint64_t reg(pid_t tid, size_t offset)
{
	return (uint64_t)ptrace(PTRACE_PEEKUSER, tid, (void *)offset, NULL);
}

#define REG(tid, name) reg(tid, offsetof(struct user_regs_struct, name))

/* Until the next stop: -1 the thread is over, -2 and it failed, else the signal to hand on, 0 for a stop of ours. */
static int wait_stop(pid_t tid)
{
	int status, sig;

	while (waitpid(tid, &status, __WALL) < 0)
		if (errno != EINTR)
			die("waitpid");
	if (!WIFSTOPPED(status))
		return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? -1 : -2;
	sig = WSTOPSIG(status);
	return sig == SIGTRAP || status >> 16 ? 0 : sig;
}

/* A round begins with what submits its entries. The first such call is where counting begins, the last is not in it. */
static void count_round(void)
{
	static bool begun;

	if (!begun)
		counts = (struct counts){0};
	else if (--rounds_wanted == 0)
		rounds_over = true;
	begun = true;
}

static void count_syscall(pid_t tid)
{
	uint64_t entries = REG(tid, rax) == NR_IO_URING_ENTER ? REG(tid, rsi) : 0;

	if (rounds_wanted && entries)
		count_round();
	if (rounds_over)
		return;
	counts.syscalls++;
	counts.enters += REG(tid, rax) == NR_IO_URING_ENTER;
	counts.submitted += entries;
}

/* One step at a time from where the thread stopped; true at a mark or after the last round. */
static bool step(pid_t tid)
{
	uint64_t pc = REG(tid, rip), next;
	int sig = 0;

	for (;;) {
		struct place *place = place_of(tid, pc);

		if (place->kind == MARK) {
			ptrace(PTRACE_POKEUSER, tid, (void *)offsetof(struct user_regs_struct, rip),
			       (void *)(uintptr_t)(pc + 1));
			return true;
		}
		if (place->kind == SYSCALL)
			count_syscall(tid);
		if (rounds_over)
			return true;
		if (ptrace(PTRACE_SINGLESTEP, tid, NULL, (void *)(intptr_t)sig) < 0)
			die("step");
		sig = wait_stop(tid);
		if (sig < 0)
			return false;
		next = REG(tid, rip);
		if (next == pc)
			continue; /* not over yet */
		place->count++;
		counts.instructions++;
		pc = next;
	}
}

static void add_range(const char *line)
{
	struct range range;

	if (nranges < sizeof(ranges) / sizeof(ranges[0]) && strstr(line, library) &&
	    sscanf(line, "%" SCNx64 "-%" SCNx64, &range.begin, &range.end) == 2)
		ranges[nranges++] = range;
}

/* By which addresses can be told. */
static void read_maps(pid_t tid)
{
	static bool done;
	char name[64], line[512];
	FILE *maps;

	if (done)
		return;
	done = true;
	snprintf(name, sizeof(name), "/proc/%d/maps", tid);
	maps = fopen(name, "r");
	while (maps && fgets(line, sizeof(line), maps)) {
		if (profile)
			fputs(line, profile);
		if (library)
			add_range(line);
	}
	if (maps)
		fclose(maps);
}

/* On the processor that this one is on: a step is two switches there, instead of two wake-ups of idle processors. */
static void stay(pid_t tid)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned int)sched_getcpu(), &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
	(void)sched_setaffinity(tid, sizeof(set), &set);
}

static int run(char **argv)
{
	int sig = 0, stop;
	pid_t pid;

	stay(0);
	pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0)
			execv(argv[0], argv);
		die(argv[0]);
	}
	if (wait_stop(pid) < 0)
		return 1;
	ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)PTRACE_O_EXITKILL);
	while (ptrace(PTRACE_CONT, pid, NULL, (void *)(intptr_t)sig) == 0) {
		stop = wait_stop(pid);
		sig = stop > 0 ? stop : 0;
		if (stop < 0)
			return stop == -1 ? 0 : 1;
		if (stop > 0)
			continue;
		/* At a mark, which is behind us now. */
		read_maps(pid);
		step(pid);
	}
	return 0;
}

static int attach(pid_t tid, uint64_t times)
{
	rounds_wanted = times;
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0 || ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0)
		die("attach");
	if (wait_stop(tid) < 0)
		return 1;
	read_maps(tid);
	stay(tid);
	step(tid);
	ptrace(PTRACE_DETACH, tid, NULL, NULL);
	return rounds_over ? 0 : 1;
}

static void write_profile(void)
{
	for (uint32_t i = 0; i < PLACES; i++)
		if (places[i].count)
			fprintf(profile, "%" PRIx64 " %" PRIu64 "\n", places[i].pc, places[i].count);
	fclose(profile);
}

static uint64_t in_library(void)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < PLACES; i++)
		for (uint32_t r = 0; r < nranges; r++)
			if (places[i].pc >= ranges[r].begin && places[i].pc < ranges[r].end)
				n += places[i].count;
	return n;
}

int main(int argc, char **argv)
{
	int ret = 2, opt;

	while ((opt = getopt(argc, argv, "+p:l:")) != -1) {
		if (opt == 'p')
			profile = fopen(optarg, "w");
		if (opt == 'p' && !profile)
			die(optarg);
		if (opt == 'l')
			library = optarg;
	}
	argc -= optind - 1;
	argv += optind - 1;
	if (argc > 2 && !strcmp(argv[1], "run"))
		ret = run(argv + 2);
	else if (argc == 4 && !strcmp(argv[1], "attach"))
		ret = attach((pid_t)atoi(argv[2]), strtoull(argv[3], NULL, 10));
	else
		fprintf(stderr, "Usage: count_steps [-p FILE] [-l NAME] run PROGRAM ARGUMENT... | attach TID TIMES\n");
	if (ret)
		return ret;
	if (profile)
		write_profile();
	printf("{\"instructions\": %" PRIu64 ", \"syscalls\": %" PRIu64 ", \"enters\": %" PRIu64
	       ", \"submitted\": %" PRIu64 ", \"library\": %" PRIu64 "}\n",
	       counts.instructions, counts.syscalls, counts.enters, counts.submitted, in_library());
	return 0;
}
#endif
