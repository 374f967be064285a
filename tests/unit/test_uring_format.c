/* SPDX-License-Identifier: BSD-3-Clause */
/* The passthrough backend: admin commands of hosts, and I/O to a namespace that may have another format. */
#include "uring_world.h"

/* ---- another format under I/O ---- */

static void settle_doubt(struct fixture *f)
{
	assert_true(ssd_doubt_settle(&f->ng.doubt, ssd_doubt_begin(&f->ng.doubt)));
}

/* Nothing is sent until the device was asked. */
static void test_doubt(void **state)
{
	struct fixture *f = *state;

	ssd_doubt_raise(&f->ng.doubt);
	submit(f, NVMFT_IO_READ, 0, 0, 8);
	nvmft_ng_drain_waiting(&f->ch);
	assert_int_equal(nsqes + dones, 0);
	settle_doubt(f);
	nvmft_ng_drain_waiting(&f->ch);
	assert_range(0, 0x02, 0, 7);
	answer(f, 0);
	assert_int_equal(done_status, 0);
	assert_null(f->ch.waiting);
}

static void test_doubt_refused(void **state)
{
	struct fixture *f = *state;

	ssd_doubt_raise(&f->ng.doubt);
	submit(f, NVMFT_IO_READ, 0, 0, 8);
	assert_int_equal(dones, 0);
	ssd_doubt_refuse(&f->ng.doubt);
	nvmft_ng_drain_waiting(&f->ch);
	assert_int_equal(dones, 1);
	assert_int_equal(done_status, NG_STATUS_NOT_READY);
	submit(f, NVMFT_IO_READ, 0, 0, 8);
	assert_int_equal(dones, 2);
	assert_int_equal(done_status, NG_STATUS_NOT_READY);
	assert_int_equal(nsqes, 0);
}

/* What is left of an I/O that takes several commands. */
static void test_doubt_in_the_middle(void **state)
{
	struct fixture *f = *state;

	f->ng.facts.csi = 2;
	submit(f, NVMFT_IO_WRITE, 0, 0, 300);
	assert_int_equal(nsqes, 1);
	ssd_doubt_raise(&f->ng.doubt);
	answer(f, 0);
	assert_int_equal(nsqes, 1);
	settle_doubt(f);
	nvmft_ng_drain_waiting(&f->ch);
	assert_int_equal(nsqes, 2);
	ssd_doubt_refuse(&f->ng.doubt);
	answer(f, 0);
	assert_int_equal(dones, 1);
	assert_int_equal(done_status, NG_STATUS_NOT_READY);
}

/* With commands of it in the device: it ends when they do. */
static void test_doubt_with_commands_under_way(void **state)
{
	struct fixture *f = *state;

	room = 1;
	submit(f, NVMFT_IO_READ, 0, 0, 300);
	room = 64;
	ssd_doubt_refuse(&f->ng.doubt);
	nvmft_ng_drain_waiting(&f->ch);
	assert_int_equal(dones, 0);
	answer(f, 0);
	assert_int_equal(dones, 1);
	assert_int_equal(done_status, NG_STATUS_NOT_READY);
	assert_int_equal(nsqes, 1);
}

/* ---- admin commands ---- */

static void test_admin(void **state)
{
	struct fixture *f = *state;

	f->ng.ctrl_fd[1] = 31;
	with_pi(f, 1, SSD_PI_16, 32);
	host_command(f, 0x02, NVMFT_IO_ADMIN, 0x123, 512);
	assert_int_equal(sqes[0]->fd, 31);
	assert_int_equal(sqes[0]->cmd_op, NVME_URING_CMD_ADMIN);
	assert_int_equal(cmd(0)->nsid, 3);
	assert_int_equal(cmd(0)->cdw12, 0x123); /* it is no Read */
	assert_int_equal(cmd(0)->data_len, 512);
	answer(f, 0);
	assert_int_equal(dones, 1);
	assert_int_equal(f->ng.ctrl_at, 1);
}

static void format(struct fixture *f, uint32_t cdw10)
{
	f->host = (struct nvmft_sqe){.opcode = 0x80, .nsid = htole32(77), .cdw10 = htole32(cdw10)};
	f->io.iovcnt = 0;
	submit(f, NVMFT_IO_COMMAND, NVMFT_IO_ADMIN, 0, 0);
}

static void test_admin_of_no_namespace(void **state)
{
	struct fixture *f = *state;

	f->ng.ctrl_fd[0] = 30;
	host_command(f, 0x82, NVMFT_IO_ADMIN | NVMFT_IO_NO_NSID, 0, 512);
	assert_int_equal(cmd(0)->nsid, 0);
	answer(f, 0);
}

