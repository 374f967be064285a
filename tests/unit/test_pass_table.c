/* SPDX-License-Identifier: BSD-3-Clause */
/* How many bytes the commands move that are passed on, and what a backend may declare. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "../../lib/pass_table.c"

static char line[256];

void nvmft_log(struct nvmft_target *target, enum nvmft_log_level level, const char *format, ...)
{
	va_list ap;

	(void)target;
	(void)level;
	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
}

static struct nvmft_backend_info zoned(void)
{
	return (struct nvmft_backend_info){.block_size = 512,
					   .csi = 2,
					   .zones = {.zone_blocks = 64, .descriptor_extension = 2, .append_limit = 1}};
}

struct row {
	uint8_t opcode;
	uint32_t cdw10, cdw11, cdw12, cdw13;
	uint64_t len;
};

static void check(const struct pass_cmd *(*find)(uint8_t opcode), const struct row *rows, size_t n)
{
	struct nvmft_backend_info info = zoned();

	for (size_t i = 0; i < n; i++) {
		const struct nvmft_sqe sqe = {.opcode = rows[i].opcode,
					      .cdw10 = htole32(rows[i].cdw10),
					      .cdw11 = htole32(rows[i].cdw11),
					      .cdw12 = htole32(rows[i].cdw12),
					      .cdw13 = htole32(rows[i].cdw13)};
		const struct pass_cmd *cmd = find(rows[i].opcode);

		assert_non_null(cmd);
		if (cmd->length(&sqe, &info) != rows[i].len)
			fail_msg("row %zu, opcode %02x: %llu bytes", i, rows[i].opcode,
				 (unsigned long long)cmd->length(&sqe, &info));
	}
}

#define BAD PASS_BAD_LENGTH
#define GIB16 0x400000000ull

static void io_lengths(void **state)
{
	static const struct row rows[] = {
		{0x04, .len = 0},
		{0x0c, .len = 0},
		{0x0d, .len = 16},
		{0x11, .len = 16},
		{0x15, .len = 8},
		{0x0e, .cdw10 = 0, .len = 4},
		{0x0e, .cdw10 = 15, .len = 64},
		{0x0e, .cdw10 = UINT32_MAX, .len = GIB16},
		{0x19, .cdw12 = 0, .len = 32},
		{0x19, .cdw12 = 255, .len = 8192},
		{0x19, .cdw12 = 0x80000003, .len = 128},
		/* ranges with other guards, or of other namespaces of the device */
		{0x19, .cdw12 = 0x100, .len = BAD},
		{0x19, .cdw12 = 0x200, .len = BAD},
		{0x19, .cdw12 = 0x300, .len = BAD},
		{0x7a, .cdw12 = 0, .len = 4},
		{0x7a, .cdw12 = 1023, .len = 4096},
		{0x7a, .cdw12 = UINT32_MAX, .len = GIB16},
		{0x79, .cdw13 = 0x00, .len = BAD},
		{0x79, .cdw13 = 0x01, .len = 0},
		{0x79, .cdw13 = 0x02, .len = 0},
		{0x79, .cdw13 = 0x104, .len = 0},
		{0x79, .cdw13 = 0x05, .len = 0},
		{0x79, .cdw13 = 0x06, .len = BAD},
		{0x79, .cdw13 = 0x10, .len = 128},
		{0x79, .cdw13 = 0x11, .len = 0},
		{0x79, .cdw13 = 0xff, .len = BAD},
		{0x7d, .cdw12 = 0, .len = 512},
		{0x7d, .cdw12 = 15, .len = 8192},
		{0x7d, .cdw12 = 0x4000000f, .len = 8192},
		/* ZASL is 1: two pages */
		{0x7d, .cdw12 = 16, .len = BAD},
	};

	(void)state;
	check(nvmft_pass_io, rows, ARRAY_SIZE(rows));
}

