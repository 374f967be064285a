/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nvme/types.h>

#include "host.h"

#define PROP_CAP 0x00
#define PROP_CC 0x14
#define PROP_CSTS 0x1c

#define CC_EN (1u << 0)
#define CC_CSS_ALL (6u << 4)
#define CC_SHN_NORMAL (1u << 14)
#define CC_ENTRY_SIZES (6u << 16 | 4u << 20)
#define CSTS_RDY (1u << 0)
#define CSTS_CFS (1u << 1)
#define CSTS_SHST_MASK (3u << 2)
#define CSTS_SHST_DONE (2u << 2)

#define KEEP_ALIVE_CID 1

static int run(struct host_ctrl *ctrl, struct host_cmd *cmd, const char *what, struct host_error *err)
{
	unsigned int status = host_exec(ctrl->admin, cmd, ctrl->how.timeout_ms);

	if (ctrl->admin->dead)
		host_fail(err, "%s: %s", what, ctrl->admin->why.text);
	else if (status)
		host_fail(err, "%s: %s (%03xh)", what, host_status_words(status), status);
	return status ? -1 : 0;
}

static int property_get(struct host_ctrl *ctrl, uint32_t offset, bool wide, uint64_t *value, struct host_error *err)
{
	struct host_cmd cmd = {.sqe = {.opcode = 0x7f, .nsid = htole32(0x04)}};

	cmd.sqe.cdw[0] = htole32(wide ? 1 : 0);
	cmd.sqe.cdw[1] = htole32(offset);
	if (run(ctrl, &cmd, "Property Get", err) < 0)
		return -1;
	*value = le32toh(cmd.cqe.dw0) | (wide ? (uint64_t)le32toh(cmd.cqe.dw1) << 32 : 0);
	return 0;
}

static int property_set(struct host_ctrl *ctrl, uint32_t offset, uint32_t value, struct host_error *err)
{
	struct host_cmd cmd = {.sqe = {.opcode = 0x7f, .nsid = htole32(0x00)}};

	cmd.sqe.cdw[1] = htole32(offset);
	cmd.sqe.cdw[2] = htole32(value);
	return run(ctrl, &cmd, "Property Set", err);
}

/* Wait until CSTS has @want in @mask. */
static int wait_csts(struct host_ctrl *ctrl, uint32_t mask, uint32_t want, const char *what, struct host_error *err)
{
	/* CAP.TO counts 500 ms; 0 is taken as one of them. */
	uint64_t limit = ((ctrl->cap >> 24 & 0xff) + 1) * 500000000ull;
	uint64_t deadline = host_now() + limit, csts;

	for (;;) {
		if (property_get(ctrl, PROP_CSTS, false, &csts, err) < 0)
			return -1;
		if ((csts & mask) == want)
			return 0;
		if (csts & CSTS_CFS) {
			host_fail(err, "the controller reports a fatal status (CSTS.CFS)");
			return -1;
		}
		if (host_now() > deadline) {
			host_fail(err, "the controller %s within %llu ms (CSTS %08llx)", what,
				  (unsigned long long)limit / 1000000, (unsigned long long)csts);
			return -1;
		}
		host_poll(ctrl->admin->group, 1);
	}
}

static int enable(struct host_ctrl *ctrl, struct host_error *err)
{
	uint32_t cc = CC_EN | CC_ENTRY_SIZES;
	uint16_t mqes;

	if (property_get(ctrl, PROP_CAP, true, &ctrl->cap, err) < 0)
		return -1;
	mqes = (uint16_t)(ctrl->cap & 0xffff);
	ctrl->max_depth = mqes;
	/* CAP.CSS: bit 37 the NVM command set, bit 43 several by CC.CSS 110b. */
	if (!(ctrl->cap >> 37 & 1) && (ctrl->cap >> 43 & 1))
		cc |= CC_CSS_ALL;
	if (property_set(ctrl, PROP_CC, cc, err) < 0)
		return -1;
	return wait_csts(ctrl, CSTS_RDY, CSTS_RDY, "did not become ready", err);
}

