#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nvmft-perf: test_perf.py NVMFT_PERF [NVMFT_TARGET]"""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stub import Stub  # noqa: E402

PERF = TARGET = None
NQN = 'nqn.2014-08.org.nvmexpress:test'


def perf(*args):
    return subprocess.run([PERF, *args], capture_output=True, text=True, timeout=60)


class Case(unittest.TestCase):
    def run_perf(self, *args, status=0, error=''):
        done = perf(*args)
        self.assertEqual(done.returncode, status, done.stderr + done.stdout)
        self.assertIn(error, done.stderr)
        return done

    def run_json(self, *args, **kwargs):
        return json.loads(self.run_perf('--json', '--quiet', *args, **kwargs).stdout)


class Usage(Case):
    def check(self, error, *args):
        self.run_perf(*args, status=2, error=error)

    def test_help(self):
        self.assertIn('--subsystem', self.run_perf('--help').stdout)

    def test_no_address(self):
        self.check('no address')

    def test_bad_address(self):
        self.check('expected tcp:HOST', 'udp:127.0.0.1:4420')

    def test_bad_port(self):
        self.check('expected tcp:HOST', 'tcp:127.0.0.1:http', '--subsystem', NQN)
        self.check('expected tcp:HOST', 'tcp:127.0.0.1:65536', '--subsystem', NQN)

    def test_discovery_is_text_only(self):
        self.check('--json does not go with --discover', 'tcp:127.0.0.1', '--discover', '--json')

    def test_subsystem_is_required(self):
        self.check('--subsystem NQN is required', 'tcp:127.0.0.1')

    def test_bad_rw(self):
        self.check('--rw random: expected', 'loopback:null:1M', '--rw', 'random')

    def test_bad_number(self):
        self.check('--depth 0: expected a number from 1', 'loopback:null:1M', '--depth', '0')

    def test_bad_time(self):
        self.check('--time soon: expected a time', 'loopback:null:1M', '--time', 'soon')

    def test_bad_hostid(self):
        self.check('--hostid', 'loopback:null:1M', '--hostid', '12345')

    def test_bad_loopback(self):
        self.check('expected memory:SIZE', 'loopback:memory')

    def test_more_threads_than_queues(self):
        self.check('--threads 2', 'loopback:null:1M', '--threads', '2')

    def test_unknown_option(self):
        self.check('--help', 'loopback:null:1M', '--fast')


class Loopback(Case):
    def test_table(self):
        out = self.run_perf('loopback:null:1GiB', '--ios', '1000').stdout
        for word in ('IOPS', 'p99.9', 'read latency', 'errors: 0'):
            self.assertIn(word, out)

    def test_ios_are_counted(self):
        self.assertEqual(self.run_json('loopback:null:1GiB', '--ios', '1003', '--queues', '3')['read']['ios'], 1003)

    def test_sequential_is_once_over_the_range(self):
        result = self.run_json('loopback:memory:8MiB', '--rw', 'write', '--bs', '8k')
        self.assertEqual(result['write']['ios'], 1024)

    def test_verified_write(self):
        result = self.run_json('loopback:memory:8MiB', '--rw', 'write', '--verify')
        self.assertEqual(result['verify'], {'blocks': 16384, 'wrong': 0})

    def test_verified_mix_in_threads(self):
        result = self.run_json('loopback:memory:16MiB,block=4096', '--rw', 'randrw', '--verify', '--ios', '20000', '--connections', '2',
                               '--queues', '2', '--threads', '2')
        self.assertGreater(result['verify']['blocks'], 5000)
        self.assertEqual(result['read']['ios'] + result['write']['ios'], 20000)

    def test_null_does_not_keep_what_is_written(self):
        result = self.run_json('loopback:null:1MiB', '--rw', 'write', '--verify', status=1, error='not written by this program')
        self.assertEqual(result['verify']['wrong'], 2048)

    def test_same_seed_in_a_second_run(self):
        with tempfile.NamedTemporaryFile() as disk:
            disk.truncate(1 << 20)
            address = 'loopback:file:' + disk.name
            self.run_json(address, '--rw', 'write', '--verify', '--seed', '5')
            self.run_json(address, '--rw', 'read', '--verify', '--seed', '5')
            self.run_json(address, '--rw', 'read', '--verify', '--seed', '6', status=1, error='another seed')

    def test_discovery(self):
        self.assertIn('nvm', self.run_perf('loopback:null:1MiB', '--discover').stdout)

    def test_range_too_small(self):
        self.run_perf('loopback:memory:64KiB', '--rw', 'write', '--verify', status=1, error='range is too small')

    def test_block_size(self):
        self.run_perf('loopback:memory:1MiB,block=4096', '--bs', '512', status=1, error='blocks of 4096 bytes')

    def test_no_such_namespace(self):
        self.run_perf('loopback:memory:1MiB', '--nsid', '2', status=1, error='NSID 2')

    def test_interrupt_prints_results(self):
        process = subprocess.Popen([PERF, 'loopback:null:1GiB', '--time', '1h'], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        # The first progress line says that it runs.
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0)
        self.assertIn('IOPS', out)


