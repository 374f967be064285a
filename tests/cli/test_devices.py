#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""scripts/nvme-devices on a made-up sysfs: what it lists, what it refuses, and the commands."""
import os
import pathlib
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / 'scripts' / 'nvme-devices'
NVME, NIC = '0x010802', '0x020000'
NQN = 'nqn.2019-08.org.example:'


class Machine(unittest.TestCase):
    def setUp(self):
        tmp = tempfile.TemporaryDirectory()
        self.addCleanup(tmp.cleanup)
        self.root = pathlib.Path(tmp.name)
        self.write('proc/swaps', 'Filename Type Size Used Priority\n')
        self.write('proc/self/mountinfo', '24 1 8:1 / / rw - ext4 /dev/sda1 rw\n')

    def write(self, path, text=''):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def link(self, path, to):
        path, to = self.root / path, self.root / to
        path.parent.mkdir(parents=True, exist_ok=True)
        to.mkdir(parents=True, exist_ok=True)
        path.symlink_to(to)

    def function(self, address, group=None, driver=None, numa=-1, pci_class=NVME):
        at = f'sys/bus/pci/devices/{address}/'
        for name, text in ('class', pci_class), ('numa_node', numa), ('vendor', '0x1b36'), ('device', '0x0010'):
            self.write(at + name, f'{text}\n')
        if driver:
            self.link(at + 'driver', f'sys/bus/pci/drivers/{driver}')
        if group is not None:
            self.link(at + 'iommu_group', f'sys/kernel/iommu_groups/{group}')
            (self.root / f'sys/kernel/iommu_groups/{group}/devices/{address}').mkdir(parents=True)

    def controller(self, address, name, subsystem='0'):
        """The kernel's driver has it."""
        at = f'sys/bus/pci/devices/{address}/nvme/{name}'
        for key, text in (('model', 'SAMPLE SSD       '), ('serial', f'S-{name}   '), ('subsysnqn', NQN + subsystem),
                          ('address', address)):
            self.write(f'{at}/{key}', text + '\n')
        self.link(f'sys/class/nvme-subsystem/nvme-subsys{subsystem}/{name}', at)

    def disk(self, name, nsid, paths, number='259:0', parts=()):
        """A block device, with entries in the directories of its controllers: {address/controller: name}."""
        self.write(f'sys/block/{name}/nsid', f'{nsid}\n')
        self.write(f'sys/block/{name}/size', '131072\n')
        self.write(f'sys/block/{name}/dev', number + '\n')
        self.write(f'dev/{name}')
        self.link(f'sys/class/block/{name}', f'sys/block/{name}')
        for i, part in enumerate(parts, 1):
            self.write(f'sys/block/{name}/{part}/dev', f'259:{9 + i}\n')
            self.link(f'sys/class/block/{part}', f'sys/block/{name}/{part}')
            self.write(f'dev/{part}')
        for where, entry in paths.items():
            address, controller = where.split('/')
            (self.root / f'sys/bus/pci/devices/{address}/nvme/{controller}/{entry}').mkdir()

    def simple(self, address='0000:01:00.0', **options):
        self.function(address, 14, 'nvme', **options)
        self.controller(address, 'nvme0')
        self.disk('nvme0n1', 1, {f'{address}/nvme0': 'nvme0n1'}, parts=('nvme0n1p1',))

    def run_script(self, *args):
        return subprocess.run(['sh', SCRIPT, '--root', self.root, *args], capture_output=True, text=True, check=False,
                              env=dict(os.environ, LC_ALL='C'))

    def output(self, *args):
        run = self.run_script(*args)
        self.assertEqual((run.returncode, run.stderr), (0, ''))
        return run.stdout

    def refusal(self, *args):
        run = self.run_script(*args)
        self.assertEqual((run.returncode, run.stdout), (1, ''))
        return run.stderr


