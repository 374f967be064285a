/* SPDX-License-Identifier: BSD-3-Clause */
/* The file backend: what it opens, what it refuses and how it says so, and what a real device or file system does under
 * it. */
#include "conf.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
	struct th t;
	struct nvmft_subsystem *subsys;
	char path[64];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	th_start(&f->t, NULL);
	f->subsys = th_add_subsystem(&f->t, TH_NQN);
	conf_make_file(f->path, 1 << 20);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	th_stop(&f->t);
	unlink(f->path);
	free(f);
	return 0;
}

static int add(struct fixture *f, const struct nvmft_file_opts *opts, struct nvmft_namespace **ns)
{
	struct nvmft_file_opts o = *opts;
	struct nvmft_namespace_opts no = {.size = sizeof(no), .backend = nvmft_backend_file(), .backend_opts = &o};

	o.size = sizeof(o);
	return nvmft_namespace_add(f->subsys, &no, ns);
}

#define OPEN(f, ...) add(f, &(struct nvmft_file_opts){__VA_ARGS__}, NULL)

/* ---- refused ---- */

static void test_no_options(void **state)
{
	struct fixture *f = *state;
	struct nvmft_namespace_opts no = {.size = sizeof(no), .backend = nvmft_backend_file()};

	assert_int_equal(nvmft_namespace_add(f->subsys, &no, NULL), -EINVAL);
	assert_true(th_log_has(&f->t, "options"));
}

static void test_no_path(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(OPEN(f, .path = NULL), -EINVAL);
	assert_int_equal(OPEN(f, .path = ""), -EINVAL);
	assert_true(th_log_has(&f->t, "path: required"));
}

static void test_missing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(OPEN(f, .path = "no/such/file"), -ENOENT);
	assert_true(th_log_has(&f->t, "path: no/such/file: cannot be opened: No such file"));
}

static void test_directory(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(OPEN(f, .path = "."), -EISDIR);
	assert_true(th_log_has(&f->t, "is a directory"));
	assert_int_equal(OPEN(f, .path = ".", .read_only = true), -EISDIR);
}

static void test_fifo(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkfifo("conf-fifo", 0600), 0);
	assert_int_equal(OPEN(f, .path = "conf-fifo"), -EINVAL);
	assert_int_equal(OPEN(f, .path = "conf-fifo", .read_only = true), -EINVAL);
	unlink("conf-fifo");
	assert_true(th_log_has(&f->t, "not a regular file or block device"));
}

static void test_permission(void **state)
{
	struct fixture *f = *state;
	int err;

	assert_int_equal(chmod(f->path, 0400), 0);
	if (geteuid() == 0 && seteuid(65534) != 0)
		skip();
	err = OPEN(f, .path = f->path);
	assert_int_equal(seteuid(getuid()), 0);
	assert_int_equal(err, -EACCES);
	assert_true(th_log_has(&f->t, f->path));
}

static void test_empty(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(truncate(f->path, 0), 0);
	assert_int_equal(OPEN(f, .path = f->path), -EINVAL);
	assert_true(th_log_has(&f->t, "has 0 bytes"));
}

static void test_too_small(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(OPEN(f, .path = f->path, .bytes = 2 << 20), -EINVAL);
	assert_true(th_log_has(&f->t, "bytes: 2097152, but"));
}

static void test_bytes_odd(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(OPEN(f, .path = f->path, .bytes = 1000), -EINVAL);
	assert_true(th_log_has(&f->t, "bytes: 1000"));
}

static void test_block_size(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(OPEN(f, .path = f->path, .block_size = 1024), -EINVAL);
	assert_true(th_log_has(&f->t, "block_size: 1024"));
}

/* ---- locks ---- */

static void test_two_writers(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(OPEN(f, .path = f->path), 0);
	assert_int_equal(OPEN(f, .path = f->path), -EBUSY);
	assert_true(th_log_has(&f->t, "is in use by another target"));
	assert_int_equal(OPEN(f, .path = f->path, .read_only = true), -EBUSY);
	assert_int_equal(OPEN(f, .path = f->path, .no_lock = true), 0);
}

static void test_two_readers(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(OPEN(f, .path = f->path, .read_only = true), 0);
	assert_int_equal(OPEN(f, .path = f->path, .read_only = true), 0);
	assert_int_equal(OPEN(f, .path = f->path), -EBUSY);
}

static void test_lock_ends(void **state)
{
	struct fixture *f = *state;
	struct nvmft_namespace *ns;

	assert_int_equal(add(f, &(struct nvmft_file_opts){.path = f->path}, &ns), 0);
	th_remove_namespace(&f->t, ns);
	assert_int_equal(OPEN(f, .path = f->path), 0);
}

static void test_refusal_leaves_no_lock(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(OPEN(f, .path = f->path, .bytes = 2 << 20), -EINVAL);
	assert_int_equal(OPEN(f, .path = f->path), 0);
}

