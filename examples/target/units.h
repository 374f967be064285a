/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_EXAMPLE_UNITS_H
#define NVMFT_EXAMPLE_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pure functions from text to values. They return false, and leave the result alone, when the text is not one. */

/* A whole number: decimal, or hexadecimal with 0x. */
bool parse_uint(const char *text, uint64_t *value);

/*
 * A size in bytes: a whole number with a unit. B; K KiB M MiB G GiB T TiB P PiB (also in lower case) are powers of
 * 1024, KB MB GB TB PB powers of 1000.
 */
bool parse_size(const char *text, uint64_t *bytes);

/* 1 0 true false yes no on off y n */
bool parse_bool(const char *text, bool *value);

/* Exactly 2 x @len hexadecimal digits, with hyphens anywhere between bytes. */
bool parse_hex_bytes(const char *text, uint8_t *bytes, size_t len);

/* Numbers up to 255 with + between them, at least one: sets bit n % 8 of byte n / 8 for each, of 32 bytes. */
bool parse_opcodes(const char *text, uint8_t *bits);

/* A list of processors: "0-2,5". *cpus is allocated, in the order of the text. */
bool parse_cpu_list(const char *text, int **cpus, unsigned int *ncpus);

/* The number of bytes with the largest unit that divides it: "64MiB". */
void format_size(uint64_t bytes, char *text, size_t len);

#endif
