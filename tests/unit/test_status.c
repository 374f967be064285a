/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../../lib/status.c"

static void no_error_is_success(void **state)
{
	(void)state;
	assert_int_equal(nvmft_status_from_errno(0), 0);
}

static void every_error_is_a_failure(void **state)
{
	(void)state;
	for (int err = 1; err < 4096; err++)
		assert_int_not_equal(nvmft_status_from_errno(-err) & 0x7ff, 0);
}

static void a_shortage_may_be_retried(void **state)
{
	static const int errs[] = {EAGAIN, EBUSY, ENOMEM, EINTR};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(errs); i++)
		assert_int_equal(nvmft_status_from_errno(-errs[i]), SC(CMD_INTERRUPTED));
}

static void a_full_device_is_capacity_exceeded(void **state)
{
	(void)state;
	assert_int_equal(nvmft_status_from_errno(-ENOSPC), SC_DNR(CAP_EXCEEDED));
}

static void a_read_only_device_is_write_protected(void **state)
{
	(void)state;
	assert_int_equal(nvmft_status_from_errno(-EROFS), SC_DNR(NS_WRITE_PROTECTED));
}

static void lost_data_is_a_media_error(void **state)
{
	(void)state;
	assert_int_equal(nvmft_status_from_errno(-ENODATA) & 0x7ff, SC_MEDIA(READ_ERROR));
}

static void an_unknown_error_is_internal(void **state)
{
	(void)state;
	assert_int_equal(nvmft_status_from_errno(-4000), SC_DNR(INTERNAL));
	assert_int_equal(nvmft_status_from_errno(17), SC_DNR(INTERNAL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_error_is_success),
		cmocka_unit_test(every_error_is_a_failure),
		cmocka_unit_test(a_shortage_may_be_retried),
		cmocka_unit_test(a_full_device_is_capacity_exceeded),
		cmocka_unit_test(a_read_only_device_is_write_protected),
		cmocka_unit_test(lost_data_is_a_media_error),
		cmocka_unit_test(an_unknown_error_is_internal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
