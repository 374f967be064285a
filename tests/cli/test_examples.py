#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The example programs do what they say."""
import os
import pathlib
import re
import socket
import signal
import subprocess
import time
import unittest

from nvme_host import Controller, read_block, write_block
from support import Case, Process, need_io_uring

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / 'examples'


def free_port():
    """A port that nobody listens on at the moment."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Examples(Case):
    """Each is built by the same build."""

    def start(self, name, *args, stdin=subprocess.DEVNULL):
        """Run an example."""
        p = Process(os.environ[name.upper()], *args, stdin=stdin)
        self.addCleanup(p.kill)
        return p

    def test_tiny_target(self):
        port = free_port()
        p = self.start('tiny_target', '127.0.0.1', str(port)).ready()
        with Controller(('127.0.0.1', port), 'nqn.2024-01.org.nvmft:tiny') as c, c.io_queue() as q:
            self.assertEqual(c.namespace(1), (64 << 20, 512))
            write_block(q, 1, 9, b'tiny' * 128)
            self.assertEqual(read_block(q, 1, 9, 512), b'tiny' * 128)
        self.assertEqual(p.end(), 0)

    def test_tiny_target_is_tiny(self):
        self.assertLess(len((EXAMPLES / 'tiny_target.c').read_text().splitlines()), 80)

    def test_epoll_host(self):
        p = self.start('epoll_host', '127.0.0.1', '0', stdin=subprocess.PIPE).ready()
        with Controller(p.addresses()[0], 'nqn.2024-01.org.nvmft:epoll') as c, c.io_queue() as q:
            write_block(q, 1, 9, b'loop' * 128)
            self.assertEqual(read_block(q, 1, 9, 512), b'loop' * 128)
            p.wait_line(r'^2 connections, \d+ commands$')
            p.p.stdin.write('grow\n')
            p.p.stdin.flush()
            p.wait_line('^now 32 MiB$')
            self.assertEqual(c.namespace(1), (32 << 20, 512))
            p.p.stdin.write('quit\n')
            p.p.stdin.close()
            self.assertEqual(p.wait(), 0)

    def test_epoll_host_wakes_at_once(self):
        # Its timer wakes it once a second in any case: round trips that start while it sleeps must not wait for that.
        p = self.start('epoll_host', '127.0.0.1', '0').ready()
        spent = 0
        with Controller(p.addresses()[0], 'nqn.2024-01.org.nvmft:epoll') as c:
            for _ in range(6):
                time.sleep(0.05)
                start = time.monotonic()
                c.namespaces()
                spent += time.monotonic() - start
        self.assertLess(spent, 2)

    def test_epoll_host_ends_by_signal(self):
        self.assertEqual(self.start('epoll_host', '127.0.0.1', '0').ready().end(), 0)

    def test_two_targets_never_meet(self):
        p = self.start('two_targets', '127.0.0.1', '0', '0').ready()
        nqn = 'nqn.2024-01.org.nvmft:twin'
        with Controller(p.addresses()[0], nqn) as a, Controller(p.addresses()[1], nqn) as b:
            self.assertEqual((a.text(4, 24), b.text(4, 24)), ('first', 'second'))
            with a.io_queue() as q, b.io_queue() as r:
                write_block(q, 1, 0, b'1' * 512)
                self.assertEqual(read_block(r, 1, 0, 512), bytes(512))
            p.send(signal.SIGTERM)
            p.wait_line('^first: stopped$')
            self.assertEqual(b.namespaces(), [1])
            self.assertEqual(p.end(), 0)

    def test_custom_backend(self):
        p = self.start('custom_backend')
        p.wait_line('^stored scrambled: ok$')
        self.assertEqual(p.wait(), 0)

    def test_custom_transport(self):
        p = self.start('custom_transport')
        p.wait_line('^an error comes through: ok$')
        self.assertEqual(p.wait(), 0)

    def test_public_headers_only(self):
        for path in sorted(EXAMPLES.glob('*.c')):
            for name in re.findall(r'^#include (.*)$', path.read_text(), re.M):
                self.assertRegex(name, r'^<(nvmft/[a-z_/]+|sys/[a-z]+|[a-z]+)\.h>$', path.name)


if __name__ == '__main__':
    need_io_uring()
    unittest.main()
