/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_VFIO_NVME_PASS_H
#define NVMFT_BACKENDS_VFIO_NVME_PASS_H

#include "vfio_nvme.h"

/*
 * struct pass - an admin command of a host
 * @link: ctrl->passes, until it is in the device
 * @pair: what to wake
 * @list: its PRP list, which goes where the device finds it together with the command
 * @formats: the namespace's doubt that lasts as long as this Format NVM; NULL for others
 * @unwanted: the host wants it aborted
 * @answered: @status and @result are there, and the poll group has it again
 */
struct pass {
	STAILQ_ENTRY(pass) link;
	struct vfio_pair *pair;
	struct nvmft_sqe sqe;
	nvmft_status status;
	uint64_t result;
	struct ssd_doubt *formats;
	atomic_bool unwanted;
	atomic_bool answered;
	uint64_t list[PRP_LIST_ENTRIES];
};

#endif
