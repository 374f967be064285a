/* SPDX-License-Identifier: BSD-3-Clause */
/* The PDU codec of the TCP transport: every check of a header, and every header that is built. */
#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "pdu.h"
#include "ttag.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const struct tcp_params fresh = {.maxh2cdata = 65536, .max_in_capsule = 8192};
static const struct tcp_params plain = {.ready = true, .maxh2cdata = 65536, .max_in_capsule = 8192};
static const struct tcp_params digests = {
	.ready = true, .hdgst = true, .ddgst = true, .maxh2cdata = 65536, .max_in_capsule = 8192};
static const struct tcp_params aligned = {.ready = true, .cpda = 31, .maxh2cdata = 65536, .max_in_capsule = 8192};

static void put_header(uint8_t *out, uint8_t type, uint8_t flags, uint8_t hlen, uint8_t pdo, uint32_t plen)
{
	struct tcp_hdr hdr = {.type = type, .flags = flags, .hlen = hlen, .pdo = pdo, .plen = htole32(plen)};

	memcpy(out, &hdr, sizeof(hdr));
}

struct header_case {
	const char *name;
	const struct tcp_params *params;
	uint8_t type, flags, hlen, pdo;
	uint32_t plen;
	uint16_t fes;
	uint32_t fei;
	uint32_t pad, data_len;
};

