#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nvmft-target serves what it was told to, and ends as it was told to."""
import os
import resource
import signal
import socket
import subprocess
import time
import unittest

from nvme_host import DISCOVERY, HOSTNQN, Controller, NvmeError, read_block, write_block
from support import NQN, TARGET, Case, configuration, file_namespace, memory_namespace, need_io_uring, save

ANY = ('--listen', 'tcp:127.0.0.1:0', '--subsystem', NQN)


class OneLiner(Case):
    """Without a file."""

    def test_prints_how_to_connect_and_then_ready(self):
        p = self.target(*ANY, '--namespace', 'memory:16MiB').ready()
        self.assertRegex(p.lines[0], r'^nvme connect -t tcp -a 127\.0\.0\.1 -s [1-9]\d* -n ' + NQN + '$')
        self.assertEqual(p.lines[-1], 'ready')
        self.assertEqual(p.end(), 0)

    def test_namespaces_of_every_kind(self):
        self.file('disk.img', 8 << 20)
        p = self.target(*ANY, '--namespace', 'disk.img', '--namespace', 'memory:16MiB,block=4096', '--namespace', 'null:1TiB,nsid=9').ready()
        with Controller(p.addresses()[0], NQN) as c:
            self.assertEqual(c.namespaces(), [1, 2, 9])
            self.assertEqual([c.namespace(n) for n in (1, 2, 9)], [(8 << 20, 512), (16 << 20, 4096), (1 << 40, 512)])
        self.assertEqual(p.end(), 0)

    def test_identity(self):
        p = self.target(*ANY, '--namespace', 'null:1GiB', '--serial', 'SN-1', '--model', 'A model').ready()
        with Controller(p.addresses()[0], NQN) as c:
            self.assertEqual((c.text(4, 24), c.text(24, 64), c.text(768, 1024)), ('SN-1', 'A model', NQN))

    def test_data_goes_to_the_file(self):
        self.file('disk.img')
        p = self.target(*ANY, '--namespace', 'disk.img').ready()
        with Controller(p.addresses()[0], NQN) as c, c.io_queue() as q:
            write_block(q, 1, 3, b'\xa5' * 512)
            self.assertEqual(read_block(q, 1, 3, 512), b'\xa5' * 512)
        self.assertEqual(p.end(), 0)
        with open('disk.img', 'rb') as f:
            self.assertEqual(f.read(2048)[1536:], b'\xa5' * 512)

    def test_read_only(self):
        self.file('disk.img')
        p = self.target(*ANY, '--namespace', 'disk.img,ro').ready()
        with Controller(p.addresses()[0], NQN) as c, c.io_queue() as q:
            with self.assertRaises(NvmeError) as e:
                write_block(q, 1, 0, b'x' * 512)
            self.assertEqual(e.exception.status, 0x20)

    def test_creates_a_file(self):
        p = self.target(*ANY, '--namespace', 'new.img,size=4MiB,create').ready()
        self.assertEqual(os.stat('new.img').st_size, 4 << 20)
        p.end()

    def test_create_leaves_an_existing_file_alone(self):
        with open('disk.img', 'wb') as f:
            f.write(b'data' * 262144)
        p = self.target(*ANY, '--namespace', 'disk.img,size=1MiB,create').ready()
        p.end()
        with open('disk.img', 'rb') as f:
            self.assertEqual(f.read(), b'data' * 262144)

    def test_hosts(self):
        p = self.target(*ANY, '--namespace', 'null:1GiB', '--host', HOSTNQN).ready()
        with Controller(p.addresses()[0], NQN):
            pass
        with self.assertRaises(NvmeError) as e:
            Controller(p.addresses()[0], NQN, hostnqn='nqn.2024-01.org.nvmft:stranger')
        self.assertEqual(e.exception.status, 0x184)

    def test_several_listeners_and_ipv6(self):
        args = ['--listen', 'tcp:127.0.0.1:0', '--listen', 'tcp:127.0.0.1:0']
        if os.path.exists('/proc/net/if_inet6') and socket.has_ipv6:
            args += ['--listen', 'tcp:[::1]:0']
        p = self.target(*args, '--subsystem', NQN, '--namespace', 'null:1GiB').ready()
        self.assertEqual(len(p.addresses()), len(args) // 2)
        for address in p.addresses():
            with Controller(address, NQN) as c:
                self.assertEqual(c.namespaces(), [1])
        self.assertEqual(p.end(), 0)

    def test_wildcard_is_announced_by_an_address_that_works(self):
        p = self.target('--listen', 'tcp:0.0.0.0:0', '--subsystem', NQN, '--namespace', 'null:1GiB').ready()
        self.assertEqual(p.addresses()[0][0], '127.0.0.1')
        with Controller(p.addresses()[0]) as c:
            self.assertEqual({e[2] for e in c.discovery()}, {'127.0.0.1'})

    def test_discovery_nqn(self):
        name = 'nqn.2024-01.org.nvmft:discovery'
        p = self.target(*ANY, '--namespace', 'null:1GiB', '--discovery-nqn', name).ready()
        for nqn in (name, DISCOVERY):
            with Controller(p.addresses()[0], nqn) as c:
                self.assertEqual(c.served(), [NQN])

    def test_max_io_and_in_capsule(self):
        p = self.target(*ANY, '--namespace', 'null:1GiB', '--max-io', '128KiB', '--in-capsule', '16384').ready()
        with Controller(p.addresses()[0], NQN) as c:
            identify = c.identify(1)
        self.assertEqual(identify[77], 5)
        self.assertEqual(int.from_bytes(identify[1792:1796], 'little'), (64 + 16384) // 16)

    def test_descriptor_limit_is_raised(self):
        p = self.target(*ANY, '--namespace', 'null:1GiB', preexec_fn=lower_descriptor_limit).ready()
        with open('/proc/%d/limits' % p.p.pid, encoding='ascii') as f:
            soft, hard = [line.split()[3:5] for line in f if line.startswith('Max open files')][0]
        self.assertEqual(soft, hard)

    def test_threads_cpus_and_poll_modes(self):
        cpu = str(min(os.sched_getaffinity(0)))
        for mode in ('adaptive', 'always', 'never'):
            p = self.target(*ANY, '--namespace', 'null:1GiB', '--threads', '2', '--cpus', cpu, '--poll', mode).ready()
            with Controller(p.addresses()[0], NQN) as c:
                self.assertEqual(c.namespaces(), [1])
            self.assertEqual(p.end(), 0)


class Failures(Case):
    """What cannot be had."""

    def test_no_namespace_at_all(self):
        p = self.target(*ANY, '--namespace', 'absent.img')
        self.assertEqual(p.wait(), 2)
        self.assertIn('command line: --namespace: absent.img: No such file or directory', p.log())

    def test_one_missing_namespace_of_several(self):
        p = self.target(*ANY, '--namespace', 'absent.img', '--namespace', 'null:1GiB').ready()
        self.assertIn('command line: --namespace[0]: absent.img: No such file', p.log())
        with Controller(p.addresses()[0], NQN) as c:
            self.assertEqual(c.namespaces(), [2])

    def test_a_file_with_missing_namespaces_is_served(self):
        p = self.target('--config', save(configuration(file_namespace(1, 'absent.img')))).ready()
        self.assertIn('target.json: subsystems[0].namespaces[0].device.path: absent.img: No such file', p.log())
        self.assertEqual(p.end(), 0)

    def test_a_file_that_another_target_has(self):
        self.file('disk.img')
        self.target(*ANY, '--namespace', 'disk.img').ready()
        p = self.target('--config', save(configuration(file_namespace(1, 'disk.img'), memory_namespace(2)))).ready()
        self.assertIn('namespaces[0].device.path: disk.img: in use by another process or target', p.log())
        with Controller(p.addresses()[0], NQN) as c:
            self.assertEqual(c.namespaces(), [2])

    def test_nolock(self):
        self.file('disk.img')
        self.target(*ANY, '--namespace', 'disk.img').ready()
        self.target(*ANY, '--namespace', 'disk.img,nolock').ready()

    def test_a_file_that_is_too_small(self):
        self.file('disk.img', 1 << 20)
        p = self.target(*ANY, '--namespace', 'disk.img,size=2MiB')
        self.assertEqual(p.wait(), 2)
        self.assertIn('disk.img', p.log())

    def test_an_address_in_use(self):
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            s.listen()
            config = configuration(memory_namespace(1))
            config['ports'][0]['addr']['trsvcid'] = str(s.getsockname()[1])
            p = self.target('--config', save(config))
            self.assertEqual(p.wait(), 2)
            self.assertRegex(p.log(), r'target\.json: ports\[0\]\.addr\.traddr: 127\.0\.0\.1 port \d+: Address already in use')
            self.assertNotIn('ready', p.p.stdout.read() if not p.p.stdout.closed else '')

    def test_an_address_that_is_not_ours(self):
        p = self.target('--listen', 'tcp:192.0.2.1:4420', '--namespace', 'null:1GiB')
        self.assertEqual(p.wait(), 2)
        self.assertIn('command line: --listen: 192.0.2.1 port 4420: Cannot assign requested address', p.log())


class Ending(Case):
    """Signals."""

    def test_sigint_and_sigterm_drain(self):
        for sig in (signal.SIGTERM, signal.SIGINT):
            p = self.target(*ANY, '--namespace', 'null:1GiB').ready()
            with Controller(p.addresses()[0], NQN):
                self.assertEqual(p.end(sig), 0)

    def test_sighup_without_a_file_changes_nothing(self):
        p = self.target(*ANY, '--namespace', 'null:1GiB').ready()
        p.send(signal.SIGHUP)
        p.wait_log('there is no --config file')
        with Controller(p.addresses()[0], NQN):
            pass
        self.assertEqual(p.end(), 0)

    def test_a_reader_that_is_gone_is_no_reason_to_end(self):
        p = subprocess.Popen([TARGET, *ANY, '--namespace', 'null:1GiB'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        p.stdout.close()
        time.sleep(0.3)
        self.assertIsNone(p.poll())
        p.terminate()
        self.assertEqual(p.wait(10), 0)

    def test_idle_costs_no_cpu(self):
        p = self.target(*ANY, '--namespace', 'null:1GiB').ready()
        with Controller(p.addresses()[0], NQN):
            before = cpu_ticks(p.p.pid)
            time.sleep(1)
            self.assertLessEqual(cpu_ticks(p.p.pid) - before, 1)


def lower_descriptor_limit():
    """As a shell does."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def cpu_ticks(pid):
    """User and system time of a process."""
    with open('/proc/%d/stat' % pid, encoding='ascii') as f:
        fields = f.read().rsplit(')', 1)[1].split()
    return int(fields[11]) + int(fields[12])


if __name__ == '__main__':
    need_io_uring()
    unittest.main()