int host_ctrl_open(struct host_group *group, const struct host_connect *how, struct host_ctrl *ctrl,
		   struct host_error *err)
{
	memset(ctrl, 0, sizeof(*ctrl));
	ctrl->how = *how;
	ctrl->how.qid = 0;
	ctrl->how.cntlid = 0xffff;
	ctrl->how.depth = 31;
	/* Traffic on the admin queue is checked with flow control in any case. */
	ctrl->how.no_sqflow = false;
	if (host_connect(group, &ctrl->how, &ctrl->admin, err) < 0)
		return -1;
	ctrl->how.cntlid = ctrl->admin->cntlid;
	ctrl->keep_alive_due = host_now() + how->kato_ms * 500000ull;
	if (enable(ctrl, err) < 0) {
		host_disconnect(ctrl->admin);
		ctrl->admin = NULL;
		return -1;
	}
	return 0;
}

static int identify(struct host_ctrl *ctrl, uint8_t cns, uint32_t nsid, void *buf, const char *what,
		    struct host_error *err)
{
	struct host_cmd cmd = {
		.sqe = {.opcode = 0x06, .nsid = htole32(nsid)}, .data = buf, .data_len = 4096, .dir = HOST_FROM_CTRL};

	cmd.sqe.cdw[0] = htole32(cns);
	return run(ctrl, &cmd, what, err);
}

static void copy_text(char *to, const char *from, size_t len)
{
	memcpy(to, from, len);
	to[len] = 0;
	while (len && (to[len - 1] == ' ' || to[len - 1] == 0))
		to[--len] = 0;
}

int host_ctrl_identify(struct host_ctrl *ctrl, struct host_error *err)
{
	struct nvme_id_ctrl *id = calloc(1, sizeof(*id));
	unsigned int page_shift = 12 + (unsigned int)(ctrl->cap >> 48 & 0xf);
	uint32_t capsule;
	int rc = -1;

	_Static_assert(sizeof(struct nvme_id_ctrl) == 4096, "Identify Controller");
	if (!id) {
		host_fail(err, "out of memory");
		return -1;
	}
	if (identify(ctrl, 0x01, 0, id, "Identify Controller", err) < 0)
		goto out;
	copy_text(ctrl->model, id->mn, sizeof(id->mn));
	copy_text(ctrl->serial, id->sn, sizeof(id->sn));
	ctrl->max_transfer = !id->mdts || id->mdts + page_shift > 31 ? UINT32_MAX : 1u << (id->mdts + page_shift);
	capsule = le32toh(id->ioccsz);
	if (id->cntrltype != NVME_CTRL_CNTRLTYPE_DISCOVERY && (capsule < 4 || capsule > 1u << 20 || id->icdoff)) {
		host_fail(err, "Identify Controller: IOCCSZ %u, ICDOFF %u", capsule, le16toh(id->icdoff));
		goto out;
	}
	ctrl->in_capsule = capsule >= 4 ? capsule * 16 - 64 : 0;
	if (le16toh(id->cntlid) != ctrl->admin->cntlid) {
		host_fail(err, "Identify Controller: CNTLID %u, Connect said %u", le16toh(id->cntlid),
			  ctrl->admin->cntlid);
		goto out;
	}
	rc = 0;
out:
	free(id);
	return rc;
}

int host_ctrl_queues(struct host_ctrl *ctrl, unsigned int want, struct host_error *err)
{
	struct host_cmd cmd = {.sqe = {.opcode = 0x09}};
	uint32_t granted;

	cmd.sqe.cdw[0] = htole32(0x07);
	cmd.sqe.cdw[1] = htole32((want - 1) | (want - 1) << 16);
	if (run(ctrl, &cmd, "Set Features (Number of Queues)", err) < 0)
		return -1;
	granted = (le32toh(cmd.cqe.dw0) & 0xffff) + 1;
	if ((le32toh(cmd.cqe.dw0) >> 16) + 1 < granted)
		granted = (le32toh(cmd.cqe.dw0) >> 16) + 1;
	if (granted < want) {
		host_fail(err, "%u queues were asked for, the controller grants %u", want, granted);
		return -1;
	}
	return 0;
}

