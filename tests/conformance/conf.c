/* SPDX-License-Identifier: BSD-3-Clause */
#include "conf.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUF_LEN (CONF_MAX_IO + 8192)

/* Each over loopback and TCP; with CONF_ALL in the environment over every transport. */
static const struct conf_kind kinds[] = {
	{CONF_NULL, CONF_BARE, 512},           {CONF_NULL, CONF_LOG, 4096},    {CONF_NULL, CONF_POOR, 512},
	{CONF_MEMORY, CONF_BARE, 512},         {CONF_MEMORY, CONF_BARE, 4096}, {CONF_MEMORY, CONF_LOG, 512},
	{CONF_MEMORY, CONF_POOR, 512},         {CONF_MEMORY, CONF_LATE, 4096}, {CONF_MEMORY, CONF_ERROR, 512},
	{CONF_FILE, CONF_BARE, 512},           {CONF_FILE, CONF_BARE, 4096},   {CONF_FILE_BUFFERED, CONF_BARE, 512},
	{CONF_FILE_BUFFERED, CONF_BARE, 4096}, {CONF_FILE, CONF_LOG, 512},     {CONF_FILE, CONF_POOR, 4096},
	{CONF_FILE, CONF_LATE, 512},           {CONF_MINIMAL, CONF_BARE, 512}, {CONF_MINIMAL, CONF_LATE, 4096},
	{CONF_POLLED, CONF_BARE, 512},         {CONF_POLLED, CONF_POOR, 512},  {CONF_THREAD, CONF_BARE, 4096},
	{CONF_THREAD, CONF_LATE, 512},
};

/* These over the variants of TCP and over RDMA: what lends, waits for a ring, completes late, or is copied. */
static const struct conf_kind varied[] = {
	{CONF_MEMORY, CONF_BARE, 512},
	{CONF_MEMORY, CONF_POOR, 512},
	{CONF_FILE, CONF_BARE, 512},
	{CONF_THREAD, CONF_BARE, 4096},
};

static const size_t nkinds = sizeof(kinds) / sizeof(kinds[0]), nvaried = sizeof(varied) / sizeof(varied[0]);

/* Where there is a device to test; of its block size. */
static const enum conf_wrap device_wraps[] = {CONF_BARE, CONF_LOG, CONF_POOR, CONF_LATE};

static const char *const base_names[] = {"null", "memory",  "file",   "file-buffered", "nvme",
					 "vfio", "minimal", "polled", "thread"};
static const char *const wrap_names[] = {"", "+log", "+poor", "+late", "+error"};

static void kind_name(char *name, size_t size, const struct conf_kind *kind)
{
	snprintf(name, size, "%s %s-%u%s", th_transport_names[kind->transport], base_names[kind->base],
		 kind->block_size, wrap_names[kind->wrap]);
}

void conf_make_file(char *path, uint64_t bytes)
{
	int fd;

	strcpy(path, "conf-XXXXXX");
	fd = mkstemp(path);
	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
		fail_msg("no file %s", path);
	close(fd);
}

/* The device to test, if any: what stands behind BLOCK: in one of two variables. */
static const char *device(enum conf_base *base, uint32_t *block_size)
{
	const char *nvme = getenv("NVMFT_TEST_NVME"), *vfio = getenv("NVMFT_TEST_VFIO"), *text = nvme ? nvme : vfio;
	const char *colon = text ? strchr(text, ':') : NULL;

	if (!colon)
		return NULL;
	*base = nvme ? CONF_NVME : CONF_VFIO;
	*block_size = (uint32_t)strtoul(text, NULL, 10);
	return colon + 1;
}

/* As empty as a new file. By the backend itself, as only it can reach every device. */
static void clear_device(const struct conf *c)
{
	struct conf *clear = calloc(1, sizeof(*clear));

	assert_non_null(clear);
	clear->block_size = c->block_size;
	clear->ops = c->ops;
	clear->ops_opts = c->ops_opts;
	conf_start(clear, NULL, NULL);
	for (uint64_t lba = 0; lba < c->blocks; lba += conf_max_blocks(c))
		assert_int_equal(conf_rw(clear, TH_WRITE_ZEROES, lba, conf_max_blocks(c), 0), 0);
	conf_end(clear);
}

