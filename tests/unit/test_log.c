/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../../lib/log.c"

struct sink {
	unsigned int lines;
	enum nvmft_log_level level;
	char last[1024];
};

static void take(void *ctx, enum nvmft_log_level level, const char *message)
{
	struct sink *sink = ctx;

	sink->lines++;
	sink->level = level;
	snprintf(sink->last, sizeof(sink->last), "%s", message);
}

static struct nvmft_target make_target(struct sink *sink)
{
	struct nvmft_target target = {.opts = {.log = {.write = take, .ctx = sink}, .log_level = NVMFT_LOG_INFO}};

	memset(sink, 0, sizeof(*sink));
	return target;
}

static void a_line_reaches_the_sink(void **state)
{
	struct sink sink;
	struct nvmft_target target = make_target(&sink);

	(void)state;
	nvmft_log(&target, NVMFT_LOG_WARN, "port %d", 7);
	assert_int_equal(sink.lines, 1);
	assert_int_equal(sink.level, NVMFT_LOG_WARN);
	assert_string_equal(sink.last, "port 7");
}

static void less_severe_lines_are_dropped(void **state)
{
	struct sink sink;
	struct nvmft_target target = make_target(&sink);

	(void)state;
	nvmft_log(&target, NVMFT_LOG_DEBUG, "detail");
	assert_int_equal(sink.lines, 0);
	nvmft_log(&target, NVMFT_LOG_INFO, "news");
	assert_int_equal(sink.lines, 1);
}

static void without_a_sink_it_is_silent(void **state)
{
	struct nvmft_target target = {.opts = {.log_level = NVMFT_LOG_DEBUG}};

	(void)state;
	nvmft_log(&target, NVMFT_LOG_ERROR, "nobody hears %s", "this");
}

static void a_line_is_bounded(void **state)
{
	struct sink sink;
	struct nvmft_target target = make_target(&sink);
	char big[4096];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	nvmft_log(&target, NVMFT_LOG_ERROR, "%s", big);
	assert_int_equal(strlen(sink.last), LOG_LINE_MAX - 1);
}

static void vlog_with(struct nvmft_target *target, const char *prefix, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	nvmft_vlog(target, NVMFT_LOG_ERROR, prefix, format, ap);
	va_end(ap);
}

static void a_prefix_comes_first(void **state)
{
	struct sink sink;
	struct nvmft_target target = make_target(&sink);

	(void)state;
	vlog_with(&target, "tcp: ", "%u bytes", 5u);
	assert_string_equal(sink.last, "tcp: 5 bytes");
}

static void printable_text_is_left_alone(void **state)
{
	char out[64];

	(void)state;
	assert_string_equal(nvmft_log_escape(out, sizeof(out), "nqn.2014-08.org", 15), "nqn.2014-08.org");
}

static void other_bytes_are_escaped(void **state)
{
	char out[64];

	(void)state;
	assert_string_equal(nvmft_log_escape(out, sizeof(out), "a\n\x1b\\\xff", 5), "a\\x0a\\x1b\\x5c\\xff");
}

static void escaping_ends_at_a_nul(void **state)
{
	char out[64];

	(void)state;
	assert_string_equal(nvmft_log_escape(out, sizeof(out), "ab\0cd", 5), "ab");
}

static void escaping_never_exceeds_the_buffer(void **state)
{
	unsigned char bytes[256];
	char out[16];

	(void)state;
	memset(bytes, 0xee, sizeof(bytes));
	for (size_t size = 1; size <= sizeof(out); size++) {
		memset(out, 'z', sizeof(out));
		nvmft_log_escape(out, size, bytes, sizeof(bytes));
		assert_true(strlen(out) < size);
		assert_int_equal(strlen(out) % 4, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_reaches_the_sink),
		cmocka_unit_test(less_severe_lines_are_dropped),
		cmocka_unit_test(without_a_sink_it_is_silent),
		cmocka_unit_test(a_line_is_bounded),
		cmocka_unit_test(a_prefix_comes_first),
		cmocka_unit_test(printable_text_is_left_alone),
		cmocka_unit_test(other_bytes_are_escaped),
		cmocka_unit_test(escaping_ends_at_a_nul),
		cmocka_unit_test(escaping_never_exceeds_the_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
