/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LIB_VIEW_H
#define NVMFT_LIB_VIEW_H

#include "subsystem.h"
#include "target.h"

/*
 * The configured world as poll groups see it: immutable, published as a whole. A group moves to the newest view at the
 * start of a pass. What a change removed is put on the outgoing view and released when no group can see it any more: each view
 * holds a reference to its successor, thus views die in order.
 */

/* A namespace as of one view. */
struct ns_view {
	struct nvmft_namespace *ns;
	uint32_t nsid;
	struct nvmft_backend_info info;
	uint8_t lba_shift;
	bool read_only;
	bool picky;          /* not every buffer of a transport will do */
	uint64_t max_blocks; /* of a command, by MDTS */
	uint64_t changed; /* view generation of the last change of this namespace's facts */
};

/* A subsystem as of one view; shared by successive views while it does not change. */
struct subsys_view {
	atomic_uint refs;
	struct nvmft_subsystem *subsys;
	bool allow_any_host;
	struct nvmft_host **hosts;
	uint32_t nhosts;
	struct ns_view *ns; /* the active ones, sorted by NSID */
	uint32_t nns;
	struct nvmft_namespace **gone; /* configured, but their device is gone */
	uint32_t ngone;
};

struct referral {
	uint16_t portid;
	uint8_t trtype, adrfam;
	char traddr[NVMF_TRADDR_SIZE];
	char trsvcid[NVMF_TRSVCID_SIZE];
	char nqn[NVME_NQN_LENGTH];
};

struct port_view {
	struct nvmft_port *port;
	struct nvmft_subsystem **links;
	uint32_t nlinks;
	struct referral *referrals;
	uint32_t nreferrals;
};

struct nvmft_view {
	unsigned int refs; /* under target->view_lock */
	uint64_t gen;
	uint64_t disc_genctr; /* GENCTR of the discovery log */
	struct nvmft_view *next;
	struct retired *retired;
	struct nvmft_target *target;
	struct subsys_view **subsys;
	uint32_t nsubsys;
	struct port_view *ports;
	uint32_t nports;
	bool stopping;
};

/*
 * nvmft_view_publish() - make the mutable configuration visible
 * @retired: chain of what the change removed, or NULL
 * @discovery: the discovery log may have changed
 *
 * Context: control, target->lock held.
 * Return: 0; -ENOMEM: nothing is visible, @retired is still the caller's and the caller undoes its change.
 */
int nvmft_view_publish(struct nvmft_target *target, struct retired *retired, bool discovery);

/* The first view of a new target, and the end of the last one. */
int nvmft_view_init(struct nvmft_target *target);
void nvmft_view_fini(struct nvmft_target *target);

/* Move a group to the newest view, closing what is gone and raising events. Context: the group's thread. */
void nvmft_view_update(struct nvmft_poll_group *group);
/* A group leaves (it is being freed). */
void nvmft_view_leave(struct nvmft_poll_group *group);

/* Look-ups. Results live as long as the group's current view, i.e. to the end of the pass. */
const struct subsys_view *nvmft_view_subsys(const struct nvmft_view *view, const char *nqn);
const struct subsys_view *nvmft_view_subsys_of(const struct nvmft_view *view, const struct nvmft_subsystem *subsys);
const struct port_view *nvmft_view_port(const struct nvmft_view *view, const struct nvmft_port *port);
bool nvmft_view_linked(const struct port_view *port, const struct nvmft_subsystem *subsys);
bool nvmft_view_host_allowed(const struct subsys_view *sv, const char *hostnqn);

/* A namespace is configured, whether active or not; one with this NSID is, and its device is gone. Not for every command. */
bool nvmft_view_configured(const struct subsys_view *sv, const struct nvmft_namespace *ns);
bool nvmft_view_gone(const struct subsys_view *sv, uint32_t nsid);

/* Active namespace by NSID, or NULL. NSIDs are usually 1..n, which is looked at first. */
static inline const struct ns_view *nvmft_view_ns(const struct subsys_view *sv, uint32_t nsid)
{
	uint32_t lo = 0, hi = sv->nns;

	if (nsid - 1 < sv->nns && sv->ns[nsid - 1].nsid == nsid)
		return &sv->ns[nsid - 1];
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (sv->ns[mid].nsid == nsid)
			return &sv->ns[mid];
		if (sv->ns[mid].nsid < nsid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

#endif