/* ---- served ---- */

static uint64_t blocks_of(struct nvmft_namespace *ns)
{
	struct nvmft_namespace_info info = {.size = sizeof(info)};

	assert_int_equal(nvmft_namespace_info(ns, &info), 0);
	return info.blocks;
}

static void test_size(void **state)
{
	struct fixture *f = *state;
	struct nvmft_namespace *ns;

	assert_int_equal(truncate(f->path, 4096 * 3 + 1000), 0);
	assert_int_equal(add(f, &(struct nvmft_file_opts){.path = f->path}, &ns), 0);
	assert_int_equal(blocks_of(ns), 3 * 8 + 1);
	th_remove_namespace(&f->t, ns);
	assert_int_equal(add(f, &(struct nvmft_file_opts){.path = f->path, .block_size = 4096}, &ns), 0);
	assert_int_equal(blocks_of(ns), 3);
	th_remove_namespace(&f->t, ns);
	assert_int_equal(add(f, &(struct nvmft_file_opts){.path = f->path, .bytes = 8192}, &ns), 0);
	assert_int_equal(blocks_of(ns), 16);
}

static void test_read_only(void **state)
{
	struct fixture *f = *state;
	struct th_ctrl ctrl;
	char buf[512];

	assert_int_equal(chmod(f->path, 0400), 0);
	assert_int_equal(OPEN(f, .path = f->path, .read_only = true), 0);
	th_ctrl_connect(&f->t, &ctrl, NULL);
	assert_int_equal(th_read(&ctrl, 1, 0, 1, buf, sizeof(buf)), 0);
	assert_int_equal(th_sc(th_write(&ctrl, 1, 0, 1, buf, sizeof(buf))), TH_SC_WRITE_PROTECTED);
	th_ctrl_disconnect(&ctrl);
}

/* What the host wrote is in the file, at its place. */
static void test_contents(void **state)
{
	struct fixture *f = *state;
	struct th_ctrl ctrl;
	char buf[4096], seen[4096];
	int fd;

	assert_int_equal(OPEN(f, .path = f->path), 0);
	th_ctrl_connect(&f->t, &ctrl, NULL);
	th_fill(buf, sizeof(buf), 1);
	assert_int_equal(th_write(&ctrl, 1, 24, 8, buf, sizeof(buf)), 0);
	th_ctrl_disconnect(&ctrl);
	fd = open(f->path, O_RDONLY);
	assert_int_equal(pread(fd, seen, sizeof(seen), 24 * 512), sizeof(seen));
	close(fd);
	assert_memory_equal(seen, buf, sizeof(buf));
}

static void test_deallocate_frees(void **state)
{
	struct fixture *f = *state;
	struct th_range range = {0, htole32(1024), htole64(512)};
	struct nvmft_sqe sqe;
	struct th_ctrl ctrl;
	struct stat before, after;
	char *buf = calloc(1, 1 << 20);

	assert_non_null(buf);
	assert_int_equal(OPEN(f, .path = f->path), 0);
	th_ctrl_connect(&f->t, &ctrl, NULL);
	th_fill(buf, 1 << 20, 1);
	assert_int_equal(th_write(&ctrl, 1, 0, 2048, buf, 1 << 20), 0);
	assert_int_equal(stat(f->path, &before), 0);
	th_sqe_dsm(&sqe, 1, 1, 4);
	assert_int_equal(th_exec(&ctrl.io[0], &sqe, &range, sizeof(range)), 0);
	assert_int_equal(stat(f->path, &after), 0);
	assert_true(after.st_blocks <= before.st_blocks - 1024);
	assert_int_equal(after.st_size, 1 << 20);
	th_ctrl_disconnect(&ctrl);
	free(buf);
}

/* ---- a file system that cannot zero a range, and one that is full ---- */

static void write_and_zero(struct fixture *f, uint32_t cdw12)
{
	struct nvmft_sqe sqe;
	struct th_ctrl ctrl;
	char *buf = calloc(1, 16384);

	assert_non_null(buf);
	th_ctrl_connect(&f->t, &ctrl, NULL);
	th_fill(buf, 16384, 1);
	assert_int_equal(th_write(&ctrl, 1, 0, 32, buf, 16384), 0);
	th_sqe_rw(&sqe, TH_WRITE_ZEROES, 1, 1, 30);
	sqe.cdw12 |= htole32(cdw12);
	assert_int_equal(th_exec(&ctrl.io[0], &sqe, NULL, 0), 0);
	assert_int_equal(th_read(&ctrl, 1, 1, 30, buf, 15360), 0);
	assert_true(th_zero(buf, 15360));
	assert_int_equal(th_read(&ctrl, 1, 31, 1, buf, 512), 0);
	assert_false(th_zero(buf, 512));
	th_ctrl_disconnect(&ctrl);
	free(buf);
}

