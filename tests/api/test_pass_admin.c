/* SPDX-License-Identifier: BSD-3-Clause */
/* Admin commands that go to a namespace's backend. */
#include "admin_util.h"
#include "probe.h"

#define INVALID_OPCODE (0x001 | DNR)
#define INVALID_LOG_PAGE (0x109 | DNR)
#define SGL_LENGTH (0x00f | DNR)

static struct probe_world w;
static _Alignas(4096) unsigned char buf[65536];

static const uint8_t all[] = {0x02, 0x10, 0x11, 0x14, 0x19, 0x1a, 0x80, 0x81, 0x82, 0x84, 0x86, 0xc0, 0xc1, 0xc2, 0xfe};

static void takes_all(struct probe *p)
{
	for (size_t i = 0; i < sizeof(all); i++)
		nvmft_opcodes_add(&p->info.admin_commands, all[i]);
	p->command = probe_answer;
	p->max_io_size = 65536;
}

static void read_only(struct probe *p)
{
	takes_all(p);
	p->info.read_only = true;
}

static void security_only(struct probe *p)
{
	nvmft_opcodes_add(&p->info.admin_commands, 0x82);
	p->command = probe_answer;
}

static void security_send_only(struct probe *p)
{
	nvmft_opcodes_add(&p->info.admin_commands, 0x81);
}

static nvmft_status exec(const struct nvmft_sqe *sqe, size_t len)
{
	return th_exec(&w.ctrl.admin, sqe, len ? buf : NULL, len);
}

/* Each with 64 bytes or what it always has. */
static size_t make(struct nvmft_sqe *sqe, uint8_t opcode)
{
	th_sqe_init(sqe, opcode, 1);
	switch (opcode) {
	case 0x02:
		th_sqe_log(sqe, 0xc5, 1, 0, 64, false);
		return 64;
	case 0x11:
		sqe->cdw10 = htole32(15);
		return 64;
	case 0x19:
	case 0x1a:
		sqe->cdw10 = htole32(15);
		sqe->cdw11 = htole32(0x0909);
		return 64;
	case 0x81:
	case 0x82:
		sqe->cdw11 = htole32(64);
		return 64;
	case 0x86:
		sqe->cdw12 = htole32(15);
		return 64;
	case 0xc1:
	case 0xc2:
	case 0xfe:
		sqe->cdw10 = htole32(16);
		return 64;
	default:
		return 0;
	}
}

/* Most tests have a backend that takes all of them. */
static int setup(void **state)
{
	(void)state;
	probe_world_start(&w, NULL, takes_all);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	probe_world_stop(&w);
	return 0;
}

static void test_nothing_is_passed_on_unasked(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	probe_world_start(&w, NULL, NULL);
	for (size_t i = 0; i < sizeof(all); i++) {
		size_t len = make(&sqe, all[i]);

		assert_int_equal(exec(&sqe, len), all[i] == 0x02 ? INVALID_LOG_PAGE : INVALID_OPCODE);
	}
	assert_int_equal(w.probe.nlog, 0);
	probe_world_stop(&w);
}

static void test_the_backend_sees_what_the_host_sent(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++) {
		size_t len = make(&sqe, all[i]);

		sqe.cdw2 = htole32(0x1234);
		sqe.cdw15 = htole32(0x9abc);
		th_fill(buf, sizeof(buf), i);
		w.probe.ngot = 0;
		assert_int_equal(exec(&sqe, len), 0);
		assert_int_equal(le32toh(w.ctrl.admin.cqe.dw0), 0x55667788);
		assert_int_equal(le32toh(w.ctrl.admin.cqe.dw1), 0x11223344);
		assert_int_equal(w.probe.nlog, i + 1);
		assert_int_equal(w.probe.log[i].op, NVMFT_IO_COMMAND);
		assert_int_equal(w.probe.log[i].flags, NVMFT_IO_ADMIN);
		assert_int_equal(w.probe.sqe.opcode, all[i]);
		assert_memory_equal(&w.probe.sqe.cdw2, &sqe.cdw2, 8);
		assert_memory_equal(&w.probe.sqe.cdw10, &sqe.cdw10, 24);
		assert_int_equal(w.probe.ngot, len);
		if ((all[i] & 3) == 2)
			assert_true(buf[0] == 0xa5 && memcmp(buf, buf + 1, len - 1) == 0);
		else
			assert_true(th_filled(w.probe.got, len, i));
	}
}

