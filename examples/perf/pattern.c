/* SPDX-License-Identifier: BSD-3-Clause */
#include <endian.h>
#include <string.h>

#include "host_pdu.h"
#include "pattern.h"

#define MAGIC 0x66727065746d766eull /* "nvmtperf" */

struct header {
	uint64_t magic;
	uint64_t seed;
	uint64_t lba;
	uint32_t generation;
	uint32_t rsvd;
};

#define CRC_SIZE 4u /* at the end, over all before it */

static void fill_body(uint8_t *body, uint32_t len, const struct pattern *pattern)
{
	/* xorshift64*: the state must not be zero. */
	uint64_t x =
		(pattern->seed ^ (pattern->lba + 1) * 0x9e3779b97f4a7c15ull ^ (uint64_t)pattern->generation << 40) | 1;
	uint64_t value;
	uint32_t i;

	for (i = 0; i + sizeof(value) <= len; i += (uint32_t)sizeof(value)) {
		x ^= x >> 12;
		x ^= x << 25;
		x ^= x >> 27;
		value = htole64(x * 0x2545f4914f6cdd1dull);
		memcpy(body + i, &value, sizeof(value));
	}
}

void pattern_fill(void *block, uint32_t block_size, const struct pattern *pattern)
{
	struct header header = {
		.magic = htole64(MAGIC),
		.seed = htole64(pattern->seed),
		.lba = htole64(pattern->lba),
		.generation = htole32(pattern->generation),
	};
	uint32_t crc;

	fill_body((uint8_t *)block + sizeof(header), block_size - (uint32_t)sizeof(header), pattern);
	memcpy(block, &header, sizeof(header));
	crc = htole32(pdu_crc32c(block, block_size - CRC_SIZE));
	memcpy((uint8_t *)block + block_size - CRC_SIZE, &crc, sizeof(crc));
}

static bool crc_ok(const void *block, uint32_t block_size)
{
	uint32_t crc;

	memcpy(&crc, (const uint8_t *)block + block_size - CRC_SIZE, sizeof(crc));
	return le32toh(crc) == pdu_crc32c(block, block_size - CRC_SIZE);
}

enum pattern_result pattern_check(const void *block, uint32_t block_size, const struct pattern *want,
				  struct pattern *found)
{
	struct header header;

	memcpy(&header, block, sizeof(header));
	if (le64toh(header.magic) != MAGIC)
		return PATTERN_MAGIC;
	if (!crc_ok(block, block_size))
		return PATTERN_CRC;
	found->seed = le64toh(header.seed);
	found->lba = le64toh(header.lba);
	found->generation = le32toh(header.generation);
	if (found->seed != want->seed)
		return PATTERN_SEED;
	if (found->lba != want->lba)
		return PATTERN_LBA;
	if (want->generation && found->generation != want->generation)
		return PATTERN_GENERATION;
	return PATTERN_OK;
}

const char *pattern_words(enum pattern_result result)
{
	static const char *const words[] = {
		[PATTERN_OK] = "good",
		[PATTERN_MAGIC] = "not written by this program",
		[PATTERN_CRC] = "damaged or torn (CRC)",
		[PATTERN_SEED] = "of a run with another seed",
		[PATTERN_LBA] = "of another place",
		[PATTERN_GENERATION] = "of another time",
	};

	return words[result];
}
