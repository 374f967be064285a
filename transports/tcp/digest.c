/* SPDX-License-Identifier: BSD-3-Clause */
#include <endian.h>

#include <isa-l/crc.h>

#include "pdu.h"

/* ISA-L takes an int. */
#define CRC_CHUNK (1u << 30)

uint32_t nvmft_tcp_crc(uint32_t crc, const void *data, size_t len)
{
	/* Not const in ISA-L's prototype, but only read. */
	unsigned char *p = (unsigned char *)(uintptr_t)data;

	while (len > 0) {
		size_t n = len < CRC_CHUNK ? len : CRC_CHUNK;

		crc = crc32_iscsi(p, (int)n, crc);
		p += n;
		len -= n;
	}
	return crc;
}

uint32_t nvmft_tcp_crc_final(uint32_t crc)
{
	return htole32(~crc);
}
