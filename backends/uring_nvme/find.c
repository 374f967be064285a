/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device by its serial number and namespace, or by its subsystem's name, in libnvme's topology.
 */
#include <errno.h>
#include <libnvme.h>
#include <stdlib.h>
#include <string.h>

#include "find.h"

struct search {
	const struct nvmft_uring_nvme_opts *opts;
	char name[32];
	unsigned int found;
};

static bool trimmed_equal(const char *text, const char *want)
{
	size_t len = text ? strlen(text) : 0;

	while (len && text[len - 1] == ' ')
		len--;
	return text && len == strlen(want) && !memcmp(text, want, len);
}

/* A namespace that several controllers show is one. */
static void hit(struct search *s, nvme_ns_t ns)
{
	const char *name = nvme_ns_get_generic_name(ns);

	if (!name || (s->opts->nsid && (uint32_t)nvme_ns_get_nsid(ns) != s->opts->nsid) || !strcmp(s->name, name))
		return;
	s->found++;
	strncpy(s->name, name, sizeof(s->name) - 1);
}

static bool subsystem_wanted(const struct search *s, nvme_subsystem_t subsys)
{
	nvme_ctrl_t ctrl;

	if (s->opts->subnqn && *s->opts->subnqn && strcmp(nvme_subsystem_get_nqn(subsys), s->opts->subnqn) != 0)
		return false;
	if (!s->opts->serial || !*s->opts->serial)
		return true;
	nvme_subsystem_for_each_ctrl(subsys, ctrl)
	{
		if (trimmed_equal(nvme_ctrl_get_serial(ctrl), s->opts->serial))
			return true;
	}
	return false;
}

/* With native multipath namespaces belong to the subsystem, else to its controllers. */
static void search_subsystem(struct search *s, nvme_subsystem_t subsys)
{
	nvme_ctrl_t ctrl;
	nvme_ns_t ns;

	nvme_subsystem_for_each_ns(subsys, ns)
	{
		hit(s, ns);
	}
	nvme_subsystem_for_each_ctrl(subsys, ctrl)
	{
		nvme_ctrl_for_each_ns(ctrl, ns)
		{
			hit(s, ns);
		}
	}
}

static int search_all(struct search *s)
{
	nvme_root_t root = nvme_scan(NULL);
	nvme_subsystem_t subsys;
	nvme_host_t host;

	if (!root)
		return -ENODEV;
	nvme_for_each_host(root, host)
	{
		nvme_for_each_subsystem(host, subsys)
		{
			if (subsystem_wanted(s, subsys))
				search_subsystem(s, subsys);
		}
	}
	nvme_free_tree(root);
	return 0;
}

int nvmft_ng_find_name(const struct nvmft_uring_nvme_opts *opts, char *name, size_t size, unsigned int *found)
{
	struct search s = {.opts = opts};
	int ret = search_all(&s);

	if (ret)
		return ret;
	*found = s.found;
	strncpy(name, s.name, size - 1);
	name[size - 1] = '\0';
	return 0;
}
