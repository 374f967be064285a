# SPDX-License-Identifier: BSD-3-Clause
# an SSD through io_uring passthrough, 512 and 4096: verified I/O, file system, NVMe commands
# timeout: 240
s1=$(ssd 1) s2=$(ssd 2)
inner_target --namespace nvme:$s1 --namespace nvme:/dev/nvme${s2#/dev/ng}
inner_connect -i 2
for n in 1 2; do
	d=$(disk $n)
	say "namespace $n: $d"
	eq "block size" "$(blockdev --getss $d)" "$([ $n = 1 ] && echo 512 || echo 4096)"
	eq "size" "$(blockdev --getsize64 $d)" 67108864
	verify $d
	verify $d --bs=1m --size=16m --verify_backlog=8 --iodepth=4
done

say "a file system"
d=$(disk 1)
/usr/sbin/mkfs.ext4 -q -F $d
mount -t ext4 $d /mnt
random_file a 4194304
cp a /mnt/a
fstrim /mnt
umount /mnt
mount -t ext4 $d /mnt
cmp a /mnt/a
umount /mnt

say "what the device says is what hosts are told"
for n in 1 2; do
	s=$(ssd $n) d=$(disk $n)
	eq "NSZE" "$(nvme id-ns $d -o json | jq .nsze)" "$(nvme id-ns $s -o json | jq .nsze)"
	eq "DLFEAT" "$(nvme id-ns $d -o json | jq '.dlfeat % 8')" "$(nvme id-ns $s -o json | jq '.dlfeat % 8')"
done

random_file a 8192; random_file b 8192
head -c 8192 /dev/zero > zero
commands() { # commands NSID BLOCKS (in 8 KiB)
	d=$(disk $1) n=$(($2 - 1))
	say "namespace $1, $2 blocks at a time"
	r() { nvme read $d -s $1 -c $n -z 8192 -d got > /dev/null; }
	nvme write $d -s 0 -c $n -z 8192 -d a
	r 0; cmp a got
	nvme write $d -s 0 -c $n -z 8192 -d b --force-unit-access
	r 0; cmp b got
	nvme compare $d -s 0 -c $n -z 8192 -d b || fail "compare of the same"
	refused "compare of another" nvme compare $d -s 0 -c $n -z 8192 -d a
	has "its status" "$REFUSAL" "Compare Failure"
	nvme write-zeroes $d -s 0 -c $n
	r 0; cmp zero got
	nvme write $d -s 0 -c $n -z 8192 -d a
	nvme write-zeroes $d -s 0 -c $n --deac
	r 0; cmp zero got
	nvme write $d -s 0 -c $n -z 8192 -d a
	nvme write $d -s $2 -c $n -z 8192 -d b
	nvme dsm $d -n $1 --ad -s 0 -b $2
	r 0; cmp zero got || cmp a got
	r $2; cmp b got
	nvme flush $d -n $1
}
commands 1 16
commands 2 2

say "commands that only the device can do"
d=$(disk 2)
oncs() { nvme id-ctrl $1 -o json | jq ".oncs / $2 | floor % 2"; }
eq "Verify" "$(oncs $d 128)" "$(oncs $s2 128)"
eq "Copy" "$(oncs $d 256)" "$(oncs $s2 256)"
eq "Write Uncorrectable" "$(oncs $d 2)" "$(oncs $s2 2)"
if [ "$(oncs $d 128)" = 1 ]; then
	nvme verify $d -s 0 -c 7
	refused "Verify behind the end" nvme verify $d -s 16384 -c 7
fi
if [ "$(oncs $d 256)" = 1 ]; then
	for k in mssrl mcl msrc; do
		eq "$k" "$(nvme id-ns $d -o json | jq .$k)" "$(nvme id-ns $s2 -o json | jq .$k)"
	done
	nvme write $d -s 100 -c 1 -z 8192 -d a
	nvme write $d -s 110 -c 1 -z 8192 -d b
	nvme copy $d --sdlba=200 --slbs=110,100 --blocks=1,1
	nvme read $d -s 200 -c 1 -z 8192 -d got > /dev/null
	cmp b got
	nvme read $d -s 202 -c 1 -z 8192 -d got > /dev/null
	cmp a got
fi
cat inner.log
inner_end
