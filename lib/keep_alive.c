/* SPDX-License-Identifier: BSD-3-Clause */
#include "admin.h"
#include "log.h"

/*
 * Keep Alive (Base 2.0, 3.9). It is traffic based: commands of any queue prove that the host is there. They are only
 * counted, and the timer looks at the sum, so that no command has to touch the timer. A silent host is thus given up
 * between one and two timeouts after its last command.
 */

#define NS_PER_MS 1000000ull
#define SLACK_MAX_MS 500u

/* For discovery controllers whose host asked for none, so that forgotten ones go away (3.1.2.3). */
#define DISCOVERY_TIMEOUT_MS 120000u

static uint32_t timeout_ms(const struct nvmft_ctrl *ctrl)
{
	return ctrl->kato_ms == 0 && ctrl->discovery ? DISCOVERY_TIMEOUT_MS : ctrl->kato_ms;
}

static uint64_t count_commands(const struct nvmft_ctrl *ctrl)
{
	uint64_t sum = counter_get(&ctrl->admin->commands);

	for (uint32_t i = 0; i < ctrl->cap_ioqs; i++)
		if (ctrl->ioqs[i])
			sum += counter_get(&ctrl->ioqs[i]->commands);
	return sum;
}

static void restart(struct nvmft_ctrl *ctrl)
{
	uint32_t timeout = timeout_ms(ctrl);
	uint32_t slack = timeout / 10 < SLACK_MAX_MS ? timeout / 10 : SLACK_MAX_MS;

	ctrl->ka_commands = count_commands(ctrl);
	nvmft_timer_arm(ctrl->group, &ctrl->ka_timer, timeout * NS_PER_MS, slack * NS_PER_MS);
}

static void expired(struct nvmft_timer *timer)
{
	struct nvmft_ctrl *ctrl = container_of(timer, struct nvmft_ctrl, ka_timer);

	if (count_commands(ctrl) != ctrl->ka_commands) {
		restart(ctrl);
		return;
	}
	ctrl->csts |= NVME_CSTS_CFS_MASK << NVME_CSTS_CFS_SHIFT;
	nvmft_ctrl_kill(ctrl, "keep alive timeout");
}

/* KATO in units of KAS, rounded up; the largest that still fits its field. */
static uint32_t round_up(uint32_t kato_ms)
{
	uint32_t rest = kato_ms % KEEP_ALIVE_GRANULARITY_MS;

	if (rest == 0)
		return kato_ms;
	if (kato_ms > UINT32_MAX - KEEP_ALIVE_GRANULARITY_MS)
		return kato_ms - rest;
	return kato_ms - rest + KEEP_ALIVE_GRANULARITY_MS;
}

void nvmft_keep_alive_start(struct nvmft_ctrl *ctrl, uint32_t kato_ms)
{
	ctrl->kato_ms = round_up(kato_ms);
	ctrl->ka_timer.fn = expired;
	if (timeout_ms(ctrl))
		restart(ctrl);
	else
		nvmft_keep_alive_stop(ctrl);
}

void nvmft_keep_alive_stop(struct nvmft_ctrl *ctrl)
{
	nvmft_timer_cancel(ctrl->group, &ctrl->ka_timer);
}

static void execute(struct request *req)
{
	struct nvmft_ctrl *ctrl = req_ctrl(req);

	if (timeout_ms(ctrl))
		restart(ctrl);
	nvmft_req_complete(req, 0);
}

nvmft_status nvmft_keep_alive_parse(struct request *req)
{
	return nvmft_req_no_data(req, execute);
}