static const struct header_case header_cases[] = {
	/* what is right */
	{"ICReq", &fresh, 0x00, 0, 128, 0, 128, 0, 0, 0, 0},
	{"capsule without data", &plain, 0x04, 0, 72, 0, 72, 0, 0, 0, 0},
	{"capsule with data", &plain, 0x04, 0, 72, 72, 72 + 4096, 0, 0, 0, 4096},
	{"capsule with padding", &plain, 0x04, 0, 72, 80, 80 + 512, 0, 0, 8, 512},
	{"capsule with the most data", &plain, 0x04, 0, 72, 72, 72 + 8192, 0, 0, 0, 8192},
	{"capsule with one byte", &plain, 0x04, 0, 72, 72, 73, 0, 0, 0, 1},
	{"capsule with header digest", &digests, 0x04, 1, 72, 0, 76, 0, 0, 0, 0},
	{"capsule with both digests", &digests, 0x04, 3, 72, 76, 76 + 512 + 4, 0, 0, 0, 512},
	{"capsule aligned to 128", &aligned, 0x04, 0, 72, 128, 128 + 512, 0, 0, 56, 512},
	{"H2CData", &plain, 0x06, 4, 24, 24, 24 + 65536, 0, 0, 0, 65536},
	{"H2CData with both digests", &digests, 0x06, 7, 24, 28, 28 + 4096 + 4, 0, 0, 0, 4096},
	{"TermReq", &plain, 0x02, 0, 24, 0, 24, 0, 0, 0, 0},
	{"TermReq before ICReq", &fresh, 0x02, 0, 24, 0, 152, 0, 0, 0, 0},
	/* types */
	{"capsule before ICReq", &fresh, 0x04, 0, 72, 0, 72, 2, 0, 0, 0},
	{"garbage before ICReq", &fresh, 0xff, 0xff, 0xff, 0xff, 0xffffffff, 2, 0, 0, 0},
	{"second ICReq", &plain, 0x00, 0, 128, 0, 128, 2, 0, 0, 0},
	{"ICResp from a host", &plain, 0x01, 0, 128, 0, 128, 1, 0, 0, 0},
	{"C2HTermReq from a host", &plain, 0x03, 0, 24, 0, 24, 1, 0, 0, 0},
	{"CapsuleResp from a host", &plain, 0x05, 0, 24, 0, 24, 1, 0, 0, 0},
	{"C2HData from a host", &plain, 0x07, 4, 24, 24, 24 + 512, 1, 0, 0, 0},
	{"type 8", &plain, 0x08, 0, 24, 0, 24, 1, 0, 0, 0},
	{"R2T from a host", &plain, 0x09, 0, 24, 0, 24, 1, 0, 0, 0},
	{"type 0Ah", &plain, 0x0a, 0, 24, 0, 24, 1, 0, 0, 0},
	{"type FFh", &plain, 0xff, 0, 24, 0, 24, 1, 0, 0, 0},
	/* HLEN */
	{"ICReq: HLEN", &fresh, 0x00, 0, 127, 0, 128, 1, 2, 0, 0},
	{"capsule: HLEN 0", &plain, 0x04, 0, 0, 0, 72, 1, 2, 0, 0},
	{"capsule: HLEN 73", &plain, 0x04, 0, 73, 0, 73, 1, 2, 0, 0},
	{"capsule: HLEN includes the digest", &digests, 0x04, 1, 76, 0, 76, 1, 2, 0, 0},
	{"H2CData: HLEN", &plain, 0x06, 4, 23, 24, 24 + 512, 1, 2, 0, 0},
	{"TermReq: HLEN", &plain, 0x02, 0, 25, 0, 25, 1, 2, 0, 0},
	/* PLEN */
	{"ICReq: PLEN 0", &fresh, 0x00, 0, 128, 0, 0, 1, 4, 0, 0},
	{"ICReq: PLEN 127", &fresh, 0x00, 0, 128, 0, 127, 1, 4, 0, 0},
	{"ICReq: PLEN 129", &fresh, 0x00, 0, 128, 0, 129, 1, 4, 0, 0},
	{"ICReq: PLEN 2^32-1", &fresh, 0x00, 0, 128, 0, 0xffffffff, 1, 4, 0, 0},
	{"TermReq: PLEN 23", &plain, 0x02, 0, 24, 0, 23, 1, 4, 0, 0},
	{"TermReq: PLEN 153", &plain, 0x02, 0, 24, 0, 153, 1, 4, 0, 0},
	{"TermReq: PLEN 2^31", &plain, 0x02, 0, 24, 0, 0x80000000, 1, 4, 0, 0},
	{"capsule: PLEN 0", &plain, 0x04, 0, 72, 0, 0, 1, 4, 0, 0},
	{"capsule: PLEN 71", &plain, 0x04, 0, 72, 0, 71, 1, 4, 0, 0},
	{"capsule: PLEN without the digest", &digests, 0x04, 1, 72, 0, 72, 1, 4, 0, 0},
	{"capsule: data digest only", &digests, 0x04, 3, 72, 76, 80, 1, 4, 0, 0},
	{"capsule: padding only", &plain, 0x04, 0, 72, 80, 80, 1, 4, 0, 0},
	{"capsule: PLEN inside the padding", &plain, 0x04, 0, 72, 80, 76, 1, 4, 0, 0},
	{"capsule: too much data", &plain, 0x04, 0, 72, 72, 72 + 8193, 5, 0, 0, 0},
	{"capsule: PLEN 2^32-1", &plain, 0x04, 0, 72, 72, 0xffffffff, 5, 0, 0, 0},
	{"H2CData: no data", &plain, 0x06, 4, 24, 24, 24, 1, 4, 0, 0},
	{"H2CData: PLEN 0", &plain, 0x06, 4, 24, 24, 0, 1, 4, 0, 0},
	/* PDO */
	{"capsule: PDO 0", &plain, 0x04, 0, 72, 0, 72 + 512, 1, 3, 0, 0},
	{"capsule: PDO inside the header", &plain, 0x04, 0, 72, 68, 72 + 512, 1, 3, 0, 0},
	{"capsule: PDO inside the digest", &digests, 0x04, 3, 72, 72, 72 + 512, 1, 3, 0, 0},
	{"capsule: PDO odd", &plain, 0x04, 0, 72, 73, 73 + 512, 1, 3, 0, 0},
	{"capsule: PDO unlike CPDA", &aligned, 0x04, 0, 72, 72, 72 + 512, 1, 3, 0, 0},
	{"H2CData: PDO unlike CPDA", &aligned, 0x06, 4, 24, 124, 124 + 512, 1, 3, 0, 0},
	/* FLAGS */
	{"HDGSTF missing", &digests, 0x04, 0, 72, 0, 76, 1, 1, 0, 0},
	{"HDGSTF not agreed on", &plain, 0x04, 1, 72, 0, 76, 1, 1, 0, 0},
	{"DDGSTF missing", &digests, 0x04, 1, 72, 76, 76 + 512 + 4, 1, 1, 0, 0},
	{"DDGSTF not agreed on", &plain, 0x04, 2, 72, 72, 72 + 512, 1, 1, 0, 0},
};

