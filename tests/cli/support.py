# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of nvmft-target share: run it, wait for it, and make configurations."""
import ctypes
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

NQN = 'nqn.2024-01.org.nvmft:cli'
TARGET = os.environ.get('NVMFT_TARGET', '')
CONNECT = re.compile(r'nvme connect -t tcp -a (\S+) -s (\d+) -n (\S+)')


def need_io_uring():
    """Skip everything where the machine has no io_uring, e.g. in a container that forbids it."""
    libc = ctypes.CDLL(None, use_errno=True)
    params = ctypes.create_string_buffer(120)
    fd = libc.syscall(425, 1, params)
    if fd < 0:
        print('io_uring is missing or forbidden: %s' % os.strerror(ctypes.get_errno()))
        sys.exit(77)
    os.close(fd)


class Process:
    """A program that prints "ready"."""

    def __init__(self, *args, env=None, stdin=subprocess.DEVNULL, **more):
        self.err = tempfile.NamedTemporaryFile('a')
        self.p = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=self.err, stdin=stdin, text=True,
                                  env=dict(os.environ, **(env or {})), **more)
        self.lines, self.unread = [], ''

    def wait_line(self, wanted, timeout=15):
        """Read lines until one that is as wanted."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            while '\n' in self.unread:
                line, self.unread = self.unread.split('\n', 1)
                self.lines.append(line)
                if re.search(wanted, line):
                    return line
            if select.select([self.p.stdout], [], [], 0.1)[0]:
                piece = os.read(self.p.stdout.fileno(), 65536).decode()
                if not piece:
                    break
                self.unread += piece
        raise AssertionError('no line %r; stdout: %s, stderr: %s' % (wanted, self.lines, self.log()))

    def ready(self):
        """Wait until it accepts connections."""
        self.wait_line('^ready$')
        return self

    def addresses(self):
        """(address, port) of each line "nvme connect", in order and once each."""
        found = [CONNECT.search(line) for line in self.lines]
        return list(dict.fromkeys((m.group(1), int(m.group(2))) for m in found if m))

    def log(self):
        """Everything on stderr up to now."""
        with open(self.err.name, encoding='utf-8') as f:
            return f.read()

    def wait_log(self, pattern, timeout=10, count=1):
        """Wait for a line on stderr."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if len(re.findall(pattern, self.log())) >= count:
                return
            if self.p.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError('%r not on stderr: %s' % (pattern, self.log()))

    def send(self, sig):
        """Send a signal."""
        self.p.send_signal(sig)

    def end(self, sig=signal.SIGTERM, timeout=10):
        """Ask it to end; its exit status."""
        self.p.send_signal(sig)
        return self.wait(timeout)

    def wait(self, timeout=10):
        """Its exit status."""
        try:
            return self.p.wait(timeout)
        finally:
            self.kill()

    def kill(self):
        """Be sure that it is gone."""
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()
        self.p.stdout.close()
        if self.p.stdin:
            self.p.stdin.close()


class Case(unittest.TestCase):
    """A test with a directory of its own, in which it runs."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix='nvmft-cli.')
        self.addCleanup(shutil.rmtree, self.dir)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.dir)

    def target(self, *args, **more):
        """Start nvmft-target."""
        p = Process(TARGET, *args, **more)
        self.addCleanup(p.kill)
        return p

    def file(self, name, size=16 << 20):
        """A sparse file."""
        with open(name, 'wb') as f:
            f.truncate(size)

    def run_target(self, *args):
        """Run nvmft-target to its end: status, stdout, stderr."""
        p = subprocess.run([TARGET, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20, check=False)
        return p.returncode, p.stdout, p.stderr


def configuration(*namespaces):
    """A configuration as nvmetcli writes it, of one port and one subsystem."""
    return {
        'hosts': [],
        'ports': [{
            'addr': {'adrfam': 'ipv4', 'traddr': '127.0.0.1', 'treq': 'not specified', 'trsvcid': '0', 'trtype': 'tcp'},
            'portid': 1, 'referrals': [], 'subsystems': [NQN]}],
        'subsystems': [{
            'allowed_hosts': [], 'attr': {'allow_any_host': '1'}, 'nqn': NQN, 'namespaces': list(namespaces)}],
    }


def file_namespace(nsid, path):
    """A namespace as nvmetcli writes it."""
    return {'nsid': nsid, 'enable': 1, 'ana_grpid': 1, 'device': {'path': path}}


def memory_namespace(nsid, size='16MiB', **more):
    """A namespace of the extension."""
    return {'nsid': nsid, 'backend': dict(type='memory', size=size, **more)}


def save(config, name='target.json'):
    """Write a configuration; the file is there whole at every moment."""
    with open(name + '.new', 'w', encoding='utf-8') as f:
        json.dump(config, f)
    os.rename(name + '.new', name)
    return name