class List(Machine):
    def test_nothing(self):
        self.function('0000:00:03.0', 1, 'virtio-pci', pci_class=NIC)
        self.assertEqual(self.output(), 'no NVMe SSD here\n')

    def test_kernel_has_it(self):
        self.simple(numa=1)
        self.assertEqual(self.output().splitlines()[:4], [
            '0000:01:00.0  nvme  IOMMU group 14  NUMA node 1  SAMPLE SSD S-nvme0',
            f'  controller nvme0 of {NQN}0',
            '  namespace 1: /dev/nvme0n1, 64 MiB',
            '  to vfio-pci, which takes its disks away from the kernel:'])

    def test_vfio_has_it(self):
        self.function('0000:01:00.0', 14, 'vfio-pci')
        self.write('sys/bus/pci/devices/0000:01:00.0/vfio-dev/vfio3/dev', '511:3\n')
        out = self.output()
        self.assertIn('0000:01:00.0  vfio-pci  IOMMU group 14  PCI 1b36:0010\n', out)
        self.assertIn('  ready: nvmft-target --namespace vfio:0000:01:00.0/1\n', out)
        self.assertIn('  device nodes: /dev/vfio/14, /dev/vfio/devices/vfio3\n', out)

    def test_vfio_has_it_without_character_devices(self):
        self.function('0000:01:00.0', 14, 'vfio-pci')
        (self.root / 'sys/bus/pci/devices/0000:01:00.0/vfio-dev/vfio3').mkdir(parents=True)
        self.assertIn('  device nodes: /dev/vfio/14\n', self.output())

    def test_controllers_of_a_subsystem(self):
        """Each shows what it leads to: the shared namespace and its own, by the names that programs use."""
        one, two = '0000:01:00.0', '0000:02:00.0'
        for address, group, name in (one, 14, 'nvme0'), (two, 15, 'nvme1'):
            self.function(address, group, 'nvme')
            self.controller(address, name)
        self.disk('nvme0n1', 1, {f'{one}/nvme0': 'nvme0c0n1', f'{two}/nvme1': 'nvme0c1n1'})
        self.disk('nvme0n2', 2, {f'{one}/nvme0': 'nvme0c0n2'})
        self.disk('nvme0n3', 3, {f'{two}/nvme1': 'nvme0c1n3'})
        first, second = (part.splitlines() for part in self.output().split(f'\n{two}'))
        self.assertEqual(first[1:4], [f'  controller nvme0 of {NQN}0, to which {two} also leads',
                                      '  namespace 1: /dev/nvme0n1, 64 MiB', '  namespace 2: /dev/nvme0n2, 64 MiB'])
        self.assertEqual(second[1:4], [f'  controller nvme1 of {NQN}0, to which {one} also leads',
                                       '  namespace 1: /dev/nvme0n1, 64 MiB', '  namespace 3: /dev/nvme0n3, 64 MiB'])

    def test_tells_why_not(self):
        self.simple()
        self.write('proc/swaps', 'Filename Type Size Used Priority\n/dev/nvme0n1p1 partition 1 0 -2\n')
        self.assertIn('  cannot be bound to vfio-pci, in use: /dev/nvme0n1p1 is swap space\n', self.output())


class Bind(Machine):
    def test_commands(self):
        self.simple()
        self.assertEqual(self.output('--bind', '0000:01:00.0'),
                         'modprobe -a vfio-pci vfio_iommu_type1\n'
                         'echo vfio-pci > /sys/bus/pci/devices/0000:01:00.0/driver_override\n'
                         'echo 0000:01:00.0 > /sys/bus/pci/devices/0000:01:00.0/driver/unbind\n'
                         'echo 0000:01:00.0 > /sys/bus/pci/drivers_probe\n')

    def test_without_driver(self):
        self.function('0000:01:00.0', 14)
        self.assertNotIn('unbind', self.output('--bind', '0000:01:00.0'))

    def test_back(self):
        self.function('0000:01:00.0', 14, 'vfio-pci')
        self.assertEqual(self.output('--back', '0000:01:00.0'),
                         'echo 0000:01:00.0 > /sys/bus/pci/devices/0000:01:00.0/driver/unbind\n'
                         'echo > /sys/bus/pci/devices/0000:01:00.0/driver_override\n'
                         'modprobe nvme\n'
                         'echo 0000:01:00.0 > /sys/bus/pci/drivers_probe\n')

    def test_not_a_device(self):
        self.function('0000:00:03.0', 1, 'virtio-pci', pci_class=NIC)
        self.assertIn('no such PCI device', self.refusal('--bind', '0000:09:00.0'))
        self.assertIn('is no NVMe SSD', self.refusal('--bind', '0000:00:03.0'))
        self.assertIn('which device?', self.refusal('--bind'))

    def test_no_iommu(self):
        self.function('0000:01:00.0', None, 'nvme')
        self.assertIn('no IOMMU group', self.refusal('--bind', '0000:01:00.0'))

    def test_neighbour(self):
        self.simple()
        self.function('0000:01:00.1', 14, 'e1000e', pci_class=NIC)
        self.assertIn('IOMMU group 14 also has 0000:01:00.1, which the kernel uses',
                      self.refusal('--bind', '0000:01:00.0'))

    def test_neighbours_that_do_not_matter(self):
        self.simple()
        self.function('0000:00:01.0', 14, 'pcieport', pci_class='0x060400')
        self.function('0000:01:00.1', 14, None, pci_class=NIC)
        self.function('0000:01:00.2', 14, 'vfio-pci', pci_class=NIC)
        self.output('--bind', '0000:01:00.0')

    def test_neighbours_together(self):
        """Two SSDs of a group go to vfio-pci at once or not at all."""
        self.simple()
        self.function('0000:01:00.1', 14, 'nvme')
        self.controller('0000:01:00.1', 'nvme1', '1')
        self.refusal('--bind', '0000:01:00.0')
        out = self.output('--bind', '0000:01:00.0', '0000:01:00.1')
        self.assertEqual(out.count('/driver/unbind'), 2)

    def test_one_of_several_in_use(self):
        self.simple()
        self.function('0000:02:00.0', 15, 'nvme')
        self.write('proc/swaps', '/dev/nvme0n1 partition 1 0 -2\n')
        self.assertIn('0000:01:00.0: in use', self.refusal('--bind', '0000:02:00.0', '0000:01:00.0'))