static void test_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(header_cases); i++) {
		const struct header_case *c = &header_cases[i];
		struct tcp_error err = {0};
		struct tcp_shape shape;
		uint8_t bytes[8];
		bool good;

		put_header(bytes, c->type, c->flags, c->hlen, c->pdo, c->plen);
		good = nvmft_tcp_parse_header(bytes, c->params, &shape, &err);
		if (good != (c->fes == 0) || err.fes != c->fes || err.fei != c->fei)
			fail_msg("%s: got %d FES %u FEI %u", c->name, good, err.fes, err.fei);
		if (good && (shape.pad != c->pad || shape.data_len != c->data_len))
			fail_msg("%s: padding %u data %u", c->name, shape.pad, shape.data_len);
	}
}

static void test_header_length_includes_the_digest(void **state)
{
	struct tcp_shape shape;
	struct tcp_error err;
	uint8_t bytes[8];

	(void)state;
	put_header(bytes, 0x04, 3, 72, 76, 76 + 512 + 4);
	assert_true(nvmft_tcp_parse_header(bytes, &digests, &shape, &err));
	assert_int_equal(shape.hlen, 72);
	assert_int_equal(shape.header_len, 76);
	assert_true(shape.hdgst);
	assert_true(shape.ddgst);
}

static void test_capsule_without_data_has_no_data_digest(void **state)
{
	struct tcp_shape shape;
	struct tcp_error err;
	uint8_t bytes[8];

	(void)state;
	put_header(bytes, 0x04, 1, 72, 0, 76);
	assert_true(nvmft_tcp_parse_header(bytes, &digests, &shape, &err));
	assert_false(shape.ddgst);
}

static void test_icreq_values(void **state)
{
	struct tcp_icreq pdu = {.hpda = 31, .digest = 3, .maxr2t = htole32(0xffffffff)}, out;
	struct tcp_error err = {0};

	(void)state;
	assert_true(nvmft_tcp_parse_icreq((uint8_t *)&pdu, &out, &err));
	assert_int_equal(out.hpda, 31);
	assert_int_equal(out.digest, 3);
	assert_int_equal(out.maxr2t, 0xffffffff);
}

static void test_icreq_of_another_format_version(void **state)
{
	struct tcp_icreq pdu = {.pfv = htole16(1)}, out;
	struct tcp_error err = {0};

	(void)state;
	assert_false(nvmft_tcp_parse_icreq((uint8_t *)&pdu, &out, &err));
	assert_int_equal(err.fes, TCP_FES_UNSUPPORTED);
	assert_int_equal(err.fei, 8);
}

static void test_icreq_hpda_out_of_range(void **state)
{
	(void)state;
	for (unsigned int hpda = 32; hpda < 256; hpda++) {
		struct tcp_icreq pdu = {.hpda = (uint8_t)hpda}, out;
		struct tcp_error err = {0};

		assert_false(nvmft_tcp_parse_icreq((uint8_t *)&pdu, &out, &err));
		assert_int_equal(err.fes, TCP_FES_INVALID_HEADER);
		assert_int_equal(err.fei, 10);
	}
}

