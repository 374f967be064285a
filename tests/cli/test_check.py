#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nvmft-target --check: every mistake is named by file, key and value, and an nvmet user's file is none."""
import json
import os
import unittest

from support import NQN, Case, configuration, file_namespace, memory_namespace, save

# As nvmetcli 0.8 saves it on Linux 6.8.
NVMETCLI = {
    "hosts": [{"nqn": "nqn.2014-08.org.nvmexpress:uuid:befdec4c-2234-11b2-a85c-ca77c773af36",
               "dhchap": {"ctrl_key": "", "dhgroup": "null", "hash": "hmac(sha256)", "key": ""}}],
    "ports": [{
        "addr": {"adrfam": "ipv4", "traddr": "0.0.0.0", "treq": "not specified", "trsvcid": "4420", "trtype": "tcp",
                 "tsas": "none"},
        "ana_groups": [{"ana": {"state": "optimized"}, "grpid": 1}],
        "param": {"inline_data_size": "16384", "max_queue_size": "128", "pi_enable": "0"},
        "portid": 0,
        "referrals": [{"addr": {"adrfam": "ipv4", "portid": "2", "traddr": "10.0.0.2", "treq": "not specified",
                                "trsvcid": "8009", "trtype": "tcp"}, "enable": 1, "name": "other"}],
        "subsystems": [NQN]}],
    "subsystems": [{
        "allowed_hosts": ["nqn.2014-08.org.nvmexpress:uuid:befdec4c-2234-11b2-a85c-ca77c773af36"],
        "attr": {"allow_any_host": "0", "cntlid_max": "65519", "cntlid_min": "1", "firmware": "6.8.0-rc",
                 "ieee_oui": "0x000000", "model": "Linux", "pi_enable": "0", "qid_max": "128",
                 "serial": "0c74361069d9db6c65ef", "version": "1.3"},
        "namespaces": [{"ana": {"grpid": "1"}, "ana_grpid": 1,
                        "device": {"nguid": "00000000-0000-0000-0000-000000000000", "path": "disk.img",
                                   "uuid": "91fdba0d-f87b-4c25-b80f-db7be1418b9e"},
                        "enable": 1, "nsid": 1, "resv": {"enable": "0"}}],
        "nqn": NQN,
        "passthru": [{"admin_timeout": 0, "clear_ids": 0, "device": {"path": "(null)"}, "enable": 0, "io_timeout": 0}]}],
}


def put(config, path, value):
    """Set a value by its path: 'ports.0.portid'."""
    *head, last = path.split('.')
    for key in head:
        config = config[int(key)] if isinstance(config, list) else config.setdefault(key, {})
    if isinstance(config, list):
        last = int(last)
        if last == len(config):
            config.append(None)
    if value is DELETE:
        del config[last]
    else:
        config[last] = value


DELETE = object()
S, P, N = 'subsystems.0.', 'ports.0.', 'subsystems.0.namespaces.0.'

