/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "discovery.h"

/*
 * The Discovery log page (Base 2.0, 5.16.1.23) of one host: what it may reach over the transport that it came by. It is
 * built anew from the group's view for each read; GENCTR tells the host when two reads do not belong together.
 */

#define DISC_ASQSZ 32u /* what every host may have */

_Static_assert(sizeof(struct nvmf_disc_log_entry) == 1024, "discovery log entry");
_Static_assert(sizeof(struct nvmf_discovery_log) == 1024, "discovery log header");

/* "1.2.3.4:4420" and "[fe80::1]:4420" without what follows the address; IPv4 in IPv6's clothes becomes IPv4. */
void nvmft_disc_strip_address(char *address)
{
	char *colon = strchr(address, ':');

	if (address[0] == '[') {
		size_t len = strcspn(address, "]");

		memmove(address, address + 1, len - 1);
		address[len - 1] = '\0';
	} else if (colon && !strchr(colon + 1, ':')) {
		*colon = '\0';
	}
	if (strncmp(address, "::ffff:", 7) == 0 && strchr(address, '.'))
		memmove(address, address + 7, strlen(address + 7) + 1);
}

static bool ip_wildcard(const char *traddr)
{
	return strcmp(traddr, "0.0.0.0") == 0 || strcmp(traddr, "::") == 0;
}

/* What the host can use for the address of a port. A listener on all addresses has the one that the host came to. */
static bool entry_address(struct nvmf_disc_log_entry *entry, const struct disc_reader *reader,
			  const struct nvmft_port *port)
{
	const char *traddr = port->announce[0] ? port->announce : port->traddr;

	entry->adrfam = port->adrfam;
	if (ip_wildcard(traddr)) {
		/* An IPv4 listener has no address for a host that came over IPv6; the other way round most have. */
		if (!reader->local[0] || (strchr(reader->local, ':') && !strchr(traddr, ':')))
			return false;
		traddr = reader->local;
	}
	if (port->adrfam == NVMF_ADDR_FAMILY_IP4 || port->adrfam == NVMF_ADDR_FAMILY_IP6)
		entry->adrfam = strchr(traddr, ':') ? NVMF_ADDR_FAMILY_IP6 : NVMF_ADDR_FAMILY_IP4;
	spec_pad(entry->traddr, sizeof(entry->traddr), traddr);
	spec_pad(entry->trsvcid, sizeof(entry->trsvcid), port->trsvcid);
	return true;
}

/* Whoever listens by librdmacm has hosts connect by RDMA_CM to reliable connections. */
static void entry_tsas(struct nvmf_disc_log_entry *entry)
{
	if (entry->trtype != NVMF_TRTYPE_RDMA)
		return;
	entry->tsas.rdma.qptype = NVMF_RDMA_QPTYPE_CONNECTED;
	entry->tsas.rdma.prtype = NVMF_RDMA_PRTYPE_NOT_SPECIFIED;
	entry->tsas.rdma.cms = NVMF_RDMA_CMS_RDMA_CM;
}

static void entry_init(struct nvmf_disc_log_entry *entry, uint8_t subtype, uint8_t trtype, uint16_t portid,
		       const char *nqn)
{
	memset(entry, 0, sizeof(*entry));
	entry->subtype = subtype;
	entry->trtype = trtype;
	entry->treq = NVMF_TREQ_DISABLE_SQFLOW;
	entry->portid = htole16(portid);
	entry->cntlid = htole16(NVMFT_CNTLID_DYNAMIC);
	entry->asqsz = htole16(DISC_ASQSZ);
	memcpy(entry->subnqn, nqn, strnlen(nqn, NVMFT_NQN_MAX));
	entry_tsas(entry);
}

static bool self_entry(struct nvmf_disc_log_entry *entry, const struct disc_reader *reader,
		       const struct nvmft_port *port)
{
	uint16_t eflags = NVMF_DISC_EFLAGS_EPCSD;

	entry_init(entry, NVME_NQN_CURR, port->ops.trtype, port->opts.portid, reader->nqn);
	if (reader->same_everywhere)
		eflags |= NVMF_DISC_EFLAGS_DUPRETINFO;
	entry->eflags = htole16(eflags);
	return entry_address(entry, reader, port);
}

