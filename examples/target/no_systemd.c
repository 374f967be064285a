/* SPDX-License-Identifier: BSD-3-Clause */
#include "notify.h"

void notify_ready(const char *status)
{
	(void)status;
}

void notify_reloading(void)
{
}

void notify_stopping(void)
{
}
