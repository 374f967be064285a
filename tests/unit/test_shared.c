/* SPDX-License-Identifier: BSD-3-Clause */
/* What several backends of a target use together: made once, idle when nobody uses it, destroyed in time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared.c"

/* ---- neighbours ---- */

static char logged[256];

void nvmft_vlog(const struct nvmft_target *target, enum nvmft_log_level level, const char *prefix, const char *format,
		va_list ap)
{
	char text[128];

	(void)target;
	(void)level;
	vsnprintf(text, sizeof(text), format, ap);
	snprintf(logged, sizeof(logged), "%s%s", prefix, text);
}

/* ---- a shared object that tells what happens to it ---- */

struct thing {
	struct nvmft_shared shared; /* first */
	struct nvmft_shared *inner;
	char name;
};

static struct nvmft_target target;
static const struct nvmft_backend backend = {.target = &target};
static char events[64];
static int create_result;
static bool put_inner_when_idle;
static atomic_bool idle_blocks, idle_entered;

static const struct nvmft_shared_ops thing_ops;

static void event(char what, char name)
{
	size_t len = strlen(events);

	assert_true(len + 3 < sizeof(events));
	events[len] = what;
	events[len + 1] = name;
}

static struct nvmft_shared *get(const char *key)
{
	struct nvmft_shared *shared = NULL;

	assert_int_equal(nvmft_shared_get(&backend, key, &thing_ops, sizeof(struct thing), key, &shared), 0);
	assert_non_null(shared);
	return shared;
}

/* Keys of two letters: the first is the name, the second the key of what it uses itself. */
static int thing_create(struct nvmft_shared *shared, const struct nvmft_backend *of, const void *arg)
{
	struct thing *thing = (struct thing *)(void *)shared;
	const char *key = arg;

	assert_ptr_equal(of, &backend);
	assert_ptr_equal(shared->target, &target);
	assert_string_equal(shared->key, key);
	assert_null(thing->inner);
	if (create_result)
		return create_result;
	thing->name = key[0];
	if (key[1])
		thing->inner = get(key + 1);
	event('+', thing->name);
	return 0;
}

static void thing_idle(struct nvmft_shared *shared)
{
	struct thing *thing = (struct thing *)(void *)shared;

	event('i', thing->name);
	atomic_store(&idle_entered, true);
	while (atomic_load(&idle_blocks))
		usleep(100);
	if (put_inner_when_idle && thing->inner) {
		nvmft_shared_put(thing->inner);
		thing->inner = NULL;
	}
}

static void thing_destroy(struct nvmft_shared *shared)
{
	struct thing *thing = (struct thing *)(void *)shared;

	event('-', thing->name);
	if (thing->inner)
		nvmft_shared_put(thing->inner);
}

static const struct nvmft_shared_ops thing_ops = {.create = thing_create, .idle = thing_idle, .destroy = thing_destroy};

static int setup(void **state)
{
	(void)state;
	memset(&target, 0, sizeof(target));
	memset(events, 0, sizeof(events));
	create_result = 0;
	put_inner_when_idle = false;
	atomic_store(&idle_blocks, false);
	atomic_store(&idle_entered, false);
	nvmft_shared_init(&target);
	return 0;
}

/* ---- tests ---- */

static void the_same_key_gives_the_same_object(void **state)
{
	struct nvmft_shared *a = get("a");

	(void)state;
	assert_ptr_equal(get("a"), a);
	assert_ptr_not_equal(get("b"), a);
	assert_string_equal(events, "+a+b");
	nvmft_shared_put(a);
	nvmft_shared_put(a);
	nvmft_shared_put(get("b"));
	nvmft_shared_put(get("b"));
	nvmft_shared_put(target.shared);
	nvmft_shared_fini(&target);
}

static void it_is_idle_when_the_last_reference_goes(void **state)
{
	struct nvmft_shared *a = get("a");

	(void)state;
	get("a");
	nvmft_shared_put(a);
	assert_string_equal(events, "+a");
	nvmft_shared_put(a);
	assert_string_equal(events, "+aia");
	nvmft_shared_fini(&target);
	assert_string_equal(events, "+aia-a");
}

static void an_idle_object_is_destroyed_before_the_next_is_made(void **state)
{
	(void)state;
	nvmft_shared_put(get("a"));
	assert_string_equal(events, "+aia");
	get("a");
	assert_string_equal(events, "+aia-a+a");
	nvmft_shared_put(target.shared);
	nvmft_shared_fini(&target);
	assert_string_equal(events, "+aia-a+aia-a");
}

