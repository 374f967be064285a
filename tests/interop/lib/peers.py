#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Bad neighbours: peers.py COUNT [HEX]: open COUNT connections to the target, send the bytes
(none by default) on each, and keep them open, reconnecting never, until killed."""
import signal
import socket
import sys

peers = []
for _ in range(int(sys.argv[1])):
    s = socket.create_connection(("10.77.0.1", 4420), timeout=5)
    try:
        s.sendall(bytes.fromhex(sys.argv[2] if len(sys.argv) > 2 else ""))
    except OSError:
        pass  # closed on us already: the target may
    peers.append(s)
signal.pause()
