/* SPDX-License-Identifier: BSD-3-Clause */
#include "discovery.h"

/* Identify Controller is all there is to identify: no namespaces, no I/O (Base 2.0, 3.1.2.3). */
static nvmft_status identify_parse(struct request *req)
{
	if ((le32toh(req->pub.sqe.cdw10) & 0xff) != NVME_IDENTIFY_CNS_CTRL)
		return req_error(req, SC_DNR(INVALID_FIELD), SQE_LOC(cdw10));
	return nvmft_identify_parse(req);
}

/* The commands are those of any controller; their rooms know which log pages and features are here. */
nvmft_status nvmft_parse_discovery_cmd(struct request *req)
{
	if (req->pub.sqe.opcode == NVMFT_ADMIN_IDENTIFY)
		return identify_parse(req);
	return nvmft_parse_admin_cmd(req);
}

/*
 * Whether a change of the configuration changed what this host sees. Other changes of the generation counter are none
 * of its business.
 */
bool nvmft_discovery_changed(struct nvmft_ctrl *ctrl, const struct nvmft_view *before, const struct nvmft_view *after)
{
	struct nvmf_disc_log_entry was, is;
	struct disc_reader old_reader, new_reader;
	struct disc_cursor old = {.reader = &old_reader}, new = {.reader = &new_reader};
	bool more, more_new;

	if (before->disc_genctr == after->disc_genctr)
		return false;
	nvmft_disc_reader_init(&old_reader, ctrl, before);
	nvmft_disc_reader_init(&new_reader, ctrl, after);
	do {
		more = nvmft_disc_next(&old, &was);
		more_new = nvmft_disc_next(&new, &is);
		if (more != more_new || (more && memcmp(&was, &is, sizeof(was)) != 0))
			return true;
	} while (more);
	return false;
}