static bool subsystem_entry(struct nvmf_disc_log_entry *entry, const struct disc_reader *reader,
			    const struct nvmft_port *port, const struct nvmft_subsystem *subsys)
{
	if (!nvmft_view_host_allowed(nvmft_view_subsys_of(reader->view, subsys), reader->hostnqn))
		return false;
	entry_init(entry, NVME_NQN_NVME, port->ops.trtype, port->opts.portid, subsys->nqn);
	if (subsys->opts.model_kind == NVMFT_CONTROLLERS_STATIC)
		entry->cntlid = htole16(NVMFT_CNTLID_STATIC);
	return entry_address(entry, reader, port);
}

static void referral_entry(struct nvmf_disc_log_entry *entry, const struct referral *referral)
{
	entry_init(entry, NVME_NQN_DISC, referral->trtype, referral->portid, referral->nqn);
	entry->treq = NVMF_TREQ_NOT_SPECIFIED;
	entry->adrfam = referral->adrfam;
	spec_pad(entry->traddr, sizeof(entry->traddr), referral->traddr);
	spec_pad(entry->trsvcid, sizeof(entry->trsvcid), referral->trsvcid);
}

static bool reachable(const struct disc_reader *reader, const struct port_view *pv)
{
	return pv->port->ops.trtype == reader->port->ops.trtype;
}

void nvmft_disc_reader_init(struct disc_reader *reader, const struct nvmft_ctrl *ctrl, const struct nvmft_view *view)
{
	uint32_t ports = 0, referrals = 0;

	memset(reader, 0, sizeof(*reader));
	reader->view = view;
	reader->port = ctrl->port;
	reader->hostnqn = ctrl->hostnqn;
	reader->nqn = ctrl->subsys->nqn;
	if (ctrl->port->ops.local_address) {
		ctrl->port->ops.local_address(ctrl->admin, reader->local, sizeof(reader->local));
		nvmft_disc_strip_address(reader->local);
	}
	for (uint32_t i = 0; i < view->nports; i++) {
		if (!reachable(reader, &view->ports[i]))
			continue;
		ports++;
		referrals += view->ports[i].nreferrals;
	}
	/* Referrals belong to a port, so with them the log may look different elsewhere. */
	reader->same_everywhere = ports == 1 || referrals == 0;
}

/* Item 0 of a port is the discovery subsystem itself, the others are what is linked to the port. */
static bool next_on_ports(struct disc_cursor *c, struct nvmf_disc_log_entry *entry)
{
	const struct nvmft_view *view = c->reader->view;

	while (c->port < view->nports) {
		const struct port_view *pv = &view->ports[c->port];
		uint32_t item = c->item++;

		if (item > pv->nlinks || !reachable(c->reader, pv)) {
			c->port++;
			c->item = 0;
		} else if (item == 0 ? self_entry(entry, c->reader, pv->port)
				     : subsystem_entry(entry, c->reader, pv->port, pv->links[item - 1])) {
			return true;
		}
	}
	return false;
}

bool nvmft_disc_next(struct disc_cursor *c, struct nvmf_disc_log_entry *entry)
{
	const struct port_view *pv;

	if (next_on_ports(c, entry))
		return true;
	pv = nvmft_view_port(c->reader->view, c->reader->port);
	if (!pv || c->referral >= pv->nreferrals)
		return false;
	referral_entry(entry, &pv->referrals[c->referral++]);
	return true;
}

static uint64_t count_entries(const struct disc_reader *reader)
{
	struct disc_cursor cursor = {.reader = reader};
	struct nvmf_disc_log_entry entry;
	uint64_t n = 0;

	while (nvmft_disc_next(&cursor, &entry))
		n++;
	return n;
}

uint64_t nvmft_discovery_log_size(struct request *req)
{
	struct nvmft_ctrl *ctrl = req_ctrl(req);
	struct disc_reader reader;

	nvmft_disc_reader_init(&reader, ctrl, ctrl->group->view);
	return sizeof(struct nvmf_discovery_log) + count_entries(&reader) * sizeof(struct nvmf_disc_log_entry);
}

void nvmft_discovery_log_page(struct page_window *w)
{
	struct nvmft_ctrl *ctrl = req_ctrl(w->req);
	struct nvmf_discovery_log header = {0};
	struct nvmf_disc_log_entry entry;
	struct disc_reader reader;
	struct disc_cursor cursor = {.reader = &reader};

	nvmft_disc_reader_init(&reader, ctrl, ctrl->group->view);
	header.genctr = htole64(reader.view->disc_genctr);
	header.numrec = htole64(count_entries(&reader));
	nvmft_page_put(w, &header, sizeof(header));
	while (nvmft_disc_next(&cursor, &entry))
		nvmft_page_put(w, &entry, sizeof(entry));
}
