/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NVMFT_EXAMPLE_NOTIFY_H
#define NVMFT_EXAMPLE_NOTIFY_H

/* Tell the service manager, if there is one, how far the program is. See sd_notify(3). */
void notify_ready(const char *status);
void notify_reloading(void);
void notify_stopping(void);

#endif
