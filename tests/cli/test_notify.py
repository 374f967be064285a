#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What nvmft-target tells the service manager."""
import os
import signal
import socket
import sys
import unittest

from support import Case, configuration, memory_namespace, need_io_uring, save


class Notify(Case):
    """With NOTIFY_SOCKET."""

    def setUp(self):
        super().setUp()
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.sock.close)
        self.sock.bind('notify')
        self.sock.settimeout(10)

    def told(self):
        """The next message."""
        return dict(line.split('=', 1) for line in self.sock.recv(4096).decode().splitlines())

    def test_states(self):
        p = self.target('--config', save(configuration(memory_namespace(1))),
                        env={'NOTIFY_SOCKET': os.path.join(self.dir, 'notify')})
        told = self.told()
        self.assertEqual(told['READY'], '1')
        self.assertEqual(told['STATUS'], 'Serving 1 namespaces of 1 subsystems on 1 ports')
        p.send(signal.SIGHUP)
        told = self.told()
        self.assertEqual(told['RELOADING'], '1')
        self.assertGreater(int(told['MONOTONIC_USEC']), 0)
        self.assertEqual(self.told()['READY'], '1')
        self.assertEqual(p.end(), 0)
        self.assertEqual(self.told()['STOPPING'], '1')


if __name__ == '__main__':
    if os.environ.get('HAVE_SYSTEMD') != '1':
        print('built without libsystemd')
        sys.exit(77)
    need_io_uring()
    unittest.main()