static void test_only_what_is_on_the_list(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	probe_world_start(&w, NULL, security_only);
	for (size_t i = 0; i < sizeof(all); i++) {
		size_t len = make(&sqe, all[i]);

		assert_int_equal(exec(&sqe, len), all[i] == 0x82   ? 0
						  : all[i] == 0x02 ? INVALID_LOG_PAGE
								   : INVALID_OPCODE);
	}
	assert_int_equal(w.probe.nlog, 1);
	probe_world_stop(&w);
}

/* It is the namespace that says which device is meant. */
static void test_only_with_a_namespace(void **state)
{
	static struct probe other;
	struct nvmft_sqe sqe;
	size_t len;

	(void)state;
	probe_world_start(&w, NULL, takes_all);
	probe_init(&other);
	probe_add(w.subsys, &other);
	th_sync(&w.t);
	len = make(&sqe, 0xc2);
	sqe.nsid = 0;
	assert_int_equal(exec(&sqe, len), TH_SC_INVALID_NS | DNR);
	len = make(&sqe, 0x82);
	sqe.nsid = htole32(NSID_ALL);
	assert_int_equal(exec(&sqe, len), TH_SC_INVALID_NS | DNR);
	sqe.nsid = htole32(3);
	assert_int_equal(exec(&sqe, len), TH_SC_INVALID_NS | DNR);
	sqe.nsid = htole32(2);
	assert_int_equal(exec(&sqe, len), INVALID_OPCODE);
	len = make(&sqe, 0x02);
	sqe.nsid = htole32(2);
	assert_int_equal(exec(&sqe, len), INVALID_LOG_PAGE);
	sqe.nsid = htole32(NSID_ALL);
	assert_int_equal(exec(&sqe, len), INVALID_LOG_PAGE);
	assert_int_equal(w.probe.nlog, 0);
	assert_int_equal(other.nlog, 0);
	probe_world_stop(&w);
	probe_fini(&other);
}

/* Hosts name none, as the device as a whole is meant, which one namespace of it stands for. */
static void test_security_of_no_namespace(void **state)
{
	static struct probe other, second;
	struct nvmft_sqe sqe;
	size_t len;

	(void)state;
	probe_world_start(&w, NULL, takes_all);
	probe_init(&other);
	probe_add(w.subsys, &other);
	th_sync(&w.t);
	for (uint8_t opcode = 0x81; opcode <= 0x82; opcode++) {
		len = make(&sqe, opcode);
		sqe.nsid = 0;
		assert_int_equal(exec(&sqe, len), 0);
		assert_int_equal(w.probe.log[opcode - 0x81].flags, NVMFT_IO_ADMIN | NVMFT_IO_NO_NSID);
	}
	assert_int_equal(exec(&sqe, make(&sqe, 0x82)), 0);
	assert_int_equal(w.probe.log[2].flags, NVMFT_IO_ADMIN);
	assert_int_equal(other.nlog, 0);
	/* which of two? */
	probe_init(&second);
	security_only(&second);
	probe_add(w.subsys, &second);
	th_sync(&w.t);
	len = make(&sqe, 0x82);
	sqe.nsid = 0;
	assert_int_equal(exec(&sqe, len), TH_SC_INVALID_NS | DNR);
	assert_int_equal(w.probe.nlog, 3);
	probe_world_stop(&w);
	probe_fini(&other);
	probe_fini(&second);
}

static void test_the_status_is_the_devices(void **state)
{
	static const nvmft_status statuses[] = {0x002, 0x106 | DNR, 0x10b, 0x7c1 | DNR};
	struct nvmft_sqe sqe;

	(void)state;
	for (size_t i = 0; i < COUNT(statuses); i++) {
		w.probe.fail[0] = statuses[i];
		assert_int_equal(exec(&sqe, make(&sqe, 0x10)), statuses[i]);
	}
}

static void test_lengths_are_exact_and_within_mdts(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++) {
		size_t len = make(&sqe, all[i]);

		if (!len)
			continue;
		assert_int_equal(exec(&sqe, len - 4), SGL_LENGTH);
		assert_int_equal(exec(&sqe, len + 4), SGL_LENGTH);
	}
	make(&sqe, 0x82);
	sqe.cdw11 = htole32(65537);
	assert_int_equal(exec(&sqe, 0), TH_SC_INVALID_FIELD | DNR);
	make(&sqe, 0xc2);
	sqe.cdw10 = htole32(0x40000000);
	assert_int_equal(exec(&sqe, 0), TH_SC_INVALID_FIELD | DNR);
	th_sqe_log(&sqe, 0xc5, 1, 0, 65540, false);
	assert_int_equal(exec(&sqe, 0), TH_SC_INVALID_FIELD | DNR);
	assert_int_equal(w.probe.nlog, 0);
	make(&sqe, 0x82);
	sqe.cdw11 = htole32(65536);
	assert_int_equal(exec(&sqe, 65536), 0);
	sqe.cdw11 = 0;
	assert_int_equal(exec(&sqe, 0), 0);
	assert_int_equal(w.probe.log[1].len, 0);
}

