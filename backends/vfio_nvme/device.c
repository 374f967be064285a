/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stdio.h>

#include "device.h"

void nvmft_device_log(const struct device *dev, enum nvmft_log_level level, const char *format, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	nvmft_target_log(dev->target, "vfio", level, "%s: %s", dev->address, text);
}