static void admin_lengths(void **state)
{
	static const struct row rows[] = {
		{0x10, .cdw10 = UINT32_MAX, .len = 0},
		{0x14, .cdw10 = UINT32_MAX, .len = 0},
		{0x80, .cdw10 = UINT32_MAX, .len = 0},
		{0x84, .cdw10 = UINT32_MAX, .len = 0},
		{0x11, .cdw10 = 1023, .len = 4096},
		{0x81, .cdw10 = 7, .cdw11 = 513, .len = 513},
		{0x82, .cdw10 = 7, .cdw11 = 0, .len = 0},
		{0x82, .cdw11 = UINT32_MAX, .len = UINT32_MAX},
		{0x86, .cdw12 = 15, .len = 64},
		/* directives: without data where the operation has none */
		{0x19, .cdw10 = 7, .cdw11 = 0x0001, .len = 0},
		{0x19, .cdw10 = 7, .cdw11 = 0x0101, .len = 0},
		{0x19, .cdw10 = 7, .cdw11 = 0x20102, .len = 0},
		{0x19, .cdw10 = 7, .cdw11 = 0x0103, .len = 32},
		{0x1a, .cdw10 = 1023, .cdw11 = 0x0001, .len = 4096},
		{0x1a, .cdw10 = 7, .cdw11 = 0x0101, .len = 32},
		{0x1a, .cdw10 = 7, .cdw11 = 0x0103, .len = 0},
		/* vendors': the direction by the opcode, NDT from 1 */
		{0xc0, .cdw10 = 7, .len = 0},
		{0xc1, .cdw10 = 7, .len = 28},
		{0xc1, .cdw10 = 7, .cdw11 = 1, .len = BAD},
		{0xc0, .cdw11 = 1, .len = BAD},
		{0xfe, .cdw10 = 0, .len = 0},
		{0xfe, .cdw10 = UINT32_MAX, .len = UINT32_MAX * 4ull},
		{0x02, .cdw10 = 0x000f00c0, .cdw11 = 0, .len = 64},
		{0x02, .cdw10 = 0xffff00c0, .cdw11 = 0xffff, .len = GIB16},
	};

	(void)state;
	check(nvmft_pass_admin, rows, ARRAY_SIZE(rows));
}

static void without_an_extension_there_is_none_to_set(void **state)
{
	struct nvmft_backend_info info = zoned();
	const struct nvmft_sqe sqe = {.opcode = 0x79, .cdw13 = htole32(0x10)};

	(void)state;
	info.zones.descriptor_extension = 0;
	assert_true(nvmft_pass_io(0x79)->length(&sqe, &info) == PASS_BAD_LENGTH);
}

static void append_limits_of_any_size(void **state)
{
	struct nvmft_backend_info info = zoned();
	const struct nvmft_sqe sqe = {.opcode = 0x7d, .cdw12 = htole32(0xffff)};

	(void)state;
	info.block_size = 4096;
	info.zones.append_limit = 0;
	assert_true(nvmft_pass_io(0x7d)->length(&sqe, &info) == 65536ull * 4096);
	info.zones.append_limit = 255;
	assert_true(nvmft_pass_io(0x7d)->length(&sqe, &info) == 65536ull * 4096);
	info.zones.append_limit = 15;
	assert_true(nvmft_pass_io(0x7d)->length(&sqe, &info) == PASS_BAD_LENGTH);
}

/* What no row of the table knows. */
static void all_others_are_unknown(void **state)
{
	static const uint8_t io[] = {0x04, 0x0c, 0x0d, 0x0e, 0x11, 0x15, 0x19, 0x79, 0x7a, 0x7d};
	unsigned int n = 0;

	(void)state;
	for (unsigned int opcode = 0; opcode < 256; opcode++)
		n += nvmft_pass_io((uint8_t)opcode) != NULL;
	assert_int_equal(n, sizeof(io));
	for (size_t i = 0; i < sizeof(io); i++)
		assert_non_null(nvmft_pass_io(io[i]));
	/* vendors' that move data both ways, NVMe-MI, Virtualization Management, Doorbell Buffer Config, queues */
	assert_null(nvmft_pass_admin(0xc3));
	assert_null(nvmft_pass_admin(0xff));
	assert_null(nvmft_pass_admin(0x1d));
	assert_null(nvmft_pass_admin(0x1e));
	assert_null(nvmft_pass_admin(0x1c));
	assert_null(nvmft_pass_admin(0x7c));
	assert_null(nvmft_pass_admin(0x01));
}

/* ---- what a backend declares ---- */

static int declare(const struct nvmft_backend_info *info)
{
	static struct nvmft_subsystem subsys = {.nqn = "nqn"};
	static const struct nvmft_namespace ns = {.subsys = &subsys};

	line[0] = 0;
	return nvmft_pass_check_info(&ns, info);
}

static void expect_refused(const struct nvmft_backend_info *info, const char *why)
{
	assert_int_equal(declare(info), -EINVAL);
	if (!strstr(line, why))
		fail_msg("\"%s\" in \"%s\"", why, line);
}

