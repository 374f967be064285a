/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LIB_FEATURE_H
#define NVMFT_LIB_FEATURE_H

#include "admin.h"

#define FEAT_ARBITRATION_NO_LIMIT 7u
#define FEAT_HOST_BEHAVIOR_LEN 512u
#define FEAT_HOST_ID_LEN 16u

/* What Get Features returns. */
struct feature_value {
	uint32_t dw0;
	const void *data;
	size_t len;
};

/*
 * struct feature - one feature
 * @io, @discovery: kinds of controllers that have it
 * @fixed: cannot be changed by the host
 * @any_nsid: Set Features may name a namespace; the value is the controller's all the same
 * @len: bytes of data that come with it
 * @get: the value out of @f, which are the current or the default values
 * @set: take CDW11 or the data; returns a status
 */
struct feature {
	uint8_t fid;
	bool io, discovery, fixed, any_nsid;
	uint16_t len;
	nvmft_status (*get)(struct request *req, const struct ctrl_features *f, struct feature_value *value);
	nvmft_status (*set)(struct request *req);
};

void nvmft_features_default(const struct nvmft_ctrl *ctrl, struct ctrl_features *f);

/* feature_values.c */
#define FEATURE(name)                                                                          \
	nvmft_status nvmft_feat_get_##name(struct request *req, const struct ctrl_features *f, \
					   struct feature_value *value);                       \
	nvmft_status nvmft_feat_set_##name(struct request *req)
FEATURE(arbitration);
FEATURE(power);
FEATURE(temp);
FEATURE(error_recovery);
FEATURE(write_cache);
FEATURE(num_queues);
FEATURE(write_atomicity);
FEATURE(aec);
FEATURE(kato);
FEATURE(host_behavior);
FEATURE(command_sets);
FEATURE(host_id);
#undef FEATURE

#endif
