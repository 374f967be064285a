# SPDX-License-Identifier: BSD-3-Clause
# the VFIO backend: verified I/O, kill -9, restart, errors that name what is wrong, no DMA fault
# timeout: 300
# iommu
kernel_may_say 'timeout|failed|Ignoring bogus'
pci=$(pci NVMFT-VFIO)
inner_programs
no_target() { # no_target SPEC MESSAGE
	! LD_LIBRARY_PATH=/tmp/bin timeout 20 /tmp/bin/nvmft-target --namespace "$1" > out 2>&1 || fail "$1 was served"
	has "output for $1" "$(cat out)" "$2"
}
no_target vfio:$pci/1 'held by the driver nvme'
no_target vfio:0000:7f:00.0/1 'no such PCI device'
say "a disk that is mounted is not given away"
d=$(kernel_disk NVMFT-VFIO 1)
mkfs.ext4 -q $d
mount $d /mnt
refused "binding a mounted disk" /tmp/bin/nvme-devices --bind $pci
has "refusal" "$REFUSAL" "$d is mounted on /mnt"
umount /mnt
has "list" "$(/tmp/bin/nvme-devices)" "$pci +nvme +IOMMU group"
vfio_bind $pci
has "list" "$(/tmp/bin/nvme-devices)" "ready.*nvmft-target --namespace vfio:$pci/1"
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
	copy if=a of=$d bs=1M seek=4 oflag=direct
	copy if=$d of=b bs=1M skip=4 count=3 iflag=direct
	cmp a b
	for n in 1 2 9 17 33 65 129; do
		copy if=a of=$d bs=$((n * 4096)) count=1 seek=20 oflag=direct
		copy if=$d of=b bs=$((n * 4096)) count=1 skip=20 iflag=direct
		cmp -n $((n * 4096)) a b
	done
	say "write zeroes"
	/usr/sbin/blkdiscard -z -o 4194304 -l 1048576 $d
	copy if=$d of=b bs=1M skip=4 count=1 iflag=direct
	cmp -n 1048576 b /dev/zero
	say "discard"
	/usr/sbin/blkdiscard -o 8388608 -l 4194304 $d
	say "the end"
	nvme disconnect -n $NQN
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
	inner_kill9
	within 10 "noticed" not_live $c
	inner_restart --namespace vfio:$pci/1
	within 20 "$c is live again" live $c
done
verify_wait
say "acknowledged and flushed data outlives a kill"
random_file a 1048576
copy if=a of=$d bs=64k seek=16 oflag=direct,sync
inner_kill9
inner_restart --namespace vfio:$pci/1
within 20 "$c is live again" live $c
copy if=$d of=b bs=64k skip=16 count=16 iflag=direct
cmp a b
nvme disconnect -n $NQN
inner_end

say "the kernel's driver finds the same data"
vfio_back $pci
d=$(kernel_disk NVMFT-VFIO 1)
copy if=$d of=b bs=64k skip=16 count=16 iflag=direct
cmp a b
no_dma_fault