/* ADDRESS/NSID */
static void choose_vfio(struct conf *c, const char *text)
{
	size_t len = strcspn(text, "/");

	assert_true(len < sizeof(c->address) && text[len]);
	memcpy(c->address, text, len);
	c->vfio_opts = (struct nvmft_vfio_nvme_opts){
		.size = sizeof(c->vfio_opts),
		.address = c->address,
		.nsid = (uint32_t)strtoul(text + len + 1, NULL, 10),
	};
	c->ops = nvmft_backend_vfio_nvme();
	c->ops_opts = &c->vfio_opts;
}

static void choose_device(struct conf *c)
{
	enum conf_base base;
	uint32_t block_size;
	const char *text = device(&base, &block_size);

	if (base == CONF_VFIO) {
		choose_vfio(c, text);
	} else {
		c->nvme_opts = (struct nvmft_uring_nvme_opts){.size = sizeof(c->nvme_opts), .device = text};
		c->ops = nvmft_backend_uring_nvme();
		c->ops_opts = &c->nvme_opts;
	}
	clear_device(c);
}

static void choose_base(struct conf *c)
{
	c->null_opts = (struct nvmft_null_opts){sizeof(c->null_opts), CONF_BYTES, c->block_size};
	c->memory_opts = (struct nvmft_memory_opts){sizeof(c->memory_opts), CONF_BYTES, c->block_size};
	switch (c->kind.base) {
	case CONF_NULL:
		c->ops = nvmft_backend_null();
		c->ops_opts = &c->null_opts;
		break;
	case CONF_MEMORY:
		c->ops = nvmft_backend_memory();
		c->ops_opts = &c->memory_opts;
		break;
	case CONF_FILE:
	case CONF_FILE_BUFFERED:
		conf_make_file(c->path, CONF_BYTES);
		c->file_opts = (struct nvmft_file_opts){
			.size = sizeof(c->file_opts),
			.path = c->path,
			.block_size = c->block_size,
			.buffered = c->kind.base == CONF_FILE_BUFFERED,
		};
		c->ops = nvmft_backend_file();
		c->ops_opts = &c->file_opts;
		break;
	case CONF_NVME:
	case CONF_VFIO:
		choose_device(c);
		break;
	case CONF_MINIMAL:
	case CONF_POLLED:
	case CONF_THREAD:
		c->toy_opts = (struct toy_opts){sizeof(c->toy_opts), CONF_BYTES, c->block_size};
		c->ops = c->kind.base == CONF_MINIMAL  ? &toy_minimal
			 : c->kind.base == CONF_POLLED ? &toy_polled
						       : &toy_thread;
		c->ops_opts = &c->toy_opts;
	}
}

void conf_wrap_with(struct conf *c, struct nvmft_backend_ops (*wrapper)(const struct nvmft_backend_ops *),
		    void *control)
{
	unsigned int i = c->nlayers++;

	assert_true(i < CONF_LAYERS);
	c->layers[i] = wrapper(c->ops);
	c->layer_opts[i] = (struct nvmft_wrap_opts){sizeof(c->layer_opts[i]), c->ops, c->ops_opts, control};
	c->ops = &c->layers[i];
	c->ops_opts = &c->layer_opts[i];
}

static void choose_wrap(struct conf *c)
{
	c->log.entries = c->log_entries;
	c->log.capacity = CONF_LOG_ENTRIES;
	switch (c->kind.wrap) {
	case CONF_BARE:
		break;
	case CONF_LOG:
		conf_wrap_with(c, nvmft_wrap_log_ops, &c->log);
		break;
	case CONF_POOR:
		c->poor = (struct nvmft_wrap_short){
			.no_fua = true,
			.no_write_zeroes = true,
			.no_deallocate = true,
			.no_compare = true,
			.no_lend = true,
			.volatile_cache = true,
			.depth = 1,
			.align = 4096,
		};
		conf_wrap_with(c, nvmft_wrap_log_ops, &c->log);
		conf_wrap_with(c, nvmft_wrap_short_ops, &c->poor);
		break;
	case CONF_LATE:
		c->delay.delay_ns = 1000000;
		conf_wrap_with(c, nvmft_wrap_delay_ops, &c->delay);
		break;
	case CONF_ERROR:
		conf_wrap_with(c, nvmft_wrap_error_ops, &c->error);
	}
}