class Misbehaving(Case):
    """What the host says to a target that breaks the rules."""

    def against(self, faults, *args, status=1, error='', **kwargs):
        with Stub(*faults, **kwargs) as stub:
            self.run_perf(stub.address, '--subsystem', NQN, '--depth', '4', '--quiet', *args, status=status, error=error)
            return stub

    def test_a_good_one(self):
        stub = self.against((), '--rw', 'write', '--verify', status=0)
        self.assertTrue(stub.shut_down)

    def test_data_by_r2t_in_pieces(self):
        stub = self.against((), '--rw', 'write', '--verify', '--bs', '32k', '--depth', '1', status=0)
        self.assertEqual(stub.largest_h2c, 8192)

    def test_in_capsule_off(self):
        stub = self.against((), '--rw', 'write', '--verify', '--in-capsule', 'off', '--depth', '1', status=0)
        self.assertEqual(stub.largest_h2c, 4096)

    def test_keep_alive(self):
        stub = self.against((), '--time', '1s', '--kato', '400ms', status=0)
        self.assertGreaterEqual(stub.keep_alives, 3)

    def test_keep_alive_fails(self):
        self.against(['keepalive'], '--time', '1s', '--kato', '400ms', error='Keep Alive Timer Expired')

    def test_connect_refused_names_the_field(self):
        self.against(['connect'], error='Connect Invalid Parameters (182h): HOSTNQN, Connect data at byte 512')

    def test_nobody_listens(self):
        with socket.create_server(('127.0.0.1', 0)) as free:
            port = free.getsockname()[1]
        self.run_perf(f'tcp:127.0.0.1:{port}', '--subsystem', NQN, status=1, error='Connection refused')

    def test_not_nvme(self):
        with socket.create_server(('127.0.0.1', 0)) as server:
            process = subprocess.Popen([PERF, 'tcp:127.0.0.1:%d' % server.getsockname()[1], '--subsystem', NQN], stderr=subprocess.PIPE, text=True)
            peer = server.accept()[0]
            peer.sendall(b'SSH-2.0-OpenSSH_9.2p1\r\n')
            self.assertIn('is this an NVMe/TCP port?', process.communicate(timeout=30)[1])
            peer.close()
        self.assertEqual(process.returncode, 1)

    def test_status_in_words(self):
        self.against(['status'], '--ios', '10', error='Unrecovered Read Error (281h)')

    def test_damaged_block(self):
        self.against(['corrupt'], '--rw', 'write', '--verify', error='LBA 5 generation 1 is damaged or torn')

    def test_stale_block(self):
        self.against(['stale'], '--rw', 'write', '--verify', '--ios', '128', error='of another time')

    def test_success_flag_with_flow_control(self):
        self.against(['success'], '--ios', '10', error='SUCCESS on a queue with SQ flow control')

    def test_success_flag_twice(self):
        self.against(['success'], '--ios', '10', '--no-sqflow', '--depth', '1', error='succeeded with 0 of 4096 bytes')

    def test_r2t_beyond_the_data(self):
        self.against(['r2t'], '--rw', 'write', '--bs', '32k', '--depth', '1', error='R2T for bytes 0 to 36864 of 32768')

    def test_unknown_cid(self):
        self.against(['cid'], '--ios', '10', error='C2HData for CID')

    def test_success_without_data(self):
        self.against(['short'], '--ios', '10', error='succeeded with 0 of 4096 bytes')

    def test_reserved_bytes(self):
        self.against(['cqe'], '--ios', '10', error='reserved bytes')

    def test_terminate_request(self):
        self.against(['term'], '--ios', '10', error='PDU sequence error (FES 2')

    def test_hang_up(self):
        self.against(['close'], '--ios', '10', error='queue 1 of controller 1: ')

    def test_silence(self):
        self.against(['silent'], '--ios', '10', '--timeout', '500ms', error='without an answer for 500 ms')


class Target:
    def __enter__(self):
        with socket.create_server(('127.0.0.1', 0)) as free:
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen([TARGET, '--listen', f'tcp:127.0.0.1:{self.port}', '--subsystem', NQN, '--namespace',
                                         'memory:32MiB,block=4096', '--log', 'warn'], stdout=subprocess.PIPE, text=True)
        while self.process.stdout.readline().strip() != 'ready':
            if self.process.poll() is not None:
                raise RuntimeError('nvmft-target does not start')
        self.address = f'tcp:127.0.0.1:{self.port}'
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate(timeout=30)


class Tcp(Case):
    def setUp(self):
        if not TARGET:
            self.skipTest('nvmft-target is not built')
        self.target = Target()
        self.target.__enter__()
        self.addCleanup(self.target.__exit__)

    def verified(self, *args):
        result = self.run_json(self.target.address, '--subsystem', NQN, '--verify', *args)
        self.assertGreater(result['verify']['blocks'], 0)
        return result

    def test_mix(self):
        self.verified('--rw', 'randrw', '--ios', '20000')

    def test_mix_with_digests(self):
        self.verified('--rw', 'randrw', '--ios', '20000', '--hdgst', '--ddgst')

    def test_mix_without_flow_control(self):
        self.verified('--rw', 'randrw', '--ios', '20000', '--no-sqflow', '--depth', '128')

    def test_large_blocks(self):
        self.verified('--rw', 'write', '--bs', '256k', '--hdgst', '--ddgst', '--depth', '8')

    def test_no_in_capsule_data(self):
        self.verified('--rw', 'randwrite', '--ios', '5000', '--in-capsule', 'off')

    def test_many_queues(self):
        self.verified('--rw', 'randrw', '--ios', '20000', '--connections', '3', '--queues', '5', '--threads', '2', '--depth', '16')

    def test_discovery(self):
        self.assertIn(NQN, self.run_perf(self.target.address, '--discover').stdout)

    def test_unknown_subsystem(self):
        self.run_perf(self.target.address, '--subsystem', NQN + 'x', status=1, error='SUBNQN')


if __name__ == '__main__':
    PERF = sys.argv[1]
    TARGET = sys.argv[2] if len(sys.argv) > 2 else None
    unittest.main(argv=sys.argv[:1])
