# SPDX-License-Identifier: BSD-3-Clause
# an SSD through io_uring passthrough: a zoned namespace, as block device and by commands
# timeout: 300
s=$(ssd 6)
inner_target --namespace nvme:$s
inner_connect -i 2
d=$(disk 1) g=/dev/ng${d#/dev/nvme}
q=/sys/block/${d#/dev/}/queue
eq "the disk" "$(cat $q/zoned)" host-managed
eq "zone size" "$(cat $q/chunk_sectors)" 32768
eq "zones" "$(cat $q/nr_zones)" 4
eq "append limit" "$(nvme zns id-ctrl $d -o json | jq .zasl)" 6

say "report"
blkzone report $d > zones
cat zones
eq "empty zones" "$(grep -c 'em' zones)" 4
nvme zns report-zones $d -d 4 > report
has "number" "$(cat report)" "nr_zones: 4"

say "writes in order"
fio --name=zbd --filename=$d --zonemode=zbd --direct=1 --ioengine=io_uring --iodepth=1 --rw=write --bs=64k --size=24m \
	--verify=crc32c --do_verify=1 --verify_fatal=1 --output=fio.out || { cat fio.out; fail "fio"; }
grep -qE 'err= *0' fio.out || { cat fio.out; fail "fio"; }
blkzone report -c 2 $d > zones
cat zones
has "the first zone" "$(head -n 1 zones)" "fu"
refused "a write out of order" nvme write $d -s 6144 -c 0 -z 4096 -d zones
has "its status" "$REFUSAL" "ZONE_INVALID_WRITE|Zone Invalid Write|Invalid Write"

say "a write that the device takes in pieces keeps its order"
blkzone reset -o 0 -c 32768 $d
random_file a 1048576
/usr/bin/dd if=a of=$d bs=1M count=1 oflag=direct 2> /dev/null
/usr/bin/dd if=$d of=got bs=1M count=1 iflag=direct 2> /dev/null
cmp a got

say "append tells where"
blkzone reset -o 65536 -c 32768 $d
random_file b 8192
nvme zns zone-append $d -s 8192 -z 8192 -d b > append
cat append
has "where" "$(cat append)" "LBA 2000$"
nvme zns zone-append $d -s 8192 -z 8192 -d b > append
cat append
has "where" "$(cat append)" "LBA 2002$"
rm got
nvme read $d -s 8194 -c 1 -z 8192 -d got > /dev/null
cmp b got

say "states"
nvme zns close-zone $d -s 8192
has "closed" "$(blkzone report -o 65536 -c 1 $d)" "cl"
nvme zns finish-zone $d -s 8192
has "full" "$(blkzone report -o 65536 -c 1 $d)" "fu"
blkzone reset -o 0 -c 131072 $d
eq "empty zones" "$(blkzone report $d | grep -c 'em')" 4
refused "a reset of no zone" nvme zns reset-zone $d -s 8193

say "what the device says is what hosts are told"
for k in zoc mar mor; do
	eq "$k" "$(nvme zns id-ns $d -o json | jq .$k)" "$(nvme zns id-ns $s -o json | jq .$k)"
done
inner_end