struct data_case {
	const char *name;
	uint16_t cccid;
	uint32_t plen_data, datao, datal;
	bool last, found;
	uint32_t received, length;
	uint16_t fes;
	uint32_t fei;
};

/* The transfer that is asked for is of CID 7. */
static const struct data_case data_cases[] = {
	{"whole", 7, 4096, 0, 4096, true, true, 0, 4096, 0, 0},
	{"first half", 7, 2048, 0, 2048, false, true, 0, 4096, 0, 0},
	{"second half", 7, 2048, 2048, 2048, true, true, 2048, 4096, 0, 0},
	{"MAXH2CDATA", 7, 65536, 0, 65536, false, true, 0, 131072, 0, 0},
	{"DATAL below PLEN", 7, 4096, 0, 4095, true, true, 0, 4096, 1, 16},
	{"DATAL above PLEN", 7, 4096, 0, 4097, true, true, 0, 4096, 1, 16},
	{"DATAL 0", 7, 4096, 0, 0, true, true, 0, 4096, 1, 16},
	{"DATAL 2^32-1", 7, 4096, 0, 0xffffffff, true, true, 0, 4096, 1, 16},
	{"above MAXH2CDATA", 7, 65537, 0, 65537, false, true, 0, 131072, 5, 0},
	{"unused TTAG", 7, 4096, 0, 4096, true, false, 0, 4096, 1, 10},
	{"another command", 8, 4096, 0, 4096, true, true, 0, 4096, 1, 8},
	{"beyond R2TL", 7, 4096, 0, 4096, true, true, 0, 4092, 4, 0},
	{"beyond R2TL by offset", 7, 4096, 4, 4096, true, true, 4, 4096, 4, 0},
	{"offset + length wraps", 7, 4096, 0xfffff000, 4096, true, true, 0, 4096, 4, 0},
	{"offset + length wraps to the end", 7, 8192, 0xfffff000, 8192, true, true, 0, 4096, 4, 0},
	{"gap", 7, 1024, 2048, 1024, false, true, 1024, 4096, 4, 0},
	{"again", 7, 1024, 0, 1024, false, true, 1024, 4096, 4, 0},
	{"LAST missing", 7, 4096, 0, 4096, false, true, 0, 4096, 1, 1},
	{"LAST early", 7, 2048, 0, 2048, true, true, 0, 4096, 1, 1},
};

static bool check_data(const struct data_case *c, struct tcp_error *err)
{
	struct tcp_shape shape = {.flags = c->last ? TCP_PDU_F_LAST : 0, .data_len = c->plen_data};
	struct tcp_transfer transfer = {.cid = htole16(7), .received = c->received, .length = c->length};
	struct tcp_data pdu = {.cccid = htole16(c->cccid), .datao = htole32(c->datao), .datal = htole32(c->datal)};
	struct tcp_h2c_data data;

	return nvmft_tcp_parse_h2c_data((uint8_t *)&pdu, &shape, &plain, &data, err) &&
	       nvmft_tcp_check_h2c_data(&data, c->found ? &transfer : NULL, err);
}

static void test_h2c_data(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(data_cases); i++) {
		const struct data_case *c = &data_cases[i];
		struct tcp_error err = {0};
		bool good = check_data(c, &err);

		if (good != (c->fes == 0) || err.fes != c->fes || err.fei != c->fei)
			fail_msg("%s: got %d FES %u FEI %u", c->name, good, err.fes, err.fei);
	}
}

struct capsule_case {
	const char *name;
	uint8_t type;
	uint64_t offset;
	uint32_t length, data_len;
	bool good;
};

static const struct capsule_case capsule_cases[] = {
	{"exact", 0x01, 0, 4096, 4096, true},
	{"less than described is the core's to refuse", 0x01, 0, 4096, 512, true},
	{"with offset", 0x01, 512, 512, 1024, true},
	{"longer", 0x01, 0, 4096, 4097, false},
	{"nothing described", 0x01, 0, 0, 1, false},
	{"transport data block", 0x5a, 0, 4096, 4096, false},
	{"address", 0x00, 0, 4096, 4096, false},
	{"offset wraps", 0x01, UINT64_MAX, 4097, 4096, false},
	{"offset above 32 bits", 0x01, UINT64_C(1) << 32, 4096, 4096, false},
};

