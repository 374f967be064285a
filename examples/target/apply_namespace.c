/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "apply.h"

/* A file that is there already is left as it is. */
static int create_file(const struct ns_config *ns)
{
	int fd = open(ns->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), err = 0;

	if (fd < 0)
		return errno == EEXIST ? 0 : -errno;
	if (ftruncate(fd, (off_t)ns->bytes) < 0) {
		err = -errno;
		unlink(ns->path);
	}
	close(fd);
	return err;
}

static int add(struct subsystem_config *s, struct ns_config *ns, const struct nvmft_backend_ops *ops,
	       const void *backend_opts)
{
	struct nvmft_namespace_opts opts = {
		.size = sizeof(opts),
		.nsid = (uint32_t)ns->nsid,
		.read_only = ns->read_only,
		.backend = ops,
		.backend_opts = backend_opts,
	};

	memcpy(opts.uuid, ns->uuid, sizeof(opts.uuid));
	memcpy(opts.nguid, ns->nguid, sizeof(opts.nguid));
	memcpy(opts.eui64, ns->eui64, sizeof(opts.eui64));
	return nvmft_namespace_add(s->live, &opts, &ns->live);
}

static int add_file(struct subsystem_config *s, struct ns_config *ns)
{
	struct nvmft_file_opts opts = {
		.size = sizeof(opts),
		.path = ns->path,
		.bytes = ns->bytes,
		.block_size = (uint32_t)ns->block_size,
		.read_only = ns->read_only,
		.buffered = ns->buffered,
		.no_lock = !ns->lock,
	};
	int ret = ns->create ? create_file(ns) : 0;

	return ret < 0 ? ret : add(s, ns, nvmft_backend_file(), &opts);
}

static int add_memory(struct subsystem_config *s, struct ns_config *ns)
{
	struct nvmft_memory_opts opts = {
		.size = sizeof(opts),
		.bytes = ns->bytes,
		.block_size = (uint32_t)ns->block_size,
	};

	return add(s, ns, nvmft_backend_memory(), &opts);
}

static int add_null(struct subsystem_config *s, struct ns_config *ns)
{
	struct nvmft_null_opts opts = {
		.size = sizeof(opts),
		.bytes = ns->bytes,
		.block_size = (uint32_t)ns->block_size,
	};

	return add(s, ns, nvmft_backend_null(), &opts);
}

/* Those of which the bit is set. */
static size_t list_opcodes(const struct ns_config *ns, uint8_t *opcodes)
{
	size_t n = 0;

	for (unsigned int i = 0; i < 256; i++) {
		if (ns->admin[i / 8] >> (i % 8) & 1)
			opcodes[n++] = (uint8_t)i;
	}
	return n;
}

static int add_nvme(struct subsystem_config *s, struct ns_config *ns)
{
	uint8_t opcodes[256];
	struct nvmft_uring_nvme_opts opts = {
		.size = sizeof(opts),
		.device = ns->path,
		.serial = ns->device_serial,
		.subnqn = ns->device_subnqn,
		.nsid = (uint32_t)ns->device_nsid,
		.read_only = ns->read_only,
		.iopoll = ns->iopoll,
		.reservations = ns->reservations,
		.admin_commands = opcodes,
		.nadmin_commands = list_opcodes(ns, opcodes),
	};

	return add(s, ns, nvmft_backend_uring_nvme(), &opts);
}

static int add_vfio(struct subsystem_config *s, struct ns_config *ns)
{
	uint8_t opcodes[256];
	struct nvmft_vfio_nvme_opts opts = {
		.size = sizeof(opts),
		.address = ns->address,
		.nsid = (uint32_t)ns->device_nsid,
		.read_only = ns->read_only,
		.iommu = (enum nvmft_vfio_iommu)ns->iommu,
		.reservations = ns->reservations,
		.admin_commands = opcodes,
		.nadmin_commands = list_opcodes(ns, opcodes),
	};

	return add(s, ns, nvmft_backend_vfio_nvme(), &opts);
}

int apply_add_namespace(struct apply *a, struct subsystem_config *s, struct ns_config *ns)
{
	const char *key = ns->backend == BACKEND_FILE ? "device.path" : "backend";
	int ret;

	a->changes++;
	switch (ns->backend) {
	case BACKEND_MEMORY:
		ret = add_memory(s, ns);
		break;
	case BACKEND_NULL:
		ret = add_null(s, ns);
		break;
	case BACKEND_NVME:
		ret = add_nvme(s, ns);
		break;
	case BACKEND_VFIO:
		ret = add_vfio(s, ns);
		break;
	default:
		ret = add_file(s, ns);
	}
	if (ret == 0)
		return 0;
	ns->live = NULL;
	apply_complain(a, ns->where, a->next->from_file ? key : "",
		       ns->path                      ? ns->path
		       : ns->device_serial           ? ns->device_serial
		       : ns->device_subnqn           ? ns->device_subnqn
		       : ns->address                 ? ns->address
		       : ns->backend == BACKEND_NULL ? "null"
						     : "memory",
		       ret);
	return ret;
}