static void test_a_read_only_namespace_is_not_formatted(void **state)
{
	static const uint8_t change[] = {0x80, 0x84};
	struct nvmft_sqe sqe;

	(void)state;
	probe_world_start(&w, NULL, read_only);
	for (size_t i = 0; i < sizeof(change); i++)
		assert_int_equal(exec(&sqe, make(&sqe, change[i])), TH_SC_WRITE_PROTECTED | DNR);
	assert_int_equal(w.probe.nlog, 0);
	assert_int_equal(exec(&sqe, make(&sqe, 0x82)), 0);
	probe_world_stop(&w);
}

/* Pages of the controller itself and reserved ones are not the device's, whatever it has. */
static void test_log_pages_of_the_vendor_alone(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	th_sqe_log(&sqe, 0xbf, 1, 0, 64, false);
	assert_int_equal(exec(&sqe, 64), INVALID_LOG_PAGE);
	th_sqe_log(&sqe, 0x07, 1, 0, 64, false);
	assert_int_equal(exec(&sqe, 64), INVALID_LOG_PAGE);
	th_sqe_log(&sqe, 0x02, 1, 0, 512, false);
	assert_int_equal(exec(&sqe, 512), 0);
	assert_int_equal(w.probe.nlog, 0);
	th_sqe_log(&sqe, 0xff, 1, 0x100000004, 64, false);
	assert_int_equal(exec(&sqe, 64), 0);
	assert_int_equal(le32toh(w.probe.sqe.cdw12), 4);
	assert_int_equal(le32toh(w.probe.sqe.cdw13), 1);
}

static void test_the_discovery_controller_passes_nothing_on(void **state)
{
	const struct th_ctrl_opts host = {.discovery = true};
	struct th_ctrl disc;
	struct nvmft_sqe sqe;
	size_t len;

	(void)state;
	th_ctrl_connect(&w.t, &disc, &host);
	len = make(&sqe, 0x82);
	assert_int_equal(th_exec(&disc.admin, &sqe, buf, len), INVALID_OPCODE);
	len = make(&sqe, 0x02);
	assert_int_equal(th_exec(&disc.admin, &sqe, buf, len), INVALID_LOG_PAGE);
	th_ctrl_disconnect(&disc);
}

static void test_not_on_an_io_queue(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		if (all[i] >= 0x80) {
			size_t len = make(&sqe, all[i]);

			assert_int_equal(th_exec(w.q, &sqe, len ? buf : NULL, len), INVALID_OPCODE);
		}
	assert_int_equal(w.probe.nlog, 0);
}

static uint16_t oacs(void)
{
	struct nvmft_sqe sqe;
	struct nvme_id_ctrl *id = (void *)buf;

	th_sqe_identify(&sqe, NVME_IDENTIFY_CNS_CTRL, 0);
	assert_int_equal(exec(&sqe, 4096), 0);
	return le16toh(id->oacs);
}

static void test_optional_admin_commands(void **state)
{
	(void)state;
	probe_world_start(&w, NULL, NULL);
	assert_int_equal(oacs(), 0);
	probe_world_stop(&w);
	probe_world_start(&w, NULL, takes_all);
	assert_int_equal(oacs(), 0x237);
	probe_world_stop(&w);
	/* one of two */
	probe_world_start(&w, NULL, security_only);
	assert_int_equal(oacs(), 0);
	probe_world_stop(&w);
	probe_world_start(&w, NULL, security_send_only);
	assert_int_equal(oacs(), 0);
	probe_world_stop(&w);
}

static uint32_t sanicap(void)
{
	(void)oacs();
	return le32toh(((struct nvme_id_ctrl *)(void *)buf)->sanicap);
}

static void sanitizes(struct probe *p)
{
	takes_all(p);
	p->info.sanitize = 0x60000003;
}

static void test_kinds_of_sanitize(void **state)
{
	static struct probe other;

	(void)state;
	probe_world_start(&w, NULL, security_only);
	assert_int_equal(sanicap(), 0);
	probe_world_stop(&w);
	probe_world_start(&w, NULL, sanitizes);
	assert_int_equal(sanicap(), 0x60000003);
	probe_init(&other);
	nvmft_opcodes_add(&other.info.admin_commands, 0x84);
	other.info.sanitize = 0x20000006;
	probe_add(w.subsys, &other);
	th_sync(&w.t);
	assert_int_equal(sanicap(), 0x20000002);
	probe_world_stop(&w);
	probe_fini(&other);
}

