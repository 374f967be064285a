/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LIB_ADMIN_H
#define NVMFT_LIB_ADMIN_H

#include "controller.h"
#include "pass.h"

/* What the files of the admin command set share. Everything runs on the controller's thread. */

#define IDENTIFY_LEN 4096u

/* Temperatures in Kelvin. A target in software has none; these are those of a healthy device. */
#define ADMIN_TEMPERATURE_K 310u
#define ADMIN_WCTEMP_K 343u
#define ADMIN_CCTEMP_K 353u

/* ACL, 0-based: Abort commands that may be outstanding. */
#define ADMIN_ACL 3u

/* Namespace of the controller, or NULL when it is inactive. */
static inline const struct ns_view *ctrl_ns(const struct nvmft_ctrl *ctrl, uint32_t nsid)
{
	const struct ns_view *nsv = ctrl->sv ? nvmft_view_ns(ctrl->sv, nsid) : NULL;

	return nsv && nvmft_queue_sees(ctrl->admin, nsv) ? nsv : NULL;
}

/* Command set that a command is about: CSI of Identify. */
static inline uint8_t sqe_csi(const struct request *req)
{
	return (uint8_t)(le32toh(req->pub.sqe.cdw11) >> 24);
}

/* NSIDs are 1..MNAN (Base 2.0, 3.2.1.2); what lies in between and is not there is inactive. */
static inline bool ctrl_nsid_valid(const struct nvmft_ctrl *ctrl, uint32_t nsid)
{
	return nsid != 0 && nsid <= ctrl->subsys->opts.max_namespaces;
}

/* Most bytes that one admin command moves: MDTS, or without one the largest buffer that there is. */
static inline uint64_t ctrl_max_transfer(const struct nvmft_ctrl *ctrl)
{
	return ctrl->subsys->mdts ? 4096ull << ctrl->subsys->mdts : 1ull << POOL_MAX_SHIFT;
}

/* AERs that a controller takes (AERL + 1). */
static inline uint32_t ctrl_max_aers(const struct nvmft_ctrl *ctrl)
{
	return ctrl->subsys->opts.max_aers;
}

/* identify_ctrl.c: the data structures of one controller. */
void nvmft_identify_ctrl(struct request *req);     /* CNS 01h */
void nvmft_identify_ctrl_csi(struct request *req); /* CNS 06h */

/* identify_ns.c: those of one namespace. */
void nvmft_identify_ns(struct request *req);        /* CNS 00h */
void nvmft_identify_ns_descs(struct request *req);  /* CNS 03h */
void nvmft_identify_ns_csi(struct request *req);    /* CNS 05h */
void nvmft_identify_ns_common(struct request *req); /* CNS 08h */

#endif
