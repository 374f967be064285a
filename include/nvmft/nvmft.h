/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_NVMFT_H
#define NVMFT_NVMFT_H

/* All that a host of the library needs; authors of transports and backends add nvmft/provider/. */
#include "backends.h"
#include "host.h"
#include "log.h"
#include "loopback.h"
#include "namespace.h"
#include "poll_group.h"
#include "port.h"
#include "stats.h"
#include "subsystem.h"
#include "target.h"
#include "transports.h"
#include "version.h"

#endif
