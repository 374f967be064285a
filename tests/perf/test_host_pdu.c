/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host_pdu.h"

static const struct pdu_params plain = {.maxh2cdata = 4096};
static const struct pdu_params digests = {.hdgst = true, .ddgst = true, .maxh2cdata = 4096};

static void crc32c_of_the_usual_string(void **state)
{
	(void)state;
	assert_int_equal(pdu_crc32c("123456789", 9), 0xe3069283);
}

static void a_capsule_without_data(void **state)
{
	uint8_t buf[PDU_HEADER_MAX] = {0};
	const struct pdu_common *ch = (const void *)buf;

	(void)state;
	assert_int_equal(pdu_finish_header(buf, PDU_CMD, 72, 0, 0, &plain), 72);
	assert_int_equal(ch->pdo, 0);
	assert_int_equal(le32toh(ch->plen), 72);
	assert_int_equal(ch->flags, 0);
}

static void digests_lengthen_the_pdu(void **state)
{
	uint8_t buf[PDU_HEADER_MAX] = {0};
	const struct pdu_common *ch = (const void *)buf;

	(void)state;
	assert_int_equal(pdu_finish_header(buf, PDU_CMD, 72, 0, 512, &digests), 76);
	assert_int_equal(ch->pdo, 76);
	assert_int_equal(le32toh(ch->plen), 76 + 512 + 4);
	assert_int_equal(ch->flags, PDU_F_HDGST | PDU_F_DDGST);
	assert_true(pdu_hdgst_ok(buf));
	buf[10] ^= 1;
	assert_false(pdu_hdgst_ok(buf));
}

static void data_is_aligned_as_the_controller_asks(void **state)
{
	struct pdu_params aligned = {.hdgst = true, .cpda = 31, .maxh2cdata = 4096};
	uint8_t buf[PDU_HEADER_MAX] = {0};

	(void)state;
	assert_int_equal(pdu_finish_header(buf, PDU_H2C_DATA, 24, PDU_F_LAST, 4096, &aligned), 128);
	aligned.cpda = 7;
	assert_int_equal(pdu_finish_header(buf, PDU_CMD, 72, 0, 4096, &aligned), 96);
}

static struct pdu_icresp good_icresp(void)
{
	return (struct pdu_icresp){.ch = {.type = PDU_ICRESP, .hlen = 128, .plen = htole32(128)},
				   .maxh2cdata = htole32(131072)};
}

static void icresp_is_understood(void **state)
{
	struct pdu_icresp resp = good_icresp();
	struct pdu_params params;
	struct pdu_icreq req;

	(void)state;
	pdu_build_icreq(&req, true, true);
	resp.dgst = 3;
	resp.cpda = 3;
	assert_null(pdu_parse_icresp(&resp, &req, &params));
	assert_true(params.hdgst && params.ddgst);
	assert_int_equal(params.cpda, 3);
	assert_int_equal(params.maxh2cdata, 131072);
}

static void icresp_must_keep_to_the_rules(void **state)
{
	struct pdu_icresp resp;
	struct pdu_params params;
	struct pdu_icreq req;

	(void)state;
	pdu_build_icreq(&req, false, false);
	resp = good_icresp();
	resp.ch.type = PDU_RESP;
	assert_non_null(pdu_parse_icresp(&resp, &req, &params));
	resp = good_icresp();
	resp.ch.plen = htole32(127);
	assert_non_null(pdu_parse_icresp(&resp, &req, &params));
	resp = good_icresp();
	resp.pfv = htole16(1);
	assert_non_null(pdu_parse_icresp(&resp, &req, &params));
	resp = good_icresp();
	resp.cpda = 32;
	assert_non_null(pdu_parse_icresp(&resp, &req, &params));
	resp = good_icresp();
	resp.dgst = 1;
	assert_non_null(pdu_parse_icresp(&resp, &req, &params));
	resp = good_icresp();
	resp.maxh2cdata = htole32(4092);
	assert_non_null(pdu_parse_icresp(&resp, &req, &params));
}

static const char *check(uint8_t type, uint8_t flags, uint8_t hlen, uint8_t pdo, uint32_t plen,
			 const struct pdu_params *params)
{
	struct pdu_common ch = {.type = type, .flags = flags, .hlen = hlen, .pdo = pdo, .plen = htole32(plen)};
	uint32_t need;
	uint16_t fes;

	return pdu_check_header(&ch, params, &need, &fes);
}

static void headers_that_a_controller_sends(void **state)
{
	(void)state;
	assert_null(check(PDU_RESP, 0, 24, 0, 24, &plain));
	assert_null(check(PDU_R2T, 0, 24, 0, 24, &plain));
	assert_null(check(PDU_C2H_DATA, PDU_F_LAST, 24, 24, 24 + 512, &plain));
	assert_null(check(PDU_C2H_DATA, PDU_F_LAST | PDU_F_SUCCESS, 24, 128, 128 + 512, &plain));
	assert_null(check(PDU_C2H_DATA, PDU_F_HDGST | PDU_F_DDGST, 24, 28, 28 + 512 + 4, &digests));
	assert_null(check(PDU_C2H_TERM, 0, 24, 0, 152, &plain));
}

static void headers_that_none_may_send(void **state)
{
	(void)state;
	assert_non_null(check(PDU_RESP, 0, 24, 0, 25, &plain));
	assert_non_null(check(PDU_RESP, PDU_F_HDGST, 24, 0, 28, &plain));
	assert_non_null(check(PDU_RESP, 0, 24, 0, 24, &digests));
	assert_non_null(check(PDU_R2T, 0, 23, 0, 24, &plain));
	assert_non_null(check(PDU_C2H_DATA, 0, 24, 24, 24, &plain));
	assert_non_null(check(PDU_C2H_DATA, 0, 24, 20, 24 + 512, &plain));
	assert_non_null(check(PDU_C2H_DATA, 0, 24, 132, 132 + 512, &plain));
	assert_non_null(check(PDU_C2H_DATA, PDU_F_SUCCESS, 24, 24, 24 + 512, &plain));
	assert_non_null(check(PDU_C2H_TERM, 0, 24, 0, 153, &plain));
	assert_non_null(check(PDU_CMD, 0, 72, 0, 72, &plain));
	assert_non_null(check(PDU_ICRESP, 0, 128, 0, 128, &plain));
	assert_non_null(check(0x0a, 0, 24, 0, 24, &plain));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc32c_of_the_usual_string),
		cmocka_unit_test(a_capsule_without_data),
		cmocka_unit_test(digests_lengthen_the_pdu),
		cmocka_unit_test(data_is_aligned_as_the_controller_asks),
		cmocka_unit_test(icresp_is_understood),
		cmocka_unit_test(icresp_must_keep_to_the_rules),
		cmocka_unit_test(headers_that_a_controller_sends),
		cmocka_unit_test(headers_that_none_may_send),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
