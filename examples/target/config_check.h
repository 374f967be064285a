/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_EXAMPLE_CONFIG_CHECK_H
#define NVMFT_EXAMPLE_CONFIG_CHECK_H

#include "config.h"
#include "report.h"

/*
 * What can only be seen when everything is read: duplicates, references, values that do not go together. Fills in what
 * was left open (namespace and port identifiers).
 */
void config_check(struct config *c, struct report *r);

/* Look at what the machine has, too: backing files. Reports warnings only, as files may come and go. */
void config_check_files(const struct config *c, struct report *r);

#endif
