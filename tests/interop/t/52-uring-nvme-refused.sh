# SPDX-License-Identifier: BSD-3-Clause
# an SSD through io_uring passthrough: what cannot be served is refused with a reason; serial numbers and NQNs
inner_programs
try() { timeout 20 env LD_LIBRARY_PATH=/tmp/bin /tmp/bin/nvmft-target --listen tcp:127.0.0.1:$PORT --subsystem $NQN "$@"; }
no() { # no PATTERN NAMESPACE
	refused "$2" try --namespace "$2"
	has "the reason" "$REFUSAL" "$1"
}
no "reservations: .* does not have them" nvme:$(ssd 1),reservations
no "admin_commands: not with iopoll" nvme:$(ssd 1),iopoll,admin=0xc1
no "opcode 0x06: the target answers it itself" nvme:$(ssd 1),admin=0x06
for o in 0x0d 0x15; do no "admin_commands: opcode $o: it would replace namespaces" nvme:$(ssd 1),admin=0x80+$o; done
no "no NVMe namespace of NOBODY is here" nvme:serial=NOBODY
no "NVMFT-SSD has 7 namespaces: nsid says which" nvme:serial=NVMFT-SSD
no "no NVMe namespace of NVMFT-SSD is here" nvme:serial=NVMFT-SSD/99
no "does not exist" nvme:/dev/ng77n1
no "no namespace of an NVMe device" nvme:/dev/zero
no "no queues for polling" nvme:$(ssd 1),iopoll

say "a mounted file system"
b=/dev/nvme$(ssd 1 | sed 's,/dev/ng,,')
/usr/sbin/mkfs.ext4 -q -F $b
mount -t ext4 $b /mnt
no "in use by the system" nvme:$(ssd 1)
umount /mnt

say "io_uring forbidden"
echo 2 > /proc/sys/kernel/io_uring_disabled
refused "without io_uring" try --namespace nvme:$(ssd 1)
has "the reason" "$REFUSAL" "io_uring_disabled"
echo 0 > /proc/sys/kernel/io_uring_disabled

say "permissions"
s=$(ssd 1)
refused "without CAP_SYS_ADMIN" /usr/bin/setpriv --bounding-set -sys_admin env LD_LIBRARY_PATH=/tmp/bin /tmp/bin/nvmft-target \
	--listen tcp:127.0.0.1:$PORT --subsystem $NQN --namespace nvme:$s
has "the reason" "$REFUSAL" "CAP_SYS_ADMIN"
refused "somebody" /usr/bin/setpriv --reuid 65534 --clear-groups env LD_LIBRARY_PATH=/tmp/bin /tmp/bin/nvmft-target \
	--listen tcp:127.0.0.1:$PORT --subsystem $NQN --namespace nvme:$s
has "the reason" "$REFUSAL" "no permission: run as root, or give access"

say "no device for admin commands"
c=$(basename "$(grep -l NVMFT-SSD /sys/class/nvme/nvme*/serial | sed 's,/serial,,')")
mv /dev/$c /dev/away
no "the controller of $s, /dev/nvmeX, cannot be opened" nvme:$s,admin=0xc1
mv /dev/away /dev/$c

say "by serial number, and by the name of the subsystem"
conf_new
conf '.ports |= [.[0]] | .ports[0].addr.traddr = "127.0.0.1" |
	.subsystems[0].namespaces = [{nsid: 9, enable: 1, backend: {type: "nvme", serial: "NVMFT-SSD", nsid: 2}},
		{nsid: 8, enable: 1, backend: {type: "nvme", subnqn: "nqn.2019-08.org.qemu:NVMFT-SUBSYSTEM", nsid: 3,
			admin: ["0x80"]}}]'
inner_start --config /host/target.json
inner_connect
eq "block size" "$(blockdev --getss "$(disk 9)")" 4096
eq "size" "$(blockdev --getsize64 "$(disk 8)")" 33554432
nvme disconnect -n $NQN
inner_end
inner_target --namespace nvme:serial=NVMFT-SSD/1 --namespace nvme:subnqn=nqn.2019-08.org.qemu:NVMFT-SUBSYSTEM/2
inner_connect
eq "block size" "$(blockdev --getss "$(disk 1)")" 512
eq "size" "$(blockdev --getsize64 "$(disk 2)")" 33554432
inner_end