static void test_capsule_length(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(capsule_cases); i++) {
		const struct capsule_case *c = &capsule_cases[i];
		struct tcp_shape shape = {.data_len = c->data_len};
		struct tcp_capsule_cmd pdu = {0};
		struct tcp_error err = {0};
		uint64_t offset = htole64(c->offset);
		uint32_t length = htole32(c->length);
		bool good;

		memcpy(pdu.sqe.dptr, &offset, sizeof(offset));
		memcpy(pdu.sqe.dptr + 8, &length, sizeof(length));
		pdu.sqe.dptr[15] = c->type;
		good = nvmft_tcp_check_capsule((uint8_t *)&pdu, &shape, &err);
		if (good != c->good || err.fes != (c->good ? 0 : 1) || err.fei != (c->good ? 0 : 4))
			fail_msg("%s: got %d FES %u FEI %u", c->name, good, err.fes, err.fei);
	}
}

static void test_crc32c_known_vectors(void **state)
{
	static const uint8_t zeroes[32], digits[] = {'1', '2', '3', '4', '5', '6', '7', '8', '9'};
	uint8_t ones[32];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	assert_int_equal(le32toh(nvmft_tcp_crc_final(nvmft_tcp_crc(TCP_CRC_INIT, zeroes, 32))), 0x8a9136aa);
	assert_int_equal(le32toh(nvmft_tcp_crc_final(nvmft_tcp_crc(TCP_CRC_INIT, ones, 32))), 0x62a8ab43);
	assert_int_equal(le32toh(nvmft_tcp_crc_final(nvmft_tcp_crc(TCP_CRC_INIT, digits, 9))), 0xe3069283);
}

static void test_crc32c_in_pieces(void **state)
{
	static const uint8_t zeroes[32];
	uint32_t crc = TCP_CRC_INIT;

	(void)state;
	crc = nvmft_tcp_crc(crc, zeroes, 5);
	crc = nvmft_tcp_crc(crc, zeroes, 0);
	crc = nvmft_tcp_crc(crc, zeroes, 27);
	assert_int_equal(le32toh(nvmft_tcp_crc_final(crc)), 0x8a9136aa);
}

