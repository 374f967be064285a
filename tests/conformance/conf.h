/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TESTS_CONF_H
#define NVMFT_TESTS_CONF_H

/*
 * The same tests over every backend, bare and wrapped, and over every transport. A test finds in *state a struct conf:
 * a target that serves one namespace of its kind (NSID 1), and a connected controller with one I/O queue.
 *
 * With TH_TRANSPORT in the environment only over that transport. Loopback and TCP have all kinds of backends, the
 * variants of TCP and those over RDMA, which want TH_RDMA_ADDR, some; with CONF_ALL they have all, too.
 *
 * A device is tested alone, and overwritten: with NVMFT_TEST_NVME=BLOCK:PATH in the environment /dev/ngXnY, with
 * NVMFT_TEST_VFIO=BLOCK:ADDRESS/NSID a namespace through VFIO; of CONF_BYTES.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "host.h"
#include "toys.h"
#include "wrap.h"

#define CONF_BYTES (16u << 20)
#define CONF_MAX_IO (1u << 20)
#define CONF_LOG_ENTRIES 4096
#define CONF_LAYERS 3

enum conf_base {
	CONF_NULL,
	CONF_MEMORY,
	CONF_FILE,
	CONF_FILE_BUFFERED,
	CONF_NVME,
	CONF_VFIO,
	CONF_MINIMAL,
	CONF_POLLED,
	CONF_THREAD
};

enum conf_wrap {
	CONF_BARE,
	CONF_LOG,   /* records; short of nothing */
	CONF_POOR,  /* can do nothing but read, write and flush; one I/O at a time, aligned buffers, no lending */
	CONF_LATE,  /* each I/O takes its time */
	CONF_ERROR, /* fails when told so */
};

struct conf_kind {
	enum conf_base base;
	enum conf_wrap wrap;
	uint32_t block_size;
	enum th_transport transport;
};

struct conf {
	struct conf_kind kind;
	struct th t;
	struct nvmft_subsystem *subsys;
	struct nvmft_namespace *ns;
	struct th_ctrl ctrl;
	uint32_t block_size;
	uint64_t blocks;
	char path[64]; /* of a file */
	char address[32];

	/* options of the backend, for tests that open it with changes */
	struct nvmft_null_opts null_opts;
	struct nvmft_memory_opts memory_opts;
	struct nvmft_file_opts file_opts;
	struct nvmft_uring_nvme_opts nvme_opts;
	struct nvmft_vfio_nvme_opts vfio_opts;
	struct toy_opts toy_opts;
	const struct nvmft_backend_ops *ops;
	const void *ops_opts;

	/* wrappers, inside out, and their controls; zeroed unless the kind has them */
	struct nvmft_backend_ops layers[CONF_LAYERS];
	struct nvmft_wrap_opts layer_opts[CONF_LAYERS];
	unsigned int nlayers;
	struct nvmft_wrap_log log;
	struct nvmft_wrap_log_entry log_entries[CONF_LOG_ENTRIES];
	struct nvmft_wrap_short poor;
	struct nvmft_wrap_delay delay;
	struct nvmft_wrap_error error;

	char *buf, *buf2; /* CONF_MAX_IO + 8192 bytes each, page aligned */
};

/* What a test needs of a kind. */
#define CONF_KEEPS_DATA (1u << 0) /* not null */
#define CONF_PROMPT (1u << 1)     /* not CONF_LATE */
#define CONF_RESIZABLE (1u << 2)  /* a file */
/* What it gets: only bare kinds, with c->delay around the backend and c->error around that, both idle. */
#define CONF_INJECT (1u << 3)
/* Two poll groups with a thread each, and an I/O queue in both. */
#define CONF_THREADED (1u << 4)

/* Host buffers are not where the backend's data goes, unless over loopback. */
#define CONF_HOST_BUFFERS (1u << 5)

struct conf_test {
	const char *name;
	void (*fn)(void **state);
	unsigned int needs;
};

/* Run all tests over all kinds that suit. Returns the number of failures, for main(). */
int conf_run(const char *area, const struct conf_test *tests, size_t n);

/*
 * Step by step, for tests that want it otherwise: prepare names the backend in c->ops and c->ops_opts, wrap puts one
 * more layer around it, start serves it and connects. end undoes all of it, at whatever step.
 */
struct conf *conf_prepare(const struct conf_kind *kind);
void conf_wrap_with(struct conf *c, struct nvmft_backend_ops (*wrapper)(const struct nvmft_backend_ops *),
		    void *control);
void conf_start(struct conf *c, const struct th_opts *opts, const struct th_ctrl_opts *ctrl_opts);
void conf_end(struct conf *c);

/* An empty file of @bytes in the working directory; its name goes to @path (64 bytes). */
void conf_make_file(char *path, uint64_t bytes);

/* One command on the first I/O queue with c->buf. */
nvmft_status conf_rw(struct conf *c, uint8_t opcode, uint64_t lba, uint32_t blocks, uint32_t cdw12);
/* Fill c->buf by @seed and write it; read into c->buf and tell whether it is what @seed makes, or zeroes. */
void conf_write_seed(struct conf *c, uint64_t lba, uint32_t blocks, uint64_t seed);
void conf_check_seed(struct conf *c, uint64_t lba, uint32_t blocks, uint64_t seed);
void conf_check_zero(struct conf *c, uint64_t lba, uint32_t blocks);
/* Whether deallocated blocks read zeroes; otherwise deallocation is accepted and does nothing. */
bool conf_deallocates(const struct conf *c);
/* Dataset Management with the Deallocate attribute. */
nvmft_status conf_deallocate(struct conf *c, struct th_range *ranges, unsigned int n);

static inline uint32_t conf_max_blocks(const struct conf *c)
{
	return CONF_MAX_IO / c->block_size;
}

#endif
