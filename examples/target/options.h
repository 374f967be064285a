/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_EXAMPLE_OPTIONS_H
#define NVMFT_EXAMPLE_OPTIONS_H

#include "config.h"
#include "report.h"

struct options {
	const char *config_file;
	bool check;
	bool help;
	bool version;
	struct texts target_keys, target_values; /* options that also go with a file, which they override */
	struct texts listens, namespaces, hosts;
	const char *subsystem, *serial, *model, *max_io, *in_capsule;
};

/* The words of the command line. Mistakes are reported. */
void options_parse(struct options *o, int argc, char **argv, struct report *r);
void options_fini(struct options *o);
void options_usage(FILE *out);

/*
 * The configuration that the options ask for, from a file or of their own. NULL or a report with errors: there are
 * mistakes.
 * @r is for the file or the command line, as options_source() says.
 */
struct config *options_config(const struct options *o, struct report *r);
const char *options_source(const struct options *o);

/* What --listen and --namespace take; the report stands at the option. */
void spec_listen(struct config *c, const char *text, struct report *r);
void spec_namespace(struct subsystem_config *s, const char *text, struct report *r);

#endif
