#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The shared library has no writable data, and exports what the version script lists, neither more nor less."""
import os
import re
import subprocess
import sys

library, version_script = sys.argv[1:3]

# What a compiler and its start-up files put into every shared object.
TOOLCHAIN = {'completed.0', '__dso_handle', '__TMC_END__', '__bss_start', '_edata', '_end'}
WRITABLE = re.compile(r'^\.(data(?!\.rel\.ro)|bss|tdata|tbss)(\.|$)')


def symbols():
    out = subprocess.run(['objdump', '-t', library], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        m = re.match(r'^[0-9a-f]+ (.{7}) (\S+)\s+([0-9a-f]+)\s+(.*)$', line)
        if m and m.group(4).strip():
            yield m.group(1), m.group(2), int(m.group(3), 16), m.group(4).split()[-1]


def exported():
    out = subprocess.run(['nm', '-D', '--defined-only', library], check=True, capture_output=True, text=True).stdout
    names = {line.split()[-1].split('@')[0] for line in out.splitlines() if ' A ' not in line}
    return {n for n in names if not n.startswith(('__asan', '__ubsan', '__odr_asan'))}


problems = []
if os.environ.get('SANITIZED', 'none') == 'none':
    for flags, section, size, name in symbols():
        if WRITABLE.match(section) and 'd' not in flags and size and name not in TOOLCHAIN:
            problems.append(f'writable data: {name} in {section}, {size} bytes')

with open(version_script, encoding='ascii') as f:
    listed = set(re.findall(r'^\s+(nvmft_\w+);', f.read(), re.M))
problems += [f'exported, not in the version script: {n}' for n in sorted(exported() - listed)]
problems += [f'in the version script, not exported: {n}' for n in sorted(listed - exported())]

for p in problems:
    print(p)
sys.exit(bool(problems))
