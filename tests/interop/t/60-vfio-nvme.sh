# SPDX-License-Identifier: BSD-3-Clause
# the VFIO backend: verified I/O, kill -9, restart, errors that name what is wrong, no DMA fault
# timeout: 300
# iommu
kernel_may_say 'timeout|failed|Ignoring bogus'
inner_programs
modprobe nvme
pci=
for c in /sys/class/nvme/nvme*; do
	! grep -q NVMFT-VFIO "$c/serial" || pci=$(basename "$(readlink -f "$c/device")")
done
[ -n "$pci" ] || fail "no SSD for VFIO in the guest"
bind() { # bind vfio-pci|nvme: what docs/nvme-ssds.md says
	local how=--back
	[ $1 = nvme ] || how=--bind
	/tmp/bin/nvme-devices $how $pci > commands || fail "no commands to bind it"
	sh -e commands
	eq "driver of $pci" "$(basename $(readlink /sys/bus/pci/devices/$pci/driver))" $1
}
kernel_disk() { # NSID
	local k
	for k in /sys/block/nvme*n*; do
		[ "$(cat $k/nsid 2> /dev/null)" = $1 ] && grep -qs NVMFT-VFIO $k/device/serial $k/device/nvme*/serial &&
			echo /dev/${k##*/} && return
	done
	return 1
}
no_target() { # no_target SPEC MESSAGE
	! LD_LIBRARY_PATH=/tmp/bin timeout 20 /tmp/bin/nvmft-target --namespace "$1" > out 2>&1 || fail "$1 was served"
	has "output for $1" "$(cat out)" "$2"
}
no_target vfio:$pci/1 'held by the driver nvme'
no_target vfio:0000:7f:00.0/1 'no such PCI device'
say "a disk that is mounted is not given away"
within 10 "the kernel's disk" kernel_disk 1
d=$(kernel_disk 1)
mkfs.ext4 -q $d
mount $d /mnt
refused "binding a mounted disk" /tmp/bin/nvme-devices --bind $pci
has "refusal" "$REFUSAL" "$d is mounted on /mnt"
umount /mnt
has "list" "$(/tmp/bin/nvme-devices)" "$pci +nvme +IOMMU group"
bind vfio-pci
has "list" "$(/tmp/bin/nvme-devices)" "ready: nvmft-target --namespace vfio:$pci/1"
no_target vfio:$pci/3 'metadata'
no_target vfio:$pci/9 'does not exist|status 0x'

for nsid in 1:512 2:4096; do
	inner_target --namespace vfio:$pci/${nsid%:*}
	inner_connect -i 2
	d=$(disk 1)
	eq "size of $d" "$(blockdev --getsize64 $d)" 67108864
	eq "block size of $d" "$(blockdev --getss $d)" ${nsid#*:}
	verify $d --bsrange=4k-64k
	verify $d --bs=${nsid#*:} --size=256k --fsync=16
	say "transfers larger than the device takes at once, and of every odd length"
	random_file a 3145728
	/usr/bin/dd if=a of=$d bs=1M seek=4 oflag=direct 2> /dev/null
	/usr/bin/dd if=$d of=b bs=1M skip=4 count=3 iflag=direct 2> /dev/null
	cmp a b
	for n in 1 2 9 17 33 65 129; do
		/usr/bin/dd if=a of=$d bs=$((n * 4096)) count=1 seek=20 oflag=direct 2> /dev/null
		/usr/bin/dd if=$d of=b bs=$((n * 4096)) count=1 skip=20 iflag=direct 2> /dev/null
		cmp -n $((n * 4096)) a b
	done
	say "write zeroes and discard"
	/usr/sbin/blkdiscard -z -o 4194304 -l 1048576 $d
	/usr/bin/dd if=$d of=b bs=1M skip=4 count=1 iflag=direct 2> /dev/null
	cmp -n 1048576 b /dev/zero
	/usr/sbin/blkdiscard -o 8388608 -l 4194304 $d
	nvme disconnect -n $NQN > /dev/null
	inner_end
	has "log" "$(cat inner.log)" 'QEMU NVMe Ctrl NVMFT-VFIO'
done

say "kill -9 under load, twice"
inner_target --threads 2 --namespace vfio:$pci/1
inner_connect -i 2
c=$(controllers $NQN) d=$(disk 1)
verify_start $d --time_based --runtime=14
for pause in 2.3 1.4; do
	sleep $pause
	kill -9 $INNER
	within 10 "noticed" not_live $c
	inner_start --listen tcp:127.0.0.1:$PORT --subsystem $NQN --namespace vfio:$pci/1
	within 20 "$c is live again" live $c
done
verify_wait
say "acknowledged and flushed data outlives a kill"
random_file a 1048576
/usr/bin/dd if=a of=$d bs=64k seek=16 oflag=direct,sync 2> /dev/null
kill -9 $INNER
wait $INNER 2> /dev/null || :
inner_start --listen tcp:127.0.0.1:$PORT --subsystem $NQN --namespace vfio:$pci/1
within 20 "$c is live again" live $c
/usr/bin/dd if=$d of=b bs=64k skip=16 count=16 iflag=direct 2> /dev/null
cmp a b
nvme disconnect -n $NQN > /dev/null
inner_end

say "the kernel's driver finds the same data"
bind nvme
within 10 "the kernel's disk" kernel_disk 1
d=$(kernel_disk 1)
/usr/bin/dd if=$d of=b bs=64k skip=16 count=16 iflag=direct 2> /dev/null
cmp a b
hasnt "kernel log" "$(dmesg)" 'DMAR:.*[Ff]ault|DMAR.*(Read|Write).*fault'
