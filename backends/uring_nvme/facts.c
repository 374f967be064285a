/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the device says of the namespace, and what the kernel takes in one command for it.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/nvme_ioctl.h>
#include <nvme/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "ng.h"

#define OPC_IDENTIFY 0x06
#define IDENTIFY_BYTES 4096u

#define CNS_NS 0x00
#define CNS_CTRL 0x01
#define CNS_NS_DESCRIPTORS 0x03
#define CNS_CTRL_NVM 0x06

#define ONCS_COMPARE (1u << 0)
#define ONCS_DSM (1u << 2)
#define ONCS_WRITE_ZEROES (1u << 3)

#define NSFEAT_THIN (1u << 0)
#define NSFEAT_OPTPERF (1u << 4)
#define DLFEAT_READ_MASK 7u
#define DLFEAT_READS_ZEROES 1u
#define DLFEAT_DEAC (1u << 3)

/* What every device and kernel takes, where the kernel does not tell. */
#define SAFE_BYTES (128u << 10)
#define PAGE_BYTES 4096u

static int identify(const struct nvmft_backend *backend, uint8_t cns, uint32_t nsid, void *data)
{
	const struct ng_backend *ng = backend->priv;
	struct nvme_passthru_cmd cmd = {
		.opcode = OPC_IDENTIFY,
		.nsid = nsid,
		.addr = (uintptr_t)data,
		.data_len = IDENTIFY_BYTES,
		.cdw10 = cns,
	};
	int ret = ioctl(ng->fd, NVME_IOCTL_ADMIN_CMD, &cmd);

	return ret < 0 ? -errno : ret;
}

/* What cannot be done without. */
static int identify_or_log(const struct nvmft_backend *backend, uint8_t cns, uint32_t nsid, void *data)
{
	const struct ng_backend *ng = backend->priv;
	int ret = identify(backend, cns, nsid, data);

	if (ret == 0)
		return 0;
	if (ret == -EACCES || ret == -EPERM)
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "device: %s: Identify needs CAP_SYS_ADMIN", ng->path);
	else if (ret < 0)
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "device: %s: Identify: %s", ng->path,
				  strerrordesc_np(-ret));
	else
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "device: %s: Identify %02xh: NVMe status %03xh", ng->path,
				  cns, (unsigned int)ret);
	return ret < 0 ? ret : -EIO;
}

static int refuse(const struct nvmft_backend *backend, const char *what, uint32_t value)
{
	const struct ng_backend *ng = backend->priv;

	nvmft_backend_log(backend, NVMFT_LOG_ERROR, "device: %s has %s %" PRIu32 ", which this backend does not serve",
			  ng->path, what, value);
	return -EOPNOTSUPP;
}

static int take_format(const struct nvmft_backend *backend, const struct nvme_id_ns *id, struct ng_facts *f)
{
	const struct nvme_lbaf *lbaf = &id->lbaf[(id->flbas & 0xf) | (id->flbas >> 1 & 0x30)];

	if (id->dps & 7)
		return refuse(backend, "protection information of type", id->dps & 7);
	if (lbaf->ms)
		return refuse(backend, "metadata, bytes per block:", le16toh(lbaf->ms));
	if (lbaf->ds != 9 && lbaf->ds != 12)
		return refuse(backend, "an LBA format with blocks of bytes, as a power of two:", lbaf->ds);
	f->block_size = 1u << lbaf->ds;
	return 0;
}

static int take_ns(const struct nvmft_backend *backend, const struct nvme_id_ns *id, struct ng_facts *f)
{
	int ret = take_format(backend, id, f);

	if (ret)
		return ret;
	f->blocks = le64toh(id->nsze);
	if (!f->blocks)
		return refuse(backend, "an inactive namespace, of blocks:", 0);
	f->thin = id->nsfeat & NSFEAT_THIN;
	f->write_protected = id->nsattr & 1;
	f->deallocated_zero = (id->dlfeat & DLFEAT_READ_MASK) == DLFEAT_READS_ZEROES;
	f->deac = id->dlfeat & DLFEAT_DEAC;
	if (id->nsfeat & NSFEAT_OPTPERF)
		f->preferred_blocks = le16toh(id->npwg) + 1u;
	memcpy(f->nguid, id->nguid, sizeof(f->nguid));
	memcpy(f->eui64, id->eui64, sizeof(f->eui64));
	return 0;
}

/* Old devices have no descriptors, and then the NVM command set. */
static int take_descriptors(const struct nvmft_backend *backend, const uint8_t *list, struct ng_facts *f)
{
	size_t at = 0;

	while (at + sizeof(struct nvme_ns_id_desc) < IDENTIFY_BYTES) {
		const struct nvme_ns_id_desc *desc = (const void *)&list[at];
		const uint8_t *nid = &list[at + sizeof(*desc)];

		if (!desc->nidl || at + sizeof(*desc) + desc->nidl > IDENTIFY_BYTES)
			break;
		if (desc->nidt == NVME_NIDT_UUID && desc->nidl >= sizeof(f->uuid))
			memcpy(f->uuid, nid, sizeof(f->uuid));
		if (desc->nidt == NVME_NIDT_CSI && *nid == NVME_CSI_ZNS)
			return refuse(backend, "zones (ZNS), command set", NVME_CSI_ZNS);
		if (desc->nidt == NVME_NIDT_CSI && *nid != NVME_CSI_NVM)
			return refuse(backend, "command set", *nid);
		at += sizeof(*desc) + desc->nidl;
	}
	return 0;
}