static void command_sets(void **state)
{
	struct nvmft_backend_info info = {.block_size = 512};

	(void)state;
	assert_int_equal(declare(&info), 0);
	info.csi = 1;
	expect_refused(&info, "command set 1");
	info.csi = 2;
	expect_refused(&info, "command set 2");
	info.zones.zone_blocks = 1;
	assert_int_equal(declare(&info), 0);
	assert_string_equal(line, "");
}

static void io_command(struct nvmft_backend_info *info, uint8_t opcode)
{
	*info = (struct nvmft_backend_info){.block_size = 512};
	nvmft_opcodes_add(&info->commands, opcode);
}

static void unknown_io_commands(void **state)
{
	struct nvmft_backend_info info;

	(void)state;
	io_command(&info, 0x0c);
	assert_int_equal(declare(&info), 0);
	io_command(&info, 0x02);
	expect_refused(&info, "commands: opcode 0x02: its length is not known");
	io_command(&info, 0xff);
	expect_refused(&info, "commands: opcode 0xff: its length is not known");
}

static void io_commands_need_their_facts(void **state)
{
	static const uint8_t resv[] = {0x0d, 0x0e, 0x11, 0x15}, zones[] = {0x79, 0x7a, 0x7d};
	struct nvmft_backend_info info;

	(void)state;
	io_command(&info, 0x19);
	expect_refused(&info, "limits of Copy");
	info.copy.max_range = 1;
	expect_refused(&info, "limits of Copy");
	info.copy.max_total = 1;
	assert_int_equal(declare(&info), 0);
	for (size_t i = 0; i < sizeof(resv); i++) {
		io_command(&info, resv[i]);
		expect_refused(&info, "reservations");
		info.reservations = 1;
		assert_int_equal(declare(&info), 0);
	}
	for (size_t i = 0; i < sizeof(zones); i++) {
		io_command(&info, zones[i]);
		expect_refused(&info, "no zones");
		info.csi = 2;
		info.zones.zone_blocks = 1;
		assert_int_equal(declare(&info), 0);
	}
}

static void admin_commands_of_the_target(void **state)
{
	static const uint8_t own[] = {0x06, 0x08, 0x09, 0x0a, 0x0c, 0x18, 0x7f};

	(void)state;
	for (size_t i = 0; i < sizeof(own); i++) {
		struct nvmft_backend_info info = {.block_size = 512};

		nvmft_opcodes_add(&info.admin_commands, own[i]);
		expect_refused(&info, "the target answers it itself");
	}
}

/* Namespace Management and Attachment: what hosts use would become another namespace under their I/O. */
static void admin_commands_that_replace_namespaces(void **state)
{
	static const uint8_t opcodes[] = {0x0d, 0x15};

	(void)state;
	for (size_t i = 0; i < sizeof(opcodes); i++) {
		struct nvmft_backend_info info = {.block_size = 512};
		char why[64];

		nvmft_opcodes_add(&info.admin_commands, opcodes[i]);
		snprintf(why, sizeof(why), "admin_commands: opcode 0x%02x: it would replace", opcodes[i]);
		expect_refused(&info, why);
		assert_null(nvmft_pass_admin(opcodes[i]));
	}
}

static void unknown_admin_commands(void **state)
{
	struct nvmft_backend_info info = {.block_size = 512};

	(void)state;
	nvmft_opcodes_add(&info.admin_commands, 0x02);
	nvmft_opcodes_add(&info.admin_commands, 0xc1);
	assert_int_equal(declare(&info), 0);
	nvmft_opcodes_add(&info.admin_commands, 0xc3);
	expect_refused(&info, "admin_commands: opcode 0xc3: its length is not known");
	nvmft_opcodes_add(&info.admin_commands, 0x1d);
	expect_refused(&info, "admin_commands: opcode 0x1d: its length is not known");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(io_lengths),
		cmocka_unit_test(admin_lengths),
		cmocka_unit_test(without_an_extension_there_is_none_to_set),
		cmocka_unit_test(append_limits_of_any_size),
		cmocka_unit_test(all_others_are_unknown),
		cmocka_unit_test(command_sets),
		cmocka_unit_test(unknown_io_commands),
		cmocka_unit_test(io_commands_need_their_facts),
		cmocka_unit_test(admin_commands_of_the_target),
		cmocka_unit_test(admin_commands_that_replace_namespaces),
		cmocka_unit_test(unknown_admin_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
