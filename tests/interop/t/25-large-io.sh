# SPDX-License-Identifier: BSD-3-Clause
# large I/O: 1 MiB and odd sizes, deep, on memory and file
host run truncate -s 64M disk.img
target_with disk.img memory:64MiB
connect -i 2 > /dev/null
c=$(controllers $NQN)
mdts=$(nvme id-ctrl /dev/$c -o json | jq .mdts)
for n in 1 2; do
	d=$(disk $n)
	q=/sys/block/${d#/dev/}/queue
	ge "transfer size in KiB" "$(cat $q/max_hw_sectors_kb)" 128
	[ $mdts = 0 ] || [ "$(cat $q/max_hw_sectors_kb)" -le $((4 << mdts)) ] || fail "more than MDTS"
	echo "$(cat $q/max_hw_sectors_kb)" > $q/max_sectors_kb
	verify $d --bs=1m --size=32m --iodepth=8
	verify $d --bsrange=512-1m --size=8m --iodepth=32
done
