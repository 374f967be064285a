# SPDX-License-Identifier: BSD-3-Clause
# an SSD through io_uring passthrough: protection information and metadata, which hosts do not see
# timeout: 360
kernel_may_say 'protection error|Guard Check|critical target error|I/O error'
s5=$(ssd 5) s7=$(ssd 7)
k5=/dev/nvme${s5#/dev/ng} k7=/dev/nvme${s7#/dev/ng}
eq "the device's protection" "$(nvme id-ns $s5 -o json | jq .dps)" 1
eq "the device's protection" "$(nvme id-ns $s7 -o json | jq .dps)" 1
inner_target --namespace nvme:$s5 --namespace nvme:$s7
inner_connect -i 2
for n in 1 2; do
	d=$(disk $n)
	say "namespace $n: $d"
	eq "block size" "$(blockdev --getss $d)" "$([ $n = 1 ] && echo 512 || echo 4096)"
	eq "metadata" "$(nvme id-ns $d -o json | jq '.lbafs[0].ms')" 0
	eq "protection" "$(nvme id-ns $d -o json | jq .dps)" 0
	verify $d
	verify $d --bs=256k --size=8m --verify_backlog=8 --iodepth=4
done

head -c 8192 /dev/zero > zero
random_file a 8192
commands() { # commands NSID BLOCKS (in 8 KiB)
	d=$(disk $1) n=$(($2 - 1))
	say "namespace $1, $2 blocks at a time"
	r() { nvme read $d -s $1 -c $n -z 8192 -d got > /dev/null; }
	nvme write $d -s 0 -c $n -z 8192 -d a
	r 0; cmp a got
	nvme compare $d -s 0 -c $n -z 8192 -d a || fail "compare of the same"
	refused "compare of another" nvme compare $d -s 0 -c $n -z 8192 -d zero
	nvme write-zeroes $d -s 0 -c $n
	r 0; cmp zero got
	nvme write $d -s 0 -c $n -z 8192 -d a
	nvme dsm $d -n $1 --ad -s 0 -b $2
	r 0; cmp zero got || cmp a got
	nvme write $d -s 0 -c $n -z 8192 -d a
}
commands 1 16
commands 2 2
d=$(disk 1)
random_file b 1048576
/usr/bin/dd if=b of=$d bs=64k oflag=direct seek=1 2> /dev/null
/usr/bin/dd if=b of=$(disk 2) bs=64k oflag=direct seek=1 2> /dev/null

say "the tags are on the device: its own driver, which checks them, reads what was written"
nvme disconnect -n $NQN
inner_end
for k in $k5 $k7; do
	eq "checks of $k" "$(cat /sys/block/${k#/dev/}/integrity/read_verify)" 1
	/usr/bin/dd if=$k of=got bs=64k count=16 skip=1 iflag=direct 2> /dev/null
	cmp b got
	random_file a 65536
	/usr/bin/dd if=a of=$k bs=64k seek=20 oflag=direct 2> /dev/null
	cp a a-${k#/dev/}
done

say "and the other way round"
inner_target --namespace nvme:$s5 --namespace nvme:$s7
inner_connect
/usr/bin/dd if=$(disk 1) of=got bs=64k count=1 skip=20 iflag=direct 2> /dev/null
cmp a-${k5#/dev/} got
/usr/bin/dd if=$(disk 2) of=got bs=64k count=1 skip=20 iflag=direct 2> /dev/null
cmp a-${k7#/dev/} got

say "what the device finds is what hosts are told"
d=$(disk 1)
head -c 512 a > block
printf '\0\0\0\0\0\0\0\144' > tuple # no guard of anything, and the tag of block 100
nvme write $s5 -s 100 -c 0 -z 512 -d block -y 8 -M tuple -p 0 -r 100
refused "a block with another guard" nvme read $d -s 100 -c 0 -z 512 -d got
has "its status" "$REFUSAL" "Guard"
nvme disconnect -n $NQN
inner_end

say "metadata that is no protection information"
nvme format $k5 --lbaf=1 --pi=0 --force
eq "the device's metadata" "$(nvme id-ns $s5 -o json | jq '.lbafs[.flbas % 16].ms')" 8
inner_target --namespace nvme:$s5
inner_connect -i 2
d=$(disk 1)
eq "metadata" "$(nvme id-ns $d -o json | jq '.lbafs[0].ms')" 0
verify $d --size=4m
random_file b 1048576
/usr/bin/dd if=b of=$d bs=1M oflag=direct seek=1 2> /dev/null
/usr/bin/dd if=$d of=got bs=1M count=1 skip=1 iflag=direct 2> /dev/null
cmp b got
nvme write-zeroes $d -s 2048 -c 15
/usr/bin/dd if=$d of=got bs=8k count=1 skip=128 iflag=direct 2> /dev/null
cmp zero got
nvme disconnect -n $NQN
inner_end

say "metadata at the end of blocks, which cannot be hidden"
nvme format $k5 --lbaf=1 --pi=0 --ms=1 --force
refused "it" timeout 20 env LD_LIBRARY_PATH=/tmp/bin /tmp/bin/nvmft-target --listen tcp:127.0.0.1:$PORT --subsystem $NQN \
	--namespace nvme:$s5
has "the reason" "$REFUSAL" "metadata at the end of each block \(an extended LBA format\), bytes: 8, which this backend does not serve"
nvme format $k5 --lbaf=1 --pi=1 --ms=0 --force
