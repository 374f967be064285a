/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_LIB_CONTROLLER_H
#define NVMFT_LIB_CONTROLLER_H

#include "queue.h"
#include "request.h"
#include "subsystem.h"

#define CTRL_ERROR_LOG_ENTRIES 64
#define CTRL_CHANGED_NS_MAX 1024

/* Values of Set Features that a controller keeps until its reset (NVMe Base 2.0, 5.27.1). */
struct ctrl_features {
	uint32_t arbitration;     /* 01h */
	uint32_t power;           /* 02h */
	uint32_t temp_over[9], temp_under[9]; /* 04h by TMPSEL, in Kelvin */
	uint32_t error_recovery;  /* 05h */
	uint32_t write_cache;     /* 06h */
	uint32_t num_queues;      /* 07h as granted, 0-based, NCQ << 16 | NSQ */
	uint32_t write_atomicity; /* 0Ah */
	uint32_t aec;             /* 0Bh */
	uint8_t host_behavior[512]; /* 16h */
};

/* log_page.c */
struct error_log {
	uint64_t count;
	uint64_t media; /* of them, data lost by the medium */
	struct nvme_error_log_page *entries; /* ring of CTRL_ERROR_LOG_ENTRIES, made at the first error */
};

/* aer.c: events that wait for an AER or for their log page to be read. One of a type is outstanding until its log is read. */
enum aer_event {
	AER_NS_ATTR_CHANGED, /* notice 00h, log 04h */
	AER_DISC_CHANGED,    /* notice F0h, log 70h */
	AER_EVENTS
};

struct aer_state {
	TAILQ_HEAD(, request) waiting; /* AERs of the host */
	uint32_t nwaiting;
	bool pending[AER_EVENTS]; /* raised, not reported yet */
	bool masked[AER_EVENTS];  /* reported, the log page was not read since */
	uint32_t *changed_ns;     /* log 04h: NSIDs, sorted */
	uint32_t nchanged;        /* CTRL_CHANGED_NS_MAX + 1: overflow, reported as FFFFFFFFh */
};

enum ctrl_state { CTRL_LIVE, CTRL_DYING };

/*
 * A controller belongs to the group of its admin queue. Fields above the line are constant after Connect and may be read
 * by I/O queues in other groups, which hold a reference; everything else is the group thread's.
 */
struct nvmft_ctrl {
	struct nvmft_poll_group *group;
	struct nvmft_subsystem *subsys; /* counted */
	struct nvmft_port *port;        /* of the admin queue, which holds the reference */
	uint16_t cntlid;
	bool discovery;
	bool is_static;
	char hostnqn[NVME_NQN_LENGTH];
	uint8_t hostid[16];
	atomic_uint refs; /* the admin queue's, and one for each attached or attaching I/O queue */
	TAILQ_ENTRY(nvmft_ctrl) subsys_link; /* subsys->ctrl_lock */
	/*
	 * The host turned the volatile write cache off (feature 06h): writes are durable before they complete. Written by the
	 * group's thread, read by I/O queues with every write, which a relaxed load makes as cheap as a plain one.
	 */
	atomic_bool write_through;
	atomic_bool connectable; /* subsys->ctrl_lock when it turns false: no new I/O queue may look it up */
	atomic_uint error_records; /* of I/O queues in other groups, under way to @errors */
	/* ---- the group's thread ---- */
	TAILQ_ENTRY(nvmft_ctrl) group_link;
	enum ctrl_state state;
	const struct subsys_view *sv; /* of group->view; NULL for discovery */
	struct nvmft_queue *admin;
	struct nvmft_queue **ioqs; /* by QID - 1; grown as they connect */
	uint32_t cap_ioqs;
	uint32_t nioqs; /* attached, until their detach arrives */

	uint64_t cap;
	uint32_t vs, cc, csts;
	bool resetting; /* CC.EN went to 0, I/O queues are still there */
	uint32_t kato_ms;
	uint64_t ka_commands; /* sum of the queues' counters when the timer last looked */
	struct nvmft_timer ka_timer;

	struct ctrl_features features;
	struct aer_state aer;
	struct error_log errors;
	uint32_t naborts; /* Abort commands that travel to another group */
};

/* controller.c. Context: the controller's thread unless said otherwise. */
int nvmft_ctrl_create(struct nvmft_queue *admin, struct nvmft_subsystem *subsys, uint16_t cntlid,
		      const struct nvmf_connect_data *data, uint32_t kato_ms, struct nvmft_ctrl **ctrl);
