/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_BACKENDS_VFIO_NVME_REGS_H
#define NVMFT_BACKENDS_VFIO_NVME_REGS_H

#include <endian.h>
#include <stdint.h>

/* Controller properties (NVMe Base 2.0, 3.1.3) that <nvme/types.h> has no short names for. */
#define CSTS_RDY 0x1u
#define CSTS_CFS 0x2u
#define CSTS_SHST_MASK 0xcu
#define CSTS_SHST_DONE 0x8u
#define CSTS_GONE 0xffffffffu /* what a bus answers for a device that is not there */

#define CC_EN 0x1u
#define CC_SHN_NORMAL 0x4000u
#define CC_SHN_MASK 0xc000u
#define CAP_CSS_SETS (UINT64_C(1) << 43) /* it has more than the NVM command set, such as zones */
#define CC_CSS_ALL 0x60u
#define CC_SIZES (6u << 16 | 4u << 20) /* entries of 64 and 16 bytes */

#define REG_DOORBELLS 0x1000u

/* The driver's page: CC.MPS 0. */
#define NVME_PAGE 4096u

/* Largest transfer of one I/O that the core ever has, hence of one command. */
#define MAX_TRANSFER (2u << 20)

static inline uint32_t reg_read32(const volatile uint8_t *bar, uint32_t reg)
{
	return le32toh(*(const volatile uint32_t *)(const volatile void *)(bar + reg));
}

static inline void reg_write32(volatile uint8_t *bar, uint32_t reg, uint32_t value)
{
	*(volatile uint32_t *)(volatile void *)(bar + reg) = htole32(value);
}

/* In two halves, which every controller takes; not every bridge passes 64 bits on as one. */
static inline uint64_t reg_read64(const volatile uint8_t *bar, uint32_t reg)
{
	uint64_t low = reg_read32(bar, reg);

	return low | (uint64_t)reg_read32(bar, reg + 4) << 32;
}

static inline void reg_write64(volatile uint8_t *bar, uint32_t reg, uint64_t value)
{
	reg_write32(bar, reg, (uint32_t)value);
	reg_write32(bar, reg + 4, (uint32_t)(value >> 32));
}

/* What was written to memory before is seen by a device that sees the doorbell written after. */
static inline void write_barrier(void)
{
#if defined(__aarch64__)
	__asm__ volatile("dmb oshst" ::: "memory");
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* What was written to memory before is seen by a device whose writes are not seen by reads after. */
static inline void full_barrier(void)
{
#if defined(__aarch64__)
	__asm__ volatile("dmb osh" ::: "memory");
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* What the device wrote with the phase bit is read after it. */
static inline void read_barrier(void)
{
#if defined(__aarch64__)
	__asm__ volatile("dmb oshld" ::: "memory");
#else
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
#endif
}

#endif
