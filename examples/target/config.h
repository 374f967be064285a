/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_EXAMPLE_CONFIG_H
#define NVMFT_EXAMPLE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The configuration in memory: filled by a JSON file or by the command line, checked by config_check(), turned into
 * a running target by apply(). Numbers are uint64_t, 0 meaning the library's default. @where is the place in the
 * file or command line, for messages. @live is set while the object is in service.
 */

struct nvmft_namespace;
struct nvmft_port;
struct nvmft_subsystem;

struct texts {
	char **item;
	size_t n;
};

enum backend_type {
	BACKEND_UNSET = 0,
	BACKEND_FILE,
	BACKEND_MEMORY,
	BACKEND_NULL,
	BACKEND_NVME,
	BACKEND_VFIO,
};

struct ns_config {
	char *where;
	uint64_t nsid;
	bool enable;
	int backend;
	char *path;
	char *backend_path; /* "path" in the "backend" object, as opposed to "device" */
	uint64_t bytes;
	uint64_t block_size;
	bool read_only;
	bool buffered;
	bool lock;
	bool create;
	char *device_serial; /* of an NVMe device, instead of a path; or */
	char *device_subnqn; /* the name of its subsystem */
	uint64_t device_nsid;
	char *address; /* of a PCI function */
	int iommu;
	bool iopoll;
	bool reservations;
	uint8_t admin[32]; /* opcodes of admin commands, bit n % 8 of byte n / 8 */
	uint8_t uuid[16], nguid[16], eui64[8];
	struct nvmft_namespace *live;
};

struct subsystem_config {
	char *where;
	char *nqn;
	char *serial, *model, *firmware;
	uint64_t vid, ssvid, ieee_oui;
	bool allow_any_host;
	int controllers;
	uint64_t cntlid_min, cntlid_max;
	uint64_t max_io_queues, max_namespaces, max_io_size, max_aers, max_controllers_per_host;
	struct texts allowed_hosts;
	struct ns_config *ns;
	size_t nns;
	struct nvmft_subsystem *live;
};

/* Of address.trtype, as in the discovery log. */
#define TRTYPE_RDMA 1

struct address {
	int trtype;
	int adrfam;
	char *traddr;
	char *trsvcid;
};

struct referral_config {
	char *where;
	char *name;
	bool enable;
	uint64_t portid;
	struct address addr;
	char *nqn;
	bool live;
};

struct port_config {
	char *where;
	uint64_t portid;
	struct address addr;
	char *announce;
	uint64_t in_capsule_size; /* FIELD_AUTO_VALUE: the default; 0: none */
	uint64_t max_queue_depth; /* FIELD_AUTO_VALUE or 0: the default */
	uint64_t max_connections, max_pending, max_pending_per_address;
	uint64_t maxh2cdata, backlog, cpda, priority, sndbuf, rcvbuf;
	uint64_t receives;
	bool per_queue_receives;
	bool no_hdgst, no_ddgst, reuseport;
	struct texts subsystems;
	struct texts linked; /* those of @subsystems that are in service here */
	struct referral_config *referrals;
	size_t nreferrals;
	struct nvmft_port *live;
};

struct host_config {
	char *where;
	char *nqn;
	bool live;
};

struct target_config {
	uint64_t threads;
	int *cpus;
	unsigned int ncpus;
	int poll;
	uint64_t spin_us;
	int log_level;
	uint64_t data_memory_max;
	uint64_t connect_timeout_ms;
	char *discovery_nqn;
};

struct config {
	char *source; /* the file's name, or "command line" */
	bool from_file;
	struct target_config target;
	struct host_config *hosts;
	size_t nhosts;
	struct port_config *ports;
	size_t nports;
	struct subsystem_config *subsystems;
	size_t nsubsystems;
};

struct config *config_new(const char *source, bool from_file);
void config_free(struct config *c);

/* Append an object with its defaults. Out of memory ends the program: it happens before or beside service only. */
struct host_config *config_add_host(struct config *c, const char *where);
struct port_config *config_add_port(struct config *c, const char *where);
struct subsystem_config *config_add_subsystem(struct config *c, const char *where);
struct ns_config *config_add_ns(struct subsystem_config *s, const char *where);
struct referral_config *config_add_referral(struct port_config *p, const char *where);
void texts_add(struct texts *t, const char *text);
bool texts_has(const struct texts *t, const char *text);
void texts_remove(struct texts *t, const char *text);
void texts_clear(struct texts *t);

struct host_config *config_find_host(const struct config *c, const char *nqn);
struct subsystem_config *config_find_subsystem(const struct config *c, const char *nqn);
struct ns_config *config_find_ns(const struct subsystem_config *s, uint64_t nsid);

bool text_equal(const char *a, const char *b); /* either may be NULL */
bool address_equal(const struct address *a, const struct address *b);

/* Equal in everything that can only be changed by making the object anew. */
bool ns_same(const struct ns_config *a, const struct ns_config *b);
bool subsystem_same(const struct subsystem_config *a, const struct subsystem_config *b);
bool port_same(const struct port_config *a, const struct port_config *b);
bool referral_same(const struct referral_config *a, const struct referral_config *b);

void *xrealloc(void *p, size_t n, size_t size);
char *xstrdup(const char *text);

#endif
