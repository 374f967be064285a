/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the device says of a namespace.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <nvme/types.h>

#include "vfio_nvme.h"

#define CNS_NS 0x00
#define CNS_NS_DESCRIPTORS 0x03
#define CNS_CSI_NS 0x05
#define CNS_CSI_CTRL 0x06

#define HOST_BEHAVIOR_LBAFEE 2 /* byte */

#define LOG_EFFECTS 0x05u

#define STATUS_CODE 0x7ff
#define STATUS_INVALID_OPCODE 0x01
#define STATUS_INVALID_FIELD 0x02
#define STATUS_INVALID_NAMESPACE 0x0b

/* What is moved without being looked at: not more than this. */
#define META_BYTES (128u << 10)

/* struct reading - facts in the making */
struct reading {
	struct ctrl *ctrl;
	uint32_t nsid;
	struct ssd_facts *facts;
};

static int complain(const struct reading *r, const char *what)
{
	nvmft_device_log(r->ctrl->dev, NVMFT_LOG_ERROR, "nsid: namespace %" PRIu32 " of the device %s", r->nsid, what);
	return -EINVAL;
}

static int refused(const struct reading *r, int err, const char *why)
{
	if (err)
		nvmft_device_log(r->ctrl->dev, NVMFT_LOG_ERROR,
				 "nsid: namespace %" PRIu32 " of the device has %s, which this backend does not serve",
				 r->nsid, why);
	return err;
}

/*
 * What a device answers that has no such thing: anything that it would say again. Other errors are of the moment, such
 * as Namespace Not Ready, and say nothing about the namespace: what was known of it stays as it is.
 */
static bool is_refusal(int status)
{
	int code = status & STATUS_CODE;

	return status & NVMFT_STATUS_DNR || code == STATUS_INVALID_OPCODE || code == STATUS_INVALID_FIELD ||
	       code == STATUS_INVALID_NAMESPACE;
}

static int unanswered(const struct reading *r, int status)
{
	nvmft_device_log(r->ctrl->dev, NVMFT_LOG_ERROR,
			 "nsid: the device answers status 0x%x when it is asked about namespace %" PRIu32,
			 (unsigned int)status & STATUS_CODE, r->nsid);
	return -EREMOTEIO;
}

static int answer(const struct reading *r, int err)
{
	return err <= 0 || is_refusal(err) ? err : unanswered(r, err);
}

/* What older devices do not know. Return: 0; -errno; above 0 a status of refusal. */
static int ask(const struct reading *r, uint8_t cns, uint8_t csi, uint32_t nsid)
{
	struct nvmft_sqe sqe = {
		.opcode = nvme_admin_identify,
		.nsid = htole32(nsid),
		.cdw10 = htole32(cns),
		.cdw11 = htole32((uint32_t)csi << 24),
	};
	uint64_t prp1 = htole64(r->ctrl->page.iova);

	memset(r->ctrl->page.base, 0, NVME_PAGE);
	memcpy(sqe.dptr, &prp1, sizeof(prp1));
	return answer(r, nvmft_admin_command(r->ctrl, &sqe, NULL));
}

/* Devices before NVMe 1.3 lack the list: then there are no identifiers but those of Identify Namespace. */
static int read_descriptors(const struct reading *r)
{
	char why[SSD_WHY];
	int err = ask(r, CNS_NS_DESCRIPTORS, 0, r->nsid);

	return err ? err < 0 ? err : 0 : refused(r, nvmft_ssd_take_descriptors(r->facts, r->ctrl->page.base, why), why);
}

/* Devices without such formats do not know the structure that tells of them. */
static int read_pi(const struct reading *r, const struct nvme_id_ns *id)
{
	char why[SSD_WHY];
	int err = id->dps & 7 ? ask(r, CNS_CSI_NS, NVME_CSI_NVM, r->nsid) : 0;

	return err < 0 ? err
		       : refused(r, nvmft_ssd_take_ns_nvm(r->facts, id, err ? NULL : r->ctrl->page.base, why), why);
}

static int read_namespace(const struct reading *r)
{
	char why[SSD_WHY];
	struct nvme_id_ns id;
	int err = ask(r, CNS_NS, 0, r->nsid);

	if (err < 0)
		return err;
	/* The page is used for what comes next. */
	memcpy(&id, r->ctrl->page.base, sizeof(id));
	if (err && (err & STATUS_CODE) != STATUS_INVALID_NAMESPACE)
		return unanswered(r, err);
	err = err ? -ENOENT : nvmft_ssd_take_ns(r->facts, &id, why);
	if (err == -ENOENT) {
		(void)complain(r, "does not exist");
		return err;
	}
	return err ? refused(r, err, why) : read_pi(r, &id);
}

/* Devices before NVMe 2.0 know none. */
static int read_limits(const struct reading *r)
{
	int err = ask(r, CNS_CSI_CTRL, NVME_CSI_NVM, 0);

	if (!err)
		nvmft_ssd_take_ctrl_nvm(r->facts, r->ctrl->page.base);
	return err < 0 ? err : 0;
}

/* ---- zones ---- */

static int read_effects(const struct reading *r)
{
	struct nvmft_sqe sqe = {
		.opcode = nvme_admin_get_log_page,
		.nsid = htole32(UINT32_MAX),
		.cdw10 = htole32(LOG_EFFECTS | (NVME_PAGE / 4 - 1) << 16),
		.cdw14 = htole32((uint32_t)NVME_CSI_ZNS << 24),
	};
	uint64_t prp1 = htole64(r->ctrl->page.iova);
	int err;

	memset(r->ctrl->page.base, 0, NVME_PAGE);
	memcpy(sqe.dptr, &prp1, sizeof(prp1));
	err = answer(r, nvmft_admin_command(r->ctrl, &sqe, NULL));
	if (!err)
		nvmft_ssd_take_effects(r->facts, r->ctrl->page.base);
	return err < 0 ? err : 0;
}