static void take_ctrl(const struct nvme_id_ctrl *id, struct ng_facts *f)
{
	uint16_t oncs = le16toh(id->oncs);

	f->mdts = id->mdts;
	f->volatile_cache = id->vwc & 1;
	f->compare = oncs & ONCS_COMPARE;
	f->deallocate = oncs & ONCS_DSM;
	f->write_zeroes = oncs & ONCS_WRITE_ZEROES;
}

static uint32_t to_u32(uint64_t value)
{
	return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

/* Limits of single commands; devices before NVMe 2.0 know none. */
static void take_ctrl_nvm(const struct nvme_id_ctrl_nvm *id, struct ng_facts *f)
{
	uint64_t all_ranges = le64toh(id->dmsl);

	f->max_deallocate = le32toh(id->dmrsl);
	if (all_ranges && (!f->max_deallocate || all_ranges < f->max_deallocate))
		f->max_deallocate = to_u32(all_ranges);
	if (id->wzsl && id->wzsl < 32)
		f->max_zeroes = to_u32(((uint64_t)PAGE_BYTES << id->wzsl) / f->block_size);
}

static int ask(const struct nvmft_backend *backend, struct ng_facts *f, void *data)
{
	const struct ng_backend *ng = backend->priv;
	int ret;

	/* First, for a command set that has no Identify Namespace of this form. */
	if (identify(backend, CNS_NS_DESCRIPTORS, ng->nsid, data) == 0) {
		ret = take_descriptors(backend, data, f);
		if (ret)
			return ret;
	}
	ret = identify_or_log(backend, CNS_NS, ng->nsid, data);
	if (!ret)
		ret = take_ns(backend, data, f);
	if (!ret)
		ret = identify_or_log(backend, CNS_CTRL, 0, data);
	if (ret)
		return ret;
	take_ctrl(data, f);
	if (identify(backend, CNS_CTRL_NVM, 0, data) == 0)
		take_ctrl_nvm(data, f);
	return 0;
}

int nvmft_ng_facts(const struct nvmft_backend *backend, struct ng_facts *facts)
{
	void *data = NULL;
	int ret;

	memset(facts, 0, sizeof(*facts));
	if (posix_memalign(&data, PAGE_BYTES, IDENTIFY_BYTES)) {
		nvmft_backend_log(backend, NVMFT_LOG_ERROR, "no memory");
		return -ENOMEM;
	}
	memset(data, 0, IDENTIFY_BYTES);
	ret = ask(backend, facts, data);
	free(data);
	return ret;
}

/* ---- what the kernel takes ---- */

/* A number of the block device's queue in sysfs, or -1. */
static long long queue_attr(const struct ng_backend *ng, const char *name)
{
	const char *base = strrchr(ng->path, '/');
	unsigned int ctrl, ns;
	char path[128];
	long long value;
	FILE *f;

	if (sscanf(base ? base + 1 : ng->path, "ng%un%u", &ctrl, &ns) != 2)
		return -1;
	snprintf(path, sizeof(path), "/sys/block/nvme%un%u/queue/%s", ctrl, ns, name);
	f = fopen(path, "re");
	if (!f)
		return -1;
	if (fscanf(f, "%lld", &value) != 1)
		value = -1;
	fclose(f);
	return value;
}

static void at_most(uint32_t *limit, uint64_t value)
{
	if (value < *limit)
		*limit = (uint32_t)value;
}

bool nvmft_ng_can_poll(const struct ng_backend *ng)
{
	return queue_attr(ng, "io_poll") == 1;
}

/*
 * The kernel refuses a passthrough command that is larger than the hardware's limits, which it knows better than the
 * device (DMA mapping). In the worst case no two pages of a buffer are neighbours: then a page is a segment.
 */
void nvmft_ng_limits(const struct nvmft_backend *backend)
{
	struct ng_backend *ng = backend->priv;
	long long kib = queue_attr(ng, "max_hw_sectors_kb"), segments = queue_attr(ng, "max_segments");
	long long mask = queue_attr(ng, "dma_alignment");

	ng->max_bytes = 1u << 30;
	ng->max_pages = segments > 1 ? (uint32_t)segments : SAFE_BYTES / PAGE_BYTES;
	at_most(&ng->max_bytes, kib > 0 ? (uint64_t)kib * 1024 : SAFE_BYTES);
	if (ng->facts.mdts && ng->facts.mdts < 18)
		at_most(&ng->max_bytes, (uint64_t)PAGE_BYTES << ng->facts.mdts);
	ng->max_bytes -= ng->max_bytes % ng->block_size;
	/* Less aligned buffers would be copied by the kernel. */
	ng->align = mask >= 0 && mask < 4096 ? (uint32_t)mask + 1 : 4;
}
