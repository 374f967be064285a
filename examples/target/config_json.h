/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_EXAMPLE_CONFIG_JSON_H
#define NVMFT_EXAMPLE_CONFIG_JSON_H

#include "config.h"
#include "report.h"

struct json_object;

/*
 * Read a file in the form of `nvmetcli save`. NULL when it is not JSON at all; otherwise a configuration, of which the
 * report may have mistakes. config_check() is still to be called.
 */
struct config *config_from_json(const char *file, struct report *r);

/* Read an element of "subsystems" into the struct config @object. */
void json_read_subsystem(struct report *r, struct json_object *json, void *object);

#endif
