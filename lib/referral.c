/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Referrals: other discovery services that a port's discovery log names.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "port.h"

static int find_referral(const struct nvmft_port *port, const char *traddr, const char *trsvcid)
{
	uint32_t i;

	for (i = 0; i < port->nreferrals; i++)
		if (strcmp(port->referrals[i].traddr, traddr) == 0 && strcmp(port->referrals[i].trsvcid, trsvcid) == 0)
			return (int)i;
	return -ENOENT;
}

static int referral_fill(struct nvmft_port *port, struct referral *r, const struct nvmft_referral_opts *opts)
{
	struct nvmft_referral_opts o;

	nvmft_opts_copy(&o, sizeof(o), opts, opts ? opts->size : 0);
	if (!o.trsvcid)
		o.trsvcid = "8009";
	if (!o.nqn)
		o.nqn = NVMFT_DISCOVERY_NQN;
	if (!o.traddr || !o.traddr[0] || strlen(o.traddr) >= sizeof(r->traddr) || strlen(o.trsvcid) >= sizeof(r->trsvcid)) {
		nvmft_port_log(port, NVMFT_LOG_ERROR, "referral: traddr, trsvcid: missing or too long");
		return -EINVAL;
	}
	if (!nvmft_nqn_valid(o.nqn)) {
		nvmft_port_log(port, NVMFT_LOG_ERROR, "referral: nqn: not an NQN");
		return -EINVAL;
	}
	memset(r, 0, sizeof(*r));
	r->portid = o.portid;
	r->trtype = o.trtype;
	r->adrfam = o.adrfam;
	strcpy(r->traddr, o.traddr);
	strcpy(r->trsvcid, o.trsvcid);
	strcpy(r->nqn, o.nqn);
	return 0;
}

static int add_locked(struct nvmft_port *port, const struct referral *r)
{
	struct referral *grown;
	int ret = nvmft_target_check_running(port->target);

	if (ret)
		return ret;
	if (find_referral(port, r->traddr, r->trsvcid) >= 0)
		return -EEXIST;
	grown = realloc(port->referrals, (port->nreferrals + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	port->referrals = grown;
	grown[port->nreferrals++] = *r;
	ret = nvmft_view_publish(port->target, NULL, true);
	if (ret)
		port->nreferrals--;
	return ret;
}

int nvmft_port_add_referral(struct nvmft_port *port, const struct nvmft_referral_opts *opts)
{
	struct referral r;
	int ret = referral_fill(port, &r, opts);

	if (ret)
		return ret;
	nvmft_target_lock(port->target);
	ret = add_locked(port, &r);
	nvmft_target_unlock(port->target);
	return ret;
}

static int remove_locked(struct nvmft_port *port, const char *traddr, const char *trsvcid)
{
	int ret = nvmft_target_check_running(port->target), at;
	struct referral removed;

	if (ret)
		return ret;
	at = find_referral(port, traddr, trsvcid);
	if (at < 0)
		return at;
	removed = port->referrals[at];
	port->referrals[at] = port->referrals[--port->nreferrals];
	ret = nvmft_view_publish(port->target, NULL, true);
	if (ret) {
		port->referrals[port->nreferrals++] = port->referrals[at];
		port->referrals[at] = removed;
	}
	return ret;
}

int nvmft_port_remove_referral(struct nvmft_port *port, const char *traddr, const char *trsvcid)
{
	int ret;

	nvmft_target_lock(port->target);
	ret = remove_locked(port, traddr, trsvcid);
	nvmft_target_unlock(port->target);
	return ret;
}
