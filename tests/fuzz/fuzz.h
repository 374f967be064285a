/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_TESTS_FUZZ_H
#define NVMFT_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* libFuzzer's entry. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
