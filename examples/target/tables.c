/* SPDX-License-Identifier: BSD-3-Clause */
#include <nvmft/nvmft.h>

#include "config.h"
#include "field.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define PIB (1024 * 1024 * GIB)

/* Positional in struct field's order: name, kind, required, offset, min, max. */
#define AT(type, member) offsetof(struct type, member)
/* clang-format off */
#define NUMBER(name, type, member, min, max) {name, FIELD_UINT, false, AT(type, member), min, max}
#define SIZE(name, type, member, min, max, of) {name, FIELD_SIZE, false, AT(type, member), min, max, of}
#define FLAG(name, type, member) {name, FIELD_BOOL, false, AT(type, member)}
#define TEXT(name, type, member, max) {name, FIELD_TEXT, false, AT(type, member), 1, max}
#define HEX(name, type, member) {name, FIELD_HEX, false, AT(type, member), 0, sizeof(((struct type *)0)->member)}
#define CHOICE(name, type, member, list) {name, FIELD_CHOICE, false, AT(type, member), .choices = list}
#define UNUSED(name, list) {name, FIELD_UNUSED, .choices = list}
#define REFUSED(name, list, why) {name, FIELD_REFUSED, .choices = list, .expected = why}
/* clang-format on */

static const struct choice zero[] = {{"0", 0}, {NULL, 0}};
static const struct choice zero_or_default[] = {{"0", 0}, {"-1", 0}, {NULL, 0}};
static const struct choice nothing[] = {{"", 0}, {"(null)", 0}, {"none", 0}, {NULL, 0}};
static const struct choice treqs[] = {{"not specified", 0}, {"not required", 0}, {"", 0}, {NULL, 0}};
static const struct choice subsystem_types[] = {{"nvm", 0}, {NULL, 0}};
static const struct choice poll_modes[] = {
	{"adaptive", NVMFT_POLL_ADAPTIVE},
	{"always", NVMFT_POLL_ALWAYS},
	{"never", NVMFT_POLL_NEVER},
	{NULL, 0},
};
static const struct choice log_levels[] = {
	{"error", NVMFT_LOG_ERROR},
	{"warn", NVMFT_LOG_WARN},
	{"info", NVMFT_LOG_INFO},
	{"debug", NVMFT_LOG_DEBUG},
	{NULL, 0},
};
static const struct choice backend_types[] = {
	{"file", BACKEND_FILE}, {"memory", BACKEND_MEMORY}, {"null", BACKEND_NULL},
	{"nvme", BACKEND_NVME}, {"vfio", BACKEND_VFIO},     {NULL, 0},
};
static const struct choice iommus[] = {
	{"auto", NVMFT_VFIO_AUTO},
	{"type1", NVMFT_VFIO_TYPE1},
	{"iommufd", NVMFT_VFIO_IOMMUFD},
	{NULL, 0},
};
static const struct choice controller_models[] = {
	{"dynamic", NVMFT_CONTROLLERS_DYNAMIC},
	{"static", NVMFT_CONTROLLERS_STATIC},
	{NULL, 0},
};
/* Values of the discovery log (NVMe Base 2.0, figure 294). */
static const struct choice trtypes[] = {{"tcp", 3}, {"rdma", TRTYPE_RDMA}, {NULL, 0}};
static const struct choice adrfams[] = {{"ipv4", 1}, {"ipv6", 2}, {NULL, 0}};

static const struct field target_fields[] = {
	NUMBER("threads", target_config, threads, 1, 1024),
	{"cpus", FIELD_CPUS},
	CHOICE("poll", target_config, poll, poll_modes),
	NUMBER("spin_us", target_config, spin_us, 1, 1000000),
	CHOICE("log", target_config, log_level, log_levels),
	SIZE("data_memory_max", target_config, data_memory_max, 4 * MIB, PIB, 0),
	NUMBER("connect_timeout_ms", target_config, connect_timeout_ms, 100, 3600000),
	{"discovery_nqn", FIELD_NQN, false, AT(target_config, discovery_nqn)},
};
const struct field_table target_table = FIELD_TABLE(target_fields);

static const char no_auth[] = "authentication (DH-HMAC-CHAP); the host would be served without it";
static const struct field host_dhchap_fields[] = {
	REFUSED("key", nothing, no_auth),
	REFUSED("ctrl_key", nothing, no_auth),
	UNUSED("hash", NULL),
	UNUSED("dhgroup", NULL),
};
const struct field_table host_dhchap_table = FIELD_TABLE(host_dhchap_fields);

static const char no_tls[] = "TLS; the port would serve in the clear";
static const struct field port_addr_fields[] = {
	{"trtype", FIELD_CHOICE, true, AT(port_config, addr.trtype), .choices = trtypes},
	CHOICE("adrfam", port_config, addr.adrfam, adrfams),
	{"traddr", FIELD_ADDRESS, true, AT(port_config, addr.traddr)},
	{"trsvcid", FIELD_SERVICE, true, AT(port_config, addr.trsvcid)},
	REFUSED("treq", treqs, no_tls),
	REFUSED("tsas", nothing, no_tls),
};
const struct field_table port_addr_table = FIELD_TABLE(port_addr_fields);

static const struct field port_param_fields[] = {
	{"inline_data_size", FIELD_AUTO, false, AT(port_config, in_capsule_size), 4096, 262144, 16},
	{"max_queue_size", FIELD_AUTO, false, AT(port_config, max_queue_depth), 2, 65536},
	REFUSED("pi_enable", zero, "protection information"),
	UNUSED("mdts", zero_or_default),
};
const struct field_table port_param_table = FIELD_TABLE(port_param_fields);