void nvmft_ctrl_put(struct nvmft_ctrl *ctrl); /* any thread */
/* Any thread: the live controller with a reference, or NULL. */
struct nvmft_ctrl *nvmft_ctrl_find_get(struct nvmft_subsystem *subsys, uint16_t cntlid);
/* End the association: every queue is closed. Idempotent. */
void nvmft_ctrl_kill(struct nvmft_ctrl *ctrl, const char *reason);
/* The admin queue's connection is ending, and is gone. */
void nvmft_ctrl_admin_closing(struct nvmft_ctrl *ctrl);
void nvmft_ctrl_admin_closed(struct nvmft_ctrl *ctrl);
/* An I/O queue asks to join; the answer is queue->attach_status by queue->reply_call. */
void nvmft_ctrl_attach(struct nvmft_ctrl *ctrl, struct nvmft_queue *queue);
void nvmft_ctrl_detach(struct nvmft_ctrl *ctrl, struct nvmft_queue *queue);
/* Ask every I/O queue to close. */
void nvmft_ctrl_close_ioqs(struct nvmft_ctrl *ctrl);
/* property.c: the last I/O queue is gone; CAP of controllers behind a port. */
void nvmft_ctrl_ioqs_gone(struct nvmft_ctrl *ctrl);
uint64_t nvmft_ctrl_cap(const struct nvmft_port *port);
/* Property accesses (3.1.3): 0 or a status. */
nvmft_status nvmft_ctrl_property_get(struct nvmft_ctrl *ctrl, uint32_t offset, bool eight_bytes, uint64_t *value);
nvmft_status nvmft_ctrl_property_set(struct nvmft_ctrl *ctrl, uint32_t offset, bool eight_bytes, uint64_t value);
/* CC.EN and CSTS.RDY: admin and I/O commands other than fabrics need it. */
static inline bool nvmft_ctrl_ready(const struct nvmft_ctrl *ctrl)
{
	return ctrl->csts & 1;
}
/* The group moved from view @before to group->view: raise events, end associations that are no longer allowed. */
void nvmft_ctrl_view_changed(struct nvmft_ctrl *ctrl, const struct nvmft_view *before);

/* keep_alive.c */
void nvmft_keep_alive_start(struct nvmft_ctrl *ctrl, uint32_t kato_ms); /* 0 stops it */
void nvmft_keep_alive_stop(struct nvmft_ctrl *ctrl);
#define KEEP_ALIVE_GRANULARITY_MS 100u /* KAS = 1 */
nvmft_status nvmft_keep_alive_parse(struct request *req);

/* aer.c */
nvmft_status nvmft_aer_parse(struct request *req);
void nvmft_aer_raise(struct nvmft_ctrl *ctrl, enum aer_event event);
void nvmft_aer_namespaces_changed(struct nvmft_ctrl *ctrl, const struct subsys_view *before, const struct subsys_view *after);
void nvmft_aer_log_read(struct nvmft_ctrl *ctrl, enum aer_event event); /* its log page was read without RAE */
void nvmft_aer_config_changed(struct nvmft_ctrl *ctrl); /* features.aec was set: report what waits and is now wanted */
void nvmft_aer_fini(struct nvmft_ctrl *ctrl); /* complete nothing: the admin queue is closing; frees memory */
/* At CC.EN=0 and at the end: every waiting AER is completed with Command Aborted due to SQ Deletion. */
void nvmft_aer_flush(struct nvmft_ctrl *ctrl);
/* An Abort for a waiting AER: true when it was completed with Command Abort Requested. */
bool nvmft_aer_abort(struct nvmft_ctrl *ctrl, struct request *req);

/* identify.c, features.c, log_page.c, discovery.c, abort.c: parse functions called by admin_cmd.c and discovery.c */
nvmft_status nvmft_identify_parse(struct request *req);
nvmft_status nvmft_features_get_parse(struct request *req);
nvmft_status nvmft_features_set_parse(struct request *req);
void nvmft_features_init(struct nvmft_ctrl *ctrl);
nvmft_status nvmft_log_page_parse(struct request *req);
bool nvmft_discovery_changed(struct nvmft_ctrl *ctrl, const struct nvmft_view *before, const struct nvmft_view *after);
nvmft_status nvmft_abort_parse(struct request *req);

/*
 * log_page.c: remember a failed command for the Error Information log.
 * Context: the queue's thread; travels to the controller's group by itself, and is dropped when memory is short.
 */
void nvmft_error_log_record(struct request *req, nvmft_status status);
void nvmft_error_log_fini(struct nvmft_ctrl *ctrl);

/* The controller of a request on an admin queue. */
static inline struct nvmft_ctrl *req_ctrl(struct request *req)
{
	return req->pub.queue->ctrl;
}

#endif