static void test_header_digest_of_every_flipped_bit(void **state)
{
	struct nvmft_cqe cqe = {.dw0 = htole32(0x12345678)};
	uint8_t pdu[TCP_BUILD_MAX];
	struct tcp_error err = {0};
	size_t len = nvmft_tcp_build_resp(pdu, &digests, &cqe);

	(void)state;
	assert_int_equal(len, 28);
	assert_true(nvmft_tcp_check_hdgst(pdu, 24, &err));
	for (size_t bit = 0; bit < len * 8; bit++) {
		pdu[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(nvmft_tcp_check_hdgst(pdu, 24, &err));
		assert_int_equal(err.fes, TCP_FES_HDGST);
		pdu[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void test_icresp(void **state)
{
	struct tcp_params params = digests;
	uint8_t pdu[TCP_BUILD_MAX];
	struct tcp_icresp resp;

	(void)state;
	params.cpda = 3;
	assert_int_equal(nvmft_tcp_build_icresp(pdu, &params), 128);
	memcpy(&resp, pdu, sizeof(resp));
	assert_int_equal(resp.hdr.type, 1);
	assert_int_equal(resp.hdr.flags, 0);
	assert_int_equal(resp.hdr.hlen, 128);
	assert_int_equal(le32toh(resp.hdr.plen), 128);
	assert_int_equal(resp.pfv, 0);
	assert_int_equal(resp.cpda, 3);
	assert_int_equal(resp.digest, 3);
	assert_int_equal(le32toh(resp.maxh2cdata), 65536);
	for (size_t i = 0; i < sizeof(resp.reserved); i++)
		assert_int_equal(resp.reserved[i], 0);
}

static void test_term_req_quotes_the_header(void **state)
{
	struct tcp_error err = {.fes = TCP_FES_INVALID_HEADER, .fei = 0x12345678};
	uint8_t bad[200], pdu[TCP_BUILD_MAX + 64];
	struct tcp_term_req term;

	(void)state;
	memset(bad, 0xa5, sizeof(bad));
	assert_int_equal(nvmft_tcp_build_term_req(pdu, &err, bad, 72), 24 + 72);
	memcpy(&term, pdu, sizeof(term));
	assert_int_equal(term.hdr.type, 3);
	assert_int_equal(term.hdr.hlen, 24);
	assert_int_equal(le32toh(term.hdr.plen), 24 + 72);
	assert_int_equal(le16toh(term.fes), 1);
	assert_int_equal(le16toh(term.fei_low), 0x5678);
	assert_int_equal(le16toh(term.fei_high), 0x1234);
	assert_memory_equal(pdu + 24, bad, 72);
	assert_int_equal(nvmft_tcp_build_term_req(pdu, &err, bad, sizeof(bad)), 24 + 128);
}

static void test_r2t(void **state)
{
	uint8_t pdu[TCP_BUILD_MAX];
	struct tcp_r2t r2t;

	(void)state;
	assert_int_equal(nvmft_tcp_build_r2t(pdu, &plain, htole16(7), 9, 131072), 24);
	memcpy(&r2t, pdu, sizeof(r2t));
	assert_int_equal(r2t.hdr.type, 9);
	assert_int_equal(le32toh(r2t.hdr.plen), 24);
	assert_int_equal(le16toh(r2t.cccid), 7);
	assert_int_equal(le16toh(r2t.ttag), 9);
	assert_int_equal(le32toh(r2t.r2to), 0);
	assert_int_equal(le32toh(r2t.r2tl), 131072);
}

static void test_c2h_data_is_aligned_as_the_host_asks(void **state)
{
	(void)state;
	for (unsigned int hpda = 0; hpda <= 31; hpda++) {
		for (unsigned int digest = 0; digest < 2; digest++) {
			struct tcp_params params = {0};
			uint8_t pdu[TCP_BUILD_MAX];
			struct tcp_data data;
			size_t len;

			nvmft_tcp_agree(&params, (uint8_t)hpda, digest, digest);
			memset(pdu, 0xff, sizeof(pdu));
			len = nvmft_tcp_build_c2h_data(pdu, &params, htole16(7), 4096, false);
			memcpy(&data, pdu, sizeof(data));
			assert_int_equal(data.hdr.type, 7);
			assert_int_equal(data.hdr.hlen, 24);
			assert_int_equal(le16toh(data.cccid), 7);
			assert_int_equal(data.ttag, 0);
			assert_int_equal(data.datao, 0);
			assert_int_equal(le32toh(data.datal), 4096);
			assert_int_equal(data.hdr.pdo, len);
			assert_int_equal(len % ((hpda + 1) * 4), 0);
			assert_true(len >= (digest ? 28 : 24));
			assert_int_equal(le32toh(data.hdr.plen), len + 4096 + (digest ? 4 : 0));
			for (size_t i = digest ? 28 : 24; i < len; i++)
				assert_int_equal(pdu[i], 0);
		}
	}
}

static void test_c2h_data_flags(void **state)
{
	struct tcp_params params = {0};
	uint8_t pdu[TCP_BUILD_MAX];

	(void)state;
	nvmft_tcp_agree(&params, 0, false, false);
	nvmft_tcp_build_c2h_data(pdu, &params, 0, 512, false);
	assert_int_equal(pdu[1], TCP_PDU_F_LAST);
	nvmft_tcp_build_c2h_data(pdu, &params, 0, 512, true);
	assert_int_equal(pdu[1], TCP_PDU_F_LAST | TCP_PDU_F_SUCCESS);
	nvmft_tcp_agree(&params, 0, true, true);
	nvmft_tcp_build_c2h_data(pdu, &params, 0, 512, false);
	assert_int_equal(pdu[1], TCP_PDU_F_LAST | TCP_PDU_F_HDGST | TCP_PDU_F_DDGST);
}

/* The table only stores pointers. */
static struct tcp_req *fake(uintptr_t n)
{
	return (struct tcp_req *)(n * 16);
}

static void test_ttag_not_in_use(void **state)
{
	struct tcp_ttags ttags = {0};
	uint16_t tag;

	(void)state;
	assert_null(nvmft_tcp_ttag_find(&ttags, 0));
	assert_null(nvmft_tcp_ttag_find(&ttags, 0xffff));
	assert_int_equal(nvmft_tcp_ttag_alloc(&ttags, fake(1), &tag), 0);
	assert_ptr_equal(nvmft_tcp_ttag_find(&ttags, tag), fake(1));
	for (uint32_t i = 0; i < 65536; i++)
		if (i != tag)
			assert_null(nvmft_tcp_ttag_find(&ttags, (uint16_t)i));
	nvmft_tcp_ttag_free(&ttags, tag);
	assert_null(nvmft_tcp_ttag_find(&ttags, tag));
	nvmft_tcp_ttags_fini(&ttags);
}

static void test_ttags_all_in_use(void **state)
{
	struct tcp_ttags ttags = {0};
	uint16_t tag;

	(void)state;
	for (uintptr_t i = 0; i < 65536; i++)
		assert_int_equal(nvmft_tcp_ttag_alloc(&ttags, fake(i + 1), &tag), 0);
	assert_int_equal(nvmft_tcp_ttag_alloc(&ttags, fake(1), &tag), -ENOSPC);
	nvmft_tcp_ttag_free(&ttags, 4711);
	assert_int_equal(nvmft_tcp_ttag_alloc(&ttags, fake(1), &tag), 0);
	assert_int_equal(tag, 4711);
	nvmft_tcp_ttags_fini(&ttags);
}

static void test_ttags_grow_only_with_use(void **state)
{
	struct tcp_ttags ttags = {0};
	uint16_t tag;

	(void)state;
	for (uintptr_t i = 0; i < 1000; i++) {
		assert_int_equal(nvmft_tcp_ttag_alloc(&ttags, fake(1), &tag), 0);
		nvmft_tcp_ttag_free(&ttags, tag);
	}
	assert_true(ttags.nslots <= 16);
	nvmft_tcp_ttags_fini(&ttags);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_header_length_includes_the_digest),
		cmocka_unit_test(test_capsule_without_data_has_no_data_digest),
		cmocka_unit_test(test_icreq_values),
		cmocka_unit_test(test_icreq_of_another_format_version),
		cmocka_unit_test(test_icreq_hpda_out_of_range),
		cmocka_unit_test(test_h2c_data),
		cmocka_unit_test(test_capsule_length),
		cmocka_unit_test(test_crc32c_known_vectors),
		cmocka_unit_test(test_crc32c_in_pieces),
		cmocka_unit_test(test_header_digest_of_every_flipped_bit),
		cmocka_unit_test(test_icresp),
		cmocka_unit_test(test_term_req_quotes_the_header),
		cmocka_unit_test(test_r2t),
		cmocka_unit_test(test_c2h_data_is_aligned_as_the_host_asks),
		cmocka_unit_test(test_c2h_data_flags),
		cmocka_unit_test(test_ttag_not_in_use),
		cmocka_unit_test(test_ttags_all_in_use),
		cmocka_unit_test(test_ttags_grow_only_with_use),
	};

	return cmocka_run_group_tests_name("tcp_pdu", tests, NULL, NULL);
}