static const struct field port_tcp_fields[] = {
	SIZE("maxh2cdata", port_config, maxh2cdata, 4096, 1 * GIB, 4),
	NUMBER("backlog", port_config, backlog, 1, 65535),
	NUMBER("cpda", port_config, cpda, 0, 31),
	NUMBER("priority", port_config, priority, 0, 15),
	{"hdgst", FIELD_NOT, false, AT(port_config, no_hdgst)},
	{"ddgst", FIELD_NOT, false, AT(port_config, no_ddgst)},
	SIZE("sndbuf", port_config, sndbuf, 4096, 1 * GIB, 0),
	SIZE("rcvbuf", port_config, rcvbuf, 4096, 1 * GIB, 0),
	FLAG("reuseport", port_config, reuseport),
};
const struct field_table port_tcp_table = FIELD_TABLE(port_tcp_fields);

static const struct field port_rdma_fields[] = {
	NUMBER("backlog", port_config, backlog, 1, 65535),
	NUMBER("receives", port_config, receives, 32, 65536),
	FLAG("per_queue_receives", port_config, per_queue_receives),
};
const struct field_table port_rdma_table = FIELD_TABLE(port_rdma_fields);

static const struct field port_options_fields[] = {
	{"announce_traddr", FIELD_ADDRESS, false, AT(port_config, announce)},
	NUMBER("max_connections", port_config, max_connections, 1, UINT32_MAX),
	NUMBER("max_pending", port_config, max_pending, 1, UINT32_MAX),
	NUMBER("max_pending_per_address", port_config, max_pending_per_address, 1, UINT32_MAX),
};
const struct field_table port_options_table = FIELD_TABLE(port_options_fields);

static const struct field referral_addr_fields[] = {
	{"trtype", FIELD_CHOICE, true, AT(referral_config, addr.trtype), .choices = trtypes},
	{"adrfam", FIELD_CHOICE, true, AT(referral_config, addr.adrfam), .choices = adrfams},
	{"traddr", FIELD_ADDRESS, true, AT(referral_config, addr.traddr)},
	{"trsvcid", FIELD_SERVICE, true, AT(referral_config, addr.trsvcid)},
	NUMBER("portid", referral_config, portid, 0, UINT16_MAX),
	UNUSED("treq", NULL),
	UNUSED("tsas", NULL),
};
const struct field_table referral_addr_table = FIELD_TABLE(referral_addr_fields);

static const struct field subsystem_attr_fields[] = {
	FLAG("allow_any_host", subsystem_config, allow_any_host),
	TEXT("serial", subsystem_config, serial, 20),
	TEXT("model", subsystem_config, model, 40),
	TEXT("firmware", subsystem_config, firmware, 8),
	NUMBER("vendor_id", subsystem_config, vid, 0, UINT16_MAX),
	NUMBER("subsys_vendor_id", subsystem_config, ssvid, 0, UINT16_MAX),
	NUMBER("ieee_oui", subsystem_config, ieee_oui, 0, 0xffffff),
	NUMBER("cntlid_min", subsystem_config, cntlid_min, 1, 65519),
	NUMBER("cntlid_max", subsystem_config, cntlid_max, 1, 65519),
	NUMBER("qid_max", subsystem_config, max_io_queues, 1, 65535),
	REFUSED("pi_enable", zero, "protection information"),
	UNUSED("version", NULL),
	REFUSED("type", subsystem_types, "subsystems of other types than nvm"),
};
const struct field_table subsystem_attr_table = FIELD_TABLE(subsystem_attr_fields);

static const struct field subsystem_options_fields[] = {
	CHOICE("controllers", subsystem_config, controllers, controller_models),
	NUMBER("max_namespaces", subsystem_config, max_namespaces, 1, 65536),
	{"max_io_size", FIELD_SIZE, false, AT(subsystem_config, max_io_size), 8192, 2 * MIB, .power_of_two = true,
	 .expected = "a size like 1MiB, a power of two, 8KiB..2MiB"},
	NUMBER("max_aers", subsystem_config, max_aers, 1, 256),
	NUMBER("max_controllers_per_host", subsystem_config, max_controllers_per_host, 1, 65519),
};
const struct field_table subsystem_options_table = FIELD_TABLE(subsystem_options_fields);

static const struct field ns_device_fields[] = {
	{"path", FIELD_PATH, false, AT(ns_config, path)},
	HEX("uuid", ns_config, uuid),
	HEX("nguid", ns_config, nguid),
	HEX("eui64", ns_config, eui64),
};
const struct field_table ns_device_table = FIELD_TABLE(ns_device_fields);

static const struct field ns_backend_fields[] = {
	CHOICE("type", ns_config, backend, backend_types),
	{"path", FIELD_PATH, false, AT(ns_config, backend_path)},
	SIZE("size", ns_config, bytes, 512, UINT64_MAX / 2 + 1, 512),
	{"block_size", FIELD_BLOCK, false, AT(ns_config, block_size)},
	FLAG("read_only", ns_config, read_only),
	FLAG("buffered", ns_config, buffered),
	FLAG("lock", ns_config, lock),
	FLAG("create", ns_config, create),
	{"device", FIELD_PATH, false, AT(ns_config, backend_path)},
	TEXT("serial", ns_config, device_serial, 20),
	{"subnqn", FIELD_NQN, false, AT(ns_config, device_subnqn)},
	TEXT("address", ns_config, address, 32),
	CHOICE("iommu", ns_config, iommu, iommus),
	NUMBER("nsid", ns_config, device_nsid, 1, UINT32_MAX - 1),
	FLAG("iopoll", ns_config, iopoll),
	FLAG("reservations", ns_config, reservations),
	{"admin", FIELD_OPCODES, false, AT(ns_config, admin)},
};
const struct field_table ns_backend_table = FIELD_TABLE(ns_backend_fields);
