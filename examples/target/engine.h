/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_EXAMPLE_ENGINE_H
#define NVMFT_EXAMPLE_ENGINE_H

#include <nvmft/nvmft.h>
#include <stdio.h>

#include "config.h"

/* A target in service, with the configuration that it serves. */
struct engine {
	struct nvmft_target *target;
	struct config *config;
	bool threads;
	struct nvmft_done stopped;
	int stopped_fd; /* readable when the target has stopped */
};

/* What a program exits with. */
enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,  /* the machine or the library failed */
	EXIT_MISTAKE = 2, /* the configuration or command line is at fault */
};

/* Start service. Takes the configuration. Returns one of the above; on failure everything is undone. */
int engine_start(struct engine *e, struct config *config);

/* Go over to another configuration. Takes it. */
void engine_reload(struct engine *e, struct config *config);

/* Begin to end service; e->stopped_fd becomes readable when the last I/O is over. */
int engine_stop(struct engine *e);
void engine_destroy(struct engine *e);

/* The commands by which a Linux host connects. */
void engine_print_connect(const struct engine *e, FILE *out);

/* One line about what is in service. */
void engine_summary(const struct engine *e, char *text, size_t len);

#endif