static void an_idle_object_of_another_key_stays(void **state)
{
	(void)state;
	nvmft_shared_put(get("a"));
	nvmft_shared_put(get("b"));
	assert_string_equal(events, "+aia+bib");
	nvmft_shared_fini(&target);
}

static void a_failed_create_leaves_nothing_behind(void **state)
{
	struct nvmft_shared *shared = NULL;

	(void)state;
	create_result = -EBUSY;
	assert_int_equal(nvmft_shared_get(&backend, "a", &thing_ops, sizeof(struct thing), "a", &shared), -EBUSY);
	assert_null(shared);
	assert_null(target.shared);
	create_result = 0;
	nvmft_shared_put(get("a"));
	nvmft_shared_fini(&target);
	assert_string_equal(events, "+aia-a");
}

static void the_end_destroys_the_newest_first(void **state)
{
	(void)state;
	nvmft_shared_put(get("a"));
	nvmft_shared_put(get("b"));
	nvmft_shared_put(get("c"));
	events[0] = '\0';
	memset(events, 0, sizeof(events));
	nvmft_shared_fini(&target);
	assert_string_equal(events, "-c-b-a");
}

static void what_an_object_uses_outlives_it(void **state)
{
	struct nvmft_shared *outer = get("ab");

	(void)state;
	assert_string_equal(events, "+b+a");
	nvmft_shared_put(outer);
	nvmft_shared_fini(&target);
	assert_string_equal(events, "+b+aia-aib-b");
}

static void idle_may_put_what_the_object_uses(void **state)
{
	struct nvmft_shared *outer = get("ab");

	(void)state;
	put_inner_when_idle = true;
	nvmft_shared_put(outer);
	assert_string_equal(events, "+b+aiaib");
	outer = get("ab");
	assert_string_equal(events, "+b+aiaib-a-b+b+a");
	nvmft_shared_put(outer);
	nvmft_shared_fini(&target);
}

static void *put_thread(void *arg)
{
	nvmft_shared_put(arg);
	return NULL;
}

static void *unblock_thread(void *arg)
{
	(void)arg;
	usleep(20000);
	atomic_store(&idle_blocks, false);
	return NULL;
}

/* A poll group's thread puts the last reference while the control thread gets one. */
static void an_object_on_its_way_to_idleness_is_waited_for(void **state)
{
	pthread_t putter, unblocker;

	(void)state;
	atomic_store(&idle_blocks, true);
	assert_int_equal(pthread_create(&putter, NULL, put_thread, get("a")), 0);
	while (!atomic_load(&idle_entered))
		usleep(100);
	assert_int_equal(pthread_create(&unblocker, NULL, unblock_thread, NULL), 0);
	get("a");
	assert_false(atomic_load(&idle_blocks));
	assert_string_equal(events, "+aia-a+a");
	pthread_join(putter, NULL);
	pthread_join(unblocker, NULL);
	nvmft_shared_put(target.shared);
	nvmft_shared_fini(&target);
}

static void the_log_line_begins_with_who_speaks(void **state)
{
	(void)state;
	nvmft_target_log(&target, "vfio 0000:01:00.0", NVMFT_LOG_ERROR, "reset %d", 3);
	assert_string_equal(logged, "vfio 0000:01:00.0: reset 3");
	nvmft_shared_fini(&target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_same_key_gives_the_same_object, setup),
		cmocka_unit_test_setup(it_is_idle_when_the_last_reference_goes, setup),
		cmocka_unit_test_setup(an_idle_object_is_destroyed_before_the_next_is_made, setup),
		cmocka_unit_test_setup(an_idle_object_of_another_key_stays, setup),
		cmocka_unit_test_setup(a_failed_create_leaves_nothing_behind, setup),
		cmocka_unit_test_setup(the_end_destroys_the_newest_first, setup),
		cmocka_unit_test_setup(what_an_object_uses_outlives_it, setup),
		cmocka_unit_test_setup(idle_may_put_what_the_object_uses, setup),
		cmocka_unit_test_setup(an_object_on_its_way_to_idleness_is_waited_for, setup),
		cmocka_unit_test_setup(the_log_line_begins_with_who_speaks, setup),
	};

	return cmocka_run_group_tests_name("unit", tests, NULL, NULL);
}
