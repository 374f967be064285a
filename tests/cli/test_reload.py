#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""SIGHUP: differences are applied, everything else goes on undisturbed."""
import os
import re
import signal
import unittest

from nvme_host import HOSTNQN, Controller, NvmeError, read_block, write_block
from support import NQN, Case, configuration, file_namespace, memory_namespace, need_io_uring, save


class Reload(Case):
    """A target with a file."""

    def start(self, config):
        """Start with a configuration."""
        self.config = config
        self.reloads = 0
        self.p = self.target('--config', save(config)).ready()
        self.address = self.p.addresses()[0]

    def reload(self, changes=None):
        """Apply self.config; optionally compare the number of changes."""
        save(self.config)
        self.reloads += 1
        self.p.send(signal.SIGHUP)
        self.p.wait_log(r'configuration read again: \d+ changes', count=self.reloads)
        if changes is not None:
            self.assertEqual(re.findall(r'read again: (\d+) changes', self.p.log())[-1], str(changes))

    @property
    def namespaces(self):
        """Of the only subsystem."""
        return self.config['subsystems'][0]['namespaces']

    def test_the_same_again_changes_nothing(self):
        self.file('disk.img')
        config = configuration(file_namespace(1, 'disk.img'), memory_namespace(2))
        config['hosts'] = [{'nqn': HOSTNQN}]
        config['subsystems'][0]['allowed_hosts'] = [HOSTNQN]
        config['ports'][0]['referrals'] = [{'name': 'r', 'addr': {'trtype': 'tcp', 'adrfam': 'ipv4', 'traddr': '192.0.2.1', 'trsvcid': '8009'}}]
        self.start(config)
        with Controller(self.address, NQN) as c, c.io_queue() as q:
            write_block(q, 2, 0, b'k' * 512)
            self.reload(changes=0)
            self.reload(changes=0)
            self.assertEqual(read_block(q, 2, 0, 512), b'k' * 512)
        self.assertEqual(self.p.end(), 0)

    def test_namespaces_come_and_go_on_a_live_connection(self):
        self.start(configuration(memory_namespace(1)))
        with Controller(self.address, NQN) as c:
            self.namespaces.append(memory_namespace(5))
            self.reload(changes=1)
            self.assertEqual(c.namespaces(), [1, 5])
            del self.namespaces[0]
            self.reload(changes=1)
            self.assertEqual(c.namespaces(), [5])
        self.assertEqual(self.p.end(), 0)

    def test_a_grown_file(self):
        self.file('disk.img', 8 << 20)
        self.start(configuration(file_namespace(1, 'disk.img')))
        with Controller(self.address, NQN) as c:
            os.truncate('disk.img', 24 << 20)
            self.reload(changes=1)
            self.assertEqual(c.namespace(1), (24 << 20, 512))

    def test_a_changed_namespace_is_made_anew(self):
        self.file('a.img', 8 << 20)
        self.file('b.img', 4 << 20)
        self.start(configuration(file_namespace(1, 'a.img')))
        with Controller(self.address, NQN) as c:
            self.namespaces[0]['device']['path'] = 'b.img'
            self.reload()
            self.assertEqual(c.namespace(1), (4 << 20, 512))
            self.namespaces.append(file_namespace(2, 'a.img'))
            self.reload()
            self.assertEqual(c.namespace(2), (8 << 20, 512))

    def test_disabled_and_enabled(self):
        self.start(configuration(memory_namespace(1)))
        with Controller(self.address, NQN) as c:
            self.namespaces[0]['enable'] = 0
            self.reload()
            self.assertEqual(c.namespaces(), [])
            self.namespaces[0]['enable'] = 1
            self.reload()
            self.assertEqual(c.namespaces(), [1])

    def test_a_missing_file_is_tried_again(self):
        self.start(configuration(file_namespace(1, 'late.img')))
        with Controller(self.address, NQN) as c:
            self.assertEqual(c.namespaces(), [])
            self.file('late.img')
            self.reload()
            self.assertEqual(c.namespaces(), [1])

    def test_subsystems_and_links(self):
        other = NQN + '-2'
        self.start(configuration(memory_namespace(1)))
        with Controller(self.address) as d:
            self.config['subsystems'].append({'nqn': other, 'attr': {'allow_any_host': 1}, 'namespaces': [memory_namespace(1)]})
            self.reload()
            self.assertEqual(d.served(), [NQN])
            self.config['ports'][0]['subsystems'].append(other)
            self.reload(changes=1)
            self.assertEqual(d.served(), [NQN, other])
            with Controller(self.address, other) as c:
                self.config['ports'][0]['subsystems'].remove(other)
                self.reload(changes=1)
                self.assertEqual(d.served(), [NQN])
                with self.assertRaises((ConnectionError, NvmeError)):
                    c.namespaces()
            self.config['subsystems'].pop()
            self.reload(changes=1)

    def test_a_removed_subsystem_leaves_the_others(self):
        other = NQN + '-2'
        config = configuration(memory_namespace(1))
        config['subsystems'].append({'nqn': other, 'attr': {'allow_any_host': 1}, 'namespaces': [memory_namespace(1)]})
        config['ports'][0]['subsystems'].append(other)
        self.start(config)
        with Controller(self.address, NQN) as c:
            self.config['subsystems'].pop()
            self.config['ports'][0]['subsystems'].remove(other)
            self.reload()
            self.assertEqual(c.namespaces(), [1])
        with self.assertRaises(NvmeError):
            Controller(self.address, other)

    def test_a_changed_identity_makes_the_subsystem_anew(self):
        self.start(configuration(memory_namespace(1)))
        self.config['subsystems'][0]['attr']['serial'] = 'NEW'
        self.reload()
        with Controller(self.address, NQN) as c:
            self.assertEqual(c.text(4, 24), 'NEW')
            self.assertEqual(c.namespaces(), [1])

    def test_hosts(self):
        config = configuration(memory_namespace(1))
        config['subsystems'][0]['attr']['allow_any_host'] = 0
        self.start(config)
        with self.assertRaises(NvmeError):
            Controller(self.address, NQN)
        self.config['hosts'] = [{'nqn': HOSTNQN}]
        self.config['subsystems'][0]['allowed_hosts'] = [HOSTNQN]
        self.reload(changes=2)
        with Controller(self.address, NQN) as c:
            self.config['subsystems'][0]['allowed_hosts'] = []
            self.config['hosts'] = []
            self.reload()
            with self.assertRaises((ConnectionError, NvmeError)):
                c.namespaces()
        with self.assertRaises(NvmeError):
            Controller(self.address, NQN)

    def test_a_listed_host_survives_the_end_of_any_host(self):
        self.start(configuration(memory_namespace(1)))
        with Controller(self.address, NQN) as c, Controller(self.address, NQN, hostnqn=HOSTNQN + '-2') as other:
            self.config['hosts'] = [{'nqn': HOSTNQN}]
            self.config['subsystems'][0].update(allowed_hosts=[HOSTNQN], attr={'allow_any_host': '0'})
            self.reload()
            self.assertEqual(c.namespaces(), [1])
            with self.assertRaises((ConnectionError, NvmeError)):
                other.namespaces()

    def test_a_second_port(self):
        self.start(configuration(memory_namespace(1)))
        self.config['ports'].append({'portid': 2, 'addr': {'trtype': 'tcp', 'traddr': '127.0.0.2', 'trsvcid': str(self.address[1])},
                                     'subsystems': [NQN]})
        with Controller(self.address, NQN) as c:
            self.reload(changes=2)
            with Controller(('127.0.0.2', self.address[1]), NQN) as second:
                self.config['ports'].pop()
                self.reload(changes=1)
                with self.assertRaises((ConnectionError, NvmeError)):
                    second.namespaces()
            with self.assertRaises(OSError):
                Controller(('127.0.0.2', self.address[1]), NQN)
            self.assertEqual(c.namespaces(), [1])

    def test_a_changed_port_listens_again_at_the_same_address(self):
        config = configuration(memory_namespace(1))
        self.start(config)
        self.config['ports'][0]['addr']['trsvcid'] = str(self.address[1])
        self.reload()
        self.config['ports'][0]['param'] = {'inline_data_size': '16384'}
        self.reload()
        with Controller(self.address, NQN) as c:
            self.assertEqual(int.from_bytes(c.identify(1)[1792:1796], 'little'), (64 + 16384) // 16)

    def test_referrals(self):
        def referral(address):
            return {'name': address, 'enable': 1, 'addr': {'trtype': 'tcp', 'adrfam': 'ipv4', 'traddr': address, 'trsvcid': '8009'}}

        self.start(configuration(memory_namespace(1)))
        with Controller(self.address) as d:
            self.config['ports'][0]['referrals'] = [referral('192.0.2.1'), referral('192.0.2.2')]
            self.reload(changes=2)
            self.assertEqual({e[2] for e in d.discovery() if e[0] == 1}, {'192.0.2.1', '192.0.2.2'})
            del self.config['ports'][0]['referrals'][0]
            self.reload(changes=1)
            self.assertEqual({e[2] for e in d.discovery() if e[0] == 1}, {'192.0.2.2'})

    def test_a_bad_file_changes_nothing(self):
        self.start(configuration(memory_namespace(1)))
        with Controller(self.address, NQN) as c:
            self.namespaces.append(memory_namespace(2))
            self.config['ports'][0]['portid'] = 'x'
            save(self.config)
            self.p.send(signal.SIGHUP)
            self.p.wait_log('1 mistakes?, nothing was changed')
            self.assertIn('target.json: ports[0].portid: x: expected a number', self.p.log())
            self.assertEqual(c.namespaces(), [1])
            self.config['ports'][0]['portid'] = 1
            self.reload(changes=1)
            self.assertEqual(c.namespaces(), [1, 2])

    def test_a_file_that_is_gone_changes_nothing(self):
        self.start(configuration(memory_namespace(1)))
        os.unlink('target.json')
        self.p.send(signal.SIGHUP)
        self.p.wait_log('nothing was changed')
        with Controller(self.address, NQN) as c:
            self.assertEqual(c.namespaces(), [1])

    def test_changes_of_the_target_section_are_announced(self):
        self.start(configuration(memory_namespace(1)))
        self.config['target'] = {'threads': 2}
        self.reload()
        self.assertIn('changes of "target" need a restart', self.p.log())


if __name__ == '__main__':
    need_io_uring()
    unittest.main()
