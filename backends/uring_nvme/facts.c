/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asking the device for what it is, and the kernel for what it takes in one command.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "ng.h"

#define OPC_IDENTIFY 0x06
#define OPC_GET_LOG 0x02
#define IDENTIFY_BYTES 4096u

#define CNS_NS 0x00
#define CNS_CTRL 0x01
#define CNS_NS_DESCRIPTORS 0x03
#define CNS_NS_CSI 0x05
#define CNS_CTRL_CSI 0x06

#define LOG_EFFECTS 0x05u
#define ALL_NAMESPACES UINT32_MAX

/* What every device and kernel takes, where the kernel does not tell. */
#define SAFE_BYTES (128u << 10)
#define PAGE_BYTES 4096u

/* NLB is 16 bits wide, zero's based. */
#define NLB_MAX 65536u

static int identify(const struct ng_ask *ask, uint8_t cns, uint8_t csi, uint32_t nsid, void *data)
{
	struct nvme_passthru_cmd cmd = {
		.opcode = OPC_IDENTIFY,
		.nsid = nsid,
		.addr = (uintptr_t)data,
		.data_len = IDENTIFY_BYTES,
		.cdw10 = cns,
		.cdw11 = (uint32_t)csi << 24,
	};
	int ret = ioctl(ask->fd, NVME_IOCTL_ADMIN_CMD, &cmd);

	return ret < 0 ? -errno : ret;
}

static int complain(const struct ng_ask *ask, uint8_t cns, int ret)
{
	if (!ask->backend)
		return ret < 0 ? ret : -EIO;
	if (ret == -EACCES || ret == -EPERM)
		nvmft_backend_log(ask->backend, NVMFT_LOG_ERROR, "device: %s: Identify needs CAP_SYS_ADMIN", ask->path);
	else if (ret < 0)
		nvmft_backend_log(ask->backend, NVMFT_LOG_ERROR, "device: %s: Identify: %s", ask->path,
				  strerrordesc_np(-ret));
	else
		nvmft_backend_log(ask->backend, NVMFT_LOG_ERROR, "device: %s: Identify %02xh: NVMe status %03xh",
				  ask->path, cns, (unsigned int)ret);
	return ret < 0 ? ret : -EIO;
}

/* What cannot be done without. */
static int identify_needed(const struct ng_ask *ask, uint8_t cns, uint8_t csi, uint32_t nsid, void *data)
{
	int ret = identify(ask, cns, csi, nsid, data);

	return ret ? complain(ask, cns, ret) : 0;
}

/* What not every device has. One that was not asked, since that is forbidden, may have it. */
static int identify_maybe(const struct ng_ask *ask, uint8_t cns, uint8_t csi, uint32_t nsid, void *data, bool *has)
{
	int ret = identify(ask, cns, csi, nsid, data);

	*has = ret == 0;
	return ret < 0 ? complain(ask, cns, ret) : 0;
}

static int refused(const struct ng_ask *ask, int err, const char *why)
{
	if (err && ask->backend)
		nvmft_backend_log(ask->backend, NVMFT_LOG_ERROR, "device: %s has %s, which this backend does not serve",
				  ask->path, why);
	return err;
}

static int read_effects(const struct ng_ask *ask, struct ssd_facts *f, void *data)
{
	struct nvme_passthru_cmd cmd = {
		.opcode = OPC_GET_LOG,
		.nsid = ALL_NAMESPACES,
		.addr = (uintptr_t)data,
		.data_len = IDENTIFY_BYTES,
		.cdw10 = LOG_EFFECTS | (IDENTIFY_BYTES / 4 - 1) << 16,
		.cdw14 = (uint32_t)NVME_CSI_ZNS << 24,
	};
	int ret = ioctl(ask->fd, NVME_IOCTL_ADMIN_CMD, &cmd);

	if (ret == 0)
		nvmft_ssd_take_effects(f, data);
	return ret < 0 ? complain(ask, LOG_EFFECTS, -errno) : 0;
}

static int ask_zones(const struct ng_ask *ask, struct ssd_facts *f, void *data)
{
	char why[SSD_WHY];
	bool has = false;
	int ret = identify_needed(ask, CNS_NS_CSI, NVME_CSI_ZNS, ask->nsid, data);

	if (!ret)
		ret = refused(ask, nvmft_ssd_take_ns_zoned(f, data, why), why);
	if (!ret)
		ret = identify_maybe(ask, CNS_CTRL_CSI, NVME_CSI_ZNS, 0, data, &has);
	if (has)
		nvmft_ssd_take_ctrl_zoned(f, data);
	return ret ? ret : read_effects(ask, f, data);
}

