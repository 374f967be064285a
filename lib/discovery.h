/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LIB_DISCOVERY_H
#define NVMFT_LIB_DISCOVERY_H

#include "log_page.h"

/* Who reads a discovery log, and from where. */
struct disc_reader {
	const struct nvmft_view *view;
	const struct nvmft_port *port;
	const char *hostnqn;
	const char *nqn;              /* of the discovery subsystem */
	bool same_everywhere;         /* every port of the transport gives the same log */
	char local[NVMF_TRADDR_SIZE]; /* address of ours that the host connected to; empty: not known */
};

/* Walks the entries of a log, in an order that depends on the view alone. */
struct disc_cursor {
	const struct disc_reader *reader;
	uint32_t port, item, referral;
};

void nvmft_disc_reader_init(struct disc_reader *reader, const struct nvmft_ctrl *ctrl, const struct nvmft_view *view);
bool nvmft_disc_next(struct disc_cursor *cursor, struct nvmf_disc_log_entry *entry);
void nvmft_disc_strip_address(char *address);

#endif