/* I/O waits from here on, and somebody looks when it is over. */
static void test_admin_format(void **state)
{
	struct fixture *f = *state;

	f->ng.ctrl_fd[0] = 30;
	f->ng.facts.format = 3;
	host_command(f, 0xc0, NVMFT_IO_ADMIN, 0, 0);
	answer(f, 0);
	assert_int_equal(looks, 0);
	format(f, 1u << 9);
	assert_int_equal(cmd(1)->opcode, 0x80);
	assert_int_equal(cmd(1)->cdw10, 1u << 9 | 3);
	assert_true(ssd_in_doubt(&f->ng.doubt));
	answer(f, 0x002 | 0x4000);
	assert_int_equal(looks, 1);
}

/* I/O that waits may wait for its end. */
static void test_admin_format_goes_first(void **state)
{
	struct fixture *f = *state;
	struct ng_io other = {0};

	f->ng.ctrl_fd[0] = 30;
	f->ch.waiting = &other;
	format(f, 0);
	assert_int_equal(nsqes, 1);
	f->ch.waiting = NULL;
	answer(f, 0);
}

static void test_admin_format_to_another(void **state)
{
	struct fixture *f = *state;

	f->ng.ctrl_fd[0] = 30;
	f->ng.facts.format = 3;
	format(f, 3);
	assert_int_equal(done_status, 0x410a);
	assert_int_equal(nsqes + looks, 0);
	assert_false(ssd_in_doubt(&f->ng.doubt));
	ssd_doubt_raise(&f->ng.doubt); /* who knows what it has now */
	format(f, 0);
	assert_int_equal(done_status, NG_STATUS_NOT_READY);
	assert_int_equal(nsqes, 0);
}

/* One that did not arrive goes to the next, and it is not over before. */
static void test_admin_format_other_controller(void **state)
{
	struct fixture *f = *state;

	f->ng.ctrl_fd[0] = 30;
	f->ng.ctrl_fd[1] = 31;
	format(f, 0);
	answer(f, -ENODEV);
	looks = 0; /* that one said that it is gone */
	assert_int_equal(nsqes, 2);
	answer(f, 0);
	assert_int_equal(dones, 1);
	assert_int_equal(looks, 1);
}

static void test_admin_vector(void **state)
{
	struct fixture *f = *state;

	f->ng.ctrl_fd[0] = 30;
	host_command(f, 0xc2, NVMFT_IO_ADMIN, 0, 0);
	answer_all(f);
	f->iov[0] = (struct nvmft_iov){f->data, 100, NVMFT_REGION_NONE};
	f->iov[1] = (struct nvmft_iov){f->data + 4096, 156, NVMFT_REGION_NONE};
	f->io.iovcnt = 2;
	dones = 0;
	nvmft_ng_submit(&f->channel, &f->io);
	assert_int_equal(sqes[1]->cmd_op, NVME_URING_CMD_ADMIN_VEC);
	assert_int_equal(cmd(1)->data_len, 2);
	answer_all(f);
}

/* One that is gone has not seen it. */
static void test_admin_other_controller(void **state)
{
	struct fixture *f = *state;

	f->ng.ctrl_fd[0] = 30;
	f->ng.ctrl_fd[2] = 32;
	host_command(f, 0xc2, NVMFT_IO_ADMIN, 0, 512);
	answer(f, -ENODEV);
	assert_int_equal(dones, 0);
	assert_int_equal(sqes[1]->fd, 32);
	answer(f, 0x002 | 0x4000);
	assert_int_equal(done_status, 0x4002);
	assert_int_equal(f->ng.ctrl_at, 2);
}

static void test_admin_no_controller(void **state)
{
	struct fixture *f = *state;

	f->ng.ctrl_fd[0] = 30;
	f->ng.ctrl_fd[1] = 31;
	f->ng.ctrl_at = 1;
	host_command(f, 0xc2, NVMFT_IO_ADMIN, 0, 512);
	answer(f, -ENODEV);
	assert_int_equal(sqes[1]->fd, 30);
	answer(f, -ENODEV);
	assert_int_equal(nsqes, 2);
	assert_int_equal(done_status, NG_STATUS_NOT_READY);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_doubt),
		T(test_doubt_refused),
		T(test_doubt_in_the_middle),
		T(test_doubt_with_commands_under_way),
		T(test_admin),
		T(test_admin_of_no_namespace),
		T(test_admin_format),
		T(test_admin_format_goes_first),
		T(test_admin_format_to_another),
		T(test_admin_format_other_controller),
		T(test_admin_vector),
		T(test_admin_other_controller),
		T(test_admin_no_controller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
