/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <string.h>

#include <nvme/types.h>

#include "tcp.h"

/* Data of capsules and H2CData on its way to a command. */

#define STATUS_TRANSPORT_ERROR NVMFT_STATUS(NVME_SCT_GENERIC, NVME_SC_TRAN_TPORT_ERROR)

/*
 * nvmft_tcp_payload_begin() - the header is parsed, its data follows
 * @request: whom the data is for, NULL to drop it
 * @lead, @sink: of the data, bytes to drop and then bytes to store; the rest is dropped
 * @at: where to store, as an offset into the command's data
 */
void nvmft_tcp_payload_begin(struct tcp_conn *conn, struct nvmft_request *request, uint32_t lead, uint32_t sink,
			     uint32_t at)
{
	struct tcp_rx *rx = &conn->rx;

	assert(!request || (uint64_t)lead + sink <= rx->shape.data_len);
	rx->req = request;
	rx->lead = lead;
	rx->sink = sink;
	rx->at = at;
	rx->located = false;
	rx->crc = TCP_CRC_INIT;
	rx->left = rx->shape.pad ? rx->shape.pad : rx->shape.data_len;
	rx->state = rx->shape.pad ? TCP_RX_PAD : TCP_RX_DATA;
}

/* All data of the PDU is here. */
static void payload_end(struct tcp_conn *conn, bool good)
{
	struct tcp_rx *rx = &conn->rx;
	struct nvmft_request *request = rx->req;
	struct tcp_req *treq;

	rx->req = NULL;
	rx->state = TCP_RX_HEADER;
	if (!request)
		return;
	treq = tcp_req_of(request);
	treq->ddgst_bad |= !good;
	if (treq->where == TCP_REQ_R2T) {
		treq->received += rx->shape.data_len;
		nvmft_tcp_bulk_done(conn, request, rx->shape.data_len);
		if (treq->received < request->data_len)
			return;
		nvmft_tcp_ttag_free(&conn->ttags, treq->ttag);
	}
	treq->where = TCP_REQ_CORE;
	if (treq->ddgst_bad)
		nvmft_request_fetch_failed(request, STATUS_TRANSPORT_ERROR);
	else
		nvmft_request_execute(request);
}

/* Known only when the command has its buffers, thus when data arrives. */
static void locate(struct tcp_rx *rx)
{
	rx->iov = 0;
	rx->iov_off = rx->at;
	while (rx->iov_off >= rx->req->iov[rx->iov].len) {
		rx->iov_off -= rx->req->iov[rx->iov].len;
		rx->iov++;
		assert(rx->iov < rx->req->iovcnt);
	}
	rx->located = true;
}

/* Free space at the place where the next byte goes; empty when it goes nowhere. */
struct iovec nvmft_tcp_payload_room(struct tcp_conn *conn)
{
	struct tcp_rx *rx = &conn->rx;
	const struct nvmft_iov *iov;
	size_t len;

	if (rx->state != TCP_RX_DATA || !rx->req || rx->lead > 0 || rx->sink == 0)
		return (struct iovec){0};
	if (!rx->located)
		locate(rx);
	iov = &rx->req->iov[rx->iov];
	len = iov->len - rx->iov_off;
	return (struct iovec){.iov_base = (uint8_t *)iov->base + rx->iov_off,
			      .iov_len = len < rx->sink ? len : rx->sink};
}

static void data_passed(struct tcp_conn *conn, const void *p, size_t len)
{
	struct tcp_rx *rx = &conn->rx;

	if (rx->shape.ddgst)
		rx->crc = nvmft_tcp_crc(rx->crc, p, len);
	rx->left -= (uint32_t)len;
	if (rx->left > 0)
		return;
	if (rx->shape.ddgst)
		rx->state = TCP_RX_DDGST;
	else
		payload_end(conn, true);
}

/* @len bytes were put where nvmft_tcp_payload_room() said. */
void nvmft_tcp_payload_landed(struct tcp_conn *conn, size_t len)
{
	struct tcp_rx *rx = &conn->rx;
	const struct nvmft_iov *iov = &rx->req->iov[rx->iov];
	const void *p = (uint8_t *)iov->base + rx->iov_off;

	rx->iov_off += (uint32_t)len;
	rx->sink -= (uint32_t)len;
	if (rx->iov_off == iov->len && rx->sink > 0) {
		rx->iov++;
		rx->iov_off = 0;
		assert(rx->iov < rx->req->iovcnt);
	}
	data_passed(conn, p, len);
}

/* Take what belongs to the payload from the receive buffer. Returns how many bytes. */
size_t nvmft_tcp_payload_bytes(struct tcp_conn *conn, const uint8_t *p, size_t len)
{
	struct tcp_rx *rx = &conn->rx;
	struct iovec room = nvmft_tcp_payload_room(conn);
	size_t n = len < rx->left ? len : rx->left;

	if (room.iov_len > 0) {
		n = n < room.iov_len ? n : room.iov_len;
		/* The one copy of small host data: cheaper than a receive of its own, see TCP_RX_DIRECT_MIN. */
		memcpy(room.iov_base, p, n);
		nvmft_tcp_payload_landed(conn, n);
		return n;
	}
	if (rx->req && rx->lead > 0) {
		n = n < rx->lead ? n : rx->lead;
		rx->lead -= (uint32_t)n;
	}
	data_passed(conn, p, n);
	return n;
}

void nvmft_tcp_payload_ddgst(struct tcp_conn *conn, uint32_t received)
{
	payload_end(conn, received == nvmft_tcp_crc_final(conn->rx.crc));
}