static void test_tmpfs_zeroes(void **state)
{
	struct fixture *f = *state;
	char path[] = "/dev/shm/conf-XXXXXX";
	int fd = mkstemp(path);

	if (fd < 0)
		skip();
	assert_int_equal(ftruncate(fd, 4 << 20), 0);
	close(fd);
	if (OPEN(f, .path = path) != 0)
		fail();
	unlink(path);
	write_and_zero(f, 0);
	write_and_zero(f, TH_FUA);
	write_and_zero(f, TH_DEAC);
}

static void test_no_space(void **state)
{
	struct fixture *f = *state;
	struct th_ctrl ctrl;
	char *buf = calloc(1, 1 << 20);
	int fd;

	assert_non_null(buf);
	mkdir("conf-small", 0700);
	if (mount("none", "conf-small", "tmpfs", 0, "size=512k") != 0) {
		free(buf);
		skip();
	}
	fd = open("conf-small/disk", O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 4 << 20), 0);
	close(fd);
	assert_int_equal(OPEN(f, .path = "conf-small/disk"), 0);
	assert_int_equal(umount2("conf-small", MNT_DETACH), 0);
	rmdir("conf-small");
	th_ctrl_connect(&f->t, &ctrl, NULL);
	assert_int_equal(th_sc(th_write(&ctrl, 1, 0, 2048, buf, 1 << 20)), TH_SC_CAP_EXCEEDED);
	assert_true(th_log_has(&f->t, "No space left"));
	assert_int_equal(th_read(&ctrl, 1, 4096, 8, buf, 4096), 0);
	th_ctrl_disconnect(&ctrl);
	free(buf);
}

/* ---- block devices ---- */

/* A loop device over f->path with logical blocks of @block_size; skips the test where that is not possible. */
static int loop_attach(struct fixture *f, uint32_t block_size, char *path, size_t len)
{
	struct loop_config config = {.block_size = block_size, .info.lo_flags = LO_FLAGS_AUTOCLEAR};
	int ctl = open("/dev/loop-control", O_RDWR), nr, fd;

	if (ctl < 0)
		skip();
	nr = ioctl(ctl, LOOP_CTL_GET_FREE);
	close(ctl);
	snprintf(path, len, "/dev/loop%d", nr);
	fd = nr < 0 ? -1 : open(path, O_RDWR);
	config.fd = (__u32)open(f->path, O_RDWR);
	if (fd < 0 || ioctl(fd, LOOP_CONFIGURE, &config) < 0) {
		close((int)config.fd);
		skip();
	}
	close((int)config.fd);
	return fd;
}

static void test_block_device(void **state)
{
	struct fixture *f = *state;
	char path[32], buf[16384];
	struct nvmft_namespace *ns;
	int fd = loop_attach(f, 512, path, sizeof(path));

	assert_int_equal(add(f, &(struct nvmft_file_opts){.path = path}, &ns), 0);
	assert_int_equal(blocks_of(ns), 2048);
	write_and_zero(f, 0);
	write_and_zero(f, TH_DEAC);
	assert_int_equal(pread(fd, buf, 512, 0), 512);
	assert_true(th_filled(buf, 512, 1));
	th_remove_namespace(&f->t, ns);
	close(fd);
}

static void test_block_device_4k(void **state)
{
	struct fixture *f = *state;
	struct nvmft_namespace *ns;
	char path[32];
	int fd = loop_attach(f, 4096, path, sizeof(path));

	assert_int_equal(add(f, &(struct nvmft_file_opts){.path = path}, &ns), 0);
	assert_int_equal(blocks_of(ns), 256);
	th_remove_namespace(&f->t, ns);
	/* Smaller blocks than the device has: through the page cache. */
	assert_int_equal(add(f, &(struct nvmft_file_opts){.path = path, .block_size = 512}, &ns), 0);
	assert_int_equal(blocks_of(ns), 2048);
	assert_true(th_log_has(&f->t, "warn: "));
	assert_true(th_log_has(&f->t, "using the page cache"));
	write_and_zero(f, 0);
	th_remove_namespace(&f->t, ns);
	close(fd);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_no_options),   T(test_no_path),
		T(test_missing),      T(test_directory),
		T(test_fifo),         T(test_permission),
		T(test_empty),        T(test_too_small),
		T(test_bytes_odd),    T(test_block_size),
		T(test_two_writers),  T(test_two_readers),
		T(test_lock_ends),    T(test_refusal_leaves_no_lock),
		T(test_size),         T(test_read_only),
		T(test_contents),     T(test_deallocate_frees),
		T(test_tmpfs_zeroes), T(test_no_space),
		T(test_block_device), T(test_block_device_4k),
	};

	return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