# path, value; what is said: key, value, expectation
MISTAKES = [
    (P + 'portid', 'x', 'ports[0].portid: x: expected a number, 0..65535'),
    (P + 'portid', 65536, 'ports[0].portid: 65536: expected a number, 0..65535'),
    (P + 'portid', 1.5, 'ports[0].portid: 1.5: expected a number, 0..65535'),
    (P + 'portid', DELETE, 'ports[0].portid: (missing): this key is required'),
    (P + 'portid', None, 'ports[0].portid: null: expected one value, not null'),
    (P + 'addr.trtype', 'fc', 'ports[0].addr.trtype: fc: expected one of: tcp, rdma'),
    (P + 'addr.adrfam', 'ib', 'ports[0].addr.adrfam: ib: expected one of: ipv4, ipv6'),
    (P + 'addr.adrfam', 'ipv6', 'ports[0].addr.traddr: 127.0.0.1: expected an IPv6 address, as adrfam says'),
    (P + 'addr.traddr', 'localhost', 'ports[0].addr.traddr: localhost: expected an IPv4 or IPv6 address in numbers'),
    (P + 'addr.trsvcid', '65536', 'ports[0].addr.trsvcid: 65536: expected a TCP port number, 0..65535'),
    (P + 'addr.trsvcid', DELETE, 'ports[0].addr.trsvcid: (missing): this key is required'),
    (P + 'addr.treq', 'required', 'ports[0].addr.treq: required: not supported: TLS; the port would serve in the clear'),
    (P + 'addr.tsas', 'tls1.3', 'ports[0].addr.tsas: tls1.3: not supported: TLS; the port would serve in the clear'),
    (P + 'addr', [], 'ports[0].addr: [ ]: expected an object, not an array'),
    (P + 'param.inline_data_size', '100',
     'ports[0].param.inline_data_size: 100: expected -1 for the default, 0, or a number, 4096..262144, a multiple of 16'),
    (P + 'param.pi_enable', '1', 'ports[0].param.pi_enable: 1: not supported: protection information'),
    (P + 'ana_groups', [{'grpid': 1, 'ana': {'state': 'inaccessible'}}],
     'ports[0].ana_groups[0].ana.state: inaccessible: not supported: ANA; hosts would take this path for optimized'),
    (P + 'subsystems.0', 'nqn.2024-01.org.nvmft:absent',
     'ports[0].subsystems: nqn.2024-01.org.nvmft:absent: expected a subsystem that is in "subsystems"'),
    (P + 'subsystems.1', NQN, 'ports[0].subsystems: ' + NQN + ': is there twice'),
    (P + 'subsystems.0', 7, 'ports[0].subsystems[0]: 7: expected a string, not a number'),
    (P + 'tcp.maxh2cdata', '4097', 'ports[0].tcp.maxh2cdata: 4097: expected a size like 64MiB, 4KiB..1GiB, a multiple of 4'),
    (P + 'tcp.cpda', 32, 'ports[0].tcp.cpda: 32: expected a number, 0..31'),
    (P + 'options.max_pending', 0, 'ports[0].options.max_pending: 0: expected a number, 1..4294967295'),
    (P + 'bogus', 1, 'ports[0].bogus: 1: unknown key'),
    ('hosts', [{'nqn': 'nqn.2024-01.org.nvmft:h', 'dhchap': {'key': 'DHHC-1:00:abc:'}}],
     'hosts[0].dhchap.key: DHHC-1:00:abc:: not supported: authentication'),
    ('hosts', [{}], 'hosts[0].nqn: (missing): this key is required'),
    ('hosts', [{'nqn': NQN}, {'nqn': NQN}], 'hosts[1].nqn: ' + NQN + ': is the same as hosts[0]'),
    ('hosts', {}, 'hosts: { }: expected an array, not an object'),
    (S + 'nqn', '', 'subsystems[0].nqn: "": expected an NVMe Qualified Name'),
    (S + 'nqn', 'nqn.' + 'x' * 220, 'expected an NVMe Qualified Name of 1..223 bytes, as in nqn.yyyy-mm.domain:name'),
    (S + 'nqn', 'nqn.2024-01.org.nvmft:a b', 'subsystems[0].nqn: nqn.2024-01.org.nvmft:a b: expected an NVMe Qualified Name'),
    (S + 'nqn', 'nqn.2014-08.org.nvmexpress.discovery', 'is the name of the discovery subsystem'),
    (S + 'attr.serial', 'x' * 21, 'subsystems[0].attr.serial: xxxxxxxxxxxxxxxxxxxxx: expected 1..20 printable ASCII characters'),
    (S + 'attr.model', 'm\u00e4', 'subsystems[0].attr.model: m\u00e4: expected 1..40 printable ASCII characters'),
    (S + 'attr.firmware', '123456789', 'subsystems[0].attr.firmware: 123456789: expected 1..8 printable ASCII characters'),
    (S + 'attr.allow_any_host', 'maybe', 'subsystems[0].attr.allow_any_host: maybe: expected 1 or 0, or true or false'),
    (S + 'attr.cntlid_min', 0, 'subsystems[0].attr.cntlid_min: 0: expected a number, 1..65519'),
    (S + 'attr', {'cntlid_min': 9, 'cntlid_max': 8, 'allow_any_host': 1},
     'subsystems[0].attr.cntlid_min: 9: expected at most cntlid_max, 8'),
    (S + 'attr.qid_max', 65536, 'subsystems[0].attr.qid_max: 65536: expected a number, 1..65535'),
    (S + 'attr.allow_any_hosts', 1, 'subsystems[0].attr.allow_any_hosts: 1: unknown key'),
    (S + 'options.max_io_size', '12KiB', 'subsystems[0].options.max_io_size: 12KiB: expected a size like 1MiB, a power of two'),
    (S + 'allowed_hosts', ['nqn.2024-01.org.nvmft:h'],
     'subsystems[0].allowed_hosts: nqn.2024-01.org.nvmft:h: expected a host that is in "hosts"'),
    (S + 'passthru', {'enable': 1}, 'subsystems[0].passthru.enable: 1: not supported: pass-through of a controller'),
    (S + 'passthru', [{'enable': '1'}], 'subsystems[0].passthru[0].enable: 1: not supported: pass-through of a controller'),
    ('subsystems.1', {'nqn': NQN}, 'subsystems[1].nqn: ' + NQN + ': is the same as of subsystems[0]'),
    (N + 'nsid', 0, 'subsystems[0].namespaces[0].nsid: 0: expected a number, 1..'),
    (N + 'nsid', DELETE, 'subsystems[0].namespaces[0].nsid: (missing): this key is required'),
    (S + 'namespaces.1', file_namespace(1, 'y'),
     'subsystems[0].namespaces[1].nsid: 1: is the same as of subsystems[0].namespaces[0]'),
    (N + 'enable', 'x', 'subsystems[0].namespaces[0].enable: x: expected 1 or 0'),
    (N + 'device', {}, 'subsystems[0].namespaces[0].device.path: (missing): expected the path of a file or block device'),
    (N + 'device.path', '', 'subsystems[0].namespaces[0].device.path: "": expected something that is not empty'),
    (N + 'device.uuid', 'x', 'subsystems[0].namespaces[0].device.uuid: x: expected 32 hexadecimal digits'),
    (N + 'device.size', '1G', 'subsystems[0].namespaces[0].device.size: 1G: unknown key'),
    (N + 'resv', {'enable': '1'}, 'subsystems[0].namespaces[0].resv.enable: 1: not supported: reservations'),
    (N + 'resv_enable', 1, 'subsystems[0].namespaces[0].resv_enable: 1: not supported: reservations'),
    (N + 'backend', {'type': 'disk'}, 'subsystems[0].namespaces[0].backend.type: disk: expected one of: file, memory, null'),
    (N + 'backend', {'path': 'other'}, 'subsystems[0].namespaces[0].backend.path: other: expected the same as device.path'),
    (N + 'backend', {'block_size': 1024}, 'subsystems[0].namespaces[0].backend.block_size: 1024: expected 512 or 4096'),
    (N + 'backend', {'create': True}, 'subsystems[0].namespaces[0].backend.size: (missing): a file can only be created with a size'),
    (N + 'backend', {'type': 'memory'}, 'subsystems[0].namespaces[0].device.path: disk.img: this backend has no path'),
    (S + 'namespaces.1', {'nsid': 2, 'backend': {'type': 'null'}},
     'subsystems[0].namespaces[1].backend.size: (missing): this backend needs a size'),
    (S + 'namespaces.1', memory_namespace(2, '5K', block_size=4096),
     'subsystems[0].namespaces[1].backend.size: 5KiB: expected a multiple of the block size, 4096'),
    (N + 'backend', {'type': 'nvme', 'serial': 'x'},
     'subsystems[0].namespaces[0].device.path: disk.img: expected either a device, /dev/ngXnY, or a serial number, or the name of'),
    (S + 'namespaces.1', {'nsid': 2, 'backend': {'type': 'nvme', 'serial': 'x', 'subnqn': 'nqn.x'}},
     'subsystems[0].namespaces[1].device.path: (missing): expected either a device'),
    (S + 'namespaces.1', {'nsid': 2, 'backend': {'type': 'nvme', 'subnqn': 'a b'}},
     'subsystems[0].namespaces[1].backend.subnqn: a b: expected an NVMe Qualified Name'),
    (S + 'namespaces.1', {'nsid': 2, 'backend': {'type': 'nvme', 'serial': 'x' * 21}},
     'subsystems[0].namespaces[1].backend.serial: xxxxxxxxxxxxxxxxxxxxx: expected 1..20 printable ASCII characters'),
    (S + 'namespaces.1', {'nsid': 2, 'backend': {'type': 'nvme', 'serial': 'x', 'nsid': 0}},
     'subsystems[0].namespaces[1].backend.nsid: 0: expected a number, 1..'),
    (S + 'namespaces.1', {'nsid': 2, 'backend': {'type': 'nvme', 'serial': 'x', 'admin': ['0xc1', '0x100']}},
     'subsystems[0].namespaces[1].backend.admin: 0xc1+0x100: expected opcodes, 0x00..0xff, like 0xc1+0xc2'),
    (S + 'namespaces.1', {'nsid': 2, 'backend': {'type': 'nvme', 'serial': 'x', 'admin': [[1]]}},
     'subsystems[0].namespaces[1].backend.admin: [ [ 1 ] ]: expected one value, not an array'),
    (S + 'namespaces.1', {'nsid': 2, 'backend': {'type': 'nvme', 'serial': 'x', 'reservations': 2}},
     'subsystems[0].namespaces[1].backend.reservations: 2: expected 1 or 0'),
    (N + 'backend', {'subnqn': 'nqn.x'}, 'subsystems[0].namespaces[0].backend.subnqn: nqn.x: is for the nvme backend only'),
    (N + 'backend', {'reservations': True},
     'subsystems[0].namespaces[0].backend.reservations: 1: is for the nvme and vfio backends only'),
    (N + 'backend', {'admin': [128]},
     'subsystems[0].namespaces[0].backend.admin: (given): is for the nvme and vfio backends only'),
    ('target.threads', 0, 'target.threads: 0: expected a number, 1..1024'),
    ('target.cpus', [0, 'x'], 'target.cpus: [ 0, "x" ]: expected one value, not an array'),
    ('target.poll', 'sometimes', 'target.poll: sometimes: expected one of: adaptive, always, never'),
    ('target.log', 5, 'target.log: 5: expected one of: error, warn, info, debug'),
    ('target.discovery_nqn', NQN, 'subsystems[0].nqn: ' + NQN + ': is the name of the discovery subsystem'),
    ('ports', [], 'ports: []: expected at least one port to listen on'),
    ('ports', DELETE, 'ports: (missing): this key is required'),
    ('bogus', {}, 'bogus: { }: unknown key'),
]


