# SPDX-License-Identifier: BSD-3-Clause
# an SSD through io_uring passthrough: what cannot be served is refused with a reason; serial numbers
inner_programs
try() { timeout 20 env LD_LIBRARY_PATH=/tmp/bin /tmp/bin/nvmft-target --listen tcp:127.0.0.1:$PORT --subsystem $NQN "$@"; }
no() { # no PATTERN NAMESPACE
	refused "$2" try --namespace "$2"
	has "the reason" "$REFUSAL" "$1"
}
no "protection information of type 1" nvme:$(ssd 5)
no "ZNS" nvme:$(ssd 6)
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

say "by serial number"
conf_new
conf '.ports |= [.[0]] | .ports[0].addr.traddr = "127.0.0.1" |
	.subsystems[0].namespaces = [{nsid: 9, enable: 1, backend: {type: "nvme", serial: "NVMFT-SSD", nsid: 2}}]'
inner_start --config /host/target.json
inner_connect
eq "block size" "$(blockdev --getss "$(disk 9)")" 4096
inner_end