static void test_effects(void **state)
{
	struct nvmft_sqe sqe;
	const uint32_t *effects = (const void *)buf;

	(void)state;
	th_sqe_log(&sqe, 0x05, 0, 0, 4096, false);
	assert_int_equal(exec(&sqe, 4096), 0);
	for (size_t i = 0; i < sizeof(all); i++)
		assert_int_equal(le32toh(effects[all[i]]) & 1, 1);
	assert_int_equal(le32toh(effects[0x80]), 0x10007);
	assert_int_equal(le32toh(effects[0x84]), 0x20003);
	assert_int_equal(le32toh(effects[0x06]), 1);
	assert_int_equal(effects[0xc4], 0);
}

/* ---- the way there and back ---- */

static struct th_cmd cmd;

static void submit_held(uint8_t opcode)
{
	struct nvmft_sqe sqe;
	size_t len = make(&sqe, opcode);

	w.probe.hold = true;
	sqe.cid = 777;
	memset(&cmd, 0, sizeof(cmd));
	th_submit_cid(&w.ctrl.admin, &cmd, &sqe, len ? buf : NULL, len);
	th_settle(&w.t);
	assert_int_equal(w.probe.nheld, 1);
}

static void test_a_slow_one_holds_up_nobody(void **state)
{
	struct nvmft_sqe sqe;

	(void)state;
	submit_held(0x80);
	th_sqe_identify(&sqe, NVME_IDENTIFY_CNS_NS, 1);
	assert_int_equal(th_exec(&w.ctrl.admin, &sqe, buf, 4096), 0);
	assert_false(cmd.done);
	probe_release(&w.probe, 1);
	assert_int_equal(th_wait_cmd(&cmd), 0);
}

static void test_abort(void **state)
{
	(void)state;
	submit_held(0x14);
	assert_false(probe_abort_cmd(&w, 0, 777));
	w.probe.held_abort = true;
	assert_true(probe_abort_cmd(&w, 0, 777));
	assert_int_equal(th_sc(th_wait_cmd(&cmd)), TH_SC_ABORT_REQ);
}

/* The association ends while the device has the command; its error comes when there is no log any more that wants it.
 */
static void test_disconnect_with_one_in_the_backend(void **state)
{
	(void)state;
	th_loopback_only(TH_USUAL, "host buffers are not the backend's");
	probe_world_start(&w, NULL, takes_all);
	submit_held(0x80);
	th_disconnect_begin(w.q);
	th_disconnect_begin(&w.ctrl.admin);
	th_settle(&w.t);
	w.probe.fail[NVMFT_IO_COMMAND] = TH_SC_INTERNAL;
	probe_release(&w.probe, 1);
	th_wait_cmd(&cmd);
	probe_world_stop(&w);
}

static void test_the_namespace_goes_meanwhile(void **state)
{
	(void)state;
	submit_held(0x82);
	assert_int_equal(nvmft_namespace_remove(w.probe.ns, NULL), 0);
	th_settle(&w.t);
	assert_int_equal(w.probe.closes, 0);
	probe_release(&w.probe, 1);
	assert_int_equal(th_wait_cmd(&cmd), 0);
	th_settle(&w.t);
	assert_int_equal(w.probe.closes, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_passed_on_unasked),
		TEST(test_the_backend_sees_what_the_host_sent),
		cmocka_unit_test(test_only_what_is_on_the_list),
		cmocka_unit_test(test_only_with_a_namespace),
		cmocka_unit_test(test_security_of_no_namespace),
		TEST(test_the_status_is_the_devices),
		TEST(test_lengths_are_exact_and_within_mdts),
		cmocka_unit_test(test_a_read_only_namespace_is_not_formatted),
		TEST(test_log_pages_of_the_vendor_alone),
		TEST(test_the_discovery_controller_passes_nothing_on),
		TEST(test_not_on_an_io_queue),
		cmocka_unit_test(test_optional_admin_commands),
		cmocka_unit_test(test_kinds_of_sanitize),
		TEST(test_effects),
		TEST(test_a_slow_one_holds_up_nobody),
		TEST(test_abort),
		cmocka_unit_test(test_disconnect_with_one_in_the_backend),
		TEST(test_the_namespace_goes_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
