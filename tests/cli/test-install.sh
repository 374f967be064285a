#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A product outside the tree: install into a temporary prefix, build tiny_target.c with pkg-config, serve a host, end.
# usage: test-install.sh SOURCE-DIR BUILD-DIR
set -eu
source=$1 build=$2
here=$(cd "$(dirname "$0")" && pwd)
for tool in meson pkg-config python3 "${CC:-cc}"; do
	command -v "$tool" > /dev/null || { echo "not installed: $tool"; exit 77; }
done
case $(meson introspect --buildoptions "$build") in
*'"name": "b_sanitize", "value": "none"'*) ;;
*) echo "a sanitized library needs a sanitized program"; exit 77 ;;
esac

prefix=$(mktemp -d "${TMPDIR:-/tmp}/nvmft-install.XXXXXX")
pid=
trap '[ -z "$pid" ] || kill -9 $pid 2> /dev/null; rm -rf "$prefix"' EXIT

# A copy of what is built already, under another prefix: nothing is compiled again.
DESTDIR="$prefix/dest" meson install -C "$build" --no-rebuild --quiet
installed="$prefix/dest$(sed -n 's/^prefix=//p' "$(find "$prefix/dest" -name libnvmft.pc)")"
pc=$(find "$prefix/dest" -name libnvmft.pc)
sed -i "s|^prefix=.*|prefix=$installed|" "$pc"
export PKG_CONFIG_PATH="${pc%/*}"

cp "$source/examples/tiny_target.c" "$prefix/"
cd "$prefix"
# shellcheck disable=SC2046 # words are split on purpose
"${CC:-cc}" -Wall -Wextra -Werror tiny_target.c $(pkg-config --cflags --libs libnvmft) -o tiny_target
libdir=$(pkg-config --variable=libdir libnvmft)
LD_LIBRARY_PATH=$libdir ldd ./tiny_target | grep -q "$libdir/libnvmft.so" || { echo "not linked with the installed copy"; exit 1; }

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
LD_LIBRARY_PATH=$libdir ./tiny_target 127.0.0.1 "$port" > out 2> err &
pid=$!
tries=100
until grep -q '^ready$' out; do
	tries=$((tries - 1))
	[ $tries -gt 0 ] && kill -0 $pid || { cat out err; exit 1; }
	sleep 0.05
done
PYTHONPATH=$here python3 - "$port" << 'END'
import sys
from nvme_host import Controller, read_block, write_block
with Controller(('127.0.0.1', int(sys.argv[1])), 'nqn.2024-01.org.nvmft:tiny') as c, c.io_queue() as q:
    write_block(q, 1, 0, b'prefix--' * 64)
    assert read_block(q, 1, 0, 512) == b'prefix--' * 64
END
kill -TERM $pid
status=0
wait $pid || status=$?
pid=
[ $status = 0 ] || { echo "ended with status $status"; cat err; exit 1; }
echo "built, served and ended with the library in $installed"
