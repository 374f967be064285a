/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_VERSION_H
#define NVMFT_VERSION_H

/*
 * Version of the library that these headers describe. Compare with
 * nvmft_version() to learn whether the library loaded at run time is another one.
 */
#define NVMFT_VERSION_MAJOR 0
#define NVMFT_VERSION_MINOR 1
#define NVMFT_VERSION_PATCH 0

/* Level of the provider interfaces (nvmft/provider/). Raised only when an existing member changes meaning. */
#define NVMFT_PROVIDER_API 1u

#if defined(__GNUC__)
#define NVMFT_API __attribute__((visibility("default")))
#else
#define NVMFT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * nvmft_version() - version of the library in use
 *
 * Context: any thread.
 * Return: (major << 16) | (minor << 8) | patch.
 */
NVMFT_API unsigned int nvmft_version(void);

#ifdef __cplusplus
}
#endif
#endif