class InUse(Machine):
    def check(self, text):
        self.assertIn(f'0000:01:00.0: in use: {text}', self.refusal('--bind', '0000:01:00.0'))

    def test_mounted(self):
        self.simple()
        self.write('proc/self/mountinfo', '30 1 259:0 / /srv rw - ext4 /dev/nvme0n1 rw\n')
        self.check('/dev/nvme0n1 is mounted on /srv')

    def test_partition_mounted(self):
        self.simple()
        self.write('proc/self/mountinfo', '30 1 259:10 / /srv rw - ext4 /dev/root rw\n')
        self.check('/dev/nvme0n1p1 is mounted on /srv')

    def test_mounted_without_its_number(self):
        """btrfs has device numbers of its own."""
        self.simple()
        self.write('proc/self/mountinfo', '30 1 0:44 / /srv rw shared:1 - btrfs /dev/nvme0n1p1 rw\n')
        self.check('/dev/nvme0n1p1 is mounted on /srv')

    def test_mounted_by_way_of_another_path(self):
        one, two = '0000:01:00.0', '0000:02:00.0'
        for address, group, name in (one, 14, 'nvme0'), (two, 15, 'nvme1'):
            self.function(address, group, 'nvme')
            self.controller(address, name)
        self.disk('nvme0n1', 1, {f'{one}/nvme0': 'nvme0c0n1', f'{two}/nvme1': 'nvme0c1n1'})
        self.disk('nvme0n2', 2, {f'{two}/nvme1': 'nvme0c1n2'}, number='259:3')
        self.write('proc/self/mountinfo', '30 1 259:0 / /srv rw - ext4 /dev/nvme0n1 rw\n')
        self.check('/dev/nvme0n1 is mounted on /srv')
        self.write('proc/self/mountinfo', '30 1 259:3 / /srv rw - ext4 /dev/nvme0n2 rw\n')
        self.output('--bind', one)
        self.assertIn('/dev/nvme0n2 is mounted', self.refusal('--bind', two))

    def test_another_disk_with_a_longer_name(self):
        self.simple()
        self.write('proc/self/mountinfo', '30 1 259:7 / /srv rw - ext4 /dev/nvme0n12 rw\n')
        self.write('proc/swaps', '/dev/nvme0n11 partition 1 0 -2\n')
        self.output('--bind', '0000:01:00.0')

    def test_part_of_raid(self):
        self.simple()
        (self.root / 'sys/block/nvme0n1/holders/md127').mkdir(parents=True)
        self.check('/dev/nvme0n1 is part of /dev/md127')

    def test_open(self):
        self.simple()
        self.write('proc/77/comm', 'qemu\n')
        (self.root / 'proc/77/fd').mkdir()
        for n, to in (3, '/dev/ng0n1'), (4, '/dev/nvme0n1p1'):
            (self.root / f'proc/77/fd/{n}').symlink_to(to)
        self.check('/dev/nvme0n1 is open in qemu; /dev/nvme0n1p1 is open in qemu')


if __name__ == '__main__':
    unittest.main()
