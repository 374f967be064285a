/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_PROVIDER_REQUEST_H
#define NVMFT_PROVIDER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../version.h"
#include "memory.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * typedef nvmft_status - status of a command
 *
 * The Status Field of the completion queue entry without the phase tag: status code in bits 7:0, status code
 * type in bits 10:8, More in bit 13, Do Not Retry in bit 14 (NVMe Base 2.0, 3.3.3.2.1). 0 is success.
 * <nvme/types.h> of libnvme has the codes (NVME_SC_*).
 */
typedef uint16_t nvmft_status;

#define NVMFT_STATUS(sct, sc) ((nvmft_status)(((unsigned int)(sct) << 8) | (unsigned int)(sc)))
#define NVMFT_STATUS_DNR ((nvmft_status)0x4000)

/**
 * nvmft_status_from_errno() - the one translation between the two domains of errors
 * @err: 0 or -errno
 *
 * Context: any thread.
 */
NVMFT_API nvmft_status nvmft_status_from_errno(int err);

struct nvmft_queue;

/* Submission queue entry (NVMe Base 2.0, figure 86), little-endian. */
struct nvmft_sqe {
	uint8_t opcode;
	uint8_t flags; /* FUSE in 1:0, PSDT in 7:6 */
	uint16_t cid;
	uint32_t nsid; /* fabrics commands: FCTYPE in the first byte */
	uint32_t cdw2;
	uint32_t cdw3;
	uint64_t mptr;
	uint8_t dptr[16]; /* SGL1 */
	uint32_t cdw10;
	uint32_t cdw11;
	uint32_t cdw12;
	uint32_t cdw13;
	uint32_t cdw14;
	uint32_t cdw15;
};

/* Completion queue entry (NVMe Base 2.0, figure 87), little-endian. */
struct nvmft_cqe {
	uint32_t dw0;
	uint32_t dw1;
	uint16_t sqhd;
	uint16_t sqid; /* reserved on fabrics, always 0 */
	uint16_t cid;
	uint16_t status; /* status << 1, the phase tag is always 0 on fabrics */
};

/* Which way a command's data goes. */
enum nvmft_dir {
	NVMFT_DIR_NONE = 0,
	NVMFT_DIR_FROM_HOST = 1,
	NVMFT_DIR_TO_HOST = 2,
};

/* Where SGL1 says the host's data is. */
enum nvmft_sgl_kind {
	NVMFT_SGL_NONE = 0,
	NVMFT_SGL_IN_CAPSULE = 1, /* behind the SQE in the capsule */
	NVMFT_SGL_TRANSPORT = 2,  /* the transport asks for it or sends it (TCP: R2T, C2HData) */
	NVMFT_SGL_KEYED = 4,      /* remote memory with a key (RDMA) */
};

/**
 * struct nvmft_request - one command between its capsule and its response
 * @sqe: written by the transport before nvmft_request_start()
 * @cqe: read by the transport in RESPONDING
 * @queue: where it came in
 * @priv: the transport's private bytes (ops->request_size), zeroed when the request object was made, not for each command
 * @iov, @iovcnt: data buffers. Host data is to be put there in FETCHING, response data is there in RESPONDING.
 * @data_len: bytes of data that the command moves; the iov's lengths add up to it
 * @dir: direction of the data; TO_HOST data is sent only when the status is 0
 * @sgl: where the host's data is, valid when @dir is not NONE
 * @sgl_offset: offset of in-capsule data
 * @borrowed: set by a transport in RECEIVED that brings its own buffers in @iov (loopback): the core grants none
 * @in_capsule_len: set by the transport in RECEIVED: data bytes that came in the capsule
 * @given: set by the transport in RECEIVED: the buffer of nvmft_buffer_get() in which they lie, from its start on. It is the
 *         core's from nvmft_request_start() on: such data is not fetched, and the core gives the buffer back. base NULL: none.
 * @segment_len, @segment_status: set by the transport in RECEIVED when SGL1 is the last segment, of keyed data blocks in the
 *         capsule: what they add up to, and 0 or what is wrong with them
 *
 * nvmft_request_get() clears the fields from @iov to @given.
 *
 * A request has exactly one owner at any moment. It is the transport's from nvmft_request_get() to
 * nvmft_request_start(), between ops->fetch() and nvmft_request_execute() or nvmft_request_fetch_failed(), and
 * between ops->respond() and nvmft_request_release(); at all other times it is the core's.
 *
 * Context: the thread of the queue's poll group.
 */
struct nvmft_request {
	struct nvmft_sqe sqe;
	struct nvmft_cqe cqe;
	struct nvmft_queue *queue;
	void *priv;
	struct nvmft_iov *iov;
	uint32_t iovcnt;
	uint32_t data_len;
	uint32_t sgl_offset;
	uint32_t in_capsule_len;
	enum nvmft_dir dir;
	enum nvmft_sgl_kind sgl;
	bool borrowed;
	nvmft_status segment_status;
	uint64_t segment_len;
	struct nvmft_iov given;
};

#ifdef __cplusplus
}
#endif
#endif
