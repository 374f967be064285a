/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TESTS_FAULT_H
#define NVMFT_TESTS_FAULT_H

/*
 * Allocations that fail on request. The test programs are linked with --wrap for everything that the library allocates with
 * (see meson.build), and with the static library, so that its calls come here and those of libc and CMocka do not.
 *
 * A sweep runs a whole life of a target again and again: in the n-th run the n-th allocation fails, alone (transient) or with all
 * that follow (persistent), until a run comes to its end without having met a failure. Each run must give back all that it
 * took; whatever it asked for either worked or was refused cleanly.
 */
#include <stdbool.h>
#include <stddef.h>

struct fault {
	unsigned int n;     /* the allocation that fails, from 1 */
	bool persistent;    /* and all after it */
	unsigned int count; /* allocations so far in this run */
	bool hit;           /* one has failed */
	long blocks;        /* allocated and not freed: heap */
	long mapped;        /* bytes: mmap */
};

extern struct fault fault;

/* Run @life until it sees no failure. Fails the test when memory is left behind. Returns the number of runs. */
unsigned int fault_sweep(void (*life)(void), bool persistent);

/*
 * fault_try() - do @op, which may be refused for want of memory
 *
 * Refused without a failed allocation, it fails the test. In a transient run a refused operation is tried once more and
 * has to work then. Returns whether it worked.
 */
bool fault_try(int (*op)(void *arg), void *arg, const char *what);

#endif
