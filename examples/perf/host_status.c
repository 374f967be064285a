/* SPDX-License-Identifier: BSD-3-Clause */
#include <nvme/types.h>

#include "host.h"

struct words {
	uint16_t status;
	const char *text;
};

#define GENERIC(code, text)                                    \
	{                                                      \
		(NVME_SCT_GENERIC << 8) | NVME_SC_##code, text \
	}
#define SPECIFIC(code, text)                                        \
	{                                                           \
		(NVME_SCT_CMD_SPECIFIC << 8) | NVME_SC_##code, text \
	}
#define MEDIA(code, text)                                    \
	{                                                    \
		(NVME_SCT_MEDIA << 8) | NVME_SC_##code, text \
	}
#define PATH(code, text)                                    \
	{                                                   \
		(NVME_SCT_PATH << 8) | NVME_SC_##code, text \
	}

static const struct words table[] = {
	GENERIC(SUCCESS, "Successful Completion"),
	GENERIC(INVALID_OPCODE, "Invalid Command Opcode"),
	GENERIC(INVALID_FIELD, "Invalid Field in Command"),
	GENERIC(CMDID_CONFLICT, "Command ID Conflict"),
	GENERIC(DATA_XFER_ERROR, "Data Transfer Error"),
	GENERIC(POWER_LOSS, "Commands Aborted due to Power Loss Notification"),
	GENERIC(INTERNAL, "Internal Error"),
	GENERIC(ABORT_REQ, "Command Abort Requested"),
	GENERIC(ABORT_QUEUE, "Command Aborted due to SQ Deletion"),
	GENERIC(FUSED_FAIL, "Command Aborted due to Failed Fused Command"),
	GENERIC(FUSED_MISSING, "Command Aborted due to Missing Fused Command"),
	GENERIC(INVALID_NS, "Invalid Namespace or Format"),
	GENERIC(CMD_SEQ_ERROR, "Command Sequence Error"),
	GENERIC(SGL_INVALID_LAST, "Invalid SGL Segment Descriptor"),
	GENERIC(SGL_INVALID_COUNT, "Invalid Number of SGL Descriptors"),
	GENERIC(SGL_INVALID_DATA, "Data SGL Length Invalid"),
	GENERIC(SGL_INVALID_TYPE, "SGL Descriptor Type Invalid"),
	GENERIC(SGL_INVALID_OFFSET, "SGL Offset Invalid"),
	GENERIC(OP_DENIED, "Operation Denied"),
	GENERIC(HOSTID_FORMAT, "Host Identifier Inconsistent Format"),
	GENERIC(KAT_EXPIRED, "Keep Alive Timer Expired"),
	GENERIC(KAT_INVALID, "Keep Alive Timeout Invalid"),
	GENERIC(NS_WRITE_PROTECTED, "Namespace is Write Protected"),
	GENERIC(CMD_INTERRUPTED, "Command Interrupted"),
	GENERIC(TRAN_TPORT_ERROR, "Transient Transport Error"),
	GENERIC(LBA_RANGE, "LBA Out of Range"),
	GENERIC(CAP_EXCEEDED, "Capacity Exceeded"),
	GENERIC(NS_NOT_READY, "Namespace Not Ready"),
	GENERIC(RESERVATION_CONFLICT, "Reservation Conflict"),
	GENERIC(FORMAT_IN_PROGRESS, "Format In Progress"),
	SPECIFIC(INVALID_LOG_PAGE, "Invalid Log Page"),
	SPECIFIC(FEATURE_NOT_SAVEABLE, "Feature Identifier Not Saveable"),
	SPECIFIC(FEATURE_NOT_CHANGEABLE, "Feature Not Changeable"),
	SPECIFIC(CONNECT_FORMAT, "Connect Incompatible Format"),
	SPECIFIC(CONNECT_CTRL_BUSY, "Connect Controller Busy"),
	SPECIFIC(CONNECT_INVALID_PARAM, "Connect Invalid Parameters"),
	SPECIFIC(CONNECT_RESTART_DISC, "Connect Restart Discovery"),
	SPECIFIC(CONNECT_INVALID_HOST, "Connect Invalid Host"),
	SPECIFIC(DISCOVERY_RESTART, "Discover Restart"),
	SPECIFIC(AUTH_REQUIRED, "Authentication Required"),
	MEDIA(WRITE_FAULT, "Write Fault"),
	MEDIA(READ_ERROR, "Unrecovered Read Error"),
	MEDIA(COMPARE_FAILED, "Compare Failure"),
	MEDIA(ACCESS_DENIED, "Access Denied"),
	MEDIA(UNWRITTEN_BLOCK, "Deallocated or Unwritten Logical Block"),
	PATH(ANA_INTERNAL_PATH_ERROR, "Internal Path Error"),
	PATH(ANA_PERSISTENT_LOSS, "Asymmetric Access Persistent Loss"),
	PATH(ANA_INACCESSIBLE, "Asymmetric Access Inaccessible"),
	PATH(ANA_TRANSITION, "Asymmetric Access Transition"),
	PATH(CTRL_PATH_ERROR, "Controller Pathing Error"),
	PATH(HOST_PATH_ERROR, "Host Pathing Error"),
	PATH(CMD_ABORTED_BY_HOST, "connection lost"),
};

const char *host_status_words(unsigned int status)
{
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].status == (status & 0x7ff))
			return table[i].text;
	return "unknown status";
}

/* Fields of the Connect command and its data by their offsets (NVMe Base 2.0, 6.3). */
static const char *connect_field(bool in_data, unsigned int offset)
{
	static const struct {
		uint16_t offset;
		bool in_data;
		const char *name;
	} fields[] = {
		{40, false, "RECFMT"}, {42, false, "QID"},    {44, false, "SQSIZE"},
		{46, false, "CATTR"},  {48, false, "KATO"},   {0, true, "HOSTID"},
		{16, true, "CNTLID"},  {256, true, "SUBNQN"}, {512, true, "HOSTNQN"},
	};
	size_t i;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (fields[i].in_data == in_data && fields[i].offset == offset)
			return fields[i].name;
	return "an unknown field";
}

void host_connect_words(const struct host_cqe *cqe, struct host_error *err)
{
	unsigned int status = host_status(cqe);
	uint32_t dw0 = le32toh(cqe->dw0);
	bool in_data = dw0 >> 16 & 1;
	unsigned int offset = dw0 & 0xffff;

	/* The loopback transport does not hand out the field. */
	if (status == HOST_SC_CONNECT_PARAM && dw0)
		host_fail(err, "Connect refused: %s (%03xh): %s, %s at byte %u", host_status_words(status), status,
			  connect_field(in_data, offset), in_data ? "Connect data" : "command", offset);
	else
		host_fail(err, "Connect refused: %s (%03xh)", host_status_words(status), status);
}