class Check(Case):
    """--check, and starting with the same file."""

    def check(self, config):
        """Status and what is said."""
        return self.run_target('--config', save(config), '--check')

    def test_file_of_nvmetcli_is_good(self):
        self.file('disk.img')
        status, out, err = self.check(NVMETCLI)
        self.assertEqual((status, err), (0, ''))
        self.assertIn('target.json: no mistakes', out)

    def test_every_kind_of_mistake_is_named(self):
        self.file('disk.img')
        for path, value, said in MISTAKES:
            with self.subTest(path=path, value=value):
                config = json.loads(json.dumps(configuration(file_namespace(1, 'disk.img'))))
                put(config, path, value)
                status, _, err = self.check(config)
                self.assertEqual(status, 2, err)
                self.assertIn('target.json: ', err)
                self.assertIn(said, err)

    def test_ssds_are_named_in_every_way(self):
        for backend in ({'type': 'nvme', 'device': '/dev/ng0n1', 'nsid': 1}, {'type': 'nvme', 'serial': 'S4 EV', 'nsid': 2},
                        {'type': 'nvme', 'subnqn': 'nqn.2014-08.org:x', 'reservations': True, 'admin': ['0xc1', 194]},
                        {'type': 'vfio', 'address': '0000:01:00.0', 'reservations': '1', 'admin': '0x80+0xc1'}):
            with self.subTest(backend=backend):
                status, _, err = self.check(configuration({'nsid': 1, 'backend': backend}))
                self.assertEqual((status, err), (0, ''))

    def test_all_mistakes_of_a_file_at_once(self):
        config = configuration(file_namespace(1, 'disk.img'))
        config['ports'][0]['portid'] = 'x'
        config['subsystems'][0]['attr']['serial'] = ''
        config['bogus'] = 1
        status, _, err = self.check(config)
        self.assertEqual(status, 2)
        self.assertEqual(len([line for line in err.splitlines() if line.startswith('target.json: ')]), 3, err)

    def test_syntax_errors_have_line_and_column(self):
        for text, said in (('{"hosts": [}\n', 'line 1, column 12: }'), ('{\n  "hosts": [],\n  "ports": [],\n}\n', 'line 4, column 1: }'),
                           ('', 'line 1, column 1: ""'), ('{} x', 'line 1, column 4: x')):
            with self.subTest(text=text):
                with open('target.json', 'w', encoding='utf-8') as f:
                    f.write(text)
                status, _, err = self.run_target('--config', 'target.json', '--check')
                self.assertEqual(status, 2)
                self.assertIn('target.json: ' + said + ': expected JSON', err)

    def test_a_file_that_is_not_there(self):
        status, _, err = self.run_target('--config', 'absent.json')
        self.assertEqual(status, 2)
        self.assertIn('absent.json: --config: absent.json: cannot be read: No such file or directory', err)

    def test_a_directory_is_no_file(self):
        os.mkdir('d')
        status, _, err = self.run_target('--config', 'd')
        self.assertEqual(status, 2)
        self.assertIn('Is a directory', err)

    def test_missing_backing_file_is_a_warning(self):
        status, _, err = self.check(configuration(file_namespace(1, 'absent.img')))
        self.assertEqual(status, 0)
        self.assertIn('subsystems[0].namespaces[0].device.path: absent.img: warning: No such file or directory', err)

    def test_small_backing_file_is_a_warning(self):
        self.file('disk.img', 1 << 20)
        status, _, err = self.check(configuration({'nsid': 1, 'backend': {'path': 'disk.img', 'size': '2MiB'}}))
        self.assertEqual(status, 0)
        self.assertIn('disk.img: warning: is smaller than the size asked for: it has 1MiB', err)

    def test_a_subsystem_for_nobody_is_a_warning(self):
        config = configuration(memory_namespace(1))
        config['subsystems'][0]['attr'] = {}
        status, _, err = self.check(config)
        self.assertEqual(status, 0)
        self.assertIn('subsystems[0].allowed_hosts: []: warning: no host can connect', err)

    def test_a_subsystem_without_a_port_is_a_warning(self):
        config = configuration(memory_namespace(1))
        config['ports'][0]['subsystems'] = []
        status, _, err = self.check(config)
        self.assertEqual(status, 0)
        self.assertIn('subsystems[0].nqn: ' + NQN + ': warning: no host can connect, as no port has it', err)

    def test_empty_backing_file_is_a_warning(self):
        self.file('disk.img', 100)
        status, _, err = self.check(configuration(file_namespace(1, 'disk.img')))
        self.assertEqual(status, 0)
        self.assertIn('disk.img: warning: is smaller than one block: it has 100B', err)

    def test_check_of_a_command_line(self):
        status, out, _ = self.run_target('--check', '--namespace', 'memory:1GiB,block=4096')
        self.assertEqual(status, 0)
        self.assertIn('no mistakes', out)

    def test_nothing_is_started_with_a_mistake(self):
        config = configuration({'nsid': 1, 'backend': {'path': 'new.img', 'size': '1MiB', 'create': True}})
        config['ports'][0]['portid'] = 'x'
        status, out, err = self.run_target('--config', save(config))
        self.assertEqual((status, out), (2, ''))
        self.assertIn('not started: 1 mistake\n', err)
        self.assertFalse(os.path.exists('new.img'))