/* @page: room for two data structures */
static int ask_ns(const struct ng_ask *ask, struct ssd_facts *f, uint8_t *page)
{
	const struct nvme_id_ns *ns = (const void *)page;
	const struct nvme_nvm_id_ns *nvm = NULL;
	char why[SSD_WHY];
	int ret = identify_needed(ask, CNS_NS, 0, ask->nsid, page);

	if (!ret)
		ret = refused(ask, nvmft_ssd_take_ns(f, ns, why), why);
	if (ret)
		return ret;
	if (f->ctrl.extended_formats) {
		nvm = (const void *)(page + IDENTIFY_BYTES);
		ret = identify_needed(ask, CNS_NS_CSI, NVME_CSI_NVM, ask->nsid, page + IDENTIFY_BYTES);
	}
	return ret ? ret : refused(ask, nvmft_ssd_take_ns_nvm(f, ns, nvm, why), why);
}

static int ask_all(const struct ng_ask *ask, struct ssd_facts *f, void *page)
{
	char why[SSD_WHY];
	bool has;
	/* Old devices have no descriptors, and then the NVM command set. */
	int ret = identify_maybe(ask, CNS_NS_DESCRIPTORS, 0, ask->nsid, page, &has);

	if (!ret && has)
		ret = refused(ask, nvmft_ssd_take_descriptors(f, page, why), why);
	if (!ret)
		ret = identify_needed(ask, CNS_CTRL, 0, 0, page);
	if (ret)
		return ret;
	nvmft_ssd_take_ctrl(&f->ctrl, page);
	ret = ask_ns(ask, f, page);
	if (!ret)
		ret = identify_maybe(ask, CNS_CTRL_CSI, NVME_CSI_NVM, 0, page, &has);
	if (ret)
		return ret;
	if (has)
		nvmft_ssd_take_ctrl_nvm(f, page);
	return f->csi == NVME_CSI_ZNS ? ask_zones(ask, f, page) : 0;
}

int nvmft_ng_facts(const struct ng_ask *ask, struct ssd_facts *facts)
{
	void *page = NULL;
	int ret;

	memset(facts, 0, sizeof(*facts));
	if (posix_memalign(&page, PAGE_BYTES, 2 * IDENTIFY_BYTES)) {
		if (ask->backend)
			nvmft_backend_log(ask->backend, NVMFT_LOG_ERROR, "no memory");
		return -ENOMEM;
	}
	memset(page, 0, 2 * IDENTIFY_BYTES);
	ret = ask_all(ask, facts, page);
	free(page);
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

/* Where the device names no limit: one that has it nevertheless, has that of data transfers. */
static void complete_limits(struct ssd_facts *f)
{
	uint32_t most = NLB_MAX;

	if (f->ctrl.mdts && f->ctrl.mdts < 18)
		at_most(&most, ((uint64_t)PAGE_BYTES << f->ctrl.mdts) >> f->shift);
	f->max_verify = f->max_verify ? f->max_verify : most;
	f->max_zeroes = f->max_zeroes ? f->max_zeroes : most;
	f->max_uncorrectable = f->max_uncorrectable ? f->max_uncorrectable : most;
	f->max_deallocate = f->max_deallocate ? f->max_deallocate : UINT32_MAX;
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
	uint32_t block_size = ng->facts.block_size;

	complete_limits(&ng->facts);
	ng->max_bytes = 1u << 30;
	ng->max_pages = segments > 1 ? (uint32_t)segments : SAFE_BYTES / PAGE_BYTES;
	at_most(&ng->max_bytes, kib > 0 ? (uint64_t)kib * 1024 : SAFE_BYTES);
	if (ng->facts.ctrl.mdts && ng->facts.ctrl.mdts < 18)
		at_most(&ng->max_bytes, (uint64_t)PAGE_BYTES << ng->facts.ctrl.mdts);
	if (ng->facts.metadata)
		at_most(&ng->max_bytes, (uint64_t)NG_METADATA_BYTES / ng->facts.metadata * block_size);
	ng->max_bytes -= ng->max_bytes % block_size;
	/* Less aligned buffers would be copied by the kernel. */
	ng->align = mask >= 0 && mask < 4096 ? (uint32_t)mask + 1 : 4;
}

/* ---- what the core is told ---- */

/* What goes in one command in any case: a buffer of so many bytes may take a page more. */
static uint32_t whole_bytes(const struct ng_backend *ng)
{
	uint64_t pages = (uint64_t)(ng->max_pages - 1) * PAGE_BYTES;

	return pages < ng->max_bytes ? (uint32_t)pages : ng->max_bytes;
}

/* With a guard of 64 bits the device wants ranges of another format than the host, which sees none, sends. */
void nvmft_ng_put_info(const struct ng_backend *ng, const struct ssd_facts *f, struct nvmft_backend_info *info)
{
	const struct ssd_serving serving = {
		.read_only = ng->read_only,
		.reservations = ng->reservations,
		.copy = !f->pi.type || f->pi.format == SSD_PI_16,
		.whole = whole_bytes(ng),
		.admin_commands = &ng->admin_commands,
	};

	nvmft_ssd_info(f, &serving, info);
	info->align = ng->align;
}