struct conf *conf_prepare(const struct conf_kind *kind)
{
	struct conf *c = calloc(1, sizeof(*c));
	void *buf = NULL, *buf2 = NULL;

	assert_non_null(c);
	assert_int_equal(posix_memalign(&buf, 4096, BUF_LEN), 0);
	assert_int_equal(posix_memalign(&buf2, 4096, BUF_LEN), 0);
	c->buf = buf;
	c->buf2 = buf2;
	c->kind = *kind;
	c->block_size = kind->block_size;
	c->blocks = CONF_BYTES / c->block_size;
	choose_base(c);
	choose_wrap(c);
	return c;
}

void conf_start(struct conf *c, const struct th_opts *opts, const struct th_ctrl_opts *ctrl_opts)
{
	struct th_opts to = {.tick_ns = c->kind.wrap == CONF_LATE ? 100000 : 0};
	struct nvmft_subsystem_opts so = {.nqn = TH_NQN, .allow_any_host = true, .max_io_size = CONF_MAX_IO};

	if (opts)
		to = *opts;
	to.transport = c->kind.transport;
	th_start(&c->t, &to);
	c->subsys = th_add_subsystem_opts(&c->t, &so);
	c->ns = th_add_namespace(c->subsys, c->ops, c->ops_opts);
	th_ctrl_connect(&c->t, &c->ctrl, ctrl_opts);
}

void conf_end(struct conf *c)
{
	if (c->ctrl.t)
		th_ctrl_disconnect(&c->ctrl);
	if (c->t.target)
		th_stop(&c->t);
	if (c->path[0])
		unlink(c->path);
	assert_int_equal(atomic_load(&c->poor.violations), 0);
	assert_int_equal(atomic_load(&c->log.channels), 0);
	assert_int_equal(atomic_load(&c->log.outstanding), 0);
	assert_int_equal(atomic_load(&c->delay.held), 0);
	free(c->buf);
	free(c->buf2);
	free(c);
}

static int setup(void **state)
{
	struct conf *c = conf_prepare(*state);

	conf_start(c, NULL, NULL);
	*state = c;
	return 0;
}

static int setup_inject(void **state)
{
	struct conf *c = conf_prepare(*state);

	conf_wrap_with(c, nvmft_wrap_delay_ops, &c->delay);
	conf_wrap_with(c, nvmft_wrap_error_ops, &c->error);
	conf_start(c, NULL, NULL);
	*state = c;
	return 0;
}

static int setup_threaded(void **state)
{
	struct conf *c = conf_prepare(*state);
	struct th_opts opts = {.groups = 2, .threaded = true};
	struct th_ctrl_opts ctrl_opts = {.io_queues = 2};

	conf_start(c, &opts, &ctrl_opts);
	*state = c;
	return 0;
}

static CMFixtureFunction setup_for(unsigned int needs)
{
	return needs & CONF_THREADED ? setup_threaded : needs & CONF_INJECT ? setup_inject : setup;
}

static int teardown(void **state)
{
	conf_end(*state);
	return 0;
}

static bool suits(const struct conf_kind *kind, unsigned int needs)
{
	if (needs & CONF_KEEPS_DATA && kind->base == CONF_NULL)
		return false;
	if (needs & (CONF_PROMPT | CONF_THREADED) && kind->wrap == CONF_LATE)
		return false;
	if (needs & CONF_INJECT && kind->wrap != CONF_BARE)
		return false;
	if (needs & CONF_HOST_BUFFERS && kind->transport != TH_LOOPBACK)
		return false;
	if (needs & CONF_RESIZABLE && kind->base != CONF_FILE && kind->base != CONF_FILE_BUFFERED)
		return false;
	return true;
}

/* One test over one kind. */
struct cell {
	struct conf_kind kind;
	char name[128];
};

struct plan {
	const struct conf_test *tests;
	size_t ntests;
	struct CMUnitTest *all;
	struct cell *cells;
	size_t n;
};

static void plan_kind(struct plan *plan, const struct conf_kind *kind, enum th_transport transport)
{
	struct conf_kind k = *kind;
	char name[64];

	k.transport = transport;
	kind_name(name, sizeof(name), &k);
	for (size_t i = 0; i < plan->ntests; i++) {
		const struct conf_test *test = &plan->tests[i];
		struct cell *cell = &plan->cells[plan->n];

		if (!suits(&k, test->needs))
			continue;
		cell->kind = k;
		snprintf(cell->name, sizeof(cell->name), "%s: %s", name, test->name);
		plan->all[plan->n++] =
			(struct CMUnitTest){cell->name, test->fn, setup_for(test->needs), teardown, &cell->kind};
	}
}

