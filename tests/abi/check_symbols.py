#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The shared library has no writable data and exports what the version script lists, neither more nor less; the static one takes
no name that is not its own."""
import os
import re
import subprocess
import sys

library, version_script, archive = sys.argv[1:4]

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

def archive_globals():
    out = subprocess.run(['nm', '-g', '--defined-only', archive], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1] for line in out.splitlines() if len(line.split()) == 3}


problems += [f'in the static library without the prefix: {n}' for n in sorted(archive_globals())
             if not n.startswith(('nvmft_', '__asan', '__odr_asan', '__ubsan', '__tsan', 'asan.', 'tsan.'))]

for p in problems:
    print(p)
sys.exit(bool(problems))