static int read_zones(const struct reading *r)
{
	char why[SSD_WHY];
	int err = ask(r, CNS_CSI_NS, NVME_CSI_ZNS, r->nsid);

	if (err)
		return err < 0 ? err : complain(r, "is zoned and does not say how");
	err = refused(r, nvmft_ssd_take_ns_zoned(r->facts, r->ctrl->page.base, why), why);
	if (!err)
		err = ask(r, CNS_CSI_CTRL, NVME_CSI_ZNS, 0);
	if (err < 0)
		return err;
	if (!err)
		nvmft_ssd_take_ctrl_zoned(r->facts, r->ctrl->page.base);
	return read_effects(r);
}

/* ---- what commands are made by ---- */

/* A device that names no limit may still apply that of data transfers. */
static uint32_t limit(uint32_t named, uint32_t other)
{
	return named ? named : other;
}

static struct cmd_limits limits_of(const struct ssd_facts *facts, const struct ctrl_facts *ctrl)
{
	uint32_t most = (uint32_t)(ctrl->max_transfer >> facts->shift);

	if (facts->metadata && most > META_BYTES / facts->metadata)
		most = META_BYTES / facts->metadata;
	return (struct cmd_limits){
		.data = most,
		.zeroes = limit(facts->max_zeroes, most),
		.deallocate = limit(facts->max_deallocate, UINT32_MAX),
		.verify = limit(facts->max_verify, most),
		.uncorrectable = limit(facts->max_uncorrectable, most),
	};
}

static struct vfio_format format_of(const struct ssd_facts *facts, const struct ctrl_facts *ctrl)
{
	return (struct vfio_format){
		.shift = facts->shift,
		.csi = facts->csi,
		.pi_type = facts->pi.type,
		.ref_bits = facts->pi.ref_bits,
		.can_dealloc_zeroes = facts->can_deallocate_zeroes,
		.sgl = (enum sgl_support[]){SGL_NONE, SGL_BYTE, SGL_DWORD, SGL_NONE}[ctrl->sgls & 3],
		.meta = (uint16_t)facts->metadata,
		.limits = limits_of(facts, ctrl),
	};
}

/* ---- all ---- */

int nvmft_vfio_facts_read(struct ctrl *ctrl, uint32_t nsid, struct vfio_facts *facts)
{
	struct reading r = {.ctrl = ctrl, .nsid = nsid, .facts = &facts->ssd};
	int err;

	memset(facts, 0, sizeof(*facts));
	facts->ssd.ctrl = ctrl->facts.id;
	err = read_descriptors(&r);
	if (!err)
		err = read_namespace(&r);
	if (!err)
		err = read_limits(&r);
	if (!err && facts->ssd.csi == NVME_CSI_ZNS)
		err = read_zones(&r);
	if (!err)
		facts->format = format_of(&facts->ssd, &ctrl->facts);
	return err;
}

int nvmft_vfio_format_take(struct vfio_nvme *vn)
{
	struct vfio_format *f = &vn->format;
	size_t len;
	int err;

	*f = vn->facts.format;
	if (!f->meta)
		return 0;
	len = (size_t)f->limits.data * f->meta;
	err = nvmft_dma_alloc(vn->ctrl->dev, len, &vn->zeroes);
	if (!err)
		err = nvmft_dma_alloc(vn->ctrl->dev, len, &vn->sink);
	if (err)
		nvmft_vfio_format_drop(vn);
	f->zeroes = vn->zeroes.iova;
	f->sink = vn->sink.iova;
	return err;
}

void nvmft_vfio_format_drop(struct vfio_nvme *vn)
{
	nvmft_dma_free(vn->ctrl->dev, &vn->sink);
	nvmft_dma_free(vn->ctrl->dev, &vn->zeroes);
}

bool nvmft_vfio_format_equal(const struct vfio_format *a, const struct vfio_format *b)
{
	return a->shift == b->shift && a->csi == b->csi && a->pi_type == b->pi_type && a->ref_bits == b->ref_bits &&
	       a->meta == b->meta && a->sgl == b->sgl && a->can_dealloc_zeroes == b->can_dealloc_zeroes &&
	       !memcmp(&a->limits, &b->limits, sizeof(a->limits));
}

/* ---- what the controller has to know first ---- */

/* Else it hides formats with 32 or 64 bits of guard or with storage tags from drivers that may not know them. */
int nvmft_host_behavior_setup(struct ctrl *ctrl)
{
	struct nvmft_sqe sqe = {.opcode = nvme_admin_set_features, .cdw10 = htole32(NVME_FEAT_FID_HOST_BEHAVIOR)};
	uint64_t prp1 = htole64(ctrl->page.iova);
	uint8_t *page = ctrl->page.base;
	int err;

	if (!ctrl->facts.id.extended_formats)
		return 0;
	memset(page, 0, NVME_PAGE);
	page[HOST_BEHAVIOR_LBAFEE] = 1;
	memcpy(sqe.dptr, &prp1, sizeof(prp1));
	err = nvmft_admin_command(ctrl, &sqe, NULL);
	if (err)
		nvmft_device_log(ctrl->dev, NVMFT_LOG_WARN, "Set Features, host behavior: going on without");
	return err < 0 ? err : 0;
}
