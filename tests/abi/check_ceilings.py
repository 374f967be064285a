#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""No file above 1000 lines, no function above 60, without a written exception in ceilings.txt; and every file has its licence line."""
import pathlib
import sys

FILE_MAX = 1000
FUNCTION_MAX = 60

root = pathlib.Path(sys.argv[1]).resolve()
problems = []

exceptions = set()
for line in (root / 'tests/abi/ceilings.txt').read_text().splitlines():
    if line and not line.startswith('#'):
        exceptions.add(line.split(':', 1)[0].strip())


def functions(lines):
    """(name line, length) of what stands between a '{' and a '}' in the first column, signature included."""
    start = 0
    for i, line in enumerate(lines):
        if line == '{':
            start = i
            while start > 0 and lines[start - 1].strip() and not lines[start - 1].startswith(('}', '#', '/*', ' */')):
                start -= 1
        elif line == '}' and start:
            yield lines[start], i - start + 1
            start = 0


for room in ('include', 'lib', 'transports', 'backends', 'examples', 'tests'):
    for path in sorted((root / room).rglob('*.[ch]')):
        name = str(path.relative_to(root))
        lines = path.read_text().splitlines()
        if 'SPDX-License-Identifier: BSD-3-Clause' not in (lines or [''])[0]:
            problems.append(f'{name}: no licence line')
        if len(lines) > FILE_MAX and name not in exceptions:
            problems.append(f'{name}: {len(lines)} lines')
        for signature, length in functions(lines):
            key = f'{name} {signature.split("(")[0].split()[-1].lstrip("*")}'
            if length > FUNCTION_MAX and key not in exceptions:
                problems.append(f'{key}(): {length} lines')

for p in problems:
    print(p)
sys.exit(bool(problems))