static void plan_device(struct plan *plan, enum conf_base base, uint32_t block_size)
{
	for (size_t k = 0; k < sizeof(device_wraps) / sizeof(device_wraps[0]); k++) {
		struct conf_kind kind = {base, device_wraps[k], block_size, TH_LOOPBACK};

		plan_kind(plan, &kind, TH_LOOPBACK);
		/* What a wrapper does to a device's I/O it does over every transport. */
		if (kind.wrap == CONF_BARE)
			plan_kind(plan, &kind, TH_TCP);
	}
}

/* Over every transport, or over the one that TH_TRANSPORT names. */
static void plan_transports(struct plan *plan)
{
	const char *only = getenv("TH_TRANSPORT");

	for (unsigned int t = TH_LOOPBACK; t < TH_TRANSPORTS; t++) {
		bool all = t == TH_LOOPBACK || t == TH_TCP || getenv("CONF_ALL");

		if ((only && strcmp(only, th_transport_names[t]) != 0) || !th_present((enum th_transport)t))
			continue;
		for (size_t k = 0; k < (all ? nkinds : nvaried); k++)
			plan_kind(plan, all ? &kinds[k] : &varied[k], (enum th_transport)t);
	}
}

int conf_run(const char *area, const struct conf_test *tests, size_t n)
{
	size_t most = n * nkinds * TH_TRANSPORTS;
	struct plan plan = {tests, n, calloc(most, sizeof(*plan.all)), calloc(most, sizeof(*plan.cells)), 0};
	enum conf_base base;
	uint32_t block_size;
	int failed = 1;

	if (plan.all && plan.cells && device(&base, &block_size)) {
		plan_device(&plan, base, block_size);
		failed = _cmocka_run_group_tests(area, plan.all, plan.n, NULL, NULL);
	} else if (plan.all && plan.cells) {
		plan_transports(&plan);
		failed = _cmocka_run_group_tests(area, plan.all, plan.n, NULL, NULL);
	}
	free(plan.all);
	free(plan.cells);
	return failed;
}

/* ---- commands ---- */

nvmft_status conf_rw(struct conf *c, uint8_t opcode, uint64_t lba, uint32_t blocks, uint32_t cdw12)
{
	struct nvmft_sqe sqe;
	bool data = opcode != TH_WRITE_ZEROES;

	th_sqe_rw(&sqe, opcode, 1, lba, blocks);
	sqe.cdw12 |= htole32(cdw12);
	return th_exec(&c->ctrl.io[0], &sqe, data ? c->buf : NULL, data ? (size_t)blocks * c->block_size : 0);
}

void conf_write_seed(struct conf *c, uint64_t lba, uint32_t blocks, uint64_t seed)
{
	th_fill(c->buf, (size_t)blocks * c->block_size, seed);
	assert_int_equal(conf_rw(c, TH_WRITE, lba, blocks, 0), 0);
}

void conf_check_seed(struct conf *c, uint64_t lba, uint32_t blocks, uint64_t seed)
{
	size_t len = (size_t)blocks * c->block_size;

	memset(c->buf, 0xee, len);
	assert_int_equal(conf_rw(c, TH_READ, lba, blocks, 0), 0);
	assert_true(th_filled(c->buf, len, seed));
}

void conf_check_zero(struct conf *c, uint64_t lba, uint32_t blocks)
{
	size_t len = (size_t)blocks * c->block_size;

	memset(c->buf, 0xee, len);
	assert_int_equal(conf_rw(c, TH_READ, lba, blocks, 0), 0);
	assert_true(th_zero(c->buf, len));
}

bool conf_deallocates(const struct conf *c)
{
	return c->kind.wrap != CONF_POOR && c->kind.base < CONF_MINIMAL;
}

nvmft_status conf_deallocate(struct conf *c, struct th_range *ranges, unsigned int n)
{
	struct nvmft_sqe sqe;

	th_sqe_dsm(&sqe, 1, n, 4);
	return th_exec(&c->ctrl.io[0], &sqe, ranges, n * sizeof(*ranges));
}