static bool listed(const uint32_t *list, uint32_t nsid)
{
	size_t i;

	for (i = 0; i < 1024 && list[i]; i++)
		if (le32toh(list[i]) == nsid)
			return true;
	return false;
}

int host_ctrl_ns(struct host_ctrl *ctrl, uint32_t nsid, struct host_ns *ns, struct host_error *err)
{
	struct nvme_id_ns *id = calloc(1, 4096);
	uint8_t shift;
	int rc = -1;

	if (!id) {
		host_fail(err, "out of memory");
		return -1;
	}
	/* CNS 02h lists what is above the NSID that is given. */
	if (identify(ctrl, 0x02, nsid - 1, id, "Identify Active Namespace ID list", err) < 0)
		goto out;
	if (!listed((const uint32_t *)(const void *)id, nsid)) {
		host_fail(err, "there is no namespace with NSID %u", nsid);
		goto out;
	}
	memset(id, 0, 4096);
	if (identify(ctrl, 0x00, nsid, id, "Identify Namespace", err) < 0)
		goto out;
	shift = id->lbaf[id->flbas & 0xf].ds;
	if (shift < 9 || shift > 16 || !id->nsze) {
		host_fail(err, "namespace %u: blocks of 2^%u bytes, %llu of them", nsid, shift,
			  (unsigned long long)le64toh(id->nsze));
		goto out;
	}
	*ns = (struct host_ns){.nsid = nsid, .block_size = 1u << shift, .blocks = le64toh(id->nsze)};
	rc = 0;
out:
	free(id);
	return rc;
}

int host_ctrl_log(struct host_ctrl *ctrl, uint8_t lid, uint64_t offset, void *buf, uint32_t len, struct host_error *err)
{
	struct host_cmd cmd = {.sqe = {.opcode = 0x02}, .data = buf, .data_len = len, .dir = HOST_FROM_CTRL};
	uint32_t dwords = len / 4 - 1;

	cmd.sqe.cdw[0] = htole32(lid | (dwords & 0xffff) << 16);
	cmd.sqe.cdw[1] = htole32(dwords >> 16);
	cmd.sqe.cdw[2] = htole32((uint32_t)offset);
	cmd.sqe.cdw[3] = htole32((uint32_t)(offset >> 32));
	return run(ctrl, &cmd, "Get Log Page", err);
}

static void keep_alive_done(struct host_cmd *cmd)
{
	struct host_ctrl *ctrl = (struct host_ctrl *)(void *)((char *)cmd - offsetof(struct host_ctrl, keep_alive));

	ctrl->keep_alive_busy = false;
	ctrl->keep_alive_failed = host_status(&cmd->cqe) != 0;
}

void host_ctrl_tick(struct host_ctrl *ctrl)
{
	uint64_t now;

	if (!ctrl->how.kato_ms || ctrl->keep_alive_busy || ctrl->admin->dead)
		return;
	now = host_now();
	if (now < ctrl->keep_alive_due)
		return;
	ctrl->keep_alive =
		(struct host_cmd){.sqe = {.opcode = 0x18, .cid = htole16(KEEP_ALIVE_CID)}, .done = keep_alive_done};
	ctrl->keep_alive_busy = true;
	ctrl->keep_alive_due = now + ctrl->how.kato_ms * 500000ull;
	host_submit(ctrl->admin, &ctrl->keep_alive);
}

int host_ctrl_close(struct host_ctrl *ctrl, struct host_error *err)
{
	int rc = -1;

	if (!ctrl->admin)
		return 0;
	if (ctrl->admin->dead)
		host_fail(err, "admin queue: %s", ctrl->admin->why.text);
	else if (property_set(ctrl, PROP_CC, CC_EN | CC_ENTRY_SIZES | CC_SHN_NORMAL, err) == 0)
		rc = wait_csts(ctrl, CSTS_SHST_MASK, CSTS_SHST_DONE, "did not shut down", err);
	host_disconnect(ctrl->admin);
	ctrl->admin = NULL;
	return rc;
}
