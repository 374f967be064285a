/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TESTS_VFIO_NVME_WORLD_H
#define NVMFT_TESTS_VFIO_NVME_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model.h"

#define DEPTH 7u
#define BUFFERS 64u
#define BUFFER_LEN (2u << 20)
#define WORLD_NAMESPACES 2u
#define WORLD_GROUPS 2u
#define WORLD_TIMERS 8u

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

/* An I/O of the test. */
struct test_io {
	struct nvmft_io io;
	struct nvmft_iov iov[2];
	unsigned int done;
	_Alignas(16) unsigned char priv[NVMFT_IO_PRIV_MAX];
};

/* struct test_ns - a namespace of the core; @told: times that the core was told of a change, last with @info or @gone
 */
struct test_ns {
	struct nvmft_backend backend;
	struct vfio_nvme vn;
	bool open;
	unsigned int told;
	bool gone;
	struct nvmft_backend_info info;
};

/* struct test_channel - a namespace in a poll group */
struct test_channel {
	struct nvmft_channel channel;
	struct vfio_channel ch;
	bool open;
};

/* struct test_group - a poll group; @armed: operations that were started, to end its sleep */
struct test_group {
	struct nvmft_wake *armed[4];
};

struct test_timer {
	struct nvmft_timer *timer;
	uint64_t at;
};

/*
 * The core as the driver sees it, and a controller behind it. The controller's thread is a function that is called when
 * it was kicked or its time has come, unless it is @stuck.
 */
struct world {
	struct model *m;
	struct test_ns ns[WORLD_NAMESPACES];
	struct test_group groups[WORLD_GROUPS];
	struct test_channel channels[WORLD_GROUPS][WORLD_NAMESPACES];
	struct test_timer timers[WORLD_TIMERS];
	struct ctrl *ctrl;
	uint8_t *buffers;
	bool kicked, stuck, ended;
	unsigned int steps_after_call; /* that the thread gets in before its caller goes on */
	uint64_t step_at;
};

struct world *world_create(void);
/* Open namespace 1 and its channel in the first group, to the point where I/O goes through. Return: what they returned.
 */
int world_open(struct world *w, uint32_t depth);
/* The steps of it. */
int world_open_ns(struct world *w, unsigned int ns, uint32_t depth);
int world_open_channel(struct world *w, unsigned int group, unsigned int ns);
void world_close_channel(struct world *w, unsigned int group, unsigned int ns);
void world_close_ns(struct world *w, unsigned int ns);
/* Close what is open, and wait for the controller's end; nothing stays mapped. */
void world_close(struct world *w);
void world_free(struct world *w);

/* What most tests have. */
struct nvmft_channel *channel0(struct world *w);
struct vfio_pair *pair0(struct world *w);

/* A line of the log since the beginning has this in it. */
void expect_log(const char *text);
unsigned int log_lines(void);

void submit_to(struct world *w, unsigned int group, unsigned int ns, struct test_io *t, enum nvmft_io_op op,
	       uint64_t lba, uint32_t blocks, size_t at);
void submit(struct world *w, struct test_io *t, enum nvmft_io_op op, uint64_t lba, uint32_t blocks, size_t at);
/* A read that the controller has and keeps; then the first that it has is done, well, and was @t. */
void hold_read(struct world *w, struct test_io *t);
void answer_held(struct world *w, const struct test_io *t);
/* A pass of all poll groups: flush, model, the thread if it was kicked, poll. */
void pass(struct world *w);
/* Time goes by, with timers, steps of the thread and passes. */
void run_for(struct world *w, uint64_t ns);
/* What makes the group wake up is there. */
bool wakes(struct world *w, unsigned int group);

/* What tests begin and end with: a world, with namespace 1 open, both namespaces in the first group, namespace 1 in
 * both groups. */
int world_setup(void **state);
int world_setup_open(void **state);
int world_setup_two(void **state);
int world_setup_groups(void **state);
int world_teardown(void **state);
/* It is over, once, with this. */
void expect_io(const struct test_io *t, nvmft_status status);

#endif
