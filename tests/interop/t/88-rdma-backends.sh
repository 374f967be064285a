# SPDX-License-Identifier: BSD-3-Clause
# NVMe/RDMA: memory, file and an SSD by io_uring, one and four queues, up to 1 MiB, in capsules, file system, IPv6
# timeout: 200
R6=fd09:9:1::1
s=$(ssd 2)
rdma_link 1
# Busybox's ip lacks nodad.
/bin/ip -6 addr add $R6/64 dev rd1 nodad
truncate -s 64M disk.img
random_file a 1048576
set -- --namespace memory:32MiB --namespace file:$PWD/disk.img --namespace nvme:$s
rdma_target --listen rdma:[$R6]:$PORT "$@"

say "discovery on IPv6"
log=$(nvme discover -t rdma -a $R6 -s $PORT -o json)
eq "record" "$(echo "$log" | jq -r '.records[] | select(.subtype == "nvme subsystem" and .traddr == "'$R6'") | .trtype + " " + .adrfam')" "rdma ipv6"
has "log" "$(echo "$log" | jq -r '.records[].traddr')" "^$R1$"

for how in "-a $R6 -i 1" "-a $R1 -i 4"; do
	say "connect $how"
	rdma_connect $how > /dev/null
	c=$(controllers $NQN)
	eq "queues of $c" "$(attr $c queue_count)" $((${how##* } + 1))
	set --
	for n in 1 2 3; do set -- "$@" $(disk $n); done
	verify_all "$@" -- --size=2m
	verify_all "$@" -- --bs=1m --size=8m --iodepth=4 --verify_backlog=4
	for d; do
		copy if=a of=$d bs=4k seek=512 oflag=direct # a capsule holds 8 KiB
		copy if=$d of=b bs=1M skip=2 count=1 iflag=direct
		cmp a b
		copy if=a of=$d bs=1M seek=3 oflag=direct
		copy if=$d of=b bs=4k skip=768 count=256 iflag=direct
		cmp a b
	done
	case $how in *4) break ;; esac
	nvme disconnect -n $NQN > /dev/null
done

say "a file system"
d=$2
/usr/sbin/mkfs.ext4 -q -F $d
mount -t ext4 $d /mnt
cp a /mnt/a
cp -a /usr/lib/x86_64-linux-gnu/perl-base/File /mnt/tree
fstrim /mnt
umount /mnt
nvme disconnect -n $NQN > /dev/null
rdma_connect -i 2 > /dev/null
d=$(disk 2)
mount -t ext4 $d /mnt
cmp a /mnt/a
/usr/bin/diff -r --no-dereference /usr/lib/x86_64-linux-gnu/perl-base/File /mnt/tree || fail "the tree differs"
umount /mnt
fsck.ext4 -f -n $d
nvme disconnect -n $NQN > /dev/null
inner_end