class CommandLine(Case):
    """Words."""

    def test_mistakes(self):
        for args, said in (
                ((), 'command line: --namespace: (missing): expected at least one'),
                (('--namespace',), 'command line: --namespace: (missing): this option needs a value'),
                (('--bogus',), 'command line: --bogus: unknown option'),
                (('-xh',), 'command line: -x: unknown option'),
                (('x',), 'command line: x: unexpected word'),
                (('--namespace', 'x', '--host', 'y z'), 'command line: --host: y z: expected an NVMe Qualified Name'),
                (('--namespace', 'a', '--namespace', 'memory:1Q'), 'command line: --namespace[1].size: 1Q: expected a size'),
                (('--namespace', 'a,nsid=1', '--namespace', 'b,nsid=1'),
                 'command line: --namespace[1].nsid: 1: is the same as of --namespace[0]')):
            with self.subTest(args=args):
                status, out, err = self.run_target(*args)
                self.assertEqual((status, out), (2, ''))
                self.assertIn(said, err)

    def test_help_and_version(self):
        status, out, err = self.run_target('--help')
        self.assertEqual((status, err), (0, ''))
        self.assertIn('--namespace SPEC', out)
        status, out, _ = self.run_target('--version')
        self.assertEqual(status, 0)
        self.assertRegex(out, r'^nvmft-target \d+\.\d+\.\d+\n$')


if __name__ == '__main__':
    unittest.main()
