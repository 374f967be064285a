# SPDX-License-Identifier: BSD-3-Clause
# namespace hot add, resize and remove, seen by a connected host without a reconnect
host run truncate -s 16M a.img b.img c.img
conf_new
conf_file 1 a.img
target --config target.json
connect > /dev/null
c=$(controllers $NQN)
disk 1

for n in 2:b 7:c; do
	say "add namespace ${n%:*} (the second time shows that the event is armed again)"
	conf_file ${n%:*} ${n#*:}.img
	host reload
	within 10 "it appears" find_disk ${n%:*} $NQN
	verify $(disk ${n%:*}) --size=1m
done
eq "active namespaces" "$(nvme list-ns /dev/$c -o json | jq -c '[.nsid_list[].nsid]')" "[1,2,7]"
# Reading it is what arms the event again; the kernel has done so.
eq "changed namespaces" "$(nvme changed-ns-list-log /dev/$c -o json | jq -c "[.$c[]]")" "[]"

say "grow and shrink"
d=$(disk 1)
host run truncate -s 24M a.img
host reload
within 10 "24 MiB" size_is $d 25165824
dd if=/dev/zero of=$d bs=64k seek=383 count=1 oflag=direct 2> /dev/null || fail "writing the last 64 KiB"
conf_without 2
host reload
within 10 "namespace 2 is gone" no_disk 2
disk 1 && disk 7
eq "active namespaces" "$(nvme list-ns /dev/$c -o json | jq -c '[.nsid_list[].nsid]')" "[1,7]"

say "the number is used again for another disk"
host run truncate -s 8M d.img
conf_file 2 d.img
host reload
within 10 "it appears" find_disk 2 $NQN
within 5 "8 MiB" size_is $(disk 2) 8388608

eq "controller" "$(controllers $NQN)" $c
hasnt "kernel log" "$(dmesg)" "reconnect|resetting"
