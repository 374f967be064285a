/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Controller properties, which fabrics have in place of registers (Base 2.0, 3.1.3).
 */
#include "controller.h"
#include "log.h"

#define CC_EN(cc) ((cc)&1)
#define CC_CSS(cc) (((cc) >> 4) & 7)
#define CC_MPS(cc) (((cc) >> 7) & 15)
#define CC_AMS(cc) (((cc) >> 11) & 7)
#define CC_SHN(cc) (((cc) >> 14) & 3)
#define CC_IOSQES(cc) (((cc) >> 16) & 15)
#define CC_IOCQES(cc) (((cc) >> 20) & 15)

#define CSTS_RDY (1u << 0)
#define CSTS_CFS (1u << 1)
#define CSTS_SHST_MASK (3u << 2)
#define CSTS_SHST_COMPLETE (2u << 2)

/* How long a controller may take to become ready, in units of 500 ms: CAP.TO and both fields of CRTO. */
#define READY_TIMEOUT 30u

uint64_t nvmft_ctrl_cap(const struct nvmft_port *port)
{
	uint64_t cap = port->opts.max_queue_depth - 1; /* MQES */

	cap |= 1ull << 16;                    /* CQR: contiguous queues, which is all that fabrics know */
	cap |= (uint64_t)READY_TIMEOUT << 24; /* TO */
	cap |= 1ull << 37;                    /* CSS: NVM command set */
	cap |= 1ull << 43;                    /* CSS: one or more I/O command sets, for hosts that set CC.CSS to 6 */
	cap |= 1ull << 59;                    /* CRMS: CRTO is valid, ready with media */
	return cap;
}

nvmft_status nvmft_ctrl_property_get(struct nvmft_ctrl *ctrl, uint32_t offset, bool eight_bytes, uint64_t *value)
{
	if (eight_bytes != (offset == NVME_REG_CAP))
		return SC_DNR(INVALID_FIELD);
	switch (offset) {
	case NVME_REG_CAP:
		*value = ctrl->cap;
		return 0;
	case NVME_REG_VS:
		*value = ctrl->vs;
		return 0;
	case NVME_REG_CC:
		*value = ctrl->cc;
		return 0;
	case NVME_REG_CSTS:
		*value = ctrl->csts;
		return 0;
	case NVME_REG_NSSR:
		/* Reads as 0; CAP.NSSRS tells that a write resets nothing. */
		*value = 0;
		return 0;
	case NVME_REG_CRTO:
		*value = READY_TIMEOUT << 16 | READY_TIMEOUT;
		return 0;
	default:
		return SC_DNR(INVALID_FIELD);
	}
}

static bool cc_valid(uint32_t cc)
{
	return CC_IOSQES(cc) == 6 && CC_IOCQES(cc) == 4 && CC_MPS(cc) == 0 && CC_AMS(cc) == 0 &&
	       (CC_CSS(cc) == 0 || CC_CSS(cc) == 6);
}

static bool discovery_cc_valid(uint32_t cc)
{
	/* No I/O queues, hence entry sizes mean nothing (3.1.2.2). */
	return CC_MPS(cc) == 0 && CC_AMS(cc) == 0 && (CC_CSS(cc) == 0 || CC_CSS(cc) == 6 || CC_CSS(cc) == 7);
}

static void ctrl_enable(struct nvmft_ctrl *ctrl)
{
	if (ctrl->discovery ? !discovery_cc_valid(ctrl->cc) : !cc_valid(ctrl->cc)) {
		nvmft_queue_log(ctrl->admin, NVMFT_LOG_WARN, "CC %08x cannot be enabled", ctrl->cc);
		ctrl->csts = CSTS_CFS;
		return;
	}
	ctrl->csts = CSTS_RDY;
	ctrl->admin->all_csi = CC_CSS(ctrl->cc) == 6;
}

/* Controller reset (3.7.2): the I/O queues are deleted. Not ready until the last of them is gone. */
static void ctrl_disable(struct nvmft_ctrl *ctrl)
{
	nvmft_aer_flush(ctrl);
	nvmft_features_init(ctrl);
	if (!ctrl->nioqs) {
		ctrl->csts = 0;
		return;
	}
	ctrl->resetting = true;
	nvmft_ctrl_close_ioqs(ctrl);
}

void nvmft_ctrl_ioqs_gone(struct nvmft_ctrl *ctrl)
{
	if (!ctrl->resetting)
		return;
	ctrl->resetting = false;
	ctrl->csts = 0;
	/* The host may have asked for more while it waited. */
	if (CC_EN(ctrl->cc))
		ctrl_enable(ctrl);
}

/*
 * Shutdown (3.6.1) is complete at once: what must be durable was flushed by the host, and hosts close their I/O queues
 * before or after, as they like.
 */
static void ctrl_shutdown(struct nvmft_ctrl *ctrl)
{
	ctrl->csts = (ctrl->csts & ~CSTS_SHST_MASK) | CSTS_SHST_COMPLETE;
}

static void ctrl_write_cc(struct nvmft_ctrl *ctrl, uint32_t cc)
{
	uint32_t old = ctrl->cc;

	ctrl->cc = cc;
	if (CC_SHN(cc) && !CC_SHN(old))
		ctrl_shutdown(ctrl);
	if (!CC_SHN(cc) && CC_SHN(old))
		ctrl->csts &= ~CSTS_SHST_MASK;
	if (CC_EN(cc) && !CC_EN(old) && !ctrl->resetting)
		ctrl_enable(ctrl);
	else if (!CC_EN(cc) && CC_EN(old))
		ctrl_disable(ctrl);
}

nvmft_status nvmft_ctrl_property_set(struct nvmft_ctrl *ctrl, uint32_t offset, bool eight_bytes, uint64_t value)
{
	if (eight_bytes)
		return SC_DNR(INVALID_FIELD);
	switch (offset) {
	case NVME_REG_CC:
		ctrl_write_cc(ctrl, (uint32_t)value);
		return 0;
	case NVME_REG_NSSR:
		/* CAP.NSSRS is 0: a write has no effect. */
		return 0;
	default:
		return SC_DNR(INVALID_FIELD);
	}
}
