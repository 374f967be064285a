#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every C snippet of a document compiles: check_snippets.py INCLUDE-DIR DOCUMENT COMPILER..."""
import re
import subprocess
import sys

include, document, *compiler = sys.argv[1:]
PRELUDE = ''.join('#include <%s>\n' % name for name in (
    'nvmft/nvmft.h', 'nvmft/provider/backend.h', 'nvmft/provider/transport.h', 'errno.h', 'stddef.h', 'string.h', 'sys/epoll.h'))
WARNINGS = ['-Wall', '-Wextra', '-Werror', '-Wno-unused-function', '-Wno-unused-variable', '-Wno-missing-field-initializers']

with open(document, encoding='utf-8') as f:
    text = f.read()
snippets = list(re.finditer(r'^```c\n(.*?)^```$', text, re.M | re.S))
failed = 0
for snippet in snippets:
    line = text.count('\n', 0, snippet.start(1)) + 1
    source = PRELUDE + '#line %d "%s"\n' % (line, document) + snippet.group(1)
    failed += subprocess.run([*compiler, '-std=gnu11', '-fsyntax-only', *WARNINGS, '-I', include, '-x', 'c', '-'],
                             input=source, text=True, check=False).returncode != 0
print(f'{document}: {len(snippets)} snippets, {failed} do not compile')
sys.exit(failed > 0 or not snippets)
