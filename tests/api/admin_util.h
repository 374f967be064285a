/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TESTS_ADMIN_UTIL_H
#define NVMFT_TESTS_ADMIN_UTIL_H

/* What the tests of the admin commands share. */

#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <nvme/types.h>

#include "host.h"

#define DNR 0x4000
#define SC_CMD_SPECIFIC 0x100
#define NSID_ALL 0xffffffffu
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A world with one subsystem of one namespace (1 MiB of 512-byte blocks, NSID 1) and one controller. */
struct admin_world {
	struct th t;
	struct nvmft_subsystem *subsys;
	struct nvmft_namespace *ns;
	struct th_ctrl ctrl;
};

static inline int admin_setup_opts(void **state, const struct th_opts *opts, const struct nvmft_subsystem_opts *sub,
				   const struct th_ctrl_opts *ctrl)
{
	struct admin_world *w = calloc(1, sizeof(*w));

	th_start(&w->t, opts);
	w->subsys = sub ? th_add_subsystem_opts(&w->t, sub) : th_add_subsystem(&w->t, TH_NQN);
	w->ns = th_add_memory(w->subsys, 1 << 20, 512);
	if (!w->t.threaded)
		th_settle(&w->t);
	th_ctrl_connect(&w->t, &w->ctrl, ctrl);
	*state = w;
	return 0;
}

static inline int admin_setup(void **state)
{
	return admin_setup_opts(state, NULL, NULL, NULL);
}

static inline int admin_setup_discovery(void **state)
{
	static const struct th_ctrl_opts opts = {.discovery = true, .kato_ms = 10000};

	return admin_setup_opts(state, NULL, NULL, &opts);
}

static inline int admin_teardown(void **state)
{
	struct admin_world *w = *state;

	th_ctrl_disconnect(&w->ctrl);
	th_stop(&w->t);
	free(w);
	return 0;
}

static inline nvmft_status admin_exec(struct admin_world *w, const struct nvmft_sqe *sqe, void *data, size_t len)
{
	return th_exec(&w->ctrl.admin, sqe, data, len);
}

static inline nvmft_status admin_identify(struct admin_world *w, uint8_t cns, uint32_t nsid, void *data)
{
	struct nvmft_sqe sqe;

	memset(data, 0xff, 4096);
	th_sqe_identify(&sqe, cns, nsid);
	return admin_exec(w, &sqe, data, 4096);
}

static inline nvmft_status admin_log(struct admin_world *w, uint8_t lid, uint64_t offset, void *data, uint32_t len)
{
	struct nvmft_sqe sqe;

	memset(data, 0xff, len);
	th_sqe_log(&sqe, lid, 0, offset, len, false);
	return admin_exec(w, &sqe, data, len);
}

static inline nvmft_status admin_get_feature(struct admin_world *w, uint8_t fid, uint32_t cdw11, uint32_t *value)
{
	struct nvmft_sqe sqe;
	nvmft_status status;

	th_sqe_get_features(&sqe, fid, cdw11);
	status = admin_exec(w, &sqe, NULL, 0);
	*value = le32toh(w->ctrl.admin.cqe.dw0);
	return status;
}

static inline nvmft_status admin_set_feature(struct admin_world *w, uint8_t fid, uint32_t cdw11)
{
	struct nvmft_sqe sqe;

	th_sqe_set_features(&sqe, fid, cdw11);
	return admin_exec(w, &sqe, NULL, 0);
}

#define ADMIN_TEST(name) cmocka_unit_test_setup_teardown(name, admin_setup, admin_teardown)

#endif
