# SPDX-License-Identifier: BSD-3-Clause
# zoned namespaces by both backends: sequential writes, reset, append, report; the device's statuses reach the host
# timeout: 300
# iommu
kernel_may_say 'I/O error|I/O Error|Zone'
zoned() { # zoned NAMESPACE ZONE-MIB
	local d q blocks
	say "$1"
	inner_target --namespace "$1"
	inner_connect -i 2
	d=$(disk 1)
	q=/sys/block/${d#/dev/}/queue
	blocks=$(($2 * 256)) # of 4096 bytes
	eq "model" "$(cat $q/zoned)" host-managed
	eq "zones" "$(cat $q/nr_zones)" $((64 / $2))
	eq "sectors of a zone" "$(cat $q/chunk_sectors)" $(($2 * 2048))
	ge "bytes of an append" "$(cat $q/zone_append_max_bytes)" 4096

	say "sequential writes"
	blkzone reset $d
	eq "empty zones" "$(blkzone report $d | grep -c '(em)')" $((64 / $2))
	random_file a 1048576
	copy if=a of=$d bs=128k oflag=direct
	copy if=$d of=b bs=128k count=8 iflag=direct
	cmp a b
	has "the report" "$(blkzone report -c 1 $d)" "wptr 0x0*800 .*\\((oi|cl)\\)"
	fio --name=seq --filename=$d --ioengine=io_uring --direct=1 --zonemode=zbd --rw=write --bs=64k --size=${2}m \
		--offset=$(($2 * 1048576)) --iodepth=4 --verify=crc32c --do_verify=1 --output=fio.out || { cat fio.out; fail fio; }
	grep -E 'write *:' fio.out
	has "a zone full to its capacity" "$(blkzone report -o $(($2 * 2048)) -c 1 $d)" "\\(fu\\)"

	say "append"
	random_file c 4096
	has "the first block of a zone" "$(nvme zns zone-append $d -s $((blocks * 2)) -z 4096 -d c 2>&1)" "LBA $((blocks * 2))|$(printf %x $((blocks * 2)))"
	has "the second" "$(nvme zns zone-append $d -s $((blocks * 2)) -z 4096 -d c 2>&1)" "LBA $((blocks * 2 + 1))|$(printf %x $((blocks * 2 + 1)))"
	nvme read $d -s $((blocks * 2 + 1)) -c 0 -z 4096 -d got > /dev/null
	cmp c got

	say "statuses"
	refused "a write beside the pointer" nvme write $d -s $((blocks * 2 + 9)) -c 0 -z 4096 -d c
	has "Zone Invalid Write" "$REFUSAL" "1bc"
	refused "a write to a full zone" nvme write $d -s $blocks -c 0 -z 4096 -d c
	has "Zone Is Full" "$REFUSAL" "1b9"
	refused "an append that starts no zone" nvme zns zone-append $d -s $((blocks * 2 + 1)) -z 4096 -d c
	has "Invalid Field" "$REFUSAL" "0x[24]*002"
	nvme zns finish-zone $d -s $((blocks * 2))
	refused "opening a full zone" nvme zns open-zone $d -s $((blocks * 2))
	has "Invalid Zone State Transition" "$REFUSAL" "1bf"

	say "reset"
	nvme zns reset-zone $d -s $blocks
	has "an empty zone" "$(blkzone report -o $(($2 * 2048)) -c 1 $d)" "\\(em\\)"
	copy if=a of=$d bs=128k seek=$(($2 * 8)) oflag=direct
	nvme disconnect -n $NQN
	inner_end
}
pci=$(pci NVMFT-VFIO)
zoned nvme:$(ssd 6) 16
vfio_bind $pci
zoned vfio:$pci/6 4
no_dma_fault
