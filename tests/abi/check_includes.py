#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Transports, backends and examples see the public headers only; public headers need no third party's."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1]).resolve()
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)
problems = []

for room in ('transports', 'backends', 'examples'):
    for path in sorted((root / room).rglob('*.[ch]')):
        for quote, name in INCLUDE.findall(path.read_text()):
            inside = (path.parent / name).resolve()
            if quote == '"' and (not inside.exists() or (root / room) not in inside.parents):
                problems.append(f'{path.relative_to(root)}: includes "{name}"')
            if name.startswith('lib/') or '/lib/' in name:
                problems.append(f'{path.relative_to(root)}: includes <{name}> of the engine')

STANDARD = {'stdarg.h', 'stdbool.h', 'stddef.h', 'stdint.h'}
for path in sorted((root / 'include').rglob('*.h')):
    for quote, name in INCLUDE.findall(path.read_text()):
        if quote == '<' and name not in STANDARD:
            problems.append(f'{path.relative_to(root)}: includes <{name}>')

for p in problems:
    print(p)
sys.exit(bool(problems))
